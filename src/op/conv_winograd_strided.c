/*
 * conv_winograd_strided.c - 3x3 convolution of stride 2 by Winograd's F(4, 2), F(3, 2), F(2, 2) of the even pixels.
 *
 * kernel.h (ln_wino) has the formulas. As with stride 1, a task is a block of tiles times a range of
 * output channels, and where blocks are few a phase before transforms the input once for all
 * tasks. The output is covered by tiles of four and three, or, where there are so few that reading the weights would
 * take longer than the products, of two and one.
 *
 * The tiles' order makes a range of those of one height, and of those of one width: first those that are high
 * and narrow, then high and wide, low and wide, low and narrow. So each product is of a range of a block.
 */
#include "conv.h"

enum {
    WINO2_V = 81,        /* points of the input */
    WINO2_M = 36,        /* places of points of the output, of which 25 are in use */
    WINO2_CLASSES = 4,
    WINO2_BLOCK = 14,    /* tiles of a block: what is in work stays in the second cache */
    WINO2_SMALL = 1 << 15, /* channels in times out; with more, blocks are twice as large to read U less often */
    WINO2_ENOUGH = 4,    /* blocks with which columns are not divided */
    WINO2_WARM = 1 << 17  /* direct weights of at most these floats stay in cache */
};

/* Nanoseconds on the machine that this was measured on; only their proportion counts. */
#define WINO2_NS_PRODUCT   0.0173 /* per multiply-add of a product */
#define WINO2_NS_ROW       4.0    /* per row of a product and panel of its columns */
#define WINO2_NS_DIRECT    0.0175 /* per multiply-add of a direct convolution */
#define WINO2_NS_TRANSFORM 0.15   /* per point of a channel, in or out */
#define WINO2_NS_WEIGHT    0.135  /* per float of weights that come from memory, beside the computing */

/* The points of the even and the odd pixels of a direction by the outputs of the larger tiles; the smaller
   ones do without the point `only` of either. */
typedef struct wino2_points {
    size_t even, odd, even_only, odd_only, even_at[5], odd_at[4];
} wino2_points;

static const wino2_points wino2_four = { 5, 4, 3, 8, { 0, 1, 2, 3, 4 }, { 5, 6, 7, 8 } };
static const wino2_points wino2_two = { 3, 2, 1, 6, { 0, 1, 4 }, { 5, 6 } };

/* Which points of M those of V add to. */
static const size_t wino2_m[] = { 0, 1, 2, 3, 5, 0, 1, 2, 5 };

static const wino2_points *wino2_of(size_t large) { return large == 4 ? &wino2_four : &wino2_two; }

/* Matrices of the weights. */
static size_t wino2_u(size_t large) { return (large + 2) * (large + 2); }

/* How many tiles cover `length`, and how many of them are `large` outputs long, the others one less. */
static size_t wino2_cover(size_t length, size_t large, size_t *longer)
{
    const size_t tiles = ln_ceil_div(length, large);

    *longer = tiles - LN_MIN(tiles, large * tiles - length);
    return tiles;
}

/* The time of `rows` rows of a product with `matrices` of weights. */
static double wino2_product_ns(const ln_conv *c, size_t nr, double rows, double matrices)
{
    const double weights = (double)c->cg * (double)c->m, panels = (double)ln_ceil_div(c->m, nr);
    const double cold = weights * 9 > WINO2_WARM ? WINO2_NS_WEIGHT * matrices * weights : 0;

    return LN_MAX((double)c->win.n * rows * (weights * WINO2_NS_PRODUCT + panels * WINO2_NS_ROW), cold);
}

static double wino2_ns(const ln_conv *c, size_t nr, size_t large)
{
    size_t tall, wide;
    const size_t down = wino2_cover(c->win.out[1], large, &tall), across = wino2_cover(c->win.out[2], large, &wide);
    const double even_y = (double)(large * down + tall), odd_y = even_y - (double)down, outer = (double)(large + 1);
    const double even_x = (double)(large * across + wide), odd_x = even_x - (double)across;
    const double products = wino2_product_ns(c, nr, even_y * even_x, outer * outer) +
                            wino2_product_ns(c, nr, even_y * odd_x, outer) +
                            wino2_product_ns(c, nr, odd_y * even_x, outer) +
                            wino2_product_ns(c, nr, odd_y * odd_x, 1);
    const double points = (even_y + odd_y) * (even_x + odd_x) * (double)c->cg + even_y * even_x * (double)c->m;

    return products + (double)c->win.n * points * WINO2_NS_TRANSFORM;
}

/* The better size of tiles, and its time. */
static double wino2_choose(const ln_conv *c, size_t nr, size_t *large)
{
    const double four = wino2_ns(c, nr, 4), two = wino2_ns(c, nr, 2);

    *large = two < four ? 2 : 4;
    return LN_MIN(two, four);
}

static bool wino2_applicable(const ln_conv *c, const ln_kernels *kernel)
{
    size_t large;

    if (!kernel->wino2_input_f32 || !ln_wino_fits(c, kernel, 2))
        return false;
    const double weights = 9 * (double)c->cg * (double)c->m;
    const double direct = (double)c->pixels * weights * WINO2_NS_DIRECT;
    const double cold = weights > WINO2_WARM ? weights * WINO2_NS_WEIGHT : 0;
    return wino2_choose(c, kernel->gemm_nr, &large) < LN_MAX(direct, cold);
}

static linnet_status wino2_prepare(ln_prepare *q, ln_conv *c)
{
    wino2_choose(c, q->kernel->gemm_nr, &c->large);
    c->down = wino2_cover(c->win.out[1], c->large, &c->tall);
    c->across = wino2_cover(c->win.out[2], c->large, &c->wide);
    c->tiles = c->win.n * c->down * c->across;
    const size_t block = c->m > WINO2_SMALL / c->cg ? 2 * WINO2_BLOCK : WINO2_BLOCK;
    const ln_wino_cut cut = { block, WINO2_ENOUGH, wino2_u(c->large), WINO2_V, WINO2_M };
    const linnet_status st = ln_wino_divide(q, c, &cut);
    c->key = c->pass_n * 8 + c->large;
    return st;
}

static void wino2_pack(const ln_conv *c, const ln_kernels *kernel, const void *w, float *out, size_t task)
{
    const size_t nr = kernel->gemm_nr, n0 = task * nr, k = 9 * c->cg, n = LN_MIN(nr, c->m - n0);
    const size_t step = LN_CONV_TURN / (9 * nr), first = n0 / c->pass_n * c->pass_n, part = ln_wino_part(c, nr, first);
    float turned[LN_CONV_TURN];

    w = (const char *)w + n0 * k * sizeof(float);
    ln_dense_touch(w, n * k * sizeof(float));
    out += first * c->cg * wino2_u(c->large) + (n0 - first) * c->cg;
    for (size_t p = 0; p < c->cg; p += step) {
        const size_t depth = LN_MIN(step, c->cg - p);
        ln_conv_turn(kernel, w, k, n, 9 * p, 9 * depth, turned);
        kernel->wino2_weight_f32(depth, c->large, turned, out + p * nr, part);
    }
}

/* ---- run ------------------------------------------------------------------------------------ */

/* Tiles [t0, t1) of one row of tiles, all of one class, `height` outputs high from output row y of image n. */
typedef struct wino2_span {
    size_t n, y, height, t0, t1;
} wino2_span;

/* The span from tile `at` up to `end`. */
static wino2_span wino2_next(const ln_conv *c, size_t at, size_t end)
{
    const size_t left = end - at, narrow = c->across - c->wide, tall = c->win.n * c->tall;
    const size_t low = c->win.n * (c->down - c->tall);
    const size_t rows[WINO2_CLASSES] = { tall, tall, low, low };
    const size_t columns[WINO2_CLASSES] = { narrow, c->wide, c->wide, narrow };
    size_t k = 0;
    wino2_span s;

    for (; k + 1 < WINO2_CLASSES && at >= rows[k] * columns[k]; k++)
        at -= rows[k] * columns[k];
    const size_t row = at / columns[k], high = k < 2 ? c->tall : c->down - c->tall;
    const size_t from = k == 1 || k == 2 ? 0 : c->wide;
    s.height = k < 2 ? c->large : c->large - 1;
    s.n = row / high;
    s.y = (k < 2 ? 0 : c->large * c->tall) + row % high * s.height;
    s.t0 = from + at % columns[k];
    s.t1 = LN_MIN(from + columns[k], s.t0 + left);
    return s;
}

/* V of tiles [begin, end): v is where `begin` goes. */
static void wino2_inputs(const ln_run *r, const ln_conv *c, const float *x, size_t begin, size_t end, float *v,
                         size_t ld)
{
    const ln_win *w = &c->win;

    for (size_t at = begin; at < end;) {
        const wino2_span s = wino2_next(c, at, end);
        const ln_wino d = { w->c, s.height, c->wide, ld, w->pad[2], w->in[2], w->c, 2, c->large, false };
        const float *rows[9] = { NULL };

        for (size_t i = 0; i < 2 * s.height + 1; i++) {
            const size_t y = 2 * s.y + i - w->pad[1]; /* wraps above every height where it is padding */
            rows[i] = y < w->in[1] ? x + (s.n * w->in[1] + y) * w->in[2] * w->c : NULL;
        }
        r->kernel->wino2_input_f32(&d, rows, s.t0, s.t1, v + (at - begin) * w->c);
        at += s.t1 - s.t0;
    }
}

static void wino2_outputs(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t begin, size_t end,
                          size_t n0, size_t n1, float *m, size_t ld)
{
    const ln_win *w = &c->win;
    const size_t n = n1 - n0;

    for (size_t at = begin; at < end;) {
        const wino2_span s = wino2_next(c, at, end);
        const ln_wino g = { n, s.height, c->wide, ld, 0, w->out[2], c->ldy, 2, c->large, false };
        const float *add[4] = { NULL }, *const from = m + (at - begin) * n;
        float *y[4] = { NULL };

        for (size_t i = 0; i < s.height && s.y + i < w->out[1]; i++) {
            const size_t to = (s.n * w->out[1] + s.y + i) * w->out[2] * c->ldy + n0;
            y[i] = d->y + to;
            add[i] = d->add ? d->add + to : NULL;
        }
        r->kernel->wino_output_f32(&g, from, from, s.t0, s.t1, d->bias ? d->bias + n0 : NULL, c->act,
                                   d->add ? add : NULL, y);
        at += s.t1 - s.t0;
    }
}

/* Point number f of V, as 9 i + j, in the order of U, and which U it takes. */
static size_t wino2_point(const wino2_points *p, size_t f, size_t *u)
{
    const size_t even = p->even, odd = p->odd, outer = even * even, mixed = even * odd;

    *u = f < outer ? f : f < outer + 2 * mixed ? outer + (f - outer) / odd : outer + 2 * even;
    if (f < outer)
        return p->even_at[f / even] * 9 + p->even_at[f % even];
    f -= outer;
    if (f < mixed)
        return p->even_at[f / odd] * 9 + p->odd_at[f % odd];
    f -= mixed;
    if (f < mixed)
        return p->odd_at[f % odd] * 9 + p->even_at[f / odd];
    f -= mixed;
    return p->odd_at[f / odd % odd] * 9 + p->odd_at[f % odd];
}

/* The tiles of [begin, end) that have the point (i, j). */
static void wino2_range(const ln_conv *c, const wino2_points *p, size_t i, size_t j, size_t *begin, size_t *end)
{
    const size_t tall = c->win.n * c->tall, first = tall * (c->across - c->wide);

    if (i == p->even_only || i == p->odd_only)
        *end = LN_MIN(*end, tall * c->across);
    if (j == p->even_only || j == p->odd_only) {
        *begin = LN_MAX(*begin, first);
        *end = LN_MIN(*end, first + c->win.n * c->down * c->wide);
    }
    *end = LN_MAX(*begin, *end);
}

/* M of tiles [begin, end) and columns [n0, n1). */
static void wino2_products(const ln_run *r, const ln_conv *c, const float *weight, size_t begin, size_t end,
                           size_t n0, size_t n1, const float *v, size_t ldv, float *m, size_t ldm)
{
    const size_t n = n1 - n0, k = c->cg, mr = r->kernel->gemm_mr, part = ln_wino_part(c, r->kernel->gemm_nr, n0);
    const ln_act none = { LN_FN_NONE, 0, 0 };
    const wino2_points *p = wino2_of(c->large);
    const size_t outer = p->even * p->even, points = (p->even + p->odd) * (p->even + p->odd);
    const float **a = r->scratch;

    weight += n0 * k * wino2_u(c->large);
    for (size_t f = 0; f < points; f++) {
        size_t u, next, t0 = begin, t1 = end;
        const size_t place = wino2_point(p, f, &u), i = place / 9, j = place % 9;
        wino2_point(p, f + 1, &next);
        wino2_range(c, p, i, j, &t0, &t1);
        const ln_gemm_f32 g = { n, k, 1, weight + u * part, NULL, none };
        const size_t count = t1 - t0, steps = ln_ceil_div(count, mr);
        const float *from = v + place * ldv + (t0 - begin) * k;
        float *to = m + (wino2_m[i] * 6 + wino2_m[j]) * ldm + (t0 - begin) * n;

        for (size_t s = 0; s < steps; s++) {
            const size_t at = count * s / steps, rows = count * (s + 1) / steps - at;
            float *const y = to + at * n;
            const ln_gemm_more more = { { f < outer ? NULL : y, NULL }, { n, 0 },
                                        s + 1 == steps ? (ptrdiff_t)((next - u) * part) : 0 };
            for (size_t row = 0; row < rows; row++)
                a[row] = from + (at + row) * k;
            r->kernel->gemm_more_f32(&g, rows, a, y, n, &more, 0, n);
        }
    }
}

/* The phase before: V of some tiles, into the workspace. */
static void wino2_spread(const ln_run *r, const ln_conv *c, const float *x, float *out, size_t task)
{
    const size_t begin = task * c->spread, end = LN_MIN(begin + c->spread, c->tiles);
    size_t ld;

    if (ln_wino_stride(c->tiles, c->cg, &ld))
        wino2_inputs(r, c, x, begin, end, out + begin * c->cg, ld);
}

static void wino2_run(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t task)
{
    const size_t begin = task / c->n_tasks * c->step_tiles, end = LN_MIN(begin + c->step_tiles, c->tiles);
    const size_t n0 = task % c->n_tasks * c->group_n, n1 = LN_MIN(n0 + c->group_n, c->m);
    const size_t line = LN_WINO_LINE * sizeof(float), pointers = r->kernel->gemm_mr * sizeof(float *);
    float *scratch = (float *)(void *)((char *)r->scratch + ln_ceil_div(pointers, line) * line);
    const float *v = scratch;
    size_t ldv, ldm;

    if (!ln_wino_stride(c->spread ? c->tiles : c->step_tiles, c->cg, &ldv) ||
        !ln_wino_stride(c->step_tiles, c->pass_n, &ldm))
        return;
    if (c->spread) {
        v = d->x + begin * c->cg;
    } else {
        wino2_inputs(r, c, d->x, begin, end, scratch, ldv);
        scratch += WINO2_V * ldv;
    }
    for (size_t from = n0; from < n1; from += c->pass_n) {
        const size_t to = LN_MIN(from + c->pass_n, n1);
        wino2_products(r, c, d->weight, begin, end, from, to, v, ldv, scratch, ldm);
        wino2_outputs(r, c, d, begin, end, from, to, scratch, ldm);
    }
}

const ln_conv_way ln_conv_winograd_strided = {
    .name = "winograd strided", .applicable = wino2_applicable, .prepare = wino2_prepare, .pack = wino2_pack,
    .pad = wino2_spread, .run = wino2_run,
};

#undef WINO2_NS_PRODUCT
#undef WINO2_NS_ROW
#undef WINO2_NS_DIRECT
#undef WINO2_NS_TRANSFORM
#undef WINO2_NS_WEIGHT
