/*
 * conv_pool.c - the largest of a window of a convolution's output, where nobody wants the output itself.
 *
 * A way that pools as it goes writes pooled pixels; of the others the output goes to the workspace, and a
 * phase behind pools it. Output pixels in no window are not computed.
 */
#include "conv.h"

#define POOL_TASK 100000u /* elements read by a task */

linnet_status ln_conv_pool_init(ln_conv *c, const ln_win_param *p, linnet_error *err)
{
    const ln_desc full = ln_win_desc(&c->win, c->dtype, c->m, true);
    ln_win_param window = *p;

    if (c->win.axes != 2 || c->dtype != LINNET_F32 || c->has_add)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "Conv: this convolution cannot pool");
    window.channels_last = LN_LAST;
    return ln_win_init(&c->pool, "MaxPool", &window, &full, NULL, err);
}

void ln_conv_pool_cut(ln_conv *c)
{
    const ln_act none = { LN_FN_NONE, 0.0f, 0.0f };
    ln_win *w = &c->pool;

    if (c->act.fn == LN_FN_CLIP || (c->act.fn == LN_FN_LEAKY_RELU && c->act.a >= 0.0f)) { /* they never descend */
        c->pool_act = c->act;
        c->act = none;
    }
    for (int32_t i = 1; i < LN_WIN_AXES; i++) {
        const size_t reach = (w->out[i] - 1) * w->stride[i] + (w->kernel[i] - 1) * w->dilation[i] + 1;

        if (reach > w->pad[i])
            w->in[i] = c->win.out[i] = LN_MIN(w->in[i], reach - w->pad[i]);
    }
    c->pixels = c->win.n * ln_pixels(c->win.out);
}

bool ln_conv_pool_apart(ln_prepare *q, ln_conv *c, size_t *floats)
{
    const ln_win *w = &c->pool;
    size_t pointers, full;

    c->pool_ldy = c->ldy;
    c->pool_y_at = c->y_at;
    c->ldy = c->m;
    c->y_at = 0;
    c->pool_rows = LN_MIN(POOL_TASK / (w->out[2] * c->m * w->kernel[1]) + 1, w->n * w->out[1]);
    if (!ln_mul(c->pixels, c->m, &full) || !ln_reserve(floats, full, &c->pool_at) ||
        !ln_mul(w->kernel[1], sizeof(float *), &pointers))
        return false;
    q->scratch = LN_MAX(q->scratch, pointers);
    return true;
}

void ln_conv_pool_row(const ln_conv *c, const ln_kernels *kernel, const float *const *rows, float *y, size_t ldy)
{
    const ln_win *w = &c->pool;
    const ln_window g = { c->m, w->kernel[1], w->kernel[2], w->stride[2], w->dilation[2], w->pad[2], w->in[2], w->out[2],
                          c->m, ldy };

    kernel->pool_max_f32(&g, rows, y);
    if (c->pool_act.fn == LN_FN_NONE)
        return;
    for (size_t x = 0; x < w->out[2]; x += ldy == c->m ? w->out[2] : 1)
        kernel->unary_f32[c->pool_act.fn](ldy == c->m ? w->out[2] * c->m : c->m, y + x * ldy, y + x * ldy, c->pool_act.a,
                                          c->pool_act.b);
}

void ln_conv_pool(const ln_run *r, const ln_conv *c, const float *x, float *y, size_t task)
{
    const ln_win *w = &c->pool;
    const size_t end = LN_MIN((task + 1) * c->pool_rows, w->n * w->out[1]);
    const float **rows = r->scratch;

    for (size_t i = task * c->pool_rows; i < end; i++) {
        ln_win_rows(w, x, i / w->out[1], 0, i % w->out[1], rows);
        ln_conv_pool_row(c, r->kernel, rows, y + i * w->out[2] * c->pool_ldy, c->pool_ldy);
    }
}

#undef POOL_TASK
