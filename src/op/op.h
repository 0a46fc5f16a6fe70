/*
 * op.h - what an operator is.
 *
 * An operator is one file in src/op/ (a family that differs in one expression
 * shares one file). It never names another operator, a graph or a file format;
 * attribute names and meaning are ONNX's at its newest opset: readers bring
 * older opsets up to that meaning before an operator sees them.
 *
 *   infer    shapes and types of the outputs, from those of the inputs (and the
 *            values of some inputs). Refuses what the operator cannot do.
 *   prepare  chooses kernels, packs weights, asks for memory, splits the work.
 *   run      computes one task. May only report bad data; never allocates.
 *
 * Registration: the build scans src/op/ for lines that begin with
 * "const ln_op ln_op_NAME = " and writes the list; there is no second place.
 */
#ifndef LN_OP_H
#define LN_OP_H

#include "../kernel/kernel.h"
#include "../tensor/tensor.h"

/* Returned by infer() alone: a needed value will be known only at run time. */
#define LN_WAIT 1

/* ---- attributes ---------------------------------------------------------- */

typedef struct ln_graph ln_graph;

typedef struct ln_ints   { const int64_t *v; size_t count; } ln_ints;
typedef struct ln_floats { const float *v;   size_t count; } ln_floats;
typedef struct ln_strs   { const char *const *v; size_t count; } ln_strs;

/* How an attribute is stored in the operator's param struct. */
enum {
    LN_ATTR_END,
    LN_ATTR_I64,    /* int64_t */
    LN_ATTR_F32,    /* float */
    LN_ATTR_STR,    /* const char *, NUL-terminated; the preset is NULL: write "" tests with care */
    LN_ATTR_INTS,   /* ln_ints; preset: v NULL, count 0 */
    LN_ATTR_FLOATS, /* ln_floats */
    LN_ATTR_STRS,   /* ln_strs */
    LN_ATTR_TENSOR, /* const linnet_tensor *; preset NULL */
    LN_ATTR_GRAPH   /* ln_graph *; preset NULL */
};

typedef struct ln_attr {
    const char *name;   /* ONNX's; names starting with "ln." are set by passes only */
    int32_t     type;   /* LN_ATTR_* */
    uint32_t    offset; /* offsetof(param, field) */
    double      preset; /* of I64 and F32 */
    bool        must;   /* refuse a node without it */
} ln_attr;

/* ---- infer --------------------------------------------------------------- */

typedef struct ln_infer {
    const void        *param;
    int32_t            in_count, out_count; /* as the node has them, trailing absent ones included */
    const ln_desc     *in;    /* in[i].dtype == 0: absent */
    const void *const *value; /* value[i]: the input's elements where they are known now, else NULL */
    ln_desc           *out;   /* zeroed; to be filled for every i < out_count */
    linnet_error      *err;
    ln_arena          *room;  /* memory for the call alone; where it has none left: return LINNET_ERR_MEMORY */
} ln_infer;

/* ---- prepare ------------------------------------------------------------- */

#define LN_MAX_PHASES 4

typedef struct ln_prepare {
    const void        *param;
    void              *state; /* op->state_size zeroed bytes, read-only once prepare returns */
    int32_t            in_count, out_count;
    const ln_desc     *in, *out;
    const void *const *value; /* value[i]: constant input (weights), else NULL */
    const ln_kernels  *kernel;
    int32_t            workers; /* threads that may run tasks; results must not depend on it */
    bool               half;  /* weights may be stored in 16 bits */
    bool               exact; /* the caller wants no algorithm that rounds differently from direct sums */
    /* Results. Phases run one after another; the tasks of a phase in any order, on any thread. */
    int32_t            phases;               /* preset 1 */
    size_t             tasks[LN_MAX_PHASES]; /* preset 1 each; 0: nothing to do */
    size_t             workspace; /* bytes shared by the tasks of one run; preset 0 */
    size_t             scratch;   /* bytes for each worker; preset 0 */
    uint32_t           unread;    /* bit i: run() does not look at constant input i, or takes it misaligned; preset 0 */
    double             work;      /* multiply-adds, or elements touched, of one run; preset: output elements */
    double             flop;      /* floating-point operations to report (2 per multiply-add); preset 0 */
    struct ln_planner *planner;
    linnet_error      *err;
} ln_prepare;

/* Zeroed memory that lives as long as the plan; NULL: none left (return LINNET_ERR_MEMORY). */
void *ln_plan_alloc(ln_prepare *q, size_t count, size_t size);

/*
 * A constant derived from constant input `input` (packed weights), made once
 * and shared by all sessions of the model: `make` fills `floats_or_bytes` bytes
 * at out from the input's elements. `key` tells apart different packings of one
 * input (kind and everything it depends on, kernel level included).
 */
typedef void (*ln_make)(const void *ctx, const void *src, void *out);
linnet_status ln_plan_derive(ln_prepare *q, int32_t input, uint64_t key, size_t bytes,
                             ln_make make, const void *ctx, const void **out);

/*
 * The same in `parts` pieces of about equal size, made in any order and on any of the session's threads. Pages of
 * a file are given back while the work goes on.
 */
typedef void (*ln_make_part)(const void *ctx, const void *src, void *out, size_t part);
linnet_status ln_plan_derive_parts(ln_prepare *q, int32_t input, uint64_t key, size_t bytes, size_t parts,
                                   ln_make_part make, const void *ctx, const void **out);

/* ---- run ----------------------------------------------------------------- */

typedef struct ln_run {
    const void        *param, *state;
    const void *const *in;  /* NULL: absent, or a tensor without elements */
    void *const       *out; /* NULL: nobody wants it and it has no memory, or no elements */
    const ln_desc     *in_desc, *out_desc;
    void              *workspace, *scratch; /* LN_ALIGN-aligned; contents undefined */
    const ln_kernels  *kernel;
    int32_t            phase;
    size_t             task;
    linnet_error      *err; /* for ln_fail() */
} ln_run;

/* ---- axis permutation (used by the layout pass) --------------------------- */

/*
 * permute: rewrite the node so that it works on inputs and outputs whose axes
 * were permuted: new axis i is old axis perm[i]. Return false where that is not possible. `param`
 * is a private copy to edit. Constant inputs that hold per-axis numbers (pads,
 * axes, sizes) are edited through `value`/`replace`: set replace[i] to new bytes
 * of the same desc, allocated by ln_permute_alloc.
 */
typedef struct ln_permute {
    void              *param;
    int32_t            rank;
    const int32_t     *perm, *inverse; /* inverse[old axis] = new axis */
    int32_t            in_count, out_count;
    const ln_desc     *in, *out;       /* before the permutation */
    const void *const *value;
    void             **replace;        /* per input; preset NULL */
    ln_desc           *replace_desc;   /* preset: in[i] */
    bool              *data_in;        /* per input: this one arrives permuted; preset: true for input 0 only */
    ln_arena          *arena;
} ln_permute;

/* ---- chains (used by the chain pass) --------------------------------------- */

/*
 * Convolutions one after another that run strip by strip, so that what is between them never leaves the
 * caches: the parameters of LN_CHAIN. Its inputs are the first one's input, a residual for the last one, and
 * of each part weights and bias.
 */
#define LN_CHAIN "ln.ConvChain"
enum { LN_CHAIN_MOST = 3, LN_CHAIN_ADD = 1, LN_CHAIN_PARTS = 2 };
typedef struct ln_chain {
    int32_t     count;
    const void *part[LN_CHAIN_MOST]; /* parameters of the nodes that they were */
} ln_chain;

/* What by_rows() says of a node: it cannot be a part; it can be the first one; any one. */
enum { LN_ROWS_NO, LN_ROWS_FIRST, LN_ROWS_ANY };

/* ---- the operator --------------------------------------------------------- */

enum {
    LN_OP_VIEW      = 1 << 0, /* output 0 is input 0's bytes in another shape; run may be NULL */
    LN_OP_ELEMENTWISE = 1 << 1, /* inputs broadcast, outputs follow; any common permutation of axes is harmless */
    LN_OP_SPATIAL   = 1 << 2, /* input 0 and output 0 are N, C, spatial...; has the attribute "ln.channels_last" */
    LN_OP_RANDOM    = 1 << 3, /* never folded */
    LN_OP_SHAPE_ONLY = 1 << 4, /* looks at the shape of its inputs, never at their elements (Shape, Size) */
    LN_OP_ACT       = 1 << 5, /* takes a fused activation: attributes "ln.act", "ln.act_a", "ln.act_b" */
    LN_OP_ADD       = 1 << 6, /* takes a residual, input LN_RESIDUAL, in the output's shape, to add before the activation */
    LN_OP_CONTROL   = 1 << 7, /* runs subgraphs; the executor handles it */
    LN_OP_BIAS      = 1 << 8, /* takes a bias of one number per last-axis column as input LN_BIAS */
    LN_OP_PLANES    = 1 << 9, /* with LN_OP_SPATIAL: reads few channels well where they come first */
    LN_OP_CACHE     = 1 << 10, /* output 0 is input 0 with a few rows written anew: best in the same memory */
    LN_OP_INTO      = 1 << 11, /* may write some channels of a wider output: see LN_INTO */
    LN_OP_POOL      = 1 << 12 /* takes a MaxPool behind it, channels last: attributes "ln.pool_kernel" and so on, as MaxPool has them */
};

/*
 * The attribute "ln.channels_last". LN_LAST_OUT: the input's channels come first, the output's
 * last; given to operators with LN_OP_PLANES whose input has 2 to LN_FEW_CHANNELS of them.
 */
enum { LN_FIRST, LN_LAST, LN_LAST_OUT };
#define LN_FEW_CHANNELS 4u

/*
 * Inputs that passes may add beyond what ONNX gives an operator (so beyond in_max) to those
 * with LN_OP_BIAS and LN_OP_ADD. infer() sees them as in[LN_BIAS], in[LN_RESIDUAL]; a file
 * cannot make them.
 */
enum { LN_BIAS = 2, LN_RESIDUAL = 3 };

/*
 * With LN_OP_INTO, and channels last: the output has "ln.into_width" channels (0: only its own), of
 * which the operator writes its own from "ln.into_at" on. The others are those of input LN_INTO,
 * or, where that is absent, anything.
 */
enum { LN_INTO = 4 };

typedef struct ln_op {
    const char    *name; /* ONNX's; other domains in front: "com.microsoft.FusedConv" */
    const ln_attr *attr; /* ends with a zeroed entry; NULL: none */
    uint32_t       param_size, state_size;
    uint8_t        in_min, in_max;   /* in_max 255: any number */
    uint8_t        out_min, out_max; /* out_max 255: any number; both 0 means exactly 1 */
    uint32_t       flags;   /* LN_OP_* */
    uint32_t       loose;   /* bit i: prepare() takes constant f32 input i misaligned, and says in `unread` what run() does */
    uint32_t       inplace; /* bit i: output 0 may overwrite input i where sizes agree and its owner is done with it */
    linnet_status (*infer)(const ln_infer *q);
    linnet_status (*prepare)(ln_prepare *q);   /* NULL: one task, nothing to prepare */
    linnet_status (*run)(const ln_run *r);
    bool          (*permute)(ln_permute *q);   /* NULL: the layout pass goes around this operator */
    int32_t       (*by_rows)(const ln_prepare *q); /* of operators with Conv's parameters: can it be part of a chain?
                                                  NULL: no. q has no state, planner and outputs */
    /* For elementwise functions that can be fused behind a matrix kernel: the kernel's name for it. */
    const void    *context;                    /* of an operator of the caller's: begins its parameters */
    bool          (*act)(const void *param, int32_t in_count, const ln_desc *in, const void *const *value, ln_act *out);
} ln_op;

/* The operator of that name, or NULL. */
const ln_op *ln_op_find(const char *name);
size_t       ln_op_count(void);
const ln_op *ln_op_at(size_t i);

/* ---- helpers for operator files -------------------------------------------- */

/* Elements per task of work that is bound by memory. */
#define LN_CHUNK 16384u

/* Split n elements into tasks of LN_CHUNK: sets q->tasks[0] and q->work. */
static inline void ln_split(ln_prepare *q, size_t n)
{
    q->tasks[0] = ln_ceil_div(n, LN_CHUNK);
    q->work = (double)n;
}
/* The part of n elements that task `task` owns. */
static inline void ln_part(size_t n, size_t task, size_t *from, size_t *count)
{
    *from = task * LN_CHUNK;
    *count = LN_MIN((size_t)LN_CHUNK, n - *from);
}

/* True where s (may be NULL: then the preset) equals text. */
static inline bool ln_is(const char *s, const char *preset, const char *text)
{
    return strcmp(s ? s : preset, text) == 0;
}

static inline bool ln_is_f32(const ln_desc *d) { return d->dtype == LINNET_F32; }

/* The standard sentence for a type that an operator does not take. */
linnet_status ln_fail_type(linnet_error *err, int32_t input, int32_t dtype);

/* permute() of operators with one axis: give it its new number. False: it is out of range. */
bool ln_permute_axis(const ln_permute *q, int64_t *axis);

/* infer of operators whose output 0 has input 0's type and shape. */
linnet_status ln_infer_same(const ln_infer *q);

#endif
