/*
 * graph.h - a model as values and nodes in single assignment.
 *
 * Readers and the layer builder make it, passes rewrite it, the planner walks
 * it. Values and nodes are named by index; an absent optional input is -1.
 * Everything lives in the graph's arena and dies with it.
 */
#ifndef LN_GRAPH_H
#define LN_GRAPH_H

#include "../op/op.h"

#include <stdatomic.h>

#define LN_NONE     (-1)
#define LN_UNKNOWN  (-1) /* a dimension that the model leaves open */

typedef struct ln_value {
    const char *name;     /* unique in its graph; "" for those that passes make */
    ln_desc     desc;     /* as declared; dtype 0 and rank -1 where not declared; dims may be LN_UNKNOWN */
    const char *symbol[LN_MAX_RANK]; /* names of open dimensions, or NULL */
    const void *data;     /* constant elements, else NULL; desc is exact then */
    size_t      size;     /* bytes of data */
    uint64_t    id;       /* identity of a constant for derived constants; 0: none */
    int32_t     producer; /* node index, or LN_NONE for inputs and constants */
    bool        constant; /* data is valid (data may be NULL where size is 0) */
    bool        input;    /* one of the inputs of the graph */
    bool        shaped;   /* in the copy of a planner: desc is the exact one */
    bool        brief;    /* in the copy of a planner: data dies with the planning */
    int32_t     outer;    /* in a subgraph: index of the value of the enclosing graph that this one is, else LN_NONE */
    int32_t     kind;     /* LN_VALUE_* */
} ln_value;
enum { LN_VALUE_TENSOR, LN_VALUE_SEQUENCE, LN_VALUE_OPTIONAL };

/*
 * Weights in the form that kernels take, as a file keeps them: `size` bytes of floats made from constant
 * `source` (its id), by what `key` says. Lists are in ascending order of (source, key, size). Whoever
 * changes what a packing function makes of its input changes the version.
 */
#define LN_PACK_VERSION 1u
typedef struct ln_pack {
    uint64_t    source, key;
    const void *data;
    size_t      size;
} ln_pack;
/* A constant of the root graph that the reader of such a file did not look at, and the checksum to prove it by. */
typedef struct ln_sum {
    int32_t     value;
    uint32_t    crc;
    atomic_bool proved;
} ln_sum;
typedef struct ln_packs {
    ln_pack *pack;
    size_t   count;
    ln_sum  *sum;
    size_t   sum_count;
} ln_packs;

/* -1, 0, 1 as a comes before b, is the same, or comes behind it. */
int ln_pack_order(const ln_pack *a, const ln_pack *b);

/* An attribute as a reader found it, before an operator's table gives it a place. */
typedef struct ln_attr_value {
    const char *name;
    int32_t     type; /* LN_ATTR_* */
    union {
        int64_t              i;
        float                f;
        const char          *s;
        ln_ints              ints;
        ln_floats            floats;
        ln_strs              strs;
        const linnet_tensor *tensor;
        ln_graph            *graph;
    } u;
} ln_attr_value;

typedef struct ln_node {
    const ln_op   *op;
    const char    *name;  /* of the layer; may be "" */
    void          *param; /* op->param_size bytes */
    ln_attr_value *attr;  /* as given; for inspection and writers */
    size_t         attr_count;
    int32_t       *in, *out; /* value indices; LN_NONE where absent */
    int32_t        in_count, out_count;
    int32_t       *capture; /* values that its subgraphs take from this graph */
    int32_t        capture_count;
    uint64_t       key;     /* in the copy of a planner: tells the nodes of a model apart, the same in every copy */
    bool           dynamic; /* its shapes depend on data: planned while running */
    struct linnet_layer *layer; /* the public handle, where one was asked for */
} ln_node;

typedef struct ln_meta { const char *key, *value; } ln_meta;

struct ln_graph {
    ln_arena       *arena;
    const linnet_limits *limits;
    ln_graph       *parent; /* enclosing graph of a subgraph, else NULL */
    const char     *name;
    ln_value       *value;  size_t value_count, value_cap;
    ln_node        *node;   size_t node_count, node_cap;
    int32_t        *input;  size_t input_count, input_cap;
    int32_t        *output; size_t output_count, output_cap;
    ln_meta        *meta;   size_t meta_count, meta_cap;
    uint64_t       *id;     /* counter for value ids, shared by all graphs of a model */
    const ln_op    *custom; size_t custom_count; /* operators of the caller's, beside those of the library */
    struct ln_name_map *names;
};

/* ---- building (readers, layer builders, passes) ---------------------------- */

linnet_status ln_graph_new(ln_arena *arena, const linnet_limits *limits, ln_graph *parent,
                           ln_graph **out, linnet_error *err);

/* The value of that name in this graph, or LN_NONE. */
int32_t ln_graph_find(const ln_graph *g, const char *name);

/*
 * A new value. A name that exists already is an error (single assignment),
 * except that a value first met as somebody's input is the same value when its
 * producer comes. Returns its index in *out.
 */
linnet_status ln_graph_value(ln_graph *g, const char *name, int32_t *out, linnet_error *err);

/* Make value v a constant: its elements are borrowed and must outlive the graph. */
linnet_status ln_graph_constant(ln_graph *g, const char *name, const ln_desc *desc,
                                const void *data, size_t size, int32_t *out, linnet_error *err);

linnet_status ln_graph_input(ln_graph *g, const char *name, const ln_desc *desc,
                             const char *const *symbol, int32_t *out, linnet_error *err);
linnet_status ln_graph_output(ln_graph *g, const char *name, linnet_error *err);
linnet_status ln_graph_meta(ln_graph *g, const char *key, const char *value, linnet_error *err);

/* A value without a name, for passes. */
linnet_status ln_graph_add_value(ln_graph *g, const ln_value *like, int32_t *out, linnet_error *err);

/*
 * A node. Looks the operator up, checks input and output counts, and fills its
 * parameters from `attr` by the operator's table; unknown attributes are refused by
 * name. Input names need not exist yet; "" is absent. `op` is the full operator
 * name; `layer` the layer's name for messages. Strings and arrays are copied.
 */
linnet_status ln_graph_node(ln_graph *g, const char *op, const char *layer,
                            const char *const *in, size_t in_count,
                            const char *const *out, size_t out_count,
                            const ln_attr_value *attr, size_t attr_count,
                            int32_t *index, linnet_error *err);

/*
 * Give node `index` an attribute after it was made; a second value for a name replaces the first.
 * Attributes that an operator must have are checked by ln_graph_finish().
 */
linnet_status ln_graph_set_attr(ln_graph *g, int32_t index, const ln_attr_value *attr, linnet_error *err);

/*
 * After the last node: every value has a producer, a constant or an input
 * behind it (in a subgraph: or a value of an enclosing graph); nodes are put in
 * topological order; cycles, duplicate producers and missing values are
 * refused.
 */
linnet_status ln_graph_finish(ln_graph *g, linnet_error *err);

/*
 * A copy for passes to rewrite: nodes, values and index lists are new, in `arena`;
 * names, parameters, subgraphs and constant data are shared with `g`.
 */
linnet_status ln_graph_clone(const ln_graph *g, ln_arena *arena, ln_graph **out, linnet_error *err);

/* ---- for passes -------------------------------------------------------------- */

/* How often each value is used by nodes, captures and outputs, into use[value_count]. */
void ln_graph_uses(const ln_graph *g, int32_t *use);

/* A node like `n` with private parameters and index lists in `arena`, and at least `in_count` inputs. */
linnet_status ln_node_copy(ln_arena *arena, const ln_node *n, int32_t in_count, ln_node *out,
                           linnet_error *err);

/* Zeroed parameters of an operator with every attribute at its preset; NULL: no memory. */
void *ln_param_new(ln_arena *arena, const ln_op *op);

/* Replace the nodes by these; producers of values are set anew. */
void ln_graph_set_nodes(ln_graph *g, ln_node *node, size_t count);
/* The same without those that have lost their operator. */
void ln_graph_drop_nodes(ln_graph *g);

/* The field of a hidden or public I64 / F32 attribute in a node's parameters; NULL: it has none. */
void *ln_node_field(const ln_node *n, const char *name);

/* ---- between the files graph*.c ---- */

linnet_status ln_graph_full(linnet_error *err); /* the sentence for no memory */
/* v at the end of a list of indices. False: no memory. */
bool ln_graph_push(ln_graph *g, int32_t **list, size_t *count, size_t *cap, int32_t v);
/* Has node n the attributes that its operator must have? */
linnet_status ln_node_check_must(const ln_node *n, linnet_error *err);
/* Values that node n needs, one at a time: i from 0 until false. */
bool ln_node_need(const ln_node *n, int32_t i, int32_t *value);

#endif
