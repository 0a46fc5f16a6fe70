/*
 * graph_order.c - the end of building a graph: everything has an origin, and nodes an order in which they can run.
 */
#include "graph.h"

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

bool ln_node_need(const ln_node *n, int32_t i, int32_t *value)
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
        for (int32_t k = 0; ln_node_need(&g->node[i], k, &v); k++)
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
        return ln_graph_full(err);

    for (size_t i = 0; i < n; i++)
        for (int32_t k = 0; ln_node_need(&g->node[i], k, &v); k++)
            if (node_wait_on(g, v) != LN_NONE) {
                first[node_wait_on(g, v) + 2]++;
                missing[i]++;
            }
    for (size_t i = 1; i < n + 2; i++)
        first[i] += first[i - 1];
    for (size_t i = 0; i < n; i++)
        for (int32_t k = 0; ln_node_need(&g->node[i], k, &v); k++)
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
        if ((st = ln_node_check_must(&g->node[i], err)) != LINNET_OK)
            return st;
    if ((st = graph_check_origins(g, err)) != LINNET_OK)
        return st;
    if (g->output_count == 0)
        return ln_fail(err, LINNET_ERR_FORMAT, "the model has no outputs");
    return graph_is_ordered(g) ? LINNET_OK : graph_sort(g, err);
}
