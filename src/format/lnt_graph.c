/*
 * lnt_graph.c - the graphs of .lnt files.
 *
 * A first walk over graphs, nodes and attributes finds where each
 * graph's records start and which graph owns it; then graphs are built from the last to
 * the first, so that bodies are finished before the layers that hold them.
 */
#include "lnt_file.h"

/* ---- the first walk ------------------------------------------------------------------------------ */

bool ln_lnt_take(const ln_lnt_file *f, int kind, size_t *place, uint64_t n)
{
    if (n > f->count[kind] - *place)
        return false;
    *place += (size_t)n;
    return true;
}

static linnet_status lnt_walk_attr(ln_lnt_file *f, size_t owner, ln_lnt_place *at, uint32_t before)
{
    const size_t where = ln_lnt_offset(f, LN_LNT_ATTRS, at->attr);
    const uint8_t *p = ln_lnt_at(f, LN_LNT_ATTRS, at->attr);
    const uint32_t type = ln_le32(p + 4);
    const uint64_t content = ln_le64(p + 8);

    if (ln_le32(p) <= before || type < LN_ATTR_I64 || type > LN_ATTR_GRAPH)
        return ln_lnt_bad(f, where, "bad attribute");
    if ((type == LN_ATTR_INTS || type == LN_ATTR_FLOATS || type == LN_ATTR_STRS) &&
        !ln_lnt_take(f, LN_LNT_NUMBERS, &at->number, content))
        return ln_lnt_bad(f, where, "attribute with more numbers than the file has");
    if ((type == LN_ATTR_TENSOR || type == LN_ATTR_GRAPH) && content != 0)
        return ln_lnt_bad(f, where, "bad attribute");
    if (type == LN_ATTR_TENSOR && !ln_lnt_take(f, LN_LNT_TENSORS, &at->tensor, 1))
        return ln_lnt_bad(f, where, "attribute whose tensor is missing");
    if (type == LN_ATTR_GRAPH) {
        if (at->graph >= f->count[LN_LNT_GRAPHS])
            return ln_lnt_bad(f, where, "attribute whose graph is missing");
        ln_lnt_graph *child = &f->graph[at->graph++];
        child->parent = owner;
        child->depth = f->graph[owner].depth + 1;
        if (child->depth >= LN_LNT_NESTING)
            return ln_fail(f->err, LINNET_ERR_LIMIT, ".lnt: graphs nested more than %d deep", LN_LNT_NESTING);
    }
    at->attr++;
    return LINNET_OK;
}

static linnet_status lnt_walk_graph(ln_lnt_file *f, size_t k, ln_lnt_place *at)
{
    const uint8_t *p = ln_lnt_at(f, LN_LNT_GRAPHS, k);
    ln_lnt_graph *g = &f->graph[k];
    const size_t where = ln_lnt_offset(f, LN_LNT_GRAPHS, k);
    linnet_status st;

    g->name = ln_le32(p);
    g->values = ln_le32(p + 4);
    g->nodes = ln_le32(p + 8);
    g->inputs = ln_le32(p + 12);
    g->outputs = ln_le32(p + 16);
    g->at = *at;
    if (k >= at->graph)
        return ln_lnt_bad(f, where, "graph that no layer has");
    for (uint32_t i = 0; i < g->values; i++) {
        if (!ln_lnt_take(f, LN_LNT_VALUES, &at->value, 1))
            return ln_lnt_bad(f, where, "graph with more values than the file has");
        if (ln_le32(ln_lnt_at(f, LN_LNT_VALUES, at->value - 1) + 4) & LN_LNT_CONSTANT)
            at->constant++;
    }
    if (!ln_lnt_take(f, LN_LNT_INDEX, &at->index, (uint64_t)g->inputs + g->outputs))
        return ln_lnt_bad(f, where, "graph with more inputs and outputs than the file has");
    for (uint32_t i = 0; i < g->nodes; i++) {
        if (!ln_lnt_take(f, LN_LNT_NODES, &at->node, 1))
            return ln_lnt_bad(f, where, "graph with more layers than the file has");
        const uint8_t *n = ln_lnt_at(f, LN_LNT_NODES, at->node - 1);
        const uint32_t attrs = ln_le32(n + 16);
        if (!ln_lnt_take(f, LN_LNT_INDEX, &at->index, (uint64_t)ln_le32(n + 8) + ln_le32(n + 12)) ||
            attrs > f->count[LN_LNT_ATTRS] - at->attr)
            return ln_lnt_bad(f, ln_lnt_offset(f, LN_LNT_NODES, at->node - 1), "layer with more than the file has");
        uint32_t before = 0;
        for (uint32_t a = 0; a < attrs; a++) {
            if ((st = lnt_walk_attr(f, k, at, before)) != LINNET_OK)
                return st;
            before = ln_le32(ln_lnt_at(f, LN_LNT_ATTRS, at->attr - 1));
        }
    }
    return LINNET_OK;
}

/* Tensors of attributes come behind all constants, whose number one look at the values tells. */
linnet_status ln_lnt_walk(ln_lnt_file *f, size_t *test_tensor)
{
    ln_lnt_place at = { .graph = 1 };

    f->graph = ln_arena_alloc(&f->temp, f->count[LN_LNT_GRAPHS], sizeof *f->graph);
    if (!f->graph)
        return ln_lnt_full(f);
    for (size_t i = 0; i < f->count[LN_LNT_VALUES]; i++)
        at.tensor += ln_le32(ln_lnt_at(f, LN_LNT_VALUES, i) + 4) & LN_LNT_CONSTANT;
    if (at.tensor > f->count[LN_LNT_TENSORS])
        return ln_lnt_bad(f, f->section[LN_LNT_VALUES].base, "more constants than tensors");
    for (size_t k = 0; k < f->count[LN_LNT_GRAPHS]; k++) {
        const linnet_status st = lnt_walk_graph(f, k, &at);
        if (st)
            return st;
    }
    if (at.value != f->count[LN_LNT_VALUES] || at.node != f->count[LN_LNT_NODES] ||
        at.index != f->count[LN_LNT_INDEX] || at.attr != f->count[LN_LNT_ATTRS] ||
        at.number != f->count[LN_LNT_NUMBERS])
        return ln_lnt_bad(f, f->section[LN_LNT_GRAPHS].base, "records that no graph has, beside those of the graphs");
    *test_tensor = at.tensor;
    f->constants = f->count[LN_LNT_GRAPHS] > 1 ? f->graph[1].at.constant : at.constant;
    return LINNET_OK;
}

/* ---- building a graph ------------------------------------------------------------------------------- */

static linnet_status lnt_symbols(ln_lnt_file *f, const uint8_t *p, const ln_desc *d, const char **symbol)
{
    for (int32_t i = 0; i < LN_MAX_RANK; i++) {
        symbol[i] = ln_lnt_string(f, ln_le32(p + 4 * i), true);
        if (!symbol[i] || (symbol[i][0] && (i >= d->rank || d->dim[i] != LN_UNKNOWN)))
            return LINNET_ERR_FORMAT;
        if (!symbol[i][0])
            symbol[i] = NULL;
    }
    return LINNET_OK;
}

/* Names first, so that values get the numbers they have in the file. */
static linnet_status lnt_build_values(ln_lnt_file *f, ln_lnt_graph *k)
{
    const size_t base = k->at.value;
    size_t tensor = k->at.constant;
    int32_t index;

    for (size_t i = 0; i < k->values; i++) {
        const uint8_t *p = ln_lnt_at(f, LN_LNT_VALUES, base + i);
        const size_t where = ln_lnt_offset(f, LN_LNT_VALUES, base + i);
        const uint32_t flags = ln_le32(p + 4);
        const char *name = ln_lnt_string(f, ln_le32(p), true), *symbol[LN_MAX_RANK];
        ln_desc d = { .dtype = (int32_t)LN_MIN(ln_le32(p + 8), 255u) };
        if (!name || !name[0] || flags >> LN_LNT_KIND_SHIFT > LN_VALUE_OPTIONAL ||
            (d.dtype && !ln_dtype(d.dtype)->name) || !ln_lnt_shape(p + 12, p + 16, -1, -1, &d) ||
            lnt_symbols(f, p + 80, &d, symbol))
            return ln_lnt_bad(f, where, "bad value");
        linnet_status st = ln_graph_value(k->g, name, &index, f->err);
        if (st)
            return st;
        if ((size_t)index != i)
            return ln_lnt_bad(f, where, "value whose name is taken");
        if (flags & LN_LNT_CONSTANT) {
            const linnet_tensor *t = &f->tensor[tensor++];
            if (k == f->graph && ln_lnt_left_alone(f, tensor - 1)) {
                ln_sum *sum = &f->packs->sum[f->packs->sum_count++];
                sum->value = index;
                sum->crc = ln_le32(ln_lnt_at(f, LN_LNT_SUMS, tensor - 1));
                atomic_init(&sum->proved, false);
            }
            if (flags != LN_LNT_CONSTANT || d.dtype || d.rank != -1)
                return ln_lnt_bad(f, where, "bad value");
            if ((st = ln_graph_constant(k->g, name, &t->desc, t->data, t->size, NULL, f->err)) != LINNET_OK)
                return st;
            continue;
        }
        ln_value *v = &k->g->value[i];
        v->desc = d;
        v->kind = (int32_t)(flags >> LN_LNT_KIND_SHIFT);
        memcpy(v->symbol, symbol, sizeof symbol);
    }
    return LINNET_OK;
}

/* Names of n values whose numbers stand in INDEX from *at on. */
static linnet_status lnt_names(ln_lnt_file *f, const ln_lnt_graph *k, size_t *at, size_t n, bool absent,
                               const char ***out)
{
    const char **name = ln_arena_alloc(&f->temp, n, sizeof *name);

    if (!name)
        return ln_lnt_full(f);
    for (size_t i = 0; i < n; i++, ++*at) {
        const uint32_t v = ln_le32(ln_lnt_at(f, LN_LNT_INDEX, *at));
        if (v < k->values)
            name[i] = k->g->value[v].name;
        else if (v == LN_LNT_ABSENT && absent)
            name[i] = "";
        else
            return ln_lnt_bad(f, ln_lnt_offset(f, LN_LNT_INDEX, *at), "number of no value");
    }
    *out = name;
    return LINNET_OK;
}

static linnet_status lnt_attr_list(ln_lnt_file *f, ln_attr_value *a, size_t from, size_t n)
{
    const size_t size = a->type == LN_ATTR_INTS ? 8 : a->type == LN_ATTR_FLOATS ? 4 : sizeof(char *);
    char *out = ln_arena_alloc(&f->temp, n, size);

    if (!out)
        return ln_lnt_full(f);
    for (size_t i = 0; i < n; i++) {
        const uint64_t v = ln_le64(ln_lnt_at(f, LN_LNT_NUMBERS, from + i));
        const uint32_t bits = (uint32_t)v;
        const char *s = a->type == LN_ATTR_STRS ? ln_lnt_string(f, v, false) : "";
        if (!s || (a->type == LN_ATTR_FLOATS && v > UINT32_MAX))
            return ln_lnt_bad(f, ln_lnt_offset(f, LN_LNT_NUMBERS, from + i), "bad number of an attribute");
        memcpy(out + i * size, a->type == LN_ATTR_INTS     ? (const void *)&v
                               : a->type == LN_ATTR_FLOATS ? (const void *)&bits
                                                           : (const void *)&s, size);
    }
    if (a->type == LN_ATTR_INTS)
        a->u.ints = (ln_ints){ (const void *)out, n };
    else if (a->type == LN_ATTR_FLOATS)
        a->u.floats = (ln_floats){ (const void *)out, n };
    else
        a->u.strs = (ln_strs){ (const void *)out, n };
    return LINNET_OK;
}

static linnet_status lnt_attr(ln_lnt_file *f, ln_lnt_place *at, ln_attr_value *a)
{
    const size_t where = ln_lnt_offset(f, LN_LNT_ATTRS, at->attr);
    const uint8_t *p = ln_lnt_at(f, LN_LNT_ATTRS, at->attr++);
    const uint64_t v = ln_le64(p + 8);
    const uint32_t bits = (uint32_t)v;
    linnet_status st = LINNET_OK;

    a->name = ln_lnt_string(f, ln_le32(p), true);
    a->type = (int32_t)ln_le32(p + 4);
    if (!a->name)
        return ln_lnt_bad(f, where, "bad attribute");
    switch (a->type) {
    case LN_ATTR_I64: memcpy(&a->u.i, &v, 8); break;
    case LN_ATTR_F32:
        if (v > UINT32_MAX)
            return ln_lnt_bad(f, where, "bad attribute");
        memcpy(&a->u.f, &bits, 4);
        break;
    case LN_ATTR_STR:
        a->u.s = ln_lnt_string(f, v, false);
        if (!a->u.s)
            return ln_lnt_bad(f, where, "bad attribute");
        break;
    case LN_ATTR_TENSOR: a->u.tensor = &f->tensor[at->tensor++]; break;
    case LN_ATTR_GRAPH:  a->u.graph = f->graph[at->graph++].g; break;
    default:
        st = lnt_attr_list(f, a, at->number, (size_t)v);
        at->number += (size_t)v;
        break;
    }
    return st;
}

static linnet_status lnt_build_node(ln_lnt_file *f, ln_lnt_graph *k, ln_lnt_place *at)
{
    const size_t where = ln_lnt_offset(f, LN_LNT_NODES, at->node);
    const uint8_t *p = ln_lnt_at(f, LN_LNT_NODES, at->node++);
    const char *op = ln_lnt_string(f, ln_le32(p), true), *name = ln_lnt_string(f, ln_le32(p + 4), true);
    const size_t in_count = ln_le32(p + 8), out_count = ln_le32(p + 12), attrs = ln_le32(p + 16);
    const char **in, **out;
    linnet_status st;

    if (!op || !name)
        return ln_lnt_bad(f, where, "bad layer");
    ln_attr_value *attr = ln_arena_alloc(&f->temp, attrs, sizeof *attr);
    if (!attr)
        return ln_lnt_full(f);
    if ((st = lnt_names(f, k, &at->index, in_count, true, &in)) != LINNET_OK ||
        (st = lnt_names(f, k, &at->index, out_count, true, &out)) != LINNET_OK)
        return st;
    if (in_count && !in[in_count - 1][0])
        return ln_lnt_bad(f, where, "layer whose last input is absent");
    for (size_t i = 0; i < attrs; i++)
        if ((st = lnt_attr(f, at, &attr[i])) != LINNET_OK)
            return st;
    return ln_graph_node(k->g, op, name, in, in_count, out, out_count, attr, attrs, NULL, f->err);
}

linnet_status ln_lnt_build_graph(ln_lnt_file *f, ln_lnt_graph *k)
{
    ln_lnt_place at = k->at;
    const char **in, **out, *name = ln_lnt_string(f, k->name, false);
    linnet_status st;
    int32_t index;

    if (!name)
        return ln_lnt_bad(f, f->section[LN_LNT_GRAPHS].base, "graph with a bad name");
    k->g->name = name;
    if ((st = lnt_build_values(f, k)) != LINNET_OK ||
        (st = lnt_names(f, k, &at.index, k->inputs, false, &in)) != LINNET_OK ||
        (st = lnt_names(f, k, &at.index, k->outputs, false, &out)) != LINNET_OK)
        return st;
    for (size_t i = 0; i < k->inputs; i++) {
        const ln_value *v = &k->g->value[ln_graph_find(k->g, in[i])];
        const ln_desc d = v->desc;
        if ((st = ln_graph_input(k->g, in[i], &d, NULL, &index, f->err)) != LINNET_OK)
            return st;
    }
    for (size_t i = 0; i < k->nodes; i++)
        if ((st = lnt_build_node(f, k, &at)) != LINNET_OK)
            return st;
    for (size_t i = 0; i < k->outputs; i++)
        if ((st = ln_graph_output(k->g, out[i], f->err)) != LINNET_OK)
            return st;
    return ln_graph_finish(k->g, f->err);
}
