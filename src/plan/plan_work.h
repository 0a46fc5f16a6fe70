/*
 * plan_work.h - a plan in the making: what the files plan*.c share.
 */
#ifndef LN_PLAN_WORK_H
#define LN_PLAN_WORK_H

#include "plan.h"

/* While planning: what is known of each value. */
typedef struct ln_plan_value {
    int32_t  root;  /* the value whose block holds its bytes */
    int32_t  last;  /* of a root: last step that uses it */
    int32_t  block; /* of a root: index, or LN_NONE */
    int32_t  input; /* index of the graph input, or LN_NONE */
    bool     pinned; /* of a root: an output of the model; never overwritten */
    bool     tied;   /* a cache that its step writes where the tied input lies */
    ln_slot *slot;  /* where dynamic steps look, or NULL */
} ln_plan_value;

typedef struct ln_plan_work {
    ln_planner     pl;
    ln_plan       *plan;
    ln_graph      *g;
    ln_plan_value *value;
    ln_buffer     *block;  size_t block_count;
    int32_t       *step_workspace; /* per step: block, or LN_NONE */
    int32_t       *unread; /* per value of the model: steps that take it as a file has packed it, or NULL */
    linnet_error  *err;
} ln_plan_work;

static inline linnet_status ln_plan_full(linnet_error *err)
{
    return ln_fail(err, LINNET_ERR_MEMORY, "out of memory while planning");
}

/* ---- values (plan_values.c) ---- */

/* The value whose bytes v's are. */
int32_t ln_plan_root(const ln_plan_work *w, int32_t v);
bool    ln_plan_is_view(const ln_graph *g, const ln_node *n);
/* Memory of its own for the elements of value v: neither a constant nor an input. */
bool    ln_plan_is_buffer(const ln_plan_work *w, int32_t v);
/* Roots and inputs of all values; then which step uses each of them last. */
linnet_status ln_plan_values(ln_plan_work *w);
void          ln_plan_lifetimes(ln_plan_work *w);
/* A block that is alive from one step to another: its index in *out. */
linnet_status ln_plan_new_block(ln_plan_work *w, size_t size, int32_t first, int32_t last, int32_t *out);
/* Blocks for the outputs of node n, which is step `step`; or the memory of an input. */
linnet_status ln_plan_outputs(ln_plan_work *w, const ln_node *n, int32_t step);
/* Where dynamic steps look for that value; NULL where it is absent. */
linnet_status ln_plan_slot(ln_plan_work *w, int32_t value, ln_slot **out);
/* Constants that die with the planning are copied where a step needs them. */
linnet_status ln_plan_keep_constant(ln_plan_work *w, ln_value *v);

/* ---- steps (plan_steps.c) ---- */

linnet_status ln_plan_steps(ln_plan_work *w);
/* Weights that this plan reads, or was made from, are those of the file. */
linnet_status ln_plan_prove(ln_plan_work *w);

/* ---- the arena (plan_arena.c) ---- */

/* Constants that readers want kept, and patches of those that read inputs. */
linnet_status ln_plan_readers(ln_plan_work *w);
/* The results; per output the block that it is copied to, or LN_NONE. */
linnet_status ln_plan_results(ln_plan_work *w, int32_t **copy_block);
/* The size of the arena, then the arena, then pointers. */
linnet_status ln_plan_arena(ln_plan_work *w, const int32_t *copy_block);

#endif
