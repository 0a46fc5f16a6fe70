/*
 * rotary_embedding.c - RotaryEmbedding of ONNX and of com.microsoft.
 *
 * Pairs (x1, x2) of each head turn by an angle whose cosine and sine stand in a cache. Pairs
 * are neighbours (interleaved) or lie half a rotation apart. The two operators differ in the
 * order of their inputs and in how a token finds its row of the cache.
 */
#include "op.h"

typedef struct param {
    int64_t interleaved, num_heads, rotary_dim, packed;
    float   scale;
} param;

typedef struct state {
    size_t  batch, tokens, heads, head;   /* head: channels of one */
    size_t  half;                         /* pairs that turn; the rest of a head is copied */
    size_t  batch_step, token_step, head_step;
    size_t  rows, per_task;               /* of the cache; tokens of a task */
    int32_t dtype, cos, positions;        /* indices of inputs; positions -1: a row for each token */
    bool    interleaved, offset;          /* offset: one position, that of the first token */
} state;

static linnet_status rotary_misfit(linnet_error *err, const char *what, const ln_desc *d)
{
    char text[LN_DESC_TEXT];

    return ln_fail(err, LINNET_ERR_SHAPE, "RotaryEmbedding: %s %s does not fit", what, ln_desc_text(d, text));
}

static linnet_status rotary_sizes(const param *p, const ln_desc *in, state *s, linnet_error *err)
{
    const ln_desc *x = &in[0], *cos = &in[s->cos], *sin = &in[s->cos + 1];
    int64_t heads = p->num_heads;

    if (x->rank != 3 && x->rank != 4)
        return rotary_misfit(err, "input", x);
    if (cos->rank != (s->positions < 0 ? 3 : 2) || !ln_same_shape(cos, sin) || cos->dtype != x->dtype
        || sin->dtype != x->dtype)
        return rotary_misfit(err, "cos_cache or sin_cache", cos);
    const int64_t half = cos->dim[cos->rank - 1];
    if (half < 0 || half > INT64_MAX / 2)
        return rotary_misfit(err, "cos_cache", cos);
    if (x->rank == 4)
        heads = x->dim[1];
    else if (heads == 0 && p->rotary_dim == 0 && half > 0)
        heads = x->dim[2] / (2 * half);
    if (heads < 1 || (x->rank == 3 && x->dim[2] % heads != 0))
        return rotary_misfit(err, "input", x);
    s->dtype = x->dtype;
    s->heads = (size_t)heads;
    s->batch = (size_t)x->dim[0];
    s->tokens = (size_t)x->dim[x->rank == 4 ? 2 : 1];
    s->head = (size_t)(x->rank == 4 ? x->dim[3] : x->dim[2] / heads);
    s->half = (size_t)half;
    s->rows = (size_t)cos->dim[0];
    s->batch_step = ln_count_range(x, 1, x->rank);
    s->token_step = x->rank == 4 ? s->head : s->heads * s->head;
    s->head_step = x->rank == 4 ? s->tokens * s->head : s->head;
    s->interleaved = p->interleaved != 0;
    if (s->half * 2 > s->head || (p->rotary_dim != 0 && p->rotary_dim / 2 != half)
        || (p->rotary_dim == 0 && s->head / 2 != s->half))
        return rotary_misfit(err, "cos_cache", cos);
    if (s->positions < 0 && (cos->dim[0] != x->dim[0] || (size_t)cos->dim[1] != s->tokens))
        return rotary_misfit(err, "cos_cache", cos);
    return LINNET_OK;
}

/* position_ids: [batch, tokens], or (com.microsoft) one offset. */
static linnet_status rotary_positions(const ln_desc *in, state *s, bool microsoft, linnet_error *err)
{
    const ln_desc *d;

    if (s->positions < 0)
        return LINNET_OK;
    d = &in[s->positions];
    s->offset = microsoft && d->rank == 1 && d->dim[0] == 1;
    if (d->dtype != LINNET_I64
        || (!s->offset && (d->rank != 2 || (size_t)d->dim[0] != s->batch || (size_t)d->dim[1] != s->tokens)))
        return rotary_misfit(err, "position_ids", d);
    return LINNET_OK;
}

static linnet_status rotary_read(const param *p, int32_t count, const ln_desc *in, bool microsoft, state *s,
                                 linnet_error *err)
{
    const int32_t t = in[0].dtype;
    linnet_status st;

    s->cos = microsoft ? 2 : 1;
    s->positions = microsoft ? 1 : count > 3 && in[3].dtype ? 3 : -1;
    if (t != LINNET_F32 && t != LINNET_F64 && t != LINNET_F16 && t != LINNET_BF16)
        return ln_fail_type(err, 0, t);
    if (p->packed)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "RotaryEmbedding: is_packed_batching");
    if ((st = rotary_sizes(p, in, s, err)) != LINNET_OK)
        return st;
    return rotary_positions(in, s, microsoft, err);
}

static linnet_status infer(const ln_infer *q)
{
    state s = { 0 };

    q->out[0] = q->in[0];
    return rotary_read(q->param, q->in_count, q->in, false, &s, q->err);
}

static linnet_status rotary_infer_ms(const ln_infer *q)
{
    state s = { 0 };

    q->out[0] = q->in[0];
    return rotary_read(q->param, q->in_count, q->in, true, &s, q->err);
}

static linnet_status rotary_split(ln_prepare *q, state *s)
{
    const size_t width = LN_MAX(s->heads * s->head, (size_t)1);

    s->per_task = LN_MAX((size_t)LN_CHUNK / width, (size_t)1);
    q->tasks[0] = ln_count(&q->out[0]) == 0 ? 0 : ln_ceil_div(s->batch * s->tokens, s->per_task);
    q->work = (double)ln_count(&q->out[0]);
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const linnet_status st = rotary_read(q->param, q->in_count, q->in, false, q->state, q->err);

    return st != LINNET_OK ? st : rotary_split(q, q->state);
}

static linnet_status rotary_prepare_ms(ln_prepare *q)
{
    const linnet_status st = rotary_read(q->param, q->in_count, q->in, true, q->state, q->err);

    return st != LINNET_OK ? st : rotary_split(q, q->state);
}

static void rotary_turn_f32(const state *s, const float *x, const float *cos, const float *sin, float *y)
{
    const size_t step = s->interleaved ? 2 : 1, apart = s->interleaved ? 1 : s->half;

    for (size_t i = 0; i < s->half; i++) {
        const float a = x[i * step], b = x[i * step + apart];

        y[i * step] = cos[i] * a - sin[i] * b;
        y[i * step + apart] = sin[i] * a + cos[i] * b;
    }
    if (y != x)
        memcpy(y + 2 * s->half, x + 2 * s->half, (s->head - 2 * s->half) * sizeof *y);
}

static void rotary_turn(const state *s, const void *x, size_t at, const void *cos, const void *sin, size_t row,
                        void *y)
{
    const size_t step = s->interleaved ? 2 : 1, apart = s->interleaved ? 1 : s->half;

    for (size_t i = 0; i < s->half; i++) {
        const double a = ln_get_f64(s->dtype, x, at + i * step);
        const double b = ln_get_f64(s->dtype, x, at + i * step + apart);
        const double c = ln_get_f64(s->dtype, cos, row + i), d = ln_get_f64(s->dtype, sin, row + i);

        ln_set_f64(s->dtype, y, at + i * step, c * a - d * b);
        ln_set_f64(s->dtype, y, at + i * step + apart, d * a + c * b);
    }
    for (size_t i = 2 * s->half; i < s->head; i++)
        ln_set_f64(s->dtype, y, at + i, ln_get_f64(s->dtype, x, at + i));
}

/* The cache row of token t of batch entry b; false: outside the cache. */
static bool rotary_row(const ln_run *r, const state *s, size_t b, size_t t, size_t *row)
{
    const int64_t *ids;
    int64_t at;

    *row = b * s->tokens + t;
    if (s->positions < 0)
        return true;
    ids = r->in[s->positions];
    if (!s->offset)
        at = ids[*row];
    else if (!ln_add64(ids[0], (int64_t)t, &at))
        return false;
    *row = (size_t)at;
    return at >= 0 && (size_t)at < s->rows;
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const size_t all = s->batch * s->tokens, from = r->task * s->per_task;
    const size_t end = LN_MIN(from + s->per_task, all);

    for (size_t i = from; i < end; i++) {
        const size_t b = i / s->tokens, t = i % s->tokens;
        size_t row;

        if (!rotary_row(r, s, b, t, &row))
            return ln_fail(r->err, LINNET_ERR_DATA, "RotaryEmbedding: a position is outside [0, %zu)", s->rows);
        for (size_t h = 0; h < s->heads; h++) {
            const size_t at = b * s->batch_step + t * s->token_step + h * s->head_step;

            if (s->dtype == LINNET_F32 && s->half > 0)
                rotary_turn_f32(s, (const float *)r->in[0] + at, (const float *)r->in[s->cos] + row * s->half,
                                (const float *)r->in[s->cos + 1] + row * s->half, (float *)r->out[0] + at);
            else
                rotary_turn(s, r->in[0], at, r->in[s->cos], r->in[s->cos + 1], row * s->half, r->out[0]);
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "interleaved", LN_ATTR_I64, offsetof(param, interleaved), 0, false },
    { "num_heads", LN_ATTR_I64, offsetof(param, num_heads), 0, false },
    { "rotary_embedding_dim", LN_ATTR_I64, offsetof(param, rotary_dim), 0, false },
    { 0 },
};

static const ln_attr rotary_ms_attr[] = {
    { "interleaved", LN_ATTR_I64, offsetof(param, interleaved), 0, false },
    { "is_packed_batching", LN_ATTR_I64, offsetof(param, packed), 0, false },
    { "num_heads", LN_ATTR_I64, offsetof(param, num_heads), 0, false },
    { "rotary_embedding_dim", LN_ATTR_I64, offsetof(param, rotary_dim), 0, false },
    { "scale", LN_ATTR_F32, offsetof(param, scale), 1, false }, /* no operator uses it */
    { 0 },
};

const ln_op ln_op_rotary_embedding = {
    .name = "RotaryEmbedding", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 4, .inplace = 1,
    .infer = infer, .prepare = prepare, .run = run,
};

const ln_op ln_op_ms_rotary_embedding = {
    .name = "com.microsoft.RotaryEmbedding", .attr = rotary_ms_attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 4, .in_max = 4, .inplace = 1,
    .infer = rotary_infer_ms, .prepare = rotary_prepare_ms, .run = run,
};
