/*
 * image.c - BMP and PNM files, and rows of any format as red, green and blue.
 */
#include "image.h"

static uint32_t image_u16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t image_u32(const uint8_t *p) { return image_u16(p) | image_u16(p + 2) << 16; }

/* Are width, height and row possible, and all rows in the file? */
static bool image_fits(ln_image *im)
{
    size_t bits, all;

    if (im->width < 1 || im->height < 1 || im->width > INT32_MAX || im->height > INT32_MAX ||
        !ln_mul(im->width, im->channels * im->bits, &bits) || bits > SIZE_MAX - 31)
        return false;
    im->row = im->row == 4 ? (bits + 31) / 32 * 4 : (bits + 7) / 8; /* BMP rows are padded */
    return ln_mul(im->row, im->height, &all) && im->at <= im->size && all <= im->size - im->at;
}

static bool image_bmp(ln_image *im)
{
    const uint8_t *d = im->data;

    if (im->size < 54)
        return false;
    const uint32_t header = image_u32(d + 14), bits = image_u16(d + 28), packing = image_u32(d + 30);
    const int64_t height = (int64_t)(int32_t)image_u32(d + 22);
    if (header < 40 || header > im->size - 14 || (bits != 8 && bits != 24 && bits != 32) ||
        (packing != 0 && !(packing == 3 && bits == 32)))
        return false;
    im->width = image_u32(d + 18);
    im->height = (size_t)(height < 0 ? -height : height);
    im->flip = height > 0;
    im->swap = true;
    im->at = image_u32(d + 10);
    im->channels = bits / 8;
    im->bits = 8;
    if (bits == 8) {
        const size_t left = (im->size - 14 - header) / 4, given = image_u32(d + 46);
        im->palette = d + 14 + header;
        im->colour = 4;
        im->colours = LN_MIN(LN_MIN(given ? given : 256, left), (size_t)256);
    }
    im->row = 4;
    return image_fits(im);
}

/* A number of a PNM header and the one byte behind it; comments are skipped. 0: there is none. */
static size_t image_number(const ln_image *im, size_t *at)
{
    size_t v = 0;

    for (bool comment = false; *at < im->size; ++*at) {
        const uint8_t c = im->data[*at];
        if (comment)
            comment = c != '\n';
        else if (c == '#')
            comment = true;
        else if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            break;
    }
    for (; *at < im->size && im->data[*at] >= '0' && im->data[*at] <= '9' && v < (size_t)INT32_MAX / 10; ++*at)
        v = v * 10 + (im->data[*at] - '0');
    return v;
}

static bool image_pnm(ln_image *im)
{
    size_t at = 2;

    im->width = image_number(im, &at);
    im->height = image_number(im, &at);
    im->most = (uint32_t)image_number(im, &at);
    if (im->most < 1 || im->most > 65535 || at >= im->size)
        return false;
    im->at = at + 1;
    im->channels = im->data[1] == '6' ? 3 : 1;
    im->bits = im->most > 255 ? 16 : 8;
    return image_fits(im);
}

bool ln_image_open(const uint8_t *data, size_t size, ln_image *im)
{
    *im = (ln_image){ .data = data, .size = size, .most = 255 };
    if (size >= 2 && data[0] == 'B' && data[1] == 'M')
        return image_bmp(im);
    if (size >= 2 && data[0] == 'P' && (data[1] == '5' || data[1] == '6'))
        return image_pnm(im);
    return ln_png_open(im);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Channel c of pixel x, as stored. */
static uint32_t image_sample(const ln_image *im, const uint8_t *row, size_t x, uint32_t c)
{
    const size_t i = x * im->channels + c;

    if (im->bits == 16)
        return (uint32_t)row[2 * i] << 8 | row[2 * i + 1];
    if (im->bits == 8)
        return row[i];
    const size_t bit = i * im->bits; /* 1, 2 or 4: from the top of each byte */
    return row[bit / 8] >> (8 - im->bits - bit % 8) & ((1u << im->bits) - 1);
}

static uint8_t image_scale(const ln_image *im, uint32_t v)
{
    if (im->palette || im->most == 255)
        return (uint8_t)v;
    if (im->work && im->bits == 16) /* PNG */
        return (uint8_t)(v >> 8);
    return (uint8_t)(LN_MIN(v, im->most) * 255 / im->most);
}

void ln_image_row(const ln_image *im, const uint8_t *work, size_t y, uint8_t *rgb)
{
    const size_t at = im->flip ? im->height - 1 - y : y;
    const uint8_t *row = im->work ? work + at * (im->row + 1) + 1 : im->data + im->at + at * im->row;

    for (size_t x = 0; x < im->width; x++, rgb += 3) {
        uint8_t v[3];
        for (uint32_t c = 0; c < 3; c++)
            v[c] = image_scale(im, image_sample(im, row, x, im->channels >= 3 ? c : 0));
        if (im->palette) { /* an index beyond it is black */
            const uint8_t *p = v[0] < im->colours ? im->palette + v[0] * im->colour : NULL;
            for (uint32_t c = 0; c < 3; c++)
                v[c] = p ? p[c] : 0;
        }
        rgb[0] = v[im->swap ? 2 : 0];
        rgb[1] = v[1];
        rgb[2] = v[im->swap ? 0 : 2];
    }
}
