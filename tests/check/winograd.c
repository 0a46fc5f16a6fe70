/*
 * winograd.c - the three transforms together with gemm_f32 are a 3 x 3 convolution.
 *
 * The oracle is the convolution itself in double. Errors are compared with the largest output,
 * as the contract says. The driver runs blocks of tiles through scratch memory the way an
 * operator would, so that it measures whole layers too.
 */
#include "check.h"

enum { MAX_MR = 32 };

typedef struct layer {
    ln_window    d;       /* of the input; c channels in, n out */
    size_t       h_in, h_out, n, block, group; /* tiles of a block, columns of a group */
    const float *x, *w, *bias, *add;
    float       *u, *v, *m, *y;
    ln_act       act;
} layer;

static size_t tiles(size_t pixels) { return (pixels + 3) / 4; }

/* Tiles [t0, t1) of all the tiles of the image, row by row: one call per row. */
static void input_block(const layer *l, size_t t0, size_t t1)
{
    const size_t across = tiles(l->d.w_out);
    float *v = l->v;

    while (t0 < t1) {
        const size_t ty = t0 / across, x0 = t0 % across;
        const size_t x1 = across - x0 < t1 - t0 ? across : x0 + t1 - t0;
        const float *rows[6];

        for (size_t i = 0; i < 6; i++) {
            const size_t at = 4 * ty + i;
            rows[i] = at < l->d.pad || at - l->d.pad >= l->h_in
                          ? NULL : l->x + (at - l->d.pad) * l->d.w_in * l->d.ldx;
        }
        check_now.wino_input_f32(&l->d, rows, x0, x1, v, l->block * l->d.c);
        v += (x1 - x0) * l->d.c;
        t0 += x1 - x0;
    }
}

static void output_block(const layer *l, size_t t0, size_t t1, size_t n0, size_t n1)
{
    const size_t across = tiles(l->d.w_out);
    ln_window d = l->d;
    const float *m = l->m;

    d.c = n1 - n0;
    while (t0 < t1) {
        const size_t ty = t0 / across, x0 = t0 % across;
        const size_t x1 = across - x0 < t1 - t0 ? across : x0 + t1 - t0;
        const float *add[4];
        float *y[4];

        for (size_t i = 0; i < 4; i++) {
            const size_t at = (4 * ty + i) * d.w_out * d.ldy + n0;
            y[i]   = 4 * ty + i < l->h_out ? l->y + at : NULL;
            add[i] = y[i] && l->add ? l->add + at : NULL;
        }
        check_now.wino_output_f32(&d, m, l->block * d.c, x0, x1, l->bias ? l->bias + n0 : NULL,
                                  l->act, l->add ? add : NULL, y);
        m += (x1 - x0) * d.c;
        t0 += x1 - x0;
    }
}

/* M[f] = V[f] U[f] for `count` tiles and columns [n0, n1). */
static void products(const layer *l, size_t count, size_t n0, size_t n1)
{
    const size_t mr = check_now.gemm_mr, nr = check_now.gemm_nr, c = l->d.c;
    const size_t parts = (count + mr - 1) / mr, rows = (count + parts - 1) / parts;
    const size_t ldu = (l->n + nr - 1) / nr * nr * c;

    for (size_t f = 0; f < 36; f++) {
        const ln_gemm_f32 g = { n1 - n0, c, 1, l->u + f * ldu + n0 * c, NULL, { LN_FN_NONE, 0, 0 } };
        for (size_t i = 0; i < count; i += rows) {
            const size_t some = count - i < rows ? count - i : rows;
            const float *a[MAX_MR];
            for (size_t r = 0; r < some; r++)
                a[r] = l->v + (f * l->block + i + r) * c;
            check_now.gemm_f32(&g, some, a, l->m + (f * l->block + i) * g.n, g.n, NULL, 0, 0, g.n);
        }
    }
}

static void run_layer(void *arg)
{
    const layer *l = arg;
    const size_t all = tiles(l->d.w_out) * tiles(l->h_out);

    for (size_t t = 0; t < all; t += l->block) {
        const size_t end = all - t < l->block ? all : t + l->block;
        input_block(l, t, end);
        for (size_t n0 = 0; n0 < l->n; n0 += l->group) {
            const size_t n1 = l->n - n0 < l->group ? l->n : n0 + l->group;
            products(l, end - t, n0, n1);
            output_block(l, t, end, n0, n1);
        }
    }
}

static layer make_layer(size_t c, size_t n, size_t h, size_t w, size_t pad, size_t block, size_t group)
{
    const size_t nr = check_now.gemm_nr, ldu = (n + nr - 1) / nr * nr * c;
    const size_t gap = check_benching() ? 0 : check_rand(0, 2);

    layer l = { .d = { c, 3, 3, 1, 1, pad, w, w + 2 * pad - 2, c + gap, n + gap },
                .h_in = h, .h_out = h + 2 * pad - 2, .n = n, .block = block, .group = group };
    float *x = check_buf((h * w - 1) * l.d.ldx + c), *weight = check_buf(9 * c * n), *bias = check_buf(n);
    float *add = check_buf((l.h_out * l.d.w_out - 1) * l.d.ldy + n);

    check_fill(x, (h * w - 1) * l.d.ldx + c, -1.0f, 1.0f);
    check_fill(weight, 9 * c * n, -1.0f, 1.0f);
    check_fill(bias, n, -1.0f, 1.0f);
    check_fill(add, (l.h_out * l.d.w_out - 1) * l.d.ldy + n, -1.0f, 1.0f);
    l.x = x, l.w = weight, l.bias = check_rand(0, 2) ? bias : NULL, l.add = check_rand(0, 1) ? add : NULL;
    l.u = check_buf(36 * ldu);
    l.v = check_buf(36 * block * c);
    l.m = check_buf(36 * block * group);
    l.y = check_buf((l.h_out * l.d.w_out - 1) * l.d.ldy + n);
    const size_t k = 9 * c, cut = check_rand(0, c);
    float *turned = check_buf(ldu * 9);
    check_now.pack_b_f32(k, n, weight, 1, (ptrdiff_t)k, 1.0f, 0, k, 0, n, turned);
    for (size_t j = 0; j < n; j += nr) {
        check_now.wino_weight_f32(c - cut, turned + j * k + cut * 9 * nr, l.u + j * c + cut * nr, ldu);
        check_now.wino_weight_f32(cut, turned + j * k, l.u + j * c, ldu);
    }
    return l;
}

static double want_pixel(const layer *l, size_t y, size_t x, size_t n)
{
    double sum = l->bias ? (double)l->bias[n] : 0.0;

    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++) {
            const size_t row = y + i - l->d.pad, col = x + j - l->d.pad;
            if (y + i < l->d.pad || x + j < l->d.pad || row >= l->h_in || col >= l->d.w_in)
                continue;
            for (size_t c = 0; c < l->d.c; c++)
                sum += (double)l->x[(row * l->d.w_in + col) * l->d.ldx + c] *
                       (double)l->w[(n * l->d.c + c) * 9 + i * 3 + j];
        }
    return sum + (l->add ? (double)l->add[(y * l->d.w_out + x) * l->d.ldy + n] : 0.0);
}

static double act_of(ln_act act, double x)
{
    if (act.fn == LN_FN_CLIP)
        return fmin(fmax(x, (double)act.a), (double)act.b);
    return act.fn == LN_FN_LEAKY_RELU && x < 0.0 ? (double)act.a * x : x;
}

static void compare(const layer *l)
{
    const size_t pixels = l->h_out * l->d.w_out;
    double *want = check_want(pixels * l->n), *bound = check_want(l->n), top = 0.0;

    for (size_t p = 0; p < pixels; p++)
        for (size_t n = 0; n < l->n; n++) {
            want[p * l->n + n] = want_pixel(l, p / l->d.w_out, p % l->d.w_out, n);
            top = fmax(top, fabs(want[p * l->n + n]));
        }
    for (size_t n = 0; n < l->n; n++)
        bound[n] = 1e-5 * top;
    for (size_t p = 0; p < pixels; p++) {
        for (size_t n = 0; n < l->n; n++)
            want[p * l->n + n] = act_of(l->act, want[p * l->n + n]);
        check_bound(l->y + p * l->d.ldy, want + p * l->n, bound, l->n);
        if (p + 1 < pixels)
            check_untouched(l->y + p * l->d.ldy + l->n, l->d.ldy - l->n);
    }
}

static void one(size_t c, size_t n, size_t h, size_t w, size_t pad)
{
    static const ln_act list[] = { { LN_FN_NONE, 0, 0 }, { LN_FN_CLIP, 0.0f, INFINITY },
                                   { LN_FN_CLIP, -1.0f, 2.0f }, { LN_FN_LEAKY_RELU, 0.125f, 0 } };
    const size_t nr = check_now.gemm_nr;

    check_case("c=%zu n=%zu %zux%zu pad=%zu", c, n, h, w, pad);
    layer l = make_layer(c, n, h, w, pad, check_rand(1, 9), check_rand(1, 3) * nr);
    l.act = list[check_rand(0, CHECK_COUNT(list) - 1)];
    run_layer(&l);
    compare(&l);
    if (l.add) { /* the residual may be where the result goes */
        memcpy(l.y, l.add, ((l.h_out * l.d.w_out - 1) * l.d.ldy + l.n) * sizeof *l.y);
        const float *add = l.add;
        l.add = l.y;
        run_layer(&l);
        l.add = add;
        for (size_t p = 0; p + 1 < l.h_out * l.d.w_out; p++) /* gaps were copied too */
            memset(l.y + p * l.d.ldy + l.n, 0x7f, (l.d.ldy - l.n) * sizeof *l.y);
        compare(&l);
    }
}

static void bench(const char *label, size_t c, size_t side, size_t block, size_t group)
{
    check_case("%s", label);
    layer l = make_layer(c, c, side, side, 1, block, group);
    l.act = (ln_act){ LN_FN_CLIP, 0.0f, INFINITY };
    l.add = NULL;
    check_bench(label, 2.0 * 9.0 * (double)(c * c * side * side), "GFLOP/s", run_layer, &l);
}

void check_winograd(void)
{
    const bool weight = check_begin("wino_weight_f32", CHECK_ENTRY(wino_weight_f32));
    const bool input = check_begin("wino_input_f32", CHECK_ENTRY(wino_input_f32));
    const bool output = check_begin("wino_output_f32", CHECK_ENTRY(wino_output_f32));

    if (!weight && !input && !output)
        return;
    if (check_benching()) {
        bench("64 @56", 64, 56, 28, 64);
        bench("128 @28", 128, 28, 25, 128);
        bench("256 @14", 256, 14, 16, 64);
        bench("512 @7", 512, 7, 4, 64);
        return;
    }
    for (size_t i = 0; i < 60; i++) {
        const size_t pad = check_rand(0, 2);
        one(check_rand(1, 2 * check_now.lanes + 3), check_rand(1, 2 * check_now.gemm_nr + 3),
            check_rand(3, 14), check_rand(3, 14), pad);
    }
    one(64, 40, 13, 9, 1);
}
