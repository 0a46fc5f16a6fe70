/*
 * matmul.c - MatMul as NumPy's matmul, and FusedMatMul, which adds transposes and a factor.
 *
 * Both only say how the two operands lie in memory; matmul_product.c multiplies.
 */
#include "dense.h"

typedef struct param {
    int64_t trans_a, trans_b, trans_batch_a, trans_batch_b, act;
    float   alpha, act_a, act_b;
} param;

typedef struct state {
    ln_product product;
} state;

/* One operand: its matrices, and how to walk them. */
typedef struct matmul_side {
    int64_t rows, cols;     /* as multiplied */
    size_t  rs, cs, unit;   /* strides of rows, columns, matrices */
    int32_t axes;
    int64_t dim[LN_MAX_RANK];
} matmul_side;

/*
 * A vector is a row on the left and a column on the right. `batch` says that axis 0 stands
 * behind the batch axes: FusedMatMul's transBatch.
 */
static void matmul_side_of(const ln_desc *d, bool left, bool trans, bool batch, matmul_side *s)
{
    const int32_t r = d->rank;

    s->axes = r > 2 ? r - 2 : 0;
    if (r == 1) {
        s->rows = left ? 1 : d->dim[0];
        s->cols = left ? d->dim[0] : 1;
        s->rs = left ? (size_t)d->dim[0] : 1;
        s->cs = 1;
        s->unit = 0;
        return;
    }
    batch = batch && r > 2;
    s->rows = batch ? d->dim[0] : d->dim[r - 2];
    s->cols = d->dim[r - 1];
    s->cs = 1;
    for (int32_t i = 0; i < s->axes; i++)
        s->dim[i] = d->dim[batch ? i + 1 : i];
    s->unit = batch ? (size_t)s->cols : ln_count_range(d, r - 2, r);
    s->rs = batch ? ln_count_range(d, 1, r) : (size_t)s->cols;
    if (trans) {
        const int64_t rows = s->rows;
        s->rows = s->cols;
        s->cols = rows;
        s->cs = s->rs;
        s->rs = 1;
    }
}

static linnet_status matmul_extras(const ln_infer *q, const matmul_side *b)
{
    const ln_desc *bias = &q->in[LN_BIAS];

    if (q->in_count > LN_BIAS && bias->dtype
        && (bias->dtype != q->in[0].dtype || bias->rank != 1 || bias->dim[0] != b->cols
            || q->in[1].rank < 2))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "MatMul: the bias does not fit %lld columns",
                       (long long)b->cols);
    if (q->in_count > LN_RESIDUAL && q->in[LN_RESIDUAL].dtype
        && (q->in[LN_RESIDUAL].dtype != q->in[0].dtype
            || !ln_same_shape(&q->in[LN_RESIDUAL], &q->out[0])))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "MatMul: the residual has not the output's shape");
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *da = &q->in[0], *db = &q->in[1];
    char ta[LN_DESC_TEXT], tb[LN_DESC_TEXT];
    matmul_side a, b;
    ln_desc batch_a, batch_b, *out = &q->out[0];

    if (!da->dtype || !db->dtype)
        return ln_fail(q->err, LINNET_ERR_ARGUMENT, "MatMul: needs two inputs");
    if (!ln_product_type(da->dtype))
        return ln_fail_type(q->err, 0, da->dtype);
    if (p->act != LN_FN_NONE && (p->act < 0 || p->act >= LN_FN_COUNT || da->dtype != LINNET_F32))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "MatMul: activation %lld of %s",
                       (long long)p->act, ln_dtype(da->dtype)->name);
    if (da->dtype != db->dtype || da->rank < 1 || db->rank < 1)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "MatMul: cannot multiply %s by %s",
                       ln_desc_text(da, ta), ln_desc_text(db, tb));
    matmul_side_of(da, true, p->trans_a != 0, p->trans_batch_a != 0, &a);
    matmul_side_of(db, false, p->trans_b != 0, p->trans_batch_b != 0, &b);
    batch_a = ln_desc_of(da->dtype, a.axes, a.dim);
    batch_b = ln_desc_of(da->dtype, b.axes, b.dim);
    if (a.cols != b.rows || !ln_broadcast(&batch_a, &batch_b, out))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "MatMul: cannot multiply %s by %s",
                       ln_desc_text(da, ta), ln_desc_text(db, tb));
    out->dtype = da->dtype;
    if (da->rank > 1)
        out->dim[out->rank++] = a.rows;
    if (db->rank > 1)
        out->dim[out->rank++] = b.cols;
    return matmul_extras(q, &b);
}

/* Strides of a side's matrices along the axes of the common batch; 0 where it repeats. */
static void matmul_batch_strides(const matmul_side *s, const ln_product *p, size_t *stride)
{
    size_t step = 1;

    for (int32_t i = p->axes - 1; i >= 0; i--) {
        const int32_t own = i - (p->axes - s->axes);
        const size_t dim = own < 0 ? 1 : (size_t)s->dim[own];

        stride[i] = dim == 1 ? 0 : step;
        step *= dim;
    }
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    state *s = q->state;
    ln_product *x = &s->product;
    matmul_side a, b;

    matmul_side_of(&q->in[0], true, p->trans_a != 0, p->trans_batch_a != 0, &a);
    matmul_side_of(&q->in[1], false, p->trans_b != 0, p->trans_batch_b != 0, &b);
    x->dtype = q->in[0].dtype;
    x->m = (size_t)a.rows;
    x->k = (size_t)a.cols;
    x->n = (size_t)b.cols;
    x->a_rs = a.rs;
    x->a_cs = a.cs;
    x->a_unit = a.unit;
    x->b_rs = b.rs;
    x->b_cs = b.cs;
    x->b_unit = b.unit;
    x->axes = LN_MAX(a.axes, b.axes);
    x->batch = 1;
    for (int32_t i = 0; i < x->axes; i++) {
        x->dim[i] = (size_t)q->out[0].dim[i];
        x->batch *= x->dim[i];
    }
    matmul_batch_strides(&a, x, x->a_stride);
    matmul_batch_strides(&b, x, x->b_stride);
    x->bias = q->in_count > LN_BIAS && q->in[LN_BIAS].dtype ? LN_BIAS : -1;
    x->residual = q->in_count > LN_RESIDUAL && q->in[LN_RESIDUAL].dtype ? LN_RESIDUAL : -1;
    x->c = -1;
    x->alpha = p->alpha;
    x->beta = 1.0f;
    x->act.fn = (int32_t)p->act;
    x->act.a = p->act_a;
    x->act.b = p->act_b;
    return ln_product_prepare(q, x);
}

static linnet_status run(const ln_run *r)
{
    return ln_product_run(r, &((const state *)r->state)->product);
}

static const ln_attr attr[] = {
    { "ln.act", LN_ATTR_I64, offsetof(param, act), LN_FN_NONE, false },
    { "ln.act_a", LN_ATTR_F32, offsetof(param, act_a), 0, false },
    { "ln.act_b", LN_ATTR_F32, offsetof(param, act_b), 0, false },
    { "alpha", LN_ATTR_F32, offsetof(param, alpha), 1, false },
    { "transA", LN_ATTR_I64, offsetof(param, trans_a), 0, false },
    { "transB", LN_ATTR_I64, offsetof(param, trans_b), 0, false },
    { "transBatchA", LN_ATTR_I64, offsetof(param, trans_batch_a), 0, false },
    { "transBatchB", LN_ATTR_I64, offsetof(param, trans_batch_b), 0, false },
    { 0 },
};

/* MatMul has FusedMatMul's attributes too, out of a file's reach. */
static const ln_attr matmul_attr[] = {
    { "ln.act", LN_ATTR_I64, offsetof(param, act), LN_FN_NONE, false },
    { "ln.act_a", LN_ATTR_F32, offsetof(param, act_a), 0, false },
    { "ln.act_b", LN_ATTR_F32, offsetof(param, act_b), 0, false },
    { "ln.alpha", LN_ATTR_F32, offsetof(param, alpha), 1, false },
    { "ln.transA", LN_ATTR_I64, offsetof(param, trans_a), 0, false },
    { "ln.transB", LN_ATTR_I64, offsetof(param, trans_b), 0, false },
    { 0 },
};

const ln_op ln_op_matmul = {
    .name = "MatMul", .attr = matmul_attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 2,
    .flags = LN_OP_ACT | LN_OP_ADD | LN_OP_BIAS, .inplace = 1u << LN_RESIDUAL,
    .infer = infer, .prepare = prepare, .run = run,
};

const ln_op ln_op_fused_matmul = {
    .name = "com.microsoft.FusedMatMul", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 2,
    .flags = LN_OP_ACT | LN_OP_ADD | LN_OP_BIAS, .inplace = 1u << LN_RESIDUAL,
    .infer = infer, .prepare = prepare, .run = run,
};
