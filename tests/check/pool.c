/*
 * pool.c - pool_max_f32 exactly, pool_sum_f32 against double loops.
 */
#include "check.h"

typedef struct pool_case {
    ln_window     d;
    const float **rows;
    float        *y, *scale;
} pool_case;

/* Is tap j of output x a column of the input? */
static bool column(const ln_window *d, size_t x, size_t j, size_t *col)
{
    *col = x * d->stride + j * d->dilation - d->pad;
    return x * d->stride + j * d->dilation >= d->pad && *col < d->w_in;
}

static float want_max(const pool_case *q, size_t x, size_t c)
{
    float top = -INFINITY;
    size_t col;

    for (size_t i = 0; i < q->d.kh; i++)
        for (size_t j = 0; j < q->d.kw; j++)
            if (q->rows[i] && column(&q->d, x, j, &col)) {
                const float v = q->rows[i][col * q->d.ldx + c];
                if (isnan(v) || v > top)
                    top = v;
                if (isnan(v))
                    return v;
            }
    return top;
}

static double want_sum(const pool_case *q, size_t x, size_t c, double *size)
{
    double sum = 0.0;
    size_t col;

    *size = 0.0;
    for (size_t i = 0; i < q->d.kh; i++)
        for (size_t j = 0; j < q->d.kw; j++)
            if (q->rows[i] && column(&q->d, x, j, &col)) {
                sum += (double)q->rows[i][col * q->d.ldx + c];
                *size += fabs((double)q->rows[i][col * q->d.ldx + c]);
            }
    *size *= fabs((double)q->scale[x]);
    return sum * (double)q->scale[x];
}

static pool_case make_case(ln_window d, bool special)
{
    check_case("c=%zu k=%zux%zu stride=%zu dilation=%zu pad=%zu w=%zu->%zu ldx=%zu ldy=%zu", d.c,
               d.kh, d.kw, d.stride, d.dilation, d.pad, d.w_in, d.w_out, d.ldx, d.ldy);
    pool_case q = { .d = d, .rows = check_bytes(d.kh * sizeof *q.rows) };
    const size_t in = d.w_in ? (d.w_in - 1) * d.ldx + d.c : 0;

    for (size_t i = 0; i < d.kh; i++) {
        float *row = check_rand(0, 4) == 0 ? NULL : check_buf(in);
        q.rows[i] = row;
        if (!row)
            continue;
        check_fill(row, in, -9.0f, -1.0f); /* a zero that crept in would be the maximum */
        if (special && in) {
            row[check_rand(0, in - 1)] = NAN;
            row[check_rand(0, in - 1)] = INFINITY;
            row[check_rand(0, in - 1)] = -INFINITY;
        }
    }
    q.y = check_buf((d.w_out - 1) * d.ldy + d.c);
    q.scale = check_buf(d.w_out);
    check_fill(q.scale, d.w_out, 0.01f, 1.0f);
    return q;
}

static ln_window some_window(size_t c)
{
    const size_t kw = check_rand(1, 7), stride = check_rand(1, 4), dilation = check_rand(1, 3);
    const size_t pad = check_rand(0, (kw - 1) * dilation), w_in = check_rand(1, 20);

    return (ln_window){ c, check_rand(1, 5), kw, stride, dilation, pad, w_in, check_rand(1, 16),
                        c + check_rand(0, 2), c + check_rand(0, 2) };
}

static void one_max(ln_window d, bool special)
{
    const pool_case q = make_case(d, special);
    double *want = check_want(d.c);

    check_now.pool_max_f32(&q.d, q.rows, q.y);
    for (size_t x = 0; x < d.w_out; x++) {
        for (size_t c = 0; c < d.c; c++)
            want[c] = (double)want_max(&q, x, c);
        check_near(q.y + x * d.ldy, want, d.c, 0.0);
        if (x + 1 < d.w_out)
            check_untouched(q.y + x * d.ldy + d.c, d.ldy - d.c);
    }
}

static void one_sum(ln_window d)
{
    const pool_case q = make_case(d, false);
    double *want = check_want(d.c), *bound = check_want(d.c);

    check_now.pool_sum_f32(&q.d, q.rows, q.scale, q.y);
    for (size_t x = 0; x < d.w_out; x++) {
        for (size_t c = 0; c < d.c; c++) {
            double size;
            want[c]  = want_sum(&q, x, c, &size);
            bound[c] = (double)FLT_EPSILON * (0.5 * (double)(d.kh + d.kw) + 2.0) * size;
        }
        check_bound(q.y + x * d.ldy, want, bound, d.c);
        if (x + 1 < d.w_out)
            check_untouched(q.y + x * d.ldy + d.c, d.ldy - d.c);
    }
}

/* ---- a whole image --------------------------------------------------------------- */

typedef struct image {
    pool_case q;
    float    *x;
    size_t    h_in, h_out;
    bool      max;
} image;

static void run_image(void *arg)
{
    image *m = arg;
    const ln_window *d = &m->q.d;

    for (size_t y = 0; y < m->h_out; y++) {
        float *to = m->q.y + y * d->w_out * d->c;
        for (size_t i = 0; i < d->kh; i++) {
            const size_t at = y * d->stride + i;
            m->q.rows[i] = at < d->pad || at - d->pad >= m->h_in
                               ? NULL : m->x + (at - d->pad) * d->w_in * d->c;
        }
        if (m->max)
            check_now.pool_max_f32(d, m->q.rows, to);
        else
            check_now.pool_sum_f32(d, m->q.rows, m->q.scale, to);
    }
}

static void bench(bool max, const char *label, size_t c, size_t side, size_t k, size_t stride, size_t pad)
{
    const size_t out = (side + 2 * pad - k) / stride + 1;
    const ln_window d = { c, k, k, stride, 1, pad, side, out, c, c };

    check_case("%s", label);
    image m = { { .d = d }, check_buf(side * side * c), side, out, max };
    m.q.rows = check_bytes(k * sizeof *m.q.rows);
    m.q.scale = check_buf(out);
    m.q.y = check_buf(out * out * c);
    check_fill(m.x, side * side * c, -1.0f, 1.0f);
    check_fill(m.q.scale, out, 0.0f, 1.0f);
    check_bench(label, 4.0 * (double)(c * (side * side + out * out)), "GB/s", run_image, &m);
}

static void bench_all(bool max)
{
    bench(max, "3x3/2 64 @112", 64, 112, 3, 2, 1);
    bench(max, "2x2/2 128 @56", 128, 56, 2, 2, 0);
    bench(max, "3x3/1 192 @28", 192, 28, 3, 1, 1);
    bench(max, "5x5/1 256 @20", 256, 20, 5, 1, 2);
    bench(max, "7x7 2048 @7", 2048, 7, 7, 1, 0);
}

void check_pool(void)
{
    if (check_begin("pool_max_f32", CHECK_ENTRY(pool_max_f32))) {
        for (size_t c = 1; c <= 9 * check_now.lanes + 1 && !check_benching(); c++)
            for (size_t i = 0; i < 6; i++)
                one_max(some_window(c), i % 2 != 0);
        if (check_benching())
            bench_all(true);
    }
    if (check_begin("pool_sum_f32", CHECK_ENTRY(pool_sum_f32))) {
        for (size_t c = 1; c <= 9 * check_now.lanes + 1 && !check_benching(); c++)
            for (size_t i = 0; i < 6; i++)
                one_sum(some_window(c));
        one_sum((ln_window){ 5, 40, 40, 1, 1, 0, 40, 1, 5, 5 });
        if (check_benching())
            bench_all(false);
    }
}
