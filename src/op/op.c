/*
 * op.c - the table of operators, and what their files share.
 *
 * op_list.h is written by the build: one line X(name) for each operator found in src/op/.
 */
#include "op.h"

#define X(name) extern const ln_op ln_op_##name;
#include "op_list.h"
#undef X

static const ln_op *const op_table[] = {
#define X(name) &ln_op_##name,
#include "op_list.h"
#undef X
};

size_t ln_op_count(void) { return LN_COUNT(op_table); }
const ln_op *ln_op_at(size_t i) { return op_table[i]; }

const ln_op *ln_op_find(const char *name)
{
    for (size_t i = 0; i < LN_COUNT(op_table); i++)
        if (strcmp(op_table[i]->name, name) == 0)
            return op_table[i];
    return NULL;
}

linnet_status ln_fail_type(linnet_error *err, int32_t input, int32_t dtype)
{
    const char *name = ln_dtype(dtype)->name;

    return ln_fail(err, LINNET_ERR_UNSUPPORTED, "input %d of type %s is not supported", (int)input,
                   name ? name : "none");
}

bool ln_permute_axis(const ln_permute *q, int64_t *axis)
{
    int32_t at;

    if (!ln_axis(*axis, q->rank, &at))
        return false;
    *axis = q->inverse[at];
    return true;
}

linnet_status ln_infer_same(const ln_infer *q)
{
    q->out[0] = q->in[0];
    return LINNET_OK;
}
