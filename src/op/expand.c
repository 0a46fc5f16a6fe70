/*
 * expand.c - Expand and Tile: a tensor repeated along its axes.
 *
 * Both read element (i mod input length) of every axis; Expand's lengths are 1 or equal. The
 * longest run of axes at the end that is copied as a whole is one memcpy.
 */
#include "op.h"

typedef struct state {
    ln_desc in;   /* with as many axes as the output */
    int64_t stride[LN_MAX_RANK];
    size_t  size, run, rows, per; /* run: bytes; per: rows of a task */
    int32_t rank; /* axes before the run */
} state;

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
    state *s = q->state;
    const ln_desc *out = &q->out[0];
    const int32_t shift = out->rank - q->in[0].rank;

    s->in = *out;
    for (int32_t i = 0; i < out->rank; i++)
        s->in.dim[i] = i < shift ? 1 : q->in[0].dim[i - shift];
    s->size = ln_dtype(out->dtype)->bits / 8u;
    ln_strides(&s->in, s->stride);
    s->rank = out->rank;
    s->run = s->size;
    while (s->rank > 0 && s->in.dim[s->rank - 1] == out->dim[s->rank - 1])
        s->run *= (size_t)out->dim[--s->rank];
    s->rows = ln_count_range(out, 0, s->rank);
    s->per = LN_MAX((size_t)1, LN_CHUNK * 4 / LN_MAX(s->run, (size_t)1));
    q->tasks[0] = ln_count(out) ? ln_ceil_div(s->rows, s->per) : 0;
    q->work = (double)ln_count(out);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const ln_desc *out = &r->out_desc[0];
    const size_t begin = r->task * s->per, end = LN_MIN(s->rows, begin + s->per);

    for (size_t row = begin; row < end; row++) {
        size_t at = row, from = 0;
        for (int32_t d = s->rank - 1; d >= 0; d--) {
            from += at % (size_t)out->dim[d] % (size_t)s->in.dim[d] * (size_t)s->stride[d];
            at /= (size_t)out->dim[d];
        }
        memcpy((char *)r->out[0] + row * s->run, (const char *)r->in[0] + from * s->size, s->run);
    }
    return LINNET_OK;
}

const ln_op ln_op_expand = {
    .name = "Expand", .state_size = sizeof(state), .in_min = 2, .in_max = 2,
    .infer = expand_infer, .prepare = prepare, .run = run,
};

const ln_op ln_op_tile = {
    .name = "Tile", .state_size = sizeof(state), .in_min = 2, .in_max = 2,
    .infer = tile_infer, .prepare = prepare, .run = run,
};
