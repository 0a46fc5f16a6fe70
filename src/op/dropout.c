/*
 * dropout.c - Dropout as inference knows it: nothing is dropped.
 *
 * In training mode with a ratio above 0 its output is random; that is refused.
 */
#include "op.h"

typedef struct param { int64_t seed; } param;
typedef struct state { bool mask; } state;

static linnet_status infer(const ln_infer *q)
{
    const bool has_ratio = q->in_count > 1 && q->in[1].dtype, has_mode = q->in_count > 2 && q->in[2].dtype;

    if ((has_ratio && ln_count(&q->in[1]) != 1) || (has_mode && (ln_count(&q->in[2]) != 1 || q->in[2].dtype != LINNET_BOOL)))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Dropout: ratio or training_mode is not one number");
    if (has_mode && !q->value[2])
        return LN_WAIT;
    if (has_mode && *(const uint8_t *)q->value[2]) {
        if (has_ratio && !q->value[1])
            return LN_WAIT;
        if (!has_ratio || ln_get_f64(q->in[1].dtype, q->value[1], 0) != 0)
            return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Dropout: training mode is not supported");
    }
    if (ln_dtype(q->in[0].dtype)->bits % 8)
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    q->out[0] = q->in[0];
    if (q->out_count > 1) {
        q->out[1] = q->in[0];
        q->out[1].dtype = LINNET_BOOL;
    }
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    ((state *)q->state)->mask = q->out_count > 1;
    ln_split(q, ln_count(&q->in[0]));
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const size_t size = ln_dtype(r->in_desc[0].dtype)->bits / 8u;
    size_t from, count;

    ln_part(ln_count(&r->in_desc[0]), r->task, &from, &count);
    if (r->out[0] && r->out[0] != r->in[0])
        memcpy((char *)r->out[0] + from * size, (const char *)r->in[0] + from * size, count * size);
    if (((const state *)r->state)->mask && r->out[1])
        memset((char *)r->out[1] + from, 1, count);
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "seed", LN_ATTR_I64, offsetof(param, seed), 0, false },
    { 0 },
};

const ln_op ln_op_dropout = {
    .name = "Dropout", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 3,
    .out_min = 1, .out_max = 2, .flags = LN_OP_ELEMENTWISE, .inplace = 1,
    .infer = infer, .prepare = prepare, .run = run,
};
