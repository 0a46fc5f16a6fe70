/*
 * losses.c - NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss, as validation needs them.
 *
 * For each position the weighted negative log probability of its class; then none, their sum, or the
 * mean weighted by the classes' weights. Computed in double, one task: the sum has one order.
 */
#include "op.h"

#include <math.h>

typedef struct param { const char *reduction; int64_t ignore_index; } param;
typedef struct state { bool has_weight; int32_t outs; } state;

enum { LOSS_BLOCK = 256 };
#define LOSS_IGNORES_NONE ((int64_t)1 << 40) /* ignore_index where none is given */

static int loss_reduction(const param *p)
{
    return ln_is(p->reduction, "mean", "none") ? 0 : ln_is(p->reduction, "mean", "sum") ? 1
         : ln_is(p->reduction, "mean", "mean") ? 2 : -1;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0], *target = &q->in[1];
    bool fits = x->rank >= 2 && target->rank == x->rank - 1;

    if (ln_dtype(x->dtype)->kind != LN_KIND_FLOAT || ln_dtype(x->dtype)->bits < 16)
        return ln_fail_type(q->err, 0, x->dtype);
    if (target->dtype != LINNET_I64 && target->dtype != LINNET_I32)
        return ln_fail_type(q->err, 1, target->dtype);
    for (int32_t d = 0; fits && d < target->rank; d++)
        fits = target->dim[d] == x->dim[d ? d + 1 : 0];
    if (q->in_count > 2 && q->in[2].dtype)
        fits = fits && q->in[2].dtype == x->dtype && q->in[2].rank == 1 && q->in[2].dim[0] == x->dim[1];
    if (!fits || loss_reduction(p) < 0)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Loss: target or weight does not fit the input, or no such reduction");
    q->out[0] = *target;
    q->out[0].dtype = x->dtype;
    if (loss_reduction(p) > 0)
        q->out[0] = ln_desc_of(x->dtype, 0, NULL);
    if (q->out_count > 1)
        q->out[1] = *x;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;

    s->has_weight = q->in_count > 2 && q->in[2].dtype;
    s->outs = q->out_count;
    return LINNET_OK;
}

/* The same for n neighbouring f32, exponentials by a kernel. */
static double loss_log_sum_f32(const ln_kernels *k, size_t n, const float *x)
{
    const float top = k->reduce_all_f32[LN_RED_MAX](n, x);
    float e[LOSS_BLOCK];
    double sum = 0;

    for (size_t i = 0, m; i < n; i += m) {
        m = LN_MIN(n - i, (size_t)LOSS_BLOCK);
        k->binary_f32[LN_BIN_SUB](m, x + i, 1, &top, 0, e);
        k->unary_f32[LN_FN_EXP](m, e, e, 0, 0);
        sum += (double)k->reduce_all_f32[LN_RED_SUM](m, e);
    }
    return (double)top + log(sum);
}

/* log of the sum of exponentials of one position's classes. */
static double loss_log_sum(int32_t t, const void *x, size_t from, size_t classes, size_t step)
{
    double top = -INFINITY, sum = 0;

    for (size_t c = 0; c < classes; c++)
        top = fmax(top, ln_get_f64(t, x, from + c * step));
    for (size_t c = 0; c < classes; c++)
        sum += exp(ln_get_f64(t, x, from + c * step) - top);
    return top + log(sum);
}

static linnet_status loss_run(const ln_run *r, bool softmax)
{
    const param *p = r->param;
    const state *s = r->state;
    const ln_desc *x = &r->in_desc[0];
    const int32_t t = x->dtype;
    const size_t classes = (size_t)x->dim[1], inner = ln_count_range(x, 2, x->rank), count = ln_count(&r->in_desc[1]);
    const int reduction = loss_reduction(p);
    double sum = 0, weights = 0;

    for (size_t i = 0; i < count; i++) {
        const size_t from = i / LN_MAX(inner, (size_t)1) * classes * inner + i % LN_MAX(inner, (size_t)1);
        const int64_t class = ln_get_i64(r->in_desc[1].dtype, r->in[1], i);
        const double shift = !softmax ? 0 : t == LINNET_F32 && inner == 1
                                 ? loss_log_sum_f32(r->kernel, classes, (const float *)r->in[0] + from)
                                 : loss_log_sum(t, r->in[0], from, classes, inner);
        for (size_t c = 0; softmax && s->outs > 1 && r->out[1] && c < classes; c++)
            ln_set_f64(t, r->out[1], from + c * inner, ln_get_f64(t, r->in[0], from + c * inner) - shift);
        double weight = 0, loss = 0;
        if (class != p->ignore_index) {
            if (class < 0 || class >= (int64_t)classes)
                return ln_fail(r->err, LINNET_ERR_DATA, "Loss: class %lld of %zu", (long long)class, classes);
            weight = s->has_weight ? ln_get_f64(t, r->in[2], (size_t)class) : 1;
            loss = -weight * (ln_get_f64(t, r->in[0], from + (size_t)class * inner) - shift);
        }
        if (reduction == 0 && r->out[0])
            ln_set_f64(t, r->out[0], i, loss);
        sum += loss;
        weights += weight;
    }
    if (reduction && r->out[0])
        ln_set_f64(t, r->out[0], 0, reduction == 1 ? sum : sum / weights);
    return LINNET_OK;
}

static linnet_status run(const ln_run *r) { return loss_run(r, false); }
static linnet_status loss_softmax_run(const ln_run *r) { return loss_run(r, true); }

static const ln_attr attr[] = {
    { "reduction", LN_ATTR_STR, offsetof(param, reduction), 0, false },
    { "ignore_index", LN_ATTR_I64, offsetof(param, ignore_index), (double)LOSS_IGNORES_NONE, false },
    { 0 },
};

const ln_op ln_op_negative_log_likelihood_loss = {
    .name = "NegativeLogLikelihoodLoss", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 3, .infer = infer, .prepare = prepare, .run = run,
};

const ln_op ln_op_softmax_cross_entropy_loss = {
    .name = "SoftmaxCrossEntropyLoss", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 3, .out_min = 1, .out_max = 2, .infer = infer, .prepare = prepare,
    .run = loss_softmax_run,
};

#undef LOSS_IGNORES_NONE
