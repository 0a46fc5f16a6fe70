/*
 * session.h - what the public session calls are made of.
 */
#ifndef LN_SESSION_H
#define LN_SESSION_H

#include "plan.h"

/* Plan for the shapes in s->input, unless the plan there is fits them. */
linnet_status ln_session_plan(linnet_session *s, linnet_error *err);
/* For the same shapes too, as ties have changed. On failure the old plan stays. */
linnet_status ln_session_plan_anew(linnet_session *s, linnet_error *err);
/* Its configuration with its ties, for a plan. */
ln_config     ln_session_config(const linnet_session *s);
bool          ln_session_shapes_fit(const linnet_session *s);
void          ln_session_outputs(linnet_session *s);
linnet_status ln_session_run(linnet_session *s, linnet_error *err);

/* The object and its arrays, in `arena`; not planned. NULL: no memory. */
linnet_session *ln_session_new(linnet_model *m, const ln_graph *graph, const ln_config *config, ln_arena *arena);
/* A session of a body, on the heap, without a hold on the model; and its end. NULL is allowed. */
linnet_session *ln_session_of_body(linnet_session *outer, const ln_graph *graph);
void            ln_session_end(linnet_session *s);

/* Output i of the last run as a value. */
ln_slot ln_session_result(const linnet_session *s, size_t i);

/* ---- plans after the first (recycle.c) ---- */

typedef struct ln_recycler ln_recycler;

/* The session's allocator behind a stock of blocks that plans gave back. */
linnet_status ln_recycler_alloc(linnet_session *s, linnet_allocator *out, linnet_error *err);
void          ln_recycler_end(linnet_session *s);
/* Note the largest size of a named dimension; plan for the largest shapes once all of them are known. */
linnet_status ln_reserve_set(linnet_session *s, const char *symbol, int64_t most, linnet_error *err);
linnet_status ln_reserve_now(linnet_session *s, linnet_error *err);

/* ---- state (state.c) ---- */

/* The tie of input `input`, or NULL. */
ln_tie *ln_state_of(const linnet_session *s, size_t input);

/* Tie output to input, which exist. Memory for an input of known shape comes from `arena`, where it is not NULL. */
linnet_status ln_state_tie(linnet_session *s, size_t output, size_t input, ln_arena *arena, linnet_error *err);

/* Room for a state of that shape; what is there stays. */
linnet_status ln_state_room(linnet_session *s, ln_tie *t, const ln_desc *d, linnet_error *err);

/* Give states without a shape one (and zeros), as far as declarations and other inputs tell it. */
linnet_status ln_state_ready(linnet_session *s, linnet_error *err);

/* In this plan, has every tied output the type and shape of its input, as far as planning knows? */
linnet_status ln_state_fits(const linnet_session *s, const ln_plan *p, linnet_error *err);

/* After a run: all tied outputs become inputs, or none does. */
linnet_status ln_state_advance(linnet_session *s, linnet_error *err);

/* Zeros everywhere. */
void ln_state_reset(linnet_session *s);

#endif
