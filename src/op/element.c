/*
 * element.c - blocks of elements to and from wide numbers.
 */
#include "element.h"

int32_t ln_wide_of(int32_t dtype)
{
    switch (ln_dtype(dtype)->kind) {
    case LN_KIND_FLOAT: return dtype == LINNET_F64 ? LN_WIDE_F64 : LN_WIDE_F32;
    case LN_KIND_INT:   return LN_WIDE_I64;
    default:            return LN_WIDE_U64;
    }
}

/* ---- reading ------------------------------------------------------------------------ */

/* A loop from elements of T to wide numbers. */
#define ELEMENT_READ(T)                                                                    \
    do {                                                                                   \
        const T *in = (const T *)x + from;                                                 \
        float *f = out;                                                                    \
        double *d = out;                                                                   \
        int64_t *i64 = out;                                                                \
        uint64_t *u64 = out;                                                               \
        if (wide == LN_WIDE_F32)                                                           \
            for (size_t i = 0; i < n; i++) f[i] = (float)in[i];                            \
        else if (wide == LN_WIDE_F64)                                                      \
            for (size_t i = 0; i < n; i++) d[i] = (double)in[i];                           \
        else if (wide == LN_WIDE_I64)                                                      \
            for (size_t i = 0; i < n; i++) i64[i] = (int64_t)in[i];                        \
        else                                                                               \
            for (size_t i = 0; i < n; i++) u64[i] = (uint64_t)in[i];                       \
    } while (0)

static void element_read_bool(const uint8_t *x, size_t n, int32_t wide, void *out)
{
    float *f = out;
    double *d = out;
    uint64_t *u = out;

    for (size_t i = 0; i < n; i++)
        if (wide == LN_WIDE_F32)
            f[i] = x[i] ? 1.0f : 0.0f;
        else if (wide == LN_WIDE_F64)
            d[i] = x[i] ? 1.0 : 0.0;
        else
            u[i] = x[i] != 0;
}

/* 4- and 2-bit types and small floats, one by one. */
static void element_read_small(int32_t dtype, const void *x, size_t from, size_t n, int32_t wide, void *out)
{
    float *f = out;
    double *d = out;
    int64_t *i64 = out;

    for (size_t i = 0; i < n; i++)
        if (wide == LN_WIDE_F32)
            f[i] = (float)ln_get_f64(dtype, x, from + i);
        else if (wide == LN_WIDE_F64)
            d[i] = ln_get_f64(dtype, x, from + i);
        else
            i64[i] = ln_get_i64(dtype, x, from + i);
}

static void element_read_half(const ln_kernels *k, int32_t dtype, const uint16_t *x, size_t n, int32_t wide,
                              void *out)
{
    const bool f16 = dtype == LINNET_F16;
    double *d = out;
    float *f = out;

    if (wide == LN_WIDE_F64)
        for (size_t i = 0; i < n; i++)
            d[i] = (double)(f16 ? ln_f16_to_f32(x[i]) : ln_bf16_to_f32(x[i]));
    else if (f16)
        k->f16_to_f32(n, x, f);
    else
        for (size_t i = 0; i < n; i++)
            f[i] = ln_bf16_to_f32(x[i]);
}

void ln_wide_read(const ln_kernels *k, int32_t dtype, const void *x, size_t from, size_t n, int32_t wide,
                  void *out)
{
    if (n == 0)
        return;
    switch (dtype) {
    case LINNET_F32:
        if (wide == LN_WIDE_F32)
            memcpy(out, (const float *)x + from, n * sizeof(float));
        else
            for (size_t i = 0; i < n; i++)
                ((double *)out)[i] = (double)((const float *)x)[from + i];
        break;
    case LINNET_F64:
        if (wide == LN_WIDE_F64)
            memcpy(out, (const double *)x + from, n * sizeof(double));
        else
            for (size_t i = 0; i < n; i++)
                ((float *)out)[i] = (float)((const double *)x)[from + i];
        break;
    case LINNET_F16:
    case LINNET_BF16: element_read_half(k, dtype, (const uint16_t *)x + from, n, wide, out); break;
    case LINNET_I8:   ELEMENT_READ(int8_t); break;
    case LINNET_I16:  ELEMENT_READ(int16_t); break;
    case LINNET_I32:  ELEMENT_READ(int32_t); break;
    case LINNET_I64:  ELEMENT_READ(int64_t); break;
    case LINNET_U8:   ELEMENT_READ(uint8_t); break;
    case LINNET_U16:  ELEMENT_READ(uint16_t); break;
    case LINNET_U32:  ELEMENT_READ(uint32_t); break;
    case LINNET_U64:  ELEMENT_READ(uint64_t); break;
    case LINNET_BOOL: element_read_bool((const uint8_t *)x + from, n, wide, out); break;
    default:          element_read_small(dtype, x, from, n, wide, out); break;
    }
}

const void *ln_wide_view(const ln_kernels *k, int32_t dtype, const void *x, size_t from, size_t n, int32_t wide,
                         void *room)
{
    if ((dtype == LINNET_F32 && wide == LN_WIDE_F32) || (dtype == LINNET_F64 && wide == LN_WIDE_F64) ||
        (dtype == LINNET_I64 && wide == LN_WIDE_I64) || (dtype == LINNET_U64 && wide == LN_WIDE_U64))
        return (const char *)x + from * ln_wide_size(wide);
    ln_wide_read(k, dtype, x, from, n, wide, room);
    return room;
}

/* ---- writing ------------------------------------------------------------------------- */

/* From wide numbers to elements of T, an integer type with limits lo and hi. */
#define ELEMENT_WRITE(T, lo, hi)                                                           \
    do {                                                                                   \
        T *out = (T *)y + from;                                                            \
        const float *f = x;                                                                \
        const double *d = x;                                                               \
        const uint64_t *u = x;                                                             \
        if (wide == LN_WIDE_F32)                                                           \
            for (size_t i = 0; i < n; i++) out[i] = (T)ln_f2i_sat((double)f[i], lo, hi);   \
        else if (wide == LN_WIDE_F64)                                                      \
            for (size_t i = 0; i < n; i++) out[i] = (T)ln_f2i_sat(d[i], lo, hi);           \
        else                                                                               \
            for (size_t i = 0; i < n; i++) out[i] = (T)u[i];                               \
    } while (0)

static double element_get(int32_t wide, const void *x, size_t i)
{
    switch (wide) {
    case LN_WIDE_F32: return (double)((const float *)x)[i];
    case LN_WIDE_F64: return ((const double *)x)[i];
    case LN_WIDE_I64: return (double)((const int64_t *)x)[i];
    default:          return (double)((const uint64_t *)x)[i];
    }
}

/* The unsigned type that int64_t does not hold. */
static uint64_t element_u64(double v)
{
    if (!(v > 0.0))
        return 0;
    return v >= 0x1p64 ? UINT64_MAX : (uint64_t)v;
}

static void element_write_u64(int32_t wide, const void *x, size_t n, uint64_t *y)
{
    if (wide == LN_WIDE_I64 || wide == LN_WIDE_U64)
        memcpy(y, x, n * sizeof *y);
    else
        for (size_t i = 0; i < n; i++)
            y[i] = element_u64(element_get(wide, x, i));
}

static void element_write_bool(int32_t wide, const void *x, size_t n, uint8_t *y)
{
    const uint64_t *u = x;

    if (wide == LN_WIDE_I64 || wide == LN_WIDE_U64)
        for (size_t i = 0; i < n; i++)
            y[i] = u[i] != 0;
    else
        for (size_t i = 0; i < n; i++)
            y[i] = element_get(wide, x, i) != 0.0;
}

/* 4- and 2-bit types and floats. Neighbours in a byte belong to the same task. */
static void element_write_small(int32_t dtype, int32_t wide, const void *x, size_t n, void *y, size_t from)
{
    const ln_dtype_info *t = ln_dtype(dtype);
    const uint64_t *u = x, mask = ((uint64_t)1 << (t->bits & 63)) - 1, sign = mask / 2 + 1;
    const bool whole = t->kind != LN_KIND_FLOAT;

    for (size_t i = 0; i < n; i++) {
        if (!whole) {
            ln_set_f64(dtype, y, from + i, element_get(wide, x, i));
            continue;
        }
        const uint64_t v = wide == LN_WIDE_F32 || wide == LN_WIDE_F64
                               ? (uint64_t)ln_f2i_sat(element_get(wide, x, i), INT64_MIN, INT64_MAX) : u[i];
        const int64_t low = (int64_t)(v & mask);
        ln_set_i64(dtype, y, from + i, t->kind == LN_KIND_INT && (v & sign) ? low - (int64_t)mask - 1 : low);
    }
}

static void element_write_half(const ln_kernels *k, int32_t dtype, int32_t wide, const void *x, size_t n,
                               uint16_t *y)
{
    const float *f = x;

    if (wide != LN_WIDE_F32)
        for (size_t i = 0; i < n; i++)
            ln_set_f64(dtype, y, i, element_get(wide, x, i));
    else if (dtype == LINNET_F16)
        k->f32_to_f16(n, f, y);
    else
        for (size_t i = 0; i < n; i++)
            y[i] = ln_f32_to_bf16(f[i]);
}

static void element_write_float(int32_t wide, const void *x, size_t n, float *y)
{
    const int64_t *s = x;
    const uint64_t *u = x;

    if (wide == LN_WIDE_F32)
        memmove(y, x, n * sizeof *y);
    else if (wide == LN_WIDE_F64)
        for (size_t i = 0; i < n; i++)
            y[i] = (float)((const double *)x)[i];
    else if (wide == LN_WIDE_I64)
        for (size_t i = 0; i < n; i++)
            y[i] = (float)s[i];
    else
        for (size_t i = 0; i < n; i++)
            y[i] = (float)u[i];
}

void ln_wide_write(const ln_kernels *k, int32_t dtype, int32_t wide, const void *x, size_t n, void *y,
                   size_t from)
{
    if (n == 0)
        return;
    switch (dtype) {
    case LINNET_F32: element_write_float(wide, x, n, (float *)y + from); break;
    case LINNET_F64:
        for (size_t i = 0; i < n; i++)
            ((double *)y)[from + i] = element_get(wide, x, i);
        break;
    case LINNET_F16:
    case LINNET_BF16: element_write_half(k, dtype, wide, x, n, (uint16_t *)y + from); break;
    case LINNET_I8:   ELEMENT_WRITE(int8_t, INT8_MIN, INT8_MAX); break;
    case LINNET_I16:  ELEMENT_WRITE(int16_t, INT16_MIN, INT16_MAX); break;
    case LINNET_I32:  ELEMENT_WRITE(int32_t, INT32_MIN, INT32_MAX); break;
    case LINNET_I64:  ELEMENT_WRITE(int64_t, INT64_MIN, INT64_MAX); break;
    case LINNET_U8:   ELEMENT_WRITE(uint8_t, 0, UINT8_MAX); break;
    case LINNET_U16:  ELEMENT_WRITE(uint16_t, 0, UINT16_MAX); break;
    case LINNET_U32:  ELEMENT_WRITE(uint32_t, 0, UINT32_MAX); break;
    case LINNET_U64:  element_write_u64(wide, x, n, (uint64_t *)y + from); break;
    case LINNET_BOOL: element_write_bool(wide, x, n, (uint8_t *)y + from); break;
    default:          element_write_small(dtype, wide, x, n, y, from); break;
    }
}

#undef ELEMENT_READ
#undef ELEMENT_WRITE
