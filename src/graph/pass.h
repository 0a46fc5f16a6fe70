/*
 * pass.h - rewrites of a planner's copy of a graph, in which every shape is known.
 *
 * A pass may leave nodes out, change a private copy of a node and add nameless values; it
 * keeps nodes in an order in which every input comes before its use. Nodes marked dynamic
 * are left alone. The graph without any pass is the oracle of the rewritten one.
 */
#ifndef LN_PASS_H
#define LN_PASS_H

#include "graph.h"

/* Fills `out` with elements computed from what ctx points to. */
typedef void (*ln_pass_make)(const void *ctx, void *out);

typedef struct ln_pass {
    ln_graph     *g;    /* its arena dies with the planning */
    ln_arena     *keep; /* for parameters of changed nodes */
    linnet_error *err;
    const ln_kernels *kernel;  /* as ln_prepare has them: */
    int32_t       workers;
    bool          exact;
    void         *user;
    /*
     * A new constant value. `key` names what it is made from (ids of values, what is done to
     * them): constants of one key are made once and shared by the model's sessions. A zero in key[1]
     * (a source without an id) makes it private.
     */
    linnet_status (*constant)(const struct ln_pass *p, const uint64_t key[4], const ln_desc *desc,
                              ln_pass_make make, const void *ctx, int32_t *out);
} ln_pass;

/* First words of keys. */
enum { LN_KEY_PACK = 1, LN_KEY_FOLD, LN_KEY_PERMUTE, LN_KEY_NORM_SCALE, LN_KEY_NORM_SHIFT, LN_KEY_ALIGN,
       LN_KEY_PART /* floats for kernels, as a file may keep them: key[1] source, key[2] key, key[3] bytes */ };

/* Take out nodes whose outputs nobody uses, and Identity-like nodes. */
linnet_status ln_pass_clean(const ln_pass *p);
/* RMSNormalization and LayerNormalization out of their parts. */
linnet_status ln_pass_norm(const ln_pass *p);
/* MatMul, Softmax and MatMul into Attention, with the transposes around them. */
linnet_status ln_pass_attention(const ln_pass *p);
/* Batch norm, bias, residual and activation into the matrix layers before them. */
linnet_status ln_pass_fuse(const ln_pass *p);
/* Spatial layers to channels last, with as few transposes as possible. */
linnet_status ln_pass_layout(const ln_pass *p);
/* Transposes from channels last before a flat product with constant weights: the weights' rows are turned instead. */
linnet_status ln_pass_turn(const ln_pass *p);
/* A Pad of zeros into the convolutions and pools that read it. */
linnet_status ln_pass_pad(const ln_pass *p);
/* A MaxPool into the convolution that it follows. */
linnet_status ln_pass_pool(const ln_pass *p);
/* Convolutions write straight into the concatenation of their outputs. */
linnet_status ln_pass_join(const ln_pass *p);
/* Convolutions one after another run strip by strip. */
linnet_status ln_pass_chain(const ln_pass *p);

#endif
