/*
 * cast.c - Cast, CastLike, BitCast.
 *
 * From a float to an integer: the fraction is cut off, numbers out of range saturate and NaN becomes
 * 0. From integer to integer: the upper bits go. To the 8-bit floats: as `saturate` and
 * `round_mode` say. Texts become numbers, never the other way: a run allocates nothing.
 */
#include "element.h"

#include <math.h>

typedef struct param {
    int64_t     to, saturate;
    const char *round_mode;
} param;

static linnet_status cast_infer(const ln_infer *q, int64_t to)
{
    const param *p = q->param;
    const ln_dtype_info *from = ln_dtype(q->in[0].dtype);
    const int32_t type = to > 0 && to < 32 ? (int32_t)to : 0;
    const uint8_t kind = ln_dtype(type)->kind;

    if (from->kind == LN_KIND_COMPLEX || from->kind == LN_KIND_NONE)
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    if (kind == LN_KIND_NONE || kind == LN_KIND_COMPLEX || (kind == LN_KIND_STRING && from->kind != LN_KIND_STRING))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Cast: from %s to type %lld is not supported", from->name,
                       (long long)to);
    if (!ln_is(p->round_mode, "up", "up") && !ln_is(p->round_mode, "up", "down") &&
        !ln_is(p->round_mode, "up", "nearest"))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Cast: round_mode \"%s\"", p->round_mode);
    q->out[0] = q->in[0];
    q->out[0].dtype = type;
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;

    return cast_infer(q, p->to);
}

static linnet_status cast_like_infer(const ln_infer *q)
{
    return cast_infer(q, q->in[1].dtype);
}

static linnet_status prepare(ln_prepare *q)
{
    ln_split(q, ln_count(&q->out[0]));
    return LINNET_OK;
}

/* ---- 8-bit floats with a will of their own ------------------------------------------------ */

/* The smallest magnitude that rounds beyond the largest number of the type; the largest itself is most. */
static bool cast_overflows(int32_t type, double a)
{
    switch (type) {
    case LINNET_F8E4M3FN:   return a > 464.0; /* 464 is a tie, and 448 is even */
    case LINNET_F8E4M3FNUZ: return a >= 248.0;
    case LINNET_F8E5M2:
    case LINNET_F8E5M2FNUZ: return a >= 61440.0;
    default:                return false;
    }
}

static void cast_to_f8(int32_t type, double v, bool saturate, uint8_t *y)
{
    if (!saturate && cast_overflows(type, fabs(v))) {
        if (type == LINNET_F8E5M2)
            *y = signbit(v) ? 0xfc : 0x7c;
        else if (type == LINNET_F8E4M3FN)
            *y = signbit(v) ? 0xff : 0x7f;
        else
            *y = 0x80;
    } else if (v != v && signbit(v) && (type == LINNET_F8E5M2 || type == LINNET_F8E4M3FN)) {
        ln_set_f64(type, y, 0, v);
        *y |= 0x80;
    } else {
        ln_set_f64(type, y, 0, v);
    }
}

/* A power of two, 2^(code - 127); 255 is NaN. */
static uint8_t cast_to_e8m0(const param *p, double v)
{
    int e;

    if (v != v || v < 0.0)
        return 255;
    if (!p->saturate && (v < 0x1p-127 || v > 0x1p127))
        return 255;
    if (v <= 0x1p-127)
        return 0;
    if (v >= 0x1p127)
        return 254;
    const double x = frexp(v, &e); /* v = x * 2^e, x in [1/2, 1) */
    const bool up = ln_is(p->round_mode, "up", "up") ? x > 0.5
                    : ln_is(p->round_mode, "up", "nearest") && x >= 0.75;
    return (uint8_t)(e + 126 + up);
}

static void cast_small(const ln_run *r, const param *p, int32_t type, int32_t wide, const void *x, size_t n, size_t from)
{
    uint8_t *y = (uint8_t *)r->out[0] + from;

    for (size_t i = 0; i < n; i++) {
        double v = 0.0;
        switch (wide) {
        case LN_WIDE_F32: v = (double)((const float *)x)[i]; break;
        case LN_WIDE_F64: v = ((const double *)x)[i]; break;
        case LN_WIDE_I64: v = (double)((const int64_t *)x)[i]; break;
        default:          v = (double)((const uint64_t *)x)[i]; break;
        }
        if (type == LINNET_F8E8M0)
            y[i] = cast_to_e8m0(p, v);
        else
            cast_to_f8(type, v, p->saturate != 0, &y[i]);
    }
}

/* ---- texts ---------------------------------------------------------------------------------- */

static bool cast_word(const char *s, const char *word)
{
    for (; *word; s++, word++)
        if ((*s | 0x20) != *word)
            return false;
    return *s == '\0';
}

/* Decimal text as a number whatever the locale; what is no number gives NaN. */
static double cast_number(const char *s)
{
    double v = 0.0, sign = 1.0;
    int64_t e = 0;
    int digits = 0;
    bool any = false;

    if (*s == '-' || *s == '+')
        sign = *s++ == '-' ? -1.0 : 1.0;
    if (cast_word(s, "inf") || cast_word(s, "infinity"))
        return sign * (double)INFINITY;
    for (bool point = false; (*s >= '0' && *s <= '9') || (*s == '.' && !point); s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        any = true;
        if (digits < 18) {
            v = v * 10.0 + (*s - '0');
            digits += v > 0.0;
            e -= point;
        } else {
            e += !point;
        }
    }
    if (any && (*s == 'e' || *s == 'E')) {
        const bool negative = s[1] == '-';
        int64_t power = 0;
        for (s += 1 + (s[1] == '-' || s[1] == '+'); *s >= '0' && *s <= '9'; s++)
            power = LN_MIN(power * 10 + (*s - '0'), (int64_t)100000);
        e += negative ? -power : power;
    }
    if (!any || *s)
        return (double)NAN;
    if (e < -300) { /* in two steps, so that small results do not vanish on the way */
        v /= 1e300;
        e += 300;
    }
    return sign * (e < 0 ? v / pow(10.0, (double)-e) : v * pow(10.0, (double)e));
}

/* Whole numbers keep all 64 bits. */
static bool cast_whole(const char *s, uint64_t *out)
{
    const bool negative = *s == '-';
    uint64_t v = 0;

    s += *s == '-' || *s == '+';
    if (!*s)
        return false;
    for (; *s >= '0' && *s <= '9'; s++)
        v = v * 10 + (uint64_t)(*s - '0');
    *out = negative ? 0 - v : v;
    return *s == '\0';
}

static void cast_texts(const ln_run *r, size_t from, size_t count)
{
    const char *const *x = (const char *const *)r->in[0] + from;
    const int32_t type = r->out_desc[0].dtype;
    const uint8_t kind = ln_dtype(type)->kind;

    for (size_t i = 0; i < count; i++) {
        const char *s = x[i] ? x[i] : "";
        uint64_t whole;
        if (type == LINNET_STRING) {
            ((const char **)r->out[0])[from + i] = s;
        } else if (kind != LN_KIND_FLOAT && cast_whole(s, &whole)) {
            ln_wide_write(r->kernel, type, LN_WIDE_U64, &whole, 1, r->out[0], from + i);
        } else {
            const double v = cast_number(s);
            if (ln_type_in(type, LN_TYPES_F8))
                cast_to_f8(type, v, true, (uint8_t *)r->out[0] + from + i);
            else
                ln_wide_write(r->kernel, type, LN_WIDE_F64, &v, 1, r->out[0], from + i);
        }
    }
}

/* ---- pairs of types with loops of their own ----------------------------------------------------------- */

typedef void (*cast_loop)(const ln_kernels *k, size_t n, const void *x, void *y);

static void cast_f32_u8(const ln_kernels *k, size_t n, const void *x, void *y) { k->f32_to_8(n, x, 0.0f, 255.0f, y); }
static void cast_f32_i8(const ln_kernels *k, size_t n, const void *x, void *y) { k->f32_to_8(n, x, -128.0f, 127.0f, y); }
static void cast_f32_i32(const ln_kernels *k, size_t n, const void *x, void *y) { k->f32_to_i32(n, x, y); }
static void cast_u8_f32(const ln_kernels *k, size_t n, const void *x, void *y) { k->dequantize_u8(n, x, 1.0f, 0, y); }
static void cast_i8_f32(const ln_kernels *k, size_t n, const void *x, void *y) { k->dequantize_i8(n, x, 1.0f, 0, y); }
static void cast_i32_f32(const ln_kernels *k, size_t n, const void *x, void *y) { k->i32_to_f32(n, x, y); }

static void cast_f32_bool(const ln_kernels *k, size_t n, const void *x, void *y)
{
    const float zero = 0;

    k->compare_f32[LN_CMP_NE](n, x, 1, &zero, 0, y);
}

static void cast_bool_f32(const ln_kernels *k, size_t n, const void *x, void *y)
{
    const float one = 1, zero = 0;

    k->select_32(n, x, &one, 0, &zero, 0, y);
}

static void cast_f32_i64(const ln_kernels *k, size_t n, const void *x, void *y)
{
    const float *f = x;
    int64_t *out = y;

    LN_UNUSED(k);
    for (size_t i = 0; i < n; i++)
        out[i] = fabsf(f[i]) < 0x1p62f ? (int64_t)f[i] : ln_f2i_sat((double)f[i], INT64_MIN, INT64_MAX);
}

/* Loops without a kernel. */
#define CAST_PLAIN(name, S, T, value)                                                        \
    static void cast_##name(const ln_kernels *k, size_t n, const void *x, void *y)           \
    {                                                                                        \
        const S *in = x;                                                                     \
        T *out = y;                                                                          \
        LN_UNUSED(k);                                                                        \
        for (size_t i = 0; i < n; i++)                                                       \
            out[i] = (T)(value);                                                             \
    }
CAST_PLAIN(i64_f32, int64_t, float, in[i])
CAST_PLAIN(i64_i32, int64_t, int32_t, (uint64_t)in[i])
CAST_PLAIN(i32_i64, int32_t, int64_t, in[i])
CAST_PLAIN(bool_i64, uint8_t, int64_t, in[i] != 0)
CAST_PLAIN(bool_i32, uint8_t, int32_t, in[i] != 0)

static cast_loop cast_direct(int32_t from, int32_t to)
{
    static const struct { int32_t from, to; cast_loop loop; } known[] = {
        { LINNET_F32, LINNET_U8, cast_f32_u8 },   { LINNET_F32, LINNET_I8, cast_f32_i8 },
        { LINNET_F32, LINNET_I32, cast_f32_i32 }, { LINNET_F32, LINNET_I64, cast_f32_i64 },
        { LINNET_F32, LINNET_BOOL, cast_f32_bool }, { LINNET_BOOL, LINNET_F32, cast_bool_f32 },
        { LINNET_U8, LINNET_F32, cast_u8_f32 },   { LINNET_I8, LINNET_F32, cast_i8_f32 },
        { LINNET_I32, LINNET_F32, cast_i32_f32 }, { LINNET_I64, LINNET_F32, cast_i64_f32 },
        { LINNET_I64, LINNET_I32, cast_i64_i32 }, { LINNET_I32, LINNET_I64, cast_i32_i64 },
        { LINNET_BOOL, LINNET_I64, cast_bool_i64 }, { LINNET_BOOL, LINNET_I32, cast_bool_i32 },
    };

    for (size_t i = 0; i < LN_COUNT(known); i++)
        if (known[i].from == from && known[i].to == to)
            return known[i].loop;
    return NULL;
}

/* ---- the run -------------------------------------------------------------------------------------- */

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const int32_t from_type = r->in_desc[0].dtype, to = r->out_desc[0].dtype, wide = ln_wide_of(from_type);
    ln_block block;
    size_t from, count;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    if (from_type == LINNET_STRING) {
        cast_texts(r, from, count);
        return LINNET_OK;
    }
    const cast_loop loop = cast_direct(from_type, to);
    if (loop) {
        loop(r->kernel, count, (const char *)r->in[0] + from * (ln_dtype(from_type)->bits / 8u),
             (char *)r->out[0] + from * (ln_dtype(to)->bits / 8u));
        return LINNET_OK;
    }
    for (size_t n; count > 0; from += n, count -= n) {
        n = LN_MIN(count, (size_t)LN_BLOCK);
        const void *x = ln_wide_view(r->kernel, from_type, r->in[0], from, n, wide, &block);
        if (ln_type_in(to, LN_TYPES_F8 | LN_TYPE(LINNET_F8E8M0)))
            cast_small(r, p, to, wide, x, n, from);
        else
            ln_wide_write(r->kernel, to, wide, x, n, r->out[0], from);
    }
    return LINNET_OK;
}

/* ---- BitCast ---------------------------------------------------------------------------------------- */

static linnet_status cast_bits_infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_dtype_info *from = ln_dtype(q->in[0].dtype);
    const int32_t type = p->to > 0 && p->to < 32 ? (int32_t)p->to : 0;

    if (from->kind == LN_KIND_STRING || from->kind == LN_KIND_NONE)
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    if (type == LINNET_STRING || ln_dtype(type)->bits != from->bits)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "BitCast: type %lld has not the size of %s", (long long)p->to,
                       from->name);
    q->out[0] = q->in[0];
    q->out[0].dtype = type;
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "to", LN_ATTR_I64, offsetof(param, to), 0, true },
    { "saturate", LN_ATTR_I64, offsetof(param, saturate), 1, false },
    { "round_mode", LN_ATTR_STR, offsetof(param, round_mode), 0, false },
    { 0 },
};
static const ln_attr cast_bits_attr[] = {
    { "to", LN_ATTR_I64, offsetof(param, to), 0, true },
    { 0 },
};

const ln_op ln_op_cast = {
    .name = "Cast", .attr = attr, .param_size = sizeof(param), .in_min = 1, .in_max = 1,
    .flags = LN_OP_ELEMENTWISE, .infer = infer, .prepare = prepare, .run = run,
};
const ln_op ln_op_cast_like = {
    .name = "CastLike", .attr = attr + 1, .param_size = sizeof(param), .in_min = 2, .in_max = 2,
    .infer = cast_like_infer, .prepare = prepare, .run = run,
};
const ln_op ln_op_bit_cast = {
    .name = "BitCast", .attr = cast_bits_attr, .param_size = sizeof(param), .in_min = 1, .in_max = 1,
    .flags = LN_OP_VIEW | LN_OP_ELEMENTWISE, .infer = cast_bits_infer,
};

#undef CAST_PLAIN
