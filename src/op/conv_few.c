/*
 * conv_few.c - convolution over few channels: the first layer of most networks.
 *
 * Each kernel row is one run of floats: of all channels where they lie last, of one channel where
 * they come plane by plane, which saves the transpose. Runs lie in the input itself, or, where
 * columns are padded, in copies of the rows that a task needs at the moment.
 */
#include "../kernel/target.h"
#include "conv.h"

enum { FEW_MOST_FLOATS = 12 << 10 }; /* of copied rows: they should stay in the first cache with the weights */
#define FEW_TASK 1.0e6                /* multiply-adds of a task */

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

static linnet_status few_prepare(ln_prepare *q, ln_conv *c)
{
    const ln_win *w = &c->win;
    const few_input f = few_of(c);
    const size_t all = w->n * w->out[0] * w->out[1], copies = f.direct ? 0 : f.planes * f.slots * f.row;
    const double row = (double)w->out[2] * (double)c->m * (double)ln_win_taps(w) * (double)w->c;
    float *zero = ln_plan_alloc(q, f.row, sizeof *zero);

    c->tap_count = f.planes * w->kernel[1];
    c->run = w->kernel[2] * f.unit;
    c->rows = LN_MIN((size_t)(FEW_TASK / row) + 1, all);
    c->tasks = ln_ceil_div(all, c->rows);
    c->pack_tasks = 1;
    c->key = c->x_last;
    c->zero = zero;
    if (!zero)
        return ln_fail(q->err, LINNET_ERR_MEMORY, "Conv: out of memory");
    if (!ln_mul(ln_ceil_div(c->m, q->kernel->gemm_nr) * q->kernel->gemm_nr, c->tap_count * c->run, &c->packed) ||
        !ln_mul(c->tap_count, sizeof(float *), &q->scratch) || !ln_align_up(q->scratch, LN_ALIGN, &q->scratch) ||
        !ln_add(q->scratch, copies * sizeof(float), &q->scratch))
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

static void few_run(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t task)
{
    const ln_win *w = &c->win;
    const few_input f = few_of(c);
    const size_t first = task * c->rows, end = LN_MIN(first + c->rows, w->n * w->out[1]);
    const ln_gemm_f32 g = { c->m, c->run, c->tap_count, d->weight, d->bias, c->act };
    const float **rows = r->scratch;
    float *copies = (float *)((char *)r->scratch + ln_ceil_div(c->tap_count * sizeof *rows, LN_ALIGN) * LN_ALIGN);
    size_t next = 0;

    for (size_t i = first; i < end; i++) {
        const size_t y = i % w->out[1];

        if (y == 0)
            next = 0; /* another image */
        few_rows(c, &f, d->x, i / w->out[1], y, &next, copies, rows);
        r->kernel->conv_few_f32(&g, w->stride[2] * f.unit, w->out[2], rows, d->y + i * w->out[2] * c->ldy, c->ldy);
    }
}

const ln_conv_way ln_conv_few = {
    .name = "few", .planes = true, .applicable = few_applicable, .prepare = few_prepare, .pack = few_pack,
    .run = few_run,
};

#undef FEW_TASK
