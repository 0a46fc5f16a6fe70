/*
 * gather.c - Gather: slices along an axis, picked by indices.
 */
#include "op.h"

typedef struct param { int64_t axis; } param;
typedef struct state { size_t outer, count, width, per; int64_t dim; } state; /* width, in bytes, of a slice */

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0], *at = &q->in[1];
    ln_desc *out = &q->out[0];
    int32_t axis;

    if (!ln_axis(p->axis, in->rank, &axis))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Gather: axis %lld outside a tensor of rank %d", (long long)p->axis,
                       (int)in->rank);
    if (at->dtype != LINNET_I64 && at->dtype != LINNET_I32)
        return ln_fail_type(q->err, 1, at->dtype);
    if (in->rank - 1 + at->rank > LN_MAX_RANK)
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Gather: the output has rank %d", (int)(in->rank - 1 + at->rank));
    if (ln_dtype(in->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, in->dtype);
    out->dtype = in->dtype;
    for (int32_t i = 0; i < axis; i++)
        out->dim[out->rank++] = in->dim[i];
    for (int32_t i = 0; i < at->rank; i++)
        out->dim[out->rank++] = at->dim[i];
    for (int32_t i = axis + 1; i < in->rank; i++)
        out->dim[out->rank++] = in->dim[i];
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    state *s = q->state;
    const ln_desc *in = &q->in[0];
    int32_t axis;

    if (!ln_axis(p->axis, in->rank, &axis))
        return LINNET_ERR_SHAPE;
    s->outer = ln_count_range(in, 0, axis);
    s->dim = in->dim[axis];
    s->width = ln_count_range(in, axis + 1, in->rank) * (ln_dtype(in->dtype)->bits / 8u);
    s->count = ln_count(&q->in[1]);
    s->per = LN_MAX((size_t)1, LN_CHUNK * 4 / LN_MAX(s->width, (size_t)4));
    q->tasks[0] = ln_count(&q->out[0]) ? ln_ceil_div(s->outer * s->count, s->per) : 0;
    q->work = (double)ln_count(&q->out[0]);
    q->unread = 1u; /* rows are copied as bytes */
    return LINNET_OK;
}

static void gather_one(size_t width, const char *restrict x, char *restrict y)
{
    switch (width) { /* the usual elements without a call */
    case 1:  *y = *x; break;
    case 2:  memcpy(y, x, 2); break;
    case 4:  memcpy(y, x, 4); break;
    case 8:  memcpy(y, x, 8); break;
    default: memcpy(y, x, width); break;
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const bool wide = r->in_desc[1].dtype == LINNET_I64;
    size_t i = r->task * s->per, outer = i / s->count, k = i % s->count;
    const size_t end = LN_MIN(s->outer * s->count, i + s->per);

    for (; i < end; i++) {
        const int64_t at = wide ? ((const int64_t *)r->in[1])[k] : ((const int32_t *)r->in[1])[k];
        if (at < -s->dim || at >= s->dim)
            return ln_fail(r->err, LINNET_ERR_DATA, "Gather: index %lld is outside an axis of length %lld", (long long)at,
                           (long long)s->dim);
        const size_t from = outer * (size_t)s->dim + (size_t)(at < 0 ? at + s->dim : at);
        gather_one(s->width, (const char *)r->in[0] + from * s->width, (char *)r->out[0] + i * s->width);
        if (++k == s->count) {
            k = 0;
            outer++;
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), 0, false },
    { 0 },
};

const ln_op ln_op_gather = {
    .name = "Gather", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 2, .loose = 1u, .infer = infer, .prepare = prepare, .run = run,
};
