/*
 * ulp.c - the largest error of the elementary functions, over all floats or each N-th.
 *
 *   ulp [--step N] [--fn NAME] [--level NAME]
 *
 * The errors are in units of the last place of the exact result (2^-149 below the normal
 * range), against the double functions of the C library. Exits with 1 where an error is above
 * what the library promises. --step 1 walks all 2^32 floats: about a minute per function and
 * level. A program of its own; the two threads share the work.
 */
#define _DEFAULT_SOURCE
#include "../../src/kernel/kernel.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double ref_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double ref_swish(double x) { return isinf(x) && x < 0 ? -0.0 : x / (1.0 + exp(-x)); }
static double ref_gelu(double x)
{
    return isinf(x) ? (x < 0 ? -0.0 : x) : x * 0.5 * erfc(-x * 0.70710678118654752440);
}
static double ref_elu(double x) { return x < 0 ? expm1(x) : x; }
static double ref_softplus(double x) { return x > 40 ? x : log1p(exp(x)); }
static double ref_mish(double x)
{
    const double w = exp(x), p = w * (w + 2.0);

    return x > 40 ? x : isinf(x) ? -0.0 : x * p / (p + 2.0);
}
static double ref_softsign(double x) { return isinf(x) ? copysign(1.0, x) : x / (1.0 + fabs(x)); }
static double ref_rsqrt(double x) { return 1.0 / sqrt(x); }
static double ref_reciprocal(double x) { return 1.0 / x; }

static const struct ulp_fn {
    const char *name;
    int         fn;
    float       a, b;
    double      (*want)(double);
    double      promise;
} ulp_list[] = {
    { "exp", LN_FN_EXP, 0, 0, exp, 1.0 },
    { "sigmoid", LN_FN_SIGMOID, 0, 0, ref_sigmoid, 2.0 },
    { "tanh", LN_FN_TANH, 0, 0, tanh, 2.0 },
    { "erf", LN_FN_ERF, 0, 0, erf, 3.0 },
    { "gelu", LN_FN_GELU, 0, 0, ref_gelu, 3.0 },
    { "log", LN_FN_LOG, 0, 0, log, 1.5 },
    { "sin", LN_FN_SIN, 0, 0, sin, 2.0 },
    { "cos", LN_FN_COS, 0, 0, cos, 2.0 },
    { "swish", LN_FN_SWISH, 1, 0, ref_swish, 4.0 },
    { "elu", LN_FN_ELU, 1, 0, ref_elu, 2.0 },
    { "softplus", LN_FN_SOFTPLUS, 0, 0, ref_softplus, 3.0 },
    { "mish", LN_FN_MISH, 0, 0, ref_mish, 5.0 },
    { "softsign", LN_FN_SOFTSIGN, 0, 0, ref_softsign, 1.5 },
    { "sqrt", LN_FN_SQRT, 0, 0, sqrt, 0.5 },
    { "rsqrt", LN_FN_RSQRT, 0, 0, ref_rsqrt, 1.5 },
    { "reciprocal", LN_FN_RECIPROCAL, 0, 0, ref_reciprocal, 0.5 },
};

static const struct { const char *name; uint32_t bit; } ulp_levels[] = {
    { "scalar", LN_ISA_SCALAR }, { "sse4", LN_ISA_SSE4 }, { "avx2", LN_ISA_AVX2 },
    { "avx512", LN_ISA_AVX512 }, { "neon", LN_ISA_NEON },
};

typedef struct ulp_work {
    const struct ulp_fn *f;
    ln_unary_f32         run;
    uint64_t             from, to, step;
    double               worst;
    float                at, got;
} ulp_work;

static double ulp_error(float got, double want)
{
    uint64_t bits;
    double unit;

    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got) ? 0.0 : INFINITY;
    if (isinf(want) || (isinf(got) && (float)want == got))
        return (double)got == want || (float)want == got ? 0.0 : INFINITY;
    memcpy(&bits, &want, sizeof bits);
    int exponent = (int)(bits >> 52 & 2047) - 1023;
    if (exponent < -126)
        exponent = -126;
    bits = (uint64_t)(exponent - 23 + 1023) << 52;
    memcpy(&unit, &bits, sizeof unit);
    return fabs((double)got - want) / unit;
}

static void *ulp_walk(void *arg)
{
    enum { BATCH = 4096 };
    ulp_work *w = arg;
    float x[BATCH], y[BATCH];

    for (uint64_t at = w->from; at < w->to;) {
        size_t n = 0;

        for (; n < BATCH && at < w->to; n++, at += w->step) {
            const uint32_t bits = (uint32_t)at;
            memcpy(&x[n], &bits, sizeof bits);
        }
        w->run(n, x, y, w->f->a, w->f->b);
        for (size_t i = 0; i < n; i++) {
            const double e = ulp_error(y[i], w->f->want((double)x[i]));
            if (e > w->worst)
                w->worst = e, w->at = x[i], w->got = y[i];
        }
    }
    return NULL;
}

/* True where the promise holds. */
static bool ulp_measure(const struct ulp_fn *f, const ln_kernels *k, const char *level,
                        uint64_t step)
{
    const uint64_t all = (uint64_t)1 << 32, middle = all / 2 / step * step;
    ulp_work w[2] = { { f, k->unary_f32[f->fn], 0, middle, step, 0, 0, 0 },
                      { f, k->unary_f32[f->fn], middle, all, step, 0, 0, 0 } };
    pthread_t thread;
    const bool two = pthread_create(&thread, NULL, ulp_walk, &w[0]) == 0;

    if (!two)
        ulp_walk(&w[0]);
    ulp_walk(&w[1]);
    if (two)
        pthread_join(thread, NULL);
    const ulp_work *most = w[0].worst >= w[1].worst ? &w[0] : &w[1];
    const bool ok = most->worst <= f->promise;
    printf("%-10s %-7s %6.3f ulp at %.9g (%a): %.9g, exactly %.9g%s\n", f->name, level,
           most->worst, (double)most->at, (double)most->at, (double)most->got,
           f->want((double)most->at), ok ? "" : "   ABOVE THE PROMISE");
    fflush(stdout);
    return ok;
}

int main(int argc, char **argv)
{
    const char *fn = NULL, *level = NULL;
    uint64_t step = 4099; /* a prime: all sorts of low bits */
    bool ok = true;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--step") == 0)
            step = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--fn") == 0)
            fn = argv[i + 1];
        else if (strcmp(argv[i], "--level") == 0)
            level = argv[i + 1];
    }
    if (argc % 2 == 0 || step == 0) {
        fprintf(stderr, "usage: ulp [--step N] [--fn NAME] [--level NAME]\n");
        return 2;
    }
    for (size_t l = 0; l < sizeof ulp_levels / sizeof *ulp_levels; l++) {
        ln_kernels k;

        if (!(ln_cpu_levels() & ulp_levels[l].bit) ||
            (level && strcmp(level, ulp_levels[l].name) != 0))
            continue;
        ln_kernels_init(&k, ulp_levels[l].bit);
        for (size_t i = 0; i < sizeof ulp_list / sizeof *ulp_list; i++)
            if (!fn || strcmp(fn, ulp_list[i].name) == 0)
                ok &= ulp_measure(&ulp_list[i], &k, ulp_levels[l].name, step);
    }
    return !ok;
}
