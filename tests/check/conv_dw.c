/*
 * conv_dw.c - conv_dw_f32 against double loops: kernels, strides, dilations, padding, tails.
 */
#include "check.h"

typedef struct dw_case {
    ln_window     d;
    size_t        h, down, pitch;
    const float **rows;
    float        *w, *bias, *y;
    ln_act        act;
} dw_case;

/* Output y[r][x][c] in double; *size is the sum of magnitudes behind it. */
static double want_dw(const dw_case *q, size_t r, size_t x, size_t c, double *size)
{
    const ln_window *d = &q->d;
    double sum = q->bias ? (double)q->bias[c] : 0.0;

    *size = fabs(sum);
    for (size_t i = 0; i < d->kh; i++)
        for (size_t j = 0; j < d->kw; j++) {
            const size_t col = x * d->stride + j * d->dilation;
            if (!q->rows[r * q->down + i] || col < d->pad || col - d->pad >= d->w_in)
                continue;
            const double v = (double)q->rows[r * q->down + i][(col - d->pad) * d->ldx + c] *
                             (double)q->w[(i * d->kw + j) * d->c + c];
            sum += v;
            *size += fabs(v);
        }
    if (q->act.fn == LN_FN_CLIP)
        return isnan(sum) ? sum : fmin(fmax(sum, (double)q->act.a), (double)q->act.b);
    return q->act.fn == LN_FN_LEAKY_RELU && sum < 0.0 ? (double)q->act.a * sum : sum;
}

static dw_case make_case(ln_window d, size_t h, size_t down)
{
    static const ln_act list[] = { { LN_FN_NONE, 0, 0 }, { LN_FN_CLIP, 0.0f, 6.0f },
                                   { LN_FN_CLIP, -0.25f, 0.5f }, { LN_FN_LEAKY_RELU, 0.125f, 0 } };

    check_case("h=%zu down=%zu c=%zu k=%zux%zu stride=%zu dilation=%zu pad=%zu w=%zu->%zu ldx=%zu ldy=%zu", h, down, d.c,
               d.kh, d.kw, d.stride, d.dilation, d.pad, d.w_in, d.w_out, d.ldx, d.ldy);
    dw_case q = { .d = d, .h = h, .down = down, .act = list[check_rand(0, CHECK_COUNT(list) - 1)] };
    const size_t height = (h - 1) * down + d.kh;
    const size_t in = d.w_in ? (d.w_in - 1) * d.ldx + d.c : 0;

    q.rows = check_bytes(height * sizeof *q.rows);
    for (size_t i = 0; i < height; i++) {
        float *row = check_rand(0, 4) == 0 ? NULL : check_buf(in);
        if (row)
            check_fill(row, in, -1.0f, 1.0f);
        q.rows[i] = row;
    }
    q.w = check_buf(d.kh * d.kw * d.c);
    check_fill(q.w, d.kh * d.kw * d.c, -1.0f, 1.0f);
    if (check_rand(0, 2)) {
        q.bias = check_buf(d.c);
        check_fill(q.bias, d.c, -1.0f, 1.0f);
    }
    q.pitch = d.w_out * d.ldy + check_rand(0, 5);
    q.y = check_buf((h - 1) * q.pitch + (d.w_out - 1) * d.ldy + d.c);
    return q;
}

static void one(ln_window d)
{
    const dw_case q = make_case(d, check_rand(1, 5), check_rand(0, 2) ? d.stride : check_rand(1, 4));
    double *want = check_want(d.c), *bound = check_want(d.c);

    check_now.conv_dw_f32(&q.d, q.h, q.down, q.rows, q.w, q.bias, q.act, q.y, q.pitch);
    for (size_t i = 0; i < q.h * d.w_out; i++) {
        const size_t r = i / d.w_out, x = i % d.w_out;
        float *y = q.y + r * q.pitch + x * d.ldy;

        for (size_t c = 0; c < d.c; c++) {
            double size;
            want[c]  = want_dw(&q, r, x, c, &size);
            bound[c] = (double)FLT_EPSILON * (0.5 * (double)(d.kh * d.kw) + 4.0) * size;
        }
        check_bound(y, want, bound, d.c);
        if (x + 1 < d.w_out)
            check_untouched(y + d.c, d.ldy - d.c);
        else if (r + 1 < q.h)
            check_untouched(y + d.c, q.pitch - (d.w_out - 1) * d.ldy - d.c);
    }
}

/* w_out as a convolution has it, or (every so often) something odd: more or fewer windows. */
static void some(size_t c, size_t kh, size_t kw, size_t stride, size_t dilation)
{
    const size_t pad = check_rand(0, (kw - 1) * dilation), w_in = check_rand(1, 40);
    const size_t reach = (kw - 1) * dilation + 1, full = w_in + pad + check_rand(0, reach - 1);
    size_t w_out = full < reach ? 1 : (full - reach) / stride + 1;

    if (check_rand(0, 7) == 0)
        w_out = check_rand(1, 2 * w_out + 9);
    one((ln_window){ c, kh, kw, stride, dilation, pad, w_in, w_out, c + check_rand(0, 2),
                     c + check_rand(0, 2) });
}

/* ---- a whole image, some rows at a time ------------------------------------------------ */

typedef struct image {
    dw_case q;
    float  *x;
    size_t  h_in, h_out;
} image;

static void run_image(void *arg)
{
    image *m = arg;
    const ln_window *d = &m->q.d;

    for (size_t y = 0; y < m->h_out; y += m->q.h) {
        const size_t h = m->h_out - y < m->q.h ? m->h_out - y : m->q.h;

        for (size_t i = 0; i < (h - 1) * d->stride + d->kh; i++) {
            const size_t at = y * d->stride + i;
            m->q.rows[i] = at < d->pad || at - d->pad >= m->h_in
                               ? NULL : m->x + (at - d->pad) * d->w_in * d->c;
        }
        check_now.conv_dw_f32(d, h, d->stride, m->q.rows, m->q.w, m->q.bias, m->q.act,
                              m->q.y + y * d->w_out * d->c, d->w_out * d->c);
    }
}

static void bench(const char *label, size_t c, size_t side, size_t k, size_t stride)
{
    const size_t out = (side - 1) / stride + 1;
    const ln_window d = { c, k, k, stride, 1, k / 2, side, out, c, c };

    check_case("%s", label);
    image m = { { .d = d, .h = 14, .act = { LN_FN_CLIP, 0.0f, 6.0f } }, check_buf(side * side * c), side, out };
    m.q.rows = check_bytes((14 * stride + k) * sizeof *m.q.rows);
    m.q.w = check_buf(k * k * c);
    m.q.bias = check_buf(c);
    m.q.y = check_buf(out * out * c + 80); /* not a multiple of 4 KB from the input: so the planner places it */
    check_fill(m.x, side * side * c, -1.0f, 1.0f);
    check_fill(m.q.w, k * k * c, -1.0f, 1.0f);
    check_fill(m.q.bias, c, -1.0f, 1.0f);
    check_bench(label, 2.0 * (double)(out * out * c * k * k), "GFLOP/s", run_image, &m);
}

void check_conv_dw(void)
{
    if (!check_begin("conv_dw_f32", CHECK_ENTRY(conv_dw_f32)))
        return;
    if (check_benching()) {
        bench("3x3 64 @112", 64, 112, 3, 1);
        bench("3x3 128 @56", 128, 56, 3, 1);
        bench("3x3 512 @14", 512, 14, 3, 1);
        bench("3x3 480 @14", 480, 14, 3, 1);
        bench("3x3 528 @14", 528, 14, 3, 1);
        bench("3x3 1024 @14", 1024, 14, 3, 1);
        bench("3x3 960 @7", 960, 7, 3, 1);
        bench("3x3 64 @112/2", 64, 112, 3, 2);
        bench("3x3 512 @14/2", 512, 14, 3, 2);
        bench("3x3 144 @56/2", 144, 56, 3, 2);
        bench("3x3 112 @28/2", 112, 28, 3, 2);
        bench("3x3 576 @14/2", 576, 14, 3, 2);
        bench("3x3 576 @7", 576, 7, 3, 1);
        bench("5x5 40 @28", 40, 28, 5, 1);
        bench("5x5 120 @28", 120, 28, 5, 1);
        bench("5x5 240 @14", 240, 14, 5, 1);
        bench("5x5 512 @14", 512, 14, 5, 1);
        bench("5x5 960 @7", 960, 7, 5, 1);
        bench("5x5 144 @56/2", 144, 56, 5, 2);
        bench("5x5 96 @28/2", 96, 28, 5, 2);
        bench("5x5 672 @14/2", 672, 14, 5, 2);
        bench("7x7 96 @56", 96, 56, 7, 1);
        return;
    }
    for (size_t c = 1; c <= 3 * check_now.lanes + 1; c++)
        for (size_t kw = 1; kw <= 7; kw++) {
            some(c, check_rand(1, 3), kw, 1, 1);
            some(c, check_rand(1, 3), kw, 2, 1);
            some(c, check_rand(1, 5), kw, check_rand(1, 4), check_rand(1, 3));
        }
    for (size_t i = 0; i < 100; i++)
        some(check_rand(1, 5 * check_now.lanes), check_rand(1, 5), check_rand(1, 9), check_rand(1, 3), 1);
    for (size_t i = 0; i < 100; i++)
        some(check_rand(check_now.lanes, 3 * check_now.lanes), 3, 3, 1 + i % 2, 1);
    for (size_t i = 0; i < 40; i++) {
        const size_t kw = 3 + 2 * (i % 3), stride = 1 + i % 2, c = check_rand(check_now.lanes, 3 * check_now.lanes);
        one((ln_window){ c, check_rand(1, 5), kw, stride, 1, kw / 2, 7 * stride, 7, c, c });
    }
    some(4 * check_now.lanes + 3, 3, 3, 1, 1);
}
