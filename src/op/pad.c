/*
 * pad.c - Pad: elements added (or cut off) at both ends of axes.
 *
 * A table for each axis says which input position every output position takes. Axes behind the last
 * one that is padded are part of its elements; inner parts of a row are copied where they are contiguous.
 */
#include "strided.h"

enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };
#define PAD_OUTSIDE (-1)

typedef struct param { const char *mode; } param;
typedef struct state {
    const int64_t *index[LN_MAX_RANK]; /* per output position of an axis: input position, or PAD_OUTSIDE */
    int64_t stride[LN_MAX_RANK];       /* input bytes */
    int32_t last;                      /* the last padded axis; -1: a tensor without axes */
    size_t  size, unit;                /* bytes: of an element; of a position of axis `last` */
    size_t  rows, per;
    bool    has_value;
    int64_t width, before, inside;     /* of axis `last`: positions; constant ones, then copied ones */
} state;

static int pad_mode(const param *p)
{
    static const char *const name[] = { "constant", "reflect", "edge", "wrap" };

    for (int i = 0; i < 4; i++)
        if (ln_is(p->mode, "constant", name[i]))
            return i;
    return -1;
}

/* Pads of each axis; LN_WAIT where they are not known. */
static linnet_status pad_amounts(int32_t in_count, const ln_desc *in, const void *const *value, int64_t *before,
                                 int64_t *after, linnet_error *err)
{
    const bool has_axes = in_count > 3 && in[3].dtype;
    const int64_t count = has_axes ? (in[3].rank ? in[3].dim[0] : 1) : in[0].rank;

    bool seen[LN_MAX_RANK] = { false };
    for (int32_t d = 0; d < in[0].rank; d++)
        before[d] = after[d] = 0;
    if (in[1].dtype != LINNET_I64 || in[1].rank != 1 || count > in[0].rank || in[1].dim[0] != 2 * count ||
        (has_axes && (in[3].rank > 1 || (in[3].dtype != LINNET_I64 && in[3].dtype != LINNET_I32))))
        return ln_fail(err, LINNET_ERR_SHAPE, "Pad: pads are not two i64 for each axis");
    if (count && (!value[1] || (has_axes && !value[3])))
        return LN_WAIT;
    for (int64_t i = 0; i < count; i++) {
        const int64_t given = has_axes ? ln_get_i64(in[3].dtype, value[3], (size_t)i) : i;
        int32_t d;
        if (!ln_axis(given, in[0].rank, &d) || seen[d])
            return ln_fail(err, LINNET_ERR_SHAPE, "Pad: axis %lld twice or outside rank %d", (long long)given,
                           (int)in[0].rank);
        seen[d] = true;
        before[d] = ln_get_i64(LINNET_I64, value[1], (size_t)i);
        after[d] = ln_get_i64(LINNET_I64, value[1], (size_t)(count + i));
    }
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    int64_t before[LN_MAX_RANK], after[LN_MAX_RANK], dim;
    const linnet_status st = pad_amounts(q->in_count, q->in, q->value, before, after, q->err);

    if (st)
        return st;
    if (pad_mode(q->param) < 0 || ln_dtype(q->in[0].dtype)->bits % 8)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Pad: mode or type not supported");
    if (q->in_count > 2 && q->in[2].dtype && (q->in[2].dtype != q->in[0].dtype || ln_count(&q->in[2]) != 1))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Pad: the constant is not one element of the input's type");
    q->out[0] = q->in[0];
    for (int32_t d = 0; d < q->in[0].rank; d++) {
        if (before[d] < -q->in[0].dim[d] || after[d] < -q->in[0].dim[d] ||
            !ln_add64(q->in[0].dim[d], before[d], &dim) || !ln_add64(dim, after[d], &dim) || dim < 0)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Pad: axis %d of length %lld cannot get %lld and %lld", (int)d,
                           (long long)q->in[0].dim[d], (long long)before[d], (long long)after[d]);
        if (dim > 0 && q->in[0].dim[d] == 0 && pad_mode(q->param) != PAD_CONSTANT)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Pad: nothing to repeat along axis %d", (int)d);
        q->out[0].dim[d] = dim;
    }
    return LINNET_OK;
}

/* Input position of output position i - before, for an axis of length dim. */
static int64_t pad_source(int mode, int64_t at, int64_t dim)
{
    if (at >= 0 && at < dim)
        return at;
    switch (mode) {
    case PAD_EDGE:
        return at < 0 ? 0 : dim - 1;
    case PAD_WRAP:
        return (at % dim + dim) % dim;
    case PAD_REFLECT: {
        if (dim == 1)
            return 0;
        const int64_t period = 2 * (dim - 1), in = (at % period + period) % period;
        return in < dim ? in : period - in;
    }
    default:
        return PAD_OUTSIDE;
    }
}

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;
    const ln_desc *in = &q->in[0], *out = &q->out[0];
    int64_t before[LN_MAX_RANK], after[LN_MAX_RANK];
    const int mode = pad_mode(q->param);
    const size_t count = ln_count(out);

    q->tasks[0] = 0;
    if (pad_amounts(q->in_count, in, q->value, before, after, q->err) || count == 0)
        return LINNET_OK;
    s->size = ln_dtype(in->dtype)->bits / 8u;
    s->has_value = q->in_count > 2 && q->in[2].dtype;
    ln_strides(in, s->stride);
    s->last = in->rank - 1;
    while (s->last > 0 && before[s->last] == 0 && after[s->last] == 0)
        s->last--;
    s->unit = ln_count_range(in, s->last + 1, in->rank) * s->size;
    for (int32_t d = 0; d <= s->last; d++) {
        s->stride[d] *= (int64_t)s->size;
        int64_t *table = ln_plan_alloc(q, (size_t)out->dim[d], sizeof *table);
        if (!table)
            return ln_fail(q->err, LINNET_ERR_MEMORY, "Pad: out of memory");
        for (int64_t i = 0; i < out->dim[d]; i++)
            table[i] = pad_source(mode, i - before[d], in->dim[d]);
        s->index[d] = table;
    }
    const int32_t last = s->last;
    s->width = last >= 0 ? out->dim[last] : 1;
    s->before = last >= 0 ? LN_MIN(LN_MAX(before[last], 0), s->width) : 0;
    s->inside = last >= 0 ? LN_MAX(0, LN_MIN(in->dim[last] + before[last], s->width) - s->before) : 1;
    s->rows = ln_count_range(out, 0, LN_MAX(last, 0));
    s->per = LN_MAX((size_t)1, LN_CHUNK / (count / s->rows));
    q->tasks[0] = ln_ceil_div(s->rows, s->per);
    q->work = (double)count;
    return LINNET_OK;
}

/* Positions [from, to) of a row whose copied part begins at x. */
static void pad_ends(const state *s, int64_t from, int64_t to, const char *x, const void *value, char *y)
{
    for (int64_t i = from; i < to; i++) {
        const int64_t source = s->index[s->last][i];
        if (source == PAD_OUTSIDE)
            ln_fill(y + (size_t)i * s->unit, value, s->unit / s->size, s->size);
        else
            memcpy(y + (size_t)i * s->unit, x + (size_t)source * s->unit, s->unit);
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const ln_desc *out = &r->out_desc[0];
    const size_t begin = r->task * s->per, end = LN_MIN(s->rows, begin + s->per);
    const size_t row_bytes = (size_t)s->width * s->unit;
    const int64_t zero[2] = { 0, 0 }; /* as many bytes as the widest element */
    const char *const empty = "";
    const void *preset = out->dtype == LINNET_STRING ? (const void *)&empty : (const void *)zero;
    const void *value = s->has_value ? r->in[2] : preset;

    for (size_t row = begin; row < end; row++) {
        char *y = (char *)r->out[0] + row * row_bytes;
        bool outside = false;
        int64_t from = 0;
        size_t at = row;
        for (int32_t d = s->last - 1; d >= 0; d--) {
            const int64_t i = s->index[d][at % (size_t)out->dim[d]];
            at /= (size_t)out->dim[d];
            outside = outside || i == PAD_OUTSIDE;
            from += i * s->stride[d];
        }
        if (outside) {
            ln_fill(y, value, row_bytes / s->size, s->size);
            continue;
        }
        const char *x = (const char *)r->in[0] + from;
        const int64_t first = s->inside > 0 && s->last >= 0 ? s->index[s->last][s->before] : 0;
        pad_ends(s, 0, s->before, x, value, y);
        if (s->inside > 0)
            memcpy(y + (size_t)s->before * s->unit, x + (size_t)first * s->unit, (size_t)s->inside * s->unit);
        pad_ends(s, s->before + s->inside, s->width, x, value, y);
    }
    return LINNET_OK;
}

/* Without a list of axes, pads come in the order of all of them. */
static bool permute(ln_permute *q)
{
    if (!q->value[1] || q->in[1].dtype != LINNET_I64 || (q->in_count > 3 && q->in[3].dtype) ||
        q->in[1].rank != 1 || q->in[1].dim[0] != 2 * (int64_t)q->rank)
        return false;
    int64_t *pads = ln_arena_alloc(q->arena, 2 * (size_t)q->rank, sizeof *pads);
    for (int32_t i = 0; pads && i < q->rank; i++) {
        pads[i] = ln_get_i64(LINNET_I64, q->value[1], (size_t)q->perm[i]);
        pads[q->rank + i] = ln_get_i64(LINNET_I64, q->value[1], (size_t)(q->rank + q->perm[i]));
    }
    q->replace[1] = pads;
    return pads != NULL;
}

static const ln_attr attr[] = {
    { "mode", LN_ATTR_STR, offsetof(param, mode), 0, false },
    { 0 },
};

const ln_op ln_op_pad = {
    .name = "Pad", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 4, .infer = infer, .prepare = prepare, .run = run, .permute = permute,
};

#undef PAD_OUTSIDE
