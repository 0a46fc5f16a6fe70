/*
 * pack.c - pack_b_f32: every element in its place, zeros behind the last column.
 */
#include "check.h"

/* One matrix in `parts` calls that fill some depth rows each, panel groups in any order. */
static void one(size_t k, size_t n, size_t rs, size_t cs, float scale, size_t parts)
{
    const size_t nr = check_now.gemm_nr, panels = (n + nr - 1) / nr, k_total = k * parts;

    check_case("k=%zu n=%zu rs=%zu cs=%zu scale=%g parts=%zu", k, n, rs, cs, (double)scale, parts);
    const size_t span = k && n ? (k - 1) * rs + (n - 1) * cs + 1 : 0;
    float *got = check_buf(panels * nr * k_total), *want = check_buf(panels * nr * k_total);
    const size_t cut = check_rand(0, panels) * nr;

    for (size_t t = 0; t < parts; t++) {
        float *b = check_buf(span);
        check_fill(b, span, -1.0f, 1.0f);
        check_now.pack_b_f32(k, n, b, (ptrdiff_t)rs, (ptrdiff_t)cs, scale, t * k, k_total, cut,
                             n, got);
        check_now.pack_b_f32(k, n, b, (ptrdiff_t)rs, (ptrdiff_t)cs, scale, t * k, k_total, 0,
                             cut < n ? cut : n, got);
        for (size_t j = 0; j < panels * nr; j++)
            for (size_t p = 0; p < k; p++)
                want[(j / nr * k_total + t * k + p) * nr + j % nr] =
                    j < n ? b[p * rs + j * cs] * scale : 0.0f;
    }
    check_same(got, want, panels * nr * k_total * sizeof *got);
}

/* Strides may be negative: the matrix turned by half a circle. */
static void backwards(size_t k, size_t n)
{
    const size_t nr = check_now.gemm_nr, panels = (n + nr - 1) / nr;

    check_case("backwards k=%zu n=%zu", k, n);
    float *b = check_buf(k * n), *got = check_buf(panels * nr * k), *want = check_buf(panels * nr * k);
    check_fill(b, k * n, -1.0f, 1.0f);
    check_now.pack_b_f32(k, n, b + k * n - 1, -(ptrdiff_t)n, -1, 1.0f, 0, k, 0, n, got);
    for (size_t j = 0; j < panels * nr; j++)
        for (size_t p = 0; p < k; p++)
            want[(j / nr * k + p) * nr + j % nr] = j < n ? b[k * n - 1 - p * n - j] : 0.0f;
    check_same(got, want, panels * nr * k * sizeof *got);
}

typedef struct pack_case {
    size_t    k, n, parts;
    ptrdiff_t rs, cs;
    float    *b, *y;
} pack_case;

static void run_again(void *arg)
{
    const pack_case *q = arg;

    for (size_t t = 0; t < q->parts; t++)
        check_now.pack_b_f32(q->k, q->n, q->b + (q->parts > 1 ? t : 0), q->rs, q->cs, 1.0f,
                             t * q->k, q->k * q->parts, 0, q->n, q->y);
}

static void bench(const char *label, size_t k, size_t n, size_t parts, size_t rs, size_t cs)
{
    check_case("%s", label);
    pack_case q = { k, n, parts, (ptrdiff_t)rs, (ptrdiff_t)cs, check_buf(k * n * parts),
                    check_buf((n + 63) / 64 * 64 * k * parts) };
    check_fill(q.b, k * n * parts, -1.0f, 1.0f);
    check_bench(label, 8.0 * (double)(k * n * parts), "GB/s", run_again, &q);
}

void check_pack(void)
{
    static const size_t depth[] = { 0, 1, 2, 3, 7, 15, 16, 17, 33, 64 };

    if (!check_begin("pack_b_f32", CHECK_ENTRY(pack_b_f32)))
        return;
    if (check_benching()) {
        bench("rows 512x512", 512, 512, 1, 512, 1);
        bench("columns 512x512", 512, 512, 1, 1, 512);
        bench("conv 3x3 256->256", 256, 256, 9, 9, 9 * 256);
        return;
    }
    for (size_t n = 1; n <= 2 * check_now.gemm_nr + 3; n++) {
        const size_t k = depth[check_rand(0, CHECK_COUNT(depth) - 1)], gap = check_rand(0, 2);
        const float scale = check_rand(0, 1) ? 1.0f : 0.37f;
        one(k, n, n + gap, 1, scale, check_rand(1, 3));
        one(k, n, 1, k + gap, scale, check_rand(1, 3));
        one(k, n, 9, 9 * k, scale, check_rand(1, 9));
        one(k, n, 1, 1, scale, 1);
    }
    for (size_t i = 0; i < CHECK_COUNT(depth); i++) {
        const size_t k = depth[i], n = check_rand(1, 4 * check_now.gemm_nr);
        one(k, n, 1, k, 1.0f, 2);
        one(k, n, n, 1, -2.0f, 2);
        backwards(k, n);
    }
}
