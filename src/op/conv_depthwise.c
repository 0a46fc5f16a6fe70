/*
 * conv_depthwise.c - convolution where each channel has a kernel of its own.
 *
 * A task is some rows of output, or of a part of their channels, which go through conv_dw_f32 together.
 * A kernel with depth is one with depth * height rows, and there, with dilation or with a residual rows
 * go one by one.
 */
#include "conv.h"

#define DEPTHWISE_TASK 1.0e6 /* multiply-adds of a task: high strips read fewer rows twice */
enum { DEPTHWISE_TASKS = 4, DEPTHWISE_LEAST_C = 64 }; /* with fewer tasks, channels are divided too */

static bool depthwise_applicable(const ln_conv *c, const ln_kernels *kernel)
{
    LN_UNUSED(kernel);
    return c->cg == 1
        && c->mg == 1
        && (c->group >= 4 || c->group == 1);
}

/* Rows of output that may share a call. */
static size_t depthwise_together(const ln_conv *c)
{
    const ln_win *w = &c->win;

    return w->kernel[0] > 1 || w->dilation[1] > 1 || c->has_add ? 1 : LN_MIN(w->out[1], c->rows);
}

static linnet_status depthwise_prepare(ln_prepare *q, ln_conv *c)
{
    const ln_win *w = &c->win;
    const size_t all = w->n * w->out[0] * w->out[1];
    const double row = (double)w->out[2] * (double)c->m * (double)ln_win_taps(w);
    size_t pointers;

    c->rows = LN_MIN((size_t)(DEPTHWISE_TASK / row) + 1, all);
    c->m_tasks = ln_ceil_div(all, c->rows);
    c->rows = ln_ceil_div(all, c->m_tasks);
    c->m_tasks = ln_ceil_div(all, c->rows);
    const size_t parts = c->has_add || c->chained ? 1 : LN_MIN(ln_ceil_div((size_t)DEPTHWISE_TASKS, c->m_tasks),
                                                 ln_ceil_div(c->m, (size_t)DEPTHWISE_LEAST_C));
    c->group_n = ln_ceil_div(ln_ceil_div(c->m, parts), LN_ALIGN / sizeof(float)) * (LN_ALIGN / sizeof(float));
    c->n_tasks = ln_ceil_div(c->m, c->group_n);
    c->tasks = c->m_tasks * c->n_tasks;
    c->packed = c->m * ln_win_taps(w);
    c->pack_tasks = 1;
    c->key = c->group_n;
    /* With a residual, which may lie where the output goes, a row of sums comes first. */
    if (!ln_mul(depthwise_together(c) - 1, w->stride[1], &pointers)
        || !ln_mul(w->kernel[0] * w->kernel[1] + pointers, sizeof(float *), &q->scratch)
        || !ln_align_up(q->scratch, LN_ALIGN, &q->scratch)
        || !ln_add(q->scratch, c->has_add ? w->out[2] * c->m * sizeof(float) : 0, &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Conv: the kernel is too large");
    return LINNET_OK;
}

/* Where the weight of channel m and tap t lies in the packed form. */
static size_t depthwise_weight(const ln_conv *c, size_t m, size_t t)
{
    const size_t from = m / c->group_n * c->group_n, n = LN_MIN(c->group_n, c->m - from);

    return from * ln_win_taps(&c->win) + t * n + m - from;
}

/* [m][taps] to [taps][m], for each part of the channels */
static void depthwise_pack(const ln_conv *c, const ln_kernels *kernel, const void *w, float *out, size_t task)
{
    const size_t taps = ln_win_taps(&c->win);

    LN_UNUSED(kernel);
    LN_UNUSED(task);
    for (size_t m = 0; m < c->m; m++)
        for (size_t t = 0; t < taps; t++)
            out[depthwise_weight(c, m, t)] = ln_conv_weight(c, w, m * taps + t);
}

/* Rows of output with a residual: sums first, as the output may be where the residual is. */
static void depthwise_add(const ln_run *r, const ln_conv *c, const ln_conv_data *d, const float *sums, size_t at)
{
    const size_t width = c->win.out[2] * c->m;
    float *y = d->y + at * width;

    r->kernel->binary_f32[LN_BIN_ADD](width, sums, 1, d->add + at * width, 1, y);
    if (c->act.fn != LN_FN_NONE)
        r->kernel->unary_f32[c->act.fn](width, y, y, c->act.a, c->act.b);
}

static void depthwise_run(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t task)
{
    const ln_win *w = &c->win;
    const size_t all = w->n * w->out[0] * w->out[1], width = w->out[2] * c->ldy, most = depthwise_together(c);
    const size_t kernels = w->kernel[0] * w->kernel[1], first = task / c->n_tasks * c->rows;
    const size_t end = LN_MIN(first + c->rows, all), c0 = task % c->n_tasks * c->group_n;
    const ln_window g = { LN_MIN(c->group_n, c->m - c0), kernels, w->kernel[2], w->stride[2], w->dilation[2],
                          w->pad[2], w->in[2], w->out[2], c->m, c->ldy };
    const size_t pointers = ((most - 1) * w->stride[1] + kernels) * sizeof(float *);
    const ln_act none = { LN_FN_NONE, 0.0f, 0.0f };
    const float **rows = r->scratch;
    float *sums = c->has_add ? (float *)((char *)r->scratch + ln_ceil_div(pointers, LN_ALIGN) * LN_ALIGN) : NULL;
    size_t n;

    for (size_t i = first; i < end; i += n) {
        const size_t y = i % w->out[1], z = i / w->out[1] % w->out[0], image = i / (w->out[0] * w->out[1]);

        n = LN_MIN(LN_MIN(most, end - i), w->out[1] - y);
        for (size_t k = 0; k < n; k++)
            ln_win_rows(w, d->x + c0, image, z, y + k, rows + k * w->stride[1]);
        r->kernel->conv_dw_f32(&g, n, w->stride[1], rows, d->weight + depthwise_weight(c, c0, 0),
                               d->bias ? d->bias + c0 : NULL, sums ? none : c->act,
                               sums ? sums : d->y + i * width + c0, width);
        if (sums)
            depthwise_add(r, c, d, sums, i);
    }
}

static bool depthwise_by_rows(const ln_conv *c, const ln_kernels *kernel)
{
    const ln_win *w = &c->win;

    LN_UNUSED(kernel);
    return w->in[0] == 1 && w->kernel[0] == 1 && w->out[0] == 1 && w->dilation[1] == 1 && !c->has_add;
}

static void depthwise_rows(const ln_run *r, const ln_conv *c, const ln_conv_data *d, const ln_conv_strip *s)
{
    const ln_win *w = &c->win;
    const ln_window g = { c->m, w->kernel[1], w->kernel[2], w->stride[2], w->dilation[2], w->pad[2], w->in[2],
                          w->out[2], c->m, c->m };

    r->kernel->conv_dw_f32(&g, s->h, w->stride[1], s->rows, d->weight, d->bias, c->act, d->y, w->out[2] * c->m);
}

const ln_conv_way ln_conv_depthwise = {
    "depthwise", false, depthwise_applicable, depthwise_prepare, depthwise_pack, NULL, depthwise_run,
    depthwise_by_rows, depthwise_rows,
};

#undef DEPTHWISE_TASK
