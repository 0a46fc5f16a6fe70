/*
 * dropout.c - Dropout: a copy, but in training mode, where each element is kept with probability
 * 1 - ratio and grows by its inverse. random.h has the generator; elements are counted as they lie in
 * memory, so a pass that permutes axes draws others.
 */
#include "random.h"

typedef struct param { int64_t seed; } param;
typedef struct state { bool mask, drops; double ratio; } state;

/* The ratio that applies: 0 where nothing is dropped. LN_WAIT: not known yet. */
static linnet_status dropout_ratio(int32_t in_count, const ln_desc *in, const void *const *value, double *ratio)
{
    *ratio = 0;
    if (in_count < 3 || !in[2].dtype)
        return LINNET_OK;
    if (!value[2])
        return LN_WAIT;
    if (!*(const uint8_t *)value[2])
        return LINNET_OK;
    *ratio = 0.5;
    if (!in[1].dtype)
        return LINNET_OK;
    if (!value[1])
        return LN_WAIT;
    *ratio = ln_get_f64(in[1].dtype, value[1], 0);
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const bool has_ratio = q->in_count > 1 && q->in[1].dtype, has_mode = q->in_count > 2 && q->in[2].dtype;
    double ratio;

    if ((has_ratio && (ln_count(&q->in[1]) != 1 || ln_dtype(q->in[1].dtype)->kind != LN_KIND_FLOAT)) ||
        (has_mode && (ln_count(&q->in[2]) != 1 || q->in[2].dtype != LINNET_BOOL)))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Dropout: ratio or training_mode is not one number");
    if (dropout_ratio(q->in_count, q->in, q->value, &ratio) == LN_WAIT)
        return LN_WAIT;
    if (!(ratio >= 0 && ratio <= 1))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Dropout: a ratio of %g", ratio);
    if (ln_dtype(q->in[0].dtype)->bits % 8 || (ratio > 0 && ln_dtype(q->in[0].dtype)->kind != LN_KIND_FLOAT))
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
    state *s = q->state;

    s->mask = q->out_count > 1;
    if (dropout_ratio(q->in_count, q->in, q->value, &s->ratio))
        return LINNET_ERR_UNSUPPORTED;
    s->drops = s->ratio > 0;
    ln_split(q, ln_count(&q->in[0]));
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const int32_t type = r->in_desc[0].dtype;
    const size_t size = ln_dtype(type)->bits / 8u;
    const uint64_t key = ln_random_key((double)((const param *)r->param)->seed);
    size_t from, count;

    ln_part(ln_count(&r->in_desc[0]), r->task, &from, &count);
    if (r->out[0] && r->out[0] != r->in[0] && !s->drops)
        memcpy((char *)r->out[0] + from * size, (const char *)r->in[0] + from * size, count * size);
    if (s->mask && r->out[1] && !s->drops)
        memset((char *)r->out[1] + from, 1, count);
    for (size_t i = from; i < from + count && s->drops; i++) {
        const bool kept = ln_random_unit(key, i) >= s->ratio;
        if (r->out[0])
            ln_set_f64(type, r->out[0], i, kept ? ln_get_f64(type, r->in[0], i) / (1 - s->ratio) : 0);
        if (s->mask && r->out[1])
            ((uint8_t *)r->out[1])[i] = kept;
    }
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
