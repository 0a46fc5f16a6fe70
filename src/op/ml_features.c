/*
 * ml_features.c - ai.onnx.ml: ArrayFeatureExtractor, Binarizer, Scaler, Normalizer.
 */
#include "op.h"

#include <math.h>

typedef struct param {
    float       threshold;
    ln_floats   offset, scale;
    const char *norm;
} param;

static bool features_number(int32_t t)
{
    const ln_dtype_info *d = ln_dtype(t);

    return d->bits % 8 == 0 && (d->kind == LN_KIND_FLOAT || d->kind == LN_KIND_INT || d->kind == LN_KIND_UINT);
}

/* ---- ArrayFeatureExtractor: columns of the last axis ------------------------------------------- */

static linnet_status infer(const ln_infer *q)
{
    const ln_desc *x = &q->in[0];

    if (ln_dtype(x->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, x->dtype);
    if (x->rank < 1 || q->in[1].dtype != LINNET_I64)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "ArrayFeatureExtractor: data or indices are not possible");
    q->out[0] = *x;
    if (x->rank == 1)
        q->out[0] = ln_desc_of(x->dtype, 2, (int64_t[]){ 1, 0 });
    q->out[0].dim[q->out[0].rank - 1] = (int64_t)ln_count(&q->in[1]);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const ln_desc *x = &r->in_desc[0];
    const size_t size = ln_dtype(x->dtype)->bits / 8u, width = (size_t)x->dim[x->rank - 1];
    const size_t count = ln_count(&r->in_desc[1]);
    const size_t rows = count ? ln_count(&r->out_desc[0]) / count : 0;
    const int64_t *at = r->in[1];
    char *y = r->out[0];

    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < count; k++, y += size) {
            if (at[k] < 0 || (uint64_t)at[k] >= width)
                return ln_fail(r->err, LINNET_ERR_DATA, "ArrayFeatureExtractor: index %lld of %zu", (long long)at[k],
                               width);
            memcpy(y, (const char *)r->in[0] + (i * width + (size_t)at[k]) * size, size);
        }
    return LINNET_OK;
}

/* ---- functions of one number -------------------------------------------------------------------- */

static linnet_status features_infer(const ln_infer *q)
{
    if (!features_number(q->in[0].dtype))
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    q->out[0] = q->in[0];
    return LINNET_OK;
}

static linnet_status features_float_infer(const ln_infer *q)
{
    const linnet_status st = features_infer(q);

    q->out[0].dtype = LINNET_F32;
    return st;
}

static linnet_status prepare(ln_prepare *q)
{
    ln_split(q, ln_count(&q->out[0]));
    return LINNET_OK;
}

static linnet_status features_binarizer_run(const ln_run *r)
{
    const double threshold = (double)((const param *)r->param)->threshold;
    size_t from, count;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    for (size_t i = from; i < from + count; i++)
        ln_set_f64(r->out_desc[0].dtype, r->out[0], i, ln_get_f64(r->in_desc[0].dtype, r->in[0], i) > threshold);
    return LINNET_OK;
}

static linnet_status features_scaler_infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0];
    const size_t width = x->rank ? (size_t)x->dim[x->rank - 1] : 1;

    if ((p->offset.count != 1 && p->offset.count != width) || (p->scale.count != 1 && p->scale.count != width))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Scaler: %zu features, %zu offsets, %zu scales", width, p->offset.count,
                       p->scale.count);
    return features_float_infer(q);
}

static linnet_status features_scaler_run(const ln_run *r)
{
    const param *p = r->param;
    const ln_desc *x = &r->in_desc[0];
    const size_t width = x->rank ? (size_t)x->dim[x->rank - 1] : 1;
    size_t from, count;

    ln_part(ln_count(x), r->task, &from, &count);
    for (size_t i = from; i < from + count; i++) {
        const size_t c = i % width;
        const double v = ln_get_f64(x->dtype, r->in[0], i) - (double)p->offset.v[p->offset.count > 1 ? c : 0];
        ((float *)r->out[0])[i] = (float)(v * (double)p->scale.v[p->scale.count > 1 ? c : 0]);
    }
    return LINNET_OK;
}

/* ---- Normalizer: rows to norm 1; a row of zeros stays ----------------------------------------------- */

static linnet_status features_normalizer_infer(const ln_infer *q)
{
    const param *p = q->param;

    if (q->in[0].rank < 1 ||
        (!ln_is(p->norm, "MAX", "MAX") && !ln_is(p->norm, "MAX", "L1") && !ln_is(p->norm, "MAX", "L2")))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Normalizer: no rows, or norm \"%s\"", p->norm ? p->norm : "MAX");
    return features_float_infer(q);
}

static linnet_status features_normalizer_run(const ln_run *r)
{
    const param *p = r->param;
    const ln_desc *x = &r->in_desc[0];
    const size_t n = (size_t)x->dim[x->rank - 1], rows = n ? ln_count(x) / n : 0;
    const bool most = ln_is(p->norm, "MAX", "MAX"), squares = ln_is(p->norm, "MAX", "L2");

    for (size_t i = 0; i < rows; i++) {
        double norm = 0;
        for (size_t c = 0; c < n; c++) {
            const double v = ln_get_f64(x->dtype, r->in[0], i * n + c);
            norm = most ? fmax(norm, v) : norm + (squares ? v * v : fabs(v));
        }
        norm = squares ? sqrt(norm) : norm;
        for (size_t c = 0; c < n; c++) {
            const double v = ln_get_f64(x->dtype, r->in[0], i * n + c);
            ((float *)r->out[0])[i * n + c] = (float)(norm == 0 ? v : v / norm);
        }
    }
    return LINNET_OK;
}

static const ln_attr features_binarizer_attr[] = {
    { "threshold", LN_ATTR_F32, offsetof(param, threshold), 0, false },
    { 0 },
};
static const ln_attr features_scaler_attr[] = {
    { "offset", LN_ATTR_FLOATS, offsetof(param, offset), 0, true },
    { "scale", LN_ATTR_FLOATS, offsetof(param, scale), 0, true },
    { 0 },
};
static const ln_attr features_normalizer_attr[] = {
    { "norm", LN_ATTR_STR, offsetof(param, norm), 0, false },
    { 0 },
};

const ln_op ln_op_ml_array_feature_extractor = {
    .name = "ai.onnx.ml.ArrayFeatureExtractor", .in_min = 2, .in_max = 2, .infer = infer, .run = run,
};

#define FEATURES(onnx, attributes, infers, prepares, runs)                                                  \
    { .name = "ai.onnx.ml." onnx, .attr = attributes, .param_size = sizeof(param), .in_min = 1, .in_max = 1, \
      .infer = infers, .prepare = prepares, .run = runs }

const ln_op ln_op_ml_binarizer = FEATURES("Binarizer", features_binarizer_attr, features_infer, prepare,
                                          features_binarizer_run);
const ln_op ln_op_ml_scaler = FEATURES("Scaler", features_scaler_attr, features_scaler_infer, prepare,
                                       features_scaler_run);
const ln_op ln_op_ml_normalizer = FEATURES("Normalizer", features_normalizer_attr, features_normalizer_infer, NULL,
                                           features_normalizer_run);

#undef FEATURES
