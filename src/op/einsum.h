/*
 * einsum.h - an Einstein sum as labels with sizes and strides.
 *
 * Every letter is a label, and so is every axis that an ellipsis stands for. An operand's stride
 * along a label is the sum over the axes that bear it (so a diagonal is nothing special), 0 where
 * it does not have the label or repeats it.
 */
#ifndef LN_EINSUM_H
#define LN_EINSUM_H

#include "dense.h"

/* 52 letters in the order of the alphabet (capitals first), then the axes of an ellipsis. */
enum { LN_EINSUM_LETTERS = 52, LN_EINSUM_LABELS = LN_EINSUM_LETTERS + LN_MAX_RANK };

/* A pair of operands as one batched matrix product. */
typedef struct ln_einsum_pair {
    ln_product product;
    int32_t left, right;         /* which operand is A, which is B */
    bool    copies[2], turns;    /* operand (A, B) is brought in order first; the output afterwards */
    uint8_t order[3][LN_EINSUM_LABELS]; /* labels of A, B and the product, outermost first */
    int32_t count[3];
    size_t  elements[3], at[3];  /* of each copy, and its place in the workspace in bytes */
    size_t  tasks[3], inner_at;  /* copying tasks; the product's own workspace */
    int32_t first;               /* phase of the product's first */
} ln_einsum_pair;

typedef struct ln_einsum {
    int32_t  operands, dtype;
    int64_t  size[LN_EINSUM_LABELS];
    uint64_t used, output;                /* labels as bits: anywhere; in the output */
    uint8_t  out[LN_MAX_RANK];            /* labels of the output */
    int32_t  out_rank;
    uint8_t  label[LN_EINSUM_LABELS];     /* those used: the output's, then those summed over */
    int32_t  labels;
    int64_t (*stride)[LN_EINSUM_LABELS];  /* of each operand */
    uint64_t *has;                        /* labels of each operand, as bits */
    size_t   per_task;                    /* output elements of a task, where not paired */
    bool     paired;
    ln_einsum_pair pair;
} ln_einsum;

/* Two operands, and every label summed over in both: a matrix product. False: it is not one. */
bool ln_einsum_is_pair(const ln_einsum *s);
linnet_status ln_einsum_prepare_pair(ln_prepare *q, ln_einsum *s);
linnet_status ln_einsum_run_pair(const ln_run *r, const ln_einsum *s);

#endif
