/*
 * causal_conv.c - CausalConvWithState: a depthwise convolution over time that remembers the
 * last k - 1 inputs from one call to the next.
 *
 * A task is some channels. Each is put behind its past in the scratch; every output is then
 * k products of that row.
 */
#include "op.h"

#include <math.h>

typedef struct param { const char *activation; } param;
typedef struct state {
    size_t  n, c, length, k, step; /* step: rows (image, channel) of a task */
    bool    bias, past, silu;
    int32_t outputs;
} state;

enum { CAUSAL_BIAS = 2, CAUSAL_PAST = 3 };

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0], *w = &q->in[1];
    const ln_desc *bias = q->in_count > CAUSAL_BIAS ? &q->in[CAUSAL_BIAS] : NULL;
    const ln_desc *past = q->in_count > CAUSAL_PAST ? &q->in[CAUSAL_PAST] : NULL;

    if (x->dtype != LINNET_F32 && x->dtype != LINNET_F64 && x->dtype != LINNET_F16 && x->dtype != LINNET_BF16)
        return ln_fail_type(q->err, 0, x->dtype);
    for (int32_t i = 1; i < q->in_count; i++)
        if (q->in[i].dtype && q->in[i].dtype != x->dtype)
            return ln_fail_type(q->err, i, q->in[i].dtype);
    if (!ln_is(p->activation, "none", "none") && !ln_is(p->activation, "none", "silu")
        && !ln_is(p->activation, "none", "swish"))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "CausalConvWithState: activation \"%s\"", p->activation);
    if (x->rank != 3 || w->rank != 3 || w->dim[0] != x->dim[1] || w->dim[1] != 1 || w->dim[2] < 1)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "CausalConvWithState: needs an input N x C x length and weights "
                       "C x 1 x k");
    if (bias && bias->dtype && (bias->rank != 1 || bias->dim[0] != x->dim[1]))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "CausalConvWithState: the bias does not have %lld elements",
                       (long long)x->dim[1]);
    ln_desc state_desc = *x;
    state_desc.dim[2] = w->dim[2] - 1;
    if (past && past->dtype && !ln_same_shape(past, &state_desc))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "CausalConvWithState: past_state does not hold %lld inputs of each "
                       "channel", (long long)state_desc.dim[2]);
    q->out[0] = *x;
    if (q->out_count > 1)
        q->out[1] = state_desc;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0];
    state *s = q->state;
    size_t row;

    s->n = (size_t)x->dim[0];
    s->c = (size_t)x->dim[1];
    s->length = (size_t)x->dim[2];
    s->k = (size_t)q->in[1].dim[2];
    s->bias = q->in_count > CAUSAL_BIAS && q->in[CAUSAL_BIAS].dtype;
    s->past = q->in_count > CAUSAL_PAST && q->in[CAUSAL_PAST].dtype;
    s->silu = !ln_is(p->activation, "none", "none");
    s->outputs = q->out_count;
    /* Past and input, output, weights: in doubles for f64. */
    if (!ln_add(s->length, s->k, &row) || !ln_mul(row, 2 * sizeof(double), &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "CausalConvWithState: the input is too long");
    const double each = (double)(s->length + 1) * (double)s->k + (double)s->length;
    s->step = (size_t)(1.0e5 / each) + 1;
    q->tasks[0] = ln_ceil_div(s->n * s->c, s->step);
    q->work = each * (double)s->n * (double)s->c;
    q->flop = 2.0 * (double)ln_count(x) * (double)s->k;
    return LINNET_OK;
}

/* One channel in f32. row: k - 1 of the past, the input, the output, the weights. */
static void causal_row_f32(const ln_run *r, const state *s, size_t at, float *row)
{
    const int32_t type = r->in_desc[0].dtype;
    const size_t k = s->k, n = s->length, c = at % s->c, bytes = ln_dtype(type)->bits / 8u;
    float *x = row + k - 1, *y = x + n, *w = y + n;

    if (s->past)
        ln_to_f32(type, (const char *)r->in[CAUSAL_PAST] + at * (k - 1) * bytes, k - 1, row);
    else
        memset(row, 0, (k - 1) * sizeof *row);
    ln_to_f32(type, (const char *)r->in[0] + at * n * bytes, n, x);
    ln_to_f32(type, (const char *)r->in[1] + c * k * bytes, k, w);
    const float bias = s->bias ? (float)ln_get_f64(type, r->in[CAUSAL_BIAS], c) : 0.0f;
    for (size_t i = 0; i < n; i++)
        y[i] = bias;
    for (size_t j = 0; j < k; j++)
        r->kernel->axpy_f32(n, w[j], row + j, y);
    if (s->silu)
        r->kernel->unary_f32[LN_FN_SWISH](n, y, y, 1.0f, 0.0f);
    if (r->out[0])
        ln_from_f32(type, y, n, (char *)r->out[0] + at * n * bytes);
    if (s->outputs > 1 && r->out[1])
        ln_from_f32(type, row + n, k - 1, (char *)r->out[1] + at * (k - 1) * bytes);
}

static void causal_row_f64(const ln_run *r, const state *s, size_t at, double *row)
{
    const size_t k = s->k, n = s->length, c = at % s->c;
    const double *w = (const double *)r->in[1] + c * k, *x = r->in[0], *past = s->past ? r->in[CAUSAL_PAST] : NULL;
    double *y = r->out[0], *left = s->outputs > 1 ? r->out[1] : NULL;

    for (size_t i = 0; i + 1 < k; i++)
        row[i] = past ? past[at * (k - 1) + i] : 0.0;
    for (size_t i = 0; i < n; i++)
        row[k - 1 + i] = x[at * n + i];
    for (size_t i = 0; y && i < n; i++) {
        double sum = s->bias ? ((const double *)r->in[CAUSAL_BIAS])[c] : 0.0;
        for (size_t j = 0; j < k; j++)
            sum += w[j] * row[i + j];
        y[at * n + i] = s->silu ? sum / (1.0 + exp(-sum)) : sum;
    }
    for (size_t i = 0; left && i + 1 < k; i++)
        left[at * (k - 1) + i] = row[n + i];
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const size_t end = LN_MIN((r->task + 1) * s->step, s->n * s->c);

    for (size_t i = r->task * s->step; i < end; i++) {
        if (r->in_desc[0].dtype == LINNET_F64)
            causal_row_f64(r, s, i, r->scratch);
        else
            causal_row_f32(r, s, i, r->scratch);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "activation", LN_ATTR_STR, offsetof(param, activation), 0, false },
    { 0 },
};

const ln_op ln_op_causal_conv_with_state = {
    .name = "CausalConvWithState", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 4, .out_min = 1, .out_max = 2,
    .infer = infer, .prepare = prepare, .run = run,
};
