/*
 * rnn.c - RNN: H = f(X W + H R + biases).
 */
#include "recurrent.h"

typedef ln_recurrent_param param;
typedef ln_recurrent state;

static void rnn_cell(ln_recurrent_block *b, const float *xw, size_t ldx)
{
    const size_t h = b->s->hidden;

    ln_recurrent_multiply(b, 0, b->h, b->gate, xw, ldx);
    for (size_t i = 0; i < b->rows; i++) {
        if (!b->active[i])
            continue;
        ln_recurrent_act_f32(b, 0, h, b->gate + i * h);
        memcpy(b->h + i * h, b->gate + i * h, h * sizeof(float));
    }
}

static void rnn_wide(ln_recurrent_wide *w)
{
    ln_recurrent_sum_f64(w, w->h, 0, 1);
    for (size_t j = 0; j < w->s->hidden; j++)
        w->h[j] = ln_recurrent_act_f64(w, 0, w->x[j] + w->hr[j]);
}

static const ln_recurrent_kind rnn_kind = { "RNN", 1, 1, { "Tanh", NULL, NULL }, 1, rnn_cell, rnn_wide, NULL };

static linnet_status infer(const ln_infer *q)
{
    return ln_recurrent_infer(q, &rnn_kind);
}

static linnet_status prepare(ln_prepare *q)
{
    return ln_recurrent_prepare(q, &rnn_kind, 0);
}

static const ln_attr attr[] = {
    LN_RECURRENT_ATTRS,
    { 0 },
};

const ln_op ln_op_rnn = {
    .name = "RNN", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 6, .out_min = 1, .out_max = 2, .loose = 1u << 1 | 1u << 2,
    .infer = infer, .prepare = prepare, .run = ln_recurrent_run,
};
