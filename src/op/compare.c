/*
 * compare.c - Equal, Less, LessOrEqual, Greater, GreaterOrEqual; And, Or, Xor of bools.
 *
 * NaN is equal to nothing and neither less nor greater. Texts are compared byte for byte.
 */
#include "pair.h"

/* Loops of a relation over the four wide types. */
#define COMPARE_LOOP(name, T, op)                                                                  \
    static void compare_##name(size_t n, const void *x, size_t sx, const void *y, size_t sy, void *z) \
    {                                                                                              \
        const T *a = x, *b = y;                                                                    \
        uint8_t *out = z;                                                                          \
        for (size_t i = 0; i < n; i++)                                                             \
            out[i] = a[i * sx] op b[i * sy];                                                       \
    }
#define COMPARE_ALL(name, text, types, op, compares, logics, swaps)                                \
    COMPARE_LOOP(name##_f32, float, op)                                                            \
    COMPARE_LOOP(name##_f64, double, op)                                                           \
    COMPARE_LOOP(name##_i64, int64_t, op)                                                          \
    COMPARE_LOOP(name##_u64, uint64_t, op)                                                         \
    static const ln_pair_spec compare_##name = { text, types, -1, true,                            \
        { compare_##name##_f32, compare_##name##_f64, compare_##name##_i64, compare_##name##_u64 },  \
        compares, logics, swaps };                                                                 \
    static linnet_status compare_##name##_infer(const ln_infer *q)                                 \
    {                                                                                              \
        return ln_pair_infer(q, &compare_##name);                                                  \
    }                                                                                              \
    static linnet_status compare_##name##_prepare(ln_prepare *q)                                   \
    {                                                                                              \
        return ln_pair_prepare(q, &compare_##name);                                                \
    }
#define COMPARE_BOOL LN_TYPE(LINNET_BOOL)

COMPARE_ALL(equal, "Equal", LN_TYPES_NUMBER | COMPARE_BOOL | LN_TYPE(LINNET_STRING), ==, 1 + LN_CMP_EQ, 0, false)
COMPARE_ALL(less, "Less", LN_TYPES_NUMBER, <, 1 + LN_CMP_LT, 0, false)
COMPARE_ALL(less_or_equal, "LessOrEqual", LN_TYPES_NUMBER, <=, 1 + LN_CMP_LE, 0, false)
COMPARE_ALL(greater, "Greater", LN_TYPES_NUMBER, >, 1 + LN_CMP_LT, 0, true)
COMPARE_ALL(greater_or_equal, "GreaterOrEqual", LN_TYPES_NUMBER, >=, 1 + LN_CMP_LE, 0, true)
COMPARE_ALL(and, "And", COMPARE_BOOL, &&, 0, 1 + LN_LOGIC_AND, false)
COMPARE_ALL(or, "Or", COMPARE_BOOL, ||, 0, 1 + LN_LOGIC_OR, false)
COMPARE_ALL(xor, "Xor", COMPARE_BOOL, !=, 0, 1 + LN_LOGIC_XOR, false)

static void compare_texts(const ln_run *r, const ln_pair *s, size_t from, size_t count)
{
    const char *room[2][LN_BLOCK];
    ln_operand o[2] = { { r->in[0], sizeof(char *), room[0], NULL, 0 }, { r->in[1], sizeof(char *), room[1], NULL, 0 } };
    uint8_t *out = (uint8_t *)r->out[0] + from;
    ln_walk w;

    ln_walk_start(&w, &s->b, from, count);
    for (size_t n; (n = ln_walk_take(&w, o, LN_BLOCK)) > 0; out += n) {
        const char *const *a = o[0].p, *const *b = o[1].p;
        for (size_t i = 0; i < n; i++) {
            const char *x = a[i * o[0].step], *y = b[i * o[1].step];
            out[i] = strcmp(x ? x : "", y ? y : "") == 0;
        }
    }
}

static linnet_status compare_equal_run(const ln_run *r)
{
    const ln_pair *s = r->state;
    size_t from, count;

    if (r->in_desc[0].dtype != LINNET_STRING)
        return ln_pair_run(r);
    ln_part(s->b.total, r->task, &from, &count);
    compare_texts(r, s, from, count);
    return LINNET_OK;
}

#define COMPARE_FIELDS(id)                                                                         \
    .state_size = sizeof(ln_pair), .in_min = 2, .in_max = 2, .flags = LN_OP_ELEMENTWISE,           \
    .infer = compare_##id##_infer, .prepare = compare_##id##_prepare

const ln_op ln_op_equal = { .name = "Equal", COMPARE_FIELDS(equal), .run = compare_equal_run };
const ln_op ln_op_less = { .name = "Less", COMPARE_FIELDS(less), .run = ln_pair_run };
const ln_op ln_op_less_or_equal = { .name = "LessOrEqual", COMPARE_FIELDS(less_or_equal), .run = ln_pair_run };
const ln_op ln_op_greater = { .name = "Greater", COMPARE_FIELDS(greater), .run = ln_pair_run };
const ln_op ln_op_greater_or_equal = {
    .name = "GreaterOrEqual", COMPARE_FIELDS(greater_or_equal), .run = ln_pair_run };
const ln_op ln_op_and = { .name = "And", .inplace = 3, COMPARE_FIELDS(and), .run = ln_pair_run };
const ln_op ln_op_or = { .name = "Or", .inplace = 3, COMPARE_FIELDS(or), .run = ln_pair_run };
const ln_op ln_op_xor = { .name = "Xor", .inplace = 3, COMPARE_FIELDS(xor), .run = ln_pair_run };

#undef COMPARE_LOOP
#undef COMPARE_ALL
#undef COMPARE_BOOL
#undef COMPARE_FIELDS
