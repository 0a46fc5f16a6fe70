/*
 * expand.c - Expand and Tile: a tensor repeated along its axes.
 *
 * A repeated axis is two: the repetitions, which move nothing in the input, and the axis itself.
 */
#include "strided.h"

static linnet_status expand_infer(const ln_infer *q)
{
    const ln_desc *shape = &q->in[1];
    ln_desc want = { q->in[0].dtype, 0, { 0 } };

    if (shape->rank != 1 || shape->dtype != LINNET_I64 || shape->dim[0] > LN_MAX_RANK)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Expand: the shape is not a short list of i64");
    if (shape->dim[0] && !q->value[1])
        return LN_WAIT;
    want.rank = (int32_t)shape->dim[0];
    for (int32_t i = 0; i < want.rank; i++) {
        want.dim[i] = ln_get_i64(LINNET_I64, q->value[1], (size_t)i);
        if (want.dim[i] < 0)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Expand: dimension %d is %lld", (int)i, (long long)want.dim[i]);
    }
    q->out[0].dtype = q->in[0].dtype;
    if (!ln_broadcast(&q->in[0], &want, &q->out[0]))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Expand: the input cannot be repeated to the wanted shape");
    q->out[0].dtype = q->in[0].dtype;
    return ln_dtype(q->in[0].dtype)->bits % 8 ? ln_fail_type(q->err, 0, q->in[0].dtype) : LINNET_OK;
}

static linnet_status tile_infer(const ln_infer *q)
{
    const ln_desc *in = &q->in[0], *times = &q->in[1];

    if (times->rank != 1 || times->dtype != LINNET_I64 || times->dim[0] != in->rank)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Tile: repeats are not one i64 for each of %d axes", (int)in->rank);
    if (in->rank && !q->value[1])
        return LN_WAIT;
    q->out[0] = *in;
    for (int32_t i = 0; i < in->rank; i++) {
        const int64_t n = ln_get_i64(LINNET_I64, q->value[1], (size_t)i);
        if (n < 0 || !ln_mul64(in->dim[i], n, &q->out[0].dim[i]))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Tile: axis %d is repeated %lld times", (int)i, (long long)n);
    }
    return ln_dtype(in->dtype)->bits % 8 ? ln_fail_type(q->err, 0, in->dtype) : LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    ln_strided *s = q->state;
    const ln_desc *in = &q->in[0], *out = &q->out[0];
    const int32_t shift = out->rank - in->rank;
    const size_t size = ln_dtype(in->dtype)->bits / 8u;
    int64_t stride[LN_MAX_RANK];

    q->tasks[0] = 0;
    if (ln_count(out) == 0)
        return LINNET_OK;
    ln_strides(in, stride);
    ln_strided_begin(s, size);
    for (int32_t d = 0; d < out->rank; d++) {
        const int64_t own = d < shift ? 1 : in->dim[d - shift];
        ln_strided_axis(s, (size_t)(out->dim[d] / own), 0);
        ln_strided_axis(s, (size_t)own, d < shift ? 0 : stride[d - shift] * (int64_t)size);
    }
    ln_strided_plan(s, q);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    ln_strided_run(r->state, r->task, r->in[0], r->out[0]);
    return LINNET_OK;
}

const ln_op ln_op_expand = {
    .name = "Expand", .state_size = sizeof(ln_strided), .in_min = 2, .in_max = 2,
    .infer = expand_infer, .prepare = prepare, .run = run,
};

const ln_op ln_op_tile = {
    .name = "Tile", .state_size = sizeof(ln_strided), .in_min = 2, .in_max = 2,
    .infer = tile_infer, .prepare = prepare, .run = run,
};
