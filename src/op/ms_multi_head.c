/*
 * ms_multi_head.c - com.microsoft.MultiHeadAttention: Q, K and V as they are projected, in one tensor each.
 *
 * A bias is added to them first; a mask of keys and a bias of scores become one mask. All three in the
 * workspace, one batch entry a task.
 */
#include "attention.h"

#include <math.h>

typedef struct param {
    int64_t num_heads, unidirectional;
    float   scale, mask_filter_value;
} param;

typedef struct state {
    ln_attention attention;
    size_t q_at, k_at, v_at, mask_at; /* in the workspace, in floats; sums, mask: where there are any */
    bool   has_bias, has_mask, has_scores, has_past;
    size_t mask_heads, mask_rows;     /* of the mask in the workspace */
    int32_t outs;
} state;

enum { HEADS_Q, HEADS_K, HEADS_V, HEADS_BIAS, HEADS_MASK, HEADS_SCORES, HEADS_PAST_K, HEADS_PAST_V };

static bool heads_has(int32_t in_count, const ln_desc *in, int32_t i) { return i < in_count && in[i].dtype; }

/* K or V: [batch, keys, heads * head] or [batch, heads, keys, head]. */
static bool heads_operand(const ln_attention *a, const ln_desc *d, size_t *keys, size_t *head, ln_attention_strides *s)
{
    if (d->dtype != LINNET_F32 || (d->rank != 3 && d->rank != 4) || (size_t)d->dim[0] != a->batch ||
        (d->rank == 3 ? (size_t)d->dim[2] % a->kv_heads != 0 : (size_t)d->dim[1] != a->kv_heads))
        return false;
    *keys = (size_t)d->dim[d->rank - 2];
    *head = (size_t)(d->rank == 3 ? d->dim[2] / (int64_t)a->kv_heads : d->dim[3]);
    *s = d->rank == 3 ? (ln_attention_strides){ *keys * (size_t)d->dim[2], *head, (size_t)d->dim[2] }
                      : (ln_attention_strides){ a->kv_heads * *keys * *head, *keys * *head, *head };
    return true;
}

/* The masks; the combined one is [batch, heads or 1, queries or 1, keys]. */
static bool heads_masks(const ln_infer *q, state *s)
{
    ln_attention *a = &s->attention;
    const ln_desc *m = &q->in[HEADS_MASK], *e = &q->in[HEADS_SCORES];

    s->has_mask = heads_has(q->in_count, q->in, HEADS_MASK);
    s->has_scores = heads_has(q->in_count, q->in, HEADS_SCORES);
    s->mask_heads = s->mask_rows = 1;
    if (s->has_mask && (m->dtype != LINNET_I32 || m->rank < 1 || m->rank > 2 || (size_t)m->dim[0] != a->batch ||
                        (m->rank == 2 && (size_t)m->dim[1] != a->total)))
        return false;
    if (s->has_scores) {
        if (e->dtype != LINNET_F32 || e->rank != 4 || (e->dim[0] != 1 && (size_t)e->dim[0] != a->batch) ||
            (e->dim[1] != 1 && (size_t)e->dim[1] != a->q_heads) || (size_t)e->dim[2] != a->q_len ||
            (size_t)e->dim[3] != a->total)
            return false;
        s->mask_heads = (size_t)e->dim[1];
        s->mask_rows = a->q_len;
    }
    if (s->has_mask || s->has_scores) {
        a->mask_dtype = LINNET_F32;
        a->mask_len = a->total;
        a->mask_row = s->mask_rows > 1 ? a->total : 0;
        a->mask_head = s->mask_heads > 1 ? s->mask_rows * a->total : 0;
        a->mask_batch = s->mask_heads * s->mask_rows * a->total;
    }
    return true;
}

static bool heads_sizes(const ln_infer *q, state *s)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[HEADS_Q], *past = &q->in[HEADS_PAST_K];
    ln_attention *a = &s->attention;
    size_t keys = 0;

    memset(s, 0, sizeof *s);
    if (x->dtype != LINNET_F32 || x->rank != 3 || p->num_heads < 1 || x->dim[2] % p->num_heads || x->dim[2] == 0)
        return false;
    a->batch = (size_t)x->dim[0];
    a->q_heads = a->kv_heads = (size_t)p->num_heads;
    a->q_len = (size_t)x->dim[1];
    if (!heads_operand(a, x, &keys, &a->head, &a->q) || !heads_operand(a, &q->in[HEADS_K], &a->kv_len, &keys, &a->k) ||
        keys != a->head || !heads_operand(a, &q->in[HEADS_V], &keys, &a->v_head, &a->v) || keys != a->kv_len)
        return false;
    s->has_past = heads_has(q->in_count, q->in, HEADS_PAST_K);
    if (s->has_past) {
        const ln_desc *other = &q->in[HEADS_PAST_V];
        if (!heads_has(q->in_count, q->in, HEADS_PAST_V) || past->dtype != LINNET_F32 || past->rank != 4 ||
            other->dtype != LINNET_F32 || other->rank != 4 || (size_t)past->dim[0] != a->batch ||
            other->dim[0] != past->dim[0] ||
            (size_t)past->dim[1] != a->kv_heads || other->dim[1] != past->dim[1] || other->dim[2] != past->dim[2] ||
            (size_t)past->dim[3] != a->head || (size_t)other->dim[3] != a->v_head)
            return false;
        a->past = (size_t)past->dim[2];
    }
    a->total = a->past + a->kv_len;
    s->has_bias = heads_has(q->in_count, q->in, HEADS_BIAS);
    if (s->has_bias && (q->in[HEADS_BIAS].dtype != LINNET_F32 || q->in[HEADS_K].rank != 3 || q->in[HEADS_V].rank != 3 ||
                        ln_count(&q->in[HEADS_BIAS]) != a->q_heads * (2 * a->head + a->v_head)))
        return false;
    a->dtype = LINNET_F32;
    a->scale = p->scale != 0 ? (double)p->scale : 1 / sqrt((double)a->head);
    a->causal = p->unidirectional != 0;
    a->left = a->right = -1;
    a->qk_mode = LN_QK_RAW;
    a->y = (ln_attention_strides){ a->q_len * a->q_heads * a->v_head, a->v_head, a->q_heads * a->v_head };
    return heads_masks(q, s);
}

static linnet_status infer(const ln_infer *q)
{
    state s;

    if (q->in_count < 3 || q->in_count > 8 || !q->in[1].dtype || !q->in[2].dtype || q->out_count > 3)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "MultiHeadAttention: packed or shared operands are not supported");
    if (!heads_sizes(q, &s))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED,
                       "MultiHeadAttention: these inputs are not supported or do not fit together");
    const ln_attention *a = &s.attention;
    q->out[0] = ln_desc_of(LINNET_F32, 3, (int64_t[]){ (int64_t)a->batch, (int64_t)a->q_len,
                                                       (int64_t)(a->q_heads * a->v_head) });
    for (int32_t i = 1; i < q->out_count; i++)
        q->out[i] = ln_desc_of(LINNET_F32, 4, (int64_t[]){ (int64_t)a->batch, (int64_t)a->kv_heads, (int64_t)a->total,
                                                           (int64_t)(i == 1 ? a->head : a->v_head) });
    return LINNET_OK;
}

/* Room for `floats` more. */
static bool heads_reserve(size_t *total, size_t *at, size_t a, size_t b)
{
    size_t n;

    *at = *total;
    return ln_mul(a, b, &n) && ln_align_up(n, LN_ALIGN / sizeof(float), &n) && ln_add(*total, n, total);
}

static linnet_status prepare(ln_prepare *q)
{
    const ln_infer given = { q->param, q->in_count, q->out_count, q->in, q->value, NULL, q->err, NULL };
    state *s = q->state;
    const ln_attention *a = &s->attention;
    size_t floats = 0;

    if (!heads_sizes(&given, s))
        return LINNET_ERR_SHAPE;
    s->outs = q->out_count;
    if (ln_count(&q->out[0]) == 0 && q->out_count < 2) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    const size_t bias = s->has_bias ? a->batch : 0, mask = s->has_mask || s->has_scores ? a->batch : 0;
    if (!heads_reserve(&floats, &s->q_at, bias, a->q.batch) || !heads_reserve(&floats, &s->k_at, bias, a->k.batch) ||
        !heads_reserve(&floats, &s->v_at, bias, a->v.batch) ||
        !heads_reserve(&floats, &s->mask_at, mask, a->mask_batch) ||
        !ln_mul(floats, sizeof(float), &q->workspace))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "MultiHeadAttention: too large");
    q->tasks[0] = bias || mask ? a->batch : 0;
    q->phases = 2;
    q->work = 0;
    return ln_attention_prepare(q, &s->attention);
}

/* y = x + bias for `rows` rows of n. */
static void heads_add(const ln_run *r, size_t rows, size_t n, const float *x, const float *bias, float *y)
{
    for (size_t i = 0; i < rows; i++)
        r->kernel->binary_f32[LN_BIN_ADD](n, x + i * n, 1, bias, 1, y + i * n);
}

/* Is key k of batch entry b to be seen? */
static bool heads_seen(const ln_run *r, const state *s, size_t b, size_t k)
{
    const int32_t *m = r->in[HEADS_MASK];

    if (!s->has_mask)
        return true;
    return r->in_desc[HEADS_MASK].rank == 2 ? m[b * s->attention.total + k] != 0 : (int64_t)k < m[b];
}

static void heads_first(const ln_run *r, const state *s, float *work)
{
    const param *p = r->param;
    const ln_attention *a = &s->attention;
    const size_t b = r->task, rows = s->mask_heads * s->mask_rows;

    if (s->has_bias) {
        const float *bias = r->in[HEADS_BIAS];
        heads_add(r, a->q_len, a->q.row, (const float *)r->in[HEADS_Q] + b * a->q.batch, bias,
                  work + s->q_at + b * a->q.batch);
        heads_add(r, a->kv_len, a->k.row, (const float *)r->in[HEADS_K] + b * a->k.batch, bias + a->q.row,
                  work + s->k_at + b * a->k.batch);
        heads_add(r, a->kv_len, a->v.row, (const float *)r->in[HEADS_V] + b * a->v.batch, bias + 2 * a->q.row,
                  work + s->v_at + b * a->v.batch);
    }
    if (!s->has_mask && !s->has_scores)
        return;
    const size_t from = s->has_scores && r->in_desc[HEADS_SCORES].dim[0] > 1 ? b * rows * a->total : 0;
    const float *scores = s->has_scores ? (const float *)r->in[HEADS_SCORES] + from : NULL;
    float *mask = work + s->mask_at + b * a->mask_batch;
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < a->total; k++)
            mask[i * a->total + k] = (scores ? scores[i * a->total + k] : 0.0f) +
                                     (heads_seen(r, s, b, k) ? 0.0f : p->mask_filter_value);
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    float *work = r->workspace;

    if (r->phase == 0) {
        heads_first(r, s, work);
        return LINNET_OK;
    }
    const ln_attention_data d = {
        .q = s->has_bias ? work + s->q_at : r->in[HEADS_Q], .k = s->has_bias ? work + s->k_at : r->in[HEADS_K],
        .v = s->has_bias ? work + s->v_at : r->in[HEADS_V],
        .mask = s->has_mask || s->has_scores ? work + s->mask_at : NULL,
        .past_k = s->has_past ? r->in[HEADS_PAST_K] : NULL, .past_v = s->has_past ? r->in[HEADS_PAST_V] : NULL,
        .y = r->out[0], .present_k = s->outs > 1 ? r->out[1] : NULL, .present_v = s->outs > 2 ? r->out[2] : NULL,
    };
    return ln_attention_run(r, &s->attention, &d);
}

static const ln_attr attr[] = {
    { "mask_filter_value", LN_ATTR_F32, offsetof(param, mask_filter_value), -10000, false },
    { "num_heads", LN_ATTR_I64, offsetof(param, num_heads), 0, true },
    { "scale", LN_ATTR_F32, offsetof(param, scale), 0, false },
    { "unidirectional", LN_ATTR_I64, offsetof(param, unidirectional), 0, false },
    { 0 },
};

const ln_op ln_op_ms_multi_head_attention = {
    .name = "com.microsoft.MultiHeadAttention", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 10, .out_min = 1, .out_max = 4, .infer = infer, .prepare = prepare, .run = run,
};
