/*
 * unary.c - elementary functions of one element: Abs to Tan, Not, BitwiseNot, IsNaN, IsInf.
 */
#include "map.h"

#include <float.h>
#include <math.h>

/* A function of double that ignores the parameters. */
#define UNARY_F64(name, expression)                                                    \
    static double unary_##name(double x, double a, double b)                           \
    {                                                                                  \
        (void)a, (void)b;                                                              \
        return expression;                                                             \
    }
UNARY_F64(abs, fabs(x))
UNARY_F64(acos, acos(x))
UNARY_F64(acosh, acosh(x))
UNARY_F64(asin, asin(x))
UNARY_F64(asinh, asinh(x))
UNARY_F64(atan, atan(x))
UNARY_F64(atanh, atanh(x))
UNARY_F64(ceil, ceil(x))
UNARY_F64(cos, cos(x))
UNARY_F64(cosh, cosh(x))
UNARY_F64(erf, erf(x))
UNARY_F64(exp, exp(x))
UNARY_F64(floor, floor(x))
UNARY_F64(log, log(x))
UNARY_F64(neg, -x)
UNARY_F64(reciprocal, 1.0 / x)
UNARY_F64(round, nearbyint(x))
UNARY_F64(sign, x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : x)
UNARY_F64(sin, sin(x))
UNARY_F64(sinh, sinh(x))
UNARY_F64(sqrt, sqrt(x))
UNARY_F64(tan, tan(x))

/* The most negative integer is its own negative and absolute value, as in NumPy. */
static int64_t unary_neg_i64(int64_t x) { return (int64_t)(0 - (uint64_t)x); }
static int64_t unary_abs_i64(int64_t x) { return x < 0 ? unary_neg_i64(x) : x; }
static uint64_t unary_abs_u64(uint64_t x) { return x; }
static int64_t unary_sign_i64(int64_t x) { return (x > 0) - (x < 0); }
static uint64_t unary_sign_u64(uint64_t x) { return x != 0; }
static int64_t unary_flip_i64(int64_t x) { return (int64_t)~(uint64_t)x; }
static uint64_t unary_flip_u64(uint64_t x) { return ~x; }

#define UNARY(id, text, types, fn, i, u)                                                              \
    static const ln_map_spec unary_##id##_spec = { text, types, fn, unary_##id, i, u };               \
    static linnet_status unary_##id##_infer(const ln_infer *q) { return ln_map_infer(q, &unary_##id##_spec); } \
    static linnet_status unary_##id##_prepare(ln_prepare *q)                                          \
    {                                                                                                 \
        return ln_map_prepare(q, &unary_##id##_spec, 0.0f, 0.0f);                                     \
    }                                                                                                 \
    static bool unary_##id##_act(const void *param_, int32_t n, const ln_desc *in, const void *const *value, \
                                 ln_act *out)                                                         \
    {                                                                                                 \
        (void)param_, (void)n, (void)value;                                                           \
        return ln_map_act(&unary_##id##_spec, in, 0.0f, 0.0f, out);                                   \
    }

#define UNARY_FLIP (LN_TYPES_INT | LN_TYPES_UINT)
#define unary_bitwise_not NULL
#define unary_not         NULL

UNARY(abs, "Abs", LN_TYPES_NUMBER, LN_FN_ABS, unary_abs_i64, unary_abs_u64)
UNARY(acos, "Acos", LN_TYPES_FLOAT, LN_FN_NONE, NULL, NULL)
UNARY(acosh, "Acosh", LN_TYPES_FLOAT, LN_FN_NONE, NULL, NULL)
UNARY(asin, "Asin", LN_TYPES_FLOAT, LN_FN_NONE, NULL, NULL)
UNARY(asinh, "Asinh", LN_TYPES_FLOAT, LN_FN_NONE, NULL, NULL)
UNARY(atan, "Atan", LN_TYPES_FLOAT, LN_FN_NONE, NULL, NULL)
UNARY(atanh, "Atanh", LN_TYPES_FLOAT, LN_FN_NONE, NULL, NULL)
UNARY(bitwise_not, "BitwiseNot", UNARY_FLIP, LN_FN_NONE, unary_flip_i64, unary_flip_u64)
UNARY(ceil, "Ceil", LN_TYPES_FLOAT, LN_FN_CEIL, NULL, NULL)
UNARY(cos, "Cos", LN_TYPES_FLOAT, LN_FN_COS, NULL, NULL)
UNARY(cosh, "Cosh", LN_TYPES_FLOAT, LN_FN_NONE, NULL, NULL)
UNARY(erf, "Erf", LN_TYPES_NUMBER, LN_FN_ERF, NULL, NULL)
UNARY(exp, "Exp", LN_TYPES_FLOAT, LN_FN_EXP, NULL, NULL)
UNARY(floor, "Floor", LN_TYPES_FLOAT, LN_FN_FLOOR, NULL, NULL)
UNARY(log, "Log", LN_TYPES_FLOAT, LN_FN_LOG, NULL, NULL)
UNARY(neg, "Neg", LN_TYPES_FLOAT | LN_TYPES_INT, LN_FN_NEG, unary_neg_i64, NULL)
UNARY(reciprocal, "Reciprocal", LN_TYPES_FLOAT, LN_FN_RECIPROCAL, NULL, NULL)
UNARY(round, "Round", LN_TYPES_FLOAT, LN_FN_ROUND, NULL, NULL)
UNARY(sign, "Sign", LN_TYPES_NUMBER, LN_FN_SIGN, unary_sign_i64, unary_sign_u64)
UNARY(sin, "Sin", LN_TYPES_FLOAT, LN_FN_SIN, NULL, NULL)
UNARY(sinh, "Sinh", LN_TYPES_FLOAT, LN_FN_NONE, NULL, NULL)
UNARY(sqrt, "Sqrt", LN_TYPES_FLOAT, LN_FN_SQRT, NULL, NULL)
UNARY(tan, "Tan", LN_TYPES_FLOAT, LN_FN_NONE, NULL, NULL)

static uint64_t unary_not_u64(uint64_t x) { return !x; }
UNARY(not, "Not", LN_TYPE(LINNET_BOOL), LN_FN_NONE, NULL, unary_not_u64)

/* ---- questions about floats ------------------------------------------------------------- */

typedef struct param { int64_t detect_negative, detect_positive; } param;

static linnet_status unary_ask_infer(const ln_infer *q)
{
    if (!ln_type_in(q->in[0].dtype, LN_TYPES_FLOAT | LN_TYPES_F8))
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    q->out[0] = q->in[0];
    q->out[0].dtype = LINNET_BOOL;
    return LINNET_OK;
}

static linnet_status unary_ask_prepare(ln_prepare *q)
{
    ln_split(q, ln_count(&q->out[0]));
    return LINNET_OK;
}

/* Whether each element is an infinity that p asks for, or (p NULL) NaN. */
static void unary_ask(const ln_run *r, const param *p)
{
    const int32_t wide = ln_wide_of(r->in_desc[0].dtype);
    ln_block block;
    size_t from, count;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    for (size_t n; count > 0; from += n, count -= n) {
        n = LN_MIN(count, (size_t)LN_BLOCK);
        const void *v = ln_wide_view(r->kernel, r->in_desc[0].dtype, r->in[0], from, n, wide, &block);
        uint8_t *y = (uint8_t *)r->out[0] + from;
        for (size_t i = 0; i < n; i++) {
            const double x = wide == LN_WIDE_F32 ? (double)((const float *)v)[i] : ((const double *)v)[i];
            if (p)
                y[i] = (p->detect_negative && x < -DBL_MAX) || (p->detect_positive && x > DBL_MAX);
            else
                y[i] = x != x;
        }
    }
}

static linnet_status unary_is_nan_run(const ln_run *r)
{
    const float *x = r->in[0];
    size_t from, count;

    if (r->in_desc[0].dtype != LINNET_F32) {
        unary_ask(r, NULL);
        return LINNET_OK;
    }
    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    r->kernel->compare_f32[LN_CMP_NE](count, x + from, 1, x + from, 1, (uint8_t *)r->out[0] + from);
    return LINNET_OK;
}

/* x != true */
static linnet_status unary_not_run(const ln_run *r)
{
    const uint8_t one = 1;
    size_t from, count;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    r->kernel->logic_8[LN_LOGIC_XOR](count, (const uint8_t *)r->in[0] + from, 1, &one, 0, (uint8_t *)r->out[0] + from);
    return LINNET_OK;
}

static linnet_status unary_is_inf_run(const ln_run *r)
{
    unary_ask(r, r->param);
    return LINNET_OK;
}

static const ln_attr unary_is_inf_attr[] = {
    { "detect_negative", LN_ATTR_I64, offsetof(param, detect_negative), 1, false },
    { "detect_positive", LN_ATTR_I64, offsetof(param, detect_positive), 1, false },
    { 0 },
};

/* ---- the operators -------------------------------------------------------------------------- */

#define UNARY_OP_RUN(id, runs)                                                             \
    .state_size = sizeof(ln_map), .in_min = 1, .in_max = 1, .flags = LN_OP_ELEMENTWISE,    \
    .inplace = 1, .infer = unary_##id##_infer, .prepare = unary_##id##_prepare,            \
    .run = runs, .act = unary_##id##_act
#define UNARY_OP(id) UNARY_OP_RUN(id, ln_map_run)

const ln_op ln_op_abs = { .name = "Abs", UNARY_OP(abs) };
const ln_op ln_op_acos = { .name = "Acos", UNARY_OP(acos) };
const ln_op ln_op_acosh = { .name = "Acosh", UNARY_OP(acosh) };
const ln_op ln_op_asin = { .name = "Asin", UNARY_OP(asin) };
const ln_op ln_op_asinh = { .name = "Asinh", UNARY_OP(asinh) };
const ln_op ln_op_atan = { .name = "Atan", UNARY_OP(atan) };
const ln_op ln_op_atanh = { .name = "Atanh", UNARY_OP(atanh) };
const ln_op ln_op_bitwise_not = { .name = "BitwiseNot", UNARY_OP(bitwise_not) };
const ln_op ln_op_ceil = { .name = "Ceil", UNARY_OP(ceil) };
const ln_op ln_op_cos = { .name = "Cos", UNARY_OP(cos) };
const ln_op ln_op_cosh = { .name = "Cosh", UNARY_OP(cosh) };
const ln_op ln_op_erf = { .name = "Erf", UNARY_OP(erf) };
const ln_op ln_op_exp = { .name = "Exp", UNARY_OP(exp) };
const ln_op ln_op_floor = { .name = "Floor", UNARY_OP(floor) };
const ln_op ln_op_log = { .name = "Log", UNARY_OP(log) };
const ln_op ln_op_neg = { .name = "Neg", UNARY_OP(neg) };
const ln_op ln_op_not = { .name = "Not", UNARY_OP_RUN(not, unary_not_run) };
const ln_op ln_op_reciprocal = { .name = "Reciprocal", UNARY_OP(reciprocal) };
const ln_op ln_op_round = { .name = "Round", UNARY_OP(round) };
const ln_op ln_op_sign = { .name = "Sign", UNARY_OP(sign) };
const ln_op ln_op_sin = { .name = "Sin", UNARY_OP(sin) };
const ln_op ln_op_sinh = { .name = "Sinh", UNARY_OP(sinh) };
const ln_op ln_op_sqrt = { .name = "Sqrt", UNARY_OP(sqrt) };
const ln_op ln_op_tan = { .name = "Tan", UNARY_OP(tan) };

const ln_op ln_op_is_nan = {
    .name = "IsNaN", .in_min = 1, .in_max = 1, .flags = LN_OP_ELEMENTWISE,
    .infer = unary_ask_infer, .prepare = unary_ask_prepare, .run = unary_is_nan_run,
};
const ln_op ln_op_is_inf = {
    .name = "IsInf", .attr = unary_is_inf_attr, .param_size = sizeof(param), .in_min = 1, .in_max = 1,
    .flags = LN_OP_ELEMENTWISE, .infer = unary_ask_infer, .prepare = unary_ask_prepare, .run = unary_is_inf_run,
};

#undef UNARY_F64
#undef UNARY
#undef UNARY_FLIP
#undef UNARY_OP
#undef UNARY_OP_RUN
#undef unary_bitwise_not
#undef unary_not
