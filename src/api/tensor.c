/*
 * tensor.c - the public face of tensors: argument checks around the tensor module.
 */
#include "../tensor/tensor.h"

const char *linnet_dtype_name(int32_t dtype) { return ln_dtype(dtype)->name; }
int32_t linnet_dtype_bits(int32_t dtype) { return ln_dtype(dtype)->bits; }

/* The description and its bytes, or the error. */
static linnet_status tensor_describe(int32_t dtype, int32_t rank, const int64_t *dims, ln_desc *d,
                                     size_t *bytes, linnet_error *err)
{
    if (!ln_dtype(dtype)->name)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "tensor: %d is no element type", (int)dtype);
    if (rank < 0 || rank > LN_MAX_RANK || (rank > 0 && !dims))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "tensor: a rank of %d, or no dims", (int)rank);
    *d = ln_desc_of(dtype, rank, dims);
    if (!ln_desc_bytes(d, bytes)) {
        char text[LN_DESC_TEXT];
        return ln_fail(err, LINNET_ERR_ARGUMENT, "tensor: %s is not a shape that fits memory",
                       ln_desc_text(d, text));
    }
    return LINNET_OK;
}

linnet_status linnet_tensor_create(int32_t dtype, int32_t rank, const int64_t *dims,
                                   const linnet_allocator *allocator, linnet_tensor **out,
                                   linnet_error *err)
{
    const linnet_options opt = { .allocator = allocator };
    const linnet_allocator alloc = ln_allocator(&opt);
    ln_desc d;
    size_t bytes;

    if (!out)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "tensor: out is NULL");
    *out = NULL;
    const linnet_status st = tensor_describe(dtype, rank, dims, &d, &bytes, err);
    if (st)
        return st;
    linnet_tensor *t = ln_alloc(&alloc, sizeof *t);
    void *data = t ? ln_alloc(&alloc, bytes) : NULL;
    if (!t || (bytes && !data)) {
        ln_free(&alloc, t, sizeof *t);
        return ln_fail(err, LINNET_ERR_MEMORY, "tensor: no memory for %zu bytes", bytes);
    }
    *t = (linnet_tensor){ d, data, bytes, true, true, alloc, 0 };
    *out = t;
    return LINNET_OK;
}

linnet_status linnet_tensor_view(int32_t dtype, int32_t rank, const int64_t *dims, void *data,
                                 size_t size, linnet_tensor **out, linnet_error *err)
{
    const linnet_allocator alloc = ln_allocator(NULL);
    ln_desc d;
    size_t bytes;

    if (!out)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "tensor: out is NULL");
    *out = NULL;
    const linnet_status st = tensor_describe(dtype, rank, dims, &d, &bytes, err);
    if (st)
        return st;
    if (size != bytes || (bytes && !data))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "tensor: the view has %zu bytes at %s, the shape wants %zu",
                       size, data ? "its address" : "NULL", bytes);
    linnet_tensor *t = ln_alloc(&alloc, sizeof *t);
    if (!t)
        return ln_fail(err, LINNET_ERR_MEMORY, "tensor: no memory");
    *t = (linnet_tensor){ d, data, bytes, false, true, alloc, 0 };
    *out = t;
    return LINNET_OK;
}

void linnet_tensor_free(linnet_tensor *t)
{
    if (!t || !t->heap)
        return;
    const linnet_allocator alloc = t->alloc;
    if (t->owned)
        ln_free(&alloc, t->data, t->size + t->extra);
    ln_free(&alloc, t, sizeof *t);
}

int32_t linnet_tensor_is_view(const linnet_tensor *t) { return t && !t->owned; }
int32_t linnet_tensor_dtype(const linnet_tensor *t) { return t ? t->desc.dtype : LINNET_NO_TYPE; }
int32_t linnet_tensor_rank(const linnet_tensor *t) { return t ? t->desc.rank : 0; }
size_t linnet_tensor_count(const linnet_tensor *t) { return t ? ln_count(&t->desc) : 0; }
size_t linnet_tensor_size(const linnet_tensor *t) { return t ? t->size : 0; }
void *linnet_tensor_data(const linnet_tensor *t) { return t ? t->data : NULL; }

int64_t linnet_tensor_dim(const linnet_tensor *t, int32_t axis)
{
    return t && axis >= 0 && axis < t->desc.rank ? t->desc.dim[axis] : 0;
}

double linnet_tensor_get(const linnet_tensor *t, size_t i)
{
    return t && i < ln_count(&t->desc) ? ln_get_f64(t->desc.dtype, t->data, i) : 0;
}

const char *linnet_tensor_string(const linnet_tensor *t, size_t i)
{
    if (!t || t->desc.dtype != LINNET_STRING || i >= ln_count(&t->desc))
        return NULL;
    const char *s = ((const char *const *)t->data)[i];
    return s ? s : ""; /* a created tensor begins with zeros */
}
