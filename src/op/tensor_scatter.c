/*
 * tensor_scatter.c - TensorScatter: new steps written into a cache along its sequence axis.
 *
 * Entry b of the batch takes its update from step write_indices[b] on; "circular" goes on at the
 * start of the axis behind its end.
 */
#include "op.h"

typedef struct param { int64_t axis; const char *mode; } param;
typedef struct state { bool has_at; } state;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *past = &q->in[0], *up = &q->in[1];
    int32_t axis;
    bool fits = ln_axis(p->axis, past->rank, &axis) && axis > 0 && up->rank == past->rank && up->dtype == past->dtype;

    for (int32_t d = 0; fits && d < past->rank; d++)
        fits = d == axis ? up->dim[d] <= past->dim[d] : up->dim[d] == past->dim[d];
    if (fits && q->in_count > 2 && q->in[2].dtype)
        fits = q->in[2].dtype == LINNET_I64 && q->in[2].rank == 1 && q->in[2].dim[0] == past->dim[0];
    if (!fits || (!ln_is(p->mode, "linear", "linear") && !ln_is(p->mode, "linear", "circular")))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "TensorScatter: the update does not fit the cache, or no such mode");
    if (ln_dtype(past->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, past->dtype);
    q->out[0] = *past;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    ((state *)q->state)->has_at = q->in_count > 2 && q->in[2].dtype;
    return LINNET_OK;
}

/* The step from which entry b of the batch is written. */
static int64_t scatter_at(const ln_run *r, int64_t b)
{
    return ((const state *)r->state)->has_at ? ((const int64_t *)r->in[2])[b] : 0;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const ln_desc *past = &r->in_desc[0], *up = &r->in_desc[1];
    const size_t size = ln_dtype(past->dtype)->bits / 8u;
    const bool circular = ln_is(p->mode, "linear", "circular");
    int32_t axis;

    if (!ln_axis(p->axis, past->rank, &axis) || !r->out[0])
        return LINNET_OK;
    const int64_t length = past->dim[axis], steps = up->dim[axis];
    const size_t inner = ln_count_range(past, axis + 1, past->rank) * size, middle = ln_count_range(past, 1, axis);
    for (int64_t b = 0; b < past->dim[0]; b++) { /* all of them before the first byte is written */
        const int64_t at = scatter_at(r, b);
        if (at < 0 || at > length || (!circular && at > length - steps))
            return ln_fail(r->err, LINNET_ERR_DATA, "TensorScatter: %lld steps from %lld in a cache of %lld",
                           (long long)steps, (long long)at, (long long)length);
    }
    if (r->out[0] != r->in[0])
        memcpy(r->out[0], r->in[0], ln_count(past) * size);
    for (int64_t b = 0; b < past->dim[0]; b++) {
        const int64_t at = scatter_at(r, b);
        for (size_t m = 0; m < middle && inner; m++) {
            const size_t row = (size_t)b * middle + m;
            for (int64_t t = 0; t < steps; t++)
                memcpy((char *)r->out[0] + (row * (size_t)length + (size_t)((at + t) % length)) * inner,
                       (const char *)r->in[1] + (row * (size_t)steps + (size_t)t) * inner, inner);
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), -2, false },
    { "mode", LN_ATTR_STR, offsetof(param, mode), 0, false },
    { 0 },
};

const ln_op ln_op_tensor_scatter = {
    .name = "TensorScatter", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state), .in_min = 2,
    .in_max = 3, .flags = LN_OP_CACHE, .inplace = 1, .infer = infer, .prepare = prepare, .run = run,
};
