/*
 * arg_reduce.c - ArgMax and ArgMin: where along an axis the largest or smallest element is.
 *
 * Of equal ones the first, or with select_last_index the last. NaN wins over every number.
 */
#include "op.h"

typedef struct param { int64_t axis, keepdims, select_last_index; } param;
typedef struct state {
    size_t dim, inner, count;
    size_t columns, per; /* f32 along another axis than the last: outputs of a task; tasks of an outer index */
    bool   min;
} state;

enum { ARG_COLUMNS = 512, ARG_PIECE = 256 };

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
    if (q->in[0].dtype == LINNET_F32 && s->inner > 1 && s->dim <= INT32_MAX) {
        s->columns = LN_MIN(s->inner, (size_t)ARG_COLUMNS);
        s->per = ln_ceil_div(s->inner, s->columns);
        q->tasks[0] = s->count / s->inner * s->per;
    }
    q->work = (double)ln_count(&q->in[0]);
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q) { return arg_prepare(q, false); }
static linnet_status arg_min_prepare(ln_prepare *q) { return arg_prepare(q, true); }

/* The first (or last) of n contiguous elements that is `best`, which one of them is; NaN is NaN. */
static size_t arg_find(const ln_kernels *k, const float *x, size_t n, float best, bool last)
{
    uint8_t equal[ARG_PIECE];

    for (size_t done = 0, m; done < n; done += m) {
        m = LN_MIN(n - done, (size_t)ARG_PIECE);
        const size_t from = last ? n - done - m : done;
        if (best == best)
            k->compare_f32[LN_CMP_EQ](m, x + from, 1, &best, 0, equal);
        else
            k->compare_f32[LN_CMP_NE](m, x + from, 1, x + from, 1, equal);
        const uint8_t *at = memchr(equal, 1, m);
        if (!at)
            continue;
        size_t i = (size_t)(at - equal);
        for (size_t j = m; last && j-- > i;)
            if (equal[j])
                i = j;
        return from + i;
    }
    return 0;
}

/* A row: find its maximum, then where it is. */
static size_t arg_f32(const ln_kernels *k, const state *s, const float *x, bool last)
{
    return arg_find(k, x, s->dim, k->reduce_all_f32[s->min ? LN_RED_MIN : LN_RED_MAX](s->dim, x), last);
}

/* The same for columns side by side: where a slice equals the maxima, its number is taken; NaN apart. */
static void arg_columns(const ln_run *r, const state *s, bool last)
{
    const ln_kernels *k = r->kernel;
    const size_t outer = r->task / s->per, column = r->task % s->per * s->columns;
    const size_t w = LN_MIN(s->columns, s->inner - column);
    const float *x = (const float *)r->in[0] + outer * s->dim * s->inner + column;
    int64_t *y = (int64_t *)r->out[0] + outer * s->inner + column;
    float best[ARG_COLUMNS], at[ARG_COLUMNS], number;
    uint8_t equal[ARG_COLUMNS];

    memcpy(best, x, w * sizeof *best);
    for (size_t i = 1; i < s->dim; i++)
        k->reduce_rows_f32[s->min ? LN_RED_MIN : LN_RED_MAX](w, x + i * s->inner, best);
    memset(at, 0, w * sizeof *at);
    for (size_t step = 0; step < s->dim; step++) {
        const int32_t i = (int32_t)(last ? step : s->dim - 1 - step);
        memcpy(&number, &i, sizeof number);
        k->compare_f32[LN_CMP_EQ](w, x + (size_t)i * s->inner, 1, best, 1, equal);
        k->select_32(w, equal, &number, 0, at, 1, at);
    }
    for (size_t c = 0; c < w; c++) {
        int32_t i;
        memcpy(&i, &at[c], sizeof i);
        y[c] = i;
        for (size_t j = 0; best[c] != best[c] && j < s->dim; j++) {
            const size_t n = last ? j : s->dim - 1 - j;
            if (x[n * s->inner + c] != x[n * s->inner + c])
                y[c] = (int64_t)n;
        }
    }
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

    if (s->columns) {
        arg_columns(r, s, last);
        return LINNET_OK;
    }
    for (size_t i = begin; i < end; i++) {
        const size_t from = i / s->inner * s->dim * s->inner + i % s->inner;
        y[i] = (int64_t)(r->in_desc[0].dtype == LINNET_F32 ? arg_f32(r->kernel, s, (const float *)r->in[0] + from, last)
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
