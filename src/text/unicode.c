/*
 * unicode.c - classes, case, and canonical composition of characters.
 */
#include "unicode.h"

#include "unicode_table.h"

#define HANGUL_S 0xAC00u
#define HANGUL_L 0x1100u
#define HANGUL_V 0x1161u
#define HANGUL_T 0x11A7u

/* The last entry of a table of runs that begins at or before `key`. */
static size_t unicode_run(const uint32_t *table, size_t n, uint32_t key)
{
    size_t low = 0;

    while (n > 1) {
        const size_t half = n / 2;
        if (table[low + half] <= key)
            low += half;
        n -= half;
    }
    return low;
}

unsigned ln_unicode_class(uint32_t c)
{
    if ((c | 32) >= 'a' && (c | 32) <= 'z')
        return LN_CLASS_LETTER;
    return unicode_class[unicode_run(unicode_class, LN_COUNT(unicode_class), c << 4 | 15)] & 15;
}

bool ln_is_word(uint32_t c)
{
    static const uint16_t word = 1u << LN_CLASS_LETTER | 1u << LN_CLASS_MARK | 1u << LN_CLASS_MARK_WIDE |
                                 1u << LN_CLASS_DIGIT | 1u << LN_CLASS_LETTER_NUMBER | 1u << LN_CLASS_CONNECTOR |
                                 1u << LN_CLASS_CIRCLED;
    return c == 0x200c || c == 0x200d || (word >> ln_unicode_class(c) & 1);
}

bool ln_is_punctuation(uint32_t c)
{
    if (c < 0x80)
        return c > ' ' && c < 0x7f && !(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z');
    const unsigned k = ln_unicode_class(c);
    return k == LN_CLASS_CONNECTOR || k == LN_CLASS_PUNCTUATION;
}

bool ln_is_cjk(uint32_t c)
{
    static const uint32_t range[][2] = { /* as in Hugging Face's BertNormalizer, gap before 2B920 included */
        { 0x3400, 0x4DBF }, { 0x4E00, 0x9FFF }, { 0xF900, 0xFAFF }, { 0x20000, 0x2A6DF }, { 0x2A700, 0x2B81F },
        { 0x2B920, 0x2CEAF }, { 0x2F800, 0x2FA1F },
    };
    for (size_t i = 0; i < LN_COUNT(range); i++)
        if (c >= range[i][0] && c <= range[i][1])
            return true;
    return false;
}

size_t ln_utf8_put(char *out, uint32_t c)
{
    const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    if (n == 1) {
        out[0] = (char)c;
        return 1;
    }
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00u >> n & 0xff) | c);
    return n;
}

bool ln_utf8_begins(const uint8_t *s, size_t n)
{
    const uint8_t a = s[0];
    const size_t whole = a < 0xc2 ? 0 : a < 0xe0 ? 2 : a < 0xf0 ? 3 : a < 0xf5 ? 4 : 0;
    const uint8_t low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80, high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;

    return n < whole && (n < 2 || (s[1] >= low && s[1] <= high)) && (n < 3 || (s[2] & 0xc0) == 0x80);
}

uint32_t ln_unicode_lower(uint32_t c)
{
    size_t low = 0, n = LN_COUNT(unicode_lower);

    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    while (n > 1) {
        const size_t half = n / 2;
        if (unicode_lower[low + half].first <= c)
            low += half;
        n -= half;
    }
    const bool has = c >= unicode_lower[low].first && c <= unicode_lower[low].last &&
                     (c - unicode_lower[low].first) % (uint32_t)unicode_lower[low].step == 0;
    return has ? (uint32_t)((int32_t)c + unicode_lower[low].difference) : c;
}

unsigned ln_unicode_combining(uint32_t c)
{
    if (c < 0x300)
        return 0;
    return unicode_combining[unicode_run(unicode_combining, LN_COUNT(unicode_combining), c << 8 | 255)] & 255;
}

/* ---- composition --------------------------------------------------------------------- */

/* One step: true, and the two characters (second 0: only one). */
static bool unicode_split(uint32_t c, uint32_t *first, uint32_t *second)
{
    size_t low = 0, n = LN_COUNT(unicode_pair);

    while (n > 1) {
        const size_t half = n / 2;
        if (unicode_pair[low + half] >> 43 <= c)
            low += half;
        n -= half;
    }
    const uint64_t p = unicode_pair[low];
    *first = (uint32_t)(p >> 22) & 0x1fffff;
    *second = (uint32_t)(p >> 1) & 0x1fffff;
    return p >> 43 == c;
}

/* One step of compatibility: the number of characters, 0 where there is none. */
static size_t unicode_simplify(uint32_t c, uint32_t *out)
{
    size_t low = 0, n = LN_COUNT(unicode_compatible);

    while (n > 1) {
        const size_t half = n / 2;
        if (unicode_compatible[low + half] >> 32 <= c)
            low += half;
        n -= half;
    }
    const uint64_t run = unicode_compatible[low];
    const uint32_t first = (uint32_t)(run >> 32), more = (uint32_t)(run >> 24) & 255;
    if (c < first || c - first > more)
        return 0;
    n = (size_t)(run >> 16) & 255;
    for (size_t i = 0; i < n; i++)
        out[i] = unicode_chars[(run & 0xffff) + i] + (c - first); /* of a run of several: one character */
    return n;
}

static size_t unicode_hangul(uint32_t c, uint32_t *out)
{
    const uint32_t s = c - HANGUL_S, t = s % 28;

    out[0] = HANGUL_L + s / 588;
    out[1] = HANGUL_V + s % 588 / 28;
    out[2] = HANGUL_T + t;
    return t ? 3 : 2;
}

size_t ln_unicode_decompose(uint32_t c, bool compatible, uint32_t out[LN_DECOMPOSED_MOST])
{
    uint32_t wait[2 * LN_DECOMPOSED_MOST], step[LN_DECOMPOSED_MOST]; /* the next character is the last of wait */
    size_t waiting = 1, n = 0;

    if (c < 0xA0) {
        out[0] = c;
        return 1;
    }
    if (c >= HANGUL_S && c < HANGUL_S + 11172)
        return unicode_hangul(c, out);
    for (wait[0] = c; waiting > 0 && n < LN_DECOMPOSED_MOST;) {
        size_t more = 0;
        c = wait[--waiting];
        if (unicode_split(c, &step[0], &step[1]))
            more = step[1] ? 2 : 1;
        else if (compatible)
            more = unicode_simplify(c, step);
        if (more == 0 || waiting + more > LN_COUNT(wait))
            out[n++] = c;
        else
            while (more > 0)
                wait[waiting++] = step[--more];
    }
    return n;
}

uint32_t ln_unicode_compose(uint32_t a, uint32_t b)
{
    const uint64_t want = (uint64_t)a << 21 | b;
    size_t low = 0, n = LN_COUNT(unicode_back);

    if (a >= HANGUL_L && a < HANGUL_L + 19 && b >= HANGUL_V && b < HANGUL_V + 21)
        return HANGUL_S + ((a - HANGUL_L) * 21 + (b - HANGUL_V)) * 28;
    if (a >= HANGUL_S && a < HANGUL_S + 11172 && (a - HANGUL_S) % 28 == 0 && b > HANGUL_T && b < HANGUL_T + 28)
        return a + (b - HANGUL_T);
    while (n > 1) {
        const size_t half = n / 2;
        if ((unicode_pair[unicode_back[low + half]] >> 1 & 0x3ffffffffff) <= want)
            low += half;
        n -= half;
    }
    const uint64_t p = unicode_pair[unicode_back[low]];
    return (p >> 1 & 0x3ffffffffff) == want ? (uint32_t)(p >> 43) : 0;
}

/* A run of n marks in order of their classes, equals as they were. */
static void unicode_sort(uint32_t *c, size_t n, uint32_t *aux)
{
    size_t to = 0;

    if (n <= 16) {
        for (size_t i = 1; i < n; i++)
            for (size_t k = i; k > 0 && ln_unicode_combining(c[k]) < ln_unicode_combining(c[k - 1]); k--) {
                const uint32_t t = c[k];
                c[k] = c[k - 1];
                c[k - 1] = t;
            }
        return;
    }
    for (unsigned k = 1; k < 256 && to < n; k++) /* long runs are made to harm: keep it linear */
        for (size_t i = 0; i < n; i++)
            if (ln_unicode_combining(c[i]) == k)
                aux[to++] = c[i];
    memcpy(c, aux, n * sizeof *c);
}

void ln_unicode_order(uint32_t *c, size_t n, uint32_t *aux)
{
    for (size_t i = 0, end; i < n; i = end + 1) {
        end = i;
        while (end < n && ln_unicode_combining(c[end]) != 0)
            end++;
        unicode_sort(c + i, end - i, aux);
    }
}

size_t ln_unicode_join(uint32_t *c, size_t n)
{
    size_t to = 0, starter = SIZE_MAX;
    unsigned last = 0; /* class of what was kept last behind the starter */

    for (size_t i = 0; i < n; i++) {
        const unsigned k = ln_unicode_combining(c[i]);
        const bool free = starter != SIZE_MAX && (starter == to - 1 || last < k);
        const uint32_t one = free ? ln_unicode_compose(c[starter], c[i]) : 0;
        if (one) {
            c[starter] = one;
            continue;
        }
        if (k == 0)
            starter = to;
        last = k;
        c[to++] = c[i];
    }
    return to;
}

/* ---- a text that grows ------------------------------------------------------------------- */

void ln_text_put(ln_text *t, const char *s, size_t size)
{
    if (t->full || size == 0)
        return;
    if (size > t->room - t->size) {
        size_t room;
        const size_t old = t->room ? t->room : 64;
        char *more = ln_add(LN_MAX(old, size), old, &room) ? ln_arena_alloc(t->arena, room, 1) : NULL;
        if (!more) {
            t->full = true;
            return;
        }
        if (t->size)
            memcpy(more, t->data, t->size);
        t->data = more;
        t->room = room;
    }
    memcpy(t->data + t->size, s, size);
    t->size += size;
}

void ln_text_put_char(ln_text *t, uint32_t c)
{
    char bytes[4];

    ln_text_put(t, bytes, ln_utf8_put(bytes, c));
}

#undef HANGUL_S
#undef HANGUL_L
#undef HANGUL_V
#undef HANGUL_T
