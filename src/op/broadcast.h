/*
 * broadcast.h - how operands that broadcast lie against the output.
 *
 * Axes of length one are dropped, and neighbours that all operands pass through in one stride
 * are merged, so that the usual cases become one or two axes. The innermost axis has stride 1
 * or 0 in every operand: kernels take it as a row. Where rows are short, operands that
 * do not lie as the output does are gathered into blocks first.
 */
#ifndef LN_BROADCAST_H
#define LN_BROADCAST_H

#include "element.h"

#define LN_BCAST_MAX 3

typedef struct ln_bcast {
    int32_t rank, operands;
    bool    gather; /* rows are short */
    bool    dense[LN_BCAST_MAX];
    size_t  total;  /* elements of the output */
    size_t  dim[LN_MAX_RANK];
    size_t  stride[LN_BCAST_MAX][LN_MAX_RANK]; /* elements */
} ln_bcast;

/* Operands in[0 .. operands-1] broadcast to the shape of `out`. */
void ln_bcast_init(ln_bcast *b, const ln_desc *out, int32_t operands, const ln_desc *const *in);

typedef struct ln_operand {
    const void *base; /* of the tensor */
    size_t      size; /* bytes of an element */
    void       *room; /* LN_BLOCK elements */
    const void *p;    /* set by ln_walk_take: the operand's part of the piece, */
    size_t      step; /* one element after another, or 0: one for all */
} ln_operand;

/* A way through elements [from, from + count) of the output. */
typedef struct ln_walk {
    const ln_bcast *b;
    size_t left;
    size_t at[LN_MAX_RANK], offset[LN_BCAST_MAX];
} ln_walk;

void ln_walk_start(ln_walk *w, const ln_bcast *b, size_t from, size_t count);

/* The next piece, of at most `most` elements; 0 at the end. */
size_t ln_walk_take(ln_walk *w, ln_operand *o, size_t most);

#endif
