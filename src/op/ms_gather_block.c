/*
 * ms_gather_block.c - com.microsoft.GatherBlockQuantized: rows of an embedding table kept in 2, 4 or 8 bits.
 *
 * A row is axis 0 of the data; blocks along the last axis share a scale and a zero point. Codes in bytes are packed
 * along the last axis, low bits first, as the zero points are.
 */
#include "op.h"

typedef struct param { int64_t bits, block, quantize_axis, gather_axis; } param;
typedef struct state {
    size_t rows, n, last;  /* of the table; elements of a row, and of the last axis */
    size_t block, blocks;  /* blocks of the last axis */
    size_t bits, zero_row; /* zero_row: zero points (bytes, where codes are packed in them) of a last axis */
    bool   packed, has_zero;
    double middle;         /* the zero point where none is given */
} state;

static linnet_status gather_sizes(const param *p, int32_t count, const ln_desc *in, state *s, linnet_error *err)
{
    const ln_desc *x = &in[0], *scale = &in[2], *zero = &in[3];
    const int32_t t = x->dtype;
    int32_t axis = 0, along = 0;

    const bool bits = p->bits == 2 || p->bits == 4 || p->bits == 8;
    if (t != LINNET_U4 && t != LINNET_I4 && !(t == LINNET_U8 && bits))
        return ln_fail_type(err, 0, t);
    if ((scale->dtype != LINNET_F32 && scale->dtype != LINNET_F16 && scale->dtype != LINNET_BF16) ||
        (in[1].dtype != LINNET_I64 && in[1].dtype != LINNET_I32))
        return ln_fail_type(err, 2, scale->dtype);
    bool fits = x->rank >= 2 && ln_axis(p->gather_axis, x->rank, &axis) && axis == 0 &&
                ln_axis(p->quantize_axis, x->rank, &along) && along == x->rank - 1 && p->block >= 1 &&
                scale->rank == x->rank;
    if (!fits)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED,
                       "GatherBlockQuantized: only rows of axis 0 with blocks along the last axis");
    *s = (state){ .bits = t == LINNET_U8 ? (size_t)p->bits : 4, .block = (size_t)p->block, .rows = (size_t)x->dim[0],
                  .has_zero = count > 3 && zero->dtype };
    s->packed = t == LINNET_U8 && s->bits < 8;
    s->middle = t == LINNET_U8 ? (double)(1u << (s->bits - 1)) : 0;
    if (!ln_mul((size_t)x->dim[along], s->packed ? 8 / s->bits : 1, &s->last) ||
        !ln_mul(ln_count_range(x, 1, along), s->last, &s->n))
        return ln_fail(err, LINNET_ERR_LIMIT, "GatherBlockQuantized: the table is too large");
    s->blocks = ln_ceil_div(s->last, s->block);
    s->zero_row = s->packed ? ln_ceil_div(s->blocks * s->bits, 8) : s->blocks;
    for (int32_t d = 0; fits && d < x->rank; d++)
        fits = (d == along ? (size_t)scale->dim[d] == s->blocks : scale->dim[d] == x->dim[d]) &&
               (!s->has_zero || (zero->dtype == t && zero->rank == x->rank &&
                                 (d == along ? (size_t)zero->dim[d] == s->zero_row : zero->dim[d] == x->dim[d])));
    return fits ? LINNET_OK : ln_fail(err, LINNET_ERR_SHAPE,
                                      "GatherBlockQuantized: scales or zero points do not fit the data");
}

static linnet_status infer(const ln_infer *q)
{
    const ln_desc *x = &q->in[0], *at = &q->in[1];
    ln_desc *y = &q->out[0];
    state s;
    const linnet_status st = gather_sizes(q->param, q->in_count, q->in, &s, q->err);

    if (st)
        return st;
    if (at->rank + x->rank - 1 > LN_MAX_RANK)
        return ln_fail(q->err, LINNET_ERR_LIMIT, "GatherBlockQuantized: rank %d", (int)(at->rank + x->rank - 1));
    *y = *at;
    y->dtype = q->in[2].dtype;
    for (int32_t d = 1; d < x->rank; d++)
        y->dim[y->rank++] = d == x->rank - 1 ? (int64_t)s.last : x->dim[d];
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    q->tasks[0] = ln_count(&q->out[0]) ? ln_count(&q->in[1]) : 0;
    return gather_sizes(q->param, q->in_count, q->in, q->state, q->err);
}

/* Code i of a line of codes that begins at element `from` (at byte `from`, where they are packed in bytes). */
static double gather_code(const state *s, int32_t type, const void *x, size_t from, size_t i)
{
    if (!s->packed)
        return (double)ln_get_i64(type, x, from + i);
    const size_t bit = i * s->bits;
    return (double)(((const uint8_t *)x)[from + bit / 8] >> bit % 8 & ((1u << s->bits) - 1));
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const int32_t type = r->in_desc[0].dtype, scale_type = r->in_desc[2].dtype;
    const size_t lines = s->last ? s->n / s->last : 0, width = s->packed ? s->last * s->bits / 8 : s->last;
    int64_t row = ln_get_i64(r->in_desc[1].dtype, r->in[1], r->task);

    if (row < -(int64_t)s->rows || row >= (int64_t)s->rows)
        return ln_fail(r->err, LINNET_ERR_DATA, "GatherBlockQuantized: index %lld of %zu rows", (long long)row, s->rows);
    row += row < 0 ? (int64_t)s->rows : 0;
    for (size_t line = 0; line < lines; line++) {
        const size_t from = (size_t)row * lines + line;
        for (size_t b = 0; b < s->blocks; b++) {
            const double scale = ln_get_f64(scale_type, r->in[2], from * s->blocks + b);
            const double zero = s->has_zero ? gather_code(s, type, r->in[3], from * s->zero_row, b) : s->middle;
            for (size_t k = b * s->block; k < LN_MIN((b + 1) * s->block, s->last); k++)
                ln_set_f64(scale_type, r->out[0], r->task * s->n + line * s->last + k,
                           (gather_code(s, type, r->in[0], from * width, k) - zero) * scale);
        }
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "bits", LN_ATTR_I64, offsetof(param, bits), 4, false },
    { "block_size", LN_ATTR_I64, offsetof(param, block), 128, false },
    { "gather_axis", LN_ATTR_I64, offsetof(param, gather_axis), 0, false },
    { "quantize_axis", LN_ATTR_I64, offsetof(param, quantize_axis), 1, false },
    { 0 },
};

const ln_op ln_op_ms_gather_block_quantized = {
    .name = "com.microsoft.GatherBlockQuantized", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 4, .infer = infer, .prepare = prepare, .run = run,
};
