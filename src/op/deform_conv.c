/*
 * deform_conv.c - DeformConv: a convolution whose taps are moved by an offset of their own.
 *
 * For each output pixel the moved taps of all channels are read (bilinear, zero outside) into
 * one column; each output channel is then a dot product with its weights.
 */
#include "window.h"

#include <math.h>

typedef struct param {
    ln_win_param win;
    int64_t      group, offset_group;
} param;

typedef struct state {
    ln_win w;
    size_t m, group, cg, mg, offsets, taps, pixels, step;
    bool   bias, mask;
} state;

enum { DEFORM_OFFSET = 2, DEFORM_BIAS = 3, DEFORM_MASK = 4 };

static bool deform_shape(const ln_desc *d, const ln_win *w, uint64_t channels)
{
    return d->rank == 4 && (uint64_t)d->dim[0] == w->n && (uint64_t)d->dim[1] == channels
           && (uint64_t)d->dim[2] == w->out[1] && (uint64_t)d->dim[3] == w->out[2];
}

static linnet_status deform_geometry(const param *p, int32_t in_count, const ln_desc *in, state *s, linnet_error *err)
{
    const ln_desc *x = &in[0], *w = &in[1];

    if (x->dtype != LINNET_F32 && x->dtype != LINNET_F64 && x->dtype != LINNET_F16 && x->dtype != LINNET_BF16)
        return ln_fail_type(err, 0, x->dtype);
    for (int32_t i = 1; i < in_count; i++)
        if (in[i].dtype && in[i].dtype != x->dtype)
            return ln_fail_type(err, i, in[i].dtype);
    if (x->rank != 4 || w->rank != 4)
        return ln_fail(err, x->rank > 4 ? LINNET_ERR_UNSUPPORTED : LINNET_ERR_SHAPE,
                       "DeformConv: an input of rank %d with weights of rank %d", (int)x->rank, (int)w->rank);
    const linnet_status st = ln_win_init(&s->w, "DeformConv", &p->win, x, w->dim + 2, err);
    if (st != LINNET_OK)
        return st;
    const size_t c = s->w.c;
    if (p->group < 1 || p->offset_group < 1 || c % (uint64_t)p->group != 0 || w->dim[0] % p->group != 0
        || c / (uint64_t)p->group != (uint64_t)w->dim[1] || c % (uint64_t)p->offset_group != 0)
        return ln_fail(err, LINNET_ERR_SHAPE, "DeformConv: %zu channels do not fit %lld groups, %lld offset groups "
                       "and the weights", c, (long long)p->group, (long long)p->offset_group);
    s->m = (size_t)w->dim[0];
    s->group = (size_t)p->group;
    s->cg = c / s->group;
    s->mg = s->m / s->group;
    s->offsets = (size_t)p->offset_group;
    s->taps = ln_win_taps(&s->w);
    s->bias = in_count > DEFORM_BIAS && in[DEFORM_BIAS].dtype;
    s->mask = in_count > DEFORM_MASK && in[DEFORM_MASK].dtype;
    size_t moved, twice;
    if (!ln_mul(s->offsets, s->taps, &moved) || !ln_mul(moved, 2, &twice)
        || !deform_shape(&in[DEFORM_OFFSET], &s->w, twice)
        || (s->mask && !deform_shape(&in[DEFORM_MASK], &s->w, moved)))
        return ln_fail(err, LINNET_ERR_SHAPE, "DeformConv: offset or mask does not fit %zu taps and an output of "
                       "%zu x %zu", s->taps, s->w.out[1], s->w.out[2]);
    if (s->bias && (in[DEFORM_BIAS].rank != 1 || in[DEFORM_BIAS].dim[0] != w->dim[0]))
        return ln_fail(err, LINNET_ERR_SHAPE, "DeformConv: the bias does not have %zu elements", s->m);
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    state s;
    const linnet_status st = deform_geometry(q->param, q->in_count, q->in, &s, q->err);

    if (st == LINNET_OK)
        q->out[0] = ln_win_desc(&s.w, q->in[0].dtype, s.m, false);
    return st;
}

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;
    const linnet_status st = deform_geometry(q->param, q->in_count, q->in, s, q->err);

    if (st != LINNET_OK)
        return st;
    if (ln_count(&q->out[0]) == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    s->pixels = s->w.out[1] * s->w.out[2];
    const double each = (double)s->taps * (double)LN_MAX(s->cg, (size_t)1) * (double)(s->m + 8 * s->group);
    s->step = (size_t)(1.0e6 / each) + 1;
    q->tasks[0] = ln_ceil_div(s->w.n * s->pixels, s->step);
    q->work = each * (double)(s->w.n * s->pixels);
    q->flop = 2.0 * (double)s->taps * (double)s->cg * (double)s->m * (double)(s->w.n * s->pixels);
    if (!ln_mul(s->taps, s->w.c, &q->scratch) || !ln_mul(q->scratch, sizeof(double), &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "DeformConv: the kernel is too large");
    return LINNET_OK;
}

/* The four pixels around (y, x) with their weights; how many of them are inside. */
static size_t deform_corners(const ln_win *w, double y, double x, double scale, size_t at[4], double weight[4])
{
    const double y0 = floor(y), x0 = floor(x);
    size_t n = 0;

    if (!(y > -1.0 && y < (double)w->in[1] && x > -1.0 && x < (double)w->in[2]))
        return 0;
    for (size_t k = 0; k < 4; k++) {
        const double cy = y0 + (double)(k / 2), cx = x0 + (double)(k % 2);
        if (cy < 0.0 || cx < 0.0 || cy >= (double)w->in[1] || cx >= (double)w->in[2])
            continue;
        at[n] = (size_t)cy * w->in[2] + (size_t)cx;
        weight[n++] = scale * (1.0 - fabs(y - cy)) * (1.0 - fabs(x - cx));
    }
    return n;
}

/* column[channel][tap] of output pixel `pixel` of image n; f32 where the tensors are, else f64. */
static void deform_column(const ln_run *r, const state *s, size_t n, size_t pixel, void *column)
{
    const ln_win *w = &s->w;
    const int32_t type = r->in_desc[0].dtype;
    const size_t plane = w->in[1] * w->in[2], each = w->c / s->offsets;
    const double oy = (double)(pixel / w->out[2] * w->stride[1]) - (double)w->pad[1];
    const double ox = (double)(pixel % w->out[2] * w->stride[2]) - (double)w->pad[2];

    for (size_t i = 0; i < s->offsets * s->taps; i++) {
        const size_t t = i % s->taps, first = i / s->taps * each;
        const size_t move = ((n * s->offsets * s->taps + i) * 2) * s->pixels + pixel;
        const double y = oy + (double)(t / w->kernel[2] * w->dilation[1])
                         + ln_get_f64(type, r->in[DEFORM_OFFSET], move);
        const double x = ox + (double)(t % w->kernel[2] * w->dilation[2])
                         + ln_get_f64(type, r->in[DEFORM_OFFSET], move + s->pixels);
        const double scale = s->mask ? ln_get_f64(type, r->in[DEFORM_MASK],
                                                  (n * s->offsets * s->taps + i) * s->pixels + pixel) : 1.0;
        size_t at[4];
        double weight[4];
        const size_t count = deform_corners(w, y, x, scale, at, weight);

        for (size_t c = first; c < first + each && type == LINNET_F32; c++) {
            const float *from = (const float *)r->in[0] + (n * w->c + c) * plane;
            float sum = 0.0f;
            for (size_t k = 0; k < count; k++)
                sum += (float)weight[k] * from[at[k]];
            ((float *)column)[c * s->taps + t] = sum;
        }
        for (size_t c = first; c < first + each && type != LINNET_F32; c++) {
            double sum = 0.0;
            for (size_t k = 0; k < count; k++)
                sum += weight[k] * ln_get_f64(type, r->in[0], (n * w->c + c) * plane + at[k]);
            ((double *)column)[c * s->taps + t] = sum;
        }
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const int32_t type = r->in_desc[0].dtype;
    const size_t from = r->task * s->step, end = LN_MIN(from + s->step, s->w.n * s->pixels), k = s->cg * s->taps;

    for (size_t i = from; i < end; i++) {
        const size_t n = i / s->pixels, pixel = i % s->pixels;

        if (k)
            deform_column(r, s, n, pixel, r->scratch);
        for (size_t m = 0; m < s->m; m++) {
            double sum = s->bias ? ln_get_f64(type, r->in[DEFORM_BIAS], m) : 0.0;
            const size_t first = m / s->mg * k;

            if (type == LINNET_F32 && k)
                sum += (double)r->kernel->dot_f32(k, (const float *)r->in[1] + m * k, (float *)r->scratch + first);
            for (size_t j = 0; j < k && type != LINNET_F32; j++)
                sum += ln_get_f64(type, r->in[1], m * k + j) * ((double *)r->scratch)[first + j];
            ln_set_f64(type, r->out[0], (n * s->m + m) * s->pixels + pixel, sum);
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "kernel_shape", LN_ATTR_INTS, offsetof(param, win.kernel_shape), 0, false },
    { "strides", LN_ATTR_INTS, offsetof(param, win.strides), 0, false },
    { "dilations", LN_ATTR_INTS, offsetof(param, win.dilations), 0, false },
    { "pads", LN_ATTR_INTS, offsetof(param, win.pads), 0, false },
    { "group", LN_ATTR_I64, offsetof(param, group), 1, false },
    { "offset_group", LN_ATTR_I64, offsetof(param, offset_group), 1, false },
    { 0 },
};

const ln_op ln_op_deform_conv = {
    .name = "DeformConv", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 5,
    .infer = infer, .prepare = prepare, .run = run,
};
