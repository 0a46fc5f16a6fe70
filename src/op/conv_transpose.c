/*
 * conv_transpose.c - ConvTranspose as a gather: no scattered sums.
 *
 * Output pixels whose coordinates have the same rest by the stride use the same taps, and each
 * tap belongs to one rest: so a transposed convolution is stride^axes plain ones, each with some
 * of the taps, over every stride-th output pixel. Their products run on the row-pointer engine
 * of conv_gemm.c; a tile whose outputs do not lie on one line goes through the scratch.
 */
#include "conv.h"

typedef struct param {
    ln_win_param win;
    int64_t      group, act;
    float        act_a, act_b;
    ln_ints      output_padding, output_shape;
} param;

/* The taps of each rest c along an axis: tap[first[c] .. first[c + 1]); in = o / stride + shift. */
struct transposed_axis {
    size_t   rests;
    size_t  *first, *tap;
    int64_t *shift;
};

struct transposed_phase {
    size_t rest[LN_WIN_AXES], dim[LN_WIN_AXES]; /* output pixels of this phase */
    size_t taps, pixels, tiles, m_tasks, step_tiles;
    size_t first_task, weight_at; /* in tasks and in floats of one part */
};

enum { TRANSPOSED_PHASES = 4096, TRANSPOSED_L2_FLOATS = 1 << 17 };
#define TRANSPOSED_TASK_MACS 2.0e6

/* ---- shapes ---------------------------------------------------------------------- */

/* Pads so that the output is `out`: the odd one goes to the end for SAME_UPPER. */
static void transposed_pads(ln_win *w, int32_t i, int64_t all, int64_t out, bool upper)
{
    const int64_t total = LN_MAX(all - out, (int64_t)0);

    w->pad[i] = (size_t)(upper ? total / 2 : total - total / 2);
    w->end[i] = (size_t)total - w->pad[i];
    w->out[i] = (size_t)out;
}

static linnet_status transposed_number(const ln_ints *v, size_t at, int64_t least, int64_t most,
                                       const char *name, int64_t *out, linnet_error *err)
{
    *out = 0;
    if (at >= v->count)
        return LINNET_OK;
    *out = v->v[at];
    if (*out < least || *out > most)
        return ln_fail(err, LINNET_ERR_SHAPE, "ConvTranspose: %lld in %s", (long long)*out, name);
    return LINNET_OK;
}

static linnet_status transposed_axis_size(const param *p, ln_win *w, int32_t i, int32_t same, bool valid,
                                          linnet_error *err)
{
    const size_t at = (size_t)(i - (LN_WIN_AXES - w->axes)), axes = (size_t)w->axes;
    const size_t ahead = p->output_shape.count == axes + 2 ? 2 : 0;
    int64_t more, shape, before = 0, after = 0, all;
    linnet_status st = transposed_number(&p->output_padding, at, 0, INT32_MAX, "output_padding", &more, err);

    if (st == LINNET_OK)
        st = transposed_number(&p->output_shape, at + ahead, 1, (int64_t)1 << 40, "output_shape", &shape, err);
    if (st == LINNET_OK && !valid && !same)
        st = transposed_number(&p->win.pads, at, 0, INT32_MAX, "pads", &before, err);
    if (st == LINNET_OK && !valid && !same)
        st = transposed_number(&p->win.pads, at + axes, 0, INT32_MAX, "pads", &after, err);
    if (st != LINNET_OK)
        return st;
    if (w->in[i] == 0 || !ln_mul64((int64_t)w->in[i] - 1, (int64_t)w->stride[i], &all)
        || all > (int64_t)1 << 60)
        return ln_fail(err, LINNET_ERR_SHAPE, "ConvTranspose: %zu input pixels with stride %zu", w->in[i],
                       w->stride[i]);
    all += more + (int64_t)((w->kernel[i] - 1) * w->dilation[i] + 1);
    if (shape)
        transposed_pads(w, i, all, shape, same > 0);
    else if (same)
        transposed_pads(w, i, all, (int64_t)w->in[i] * (int64_t)w->stride[i], same > 0);
    else if (all - before - after < 1)
        return ln_fail(err, LINNET_ERR_SHAPE, "ConvTranspose: padding of %lld and %lld leaves nothing of "
                       "%lld pixels", (long long)before, (long long)after, (long long)all);
    else {
        w->pad[i] = (size_t)before;
        w->end[i] = (size_t)after;
        w->out[i] = (size_t)(all - before - after);
    }
    return LINNET_OK;
}

static linnet_status transposed_window(const param *p, const ln_desc *x, const ln_desc *k, ln_win *w,
                                       linnet_error *err)
{
    const bool upper = ln_is(p->win.auto_pad, "NOTSET", "SAME_UPPER");
    const bool lower = ln_is(p->win.auto_pad, "NOTSET", "SAME_LOWER");
    const bool valid = ln_is(p->win.auto_pad, "NOTSET", "VALID");
    linnet_status st = ln_win_input(w, "ConvTranspose", x, p->win.channels_last != 0, err);

    if (st == LINNET_OK)
        st = ln_win_steps(w, "ConvTranspose", &p->win, k->dim + 2, err);
    if (st != LINNET_OK)
        return st;
    const size_t axes = (size_t)w->axes;
    if (!upper && !lower && !valid && !ln_is(p->win.auto_pad, "NOTSET", "NOTSET")
        && !ln_is(p->win.auto_pad, "NOTSET", ""))
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "ConvTranspose: auto_pad \"%s\"", p->win.auto_pad);
    if ((p->win.pads.count && p->win.pads.count != 2 * axes)
        || (p->output_padding.count && p->output_padding.count != axes)
        || (p->output_shape.count && p->output_shape.count != axes && p->output_shape.count != axes + 2))
        return ln_fail(err, LINNET_ERR_SHAPE, "ConvTranspose: pads, output_padding or output_shape does not "
                       "fit %zu spatial axes", axes);
    for (int32_t i = LN_WIN_AXES - w->axes; st == LINNET_OK && i < LN_WIN_AXES; i++)
        st = transposed_axis_size(p, w, i, upper - lower, valid, err);
    return st;
}

static linnet_status transposed_geometry(const param *p, int32_t in_count, const ln_desc *in, ln_conv *c,
                                         linnet_error *err)
{
    const ln_desc *w = &in[1];
    linnet_status st;

    c->dtype = in[0].dtype;
    if (c->dtype != LINNET_F32 && c->dtype != LINNET_F64 && c->dtype != LINNET_F16
        && c->dtype != LINNET_BF16)
        return ln_fail_type(err, 0, c->dtype);
    for (int32_t i = 1; i < in_count; i++)
        if (in[i].dtype && in[i].dtype != c->dtype)
            return ln_fail_type(err, i, in[i].dtype);
    if (w->rank != in[0].rank || w->rank < 3)
        return ln_fail(err, LINNET_ERR_SHAPE, "ConvTranspose: weights of rank %d for an input of rank %d",
                       (int)w->rank, (int)in[0].rank);
    if ((st = transposed_window(p, &in[0], w, &c->win, err)) != LINNET_OK)
        return st;
    int64_t m;
    if (p->group < 1 || c->win.c != (uint64_t)w->dim[0] || w->dim[0] % p->group != 0
        || !ln_mul64(w->dim[1], p->group, &m))
        return ln_fail(err, LINNET_ERR_SHAPE, "ConvTranspose: %zu input channels in %lld groups do not fit "
                       "weights for %lld", c->win.c, (long long)p->group, (long long)w->dim[0]);
    c->group = (size_t)p->group;
    c->cg = c->win.c / c->group;
    c->mg = (size_t)w->dim[1];
    c->m = (size_t)m;
    c->has_bias = in_count > LN_BIAS && in[LN_BIAS].dtype;
    if (c->has_bias && (in[LN_BIAS].rank != 1 || in[LN_BIAS].dim[0] != m))
        return ln_fail(err, LINNET_ERR_SHAPE, "ConvTranspose: the bias does not have %zu elements", c->m);
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    ln_conv c;
    const linnet_status st = transposed_geometry(p, q->in_count, q->in, &c, q->err);

    if (st == LINNET_OK)
        q->out[0] = ln_win_desc(&c.win, c.dtype, c.m, p->win.channels_last != 0);
    return st;
}

/* ---- prepare ------------------------------------------------------------------------ */

static bool transposed_taps(ln_prepare *q, const ln_win *w, int32_t i, struct transposed_axis *a)
{
    const int64_t stride = (int64_t)w->stride[i];
    size_t n = 0;

    a->rests = LN_MIN(w->stride[i], w->out[i]);
    a->first = ln_plan_alloc(q, a->rests + 1, sizeof *a->first);
    a->tap = ln_plan_alloc(q, w->kernel[i], sizeof *a->tap);
    a->shift = ln_plan_alloc(q, w->kernel[i], sizeof *a->shift);
    if (!a->first || !a->tap || !a->shift)
        return false;
    for (size_t c = 0; c < a->rests; c++) {
        a->first[c] = n;
        for (size_t k = 0; k < w->kernel[i]; k++) {
            const int64_t x = (int64_t)(c + w->pad[i]) - (int64_t)(k * w->dilation[i]);
            if (x % stride != 0)
                continue;
            a->tap[n] = k;
            a->shift[n++] = x / stride;
        }
    }
    a->first[a->rests] = n;
    return true;
}

static void transposed_groups(ln_conv *c, size_t nr)
{
    size_t e = 1;

    for (size_t i = 2; i <= c->group && i * c->mg <= nr; i++)
        if (c->group % i == 0)
            e = i;
    c->parts = c->group / e;
    c->pn = e * c->mg;
    c->pk = e * c->cg;
}

/* One phase: its size, its tasks, its place in the packed weights. */
static void transposed_phase_init(ln_conv *c, const ln_kernels *kernel, struct transposed_phase *f, size_t number)
{
    const size_t rests[LN_WIN_AXES] = { c->axis[0].rests, c->axis[1].rests, c->axis[2].rests };
    const ln_pixel at = ln_pixel_at(rests, number);

    f->taps = 1;
    for (int32_t i = 0; i < LN_WIN_AXES; i++) {
        const size_t rest = at.at[i];
        f->rest[i] = rest;
        f->dim[i] = ln_ceil_div(c->win.out[i] - rest, c->win.stride[i]);
        f->taps *= c->axis[i].first[rest + 1] - c->axis[i].first[rest];
    }
    f->pixels = c->win.n * ln_pixels(f->dim);
    f->tiles = ln_ceil_div(f->pixels, kernel->gemm_mr);
    const double tile = (double)kernel->gemm_mr * (double)LN_MAX(f->taps * c->pk, (size_t)1)
                        * (double)c->group_n;
    const size_t fit = LN_MAX((size_t)(TRANSPOSED_TASK_MACS / tile), (size_t)1);
    f->step_tiles = ln_ceil_div(f->tiles, ln_ceil_div(f->tiles, fit));
    f->m_tasks = ln_ceil_div(f->tiles, f->step_tiles);
    f->weight_at = c->part_packed;
    f->first_task = c->tasks;
    c->part_packed += f->taps * c->pk * ln_ceil_div(c->pn, kernel->gemm_nr) * kernel->gemm_nr;
    c->tasks += f->m_tasks * c->n_tasks * c->parts;
}

static linnet_status transposed_prepare(ln_prepare *q, ln_conv *c)
{
    const size_t mr = q->kernel->gemm_mr, nr = q->kernel->gemm_nr, panels_least = nr;
    struct transposed_axis *axis = ln_plan_alloc(q, LN_WIN_AXES, sizeof *axis);
    struct transposed_phase *phase = ln_plan_alloc(q, c->phases, sizeof *phase);
    size_t most = 1, all;

    c->zero = ln_plan_alloc(q, c->win.c, sizeof(float));
    for (int32_t i = 0; axis && i < LN_WIN_AXES; i++)
        if (!transposed_taps(q, &c->win, i, &axis[i]))
            axis = NULL;
    if (!axis || !phase || !c->zero)
        return ln_fail(q->err, LINNET_ERR_MEMORY, "ConvTranspose: out of memory");
    c->axis = axis;
    c->phase = phase;
    transposed_groups(c, nr);
    const size_t panels = ln_ceil_div(c->pn, nr), taps = ln_win_taps(&c->win);
    if (!ln_mul(taps, c->pk, &all) || !ln_mul(all, panels * panels_least, &all)
        || !ln_mul(all, c->parts, &all))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "ConvTranspose: the weights are too large");
    for (int32_t i = 0; i < LN_WIN_AXES; i++)
        most *= ln_ceil_div(c->win.kernel[i], c->win.stride[i]);
    const size_t group = LN_MAX((size_t)TRANSPOSED_L2_FLOATS / (most * c->pk * nr), (size_t)1);
    c->n_tasks = ln_ceil_div(panels, LN_MIN(group, panels));
    c->group_n = ln_ceil_div(panels, c->n_tasks) * nr;
    c->n_tasks = ln_ceil_div(c->pn, c->group_n);
    for (size_t i = 0; i < c->phases; i++)
        transposed_phase_init(c, q->kernel, &phase[i], i);
    c->packed = c->part_packed * c->parts;
    c->pack_tasks = c->parts * c->phases;
    c->key = c->pn ^ c->win.stride[0] << 8 ^ c->win.stride[1] << 16 ^ c->win.stride[2] << 24;
    for (int32_t i = 0; i < LN_WIN_AXES; i++)
        c->key = (c->key * 31 + c->win.dilation[i]) * 31 + c->win.pad[i] % c->win.stride[i] + 7 * axis[i].rests;
    /* Pointers, then a tile of results. */
    if (!ln_mul(taps, mr * sizeof(float *), &q->scratch) || !ln_align_up(q->scratch, LN_ALIGN, &q->scratch)
        || !ln_mul(c->pn, mr * sizeof(float), &all) || !ln_add(q->scratch, all, &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "ConvTranspose: the kernel is too large");
    return LINNET_OK;
}

/* Tap number t of a phase, as its entries along the axes. */
static void transposed_tap(const ln_conv *c, const struct transposed_phase *f, size_t t, size_t at[LN_WIN_AXES])
{
    for (int32_t i = LN_WIN_AXES - 1; i >= 0; i--) {
        const size_t first = c->axis[i].first[f->rest[i]], n = c->axis[i].first[f->rest[i] + 1] - first;
        at[i] = first + t % n;
        t /= n;
    }
}

/* The weights of one phase and part: [taps][pk] rows of pn columns, in panels. */
static void transposed_pack(const ln_conv *c, const ln_kernels *kernel, const void *w, float *out, size_t task)
{
    const struct transposed_phase *f = &c->phase[task % c->phases];
    const size_t part = task / c->phases, nr = kernel->gemm_nr, taps = ln_win_taps(&c->win);
    const size_t k = f->taps * c->pk, m0 = part * c->pk * c->mg * taps;

    out += part * c->part_packed + f->weight_at;
    memset(out, 0, k * ln_ceil_div(c->pn, nr) * nr * sizeof(float));
    for (size_t t = 0; t < f->taps; t++) {
        size_t at[LN_WIN_AXES];

        transposed_tap(c, f, t, at);
        const size_t tap = (c->axis[0].tap[at[0]] * c->win.kernel[1] + c->axis[1].tap[at[1]]) * c->win.kernel[2]
                           + c->axis[2].tap[at[2]];
        if (c->pn == c->mg && c->dtype == LINNET_F32) {
            kernel->pack_b_f32(c->cg, c->pn, (const float *)w + m0 + tap, (ptrdiff_t)(c->mg * taps),
                               (ptrdiff_t)taps, 1.0f, t * c->pk, k, 0, c->pn, out);
            continue;
        }
        for (size_t ch = 0; ch < c->pk; ch++)
            for (size_t j = 0; j < c->mg; j++) {
                const size_t col = ch / c->cg * c->mg + j;
                out[(col / nr * k + t * c->pk + ch) * nr + col % nr] =
                    (float)ln_get_f64(c->dtype, w, m0 + (ch * c->mg + j) * taps + tap);
            }
    }
}

/* ---- run ------------------------------------------------------------------------------- */

static void transposed_pointers(const ln_conv *c, const struct transposed_phase *f, const float *x,
                                const ln_pixel *o, size_t mr, const float **a)
{
    const ln_win *w = &c->win;

    for (size_t t = 0; t < f->taps; t++) {
        size_t at[LN_WIN_AXES], in[LN_WIN_AXES];
        bool inside = true;

        transposed_tap(c, f, t, at);
        for (int32_t i = 0; i < LN_WIN_AXES; i++) {
            in[i] = (size_t)((int64_t)o->at[i] + c->axis[i].shift[at[i]]);
            inside = inside && in[i] < w->in[i];
        }
        a[t * mr] = inside ? x + (((o->n * w->in[0] + in[0]) * w->in[1] + in[1]) * w->in[2] + in[2]) * w->c
                           : c->zero;
    }
}

/* Where output pixel o of a phase lies. */
static size_t transposed_place(const ln_conv *c, const struct transposed_phase *f, const ln_pixel *o)
{
    size_t at = o->n;

    for (int32_t i = 0; i < LN_WIN_AXES; i++)
        at = at * c->win.out[i] + o->at[i] * c->win.stride[i] + f->rest[i];
    return at * c->m;
}

static size_t transposed_tile(const struct transposed_phase *f, size_t t)
{
    return f->pixels / f->tiles * t + LN_MIN(t, f->pixels % f->tiles);
}

static void transposed_run(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t task)
{
    const struct transposed_phase *f = c->phase;
    const size_t mr = r->kernel->gemm_mr, taps = ln_win_taps(&c->win);

    while (f + 1 < c->phase + c->phases && task >= f[1].first_task)
        f++;
    task -= f->first_task;
    const size_t first = task % f->m_tasks * f->step_tiles, last = LN_MIN(first + f->step_tiles, f->tiles);
    const size_t part = task / f->m_tasks % c->parts, n0 = task / (f->m_tasks * c->parts) * c->group_n;
    const size_t n1 = LN_MIN(n0 + c->group_n, c->pn), m0 = part * c->pn;
    const ln_gemm_f32 g = { c->pn, c->pk, f->taps, d->weight + part * c->part_packed + f->weight_at,
                            d->bias ? d->bias + m0 : NULL, c->act };
    const float **a = r->scratch;
    float *tile = (float *)((char *)r->scratch + ln_ceil_div(taps * mr * sizeof *a, LN_ALIGN) * LN_ALIGN);
    size_t i = transposed_tile(f, first), place[256];
    ln_pixel o = ln_pixel_at(f->dim, i);

    for (size_t t = first; t < last; t++) {
        const size_t rows = transposed_tile(f, t + 1) - i;
        const bool line = o.at[2] + rows <= f->dim[2];

        for (size_t j = 0; j < rows; j++) {
            transposed_pointers(c, f, d->x + part * c->pk, &o, mr, a + j);
            place[j] = transposed_place(c, f, &o) + m0;
            ln_pixel_next(f->dim, &o);
        }
        if (line) {
            r->kernel->gemm_f32(&g, rows, a, d->y + place[0], c->win.stride[2] * c->m, NULL, 0, n0, n1);
        } else {
            r->kernel->gemm_f32(&g, rows, a, tile, c->pn, NULL, 0, n0, n1);
            for (size_t j = 0; j < rows; j++)
                memcpy(d->y + place[j] + n0, tile + j * c->pn + n0, (n1 - n0) * sizeof(float));
        }
        i += rows;
    }
}

static const ln_conv_way transposed_way = {
    .name = "transposed", .prepare = transposed_prepare, .pack = transposed_pack, .run = transposed_run,
};

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    ln_conv *c = q->state;
    linnet_status st = transposed_geometry(p, q->in_count, q->in, c, q->err);

    if (st != LINNET_OK)
        return st;
    const ln_act act = { (int32_t)p->act, p->act_a, p->act_b };
    c->act = act;
    if (ln_count(&q->out[0]) == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    const double macs = (double)ln_count(&q->in[0]) * (double)c->mg * (double)ln_win_taps(&c->win);
    q->work = LN_MAX(macs, (double)ln_count(&q->out[0]));
    q->flop = 2.0 * macs;
    c->phases = 1;
    for (int32_t i = 0; i < LN_WIN_AXES && c->phases <= TRANSPOSED_PHASES; i++)
        c->phases *= LN_MIN(LN_MIN(c->win.stride[i], c->win.out[i]), (size_t)TRANSPOSED_PHASES + 1);
    if (c->dtype == LINNET_F64 || c->cg == 0 || c->phases > TRANSPOSED_PHASES
        || q->kernel->gemm_mr > 256) {
        q->tasks[0] = ln_ceil_div(ln_count(&q->out[0]), LN_CONV_PLAIN_STEP);
        return LINNET_OK;
    }
    c->way = &transposed_way;
    if ((st = transposed_prepare(q, c)) != LINNET_OK)
        return st;
    c->x_last = p->win.channels_last != 0;
    return ln_conv_frame(q, c, p->win.channels_last != 0);
}

/* ---- by definition -------------------------------------------------------------------------- */

static double transposed_sum(const ln_run *r, const ln_conv *c, const ln_pixel *o, size_t m, bool last)
{
    const ln_win *w = &c->win;
    const ln_steps step = ln_win_strides(w->c, w->in, last);
    const size_t taps = ln_win_taps(w), g = m / c->mg;
    double sum = 0.0;

    for (size_t t = 0; t < taps; t++) {
        const ln_pixel k = ln_pixel_at(w->kernel, t);
        size_t at = o->n * step.n + g * c->cg * step.c;
        bool inside = true;

        for (int32_t i = 0; i < LN_WIN_AXES; i++) {
            const size_t to = o->at[i] + w->pad[i], back = k.at[i] * w->dilation[i];
            inside = inside && to >= back && (to - back) % w->stride[i] == 0
                     && (to - back) / w->stride[i] < w->in[i];
            at += inside ? (to - back) / w->stride[i] * step.at[i] : 0;
        }
        for (size_t ch = 0; inside && ch < c->cg; ch++)
            sum += ln_get_f64(c->dtype, r->in[0], at + ch * step.c)
                   * ln_get_f64(c->dtype, r->in[1], ((g * c->cg + ch) * c->mg + m % c->mg) * taps + t);
    }
    return sum;
}

static void transposed_plain(const ln_run *r, const ln_conv *c, bool last)
{
    const size_t count = ln_count(&r->out_desc[0]), from = r->task * LN_CONV_PLAIN_STEP;
    const size_t end = LN_MIN(from + LN_CONV_PLAIN_STEP, count), pixels = ln_pixels(c->win.out);

    for (size_t i = from; i < end; i++) {
        const size_t m = last ? i % c->m : i / pixels % c->m;
        const size_t at = last ? i / c->m : i / (pixels * c->m) * pixels + i % pixels;
        const ln_pixel o = ln_pixel_at(c->win.out, at);
        double v = c->cg ? transposed_sum(r, c, &o, m, last) : 0.0;

        if (c->has_bias)
            v += ln_get_f64(c->dtype, r->in[LN_BIAS], m);
        if (c->act.fn != LN_FN_NONE) {
            float x = (float)v;
            r->kernel->unary_f32[c->act.fn](1, &x, &x, c->act.a, c->act.b);
            v = x;
        }
        ln_set_f64(c->dtype, r->out[0], i, v);
    }
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const ln_conv *c = r->state;

    if (!c->way || !ln_conv_run(r, c))
        transposed_plain(r, c, p->win.channels_last != 0);
    return LINNET_OK;
}

static const ln_attr attr[] = {
    LN_WIN_ATTR(param),
    { "group", LN_ATTR_I64, offsetof(param, group), 1, false },
    { "output_padding", LN_ATTR_INTS, offsetof(param, output_padding), 0, false },
    { "output_shape", LN_ATTR_INTS, offsetof(param, output_shape), 0, false },
    { "ln.act", LN_ATTR_I64, offsetof(param, act), 0, false },
    { "ln.act_a", LN_ATTR_F32, offsetof(param, act_a), 0, false },
    { "ln.act_b", LN_ATTR_F32, offsetof(param, act_b), 0, false },
    { 0 },
};

const ln_op ln_op_conv_transpose = {
    .name = "ConvTranspose", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(ln_conv),
    .in_min = 2, .in_max = 3, .flags = LN_OP_SPATIAL | LN_OP_ACT,
    .infer = infer, .prepare = prepare, .run = run,
};

#undef TRANSPOSED_TASK_MACS
