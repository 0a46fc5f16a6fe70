/*
 * conv_seven.c - 1x1 convolution as seven products of half the size (dense_seven.c), where that pays.
 *
 * A convolution whose output pixels are its input pixels is one matrix product: pixels x channels
 * times weights. With a stride, the pixels that count are gathered first. Images of an odd number of pixels are
 * products of their own, so that an image's bits do not depend on the others.
 */
#include "conv.h"

/*
 * Multiply-adds for each float of weights: below, what is saved is not worth having, and filling, seven quarters of
 * them (at 7x7 5 to 7 % of the time; resnet50 would take 22 MB and 6 ms of planning to gain 0.4 ms).
 */
#define SEVEN_REUSE 100u

enum { SEVEN_APART = 16 }; /* floats that keep gathered pixels out of one set of the first cache */

/* Rows of a product. */
static size_t seven_pixels(const ln_conv *c)
{
    const size_t image = ln_pixels(c->win.out);

    return image % 2 ? image : c->pixels;
}

/* Floats from pixel to pixel as the product sees them. */
static size_t seven_pitch(const ln_conv *c) { return ln_conv_flat(&c->win) ? c->cg : c->cg + SEVEN_APART; }

static bool seven_applicable(const ln_conv *c, const ln_kernels *kernel)
{
    const ln_win *w = &c->win;
    ln_seven s;
    bool one = !c->exact && c->dtype == LINNET_F32 && c->group == 1 && c->pixels >= SEVEN_REUSE;

    for (int32_t i = 0; i < LN_WIN_AXES; i++)
        one = one && w->kernel[i] == 1 && w->pad[i] == 0 && (w->out[i] - 1) * w->stride[i] < w->in[i];
    return one && ln_seven_init(&s, kernel, seven_pixels(c), c->m, c->cg);
}

static linnet_status seven_prepare(ln_prepare *q, ln_conv *c)
{
    if (!ln_seven_init(&c->seven, q->kernel, seven_pixels(c), c->m, c->cg) || !ln_seven_floats(&c->seven, &c->packed))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Conv: the weights are too large");
    c->tasks = c->pixels / seven_pixels(c) * c->seven.tasks;
    c->pack_tasks = ln_seven_steps(&c->seven, q->kernel);
    q->scratch = c->seven.scratch;
    if (ln_conv_flat(&c->win))
        return LINNET_OK;
    c->rows = LN_MAX((size_t)LN_CHUNK / c->cg, (size_t)1);
    c->pad_tasks = ln_ceil_div(c->pixels, c->rows);
    if (!ln_mul(c->pixels, seven_pitch(c), &c->pad_floats))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Conv: the input is too large");
    return LINNET_OK;
}

static void seven_pack(const ln_conv *c, const ln_kernels *kernel, const void *w, float *out, size_t task)
{
    const ln_dense_b b = { 1, 0, 1, c->cg, 1.0f, 0 };

    ln_seven_pack(&c->seven, kernel, &b, w, out, task);
}

/* Some of the pixels that a stride leaves. */
static void seven_gather(const ln_run *r, const ln_conv *c, const float *x, float *out, size_t task)
{
    const ln_win *w = &c->win;
    const size_t first = task * c->rows, end = LN_MIN(first + c->rows, c->pixels), pitch = seven_pitch(c);
    ln_pixel o = ln_pixel_at(w->out, first);

    LN_UNUSED(r);
    for (size_t i = first; i < end; i++) {
        const size_t plane = o.n * w->in[0] + o.at[0] * w->stride[0], row = plane * w->in[1] + o.at[1] * w->stride[1];

        memcpy(out + i * pitch, x + (row * w->in[2] + o.at[2] * w->stride[2]) * c->cg, c->cg * sizeof *out);
        ln_pixel_next(w->out, &o);
    }
}

static void seven_run(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t task)
{
    const ln_gemm_f32 g = { c->m, c->cg, 1, d->weight, d->bias, c->act };
    const size_t at = task / c->seven.tasks * seven_pixels(c), pitch = seven_pitch(c);

    ln_seven_run(&c->seven, r->kernel, &g, d->x + at * pitch, pitch, d->y + at * c->ldy, c->ldy,
                 d->add ? d->add + at * c->m : NULL, c->m, r->scratch, task % c->seven.tasks);
}

const ln_conv_way ln_conv_seven = {
    .name = "seven", .applicable = seven_applicable, .prepare = seven_prepare, .pack = seven_pack, .pad = seven_gather,
    .run = seven_run,
};

#undef SEVEN_REUSE
