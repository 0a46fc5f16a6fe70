/*
 * recurrent_act.c - the activations of RNN, LSTM and GRU: found by name, and applied to gates.
 */
#include "recurrent.h"

typedef struct recurrent_fn {
    const char *name;
    int32_t     fn;
    bool        alpha, beta; /* takes them from the lists */
    float       a, b;        /* ONNX's defaults */
} recurrent_fn;

static const recurrent_fn recurrent_fns[] = {
    { "sigmoid", LN_FN_SIGMOID, false, false, 0, 0 },
    { "tanh", LN_FN_TANH, false, false, 0, 0 },
    { "relu", LN_FN_CLIP, false, false, 0, (float)INFINITY },
    { "affine", LN_FN_AFFINE, true, true, 1, 0 },
    { "leakyrelu", LN_FN_LEAKY_RELU, true, false, 0.01f, 0 },
    { "thresholdedrelu", LN_FN_THRESHOLDED_RELU, true, false, 1, 0 },
    { "scaledtanh", LN_FN_NONE, true, true, 1, 1 }, /* a * tanh(b * x) */
    { "hardsigmoid", LN_FN_HARD_SIGMOID, true, true, 0.2f, 0.5f },
    { "elu", LN_FN_ELU, true, false, 1, 0 },
    { "softsign", LN_FN_SOFTSIGN, false, false, 0, 0 },
    { "softplus", LN_FN_SOFTPLUS, false, false, 0, 0 },
};

static const recurrent_fn *recurrent_find(const char *name)
{
    for (size_t i = 0; i < LN_COUNT(recurrent_fns); i++) {
        const char *a = recurrent_fns[i].name, *b = name;

        while (*a && (*b >= 'A' && *b <= 'Z' ? *b - 'A' + 'a' : *b) == *a)
            a++, b++;
        if (!*a && !*b)
            return &recurrent_fns[i];
    }
    return NULL;
}

bool ln_recurrent_acts(const ln_recurrent_param *p, const ln_recurrent_kind *kind, size_t dirs,
                       ln_recurrent_act out[2][3])
{
    size_t alpha = 0, beta = 0;

    for (size_t i = 0; i < dirs * kind->acts; i++) {
        const char *name = p->activations.count ? p->activations.v[i] : kind->presets[i % kind->acts];
        const recurrent_fn *f = recurrent_find(name);
        ln_recurrent_act *act = &out[i / kind->acts][i % kind->acts];

        if (!f)
            return false;
        const float a = f->alpha && alpha < p->alpha.count ? p->alpha.v[alpha++] : f->a;
        const float b = f->beta && beta < p->beta.count ? p->beta.v[beta++] : f->b;
        act->fn.fn = f->fn;
        act->fn.a = a;
        act->fn.b = b;
        act->pre = act->post = 1.0f;
        if (f->fn == LN_FN_NONE) {
            act->fn.fn = LN_FN_TANH;
            act->pre = b;
            act->post = a;
        }
    }
    return true;
}

void ln_recurrent_act_f32(const ln_recurrent_block *b, size_t which, size_t n, float *y)
{
    const ln_kernels *kernel = b->run->kernel;
    const ln_recurrent_act *act = &b->s->act[b->dir][which];
    const float clip = b->s->clip;

    if (clip < INFINITY)
        kernel->unary_f32[LN_FN_CLIP](n, y, y, -clip, clip);
    if (act->pre != 1.0f)
        kernel->unary_f32[LN_FN_AFFINE](n, y, y, act->pre, 0.0f);
    kernel->unary_f32[act->fn.fn](n, y, y, act->fn.a, act->fn.b);
    if (act->post != 1.0f)
        kernel->unary_f32[LN_FN_AFFINE](n, y, y, act->post, 0.0f);
}

double ln_recurrent_act_f64(const ln_recurrent_wide *w, size_t which, double x)
{
    const ln_recurrent_act *act = &w->s->act[w->dir][which];
    const double a = act->fn.a, b = act->fn.b, clip = w->s->clip;

    x = x > clip ? clip : x < -clip ? -clip : x;
    switch (act->fn.fn) {
    case LN_FN_SIGMOID:          return 1.0 / (1.0 + exp(-x));
    case LN_FN_TANH:             return (double)act->post * tanh((double)act->pre * x);
    case LN_FN_CLIP:             return x < 0.0 ? 0.0 : x;
    case LN_FN_AFFINE:           return a * x + b;
    case LN_FN_LEAKY_RELU:       return x < 0.0 ? a * x : x;
    case LN_FN_THRESHOLDED_RELU: return x > a ? x : 0.0;
    case LN_FN_HARD_SIGMOID:     x = a * x + b; return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x;
    case LN_FN_ELU:              return x < 0.0 ? a * expm1(x) : x;
    case LN_FN_SOFTSIGN:         return x / (1.0 + fabs(x));
    default:                     return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x));
    }
}

bool ln_recurrent_plain(const ln_prepare *q, const ln_recurrent_kind *kind)
{
    const ln_recurrent_param *p = q->param;
    const size_t count = p->activations.count;
    ln_recurrent_act preset[2][3], given[2][3];
    const ln_recurrent_param none = { .clip = INFINITY };

    memset(preset, 0, sizeof preset);
    memset(given, 0, sizeof given);
    return p->clip == INFINITY && (!count || (ln_recurrent_acts(&none, kind, ln_recurrent_dirs(p), preset)
                                              && ln_recurrent_acts(p, kind, ln_recurrent_dirs(p), given)
                                              && memcmp(preset, given, sizeof given) == 0));
}
