/*
 * lnt_write.c - the writer of .lnt files (FORMAT.md).
 *
 * Graphs are put in a row first, then all strings are collected and sorted, then every section
 * of records is made in memory. Elements and packed weights are not copied: one pass computes
 * their checksums, a second hands them to the caller's callback.
 */
#include "lnt.h"

typedef struct lnt_buffer {
    uint8_t *data;
    size_t   size, cap;
} lnt_buffer;

typedef struct lnt_out {
    const linnet_allocator *alloc;
    ln_arena             temp;
    const ln_graph     **graph;  size_t graph_count, graph_cap;
    const ln_attr_value **attr;  size_t attr_count, attr_cap; /* sorted within each node, nodes in order */
    const char         **string; size_t string_count, string_cap;
    uint32_t            *place; /* of each string */
    const linnet_tensor **tensor; size_t tensor_count, tensor_cap;
    const ln_packs      *packs;
    lnt_buffer           section[LN_LNT_END];
    bool                 full; /* memory ran out */
    bool                 unfit; /* a name or text that no reader would take */
} lnt_out;

#define LNT_MUST_WRITE(name, record, must) [LN_LNT_##name] = must,
static const uint8_t lnt_flag[LN_LNT_END] = { LN_LNT_LIST(LNT_MUST_WRITE) };
#undef LNT_MUST_WRITE

/* ---- bytes -------------------------------------------------------------------------- */

static void lnt_put(lnt_out *o, int kind, const void *data, size_t size)
{
    lnt_buffer *b = &o->section[kind];

    if (o->full)
        return;
    if (size > b->cap - b->size) {
        size_t cap = 0;
        if (!ln_add(b->size, size, &cap) || !ln_mul(LN_MAX(cap, (size_t)256), 2, &cap)) {
            o->full = true;
            return;
        }
        uint8_t *more = ln_alloc(o->alloc, cap);
        if (!more) {
            o->full = true;
            return;
        }
        if (b->size)
            memcpy(more, b->data, b->size);
        ln_free(o->alloc, b->data, b->cap);
        b->data = more;
        b->cap = cap;
    }
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void lnt_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void lnt_le64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void lnt_u32(lnt_out *o, int kind, uint64_t v)
{
    uint8_t b[4];

    lnt_le32(b, (uint32_t)v);
    lnt_put(o, kind, b, sizeof b);
}

static void lnt_u64(lnt_out *o, int kind, uint64_t v)
{
    uint8_t b[8];

    lnt_le64(b, v);
    lnt_put(o, kind, b, sizeof b);
}

static void lnt_f64(lnt_out *o, int kind, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    lnt_u64(o, kind, bits);
}

/* ---- strings ---------------------------------------------------------------------------- */

static void lnt_keep(lnt_out *o, const char *s, bool name)
{
    const size_t length = s ? strlen(s) : 0;
    const char **slot = ln_grow(&o->temp, (void **)&o->string, &o->string_count, &o->string_cap, sizeof *slot);

    if (slot)
        *slot = s ? s : "";
    else
        o->full = true;
    if (length && (name ? length > LN_NAME_MOST || !ln_utf8_ok(s, length) : !ln_text_ok(s, length)))
        o->unfit = true;
}

static void lnt_sift(const char **v, size_t i, size_t n)
{
    for (size_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && strcmp(v[k], v[k + 1]) < 0)
            k++;
        if (strcmp(v[i], v[k]) >= 0)
            return;
        const char *t = v[i];
        v[i] = v[k];
        v[k] = t;
    }
}

/* Heap sort: no recursion, no memory; then each string once, and where it will stand. */
static void lnt_sort_strings(lnt_out *o)
{
    const char **v = o->string;
    size_t n = o->string_count, unique = 0;

    for (size_t i = n / 2; i-- > 0;)
        lnt_sift(v, i, n);
    for (size_t end = n; end-- > 1;) {
        const char *t = v[0];
        v[0] = v[end];
        v[end] = t;
        lnt_sift(v, 0, end);
    }
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(v[unique - 1], v[i]) != 0)
            v[unique++] = v[i];
    o->string_count = unique;
    o->place = ln_arena_alloc(&o->temp, unique, sizeof *o->place);
    if (!o->place) {
        o->full = true;
        return;
    }
    for (size_t i = 0; i < unique && !o->full; i++) {
        o->place[i] = (uint32_t)o->section[LN_LNT_STRINGS].size;
        lnt_put(o, LN_LNT_STRINGS, v[i], strlen(v[i]) + 1);
        o->full |= o->section[LN_LNT_STRINGS].size > UINT32_MAX;
    }
}

static uint32_t lnt_ref(lnt_out *o, const char *s)
{
    size_t lo = 0, hi = o->string_count;

    s = s ? s : "";
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        const int c = strcmp(o->string[mid], s);
        if (c == 0)
            return o->place[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return 0; /* not reached: every string was collected */
}

/* ---- collecting ------------------------------------------------------------------------------ */

static void lnt_collect_tensor(lnt_out *o, const linnet_tensor *t)
{
    const linnet_tensor **slot = ln_grow(&o->temp, (void **)&o->tensor, &o->tensor_count, &o->tensor_cap,
                                         sizeof *slot);

    if (!slot) {
        o->full = true;
        return;
    }
    *slot = t;
    if (t->desc.dtype == LINNET_STRING)
        for (size_t i = 0; i < ln_count(&t->desc); i++)
            lnt_keep(o, ((const char *const *)t->data)[i], false);
}

static void lnt_collect_constants(lnt_out *o, const ln_graph *g)
{
    for (size_t i = 0; i < g->value_count && !o->full; i++) {
        const ln_value *v = &g->value[i];
        lnt_keep(o, v->name, true);
        for (int32_t k = 0; k < v->desc.rank; k++)
            lnt_keep(o, v->symbol[k], true);
        if (!v->constant)
            continue;
        linnet_tensor *t = ln_arena_alloc(&o->temp, 1, sizeof *t);
        if (!t) {
            o->full = true;
            return;
        }
        t->desc = v->desc;
        t->size = v->size;
        if (v->size)
            memcpy(&t->data, &v->data, sizeof t->data);
        lnt_collect_tensor(o, t);
    }
}

/* The attributes of a node behind those collected so far, by name. */
static void lnt_collect_attrs(lnt_out *o, const ln_node *n)
{
    const size_t first = o->attr_count;

    for (size_t i = 0; i < n->attr_count; i++) {
        const ln_attr_value *a = &n->attr[i];
        const ln_attr_value **slot = ln_grow(&o->temp, (void **)&o->attr, &o->attr_count, &o->attr_cap, sizeof *slot);
        if (!slot) {
            o->full = true;
            return;
        }
        size_t k = o->attr_count - 1;
        for (; k > first && strcmp(o->attr[k - 1]->name, a->name) > 0; k--)
            o->attr[k] = o->attr[k - 1];
        o->attr[k] = a;
        lnt_keep(o, a->name, true);
        if (a->type == LN_ATTR_STR)
            lnt_keep(o, a->u.s, false);
        for (size_t s = 0; a->type == LN_ATTR_STRS && s < a->u.strs.count; s++)
            lnt_keep(o, a->u.strs.v[s], false);
    }
    for (size_t k = first; k < o->attr_count; k++) {
        if (o->attr[k]->type != LN_ATTR_GRAPH)
            continue;
        const ln_graph **slot = ln_grow(&o->temp, (void **)&o->graph, &o->graph_count, &o->graph_cap, sizeof *slot);
        if (!slot) {
            o->full = true;
            return;
        }
        *slot = o->attr[k]->u.graph;
    }
}

/* Graphs, attributes, strings and tensors in the order of the file. */
static void lnt_collect(lnt_out *o, const ln_graph *root, const ln_tests *tests)
{
    const ln_graph **slot = ln_grow(&o->temp, (void **)&o->graph, &o->graph_count, &o->graph_cap, sizeof *slot);

    lnt_keep(o, "", true);
    if (!slot) {
        o->full = true;
        return;
    }
    *slot = root;
    for (size_t i = 0; i < root->meta_count; i++) {
        lnt_keep(o, root->meta[i].key, true);
        lnt_keep(o, root->meta[i].value, false);
    }
    for (size_t k = 0; k < o->graph_count && !o->full; k++) {
        const ln_graph *g = o->graph[k];
        lnt_keep(o, g->name, false);
        for (size_t i = 0; i < g->node_count && !o->full; i++) {
            lnt_keep(o, g->node[i].op->name, true);
            lnt_keep(o, g->node[i].name, true);
            lnt_collect_attrs(o, &g->node[i]);
        }
    }
    for (size_t k = 0; k < o->graph_count && !o->full; k++)
        lnt_collect_constants(o, o->graph[k]);
    for (size_t i = 0; i < o->attr_count && !o->full; i++)
        if (o->attr[i]->type == LN_ATTR_TENSOR)
            lnt_collect_tensor(o, o->attr[i]->u.tensor);
    for (size_t i = 0; tests && i < tests->count; i++)
        for (size_t k = 0; k < tests->test[i].count && !o->full; k++)
            lnt_collect_tensor(o, tests->test[i].tensor[k]);
}

/* ---- records ------------------------------------------------------------------------------------ */

static void lnt_put_shape(lnt_out *o, int kind, int32_t dtype, const ln_desc *d)
{
    lnt_u32(o, kind, (uint32_t)dtype);
    lnt_u32(o, kind, (uint32_t)d->rank);
    for (int32_t i = 0; i < LN_MAX_RANK; i++)
        lnt_u64(o, kind, i < d->rank ? (uint64_t)d->dim[i] : 0);
}

static void lnt_put_value(lnt_out *o, const ln_value *v)
{
    const ln_desc none = { .rank = -1 };
    const uint32_t flags = v->constant ? LN_LNT_CONSTANT : (uint32_t)v->kind << LN_LNT_KIND_SHIFT;
    const ln_desc *d = v->constant ? &none : &v->desc;

    lnt_u32(o, LN_LNT_VALUES, lnt_ref(o, v->name));
    lnt_u32(o, LN_LNT_VALUES, flags);
    lnt_put_shape(o, LN_LNT_VALUES, d->dtype, d);
    for (int32_t i = 0; i < LN_MAX_RANK; i++)
        lnt_u32(o, LN_LNT_VALUES, i < d->rank && d->dim[i] == LN_UNKNOWN ? lnt_ref(o, v->symbol[i]) : 0);
}

static void lnt_put_attr(lnt_out *o, const ln_attr_value *a)
{
    uint32_t bits;

    lnt_u32(o, LN_LNT_ATTRS, lnt_ref(o, a->name));
    lnt_u32(o, LN_LNT_ATTRS, (uint32_t)a->type);
    switch (a->type) {
    case LN_ATTR_I64: lnt_u64(o, LN_LNT_ATTRS, (uint64_t)a->u.i); break;
    case LN_ATTR_F32:
        memcpy(&bits, &a->u.f, sizeof bits);
        lnt_u64(o, LN_LNT_ATTRS, bits);
        break;
    case LN_ATTR_STR: lnt_u64(o, LN_LNT_ATTRS, lnt_ref(o, a->u.s)); break;
    case LN_ATTR_INTS:
        lnt_u64(o, LN_LNT_ATTRS, a->u.ints.count);
        for (size_t i = 0; i < a->u.ints.count; i++)
            lnt_u64(o, LN_LNT_NUMBERS, (uint64_t)a->u.ints.v[i]);
        break;
    case LN_ATTR_FLOATS:
        lnt_u64(o, LN_LNT_ATTRS, a->u.floats.count);
        for (size_t i = 0; i < a->u.floats.count; i++) {
            memcpy(&bits, &a->u.floats.v[i], sizeof bits);
            lnt_u64(o, LN_LNT_NUMBERS, bits);
        }
        break;
    case LN_ATTR_STRS:
        lnt_u64(o, LN_LNT_ATTRS, a->u.strs.count);
        for (size_t i = 0; i < a->u.strs.count; i++)
            lnt_u64(o, LN_LNT_NUMBERS, lnt_ref(o, a->u.strs.v[i]));
        break;
    default: lnt_u64(o, LN_LNT_ATTRS, 0); break;
    }
}

static void lnt_put_list(lnt_out *o, const int32_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        lnt_u32(o, LN_LNT_INDEX, v[i] == LN_NONE ? LN_LNT_ABSENT : (uint32_t)v[i]);
}

static void lnt_put_graph(lnt_out *o, const ln_graph *g)
{
    lnt_u32(o, LN_LNT_GRAPHS, lnt_ref(o, g->name));
    lnt_u32(o, LN_LNT_GRAPHS, g->value_count);
    lnt_u32(o, LN_LNT_GRAPHS, g->node_count);
    lnt_u32(o, LN_LNT_GRAPHS, g->input_count);
    lnt_u32(o, LN_LNT_GRAPHS, g->output_count);
    for (size_t i = 0; i < g->value_count; i++)
        lnt_put_value(o, &g->value[i]);
    lnt_put_list(o, g->input, g->input_count);
    lnt_put_list(o, g->output, g->output_count);
    for (size_t i = 0; i < g->node_count; i++) {
        const ln_node *n = &g->node[i];
        lnt_u32(o, LN_LNT_NODES, lnt_ref(o, n->op->name));
        lnt_u32(o, LN_LNT_NODES, lnt_ref(o, n->name));
        lnt_u32(o, LN_LNT_NODES, (uint32_t)n->in_count);
        lnt_u32(o, LN_LNT_NODES, (uint32_t)n->out_count);
        lnt_u32(o, LN_LNT_NODES, n->attr_count);
        lnt_put_list(o, n->in, (size_t)n->in_count);
        lnt_put_list(o, n->out, (size_t)n->out_count);
    }
}

/* Pairs in the order of their keys; there are few. */
static void lnt_put_meta(lnt_out *o, const ln_graph *g)
{
    uint64_t next = 0; /* the smallest key not yet written */

    for (size_t i = 0; i < g->meta_count; i++) {
        const ln_meta *best = NULL;
        uint32_t least = UINT32_MAX;
        for (size_t k = 0; k < g->meta_count; k++) {
            const uint32_t ref = lnt_ref(o, g->meta[k].key);
            if (ref >= next && ref <= least) {
                least = ref;
                best = &g->meta[k];
            }
        }
        if (!best)
            return;
        lnt_u32(o, LN_LNT_META, least);
        lnt_u32(o, LN_LNT_META, lnt_ref(o, best->value));
        next = (uint64_t)least + 1;
    }
}

static void lnt_put_packs(lnt_out *o)
{
    for (size_t i = 0; i < o->packs->count; i++) {
        const ln_pack *k = &o->packs->pack[i];
        lnt_u64(o, LN_LNT_PACKS, k->source);
        lnt_u64(o, LN_LNT_PACKS, k->key);
        lnt_u64(o, LN_LNT_PACKS, k->size);
        lnt_u32(o, LN_LNT_PACKS, LN_PACK_VERSION);
        lnt_u32(o, LN_LNT_PACKS, 0);
    }
}

static void lnt_put_all(lnt_out *o, const ln_graph *root, const ln_tests *tests)
{
    lnt_put_meta(o, root);
    for (size_t k = 0; k < o->graph_count; k++)
        lnt_put_graph(o, o->graph[k]);
    for (size_t i = 0; i < o->attr_count; i++)
        lnt_put_attr(o, o->attr[i]);
    for (size_t i = 0; i < o->tensor_count; i++)
        lnt_put_shape(o, LN_LNT_TENSORS, o->tensor[i]->desc.dtype, &o->tensor[i]->desc);
    for (size_t i = 0; tests && i < tests->count; i++) {
        lnt_f64(o, LN_LNT_TESTS, tests->test[i].rtol);
        lnt_f64(o, LN_LNT_TESTS, tests->test[i].atol);
        lnt_u32(o, LN_LNT_TESTS, tests->test[i].count);
        lnt_u32(o, LN_LNT_TESTS, 0);
    }
}

/* ---- elements, and the file ------------------------------------------------------------------------ */

/* Where bytes go: to a checksum, or (write given) to the caller. */
typedef struct lnt_sink {
    linnet_write_fn write;
    void           *user;
    uint32_t        crc;
    uint64_t        size;
    linnet_status   st;
} lnt_sink;

static void lnt_send(lnt_sink *s, const void *data, size_t size)
{
    if (s->st || size == 0)
        return;
    if (s->write)
        s->st = s->write(s->user, data, size);
    else
        s->crc = ln_crc32c(s->crc, data, size);
    s->size += size;
}

static void lnt_send_gap(lnt_sink *s)
{
    static const uint8_t zero[LN_ALIGN];
    lnt_send(s, zero, (size_t)((LN_ALIGN - s->size % LN_ALIGN) % LN_ALIGN));
}

static void lnt_send_tensor(lnt_out *o, lnt_sink *s, const linnet_tensor *t)
{
    if (t->desc.dtype != LINNET_STRING) {
        lnt_send(s, t->data, t->size);
        return;
    }
    for (size_t k = 0; k < ln_count(&t->desc) && t->size; k++) {
        uint8_t b[4];
        lnt_le32(b, lnt_ref(o, ((const char *const *)t->data)[k]));
        lnt_send(s, b, sizeof b);
    }
}

static void lnt_send_elements(lnt_out *o, lnt_sink *s)
{
    for (size_t i = 0; i < o->tensor_count && s->st == LINNET_OK; i++) {
        if (o->tensor[i]->size == 0)
            continue;
        lnt_send_gap(s);
        lnt_send_tensor(o, s, o->tensor[i]);
    }
}

/* For files with packed weights, whose readers leave tensors alone. */
static void lnt_put_sums(lnt_out *o)
{
    for (size_t i = 0; i < o->tensor_count && o->packs->count; i++) {
        lnt_sink sum = { .write = NULL };
        lnt_send_tensor(o, &sum, o->tensor[i]);
        lnt_u32(o, LN_LNT_SUMS, sum.crc);
    }
}

static void lnt_send_section(lnt_out *o, lnt_sink *s, int kind)
{
    if (kind == LN_LNT_DATA)
        lnt_send_elements(o, s);
    else if (kind != LN_LNT_PACKED)
        lnt_send(s, o->section[kind].data, o->section[kind].size);
    for (size_t i = 0; kind == LN_LNT_PACKED && i < o->packs->count; i++) {
        lnt_send_gap(s);
        lnt_send(s, o->packs->pack[i].data, o->packs->pack[i].size);
    }
}

/* The header and the table; returns its size. */
static size_t lnt_frame_bytes(const lnt_sink sum[LN_LNT_END], uint8_t head[LN_LNT_HEADER + LN_LNT_END * LN_LNT_ENTRY])
{
    size_t n = 0, line = LN_LNT_HEADER;
    uint64_t end;

    for (int kind = 1; kind < LN_LNT_END; kind++)
        n += sum[kind].size > 0;
    end = LN_LNT_HEADER + n * LN_LNT_ENTRY;
    for (int kind = 1; kind < LN_LNT_END; kind++) {
        if (sum[kind].size == 0)
            continue;
        end = (end + LN_ALIGN - 1) / LN_ALIGN * LN_ALIGN;
        lnt_le32(head + line, (uint32_t)kind);
        lnt_le32(head + line + 4, lnt_flag[kind] ? LN_LNT_MUST : 0);
        lnt_le64(head + line + 8, end);
        lnt_le64(head + line + 16, sum[kind].size);
        lnt_le32(head + line + 24, sum[kind].crc);
        line += LN_LNT_ENTRY;
        end += sum[kind].size;
    }
    memcpy(head, LN_LNT_MAGIC, 8);
    lnt_le32(head + 8, LN_LNT_VERSION);
    lnt_le32(head + 12, (uint32_t)n);
    lnt_le64(head + 16, end);
    lnt_le32(head + 24, ln_crc32c(0, head, line)); /* while these four bytes are 0 */
    return line;
}

static linnet_status lnt_write_file(lnt_out *o, linnet_write_fn write, void *user, linnet_error *err)
{
    uint8_t head[LN_LNT_HEADER + LN_LNT_END * LN_LNT_ENTRY] = { 0 };
    lnt_sink sum[LN_LNT_END] = { { .write = NULL } }, out = { write, user, 0, 0, LINNET_OK };

    for (int kind = 1; kind < LN_LNT_END; kind++)
        lnt_send_section(o, &sum[kind], kind);
    lnt_send(&out, head, lnt_frame_bytes(sum, head));
    for (int kind = 1; kind < LN_LNT_END; kind++)
        if (sum[kind].size) {
            lnt_send_gap(&out);
            lnt_send_section(o, &out, kind);
        }
    if (out.st)
        return ln_fail(err, out.st < 0 ? out.st : LINNET_ERR_IO, ".lnt: writing failed after %llu bytes",
                       (unsigned long long)out.size);
    return LINNET_OK;
}

linnet_status ln_lnt_write(const ln_graph *g, const ln_tests *tests, const ln_packs *packs, linnet_write_fn write,
                           void *user, const linnet_allocator *alloc, linnet_error *err)
{
    const ln_packs none = { 0 };
    lnt_out o = { .alloc = alloc, .packs = packs ? packs : &none };
    linnet_status st = LINNET_OK;

    ln_arena_init(&o.temp, alloc, SIZE_MAX);
    lnt_collect(&o, g, tests);
    if (!o.full)
        lnt_sort_strings(&o);
    if (!o.full)
        lnt_put_all(&o, g, tests);
    lnt_put_packs(&o);
    if (!o.full)
        lnt_put_sums(&o);
    if (o.unfit)
        st = ln_fail(err, LINNET_ERR_ARGUMENT,
                     ".lnt: a text that is not UTF-8, or a name that is too long or has control characters");
    else if (o.full)
        st = ln_fail(err, LINNET_ERR_MEMORY, ".lnt: out of memory while writing the model");
    else
        st = lnt_write_file(&o, write, user, err);
    for (int kind = 0; kind < LN_LNT_END; kind++)
        ln_free(alloc, o.section[kind].data, o.section[kind].cap);
    ln_arena_free(&o.temp);
    return st;
}
