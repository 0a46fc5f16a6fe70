/*
 * resize.c - Resize: shapes, coordinates and weights. resize_rows.c applies them.
 *
 * Interpolation is separable, so each axis has a table of its own, made when shapes are known:
 * for every output its source indices (clamped to the edge) and weights. All modes, coordinate
 * transformations, antialiasing and exclusion of what lies outside end up as tables.
 */
#include "resize.h"

#include <math.h>

typedef struct param {
    int64_t     antialias, exclude_outside, channels_last;
    ln_ints     axes;
    const char *coordinates, *policy, *mode, *nearest_mode;
    float       cubic_a, extrapolation;
} param;

/* Per axis of the data as it lies in memory. */
typedef struct resize_shape {
    double  scale[LN_MAX_RANK], start[LN_MAX_RANK], end[LN_MAX_RANK]; /* start, end: of the roi */
    int64_t out[LN_MAX_RANK];
    bool    named[LN_MAX_RANK]; /* among the axes that the inputs speak of */
} resize_shape;

#define RESIZE_MOST ((int64_t)1 << 40)

static bool resize_crops(const param *p) { return ln_is(p->coordinates, "half_pixel", "tf_crop_and_resize"); }

/* ---- shapes --------------------------------------------------------------------- */

/* The axis in memory of number i of scales or sizes; -1: bad. */
static int32_t resize_axis_of(const param *p, int32_t rank, size_t i)
{
    int32_t axis = (int32_t)i;

    if (p->axes.count && !ln_axis(p->axes.v[i], rank, &axis))
        return -1;
    if (!p->channels_last || axis == 0)
        return axis;
    return axis == 1 ? rank - 1 : axis - 1;
}

static linnet_status resize_by_sizes(const param *p, const ln_desc *x, const void *sizes, const int32_t *axis,
                                     size_t count, resize_shape *s, linnet_error *err)
{
    const bool larger = ln_is(p->policy, "stretch", "not_smaller"), smaller = ln_is(p->policy, "stretch", "not_larger");
    double all = 0.0;

    for (size_t i = 0; i < count; i++) {
        const int64_t size = ln_get_i64(LINNET_I64, sizes, i), in = x->dim[axis[i]];

        if (size < 0 || size > RESIZE_MOST || (in == 0 && size > 0))
            return ln_fail(err, LINNET_ERR_SHAPE, "Resize: an axis of %lld cannot become %lld", (long long)in,
                           (long long)size);
        s->out[axis[i]] = size;
        s->scale[axis[i]] = in ? (double)size / (double)in : 1.0;
        if (i == 0 || (larger ? s->scale[axis[i]] > all : s->scale[axis[i]] < all))
            all = s->scale[axis[i]];
    }
    for (size_t i = 0; i < count && (larger || smaller); i++) {
        s->scale[axis[i]] = all;
        s->out[axis[i]] = ln_f2i_sat(floor(all * (double)x->dim[axis[i]] + 0.5), 0, INT64_MAX);
        if (s->out[axis[i]] > RESIZE_MOST)
            return ln_fail(err, LINNET_ERR_LIMIT, "Resize: an output axis is too long");
    }
    return LINNET_OK;
}

static linnet_status resize_by_scales(const ln_desc *x, const void *scales, const int32_t *axis, size_t count,
                                      resize_shape *s, linnet_error *err)
{
    for (size_t i = 0; i < count; i++) {
        float scale;

        memcpy(&scale, (const char *)scales + i * sizeof scale, sizeof scale);
        if (!(scale > 0.0f) || !isfinite(scale))
            return ln_fail(err, LINNET_ERR_SHAPE, "Resize: a scale of %g", (double)scale);
        s->scale[axis[i]] = (double)scale;
        s->out[axis[i]] = ln_f2i_sat(floorf((float)x->dim[axis[i]] * scale), 0, INT64_MAX);
        if (s->out[axis[i]] > RESIZE_MOST)
            return ln_fail(err, LINNET_ERR_LIMIT, "Resize: an output axis is too long");
    }
    return LINNET_OK;
}

static bool resize_some(int32_t in_count, const ln_desc *in, int32_t i)
{
    return i < in_count && in[i].dtype && ln_count(&in[i]) > 0;
}

/* Axes, scales, sizes and roi of one node; LN_WAIT where a value is not known yet. */
static linnet_status resize_find(const param *p, int32_t in_count, const ln_desc *in, const void *const *value,
                                 resize_shape *s, linnet_error *err)
{
    const bool sized = resize_some(in_count, in, 3), scaled = resize_some(in_count, in, 2);
    const ln_desc *x = &in[0], *by = sized ? &in[3] : &in[2];
    const size_t count = p->axes.count ? p->axes.count : (size_t)x->rank;
    int32_t axis[LN_MAX_RANK];

    if (sized == scaled)
        return ln_fail(err, LINNET_ERR_SHAPE, "Resize: needs scales or sizes, one of them");
    if (by->dtype != (sized ? LINNET_I64 : LINNET_F32))
        return ln_fail_type(err, sized ? 3 : 2, by->dtype);
    if (count > LN_MAX_RANK || ln_count(by) != count)
        return ln_fail(err, LINNET_ERR_SHAPE, "Resize: %zu scales or sizes for %zu axes", ln_count(by), count);
    for (int32_t i = 0; i < x->rank; i++) {
        s->scale[i] = s->end[i] = 1.0;
        s->start[i] = 0.0;
        s->out[i] = x->dim[i];
        s->named[i] = false;
    }
    for (size_t i = 0; i < count; i++) {
        axis[i] = resize_axis_of(p, x->rank, i);
        if (axis[i] < 0 || s->named[axis[i]])
            return ln_fail(err, LINNET_ERR_SHAPE, "Resize: axes do not fit a tensor of rank %d", (int)x->rank);
        s->named[axis[i]] = true;
    }
    const bool roi = resize_crops(p) && resize_some(in_count, in, 1);
    if (resize_crops(p) && (!roi || ln_count(&in[1]) != 2 * count))
        return ln_fail(err, LINNET_ERR_SHAPE, "Resize: tf_crop_and_resize needs a roi of %zu numbers", 2 * count);
    if (!value[sized ? 3 : 2] || (roi && !value[1]))
        return LN_WAIT;
    for (size_t i = 0; roi && i < count; i++) {
        s->start[axis[i]] = ln_get_f64(in[1].dtype, value[1], i);
        s->end[axis[i]] = ln_get_f64(in[1].dtype, value[1], count + i);
    }
    return sized ? resize_by_sizes(p, x, value[3], axis, count, s, err)
                 : resize_by_scales(x, value[2], axis, count, s, err);
}

static linnet_status resize_words(const param *p, linnet_error *err)
{
    static const char *const coordinates[] = { "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
                                               "align_corners", "asymmetric", "tf_crop_and_resize" };
    static const char *const rounding[] = { "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "simple" };
    static const char *const policy[] = { "stretch", "not_larger", "not_smaller" };
    size_t found = 0;

    for (size_t i = 0; i < LN_COUNT(coordinates); i++)
        found += ln_is(p->coordinates, "half_pixel", coordinates[i]);
    for (size_t i = 0; i < LN_COUNT(rounding); i++)
        found += ln_is(p->nearest_mode, "round_prefer_floor", rounding[i]);
    for (size_t i = 0; i < LN_COUNT(policy); i++)
        found += ln_is(p->policy, "stretch", policy[i]);
    if (found != 3)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "Resize: coordinate mode \"%s\", nearest_mode \"%s\" or "
                       "policy \"%s\" is not known", p->coordinates ? p->coordinates : "half_pixel",
                       p->nearest_mode ? p->nearest_mode : "round_prefer_floor",
                       p->policy ? p->policy : "stretch");
    if (!ln_is(p->mode, "nearest", "nearest") && !ln_is(p->mode, "nearest", "linear")
        && !ln_is(p->mode, "nearest", "cubic"))
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "Resize: mode \"%s\"", p->mode);
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_dtype_info *type = ln_dtype(q->in[0].dtype);
    resize_shape s;

    if (type->bits < 8 || type->kind == LN_KIND_STRING || type->kind == LN_KIND_COMPLEX)
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    linnet_status st = resize_words(p, q->err);
    if (st == LINNET_OK)
        st = resize_find(p, q->in_count, q->in, q->value, &s, q->err);
    if (st != LINNET_OK)
        return st;
    q->out[0] = q->in[0];
    for (int32_t i = 0; i < q->in[0].rank; i++)
        q->out[0].dim[i] = s.out[i];
    return LINNET_OK;
}

/* ---- tables ------------------------------------------------------------------------- */

/* Where output `at` of an axis lies in the input. */
static double resize_source(const param *p, const resize_shape *s, int32_t i, int64_t in, size_t at)
{
    const char *preset = "half_pixel", *c = p->coordinates;
    const double x = (double)at, scale = s->scale[i], width = scale * (double)in, last = (double)in - 1.0;
    const bool one = fabs(width - 1.0) < 1e-9;

    if (ln_is(c, preset, "align_corners"))
        return one ? 0.0 : x * last / (width - 1.0);
    if (ln_is(c, preset, "asymmetric"))
        return x / scale;
    if (ln_is(c, preset, "tf_crop_and_resize")) {
        const double span = (s->end[i] - s->start[i]) * last;
        return s->start[i] * last + (one ? span / 2.0 : x * span / (width - 1.0));
    }
    if (ln_is(c, preset, "pytorch_half_pixel") && s->out[i] <= 1)
        return 0.0;
    double offset = 0.0;
    if (ln_is(c, preset, "half_pixel_symmetric"))
        offset = (double)in / 2.0 * (1.0 - (double)s->out[i] / width);
    return offset + (x + 0.5) / scale - 0.5;
}

/* "simple" is what opset 10 did: up where the axis shrinks, else down. */
static size_t resize_nearest(const param *p, double scale, double x, int64_t in)
{
    const char *preset = "round_prefer_floor", *mode = p->nearest_mode;
    const double below = floor(x), part = x - below;
    bool up = part > 0.5;

    if (ln_is(mode, preset, "round_prefer_ceil"))
        up = part >= 0.5;
    else if (ln_is(mode, preset, "floor"))
        up = false;
    else if (ln_is(mode, preset, "ceil"))
        up = part > 0.0;
    else if (ln_is(mode, preset, "simple"))
        up = scale < 1.0 && part > 0.0;
    return (size_t)ln_f2i_sat(up ? below + 1.0 : below, 0, in - 1);
}

static double resize_cubic(double a, double x)
{
    x = fabs(x);
    if (x <= 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    return x < 2.0 ? ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a : 0.0;
}

/* Taps of an axis: the filter is stretched where antialiasing shrinks it. */
static size_t resize_taps(const param *p, double scale)
{
    const bool cubic = ln_is(p->mode, "nearest", "cubic");
    const double reach = cubic ? 2.0 : 1.0;

    if (ln_is(p->mode, "nearest", "nearest"))
        return 1;
    if (!p->antialias || scale >= 1.0)
        return cubic ? 4 : 2;
    return (size_t)ln_f2i_sat(2.0 - 2.0 * (floor(-reach / scale) + 1.0), 2, INT32_MAX);
}

/* The `taps` weights of output at x, and their indices before clamping: *from and on. */
static void resize_weights(const param *p, double scale, double x, int64_t in, size_t taps, double *w,
                           int64_t *from)
{
    const bool cubic = ln_is(p->mode, "nearest", "cubic"), stretch = p->antialias && scale < 1.0;
    const double below = floor(x), part = x == below ? 1.0 : x - below;
    const int64_t half = (int64_t)taps / 2;
    double sum = 0.0;

    /* At an integer x the window prefers the left: part is 1 and x its second half's first. */
    *from = ln_f2i_sat(below, -RESIZE_MOST, RESIZE_MOST) - half + (x == below ? 0 : 1);
    for (size_t t = 0; t < taps; t++) {
        const double d = ((double)t + 1.0 - (double)half - part) * (stretch ? scale : 1.0);
        const int64_t at = *from + (int64_t)t;

        w[t] = cubic ? resize_cubic((double)p->cubic_a, d) : LN_MAX(1.0 - fabs(d), 0.0);
        if (p->exclude_outside && (at < 0 || at >= in))
            w[t] = 0.0;
        sum += w[t];
    }
    for (size_t t = 0; t < taps && (stretch || p->exclude_outside) && sum != 0.0; t++)
        w[t] /= sum;
}

static linnet_status resize_table(ln_prepare *q, const param *p, const resize_shape *s, int32_t i,
                                  ln_resize_axis *a)
{
    const size_t taps = resize_taps(p, s->scale[i]);
    const int64_t in = (int64_t)a->in;
    size_t count;

    if (!ln_mul(taps, a->out, &count))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Resize: the filter is too long");
    size_t *index = ln_plan_alloc(q, count, sizeof *index);
    float *weight = ln_plan_alloc(q, count, sizeof *weight);
    double *exact = ln_plan_alloc(q, count, sizeof *exact);
    bool *outside = ln_plan_alloc(q, a->out, sizeof *outside);
    if (!index || !weight || !exact || !outside)
        return ln_fail(q->err, LINNET_ERR_MEMORY, "Resize: out of memory");
    a->taps = taps;
    a->index = index;
    a->weight = weight;
    a->exact = exact;
    a->outside = resize_crops(p) ? outside : NULL;
    for (size_t o = 0; o < a->out; o++, index += taps, weight += taps, exact += taps) {
        const double x = resize_source(p, s, i, in, o);
        int64_t from = 0;

        outside[o] = !(x >= 0.0 && x <= (double)(in - 1));
        if (taps == 1) {
            *index = resize_nearest(p, s->scale[i], x, in);
            *weight = 1.0f;
            *exact = 1.0;
            continue;
        }
        resize_weights(p, s->scale[i], x, in, taps, exact, &from);
        for (size_t t = 0; t < taps; t++) {
            const int64_t at = from + (int64_t)t;
            index[t] = (size_t)(at < 0 ? 0 : LN_MIN(at, in - 1));
            weight[t] = (float)exact[t];
        }
    }
    return LINNET_OK;
}

static bool resize_same(const resize_shape *s, int32_t i, int64_t in)
{
    return s->out[i] == in && fabs(s->scale[i] - 1.0) < 1e-9 && s->start[i] == 0.0 && s->end[i] == 1.0;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0], *y = &q->out[0];
    ln_resize *s = q->state;
    resize_shape shape;
    linnet_status st = resize_find(p, q->in_count, q->in, q->value, &shape, q->err);

    if (st != LINNET_OK)
        return st == LN_WAIT ? ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Resize: sizes are not known") : st;
    if (ln_count(y) == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    s->rank = x->rank;
    s->first = x->rank;
    s->last = -1;
    s->bytes = ln_dtype(x->dtype)->bits / 8u;
    s->nearest = ln_is(p->mode, "nearest", "nearest");
    s->extrapolation = p->extrapolation;
    for (int32_t i = 0; i < x->rank; i++) {
        s->axis[i].in = (size_t)x->dim[i];
        s->axis[i].out = (size_t)y->dim[i];
        s->axis[i].taps = 1;
        s->axis[i].same = resize_same(&shape, i, x->dim[i]);
        if (s->axis[i].same)
            continue;
        s->first = LN_MIN(s->first, i);
        s->last = i;
        if ((st = resize_table(q, p, &shape, i, &s->axis[i])) != LINNET_OK)
            return st;
    }
    if (s->last < 0) /* nothing changes: one row of everything */
        s->first = s->last = x->rank - 1;
    s->outer = ln_count_range(y, 0, s->first);
    s->inner = ln_count_range(y, s->last + 1, x->rank);
    s->rows = ln_count_range(y, 0, s->last);
    s->combos = 1;
    for (int32_t i = s->first; i < s->last; i++)
        if (!ln_mul(s->combos, s->axis[i].taps, &s->combos))
            return ln_fail(q->err, LINNET_ERR_LIMIT, "Resize: the filter is too long");
    if (!ln_resize_scratch(s, x->dtype, &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Resize: the filter is too long");
    s->step = LN_MAX((size_t)LN_CHUNK / (s->axis[s->last].out * s->inner), (size_t)1);
    q->tasks[0] = ln_ceil_div(s->rows, s->step);
    q->work = (double)ln_count(y) * (double)(s->axis[s->last].taps + s->combos);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const ln_resize *s = r->state;
    const size_t from = r->task * s->step;

    ln_resize_rows(r, s, from, LN_MIN(from + s->step, s->rows));
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "antialias", LN_ATTR_I64, offsetof(param, antialias), 0, false },
    { "axes", LN_ATTR_INTS, offsetof(param, axes), 0, false },
    { "coordinate_transformation_mode", LN_ATTR_STR, offsetof(param, coordinates), 0, false },
    { "cubic_coeff_a", LN_ATTR_F32, offsetof(param, cubic_a), -0.75, false },
    { "exclude_outside", LN_ATTR_I64, offsetof(param, exclude_outside), 0, false },
    { "extrapolation_value", LN_ATTR_F32, offsetof(param, extrapolation), 0, false },
    { "keep_aspect_ratio_policy", LN_ATTR_STR, offsetof(param, policy), 0, false },
    { "mode", LN_ATTR_STR, offsetof(param, mode), 0, false },
    { "nearest_mode", LN_ATTR_STR, offsetof(param, nearest_mode), 0, false },
    { "ln.channels_last", LN_ATTR_I64, offsetof(param, channels_last), 0, false },
    { 0 },
};

const ln_op ln_op_resize = {
    .name = "Resize", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(ln_resize),
    .in_min = 1, .in_max = 4, .flags = LN_OP_SPATIAL,
    .infer = infer, .prepare = prepare, .run = run,
};

#undef RESIZE_MOST
