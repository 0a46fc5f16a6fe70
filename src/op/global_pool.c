/*
 * global_pool.c - GlobalAveragePool, GlobalMaxPool and GlobalLpPool: one number per channel.
 *
 * f32 is folded by kernels: rows of channels where they are last, planes where they come
 * first. Other types are folded in double.
 */
#include "window.h"

#include <math.h>

enum { GLOBAL_AVERAGE, GLOBAL_MAX, GLOBAL_LP };

typedef struct param { int64_t channels_last, p; } param;
typedef struct state {
    size_t n, c, pixels;
    size_t step; /* channels of a task; channels first: of all images together */
    int32_t fold; /* LN_RED_*, or -1: plain */
    bool window;  /* by the kernels of pooling */
} state;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const int32_t type = q->in[0].dtype;

    if (type != LINNET_F32 && type != LINNET_F64 && type != LINNET_F16 && type != LINNET_BF16)
        return ln_fail_type(q->err, 0, type);
    if (q->in[0].rank < 2)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "global pooling: needs an input of rank 2 or more, not %d",
                       (int)q->in[0].rank);
    q->out[0] = q->in[0];
    for (int32_t i = 1; i < q->in[0].rank; i++)
        if (i != ln_channel_axis(&q->in[0], p->channels_last != 0))
            q->out[0].dim[i] = 1;
    return LINNET_OK;
}

static linnet_status global_lp_infer(const ln_infer *q)
{
    const param *p = q->param;

    if (p->p < 1)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "GlobalLpPool: p is %lld", (long long)p->p);
    return infer(q);
}

static linnet_status global_prepare(ln_prepare *q, int32_t op)
{
    const param *p = q->param;
    const bool last = p->channels_last != 0;
    const ln_desc *d = &q->in[0];
    const int32_t axis = ln_channel_axis(d, last);
    state *s = q->state;

    s->n = (size_t)d->dim[0];
    s->c = (size_t)d->dim[axis];
    s->pixels = ln_count_range(d, 1, axis) * ln_count_range(d, axis + 1, d->rank);
    s->fold = op == GLOBAL_AVERAGE ? LN_RED_SUM : op == GLOBAL_MAX ? LN_RED_MAX
              : p->p == 1 ? LN_RED_SUMABS : p->p == 2 ? LN_RED_SUMSQ : -1;
    if (d->dtype != LINNET_F32 || s->pixels == 0)
        s->fold = -1;
    s->window = last && (s->fold == LN_RED_MAX || s->fold == LN_RED_SUM);
    q->work = (double)s->n * (double)s->c * (double)LN_MAX(s->pixels, (size_t)1);
    s->step = LN_MAX((size_t)LN_CHUNK / LN_MAX(s->pixels, (size_t)1), (size_t)1);
    if (last)
        s->step = LN_MAX(s->step, (size_t)64);
    q->tasks[0] = last ? s->n * ln_ceil_div(s->c, s->step) : ln_ceil_div(s->n * s->c, s->step);
    return LINNET_OK;
}

static linnet_status global_average_prepare(ln_prepare *q) { return global_prepare(q, GLOBAL_AVERAGE); }
static linnet_status global_max_prepare(ln_prepare *q) { return global_prepare(q, GLOBAL_MAX); }
static linnet_status global_lp_prepare(ln_prepare *q) { return global_prepare(q, GLOBAL_LP); }

/* Channels [c, c + count) of one image, channels last: the maximum or mean as one window, others row by row. */
static void global_rows(const ln_run *r, const state *s, size_t image, size_t c, size_t count, float *y)
{
    const float *x = (const float *)r->in[0] + image * s->pixels * s->c + c;
    const ln_window g = { count, 1, s->pixels, 1, 1, 0, s->pixels, 1, s->c, s->c };
    const float scale = 1.0f / (float)s->pixels;

    if (s->window && s->fold == LN_RED_MAX) {
        r->kernel->pool_max_f32(&g, &x, y);
    } else if (s->window) {
        r->kernel->pool_sum_f32(&g, &x, &scale, y);
    } else {
        memset(y, 0, count * sizeof *y);
        for (size_t i = 0; i < s->pixels; i++)
            r->kernel->reduce_rows_f32[s->fold](count, x + i * s->c, y);
    }
}

/* One channel in double: `step` elements from one pixel to the next. */
static double global_plain(const ln_run *r, const state *s, int32_t op, size_t at, size_t step)
{
    const param *p = r->param;
    double sum = op == GLOBAL_MAX ? -(double)INFINITY : 0.0;

    for (size_t i = 0; i < s->pixels; i++) {
        const double x = ln_get_f64(r->in_desc[0].dtype, r->in[0], at + i * step);
        if (op == GLOBAL_MAX)
            sum = x > sum || x != x ? x : sum;
        else if (op == GLOBAL_AVERAGE)
            sum += x;
        else
            sum += p->p == 1 ? fabs(x) : p->p == 2 ? x * x : pow(fabs(x), (double)p->p);
        if (sum != sum)
            break;
    }
    if (op == GLOBAL_AVERAGE)
        return sum / (double)s->pixels;
    if (op == GLOBAL_MAX || p->p == 1)
        return sum;
    return p->p == 2 ? sqrt(sum) : pow(sum, 1.0 / (double)p->p);
}

static linnet_status global_run(const ln_run *r, int32_t op)
{
    const param *p = r->param;
    const state *s = r->state;
    const bool last = p->channels_last != 0;
    const size_t all = last ? s->c : s->n * s->c, per = ln_ceil_div(all, s->step);
    const size_t image = last ? r->task / per : 0, from = r->task % per * s->step;
    const size_t count = LN_MIN(s->step, all - from), at = image * s->c + from;
    float *y = (float *)r->out[0] + at;

    if (s->fold < 0) {
        for (size_t i = 0; i < count; i++)
            ln_set_f64(r->out_desc[0].dtype, r->out[0], at + i,
                       last ? global_plain(r, s, op, image * s->pixels * s->c + from + i, s->c)
                            : global_plain(r, s, op, (from + i) * s->pixels, 1));
        return LINNET_OK;
    }
    if (last)
        global_rows(r, s, image, from, count, y);
    for (size_t i = 0; !last && i < count; i++)
        y[i] = r->kernel->reduce_all_f32[s->fold](s->pixels,
                                                  (const float *)r->in[0] + (from + i) * s->pixels);
    for (size_t i = 0; op == GLOBAL_AVERAGE && !s->window && i < count; i++)
        y[i] /= (float)s->pixels;
    if (s->fold == LN_RED_SUMSQ)
        r->kernel->unary_f32[LN_FN_SQRT](count, y, y, 0.0f, 0.0f);
    return LINNET_OK;
}

static linnet_status global_average_run(const ln_run *r) { return global_run(r, GLOBAL_AVERAGE); }
static linnet_status global_max_run(const ln_run *r) { return global_run(r, GLOBAL_MAX); }
static linnet_status global_lp_run(const ln_run *r) { return global_run(r, GLOBAL_LP); }

static const ln_attr attr[] = {
    { "ln.channels_last", LN_ATTR_I64, offsetof(param, channels_last), 0, false },
    { 0 },
};
static const ln_attr global_lp_attr[] = {
    { "ln.channels_last", LN_ATTR_I64, offsetof(param, channels_last), 0, false },
    { "p", LN_ATTR_I64, offsetof(param, p), 2, false },
    { 0 },
};

const ln_op ln_op_global_average_pool = {
    .name = "GlobalAveragePool", .attr = attr, .param_size = sizeof(param),
    .state_size = sizeof(state), .in_min = 1, .in_max = 1, .flags = LN_OP_SPATIAL,
    .infer = infer, .prepare = global_average_prepare, .run = global_average_run,
};
const ln_op ln_op_global_max_pool = {
    .name = "GlobalMaxPool", .attr = attr, .param_size = sizeof(param),
    .state_size = sizeof(state), .in_min = 1, .in_max = 1, .flags = LN_OP_SPATIAL,
    .infer = infer, .prepare = global_max_prepare, .run = global_max_run,
};
const ln_op ln_op_global_lp_pool = {
    .name = "GlobalLpPool", .attr = global_lp_attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .flags = LN_OP_SPATIAL,
    .infer = global_lp_infer, .prepare = global_lp_prepare, .run = global_lp_run,
};
