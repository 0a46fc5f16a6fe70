/*
 * optimisers.c - Adagrad, Adam and Momentum: one step of training, which is plain arithmetic.
 *
 * Inputs are the rate, the number of steps done, then groups of n tensors each: parameters, their
 * gradients, and what the rule remembers; outputs are the groups that change. One task per parameter tensor,
 * elements in double.
 */
#include "op.h"

#include <math.h>

typedef struct param {
    float       alpha, beta, decay_factor, epsilon, norm_coefficient, norm_coefficient_post;
    const char *mode;
} param;
typedef struct state { size_t tensors; } state;

/* v: parameter, gradient, memory; the results: parameter in v[0], memory where it was. */
typedef void (*optimiser_step)(const param *p, double rate, double t, double v[4]);

static linnet_status optimiser_infer(const ln_infer *q, int32_t groups)
{
    const int32_t n = (q->in_count - 2) / groups;

    if (ln_count(&q->in[0]) != 1 || (q->in[0].dtype != LINNET_F32 && q->in[0].dtype != LINNET_F64) ||
        ln_count(&q->in[1]) != 1 || q->in[1].dtype != LINNET_I64)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Optimiser: the rate or the count of steps is not one number");
    if (n < 1 || (q->in_count - 2) % groups || q->out_count != n * (groups - 1))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Optimiser: %d inputs and %d outputs are no groups of %d",
                       (int)q->in_count, (int)q->out_count, (int)groups);
    for (int32_t i = 2; i < q->in_count; i++) {
        const ln_desc *like = &q->in[2 + (i - 2) % n];
        if (like->dtype != LINNET_F32 && like->dtype != LINNET_F64)
            return ln_fail_type(q->err, i, like->dtype);
        if (q->in[i].dtype != like->dtype || !ln_same_shape(&q->in[i], like))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Optimiser: input %d is not like its parameter", (int)i);
    }
    for (int32_t i = 0; i < q->out_count; i++)
        q->out[i] = q->in[2 + i % n];
    return LINNET_OK;
}

static linnet_status optimiser_prepare(ln_prepare *q, int32_t groups)
{
    ((state *)q->state)->tensors = q->tasks[0] = (size_t)((q->in_count - 2) / groups);
    return LINNET_OK;
}

static linnet_status optimiser_run(const ln_run *r, size_t groups, optimiser_step step)
{
    const size_t n = ((const state *)r->state)->tensors, k = r->task, count = ln_count(&r->in_desc[2 + k]);
    const int32_t type = r->in_desc[2 + k].dtype;
    const double rate = ln_get_f64(r->in_desc[0].dtype, r->in[0], 0), t = (double)*(const int64_t *)r->in[1];

    for (size_t i = 0; i < count; i++) {
        double v[4] = { 0 };
        for (size_t g = 0; g < groups; g++)
            v[g] = ln_get_f64(type, r->in[2 + g * n + k], i);
        v[1] += (double)((const param *)r->param)->norm_coefficient * v[0];
        step(r->param, rate, t, v);
        for (size_t g = 0; g + 1 < groups; g++)
            if (r->out[g * n + k])
                ln_set_f64(type, r->out[g * n + k], i, v[g ? g + 1 : 0]);
    }
    return LINNET_OK;
}

/* ---- the rules ------------------------------------------------------------------------------ */

static void adagrad_step(const param *p, double rate, double t, double v[4])
{
    v[2] += v[1] * v[1];
    v[0] -= rate / (1 + t * (double)p->decay_factor) * v[1] / (sqrt(v[2]) + (double)p->epsilon);
}

static void adam_step(const param *p, double rate, double t, double v[4])
{
    const double a = (double)p->alpha, b = (double)p->beta;

    v[2] = a * v[2] + (1 - a) * v[1];
    v[3] = b * v[3] + (1 - b) * v[1] * v[1];
    if (t > 0)
        rate *= sqrt(1 - pow(b, t)) / (1 - pow(a, t));
    v[0] = (1 - (double)p->norm_coefficient_post) * (v[0] - rate * v[2] / (sqrt(v[3]) + (double)p->epsilon));
}

static void momentum_step(const param *p, double rate, double t, double v[4])
{
    const double a = (double)p->alpha;

    v[2] = a * v[2] + (t > 0 ? (double)p->beta : 1) * v[1];
    v[0] -= rate * (ln_is(p->mode, "standard", "nesterov") ? v[1] + a * v[2] : v[2]);
}

static linnet_status infer3(const ln_infer *q)
{
    const param *p = q->param;

    if (p->mode && !ln_is(p->mode, "", "standard") && !ln_is(p->mode, "", "nesterov"))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Momentum: mode \"%s\"", p->mode);
    return optimiser_infer(q, 3);
}
static linnet_status infer4(const ln_infer *q) { return optimiser_infer(q, 4); }
static linnet_status prepare3(ln_prepare *q) { return optimiser_prepare(q, 3); }
static linnet_status prepare4(ln_prepare *q) { return optimiser_prepare(q, 4); }
static linnet_status adagrad_run(const ln_run *r) { return optimiser_run(r, 3, adagrad_step); }
static linnet_status adam_run(const ln_run *r) { return optimiser_run(r, 4, adam_step); }
static linnet_status momentum_run(const ln_run *r) { return optimiser_run(r, 3, momentum_step); }

static const ln_attr adagrad_attr[] = {
    { "decay_factor", LN_ATTR_F32, offsetof(param, decay_factor), 0, false },
    { "epsilon", LN_ATTR_F32, offsetof(param, epsilon), 0, false },
    { "norm_coefficient", LN_ATTR_F32, offsetof(param, norm_coefficient), 0, false },
    { 0 },
};
static const ln_attr adam_attr[] = {
    { "alpha", LN_ATTR_F32, offsetof(param, alpha), 0.9, false },
    { "beta", LN_ATTR_F32, offsetof(param, beta), 0.999, false },
    { "epsilon", LN_ATTR_F32, offsetof(param, epsilon), 0, false },
    { "norm_coefficient", LN_ATTR_F32, offsetof(param, norm_coefficient), 0, false },
    { "norm_coefficient_post", LN_ATTR_F32, offsetof(param, norm_coefficient_post), 0, false },
    { 0 },
};
static const ln_attr momentum_attr[] = {
    { "alpha", LN_ATTR_F32, offsetof(param, alpha), 0, true },
    { "beta", LN_ATTR_F32, offsetof(param, beta), 0, true },
    { "mode", LN_ATTR_STR, offsetof(param, mode), 0, true },
    { "norm_coefficient", LN_ATTR_F32, offsetof(param, norm_coefficient), 0, true },
    { 0 },
};

#define OPTIMISER(onnx, attributes, infers, prepares, runs)                                                   \
    { .name = "ai.onnx.preview.training." onnx, .attr = attributes, .param_size = sizeof(param),              \
      .state_size = sizeof(state), .in_min = 5, .in_max = 255, .out_min = 2, .out_max = 255, .infer = infers, \
      .prepare = prepares, .run = runs }

const ln_op ln_op_adagrad = OPTIMISER("Adagrad", adagrad_attr, infer3, prepare3, adagrad_run);
const ln_op ln_op_adam = OPTIMISER("Adam", adam_attr, infer4, prepare4, adam_run);
const ln_op ln_op_momentum = OPTIMISER("Momentum", momentum_attr, infer3, prepare3, momentum_run);

#undef OPTIMISER
