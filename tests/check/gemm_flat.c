/*
 * gemm_flat.c - gemm_flat_f32: the bits of gemm_f32, which has double loops of its own, for any number of rows.
 */
#include "check.h"

static ln_act some_act(void)
{
    static const ln_act list[] = {
        { LN_FN_NONE, 0, 0 }, { LN_FN_CLIP, 0.0f, INFINITY }, { LN_FN_CLIP, -0.25f, 0.5f }, { LN_FN_TANH, 0, 0 },
    };
    const ln_act act = list[check_rand(0, CHECK_COUNT(list) - 1)];

    return check_now.unary_f32[act.fn] || act.fn == LN_FN_CLIP ? act : list[0];
}

/* Row by row. */
static void want_flat(const ln_gemm_f32 *g, size_t m, const float *a, size_t lda, float *c, const float *add,
                      size_t ldadd)
{
    for (size_t i = 0; i < m; i++) {
        const float *row = a + i * lda;

        check_now.gemm_f32(g, 1, &row, c + i * g->n, g->n, add ? add + i * ldadd : NULL, ldadd, 0, g->n);
    }
}

static void one(size_t m, size_t n, size_t k, size_t lda)
{
    const size_t nr = check_now.gemm_nr, ldc = n + check_rand(0, 3), ldadd = n + check_rand(0, 3);
    const bool bias = check_rand(0, 3) > 0, more = check_rand(0, 3) == 0;
    const size_t cut = check_rand(0, n / nr) * nr;

    check_case("m=%zu n=%zu k=%zu lda=%zu bias=%d add=%d", m, n, k, lda, bias, more);
    float *a = check_buf((m - 1) * lda + k), *b = check_buf((n + nr - 1) / nr * nr * k);
    float *to = check_buf((m - 1) * ldc + n), *want = check_buf(m * n);
    float *add = more ? check_buf((m - 1) * ldadd + n) : NULL;
    ln_gemm_f32 g = { n, k, 1, b, NULL, some_act() };

    check_fill(a, (m - 1) * lda + k, -1.0f, 1.0f);
    check_fill(b, (n + nr - 1) / nr * nr * k, -1.0f, 1.0f);
    if (check_rand(0, 7) == 0 && k > 0)
        a[check_rand(0, m - 1) * lda + check_rand(0, k - 1)] = NAN;
    if (more)
        check_fill(add, (m - 1) * ldadd + n, -1.0f, 1.0f);
    if (bias) {
        float *at = check_buf(n);
        check_fill(at, n, -1.0f, 1.0f);
        g.bias = at;
    }
    want_flat(&g, m, a, lda, want, add, ldadd);
    check_now.gemm_flat_f32(&g, m, a, lda, to, ldc, add, ldadd, 0, cut);
    check_now.gemm_flat_f32(&g, m, a, lda, to, ldc, add, ldadd, cut, n);
    for (size_t i = 0; i < m; i++) {
        check_same(to + i * ldc, want + i * n, n * sizeof *to);
        if (i + 1 < m)
            check_untouched(to + i * ldc + n, ldc - n);
    }
}

void check_gemm_flat(void)
{
    if (!check_begin("gemm_flat_f32", CHECK_ENTRY(gemm_flat_f32)))
        return;
    const size_t mr = check_now.gemm_mr, nr = check_now.gemm_nr, lanes = check_now.lanes;
    const size_t columns[] = { 1, lanes - 1, lanes, lanes + 1, nr - 1, nr, nr + 1, nr + lanes, 3 * nr, 3 * nr + lanes + 1 };
    const size_t heights[] = { 1, mr - 1, mr, mr + 1, 2 * mr, 3 * mr - 1, 5 * mr, 5 * mr + 1 };

    for (size_t i = 0; i < CHECK_COUNT(columns); i++)
        for (size_t j = 0; j < CHECK_COUNT(heights); j++)
            if (columns[i] > 0 && heights[j] > 0)
                one(heights[j], columns[i], check_rand(1, 20), 20 + check_rand(0, 1) * 5);
    for (int i = 0; i < 60; i++) {
        const size_t k = check_rand(0, 40);
        one(check_rand(1, 8 * mr), check_rand(1, 4 * nr), k, k + check_rand(0, 3));
    }
    one(3 * mr, nr, 5, 1024); /* rows in one set of the first cache */
    one(3 * mr, nr, 5, 0);    /* the same row again and again */
}
