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

#endif
