/*
 * gemv.c - gemv_f32 against double loops, and its pieces against the whole.
 */
#include "check.h"

typedef struct gemv_case {
    ln_gemm_f32 g;
    float      *x, *y, *add;
} gemv_case;

static gemv_case make_case(size_t n, size_t k, bool bias, bool add, ln_act act)
{
    const size_t nr = check_now.gemm_nr, floats = (n + nr - 1) / nr * nr * k;

    check_case("n=%zu k=%zu bias=%d add=%d act=%d", n, k, bias, add, (int)act.fn);
    float *b = check_buf(floats), *bias_at = bias ? check_buf(n) : NULL;
    gemv_case q = { { n, k, 1, b, bias_at, act }, check_buf(k), check_buf(n), NULL };
    check_fill(b, floats, -1.0f, 1.0f); /* columns past n hold anything: they must not matter */
    check_fill(q.x, k, -1.0f, 1.0f);
    if (bias)
        check_fill(bias_at, n, -1.0f, 1.0f);
    if (add) {
        q.add = check_buf(n);
        check_fill(q.add, n, -1.0f, 1.0f);
    }
    return q;
}

static double clip(ln_act act, double v)
{
    if (act.fn == LN_FN_CLIP)
        return isnan(v) ? v : fmin(fmax(v, (double)act.a), (double)act.b);
    if (act.fn == LN_FN_LEAKY_RELU)
        return v < 0.0 ? (double)act.a * v : v;
    return v;
}

static void want_gemv(const gemv_case *q, double *want, double *bound)
{
    const size_t nr = check_now.gemm_nr;

    for (size_t j = 0; j < q->g.n; j++) {
        double sum = q->g.bias ? (double)q->g.bias[j] : 0.0, size = fabs(sum);
        for (size_t p = 0; p < q->g.k; p++) {
            const double v = (double)q->x[p] * (double)q->g.b[(j / nr * q->g.k + p) * nr + j % nr];
            sum += v;
            size += fabs(v);
        }
        if (q->add) {
            sum += (double)q->add[j];
            size += fabs((double)q->add[j]);
        }
        want[j]  = clip(q->g.act, sum);
        bound[j] = (double)FLT_EPSILON * (0.5 * (double)q->g.k + 4.0) * size;
    }
}

static void one(size_t n, size_t k)
{
    static const ln_act list[] = { { LN_FN_NONE, 0, 0 }, { LN_FN_CLIP, -0.5f, 0.75f },
                                   { LN_FN_LEAKY_RELU, 0.125f, 0 } };
    const ln_act act = list[check_rand(0, CHECK_COUNT(list) - 1)];
    const gemv_case q = make_case(n, k, check_rand(0, 2) > 0, check_rand(0, 1) > 0, act);
    double *want = check_want(n), *bound = check_want(n);
    float *again = check_buf(n);
    const size_t cut = check_rand(0, n / check_now.gemm_nr) * check_now.gemm_nr;

    want_gemv(&q, want, bound);
    check_now.gemv_f32(&q.g, q.x, q.y, q.add, 0, n);
    check_bound(q.y, want, bound, n);
    if (q.add)
        memcpy(again, q.add, n * sizeof *again);
    check_now.gemv_f32(&q.g, q.x, again, q.add ? again : NULL, cut, n);
    check_now.gemv_f32(&q.g, q.x, again, q.add ? again : NULL, 0, cut);
    check_same(again, q.y, n * sizeof *again);
}

static void run_again(void *arg)
{
    const gemv_case *q = arg;

    check_now.gemv_f32(&q->g, q->x, q->y, q->add, 0, q->g.n);
}

void check_gemv(void)
{
    static const size_t depth[] = { 0, 1, 2, 3, 4, 5, 7, 16, 33, 64, 255 };
    static const struct { size_t n, k; } speed[] = {
        { 32, 256 }, { 256, 256 }, { 1000, 512 }, { 1024, 1024 }, { 4096, 4096 }, { 1000, 25088 / 4 },
    };

    if (!check_begin("gemv_f32", CHECK_ENTRY(gemv_f32)))
        return;
    for (size_t n = 1; n <= 5 * check_now.gemm_nr + 1 && !check_benching(); n++)
        one(n, depth[check_rand(0, CHECK_COUNT(depth) - 1)]);
    for (size_t i = 0; i < CHECK_COUNT(depth) && !check_benching(); i++)
        one(check_rand(1, 9 * check_now.gemm_nr), depth[i]);
    for (size_t i = 0; i < CHECK_COUNT(speed) && check_benching(); i++) {
        gemv_case q = make_case(speed[i].n, speed[i].k, true, false, (ln_act){ LN_FN_NONE, 0, 0 });
        char label[32];
        snprintf(label, sizeof label, "%zux%zu", speed[i].k, speed[i].n);
        check_bench(label, 4.0 * (double)(speed[i].n * speed[i].k), "GB/s", run_again, &q);
    }
}
