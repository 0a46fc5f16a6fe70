/*
 * map.h - the engine of functions of one element.
 *
 * An operator says which function; f32 and the small floats go through a kernel where there is one,
 * everything else through a function of double, and integers through one of integers.
 */
#ifndef LN_MAP_H
#define LN_MAP_H

#include "element.h"

typedef struct ln_map_spec {
    const char *name;
    uint32_t    types;
    int32_t     fn; /* LN_FN_* for f32; LN_FN_NONE: there is no kernel */
    double    (*f)(double x, double a, double b);
    int64_t   (*i)(int64_t x);  /* signed integers; NULL: through f */
    uint64_t  (*u)(uint64_t x); /* unsigned ones and bool */
} ln_map_spec;

typedef struct ln_map {
    const ln_map_spec *spec;
    ln_unary_f32       kernel;
    int32_t            wide;
    float              a, b;
} ln_map;

linnet_status ln_map_infer(const ln_infer *q, const ln_map_spec *spec);
/* The state of the node is an ln_map. */
linnet_status ln_map_prepare(ln_prepare *q, const ln_map_spec *spec, float a, float b);
linnet_status ln_map_run(const ln_run *r);
bool          ln_map_act(const ln_map_spec *spec, const ln_desc *in, float a, float b, ln_act *out);

#endif
