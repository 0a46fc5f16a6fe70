/*
 * embed_layer_norm.c - com.microsoft.EmbedLayerNormalization: word, position and segment embeddings
 * added up, then normalised. The second output counts the tokens that the mask lets through.
 */
#include "op.h"

typedef struct param { float epsilon; int64_t mask_index_type; } param;
typedef struct state { bool segments, mask, positions; int32_t outs; } state;
enum { EMBED_IDS, EMBED_SEGMENTS, EMBED_WORD, EMBED_POSITION, EMBED_SEGMENT, EMBED_GAMMA, EMBED_BETA, EMBED_MASK,
       EMBED_POSITIONS };

static bool embed_has(int32_t in_count, const ln_desc *in, int32_t i) { return i < in_count && in[i].dtype; }

static linnet_status infer(const ln_infer *q)
{
    const ln_desc *ids = &q->in[EMBED_IDS], *word = &q->in[EMBED_WORD];
    bool fits = ids->rank == 2 && ids->dtype == LINNET_I32 && word->rank == 2 && word->dim[1] > 0;

    for (int32_t i = EMBED_WORD; i <= EMBED_BETA && fits; i++) {
        if (q->in[i].dtype == 0)
            fits = i == EMBED_SEGMENT;
        else
            fits = q->in[i].dtype == LINNET_F32 && q->in[i].rank >= 1 && q->in[i].dim[q->in[i].rank - 1] == word->dim[1] &&
                   (i >= EMBED_GAMMA ? q->in[i].rank == 1 : q->in[i].rank == 2);
    }
    if (fits && embed_has(q->in_count, q->in, EMBED_SEGMENTS))
        fits = ln_same_shape(&q->in[EMBED_SEGMENTS], ids) && q->in[EMBED_SEGMENTS].dtype == LINNET_I32 &&
               q->in[EMBED_SEGMENT].dtype;
    for (int32_t i = EMBED_MASK; i <= EMBED_POSITIONS && fits; i++)
        if (embed_has(q->in_count, q->in, i))
            fits = q->in[i].rank == 2 && q->in[i].dtype == LINNET_I32 && q->in[i].dim[1] == ids->dim[1] &&
                   (q->in[i].dim[0] == ids->dim[0] || (i == EMBED_POSITIONS && q->in[i].dim[0] == 1));
    if (!fits)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "EmbedLayerNormalization: the inputs do not fit together");
    q->out[0] = ln_desc_of(LINNET_F32, 3, (int64_t[]){ ids->dim[0], ids->dim[1], word->dim[1] });
    if (q->out_count > 1)
        q->out[1] = ln_desc_of(LINNET_I32, 1, ids->dim);
    if (q->out_count > 2)
        q->out[2] = q->out[0];
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;

    s->segments = embed_has(q->in_count, q->in, EMBED_SEGMENTS);
    s->mask = embed_has(q->in_count, q->in, EMBED_MASK);
    s->positions = embed_has(q->in_count, q->in, EMBED_POSITIONS);
    s->outs = q->out_count;
    q->tasks[0] = ln_count(&q->in[EMBED_IDS]) ? (size_t)q->in[EMBED_IDS].dim[0] : 0;
    q->work = 4 * (double)ln_count(&q->out[0]);
    return ln_mul((size_t)q->in[EMBED_WORD].dim[1], sizeof(float), &q->scratch) ? LINNET_OK : LINNET_ERR_LIMIT;
}

/* Row `at` of a table, or NULL: outside. */
static const float *embed_row(const ln_run *r, int32_t table, int64_t at)
{
    const ln_desc *d = &r->in_desc[table];

    return at >= 0 && at < d->dim[0] ? (const float *)r->in[table] + at * d->dim[1] : NULL;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const int64_t steps = r->in_desc[EMBED_IDS].dim[1], n = r->in_desc[EMBED_WORD].dim[1];
    const ln_binary_f32 add = r->kernel->binary_f32[LN_BIN_ADD];
    int32_t kept = 0;

    for (int64_t t = 0; t < steps; t++) {
        const size_t i = r->task * (size_t)steps + (size_t)t;
        const bool shared = s->positions && r->in_desc[EMBED_POSITIONS].dim[0] == 1;
        const int64_t place = s->positions ? ((const int32_t *)r->in[EMBED_POSITIONS])[shared ? (size_t)t : i] : t;
        const float *word = embed_row(r, EMBED_WORD, ((const int32_t *)r->in[EMBED_IDS])[i]);
        const float *position = embed_row(r, EMBED_POSITION, place);
        const float *segment = s->segments ? embed_row(r, EMBED_SEGMENT, ((const int32_t *)r->in[EMBED_SEGMENTS])[i]) : NULL;
        if (!word || !position || (s->segments && !segment))
            return ln_fail(r->err, LINNET_ERR_DATA, "EmbedLayerNormalization: an index of token %zu is out of range", i);
        float *sum = s->outs > 2 && r->out[2] ? (float *)r->out[2] + i * (size_t)n : r->scratch;
        add((size_t)n, word, 1, position, 1, sum);
        if (segment)
            add((size_t)n, sum, 1, segment, 1, sum);
        if (r->out[0])
            r->kernel->layer_norm_f32(1, (size_t)n, sum, r->in[EMBED_GAMMA], r->in[EMBED_BETA], p->epsilon,
                                      (float *)r->out[0] + i * (size_t)n, NULL, NULL);
        kept += s->mask && ((const int32_t *)r->in[EMBED_MASK])[i] != 0;
    }
    if (s->outs > 1 && r->out[1])
        ((int32_t *)r->out[1])[r->task] = kept;
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "epsilon", LN_ATTR_F32, offsetof(param, epsilon), 1e-12, false },
    { "mask_index_type", LN_ATTR_I64, offsetof(param, mask_index_type), 0, false },
    { 0 },
};

const ln_op ln_op_embed_layer_normalization = {
    .name = "com.microsoft.EmbedLayerNormalization", .attr = attr, .param_size = sizeof(param),
    .state_size = sizeof(state), .in_min = 7, .in_max = 9, .out_min = 1, .out_max = 3,
    .infer = infer, .prepare = prepare, .run = run,
};
