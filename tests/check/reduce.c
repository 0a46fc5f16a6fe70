/*
 * reduce.c - folds to one number and onto a row: bounds, NaN, independence of alignment.
 */
#include "check.h"

static const double red_neutral[] = { 0.0, 0.0, 0.0, -INFINITY, INFINITY, 1.0 };
static const char *const red_name[] = { "sum", "sumsq", "sumabs", "max", "min", "prod" };

static double red_step(int op, double acc, double x)
{
    switch (op) {
    case LN_RED_SUM:    return acc + x;
    case LN_RED_SUMSQ:  return acc + x * x;
    case LN_RED_SUMABS: return acc + fabs(x);
    case LN_RED_MAX:    return isnan(acc) || isnan(x) ? NAN : x > acc ? x : acc;
    case LN_RED_MIN:    return isnan(acc) || isnan(x) ? NAN : x < acc ? x : acc;
    default:            return acc * x;
    }
}

/* Rounding: blocks of at most 64 terms a lane, then one term a block, then the lanes. */
static double red_bound(int op, size_t n, double size)
{
    const double depth = 12.0 + (n < 256 ? (double)n : 8.0 * sqrt((double)n));

    return op == LN_RED_MAX || op == LN_RED_MIN ? 0.0 : depth * 0x1p-24 * size;
}

static void red_all_case(int op, size_t n, float odd)
{
    check_case("n=%zu with %g", n, (double)odd);
    float *x = check_buf(n + 1), *shifted = check_buf(n + 16), *got = check_buf(1);
    double *want = check_want(1), *bound = check_want(1), size = 0.0;

    check_fill(x, n + 1, op == LN_RED_PROD ? 0.9f : -1.0f, op == LN_RED_PROD ? 1.1f : 2.0f);
    if (odd != 0.0f && n)
        x[check_rand(0, n - 1)] = odd;
    x[n] = NAN; /* beyond the end: must not count */
    *want = red_neutral[op];
    for (size_t i = 0; i < n; i++) {
        *want = red_step(op, *want, (double)x[i]);
        size += fabs((double)x[i]) * (op == LN_RED_SUMSQ ? fabs((double)x[i]) : 1.0);
    }
    *bound = red_bound(op, n, op == LN_RED_PROD ? fabs(*want) : size);
    *got = check_now.reduce_all_f32[op](n, x);
    check_bound(got, want, bound, 1);
    const size_t by = check_rand(1, 15);
    memcpy(shifted + by, x, n * sizeof *x);
    const float other = check_now.reduce_all_f32[op](n, shifted + by);
    check_ok(isnan(other) ? isnan(*got) : memcmp(&other, got, sizeof other) == 0,
             "another alignment gives other bits");
}

static void red_rows_case(int op, size_t n)
{
    static const float odd[] = { 0.0f, INFINITY, -INFINITY, NAN };

    check_size(n);
    float *x = check_buf(n), *y = check_buf(n);
    double *want = check_want(n), *bound = check_want(n);

    check_fill(x, n, -2.0f, 2.0f);
    check_fill(y, n, -2.0f, 2.0f);
    for (size_t i = 0; i < n; i++) {
        if (check_rand(0, 4) == 0)
            x[i] = odd[check_rand(0, 3)];
        if (check_rand(0, 4) == 0)
            y[i] = odd[check_rand(0, 3)];
        want[i]  = red_step(op, (double)y[i], (double)x[i]);
        bound[i] = red_bound(op, 1, 10.0) / 13.0;
    }
    check_now.reduce_rows_f32[op](n, x, y);
    check_bound(y, want, bound, n);
}

typedef struct red_time { int op; size_t n; float *x, *y; float sink; } red_time;

static void red_call_all(void *arg)
{
    red_time *t = arg;
    t->sink += check_now.reduce_all_f32[t->op](t->n, t->x);
}
static void red_call_rows(void *arg)
{
    red_time *t = arg;
    check_now.reduce_rows_f32[t->op](t->n, t->x, t->y);
}

static void red_bench(int op, bool rows)
{
    red_time t = { op, 16384, NULL, NULL, 0.0f };

    check_size(t.n);
    t.x = check_buf(t.n);
    t.y = check_buf(t.n);
    check_fill(t.x, t.n, 0.99f, 1.01f);
    check_fill(t.y, t.n, 0.99f, 1.01f);
    check_bench("16384", (rows ? 12.0 : 4.0) * (double)t.n, "GB/s",
                rows ? red_call_rows : red_call_all, &t);
}

void check_reduce(void)
{
    static const size_t size[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127,
                                   129, 255, 257, 1000, 4095, 4096, 4097, 4111, 20000 };
    char name[32];

    for (int op = 0; op < LN_RED_COUNT; op++) {
        snprintf(name, sizeof name, "reduce_all %s", red_name[op]);
        if (check_begin(name, CHECK_ENTRY(reduce_all_f32[op]))) {
            if (check_benching())
                red_bench(op, false);
            for (size_t s = 0; s < CHECK_COUNT(size); s++) {
                red_all_case(op, size[s], 0.0f);
                red_all_case(op, size[s], NAN);
                red_all_case(op, size[s], INFINITY);
                red_all_case(op, size[s], -INFINITY);
            }
        }
        snprintf(name, sizeof name, "reduce_rows %s", red_name[op]);
        if (check_begin(name, CHECK_ENTRY(reduce_rows_f32[op]))) {
            if (check_benching())
                red_bench(op, true);
            for (size_t s = 0; s < 23; s++)
                red_rows_case(op, size[s]);
        }
    }
}
