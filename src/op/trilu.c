/*
 * trilu.c - Trilu: the upper or lower triangle of each matrix, zeros elsewhere.
 */
#include "op.h"

typedef struct param { int64_t upper; } param;
typedef struct state { bool has_k; } state;

static linnet_status infer(const ln_infer *q)
{
    if (q->in[0].rank < 2)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Trilu: rank %d", (int)q->in[0].rank);
    if (q->in_count > 1 && q->in[1].dtype && (q->in[1].dtype != LINNET_I64 || ln_count(&q->in[1]) != 1))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Trilu: k is not one i64");
    if (ln_dtype(q->in[0].dtype)->bits % 8 || ln_dtype(q->in[0].dtype)->kind == LN_KIND_STRING)
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    q->out[0] = q->in[0];
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const ln_desc *d = &q->in[0];

    ((state *)q->state)->has_k = q->in_count > 1 && q->in[1].dtype;
    q->tasks[0] = ln_count(d) ? ln_count_range(d, 0, d->rank - 2) : 0; /* matrices */
    q->work = (double)ln_count(d);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const ln_desc *d = &r->in_desc[0];
    const int64_t rows = d->dim[d->rank - 2], cols = d->dim[d->rank - 1];
    const int64_t given = ((const state *)r->state)->has_k ? *(const int64_t *)r->in[1] : 0;
    const int64_t k = given < -rows ? -rows : given > cols ? cols : given;
    const size_t size = ln_dtype(d->dtype)->bits / 8u, matrix = r->task * (size_t)rows * (size_t)cols * size;
    const char *x = (const char *)r->in[0] + matrix;
    char *y = (char *)r->out[0] + matrix;

    for (int64_t i = 0; i < rows; i++) {
        const int64_t edge = LN_MAX(0, LN_MIN(cols, p->upper ? i + k : i + k + 1)); /* columns of the lower part */
        const size_t left = (size_t)edge * size, row = (size_t)(i * cols) * size, all = (size_t)cols * size;
        if (p->upper) {
            memmove(y + row + left, x + row + left, all - left);
            memset(y + row, 0, left);
        } else {
            memmove(y + row, x + row, left);
            memset(y + row + left, 0, all - left);
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "upper", LN_ATTR_I64, offsetof(param, upper), 1, false },
    { 0 },
};

const ln_op ln_op_trilu = {
    .name = "Trilu", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 2, .inplace = 1,
    .infer = infer, .prepare = prepare, .run = run,
};
