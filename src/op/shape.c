/*
 * shape.c - Shape and Size: what planning knows, as tensors.
 */
#include "op.h"

typedef struct param { int64_t start, end; } param;

/* Axes [*from, *to) of a tensor of rank `rank`, by the rules of a slice. */
static void shape_range(const param *p, int32_t rank, int32_t *from, int32_t *to)
{
    const int64_t start = p->start < 0 ? p->start + rank : p->start;
    const int64_t end = p->end < 0 ? p->end + rank : p->end;

    *from = (int32_t)LN_MAX(0, LN_MIN(start, rank));
    *to = (int32_t)LN_MAX(*from, LN_MIN(end, rank));
}

static linnet_status infer(const ln_infer *q)
{
    int32_t from, to;

    shape_range(q->param, q->in[0].rank, &from, &to);
    q->out[0] = ln_desc_of(LINNET_I64, 1, (int64_t[]){ to - from });
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    int32_t from, to;

    shape_range(r->param, r->in_desc[0].rank, &from, &to);
    for (int32_t i = from; i < to; i++)
        ((int64_t *)r->out[0])[i - from] = r->in_desc[0].dim[i];
    return LINNET_OK;
}

static linnet_status size_infer(const ln_infer *q)
{
    q->out[0] = ln_desc_of(LINNET_I64, 0, NULL);
    return LINNET_OK;
}

static linnet_status size_run(const ln_run *r)
{
    *(int64_t *)r->out[0] = (int64_t)ln_count(&r->in_desc[0]);
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "start", LN_ATTR_I64, offsetof(param, start), 0, false },
    { "end", LN_ATTR_I64, offsetof(param, end), 1 << 20, false },
    { 0 },
};

const ln_op ln_op_shape = {
    .name = "Shape", .attr = attr, .param_size = sizeof(param),
    .in_min = 1, .in_max = 1, .flags = LN_OP_SHAPE_ONLY, .infer = infer, .run = run,
};

const ln_op ln_op_size = {
    .name = "Size", .in_min = 1, .in_max = 1, .flags = LN_OP_SHAPE_ONLY, .infer = size_infer, .run = size_run,
};
