/*
 * unique.c - Unique: the different elements (or slices along an axis), where they first occur, which
 * one each is, and how often.
 *
 * The number of outputs is known only once the data is: infer() sorts the places of the slices to count
 * them, run() sorts them again. The sort keeps the order of equal ones, so the first of a group is where it first
 * occurs. NaN is equal to NaN and above every number.
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
            if (t == LINNET_I64) {
                const int64_t u = ((const int64_t *)x)[a], v = ((const int64_t *)x)[b];
                if (u != v)
                    return u < v ? -1 : 1;
            } else if (ln_dtype(t)->kind == LN_KIND_STRING) {
                const int c = strcmp(((const char *const *)x)[a], ((const char *const *)x)[b]);
                if (c)
                    return c < 0 ? -1 : 1;
            } else if (ln_dtype(t)->kind == LN_KIND_FLOAT) {
                const double u = ln_get_f64(t, x, a), v = ln_get_f64(t, x, b);
                if (u != v && (u == u || v == v))
                    return u < v || v != v ? -1 : 1;
            } else {
                const int64_t u = ln_get_i64(t, x, a), v = ln_get_i64(t, x, b);
                if (u != v)
                    return (t == LINNET_U64 ? (uint64_t)u < (uint64_t)v : u < v) ? -1 : 1;
            }
        }
    return 0;
}

/*
 * The places of all slices in the order of their elements, in at[]; `other` has as much room. Runs
 * of 1, 2, 4, ... are merged from one array into the other.
 */
static void unique_sort(const unique_form *f, int32_t t, const void *x, size_t *at, size_t *other)
{
    size_t *from = at, *to = other;

    for (size_t i = 0; i < f->count; i++)
        at[i] = i;
    for (size_t width = 1; width < f->count; width *= 2) {
        for (size_t begin = 0; begin < f->count; begin += 2 * width) {
            const size_t mid = LN_MIN(begin + width, f->count), end = LN_MIN(mid + width, f->count);
            size_t i = begin, k = mid;
            for (size_t n = begin; n < end; n++)
                to[n] = i < mid && (k == end || unique_compare(f, t, x, from[i], from[k]) <= 0) ? from[i++] : from[k++];
        }
        size_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != at)
        memcpy(at, from, f->count * sizeof *at);
}

/* Does the slice at[i] begin a new group? */
static bool unique_begins(const unique_form *f, int32_t t, const void *x, const size_t *at, size_t i)
{
    return i == 0 || unique_compare(f, t, x, at[i - 1], at[i]) != 0;
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
    size_t *at = f.count <= SIZE_MAX / 2 ? ln_arena_alloc(q->room, 2 * f.count + 1, sizeof *at) : NULL;
    if (!at)
        return LINNET_ERR_MEMORY;
    unique_sort(&f, in->dtype, q->value[0], at, at + f.count);
    for (size_t i = 0; i < f.count; i++)
        found += unique_begins(&f, in->dtype, q->value[0], at, i);
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
    if (!unique_form_of(q->param, &q->in[0], &f) || !ln_mul(f.count, 3 * sizeof(size_t), &q->workspace))
        return LINNET_ERR_LIMIT;
    return LINNET_OK;
}

/*
 * From sorted places at[] to: group[i], the number of the output that slice i is, and first[k], where that
 * one occurs first. Outputs are in sorted order, or in that of their first places. Returns how many.
 */
static size_t unique_groups(const unique_form *f, int32_t t, const void *x, bool sorted, const size_t *at, size_t *group,
                            size_t *first)
{
    size_t found = 0;

    for (size_t i = 0; i < f->count; i++) {
        if (unique_begins(f, t, x, at, i))
            first[found++] = at[i];
        group[at[i]] = sorted ? found - 1 : first[found - 1];
    }
    if (sorted)
        return found;
    found = 0;
    for (size_t i = 0; i < f->count; i++) /* group[i] is a first place: i itself, or one that has its number by now */
        if (group[i] == i) {
            first[found] = i;
            group[i] = found++;
        } else {
            group[i] = group[group[i]];
        }
    return found;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const ln_desc *in = &r->in_desc[0];
    const size_t size = ln_dtype(in->dtype)->bits / 8u;
    unique_form f;

    if (!unique_form_of(p, in, &f))
        return LINNET_ERR_SHAPE;
    size_t *at = r->workspace, *group = at + f.count, *first = group + f.count;
    unique_sort(&f, in->dtype, r->in[0], at, group);
    const size_t found = unique_groups(&f, in->dtype, r->in[0], p->sorted != 0, at, group, first);
    int64_t *places = s->outs > 1 ? r->out[1] : NULL, *which = s->outs > 2 ? r->out[2] : NULL,
            *counts = s->outs > 3 ? r->out[3] : NULL;
    for (size_t k = 0; k < found; k++) {
        for (size_t o = 0; o < f.outer && r->out[0]; o++)
            memcpy((char *)r->out[0] + (o * found + k) * f.inner * size,
                   (const char *)r->in[0] + (o * f.count + first[k]) * f.inner * size, f.inner * size);
        if (places)
            places[k] = (int64_t)first[k];
        if (counts)
            counts[k] = 0;
    }
    for (size_t i = 0; i < f.count; i++) {
        if (which)
            which[i] = (int64_t)group[i];
        if (counts)
            counts[group[i]]++;
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
