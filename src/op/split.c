/*
 * split.c - Split: one tensor into several along an axis.
 */
#include "op.h"

typedef struct param { int64_t axis, num_outputs; } param;
typedef struct state { size_t rows, row; const size_t *width, *from; } state; /* bytes */

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
    state *s = q->state;
    const size_t size = ln_dtype(q->in[0].dtype)->bits / 8u;
    size_t *width = ln_plan_alloc(q, 2 * (size_t)q->out_count, sizeof *width), *from = width + q->out_count;
    int32_t axis;

    if (!width || !ln_axis(p->axis, q->in[0].rank, &axis))
        return LINNET_ERR_MEMORY;
    s->rows = ln_count_range(&q->in[0], 0, axis);
    for (int32_t i = 0; i < q->out_count; i++) {
        width[i] = ln_count_range(&q->out[i], axis, q->out[i].rank) * size;
        from[i] = s->row;
        s->row += width[i];
    }
    s->width = width;
    s->from = from;
    q->tasks[0] = ln_count(&q->in[0]) ? (size_t)q->out_count : 0;
    q->work = (double)ln_count(&q->in[0]);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const size_t width = s->width[r->task];
    const char *x = (const char *)r->in[0] + s->from[r->task];
    char *y = r->out[r->task];

    for (size_t row = 0; y && row < s->rows; row++)
        memcpy(y + row * width, x + row * s->row, width);
    return LINNET_OK;
}

static bool permute(ln_permute *q)
{
    param *p = q->param;
    int32_t axis;

    if (!ln_axis(p->axis, q->rank, &axis))
        return false;
    p->axis = q->inverse[axis];
    return true;
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), 0, false },
    { "num_outputs", LN_ATTR_I64, offsetof(param, num_outputs), 0, false },
    { 0 },
};

const ln_op ln_op_split = {
    .name = "Split", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 2, .out_min = 1, .out_max = 255,
    .infer = infer, .prepare = prepare, .run = run, .permute = permute,
};
