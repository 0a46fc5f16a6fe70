/*
 * windows.c - HannWindow, HammingWindow, BlackmanWindow: sums of cosines.
 */
#include "op.h"

#include <math.h>

typedef struct param { int64_t output_datatype, periodic; } param;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const int32_t to = p->output_datatype > 0 && p->output_datatype < 64 ? (int32_t)p->output_datatype : LINNET_F32;
    const uint8_t kind = ln_dtype(to)->kind;

    if ((q->in[0].dtype != LINNET_I64 && q->in[0].dtype != LINNET_I32) || ln_count(&q->in[0]) != 1)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Window: the size is not one integer");
    if ((kind != LN_KIND_FLOAT && kind != LN_KIND_INT && kind != LN_KIND_UINT) || ln_dtype(to)->bits % 8)
        return ln_fail_type(q->err, 0, to);
    if (!q->value[0])
        return LN_WAIT;
    const int64_t n = ln_get_i64(q->in[0].dtype, q->value[0], 0);
    if (n < 0)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Window: size %lld", (long long)n);
    q->out[0] = ln_desc_of(to, 1, &n);
    return LINNET_OK;
}

static linnet_status window_run(const ln_run *r, double a0, double a1, double a2)
{
    const param *p = r->param;
    const size_t n = ln_count(&r->out_desc[0]);
    const double over = p->periodic ? (double)n : (double)n - 1;

    for (size_t i = 0; i < n; i++) {
        const double at = over > 0 ? 6.283185307179586 * (double)i / over : 0;
        ln_set_f64(r->out_desc[0].dtype, r->out[0], i, a0 - a1 * cos(at) + a2 * cos(2 * at));
    }
    return LINNET_OK;
}

static linnet_status window_hann(const ln_run *r) { return window_run(r, 0.5, 0.5, 0); }
static linnet_status window_hamming(const ln_run *r) { return window_run(r, 25.0 / 46, 1 - 25.0 / 46, 0); }
static linnet_status window_blackman(const ln_run *r) { return window_run(r, 0.42, 0.5, 0.08); }

static const ln_attr attr[] = {
    { "output_datatype", LN_ATTR_I64, offsetof(param, output_datatype), 1, false },
    { "periodic", LN_ATTR_I64, offsetof(param, periodic), 1, false },
    { 0 },
};

#define WINDOW(onnx, runs) \
    { .name = onnx, .attr = attr, .param_size = sizeof(param), .in_min = 1, .in_max = 1, .infer = infer, .run = runs }

const ln_op ln_op_hann_window = WINDOW("HannWindow", window_hann);
const ln_op ln_op_hamming_window = WINDOW("HammingWindow", window_hamming);
const ln_op ln_op_blackman_window = WINDOW("BlackmanWindow", window_blackman);

#undef WINDOW
