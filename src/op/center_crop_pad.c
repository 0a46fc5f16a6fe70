/*
 * center_crop_pad.c - CenterCropPad: each named axis cut or padded with zeros to a wanted length,
 * about its middle.
 */
#include "op.h"

typedef struct param { ln_ints axes; } param;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0], *shape = &q->in[1];
    const int64_t count = p->axes.v ? (int64_t)p->axes.count : in->rank;
    bool seen[LN_MAX_RANK] = { false };

    if (shape->rank != 1 || (shape->dtype != LINNET_I64 && shape->dtype != LINNET_I32) || shape->dim[0] != count ||
        count > in->rank)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "CenterCropPad: one length for each axis is wanted");
    if (ln_dtype(in->dtype)->bits % 8 || ln_dtype(in->dtype)->kind == LN_KIND_STRING)
        return ln_fail_type(q->err, 0, in->dtype);
    if (count && !q->value[1])
        return LN_WAIT;
    q->out[0] = *in;
    for (int64_t i = 0; i < count; i++) {
        const int64_t length = ln_get_i64(shape->dtype, q->value[1], (size_t)i);
        int32_t d;
        if (!ln_axis(p->axes.v ? p->axes.v[i] : i, in->rank, &d) || seen[d] || length < 0)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "CenterCropPad: an axis is outside rank %d, twice, or %lld long",
                           (int)in->rank, (long long)length);
        seen[d] = true;
        q->out[0].dim[d] = length;
    }
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const ln_desc *in = &r->in_desc[0], *out = &r->out_desc[0];
    const size_t size = ln_dtype(in->dtype)->bits / 8u, count = ln_count(out);
    int64_t stride[LN_MAX_RANK], shift[LN_MAX_RANK]; /* input index = output index + shift */

    ln_strides(in, stride);
    for (int32_t d = 0; d < in->rank; d++) {
        const int64_t more = in->dim[d] - out->dim[d];
        shift[d] = more >= 0 ? more / 2 : -((-more) / 2);
    }
    for (size_t i = 0; i < count; i++) {
        bool inside = true;
        int64_t from = 0;
        size_t rest = i;
        for (int32_t d = in->rank - 1; d >= 0; d--) {
            const int64_t at = (int64_t)(rest % (size_t)out->dim[d]) + shift[d];
            rest /= (size_t)out->dim[d];
            inside = inside && at >= 0 && at < in->dim[d];
            from += at * stride[d];
        }
        if (inside)
            memcpy((char *)r->out[0] + i * size, (const char *)r->in[0] + (size_t)from * size, size);
        else
            memset((char *)r->out[0] + i * size, 0, size);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "axes", LN_ATTR_INTS, offsetof(param, axes), 0, false },
    { 0 },
};

const ln_op ln_op_center_crop_pad = {
    .name = "CenterCropPad", .attr = attr, .param_size = sizeof(param), .in_min = 2, .in_max = 2,
    .infer = infer, .run = run,
};
