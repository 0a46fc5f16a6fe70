/*
 * batch_norm.c - BatchNormalization, where no matrix layer could absorb it.
 *
 * y = x * a + b with one a and b per channel: a = scale / sqrt(var + epsilon), b = bias - mean * a.
 * They are made once where all four are constant, else in a first phase; in training mode that
 * phase takes mean and variance from the data and moves the running ones.
 */
#include "window.h"

#include <math.h>

typedef struct param {
    float   epsilon, momentum, act_a, act_b;
    int64_t training_mode, channels_last, act;
} param;
typedef struct state {
    size_t       n, c, pixels;
    size_t       step;    /* rows of c (channels last), or planes, of a task */
    const void  *scale;   /* c scales, c shifts: float for f32, else double; NULL: in the workspace */
    int32_t      outputs;
} state;

enum { BATCH_CHANNELS = 64 }; /* of a task of the first phase */

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0];
    const int32_t axis = x->rank > 1 ? ln_channel_axis(x, p->channels_last != 0) : 0;
    const int64_t c = x->rank > 1 ? x->dim[axis] : 1;

    if (x->rank < 1)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "BatchNormalization: the input is a scalar");
    for (int32_t i = 0; i < 5; i++) {
        const int32_t type = q->in[i].dtype;
        if (type != LINNET_F32 && type != LINNET_F64 && type != LINNET_F16 && type != LINNET_BF16)
            return ln_fail_type(q->err, i, type);
        if (i > 0 && (q->in[i].rank != 1 || q->in[i].dim[0] != c))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "BatchNormalization: input %d does not have the "
                           "%lld elements that there are channels", (int)i, (long long)c);
    }
    if (q->out_count > 1 && !p->training_mode)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED,
                       "BatchNormalization: running mean and variance without training_mode");
    q->out[0] = *x;
    for (int32_t i = 1; i < q->out_count; i++)
        q->out[i] = q->in[i + 2];
    return LINNET_OK;
}

typedef struct batch_source {
    const void *v[5];
    int32_t     type[5];
    double      epsilon;
} batch_source;

/* a and b of channel i of c, into arrays for data of type `type`. */
static void batch_fold(const batch_source *u, size_t i, size_t c, double mean, double var, int32_t type,
                       void *out)
{
    const double a = ln_get_f64(u->type[1], u->v[1], i) / sqrt(var + u->epsilon);
    const double b = ln_get_f64(u->type[2], u->v[2], i) - mean * a;
    const int32_t to = type == LINNET_F32 ? LINNET_F32 : LINNET_F64;

    ln_set_f64(to, out, i, a);
    ln_set_f64(to, out, c + i, b);
}

static batch_source batch_inputs(const ln_desc *in, const void *const *v, float epsilon)
{
    batch_source u = { { NULL }, { 0 }, epsilon };

    for (int32_t i = 1; i < 5; i++) {
        u.v[i] = v[i];
        u.type[i] = in[i].dtype;
    }
    return u;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0];
    const bool last = p->channels_last != 0;
    const int32_t axis = x->rank > 1 ? ln_channel_axis(x, last) : 0;
    state *s = q->state;

    if (ln_count(x) == 0 && q->out_count < 2) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    s->outputs = q->out_count;
    s->n = (size_t)x->dim[0];
    s->c = x->rank > 1 ? (size_t)x->dim[axis] : 1;
    s->pixels = x->rank > 1 ? ln_count_range(x, 1, axis) * ln_count_range(x, axis + 1, x->rank) : 1;
    const size_t row = last ? s->c : s->pixels, rows = last ? s->n * s->pixels : s->n * s->c;
    s->step = LN_MAX((size_t)LN_CHUNK / LN_MAX(row, (size_t)1), (size_t)1);
    q->phases = 2;
    q->tasks[0] = ln_ceil_div(s->c, BATCH_CHANNELS);
    q->tasks[1] = row ? ln_ceil_div(rows, s->step) : 0;
    q->work = (double)ln_count(x);
    size_t bytes;
    if (!ln_mul(s->c, 2 * sizeof(double), &bytes))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "BatchNormalization: too many channels");
    if (p->training_mode || !q->value[1] || !q->value[2] || !q->value[3] || !q->value[4]) {
        q->workspace = bytes;
        return LINNET_OK;
    }
    void *scale = ln_plan_alloc(q, s->c, 2 * sizeof(double));
    if (!scale)
        return ln_fail(q->err, LINNET_ERR_MEMORY, "BatchNormalization: out of memory");
    const batch_source u = batch_inputs(q->in, q->value, p->epsilon);
    for (size_t i = 0; i < s->c; i++)
        batch_fold(&u, i, s->c, ln_get_f64(u.type[3], u.v[3], i), ln_get_f64(u.type[4], u.v[4], i), x->dtype,
                   scale);
    s->scale = scale;
    q->tasks[0] = 0;
    return LINNET_OK;
}

static size_t batch_at(const state *s, bool last, size_t n, size_t c, size_t pixel)
{
    return last ? (n * s->pixels + pixel) * s->c + c : (n * s->c + c) * s->pixels + pixel;
}

/* Mean and population variance of a channel of the data. */
static void batch_moments(const ln_run *r, const state *s, bool last, size_t c, double *mean, double *var)
{
    const double count = (double)s->n * (double)s->pixels;
    double sum = 0.0, square = 0.0;

    for (size_t n = 0; n < s->n; n++)
        for (size_t i = 0; i < s->pixels; i++)
            sum += ln_get_f64(r->in_desc[0].dtype, r->in[0], batch_at(s, last, n, c, i));
    *mean = sum / count;
    for (size_t n = 0; n < s->n; n++)
        for (size_t i = 0; i < s->pixels; i++) {
            const double d = ln_get_f64(r->in_desc[0].dtype, r->in[0], batch_at(s, last, n, c, i)) - *mean;
            square += d * d;
        }
    *var = square / count;
}

static void batch_first(const ln_run *r, const state *s, bool last)
{
    const param *p = r->param;
    const batch_source u = batch_inputs(r->in_desc, r->in, p->epsilon);
    const size_t from = r->task * BATCH_CHANNELS, end = LN_MIN(from + BATCH_CHANNELS, s->c);

    for (size_t i = from; i < end; i++) {
        double v[2] = { ln_get_f64(u.type[3], u.v[3], i), ln_get_f64(u.type[4], u.v[4], i) };
        const double old[2] = { v[0], v[1] };

        if (p->training_mode) {
            batch_moments(r, s, last, i, &v[0], &v[1]);
            for (int32_t k = 0; k + 1 < s->outputs; k++)
                if (r->out[k + 1])
                    ln_set_f64(r->out_desc[k + 1].dtype, r->out[k + 1], i,
                               old[k] * p->momentum + v[k] * (1.0 - p->momentum));
        }
        batch_fold(&u, i, s->c, v[0], v[1], r->in_desc[0].dtype, r->workspace);
    }
}

static void batch_plain(const ln_run *r, const state *s, const double *scale, size_t from, size_t end, bool last)
{
    const param *p = r->param;
    const int32_t type = r->in_desc[0].dtype;
    const size_t row = last ? s->c : s->pixels;

    for (size_t i = from * row; i < end * row; i++) {
        const size_t c = last ? i % s->c : i / s->pixels % s->c;
        double v = ln_get_f64(type, r->in[0], i) * scale[c] + scale[s->c + c];
        if (p->act != LN_FN_NONE) {
            float f = (float)v;
            r->kernel->unary_f32[p->act](1, &f, &f, p->act_a, p->act_b);
            v = f;
        }
        ln_set_f64(type, r->out[0], i, v);
    }
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const bool last = p->channels_last != 0;
    const size_t rows = last ? s->n * s->pixels : s->n * s->c, row = last ? s->c : s->pixels;
    const size_t from = r->task * s->step, end = LN_MIN(from + s->step, rows);
    const void *folded = s->scale ? s->scale : r->workspace;
    const float *scale = folded;
    const ln_act act = { (int32_t)p->act, p->act_a, p->act_b };

    if (r->phase == 0) {
        batch_first(r, s, last);
        return LINNET_OK;
    }
    if (r->in_desc[0].dtype != LINNET_F32) {
        batch_plain(r, s, folded, from, end, last);
        return LINNET_OK;
    }
    const float *x = (const float *)r->in[0] + from * row;
    float *y = (float *)r->out[0] + from * row;
    if (last) {
        r->kernel->scale_shift_f32(end - from, s->c, x, scale, scale + s->c, act, y);
        return LINNET_OK;
    }
    for (size_t i = from; i < end; i++, x += row, y += row) {
        r->kernel->unary_f32[LN_FN_AFFINE](row, x, y, scale[i % s->c], scale[s->c + i % s->c]);
        if (act.fn != LN_FN_NONE)
            r->kernel->unary_f32[act.fn](row, y, y, act.a, act.b);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "epsilon", LN_ATTR_F32, offsetof(param, epsilon), 1e-5, false },
    { "momentum", LN_ATTR_F32, offsetof(param, momentum), 0.9, false },
    { "training_mode", LN_ATTR_I64, offsetof(param, training_mode), 0, false },
    { "ln.channels_last", LN_ATTR_I64, offsetof(param, channels_last), 0, false },
    { "ln.act", LN_ATTR_I64, offsetof(param, act), 0, false },
    { "ln.act_a", LN_ATTR_F32, offsetof(param, act_a), 0, false },
    { "ln.act_b", LN_ATTR_F32, offsetof(param, act_b), 0, false },
    { 0 },
};

const ln_op ln_op_batch_normalization = {
    .name = "BatchNormalization", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 5, .in_max = 5, .out_min = 1, .out_max = 3, .flags = LN_OP_SPATIAL | LN_OP_ACT, .inplace = 1u,
    .infer = infer, .prepare = prepare, .run = run,
};
