/*
 * ms_attention.c - com.microsoft.Attention: one product for Q, K and V, then attention over past and
 * present keys.
 */
#include "attention.h"
#include "dense.h"

#include <math.h>

typedef struct param {
    int64_t num_heads, unidirectional, do_rotary, share_buffer, rotary_dim;
    float   scale, mask_filter_value;
} param;

typedef struct state {
    ln_dense     dense;
    ln_attention attention;
    const float *packed;             /* constant weights */
    size_t       packed_at, mask_at; /* in the workspace, in bytes */
    bool         has_bias, has_mask, has_past;
    int32_t      outs, first;        /* first: phase of attention */
} state;

enum { GPT_X, GPT_W, GPT_BIAS, GPT_MASK, GPT_PAST };

static bool gpt_has(int32_t in_count, const ln_desc *in, int32_t i) { return i < in_count && in[i].dtype; }

/* Sizes out of shapes; false: they do not fit together. */
static bool gpt_sizes(const param *p, int32_t in_count, const ln_desc *in, size_t *hidden, ln_attention *a)
{
    const ln_desc *x = &in[GPT_X], *w = &in[GPT_W];

    if (x->dtype != LINNET_F32 || w->dtype != LINNET_F32 || x->rank != 3 || w->rank != 2 || w->dim[0] != x->dim[2] ||
        w->dim[1] % 3 || p->num_heads < 1 || w->dim[1] / 3 % p->num_heads || w->dim[1] == 0)
        return false;
    *hidden = (size_t)w->dim[1] / 3;
    if (gpt_has(in_count, in, GPT_BIAS) && (in[GPT_BIAS].dtype != LINNET_F32 || ln_count(&in[GPT_BIAS]) != *hidden * 3))
        return false;
    memset(a, 0, sizeof *a);
    a->batch = (size_t)x->dim[0];
    a->q_heads = a->kv_heads = (size_t)p->num_heads;
    a->q_len = a->kv_len = (size_t)x->dim[1];
    a->head = a->v_head = *hidden / a->q_heads;
    if (gpt_has(in_count, in, GPT_PAST)) {
        const ln_desc *past = &in[GPT_PAST];
        if (past->dtype != LINNET_F32 || past->rank != 5 || past->dim[0] != 2 || (size_t)past->dim[1] != a->batch ||
            (size_t)past->dim[2] != a->kv_heads || (size_t)past->dim[4] != a->head)
            return false;
        a->past = (size_t)past->dim[3];
    }
    a->total = a->past + a->kv_len;
    if (gpt_has(in_count, in, GPT_MASK)) { /* 1: seen, 0: not; one number for each key of a batch entry */
        const ln_desc *m = &in[GPT_MASK];
        if (m->dtype != LINNET_I32 || m->rank != 2 || (size_t)m->dim[0] != a->batch || (size_t)m->dim[1] != a->total)
            return false;
        a->mask_dtype = LINNET_BOOL;
        a->mask_batch = a->mask_len = a->total;
    }
    a->dtype = LINNET_F32;
    a->scale = p->scale != 0 ? (double)p->scale : 1 / sqrt((double)a->head);
    a->causal = p->unidirectional != 0;
    a->left = a->right = -1;
    a->qk_mode = LN_QK_RAW;
    a->q = a->k = a->v = (ln_attention_strides){ a->q_len * *hidden * 3, a->head, *hidden * 3 };
    a->y = (ln_attention_strides){ a->q_len * *hidden, a->head, *hidden };
    return true;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    ln_attention a;
    size_t hidden;

    if (p->do_rotary || p->share_buffer || q->in_count > 5)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Attention: rotary, shared buffers and biases are not supported");
    if (!gpt_sizes(p, q->in_count, q->in, &hidden, &a))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Attention: these inputs are not supported or do not fit together");
    q->out[0] = ln_desc_of(LINNET_F32, 3, (int64_t[]){ q->in[0].dim[0], q->in[0].dim[1], (int64_t)hidden });
    if (q->out_count > 1)
        q->out[1] = ln_desc_of(LINNET_F32, 5, (int64_t[]){ 2, q->in[0].dim[0], p->num_heads, (int64_t)a.total,
                                                           (int64_t)a.head });
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;
    size_t hidden, bytes;

    if (!gpt_sizes(q->param, q->in_count, q->in, &hidden, &s->attention))
        return LINNET_ERR_SHAPE;
    const ln_attention *a = &s->attention;
    const ln_dense_b b = { 1, 0, hidden * 3, 1, 1.0f, 0 };
    s->has_bias = gpt_has(q->in_count, q->in, GPT_BIAS);
    s->has_mask = gpt_has(q->in_count, q->in, GPT_MASK);
    s->has_past = gpt_has(q->in_count, q->in, GPT_PAST);
    s->outs = q->out_count;
    if (ln_count(&q->out[0]) == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    if (!ln_dense_init(&s->dense, q->kernel, a->batch * a->q_len, hidden * 3, (size_t)q->in[GPT_X].dim[2]) ||
        !ln_mul(s->dense.m, s->dense.n, &bytes) || !ln_mul(bytes, sizeof(float), &bytes) ||
        !ln_align_up(bytes, LN_ALIGN, &s->packed_at))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Attention: too large");
    const bool constant = q->value[GPT_W] != NULL;
    const size_t packed = constant ? 0 : s->dense.packed * sizeof(float);
    if (!ln_add(s->packed_at, packed, &s->mask_at) || !ln_align_up(s->mask_at, LN_ALIGN, &s->mask_at) ||
        !ln_add(s->mask_at, s->has_mask ? a->batch * a->total : 0, &q->workspace) ||
        !ln_align_up(q->workspace, LN_ALIGN, &q->workspace))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Attention: too large");
    if (constant) {
        const linnet_status st = ln_dense_derive(q, GPT_W, &s->dense, &b, &s->packed);
        if (st)
            return st;
    }
    q->tasks[0] = (constant ? 0 : s->dense.pack_tasks) + s->has_mask; /* packing, and the mask as bools */
    q->tasks[1] = s->dense.tasks;
    q->phases = 3;
    s->first = 2;
    q->work = (double)s->dense.m * (double)s->dense.n * (double)s->dense.k;
    q->flop = 2 * q->work;
    return ln_attention_prepare(q, &s->attention);
}

static void gpt_first(const ln_run *r, const state *s)
{
    const ln_dense_b b = { 1, 0, s->dense.n, 1, 1.0f, 0 };
    const size_t packing = s->packed ? 0 : s->dense.pack_tasks;

    if (r->task < packing) {
        ln_dense_pack(&s->dense, r->kernel, r->in[GPT_W], &b, (float *)(void *)((char *)r->workspace + s->packed_at), r->task);
        return;
    }
    uint8_t *mask = (uint8_t *)r->workspace + s->mask_at;
    for (size_t i = 0; i < s->attention.batch * s->attention.total; i++)
        mask[i] = ((const int32_t *)r->in[GPT_MASK])[i] != 0;
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const ln_attention *a = &s->attention;
    float *qkv = r->workspace;
    const size_t hidden = s->dense.n / 3;
    const size_t past = a->batch * a->kv_heads * a->past * a->head, present = a->batch * a->kv_heads * a->total * a->head;

    if (r->phase == 0) {
        gpt_first(r, s);
        return LINNET_OK;
    }
    if (r->phase == 1) {
        const ln_gemm_f32 g = { s->dense.n, s->dense.k, 1,
                                s->packed ? s->packed : (const float *)(const void *)((char *)r->workspace + s->packed_at),
                                s->has_bias ? r->in[GPT_BIAS] : NULL, { LN_FN_NONE, 0, 0 } };
        ln_dense_run(&s->dense, r->kernel, &g, r->in[GPT_X], s->dense.k, qkv, s->dense.n, NULL, 0, r->task);
        return LINNET_OK;
    }
    const float *before = s->has_past ? r->in[GPT_PAST] : NULL;
    float *after = s->outs > 1 ? r->out[1] : NULL;
    const ln_attention_data d = {
        .q = qkv, .k = qkv + hidden, .v = qkv + 2 * hidden,
        .mask = s->has_mask ? (const uint8_t *)r->workspace + s->mask_at : NULL,
        .past_k = before, .past_v = before ? before + past : NULL,
        .y = r->out[0], .present_k = after, .present_v = after ? after + present : NULL,
    };
    return ln_attention_run(r, a, &d);
}

static const ln_attr attr[] = {
    { "do_rotary", LN_ATTR_I64, offsetof(param, do_rotary), 0, false },
    { "mask_filter_value", LN_ATTR_F32, offsetof(param, mask_filter_value), -10000, false },
    { "num_heads", LN_ATTR_I64, offsetof(param, num_heads), 0, true },
    { "past_present_share_buffer", LN_ATTR_I64, offsetof(param, share_buffer), 0, false },
    { "rotary_embedding_dim", LN_ATTR_I64, offsetof(param, rotary_dim), 0, false },
    { "scale", LN_ATTR_F32, offsetof(param, scale), 0, false },
    { "unidirectional", LN_ATTR_I64, offsetof(param, unidirectional), 0, false },
    { 0 },
};

const ln_op ln_op_ms_attention = {
    .name = "com.microsoft.Attention", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 7, .out_min = 1, .out_max = 2, .infer = infer, .prepare = prepare, .run = run,
};
