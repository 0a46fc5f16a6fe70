/* isa_avx512.c - the kernels for x86 with AVX-512 (F BW DQ VL VNNI). */
#include "kernel.h"
#include "target.h"
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#ifdef LN_X86
LN_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#define LN_ISA avx512
#include "vec.h"
#include "vec_avx512.h"
#include "kernels.inc"
#undef LN_ISA
LN_TARGET_END
#endif
