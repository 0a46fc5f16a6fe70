/*
 * lp_norm.c - LpNormalization and MeanVarianceNormalization: lines or slabs brought to norm 1,
 * or to mean 0 and variance 1. Computed in double.
 */
#include "op.h"

#include <math.h>

typedef struct param { int64_t axis, p; ln_ints axes; } param;

static bool lp_type_ok(int32_t t)
{
    return ln_dtype(t)->kind == LN_KIND_FLOAT && ln_dtype(t)->bits >= 16;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    int32_t axis;

    if (!lp_type_ok(q->in[0].dtype))
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    if (!ln_axis(p->axis, q->in[0].rank, &axis) || (p->p != 1 && p->p != 2))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "LpNormalization: axis %lld or p %lld is not possible",
                       (long long)p->axis,
                       (long long)p->p);
    q->out[0] = q->in[0];
    return LINNET_OK;
}

static void lp_row(const ln_run *r, size_t n, const float *x, float *y)
{
    const bool first = ((const param *)r->param)->p == 1;
    const float sum = r->kernel->reduce_all_f32[first ? LN_RED_SUMABS : LN_RED_SUMSQ](n, x);
    const float norm = first ? sum : sqrtf(sum);

    if (norm == 0)
        memset(y, 0, n * sizeof *y);
    else
        r->kernel->binary_f32[LN_BIN_DIV](n, x, 1, &norm, 0, y);
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const ln_desc *d = &r->in_desc[0];
    int32_t axis;

    if (!ln_axis(p->axis, d->rank, &axis) || !r->out[0])
        return LINNET_OK;
    const size_t n = (size_t)d->dim[axis], inner = ln_count_range(d, axis + 1, d->rank), lines = ln_count(d) / n;
    if (d->dtype == LINNET_F32 && inner == 1) {
        for (size_t line = 0; line < lines; line++)
            lp_row(r, n, (const float *)r->in[0] + line * n, (float *)r->out[0] + line * n);
        return LINNET_OK;
    }
    for (size_t line = 0; line < lines; line++) {
        const size_t from = line / inner * n * inner + line % inner;
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            const double x = ln_get_f64(d->dtype, r->in[0], from + i * inner);
            sum += p->p == 1 ? fabs(x) : x * x;
        }
        const double norm = p->p == 1 ? sum : sqrt(sum);
        for (size_t i = 0; i < n; i++) {
            const double x = ln_get_f64(d->dtype, r->in[0], from + i * inner);
            ln_set_f64(d->dtype, r->out[0], from + i * inner, norm == 0 ? 0 : x / norm);
        }
    }
    return LINNET_OK;
}

/* ---- MeanVarianceNormalization ------------------------------------------------------------ */

static linnet_status mean_variance_axes(const param *p, int32_t rank, bool fold[LN_MAX_RANK], linnet_error *err)
{
    static const int64_t preset[] = { 0, 2, 3 };
    const ln_ints axes = p->axes.v ? p->axes : (ln_ints){ preset, 3 };

    memset(fold, 0, LN_MAX_RANK * sizeof *fold);
    for (size_t i = 0; i < axes.count; i++) {
        int32_t axis;
        if (!ln_axis(axes.v[i], rank, &axis))
            return ln_fail(err, LINNET_ERR_SHAPE, "MeanVarianceNormalization: axis %lld outside rank %d",
                           (long long)axes.v[i], (int)rank);
        fold[axis] = true;
    }
    return LINNET_OK;
}

static linnet_status mean_variance_infer(const ln_infer *q)
{
    bool fold[LN_MAX_RANK];

    if (!lp_type_ok(q->in[0].dtype))
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    q->out[0] = q->in[0];
    return mean_variance_axes(q->param, q->in[0].rank, fold, q->err);
}

/* Element offset of index `i` over those axes where fold[] equals `which`. */
static size_t mean_variance_at(const ln_desc *d, const bool *fold, bool which, const int64_t *stride, size_t i)
{
    size_t at = 0;

    for (int32_t k = d->rank - 1; k >= 0; k--)
        if (fold[k] == which) {
            at += i % (size_t)d->dim[k] * (size_t)stride[k];
            i /= (size_t)d->dim[k];
        }
    return at;
}

static linnet_status mean_variance_run(const ln_run *r)
{
    const ln_desc *d = &r->in_desc[0];
    bool fold[LN_MAX_RANK];
    int64_t stride[LN_MAX_RANK];
    size_t outer = 1, inner = 1;
    const linnet_status st = mean_variance_axes(r->param, d->rank, fold, r->err);

    if (st || !r->out[0])
        return st;
    ln_strides(d, stride);
    for (int32_t k = 0; k < d->rank; k++)
        *(fold[k] ? &inner : &outer) *= (size_t)d->dim[k];
    for (size_t o = 0; o < outer; o++) {
        const size_t base = mean_variance_at(d, fold, false, stride, o);
        double sum = 0, square = 0;
        for (size_t i = 0; i < inner; i++)
            sum += ln_get_f64(d->dtype, r->in[0], base + mean_variance_at(d, fold, true, stride, i));
        const double mean = sum / (double)inner;
        for (size_t i = 0; i < inner; i++) {
            const double x = ln_get_f64(d->dtype, r->in[0], base + mean_variance_at(d, fold, true, stride, i)) - mean;
            square += x * x;
        }
        const double deviation = sqrt(square / (double)inner) + 1e-9; /* the standard's own epsilon */
        for (size_t i = 0; i < inner; i++) {
            const size_t at = base + mean_variance_at(d, fold, true, stride, i);
            ln_set_f64(d->dtype, r->out[0], at, (ln_get_f64(d->dtype, r->in[0], at) - mean) / deviation);
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), -1, false },
    { "p", LN_ATTR_I64, offsetof(param, p), 2, false },
    { 0 },
};

static const ln_attr mean_variance_attr[] = {
    { "axes", LN_ATTR_INTS, offsetof(param, axes), 0, false },
    { 0 },
};

const ln_op ln_op_lp_normalization = {
    .name = "LpNormalization", .attr = attr, .param_size = sizeof(param), .in_min = 1, .in_max = 1,
    .infer = infer, .run = run,
};

const ln_op ln_op_mean_variance_normalization = {
    .name = "MeanVarianceNormalization", .attr = mean_variance_attr, .param_size = sizeof(param), .in_min = 1,
    .in_max = 1, .infer = mean_variance_infer, .run = mean_variance_run,
};
