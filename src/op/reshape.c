/*
 * reshape.c - Reshape: the same elements in another shape.
 */
#include "op.h"

typedef struct param { int64_t allowzero; } param;

/* Fill dims from the wanted numbers: 0 copies (or is zero), one -1 takes what is left. */
static linnet_status reshape_dims(const ln_infer *q, const void *want, int32_t rank, ln_desc *out)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0];
    int64_t known = 1, total = 1;
    int32_t open = -1;

    for (int32_t i = 0; i < in->rank; i++)
        if (!ln_mul64(total, in->dim[i], &total))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Reshape: the input is too large");
    for (int32_t i = 0; i < rank; i++) {
        int64_t d = ln_get_i64(q->in[1].dtype, want, (size_t)i);
        if (d == 0 && !p->allowzero) {
            if (i >= in->rank)
                return ln_fail(q->err, LINNET_ERR_SHAPE, "Reshape: dimension %d is copied from an input of rank %d",
                               (int)i, (int)in->rank);
            d = in->dim[i];
        }
        if (d < -1 || (d == -1 && open >= 0) || (d != -1 && !ln_mul64(known, d, &known)))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Reshape: the wanted shape is impossible");
        if (d == -1)
            open = i;
        out->dim[i] = d;
    }
    if (open >= 0) {
        if (known == 0 || total % known != 0)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Reshape: %lld elements cannot fill the wanted shape",
                           (long long)total);
        out->dim[open] = total / known;
    } else if (known != total) {
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Reshape: %lld elements where the wanted shape has %lld",
                       (long long)total, (long long)known);
    }
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const ln_desc *shape = &q->in[1];

    if (shape->rank != 1 || shape->dtype != LINNET_I64)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Reshape: the shape is not a list of i64");
    if (shape->dim[0] > LN_MAX_RANK)
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Reshape: rank %lld", (long long)shape->dim[0]);
    if (!q->value[1] && shape->dim[0] > 0)
        return LN_WAIT;
    q->out[0].dtype = q->in[0].dtype;
    q->out[0].rank = (int32_t)shape->dim[0];
    return reshape_dims(q, q->value[1], q->out[0].rank, &q->out[0]);
}

static const ln_attr attr[] = {
    { "allowzero", LN_ATTR_I64, offsetof(param, allowzero), 0, false },
    { 0 },
};

const ln_op ln_op_reshape = {
    .name = "Reshape", .attr = attr, .param_size = sizeof(param),
    .in_min = 2, .in_max = 2, .flags = LN_OP_VIEW, .infer = infer,
};
