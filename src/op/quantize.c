/*
 * quantize.c - QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.
 *
 * y = saturate(round(x / scale) + zero_point), ties to even, and x = (y - zero_point) * scale. One scale for
 * the tensor, one per index of an axis, or one per block of an axis: element i belongs to
 * scale ((outer * axis_length + a) / block) where a is its index along the axis.
 */
#include "op.h"

#include <math.h>

typedef struct param { int64_t axis, saturate, block_size, output_dtype, precision; } param;
typedef struct state {
    size_t dim, inner, block, scales; /* of the axis; scales: how many along the axis */
    bool   has_zero, one; /* one: a single scale */
} state;

static bool quantize_is_small_float(int32_t t)
{
    return (t >= LINNET_F8E4M3FN && t <= LINNET_F8E5M2FNUZ) || t == LINNET_F4E2M1;
}

static bool quantize_is_target(int32_t t)
{
    return t == LINNET_U8 || t == LINNET_I8 || t == LINNET_U16 || t == LINNET_I16 || t == LINNET_U4 ||
           t == LINNET_I4 || t == LINNET_U2 || t == LINNET_I2 || quantize_is_small_float(t);
}

static bool quantize_is_real(int32_t t)
{
    return t == LINNET_F32 || t == LINNET_F16 || t == LINNET_BF16 || t == LINNET_F64;
}

/* How the scale's shape lies over x. */
static linnet_status quantize_geometry(const param *p, int32_t in_count, const ln_desc *in, state *s, linnet_error *err)
{
    const ln_desc *x = &in[0], *scale = &in[1];
    int32_t axis = 0;

    *s = (state){ .dim = 1, .inner = 1, .block = 1, .scales = 1, .has_zero = in_count > 2 && in[2].dtype,
                  .one = ln_count(scale) == 1 };
    if (s->has_zero && (!ln_same_shape(&in[2], scale)) && !(ln_count(&in[2]) == 1 && ln_count(scale) == 1))
        return ln_fail(err, LINNET_ERR_SHAPE, "QuantizeLinear: scale and zero point differ in shape");
    if (ln_count(scale) == 1 && scale->rank <= 1 && p->block_size == 0) {
        s->dim = LN_MAX(ln_count(x), (size_t)1);
        s->block = s->dim;
        return LINNET_OK;
    }
    if (!ln_axis(p->axis, x->rank, &axis))
        return ln_fail(err, LINNET_ERR_SHAPE, "QuantizeLinear: axis %lld outside a tensor of rank %d", (long long)p->axis,
                       (int)x->rank);
    s->dim = (size_t)x->dim[axis];
    s->inner = ln_count_range(x, axis + 1, x->rank);
    if (scale->rank == 1 && p->block_size == 0 && scale->dim[0] == x->dim[axis]) {
        s->scales = s->dim;
        return LINNET_OK;
    }
    bool fits = scale->rank == x->rank && p->block_size > 0 && scale->dim[axis] > 0;
    for (int32_t d = 0; fits && d < x->rank; d++)
        fits = d == axis ? (size_t)scale->dim[d] == ln_ceil_div((size_t)x->dim[d], (size_t)p->block_size)
                         : scale->dim[d] == x->dim[d];
    if (!fits)
        return ln_fail(err, LINNET_ERR_SHAPE, "QuantizeLinear: the scale does not fit the input");
    s->block = (size_t)p->block_size;
    s->scales = (size_t)scale->dim[axis];
    return LINNET_OK;
}

/* How many elements from i on share a scale (at most `most`), and its index. Blocked scales have the other axes too. */
static size_t quantize_stretch(const state *s, const ln_desc *scale, size_t i, size_t most, size_t *k)
{
    *k = 0;
    if (s->one)
        return most;
    const size_t a = i / s->inner % s->dim;
    *k = a;
    if (scale->rank == 1)
        return LN_MIN(most, s->inner - i % s->inner);
    *k = (i / s->inner / s->dim * s->scales + a / s->block) * s->inner + i % s->inner;
    return s->inner > 1 ? 1 : LN_MIN(most, LN_MIN(s->block - a % s->block, s->dim - a));
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const bool has_zero = q->in_count > 2 && q->in[2].dtype;
    const int32_t to = has_zero ? q->in[2].dtype : p->output_dtype > 0 && p->output_dtype < 64 ? (int32_t)p->output_dtype
                                                                                               : LINNET_U8;
    state s;

    if (!quantize_is_real(q->in[0].dtype) && q->in[0].dtype != LINNET_I32)
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    if (!quantize_is_real(q->in[1].dtype) || !quantize_is_target(to) ||
        (has_zero && p->output_dtype > 0 && p->output_dtype != to))
        return ln_fail_type(q->err, 1, q->in[1].dtype);
    q->out[0] = q->in[0];
    q->out[0].dtype = to;
    return quantize_geometry(p, q->in_count, q->in, &s, q->err);
}

static linnet_status prepare(ln_prepare *q)
{
    ln_split(q, ln_count(&q->out[0]));
    return quantize_geometry(q->param, q->in_count, q->in, q->state, q->err);
}

static void quantize_range(int32_t t, float *lo, float *hi)
{
    const int bits = ln_dtype(t)->bits;
    const bool is_signed = ln_dtype(t)->kind == LN_KIND_INT;

    *lo = is_signed ? -(float)(1 << (bits - 1)) : 0.0f;
    *hi = (float)((1 << (is_signed ? bits - 1 : bits)) - 1);
}

/* NaN gives the lowest number. */
static int64_t quantize_one(float v, float zero, float lo, float hi)
{
    const float y = nearbyintf(v) + zero;

    return (int64_t)(y >= hi ? hi : y > lo ? y : lo);
}

/* n elements from i on with one scale. */
static void quantize_part(const ln_run *r, size_t i, size_t n, float scale, float zero)
{
    const int32_t type = r->in_desc[0].dtype, to = r->out_desc[0].dtype;
    const bool halves = type == LINNET_F16 && r->in_desc[1].dtype == LINNET_F16;
    float lo, hi;

    quantize_range(to, &lo, &hi);
    if (type == LINNET_F32 && (to == LINNET_U8 || to == LINNET_I8) && n > 1) {
        r->kernel->quantize_8(n, (const float *)r->in[0] + i, scale, zero, lo, hi, (uint8_t *)r->out[0] + i);
        return;
    }
    for (const size_t end = i + n; i < end; i++) {
        float v = (type == LINNET_F32 ? ((const float *)r->in[0])[i] : (float)ln_get_f64(type, r->in[0], i)) / scale;
        if (halves) /* that type divides in its own precision */
            v = ln_f16_to_f32(ln_f32_to_f16(v));
        if (quantize_is_small_float(to))
            ln_set_f64(to, r->out[0], i, (double)v);
        else
            ln_set_i64(to, r->out[0], i, quantize_one(v, zero, lo, hi));
    }
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const int32_t to = r->out_desc[0].dtype;
    size_t from, count, k;

    if (!p->saturate && quantize_is_small_float(to) && ln_dtype(to)->bits == 8)
        return ln_fail(r->err, LINNET_ERR_UNSUPPORTED, "QuantizeLinear: saturate 0 is not supported");
    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    for (size_t n; count > 0; from += n, count -= n) {
        n = quantize_stretch(s, &r->in_desc[1], from, count, &k);
        const bool whole = s->has_zero && !quantize_is_small_float(to);
        quantize_part(r, from, n, (float)ln_get_f64(r->in_desc[1].dtype, r->in[1], k),
                      whole ? (float)ln_get_i64(to, r->in[2], k) : 0.0f);
    }
    return LINNET_OK;
}

/* ---- DequantizeLinear ---------------------------------------------------------------------- */

static linnet_status dequantize_infer(const ln_infer *q)
{
    const param *p = q->param;
    const int32_t t = q->in[0].dtype;
    const int32_t to = p->output_dtype > 0 && p->output_dtype < 64 ? (int32_t)p->output_dtype : q->in[1].dtype;
    state s;

    if (!quantize_is_target(t) && t != LINNET_I32)
        return ln_fail_type(q->err, 0, t);
    if ((!quantize_is_real(q->in[1].dtype) && q->in[1].dtype != LINNET_F8E8M0) || !quantize_is_real(to))
        return ln_fail_type(q->err, 1, q->in[1].dtype);
    q->out[0] = q->in[0];
    q->out[0].dtype = to;
    return quantize_geometry(p, q->in_count, q->in, &s, q->err);
}

/* n elements from i on with one scale. */
static void dequantize_part(const ln_run *r, size_t i, size_t n, float scale, float zero)
{
    const int32_t t = r->in_desc[0].dtype, to = r->out_desc[0].dtype;
    const bool is_float = quantize_is_small_float(t);

    if (to == LINNET_F32 && t == LINNET_U8 && n > 1) {
        r->kernel->dequantize_u8(n, (const uint8_t *)r->in[0] + i, scale, (int32_t)zero, (float *)r->out[0] + i);
        return;
    }
    if (to == LINNET_F32 && t == LINNET_I8 && n > 1) {
        r->kernel->dequantize_i8(n, (const int8_t *)r->in[0] + i, scale, (int32_t)zero, (float *)r->out[0] + i);
        return;
    }
    for (const size_t end = i + n; i < end; i++) {
        const float x = is_float ? (float)ln_get_f64(t, r->in[0], i) - zero
                                 : (float)(ln_get_i64(t, r->in[0], i) - (int64_t)zero);
        if (to == LINNET_F32)
            ((float *)r->out[0])[i] = x * scale;
        else
            ln_set_f64(to, r->out[0], i, (double)(x * scale));
    }
}

static linnet_status dequantize_run(const ln_run *r)
{
    const state *s = r->state;
    size_t from, count, k;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    for (size_t n; count > 0; from += n, count -= n) {
        n = quantize_stretch(s, &r->in_desc[1], from, count, &k);
        dequantize_part(r, from, n, (float)ln_get_f64(r->in_desc[1].dtype, r->in[1], k),
                        s->has_zero ? (float)ln_get_f64(r->in_desc[2].dtype, r->in[2], k) : 0.0f);
    }
    return LINNET_OK;
}

/* ---- DynamicQuantizeLinear ------------------------------------------------------------------- */

static linnet_status dynamic_quantize_infer(const ln_infer *q)
{
    if (q->in[0].dtype != LINNET_F32)
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    q->out[0] = q->in[0];
    q->out[0].dtype = LINNET_U8;
    if (q->out_count > 1)
        q->out[1] = ln_desc_of(LINNET_F32, 0, NULL);
    if (q->out_count > 2)
        q->out[2] = ln_desc_of(LINNET_U8, 0, NULL);
    return LINNET_OK;
}

static linnet_status dynamic_quantize_run(const ln_run *r)
{
    const float *x = r->in[0];
    const size_t n = ln_count(&r->in_desc[0]);
    const float lo = fminf(0.0f, n ? r->kernel->reduce_all_f32[LN_RED_MIN](n, x) : 0.0f);
    const float hi = fmaxf(0.0f, n ? r->kernel->reduce_all_f32[LN_RED_MAX](n, x) : 0.0f);
    const float scale = hi > lo ? (hi - lo) / 255.0f : 1.0f; /* all zeros: any scale will do */
    const float zero = (float)quantize_one(-lo / scale, 0.0f, 0.0f, 255.0f);
    uint8_t *y = r->out[0];

    if (y)
        r->kernel->quantize_8(n, x, scale, zero, 0.0f, 255.0f, y);
    if (r->out[1])
        *(float *)r->out[1] = scale;
    if (r->out[2])
        *(uint8_t *)r->out[2] = (uint8_t)zero;
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), 1, false },
    { "saturate", LN_ATTR_I64, offsetof(param, saturate), 1, false },
    { "block_size", LN_ATTR_I64, offsetof(param, block_size), 0, false },
    { "output_dtype", LN_ATTR_I64, offsetof(param, output_dtype), 0, false },
    { "precision", LN_ATTR_I64, offsetof(param, precision), 0, false },
    { 0 },
};

#define QUANTIZE(onnx, infers, runs)                                                                      \
    { .name = onnx, .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state), .in_min = 2,  \
      .in_max = 3, .infer = infers, .prepare = prepare, .run = runs }

const ln_op ln_op_quantize_linear = QUANTIZE("QuantizeLinear", infer, run);
const ln_op ln_op_dequantize_linear = QUANTIZE("DequantizeLinear", dequantize_infer, dequantize_run);
const ln_op ln_op_ms_quantize_linear = QUANTIZE("com.microsoft.QuantizeLinear", infer, run);
const ln_op ln_op_ms_dequantize_linear = QUANTIZE("com.microsoft.DequantizeLinear", dequantize_infer, dequantize_run);

const ln_op ln_op_dynamic_quantize_linear = {
    .name = "DynamicQuantizeLinear", .in_min = 1, .in_max = 1, .out_min = 3, .out_max = 3,
    .infer = dynamic_quantize_infer, .run = dynamic_quantize_run,
};

#undef QUANTIZE
