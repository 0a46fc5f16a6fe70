/*
 * conv_winograd.c - 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3).
 *
 * A task is a block of 4x4 output tiles times a range of output channels: the tiles' inputs are
 * transformed into scratch, 36 small matrix products follow, and the results are transformed back and
 * stored. A block is as large as its 36 matrices fit in L2 beside the weights of one of them.
 */
#include "conv.h"

enum {
    WINO_POINTS = 36,
    WINO_L2_FLOATS = 160 << 10, /* transformed inputs and products of a block: 640 KiB */
    WINO_WARM = 1 << 17,        /* direct weights of at most these floats stay in cache */
    WINO_TASKS = 8,             /* fewer blocks than this are split along the channels too */
    WINO_LEAST_N = 128          /* channels of such a part: the input is transformed for each */
};

/* Nanoseconds on the machine that this was measured on; only their proportion counts. */
#define WINO_NS_PRODUCT   0.0190 /* per multiply-add of a product */
#define WINO_NS_DIRECT    0.0175 /* per multiply-add of a direct convolution */
#define WINO_NS_TRANSFORM 0.35   /* per point of a channel, in or out */
#define WINO_NS_WEIGHT    0.240  /* per float of weights that do not stay in a cache from run to run */

static size_t wino_tiles(const ln_conv *c, int32_t axis) { return ln_ceil_div(c->win.out[axis], 4); }

/* Columns [*n0, *n1) of part `i` of c->n_tasks. */
static void wino_columns(const ln_conv *c, size_t i, size_t *n0, size_t *n1)
{
    *n0 = i * c->group_n;
    *n1 = LN_MIN(*n0 + c->group_n, c->m);
}

static bool wino_applicable(const ln_conv *c, const ln_kernels *kernel)
{
    const ln_win *w = &c->win;
    bool fits = !c->exact && c->dtype == LINNET_F32 && c->group == 1 && kernel->wino_input_f32 && c->cg >= 8 && c->m >= 8;

    for (int32_t i = 0; i < LN_WIN_AXES; i++)
        fits = fits && w->kernel[i] == (i ? 3u : 1u) && w->stride[i] == 1 && w->dilation[i] == 1 &&
               (i || (w->pad[0] == 0 && w->end[0] == 0 && w->in[0] == 1));
    if (!fits || w->pad[1] > 2 || w->pad[2] > 2)
        return false;
    const double tiles = (double)w->n * (double)wino_tiles(c, 1) * (double)wino_tiles(c, 2);
    const double weights = (double)c->cg * (double)c->m;
    const double cold = weights * 9 > WINO_WARM ? WINO_NS_WEIGHT : 0;
    const double direct = (double)c->pixels * weights * 9 * WINO_NS_DIRECT + cold * 9 * weights;
    const double wino = tiles * WINO_POINTS * (weights * WINO_NS_PRODUCT + (double)(c->cg + c->m) * WINO_NS_TRANSFORM)
                        + cold * WINO_POINTS * weights;
    return wino < direct;
}

static linnet_status wino_prepare(ln_prepare *q, ln_conv *c)
{
    const size_t mr = q->kernel->gemm_mr, nr = q->kernel->gemm_nr;
    const size_t tiles = c->win.n * wino_tiles(c, 1) * wino_tiles(c, 2), panels = ln_ceil_div(c->m, nr);
    /* Where the weights come from far away, fewer and larger blocks fetch them less often. */
    const size_t least = c->cg * c->m * 9 > WINO_WARM ? 2 * mr : mr;
    size_t block = LN_MAX(WINO_L2_FLOATS / (WINO_POINTS * (c->cg + c->m)), least), floats;

    block = LN_MIN(LN_MIN(block / mr * mr, 4 * mr), tiles);
    c->m_tasks = ln_ceil_div(tiles, block);
    c->step_tiles = ln_ceil_div(tiles, c->m_tasks);
    c->m_tasks = ln_ceil_div(tiles, c->step_tiles);
    c->tiles = tiles;
    const size_t parts = LN_MIN(ln_ceil_div((size_t)WINO_TASKS, c->m_tasks), LN_MAX(c->m / WINO_LEAST_N, (size_t)1));
    c->group_n = ln_ceil_div(panels, parts) * nr;
    c->n_tasks = ln_ceil_div(c->m, c->group_n);
    c->tasks = c->m_tasks * c->n_tasks;
    c->pack_tasks = panels;
    c->key = 0;
    if (!ln_mul(panels * nr, c->cg, &c->part_packed) || !ln_mul(c->part_packed, WINO_POINTS, &c->packed) ||
        !ln_mul(WINO_POINTS * c->step_tiles, c->cg + c->group_n, &floats) ||
        !ln_mul(floats, sizeof(float), &q->scratch) || !ln_add(q->scratch, mr * sizeof(float *), &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Conv: the weights are too large");
    return LINNET_OK;
}

static void wino_pack(const ln_conv *c, const ln_kernels *kernel, const void *w, float *out, size_t task)
{
    const size_t nr = kernel->gemm_nr, n0 = task * nr, k = 9 * c->cg, n = LN_MIN(nr, c->m - n0);
    const size_t step = LN_CONV_TURN / (9 * nr);
    float turned[LN_CONV_TURN];

    for (size_t p = 0; p < c->cg; p += step) {
        const size_t depth = LN_MIN(step, c->cg - p);
        ln_conv_turn(kernel, (const char *)w + n0 * k * sizeof(float), k, n, 9 * p, 9 * depth, turned);
        kernel->wino_weight_f32(depth, turned, out + (n0 * c->cg + p * nr), c->part_packed);
    }
}

/* Tiles [*t0, *t1) of one row of tiles: those from flat index `at` up to `end`. Returns the first index behind. */
static size_t wino_span(const ln_conv *c, size_t at, size_t end, size_t *row, size_t *t0, size_t *t1)
{
    const size_t across = wino_tiles(c, 2);

    *row = at / across;
    *t0 = at % across;
    *t1 = LN_MIN(across, *t0 + (end - at));
    return at + (*t1 - *t0);
}

static void wino_inputs(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t begin, size_t end, float *v,
                        size_t ldv)
{
    const ln_win *w = &c->win;
    const ln_window g = { .c = w->c, .kh = 3, .kw = 3, .stride = 1, .dilation = 1, .pad = w->pad[2], .w_in = w->in[2],
                          .w_out = w->out[2], .ldx = w->c, .ldy = c->m };
    const size_t down = wino_tiles(c, 1);
    size_t row, t0, t1;

    for (size_t at = begin; at < end;) {
        const size_t first = at;
        const float *rows[6];
        at = wino_span(c, at, end, &row, &t0, &t1);
        for (size_t i = 0; i < 6; i++) {
            const size_t y = row % down * 4 + i - w->pad[1]; /* wraps above every height where it is padding */
            rows[i] = y < w->in[1] ? d->x + ((row / down) * w->in[1] + y) * w->in[2] * w->c : NULL;
        }
        r->kernel->wino_input_f32(&g, rows, t0, t1, v + (first - begin) * w->c, ldv);
    }
}

static void wino_outputs(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t begin, size_t end, size_t n0,
                         size_t n1, const float *m, size_t ldm)
{
    const ln_win *w = &c->win;
    const ln_window g = { .c = n1 - n0, .kh = 3, .kw = 3, .stride = 1, .dilation = 1, .pad = w->pad[2],
                          .w_in = w->in[2], .w_out = w->out[2], .ldx = w->c, .ldy = c->m };
    const size_t down = wino_tiles(c, 1);
    size_t row, t0, t1;

    for (size_t at = begin; at < end;) {
        const size_t first = at;
        const float *add[4];
        float *y[4];
        at = wino_span(c, at, end, &row, &t0, &t1);
        for (size_t i = 0; i < 4; i++) {
            const size_t line = row % down * 4 + i;
            const size_t to = ((row / down) * w->out[1] + line) * w->out[2] * c->m + n0;
            y[i] = line < w->out[1] ? d->y + to : NULL;
            add[i] = d->add && y[i] ? d->add + to : NULL;
        }
        r->kernel->wino_output_f32(&g, m + (first - begin) * (n1 - n0), ldm, t0, t1, d->bias ? d->bias + n0 : NULL,
                                   c->act, d->add ? add : NULL, y);
    }
}

static void wino_run(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t task)
{
    const size_t begin = task / c->n_tasks * c->step_tiles, end = LN_MIN(begin + c->step_tiles, c->tiles);
    const size_t count = end - begin, k = c->cg, mr = r->kernel->gemm_mr;
    const ln_act none = { LN_FN_NONE, 0, 0 };
    size_t n0, n1;

    wino_columns(c, task % c->n_tasks, &n0, &n1);
    const size_t n = n1 - n0, ldv = count * k, ldm = count * n, steps = ln_ceil_div(count, mr);
    const float **a = r->scratch;
    float *v = (float *)(void *)(a + mr), *m = v + WINO_POINTS * ldv;
    wino_inputs(r, c, d, begin, end, v, ldv);
    for (size_t f = 0; f < WINO_POINTS; f++) {
        const ln_gemm_f32 g = { n, k, 1, d->weight + f * c->part_packed + n0 * k, NULL, none };
        for (size_t i = 0; i < steps; i++) {
            const size_t from = count * i / steps, rows = count * (i + 1) / steps - from;
            for (size_t j = 0; j < rows; j++)
                a[j] = v + f * ldv + (from + j) * k;
            r->kernel->gemm_f32(&g, rows, a, m + f * ldm + from * n, n, NULL, 0, 0, n);
        }
    }
    wino_outputs(r, c, d, begin, end, n0, n1, m, ldm);
}

const ln_conv_way ln_conv_winograd = {
    "winograd", false, wino_applicable, wino_prepare, wino_pack, NULL, wino_run,
};

#undef WINO_NS_PRODUCT
#undef WINO_NS_DIRECT
#undef WINO_NS_TRANSFORM
#undef WINO_NS_WEIGHT
