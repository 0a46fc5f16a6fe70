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

/* n runs of `run` bytes; step_x and step_y bytes from one to the next. */
void ln_copy_runs(size_t n, size_t run, const void *x, int64_t step_x, void *y, int64_t step_y);

/*
 * Rows that are made of one slab from each of several tensors: what Concat joins and Split takes
 * apart. Small ones are one task; large slabs are cut by rows, and long rows into pieces.
 */
typedef struct ln_slab {
    size_t width, at;          /* bytes of a row that are its own, and where in the row */
    size_t first, tasks;       /* of the tasks, its own */
    size_t per, pieces, piece; /* rows of a task; or pieces of a row, and their bytes */
} ln_slab;
typedef struct ln_slabs {
    size_t   rows, row, count; /* row: bytes */
    size_t   tasks;            /* 1: every slab in one go */
    ln_slab *slab;
} ln_slabs;

/* NULL: no memory. `width` of each slab is to be filled in before ln_slabs_plan. */
ln_slab *ln_slabs_begin(ln_slabs *s, ln_prepare *q, size_t rows, size_t count);
void     ln_slabs_plan(ln_slabs *s, ln_prepare *q);

/* The part of slab i that task `task` copies: rows from *row on, of each `bytes` bytes from *from on. */
bool ln_slabs_part(const ln_slabs *s, size_t i, size_t task, size_t *row, size_t *rows, size_t *from, size_t *bytes);

#endif
