/*
 * act.c - the elementwise functions against double formulas, special values, bits in place.
 *
 * Accuracy over all floats is the business of ulp.c; here are parameters, sizes, tails and the
 * values where formulas break.
 */
#include "check.h"

static double unit_of(double x) { return fmin(fmax(x, 0.0), 1.0); }
static double sigmoid_of(double x) { return 1.0 / (1.0 + exp(-x)); }

/* x times something that goes to zero faster than x grows. */
static double gate_of(double x, double t) { return x == -INFINITY ? -0.0 : x * t; }

static double act_below(double x, double a, double e) { return x < 0.0 ? a * expm1(e) : x; }

static double act_want(int fn, double x, double a, double b)
{
    if (isnan(x))
        return x;
    switch (fn) {
    case LN_FN_CLIP:             return fmin(fmax(x, a), b);
    case LN_FN_LEAKY_RELU:       return x < 0.0 ? a * x : x;
    case LN_FN_SIGMOID:          return sigmoid_of(x);
    case LN_FN_TANH:             return tanh(x);
    case LN_FN_HARD_SIGMOID:     return unit_of(a * x + b);
    case LN_FN_HARD_SWISH:       return gate_of(x, unit_of(x / 6.0 + 0.5));
    case LN_FN_SWISH:            return gate_of(x, sigmoid_of(a * x));
    case LN_FN_MISH:             return x > 40.0 ? x : gate_of(x, tanh(log1p(exp(x))));
    case LN_FN_GELU:             return gate_of(x, 0.5 * erfc(-x * 0.70710678118654752440));
    case LN_FN_GELU_TANH:
        return gate_of(x, sigmoid_of(1.5957691216057308 * (x + 0.044715 * x * x * x)));
    case LN_FN_ELU:              return act_below(x, a, x);
    case LN_FN_SELU:             return b * act_below(x, a, x);
    case LN_FN_CELU:             return act_below(x, a, x / a);
    case LN_FN_SOFTPLUS:         return x > 40.0 ? x : log1p(exp(x));
    case LN_FN_SOFTSIGN:         return isinf(x) ? copysign(1.0, x) : x / (1.0 + fabs(x));
    case LN_FN_THRESHOLDED_RELU: return x > a ? x : 0.0;
    case LN_FN_ABS:              return fabs(x);
    case LN_FN_NEG:              return -x;
    case LN_FN_SQRT:             return sqrt(x);
    case LN_FN_RSQRT:            return 1.0 / sqrt(x);
    case LN_FN_RECIPROCAL:       return 1.0 / x;
    case LN_FN_SQUARE:           return x * x;
    case LN_FN_EXP:              return exp(x);
    case LN_FN_LOG:              return log(x);
    case LN_FN_ERF:              return erf(x);
    case LN_FN_SIN:              return sin(x);
    case LN_FN_COS:              return cos(x);
    case LN_FN_FLOOR:            return floor(x);
    case LN_FN_CEIL:             return ceil(x);
    case LN_FN_ROUND:            return nearbyint(x);
    case LN_FN_SIGN:             return x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : x;
    case LN_FN_AFFINE:           return a * x + b;
    default:                     return x;
    }
}

/* Parameters to try: those of the ONNX operators, and odd ones. `ulp`: of the result; where an
   intermediate value can cancel, `extra` times 2^-24 is added. 0 ulp: the same value.
   A zero has the sign it should where ulp is 0 or x is a zero. */
static const struct act_row { const char *name; int fn; float a, b; double ulp, extra; } rows[] = {
    { "none", LN_FN_NONE, 0, 0, 0, 0 },
    { "clip", LN_FN_CLIP, 0.0f, INFINITY, 0, 0 },
    { "clip", LN_FN_CLIP, -1.5f, 6.0f, 0, 0 },
    { "leaky_relu", LN_FN_LEAKY_RELU, 0.01f, 0, 0.5, 0 },
    { "sigmoid", LN_FN_SIGMOID, 0, 0, 2, 0 },
    { "tanh", LN_FN_TANH, 0, 0, 2, 0 },
    { "hard_sigmoid", LN_FN_HARD_SIGMOID, 0.2f, 0.5f, 1, 4 },
    { "hard_swish", LN_FN_HARD_SWISH, 0, 0, 3, 8 },
    { "swish", LN_FN_SWISH, 1.0f, 0, 4, 0 },
    { "swish", LN_FN_SWISH, 1.702f, 0, 64, 0 }, /* the rounding of a * x, up to 88 */
    { "mish", LN_FN_MISH, 0, 0, 5, 0 },
    { "gelu", LN_FN_GELU, 0, 0, 3, 0 },
    { "gelu_tanh", LN_FN_GELU_TANH, 0, 0, 200, 0 },
    { "elu", LN_FN_ELU, 1.0f, 0, 2, 0 },
    { "elu", LN_FN_ELU, -0.5f, 0, 2.5, 0 },
    { "selu", LN_FN_SELU, 1.67326319f, 1.05070102f, 4, 0 },
    { "celu", LN_FN_CELU, 1.0f, 0, 2, 0 },
    { "celu", LN_FN_CELU, 2.5f, 0, 4, 0 },
    { "softplus", LN_FN_SOFTPLUS, 0, 0, 3, 0 },
    { "softsign", LN_FN_SOFTSIGN, 0, 0, 1.5, 0 },
    { "thresholded_relu", LN_FN_THRESHOLDED_RELU, 0.75f, 0, 0, 0 },
    { "abs", LN_FN_ABS, 0, 0, 0, 0 },
    { "neg", LN_FN_NEG, 0, 0, 0, 0 },
    { "sqrt", LN_FN_SQRT, 0, 0, 0.5, 0 },
    { "rsqrt", LN_FN_RSQRT, 0, 0, 1.5, 0 },
    { "reciprocal", LN_FN_RECIPROCAL, 0, 0, 0.5, 0 },
    { "square", LN_FN_SQUARE, 0, 0, 0.5, 0 },
    { "exp", LN_FN_EXP, 0, 0, 1, 0 },
    { "log", LN_FN_LOG, 0, 0, 1.5, 0 },
    { "erf", LN_FN_ERF, 0, 0, 3, 0 },
    { "sin", LN_FN_SIN, 0, 0, 2, 0 },
    { "cos", LN_FN_COS, 0, 0, 2, 0 },
    { "floor", LN_FN_FLOOR, 0, 0, 0, 0 },
    { "ceil", LN_FN_CEIL, 0, 0, 0, 0 },
    { "round", LN_FN_ROUND, 0, 0, 0, 0 },
    { "sign", LN_FN_SIGN, 0, 0, 0, 0 },
    { "affine", LN_FN_AFFINE, -1.25f, 0.5f, 1, 4 },
};

static const float special[] = {
    0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1.0f, -1.0f, 0.5f, -0.5f, 1.5f, -1.5f, 2.5f, -2.5f,
    0.49999997f, -0.49999997f, 8388607.5f, -8388607.5f, 8388609.0f, 1e9f, -1e9f, 3e9f, -3e9f,
    FLT_MAX, -FLT_MAX, FLT_MIN, -FLT_MIN, 0x1p-149f, -0x1p-149f, 0x1.fffffep-127f, 1e-20f,
    88.72283f, 88.72284f, -87.33655f, -103.97208f, -103.97209f, 104.0f, -200.0f, 9.0f, -9.0f,
    3.92f, -13.5f, -14.2f, 20.0f, 0.625f, 0.92f, 3.14159274f, -6.28318548f, 99999.9f, 1e6f, 1e20f,
    3.0f, -3.0f, 6.0f, 0.70710677f, 0.70710678f, 0.99999994f, 1.0000001f, -0.171875f, -2.578125f,
    -4.984375f, -5.15625f, -5.3125f, -5.312501f, -5.45f, 5.49f, 5.51f,
};

static void act_compare(const struct act_row *r, size_t n, const float *x, const float *y)
{
    double *want = check_want(n), *bound = check_want(n);

    for (size_t i = 0; i < n; i++) {
        const double w = act_want(r->fn, (double)x[i], (double)r->a, (double)r->b);
        const double size = fabs(w) < (double)FLT_MIN ? (double)FLT_MIN : fabs(w);
        const double unit = ldexp(1.0, ilogb(isfinite(size) ? size : 1.0) - 23);

        want[i]  = w;
        bound[i] = r->ulp * unit + r->extra * 0x1p-24 * (1.0 + (isfinite(x[i]) ? fabs(w) : 0.0));
    }
    check_bound(y, want, bound, n);
    for (size_t i = 0; i < n; i++)
        check_ok(want[i] != 0.0 || (r->ulp != 0.0 && x[i] != 0.0f) || r->fn == LN_FN_CLIP ||
                     !signbit(want[i]) == !signbit(y[i]),
                 "a zero of the wrong sign");
}

static void act_sizes(const struct act_row *r)
{
    static const size_t size[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 129, 1000 };
    static const float wide[] = { 0.01f, 1.0f, 4.0f, 20.0f, 110.0f, 1e5f, 1e38f };

    for (size_t s = 0; s < CHECK_COUNT(size); s++)
        for (size_t w = 0; w < CHECK_COUNT(wide); w += size[s] > 40 ? 1 : 3) {
            const size_t n = check_size(size[s]);
            float *x = check_buf(n), *y = check_buf(n);

            check_fill(x, n, -wide[w], wide[w]);
            check_now.unary_f32[r->fn](n, x, y, r->a, r->b);
            act_compare(r, n, x, y);
            float *z = check_buf(n);
            memcpy(z, x, n * sizeof *z);
            check_now.unary_f32[r->fn](n, z, z, r->a, r->b);
            check_same(z, y, n * sizeof *z);
        }
}

/* Each special value at each place of a vector: the answer does not depend on the neighbours. */
static void act_special(const struct act_row *r)
{
    const size_t n = CHECK_COUNT(special);

    check_case("special values, a=%g b=%g", (double)r->a, (double)r->b);
    float *x = check_buf(n), *y = check_buf(n), *one = check_buf(1), *got = check_buf(1);
    memcpy(x, special, sizeof special);
    check_now.unary_f32[r->fn](n, x, y, r->a, r->b);
    act_compare(r, n, x, y);
    for (size_t i = 0; i < n; i++) {
        *one = special[i];
        check_now.unary_f32[r->fn](1, one, got, r->a, r->b);
        check_ok(isnan(*got) ? isnan(y[i]) : memcmp(got, y + i, sizeof *got) == 0,
                 "alone and among others give different bits");
    }
}

typedef struct act_time { ln_unary_f32 run; size_t n; float *x, *y, a, b; } act_time;

static void act_call(void *arg)
{
    act_time *t = arg;
    t->run(t->n, t->x, t->y, t->a, t->b);
}

static void act_bench(const struct act_row *r)
{
    act_time t = { check_now.unary_f32[r->fn], 16384, NULL, NULL, r->a, r->b };

    check_size(t.n);
    t.x = check_buf(t.n);
    t.y = check_buf(t.n);
    check_fill(t.x, t.n, 0.1f, 8.0f);
    check_bench("16384", 8.0 * (double)t.n, "GB/s", act_call, &t);
}

void check_act(void)
{
    for (size_t i = 0; i < CHECK_COUNT(rows); i++) {
        if (!check_begin(rows[i].name, CHECK_ENTRY(unary_f32[rows[i].fn])))
            continue;
        if (check_benching()) {
            act_bench(&rows[i]);
            continue;
        }
        act_sizes(&rows[i]);
        act_special(&rows[i]);
    }
}
