/* isa_neon.c - the kernels for 64-bit ARM, where NEON is always there. */
#include "kernel.h"
#include "target.h"
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#ifdef LN_ARM64
#define LN_ISA neon
#include "vec.h"
#include "vec_neon.h"
#include "kernels.inc"
#undef LN_ISA
#endif
