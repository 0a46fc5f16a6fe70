/*
 * winograd.c - the three transforms together with gemm_f32 are a 3 x 3 convolution.
 *
 * The oracle is the convolution itself in double. Errors are compared with the largest output,
 * as the contract says. Images are covered by tiles of four and three in any mixture.
 */
#include "check.h"

enum { MAX_MR = 32 };

typedef struct layer {
    size_t       c, n, pad, h_in, w_in, h_out, w_out, ldx, ldy;
    size_t       down, tall, across, wide; /* tiles; those of `size` outputs downwards and of four across */
    size_t       size;
    size_t       ldv, ldm;
    uint32_t     rows, columns; /* bits of the points that there are */
    bool         pool;  /* of two by two outputs the largest */
    const float *x, *w, *bias, *add;
    float       *u, *v, *m, *y;
    ln_act       act;
} layer;

/* Tiles of `size` and one less that cover `length`, in any mixture that does. */
static size_t cover(size_t length, size_t size, size_t *large)
{
    const size_t least = (length + size - 1) / size, tiles = least + check_rand(0, 1), small = size - 1;

    *large = tiles;
    while (*large > 0 && small * tiles + *large > length &&
           (check_rand(0, 2) || small * tiles + *large > length + small))
        --*large;
    while (small * tiles + *large < length)
        ++*large;
    return tiles;
}

/* Tiles with the point (i, j) in `rows` rows of tiles and `some` tiles of the next. */
static size_t count(const layer *l, size_t rows, size_t some, size_t i, size_t j)
{
    if (i == l->size && rows >= l->tall)
        rows = l->tall, some = 0;
    return j == 4 ? rows * l->wide + (some < l->wide ? some : l->wide) : rows * l->across + some;
}

static ln_wino geometry(const layer *l, size_t row, bool out)
{
    const size_t width = l->pool ? l->w_out / 2 : l->w_out;

    return (ln_wino){ out ? l->n : l->c, l->size - (row >= l->tall), l->wide, out ? l->ldm : l->ldv,
                      out ? 0 : l->pad, out ? width : l->w_in, out ? l->ldy : l->ldx, 3, 4, out && l->pool };
}

static size_t top(const layer *l, size_t row) { return (l->size - 1) * row + (row < l->tall ? row : l->tall); }

/* Tiles [t0, t1) of a row of tiles. */
static void input_row(const layer *l, size_t row, size_t t0, size_t t1)
{
    const ln_wino d = geometry(l, row, false);
    const float *rows[6];

    for (size_t i = 0; i < d.tall + 2; i++) {
        const size_t at = top(l, row) + i;
        rows[i] = at < l->pad || at - l->pad >= l->h_in ? NULL : l->x + (at - l->pad) * l->w_in * l->ldx;
    }
    check_now.wino_input_f32(&d, rows, t0, t1, l->v + count(l, row, t0, 0, 0) * l->c,
                             l->v + count(l, row, t0, 0, 4) * l->c);
}

static void output_row(const layer *l, size_t row, size_t t0, size_t t1)
{
    const ln_wino d = geometry(l, row, true);
    const float *add[4];
    float *y[4];

    for (size_t i = 0; i < (l->pool ? 2 : d.tall); i++) {
        const size_t line = (l->pool ? 2 * row : top(l, row)) + i, at = line * d.width * l->ldy;
        y[i]   = line < (l->pool ? l->h_out / 2 : l->h_out) ? l->y + at : NULL;
        add[i] = y[i] && l->add ? l->add + at : NULL;
    }
    check_now.wino_output_f32(&d, l->m + count(l, row, t0, 0, 0) * l->n, l->m + count(l, row, t0, 0, 4) * l->n,
                              t0, t1, l->bias, l->act, l->add ? add : NULL, y);
}

/* M[f] = V[f] U[f] for all tiles. */
static void products(const layer *l)
{
    const size_t mr = check_now.gemm_mr, nr = check_now.gemm_nr, ldu = (l->n + nr - 1) / nr * nr * l->c;

    for (size_t f = 0, u = 0; f < 36; f++) {
        const ln_gemm_f32 g = { .n = l->n, .k = l->c, .taps = 1, .b = l->u + u * ldu };
        const bool there = l->rows >> f / 6 & l->columns >> f % 6 & 1u;
        const size_t rows = there ? count(l, l->down, 0, f / 6, f % 6) : 0;

        for (size_t i = 0; i < rows; i += mr) {
            const size_t some = rows - i < mr ? rows - i : mr;
            const float *a[MAX_MR];
            for (size_t r = 0; r < some; r++)
                a[r] = l->v + f * l->ldv + (i + r) * l->c;
            check_now.gemm_f32(&g, some, a, l->m + f * l->ldm + i * l->n, l->n, NULL, 0, 0, l->n);
        }
        u += there;
    }
}

static void run_layer(const layer *l)
{
    for (size_t row = 0; row < l->down; row++) { /* a row in two calls */
        const size_t cut = check_rand(0, l->across);
        input_row(l, row, 0, cut);
        input_row(l, row, cut, l->across);
    }
    products(l);
    for (size_t row = 0; row < l->down; row++) {
        const size_t cut = check_rand(0, l->across);
        output_row(l, row, 0, cut);
        output_row(l, row, cut, l->across);
    }
}

static layer make_layer(size_t c, size_t n, size_t h, size_t w, size_t pad, bool pool)
{
    const size_t nr = check_now.gemm_nr, ldu = (n + nr - 1) / nr * nr * c;
    const float range = check_rand(0, 1) ? 1.0f : 1e4f, low = check_rand(0, 1) ? -1.0f : 0.0f;
    layer l = { .c = c, .n = n, .pad = pad, .h_in = h, .w_in = w, .h_out = h + 2 * pad - 2,
                .w_out = w + 2 * pad - 2, .ldx = c + check_rand(0, 2), .ldy = n + check_rand(0, 2) };
    const size_t in = (h * w - 1) * l.ldx + c, out = (l.h_out * l.w_out - 1) * l.ldy + n;
    float *x = check_buf(in), *weight = check_buf(9 * c * n), *bias = check_buf(n), *add = check_buf(out);

    l.size = pool || check_rand(0, 1) ? 4 : 2;
    l.down = cover(l.h_out, l.size, &l.tall);
    l.across = cover(l.w_out, 4, &l.wide);
    if (pool) {
        l.down = l.tall = (l.h_out + 3) / 4;
        l.across = l.wide = (l.w_out + 3) / 4;
    } else if (check_rand(0, 3) == 0) {
        l.down = (l.h_out + l.size - 2) / (l.size - 1), l.across = (l.w_out + 2) / 3;
        l.tall = l.wide = 0;
    }
    l.rows = l.size == 2 ? 0x27u : l.tall ? 0x3fu : 0x2fu;
    l.columns = l.wide ? 0x3fu : 0x2fu;
    l.ldv = l.down * l.across * c + check_rand(0, 3);
    l.ldm = l.down * l.across * n + check_rand(0, 3);
    check_fill(x, in, low * range, range);
    check_fill(weight, 9 * c * n, check_rand(0, 1) ? -1.0f : 0.0f, 1.0f);
    check_fill(bias, n, -1.0f, 1.0f);
    check_fill(add, out, -1.0f, 1.0f);
    l.x = x, l.w = weight, l.bias = check_rand(0, 2) ? bias : NULL, l.add = check_rand(0, 1) && !pool ? add : NULL;
    l.pool = pool;
    l.u = check_buf(36 * ldu);
    l.v = check_buf(36 * l.ldv);
    l.m = check_buf(36 * l.ldm);
    l.y = check_buf(out);
    const size_t k = 9 * c, cut = check_rand(0, c);
    float *turned = check_buf(ldu * 9);
    check_now.pack_b_f32(k, n, weight, 1, (ptrdiff_t)k, 1.0f, 0, k, 0, n, turned);
    for (size_t j = 0; j < n; j += nr) {
        check_now.wino_weight_f32(c - cut, l.rows, l.columns, turned + j * k + cut * 9 * nr, l.u + j * c + cut * nr,
                                  ldu);
        check_now.wino_weight_f32(cut, l.rows, l.columns, turned + j * k, l.u + j * c, ldu);
    }
    return l;
}

static double want_pixel(const layer *l, size_t y, size_t x, size_t n)
{
    double sum = l->bias ? (double)l->bias[n] : 0.0;

    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++) {
            const size_t row = y + i - l->pad, col = x + j - l->pad;
            if (y + i < l->pad || x + j < l->pad || row >= l->h_in || col >= l->w_in)
                continue;
            for (size_t c = 0; c < l->c; c++)
                sum += (double)l->x[(row * l->w_in + col) * l->ldx + c] *
                       (double)l->w[(n * l->c + c) * 9 + i * 3 + j];
        }
    return sum + (l->add ? (double)l->add[(y * l->w_out + x) * l->ldy + n] : 0.0);
}

static double act_of(ln_act act, double x)
{
    if (act.fn == LN_FN_CLIP)
        return fmin(fmax(x, (double)act.a), (double)act.b);
    return act.fn == LN_FN_LEAKY_RELU && x < 0.0 ? (double)act.a * x : x;
}

/* The same pooled: activations never descend, so they may come first or last. */
static void compare_pooled(const layer *l)
{
    const size_t h = l->h_out / 2, w = l->w_out / 2;
    double *want = check_want(h * w * l->n), *bound = check_want(l->n), most = 0.0;

    for (size_t i = 0; i < h * w * l->n; i++) {
        const size_t p = i / l->n, y = p / w * 2, x = p % w * 2, n = i % l->n;
        want[i] = -INFINITY;
        for (size_t k = 0; k < 4; k++)
            want[i] = fmax(want[i], want_pixel(l, y + k / 2, x + k % 2, n));
        want[i] = act_of(l->act, want[i]);
    }
    for (size_t p = 0; p < l->h_out * l->w_out; p++)
        for (size_t n = 0; n < l->n; n++)
            most = fmax(most, fabs(want_pixel(l, p / l->w_out, p % l->w_out, n)));
    for (size_t n = 0; n < l->n; n++)
        bound[n] = 1e-5 * most;
    for (size_t p = 0; p < h * w; p++) {
        check_bound(l->y + p * l->ldy, want + p * l->n, bound, l->n);
        if (p + 1 < h * w)
            check_untouched(l->y + p * l->ldy + l->n, l->ldy - l->n);
    }
}

static void compare(const layer *l)
{
    const size_t pixels = l->h_out * l->w_out;
    double *want = check_want(pixels * l->n), *bound = check_want(l->n), top = 0.0;

    for (size_t p = 0; p < pixels; p++)
        for (size_t n = 0; n < l->n; n++) {
            want[p * l->n + n] = want_pixel(l, p / l->w_out, p % l->w_out, n);
            top = fmax(top, fabs(want[p * l->n + n]));
        }
    for (size_t n = 0; n < l->n; n++)
        bound[n] = 1e-5 * top;
    for (size_t p = 0; p < pixels; p++) {
        for (size_t n = 0; n < l->n; n++)
            want[p * l->n + n] = act_of(l->act, want[p * l->n + n]);
        check_bound(l->y + p * l->ldy, want + p * l->n, bound, l->n);
        if (p + 1 < pixels)
            check_untouched(l->y + p * l->ldy + l->n, l->ldy - l->n);
    }
}

static void one(size_t c, size_t n, size_t h, size_t w, size_t pad, bool pool)
{
    static const ln_act list[] = { { LN_FN_NONE, 0, 0 }, { LN_FN_CLIP, 0.0f, INFINITY },
                                   { LN_FN_CLIP, -1.0f, 2.0f }, { LN_FN_LEAKY_RELU, 0.125f, 0 } };

    check_case("c=%zu n=%zu %zux%zu pad=%zu", c, n, h, w, pad);
    layer l = make_layer(c, n, h, w, pad, pool);
    l.act = list[check_rand(0, CHECK_COUNT(list) - 1)];
    run_layer(&l);
    if (pool)
        compare_pooled(&l);
    else
        compare(&l);
    if (l.add) { /* the residual may be where the result goes */
        memcpy(l.y, l.add, ((l.h_out * l.w_out - 1) * l.ldy + l.n) * sizeof *l.y);
        const float *add = l.add;
        l.add = l.y;
        run_layer(&l);
        l.add = add;
        for (size_t p = 0; p + 1 < l.h_out * l.w_out; p++) /* gaps were copied too */
            memset(l.y + p * l.ldy + l.n, 0x7f, (l.ldy - l.n) * sizeof *l.y);
        compare(&l);
    }
}

void check_winograd(void)
{
    const bool weight = check_begin("wino_weight_f32", CHECK_ENTRY(wino_weight_f32));
    const bool input = check_begin("wino_input_f32", CHECK_ENTRY(wino_input_f32));
    const bool output = check_begin("wino_output_f32", CHECK_ENTRY(wino_output_f32));

    if (!weight && !input && !output)
        return;
    if (check_benching()) /* whole layers: conv_layer.c */
        return;
    for (size_t i = 0; i < 100; i++) {
        const size_t pad = check_rand(0, 2);
        one(check_rand(1, 2 * check_now.lanes + 3), check_rand(1, 2 * check_now.gemm_nr + 3),
            check_rand(3, 20), check_rand(3, 20), pad, false);
    }
    one(64, 40, 13, 9, 1, false);
    for (size_t i = 0; i < 4; i++) /* many channels: long sums */
        one(check_now.wino_channels, check_now.gemm_nr + 1, check_rand(12, 15), check_rand(12, 15), 1, false);
    for (size_t i = 0; i < 40; i++)
        one(check_rand(1, 2 * check_now.lanes + 3), check_rand(1, 2 * check_now.gemm_nr + 3), check_rand(4, 20),
            check_rand(4, 20), check_rand(0, 2), true);
    one(64, 40, 16, 12, 1, true);
}
