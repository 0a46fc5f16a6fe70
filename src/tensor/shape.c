/*
 * shape.c - counting, comparing, broadcasting and printing shapes.
 */
#include "tensor.h"

#define SHAPE_BULK ((size_t)16 << 10) /* bytes from which elements are worth not copying */

bool ln_aligned(const void *p, int32_t dtype)
{
    const ln_dtype_info *type = ln_dtype(dtype);
    const size_t bytes = LN_MAX(type->bits / 8u, 1u), natural = type->kind == LN_KIND_COMPLEX ? bytes / 2 : bytes;

    return ((uintptr_t)p & (natural - 1)) == 0;
}

bool ln_desc_bulk(const ln_desc *d)
{
    const ln_dtype_info *type = ln_dtype(d->dtype);
    size_t bytes, wide = 0;

    for (int32_t i = 0; i < d->rank; i++)
        wide += d->dim[i] > 1;
    return wide >= 2 && (type->kind == LN_KIND_FLOAT || type->bits <= 8) && type->kind != LN_KIND_BOOL &&
           ln_desc_bytes(d, &bytes) && bytes >= SHAPE_BULK;
}

/*
 * The product of the dimensions that are not 0 must fit too, so that no product of some of
 * the dimensions of a checked shape can wrap.
 */
bool ln_desc_count(const ln_desc *d, size_t *count)
{
    int64_t n = 1;
    bool empty = false;

    if (d->rank < 0 || d->rank > LN_MAX_RANK)
        return false;
    for (int32_t i = 0; i < d->rank; i++) {
        if (d->dim[i] < 0 || !ln_mul64(n, LN_MAX(d->dim[i], 1), &n))
            return false;
        empty |= d->dim[i] == 0;
    }
    if ((uint64_t)n > SIZE_MAX)
        return false;
    *count = empty ? 0 : (size_t)n;
    return true;
}

bool ln_desc_bytes(const ln_desc *d, size_t *bytes)
{
    size_t n;
    return ln_desc_count(d, &n) && ln_dtype_bytes(d->dtype, n, bytes);
}

size_t ln_count(const ln_desc *d)
{
    return ln_count_range(d, 0, d->rank);
}

size_t ln_count_range(const ln_desc *d, int32_t from, int32_t to)
{
    size_t n = 1;

    for (int32_t i = from; i < to; i++)
        n *= (size_t)d->dim[i];
    return n;
}

bool ln_same_shape(const ln_desc *a, const ln_desc *b)
{
    if (a->rank != b->rank)
        return false;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

ln_desc ln_desc_of(int32_t dtype, int32_t rank, const int64_t *dim)
{
    ln_desc d = { .dtype = dtype, .rank = rank };

    for (int32_t i = 0; i < rank; i++)
        d.dim[i] = dim[i];
    return d;
}

const char *ln_desc_text(const ln_desc *d, char text[LN_DESC_TEXT])
{
    const char *name = ln_dtype(d->dtype)->name;
    size_t at = ln_print(text, LN_DESC_TEXT, "%s[", name ? name : "?");

    if (d->rank < 0)
        at += ln_print(text + at, LN_DESC_TEXT - at, "...");
    for (int32_t i = 0; i < d->rank; i++)
        at += d->dim[i] < 0 ? ln_print(text + at, LN_DESC_TEXT - at, i ? ",?" : "?")
                            : ln_print(text + at, LN_DESC_TEXT - at, i ? ",%lld" : "%lld",
                                       (long long)d->dim[i]);
    ln_print(text + at, LN_DESC_TEXT - at, "]");
    return text;
}

bool ln_broadcast(const ln_desc *a, const ln_desc *b, ln_desc *out)
{
    const int32_t rank = LN_MAX(a->rank, b->rank);
    int64_t dim[LN_MAX_RANK];

    for (int32_t i = 0; i < rank; i++) {
        const int32_t ia = i - (rank - a->rank), ib = i - (rank - b->rank);
        const int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1)
            return false;
        dim[i] = da == 1 ? db : da;
    }
    out->rank = rank;
    for (int32_t i = 0; i < rank; i++)
        out->dim[i] = dim[i];
    return true;
}

void ln_strides(const ln_desc *d, int64_t *stride)
{
    int64_t n = 1;

    for (int32_t i = d->rank - 1; i >= 0; i--) {
        stride[i] = n;
        n *= d->dim[i];
    }
}

void ln_broadcast_strides(const ln_desc *d, const ln_desc *to, int64_t *stride)
{
    int64_t own[LN_MAX_RANK];

    ln_strides(d, own);
    for (int32_t i = 0; i < to->rank; i++) {
        const int32_t k = i - (to->rank - d->rank);
        stride[i] = k < 0 || (d->dim[k] == 1 && to->dim[i] != 1) ? 0 : own[k];
    }
}

#undef SHAPE_BULK
