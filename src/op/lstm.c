/*
 * lstm.c - LSTM. Gates in the order i (input), o (output), f (forget), c (cell).
 *
 * Without peepholes i, o and f lie side by side and take one call of their activation. With
 * them (P, in the order i, o, f) i and f see the old cell state and o the new one.
 */
#include "recurrent.h"

typedef ln_recurrent_param param;
typedef ln_recurrent state;

/* gate += P * c */
static void lstm_peep(const ln_recurrent_block *b, const float *p, const float *c, float *gate)
{
    const ln_kernels *kernel = b->run->kernel;
    const size_t n = b->s->hidden;

    kernel->binary_f32[LN_BIN_MUL](n, p, 1, c, 1, b->more);
    kernel->binary_f32[LN_BIN_ADD](n, gate, 1, b->more, 1, gate);
}

/* One row: the gates g become new c and h. */
static void lstm_row(const ln_recurrent_block *b, const float *peep, bool forget, float *g, float *c, float *h)
{
    const ln_kernels *kernel = b->run->kernel;
    const size_t n = b->s->hidden;
    float *gi = g, *go = g + n, *gf = g + 2 * n, *gc = g + 3 * n;

    if (peep) {
        lstm_peep(b, peep, c, gi);
        lstm_peep(b, peep + 2 * n, c, gf);
        ln_recurrent_act_f32(b, 0, n, gi);
        ln_recurrent_act_f32(b, 0, n, gf);
    } else {
        ln_recurrent_act_f32(b, 0, 3 * n, g);
    }
    if (forget)
        kernel->unary_f32[LN_FN_AFFINE](n, gi, gf, -1.0f, 1.0f);
    ln_recurrent_act_f32(b, 1, n, gc);
    kernel->binary_f32[LN_BIN_MUL](n, gi, 1, gc, 1, gc);
    kernel->binary_f32[LN_BIN_MUL](n, gf, 1, c, 1, c);
    kernel->binary_f32[LN_BIN_ADD](n, c, 1, gc, 1, c);
    if (peep) {
        lstm_peep(b, peep + n, c, go);
        ln_recurrent_act_f32(b, 0, n, go);
    }
    memcpy(h, c, n * sizeof *h);
    ln_recurrent_act_f32(b, 2, n, h);
    kernel->binary_f32[LN_BIN_MUL](n, h, 1, go, 1, h);
}

static void lstm_cell(ln_recurrent_block *b, const float *xw, size_t ldx)
{
    const param *p = b->run->param;
    const size_t n = b->s->hidden;
    const float *peep = b->s->in_count > 7 ? b->run->in[7] : NULL;

    ln_recurrent_multiply(b, 0, b->h, b->gate, xw, ldx);
    if (peep)
        peep += b->dir * 3 * n;
    for (size_t i = 0; i < b->rows; i++)
        if (b->active[i])
            lstm_row(b, peep, p->input_forget != 0, b->gate + i * 4 * n, b->c + i * n, b->h + i * n);
}

static void lstm_wide(ln_recurrent_wide *w)
{
    const param *p = w->run->param;
    const size_t n = w->s->hidden;
    const void *peep = w->s->in_count > 7 ? w->run->in[7] : NULL;

    ln_recurrent_sum_f64(w, w->h, 0, 4);
    for (size_t j = 0; j < 4 * n; j++)
        w->x[j] += w->hr[j];
    for (size_t j = 0; j < n; j++) {
        double seen[3] = { 0, 0, 0 };

        for (size_t k = 0; peep && k < 3; k++)
            seen[k] = ln_get_f64(w->s->dtype, peep, (w->dir * 3 + k) * n + j);
        const double gi = ln_recurrent_act_f64(w, 0, w->x[j] + seen[0] * w->c[j]);
        const double gf = p->input_forget ? 1.0 - gi
                              : ln_recurrent_act_f64(w, 0, w->x[2 * n + j] + seen[2] * w->c[j]);

        w->c[j] = gf * w->c[j] + gi * ln_recurrent_act_f64(w, 1, w->x[3 * n + j]);
        w->h[j] = ln_recurrent_act_f64(w, 0, w->x[n + j] + seen[1] * w->c[j])
                  * ln_recurrent_act_f64(w, 2, w->c[j]);
    }
}

static ln_cell_fn lstm_fused(const ln_prepare *q);

static const ln_recurrent_kind lstm_kind = {
    "LSTM", 4, 3, { "Sigmoid", "Tanh", "Tanh" }, 2, lstm_cell, lstm_wide, lstm_fused
};

static ln_cell_fn lstm_fused(const ln_prepare *q)
{
    const param *p = q->param;

    return !p->input_forget && ln_recurrent_plain(q, &lstm_kind)
               ? ln_recurrent_half(q) ? q->kernel->lstm_bf16 : q->kernel->lstm_f32 : NULL;
}

static linnet_status infer(const ln_infer *q)
{
    return ln_recurrent_infer(q, &lstm_kind);
}

static linnet_status prepare(ln_prepare *q)
{
    return ln_recurrent_prepare(q, &lstm_kind, 0);
}

static const ln_attr attr[] = {
    LN_RECURRENT_ATTRS,
    { "input_forget", LN_ATTR_I64, offsetof(param, input_forget), 0, false },
    { 0 },
};

const ln_op ln_op_lstm = {
    .name = "LSTM", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 8, .out_min = 1, .out_max = 3, .loose = 1u << 1 | 1u << 2,
    .infer = infer, .prepare = prepare, .run = ln_recurrent_run,
};
