/*
 * pass_chain.c - convolutions one after another become one node that runs strip by strip.
 *
 * Where a large tensor goes from one convolution to the next and to nobody else, and both can compute some
 * rows from some rows, they are parts of a chain (LN_CHAIN): the tensor then never leaves the caches. Small
 * tensors stay there anyhow, and before a still larger one nothing is gained. The largest come first, as chains
 * are short: so they begin and end where tensors are small. This pass is the last: shapes, layouts and epilogues
 * are what they will be.
 */
#include "pass.h"

#define CHAIN_LEAST ((size_t)1 << 19) /* bytes of a tensor that is worth it */

typedef struct chain_work {
    const ln_pass *p;
    ln_graph      *g;
    int32_t       *use;    /* readers of each value */
    int32_t       *reader; /* of each value, the last node that reads it, or LN_NONE */
    int32_t       *rows;   /* of each node: LN_ROWS_* */
    int32_t       *before, *behind; /* of each node: its neighbours in the chain, or LN_NONE */
} chain_work;

static linnet_status chain_full(const ln_pass *p)
{
    return ln_fail(p->err, LINNET_ERR_MEMORY, "out of memory while planning");
}

/* What node n can be in a chain: LN_ROWS_*. */
static linnet_status chain_ask(const chain_work *w, const ln_node *n, int32_t *answer)
{
    const size_t count = (size_t)n->in_count + 1;

    *answer = LN_ROWS_NO;
    if (!n->op->by_rows || n->out_count != 1)
        return LINNET_OK;
    ln_desc *in = ln_arena_alloc(w->g->arena, count, sizeof *in);
    const void **value = ln_arena_alloc(w->g->arena, count, sizeof *value);
    if (!in || !value)
        return chain_full(w->p);
    for (int32_t i = 0; i < n->in_count; i++) {
        if (n->in[i] == LN_NONE)
            continue;
        const ln_value *v = &w->g->value[n->in[i]];
        in[i] = v->desc;
        value[i] = v->constant ? v->data : NULL;
    }
    const ln_prepare q = { .param = n->param, .in_count = n->in_count, .in = in, .value = value,
                           .kernel = w->p->kernel, .workers = w->p->workers, .exact = w->p->exact };
    *answer = n->op->by_rows(&q);
    return LINNET_OK;
}

static bool chain_has_residual(const ln_node *n)
{
    return n->in_count > LN_RESIDUAL && n->in[LN_RESIDUAL] != LN_NONE;
}

/* Parts of the chain that node i is in; *first is the first of them. */
static int32_t chain_length(const chain_work *w, int32_t i, int32_t *first)
{
    int32_t count = 1;

    while (w->before[i] != LN_NONE)
        i = w->before[i];
    *first = i;
    for (; w->behind[i] != LN_NONE; i = w->behind[i])
        count++;
    return count;
}

/* Join node i and the one behind it, where at least `least` bytes are between them and all else allows it. */
static void chain_join(const chain_work *w, int32_t i, size_t least)
{
    const ln_node *n = &w->g->node[i];
    int32_t first;
    size_t bytes, out;

    if (w->rows[i] == LN_ROWS_NO || w->behind[i] != LN_NONE || chain_has_residual(n) || w->use[n->out[0]] != 1)
        return;
    const int32_t to = w->reader[n->out[0]];
    if (to == LN_NONE || w->rows[to] != LN_ROWS_ANY || w->g->node[to].in[0] != n->out[0] ||
        !ln_desc_bytes(&w->g->value[n->out[0]].desc, &bytes) || bytes < least ||
        !ln_desc_bytes(&w->g->value[w->g->node[to].out[0]].desc, &out) || bytes < out ||
        chain_length(w, i, &first) + chain_length(w, to, &first) > LN_CHAIN_MOST)
        return;
    w->behind[i] = to;
    w->before[to] = i;
}

/* The chain that begins with node i takes the place of its last part, where all that it needs exists. */
static linnet_status chain_link(const chain_work *w, int32_t i, const ln_op *op)
{
    ln_node *first = &w->g->node[i], *end = first;
    int32_t ignored, count = chain_length(w, i, &ignored);
    ln_chain *param = ln_param_new(w->p->keep, op);
    int32_t *in = ln_arena_alloc(w->g->arena, LN_CHAIN_PARTS + 2 * (size_t)count, sizeof *in);

    if (!param || !in)
        return chain_full(w->p);
    in[0] = first->in[0];
    for (; i != LN_NONE; i = w->behind[i]) {
        int32_t *to = in + LN_CHAIN_PARTS + 2 * param->count;

        end->op = NULL;
        end = &w->g->node[i];
        param->part[param->count++] = end->param;
        to[0] = end->in[1];
        to[1] = end->in_count > LN_BIAS ? end->in[LN_BIAS] : LN_NONE;
    }
    in[LN_CHAIN_ADD] = chain_has_residual(end) ? end->in[LN_RESIDUAL] : LN_NONE;
    end->op = op;
    end->param = param;
    end->in = in;
    end->in_count = LN_CHAIN_PARTS + 2 * count;
    return LINNET_OK;
}

static linnet_status chain_open(const ln_pass *p, chain_work *w)
{
    const size_t values = p->g->value_count + 1, nodes = p->g->node_count + 1;
    ln_arena *arena = p->g->arena;
    linnet_status st = LINNET_OK;

    w->p = p;
    w->g = p->g;
    w->use = ln_arena_alloc(arena, values, sizeof *w->use);
    w->reader = ln_arena_alloc(arena, values, sizeof *w->reader);
    w->rows = ln_arena_alloc(arena, nodes, sizeof *w->rows);
    w->before = ln_arena_alloc(arena, nodes, sizeof *w->before);
    w->behind = ln_arena_alloc(arena, nodes, sizeof *w->behind);
    if (!w->use || !w->reader || !w->rows || !w->before || !w->behind)
        return chain_full(p);
    ln_graph_uses(p->g, w->use);
    for (size_t i = 0; i < values; i++)
        w->reader[i] = LN_NONE;
    for (size_t i = 0; i < p->g->node_count && !st; i++) {
        const ln_node *n = &p->g->node[i];

        w->before[i] = w->behind[i] = LN_NONE;
        for (int32_t k = 0; k < n->in_count; k++)
            if (n->in[k] != LN_NONE)
                w->reader[n->in[k]] = (int32_t)i;
        st = chain_ask(w, n, &w->rows[i]);
    }
    return st;
}

linnet_status ln_pass_chain(const ln_pass *p)
{
    const ln_op *op = ln_op_find(LN_CHAIN);
    ln_graph *g = p->g;
    size_t largest = 0, bytes;
    chain_work w;
    linnet_status st = op ? chain_open(p, &w) : LINNET_OK;

    if (st || !op)
        return st;
    for (size_t i = 0; i < g->node_count; i++)
        if (w.rows[i] != LN_ROWS_NO && ln_desc_bytes(&g->value[g->node[i].out[0]].desc, &bytes))
            largest = LN_MAX(largest, bytes);
    for (size_t least = largest; largest >= CHAIN_LEAST; least /= 2) {
        for (size_t i = 0; i < g->node_count; i++)
            chain_join(&w, (int32_t)i, LN_MAX(least, CHAIN_LEAST));
        if (least <= CHAIN_LEAST)
            break;
    }
    for (size_t i = 0; i < g->node_count && !st; i++)
        if (w.before[i] == LN_NONE && w.behind[i] != LN_NONE)
            st = chain_link(&w, (int32_t)i, op);
    ln_graph_drop_nodes(g);
    return st;
}
