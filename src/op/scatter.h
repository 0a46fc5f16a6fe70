/*
 * scatter.h - one element written onto another, with the reductions of the scatter operators.
 */
#ifndef LN_SCATTER_H
#define LN_SCATTER_H

#include "op.h"

enum { LN_SCATTER_NONE, LN_SCATTER_ADD, LN_SCATTER_MUL, LN_SCATTER_MAX, LN_SCATTER_MIN };

/* The reduction of that name, or -1. */
int ln_scatter_reduction(const char *name);

/* y[0..n) = y (reduction) x, elements of `dtype`. Sums of integers wrap. */
void ln_scatter_apply(int reduction, int32_t dtype, const void *x, void *y, size_t n);

#endif
