/*
 * softmax.c - softmax and log_softmax of a row: far inputs, masked places, rows without an answer.
 */
#include "check.h"

static void soft_want(size_t n, const float *x, bool logarithm, double *want)
{
    double top = -INFINITY, sum = 0.0;

    for (size_t i = 0; i < n; i++)
        top = (double)x[i] > top || isnan(x[i]) ? (double)x[i] : top;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - top);
    for (size_t i = 0; i < n; i++)
        want[i] = logarithm ? (double)x[i] - top - log(sum) : exp((double)x[i] - top) / sum;
    for (size_t i = 0; i < n; i++)
        if (isnan(x[i]) || x[i] == INFINITY || top == -INFINITY)
            for (size_t j = 0; j < n; j++)
                want[j] = NAN;
}

/* x - max is rounded once, to half a place of at most `span`; a sum of n terms adds to it. */
static void soft_row(size_t n, const float *x, bool logarithm, float span)
{
    float *got = check_buf(n);
    double *want = check_want(n), *bound = check_want(n);
    const double e = 0x1p-24 * (8.0 + 2.0 * sqrt((double)n));

    soft_want(n, x, logarithm, want);
    for (size_t i = 0; i < n; i++)
        bound[i] = logarithm ? e + 0x1p-23 * (fabs(want[i]) + (double)span)
                             : (e + 0x1p-24 * (double)span) * fabs(want[i]) + 0x1p-148;
    if (logarithm)
        check_now.log_softmax_f32(n, x, got);
    else
        check_now.softmax_f32(n, x, got);
    check_bound(got, want, bound, n);
    float *in_place = check_buf(n);
    memcpy(in_place, x, n * sizeof *x);
    if (logarithm)
        check_now.log_softmax_f32(n, in_place, in_place);
    else
        check_now.softmax_f32(n, in_place, in_place);
    if (!isnan(want[0]))
        check_same(in_place, got, n * sizeof *got);
}

static void soft_cases(bool logarithm)
{
    static const size_t width[] = { 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65, 127, 1000, 4099 };
    static const float span[] = { 0.01f, 10.0f, 60.0f, 300.0f };
    static const float odd[] = { -INFINITY, NAN, INFINITY };

    for (size_t w = 0; w < CHECK_COUNT(width); w++) {
        const size_t n = width[w];

        for (size_t s = 0; s < CHECK_COUNT(span); s++) {
            check_case("n=%zu span=%g", n, (double)span[s]);
            float *x = check_buf(n);
            check_fill(x, n, -0.25f * span[s], 0.75f * span[s]);
            soft_row(n, x, logarithm, span[s]);
        }
        for (size_t o = 0; o < CHECK_COUNT(odd); o++) {
            check_case("n=%zu with %g", n, (double)odd[o]);
            float *x = check_buf(n);
            check_fill(x, n, -5.0f, 5.0f);
            x[check_rand(0, n - 1)] = odd[o];
            soft_row(n, x, logarithm, 10.0f);
        }
        check_case("n=%zu, all -inf", n);
        float *x = check_buf(n);
        for (size_t i = 0; i < n; i++)
            x[i] = -INFINITY;
        soft_row(n, x, logarithm, 0.0f);
        for (size_t i = 0; i < n; i++) /* differences beyond the largest float */
            x[i] = i % 2 ? FLT_MAX : -FLT_MAX;
        soft_row(n, x, logarithm, 0.0f);
    }
}

/* Rows at once: the bits of each row alone, what lies between rows unchanged; a row of -inf, and one with a NaN. */
static void soft_rows(size_t rows, size_t n, bool zeros)
{
    const size_t ld = n + check_rand(0, 3), all = (rows - 1) * ld + n, hidden = rows > 2 ? rows / 2 : rows;

    check_case("rows=%zu n=%zu zeros=%d", rows, n, zeros);
    float *x = check_buf(all), *want = check_buf(all), *row = check_buf(n);
    check_fill(x, all, -9.0f, 9.0f);
    if (rows > 4)
        x[(rows - 2) * ld + n / 2] = NAN;
    for (size_t i = 0; i < n && hidden < rows; i++)
        x[hidden * ld + i] = -INFINITY;
    memcpy(want, x, all * sizeof *x);
    check_now.softmax_rows_f32(rows, n, x, ld, zeros);
    for (size_t r = 0; r < rows; r++) {
        check_now.softmax_f32(n, want + r * ld, row);
        if (r == hidden && zeros)
            memset(row, 0, n * sizeof *row);
        for (size_t i = 0; i < n; i++)
            check_ok(isnan(row[i]) ? isnan(x[r * ld + i]) : x[r * ld + i] == row[i],
                     "a row among others and alone give different bits");
        if (r + 1 < rows)
            check_same(x + r * ld + n, want + r * ld + n, (ld - n) * sizeof *x);
    }
}

static void soft_all_rows(void)
{
    static const size_t width[] = { 1, 3, 8, 17, 32, 33, 128, 255, 1000, 4099 };

    for (size_t w = 0; w < CHECK_COUNT(width); w++)
        for (size_t rows = 1; rows < 40; rows += 1 + rows / 3) {
            soft_rows(rows, width[w], false);
            soft_rows(rows, width[w], true);
        }
}

typedef struct soft_time { void (*run)(size_t n, const float *x, float *y); size_t n; float *x, *y; } soft_time;

static void soft_call(void *arg)
{
    soft_time *t = arg;
    t->run(t->n, t->x, t->y);
}

static void soft_bench(void (*run)(size_t n, const float *x, float *y))
{
    soft_time t = { run, 1000, NULL, NULL };

    check_size(t.n);
    t.x = check_buf(t.n + 16); /* a masked access of the guard page would cost 100 ns */
    t.y = check_buf(t.n + 16);
    check_fill(t.x, t.n, -5.0f, 5.0f);
    check_bench("1000", 8.0 * (double)t.n, "GB/s", soft_call, &t);
}

void check_softmax(void)
{
    if (check_begin("softmax_f32", CHECK_ENTRY(softmax_f32))) {
        soft_cases(false);
        soft_bench(check_now.softmax_f32);
    }
    if (check_begin("softmax_rows_f32", CHECK_ENTRY(softmax_rows_f32)) && !check_benching())
        soft_all_rows();
    if (check_begin("log_softmax_f32", CHECK_ENTRY(log_softmax_f32))) {
        soft_cases(true);
        soft_bench(check_now.log_softmax_f32);
    }
}
