/*
 * view.c - ln.View: the same elements in another shape, made by passes where a transpose
 * moves only axes of length one.
 */
#include "op.h"

typedef struct param { ln_ints dims; } param;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    size_t from, to;

    if (p->dims.count > LN_MAX_RANK)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "View: rank %zu", p->dims.count);
    q->out[0] = ln_desc_of(q->in[0].dtype, (int32_t)p->dims.count, p->dims.v);
    if (!ln_desc_count(&q->in[0], &from) || !ln_desc_count(&q->out[0], &to) || from != to)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "View: the element counts differ");
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "ln.dims", LN_ATTR_INTS, offsetof(param, dims), 0, true },
    { 0 },
};

const ln_op ln_op_view = {
    .name = "ln.View", .attr = attr, .param_size = sizeof(param),
    .in_min = 1, .in_max = 1, .flags = LN_OP_VIEW, .infer = infer,
};
