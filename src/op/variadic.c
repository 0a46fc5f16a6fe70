/*
 * variadic.c - Sum, Mean, Max, Min of any number of inputs that broadcast.
 *
 * A task folds the inputs one after another into its part of the output: f32 in place, other types
 * in wide numbers, so that the result is rounded once.
 */
#include "broadcast.h"

enum { VARIADIC_SUM, VARIADIC_MEAN, VARIADIC_MAX, VARIADIC_MIN };

typedef struct state {
    ln_bcast  first; /* f32: inputs 0 and 1 together */
    ln_bcast *each;
    size_t    count;
    int32_t   inputs, wide;
} state;

static linnet_status variadic_infer(const ln_infer *q, const char *name, uint32_t types)
{
    ln_desc shape = q->in[0];

    for (int32_t i = 0; i < q->in_count; i++) {
        if (!ln_type_in(q->in[i].dtype, types))
            return ln_fail_type(q->err, i, q->in[i].dtype);
        if (q->in[i].dtype != q->in[0].dtype)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: inputs of type %s and %s", name,
                           ln_dtype(q->in[0].dtype)->name, ln_dtype(q->in[i].dtype)->name);
        if (!ln_broadcast(&shape, &q->in[i], &shape))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: input %d does not broadcast with those before it", name, (int)i);
    }
    q->out[0] = shape;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const ln_desc *two[2] = { &q->in[0], &q->in[q->in_count > 1] };
    state *s = q->state;

    s->inputs = q->in_count;
    s->count = ln_count(&q->out[0]);
    s->wide = ln_wide_of(q->in[0].dtype);
    s->each = ln_plan_alloc(q, (size_t)q->in_count, sizeof *s->each);
    if (!s->each)
        return ln_fail(q->err, LINNET_ERR_MEMORY, "Sum, Mean, Max, Min: out of memory");
    ln_bcast_init(&s->first, &q->out[0], 2, two);
    for (int32_t i = 0; i < q->in_count; i++) {
        const ln_desc *one[1] = { &q->in[i] };
        ln_bcast_init(&s->each[i], &q->out[0], 1, one);
    }
    ln_split(q, s->count);
    q->work *= q->in_count;
    if (!ln_is_f32(&q->in[0]))
        q->scratch = LN_CHUNK * ln_wide_size(s->wide);
    return LINNET_OK;
}

/* ---- f32 ------------------------------------------------------------------------------- */

static void variadic_f32(const ln_run *r, const state *s, int32_t op, size_t from, size_t count)
{
    const ln_binary_f32 f = r->kernel->binary_f32[op == VARIADIC_MAX   ? LN_BIN_MAX
                                                  : op == VARIADIC_MIN ? LN_BIN_MIN : LN_BIN_ADD];
    ln_block room[2];
    ln_operand o[2] = { { r->in[0], sizeof(float), &room[0], NULL, 0 }, { NULL, sizeof(float), &room[1], NULL, 0 } };
    float *z = (float *)r->out[0] + from;
    ln_walk w;

    if (s->inputs == 1) {
        memmove(z, (const float *)r->in[0] + from, count * sizeof *z);
        return;
    }
    o[1].base = r->in[1];
    ln_walk_start(&w, &s->first, from, count);
    for (size_t n, at = 0; (n = ln_walk_take(&w, o, SIZE_MAX)) > 0; at += n)
        f(n, o[0].p, o[0].step, o[1].p, o[1].step, z + at);
    for (int32_t i = 2; i < s->inputs; i++) {
        o[0].base = r->in[i];
        ln_walk_start(&w, &s->each[i], from, count);
        for (size_t n, at = 0; (n = ln_walk_take(&w, o, SIZE_MAX)) > 0; at += n)
            f(n, z + at, 1, o[0].p, o[0].step, z + at);
    }
    if (op == VARIADIC_MEAN) {
        const float inputs = (float)s->inputs;
        r->kernel->binary_f32[LN_BIN_DIV](count, z, 1, &inputs, 0, z);
    }
}

/* ---- the other types ---------------------------------------------------------------------- */

/* NaN is larger and smaller than everything. */
#define VARIADIC_FOLD(T)                                                               \
    do {                                                                               \
        T *a = acc;                                                                    \
        const T *b = x;                                                                \
        for (size_t i = 0; i < n; i++) {                                               \
            const T v = b[i * step];                                                   \
            if (op == VARIADIC_MAX)                                                    \
                a[i] = a[i] > v || a[i] != a[i] ? a[i] : v;                            \
            else if (op == VARIADIC_MIN)                                               \
                a[i] = a[i] < v || a[i] != a[i] ? a[i] : v;                            \
            else                                                                       \
                a[i] = a[i] + v;                                                       \
        }                                                                              \
    } while (0)

static void variadic_add_int(size_t n, uint64_t *a, const uint64_t *b, size_t step)
{
    for (size_t i = 0; i < n; i++)
        a[i] += b[i * step];
}

static void variadic_fold(int32_t op, int32_t wide, size_t n, void *acc, const void *x, size_t step)
{
    if (wide == LN_WIDE_F32)
        VARIADIC_FOLD(float);
    else if (wide == LN_WIDE_F64)
        VARIADIC_FOLD(double);
    else if (op == VARIADIC_SUM || op == VARIADIC_MEAN)
        variadic_add_int(n, acc, x, step);
    else if (wide == LN_WIDE_I64)
        VARIADIC_FOLD(int64_t);
    else
        VARIADIC_FOLD(uint64_t);
}

static void variadic_set(int32_t wide, size_t n, void *acc, const void *x, size_t step)
{
    const size_t size = ln_wide_size(wide);

    for (size_t i = 0; i < n; i++)
        memcpy((char *)acc + i * size, (const char *)x + i * step * size, size);
}

static void variadic_wide(const ln_run *r, const state *s, int32_t op, size_t from, size_t count)
{
    const int32_t type = r->in_desc[0].dtype;
    const size_t size = ln_wide_size(s->wide);
    ln_block room, block;

    for (int32_t i = 0; i < s->inputs; i++) {
        ln_operand o = { r->in[i], ln_dtype(type)->bits / 8u, &room, NULL, 0 };
        ln_walk w;
        ln_walk_start(&w, &s->each[i], from, count);
        for (size_t n, at = 0; (n = ln_walk_take(&w, &o, LN_BLOCK)) > 0; at += n) {
            const void *x = ln_wide_view(r->kernel, type, o.p, 0, o.step ? n : 1, s->wide, &block);
            void *acc = (char *)r->scratch + at * size;
            if (i == 0)
                variadic_set(s->wide, n, acc, x, o.step);
            else
                variadic_fold(op, s->wide, n, acc, x, o.step);
        }
    }
    if (op == VARIADIC_MEAN && s->wide == LN_WIDE_F32)
        for (size_t i = 0; i < count; i++)
            ((float *)r->scratch)[i] /= (float)s->inputs;
    else if (op == VARIADIC_MEAN)
        for (size_t i = 0; i < count; i++)
            ((double *)r->scratch)[i] /= s->inputs;
    ln_wide_write(r->kernel, type, s->wide, r->scratch, count, r->out[0], from);
}

static linnet_status variadic_run(const ln_run *r, int32_t op)
{
    const state *s = r->state;
    size_t from, count;

    ln_part(s->count, r->task, &from, &count);
    if (r->in_desc[0].dtype == LINNET_F32)
        variadic_f32(r, s, op, from, count);
    else
        variadic_wide(r, s, op, from, count);
    return LINNET_OK;
}

#define VARIADIC(id, text, types, op)                                                          \
    static linnet_status variadic_##id##_infer(const ln_infer *q) { return variadic_infer(q, text, types); } \
    static linnet_status variadic_##id##_run(const ln_run *r) { return variadic_run(r, op); }

VARIADIC(sum, "Sum", LN_TYPES_NUMBER, VARIADIC_SUM)
VARIADIC(mean, "Mean", LN_TYPES_FLOAT, VARIADIC_MEAN)
VARIADIC(max, "Max", LN_TYPES_NUMBER, VARIADIC_MAX)
VARIADIC(min, "Min", LN_TYPES_NUMBER, VARIADIC_MIN)

#define VARIADIC_OP(id)                                                                        \
    .state_size = sizeof(state), .in_min = 1, .in_max = 255, .flags = LN_OP_ELEMENTWISE,       \
    .inplace = 1, .infer = variadic_##id##_infer, .prepare = prepare, .run = variadic_##id##_run

const ln_op ln_op_sum = { .name = "Sum", VARIADIC_OP(sum) };
const ln_op ln_op_mean = { .name = "Mean", VARIADIC_OP(mean) };
const ln_op ln_op_max = { .name = "Max", VARIADIC_OP(max) };
const ln_op ln_op_min = { .name = "Min", VARIADIC_OP(min) };

#undef VARIADIC
#undef VARIADIC_FOLD
#undef VARIADIC_OP
