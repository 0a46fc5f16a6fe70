/*
 * split.c - Split: one tensor into several along an axis.
 */
#include "strided.h"

typedef struct param { int64_t axis, num_outputs; } param;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0];
    const bool given = q->in_count > 1 && q->in[1].dtype;
    int64_t left;
    int32_t axis;

    if (!ln_axis(p->axis, in->rank, &axis))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Split: axis %lld outside a tensor of rank %d", (long long)p->axis,
                       (int)in->rank);
    if (given && (q->in[1].rank != 1 || q->in[1].dtype != LINNET_I64 || q->in[1].dim[0] != q->out_count))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Split: %d outputs, but another number of lengths", (int)q->out_count);
    if (given && !q->value[1])
        return LN_WAIT;
    if (!given && p->num_outputs && p->num_outputs != q->out_count)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Split: num_outputs is %lld, the layer has %d",
                       (long long)p->num_outputs, (int)q->out_count);
    left = in->dim[axis];
    const int64_t even = left / q->out_count + (left % q->out_count != 0);
    for (int32_t i = 0; i < q->out_count; i++) {
        const int64_t length = given ? ln_get_i64(LINNET_I64, q->value[1], (size_t)i) : LN_MIN(even, left);
        if (length < 0 || length > left)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Split: the lengths do not add up to %lld", (long long)in->dim[axis]);
        left -= length;
        q->out[i] = *in;
        q->out[i].dim[axis] = length;
    }
    if (left)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Split: the lengths do not add up to %lld", (long long)in->dim[axis]);
    if (ln_dtype(in->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, in->dtype);
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    const size_t size = ln_dtype(q->in[0].dtype)->bits / 8u;
    int32_t axis;

    if (!ln_axis(p->axis, q->in[0].rank, &axis))
        return LINNET_ERR_SHAPE;
    ln_slab *slab = ln_slabs_begin(q->state, q, ln_count_range(&q->in[0], 0, axis), (size_t)q->out_count);
    if (!slab)
        return ln_fail(q->err, LINNET_ERR_MEMORY, "Split: out of memory");
    for (int32_t i = 0; i < q->out_count; i++)
        slab[i].width = ln_count_range(&q->out[i], axis, q->out[i].rank) * size;
    ln_slabs_plan(q->state, q);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const ln_slabs *s = r->state;
    size_t row, rows, from, bytes;

    for (size_t i = 0; i < s->count; i++)
        if (r->out[i] && ln_slabs_part(s, i, r->task, &row, &rows, &from, &bytes) && bytes)
            ln_copy_runs(rows, bytes, (const char *)r->in[0] + row * s->row + s->slab[i].at + from, (int64_t)s->row,
                         (char *)r->out[i] + row * s->slab[i].width + from, (int64_t)s->slab[i].width);
    return LINNET_OK;
}

static bool permute(ln_permute *q)
{
    return ln_permute_axis(q, &((param *)q->param)->axis);
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), 0, false },
    { "num_outputs", LN_ATTR_I64, offsetof(param, num_outputs), 0, false },
    { 0 },
};

const ln_op ln_op_split = {
    .name = "Split", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(ln_slabs),
    .in_min = 1, .in_max = 2, .out_min = 1, .out_max = 255,
    .infer = infer, .prepare = prepare, .run = run, .permute = permute,
};
