/*
 * gemm.c - gemm_f32 against double loops: every number of rows, every tail, every epilogue.
 *
 * In half of the cases each row of A is a buffer of its own between guard pages. The result
 * must be the same bits however the rows and columns were divided between calls.
 */
#include "check.h"

typedef struct gemm_case {
    ln_gemm_f32   g;
    size_t        m, ldc, ldadd;
    const float **a;
    float        *c, *add, *more; /* more: a second matrix to add, without gaps */
    float        *plain; /* B as it is: [taps * k][n] */
    double       *want, *bound;
} gemm_case;

static double act_of(ln_act act, double x)
{
    switch (act.fn) {
    case LN_FN_CLIP:       return isnan(x) ? x : fmin(fmax(x, (double)act.a), (double)act.b);
    case LN_FN_LEAKY_RELU: return x < 0.0 ? (double)act.a * x : x;
    case LN_FN_TANH:       return tanh(x);
    default:               return x;
    }
}

static ln_act some_act(void)
{
    static const ln_act list[] = {
        { LN_FN_NONE, 0, 0 }, { LN_FN_CLIP, 0.0f, INFINITY }, { LN_FN_CLIP, -0.25f, 0.5f },
        { LN_FN_LEAKY_RELU, 0.125f, 0 }, { LN_FN_TANH, 0, 0 },
    };
    ln_act act = list[check_rand(0, CHECK_COUNT(list) - 1)];

    return check_now.unary_f32[act.fn] || act.fn == LN_FN_CLIP ? act : list[0];
}

/* [ceil(n / nr)][rows][nr] */
static void pack_plain(const float *b, size_t rows, size_t n, float *y)
{
    const size_t nr = check_now.gemm_nr;

    for (size_t j = 0; j < (n + nr - 1) / nr * nr; j++)
        for (size_t p = 0; p < rows; p++)
            y[j / nr * rows * nr + p * nr + j % nr] = j < n ? b[p * n + j] : 0.0f;
}

static void want_gemm(const gemm_case *q)
{
    const ln_gemm_f32 *g = &q->g;

    for (size_t i = 0; i < q->m; i++)
        for (size_t j = 0; j < g->n; j++) {
            double sum = g->bias ? (double)g->bias[j] : 0.0, size = fabs(sum);

            for (size_t t = 0; t < g->taps; t++)
                for (size_t p = 0; p < g->k; p++) {
                    const double x = (double)q->a[t * check_now.gemm_mr + i][p] *
                                     (double)q->plain[(t * g->k + p) * g->n + j];
                    sum += x;
                    size += fabs(x);
                }
            if (q->add) {
                sum += (double)q->add[i * q->ldadd + j];
                size += fabs((double)q->add[i * q->ldadd + j]);
            }
            if (q->more) {
                sum += (double)q->more[i * g->n + j];
                size += fabs((double)q->more[i * g->n + j]);
            }
            q->want[i * g->n + j] = act_of(g->act, sum);
            q->bound[i * g->n + j] = (double)FLT_EPSILON * (0.5 * (double)(g->taps * g->k) + 4.0) * size;
        }
}

static gemm_case make_case(size_t m, size_t n, size_t k, size_t taps)
{
    const size_t mr = check_now.gemm_mr, nr = check_now.gemm_nr;
    const bool bias = check_rand(0, 3) > 0, add = check_rand(0, 1) > 0;

    check_case("m=%zu n=%zu k=%zu taps=%zu bias=%d add=%d", m, n, k, taps, bias, add);
    gemm_case q = { .m = m, .ldc = n + check_rand(0, 3), .ldadd = n + check_rand(0, 3) };
    float *b = check_buf((n + nr - 1) / nr * nr * k * taps), *bias_at = bias ? check_buf(n) : NULL;

    q.plain = check_buf(n * k * taps);
    check_fill(q.plain, n * k * taps, -1.0f, 1.0f);
    pack_plain(q.plain, k * taps, n, b);
    if (bias)
        check_fill(bias_at, n, -1.0f, 1.0f);
    q.g = (ln_gemm_f32){ n, k, taps, b, bias_at, some_act() };
    q.a = check_bytes(((taps ? taps - 1 : 0) * mr + m) * sizeof *q.a);
    /* Rows of one matrix, or rows all over memory, some of them shared. */
    float *rows = check_rand(0, 1) ? check_buf(taps * m * k) : NULL;
    for (size_t t = 0; t < taps; t++)
        for (size_t i = 0; i < m; i++) {
            float *row = rows ? rows + (t * m + i) * k
                       : i && check_rand(0, 5) == 0 ? (float *)(uintptr_t)q.a[t * mr] : check_buf(k);
            check_fill(row, k, -1.0f, 1.0f);
            q.a[t * mr + i] = row;
        }
    q.c = check_buf((m - 1) * q.ldc + n);
    if (add) {
        q.add = check_buf((m - 1) * q.ldadd + n);
        check_fill(q.add, (m - 1) * q.ldadd + n, -1.0f, 1.0f);
    }
    q.want  = check_want(m * n);
    q.bound = check_want(m * n);
    want_gemm(&q);
    return q;
}

static void compare(const gemm_case *q)
{
    for (size_t i = 0; i < q->m; i++) {
        check_bound(q->c + i * q->ldc, q->want + i * q->g.n, q->bound + i * q->g.n, q->g.n);
        if (i + 1 < q->m)
            check_untouched(q->c + i * q->ldc + q->g.n, q->ldc - q->g.n);
    }
}

/* A second matrix to add. */
static void two_more(gemm_case *q)
{
    float *second = check_buf(q->m * q->g.n);
    const ln_gemm_more more = { { q->add, second }, { q->ldadd, q->g.n }, 0 };

    check_fill(second, q->m * q->g.n, -1.0f, 1.0f);
    q->more = second;
    want_gemm(q);
    check_now.gemm_more_f32(&q->g, q->m, q->a, q->c, q->ldc, &more, 0, q->g.n);
    compare(q);
}

/* In one call; then in pieces of rows and columns, which must give the same bits. */
static void one(size_t m, size_t n, size_t k, size_t taps)
{
    gemm_case q = make_case(m, n, k, taps);
    const size_t mr = check_now.gemm_mr, nr = check_now.gemm_nr;

    check_now.gemm_f32(&q.g, m, q.a, q.c, q.ldc, q.add, q.ldadd, 0, n);
    compare(&q);

    const size_t half = check_rand(0, m), cut = check_rand(0, n / nr) * nr;
    const float **low = check_bytes(((taps ? taps - 1 : 0) * mr + m) * sizeof *low);
    float *again = check_buf((m - 1) * n + n);
    for (size_t t = 0; t < taps; t++)
        for (size_t i = half; i < m; i++)
            low[t * mr + i - half] = q.a[t * mr + i];
    if (q.add) /* added from where the result goes */
        for (size_t i = 0; i < m; i++)
            memcpy(again + i * n, q.add + i * q.ldadd, n * sizeof *again);
    check_now.gemm_f32(&q.g, half, q.a, again, n, q.add ? again : NULL, n, 0, n);
    check_now.gemm_f32(&q.g, m - half, low, again + half * n, n, q.add ? again + half * n : NULL, n, 0, cut);
    check_now.gemm_f32(&q.g, m - half, low, again + half * n, n, q.add ? again + half * n : NULL, n, cut, n);
    for (size_t i = 0; i < m; i++)
        check_same(again + i * n, q.c + i * q.ldc, n * sizeof *again);
    memset(again, 0, m * n * sizeof *again);
    const ln_gemm_more more = { { q.add, NULL }, { q.ldadd, 0 }, (ptrdiff_t)check_rand(0, 1 << 20) };
    check_now.gemm_more_f32(&q.g, m, q.a, again, n, &more, 0, n);
    for (size_t i = 0; i < m; i++)
        check_same(again + i * n, q.c + i * q.ldc, n * sizeof *again);
    if (q.add)
        two_more(&q);
}

/* One NaN in A makes its row NaN, whatever the clip. */
static void not_a_number(void)
{
    gemm_case q = make_case(check_now.gemm_mr, check_now.gemm_nr + 1, 5, 1);

    q.g.act = (ln_act){ LN_FN_CLIP, -0.5f, 0.5f };
    ((float *)(uintptr_t)q.a[0])[2] = NAN;
    want_gemm(&q);
    check_now.gemm_f32(&q.g, q.m, q.a, q.c, q.ldc, q.add, q.ldadd, 0, q.g.n);
    compare(&q);
}

/* ---- whole layers --------------------------------------------------------------- */

typedef struct layer {
    ln_gemm_f32   g;
    size_t        pixels, rows, group;
    const float **a; /* [tiles][taps][mr] */
    float        *c;
} layer;

static void run_layer(void *arg)
{
    const layer *l = arg;
    const size_t mr = check_now.gemm_mr, n = l->g.n;

    for (size_t n0 = 0; n0 < n; n0 += l->group) {
        const size_t n1 = n - n0 < l->group ? n : n0 + l->group;
        const float **a = l->a;
        for (size_t i = 0; i < l->pixels; i += l->rows, a += l->g.taps * mr) {
            const size_t m = l->pixels - i < l->rows ? l->pixels - i : l->rows;
            check_now.gemm_f32(&l->g, m, a, l->c + i * n, n, NULL, 0, n0, n1);
        }
    }
}

static void bench_layer(const char *label, size_t c, size_t o, size_t side, size_t kernel)
{
    const size_t mr = check_now.gemm_mr, nr = check_now.gemm_nr, pixels = side * side;
    const size_t taps = kernel * kernel, tiles = (pixels + mr - 1) / mr;
    const size_t row = taps * c * nr * sizeof(float);

    check_case("%s", label);
    layer l = { .pixels = pixels, .rows = (pixels + tiles - 1) / tiles };
    float *x = check_buf(pixels * c), *b = check_buf((o + nr - 1) / nr * nr * taps * c);
    float *bias = check_buf(o), *zero = check_buf(c);

    check_fill(x, pixels * c, -1.0f, 1.0f);
    check_fill(b, (o + nr - 1) / nr * nr * taps * c, -1.0f, 1.0f);
    check_fill(bias, o, -1.0f, 1.0f);
    memset(zero, 0, c * sizeof *zero);
    l.g = (ln_gemm_f32){ o, c, taps, b, bias, { LN_FN_CLIP, 0.0f, INFINITY } };
    l.group = row > 512 * 1024 ? nr : 512 * 1024 / row * nr;
    l.a = check_bytes(tiles * taps * mr * sizeof *l.a);
    l.c = check_buf(pixels * o);
    for (size_t p = 0; p < pixels; p++)
        for (size_t t = 0; t < taps; t++) {
            const size_t y = p / side + t / kernel, z = p % side + t % kernel, half = kernel / 2;
            const bool in = y >= half && z >= half && y - half < side && z - half < side;
            l.a[(p / l.rows * taps + t) * mr + p % l.rows] =
                in ? x + ((y - half) * side + z - half) * c : zero;
        }
    check_bench(label, 2.0 * (double)(pixels * o * taps * c), "GFLOP/s", run_layer, &l);
}

static void bench_layers(void)
{
    bench_layer("3x3 64->64 56x56", 64, 64, 56, 3);
    bench_layer("3x3 128->128 28x28", 128, 128, 28, 3);
    bench_layer("3x3 256->256 14x14", 256, 256, 14, 3);
    bench_layer("3x3 512->512 7x7", 512, 512, 7, 3);
    bench_layer("1x1 64->64 56x56", 64, 64, 56, 1);
    bench_layer("1x1 64->256 56x56", 64, 256, 56, 1);
    bench_layer("1x1 256->256 28x28", 256, 256, 28, 1);
    bench_layer("1x1 512->512 14x14", 512, 512, 14, 1);
    bench_layer("1x1 512->512 7x7", 512, 512, 7, 1);
    bench_layer("1x1 1024->1024 7x7", 1024, 1024, 7, 1);
    bench_layer("1x1 16->96 112x112", 16, 96, 112, 1);
    bench_layer("1x1 96->24 56x56", 96, 24, 56, 1);
    bench_layer("1x1 32->16 112x112", 32, 16, 112, 1);
    bench_layer("1x1 256->40 28x28", 256, 40, 28, 1);
    bench_layer("1x1 512->8 28x28", 512, 8, 28, 1);
    bench_layer("square 768", 768, 768, 28, 1);
}

void check_gemm(void)
{
    static const size_t depth[] = { 1, 2, 3, 7, 16, 33, 64 }, tap[] = { 1, 3, 9 };

    if (!check_begin("gemm_f32", CHECK_ENTRY(gemm_f32)))
        return;
    const size_t mr = check_now.gemm_mr, nr = check_now.gemm_nr;
    if (check_benching()) {
        bench_layers();
        return;
    }
    for (size_t m = 1; m <= mr; m++) {
        for (size_t n = 1; n <= 2 * nr + 3; n++)
            one(m, n, depth[check_rand(0, 4)], tap[check_rand(0, 1)]);
        for (size_t k = 0; k < CHECK_COUNT(depth); k++)
            for (size_t t = 0; t < CHECK_COUNT(tap); t++)
                one(m, check_rand(1, 6 * nr), depth[k], tap[t]);
    }
    one(mr, nr, 0, 1); /* nothing to sum */
    one(mr, nr, 700, 1);
    for (size_t i = 0; i < 8; i++) /* rows 4 KB apart, half of the time */
        one(mr - i % 3, check_rand(1, 3 * nr), 1024, 1);
    not_a_number();
}
