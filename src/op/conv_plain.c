/*
 * conv_plain.c - convolution by definition, summed in double, one output element after another.
 */
#include "conv.h"

typedef struct plain_conv {
    const ln_conv *c;
    const void    *x, *w;
    ln_steps       at; /* strides of the input */
} plain_conv;

static double plain_sum(const plain_conv *u, const ln_pixel *o, size_t m)
{
    const ln_conv *c = u->c;
    const ln_win *w = &c->win;
    const size_t taps = ln_win_taps(w), g = m / c->mg;
    double sum = 0.0;

    for (size_t t = 0; t < (c->cg ? taps : 0); t++) {
        const ln_pixel k = ln_pixel_at(w->kernel, t);
        size_t in, at = o->n * u->at.n + g * c->cg * u->at.c;
        bool inside = true;

        for (int32_t i = 0; i < LN_WIN_AXES; i++) {
            inside = inside && ln_win_at(w, i, o->at[i], k.at[i], &in);
            at += inside ? in * u->at.at[i] : 0;
        }
        for (size_t ch = 0; inside && ch < c->cg; ch++)
            sum += ln_get_f64(c->dtype, u->x, at + ch * u->at.c)
                   * ln_get_f64(c->dtype, u->w, (m * c->cg + ch) * taps + t);
    }
    return sum;
}

void ln_conv_plain(const ln_run *r, const ln_conv *c, bool last, size_t task)
{
    const size_t count = ln_count(&r->out_desc[0]), from = task * LN_CONV_PLAIN_STEP;
    const size_t end = LN_MIN(from + LN_CONV_PLAIN_STEP, count), pixels = ln_pixels(c->win.out);
    const plain_conv u = { c, r->in[0], r->in[1], ln_win_strides(c->win.c, c->win.in, last) };

    for (size_t i = from; i < end; i++) {
        const size_t ch = last ? i % c->m : i / pixels % c->m;
        const size_t p = last ? i / c->m : i / (pixels * c->m) * pixels + i % pixels;
        const ln_pixel o = ln_pixel_at(c->win.out, p);
        double v = r->in[0] ? plain_sum(&u, &o, ch) : 0.0;

        if (c->has_bias)
            v += ln_get_f64(c->dtype, r->in[LN_BIAS], ch);
        if (c->has_add)
            v += ln_get_f64(c->dtype, r->in[LN_RESIDUAL], i);
        if (c->act.fn != LN_FN_NONE) {
            float f = (float)v;
            r->kernel->unary_f32[c->act.fn](1, &f, &f, c->act.a, c->act.b);
            v = f;
        }
        ln_set_f64(c->dtype, r->out[0], i, v);
    }
}
