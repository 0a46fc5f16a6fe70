/*
 * attention_flex.c - FlexAttention without its two modifier graphs; the ONNX reader writes one that has
 * them in its parts.
 */
#include "attention.h"

#include <math.h>

typedef struct param {
    int64_t   softmax_type;
    float     scale;
    ln_graph *score_mod, *prob_mod;
} param;

typedef struct state {
    ln_attention attention;
} state;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *a = &q->in[0], *k = &q->in[1], *v = &q->in[2];

    if (p->score_mod || p->prob_mod)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "FlexAttention: score_mod and prob_mod");
    if (a->dtype != LINNET_F32 && a->dtype != LINNET_F64 && a->dtype != LINNET_F16 && a->dtype != LINNET_BF16)
        return ln_fail_type(q->err, 0, a->dtype);
    if (a->rank != 4 || k->rank != 4 || v->rank != 4 || k->dtype != a->dtype || v->dtype != a->dtype
        || k->dim[0] != a->dim[0] || v->dim[0] != a->dim[0] || k->dim[1] < 1 || v->dim[1] != k->dim[1]
        || a->dim[1] % k->dim[1] != 0 || v->dim[2] != k->dim[2] || k->dim[3] != a->dim[3])
        return ln_fail(q->err, LINNET_ERR_SHAPE, "FlexAttention: Q, K and V do not fit together");
    q->out[0] = *a;
    q->out[0].dim[3] = v->dim[3];
    return LINNET_OK;
}

static ln_attention_strides flex_strides(const ln_desc *d)
{
    const ln_attention_strides s = { ln_count_range(d, 1, 4), ln_count_range(d, 2, 4), (size_t)d->dim[3] };

    return s;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    state *s = q->state;
    ln_attention *a = &s->attention;

    a->dtype = q->in[0].dtype;
    a->batch = (size_t)q->in[0].dim[0];
    a->q_heads = (size_t)q->in[0].dim[1];
    a->kv_heads = (size_t)q->in[1].dim[1];
    a->q_len = (size_t)q->in[0].dim[2];
    a->kv_len = a->total = (size_t)q->in[1].dim[2];
    a->head = (size_t)q->in[0].dim[3];
    a->v_head = (size_t)q->in[2].dim[3];
    a->q = flex_strides(&q->in[0]);
    a->k = flex_strides(&q->in[1]);
    a->v = flex_strides(&q->in[2]);
    a->y = flex_strides(&q->out[0]);
    a->scale = p->scale == p->scale ? (double)p->scale : 1.0 / sqrt((double)LN_MAX(a->head, (size_t)1));
    a->left = a->right = -1;
    q->work = 0.0;
    return ln_attention_prepare(q, a);
}

static linnet_status run(const ln_run *r)
{
    const ln_attention_data d = { .q = r->in[0], .k = r->in[1], .v = r->in[2], .y = r->out[0] };

    return ln_attention_run(r, &((const state *)r->state)->attention, &d);
}

static const ln_attr attr[] = {
    { "prob_mod", LN_ATTR_GRAPH, offsetof(param, prob_mod), 0, false },
    { "scale", LN_ATTR_F32, offsetof(param, scale), (double)NAN, false },
    { "score_mod", LN_ATTR_GRAPH, offsetof(param, score_mod), 0, false },
    { "softmax_precision", LN_ATTR_I64, offsetof(param, softmax_type), 0, false },
    { 0 },
};

const ln_op ln_op_flex_attention = {
    .name = "ai.onnx.preview.FlexAttention", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 3,
    .infer = infer, .prepare = prepare, .run = run,
};
