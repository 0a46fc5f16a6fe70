/*
 * norm.c - normalisation found in its parts: every form of it against the graph without passes.
 */
#include "test.h"

typedef struct form { bool mean, bias, power, swap; int quotient; } form; /* quotient: 0 Div, 1 Reciprocal, 2 1 / x */

static linnet_model *made;

static const char *part(const char *name, const char *op, const char *a, const char *b)
{
    const char *const in[] = { a, b }, *const out[] = { name };

    EXPECT_OK(linnet_layer_add(made, op, name, in, b ? 2 : 1, out, 1, NULL, &test_error));
    return name;
}

static void number(const char *name, int32_t dtype, int64_t count, const void *v, size_t size)
{
    EXPECT_OK(linnet_model_add_weight(made, name, dtype, 1, &count, v, size, &test_error));
}

static linnet_model *build(const form *f, int64_t n)
{
    const int64_t dims[] = { 2, 5, n }, axis = -1;
    const float epsilon = 1e-3f, two = 2, one = 1;
    linnet_tensor *scale = test_random_f32(1, &n, -2, 2), *bias = test_random_f32(1, &n, -2, 2);

    EXPECT_OK(linnet_model_create(NULL, &made, &test_error));
    EXPECT_OK(linnet_model_add_input(made, "x", LINNET_F32, 3, dims, &test_error));
    number("axes", LINNET_I64, 1, &axis, sizeof axis);
    number("epsilon", LINNET_F32, 1, &epsilon, sizeof epsilon);
    number("two", LINNET_F32, 1, &two, sizeof two);
    number("one", LINNET_F32, 1, &one, sizeof one);
    number("scale", LINNET_F32, n, linnet_tensor_data(scale), linnet_tensor_size(scale));
    number("bias", LINNET_F32, n, linnet_tensor_data(bias), linnet_tensor_size(bias));
    const char *d = f->mean ? part("d", "Sub", "x", part("m", "ReduceMean", "x", "axes")) : "x";
    const char *square = f->power ? part("s", "Pow", d, "two") : part("s", "Mul", d, d);
    const char *mean = part("v", "ReduceMean", square, "axes");
    const char *root = part("r", "Sqrt", f->swap ? part("e", "Add", "epsilon", mean) : part("e", "Add", mean, "epsilon"),
                            NULL);
    const char *q = f->quotient == 0 ? part("q", "Div", d, root)
                  : part("q", "Mul", d, f->quotient == 1 ? part("i", "Reciprocal", root, NULL) : part("i", "Div", "one", root));
    const char *y = f->swap ? part("w", "Mul", "scale", q) : part("w", "Mul", q, "scale");
    y = f->bias ? part("y", "Add", f->swap ? "bias" : y, f->swap ? y : "bias") : y;
    EXPECT_OK(linnet_model_add_output(made, y, &test_error));
    EXPECT_OK(linnet_model_finish(made, &test_error));
    linnet_tensor_free(scale);
    linnet_tensor_free(bias);
    return made;
}

static linnet_session *run(const linnet_model *m, const linnet_tensor *x, bool passes)
{
    linnet_options opt;
    linnet_session *s = NULL;

    linnet_options_init(&opt);
    opt.passes = passes ? opt.passes : 0;
    EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
    EXPECT_OK(linnet_session_set_input_tensor(s, 0, x, &test_error));
    EXPECT_OK(linnet_session_run(s, &test_error));
    return s;
}

void test_norm_parts(void)
{
    for (int i = 0; i < 48; i++) {
        const form f = { i & 1, i & 2, i & 4, i & 8, i / 16 };
        const int64_t n = test_int(1, 40);
        linnet_tensor *x = test_random_f32(3, (int64_t[]){ 2, 5, n }, -3, 3);
        linnet_model *m = build(&f, n);
        linnet_session *want = run(m, x, false), *got = run(m, x, true);
        linnet_session_info info = { .struct_size = sizeof info };
        double expected[400];

        for (size_t k = 0; k < (size_t)n * 10; k++)
            expected[k] = linnet_tensor_get(linnet_session_output(want, 0), k);
        EXPECT_NEAR(linnet_session_output(got, 0), expected, 1e-5, 1e-5);
        EXPECT_OK(linnet_session_get_info(got, &info));
        EXPECT(info.steps == (f.bias && !f.mean ? 2u : 1u)); /* RMSNormalization takes no bias */
        linnet_session_free(want);
        linnet_session_free(got);
        linnet_model_free(m);
        linnet_tensor_free(x);
    }
}
