/*
 * image.h - 8-bit grey or RGB pictures from PGM, PPM and (with libpng) PNG files.
 */
#ifndef LINNET_IMAGE_H
#define LINNET_IMAGE_H

#include <stddef.h>

typedef struct image {
    unsigned char *pixel; /* rows from the top, `channels` bytes per pixel; image_free() ends it */
    int            width, height, channels;
} image;

/* channels: 1 or 3 to convert, 0 to take what the file has. NULL on success, else what is wrong. */
const char *image_read(const char *path, int channels, image *out);
const char *image_decode(const unsigned char *data, size_t size, int channels, image *out);
void        image_free(image *im);

#endif
