/*
 * format.h - model and weight files: what can be read and written.
 *
 * A reader fills a graph that is new and finishes it. What it keeps it copies into the
 * graph's arena, but for the elements of constants: those stay in `data` where they are
 * aligned for their type, so `data` must outlive the graph. After a failure the graph is of no use;
 * its arena can be freed.
 */
#ifndef LN_FORMAT_H
#define LN_FORMAT_H

#include "../graph/graph.h"

/* Bytes of the longest name of a value, layer, operator, attribute or key. */
#define LN_NAME_MOST 1024u

/* ---- ONNX ----------------------------------------------------------------------- */

/* Do the bytes begin like an ONNX ModelProto? */
bool ln_onnx_is(const void *data, size_t size);

/*
 * opt (may be NULL): its allocator serves what is needed while reading only; external, external_user.
 * shared: others may change the bytes at any time, of which numbers alone may suffer then.
 */
linnet_status ln_onnx_read(ln_graph *g, const void *data, size_t size, bool shared, const linnet_options *opt,
                           linnet_error *err);

/* ---- .lnt (FORMAT.md) --------------------------------------------------------------- */

/* A test vector: the inputs of the model, then the outputs expected of them. */
typedef struct ln_test {
    linnet_tensor **tensor;
    size_t          count; /* of tensors: inputs and outputs together */
    double          rtol, atol;
} ln_test;

typedef struct ln_tests {
    ln_test *test;
    size_t   count, cap;
} ln_tests;

bool ln_lnt_is(const void *data, size_t size);

/* *tests and *packs are zeroed by the caller; they live in the graph's arena, their elements in `data`. */
linnet_status ln_lnt_read(ln_graph *g, const void *data, size_t size, bool shared, const linnet_options *opt,
                          ln_tests *tests, ln_packs *packs, linnet_error *err);

/* tests and packs may be NULL. The bytes depend on the model alone: reading and writing gives them again. */
linnet_status ln_lnt_write(const ln_graph *g, const ln_tests *tests, const ln_packs *packs, linnet_write_fn write,
                           void *user, const linnet_allocator *alloc, linnet_error *err);

/* ---- safetensors ----------------------------------------------------------------------- */

/* Called for each tensor in the order of the data; `data` may have any alignment. */
typedef linnet_status (*ln_weight_fn)(void *user, const char *name, const ln_desc *desc,
                                      const void *data, size_t size, linnet_error *err);

linnet_status ln_safetensors_read(const void *data, size_t size, const linnet_limits *limits,
                                  const linnet_allocator *alloc, ln_weight_fn weight, void *user,
                                  linnet_error *err);

#endif
