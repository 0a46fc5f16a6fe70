/*
 * pass_pool.c - a MaxPool goes into the convolution that it follows.
 *
 * The convolution's output is then pooled before it leaves the caches, and is never whole in memory. Of a
 * convolution whose output has that one reader, channels last; it moves to the place of the MaxPool.
 */
#include "pass.h"

/* The attributes of MaxPool, and those of the convolution that they become. */
static const struct { const char *from, *to; size_t size; } pool_attr[] = {
    { "kernel_shape", "ln.pool_kernel", sizeof(ln_ints) },
    { "strides", "ln.pool_strides", sizeof(ln_ints) },
    { "dilations", "ln.pool_dilations", sizeof(ln_ints) },
    { "pads", "ln.pool_pads", sizeof(ln_ints) },
    { "auto_pad", "ln.pool_auto_pad", sizeof(const char *) },
    { "ceil_mode", "ln.pool_ceil", sizeof(int64_t) },
};

/* The convolution that alone makes the input of n, a MaxPool without indices; or NULL. */
static ln_node *pool_target(const ln_graph *g, const int32_t *use, const ln_node *n)
{
    const int64_t *last = ln_node_field(n, "ln.channels_last");

    if (strcmp(n->op->name, "MaxPool") != 0 || n->dynamic || !last || *last != LN_LAST ||
        (n->out_count > 1 && n->out[1] != LN_NONE))
        return NULL;
    const int32_t v = n->in[0];
    if (v == LN_NONE || use[v] != 1 || g->value[v].producer == LN_NONE || g->value[v].desc.rank != 4 ||
        g->value[v].desc.dtype != LINNET_F32 || ln_count(&g->value[v].desc) == 0)
        return NULL;
    ln_node *t = &g->node[g->value[v].producer];
    const ln_ints *pooled = t->op ? ln_node_field(t, "ln.pool_kernel") : NULL;
    last = t->op ? ln_node_field(t, "ln.channels_last") : NULL;
    if (!pooled || pooled->count || !(t->op->flags & LN_OP_POOL) || t->dynamic || !last || *last == LN_FIRST ||
        (t->in_count > LN_RESIDUAL && t->in[LN_RESIDUAL] != LN_NONE) || ln_count(&g->value[t->in[0]].desc) == 0)
        return NULL;
    return t;
}

linnet_status ln_pass_pool(const ln_pass *p)
{
    ln_graph *g = p->g;
    int32_t *use = ln_arena_alloc(g->arena, g->value_count + 1, sizeof *use);

    if (!use)
        return ln_fail(p->err, LINNET_ERR_MEMORY, "out of memory while planning");
    ln_graph_uses(g, use);
    for (size_t i = 0; i < g->node_count; i++) {
        ln_node *n = &g->node[i], *t = pool_target(g, use, n);
        const ln_node pool = *n;

        if (!t)
            continue;
        const linnet_status st = ln_node_copy(p->keep, t, 0, n, p->err);
        if (st)
            return st;
        for (size_t k = 0; k < LN_COUNT(pool_attr); k++)
            memcpy(ln_node_field(n, pool_attr[k].to), ln_node_field(&pool, pool_attr[k].from), pool_attr[k].size);
        n->out[0] = pool.out[0];
        t->op = NULL;
    }
    ln_graph_drop_nodes(g);
    return LINNET_OK;
}
