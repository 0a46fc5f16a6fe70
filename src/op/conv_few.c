/*
 * conv_few.c - convolution over few channels: the first layer of most networks.
 *
 * Each kernel row is one run of floats: of all channels where they lie last, of one channel where
 * they come plane by plane, which saves the transpose. Runs lie in the input itself, or, where
 * columns are padded, in copies of the rows that a task needs at the moment. Where the output is
 * pooled, its rows go around in a few places of the second cache.
 */
#include "../kernel/target.h"
#include "conv.h"

enum {
    FEW_MOST_FLOATS = 12 << 10, /* of copied rows: they should stay in the first cache with the weights */
    FEW_MOST_RING = 128 << 10,  /* of output rows that wait to be pooled: in the second cache */
    FEW_FAR = 2 << 20,          /* floats of an output that pushes everything else out of the caches */
    FEW_PARTS = 4               /* of tasks that pool, for each worker: rows at their edges are computed twice */
};
#define FEW_TASK 1.0e6          /* multiply-adds of a task */

/* The input as planes of rows: one plane per channel, or one in all. */
typedef struct few_input {
    size_t planes, unit;  /* floats of a pixel */
    size_t row, slots;    /* floats of a row as runs need it; rows that one output row needs */
    bool   direct;        /* no column is padded */
} few_input;

static few_input few_of(const ln_conv *c)
{
    const ln_win *w = &c->win;
    const size_t planes = c->x_last ? 1 : w->c, unit = c->x_last ? w->c : 1;
    const size_t across = (w->out[2] - 1) * w->stride[2] + w->kernel[2];
    const few_input f = { planes, unit, across * unit, (w->kernel[1] - 1) * w->dilation[1] + 1,
                          w->pad[2] == 0 && across <= w->in[2] };

    return f;
}

static bool few_applicable(const ln_conv *c, const ln_kernels *kernel)
{
    const ln_win *w = &c->win;

    if (c->group != 1 || c->cg > LN_FEW_CHANNELS || c->dtype != LINNET_F32 || c->has_add || w->dilation[2] != 1 ||
        w->out[2] < kernel->gemm_mr || w->in[0] != 1 || w->out[0] != 1 || w->kernel[0] != 1 || w->pad[0])
        return false;
    const few_input f = few_of(c);
    return f.direct || (f.row <= FEW_MOST_FLOATS && f.slots <= FEW_MOST_FLOATS &&
                        f.planes * f.slots * f.row <= FEW_MOST_FLOATS);
}

/* Floats of the output rows under a row of pooled pixels. */
static bool few_ring(const ln_conv *c, size_t *floats)
{
    return ln_mul(c->win.out[2], c->m, floats) && ln_mul(*floats, c->pool.kernel[1], floats);
}

/* Rows of a task: of output, or of pooled pixels, where rows that two tasks need are computed twice. */
static void few_cut(const ln_prepare *q, ln_conv *c)
{
    const ln_win *w = &c->win;
    const size_t all = w->n * (c->pools ? c->pool.out[1] : w->out[1]), workers = (size_t)LN_MAX(q->workers, 1);
    const double row = (double)w->out[2] * (double)c->m * (double)ln_win_taps(w) * (double)w->c;

    c->rows = c->pools ? ln_ceil_div(all, workers == 1 ? 1 : FEW_PARTS * workers) : (size_t)(FEW_TASK / row) + 1;
    c->rows = LN_MIN(c->rows, all);
    c->tasks = ln_ceil_div(all, c->rows);
}

static linnet_status few_prepare(ln_prepare *q, ln_conv *c)
{
    const ln_win *w = &c->win;
    const few_input f = few_of(c);
    const size_t copies = f.direct ? 0 : f.planes * f.slots * f.row;
    float *zero = ln_plan_alloc(q, f.row, sizeof *zero);
    size_t ring = 0;

    c->tap_count = f.planes * w->kernel[1];
    c->run = w->kernel[2] * f.unit;
    c->pools = c->pool.c && c->pool.dilation[1] == 1 && few_ring(c, &ring) && ring <= FEW_MOST_RING;
    few_cut(q, c);
    c->pack_tasks = 1;
    c->key = c->x_last;
    c->zero = zero;
    if (!zero)
        return ln_fail(q->err, LINNET_ERR_MEMORY, "Conv: out of memory");
    if (!ln_mul(ln_ceil_div(c->m, q->kernel->gemm_nr) * q->kernel->gemm_nr, c->tap_count * c->run, &c->packed) ||
        !ln_mul(c->tap_count + (c->pools ? c->pool.kernel[1] : 0), sizeof(float *), &q->scratch) ||
        !ln_align_up(q->scratch, LN_ALIGN, &q->scratch) ||
        !ln_add(q->scratch, (copies + (c->pools ? ring : 0)) * sizeof(float), &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Conv: the weights are too large");
    return LINNET_OK;
}

/* [m][channel][tap] as panels of [tap][channel] or, for planes, of [channel][tap]. */
static void few_pack(const ln_conv *c, const ln_kernels *kernel, const void *w, float *out, size_t task)
{
    const size_t nr = kernel->gemm_nr, taps = ln_win_taps(&c->win), k = taps * c->cg;

    LN_UNUSED(task);
    memset(out, 0, c->packed * sizeof *out);
    for (size_t m = 0; m < c->m; m++)
        for (size_t p = 0; p < k; p++) {
            const size_t at = c->x_last ? p % taps * c->cg + p / taps : p;
            out[(m / nr * k + at) * nr + m % nr] = ln_conv_weight(c, w, m * k + p);
        }
}

/* A row of input with the zeros of its padding. */
static void few_copy(const ln_conv *c, const few_input *f, const float *x, float *to)
{
    const size_t before = LN_MIN(c->win.pad[2] * f->unit, f->row);
    const size_t have = LN_MIN(c->win.in[2] * f->unit, f->row - before);

    memset(to, 0, before * sizeof *to);
    memcpy(to + before, x, have * sizeof *to);
    memset(to + before + have, 0, (f->row - before - have) * sizeof *to);
}

/* Input rows from *next on that output row y of image n needs are copied; rows[] names all of them. */
static void few_rows(const ln_conv *c, const few_input *f, const float *x, size_t n, size_t y, size_t *next,
                     float *copies, const float **rows)
{
    const ln_win *w = &c->win;
    const size_t length = w->in[2] * f->unit, top = y * w->stride[1];

    for (size_t p = 0; p < f->planes; p++) {
        const float *plane = x + (n * f->planes + p) * w->in[1] * length;

        const size_t past = top + f->slots;

        for (size_t i = LN_MAX(*next, top); i < past && !f->direct; i++)
            if (i >= w->pad[1] && i - w->pad[1] < w->in[1])
                few_copy(c, f, plane + (i - w->pad[1]) * length, copies + (p * f->slots + i % f->slots) * f->row);
        for (size_t i = past; i < past + w->stride[1]; i++) /* the next output row's */
            for (size_t q = 0; q < length && i - w->pad[1] < w->in[1]; q += 16)
                LN_PREFETCH(plane + (i - w->pad[1]) * length + q);
        for (size_t ky = 0; ky < w->kernel[1]; ky++) {
            const size_t i = top + ky * w->dilation[1];
            const bool in = i >= w->pad[1] && i - w->pad[1] < w->in[1];

            *rows++ = !in ? c->zero : f->direct ? plane + (i - w->pad[1]) * length
                                                : copies + (p * f->slots + i % f->slots) * f->row;
        }
    }
    *next = top + f->slots;
}

/* What a task works with. */
typedef struct few_work {
    few_input     f;
    ln_gemm_f32   g;
    const float **rows, **pooled; /* pointers to input rows; to output rows */
    float        *copies, *ring;  /* of input rows; output rows under a pooled one, row i at place i % kernel */
    size_t        next;           /* input rows before it are copied */
    bool          far;            /* nothing of the output will be in a cache when it is read */
} few_work;

/* Output row y of image n to `to`. */
static void few_row(const ln_run *r, const ln_conv *c, const ln_conv_data *d, few_work *k, size_t n, size_t y, float *to,
                    size_t ldc)
{
    few_rows(c, &k->f, d->x, n, y, &k->next, k->copies, k->rows);
    r->kernel->conv_few_f32(&k->g, c->win.stride[2] * k->f.unit, c->win.out[2], k->rows, to, ldc, k->far);
}

/* Rows [first, end) of pooled pixels, each as soon as the output rows under it are there. */
static void few_pool(const ln_run *r, const ln_conv *c, const ln_conv_data *d, few_work *k, size_t first, size_t end)
{
    const ln_win *w = &c->pool;
    const size_t length = c->win.out[2] * c->m;
    size_t done = 0;

    for (size_t i = first; i < end; i++) {
        const size_t n = i / w->out[1], top = i % w->out[1] * w->stride[1];

        if (i == first || top == 0)
            done = k->next = 0;
        for (size_t ky = 0; ky < w->kernel[1]; ky++) {
            const size_t y = top + ky - w->pad[1]; /* wraps above every height where it is padding */
            float *row = k->ring + y % w->kernel[1] * length;

            k->pooled[ky] = y < w->in[1] ? row : NULL;
            if (y < w->in[1] && y >= done) {
                few_row(r, c, d, k, n, y, row, c->m);
                done = y + 1;
            }
        }
        ln_conv_pool_row(c, r->kernel, k->pooled, d->y + i * w->out[2] * c->ldy, c->ldy);
    }
}

static void few_run(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t task)
{
    const ln_win *w = &c->win;
    const few_input f = few_of(c);
    const size_t all = w->n * (c->pools ? c->pool.out[1] : w->out[1]);
    const size_t first = task * c->rows, end = LN_MIN(first + c->rows, all);
    const size_t pointers = (c->tap_count + (c->pools ? c->pool.kernel[1] : 0)) * sizeof(float *);
    few_work k = { f, { c->m, c->run, c->tap_count, d->weight, d->bias, c->act }, r->scratch, NULL, NULL, NULL, 0,
                   !c->pools && c->pixels > FEW_FAR / c->ldy };

    k.pooled = k.rows + c->tap_count;
    k.copies = (float *)((char *)r->scratch + ln_ceil_div(pointers, LN_ALIGN) * LN_ALIGN);
    k.ring = k.copies + (f.direct ? 0 : f.planes * f.slots * f.row);
    if (c->pools) {
        few_pool(r, c, d, &k, first, end);
        return;
    }
    for (size_t i = first; i < end; i++) {
        if (i % w->out[1] == 0)
            k.next = 0; /* another image */
        few_row(r, c, d, &k, i / w->out[1], i % w->out[1], d->y + i * w->out[2] * c->ldy, c->ldy);
    }
}

static bool few_by_rows(const ln_conv *c, const ln_kernels *kernel)
{
    LN_UNUSED(c);
    LN_UNUSED(kernel);
    return true;
}

static void few_strip(const ln_run *r, const ln_conv *c, const ln_conv_data *d, const ln_conv_strip *s)
{
    const few_input f = few_of(c);
    few_work k = { .f = f, .g = { c->m, c->run, c->tap_count, d->weight, d->bias, c->act }, .rows = s->scratch };

    k.copies = (float *)((char *)s->scratch + ln_ceil_div(c->tap_count * sizeof(float *), LN_ALIGN) * LN_ALIGN);
    for (size_t i = 0; i < s->h; i++)
        few_row(r, c, d, &k, s->image, s->y + i, d->y + i * c->win.out[2] * c->m, c->m);
}

const ln_conv_way ln_conv_few = {
    .name = "few", .planes = true, .applicable = few_applicable, .prepare = few_prepare, .pack = few_pack,
    .run = few_run, .by_rows = few_by_rows, .rows = few_strip,
};

#undef FEW_TASK
