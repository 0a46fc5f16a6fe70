/*
 * roi_align.c - RoiAlign and MaxRoiPool: boxes of an image pooled to one size.
 *
 * A task is one box and a block of channels. Box coordinates and image numbers are data, so
 * they are checked here: a bad image number is an error, a box of any size or NaN is not
 * allowed to read outside, nor to ask for more samples than ROI_MOST along an axis.
 */
#include "op.h"

#include <math.h>

typedef struct param {
    const char *coordinates, *mode;
    int64_t     height, width, sampling_ratio;
    float       scale;
    ln_ints     pooled_shape; /* MaxRoiPool alone */
} param;

typedef struct state {
    size_t n, c, h, w, oh, ow, step; /* step: channels of a task */
    bool   f32;
} state;

enum { ROI_MOST = 4096, ROI_SAMPLES = 1024 }; /* ROI_SAMPLES: of a bin, that the fast way takes */

static bool roi_type(int32_t t)
{
    return t == LINNET_F32 || t == LINNET_F64 || t == LINNET_F16 || t == LINNET_BF16;
}

static linnet_status roi_shapes(const ln_infer *q, const char *name, int64_t columns, int64_t h, int64_t w)
{
    const ln_desc *x = &q->in[0], *roi = &q->in[1];

    if (!roi_type(x->dtype))
        return ln_fail_type(q->err, 0, x->dtype);
    if (roi->dtype != x->dtype)
        return ln_fail_type(q->err, 1, roi->dtype);
    if (x->rank != 4 || roi->rank != 2 || roi->dim[1] != columns)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: needs an input of rank 4 and boxes of %lld numbers", name,
                       (long long)columns);
    if (h < 1 || w < 1)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: an output of %lld x %lld", name, (long long)h, (long long)w);
    if (roi->dim[0] > 0 && x->dim[1] > 0 && (x->dim[2] < 1 || x->dim[3] < 1))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: an input without pixels", name);
    q->out[0] = ln_desc_of(x->dtype, 4, (int64_t[]){ roi->dim[0], x->dim[1], h, w });
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;

    if (q->in[2].dtype != LINNET_I64 && q->in[2].dtype != LINNET_I32)
        return ln_fail_type(q->err, 2, q->in[2].dtype);
    if (q->in[1].rank != 2 || q->in[2].rank != 1 || q->in[2].dim[0] != q->in[1].dim[0])
        return ln_fail(q->err, LINNET_ERR_SHAPE, "RoiAlign: needs one image number for each box");
    if (!ln_is(p->mode, "avg", "avg") && !ln_is(p->mode, "avg", "max"))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "RoiAlign: mode \"%s\"", p->mode);
    if (!ln_is(p->coordinates, "half_pixel", "half_pixel")
        && !ln_is(p->coordinates, "half_pixel", "output_half_pixel"))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "RoiAlign: coordinates \"%s\"", p->coordinates);
    if (p->sampling_ratio < 0 || p->sampling_ratio > ROI_MOST)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "RoiAlign: sampling_ratio is %lld", (long long)p->sampling_ratio);
    return roi_shapes(q, "RoiAlign", 4, p->height, p->width);
}

static linnet_status roi_max_infer(const ln_infer *q)
{
    const param *p = q->param;

    if (p->pooled_shape.count != 2)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "MaxRoiPool: pooled_shape does not have 2 numbers");
    return roi_shapes(q, "MaxRoiPool", 5, p->pooled_shape.v[0], p->pooled_shape.v[1]);
}

static linnet_status prepare(ln_prepare *q)
{
    const ln_desc *x = &q->in[0], *y = &q->out[0];
    state *s = q->state;

    if (ln_count(y) == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    s->n = (size_t)x->dim[0];
    s->c = (size_t)x->dim[1];
    s->h = (size_t)x->dim[2];
    s->w = (size_t)x->dim[3];
    s->oh = (size_t)y->dim[2];
    s->ow = (size_t)y->dim[3];
    s->f32 = x->dtype == LINNET_F32 && s->h * s->w <= UINT32_MAX;
    q->scratch = ROI_SAMPLES * (4 * sizeof(uint32_t) + 4 * sizeof(float));
    s->step = LN_MIN(LN_MAX((size_t)LN_CHUNK / 4 / (s->oh * s->ow), (size_t)1), s->c);
    q->tasks[0] = (size_t)y->dim[0] * ln_ceil_div(s->c, s->step);
    q->work = 16.0 * (double)ln_count(y);
    return LINNET_OK;
}

/* The image of a box; false: there is no such image. */
static bool roi_image(const state *s, double number, size_t *image)
{
    if (!(number >= 0.0 && number < (double)s->n))
        return false;
    *image = (size_t)number;
    return true;
}

/* ---- RoiAlign ---------------------------------------------------------------------- */

typedef struct roi_box {
    double x, y, bin_w, bin_h; /* corner; size of a bin */
    size_t grid_w, grid_h;     /* samples of a bin */
    bool   max;
} roi_box;

/* One coordinate: the two pixels around it and the weight of the second. False: outside. */
static bool roi_axis(double v, size_t dim, size_t at[2], double *weight)
{
    if (!(v >= -1.0 && v <= (double)dim))
        return false;
    v = LN_MAX(v, 0.0);
    at[0] = (size_t)v;
    if (at[0] >= dim - 1) {
        at[0] = at[1] = dim - 1;
        *weight = 0.0;
    } else {
        at[1] = at[0] + 1;
        *weight = v - (double)at[0];
    }
    return true;
}

static double roi_bin(const ln_run *r, const state *s, const roi_box *b, size_t plane, size_t oy, size_t ox)
{
    const int32_t type = r->in_desc[0].dtype;
    double sum = 0.0, most = 0.0;
    bool any = false;

    for (size_t i = 0; i < b->grid_h; i++) {
        const double fy = b->y + b->bin_h * ((double)oy + ((double)i + 0.5) / (double)b->grid_h);
        for (size_t j = 0; j < b->grid_w; j++) {
            const double fx = b->x + b->bin_w * ((double)ox + ((double)j + 0.5) / (double)b->grid_w);
            double v[4] = { 0.0, 0.0, 0.0, 0.0 }, wy, wx;
            size_t y[2], x[2];

            if (roi_axis(fy, s->h, y, &wy) && roi_axis(fx, s->w, x, &wx)) {
                const double w[4] = { (1 - wy) * (1 - wx), (1 - wy) * wx, wy * (1 - wx), wy * wx };
                for (size_t k = 0; k < 4; k++)
                    v[k] = w[k] * ln_get_f64(type, r->in[0], plane + y[k / 2] * s->w + x[k % 2]);
            }
            sum += v[0] + v[1] + v[2] + v[3];
            for (size_t k = 0; k < 4; k++)
                if ((!any && k == 0) || v[k] > most || v[k] != v[k])
                    most = v[k];
            any = true;
        }
    }
    if (b->max)
        return most;
    return sum / (double)LN_MAX(b->grid_h * b->grid_w, (size_t)1);
}

static linnet_status roi_read_box(const ln_run *r, const state *s, size_t i, roi_box *b)
{
    const param *p = r->param;
    const int32_t type = r->in_desc[1].dtype;
    const bool half = ln_is(p->coordinates, "half_pixel", "half_pixel");
    double v[4];

    for (size_t k = 0; k < 4; k++)
        v[k] = ln_get_f64(type, r->in[1], i * 4 + k) * (double)p->scale - (half ? 0.5 : 0.0);
    double w = v[2] - v[0], h = v[3] - v[1];
    if (!half) {
        w = LN_MAX(w, 1.0);
        h = LN_MAX(h, 1.0);
    }
    b->x = v[0];
    b->y = v[1];
    b->bin_w = w / (double)s->ow;
    b->bin_h = h / (double)s->oh;
    b->max = ln_is(p->mode, "avg", "max");
    b->grid_w = b->grid_h = (size_t)p->sampling_ratio;
    if (p->sampling_ratio == 0) {
        b->grid_w = (size_t)ln_f2i_sat(ceil(b->bin_w), 0, ROI_MOST + 1);
        b->grid_h = (size_t)ln_f2i_sat(ceil(b->bin_h), 0, ROI_MOST + 1);
    }
    if (b->grid_w > ROI_MOST || b->grid_h > ROI_MOST)
        return ln_fail(r->err, LINNET_ERR_DATA, "RoiAlign: box %zu is too large for its sampling", i);
    return LINNET_OK;
}

/* A sample of a bin, the same for all channels: four pixels of a plane and their weights. */
typedef struct roi_sample { uint32_t at[4]; float w[4]; } roi_sample;

/* Those inside the image; how many. */
static size_t roi_samples(const state *s, const roi_box *b, size_t oy, size_t ox, roi_sample *to)
{
    size_t n = 0;

    for (size_t i = 0; i < b->grid_h; i++)
        for (size_t j = 0; j < b->grid_w; j++) {
            const double fy = b->y + b->bin_h * ((double)oy + ((double)i + 0.5) / (double)b->grid_h);
            const double fx = b->x + b->bin_w * ((double)ox + ((double)j + 0.5) / (double)b->grid_w);
            double wy, wx;
            size_t y[2], x[2];
            if (!roi_axis(fy, s->h, y, &wy) || !roi_axis(fx, s->w, x, &wx))
                continue;
            const double w[4] = { (1 - wy) * (1 - wx), (1 - wy) * wx, wy * (1 - wx), wy * wx };
            for (size_t k = 0; k < 4; k++) {
                to[n].at[k] = (uint32_t)(y[k / 2] * s->w + x[k % 2]);
                to[n].w[k] = (float)w[k];
            }
            n++;
        }
    return n;
}

/* Averages of f32: channels [first, end) of box i. */
static void roi_f32(const ln_run *r, const state *s, const roi_box *b, size_t image, size_t i, size_t first, size_t end)
{
    const float each = 1.0f / (float)(b->grid_h * b->grid_w);
    roi_sample *sample = r->scratch;

    for (size_t o = 0; o < s->oh * s->ow; o++) {
        const size_t n = roi_samples(s, b, o / s->ow, o % s->ow, sample);
        for (size_t c = first; c < end; c++) {
            const float *x = (const float *)r->in[0] + (image * s->c + c) * s->h * s->w;
            float sum = 0;
            for (size_t k = 0; k < n; k++) {
                const roi_sample *p = &sample[k];
                sum += p->w[0] * x[p->at[0]] + p->w[1] * x[p->at[1]] + p->w[2] * x[p->at[2]] + p->w[3] * x[p->at[3]];
            }
            ((float *)r->out[0])[(i * s->c + c) * s->oh * s->ow + o] = sum * each;
        }
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const size_t per = ln_ceil_div(s->c, s->step), i = r->task / per, first = r->task % per * s->step;
    const size_t end = LN_MIN(first + s->step, s->c);
    const int64_t number = ln_get_i64(r->in_desc[2].dtype, r->in[2], i);
    roi_box b;
    size_t image;

    if (!roi_image(s, (double)number, &image))
        return ln_fail(r->err, LINNET_ERR_DATA, "RoiAlign: box %zu is on image %lld of %zu", i, (long long)number,
                       s->n);
    const linnet_status st = roi_read_box(r, s, i, &b);
    if (st != LINNET_OK)
        return st;
    const size_t samples = b.grid_h * b.grid_w;
    if (s->f32 && !b.max && samples > 0 && samples <= ROI_SAMPLES) {
        roi_f32(r, s, &b, image, i, first, end);
        return LINNET_OK;
    }
    for (size_t c = first; c < end; c++)
        for (size_t o = 0; o < s->oh * s->ow; o++)
            ln_set_f64(r->out_desc[0].dtype, r->out[0], (i * s->c + c) * s->oh * s->ow + o,
                       roi_bin(r, s, &b, (image * s->c + c) * s->h * s->w, o / s->ow, o % s->ow));
    return LINNET_OK;
}

/* ---- MaxRoiPool ------------------------------------------------------------------------ */

/* Pixels [part[0], part[1]) of bin `o` of `bins` over pixels [from, to]. */
static void roi_part(double from, double to, size_t bins, size_t o, size_t dim, size_t part[2])
{
    const double size = LN_MAX(to - from + 1.0, 1.0) / (double)bins;

    part[0] = (size_t)ln_f2i_sat(floor(size * (double)o) + from, 0, (int64_t)dim);
    part[1] = (size_t)ln_f2i_sat(ceil(size * (double)(o + 1)) + from, 0, (int64_t)dim);
}

static linnet_status roi_max_run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const int32_t type = r->in_desc[0].dtype;
    const size_t per = ln_ceil_div(s->c, s->step), i = r->task / per, first = r->task % per * s->step;
    const size_t end = LN_MIN(first + s->step, s->c);
    const double number = ln_get_f64(type, r->in[1], i * 5);
    double v[4];
    size_t image;

    if (!roi_image(s, number, &image))
        return ln_fail(r->err, LINNET_ERR_DATA, "MaxRoiPool: box %zu is on image %g of %zu", i, number, s->n);
    for (size_t k = 0; k < 4; k++)
        v[k] = round(ln_get_f64(type, r->in[1], i * 5 + 1 + k) * (double)p->scale);
    for (size_t o = 0; o < s->oh * s->ow; o++) {
        size_t x[2], y[2];

        roi_part(v[1], v[3], s->oh, o / s->ow, s->h, y);
        roi_part(v[0], v[2], s->ow, o % s->ow, s->w, x);
        for (size_t c = first; c < end; c++) {
            const bool empty = y[0] >= y[1] || x[0] >= x[1];
            double most = empty ? 0.0 : -(double)INFINITY;

            for (size_t j = y[0]; j < y[1]; j++)
                for (size_t k = x[0]; k < x[1]; k++) {
                    const double e = ln_get_f64(type, r->in[0], ((image * s->c + c) * s->h + j) * s->w + k);
                    most = e > most || e != e ? e : most;
                }
            ln_set_f64(type, r->out[0], (i * s->c + c) * s->oh * s->ow + o, most);
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "coordinate_transformation_mode", LN_ATTR_STR, offsetof(param, coordinates), 0, false },
    { "mode", LN_ATTR_STR, offsetof(param, mode), 0, false },
    { "output_height", LN_ATTR_I64, offsetof(param, height), 1, false },
    { "output_width", LN_ATTR_I64, offsetof(param, width), 1, false },
    { "sampling_ratio", LN_ATTR_I64, offsetof(param, sampling_ratio), 0, false },
    { "spatial_scale", LN_ATTR_F32, offsetof(param, scale), 1, false },
    { 0 },
};
static const ln_attr roi_max_attr[] = {
    { "pooled_shape", LN_ATTR_INTS, offsetof(param, pooled_shape), 0, true },
    { "spatial_scale", LN_ATTR_F32, offsetof(param, scale), 1, false },
    { 0 },
};

const ln_op ln_op_roi_align = {
    .name = "RoiAlign", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 3,
    .infer = infer, .prepare = prepare, .run = run,
};
const ln_op ln_op_max_roi_pool = {
    .name = "MaxRoiPool", .attr = roi_max_attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 2,
    .infer = roi_max_infer, .prepare = prepare, .run = roi_max_run,
};
