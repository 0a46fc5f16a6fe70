/*
 * winograd_strided.c - the transforms of stride 2 together with gemm_f32 are a 3 x 3 convolution of stride 2.
 *
 * The oracle is the convolution itself in double; errors are compared with the largest output. Images
 * are covered by tiles of four and three, or two and one, in any mixture, products made tile by tile.
 */
#include "check.h"

typedef struct layer {
    size_t       c, n, pad, h_in, w_in, h_out, w_out, ldx, ldy;
    size_t       down, tall, across, wide; /* tiles; those of `size` outputs, the others are one shorter */
    size_t       size;
    size_t       ldu, ldv, ldm;
    const float *x, *w, *bias, *add;
    float       *u, *v, *m, *y;
    ln_act       act;
} layer;

/* Tiles of `size` and one less that cover `length`, in any mixture that does. */
static size_t cover(size_t length, size_t size, size_t *large)
{
    const size_t tiles = (length + size - 1) / size + check_rand(0, 1);

    *large = check_rand(0, tiles);
    while ((size - 1) * tiles + *large < length)
        ++*large;
    return tiles;
}

static size_t top(const layer *l, size_t tile, size_t large)
{
    return (l->size - 1) * tile + (tile < large ? tile : large);
}

static void input_row(const layer *l, size_t row, size_t t0, size_t t1)
{
    const ln_wino d = { l->c, l->size - (row >= l->tall), l->wide, l->ldv, l->pad, l->w_in, l->ldx, 2, l->size, false };
    const float *rows[9];

    for (size_t i = 0; i < 2 * d.tall + 1; i++) {
        const size_t at = 2 * top(l, row, l->tall) + i;
        rows[i] = at < l->pad || at - l->pad >= l->h_in ? NULL : l->x + (at - l->pad) * l->w_in * l->ldx;
    }
    check_now.wino2_input_f32(&d, rows, t0, t1, l->v + (row * l->across + t0) * l->c);
}

static void output_row(const layer *l, size_t row, size_t t0, size_t t1)
{
    const ln_wino d = { l->n, l->size - (row >= l->tall), l->wide, l->ldm, 0, l->w_out, l->ldy, 2, l->size, false };
    const float *add[4], *m = l->m + (row * l->across + t0) * l->n;
    float *y[4];

    for (size_t i = 0; i < d.tall; i++) {
        const size_t line = top(l, row, l->tall) + i, at = line * l->w_out * l->ldy;
        y[i]   = line < l->h_out ? l->y + at : NULL;
        add[i] = y[i] && l->add ? l->add + at : NULL;
    }
    check_now.wino_output_f32(&d, m, m, t0, t1, l->bias, l->act, l->add ? add : NULL, y);
}

/* M of one tile, as the contract has it: by size, the points of V, where they add to and what they take. */
static void products(const layer *l, size_t row, size_t t)
{
    static const size_t count[] = { 0, 3, 5, 7, 9 };
    static const size_t v[][9] = { { 0 }, { 0, 4, 5 }, { 0, 1, 4, 5, 6 }, { 0, 1, 2, 4, 5, 6, 7 },
                                   { 0, 1, 2, 3, 4, 5, 6, 7, 8 } };
    static const size_t m[][9] = { { 0 }, { 0, 5, 0 }, { 0, 1, 5, 0, 1 }, { 0, 1, 2, 5, 0, 1, 2 },
                                   { 0, 1, 2, 3, 5, 0, 1, 2, 5 } };
    static const size_t u[][9] = { { 0 }, { 0, 2, 3 }, { 0, 1, 2, 3, 3 }, { 0, 1, 2, 4, 5, 5, 5 },
                                   { 0, 1, 2, 3, 4, 5, 5, 5, 5 } };
    const size_t tile = row * l->across + t, h = l->size - (row >= l->tall), w = l->size - (t >= l->wide);
    const size_t outer = l->size + 1;

    for (size_t i = 0; i < count[h]; i++)
        for (size_t j = 0; j < count[w]; j++) {
            const size_t a = u[h][i], b = u[w][j];
            const size_t f = a < outer ? (b < outer ? a * outer + b : outer * outer + a) : outer * (outer + 1) + b;
            const ln_gemm_f32 g = { .n = l->n, .k = l->c, .taps = 1, .b = l->u + f * l->ldu };
            const float *from = l->v + (9 * v[h][i] + v[w][j]) * l->ldv + tile * l->c;
            float *to = l->m + (6 * m[h][i] + m[w][j]) * l->ldm + tile * l->n;

            check_now.gemm_f32(&g, 1, &from, to, l->n, a < outer && b < outer ? NULL : to, l->n, 0, l->n);
        }
}

static void run_layer(const layer *l)
{
    for (size_t row = 0; row < l->down; row++) {
        const size_t cut = check_rand(0, l->across);
        input_row(l, row, 0, cut);
        input_row(l, row, cut, l->across);
        for (size_t t = 0; t < l->across; t++)
            products(l, row, t);
        output_row(l, row, 0, cut);
        output_row(l, row, cut, l->across);
    }
}

static layer make_layer(size_t c, size_t n, size_t h, size_t w, size_t pad)
{
    const size_t nr = check_now.gemm_nr, k = 9 * c, cut = check_rand(0, c);
    const float range = check_rand(0, 1) ? 1.0f : 1e4f, low = check_rand(0, 1) ? -1.0f : 0.0f;
    layer l = { .c = c, .n = n, .pad = pad, .h_in = h, .w_in = w, .h_out = (h + 2 * pad - 3) / 2 + 1,
                .w_out = (w + 2 * pad - 3) / 2 + 1, .ldx = c + check_rand(0, 2), .ldy = n + check_rand(0, 2),
                .size = check_rand(0, 1) ? 4 : 2 };
    const size_t in = (h * w - 1) * l.ldx + c, out = (l.h_out * l.w_out - 1) * l.ldy + n;
    float *x = check_buf(in), *weight = check_buf(k * n), *bias = check_buf(n), *add = check_buf(out);

    l.down = cover(l.h_out, l.size, &l.tall);
    l.across = cover(l.w_out, l.size, &l.wide);
    l.ldu = (n + nr - 1) / nr * nr * c;
    l.ldv = l.down * l.across * c + check_rand(0, 3);
    l.ldm = l.down * l.across * n + check_rand(0, 3);
    check_fill(x, in, low * range, range);
    check_fill(weight, k * n, check_rand(0, 1) ? -1.0f : 0.0f, 1.0f);
    check_fill(bias, n, -1.0f, 1.0f);
    check_fill(add, out, -1.0f, 1.0f);
    l.x = x, l.w = weight, l.bias = check_rand(0, 2) ? bias : NULL, l.add = check_rand(0, 1) ? add : NULL;
    l.u = check_buf(36 * l.ldu);
    l.v = check_buf(81 * l.ldv);
    l.m = check_buf(36 * l.ldm);
    l.y = check_buf(out);
    float *turned = check_buf(l.ldu * 9);
    check_now.pack_b_f32(k, n, weight, 1, (ptrdiff_t)k, 1.0f, 0, k, 0, n, turned);
    for (size_t j = 0; j < n; j += nr) {
        check_now.wino2_weight_f32(c - cut, l.size, turned + j * k + cut * 9 * nr, l.u + j * c + cut * nr, l.ldu);
        check_now.wino2_weight_f32(cut, l.size, turned + j * k, l.u + j * c, l.ldu);
    }
    return l;
}

static double want_pixel(const layer *l, size_t y, size_t x, size_t n)
{
    double sum = l->bias ? (double)l->bias[n] : 0.0;

    for (size_t i = 2 * y; i < 2 * y + 3; i++)
        for (size_t j = 2 * x; j < 2 * x + 3; j++) {
            if (i < l->pad || j < l->pad || i - l->pad >= l->h_in || j - l->pad >= l->w_in)
                continue;
            const float *from = l->x + ((i - l->pad) * l->w_in + j - l->pad) * l->ldx;
            for (size_t c = 0; c < l->c; c++)
                sum += (double)from[c] * (double)l->w[((n * l->c + c) * 3 + i - 2 * y) * 3 + j - 2 * x];
        }
    return sum + (l->add ? (double)l->add[(y * l->w_out + x) * l->ldy + n] : 0.0);
}

static void compare(const layer *l)
{
    const size_t pixels = l->h_out * l->w_out;
    double *want = check_want(pixels * l->n), *bound = check_want(l->n), largest = 0.0;

    for (size_t p = 0; p < pixels; p++)
        for (size_t n = 0; n < l->n; n++) {
            want[p * l->n + n] = want_pixel(l, p / l->w_out, p % l->w_out, n);
            largest = fmax(largest, fabs(want[p * l->n + n]));
        }
    for (size_t n = 0; n < l->n; n++)
        bound[n] = 1e-5 * largest;
    for (size_t p = 0; p < pixels; p++) {
        for (size_t n = 0; n < l->n && l->act.fn == LN_FN_CLIP; n++)
            want[p * l->n + n] = fmin(fmax(want[p * l->n + n], (double)l->act.a), (double)l->act.b);
        check_bound(l->y + p * l->ldy, want + p * l->n, bound, l->n);
        if (p + 1 < pixels)
            check_untouched(l->y + p * l->ldy + l->n, l->ldy - l->n);
    }
}

static void one(size_t c, size_t n, size_t h, size_t w, size_t pad)
{
    check_case("c=%zu n=%zu %zux%zu pad=%zu", c, n, h, w, pad);
    layer l = make_layer(c, n, h, w, pad);
    l.act = check_rand(0, 1) ? (ln_act){ LN_FN_NONE, 0, 0 } : (ln_act){ LN_FN_CLIP, 0.0f, INFINITY };
    run_layer(&l);
    compare(&l);
}

void check_winograd_strided(void)
{
    const bool weight = check_begin("wino2_weight_f32", CHECK_ENTRY(wino2_weight_f32));
    const bool input = check_begin("wino2_input_f32", CHECK_ENTRY(wino2_input_f32));

    if ((!weight && !input) || check_benching()) /* whole layers are measured: conv_layer.c */
        return;
    for (size_t i = 0; i < 100; i++) {
        const size_t pad = check_rand(0, 2);
        one(check_rand(1, 2 * check_now.lanes + 3), check_rand(1, 2 * check_now.gemm_nr + 3),
            check_rand(3, 36), check_rand(3, 36), pad);
    }
    one(64, 40, 25, 17, 1);
    for (size_t i = 0; i < 4; i++) /* many channels: long sums */
        one(check_now.wino_channels, check_now.gemm_nr + 1, check_rand(24, 30), check_rand(24, 30), 1);
}
