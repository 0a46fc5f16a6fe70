/*
 * softmax.c - Softmax, LogSoftmax and Hardmax along one axis.
 *
 * A row along the last axis is one kernel call. Along another axis the elements of a row lie
 * `inner` apart: they are gathered into scratch, computed there, and put back. Small floats are
 * computed in f32, f64 by plain loops in double.
 */
#include "op.h"

#include <math.h>

typedef struct param { int64_t axis; } param;
typedef void (*softmax_row)(size_t n, const float *x, float *y);
typedef struct state { softmax_row row; size_t n, inner, rows, per; } state;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const int32_t t = q->in[0].dtype;
    int32_t axis;

    if (t != LINNET_F32 && t != LINNET_F64 && t != LINNET_F16 && t != LINNET_BF16)
        return ln_fail_type(q->err, 0, t);
    if (!ln_axis(p->axis, q->in[0].rank, &axis))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Softmax: axis %lld outside a tensor of rank %d", (long long)p->axis,
                       (int)q->in[0].rank);
    q->out[0] = q->in[0];
    return LINNET_OK;
}

static void softmax_hard(size_t n, const float *x, float *y)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    for (size_t i = 0; i < n; i++)
        y[i] = i == best ? 1.0f : 0.0f;
}

static linnet_status softmax_prepare(ln_prepare *q, softmax_row row)
{
    const param *p = q->param;
    const ln_desc *d = &q->in[0];
    state *s = q->state;
    int32_t axis;
    size_t bytes;

    if (!ln_axis(p->axis, d->rank, &axis))
        return LINNET_ERR_SHAPE;
    s->row = row;
    s->n = (size_t)d->dim[axis];
    s->inner = ln_count_range(d, axis + 1, d->rank);
    s->rows = ln_count(d) ? ln_count(d) / s->n : 0;
    s->per = LN_MAX((size_t)1, LN_CHUNK / 4 / LN_MAX(s->n, (size_t)1));
    q->tasks[0] = ln_ceil_div(s->rows, s->per);
    q->work = 8 * (double)ln_count(d);
    if (s->inner > 1 || d->dtype != LINNET_F32) {
        if (!ln_mul(s->n, sizeof(double), &bytes))
            return LINNET_ERR_LIMIT;
        q->scratch = bytes;
    }
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q) { return softmax_prepare(q, q->kernel->softmax_f32); }
static linnet_status log_prepare(ln_prepare *q) { return softmax_prepare(q, q->kernel->log_softmax_f32); }
static linnet_status hard_prepare(ln_prepare *q) { return softmax_prepare(q, softmax_hard); }

static void softmax_f64(const ln_kernels *k, const state *s, double *x)
{
    double top = x[0], sum = 0;
    size_t best = 0;

    for (size_t i = 1; i < s->n; i++) {
        best = x[i] > x[best] ? i : best;
        top = x[i] > top || x[i] != x[i] ? x[i] : top;
    }
    for (size_t i = 0; i < s->n; i++)
        sum += exp(x[i] - top);
    for (size_t i = 0; i < s->n; i++)
        x[i] = s->row == softmax_hard ? (double)(i == best)
             : s->row == k->log_softmax_f32 ? x[i] - top - log(sum) : exp(x[i] - top) / sum;
}

/* A row whose elements are `inner` apart, or not f32: through scratch. */
static void softmax_strided(const ln_run *r, const state *s, size_t from)
{
    const int32_t t = r->in_desc[0].dtype;

    if (t == LINNET_F64) {
        double *x = r->scratch;
        for (size_t i = 0; i < s->n; i++)
            x[i] = ((const double *)r->in[0])[from + i * s->inner];
        softmax_f64(r->kernel, s, x);
        for (size_t i = 0; i < s->n; i++)
            ((double *)r->out[0])[from + i * s->inner] = x[i];
        return;
    }
    float *x = r->scratch;
    const size_t size = ln_dtype(t)->bits / 8u;
    for (size_t i = 0; i < s->n; i++)
        ln_to_f32(t, (const char *)r->in[0] + (from + i * s->inner) * size, 1, x + i);
    s->row(s->n, x, x);
    for (size_t i = 0; i < s->n; i++)
        ln_from_f32(t, x + i, 1, (char *)r->out[0] + (from + i * s->inner) * size);
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const size_t begin = r->task * s->per, end = LN_MIN(s->rows, begin + s->per);

    for (size_t row = begin; row < end; row++) {
        const size_t from = row / s->inner * s->n * s->inner + row % s->inner;
        if (s->inner == 1 && r->in_desc[0].dtype == LINNET_F32)
            s->row(s->n, (const float *)r->in[0] + from, (float *)r->out[0] + from);
        else
            softmax_strided(r, s, from);
    }
    return LINNET_OK;
}

static bool permute(ln_permute *q)
{
    return ln_permute_axis(q, &((param *)q->param)->axis);
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), -1, false },
    { 0 },
};

const ln_op ln_op_softmax = {
    .name = "Softmax", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .inplace = 1, .infer = infer, .prepare = prepare, .run = run, .permute = permute,
};

const ln_op ln_op_log_softmax = {
    .name = "LogSoftmax", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .inplace = 1, .infer = infer, .prepare = log_prepare, .run = run, .permute = permute,
};

const ln_op ln_op_hardmax = {
    .name = "Hardmax", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .inplace = 1, .infer = infer, .prepare = hard_prepare, .run = run, .permute = permute,
};
