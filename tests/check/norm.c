/*
 * norm.c - layer_norm, rms_norm and scale_shift, with and without their optional arrays.
 */
#include "check.h"

static const size_t norm_width[] = { 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 768, 1000, 5003 };

/* y = (x - mean) / sqrt(var + eps): errors of a few 2^-24 of the largest |y|, and of the terms. */
static void norm_layer_case(size_t n, float centre, bool has_scale, bool has_bias)
{
    check_case("n=%zu centre=%g scale=%d bias=%d", n, (double)centre, has_scale, has_bias);
    float *x = check_buf(n), *y = check_buf(n), *stat = check_buf(1), *stat2 = check_buf(1);
    float *scale = has_scale ? check_buf(n) : NULL, *bias = has_bias ? check_buf(n) : NULL;
    double *want = check_want(n), *bound = check_want(n), mean = 0.0, var = 0.0;
    const double eps = (double)1e-5f;

    check_fill(x, n, centre - 2.0f, centre + 2.0f);
    if (scale)
        check_fill(scale, n, -2.0f, 2.0f);
    if (bias)
        check_fill(bias, n, -2.0f, 2.0f);
    for (size_t i = 0; i < n; i++)
        mean += (double)x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        var += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
    const double inv = 1.0 / sqrt(var + eps);
    for (size_t i = 0; i < n; i++) {
        const double v = ((double)x[i] - mean) * inv, s = scale ? (double)scale[i] : 1.0;

        want[i]  = v * s + (bias ? (double)bias[i] : 0.0);
        bound[i] = 16.0 * 0x1p-24 * (fabs(v * s) + fabs(s) + fabs(want[i]));
    }
    check_now.layer_norm_f32(1, n, x, scale, bias, 1e-5f, y, stat, stat2);
    check_bound(y, want, bound, n);
    *bound = 4.0 * 0x1p-24 * (fabs(mean) + 1.0);
    check_bound(stat, &mean, bound, 1);
    *bound = 16.0 * 0x1p-24 * inv;
    check_bound(stat2, &inv, bound, 1);
    check_now.layer_norm_f32(1, n, x, scale, bias, 1e-5f, x, NULL, NULL);
    check_same(x, y, n * sizeof *y);
}

/* Rows at once: the bits of each alone. */
static void norm_layer_rows(size_t rows, size_t n)
{
    check_case("rows=%zu n=%zu", rows, n);
    float *x = check_buf(rows * n), *y = check_buf(rows * n), *stat = check_buf(rows), *stat2 = check_buf(rows);
    float *scale = check_buf(n), *bias = check_buf(n), *row = check_buf(n), *one = check_buf(1), *one2 = check_buf(1);

    check_fill(x, rows * n, -2.0f, 4.0f);
    check_fill(scale, n, -2.0f, 2.0f);
    check_fill(bias, n, -2.0f, 2.0f);
    check_now.layer_norm_f32(rows, n, x, scale, bias, 1e-5f, y, stat, stat2);
    for (size_t r = 0; r < rows; r++) {
        check_now.layer_norm_f32(1, n, x + r * n, scale, bias, 1e-5f, row, one, one2);
        check_same(y + r * n, row, n * sizeof *y);
        check_same(stat + r, one, sizeof *one);
        check_same(stat2 + r, one2, sizeof *one2);
    }
}

static void norm_layer(void)
{
    for (size_t rows = 0; rows < 20; rows++) {
        norm_layer_rows(rows, 1 + rows * 3);
        norm_layer_rows(rows, 384);
        norm_layer_rows(rows, 1500);
    }
    for (size_t w = 0; w < CHECK_COUNT(norm_width); w++)
        for (int k = 0; k < 4; k++) {
            norm_layer_case(norm_width[w], 0.0f, k & 1, k & 2);
            norm_layer_case(norm_width[w], 100.0f, k & 1, k & 2);
            norm_layer_case(norm_width[w], -30000.0f, k & 1, k & 2);
        }
    const size_t n = check_size(33);
    float *x = check_buf(n), *y = check_buf(n);
    check_fill(x, n, -1.0f, 1.0f);
    x[check_rand(0, n - 1)] = NAN;
    check_now.layer_norm_f32(1, n, x, NULL, NULL, 1e-5f, y, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        check_ok(isnan(y[i]), "a NaN does not reach the whole row");
}

static void norm_rms(void)
{
    for (size_t w = 0; w < 2 * CHECK_COUNT(norm_width); w++) {
        const size_t n = check_size(norm_width[w / 2]);
        float *x = check_buf(n), *y = check_buf(n), *scale = w % 2 ? check_buf(n) : NULL;
        double *want = check_want(n), mean = 0.0;

        check_fill(x, n, -3.0f, 2.0f);
        if (scale)
            check_fill(scale, n, -2.0f, 2.0f);
        for (size_t i = 0; i < n; i++)
            mean += (double)x[i] * (double)x[i] / (double)n;
        for (size_t i = 0; i < n; i++)
            want[i] = (double)x[i] / sqrt(mean + 1e-6) * (scale ? (double)scale[i] : 1.0);
        check_now.rms_norm_f32(n, x, scale, 1e-6f, y);
        check_near(y, want, n, 8.0);
        check_now.rms_norm_f32(n, x, scale, 1e-6f, x);
        check_same(x, y, n * sizeof *y);
    }
}

static double norm_act(ln_act act, double x)
{
    if (act.fn == LN_FN_CLIP)
        return isnan(x) ? x : fmin(fmax(x, (double)act.a), (double)act.b);
    if (act.fn == LN_FN_LEAKY_RELU)
        return x < 0.0 ? (double)act.a * x : x;
    return act.fn == LN_FN_SIGMOID ? 1.0 / (1.0 + exp(-x)) : x;
}

static void norm_scale_case(size_t rows, size_t c, ln_act act)
{
    check_case("rows=%zu c=%zu act=%d", rows, c, act.fn);
    const size_t n = rows * c;
    float *x = check_buf(n), *y = check_buf(n), *scale = check_buf(c), *shift = check_buf(c);
    double *want = check_want(n), *bound = check_want(n);

    check_fill(x, n, -4.0f, 4.0f);
    check_fill(scale, c, -2.0f, 2.0f);
    check_fill(shift, c, -2.0f, 2.0f);
    if (n)
        x[check_rand(0, n - 1)] = NAN;
    for (size_t i = 0; i < n; i++) {
        want[i]  = norm_act(act, (double)x[i] * (double)scale[i % c] + (double)shift[i % c]);
        bound[i] = 16.0 * 0x1p-24 * 10.0;
    }
    check_now.scale_shift_f32(rows, c, x, scale, shift, act, y);
    check_bound(y, want, bound, n);
    check_now.scale_shift_f32(rows, c, x, scale, shift, act, x);
    for (size_t i = 0; i < n; i++)
        check_ok(isnan(y[i]) || memcmp(x + i, y + i, sizeof *x) == 0, "not the same in place");
}

static void norm_scale(void)
{
    static const ln_act act[] = { { LN_FN_NONE, 0, 0 }, { LN_FN_CLIP, 0.0f, INFINITY },
                                  { LN_FN_CLIP, -1.0f, 1.0f }, { LN_FN_LEAKY_RELU, 0.1f, 0 },
                                  { LN_FN_SIGMOID, 0, 0 } };
    static const size_t c[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15, 16, 17, 24, 31, 33, 64, 65, 100 };
    static const size_t rows[] = { 0, 1, 2, 3, 7, 16, 50 };

    for (size_t a = 0; a < CHECK_COUNT(act); a++)
        for (size_t w = 0; w < CHECK_COUNT(c); w++)
            for (size_t r = 0; r < CHECK_COUNT(rows); r++)
                norm_scale_case(rows[r], c[w], act[a]);
}

typedef struct norm_time { size_t rows, n; float *x, *y, *scale, *bias; } norm_time;

static void norm_call_layer(void *arg)
{
    norm_time *t = arg;
    check_now.layer_norm_f32(t->rows, t->n, t->x, t->scale, t->bias, 1e-5f, t->y, NULL, NULL);
}
static void norm_call_rms(void *arg)
{
    norm_time *t = arg;
    check_now.rms_norm_f32(t->n, t->x, t->scale, 1e-5f, t->y);
}
static void norm_call_scale(void *arg)
{
    norm_time *t = arg;
    const ln_act relu = { LN_FN_CLIP, 0.0f, INFINITY };
    check_now.scale_shift_f32(t->rows, t->n, t->x, t->scale, t->bias, relu, t->y);
}

static void norm_bench(size_t rows, size_t n, void (*call)(void *))
{
    norm_time t = { rows, n, NULL, NULL, NULL, NULL };
    char label[48];

    if (!check_benching())
        return;
    snprintf(label, sizeof label, "%zux%zu", rows, n);
    check_case("%s", label);
    t.x = check_buf(rows * n + 16); /* a masked access of the guard page would cost 100 ns */
    t.y = check_buf(rows * n + 16);
    t.scale = check_buf(n + 16);
    t.bias = check_buf(n + 16);
    check_fill(t.x, rows * n, -1.0f, 1.0f);
    check_fill(t.scale, n, -1.0f, 1.0f);
    check_fill(t.bias, n, -1.0f, 1.0f);
    check_bench(label, 8.0 * (double)(rows * n), "GB/s", call, &t);
}

void check_norm(void)
{
    if (check_begin("layer_norm_f32", CHECK_ENTRY(layer_norm_f32))) {
        norm_layer();
        norm_bench(1, 768, norm_call_layer);
        norm_bench(8, 384, norm_call_layer);
    }
    if (check_begin("rms_norm_f32", CHECK_ENTRY(rms_norm_f32))) {
        norm_rms();
        norm_bench(1, 768, norm_call_rms);
    }
    if (check_begin("scale_shift_f32", CHECK_ENTRY(scale_shift_f32))) {
        norm_scale();
        norm_bench(4096, 1, norm_call_scale);
        norm_bench(4096, 3, norm_call_scale);
        norm_bench(512, 24, norm_call_scale);
        norm_bench(64, 256, norm_call_scale);
    }
}
