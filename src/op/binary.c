/*
 * binary.c - Add, Sub, Mul, Div, Mod, Pow, PRelu, SwiGLU, BitShift and the bitwise operators.
 *
 * Integers wrap. What NumPy leaves open, such as division by zero, is decided in NUMERICS.md.
 */
#include "pair.h"

#include <math.h>

/* A loop over wide numbers of type T: z = expression of a and b. */
#define BINARY_LOOP(name, T, expression)                                                           \
    static void binary_##name(size_t n, const void *x, size_t sx, const void *y, size_t sy, void *z) \
    {                                                                                              \
        const T *px = x, *py = y;                                                                  \
        T *pz = z;                                                                                 \
        for (size_t i = 0; i < n; i++) {                                                           \
            const T a = px[i * sx], b = py[i * sy];                                                \
            pz[i] = expression;                                                                    \
        }                                                                                          \
    }

/* Sums, differences and products wrap alike for signed and unsigned. */
BINARY_LOOP(add_f64, double, a + b)
BINARY_LOOP(add_int, uint64_t, a + b)
BINARY_LOOP(sub_f64, double, a - b)
BINARY_LOOP(sub_int, uint64_t, a - b)
BINARY_LOOP(mul_f64, double, a * b)
BINARY_LOOP(mul_int, uint64_t, a * b)
BINARY_LOOP(div_f64, double, a / b)
BINARY_LOOP(div_u64, uint64_t, b ? a / b : 0)
BINARY_LOOP(and_int, uint64_t, a & b)
BINARY_LOOP(or_int, uint64_t, a | b)
BINARY_LOOP(xor_int, uint64_t, a ^ b)
BINARY_LOOP(shl_int, uint64_t, b < 64 ? a << b : 0)
BINARY_LOOP(shr_u64, uint64_t, b < 64 ? a >> b : 0)

static inline int64_t binary_div(int64_t a, int64_t b)
{
    if (b == 0)
        return 0;
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}
BINARY_LOOP(div_i64, int64_t, binary_div(a, b))

/* The sign bit comes in from the left; written without shifting negative numbers. */
static inline int64_t binary_shr(int64_t a, int64_t b)
{
    const uint64_t by = b < 0 || b > 63 ? 63 : (uint64_t)b;

    return a < 0 ? (int64_t)~(~(uint64_t)a >> by) : (b < 0 || b > 63 ? 0 : (int64_t)((uint64_t)a >> by));
}
BINARY_LOOP(shr_i64, int64_t, binary_shr(a, b))

/* ---- remainders: of division rounded down, with b's sign; of division cut off, with a's ---- */

static inline double binary_floor_f64(double a, double b)
{
    const double m = fmod(a, b);

    if (m == 0.0)
        return copysign(0.0, b);
    return (m < 0.0) != (b < 0.0) ? m + b : m;
}

static inline float binary_floor_f32(float a, float b)
{
    const float m = fmodf(a, b);

    if (m == 0.0f)
        return copysignf(0.0f, b);
    return (m < 0.0f) != (b < 0.0f) ? m + b : m;
}

static inline int64_t binary_rem(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }
static inline int64_t binary_floor_i64(int64_t a, int64_t b)
{
    const int64_t m = binary_rem(a, b);

    return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

BINARY_LOOP(mod_f32, float, binary_floor_f32(a, b))
BINARY_LOOP(mod_f64, double, binary_floor_f64(a, b))
BINARY_LOOP(mod_i64, int64_t, binary_floor_i64(a, b))
BINARY_LOOP(mod_u64, uint64_t, b ? a % b : 0)
BINARY_LOOP(fmod_f32, float, fmodf(a, b))
BINARY_LOOP(fmod_f64, double, fmod(a, b))
BINARY_LOOP(fmod_i64, int64_t, binary_rem(a, b))

/* ---- PRelu, SwiGLU's gate ----------------------------------------------------------------- */

BINARY_LOOP(prelu_f64, double, a < 0.0 ? a * b : a)
BINARY_LOOP(prelu_i64, int64_t, a < 0 ? (int64_t)((uint64_t)a * (uint64_t)b) : a)
BINARY_LOOP(prelu_u64, uint64_t, ((void)b, a))

/* ---- powers --------------------------------------------------------------------------------- */

/* The exponents of most models, all of them one number, without a call of pow. */
static bool binary_pow_known(size_t n, const float *x, size_t sx, float e, float *z)
{
    if (e == 2.0f)
        for (size_t i = 0; i < n; i++)
            z[i] = x[i * sx] * x[i * sx];
    else if (e == 3.0f)
        for (size_t i = 0; i < n; i++)
            z[i] = (float)((double)x[i * sx] * x[i * sx] * x[i * sx]);
    else if (e == -1.0f)
        for (size_t i = 0; i < n; i++)
            z[i] = 1.0f / x[i * sx];
    else if (e == 1.0f)
        for (size_t i = 0; i < n; i++)
            z[i] = x[i * sx];
    else
        return false;
    return true;
}

static void binary_pow_f32(size_t n, const void *x, size_t sx, const void *y, size_t sy, void *z)
{
    const float *a = x, *b = y;
    float *out = z;

    if (n && sy == 0 && binary_pow_known(n, a, sx, b[0], out))
        return;
    for (size_t i = 0; i < n; i++)
        out[i] = powf(a[i * sx], b[i * sy]);
}

/* By squaring, wrapping. A negative power of an integer is cut to 0, except of 1 and -1. */
static inline int64_t binary_pow_int(int64_t a, int64_t b)
{
    uint64_t base = (uint64_t)a, power = 1;

    if (b < 0)
        return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    for (; b > 0; b >>= 1, base *= base)
        if (b & 1)
            power *= base;
    return (int64_t)power;
}
BINARY_LOOP(pow_f64, double, pow(a, b))
BINARY_LOOP(pow_i64, int64_t, binary_pow_int(a, b))

/* ---- the operators ----------------------------------------------------------------------------- */

#define BINARY_WHOLE (LN_TYPES_INT | LN_TYPES_UINT)

static const ln_pair_spec binary_add = { "Add", LN_TYPES_NUMBER, LN_BIN_ADD, false,
    { NULL, binary_add_f64, binary_add_int, binary_add_int }, 0, 0, false };
static const ln_pair_spec binary_sub = { "Sub", LN_TYPES_NUMBER, LN_BIN_SUB, false,
    { NULL, binary_sub_f64, binary_sub_int, binary_sub_int }, 0, 0, false };
static const ln_pair_spec binary_mul = { "Mul", LN_TYPES_NUMBER, LN_BIN_MUL, false,
    { NULL, binary_mul_f64, binary_mul_int, binary_mul_int }, 0, 0, false };
static const ln_pair_spec binary_quotient = { "Div", LN_TYPES_NUMBER, LN_BIN_DIV, false,
    { NULL, binary_div_f64, binary_div_i64, binary_div_u64 }, 0, 0, false };
static const ln_pair_spec binary_prelu = { "PRelu", LN_TYPES_NUMBER, LN_BIN_PRELU, false,
    { NULL, binary_prelu_f64, binary_prelu_i64, binary_prelu_u64 }, 0, 0, false };
static const ln_pair_spec binary_and = { "BitwiseAnd", BINARY_WHOLE, -1, false,
    { NULL, NULL, binary_and_int, binary_and_int }, 0, 0, false };
static const ln_pair_spec binary_or = { "BitwiseOr", BINARY_WHOLE, -1, false,
    { NULL, NULL, binary_or_int, binary_or_int }, 0, 0, false };
static const ln_pair_spec binary_xor = { "BitwiseXor", BINARY_WHOLE, -1, false,
    { NULL, NULL, binary_xor_int, binary_xor_int }, 0, 0, false };
static const ln_pair_spec binary_left = { "BitShift", BINARY_WHOLE, -1, false,
    { NULL, NULL, binary_shl_int, binary_shl_int }, 0, 0, false };
static const ln_pair_spec binary_right = { "BitShift", BINARY_WHOLE, -1, false,
    { NULL, NULL, binary_shr_i64, binary_shr_u64 }, 0, 0, false };
static const ln_pair_spec binary_floor = { "Mod", LN_TYPES_NUMBER, -1, false,
    { binary_mod_f32, binary_mod_f64, binary_mod_i64, binary_mod_u64 }, 0, 0, false };
static const ln_pair_spec binary_cut = { "Mod", LN_TYPES_NUMBER, -1, false,
    { binary_fmod_f32, binary_fmod_f64, binary_fmod_i64, binary_mod_u64 }, 0, 0, false };
static const ln_pair_spec binary_power = { "Pow", LN_TYPES_NUMBER, -1, false,
    { binary_pow_f32, binary_pow_f64, binary_pow_i64, binary_pow_i64 }, 0, 0, false };

/* infer and prepare of an operator without attributes. */
#define BINARY_PLAIN(name)                                                                        \
    static linnet_status name##_infer(const ln_infer *q) { return ln_pair_infer(q, &name); }      \
    static linnet_status name##_prepare(ln_prepare *q) { return ln_pair_prepare(q, &name); }

BINARY_PLAIN(binary_add)
BINARY_PLAIN(binary_sub)
BINARY_PLAIN(binary_mul)
BINARY_PLAIN(binary_quotient)
BINARY_PLAIN(binary_and)
BINARY_PLAIN(binary_or)
BINARY_PLAIN(binary_xor)
BINARY_PLAIN(binary_prelu)

/* The slope of PRelu broadcasts to the input, never the other way. */
static linnet_status binary_slope_infer(const ln_infer *q)
{
    const linnet_status st = binary_prelu_infer(q);

    if (st == LINNET_OK && !ln_same_shape(&q->out[0], &q->in[0]))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "PRelu: the slope does not broadcast to the input's shape");
    return st;
}

typedef struct param {
    const char *direction;
    int64_t     fmod;
    float       alpha;
} param;

static linnet_status binary_shift_infer(const ln_infer *q)
{
    const param *p = q->param;

    if (!ln_is(p->direction, "", "LEFT") && !ln_is(p->direction, "", "RIGHT"))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "BitShift: direction must be LEFT or RIGHT");
    return ln_pair_infer(q, &binary_left);
}

static linnet_status binary_shift_prepare(ln_prepare *q)
{
    const param *p = q->param;

    return ln_pair_prepare(q, ln_is(p->direction, "", "LEFT") ? &binary_left : &binary_right);
}

static linnet_status binary_mod_infer(const ln_infer *q) { return ln_pair_infer(q, &binary_floor); }
static linnet_status binary_mod_prepare(ln_prepare *q)
{
    const param *p = q->param;

    return ln_pair_prepare(q, p->fmod ? &binary_cut : &binary_floor);
}

/* The exponent may be of another type; the result has the base's. */
static linnet_status binary_pow_infer(const ln_infer *q)
{
    for (int32_t i = 0; i < 2; i++)
        if (!ln_type_in(q->in[i].dtype, LN_TYPES_NUMBER))
            return ln_fail_type(q->err, i, q->in[i].dtype);
    return ln_pair_shape(q, "Pow", q->in[0].dtype);
}

static linnet_status binary_pow_prepare(ln_prepare *q)
{
    const int32_t x = ln_wide_of(q->in[0].dtype), y = ln_wide_of(q->in[1].dtype);
    const bool whole = ln_type_in(q->in[0].dtype, BINARY_WHOLE) && ln_type_in(q->in[1].dtype, BINARY_WHOLE);
    const bool small = x == LN_WIDE_F32 && (y == LN_WIDE_F32 || ln_dtype(q->in[1].dtype)->bits <= 16);

    return ln_pair_prepare_as(q, &binary_power, whole ? LN_WIDE_I64 : small ? LN_WIDE_F32 : LN_WIDE_F64, q->state);
}

/* ---- SwiGLU: swish of the first times the second, of one shape --------------------------------- */

static linnet_status binary_swiglu_infer(const ln_infer *q)
{
    for (int32_t i = 0; i < 2; i++)
        if (!ln_type_in(q->in[i].dtype, LN_TYPES_FLOAT))
            return ln_fail_type(q->err, i, q->in[i].dtype);
    if (q->in[0].dtype != q->in[1].dtype || !ln_same_shape(&q->in[0], &q->in[1]))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "SwiGLU: the inputs differ in type or shape");
    q->out[0] = q->in[0];
    return LINNET_OK;
}

static linnet_status binary_swiglu_prepare(ln_prepare *q)
{
    ln_split(q, ln_count(&q->out[0]));
    q->work *= 4;
    return LINNET_OK;
}

static linnet_status binary_swiglu_run(const ln_run *r)
{
    const param *p = r->param;
    const int32_t type = r->out_desc[0].dtype;
    ln_block a, b;
    size_t from, count;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    for (size_t n; count > 0; from += n, count -= n) {
        n = LN_MIN(count, (size_t)LN_BLOCK);
        const int32_t wide = ln_wide_of(type);
        ln_wide_read(r->kernel, type, r->in[0], from, n, wide, &a);
        ln_wide_read(r->kernel, type, r->in[1], from, n, wide, &b);
        if (wide == LN_WIDE_F32) {
            r->kernel->unary_f32[LN_FN_SWISH](n, a.f32, a.f32, p->alpha, 0.0f);
            r->kernel->binary_f32[LN_BIN_MUL](n, a.f32, 1, b.f32, 1, a.f32);
        } else {
            for (size_t i = 0; i < n; i++)
                a.f64[i] = a.f64[i] / (1.0 + exp(-(double)p->alpha * a.f64[i])) * b.f64[i];
        }
        ln_wide_write(r->kernel, type, wide, &a, n, r->out[0], from);
    }
    return LINNET_OK;
}

static const ln_attr binary_shift_attr[] = {
    { "direction", LN_ATTR_STR, offsetof(param, direction), 0, true },
    { 0 },
};
static const ln_attr binary_mod_attr[] = {
    { "fmod", LN_ATTR_I64, offsetof(param, fmod), 0, false },
    { 0 },
};
static const ln_attr binary_swiglu_attr[] = {
    { "alpha", LN_ATTR_F32, offsetof(param, alpha), 1, false },
    { 0 },
};

#define BINARY_FIELDS                                                                             \
    .state_size = sizeof(ln_pair), .in_min = 2, .in_max = 2, .flags = LN_OP_ELEMENTWISE, .run = ln_pair_run

const ln_op ln_op_add = {
    .name = "Add", .inplace = 3, .infer = binary_add_infer, .prepare = binary_add_prepare, BINARY_FIELDS };
const ln_op ln_op_sub = {
    .name = "Sub", .inplace = 3, .infer = binary_sub_infer, .prepare = binary_sub_prepare, BINARY_FIELDS };
const ln_op ln_op_mul = {
    .name = "Mul", .inplace = 3, .infer = binary_mul_infer, .prepare = binary_mul_prepare, BINARY_FIELDS };
const ln_op ln_op_div = {
    .name = "Div", .inplace = 3, .infer = binary_quotient_infer, .prepare = binary_quotient_prepare, BINARY_FIELDS };
const ln_op ln_op_p_relu = {
    .name = "PRelu", .inplace = 1, .infer = binary_slope_infer, .prepare = binary_prelu_prepare, BINARY_FIELDS };
const ln_op ln_op_bitwise_and = {
    .name = "BitwiseAnd", .inplace = 3, .infer = binary_and_infer, .prepare = binary_and_prepare, BINARY_FIELDS };
const ln_op ln_op_bitwise_or = {
    .name = "BitwiseOr", .inplace = 3, .infer = binary_or_infer, .prepare = binary_or_prepare, BINARY_FIELDS };
const ln_op ln_op_bitwise_xor = {
    .name = "BitwiseXor", .inplace = 3, .infer = binary_xor_infer, .prepare = binary_xor_prepare, BINARY_FIELDS };
const ln_op ln_op_bit_shift = {
    .name = "BitShift", .attr = binary_shift_attr, .param_size = sizeof(param), .inplace = 3,
    .infer = binary_shift_infer, .prepare = binary_shift_prepare, BINARY_FIELDS };
const ln_op ln_op_mod = {
    .name = "Mod", .attr = binary_mod_attr, .param_size = sizeof(param), .inplace = 3,
    .infer = binary_mod_infer, .prepare = binary_mod_prepare, BINARY_FIELDS };
const ln_op ln_op_pow = {
    .name = "Pow", .inplace = 1, .infer = binary_pow_infer, .prepare = binary_pow_prepare, BINARY_FIELDS };
const ln_op ln_op_swi_glu = {
    .name = "SwiGLU", .attr = binary_swiglu_attr, .param_size = sizeof(param), .in_min = 2, .in_max = 2,
    .flags = LN_OP_ELEMENTWISE, .inplace = 3,
    .infer = binary_swiglu_infer, .prepare = binary_swiglu_prepare, .run = binary_swiglu_run };

#undef BINARY_LOOP
#undef BINARY_WHOLE
#undef BINARY_PLAIN
#undef BINARY_FIELDS
