/*
 * image.c - reads PGM, PPM and, where libpng is there (HAVE_PNG), PNG.
 */
#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_PNG
#  include <png.h>
#endif

#define IMAGE_MOST 32768 /* pixels of a side */

void image_free(image *im)
{
    free(im->pixel);
    im->pixel = NULL;
}

/* A number in the head of a PGM or PPM file; comments are skipped. */
static int pnm_number(const unsigned char *d, size_t size, size_t *at)
{
    int v = -1;

    while (*at < size && (d[*at] == ' ' || (d[*at] >= '\t' && d[*at] <= '\r') || d[*at] == '#'))
        if (d[(*at)++] == '#')
            while (*at < size && d[*at] != '\n')
                ++*at;
    for (; *at < size && d[*at] >= '0' && d[*at] <= '9' && v <= IMAGE_MOST; ++*at)
        v = (v < 0 ? 0 : v) * 10 + (d[*at] - '0');
    return v;
}

static const char *pnm_decode(const unsigned char *d, size_t size, image *out)
{
    size_t at = 2;

    out->channels = d[1] == '5' ? 1 : 3;
    out->width = pnm_number(d, size, &at);
    out->height = pnm_number(d, size, &at);
    if (pnm_number(d, size, &at) != 255)
        return "only 8-bit PGM and PPM files can be read";
    at++;
    if (out->width < 1 || out->height < 1 || out->width > IMAGE_MOST || out->height > IMAGE_MOST)
        return "the picture has an impossible size";
    const size_t bytes = (size_t)out->width * (size_t)out->height * (size_t)out->channels;
    if (at > size || bytes > size - at)
        return "the file ends too early";
    out->pixel = malloc(bytes);
    if (!out->pixel)
        return "out of memory";
    memcpy(out->pixel, d + at, bytes);
    return NULL;
}

static const char *png_decode(const unsigned char *d, size_t size, int channels, image *out)
{
#ifdef HAVE_PNG
    png_image png = { .version = PNG_IMAGE_VERSION };

    if (!png_image_begin_read_from_memory(&png, d, size))
        return "not a PNG file that can be read";
    if (channels == 0)
        channels = png.format & PNG_FORMAT_FLAG_COLOR ? 3 : 1;
    png.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    out->channels = channels;
    out->width = (int)png.width;
    out->height = (int)png.height;
    const char *wrong = png.width > IMAGE_MOST || png.height > IMAGE_MOST ? "the picture has an impossible size" : NULL;
    if (!wrong && !(out->pixel = malloc(PNG_IMAGE_SIZE(png))))
        wrong = "out of memory";
    if (!wrong && png_image_finish_read(&png, NULL, out->pixel, 0, NULL))
        return NULL;
    png_image_free(&png);
    image_free(out);
    return wrong ? wrong : "not a PNG file that can be read";
#else
    (void)d;
    (void)size;
    (void)channels;
    (void)out;
    return "built without libpng: PGM and PPM files only";
#endif
}

/* Grey to RGB or back, by the usual weights of luma. */
static const char *image_convert(image *im, int channels)
{
    const size_t pixels = (size_t)im->width * (size_t)im->height;

    if (channels == 0 || channels == im->channels)
        return NULL;
    unsigned char *to = malloc(pixels * (size_t)channels);
    if (!to) {
        image_free(im);
        return "out of memory";
    }
    for (size_t i = 0; i < pixels; i++) {
        const unsigned char *p = im->pixel + i * (size_t)im->channels;
        if (channels == 3)
            memset(to + 3 * i, *p, 3);
        else
            to[i] = (unsigned char)((299 * p[0] + 587 * p[1] + 114 * p[2] + 500) / 1000);
    }
    free(im->pixel);
    im->pixel = to;
    im->channels = channels;
    return NULL;
}

const char *image_decode(const unsigned char *data, size_t size, int channels, image *out)
{
    const char *wrong = "not a PNG, PGM or PPM file";

    memset(out, 0, sizeof *out);
    if (size > 8 && memcmp(data, "\x89PNG", 4) == 0)
        wrong = png_decode(data, size, channels, out);
    else if (size > 2 && data[0] == 'P' && (data[1] == '5' || data[1] == '6'))
        wrong = pnm_decode(data, size, out);
    return wrong ? wrong : image_convert(out, channels);
}

const char *image_read(const char *path, int channels, image *out)
{
    const char *wrong = "cannot be read";
    unsigned char *data = NULL;
    size_t size = 0;
    FILE *f = fopen(path, "rb");
    long length;

    memset(out, 0, sizeof *out);
    if (!f)
        return "cannot be opened";
    if (fseek(f, 0, SEEK_END) == 0 && (length = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0 &&
        (data = malloc((size_t)length + 1)) != NULL) {
        size = fread(data, 1, (size_t)length, f);
        wrong = image_decode(data, size, channels, out);
    }
    free(data);
    fclose(f);
    return wrong;
}
