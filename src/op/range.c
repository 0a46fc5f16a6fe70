/*
 * range.c - Range: start, start + delta, ... below (or above) limit.
 */
#include "op.h"

#include <math.h>

/* ceil((limit - start) / delta), at least 0, without rounding. */
static uint64_t range_count(bool is_unsigned, int64_t start, int64_t limit, int64_t delta)
{
    const bool down = !is_unsigned && delta < 0;
    const bool some = is_unsigned ? (uint64_t)limit > (uint64_t)start : down ? limit < start : limit > start;
    const uint64_t way = down ? (uint64_t)start - (uint64_t)limit : (uint64_t)limit - (uint64_t)start;
    const uint64_t step = down ? 0 - (uint64_t)delta : (uint64_t)delta;

    return some ? (way - 1) / step + 1 : 0;
}

static linnet_status infer(const ln_infer *q)
{
    const int32_t type = q->in[0].dtype;
    const uint8_t kind = ln_dtype(type)->kind;
    double count;

    for (int32_t i = 0; i < 3; i++) {
        if (q->in[i].dtype != type || ln_count(&q->in[i]) != 1)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Range: input %d is not one number of the type of start", (int)i);
        if (!q->value[i])
            return LN_WAIT;
    }
    if (kind == LN_KIND_INT || kind == LN_KIND_UINT) {
        const int64_t delta = ln_get_i64(type, q->value[2], 0);
        if (delta == 0)
            return ln_fail(q->err, LINNET_ERR_DATA, "Range: delta is 0");
        count = (double)range_count(kind == LN_KIND_UINT, ln_get_i64(type, q->value[0], 0),
                                    ln_get_i64(type, q->value[1], 0), delta);
    } else if (kind == LN_KIND_FLOAT) {
        const double start = ln_get_f64(type, q->value[0], 0), limit = ln_get_f64(type, q->value[1], 0);
        const double delta = ln_get_f64(type, q->value[2], 0);
        count = ceil((limit - start) / delta);
        if (!(count == count) || isinf(count) || delta == 0)
            return ln_fail(q->err, LINNET_ERR_DATA, "Range: the numbers make no range");
    } else {
        return ln_fail_type(q->err, 0, type);
    }
    if (count > 9e15)
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Range: too many elements");
    q->out[0] = ln_desc_of(type, 1, (int64_t[]){ count > 0 ? (int64_t)count : 0 });
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const int32_t type = r->out_desc[0].dtype;
    const size_t count = ln_count(&r->out_desc[0]);

    if (type == LINNET_F32) {
        const double start = (double)*(const float *)r->in[0], delta = (double)*(const float *)r->in[2];
        for (size_t i = 0; i < count; i++)
            ((float *)r->out[0])[i] = (float)(start + (double)i * delta);
    } else if (type == LINNET_I64) {
        uint64_t v = *(const uint64_t *)r->in[0];
        for (size_t i = 0; i < count; i++, v += *(const uint64_t *)r->in[2])
            ((uint64_t *)r->out[0])[i] = v;
    } else if (ln_dtype(type)->kind == LN_KIND_FLOAT) {
        const double start = ln_get_f64(type, r->in[0], 0), delta = ln_get_f64(type, r->in[2], 0);
        for (size_t i = 0; i < count; i++)
            ln_set_f64(type, r->out[0], i, start + (double)i * delta);
    } else {
        uint64_t v = (uint64_t)ln_get_i64(type, r->in[0], 0);
        for (size_t i = 0; i < count; i++, v += (uint64_t)ln_get_i64(type, r->in[2], 0))
            ln_set_i64(type, r->out[0], i, (int64_t)v);
    }
    return LINNET_OK;
}

const ln_op ln_op_range = {
    .name = "Range", .in_min = 3, .in_max = 3, .infer = infer, .run = run,
};
