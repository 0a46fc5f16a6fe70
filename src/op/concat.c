/*
 * concat.c - Concat: tensors one behind the other along an axis.
 *
 * Seen as rows: all axes before `axis` count the rows, the rest is one run of bytes per input.
 */
#include "strided.h"

typedef struct param { int64_t axis; } param;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    ln_desc *out = &q->out[0];
    int32_t axis;

    *out = q->in[0];
    if (out->dtype == 0 || !ln_axis(p->axis, out->rank, &axis))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Concat: axis %lld outside a tensor of rank %d", (long long)p->axis,
                       (int)out->rank);
    for (int32_t i = 1; i < q->in_count; i++) {
        const ln_desc *in = &q->in[i];
        bool fits = in->dtype == out->dtype && in->rank == out->rank;
        for (int32_t d = 0; fits && d < out->rank; d++)
            fits = d == axis || in->dim[d] == out->dim[d];
        if (!fits || !ln_add64(out->dim[axis], in->dim[axis], &out->dim[axis]))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Concat: input %d does not fit input 0", (int)i);
    }
    if (ln_dtype(out->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, out->dtype);
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    const size_t size = ln_dtype(q->out[0].dtype)->bits / 8u;
    int32_t axis;

    if (!ln_axis(p->axis, q->out[0].rank, &axis))
        return LINNET_ERR_SHAPE;
    ln_slab *slab = ln_slabs_begin(q->state, q, ln_count_range(&q->out[0], 0, axis), (size_t)q->in_count);
    if (!slab)
        return ln_fail(q->err, LINNET_ERR_MEMORY, "Concat: out of memory");
    for (int32_t i = 0; i < q->in_count; i++)
        slab[i].width = ln_count_range(&q->in[i], axis, q->in[i].rank) * size;
    ln_slabs_plan(q->state, q);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const ln_slabs *s = r->state;
    size_t row, rows, from, bytes;

    for (size_t i = 0; i < s->count; i++)
        if (ln_slabs_part(s, i, r->task, &row, &rows, &from, &bytes) && bytes)
            ln_copy_runs(rows, bytes, (const char *)r->in[i] + row * s->slab[i].width + from,
                         (int64_t)s->slab[i].width, (char *)r->out[0] + row * s->row + s->slab[i].at + from,
                         (int64_t)s->row);
    return LINNET_OK;
}

static bool permute(ln_permute *q)
{
    for (int32_t i = 0; i < q->in_count; i++)
        q->data_in[i] = true;
    return ln_permute_axis(q, &((param *)q->param)->axis);
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), 0, true },
    { 0 },
};

const ln_op ln_op_concat = {
    .name = "Concat", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(ln_slabs),
    .in_min = 1, .in_max = 255, .infer = infer, .prepare = prepare, .run = run, .permute = permute,
};
