/*
 * dense.h - the engine of everything that multiplies by a matrix: C = act(A * B + bias + add).
 *
 * ln_dense is one product m x k times k x n, cut into tasks whose size depends on the shape
 * alone. B is packed for the kernels, by ln_dense_derive() once per model where it is
 * constant, by ln_dense_pack() in a phase of the run where it is not. Inside a task groups of
 * columns whose B fits L2 are the outer loop and row tiles the inner one, so B is read from L2
 * and A streams.
 *
 * ln_product adds what MatMul and Gemm need around it: batches, transposes, every element type.
 */
#ifndef LN_DENSE_H
#define LN_DENSE_H

#include "../kernel/target.h"
#include "op.h"

typedef struct ln_dense {
    size_t m, n, k;
    size_t rows;           /* of a register tile: balanced, at most gemm_mr */
    size_t group;          /* columns whose packed B stays in L2 */
    size_t m_step, n_step; /* rows and columns of a task */
    size_t n_tasks, tasks;
    size_t packed;         /* floats of packed B */
    size_t pack_step;      /* columns of a packing task */
    size_t pack_tasks;
    size_t turn;           /* more than 1: row p of constant B is row p % (k / turn) * turn + p / (k / turn) of the given one */
} ln_dense;

/* Plan m x k times k x n; false: too large. m, n, k may be 0. */
LN_MUST_USE bool ln_dense_init(ln_dense *d, const ln_kernels *kernel, size_t m, size_t n, size_t k);

/* How B lies in memory: element p, j of matrix i at start + i * stride + p * rs + j * cs. */
typedef struct ln_dense_b {
    size_t count, stride, rs, cs;
    float  scale; /* every element is multiplied by it */
    size_t start;
} ln_dense_b;

/* The packed form of constant f32 input `input`, at any address: b->count matrices, d->packed floats each. */
linnet_status ln_dense_derive(ln_prepare *q, int32_t input, const ln_dense *d, const ln_dense_b *b,
                              const float **packed);

/* Pack the columns of packing task `task` of one matrix. */
void ln_dense_pack(const ln_dense *d, const ln_kernels *kernel, const float *b, const ln_dense_b *at,
                   float *packed, size_t task);

/* `run` of the `left` floats at p are being copied: ask for as many behind them. */
static inline void ln_dense_ahead(const char *p, size_t run, size_t left)
{
    for (size_t i = run; i < LN_MIN(2 * run, left); i += LN_ALIGN / sizeof(float))
        LN_PREFETCH(p + i * sizeof(float));
}

/* Read through `size` bytes that will be wanted in another order: memory is fastest front to back. */
static inline void ln_dense_touch(const void *p, size_t size)
{
    const volatile char *c = p;

    for (size_t i = 0; i < size; i += LN_ALIGN)
        (void)c[i];
}

/* Columns [n0, n1) of a matrix of floats at any address, k deep, packed into out: as pack_b_f32 does it. */
void ln_dense_pack_bytes(const ln_kernels *kernel, size_t k, const void *b, const ln_dense_b *at, size_t n0, size_t n1,
                         float *out);

/* The rows [m[0], m[1]) and columns [n[0], n[1]) of task `task`. */
void ln_dense_range(const ln_dense *d, size_t task, size_t m[2], size_t n[2]);

/* Task `task` of the product. g->b is packed B. m = 1 goes through gemv_f32. */
void ln_dense_run(const ln_dense *d, const ln_kernels *kernel, const ln_gemm_f32 *g, const float *a,
                  size_t lda, float *c, size_t ldc, const float *add, size_t ldadd, size_t task);

/* A 64-bit hash of `count` numbers, for the keys of derived constants. */
uint64_t ln_dense_key(const uint64_t *v, size_t count);

/* ---- seven products for eight ------------------------------------------------------------ */

/* A product m x k times k x n of constant B by seven of half its sizes (dense_seven.c). */
typedef struct ln_seven {
    size_t pairs, n, k;    /* pairs of rows; columns and depth of one half */
    size_t lone;           /* 1: a row behind the pairs */
    size_t part;           /* floats of one of seven packed parts of B */
    size_t rows;           /* of a register tile */
    size_t block, step;    /* pairs of rows and columns of a task */
    size_t group;          /* columns that go past the rows of a task together */
    size_t n_tasks, tasks;
    size_t scratch;        /* bytes for each worker */
} ln_seven;

/* False: these sizes cannot, or had better not. */
LN_MUST_USE bool ln_seven_init(ln_seven *s, const ln_kernels *kernel, size_t m, size_t n, size_t k);
/* Its packed B: how many floats, made in how many steps, and step `step`, from B at any address. */
LN_MUST_USE bool ln_seven_floats(const ln_seven *s, size_t *floats);
size_t ln_seven_steps(const ln_seven *s, const ln_kernels *kernel);
void ln_seven_pack(const ln_seven *s, const ln_kernels *kernel, const ln_dense_b *b, const void *src, float *out,
                   size_t step);
linnet_status ln_seven_derive(ln_prepare *q, int32_t input, const ln_seven *s, const ln_dense_b *b,
                              const float **packed);
/* As ln_dense_run; g->n and g->k are not looked at. c may be `add`, element for element. */
void ln_seven_run(const ln_seven *s, const ln_kernels *kernel, const ln_gemm_f32 *g, const float *a, size_t lda,
                  float *c, size_t ldc, const float *add, size_t ldadd, void *scratch, size_t task);

/* ---- batched products --------------------------------------------------------------- */

/*
 * out = act(alpha * A B + bias + beta * C + residual) for every batch, where A is input 0 and
 * B input 1. A is m x k, B k x n; out is m x n without gaps, batch after batch. C has strides
 * of its own (0 repeats it) and goes with a single batch only; the residual lies like out.
 * All have the same element type.
 */
typedef struct ln_product {
    size_t  m, n, k, batch;
    size_t  a_rs, a_cs, b_rs, b_cs; /* element strides of rows and columns */
    size_t  a_unit, b_unit;         /* and of matrices */
    int32_t axes;                   /* of the batch, outermost first */
    size_t  dim[LN_MAX_RANK];
    size_t  a_stride[LN_MAX_RANK], b_stride[LN_MAX_RANK]; /* in matrices; 0 repeats */
    int32_t dtype;
    int32_t bias, c, residual; /* indices of inputs, or -1 */
    size_t  c_rs, c_cs;
    float   alpha, beta;
    ln_act  act;
    size_t  turn; /* as ln_dense has it; with alpha 1, n above 1 and constant f32 B alone */

    /* What ln_product_prepare() decides. */
    ln_dense     dense;
    ln_seven     seven;
    int32_t      way, last;           /* how; the phase that multiplies */
    size_t       per_task;            /* batches of a task, where a batch is one task or less */
    size_t       b_pack, b_per;       /* tasks that pack B at run time; matrices of each */
    size_t       b_mats, a_mats, a_at; /* matrices of B and A; turned A in the workspace, in floats */
    const float *packed;              /* constant B */
} ln_product;

linnet_status ln_product_prepare(ln_prepare *q, ln_product *p);
linnet_status ln_product_run(const ln_run *r, const ln_product *p);

/* The matrices of A and B that batch entry `batch` multiplies. */
void ln_product_at(const ln_product *p, size_t batch, size_t *a, size_t *b);

/* Transposes of the last two axes, and of axis 0 behind the batch axes (FusedMatMul's transBatch). */
typedef struct ln_matmul_form {
    bool trans_a, trans_b, batch_a, batch_b;
} ln_matmul_form;

/* NumPy's matmul: the output's rank and dims; false: the operands do not fit. */
LN_MUST_USE bool ln_matmul_shape(const ln_desc *a, const ln_desc *b, const ln_matmul_form *form, ln_desc *out);
/* Sizes and strides of *p for operands that fit; no bias, addend or residual. */
void ln_matmul_layout(const ln_desc *a, const ln_desc *b, const ln_matmul_form *form, const ln_desc *out,
                      ln_product *p);

/* True for the element types of MatMul and Gemm. */
bool ln_product_type(int32_t dtype);

#endif
