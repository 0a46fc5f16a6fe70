/*
 * graph.c - a graph's values, found by names; copies and facts for passes.
 *
 * Names are looked up in an open-addressing table that lives in the graph's arena and
 * doubles when it is two thirds full.
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

linnet_status ln_graph_full(linnet_error *err)
{
    return ln_fail(err, LINNET_ERR_MEMORY, "out of memory while building the graph");
}

linnet_status ln_graph_new(ln_arena *arena, const linnet_limits *limits, ln_graph *parent,
                           ln_graph **out, linnet_error *err)
{
    ln_graph *g = ln_arena_alloc(arena, 1, sizeof *g);

    if (!g)
        return ln_graph_full(err);
    g->arena = arena;
    g->limits = limits;
    g->parent = parent;
    g->name = "";
    g->names = ln_arena_alloc(arena, 1, sizeof *g->names);
    g->id = parent ? parent->id : ln_arena_alloc(arena, 1, sizeof *g->id);
    g->custom = parent ? parent->custom : NULL;
    g->custom_count = parent ? parent->custom_count : 0;
    if (!g->names || !g->id)
        return ln_graph_full(err);
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
        return ln_graph_full(err);
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
        return ln_graph_full(err);
    const char *copy = ln_arena_string(g->arena, name, length);
    if (!copy)
        return ln_graph_full(err);
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

bool ln_graph_push(ln_graph *g, int32_t **list, size_t *count, size_t *cap, int32_t v)
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
                return ln_graph_full(err);
        }
    if (!ln_graph_push(g, &g->input, &g->input_count, &g->input_cap, index))
        return ln_graph_full(err);
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
    return ln_graph_push(g, &g->output, &g->output_count, &g->output_cap, index) ? LINNET_OK : ln_graph_full(err);
}

linnet_status ln_graph_meta(ln_graph *g, const char *key, const char *value, linnet_error *err)
{
    const char *k = ln_arena_string(g->arena, key, strlen(key));
    const char *v = ln_arena_string(g->arena, value, strlen(value));

    if (!k || !v)
        return ln_graph_full(err);
    for (size_t i = 0; i < g->meta_count; i++)
        if (strcmp(g->meta[i].key, k) == 0) {
            g->meta[i].value = v;
            return LINNET_OK;
        }
    ln_meta *m = ln_grow(g->arena, (void **)&g->meta, &g->meta_count, &g->meta_cap, sizeof *m);
    if (!m)
        return ln_graph_full(err);
    m->key = k;
    m->value = v;
    return LINNET_OK;
}

/* ---- copies and facts for passes ------------------------------------------------------- */

linnet_status ln_graph_clone(const ln_graph *g, ln_arena *arena, ln_graph **out, linnet_error *err)
{
    ln_graph *c = ln_arena_copy(arena, g, sizeof *g);

    if (!c)
        return ln_graph_full(err);
    c->arena = arena;
    c->names = ln_arena_alloc(arena, 1, sizeof *c->names); /* passes make nameless values only */
    c->value = ln_arena_copy(arena, g->value, g->value_count * sizeof *g->value);
    c->node = ln_arena_copy(arena, g->node, g->node_count * sizeof *g->node);
    c->output = ln_arena_copy(arena, g->output, g->output_count * sizeof *g->output);
    if (!c->names || (g->value_count && !c->value) || (g->node_count && !c->node) ||
        (g->output_count && !c->output))
        return ln_graph_full(err);
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
            return ln_graph_full(err);
    }
    *out = c;
    return LINNET_OK;
}

void ln_graph_uses(const ln_graph *g, int32_t *use)
{
    int32_t v;

    memset(use, 0, g->value_count * sizeof *use);
    for (size_t i = 0; i < g->node_count; i++)
        for (int32_t k = 0; ln_node_need(&g->node[i], k, &v); k++)
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
        return ln_graph_full(err);
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

void ln_graph_drop_nodes(ln_graph *g)
{
    size_t kept = 0;

    for (size_t i = 0; i < g->node_count; i++)
        if (g->node[i].op)
            g->node[kept++] = g->node[i];
    ln_graph_set_nodes(g, g->node, kept);
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
