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
    if (check_begin("log_softmax_f32", CHECK_ENTRY(log_softmax_f32))) {
        soft_cases(true);
        soft_bench(check_now.log_softmax_f32);
    }
}
