/*
 * matmul.c - MatMul as NumPy's matmul, and FusedMatMul, which adds transposes and a factor.
 *
 * matmul_shape.c says how the operands lie in memory, matmul_product.c multiplies.
 */
#include "dense.h"

typedef struct param {
    int64_t trans_a, trans_b, trans_batch_a, trans_batch_b, act, turn;
    float   alpha, act_a, act_b;
} param;

typedef struct state {
    ln_product product;
} state;

static ln_matmul_form matmul_form_of(const param *p)
{
    const ln_matmul_form form = { p->trans_a != 0, p->trans_b != 0, p->trans_batch_a != 0,
                                  p->trans_batch_b != 0 };

    return form;
}

static linnet_status matmul_extras(const ln_infer *q, int64_t cols)
{
    const ln_desc *bias = &q->in[LN_BIAS];

    if (q->in_count > LN_BIAS && bias->dtype
        && (bias->dtype != q->in[0].dtype || bias->rank != 1 || bias->dim[0] != cols
            || q->in[1].rank < 2))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "MatMul: the bias does not fit %lld columns",
                       (long long)cols);
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
    const ln_matmul_form form = matmul_form_of(p);
    char ta[LN_DESC_TEXT], tb[LN_DESC_TEXT];

    if (!da->dtype || !db->dtype)
        return ln_fail(q->err, LINNET_ERR_ARGUMENT, "MatMul: needs two inputs");
    if (!ln_product_type(da->dtype))
        return ln_fail_type(q->err, 0, da->dtype);
    if (p->act != LN_FN_NONE && (p->act < 0 || p->act >= LN_FN_COUNT || da->dtype != LINNET_F32))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "MatMul: activation %lld of %s",
                       (long long)p->act, ln_dtype(da->dtype)->name);
    if (da->dtype != db->dtype || !ln_matmul_shape(da, db, &form, &q->out[0]))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "MatMul: cannot multiply %s by %s",
                       ln_desc_text(da, ta), ln_desc_text(db, tb));
    q->out[0].dtype = da->dtype;
    return matmul_extras(q, q->out[0].rank ? q->out[0].dim[q->out[0].rank - 1] : 1);
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    state *s = q->state;
    ln_product *x = &s->product;
    const ln_matmul_form form = matmul_form_of(p);

    ln_matmul_layout(&q->in[0], &q->in[1], &form, &q->out[0], x);
    x->bias = q->in_count > LN_BIAS && q->in[LN_BIAS].dtype ? LN_BIAS : -1;
    x->residual = q->in_count > LN_RESIDUAL && q->in[LN_RESIDUAL].dtype ? LN_RESIDUAL : -1;
    x->c = -1;
    x->alpha = p->alpha;
    x->beta = 1.0f;
    x->act.fn = (int32_t)p->act;
    x->act.a = p->act_a;
    x->act.b = p->act_b;
    x->turn = (size_t)p->turn;
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
    { "ln.turn", LN_ATTR_I64, offsetof(param, turn), 0, false },
    { "ln.alpha", LN_ATTR_F32, offsetof(param, alpha), 1, false },
    { "ln.transA", LN_ATTR_I64, offsetof(param, trans_a), 0, false },
    { "ln.transB", LN_ATTR_I64, offsetof(param, trans_b), 0, false },
    { 0 },
};

const ln_op ln_op_matmul = {
    .name = "MatMul", .attr = matmul_attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 2,
    .flags = LN_OP_ACT | LN_OP_ADD | LN_OP_BIAS, .loose = 1u << 1, .inplace = 1u << LN_RESIDUAL,
    .infer = infer, .prepare = prepare, .run = run,
};

const ln_op ln_op_fused_matmul = {
    .name = "com.microsoft.FusedMatMul", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 2,
    .flags = LN_OP_ACT | LN_OP_ADD | LN_OP_BIAS, .loose = 1u << 1, .inplace = 1u << LN_RESIDUAL,
    .infer = infer, .prepare = prepare, .run = run,
};
