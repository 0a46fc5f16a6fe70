/*
 * strided.h - a tensor written front to back from elements that lie at fixed steps.
 *
 * Slice, Expand and Tile are all this: output axes, each with a count and the bytes between its
 * neighbours in the input (0: repeated; negative: backwards). Axes that continue each other are
 * merged, and what lies together in the input is copied as one run.
 */
#ifndef LN_STRIDED_H
#define LN_STRIDED_H

#include "op.h"

#define LN_STRIDED_AXES (2 * LN_MAX_RANK)

typedef struct ln_strided {
    int32_t rank;                    /* axes around the run; the last is walked by the inner loop */
    size_t  count[LN_STRIDED_AXES + 1];
    int64_t step[LN_STRIDED_AXES + 1]; /* bytes */
    size_t  run;                     /* bytes that lie together */
    size_t  runs;                    /* how many in all */
    size_t  per;                     /* runs of a task */
    size_t  pieces, piece;           /* where a run is large: its tasks, and bytes of each */
} ln_strided;

/* An empty one, then its axes from the outermost on, then ln_strided_plan for the tasks. */
void ln_strided_begin(ln_strided *s, size_t element);
void ln_strided_axis(ln_strided *s, size_t count, int64_t step);
void ln_strided_plan(ln_strided *s, ln_prepare *q);

/* One task: x is the input element that comes first. */
void ln_strided_run(const ln_strided *s, size_t task, const void *x, void *y);

/* y = n times the `run` bytes at x. */
void ln_fill(void *y, const void *x, size_t n, size_t run);

#endif
