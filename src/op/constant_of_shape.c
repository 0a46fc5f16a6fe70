/*
 * constant_of_shape.c - ConstantOfShape: one value in every element.
 */
#include "strided.h"

typedef struct param { const linnet_tensor *value; } param;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *shape = &q->in[0];

    if (shape->rank != 1 || shape->dtype != LINNET_I64)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "ConstantOfShape: the shape is not a list of i64");
    if (shape->dim[0] > LN_MAX_RANK)
        return ln_fail(q->err, LINNET_ERR_LIMIT, "ConstantOfShape: rank %lld", (long long)shape->dim[0]);
    if (p->value && ln_count(&p->value->desc) != 1)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "ConstantOfShape: the value is not one element");
    if (shape->dim[0] && !q->value[0])
        return LN_WAIT;
    q->out[0].dtype = p->value ? p->value->desc.dtype : LINNET_F32;
    q->out[0].rank = (int32_t)shape->dim[0];
    for (int32_t i = 0; i < q->out[0].rank; i++) {
        q->out[0].dim[i] = ln_get_i64(LINNET_I64, q->value[0], (size_t)i);
        if (q->out[0].dim[i] < 0)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "ConstantOfShape: dimension %d is %lld", (int)i,
                           (long long)q->out[0].dim[i]);
    }
    return ln_dtype(q->out[0].dtype)->bits % 8 ? ln_fail_type(q->err, 0, q->out[0].dtype) : LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    ln_split(q, ln_count(&q->out[0]));
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const size_t size = ln_dtype(r->out_desc[0].dtype)->bits / 8u;
    const float zero = 0;
    const char *value = p->value ? p->value->data : (const void *)&zero;
    size_t from, count;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    ln_fill((char *)r->out[0] + from * size, value, count, size);
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "value", LN_ATTR_TENSOR, offsetof(param, value), 0, false },
    { 0 },
};

const ln_op ln_op_constant_of_shape = {
    .name = "ConstantOfShape", .attr = attr, .param_size = sizeof(param),
    .in_min = 1, .in_max = 1, .infer = infer, .prepare = prepare, .run = run,
};
