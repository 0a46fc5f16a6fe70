/*
 * pass_join.c - concatenations of channels that convolutions write in place.
 *
 * Where every input of a Concat along the channels, which lie last, comes from a convolution that nobody
 * else reads, each convolution writes its part of the joined tensor: the first gives the
 * tensor with its own channels filled, each further one takes it (input LN_INTO) and gives it
 * back with more of them, so that their order is kept. The Concat goes.
 */
#include "pass.h"

typedef struct join_work {
    const ln_pass *p;
    ln_graph      *g;
    int32_t       *use; /* readers of each value */
} join_work;

static bool join_writer(const join_work *w, int32_t v)
{
    if (v == LN_NONE || w->use[v] != 1 || w->g->value[v].producer == LN_NONE)
        return false;
    const ln_node *n = &w->g->node[w->g->value[v].producer];
    const int64_t *last = ln_node_field(n, "ln.channels_last"), *width = ln_node_field(n, "ln.into_width");
    return (n->op->flags & LN_OP_INTO) && !n->dynamic && last && *last && width && *width == 0 &&
           (n->in_count <= LN_RESIDUAL || n->in[LN_RESIDUAL] == LN_NONE) &&
           ln_count(&w->g->value[n->in[0]].desc) > 0;
}

static bool join_applicable(const join_work *w, const ln_node *n)
{
    const int64_t *axis = ln_node_field(n, "axis");

    if (strcmp(n->op->name, "Concat") != 0 || n->dynamic || !axis || n->in_count < 2)
        return false;
    const ln_desc *out = &w->g->value[n->out[0]].desc;
    if (out->dtype != LINNET_F32 || out->rank < 3 || (*axis != out->rank - 1 && *axis != -1) || ln_count(out) == 0)
        return false;
    for (int32_t i = 0; i < n->in_count; i++)
        if (!join_writer(w, n->in[i]))
            return false;
    return true;
}

/* The writers one after another, each at the place of its channels. */
static linnet_status join_chain(join_work *w, const ln_node *n)
{
    const ln_value wide = w->g->value[n->out[0]];
    int32_t before = LN_NONE;
    linnet_status st;

    for (int32_t done = 0; done < n->in_count; done++) {
        int32_t next = LN_NONE, at = LN_NONE;
        int64_t offset = 0;

        for (int32_t i = 0; i < n->in_count; i++) { /* the earliest that does not write there yet */
            const int32_t made = w->g->value[n->in[i]].producer;
            if (made != LN_NONE && (next == LN_NONE || made < at))
                next = i, at = made;
        }
        w->g->value[n->in[next]].producer = LN_NONE;
        for (int32_t i = 0; i < next; i++)
            offset += w->g->value[n->in[i]].desc.dim[wide.desc.rank - 1];
        ln_node copy;
        if ((st = ln_node_copy(w->p->keep, &w->g->node[at], LN_INTO + 1, &copy, w->p->err)) != LINNET_OK)
            return st;
        *(int64_t *)ln_node_field(&copy, "ln.into_width") = wide.desc.dim[wide.desc.rank - 1];
        *(int64_t *)ln_node_field(&copy, "ln.into_at") = offset;
        copy.in[LN_INTO] = before;
        copy.out[0] = n->out[0];
        if (done + 1 < n->in_count && (st = ln_graph_add_value(w->g, &wide, &copy.out[0], w->p->err)) != LINNET_OK)
            return st;
        before = copy.out[0];
        w->g->value[before].producer = at;
        w->g->node[at] = copy;
    }
    return LINNET_OK;
}

linnet_status ln_pass_join(const ln_pass *p)
{
    ln_graph *g = p->g;
    join_work w = { p, g, ln_arena_alloc(g->arena, g->value_count + 1, sizeof *w.use) };

    if (!w.use)
        return ln_fail(p->err, LINNET_ERR_MEMORY, "out of memory while planning");
    ln_graph_uses(g, w.use);
    for (size_t i = 0; i < g->node_count; i++) {
        if (!join_applicable(&w, &g->node[i]))
            continue;
        const linnet_status st = join_chain(&w, &g->node[i]);
        if (st)
            return st;
        g->node[i].op = NULL;
    }
    ln_graph_drop_nodes(g);
    return LINNET_OK;
}
