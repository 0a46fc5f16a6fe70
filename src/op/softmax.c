/*
 * softmax.c - Softmax, LogSoftmax and Hardmax along one axis.
 *
 * A row along the last axis is one kernel call. Along another axis many rows of f32 lie side by side and are
 * computed together, a slice of the axis at a time. Of other types the elements of a row are gathered into
 * scratch, computed there (in f32, those of f64 in double), and put back.
 */
#include "op.h"

#include <math.h>

typedef struct param { int64_t axis; } param;
typedef void (*softmax_row)(size_t n, const float *x, float *y);
typedef struct state {
    softmax_row row;
    size_t n, inner, rows, per;
    size_t columns; /* rows side by side that a task computes together; 0: one after the other */
    bool   shorts;  /* rows along the last axis that are too short for a kernel */
} state;

enum { SOFTMAX_COLUMNS = 1024, SOFTMAX_SHORT = 16 };

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const int32_t t = q->in[0].dtype;
    int32_t axis;

    if (t != LINNET_F32 && t != LINNET_F64 && t != LINNET_F16 && t != LINNET_BF16)
        return ln_fail_type(q->err, 0, t);
    if (!ln_axis(p->axis, q->in[0].rank, &axis))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Softmax: axis %lld outside a tensor of rank %d", (long long)p->axis,
                       (int)q->in[0].rank);
    q->out[0] = q->in[0];
    return LINNET_OK;
}

static void softmax_hard(size_t n, const float *x, float *y)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        best = x[i] > x[best] || (x[i] != x[i] && x[best] == x[best]) ? i : best; /* the first NaN wins */
    for (size_t i = 0; i < n; i++)
        y[i] = i == best ? 1.0f : 0.0f;
}

static linnet_status softmax_prepare(ln_prepare *q, softmax_row row)
{
    const param *p = q->param;
    const ln_desc *d = &q->in[0];
    state *s = q->state;
    int32_t axis;
    size_t bytes;

    if (!ln_axis(p->axis, d->rank, &axis))
        return LINNET_ERR_SHAPE;
    s->row = row;
    s->n = (size_t)d->dim[axis];
    s->inner = ln_count_range(d, axis + 1, d->rank);
    s->rows = ln_count(d) ? ln_count(d) / s->n : 0;
    s->per = LN_MAX((size_t)1, LN_CHUNK / 4 / LN_MAX(s->n, (size_t)1));
    q->tasks[0] = ln_ceil_div(s->rows, s->per);
    q->work = 8 * (double)ln_count(d);
    if (s->inner > 1 && d->dtype == LINNET_F32 && row != softmax_hard) {
        s->columns = LN_MIN(LN_MAX(LN_CHUNK / LN_MAX(s->n, (size_t)1) / 16 * 16, (size_t)16), (size_t)SOFTMAX_COLUMNS);
        s->per = ln_ceil_div(s->inner, s->columns); /* tasks of one outer index */
        q->tasks[0] = s->rows / s->inner * s->per;
        return LINNET_OK;
    }
    s->shorts = s->inner == 1 && d->dtype == LINNET_F32 && row != softmax_hard && s->n > 0 && s->n <= SOFTMAX_SHORT &&
                s->rows >= 32;
    if (s->shorts)
        q->scratch = s->n * (SOFTMAX_COLUMNS / 4) * sizeof(float);
    if (s->inner > 1 || d->dtype != LINNET_F32) {
        if (!ln_mul(s->n, sizeof(double), &bytes))
            return LINNET_ERR_LIMIT;
        q->scratch = bytes;
    }
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q) { return softmax_prepare(q, q->kernel->softmax_f32); }
static linnet_status log_prepare(ln_prepare *q) { return softmax_prepare(q, q->kernel->log_softmax_f32); }
static linnet_status hard_prepare(ln_prepare *q) { return softmax_prepare(q, softmax_hard); }

static void softmax_f64(const ln_kernels *k, const state *s, double *x)
{
    double top = x[0], sum = 0;
    size_t best = 0;

    for (size_t i = 1; i < s->n; i++) {
        best = x[i] > x[best] || (x[i] != x[i] && x[best] == x[best]) ? i : best;
        top = x[i] > top || x[i] != x[i] ? x[i] : top;
    }
    for (size_t i = 0; i < s->n; i++)
        sum += exp(x[i] - top);
    for (size_t i = 0; i < s->n; i++)
        x[i] = s->row == softmax_hard ? (double)(i == best)
             : s->row == k->log_softmax_f32 ? x[i] - top - log(sum) : exp(x[i] - top) / sum;
}

/* A row whose elements are `inner` apart, or not f32: through scratch. */
static void softmax_strided(const ln_run *r, const state *s, size_t from)
{
    const int32_t t = r->in_desc[0].dtype;

    if (t == LINNET_F64) {
        double *x = r->scratch;
        for (size_t i = 0; i < s->n; i++)
            x[i] = ((const double *)r->in[0])[from + i * s->inner];
        softmax_f64(r->kernel, s, x);
        for (size_t i = 0; i < s->n; i++)
            ((double *)r->out[0])[from + i * s->inner] = x[i];
        return;
    }
    float *x = r->scratch;
    const size_t size = ln_dtype(t)->bits / 8u;
    for (size_t i = 0; i < s->n; i++)
        ln_to_f32(t, (const char *)r->in[0] + (from + i * s->inner) * size, 1, x + i);
    s->row(s->n, x, x);
    for (size_t i = 0; i < s->n; i++)
        ln_from_f32(t, x + i, 1, (char *)r->out[0] + (from + i * s->inner) * size);
}

/* w rows side by side: element i of the first at x[i * ld]. y may be x. */
static void softmax_side(const ln_run *r, const state *s, size_t w, size_t ld, const float *x, float *y)
{
    const ln_kernels *k = r->kernel;
    float top[SOFTMAX_COLUMNS], sum[SOFTMAX_COLUMNS], e[SOFTMAX_COLUMNS];
    const bool logs = s->row == k->log_softmax_f32;

    memcpy(top, x, w * sizeof *top);
    memset(sum, 0, w * sizeof *sum);
    for (size_t i = 1; i < s->n; i++)
        k->reduce_rows_f32[LN_RED_MAX](w, x + i * ld, top);
    for (size_t i = 0; i < s->n; i++) {
        float *to = logs ? e : y + i * ld;
        k->binary_f32[LN_BIN_SUB](w, x + i * ld, 1, top, 1, to);
        k->unary_f32[LN_FN_EXP](w, to, to, 0, 0);
        k->reduce_rows_f32[LN_RED_SUM](w, to, sum);
    }
    if (logs)
        k->unary_f32[LN_FN_LOG](w, sum, sum, 0, 0);
    for (size_t i = 0; i < s->n; i++) {
        float *to = y + i * ld;
        if (logs)
            k->binary_f32[LN_BIN_SUB](w, x + i * ld, 1, top, 1, to);
        k->binary_f32[logs ? LN_BIN_SUB : LN_BIN_DIV](w, to, 1, sum, 1, to);
    }
}

static void softmax_columns(const ln_run *r, const state *s)
{
    const size_t column = r->task % s->per * s->columns, w = LN_MIN(s->columns, s->inner - column);
    const size_t from = r->task / s->per * s->n * s->inner + column;

    softmax_side(r, s, w, s->inner, (const float *)r->in[0] + from, (float *)r->out[0] + from);
}

/* Short rows [begin, end) along the last axis: turned in scratch, so that they lie side by side. */
static void softmax_short(const ln_run *r, const state *s, size_t begin, size_t end)
{
    float *t = r->scratch;

    for (size_t row = begin, w; row < end; row += w) {
        w = LN_MIN(end - row, (size_t)SOFTMAX_COLUMNS / 4);
        r->kernel->transpose_32(w, s->n, (const float *)r->in[0] + row * s->n, s->n, t, w);
        softmax_side(r, s, w, w, t, t);
        r->kernel->transpose_32(s->n, w, t, w, (float *)r->out[0] + row * s->n, s->n);
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;

    if (s->columns) {
        softmax_columns(r, s);
        return LINNET_OK;
    }
    const size_t begin = r->task * s->per, end = LN_MIN(s->rows, begin + s->per);
    if (s->shorts) {
        softmax_short(r, s, begin, end);
        return LINNET_OK;
    }
    for (size_t row = begin; row < end; row++) {
        const size_t from = row / s->inner * s->n * s->inner + row % s->inner;
        if (s->inner == 1 && r->in_desc[0].dtype == LINNET_F32)
            s->row(s->n, (const float *)r->in[0] + from, (float *)r->out[0] + from);
        else
            softmax_strided(r, s, from);
    }
    return LINNET_OK;
}

static bool permute(ln_permute *q)
{
    return ln_permute_axis(q, &((param *)q->param)->axis);
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), -1, false },
    { 0 },
};

const ln_op ln_op_softmax = {
    .name = "Softmax", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .inplace = 1, .infer = infer, .prepare = prepare, .run = run, .permute = permute,
};

const ln_op ln_op_log_softmax = {
    .name = "LogSoftmax", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .inplace = 1, .infer = infer, .prepare = log_prepare, .run = run, .permute = permute,
};

const ln_op ln_op_hardmax = {
    .name = "Hardmax", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .inplace = 1, .infer = infer, .prepare = hard_prepare, .run = run, .permute = permute,
};
