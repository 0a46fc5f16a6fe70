/*
 * gather_nd.c - GatherND: slices picked by index tuples, behind common batch axes.
 */
#include "op.h"

typedef struct param { int64_t batch_dims; } param;
typedef struct state {
    int64_t stride[LN_MAX_RANK], dim[LN_MAX_RANK]; /* of the indexed axes; strides in slices */
    size_t  tuple, per_batch, batch, width;        /* tuples per batch; slices per batch; bytes of a slice */
} state;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0], *at = &q->in[1];
    const int64_t b = p->batch_dims;
    ln_desc *out = &q->out[0];

    if (at->dtype != LINNET_I64)
        return ln_fail_type(q->err, 1, at->dtype);
    if (ln_dtype(in->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, in->dtype);
    if (b < 0 || at->rank < 1 || b >= at->rank || b > in->rank || at->dim[at->rank - 1] > in->rank - b)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "GatherND: the indices do not fit data of rank %d", (int)in->rank);
    for (int32_t d = 0; d < b; d++)
        if (in->dim[d] != at->dim[d])
            return ln_fail(q->err, LINNET_ERR_SHAPE, "GatherND: batch axis %d differs", (int)d);
    const int32_t tuple = (int32_t)at->dim[at->rank - 1], rest = in->rank - (int32_t)b - tuple;
    if (at->rank - 1 + rest > LN_MAX_RANK)
        return ln_fail(q->err, LINNET_ERR_LIMIT, "GatherND: the output has rank %d", (int)(at->rank - 1 + rest));
    out->dtype = in->dtype;
    for (int32_t d = 0; d < at->rank - 1; d++)
        out->dim[out->rank++] = at->dim[d];
    for (int32_t d = (int32_t)b + tuple; d < in->rank; d++)
        out->dim[out->rank++] = in->dim[d];
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    state *s = q->state;
    const ln_desc *in = &q->in[0], *at = &q->in[1];
    const int32_t b = (int32_t)p->batch_dims;
    int64_t step = 1;

    s->tuple = (size_t)at->dim[at->rank - 1];
    for (int32_t d = (int32_t)s->tuple - 1; d >= 0; d--) {
        s->dim[d] = in->dim[b + d];
        s->stride[d] = step;
        step *= s->dim[d];
    }
    s->per_batch = ln_count_range(at, b, at->rank - 1);
    s->batch = (size_t)step;
    s->width = ln_count_range(in, b + (int32_t)s->tuple, in->rank) * (ln_dtype(in->dtype)->bits / 8u);
    q->tasks[0] = ln_count(&q->out[0]) ? 1 : 0;
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const int64_t *at = r->in[1];
    const size_t tuples = s->tuple ? ln_count(&r->in_desc[1]) / s->tuple
                                   : ln_count_range(&r->in_desc[1], 0, r->in_desc[1].rank - 1);

    for (size_t i = 0; i < tuples; i++) {
        int64_t slice = (int64_t)(i / s->per_batch * s->batch);
        for (size_t d = 0; d < s->tuple; d++) {
            const int64_t k = at[i * s->tuple + d];
            if (k < -s->dim[d] || k >= s->dim[d])
                return ln_fail(r->err, LINNET_ERR_DATA, "GatherND: index %lld is outside an axis of length %lld",
                               (long long)k, (long long)s->dim[d]);
            slice += (k < 0 ? k + s->dim[d] : k) * s->stride[d];
        }
        memcpy((char *)r->out[0] + i * s->width, (const char *)r->in[0] + (size_t)slice * s->width, s->width);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "batch_dims", LN_ATTR_I64, offsetof(param, batch_dims), 0, false },
    { 0 },
};

const ln_op ln_op_gather_nd = {
    .name = "GatherND", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 2, .infer = infer, .prepare = prepare, .run = run,
};
