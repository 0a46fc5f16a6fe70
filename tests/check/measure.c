/*
 * measure.c - time, and the speed of multiply-adds that a level could reach at most.
 *
 * The peak is twelve independent chains of the level's own multiply-add on registers (multiply
 * then add below AVX2); kernels are told as a share of it. Zero where it is not known.
 */
#define _DEFAULT_SOURCE
#include "check.h"

#include <time.h>

static double clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of samples of at least 0.2 ms, for 60 ms. */
double check_seconds(void (*call)(void *), void *arg)
{
    double best = 1e9;
    size_t times = 1;

    call(arg);
    const double end = clock_now() + 0.06;
    do {
        const double start = clock_now();
        for (size_t i = 0; i < times; i++)
            call(arg);
        const double took = clock_now() - start;
        best = fmin(best, took / (double)times);
        if (took < 2e-4)
            times *= 2;
    } while (clock_now() < end);
    return best;
}

#if defined(__x86_64__) && defined(__GNUC__)

enum { PEAK_ROUNDS = 10000, PEAK_CHAINS = 12 };

#define PEAK12(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define PEAK_FMA(i) "vfmadd213ps %%" PEAK_REG "12, %%" PEAK_REG "12, %%" PEAK_REG #i "\n\t"
#define PEAK_SSE(i) "mulps %%xmm12, %%xmm" #i "\n\taddps %%xmm12, %%xmm" #i "\n\t"
#define PEAK_ONE(i) "mulss %%xmm12, %%xmm" #i "\n\taddss %%xmm12, %%xmm" #i "\n\t"
#define PEAK_USES "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
                  "xmm10", "xmm11", "xmm12"
#define PEAK_LOOP(name, zero, body)                                          \
    static void name(void *unused)                                           \
    {                                                                        \
        (void)unused;                                                        \
        __asm__ volatile(zero ::: PEAK_USES);                                \
        for (int n = 0; n < PEAK_ROUNDS; n++)                                \
            __asm__ volatile(body ::: PEAK_USES);                            \
    }
#define PEAK_ZERO(i) "xorps %%xmm" #i ", %%xmm" #i "\n\t"
#define PEAK_VZERO(i) "vpxor %%xmm" #i ", %%xmm" #i ", %%xmm" #i "\n\t"

PEAK_LOOP(peak_scalar, PEAK12(PEAK_ZERO) "xorps %%xmm12, %%xmm12", PEAK12(PEAK_ONE))
PEAK_LOOP(peak_sse4, PEAK12(PEAK_ZERO) "xorps %%xmm12, %%xmm12", PEAK12(PEAK_SSE))
#define PEAK_REG "ymm"
PEAK_LOOP(peak_avx2, PEAK12(PEAK_VZERO) "vpxor %%xmm12, %%xmm12, %%xmm12",
          PEAK12(PEAK_FMA) "")
#undef PEAK_REG
#define PEAK_REG "zmm"
PEAK_LOOP(peak_avx512, PEAK12(PEAK_VZERO) "vpxor %%xmm12, %%xmm12, %%xmm12",
          PEAK12(PEAK_FMA) "")

double check_peak(uint32_t level)
{
    static const struct { uint32_t level; double lanes; void (*run)(void *); } peak[] = {
        { LN_ISA_SCALAR, 1.0, peak_scalar }, { LN_ISA_SSE4, 4.0, peak_sse4 },
        { LN_ISA_AVX2, 8.0, peak_avx2 }, { LN_ISA_AVX512, 16.0, peak_avx512 },
    };

    for (size_t i = 0; i < CHECK_COUNT(peak); i++)
        if (peak[i].level == level)
            return 2.0 * PEAK_CHAINS * PEAK_ROUNDS * peak[i].lanes / check_seconds(peak[i].run, NULL);
    return 0.0;
}

#else

double check_peak(uint32_t level)
{
    (void)level;
    return 0.0;
}

#endif
