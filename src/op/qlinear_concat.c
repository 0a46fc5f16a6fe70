/*
 * qlinear_concat.c - com.microsoft.QLinearConcat: quantised tensors one behind the other, each brought
 * to the scale and zero point of the output.
 *
 * Elements have eight bits: a table of 256 results made for each input does the arithmetic.
 */
#include "strided.h"

#include <math.h>

enum { QLINEAR_CONCAT_FIRST = 2 }; /* inputs: scale and zero of Y, then tensor, scale, zero of each part */

typedef struct param { int64_t axis; } param;
typedef struct state { ln_slabs slabs; int32_t dtype; bool y_zero, *zero; } state;

static bool qlinear_concat_number(const ln_infer *q, int32_t i, int32_t dtype)
{
    if (q->in[i].dtype == 0)
        return dtype != LINNET_F32; /* a zero point may be absent */
    return q->in[i].dtype == dtype && ln_count(&q->in[i]) == 1;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const int32_t first = QLINEAR_CONCAT_FIRST;
    ln_desc *out = &q->out[0];
    int32_t axis;

    if (q->in_count < first + 3 || (q->in_count - first) % 3)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "QLinearConcat: %d inputs", (int)q->in_count);
    *out = q->in[first];
    if (out->dtype != LINNET_U8 && out->dtype != LINNET_I8)
        return ln_fail_type(q->err, first, out->dtype);
    if (!ln_axis(p->axis, out->rank, &axis))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "QLinearConcat: axis %lld outside a tensor of rank %d",
                       (long long)p->axis, (int)out->rank);
    bool fits = qlinear_concat_number(q, 0, LINNET_F32) && qlinear_concat_number(q, 1, out->dtype);
    out->dim[axis] = 0;
    for (int32_t i = first; fits && i < q->in_count; i += 3) {
        const ln_desc *in = &q->in[i];
        fits = in->dtype == out->dtype && in->rank == out->rank && qlinear_concat_number(q, i + 1, LINNET_F32) &&
               qlinear_concat_number(q, i + 2, out->dtype);
        for (int32_t d = 0; fits && d < out->rank; d++)
            fits = d == axis || in->dim[d] == out->dim[d];
        fits = fits && ln_add64(out->dim[axis], in->dim[axis], &out->dim[axis]);
    }
    return fits ? LINNET_OK : ln_fail(q->err, LINNET_ERR_SHAPE, "QLinearConcat: the inputs do not fit together");
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    const size_t parts = (size_t)(q->in_count - QLINEAR_CONCAT_FIRST) / 3;
    state *s = q->state;
    int32_t axis;

    if (!ln_axis(p->axis, q->out[0].rank, &axis))
        return LINNET_ERR_SHAPE;
    ln_slab *slab = ln_slabs_begin(&s->slabs, q, ln_count_range(&q->out[0], 0, axis), parts);
    s->zero = ln_plan_alloc(q, parts, sizeof *s->zero);
    if (!slab || !s->zero)
        return ln_fail(q->err, LINNET_ERR_MEMORY, "QLinearConcat: out of memory");
    s->dtype = q->out[0].dtype;
    s->y_zero = q->in[1].dtype != 0;
    for (size_t i = 0; i < parts; i++) {
        const ln_desc *in = &q->in[QLINEAR_CONCAT_FIRST + 3 * i];
        slab[i].width = ln_count_range(in, axis, in->rank);
        s->zero[i] = in[2].dtype != 0;
    }
    ln_slabs_plan(&s->slabs, q);
    return LINNET_OK;
}

/* table[b]: the byte that stands for what byte b of part i stands for. */
static void qlinear_concat_table(const ln_run *r, size_t i, uint8_t table[256])
{
    const state *s = r->state;
    const void *const *in = r->in + QLINEAR_CONCAT_FIRST + 3 * i;
    const bool is_signed = s->dtype == LINNET_I8;
    const float scale = *(const float *)in[1], y_scale = *(const float *)r->in[0];
    const float zero = s->zero[i] ? (float)ln_get_i64(s->dtype, in[2], 0) : 0.0f;
    const float y_zero = s->y_zero ? (float)ln_get_i64(s->dtype, r->in[1], 0) : 0.0f;
    const float lo = is_signed ? -128.0f : 0.0f, hi = is_signed ? 127.0f : 255.0f;

    for (int32_t b = 0; b < 256; b++) {
        const float x = (float)(is_signed && b > 127 ? b - 256 : b);
        const float v = nearbyintf((x - zero) * scale / y_scale) + y_zero;
        table[b] = (uint8_t)(int32_t)(v >= hi ? hi : v > lo ? v : lo);
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    size_t row, rows, from, bytes;
    uint8_t table[256];

    for (size_t i = 0; i < s->slabs.count; i++) {
        if (!ln_slabs_part(&s->slabs, i, r->task, &row, &rows, &from, &bytes) || bytes == 0)
            continue;
        qlinear_concat_table(r, i, table);
        for (size_t k = row; k < row + rows; k++) {
            const uint8_t *x = (const uint8_t *)r->in[QLINEAR_CONCAT_FIRST + 3 * i] + k * s->slabs.slab[i].width + from;
            uint8_t *y = (uint8_t *)r->out[0] + k * s->slabs.row + s->slabs.slab[i].at + from;
            for (size_t j = 0; j < bytes; j++)
                y[j] = table[x[j]];
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), 0, true },
    { 0 },
};

const ln_op ln_op_qlinear_concat = {
    .name = "com.microsoft.QLinearConcat", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 5, .in_max = 255, .infer = infer, .prepare = prepare, .run = run,
};
