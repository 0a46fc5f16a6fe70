/*
 * lnt.c - the reader of .lnt files (FORMAT.md): the frame, strings, tensors, and the order of it all.
 *
 * Records hold counts, not positions, so the reader keeps one running place per section, and what
 * remains bounds every count.
 */
#include "lnt_file.h"

linnet_status ln_lnt_bad(ln_lnt_file *f, size_t at, const char *what)
{
    return ln_fail(f->err, LINNET_ERR_FORMAT, ".lnt: %s at byte %zu", what, at);
}

linnet_status ln_lnt_full(ln_lnt_file *f)
{
    return ln_fail(f->err, LINNET_ERR_MEMORY, ".lnt: out of memory while reading the model");
}

#define LNT_RECORD(name, record, must) [LN_LNT_##name] = record,
static const uint8_t lnt_record[LN_LNT_END] = { LN_LNT_LIST(LNT_RECORD) };
#undef LNT_RECORD
#define LNT_MUST(name, record, must) [LN_LNT_##name] = must,
static const uint8_t lnt_must[LN_LNT_END] = { LN_LNT_LIST(LNT_MUST) };
#undef LNT_MUST

const uint8_t *ln_lnt_at(const ln_lnt_file *f, int kind, size_t i)
{
    return f->section[kind].data + i * lnt_record[kind];
}

size_t ln_lnt_offset(const ln_lnt_file *f, int kind, size_t i)
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

static linnet_status lnt_header(ln_lnt_file *f, const uint8_t *data, size_t size, size_t *sections)
{
    static const uint8_t none[4];

    if (size < LN_LNT_HEADER || memcmp(data, LN_LNT_MAGIC, 8) != 0)
        return ln_lnt_bad(f, 0, "no header");
    if (ln_le32(data + 8) != LN_LNT_VERSION)
        return ln_fail(f->err, LINNET_ERR_UNSUPPORTED, ".lnt: version %u, this library reads version %u",
                       (unsigned)ln_le32(data + 8), LN_LNT_VERSION);
    if (ln_le64(data + 16) != size)
        return ln_fail(f->err, LINNET_ERR_FORMAT, ".lnt: %zu bytes here, the header says %llu", size,
                       (unsigned long long)ln_le64(data + 16));
    *sections = ln_le32(data + 12);
    if (*sections > (size - LN_LNT_HEADER) / LN_LNT_ENTRY || ln_le32(data + 28) != 0)
        return ln_lnt_bad(f, 12, "bad header");
    const size_t end = LN_LNT_HEADER + *sections * LN_LNT_ENTRY;
    uint32_t crc = ln_crc32c(0, data, 24);
    crc = ln_crc32c(crc, none, 4);
    if (ln_crc32c(crc, data + 28, end - 28) != ln_le32(data + 24))
        return ln_lnt_bad(f, 24, "checksum of the header differs");
    return LINNET_OK;
}

/* One line of the table; *end is the end of what came before, and moves on. */
static linnet_status lnt_section(ln_lnt_file *f, const uint8_t *data, size_t size, size_t line, size_t *end,
                                 uint32_t *last_kind)
{
    const uint8_t *p = data + line;
    const uint32_t kind = ln_le32(p), flags = ln_le32(p + 4);
    const uint64_t at = ln_le64(p + 8), bytes = ln_le64(p + 16);
    size_t start;

    if (kind <= *last_kind || flags > LN_LNT_MUST || ln_le32(p + 28) != 0)
        return ln_lnt_bad(f, line, "bad line of the section table");
    if (!ln_align_up(*end, LN_ALIGN, &start) || at != start || start > size || bytes == 0 || bytes > size - start)
        return ln_lnt_bad(f, line + 8, "section out of place");
    if (!lnt_zeros(data + *end, start - *end))
        return ln_lnt_bad(f, *end, "gap that is not zero");
    *last_kind = kind;
    *end = start + (size_t)bytes;
    const bool records = kind != LN_LNT_DATA && kind != LN_LNT_PACKED;
    const uint8_t *content = data + start;
    if (f->shared && records && kind < LN_LNT_END && !(content = ln_arena_copy(f->arena, content, (size_t)bytes)))
        return ln_lnt_full(f);
    const bool aside = f->shared && kind == LN_LNT_DATA && f->packed;
    if (!(kind == LN_LNT_DATA && f->sums) &&
        (aside ? ln_crc32c_aside(content, (size_t)bytes) : ln_crc32c(0, content, (size_t)bytes)) != ln_le32(p + 24))
        return ln_lnt_bad(f, start, "checksum differs for the section");
    if (kind >= LN_LNT_END)
        return flags & LN_LNT_MUST ? ln_fail(f->err, LINNET_ERR_UNSUPPORTED, ".lnt: section of unknown kind %u", kind)
                                   : LINNET_OK;
    if (flags != lnt_must[kind] || bytes % lnt_record[kind] != 0)
        return ln_lnt_bad(f, line, "bad line of the section table");
    f->section[kind] = ln_cursor_over(content, (size_t)bytes);
    f->section[kind].base = start;
    f->count[kind] = (size_t)bytes / lnt_record[kind];
    return LINNET_OK;
}

static linnet_status lnt_frame(ln_lnt_file *f, const uint8_t *data, size_t size)
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
        return ln_lnt_bad(f, end, "bytes behind the last section");
    return f->count[LN_LNT_GRAPHS] ? LINNET_OK : ln_lnt_bad(f, 0, "no graph in the file");
}

/* ---- strings ------------------------------------------------------------------------------- */

static linnet_status lnt_check_strings(ln_lnt_file *f)
{
    const char *s = (const char *)f->section[LN_LNT_STRINGS].data;
    const size_t base = f->section[LN_LNT_STRINGS].base, size = f->section[LN_LNT_STRINGS].size;

    if (size == 0 || s[0] != '\0' || s[size - 1] != '\0')
        return ln_lnt_bad(f, base, "string table without its zero bytes");
    f->string = ln_arena_alloc(&f->temp, size, 1);
    if (!f->string)
        return ln_lnt_full(f);
    f->string[0] = LN_LNT_TEXT | LN_LNT_NAME;
    for (size_t at = 1, before = 0, length; at < size; before = at, at += length + 1) {
        length = strlen(s + at);
        if (!ln_text_ok(s + at, length))
            return ln_lnt_bad(f, base + at, "string that is not UTF-8");
        if (strcmp(s + before, s + at) >= 0)
            return ln_lnt_bad(f, base + at, "string out of order");
        f->string[at] = length <= LN_NAME_MOST && ln_utf8_ok(s + at, length) ? LN_LNT_TEXT | LN_LNT_NAME : LN_LNT_TEXT;
    }
    return LINNET_OK;
}

/* At the end: every string is somebody's. */
static linnet_status lnt_check_used(ln_lnt_file *f)
{
    const char *s = (const char *)f->section[LN_LNT_STRINGS].data;

    for (size_t at = 1; at < f->section[LN_LNT_STRINGS].size; at += strlen(s + at) + 1)
        if (!(f->string[at] & LN_LNT_USED))
            return ln_lnt_bad(f, f->section[LN_LNT_STRINGS].base + at, "string that nobody uses");
    return LINNET_OK;
}

const char *ln_lnt_string(const ln_lnt_file *f, uint64_t ref, bool name)
{
    if (ref >= f->section[LN_LNT_STRINGS].size || !(f->string[ref] & (name ? LN_LNT_NAME : LN_LNT_TEXT)))
        return NULL;
    f->string[ref] |= LN_LNT_USED;
    return (const char *)f->section[LN_LNT_STRINGS].data + ref;
}

static linnet_status lnt_read_meta(ln_lnt_file *f, ln_graph *g)
{
    uint32_t before = 0;

    for (size_t i = 0; i < f->count[LN_LNT_META]; i++) {
        const uint8_t *p = ln_lnt_at(f, LN_LNT_META, i);
        const char *key = ln_lnt_string(f, ln_le32(p), true), *value = ln_lnt_string(f, ln_le32(p + 4), false);
        if (!key || !value || ln_le32(p) <= before)
            return ln_lnt_bad(f, ln_lnt_offset(f, LN_LNT_META, i), "bad metadata");
        before = ln_le32(p);
        const linnet_status st = ln_graph_meta(g, key, value, f->err);
        if (st)
            return st;
    }
    return LINNET_OK;
}

/* ---- tensors --------------------------------------------------------------------------------- */

bool ln_lnt_shape(const uint8_t *rank, const uint8_t *dim, int64_t least, int32_t rank_least, ln_desc *d)
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
static linnet_status lnt_string_elements(ln_lnt_file *f, linnet_tensor *t, const uint8_t *ref, size_t at)
{
    const size_t n = ln_count(&t->desc);
    const char **out = ln_arena_alloc(f->arena, n, sizeof *out);

    if (!out)
        return ln_lnt_full(f);
    for (size_t i = 0; i < n; i++)
        if (!(out[i] = ln_lnt_string(f, ln_le32(ref + 4 * i), false)))
            return ln_lnt_bad(f, at + 4 * i, "bad string element");
    t->data = out;
    return LINNET_OK;
}

static linnet_status lnt_elements(ln_lnt_file *f, linnet_tensor *t, const uint8_t *p, size_t at)
{
    const int32_t dtype = t->desc.dtype;

    if (dtype == LINNET_STRING)
        return lnt_string_elements(f, t, p, at);
    if (dtype == LINNET_BOOL)
        for (size_t i = 0; i < t->size; i++)
            if (p[i] > 1)
                return ln_lnt_bad(f, at + i, "bool that is neither 0 nor 1");
    if (!ln_aligned(p, dtype) || (f->shared && !ln_desc_bulk(&t->desc))) {
        t->data = ln_arena_copy(f->arena, p, t->size);
        return t->data ? LINNET_OK : ln_lnt_full(f);
    }
    memcpy(&t->data, &p, sizeof t->data); /* tensors are not const objects; nobody writes to this one */
    return LINNET_OK;
}

bool ln_lnt_left_alone(const ln_lnt_file *f, size_t i)
{
    return f->sums && i < f->constants && ln_desc_bulk(&f->tensor[i].desc);
}

/* Tensor i, whose elements are the bytes at p, against its checksum. */
static linnet_status lnt_prove(ln_lnt_file *f, size_t i, const uint8_t *p, size_t bytes)
{
    if (!f->sums || ln_lnt_left_alone(f, i) || ln_crc32c(0, p, bytes) == ln_le32(ln_lnt_at(f, LN_LNT_SUMS, i)))
        return LINNET_OK;
    return ln_lnt_bad(f, f->section[LN_LNT_DATA].base + (size_t)(p - f->section[LN_LNT_DATA].data),
                   "checksum differs for the tensor");
}

static linnet_status lnt_read_tensors(ln_lnt_file *f)
{
    const size_t n = f->count[LN_LNT_TENSORS], all = f->section[LN_LNT_DATA].size;
    const uint8_t *data = f->section[LN_LNT_DATA].data;
    size_t end = 0;

    f->tensor = ln_arena_alloc(f->arena, n, sizeof *f->tensor);
    if (!f->tensor)
        return ln_lnt_full(f);
    if (f->sums && f->count[LN_LNT_SUMS] != n)
        return ln_lnt_bad(f, f->section[LN_LNT_SUMS].base, "not one checksum for each tensor");
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = ln_lnt_at(f, LN_LNT_TENSORS, i);
        linnet_tensor *t = &f->tensor[i];
        size_t count, bytes, start = end;
        t->desc.dtype = (int32_t)LN_MIN(ln_le32(p), 255u);
        if (!ln_lnt_shape(p + 4, p + 8, 0, 0, &t->desc) || !ln_desc_bytes(&t->desc, &t->size) ||
            !ln_desc_count(&t->desc, &count))
            return ln_lnt_bad(f, ln_lnt_offset(f, LN_LNT_TENSORS, i), "tensor of no known type or shape");
        if (t->size == 0)
            continue;
        bytes = t->size;
        if (t->desc.dtype == LINNET_STRING && !ln_mul(count, 4, &bytes))
            return ln_lnt_bad(f, ln_lnt_offset(f, LN_LNT_TENSORS, i), "tensor of no known type or shape");
        if (!ln_align_up(end, LN_ALIGN, &start) || start > all || bytes > all - start)
            return ln_lnt_bad(f, ln_lnt_offset(f, LN_LNT_TENSORS, i), "tensor with more elements than the file has");
        if (!lnt_zeros(data + end, start - end))
            return ln_lnt_bad(f, f->section[LN_LNT_DATA].base + end, "gap that is not zero");
        linnet_status st = lnt_prove(f, i, data + start, bytes);
        if (!st)
            st = lnt_elements(f, t, data + start, f->section[LN_LNT_DATA].base + start);
        if (st)
            return st;
        end = start + bytes;
    }
    if (f->sums && f->shared)
        ln_pages_drop(data, all); /* what was read is copied */
    return end == all ? LINNET_OK : ln_lnt_bad(f, f->section[LN_LNT_DATA].base + end, "data that no tensor has");
}

/* ---- the model ------------------------------------------------------------------------------------------ */

static linnet_status lnt_read_tests(ln_lnt_file *f, const ln_graph *g, size_t tensor, ln_tests *tests)
{
    const size_t n = f->count[LN_LNT_TESTS], each = g->input_count + g->output_count;

    tests->test = ln_arena_alloc(f->arena, n, sizeof *tests->test);
    if (!tests->test)
        return ln_lnt_full(f);
    tests->cap = n;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = ln_lnt_at(f, LN_LNT_TESTS, i);
        const uint64_t r = ln_le64(p), a = ln_le64(p + 8);
        ln_test *t = &tests->test[tests->count++];
        memcpy(&t->rtol, &r, 8);
        memcpy(&t->atol, &a, 8);
        t->count = ln_le32(p + 16);
        t->tensor = ln_arena_alloc(f->arena, each, sizeof *t->tensor);
        if (t->count != each || ln_le32(p + 20) != 0 || !ln_lnt_take(f, LN_LNT_TENSORS, &tensor, each) ||
            !(t->rtol >= 0 && t->atol >= 0))
            return ln_lnt_bad(f, ln_lnt_offset(f, LN_LNT_TESTS, i), "bad test");
        if (!t->tensor)
            return ln_lnt_full(f);
        for (size_t k = 0; k < each; k++)
            t->tensor[k] = &f->tensor[tensor - each + k];
    }
    if (tensor != f->count[LN_LNT_TENSORS])
        return ln_lnt_bad(f, ln_lnt_offset(f, LN_LNT_TENSORS, tensor), "tensor that nobody has");
    return LINNET_OK;
}

/* Packed weights of this library's version; they are numbers, whatever they are. */
static linnet_status lnt_read_packs(ln_lnt_file *f, ln_packs *packs)
{
    const size_t n = f->count[LN_LNT_PACKS], all = f->section[LN_LNT_PACKED].size;
    const uint8_t *data = f->section[LN_LNT_PACKED].data;
    ln_pack before = { 0 };
    size_t end = 0;

    packs->pack = ln_arena_alloc(f->arena, n, sizeof *packs->pack);
    if (!packs->pack)
        return ln_lnt_full(f);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = ln_lnt_at(f, LN_LNT_PACKS, i);
        const uint64_t size = ln_le64(p + 16);
        ln_pack k = { .source = ln_le64(p), .key = ln_le64(p + 8), .size = (size_t)size };
        size_t start;
        if (size == 0 || size % sizeof(float) || size > all || !ln_align_up(end, LN_ALIGN, &start) || start > all ||
            size > all - start || ln_le32(p + 28) != 0 || ln_pack_order(&before, &k) >= 0)
            return ln_lnt_bad(f, ln_lnt_offset(f, LN_LNT_PACKS, i), "bad packed weights");
        if (!lnt_zeros(data + end, start - end))
            return ln_lnt_bad(f, f->section[LN_LNT_PACKED].base + end, "gap that is not zero");
        before = k;
        k.data = data + start;
        end = start + k.size;
        if (ln_le32(p + 24) == LN_PACK_VERSION && ln_aligned(k.data, LINNET_F32))
            packs->pack[packs->count++] = k;
    }
    if (end != all)
        return ln_lnt_bad(f, f->section[LN_LNT_PACKED].base + end, "packed weights that nobody has");
    return LINNET_OK;
}

static linnet_status lnt_read(ln_lnt_file *f, ln_graph *g, const uint8_t *data, size_t size, ln_tests *tests)
{
    size_t test_tensor = 0;
    linnet_status st;

    if ((st = lnt_frame(f, data, size)) != LINNET_OK || (st = lnt_check_strings(f)) != LINNET_OK ||
        (st = lnt_read_meta(f, g)) != LINNET_OK || (st = ln_lnt_walk(f, &test_tensor)) != LINNET_OK ||
        (st = lnt_read_tensors(f)) != LINNET_OK)
        return st;
    f->graph[0].g = g;
    f->packs->sum = ln_arena_alloc(f->arena, f->sums ? f->constants : 0, sizeof *f->packs->sum);
    if (!f->packs->sum)
        return ln_lnt_full(f);
    for (size_t k = 1; k < f->count[LN_LNT_GRAPHS]; k++)
        if ((st = ln_graph_new(f->arena, g->limits, f->graph[f->graph[k].parent].g, &f->graph[k].g, f->err)) != LINNET_OK)
            return st;
    for (size_t k = f->count[LN_LNT_GRAPHS]; k-- > 0;)
        if ((st = ln_lnt_build_graph(f, &f->graph[k])) != LINNET_OK)
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
    ln_lnt_file f = { .arena = g->arena, .shared = shared, .packs = packs, .err = err };

    ln_arena_init(&f.temp, &alloc, SIZE_MAX);
    const linnet_status st = lnt_read(&f, g, data, size, tests);
    ln_arena_free(&f.temp);
    return st;
}
