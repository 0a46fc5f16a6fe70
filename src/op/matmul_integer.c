/*
 * matmul_integer.c - the exact product of 8-bit integers, and MatMulInteger.
 */
#include "matmul_integer.h"

enum { INTEGER_CHUNK = 256, INTEGER_ROWS = 32 };
#define INTEGER_TASK_MACS 4.0e6

typedef struct state {
    ln_integer product;
} state;

bool ln_integer_type(int32_t dtype)
{
    return dtype == LINNET_U8 || dtype == LINNET_I8;
}

/* ---- parameters -------------------------------------------------------------------- */

bool ln_integer_param_of(const ln_desc *in, int32_t count, int32_t input, const ln_desc *operand, int32_t side,
                         ln_integer_param *out)
{
    const int32_t axis = operand->rank + side;
    const int64_t own = operand->rank == 1 ? 1 : operand->dim[axis];
    const ln_desc *d;

    out->input = -1;
    out->unit = out->step = 0;
    if (input < 0 || input >= count || in[input].dtype == 0)
        return true;
    d = &in[input];
    out->input = input;
    if (ln_count(d) == 1)
        return true;
    out->step = 1;
    if (d->rank == 1)
        return d->dim[0] == own;
    if (d->rank != operand->rank)
        return false;
    for (int32_t i = 0; i < d->rank; i++)
        if (d->dim[i] != (i == axis || i < d->rank - 2 ? operand->dim[i] : 1))
            return false;
    out->unit = (size_t)own;
    return true;
}

double ln_integer_value(const ln_run *r, const ln_integer_param *p, size_t mat, size_t i, double absent)
{
    if (p->input < 0)
        return absent;
    return ln_get_f64(r->in_desc[p->input].dtype, r->in[p->input], mat * p->unit + i * p->step);
}

/* ---- packing B ------------------------------------------------------------------------ */

typedef struct integer_packing {
    const ln_integer *s;
    const void *zero;
    int32_t     zero_type;
    size_t      nr;
} integer_packing;

/* Panels [from, to) of matrix `mat`, every chunk of K: [chunk][panel][k of the chunk][nr]. */
static void integer_pack(const integer_packing *w, const void *b, size_t mat, size_t from, size_t to, float *out)
{
    const ln_product *p = &w->s->p;
    const ln_integer_param *z = &w->s->b_zero;
    const size_t nr = w->nr, wide = ln_ceil_div(p->n, nr) * nr;
    const bool is_signed = w->s->b_type == LINNET_I8;
    const uint8_t *x = (const uint8_t *)b + mat * p->b_unit;

    for (size_t k0 = 0; k0 < p->k; k0 += INTEGER_CHUNK) {
        const size_t k = LN_MIN((size_t)INTEGER_CHUNK, p->k - k0);

        for (size_t j = from * nr; j < to * nr; j++) {
            float *y = out + k0 * wide + j / nr * nr * k + j % nr;
            const int64_t zero = j < p->n && w->zero
                                     ? ln_get_i64(w->zero_type, w->zero, mat * z->unit + j * z->step) : 0;

            for (size_t t = 0; t < k; t++) {
                const uint8_t v = j < p->n ? x[(k0 + t) * p->b_rs + j * p->b_cs] : 0;
                y[t * nr] = j < p->n ? (float)((is_signed ? (int32_t)(int8_t)v : (int32_t)v) - (int32_t)zero) : 0.0f;
            }
        }
    }
}

static void integer_make(const void *ctx, const void *src, void *out)
{
    const integer_packing *w = ctx;

    for (size_t i = 0; i < w->s->b_mats; i++)
        integer_pack(w, src, i, 0, ln_ceil_div(w->s->p.n, w->nr), (float *)out + i * w->s->packed);
}

static linnet_status integer_derive(ln_prepare *q, ln_integer *s, size_t bytes)
{
    const int32_t z = s->b_zero.input;
    const integer_packing w = { s, z < 0 ? NULL : q->value[z], z < 0 ? 0 : q->in[z].dtype, q->kernel->gemm_nr };
    const uint32_t crc = z < 0 ? 0 : ln_crc32c(0, q->value[z], ln_count(&q->in[z]));
    const uint64_t facts[] = { 0x696e7438, q->kernel->gemm_nr, s->p.k, s->p.n, s->p.b_rs, s->p.b_cs, s->b_mats,
                               (uint64_t)s->b_type, crc, z < 0 ? 0 : (uint64_t)q->in[z].dtype, s->b_zero.unit,
                               s->b_zero.step };
    const void *out = NULL;
    const linnet_status st = ln_plan_derive(q, s->b, ln_dense_key(facts, LN_COUNT(facts)), bytes,
                                            integer_make, &w, &out);

    s->constant = out;
    return st;
}

/* ---- prepare ----------------------------------------------------------------------------- */

static void integer_cut(ln_integer *s, const ln_kernels *kernel)
{
    const ln_product *p = &s->p;
    const size_t nr = kernel->gemm_nr, mr = LN_MIN((size_t)kernel->gemm_mr, (size_t)INTEGER_ROWS);
    const size_t k = LN_MAX(p->k, (size_t)1), tiles = ln_ceil_div(p->m, mr);
    const size_t cols = LN_MAX((size_t)1024 / nr, (size_t)1) * nr;

    s->rows = ln_ceil_div(p->m, tiles);
    s->n_step = LN_MIN(p->n, cols);
    const double macs = (double)s->rows * (double)s->n_step * (double)k;
    const size_t per = macs >= INTEGER_TASK_MACS ? 1 : (size_t)(INTEGER_TASK_MACS / macs) + 1;
    s->m_step = LN_MIN(per, tiles) * s->rows;
    s->n_tasks = ln_ceil_div(p->n, s->n_step);
    s->unit_tasks = s->n_tasks * ln_ceil_div(p->m, s->m_step);
}

linnet_status ln_integer_prepare(ln_prepare *q, const ln_matmul_form *form, ln_integer *s)
{
    const size_t nr = q->kernel->gemm_nr;
    const bool constant = q->value[s->b] && (s->b_zero.input < 0 || q->value[s->b_zero.input]);
    ln_product *p = &s->p;
    size_t bytes, at, need;
    linnet_status st;

    ln_matmul_layout(&q->in[s->a], &q->in[s->b], form, &q->out[0], p);
    s->a_type = q->in[s->a].dtype;
    s->b_type = q->in[s->b].dtype;
    s->phase = q->phases - 1;
    q->tasks[s->phase] = 0;
    if (p->batch == 0 || p->m == 0 || p->n == 0)
        return LINNET_OK;
    s->b_mats = 1;
    for (int32_t i = 0; i < p->axes; i++)
        s->b_mats *= p->b_stride[i] ? p->dim[i] : 1;
    integer_cut(s, q->kernel);
    s->chunks = ln_ceil_div(p->k, INTEGER_CHUNK);
    if (p->n > SIZE_MAX - nr || !ln_mul(ln_ceil_div(p->n, nr) * nr, p->k, &s->packed)
        || !ln_mul(s->packed, s->b_mats, &bytes) || !ln_mul(bytes, sizeof(float), &bytes)
        || !ln_align_up(q->workspace, LN_ALIGN, &at) || !ln_add(p->k, 2 * s->n_step, &need)
        || !ln_mul(need, s->rows * sizeof(float), &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "a product of %zu x %zu x %zu is too large", p->m, p->k, p->n);
    if (constant && bytes) {
        if ((st = integer_derive(q, s, bytes)) != LINNET_OK)
            return st;
    } else if (bytes) {
        s->b_at = at / sizeof(float);
        if (!ln_add(at, bytes, &q->workspace))
            return ln_fail(q->err, LINNET_ERR_LIMIT, "a product of %zu x %zu x %zu is too large", p->m, p->k, p->n);
        q->tasks[s->phase] = s->b_mats * ln_ceil_div(p->n, nr);
        s->phase++;
        q->phases++;
    }
    q->tasks[s->phase] = p->batch * s->unit_tasks;
    q->work = (double)p->batch * (double)p->m * (double)p->n * (double)LN_MAX(p->k, (size_t)1);
    q->flop = 2.0 * q->work;
    return LINNET_OK;
}

/* ---- run -------------------------------------------------------------------------------------- */

static void integer_load_row(const ln_run *r, const ln_integer *s, size_t a, size_t row, float *x)
{
    const ln_product *p = &s->p;
    const uint8_t *v = (const uint8_t *)r->in[s->a] + a * p->a_unit + row * p->a_rs;
    const int32_t zero = (int32_t)ln_integer_value(r, &s->a_zero, a, row, 0.0);

    if (p->a_cs == 1 && s->a_type == LINNET_I8)
        r->kernel->dequantize_i8(p->k, (const int8_t *)v, 1.0f, zero, x);
    else if (p->a_cs == 1)
        r->kernel->dequantize_u8(p->k, v, 1.0f, zero, x);
    else if (s->a_type == LINNET_I8)
        for (size_t t = 0; t < p->k; t++)
            x[t] = (float)((int32_t)(int8_t)v[t * p->a_cs] - zero);
    else
        for (size_t t = 0; t < p->k; t++)
            x[t] = (float)((int32_t)v[t * p->a_cs] - zero);
}

/* Exact sums of `rows` rows (x, K apart) and columns [n0, n0 + n), through room of the same size. */
static void integer_tile(const ln_run *r, const ln_integer *s, const float *b, size_t rows, size_t n0, size_t n,
                         const float *x, float *room, int32_t *sum)
{
    const ln_product *p = &s->p;
    const size_t nr = r->kernel->gemm_nr, wide = ln_ceil_div(p->n, nr) * nr;
    const float *row[INTEGER_ROWS];

    memset(sum, 0, rows * n * sizeof *sum);
    for (size_t k0 = 0; k0 < p->k; k0 += INTEGER_CHUNK) {
        const size_t k = LN_MIN((size_t)INTEGER_CHUNK, p->k - k0);
        const ln_gemm_f32 g = { n, k, 1, b + k0 * wide + n0 * k, NULL, { LN_FN_NONE, 0, 0 } };

        for (size_t i = 0; i < rows; i++)
            row[i] = x + i * p->k + k0;
        if (rows == 1)
            r->kernel->gemv_f32(&g, row[0], room, NULL, 0, n);
        else
            r->kernel->gemm_f32(&g, rows, row, room, n, NULL, 0, 0, n);
        r->kernel->f32_to_i32(rows * n, room, (int32_t *)(void *)room);
        for (size_t i = 0; i < rows * n; i++)
            sum[i] = (int32_t)((uint32_t)sum[i] + ((const uint32_t *)(const void *)room)[i]);
    }
}

linnet_status ln_integer_run(const ln_run *r, const ln_integer *s)
{
    const ln_product *p = &s->p;
    const size_t nr = r->kernel->gemm_nr;

    if (r->phase < s->phase) {
        const size_t panels = ln_ceil_div(p->n, nr), mat = r->task / panels, panel = r->task % panels;
        const int32_t z = s->b_zero.input;
        const integer_packing w = { s, z < 0 ? NULL : r->in[z], z < 0 ? 0 : r->in_desc[z].dtype, nr };
        integer_pack(&w, r->in[s->b], mat, panel, panel + 1,
                     (float *)r->workspace + s->b_at + mat * s->packed);
        return LINNET_OK;
    }
    const size_t batch = r->task / s->unit_tasks, part = r->task % s->unit_tasks;
    const size_t m0 = part / s->n_tasks * s->m_step, m1 = LN_MIN(m0 + s->m_step, p->m);
    const size_t n0 = part % s->n_tasks * s->n_step, n = LN_MIN(s->n_step, p->n - n0);
    float *x = r->scratch, *room = x + s->rows * p->k;
    int32_t *sum = (int32_t *)(void *)(room + s->rows * s->n_step);
    const float *packed = s->constant ? s->constant : (const float *)r->workspace + s->b_at;
    size_t a, b;

    ln_product_at(p, batch, &a, &b);
    for (size_t i = m0; i < m1; i += s->rows) {
        const size_t rows = LN_MIN(s->rows, m1 - i);

        for (size_t t = 0; t < rows && p->k; t++)
            (s->load ? s->load : integer_load_row)(r, s, a, i + t, x + t * p->k);
        integer_tile(r, s, p->k ? packed + b * s->packed : NULL, rows, n0, n, x, room, sum);
        for (size_t t = 0; t < rows; t++)
            s->finish(r, s, batch, i + t, n0, n, sum + t * n);
    }
    return LINNET_OK;
}

/* ---- MatMulInteger -------------------------------------------------------------------------------- */

static void integer_store(const ln_run *r, const ln_integer *s, size_t batch, size_t row, size_t from, size_t n,
                          const int32_t *sum)
{
    memcpy((int32_t *)r->out[0] + (batch * s->p.m + row) * s->p.n + from, sum, n * sizeof *sum);
}

static const ln_matmul_form integer_form = { false, false, false, false };

static linnet_status infer(const ln_infer *q)
{
    char ta[LN_DESC_TEXT], tb[LN_DESC_TEXT];
    ln_integer_param zero;

    for (int32_t i = 0; i < q->in_count; i++)
        if (q->in[i].dtype && (!ln_integer_type(q->in[i].dtype) || q->in[i].dtype != q->in[i % 2].dtype))
            return ln_fail_type(q->err, i, q->in[i].dtype);
    if (!ln_matmul_shape(&q->in[0], &q->in[1], &integer_form, &q->out[0]))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "MatMulInteger: cannot multiply %s by %s",
                       ln_desc_text(&q->in[0], ta), ln_desc_text(&q->in[1], tb));
    if (!ln_integer_param_of(q->in, q->in_count, 2, &q->in[0], -2, &zero)
        || !ln_integer_param_of(q->in, q->in_count, 3, &q->in[1], -1, &zero))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "MatMulInteger: a zero point does not fit");
    q->out[0].dtype = LINNET_I32;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    ln_integer *s = &((state *)q->state)->product;

    s->a = 0;
    s->b = 1;
    s->finish = integer_store;
    if (!ln_integer_param_of(q->in, q->in_count, 2, &q->in[0], -2, &s->a_zero)
        || !ln_integer_param_of(q->in, q->in_count, 3, &q->in[1], -1, &s->b_zero))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "MatMulInteger: a zero point does not fit");
    return ln_integer_prepare(q, &integer_form, s);
}

static linnet_status run(const ln_run *r)
{
    return ln_integer_run(r, &((const state *)r->state)->product);
}

const ln_op ln_op_matmul_integer = {
    .name = "MatMulInteger", .state_size = sizeof(state),
    .in_min = 2, .in_max = 4,
    .infer = infer, .prepare = prepare, .run = run,
};

#undef INTEGER_TASK_MACS
