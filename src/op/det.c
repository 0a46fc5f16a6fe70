/*
 * det.c - Det: determinants of square matrices, by elimination with row pivots, in double.
 */
#include "op.h"

#include <math.h>

static linnet_status infer(const ln_infer *q)
{
    const ln_desc *in = &q->in[0];

    if (ln_dtype(in->dtype)->kind != LN_KIND_FLOAT || ln_dtype(in->dtype)->bits < 16)
        return ln_fail_type(q->err, 0, in->dtype);
    if (in->rank < 2 || in->dim[in->rank - 1] != in->dim[in->rank - 2])
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Det: the last two axes are not square");
    q->out[0] = ln_desc_of(in->dtype, in->rank - 2, in->dim);
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const size_t n = (size_t)q->in[0].dim[q->in[0].rank - 1];
    size_t cells;

    q->tasks[0] = ln_count(&q->out[0]);
    return ln_mul(n, n, &cells) && ln_mul(cells, sizeof(double), &q->scratch) ? LINNET_OK : LINNET_ERR_LIMIT;
}

static linnet_status run(const ln_run *r)
{
    const ln_desc *in = &r->in_desc[0];
    const size_t n = (size_t)in->dim[in->rank - 1];
    double *a = r->scratch, det = 1;

    for (size_t i = 0; i < n * n; i++)
        a[i] = ln_get_f64(in->dtype, r->in[0], r->task * n * n + i);
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k + 1; i < n; i++)
            pivot = fabs(a[i * n + k]) > fabs(a[pivot * n + k]) ? i : pivot;
        if (a[pivot * n + k] == 0) {
            det = 0;
            break;
        }
        for (size_t j = 0; j < n && pivot != k; j++) {
            const double t = a[k * n + j];
            a[k * n + j] = a[pivot * n + j];
            a[pivot * n + j] = t;
        }
        det *= pivot != k ? -a[k * n + k] : a[k * n + k];
        for (size_t i = k + 1; i < n; i++) {
            const double f = a[i * n + k] / a[k * n + k];
            for (size_t j = k; j < n; j++)
                a[i * n + j] -= f * a[k * n + j];
        }
    }
    ln_set_f64(in->dtype, r->out[0], r->task, det);
    return LINNET_OK;
}

const ln_op ln_op_det = {
    .name = "Det", .in_min = 1, .in_max = 1, .infer = infer, .prepare = prepare, .run = run,
};
