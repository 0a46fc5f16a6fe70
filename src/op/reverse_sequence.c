/*
 * reverse_sequence.c - ReverseSequence: the first sequence_lens[b] steps of each batch entry, backwards.
 */
#include "op.h"

typedef struct param { int64_t batch_axis, time_axis; } param;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0];

    if (in->rank < 2 || p->batch_axis < 0 || p->batch_axis > 1 || p->time_axis != 1 - p->batch_axis)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "ReverseSequence: the axes are not 0 and 1");
    if (q->in[1].dtype != LINNET_I64 || q->in[1].rank != 1 || q->in[1].dim[0] != in->dim[p->batch_axis])
        return ln_fail(q->err, LINNET_ERR_SHAPE, "ReverseSequence: one i64 length for each batch entry is wanted");
    if (ln_dtype(in->dtype)->bits % 8)
        return ln_fail_type(q->err, 0, in->dtype);
    q->out[0] = *in;
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const ln_desc *in = &r->in_desc[0];
    const size_t width = ln_count_range(in, 2, in->rank) * (ln_dtype(in->dtype)->bits / 8u);
    const int64_t batch = in->dim[p->batch_axis], time = in->dim[p->time_axis];

    for (int64_t b = 0; b < batch; b++) {
        const int64_t length = ((const int64_t *)r->in[1])[b];
        if (length < 0 || length > time)
            return ln_fail(r->err, LINNET_ERR_DATA, "ReverseSequence: length %lld of %lld steps", (long long)length,
                           (long long)time);
        for (int64_t t = 0; t < time && width; t++) {
            const int64_t from = t < length ? length - 1 - t : t;
            const int64_t y = p->time_axis == 0 ? t * batch + b : b * time + t;
            const int64_t x = p->time_axis == 0 ? from * batch + b : b * time + from;
            memcpy((char *)r->out[0] + (size_t)y * width, (const char *)r->in[0] + (size_t)x * width, width);
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "batch_axis", LN_ATTR_I64, offsetof(param, batch_axis), 1, false },
    { "time_axis", LN_ATTR_I64, offsetof(param, time_axis), 0, false },
    { 0 },
};

const ln_op ln_op_reverse_sequence = {
    .name = "ReverseSequence", .attr = attr, .param_size = sizeof(param), .in_min = 2, .in_max = 2,
    .infer = infer, .run = run,
};
