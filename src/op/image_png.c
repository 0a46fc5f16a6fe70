/*
 * image_png.c - PNG files: chunks, inflate, and the filters of rows. Interlaced ones are refused.
 *
 * Decoded rows lie one behind the other, each after the byte that names its filter. Checksums are
 * not looked at: a damaged file gives other pixels or an error.
 */
#include "image.h"

static uint32_t png_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The chunk at *at: its name, where its bytes begin and how many; *at moves behind it. False: no whole chunk. */
static bool png_chunk(const ln_image *im, size_t *at, uint32_t *name, size_t *from, size_t *count)
{
    if (*at > im->size || im->size - *at < 12)
        return false;
    *count = png_u32(im->data + *at);
    *name = png_u32(im->data + *at + 4);
    *from = *at + 8;
    if (*count > im->size - *at - 12)
        return false;
    *at += *count + 12;
    return true;
}

enum { PNG_IHDR = 0x49484452, PNG_PLTE = 0x504c5445, PNG_IDAT = 0x49444154,
       PNG_IEND = 0x49454e44 };

bool ln_png_open(ln_image *im)
{
    static const uint8_t sign[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    static const uint8_t channels[7] = { 1, 0, 3, 1, 2, 0, 4 };
    size_t at = 8, from, count, all;
    uint32_t name;

    if (im->size < 8 || memcmp(im->data, sign, 8) != 0 || !png_chunk(im, &at, &name, &from, &count) || name != PNG_IHDR ||
        count != 13)
        return false;
    const uint8_t *d = im->data + from, kind = d[9];
    im->width = png_u32(d);
    im->height = png_u32(d + 4);
    im->bits = d[8];
    im->channels = kind < 7 ? channels[kind] : 0;
    im->at = at;
    const bool small = im->bits == 1 || im->bits == 2 || im->bits == 4;
    if (im->channels == 0 || d[10] || d[11] || d[12] || !(im->bits == 8 || (small && im->channels == 1) ||
                                                         (im->bits == 16 && kind != 3)))
        return false;
    im->most = (1u << im->bits) - 1;
    while (kind == 3 && !im->palette && png_chunk(im, &at, &name, &from, &count) && name != PNG_IDAT)
        if (name == PNG_PLTE) {
            im->palette = im->data + from;
            im->colours = count / 3;
            im->colour = 3;
        }
    if ((kind == 3 && !im->palette) || im->width < 1 || im->height < 1 || im->width > INT32_MAX ||
        im->height > INT32_MAX || !ln_mul(im->width, im->channels * im->bits, &all) || all > SIZE_MAX - 8)
        return false;
    im->row = (all + 7) / 8;
    return ln_mul(im->row + 1, im->height, &im->work);
}

/* ---- inflate ---------------------------------------------------------------------------------- */

/* Bits of the IDAT chunks, one stream; behind its end come zeros and `bad`. */
typedef struct png_bits {
    const ln_image *im;
    size_t   at, from, left; /* the next chunk; bytes of this one */
    uint32_t hold, have;
    bool     bad;
} png_bits;

static uint32_t png_byte(png_bits *b)
{
    uint32_t name;

    while (b->left == 0)
        if (!png_chunk(b->im, &b->at, &name, &b->from, &b->left) || name == PNG_IEND) {
            b->bad = true;
            b->left = 0;
            return 0;
        } else if (name != PNG_IDAT) {
            b->left = 0;
        }
    b->left--;
    return b->im->data[b->from++];
}

static uint32_t png_take(png_bits *b, uint32_t n) /* at most 16 */
{
    while (b->have < n) {
        b->hold |= png_byte(b) << b->have;
        b->have += 8;
    }
    const uint32_t v = b->hold & ((1u << n) - 1);
    b->hold >>= n;
    b->have -= n;
    return v;
}

/* A code: how many of each length, and the symbols in order. */
typedef struct png_code { uint16_t count[16], symbol[288]; } png_code;

/* False: more codes than the lengths allow. Incomplete ones are let through; unused bits are `bad` when read. */
static bool png_code_make(png_code *c, const uint8_t *length, size_t n)
{
    uint16_t at[16];
    int32_t left = 1;

    memset(c->count, 0, sizeof c->count);
    for (size_t i = 0; i < n; i++)
        c->count[length[i]]++;
    c->count[0] = 0;
    at[0] = at[1] = 0;
    for (int32_t i = 1; i < 16; i++) {
        left = left * 2 - c->count[i];
        if (left < 0)
            return false;
        if (i < 15)
            at[i + 1] = (uint16_t)(at[i] + c->count[i]);
    }
    for (size_t i = 0; i < n; i++)
        if (length[i])
            c->symbol[at[length[i]]++] = (uint16_t)i;
    return true;
}

static uint32_t png_symbol(png_bits *b, const png_code *c)
{
    uint32_t code = 0, first = 0, index = 0;

    for (int32_t i = 1; i < 16; i++) {
        code |= png_take(b, 1);
        const uint32_t count = c->count[i];
        if (code < first + count)
            return c->symbol[index + code - first];
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    b->bad = true;
    return 256;
}

static bool png_codes_read(png_bits *b, png_code *literal, png_code *distance)
{
    static const uint8_t order[19] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };
    uint8_t length[320] = { 0 };
    const uint32_t literals = png_take(b, 5) + 257, distances = png_take(b, 5) + 1, lengths = png_take(b, 4) + 4;

    if (literals > 286 || distances > 30)
        return false;
    for (uint32_t i = 0; i < lengths; i++)
        length[order[i]] = (uint8_t)png_take(b, 3);
    if (!png_code_make(literal, length, 19))
        return false;
    memset(length, 0, sizeof length);
    for (uint32_t i = 0; i < literals + distances && !b->bad;) {
        const uint32_t s = png_symbol(b, literal);
        uint32_t repeat = 1;
        uint8_t v = (uint8_t)s;
        if (s >= 16) {
            v = s == 16 && i > 0 ? length[i - 1] : 0;
            repeat = s == 16 ? 3 + png_take(b, 2) : s == 17 ? 3 + png_take(b, 3) : 11 + png_take(b, 7);
            if (s > 18 || (s == 16 && i == 0) || repeat > literals + distances - i)
                return false;
        }
        memset(length + i, v, repeat);
        i += repeat;
    }
    return !b->bad && png_code_make(literal, length, literals) && png_code_make(distance, length + literals, distances);
}

static void png_codes_fixed(png_code *literal, png_code *distance)
{
    uint8_t length[288];

    memset(length, 8, 144);
    memset(length + 144, 9, 112);
    memset(length + 256, 7, 24);
    memset(length + 280, 8, 8);
    png_code_make(literal, length, 288);
    memset(length, 5, 30);
    png_code_make(distance, length, 30);
}

/* Symbols to the end of a block; y[*at] is written on to y[size - 1] at most. */
static bool png_block(png_bits *b, const png_code *literal, const png_code *distance, uint8_t *y, size_t size, size_t *at)
{
    static const uint16_t base[29] = { 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67,
                                       83, 99, 115, 131, 163, 195, 227, 258 };
    static const uint8_t more[29] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5,
                                      5, 5, 0 };
    static const uint16_t far_base[30] = { 1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513,
                                           769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577 };

    while (!b->bad) {
        uint32_t s = png_symbol(b, literal);
        if (s == 256)
            return !b->bad;
        if (s < 256) {
            if (*at == size)
                return false;
            y[(*at)++] = (uint8_t)s;
            continue;
        }
        if ((s -= 257) >= 29)
            return false;
        size_t length = base[s] + png_take(b, more[s]);
        const uint32_t d = png_symbol(b, distance);
        if (d >= 30)
            return false;
        const size_t back = far_base[d] + png_take(b, d < 2 ? 0 : d / 2 - 1);
        if (back > *at || length > size - *at)
            return false;
        for (; length > 0; length--, ++*at)
            y[*at] = y[*at - back];
    }
    return false;
}

/* Bytes as they are, behind their count and its complement. */
static bool png_stored(png_bits *b, uint8_t *y, size_t size, size_t *at)
{
    b->hold = b->have = 0; /* less than a byte is held */
    uint32_t n = png_take(b, 16);

    if ((n ^ png_take(b, 16)) != 0xffff || n > size - *at)
        return false;
    for (; n > 0 && !b->bad; n--)
        y[(*at)++] = (uint8_t)png_byte(b);
    return !b->bad;
}

static bool png_inflate(const ln_image *im, uint8_t *y)
{
    png_bits b = { .im = im, .at = im->at };
    png_code literal, distance;
    size_t at = 0;

    png_take(&b, 16); /* of zlib: method and flags */
    for (bool last = false; !last && !b.bad;) {
        last = png_take(&b, 1);
        const uint32_t kind = png_take(&b, 2);
        if (kind == 1)
            png_codes_fixed(&literal, &distance);
        if (kind == 3 || (kind == 2 && !png_codes_read(&b, &literal, &distance)) ||
            !(kind ? png_block(&b, &literal, &distance, y, im->work, &at) : png_stored(&b, y, im->work, &at)))
            return false;
    }
    return at == im->work;
}

/* ---- filters --------------------------------------------------------------------------------------- */

/* Whichever of left, up and corner is nearest to left + up - corner. */
static uint8_t png_paeth(int a, int b, int c)
{
    const int p = a + b - c, pa = p > a ? p - a : a - p, pb = p > b ? p - b : b - p, pc = p > c ? p - c : c - p;

    return (uint8_t)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

bool ln_png_decode(const ln_image *im, uint8_t *work)
{
    const size_t step = (im->channels * im->bits + 7) / 8;

    if (!png_inflate(im, work))
        return false;
    for (size_t y = 0; y < im->height; y++) {
        uint8_t *row = work + y * (im->row + 1) + 1;
        const uint8_t *above = y ? row - im->row - 1 : NULL, filter = row[-1];
        if (filter > 4)
            return false;
        for (size_t i = 0; i < im->row && filter; i++) {
            const uint8_t left = i >= step ? row[i - step] : 0, up = above ? above[i] : 0;
            const uint8_t corner = above && i >= step ? above[i - step] : 0;
            row[i] = (uint8_t)(row[i] + (filter == 1 ? left : filter == 2 ? up : filter == 3 ? (left + up) / 2
                                         : png_paeth(left, up, corner)));
        }
    }
    return true;
}
