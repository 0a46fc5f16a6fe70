/*
 * qlinear.c - com.microsoft's elementwise operators on quantised numbers.
 *
 * Each element is brought to f32 with its scale and zero point, computed, and brought back with those
 * of the output: to nearest, ties to even, saturating. A function of one byte is a table.
 */
#include "broadcast.h"

#include <math.h>

typedef struct param { float alpha; int64_t axis, opset; } param;
typedef struct qlinear_state {
    ln_bcast b;
    size_t   n;       /* elements of a row of Softmax */
    bool     zero[3]; /* the zero points that are there: of the operands, then of the output */
} qlinear_state;
enum { QLINEAR_ADD, QLINEAR_MUL, QLINEAR_SIGMOID, QLINEAR_LEAKY_RELU };

typedef struct qlinear_scale { float scale, zero, lo, hi; int32_t dtype; } qlinear_scale;

static bool qlinear_type_ok(int32_t t) { return t == LINNET_U8 || t == LINNET_I8; }

/* Scale at input i, zero point (may be absent) at i + 1. */
static linnet_status qlinear_check(const ln_infer *q, const char *name, int32_t i, int32_t dtype)
{
    const bool has_zero = i + 1 < q->in_count && q->in[i + 1].dtype;

    if (i >= q->in_count || q->in[i].dtype != LINNET_F32 || ln_count(&q->in[i]) != 1 ||
        (has_zero && (q->in[i + 1].dtype != dtype || ln_count(&q->in[i + 1]) != 1)))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: input %d is not one scale with its zero point", name, (int)i);
    return LINNET_OK;
}

static qlinear_scale qlinear_read(const ln_run *r, int32_t i, int32_t dtype, bool has_zero)
{
    const bool is_signed = dtype == LINNET_I8;

    return (qlinear_scale){ *(const float *)r->in[i], has_zero ? (float)ln_get_i64(dtype, r->in[i + 1], 0) : 0.0f,
                            is_signed ? -128.0f : 0.0f, is_signed ? 127.0f : 255.0f, dtype };
}

static void qlinear_get(const ln_kernels *k, const qlinear_scale *s, const void *x, size_t n, float *y)
{
    if (s->dtype == LINNET_U8)
        k->dequantize_u8(n, x, s->scale, (int32_t)s->zero, y);
    else
        k->dequantize_i8(n, x, s->scale, (int32_t)s->zero, y);
}

static void qlinear_put(const ln_kernels *k, const qlinear_scale *s, const float *x, size_t n, void *y)
{
    k->quantize_8(n, x, s->scale, s->zero, s->lo, s->hi, y);
}

/* ---- of two: A, its scale and zero; B, its scale and zero; scale and zero of C -------------------- */

static linnet_status infer(const ln_infer *q)
{
    linnet_status st;

    if (!qlinear_type_ok(q->in[0].dtype) || q->in[3].dtype != q->in[0].dtype)
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    if ((st = qlinear_check(q, "QLinearAdd", 1, q->in[0].dtype)) != LINNET_OK ||
        (st = qlinear_check(q, "QLinearAdd", 4, q->in[0].dtype)) != LINNET_OK ||
        (st = qlinear_check(q, "QLinearAdd", 6, q->in[0].dtype)) != LINNET_OK)
        return st;
    if (!ln_broadcast(&q->in[0], &q->in[3], &q->out[0]))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "QLinearAdd: the inputs do not fit together");
    q->out[0].dtype = q->in[0].dtype;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const ln_desc *in[2] = { &q->in[0], &q->in[3] };
    qlinear_state *s = q->state;

    ln_bcast_init(&s->b, &q->out[0], 2, in);
    s->zero[0] = q->in[2].dtype != 0;
    s->zero[1] = q->in[5].dtype != 0;
    s->zero[2] = q->in_count > 7 && q->in[7].dtype;
    ln_split(q, s->b.total);
    return LINNET_OK;
}

static linnet_status qlinear_binary(const ln_run *r, int kind)
{
    const qlinear_state *s = r->state;
    const int32_t t = r->out_desc[0].dtype;
    const qlinear_scale a = qlinear_read(r, 1, t, s->zero[0]), b = qlinear_read(r, 4, t, s->zero[1]);
    const qlinear_scale c = qlinear_read(r, 6, t, s->zero[2]);
    const ln_binary_f32 f = r->kernel->binary_f32[kind == QLINEAR_ADD ? LN_BIN_ADD : LN_BIN_MUL];
    uint8_t room[2][LN_BLOCK];
    ln_operand o[2] = { { r->in[0], 1, room[0], NULL, 0 }, { r->in[3], 1, room[1], NULL, 0 } };
    float x[LN_BLOCK], y[LN_BLOCK], z[LN_BLOCK];
    size_t from, count;
    ln_walk w;

    ln_part(s->b.total, r->task, &from, &count);
    ln_walk_start(&w, &s->b, from, count);
    for (size_t n; (n = ln_walk_take(&w, o, LN_BLOCK)) > 0; from += n) {
        qlinear_get(r->kernel, &a, o[0].p, o[0].step ? n : 1, x);
        qlinear_get(r->kernel, &b, o[1].p, o[1].step ? n : 1, y);
        f(n, x, o[0].step, y, o[1].step, z);
        qlinear_put(r->kernel, &c, z, n, (uint8_t *)r->out[0] + from);
    }
    return LINNET_OK;
}

static linnet_status qlinear_add(const ln_run *r) { return qlinear_binary(r, QLINEAR_ADD); }
static linnet_status qlinear_mul(const ln_run *r) { return qlinear_binary(r, QLINEAR_MUL); }

/* ---- of one: X, its scale and zero; scale and zero of Y --------------------------------------------- */

static linnet_status qlinear_unary_infer(const ln_infer *q)
{
    linnet_status st;

    if (!qlinear_type_ok(q->in[0].dtype))
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    if ((st = qlinear_check(q, "QLinearSigmoid", 1, q->in[0].dtype)) != LINNET_OK ||
        (st = qlinear_check(q, "QLinearSigmoid", 3, q->in[0].dtype)) != LINNET_OK)
        return st;
    q->out[0] = q->in[0];
    return LINNET_OK;
}

static linnet_status qlinear_unary_prepare(ln_prepare *q)
{
    qlinear_state *s = q->state;

    s->zero[0] = q->in[2].dtype != 0;
    s->zero[1] = q->in_count > 4 && q->in[4].dtype;
    ln_split(q, ln_count(&q->out[0]));
    return LINNET_OK;
}

static linnet_status qlinear_unary(const ln_run *r, int kind)
{
    const param *p = r->param;
    const qlinear_state *s = r->state;
    const int32_t t = r->out_desc[0].dtype;
    const qlinear_scale a = qlinear_read(r, 1, t, s->zero[0]), c = qlinear_read(r, 3, t, s->zero[1]);
    const uint8_t *x = r->in[0];
    uint8_t *y = r->out[0], table[256];
    float v[256];
    size_t from, count;

    for (size_t i = 0; i < 256; i++)
        table[i] = (uint8_t)i;
    qlinear_get(r->kernel, &a, table, 256, v);
    if (kind == QLINEAR_SIGMOID)
        r->kernel->unary_f32[LN_FN_SIGMOID](256, v, v, 0, 0);
    else
        r->kernel->unary_f32[LN_FN_LEAKY_RELU](256, v, v, p->alpha, 0);
    qlinear_put(r->kernel, &c, v, 256, table);
    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    for (size_t i = from; i < from + count; i++)
        y[i] = table[x[i]];
    return LINNET_OK;
}

static linnet_status qlinear_sigmoid(const ln_run *r) { return qlinear_unary(r, QLINEAR_SIGMOID); }
static linnet_status qlinear_leaky_relu(const ln_run *r) { return qlinear_unary(r, QLINEAR_LEAKY_RELU); }

/* ---- Softmax over the last axes: as the operator of opset 13, or of those before ------------------------ */

static linnet_status qlinear_softmax_infer(const ln_infer *q)
{
    const param *p = q->param;
    int32_t axis;

    if (!ln_axis(p->axis, q->in[0].rank, &axis) || (p->opset >= 13 && axis != q->in[0].rank - 1))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "QLinearSoftmax: axis %lld is not supported", (long long)p->axis);
    return qlinear_unary_infer(q);
}

static linnet_status qlinear_softmax_prepare(ln_prepare *q)
{
    const param *p = q->param;
    qlinear_state *s = q->state;
    int32_t axis;
    const linnet_status st = qlinear_unary_prepare(q);

    if (st || !ln_axis(p->axis, q->in[0].rank, &axis))
        return st;
    s->n = ln_count_range(&q->in[0], axis, q->in[0].rank);
    q->tasks[0] = ln_count(&q->in[0]) ? ln_count_range(&q->in[0], 0, axis) : 0;
    return ln_mul(s->n, sizeof(float), &q->scratch) ? LINNET_OK : LINNET_ERR_LIMIT;
}

static linnet_status qlinear_softmax(const ln_run *r)
{
    const qlinear_state *s = r->state;
    const int32_t t = r->out_desc[0].dtype;
    const qlinear_scale a = qlinear_read(r, 1, t, s->zero[0]), c = qlinear_read(r, 3, t, s->zero[1]);
    float *x = r->scratch;

    qlinear_get(r->kernel, &a, (const uint8_t *)r->in[0] + r->task * s->n, s->n, x);
    r->kernel->softmax_f32(s->n, x, x);
    qlinear_put(r->kernel, &c, x, s->n, (uint8_t *)r->out[0] + r->task * s->n);
    return LINNET_OK;
}

/* ---- Where: condition; X, its scale and zero; Y, its scale and zero; scale and zero of Z ------------------ */

static linnet_status qlinear_where_infer(const ln_infer *q)
{
    linnet_status st;

    if (!qlinear_type_ok(q->in[1].dtype) || q->in[4].dtype != q->in[1].dtype || q->in[0].dtype != LINNET_BOOL)
        return ln_fail_type(q->err, 1, q->in[1].dtype);
    for (int32_t i = 2; i <= 7; i += i == 2 ? 3 : 2)
        if ((st = qlinear_check(q, "QLinearWhere", i, q->in[1].dtype)) != LINNET_OK)
            return st;
    if (!ln_broadcast(&q->in[1], &q->in[4], &q->out[0]) || !ln_broadcast(&q->in[0], &q->out[0], &q->out[0]))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "QLinearWhere: the inputs do not fit together");
    q->out[0].dtype = q->in[1].dtype;
    return LINNET_OK;
}

static linnet_status qlinear_where_prepare(ln_prepare *q)
{
    const ln_desc *in[3] = { &q->in[0], &q->in[1], &q->in[4] };
    qlinear_state *s = q->state;

    ln_bcast_init(&s->b, &q->out[0], 3, in);
    s->zero[0] = q->in[3].dtype != 0;
    s->zero[1] = q->in[6].dtype != 0;
    s->zero[2] = q->in_count > 8 && q->in[8].dtype;
    ln_split(q, s->b.total);
    return LINNET_OK;
}

static linnet_status qlinear_where(const ln_run *r)
{
    const qlinear_state *s = r->state;
    const int32_t t = r->out_desc[0].dtype;
    const qlinear_scale a = qlinear_read(r, 2, t, s->zero[0]), b = qlinear_read(r, 5, t, s->zero[1]);
    const qlinear_scale c = qlinear_read(r, 7, t, s->zero[2]);
    uint8_t room[3][LN_BLOCK];
    ln_operand o[3] = { { r->in[0], 1, room[0], NULL, 0 }, { r->in[1], 1, room[1], NULL, 0 },
                        { r->in[4], 1, room[2], NULL, 0 } };
    float x[LN_BLOCK], y[LN_BLOCK], z[LN_BLOCK];
    size_t from, count;
    ln_walk w;

    ln_part(s->b.total, r->task, &from, &count);
    ln_walk_start(&w, &s->b, from, count);
    for (size_t n; (n = ln_walk_take(&w, o, LN_BLOCK)) > 0; from += n) {
        const uint8_t *if_true = o[0].p;
        qlinear_get(r->kernel, &a, o[1].p, o[1].step ? n : 1, x);
        qlinear_get(r->kernel, &b, o[2].p, o[2].step ? n : 1, y);
        for (size_t i = 0; i < n; i++)
            z[i] = if_true[i * o[0].step] ? x[i * o[1].step] : y[i * o[2].step];
        qlinear_put(r->kernel, &c, z, n, (uint8_t *)r->out[0] + from);
    }
    return LINNET_OK;
}

static const ln_attr qlinear_softmax_attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), -1, false },
    { "opset", LN_ATTR_I64, offsetof(param, opset), 13, false },
    { 0 },
};

static const ln_attr attr[] = {
    { "alpha", LN_ATTR_F32, offsetof(param, alpha), 0.01, false },
    { 0 },
};

#define QLINEAR_BINARY(onnx, runs)                                                                       \
    { .name = onnx, .param_size = sizeof(param), .state_size = sizeof(qlinear_state), .in_min = 7,       \
      .in_max = 8, .infer = infer, .prepare = prepare, .run = runs }
#define QLINEAR_UNARY(onnx, attributes, runs)                                                            \
    { .name = onnx, .attr = attributes, .param_size = sizeof(param), .state_size = sizeof(qlinear_state), \
      .in_min = 4, .in_max = 5, .infer = qlinear_unary_infer, .prepare = qlinear_unary_prepare, .run = runs }

const ln_op ln_op_qlinear_add = QLINEAR_BINARY("com.microsoft.QLinearAdd", qlinear_add);
const ln_op ln_op_qlinear_mul = QLINEAR_BINARY("com.microsoft.QLinearMul", qlinear_mul);
const ln_op ln_op_qlinear_sigmoid = QLINEAR_UNARY("com.microsoft.QLinearSigmoid", NULL, qlinear_sigmoid);
const ln_op ln_op_qlinear_leaky_relu = QLINEAR_UNARY("com.microsoft.QLinearLeakyRelu", attr, qlinear_leaky_relu);

const ln_op ln_op_qlinear_where = {
    .name = "com.microsoft.QLinearWhere", .state_size = sizeof(qlinear_state), .in_min = 8, .in_max = 9,
    .infer = qlinear_where_infer, .prepare = qlinear_where_prepare, .run = qlinear_where,
};

const ln_op ln_op_qlinear_softmax = {
    .name = "com.microsoft.QLinearSoftmax", .attr = qlinear_softmax_attr, .param_size = sizeof(param),
    .state_size = sizeof(qlinear_state), .in_min = 4, .in_max = 5, .infer = qlinear_softmax_infer,
    .prepare = qlinear_softmax_prepare, .run = qlinear_softmax,
};

#undef QLINEAR_BINARY
#undef QLINEAR_UNARY
