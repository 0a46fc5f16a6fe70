/*
 * graph_node.c - nodes: an operator with its parameters, as its table takes them from attributes.
 *
 * Nothing here recurses: a subgraph is finished before the node that owns it is made, and what it takes
 * from outside is bound at that moment.
 */
#include "graph.h"

/* ---- attributes -------------------------------------------------------------- */

static const char *const attr_type_name[] = {
    "nothing", "an int", "a float", "a string", "ints", "floats", "strings", "a tensor", "a graph"
};

void *ln_param_new(ln_arena *arena, const ln_op *op)
{
    void *param = ln_arena_alloc(arena, 1, LN_MAX(op->param_size, 1u));

    if (param && op->context)
        memcpy(param, &op->context, sizeof op->context);
    for (const ln_attr *a = op->attr; param && a && a->name; a++) {
        char *field = (char *)param + a->offset;
        if (a->type == LN_ATTR_I64)
            *(int64_t *)(void *)field = (int64_t)a->preset;
        else if (a->type == LN_ATTR_F32)
            *(float *)(void *)field = (float)a->preset;
    }
    return param;
}

/* A deep copy of what `from` points to. */
static bool attr_copy(ln_arena *arena, const ln_attr_value *from, ln_attr_value *to)
{
    *to = *from;
    to->name = ln_arena_string(arena, from->name, strlen(from->name));
    if (!to->name)
        return false;
    switch (from->type) {
    case LN_ATTR_STR:
        to->u.s = ln_arena_string(arena, from->u.s, strlen(from->u.s));
        return to->u.s != NULL;
    case LN_ATTR_INTS:
        to->u.ints.v = ln_arena_copy(arena, from->u.ints.v, from->u.ints.count * sizeof(int64_t));
        return to->u.ints.v || !from->u.ints.count;
    case LN_ATTR_FLOATS:
        to->u.floats.v = ln_arena_copy(arena, from->u.floats.v, from->u.floats.count * sizeof(float));
        return to->u.floats.v || !from->u.floats.count;
    case LN_ATTR_STRS: {
        const char **list = ln_arena_alloc(arena, from->u.strs.count, sizeof *list);
        for (size_t i = 0; list && i < from->u.strs.count; i++)
            if (!(list[i] = ln_arena_string(arena, from->u.strs.v[i], strlen(from->u.strs.v[i]))))
                return false;
        to->u.strs.v = list;
        return list || !from->u.strs.count;
    }
    default:
        return true;
    }
}

static void attr_store(const ln_attr *a, const ln_attr_value *v, void *param)
{
    void *field = (char *)param + a->offset;

    switch (a->type) {
    case LN_ATTR_I64:    memcpy(field, &v->u.i, sizeof v->u.i); break;
    case LN_ATTR_F32:    memcpy(field, &v->u.f, sizeof v->u.f); break;
    case LN_ATTR_STR:    memcpy(field, &v->u.s, sizeof v->u.s); break;
    case LN_ATTR_INTS:   memcpy(field, &v->u.ints, sizeof v->u.ints); break;
    case LN_ATTR_FLOATS: memcpy(field, &v->u.floats, sizeof v->u.floats); break;
    case LN_ATTR_STRS:   memcpy(field, &v->u.strs, sizeof v->u.strs); break;
    case LN_ATTR_TENSOR: memcpy(field, &v->u.tensor, sizeof v->u.tensor); break;
    case LN_ATTR_GRAPH:  memcpy(field, &v->u.graph, sizeof v->u.graph); break;
    default: break;
    }
}

static bool attr_is_empty_list(const ln_attr_value *v)
{
    return (v->type == LN_ATTR_INTS && !v->u.ints.count) ||
           (v->type == LN_ATTR_FLOATS && !v->u.floats.count) ||
           (v->type == LN_ATTR_STRS && !v->u.strs.count);
}

/* What the subgraph takes from g becomes a captured value of the node. */
static linnet_status graph_capture(ln_graph *g, ln_node *n, ln_graph *sub, linnet_error *err)
{
    size_t count = (size_t)n->capture_count, cap = count;

    for (size_t i = 0; i < sub->value_count; i++) {
        ln_value *v = &sub->value[i];
        if (v->outer == LN_NONE)
            continue;
        int32_t mine;
        const linnet_status st = ln_graph_value(g, v->name, &mine, err);
        if (st)
            return st;
        v->outer = mine;
        if (!ln_graph_push(g, &n->capture, &count, &cap, mine))
            return ln_graph_full(err);
        n->capture_count = (int32_t)count;
    }
    return LINNET_OK;
}

linnet_status ln_graph_set_attr(ln_graph *g, int32_t index, const ln_attr_value *v, linnet_error *err)
{
    ln_node *n = &g->node[index];
    const ln_attr *a = n->op->attr;

    while (a && a->name && strcmp(a->name, v->name) != 0)
        a++;
    if (!a || !a->name || strncmp(v->name, "ln.", 3) == 0)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "%s \"%s\": attribute \"%s\" is not supported",
                       n->op->name, n->name, v->name);
    if (a->type != v->type) {
        if (attr_is_empty_list(v))
            return LINNET_OK; /* some writers lose the type of an empty list */
        return ln_fail(err, LINNET_ERR_FORMAT, "%s \"%s\": attribute \"%s\" is %s where %s is wanted",
                       n->op->name, n->name, v->name, attr_type_name[v->type], attr_type_name[a->type]);
    }
    if (v->type == LN_ATTR_GRAPH) {
        const linnet_status st = graph_capture(g, n, v->u.graph, err);
        if (st)
            return st;
    }
    ln_attr_value copy;
    if (!attr_copy(g->arena, v, &copy))
        return ln_graph_full(err);
    size_t i = 0;
    while (i < n->attr_count && strcmp(n->attr[i].name, v->name) != 0)
        i++;
    if (i == n->attr_count) {
        ln_attr_value *list = ln_arena_alloc(g->arena, n->attr_count + 1, sizeof *list);
        if (!list)
            return ln_graph_full(err);
        if (i)
            memcpy(list, n->attr, i * sizeof *list);
        n->attr = list;
        n->attr_count++;
    }
    n->attr[i] = copy;
    attr_store(a, &copy, n->param);
    return LINNET_OK;
}

/* ---- nodes ---------------------------------------------------------------------- */

static linnet_status node_check_counts(const ln_op *op, const char *layer, size_t in, size_t out,
                                       linnet_error *err)
{
    const size_t out_max = op->out_max ? op->out_max : 1;
    const size_t out_min = op->out_max ? op->out_min : 1;

    if (in < op->in_min || (op->in_max != 255 && in > op->in_max))
        return ln_fail(err, LINNET_ERR_FORMAT, "%s \"%s\" has %zu inputs; it takes %u to %u", op->name,
                       layer, in, (unsigned)op->in_min, (unsigned)op->in_max);
    if (out < out_min || (out_max != 255 && out > out_max))
        return ln_fail(err, LINNET_ERR_FORMAT, "%s \"%s\" has %zu outputs; it gives %zu to %zu", op->name,
                       layer, out, out_min, out_max);
    return LINNET_OK;
}

static linnet_status node_names(ln_graph *g, const char *const *name, size_t count, int32_t *index,
                                linnet_error *err)
{
    for (size_t i = 0; i < count; i++) {
        index[i] = LN_NONE;
        if (!name[i] || !name[i][0])
            continue;
        const linnet_status st = ln_graph_value(g, name[i], &index[i], err);
        if (st)
            return st;
    }
    return LINNET_OK;
}

static const ln_op *node_op(const ln_graph *g, const char *name)
{
    for (size_t i = 0; i < g->custom_count; i++)
        if (strcmp(g->custom[i].name, name) == 0)
            return &g->custom[i];
    return strncmp(name, "ln.", 3) == 0 ? NULL : ln_op_find(name);
}

linnet_status ln_graph_node(ln_graph *g, const char *op_name, const char *layer,
                            const char *const *in, size_t in_count,
                            const char *const *out, size_t out_count,
                            const ln_attr_value *attr, size_t attr_count,
                            int32_t *index, linnet_error *err)
{
    const ln_op *op = node_op(g, op_name);

    if (!op)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "operator %s (layer \"%s\") is not supported", op_name,
                       layer);
    if (g->node_count >= g->limits->nodes || g->node_count >= INT32_MAX - 1)
        return ln_fail(err, LINNET_ERR_LIMIT, "more than %llu layers", (unsigned long long)g->limits->nodes);
    while (in_count && (!in[in_count - 1] || !in[in_count - 1][0]))
        in_count--;
    linnet_status st = node_check_counts(op, layer, in_count, out_count, err);
    if (st)
        return st;

    ln_node n = { .op = op };
    n.name = ln_arena_string(g->arena, layer, strlen(layer));
    n.param = ln_param_new(g->arena, op);
    n.in = ln_arena_alloc(g->arena, LN_MAX(in_count, (size_t)1), sizeof *n.in);
    n.out = ln_arena_alloc(g->arena, LN_MAX(out_count, (size_t)1), sizeof *n.out);
    if (!n.name || !n.param || !n.in || !n.out)
        return ln_graph_full(err);
    n.in_count = (int32_t)in_count;
    n.out_count = (int32_t)out_count;
    if ((st = node_names(g, in, in_count, n.in, err)) != LINNET_OK ||
        (st = node_names(g, out, out_count, n.out, err)) != LINNET_OK)
        return st;

    const int32_t at = (int32_t)g->node_count;
    for (size_t i = 0; i < out_count; i++) {
        if (n.out[i] == LN_NONE)
            continue;
        ln_value *v = &g->value[n.out[i]];
        if (v->constant || v->input || v->producer != LN_NONE) {
            for (size_t k = 0; k < i; k++) /* undo: the model stays as it was */
                if (n.out[k] != LN_NONE)
                    g->value[n.out[k]].producer = LN_NONE;
            return ln_fail(err, LINNET_ERR_FORMAT, "%s \"%s\": output \"%s\" is defined twice", op->name,
                           layer, v->name);
        }
        v->producer = at;
    }
    ln_node *slot = ln_grow(g->arena, (void **)&g->node, &g->node_count, &g->node_cap, sizeof *slot);
    if (!slot)
        return ln_graph_full(err);
    *slot = n;
    for (size_t i = 0; i < attr_count; i++)
        if ((st = ln_graph_set_attr(g, at, &attr[i], err)) != LINNET_OK)
            return st;
    if (index)
        *index = at;
    return LINNET_OK;
}

linnet_status ln_node_check_must(const ln_node *n, linnet_error *err)
{
    for (const ln_attr *a = n->op->attr; a && a->name; a++) {
        size_t i = 0;
        while (a->must && i < n->attr_count && strcmp(n->attr[i].name, a->name) != 0)
            i++;
        if (a->must && i == n->attr_count)
            return ln_fail(err, LINNET_ERR_FORMAT, "%s \"%s\": attribute \"%s\" is missing", n->op->name,
                           n->name, a->name);
    }
    return LINNET_OK;
}
