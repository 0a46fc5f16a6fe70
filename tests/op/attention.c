/*
 * attention.c - Attention over lengths of several blocks of keys: causal order, windows, masks, grouped heads, against
 * double loops; the same bits on two threads.
 */
#include "test.h"

#include <math.h>

typedef struct attend {
    int64_t heads, kv_heads, tokens, keys, size, v_size;
    int64_t causal, left; /* left: -1, or keys that a query sees before its own */
    int     mask;         /* 0 none, 1 f32, 2 bool */
    linnet_tensor *q, *k, *v, *m;
} attend;

static linnet_status attend_set(linnet_layer *l, void *user)
{
    const attend *t = user;
    const linnet_status st = linnet_layer_set_int(l, "is_causal", t->causal, &test_error);

    return st ? st : linnet_layer_set_int(l, "left_window_size", t->left, &test_error);
}

/* What the mask adds to score i, j: a number, or -infinity. */
static double attend_mask(const attend *t, int64_t i, int64_t j)
{
    double m = (t->causal && j > i) || (t->left >= 0 && j < i - t->left) ? -INFINITY : 0.0;

    if (t->mask == 1)
        m += (double)((const float *)linnet_tensor_data(t->m))[i * t->keys + j];
    else if (t->mask && !((const uint8_t *)linnet_tensor_data(t->m))[i * t->keys + j])
        m = -INFINITY;
    return m;
}

/* One query: weights over all keys, then its output. */
static void attend_want(const attend *t, int64_t h, int64_t i, double *weight, double *want)
{
    const int64_t group = h / (t->heads / t->kv_heads);
    const float *q = (const float *)linnet_tensor_data(t->q) + (h * t->tokens + i) * t->size;
    const float *k = (const float *)linnet_tensor_data(t->k) + group * t->keys * t->size;
    const float *v = (const float *)linnet_tensor_data(t->v) + group * t->keys * t->v_size;
    double top = -INFINITY, sum = 0;

    for (int64_t j = 0; j < t->keys; j++) {
        double dot = 0;
        for (int64_t p = 0; p < t->size; p++)
            dot += (double)q[p] * (double)k[j * t->size + p];
        weight[j] = dot / sqrt((double)t->size) + attend_mask(t, i, j);
        top = fmax(top, weight[j]);
    }
    for (int64_t j = 0; j < t->keys; j++)
        sum += weight[j] = isinf(top) ? 0.0 : exp(weight[j] - top);
    for (int64_t p = 0; p < t->v_size; p++) {
        want[p] = 0;
        for (int64_t j = 0; j < t->keys; j++)
            want[p] += sum > 0.0 ? weight[j] / sum * (double)v[j * t->v_size + p] : 0.0;
    }
}

static void attend_compare(const attend *t, const float *y)
{
    double weight[700], want[130], most = 0;

    for (int64_t h = 0; h < t->heads; h++)
        for (int64_t i = 0; i < t->tokens; i++) {
            attend_want(t, h, i, weight, want);
            for (int64_t p = 0; p < t->v_size; p++)
                most = fmax(most, fabs(want[p] - (double)y[(h * t->tokens + i) * t->v_size + p]));
        }
    test_note(most < 2e-6, __FILE__, __LINE__, "%lld/%lld heads, %lld x %lld, %lld, %lld, causal %d left %d mask %d: %.3g",
              (long long)t->heads, (long long)t->kv_heads, (long long)t->tokens, (long long)t->keys, (long long)t->size,
              (long long)t->v_size, (int)t->causal, (int)t->left, t->mask, most);
}

/* A mask hides every third key, and all keys of row 1. */
static void attend_fill(attend *t)
{
    const int64_t q[] = { 1, t->heads, t->tokens, t->size }, k[] = { 1, t->kv_heads, t->keys, t->size };
    const int64_t v[] = { 1, t->kv_heads, t->keys, t->v_size }, m[] = { t->tokens, t->keys };

    t->q = test_random_f32(4, q, -1, 1);
    t->k = test_random_f32(4, k, -1, 1);
    t->v = test_random_f32(4, v, -1, 1);
    t->m = t->mask == 2 ? test_tensor(LINNET_BOOL, 2, m) : test_random_f32(2, m, -1, 1);
    for (int64_t i = 0; i < t->tokens * t->keys; i++) {
        const bool hidden = i / t->keys == 1 || test_int(0, 2) == 0;
        if (t->mask == 2)
            ((uint8_t *)linnet_tensor_data(t->m))[i] = !hidden;
        else if (hidden)
            ((float *)linnet_tensor_data(t->m))[i] = -INFINITY;
    }
}

static void attend_check(attend *t)
{
    linnet_pool *pool = NULL;
    linnet_options opt;
    test_op op = { .op = "Attention", .in_count = t->mask ? 4 : 3, .out_count = 1, .set = attend_set, .user = t };
    test_op two;

    attend_fill(t);
    op.in[0] = t->q;
    op.in[1] = t->k;
    op.in[2] = t->v;
    op.in[3] = t->m;
    two = op;
    linnet_options_init(&opt);
    EXPECT_OK(linnet_pool_create(2, NULL, &pool, &test_error));
    opt.pool = pool;
    two.opt = &opt;
    EXPECT_OK(test_op_run(&op));
    EXPECT_OK(test_op_run(&two));
    if (op.out[0] && two.out[0]) {
        attend_compare(t, linnet_tensor_data(op.out[0]));
        EXPECT(memcmp(linnet_tensor_data(op.out[0]), linnet_tensor_data(two.out[0]), linnet_tensor_size(op.out[0])) == 0);
    }
    test_op_free(&op);
    test_op_free(&two);
    linnet_tensor_free(t->q);
    linnet_tensor_free(t->k);
    linnet_tensor_free(t->v);
    linnet_tensor_free(t->m);
    linnet_pool_free(pool);
}

void test_attention_long(void)
{
    static const int64_t tokens[] = { 1, 3, 5, 40, 129, 300 }, keys[] = { 600, 257, 40, 129, 300 }, size[] = { 8, 32, 40, 64 };

    for (int i = 0; i < 60; i++) {
        attend t = { .kv_heads = 1 + i % 2, .tokens = tokens[i % 6], .keys = keys[i % 5], .size = size[i % 4],
                     .v_size = size[i / 2 % 4] + (i % 7 == 0), .left = i % 11 == 3 ? 70 : -1, .causal = i % 3 == 1,
                     .mask = i / 3 % 4 % 3 };
        t.heads = t.kv_heads * (1 + i % 5 % 2);
        attend_check(&t);
    }
}
