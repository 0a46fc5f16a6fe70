/*
 * onnx_tensor.c - TensorProto and ValueInfoProto.
 *
 * The elements of a tensor lie in the file as one run of bytes (used in place where they are
 * aligned), or as numbers of a typed field (converted), or in another file that the
 * caller's callback brings. Whichever it is, their amount is checked against the shape
 * before memory is taken.
 */
#include "onnx.h"

linnet_status ln_onnx_bad(ln_onnx *m, size_t at, const char *what)
{
    return ln_fail(m->err, LINNET_ERR_FORMAT, "ONNX: malformed %s at byte %zu", what, at);
}

linnet_status ln_onnx_full(ln_onnx *m)
{
    return ln_fail(m->err, LINNET_ERR_MEMORY, "ONNX: out of memory while reading the model");
}

linnet_status ln_onnx_text(ln_onnx *m, const ln_pb_field *f, bool name, const char **out)
{
    const char *s = (const char *)f->bytes.data;
    const size_t length = f->bytes.size;

    if (f->wire != LN_PB_BYTES)
        return ln_onnx_bad(m, f->at, "text");
    if (name ? !ln_utf8_ok(s, length) : !ln_text_ok(s, length))
        return ln_fail(m->err, LINNET_ERR_FORMAT, "ONNX: the text at byte %zu is not UTF-8 or has control characters",
                       f->at);
    if (name && length > LN_NAME_MOST)
        return ln_fail(m->err, LINNET_ERR_LIMIT, "ONNX: the name at byte %zu has %zu bytes; %u are possible", f->at,
                       length, LN_NAME_MOST);
    *out = ln_arena_string(&m->temp, s, length);
    return *out ? LINNET_OK : ln_onnx_full(m);
}

/* ---- where the elements are ----------------------------------------------------------- */

typedef struct onnx_source {
    ln_cursor   raw;      /* bytes as they are */
    bool        has_raw;
    uint32_t    field, wire; /* typed field that this element type uses */
    size_t      entry;       /* bytes of one of its numbers in memory */
    size_t      numbers;     /* how many there are */
    bool        external;
    const char *location;
    uint64_t    offset, length; /* length UINT64_MAX: not given */
} onnx_source;

enum { ONNX_FLOATS = 4, ONNX_INT32S = 5, ONNX_STRINGS = 6, ONNX_INT64S = 7, ONNX_RAW = 9,
       ONNX_DOUBLES = 10, ONNX_UINT64S = 11 };

static void onnx_typed_field(int32_t dtype, onnx_source *s)
{
    const size_t bits = ln_dtype(dtype)->bits;

    s->field = ONNX_INT32S;
    s->wire = LN_PB_VARINT;
    s->entry = LN_MAX(bits / 8, (size_t)1);
    switch (dtype) {
    case LINNET_F32:
    case LINNET_C64:    s->field = ONNX_FLOATS; s->wire = LN_PB_FIXED32; s->entry = 4; break;
    case LINNET_F64:
    case LINNET_C128:   s->field = ONNX_DOUBLES; s->wire = LN_PB_FIXED64; s->entry = 8; break;
    case LINNET_I64:    s->field = ONNX_INT64S; break;
    case LINNET_U32:
    case LINNET_U64:    s->field = ONNX_UINT64S; break;
    case LINNET_STRING: s->field = ONNX_STRINGS; s->wire = LN_PB_BYTES; break;
    default: break;
    }
}

static bool onnx_decimal(const char *s, uint64_t *out)
{
    uint64_t v = 0;

    for (; *s >= '0' && *s <= '9'; s++) {
        if (v > (UINT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (uint64_t)(*s - '0');
    }
    *out = v;
    return *s == '\0';
}

/* One StringStringEntryProto of external_data. */
static linnet_status onnx_external_entry(ln_onnx *m, ln_cursor c, onnx_source *s)
{
    const char *key = "", *value = "";
    const size_t at = c.base;
    ln_pb_field f;
    linnet_status st;

    while (ln_pb_next(&c, &f))
        if ((f.number == 1 || f.number == 2) &&
            (st = ln_onnx_text(m, &f, true, f.number == 1 ? &key : &value)) != LINNET_OK)
            return st;
    if (c.bad)
        return ln_onnx_bad(m, at, "external data entry");
    if (strcmp(key, "location") == 0)
        s->location = value;
    else if ((strcmp(key, "offset") == 0 && !onnx_decimal(value, &s->offset)) ||
             (strcmp(key, "length") == 0 && !onnx_decimal(value, &s->length)))
        return ln_onnx_bad(m, at, "external data entry");
    return LINNET_OK;
}

/* First pass: the shape, the type, and where the elements are. */
static linnet_status onnx_tensor_head(ln_onnx *m, ln_cursor c, ln_onnx_data *t, onnx_source *s)
{
    ln_pb_field f;
    ln_pb_list list;
    linnet_status st = LINNET_OK;
    uint64_t v;

    while (st == LINNET_OK && ln_pb_next(&c, &f)) {
        switch (f.number) {
        case 1:
            if (!ln_pb_numbers(&f, LN_PB_VARINT, &list))
                return ln_onnx_bad(m, f.at, "tensor shape");
            while (ln_pb_number(&list, &v)) {
                if (t->desc.rank == LN_MAX_RANK)
                    return ln_fail(m->err, LINNET_ERR_LIMIT, "ONNX: tensor at byte %zu has more than %d dimensions",
                                   t->at, LN_MAX_RANK);
                t->desc.dim[t->desc.rank++] = ln_pb_i64(v);
            }
            if (list.c.bad)
                return ln_onnx_bad(m, f.at, "tensor shape");
            break;
        case 2:
            t->desc.dtype = f.wire == LN_PB_VARINT && f.value <= INT32_MAX ? (int32_t)f.value : LINNET_NO_TYPE;
            break;
        case 3: return ln_fail(m->err, LINNET_ERR_UNSUPPORTED, "ONNX: tensor in segments at byte %zu", f.at);
        case 8: st = ln_onnx_text(m, &f, true, &t->name); break;
        case ONNX_RAW:
            if (f.wire != LN_PB_BYTES)
                return ln_onnx_bad(m, f.at, "tensor data");
            s->raw = f.bytes;
            s->has_raw = true;
            break;
        case 13:
            if (f.wire != LN_PB_BYTES)
                return ln_onnx_bad(m, f.at, "external data");
            st = onnx_external_entry(m, f.bytes, s);
            break;
        case 14: s->external = f.value == 1; break;
        default: break;
        }
    }
    if (c.bad)
        return ln_onnx_bad(m, c.base + c.at, "tensor");
    return st;
}

/* Second pass: how many numbers the typed field has. One packed run of floats is as good as raw bytes. */
static linnet_status onnx_count_numbers(ln_onnx *m, ln_cursor c, onnx_source *s)
{
    ln_pb_field f;
    ln_pb_list list;
    size_t runs = 0;
    ln_cursor run = ln_cursor_over(NULL, 0);

    while (ln_pb_next(&c, &f)) {
        if (f.number != s->field)
            continue;
        if (!ln_pb_numbers(&f, s->wire, &list))
            return ln_onnx_bad(m, f.at, "tensor data");
        s->numbers += ln_pb_count(&f, s->wire);
        run = f.bytes;
        runs += f.wire == LN_PB_BYTES ? 1 : 2;
    }
    if (s->numbers && s->has_raw && s->raw.size)
        return ln_onnx_bad(m, c.base, "tensor (its data is given twice)");
    if (runs == 1 && (s->wire == LN_PB_FIXED32 || s->wire == LN_PB_FIXED64)) {
        s->raw = run;
        s->has_raw = true;
    }
    return LINNET_OK;
}

/* ---- the elements ------------------------------------------------------------------------ */

/* At most `count`: there are as many, unless somebody changes the file meanwhile. */
static linnet_status onnx_strings(ln_onnx *m, ln_arena *keep, ln_cursor c, const char **out, size_t count)
{
    ln_pb_field f;
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        out[i] = "";
    while (n < count && ln_pb_next(&c, &f)) {
        if (f.number != ONNX_STRINGS)
            continue;
        const char *text = (const char *)f.bytes.data;
        if (!ln_text_ok(text, f.bytes.size))
            return ln_onnx_bad(m, f.at, "string element (not UTF-8, or with a NUL)");
        if (!(out[n++] = ln_arena_string(keep, text, f.bytes.size)))
            return ln_onnx_full(m);
    }
    return LINNET_OK;
}

/* The low `size` bytes of a number, refused where the others say that it does not fit. */
static bool onnx_put_number(uint8_t *out, size_t size, uint64_t v)
{
    const int64_t i = ln_pb_i64(v);

    if (size < 8) {
        const int64_t most = (int64_t)1 << (size * 8);
        if (i >= most || i < -(most / 2))
            return false;
    }
    for (size_t k = 0; k < size; k++)
        out[k] = (uint8_t)(v >> (8 * k));
    return true;
}

static linnet_status onnx_numbers(ln_onnx *m, ln_cursor c, const onnx_source *s, uint8_t *out, size_t size)
{
    const uint8_t *end = out + size / s->entry * s->entry;
    ln_pb_field f;
    ln_pb_list list;
    uint64_t v;

    while (ln_pb_next(&c, &f)) {
        if (f.number != s->field || !ln_pb_numbers(&f, s->wire, &list))
            continue;
        for (; out < end && ln_pb_number(&list, &v); out += s->entry)
            if (!onnx_put_number(out, s->entry, v))
                return ln_onnx_bad(m, f.at, "tensor data (a number does not fit its type)");
        if (list.c.bad)
            return ln_onnx_bad(m, f.at, "tensor data");
    }
    return LINNET_OK;
}

static linnet_status onnx_from_external(ln_onnx *m, const onnx_source *s, ln_onnx_data *t, uint8_t *out)
{
    if (!m->external)
        return ln_fail(m->err, LINNET_ERR_EXTERNAL, "ONNX: tensor \"%s\" lies in the file \"%s\", and no callback was given",
                       t->name, s->location);
    if (!s->location[0] || (s->length != UINT64_MAX && s->length != t->size))
        return ln_onnx_bad(m, t->at, "external data of a tensor");
    const linnet_status st = m->external(m->external_user, s->location, s->offset, t->size, out);
    if (st)
        return ln_fail(m->err, st < 0 ? st : LINNET_ERR_IO, "ONNX: tensor \"%s\" could not be brought from the file \"%s\"",
                       t->name, s->location);
    return LINNET_OK;
}

static linnet_status onnx_check_elements(ln_onnx *m, const ln_onnx_data *t)
{
    const uint8_t *b = t->data;

    if (t->desc.dtype != LINNET_BOOL)
        return LINNET_OK;
    for (size_t i = 0; i < t->size; i++)
        if (b[i] > 1)
            return ln_onnx_bad(m, t->at, "tensor (a bool that is neither 0 nor 1)");
    return LINNET_OK;
}

/* Can the raw elements of t be used where they lie? */
static bool onnx_in_place(const ln_onnx *m, const onnx_source *s, const ln_onnx_data *t, bool loose)
{
    const bool bulk = ln_desc_bulk(&t->desc);

    return s->has_raw && !s->external && (bulk || !m->shared) &&
           ((bulk && loose) || ln_aligned(s->raw.data, t->desc.dtype));
}

linnet_status ln_onnx_tensor(ln_onnx *m, ln_arena *keep, ln_cursor c, bool loose, ln_onnx_data *t)
{
    onnx_source s = { .length = UINT64_MAX, .location = "" };
    char text[LN_DESC_TEXT];

    memset(t, 0, sizeof *t);
    t->name = "";
    t->at = c.base;
    linnet_status st = onnx_tensor_head(m, c, t, &s);
    if (st)
        return st;
    if (!ln_dtype(t->desc.dtype)->name)
        return ln_fail(m->err, LINNET_ERR_FORMAT, "ONNX: tensor \"%s\" at byte %zu has an unknown element type", t->name,
                       t->at);
    if (!ln_desc_bytes(&t->desc, &t->size))
        return ln_fail(m->err, LINNET_ERR_FORMAT, "ONNX: tensor \"%s\" at byte %zu: %s is not a shape", t->name, t->at,
                       ln_desc_text(&t->desc, text));
    onnx_typed_field(t->desc.dtype, &s);
    if (!s.external && (st = onnx_count_numbers(m, c, &s)) != LINNET_OK)
        return st;
    const size_t have = s.has_raw ? s.raw.size : s.numbers, want = s.has_raw ? t->size : t->size / s.entry;
    if (!s.external && (have != want || (s.has_raw && t->desc.dtype == LINNET_STRING)))
        return ln_fail(m->err, LINNET_ERR_FORMAT, "ONNX: tensor \"%s\" at byte %zu: %s takes %zu %s, the file has %zu",
                       t->name, t->at, ln_desc_text(&t->desc, text), want, s.has_raw ? "bytes" : "numbers", have);
    if (t->size == 0)
        return LINNET_OK;
    if (onnx_in_place(m, &s, t, loose)) {
        t->data = s.raw.data;
        return onnx_check_elements(m, t);
    }
    void *out = ln_arena_alloc(keep, t->size, 1);
    if (!out)
        return ln_onnx_full(m);
    t->data = out;
    if (s.external)
        st = onnx_from_external(m, &s, t, out);
    else if (s.has_raw)
        memcpy(out, s.raw.data, t->size);
    else if (t->desc.dtype == LINNET_STRING)
        st = onnx_strings(m, keep, c, out, t->size / s.entry);
    else
        st = onnx_numbers(m, c, &s, out, t->size);
    return st ? st : onnx_check_elements(m, t);
}

/* ---- declared types --------------------------------------------------------------------------- */

static linnet_status onnx_dimension(ln_onnx *m, ln_cursor c, int64_t *dim, const char **symbol)
{
    ln_pb_field f;

    *dim = LN_UNKNOWN;
    while (ln_pb_next(&c, &f)) {
        if (f.number == 1 && f.wire == LN_PB_VARINT)
            *dim = LN_MAX(ln_pb_i64(f.value), LN_UNKNOWN);
        else if (f.number == 2 && symbol) {
            const linnet_status st = ln_onnx_text(m, &f, true, symbol);
            if (st)
                return st;
        }
    }
    return c.bad ? ln_onnx_bad(m, c.base, "dimension") : LINNET_OK;
}

static linnet_status onnx_shape(ln_onnx *m, ln_cursor c, ln_desc *desc, const char **symbol)
{
    ln_pb_field f;

    desc->rank = 0;
    while (ln_pb_next(&c, &f)) {
        if (f.number != 1 || f.wire != LN_PB_BYTES)
            continue;
        if (desc->rank == LN_MAX_RANK)
            return ln_fail(m->err, LINNET_ERR_LIMIT, "ONNX: a value at byte %zu has more than %d dimensions", c.base,
                           LN_MAX_RANK);
        const int32_t i = desc->rank++;
        const linnet_status st = onnx_dimension(m, f.bytes, &desc->dim[i], symbol ? &symbol[i] : NULL);
        if (st)
            return st;
    }
    return c.bad ? ln_onnx_bad(m, c.base, "shape") : LINNET_OK;
}

/* TypeProto: a sequence or optional is opened one level at a time, by a loop. */
static linnet_status onnx_type(ln_onnx *m, ln_cursor c, ln_desc *desc, const char **symbol, int32_t *kind)
{
    ln_pb_field f, g;
    linnet_status st;

    for (int depth = 0; depth < 4; depth++) {
        ln_cursor inner = ln_cursor_over(NULL, 0);
        uint32_t what = 0;
        while (ln_pb_next(&c, &f))
            if (f.wire == LN_PB_BYTES && f.number != 6) {
                what = f.number;
                inner = f.bytes;
            }
        if (c.bad)
            return ln_onnx_bad(m, c.base, "type");
        c = ln_cursor_over(NULL, 0);
        while (ln_pb_next(&inner, &g)) {
            if (what == 1 && g.number == 1 && g.wire == LN_PB_VARINT && g.value < 64)
                desc->dtype = ln_dtype((int32_t)g.value)->name ? (int32_t)g.value : LINNET_NO_TYPE;
            else if (what == 1 && g.number == 2 && g.wire == LN_PB_BYTES) {
                if ((st = onnx_shape(m, g.bytes, desc, symbol)) != LINNET_OK)
                    return st;
            } else if ((what == 4 || what == 9) && g.number == 1)
                c = g.bytes;
        }
        if (inner.bad)
            return ln_onnx_bad(m, inner.base, "type");
        if (what != 4 && what != 9)
            return LINNET_OK;
        if (*kind == LN_VALUE_TENSOR)
            *kind = what == 4 ? LN_VALUE_SEQUENCE : LN_VALUE_OPTIONAL;
    }
    return LINNET_OK;
}

linnet_status ln_onnx_value_info(ln_onnx *m, ln_cursor c, const char **name, ln_desc *desc,
                                 const char **symbol, int32_t *kind)
{
    const size_t at = c.base;
    ln_pb_field f;
    linnet_status st = LINNET_OK;

    *name = "";
    *kind = LN_VALUE_TENSOR;
    *desc = (ln_desc){ .rank = -1 };
    while (st == LINNET_OK && ln_pb_next(&c, &f)) {
        if (f.number == 1)
            st = ln_onnx_text(m, &f, true, name);
        else if (f.number == 2 && f.wire == LN_PB_BYTES)
            st = onnx_type(m, f.bytes, desc, symbol, kind);
    }
    if (c.bad)
        return ln_onnx_bad(m, at, "value description");
    return st;
}
