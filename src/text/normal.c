/*
 * normal.c - normalisers: text to text.
 */
#include "token.h"

static linnet_status no_members(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    LN_UNUSED(v);
    LN_UNUSED(s);
    LN_UNUSED(err);
    return LINNET_OK;
}

/* ---- canonical forms ----------------------------------------------------------------- */

/* Decomposed and in order; composed again where `join`. */
static void canonical(const char *text, size_t size, bool compatible, bool join, ln_text *out)
{
    uint32_t *c = NULL, *aux;
    size_t n = 0, most, step;
    bool plain = true;

    for (size_t i = 0; i < size && plain; i++)
        plain = (uint8_t)text[i] < 0x80;
    if (plain) {
        ln_text_put(out, text, size);
        return;
    }
    if (ln_mul(size, LN_DECOMPOSED_MOST / 3, &most) && ln_add(most, LN_DECOMPOSED_MOST, &most)) /* of 3 bytes, 18 */
        c = ln_arena_alloc(out->arena, most, sizeof *c);
    aux = c ? ln_arena_alloc(out->arena, most, sizeof *aux) : NULL;
    if (!aux) {
        out->full = true;
        return;
    }
    for (size_t i = 0; i < size; i += step)
        n += ln_unicode_decompose(ln_utf8_at(text + i, &step), compatible, c + n);
    ln_unicode_order(c, n, aux);
    if (join)
        n = ln_unicode_join(c, n);
    for (size_t i = 0; i < n; i++)
        ln_text_put_char(out, c[i]);
}

static void normal_form(const ln_text_step *s, const char *text, size_t size, ln_text *out)
{
    canonical(text, size, s->number & 2, s->number & 1, out);
}

/* ---- character by character ------------------------------------------------------------ */

static void put_lower(ln_text *out, uint32_t c)
{
    if (c == 0x130) {
        ln_text_put_char(out, 'i');
        ln_text_put_char(out, 0x307);
    } else {
        ln_text_put_char(out, ln_unicode_lower(c));
    }
}

static void normal_lowercase(const ln_text_step *s, const char *text, size_t size, ln_text *out)
{
    LN_UNUSED(s);
    for (size_t i = 0, step; i < size; i += step)
        put_lower(out, ln_utf8_at(text + i, &step));
}

static bool is_mark(uint32_t c)
{
    const unsigned k = ln_unicode_class(c);
    return k == LN_CLASS_MARK || k == LN_CLASS_MARK_WIDE;
}

static void normal_strip_accents(const ln_text_step *s, const char *text, size_t size, ln_text *out)
{
    LN_UNUSED(s);
    for (size_t i = 0, step; i < size; i += step)
        if (!is_mark(ln_utf8_at(text + i, &step)))
            ln_text_put(out, text + i, step);
}

/* ---- BERT -------------------------------------------------------------------------------- */

/* Control characters out, white space to spaces, spaces around ideographs. */
static void bert_clean(const ln_text_step *s, const char *text, size_t size, ln_text *out)
{
    for (size_t i = 0, step; i < size; i += step) {
        const uint32_t c = ln_utf8_at(text + i, &step);
        const bool blank = c == '\t' || c == '\n' || c == '\r';
        if (s->clean && (c == 0 || c == 0xfffd || (!blank && ln_unicode_class(c) == LN_CLASS_CONTROL)))
            continue;
        if (s->clean && ln_is_space(c)) {
            ln_text_put(out, " ", 1);
        } else if (s->cjk && ln_is_cjk(c)) {
            ln_text_put(out, " ", 1);
            ln_text_put(out, text + i, step);
            ln_text_put(out, " ", 1);
        } else {
            ln_text_put(out, text + i, step);
        }
    }
}

static void normal_bert(const ln_text_step *s, const char *text, size_t size, ln_text *out)
{
    ln_text a = { .arena = out->arena }, b = { .arena = out->arena };

    bert_clean(s, text, size, &a);
    if (s->strip)
        canonical(a.data, a.size, false, false, &b);
    const ln_text *in = s->strip ? &b : &a;
    out->full = out->full || a.full || b.full;
    for (size_t i = 0, step; i < in->size; i += step) {
        const uint32_t c = ln_utf8_at(in->data + i, &step);
        if (s->strip && ln_unicode_class(c) == LN_CLASS_MARK)
            continue;
        if (s->lower)
            put_lower(out, c);
        else
            ln_text_put(out, in->data + i, step);
    }
}

static linnet_status read_bert(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    LN_UNUSED(err);
    s->clean = ln_json_true(ln_json_get(v, "clean_text"), true);
    s->cjk = ln_json_true(ln_json_get(v, "handle_chinese_chars"), true);
    s->lower = ln_json_true(ln_json_get(v, "lowercase"), true);
    s->strip = ln_json_true(ln_json_get(v, "strip_accents"), s->lower);
    s->normal = normal_bert;
    return LINNET_OK;
}

/* ---- texts put in, taken out ----------------------------------------------------------------- */

static void normal_strip(const ln_text_step *s, const char *text, size_t size, ln_text *out)
{
    size_t from = 0, end = 0, step;

    for (size_t i = 0; i < size; i += step) {
        const bool space = ln_is_space(ln_utf8_at(text + i, &step));
        if (!space)
            end = i + step;
        else if (s->left && from == i)
            from = i + step;
    }
    end = s->right ? LN_MAX(end, from) : size;
    ln_text_put(out, text + from, end - from);
}

static linnet_status read_strip(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    LN_UNUSED(err);
    s->left = ln_json_true(ln_json_get(v, "strip_left"), true);
    s->right = ln_json_true(ln_json_get(v, "strip_right"), true);
    s->normal = normal_strip;
    return LINNET_OK;
}

static void normal_prepend(const ln_text_step *s, const char *text, size_t size, ln_text *out)
{
    if (size)
        ln_text_put(out, s->a, s->a_size);
    ln_text_put(out, text, size);
}

static linnet_status read_prepend(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    s->normal = normal_prepend;
    return ln_json_string(ln_json_get(v, "prepend"), &s->a, &s->a_size) && s->a_size <= LN_PIECE_MOST
               ? LINNET_OK
               : ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: Prepend without its text");
}

static void normal_replace(const ln_text_step *s, const char *text, size_t size, ln_text *out)
{
    size_t from = 0;

    for (size_t i = 0; s->a_size && i + s->a_size <= size;) {
        if (memcmp(text + i, s->a, s->a_size) != 0) {
            i++;
            continue;
        }
        ln_text_put(out, text + from, i - from);
        ln_text_put(out, s->b, s->b_size);
        from = i += s->a_size;
    }
    ln_text_put(out, text + from, size - from);
}

/* Runs of spaces (two or more) or, with s->clean, of any white space become the content. */
static void normal_spaces(const ln_text_step *s, const char *text, size_t size, ln_text *out)
{
    for (size_t i = 0, end, n; i < size; i = end) {
        for (end = i; end < size && (s->clean ? ln_is_space(ln_utf8_at(text + end, &n)) : (n = 1, text[end] == ' '));)
            end += n;
        if (end - i > !s->clean) {
            ln_text_put(out, s->b, s->b_size);
        } else {
            ln_utf8_at(text + i, &n);
            end = i + n;
            ln_text_put(out, text + i, n);
        }
    }
}

static linnet_status read_replace(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    const ln_json *pattern = ln_json_get(v, "pattern"), *regex = ln_json_get(pattern, "Regex");

    if (!ln_json_string(ln_json_get(v, "content"), &s->b, &s->b_size) || s->b_size > LN_PIECE_MOST)
        return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: Replace without its content");
    if (ln_json_is(regex, " {2,}") || ln_json_is(regex, "\\s+")) { /* those that the usual files have */
        s->clean = !ln_json_is(regex, " {2,}");
        s->normal = normal_spaces;
        return LINNET_OK;
    }
    if (regex)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "tokenizer: Replace by a regular expression");
    s->normal = normal_replace;
    return ln_json_string(ln_json_get(pattern, "String"), &s->a, &s->a_size) && s->a_size <= LN_PIECE_MOST
               ? LINNET_OK
               : ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: Replace without its pattern");
}

/* ---- those without members ------------------------------------------------------------------- */

/* "NFC", "NFD", "NFKC" or "NFKD" */
static linnet_status read_form(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    const ln_json *type = ln_json_get(v, "type");

    s->number = (type->size == 4 ? 2 : 0) | (type->text[type->size - 1] == 'C');
    s->normal = normal_form;
    return no_members(v, s, err);
}

static linnet_status read_lowercase(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    s->normal = normal_lowercase;
    return no_members(v, s, err);
}

static linnet_status read_strip_accents(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    s->normal = normal_strip_accents;
    return no_members(v, s, err);
}

static linnet_status read_precompiled(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    s->normal = ln_normal_precompiled;
    return ln_json_string(ln_json_get(v, "precompiled_charsmap"), &s->a, &s->a_size)
               ? LINNET_OK
               : ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: Precompiled without its map");
}

const ln_text_kind ln_normalizers[] = {
    { "BertNormalizer", read_bert }, { "NFD", read_form }, { "NFC", read_form }, { "NFKD", read_form },
    { "NFKC", read_form }, { "Precompiled", read_precompiled }, { "Lowercase", read_lowercase },
    { "StripAccents", read_strip_accents }, { "Strip", read_strip }, { "Prepend", read_prepend },
    { "Replace", read_replace }, { NULL, NULL },
};
