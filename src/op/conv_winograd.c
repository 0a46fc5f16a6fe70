/*
 * conv_winograd.c - 3x3 convolution of stride 1 by Winograd's F(4, 3), F(3, 3) and F(2, 3).
 *
 * The output is covered by tiles of four and, at the end of either direction, three; or downwards of two and one,
 * where there are so few that reading the weights would take longer than the products. A task is a
 * block of tiles times a range of output channels: the tiles' inputs are transformed, 36 small
 * matrix products follow, and the results are transformed back and stored. Where there are too few
 * blocks for the tasks to be many, a phase before transforms the input once for all of them.
 *
 * A pooling two by two is part of the way back where all tiles are of four.
 *
 * Tiles are numbered along the rows, the higher rows first, over all images.
 */
#include "conv.h"

enum {
    WINO_POINTS = 36,
    WINO_BLOCK = 28,      /* tiles of a block: two register tiles that use what is read of U */
    WINO_PASS_N = 256,    /* output channels of a block at a time, at most */
    WINO_TASKS = 8,       /* tasks of a layer, if there can be as many */
    WINO_ENOUGH = 5,      /* blocks with which columns are not divided */
    WINO_LEAST_N = 64,    /* channels of a part */
    WINO_WARM = 1 << 17   /* direct weights of at most these floats stay in cache */
};

/* Nanoseconds on the machine that this was measured on; only their proportion counts. */
#define WINO_NS_PRODUCT   0.0173 /* per multiply-add of a product */
#define WINO_NS_ROW       2.6    /* per row of a product and panel of its columns */
#define WINO_NS_DIRECT    0.0175 /* per multiply-add of a direct convolution */
#define WINO_NS_TRANSFORM 0.15   /* per point of a channel, in or out */
#define WINO_NS_WEIGHT    0.135  /* per float of weights that come from memory, beside the computing */

typedef struct wino_cover {
    size_t large, down, tall, across, wide; /* see ln_conv */
} wino_cover;

static wino_cover wino_cover_by(const ln_conv *c, size_t large)
{
    const size_t h = c->win.out[1], w = c->win.out[2], down = ln_ceil_div(h, large), across = ln_ceil_div(w, 4);
    const wino_cover t = { large, down, down - LN_MIN(down, large * down - h), across,
                           across - LN_MIN(across, 4 * across - w) };

    return t;
}

/* Bits of the points that any tile has, downwards and across. */
static uint32_t wino_rows(size_t large, size_t tall) { return large == 2 ? 0x27u : tall ? 0x3fu : 0x2fu; }

static uint32_t wino_columns(size_t wide) { return wide ? 0x3fu : 0x2fu; }

/* Matrices of the weights. */
static size_t wino_points(size_t large, size_t tall, size_t wide)
{
    return (large == 2 ? 4 : 5u + (tall > 0)) * (5u + (wide > 0));
}

static double wino_ns(const ln_conv *c, size_t nr, const wino_cover *t)
{
    const double points = (double)c->win.n * (double)((t->large + 1) * t->down + t->tall) *
                          (double)(5 * t->across + t->wide);
    const double weights = (double)c->cg * (double)c->m, rows = (double)ln_ceil_div(c->m, nr);
    const double cold = weights * 9 > WINO_WARM ? WINO_NS_WEIGHT * (double)wino_points(t->large, t->tall, t->wide) : 0;
    const double products = points * (weights * WINO_NS_PRODUCT + rows * WINO_NS_ROW);

    return LN_MAX(products, cold * weights) + points * (double)(c->cg + c->m) * WINO_NS_TRANSFORM;
}

/* The better of the two ways to cover the output, and its time. */
static double wino_choose(const ln_conv *c, size_t nr, wino_cover *t)
{
    const wino_cover four = wino_cover_by(c, 4), two = wino_cover_by(c, 2);
    const double a = wino_ns(c, nr, &four), b = wino_ns(c, nr, &two);

    *t = b < a ? two : four;
    return LN_MIN(a, b);
}

bool ln_wino_fits(const ln_conv *c, const ln_kernels *kernel, size_t stride)
{
    const ln_win *w = &c->win;
    bool fits = !c->exact && c->dtype == LINNET_F32 && c->group == 1 && c->cg >= 8 && c->cg <= kernel->wino_channels &&
                c->m >= 8;

    for (int32_t i = 0; i < LN_WIN_AXES; i++)
        fits = fits && w->kernel[i] == (i ? 3u : 1u) && w->stride[i] == (i ? stride : 1u) && w->dilation[i] == 1 &&
               (i || (w->pad[0] == 0 && w->end[0] == 0 && w->in[0] == 1));
    return fits && w->pad[1] <= 2 && w->pad[2] <= 2;
}

static bool wino_applicable(const ln_conv *c, const ln_kernels *kernel)
{
    wino_cover t;

    if (!kernel->wino_input_f32 || !ln_wino_fits(c, kernel, 1))
        return false;
    const double weights = 9 * (double)c->cg * (double)c->m;
    const double direct = (double)c->pixels * weights * WINO_NS_DIRECT;
    return wino_choose(c, kernel->gemm_nr, &t) < LN_MAX(direct, weights > WINO_WARM ? weights * WINO_NS_WEIGHT : 0);
}

bool ln_wino_stride(size_t rows, size_t columns, size_t *ld)
{
    if (!ln_mul(rows, columns, ld) || !ln_add(*ld, 2 * LN_WINO_LINE, ld))
        return false;
    *ld = (ln_ceil_div(*ld - 2 * LN_WINO_LINE, LN_WINO_LINE) | 1) * LN_WINO_LINE;
    return true;
}

/* The windows of a pooling behind are quarters of tiles, and the activation can wait. */
static bool wino_pools(const ln_conv *c, const wino_cover *t)
{
    const ln_win *w = &c->pool;
    bool fits = w->c && c->act.fn == LN_FN_NONE && t->large == 4 && t->tall == t->down &&
                t->wide == t->across;

    for (int32_t i = 1; i < LN_WIN_AXES; i++)
        fits = fits && w->kernel[i] == 2 && w->stride[i] == 2 && w->dilation[i] == 1 && w->pad[i] == 0 &&
               w->in[i] == 2 * w->out[i];
    return fits;
}

linnet_status ln_wino_divide(ln_prepare *q, ln_conv *c, const ln_wino_cut *cut)
{
    const size_t mr = q->kernel->gemm_mr, nr = q->kernel->gemm_nr, panels = ln_ceil_div(c->m, nr);
    const size_t blocks = ln_ceil_div(c->tiles, ln_ceil_div(cut->block, mr) * mr);
    size_t v, m;

    c->m_tasks = blocks * 2 > WINO_TASKS ? ln_ceil_div(blocks, 4) * 4 : blocks;
    c->step_tiles = ln_ceil_div(c->tiles, c->m_tasks);
    c->m_tasks = ln_ceil_div(c->tiles, c->step_tiles);
    const size_t most = c->m_tasks >= cut->enough ? 1 : WINO_TASKS / c->m_tasks;
    const size_t parts = LN_MIN(most, ln_ceil_div(c->m, WINO_LEAST_N));
    const size_t part = ln_ceil_div(panels, parts), passes = ln_ceil_div(part * nr, WINO_PASS_N);
    c->pass_n = ln_ceil_div(part, passes) * nr;
    c->group_n = passes * c->pass_n;
    c->n_tasks = ln_ceil_div(c->m, c->group_n);
    c->tasks = c->m_tasks * c->n_tasks;
    c->pack_tasks = panels;
    c->spread = c->n_tasks > 1 ? ln_ceil_div(c->tiles, WINO_TASKS) : 0;
    c->pad_tasks = c->spread ? ln_ceil_div(c->tiles, c->spread) : 0;
    if (!ln_mul(panels * nr, c->cg, &c->packed) || !ln_mul(c->packed, cut->u, &c->packed) ||
        !ln_wino_stride(c->spread ? c->tiles : c->step_tiles, c->cg, &v) ||
        !ln_wino_stride(c->step_tiles, c->pass_n, &m) || !ln_mul(v, cut->v, &v) || !ln_mul(m, cut->m, &m) ||
        !ln_add(m, c->spread ? 0 : v, &m) || !ln_mul(m, sizeof(float), &q->scratch) ||
        !ln_add(q->scratch, (mr + LN_WINO_LINE) * sizeof(float *), &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Conv: the weights are too large");
    c->pad_floats = c->spread ? v : 0;
    return LINNET_OK;
}

static linnet_status wino_prepare(ln_prepare *q, ln_conv *c)
{
    wino_cover t;

    wino_choose(c, q->kernel->gemm_nr, &t);
    c->large = t.large, c->down = t.down, c->tall = t.tall, c->across = t.across, c->wide = t.wide;
    c->tiles = c->win.n * c->down * c->across;
    c->pools = wino_pools(c, &t);
    const ln_wino_cut cut = { WINO_BLOCK, WINO_ENOUGH, wino_points(t.large, t.tall, t.wide), WINO_POINTS, WINO_POINTS };
    const linnet_status st = ln_wino_divide(q, c, &cut);
    c->key = c->pass_n * 64 + cut.u;
    return st;
}

size_t ln_wino_part(const ln_conv *c, size_t nr, size_t n0)
{
    return LN_MIN(c->pass_n, ln_ceil_div(c->m, nr) * nr - n0) * c->cg;
}

static void wino_pack(const ln_conv *c, const ln_kernels *kernel, const void *w, float *out, size_t task)
{
    const size_t nr = kernel->gemm_nr, n0 = task * nr, k = 9 * c->cg, n = LN_MIN(nr, c->m - n0);
    const size_t step = LN_CONV_TURN / (9 * nr), first = n0 / c->pass_n * c->pass_n, part = ln_wino_part(c, nr, first);
    float turned[LN_CONV_TURN];

    w = (const char *)w + n0 * k * sizeof(float);
    ln_dense_touch(w, n * k * sizeof(float));
    out += first * c->cg * wino_points(c->large, c->tall, c->wide) + (n0 - first) * c->cg;
    for (size_t p = 0; p < c->cg; p += step) {
        const size_t depth = LN_MIN(step, c->cg - p);
        ln_conv_turn(kernel, w, k, n, 9 * p, 9 * depth, turned);
        kernel->wino_weight_f32(depth, wino_rows(c->large, c->tall), wino_columns(c->wide), turned, out + p * nr, part);
    }
}

/* ---- run ------------------------------------------------------------------------------------ */

/* Tiles that have the point (i, j), among the first `tile`. */
static size_t wino_count(const ln_conv *c, size_t tile, size_t i, size_t j)
{
    const size_t end = i == c->large ? LN_MIN(tile, c->win.n * c->tall * c->across) : tile;

    return j == 4 ? end / c->across * c->wide + LN_MIN(end % c->across, c->wide) : end;
}

/* Tiles [t0, t1) of one row of tiles, `height` outputs high from output row y of image n. */
typedef struct wino_span {
    size_t n, y, height, t0, t1;
} wino_span;

/* The span from tile `at` up to `end`. */
static wino_span wino_next(const ln_conv *c, size_t at, size_t end)
{
    const size_t row = at / c->across, high = c->win.n * c->tall, low = c->down - c->tall;
    wino_span s;

    s.height = row < high ? c->large : c->large - 1;
    s.n = row < high ? row / c->tall : (row - high) / low;
    s.y = row < high ? row % c->tall * c->large : c->large * c->tall + (row - high) % low * s.height;
    s.t0 = at % c->across;
    s.t1 = LN_MIN(c->across, s.t0 + (end - at));
    return s;
}

/* V of tiles [begin, end): v is where `begin` goes, v4 where the next tile with j = 4. */
static void wino_inputs(const ln_run *r, const ln_conv *c, const float *x, size_t begin, size_t end, float *v,
                        float *v4, size_t ld)
{
    const ln_win *w = &c->win;
    const size_t first = wino_count(c, begin, 0, 4);

    for (size_t at = begin; at < end;) {
        const wino_span s = wino_next(c, at, end);
        const ln_wino d = { w->c, s.height, c->wide, ld, w->pad[2], w->in[2], w->c, 3, 4, false };
        const float *rows[6] = { NULL };

        for (size_t i = 0; i < s.height + 2; i++) {
            const size_t y = s.y + i - w->pad[1]; /* wraps above every height where it is padding */
            rows[i] = y < w->in[1] ? x + (s.n * w->in[1] + y) * w->in[2] * w->c : NULL;
        }
        r->kernel->wino_input_f32(&d, rows, s.t0, s.t1, v + (at - begin) * w->c,
                                  v4 + (wino_count(c, at, 0, 4) - first) * w->c);
        at += s.t1 - s.t0;
    }
}

static void wino_outputs(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t begin, size_t end, size_t n0,
                         size_t n1, float *m, size_t ld)
{
    const size_t n = n1 - n0, first = wino_count(c, begin, 0, 4), fold = c->pools ? 2 : 1;
    const size_t height = c->win.out[1] / fold, width = c->win.out[2] / fold;
    const ln_act act = c->pools ? c->pool_act : c->act;

    for (size_t at = begin; at < end;) {
        const wino_span s = wino_next(c, at, end);
        const ln_wino g = { n, s.height, c->wide, ld, 0, width, c->ldy, 3, 4, c->pools };
        const float *add[4] = { NULL };
        float *y[4] = { NULL };

        for (size_t i = 0; i < s.height / fold && s.y / fold + i < height; i++) {
            const size_t to = (s.n * height + s.y / fold + i) * width * c->ldy + n0;
            y[i] = d->y + to;
            add[i] = d->add ? d->add + to : NULL;
        }
        r->kernel->wino_output_f32(&g, m + (at - begin) * n, m + (wino_count(c, at, 0, 4) - first) * n, s.t0, s.t1,
                                   d->bias ? d->bias + n0 : NULL, act, d->add ? add : NULL, y);
        at += s.t1 - s.t0;
    }
}

/* M[f] = V[f] U[f] for tiles [begin, end) and columns [n0, n1). */
static void wino_products(const ln_run *r, const ln_conv *c, const float *u, size_t begin, size_t end, size_t n0,
                          size_t n1, const float *v, const float *v4, size_t ldv, float *m, size_t ldm)
{
    const size_t n = n1 - n0, k = c->cg, mr = r->kernel->gemm_mr;
    const ln_act none = { LN_FN_NONE, 0, 0 };
    const size_t part = ln_wino_part(c, r->kernel->gemm_nr, n0);
    const uint32_t down = wino_rows(c->large, c->tall), across = wino_columns(c->wide);
    const float **a = r->scratch;

    u += n0 * k * wino_points(c->large, c->tall, c->wide);
    for (size_t f = 0; f < WINO_POINTS; f++) {
        if (!(down >> f / 6 & across >> f % 6 & 1u))
            continue;
        const ln_gemm_f32 g = { n, k, 1, u, NULL, none };
        const size_t count = wino_count(c, end, f / 6, f % 6) - wino_count(c, begin, f / 6, f % 6);
        const size_t steps = ln_ceil_div(count, mr);
        const float *from = (f % 6 == 4 ? v4 : v) + f * ldv;
        float *to = m + f * ldm;

        for (size_t i = 0; i < steps; i++) {
            const size_t at = count * i / steps, rows = count * (i + 1) / steps - at;
            const bool last = i + 1 == steps && f + 1 < WINO_POINTS;
            const ln_gemm_more more = { { NULL, NULL }, { 0, 0 }, last ? (ptrdiff_t)part : 0 };
            for (size_t j = 0; j < rows; j++)
                a[j] = from + (at + j) * k;
            r->kernel->gemm_more_f32(&g, rows, a, to + at * n, n, &more, 0, n);
        }
        u += part;
    }
}

/* The phase before: V of some tiles, into the workspace. */
static void wino_spread(const ln_run *r, const ln_conv *c, const float *x, float *out, size_t task)
{
    const size_t begin = task * c->spread, end = LN_MIN(begin + c->spread, c->tiles);
    size_t ld;

    if (ln_wino_stride(c->tiles, c->cg, &ld))
        wino_inputs(r, c, x, begin, end, out + begin * c->cg, out + wino_count(c, begin, 0, 4) * c->cg, ld);
}

static void wino_run(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t task)
{
    const size_t begin = task / c->n_tasks * c->step_tiles, end = LN_MIN(begin + c->step_tiles, c->tiles);
    const size_t n0 = task % c->n_tasks * c->group_n, n1 = LN_MIN(n0 + c->group_n, c->m);
    const size_t line = LN_WINO_LINE * sizeof(float), pointers = r->kernel->gemm_mr * sizeof(float *);
    float *scratch = (float *)(void *)((char *)r->scratch + ln_ceil_div(pointers, line) * line);
    const float *v = scratch, *v4 = v;
    size_t ldv, ldm;

    if (!ln_wino_stride(c->spread ? c->tiles : c->step_tiles, c->cg, &ldv) ||
        !ln_wino_stride(c->step_tiles, c->pass_n, &ldm))
        return;
    if (c->spread) {
        v = d->x + begin * c->cg;
        v4 = d->x + wino_count(c, begin, 0, 4) * c->cg;
    } else {
        wino_inputs(r, c, d->x, begin, end, scratch, scratch, ldv);
        scratch += WINO_POINTS * ldv;
    }
    for (size_t from = n0; from < n1; from += c->pass_n) {
        const size_t to = LN_MIN(from + c->pass_n, n1);
        wino_products(r, c, d->weight, begin, end, from, to, v, v4, ldv, scratch, ldm);
        wino_outputs(r, c, d, begin, end, from, to, scratch, ldm);
    }
}

const ln_conv_way ln_conv_winograd = {
    .name = "winograd", .applicable = wino_applicable, .prepare = wino_prepare, .pack = wino_pack, .pad = wino_spread,
    .run = wino_run,
};

#undef WINO_NS_PRODUCT
#undef WINO_NS_ROW
#undef WINO_NS_DIRECT
#undef WINO_NS_TRANSFORM
#undef WINO_NS_WEIGHT
