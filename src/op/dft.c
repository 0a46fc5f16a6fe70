/*
 * dft.c - DFT and STFT by definition: sums of products with roots of one, in double.
 *
 * Signals are [..., n, 1] (real) or [..., n, 2] (complex). The roots are computed from the product of
 * indices modulo the length, so that no angle grows.
 */
#include "op.h"

#include <math.h>

typedef struct param { int64_t inverse, onesided; } param;
typedef struct state { int64_t dft_length; int32_t axis; int64_t step, frame; bool window; } state;

static bool dft_type_ok(int32_t t) { return ln_dtype(t)->kind == LN_KIND_FLOAT && ln_dtype(t)->bits >= 16; }

/* One integer input, or the preset where it is absent. LN_WAIT, or LINNET_ERR_SHAPE. */
static linnet_status dft_number(int32_t in_count, const ln_desc *in, const void *const *value, int32_t i,
                                int64_t preset, int64_t *out)
{
    *out = preset;
    if (i >= in_count || in[i].dtype == 0)
        return LINNET_OK;
    if (ln_count(&in[i]) != 1 || (in[i].dtype != LINNET_I64 && in[i].dtype != LINNET_I32))
        return LINNET_ERR_SHAPE;
    if (!value[i])
        return LN_WAIT;
    *out = ln_get_i64(in[i].dtype, value[i], 0);
    return LINNET_OK;
}

static linnet_status dft_setup(const param *p, int32_t in_count, const ln_desc *in, const void *const *value, state *s,
                               linnet_error *err)
{
    const ln_desc *x = &in[0];
    int64_t axis, length;
    linnet_status st = dft_number(in_count, in, value, 2, -2, &axis);

    if (st == LN_WAIT)
        return st;
    if (!dft_type_ok(x->dtype))
        return ln_fail_type(err, 0, x->dtype);
    if (st || x->rank < 2 || !ln_axis(axis, x->rank, &s->axis) || s->axis == x->rank - 1 ||
        (x->dim[x->rank - 1] != 1 && x->dim[x->rank - 1] != 2))
        return ln_fail(err, LINNET_ERR_SHAPE, "DFT: the signal or its axis is not possible");
    st = dft_number(in_count, in, value, 1, x->dim[s->axis], &length);
    if (st == LN_WAIT)
        return st;
    if (st || length < 1 || (p->onesided && p->inverse && x->dim[x->rank - 1] != 2))
        return ln_fail(err, LINNET_ERR_SHAPE, "DFT: a length of %lld is not possible", (long long)length);
    s->dft_length = length;
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    state s;
    const linnet_status st = dft_setup(p, q->in_count, q->in, q->value, &s, q->err);

    if (st)
        return st;
    if (p->onesided && p->inverse)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "DFT: the inverse of a one-sided spectrum is not supported");
    q->out[0] = q->in[0];
    q->out[0].dim[s.axis] = p->onesided ? s.dft_length / 2 + 1 : s.dft_length;
    q->out[0].dim[q->out[0].rank - 1] = 2;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const linnet_status st = dft_setup(q->param, q->in_count, q->in, q->value, q->state, q->err);

    return st == LN_WAIT ? LINNET_ERR_UNSUPPORTED : st;
}

/* exp(2 pi i k / n), k reduced first. */
static void dft_root(uint64_t k, uint64_t n, bool inverse, double *re, double *im)
{
    const double angle = 6.283185307179586 * (double)(k % n) / (double)n;

    *re = cos(angle);
    *im = inverse ? sin(angle) : -sin(angle);
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const ln_desc *x = &r->in_desc[0], *y = &r->out_desc[0];
    const size_t parts = (size_t)x->dim[x->rank - 1], n = (size_t)s->dft_length;
    const size_t given = LN_MIN((size_t)x->dim[s->axis], n), outs = (size_t)y->dim[s->axis];
    const size_t outer = ln_count_range(x, 0, s->axis), inner = ln_count_range(x, s->axis + 1, x->rank - 1);

    for (size_t line = 0; line < outer * inner && r->out[0]; line++) {
        const size_t o = line / inner, i = line % inner;
        for (size_t k = 0; k < outs; k++) {
            double re = 0, im = 0, c, w;
            for (size_t t = 0; t < given; t++) {
                const size_t at = ((o * (size_t)x->dim[s->axis] + t) * inner + i) * parts;
                const double a = ln_get_f64(x->dtype, r->in[0], at);
                const double b = parts == 2 ? ln_get_f64(x->dtype, r->in[0], at + 1) : 0;
                dft_root((uint64_t)k * t, n, p->inverse != 0, &c, &w);
                re += a * c - b * w;
                im += a * w + b * c;
            }
            const double scale = p->inverse ? 1.0 / (double)n : 1.0;
            const size_t to = ((o * outs + k) * inner + i) * 2;
            ln_set_f64(y->dtype, r->out[0], to, re * scale);
            ln_set_f64(y->dtype, r->out[0], to + 1, im * scale);
        }
    }
    return LINNET_OK;
}

/* ---- STFT: [batch, length, 1 or 2] to [batch, frames, bins, 2] ------------------------------------- */

static linnet_status stft_setup(int32_t in_count, const ln_desc *in, const void *const *value, state *s,
                                linnet_error *err)
{
    const ln_desc *x = &in[0];
    const int64_t window = in_count > 2 && in[2].dtype && in[2].rank == 1 ? in[2].dim[0] : -1;

    if (!dft_type_ok(x->dtype))
        return ln_fail_type(err, 0, x->dtype);
    const linnet_status a = dft_number(in_count, in, value, 1, 0, &s->step);
    const linnet_status b = dft_number(in_count, in, value, 3, window, &s->frame);
    if (a == LN_WAIT || b == LN_WAIT)
        return LN_WAIT;
    s->window = window >= 0;
    if (a || b || x->rank != 3 || (x->dim[2] != 1 && x->dim[2] != 2) || s->step < 1 || s->frame < 1 ||
        s->frame > x->dim[1] || (s->window && (window != s->frame || in[2].dtype != x->dtype)))
        return ln_fail(err, LINNET_ERR_SHAPE, "STFT: signal, step, window and frame do not fit together");
    return LINNET_OK;
}

static linnet_status stft_infer(const ln_infer *q)
{
    const param *p = q->param;
    state s;
    const linnet_status st = stft_setup(q->in_count, q->in, q->value, &s, q->err);

    if (st)
        return st;
    q->out[0] = ln_desc_of(q->in[0].dtype, 4, (int64_t[]){ q->in[0].dim[0], (q->in[0].dim[1] - s.frame) / s.step + 1,
                                                           p->onesided ? s.frame / 2 + 1 : s.frame, 2 });
    return LINNET_OK;
}

static linnet_status stft_prepare(ln_prepare *q)
{
    const linnet_status st = stft_setup(q->in_count, q->in, q->value, q->state, q->err);

    q->tasks[0] = ln_count(&q->out[0]) ? (size_t)(q->out[0].dim[0] * q->out[0].dim[1]) : 0;
    return st == LN_WAIT ? LINNET_ERR_UNSUPPORTED : st;
}

static linnet_status stft_run(const ln_run *r)
{
    const state *s = r->state;
    const ln_desc *x = &r->in_desc[0], *y = &r->out_desc[0];
    const size_t frames = (size_t)y->dim[1], bins = (size_t)y->dim[2], n = (size_t)s->frame, parts = (size_t)x->dim[2];
    const size_t first = r->task / frames * (size_t)x->dim[1] + r->task % frames * (size_t)s->step;

    for (size_t k = 0; k < bins; k++) {
        double re = 0, im = 0, c, w;
        for (size_t t = 0; t < n; t++) {
            const double weight = s->window ? ln_get_f64(x->dtype, r->in[2], t) : 1;
            const double a = weight * ln_get_f64(x->dtype, r->in[0], (first + t) * parts);
            const double b = parts == 2 ? weight * ln_get_f64(x->dtype, r->in[0], (first + t) * parts + 1) : 0;
            dft_root((uint64_t)k * t, n, false, &c, &w);
            re += a * c - b * w;
            im += a * w + b * c;
        }
        ln_set_f64(y->dtype, r->out[0], (r->task * bins + k) * 2, re);
        ln_set_f64(y->dtype, r->out[0], (r->task * bins + k) * 2 + 1, im);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "inverse", LN_ATTR_I64, offsetof(param, inverse), 0, false },
    { "onesided", LN_ATTR_I64, offsetof(param, onesided), 0, false },
    { 0 },
};

static const ln_attr stft_attr[] = {
    { "onesided", LN_ATTR_I64, offsetof(param, onesided), 1, false },
    { 0 },
};

const ln_op ln_op_dft = {
    .name = "DFT", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state), .in_min = 1, .in_max = 3,
    .infer = infer, .prepare = prepare, .run = run,
};

const ln_op ln_op_stft = {
    .name = "STFT", .attr = stft_attr, .param_size = sizeof(param), .state_size = sizeof(state), .in_min = 2,
    .in_max = 4, .infer = stft_infer, .prepare = stft_prepare, .run = stft_run,
};
