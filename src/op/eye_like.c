/*
 * eye_like.c - EyeLike: ones on a diagonal, in the shape of the input.
 */
#include "op.h"

typedef struct param { int64_t dtype, k; } param;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const int32_t dtype = p->dtype == 0 ? q->in[0].dtype : p->dtype > 0 && p->dtype < 64 ? (int32_t)p->dtype : 0;

    if (q->in[0].rank != 2)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "EyeLike: rank %d", (int)q->in[0].rank);
    q->out[0] = q->in[0];
    q->out[0].dtype = dtype;
    const ln_dtype_info *t = ln_dtype(dtype);
    if (!t->name || t->bits % 8 || t->kind == LN_KIND_STRING || t->kind == LN_KIND_COMPLEX)
        return ln_fail_type(q->err, 0, dtype);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const ln_desc *out = &r->out_desc[0];
    const int64_t rows = out->dim[0], cols = out->dim[1];

    memset(r->out[0], 0, ln_count(out) * (ln_dtype(out->dtype)->bits / 8u));
    if (p->k <= -rows || p->k >= cols)
        return LINNET_OK;
    for (int64_t i = LN_MAX(0, -p->k); i < rows && i + p->k < cols; i++)
        ln_set_f64(out->dtype, r->out[0], (size_t)(i * cols + i + p->k), 1.0);
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "dtype", LN_ATTR_I64, offsetof(param, dtype), 0, false },
    { "k", LN_ATTR_I64, offsetof(param, k), 0, false },
    { 0 },
};

const ln_op ln_op_eye_like = {
    .name = "EyeLike", .attr = attr, .param_size = sizeof(param), .in_min = 1, .in_max = 1,
    .flags = LN_OP_SHAPE_ONLY, .infer = infer, .run = run,
};
