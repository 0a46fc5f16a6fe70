/*
 * slice.c - Slice: every step-th element from start to end, along some axes.
 */
#include "strided.h"

/* Numbers of one axis: first element, step, and how many. */
typedef struct slice_axis { int64_t from, step, count; } slice_axis;
typedef struct state { ln_strided copy; int64_t first; } state; /* first: bytes */

static int64_t slice_clamp(int64_t v, int64_t lo, int64_t hi) { return v < lo ? lo : v > hi ? hi : v; }

/* ONNX's rules: negative numbers count from the end, then everything is clamped. */
static void slice_resolve(int64_t dim, int64_t start, int64_t end, int64_t step, slice_axis *out)
{
    start = start < 0 ? start + dim : start; /* dim >= 0: cannot wrap */
    end = end < 0 ? end + dim : end;
    if (step > 0) {
        start = slice_clamp(start, 0, dim);
        end = slice_clamp(end, 0, dim);
        out->count = end > start ? (end - start - 1) / step + 1 : 0;
    } else {
        start = slice_clamp(start, 0, dim - 1);
        end = slice_clamp(end, -1, dim - 1);
        const uint64_t back = step == INT64_MIN ? (uint64_t)INT64_MAX + 1 : (uint64_t)-step;
        out->count = start > end && dim > 0 ? (int64_t)((uint64_t)(start - end - 1) / back) + 1 : 0;
    }
    out->from = start;
    out->step = step;
}

/* The four lists of a Slice, or LN_WAIT. */
static linnet_status slice_axes(int32_t in_count, const ln_desc *in, const void *const *value, slice_axis *axis,
                                linnet_error *err)
{
    const int64_t count = in[1].rank == 1 ? in[1].dim[0] : -1;
    bool seen[LN_MAX_RANK] = { false };

    for (int32_t i = 1; i < in_count; i++) {
        if (in[i].dtype == 0)
            continue;
        if (in[i].rank != 1 || in[i].dim[0] != count || (in[i].dtype != LINNET_I64 && in[i].dtype != LINNET_I32))
            return ln_fail(err, LINNET_ERR_SHAPE, "Slice: input %d is not a list of integers as long as starts", (int)i);
        if (count && !value[i])
            return LN_WAIT;
    }
    if (count > in[0].rank || in[2].dtype == 0)
        return ln_fail(err, LINNET_ERR_SHAPE, "Slice: %lld axes of a tensor of rank %d", (long long)count, (int)in[0].rank);
    for (int32_t d = 0; d < in[0].rank; d++)
        axis[d] = (slice_axis){ 0, 1, in[0].dim[d] };
    for (int64_t i = 0; i < count; i++) {
        const bool has_axes = in_count > 3 && in[3].dtype, has_steps = in_count > 4 && in[4].dtype;
        const int64_t given = has_axes ? ln_get_i64(in[3].dtype, value[3], (size_t)i) : i;
        const int64_t step = has_steps ? ln_get_i64(in[4].dtype, value[4], (size_t)i) : 1;
        int32_t d;
        if (!ln_axis(given, in[0].rank, &d) || seen[d] || step == 0)
            return ln_fail(err, LINNET_ERR_SHAPE, "Slice: axis %lld twice or outside rank %d, or step 0",
                           (long long)given, (int)in[0].rank);
        seen[d] = true;
        slice_resolve(in[0].dim[d], ln_get_i64(in[1].dtype, value[1], (size_t)i),
                      ln_get_i64(in[2].dtype, value[2], (size_t)i), step, &axis[d]);
    }
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    slice_axis axis[LN_MAX_RANK];
    const linnet_status st = slice_axes(q->in_count, q->in, q->value, axis, q->err);

    if (st)
        return st;
    q->out[0] = q->in[0];
    for (int32_t d = 0; d < q->in[0].rank; d++)
        q->out[0].dim[d] = axis[d].count;
    return ln_dtype(q->in[0].dtype)->bits % 8 ? ln_fail_type(q->err, 0, q->in[0].dtype) : LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;
    const ln_desc *in = &q->in[0];
    const size_t size = ln_dtype(in->dtype)->bits / 8u;
    slice_axis axis[LN_MAX_RANK];
    int64_t stride[LN_MAX_RANK];
    const linnet_status st = slice_axes(q->in_count, q->in, q->value, axis, q->err);

    if (st)
        return st == LN_WAIT ? LINNET_ERR_UNSUPPORTED : st;
    q->tasks[0] = 0;
    if (ln_count(&q->out[0]) == 0)
        return LINNET_OK;
    ln_strides(in, stride);
    ln_strided_begin(&s->copy, size);
    for (int32_t d = 0; d < in->rank; d++) {
        const int64_t bytes = stride[d] * (int64_t)size;
        s->first += axis[d].from * bytes;
        ln_strided_axis(&s->copy, (size_t)axis[d].count, axis[d].count > 1 ? axis[d].step * bytes : 0);
    }
    ln_strided_plan(&s->copy, q);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;

    ln_strided_run(&s->copy, r->task, (const char *)r->in[0] + s->first, r->out[0]);
    return LINNET_OK;
}

/* The list of axes (made where it is not given) gets new names. */
static bool permute(ln_permute *q)
{
    const bool given = q->in_count > 3 && q->in[3].dtype;

    if (!given || q->in[3].rank != 1 || q->in[3].dtype != LINNET_I64 || !q->value[3])
        return false;
    const size_t count = (size_t)q->in[3].dim[0];
    int64_t *axes = ln_arena_alloc(q->arena, count, sizeof *axes);
    for (size_t i = 0; axes && i < count; i++) {
        int32_t axis;
        if (!ln_axis(ln_get_i64(LINNET_I64, q->value[3], i), q->rank, &axis))
            return false;
        axes[i] = q->inverse[axis];
    }
    q->replace[3] = axes;
    return axes != NULL;
}

const ln_op ln_op_slice = {
    .name = "Slice", .state_size = sizeof(state), .in_min = 3, .in_max = 5,
    .infer = infer, .prepare = prepare, .run = run, .permute = permute,
};
