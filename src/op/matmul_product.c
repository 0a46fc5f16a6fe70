/*
 * matmul_product.c - batched matrix products with bias, addend, residual and activation.
 *
 * f32 goes one of four ways: the packed engine of dense.h (B packed once where it is
 * constant, in a first phase where it is not), seven products of half its size, sums of rows of B where so few rows of A are
 * there that packing would cost more than the product, and dot products where B's columns are
 * contiguous. All other types, and products over nothing (k = 0), take plain loops.
 */
#include "dense.h"

enum { PRODUCT_PLAIN, PRODUCT_PACKED, PRODUCT_SEVEN, PRODUCT_PACK, PRODUCT_ROWS, PRODUCT_DOTS };
enum {
    PRODUCT_FEW_ROWS = 4, /* up to these, non-constant B is not worth packing */
    PRODUCT_PLAIN_ROWS = 4
};
#define PRODUCT_TASK_FLOATS ((size_t)1 << 18)

bool ln_product_type(int32_t dtype)
{
    return dtype == LINNET_F32 || dtype == LINNET_F64 || dtype == LINNET_F16
           || dtype == LINNET_BF16 || dtype == LINNET_I32 || dtype == LINNET_U32
           || dtype == LINNET_I64 || dtype == LINNET_U64;
}

/* ---- prepare ------------------------------------------------------------- */

static void product_drop_axis(ln_product *p, int32_t axis)
{
    for (int32_t i = axis; i + 1 < p->axes; i++) {
        p->dim[i] = p->dim[i + 1];
        p->a_stride[i] = p->a_stride[i + 1];
        p->b_stride[i] = p->b_stride[i + 1];
    }
    p->axes--;
}

/* Batches that share B are rows of one taller product. */
static void product_merge(ln_product *p)
{
    for (int32_t i = p->axes - 1; i >= 0; i--)
        if (p->dim[i] == 1)
            product_drop_axis(p, i);
    while (p->axes > 0 && p->c < 0 && p->a_cs == 1 && p->b_stride[p->axes - 1] == 0
           && p->a_stride[p->axes - 1] == 1 && p->a_unit == p->m * p->a_rs) {
        const size_t dim = p->dim[p->axes - 1];

        p->m *= dim;
        p->batch /= dim;
        p->a_unit *= dim;
        p->axes--;
        for (int32_t i = 0; i < p->axes; i++)
            p->a_stride[i] /= dim;
    }
    p->a_mats = p->b_mats = 1;
    for (int32_t i = 0; i < p->axes; i++) {
        p->a_mats *= p->a_stride[i] ? p->dim[i] : 1;
        p->b_mats *= p->b_stride[i] ? p->dim[i] : 1;
    }
}

/* Strides along an axis of one element mean nothing: give them the handiest value. */
static void product_normalise(ln_product *p)
{
    if (p->k == 1) {
        p->a_cs = 1;
        p->b_rs = p->n;
    }
    if (p->m == 1)
        p->a_rs = p->k;
    if (p->n == 1)
        p->b_cs = 1;
}

static int32_t product_pick(const ln_product *p, bool constant)
{
    if (p->dtype != LINNET_F32 || p->k == 0)
        return PRODUCT_PLAIN;
    if (p->n == 1 && p->b_rs == 1)
        return PRODUCT_DOTS;
    if (constant)
        return PRODUCT_PACKED;
    if (p->m <= PRODUCT_FEW_ROWS && p->b_rs == 1)
        return PRODUCT_DOTS;
    return p->m <= PRODUCT_FEW_ROWS && p->b_cs == 1 ? PRODUCT_ROWS : PRODUCT_PACK;
}

/* The cut of ways that do not use the packed engine. */
static void product_cut(ln_product *p)
{
    ln_dense *d = &p->dense;
    const size_t k = LN_MAX(p->k, (size_t)1);

    d->m = p->m;
    d->n = p->n;
    d->k = p->k;
    d->m_step = p->m;
    d->n_step = p->n;
    if (p->way == PRODUCT_PLAIN)
        d->m_step = LN_MAX(PRODUCT_TASK_FLOATS / k / p->n, (size_t)PRODUCT_PLAIN_ROWS);
    else if (p->n == 1)
        d->m_step = LN_MAX(PRODUCT_TASK_FLOATS / k, (size_t)1);
    else
        d->n_step = LN_MIN(LN_MAX(PRODUCT_TASK_FLOATS / k / 64, (size_t)1), (size_t)64) * 64;
    d->m_step = LN_MIN(d->m_step, d->m);
    d->n_step = LN_MIN(d->n_step, d->n);
    d->n_tasks = ln_ceil_div(d->n, d->n_step);
    d->tasks = d->n_tasks * ln_ceil_div(d->m, d->m_step);
}

/* Workspace and tasks of the phase that packs B and turns A. */
static linnet_status product_first_phase(ln_prepare *q, ln_product *p)
{
    const bool turn = p->way != PRODUCT_PLAIN && p->a_cs != 1;
    size_t b_floats = 0, a_floats = 0, all;

    if (p->way == PRODUCT_PACK) {
        p->b_per = LN_MAX((size_t)LN_CHUNK / p->dense.packed, (size_t)1);
        p->b_pack = p->dense.pack_tasks > 1 ? p->b_mats * p->dense.pack_tasks
                                            : ln_ceil_div(p->b_mats, p->b_per);
        if (!ln_mul(p->dense.packed, p->b_mats, &b_floats)
            || !ln_align_up(b_floats, LN_ALIGN / sizeof(float), &b_floats))
            return ln_fail(q->err, LINNET_ERR_LIMIT, "packed matrices of %zu x %zu are too large",
                           p->k, p->n);
    }
    p->a_at = b_floats;
    if (turn && (!ln_mul(p->m, p->k, &a_floats) || !ln_mul(a_floats, p->a_mats, &a_floats)))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "transposed matrices of %zu x %zu are too large",
                       p->m, p->k);
    if (b_floats + a_floats == 0)
        return LINNET_OK;
    if (!ln_add(b_floats, a_floats, &all) || !ln_mul(all, sizeof(float), &q->workspace))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "a product of %zu x %zu x %zu is too large", p->m,
                       p->k, p->n);
    q->tasks[0] = p->b_pack + (turn ? p->a_mats : 0);
    q->phases = 2;
    p->last = 1;
    return LINNET_OK;
}

/*
 * Constant B for the packed engine, or for seven products where each of the matrices of A is large enough: the pairs
 * of rows may not depend on how many of them there are.
 */
static linnet_status product_constant(ln_prepare *q, ln_product *p, size_t rows)
{
    const ln_dense_b b = { p->b_mats, p->b_unit, p->b_rs, p->b_cs, p->alpha, 0 };
    const bool bias = p->c >= 0 && p->beta == 1.0f && p->c_rs == 0 && p->c_cs == 1 && p->bias < 0;

    p->dense.turn = p->turn;
    if (q->exact || p->turn || p->batch != 1 || (rows % 2 && rows != p->m) || (p->c >= 0 && !bias) || !ln_seven_init(&p->seven, q->kernel, rows, p->n, p->k)
        || !ln_seven_init(&p->seven, q->kernel, p->m, p->n, p->k))
        return ln_dense_derive(q, 1, &p->dense, &b, &p->packed);
    p->way = PRODUCT_SEVEN;
    p->dense.tasks = p->seven.tasks;
    q->scratch = p->seven.scratch;
    if (bias)
        p->bias = p->c;
    return ln_seven_derive(q, 1, &p->seven, &b, &p->packed);
}

linnet_status ln_product_prepare(ln_prepare *q, ln_product *p)
{
    const bool constant = q->value[1] != NULL;
    const size_t rows = p->m;
    linnet_status st;

    if (p->batch == 0 || p->m == 0 || p->n == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    product_normalise(p);
    product_merge(p);
    p->way = product_pick(p, constant);
    if (p->way == PRODUCT_PACKED || p->way == PRODUCT_PACK) {
        if (!ln_dense_init(&p->dense, q->kernel, p->m, p->n, p->k))
            return ln_fail(q->err, LINNET_ERR_LIMIT, "a matrix of %zu x %zu is too large", p->k, p->n);
    } else {
        product_cut(p);
    }
    if (p->way == PRODUCT_PACKED) {
        if ((st = product_constant(q, p, rows)) != LINNET_OK)
            return st;
        q->unread |= 1u << 1;
    }
    if ((st = product_first_phase(q, p)) != LINNET_OK)
        return st;
    const double macs = (double)p->m * (double)p->n * (double)LN_MAX(p->k, (size_t)1);
    p->per_task = 1;
    if (p->dense.tasks == 1 && macs < 1.0e6)
        p->per_task = LN_MIN(p->batch, (size_t)(1.0e6 / macs) + 1);
    q->tasks[p->last] = ln_ceil_div(p->batch, p->per_task) * p->dense.tasks;
    if (p->way == PRODUCT_PLAIN
        && !ln_mul(p->n, (PRODUCT_PLAIN_ROWS + 1) * sizeof(double), &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "rows of %zu elements are too long", p->n);
    q->work = macs * (double)p->batch;
    q->flop = 2.0 * (double)p->m * (double)p->n * (double)p->k * (double)p->batch;
    return LINNET_OK;
}

/* ---- the first phase ------------------------------------------------------- */

static void product_pack(const ln_run *r, const ln_product *p)
{
    const ln_dense *d = &p->dense;
    const ln_dense_b at = { 1, 0, p->b_rs, p->b_cs, p->alpha, 0 };
    float *out = r->workspace;

    if (d->pack_tasks > 1) {
        const size_t i = r->task / d->pack_tasks;
        ln_dense_pack(d, r->kernel, (const float *)r->in[1] + i * p->b_unit, &at,
                      out + i * d->packed, r->task % d->pack_tasks);
        return;
    }
    const size_t end = LN_MIN((r->task + 1) * p->b_per, p->b_mats);
    for (size_t i = r->task * p->b_per; i < end; i++)
        ln_dense_pack(d, r->kernel, (const float *)r->in[1] + i * p->b_unit, &at,
                      out + i * d->packed, 0);
}

/* A stored by columns becomes rows. */
static void product_turn(const ln_run *r, const ln_product *p, size_t i)
{
    const float *a = (const float *)r->in[0] + i * p->a_unit;
    float *out = (float *)r->workspace + p->a_at + i * p->m * p->k;

    if (p->a_rs == 1) {
        r->kernel->transpose_32(p->k, p->m, a, p->a_cs, out, p->k);
        return;
    }
    for (size_t x = 0; x < p->m; x++)
        for (size_t y = 0; y < p->k; y++)
            out[x * p->k + y] = a[x * p->a_rs + y * p->a_cs];
}

/* ---- the last phase, f32 ------------------------------------------------------ */

/* What one batch multiplies. */
typedef struct product_part {
    size_t       batch, a, b; /* index of the batch and of its matrices */
    const float *x;           /* rows of A, `ldx` apart */
    size_t       ldx;
    float       *y;
} product_part;

void ln_product_at(const ln_product *p, size_t batch, size_t *a, size_t *b)
{
    *a = *b = 0;
    for (int32_t i = p->axes - 1; i >= 0; i--) {
        const size_t at = batch % p->dim[i];

        batch /= p->dim[i];
        *a += at * p->a_stride[i];
        *b += at * p->b_stride[i];
    }
}

static const float *product_f32(const ln_run *r, int32_t input)
{
    return input < 0 ? NULL : r->in[input];
}

/* y = bias + beta * C + residual for a block of rows and columns. */
static void product_start(const ln_run *r, const ln_product *p, const product_part *u, const size_t m[2],
                          const size_t n[2], bool with_bias)
{
    const float *bias = with_bias ? product_f32(r, p->bias) : NULL;
    const float *c = product_f32(r, p->c), *more = product_f32(r, p->residual);

    for (size_t i = m[0]; i < m[1]; i++) {
        const size_t at = i * p->n;

        for (size_t j = n[0]; j < n[1]; j++) {
            float v = bias ? bias[j] : 0.0f;
            if (c)
                v += p->beta * c[i * p->c_rs + j * p->c_cs];
            if (more)
                v += more[u->batch * p->m * p->n + at + j];
            u->y[at + j] = v;
        }
    }
}

static void product_packed(const ln_run *r, const ln_product *p, const product_part *u, size_t task)
{
    const float *packed = p->way == PRODUCT_PACKED ? p->packed : r->workspace;
    const float *c = product_f32(r, p->c), *more = product_f32(r, p->residual);
    ln_gemm_f32 g = { p->n, p->k, 1, packed + u->b * p->dense.packed, product_f32(r, p->bias), p->act };
    const float *add = NULL;
    size_t ldadd = p->n;

    if (c && !more && p->beta == 1.0f && (p->c_cs == 1 || p->n == 1)) {
        if (p->c_rs == 0 && p->m > 1 && !g.bias) {
            g.bias = c;
        } else {
            add = c;
            ldadd = p->c_rs;
        }
    } else if (c) {
        size_t m[2], n[2];
        ln_dense_range(&p->dense, task, m, n);
        product_start(r, p, u, m, n, false);
        add = u->y;
    } else if (more) {
        add = more + u->batch * p->m * p->n;
    }
    ln_dense_run(&p->dense, r->kernel, &g, u->x, u->ldx, u->y, p->n, add, ldadd, task);
}

static void product_seven(const ln_run *r, const ln_product *p, const product_part *u, size_t task)
{
    const ln_gemm_f32 g = { p->n, p->k, 1, p->packed, product_f32(r, p->bias), p->act };

    ln_seven_run(&p->seven, r->kernel, &g, u->x, u->ldx, u->y, p->n, product_f32(r, p->residual), p->n, r->scratch,
                 task);
}

/* Few rows of A: rows of B times one number each, or dot products with columns of B. */
static void product_direct(const ln_run *r, const ln_product *p, const product_part *u, size_t task)
{
    const ln_kernels *kernel = r->kernel;
    const float *b = (const float *)r->in[1] + u->b * p->b_unit;
    size_t m[2], n[2];

    ln_dense_range(&p->dense, task, m, n);
    product_start(r, p, u, m, n, true);
    if (p->way == PRODUCT_ROWS) {
        for (size_t t = 0; t < p->k; t++)
            for (size_t i = m[0]; i < m[1]; i++)
                kernel->axpy_f32(n[1] - n[0], p->alpha * u->x[i * u->ldx + t],
                                 b + t * p->b_rs + n[0], u->y + i * p->n + n[0]);
    } else {
        for (size_t j = n[0]; j < n[1]; j++)
            for (size_t i = m[0]; i < m[1]; i++)
                u->y[i * p->n + j] +=
                    p->alpha * kernel->dot_f32(p->k, u->x + i * u->ldx, b + j * p->b_cs);
    }
    if (p->act.fn == LN_FN_NONE)
        return;
    const size_t whole = p->n == 1 ? m[1] - m[0] : 0; /* a column without gaps */
    for (size_t i = m[0]; i < (whole ? m[0] + 1 : m[1]); i++) {
        float *y = u->y + i * p->n + n[0];
        kernel->unary_f32[p->act.fn](whole ? whole : n[1] - n[0], y, y, p->act.a, p->act.b);
    }
}

/* ---- the last phase, plain ------------------------------------------------------ */

/* alpha * sum + bias + beta * C + residual for row i, in doubles; rounds once. */
static void product_finish(const ln_run *r, const ln_product *p, const product_part *u, size_t i,
                           int32_t sum_type, const void *sum)
{
    const size_t at = u->batch * p->m * p->n + i * p->n;

    for (size_t j = 0; j < p->n; j++) {
        double v = (double)p->alpha * ln_get_f64(sum_type, sum, j);
        if (p->bias >= 0)
            v += ln_get_f64(p->dtype, r->in[p->bias], j);
        if (p->c >= 0)
            v += (double)p->beta * ln_get_f64(p->dtype, r->in[p->c], i * p->c_rs + j * p->c_cs);
        if (p->residual >= 0)
            v += ln_get_f64(p->dtype, r->in[p->residual], at + j);
        ln_set_f64(p->dtype, r->out[0], at + j, v);
    }
}

/* Row i of the product in type T; integers are unsigned here, so that they wrap. */
#define PRODUCT_ROW(NAME, T)                                                                      \
    static void NAME(const ln_run *r, const ln_product *p, const product_part *u, size_t i)       \
    {                                                                                             \
        const T *a = (const T *)r->in[0] + (p->k ? u->a * p->a_unit + i * p->a_rs : 0);           \
        const T *b = (const T *)r->in[1] + (p->k ? u->b * p->b_unit : 0);                         \
        T *sum = r->scratch;                                                                      \
                                                                                                  \
        memset(sum, 0, p->n * sizeof(T));                                                         \
        for (size_t t = 0; t < p->k; t++) {                                                       \
            const T x = a[t * p->a_cs], *row = b + t * p->b_rs;                                   \
            for (size_t j = 0; j < p->n; j++)                                                     \
                sum[j] += x * row[j * p->b_cs];                                                   \
        }                                                                                         \
        if (p->alpha != 1.0f || p->beta != 1.0f) {                                                \
            product_finish(r, p, u, i, p->dtype, sum);                                            \
            return;                                                                               \
        }                                                                                         \
        const size_t at = u->batch * p->m * p->n + i * p->n;                                      \
        const T *bias = p->bias < 0 ? NULL : r->in[p->bias];                                      \
        const T *c = p->c < 0 ? NULL : r->in[p->c];                                               \
        const T *more = p->residual < 0 ? NULL : r->in[p->residual];                              \
        T *out = r->out[0];                                                                       \
        for (size_t j = 0; j < p->n; j++)                                                         \
            out[at + j] = sum[j] + (bias ? bias[j] : 0)                                           \
                          + (c ? c[i * p->c_rs + j * p->c_cs] : 0) + (more ? more[at + j] : 0);   \
    }

PRODUCT_ROW(product_row_f64, double)
PRODUCT_ROW(product_row_u32, uint32_t)
PRODUCT_ROW(product_row_u64, uint64_t)

/* Rows [i, end), at most PRODUCT_PLAIN_ROWS, of 16-bit floats (or f32), summed in f32. */
static void product_rows_f32(const ln_run *r, const ln_product *p, const product_part *u, size_t i,
                             size_t end)
{
    const size_t a0 = u->a * p->a_unit, b0 = u->b * p->b_unit;
    float *sum = r->scratch, *row = sum + PRODUCT_PLAIN_ROWS * p->n;

    memset(sum, 0, PRODUCT_PLAIN_ROWS * p->n * sizeof *sum);
    for (size_t t = 0; t < p->k; t++) {
        if (p->b_cs == 1)
            ln_to_f32(p->dtype, (const uint16_t *)r->in[1] + b0 + t * p->b_rs, p->n, row);
        else
            for (size_t j = 0; j < p->n; j++)
                row[j] = (float)ln_get_f64(p->dtype, r->in[1], b0 + t * p->b_rs + j * p->b_cs);
        for (size_t x = i; x < end; x++)
            r->kernel->axpy_f32(p->n, (float)ln_get_f64(p->dtype, r->in[0], a0 + x * p->a_rs + t * p->a_cs),
                                row, sum + (x - i) * p->n);
    }
    for (size_t x = i; x < end; x++)
        product_finish(r, p, u, x, LINNET_F32, sum + (x - i) * p->n);
}

static void product_plain(const ln_run *r, const ln_product *p, const product_part *u, size_t task)
{
    size_t m[2], n[2];

    ln_dense_range(&p->dense, task, m, n);
    for (size_t i = m[0]; i < m[1];) {
        if (p->dtype == LINNET_F64) {
            product_row_f64(r, p, u, i++);
        } else if (p->dtype == LINNET_I32 || p->dtype == LINNET_U32) {
            product_row_u32(r, p, u, i++);
        } else if (p->dtype == LINNET_I64 || p->dtype == LINNET_U64) {
            product_row_u64(r, p, u, i++);
        } else {
            const size_t end = LN_MIN(i + PRODUCT_PLAIN_ROWS, m[1]);
            product_rows_f32(r, p, u, i, end);
            i = end;
        }
    }
    if (p->act.fn != LN_FN_NONE && p->dtype == LINNET_F32) {
        float *y = u->y + m[0] * p->n;
        r->kernel->unary_f32[p->act.fn]((m[1] - m[0]) * p->n, y, y, p->act.a, p->act.b);
    }
}

linnet_status ln_product_run(const ln_run *r, const ln_product *p)
{
    if (r->phase < p->last) {
        if (r->task < p->b_pack)
            product_pack(r, p);
        else
            product_turn(r, p, r->task - p->b_pack);
        return LINNET_OK;
    }
    const bool f32 = p->way != PRODUCT_PLAIN;
    const size_t from = r->task / p->dense.tasks * p->per_task;
    const size_t end = LN_MIN(from + p->per_task, p->batch);

    for (size_t i = from; i < end; i++) {
        product_part u = { i, 0, 0, NULL, p->a_rs, NULL };

        ln_product_at(p, i, &u.a, &u.b);
        if (p->dtype == LINNET_F32)
            u.y = (float *)r->out[0] + i * p->m * p->n;
        if (f32 && p->a_cs == 1) {
            u.x = (const float *)r->in[0] + u.a * p->a_unit;
        } else if (f32) {
            u.x = (const float *)r->workspace + p->a_at + u.a * p->m * p->k;
            u.ldx = p->k;
        }
        if (!f32)
            product_plain(r, p, &u, r->task % p->dense.tasks);
        else if (p->way == PRODUCT_ROWS || p->way == PRODUCT_DOTS)
            product_direct(r, p, &u, r->task % p->dense.tasks);
        else if (p->way == PRODUCT_SEVEN)
            product_seven(r, p, &u, r->task % p->dense.tasks);
        else
            product_packed(r, p, &u, r->task % p->dense.tasks);
    }
    return LINNET_OK;
}

#undef PRODUCT_TASK_FLOATS
#undef PRODUCT_ROW
