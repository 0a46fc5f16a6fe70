/*
 * recurrent.h - what RNN, LSTM and GRU share.
 *
 * X * W of the whole sequence is one matrix product (with W's bias), cut into many tasks. Then
 * one task for each direction and block of sequences walks through time: the cell multiplies
 * the block's hidden rows with R (with R's bias) and applies its gates row by row. Sequences do
 * not touch each other, so blocks of a few rows are independent.
 */
#ifndef LN_RECURRENT_H
#define LN_RECURRENT_H

#include "dense.h"

#include <math.h>

enum { LN_RECURRENT_ROWS = 32 };

typedef struct ln_recurrent_param {
    ln_strs     activations;
    ln_floats   alpha, beta;
    float       clip;
    const char *direction;
    int64_t     hidden_size, layout, input_forget, linear_before_reset;
} ln_recurrent_param;

/* An activation: post * fn(pre * x), where pre and post are 1 but for ScaledTanh. */
typedef struct ln_recurrent_act {
    ln_act fn;
    float  pre, post;
} ln_recurrent_act;

struct ln_recurrent_row;
struct ln_recurrent_cell;

typedef struct ln_recurrent {
    const struct ln_recurrent_kind *kind;
    int32_t in_count, out_count;
    size_t  steps, batch, in, hidden, width, dirs; /* width: of all gates of one row */
    size_t  x_step, x_row;        /* rows of X from a step, and a sequence, to the next */
    size_t  y_step, y_row, y_dir; /* the same of Y, in elements */
    size_t  s_row, s_dir;         /* of the states, in elements */
    bool    reverse[2], wide;     /* wide: computed in doubles, for types that are not f32 */
    float   clip;                 /* INFINITY: none */
    ln_recurrent_act act[2][3];
    size_t  block, blocks;        /* sequences of a task; tasks of a direction */
    int32_t dtype;

    ln_dense     x;                      /* X * W */
    ln_dense     r[2];                   /* R, in up to two parts that are multiplied apart */
    size_t       r_from[2], parts;       /* first column of each part */
    const float *w_packed, *r_packed[2]; /* NULL: packed in the workspace */
    size_t       xw_at, w_at, r_at[2];   /* places in the workspace, in floats */
    int32_t      x_phase;

    /* A single sequence on the fused kernel of its cell (recurrent_row.c). */
    ln_cell_fn   fused;          /* NULL: not possible, or several sequences in a block */
    size_t       helpers, units; /* tasks of a row; units of each but the last */
    bool         half;           /* R is stored as bf16 */
    bool         apart;          /* helpers compute X W themselves: W is packed gate by gate */
    size_t       cells;          /* floats of R in the order of the kernel, for one direction */
    const void  *cells_packed;   /* f32, or where `half` bf16; NULL: packed in the workspace */
    size_t       cells_at, row_at, row_floats; /* places in the workspace; what a row's helpers share */
} ln_recurrent;

/* A block of sequences in one direction, at work. Rows of h, c, more are `hidden` long. */
typedef struct ln_recurrent_block {
    const ln_run       *run;
    const ln_recurrent *s;
    size_t       dir, from, rows;
    float       *h, *c, *gate, *more; /* states; `width` a row; free for the cell's use */
    const float *bias;                /* R's, `width` floats, or NULL */
    bool         active[LN_RECURRENT_ROWS];
} ln_recurrent_block;

/* One sequence in doubles. */
typedef struct ln_recurrent_wide {
    const ln_run       *run;
    const ln_recurrent *s;
    size_t  dir;
    double *x, *hr;        /* `width`: X * W + bias; what ln_recurrent_sum_f64 gives */
    double *h, *c, *more;  /* `hidden`: states; free for the cell's use */
} ln_recurrent_wide;

/* What makes an operator of this family. */
typedef struct ln_recurrent_kind {
    const char *name;
    size_t      gates, acts;
    const char *presets[3];
    int32_t     states; /* 2: an LSTM, which has a cell state and peepholes */
    /* One step: new h and c of the rows that are active. Row i of X * W is xw + i * ldx. */
    void      (*cell)(ln_recurrent_block *b, const float *xw, size_t ldx);
    void      (*wide)(ln_recurrent_wide *w);
    /* The kernel of a whole step with the preset activations, where there is one for these inputs and attributes. */
    ln_cell_fn (*fused)(const ln_prepare *q);
} ln_recurrent_kind;

linnet_status ln_recurrent_infer(const ln_infer *q, const ln_recurrent_kind *kind);
/* The last `split` gates of R are multiplied apart from the rest; 0: none. */
linnet_status ln_recurrent_prepare(ln_prepare *q, const ln_recurrent_kind *kind, size_t split);
linnet_status ln_recurrent_run(const ln_run *r);
size_t ln_recurrent_dirs(const ln_recurrent_param *p); /* 0: no such direction */
/* Input or output i of a run; NULL: absent. */
const void *ln_recurrent_in(const ln_run *r, const ln_recurrent *s, int32_t i);
void       *ln_recurrent_out(const ln_run *r, const ln_recurrent *s, int32_t i);

/* ---- activations (recurrent_act.c) ---- */

/* alpha and beta are given to the functions that take them, in order. False: unknown name. */
bool ln_recurrent_acts(const ln_recurrent_param *p, const ln_recurrent_kind *kind, size_t dirs,
                       ln_recurrent_act out[2][3]);
/* No clip, and the preset activations: what fused kernels know. */
bool ln_recurrent_plain(const ln_prepare *q, const ln_recurrent_kind *kind);
/* R as bf16? */
static inline bool ln_recurrent_half(const ln_prepare *q) { return q->half && q->value[2]; }

/* ---- one sequence in doubles (recurrent_wide.c) ---- */

linnet_status ln_recurrent_walk_f64(const ln_run *r, const ln_recurrent *s);

/* ---- one sequence on the fused kernels (recurrent_row.c) ---- */

/* Helpers, and what they share: *floats of workspace. False: too large. */
LN_MUST_USE bool ln_recurrent_row_plan(ln_recurrent *s, const ln_kernels *kernel, int32_t workers, size_t *floats);
/* R of one direction, floats at any address, in the order of the kernel; bf16 where s->half. */
void ln_recurrent_row_pack(const ln_recurrent *s, const ln_kernels *kernel, const void *r, void *cells);
/* Before the phase that walks. */
void ln_recurrent_row_start(const ln_run *r, const ln_recurrent *s);
linnet_status ln_recurrent_row_run(const ln_run *r, const ln_recurrent *s, const float *weight, const void *cells);

/* ---- for cells --------------------------------------------------------------- */

/* y = x * (part of R) + its bias + add, for all rows of the block. */
void ln_recurrent_multiply(const ln_recurrent_block *b, size_t part, const float *x, float *y,
                           const float *add, size_t ldadd);
/* Clip, then activation `which`, in place. */
void ln_recurrent_act_f32(const ln_recurrent_block *b, size_t which, size_t n, float *y);
double ln_recurrent_act_f64(const ln_recurrent_wide *w, size_t which, double x);
/* H * R + bias for gates [from, to) into w->hr; x has `hidden` elements. */
void ln_recurrent_sum_f64(const ln_recurrent_wide *w, const double *x, size_t from, size_t to);

#define LN_RECURRENT_ATTRS                                                                      \
    { "activations", LN_ATTR_STRS, offsetof(ln_recurrent_param, activations), 0, false },       \
    { "activation_alpha", LN_ATTR_FLOATS, offsetof(ln_recurrent_param, alpha), 0, false },      \
    { "activation_beta", LN_ATTR_FLOATS, offsetof(ln_recurrent_param, beta), 0, false },        \
    { "clip", LN_ATTR_F32, offsetof(ln_recurrent_param, clip), (double)INFINITY, false },       \
    { "direction", LN_ATTR_STR, offsetof(ln_recurrent_param, direction), 0, false },            \
    { "hidden_size", LN_ATTR_I64, offsetof(ln_recurrent_param, hidden_size), 0, false },        \
    { "layout", LN_ATTR_I64, offsetof(ln_recurrent_param, layout), 0, false }

#endif
