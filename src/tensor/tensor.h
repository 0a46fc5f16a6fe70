/*
 * tensor.h - element types, shapes, and the tensor object.
 *
 * A shape is at most LN_MAX_RANK numbers, kept inline, never negative once a
 * reader has let it through. Byte sizes come from ln_desc_bytes() alone.
 */
#ifndef LN_TENSOR_H
#define LN_TENSOR_H

#include "../base/base.h"

#define LN_MAX_RANK 8

/* Type and shape. dtype 0 means "no tensor here" (an absent optional input). */
typedef struct ln_desc {
    int32_t dtype, rank;
    int64_t dim[LN_MAX_RANK];
} ln_desc;

struct linnet_tensor {
    ln_desc          desc;
    void            *data;  /* may be NULL where the tensor has no bytes */
    size_t           size;  /* bytes */
    bool             owned; /* data came from alloc */
    bool             heap;  /* the object itself came from alloc */
    linnet_allocator alloc;
    size_t           extra; /* of an owned string tensor: bytes of text behind its elements, in the same block */
};

typedef struct ln_dtype_info {
    const char *name; /* "f32"; NULL: no such type */
    uint8_t     bits; /* of one element; 4- and 2-bit types are packed, low bits first */
    uint8_t     kind; /* LN_KIND_* */
} ln_dtype_info;
enum { LN_KIND_NONE, LN_KIND_FLOAT, LN_KIND_INT, LN_KIND_UINT, LN_KIND_BOOL, LN_KIND_STRING, LN_KIND_COMPLEX };

/* Facts about a type; for a number that is no type, a zeroed entry (name NULL). */
const ln_dtype_info *ln_dtype(int32_t dtype);

/* Bytes of `count` elements; false: no such type, or the product does not fit. */
LN_MUST_USE bool ln_dtype_bytes(int32_t dtype, size_t count, size_t *bytes);

/* True where p has the alignment of such elements: that of the widest number in one. */
bool ln_aligned(const void *p, int32_t dtype);

/*
 * True for matrices of some size, of types that no operator takes for indices or sizes. Such
 * elements can stay where a file has them, misaligned as they may be, and whoever may change it.
 */
bool ln_desc_bulk(const ln_desc *d);

/* Number of elements; false: a negative dim or a product that does not fit int64 / size_t. */
LN_MUST_USE bool ln_desc_count(const ln_desc *d, size_t *count);
LN_MUST_USE bool ln_desc_bytes(const ln_desc *d, size_t *bytes);

/* The same for a desc already checked (every desc in a plan is): cannot fail. */
size_t ln_count(const ln_desc *d);
/* Product of dim[from .. to-1]; 1 where empty. Checked desc. */
size_t ln_count_range(const ln_desc *d, int32_t from, int32_t to);

bool ln_same_shape(const ln_desc *a, const ln_desc *b);

/* A desc from its parts, for infer functions: ln_desc_of(dtype, 2, (int64_t[]){ n, c }). */
ln_desc ln_desc_of(int32_t dtype, int32_t rank, const int64_t *dim);

/* "f32[1,3,224,224]" into text; returns text. */
#define LN_DESC_TEXT 128
const char *ln_desc_text(const ln_desc *d, char text[LN_DESC_TEXT]);

/*
 * NumPy-style broadcasting of a with b into *out (shape only; out->dtype is kept
 * by the caller). False: they do not fit together.
 */
LN_MUST_USE bool ln_broadcast(const ln_desc *a, const ln_desc *b, ln_desc *out);

/* Row-major element strides of d into stride[0 .. rank-1]. */
void ln_strides(const ln_desc *d, int64_t *stride);

/* Element strides of `d` seen as shape `to` (right-aligned; repeated axes get 0). */
void ln_broadcast_strides(const ln_desc *d, const ln_desc *to, int64_t *stride);

/* Axis in [-rank, rank) brought into [0, rank); false: outside. */
LN_MUST_USE static inline bool ln_axis(int64_t axis, int32_t rank, int32_t *out)
{
    if (axis < -(int64_t)rank || axis >= rank)
        return false;
    *out = (int32_t)(axis < 0 ? axis + rank : axis);
    return true;
}

/*
 * Element i of a tensor of integers or bools (or, for ln_get_f64, of any number
 * type) as the widest number. For parameters (shapes, axes, scales), not for bulk data.
 */
int64_t ln_get_i64(int32_t dtype, const void *data, size_t i);
double  ln_get_f64(int32_t dtype, const void *data, size_t i);
void    ln_set_f64(int32_t dtype, void *data, size_t i, double v); /* saturates; rounds to nearest even */
void    ln_set_i64(int32_t dtype, void *data, size_t i, int64_t v);

/*
 * Bulk conversion of any number type to and from f32; n elements. 4- and 2-bit types start at
 * element 0 of their byte. Plain C; kernels have faster f16 versions.
 */
void ln_to_f32(int32_t dtype, const void *x, size_t n, float *y);
void ln_from_f32(int32_t dtype, const float *x, size_t n, void *y);

#endif
