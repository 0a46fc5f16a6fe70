/*
 * transpose.c - Transpose: axes in another order.
 *
 * Axes of length one are dropped and neighbours that stay neighbours are merged, so that few axes
 * remain. Then either the innermost axis stays (rows are copied), or a plane of the axis that
 * is innermost before and the one that is innermost after is transposed by the kernel.
 */
#include "op.h"

typedef struct param { ln_ints perm; } param;

typedef struct state {
    int32_t rank;                 /* of the merged shape, at least 1 */
    size_t  dim[LN_MAX_RANK];     /* of the output */
    size_t  from[LN_MAX_RANK];    /* input stride of each output axis */
    size_t  to[LN_MAX_RANK];      /* output stride */
    size_t  size;                 /* bytes of an element */
    int32_t plane;                /* output axis that is innermost in the input; rank - 1: rows are copied */
    size_t  outer;                /* products of the axes that are neither plane nor last */
    size_t  pieces, piece;        /* tasks per outer index, and how much of the plane axis each has */
    size_t  per;                  /* outer indices per task, where planes are small */
} state;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0];
    bool seen[LN_MAX_RANK] = { false };

    q->out[0].dtype = in->dtype;
    q->out[0].rank = in->rank;
    if (p->perm.v && p->perm.count != (size_t)in->rank)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Transpose: perm has %zu entries for rank %d", p->perm.count,
                       (int)in->rank);
    for (int32_t i = 0; i < in->rank; i++) {
        const int64_t axis = p->perm.v ? p->perm.v[i] : in->rank - 1 - i;
        if (axis < 0 || axis >= in->rank || seen[axis])
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Transpose: perm is not a permutation");
        seen[axis] = true;
        q->out[0].dim[i] = in->dim[axis];
    }
    if (ln_dtype(in->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, in->dtype);
    return LINNET_OK;
}

static void transpose_merge(const ln_prepare *q, state *s)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0];
    int64_t stride[LN_MAX_RANK];
    int32_t last = -2; /* input axis of the latest merged one */

    ln_strides(in, stride);
    s->rank = 0;
    for (int32_t i = 0; i < in->rank; i++) {
        int32_t axis = p->perm.v ? (int32_t)p->perm.v[i] : in->rank - 1 - i;
        if (in->dim[axis] == 1)
            continue;
        int32_t next = last + 1; /* neighbours in the input, axes of length one between them aside */
        while (last >= 0 && next < in->rank && in->dim[next] == 1)
            next++;
        if (s->rank && last >= 0 && next == axis) {
            s->dim[s->rank - 1] *= (size_t)in->dim[axis];
            s->from[s->rank - 1] = (size_t)stride[axis];
        } else {
            s->dim[s->rank] = (size_t)in->dim[axis];
            s->from[s->rank++] = (size_t)stride[axis];
        }
        last = axis;
    }
    if (s->rank == 0) {
        s->rank = 1;
        s->dim[0] = s->from[0] = 1;
    }
    size_t step = 1;
    for (int32_t i = s->rank - 1; i >= 0; i--) {
        s->to[i] = step;
        step *= s->dim[i];
    }
}

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;
    const size_t count = ln_count(&q->in[0]);

    q->tasks[0] = 0;
    if (count == 0)
        return LINNET_OK;
    transpose_merge(q, s);
    s->size = ln_dtype(q->in[0].dtype)->bits / 8u;
    s->plane = 0;
    for (int32_t i = 0; i < s->rank; i++)
        if (s->from[i] == 1)
            s->plane = i;
    const int32_t last = s->rank - 1;
    s->outer = count / s->dim[last] / (s->plane == last ? 1 : s->dim[s->plane]);
    if (s->plane == last) { /* rows: as many outer indices per task as make a chunk */
        s->per = LN_MAX((size_t)1, LN_CHUNK / s->dim[last]);
        q->tasks[0] = ln_ceil_div(s->outer, s->per);
    } else {
        s->piece = LN_MAX((size_t)16, LN_CHUNK / s->dim[last]);
        s->pieces = ln_ceil_div(s->dim[s->plane], s->piece);
        s->per = s->pieces > 1 ? 1 : LN_MAX((size_t)1, LN_CHUNK / (s->dim[last] * s->dim[s->plane]));
        q->tasks[0] = s->pieces > 1 ? s->outer * s->pieces : ln_ceil_div(s->outer, s->per);
    }
    q->work = (double)count;
    return LINNET_OK;
}

/* Element offsets of outer index `at`, which runs over all axes but the last and `plane`. */
static void transpose_offsets(const state *s, size_t at, size_t *from, size_t *to)
{
    *from = *to = 0;
    for (int32_t i = s->rank - 2; i >= 0; i--) {
        if (i == s->plane)
            continue;
        *from += at % s->dim[i] * s->from[i];
        *to += at % s->dim[i] * s->to[i];
        at /= s->dim[i];
    }
}

/* y[j * ldy + i] = x[i * ldx + j] for elements of `size` bytes. */
static void transpose_plane(size_t size, size_t rows, size_t cols, const char *restrict x, size_t ldx,
                            char *restrict y, size_t ldy)
{
#define TRANSPOSE_LOOP(bytes)                                                   \
    for (size_t j = 0; j < cols; j++)                                           \
        for (size_t i = 0; i < rows; i++)                                       \
            memcpy(y + (j * ldy + i) * (bytes), x + (i * ldx + j) * (bytes), bytes)
    switch (size) {
    case 1:  TRANSPOSE_LOOP(1); break;
    case 2:  TRANSPOSE_LOOP(2); break;
    case 8:  TRANSPOSE_LOOP(8); break;
    default: TRANSPOSE_LOOP(size); break;
    }
#undef TRANSPOSE_LOOP
}

/* Part [first, first + cols) of the plane axis, of outer index `at`. */
static void transpose_part(const ln_run *r, size_t at, size_t first, size_t cols)
{
    const state *s = r->state;
    const int32_t last = s->rank - 1;
    const size_t ldx = s->from[last], ldy = s->to[s->plane];
    size_t from, to;

    transpose_offsets(s, at, &from, &to);
    from += first;
    to += first * ldy;
    if (s->size == 4)
        r->kernel->transpose_32(s->dim[last], cols, (const float *)r->in[0] + from, ldx, (float *)r->out[0] + to, ldy);
    else
        transpose_plane(s->size, s->dim[last], cols, (const char *)r->in[0] + from * s->size, ldx,
                        (char *)r->out[0] + to * s->size, ldy);
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const int32_t last = s->rank - 1;
    const size_t begin = r->task * s->per, end = LN_MIN(s->outer, begin + s->per);
    size_t from, to;

    if (s->plane == last) {
        for (size_t at = begin; at < end; at++) {
            transpose_offsets(s, at, &from, &to);
            memcpy((char *)r->out[0] + to * s->size, (const char *)r->in[0] + from * s->size, s->dim[last] * s->size);
        }
    } else if (s->pieces > 1) {
        const size_t first = r->task % s->pieces * s->piece;
        transpose_part(r, r->task / s->pieces, first, LN_MIN(s->piece, s->dim[s->plane] - first));
    } else {
        for (size_t at = begin; at < end; at++)
            transpose_part(r, at, 0, s->dim[s->plane]);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "perm", LN_ATTR_INTS, offsetof(param, perm), 0, false },
    { 0 },
};

const ln_op ln_op_transpose = {
    .name = "Transpose", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .infer = infer, .prepare = prepare, .run = run,
};
