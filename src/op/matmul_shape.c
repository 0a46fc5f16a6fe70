/*
 * matmul_shape.c - NumPy's matmul as shapes and strides: vectors, batches, broadcasting.
 */
#include "dense.h"

/* One operand: its matrices, and how to walk them. */
typedef struct matmul_side {
    int64_t rows, cols;     /* as multiplied */
    size_t  rs, cs, unit;   /* strides of rows, columns, matrices */
    int32_t axes;
    int64_t dim[LN_MAX_RANK];
} matmul_side;

/*
 * A vector is a row on the left and a column on the right. `batch` says that axis 0 stands
 * behind the batch axes: FusedMatMul's transBatch.
 */
static void matmul_side_of(const ln_desc *d, bool left, bool trans, bool batch, matmul_side *s)
{
    const int32_t r = d->rank;

    s->axes = r > 2 ? r - 2 : 0;
    if (r == 1) {
        s->rows = left ? 1 : d->dim[0];
        s->cols = left ? d->dim[0] : 1;
        s->rs = left ? (size_t)d->dim[0] : 1;
        s->cs = 1;
        s->unit = 0;
        return;
    }
    batch = batch && r > 2;
    s->rows = batch ? d->dim[0] : d->dim[r - 2];
    s->cols = d->dim[r - 1];
    s->cs = 1;
    for (int32_t i = 0; i < s->axes; i++)
        s->dim[i] = d->dim[batch ? i + 1 : i];
    s->unit = batch ? (size_t)s->cols : ln_count_range(d, r - 2, r);
    s->rs = batch ? ln_count_range(d, 1, r) : (size_t)s->cols;
    if (trans) {
        const int64_t rows = s->rows;
        s->rows = s->cols;
        s->cols = rows;
        s->cs = s->rs;
        s->rs = 1;
    }
}

bool ln_matmul_shape(const ln_desc *a, const ln_desc *b, const ln_matmul_form *form, ln_desc *out)
{
    ln_desc batch_a, batch_b;
    matmul_side sa, sb;

    if (a->rank < 1 || b->rank < 1)
        return false;
    matmul_side_of(a, true, form->trans_a, form->batch_a, &sa);
    matmul_side_of(b, false, form->trans_b, form->batch_b, &sb);
    batch_a = ln_desc_of(a->dtype, sa.axes, sa.dim);
    batch_b = ln_desc_of(a->dtype, sb.axes, sb.dim);
    if (sa.cols != sb.rows || !ln_broadcast(&batch_a, &batch_b, out))
        return false;
    if (a->rank > 1)
        out->dim[out->rank++] = sa.rows;
    if (b->rank > 1)
        out->dim[out->rank++] = sb.cols;
    return true;
}

/* Strides of a side's matrices along the axes of the common batch; 0 where it repeats. */
static void matmul_batch_strides(const matmul_side *s, const ln_product *p, size_t *stride)
{
    size_t step = 1;

    for (int32_t i = p->axes - 1; i >= 0; i--) {
        const int32_t own = i - (p->axes - s->axes);
        const size_t dim = own < 0 ? 1 : (size_t)s->dim[own];

        stride[i] = dim == 1 ? 0 : step;
        step *= dim;
    }
}

void ln_matmul_layout(const ln_desc *a, const ln_desc *b, const ln_matmul_form *form, const ln_desc *out,
                      ln_product *p)
{
    matmul_side sa, sb;

    matmul_side_of(a, true, form->trans_a, form->batch_a, &sa);
    matmul_side_of(b, false, form->trans_b, form->batch_b, &sb);
    p->dtype = a->dtype;
    p->m = (size_t)sa.rows;
    p->k = (size_t)sa.cols;
    p->n = (size_t)sb.cols;
    p->a_rs = sa.rs;
    p->a_cs = sa.cs;
    p->a_unit = sa.unit;
    p->b_rs = sb.rs;
    p->b_cs = sb.cs;
    p->b_unit = sb.unit;
    p->axes = LN_MAX(sa.axes, sb.axes);
    p->batch = 1;
    for (int32_t i = 0; i < p->axes; i++) {
        p->dim[i] = (size_t)out->dim[i];
        p->batch *= p->dim[i];
    }
    matmul_batch_strides(&sa, p, p->a_stride);
    matmul_batch_strides(&sb, p, p->b_stride);
    p->bias = p->c = p->residual = -1;
    p->alpha = p->beta = 1.0f;
}
