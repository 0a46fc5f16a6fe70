/*
 * reduce.c - the ten reductions: ReduceSum, -Mean, -Max, -Min, -Prod, -L1, -L2, -LogSum, -LogSumExp, -SumSquare.
 *
 * Axes are merged until kept and folded ones alternate. What is innermost decides: a folded axis gives rows to be
 * folded to a number, a kept one rows to be folded onto a row. Work is split over outputs alone: a sum is added
 * up in one order whatever the threads.
 */
#include "element.h"

#include <math.h>

enum { REDUCE_SUM, REDUCE_MEAN, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, REDUCE_L1, REDUCE_L2, REDUCE_LOG_SUM,
       REDUCE_LOG_SUM_EXP, REDUCE_SUM_SQUARE };
#define REDUCE_COLUMNS 1024u /* most columns that a task folds at a time */
#define REDUCE_ROWS 64u      /* rows that are folded before they join the total: keeps the error of sums small */

typedef struct param { int64_t keepdims, noop_with_empty_axes; } param;

typedef struct state {
    int32_t op, wide;
    bool    rows;     /* the innermost axis is folded */
    int32_t kept, folded;
    size_t  kept_dim[LN_MAX_RANK], kept_stride[LN_MAX_RANK]; /* without the innermost axis, like */
    size_t  fold_dim[LN_MAX_RANK], fold_stride[LN_MAX_RANK]; /* these */
    size_t  inner;    /* length of the innermost axis */
    size_t  outer;    /* products of kept_dim */
    size_t  folds;    /* and of fold_dim */
    size_t  step;     /* of a task: outputs, or columns */
    size_t  per_row;  /* tasks of one row of outputs; 1 where the innermost axis is folded */
} state;

/* ---- shapes --------------------------------------------------------------------------------- */

/* Which axes are folded. */
static linnet_status reduce_axes(const ln_infer *q, bool fold[LN_MAX_RANK])
{
    const param *p = q->param;
    const ln_desc *axes = q->in_count > 1 && q->in[1].dtype ? &q->in[1] : NULL;
    const int32_t rank = q->in[0].rank;
    size_t count = 0;

    memset(fold, 0, LN_MAX_RANK * sizeof *fold);
    if (axes && ((axes->dtype != LINNET_I64 && axes->dtype != LINNET_I32) || axes->rank > 1 ||
                 !ln_desc_count(axes, &count) || count > LN_MAX_RANK))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Reduce: axes must be a list of at most %d integers", LN_MAX_RANK);
    if (count && !q->value[1])
        return LN_WAIT;
    if (count == 0)
        for (int32_t i = 0; i < rank; i++)
            fold[i] = !p->noop_with_empty_axes;
    for (size_t i = 0; i < count; i++) {
        const int64_t axis = ln_get_i64(axes->dtype, q->value[1], i);
        int32_t at;
        if (!ln_axis(axis, rank, &at) || fold[at])
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Reduce: axis %lld of rank %d, or twice the same", (long long)axis,
                           (int)rank);
        fold[at] = true;
    }
    return LINNET_OK;
}

static linnet_status reduce_infer(const ln_infer *q, uint32_t types)
{
    const param *p = q->param;
    bool fold[LN_MAX_RANK];
    ln_desc *out = &q->out[0];

    if (!ln_type_in(q->in[0].dtype, types))
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    const linnet_status st = reduce_axes(q, fold);
    if (st)
        return st;
    out->dtype = q->in[0].dtype;
    for (int32_t i = 0; i < q->in[0].rank; i++)
        if (!fold[i])
            out->dim[out->rank++] = q->in[0].dim[i];
        else if (p->keepdims)
            out->dim[out->rank++] = 1;
    return LINNET_OK;
}

/* Merge axes into s. */
static void reduce_collapse(state *s, const ln_desc *x, const bool fold[LN_MAX_RANK])
{
    size_t dim[LN_MAX_RANK];
    bool folds[LN_MAX_RANK];
    int32_t rank = 0;

    for (int32_t i = 0; i < x->rank; i++) {
        if (x->dim[i] == 1)
            continue;
        if (rank > 0 && folds[rank - 1] == fold[i]) {
            dim[rank - 1] *= (size_t)x->dim[i];
        } else {
            dim[rank] = (size_t)x->dim[i];
            folds[rank++] = fold[i];
        }
    }
    if (rank == 0) {
        dim[0] = 1;
        folds[rank++] = true;
    }
    s->rows = folds[rank - 1];
    s->inner = dim[rank - 1];
    s->outer = s->folds = 1;
    size_t stride = s->inner;
    for (int32_t i = rank - 2; i >= 0; stride *= dim[i--]) {
        const int32_t at = folds[i] ? s->folded++ : s->kept++;
        (folds[i] ? s->fold_dim : s->kept_dim)[at] = dim[i];
        (folds[i] ? s->fold_stride : s->kept_stride)[at] = stride;
        *(folds[i] ? &s->folds : &s->outer) *= dim[i];
    }
}

/* Where entry i of axes (innermost first) begins. */
static size_t reduce_at(int32_t axes, const size_t *dim, const size_t *stride, size_t i)
{
    size_t at = 0;

    for (int32_t d = 0; d + 1 < axes; d++) {
        at += i % dim[d] * stride[d];
        i /= dim[d];
    }
    return axes ? at + i * stride[axes - 1] : 0;
}

static linnet_status reduce_prepare(ln_prepare *q, int32_t op)
{
    const ln_infer as = { q->param, q->in_count, q->out_count, q->in, q->value, NULL, q->err, NULL };
    const int32_t wide = ln_wide_of(q->in[0].dtype);
    state *s = q->state;
    bool fold[LN_MAX_RANK];
    const linnet_status st = reduce_axes(&as, fold);

    if (st)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Reduce: the axes are not known");
    const bool roots = op == REDUCE_L2 || op == REDUCE_LOG_SUM || op == REDUCE_LOG_SUM_EXP;
    s->op = op;
    s->wide = wide == LN_WIDE_F32 || roots ? LN_WIDE_F64 : wide;
    reduce_collapse(s, &q->in[0], fold);
    const size_t each = s->folds * (s->rows ? s->inner : 1);
    s->step = LN_MAX(LN_CHUNK / LN_MAX(each, (size_t)1), (size_t)1);
    if (!s->rows)
        s->step = LN_MIN(LN_MAX((s->step + 15) / 16 * 16, (size_t)64), (size_t)REDUCE_COLUMNS);
    s->per_row = s->rows ? 1 : ln_ceil_div(s->inner, s->step);
    q->tasks[0] = ln_count(&q->out[0]) == 0 ? 0 : s->rows ? ln_ceil_div(s->outer, s->step) : s->outer * s->per_row;
    q->work = (double)ln_count(&q->in[0]);
    return LINNET_OK;
}

/* ---- f32 by kernels ---------------------------------------------------------------------------- */

static const int8_t reduce_kernel[] = {
    [REDUCE_SUM] = LN_RED_SUM, [REDUCE_MEAN] = LN_RED_SUM, [REDUCE_MAX] = LN_RED_MAX, [REDUCE_MIN] = LN_RED_MIN,
    [REDUCE_PROD] = LN_RED_PROD, [REDUCE_L1] = LN_RED_SUMABS, [REDUCE_L2] = LN_RED_SUMSQ,
    [REDUCE_LOG_SUM] = LN_RED_SUM, [REDUCE_LOG_SUM_EXP] = LN_RED_MAX, [REDUCE_SUM_SQUARE] = LN_RED_SUMSQ,
};

/* How partial results of a kernel join. */
static int32_t reduce_join(int32_t red)
{
    return red == LN_RED_MAX ? LN_BIN_MAX : red == LN_RED_MIN ? LN_BIN_MIN : red == LN_RED_PROD ? LN_BIN_MUL : LN_BIN_ADD;
}

static float reduce_rows_f32(const ln_run *r, const state *s, const float *x)
{
    const int32_t red = reduce_kernel[s->op];
    const ln_binary_f32 join = r->kernel->binary_f32[reduce_join(red)];
    float total = r->kernel->reduce_all_f32[red](0, NULL);

    for (size_t i = 0; i < s->folds; i++) {
        const float *row = x + reduce_at(s->folded, s->fold_dim, s->fold_stride, i);
        const float part = r->kernel->reduce_all_f32[red](s->inner, row);
        join(1, &total, 1, &part, 1, &total);
    }
    return total;
}

/* Sum of exp(x - top). */
static float reduce_exp_f32(const ln_run *r, const state *s, const float *x, float top)
{
    float block[LN_BLOCK], total = 0.0f;

    for (size_t i = 0; i < s->folds; i++) {
        const float *row = x + reduce_at(s->folded, s->fold_dim, s->fold_stride, i);
        for (size_t at = 0; at < s->inner; at += LN_BLOCK) {
            const size_t n = LN_MIN((size_t)LN_BLOCK, s->inner - at);
            r->kernel->binary_f32[LN_BIN_SUB](n, row + at, 1, &top, 0, block);
            r->kernel->unary_f32[LN_FN_EXP](n, block, block, 0.0f, 0.0f);
            total += r->kernel->reduce_all_f32[LN_RED_SUM](n, block);
        }
    }
    return total;
}

/* The same for n columns at x, onto y. */
static void reduce_columns_exp(const ln_run *r, const state *s, const float *x, size_t n, const float *top, float *y)
{
    float row[REDUCE_COLUMNS];

    memset(y, 0, n * sizeof *y);
    for (size_t i = 0; i < s->folds; i++) {
        const float *from = x + reduce_at(s->folded, s->fold_dim, s->fold_stride, i);
        r->kernel->binary_f32[LN_BIN_SUB](n, from, 1, top, 1, row);
        r->kernel->unary_f32[LN_FN_EXP](n, row, row, 0.0f, 0.0f);
        r->kernel->reduce_rows_f32[LN_RED_SUM](n, row, y);
    }
}

static void reduce_columns_f32(const ln_run *r, const state *s, const float *x, size_t n, float *y)
{
    const int32_t red = reduce_kernel[s->op];
    const float neutral = r->kernel->reduce_all_f32[red](0, NULL);
    float part[REDUCE_COLUMNS];

    for (size_t i = 0; i < s->folds || i == 0; i += REDUCE_ROWS) {
        float *to = i ? part : y;
        for (size_t c = 0; c < n; c++)
            to[c] = neutral;
        for (size_t k = i; k < s->folds && k < i + REDUCE_ROWS; k++)
            r->kernel->reduce_rows_f32[red](n, x + reduce_at(s->folded, s->fold_dim, s->fold_stride, k), to);
        if (i)
            r->kernel->binary_f32[reduce_join(red)](n, y, 1, part, 1, y);
    }
}

/* Infinite maxima would make NaN of infinity minus infinity. */
static void reduce_tops(size_t n, const float *x, float *top)
{
    for (size_t i = 0; i < n; i++)
        top[i] = x[i] - x[i] == 0.0f ? x[i] : 0.0f;
}

static void reduce_finish_f32(const ln_run *r, const state *s, size_t n, float *y)
{
    const float count = (float)(s->folds * (s->rows ? s->inner : 1));

    if (s->op == REDUCE_MEAN)
        r->kernel->binary_f32[LN_BIN_DIV](n, y, 1, &count, 0, y);
    else if (s->op == REDUCE_L2)
        r->kernel->unary_f32[LN_FN_SQRT](n, y, y, 0.0f, 0.0f);
    else if (s->op == REDUCE_LOG_SUM || s->op == REDUCE_LOG_SUM_EXP)
        r->kernel->unary_f32[LN_FN_LOG](n, y, y, 0.0f, 0.0f);
}

static void reduce_f32(const ln_run *r, const state *s, size_t base, size_t columns, float *y)
{
    const float *x = r->in[0] ? (const float *)r->in[0] + base : NULL;
    float top[REDUCE_COLUMNS];
    const bool exps = s->op == REDUCE_LOG_SUM_EXP;

    if (!x) { /* nothing to fold */
        for (size_t i = 0; i < columns; i++)
            y[i] = exps ? 0.0f : r->kernel->reduce_all_f32[reduce_kernel[s->op]](0, NULL);
    } else if (s->rows) {
        *y = reduce_rows_f32(r, s, x);
    } else {
        reduce_columns_f32(r, s, x, columns, y);
    }
    if (exps && x) {
        reduce_tops(columns, y, top);
        if (s->rows)
            *y = reduce_exp_f32(r, s, x, *top);
        else
            reduce_columns_exp(r, s, x, columns, top, y);
    }
    reduce_finish_f32(r, s, columns, y);
    if (exps && x)
        r->kernel->binary_f32[LN_BIN_ADD](columns, y, 1, top, 1, y);
}

/* Outputs [i, end) where each is a row, and the rows lie one behind the other. */
static void reduce_simple(const ln_run *r, const state *s, size_t i, size_t end)
{
    float *y = r->out[0];

    for (size_t k = i; k < end; k++)
        y[k] = r->kernel->reduce_all_f32[reduce_kernel[s->op]](s->inner, (const float *)r->in[0] + k * s->inner);
    reduce_finish_f32(r, s, end - i, y + i);
}

/* ---- other types, in wide numbers ------------------------------------------------------------------ */

/* acc[i * step] (+) x[i]; NaN stays in maxima and minima. */
#define REDUCE_FOLD(T, field, magnitude)                                               \
    static void reduce_fold_##field(int32_t op, size_t n, const T *x, T *acc, size_t step) \
    {                                                                                  \
        for (size_t i = 0; i < n; i++) {                                               \
            T *a = acc + i * step;                                                     \
            const T v = x[i];                                                          \
            switch (op) {                                                              \
            case REDUCE_MAX:  *a = *a > v || *a != *a ? *a : v; break;                 \
            case REDUCE_MIN:  *a = *a < v || *a != *a ? *a : v; break;                 \
            case REDUCE_PROD: *a = (T)(*a * v); break;                                 \
            case REDUCE_L1:   *a = (T)(*a + (magnitude)); break;                       \
            case REDUCE_L2:                                                            \
            case REDUCE_SUM_SQUARE: *a = (T)(*a + v * v); break;                       \
            default:          *a = (T)(*a + v); break;                                 \
            }                                                                          \
        }                                                                              \
    }
REDUCE_FOLD(double, f64, fabs(v))
REDUCE_FOLD(uint64_t, u64, v)

/* Sums and products wrap like unsigned ones; only order and magnitude know of the sign. */
static void reduce_fold_i64(int32_t op, size_t n, const int64_t *x, int64_t *acc, size_t step)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t v = (uint64_t)x[i], a = (uint64_t)acc[i * step];
        int64_t *to = acc + i * step;
        switch (op) {
        case REDUCE_MAX:  *to = LN_MAX(*to, x[i]); break;
        case REDUCE_MIN:  *to = LN_MIN(*to, x[i]); break;
        case REDUCE_PROD: *to = (int64_t)(a * v); break;
        case REDUCE_L1:   *to = (int64_t)(a + (x[i] < 0 ? 0 - v : v)); break;
        case REDUCE_SUM_SQUARE: *to = (int64_t)(a + v * v); break;
        default:          *to = (int64_t)(a + v); break;
        }
    }
}

/* What nothing folds to. */
static void reduce_neutral(const state *s, int32_t type, int32_t op, size_t n, ln_block *acc)
{
    const unsigned bits = type == LINNET_BOOL ? 1 : ln_dtype(type)->bits;
    const uint64_t most = UINT64_MAX >> (64 - bits);

    for (size_t i = 0; i < n; i++)
        if (s->wide == LN_WIDE_F64)
            acc->f64[i] = op == REDUCE_MAX ? -(double)INFINITY : op == REDUCE_MIN ? (double)INFINITY : op == REDUCE_PROD;
        else if (s->wide == LN_WIDE_I64)
            acc->i64[i] = op == REDUCE_MAX ? -(int64_t)(most / 2) - 1 : op == REDUCE_MIN ? (int64_t)(most / 2)
                                                                                        : op == REDUCE_PROD;
        else
            acc->u64[i] = op == REDUCE_MIN ? most : op == REDUCE_PROD;
}

/* Fold n columns at element `base` (or, of rows, one row each) onto acc; top: take exp(x - top). */
static void reduce_pass(const ln_run *r, const state *s, int32_t op, size_t base, size_t n, const ln_block *top,
                        ln_block *acc)
{
    const int32_t type = r->in_desc[0].dtype;
    const size_t row = s->rows ? s->inner : n, step = s->rows ? 0 : 1;
    ln_block block;

    for (size_t i = 0; i < s->folds && r->in[0]; i++)
        for (size_t at = 0; at < row; at += LN_BLOCK) {
            const size_t from = base + reduce_at(s->folded, s->fold_dim, s->fold_stride, i) + at;
            const size_t m = LN_MIN((size_t)LN_BLOCK, row - at);
            ln_wide_read(r->kernel, type, r->in[0], from, m, s->wide, &block);
            for (size_t k = 0; top && k < m; k++)
                block.f64[k] = exp(block.f64[k] - top->f64[k * step]);
            if (s->wide == LN_WIDE_F64)
                reduce_fold_f64(op, m, block.f64, acc->f64, step);
            else if (s->wide == LN_WIDE_I64)
                reduce_fold_i64(op, m, block.i64, acc->i64, step);
            else
                reduce_fold_u64(op, m, block.u64, acc->u64, step);
        }
}

static void reduce_finish(const state *s, size_t n, ln_block *acc)
{
    const size_t count = s->folds * (s->rows ? s->inner : 1);

    for (size_t i = 0; i < n; i++) {
        if (s->op == REDUCE_MEAN && s->wide == LN_WIDE_F64)
            acc->f64[i] /= (double)count;
        else if (s->op == REDUCE_MEAN && s->wide == LN_WIDE_I64)
            acc->i64[i] = count ? acc->i64[i] / (int64_t)count : 0;
        else if (s->op == REDUCE_MEAN)
            acc->u64[i] = count ? acc->u64[i] / count : 0;
        else if (s->op == REDUCE_L2)
            acc->f64[i] = sqrt(acc->f64[i]);
        else if (s->op == REDUCE_LOG_SUM || s->op == REDUCE_LOG_SUM_EXP)
            acc->f64[i] = log(acc->f64[i]);
    }
}

/* Outputs [to, to + n), n at most LN_BLOCK columns, or one row. */
static void reduce_wide(const ln_run *r, const state *s, size_t base, size_t n, size_t to)
{
    const int32_t type = r->out_desc[0].dtype;
    ln_block acc, top;

    if (s->op == REDUCE_LOG_SUM_EXP) {
        reduce_neutral(s, type, REDUCE_MAX, n, &top);
        reduce_pass(r, s, REDUCE_MAX, base, n, NULL, &top);
        for (size_t i = 0; i < n; i++)
            if (top.f64[i] - top.f64[i] != 0.0)
                top.f64[i] = 0.0;
        reduce_neutral(s, type, REDUCE_SUM, n, &acc);
        reduce_pass(r, s, REDUCE_SUM, base, n, &top, &acc);
    } else {
        reduce_neutral(s, type, s->op, n, &acc);
        reduce_pass(r, s, s->op, base, n, NULL, &acc);
    }
    reduce_finish(s, n, &acc);
    for (size_t i = 0; s->op == REDUCE_LOG_SUM_EXP && i < n; i++)
        acc.f64[i] += top.f64[i];
    ln_wide_write(r->kernel, type, s->wide, &acc, n, r->out[0], to);
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const bool f32 = r->in_desc[0].dtype == LINNET_F32;
    const size_t block = f32 ? REDUCE_COLUMNS : LN_BLOCK;

    if (s->rows) {
        const size_t end = LN_MIN((r->task + 1) * s->step, s->outer);
        if (f32 && s->folds == 1 && s->kept <= 1 && s->op != REDUCE_LOG_SUM_EXP && r->in[0]) {
            reduce_simple(r, s, r->task * s->step, end);
            return LINNET_OK;
        }
        for (size_t i = r->task * s->step; i < end; i++) {
            const size_t base = reduce_at(s->kept, s->kept_dim, s->kept_stride, i);
            if (f32)
                reduce_f32(r, s, base, 1, (float *)r->out[0] + i);
            else
                reduce_wide(r, s, base, 1, i);
        }
        return LINNET_OK;
    }
    const size_t row = r->task / s->per_row, column = r->task % s->per_row * s->step;
    const size_t end = LN_MIN(column + s->step, s->inner);
    const size_t base = reduce_at(s->kept, s->kept_dim, s->kept_stride, row);
    for (size_t c = column; c < end; c += block) {
        const size_t n = LN_MIN(block, end - c);
        if (f32)
            reduce_f32(r, s, base + c, n, (float *)r->out[0] + row * s->inner + c);
        else
            reduce_wide(r, s, base + c, n, row * s->inner + c);
    }
    return LINNET_OK;
}

/* ---- the layout pass ------------------------------------------------------------------------------- */

static bool permute(ln_permute *q)
{
    const param *p = q->param;
    size_t count = 0;

    if (!p->keepdims)
        return false;
    if (q->in_count < 2 || !q->in[1].dtype || (ln_desc_count(&q->in[1], &count) && count == 0))
        return true;
    int64_t *axes = q->value[1] && q->in[1].dtype == LINNET_I64 ? ln_arena_alloc(q->arena, count, sizeof *axes) : NULL;
    for (size_t i = 0; axes && i < count; i++) {
        int32_t at;
        if (!ln_axis(ln_get_i64(LINNET_I64, q->value[1], i), q->rank, &at))
            return false;
        axes[i] = q->inverse[at];
    }
    q->replace[1] = axes;
    return axes != NULL;
}

static const ln_attr attr[] = {
    { "keepdims", LN_ATTR_I64, offsetof(param, keepdims), 1, false },
    { "noop_with_empty_axes", LN_ATTR_I64, offsetof(param, noop_with_empty_axes), 0, false },
    { 0 },
};

#define REDUCE(id, types, op)                                                                  \
    static linnet_status reduce_##id##_infer(const ln_infer *q) { return reduce_infer(q, types); } \
    static linnet_status reduce_##id##_prepare(ln_prepare *q) { return reduce_prepare(q, op); }

REDUCE(sum, LN_TYPES_NUMBER, REDUCE_SUM)
REDUCE(mean, LN_TYPES_NUMBER, REDUCE_MEAN)
REDUCE(max, LN_TYPES_NUMBER | LN_TYPE(LINNET_BOOL), REDUCE_MAX)
REDUCE(min, LN_TYPES_NUMBER | LN_TYPE(LINNET_BOOL), REDUCE_MIN)
REDUCE(prod, LN_TYPES_NUMBER, REDUCE_PROD)
REDUCE(l1, LN_TYPES_NUMBER, REDUCE_L1)
REDUCE(l2, LN_TYPES_NUMBER, REDUCE_L2)
REDUCE(log_sum, LN_TYPES_NUMBER, REDUCE_LOG_SUM)
REDUCE(log_sum_exp, LN_TYPES_NUMBER, REDUCE_LOG_SUM_EXP)
REDUCE(sum_square, LN_TYPES_NUMBER, REDUCE_SUM_SQUARE)

#define REDUCE_OP(id)                                                                          \
    .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state), .in_min = 1, .in_max = 2, \
    .infer = reduce_##id##_infer, .prepare = reduce_##id##_prepare, .run = run, .permute = permute

const ln_op ln_op_reduce_sum = { .name = "ReduceSum", REDUCE_OP(sum) };
const ln_op ln_op_reduce_mean = { .name = "ReduceMean", REDUCE_OP(mean) };
const ln_op ln_op_reduce_max = { .name = "ReduceMax", REDUCE_OP(max) };
const ln_op ln_op_reduce_min = { .name = "ReduceMin", REDUCE_OP(min) };
const ln_op ln_op_reduce_prod = { .name = "ReduceProd", REDUCE_OP(prod) };
const ln_op ln_op_reduce_l1 = { .name = "ReduceL1", REDUCE_OP(l1) };
const ln_op ln_op_reduce_l2 = { .name = "ReduceL2", REDUCE_OP(l2) };
const ln_op ln_op_reduce_log_sum = { .name = "ReduceLogSum", REDUCE_OP(log_sum) };
const ln_op ln_op_reduce_log_sum_exp = { .name = "ReduceLogSumExp", REDUCE_OP(log_sum_exp) };
const ln_op ln_op_reduce_sum_square = { .name = "ReduceSumSquare", REDUCE_OP(sum_square) };

#undef REDUCE_COLUMNS
#undef REDUCE_ROWS
#undef REDUCE_FOLD
#undef REDUCE
#undef REDUCE_OP
