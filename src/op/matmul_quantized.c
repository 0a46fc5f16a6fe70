/*
 * matmul_quantized.c - quantised products: QLinearMatMul, QGemm, MatMulIntegerToFloat,
 * DynamicQuantizeMatMul.
 *
 * All of them are the exact integer product of matmul_integer.c; they differ in what becomes of
 * the sums, and DynamicQuantizeMatMul in that A is quantised on the way in.
 */
#include "matmul_integer.h"

#include <math.h>

typedef struct param {
    float   alpha;
    int64_t trans_a, trans_b;
} param;

typedef struct state {
    ln_integer       product;
    ln_integer_param a_scale, b_scale, bias;
    int32_t y_scale, y_zero; /* inputs, or -1 */
    size_t  bias_row, bias_col; /* strides of QGemm's C */
    float   alpha;
    size_t  parts;           /* of A, whose extremes stand at the start of the workspace */
} state;

/* Which input is what. */
typedef struct quantized_order {
    const char *name;
    int8_t a, b, a_scale, b_scale, a_zero, b_zero, bias, y_scale, y_zero;
} quantized_order;

static const quantized_order quantized_linear = { "QLinearMatMul", 0, 3, 1, 4, 2, 5, -1, 6, 7 };
static const quantized_order quantized_gemm = { "QGemm", 0, 3, 1, 4, 2, 5, 6, 7, 8 };
static const quantized_order quantized_float = { "MatMulIntegerToFloat", 0, 1, 2, 3, 4, 5, 6, -1, -1 };
static const quantized_order quantized_dynamic = { "DynamicQuantizeMatMul", 0, 1, -1, 2, -1, 3, 4, -1, -1 };

enum { QUANTIZED_PARTS = 64, QUANTIZED_BLOCK = 256 };

/* ---- what becomes of the sums ----------------------------------------------------------- */

/* A number rounded to the type in which the scales are kept. */
static double quantized_round(int32_t dtype, double v)
{
    if (dtype == LINNET_F16)
        return (double)ln_f16_to_f32(ln_f32_to_f16((float)v));
    if (dtype == LINNET_BF16)
        return (double)ln_bf16_to_f32(ln_f32_to_bf16((float)v));
    return dtype == LINNET_F32 ? (double)(float)v : v;
}

static void quantized_store(int32_t dtype, void *out, size_t at, double v)
{
    if (dtype == LINNET_U8)
        ((uint8_t *)out)[at] = (uint8_t)ln_f2i_sat(v, 0, 255);
    else
        ((int8_t *)out)[at] = (int8_t)ln_f2i_sat(v, -128, 127);
}

/* Columns [j, j + n) of parameter p for matrix `mat`, f32, times `by`, in room (QUANTIZED_BLOCK floats); *step 0: one. */
static const float *quantized_column(const ln_run *r, const ln_integer_param *p, size_t mat, size_t j, size_t n, float by,
                                     float *room, size_t *step)
{
    *step = p->input >= 0 && p->step == 1;
    if (!*step) {
        *room = (float)ln_integer_value(r, p, mat, j, 1.0) * by;
        return room;
    }
    const float *v = (const float *)r->in[p->input] + mat * p->unit + j;
    r->kernel->binary_f32[LN_BIN_MUL](n, v, 1, &by, 0, room);
    return room;
}

/* Are the scales f32, one each or one for each column, so that whole rows can be scaled? */
static bool quantized_fast(const ln_run *r, const state *s)
{
    const int32_t b = s->b_scale.input;

    return s->a_scale.input >= 0 && r->in_desc[s->a_scale.input].dtype == LINNET_F32 && s->b_scale.step <= 1 &&
           (b < 0 || r->in_desc[b].dtype == LINNET_F32);
}

/* As quantized_finish, all scales f32: n columns from j on through kernels. */
static void quantized_row(const ln_run *r, const state *s, size_t mat, float a_scale, size_t row, size_t j, size_t n,
                          const int32_t *sum, size_t at)
{
    const int32_t *c = s->bias.input < 0 ? NULL : r->in[s->bias.input];
    const int32_t type = r->out_desc[0].dtype;
    const float y = s->y_scale < 0 ? 1.0f : (float)ln_get_f64(r->in_desc[s->y_scale].dtype, r->in[s->y_scale], 0);
    const float zero = s->y_zero < 0 ? 0.0f : (float)ln_get_f64(r->in_desc[s->y_zero].dtype, r->in[s->y_zero], 0);
    int32_t whole[QUANTIZED_BLOCK];
    float v[QUANTIZED_BLOCK], room[QUANTIZED_BLOCK];
    size_t step;

    for (size_t i = 0; i < n && c; i++)
        whole[i] = (int32_t)((uint32_t)sum[i] + (uint32_t)c[row * s->bias_row + (j + i) * s->bias_col]);
    r->kernel->i32_to_f32(n, c ? whole : sum, v);
    quantized_column(r, &s->b_scale, mat, j, n, a_scale, room, &step);
    r->kernel->binary_f32[LN_BIN_DIV](step ? n : 1, room, 1, &y, 0, room);
    r->kernel->binary_f32[LN_BIN_MUL](step ? n : 1, room, 1, &s->alpha, 0, room);
    r->kernel->binary_f32[LN_BIN_MUL](n, v, 1, room, step, type == LINNET_F32 ? (float *)r->out[0] + at : v);
    if (type != LINNET_F32)
        r->kernel->quantize_8(n, v, 1.0f, zero, type == LINNET_U8 ? 0.0f : -128.0f, type == LINNET_U8 ? 255.0f : 127.0f,
                              (uint8_t *)r->out[0] + at);
}

static void quantized_finish(const ln_run *r, const ln_integer *x, size_t batch, size_t row, size_t from, size_t n,
                             const int32_t *sum)
{
    const state *s = r->state;
    const int32_t type = r->in_desc[s->a_scale.input].dtype, out_type = r->out_desc[0].dtype;
    const size_t at = (batch * x->p.m + row) * x->p.n;
    const int32_t *c = s->bias.input < 0 ? NULL : r->in[s->bias.input];
    const double y = s->y_scale < 0 ? 1.0 : ln_get_f64(r->in_desc[s->y_scale].dtype, r->in[s->y_scale], 0);
    const double zero = s->y_zero < 0 ? 0.0 : ln_get_f64(r->in_desc[s->y_zero].dtype, r->in[s->y_zero], 0);
    size_t ma, mb;

    ln_product_at(&x->p, batch, &ma, &mb);
    const double as = ln_integer_value(r, &s->a_scale, ma, row, 1.0);
    if (quantized_fast(r, s) && (out_type == LINNET_F32 || out_type == LINNET_U8 || out_type == LINNET_I8)) {
        for (size_t j = from, m; j < from + n; j += m) {
            m = LN_MIN(from + n - j, (size_t)QUANTIZED_BLOCK);
            quantized_row(r, s, mb, (float)as, row, j, m, sum + (j - from), at + j);
        }
        return;
    }
    for (size_t j = from; j < from + n; j++) {
        const double bs = ln_integer_value(r, &s->b_scale, mb, j, 1.0);
        const double scale = quantized_round(type, quantized_round(type, as * bs) / y) * (double)s->alpha;
        double v = (double)sum[j - from];

        if (c)
            v += (double)c[row * s->bias_row + j * s->bias_col];
        if (out_type == LINNET_F32)
            ((float *)r->out[0])[at + j] = (float)(v * scale);
        else
            quantized_store(out_type, r->out[0], at + j, rint(v * scale) + zero);
    }
}

/* sum * a_scale * b_scale + bias */
static void quantized_to_float(const ln_run *r, const ln_integer *x, size_t batch, size_t row, size_t from,
                               size_t n, const int32_t *sum, double a_scale)
{
    const state *s = r->state;
    const size_t at = (batch * x->p.m + row) * x->p.n;
    size_t ma, mb;

    ln_product_at(&x->p, batch, &ma, &mb);
    const bool biased = s->bias.input >= 0;
    const bool wide_bias = biased && (s->bias.step != 1 || r->in_desc[s->bias.input].dtype != LINNET_F32);
    if (r->out_desc[0].dtype == LINNET_F32 && s->b_scale.step <= 1 && !wide_bias &&
        (s->b_scale.input < 0 || r->in_desc[s->b_scale.input].dtype == LINNET_F32)) {
        for (size_t j = from, m; j < from + n; j += m) {
            float room[QUANTIZED_BLOCK], *y = (float *)r->out[0] + at + j;
            size_t step;
            m = LN_MIN(from + n - j, (size_t)QUANTIZED_BLOCK);
            quantized_column(r, &s->b_scale, mb, j, m, (float)a_scale, room, &step);
            r->kernel->i32_to_f32(m, sum + (j - from), y);
            r->kernel->binary_f32[LN_BIN_MUL](m, y, 1, room, step, y);
            if (biased)
                r->kernel->binary_f32[LN_BIN_ADD](m, y, 1, (const float *)r->in[s->bias.input] + j, 1, y);
        }
        return;
    }
    for (size_t j = from; j < from + n; j++) {
        const double v = (double)sum[j - from] * a_scale * ln_integer_value(r, &s->b_scale, mb, j, 1.0)
                         + ln_integer_value(r, &s->bias, 0, j, 0.0);
        ln_set_f64(r->out_desc[0].dtype, r->out[0], at + j, v);
    }
}

static void quantized_finish_float(const ln_run *r, const ln_integer *x, size_t batch, size_t row, size_t from,
                                   size_t n, const int32_t *sum)
{
    const state *s = r->state;
    size_t ma, mb;

    ln_product_at(&x->p, batch, &ma, &mb);
    quantized_to_float(r, x, batch, row, from, n, sum, ln_integer_value(r, &s->a_scale, ma, row, 1.0));
}

/* ---- quantising A on the way in ---------------------------------------------------------------- */

/* Extremes of one part of A, into the workspace. */
static void quantized_extremes(const ln_run *r, const state *s)
{
    const size_t count = ln_count(&r->in_desc[0]), from = r->task * count / s->parts;
    const size_t to = (r->task + 1) * count / s->parts;
    float *out = (float *)r->workspace + 2 * r->task;
    const float *x = r->in[0];

    out[0] = r->kernel->reduce_all_f32[LN_RED_MIN](to - from, x + from);
    out[1] = r->kernel->reduce_all_f32[LN_RED_MAX](to - from, x + from);
}

/* As DynamicQuantizeLinear: the range holds 0, 256 steps. */
static void quantized_range(const ln_run *r, const state *s, float *scale, float *zero)
{
    const float *part = r->workspace;
    float lo = 0.0f, hi = 0.0f;

    for (size_t i = 0; i < s->parts; i++) {
        lo = part[2 * i] < lo ? part[2 * i] : lo;
        hi = part[2 * i + 1] > hi ? part[2 * i + 1] : hi;
    }
    *scale = hi == lo ? 1.0f : (hi - lo) / 255.0f;
    *zero = (float)ln_f2i_sat(rint((double)(-lo / *scale)), 0, 255);
}

static void quantized_load(const ln_run *r, const ln_integer *x, size_t a, size_t row, float *y)
{
    const float *v = (const float *)r->in[0] + a * x->p.a_unit + row * x->p.a_rs;
    float scale, zero;

    quantized_range(r, r->state, &scale, &zero);
    for (size_t t = 0, n; t < x->p.k; t += n) {
        uint8_t block[QUANTIZED_BLOCK];
        n = LN_MIN(x->p.k - t, (size_t)QUANTIZED_BLOCK);
        r->kernel->quantize_8(n, v + t, scale, zero, 0.0f, 255.0f, block);
        r->kernel->dequantize_u8(n, block, 1.0f, (int32_t)zero, y + t);
    }
}

static void quantized_finish_dynamic(const ln_run *r, const ln_integer *x, size_t batch, size_t row, size_t from,
                                     size_t n, const int32_t *sum)
{
    float scale, zero;

    quantized_range(r, r->state, &scale, &zero);
    quantized_to_float(r, x, batch, row, from, n, sum, (double)scale);
}

/* ---- infer and prepare ------------------------------------------------------------------------------ */

static bool quantized_real(int32_t dtype)
{
    return dtype == LINNET_F32 || dtype == LINNET_F16 || dtype == LINNET_BF16;
}

static bool quantized_has(int32_t count, const ln_desc *in, int32_t i)
{
    return i >= 0 && i < count && in[i].dtype != 0;
}

static bool quantized_scalar(int32_t count, const ln_desc *in, int32_t i)
{
    return !quantized_has(count, in, i) || ln_count(&in[i]) == 1;
}

/* C of QGemm broadcasts to the output; the bias of the others is one number per column. */
static bool quantized_bias(int32_t count, const ln_desc *in, const quantized_order *o, const ln_desc *out, state *s)
{
    int64_t stride[LN_MAX_RANK] = { 0 };
    ln_desc both;

    s->bias.input = -1;
    if (!quantized_has(count, in, o->bias))
        return true;
    s->bias.input = o->bias;
    s->bias.step = 1;
    if (o != &quantized_gemm)
        return in[o->bias].rank == 1 && out->rank > 0 && in[o->bias].dim[0] == out->dim[out->rank - 1];
    if (in[o->bias].dtype != LINNET_I32 || in[o->bias].rank > 2 || !ln_broadcast(&in[o->bias], out, &both)
        || !ln_same_shape(&both, out))
        return false;
    ln_broadcast_strides(&in[o->bias], out, stride);
    s->bias_row = (size_t)stride[0];
    s->bias_col = (size_t)stride[1];
    return true;
}

/* Fills *s and the output's shape; false: something does not fit. */
static bool quantized_read(int32_t count, const ln_desc *in, const quantized_order *o, const ln_matmul_form *form,
                           ln_desc *out, state *s)
{
    const ln_desc *a = &in[o->a], *b = &in[o->b];
    const int32_t rows = form->trans_a ? -1 : -2, cols = form->trans_b ? -2 : -1;

    s->product.a = o->a;
    s->product.b = o->b;
    s->y_scale = quantized_has(count, in, o->y_scale) ? o->y_scale : -1;
    s->y_zero = quantized_has(count, in, o->y_zero) ? o->y_zero : -1;
    return ln_matmul_shape(a, b, form, out)
           && ln_integer_param_of(in, count, o->a_zero, a, rows, &s->product.a_zero)
           && ln_integer_param_of(in, count, o->b_zero, b, cols, &s->product.b_zero)
           && ln_integer_param_of(in, count, o->a_scale, a, rows, &s->a_scale)
           && ln_integer_param_of(in, count, o->b_scale, b, cols, &s->b_scale)
           && quantized_scalar(count, in, o->y_scale) && quantized_scalar(count, in, o->y_zero)
           && quantized_bias(count, in, o, out, s);
}

static linnet_status quantized_types(const ln_infer *q, const quantized_order *o)
{
    const ln_desc *in = q->in;

    if (o->a_scale >= 0 ? !ln_integer_type(in[o->a].dtype) : in[o->a].dtype != LINNET_F32)
        return ln_fail_type(q->err, o->a, in[o->a].dtype);
    if (!ln_integer_type(in[o->b].dtype))
        return ln_fail_type(q->err, o->b, in[o->b].dtype);
    if ((o->a_scale >= 0 && !quantized_real(in[o->a_scale].dtype)) || !quantized_real(in[o->b_scale].dtype)
        || (quantized_has(q->in_count, in, o->y_scale) && !quantized_real(in[o->y_scale].dtype)))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "%s: the scales must be floats", o->name);
    if ((quantized_has(q->in_count, in, o->a_zero) && in[o->a_zero].dtype != in[o->a].dtype)
        || (quantized_has(q->in_count, in, o->b_zero) && in[o->b_zero].dtype != in[o->b].dtype)
        || (quantized_has(q->in_count, in, o->y_zero) && !ln_integer_type(in[o->y_zero].dtype)))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "%s: a zero point has another type", o->name);
    return LINNET_OK;
}

static ln_matmul_form quantized_form(const param *p, const quantized_order *o)
{
    ln_matmul_form form = { false, false, false, false };

    if (o == &quantized_gemm) {
        form.trans_a = p->trans_a != 0;
        form.trans_b = p->trans_b != 0;
    }
    return form;
}

static linnet_status quantized_infer(const ln_infer *q, const quantized_order *o)
{
    const ln_matmul_form form = quantized_form(q->param, o);
    const linnet_status st = quantized_types(q, o);
    ln_desc *out = &q->out[0];
    state s = { 0 };

    if (st != LINNET_OK)
        return st;
    if ((o == &quantized_gemm && (q->in[o->a].rank != 2 || q->in[o->b].rank != 2))
        || !quantized_read(q->in_count, q->in, o, &form, out, &s))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: operands, scales, zero points or bias do not fit", o->name);
    if (o == &quantized_linear || (o == &quantized_gemm && s.y_scale >= 0))
        out->dtype = s.y_zero >= 0 ? q->in[s.y_zero].dtype : q->in[o->a].dtype;
    else
        out->dtype = o == &quantized_float ? q->in[o->a_scale].dtype : LINNET_F32;
    return LINNET_OK;
}

static linnet_status quantized_prepare(ln_prepare *q, const quantized_order *o)
{
    const ln_matmul_form form = quantized_form(q->param, o);
    state *s = q->state;
    ln_desc out = q->out[0];

    if (!quantized_read(q->in_count, q->in, o, &form, &out, s))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: operands do not fit", o->name);
    s->alpha = o == &quantized_gemm ? ((const param *)q->param)->alpha : 1.0f;
    s->product.finish = o == &quantized_float ? quantized_finish_float
                      : o == &quantized_dynamic ? quantized_finish_dynamic : quantized_finish;
    if (o == &quantized_dynamic && ln_count(&q->in[0]) > 0) {
        s->product.load = quantized_load;
        s->parts = LN_MIN((size_t)QUANTIZED_PARTS, ln_ceil_div(ln_count(&q->in[0]), LN_CHUNK));
        q->workspace = 2 * QUANTIZED_PARTS * sizeof(float);
        q->tasks[0] = s->parts;
        q->phases = 2;
    }
    return ln_integer_prepare(q, &form, &s->product);
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;

    if (s->parts && r->phase == 0) {
        quantized_extremes(r, s);
        return LINNET_OK;
    }
    return ln_integer_run(r, &s->product);
}

/* ---- the operators -------------------------------------------------------------------------------------- */

static linnet_status quantized_infer_linear(const ln_infer *q) { return quantized_infer(q, &quantized_linear); }
static linnet_status quantized_infer_gemm(const ln_infer *q) { return quantized_infer(q, &quantized_gemm); }
static linnet_status quantized_infer_float(const ln_infer *q) { return quantized_infer(q, &quantized_float); }
static linnet_status quantized_infer_dynamic(const ln_infer *q) { return quantized_infer(q, &quantized_dynamic); }
static linnet_status quantized_prepare_linear(ln_prepare *q) { return quantized_prepare(q, &quantized_linear); }
static linnet_status quantized_prepare_gemm(ln_prepare *q) { return quantized_prepare(q, &quantized_gemm); }
static linnet_status quantized_prepare_float(ln_prepare *q) { return quantized_prepare(q, &quantized_float); }
static linnet_status quantized_prepare_dynamic(ln_prepare *q) { return quantized_prepare(q, &quantized_dynamic); }

static const ln_attr attr[] = {
    { "alpha", LN_ATTR_F32, offsetof(param, alpha), 1, false },
    { "transA", LN_ATTR_I64, offsetof(param, trans_a), 0, false },
    { "transB", LN_ATTR_I64, offsetof(param, trans_b), 0, false },
    { 0 },
};

const ln_op ln_op_qlinear_matmul = {
    .name = "QLinearMatMul", .state_size = sizeof(state),
    .in_min = 8, .in_max = 8,
    .infer = quantized_infer_linear, .prepare = quantized_prepare_linear, .run = run,
};

const ln_op ln_op_ms_qgemm = {
    .name = "com.microsoft.QGemm", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 6, .in_max = 9,
    .infer = quantized_infer_gemm, .prepare = quantized_prepare_gemm, .run = run,
};

const ln_op ln_op_ms_matmul_integer_to_float = {
    .name = "com.microsoft.MatMulIntegerToFloat", .state_size = sizeof(state),
    .in_min = 4, .in_max = 7,
    .infer = quantized_infer_float, .prepare = quantized_prepare_float, .run = run,
};

const ln_op ln_op_ms_dynamic_quantize_matmul = {
    .name = "com.microsoft.DynamicQuantizeMatMul", .state_size = sizeof(state),
    .in_min = 3, .in_max = 5,
    .infer = quantized_infer_dynamic, .prepare = quantized_prepare_dynamic, .run = run,
};
