/*
 * control.c - operators that the executor itself runs: control flow, sequences, optionals.
 *
 * Here are only their names, counts and attributes; src/plan/control.c and sequence.c do the work.
 */
#include "op.h"

typedef struct control_param {
    ln_graph *body, *then_branch, *else_branch;
    int64_t   num_scan_inputs, axis, new_axis, keepdims, dtype;
    ln_ints   scan_input_axes, scan_input_directions, scan_output_axes, scan_output_directions;
} control_param;

#define CONTROL_AT(field) offsetof(control_param, field)

static const ln_attr control_if[] = {
    { "then_branch", LN_ATTR_GRAPH, CONTROL_AT(then_branch), 0, true },
    { "else_branch", LN_ATTR_GRAPH, CONTROL_AT(else_branch), 0, true },
    { 0 },
};
static const ln_attr control_body[] = {
    { "body", LN_ATTR_GRAPH, CONTROL_AT(body), 0, true },
    { 0 },
};
static const ln_attr control_scan[] = {
    { "body", LN_ATTR_GRAPH, CONTROL_AT(body), 0, true },
    { "num_scan_inputs", LN_ATTR_I64, CONTROL_AT(num_scan_inputs), 0, true },
    { "scan_input_axes", LN_ATTR_INTS, CONTROL_AT(scan_input_axes), 0, false },
    { "scan_input_directions", LN_ATTR_INTS, CONTROL_AT(scan_input_directions), 0, false },
    { "scan_output_axes", LN_ATTR_INTS, CONTROL_AT(scan_output_axes), 0, false },
    { "scan_output_directions", LN_ATTR_INTS, CONTROL_AT(scan_output_directions), 0, false },
    { 0 },
};
static const ln_attr control_dtype[] = {
    { "dtype", LN_ATTR_I64, CONTROL_AT(dtype), 1, false },
    { 0 },
};
static const ln_attr control_split[] = {
    { "axis", LN_ATTR_I64, CONTROL_AT(axis), 0, false },
    { "keepdims", LN_ATTR_I64, CONTROL_AT(keepdims), 1, false },
    { 0 },
};
static const ln_attr control_concat[] = {
    { "axis", LN_ATTR_I64, CONTROL_AT(axis), 0, true },
    { "new_axis", LN_ATTR_I64, CONTROL_AT(new_axis), 0, false },
    { 0 },
};

#define CONTROL(onnx, attributes, least, most, out_least, out_most)                        \
    { .name = onnx, .attr = attributes, .param_size = sizeof(control_param),               \
      .in_min = least, .in_max = most, .out_min = out_least, .out_max = out_most,          \
      .flags = LN_OP_CONTROL }

const ln_op ln_op_if = CONTROL("If", control_if, 1, 1, 1, 255);
const ln_op ln_op_loop = CONTROL("Loop", control_body, 2, 255, 1, 255);
const ln_op ln_op_scan = CONTROL("Scan", control_scan, 1, 255, 1, 255);
const ln_op ln_op_call = CONTROL("linnet.Call", control_body, 1, 255, 1, 255); /* a body, once */
const ln_op ln_op_sequence_map = CONTROL("SequenceMap", control_body, 1, 255, 1, 255);
const ln_op ln_op_sequence_empty = CONTROL("SequenceEmpty", control_dtype, 0, 0, 1, 1);
const ln_op ln_op_sequence_construct = CONTROL("SequenceConstruct", NULL, 1, 255, 1, 1);
const ln_op ln_op_sequence_insert = CONTROL("SequenceInsert", NULL, 2, 3, 1, 1);
const ln_op ln_op_sequence_erase = CONTROL("SequenceErase", NULL, 1, 2, 1, 1);
const ln_op ln_op_sequence_at = CONTROL("SequenceAt", NULL, 2, 2, 1, 1);
const ln_op ln_op_sequence_length = CONTROL("SequenceLength", NULL, 1, 1, 1, 1);
const ln_op ln_op_split_to_sequence = CONTROL("SplitToSequence", control_split, 1, 2, 1, 1);
const ln_op ln_op_concat_from_sequence = CONTROL("ConcatFromSequence", control_concat, 1, 1, 1, 1);
const ln_op ln_op_optional = CONTROL("Optional", NULL, 0, 1, 1, 1);
const ln_op ln_op_optional_get_element = CONTROL("OptionalGetElement", NULL, 1, 1, 1, 1);
const ln_op ln_op_optional_has_element = CONTROL("OptionalHasElement", NULL, 0, 1, 1, 1);

#undef CONTROL
#undef CONTROL_AT
