/*
 * max_unpool.c - MaxUnpool: values go back to where MaxPool found them, zeros elsewhere.
 *
 * Indices count in the whole tensor of the inferred size. A larger output_shape keeps that
 * tensor in its first corner.
 */
#include "window.h"

typedef struct param { ln_win_param win; } param;
typedef struct state {
    int32_t rank;
    size_t  inferred[LN_MAX_RANK], out[LN_MAX_RANK]; /* the tensor that indices count in; the output */
    size_t  count;                                   /* elements of the former */
    size_t  bytes;
    bool    same;                                    /* both tensors have one shape */
} state;

/* The dims that strides, pads and kernel give, into d. */
static linnet_status unpool_infer_dims(const param *p, const ln_desc *x, ln_desc *d, linnet_error *err)
{
    ln_win w;
    linnet_status st = ln_win_input(&w, "MaxUnpool", x, false, err);

    if (st == LINNET_OK)
        st = ln_win_steps(&w, "MaxUnpool", &p->win, NULL, err);
    if (st != LINNET_OK)
        return st;
    if (p->win.pads.count && p->win.pads.count != 2 * (size_t)w.axes)
        return ln_fail(err, LINNET_ERR_SHAPE, "MaxUnpool: pads has %zu numbers for %d spatial axes",
                       p->win.pads.count, (int)w.axes);
    *d = *x;
    for (int32_t i = 0; i < w.axes; i++) {
        const int32_t at = i + LN_WIN_AXES - w.axes;
        int64_t size;

        if (x->dim[i + 2] < 1 || !ln_mul64(x->dim[i + 2] - 1, (int64_t)w.stride[at], &size)
            || size > (int64_t)1 << 40)
            return ln_fail(err, LINNET_ERR_SHAPE, "MaxUnpool: %lld input pixels", (long long)x->dim[i + 2]);
        size += (int64_t)w.kernel[at];
        for (int32_t k = 0; k < 2 && p->win.pads.count; k++) {
            const int64_t pad = p->win.pads.v[i + k * w.axes];
            if (pad < 0 || pad > size)
                return ln_fail(err, LINNET_ERR_SHAPE, "MaxUnpool: %lld in pads", (long long)pad);
            size -= pad;
        }
        d->dim[i + 2] = size;
    }
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const ln_desc *x = &q->in[0];
    const bool given = q->in_count > 2 && q->in[2].dtype;

    if (ln_dtype(x->dtype)->kind == LN_KIND_STRING || ln_dtype(x->dtype)->bits < 8)
        return ln_fail_type(q->err, 0, x->dtype);
    if (q->in[1].dtype != LINNET_I64)
        return ln_fail_type(q->err, 1, q->in[1].dtype);
    if (!ln_same_shape(x, &q->in[1]))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "MaxUnpool: values and indices have different shapes");
    ln_desc d;
    const linnet_status st = unpool_infer_dims(q->param, x, &d, q->err);
    if (st != LINNET_OK)
        return st;
    q->out[0] = d;
    if (!given)
        return LINNET_OK;
    if (q->in[2].dtype != LINNET_I64 || q->in[2].rank != 1 || q->in[2].dim[0] != x->rank)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "MaxUnpool: output_shape does not have %d numbers", (int)x->rank);
    if (!q->value[2])
        return LN_WAIT;
    for (int32_t i = 0; i < x->rank; i++) {
        const int64_t dim = ln_get_i64(LINNET_I64, q->value[2], (size_t)i);
        if (dim < d.dim[i])
            return ln_fail(q->err, LINNET_ERR_SHAPE, "MaxUnpool: output_shape has %lld where %lld are needed",
                           (long long)dim, (long long)d.dim[i]);
        q->out[0].dim[i] = dim;
    }
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;
    ln_desc d;
    const linnet_status st = unpool_infer_dims(q->param, &q->in[0], &d, q->err);

    if (st != LINNET_OK)
        return st;
    if (ln_count(&q->out[0]) == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    if (!ln_desc_count(&d, &s->count))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "MaxUnpool: the output is too large");
    s->rank = d.rank;
    s->bytes = ln_dtype(d.dtype)->bits / 8u;
    s->same = ln_same_shape(&d, &q->out[0]);
    for (int32_t i = 0; i < d.rank; i++) {
        s->inferred[i] = (size_t)d.dim[i];
        s->out[i] = (size_t)q->out[0].dim[i];
    }
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const size_t n = ln_count(&r->in_desc[0]);
    const int64_t *index = r->in[1];

    memset(r->out[0], 0, ln_count(&r->out_desc[0]) * s->bytes);
    for (size_t i = 0; i < n; i++) {
        if (index[i] < 0 || (uint64_t)index[i] >= s->count)
            return ln_fail(r->err, LINNET_ERR_DATA, "MaxUnpool: index %lld in a tensor of %zu elements",
                           (long long)index[i], s->count);
        size_t left = (size_t)index[i], at = s->same ? left : 0, unit = 1;
        for (int32_t a = s->rank - 1; a >= 0 && !s->same; a--) {
            at += left % s->inferred[a] * unit;
            left /= s->inferred[a];
            unit *= s->out[a];
        }
        if (s->bytes == 4)
            memcpy((char *)r->out[0] + at * 4, (const char *)r->in[0] + i * 4, 4);
        else
            memcpy((char *)r->out[0] + at * s->bytes, (const char *)r->in[0] + i * s->bytes, s->bytes);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "kernel_shape", LN_ATTR_INTS, offsetof(param, win.kernel_shape), 0, true },
    { "strides", LN_ATTR_INTS, offsetof(param, win.strides), 0, false },
    { "pads", LN_ATTR_INTS, offsetof(param, win.pads), 0, false },
    { 0 },
};

const ln_op ln_op_max_unpool = {
    .name = "MaxUnpool", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 3,
    .infer = infer, .prepare = prepare, .run = run,
};
