/*
 * conv_few.c - conv_few_f32 against double loops: runs, strides, tails of pixels and columns.
 */
#include "check.h"

typedef struct few_case {
    ln_gemm_f32   g;
    size_t        stride, m, ldc;
    const float **rows;
    float        *c, *plain; /* plain: B as it is, [taps * k][n] */
} few_case;

static double want_few(const few_case *q, size_t x, size_t n, double *size)
{
    const ln_gemm_f32 *g = &q->g;
    double sum = g->bias ? (double)g->bias[n] : 0.0;

    *size = fabs(sum);
    for (size_t t = 0; t < g->taps; t++)
        for (size_t p = 0; p < g->k; p++) {
            const double v = (double)q->rows[t][x * q->stride + p] * (double)q->plain[(t * g->k + p) * g->n + n];
            sum += v;
            *size += fabs(v);
        }
    if (g->act.fn == LN_FN_CLIP)
        return isnan(sum) ? sum : fmin(fmax(sum, (double)g->act.a), (double)g->act.b);
    return g->act.fn == LN_FN_LEAKY_RELU && sum < 0.0 ? (double)g->act.a * sum : sum;
}

static few_case make_case(size_t n, size_t m, size_t taps, size_t k, size_t stride, bool far)
{
    static const ln_act list[] = { { LN_FN_NONE, 0, 0 }, { LN_FN_CLIP, 0.0f, 6.0f },
                                   { LN_FN_CLIP, -0.25f, 0.5f }, { LN_FN_LEAKY_RELU, 0.125f, 0 } };
    const size_t nr = check_now.gemm_nr, in = m ? (m - 1) * stride + k : 0;

    check_case("n=%zu m=%zu taps=%zu k=%zu stride=%zu", n, m, taps, k, stride);
    few_case q = { .stride = stride, .m = m, .ldc = far ? (n + 15) / 16 * 16 : n + check_rand(0, 3) };
    float *b = check_buf((n + nr - 1) / nr * nr * k * taps);
    float *bias = check_rand(0, 2) ? check_buf(n) : NULL;
    q.plain = check_buf(n * k * taps);
    check_fill(q.plain, n * k * taps, -1.0f, 1.0f);
    for (size_t j = 0; j < (n + nr - 1) / nr * nr; j++)
        for (size_t p = 0; p < k * taps; p++)
            b[j / nr * k * taps * nr + p * nr + j % nr] = j < n ? q.plain[p * n + j] : 0.0f;
    if (bias)
        check_fill(bias, n, -1.0f, 1.0f);
    q.g = (ln_gemm_f32){ n, k, taps, b, bias, list[check_rand(0, CHECK_COUNT(list) - 1)] };
    q.rows = check_bytes(taps * sizeof *q.rows);
    for (size_t t = 0; t < taps; t++) {
        float *row = check_buf(in);
        check_fill(row, in, -1.0f, 1.0f);
        q.rows[t] = row;
    }
    q.c = check_buf(m ? (m - 1) * q.ldc + n : 0);
    return q;
}

static void one(size_t n, size_t m, size_t taps, size_t k, size_t stride, bool far)
{
    const few_case q = make_case(n, m, taps, k, stride, far);
    double *want = check_want(n), *bound = check_want(n);

    check_now.conv_few_f32(&q.g, stride, m, q.rows, q.c, q.ldc, far);
    for (size_t x = 0; x < m; x++) {
        for (size_t j = 0; j < n; j++) {
            double size;
            want[j]  = want_few(&q, x, j, &size);
            bound[j] = (double)FLT_EPSILON * (0.5 * (double)(taps * k) + 4.0) * size;
        }
        check_bound(q.c + x * q.ldc, want, bound, n);
        if (x + 1 < m)
            check_untouched(q.c + x * q.ldc + n, q.ldc - n);
    }
}

static void run_row(void *arg)
{
    const few_case *q = arg;

    check_now.conv_few_f32(&q->g, q->stride, q->m, q->rows, q->c, q->ldc, false);
}

static void bench(const char *label, size_t n, size_t m, size_t taps, size_t k, size_t stride)
{
    few_case q = make_case(n, m, taps, k, stride, false);

    q.g.act = (ln_act){ LN_FN_CLIP, 0.0f, 6.0f };
    check_bench(label, 2.0 * (double)(n * m * taps * k), "GFLOP/s", run_row, &q);
}

void check_conv_few(void)
{
    if (!check_begin("conv_few_f32", CHECK_ENTRY(conv_few_f32)))
        return;
    if (check_benching()) {
        bench("3x3/2 3->32 @112", 32, 112, 9, 3, 2);
        bench("3x3/2 3->64 @111", 64, 111, 9, 3, 2);
        bench("7x7/2 3->64 @112", 64, 112, 21, 7, 2);
        bench("3x3 1->32 @26", 32, 26, 3, 3, 1);
        bench("3x3 3->16 @416", 16, 416, 9, 3, 1);
        bench("3x3/2 3->32 @112 interleaved", 32, 112, 3, 9, 6);
        return;
    }
    for (size_t m = 0; m <= 2 * check_now.gemm_mr + 1; m++)
        for (size_t stride = 1; stride <= 4; stride++)
            one(check_rand(1, 3 * check_now.gemm_nr), m, check_rand(1, 4), check_rand(1, 5), stride, stride % 2 == 0);
    for (size_t n = 1; n <= 2 * check_now.gemm_nr + 1; n++)
        one(n, check_rand(1, 40), check_rand(0, 9), check_rand(1, 7), check_rand(1, 9), n % 2 == 0);
    for (size_t m = 1; m <= 4 * check_now.gemm_mr; m += 3)
        one(check_rand(1, 3) * check_now.gemm_nr, m, 3, 3, 1, true);
    one(check_now.gemm_nr, check_now.gemm_mr, 1, 0, 1, false);
}
