/*
 * isa.c - names of instruction-set levels.
 */
#include "api.h"

uint32_t linnet_isa_levels(void) { return ln_cpu_levels(); }

const char *linnet_isa_name(uint32_t isa)
{
    static const struct { uint32_t bit; const char *name; } level[] = {
        { LINNET_ISA_NEON, "neon" }, { LINNET_ISA_AVX512, "avx512" }, { LINNET_ISA_AVX2, "avx2" },
        { LINNET_ISA_SSE4, "sse4" },
    };

    for (size_t i = 0; i < LN_COUNT(level); i++)
        if (isa & level[i].bit)
            return level[i].name;
    return "scalar";
}
