/*
 * gemm.c - Gemm: alpha * A' B' + beta * C for matrices, and FusedGemm with an activation.
 *
 * C broadcasts to M x N, so it is no more than a pointer with two strides that may be 0.
 */
#include "dense.h"

#include <math.h>

typedef struct param {
    int64_t trans_a, trans_b, act, turn;
    float   alpha, beta, act_a, act_b;
    const char *activation; /* FusedGemm's */
    float   activation_alpha, activation_beta, activation_gamma;
} param;

typedef struct state {
    ln_product product;
} state;

/* M, N, K; false: A and B do not fit. */
static bool gemm_sizes(const param *p, const ln_desc *a, const ln_desc *b, int64_t size[3])
{
    if (a->rank != 2 || b->rank != 2)
        return false;
    size[0] = a->dim[p->trans_a ? 1 : 0];
    size[1] = b->dim[p->trans_b ? 0 : 1];
    size[2] = a->dim[p->trans_a ? 0 : 1];
    return size[2] == b->dim[p->trans_b ? 1 : 0];
}

/* FusedGemm names its activation; false: not one that the kernels have. */
static bool gemm_activation(const param *p, ln_act *out)
{
    static const struct { const char *name; int32_t fn; float a, b; } plain[] = {
        { "", LN_FN_NONE, 0, 0 },          { "Relu", LN_FN_CLIP, 0, (float)INFINITY },
        { "Sigmoid", LN_FN_SIGMOID, 0, 0 }, { "Tanh", LN_FN_TANH, 0, 0 },
        { "Softplus", LN_FN_SOFTPLUS, 0, 0 }, { "Softsign", LN_FN_SOFTSIGN, 0, 0 },
    };
    static const struct { const char *name; int32_t fn; } shaped[] = {
        { "LeakyRelu", LN_FN_LEAKY_RELU }, { "Elu", LN_FN_ELU },
        { "HardSigmoid", LN_FN_HARD_SIGMOID }, { "ThresholdedRelu", LN_FN_THRESHOLDED_RELU },
    };
    const char *name = p->activation ? p->activation : "";

    for (size_t i = 0; i < LN_COUNT(plain); i++)
        if (strcmp(name, plain[i].name) == 0) {
            const ln_act found = { plain[i].fn, plain[i].a, plain[i].b };
            *out = found;
            return true;
        }
    for (size_t i = 0; i < LN_COUNT(shaped); i++)
        if (strcmp(name, shaped[i].name) == 0) {
            const ln_act found = { shaped[i].fn, p->activation_alpha, p->activation_beta };
            *out = found;
            return true;
        }
    return false;
}

static ln_act gemm_act(const param *p)
{
    ln_act act = { (int32_t)p->act, p->act_a, p->act_b };

    if (p->activation && !gemm_activation(p, &act))
        act.fn = LN_FN_NONE;
    return act;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *a = &q->in[0], *b = &q->in[1];
    const ln_desc *c = q->in_count > 2 && q->in[2].dtype ? &q->in[2] : NULL;
    const ln_desc *more = q->in_count > LN_RESIDUAL && q->in[LN_RESIDUAL].dtype ? &q->in[LN_RESIDUAL] : NULL;
    char ta[LN_DESC_TEXT], tb[LN_DESC_TEXT];
    ln_act act = { LN_FN_NONE, 0, 0 };
    int64_t size[3];

    if (!ln_product_type(a->dtype))
        return ln_fail_type(q->err, 0, a->dtype);
    if (a->dtype != b->dtype || !gemm_sizes(p, a, b, size))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Gemm: cannot multiply %s by %s (transA %d, transB %d)",
                       ln_desc_text(a, ta), ln_desc_text(b, tb), p->trans_a != 0, p->trans_b != 0);
    q->out[0] = ln_desc_of(a->dtype, 2, size);
    if (c) {
        ln_desc both;
        if (c->dtype != a->dtype || c->rank > 2 || !ln_broadcast(c, &q->out[0], &both)
            || !ln_same_shape(&both, &q->out[0]))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Gemm: C is %s and must broadcast to [%lld,%lld]",
                           ln_desc_text(c, ta), (long long)size[0], (long long)size[1]);
    }
    if (more && (more->dtype != a->dtype || !ln_same_shape(more, &q->out[0])))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Gemm: the residual has not the output's shape");
    if (!gemm_activation(p, &act) || p->act < 0 || p->act >= LN_FN_COUNT
        || (gemm_act(p).fn != LN_FN_NONE && a->dtype != LINNET_F32))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Gemm: activation '%s' of %s",
                       p->activation ? p->activation : "fused", ln_dtype(a->dtype)->name);
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    state *s = q->state;
    ln_product *x = &s->product;
    int64_t size[3], stride[LN_MAX_RANK] = { 0 };

    if (!gemm_sizes(p, &q->in[0], &q->in[1], size))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Gemm: A and B do not fit");
    x->dtype = q->in[0].dtype;
    x->m = (size_t)size[0];
    x->n = (size_t)size[1];
    x->k = (size_t)size[2];
    x->batch = 1;
    x->a_rs = p->trans_a ? 1 : x->k;
    x->a_cs = p->trans_a ? x->m : 1;
    x->b_rs = p->trans_b ? 1 : x->n;
    x->b_cs = p->trans_b ? x->k : 1;
    x->bias = x->c = -1;
    x->residual = q->in_count > LN_RESIDUAL && q->in[LN_RESIDUAL].dtype ? LN_RESIDUAL : -1;
    if (q->in_count > 2 && q->in[2].dtype && p->beta != 0.0f) {
        x->c = 2;
        ln_broadcast_strides(&q->in[2], &q->out[0], stride);
        x->c_rs = (size_t)stride[0];
        x->c_cs = (size_t)stride[1];
    }
    x->alpha = p->alpha;
    x->beta = x->c < 0 ? 1.0f : p->beta;
    x->act = gemm_act(p);
    x->turn = (size_t)p->turn;
    return ln_product_prepare(q, x);
}

static linnet_status run(const ln_run *r)
{
    return ln_product_run(r, &((const state *)r->state)->product);
}

static const ln_attr attr[] = {
    { "alpha", LN_ATTR_F32, offsetof(param, alpha), 1, false },
    { "beta", LN_ATTR_F32, offsetof(param, beta), 1, false },
    { "transA", LN_ATTR_I64, offsetof(param, trans_a), 0, false },
    { "transB", LN_ATTR_I64, offsetof(param, trans_b), 0, false },
    { "ln.act", LN_ATTR_I64, offsetof(param, act), LN_FN_NONE, false },
    { "ln.act_a", LN_ATTR_F32, offsetof(param, act_a), 0, false },
    { "ln.act_b", LN_ATTR_F32, offsetof(param, act_b), 0, false },
    { "ln.turn", LN_ATTR_I64, offsetof(param, turn), 0, false },
    { 0 },
};

static const ln_attr gemm_fused_attr[] = {
    { "alpha", LN_ATTR_F32, offsetof(param, alpha), 1, false },
    { "beta", LN_ATTR_F32, offsetof(param, beta), 1, false },
    { "transA", LN_ATTR_I64, offsetof(param, trans_a), 0, false },
    { "transB", LN_ATTR_I64, offsetof(param, trans_b), 0, false },
    { "activation", LN_ATTR_STR, offsetof(param, activation), 0, false },
    { "activation_alpha", LN_ATTR_F32, offsetof(param, activation_alpha), 0, false },
    { "activation_beta", LN_ATTR_F32, offsetof(param, activation_beta), 0, false },
    { "activation_gamma", LN_ATTR_F32, offsetof(param, activation_gamma), 0, false },
    { 0 },
};

const ln_op ln_op_gemm = {
    .name = "Gemm", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 3,
    .flags = LN_OP_ACT | LN_OP_ADD, .loose = 1u << 1, .inplace = 1u << 2 | 1u << LN_RESIDUAL,
    .infer = infer, .prepare = prepare, .run = run,
};

const ln_op ln_op_fused_gemm = {
    .name = "com.microsoft.FusedGemm", .attr = gemm_fused_attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 3,
    .loose = 1u << 1, .inplace = 1u << 2,
    .infer = infer, .prepare = prepare, .run = run,
};
