/*
 * layer_norm.c - LayerNormalization, RMSNormalization, and the forms that add a skip connection first.
 *
 * Rows of the last axes are brought to mean 0 and variance 1 (or to mean square 1), then scaled
 * and shifted. Types other than f32 are computed in f32 and rounded once; f64 in double.
 */
#include "op.h"

#include <math.h>

typedef struct param { int64_t axis, stash_type; float epsilon; } param;
typedef struct state {
    size_t  n, rows, per;
    bool    rms, has_scale, has_bias;
    int32_t outs;                           /* outputs that the layer has */
    int32_t skip_bias;                      /* input with the bias of a skip form, or 0 */
    size_t  skip_rows;                      /* rows of the skip input: it repeats */
    ln_desc row;                            /* shape of a row */
} state;

static bool norm_type_ok(int32_t t)
{
    return t == LINNET_F32 || t == LINNET_F64 || t == LINNET_F16 || t == LINNET_BF16;
}

/* Shape of rows from `axis` on, and how many there are. */
static ln_desc norm_row(const ln_desc *d, int32_t axis, size_t *rows)
{
    ln_desc row = { d->dtype, d->rank - axis, { 0 } };

    for (int32_t i = axis; i < d->rank; i++)
        row.dim[i - axis] = d->dim[i];
    *rows = ln_count_range(d, 0, axis);
    return row;
}

static linnet_status norm_check(const ln_infer *q, const char *name)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0];
    ln_desc fit;
    size_t rows;
    int32_t axis;

    if (!norm_type_ok(x->dtype))
        return ln_fail_type(q->err, 0, x->dtype);
    if (!ln_axis(p->axis, x->rank, &axis))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: axis %lld outside a tensor of rank %d", name, (long long)p->axis,
                       (int)x->rank);
    const ln_desc row = norm_row(x, axis, &rows);
    for (int32_t i = 1; i < q->in_count && i < 3; i++) {
        if (q->in[i].dtype == 0)
            continue;
        if (!norm_type_ok(q->in[i].dtype) || !ln_broadcast(&q->in[i], &row, &fit) || !ln_same_shape(&fit, &row))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: input %d does not fit a row", name, (int)i);
    }
    q->out[0] = *x;
    for (int32_t i = 1; i < q->out_count && i < 3; i++) {
        q->out[i] = *x;
        q->out[i].dtype = LINNET_F32;
        for (int32_t d = axis; d < x->rank; d++)
            q->out[i].dim[d] = 1;
    }
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q) { return norm_check(q, "LayerNormalization"); }
static linnet_status norm_rms_infer(const ln_infer *q) { return norm_check(q, "RMSNormalization"); }

static linnet_status norm_prepare(ln_prepare *q, bool rms)
{
    const param *p = q->param;
    state *s = q->state;
    int32_t axis;
    size_t bytes;

    if (!ln_axis(p->axis, q->in[0].rank, &axis))
        return LINNET_ERR_SHAPE;
    s->row = norm_row(&q->in[0], axis, &s->rows);
    s->n = ln_count(&s->row);
    s->rms = rms;
    s->outs = q->out_count;
    s->has_scale = q->in_count > 1 && q->in[1].dtype;
    s->has_bias = !rms && q->in_count > 2 && q->in[2].dtype;
    if (s->n == 0)
        s->rows = 0;
    s->per = LN_MAX((size_t)1, LN_CHUNK / 4 / LN_MAX(s->n, (size_t)1));
    q->tasks[0] = ln_ceil_div(s->rows, s->per);
    q->work = 4 * (double)ln_count(&q->in[0]);
    /* Per worker: a row of x and y in f32 or double; scale and bias as whole rows. */
    if (!ln_mul(s->n, 2 * sizeof(double) + 2 * sizeof(float), &bytes))
        return LINNET_ERR_LIMIT;
    q->scratch = bytes;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q) { return norm_prepare(q, false); }
static linnet_status norm_rms_prepare(ln_prepare *q) { return norm_prepare(q, true); }

/* Scale or bias as a row of f32. */
static const float *norm_spread(const ln_run *r, const state *s, int32_t input, float *room)
{
    const ln_desc *d = &r->in_desc[input];
    int64_t stride[LN_MAX_RANK];

    if (d->dtype == LINNET_F32 && ln_count(d) == s->n)
        return r->in[input];
    ln_broadcast_strides(d, &s->row, stride);
    for (size_t i = 0; i < s->n; i++) {
        size_t rest = i, at = 0;
        for (int32_t k = s->row.rank - 1; k >= 0; k--) {
            at += rest % (size_t)s->row.dim[k] * (size_t)stride[k];
            rest /= (size_t)s->row.dim[k];
        }
        room[i] = (float)ln_get_f64(d->dtype, r->in[input], at);
    }
    return room;
}

static void norm_row_f64(const ln_run *r, const state *s, float epsilon, const double *x, double *y, size_t row,
                         const float *scale, const float *bias)
{
    double mean = 0, square = 0;

    for (size_t i = 0; i < s->n && !s->rms; i++)
        mean += x[i];
    mean /= (double)s->n;
    for (size_t i = 0; i < s->n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    const double inverse = 1 / sqrt(square / (double)s->n + (double)epsilon);
    for (size_t i = 0; i < s->n; i++)
        y[i] = (x[i] - mean) * inverse * (scale ? (double)scale[i] : 1.0) + (bias ? (double)bias[i] : 0.0);
    if (s->outs > 1 && r->out[1])
        ln_set_f64(r->out_desc[1].dtype, r->out[1], row, mean);
    if (s->outs > 2 && r->out[2])
        ln_set_f64(r->out_desc[2].dtype, r->out[2], row, inverse);
}

/* One row; outputs 1 and 2 are looked at only where the operator has them. */
static void norm_one(const ln_run *r, const state *s, float epsilon, int32_t stats, size_t row, const float *x,
                     float *y, const float *scale, const float *bias)
{
    float mean, inverse;

    if (s->rms) {
        r->kernel->rms_norm_f32(s->n, x, scale, epsilon, y);
        return;
    }
    r->kernel->layer_norm_f32(1, s->n, x, scale, bias, epsilon, y, &mean, &inverse);
    if (stats > 1 && r->out[1])
        ln_set_f64(r->out_desc[1].dtype, r->out[1], row, (double)mean);
    if (stats > 2 && r->out[2])
        ln_set_f64(r->out_desc[2].dtype, r->out[2], row, (double)inverse);
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const int32_t t = r->in_desc[0].dtype;
    const size_t begin = r->task * s->per, end = LN_MIN(s->rows, begin + s->per), size = ln_dtype(t)->bits / 8u;
    double *room = r->scratch;
    float *x = (float *)room, *y = (float *)(room + s->n), *rows = (float *)(room + 2 * s->n);
    const float *scale = s->has_scale ? norm_spread(r, s, 1, rows) : NULL;
    const float *bias = s->has_bias ? norm_spread(r, s, 2, rows + s->n) : NULL;

    if (t == LINNET_F32 && !s->rms) {
        float *mean = s->outs > 1 ? r->out[1] : NULL, *inverse = s->outs > 2 ? r->out[2] : NULL;

        r->kernel->layer_norm_f32(end - begin, s->n, (const float *)r->in[0] + begin * s->n, scale, bias, p->epsilon,
                                  (float *)r->out[0] + begin * s->n, mean ? mean + begin : NULL,
                                  inverse ? inverse + begin : NULL);
        return LINNET_OK;
    }
    for (size_t row = begin; row < end; row++) {
        const size_t at = row * s->n;
        if (t == LINNET_F32) {
            norm_one(r, s, p->epsilon, s->outs, row, (const float *)r->in[0] + at, (float *)r->out[0] + at, scale,
                     bias);
        } else if (t == LINNET_F64) {
            norm_row_f64(r, s, p->epsilon, (const double *)r->in[0] + at, (double *)r->out[0] + at, row, scale, bias);
        } else {
            ln_to_f32(t, (const char *)r->in[0] + at * size, s->n, x);
            norm_one(r, s, p->epsilon, s->outs, row, x, y, scale, bias);
            ln_from_f32(t, y, s->n, (char *)r->out[0] + at * size);
        }
    }
    return LINNET_OK;
}

/* ---- skip forms: y = norm(x + skip + bias) ------------------------------------------------------- */

/* gamma, beta and bias of SkipLayerNormalization are inputs 2, 3, 4; of the simplified form 2 and 3. */
static linnet_status norm_skip_check(const ln_infer *q, int32_t bias)
{
    const ln_desc *x = &q->in[0], *skip = &q->in[1];

    if (x->dtype != LINNET_F32 || skip->dtype != LINNET_F32)
        return ln_fail_type(q->err, 0, x->dtype);
    const int64_t n = x->rank ? x->dim[x->rank - 1] : 0;
    const size_t count = ln_count(skip);
    if (x->rank < 2 || skip->rank < 2 || skip->dim[skip->rank - 1] != n || (ln_count(x) && (!count || ln_count(x) % count)))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "SkipLayerNormalization: skip does not fit the input");
    for (int32_t i = 2; i <= bias && i < q->in_count; i++)
        if (q->in[i].dtype && (q->in[i].dtype != LINNET_F32 || (int64_t)ln_count(&q->in[i]) != n))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "SkipLayerNormalization: input %d is not one f32 per feature", (int)i);
    q->out[0] = *x;
    for (int32_t i = 1; i < q->out_count; i++) {
        q->out[i] = *x;
        if (i < 3)
            q->out[i].dim[x->rank - 1] = 1;
    }
    return LINNET_OK;
}

static linnet_status norm_skip_infer(const ln_infer *q) { return norm_skip_check(q, 4); }
static linnet_status norm_skip_rms_infer(const ln_infer *q) { return norm_skip_check(q, 3); }

static linnet_status norm_skip_any(ln_prepare *q, int32_t bias, bool rms)
{
    state *s = q->state;
    const ln_desc *x = &q->in[0];

    s->n = (size_t)x->dim[x->rank - 1];
    s->rows = s->n ? ln_count(x) / s->n : 0;
    s->skip_rows = s->n ? ln_count(&q->in[1]) / s->n : 1;
    s->rms = rms;
    s->has_bias = !rms && q->in_count > 3 && q->in[3].dtype;
    s->skip_bias = q->in_count > bias && q->in[bias].dtype ? bias : 0;
    s->outs = q->out_count;
    s->per = LN_MAX((size_t)1, LN_CHUNK / 4 / LN_MAX(s->n, (size_t)1));
    q->tasks[0] = ln_ceil_div(s->rows, s->per);
    q->work = 4 * (double)ln_count(x);
    return ln_mul(s->n, sizeof(float), &q->scratch) ? LINNET_OK : LINNET_ERR_LIMIT;
}

static linnet_status norm_skip_prepare(ln_prepare *q) { return norm_skip_any(q, 4, false); }
static linnet_status norm_skip_rms_prepare(ln_prepare *q) { return norm_skip_any(q, 3, true); }

static linnet_status norm_skip_run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const size_t begin = r->task * s->per, end = LN_MIN(s->rows, begin + s->per);
    const float *gamma = r->in[2], *beta = s->has_bias ? r->in[3] : NULL;
    const ln_binary_f32 add = r->kernel->binary_f32[LN_BIN_ADD];

    for (size_t row = begin; row < end; row++) {
        float *sum = s->outs > 3 && r->out[3] ? (float *)r->out[3] + row * s->n : r->scratch;
        add(s->n, (const float *)r->in[0] + row * s->n, 1, (const float *)r->in[1] + row % s->skip_rows * s->n, 1, sum);
        if (s->skip_bias)
            add(s->n, sum, 1, r->in[s->skip_bias], 1, sum);
        norm_one(r, s, p->epsilon, s->outs, row, sum, (float *)r->out[0] + row * s->n, gamma, beta);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), -1, false },
    { "epsilon", LN_ATTR_F32, offsetof(param, epsilon), 1e-5, false },
    { "stash_type", LN_ATTR_I64, offsetof(param, stash_type), 1, false },
    { 0 },
};

static const ln_attr norm_skip_attr[] = {
    { "epsilon", LN_ATTR_F32, offsetof(param, epsilon), 1e-12, false },
    { 0 },
};

#define NORM_RMS(onnx)                                                                                   \
    { .name = onnx, .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state), .in_min = 2, \
      .in_max = 2, .out_min = 1, .out_max = 1, .infer = norm_rms_infer, .prepare = norm_rms_prepare, .run = run }

const ln_op ln_op_layer_normalization = {
    .name = "LayerNormalization", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 3, .out_min = 1, .out_max = 3, .infer = infer, .prepare = prepare, .run = run,
};

const ln_op ln_op_rms_normalization = NORM_RMS("RMSNormalization");
const ln_op ln_op_simplified_layer_normalization = NORM_RMS("SimplifiedLayerNormalization");
const ln_op ln_op_ms_simplified_layer_normalization = NORM_RMS("com.microsoft.SimplifiedLayerNormalization");

const ln_op ln_op_skip_layer_normalization = {
    .name = "com.microsoft.SkipLayerNormalization", .attr = norm_skip_attr, .param_size = sizeof(param),
    .state_size = sizeof(state), .in_min = 3, .in_max = 5, .out_min = 1, .out_max = 4,
    .infer = norm_skip_infer, .prepare = norm_skip_prepare, .run = norm_skip_run,
};

const ln_op ln_op_skip_simplified_layer_normalization = {
    .name = "com.microsoft.SkipSimplifiedLayerNormalization", .attr = norm_skip_attr, .param_size = sizeof(param),
    .state_size = sizeof(state), .in_min = 3, .in_max = 4, .out_min = 1, .out_max = 4,
    .infer = norm_skip_rms_infer, .prepare = norm_skip_rms_prepare, .run = norm_skip_run,
};

#undef NORM_RMS
