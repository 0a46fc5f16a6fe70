/*
 * flatten.c - Flatten: all axes before `axis` become one, all others the second.
 */
#include "op.h"

typedef struct param { int64_t axis; } param;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0];
    int64_t dims[2] = { 1, 1 };

    if (p->axis < -(int64_t)in->rank || p->axis > in->rank)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Flatten: axis %lld outside a tensor of rank %d", (long long)p->axis,
                       (int)in->rank);
    const int64_t axis = p->axis < 0 ? p->axis + in->rank : p->axis;
    for (int32_t i = 0; i < in->rank; i++)
        if (!ln_mul64(dims[i >= axis], in->dim[i], &dims[i >= axis]))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Flatten: the shape does not fit");
    q->out[0] = ln_desc_of(in->dtype, 2, dims);
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), 1, false },
    { 0 },
};

const ln_op ln_op_flatten = {
    .name = "Flatten", .attr = attr, .param_size = sizeof(param),
    .in_min = 1, .in_max = 1, .flags = LN_OP_VIEW, .infer = infer,
};
