/*
 * conv_depthwise.c - convolution where each channel has a kernel of its own.
 *
 * A task is some rows of output; each goes through conv_dw_f32 in one call. A kernel with
 * depth is one with depth * height rows.
 */
#include "conv.h"

static bool depthwise_applicable(const ln_conv *c, const ln_kernels *kernel)
{
    LN_UNUSED(kernel);
    return c->cg == 1
        && c->mg == 1
        && (c->group >= 4 || c->group == 1);
}

static linnet_status depthwise_prepare(ln_prepare *q, ln_conv *c)
{
    const ln_win *w = &c->win;
    const size_t all = w->n * w->out[0] * w->out[1];
    const double row = (double)w->out[2] * (double)c->m * (double)ln_win_taps(w);

    c->rows = LN_MIN((size_t)(200000.0 / row) + 1, all);
    c->tasks = ln_ceil_div(all, c->rows);
    c->packed = c->m * ln_win_taps(w);
    c->pack_tasks = 1;
    /* With a residual, which may lie where the output goes, a row of sums comes first. */
    if (!ln_mul(w->kernel[0] * w->kernel[1], sizeof(float *), &q->scratch)
        || !ln_align_up(q->scratch, LN_ALIGN, &q->scratch)
        || !ln_add(q->scratch, c->has_add ? w->out[2] * c->m * sizeof(float) : 0, &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Conv: the kernel is too large");
    return LINNET_OK;
}

/* [m][taps] to [taps][m] */
static void depthwise_pack(const ln_conv *c, const ln_kernels *kernel, const void *w, float *out, size_t task)
{
    const size_t taps = ln_win_taps(&c->win);

    LN_UNUSED(kernel);
    LN_UNUSED(task);
    for (size_t m = 0; m < c->m; m++)
        for (size_t t = 0; t < taps; t++)
            out[t * c->m + m] = ln_conv_weight(c, w, m * taps + t);
}

static void depthwise_run(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t task)
{
    const ln_win *w = &c->win;
    const size_t all = w->n * w->out[0] * w->out[1], width = w->out[2] * c->m;
    const size_t kernels = w->kernel[0] * w->kernel[1], end = LN_MIN((task + 1) * c->rows, all);
    const ln_window g = { c->m, kernels, w->kernel[2], w->stride[2], w->dilation[2],
                          w->pad[2], w->in[2], w->out[2], c->m, c->m };
    const size_t pointers = ln_ceil_div(kernels * sizeof(float *), LN_ALIGN) * LN_ALIGN;
    const ln_act none = { LN_FN_NONE, 0.0f, 0.0f };
    const float **rows = r->scratch;
    float *sums = c->has_add ? (float *)((char *)r->scratch + pointers) : NULL;

    for (size_t i = task * c->rows; i < end; i++) {
        float *y = d->y + i * width;

        ln_win_rows(w, d->x, i / (w->out[0] * w->out[1]), i / w->out[1] % w->out[0], i % w->out[1], rows);
        r->kernel->conv_dw_f32(&g, rows, d->weight, d->bias, sums ? none : c->act, sums ? sums : y);
        if (!sums)
            continue;
        r->kernel->binary_f32[LN_BIN_ADD](width, sums, 1, d->add + i * width, 1, y);
        if (c->act.fn != LN_FN_NONE)
            r->kernel->unary_f32[c->act.fn](width, y, y, c->act.a, c->act.b);
    }
}

const ln_conv_way ln_conv_depthwise = {
    "depthwise", false, depthwise_applicable, depthwise_prepare, depthwise_pack, NULL, depthwise_run,
};
