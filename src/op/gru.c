/*
 * gru.c - GRU. Gates in the order z (update), r (reset), h (candidate).
 *
 * linear_before_reset decides whether the candidate's H R is multiplied by r after the matrix
 * product (one product for all gates, as Keras and PyTorch do) or before it (the candidate's part
 * of R waits until r is known).
 */
#include "recurrent.h"

typedef ln_recurrent_param param;
typedef ln_recurrent state;

/* h = (1 - z) * candidate + z * h; destroys the candidate and z. */
static void gru_blend(const ln_kernels *kernel, size_t n, float *candidate, float *z, float *h)
{
    kernel->binary_f32[LN_BIN_SUB](n, h, 1, candidate, 1, h);
    kernel->binary_f32[LN_BIN_MUL](n, h, 1, z, 1, h);
    kernel->binary_f32[LN_BIN_ADD](n, h, 1, candidate, 1, h);
}

static void gru_reset_after(ln_recurrent_block *b, const float *xw, size_t ldx)
{
    const ln_kernels *kernel = b->run->kernel;
    const size_t h = b->s->hidden;

    ln_recurrent_multiply(b, 0, b->h, b->gate, NULL, 0);
    for (size_t i = 0; i < b->rows; i++) {
        float *g = b->gate + i * 3 * h;
        const float *x = xw + i * ldx;

        if (!b->active[i])
            continue;
        kernel->binary_f32[LN_BIN_ADD](2 * h, g, 1, x, 1, g);
        ln_recurrent_act_f32(b, 0, 2 * h, g);
        kernel->binary_f32[LN_BIN_MUL](h, g + 2 * h, 1, g + h, 1, g + 2 * h);
        kernel->binary_f32[LN_BIN_ADD](h, g + 2 * h, 1, x + 2 * h, 1, g + 2 * h);
        ln_recurrent_act_f32(b, 1, h, g + 2 * h);
        gru_blend(kernel, h, g + 2 * h, g, b->h + i * h);
    }
}

static void gru_reset_before(ln_recurrent_block *b, const float *xw, size_t ldx)
{
    const ln_kernels *kernel = b->run->kernel;
    const size_t h = b->s->hidden;

    ln_recurrent_multiply(b, 0, b->h, b->gate, xw, ldx);
    for (size_t i = 0; i < b->rows; i++) {
        float *g = b->gate + i * 3 * h;

        ln_recurrent_act_f32(b, 0, 2 * h, g);
        kernel->binary_f32[LN_BIN_MUL](h, g + h, 1, b->h + i * h, 1, b->more + i * h);
    }
    ln_recurrent_multiply(b, 1, b->more, b->gate, xw, ldx);
    for (size_t i = 0; i < b->rows; i++) {
        float *g = b->gate + i * 3 * h;

        if (!b->active[i])
            continue;
        ln_recurrent_act_f32(b, 1, h, g + 2 * h);
        gru_blend(kernel, h, g + 2 * h, g, b->h + i * h);
    }
}

static void gru_cell(ln_recurrent_block *b, const float *xw, size_t ldx)
{
    if (b->s->parts == 1)
        gru_reset_after(b, xw, ldx);
    else
        gru_reset_before(b, xw, ldx);
}

static void gru_wide(ln_recurrent_wide *w)
{
    const param *p = w->run->param;
    const size_t n = w->s->hidden;
    double *x = w->x, *hr = w->hr;
    const bool after = p->linear_before_reset != 0;

    ln_recurrent_sum_f64(w, w->h, 0, after ? 3 : 2);
    for (size_t j = 0; j < 2 * n; j++)
        x[j] = ln_recurrent_act_f64(w, 0, x[j] + hr[j]);
    if (!after) {
        for (size_t j = 0; j < n; j++)
            w->more[j] = x[n + j] * w->h[j];
        ln_recurrent_sum_f64(w, w->more, 2, 3);
    }
    for (size_t j = 0; j < n; j++) {
        const double r = after ? x[n + j] : 1.0;
        const double candidate = ln_recurrent_act_f64(w, 1, x[2 * n + j] + r * hr[2 * n + j]);
        w->h[j] = (1.0 - x[j]) * candidate + x[j] * w->h[j];
    }
}

static ln_cell_fn gru_fused(const ln_prepare *q);

static const ln_recurrent_kind gru_kind = {
    "GRU", 3, 2, { "Sigmoid", "Tanh", NULL }, 1, gru_cell, gru_wide, gru_fused
};

static ln_cell_fn gru_fused(const ln_prepare *q)
{
    const param *p = q->param;

    return p->linear_before_reset && ln_recurrent_plain(q, &gru_kind)
               ? ln_recurrent_half(q) ? q->kernel->gru_bf16 : q->kernel->gru_f32 : NULL;
}

static linnet_status infer(const ln_infer *q)
{
    return ln_recurrent_infer(q, &gru_kind);
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;

    return ln_recurrent_prepare(q, &gru_kind, p->linear_before_reset ? 0 : 1);
}

static const ln_attr attr[] = {
    LN_RECURRENT_ATTRS,
    { "linear_before_reset", LN_ATTR_I64, offsetof(param, linear_before_reset), 0, false },
    { 0 },
};

const ln_op ln_op_gru = {
    .name = "GRU", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 6, .out_min = 1, .out_max = 2, .loose = 1u << 1 | 1u << 2,
    .infer = infer, .prepare = prepare, .run = ln_recurrent_run,
};
