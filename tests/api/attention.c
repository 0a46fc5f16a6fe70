/*
 * attention.c - attention found in its parts: every form of it against the graph without passes.
 */
#include "test.h"

#include <math.h>

typedef struct form {
    int64_t batch, q_heads, kv_heads, tokens, keys, size, v_size; /* batch 0: no such axis */
    bool    swap_q, swap_k, swap_v, swap_y;                       /* tokens before heads outside */
    int     scale;                                                /* 0 none, 1 Mul, 2 Div, 3 on the queries */
    int     mask;                                                 /* 0 none, 1 causal constant, 2 input, 3 with rows of -inf */
} form;

static linnet_model *made;
static int made_names;

/* One more layer; its output's name. */
static const char *layer(const char *op, const char *a, const char *b, char name[16])
{
    const char *const in[] = { a, b }, *const out[] = { name };

    snprintf(name, 16, "t%d", made_names++);
    EXPECT_OK(linnet_layer_add(made, op, name, in, b ? 2 : 1, out, 1, NULL, &test_error));
    return name;
}

static const char *transpose(const char *a, const form *f, bool last, bool heads, char name[16])
{
    const int64_t swap[] = { 0, 2, 1, 3 }, turn[] = { 0, 1, 3, 2 }, both[] = { 0, 2, 3, 1 };
    const char *const in[] = { a }, *const out[] = { name };
    const int64_t *perm = !last ? swap : heads ? both : turn;
    int64_t less[3];
    linnet_layer *l;

    snprintf(name, 16, "t%d", made_names++);
    EXPECT_OK(linnet_layer_add(made, "Transpose", name, in, 1, out, 1, &l, &test_error));
    for (int i = 0; i < 3; i++)
        less[i] = perm[i + 1] - 1;
    EXPECT_OK(linnet_layer_set_ints(l, "perm", f->batch ? perm : less, f->batch ? 4 : 3, &test_error));
    return name;
}

static void ints(const char *name, const int64_t *v, int64_t count)
{
    EXPECT_OK(linnet_model_add_weight(made, name, LINNET_I64, 1, &count, v, (size_t)count * sizeof *v, &test_error));
}

/* The shape of an operand outside, without the batch axis where there is none. */
static int operand(const form *f, int64_t heads, int64_t tokens, int64_t size, bool swap, int64_t dims[4])
{
    const int64_t d[] = { f->batch, swap ? tokens : heads, swap ? heads : tokens, size };
    const int from = f->batch ? 0 : 1;

    for (int i = from; i < 4; i++)
        dims[i - from] = d[i];
    return 4 - from;
}

/* Heads of keys or values repeated by Unsqueeze, Expand, Reshape. */
static const char *repeat(const char *a, const form *f, int64_t tokens, int64_t size, bool swap, char name[16])
{
    const int axis = (f->batch ? 1 : 0) + (swap ? 1 : 0) + 1;
    int64_t flat[4], wide[5];
    char x[16], y[16], axes[16], shape[16], dims[16];

    if (f->q_heads == f->kv_heads)
        return a;
    const int rank = operand(f, f->q_heads, tokens, size, swap, flat);
    for (int i = 0; i <= rank; i++)
        wide[i] = i < axis ? flat[i] : i == axis ? f->q_heads / f->kv_heads : flat[i - 1];
    wide[axis - 1] = f->kv_heads;
    snprintf(axes, 16, "axes%d", made_names);
    snprintf(shape, 16, "wide%d", made_names);
    snprintf(dims, 16, "flat%d", made_names);
    ints(axes, &(int64_t){ axis }, 1);
    ints(shape, wide, rank + 1);
    ints(dims, flat, rank);
    layer("Unsqueeze", a, axes, x);
    layer("Expand", x, shape, y);
    return layer("Reshape", y, dims, name);
}

static void number(const char *name, float v)
{
    const int64_t one = 1;

    EXPECT_OK(linnet_model_add_weight(made, name, LINNET_F32, 1, &one, &v, sizeof v, &test_error));
}

static void mask_add(const form *f)
{
    const int64_t dims[] = { f->tokens, f->keys };
    float m[32 * 32];

    if (f->mask == 1) {
        for (int64_t i = 0; i < f->tokens; i++)
            for (int64_t j = 0; j < f->keys; j++)
                m[i * f->keys + j] = j <= i ? 0.0f : f->scale == 1 ? -1e9f : -INFINITY;
        EXPECT_OK(linnet_model_add_weight(made, "mask", LINNET_F32, 2, dims, m, (size_t)(f->tokens * f->keys) * 4,
                                          &test_error));
    } else if (f->mask) {
        EXPECT_OK(linnet_model_add_input(made, "mask", LINNET_F32, 2, dims, &test_error));
    }
}

static linnet_model *build(const form *f)
{
    char q[16], k[16], v[16], s[16], t[16], y[16], x[16], z[16], wide[16];
    int64_t dims[4];
    int rank;

    EXPECT_OK(linnet_model_create(NULL, &made, &test_error));
    made_names = 0;
    rank = operand(f, f->q_heads, f->tokens, f->size, f->swap_q, dims);
    EXPECT_OK(linnet_model_add_input(made, "q", LINNET_F32, rank, dims, &test_error));
    rank = operand(f, f->kv_heads, f->keys, f->size, f->swap_k, dims);
    EXPECT_OK(linnet_model_add_input(made, "k", LINNET_F32, rank, dims, &test_error));
    rank = operand(f, f->kv_heads, f->keys, f->v_size, f->swap_v, dims);
    EXPECT_OK(linnet_model_add_input(made, "v", LINNET_F32, rank, dims, &test_error));
    mask_add(f);
    number("scale", f->scale == 2 ? 2.5f : 0.4f);
    const char *a = f->swap_q ? transpose("q", f, false, true, q) : "q";
    if (f->scale == 3)
        a = layer("Mul", a, "scale", z);
    const char *b = transpose(repeat("k", f, f->keys, f->size, f->swap_k, x), f, true, f->swap_k, k);
    const char *c = repeat("v", f, f->keys, f->v_size, f->swap_v, wide);
    c = f->swap_v ? transpose(c, f, false, true, v) : c;
    a = layer("MatMul", a, b, s);
    if (f->scale == 1 || f->scale == 2)
        a = layer(f->scale == 1 ? "Mul" : "Div", a, "scale", t);
    if (f->mask)
        a = layer("Add", a, "mask", x);
    a = layer("MatMul", layer("Softmax", a, NULL, y), c, z);
    if (f->swap_y)
        a = transpose(a, f, false, true, q);
    EXPECT_OK(linnet_model_add_output(made, a, &test_error));
    EXPECT_OK(linnet_model_finish(made, &test_error));
    return made;
}

static linnet_session *run(const linnet_model *m, linnet_tensor *const *in, size_t count, uint32_t passes)
{
    linnet_options opt;
    linnet_session *s = NULL;

    linnet_options_init(&opt);
    opt.passes = passes;
    EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
    for (size_t i = 0; i < count; i++)
        EXPECT_OK(linnet_session_set_input_tensor(s, i, in[i], &test_error));
    EXPECT_OK(linnet_session_run(s, &test_error));
    return s;
}

static void compare(const form *f)
{
    linnet_tensor *in[4] = { NULL };
    int64_t dims[4];
    int rank = operand(f, f->q_heads, f->tokens, f->size, f->swap_q, dims);
    linnet_options opt;

    in[0] = test_random_f32(rank, dims, -2, 2);
    rank = operand(f, f->kv_heads, f->keys, f->size, f->swap_k, dims);
    in[1] = test_random_f32(rank, dims, -2, 2);
    rank = operand(f, f->kv_heads, f->keys, f->v_size, f->swap_v, dims);
    in[2] = test_random_f32(rank, dims, -2, 2);
    in[3] = test_random_f32(2, (int64_t[]){ f->tokens, f->keys }, -2, 2);
    float *m = linnet_tensor_data(in[3]);
    for (int64_t i = 0; i < f->tokens * f->keys; i++)
        if (f->mask == 3 && (i / f->keys == 1 || test_int(0, 2) == 0))
            m[i] = -INFINITY;
    const size_t count = f->mask > 1 ? 4 : 3;
    linnet_model *model = build(f);
    linnet_options_init(&opt);
    linnet_session *want = run(model, in, count, LINNET_PASS_FOLD), *got = run(model, in, count, opt.passes);
    const linnet_tensor *a = linnet_session_output(want, 0), *b = linnet_session_output(got, 0);
    double expected[4096];
    EXPECT(linnet_tensor_count(a) == linnet_tensor_count(b) && linnet_tensor_count(a) <= 4096);
    EXPECT(linnet_tensor_rank(a) == linnet_tensor_rank(b));
    for (int32_t i = 0; i < linnet_tensor_rank(a); i++)
        EXPECT(linnet_tensor_dim(a, i) == linnet_tensor_dim(b, i));
    for (size_t i = 0; i < linnet_tensor_count(a) && i < 4096; i++)
        expected[i] = linnet_tensor_get(a, i);
    EXPECT_NEAR(b, expected, 1e-5, 1e-6);
    EXPECT(test_steps(want, "Softmax") == 1 && test_steps(got, "Softmax") == 0);
    EXPECT(test_steps(got, "Attention") == 1 && test_steps(got, "Transpose") == 0 && test_steps(got, "Expand") == 0);
    linnet_session_free(want);
    linnet_session_free(got);
    linnet_model_free(model);
    for (int i = 0; i < 4; i++)
        linnet_tensor_free(in[i]);
}

void test_attention_parts(void)
{
    for (int i = 0; i < 200; i++) {
        form f = { .batch = test_int(0, 2), .kv_heads = test_int(1, 3), .tokens = test_int(2, 19),
                   .keys = test_int(2, 19), .size = test_int(1, 9), .v_size = test_int(1, 9),
                   .swap_q = test_int(0, 1), .swap_k = test_int(0, 1), .swap_v = test_int(0, 1),
                   .swap_y = test_int(0, 1), .scale = (int)test_int(0, 3), .mask = (int)test_int(0, 3) };
        f.q_heads = f.kv_heads * test_int(1, 3);
        if (f.mask == 1)
            f.keys = f.tokens;
        compare(&f);
    }
}
