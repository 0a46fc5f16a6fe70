/*
 * scatter.c - ScatterElements, ScatterND, and what they share.
 *
 * The data is copied first; updates follow one after another, so of two for one place the
 * later wins (or both are reduced, in order). One task: order is part of the meaning.
 */
#include "scatter.h"

int ln_scatter_reduction(const char *name)
{
    static const char *const known[] = { "none", "add", "mul", "max", "min" };

    for (int i = 0; i < 5; i++)
        if (ln_is(name, "none", known[i]))
            return i;
    return -1;
}

static double scatter_float(int reduction, double x, double y)
{
    switch (reduction) {
    case LN_SCATTER_ADD: return y + x;
    case LN_SCATTER_MUL: return y * x;
    case LN_SCATTER_MAX: return x != x || x > y ? x : y;
    default:             return x != x || x < y ? x : y;
    }
}

static int64_t scatter_int(int reduction, bool is_unsigned, int64_t x, int64_t y)
{
    const bool greater = is_unsigned ? (uint64_t)x > (uint64_t)y : x > y;

    switch (reduction) {
    case LN_SCATTER_ADD: return (int64_t)((uint64_t)y + (uint64_t)x);
    case LN_SCATTER_MUL: return (int64_t)((uint64_t)y * (uint64_t)x);
    case LN_SCATTER_MAX: return greater ? x : y;
    default:             return greater ? y : x;
    }
}

void ln_scatter_apply(int reduction, int32_t dtype, const void *x, void *y, size_t n)
{
    const ln_dtype_info *type = ln_dtype(dtype);

    if (reduction == LN_SCATTER_NONE) {
        memcpy(y, x, n * (type->bits / 8u));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (dtype == LINNET_F32) {
            const float a = ((const float *)x)[i], b = ((float *)y)[i];
            ((float *)y)[i] = reduction == LN_SCATTER_ADD ? b + a : (float)scatter_float(reduction, a, b);
        } else if (type->kind == LN_KIND_FLOAT) {
            ln_set_f64(dtype, y, i, scatter_float(reduction, ln_get_f64(dtype, x, i), ln_get_f64(dtype, y, i)));
        } else {
            ln_set_i64(dtype, y, i, scatter_int(reduction, type->kind != LN_KIND_INT, ln_get_i64(dtype, x, i),
                                                ln_get_i64(dtype, y, i)));
        }
    }
}

static linnet_status scatter_check(const ln_infer *q, const char *name, const char *reduction)
{
    const ln_desc *in = &q->in[0];
    const int32_t kind = ln_dtype(in->dtype)->kind;
    const bool arithmetic = kind == LN_KIND_FLOAT || kind == LN_KIND_INT || kind == LN_KIND_UINT;

    if (ln_scatter_reduction(reduction) < 0)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "%s: there is no reduction \"%s\"", name, reduction);
    if (q->in[1].dtype != LINNET_I64 && q->in[1].dtype != LINNET_I32)
        return ln_fail_type(q->err, 1, q->in[1].dtype);
    if (q->in[2].dtype != in->dtype || ln_dtype(in->dtype)->bits % 8 ||
        (ln_scatter_reduction(reduction) > 0 && !arithmetic))
        return ln_fail_type(q->err, 2, q->in[2].dtype);
    q->out[0] = *in;
    return LINNET_OK;
}

static void scatter_copy(const ln_run *r)
{
    const size_t size = ln_count(&r->in_desc[0]) * (ln_dtype(r->in_desc[0].dtype)->bits / 8u);

    if (size && r->in[0] != r->out[0])
        memcpy(r->out[0], r->in[0], size);
}

/* ---- ScatterElements ------------------------------------------------------------------ */

typedef struct scatter_elements { int64_t axis; const char *reduction; } scatter_elements;

static linnet_status scatter_elements_infer(const ln_infer *q)
{
    const scatter_elements *p = q->param;
    const ln_desc *in = &q->in[0], *at = &q->in[1];
    int32_t axis;

    if (!ln_axis(p->axis, in->rank, &axis) || at->rank != in->rank || !ln_same_shape(at, &q->in[2]))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "ScatterElements: axis, indices and updates do not fit data of rank %d",
                       (int)in->rank);
    for (int32_t d = 0; d < in->rank; d++)
        if (d != axis && at->dim[d] > in->dim[d])
            return ln_fail(q->err, LINNET_ERR_SHAPE, "ScatterElements: more updates than data along axis %d", (int)d);
    return scatter_check(q, "ScatterElements", p->reduction);
}

static linnet_status scatter_elements_run(const ln_run *r)
{
    const scatter_elements *p = r->param;
    const ln_desc *in = &r->in_desc[0], *at = &r->in_desc[1];
    const int reduction = ln_scatter_reduction(p->reduction);
    const size_t size = ln_dtype(in->dtype)->bits / 8u, count = ln_count(at);
    const bool plain = size == 4 && reduction == 0;
    int64_t stride[LN_MAX_RANK];
    int32_t axis;

    if (!ln_axis(p->axis, in->rank, &axis))
        return LINNET_ERR_SHAPE;
    scatter_copy(r);
    ln_strides(in, stride);
    const size_t width = at->rank ? (size_t)at->dim[at->rank - 1] : 1;
    for (size_t i = 0; i < count; i += width) {
        int64_t to = 0; /* of a row: coordinates without the axis */
        size_t rest = i;
        for (int32_t d = at->rank - 1; d >= 0; d--) {
            to += (d == axis ? 0 : (int64_t)(rest % (size_t)at->dim[d])) * stride[d];
            rest /= (size_t)at->dim[d];
        }
        for (size_t c = i; c < i + width; c++, to += axis == at->rank - 1 ? 0 : stride[at->rank - 1]) {
            int64_t k = ln_get_i64(at->dtype, r->in[1], c);
            if (k < -in->dim[axis] || k >= in->dim[axis])
                return ln_fail(r->err, LINNET_ERR_DATA, "ScatterElements: index %lld is outside an axis of length %lld",
                               (long long)k, (long long)in->dim[axis]);
            k = to + (k < 0 ? k + in->dim[axis] : k) * stride[axis];
            if (plain)
                memcpy((char *)r->out[0] + (size_t)k * 4, (const char *)r->in[2] + c * 4, 4);
            else
                ln_scatter_apply(reduction, in->dtype, (const char *)r->in[2] + c * size,
                                 (char *)r->out[0] + (size_t)k * size, 1);
        }
    }
    return LINNET_OK;
}

static const ln_attr scatter_elements_attr[] = {
    { "axis", LN_ATTR_I64, offsetof(scatter_elements, axis), 0, false },
    { "reduction", LN_ATTR_STR, offsetof(scatter_elements, reduction), 0, false },
    { 0 },
};

const ln_op ln_op_scatter_elements = {
    .name = "ScatterElements", .attr = scatter_elements_attr, .param_size = sizeof(scatter_elements),
    .in_min = 3, .in_max = 3, .inplace = 1, .infer = scatter_elements_infer, .run = scatter_elements_run,
};

/* ---- ScatterND ------------------------------------------------------------------------------ */

typedef struct scatter_nd { const char *reduction; } scatter_nd;

static linnet_status scatter_nd_infer(const ln_infer *q)
{
    const scatter_nd *p = q->param;
    const ln_desc *in = &q->in[0], *at = &q->in[1], *up = &q->in[2];
    bool fits = at->rank >= 1 && at->dim[at->rank - 1] <= in->rank && q->in[1].dtype == LINNET_I64;

    if (fits) {
        const int32_t tuple = (int32_t)at->dim[at->rank - 1];
        fits = up->rank == at->rank - 1 + in->rank - tuple;
        for (int32_t d = 0; fits && d < up->rank; d++)
            fits = up->dim[d] == (d < at->rank - 1 ? at->dim[d] : in->dim[d - (at->rank - 1) + tuple]);
    }
    if (!fits)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "ScatterND: indices and updates do not fit data of rank %d",
                       (int)in->rank);
    return scatter_check(q, "ScatterND", p->reduction);
}

static linnet_status scatter_nd_run(const ln_run *r)
{
    const scatter_nd *p = r->param;
    const ln_desc *in = &r->in_desc[0], *index = &r->in_desc[1];
    const int reduction = ln_scatter_reduction(p->reduction);
    const size_t tuple = (size_t)index->dim[index->rank - 1];
    const size_t slice = ln_count_range(in, (int32_t)tuple, in->rank), size = ln_dtype(in->dtype)->bits / 8u;
    const size_t tuples = ln_count_range(index, 0, index->rank - 1);
    const int64_t *at = r->in[1];

    scatter_copy(r);
    for (size_t i = 0; i < tuples && slice && r->in[2]; i++) {
        size_t to = 0;
        for (size_t d = 0; d < tuple; d++) {
            const int64_t k = at[i * tuple + d];
            if (k < -in->dim[d] || k >= in->dim[d])
                return ln_fail(r->err, LINNET_ERR_DATA, "ScatterND: index %lld is outside an axis of length %lld",
                               (long long)k, (long long)in->dim[d]);
            to = to * (size_t)in->dim[d] + (size_t)(k < 0 ? k + in->dim[d] : k);
        }
        ln_scatter_apply(reduction, in->dtype, (const char *)r->in[2] + i * slice * size,
                         (char *)r->out[0] + to * slice * size, slice);
    }
    return LINNET_OK;
}

static const ln_attr scatter_nd_attr[] = {
    { "reduction", LN_ATTR_STR, offsetof(scatter_nd, reduction), 0, false },
    { 0 },
};

const ln_op ln_op_scatter_nd = {
    .name = "ScatterND", .attr = scatter_nd_attr, .param_size = sizeof(scatter_nd),
    .in_min = 3, .in_max = 3, .inplace = 1, .infer = scatter_nd_infer, .run = scatter_nd_run,
};
