/* isa_scalar.c - the kernels in plain C, for every machine. */
#include "kernel.h"
#include "target.h"
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define LN_ISA scalar
#include "vec.h"
#include "vec_scalar.h"
#include "kernels.inc"
#undef LN_ISA
