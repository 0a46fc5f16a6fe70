/*
 * window.h - geometry and layout shared by everything that slides windows over pixels.
 *
 * ln_win is the geometry of kernel_shape, strides, dilations, pads and auto_pad, always with
 * three axes (depth, height, width): missing ones have one pixel and a kernel of one.
 *
 * ln_last is a tensor as the kernels want it: f32, channels last. Where it does not arrive
 * so, a phase before the work copies it into the workspace and one after it copies back.
 */
#ifndef LN_WINDOW_H
#define LN_WINDOW_H

#include "op.h"

#define LN_WIN_AXES 3

/* The attributes, first in the param struct of each operator with windows. */
typedef struct ln_win_param {
    const char *auto_pad;
    ln_ints     kernel_shape, strides, dilations, pads;
    int64_t     ceil_mode, channels_last;
} ln_win_param;

/* Attribute table entries of ln_win_param, member `win` of T; ceil_mode is apart. */
#define LN_WIN_ATTR(T)                                                          \
    { "auto_pad", LN_ATTR_STR, offsetof(T, win.auto_pad), 0, false },           \
    { "kernel_shape", LN_ATTR_INTS, offsetof(T, win.kernel_shape), 0, false },  \
    { "strides", LN_ATTR_INTS, offsetof(T, win.strides), 0, false },            \
    { "dilations", LN_ATTR_INTS, offsetof(T, win.dilations), 0, false },        \
    { "pads", LN_ATTR_INTS, offsetof(T, win.pads), 0, false },                  \
    { "ln.channels_last", LN_ATTR_I64, offsetof(T, win.channels_last), 0, false }

typedef struct ln_win {
    int32_t axes; /* spatial axes of the tensor */
    size_t  n, c;
    size_t  in[LN_WIN_AXES], out[LN_WIN_AXES];
    size_t  kernel[LN_WIN_AXES], stride[LN_WIN_AXES], dilation[LN_WIN_AXES];
    size_t  pad[LN_WIN_AXES], end[LN_WIN_AXES]; /* before and after */
} ln_win;

/* Axis of the channels, and of spatial axis i. */
static inline int32_t ln_channel_axis(const ln_desc *d, bool last) { return last ? d->rank - 1 : 1; }
static inline int32_t ln_pixel_axis(int32_t i, bool last) { return i + (last ? 1 : 2); }

/* n, c, in and axes from a tensor; the rest is 1 or 0. */
linnet_status ln_win_input(ln_win *w, const char *op, const ln_desc *x, bool last, linnet_error *err);

/* kernel, stride and dilation, each at least 1; `kernel` (NULL: kernel_shape) has w->axes numbers. */
linnet_status ln_win_steps(ln_win *w, const char *op, const ln_win_param *p, const int64_t *kernel,
                           linnet_error *err);

/* All of the above, then pads and out, as convolution and pooling have them. */
linnet_status ln_win_init(ln_win *w, const char *op, const ln_win_param *p, const ln_desc *x,
                          const int64_t *kernel, linnet_error *err);

/* The desc of out pixels with `channels`. */
ln_desc ln_win_desc(const ln_win *w, int32_t dtype, size_t channels, bool last);

static inline size_t ln_pixels(const size_t dim[LN_WIN_AXES]) { return dim[0] * dim[1] * dim[2]; }
static inline size_t ln_win_taps(const ln_win *w) { return ln_pixels(w->kernel); }

/* Pixel number p of a batch of images as image and coordinates; and the one after it. */
typedef struct ln_pixel { size_t n, at[LN_WIN_AXES]; } ln_pixel;
static inline ln_pixel ln_pixel_at(const size_t dim[LN_WIN_AXES], size_t p)
{
    ln_pixel x;

    x.at[2] = p % dim[2];
    p /= dim[2];
    x.at[1] = p % dim[1];
    p /= dim[1];
    x.at[0] = p % dim[0];
    x.n = p / dim[0];
    return x;
}
static inline void ln_pixel_next(const size_t dim[LN_WIN_AXES], ln_pixel *x)
{
    if (++x->at[2] < dim[2])
        return;
    x->at[2] = 0;
    if (++x->at[1] < dim[1])
        return;
    x->at[1] = 0;
    if (++x->at[0] < dim[0])
        return;
    x->at[0] = 0;
    x->n++;
}

/* The input coordinate of tap `tap` of window `at` along an axis; false: padding. */
static inline bool ln_win_at(const ln_win *w, int32_t axis, size_t at, size_t tap, size_t *in)
{
    const size_t x = at * w->stride[axis] + tap * w->dilation[axis];

    *in = x - w->pad[axis];
    return x >= w->pad[axis] && *in < w->in[axis];
}

/*
 * The kernel[0] * kernel[1] rows of input under output row (z, y) of image n, as the kernels
 * want them: NULL is padding. x is channels-last f32; rows are in[2] * c floats.
 */
void ln_win_rows(const ln_win *w, const float *x, size_t n, size_t z, size_t y, const float **rows);

/* Element strides of image, channel and the three axes of a tensor of n, c, dim. */
typedef struct ln_steps { size_t n, c, at[LN_WIN_AXES]; } ln_steps;
ln_steps ln_win_strides(size_t c, const size_t dim[LN_WIN_AXES], bool last);

/* ---- tensors as f32, channels last ------------------------------------------- */

typedef struct ln_last {
    int32_t dtype;
    bool    turn;        /* channels come first in memory */
    bool    copy;        /* lives in the workspace */
    size_t  n, c, pixels;
    size_t  at;          /* in the workspace, in floats */
    size_t  step, tasks; /* pixels (or, where nothing is turned, elements) of a copying task */
} ln_last;

/* f32, f16, bf16, i8 and u8 tensors; a turned tensor of one channel or one pixel is none. */
void ln_last_init(ln_last *l, const ln_desc *d, bool last);

/* Set aside `floats` floats; false: too many. */
LN_MUST_USE bool ln_reserve(size_t *total, size_t floats, size_t *at);
/* The same for a tensor, where it needs a copy. */
LN_MUST_USE bool ln_last_reserve(ln_last *l, size_t *total);

/* One task of copying in, and out. */
void ln_last_read(const ln_last *l, const ln_kernels *kernel, const void *x, float *workspace, size_t task);
void ln_last_write(const ln_last *l, const ln_kernels *kernel, const float *workspace, void *y, size_t task);

/* The tensor as floats, whether or not it was copied. */
static inline float *ln_last_floats(const ln_last *l, const void *tensor, void *workspace)
{
    return l->copy ? (float *)workspace + l->at : (float *)(uintptr_t)tensor;
}

#endif
