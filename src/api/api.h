/*
 * api.h - what the public calls share: options read safely, models made and finished.
 */
#ifndef LN_API_H
#define LN_API_H

#include "../plan/session.h"

/* The caller's options as far as its header knew them, the rest preset. */
linnet_status ln_options_read(const linnet_options *opt, linnet_options *out, linnet_limits *limits,
                              linnet_error *err);

/* An empty model. */
linnet_status ln_model_new(const linnet_options *opt, linnet_model **out, linnet_error *err);

/* The graph is finished: number the layers. The model can be run from here on. */
linnet_status ln_model_finish(linnet_model *m, linnet_error *err);

/* The operators of the options for a graph without nodes (custom.c). */
linnet_status ln_custom_ops(const linnet_options *opt, ln_graph *g, linnet_error *err);

/* True, or false with an error: p is NULL. */
bool ln_given(const void *p, const char *what, linnet_error *err);

/* All bytes of a file, at most `limit`: mapped, or (copy: always) read into memory of `alloc`. */
linnet_status ln_file_open(const char *path, const linnet_allocator *alloc, uint64_t limit, bool copy, ln_file *out,
                           linnet_error *err);
void          ln_file_close(const ln_file *f, const linnet_allocator *alloc);
/* The same as a caller's options (may be NULL) say it; *alloc: what ln_file_close() wants. Refuses path NULL. */
linnet_status ln_file_load(const char *path, const linnet_options *opt, bool copy, ln_file *out, linnet_allocator *alloc,
                           linnet_error *err);

/* All or nothing: on failure no half-written file is left at `path`. */
linnet_status ln_file_write(const linnet_model *m, const char *path, linnet_error *err);

/* Can input i be that? */
linnet_status ln_input_fits(const linnet_session *s, size_t i, const ln_desc *d, linnet_error *err);

/* The ties of the options, in memory of `arena` or (NULL) of the session's allocator. */
linnet_status ln_session_ties(linnet_session *s, const linnet_options *opt, ln_arena *arena, linnet_error *err);

/* Name, type and shape of a value of the model's graph. */
void ln_value_info(const ln_value *v, linnet_value_info *out);

#endif
