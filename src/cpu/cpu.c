/*
 * cpu.c - which instruction-set levels this CPU and its operating system offer.
 *
 * A level is a bundle: nobody makes AVX2 processors without FMA and F16C, so
 * the rest of the library never asks about single features. Vector registers
 * count only where the operating system saves them (XCR0).
 */
#include "../kernel/kernel.h"
#include "../kernel/target.h"

#if defined(LN_X86) && defined(_MSC_VER)
#  include <intrin.h>

typedef struct cpu_id { uint32_t a, b, c, d; } cpu_id;

static cpu_id cpu_leaf(uint32_t leaf)
{
    int top[4], r[4];
    cpu_id id = { 0, 0, 0, 0 };

    __cpuid(top, 0);
    if ((uint32_t)top[0] < leaf)
        return id;
    __cpuidex(r, (int)leaf, 0);
    id.a = (uint32_t)r[0], id.b = (uint32_t)r[1], id.c = (uint32_t)r[2], id.d = (uint32_t)r[3];
    return id;
}

static int cpu_has(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

uint32_t ln_cpu_levels(void)
{
    const cpu_id one = cpu_leaf(1), seven = cpu_leaf(7);
    const uint32_t saved = cpu_has(one.c, 1u << 27) ? (uint32_t)_xgetbv(0) : 0; /* OSXSAVE */
    uint32_t levels = LN_ISA_SCALAR;

    if (!cpu_has(one.c, 1u << 19)) /* SSE4.1 */
        return levels;
    levels |= LN_ISA_SSE4;
    if (!cpu_has(saved, 0x6) || !cpu_has(one.c, 1u << 12 | 1u << 28 | 1u << 29) ||
        !cpu_has(seven.b, 1u << 5)) /* FMA, AVX, F16C; AVX2 */
        return levels;
    levels |= LN_ISA_AVX2;
    if (!cpu_has(saved, 0xe6) ||
        !cpu_has(seven.b, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31) || /* F, DQ, BW, VL */
        !cpu_has(seven.c, 1u << 11)) /* VNNI */
        return levels;
    return levels | LN_ISA_AVX512;
}
#elif defined(LN_X86)
/* The compiler's own runtime asks the processor before main(), XCR0 included; asking again takes 15 us in a virtual machine. */
uint32_t ln_cpu_levels(void)
{
    uint32_t levels = LN_ISA_SCALAR;

    __builtin_cpu_init(); /* for callers that are earlier still */
    if (!__builtin_cpu_supports("sse4.1"))
        return levels;
    levels |= LN_ISA_SSE4;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return levels;
    levels |= LN_ISA_AVX2;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512vnni"))
        return levels;
    return levels | LN_ISA_AVX512;
}
#elif defined(LN_ARM64)
uint32_t ln_cpu_levels(void) { return LN_ISA_SCALAR | LN_ISA_NEON; }
#else
uint32_t ln_cpu_levels(void) { return LN_ISA_SCALAR; }
#endif
