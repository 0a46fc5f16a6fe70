/*
 * model.c - models by code, sessions, memory: what the public calls promise.
 */
#include "test.h"

#include <math.h>

/* conv 3x3 (4 filters, relu) over 1x2x6x5, then global average: small enough to follow by hand. */
typedef struct net { float w[4 * 2 * 9], b[4], x[2 * 6 * 5]; double want[4]; } net;

static void net_fill(net *n)
{
    for (size_t i = 0; i < 72; i++)
        n->w[i] = test_float(-1, 1);
    for (size_t i = 0; i < 4; i++)
        n->b[i] = test_float(-1, 1);
    for (size_t i = 0; i < 60; i++)
        n->x[i] = test_float(-1, 1);
    for (size_t m = 0; m < 4; m++) {
        n->want[m] = 0;
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 3; x++) {
                double sum = (double)n->b[m];
                for (int c = 0; c < 2; c++)
                    for (int i = 0; i < 3; i++)
                        for (int j = 0; j < 3; j++)
                            sum += (double)n->w[((m * 2 + (size_t)c) * 3 + (size_t)i) * 3 + (size_t)j] *
                                   (double)n->x[(c * 6 + y + i) * 5 + x + j];
                n->want[m] += (sum > 0 ? sum : 0) / 12;
            }
    }
}

static linnet_model *net_model(const net *n, const linnet_options *opt)
{
    const char *const conv_in[] = { "x", "w", "b" }, *const relu_in[] = { "c" }, *const pool_in[] = { "r" };
    const char *const conv_out[] = { "c" }, *const relu_out[] = { "r" }, *const pool_out[] = { "y" };
    const int64_t w[] = { 4, 2, 3, 3 }, b[] = { 4 }, x[] = { 1, 2, 6, 5 };
    linnet_model *m = NULL;

    EXPECT_OK(linnet_model_create(opt, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 4, x, &test_error));
    EXPECT_OK(linnet_model_add_weight(m, "w", LINNET_F32, 4, w, n->w, sizeof n->w, &test_error));
    EXPECT_OK(linnet_model_add_weight(m, "b", LINNET_F32, 1, b, n->b, sizeof n->b, &test_error));
    /* In the wrong order on purpose: finishing sorts. */
    EXPECT_OK(linnet_layer_add(m, "GlobalAveragePool", "pool", pool_in, 1, pool_out, 1, NULL, &test_error));
    EXPECT_OK(linnet_layer_add(m, "Relu", "relu", relu_in, 1, relu_out, 1, NULL, &test_error));
    EXPECT_OK(linnet_layer_add(m, "Conv", "conv", conv_in, 3, conv_out, 1, NULL, &test_error));
    EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    return m;
}

static void net_set(const net *n, linnet_session *s)
{
    const int64_t x[] = { 1, 2, 6, 5 };

    EXPECT_OK(linnet_session_set_input(s, 0, LINNET_F32, 4, x, n->x, sizeof n->x, &test_error));
}

void test_model_by_code(void)
{
    net n;
    linnet_session *s;

    net_fill(&n);
    linnet_model *m = net_model(&n, NULL);
    EXPECT(linnet_model_layer_count(m) == 3);
    EXPECT(strcmp(linnet_layer_op(linnet_model_layer(m, 0)), "Conv") == 0);
    EXPECT(linnet_model_layer(m, 3) == NULL);
    EXPECT(linnet_model_weight_bytes(m) == sizeof n.w + sizeof n.b);
    EXPECT_OK(linnet_session_create(m, NULL, &s, &test_error));
    linnet_model_free(m); /* the session keeps it */
    EXPECT(linnet_session_output(s, 0) == NULL);
    EXPECT_STATUS(linnet_session_run(s, &test_error), LINNET_ERR_ARGUMENT); /* no input yet */
    net_set(&n, s);
    EXPECT_OK(linnet_session_run(s, &test_error));
    EXPECT_NEAR(linnet_session_output(s, 0), n.want, 1e-5, 1e-6);
    linnet_session_free(s);
}

void test_model_passes_and_levels_agree(void)
{
    net n;

    net_fill(&n);
    linnet_model *m = net_model(&n, NULL);
    for (uint32_t passes = 0; passes < 8; passes++)
        for (uint32_t isa = 1; isa <= 8; isa <<= 1) {
            linnet_options opt;
            linnet_session *s;
            linnet_options_init(&opt);
            opt.passes = passes;
            opt.isa_mask = isa | (isa - 1);
            EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
            net_set(&n, s);
            EXPECT_OK(linnet_session_run(s, &test_error));
            EXPECT_NEAR(linnet_session_output(s, 0), n.want, 1e-5, 1e-6);
            linnet_session_free(s);
        }
    linnet_model_free(m);
}

void test_model_memory(void)
{
    net n;
    test_heap h;
    linnet_options opt;
    linnet_session *s, *t;
    linnet_session_info one = { .struct_size = sizeof one }, two = one;

    net_fill(&n);
    test_heap_init(&h);
    linnet_options_init(&opt);
    opt.allocator = &h.hooks;
    linnet_model *m = net_model(&n, &opt);
    EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
    EXPECT_OK(linnet_session_create(m, &opt, &t, &test_error));
    EXPECT_OK(linnet_session_get_info(s, &one));
    EXPECT_OK(linnet_session_get_info(t, &two));
    EXPECT(one.weight_bytes > 0 && one.weight_bytes == two.weight_bytes);
    net_set(&n, s);
    EXPECT_OK(linnet_session_run(s, &test_error));
    const size_t calls = h.calls;
    for (int i = 0; i < 100; i++)
        EXPECT_OK(linnet_session_run(s, &test_error));
    EXPECT(h.calls == calls); /* a run allocates nothing */
    linnet_session_free(t);
    linnet_session_free(s);
    linnet_model_free(m);
    EXPECT(h.blocks == 0 && h.bytes == 0);
}

void test_model_placed(void)
{
    net n;
    linnet_session *s = NULL;
    size_t size = 0;

    net_fill(&n);
    linnet_model *m = net_model(&n, NULL);
    EXPECT_OK(linnet_session_size(m, NULL, &size, &test_error));
    for (size_t shift = 0; shift < 64; shift += 7) {
        char *memory = malloc(size + shift);
        test_heap h;
        linnet_options opt;
        test_heap_init(&h);
        linnet_options_init(&opt);
        opt.allocator = &h.hooks;
        EXPECT_STATUS(linnet_session_place(m, &opt, memory + shift, size - 1, &s, &test_error), LINNET_ERR_MEMORY);
        EXPECT(s == NULL);
        EXPECT_OK(linnet_session_place(m, &opt, memory + shift, size, &s, &test_error));
        net_set(&n, s);
        EXPECT_OK(linnet_session_run(s, &test_error));
        EXPECT(h.calls == 0);
        EXPECT_NEAR(linnet_session_output(s, 0), n.want, 1e-5, 1e-6);
        linnet_session_free(s);
        free(memory);
    }
    char *memory = malloc(size);
    for (size_t less = 0; less < size; less += 1 + less / 8)
        EXPECT_STATUS(linnet_session_place(m, NULL, memory, less, &s, &test_error), LINNET_ERR_MEMORY);
    free(memory);
    linnet_model_free(m);
}

void test_model_bad_arguments(void)
{
    const int64_t dims[] = { 1, 2, 6, 5 }, wrong[] = { 1, 2, 6, 4 };
    const char *const in[] = { "x" }, *const out[] = { "y" };
    float x[60] = { 0 };
    net n;
    linnet_model *m = NULL;
    linnet_session *s = NULL;
    linnet_layer *l = NULL;

    EXPECT_STATUS(linnet_model_load(NULL, 0, NULL, &m, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_model_load("no model", 8, NULL, &m, NULL), LINNET_ERR_FORMAT);
    EXPECT_STATUS(linnet_model_open("/nowhere/at/all", NULL, &m, &test_error), LINNET_ERR_IO);
    EXPECT(m == NULL && strstr(test_error.message, "/nowhere/at/all"));
    EXPECT_OK(linnet_model_create(NULL, &m, &test_error));
    EXPECT_STATUS(linnet_layer_add(m, "NoSuchThing", "l", in, 1, out, 1, NULL, &test_error), LINNET_ERR_UNSUPPORTED);
    EXPECT_OK(linnet_layer_add(m, "Conv", "l", (const char *[]){ "x", "w" }, 2, out, 1, &l, &test_error));
    EXPECT_STATUS(linnet_layer_set_int(l, "no_attribute", 1, &test_error), LINNET_ERR_UNSUPPORTED);
    EXPECT_STATUS(linnet_layer_set_float(l, "strides", 1, &test_error), LINNET_ERR_FORMAT);
    EXPECT_STATUS(linnet_layer_add(m, "Relu", "again", in, 1, out, 1, NULL, &test_error), LINNET_ERR_FORMAT);
    EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    EXPECT_STATUS(linnet_model_finish(m, &test_error), LINNET_ERR_FORMAT); /* x comes from nowhere */
    EXPECT_STATUS(linnet_session_create(m, NULL, &s, &test_error), LINNET_ERR_ARGUMENT);
    linnet_model_free(m);

    net_fill(&n);
    m = net_model(&n, NULL);
    EXPECT_STATUS(linnet_model_add_output(m, "c", &test_error), LINNET_ERR_ARGUMENT); /* too late */
    EXPECT_OK(linnet_session_create(m, NULL, &s, &test_error));
    EXPECT_STATUS(linnet_session_set_input(s, 1, LINNET_F32, 4, dims, x, sizeof x, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_session_set_input(s, 0, LINNET_I32, 4, dims, x, sizeof x, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_session_set_input(s, 0, LINNET_F32, 4, dims, x, sizeof x - 4, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_session_set_input(s, 0, LINNET_F32, 4, wrong, x, 48 * 4, &test_error), LINNET_ERR_SHAPE);
    EXPECT_STATUS(linnet_session_set_input(s, 0, LINNET_F32, 9, dims, x, sizeof x, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_session_run(NULL, NULL), LINNET_ERR_ARGUMENT);
    linnet_session_free(s);
    linnet_model_free(m);
    linnet_model_free(NULL);
    linnet_session_free(NULL);
    linnet_tensor_free(NULL);
    linnet_pool_free(NULL);
}

/* An open batch dimension: each new shape plans anew; memory does not grow with the number of changes. */
void test_model_new_shapes(void)
{
    const int64_t dims[] = { -1, 3 };
    const char *const in[] = { "x" }, *const out[] = { "y" };
    test_heap h;
    linnet_options opt;
    linnet_model *m;
    linnet_session *s;
    float x[3 * 8];
    size_t most = 0;

    test_heap_init(&h);
    linnet_options_init(&opt);
    opt.allocator = &h.hooks;
    EXPECT_OK(linnet_model_create(&opt, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 2, dims, &test_error));
    EXPECT_OK(linnet_layer_add(m, "Relu", "relu", in, 1, out, 1, NULL, &test_error));
    EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
    for (int i = 0; i < 2000; i++) {
        const int64_t shape[] = { 1 + i % 8, 3 };
        for (int k = 0; k < 24; k++)
            x[k] = (float)(k - 12);
        linnet_session_set_input(s, 0, LINNET_F32, 2, shape, x, (size_t)shape[0] * 3 * sizeof *x, &test_error);
        if (linnet_session_run(s, &test_error) || linnet_tensor_dim(linnet_session_output(s, 0), 0) != shape[0] ||
            linnet_tensor_get(linnet_session_output(s, 0), 0) != 0)
            test_note(false, __FILE__, __LINE__, "shape %d: %s", (int)shape[0], test_error.message);
        if (i == 16)
            most = h.most_bytes;
    }
    EXPECT(h.most_bytes == most);
    linnet_session_free(s);
    linnet_model_free(m);
    EXPECT(h.blocks == 0);
}

/* Four threads of a pool and one thread give the same bits. */
void test_model_threads_agree(void)
{
    const int64_t x_dims[] = { 1, 16, 40, 40 }, w_dims[] = { 32, 16, 3, 3 };
    const char *const in[] = { "x", "w" }, *const out[] = { "y" };
    linnet_tensor *x = test_random_f32(4, x_dims, -1, 1), *w = test_random_f32(4, w_dims, -1, 1);
    linnet_pool *pool;
    linnet_model *m;
    linnet_session *s[2];
    linnet_options opt;

    EXPECT_OK(linnet_pool_create(4, NULL, &pool, &test_error));
    EXPECT_OK(linnet_model_create(NULL, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 4, x_dims, &test_error));
    EXPECT_OK(linnet_model_add_weight(m, "w", LINNET_F32, 4, w_dims, linnet_tensor_data(w), linnet_tensor_size(w),
                                      &test_error));
    EXPECT_OK(linnet_layer_add(m, "Conv", "conv", in, 2, out, 1, NULL, &test_error));
    EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    linnet_options_init(&opt);
    for (int i = 0; i < 2; i++) {
        opt.pool = i ? pool : NULL;
        EXPECT_OK(linnet_session_create(m, &opt, &s[i], &test_error));
        EXPECT_OK(linnet_session_set_input_tensor(s[i], 0, x, &test_error));
        EXPECT_OK(linnet_session_run(s[i], &test_error));
    }
    for (int i = 0; i < 50; i++) {
        EXPECT_OK(linnet_session_run(s[1], &test_error));
        EXPECT(memcmp(linnet_tensor_data(linnet_session_output(s[0], 0)),
                      linnet_tensor_data(linnet_session_output(s[1], 0)),
                      linnet_tensor_size(linnet_session_output(s[0], 0))) == 0);
    }
    linnet_session_free(s[0]);
    linnet_session_free(s[1]);
    linnet_model_free(m);
    linnet_pool_free(pool);
    linnet_tensor_free(x);
    linnet_tensor_free(w);
}
