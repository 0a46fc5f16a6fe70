/*
 * dense.c - one matrix product on the packed kernels, and how it is cut into tasks.
 *
 * A task is a block of rows times a group of columns, about 4 million multiply-adds (below
 * 100 us at AVX2 rates). The cut depends on the shape and the tile of the kernels, never on
 * the number of threads; K is never cut, so neither order nor bits depend on the tasks.
 */
#include "dense.h"

enum {
    DENSE_ROWS = 32,           /* most row pointers of a kernel call */
    DENSE_L2_FLOATS = 1 << 17, /* packed B of a group of columns: 512 KiB */
    DENSE_GEMV_FLOATS = 1 << 18,
    DENSE_PIECE = 72 * 32      /* floats packed at a time from where they are misaligned */
};
#define DENSE_TASK_MACS 4.0e6

static void dense_cut(ln_dense *d, size_t nr)
{
    const size_t panels = ln_ceil_div(d->n, nr), tiles = ln_ceil_div(d->m, d->rows);
    const size_t panel_floats = LN_MAX(d->k, (size_t)1) * nr;
    size_t group = LN_MAX((size_t)DENSE_L2_FLOATS / panel_floats, (size_t)1);

    group = ln_ceil_div(panels, ln_ceil_div(panels, group));
    d->group = group * nr;
    d->m_step = d->m;
    d->n_step = d->n;
    if (d->m == 1) { /* bound by reading B once */
        d->group = d->n;
        d->n_step = LN_MAX((size_t)DENSE_GEMV_FLOATS / panel_floats, (size_t)1) * nr;
    } else if ((double)d->m * (double)d->n * (double)d->k > 1.5 * DENSE_TASK_MACS) {
        const double tile_macs = (double)d->rows * (double)panel_floats;
        const double fit = DENSE_TASK_MACS / tile_macs;

        group = (double)group > fit ? LN_MAX((size_t)fit, (size_t)1) : group;
        group = ln_ceil_div(panels, ln_ceil_div(panels, group));
        d->group = d->n_step = group * nr;
        size_t per = (size_t)(fit / (double)group);
        per = LN_MIN(LN_MAX(per, (size_t)1), tiles);
        d->m_step = ln_ceil_div(tiles, ln_ceil_div(tiles, per)) * d->rows;
    }
    d->n_tasks = ln_ceil_div(d->n, d->n_step);
    d->tasks = d->n_tasks * ln_ceil_div(d->m, d->m_step);
}

bool ln_dense_init(ln_dense *d, const ln_kernels *kernel, size_t m, size_t n, size_t k)
{
    const size_t mr = LN_MIN((size_t)kernel->gemm_mr, (size_t)DENSE_ROWS), nr = kernel->gemm_nr;
    const ln_dense none = { 0 };
    size_t all;

    *d = none;
    d->m = m;
    d->n = n;
    d->k = k;
    if (m == 0 || n == 0)
        return true;
    if (n > SIZE_MAX - nr || !ln_mul(ln_ceil_div(n, nr) * nr, LN_MAX(k, (size_t)1), &all)
        || !ln_mul(all, sizeof(float), &all))
        return false;
    d->packed = ln_ceil_div(n, nr) * nr * k;
    d->rows = ln_ceil_div(m, ln_ceil_div(m, mr));
    d->pack_step = LN_MAX((size_t)(4 * LN_CHUNK) / (LN_MAX(k, (size_t)1) * nr), (size_t)1) * nr;
    d->pack_tasks = ln_ceil_div(n, d->pack_step);
    dense_cut(d, nr);
    return true;
}

void ln_dense_range(const ln_dense *d, size_t task, size_t m[2], size_t n[2])
{
    m[0] = task / d->n_tasks * d->m_step;
    m[1] = LN_MIN(m[0] + d->m_step, d->m);
    n[0] = task % d->n_tasks * d->n_step;
    n[1] = LN_MIN(n[0] + d->n_step, d->n);
}

void ln_dense_run(const ln_dense *d, const ln_kernels *kernel, const ln_gemm_f32 *g, const float *a,
                  size_t lda, float *c, size_t ldc, const float *add, size_t ldadd, size_t task)
{
    const float *row[DENSE_ROWS];
    size_t m[2], n[2];

    ln_dense_range(d, task, m, n);
    if (d->m == 1) {
        kernel->gemv_f32(g, a, c, add, n[0], n[1]);
        return;
    }
    for (size_t j = n[0]; j < n[1]; j += d->group) {
        const size_t to = LN_MIN(j + d->group, n[1]);

        for (size_t i = m[0]; i < m[1]; i += d->rows) {
            const size_t rows = LN_MIN(d->rows, m[1] - i);

            for (size_t x = 0; x < rows; x++)
                row[x] = a + (i + x) * lda;
            kernel->gemm_f32(g, rows, row, c + i * ldc, ldc, add ? add + i * ldadd : NULL, ldadd,
                             j, to);
        }
    }
}

void ln_dense_pack(const ln_dense *d, const ln_kernels *kernel, const float *b, const ln_dense_b *at,
                   float *packed, size_t task)
{
    const size_t n0 = task * d->pack_step, n1 = LN_MIN(n0 + d->pack_step, d->n);

    kernel->pack_b_f32(d->k, d->n, b, (ptrdiff_t)at->rs, (ptrdiff_t)at->cs, at->scale, 0, d->k,
                       n0, n1, packed);
}

uint64_t ln_dense_key(const uint64_t *v, size_t count)
{
    uint64_t h = 0x9e3779b97f4a7c15u;

    for (size_t i = 0; i < count; i++) { /* splitmix64 of each word */
        h ^= v[i] + 0x9e3779b97f4a7c15u + (h << 6) + (h >> 2);
        h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
        h = (h ^ h >> 27) * 0x94d049bb133111ebu;
        h ^= h >> 31;
    }
    return h;
}

typedef struct dense_making {
    const ln_dense   *d;
    const ln_dense_b *b;
    const ln_kernels *kernel;
} dense_making;

/* Pieces of some depth by way of an aligned copy. */
void ln_dense_pack_bytes(const ln_kernels *kernel, size_t k, const void *b, const ln_dense_b *at, size_t n0, size_t n1,
                         float *out)
{
    const size_t nr = kernel->gemm_nr, rs = at->rs, cs = at->cs;
    const bool rows = cs == 1;
    const size_t wide = rows ? LN_MIN(ln_ceil_div(n1 - n0, nr), (size_t)8) * nr : nr, step = DENSE_PIECE / wide;
    float piece[DENSE_PIECE];

    for (size_t p = 0; p < k; p += step)
        for (size_t j = n0; j < n1; j += wide) {
            const size_t n = LN_MIN(wide, n1 - j), depth = LN_MIN(step, k - p);
            const char *from = (const char *)b + (p * rs + j * cs) * sizeof(float);
            const size_t runs = rows ? depth : n, run = rows ? n : depth, next = rows ? rs : cs, inside = rows ? cs : rs;

            for (size_t i = 0; i < runs; i++) {
                for (size_t x = 0; x < run; x += inside == 1 ? run : 1)
                    memcpy(piece + i * run + x, from + (i * next + x * inside) * sizeof(float),
                           (inside == 1 ? run : 1) * sizeof(float));
                if (rs == 1)
                    ln_dense_ahead(from + i * cs * sizeof(float), depth, k - p);
            }
            kernel->pack_b_f32(depth, n, piece, rows ? (ptrdiff_t)run : 1, rows ? 1 : (ptrdiff_t)run, at->scale, p, k, 0, n,
                               out + j * k);
        }
}

/* The same, of rows in another order: see ln_dense.turn. One of rs and cs is 1, the scale too. */
static void dense_pack_turned(const ln_dense *d, const ln_kernels *kernel, const char *b, const ln_dense_b *at, size_t n0,
                              size_t n1, float *out)
{
    const size_t nr = kernel->gemm_nr, turn = d->turn, inner = d->k / turn, step = LN_MIN(DENSE_PIECE / nr, turn);
    float piece[DENSE_PIECE];

    for (size_t j = n0; j < n1; j += nr) {
        const size_t n = LN_MIN(nr, n1 - j);
        float *panel = out + j * d->k;

        if (n < nr)
            memset(panel, 0, nr * d->k * sizeof *panel);
        for (size_t p = 0; p < d->k && at->cs == 1; p++)
            memcpy(panel + p * nr, b + ((p % inner * turn + p / inner) * at->rs + j) * sizeof(float), n * sizeof(float));
        for (size_t c = 0; c < inner && at->cs != 1; c++)
            for (size_t s = 0; s < turn; s += step) {
                const size_t run = LN_MIN(step, turn - s);

                for (size_t i = 0; i < n; i++)
                    memcpy(piece + i * run, b + ((j + i) * at->cs + c * turn + s) * sizeof(float), run * sizeof(float));
                kernel->transpose_32(n, run, piece, run, panel + (s * inner + c) * nr, inner * nr);
            }
    }
}

static void dense_make(const void *ctx, const void *src, void *out, size_t part)
{
    const dense_making *w = ctx;
    const ln_dense *d = w->d;
    const size_t i = part / d->pack_tasks, t = part % d->pack_tasks, n0 = t * d->pack_step;
    const char *b = (const char *)src + (w->b->start + i * w->b->stride) * sizeof(float);
    float *to = (float *)out + i * d->packed;

    if (d->turn > 1)
        dense_pack_turned(d, w->kernel, b, w->b, n0, LN_MIN(n0 + d->pack_step, d->n), to);
    else if (w->b->rs == 1 || !ln_aligned(b, LINNET_F32))
        ln_dense_pack_bytes(w->kernel, d->k, b, w->b, n0, LN_MIN(n0 + d->pack_step, d->n), to);
    else
        ln_dense_pack(d, w->kernel, (const float *)(const void *)b, w->b, to, t);
}

linnet_status ln_dense_derive(ln_prepare *q, int32_t input, const ln_dense *d, const ln_dense_b *b,
                              const float **packed)
{
    const dense_making making = { d, b, q->kernel };
    const void *out = NULL;
    uint32_t scale;
    size_t bytes;

    memcpy(&scale, &b->scale, sizeof scale);
    const uint64_t facts[] = { 0x64656e7365, q->kernel->isa, q->kernel->gemm_nr, d->n, d->k,
                               b->count, b->stride, b->rs, b->cs, b->start, scale, d->turn };
    if (!ln_mul(d->packed, b->count, &bytes) || !ln_mul(bytes, sizeof(float), &bytes))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "packed weights of %zu x %zu are too large", d->k, d->n);
    const linnet_status st = ln_plan_derive_parts(q, input, ln_dense_key(facts, LN_COUNT(facts) - (d->turn ? 0 : 1)), bytes,
                                                  b->count * d->pack_tasks, dense_make, &making, &out);
    *packed = out;
    return st;
}

#undef DENSE_TASK_MACS
