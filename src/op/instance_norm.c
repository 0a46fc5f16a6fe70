/*
 * instance_norm.c - InstanceNormalization and GroupNormalization.
 *
 * Each image is cut into groups of channels (one channel each for the former); a group is brought
 * to mean 0 and variance 1, then each channel scaled and shifted. Channels first, a group is one
 * contiguous row. Channels last, one phase finds the numbers a and b of y = x * a + b of every
 * channel, and a second one applies them.
 */
#include "window.h"

#include <math.h>

typedef struct param {
    int64_t num_groups, stash_type, channels_last;
    float   epsilon;
} param;

typedef struct state {
    size_t n, c, pixels, groups;
    size_t step;  /* groups of a task of the first phase */
    size_t rows;  /* pixels of a task of the second */
    int32_t phases;
} state;

enum { NORM_BLOCK = 32 }; /* rows that are summed before the sum goes into the total */

static linnet_status norm_infer(const ln_infer *q, const char *name, int64_t groups)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0];

    if (x->dtype != LINNET_F32 && x->dtype != LINNET_F64 && x->dtype != LINNET_F16 && x->dtype != LINNET_BF16)
        return ln_fail_type(q->err, 0, x->dtype);
    if (x->rank < 2)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: an input of rank %d has no channels", name, (int)x->rank);
    const int64_t c = x->dim[ln_channel_axis(x, p->channels_last != 0)];
    for (int32_t i = 1; i < 3; i++) {
        if (q->in[i].dtype != x->dtype)
            return ln_fail_type(q->err, i, q->in[i].dtype);
        if (q->in[i].rank != 1 || q->in[i].dim[0] != c)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: input %d does not have the %lld elements that there "
                           "are channels", name, (int)i, (long long)c);
    }
    if (groups > 0 && c % groups != 0)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: %lld channels in %lld groups", name, (long long)c,
                       (long long)groups);
    q->out[0] = *x;
    return LINNET_OK;
}

static linnet_status norm_instance_infer(const ln_infer *q)
{
    return norm_infer(q, "InstanceNormalization", -1);
}

static linnet_status norm_group_infer(const ln_infer *q)
{
    const param *p = q->param;

    if (p->num_groups < 1)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "GroupNormalization: num_groups is %lld",
                       (long long)p->num_groups);
    return norm_infer(q, "GroupNormalization", p->num_groups);
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    const bool last = p->channels_last != 0;
    const ln_desc *x = &q->in[0];
    const int32_t axis = ln_channel_axis(x, last);
    state *s = q->state;

    if (ln_count(x) == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    s->n = (size_t)x->dim[0];
    s->c = (size_t)x->dim[axis];
    s->pixels = ln_count_range(x, 1, axis) * ln_count_range(x, axis + 1, x->rank);
    s->groups = p->num_groups > 0 ? (size_t)p->num_groups : s->c;
    s->phases = 1;
    const size_t each = s->c / s->groups * s->pixels;
    q->work = 4.0 * (double)ln_count(x);
    if (!last || x->dtype != LINNET_F32) {
        s->step = LN_MAX((size_t)LN_CHUNK / each, (size_t)1);
        q->tasks[0] = ln_ceil_div(s->n * s->groups, s->step);
        return LINNET_OK;
    }
    s->phases = q->phases = 2;
    s->step = LN_MIN(LN_MAX(ln_ceil_div(64, s->c / s->groups), (size_t)LN_CHUNK / each), s->groups);
    s->rows = LN_MAX((size_t)LN_CHUNK / s->c, (size_t)1);
    q->tasks[0] = s->n * ln_ceil_div(s->groups, s->step);
    q->tasks[1] = s->n * ln_ceil_div(s->pixels, s->rows);
    size_t floats;
    if (!ln_mul(s->n, s->c, &floats) || !ln_mul(floats, 2 * sizeof(float), &q->workspace)
        || !ln_mul(s->step * (s->c / s->groups), 4 * sizeof(float), &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "normalization: too many channels");
    return LINNET_OK;
}

/* ---- channels first: a group is a row ---------------------------------------------- */

static void norm_row_f32(const ln_run *r, const state *s, size_t at)
{
    const param *p = r->param;
    const size_t each = s->c / s->groups, first = at % s->groups * each, n = each * s->pixels;
    const float *scale = r->in[1], *bias = r->in[2];
    float *y = (float *)r->out[0] + at * n;

    r->kernel->layer_norm_f32(1, n, (const float *)r->in[0] + at * n, NULL, NULL, p->epsilon, y, NULL, NULL);
    for (size_t c = 0; c < each; c++, y += s->pixels)
        r->kernel->unary_f32[LN_FN_AFFINE](s->pixels, y, y, scale[first + c], bias[first + c]);
}

/* Any type and layout, in double. */
static void norm_row_plain(const ln_run *r, const state *s, size_t at, bool last)
{
    const param *p = r->param;
    const int32_t type = r->in_desc[0].dtype;
    const size_t each = s->c / s->groups, first = at % s->groups * each, n = each * s->pixels;
    const size_t base = at / s->groups * s->c * s->pixels;
    double mean = 0.0, square = 0.0;

    for (size_t i = 0; i < n; i++) {
        const size_t c = first + i / s->pixels, x = i % s->pixels;
        mean += ln_get_f64(type, r->in[0], base + (last ? x * s->c + c : c * s->pixels + x));
    }
    mean /= (double)n;
    for (size_t i = 0; i < n; i++) {
        const size_t c = first + i / s->pixels, x = i % s->pixels;
        const double d = ln_get_f64(type, r->in[0], base + (last ? x * s->c + c : c * s->pixels + x)) - mean;
        square += d * d;
    }
    const double inverse = 1.0 / sqrt(square / (double)n + p->epsilon);
    for (size_t i = 0; i < n; i++) {
        const size_t c = first + i / s->pixels, x = i % s->pixels;
        const size_t to = base + (last ? x * s->c + c : c * s->pixels + x);
        const double v = (ln_get_f64(type, r->in[0], to) - mean) * inverse;
        ln_set_f64(type, r->out[0], to, v * ln_get_f64(type, r->in[1], c) + ln_get_f64(type, r->in[2], c));
    }
}

/* ---- channels last --------------------------------------------------------------------- */

/* sum[c] += a fold of the pixels of `count` channels, each minus mean[c] where that is given. */
static void norm_fold(const ln_run *r, const state *s, const float *x, const float *minus, const float *one,
                      size_t count, float *block, float *row, float *sum)
{
    const ln_act none = { LN_FN_NONE, 0.0f, 0.0f };

    memset(sum, 0, count * sizeof *sum);
    for (size_t i = 0; i < s->pixels; i += NORM_BLOCK) {
        const size_t end = LN_MIN(i + NORM_BLOCK, s->pixels);

        memset(block, 0, count * sizeof *block);
        for (size_t j = i; j < end; j++) {
            if (!minus) {
                r->kernel->reduce_rows_f32[LN_RED_SUM](count, x + j * s->c, block);
                continue;
            }
            r->kernel->scale_shift_f32(1, count, x + j * s->c, one, minus, none, row);
            r->kernel->reduce_rows_f32[LN_RED_SUMSQ](count, row, block);
        }
        r->kernel->reduce_rows_f32[LN_RED_SUM](count, block, sum);
    }
}

/* Each group's mean of `sum` over its channels, into all of them. */
static void norm_spread(const state *s, size_t each, size_t count, float *sum)
{
    for (size_t c = 0; c < count; c += each) {
        double all = 0.0;
        for (size_t i = 0; i < each; i++)
            all += sum[c + i];
        all /= (double)each * (double)s->pixels;
        for (size_t i = 0; i < each; i++)
            sum[c + i] = (float)all;
    }
}

static void norm_moments(const ln_run *r, const state *s)
{
    const param *p = r->param;
    const size_t per = ln_ceil_div(s->groups, s->step), image = r->task / per, each = s->c / s->groups;
    const size_t from = r->task % per * s->step, end = LN_MIN(from + s->step, s->groups);
    const size_t first = from * each, count = (end - from) * each, most = s->step * each;
    const float *x = (const float *)r->in[0] + image * s->pixels * s->c + first;
    const float *scale = (const float *)r->in[1] + first, *bias = (const float *)r->in[2] + first;
    float *mean = r->scratch, *block = mean + most, *row = block + most, *one = row + most;
    float *a = (float *)r->workspace + image * 2 * s->c + first, *b = a + s->c;

    norm_fold(r, s, x, NULL, NULL, count, block, row, mean);
    norm_spread(s, each, count, mean);
    for (size_t c = 0; c < count; c++) {
        one[c] = 1.0f;
        mean[c] = -mean[c];
    }
    norm_fold(r, s, x, mean, one, count, block, row, a);
    norm_spread(s, each, count, a);
    for (size_t c = 0; c < count; c++) {
        a[c] = scale[c] / sqrtf(a[c] + p->epsilon);
        b[c] = bias[c] + mean[c] * a[c];
    }
}

static void norm_apply(const ln_run *r, const state *s)
{
    const size_t per = ln_ceil_div(s->pixels, s->rows), image = r->task / per;
    const size_t from = r->task % per * s->rows, count = LN_MIN(s->rows, s->pixels - from);
    const size_t at = (image * s->pixels + from) * s->c;
    const float *a = (const float *)r->workspace + image * 2 * s->c;
    const ln_act none = { LN_FN_NONE, 0.0f, 0.0f };

    r->kernel->scale_shift_f32(count, s->c, (const float *)r->in[0] + at, a, a + s->c, none,
                               (float *)r->out[0] + at);
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const bool f32 = r->in_desc[0].dtype == LINNET_F32;

    if (s->phases == 2) {
        if (r->phase == 0)
            norm_moments(r, s);
        else
            norm_apply(r, s);
        return LINNET_OK;
    }
    const size_t end = LN_MIN((r->task + 1) * s->step, s->n * s->groups);
    for (size_t i = r->task * s->step; i < end; i++) {
        if (f32 && !p->channels_last)
            norm_row_f32(r, s, i);
        else
            norm_row_plain(r, s, i, p->channels_last != 0);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "epsilon", LN_ATTR_F32, offsetof(param, epsilon), 1e-5, false },
    { "ln.channels_last", LN_ATTR_I64, offsetof(param, channels_last), 0, false },
    { 0 },
};
static const ln_attr norm_group_attr[] = {
    { "epsilon", LN_ATTR_F32, offsetof(param, epsilon), 1e-5, false },
    { "num_groups", LN_ATTR_I64, offsetof(param, num_groups), 0, true },
    { "stash_type", LN_ATTR_I64, offsetof(param, stash_type), 1, false },
    { "ln.channels_last", LN_ATTR_I64, offsetof(param, channels_last), 0, false },
    { 0 },
};

const ln_op ln_op_instance_normalization = {
    .name = "InstanceNormalization", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 3, .flags = LN_OP_SPATIAL,
    .infer = norm_instance_infer, .prepare = prepare, .run = run,
};
const ln_op ln_op_group_normalization = {
    .name = "GroupNormalization", .attr = norm_group_attr, .param_size = sizeof(param),
    .state_size = sizeof(state), .in_min = 3, .in_max = 3, .flags = LN_OP_SPATIAL,
    .infer = norm_group_infer, .prepare = prepare, .run = run,
};
