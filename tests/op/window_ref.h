/*
 * window_ref.h - random windows, and convolution and pooling by definition in double, for tests.
 */
#ifndef WINDOW_REF_H
#define WINDOW_REF_H

#include "test.h"

/* Axes d, h, w; those that the tensor lacks are 1. */
typedef struct wref {
    int     axes, n, c;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], end[3];
    int     ceil;
    const char *auto_pad; /* NULL: pads are given */
} wref;

/* A random window over a random image; every output has at least one pixel. */
void wref_random(wref *w, int axes, int most_kernel);
/* Another width, at least that of its kernel. */
void wref_width(wref *w, int64_t width);
linnet_status wref_set(linnet_layer *l, const wref *w, bool kernel);
/* Dims n, channels, spatial of `size`; returns the rank. */
int wref_dims(const wref *w, int64_t channels, const int64_t size[3], int64_t *dims);
int64_t wref_count(const int64_t size[3]);
/* Options that a test runs through: passes, levels, threads. i in [0, WREF_WAYS). */
#define WREF_WAYS 6
void wref_options(int i, linnet_options *o, linnet_pool *pool);

#endif
