/*
 * dft.c - DFT and STFT: lines of a signal, or of its frames, through fft.h.
 *
 * Signals are [..., n, 1] (real) or [..., n, 2] (complex). The inverse is the transform of the conjugate,
 * conjugated; of a one-sided spectrum it is real, and the missing bins mirror those given.
 */
#include "fft.h"

typedef struct param { int64_t inverse, onesided; } param;
typedef struct state {
    int64_t dft_length, step, frame;
    int32_t axis;
    bool    window;
    size_t  lines, per; /* in all, and of a task */
    ln_fft  fft;
} state;

static bool dft_type_ok(int32_t t) { return ln_dtype(t)->kind == LN_KIND_FLOAT && ln_dtype(t)->bits >= 16; }

static inline double dft_get(int32_t type, const void *x, size_t i)
{
    return type == LINNET_F32 ? (double)((const float *)x)[i] : ln_get_f64(type, x, i);
}

static inline void dft_put(int32_t type, void *y, size_t i, double v)
{
    if (type == LINNET_F32)
        ((float *)y)[i] = (float)v;
    else
        ln_set_f64(type, y, i, v);
}

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
    const bool half = p->onesided && p->inverse;
    int64_t axis, length;
    linnet_status st = dft_number(in_count, in, value, 2, -2, &axis);

    if (st == LN_WAIT)
        return st;
    if (!dft_type_ok(x->dtype))
        return ln_fail_type(err, 0, x->dtype);
    if (st || x->rank < 2 || !ln_axis(axis, x->rank, &s->axis) || s->axis == x->rank - 1 ||
        (x->dim[x->rank - 1] != 1 && x->dim[x->rank - 1] != 2))
        return ln_fail(err, LINNET_ERR_SHAPE, "DFT: the signal or its axis is not possible");
    st = dft_number(in_count, in, value, 1, half ? 2 * x->dim[s->axis] - 2 : x->dim[s->axis], &length);
    if (st == LN_WAIT)
        return st;
    if (st || length < 1 || length > INT32_MAX || (half && x->dim[x->rank - 1] != 2))
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
    q->out[0] = q->in[0];
    q->out[0].dim[s.axis] = p->onesided && !p->inverse ? s.dft_length / 2 + 1 : s.dft_length;
    q->out[0].dim[q->out[0].rank - 1] = p->onesided && p->inverse ? 1 : 2;
    return LINNET_OK;
}

/* Tasks of some lines each, two buffers for each worker. */
static linnet_status dft_tasks(ln_prepare *q, state *s, size_t n, bool real)
{
    const linnet_status st = ln_fft_plan(q, n, real, &s->fft);

    if (st)
        return st;
    s->per = LN_MAX(LN_CHUNK / n, (size_t)1);
    q->tasks[0] = ln_ceil_div(s->lines, s->per);
    q->work = (double)s->lines * (double)n * 8;
    q->scratch = 4 * (n + 1) * sizeof(double);
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const ln_desc *x = &q->in[0];
    state *s = q->state;
    const linnet_status st = dft_setup(q->param, q->in_count, q->in, q->value, s, q->err);

    if (st)
        return st == LN_WAIT ? LINNET_ERR_UNSUPPORTED : st;
    s->lines = ln_count(&q->out[0]) ? ln_count_range(x, 0, s->axis) * ln_count_range(x, s->axis + 1, x->rank - 1) : 0;
    return dft_tasks(q, s, (size_t)s->dft_length, x->dim[x->rank - 1] == 1);
}

/* A line of `given` numbers or pairs from x[from] on, `step` elements apart; zeros behind them. */
static void dft_load(const ln_run *r, size_t from, size_t step, size_t given, double *to)
{
    const state *s = r->state;
    const param *p = r->param;
    const int32_t type = r->in_desc[0].dtype;
    const size_t n = s->fft.n;

    memset(to, 0, (s->fft.real ? n : 2 * n) * sizeof *to);
    if (s->fft.real) {
        for (size_t t = 0; t < given; t++)
            to[t] = dft_get(type, r->in[0], from + t * step);
        return;
    }
    const double sign = p->inverse ? -1 : 1;
    const bool half = p->onesided && p->inverse;
    for (size_t t = 0; t < (half ? LN_MIN(given, n / 2 + 1) : given); t++) {
        to[2 * t] = dft_get(type, r->in[0], from + t * step);
        to[2 * t + 1] = sign * dft_get(type, r->in[0], from + t * step + 1);
    }
    for (size_t t = n / 2 + 1; half && t < n; t++) {
        to[2 * t] = to[2 * (n - t)];
        to[2 * t + 1] = -to[2 * (n - t) + 1];
    }
}

/* The first `outs` bins to y[to] on, `step` elements apart. */
static void dft_store(const ln_run *r, const double *bin, size_t outs, size_t to, size_t step)
{
    const state *s = r->state;
    const param *p = r->param;
    const ln_desc *y = &r->out_desc[0];
    const bool pairs = y->dim[y->rank - 1] == 2;
    const double scale = p->inverse ? 1.0 / (double)s->fft.n : 1, sign = p->inverse ? -scale : scale;

    for (size_t k = 0; k < outs; k++) {
        const bool mirror = s->fft.real && k > s->fft.n / 2;
        const double *v = bin + 2 * (mirror ? s->fft.n - k : k);
        dft_put(y->dtype, r->out[0], to + k * step, scale * v[0]);
        if (pairs)
            dft_put(y->dtype, r->out[0], to + k * step + 1, (mirror ? -sign : sign) * v[1]);
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const ln_desc *x = &r->in_desc[0], *y = &r->out_desc[0];
    const size_t parts = (size_t)x->dim[x->rank - 1], back = (size_t)y->dim[y->rank - 1];
    const size_t given = LN_MIN((size_t)x->dim[s->axis], s->fft.n), outs = (size_t)y->dim[s->axis];
    const size_t inner = ln_count_range(x, s->axis + 1, x->rank - 1);
    const size_t first = r->task * s->per, last = LN_MIN(first + s->per, s->lines);
    double *a = r->scratch, *b = a + 2 * (s->fft.n + 1);

    for (size_t line = first; line < last && r->out[0]; line++) {
        const size_t o = line / inner, i = line % inner;
        dft_load(r, (o * (size_t)x->dim[s->axis] * inner + i) * parts, inner * parts, given, a);
        dft_store(r, ln_fft_run(&s->fft, a, b), outs, (o * outs * inner + i) * back, inner * back);
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
        s->frame > x->dim[1] || s->frame > INT32_MAX || (s->window && (window != s->frame || in[2].dtype != x->dtype)))
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
    state *s = q->state;
    const linnet_status st = stft_setup(q->in_count, q->in, q->value, s, q->err);

    if (st)
        return st == LN_WAIT ? LINNET_ERR_UNSUPPORTED : st;
    s->lines = ln_count(&q->out[0]) ? (size_t)(q->out[0].dim[0] * q->out[0].dim[1]) : 0;
    return dft_tasks(q, s, (size_t)s->frame, q->in[0].dim[2] == 1);
}

static linnet_status stft_run(const ln_run *r)
{
    const state *s = r->state;
    const ln_desc *x = &r->in_desc[0], *y = &r->out_desc[0];
    const size_t frames = (size_t)y->dim[1], bins = (size_t)y->dim[2], n = (size_t)s->frame, parts = (size_t)x->dim[2];
    const size_t first = r->task * s->per, last = LN_MIN(first + s->per, s->lines);
    double *a = r->scratch, *b = a + 2 * (n + 1);

    for (size_t line = first; line < last && r->out[0]; line++) {
        const size_t from = line / frames * (size_t)x->dim[1] + line % frames * (size_t)s->step;
        dft_load(r, from * parts, parts, n, a);
        for (size_t t = 0; s->window && t < n; t++) {
            const double weight = dft_get(x->dtype, r->in[2], t);
            for (size_t i = 0; i < parts; i++)
                a[t * parts + i] *= weight;
        }
        dft_store(r, ln_fft_run(&s->fft, a, b), bins, line * bins * 2, 2);
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
