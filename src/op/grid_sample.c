/*
 * grid_sample.c - GridSample: the input read at places that a grid names.
 *
 * Each output pixel becomes a short list of input pixels with weights (one, 2^axes or 4^axes),
 * found once for all channels. Channels last, f32 blends whole rows of channels.
 */
#include "window.h"

#include <math.h>

typedef struct param {
    int64_t     align_corners, channels_last;
    const char *mode, *padding_mode;
} param;

enum { GRID_NEAREST = 1, GRID_LINEAR = 2, GRID_CUBIC = 4 }; /* taps along an axis */
enum { GRID_ZEROS, GRID_BORDER, GRID_REFLECTION };
enum { GRID_MOST = 64 };

typedef struct state {
    size_t  n, c, in[LN_WIN_AXES], pixels, rows;
    int32_t axes, taps, padding;
} state;

static bool grid_float(int32_t type)
{
    return type == LINNET_F32 || type == LINNET_F64 || type == LINNET_F16 || type == LINNET_BF16;
}

/* Mode and padding by name; opsets before 20 said bilinear and bicubic. False: no such. */
static bool grid_names(const param *p, state *s)
{
    s->taps = ln_is(p->mode, "linear", "nearest")                                                    ? GRID_NEAREST
              : ln_is(p->mode, "linear", "linear") || ln_is(p->mode, "linear", "bilinear") ? GRID_LINEAR
              : ln_is(p->mode, "linear", "cubic") || ln_is(p->mode, "linear", "bicubic")   ? GRID_CUBIC
                                                                                           : 0;
    s->padding = ln_is(p->padding_mode, "zeros", "zeros")        ? GRID_ZEROS
                 : ln_is(p->padding_mode, "zeros", "border")     ? GRID_BORDER
                 : ln_is(p->padding_mode, "zeros", "reflection") ? GRID_REFLECTION
                                                                 : -1;
    return s->taps && s->padding >= 0;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const bool last = p->channels_last != 0;
    const ln_desc *x = &q->in[0], *g = &q->in[1];
    const ln_dtype_info *type = ln_dtype(x->dtype);
    const int32_t axes = x->rank - 2;
    state s;

    if (type->bits < 8 || type->kind == LN_KIND_STRING || type->kind == LN_KIND_COMPLEX)
        return ln_fail_type(q->err, 0, x->dtype);
    if (!grid_float(g->dtype))
        return ln_fail_type(q->err, 1, g->dtype);
    if (!grid_names(p, &s))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "GridSample: mode \"%s\" with padding \"%s\"",
                       p->mode ? p->mode : "linear", p->padding_mode ? p->padding_mode : "zeros");
    if (axes < 1 || axes > LN_WIN_AXES)
        return ln_fail(q->err, axes < 1 ? LINNET_ERR_SHAPE : LINNET_ERR_UNSUPPORTED,
                       "GridSample: an input of rank %d", (int)x->rank);
    if (g->rank != x->rank || g->dim[0] != x->dim[0] || g->dim[g->rank - 1] != axes)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "GridSample: the grid does not fit an input of rank %d with "
                       "%lld images", (int)x->rank, (long long)x->dim[0]);
    q->out[0] = *x;
    for (int32_t i = 0; i < axes; i++) {
        q->out[0].dim[ln_pixel_axis(i, last)] = g->dim[i + 1];
        if (x->dim[ln_pixel_axis(i, last)] == 0 && g->dim[i + 1] != 0)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "GridSample: an input without pixels");
    }
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    const bool last = p->channels_last != 0;
    const ln_desc *x = &q->in[0];
    state *s = q->state;

    if (ln_count(&q->out[0]) == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    grid_names(p, s);
    s->axes = x->rank - 2;
    s->n = (size_t)x->dim[0];
    s->c = (size_t)x->dim[ln_channel_axis(x, last)];
    for (int32_t i = 0; i < s->axes; i++)
        s->in[i] = (size_t)x->dim[ln_pixel_axis(i, last)];
    s->pixels = ln_count_range(&q->in[1], 1, s->axes + 1);
    s->rows = LN_MAX((size_t)LN_CHUNK / (s->c * (size_t)(s->taps * s->taps)), (size_t)1);
    q->tasks[0] = ln_ceil_div(s->n * s->pixels, s->rows);
    q->work = (double)ln_count(&q->out[0]) * (double)(s->taps * s->taps);
    return LINNET_OK;
}

/* ---- places --------------------------------------------------------------------- */

/* x mirrored at both ends until it lies between them. */
static double grid_reflect(double x, double low, double high)
{
    const double span = high - low;

    if (!(span > 0.0) || !isfinite(x))
        return low;
    double d = fmod(fabs(x - low), 2.0 * span);
    if (d > span)
        d = 2.0 * span - d;
    return low + d;
}

/* Tap `i` of an axis of `dim` pixels: its input coordinate; false: it is zero. */
static bool grid_index(const state *s, double i, size_t dim, double low, double high, size_t *at)
{
    if (s->padding == GRID_REFLECTION)
        i = trunc(grid_reflect(i, low, high));
    const bool inside = i >= 0.0 && i <= (double)(dim - 1);
    *at = (size_t)ln_f2i_sat(i, 0, (int64_t)dim - 1);
    return inside || s->padding != GRID_ZEROS;
}

static double grid_cubic(double x)
{
    const double a = -0.75;

    x = fabs(x);
    if (x <= 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
}

typedef struct grid_axis {
    size_t at[GRID_CUBIC];
    double weight[GRID_CUBIC]; /* 0 where the tap is outside */
} grid_axis;

/* Taps along an axis of `dim` pixels for the grid's number v. */
static void grid_taps(const state *s, double v, size_t dim, bool corners, grid_axis *a)
{
    const double size = (double)dim, low = corners ? 0.0 : -0.5, high = corners ? size - 1.0 : size - 0.5;
    double x = corners ? (v + 1.0) / 2.0 * (size - 1.0) : ((v + 1.0) * size - 1.0) / 2.0;

    x = (double)(float)x;
    if (s->taps == GRID_NEAREST)
        x = rint(x);
    if (!(x >= low && x <= high)) {
        if (s->padding == GRID_BORDER)
            x = x > 0.0 ? size - 1.0 : 0.0;
        else if (s->padding == GRID_REFLECTION)
            x = grid_reflect(x, low, high);
        else if (!isfinite(x))
            x = -8.0; /* far enough outside for every tap to be zero */
    }
    const double below = s->taps == GRID_NEAREST ? trunc(x) : floor(x), part = x - below;
    for (int32_t t = 0; t < s->taps; t++) {
        const double step = s->taps == GRID_CUBIC ? t - 1.0 : t;
        const double w = s->taps == GRID_NEAREST ? 1.0
                         : s->taps == GRID_LINEAR ? 1.0 - fabs(part - step) : grid_cubic(part - step);
        a->weight[t] = grid_index(s, below + step, dim, low, high, &a->at[t]) ? w : 0.0;
    }
}

/* The input pixels of output pixel `pixel` of image n, within that image; returns how many. */
static size_t grid_list(const ln_run *r, const state *s, size_t n, size_t pixel, size_t at[GRID_MOST],
                        double weight[GRID_MOST])
{
    const param *p = r->param;
    const size_t from = (n * s->pixels + pixel) * (size_t)s->axes;
    grid_axis axis[LN_WIN_AXES];
    size_t all = 1, count = 0;

    for (int32_t i = 0; i < s->axes; i++) { /* the grid says x, y, z where the axes are z, y, x */
        const double v = ln_get_f64(r->in_desc[1].dtype, r->in[1], from + (size_t)(s->axes - 1 - i));
        grid_taps(s, v, s->in[i], p->align_corners != 0, &axis[i]);
        all *= (size_t)s->taps;
    }
    for (size_t t = 0; t < all; t++) {
        size_t left = t, place = 0, unit = 1;
        double w = 1.0;

        for (int32_t i = s->axes - 1; i >= 0; i--) {
            const size_t k = left % (size_t)s->taps;
            left /= (size_t)s->taps;
            place += axis[i].at[k] * unit;
            unit *= s->in[i];
            w *= axis[i].weight[k];
        }
        if (w == 0.0)
            continue;
        at[count] = place;
        weight[count++] = w;
    }
    return count;
}

/* ---- run ---------------------------------------------------------------------------- */

static void grid_pixel_f32(const ln_run *r, const state *s, size_t n, size_t pixel, const size_t *at,
                           const double *weight, size_t count)
{
    const size_t in = s->in[0] * (s->axes > 1 ? s->in[1] : 1) * (s->axes > 2 ? s->in[2] : 1);
    const float *x = (const float *)r->in[0] + n * in * s->c, *tap[GRID_MOST];
    float *y = (float *)r->out[0] + (n * s->pixels + pixel) * s->c, w[GRID_MOST];

    for (size_t t = 0; t < count; t++) {
        tap[t] = x + at[t] * s->c;
        w[t] = (float)weight[t];
    }
    if (count)
        r->kernel->mix_f32(count, tap, w, s->c, y);
    else
        memset(y, 0, s->c * sizeof *y);
}

static void grid_pixel(const ln_run *r, const state *s, bool last, size_t n, size_t pixel, const size_t *at,
                       const double *weight, size_t count)
{
    const size_t in = s->in[0] * (s->axes > 1 ? s->in[1] : 1) * (s->axes > 2 ? s->in[2] : 1);
    const int32_t type = r->in_desc[0].dtype;

    for (size_t c = 0; c < s->c; c++) {
        const size_t base = n * in * s->c + (last ? c : c * in), step = last ? s->c : 1;
        const size_t to = last ? (n * s->pixels + pixel) * s->c + c : (n * s->c + c) * s->pixels + pixel;
        double sum = 0.0;

        if (count == 1 && weight[0] == 1.0) { /* any integer survives */
            const size_t bytes = ln_dtype(type)->bits / 8u;
            memcpy((char *)r->out[0] + to * bytes, (const char *)r->in[0] + (base + at[0] * step) * bytes, bytes);
            continue;
        }
        for (size_t t = 0; t < count; t++)
            sum += weight[t] * ln_get_f64(type, r->in[0], base + at[t] * step);
        ln_set_f64(type, r->out[0], to, grid_float(type) ? sum : trunc(sum));
    }
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const bool last = p->channels_last != 0;
    const size_t from = r->task * s->rows, end = LN_MIN(from + s->rows, s->n * s->pixels);

    for (size_t i = from; i < end; i++) {
        const size_t n = i / s->pixels, pixel = i % s->pixels;
        size_t at[GRID_MOST];
        double weight[GRID_MOST];
        const size_t count = grid_list(r, s, n, pixel, at, weight);

        if (last && r->in_desc[0].dtype == LINNET_F32)
            grid_pixel_f32(r, s, n, pixel, at, weight, count);
        else
            grid_pixel(r, s, last, n, pixel, at, weight, count);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "align_corners", LN_ATTR_I64, offsetof(param, align_corners), 0, false },
    { "mode", LN_ATTR_STR, offsetof(param, mode), 0, false },
    { "padding_mode", LN_ATTR_STR, offsetof(param, padding_mode), 0, false },
    { "ln.channels_last", LN_ATTR_I64, offsetof(param, channels_last), 0, false },
    { 0 },
};

const ln_op ln_op_grid_sample = {
    .name = "GridSample", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 2, .flags = LN_OP_SPATIAL,
    .infer = infer, .prepare = prepare, .run = run,
};
