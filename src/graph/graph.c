/*
 * graph.c - building a graph by names, and putting it into order.
 *
 * Names are looked up in an open-addressing table that lives in the graph's arena and
 * doubles when it is two thirds full. Nothing here recurses: a subgraph is finished before the
 * node that owns it is made, and what it takes from outside is bound at that moment.
 */
#include "graph.h"

struct ln_name_map {
    int32_t *slot; /* value index + 1; 0: free */
    size_t   size, used;
};

static uint32_t graph_hash(const char *s)
{
    uint32_t h = 2166136261u;

    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 16777619u;
    return h ^ h >> 15;
}

static linnet_status graph_full(linnet_error *err)
{
    return ln_fail(err, LINNET_ERR_MEMORY, "out of memory while building the graph");
}

linnet_status ln_graph_new(ln_arena *arena, const linnet_limits *limits, ln_graph *parent,
                           ln_graph **out, linnet_error *err)
{
    ln_graph *g = ln_arena_alloc(arena, 1, sizeof *g);

    if (!g)
        return graph_full(err);
    g->arena = arena;
    g->limits = limits;
    g->parent = parent;
    g->name = "";
    g->names = ln_arena_alloc(arena, 1, sizeof *g->names);
    g->id = parent ? parent->id : ln_arena_alloc(arena, 1, sizeof *g->id);
    g->custom = parent ? parent->custom : NULL;
    g->custom_count = parent ? parent->custom_count : 0;
    if (!g->names || !g->id)
        return graph_full(err);
    *out = g;
    return LINNET_OK;
}

/* Slot of `name`: its own, or the free one where it belongs. The table has a free slot. */
static size_t graph_slot(const ln_graph *g, const char *name)
{
    const struct ln_name_map *m = g->names;
    size_t i = graph_hash(name) & (m->size - 1);

    while (m->slot[i] && strcmp(g->value[m->slot[i] - 1].name, name) != 0)
        i = (i + 1) & (m->size - 1);
    return i;
}

static bool graph_names_grow(ln_graph *g)
{
    struct ln_name_map *m = g->names;
    const size_t size = m->size ? m->size * 2 : 64;
    int32_t *slot = ln_arena_alloc(g->arena, size, sizeof *slot);

    if (!slot)
        return false;
    m->slot = slot;
    m->size = size;
    for (size_t v = 0; v < g->value_count; v++)
        if (g->value[v].name[0])
            m->slot[graph_slot(g, g->value[v].name)] = (int32_t)v + 1;
    return true;
}

int32_t ln_graph_find(const ln_graph *g, const char *name)
{
    if (g->names->size == 0 || !name || !name[0])
        return LN_NONE;
    return g->names->slot[graph_slot(g, name)] - 1;
}

static linnet_status graph_new_value(ln_graph *g, const char *name, int32_t *out, linnet_error *err)
{
    if (g->value_count >= g->limits->tensors || g->value_count >= INT32_MAX - 1)
        return ln_fail(err, LINNET_ERR_LIMIT, "more than %llu values in the model",
                       (unsigned long long)g->limits->tensors);
    ln_value *v = ln_grow(g->arena, (void **)&g->value, &g->value_count, &g->value_cap, sizeof *v);
    if (!v)
        return graph_full(err);
    v->name = name;
    v->desc.rank = -1;
    v->producer = LN_NONE;
    v->outer = LN_NONE;
    *out = (int32_t)g->value_count - 1;
    return LINNET_OK;
}

linnet_status ln_graph_value(ln_graph *g, const char *name, int32_t *out, linnet_error *err)
{
    struct ln_name_map *m = g->names;
    const size_t length = strlen(name);

    *out = ln_graph_find(g, name);
    if (*out != LN_NONE)
        return LINNET_OK;
    if (length == 0)
        return ln_fail(err, LINNET_ERR_FORMAT, "a value without a name");
    if (m->used * 3 >= m->size * 2 && !graph_names_grow(g))
        return graph_full(err);
    const char *copy = ln_arena_string(g->arena, name, length);
    if (!copy)
        return graph_full(err);
    const linnet_status st = graph_new_value(g, copy, out, err);
    if (st)
        return st;
    m->slot[graph_slot(g, copy)] = *out + 1;
    m->used++;
    return LINNET_OK;
}

linnet_status ln_graph_add_value(ln_graph *g, const ln_value *like, int32_t *out, linnet_error *err)
{
    const ln_value copy = *like; /* `like` may point into the array that grows */
    const linnet_status st = graph_new_value(g, "", out, err);

    if (st)
        return st;
    ln_value *v = &g->value[*out];
    v->desc = copy.desc;
    v->shaped = copy.shaped;
    return LINNET_OK;
}

/* A value that must not have an origin yet. */
static linnet_status graph_fresh(ln_graph *g, const char *name, int32_t *out, linnet_error *err)
{
    const linnet_status st = ln_graph_value(g, name, out, err);

    if (st)
        return st;
    const ln_value *v = &g->value[*out];
    if (v->constant || v->input || v->producer != LN_NONE)
        return ln_fail(err, LINNET_ERR_FORMAT, "value \"%s\" is defined twice", name);
    return LINNET_OK;
}

linnet_status ln_graph_constant(ln_graph *g, const char *name, const ln_desc *desc,
                                const void *data, size_t size, int32_t *out, linnet_error *err)
{
    char text[LN_DESC_TEXT];
    size_t bytes, count;
    int32_t index;

    if (!ln_desc_bytes(desc, &bytes) || !ln_desc_count(desc, &count))
        return ln_fail(err, LINNET_ERR_FORMAT, "weight \"%s\": its size does not fit in memory", name);
    if (count > g->limits->elements || desc->rank > (int32_t)g->limits->rank)
        return ln_fail(err, LINNET_ERR_LIMIT, "weight \"%s\": %s is over the limit", name,
                       ln_desc_text(desc, text));
    if (bytes != size)
        return ln_fail(err, LINNET_ERR_FORMAT, "weight \"%s\": %s takes %zu bytes, the data has %zu", name,
                       ln_desc_text(desc, text), bytes, size);
    const linnet_status st = graph_fresh(g, name, &index, err);
    if (st)
        return st;
    ln_value *v = &g->value[index];
    v->desc = *desc;
    v->data = size ? data : NULL;
    v->size = size;
    v->constant = true;
    v->id = ++*g->id;
    if (out)
        *out = index;
    return LINNET_OK;
}

static bool graph_push(ln_graph *g, int32_t **list, size_t *count, size_t *cap, int32_t v)
{
    int32_t *item = ln_grow(g->arena, (void **)list, count, cap, sizeof *item);

    if (item)
        *item = v;
    return item != NULL;
}

linnet_status ln_graph_input(ln_graph *g, const char *name, const ln_desc *desc,
                             const char *const *symbol, int32_t *out, linnet_error *err)
{
    int32_t index;
    const linnet_status st = graph_fresh(g, name, &index, err);

    if (st)
        return st;
    if (desc->rank > (int32_t)g->limits->rank)
        return ln_fail(err, LINNET_ERR_LIMIT, "input \"%s\" has rank %d", name, (int)desc->rank);
    ln_value *v = &g->value[index];
    v->desc = *desc;
    for (int32_t i = 0; symbol && i < desc->rank; i++)
        if (symbol[i] && symbol[i][0]) {
            v->symbol[i] = ln_arena_string(g->arena, symbol[i], strlen(symbol[i]));
            if (!v->symbol[i])
                return graph_full(err);
        }
    if (!graph_push(g, &g->input, &g->input_count, &g->input_cap, index))
        return graph_full(err);
    g->value[index].input = true;
    if (out)
        *out = index;
    return LINNET_OK;
}

linnet_status ln_graph_output(ln_graph *g, const char *name, linnet_error *err)
{
    int32_t index;
    const linnet_status st = ln_graph_value(g, name, &index, err);

    if (st)
        return st;
    return graph_push(g, &g->output, &g->output_count, &g->output_cap, index) ? LINNET_OK : graph_full(err);
}

linnet_status ln_graph_meta(ln_graph *g, const char *key, const char *value, linnet_error *err)
{
    const char *k = ln_arena_string(g->arena, key, strlen(key));
    const char *v = ln_arena_string(g->arena, value, strlen(value));

    if (!k || !v)
        return graph_full(err);
    for (size_t i = 0; i < g->meta_count; i++)
        if (strcmp(g->meta[i].key, k) == 0) {
            g->meta[i].value = v;
            return LINNET_OK;
        }
    ln_meta *m = ln_grow(g->arena, (void **)&g->meta, &g->meta_count, &g->meta_cap, sizeof *m);
    if (!m)
        return graph_full(err);
    m->key = k;
    m->value = v;
    return LINNET_OK;
}

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
        if (!graph_push(g, &n->capture, &count, &cap, mine))
            return graph_full(err);
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
        return graph_full(err);
    size_t i = 0;
    while (i < n->attr_count && strcmp(n->attr[i].name, v->name) != 0)
        i++;
    if (i == n->attr_count) {
        ln_attr_value *list = ln_arena_alloc(g->arena, n->attr_count + 1, sizeof *list);
        if (!list)
            return graph_full(err);
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
        return graph_full(err);
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
        return graph_full(err);
    *slot = n;
    for (size_t i = 0; i < attr_count; i++)
        if ((st = ln_graph_set_attr(g, at, &attr[i], err)) != LINNET_OK)
            return st;
    if (index)
        *index = at;
    return LINNET_OK;
}

static linnet_status node_check_must(const ln_node *n, linnet_error *err)
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

/* ---- finishing ------------------------------------------------------------------------ */

/* Every value has an origin; in a subgraph those without are taken from outside. */
static linnet_status graph_check_origins(ln_graph *g, linnet_error *err)
{
    for (size_t i = 0; i < g->value_count; i++) {
        ln_value *v = &g->value[i];
        if (v->constant || v->producer != LN_NONE || v->input || !v->name[0])
            continue;
        if (!g->parent)
            return ln_fail(err, LINNET_ERR_FORMAT, "value \"%s\" comes from nowhere", v->name);
        v->outer = 0; /* bound by the node that owns this graph */
    }
    return LINNET_OK;
}

/* Values that node n needs, one at a time: i from 0 until false. */
static bool node_need(const ln_node *n, int32_t i, int32_t *value)
{
    if (i >= n->in_count + n->capture_count)
        return false;
    *value = i < n->in_count ? n->in[i] : n->capture[i - n->in_count];
    return true;
}

static int32_t node_wait_on(const ln_graph *g, int32_t value)
{
    return value == LN_NONE ? LN_NONE : g->value[value].producer;
}

static bool graph_is_ordered(const ln_graph *g)
{
    for (size_t i = 0; i < g->node_count; i++) {
        int32_t v;
        for (int32_t k = 0; node_need(&g->node[i], k, &v); k++)
            if (node_wait_on(g, v) >= (int32_t)i)
                return false;
    }
    return true;
}

/* Kahn's algorithm; consumers of each node in one list, found by counting. */
static linnet_status graph_sort(ln_graph *g, linnet_error *err)
{
    const size_t n = g->node_count;
    size_t edges = 0, head = 0, tail = 0;
    int32_t v;

    for (size_t i = 0; i < n; i++)
        edges += (size_t)g->node[i].in_count + (size_t)g->node[i].capture_count;
    size_t  *first = ln_arena_alloc(g->arena, n + 2, sizeof *first);
    int32_t *reader = ln_arena_alloc(g->arena, edges + 1, sizeof *reader);
    int32_t *missing = ln_arena_alloc(g->arena, n + 1, sizeof *missing);
    int32_t *order = ln_arena_alloc(g->arena, n + 1, sizeof *order);
    int32_t *place = ln_arena_alloc(g->arena, n + 1, sizeof *place);
    ln_node *sorted = ln_arena_alloc(g->arena, n + 1, sizeof *sorted);
    if (!first || !reader || !missing || !order || !place || !sorted)
        return graph_full(err);

    for (size_t i = 0; i < n; i++)
        for (int32_t k = 0; node_need(&g->node[i], k, &v); k++)
            if (node_wait_on(g, v) != LN_NONE) {
                first[node_wait_on(g, v) + 2]++;
                missing[i]++;
            }
    for (size_t i = 1; i < n + 2; i++)
        first[i] += first[i - 1];
    for (size_t i = 0; i < n; i++)
        for (int32_t k = 0; node_need(&g->node[i], k, &v); k++)
            if (node_wait_on(g, v) != LN_NONE)
                reader[first[node_wait_on(g, v) + 1]++] = (int32_t)i;

    for (size_t i = 0; i < n; i++)
        if (missing[i] == 0)
            order[tail++] = (int32_t)i;
    while (head < tail) {
        const size_t at = (size_t)order[head++];
        for (size_t e = first[at]; e < first[at + 1]; e++)
            if (--missing[reader[e]] == 0)
                order[tail++] = reader[e];
    }
    if (tail < n) {
        size_t i = 0;
        while (missing[i] == 0)
            i++;
        return ln_fail(err, LINNET_ERR_FORMAT, "%s \"%s\" is part of a cycle", g->node[i].op->name,
                       g->node[i].name);
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = g->node[order[i]];
        place[order[i]] = (int32_t)i;
    }
    memcpy(g->node, sorted, n * sizeof *sorted);
    for (size_t i = 0; i < g->value_count; i++)
        if (g->value[i].producer != LN_NONE)
            g->value[i].producer = place[g->value[i].producer];
    return LINNET_OK;
}

linnet_status ln_graph_finish(ln_graph *g, linnet_error *err)
{
    linnet_status st;

    for (size_t i = 0; i < g->node_count; i++)
        if ((st = node_check_must(&g->node[i], err)) != LINNET_OK)
            return st;
    if ((st = graph_check_origins(g, err)) != LINNET_OK)
        return st;
    if (g->output_count == 0)
        return ln_fail(err, LINNET_ERR_FORMAT, "the model has no outputs");
    return graph_is_ordered(g) ? LINNET_OK : graph_sort(g, err);
}

/* ---- copies and facts for passes ------------------------------------------------------- */

linnet_status ln_graph_clone(const ln_graph *g, ln_arena *arena, ln_graph **out, linnet_error *err)
{
    ln_graph *c = ln_arena_copy(arena, g, sizeof *g);

    if (!c)
        return graph_full(err);
    c->arena = arena;
    c->names = ln_arena_alloc(arena, 1, sizeof *c->names); /* passes make nameless values only */
    c->value = ln_arena_copy(arena, g->value, g->value_count * sizeof *g->value);
    c->node = ln_arena_copy(arena, g->node, g->node_count * sizeof *g->node);
    c->output = ln_arena_copy(arena, g->output, g->output_count * sizeof *g->output);
    if (!c->names || (g->value_count && !c->value) || (g->node_count && !c->node) ||
        (g->output_count && !c->output))
        return graph_full(err);
    c->value_cap = g->value_count;
    c->node_cap = g->node_count;
    c->output_cap = g->output_count;
    for (size_t i = 0; i < c->node_count; i++) {
        ln_node *n = &c->node[i];
        if (!n->key)
            n->key = (uint64_t)(uintptr_t)&g->node[i];
        n->in = ln_arena_copy(arena, n->in, (size_t)LN_MAX(n->in_count, 1) * sizeof *n->in);
        n->out = ln_arena_copy(arena, n->out, (size_t)LN_MAX(n->out_count, 1) * sizeof *n->out);
        n->capture = ln_arena_copy(arena, n->capture, (size_t)n->capture_count * sizeof *n->capture);
        if (!n->in || !n->out || !n->capture)
            return graph_full(err);
    }
    *out = c;
    return LINNET_OK;
}

void ln_graph_uses(const ln_graph *g, int32_t *use)
{
    int32_t v;

    memset(use, 0, g->value_count * sizeof *use);
    for (size_t i = 0; i < g->node_count; i++)
        for (int32_t k = 0; node_need(&g->node[i], k, &v); k++)
            if (v != LN_NONE)
                use[v]++;
    for (size_t i = 0; i < g->output_count; i++)
        use[g->output[i]]++;
}

linnet_status ln_node_copy(ln_arena *arena, const ln_node *n, int32_t in_count, ln_node *out,
                           linnet_error *err)
{
    *out = *n;
    out->in_count = LN_MAX(in_count, n->in_count);
    out->param = ln_arena_alloc(arena, 1, LN_MAX(n->op->param_size, 1u));
    out->in = ln_arena_alloc(arena, (size_t)LN_MAX(out->in_count, 1), sizeof *out->in);
    out->out = ln_arena_copy(arena, n->out, (size_t)LN_MAX(n->out_count, 1) * sizeof *n->out);
    if (!out->param || !out->in || !out->out)
        return graph_full(err);
    memcpy(out->param, n->param, n->op->param_size);
    for (int32_t i = 0; i < out->in_count; i++)
        out->in[i] = i < n->in_count ? n->in[i] : LN_NONE;
    return LINNET_OK;
}

void ln_graph_set_nodes(ln_graph *g, ln_node *node, size_t count)
{
    for (size_t i = 0; i < g->value_count; i++)
        g->value[i].producer = LN_NONE;
    for (size_t i = 0; i < count; i++)
        for (int32_t k = 0; k < node[i].out_count; k++)
            if (node[i].out[k] != LN_NONE)
                g->value[node[i].out[k]].producer = (int32_t)i;
    g->node = node;
    g->node_count = g->node_cap = count;
}

void *ln_node_field(const ln_node *n, const char *name)
{
    for (const ln_attr *a = n->op->attr; a && a->name; a++)
        if (strcmp(a->name, name) == 0)
            return (char *)n->param + a->offset;
    return NULL;
}

/* ---- packed constants ----------------------------------------------------------- */

int ln_pack_order(const ln_pack *a, const ln_pack *b)
{
    if (a->source != b->source)
        return a->source < b->source ? -1 : 1;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->size != b->size ? a->size < b->size ? -1 : 1 : 0;
}
