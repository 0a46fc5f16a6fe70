/*
 * detoken.c - tokens to text.
 *
 * What a token becomes is worked out when the tokeniser is loaded, once as the first of a text and
 * once behind others. Decoding then joins bytes, holding back a character until it is whole.
 */
#include "token.h"

/* ---- steps --------------------------------------------------------------------------- */

void ln_decode_joined(const ln_text_step *s, bool first, const char *text, size_t size, ln_text *out)
{
    LN_UNUSED(s);
    if (!first)
        ln_text_put(out, " ", 1);
    ln_text_put(out, text, size);
}

void ln_decode_bytes(const ln_text_step *s, bool first, const char *text, size_t size, ln_text *out)
{
    const int b = ln_byte_token(text, size);
    const char byte = (char)b;

    LN_UNUSED(s);
    LN_UNUSED(first);
    ln_text_put(out, b >= 0 ? &byte : text, b >= 0 ? 1 : size);
}

static void decode_byte_level(const ln_text_step *s, bool first, const char *text, size_t size, ln_text *out)
{
    char bytes[LN_PIECE_MOST];
    size_t n;

    LN_UNUSED(s);
    LN_UNUSED(first);
    if (size <= LN_PIECE_MOST && ln_bytes_of(text, size, bytes, &n))
        ln_text_put(out, bytes, n);
    else
        ln_text_put(out, text, size);
}

/* Every `from` in the text becomes `to`; the text is in out->data. */
static void replace_in(ln_text *out, const char *from, const char *to)
{
    const size_t n = strlen(from), m = strlen(to);
    size_t at = 0, end = 0;

    while (at < out->size) { /* `to` is never longer */
        if (out->size - at >= n && memcmp(out->data + at, from, n) == 0) {
            memcpy(out->data + end, to, m);
            end += m;
            at += n;
        } else {
            out->data[end++] = out->data[at++];
        }
    }
    out->size = end;
}

void ln_decode_word_piece(const ln_text_step *s, bool first, const char *text, size_t size, ln_text *out)
{
    static const char *const tidy[][2] = {
        { " .", "." }, { " ?", "?" }, { " !", "!" }, { " ,", "," }, { " ' ", "'" }, { " n't", "n't" },
        { " 'm", "'m" }, { " do not", " don't" }, { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
    };
    const bool joins = !first && size >= s->a_size && memcmp(text, s->a, s->a_size) == 0;

    if (!first && !joins)
        ln_text_put(out, " ", 1);
    ln_text_put(out, text + (joins ? s->a_size : 0), size - (joins ? s->a_size : 0));
    for (size_t i = 0; s->clean && !out->full && i < LN_COUNT(tidy); i++)
        replace_in(out, tidy[i][0], tidy[i][1]);
}

static void decode_metaspace(const ln_text_step *s, bool first, const char *text, size_t size, ln_text *out)
{
    for (size_t i = 0, n; i < size; i += n) {
        const bool is = size - i >= s->a_size && memcmp(text + i, s->a, s->a_size) == 0;
        n = is ? s->a_size : 1;
        if (!is)
            ln_text_put(out, text + i, 1);
        else if (!first || !s->prefix)
            ln_text_put(out, " ", 1);
    }
}

static void decode_replace(const ln_text_step *s, bool first, const char *text, size_t size, ln_text *out)
{
    LN_UNUSED(first);
    s->normal(s, text, size, out);
}

/* The end-of-word suffix at the end of a piece is a space before the next one. */
static void decode_suffix(const ln_text_step *s, bool first, const char *text, size_t size, ln_text *out)
{
    const bool ends = size >= s->a_size && memcmp(text + size - s->a_size, s->a, s->a_size) == 0;

    LN_UNUSED(first);
    ln_text_put(out, text, ends ? size - s->a_size : size);
}

static void decode_strip(const ln_text_step *s, bool first, const char *text, size_t size, ln_text *out)
{
    LN_UNUSED(first);
    for (int64_t i = 0; i < s->number && size >= s->a_size && memcmp(text, s->a, s->a_size) == 0; i++) {
        text += s->a_size;
        size -= s->a_size;
    }
    for (int i = 0; i < s->behaviour && size >= s->a_size; i++) {
        if (memcmp(text + size - s->a_size, s->a, s->a_size) != 0)
            break;
        size -= s->a_size;
    }
    ln_text_put(out, text, size);
}

/* ---- reading them ---------------------------------------------------------------------- */

static linnet_status read_byte_level(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    LN_UNUSED(v);
    LN_UNUSED(err);
    s->decode = decode_byte_level;
    return LINNET_OK;
}

static linnet_status read_bytes(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    LN_UNUSED(v);
    LN_UNUSED(err);
    s->decode = ln_decode_bytes;
    return LINNET_OK;
}

static linnet_status read_fuse(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    LN_UNUSED(v);
    LN_UNUSED(err);
    s->decode = NULL; /* what follows sees the whole text */
    return LINNET_OK;
}

/* A text member that must be there and not be empty. */
static linnet_status read_text(const ln_json *v, const char *key, ln_text_step *s, linnet_error *err)
{
    return ln_json_string(ln_json_get(v, key), &s->a, &s->a_size) && s->a_size > 0 && s->a_size <= LN_PIECE_MOST
               ? LINNET_OK
               : ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: a decoder without its \"%s\"", key);
}

static linnet_status read_word_piece(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    s->clean = ln_json_true(ln_json_get(v, "cleanup"), true);
    s->decode = ln_decode_word_piece;
    return read_text(v, "prefix", s, err);
}

static linnet_status read_metaspace(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    const ln_json *scheme = ln_json_get(v, "prepend_scheme");

    s->prefix = scheme ? !ln_json_is(scheme, "never") : ln_json_true(ln_json_get(v, "add_prefix_space"), true);
    s->decode = decode_metaspace;
    return read_text(v, "replacement", s, err);
}

static linnet_status read_suffix(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    s->decode = decode_suffix;
    s->right = true;
    return read_text(v, "suffix", s, err);
}

static linnet_status read_replace(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    for (const ln_text_kind *k = ln_normalizers; k->name; k++)
        if (strcmp(k->name, "Replace") == 0) {
            s->decode = decode_replace;
            return k->read(v, s, err);
        }
    return LINNET_OK;
}

static linnet_status read_strip(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    int64_t stop = 0;

    if (!ln_json_whole(ln_json_get(v, "start"), 0, 1024, &s->number) ||
        !ln_json_whole(ln_json_get(v, "stop"), 0, 1024, &stop))
        return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: Strip without start or stop");
    s->behaviour = (int)stop;
    s->left = true;
    s->decode = decode_strip;
    return read_text(v, "content", s, err);
}

const ln_text_kind ln_decoders[] = {
    { "ByteLevel", read_byte_level }, { "WordPiece", read_word_piece }, { "Metaspace", read_metaspace },
    { "BPEDecoder", read_suffix }, { "ByteFallback", read_bytes }, { "Fuse", read_fuse }, { "Replace", read_replace },
    { "Strip", read_strip }, { NULL, NULL },
};

/* ---- whole characters ------------------------------------------------------------------ */

typedef struct text_sink {
    char  *text; /* NULL: only counted */
    size_t size;
} text_sink;

static void sink_put(text_sink *o, const void *s, size_t n)
{
    if (o->text && n)
        memcpy(o->text + o->size, s, n);
    o->size += n;
}

static void sink_byte(linnet_decoder *d, text_sink *o, uint8_t b)
{
    uint32_t code;

    if (d->held_count > 0 && d->held_count < 4) {
        d->held[d->held_count] = b;
        if (ln_utf8_next(d->held, d->held_count + 1, &code) == d->held_count + 1) {
            sink_put(o, d->held, d->held_count + 1);
            d->held_count = 0;
            return;
        }
        if (d->held_count < 3 && ln_utf8_begins(d->held, d->held_count + 1)) {
            d->held_count++;
            return;
        }
        sink_put(o, "\xef\xbf\xbd", 3);
    }
    d->held[0] = b;
    d->held_count = b >= 0x80 && ln_utf8_begins(d->held, 1);
    if (b < 0x80)
        sink_put(o, &b, 1);
    else if (d->held_count == 0)
        sink_put(o, "\xef\xbf\xbd", 3);
}

static void sink_text(const linnet_tokenizer *t, linnet_decoder *d, text_sink *o, const char *s, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const bool drop = t->strip_first && !d->text_begun && s[i] == ' ';
        d->text_begun = 1;
        if (!drop)
            sink_byte(d, o, (uint8_t)s[i]);
    }
}

/* One token, or -1 for the end. */
static void sink_token(const linnet_tokenizer *t, linnet_decoder *d, text_sink *o, int32_t id, uint32_t flags)
{
    if (id == -1) {
        if (d->held_count)
            sink_put(o, "\xef\xbf\xbd", 3);
        *d = (linnet_decoder){ 0 };
        return;
    }
    const ln_piece *p = &t->piece[id];
    if (!p->text || (p->special && !(flags & LINNET_TEXT_SPECIAL)))
        return;
    const int first = !d->begun;
    if (d->space)
        sink_text(t, d, o, " ", 1);
    sink_text(t, d, o, p->out[first], p->out_size[first]);
    d->begun = 1;
    d->space = p->space_after;
}

static linnet_status sink_check(const linnet_tokenizer *t, int32_t id, linnet_error *err)
{
    return id >= 0 && (size_t)id < t->count
               ? LINNET_OK
               : ln_fail(err, LINNET_ERR_DATA, "tokenizer: %d is no token of a vocabulary of %zu", (int)id, t->count);
}

/* Once to count, once more to write; the state moves on where that went well. */
static linnet_status sink_run(const linnet_tokenizer *t, linnet_decoder *state, const int32_t *ids, size_t count,
                              bool end, uint32_t flags, char *text, size_t capacity, size_t *size, linnet_error *err)
{
    text_sink o = { NULL, 0 };
    linnet_decoder d;

    for (int pass = 0; pass < 2; pass++) {
        d = *state;
        o.size = 0;
        for (size_t i = 0; i < count; i++)
            sink_token(t, &d, &o, ids[i], flags);
        if (end)
            sink_token(t, &d, &o, -1, flags);
        *size = o.size;
        if (!text)
            break;
        if (o.size > capacity)
            return ln_fail(err, LINNET_ERR_ARGUMENT, "tokenizer: the text has %zu bytes, room for %zu", o.size,
                           capacity);
        o.text = text;
    }
    if (text && o.size < capacity)
        text[o.size] = '\0';
    *state = d;
    return LINNET_OK;
}

linnet_status linnet_tokenizer_decode(const linnet_tokenizer *t, const int32_t *ids, size_t count, uint32_t flags,
                                      char *text, size_t capacity, size_t *size, linnet_error *err)
{
    linnet_decoder d = { 0 };
    linnet_status st = LINNET_OK;

    if (!t || !size || (count && !ids))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "tokenizer: tokenizer, ids or size is NULL");
    for (size_t i = 0; i < count && !st; i++)
        st = sink_check(t, ids[i], err);
    return st ? st : sink_run(t, &d, ids, count, true, flags, text, capacity, size, err);
}

linnet_status linnet_tokenizer_next(const linnet_tokenizer *t, linnet_decoder *state, int32_t id, uint32_t flags,
                                    char *text, size_t capacity, size_t *size, linnet_error *err)
{
    if (!t || !state || !text || !size)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "tokenizer: tokenizer, state, text or size is NULL");
    if (state->held_count > 3)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "tokenizer: a decoder state that was not zeroed");
    const linnet_status st = id == -1 ? LINNET_OK : sink_check(t, id, err);
    return st ? st : sink_run(t, state, &id, id != -1, id == -1, flags, text, capacity, size, err);
}
