/*
 * dense_seven.c - a matrix product as seven of half the size in every direction, not eight.
 *
 * Strassen's idea in Winograd's order: A's halves of rows are its even and its odd rows (so what
 * a pair of rows gives does not depend on how many there are), the halves of depth and of columns
 * lie side by side. With A11, A12 the even rows and A21, A22 the odd ones:
 *
 *   S1 = A21 + A22   S2 = S1 - A11   S3 = A11 - A21   S4 = A12 - S2
 *   T1 = B12 - B11   T2 = B22 - T1   T3 = B22 - B12   T4 = T2 - B21
 *   U  = A11 B11 + S2 T2             V = U + S3 T3    Z = S1 T1
 *   C11 = A11 B11 + A12 B21          C12 = U + Z + S4 B22
 *   C21 = V - A22 T4                 C22 = V + Z
 *
 * A last row without an odd one behind it needs C11 and C12 = A11 B11 + A11 T1 + A12 B22 alone: five
 * half products for its four.
 *
 * B is constant, so its sums are made once, packed: seven quarters of its size. An eighth of the
 * multiplications is saved; the sums of A and of products take 4 to 5 % back at 128 rows. Rounding
 * grows, but stays bounded by the largest sizes of a row of A and a column of B (3e-6 of the
 * largest sum was seen).
 */
#include "dense.h"

enum {
    SEVEN_ROWS = 32,     /* most row pointers of a kernel call */
    SEVEN_LEAST = 48,    /* rows below which the larger B costs more to read than it saves */
    SEVEN_DEPTH = 128,   /* and depth and columns below which the sums do */
    SEVEN_COLUMNS = 8,   /* columns come in multiples: what panels are filled up with counts seven times */
    SEVEN_TILES = 5,     /* most row tiles of a task, */
    SEVEN_SPLIT = 4,     /* row tiles that two tasks had better share, rather than columns, */
    SEVEN_PANELS = 8,    /* and panels: the more, the fewer tasks make the same sums of A; */
    SEVEN_GROUP = 4,     /* of those, panels that go past all rows together: B of them stays in L2 */
    SEVEN_PACK = 8       /* panels that are packed together */
};
/* The packed parts, in this order. */
enum { SEVEN_T1, SEVEN_B11, SEVEN_B21, SEVEN_T2, SEVEN_T3, SEVEN_B22, SEVEN_T4, SEVEN_PARTS }; /* T4 negative */

bool ln_seven_init(ln_seven *s, const ln_kernels *kernel, size_t m, size_t n, size_t k)
{
    const size_t nr = kernel->gemm_nr, mr = LN_MIN((size_t)kernel->gemm_mr, (size_t)SEVEN_ROWS);
    const ln_seven none = { 0 };
    size_t all;

    *s = none;
    if (m < SEVEN_LEAST || k < SEVEN_DEPTH || k % 2 || n < SEVEN_DEPTH || n % SEVEN_COLUMNS
        || !ln_mul(n + 2 * nr, k, &all) || !ln_mul(all, 2 * sizeof(float), &all))
        return false;
    s->pairs = m / 2;
    s->lone = m % 2;
    s->k = k / 2;
    s->n = n / 2;
    const size_t panels = ln_ceil_div(s->n, nr);
    s->part = s->k * panels * nr;
    const size_t blocks = LN_MAX(ln_ceil_div(s->pairs, SEVEN_TILES * mr), s->pairs >= SEVEN_SPLIT * mr ? (size_t)2 : 1);
    s->block = ln_ceil_div(s->pairs, blocks);
    const size_t rows = s->block + s->lone;
    s->rows = ln_ceil_div(rows, ln_ceil_div(rows, mr));
    s->step = ln_ceil_div(panels, ln_ceil_div(panels, (size_t)SEVEN_PANELS)) * nr;
    s->group = ln_ceil_div(s->step / nr, ln_ceil_div(s->step / nr, (size_t)SEVEN_GROUP)) * nr;
    s->n_tasks = ln_ceil_div(s->n, s->step);
    s->tasks = s->n_tasks * ln_ceil_div(s->pairs, s->block);
    return ln_mul(rows, s->k + 3 * s->step, &all) && ln_mul(all, sizeof(float), &s->scratch);
}

/* ---- B ------------------------------------------------------------------------------- */

typedef struct seven_making {
    const ln_seven   *s;
    const ln_dense_b *b;
    const ln_kernels *kernel;
} seven_making;

bool ln_seven_floats(const ln_seven *s, size_t *floats) { return ln_mul(s->part, (size_t)SEVEN_PARTS, floats); }

size_t ln_seven_steps(const ln_seven *s, const ln_kernels *kernel)
{
    return ln_ceil_div(s->n, SEVEN_PACK * kernel->gemm_nr);
}

void ln_seven_pack(const ln_seven *s, const ln_kernels *kernel, const ln_dense_b *b, const void *src, float *out,
                   size_t step)
{
    static const struct { int part, row, column; } quarter[] = {
        { SEVEN_B11, 0, 0 }, { SEVEN_B21, 1, 0 }, { SEVEN_B22, 1, 1 }, { SEVEN_T1, 0, 1 },
    };
    const ln_binary_f32 add = kernel->binary_f32[LN_BIN_ADD], sub = kernel->binary_f32[LN_BIN_SUB];
    const size_t width = SEVEN_PACK * kernel->gemm_nr, j = step * width, end = LN_MIN(j + width, s->n);
    const size_t n = s->k * ln_ceil_div(end - j, kernel->gemm_nr) * kernel->gemm_nr;
    float *part[SEVEN_PARTS];

    for (int i = 0; i < SEVEN_PARTS; i++)
        part[i] = out + (size_t)i * s->part + j * s->k;
    for (size_t i = 0; i < LN_COUNT(quarter); i++) {
        const size_t from = (size_t)quarter[i].row * s->k * b->rs + ((size_t)quarter[i].column * s->n + j) * b->cs;
        ln_dense_pack_bytes(kernel, s->k, (const char *)src + from * sizeof(float), b, 0, end - j,
                            part[quarter[i].part]);
    }
    sub(n, part[SEVEN_B22], 1, part[SEVEN_T1], 1, part[SEVEN_T3]); /* T1 holds B12 as yet */
    add(n, part[SEVEN_T3], 1, part[SEVEN_B11], 1, part[SEVEN_T2]);
    sub(n, part[SEVEN_B21], 1, part[SEVEN_T2], 1, part[SEVEN_T4]);
    sub(n, part[SEVEN_T1], 1, part[SEVEN_B11], 1, part[SEVEN_T1]);
}

static void seven_make(const void *ctx, const void *src, void *out, size_t step)
{
    const seven_making *w = ctx;

    ln_seven_pack(w->s, w->kernel, w->b, src, out, step);
}

linnet_status ln_seven_derive(ln_prepare *q, int32_t input, const ln_seven *s, const ln_dense_b *b,
                              const float **packed)
{
    const seven_making making = { s, b, q->kernel };
    const void *out = NULL;
    uint32_t scale;
    size_t bytes;

    memcpy(&scale, &b->scale, sizeof scale);
    const uint64_t facts[] = { 0x736576656e, q->kernel->isa, q->kernel->gemm_nr, s->n, s->k, b->rs, b->cs, scale };
    if (!ln_mul(s->part, SEVEN_PARTS * sizeof(float), &bytes))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "packed weights of %zu x %zu are too large", s->k, s->n);
    const linnet_status st = ln_plan_derive_parts(q, input, ln_dense_key(facts, LN_COUNT(facts)), bytes,
                                                  ln_seven_steps(s, q->kernel), seven_make, &making, &out);
    *packed = out;
    return st;
}

/* ---- a task ---------------------------------------------------------------------------- */

typedef struct seven_task {
    const ln_seven   *s;
    const ln_kernels *kernel;
    const float      *b;          /* of the first part, from the task's first column on */
    size_t            rows, cols; /* pairs of rows, columns of one half */
    size_t            lone;       /* 1: there is an even row behind the pairs */
} seven_task;

/* A matrix whose rows are `ld` apart. */
typedef struct seven_at { float *p; size_t ld; } seven_at;

/*
 * A's side of a product: x + sign y; or x alone (y.p NULL). Made in `room` tile by tile, where that is not x itself.
 * lone: what a row behind the pairs has here; NULL: it has no part in the product.
 */
typedef struct seven_side { seven_at x, y; float sign; seven_at room; const float *lone; } seven_side;

/* The rows of a tile of A's side, made where they are not there. */
static void seven_rows(const seven_task *t, const seven_side *a, size_t i, size_t m, bool make, const float **row)
{
    const seven_at from = a->room.p ? a->room : a->x;
    const size_t pairs = LN_MIN(m, t->rows - LN_MIN(i, t->rows));

    if (make && a->y.p)
        t->kernel->blend_rows_f32(pairs, t->s->k, a->x.p + i * a->x.ld, a->x.ld, a->y.p + i * a->y.ld, a->y.ld, a->sign,
                                  from.p + i * from.ld, from.ld);
    for (size_t x = 0; x < pairs; x++) {
        row[x] = from.p + (i + x) * from.ld;
        if (make && a->room.p && !a->y.p)
            memcpy(from.p + (i + x) * from.ld, a->x.p + (i + x) * a->x.ld, t->s->k * sizeof(float));
    }
    if (pairs < m)
        row[pairs] = a->lone;
}

/* c = act(a times part `part` + bias + x + y), where there are x and y; part `next` is wanted then. */
static void seven_product(const seven_task *t, int part, int next, const seven_side *a, const float *bias, ln_act act,
                          seven_at x, seven_at y, seven_at c)
{
    const ln_seven *s = t->s;
    const size_t all = t->rows + (a->lone ? t->lone : 0);
    const float *row[SEVEN_ROWS];

    for (size_t j = 0; j < t->cols; j += s->group) {
        const size_t n = LN_MIN(s->group, t->cols - j);
        const ptrdiff_t then = j + n < t->cols ? (ptrdiff_t)(n * s->k)
                                               : ((ptrdiff_t)next - part) * (ptrdiff_t)s->part - (ptrdiff_t)(j * s->k);
        const ln_gemm_f32 g = { n, s->k, 1, t->b + (size_t)part * s->part + j * s->k, bias ? bias + j : NULL, act };

        for (size_t i = 0; i < all; i += s->rows) {
            const size_t m = LN_MIN(s->rows, all - i);
            const ln_gemm_more more = { { x.p ? x.p + i * x.ld + j : NULL, y.p ? y.p + i * y.ld + j : NULL },
                                        { x.ld, y.ld }, i + s->rows >= all ? then : 0 };

            seven_rows(t, a, i, m, j == 0, row);
            t->kernel->gemm_more_f32(&g, m, row, c.p + i * c.ld + j, c.ld, &more, 0, n);
        }
    }
}

/* A quarter of A as it is; copied where rows a multiple of 4 KiB apart would share one set of the first cache. */
static seven_side seven_quarter(seven_at a, seven_at room, const float *lone)
{
    const seven_at nothing = { NULL, 0 };

    return (seven_side){ a, nothing, 1.0f, a.ld * sizeof(float) % 4096 ? nothing : room, lone };
}

static seven_side seven_sum(seven_at x, float sign, seven_at y, seven_at room, const float *lone)
{
    return (seven_side){ x, y, sign, room, lone };
}

/* x + y for `rows` rows where there is a y: in z; else x. */
static seven_at seven_more(const seven_task *t, size_t rows, seven_at x, seven_at y, seven_at z)
{
    if (!y.p)
        return x;
    t->kernel->blend_rows_f32(rows, t->cols, x.p, x.ld, y.p, y.ld, 1.0f, z.p, z.ld);
    return z;
}

void ln_seven_run(const ln_seven *s, const ln_kernels *kernel, const ln_gemm_f32 *g, const float *a, size_t lda,
                  float *c, size_t ldc, const float *add, size_t ldadd, void *scratch, size_t task)
{
    const size_t i = task / s->n_tasks * s->block, j = task % s->n_tasks * s->step;
    const size_t pairs = LN_MIN(s->block, s->pairs - i), lone = i + pairs == s->pairs ? s->lone : 0;
    const seven_task t = { s, kernel, g->b + j * s->k, pairs, LN_MIN(s->step, s->n - j), lone };
    const ln_act none = { LN_FN_NONE, 0, 0 }, act = g->act;
    const float *bias1 = g->bias ? g->bias + j : NULL, *bias2 = g->bias ? g->bias + s->n + j : NULL;
    const seven_at nothing = { NULL, 0 };
    float *from = (float *)(uintptr_t)a + 2 * i * lda, *to = c + 2 * i * ldc + j;
    float *more = add ? (float *)(uintptr_t)add + 2 * i * ldadd + j : NULL;
    const float *lone1 = lone ? from + 2 * pairs * lda : NULL, *lone2 = lone ? lone1 + s->k : NULL;
    const seven_at a11 = { from, 2 * lda }, a12 = { from + s->k, 2 * lda };
    const seven_at a21 = { from + lda, 2 * lda }, a22 = { from + lda + s->k, 2 * lda };
    const seven_at c11 = { to, 2 * ldc }, c12 = { to + s->n, 2 * ldc };
    const seven_at c21 = { to + ldc, 2 * ldc }, c22 = { to + ldc + s->n, 2 * ldc };
    const seven_at d11 = { more, 2 * ldadd }, d12 = { more ? more + s->n : NULL, 2 * ldadd };
    const seven_at d21 = { more ? more + ldadd : NULL, 2 * ldadd };
    const seven_at d22 = { more ? more + ldadd + s->n : NULL, 2 * ldadd };
    const seven_at sum = { scratch, s->k }, x = { sum.p + s->block * s->k, s->step };
    const size_t room = (s->block + s->lone) * s->step;
    const seven_at y = { x.p + room, s->step }, z = { y.p + room, s->step };

    seven_side side = seven_quarter(a11, sum, lone1);
    seven_product(&t, SEVEN_B11, SEVEN_B21, &side, NULL, none, nothing, nothing, x);
    side = seven_quarter(a12, sum, lone2);
    seven_product(&t, SEVEN_B21, SEVEN_T1, &side, bias1, act, x, d11, c11);
    side = seven_sum(a21, 1.0f, a22, sum, lone1); /* S1 */
    seven_product(&t, SEVEN_T1, SEVEN_T2, &side, NULL, none, nothing, nothing, z);
    side = seven_sum(sum, -1.0f, a11, sum, NULL); /* S2 */
    seven_product(&t, SEVEN_T2, SEVEN_B22, &side, NULL, none, x, nothing, x); /* U */
    side = seven_sum(a12, -1.0f, sum, sum, lone2); /* S4 */
    seven_product(&t, SEVEN_B22, SEVEN_T3, &side, bias2, act, x, seven_more(&t, pairs + lone, z, d12, y), c12);
    side = seven_sum(a11, -1.0f, a21, sum, NULL); /* S3 */
    seven_product(&t, SEVEN_T3, SEVEN_T4, &side, NULL, none, x, nothing, x); /* V */
    side = seven_quarter(a22, sum, NULL);
    seven_product(&t, SEVEN_T4, SEVEN_T4, &side, bias1, act, x, d21, c21);
    kernel->finish_rows_f32(pairs, t.cols, x.p, x.ld, z.p, z.ld, bias2, d22.p, d22.ld, act, c22.p, c22.ld);
}
