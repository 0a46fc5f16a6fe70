/*
 * attention.c - Attention: masks, causal order, windows, grouped heads, a cache of past keys.
 *
 * Q, K, V come as [batch, heads, tokens, size] or [batch, tokens, heads * size]; both are only
 * strides to attention_core.c. Attention that a pass has found in its parts has operands of
 * either order of heads and tokens, with or without a batch axis ("ln.form"), and the NaN of a
 * softmax over nothing.
 */
#include "attention.h"

#include <math.h>

typedef struct param {
    int64_t causal, q_heads, kv_heads, softmax_type, qk_mode, left, right;
    int64_t form; /* 0: as ONNX has it; else FORM_GIVEN and which of Q, K, V, Y have tokens before heads */
    float   scale, softcap;
} param;

typedef struct state {
    ln_attention attention;
    int32_t in_count, out_count;
} state;

enum { FORM_Q, FORM_K, FORM_V, FORM_Y, FORM_GIVEN = 16 };
enum { ATTENTION_MASK = 3, ATTENTION_PAST_K, ATTENTION_PAST_V, ATTENTION_LENGTHS };

static bool attention_has(int32_t count, const ln_desc *d, int32_t i)
{
    return i < count && d[i].dtype != 0;
}

/* Operand `bit` of a given form: [batch, heads, tokens, size] or [batch, tokens, heads, size], the batch optional. */
static bool attention_formed(const ln_desc *d, int64_t form, int32_t bit, size_t size[3], ln_attention_strides *s)
{
    const int32_t first = d->rank - 3, swapped = (int32_t)(form >> bit & 1);

    if (first < 0 || first > 1)
        return false;
    size[0] = (size_t)d->dim[first + swapped];
    size[1] = (size_t)d->dim[first + 1 - swapped];
    size[2] = (size_t)d->dim[first + 2];
    s->row = swapped ? size[0] * size[2] : size[2];
    s->head = swapped ? size[2] : size[1] * size[2];
    s->batch = first ? ln_count_range(d, 1, d->rank) : 0;
    return size[0] > 0;
}

/* Strides and sizes of one of Q, K, V; false: rank, or channels that heads do not divide. */
static bool attention_operand(const param *p, const ln_desc *d, int32_t bit, size_t size[3], ln_attention_strides *s)
{
    const int64_t heads = bit == FORM_Q ? p->q_heads : p->kv_heads;

    if (p->form)
        return attention_formed(d, p->form, bit, size, s);
    if (d->rank == 4) {
        size[0] = (size_t)d->dim[1];
        size[1] = (size_t)d->dim[2];
        size[2] = (size_t)d->dim[3];
        s->row = size[2];
        s->head = size[1] * size[2];
    } else if (d->rank == 3 && heads > 0 && d->dim[2] % heads == 0) {
        size[0] = (size_t)heads;
        size[1] = (size_t)d->dim[1];
        size[2] = (size_t)(d->dim[2] / heads);
        s->row = (size_t)d->dim[2];
        s->head = size[2];
    } else {
        return false;
    }
    s->batch = ln_count_range(d, 1, d->rank);
    return size[0] > 0;
}

/* The mask broadcasts to [batch, q_heads, q_len, total]; its last axis may be shorter. */
static bool attention_mask_of(const ln_desc *d, ln_attention *s)
{
    const size_t full[4] = { s->batch, s->q_heads, s->q_len, s->total };
    size_t stride[4] = { 0, 0, 0, 0 }, step = 1;

    if (d->rank < 1 || d->rank > 4 || d->dtype == LINNET_STRING || d->dtype == LINNET_C64
        || d->dtype == LINNET_C128)
        return false;
    for (int32_t i = d->rank - 1; i >= 0; i--) {
        const int32_t axis = i + 4 - d->rank;
        const size_t dim = (size_t)d->dim[i];

        if (axis == 3 ? dim > full[3] : dim != 1 && dim != full[axis])
            return false;
        stride[axis] = dim == 1 ? 0 : step;
        step *= dim;
    }
    s->mask_dtype = d->dtype;
    s->mask_batch = stride[0];
    s->mask_head = stride[1];
    s->mask_row = stride[2];
    s->mask_len = (size_t)d->dim[d->rank - 1];
    return true;
}

static bool attention_past_of(const ln_attention *s, const ln_desc *d, size_t width)
{
    return d->rank == 4 && d->dtype == s->dtype && (size_t)d->dim[0] == s->batch
           && (size_t)d->dim[1] == s->kv_heads && (size_t)d->dim[3] == width;
}

static linnet_status attention_misfit(linnet_error *err, const char *what, const ln_desc *d)
{
    char text[LN_DESC_TEXT];

    return ln_fail(err, LINNET_ERR_SHAPE, "Attention: %s %s does not fit", what, ln_desc_text(d, text));
}

/* Entries of the batch; operands whose numbers differ do not go together. */
static int64_t attention_batch(const param *p, const ln_desc *d) { return p->form && d->rank == 3 ? 1 : d->dim[0]; }

/* Everything that shapes and attributes decide. */
static linnet_status attention_read(const param *p, int32_t count, const ln_desc *in, ln_attention *s,
                                    linnet_error *err)
{
    size_t q[3], k[3], v[3];

    if (!attention_operand(p, &in[0], FORM_Q, q, &s->q))
        return attention_misfit(err, "Q", &in[0]);
    const int64_t batch = attention_batch(p, &in[0]);
    if (!attention_operand(p, &in[1], FORM_K, k, &s->k) || in[1].rank != in[0].rank || k[2] != q[2]
        || q[0] % k[0] != 0 || attention_batch(p, &in[1]) != batch)
        return attention_misfit(err, "K", &in[1]);
    if (!attention_operand(p, &in[2], FORM_V, v, &s->v) || in[2].rank != in[0].rank || v[0] != k[0]
        || v[1] != k[1] || attention_batch(p, &in[2]) != batch)
        return attention_misfit(err, "V", &in[2]);
    s->dtype = in[0].dtype;
    s->batch = (size_t)batch;
    s->q_heads = q[0];
    s->kv_heads = k[0];
    s->q_len = q[1];
    s->kv_len = k[1];
    s->head = q[2];
    s->v_head = v[2];
    if (attention_has(count, in, ATTENTION_PAST_K) != attention_has(count, in, ATTENTION_PAST_V))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "Attention: past_key and past_value come together");
    if (attention_has(count, in, ATTENTION_PAST_K)) {
        if (!attention_past_of(s, &in[ATTENTION_PAST_K], s->head))
            return attention_misfit(err, "past_key", &in[ATTENTION_PAST_K]);
        if (!attention_past_of(s, &in[ATTENTION_PAST_V], s->v_head)
            || in[ATTENTION_PAST_V].dim[2] != in[ATTENTION_PAST_K].dim[2])
            return attention_misfit(err, "past_value", &in[ATTENTION_PAST_V]);
        s->past = (size_t)in[ATTENTION_PAST_K].dim[2];
    }
    if (!ln_add(s->past, s->kv_len, &s->total) || s->total > (size_t)INT64_MAX)
        return attention_misfit(err, "past_key", &in[ATTENTION_PAST_K]);
    if (attention_has(count, in, ATTENTION_MASK) && !attention_mask_of(&in[ATTENTION_MASK], s))
        return attention_misfit(err, "attn_mask", &in[ATTENTION_MASK]);
    if (attention_has(count, in, ATTENTION_LENGTHS)
        && (in[ATTENTION_LENGTHS].dtype != LINNET_I64 || in[ATTENTION_LENGTHS].rank != 1
            || in[ATTENTION_LENGTHS].dim[0] != batch))
        return attention_misfit(err, "nonpad_kv_seqlen", &in[ATTENTION_LENGTHS]);
    s->scale = p->scale == p->scale ? (double)p->scale : 1.0 / sqrt((double)LN_MAX(s->head, (size_t)1));
    s->softcap = p->softcap;
    s->causal = p->causal != 0;
    s->left = p->left;
    s->right = p->right;
    s->qk_mode = (int32_t)p->qk_mode;
    s->plain = p->form != 0;
    return LINNET_OK;
}

/* Y in the order of Q's axes, or with heads and tokens as its own bit of the form says. */
static ln_desc attention_result(const param *p, const ln_desc *q, const ln_attention *s, int64_t wide)
{
    const int64_t h = (int64_t)s->q_heads, t = (int64_t)s->q_len, size = (int64_t)s->v_head;
    const int64_t tokens_first[] = { q->dim[0], t, h, size }, heads_first[] = { q->dim[0], h, t, size };
    const int64_t joined[] = { q->dim[0], t, wide };

    if (p->form)
        return ln_desc_of(s->dtype, q->rank, (p->form >> FORM_Y & 1 ? tokens_first : heads_first) + (4 - q->rank));
    return q->rank == 4 ? ln_desc_of(s->dtype, 4, heads_first) : ln_desc_of(s->dtype, 3, joined);
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *in = q->in;
    ln_attention s = { 0 };
    linnet_status st;

    if (in[0].dtype != LINNET_F32 && in[0].dtype != LINNET_F64 && in[0].dtype != LINNET_F16
        && in[0].dtype != LINNET_BF16)
        return ln_fail_type(q->err, 0, in[0].dtype);
    if (in[1].dtype != in[0].dtype || in[2].dtype != in[0].dtype)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Attention: Q, K and V of different types");
    if (p->qk_mode < LN_QK_RAW || p->qk_mode > LN_QK_SOFTMAX || p->left < -1 || p->right < -1)
        return ln_fail(q->err, LINNET_ERR_ARGUMENT, "Attention: qk_matmul_output_mode %lld or a window is unknown",
                       (long long)p->qk_mode);
    if ((st = attention_read(p, q->in_count, in, &s, q->err)) != LINNET_OK)
        return st;
    const int64_t b = attention_batch(p, &in[0]), hq = (int64_t)s.q_heads, hk = (int64_t)s.kv_heads;
    const int64_t tq = (int64_t)s.q_len, total = (int64_t)s.total, vh = (int64_t)s.v_head;
    int64_t wide = 0;

    if (!ln_mul64(hq, vh, &wide))
        return attention_misfit(q->err, "V", &in[2]);
    const int64_t pk[] = { b, hk, total, (int64_t)s.head }, pv[] = { b, hk, total, vh };
    const int64_t qk[] = { b, hq, tq, total };

    q->out[0] = attention_result(p, &in[0], &s, wide);
    for (int32_t i = 1; i < q->out_count; i++)
        q->out[i] = ln_desc_of(s.dtype, 4, i == 1 ? pk : i == 2 ? pv : qk);
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;
    ln_attention *a = &s->attention;
    const linnet_status st = attention_read(q->param, q->in_count, q->in, a, q->err);

    if (st != LINNET_OK)
        return st;
    s->in_count = q->in_count;
    s->out_count = q->out_count;
    const int64_t form = ((const param *)q->param)->form;
    const bool tokens_first = form ? form >> FORM_Y & 1 : q->in[0].rank == 3;

    a->y.batch = a->q_heads * a->q_len * a->v_head;
    a->y.head = tokens_first ? a->v_head : a->q_len * a->v_head;
    a->y.row = tokens_first ? a->q_heads * a->v_head : a->v_head;
    q->work = 0.0;
    return ln_attention_prepare(q, a);
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const int32_t ni = s->in_count, no = s->out_count;
    const ln_attention_data d = {
        .q = r->in[0], .k = r->in[1], .v = r->in[2],
        .mask = ni > ATTENTION_MASK ? r->in[ATTENTION_MASK] : NULL,
        .past_k = ni > ATTENTION_PAST_K ? r->in[ATTENTION_PAST_K] : NULL,
        .past_v = ni > ATTENTION_PAST_V ? r->in[ATTENTION_PAST_V] : NULL,
        .lengths = ni > ATTENTION_LENGTHS ? r->in[ATTENTION_LENGTHS] : NULL,
        .y = r->out[0],
        .present_k = no > 1 ? r->out[1] : NULL,
        .present_v = no > 2 ? r->out[2] : NULL,
        .qk = no > 3 ? r->out[3] : NULL,
    };

    return ln_attention_run(r, &s->attention, &d);
}

static const ln_attr attr[] = {
    { "is_causal", LN_ATTR_I64, offsetof(param, causal), 0, false },
    { "kv_num_heads", LN_ATTR_I64, offsetof(param, kv_heads), 0, false },
    { "ln.form", LN_ATTR_I64, offsetof(param, form), 0, false },
    { "left_window_size", LN_ATTR_I64, offsetof(param, left), -1, false },
    { "q_num_heads", LN_ATTR_I64, offsetof(param, q_heads), 0, false },
    { "qk_matmul_output_mode", LN_ATTR_I64, offsetof(param, qk_mode), 0, false },
    { "right_window_size", LN_ATTR_I64, offsetof(param, right), -1, false },
    { "scale", LN_ATTR_F32, offsetof(param, scale), (double)NAN, false },
    { "softcap", LN_ATTR_F32, offsetof(param, softcap), 0, false },
    { "softmax_precision", LN_ATTR_I64, offsetof(param, softmax_type), 0, false },
    { 0 },
};

const ln_op ln_op_attention = {
    .name = "Attention", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 7, .out_min = 1, .out_max = 4,
    .infer = infer, .prepare = prepare, .run = run,
};
