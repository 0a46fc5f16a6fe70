/*
 * image.h - picture files: a header read first, then pixels row by row.
 *
 * Nothing in a file is trusted: sizes are checked against the bytes that are there, and no read goes
 * beyond them. Memory that a format needs while it is decoded is asked for by its size.
 */
#ifndef LN_IMAGE_H
#define LN_IMAGE_H

#include "op.h"

typedef struct ln_image ln_image;
struct ln_image {
    const uint8_t *data;
    size_t   size;
    size_t   width, height;
    size_t   at;       /* of the first row (PNG: of the first chunk behind the header) */
    size_t   row;      /* bytes of a row in the file, or of a decoded one */
    uint32_t channels; /* of a stored pixel */
    uint32_t bits;     /* of a channel */
    uint32_t most;     /* PNM: what white is */
    bool     flip, swap; /* rows from the bottom; blue first */
    const uint8_t *palette;
    size_t   colours, colour; /* of the palette: how many, and bytes of each */
    size_t   work;     /* bytes that decode() wants, 0: rows are read from the file */
};

/* BMP, PNM and PNG. False: none of them, damaged, or of a kind that is not supported. */
bool ln_image_open(const uint8_t *data, size_t size, ln_image *im);
bool ln_png_open(ln_image *im);

/* All pixels of a PNG into work; false: the file is damaged. */
bool ln_png_decode(const ln_image *im, uint8_t *work);

/* Row y as red, green, blue. `work` as decode() left it; may be NULL where im->work is 0. */
void ln_image_row(const ln_image *im, const uint8_t *work, size_t y, uint8_t *rgb);

#endif
