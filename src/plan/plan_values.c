/*
 * plan_values.c - which values share memory, and from which step to which they need it.
 *
 * Values that are the same bytes (views, in-place results) have one root, and each root one
 * block of the arena.
 */
#include "plan_work.h"

int32_t ln_plan_root(const ln_plan_work *w, int32_t v)
{
    while (w->value[v].root != v) {
        w->value[v].root = w->value[w->value[v].root].root; /* halve long chains of views */
        v = w->value[v].root;
    }
    return v;
}

bool ln_plan_is_view(const ln_graph *g, const ln_node *n)
{
    return (n->op->flags & LN_OP_VIEW) && !n->dynamic && n->in[0] != LN_NONE &&
           g->value[n->in[0]].shaped && n->out[0] != LN_NONE;
}

/*
 * Outputs that are tied to an input and repeat it but for a few rows are written in the input's
 * memory, where nothing else looks at what was there before.
 */
static linnet_status plan_ties(ln_plan_work *w)
{
    const ln_graph *g = w->g;
    int32_t *use = ln_arena_alloc(w->pl.brief, g->value_count + 1, sizeof *use);

    if (!use)
        return ln_plan_full(w->err);
    ln_graph_uses(g, use);
    for (size_t i = 0; i < w->plan->config.tie_count; i++) {
        const ln_tie *t = &w->plan->config.tie[i];
        const int32_t out = g->output[t->output], in = g->input[t->input];
        const ln_node *n = g->value[out].producer == LN_NONE ? NULL : &g->node[g->value[out].producer];

        if (!n || n->dynamic || !(n->op->flags & LN_OP_CACHE) || n->out[0] != out || n->in[0] != in || use[in] != 1 ||
            !g->value[out].shaped || !ln_same_shape(&g->value[out].desc, &g->value[in].desc))
            continue;
        w->value[out].root = in;
        w->value[out].tied = true;
    }
    return LINNET_OK;
}

linnet_status ln_plan_values(ln_plan_work *w)
{
    const ln_graph *g = w->g;

    w->value = ln_arena_alloc(w->pl.brief, g->value_count + 1, sizeof *w->value);
    if (!w->value)
        return ln_plan_full(w->err);
    for (size_t i = 0; i < g->value_count; i++) {
        ln_plan_value *v = &w->value[i];
        v->root = (int32_t)i;
        v->last = v->block = v->input = LN_NONE;
    }
    for (size_t i = 0; i < g->input_count; i++)
        w->value[g->input[i]].input = (int32_t)i;
    for (size_t i = 0; i < g->node_count; i++)
        if (ln_plan_is_view(g, &g->node[i]))
            w->value[g->node[i].out[0]].root = g->node[i].in[0];
    return plan_ties(w);
}

static void plan_use(ln_plan_work *w, int32_t value, int32_t step)
{
    if (value != LN_NONE) {
        ln_plan_value *root = &w->value[ln_plan_root(w, value)];
        root->last = LN_MAX(root->last, step);
    }
}

void ln_plan_lifetimes(ln_plan_work *w)
{
    const ln_graph *g = w->g;
    int32_t step = 0;

    for (size_t i = 0; i < g->node_count; i++) {
        const ln_node *n = &g->node[i];
        if (ln_plan_is_view(g, n))
            continue;
        for (int32_t k = 0; k < n->in_count; k++)
            plan_use(w, n->in[k], step);
        for (int32_t k = 0; k < n->capture_count; k++)
            plan_use(w, n->capture[k], step);
        step++;
    }
    for (size_t i = 0; i < g->output_count; i++) {
        plan_use(w, g->output[i], step);
        w->value[ln_plan_root(w, g->output[i])].pinned = true;
    }
}

bool ln_plan_is_buffer(const ln_plan_work *w, int32_t v)
{
    const int32_t root = ln_plan_root(w, v);

    return !w->g->value[root].constant && w->value[root].input == LN_NONE && w->g->value[root].shaped;
}

linnet_status ln_plan_new_block(ln_plan_work *w, size_t size, int32_t first, int32_t last, int32_t *out)
{
    ln_buffer *b = &w->block[w->block_count];

    *b = (ln_buffer){ size, 0, first, last };
    *out = (int32_t)w->block_count++;
    return LINNET_OK;
}

/* Output 0 of node n may take the memory of one of its inputs: *root, or LN_NONE. */
static int32_t plan_in_place(const ln_plan_work *w, const ln_node *n, int32_t step, size_t size)
{
    for (int32_t i = 0; i < n->in_count && i < 32; i++) {
        if (!(n->op->inplace >> i & 1) || n->in[i] == LN_NONE || !ln_plan_is_buffer(w, n->in[i]))
            continue;
        const int32_t root = ln_plan_root(w, n->in[i]);
        const ln_plan_value *r = &w->value[root];
        size_t bytes;
        int32_t same = 0;
        for (int32_t k = 0; k < n->in_count; k++)
            same += n->in[k] != LN_NONE && ln_plan_root(w, n->in[k]) == root;
        if (r->last == step && !r->pinned && same == 1 && r->block != LN_NONE &&
            ln_desc_bytes(&w->g->value[n->in[i]].desc, &bytes) && bytes == size &&
            w->block[r->block].size >= size)
            return root;
    }
    return LN_NONE;
}

linnet_status ln_plan_outputs(ln_plan_work *w, const ln_node *n, int32_t step)
{
    for (int32_t k = 0; k < n->out_count; k++) {
        size_t size;
        if (n->out[k] == LN_NONE)
            continue;
        ln_plan_value *v = &w->value[n->out[k]];
        if (!ln_desc_bytes(&w->g->value[n->out[k]].desc, &size))
            return ln_plan_full(w->err);
        if (v->tied || (v->last == LN_NONE && !v->pinned))
            continue; /* it has memory, or nobody wants it */
        const int32_t over = k == 0 ? plan_in_place(w, n, step, size) : LN_NONE;
        if (over != LN_NONE) {
            ln_plan_value *r = &w->value[over];
            r->last = LN_MAX(r->last, v->last);
            r->pinned = r->pinned || v->pinned;
            v->root = over;
            w->block[r->block].last = r->last;
        } else {
            const linnet_status st = ln_plan_new_block(w, size, step, v->last, &v->block);
            if (st)
                return st;
        }
    }
    return LINNET_OK;
}

linnet_status ln_plan_slot(ln_plan_work *w, int32_t value, ln_slot **out)
{
    *out = NULL;
    if (value == LN_NONE)
        return LINNET_OK;
    ln_plan_value *v = &w->value[value];
    if (!v->slot) {
        v->slot = ln_arena_alloc(w->pl.keep, 1, sizeof *v->slot);
        if (!v->slot)
            return ln_plan_full(w->err);
        v->slot->desc = w->g->value[value].desc;
    }
    *out = v->slot;
    return LINNET_OK;
}

linnet_status ln_plan_keep_constant(ln_plan_work *w, ln_value *v)
{
    if (!v->brief || !v->size)
        return LINNET_OK;
    void *copy = ln_arena_block(w->pl.keep, v->size);
    if (!copy)
        return ln_plan_full(w->err);
    memcpy(copy, v->data, v->size);
    v->data = copy;
    v->brief = false;
    return LINNET_OK;
}
