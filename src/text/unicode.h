/*
 * unicode.h - what tokenisers ask about characters. Text is well-formed UTF-8 from here on: it is
 * checked where it enters.
 */
#ifndef LN_UNICODE_H
#define LN_UNICODE_H

#include "../base/base.h"

#define LN_DECOMPOSED_MOST 18u /* characters of the longest decomposition, that of U+FDFA */

/* The classes of unicode_table.h. */
enum ln_unicode_class {
    LN_CLASS_OTHER, LN_CLASS_LETTER, LN_CLASS_MARK, LN_CLASS_MARK_WIDE, LN_CLASS_DIGIT, LN_CLASS_LETTER_NUMBER,
    LN_CLASS_NUMBER, LN_CLASS_CONNECTOR, LN_CLASS_PUNCTUATION, LN_CLASS_SPACE, LN_CLASS_CONTROL, LN_CLASS_CIRCLED
};
unsigned ln_unicode_class(uint32_t c);

static inline bool ln_is_letter(uint32_t c) { return ln_unicode_class(c) == LN_CLASS_LETTER; }
static inline bool ln_is_number(uint32_t c)
{
    const unsigned k = ln_unicode_class(c);
    return k >= LN_CLASS_DIGIT && k <= LN_CLASS_NUMBER;
}
static inline bool ln_is_space(uint32_t c)
{
    return (c >= '\t' && c <= '\r') || c == 0x85 || ln_unicode_class(c) == LN_CLASS_SPACE;
}
bool ln_is_word(uint32_t c);        /* letters, marks, decimal digits, connectors, joiners */
bool ln_is_punctuation(uint32_t c); /* Unicode's and all of ASCII's */
bool ln_is_cjk(uint32_t c);         /* ideographs, as BERT counts them */

/* The character at s, which has its bytes; *size is their number. */
static inline uint32_t ln_utf8_at(const char *s, size_t *size)
{
    const uint8_t *b = (const uint8_t *)s;

    *size = b[0] < 0x80 ? 1 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    switch (*size) {
    case 1: return b[0];
    case 2: return (b[0] & 0x1fu) << 6 | (b[1] & 0x3fu);
    case 3: return (b[0] & 0x0fu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
    default: return (b[0] & 0x07u) << 18 | (b[1] & 0x3fu) << 12 | (b[2] & 0x3fu) << 6 | (b[3] & 0x3fu);
    }
}
/* The bytes of character c at out, which has room for 4; their number. */
size_t ln_utf8_put(char *out, uint32_t c);
/* Whether n bytes, at most 3, are the beginning of a character that is not whole yet. */
bool   ln_utf8_begins(const uint8_t *s, size_t n);

uint32_t ln_unicode_lower(uint32_t c); /* one character; that of U+0130 is two, and is left to the caller */
unsigned ln_unicode_combining(uint32_t c);
/* The decomposition in full, canonical or also of compatibility; the number of characters. */
size_t   ln_unicode_decompose(uint32_t c, bool compatible, uint32_t out[LN_DECOMPOSED_MOST]);
uint32_t ln_unicode_compose(uint32_t a, uint32_t b); /* 0: they stay two */

/* Put characters with combining classes in canonical order; aux has room for n. */
void   ln_unicode_order(uint32_t *c, size_t n, uint32_t *aux);
/* Compose what can be; the new length. */
size_t ln_unicode_join(uint32_t *c, size_t n);

/* ---- a text that grows ------------------------------------------------------------------- */

typedef struct ln_text {
    ln_arena *arena;
    char     *data;
    size_t    size, room;
    bool      full; /* something did not fit in memory; all puts since do nothing */
} ln_text;

void ln_text_put(ln_text *t, const char *s, size_t size);
void ln_text_put_char(ln_text *t, uint32_t c);

#endif
