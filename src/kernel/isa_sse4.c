/* isa_sse4.c - the kernels for x86 with SSE4.1. */
#include "kernel.h"
#include "target.h"
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#ifdef LN_X86
LN_TARGET_BEGIN("sse4.1")
#define LN_ISA sse4
#include "vec.h"
#include "vec_sse4.h"
#include "kernels.inc"
#undef LN_ISA
LN_TARGET_END
#endif
