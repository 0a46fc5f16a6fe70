/*
 * cum_sum.c - CumSum and CumProd along an axis, from either end, with or without the element itself.
 */
#include "op.h"

typedef struct param { int64_t exclusive, reverse; } param;
/* Of f32 along a known axis: columns of a task, and tasks of a row. */
typedef struct state { size_t n, inner, columns, per; } state;

static linnet_status infer(const ln_infer *q)
{
    const ln_desc *in = &q->in[0], *axis = &q->in[1];
    const uint8_t kind = ln_dtype(in->dtype)->kind;
    int32_t at;

    if ((kind != LN_KIND_FLOAT && kind != LN_KIND_INT && kind != LN_KIND_UINT) || ln_dtype(in->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, in->dtype);
    if (ln_count(axis) != 1 || (axis->dtype != LINNET_I64 && axis->dtype != LINNET_I32))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "CumSum: the axis is not one integer");
    if (q->value[1] && !ln_axis(ln_get_i64(axis->dtype, q->value[1], 0), in->rank, &at))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "CumSum: the axis is outside rank %d", (int)in->rank);
    q->out[0] = *in;
    return LINNET_OK;
}

/* One line of n elements, `step` apart. */
static void cum_line(const ln_run *r, bool product, size_t from, size_t step, size_t n)
{
    const param *p = r->param;
    const int32_t t = r->in_desc[0].dtype;
    double sum = product, f;
    uint64_t total = product, v;

    for (size_t k = 0; k < n; k++) {
        const size_t at = from + (p->reverse ? n - 1 - k : k) * step;
        if (t == LINNET_F32 || ln_dtype(t)->kind == LN_KIND_FLOAT) {
            f = ln_get_f64(t, r->in[0], at);
            const double next = product ? sum * f : sum + f;
            ln_set_f64(t, r->out[0], at, p->exclusive ? sum : next);
            sum = next;
        } else {
            v = (uint64_t)ln_get_i64(t, r->in[0], at);
            const uint64_t next = product ? total * v : total + v;
            ln_set_i64(t, r->out[0], at, (int64_t)(p->exclusive ? total : next));
            total = next;
        }
    }
}

static linnet_status prepare(ln_prepare *q)
{
    const ln_desc *in = &q->in[0];
    state *s = q->state;
    int32_t axis;

    q->work = (double)ln_count(in);
    if (ln_count(in) == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    if (in->dtype != LINNET_F32 || !q->value[1] || !ln_axis(ln_get_i64(q->in[1].dtype, q->value[1], 0), in->rank, &axis))
        return LINNET_OK;
    s->n = (size_t)in->dim[axis];
    s->inner = ln_count_range(in, axis + 1, in->rank);
    s->columns = LN_MIN(s->inner, LN_MAX(LN_CHUNK / s->n / 16 * 16, (size_t)64));
    s->per = ln_ceil_div(s->inner, s->columns);
    q->tasks[0] = ln_count(in) / s->n / s->inner * s->per;
    return LINNET_OK;
}

/* One line of f32, or columns side by side: slice after slice onto the one before. */
static void cum_f32(const ln_run *r, const state *s, bool product)
{
    const param *p = r->param;
    const size_t column = r->task % s->per * s->columns, w = LN_MIN(s->columns, s->inner - column);
    const size_t from = r->task / s->per * s->n * s->inner + column;
    const float *x = (const float *)r->in[0] + from;
    float *y = (float *)r->out[0] + from;
    const ln_binary_f32 join = r->kernel->binary_f32[product ? LN_BIN_MUL : LN_BIN_ADD];
    double sum = product;

    for (size_t k = 0; k < s->n && s->inner == 1; k++) {
        const size_t at = p->reverse ? s->n - 1 - k : k;
        const double next = product ? sum * (double)x[at] : sum + (double)x[at];
        y[at] = (float)(p->exclusive ? sum : next);
        sum = next;
    }
    for (size_t k = 0; k < s->n && s->inner > 1; k++) {
        const size_t at = (p->reverse ? s->n - 1 - k : k) * s->inner, before = p->reverse ? at + s->inner : at - s->inner;
        for (size_t c = 0; k == 0 && c < w; c++)
            y[at + c] = p->exclusive ? (float)product : x[at + c];
        if (k > 0)
            join(w, y + before, 1, x + (p->exclusive ? before : at), 1, y + at);
    }
}

static linnet_status cum_run(const ln_run *r, bool product)
{
    const ln_desc *in = &r->in_desc[0];
    int32_t axis;

    if (((const state *)r->state)->n) {
        cum_f32(r, r->state, product);
        return LINNET_OK;
    }
    if (!ln_axis(ln_get_i64(r->in_desc[1].dtype, r->in[1], 0), in->rank, &axis))
        return ln_fail(r->err, LINNET_ERR_DATA, "CumSum: the axis is outside rank %d", (int)in->rank);
    const size_t n = (size_t)in->dim[axis], inner = ln_count_range(in, axis + 1, in->rank), all = ln_count(in);
    for (size_t line = 0; n && line < all / n; line++)
        cum_line(r, product, line / inner * n * inner + line % inner, inner, n);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r) { return cum_run(r, false); }
static linnet_status cum_prod_run(const ln_run *r) { return cum_run(r, true); }

static const ln_attr attr[] = {
    { "exclusive", LN_ATTR_I64, offsetof(param, exclusive), 0, false },
    { "reverse", LN_ATTR_I64, offsetof(param, reverse), 0, false },
    { 0 },
};

const ln_op ln_op_cum_sum = {
    .name = "CumSum", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state), .in_min = 2,
    .in_max = 2, .infer = infer, .prepare = prepare, .run = run,
};

const ln_op ln_op_cum_prod = {
    .name = "CumProd", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state), .in_min = 2,
    .in_max = 2, .infer = infer, .prepare = prepare, .run = cum_prod_run,
};
