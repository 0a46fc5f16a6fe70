/*
 * bytes.c - the cursor over untrusted bytes, UTF-8, CRC-32C.
 *
 * The tables of the checksum (slicing by 8) are linear: an entry is the exclusive or of
 * the entries of its bits. So eight numbers make a table, and the compiler does the rest.
 * Where the processor has an instruction for it, three stretches are summed side by side, as the
 * instruction takes three cycles and another one can begin in each.
 */
#include "base.h"

#if defined(__GNUC__) && defined(__x86_64__)
#  include <nmmintrin.h>
#endif

const uint8_t *ln_cursor_bytes(ln_cursor *c, size_t size)
{
    if (c->bad || size > c->size - c->at) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *p = c->data + c->at;
    c->at += size;
    return p;
}

uint8_t ln_cursor_u8(ln_cursor *c)
{
    const uint8_t *p = ln_cursor_bytes(c, 1);
    return p ? *p : 0;
}

uint32_t ln_cursor_u32(ln_cursor *c)
{
    const uint8_t *p = ln_cursor_bytes(c, 4);
    return p ? ln_le32(p) : 0;
}

uint64_t ln_cursor_u64(ln_cursor *c)
{
    const uint8_t *p = ln_cursor_bytes(c, 8);
    return p ? ln_le64(p) : 0;
}

ln_cursor ln_cursor_sub(ln_cursor *c, size_t size)
{
    const size_t at = c->at;
    const uint8_t *p = ln_cursor_bytes(c, size);
    ln_cursor sub = ln_cursor_over(p, p ? size : 0);

    sub.base = c->base + at;
    sub.bad = !p;
    return sub;
}

/* ---- UTF-8 ------------------------------------------------------------------------ */

size_t ln_utf8_next(const uint8_t *s, size_t left, uint32_t *code)
{
    const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    const size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

    if (n == 0 || n > left)
        return 0;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    *code = c;
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}

bool ln_utf8_ok(const char *s, size_t length)
{
    const uint8_t *b = (const uint8_t *)s;
    uint32_t code = 0;

    for (size_t i = 0, n; i < length; i += n) {
        n = ln_utf8_next(b + i, length - i, &code);
        if (n == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
            return false;
    }
    return true;
}

bool ln_text_ok(const char *s, size_t length)
{
    size_t from = 0;

    for (size_t i = 0; i <= length; i++) {
        if (i < length && (uint8_t)s[i] >= 0x20)
            continue;
        if ((i < length && s[i] == '\0') || !ln_utf8_ok(s + from, i - from))
            return false;
        from = i + 1;
    }
    return true;
}

/* ---- CRC-32C ----------------------------------------------------------------------- */

#define CRC_BIT(i, k, x) (((i) >> (k) & 1u) ? x : 0u)
#define CRC_1(i, a, b, c, d, e, f, g, h)                                                        \
    (CRC_BIT(i, 0, a) ^ CRC_BIT(i, 1, b) ^ CRC_BIT(i, 2, c) ^ CRC_BIT(i, 3, d) ^                \
     CRC_BIT(i, 4, e) ^ CRC_BIT(i, 5, f) ^ CRC_BIT(i, 6, g) ^ CRC_BIT(i, 7, h))
#define CRC_4(i, ...)  CRC_1(i, __VA_ARGS__), CRC_1((i) + 1u, __VA_ARGS__), \
                       CRC_1((i) + 2u, __VA_ARGS__), CRC_1((i) + 3u, __VA_ARGS__)
#define CRC_16(i, ...) CRC_4(i, __VA_ARGS__), CRC_4((i) + 4u, __VA_ARGS__), \
                       CRC_4((i) + 8u, __VA_ARGS__), CRC_4((i) + 12u, __VA_ARGS__)
#define CRC_64(i, ...) CRC_16(i, __VA_ARGS__), CRC_16((i) + 16u, __VA_ARGS__), \
                       CRC_16((i) + 32u, __VA_ARGS__), CRC_16((i) + 48u, __VA_ARGS__)
#define CRC_TABLE(...) { CRC_64(0u, __VA_ARGS__), CRC_64(64u, __VA_ARGS__), \
                         CRC_64(128u, __VA_ARGS__), CRC_64(192u, __VA_ARGS__) }

/* Row k: the checksum of a byte that is followed by k zero bytes. */
static const uint32_t crc_table[8][256] = {
    CRC_TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc, 0x82f63b78),
    CRC_TABLE(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604, 0xfbc3faf9),
    CRC_TABLE(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9, 0x8b277743),
    CRC_TABLE(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7, 0x52a0c93f),
    CRC_TABLE(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae, 0x6ea2d55c),
    CRC_TABLE(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb, 0x1c08b7d6),
    CRC_TABLE(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a, 0xf56e0ef4),
    CRC_TABLE(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32, 0x34019664),
};

/* The checksum of bytes behind those that left it at c; without the inversions of start and end. */
static uint32_t crc_plain(uint32_t c, const uint8_t *p, size_t size)
{
    const uint32_t(*t)[256] = crc_table;

    for (; size >= 8; size -= 8, p += 8) {
        const uint32_t a = ln_le32(p) ^ c, b = ln_le32(p + 4);
        c = t[7][a & 255] ^ t[6][a >> 8 & 255] ^ t[5][a >> 16 & 255] ^ t[4][a >> 24] ^
            t[3][b & 255] ^ t[2][b >> 8 & 255] ^ t[1][b >> 16 & 255] ^ t[0][b >> 24];
    }
    for (; size; size--, p++)
        c = c >> 8 ^ t[0][(c ^ *p) & 255];
    return c;
}

#if defined(__GNUC__) && defined(__x86_64__)
/* Bytes of each of the three streams that are computed side by side: for as much as there is, then for what is left. */
#define CRC_STRETCH ((size_t)64 << 10)
#define CRC_SHORT   ((size_t)4 << 10)

/* a times b, polynomials over two elements modulo that of the checksum; bit 31 is the lowest power. */
static uint32_t crc_product(uint32_t a, uint32_t b)
{
    uint32_t sum = 0;

    for (uint32_t bit = (uint32_t)1 << 31; bit; bit >>= 1) {
        sum ^= a & bit ? b : 0;
        b = b >> 1 ^ (b & 1 ? 0x82f63b78u : 0);
    }
    return sum;
}

/* What a checksum is multiplied by for `size` zero bytes behind it, a power of two: x to the number of their bits. */
static uint32_t crc_stretch(size_t size)
{
    uint32_t power = (uint32_t)1 << 30;

    for (size_t n = size * 8; n > 1; n /= 2)
        power = crc_product(power, power);
    return power;
}

static uint64_t crc_word(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

__attribute__((target("sse4.2"))) static uint32_t crc_fast(uint32_t crc, const uint8_t *p, size_t size)
{
    uint64_t c = crc;

    for (size_t stretch = CRC_STRETCH; stretch >= CRC_SHORT; stretch /= CRC_STRETCH / CRC_SHORT) {
        const uint32_t shift = size >= 3 * stretch ? crc_stretch(stretch) : 0;
        for (; size >= 3 * stretch; size -= 3 * stretch, p += 3 * stretch) {
            uint64_t d = 0, e = 0;
            for (size_t i = 0; i < stretch; i += 8) {
                c = _mm_crc32_u64(c, crc_word(p + i));
                d = _mm_crc32_u64(d, crc_word(p + stretch + i));
                e = _mm_crc32_u64(e, crc_word(p + 2 * stretch + i));
            }
            c = crc_product((uint32_t)c, shift) ^ (uint32_t)d;
            c = crc_product((uint32_t)c, shift) ^ (uint32_t)e;
        }
    }
    for (; size >= 8; size -= 8, p += 8)
        c = _mm_crc32_u64(c, crc_word(p));
    for (; size; size--, p++)
        c = _mm_crc32_u8((uint32_t)c, *p);
    return (uint32_t)c;
}

static bool crc_has_fast(void) { return __builtin_cpu_supports("sse4.2"); }
#undef CRC_STRETCH
#undef CRC_SHORT
#else
static uint32_t crc_fast(uint32_t c, const uint8_t *p, size_t size) { return crc_plain(c, p, size); }
static bool crc_has_fast(void) { return false; }
#endif

uint32_t ln_crc32c(uint32_t crc, const void *data, size_t size)
{
    return ~(size >= 64 && crc_has_fast() ? crc_fast(~crc, data, size) : crc_plain(~crc, data, size));
}

#define CRC_ASIDE ((size_t)4 << 20) /* bytes whose pages go back at a time */

uint32_t ln_crc32c_aside(const void *data, size_t size)
{
    const uint8_t *p = data;
    uint32_t crc = 0;

    for (size_t at = 0, n; at < size; at += n) {
        n = LN_MIN(CRC_ASIDE, size - at);
        crc = ln_crc32c(crc, p + at, n);
        ln_pages_drop(p + at, n);
    }
    return crc;
}

#undef CRC_ASIDE
#undef CRC_BIT
#undef CRC_1
#undef CRC_4
#undef CRC_16
#undef CRC_64
#undef CRC_TABLE
