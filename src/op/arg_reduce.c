/*
 * arg_reduce.c - ArgMax and ArgMin: where along an axis the largest or smallest element is.
 *
 * Of equal ones the first, or with select_last_index the last. NaN wins over every number.
 */
#include "op.h"

typedef struct param { int64_t axis, keepdims, select_last_index; } param;
typedef struct state { size_t dim, inner, count; bool min; } state;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0];
    const uint8_t kind = ln_dtype(in->dtype)->kind;
    int32_t axis;

    if ((kind != LN_KIND_FLOAT && kind != LN_KIND_INT && kind != LN_KIND_UINT) || ln_dtype(in->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, in->dtype);
    if (!ln_axis(p->axis, in->rank, &axis) || in->dim[axis] == 0)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "ArgMax: axis %lld of a tensor of rank %d, or nothing along it",
                       (long long)p->axis, (int)in->rank);
    q->out[0].dtype = LINNET_I64;
    for (int32_t i = 0; i < in->rank; i++)
        if (i != axis || p->keepdims)
            q->out[0].dim[q->out[0].rank++] = i == axis ? 1 : in->dim[i];
    return LINNET_OK;
}

static linnet_status arg_prepare(ln_prepare *q, bool min)
{
    const param *p = q->param;
    state *s = q->state;
    int32_t axis;

    if (!ln_axis(p->axis, q->in[0].rank, &axis))
        return LINNET_ERR_SHAPE;
    s->dim = (size_t)q->in[0].dim[axis];
    s->inner = ln_count_range(&q->in[0], axis + 1, q->in[0].rank);
    s->count = ln_count(&q->out[0]);
    s->min = min;
    q->tasks[0] = ln_ceil_div(s->count, LN_MAX((size_t)1, LN_CHUNK / s->dim));
    q->work = (double)ln_count(&q->in[0]);
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q) { return arg_prepare(q, false); }
static linnet_status arg_min_prepare(ln_prepare *q) { return arg_prepare(q, true); }

static size_t arg_f32(const state *s, const float *x, bool last)
{
    float best = x[0];
    size_t at = 0;

    for (size_t i = 1; i < s->dim; i++) {
        const float v = x[i * s->inner];
        const bool better = s->min ? v < best : v > best, nan = v != v && best == best;
        if (nan || better || (last && (v == best || (v != v && best != best)))) {
            best = v;
            at = i;
        }
    }
    return at;
}

static size_t arg_any(const state *s, int32_t dtype, const void *x, size_t from, bool last)
{
    const uint8_t kind = ln_dtype(dtype)->kind;
    size_t at = 0;

    for (size_t i = 1; i < s->dim; i++) {
        const size_t a = from + i * s->inner, b = from + at * s->inner;
        bool above, below;
        if (kind == LN_KIND_FLOAT) {
            const double v = ln_get_f64(dtype, x, a), best = ln_get_f64(dtype, x, b);
            above = v > best || (v != v && best == best);
            below = v < best || (v != v && best == best);
            if (best != best)
                above = below = false;
        } else {
            const int64_t v = ln_get_i64(dtype, x, a), best = ln_get_i64(dtype, x, b);
            above = dtype == LINNET_U64 ? (uint64_t)v > (uint64_t)best : v > best;
            below = v != best && !above;
        }
        if ((s->min ? below : above) || (last && !above && !below))
            at = i;
    }
    return at;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const size_t per = LN_MAX((size_t)1, LN_CHUNK / s->dim), begin = r->task * per, end = LN_MIN(s->count, begin + per);
    const bool last = p->select_last_index != 0;
    int64_t *y = r->out[0];

    for (size_t i = begin; i < end; i++) {
        const size_t from = i / s->inner * s->dim * s->inner + i % s->inner;
        y[i] = (int64_t)(r->in_desc[0].dtype == LINNET_F32 ? arg_f32(s, (const float *)r->in[0] + from, last)
                                                           : arg_any(s, r->in_desc[0].dtype, r->in[0], from, last));
    }
    return LINNET_OK;
}

static bool permute(ln_permute *q)
{
    return ln_permute_axis(q, &((param *)q->param)->axis);
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), 0, false },
    { "keepdims", LN_ATTR_I64, offsetof(param, keepdims), 1, false },
    { "select_last_index", LN_ATTR_I64, offsetof(param, select_last_index), 0, false },
    { 0 },
};

const ln_op ln_op_arg_max = {
    .name = "ArgMax", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .infer = infer, .prepare = prepare, .run = run, .permute = permute,
};

const ln_op ln_op_arg_min = {
    .name = "ArgMin", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .infer = infer, .prepare = arg_min_prepare, .run = run, .permute = permute,
};
