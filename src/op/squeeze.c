/*
 * squeeze.c - Squeeze and Unsqueeze: axes of length one leave or enter.
 */
#include "op.h"

/* axis_is[i]: axis i of a tensor of `rank` axes is named by input 1. */
static linnet_status squeeze_axes(const ln_infer *q, const char *name, int32_t rank, bool axis_is[LN_MAX_RANK])
{
    const ln_desc *axes = &q->in[1];

    if (axes->rank > 1 || (axes->dtype != LINNET_I64 && axes->dtype != LINNET_I32))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: axes are not a list of integers", name);
    const size_t count = axes->rank ? (size_t)axes->dim[0] : 1;
    if (count && !q->value[1])
        return LN_WAIT;
    for (size_t i = 0; i < count; i++) {
        const int64_t given = ln_get_i64(axes->dtype, q->value[1], i);
        int32_t axis;
        if (!ln_axis(given, rank, &axis) || axis_is[axis])
            return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: axis %lld is outside rank %d or named twice", name,
                           (long long)given, (int)rank);
        axis_is[axis] = true;
    }
    return LINNET_OK;
}

static linnet_status squeeze_infer(const ln_infer *q)
{
    const ln_desc *in = &q->in[0];
    const bool all = q->in_count < 2 || q->in[1].dtype == 0;
    bool gone[LN_MAX_RANK] = { false };
    const linnet_status st = all ? LINNET_OK : squeeze_axes(q, "Squeeze", in->rank, gone);

    if (st)
        return st;
    q->out[0].dtype = in->dtype;
    for (int32_t i = 0; i < in->rank; i++) {
        if (gone[i] && in->dim[i] != 1)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Squeeze: axis %d has length %lld", (int)i, (long long)in->dim[i]);
        if (!(gone[i] || (all && in->dim[i] == 1)))
            q->out[0].dim[q->out[0].rank++] = in->dim[i];
    }
    return LINNET_OK;
}

static linnet_status unsqueeze_infer(const ln_infer *q)
{
    const ln_desc *in = &q->in[0], *axes = &q->in[1];
    bool fresh[LN_MAX_RANK] = { false };
    const int64_t more = axes->rank ? axes->dim[0] : 1;
    int32_t from = 0;

    if (axes->rank > 1 || more > LN_MAX_RANK - in->rank)
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Unsqueeze: more than %d axes", LN_MAX_RANK);
    q->out[0].dtype = in->dtype;
    q->out[0].rank = in->rank + (int32_t)more;
    const linnet_status st = squeeze_axes(q, "Unsqueeze", q->out[0].rank, fresh);
    for (int32_t i = 0; i < q->out[0].rank && !st; i++)
        q->out[0].dim[i] = fresh[i] ? 1 : in->dim[from++];
    return st;
}

const ln_op ln_op_squeeze = {
    .name = "Squeeze", .in_min = 1, .in_max = 2, .flags = LN_OP_VIEW, .infer = squeeze_infer,
};

const ln_op ln_op_unsqueeze = {
    .name = "Unsqueeze", .in_min = 2, .in_max = 2, .flags = LN_OP_VIEW, .infer = unsqueeze_infer,
};
