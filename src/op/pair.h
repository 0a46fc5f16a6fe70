/*
 * pair.h - the engine of operators with two operands that broadcast.
 *
 * An operator says which loops it has; the engine checks types, walks both operands and converts
 * blocks of the types that have no loop of their own.
 */
#ifndef LN_PAIR_H
#define LN_PAIR_H

#include "broadcast.h"

/* z[i] = f(x[i * sx], y[i * sy]), all of one wide type; z of that type, or bytes for truth values. */
typedef void (*ln_pair_loop)(size_t n, const void *x, size_t sx, const void *y, size_t sy, void *z);

typedef struct ln_pair_spec {
    const char  *name;
    uint32_t     types;  /* of both operands */
    int32_t      kernel; /* LN_BIN_* for f32, or -1 */
    bool         truth;  /* the output is bool */
    ln_pair_loop loop[LN_WIDE_COUNT];
    int32_t      compare, logic; /* 1 + LN_CMP_* of f32, 1 + LN_LOGIC_* of bools; 0: none */
    bool         swap;           /* the operands of `compare` change places */
} ln_pair_spec;

typedef struct ln_pair {
    ln_bcast      b;
    ln_binary_f32 kernel; /* for f32 in place, else NULL */
    ln_binary_f32 wide_kernel; /* for small floats */
    ln_pair_loop  loop;
    int32_t       wide;
    int32_t       out; /* type to write; 0: the loop writes bytes itself */
    bool          swap, same; /* same: operands and output are of the wide type */
    void        (*compare)(size_t n, const float *x, size_t sx, const float *y, size_t sy, uint8_t *z);
    void        (*logic)(size_t n, const uint8_t *x, size_t sx, const uint8_t *y, size_t sy, uint8_t *z);
} ln_pair;

/* The output's shape, and `dtype`. */
linnet_status ln_pair_shape(const ln_infer *q, const char *name, int32_t dtype);
linnet_status ln_pair_infer(const ln_infer *q, const ln_pair_spec *spec);

/* Loops of `spec` for numbers computed as `wide`; q->in[0] and q->in[1] are the operands. */
linnet_status ln_pair_prepare_as(ln_prepare *q, const ln_pair_spec *spec, int32_t wide, ln_pair *s);
linnet_status ln_pair_prepare(ln_prepare *q, const ln_pair_spec *spec);

/* With an ln_pair as state. */
linnet_status ln_pair_run(const ln_run *r);

/* Elements [from, from + count) of the output from operands x and y. */
void ln_pair_part(const ln_kernels *k, const ln_pair *s, int32_t x_type, const void *x, int32_t y_type,
                  const void *y, void *z, size_t from, size_t count);

#endif
