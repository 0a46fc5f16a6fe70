/*
 * lnt.c - the reader of .lnt files (FORMAT.md).
 *
 * Records hold counts, not positions, so the reader keeps one running place per section, and what
 * remains bounds every count. A first walk over graphs, nodes and attributes finds where each
 * graph's records start and which graph owns it; then graphs are built from the last to
 * the first, so that bodies are finished before the layers that hold them.
 */
#include "lnt.h"

/* Where a graph's records begin, counted in records. */
typedef struct lnt_place {
    size_t value, node, index, attr, number, constant, tensor, graph;
} lnt_place;

typedef struct lnt_graph {
    uint32_t  name, values, nodes, inputs, outputs;
    lnt_place at;
    ln_graph *g;
    size_t    parent;
    int32_t   depth;
} lnt_graph;

enum { LNT_TEXT = 1, LNT_NAME = 2, LNT_USED = 4 }; /* fit as text, fit as a name, somebody's */

typedef struct lnt_file {
    ln_cursor      section[LN_LNT_END];
    size_t         count[LN_LNT_END]; /* records */
    ln_arena      *arena;             /* of the model */
    ln_arena       temp;
    lnt_graph     *graph;
    linnet_tensor *tensor;
    bool           shared; /* others may change the bytes */
    bool           packed; /* the file has packed weights */
    bool           sums;   /* and a checksum for each tensor, which stands for that of DATA */
    size_t         constants; /* of the root graph: the first tensors */
    ln_packs      *packs;  /* where those that are not looked at are noted */
    uint8_t       *string; /* LNT_* per byte of STRINGS, of the string that begins there */
    linnet_error  *err;
} lnt_file;

static linnet_status lnt_bad(lnt_file *f, size_t at, const char *what)
{
    return ln_fail(f->err, LINNET_ERR_FORMAT, ".lnt: %s at byte %zu", what, at);
}

static linnet_status lnt_full(lnt_file *f)
{
    return ln_fail(f->err, LINNET_ERR_MEMORY, ".lnt: out of memory while reading the model");
}

#define LNT_RECORD(name, record, must) [LN_LNT_##name] = record,
static const uint8_t lnt_record[LN_LNT_END] = { LN_LNT_LIST(LNT_RECORD) };
#undef LNT_RECORD
#define LNT_MUST(name, record, must) [LN_LNT_##name] = must,
static const uint8_t lnt_must[LN_LNT_END] = { LN_LNT_LIST(LNT_MUST) };
#undef LNT_MUST

/* Record i of a section; i was checked. */
static const uint8_t *lnt_at(const lnt_file *f, int kind, size_t i)
{
    return f->section[kind].data + i * lnt_record[kind];
}

/* File offset of record i, for messages. */
static size_t lnt_offset(const lnt_file *f, int kind, size_t i)
{
    return f->section[kind].base + i * lnt_record[kind];
}

/* ---- the frame ------------------------------------------------------------------------- */

static bool lnt_zeros(const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (p[i])
            return false;
    return true;
}

static linnet_status lnt_header(lnt_file *f, const uint8_t *data, size_t size, size_t *sections)
{
    static const uint8_t none[4];

    if (size < LN_LNT_HEADER || memcmp(data, LN_LNT_MAGIC, 8) != 0)
        return lnt_bad(f, 0, "no header");
    if (ln_le32(data + 8) != LN_LNT_VERSION)
        return ln_fail(f->err, LINNET_ERR_UNSUPPORTED, ".lnt: version %u, this library reads version %u",
                       (unsigned)ln_le32(data + 8), LN_LNT_VERSION);
    if (ln_le64(data + 16) != size)
        return ln_fail(f->err, LINNET_ERR_FORMAT, ".lnt: %zu bytes here, the header says %llu", size,
                       (unsigned long long)ln_le64(data + 16));
    *sections = ln_le32(data + 12);
    if (*sections > (size - LN_LNT_HEADER) / LN_LNT_ENTRY || ln_le32(data + 28) != 0)
        return lnt_bad(f, 12, "bad header");
    const size_t end = LN_LNT_HEADER + *sections * LN_LNT_ENTRY;
    uint32_t crc = ln_crc32c(0, data, 24);
    crc = ln_crc32c(crc, none, 4);
    if (ln_crc32c(crc, data + 28, end - 28) != ln_le32(data + 24))
        return lnt_bad(f, 24, "checksum of the header differs");
    return LINNET_OK;
}

/* One line of the table; *end is the end of what came before, and moves on. */
static linnet_status lnt_section(lnt_file *f, const uint8_t *data, size_t size, size_t line, size_t *end,
                                 uint32_t *last_kind)
{
    const uint8_t *p = data + line;
    const uint32_t kind = ln_le32(p), flags = ln_le32(p + 4);
    const uint64_t at = ln_le64(p + 8), bytes = ln_le64(p + 16);
    size_t start;

    if (kind <= *last_kind || flags > LN_LNT_MUST || ln_le32(p + 28) != 0)
        return lnt_bad(f, line, "bad line of the section table");
    if (!ln_align_up(*end, LN_ALIGN, &start) || at != start || start > size || bytes == 0 || bytes > size - start)
        return lnt_bad(f, line + 8, "section out of place");
    if (!lnt_zeros(data + *end, start - *end))
        return lnt_bad(f, *end, "gap that is not zero");
    *last_kind = kind;
    *end = start + (size_t)bytes;
    const bool records = kind != LN_LNT_DATA && kind != LN_LNT_PACKED;
    const uint8_t *content = data + start;
    if (f->shared && records && kind < LN_LNT_END && !(content = ln_arena_copy(f->arena, content, (size_t)bytes)))
        return lnt_full(f);
    const bool aside = f->shared && kind == LN_LNT_DATA && f->packed;
    if (!(kind == LN_LNT_DATA && f->sums) &&
        (aside ? ln_crc32c_aside(content, (size_t)bytes) : ln_crc32c(0, content, (size_t)bytes)) != ln_le32(p + 24))
        return lnt_bad(f, start, "checksum differs for the section");
    if (kind >= LN_LNT_END)
        return flags & LN_LNT_MUST ? ln_fail(f->err, LINNET_ERR_UNSUPPORTED, ".lnt: section of unknown kind %u", kind)
                                   : LINNET_OK;
    if (flags != lnt_must[kind] || bytes % lnt_record[kind] != 0)
        return lnt_bad(f, line, "bad line of the section table");
    f->section[kind] = ln_cursor_over(content, (size_t)bytes);
    f->section[kind].base = start;
    f->count[kind] = (size_t)bytes / lnt_record[kind];
    return LINNET_OK;
}

static linnet_status lnt_frame(lnt_file *f, const uint8_t *data, size_t size)
{
    size_t sections = 0;
    uint32_t kind = 0;
    linnet_status st = lnt_header(f, data, size, &sections);

    if (st)
        return st;
    size_t end = LN_LNT_HEADER + sections * LN_LNT_ENTRY;
    for (size_t i = 0; i < sections; i++) {
        const uint32_t line = ln_le32(data + LN_LNT_HEADER + i * LN_LNT_ENTRY);
        f->packed = f->packed || line == LN_LNT_PACKED;
        f->sums = f->sums || line == LN_LNT_SUMS;
    }
    for (size_t i = 0; i < sections; i++)
        if ((st = lnt_section(f, data, size, LN_LNT_HEADER + i * LN_LNT_ENTRY, &end, &kind)) != LINNET_OK)
            return st;
    if (end != size)
        return lnt_bad(f, end, "bytes behind the last section");
    return f->count[LN_LNT_GRAPHS] ? LINNET_OK : lnt_bad(f, 0, "no graph in the file");
}

/* ---- strings ------------------------------------------------------------------------------- */

static linnet_status lnt_check_strings(lnt_file *f)
{
    const char *s = (const char *)f->section[LN_LNT_STRINGS].data;
    const size_t base = f->section[LN_LNT_STRINGS].base, size = f->section[LN_LNT_STRINGS].size;

    if (size == 0 || s[0] != '\0' || s[size - 1] != '\0')
        return lnt_bad(f, base, "string table without its zero bytes");
    f->string = ln_arena_alloc(&f->temp, size, 1);
    if (!f->string)
        return lnt_full(f);
    f->string[0] = LNT_TEXT | LNT_NAME;
    for (size_t at = 1, before = 0, length; at < size; before = at, at += length + 1) {
        length = strlen(s + at);
        if (!ln_text_ok(s + at, length))
            return lnt_bad(f, base + at, "string that is not UTF-8");
        if (strcmp(s + before, s + at) >= 0)
            return lnt_bad(f, base + at, "string out of order");
        f->string[at] = length <= LN_NAME_MOST && ln_utf8_ok(s + at, length) ? LNT_TEXT | LNT_NAME : LNT_TEXT;
    }
    return LINNET_OK;
}

/* At the end: every string is somebody's. */
static linnet_status lnt_check_used(lnt_file *f)
{
    const char *s = (const char *)f->section[LN_LNT_STRINGS].data;

    for (size_t at = 1; at < f->section[LN_LNT_STRINGS].size; at += strlen(s + at) + 1)
        if (!(f->string[at] & LNT_USED))
            return lnt_bad(f, f->section[LN_LNT_STRINGS].base + at, "string that nobody uses");
    return LINNET_OK;
}

/* The string at that position; NULL: there is none, or it cannot be a name. */
static const char *lnt_string(const lnt_file *f, uint64_t ref, bool name)
{
    if (ref >= f->section[LN_LNT_STRINGS].size || !(f->string[ref] & (name ? LNT_NAME : LNT_TEXT)))
        return NULL;
    f->string[ref] |= LNT_USED;
    return (const char *)f->section[LN_LNT_STRINGS].data + ref;
}

static linnet_status lnt_read_meta(lnt_file *f, ln_graph *g)
{
    uint32_t before = 0;

    for (size_t i = 0; i < f->count[LN_LNT_META]; i++) {
        const uint8_t *p = lnt_at(f, LN_LNT_META, i);
        const char *key = lnt_string(f, ln_le32(p), true), *value = lnt_string(f, ln_le32(p + 4), false);
        if (!key || !value || ln_le32(p) <= before)
            return lnt_bad(f, lnt_offset(f, LN_LNT_META, i), "bad metadata");
        before = ln_le32(p);
        const linnet_status st = ln_graph_meta(g, key, value, f->err);
        if (st)
            return st;
    }
    return LINNET_OK;
}

/* ---- tensors --------------------------------------------------------------------------------- */

/* Rank and dims at p (i32 rank; dims from p + 4 + gap on); least: the smallest legal dim. */
static bool lnt_shape(const uint8_t *rank, const uint8_t *dim, int64_t least, int32_t rank_least, ln_desc *d)
{
    const uint32_t r = ln_le32(rank);

    if (r > LN_MAX_RANK && !(r == UINT32_MAX && rank_least < 0))
        return false;
    d->rank = r == UINT32_MAX ? -1 : (int32_t)r;
    for (int32_t i = 0; i < LN_MAX_RANK; i++) {
        const uint64_t v = ln_le64(dim + 8 * i);
        const int64_t n = v <= INT64_MAX ? (int64_t)v : v == UINT64_MAX ? -1 : INT64_MIN;
        if (i < d->rank ? n < least : n != 0)
            return false;
        d->dim[i] = n;
    }
    return true;
}

/* String elements: positions become pointers. */
static linnet_status lnt_string_elements(lnt_file *f, linnet_tensor *t, const uint8_t *ref, size_t at)
{
    const size_t n = ln_count(&t->desc);
    const char **out = ln_arena_alloc(f->arena, n, sizeof *out);

    if (!out)
        return lnt_full(f);
    for (size_t i = 0; i < n; i++)
        if (!(out[i] = lnt_string(f, ln_le32(ref + 4 * i), false)))
            return lnt_bad(f, at + 4 * i, "bad string element");
    t->data = out;
    return LINNET_OK;
}

static linnet_status lnt_elements(lnt_file *f, linnet_tensor *t, const uint8_t *p, size_t at)
{
    const int32_t dtype = t->desc.dtype;

    if (dtype == LINNET_STRING)
        return lnt_string_elements(f, t, p, at);
    if (dtype == LINNET_BOOL)
        for (size_t i = 0; i < t->size; i++)
            if (p[i] > 1)
                return lnt_bad(f, at + i, "bool that is neither 0 nor 1");
    if (!ln_aligned(p, dtype) || (f->shared && !ln_desc_bulk(&t->desc))) {
        t->data = ln_arena_copy(f->arena, p, t->size);
        return t->data ? LINNET_OK : lnt_full(f);
    }
    memcpy(&t->data, &p, sizeof t->data); /* tensors are not const objects; nobody writes to this one */
    return LINNET_OK;
}

/* True for large weights of the root graph in a file that proves each alone: a plan does it (prove.c). */
static bool lnt_left_alone(const lnt_file *f, size_t i)
{
    return f->sums && i < f->constants && ln_desc_bulk(&f->tensor[i].desc);
}

/* Tensor i, whose elements are the bytes at p, against its checksum. */
static linnet_status lnt_prove(lnt_file *f, size_t i, const uint8_t *p, size_t bytes)
{
    if (!f->sums || lnt_left_alone(f, i) || ln_crc32c(0, p, bytes) == ln_le32(lnt_at(f, LN_LNT_SUMS, i)))
        return LINNET_OK;
    return lnt_bad(f, f->section[LN_LNT_DATA].base + (size_t)(p - f->section[LN_LNT_DATA].data),
                   "checksum differs for the tensor");
}

static linnet_status lnt_read_tensors(lnt_file *f)
{
    const size_t n = f->count[LN_LNT_TENSORS], all = f->section[LN_LNT_DATA].size;
    const uint8_t *data = f->section[LN_LNT_DATA].data;
    size_t end = 0;

    f->tensor = ln_arena_alloc(f->arena, n, sizeof *f->tensor);
    if (!f->tensor)
        return lnt_full(f);
    if (f->sums && f->count[LN_LNT_SUMS] != n)
        return lnt_bad(f, f->section[LN_LNT_SUMS].base, "not one checksum for each tensor");
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = lnt_at(f, LN_LNT_TENSORS, i);
        linnet_tensor *t = &f->tensor[i];
        size_t count, bytes, start = end;
        t->desc.dtype = (int32_t)LN_MIN(ln_le32(p), 255u);
        if (!lnt_shape(p + 4, p + 8, 0, 0, &t->desc) || !ln_desc_bytes(&t->desc, &t->size) ||
            !ln_desc_count(&t->desc, &count))
            return lnt_bad(f, lnt_offset(f, LN_LNT_TENSORS, i), "tensor of no known type or shape");
        if (t->size == 0)
            continue;
        bytes = t->size;
        if (t->desc.dtype == LINNET_STRING && !ln_mul(count, 4, &bytes))
            return lnt_bad(f, lnt_offset(f, LN_LNT_TENSORS, i), "tensor of no known type or shape");
        if (!ln_align_up(end, LN_ALIGN, &start) || start > all || bytes > all - start)
            return lnt_bad(f, lnt_offset(f, LN_LNT_TENSORS, i), "tensor with more elements than the file has");
        if (!lnt_zeros(data + end, start - end))
            return lnt_bad(f, f->section[LN_LNT_DATA].base + end, "gap that is not zero");
        linnet_status st = lnt_prove(f, i, data + start, bytes);
        if (!st)
            st = lnt_elements(f, t, data + start, f->section[LN_LNT_DATA].base + start);
        if (st)
            return st;
        end = start + bytes;
    }
    if (f->sums && f->shared)
        ln_pages_drop(data, all); /* what was read is copied */
    return end == all ? LINNET_OK : lnt_bad(f, f->section[LN_LNT_DATA].base + end, "data that no tensor has");
}

/* ---- the first walk ------------------------------------------------------------------------------ */

/* Take n records of a section from the running place. */
static bool lnt_take(const lnt_file *f, int kind, size_t *place, uint64_t n)
{
    if (n > f->count[kind] - *place)
        return false;
    *place += (size_t)n;
    return true;
}

static linnet_status lnt_walk_attr(lnt_file *f, size_t owner, lnt_place *at, uint32_t before)
{
    const size_t where = lnt_offset(f, LN_LNT_ATTRS, at->attr);
    const uint8_t *p = lnt_at(f, LN_LNT_ATTRS, at->attr);
    const uint32_t type = ln_le32(p + 4);
    const uint64_t content = ln_le64(p + 8);

    if (ln_le32(p) <= before || type < LN_ATTR_I64 || type > LN_ATTR_GRAPH)
        return lnt_bad(f, where, "bad attribute");
    if ((type == LN_ATTR_INTS || type == LN_ATTR_FLOATS || type == LN_ATTR_STRS) &&
        !lnt_take(f, LN_LNT_NUMBERS, &at->number, content))
        return lnt_bad(f, where, "attribute with more numbers than the file has");
    if ((type == LN_ATTR_TENSOR || type == LN_ATTR_GRAPH) && content != 0)
        return lnt_bad(f, where, "bad attribute");
    if (type == LN_ATTR_TENSOR && !lnt_take(f, LN_LNT_TENSORS, &at->tensor, 1))
        return lnt_bad(f, where, "attribute whose tensor is missing");
    if (type == LN_ATTR_GRAPH) {
        if (at->graph >= f->count[LN_LNT_GRAPHS])
            return lnt_bad(f, where, "attribute whose graph is missing");
        lnt_graph *child = &f->graph[at->graph++];
        child->parent = owner;
        child->depth = f->graph[owner].depth + 1;
        if (child->depth >= LN_LNT_NESTING)
            return ln_fail(f->err, LINNET_ERR_LIMIT, ".lnt: graphs nested more than %d deep", LN_LNT_NESTING);
    }
    at->attr++;
    return LINNET_OK;
}

static linnet_status lnt_walk_graph(lnt_file *f, size_t k, lnt_place *at)
{
    const uint8_t *p = lnt_at(f, LN_LNT_GRAPHS, k);
    lnt_graph *g = &f->graph[k];
    const size_t where = lnt_offset(f, LN_LNT_GRAPHS, k);
    linnet_status st;

    g->name = ln_le32(p);
    g->values = ln_le32(p + 4);
    g->nodes = ln_le32(p + 8);
    g->inputs = ln_le32(p + 12);
    g->outputs = ln_le32(p + 16);
    g->at = *at;
    if (k >= at->graph)
        return lnt_bad(f, where, "graph that no layer has");
    for (uint32_t i = 0; i < g->values; i++) {
        if (!lnt_take(f, LN_LNT_VALUES, &at->value, 1))
            return lnt_bad(f, where, "graph with more values than the file has");
        if (ln_le32(lnt_at(f, LN_LNT_VALUES, at->value - 1) + 4) & LN_LNT_CONSTANT)
            at->constant++;
    }
    if (!lnt_take(f, LN_LNT_INDEX, &at->index, (uint64_t)g->inputs + g->outputs))
        return lnt_bad(f, where, "graph with more inputs and outputs than the file has");
    for (uint32_t i = 0; i < g->nodes; i++) {
        if (!lnt_take(f, LN_LNT_NODES, &at->node, 1))
            return lnt_bad(f, where, "graph with more layers than the file has");
        const uint8_t *n = lnt_at(f, LN_LNT_NODES, at->node - 1);
        const uint32_t attrs = ln_le32(n + 16);
        if (!lnt_take(f, LN_LNT_INDEX, &at->index, (uint64_t)ln_le32(n + 8) + ln_le32(n + 12)) ||
            attrs > f->count[LN_LNT_ATTRS] - at->attr)
            return lnt_bad(f, lnt_offset(f, LN_LNT_NODES, at->node - 1), "layer with more than the file has");
        uint32_t before = 0;
        for (uint32_t a = 0; a < attrs; a++) {
            if ((st = lnt_walk_attr(f, k, at, before)) != LINNET_OK)
                return st;
            before = ln_le32(lnt_at(f, LN_LNT_ATTRS, at->attr - 1));
        }
    }
    return LINNET_OK;
}

/* Tensors of attributes come behind all constants, whose number one look at the values tells. */
static linnet_status lnt_walk(lnt_file *f, size_t *test_tensor)
{
    lnt_place at = { .graph = 1 };

    f->graph = ln_arena_alloc(&f->temp, f->count[LN_LNT_GRAPHS], sizeof *f->graph);
    if (!f->graph)
        return lnt_full(f);
    for (size_t i = 0; i < f->count[LN_LNT_VALUES]; i++)
        at.tensor += ln_le32(lnt_at(f, LN_LNT_VALUES, i) + 4) & LN_LNT_CONSTANT;
    if (at.tensor > f->count[LN_LNT_TENSORS])
        return lnt_bad(f, f->section[LN_LNT_VALUES].base, "more constants than tensors");
    for (size_t k = 0; k < f->count[LN_LNT_GRAPHS]; k++) {
        const linnet_status st = lnt_walk_graph(f, k, &at);
        if (st)
            return st;
    }
    if (at.value != f->count[LN_LNT_VALUES] || at.node != f->count[LN_LNT_NODES] ||
        at.index != f->count[LN_LNT_INDEX] || at.attr != f->count[LN_LNT_ATTRS] ||
        at.number != f->count[LN_LNT_NUMBERS])
        return lnt_bad(f, f->section[LN_LNT_GRAPHS].base, "records that no graph has, beside those of the graphs");
    *test_tensor = at.tensor;
    f->constants = f->count[LN_LNT_GRAPHS] > 1 ? f->graph[1].at.constant : at.constant;
    return LINNET_OK;
}

/* ---- building a graph ------------------------------------------------------------------------------- */

static linnet_status lnt_symbols(lnt_file *f, const uint8_t *p, const ln_desc *d, const char **symbol)
{
    for (int32_t i = 0; i < LN_MAX_RANK; i++) {
        symbol[i] = lnt_string(f, ln_le32(p + 4 * i), true);
        if (!symbol[i] || (symbol[i][0] && (i >= d->rank || d->dim[i] != LN_UNKNOWN)))
            return LINNET_ERR_FORMAT;
        if (!symbol[i][0])
            symbol[i] = NULL;
    }
    return LINNET_OK;
}

/* Names first, so that values get the numbers they have in the file. */
static linnet_status lnt_build_values(lnt_file *f, lnt_graph *k)
{
    const size_t base = k->at.value;
    size_t tensor = k->at.constant;
    int32_t index;

    for (size_t i = 0; i < k->values; i++) {
        const uint8_t *p = lnt_at(f, LN_LNT_VALUES, base + i);
        const size_t where = lnt_offset(f, LN_LNT_VALUES, base + i);
        const uint32_t flags = ln_le32(p + 4);
        const char *name = lnt_string(f, ln_le32(p), true), *symbol[LN_MAX_RANK];
        ln_desc d = { .dtype = (int32_t)LN_MIN(ln_le32(p + 8), 255u) };
        if (!name || !name[0] || flags >> LN_LNT_KIND_SHIFT > LN_VALUE_OPTIONAL ||
            (d.dtype && !ln_dtype(d.dtype)->name) || !lnt_shape(p + 12, p + 16, -1, -1, &d) ||
            lnt_symbols(f, p + 80, &d, symbol))
            return lnt_bad(f, where, "bad value");
        linnet_status st = ln_graph_value(k->g, name, &index, f->err);
        if (st)
            return st;
        if ((size_t)index != i)
            return lnt_bad(f, where, "value whose name is taken");
        if (flags & LN_LNT_CONSTANT) {
            const linnet_tensor *t = &f->tensor[tensor++];
            if (k == f->graph && lnt_left_alone(f, tensor - 1)) {
                ln_sum *sum = &f->packs->sum[f->packs->sum_count++];
                sum->value = index;
                sum->crc = ln_le32(lnt_at(f, LN_LNT_SUMS, tensor - 1));
                atomic_init(&sum->proved, false);
            }
            if (flags != LN_LNT_CONSTANT || d.dtype || d.rank != -1)
                return lnt_bad(f, where, "bad value");
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
static linnet_status lnt_names(lnt_file *f, const lnt_graph *k, size_t *at, size_t n, bool absent, const char ***out)
{
    const char **name = ln_arena_alloc(&f->temp, n, sizeof *name);

    if (!name)
        return lnt_full(f);
    for (size_t i = 0; i < n; i++, ++*at) {
        const uint32_t v = ln_le32(lnt_at(f, LN_LNT_INDEX, *at));
        if (v < k->values)
            name[i] = k->g->value[v].name;
        else if (v == LN_LNT_ABSENT && absent)
            name[i] = "";
        else
            return lnt_bad(f, lnt_offset(f, LN_LNT_INDEX, *at), "number of no value");
    }
    *out = name;
    return LINNET_OK;
}

static linnet_status lnt_attr_list(lnt_file *f, ln_attr_value *a, size_t from, size_t n)
{
    const size_t size = a->type == LN_ATTR_INTS ? 8 : a->type == LN_ATTR_FLOATS ? 4 : sizeof(char *);
    char *out = ln_arena_alloc(&f->temp, n, size);

    if (!out)
        return lnt_full(f);
    for (size_t i = 0; i < n; i++) {
        const uint64_t v = ln_le64(lnt_at(f, LN_LNT_NUMBERS, from + i));
        const uint32_t bits = (uint32_t)v;
        const char *s = a->type == LN_ATTR_STRS ? lnt_string(f, v, false) : "";
        if (!s || (a->type == LN_ATTR_FLOATS && v > UINT32_MAX))
            return lnt_bad(f, lnt_offset(f, LN_LNT_NUMBERS, from + i), "bad number of an attribute");
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

static linnet_status lnt_attr(lnt_file *f, lnt_place *at, ln_attr_value *a)
{
    const size_t where = lnt_offset(f, LN_LNT_ATTRS, at->attr);
    const uint8_t *p = lnt_at(f, LN_LNT_ATTRS, at->attr++);
    const uint64_t v = ln_le64(p + 8);
    const uint32_t bits = (uint32_t)v;
    linnet_status st = LINNET_OK;

    a->name = lnt_string(f, ln_le32(p), true);
    a->type = (int32_t)ln_le32(p + 4);
    if (!a->name)
        return lnt_bad(f, where, "bad attribute");
    switch (a->type) {
    case LN_ATTR_I64: memcpy(&a->u.i, &v, 8); break;
    case LN_ATTR_F32:
        if (v > UINT32_MAX)
            return lnt_bad(f, where, "bad attribute");
        memcpy(&a->u.f, &bits, 4);
        break;
    case LN_ATTR_STR:
        a->u.s = lnt_string(f, v, false);
        if (!a->u.s)
            return lnt_bad(f, where, "bad attribute");
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

static linnet_status lnt_build_node(lnt_file *f, lnt_graph *k, lnt_place *at)
{
    const size_t where = lnt_offset(f, LN_LNT_NODES, at->node);
    const uint8_t *p = lnt_at(f, LN_LNT_NODES, at->node++);
    const char *op = lnt_string(f, ln_le32(p), true), *name = lnt_string(f, ln_le32(p + 4), true);
    const size_t in_count = ln_le32(p + 8), out_count = ln_le32(p + 12), attrs = ln_le32(p + 16);
    const char **in, **out;
    linnet_status st;

    if (!op || !name)
        return lnt_bad(f, where, "bad layer");
    ln_attr_value *attr = ln_arena_alloc(&f->temp, attrs, sizeof *attr);
    if (!attr)
        return lnt_full(f);
    if ((st = lnt_names(f, k, &at->index, in_count, true, &in)) != LINNET_OK ||
        (st = lnt_names(f, k, &at->index, out_count, true, &out)) != LINNET_OK)
        return st;
    if (in_count && !in[in_count - 1][0])
        return lnt_bad(f, where, "layer whose last input is absent");
    for (size_t i = 0; i < attrs; i++)
        if ((st = lnt_attr(f, at, &attr[i])) != LINNET_OK)
            return st;
    return ln_graph_node(k->g, op, name, in, in_count, out, out_count, attr, attrs, NULL, f->err);
}

static linnet_status lnt_build_graph(lnt_file *f, lnt_graph *k)
{
    lnt_place at = k->at;
    const char **in, **out, *name = lnt_string(f, k->name, false);
    linnet_status st;
    int32_t index;

    if (!name)
        return lnt_bad(f, f->section[LN_LNT_GRAPHS].base, "graph with a bad name");
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

/* ---- the model ------------------------------------------------------------------------------------------ */

static linnet_status lnt_read_tests(lnt_file *f, const ln_graph *g, size_t tensor, ln_tests *tests)
{
    const size_t n = f->count[LN_LNT_TESTS], each = g->input_count + g->output_count;

    tests->test = ln_arena_alloc(f->arena, n, sizeof *tests->test);
    if (!tests->test)
        return lnt_full(f);
    tests->cap = n;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = lnt_at(f, LN_LNT_TESTS, i);
        const uint64_t r = ln_le64(p), a = ln_le64(p + 8);
        ln_test *t = &tests->test[tests->count++];
        memcpy(&t->rtol, &r, 8);
        memcpy(&t->atol, &a, 8);
        t->count = ln_le32(p + 16);
        t->tensor = ln_arena_alloc(f->arena, each, sizeof *t->tensor);
        if (t->count != each || ln_le32(p + 20) != 0 || !lnt_take(f, LN_LNT_TENSORS, &tensor, each) ||
            !(t->rtol >= 0 && t->atol >= 0))
            return lnt_bad(f, lnt_offset(f, LN_LNT_TESTS, i), "bad test");
        if (!t->tensor)
            return lnt_full(f);
        for (size_t k = 0; k < each; k++)
            t->tensor[k] = &f->tensor[tensor - each + k];
    }
    return tensor == f->count[LN_LNT_TENSORS] ? LINNET_OK
                                              : lnt_bad(f, lnt_offset(f, LN_LNT_TENSORS, tensor), "tensor that nobody has");
}

/* Packed weights of this library's version; they are numbers, whatever they are. */
static linnet_status lnt_read_packs(lnt_file *f, ln_packs *packs)
{
    const size_t n = f->count[LN_LNT_PACKS], all = f->section[LN_LNT_PACKED].size;
    const uint8_t *data = f->section[LN_LNT_PACKED].data;
    ln_pack before = { 0 };
    size_t end = 0;

    packs->pack = ln_arena_alloc(f->arena, n, sizeof *packs->pack);
    if (!packs->pack)
        return lnt_full(f);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = lnt_at(f, LN_LNT_PACKS, i);
        const uint64_t size = ln_le64(p + 16);
        ln_pack k = { .source = ln_le64(p), .key = ln_le64(p + 8), .size = (size_t)size };
        size_t start;
        if (size == 0 || size % sizeof(float) || size > all || !ln_align_up(end, LN_ALIGN, &start) || start > all ||
            size > all - start || ln_le32(p + 28) != 0 || ln_pack_order(&before, &k) >= 0)
            return lnt_bad(f, lnt_offset(f, LN_LNT_PACKS, i), "bad packed weights");
        if (!lnt_zeros(data + end, start - end))
            return lnt_bad(f, f->section[LN_LNT_PACKED].base + end, "gap that is not zero");
        before = k;
        k.data = data + start;
        end = start + k.size;
        if (ln_le32(p + 24) == LN_PACK_VERSION && ln_aligned(k.data, LINNET_F32))
            packs->pack[packs->count++] = k;
    }
    return end == all ? LINNET_OK : lnt_bad(f, f->section[LN_LNT_PACKED].base + end, "packed weights that nobody has");
}

static linnet_status lnt_read(lnt_file *f, ln_graph *g, const uint8_t *data, size_t size, ln_tests *tests)
{
    size_t test_tensor = 0;
    linnet_status st;

    if ((st = lnt_frame(f, data, size)) != LINNET_OK || (st = lnt_check_strings(f)) != LINNET_OK ||
        (st = lnt_read_meta(f, g)) != LINNET_OK || (st = lnt_walk(f, &test_tensor)) != LINNET_OK ||
        (st = lnt_read_tensors(f)) != LINNET_OK)
        return st;
    f->graph[0].g = g;
    f->packs->sum = ln_arena_alloc(f->arena, f->sums ? f->constants : 0, sizeof *f->packs->sum);
    if (!f->packs->sum)
        return lnt_full(f);
    for (size_t k = 1; k < f->count[LN_LNT_GRAPHS]; k++)
        if ((st = ln_graph_new(f->arena, g->limits, f->graph[f->graph[k].parent].g, &f->graph[k].g, f->err)) != LINNET_OK)
            return st;
    for (size_t k = f->count[LN_LNT_GRAPHS]; k-- > 0;)
        if ((st = lnt_build_graph(f, &f->graph[k])) != LINNET_OK)
            return st;
    if ((st = lnt_read_tests(f, g, test_tensor, tests)) != LINNET_OK || (st = lnt_read_packs(f, f->packs)) != LINNET_OK)
        return st;
    return lnt_check_used(f);
}

bool ln_lnt_is(const void *data, size_t size)
{
    return data && size >= 8 && memcmp(data, LN_LNT_MAGIC, 8) == 0;
}

linnet_status ln_lnt_read(ln_graph *g, const void *data, size_t size, bool shared, const linnet_options *opt,
                          ln_tests *tests, ln_packs *packs, linnet_error *err)
{
    const linnet_allocator alloc = ln_allocator(opt);
    lnt_file f = { .arena = g->arena, .shared = shared, .packs = packs, .err = err };

    ln_arena_init(&f.temp, &alloc, SIZE_MAX);
    const linnet_status st = lnt_read(&f, g, data, size, tests);
    ln_arena_free(&f.temp);
    return st;
}
