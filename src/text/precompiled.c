/*
 * precompiled.c - sentencepiece's own normaliser: a map from byte strings to texts, in the file.
 *
 * The map is a double array: from a unit the next one is found by exclusive or with its offset and the
 * byte. Every place is checked, so a damaged map only maps wrongly. As in Hugging Face, a cluster of less than 6
 * bytes (a character with its marks) becomes what its shortest beginning in the map does, else character by
 * character.
 */
#include "token.h"

#define CLUSTER_MOST 6

static uint32_t unit_at(const ln_text_step *s, size_t i)
{
    return i < s->a_size / 4 ? ln_le32(s->a + 4 * i) : 0;
}

static size_t unit_offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* What the shortest beginning of the key in the map becomes; NULL: none is there. */
static const char *map_find(const ln_text_step *s, const char *key, size_t size, size_t *out_size)
{
    size_t at = unit_offset(unit_at(s, 0));

    for (size_t i = 0; i < size && key[i]; i++) {
        at ^= (uint8_t)key[i];
        const uint32_t unit = unit_at(s, at);
        if ((unit & (1u << 31 | 0xffu)) != (uint8_t)key[i])
            return NULL;
        at ^= unit_offset(unit);
        if (!(unit >> 8 & 1))
            continue;
        const size_t from = unit_at(s, at) & 0x7fffffffu;
        if (from >= s->b_size || ((uint8_t)s->b[from] & 0xc0) == 0x80)
            return NULL;
        const char *end = memchr(s->b + from, 0, s->b_size - from);
        *out_size = end ? (size_t)(end - s->b) - from : s->b_size - from;
        return s->b + from;
    }
    return NULL;
}

/* Marks, joiners, tones of skin, and the vowels AM of Thai and Lao belong to the character before. */
static bool extends(uint32_t c)
{
    const unsigned k = ln_unicode_class(c);
    return k == LN_CLASS_MARK || k == LN_CLASS_MARK_WIDE || c == 0x200c || c == 0x200d || c == 0xe33 ||
           c == 0xeb3 || (c >= 0x1f3fb && c <= 0x1f3ff);
}

/* Signs that stand before a number belong to the character behind. */
static bool leads(uint32_t c)
{
    return (c >= 0x600 && c <= 0x605) || c == 0x6dd || c == 0x70f || c == 0x8e2 || c == 0x110bd || c == 0x110cd;
}

/* Characters that stand alone. */
static bool alone(uint32_t c)
{
    return c == 0x2028 || c == 0x2029 || (ln_unicode_class(c) == LN_CLASS_CONTROL && !extends(c) && !leads(c));
}

static size_t cluster(const char *s, size_t size)
{
    size_t n, more;
    uint32_t c = ln_utf8_at(s, &n);

    if (c == '\r' && size > 1 && s[1] == '\n')
        return 2;
    for (; leads(c) && n < size && !alone(ln_utf8_at(s + n, &more)); n += more)
        c = ln_utf8_at(s + n, &more);
    if (alone(c))
        return n;
    for (; n < size && extends(ln_utf8_at(s + n, &more)); n += more)
        ;
    return n;
}

void ln_normal_precompiled(const ln_text_step *s, const char *text, size_t size, ln_text *out)
{
    for (size_t at = 0, n; at < size; at += n) {
        size_t length = 0, step;
        n = cluster(text + at, size - at);
        const char *to = n < CLUSTER_MOST ? map_find(s, text + at, n, &length) : NULL;
        if (to) {
            ln_text_put(out, to, length);
            continue;
        }
        for (size_t i = 0; i < n; i += step) {
            ln_utf8_at(text + at + i, &step);
            to = map_find(s, text + at + i, step, &length);
            ln_text_put(out, to ? to : text + at + i, to ? length : step);
        }
    }
}

/* ---- reading ------------------------------------------------------------------------- */

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* The bytes at out, which has room for 3/4 of the text; false where it is no base64. */
static bool base64(const char *s, size_t size, char *out, size_t *out_size)
{
    uint32_t bits = 0;
    size_t n = 0;

    while (size > 0 && s[size - 1] == '=')
        size--;
    for (size_t i = 0; i < size; i++) {
        const int d = base64_digit(s[i]);
        if (d < 0)
            return false;
        bits = bits << 6 | (uint32_t)d;
        if (i % 4 != 0)
            out[n++] = (char)(bits >> (6 - 2 * (i % 4)) & 255);
    }
    *out_size = n;
    return true;
}

linnet_status ln_precompiled_unpack(ln_text_step *s, ln_arena *arena, linnet_error *err)
{
    char *bytes = ln_arena_alloc(arena, s->a_size / 4 + 1, 3);
    size_t size = 0;
    uint32_t code;

    if (!bytes)
        return ln_fail(err, LINNET_ERR_MEMORY, "tokenizer: no memory for a Precompiled map of %zu bytes", s->a_size);
    if (!base64(s->a, s->a_size, bytes, &size) || size < 4 || ln_le32(bytes) > size - 4 || ln_le32(bytes) % 4 != 0)
        return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: a Precompiled map that is not one");
    s->a = bytes + 4;
    s->a_size = ln_le32(bytes);
    s->b = s->a + s->a_size;
    s->b_size = size - 4 - s->a_size;
    for (size_t i = 0, n; i < s->b_size; i += n)
        if ((n = ln_utf8_next((const uint8_t *)s->b + i, s->b_size - i, &code)) == 0)
            return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: a Precompiled map with texts that are not UTF-8");
    return LINNET_OK;
}

#undef CLUSTER_MOST
