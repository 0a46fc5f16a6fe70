/*
 * one_hot.c - OneHot: an axis of zeros (off) with a one (on) where the index says.
 */
#include "strided.h"

typedef struct param { int64_t axis; } param;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *at = &q->in[0], *values = &q->in[2];
    int32_t axis;

    if (ln_count(&q->in[1]) != 1 || values->rank != 1 || values->dim[0] != 2)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "OneHot: depth is not one number, or values are not two");
    if (at->rank >= LN_MAX_RANK || !ln_axis(p->axis, at->rank + 1, &axis))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "OneHot: axis %lld for indices of rank %d", (long long)p->axis,
                       (int)at->rank);
    for (int32_t i = 0; i < 2; i++) {
        const uint8_t kind = ln_dtype(q->in[i].dtype)->kind;
        if (kind != LN_KIND_FLOAT && kind != LN_KIND_INT && kind != LN_KIND_UINT)
            return ln_fail_type(q->err, i, q->in[i].dtype);
    }
    if (ln_dtype(values->dtype)->bits % 8)
        return ln_fail_type(q->err, 2, values->dtype);
    if (!q->value[1])
        return LN_WAIT;
    const int64_t depth = ln_f2i_sat(ln_get_f64(q->in[1].dtype, q->value[1], 0), INT64_MIN, INT64_MAX);
    if (depth < 0)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "OneHot: depth is %lld", (long long)depth);
    q->out[0].dtype = values->dtype;
    q->out[0].rank = at->rank + 1;
    for (int32_t d = 0; d <= at->rank; d++)
        q->out[0].dim[d] = d < axis ? at->dim[d] : d == axis ? depth : at->dim[d - 1];
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const ln_desc *out = &r->out_desc[0];
    const size_t size = ln_dtype(out->dtype)->bits / 8u, count = ln_count(out);
    const char *value = r->in[2];
    int32_t axis;

    if (!ln_axis(p->axis, out->rank, &axis))
        return LINNET_ERR_SHAPE;
    const int64_t depth = out->dim[axis];
    const size_t inner = ln_count_range(out, axis + 1, out->rank);
    ln_fill(r->out[0], value, count, size);
    for (size_t i = 0; i < ln_count(&r->in_desc[0]) && count; i++) {
        int64_t at = ln_f2i_sat(ln_get_f64(r->in_desc[0].dtype, r->in[0], i), INT64_MIN, INT64_MAX);
        at = at < 0 ? at + depth : at;
        if (at >= 0 && at < depth) /* others leave their row off: the standard's meaning */
            memcpy((char *)r->out[0] + ((i / inner * (size_t)depth + (size_t)at) * inner + i % inner) * size,
                   value + size, size);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), -1, false },
    { 0 },
};

const ln_op ln_op_one_hot = {
    .name = "OneHot", .attr = attr, .param_size = sizeof(param), .in_min = 3, .in_max = 3,
    .infer = infer, .run = run,
};
