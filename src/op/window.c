/*
 * window.c - geometry of windows, and tensors as f32 channels last.
 *
 * Every number of an attribute is checked here against bounds that keep all later arithmetic
 * far from the end of 64 bits: kernels as dilated, strides and pads below 2^31, axes below 2^40.
 */
#include "window.h"

#define WINDOW_MOST INT32_MAX
#define WINDOW_AXIS_MOST ((int64_t)1 << 40)
enum { WINDOW_PIECE = 256 };

linnet_status ln_win_input(ln_win *w, const char *op, const ln_desc *x, bool last, linnet_error *err)
{
    const ln_win none = { 0 };
    const int32_t axes = x->rank - 2;

    *w = none;
    if (axes < 1)
        return ln_fail(err, LINNET_ERR_SHAPE, "%s: needs an input of rank 3 or more, not %d", op,
                       (int)x->rank);
    if (axes > LN_WIN_AXES)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "%s: %d spatial axes, at most %d are supported",
                       op, (int)axes, LN_WIN_AXES);
    w->axes = axes;
    w->n = (size_t)x->dim[0];
    w->c = (size_t)x->dim[ln_channel_axis(x, last)];
    for (int32_t i = 0; i < LN_WIN_AXES; i++) {
        w->in[i] = w->out[i] = w->kernel[i] = w->stride[i] = w->dilation[i] = 1;
        if (i < LN_WIN_AXES - axes)
            continue;
        const int64_t dim = x->dim[ln_pixel_axis(i - (LN_WIN_AXES - axes), last)];
        if (dim > WINDOW_AXIS_MOST)
            return ln_fail(err, LINNET_ERR_LIMIT, "%s: an axis of %lld pixels is too long", op,
                           (long long)dim);
        w->in[i] = (size_t)dim;
    }
    return LINNET_OK;
}

/* `count` numbers of an attribute, each from `least` on, into the last places of out. */
static linnet_status window_numbers(const char *op, const char *name, const int64_t *v, size_t count,
                                    int32_t axes, int64_t least, size_t *out, linnet_error *err)
{
    if (count != (size_t)axes)
        return ln_fail(err, LINNET_ERR_SHAPE, "%s: %s has %zu numbers for %d spatial axes", op, name,
                       count, (int)axes);
    for (size_t i = 0; i < count; i++) {
        if (v[i] < least || v[i] > WINDOW_MOST)
            return ln_fail(err, LINNET_ERR_SHAPE, "%s: %lld in %s", op, (long long)v[i], name);
        out[LN_WIN_AXES - (size_t)axes + i] = (size_t)v[i];
    }
    return LINNET_OK;
}

linnet_status ln_win_steps(ln_win *w, const char *op, const ln_win_param *p, const int64_t *kernel,
                           linnet_error *err)
{
    const ln_ints *shape = &p->kernel_shape;
    linnet_status st = LINNET_OK;

    if (!kernel || shape->count)
        st = window_numbers(op, "kernel_shape", shape->v, shape->count, w->axes, 1, w->kernel, err);
    for (int32_t i = 0; st == LINNET_OK && kernel && shape->count && i < w->axes; i++)
        if (shape->v[i] != kernel[i])
            return ln_fail(err, LINNET_ERR_SHAPE, "%s: kernel_shape says %lld where the weights have %lld",
                           op, (long long)shape->v[i], (long long)kernel[i]);
    if (st == LINNET_OK && kernel)
        st = window_numbers(op, "the kernel", kernel, (size_t)w->axes, w->axes, 1, w->kernel, err);
    if (st == LINNET_OK && p->strides.count)
        st = window_numbers(op, "strides", p->strides.v, p->strides.count, w->axes, 1, w->stride, err);
    if (st == LINNET_OK && p->dilations.count)
        st = window_numbers(op, "dilations", p->dilations.v, p->dilations.count, w->axes, 1,
                            w->dilation, err);
    for (int32_t i = 0; st == LINNET_OK && i < LN_WIN_AXES; i++)
        if ((int64_t)(w->kernel[i] - 1) > (WINDOW_MOST - 1) / (int64_t)w->dilation[i])
            return ln_fail(err, LINNET_ERR_LIMIT, "%s: a kernel of %zu with dilation %zu is too large", op,
                           w->kernel[i], w->dilation[i]);
    return st;
}

/* Pads of one axis by auto_pad SAME_*, or given; and the number of windows. */
static linnet_status window_axis(ln_win *w, int32_t i, const char *op, int32_t same, bool round_up,
                                 linnet_error *err)
{
    const int64_t in = (int64_t)w->in[i], stride = (int64_t)w->stride[i];
    const int64_t reach = (int64_t)((w->kernel[i] - 1) * w->dilation[i] + 1);
    int64_t out;

    if (same) {
        out = in / stride + (in % stride != 0);
        const int64_t need = (out - 1) * stride + reach - in, pad = LN_MAX(need, (int64_t)0);
        w->pad[i] = (size_t)(same > 0 ? pad / 2 : pad - pad / 2);
        w->end[i] = (size_t)pad - w->pad[i];
    } else {
        const int64_t left = in + (int64_t)w->pad[i] + (int64_t)w->end[i] - reach;
        out = left < 0 ? (round_up && -left < stride ? 1 : 0) : left / stride + 1 + (round_up && left % stride != 0);
        /* A last window that would lie in the padding after the input is left out. */
        if (round_up && out > 1 && (out - 1) * stride >= in + (int64_t)w->pad[i])
            out--;
    }
    if (out < 1)
        return ln_fail(err, LINNET_ERR_SHAPE, "%s: a kernel that reaches over %lld pixels is larger than "
                       "the padded input of %lld", op, (long long)reach,
                       (long long)(in + (int64_t)w->pad[i] + (int64_t)w->end[i]));
    w->out[i] = (size_t)out;
    return LINNET_OK;
}

linnet_status ln_win_init(ln_win *w, const char *op, const ln_win_param *p, const ln_desc *x,
                          const int64_t *kernel, linnet_error *err)
{
    const bool upper = ln_is(p->auto_pad, "NOTSET", "SAME_UPPER");
    const bool lower = ln_is(p->auto_pad, "NOTSET", "SAME_LOWER");
    linnet_status st = ln_win_input(w, op, x, p->channels_last == LN_LAST, err);

    if (st == LINNET_OK)
        st = ln_win_steps(w, op, p, kernel, err);
    if (st != LINNET_OK)
        return st;
    if (ln_is(p->auto_pad, "NOTSET", "NOTSET") || ln_is(p->auto_pad, "NOTSET", "")) {
        const size_t axes = (size_t)w->axes;
        if (p->pads.count && p->pads.count != 2 * axes)
            return ln_fail(err, LINNET_ERR_SHAPE, "%s: pads has %zu numbers for %zu spatial axes", op,
                           p->pads.count, axes);
        if (p->pads.count) {
            st = window_numbers(op, "pads", p->pads.v, axes, w->axes, 0, w->pad, err);
            if (st == LINNET_OK)
                st = window_numbers(op, "pads", p->pads.v + axes, axes, w->axes, 0, w->end, err);
        }
    } else if (!upper && !lower && !ln_is(p->auto_pad, "NOTSET", "VALID")) {
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "%s: auto_pad \"%s\"", op, p->auto_pad);
    }
    for (int32_t i = LN_WIN_AXES - w->axes; st == LINNET_OK && i < LN_WIN_AXES; i++)
        st = window_axis(w, i, op, upper - lower, p->ceil_mode != 0, err);
    return st;
}

ln_desc ln_win_desc(const ln_win *w, int32_t dtype, size_t channels, bool last)
{
    ln_desc d = { dtype, w->axes + 2, { 0 } };

    d.dim[0] = (int64_t)w->n;
    d.dim[ln_channel_axis(&d, last)] = (int64_t)channels;
    for (int32_t i = 0; i < w->axes; i++)
        d.dim[ln_pixel_axis(i, last)] = (int64_t)w->out[i + LN_WIN_AXES - w->axes];
    return d;
}

void ln_win_rows(const ln_win *w, const float *x, size_t n, size_t z, size_t y, const float **rows)
{
    for (size_t kz = 0; kz < w->kernel[0]; kz++) {
        size_t iz, iy;
        const bool deep = ln_win_at(w, 0, z, kz, &iz);

        for (size_t ky = 0; ky < w->kernel[1]; ky++, rows++) {
            *rows = NULL;
            if (x && deep && ln_win_at(w, 1, y, ky, &iy))
                *rows = x + ((n * w->in[0] + iz) * w->in[1] + iy) * w->in[2] * w->c;
        }
    }
}

ln_steps ln_win_strides(size_t c, const size_t dim[LN_WIN_AXES], bool last)
{
    ln_steps s;

    s.at[2] = last ? c : 1;
    s.at[1] = s.at[2] * dim[2];
    s.at[0] = s.at[1] * dim[1];
    s.c = last ? 1 : ln_pixels(dim);
    s.n = ln_pixels(dim) * c;
    return s;
}

/* ---- tensors as f32, channels last ------------------------------------------- */

void ln_last_init(ln_last *l, const ln_desc *d, bool last)
{
    const ln_last none = { 0 };
    const int32_t axis = ln_channel_axis(d, last);

    *l = none;
    l->dtype = d->dtype;
    l->n = (size_t)d->dim[0];
    l->c = (size_t)d->dim[axis];
    l->pixels = ln_count_range(d, 1, axis) * ln_count_range(d, axis + 1, d->rank);
    l->turn = !last && l->c > 1 && l->pixels > 1;
    l->copy = l->turn || d->dtype != LINNET_F32;
    if (ln_count(d) == 0 || !l->copy)
        return;
    if (l->turn) {
        l->step = LN_MAX((size_t)LN_CHUNK / l->c, (size_t)16);
        l->tasks = l->n * ln_ceil_div(l->pixels, l->step);
    } else {
        l->step = LN_CHUNK;
        l->tasks = ln_ceil_div(ln_count(d), LN_CHUNK);
    }
}

bool ln_reserve(size_t *total, size_t floats, size_t *at)
{
    *at = *total;
    return ln_add(*total, floats, total) && ln_align_up(*total, LN_ALIGN / sizeof(float), total)
           && *total <= SIZE_MAX / sizeof(float);
}

bool ln_last_reserve(ln_last *l, size_t *total)
{
    return !l->copy || ln_reserve(total, l->n * l->c * l->pixels, &l->at);
}

static void window_to_f32(const ln_last *l, const ln_kernels *kernel, const void *x, size_t at, size_t n,
                          float *y)
{
    const uint16_t *from = (const uint16_t *)x + at;

    if (l->dtype == LINNET_U8)
        kernel->dequantize_u8(n, (const uint8_t *)x + at, 1.0f, 0, y);
    else if (l->dtype == LINNET_I8)
        kernel->dequantize_i8(n, (const int8_t *)x + at, 1.0f, 0, y);
    else if (l->dtype == LINNET_F16)
        kernel->f16_to_f32(n, from, y);
    else
        ln_to_f32(l->dtype, from, n, y);
}

static void window_from_f32(const ln_last *l, const ln_kernels *kernel, const float *x, size_t n, void *y,
                            size_t at)
{
    uint16_t *to = (uint16_t *)y + at;

    if (l->dtype == LINNET_U8)
        kernel->f32_to_8(n, x, 0.0f, 255.0f, (uint8_t *)y + at);
    else if (l->dtype == LINNET_I8)
        kernel->f32_to_8(n, x, -128.0f, 127.0f, (uint8_t *)y + at);
    else if (l->dtype == LINNET_F16)
        kernel->f32_to_f16(n, x, to);
    else
        ln_from_f32(l->dtype, x, n, to);
}

/* Image and pixels [from, from + count) of a task that turns. */
static size_t window_part(const ln_last *l, size_t task, size_t *from, size_t *count)
{
    const size_t per = ln_ceil_div(l->pixels, l->step);

    *from = task % per * l->step;
    *count = LN_MIN(l->step, l->pixels - *from);
    return task / per;
}

void ln_last_read(const ln_last *l, const ln_kernels *kernel, const void *x, float *workspace, size_t task)
{
    float *y = workspace + l->at, piece[WINDOW_PIECE];
    size_t from, count;

    if (!l->turn) {
        from = task * l->step;
        window_to_f32(l, kernel, x, from, LN_MIN(l->step, l->n * l->c * l->pixels - from), y + from);
        return;
    }
    const size_t image = window_part(l, task, &from, &count), base = image * l->c * l->pixels;
    y += base + from * l->c;
    if (l->dtype == LINNET_F32) {
        kernel->transpose_32(l->c, count, (const float *)x + base + from, l->pixels, y, l->c);
        return;
    }
    for (size_t ch = 0; ch < l->c; ch++) {
        for (size_t p = 0; p < count; p += WINDOW_PIECE) {
            const size_t n = LN_MIN(count - p, (size_t)WINDOW_PIECE);
            window_to_f32(l, kernel, x, base + ch * l->pixels + from + p, n, piece);
            for (size_t i = 0; i < n; i++)
                y[(p + i) * l->c + ch] = piece[i];
        }
    }
}

void ln_last_write(const ln_last *l, const ln_kernels *kernel, const float *workspace, void *y, size_t task)
{
    const float *x = workspace + l->at;
    float piece[WINDOW_PIECE];
    size_t from, count;

    if (!l->turn) {
        from = task * l->step;
        window_from_f32(l, kernel, x + from, LN_MIN(l->step, l->n * l->c * l->pixels - from), y, from);
        return;
    }
    const size_t image = window_part(l, task, &from, &count), base = image * l->c * l->pixels;
    x += base + from * l->c;
    if (l->dtype == LINNET_F32) {
        kernel->transpose_32(count, l->c, x, l->c, (float *)y + base + from, l->pixels);
        return;
    }
    for (size_t ch = 0; ch < l->c; ch++) {
        for (size_t p = 0; p < count; p += WINDOW_PIECE) {
            const size_t n = LN_MIN(count - p, (size_t)WINDOW_PIECE);
            for (size_t i = 0; i < n; i++)
                piece[i] = x[(p + i) * l->c + ch];
            window_from_f32(l, kernel, piece, n, y, base + ch * l->pixels + from + p);
        }
    }
}

#undef WINDOW_MOST
#undef WINDOW_AXIS_MOST
