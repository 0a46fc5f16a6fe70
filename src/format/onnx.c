/*
 * onnx.c - the ONNX reader: models and graphs.
 *
 * A graph is read in sweeps over its fields: constants first, then inputs, then nodes, then
 * outputs, whatever their order in the file. Subgraphs are opened by one loop with a stack of
 * frames: a node waits in its frame until the graphs of its attributes are finished, because a
 * graph takes what it needs from outside at the moment when its node is made.
 */
#include "onnx.h"

#define ONNX_NESTING 8

typedef struct onnx_frame {
    ln_graph    *g, *info;
    ln_cursor    body, rest; /* the GraphProto; its fields not yet looked at for nodes */
    ln_onnx_node node;       /* waiting for its subgraphs */
    bool         waiting;
    size_t       attr;       /* which of them is being read */
} onnx_frame;

/* ---- one graph --------------------------------------------------------------------- */

static linnet_status onnx_read_constant(ln_onnx *m, ln_graph *g, const ln_pb_field *f)
{
    ln_onnx_data t;

    if (f->wire != LN_PB_BYTES)
        return ln_onnx_bad(m, f->at, "initializer");
    const linnet_status st = ln_onnx_tensor(m, g->arena, f->bytes, true, &t);
    if (st)
        return st;
    if (strncmp(t.name, LN_ONNX_HIDDEN, strlen(LN_ONNX_HIDDEN)) == 0)
        return ln_fail(m->err, LINNET_ERR_FORMAT, "ONNX: the name \"%s\" at byte %zu is reserved", t.name, f->at);
    return ln_graph_constant(g, t.name, &t.desc, t.data, t.size, NULL, m->err);
}

/* An input that has an initializer is a constant with a declaration, as files of 2018 have them. */
static linnet_status onnx_read_input(ln_onnx *m, ln_graph *g, const ln_pb_field *f)
{
    const char *name, *symbol[LN_MAX_RANK] = { NULL };
    ln_desc desc;
    int32_t kind, index;

    if (f->wire != LN_PB_BYTES)
        return ln_onnx_bad(m, f->at, "input");
    linnet_status st = ln_onnx_value_info(m, f->bytes, &name, &desc, symbol, &kind);
    if (st)
        return st;
    index = ln_graph_find(g, name);
    if (index != LN_NONE && g->value[index].constant)
        return LINNET_OK;
    if (strncmp(name, LN_ONNX_HIDDEN, strlen(LN_ONNX_HIDDEN)) == 0)
        return ln_fail(m->err, LINNET_ERR_FORMAT, "ONNX: the name \"%s\" at byte %zu is reserved", name, f->at);
    st = ln_graph_input(g, name, &desc, symbol, &index, m->err);
    if (st == LINNET_OK)
        g->value[index].kind = kind;
    return st;
}

static linnet_status onnx_read_output(ln_onnx *m, ln_graph *g, const ln_pb_field *f)
{
    const char *name, *symbol[LN_MAX_RANK] = { NULL };
    ln_desc desc;
    int32_t kind;

    if (f->wire != LN_PB_BYTES)
        return ln_onnx_bad(m, f->at, "output");
    linnet_status st = ln_onnx_value_info(m, f->bytes, &name, &desc, symbol, &kind);
    if (st || (st = ln_graph_output(g, name, m->err)) != LINNET_OK)
        return st;
    ln_value *v = &g->value[ln_graph_find(g, name)];
    if (v->constant || v->input || v->producer == LN_NONE)
        return LINNET_OK;
    v->desc = desc;
    v->kind = kind;
    for (int32_t i = 0; i < desc.rank; i++)
        if (symbol[i] && !(v->symbol[i] = ln_arena_string(g->arena, symbol[i], strlen(symbol[i]))))
            return ln_onnx_full(m);
    return LINNET_OK;
}

/* Declared types of inner values: not trusted for shapes, but the map asks them for types. */
static linnet_status onnx_read_info(ln_onnx *m, const ln_graph *g, ln_cursor c, ln_graph **out)
{
    const char *name;
    ln_pb_field f;
    int32_t kind, index;
    ln_desc desc;
    linnet_status st = ln_graph_new(&m->temp, g->limits, NULL, out, m->err);

    while (st == LINNET_OK && ln_pb_next(&c, &f)) {
        if ((f.number != 12 && f.number != 13) || f.wire != LN_PB_BYTES)
            continue;
        st = ln_onnx_value_info(m, f.bytes, &name, &desc, NULL, &kind);
        if (st == LINNET_OK && name[0] && (st = ln_graph_value(*out, name, &index, m->err)) == LINNET_OK)
            (*out)->value[index].desc = desc;
    }
    return st;
}

static linnet_status onnx_sweep(ln_onnx *m, ln_graph *g, ln_cursor c, uint32_t field,
                                linnet_status (*take)(ln_onnx *, ln_graph *, const ln_pb_field *))
{
    ln_pb_field f;
    linnet_status st = LINNET_OK;

    while (st == LINNET_OK && ln_pb_next(&c, &f))
        if (f.number == field)
            st = take(m, g, &f);
    if (st == LINNET_OK && c.bad)
        return ln_onnx_bad(m, c.base + c.at, "graph");
    return st;
}

static linnet_status onnx_open_graph(ln_onnx *m, onnx_frame *f)
{
    linnet_status st;
    ln_cursor c = f->body;
    ln_pb_field p;
    const char *name;

    while (ln_pb_next(&c, &p)) {
        if (p.number == 15)
            return ln_fail(m->err, LINNET_ERR_UNSUPPORTED, "ONNX: sparse initializer at byte %zu", p.at);
        if (p.number == 2) {
            if ((st = ln_onnx_text(m, &p, false, &name)) != LINNET_OK)
                return st;
            if (!(f->g->name = ln_arena_string(f->g->arena, name, strlen(name))))
                return ln_onnx_full(m);
        }
    }
    f->rest = f->body;
    if ((st = onnx_sweep(m, f->g, f->body, 5, onnx_read_constant)) != LINNET_OK ||
        (st = onnx_sweep(m, f->g, f->body, 11, onnx_read_input)) != LINNET_OK)
        return st;
    return onnx_read_info(m, f->g, f->body, &f->info);
}

static linnet_status onnx_close_graph(ln_onnx *m, onnx_frame *f)
{
    const linnet_status st = onnx_sweep(m, f->g, f->body, 12, onnx_read_output);
    return st ? st : ln_graph_finish(f->g, m->err);
}

/* Advance to the next node of the frame; *found false: there is none. */
static linnet_status onnx_next_node(ln_onnx *m, onnx_frame *f, bool *found)
{
    ln_pb_field p;

    *found = false;
    while (ln_pb_next(&f->rest, &p)) {
        if (p.number != 1)
            continue;
        if (p.wire != LN_PB_BYTES)
            return ln_onnx_bad(m, p.at, "node");
        *found = true;
        return ln_onnx_parse_node(m, f->g->arena, p.bytes, &f->node);
    }
    return LINNET_OK;
}

/* Of the waiting node: the next attribute whose graph has not been read. */
static bool onnx_pending(onnx_frame *f)
{
    for (f->attr = 0; f->attr < f->node.attr_count; f->attr++)
        if (f->node.attr[f->attr].type == LN_ATTR_GRAPH && !f->node.attr[f->attr].u.graph)
            return true;
    return false;
}

static linnet_status onnx_push(ln_onnx *m, onnx_frame *stack, size_t *depth)
{
    onnx_frame *top = &stack[*depth - 1], *next = &stack[*depth];
    ln_graph *parent = top->g;
    linnet_status st;

    if (*depth == ONNX_NESTING)
        return ln_fail(m->err, LINNET_ERR_LIMIT, "ONNX: graphs nested more than %d deep at byte %zu", ONNX_NESTING,
                       top->node.at);
    memset(next, 0, sizeof *next);
    next->body = top->node.body[top->attr];
    /* The body of a Scan of opset 8 will live in another body, one element of its batch. */
    if (!top->node.domain[0] && top->node.opset < 9 && strcmp(top->node.op, "Scan") == 0 &&
        (st = ln_graph_new(parent->arena, parent->limits, parent, &parent, m->err)) != LINNET_OK)
        return st;
    if ((st = ln_graph_new(parent->arena, parent->limits, parent, &next->g, m->err)) != LINNET_OK)
        return st;
    ++*depth;
    return onnx_open_graph(m, next);
}

/* The loop over a graph and all graphs inside it. */
static linnet_status onnx_read_graph(ln_onnx *m, ln_graph *g, ln_cursor body)
{
    onnx_frame stack[ONNX_NESTING];
    size_t depth = 1;
    bool found;

    memset(&stack[0], 0, sizeof stack[0]);
    stack[0].g = g;
    stack[0].body = body;
    linnet_status st = onnx_open_graph(m, &stack[0]);
    while (st == LINNET_OK && depth > 0) {
        onnx_frame *f = &stack[depth - 1];
        if (f->waiting && onnx_pending(f)) {
            st = onnx_push(m, stack, &depth);
        } else if (f->waiting) {
            m->info = f->info;
            st = ln_onnx_map(m, f->g, &f->node);
            f->waiting = false;
        } else if ((st = onnx_next_node(m, f, &found)) == LINNET_OK && found) {
            f->waiting = true;
        } else if (st == LINNET_OK && (st = onnx_close_graph(m, f)) == LINNET_OK && --depth > 0) {
            onnx_frame *up = &stack[depth - 1];
            up->node.attr[up->attr].u.graph = f->g;
        }
    }
    return st;
}

/* ---- the model ------------------------------------------------------------------------- */

static linnet_status onnx_read_opset(ln_onnx *m, const ln_pb_field *f)
{
    ln_cursor c = f->bytes;
    ln_pb_field p;
    ln_onnx_domain d = { "", 0 };
    linnet_status st;

    if (f->wire != LN_PB_BYTES)
        return ln_onnx_bad(m, f->at, "opset");
    while (ln_pb_next(&c, &p)) {
        if (p.number == 1 && (st = ln_onnx_text(m, &p, true, &d.name)) != LINNET_OK)
            return st;
        if (p.number == 2)
            d.version = ln_pb_i64(p.value);
    }
    if (c.bad || d.version < 1)
        return ln_onnx_bad(m, f->at, "opset");
    if (strcmp(d.name, "ai.onnx") == 0)
        d.name = "";
    if (!d.name[0] && d.version > LN_ONNX_NEWEST)
        return ln_fail(m->err, LINNET_ERR_UNSUPPORTED, "ONNX: the model has opset %lld, newer than %d, the newest known",
                       (long long)d.version, LN_ONNX_NEWEST);
    for (size_t i = 0; i < m->domain_count; i++)
        if (strcmp(m->domain[i].name, d.name) == 0)
            return ln_onnx_bad(m, f->at, "opset (its domain is given twice)");
    if (m->domain_count == 64)
        return ln_fail(m->err, LINNET_ERR_LIMIT, "ONNX: more than 64 operator domains");
    ln_onnx_domain *slot = ln_grow(&m->temp, (void **)&m->domain, &m->domain_count, &m->domain_cap, sizeof *slot);
    if (!slot)
        return ln_onnx_full(m);
    *slot = d;
    return LINNET_OK;
}

static linnet_status onnx_read_meta(ln_onnx *m, ln_graph *g, const ln_pb_field *f)
{
    ln_cursor c = f->bytes;
    const char *key = "", *value = "";
    ln_pb_field p;
    linnet_status st;

    if (f->wire != LN_PB_BYTES)
        return ln_onnx_bad(m, f->at, "metadata");
    while (ln_pb_next(&c, &p))
        if ((p.number == 1 || p.number == 2) &&
            (st = ln_onnx_text(m, &p, p.number == 1, p.number == 1 ? &key : &value)) != LINNET_OK)
            return st;
    if (c.bad || !key[0])
        return ln_onnx_bad(m, f->at, "metadata");
    return ln_graph_meta(g, key, value, m->err);
}

/* A field of the model that is one text, as metadata. */
static linnet_status onnx_read_fact(ln_onnx *m, ln_graph *g, const ln_pb_field *f, const char *key)
{
    const char *text = "";
    const linnet_status st = ln_onnx_text(m, f, false, &text);

    return st || !text[0] ? st : ln_graph_meta(g, key, text, m->err);
}

static linnet_status onnx_read_model(ln_onnx *m, ln_graph *g, ln_cursor c, ln_cursor *graph)
{
    ln_pb_field f;
    linnet_status st = LINNET_OK;
    size_t graphs = 0;
    char text[24];

    while (st == LINNET_OK && ln_pb_next(&c, &f)) {
        switch (f.number) {
        case 2: st = onnx_read_fact(m, g, &f, "producer"); break;
        case 3: st = onnx_read_fact(m, g, &f, "producer_version"); break;
        case 5:
            ln_print(text, sizeof text, "%lld", (long long)ln_pb_i64(f.value));
            if (f.value != 0)
                st = ln_graph_meta(g, "model_version", text, m->err);
            break;
        case 7:
            *graph = f.bytes;
            if (f.wire != LN_PB_BYTES || graphs++)
                return ln_onnx_bad(m, f.at, "graph");
            break;
        case 8: st = onnx_read_opset(m, &f); break;
        case 14: st = onnx_read_meta(m, g, &f); break;
        case 25:
            return ln_fail(m->err, LINNET_ERR_UNSUPPORTED, "ONNX: the model has functions of its own (byte %zu)", f.at);
        default: break;
        }
    }
    if (st)
        return st;
    if (c.bad || !graphs)
        return ln_onnx_bad(m, c.bad ? c.at : 0, "model");
    return LINNET_OK;
}

bool ln_onnx_is(const void *data, size_t size)
{
    /* Wire types of the fields of ModelProto + 1; 0: no such field. */
    static const uint8_t wire[27] = { [1] = 1, [2] = 3, [3] = 3, [4] = 3, [5] = 1, [6] = 3, [7] = 3,
                                      [8] = 3, [14] = 3, [20] = 3, [25] = 3, [26] = 3 };
    ln_cursor c = ln_cursor_over(data, data ? size : 0);
    ln_pb_field f;
    bool any = false;

    for (int i = 0; i < 4 && ln_cursor_left(&c) > 0; i++) {
        const ln_cursor before = c;
        if (!ln_pb_next(&c, &f)) { /* cut off: the tag alone decides */
            c = before;
            const uint64_t tag = ln_pb_varint(&c);
            return !c.bad && tag >> 3 < sizeof wire && wire[tag >> 3] == (tag & 7) + 1;
        }
        if (f.number >= sizeof wire || wire[f.number] != f.wire + 1)
            return false;
        any = true;
    }
    return any;
}

linnet_status ln_onnx_read(ln_graph *g, const void *data, size_t size, bool shared, const linnet_options *opt,
                           linnet_error *err)
{
    const linnet_allocator alloc = ln_allocator(opt);
    ln_onnx m = { .shared = shared, .err = err };
    ln_cursor graph = ln_cursor_over(NULL, 0);

    if (opt) {
        m.external = opt->external;
        m.external_user = opt->external_user;
    }
    ln_arena_init(&m.temp, &alloc, SIZE_MAX);
    linnet_status st = onnx_read_model(&m, g, ln_cursor_over(data, size), &graph);
    if (st == LINNET_OK)
        st = onnx_read_graph(&m, g, graph);
    ln_arena_free(&m.temp);
    return st;
}

/* ---- one tensor ---------------------------------------------------------------------------- */

/* A tensor of its own with the elements of d; the text of strings behind their pointers. */
static linnet_status onnx_own_tensor(ln_onnx *m, const ln_onnx_data *d, linnet_tensor **out)
{
    const linnet_status st = linnet_tensor_create(d->desc.dtype, d->desc.rank, d->desc.dim, NULL, out, m->err);

    if (st || d->size == 0)
        return st;
    linnet_tensor *t = *out;
    memcpy(t->data, d->data, d->size);
    if (d->desc.dtype != LINNET_STRING)
        return LINNET_OK;
    const char *const *from = d->data;
    const size_t n = ln_count(&d->desc);
    size_t text = 0;
    for (size_t i = 0; i < n; i++)
        text += strlen(from[i]) + 1; /* less than the file */
    char *block = ln_alloc(&t->alloc, t->size + text);
    if (!block) {
        linnet_tensor_free(t);
        *out = NULL;
        return ln_onnx_full(m);
    }
    const char **element = (const char **)(void *)block;
    char *at = block + t->size;
    for (size_t i = 0; i < n; i++) {
        const size_t length = strlen(from[i]) + 1;
        element[i] = memcpy(at, from[i], length);
        at += length;
    }
    ln_free(&t->alloc, t->data, t->size);
    t->data = block;
    t->extra = text;
    return LINNET_OK;
}

linnet_status linnet_tensor_load_pb(const void *data, size_t size, linnet_tensor **out, char *name,
                                    size_t name_size, linnet_error *err)
{
    const linnet_allocator alloc = ln_allocator(NULL);
    ln_onnx m = { .err = err };
    ln_onnx_data d;

    if (!out || (!data && size))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "tensor: data or out is NULL");
    *out = NULL;
    ln_arena_init(&m.temp, &alloc, SIZE_MAX);
    linnet_status st = ln_onnx_tensor(&m, &m.temp, ln_cursor_over(data, size), false, &d);
    if (st == LINNET_OK)
        st = onnx_own_tensor(&m, &d, out);
    if (st == LINNET_OK && name && name_size)
        ln_print(name, name_size, "%s", d.name);
    ln_arena_free(&m.temp);
    return st;
}

#undef ONNX_NESTING
