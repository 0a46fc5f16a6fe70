/*
 * identity.c - Identity: the input under another name.
 */
#include "op.h"

const ln_op ln_op_identity = {
    .name = "Identity", .in_min = 1, .in_max = 1, .flags = LN_OP_VIEW | LN_OP_ELEMENTWISE, .infer = ln_infer_same,
};
