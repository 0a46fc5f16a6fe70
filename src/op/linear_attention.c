/*
 * linear_attention.c - LinearAttention: a matrix of state per head instead of a cache of keys.
 *
 * For each token: S decays by exp(g), the delta rules take back what S already gives for the
 * key, S += k v^T, and every query head of the group reads scale * q^T S. A task walks one
 * key-value head through time with S in f32 scratch.
 */
#include "op.h"

#include <math.h>

typedef struct param {
    const char *rule;
    float       scale;
    int64_t     q_heads, kv_heads, chunk;
} param;

typedef struct state {
    size_t  batch, tokens, q_heads, kv_heads, dk, dv;
    size_t  decay, beta; /* numbers per token and head: decay 0 (none), 1 or dk; beta 0, 1; */
    bool    shared_beta; /* one beta for all heads */
    float   scale;
    int32_t in_count, out_count;
} state;

enum { LINEAR_PAST = 3, LINEAR_DECAY, LINEAR_BETA };

static bool linear_type(int32_t t)
{
    return t == LINNET_F32 || t == LINNET_F16 || t == LINNET_BF16;
}

/* Whether optional input i is there, is [batch, tokens, x], and gives x in *width. */
static bool linear_gate(int32_t count, const ln_desc *in, int32_t i, bool wanted, int64_t *width)
{
    *width = 0;
    if (i >= count || in[i].dtype == 0)
        return !wanted;
    *width = in[i].rank == 3 ? in[i].dim[2] : 0;
    return wanted && in[i].rank == 3 && in[i].dtype == in[0].dtype && in[i].dim[0] == in[0].dim[0]
           && in[i].dim[1] == in[0].dim[1];
}

static linnet_status linear_read(const param *p, int32_t count, const ln_desc *in, state *s, linnet_error *err)
{
    const bool gated = ln_is(p->rule, "gated_delta", "gated") || ln_is(p->rule, "gated_delta", "gated_delta");
    const bool delta = ln_is(p->rule, "gated_delta", "delta") || ln_is(p->rule, "gated_delta", "gated_delta");
    const int64_t hq = p->q_heads, hk = p->kv_heads;
    int64_t decay, beta;

    if (!gated && !delta && !ln_is(p->rule, "gated_delta", "linear"))
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "LinearAttention: update_rule '%s'", p->rule);
    if (!linear_type(in[0].dtype))
        return ln_fail_type(err, 0, in[0].dtype);
    if (hk < 1 || hq < hk || hq % hk != 0)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "LinearAttention: %lld query heads, %lld key heads",
                       (long long)hq, (long long)hk);
    for (int32_t i = 0; i < 3; i++)
        if (in[i].rank != 3 || in[i].dtype != in[0].dtype || in[i].dim[0] != in[0].dim[0]
            || in[i].dim[1] != in[0].dim[1] || in[i].dim[2] % (i == 0 ? hq : hk) != 0)
            return ln_fail(err, LINNET_ERR_SHAPE, "LinearAttention: query, key and value do not fit");
    const int64_t dk = in[0].dim[2] / hq, dv = in[2].dim[2] / hk;
    const int64_t past[] = { in[0].dim[0], hk, dk, dv };
    const ln_desc want = ln_desc_of(LINNET_F32, 4, past);

    if (in[1].dim[2] / hk != dk || !linear_gate(count, in, LINEAR_DECAY, gated, &decay)
        || !linear_gate(count, in, LINEAR_BETA, delta, &beta) || (gated && decay != hk && decay != in[1].dim[2])
        || (delta && beta != hk && beta != 1)
        || (count > LINEAR_PAST && in[LINEAR_PAST].dtype
            && (!linear_type(in[LINEAR_PAST].dtype) || !ln_same_shape(&in[LINEAR_PAST], &want))))
        return ln_fail(err, LINNET_ERR_SHAPE, "LinearAttention: past_state, decay or beta does not fit");
    s->batch = (size_t)in[0].dim[0];
    s->tokens = (size_t)in[0].dim[1];
    s->q_heads = (size_t)hq;
    s->kv_heads = (size_t)hk;
    s->dk = (size_t)dk;
    s->dv = (size_t)dv;
    s->decay = !gated ? 0 : decay == hk ? 1 : s->dk;
    s->beta = delta ? 1 : 0;
    s->shared_beta = delta && beta != hk;
    s->scale = p->scale != 0.0f ? p->scale : (float)(1.0 / sqrt((double)LN_MAX(s->dk, (size_t)1)));
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    state s = { 0 };
    const linnet_status st = linear_read(p, q->in_count, q->in, &s, q->err);
    int64_t wide;

    if (st != LINNET_OK)
        return st;
    if (!ln_mul64(p->q_heads, (int64_t)s.dv, &wide))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "LinearAttention: output too large");
    q->out[0] = q->in[0];
    q->out[0].dim[2] = wide;
    if (q->out_count > 1) {
        const int64_t dim[] = { q->in[0].dim[0], p->kv_heads, (int64_t)s.dk, (int64_t)s.dv };
        const bool past = q->in_count > LINEAR_PAST && q->in[LINEAR_PAST].dtype;
        q->out[1] = ln_desc_of(past ? q->in[LINEAR_PAST].dtype : q->in[0].dtype, 4, dim);
    }
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;
    const linnet_status st = linear_read(q->param, q->in_count, q->in, s, q->err);
    size_t floats;

    if (st != LINNET_OK)
        return st;
    s->in_count = q->in_count;
    s->out_count = q->out_count;
    if (!ln_mul(s->dk, s->dv, &floats) || !ln_add(floats, 3 * s->dv + 2 * s->dk, &floats)
        || !ln_mul(floats, sizeof(float), &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "LinearAttention: state too large");
    q->tasks[0] = s->batch * s->kv_heads;
    q->work = (double)q->tasks[0] * (double)s->tokens * (double)s->dk * (double)s->dv
              * (double)(2 + s->q_heads / s->kv_heads);
    q->flop = 2.0 * q->work;
    return LINNET_OK;
}

/* A piece of a [batch, tokens, ..] input as f32: in place where it is f32 already. */
static const float *linear_row(const ln_run *r, int32_t i, size_t at, size_t n, float *room)
{
    const int32_t t = r->in_desc[i].dtype;

    if (n == 0)
        return room;
    if (t == LINNET_F32)
        return (const float *)r->in[i] + at;
    ln_to_f32(t, (const uint16_t *)r->in[i] + at, n, room);
    return room;
}

/* One token: the state m takes in key and value. */
static void linear_update(const ln_run *r, const state *s, size_t row, size_t h, float *m, float *room)
{
    const ln_kernels *kernel = r->kernel;
    float *k_room = room, *v_room = room + s->dk, *seen = v_room + s->dv;
    float g_room = 0.0f, beta = 0.0f;

    if (s->decay) { /* before k, whose room it borrows */
        const size_t n = s->decay, at = (row * s->kv_heads + h) * n;
        const float *g = linear_row(r, LINEAR_DECAY, at, n, n == 1 ? &g_room : k_room);
        for (size_t i = 0; i < s->dk; i++)
            kernel->unary_f32[LN_FN_AFFINE](s->dv, m + i * s->dv, m + i * s->dv, expf(g[n == 1 ? 0 : i]), 0.0f);
    }
    const float *k = linear_row(r, 1, (row * s->kv_heads + h) * s->dk, s->dk, k_room);
    const float *v = linear_row(r, 2, (row * s->kv_heads + h) * s->dv, s->dv, v_room);
    if (s->beta) {
        const size_t at = s->shared_beta ? row : row * s->kv_heads + h;
        beta = *linear_row(r, LINEAR_BETA, at, 1, &beta);
        memset(seen, 0, s->dv * sizeof *seen);
        for (size_t i = 0; i < s->dk; i++)
            kernel->axpy_f32(s->dv, k[i], m + i * s->dv, seen);
        for (size_t j = 0; j < s->dv; j++)
            seen[j] = beta * (v[j] - seen[j]);
        v = seen;
    }
    for (size_t i = 0; i < s->dk; i++)
        kernel->axpy_f32(s->dv, k[i], v, m + i * s->dv);
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const size_t b = r->task / s->kv_heads, h = r->task % s->kv_heads, group = s->q_heads / s->kv_heads;
    const size_t size = s->dk * s->dv;
    const void *past = s->in_count > LINEAR_PAST ? r->in[LINEAR_PAST] : NULL;
    float *m = r->scratch, *room = m + size, *sum = room + s->dk + 2 * s->dv;

    memset(m, 0, size * sizeof *m);
    if (past && size) {
        const float *old = linear_row(r, LINEAR_PAST, r->task * size, size, m);
        if (old != m)
            memcpy(m, old, size * sizeof *m);
    }
    for (size_t t = 0; t < s->tokens; t++) {
        const size_t row = b * s->tokens + t;

        linear_update(r, s, row, h, m, room);
        for (size_t x = h * group; x < (h + 1) * group; x++) {
            const float *q = linear_row(r, 0, (row * s->q_heads + x) * s->dk, s->dk, room);

            memset(sum, 0, s->dv * sizeof *sum);
            for (size_t i = 0; i < s->dk; i++)
                r->kernel->axpy_f32(s->dv, s->scale * q[i], m + i * s->dv, sum);
            for (size_t j = 0; r->out[0] && j < s->dv; j++)
                ln_set_f64(r->out_desc[0].dtype, r->out[0], (row * s->q_heads + x) * s->dv + j, (double)sum[j]);
        }
    }
    for (size_t j = 0; s->out_count > 1 && r->out[1] && j < size; j++)
        ln_set_f64(r->out_desc[1].dtype, r->out[1], r->task * size + j, (double)m[j]);
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "chunk_size", LN_ATTR_I64, offsetof(param, chunk), 64, false },
    { "kv_num_heads", LN_ATTR_I64, offsetof(param, kv_heads), 0, true },
    { "q_num_heads", LN_ATTR_I64, offsetof(param, q_heads), 0, true },
    { "scale", LN_ATTR_F32, offsetof(param, scale), 0, false },
    { "update_rule", LN_ATTR_STR, offsetof(param, rule), 0, false },
    { 0 },
};

const ln_op ln_op_linear_attention = {
    .name = "LinearAttention", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 6, .out_min = 1, .out_max = 2,
    .infer = infer, .prepare = prepare, .run = run,
};
