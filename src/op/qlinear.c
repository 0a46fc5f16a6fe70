/*
 * qlinear.c - com.microsoft's elementwise operators on quantised numbers.
 *
 * Each element is brought to f32 with its scale and zero point, computed, and brought back with those
 * of the output: to nearest, ties to even, saturating.
 */
#include "op.h"

#include <math.h>

typedef struct param { float alpha; int64_t axis, opset; } param;
typedef struct state { ln_desc out; int64_t a[LN_MAX_RANK], b[LN_MAX_RANK]; } state;
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

static float qlinear_get(const qlinear_scale *s, const void *x, size_t i)
{
    return ((float)ln_get_i64(s->dtype, x, i) - s->zero) * s->scale;
}

static void qlinear_put(const qlinear_scale *s, void *y, size_t i, float v)
{
    const float q = nearbyintf(v / s->scale) + s->zero;

    ln_set_i64(s->dtype, y, i, (int64_t)(q >= s->hi ? s->hi : q > s->lo ? q : s->lo));
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

typedef struct qlinear_given { bool zero[4]; } qlinear_given;
typedef struct qlinear_state { state at; qlinear_given given; } qlinear_state;

static linnet_status prepare(ln_prepare *q)
{
    qlinear_state *s = q->state;

    s->at.out = q->out[0];
    ln_broadcast_strides(&q->in[0], &q->out[0], s->at.a);
    ln_broadcast_strides(&q->in[3], &q->out[0], s->at.b);
    s->given.zero[0] = q->in[2].dtype != 0;
    s->given.zero[1] = q->in[5].dtype != 0;
    s->given.zero[2] = q->in_count > 7 && q->in[7].dtype;
    ln_split(q, ln_count(&q->out[0]));
    return LINNET_OK;
}

static linnet_status qlinear_binary(const ln_run *r, int kind)
{
    const qlinear_state *s = r->state;
    const int32_t t = s->at.out.dtype;
    const qlinear_scale a = qlinear_read(r, 1, t, s->given.zero[0]), b = qlinear_read(r, 4, t, s->given.zero[1]);
    const qlinear_scale c = qlinear_read(r, 6, t, s->given.zero[2]);
    size_t from, count;

    ln_part(ln_count(&s->at.out), r->task, &from, &count);
    for (size_t i = from; i < from + count; i++) {
        size_t rest = i, x = 0, y = 0;
        for (int32_t d = s->at.out.rank - 1; d >= 0; d--) {
            const size_t k = rest % (size_t)s->at.out.dim[d];
            rest /= (size_t)s->at.out.dim[d];
            x += k * (size_t)s->at.a[d];
            y += k * (size_t)s->at.b[d];
        }
        const float p = qlinear_get(&a, r->in[0], x), v = qlinear_get(&b, r->in[3], y);
        qlinear_put(&c, r->out[0], i, kind == QLINEAR_ADD ? p + v : p * v);
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

    s->at.out = q->out[0];
    s->given.zero[0] = q->in[2].dtype != 0;
    s->given.zero[1] = q->in_count > 4 && q->in[4].dtype;
    ln_split(q, ln_count(&q->out[0]));
    return LINNET_OK;
}

static linnet_status qlinear_unary(const ln_run *r, int kind)
{
    const param *p = r->param;
    const qlinear_state *s = r->state;
    const int32_t t = s->at.out.dtype;
    const qlinear_scale a = qlinear_read(r, 1, t, s->given.zero[0]), c = qlinear_read(r, 3, t, s->given.zero[1]);
    size_t from, count;

    ln_part(ln_count(&s->at.out), r->task, &from, &count);
    for (size_t i = from; i < from + count; i++) {
        const float x = qlinear_get(&a, r->in[0], i);
        qlinear_put(&c, r->out[0], i, kind == QLINEAR_SIGMOID ? (float)(1 / (1 + exp(-(double)x))) : x < 0 ? x * p->alpha : x);
    }
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
    int32_t axis;
    const linnet_status st = qlinear_unary_prepare(q);

    if (st || !ln_axis(p->axis, q->in[0].rank, &axis))
        return st;
    q->tasks[0] = ln_count(&q->in[0]) ? ln_count_range(&q->in[0], 0, axis) : 0;
    return ln_mul(ln_count_range(&q->in[0], axis, q->in[0].rank), sizeof(float), &q->scratch) ? LINNET_OK
                                                                                             : LINNET_ERR_LIMIT;
}

static linnet_status qlinear_softmax(const ln_run *r)
{
    const param *p = r->param;
    const qlinear_state *s = r->state;
    const int32_t t = s->at.out.dtype;
    const qlinear_scale a = qlinear_read(r, 1, t, s->given.zero[0]), c = qlinear_read(r, 3, t, s->given.zero[1]);
    float *x = r->scratch;
    int32_t axis;

    if (!ln_axis(p->axis, s->at.out.rank, &axis))
        return LINNET_ERR_SHAPE;
    const size_t n = ln_count_range(&s->at.out, axis, s->at.out.rank);
    for (size_t i = 0; i < n; i++)
        x[i] = qlinear_get(&a, r->in[0], r->task * n + i);
    r->kernel->softmax_f32(n, x, x);
    for (size_t i = 0; i < n; i++)
        qlinear_put(&c, r->out[0], r->task * n + i, x[i]);
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

const ln_op ln_op_qlinear_softmax = {
    .name = "com.microsoft.QLinearSoftmax", .attr = qlinear_softmax_attr, .param_size = sizeof(param),
    .state_size = sizeof(qlinear_state), .in_min = 4, .in_max = 5, .infer = qlinear_softmax_infer,
    .prepare = qlinear_softmax_prepare, .run = qlinear_softmax,
};

#undef QLINEAR_BINARY
#undef QLINEAR_UNARY
