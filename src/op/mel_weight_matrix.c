/*
 * mel_weight_matrix.c - MelWeightMatrix: triangles over spectrum bins, evenly spaced in mels.
 *
 * Edges are rounded down to bins, and weights taken between bins, as ONNX's text has it.
 */
#include "op.h"

#include <math.h>

typedef struct param { int64_t output_datatype; } param;
typedef struct mel { int64_t bands, length, rate; double low, high; } mel;

static linnet_status mel_of(const ln_desc *in, const void *const *value, mel *m, linnet_error *err)
{
    for (int32_t i = 0; i < 5; i++) {
        const uint8_t kind = ln_dtype(in[i].dtype)->kind;
        const bool whole = in[i].dtype == LINNET_I64 || in[i].dtype == LINNET_I32;
        if (ln_count(&in[i]) != 1 || !(i < 3 ? whole : kind == LN_KIND_FLOAT))
            return ln_fail(err, LINNET_ERR_SHAPE, "MelWeightMatrix: input %d is not one number of its kind", (int)i);
        if (!value[i])
            return LN_WAIT;
    }
    *m = (mel){ ln_get_i64(in[0].dtype, value[0], 0), ln_get_i64(in[1].dtype, value[1], 0),
                ln_get_i64(in[2].dtype, value[2], 0), ln_get_f64(in[3].dtype, value[3], 0),
                ln_get_f64(in[4].dtype, value[4], 0) };
    if (m->bands < 1 || m->bands > INT32_MAX || m->length < 1 || m->length > INT32_MAX || m->rate < 1 ||
        !(m->low >= 0) || !(m->high >= m->low) || isinf(m->high))
        return ln_fail(err, LINNET_ERR_SHAPE, "MelWeightMatrix: bands, length, rate or edges are not possible");
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const int32_t to = p->output_datatype > 0 && p->output_datatype < 64 ? (int32_t)p->output_datatype : LINNET_F32;
    const uint8_t kind = ln_dtype(to)->kind;
    mel m;
    const linnet_status st = mel_of(q->in, q->value, &m, q->err);

    if (st)
        return st;
    if ((kind != LN_KIND_FLOAT && kind != LN_KIND_INT && kind != LN_KIND_UINT) || ln_dtype(to)->bits % 8)
        return ln_fail_type(q->err, 0, to);
    q->out[0] = ln_desc_of(to, 2, (int64_t[]){ m.length / 2 + 1, m.bands });
    return LINNET_OK;
}

/* The bin of edge i of bands + 2. */
static int64_t mel_bin(const mel *m, int64_t i)
{
    const double low = 2595 * log1p(m->low / 700) / log(10), high = 2595 * log1p(m->high / 700) / log(10);
    const double at = low + (double)i * (high - low) / (double)(m->bands + 2);
    const double hertz = 700 * expm1(at / 2595 * log(10));

    return ln_f2i_sat(floor((double)(m->length + 1) * hertz / (double)m->rate), 0, INT32_MAX);
}

static linnet_status run(const ln_run *r)
{
    const ln_desc *y = &r->out_desc[0];
    mel m;
    const linnet_status st = mel_of(r->in_desc, r->in, &m, r->err);

    if (st)
        return st;
    memset(r->out[0], 0, ln_count(y) * (ln_dtype(y->dtype)->bits / 8u));
    for (int64_t b = 0; b < m.bands; b++) {
        const int64_t low = mel_bin(&m, b), top = mel_bin(&m, b + 1), high = mel_bin(&m, b + 2);
        for (int64_t i = low; i < LN_MIN(LN_MAX(high, top + 1), y->dim[0]); i++) {
            const double w = i < top ? (double)(i - low) / (double)(top - low)
                           : high > top ? (double)(high - i) / (double)(high - top) : 1;
            ln_set_f64(y->dtype, r->out[0], (size_t)(i * m.bands + b), w);
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "output_datatype", LN_ATTR_I64, offsetof(param, output_datatype), 1, false },
    { 0 },
};

const ln_op ln_op_mel_weight_matrix = {
    .name = "MelWeightMatrix", .attr = attr, .param_size = sizeof(param), .in_min = 5, .in_max = 5,
    .infer = infer, .run = run,
};
