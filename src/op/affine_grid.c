/*
 * affine_grid.c - AffineGrid: places for GridSample out of affine maps, for images and volumes.
 */
#include "op.h"

typedef struct param { int64_t align_corners; } param;
typedef struct state { size_t rows; } state; /* pixels of a task */

static linnet_status infer(const ln_infer *q)
{
    const ln_desc *t = &q->in[0], *size = &q->in[1];

    if (t->dtype != LINNET_F32 && t->dtype != LINNET_F64 && t->dtype != LINNET_F16 && t->dtype != LINNET_BF16)
        return ln_fail_type(q->err, 0, t->dtype);
    if (size->dtype != LINNET_I64)
        return ln_fail_type(q->err, 1, size->dtype);
    const int64_t axes = size->rank == 1 ? size->dim[0] - 2 : 0;
    if (axes < 2 || axes > 3 || t->rank != 3 || t->dim[1] != axes || t->dim[2] != axes + 1)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "AffineGrid: theta must be N x 2 x 3 with a size of 4 numbers, "
                       "or N x 3 x 4 with 5");
    if (!q->value[1])
        return LN_WAIT;
    ln_desc d = { t->dtype, (int32_t)axes + 2, { t->dim[0] } };
    if (ln_get_i64(LINNET_I64, q->value[1], 0) != t->dim[0])
        return ln_fail(q->err, LINNET_ERR_SHAPE, "AffineGrid: size is not of %lld images", (long long)t->dim[0]);
    for (int32_t i = 0; i < axes; i++) {
        d.dim[i + 1] = ln_get_i64(LINNET_I64, q->value[1], (size_t)i + 2);
        if (d.dim[i + 1] < 0)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "AffineGrid: a size of %lld", (long long)d.dim[i + 1]);
    }
    d.dim[axes + 1] = axes;
    q->out[0] = d;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const size_t count = ln_count(&q->out[0]);
    state *s = q->state;

    s->rows = LN_CHUNK / 8;
    q->work = 4.0 * (double)count;
    q->tasks[0] = count ? ln_ceil_div(count / (size_t)(q->out[0].rank - 2), s->rows) : 0;
    return LINNET_OK;
}

/* Coordinate `at` of `dim` pixels in [-1, 1]. */
static double affine_at(size_t at, size_t dim, bool corners)
{
    if (corners)
        return dim > 1 ? -1.0 + 2.0 * (double)at / (double)(dim - 1) : -1.0;
    return -1.0 + (2.0 * (double)at + 1.0) / (double)dim;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const ln_desc *d = &r->out_desc[0];
    const size_t axes = (size_t)d->rank - 2, all = ln_count(d) / axes;
    const size_t from = r->task * s->rows, end = LN_MIN(from + s->rows, all);

    for (size_t i = from; i < end; i++) {
        double x[3];
        size_t left = i;

        for (size_t a = axes; a-- > 0;) { /* x first: the last axis */
            const size_t dim = (size_t)d->dim[a + 1];
            x[axes - 1 - a] = affine_at(left % dim, dim, p->align_corners != 0);
            left /= dim;
        }
        for (size_t row = 0; row < axes; row++) {
            const size_t t = (left * axes + row) * (axes + 1);
            double sum = ln_get_f64(d->dtype, r->in[0], t + axes);
            for (size_t a = 0; a < axes; a++)
                sum += ln_get_f64(d->dtype, r->in[0], t + a) * x[a];
            ln_set_f64(d->dtype, r->out[0], i * axes + row, sum);
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "align_corners", LN_ATTR_I64, offsetof(param, align_corners), 0, false },
    { 0 },
};

const ln_op ln_op_affine_grid = {
    .name = "AffineGrid", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 2,
    .infer = infer, .prepare = prepare, .run = run,
};
