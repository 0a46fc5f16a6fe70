/*
 * unique.c - Unique: the different elements (or slices along an axis), where they first occur, which
 * one each is, and how often.
 *
 * The number of outputs is known only once the data is. infer() counts by comparing each slice with
 * those before it; run() does the same and keeps the first places in the workspace, sorted where
 * that is asked for. Quadratic in the number of slices, without any memory of its own.
 */
#include "op.h"

#define UNIQUE_FLAT ((int64_t)1 << 40) /* the axis where none is given: all elements as one list */

typedef struct param { int64_t axis, sorted; } param;
typedef struct unique_form { size_t count, outer, inner; } unique_form; /* slice i: outer runs of `inner` elements */

static bool unique_form_of(const param *p, const ln_desc *d, unique_form *f)
{
    int32_t axis = 0;

    if (p->axis == UNIQUE_FLAT) {
        *f = (unique_form){ ln_count(d), 1, 1 };
        return true;
    }
    if (!ln_axis(p->axis, d->rank, &axis))
        return false;
    *f = (unique_form){ (size_t)d->dim[axis], ln_count_range(d, 0, axis), ln_count_range(d, axis + 1, d->rank) };
    return true;
}

/* -1, 0, 1: slice i before, equal to, behind slice k, in the order of elements. */
static int unique_compare(const unique_form *f, int32_t t, const void *x, size_t i, size_t k)
{
    for (size_t o = 0; o < f->outer; o++)
        for (size_t e = 0; e < f->inner; e++) {
            const size_t a = (o * f->count + i) * f->inner + e, b = (o * f->count + k) * f->inner + e;
            if (ln_dtype(t)->kind == LN_KIND_STRING) {
                const int c = strcmp(((const char *const *)x)[a], ((const char *const *)x)[b]);
                if (c)
                    return c < 0 ? -1 : 1;
            } else if (ln_dtype(t)->kind == LN_KIND_FLOAT) {
                const double u = ln_get_f64(t, x, a), v = ln_get_f64(t, x, b);
                if (u != v)
                    return u < v ? -1 : 1;
            } else {
                const int64_t u = ln_get_i64(t, x, a), v = ln_get_i64(t, x, b);
                if (u != v)
                    return (t == LINNET_U64 ? (uint64_t)u < (uint64_t)v : u < v) ? -1 : 1;
            }
        }
    return 0;
}

/* The first slice equal to slice i. */
static size_t unique_first(const unique_form *f, int32_t t, const void *x, size_t i)
{
    size_t k = 0;

    while (k < i && unique_compare(f, t, x, k, i) != 0)
        k++;
    return k;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0];
    const uint8_t kind = ln_dtype(in->dtype)->kind;
    unique_form f;
    int64_t found = 0;
    int32_t axis;

    if (kind == LN_KIND_COMPLEX || ln_dtype(in->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, in->dtype);
    if (!unique_form_of(p, in, &f))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Unique: axis %lld outside rank %d", (long long)p->axis, (int)in->rank);
    if (ln_count(in) && !q->value[0])
        return LN_WAIT;
    for (size_t i = 0; i < f.count; i++)
        found += unique_first(&f, in->dtype, q->value[0], i) == i;
    q->out[0] = ln_desc_of(in->dtype, 1, &found);
    if (ln_axis(p->axis, in->rank, &axis) && p->axis != UNIQUE_FLAT) {
        q->out[0] = *in;
        q->out[0].dim[axis] = found;
    }
    for (int32_t i = 1; i < q->out_count; i++)
        q->out[i] = ln_desc_of(LINNET_I64, 1, (int64_t[]){ i == 2 ? (int64_t)f.count : found });
    return LINNET_OK;
}

typedef struct state { int32_t outs; } state;

static linnet_status prepare(ln_prepare *q)
{
    unique_form f;

    ((state *)q->state)->outs = q->out_count;
    if (!unique_form_of(q->param, &q->in[0], &f) || !ln_mul(f.count + 1, sizeof(size_t), &q->workspace))
        return LINNET_ERR_LIMIT;
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const ln_desc *in = &r->in_desc[0];
    const size_t size = ln_dtype(in->dtype)->bits / 8u;
    size_t *first = r->workspace, found = 0;
    unique_form f;

    if (!unique_form_of(p, in, &f))
        return LINNET_ERR_SHAPE;
    for (size_t i = 0; i < f.count; i++) {
        if (unique_first(&f, in->dtype, r->in[0], i) != i)
            continue;
        size_t at = found++;
        for (; p->sorted && at > 0 && unique_compare(&f, in->dtype, r->in[0], i, first[at - 1]) < 0; at--)
            first[at] = first[at - 1];
        first[at] = i;
    }
    for (size_t k = 0; k < found; k++) {
        for (size_t o = 0; o < f.outer && r->out[0]; o++)
            memcpy((char *)r->out[0] + (o * found + k) * f.inner * size,
                   (const char *)r->in[0] + (o * f.count + first[k]) * f.inner * size, f.inner * size);
        if (s->outs > 1 && r->out[1])
            ((int64_t *)r->out[1])[k] = (int64_t)first[k];
        if (s->outs > 3 && r->out[3])
            ((int64_t *)r->out[3])[k] = 0;
    }
    for (size_t i = 0; i < f.count; i++) {
        size_t k = 0;
        while (k + 1 < found && unique_compare(&f, in->dtype, r->in[0], i, first[k]) != 0)
            k++;
        if (s->outs > 2 && r->out[2])
            ((int64_t *)r->out[2])[i] = (int64_t)k;
        if (s->outs > 3 && r->out[3])
            ((int64_t *)r->out[3])[k]++;
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), (double)UNIQUE_FLAT, false },
    { "sorted", LN_ATTR_I64, offsetof(param, sorted), 1, false },
    { 0 },
};

const ln_op ln_op_unique = {
    .name = "Unique", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state), .in_min = 1, .in_max = 1,
    .out_min = 1, .out_max = 4, .infer = infer, .prepare = prepare, .run = run,
};

#undef UNIQUE_FLAT
