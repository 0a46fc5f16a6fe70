/*
 * onnx.h - what the files of the ONNX reader share.
 */
#ifndef LN_ONNX_H
#define LN_ONNX_H

#include "format.h"
#include "pb.h"

/* Names of values that the reader makes begin with this; a file may not use it. */
#define LN_ONNX_HIDDEN "linnet:"

/* The newest opset of the standard domain whose meaning the operators have. */
#define LN_ONNX_NEWEST 28

typedef struct ln_onnx_domain {
    const char *name;
    int64_t     version;
} ln_onnx_domain;

typedef struct ln_onnx {
    ln_arena        temp; /* dies with the reading */
    ln_onnx_domain *domain;
    size_t          domain_count, domain_cap;
    uint32_t        hidden; /* names made so far */
    ln_graph       *info;   /* declared types of the values of the graph being read; may be NULL */
    linnet_external_fn external;
    void           *external_user;
    bool            shared; /* others may change the bytes */
    linnet_error   *err;
} ln_onnx;

/* A node as the file has it; the map edits it before the graph sees it. */
typedef struct ln_onnx_node {
    const char    *op, *domain, *name; /* domain "" is the standard */
    int64_t        opset;
    const char   **in;   size_t in_count, in_cap;
    const char   **out;  size_t out_count, out_cap;
    ln_attr_value *attr; size_t attr_count, attr_cap;
    ln_cursor     *body; size_t body_count, body_cap; /* per attribute: bytes of its graph */
    size_t         at;   /* file offset */
} ln_onnx_node;

/* A tensor: elements in the file, or in `keep`. */
typedef struct ln_onnx_data {
    const char *name;
    ln_desc     desc;
    const void *data;
    size_t      size;
    size_t      at;
} ln_onnx_data;

linnet_status ln_onnx_bad(ln_onnx *m, size_t at, const char *what);
linnet_status ln_onnx_full(ln_onnx *m);

/* The text of field f in temp: UTF-8 without NUL; `name`: and without control characters. */
linnet_status ln_onnx_text(ln_onnx *m, const ln_pb_field *f, bool name, const char **out);

/* loose: the elements of a matrix may stay in the file though they are misaligned. */
linnet_status ln_onnx_tensor(ln_onnx *m, ln_arena *keep, ln_cursor c, bool loose, ln_onnx_data *out);
linnet_status ln_onnx_value_info(ln_onnx *m, ln_cursor c, const char **name, ln_desc *desc,
                                 const char **symbol, int32_t *kind);

/* One NodeProto, its subgraphs still as bytes. */
linnet_status ln_onnx_parse_node(ln_onnx *m, ln_arena *keep, ln_cursor c, ln_onnx_node *n);

/* ---- editing nodes (onnx_map.c) ---------------------------------------------------- */

/* The attribute of that name, or NULL; and the node without it. */
ln_attr_value *ln_onnx_attr(const ln_onnx_node *n, const char *name);
void           ln_onnx_drop(ln_onnx_node *n, const char *name);
int64_t        ln_onnx_attr_i64(const ln_onnx_node *n, const char *name, int64_t preset);

/* What is known of the value of that name: dtype 0, rank -1 where nothing is. */
ln_desc ln_onnx_hint(const ln_onnx *m, const ln_graph *g, const char *name);
/* The value where it is a constant, else NULL. */
const ln_value *ln_onnx_constant(const ln_graph *g, const char *name);

/*
 * Building what stands for a node. Each call returns the name of a new hidden value, or "" after
 * a failure, which `st` keeps; so a sequence of calls needs one test at its end.
 */
typedef struct ln_onnx_build {
    ln_onnx            *m;
    ln_graph           *g;
    const ln_onnx_node *n; /* gives the layers their name */
    linnet_status       st;
} ln_onnx_build;

const char *ln_onnx_hidden(ln_onnx_build *b);
const char *ln_onnx_i64s(ln_onnx_build *b, const int64_t *v, size_t count);  /* a 1-D constant */
const char *ln_onnx_scalar(ln_onnx_build *b, int32_t dtype, double v);        /* a 0-D constant */
const char *ln_onnx_add(ln_onnx_build *b, const char *op, const char *x, const char *y, const char *z,
                        const ln_attr_value *attr, const char *out); /* out NULL: hidden; attr NULL: none */

/* Older meanings that take several nodes (onnx_expand.c). They set n->op to NULL when all is done. */
linnet_status ln_onnx_expand_broadcast(ln_onnx *m, ln_graph *g, ln_onnx_node *n, int64_t axis);
linnet_status ln_onnx_expand_softmax(ln_onnx *m, ln_graph *g, ln_onnx_node *n);
linnet_status ln_onnx_expand_batch_norm(ln_onnx *m, ln_graph *g, ln_onnx_node *n);
linnet_status ln_onnx_expand_group_norm(ln_onnx *m, ln_graph *g, ln_onnx_node *n);
linnet_status ln_onnx_expand_quantised_attention(ln_onnx *m, ln_graph *g, ln_onnx_node *n);
linnet_status ln_onnx_expand_flex(ln_onnx *m, ln_graph *g, ln_onnx_node *n);
linnet_status ln_onnx_expand_scan(ln_onnx *m, ln_graph *g, ln_onnx_node *n);

/* Bring the node up to the newest opset and add it, or what stands for it, to g. */
linnet_status ln_onnx_map(ln_onnx *m, ln_graph *g, ln_onnx_node *n);

#endif
