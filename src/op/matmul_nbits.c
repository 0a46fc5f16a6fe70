/*
 * matmul_nbits.c - MatMulNBits: A times weights kept in 2, 4 or 8 bits, block by block.
 *
 * B is N rows of blocks of `block_size` codes along K, low bits first; each block has a scale
 * and a zero point (2^(bits - 1) where none is given). Constant weights become packed f32 once,
 * others in a first phase; the product is that of every dense layer.
 */
#include "dense.h"

typedef struct param {
    int64_t k, n, bits, block, accuracy;
} param;

typedef struct state {
    ln_dense dense;
    size_t   k, n, bits, block, blocks; /* blocks of a row */
    size_t   blob, zero_row;            /* bytes of a block; of a row of packed zero points */
    int32_t  zero, bias;                /* inputs, or -1 */
    bool     wide;                      /* A is not f32 */
    const float *packed;
    int32_t  last;
} state;

enum { NBITS_ZERO = 3, NBITS_GROUP, NBITS_BIAS };

static bool nbits_has(int32_t count, const ln_desc *in, int32_t i)
{
    return i < count && in[i].dtype != 0;
}

static linnet_status nbits_read(const param *p, int32_t count, const ln_desc *in, state *s, linnet_error *err)
{
    if (in[0].dtype != LINNET_F32 && in[0].dtype != LINNET_F16 && in[0].dtype != LINNET_BF16)
        return ln_fail_type(err, 0, in[0].dtype);
    if ((p->bits != 2 && p->bits != 4 && p->bits != 8) || p->k < 1 || p->n < 1 || p->block < 8
        || p->block > 1 << 20 || p->k > INT32_MAX || p->n > INT32_MAX || p->block % 8 != 0)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "MatMulNBits: %lld bits, K %lld, N %lld, block_size %lld",
                       (long long)p->bits, (long long)p->k, (long long)p->n, (long long)p->block);
    if (nbits_has(count, in, NBITS_GROUP))
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "MatMulNBits: g_idx");
    s->k = (size_t)p->k;
    s->n = (size_t)p->n;
    s->bits = (size_t)p->bits;
    s->block = (size_t)p->block;
    s->blocks = ln_ceil_div(s->k, s->block);
    s->blob = s->block * s->bits / 8;
    s->zero_row = ln_ceil_div(s->blocks * s->bits, 8);
    s->zero = nbits_has(count, in, NBITS_ZERO) ? NBITS_ZERO : -1;
    s->bias = nbits_has(count, in, NBITS_BIAS) ? NBITS_BIAS : -1;
    s->wide = in[0].dtype != LINNET_F32;
    const size_t scales = s->n * s->blocks;
    if (in[0].rank < 1 || in[0].dim[in[0].rank - 1] != p->k || in[1].dtype != LINNET_U8
        || ln_count(&in[1]) != scales * s->blob || in[2].dtype != in[0].dtype || ln_count(&in[2]) != scales
        || (s->bias >= 0 && (in[s->bias].dtype != in[0].dtype || ln_count(&in[s->bias]) != s->n)))
        return ln_fail(err, LINNET_ERR_SHAPE, "MatMulNBits: A, B, scales or bias do not fit K %zu, N %zu", s->k, s->n);
    if (s->zero >= 0 && (in[s->zero].dtype == LINNET_U8 ? ln_count(&in[s->zero]) != s->n * s->zero_row
                                                        : in[s->zero].dtype != in[0].dtype
                                                              || ln_count(&in[s->zero]) != scales))
        return ln_fail(err, LINNET_ERR_SHAPE, "MatMulNBits: zero_points do not fit K %zu, N %zu", s->k, s->n);
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    state s = { 0 };

    q->out[0] = q->in[0];
    if (q->in[0].rank > 0)
        q->out[0].dim[q->in[0].rank - 1] = p->n;
    return nbits_read(p, q->in_count, q->in, &s, q->err);
}

/* What one row of B is made of. */
typedef struct nbits_weights {
    const state   *s;
    const uint8_t *b;
    const void    *scales, *zero;
    int32_t        type, zero_type;
    size_t         nr;
} nbits_weights;

static float nbits_zero(const nbits_weights *w, size_t row, size_t block)
{
    const state *s = w->s;

    if (!w->zero)
        return (float)(1 << (s->bits - 1));
    if (w->zero_type != LINNET_U8)
        return (float)ln_get_f64(w->zero_type, w->zero, row * s->blocks + block);
    const size_t bit = block * s->bits;
    const uint8_t byte = ((const uint8_t *)w->zero)[row * s->zero_row + bit / 8];
    return (float)(byte >> bit % 8 & ((1 << s->bits) - 1));
}

/* Rows [from, to) of B as columns of the packed matrix. */
static void nbits_pack(const nbits_weights *w, size_t from, size_t to, float *out)
{
    const state *s = w->s;
    const unsigned mask = (1u << s->bits) - 1;

    for (size_t j = from; j < to; j++) {
        float *y = out + j / w->nr * w->nr * s->k + j % w->nr;

        for (size_t t = 0; t < s->k; t++) {
            const size_t block = t / s->block, bit = t % s->block * s->bits;
            float v = 0.0f;
            if (j < s->n) {
                const uint8_t byte = w->b[(j * s->blocks + block) * s->blob + bit / 8];
                const float scale = (float)ln_get_f64(w->type, w->scales, j * s->blocks + block);
                v = ((float)(byte >> bit % 8 & mask) - nbits_zero(w, j, block)) * scale;
            }
            y[t * w->nr] = v;
        }
    }
}

static void nbits_make(const void *ctx, const void *src, void *out)
{
    nbits_weights w = *(const nbits_weights *)ctx;

    w.b = src;
    nbits_pack(&w, 0, ln_ceil_div(w.s->n, w.nr) * w.nr, out);
}

static uint32_t nbits_crc(const ln_prepare *q, int32_t i)
{
    size_t bytes;

    return ln_desc_bytes(&q->in[i], &bytes) ? ln_crc32c(0, q->value[i], bytes) : 0;
}

static linnet_status nbits_derive(ln_prepare *q, state *s, size_t bytes)
{
    const nbits_weights w = { s, NULL, q->value[2], s->zero < 0 ? NULL : q->value[s->zero], q->in[2].dtype,
                              s->zero < 0 ? 0 : q->in[s->zero].dtype, q->kernel->gemm_nr };
    const uint64_t facts[] = { 0x6e62697473, q->kernel->gemm_nr, s->k, s->n, s->bits, s->block, nbits_crc(q, 2),
                               s->zero < 0 ? 0 : nbits_crc(q, s->zero), (uint64_t)w.type, (uint64_t)w.zero_type };
    const void *out = NULL;
    const linnet_status st = ln_plan_derive(q, 1, ln_dense_key(facts, LN_COUNT(facts)), bytes, nbits_make, &w, &out);

    s->packed = out;
    return st;
}

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;
    linnet_status st = nbits_read(q->param, q->in_count, q->in, s, q->err);
    const bool constant = q->value[1] && q->value[2] && (s->zero < 0 || q->value[s->zero]);
    size_t m, bytes, wide = 0;

    if (st != LINNET_OK)
        return st;
    m = ln_count_range(&q->in[0], 0, q->in[0].rank - 1);
    if (m == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    if (!ln_dense_init(&s->dense, q->kernel, m, s->n, s->k) || !ln_mul(s->dense.packed, sizeof(float), &bytes))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "MatMulNBits: too large");
    if (constant) {
        if ((st = nbits_derive(q, s, bytes)) != LINNET_OK)
            return st;
    } else {
        q->workspace = bytes;
        q->tasks[0] = ln_ceil_div(s->n, q->kernel->gemm_nr);
        q->phases = 2;
        s->last = 1;
    }
    /* 16-bit rows: one task for each few rows, through f32 scratch */
    if (s->wide) {
        if (!ln_add(s->k, 2 * s->n, &wide) || !ln_mul(wide, sizeof(float), &q->scratch))
            return ln_fail(q->err, LINNET_ERR_LIMIT, "MatMulNBits: too large");
        q->tasks[s->last] = m;
    } else {
        q->tasks[s->last] = s->dense.tasks;
    }
    q->work = (double)m * (double)s->n * (double)s->k;
    q->flop = 2.0 * q->work;
    return LINNET_OK;
}

static void nbits_row(const ln_run *r, const state *s, ln_gemm_f32 *g)
{
    const int32_t t = r->in_desc[0].dtype;
    float *x = r->scratch, *y = x + s->k, *bias = y + s->n;

    ln_to_f32(t, (const uint16_t *)r->in[0] + r->task * s->k, s->k, x);
    if (s->bias >= 0) {
        ln_to_f32(t, r->in[s->bias], s->n, bias);
        g->bias = bias;
    }
    r->kernel->gemv_f32(g, x, y, NULL, 0, s->n);
    ln_from_f32(t, y, s->n, (uint16_t *)r->out[0] + r->task * s->n);
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const size_t nr = r->kernel->gemm_nr;

    if (r->phase < s->last) {
        const nbits_weights w = { s, r->in[1], r->in[2], s->zero < 0 ? NULL : r->in[s->zero], r->in_desc[2].dtype,
                                  s->zero < 0 ? 0 : r->in_desc[s->zero].dtype, nr };
        nbits_pack(&w, r->task * nr, (r->task + 1) * nr, r->workspace);
        return LINNET_OK;
    }
    ln_gemm_f32 g = { s->n, s->k, 1, s->packed ? s->packed : r->workspace, NULL, { LN_FN_NONE, 0, 0 } };
    if (s->wide) {
        nbits_row(r, s, &g);
        return LINNET_OK;
    }
    g.bias = s->bias < 0 ? NULL : r->in[s->bias];
    ln_dense_run(&s->dense, r->kernel, &g, r->in[0], s->k, r->out[0], s->n, NULL, 0, r->task);
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "K", LN_ATTR_I64, offsetof(param, k), 0, true },
    { "N", LN_ATTR_I64, offsetof(param, n), 0, true },
    { "accuracy_level", LN_ATTR_I64, offsetof(param, accuracy), 0, false },
    { "bits", LN_ATTR_I64, offsetof(param, bits), 4, false },
    { "block_size", LN_ATTR_I64, offsetof(param, block), 0, true },
    { 0 },
};

const ln_op ln_op_ms_matmul_nbits = {
    .name = "com.microsoft.MatMulNBits", .attr = attr,
    .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 6,
    .infer = infer, .prepare = prepare, .run = run,
};
