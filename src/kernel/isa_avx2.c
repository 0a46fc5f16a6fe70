/* isa_avx2.c - the kernels for x86 with AVX2, FMA and F16C. */
#include "kernel.h"
#include "target.h"
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#ifdef LN_X86
LN_TARGET_BEGIN("avx2,fma,f16c")
#define LN_ISA avx2
#include "vec.h"
#include "vec_avx2.h"
#include "kernels.inc"
#undef LN_ISA
LN_TARGET_END
#endif
