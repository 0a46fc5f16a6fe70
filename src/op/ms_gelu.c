/*
 * ms_gelu.c - com.microsoft.FastGelu and BiasGelu: Gelu of x plus a bias along the last axis.
 */
#include "op.h"

typedef struct state { ln_unary_f32 fn; size_t n, rows, per; bool has_bias; } state;

static linnet_status infer(const ln_infer *q)
{
    const ln_desc *x = &q->in[0];
    const bool has_bias = q->in_count > 1 && q->in[1].dtype;

    if (x->dtype != LINNET_F32)
        return ln_fail_type(q->err, 0, x->dtype);
    if (has_bias && (q->in[1].dtype != LINNET_F32 || q->in[1].rank != 1 || x->rank < 1 ||
                     q->in[1].dim[0] != x->dim[x->rank - 1]))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "FastGelu: the bias does not fit the last axis");
    q->out[0] = *x;
    return LINNET_OK;
}

static linnet_status gelu_prepare(ln_prepare *q, int fn)
{
    state *s = q->state;
    const size_t count = ln_count(&q->in[0]);

    s->fn = q->kernel->unary_f32[fn];
    s->has_bias = q->in_count > 1 && q->in[1].dtype;
    s->n = q->in[0].rank ? (size_t)q->in[0].dim[q->in[0].rank - 1] : 1;
    s->rows = s->n ? count / s->n : 0;
    s->per = LN_MAX((size_t)1, LN_CHUNK / 4 / LN_MAX(s->n, (size_t)1));
    q->tasks[0] = ln_ceil_div(s->rows, s->per);
    q->work = 8 * (double)count;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q) { return gelu_prepare(q, LN_FN_GELU_TANH); }
static linnet_status gelu_bias_prepare(ln_prepare *q) { return gelu_prepare(q, LN_FN_GELU); }

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const size_t end = LN_MIN(s->rows, (r->task + 1) * s->per);

    for (size_t row = r->task * s->per; row < end; row++) {
        const float *x = (const float *)r->in[0] + row * s->n;
        float *y = (float *)r->out[0] + row * s->n;
        if (s->has_bias)
            r->kernel->binary_f32[LN_BIN_ADD](s->n, x, 1, r->in[1], 1, y);
        s->fn(s->n, s->has_bias ? y : x, y, 0, 0);
    }
    return LINNET_OK;
}

const ln_op ln_op_ms_fast_gelu = {
    .name = "com.microsoft.FastGelu", .state_size = sizeof(state), .in_min = 1, .in_max = 2, .inplace = 1,
    .infer = infer, .prepare = prepare, .run = run,
};

const ln_op ln_op_ms_bias_gelu = {
    .name = "com.microsoft.BiasGelu", .state_size = sizeof(state), .in_min = 2, .in_max = 2, .inplace = 1,
    .infer = infer, .prepare = gelu_bias_prepare, .run = run,
};
