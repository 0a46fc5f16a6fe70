/*
 * matmul.c - MatMul with constant weights at sizes where seven products stand for eight: with
 * bias, residual and activation, against double loops; the same bits for any number of threads.
 */
#include "test.h"

#include <math.h>

typedef struct net {
    int64_t m, k, n, batch;
    int     act;      /* 0 none, 1 Relu, 2 Tanh */
    bool    residual;
    linnet_tensor *x, *w, *b, *r;
    linnet_model  *model;
} net;

static void net_build(net *t)
{
    static const char *const act[] = { NULL, "Relu", "Tanh" };
    const char *const mm[] = { "x", "w" }, *const bias[] = { "p", "b" }, *const more[] = { "q", "r" };
    const char *const in[] = { t->residual ? "s" : "q" };
    const char *const p[] = { "p" }, *const q[] = { "q" }, *const s[] = { "s" }, *const y[] = { "y" };
    const int64_t x_dims[] = { t->batch, t->m, t->k }, w_dims[] = { t->k, t->n }, r_dims[] = { t->batch, t->m, t->n };

    t->x = test_random_f32(3, x_dims, -1, 1);
    t->w = test_random_f32(2, w_dims, -1, 1);
    t->b = test_random_f32(1, &t->n, -1, 1);
    t->r = test_random_f32(3, r_dims, -1, 1);
    EXPECT_OK(linnet_model_create(NULL, &t->model, &test_error));
    EXPECT_OK(linnet_model_add_input(t->model, "x", LINNET_F32, 3, x_dims, &test_error));
    if (t->residual)
        EXPECT_OK(linnet_model_add_input(t->model, "r", LINNET_F32, 3, r_dims, &test_error));
    EXPECT_OK(linnet_model_add_weight(t->model, "w", LINNET_F32, 2, w_dims, linnet_tensor_data(t->w),
                                      linnet_tensor_size(t->w), &test_error));
    EXPECT_OK(linnet_model_add_weight(t->model, "b", LINNET_F32, 1, &t->n, linnet_tensor_data(t->b),
                                      linnet_tensor_size(t->b), &test_error));
    EXPECT_OK(linnet_layer_add(t->model, "MatMul", "p", mm, 2, p, 1, NULL, &test_error));
    EXPECT_OK(linnet_layer_add(t->model, "Add", "q", bias, 2, q, 1, NULL, &test_error));
    if (t->residual)
        EXPECT_OK(linnet_layer_add(t->model, "Add", "s", more, 2, s, 1, NULL, &test_error));
    if (t->act)
        EXPECT_OK(linnet_layer_add(t->model, act[t->act], "y", in, 1, y, 1, NULL, &test_error));
    EXPECT_OK(linnet_model_add_output(t->model, t->act ? "y" : in[0], &test_error));
    EXPECT_OK(linnet_model_finish(t->model, &test_error));
}

/* The largest error, and the largest sum before the activation. */
static void net_error(const net *t, const float *y, double *error, double *most)
{
    const float *x = linnet_tensor_data(t->x), *w = linnet_tensor_data(t->w), *b = linnet_tensor_data(t->b);
    const float *r = linnet_tensor_data(t->r);

    *error = *most = 0;
    for (int64_t i = 0; i < t->batch * t->m; i++)
        for (int64_t j = 0; j < t->n; j++) {
            double v = (double)b[j] + (t->residual ? (double)r[i * t->n + j] : 0.0);
            for (int64_t p = 0; p < t->k; p++)
                v += (double)x[i * t->k + p] * (double)w[p * t->n + j];
            *most = fmax(*most, fabs(v));
            v = t->act == 1 ? fmax(v, 0.0) : t->act == 2 ? tanh(v) : v;
            *error = fmax(*error, fabs((double)y[i * t->n + j] - v));
        }
}

static void net_check(net *t)
{
    linnet_pool *pool = NULL;
    linnet_options opt;
    linnet_session *s[3];
    double error, most;

    net_build(t);
    EXPECT_OK(linnet_pool_create(2, NULL, &pool, &test_error));
    for (int i = 0; i < 3; i++) { /* one thread, two, and exact */
        linnet_options_init(&opt);
        opt.pool = i == 1 ? pool : NULL;
        opt.precision = i == 2 ? LINNET_PRECISION_EXACT : opt.precision;
        EXPECT_OK(linnet_session_create(t->model, &opt, &s[i], &test_error));
        EXPECT_OK(linnet_session_set_input_tensor(s[i], 0, t->x, &test_error));
        if (t->residual)
            EXPECT_OK(linnet_session_set_input_tensor(s[i], 1, t->r, &test_error));
        EXPECT_OK(linnet_session_run(s[i], &test_error));
        net_error(t, linnet_tensor_data(linnet_session_output(s[i], 0)), &error, &most);
        test_note(error <= 5e-6 * most, __FILE__, __LINE__, "%lld x %lld x %lld: error %.3g of %.3g", (long long)t->m,
                  (long long)t->k, (long long)t->n, error, most);
    }
    EXPECT(memcmp(linnet_tensor_data(linnet_session_output(s[0], 0)), linnet_tensor_data(linnet_session_output(s[1], 0)),
                  linnet_tensor_size(linnet_session_output(s[0], 0))) == 0);
    for (int i = 0; i < 3; i++)
        linnet_session_free(s[i]);
    linnet_pool_free(pool);
    linnet_model_free(t->model);
    linnet_tensor_free(t->x);
    linnet_tensor_free(t->w);
    linnet_tensor_free(t->b);
    linnet_tensor_free(t->r);
}

void test_matmul_seven(void)
{
    static const int64_t m[] = { 46, 48, 49, 64, 131, 134, 197 }, k[] = { 128, 130, 256, 2048 };
    static const int64_t n[] = { 128, 200, 320, 640 };

    for (int i = 0; i < 28; i++) {
        net t = { .m = m[i % 7], .k = k[i % 5 % 4], .n = n[i * 5 % 9 % 4], .batch = 1 + i % 2, .act = i / 2 % 3,
                  .residual = i / 3 % 2 };
        net_check(&t);
    }
}
