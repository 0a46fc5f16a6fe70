/*
 * lrn.c - LRN: y = x / (bias + alpha / size * sum of squares over `size` neighbouring channels)^beta.
 *
 * Computed channels last, pixel by pixel. The usual beta of 3/4 takes two square roots.
 */
#include "window.h"

#include <math.h>

typedef struct param {
    float   alpha, beta, bias;
    int64_t size, channels_last;
} param;

typedef struct state {
    ln_last x, y;
    size_t  n, c, pixels, rows; /* rows: pixels of a task */
    int32_t kind[LN_MAX_PHASES];
} state;

enum { LRN_READ = 1, LRN_MAIN, LRN_WRITE, LRN_PLAIN };

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const int32_t type = q->in[0].dtype;

    if (type != LINNET_F32 && type != LINNET_F64 && type != LINNET_F16 && type != LINNET_BF16)
        return ln_fail_type(q->err, 0, type);
    if (q->in[0].rank < 2)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "LRN: an input of rank %d has no channels", (int)q->in[0].rank);
    if (p->size < 1)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "LRN: size is %lld", (long long)p->size);
    q->out[0] = q->in[0];
    return LINNET_OK;
}

static void lrn_phase(ln_prepare *q, state *s, int32_t kind, size_t tasks)
{
    if (tasks == 0)
        return;
    s->kind[q->phases] = kind;
    q->tasks[q->phases++] = tasks;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    const bool last = p->channels_last != 0;
    state *s = q->state;
    size_t floats = 0;

    q->phases = 0;
    if (ln_count(&q->in[0]) == 0)
        return LINNET_OK;
    ln_last_init(&s->x, &q->in[0], last);
    s->y = s->x;
    s->n = s->x.n;
    s->c = s->x.c;
    s->pixels = s->x.pixels;
    s->rows = LN_MAX((size_t)LN_CHUNK / 8 / s->c, (size_t)1);
    q->work = 8.0 * (double)ln_count(&q->in[0]);
    const size_t tasks = ln_ceil_div(s->n * s->pixels, s->rows);
    if (q->in[0].dtype == LINNET_F64) {
        lrn_phase(q, s, LRN_PLAIN, tasks);
        return LINNET_OK;
    }
    if (!ln_last_reserve(&s->x, &floats) || !ln_last_reserve(&s->y, &floats)
        || !ln_mul(s->c, 3 * sizeof(float), &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "LRN: the workspace is too large");
    q->workspace = floats * sizeof(float);
    lrn_phase(q, s, LRN_READ, s->x.tasks);
    lrn_phase(q, s, LRN_MAIN, tasks);
    lrn_phase(q, s, LRN_WRITE, s->y.tasks);
    return LINNET_OK;
}

/* First channel of the window around c, and the one behind its last. */
static void lrn_window(const param *p, const state *s, size_t c, size_t w[2])
{
    const size_t size = (uint64_t)p->size < 2 * (uint64_t)s->c + 2 ? (size_t)p->size : 2 * s->c + 2;
    const size_t before = (size - 1) / 2, after = size - 1 - before;

    w[0] = c > before ? c - before : 0;
    w[1] = LN_MIN(c + after + 1, s->c);
}

static void lrn_pixel(const ln_run *r, const state *s, const float *x, float *y)
{
    const param *p = r->param;
    const float scale = p->alpha / (float)p->size;
    float *square = r->scratch, *sum = square + s->c, *root = sum + s->c;
    size_t w[2];

    r->kernel->binary_f32[LN_BIN_MUL](s->c, x, 1, x, 1, square);
    for (size_t c = 0; c < s->c; c++) {
        float all = 0.0f;
        lrn_window(p, s, c, w);
        for (size_t i = w[0]; i < w[1]; i++)
            all += square[i];
        sum[c] = p->bias + scale * all;
    }
    if (p->beta == 0.75f) {
        r->kernel->unary_f32[LN_FN_SQRT](s->c, sum, sum, 0.0f, 0.0f);
        r->kernel->unary_f32[LN_FN_SQRT](s->c, sum, root, 0.0f, 0.0f);
        r->kernel->binary_f32[LN_BIN_MUL](s->c, sum, 1, root, 1, sum);
    } else {
        for (size_t c = 0; c < s->c; c++)
            sum[c] = powf(sum[c], p->beta);
    }
    r->kernel->binary_f32[LN_BIN_DIV](s->c, x, 1, sum, 1, y);
}

static void lrn_plain(const ln_run *r, const state *s, size_t from, size_t end)
{
    const param *p = r->param;
    const bool last = p->channels_last != 0;
    const double *x = r->in[0];
    double *y = r->out[0];

    for (size_t i = from; i < end; i++) {
        const size_t step = last ? 1 : s->pixels;
        const size_t at = last ? i * s->c : i / s->pixels * s->c * s->pixels + i % s->pixels;

        for (size_t c = 0; c < s->c; c++) {
            double all = 0.0;
            size_t w[2];
            lrn_window(p, s, c, w);
            for (size_t j = w[0]; j < w[1]; j++)
                all += x[at + j * step] * x[at + j * step];
            y[at + c * step] = x[at + c * step] / pow(p->bias + (double)p->alpha / (double)p->size * all, p->beta);
        }
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const size_t from = r->task * s->rows, end = LN_MIN(from + s->rows, s->n * s->pixels);

    switch (s->kind[r->phase]) {
    case LRN_READ:
        ln_last_read(&s->x, r->kernel, r->in[0], r->workspace, r->task);
        break;
    case LRN_WRITE:
        ln_last_write(&s->y, r->kernel, r->workspace, r->out[0], r->task);
        break;
    case LRN_MAIN: {
        const float *x = ln_last_floats(&s->x, r->in[0], r->workspace);
        float *y = ln_last_floats(&s->y, r->out[0], r->workspace);
        for (size_t i = from; i < end; i++)
            lrn_pixel(r, s, x + i * s->c, y + i * s->c);
        break;
    }
    default:
        lrn_plain(r, s, from, end);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "alpha", LN_ATTR_F32, offsetof(param, alpha), 1e-4, false },
    { "beta", LN_ATTR_F32, offsetof(param, beta), 0.75, false },
    { "bias", LN_ATTR_F32, offsetof(param, bias), 1.0, false },
    { "size", LN_ATTR_I64, offsetof(param, size), 0, true },
    { "ln.channels_last", LN_ATTR_I64, offsetof(param, channels_last), 0, false },
    { 0 },
};

const ln_op ln_op_lrn = {
    .name = "LRN", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .flags = LN_OP_SPATIAL,
    .infer = infer, .prepare = prepare, .run = run,
};
