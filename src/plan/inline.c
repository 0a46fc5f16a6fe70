/*
 * inline.c - an If whose condition is known while planning becomes the nodes of its branch.
 *
 * Exporters write an If around every squeeze whose axis might not be 1; once shapes are known it is
 * decided, and what stood inside can be planned like everything else.
 */
#include "plan.h"

static linnet_status inline_full(linnet_error *err)
{
    return ln_fail(err, LINNET_ERR_MEMORY, "out of memory while planning");
}

/* The branch that node n takes, and where its captures begin; NULL: not decided, or no If. */
static const ln_graph *inline_branch(const ln_graph *g, const ln_node *n, int32_t *captures)
{
    const ln_graph *taken = NULL;
    int32_t at = 0;

    if (strcmp(n->op->name, "If") != 0 || n->in_count < 1 || n->in[0] == LN_NONE)
        return NULL;
    const ln_value *cond = &g->value[n->in[0]];
    if (!cond->constant || cond->desc.dtype != LINNET_BOOL || ln_count(&cond->desc) != 1 || !cond->data)
        return NULL;
    const char *name = ln_get_i64(LINNET_BOOL, cond->data, 0) ? "then_branch" : "else_branch";
    for (size_t i = 0; i < n->attr_count; i++) {
        if (n->attr[i].type != LN_ATTR_GRAPH)
            continue;
        const ln_graph *sub = n->attr[i].u.graph;
        if (strcmp(n->attr[i].name, name) == 0) {
            taken = sub;
            *captures = at;
        }
        for (size_t k = 0; k < sub->value_count; k++)
            at += sub->value[k].outer != LN_NONE;
    }
    return taken && taken->input_count == 0 && taken->output_count >= (size_t)n->out_count ? taken : NULL;
}

/* The value of g for every value of the branch; *own[k]: output k is one that a node of the branch makes. */
static linnet_status inline_values(ln_graph *g, const ln_node *n, const ln_graph *sub, int32_t captures, int32_t *map,
                                   bool *own, linnet_error *err)
{
    for (size_t i = 0; i < sub->value_count; i++) {
        const ln_value *v = &sub->value[i];
        map[i] = v->outer != LN_NONE ? n->capture[captures++] : LN_NONE;
    }
    for (int32_t k = 0; k < n->out_count; k++) {
        const int32_t v = sub->output[k];
        own[k] = n->out[k] != LN_NONE && map[v] == LN_NONE && sub->value[v].producer != LN_NONE;
        if (own[k])
            map[v] = n->out[k];
    }
    for (size_t i = 0; i < sub->value_count; i++) {
        const ln_value *v = &sub->value[i];
        if (map[i] != LN_NONE)
            continue;
        const linnet_status st = ln_graph_add_value(g, v, &map[i], err);
        if (st)
            return st;
        ln_value *to = &g->value[map[i]];
        to->constant = to->shaped = v->constant;
        to->data = v->data;
        to->size = v->size;
        to->id = v->id;
        to->kind = v->kind;
    }
    return LINNET_OK;
}

static int32_t *inline_list(ln_graph *g, const int32_t *from, int32_t count, const int32_t *map)
{
    int32_t *to = ln_arena_alloc(g->arena, (size_t)LN_MAX(count, 1), sizeof *to);

    for (int32_t i = 0; to && i < count; i++)
        to[i] = from[i] == LN_NONE ? LN_NONE : map[from[i]];
    return to;
}

/* The nodes of the branch, then one that copies each output that comes from elsewhere. */
static linnet_status inline_nodes(ln_graph *g, const ln_node *n, const ln_graph *sub, const int32_t *map,
                                  const bool *own, ln_node *to, size_t *count, linnet_error *err)
{
    *count = 0;
    for (size_t i = 0; i < sub->node_count; i++) {
        const ln_node *from = &sub->node[i];
        ln_node *node = &to[(*count)++];
        *node = *from;
        node->key = from->key ? from->key : (uint64_t)(uintptr_t)from;
        node->in = inline_list(g, from->in, from->in_count, map);
        node->out = inline_list(g, from->out, from->out_count, map);
        node->capture = inline_list(g, from->capture, from->capture_count, map);
        if (!node->in || !node->out || !node->capture)
            return inline_full(err);
    }
    for (int32_t k = 0; k < n->out_count; k++) {
        if (own[k] || n->out[k] == LN_NONE)
            continue;
        ln_node *node = &to[(*count)++];
        *node = (ln_node){ .op = ln_op_find("Identity"), .name = n->name, .in_count = 1, .out_count = 1 };
        node->in = ln_arena_copy(g->arena, &map[sub->output[k]], sizeof *node->in);
        node->out = ln_arena_copy(g->arena, &n->out[k], sizeof *node->out);
        if (!node->op || !node->in || !node->out)
            return node->op ? inline_full(err) : ln_fail(err, LINNET_ERR_UNSUPPORTED, "Identity is not built");
    }
    return LINNET_OK;
}

linnet_status ln_plan_inline(ln_planner *pl, size_t index, bool *done, linnet_error *err)
{
    ln_graph *g = pl->g;
    const ln_node n = g->node[index];
    int32_t captures = 0;
    const ln_graph *sub = inline_branch(g, &n, &captures);
    size_t most, all, count;

    *done = false;
    if (!sub)
        return LINNET_OK;
    int32_t *map = ln_arena_alloc(g->arena, sub->value_count + 1, sizeof *map);
    bool *own = ln_arena_alloc(g->arena, (size_t)n.out_count + 1, sizeof *own);
    if (!ln_add(sub->node_count, (size_t)n.out_count, &most) || !ln_add(g->node_count, most, &all))
        return inline_full(err);
    ln_node *node = ln_arena_alloc(g->arena, all, sizeof *node);
    if (!map || !own || !node)
        return inline_full(err);
    linnet_status st = inline_values(g, &n, sub, captures, map, own, err);
    if (!st)
        st = inline_nodes(g, &n, sub, map, own, node + index, &count, err);
    if (st)
        return st;
    memcpy(node, g->node, index * sizeof *node);
    memcpy(node + index + count, g->node + index + 1, (g->node_count - index - 1) * sizeof *node);
    g->node = node;
    g->node_count = g->node_cap = g->node_count - 1 + count;
    *done = true;
    return LINNET_OK;
}
