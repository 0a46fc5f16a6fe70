/*
 * safetensors.c - weights in a safetensors file.
 *
 * The header is JSON of one fixed form: an object of objects with three known members. So it is
 * read by a parser for just that form, which needs no stack. A file is taken only if every
 * byte of its data belongs to exactly one tensor.
 */
#include "format.h"

#define SAFE_HEADER_MOST 100000000u /* bytes, as the reference implementation has it */

typedef struct safe_entry {
    const char *name;
    ln_desc     desc;
    size_t      begin, end;
} safe_entry;

typedef struct safe_file {
    ln_cursor     c; /* over the header */
    ln_arena      temp;
    ln_graph     *names; /* used as a set of names */
    safe_entry   *entry;
    size_t        count, cap;
    linnet_error *err;
} safe_file;

static linnet_status safe_bad(safe_file *f, const char *what)
{
    f->c.bad = true;
    return ln_fail(f->err, LINNET_ERR_FORMAT, "safetensors: %s at byte %zu", what, f->c.base + f->c.at);
}

static linnet_status safe_full(safe_file *f)
{
    return ln_fail(f->err, LINNET_ERR_MEMORY, "safetensors: out of memory while reading the header");
}

/* ---- JSON ------------------------------------------------------------------------------- */

/* The next character that is no space, without taking it; 0 at the end. */
static uint8_t safe_peek(safe_file *f)
{
    ln_cursor *c = &f->c;

    while (c->at < c->size && (c->data[c->at] == ' ' || c->data[c->at] == '\t' || c->data[c->at] == '\n' ||
                               c->data[c->at] == '\r'))
        c->at++;
    return c->at < c->size ? c->data[c->at] : 0;
}

static bool safe_take(safe_file *f, char want)
{
    if (safe_peek(f) != (uint8_t)want)
        return false;
    f->c.at++;
    return true;
}

static bool safe_hex4(safe_file *f, uint32_t *out)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++) {
        const uint8_t d = ln_cursor_u8(&f->c);
        if (d >= '0' && d <= '9')
            v = v << 4 | (uint32_t)(d - '0');
        else if ((d | 32) >= 'a' && (d | 32) <= 'f')
            v = v << 4 | (uint32_t)((d | 32) - 'a' + 10);
        else
            return false;
    }
    *out = v;
    return !f->c.bad;
}

/* What follows a backslash, as UTF-8 at out; its length, 0 where it is malformed. */
static size_t safe_escape(safe_file *f, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const uint8_t d = ln_cursor_u8(&f->c);
    const char *known = d ? strchr(from, d) : NULL;
    uint32_t u, low;

    if (known) {
        out[0] = to[known - from];
        return 1;
    }
    if (d != 'u' || !safe_hex4(f, &u) || u == 0)
        return 0;
    if (u >= 0xd800 && u < 0xdc00) { /* the first of two halves */
        if (ln_cursor_u8(&f->c) != '\\' || ln_cursor_u8(&f->c) != 'u' || !safe_hex4(f, &low) || low < 0xdc00 ||
            low > 0xdfff)
            return 0;
        u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
    } else if (u >= 0xdc00 && u < 0xe000) {
        return 0;
    }
    if (u < 0x80) {
        out[0] = (char)u;
        return 1;
    }
    const size_t n = u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; u >>= 6)
        out[i] = (char)(0x80 | (u & 0x3f));
    out[0] = (char)((0xf00u >> n & 0xff) | u);
    return n;
}

static linnet_status safe_string(safe_file *f, const char **out)
{
    if (!safe_take(f, '"'))
        return safe_bad(f, "no string");
    const size_t start = f->c.at;
    size_t end = start, n = 0;
    while (end < f->c.size && f->c.data[end] != '"')
        end += f->c.data[end] == '\\' ? 2 : 1;
    if (end >= f->c.size)
        return safe_bad(f, "string without an end");
    char *text = ln_arena_alloc(&f->temp, end - start + 1, 1); /* escapes only shorten */
    if (!text)
        return safe_full(f);
    while (f->c.at < end) {
        const uint8_t d = ln_cursor_u8(&f->c);
        const size_t more = d == '\\' ? safe_escape(f, text + n) : d >= 0x20;
        if (d != '\\')
            text[n] = (char)d;
        if (more == 0)
            return safe_bad(f, "malformed string");
        n += more;
    }
    f->c.at++; /* the closing quote */
    *out = text;
    return ln_text_ok(text, n) ? LINNET_OK : safe_bad(f, "string that is not UTF-8");
}

/* A whole number without sign, fraction or exponent. */
static linnet_status safe_number(safe_file *f, uint64_t *out)
{
    const uint8_t first = safe_peek(f);
    uint64_t v = 0;
    size_t digits = 0;

    for (; f->c.at < f->c.size && f->c.data[f->c.at] >= '0' && f->c.data[f->c.at] <= '9'; f->c.at++, digits++) {
        if (v > ((uint64_t)INT64_MAX - 9) / 10)
            return safe_bad(f, "number too large");
        v = v * 10 + (uint64_t)(f->c.data[f->c.at] - '0');
    }
    if (digits == 0 || (first == '0' && digits > 1))
        return safe_bad(f, "no whole number");
    *out = v;
    return LINNET_OK;
}

/* A list of whole numbers, at most `most`. */
static linnet_status safe_numbers(safe_file *f, uint64_t *v, size_t most, size_t *count)
{
    *count = 0;
    if (!safe_take(f, '['))
        return safe_bad(f, "no list");
    if (safe_take(f, ']'))
        return LINNET_OK;
    do {
        if (*count == most)
            return safe_bad(f, "list too long");
        const linnet_status st = safe_number(f, &v[*count]);
        if (st)
            return st;
        ++*count;
    } while (safe_take(f, ','));
    return safe_take(f, ']') ? LINNET_OK : safe_bad(f, "list without an end");
}

/* ---- the header ----------------------------------------------------------------------------- */

static int32_t safe_dtype(const char *name)
{
    static const struct { const char *name; int32_t dtype; } known[] = {
        { "F32", LINNET_F32 }, { "F16", LINNET_F16 }, { "BF16", LINNET_BF16 }, { "F64", LINNET_F64 },
        { "I64", LINNET_I64 }, { "I32", LINNET_I32 }, { "I16", LINNET_I16 }, { "I8", LINNET_I8 },
        { "U64", LINNET_U64 }, { "U32", LINNET_U32 }, { "U16", LINNET_U16 }, { "U8", LINNET_U8 },
        { "BOOL", LINNET_BOOL }, { "C64", LINNET_C64 }, { "F8_E4M3", LINNET_F8E4M3FN },
        { "F8_E5M2", LINNET_F8E5M2 }, { "F8_E8M0", LINNET_F8E8M0 }, { "F4", LINNET_F4E2M1 },
    };
    for (size_t i = 0; i < LN_COUNT(known); i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].dtype;
    return LINNET_NO_TYPE;
}

/* One member of a tensor's object; *seen has a bit for each. */
static linnet_status safe_member(safe_file *f, safe_entry *e, unsigned *seen)
{
    uint64_t v[LN_MAX_RANK];
    const char *key, *type;
    size_t n;
    linnet_status st = safe_string(f, &key);

    if (st)
        return st;
    const unsigned bit = strcmp(key, "dtype") == 0 ? 1 : strcmp(key, "shape") == 0 ? 2
                         : strcmp(key, "data_offsets") == 0 ? 4 : 0;
    if (bit == 0 || (*seen & bit) || !safe_take(f, ':'))
        return safe_bad(f, "unknown or repeated member");
    *seen |= bit;
    if (bit == 1) {
        if ((st = safe_string(f, &type)) != LINNET_OK)
            return st;
        e->desc.dtype = safe_dtype(type);
        return e->desc.dtype ? LINNET_OK : ln_fail(f->err, LINNET_ERR_UNSUPPORTED,
                                                   "safetensors: tensor \"%s\" has the unknown type %s", e->name, type);
    }
    if ((st = safe_numbers(f, v, bit == 2 ? LN_MAX_RANK : 2, &n)) != LINNET_OK)
        return st;
    if (bit == 2) {
        e->desc.rank = (int32_t)n;
        for (size_t i = 0; i < n; i++)
            e->desc.dim[i] = (int64_t)v[i];
        return LINNET_OK;
    }
    if (n != 2 || v[0] > v[1] || v[1] > SIZE_MAX)
        return safe_bad(f, "bad data_offsets");
    e->begin = (size_t)v[0];
    e->end = (size_t)v[1];
    return LINNET_OK;
}

static linnet_status safe_tensor(safe_file *f, const char *name)
{
    char text[LN_DESC_TEXT];
    unsigned seen = 0;
    size_t bytes;
    safe_entry *e = ln_grow(&f->temp, (void **)&f->entry, &f->count, &f->cap, sizeof *e);

    if (!e)
        return safe_full(f);
    e->name = name;
    do {
        const linnet_status st = safe_member(f, e, &seen);
        if (st)
            return st;
    } while (safe_take(f, ','));
    if (!safe_take(f, '}') || seen != 7)
        return safe_bad(f, "tensor without dtype, shape and data_offsets");
    if (!ln_desc_bytes(&e->desc, &bytes) || bytes != e->end - e->begin)
        return ln_fail(f->err, LINNET_ERR_FORMAT, "safetensors: tensor \"%s\": %s does not take the %zu bytes given",
                       name, ln_desc_text(&e->desc, text), e->end - e->begin);
    return LINNET_OK;
}

/* __metadata__: strings by name, which nobody asks for. */
static linnet_status safe_metadata(safe_file *f)
{
    const char *text;
    linnet_status st;

    if (safe_take(f, '}'))
        return LINNET_OK;
    do {
        if ((st = safe_string(f, &text)) != LINNET_OK)
            return st;
        if (!safe_take(f, ':'))
            return safe_bad(f, "no colon");
        if ((st = safe_string(f, &text)) != LINNET_OK)
            return st;
    } while (safe_take(f, ','));
    return safe_take(f, '}') ? LINNET_OK : safe_bad(f, "object without an end");
}

static linnet_status safe_header(safe_file *f)
{
    const char *name;
    int32_t index;
    linnet_status st;

    if (f->c.size == 0 || f->c.data[0] != '{' || !safe_take(f, '{'))
        return safe_bad(f, "no header");
    if (!safe_take(f, '}')) {
        do {
            if ((st = safe_string(f, &name)) != LINNET_OK)
                return st;
            if (!ln_utf8_ok(name, strlen(name)) || strlen(name) > LN_NAME_MOST || !name[0] || ln_graph_find(f->names, name) != LN_NONE)
                return safe_bad(f, "name that is taken, empty, too long or not fit to print");
            if ((st = ln_graph_value(f->names, name, &index, f->err)) != LINNET_OK)
                return st;
            if (!safe_take(f, ':') || !safe_take(f, '{'))
                return safe_bad(f, "no object");
            st = strcmp(name, "__metadata__") == 0 ? safe_metadata(f) : safe_tensor(f, name);
            if (st)
                return st;
        } while (safe_take(f, ','));
        if (!safe_take(f, '}'))
            return safe_bad(f, "header without an end");
    }
    return safe_peek(f) == 0 && f->c.at == f->c.size ? LINNET_OK : safe_bad(f, "bytes behind the header");
}

/* ---- the data ------------------------------------------------------------------------------------ */

static bool safe_after(const safe_entry *a, const safe_entry *b)
{
    return a->begin != b->begin ? a->begin > b->begin : a->end > b->end;
}

static void safe_sift(safe_entry *v, size_t i, size_t n)
{
    for (size_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && safe_after(&v[k + 1], &v[k]))
            k++;
        if (!safe_after(&v[k], &v[i]))
            return;
        const safe_entry t = v[i];
        v[i] = v[k];
        v[k] = t;
    }
}

static void safe_sort(safe_entry *v, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        safe_sift(v, i, n);
    for (size_t end = n; end-- > 1;) {
        const safe_entry t = v[0];
        v[0] = v[end];
        v[end] = t;
        safe_sift(v, 0, end);
    }
}

static linnet_status safe_cover(safe_file *f, size_t size)
{
    size_t end = 0;

    safe_sort(f->entry, f->count);
    for (size_t i = 0; i < f->count; i++) {
        const safe_entry *e = &f->entry[i];
        if (e->begin != end || e->end > size)
            return ln_fail(f->err, LINNET_ERR_FORMAT, "safetensors: tensor \"%s\" at %zu: %s", e->name, e->begin,
                           e->end > size ? "behind the end of the file"
                           : e->begin < end ? "overlaps another" : "a hole before it");
        end = e->end;
    }
    return end == size ? LINNET_OK
                       : ln_fail(f->err, LINNET_ERR_FORMAT, "safetensors: %zu bytes that no tensor has", size - end);
}

static linnet_status safe_read(safe_file *f, const uint8_t *data, size_t size, const linnet_limits *limits,
                               ln_weight_fn weight, void *user)
{
    linnet_status st;

    if (size < 8 || ln_le64(data) > size - 8 || ln_le64(data) > SAFE_HEADER_MOST)
        return safe_bad(f, "header longer than the file");
    const size_t header = (size_t)ln_le64(data);
    f->c = ln_cursor_over(data + 8, header);
    f->c.base = 8;
    const uint8_t *from = data + 8 + header;
    if ((st = ln_graph_new(&f->temp, limits, NULL, &f->names, f->err)) != LINNET_OK ||
        (st = safe_header(f)) != LINNET_OK || (st = safe_cover(f, size - 8 - header)) != LINNET_OK)
        return st;
    for (size_t i = 0; i < f->count && st == LINNET_OK; i++) {
        const safe_entry *e = &f->entry[i];
        for (size_t k = e->begin; e->desc.dtype == LINNET_BOOL && k < e->end; k++)
            if (from[k] > 1)
                return ln_fail(f->err, LINNET_ERR_FORMAT, "safetensors: tensor \"%s\": a bool that is neither 0 nor 1",
                               e->name);
        st = weight(user, e->name, &e->desc, from + e->begin, e->end - e->begin, f->err);
    }
    return st;
}

linnet_status ln_safetensors_read(const void *data, size_t size, const linnet_limits *limits,
                                  const linnet_allocator *alloc, ln_weight_fn weight, void *user,
                                  linnet_error *err)
{
    safe_file f = { .err = err };

    ln_arena_init(&f.temp, alloc, SIZE_MAX);
    const linnet_status st = safe_read(&f, data, size, limits, weight, user);
    ln_arena_free(&f.temp);
    return st;
}

#undef SAFE_HEADER_MOST
