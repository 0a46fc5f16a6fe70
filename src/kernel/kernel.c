/*
 * kernel.c - choosing kernels: a ladder of levels into one table.
 *
 * Each level overwrites what it improves on, lowest level first, so the table
 * ends with the best that both the CPU and the caller's mask allow.
 */
#include "kernel.h"
#include "target.h"
#include "../base/base.h"

typedef struct kernel_level {
    uint32_t isa;
    void (*fill)(ln_kernels *k);
} kernel_level;

static const kernel_level kernel_ladder[] = {
    { LN_ISA_SCALAR, ln_kernels_scalar },
#ifdef LN_X86
    { LN_ISA_SSE4, ln_kernels_sse4 },
    { LN_ISA_AVX2, ln_kernels_avx2 },
    { LN_ISA_AVX512, ln_kernels_avx512 },
#endif
#ifdef LN_ARM64
    { LN_ISA_NEON, ln_kernels_neon },
#endif
};

void ln_kernels_init(ln_kernels *k, uint32_t mask)
{
    const uint32_t usable = (ln_cpu_levels() & mask) | LN_ISA_SCALAR;

    memset(k, 0, sizeof *k);
    for (size_t i = 0; i < LN_COUNT(kernel_ladder); i++) {
        if (!(usable & kernel_ladder[i].isa))
            continue;
        kernel_ladder[i].fill(k);
        k->isa = kernel_ladder[i].isa;
    }
}

uint32_t ln_cell_pair(float a, float b)
{
    const uint32_t low = ln_f32_to_bf16(b);
    uint32_t bits;

    memcpy(&bits, &a, sizeof bits);
    if ((bits >> 23 & 255u) - 1u >= 253u) /* zero and about, and where a step up could be infinity */
        return (bits & 0xffff0000u) | low;
    return ((bits - low + 0x8000u) & 0xffff0000u) | low;
}

size_t ln_packed_b_floats(const ln_kernels *k, size_t rows, size_t cols)
{
    size_t floats;

    if (!ln_mul(ln_ceil_div(cols, k->gemm_nr), k->gemm_nr, &floats) ||
        !ln_mul(floats, rows, &floats))
        return 0;
    return floats;
}
