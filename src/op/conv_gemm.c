/*
 * conv_gemm.c - convolution as a product of rows of pixels with packed weights.
 *
 * No im2col copy: for each tile of output pixels an array of pointers, one per kernel tap and
 * row, names the input vectors; padding points at zeros. Taps that are neighbours in memory
 * become one long run: 1x1 and windows over whole rows by themselves, images of few channels
 * after one copy with the padding written out.
 *
 * Groups with fewer columns than a panel are merged into block-diagonal ones.
 *
 * A task is a group of columns whose weights stay in L2 times a range of tiles.
 */
#include "conv.h"

enum {
    GEMM_L2_FLOATS = 1 << 17, /* packed weights of a group of columns: 512 KiB */
    GEMM_CHAIN_FLOATS = 1 << 15, /* weights in a chain: 128 KiB */
    GEMM_FLAT_DEPTH = 128,    /* as far as there is something to gain from gemm_flat_f32 */
    GEMM_FEW_CHANNELS = 16,   /* below, runs of kernel rows are worth a copy of the input */
    GEMM_GEMV_FLOATS = 1 << 18
};
/* Multiply-adds of a task: a sixteenth of the whole, within these. */
#define GEMM_TASK_LEAST 5.0e5
#define GEMM_TASK_MOST  4.0e6

static bool gemm_applicable(const ln_conv *c, const ln_kernels *kernel)
{
    LN_UNUSED(c);
    LN_UNUSED(kernel);
    return true;
}

/* As many groups in one panel as fit. */
void ln_conv_merge_groups(ln_conv *c, size_t nr)
{
    size_t e = 1;

    for (size_t i = 2; i <= c->group && i * c->mg <= nr; i++)
        if (c->group % i == 0)
            e = i;
    c->parts = c->group / e;
    c->pn = e * c->mg;
    c->pk = e * c->cg;
}

/* Taps that follow each other in memory become runs; the copy that makes more of them. */
static linnet_status gemm_merge_taps(ln_prepare *q, ln_conv *c)
{
    const ln_win *w = &c->win;
    bool pads = false;

    c->src = *w;
    memcpy(c->taps, w->kernel, sizeof c->taps);
    c->run = c->pk;
    if (c->parts > 1 || w->dilation[2] > 1)
        return LINNET_OK;
    for (int32_t i = 0; i < LN_WIN_AXES; i++)
        pads = pads || w->pad[i] || w->end[i];
    if (pads && w->c < GEMM_FEW_CHANNELS && w->kernel[2] > 1) {
        size_t all = w->n * w->c;
        for (int32_t i = 0; i < LN_WIN_AXES; i++) {
            c->src.in[i] = w->in[i] + w->pad[i] + w->end[i];
            c->src.pad[i] = c->src.end[i] = 0;
            if (!ln_mul(all, c->src.in[i], &all))
                return ln_fail(q->err, LINNET_ERR_LIMIT, "Conv: the padded input is too large");
        }
        c->pad_floats = all;
        c->rows = LN_MAX((size_t)LN_CHUNK / (c->src.in[2] * w->c), (size_t)1);
        c->pad_tasks = ln_ceil_div(w->n * c->src.in[0] * c->src.in[1], c->rows);
    } else if (pads) {
        return LINNET_OK;
    }
    for (int32_t i = LN_WIN_AXES - 1; i >= 0; i--) {
        if (w->dilation[i] > 1)
            break;
        c->run *= c->taps[i];
        c->taps[i] = 1;
        if (c->src.in[i] != w->kernel[i]) /* the next row does not follow */
            break;
    }
    return LINNET_OK;
}

/* Tasks: groups of columns outermost, so that those weights stay in cache over tasks. */
static void gemm_cut(ln_conv *c, const ln_kernels *kernel, size_t k)
{
    const size_t nr = kernel->gemm_nr, panels = ln_ceil_div(c->pn, nr), rows = kernel->gemm_mr;
    size_t group = LN_MAX((size_t)GEMM_L2_FLOATS / (k * nr), (size_t)1);

    c->tiles = ln_ceil_div(c->pixels, rows);
    if (c->pixels == 1)
        group = LN_MAX((size_t)GEMM_GEMV_FLOATS / (k * nr), (size_t)1);
    c->n_tasks = ln_ceil_div(panels, group);
    group = ln_ceil_div(panels, c->n_tasks);
    c->n_tasks = ln_ceil_div(panels, group);
    c->group_n = group * nr;

    const double tile = (double)LN_MIN(rows, c->pixels) * (double)k * (double)c->group_n;
    const double all = (double)c->pixels * (double)k * (double)c->pn * (double)c->parts;
    const double task = LN_MIN(LN_MAX(all / 16.0, GEMM_TASK_LEAST), GEMM_TASK_MOST);
    const size_t fit = LN_MAX((size_t)(task / tile), (size_t)1);
    c->m_tasks = ln_ceil_div(c->tiles, fit);
    c->step_tiles = ln_ceil_div(c->tiles, c->m_tasks);
    c->m_tasks = ln_ceil_div(c->tiles, c->step_tiles);
    c->tasks = c->parts * c->n_tasks * c->m_tasks;
}

/* The zeros of padding, and how far each tap lies behind the first one. */
linnet_status ln_conv_tables(ln_prepare *q, ln_conv *c)
{
    const ln_win *w = &c->src;
    float *zero = ln_plan_alloc(q, LN_MAX(c->run, (size_t)1), sizeof *zero);
    size_t *offset = ln_plan_alloc(q, c->tap_count, sizeof *offset);

    if (!zero || !offset)
        return ln_fail(q->err, LINNET_ERR_MEMORY, "Conv: out of memory");
    for (size_t t = 0; t < c->tap_count; t++) {
        const ln_pixel k = ln_pixel_at(c->taps, t);
        const size_t row = k.at[0] * w->dilation[0] * w->in[1] + k.at[1] * w->dilation[1];
        offset[t] = (row * w->in[2] + k.at[2] * w->dilation[2]) * w->c;
    }
    c->zero = zero;
    c->offset = offset;
    c->flat = c->tap_count == 1;
    for (int32_t i = 0; i < LN_WIN_AXES; i++)
        c->flat = c->flat && w->in[i] == w->out[i] && w->stride[i] == 1 && w->pad[i] == 0;
    return LINNET_OK;
}

bool ln_conv_flat(const ln_win *w)
{
    bool flat = true;

    for (int32_t i = 0; i < LN_WIN_AXES; i++)
        flat = flat && w->kernel[i] == 1 && w->stride[i] == 1 && w->in[i] == w->out[i] && w->pad[i] == 0;
    return flat;
}

static linnet_status gemm_prepare(ln_prepare *q, ln_conv *c)
{
    const size_t mr = q->kernel->gemm_mr, nr = q->kernel->gemm_nr;
    size_t k;
    linnet_status st;

    ln_conv_merge_groups(c, nr);
    if ((st = gemm_merge_taps(q, c)) != LINNET_OK)
        return st;
    c->tap_count = ln_pixels(c->taps);
    if (!ln_mul(ln_win_taps(&c->win), c->pk, &k) || !ln_mul(k, ln_ceil_div(c->pn, nr) * nr, &c->part_packed)
        || !ln_mul(c->part_packed, c->parts, &c->packed))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Conv: the weights are too large");
    gemm_cut(c, q->kernel, k);
    c->pack_tasks = c->parts * ln_ceil_div(c->pn, nr);
    c->key = c->pn;
    if (!ln_mul(c->tap_count, mr * sizeof(float *), &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Conv: the kernel is too large");
    return ln_conv_tables(q, c);
}

/* ---- packing ------------------------------------------------------------------- */

void ln_conv_turn(const ln_kernels *kernel, const void *w, size_t k, size_t n, size_t p0, size_t depth, float *out)
{
    float rows[LN_CONV_TURN]; /* runs of each column, which the file may have anywhere */

    for (size_t j = 0; j < n; j++) {
        const char *from = (const char *)w + (j * k + p0) * sizeof(float);

        memcpy(rows + j * depth, from, depth * sizeof(float));
        ln_dense_ahead(from, depth, k - p0);
    }
    kernel->pack_b_f32(depth, n, rows, 1, (ptrdiff_t)depth, 1.0f, 0, depth, 0, n, out);
}

float ln_conv_weight(const ln_conv *c, const void *w, size_t i)
{
    float v;

    if (c->dtype != LINNET_F32)
        return (float)ln_get_f64(c->dtype, w, i);
    memcpy(&v, (const char *)w + i * sizeof v, sizeof v);
    return v;
}

/* One panel of f32 weights [n][channels][taps], turned: [taps][channels][nr]. */
static void gemm_pack_turned(const ln_conv *c, const ln_kernels *kernel, const void *w, size_t n, float *panel)
{
    const size_t nr = kernel->gemm_nr, taps = ln_win_taps(&c->win), k = taps * c->cg, step = LN_CONV_TURN / nr;
    float turned[LN_CONV_TURN];
    size_t row = 0; /* of the next element: its tap times the channels, plus its channel */

    for (size_t p = 0; p < k; p += step) {
        const size_t depth = LN_MIN(step, k - p);

        ln_conv_turn(kernel, w, k, n, p, depth, taps > 1 ? turned : panel + p * nr);
        for (size_t i = 0; i < depth && taps > 1; i++) {
            memcpy(panel + row * nr, turned + i * nr, nr * sizeof(float));
            row += c->cg;
            row -= row >= k ? k - 1 : 0;
        }
    }
}

/* One panel of one part: [taps][pk][nr]. */
static void gemm_pack(const ln_conv *c, const ln_kernels *kernel, const void *w, float *out, size_t task)
{
    const size_t nr = kernel->gemm_nr, panels = ln_ceil_div(c->pn, nr), part = task / panels;
    const size_t taps = ln_win_taps(&c->win), k = taps * c->pk, n0 = task % panels * nr;
    const size_t n1 = LN_MIN(n0 + nr, c->pn), m0 = part * c->pn;
    float *panel = out + part * c->part_packed + n0 * k;

    if (c->pn == c->mg && c->dtype == LINNET_F32) {
        w = (const char *)w + (m0 + n0) * k * sizeof(float);
        ln_dense_touch(w, (n1 - n0) * k * sizeof(float));
        gemm_pack_turned(c, kernel, w, n1 - n0, panel);
        return;
    }
    memset(panel, 0, k * nr * sizeof(float));
    for (size_t j = n0; j < n1; j++) {
        const size_t first = j / c->mg * c->cg, from = (m0 + j) * c->cg * taps;

        for (size_t ch = 0; ch < c->cg; ch++)
            for (size_t t = 0; t < taps; t++)
                panel[(t * c->pk + first + ch) * nr + j - n0] = ln_conv_weight(c, w, from + ch * taps + t);
    }
}

/* Some rows of the input with its padding. */
static void gemm_pad(const ln_run *r, const ln_conv *c, const float *x, float *out, size_t task)
{
    const ln_win *w = &c->win;
    const size_t *dim = c->src.in;
    const size_t end = LN_MIN((task + 1) * c->rows, w->n * dim[0] * dim[1]), width = dim[2] * w->c;
    const size_t before = w->pad[2] * w->c, middle = w->in[2] * w->c;

    LN_UNUSED(r);
    for (size_t i = task * c->rows; i < end; i++) {
        const size_t z = i / dim[1] % dim[0] - w->pad[0], y = i % dim[1] - w->pad[1];
        const size_t n = i / (dim[1] * dim[0]);
        float *to = out + i * width;

        if (z >= w->in[0] || y >= w->in[1]) { /* wrapped below zero, or behind the end */
            memset(to, 0, width * sizeof(float));
            continue;
        }
        memset(to, 0, before * sizeof(float));
        memcpy(to + before, x + ((n * w->in[0] + z) * w->in[1] + y) * middle, middle * sizeof(float));
        memset(to + before + middle, 0, (width - before - middle) * sizeof(float));
    }
}

/* ---- run -------------------------------------------------------------------------- */

/* True where the window of an output pixel touches no padding; *at is its first input pixel. */
static bool gemm_inside(const ln_conv *c, const ln_pixel *o, size_t *at)
{
    const ln_win *w = &c->src;
    size_t first[LN_WIN_AXES];

    for (int32_t i = 0; i < LN_WIN_AXES; i++) {
        const size_t x = o->at[i] * w->stride[i];

        first[i] = x - w->pad[i];
        if (x < w->pad[i] || first[i] + (c->taps[i] - 1) * w->dilation[i] >= w->in[i])
            return false;
    }
    *at = ((o->n * w->in[0] + first[0]) * w->in[1] + first[1]) * w->in[2] + first[2];
    return true;
}

/* Pointers of one output pixel: a[tap * mr]. */
void ln_conv_pointers(const ln_conv *c, const float *x, const ln_pixel *o, size_t mr, const float **a)
{
    const ln_win *w = &c->src;
    size_t at;

    if (gemm_inside(c, o, &at)) {
        const float *from = x + at * w->c;
        for (size_t t = 0; t < c->tap_count; t++)
            a[t * mr] = from + c->offset[t];
        return;
    }
    for (size_t kz = 0; kz < c->taps[0]; kz++) {
        size_t z, y;
        const bool deep = ln_win_at(w, 0, o->at[0], kz, &z);

        for (size_t ky = 0; ky < c->taps[1]; ky++) {
            const bool in = ln_win_at(w, 1, o->at[1], ky, &y) && deep;
            const size_t row = in ? ((o->n * w->in[0] + z) * w->in[1] + y) * w->in[2] : 0;

            for (size_t kx = 0; kx < c->taps[2]; kx++, a += mr)
                *a = in && ln_win_at(w, 2, o->at[2], kx, &at) ? x + (row + at) * w->c : c->zero;
        }
    }
}

static void gemm_run(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t task)
{
    const size_t mr = r->kernel->gemm_mr, first = task % c->m_tasks * c->step_tiles;
    const size_t last = LN_MIN(first + c->step_tiles, c->tiles);
    const size_t n_task = task / c->m_tasks % c->n_tasks, part = task / (c->m_tasks * c->n_tasks);
    const size_t n0 = n_task * c->group_n, n1 = LN_MIN(n0 + c->group_n, c->pn), m0 = part * c->pn;
    const ln_gemm_f32 g = { c->pn, c->run, c->tap_count, d->weight + part * c->part_packed,
                            d->bias ? d->bias + m0 : NULL, c->act };
    const float *x = d->x + part * c->pk, **a = r->scratch;
    const size_t even = c->pixels / c->tiles, longer = c->pixels % c->tiles; /* sizes of tiles differ by at most one */
    size_t i = even * first + LN_MIN(first, longer);
    ln_pixel o = ln_pixel_at(c->win.out, i);

    if (c->flat && c->pixels > 1 && c->run <= GEMM_FLAT_DEPTH) {
        const size_t pixels = even * last + LN_MIN(last, longer) - i;

        r->kernel->gemm_flat_f32(&g, pixels, x + i * c->src.c, c->src.c, d->y + i * c->ldy + m0, c->ldy,
                                 d->add ? d->add + i * c->m + m0 : NULL, c->m, n0, n1);
        return;
    }
    for (size_t t = first; t < last; t++) {
        const size_t rows = even + (t < longer), at = i * c->m + m0, to = i * c->ldy + m0;
        const float *add = d->add ? d->add + at : NULL;

        for (size_t j = 0; j < rows && c->flat; j++)
            a[j] = x + (i + j) * c->src.c;
        for (size_t j = 0; j < rows && !c->flat; j++) {
            ln_conv_pointers(c, x, &o, mr, a + j);
            ln_pixel_next(c->win.out, &o);
        }
        if (c->pixels == 1 && g.taps == 1)
            r->kernel->gemv_f32(&g, a[0], d->y + to, add, n0, n1);
        else
            r->kernel->gemm_f32(&g, rows, a, d->y + to, c->ldy, add, c->m, n0, n1);
        i += rows;
    }
}

/* 1x1 whose weights leave L2 room for the rest of a chain. */
static bool gemm_by_rows(const ln_conv *c, const ln_kernels *kernel)
{
    LN_UNUSED(kernel);
    return ln_conv_flat(&c->win) && c->group == 1 && c->win.in[0] == 1 && c->pixels > 1 &&
           c->m <= GEMM_CHAIN_FLOATS / c->cg;
}

/* As many rows at once as follow each other. */
static void gemm_rows(const ln_run *r, const ln_conv *c, const ln_conv_data *d, const ln_conv_strip *s)
{
    const size_t width = c->win.out[2];
    const ln_gemm_f32 g = { c->pn, c->run, c->tap_count, d->weight, d->bias, c->act };
    size_t n;

    for (size_t y = 0; y < s->h; y += n) {
        const size_t at = y * width * c->m;

        for (n = 1; y + n < s->h && s->rows[y + n] == s->rows[y] + n * width * c->cg; n++)
            ;
        r->kernel->gemm_flat_f32(&g, n * width, s->rows[y], c->cg, d->y + at, c->m, d->add ? d->add + at : NULL, c->m,
                                 0, c->m);
    }
}

const ln_conv_way ln_conv_gemm = {
    "gemm", false, gemm_applicable, gemm_prepare, gemm_pack, gemm_pad, gemm_run, gemm_by_rows, gemm_rows,
};

#undef GEMM_TASK_LEAST
#undef GEMM_TASK_MOST
