/*
 * element.h - elements of any number type as one of four wide types, in blocks.
 *
 * Every operator that takes many types computes in the wide one: f32 for the small floats, f64,
 * and 64-bit integers that wrap when they are written back. So each needs
 * at most four loops, and a result is rounded once.
 */
#ifndef LN_ELEMENT_H
#define LN_ELEMENT_H

#include "op.h"

/* Sets of types, one bit each. */
#define LN_TYPE(t)      (1u << (t))
#define LN_TYPES_FLOAT  (LN_TYPE(LINNET_F32) | LN_TYPE(LINNET_F64) | LN_TYPE(LINNET_F16) | LN_TYPE(LINNET_BF16))
#define LN_TYPES_INT    (LN_TYPE(LINNET_I8) | LN_TYPE(LINNET_I16) | LN_TYPE(LINNET_I32) | LN_TYPE(LINNET_I64))
#define LN_TYPES_UINT   (LN_TYPE(LINNET_U8) | LN_TYPE(LINNET_U16) | LN_TYPE(LINNET_U32) | LN_TYPE(LINNET_U64))
#define LN_TYPES_NUMBER (LN_TYPES_FLOAT | LN_TYPES_INT | LN_TYPES_UINT)
#define LN_TYPES_F8     (LN_TYPE(LINNET_F8E4M3FN) | LN_TYPE(LINNET_F8E4M3FNUZ) | LN_TYPE(LINNET_F8E5M2) | \
                         LN_TYPE(LINNET_F8E5M2FNUZ))

/* False for an absent tensor. */
static inline bool ln_type_in(int32_t dtype, uint32_t set)
{
    return dtype > 0 && dtype < 32 && (set >> dtype & 1u);
}

enum { LN_WIDE_F32, LN_WIDE_F64, LN_WIDE_I64, LN_WIDE_U64, LN_WIDE_COUNT };

/* Elements that operators convert at a time, and room for them. */
#define LN_BLOCK 256u
typedef union ln_block {
    float    f32[LN_BLOCK];
    double   f64[LN_BLOCK];
    int64_t  i64[LN_BLOCK];
    uint64_t u64[LN_BLOCK];
} ln_block;

/* The wide type of a number type: f32 for all floats but f64; u64 for unsigned types and bool. */
int32_t ln_wide_of(int32_t dtype);
static inline size_t ln_wide_size(int32_t wide) { return wide == LN_WIDE_F32 ? 4 : 8; }

/*
 * Elements [from, from + n) of x as wide numbers. Floats can be read as F32 or F64 only, integers
 * as any. Bools read as 0 and 1. F64 read as F32 is rounded.
 */
void ln_wide_read(const ln_kernels *k, int32_t dtype, const void *x, size_t from, size_t n, int32_t wide,
                  void *out);

/* The same without a copy where x has the wide type already; `room` takes n wide numbers. */
const void *ln_wide_view(const ln_kernels *k, int32_t dtype, const void *x, size_t from, size_t n, int32_t wide,
                         void *room);

/*
 * The other way. Integers wrap to the width of integer types. Floats become integers by cutting
 * the fraction off and saturating (4- and 2-bit types keep the low bits), NaN gives 0; small floats
 * round to nearest even.
 */
void ln_wide_write(const ln_kernels *k, int32_t dtype, int32_t wide, const void *x, size_t n, void *y,
                   size_t from);

#endif
