/*
 * session.h - what the public session calls are made of.
 */
#ifndef LN_SESSION_H
#define LN_SESSION_H

#include "plan.h"

/* Plan for the shapes in s->input, unless the plan there is fits them. */
linnet_status ln_session_plan(linnet_session *s, linnet_error *err);
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

#endif
