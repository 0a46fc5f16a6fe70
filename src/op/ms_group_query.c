/*
 * ms_group_query.c - com.microsoft.GroupQueryAttention: a step or a prompt of a language model.
 *
 * First, one head a task: the caches of the keys and values that were there get the new ones behind them, and
 * queries and new keys are turned by their positions. Then attention over the caches, with what each
 * query may see (keys up to its own, inside a window) as a mask.
 */
#include "attention.h"

#include <math.h>

typedef struct param {
    int64_t num_heads, kv_num_heads, do_rotary, interleaved, window, smooth;
    float   scale, softcap;
} param;

typedef struct state {
    ln_attention attention;
    size_t past_room, turned;      /* tokens of the given caches; elements of a head that turn */
    size_t q_at, k_at, v_at, mask_at; /* in the workspace, in bytes */
    size_t row, k_from, v_from;    /* of the input: elements of a token, and where keys and values begin */
    bool   packed, has_past, caches; /* caches: there are outputs for them */
} state;

enum { GROUP_Q, GROUP_K, GROUP_V, GROUP_PAST_K, GROUP_PAST_V, GROUP_LENGTHS, GROUP_TOTAL, GROUP_COS, GROUP_SIN };

static bool group_past(const ln_infer *q, state *s)
{
    const ln_desc *k = &q->in[GROUP_PAST_K], *v = &q->in[GROUP_PAST_V];
    const ln_attention *a = &s->attention;

    s->has_past = k->dtype && v->dtype;
    if (!s->has_past)
        return !k->dtype && !v->dtype;
    s->past_room = (size_t)k->dim[2];
    return k->dtype == LINNET_F32 && v->dtype == LINNET_F32 && k->rank == 4 && ln_same_shape(k, v) &&
           (size_t)k->dim[0] == a->batch && (size_t)k->dim[1] == a->kv_heads && (size_t)k->dim[3] == a->head;
}

static bool group_rotary(const ln_infer *q, state *s)
{
    const param *p = q->param;

    if (!p->do_rotary)
        return true;
    if (q->in_count <= GROUP_SIN || q->in[GROUP_COS].dtype != LINNET_F32 || q->in[GROUP_SIN].dtype != LINNET_F32 ||
        q->in[GROUP_COS].rank != 2 || !ln_same_shape(&q->in[GROUP_COS], &q->in[GROUP_SIN]))
        return false;
    s->turned = 2 * (size_t)q->in[GROUP_COS].dim[1];
    return s->turned <= s->attention.head;
}

/* LN_WAIT: the total is not known yet. */
static linnet_status group_sizes(const ln_infer *q, state *s)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[GROUP_Q], *k = &q->in[GROUP_K], *v = &q->in[GROUP_V];
    ln_attention *a = &s->attention;
    bool fits = q->in_count > GROUP_TOTAL && x->dtype == LINNET_F32 && x->rank == 3 && p->num_heads > 0 &&
                p->kv_num_heads > 0 && p->num_heads % p->kv_num_heads == 0 && p->num_heads <= INT32_MAX;

    memset(s, 0, sizeof *s);
    if (!fits)
        return LINNET_ERR_SHAPE;
    s->packed = !k->dtype;
    const int64_t heads = s->packed ? p->num_heads + 2 * p->kv_num_heads : p->num_heads;
    *a = (ln_attention){ .batch = (size_t)x->dim[0], .q_heads = (size_t)p->num_heads, .kv_heads = (size_t)p->kv_num_heads,
                         .q_len = (size_t)x->dim[1], .head = (size_t)(x->dim[2] / heads), .dtype = LINNET_F32,
                         .softcap = p->softcap, .left = -1, .right = -1, .mask_dtype = LINNET_BOOL };
    a->v_head = a->head;
    s->row = (size_t)x->dim[2];
    s->k_from = s->packed ? a->q_heads * a->head : 0;
    s->v_from = s->packed ? (a->q_heads + a->kv_heads) * a->head : 0;
    fits = x->dim[2] % heads == 0 && a->head > 0 && (s->packed || (v->dtype == LINNET_F32 && k->dtype == LINNET_F32 &&
           ln_same_shape(k, v) && k->rank == 3 && k->dim[0] == x->dim[0] && k->dim[1] == x->dim[1] &&
           (size_t)k->dim[2] == a->kv_heads * a->head));
    if (!fits || !group_past(q, s) || !group_rotary(q, s) || q->in[GROUP_LENGTHS].dtype != LINNET_I32 ||
        ln_count(&q->in[GROUP_LENGTHS]) != a->batch || q->in[GROUP_TOTAL].dtype != LINNET_I32 ||
        ln_count(&q->in[GROUP_TOTAL]) != 1)
        return LINNET_ERR_SHAPE;
    if (!q->value[GROUP_TOTAL])
        return LN_WAIT;
    const int64_t total = *(const int32_t *)q->value[GROUP_TOTAL];
    if (total < (int64_t)a->q_len)
        return LINNET_ERR_SHAPE;
    a->kv_len = a->total = LN_MAX((size_t)total, s->past_room);
    a->q = a->y = (ln_attention_strides){ a->q_len * a->q_heads * a->head, a->head, a->q_heads * a->head };
    a->k = a->v = (ln_attention_strides){ a->kv_heads * a->total * a->head, a->total * a->head, a->head };
    a->mask_len = a->mask_row = a->total;
    a->mask_batch = a->q_len * a->total;
    a->scale = p->scale != 0 ? (double)p->scale : 1 / sqrt((double)a->head);
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    state s;

    for (int32_t i = GROUP_SIN + 1; i < q->in_count; i++)
        if (q->in[i].dtype)
            return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "GroupQueryAttention: input %d is not supported", (int)i);
    if (p->smooth > 0)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "GroupQueryAttention: smooth_softmax is not supported");
    const linnet_status st = group_sizes(q, &s);
    if (st)
        return st == LN_WAIT ? st : ln_fail(q->err, LINNET_ERR_UNSUPPORTED,
                                            "GroupQueryAttention: these inputs are not supported or do not fit together");
    const ln_attention *a = &s.attention;
    q->out[0] = ln_desc_of(LINNET_F32, 3, (int64_t[]){ (int64_t)a->batch, (int64_t)a->q_len,
                                                       (int64_t)(a->q_heads * a->head) });
    for (int32_t i = 1; i < q->out_count; i++)
        q->out[i] = ln_desc_of(LINNET_F32, 4, (int64_t[]){ (int64_t)a->batch, (int64_t)a->kv_heads, (int64_t)a->total,
                                                           (int64_t)a->head });
    return LINNET_OK;
}

static bool group_reserve(size_t *total, size_t *at, size_t count, size_t size)
{
    size_t n;

    *at = *total;
    return ln_mul(count, size, &n) && ln_align_up(n, LN_ALIGN, &n) && ln_add(*total, n, total);
}

static linnet_status prepare(ln_prepare *q)
{
    const ln_infer given = { q->param, q->in_count, q->out_count, q->in, q->value, NULL, q->err, NULL };
    state *s = q->state;
    const ln_attention *a = &s->attention;

    if (group_sizes(&given, s))
        return LINNET_ERR_SHAPE;
    s->caches = q->out_count > 2;
    const size_t cache = s->caches ? 0 : a->k.batch;
    if (!group_reserve(&q->workspace, &s->q_at, a->batch * sizeof(float), a->q.batch) ||
        !group_reserve(&q->workspace, &s->k_at, a->batch * sizeof(float), cache) ||
        !group_reserve(&q->workspace, &s->v_at, a->batch * sizeof(float), cache) ||
        !group_reserve(&q->workspace, &s->mask_at, a->batch, a->mask_batch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "GroupQueryAttention: too large");
    q->tasks[0] = a->batch * (a->q_heads + 2 * a->kv_heads + 1);
    q->phases = 2;
    q->work = (double)(a->batch * (a->q.batch + 2 * a->k.batch));
    return ln_attention_prepare(q, &s->attention);
}

/* y = x, its first `turned` elements turned by the angles of a position. */
static void group_turn(const ln_run *r, const state *s, const float *x, size_t position, float *y)
{
    const param *p = r->param;
    const size_t half = s->turned / 2, step = p->interleaved ? 2 : 1, apart = p->interleaved ? 1 : half;
    const float *cos = (const float *)r->in[GROUP_COS] + position * half;
    const float *sin = (const float *)r->in[GROUP_SIN] + position * half;

    for (size_t i = 0; i < half; i++) {
        const float a = x[i * step], b = x[i * step + apart];
        y[i * step] = cos[i] * a - sin[i] * b;
        y[i * step + apart] = sin[i] * a + cos[i] * b;
    }
    memcpy(y + s->turned, x + s->turned, (s->attention.head - s->turned) * sizeof *y);
}

/* A head of keys or values of batch entry b into its cache: `past` tokens that were there, then the new ones. */
static void group_cache(const ln_run *r, const state *s, size_t b, size_t head, bool keys, size_t past, float *cache)
{
    const param *p = r->param;
    const ln_attention *a = &s->attention;
    const size_t at = b * a->kv_heads + head, row = s->packed ? s->row : a->kv_heads * a->head;
    const float *x = (const float *)r->in[s->packed ? GROUP_Q : keys ? GROUP_K : GROUP_V] +
                     b * a->q_len * row + (keys ? s->k_from : s->v_from) + head * a->head;
    float *y = cache + at * a->total * a->head;

    if (past)
        memcpy(y, (const float *)r->in[keys ? GROUP_PAST_K : GROUP_PAST_V] + at * s->past_room * a->head,
               past * a->head * sizeof *y);
    for (size_t t = 0; t < a->q_len; t++)
        if (keys && p->do_rotary)
            group_turn(r, s, x + t * row, past + t, y + (past + t) * a->head);
        else
            memcpy(y + (past + t) * a->head, x + t * row, a->head * sizeof *y);
    memset(y + (past + a->q_len) * a->head, 0, (a->total - past - a->q_len) * a->head * sizeof *y);
}

static void group_queries(const ln_run *r, const state *s, size_t b, size_t head, size_t past, float *queries)
{
    const param *p = r->param;
    const ln_attention *a = &s->attention;

    for (size_t t = 0; t < a->q_len; t++) {
        const float *x = (const float *)r->in[GROUP_Q] + (b * a->q_len + t) * s->row + head * a->head;
        float *y = queries + b * a->q.batch + t * a->q.row + head * a->head;
        if (p->do_rotary)
            group_turn(r, s, x, past + t, y);
        else
            memcpy(y, x, a->head * sizeof *y);
    }
}

static void group_mask(const ln_run *r, const state *s, size_t past, uint8_t *mask)
{
    const param *p = r->param;
    const ln_attention *a = &s->attention;

    for (size_t t = 0; t < a->q_len; t++, mask += a->total) {
        const size_t own = past + t;
        const size_t first = p->window > 0 && (uint64_t)p->window <= own ? own + 1 - (size_t)p->window : 0;
        memset(mask, 0, a->total);
        memset(mask + first, 1, own + 1 - first);
    }
}

/* One head of a batch entry, or (the last) its mask. */
static linnet_status group_first(const ln_run *r, const state *s, char *work, float *keys, float *values)
{
    const param *p = r->param;
    const ln_attention *a = &s->attention;
    const size_t each = a->q_heads + 2 * a->kv_heads + 1, b = r->task / each, i = r->task % each;
    const int64_t past = (int64_t)((const int32_t *)r->in[GROUP_LENGTHS])[b] + 1 - (int64_t)a->q_len;

    if (past < 0 || (size_t)past > (s->has_past ? s->past_room : 0) || (size_t)past + a->q_len > a->total)
        return ln_fail(r->err, LINNET_ERR_DATA, "GroupQueryAttention: a length of seqlens_k is not possible");
    if (p->do_rotary && (size_t)past + a->q_len > (size_t)r->in_desc[GROUP_COS].dim[0])
        return ln_fail(r->err, LINNET_ERR_DATA, "GroupQueryAttention: a position is behind the end of cos_cache");
    if (i < a->q_heads)
        group_queries(r, s, b, i, (size_t)past, (float *)(void *)(work + s->q_at));
    else if (i < a->q_heads + 2 * a->kv_heads)
        group_cache(r, s, b, (i - a->q_heads) / 2, i % 2 == a->q_heads % 2, (size_t)past,
                    i % 2 == a->q_heads % 2 ? keys : values);
    else
        group_mask(r, s, (size_t)past, (uint8_t *)work + s->mask_at + b * a->mask_batch);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    char *work = r->workspace;
    float *keys = s->caches ? r->out[1] : (float *)(void *)(work + s->k_at);
    float *values = s->caches ? r->out[2] : (float *)(void *)(work + s->v_at);

    if (!keys || !values)
        return ln_fail(r->err, LINNET_ERR_UNSUPPORTED, "GroupQueryAttention: both caches must be outputs, or none");
    if (r->phase == 0)
        return group_first(r, s, work, keys, values);
    const ln_attention_data d = { .q = work + s->q_at, .k = keys, .v = values, .mask = work + s->mask_at,
                                  .y = r->out[0] };
    return ln_attention_run(r, &s->attention, &d);
}

static const ln_attr attr[] = {
    { "do_rotary", LN_ATTR_I64, offsetof(param, do_rotary), 0, false },
    { "kv_num_heads", LN_ATTR_I64, offsetof(param, kv_num_heads), 0, true },
    { "local_window_size", LN_ATTR_I64, offsetof(param, window), -1, false },
    { "num_heads", LN_ATTR_I64, offsetof(param, num_heads), 0, true },
    { "rotary_interleaved", LN_ATTR_I64, offsetof(param, interleaved), 0, false },
    { "scale", LN_ATTR_F32, offsetof(param, scale), 0, false },
    { "smooth_softmax", LN_ATTR_I64, offsetof(param, smooth), -1, false },
    { "softcap", LN_ATTR_F32, offsetof(param, softcap), 0, false },
    { 0 },
};

const ln_op ln_op_ms_group_query_attention = {
    .name = "com.microsoft.GroupQueryAttention", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 7, .in_max = 14, .out_min = 1, .out_max = 3, .infer = infer, .prepare = prepare, .run = run,
};
