/*
 * resize.h - what the two halves of Resize share: tables of taps, and where they apply.
 */
#ifndef LN_RESIZE_H
#define LN_RESIZE_H

#include "window.h"

/* Output i along an axis is the sum of weight[i * taps + t] * input[index[i * taps + t]]. */
typedef struct ln_resize_axis {
    size_t        in, out, taps;
    bool          same;    /* every output is the input at its own place */
    const size_t *index;
    const float  *weight;
    const double *exact;   /* the weights again, for sums in double */
    const bool   *outside; /* of output i: extrapolated; NULL: none is */
} ln_resize_axis;

typedef struct ln_resize {
    int32_t        rank, first, last; /* axes [first, last] change, those around are carried along */
    ln_resize_axis axis[LN_MAX_RANK];
    size_t         outer, inner;      /* elements of the axes before first and after last */
    size_t         rows, step;        /* output rows along `last`; of a task */
    size_t         combos;            /* taps of a row: product over [first, last) */
    size_t         bytes;             /* of an element */
    bool           nearest;
    float          extrapolation;
} ln_resize;

/* Output rows [from, end). */
void ln_resize_rows(const ln_run *r, const ln_resize *s, size_t from, size_t end);

/* Scratch that those need; false: too much. */
LN_MUST_USE bool ln_resize_scratch(const ln_resize *s, int32_t dtype, size_t *bytes);

#endif
