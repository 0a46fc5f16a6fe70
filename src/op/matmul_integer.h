/*
 * matmul_integer.h - products of 8-bit integers, exact, on the f32 matrix kernels.
 *
 * (a - zero) and (b - zero) lie in [-255, 255], so a product is at most 65025 and the sum of 256
 * of them stays below 2^24: f32 holds it exactly, whatever the order. K is cut into chunks of
 * 256; their sums are added up as 32-bit integers that wrap.
 */
#ifndef LN_MATMUL_INTEGER_H
#define LN_MATMUL_INTEGER_H

#include "dense.h"

/* A number per tensor, or per row of A or column of B: element matrix * unit + i * step of an input. */
typedef struct ln_integer_param {
    int32_t input; /* -1: absent */
    size_t  unit, step;
} ln_integer_param;

struct ln_integer;

/* Row `row` of batch entry `batch`: columns [from, from + n) of the exact sums. */
typedef void (*ln_integer_finish)(const ln_run *r, const struct ln_integer *s, size_t batch, size_t row,
                                  size_t from, size_t n, const int32_t *sum);
/* Row of A as numbers minus their zero point; NULL for the plain way. */
typedef void (*ln_integer_load)(const ln_run *r, const struct ln_integer *s, size_t a, size_t row, float *x);

typedef struct ln_integer {
    ln_product p;             /* sizes and strides only */
    int32_t a, b;             /* inputs */
    int32_t a_type, b_type;
    ln_integer_param a_zero, b_zero;
    ln_integer_finish finish;
    ln_integer_load   load;

    size_t  rows, m_step, n_step, n_tasks, unit_tasks;
    size_t  chunks, b_mats, packed; /* packed: floats of one packed B */
    size_t  b_at;                   /* in the workspace, in floats */
    const float *constant;          /* packed constant B */
    int32_t phase;                  /* the last one; the one before packs B */
} ln_integer;

/*
 * Fill a param from the desc of its input (-1 or dtype 0: absent). It is one number, or one for
 * each index of the operand's axis `side` (-2 or -1, the rows of A and columns of B unless
 * transposed). False: it does not fit.
 */
bool ln_integer_param_of(const ln_desc *in, int32_t count, int32_t input, const ln_desc *operand, int32_t side,
                         ln_integer_param *out);

/*
 * Shapes of inputs s->a and s->b are read, workspace is added behind q->workspace, and two phases
 * (one where B is constant) come behind the q->phases - 1 of the caller.
 */
linnet_status ln_integer_prepare(ln_prepare *q, const ln_matmul_form *form, ln_integer *s);
linnet_status ln_integer_run(const ln_run *r, const ln_integer *s);

/* Element of a parameter for matrix `mat` and row or column `i`; `absent` where there is none. */
double ln_integer_value(const ln_run *r, const ln_integer_param *p, size_t mat, size_t i, double absent);

/* u8 and i8. */
bool ln_integer_type(int32_t dtype);

#endif
