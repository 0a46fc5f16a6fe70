/*
 * qlinear_pool.c - com.microsoft.QLinearAveragePool and QLinearGlobalAveragePool.
 *
 * Sums of bytes are integers; one multiplication and one rounding make the output.
 */
#include "window.h"

#include <math.h>

typedef struct param {
    ln_win_param win;
    int64_t      count_include_pad, last; /* last: the operator's own channels_last */
} param;

typedef struct state {
    ln_win w;
    size_t step; /* output elements of a task */
    bool   x_zero, y_zero;
} state;

/* Inputs. */
enum { QPOOL_X, QPOOL_X_SCALE, QPOOL_X_ZERO, QPOOL_Y_SCALE, QPOOL_Y_ZERO };

static linnet_status qpool_check(const char *op, int32_t in_count, const ln_desc *in, linnet_error *err)
{
    const int32_t type = in[QPOOL_X].dtype;

    if (type != LINNET_U8 && type != LINNET_I8)
        return ln_fail_type(err, QPOOL_X, type);
    for (int32_t i = 1; i < in_count; i++) {
        const bool scale = i == QPOOL_X_SCALE || i == QPOOL_Y_SCALE;
        if (!in[i].dtype && !scale)
            continue;
        if (in[i].dtype != (scale ? LINNET_F32 : type))
            return ln_fail_type(err, i, in[i].dtype);
        if (ln_count(&in[i]) != 1)
            return ln_fail(err, LINNET_ERR_SHAPE, "%s: input %d is not one number", op, (int)i);
    }
    return LINNET_OK;
}

/* The window of a global pool is the whole image. */
static linnet_status qpool_geometry(const param *p, bool global, const ln_desc *x, ln_win *w, linnet_error *err)
{
    ln_win_param win = p->win;

    win.channels_last = p->last != 0;
    if (!global)
        return ln_win_init(w, "QLinearAveragePool", &win, x, NULL, err);
    const linnet_status st = ln_win_input(w, "QLinearGlobalAveragePool", x, win.channels_last != 0, err);
    memcpy(w->kernel, w->in, sizeof w->kernel);
    return st;
}

static linnet_status qpool_infer(const ln_infer *q, bool global)
{
    const param *p = q->param;
    ln_win w;
    linnet_status st = qpool_check(global ? "QLinearGlobalAveragePool" : "QLinearAveragePool", q->in_count, q->in,
                                   q->err);

    if (st == LINNET_OK)
        st = qpool_geometry(p, global, &q->in[0], &w, q->err);
    if (st == LINNET_OK)
        q->out[0] = ln_win_desc(&w, q->in[0].dtype, w.c, p->last != 0);
    return st;
}

static linnet_status infer(const ln_infer *q) { return qpool_infer(q, false); }
static linnet_status qpool_global_infer(const ln_infer *q) { return qpool_infer(q, true); }

static linnet_status qpool_prepare(ln_prepare *q, bool global)
{
    state *s = q->state;
    const linnet_status st = qpool_geometry(q->param, global, &q->in[0], &s->w, q->err);

    if (st != LINNET_OK)
        return st;
    s->x_zero = q->in[QPOOL_X_ZERO].dtype != 0;
    s->y_zero = q->in_count > QPOOL_Y_ZERO && q->in[QPOOL_Y_ZERO].dtype;
    q->work = (double)ln_count(&q->out[0]) * (double)ln_win_taps(&s->w);
    s->step = (size_t)(1.0e5 / ((double)ln_win_taps(&s->w) + 1.0)) + 1;
    q->tasks[0] = ln_ceil_div(ln_count(&q->out[0]), s->step);
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q) { return qpool_prepare(q, false); }
static linnet_status qpool_global_prepare(ln_prepare *q) { return qpool_prepare(q, true); }

/* Taps [*from, *to) of a window lie inside the input along an axis; `*to_pad`: before the end of the padding. */
static void qpool_taps(const ln_win *w, int32_t axis, size_t at, size_t *from, size_t *to, size_t *to_pad)
{
    const size_t start = at * w->stride[axis], d = w->dilation[axis], end = w->pad[axis] + w->in[axis];

    *from = start < w->pad[axis] ? LN_MIN(ln_ceil_div(w->pad[axis] - start, d), w->kernel[axis]) : 0;
    *to = start < end ? LN_MIN(ln_ceil_div(end - start, d), w->kernel[axis]) : 0;
    *to = LN_MAX(*to, *from);
    *to_pad = start < end + w->end[axis] ? LN_MIN(ln_ceil_div(end + w->end[axis] - start, d), w->kernel[axis]) : 0;
}

/* Sum of the window, and how many pixels count. */
static int64_t qpool_sum(const ln_run *r, const state *s, const ln_pixel *o, size_t c, int64_t *count)
{
    const param *p = r->param;
    const ln_win *w = &s->w;
    const ln_steps step = ln_win_strides(w->c, w->in, p->last != 0);
    const bool narrow = r->in_desc[0].dtype == LINNET_U8;
    size_t from[LN_WIN_AXES], to[LN_WIN_AXES], end[LN_WIN_AXES], inside = 1, padded = 1;
    int64_t sum = 0;

    for (int32_t i = 0; i < LN_WIN_AXES; i++) {
        qpool_taps(w, i, o->at[i], &from[i], &to[i], &end[i]);
        inside *= to[i] - from[i];
        padded *= end[i];
    }
    for (size_t z = from[0]; z < to[0] && inside; z++)
        for (size_t y = from[1]; y < to[1]; y++) {
            const size_t at = o->n * step.n + c * step.c
                              + (o->at[0] * w->stride[0] + z * w->dilation[0] - w->pad[0]) * step.at[0]
                              + (o->at[1] * w->stride[1] + y * w->dilation[1] - w->pad[1]) * step.at[1]
                              + (o->at[2] * w->stride[2] + from[2] * w->dilation[2] - w->pad[2]) * step.at[2];
            const uint8_t *x = (const uint8_t *)r->in[0] + at;
            for (size_t k = from[2]; k < to[2]; k++, x += w->dilation[2] * step.at[2])
                sum += narrow ? (int32_t)*x : (int32_t)(int8_t)*x;
        }
    *count = (int64_t)(p->count_include_pad ? padded : inside);
    if (p->count_include_pad && s->x_zero && padded > inside) /* padding is real 0 */
        sum += (int64_t)(padded - inside) * ln_get_i64(r->in_desc[0].dtype, r->in[QPOOL_X_ZERO], 0);
    return sum;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const int32_t type = r->in_desc[0].dtype;
    const size_t from = r->task * s->step, end = LN_MIN(from + s->step, ln_count(&r->out_desc[0]));
    const size_t pixels = ln_pixels(s->w.out);
    const float scale = *(const float *)r->in[QPOOL_X_SCALE] / *(const float *)r->in[QPOOL_Y_SCALE];
    const int64_t x_zero = s->x_zero ? ln_get_i64(type, r->in[QPOOL_X_ZERO], 0) : 0;
    const int64_t y_zero = s->y_zero ? ln_get_i64(type, r->in[QPOOL_Y_ZERO], 0) : 0;

    for (size_t i = from; i < end; i++) {
        const size_t c = p->last ? i % s->w.c : i / pixels % s->w.c;
        const ln_pixel o = ln_pixel_at(s->w.out, p->last ? i / s->w.c
                                                         : i / (pixels * s->w.c) * pixels + i % pixels);
        int64_t count;
        const int64_t sum = qpool_sum(r, s, &o, c, &count);
        const double mean = count ? (double)(sum - count * x_zero) / (double)count : 0.0;
        const double v = rint(mean * (double)scale) + (double)y_zero;

        if (type == LINNET_U8)
            ((uint8_t *)r->out[0])[i] = (uint8_t)ln_f2i_sat(v, 0, UINT8_MAX);
        else
            ((int8_t *)r->out[0])[i] = (int8_t)ln_f2i_sat(v, INT8_MIN, INT8_MAX);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    LN_WIN_ATTR(param),
    { "ceil_mode", LN_ATTR_I64, offsetof(param, win.ceil_mode), 0, false },
    { "count_include_pad", LN_ATTR_I64, offsetof(param, count_include_pad), 0, false },
    { "channels_last", LN_ATTR_I64, offsetof(param, last), 0, false },
    { 0 },
};
static const ln_attr qpool_global_attr[] = {
    { "channels_last", LN_ATTR_I64, offsetof(param, last), 0, false },
    { 0 },
};

const ln_op ln_op_qlinear_average_pool = {
    .name = "com.microsoft.QLinearAveragePool", .attr = attr, .param_size = sizeof(param),
    .state_size = sizeof(state), .in_min = 4, .in_max = 5,
    .infer = infer, .prepare = prepare, .run = run,
};
const ln_op ln_op_qlinear_global_average_pool = {
    .name = "com.microsoft.QLinearGlobalAveragePool", .attr = qpool_global_attr, .param_size = sizeof(param),
    .state_size = sizeof(state), .in_min = 4, .in_max = 5,
    .infer = qpool_global_infer, .prepare = qpool_global_prepare, .run = run,
};
