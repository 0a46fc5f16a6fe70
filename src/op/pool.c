/*
 * pool.c - MaxPool, AveragePool and LpPool.
 *
 * f32, f16 and bf16 go through the row kernels, channels last. Everything else (indices, f64,
 * powers, bytes that arrive channels first) is computed element by element in double, which
 * holds every number of these types exactly.
 */
#include "window.h"

#include <math.h>

enum { POOL_MAX, POOL_AVERAGE, POOL_LP };
enum { POOL_READ = 1, POOL_ROWS, POOL_WRITE, POOL_BYTES, POOL_PLAIN };
#define POOL_STEP ((size_t)1024) /* output elements of a plain task */

typedef struct param {
    ln_win_param win;
    int64_t      storage_order, count_include_pad, p;
} param;

typedef struct state {
    ln_win  win;
    ln_last x, y;
    int32_t op, kind[LN_MAX_PHASES];
    size_t  rows;    /* of output in a task */
    bool    indices; /* output 1 exists */
} state;

static bool pool_type(int32_t op, int32_t dtype)
{
    return dtype == LINNET_F32 || dtype == LINNET_F64 || dtype == LINNET_F16 || dtype == LINNET_BF16
           || (op == POOL_MAX && (dtype == LINNET_I8 || dtype == LINNET_U8));
}

static linnet_status pool_infer(const ln_infer *q, int32_t op, const char *name)
{
    const param *p = q->param;
    const bool last = p->win.channels_last != 0;
    ln_win w;

    if (!pool_type(op, q->in[0].dtype))
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    const linnet_status st = ln_win_init(&w, name, &p->win, &q->in[0], NULL, q->err);
    if (st != LINNET_OK)
        return st;
    if (op == POOL_LP && p->p < 1)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: p is %lld", name, (long long)p->p);
    q->out[0] = ln_win_desc(&w, q->in[0].dtype, w.c, last);
    if (q->out_count > 1) /* indices count in N, C, spatial order and lie in it */
        q->out[1] = ln_win_desc(&w, LINNET_I64, w.c, false);
    return LINNET_OK;
}

static linnet_status pool_max_infer(const ln_infer *q) { return pool_infer(q, POOL_MAX, "MaxPool"); }
static linnet_status pool_average_infer(const ln_infer *q)
{
    return pool_infer(q, POOL_AVERAGE, "AveragePool");
}
static linnet_status pool_lp_infer(const ln_infer *q) { return pool_infer(q, POOL_LP, "LpPool"); }

/* ---- prepare ------------------------------------------------------------------ */

static void pool_phase(ln_prepare *q, state *s, int32_t kind, size_t tasks)
{
    if (tasks == 0)
        return;
    s->kind[q->phases] = kind;
    q->tasks[q->phases++] = tasks;
}

static linnet_status pool_prepare(ln_prepare *q, int32_t op)
{
    const param *p = q->param;
    const bool last = p->win.channels_last != 0;
    const int32_t dtype = q->in[0].dtype;
    state *s = q->state;
    linnet_status st = ln_win_init(&s->win, "pooling", &p->win, &q->in[0], NULL, q->err);
    const ln_win *w = &s->win;

    if (st != LINNET_OK)
        return st;
    s->op = op;
    s->indices = q->out_count > 1;
    q->phases = 0;
    const size_t count = ln_count(&q->out[0]), all = w->n * w->out[0] * w->out[1];
    if (count == 0)
        return LINNET_OK;
    q->work = (double)count * (double)ln_win_taps(w);
    s->rows = LN_MIN((size_t)(100000.0 / (q->work / (double)all)) + 1, all);
    if (op == POOL_LP || q->out_count > 1 || dtype == LINNET_F64) {
        pool_phase(q, s, POOL_PLAIN, ln_ceil_div(count, POOL_STEP));
        return LINNET_OK;
    }
    if (last && (dtype == LINNET_I8 || dtype == LINNET_U8)) { /* channels first they go through f32, which holds them */
        pool_phase(q, s, POOL_BYTES, ln_ceil_div(all, s->rows));
        return LINNET_OK;
    }
    size_t floats = 0, kernels = w->kernel[0] * w->kernel[1], scales;
    ln_last_init(&s->x, &q->in[0], last);
    ln_last_init(&s->y, &q->out[0], last);
    if (!ln_last_reserve(&s->x, &floats) || !ln_last_reserve(&s->y, &floats)
        || !ln_mul(kernels, sizeof(float *), &kernels) || !ln_mul(w->out[2], sizeof(float), &scales)
        || !ln_add(kernels, scales, &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "pooling: the workspace is too large");
    q->workspace = floats * sizeof(float);
    pool_phase(q, s, POOL_READ, s->x.tasks);
    pool_phase(q, s, POOL_ROWS, ln_ceil_div(all, s->rows));
    pool_phase(q, s, POOL_WRITE, s->y.tasks);
    return LINNET_OK;
}

static linnet_status pool_max_prepare(ln_prepare *q) { return pool_prepare(q, POOL_MAX); }
static linnet_status pool_average_prepare(ln_prepare *q) { return pool_prepare(q, POOL_AVERAGE); }
static linnet_status pool_lp_prepare(ln_prepare *q) { return pool_prepare(q, POOL_LP); }

/* ---- run ------------------------------------------------------------------------ */

/* Taps [*from, returned) of window `at` lie on the input along an axis, or on the padded input. */
static size_t pool_taps(const ln_win *w, int32_t i, size_t at, bool padding, size_t *from)
{
    const size_t start = at * w->stride[i], d = w->dilation[i];
    const size_t low = padding ? 0 : w->pad[i], high = w->pad[i] + w->in[i] + (padding ? w->end[i] : 0);
    const size_t to = start < high ? LN_MIN(ln_ceil_div(high - start, d), w->kernel[i]) : 0;

    *from = start < low ? ln_ceil_div(low - start, d) : 0;
    return LN_MAX(to, *from);
}

/* How many those are. */
static size_t pool_counted(const ln_win *w, int32_t i, size_t at, bool padding)
{
    size_t from;
    const size_t to = pool_taps(w, i, at, padding, &from);

    return to - from;
}

/* The part of the input under a window: its first pixel, its taps per axis, and how many they are in all. */
typedef struct pool_part { size_t first[LN_WIN_AXES], taps[LN_WIN_AXES], count; } pool_part;

static pool_part pool_under(const ln_win *w, const ln_pixel *o)
{
    pool_part u;

    for (int32_t i = 0; i < LN_WIN_AXES; i++) {
        size_t from;
        u.taps[i] = pool_taps(w, i, o->at[i], false, &from) - from;
        u.first[i] = o->at[i] * w->stride[i] + from * w->dilation[i] - w->pad[i];
    }
    u.count = ln_pixels(u.taps);
    return u;
}

/* Input pixel of tap t of that part. */
static void pool_pixel(const ln_win *w, const pool_part *u, size_t t, size_t in[LN_WIN_AXES])
{
    const ln_pixel k = ln_pixel_at(u->taps, t);

    for (int32_t i = 0; i < LN_WIN_AXES; i++)
        in[i] = u->first[i] + k.at[i] * w->dilation[i];
}

static void pool_rows(const ln_run *r, const state *s)
{
    const param *p = r->param;
    const ln_win *w = &s->win;
    const size_t all = w->n * w->out[0] * w->out[1], kernels = w->kernel[0] * w->kernel[1];
    const size_t end = LN_MIN((r->task + 1) * s->rows, all);
    const ln_window g = { w->c, kernels, w->kernel[2], w->stride[2], w->dilation[2], w->pad[2],
                          w->in[2], w->out[2], w->c, w->c };
    const float *x = ln_last_floats(&s->x, r->in[0], r->workspace), **rows = r->scratch;
    float *y = ln_last_floats(&s->y, r->out[0], r->workspace), *scale = (float *)(rows + kernels);
    const bool padding = p->count_include_pad != 0;

    for (size_t i = r->task * s->rows; i < end; i++) {
        const size_t oy = i % w->out[1], oz = i / w->out[1] % w->out[0];
        float *to = y + i * w->out[2] * w->c;

        ln_win_rows(w, x, i / (w->out[0] * w->out[1]), oz, oy, rows);
        if (s->op == POOL_MAX) {
            r->kernel->pool_max_f32(&g, rows, to);
            continue;
        }
        const size_t n = pool_counted(w, 0, oz, padding) * pool_counted(w, 1, oy, padding);
        for (size_t ox = 0; ox < w->out[2]; ox++) {
            const size_t all_taps = n * pool_counted(w, 2, ox, padding);
            scale[ox] = all_taps ? 1.0f / (float)all_taps : 0.0f;
        }
        r->kernel->pool_sum_f32(&g, rows, scale, to);
    }
}

/* Rows of bytes, channels last. */
#define POOL_BYTE_ROWS(NAME, T, LEAST)                                                            \
    static void NAME(const ln_run *r, const state *s)                                             \
    {                                                                                             \
        const ln_win *w = &s->win;                                                                \
        const size_t from = r->task * s->rows * w->out[2];                                        \
        const size_t all = w->n * ln_pixels(w->out);                                              \
        const size_t end = LN_MIN(from + s->rows * w->out[2], all);                               \
        const ln_steps at = ln_win_strides(w->c, w->in, true);                                    \
        ln_pixel o = ln_pixel_at(w->out, from);                                                   \
                                                                                                  \
        for (size_t i = from; i < end; i++, ln_pixel_next(w->out, &o)) {                          \
            T *y = (T *)r->out[0] + i * w->c;                                                     \
            for (size_t c = 0; c < w->c; c++)                                                     \
                y[c] = LEAST;                                                                     \
            const pool_part under = pool_under(w, &o);                                            \
            for (size_t t = 0; r->in[0] && t < under.count; t++) {                                \
                size_t in[LN_WIN_AXES];                                                           \
                pool_pixel(w, &under, t, in);                                                     \
                const T *x = (const T *)r->in[0] + o.n * at.n + in[0] * at.at[0]                  \
                             + in[1] * at.at[1] + in[2] * at.at[2];                               \
                for (size_t c = 0; c < w->c; c++)                                                 \
                    y[c] = y[c] < x[c] ? x[c] : y[c];                                             \
            }                                                                                     \
        }                                                                                         \
    }

POOL_BYTE_ROWS(pool_rows_u8, uint8_t, 0)
POOL_BYTE_ROWS(pool_rows_i8, int8_t, INT8_MIN)

static double pool_power(double x, int64_t p)
{
    x = fabs(x);
    return p == 1 ? x : p == 2 ? x * x : pow(x, (double)p);
}

typedef struct pool_found {
    double value;
    size_t at[LN_WIN_AXES]; /* of the largest */
    bool   any;
} pool_found;

/* One output element in double: maximum, or sum. */
static pool_found pool_window(const ln_run *r, const state *s, const ln_pixel *o, size_t c, bool last)
{
    const param *p = r->param;
    const ln_win *w = &s->win;
    const ln_steps step = ln_win_strides(w->c, w->in, last);
    const pool_part under = pool_under(w, o);
    pool_found f = { 0 };

    for (size_t t = 0; r->in[0] && t < under.count; t++) {
        size_t in[LN_WIN_AXES];

        pool_pixel(w, &under, t, in);
        const double x = ln_get_f64(r->in_desc[0].dtype, r->in[0],
                                    o->n * step.n + c * step.c + in[0] * step.at[0] + in[1] * step.at[1]
                                        + in[2] * step.at[2]);
        if (s->op != POOL_MAX) {
            f.value += s->op == POOL_LP ? pool_power(x, p->p) : x;
        } else if (!f.any || x > f.value || (x != x && f.value == f.value)) {
            f.value = x;
            memcpy(f.at, in, sizeof in);
        }
        f.any = true;
    }
    if (s->op == POOL_MAX && !f.any) {
        const int32_t type = r->in_desc[0].dtype;
        f.value = type == LINNET_U8 ? 0.0 : type == LINNET_I8 ? INT8_MIN : -(double)INFINITY;
    }
    return f;
}

static double pool_finish(const ln_run *r, const state *s, const ln_pixel *o, const pool_found *f)
{
    const param *p = r->param;
    size_t n = 1;

    if (s->op == POOL_MAX)
        return f->value;
    if (s->op == POOL_LP)
        return p->p == 1 ? f->value : p->p == 2 ? sqrt(f->value) : pow(f->value, 1.0 / (double)p->p);
    for (int32_t i = 0; i < LN_WIN_AXES; i++)
        n *= pool_counted(&s->win, i, o->at[i], p->count_include_pad != 0);
    return n ? f->value / (double)n : 0.0;
}

/* Position of the largest element in the whole tensor N, C, spatial. */
static int64_t pool_index(const ln_run *r, const state *s, const ln_pixel *o, size_t c, const pool_found *f)
{
    const param *p = r->param;
    const ln_win *w = &s->win;
    const size_t plane = (o->n * w->c + c) * ln_pixels(w->in);

    if (p->storage_order) /* the first spatial axis is innermost */
        return (int64_t)(plane + f->at[LN_WIN_AXES - w->axes]
                         + (w->axes == 2 ? f->at[2] * w->in[1]
                            : w->axes == 3 ? (f->at[2] * w->in[1] + f->at[1]) * w->in[0] : 0));
    return (int64_t)(plane + (f->at[0] * w->in[1] + f->at[1]) * w->in[2] + f->at[2]);
}

static void pool_plain(const ln_run *r, const state *s)
{
    const param *p = r->param;
    const bool last = p->win.channels_last != 0;
    const ln_win *w = &s->win;
    const size_t count = ln_count(&r->out_desc[0]), pixels = ln_pixels(w->out);
    const size_t from = r->task * POOL_STEP, end = LN_MIN(from + POOL_STEP, count);
    const ln_steps to = ln_win_strides(w->c, w->out, last);

    for (size_t i = from; i < end; i++) { /* i counts in N, C, spatial order */
        const size_t c = i / pixels % w->c;
        const ln_pixel o = ln_pixel_at(w->out, i / (pixels * w->c) * pixels + i % pixels);
        const pool_found f = pool_window(r, s, &o, c, last);

        if (r->out[0])
            ln_set_f64(r->out_desc[0].dtype, r->out[0], o.n * to.n + c * to.c + o.at[0] * to.at[0]
                       + o.at[1] * to.at[1] + o.at[2] * to.at[2], pool_finish(r, s, &o, &f));
        if (s->indices && r->out[1])
            ((int64_t *)r->out[1])[i] = pool_index(r, s, &o, c, &f);
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;

    switch (s->kind[r->phase]) {
    case POOL_READ:
        ln_last_read(&s->x, r->kernel, r->in[0], r->workspace, r->task);
        break;
    case POOL_ROWS:
        pool_rows(r, s);
        break;
    case POOL_WRITE:
        ln_last_write(&s->y, r->kernel, r->workspace, r->out[0], r->task);
        break;
    case POOL_BYTES:
        if (r->in_desc[0].dtype == LINNET_U8)
            pool_rows_u8(r, s);
        else
            pool_rows_i8(r, s);
        break;
    default:
        pool_plain(r, s);
    }
    return LINNET_OK;
}

static const ln_attr pool_max_attr[] = {
    LN_WIN_ATTR(param),
    { "ceil_mode", LN_ATTR_I64, offsetof(param, win.ceil_mode), 0, false },
    { "storage_order", LN_ATTR_I64, offsetof(param, storage_order), 0, false },
    { 0 },
};
static const ln_attr pool_average_attr[] = {
    LN_WIN_ATTR(param),
    { "ceil_mode", LN_ATTR_I64, offsetof(param, win.ceil_mode), 0, false },
    { "count_include_pad", LN_ATTR_I64, offsetof(param, count_include_pad), 0, false },
    { 0 },
};
static const ln_attr pool_lp_attr[] = {
    LN_WIN_ATTR(param),
    { "ceil_mode", LN_ATTR_I64, offsetof(param, win.ceil_mode), 0, false },
    { "p", LN_ATTR_I64, offsetof(param, p), 2, false },
    { 0 },
};

const ln_op ln_op_max_pool = {
    .name = "MaxPool", .attr = pool_max_attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .out_min = 1, .out_max = 2, .flags = LN_OP_SPATIAL,
    .infer = pool_max_infer, .prepare = pool_max_prepare, .run = run,
};
const ln_op ln_op_average_pool = {
    .name = "AveragePool", .attr = pool_average_attr, .param_size = sizeof(param),
    .state_size = sizeof(state), .in_min = 1, .in_max = 1, .flags = LN_OP_SPATIAL,
    .infer = pool_average_infer, .prepare = pool_average_prepare, .run = run,
};
const ln_op ln_op_lp_pool = {
    .name = "LpPool", .attr = pool_lp_attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .flags = LN_OP_SPATIAL,
    .infer = pool_lp_infer, .prepare = pool_lp_prepare, .run = run,
};

#undef POOL_STEP
#undef POOL_BYTE_ROWS
