/*
 * turn.c - pictures flattened for a product with constant weights: without passes, channels come first, as the model has
 * it; that graph is the oracle.
 */
#include "test.h"

#include <math.h>

typedef struct turn_case {
    int64_t     n, c, h, w, m, columns; /* of the picture; channels behind the convolution; of the product */
    const char *op;                     /* Gemm or MatMul */
    bool        trans, reshape;         /* Gemm's transB; Reshape instead of Flatten */
    float       alpha;
    int         left;                   /* transposes that must stay */
} turn_case;

static void turn_product(linnet_model *m, const turn_case *k)
{
    const int64_t depth = k->m * k->h * k->w, dims[] = { k->trans ? k->columns : depth, k->trans ? depth : k->columns };
    const int64_t shape[] = { 0, -1 }, two[] = { 2 };
    linnet_tensor *weight = test_random_f32(2, dims, -1, 1);
    linnet_layer *l;

    EXPECT_OK(linnet_model_add_weight(m, "b", LINNET_F32, 2, dims, linnet_tensor_data(weight),
                                      linnet_tensor_count(weight) * sizeof(float), &test_error));
    EXPECT_OK(linnet_model_add_weight(m, "shape", LINNET_I64, 1, two, shape, sizeof shape, &test_error));
    EXPECT_OK(linnet_layer_add(m, k->reshape ? "Reshape" : "Flatten", "flat", (const char *const[]){ "z", "shape" },
                               k->reshape ? 2 : 1, (const char *const[]){ "flat" }, 1, NULL, &test_error));
    EXPECT_OK(linnet_layer_add(m, k->op, "y", (const char *const[]){ "flat", "b" }, 2, (const char *const[]){ "y" }, 1, &l,
                               &test_error));
    if (strcmp(k->op, "Gemm") == 0) {
        EXPECT_OK(linnet_layer_set_int(l, "transB", k->trans, &test_error));
        EXPECT_OK(linnet_layer_set_float(l, "alpha", k->alpha, &test_error));
    }
    linnet_tensor_free(weight);
}

static linnet_model *turn_model(const turn_case *k)
{
    const int64_t dims[] = { k->n, k->c, k->h, k->w }, filter[] = { k->m, k->c, 3, 3 };
    linnet_tensor *weight = test_random_f32(4, filter, -1, 1);
    linnet_model *m = NULL;
    linnet_layer *l;

    EXPECT_OK(linnet_model_create(NULL, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 4, dims, &test_error));
    EXPECT_OK(linnet_model_add_weight(m, "w", LINNET_F32, 4, filter, linnet_tensor_data(weight),
                                      linnet_tensor_count(weight) * sizeof(float), &test_error));
    EXPECT_OK(linnet_layer_add(m, "Conv", "z", (const char *const[]){ "x", "w" }, 2, (const char *const[]){ "z" }, 1, &l,
                               &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "pads", (const int64_t[]){ 1, 1, 1, 1 }, 4, &test_error));
    turn_product(m, k);
    EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    linnet_tensor_free(weight);
    return m;
}

static linnet_session *turn_run(linnet_model *m, const linnet_tensor *x, uint32_t passes, uint32_t isa)
{
    linnet_options o;
    linnet_session *s = NULL;

    linnet_options_init(&o);
    o.passes = passes;
    o.isa_mask = isa;
    EXPECT_OK(linnet_session_create(m, &o, &s, &test_error));
    EXPECT_OK(linnet_session_set_input_tensor(s, 0, x, &test_error));
    EXPECT_OK(linnet_session_run(s, &test_error));
    return s;
}

static void turn_check(const turn_case *k)
{
    const int64_t dims[] = { k->n, k->c, k->h, k->w };
    linnet_tensor *x = test_random_f32(4, dims, -1, 1);
    linnet_model *m = turn_model(k);
    linnet_session *plain = turn_run(m, x, 0, 0);
    const linnet_tensor *want = linnet_session_output(plain, 0);

    for (uint32_t isa = 1; isa; isa = isa == 1 ? 0xffu : 0) { /* the lowest level, all levels */
        linnet_session *s = turn_run(m, x, ~0u, isa);
        const linnet_tensor *got = linnet_session_output(s, 0);
        double worst = 0;

        EXPECT(test_steps(s, "Transpose") == k->left);
        EXPECT(linnet_tensor_count(got) == linnet_tensor_count(want));
        for (size_t i = 0; i < linnet_tensor_count(want); i++)
            worst = fmax(worst, fabs(linnet_tensor_get(got, i) - linnet_tensor_get(want, i)));
        EXPECT(worst < 1e-3);
        linnet_session_free(s);
    }
    linnet_session_free(plain);
    linnet_model_free(m);
    linnet_tensor_free(x);
}

void test_turn(void)
{
    static const turn_case cases[] = {
        { 1, 4, 5, 5, 64, 64, "Gemm", true, false, 1.0f, 0 },
        { 1, 4, 7, 7, 32, 100, "Gemm", false, false, 1.0f, 0 },
        { 3, 4, 5, 6, 10, 33, "Gemm", true, true, 1.0f, 0 },
        { 2, 1, 4, 4, 17, 5, "MatMul", false, true, 1.0f, 0 },
        { 1, 3, 12, 11, 9, 70, "Gemm", true, false, 1.0f, 0 },
        { 1, 3, 20, 20, 5, 2, "MatMul", false, false, 1.0f, 0 },
        { 40, 4, 5, 5, 64, 256, "Gemm", true, false, 1.0f, 0 },
        { 1, 4, 5, 5, 8, 16, "Gemm", true, false, 0.5f, 1 }, /* alpha is part of the packing as it was */
        { 1, 4, 5, 5, 8, 1, "Gemm", true, false, 1.0f, 1 },  /* one column is not packed */
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        turn_check(&cases[i]);
}
