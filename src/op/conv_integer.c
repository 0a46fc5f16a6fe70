/*
 * conv_integer.c - ConvInteger and QLinearConv: convolutions of 8-bit integers, exact.
 *
 * The f32 engine does the sums: numbers less their zero points are at most 255, so 256 products
 * stay below 2^24 and every f32 sum of them is exact, in any order. The taps and channels of
 * a window are cut into chunks of so many products; chunk sums are added up as integers. So all
 * levels give the same bits.
 */
#include "conv.h"

#include <math.h>

enum { INTEGER_EXACT = 256 }; /* products of an f32 sum */
enum { INTEGER_READ, INTEGER_MAIN };

typedef struct param {
    ln_win_param win;
    int64_t      group;
} param;

/* Which input is what; -1: the operator has none. */
typedef struct integer_roles {
    const char *op;
    int32_t x, x_zero, w, w_zero, x_scale, w_scale, y_scale, y_zero, bias;
} integer_roles;
static const integer_roles integer_conv = { "ConvInteger", 0, 2, 1, 3, -1, -1, -1, -1, -1 };
static const integer_roles integer_qlinear = { "QLinearConv", 0, 2, 3, 5, 1, 4, 6, 7, 8 };

typedef struct state {
    ln_conv c;
    const integer_roles *role;
    int32_t in_count;
    size_t  chunk_taps, chunk_channels, chunks, pieces; /* pieces: of the channels, at each tap */
    size_t  read_tasks, read_step, pack_tasks;
    size_t  x_at, weight_at, scratch_tile, scratch_sum, scratch_scale;
    const float *weight;
    int32_t kind[2];
} state;

/* ---- shapes --------------------------------------------------------------------- */

static bool integer_has(const state *s, const ln_desc *in, int32_t i)
{
    return i >= 0 && i < s->in_count && in[i].dtype;
}

static bool integer_byte(int32_t type) { return type == LINNET_I8 || type == LINNET_U8; }

/* Zero point or scale i has one element, or one for each of `channels`. */
static linnet_status integer_numbers(const state *s, const ln_desc *in, int32_t i, int32_t type, size_t channels,
                                     linnet_error *err)
{
    if (!integer_has(s, in, i))
        return LINNET_OK;
    if (in[i].dtype != type)
        return ln_fail_type(err, i, in[i].dtype);
    const size_t count = ln_count(&in[i]);
    if (in[i].rank > 1 || (count != 1 && count != channels) || count == 0)
        return ln_fail(err, LINNET_ERR_SHAPE, "%s: input %d has %zu elements", s->role->op, (int)i, count);
    return LINNET_OK;
}

static linnet_status integer_geometry(const param *p, const integer_roles *role, int32_t in_count,
                                      const ln_desc *in, state *s, linnet_error *err)
{
    const ln_desc *x = &in[role->x], *w = &in[role->w];
    linnet_status st;

    s->role = role;
    s->in_count = in_count;
    if (!integer_byte(x->dtype))
        return ln_fail_type(err, role->x, x->dtype);
    if (!integer_byte(w->dtype))
        return ln_fail_type(err, role->w, w->dtype);
    if (w->rank != x->rank || w->rank < 3)
        return ln_fail(err, LINNET_ERR_SHAPE, "%s: weights of rank %d for an input of rank %d", role->op,
                       (int)w->rank, (int)x->rank);
    if ((st = ln_win_init(&s->c.win, role->op, &p->win, x, w->dim + 2, err)) != LINNET_OK
        || (st = ln_conv_channels(&s->c, role->op, p->group, w, err)) != LINNET_OK
        || (st = integer_numbers(s, in, role->x_zero, x->dtype, 1, err)) != LINNET_OK
        || (st = integer_numbers(s, in, role->w_zero, w->dtype, s->c.m, err)) != LINNET_OK
        || (st = integer_numbers(s, in, role->x_scale, LINNET_F32, 1, err)) != LINNET_OK
        || (st = integer_numbers(s, in, role->w_scale, LINNET_F32, s->c.m, err)) != LINNET_OK
        || (st = integer_numbers(s, in, role->y_scale, LINNET_F32, 1, err)) != LINNET_OK)
        return st;
    if (role->bias >= 0 && integer_has(s, in, role->bias)
        && (in[role->bias].dtype != LINNET_I32 || in[role->bias].rank != 1 || in[role->bias].dim[0] != w->dim[0]))
        return ln_fail(err, LINNET_ERR_SHAPE, "%s: the bias is not %zu numbers of i32", role->op, s->c.m);
    return LINNET_OK;
}

static linnet_status integer_infer(const ln_infer *q, const integer_roles *role)
{
    state s;
    const linnet_status st = integer_geometry(q->param, role, q->in_count, q->in, &s, q->err);

    if (st != LINNET_OK)
        return st;
    int32_t type = LINNET_I32;
    if (role->y_zero >= 0) {
        type = q->in[role->x].dtype;
        if (integer_has(&s, q->in, role->y_zero)) {
            type = q->in[role->y_zero].dtype;
            if (!integer_byte(type) || ln_count(&q->in[role->y_zero]) != 1)
                return ln_fail_type(q->err, role->y_zero, type);
        }
    }
    q->out[0] = ln_win_desc(&s.c.win, type, s.c.m, false);
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q) { return integer_infer(q, &integer_conv); }
static linnet_status integer_qlinear_infer(const ln_infer *q) { return integer_infer(q, &integer_qlinear); }

/* ---- weights ----------------------------------------------------------------------- */

/* Chunk number i: `taps` taps from tap *t on, channels [*ch, *ch + *count). */
static size_t integer_chunk(const state *s, size_t i, size_t *t, size_t *ch, size_t *count)
{
    *t = i / s->pieces * s->chunk_taps;
    *ch = i % s->pieces * s->chunk_channels;
    *count = LN_MIN(s->chunk_channels, s->c.pk - *ch);
    return LN_MIN(s->chunk_taps, s->c.tap_count - *t);
}

typedef struct integer_packing {
    const state      *s;
    const ln_kernels *kernel;
    int32_t           type;   /* of weights and zero points */
    const void       *zero;   /* NULL: 0 */
    size_t            zeros;
} integer_packing;

/* One part's weights less their zero points: [chunk][panel][taps * channels][nr]. */
static void integer_pack(const integer_packing *u, const void *w, float *out, size_t part)
{
    const ln_conv *c = &u->s->c;
    const size_t nr = u->kernel->gemm_nr, panels = ln_ceil_div(c->pn, nr), taps = c->tap_count;

    out += part * c->part_packed;
    memset(out, 0, c->part_packed * sizeof *out);
    for (size_t i = 0; i < u->s->chunks; i++) {
        size_t t0, ch0, count;
        const size_t n = integer_chunk(u->s, i, &t0, &ch0, &count), k = n * count;

        for (size_t col = 0; col < c->pn; col++) {
            const size_t m = part * c->pn + col, first = col / c->mg * c->cg;
            const int64_t zero = u->zero ? ln_get_i64(u->type, u->zero, u->zeros > 1 ? m : 0) : 0;
            float *to = out + col / nr * k * nr + col % nr;

            for (size_t t = 0; t < n; t++)
                for (size_t ch = LN_MAX(first, ch0); ch < LN_MIN(first + c->cg, ch0 + count); ch++)
                    to[(t * count + ch - ch0) * nr] =
                        (float)(ln_get_i64(u->type, w, (m * c->cg + ch - first) * taps + t0 + t) - zero);
        }
        out += panels * k * nr;
    }
}

static void integer_make(const void *ctx, const void *src, void *out)
{
    const integer_packing *u = ctx;

    for (size_t part = 0; part < u->s->c.parts; part++)
        integer_pack(u, src, out, part);
}

static linnet_status integer_derive(ln_prepare *q, state *s)
{
    const integer_roles *o = s->role;
    const bool zero = integer_has(s, q->in, o->w_zero);
    const integer_packing u = { s, q->kernel, q->in[o->w].dtype, zero ? q->value[o->w_zero] : NULL,
                                zero ? ln_count(&q->in[o->w_zero]) : 0 };
    uint64_t facts[] = { 0x696e7438, q->kernel->gemm_nr, (uint64_t)u.type, s->c.pn, s->c.pk, s->chunks,
                         s->c.group, 0 };
    const void *out = NULL;

    for (size_t i = 0; i < u.zeros; i++)
        facts[7] = facts[7] * 1000003u + (uint64_t)ln_get_i64(u.type, u.zero, i) + 1;
    const linnet_status st = ln_plan_derive(q, o->w, ln_dense_key(facts, LN_COUNT(facts)),
                                            s->c.packed * sizeof(float), integer_make, &u, &out);
    s->weight = out;
    return st;
}

/* ---- prepare ----------------------------------------------------------------------------- */

static linnet_status integer_sizes(ln_prepare *q, state *s)
{
    const size_t mr = q->kernel->gemm_mr, nr = q->kernel->gemm_nr;
    ln_conv *c = &s->c;
    size_t tile, floats = 0, pointers, scales;

    if (!ln_mul(c->tap_count, c->pk, &c->part_packed)
        || !ln_mul(c->part_packed, ln_ceil_div(c->pn, nr) * nr, &c->part_packed)
        || !ln_mul(c->part_packed, c->parts, &c->packed) || !ln_mul(c->pn, mr * sizeof(float), &tile)
        || !ln_align_up(tile, LN_ALIGN, &tile) || !ln_add(c->tap_count, 1, &pointers)
        || !ln_mul(pointers, mr * sizeof(float *), &pointers) || !ln_align_up(pointers, LN_ALIGN, &pointers)
        || !ln_add(tile, tile, &q->scratch) || !ln_add(q->scratch, pointers, &q->scratch)
        || !ln_mul(c->pn, sizeof(float), &scales) || !ln_align_up(scales, LN_ALIGN, &scales)
        || !ln_add(q->scratch, scales, &q->scratch)
        || !ln_reserve(&floats, ln_count(&q->in[s->role->x]), &s->x_at)
        || !ln_reserve(&floats, c->packed, &s->weight_at))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "%s: too large", s->role->op);
    s->scratch_tile = pointers;
    s->scratch_sum = pointers + tile;
    s->scratch_scale = pointers + 2 * tile;
    q->workspace = floats * sizeof(float);
    return LINNET_OK;
}

static linnet_status integer_prepare(ln_prepare *q, const integer_roles *role)
{
    state *s = q->state;
    ln_conv *c = &s->c;
    linnet_status st = integer_geometry(q->param, role, q->in_count, q->in, s, q->err);

    if (st != LINNET_OK)
        return st;
    q->phases = 2;
    q->tasks[0] = q->tasks[1] = 0;
    if (ln_count(&q->out[0]) == 0)
        return LINNET_OK;
    c->pixels = c->win.n * ln_pixels(c->win.out);
    ln_conv_merge_groups(c, q->kernel->gemm_nr);
    c->src = c->win;
    memcpy(c->taps, c->win.kernel, sizeof c->taps);
    c->tap_count = ln_win_taps(&c->win);
    c->run = c->pk;
    if ((st = ln_conv_tables(q, c)) != LINNET_OK || (st = integer_sizes(q, s)) != LINNET_OK)
        return st;
    const size_t cg = LN_MAX(c->cg, (size_t)1);
    s->chunk_taps = LN_MAX((size_t)INTEGER_EXACT / cg, (size_t)1);
    s->chunk_channels = c->cg <= INTEGER_EXACT ? LN_MAX(c->pk, (size_t)1) : (size_t)INTEGER_EXACT;
    s->pieces = LN_MAX(ln_ceil_div(c->pk, s->chunk_channels), (size_t)1);
    s->chunks = ln_ceil_div(c->tap_count, s->chunk_taps) * s->pieces;
    const double macs = (double)c->pixels * (double)c->m * (double)(c->tap_count * cg);
    c->tiles = ln_ceil_div(c->pixels, q->kernel->gemm_mr);
    c->step_tiles = LN_MIN((size_t)(2.0e6 / (macs / (double)(c->tiles * c->parts))) + 1, c->tiles);
    c->m_tasks = ln_ceil_div(c->tiles, c->step_tiles);
    s->read_step = LN_MAX((size_t)LN_CHUNK / LN_MAX(c->win.c, (size_t)1), (size_t)1);
    s->read_tasks = c->win.n * ln_ceil_div(ln_pixels(c->win.in), s->read_step);
    const bool zero = integer_has(s, q->in, role->w_zero);
    const bool constant = q->value[role->w] && (!zero || q->value[role->w_zero]);
    s->pack_tasks = constant ? 0 : c->parts;
    q->tasks[INTEGER_READ] = s->read_tasks + s->pack_tasks;
    q->tasks[INTEGER_MAIN] = c->m_tasks * c->parts;
    q->work = macs;
    q->flop = 2.0 * macs;
    return constant && c->packed ? integer_derive(q, s) : LINNET_OK;
}

static linnet_status prepare(ln_prepare *q) { return integer_prepare(q, &integer_conv); }
static linnet_status integer_qlinear_prepare(ln_prepare *q) { return integer_prepare(q, &integer_qlinear); }

/* ---- run ---------------------------------------------------------------------------------- */

static int64_t integer_number(const ln_run *r, const state *s, int32_t i)
{
    return integer_has(s, r->in_desc, i) ? ln_get_i64(r->in_desc[i].dtype, r->in[i], 0) : 0;
}

/* Some pixels of the input, less the zero point, as f32 channels last. */
static void integer_read(const ln_run *r, const state *s)
{
    const ln_win *w = &s->c.win;
    const size_t pixels = ln_pixels(w->in), per = ln_ceil_div(pixels, s->read_step);
    const size_t n = r->task / per, from = r->task % per * s->read_step;
    const size_t end = LN_MIN(from + s->read_step, pixels);
    const bool narrow = r->in_desc[s->role->x].dtype == LINNET_U8;
    const int32_t zero = (int32_t)integer_number(r, s, s->role->x_zero);
    float *out = (float *)r->workspace + s->x_at + n * pixels * w->c;

    for (size_t ch = 0; ch < w->c; ch++) {
        const uint8_t *x = (const uint8_t *)r->in[s->role->x] + (n * w->c + ch) * pixels;
        for (size_t i = from; i < end; i++)
            out[i * w->c + ch] = (float)((narrow ? (int32_t)x[i] : (int32_t)(int8_t)x[i]) - zero);
    }
}

/* sum[row][column] of one tile, over all chunks. */
static void integer_sum(const ln_run *r, const state *s, const float *weight, const float **a, size_t rows,
                        float *tile, uint32_t *sum)
{
    const ln_conv *c = &s->c;
    const size_t mr = r->kernel->gemm_mr, nr = r->kernel->gemm_nr, panels = ln_ceil_div(c->pn, nr);
    const float **shifted = a + c->tap_count * mr;

    memset(sum, 0, rows * c->pn * sizeof *sum);
    for (size_t i = 0; i < s->chunks; i++) {
        size_t t0, ch0, count;
        const size_t taps = integer_chunk(s, i, &t0, &ch0, &count);
        const ln_gemm_f32 g = { c->pn, count, taps, weight, NULL, { LN_FN_NONE, 0.0f, 0.0f } };
        const float **from = a + t0 * mr;

        if (ch0) { /* chunks of a part of the channels have one tap */
            for (size_t j = 0; j < rows; j++)
                shifted[j] = from[j] + ch0;
            from = shifted;
        }
        r->kernel->gemm_f32(&g, rows, from, tile, c->pn, NULL, 0, 0, c->pn);
        r->kernel->f32_to_i32(rows * c->pn, tile, (int32_t *)(void *)tile);
        for (size_t j = 0; j < rows * c->pn; j++)
            sum[j] += ((const uint32_t *)(const void *)tile)[j];
        weight += panels * taps * count * nr;
    }
}

/* What a sum of column m of part `part` is multiplied by, for all columns. */
static void integer_scales(const ln_run *r, const state *s, size_t part, float *scale)
{
    const integer_roles *o = s->role;
    const float *w = r->in[o->w_scale], x = *(const float *)r->in[o->x_scale], y = *(const float *)r->in[o->y_scale];
    const bool each = ln_count(&r->in_desc[o->w_scale]) > 1;

    for (size_t col = 0; col < s->c.pn; col++)
        scale[col] = x * w[each ? part * s->c.pn + col : 0] / y;
}

/* Sums of one pixel to bytes: scaled, rounded, saturated. In place, the bytes at the front of the row. */
static void integer_bytes(const ln_run *r, const state *s, size_t part, const float *scale, uint32_t *sum, float *row)
{
    const integer_roles *o = s->role;
    const bool narrow = r->out_desc[0].dtype == LINNET_U8;
    const size_t n = s->c.pn;

    if (integer_has(s, r->in_desc, o->bias)) {
        const uint32_t *bias = (const uint32_t *)r->in[o->bias] + part * n;
        for (size_t col = 0; col < n; col++)
            sum[col] += bias[col];
    }
    r->kernel->i32_to_f32(n, (const int32_t *)sum, row);
    r->kernel->binary_f32[LN_BIN_MUL](n, row, 1, scale, 1, row);
    r->kernel->quantize_8(n, row, 1.0f, (float)integer_number(r, s, o->y_zero), narrow ? 0.0f : -128.0f,
                          narrow ? 255.0f : 127.0f, (uint8_t *)row);
}

/* A tile to the output, which is in N, C, spatial order: pixels [i, i + rows). */
static void integer_store(const ln_run *r, const state *s, size_t part, size_t i, size_t rows,
                          const float *scale, float *tile, uint32_t *sum)
{
    const ln_conv *c = &s->c;
    const size_t out = ln_pixels(c->win.out), pn = c->pn;
    const bool bytes = s->role->y_zero >= 0;

    for (size_t j = 0; j < rows && bytes; j++)
        integer_bytes(r, s, part, scale, sum + j * pn, tile + j * pn);
    for (size_t j = 0, end; j < rows; j = end) { /* pixels of one image at a time */
        const size_t n = (i + j) / out, pixel = (i + j) % out;
        end = LN_MIN(rows, j + out - pixel);
        for (size_t col = 0; col < pn; col++) {
            const size_t at = (n * c->m + part * pn + col) * out + pixel;
            for (size_t k = j; k < end; k++)
                if (bytes)
                    ((uint8_t *)r->out[0])[at + k - j] = ((const uint8_t *)(tile + k * pn))[col];
                else
                    ((uint32_t *)r->out[0])[at + k - j] = sum[k * pn + col];
        }
    }
}

static void integer_main(const ln_run *r, const state *s)
{
    const ln_conv *c = &s->c;
    const size_t mr = r->kernel->gemm_mr, part = r->task / c->m_tasks;
    const size_t first = r->task % c->m_tasks * c->step_tiles, last = LN_MIN(first + c->step_tiles, c->tiles);
    const float *x = (const float *)r->workspace + s->x_at + part * c->pk, **a = r->scratch;
    const float *weight = (s->weight ? s->weight : (const float *)r->workspace + s->weight_at)
                          + part * c->part_packed;
    float *tile = (float *)((char *)r->scratch + s->scratch_tile);
    uint32_t *sum = (uint32_t *)((char *)r->scratch + s->scratch_sum);
    float *scale = (float *)((char *)r->scratch + s->scratch_scale);

    if (s->role->y_zero >= 0)
        integer_scales(r, s, part, scale);
    for (size_t t = first; t < last; t++) {
        const size_t i = t * mr, rows = LN_MIN(mr, c->pixels - i);
        ln_pixel o = ln_pixel_at(c->win.out, i);

        for (size_t j = 0; j < rows; j++) {
            ln_conv_pointers(c, x, &o, mr, a + j);
            ln_pixel_next(c->win.out, &o);
        }
        integer_sum(r, s, weight, a, rows, tile, sum);
        integer_store(r, s, part, i, rows, scale, tile, sum);
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const integer_roles *o = s->role;

    if (r->phase == INTEGER_MAIN) {
        integer_main(r, s);
    } else if (r->task < s->read_tasks) {
        integer_read(r, s);
    } else {
        const bool zero = integer_has(s, r->in_desc, o->w_zero);
        const integer_packing u = { s, r->kernel, r->in_desc[o->w].dtype, zero ? r->in[o->w_zero] : NULL,
                                    zero ? ln_count(&r->in_desc[o->w_zero]) : 0 };
        integer_pack(&u, r->in[o->w], (float *)r->workspace + s->weight_at, r->task - s->read_tasks);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    LN_WIN_ATTR(param),
    { "group", LN_ATTR_I64, offsetof(param, group), 1, false },
    { 0 },
};

const ln_op ln_op_conv_integer = {
    .name = "ConvInteger", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 4,
    .infer = infer, .prepare = prepare, .run = run,
};
const ln_op ln_op_qlinear_conv = {
    .name = "QLinearConv", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 8, .in_max = 9,
    .infer = integer_qlinear_infer, .prepare = integer_qlinear_prepare, .run = run,
};
