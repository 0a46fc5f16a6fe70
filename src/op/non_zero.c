/*
 * non_zero.c - NonZero and Compress: outputs as long as the data says.
 *
 * Their shapes are known only once the data is: until then infer() waits.
 */
#include "op.h"

/* Element i is not zero: any byte set, but for the sign of a float's zero. */
static bool element_is_set(int32_t dtype, const void *x, size_t i)
{
    const uint8_t kind = ln_dtype(dtype)->kind;

    if (dtype == LINNET_BOOL)
        return ((const uint8_t *)x)[i] != 0;
    if (dtype == LINNET_F32)
        return ((const float *)x)[i] != 0;
    return kind == LN_KIND_FLOAT ? ln_get_f64(dtype, x, i) != 0 : ln_get_i64(dtype, x, i) != 0;
}

static linnet_status non_zero_infer(const ln_infer *q)
{
    const ln_desc *in = &q->in[0];
    const uint8_t kind = ln_dtype(in->dtype)->kind;
    const size_t count = ln_count(in);
    int64_t found = 0;

    if (kind != LN_KIND_FLOAT && kind != LN_KIND_INT && kind != LN_KIND_UINT && kind != LN_KIND_BOOL)
        return ln_fail_type(q->err, 0, in->dtype);
    if (count && !q->value[0])
        return LN_WAIT;
    for (size_t i = 0; i < count; i++)
        found += element_is_set(in->dtype, q->value[0], i);
    q->out[0] = ln_desc_of(LINNET_I64, 2, (int64_t[]){ in->rank, found });
    return LINNET_OK;
}

static linnet_status non_zero_run(const ln_run *r)
{
    const ln_desc *in = &r->in_desc[0];
    const size_t count = ln_count(in), found = (size_t)r->out_desc[0].dim[1];
    const size_t width = in->rank ? (size_t)in->dim[in->rank - 1] : 1;
    int64_t *y = r->out[0], place[LN_MAX_RANK] = { 0 };
    size_t at = 0;

    for (size_t row = 0; y && row < count && at < found; row += width) {
        for (size_t i = 0; i < width && at < found; i++) { /* written in any case: no branch to guess */
            for (int32_t d = 0; d < in->rank - 1; d++)
                y[(size_t)d * found + at] = place[d];
            if (in->rank)
                y[(size_t)(in->rank - 1) * found + at] = (int64_t)i;
            at += element_is_set(in->dtype, r->in[0], row + i);
        }
        for (int32_t d = in->rank - 2; d >= 0 && ++place[d] == in->dim[d]; d--)
            place[d] = 0;
    }
    return LINNET_OK;
}

const ln_op ln_op_non_zero = {
    .name = "NonZero", .in_min = 1, .in_max = 1, .infer = non_zero_infer, .run = non_zero_run,
};

/* ---- Compress ---------------------------------------------------------------------------- */

#define COMPRESS_FLAT ((int64_t)1 << 40) /* the axis where none is given: all as one */
typedef struct compress { int64_t axis; } compress;

static bool compress_axis(const compress *p, int32_t rank, int32_t *axis)
{
    *axis = 0;
    return p->axis == COMPRESS_FLAT || ln_axis(p->axis, rank, axis);
}

static linnet_status compress_infer(const ln_infer *q)
{
    const compress *p = q->param;
    const ln_desc *in = &q->in[0], *mask = &q->in[1];
    const bool flat = p->axis == COMPRESS_FLAT;
    int64_t kept = 0;
    int32_t axis;

    if (mask->dtype != LINNET_BOOL || mask->rank != 1 || !compress_axis(p, in->rank, &axis))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Compress: the condition is not a list of bools, or no such axis");
    if (ln_dtype(in->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, in->dtype);
    if (mask->dim[0] && !q->value[1])
        return LN_WAIT;
    const int64_t length = flat ? (int64_t)ln_count(in) : in->dim[axis];
    for (int64_t i = 0; i < LN_MIN(mask->dim[0], length); i++)
        kept += ((const uint8_t *)q->value[1])[i] != 0;
    q->out[0] = flat ? ln_desc_of(in->dtype, 1, &kept) : *in;
    if (!flat)
        q->out[0].dim[axis] = kept;
    return LINNET_OK;
}

static linnet_status compress_run(const ln_run *r)
{
    const compress *p = r->param;
    const ln_desc *in = &r->in_desc[0];
    const bool flat = p->axis == COMPRESS_FLAT;
    const size_t size = ln_dtype(in->dtype)->bits / 8u;
    const uint8_t *mask = r->in[1];
    char *y = r->out[0];
    int32_t axis;

    if (!compress_axis(p, in->rank, &axis) || !y)
        return LINNET_OK;
    const size_t length = flat ? ln_count(in) : (size_t)in->dim[axis];
    const size_t outer = flat ? 1 : ln_count_range(in, 0, axis);
    const size_t width = flat ? size : ln_count_range(in, axis + 1, in->rank) * size;
    const size_t tested = LN_MIN(length, (size_t)r->in_desc[1].dim[0]);
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < tested; i++)
            if (mask[i]) {
                memcpy(y, (const char *)r->in[0] + (o * length + i) * width, width);
                y += width;
            }
    return LINNET_OK;
}

static const ln_attr compress_attr[] = {
    { "axis", LN_ATTR_I64, offsetof(compress, axis), (double)COMPRESS_FLAT, false },
    { 0 },
};

const ln_op ln_op_compress = {
    .name = "Compress", .attr = compress_attr, .param_size = sizeof(compress),
    .in_min = 2, .in_max = 2, .infer = compress_infer, .run = compress_run,
};

#undef COMPRESS_FLAT
