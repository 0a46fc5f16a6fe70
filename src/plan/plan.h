/*
 * plan.h - from a model and input shapes to a flat array of steps, and the model object.
 *
 *   infer.c    shapes of every value, constants folded
 *   inline.c   branches that are decided while planning
 *   memory.c   where each buffer lies in the arena
 *   plan.c     a plan from its graph to its end; plan_values.c, plan_steps.c and plan_arena.c are its parts
 *   cache.c    derived constants (packed weights) of a model, shared by sessions
 *   prove.c    checksums of weights that a file's reader left alone
 *   dynamic.c  steps whose shapes are known only while running
 *   session.c  inputs, run, outputs
 *   state.c    outputs that are the inputs of the next run
 *   recycle.c  memory for plans of changing shapes
 */
#ifndef LN_PLAN_H
#define LN_PLAN_H

#include "../base/pool.h"
#include "../graph/pass.h"

#include <stdatomic.h>

/* ---- the model object -------------------------------------------------------- */

typedef struct ln_cache ln_cache;

/* A file in memory. */
typedef struct ln_file {
    void  *data;
    size_t size;
    bool   mapped; /* pages of the file itself: they can be dropped, and others may change them */
} ln_file;

struct linnet_layer {
    linnet_model *model;
    int32_t       node;
};

struct linnet_model {
    linnet_allocator alloc;
    linnet_limits    limits; /* no zeros left in it */
    ln_arena         arena;  /* graph, strings, copied weights, tests */
    ln_graph        *graph;
    linnet_layer   **layer;  /* one per node once finished */
    const char      *format;
    ln_file          file;   /* the bytes that it was read from, where it owns them */
    struct ln_tests *tests;    /* of format.h */
    ln_packs         packs;    /* that its file has, or will have */
    ln_cache        *cache;
    uint64_t         weight_bytes;
    bool             finished;
    atomic_int       refs;
};

void ln_model_retain(const linnet_model *m);
void ln_model_release(linnet_model *m);

/* ---- derived constants --------------------------------------------------------- */

linnet_status ln_cache_create(const linnet_allocator *alloc, ln_cache **out);
void          ln_cache_free(ln_cache *c);
void          ln_cache_use(ln_cache *c, const ln_packs *packs); /* take these where they fit instead of making them */
/* *out: `packs`, and what was made of the same kind; in memory of `arena`. */
linnet_status ln_cache_collect(ln_cache *c, const ln_packs *packs, ln_arena *arena, ln_packs *out);
void          ln_cache_expect(ln_cache *c, uint64_t bytes); /* about so many will be asked for */
bool          ln_cache_given(const ln_cache *c, const void *p); /* p is what a file has */
void          ln_cache_trim(ln_cache *c); /* not many more will be for now */

/*
 * The entry of that key, made by make(ctx, memory) where it is new. *id is its identity as a source
 * of further constants. NULL: no memory (or more than `limit` bytes in all).
 */
const void *ln_cache_get(ln_cache *c, const uint64_t key[4], size_t bytes, uint64_t limit,
                         ln_pass_make make, const void *ctx, uint64_t *id);

/* ---- weights that a file's reader left alone (prove.c) ---- */

/* Value `value` of the model's graph has the checksum that the file says, or was not left alone. */
linnet_status ln_prove_value(const linnet_model *m, int32_t value, linnet_error *err);
/* All of them but those that wanted(user, value) does not want. wanted NULL: all. */
linnet_status ln_prove(const linnet_model *m, bool (*wanted)(const void *user, int32_t value), const void *user,
                       linnet_error *err);

/* ---- the plan --------------------------------------------------------------------- */

/* Output `output` of a run is input `input` of the next. */
typedef struct ln_tie {
    size_t output, input;
    ln_desc first;  /* the shape that it was given, which a reset goes back to; dtype 0: none */
    bool   follows; /* its shape was found from other inputs, and may change with them after a reset */
    void  *data;
    size_t room;    /* bytes at data */
} ln_tie;

typedef struct ln_config {
    linnet_allocator alloc;
    linnet_limits    limits;
    linnet_pool     *pool;
    uint32_t         isa, passes;
    bool             exact, half, profile;
    const ln_kernels *kernel; /* those of an earlier plan for this isa, or NULL */
    const ln_tie    *tie; /* of the session that is planned: a cache among them is written where it lies */
    size_t           tie_count;
} ln_config;

/* A sequence while running: tensors in memory that grows and is kept. */
typedef struct ln_item {
    ln_desc desc;
    void   *data;
    size_t  room; /* bytes that belong to the item; 0: data is borrowed */
} ln_item;
typedef struct ln_sequence {
    ln_item *item;
    size_t   count, cap, bytes; /* bytes: of the list, as allocated */
} ln_sequence;

/* A value while running: a tensor, a sequence, or nothing (an optional without a value). */
typedef struct ln_slot {
    ln_desc     desc;
    const void *data;
    bool        absent;
    const ln_sequence *sequence;
} ln_slot;

/* Memory of a value that a dynamic step makes: it grows, and is kept from run to run. */
typedef struct ln_holder {
    void       *block;
    size_t      room;
    ln_sequence sequence;
} ln_holder;

typedef struct ln_step {
    const ln_node *node;    /* of the planner's copy: in plan memory */
    ln_run         run;     /* all but scratch, phase, task, err */
    int32_t        phases;
    size_t         tasks[LN_MAX_PHASES];
    bool           parallel; /* enough work to wake workers */
    double         flop;
    uint64_t       ns;
    struct ln_dynamic *dynamic; /* not NULL: planned while running */
} ln_step;

/* A pointer in a step that follows input `input`, or output memory of a dynamic step. */
typedef struct ln_patch {
    const void **where;
    int32_t      input;
} ln_patch;

typedef struct ln_result {
    ln_desc     desc;
    const void *from;  /* where the steps leave it; patched where it is an input */
    ln_slot    *slot;  /* not NULL: a dynamic step decides */
    int32_t     input; /* LN_NONE, or the input that it is the same as */
    bool        tied;  /* that input is written in place: nothing to copy */
    void       *copy;  /* session memory that a constant or an input is copied to, else NULL */
} ln_result;

typedef struct ln_plan {
    ln_arena   keep;     /* everything of the plan, itself included where it is on the heap */
    ln_config  config;
    ln_kernels kernel;
    ln_step   *step;   size_t step_count;
    ln_patch  *patch;  size_t patch_count, patch_cap;
    ln_desc   *input;
    ln_slot  **input_slot; /* where dynamic steps look at an input, or NULL */
    ln_result *result;
    size_t     input_count, output_count;
    void      *arena;    size_t arena_size;
    char      *scratch;  size_t scratch_size; /* of one worker */
    int32_t    workers;
    uint64_t   weight_bytes;
    double     flop;
    size_t     dynamic_count;
    bool       placed;
} ln_plan;

/*
 * Plan `graph` (the model's, or a body) for inputs of these shapes. On the heap: memory NULL. Placed: everything in
 * memory[0 .. size). *need (NULL: not wanted) is the number of bytes that placing takes.
 */
linnet_status ln_plan_create(linnet_model *m, const ln_graph *graph, const ln_config *config, const ln_desc *input,
                             void *memory, size_t size, size_t *need, ln_plan **out, linnet_error *err);
void ln_plan_free(ln_plan *p);

/* ---- inside the planner ---------------------------------------------------------------- */

typedef struct ln_planner {
    linnet_model *model;
    ln_plan      *plan;
    ln_graph     *g;
    ln_arena     *keep, *brief; /* memory of the plan; of the planning alone */
    bool          placed;       /* share nothing with the model's cache */
    bool          to_brief;     /* derived constants of a node that is folded */
    const uint64_t *id;         /* per input of the node being prepared: of a constant, else 0 */
    uint32_t      given, made;  /* its inputs (as bits) whose packed form a file had; was made */
} ln_planner;

/* Zeroed LN_ALIGN-aligned memory out of an arena, or NULL. */
void *ln_arena_block(ln_arena *a, size_t size);

/* Shapes of every value, and constants folded where config.passes says so. Marks dynamic nodes. */
linnet_status ln_plan_infer(ln_planner *pl, bool first, linnet_error *err);

/*
 * The elements of a constant, from an aligned copy where a file has them at an odd place: shared by
 * the model, or in `keep`. NULL: no memory. ln_plan_align() makes v use them.
 */
const void   *ln_model_aligned(linnet_model *m, const ln_value *v, ln_arena *keep);
linnet_status ln_plan_align(ln_planner *pl, ln_value *v, linnet_error *err);

/* Node `index` becomes the nodes of its branch, if it is an If with a known condition: *done. */
linnet_status ln_plan_inline(ln_planner *pl, size_t index, bool *done, linnet_error *err);

/* infer() of one node into out[], outputs checked against the limits; LN_WAIT passes through. */
linnet_status ln_node_infer(const ln_node *n, const linnet_limits *limits, const ln_desc *in,
                            const void *const *value, ln_desc *out, ln_arena *room, linnet_error *err);

/* Put `message` behind the layer's name. */
linnet_status ln_fail_layer(linnet_error *err, linnet_status st, const ln_node *n, const char *message);

/* A piece of the arena: alive from step `first` to step `last`, both included. */
typedef struct ln_buffer {
    size_t  size, offset;
    int32_t first, last;
} ln_buffer;

/* Give each block an offset so that no two blocks alive at the same time overlap; *total is the end. */
linnet_status ln_place_blocks(ln_buffer *block, size_t count, ln_arena *brief, size_t *total, linnet_error *err);

/* Prepare a node; results in q. */
linnet_status ln_node_prepare(ln_planner *pl, const ln_node *n, ln_prepare *q, void *state, const ln_desc *in,
                              const ln_desc *out, const void *const *value, const ln_kernels *kernel,
                              linnet_error *err);

/* ---- dynamic steps --------------------------------------------------------------------------- */

/* A subgraph of a control-flow step: what it takes from outside comes as further inputs. */
typedef struct ln_body {
    ln_graph       *graph;    /* a copy of the model's */
    int32_t         formal;   /* inputs as declared; captured ones follow */
    ln_slot       **captured;
    struct linnet_session *session; /* made at its first run */
} ln_body;

struct linnet_session;
struct ln_step;
typedef linnet_status (*ln_control)(struct linnet_session *s, struct ln_step *step, linnet_error *err);

/* What a step keeps whose shapes are known only while running. */
typedef struct ln_dynamic {
    ln_slot **in, **out;     /* NULL where absent */
    ln_holder *hold;         /* per output, then per input (values carried by loops) */
    ln_slot  *carry;         /* per input */
    uint64_t *id;            /* per input: of a constant, else 0 */
    bool     *constant;      /* per input */
    ln_desc  *seen;          /* per input: what the step was prepared for */
    ln_desc  *in_desc, *out_desc;
    const void **in_ptr, **value; /* elements; those that the planning may read */
    void    **out_ptr;
    void     *own;           /* the step's state and what else prepare() made */
    size_t    own_size, workspace, scratch;
    bool      lasts;         /* prepared from `seen` and constants alone: good for any run of these shapes */
    ln_body  *body;
    size_t    body_count;
    ln_control control;      /* not NULL: the executor's own operators */
} ln_dynamic;

linnet_status ln_dynamic_run(struct linnet_session *s, ln_step *step, linnet_error *err);
void          ln_dynamic_free(const ln_config *c, ln_step *step);

/* *block has at least `size` bytes; its first `keep` bytes survive growing. */
bool ln_hold_room(const ln_config *c, void **block, size_t *have, size_t size, size_t keep);

/* Memory for a tensor of that shape in the holder of output i; slot and *data are set. */
linnet_status ln_hold_tensor(struct linnet_session *s, ln_holder *h, const ln_desc *d, ln_slot *to, void **data,
                             linnet_error *err);
/* A copy of any value. `to` may be NULL: nobody wants it. */
linnet_status ln_hold_copy(struct linnet_session *s, ln_holder *h, const ln_slot *from, ln_slot *to,
                           linnet_error *err);
/* One more item at the end of a holder's sequence: memory for it in *data. */
linnet_status ln_hold_push(struct linnet_session *s, ln_holder *h, const ln_desc *d, void **data, linnet_error *err);

/* The executor's own operators (control.c, sequence.c), or NULL. */
ln_control ln_control_find(const char *op);
ln_control ln_sequence_find(const char *op);

/* y[o][0..bytes) = x[o][0..bytes) for o < outer, rows `ldx` and `ldy` bytes apart. */
void ln_copy_rows(void *y, size_t ldy, const void *x, size_t ldx, size_t outer, size_t bytes);

/* ---- the session object ------------------------------------------------------------------------ */

enum { LN_GIVEN_TENSOR, LN_GIVEN_SEQUENCE, LN_GIVEN_NOTHING };

struct linnet_session {
    linnet_model *model;
    const ln_graph *graph;     /* the model's, or a body of a control-flow step */
    ln_config     config;
    ln_plan      *plan;        /* NULL: shapes not known yet */
    bool          placed;
    bool          owns_sequences; /* the lists in input_sequence are ours */
    bool          ran;
    struct linnet_session *root; /* of a body: the session that the caller runs; else itself */
    uint64_t      iterations;    /* of the root: bodies run since its run began */
    ln_desc      *input;       /* as set; dtype 0: not set */
    const void  **input_data;
    ln_sequence  *input_sequence; /* of inputs that are sequences: borrowed tensors */
    uint8_t      *input_kind;     /* what was given: LN_GIVEN_* */
    linnet_tensor *output, item; /* item: of a sequence, as last asked for */
    void        **output_to;
    size_t       *output_to_size;
    struct ln_recycler *recycler; /* of plans after the first; NULL: there was one shape so far */
    ln_tie       *tie;         /* at most one for each input */
    size_t        tie_count;
    void         *work;        /* workspace, scratch and state of the dynamic step that runs */
    size_t        work_size;
    ln_arena      arena;       /* of this object and its arrays, where they are on the heap */
};

/* Run the tasks of a prepared step. */
linnet_status ln_step_run(struct linnet_session *s, const ln_step *step, char *scratch, size_t scratch_size,
                          linnet_error *err);

#endif
