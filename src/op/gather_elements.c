/*
 * gather_elements.c - GatherElements: each output element picks its own place along one axis.
 */
#include "op.h"

typedef struct param { int64_t axis; } param;
typedef struct state { int64_t stride[LN_MAX_RANK], step, dim; size_t size; int32_t axis; } state;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0], *at = &q->in[1];
    int32_t axis;

    if (!ln_axis(p->axis, in->rank, &axis) || at->rank != in->rank)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "GatherElements: axis %lld, data of rank %d, indices of rank %d",
                       (long long)p->axis, (int)in->rank, (int)at->rank);
    if (at->dtype != LINNET_I64 && at->dtype != LINNET_I32)
        return ln_fail_type(q->err, 1, at->dtype);
    if (ln_dtype(in->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, in->dtype);
    for (int32_t d = 0; d < in->rank; d++)
        if (d != axis && at->dim[d] > in->dim[d])
            return ln_fail(q->err, LINNET_ERR_SHAPE, "GatherElements: the indices are longer than the data along axis %d",
                           (int)d);
    q->out[0] = *at;
    q->out[0].dtype = in->dtype;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    state *s = q->state;

    if (!ln_axis(p->axis, q->in[0].rank, &s->axis))
        return LINNET_ERR_SHAPE;
    ln_strides(&q->in[0], s->stride);
    s->step = s->stride[s->axis];
    s->stride[s->axis] = 0;
    s->dim = q->in[0].dim[s->axis];
    s->size = ln_dtype(q->in[0].dtype)->bits / 8u;
    ln_split(q, ln_count(&q->out[0]));
    return LINNET_OK;
}

/* Elements [i, i + n) of the output, in one row of it. */
static linnet_status gather_row(const ln_run *r, const state *s, size_t i, size_t n)
{
    const ln_desc *out = &r->out_desc[0];
    const bool wide = r->in_desc[1].dtype == LINNET_I64;
    const int64_t last = out->rank ? s->stride[out->rank - 1] : 0;
    int64_t base = 0;
    size_t rest = i;

    for (int32_t d = out->rank - 1; d >= 0; d--) {
        base += (int64_t)(rest % (size_t)out->dim[d]) * s->stride[d];
        rest /= (size_t)out->dim[d];
    }
    char *y = (char *)r->out[0] + i * s->size;
    for (const size_t end = i + n; i < end; i++, base += last, y += s->size) {
        const int64_t at = wide ? ((const int64_t *)r->in[1])[i] : ((const int32_t *)r->in[1])[i];
        if (at < -s->dim || at >= s->dim)
            return ln_fail(r->err, LINNET_ERR_DATA, "GatherElements: index %lld is outside an axis of length %lld",
                           (long long)at, (long long)s->dim);
        const char *x = (const char *)r->in[0] + (size_t)(base + (at < 0 ? at + s->dim : at) * s->step) * s->size;
        if (s->size == 4)
            memcpy(y, x, 4);
        else
            memcpy(y, x, s->size);
    }
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const ln_desc *out = &r->out_desc[0];
    size_t from, count;

    ln_part(ln_count(out), r->task, &from, &count);
    for (size_t i = from, row; count > 0; i += row, count -= row) {
        const size_t width = out->rank ? (size_t)out->dim[out->rank - 1] : 1;
        const linnet_status st = gather_row(r, s, i, row = LN_MIN(count, width - i % width));
        if (st)
            return st;
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), 0, false },
    { 0 },
};

const ln_op ln_op_gather_elements = {
    .name = "GatherElements", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 2, .infer = infer, .prepare = prepare, .run = run,
};
