/*
 * conv_pool.c - convolutions with a MaxPool behind them: the graph as it is, where MaxPool is a layer of its
 * own, is the oracle.
 */
#include "test.h"

#include <math.h>

typedef struct pool_case {
    int64_t     n, c, h, w, m, kernel, stride, group;   /* of the convolution, padded by kernel / 2 */
    int64_t     size, step, dilation, pad, ceil;        /* of the pooling */
    const char *same, *act;                             /* auto_pad of the pooling, NULL: pads; activation, NULL: none */
    bool        shared;                                 /* the convolution's output is an output of the model too */
    bool        nan;                                    /* some of the input */
    bool        joined;                                 /* two of them, and a Concat of the results */
} pool_case;

static void pool_conv(linnet_model *m, const pool_case *k, const char *y, const char *z)
{
    const int64_t dims[] = { k->m, k->c / k->group, k->kernel, k->kernel }, pad = k->kernel / 2;
    linnet_tensor *weight = test_random_f32(4, dims, -1, 1), *bias = test_random_f32(1, dims, -1, 1);
    char w[8], b[8];
    linnet_layer *l;

    snprintf(w, sizeof w, "w%s", y);
    snprintf(b, sizeof b, "b%s", y);
    EXPECT_OK(linnet_model_add_weight(m, w, LINNET_F32, 4, dims, linnet_tensor_data(weight),
                                      linnet_tensor_count(weight) * sizeof(float), &test_error));
    EXPECT_OK(linnet_model_add_weight(m, b, LINNET_F32, 1, dims, linnet_tensor_data(bias),
                                      (size_t)k->m * sizeof(float), &test_error));
    EXPECT_OK(linnet_layer_add(m, "Conv", k->act ? "c" : y, (const char *const[]){ "x", w, b }, 3,
                               (const char *const[]){ k->act ? "c" : y }, 1, &l, &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "pads", (const int64_t[]){ pad, pad, pad, pad }, 4, &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "strides", (const int64_t[]){ k->stride, k->stride }, 2, &test_error));
    EXPECT_OK(linnet_layer_set_int(l, "group", k->group, &test_error));
    if (k->act)
        EXPECT_OK(linnet_layer_add(m, k->act, y, (const char *const[]){ "c" }, 1, (const char *const[]){ y }, 1, NULL,
                                   &test_error));
    EXPECT_OK(linnet_layer_add(m, "MaxPool", z, (const char *const[]){ y }, 1, (const char *const[]){ z }, 1, &l,
                               &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "kernel_shape", (const int64_t[]){ k->size, k->size }, 2, &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "strides", (const int64_t[]){ k->step, k->step }, 2, &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "dilations", (const int64_t[]){ k->dilation, k->dilation }, 2, &test_error));
    EXPECT_OK(linnet_layer_set_int(l, "ceil_mode", k->ceil, &test_error));
    if (k->same)
        EXPECT_OK(linnet_layer_set_string(l, "auto_pad", k->same, &test_error));
    else
        EXPECT_OK(linnet_layer_set_ints(l, "pads", (const int64_t[]){ k->pad, k->pad, k->pad, k->pad }, 4, &test_error));
    linnet_tensor_free(weight);
    linnet_tensor_free(bias);
}

static linnet_model *pool_model(const pool_case *k)
{
    const int64_t dims[] = { k->n, k->c, k->h, k->w };
    linnet_model *m = NULL;
    linnet_layer *l;

    EXPECT_OK(linnet_model_create(NULL, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 4, dims, &test_error));
    pool_conv(m, k, "y", "z");
    if (k->joined) {
        pool_conv(m, &(pool_case){ k->n, k->c, k->h, k->w, 20, 1, k->stride, 1, k->size, k->step, k->dilation, k->pad,
                                   k->ceil, k->same, NULL, false, false, false }, "y2", "z2");
        EXPECT_OK(linnet_layer_add(m, "Concat", "joined", (const char *const[]){ "z2", "z" }, 2,
                                   (const char *const[]){ "joined" }, 1, &l, &test_error));
        EXPECT_OK(linnet_layer_set_int(l, "axis", 1, &test_error));
    }
    EXPECT_OK(linnet_model_add_output(m, k->joined ? "joined" : "z", &test_error));
    if (k->shared)
        EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    return m;
}

static linnet_session *pool_run(linnet_model *m, const linnet_tensor *x, uint32_t passes, linnet_pool *pool, bool exact)
{
    linnet_options o;
    linnet_session *s = NULL;

    linnet_options_init(&o);
    o.passes = passes;
    o.pool = pool;
    if (exact)
        o.precision = LINNET_PRECISION_EXACT;
    EXPECT_OK(linnet_session_create(m, &o, &s, &test_error));
    EXPECT_OK(linnet_session_set_input_tensor(s, 0, x, &test_error));
    EXPECT_OK(linnet_session_run(s, &test_error));
    EXPECT_OK(linnet_session_run(s, &test_error));
    return s;
}

static void pool_check(const pool_case *k, linnet_pool *pool)
{
    const int64_t dims[] = { k->n, k->c, k->h, k->w };
    linnet_tensor *x = test_random_f32(4, dims, -1, 1);
    linnet_model *m = pool_model(k);

    for (size_t i = 0; k->nan && i < linnet_tensor_count(x); i += 97)
        ((float *)linnet_tensor_data(x))[i] = NAN;
    linnet_session *plain = pool_run(m, x, 0, NULL, k->nan), *one = pool_run(m, x, ~0u, NULL, k->nan);
    linnet_session *two = pool_run(m, x, ~0u, pool, k->nan);
    const linnet_tensor *want = linnet_session_output(plain, 0), *got = linnet_session_output(one, 0);
    const size_t count = linnet_tensor_count(want);
    double worst = 0;
    bool nans = true;

    EXPECT(test_steps(one, "MaxPool") == (k->shared ? 1 : 0));
    EXPECT(test_steps(one, "Concat") == 0);
    EXPECT(linnet_tensor_count(got) == count);
    for (size_t i = 0; i < count; i++) {
        const double a = linnet_tensor_get(got, i), b = linnet_tensor_get(want, i);
        nans = nans && isnan(a) == isnan(b);
        worst = isnan(a) || a == b ? worst : fmax(worst, fabs(a - b));
    }
    EXPECT(nans);
    EXPECT(worst < 2e-4);
    EXPECT(memcmp(linnet_tensor_data(got), linnet_tensor_data(linnet_session_output(two, 0)),
                  count * sizeof(float)) == 0);
    linnet_session_free(plain);
    linnet_session_free(one);
    linnet_session_free(two);
    linnet_model_free(m);
    linnet_tensor_free(x);
}

void test_conv_pool(void)
{
    static const pool_case cases[] = {
        /* few channels: windows that share rows, padded ones, all of the picture, several images */
        { 1, 3, 32, 32, 16, 3, 1, 1, 2, 2, 1, 0, 0, NULL, "Relu", false, false, false },
        { 2, 3, 37, 53, 64, 7, 2, 1, 3, 2, 1, 1, 0, NULL, "Relu", false, true, false },
        { 1, 1, 28, 28, 32, 3, 1, 1, 2, 2, 1, 0, 0, NULL, "LeakyRelu", false, true, false },
        { 1, 3, 40, 30, 20, 3, 1, 1, 3, 2, 1, 0, 1, NULL, "Sigmoid", false, false, false },
        { 2, 4, 20, 20, 7, 5, 1, 1, 5, 1, 1, 2, 0, NULL, NULL, false, true, false },
        { 1, 2, 20, 20, 8, 3, 1, 1, 2, 3, 1, 0, 0, NULL, "Tanh", false, false, false },
        { 1, 3, 20, 20, 8, 3, 1, 1, 3, 1, 2, 1, 0, NULL, "Relu", false, false, false },
        { 3, 3, 16, 16, 8, 3, 1, 1, 16, 16, 1, 0, 0, NULL, NULL, false, false, false },
        /* Winograd, with tiles of four and of three */
        { 1, 16, 56, 56, 32, 3, 1, 1, 2, 2, 1, 0, 0, NULL, "Relu", false, false, false },
        { 2, 32, 24, 40, 40, 3, 1, 1, 2, 2, 1, 0, 0, NULL, "LeakyRelu", false, false, false },
        { 1, 32, 13, 11, 64, 3, 1, 1, 2, 2, 1, 0, 0, NULL, "Relu", false, false, false },
        { 1, 32, 13, 13, 24, 3, 1, 1, 2, 1, 1, 0, 0, "SAME_UPPER", "LeakyRelu", false, false, false },
        { 1, 32, 16, 16, 24, 3, 1, 1, 2, 2, 1, 0, 0, NULL, "Mish", false, false, false },
        { 1, 32, 16, 16, 24, 3, 1, 1, 2, 2, 1, 0, 0, NULL, NULL, false, false, false },
        /* direct, pointwise, depthwise, grouped */
        { 1, 24, 15, 17, 48, 5, 1, 1, 2, 2, 1, 0, 1, NULL, "Relu", false, true, false },
        { 2, 64, 15, 15, 96, 1, 1, 1, 3, 2, 1, 1, 0, NULL, "Relu", false, true, false },
        { 1, 40, 15, 15, 40, 3, 1, 40, 2, 2, 1, 0, 0, NULL, "Relu", false, true, false },
        { 1, 32, 15, 15, 64, 3, 2, 4, 3, 3, 1, 1, 0, NULL, NULL, false, true, false },
        /* written into a concatenation */
        { 1, 3, 32, 32, 16, 3, 1, 1, 2, 2, 1, 0, 0, NULL, "Relu", false, false, true },
        { 2, 32, 24, 24, 40, 3, 1, 1, 2, 2, 1, 0, 0, NULL, "LeakyRelu", false, false, true },
        { 1, 32, 15, 15, 40, 5, 1, 1, 3, 2, 1, 1, 0, NULL, "Relu", false, false, true },
        /* somebody else wants it */
        { 1, 3, 32, 32, 16, 3, 1, 1, 2, 2, 1, 0, 0, NULL, "Relu", true, false, false },
    };
    linnet_pool *pool = NULL;

    EXPECT_OK(linnet_pool_create(2, NULL, &pool, &test_error));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        pool_check(&cases[i], pool);
    for (int i = 0; i < 30; i++) {
        const int64_t c = i % 2 ? test_int(1, 4) : 16, size = test_int(1, 4);
        const pool_case k = {
            test_int(1, 3), c, test_int(14, 40), test_int(14, 40), test_int(1, 40), 2 * test_int(0, 2) + 1, test_int(1, 2), 1,
            size, test_int(1, 4), 1, test_int(0, size - 1), test_int(0, 1), NULL, i % 3 ? "Relu" : NULL, false, i % 5 == 0, false,
        };
        pool_check(&k, pool);
    }
    linnet_pool_free(pool);
}
