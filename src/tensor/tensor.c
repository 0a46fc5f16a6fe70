/*
 * tensor.c - element types, and single elements of any type as wide numbers.
 *
 * All floating-point types below 32 bits are one family: a sign, e exponent bits, m mantissa
 * bits, and a rule for what the topmost codes mean. One table and two functions convert them.
 */
#include "tensor.h"

#include <math.h>

const ln_dtype_info *ln_dtype(int32_t dtype)
{
    static const ln_dtype_info info[] = {
        [LINNET_NO_TYPE] = { NULL, 0, LN_KIND_NONE },
        [LINNET_F32] = { "f32", 32, LN_KIND_FLOAT },
        [LINNET_U8] = { "u8", 8, LN_KIND_UINT },
        [LINNET_I8] = { "i8", 8, LN_KIND_INT },
        [LINNET_U16] = { "u16", 16, LN_KIND_UINT },
        [LINNET_I16] = { "i16", 16, LN_KIND_INT },
        [LINNET_I32] = { "i32", 32, LN_KIND_INT },
        [LINNET_I64] = { "i64", 64, LN_KIND_INT },
        [LINNET_STRING] = { "string", sizeof(char *) * 8, LN_KIND_STRING },
        [LINNET_BOOL] = { "bool", 8, LN_KIND_BOOL },
        [LINNET_F16] = { "f16", 16, LN_KIND_FLOAT },
        [LINNET_F64] = { "f64", 64, LN_KIND_FLOAT },
        [LINNET_U32] = { "u32", 32, LN_KIND_UINT },
        [LINNET_U64] = { "u64", 64, LN_KIND_UINT },
        [LINNET_C64] = { "c64", 64, LN_KIND_COMPLEX },
        [LINNET_C128] = { "c128", 128, LN_KIND_COMPLEX },
        [LINNET_BF16] = { "bf16", 16, LN_KIND_FLOAT },
        [LINNET_F8E4M3FN] = { "f8e4m3fn", 8, LN_KIND_FLOAT },
        [LINNET_F8E4M3FNUZ] = { "f8e4m3fnuz", 8, LN_KIND_FLOAT },
        [LINNET_F8E5M2] = { "f8e5m2", 8, LN_KIND_FLOAT },
        [LINNET_F8E5M2FNUZ] = { "f8e5m2fnuz", 8, LN_KIND_FLOAT },
        [LINNET_U4] = { "u4", 4, LN_KIND_UINT },
        [LINNET_I4] = { "i4", 4, LN_KIND_INT },
        [LINNET_F4E2M1] = { "f4e2m1", 4, LN_KIND_FLOAT },
        [LINNET_F8E8M0] = { "f8e8m0", 8, LN_KIND_FLOAT },
        [LINNET_U2] = { "u2", 2, LN_KIND_UINT },
        [LINNET_I2] = { "i2", 2, LN_KIND_INT },
    };
    return &info[dtype >= 0 && (size_t)dtype < LN_COUNT(info) ? dtype : LINNET_NO_TYPE];
}

bool ln_dtype_bytes(int32_t dtype, size_t count, size_t *bytes)
{
    const uint8_t bits = ln_dtype(dtype)->bits;

    if (bits == 0)
        return false;
    if (bits >= 8)
        return ln_mul(count, bits / 8u, bytes);
    *bytes = ln_ceil_div(count, 8u / bits);
    return true;
}

/* ---- small floating-point types --------------------------------------------------- */

enum {
    SMALL_INF,  /* topmost exponent: infinity and NaN, as IEEE */
    SMALL_FN,   /* one NaN, all ones; no infinity */
    SMALL_FNUZ, /* one NaN, the code of minus zero; no infinity */
    SMALL_ALL   /* every code is a number */
};

typedef struct small_float {
    int     bits, mantissa, bias, rule;
    double  most; /* largest finite number */
} small_float;

static const small_float *small_of(int32_t dtype)
{
    static const small_float f16 = { 16, 10, 15, SMALL_INF, 65504 };
    static const small_float bf16 = { 16, 7, 127, SMALL_INF, 0x1.fep127 };
    static const small_float e4m3 = { 8, 3, 7, SMALL_FN, 448 };
    static const small_float e4m3u = { 8, 3, 8, SMALL_FNUZ, 240 };
    static const small_float e5m2 = { 8, 2, 15, SMALL_INF, 57344 };
    static const small_float e5m2u = { 8, 2, 16, SMALL_FNUZ, 57344 };
    static const small_float e2m1 = { 4, 1, 1, SMALL_ALL, 6 };

    switch (dtype) {
    case LINNET_F16:        return &f16;
    case LINNET_BF16:       return &bf16;
    case LINNET_F8E4M3FN:   return &e4m3;
    case LINNET_F8E4M3FNUZ: return &e4m3u;
    case LINNET_F8E5M2:     return &e5m2;
    case LINNET_F8E5M2FNUZ: return &e5m2u;
    case LINNET_F4E2M1:     return &e2m1;
    default:                return NULL;
    }
}

static double small_get(const small_float *f, uint32_t code)
{
    const uint32_t sign = 1u << (f->bits - 1), a = code & (sign - 1), one = 1u << f->mantissa;
    const uint32_t e = a >> f->mantissa, m = a & (one - 1), e_most = (sign - 1) >> f->mantissa;
    double v;

    if ((f->rule == SMALL_FN && a == sign - 1) || (f->rule == SMALL_FNUZ && code == sign))
        return (double)NAN;
    if (f->rule == SMALL_INF && e == e_most)
        v = m ? (double)NAN : (double)INFINITY;
    else if (e == 0)
        v = ldexp((double)m, 1 - f->bias - f->mantissa);
    else
        v = ldexp((double)(one + m), (int)e - f->bias - f->mantissa);
    return code & sign ? -v : v;
}

/* Code of `most` or, in f16 and bf16, of infinity, which numbers too large become. */
static uint32_t small_top(const small_float *f)
{
    const uint32_t all = (1u << (f->bits - 1)) - 1, inf = all & ~((1u << f->mantissa) - 1);

    if (f->rule == SMALL_INF)
        return f->bits == 16 ? inf : inf - 1;
    return f->rule == SMALL_FN ? all - 1 : all;
}

static uint32_t small_nan(const small_float *f)
{
    const uint32_t sign = 1u << (f->bits - 1), all = sign - 1;

    switch (f->rule) {
    case SMALL_INF:  return (all & ~((1u << f->mantissa) - 1)) | 1u << (f->mantissa - 1);
    case SMALL_FN:   return all;
    case SMALL_FNUZ: return sign;
    default:         return 0;
    }
}

static uint32_t small_set(const small_float *f, double v)
{
    const uint32_t sign = signbit(v) ? 1u << (f->bits - 1) : 0;
    const double a = fabs(v);
    uint32_t code;

    if (v != v)
        return small_nan(f);
    if (a > f->most * 2) {
        code = small_top(f);
    } else {
        int e = 0;
        (void)frexp(a, &e); /* a = x * 2^e, x in [1/2, 1) */
        e = a > 0 ? LN_MAX(e - 1, 1 - f->bias) : 1 - f->bias;
        const double n = nearbyint(ldexp(a, f->mantissa - e)); /* in units of the last place */
        /* Carries run from the mantissa into the exponent by themselves. */
        code = (uint32_t)n + (((uint32_t)(e + f->bias) - 1u) << f->mantissa);
        code = LN_MIN(code, small_top(f));
    }
    if (code == 0 && f->rule == SMALL_FNUZ)
        return 0;
    return sign | code;
}

/* A power of two; the nearest, ties upwards. 255 is NaN. */
static uint32_t small_e8m0(double v)
{
    int e = 0;

    if (v != v || v < 0)
        return 255;
    if (v == 0)
        return 0;
    if (v > 0x1p127)
        return 254;
    const double x = frexp(v, &e);
    e += 126 + (x >= 0.75);
    return (uint32_t)LN_MAX(e, 0);
}

/* ---- one element --------------------------------------------------------------------- */

static uint32_t tensor_packed_get(const void *data, size_t i, unsigned bits)
{
    const unsigned per = 8 / bits;
    return ((const uint8_t *)data)[i / per] >> (i % per * bits) & ((1u << bits) - 1);
}

static void tensor_packed_set(void *data, size_t i, unsigned bits, uint32_t v)
{
    const unsigned per = 8 / bits, shift = (unsigned)(i % per) * bits, mask = ((1u << bits) - 1) << shift;
    uint8_t *b = (uint8_t *)data + i / per;

    *b = (uint8_t)((*b & ~mask) | (v << shift & mask));
}

/* The bits of element i, for types of at most 64 bits. */
static uint64_t tensor_bits_get(const void *data, size_t i, unsigned bits)
{
    const uint8_t *b = data;
    uint64_t v8 = 0;
    uint32_t v4;
    uint16_t v2;

    switch (bits) {
    case 64: memcpy(&v8, b + i * 8, 8); return v8;
    case 32: memcpy(&v4, b + i * 4, 4); return v4;
    case 16: memcpy(&v2, b + i * 2, 2); return v2;
    case 8:  return b[i];
    default: return tensor_packed_get(data, i, bits);
    }
}

static void tensor_bits_set(void *data, size_t i, unsigned bits, uint64_t v)
{
    uint8_t *b = data;
    const uint32_t v4 = (uint32_t)v;
    const uint16_t v2 = (uint16_t)v;

    switch (bits) {
    case 64: memcpy(b + i * 8, &v, 8); break;
    case 32: memcpy(b + i * 4, &v4, 4); break;
    case 16: memcpy(b + i * 2, &v2, 2); break;
    case 8:  b[i] = (uint8_t)v; break;
    default: tensor_packed_set(data, i, bits, (uint32_t)v); break;
    }
}

static double tensor_float_get(int32_t dtype, const void *data, size_t i)
{
    const small_float *f = small_of(dtype);
    const unsigned bits = ln_dtype(dtype)->bits;
    double d;
    float s;

    switch (dtype) {
    case LINNET_F32: memcpy(&s, (const char *)data + i * 4, 4); return (double)s;
    case LINNET_F64: memcpy(&d, (const char *)data + i * 8, 8); return d;
    case LINNET_F8E8M0: {
        const uint8_t e = ((const uint8_t *)data)[i];
        return e == 255 ? (double)NAN : ldexp(1, e - 127);
    }
    default: return small_get(f, (uint32_t)tensor_bits_get(data, i, bits));
    }
}

static void tensor_float_set(int32_t dtype, void *data, size_t i, double v)
{
    const small_float *f = small_of(dtype);
    float s;

    switch (dtype) {
    case LINNET_F32:
        s = (float)v;
        memcpy((char *)data + i * 4, &s, 4);
        break;
    case LINNET_F64: memcpy((char *)data + i * 8, &v, 8); break;
    case LINNET_F8E8M0: ((uint8_t *)data)[i] = (uint8_t)small_e8m0(v); break;
    default: tensor_bits_set(data, i, ln_dtype(dtype)->bits, small_set(f, v)); break;
    }
}

int64_t ln_get_i64(int32_t dtype, const void *data, size_t i)
{
    const ln_dtype_info *t = ln_dtype(dtype);
    uint64_t v;

    switch (t->kind) {
    case LN_KIND_BOOL:  return ((const uint8_t *)data)[i] != 0;
    case LN_KIND_FLOAT: return ln_f2i_sat(tensor_float_get(dtype, data, i), INT64_MIN, INT64_MAX);
    case LN_KIND_UINT:
    case LN_KIND_INT:   break;
    default:            return 0;
    }
    v = tensor_bits_get(data, i, t->bits);
    if (t->kind == LN_KIND_UINT)
        return v > INT64_MAX ? INT64_MAX : (int64_t)v;
    if (t->bits < 64 && (v >> (t->bits - 1) & 1))
        v |= ~(uint64_t)0 << t->bits;
    return v <= INT64_MAX ? (int64_t)v : -(int64_t)(~v) - 1;
}

double ln_get_f64(int32_t dtype, const void *data, size_t i)
{
    switch (ln_dtype(dtype)->kind) {
    case LN_KIND_FLOAT: return tensor_float_get(dtype, data, i);
    case LN_KIND_COMPLEX:
        return dtype == LINNET_C64 ? tensor_float_get(LINNET_F32, data, i * 2) : tensor_float_get(LINNET_F64, data, i * 2);
    default: break;
    }
    if (dtype == LINNET_U64)
        return (double)tensor_bits_get(data, i, 64);
    return (double)ln_get_i64(dtype, data, i);
}

void ln_set_i64(int32_t dtype, void *data, size_t i, int64_t v)
{
    const ln_dtype_info *t = ln_dtype(dtype);
    int64_t most;

    switch (t->kind) {
    case LN_KIND_BOOL: ((uint8_t *)data)[i] = v != 0; break;
    case LN_KIND_UINT:
        most = t->bits == 64 ? INT64_MAX : (int64_t)(((uint64_t)1 << t->bits) - 1);
        tensor_bits_set(data, i, t->bits, (uint64_t)LN_MIN(LN_MAX(v, 0), most));
        break;
    case LN_KIND_INT:
        most = (int64_t)(((uint64_t)1 << (t->bits - 1)) - 1);
        tensor_bits_set(data, i, t->bits, (uint64_t)LN_MIN(LN_MAX(v, -most - 1), most));
        break;
    case LN_KIND_FLOAT:
    case LN_KIND_COMPLEX: ln_set_f64(dtype, data, i, (double)v); break;
    default: break;
    }
}

void ln_set_f64(int32_t dtype, void *data, size_t i, double v)
{
    switch (ln_dtype(dtype)->kind) {
    case LN_KIND_FLOAT: tensor_float_set(dtype, data, i, v); return;
    case LN_KIND_BOOL:  ((uint8_t *)data)[i] = v != 0; return;
    case LN_KIND_COMPLEX: {
        const int32_t part = dtype == LINNET_C64 ? LINNET_F32 : LINNET_F64;
        tensor_float_set(part, data, i * 2, v);
        tensor_float_set(part, data, i * 2 + 1, 0);
        return;
    }
    default: break;
    }
    const double n = nearbyint(v);
    if (dtype == LINNET_U64 && n >= 0x1p63)
        tensor_bits_set(data, i, 64, n >= 0x1p64 ? UINT64_MAX : (uint64_t)n);
    else
        ln_set_i64(dtype, data, i, ln_f2i_sat(n, INT64_MIN, INT64_MAX));
}

/* ---- many elements --------------------------------------------------------------------- */

void ln_to_f32(int32_t dtype, const void *x, size_t n, float *y)
{
    switch (dtype) {
    case LINNET_F32:
        memmove(y, x, n * sizeof *y);
        break;
    case LINNET_F16:
        for (size_t i = 0; i < n; i++)
            y[i] = ln_f16_to_f32((uint16_t)tensor_bits_get(x, i, 16));
        break;
    case LINNET_BF16:
        for (size_t i = 0; i < n; i++)
            y[i] = ln_bf16_to_f32((uint16_t)tensor_bits_get(x, i, 16));
        break;
    default:
        for (size_t i = 0; i < n; i++)
            y[i] = (float)ln_get_f64(dtype, x, i);
        break;
    }
}

void ln_from_f32(int32_t dtype, const float *x, size_t n, void *y)
{
    switch (dtype) {
    case LINNET_F32:
        memmove(y, x, n * sizeof *x);
        break;
    case LINNET_F16:
        for (size_t i = 0; i < n; i++)
            tensor_bits_set(y, i, 16, ln_f32_to_f16(x[i]));
        break;
    case LINNET_BF16:
        for (size_t i = 0; i < n; i++)
            tensor_bits_set(y, i, 16, ln_f32_to_bf16(x[i]));
        break;
    default:
        for (size_t i = 0; i < n; i++)
            ln_set_f64(dtype, y, i, (double)x[i]);
        break;
    }
}
