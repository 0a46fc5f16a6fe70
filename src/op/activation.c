/*
 * activation.c - activation functions: Relu to ThresholdedRelu, and Shrink.
 *
 * All but Shrink are f32 kernels with at most two parameters, so all but Shrink fuse
 * behind matrix layers. The functions of double here serve f64.
 */
#include "map.h"

#include <float.h>
#include <math.h>

typedef struct param {
    const char *approximate;
    float       alpha, beta; /* beta is also Selu's gamma and Shrink's bias, alpha its lambd */
} param;

#define ACTIVATION_F64(name, expression)                                               \
    static double activation_##name(double x, double a, double b)                      \
    {                                                                                  \
        (void)a, (void)b;                                                              \
        return expression;                                                             \
    }

static double activation_logistic(double x)
{
    const double e = exp(-fabs(x));

    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

static double activation_unit(double x) { return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x; }
static double activation_log_1p_exp(double x) { return (x > 0.0 ? x : 0.0) + log1p(exp(-fabs(x))); }
/* x times a gate in [0, 1]; where the gate is 0 an infinite x does not make NaN. */
static double activation_gate(double x, double gate) { return gate == 0.0 && x == x ? copysign(0.0, x) : x * gate; }

ACTIVATION_F64(relu, x < 0.0 ? 0.0 : x)
ACTIVATION_F64(leaky_relu, x < 0.0 ? a * x : x)
ACTIVATION_F64(thresholded_relu, x <= a ? 0.0 : x)
ACTIVATION_F64(sigmoid, activation_logistic(x))
ACTIVATION_F64(tanh, tanh(x))
ACTIVATION_F64(hard_sigmoid, activation_unit(a * x + b))
ACTIVATION_F64(hard_swish, activation_gate(x, activation_unit(x / 6.0 + 0.5)))
ACTIVATION_F64(swish, activation_gate(x, activation_logistic(a * x)))
ACTIVATION_F64(mish, activation_gate(x, tanh(activation_log_1p_exp(x))))
ACTIVATION_F64(gelu, activation_gate(x, 0.5 * erfc(-x * 0.70710678118654752)))
ACTIVATION_F64(gelu_tanh, activation_gate(x, activation_logistic(x * (1.5957691216057308 + 0.071354816272600247 * x * x))))
ACTIVATION_F64(elu, x < 0.0 ? a * expm1(x) : x)
ACTIVATION_F64(selu, b * (x < 0.0 ? a * expm1(x) : x))
ACTIVATION_F64(celu, x < 0.0 ? a * expm1(x / a) : x)
ACTIVATION_F64(softplus, activation_log_1p_exp(x))
ACTIVATION_F64(softsign, x > DBL_MAX ? 1.0 : x < -DBL_MAX ? -1.0 : x / (1.0 + fabs(x)))
ACTIVATION_F64(shrink, x < -a ? x + b : x > a ? x - b : x != x ? x : 0.0)

static int64_t activation_relu_i64(int64_t x) { return x < 0 ? 0 : x; }

/* Spec, infer, prepare and act; a and b are what the kernel takes. */
#define ACTIVATION(id, text, types, fn, i, a, b)                                                         \
    static const ln_map_spec activation_##id##_spec = { text, types, fn, activation_##id, i, NULL };     \
    static linnet_status activation_##id##_infer(const ln_infer *q)                                      \
    {                                                                                                    \
        return ln_map_infer(q, &activation_##id##_spec);                                                 \
    }                                                                                                    \
    static linnet_status activation_##id##_prepare(ln_prepare *q)                                        \
    {                                                                                                    \
        const param *p = q->param;                                                                       \
        (void)p;                                                                                         \
        return ln_map_prepare(q, &activation_##id##_spec, a, b);                                         \
    }                                                                                                    \
    static bool activation_##id##_act(const void *params, int32_t n, const ln_desc *in,                  \
                                      const void *const *value, ln_act *out)                             \
    {                                                                                                    \
        const param *p = params;                                                                         \
        (void)p, (void)n, (void)value;                                                                   \
        return ln_map_act(&activation_##id##_spec, in, a, b, out);                                       \
    }

ACTIVATION(relu, "Relu", LN_TYPES_FLOAT | LN_TYPES_INT, LN_FN_CLIP, activation_relu_i64, 0.0f, INFINITY)
ACTIVATION(leaky_relu, "LeakyRelu", LN_TYPES_FLOAT, LN_FN_LEAKY_RELU, NULL, p->alpha, 0.0f)
ACTIVATION(thresholded_relu, "ThresholdedRelu", LN_TYPES_FLOAT, LN_FN_THRESHOLDED_RELU, NULL, p->alpha, 0.0f)
ACTIVATION(sigmoid, "Sigmoid", LN_TYPES_FLOAT, LN_FN_SIGMOID, NULL, 0.0f, 0.0f)
ACTIVATION(tanh, "Tanh", LN_TYPES_FLOAT, LN_FN_TANH, NULL, 0.0f, 0.0f)
ACTIVATION(hard_sigmoid, "HardSigmoid", LN_TYPES_FLOAT, LN_FN_HARD_SIGMOID, NULL, p->alpha, p->beta)
ACTIVATION(hard_swish, "HardSwish", LN_TYPES_FLOAT, LN_FN_HARD_SWISH, NULL, 0.0f, 0.0f)
ACTIVATION(swish, "Swish", LN_TYPES_FLOAT, LN_FN_SWISH, NULL, p->alpha, 0.0f)
ACTIVATION(mish, "Mish", LN_TYPES_FLOAT, LN_FN_MISH, NULL, 0.0f, 0.0f)
ACTIVATION(gelu, "Gelu", LN_TYPES_FLOAT, LN_FN_GELU, NULL, 0.0f, 0.0f)
ACTIVATION(gelu_tanh, "Gelu", LN_TYPES_FLOAT, LN_FN_GELU_TANH, NULL, 0.0f, 0.0f)
ACTIVATION(elu, "Elu", LN_TYPES_FLOAT, LN_FN_ELU, NULL, p->alpha, 0.0f)
ACTIVATION(selu, "Selu", LN_TYPES_FLOAT, LN_FN_SELU, NULL, p->alpha, p->beta)
ACTIVATION(celu, "Celu", LN_TYPES_FLOAT, LN_FN_CELU, NULL, p->alpha, 0.0f)
ACTIVATION(softplus, "Softplus", LN_TYPES_FLOAT, LN_FN_SOFTPLUS, NULL, 0.0f, 0.0f)
ACTIVATION(softsign, "Softsign", LN_TYPES_FLOAT, LN_FN_SOFTSIGN, NULL, 0.0f, 0.0f)
ACTIVATION(shrink, "Shrink", LN_TYPES_NUMBER, LN_FN_NONE, NULL, p->alpha, p->beta)

/* Gelu is one of two functions. */
static linnet_status activation_gelus_infer(const ln_infer *q)
{
    const param *p = q->param;

    if (!ln_is(p->approximate, "none", "none") && !ln_is(p->approximate, "none", "tanh"))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Gelu: approximate \"%s\"", p->approximate);
    return ln_is(p->approximate, "none", "tanh") ? activation_gelu_tanh_infer(q) : activation_gelu_infer(q);
}

static linnet_status activation_gelus_prepare(ln_prepare *q)
{
    const param *p = q->param;

    return ln_is(p->approximate, "none", "tanh") ? activation_gelu_tanh_prepare(q) : activation_gelu_prepare(q);
}

static bool activation_gelus_act(const void *params, int32_t n, const ln_desc *in, const void *const *value,
                                 ln_act *out)
{
    const param *p = params;

    return ln_is(p->approximate, "none", "tanh") ? activation_gelu_tanh_act(params, n, in, value, out)
                                                 : activation_gelu_act(params, n, in, value, out);
}

#define ACTIVATION_ALPHA(name, preset)                                                 \
    static const ln_attr name[] = {                                                    \
        { "alpha", LN_ATTR_F32, offsetof(param, alpha), preset, false },               \
        { 0 },                                                                         \
    }
ACTIVATION_ALPHA(activation_leaky_relu_attr, 0.01);
ACTIVATION_ALPHA(activation_alpha_attr, 1);
ACTIVATION_ALPHA(activation_quick_attr, 1.702);

static const ln_attr activation_hard_sigmoid_attr[] = {
    { "alpha", LN_ATTR_F32, offsetof(param, alpha), 0.2, false },
    { "beta", LN_ATTR_F32, offsetof(param, beta), 0.5, false },
    { 0 },
};
static const ln_attr activation_selu_attr[] = {
    { "alpha", LN_ATTR_F32, offsetof(param, alpha), 1.67326319217681884765625, false },
    { "gamma", LN_ATTR_F32, offsetof(param, beta), 1.05070102214813232421875, false },
    { 0 },
};
static const ln_attr activation_shrink_attr[] = {
    { "lambd", LN_ATTR_F32, offsetof(param, alpha), 0.5, false },
    { "bias", LN_ATTR_F32, offsetof(param, beta), 0, false },
    { 0 },
};
static const ln_attr activation_gelu_attr[] = {
    { "approximate", LN_ATTR_STR, offsetof(param, approximate), 0, false },
    { 0 },
};

#define ACTIVATION_OP(id)                                                                  \
    .param_size = sizeof(param), .state_size = sizeof(ln_map), .in_min = 1, .in_max = 1,   \
    .flags = LN_OP_ELEMENTWISE, .inplace = 1, .infer = activation_##id##_infer,            \
    .prepare = activation_##id##_prepare, .run = ln_map_run, .act = activation_##id##_act

const ln_op ln_op_relu = { .name = "Relu", ACTIVATION_OP(relu) };
const ln_op ln_op_leaky_relu = { .name = "LeakyRelu", .attr = activation_leaky_relu_attr, ACTIVATION_OP(leaky_relu) };
const ln_op ln_op_thresholded_relu = {
    .name = "ThresholdedRelu", .attr = activation_alpha_attr, ACTIVATION_OP(thresholded_relu) };
const ln_op ln_op_sigmoid = { .name = "Sigmoid", ACTIVATION_OP(sigmoid) };
const ln_op ln_op_tanh = { .name = "Tanh", ACTIVATION_OP(tanh) };
const ln_op ln_op_hard_sigmoid = {
    .name = "HardSigmoid", .attr = activation_hard_sigmoid_attr, ACTIVATION_OP(hard_sigmoid) };
const ln_op ln_op_hard_swish = { .name = "HardSwish", ACTIVATION_OP(hard_swish) };
const ln_op ln_op_swish = { .name = "Swish", .attr = activation_alpha_attr, ACTIVATION_OP(swish) };
const ln_op ln_op_quick_gelu = {
    .name = "com.microsoft.QuickGelu", .attr = activation_quick_attr, ACTIVATION_OP(swish) };
const ln_op ln_op_mish = { .name = "Mish", ACTIVATION_OP(mish) };
const ln_op ln_op_gelu = { .name = "Gelu", .attr = activation_gelu_attr, ACTIVATION_OP(gelus) };
const ln_op ln_op_elu = { .name = "Elu", .attr = activation_alpha_attr, ACTIVATION_OP(elu) };
const ln_op ln_op_selu = { .name = "Selu", .attr = activation_selu_attr, ACTIVATION_OP(selu) };
const ln_op ln_op_celu = { .name = "Celu", .attr = activation_alpha_attr, ACTIVATION_OP(celu) };
const ln_op ln_op_softplus = { .name = "Softplus", ACTIVATION_OP(softplus) };
const ln_op ln_op_softsign = { .name = "Softsign", ACTIVATION_OP(softsign) };
const ln_op ln_op_shrink = { .name = "Shrink", .attr = activation_shrink_attr, ACTIVATION_OP(shrink) };

#undef ACTIVATION_F64
#undef ACTIVATION
#undef ACTIVATION_ALPHA
#undef ACTIVATION_OP
