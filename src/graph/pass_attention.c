/*
 * pass_attention.c - attention found in its parts.
 *
 * MatMul, a factor, a mask added, Softmax, MatMul become one Attention layer that stores no
 * matrix of scores. The transposes around them go too: queries, keys and values are read and
 * the result is written in the order that they have outside, [batch, tokens, heads, size] or
 * [batch, heads, tokens, size]. Where the heads of keys and values were repeated for groups of
 * query heads, the repetition goes as well.
 */
#include "pass.h"

#include <math.h>

/* What "ln.form" of Attention says: which operands have tokens before heads. */
enum { FOUND_Q, FOUND_K, FOUND_V, FOUND_Y, FOUND_GIVEN = 16 };

typedef struct attention_parts {
    int32_t q, k, v, mask;   /* values; mask may be LN_NONE */
    int32_t scores, soft, out;
    int64_t form;
    bool    causal;
    float   scale;
} attention_parts;

typedef struct attention_work {
    const ln_pass *p;
    ln_graph      *g;
    int32_t       *use;
} attention_work;

static const ln_desc *part_desc(const attention_work *w, int32_t v) { return &w->g->value[v].desc; }

/* The node `op` that makes value v, or NULL. */
static ln_node *part_maker(const attention_work *w, int32_t v, const char *op)
{
    const int32_t at = v == LN_NONE ? LN_NONE : w->g->value[v].producer;

    if (at == LN_NONE)
        return NULL;
    ln_node *n = &w->g->node[at];
    return !n->dynamic && strcmp(n->op->name, op) == 0 && n->out_count >= 1 && n->out[0] == v ? n : NULL;
}

static bool part_number(const attention_work *w, int32_t v, float *out)
{
    const ln_value *c = v == LN_NONE ? NULL : &w->g->value[v];

    if (!c || !c->constant || c->desc.dtype != LINNET_F32 || !c->data || ln_count(&c->desc) != 1)
        return false;
    *out = *(const float *)c->data;
    return true;
}

/* v is x times (or over) one number: *x, and the factor into *scale. */
static bool part_scaled(const attention_work *w, int32_t v, int32_t *x, float *scale)
{
    const ln_node *n = part_maker(w, v, "Mul");
    float by;

    if (w->use[v] != 1)
        return false;
    for (int32_t i = 0; n && n->in_count == 2 && i < 2; i++)
        if (part_number(w, n->in[1 - i], &by) && ln_same_shape(part_desc(w, n->in[i]), part_desc(w, v))) {
            *x = n->in[i];
            *scale *= by;
            return true;
        }
    n = part_maker(w, v, "Div");
    if (!n || n->in_count != 2 || !part_number(w, n->in[1], &by) || by == 0.0f
        || !ln_same_shape(part_desc(w, n->in[0]), part_desc(w, v)))
        return false;
    *x = n->in[0];
    *scale /= by;
    return true;
}

/* ---- masks ---------------------------------------------------------------------- */

/* So far below any score that its exponential is 0 beside that of another. */
#define MASK_OUT (-1e9f)

/* A constant that hides the keys behind each query, and no others: [queries, keys] alike. */
static bool mask_causal(const attention_work *w, int32_t v)
{
    const ln_value *c = &w->g->value[v];
    const int32_t rank = c->desc.rank;
    const float *m = c->data;

    if (!c->constant || !m || rank < 2 || c->desc.dim[rank - 1] != c->desc.dim[rank - 2])
        return false;
    const size_t n = (size_t)c->desc.dim[rank - 1];
    if (ln_count(&c->desc) != n * n)
        return false;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (j <= i ? m[i * n + j] != 0.0f : !(m[i * n + j] <= MASK_OUT))
                return false;
    return true;
}

/* The mask broadcasts to the scores, and its last axis is theirs. */
static bool mask_fits(const attention_work *w, int32_t mask, const ln_desc *scores)
{
    const ln_desc *d = part_desc(w, mask);
    ln_desc both;

    return d->dtype == LINNET_F32 && d->rank >= 1 && d->rank <= scores->rank
           && d->dim[d->rank - 1] == scores->dim[scores->rank - 1] && ln_broadcast(d, scores, &both)
           && ln_same_shape(&both, scores);
}

/* ---- operands --------------------------------------------------------------------- */

/* Where each axis of [batch, heads, tokens, size] stands in the source of a transpose. */
static bool operand_axes(const ln_node *t, int32_t rank, bool turned, int32_t *heads, int32_t *tokens)
{
    const ln_ints *perm = ln_node_field(t, "perm");
    const int32_t first = rank - 3; /* axis of heads; the batch is before it, or absent */

    if (!perm || perm->count != (size_t)rank || (first == 1 && perm->v[0] != 0))
        return false;
    *heads = (int32_t)perm->v[first];
    *tokens = (int32_t)perm->v[turned ? rank - 1 : rank - 2];
    return perm->v[turned ? rank - 2 : rank - 1] == rank - 1;
}

/*
 * The value that operand v ([batch, heads, tokens, size], or with the last two axes changed where
 * `turned`) is in another order of axes.
 */
static bool operand_find(const attention_work *w, int32_t *v, bool turned, int32_t bit, attention_parts *a)
{
    const int32_t rank = part_desc(w, *v)->rank;
    const ln_node *t = part_maker(w, *v, "Transpose");
    int32_t heads, tokens;

    if (t && operand_axes(t, rank, turned, &heads, &tokens)) {
        *v = t->in[0];
        a->form |= tokens < heads ? 1 << bit : 0;
        return true;
    }
    return !turned;
}

/* Heads of keys or values before they were repeated: Reshape of Expand of a view; else v. */
static int32_t operand_group(const attention_work *w, int32_t v, bool tokens_first)
{
    const ln_desc *d = part_desc(w, v);
    const int32_t rank = d->rank, axis = tokens_first ? rank - 2 : rank - 3;
    const ln_node *merge = part_maker(w, v, "Reshape");
    const ln_node *repeat = merge ? part_maker(w, merge->in[0], "Expand") : NULL;
    const ln_node *view = repeat ? part_maker(w, repeat->in[0], "Unsqueeze") : NULL;

    if (repeat && !view)
        view = part_maker(w, repeat->in[0], "Reshape");
    if (!view)
        return v;
    const ln_desc *wide = part_desc(w, repeat->out[0]), *narrow = part_desc(w, repeat->in[0]);
    const ln_desc *x = part_desc(w, view->in[0]);
    if (wide->rank != rank + 1 || narrow->rank != rank + 1 || x->rank != rank || narrow->dim[axis + 1] != 1
        || x->dim[axis] < 1 || wide->dim[axis] * wide->dim[axis + 1] != d->dim[axis])
        return v;
    for (int32_t i = 0; i < rank; i++) {
        const int32_t in_wide = i > axis ? i + 1 : i;
        if (x->dim[i] != narrow->dim[in_wide] || wide->dim[in_wide] != narrow->dim[in_wide]
            || (i != axis && x->dim[i] != d->dim[i]))
            return v;
    }
    return view->in[0];
}

/* ---- the pattern -------------------------------------------------------------------- */

/* From the softmax up to the product of queries and keys. */
static const ln_node *part_scores(const attention_work *w, attention_parts *a)
{
    const ln_node *n = part_maker(w, a->soft, "Softmax");
    const int64_t *axis = n ? ln_node_field(n, "axis") : NULL;
    const ln_desc *d = part_desc(w, a->soft);

    if (!axis || w->use[a->soft] != 1 || (*axis != -1 && *axis != d->rank - 1) || d->dtype != LINNET_F32)
        return NULL;
    int32_t x = n->in[0];
    const ln_node *add = part_maker(w, x, "Add");
    for (int32_t i = 0; add && add->in_count == 2 && i < 2 && a->mask == LN_NONE; i++) {
        int32_t scores = add->in[i];
        float ignored = 1.0f;
        while (part_scaled(w, scores, &scores, &ignored))
            ;
        if (w->use[x] == 1 && part_maker(w, scores, "MatMul") && mask_fits(w, add->in[1 - i], d)
            && ln_same_shape(part_desc(w, add->in[i]), d)) {
            x = add->in[i];
            a->mask = add->in[1 - i];
        }
    }
    while (part_scaled(w, x, &x, &a->scale))
        ;
    n = part_maker(w, x, "MatMul");
    return n && w->use[x] == 1 && n->in_count == 2 && ln_same_shape(part_desc(w, x), d) ? n : NULL;
}

/* All operands in the same rank and batch, and heads that go together. */
static bool part_operands(const attention_work *w, attention_parts *a)
{
    const int32_t rank = part_desc(w, a->soft)->rank;

    if ((rank != 3 && rank != 4) || part_desc(w, a->q)->rank != rank || part_desc(w, a->k)->rank != rank
        || part_desc(w, a->v)->rank != rank)
        return false;
    for (int32_t i = 0; i < rank - 2; i++) /* MatMul would repeat an operand with one batch entry */
        if (part_desc(w, a->q)->dim[i] != part_desc(w, a->k)->dim[i]
            || part_desc(w, a->q)->dim[i] != part_desc(w, a->v)->dim[i])
            return false;
    if (part_desc(w, a->q)->dim[rank - 3] < 1)
        return false;
    while (part_scaled(w, a->q, &a->q, &a->scale))
        ;
    if (!operand_find(w, &a->q, false, FOUND_Q, a) || !operand_find(w, &a->k, true, FOUND_K, a)
        || !operand_find(w, &a->v, false, FOUND_V, a))
        return false;
    const int32_t k = operand_group(w, a->k, a->form >> FOUND_K & 1), v = operand_group(w, a->v, a->form >> FOUND_V & 1);
    const int32_t hk = a->form >> FOUND_K & 1 ? rank - 2 : rank - 3, hv = a->form >> FOUND_V & 1 ? rank - 2 : rank - 3;
    if (part_desc(w, k)->dim[hk] == part_desc(w, v)->dim[hv]) {
        a->k = k;
        a->v = v;
    }
    return true;
}

static bool part_match(const attention_work *w, const ln_node *n, attention_parts *a)
{
    *a = (attention_parts){ .mask = LN_NONE, .scale = 1.0f, .form = FOUND_GIVEN };
    if (n->dynamic || strcmp(n->op->name, "MatMul") != 0 || n->in_count != 2)
        return false;
    a->soft = n->in[0];
    a->v = n->in[1];
    a->out = n->out[0];
    const ln_node *scores = part_scores(w, a);
    if (!scores)
        return false;
    a->q = scores->in[0];
    a->k = scores->in[1];
    if (!part_operands(w, a))
        return false;
    if (a->mask != LN_NONE && mask_causal(w, a->mask)) {
        a->causal = true;
        a->mask = LN_NONE;
    }
    return true;
}

/* Make n the Attention of these parts. */
static linnet_status part_replace(const attention_work *w, ln_node *n, const attention_parts *a)
{
    static const int32_t operands = 4;
    const ln_op *op = ln_op_find("Attention");

    if (!op)
        return LINNET_OK;
    int32_t *in = ln_arena_alloc(w->g->arena, (size_t)operands, sizeof *in);
    int32_t *out = ln_arena_alloc(w->g->arena, 1, sizeof *out);
    void *param = ln_param_new(w->p->keep, op);
    if (!in || !out || !param)
        return ln_fail(w->p->err, LINNET_ERR_MEMORY, "out of memory while planning");
    in[0] = a->q;
    in[1] = a->k;
    in[2] = a->v;
    in[3] = a->mask;
    out[0] = a->out;
    n->op = op;
    n->param = param;
    n->in = in;
    n->out = out;
    n->in_count = a->mask == LN_NONE ? operands - 1 : operands;
    n->out_count = 1;
    *(int64_t *)ln_node_field(n, "ln.form") = a->form;
    *(int64_t *)ln_node_field(n, "is_causal") = a->causal;
    *(float *)ln_node_field(n, "scale") = a->scale;
    return LINNET_OK;
}

/* The one reader of n's output, if it is a transpose that puts tokens before heads; or NULL. */
static ln_node *part_reader(const attention_work *w, const ln_node *n, size_t index)
{
    const int32_t rank = part_desc(w, n->out[0])->rank;

    for (size_t i = index + 1; w->use[n->out[0]] == 1 && i < w->g->node_count; i++) {
        ln_node *t = &w->g->node[i];
        int32_t heads, tokens;
        if (t->in_count < 1 || t->in[0] != n->out[0])
            continue;
        return !t->dynamic && strcmp(t->op->name, "Transpose") == 0 && operand_axes(t, rank, false, &heads, &tokens)
               && tokens < heads ? t : NULL;
    }
    return NULL;
}

linnet_status ln_pass_attention(const ln_pass *p)
{
    ln_graph *g = p->g;
    attention_work w = { .p = p, .g = g };
    attention_parts a;

    w.use = ln_arena_alloc(g->arena, g->value_count + 1, sizeof *w.use);
    if (!w.use)
        return ln_fail(p->err, LINNET_ERR_MEMORY, "out of memory while planning");
    ln_graph_uses(g, w.use);
    for (size_t i = 0; i < g->node_count; i++) {
        if (!part_match(&w, &g->node[i], &a))
            continue;
        ln_node *t = part_reader(&w, &g->node[i], i);
        if (t) { /* the transpose makes place: nothing wants what it would give */
            a.out = t->out[0];
            a.form |= 1 << FOUND_Y;
            t->out_count = 0;
        }
        const linnet_status st = part_replace(&w, &g->node[i], &a);
        if (st)
            return st;
    }
    return ln_pass_clean(p);
}

#undef MASK_OUT
