/*
 * attention_core.c - scaled dot-product attention.
 *
 * f32: keys and values are packed for the matrix kernels in blocks of keys, once for all query
 * heads that share them; a tile of query rows of one head makes whole rows of scores, which
 * stay in the cache, and multiplies by V. Keys that no row of the tile may see are skipped.
 * A few query rows (decoding) use the keys and values where they lie. Other types go through
 * doubles (attention_wide.c).
 *
 * A query that sees no key gives zeros.
 */
#include "attention.h"

#include <math.h>

enum { ATTENTION_WIDE, ATTENTION_DIRECT, ATTENTION_PACKED };
enum {
    ATTENTION_KEYS = 256,       /* of a block: K and V of 64 channels take 128 KiB */
    ATTENTION_FEW_ROWS = 3,     /* up to these, packing would cost more than the product */
    ATTENTION_TILE_ROWS = 32
};
#define ATTENTION_TASK_MACS 2.0e6

/* ---- prepare --------------------------------------------------------------------- */

static linnet_status attention_too_large(ln_prepare *q)
{
    return ln_fail(q->err, LINNET_ERR_LIMIT, "attention of these sizes is too large");
}

/* The rows of a task: whole tiles, enough work. */
static void attention_cut(ln_attention *s, size_t mr)
{
    const size_t tiles = ln_ceil_div(s->q_len, mr);

    s->tile = ln_ceil_div(s->q_len, tiles);
    const double macs = (double)s->tile * (double)s->total * (double)(s->head + s->v_head);
    const size_t per = macs >= ATTENTION_TASK_MACS ? 1 : (size_t)(ATTENTION_TASK_MACS / (macs + 1.0)) + 1;

    s->q_block = LN_MIN(s->tile * LN_MIN(per, tiles), s->q_len);
}

static linnet_status attention_packed(ln_prepare *q, ln_attention *s)
{
    const size_t nr = q->kernel->gemm_nr;
    size_t at, all, blocks, k, v;

    s->key_block = LN_MIN(s->total, (size_t)ATTENTION_KEYS);
    attention_cut(s, LN_MIN((size_t)q->kernel->gemm_mr, (size_t)ATTENTION_TILE_ROWS));
    if (!ln_align_up(q->workspace, LN_ALIGN, &at) || s->v_head > SIZE_MAX - nr
        || !ln_mul(ln_ceil_div(s->key_block, nr) * nr, s->head, &s->k_packed)
        || !ln_mul(ln_ceil_div(s->v_head, nr) * nr, s->key_block, &s->v_packed)
        || !ln_mul(s->batch * s->kv_heads, ln_ceil_div(s->total, s->key_block), &blocks)
        || !ln_mul(blocks, s->k_packed, &k) || !ln_align_up(k, LN_ALIGN / sizeof(float), &k)
        || !ln_mul(blocks, s->v_packed, &v) || !ln_add(k, v, &all)
        || !ln_mul(all, sizeof(float), &all) || !ln_add(at, all, &q->workspace)
        || !ln_mul(s->tile, s->total, &q->scratch)
        || !ln_mul(q->scratch, sizeof(float), &q->scratch))
        return attention_too_large(q);
    s->k_at = at / sizeof(float);
    s->v_at = s->k_at + k;
    return LINNET_OK;
}

linnet_status ln_attention_prepare(ln_prepare *q, ln_attention *s)
{
    const bool f32 = s->dtype == LINNET_F32 && s->head > 0
                     && (s->mask_dtype == 0 || s->mask_dtype == LINNET_F32 || s->mask_dtype == LINNET_BOOL);
    const size_t rows = s->batch * s->q_heads;
    size_t bytes;
    linnet_status st;

    s->phase = q->phases - 1;
    q->phases = s->phase + 2;
    s->key_block = LN_MAX(s->total, (size_t)1);
    s->q_block = 1;
    s->way = !f32 ? ATTENTION_WIDE : s->q_len <= ATTENTION_FEW_ROWS ? ATTENTION_DIRECT : ATTENTION_PACKED;
    if (s->total == 0 || s->v_head == 0)
        s->way = ATTENTION_WIDE;
    if (s->way == ATTENTION_PACKED) {
        if ((st = attention_packed(q, s)) != LINNET_OK)
            return st;
    } else {
        if (!ln_add(s->total, s->v_head, &bytes) || !ln_mul(bytes, sizeof(double), &bytes))
            return attention_too_large(q);
        q->scratch = LN_MAX(q->scratch, bytes);
    }
    s->key_blocks = ln_ceil_div(s->total, s->key_block);
    s->q_blocks = ln_ceil_div(s->q_len, s->q_block);
    q->tasks[s->phase] = s->batch * s->kv_heads * s->key_blocks;
    q->tasks[s->phase + 1] = rows * s->q_blocks;
    q->work += (double)rows * (double)s->q_len * (double)s->total * (double)(s->head + s->v_head);
    q->flop += 2.0 * (double)rows * (double)s->q_len * (double)s->total * (double)(s->head + s->v_head);
    return LINNET_OK;
}

/* ---- keys and values: the present cache, and packing --------------------------------- */

const char *ln_attention_token(const ln_attention *s, const void *old, const void *fresh,
                               const ln_attention_strides *at, size_t width, size_t b, size_t h, size_t j)
{
    const size_t size = (size_t)ln_dtype(s->dtype)->bits / 8;

    if (j < s->past)
        return (const char *)old + (((b * s->kv_heads + h) * s->past + j) * width) * size;
    return (const char *)fresh + (b * at->batch + h * at->head + (j - s->past) * at->row) * size;
}

static void attention_keep(const ln_attention *s, const void *old, const void *fresh,
                           const ln_attention_strides *at, size_t width, size_t b, size_t h,
                           size_t from, size_t to, void *present)
{
    const size_t bytes = width * (size_t)ln_dtype(s->dtype)->bits / 8;
    char *out = (char *)present + (b * s->kv_heads + h) * s->total * bytes;

    for (size_t j = from; bytes && j < to; j++)
        memcpy(out + j * bytes, ln_attention_token(s, old, fresh, at, width, b, h, j), bytes);
}

/* Tokens [from, to) are a block's rows; those of past and fresh lie apart. */
static void attention_pack(const ln_run *r, const ln_attention *s, const ln_attention_data *d, size_t b,
                           size_t h, size_t block, size_t from, size_t to)
{
    float *k = (float *)r->workspace + s->k_at + block * s->k_packed;
    float *v = (float *)r->workspace + s->v_at + block * s->v_packed;
    const size_t mid = from < s->past ? LN_MIN(s->past, to) : from;
    const size_t nr = r->kernel->gemm_nr;
    const float *old, *fresh;

    /* V: rows are the sum's index, so two pieces simply fill two ranges of rows. */
    old = (const float *)ln_attention_token(s, d->past_v, d->v, &s->v, s->v_head, b, h, from);
    fresh = (const float *)ln_attention_token(s, d->past_v, d->v, &s->v, s->v_head, b, h, mid);
    if (mid > from)
        r->kernel->pack_b_f32(mid - from, s->v_head, old, (ptrdiff_t)s->v_head, 1, 1.0f, 0, to - from,
                              0, s->v_head, v);
    if (to > mid)
        r->kernel->pack_b_f32(to - mid, s->v_head, fresh, (ptrdiff_t)s->v.row, 1, 1.0f, mid - from,
                              to - from, 0, s->v_head, v);
    old = (const float *)ln_attention_token(s, d->past_k, d->k, &s->k, s->head, b, h, from);
    fresh = (const float *)ln_attention_token(s, d->past_k, d->k, &s->k, s->head, b, h, mid);
    if (mid == from || mid == to) {
        r->kernel->pack_b_f32(s->head, to - from, mid == from ? fresh : old, 1,
                              (ptrdiff_t)(mid == from ? s->k.row : s->head), (float)s->scale, 0, s->head, 0,
                              to - from, k);
        return;
    }
    /* K: tokens are columns; a panel may hold both pieces. */
    for (size_t j = 0; j < ln_ceil_div(to - from, nr) * nr; j++) {
        const float *x = j >= to - from ? NULL : j < mid - from ? old + j * s->head
                                                                : fresh + (j - (mid - from)) * s->k.row;
        for (size_t p = 0; p < s->head; p++)
            k[(j / nr * s->head + p) * nr + j % nr] = x ? x[p] * (float)s->scale : 0.0f;
    }
}

static void attention_store_keys(const ln_run *r, const ln_attention *s, const ln_attention_data *d)
{
    const size_t block = r->task % s->key_blocks, bh = r->task / s->key_blocks;
    const size_t b = bh / s->kv_heads, h = bh % s->kv_heads;
    const size_t from = block * s->key_block, to = LN_MIN(from + s->key_block, s->total);

    if (d->present_k)
        attention_keep(s, d->past_k, d->k, &s->k, s->head, b, h, from, to, d->present_k);
    if (d->present_v)
        attention_keep(s, d->past_v, d->v, &s->v, s->v_head, b, h, from, to, d->present_v);
    if (s->way == ATTENTION_PACKED)
        attention_pack(r, s, d, b, h, r->task, from, to);
}

/* ---- which keys a query sees ------------------------------------------------------------ */

/* Is what a query sees, before the mask, a matter of where it stands? */
static bool attention_varies(const ln_attention *s) { return s->causal || s->left >= 0 || s->right >= 0; }

void ln_attention_window(const ln_attention *s, const ln_attention_data *d, size_t b, size_t i, size_t *from,
                         size_t *to)
{
    const int64_t total = (int64_t)s->total;
    int64_t valid = total, offset = (int64_t)s->past, lo = 0, hi = total;

    *from = 0;
    *to = s->total;
    if (!attention_varies(s) && !d->lengths && !s->mask_dtype)
        return;
    if (d->lengths) {
        valid = LN_MIN(LN_MAX(d->lengths[b], (int64_t)0), total);
        if (!d->past_k)
            offset = valid - (int64_t)s->q_len;
    }
    const int64_t at = offset + (int64_t)i;
    hi = LN_MIN(hi, valid);
    if (s->causal)
        hi = LN_MIN(hi, at + 1);
    if (s->right >= 0 && s->right < total - at)
        hi = LN_MIN(hi, at + s->right + 1);
    if (s->left >= 0 && s->left < at)
        lo = at - s->left;
    if (s->mask_dtype)
        hi = LN_MIN(hi, (int64_t)s->mask_len);
    hi = LN_MAX(hi, (int64_t)0);
    *to = (size_t)hi;
    *from = (size_t)LN_MIN(lo, hi);
}

size_t ln_attention_mask_at(const ln_attention *s, size_t b, size_t h, size_t i)
{
    return b * s->mask_batch + h * s->mask_head + i * s->mask_row;
}

/* ---- f32 ------------------------------------------------------------------------------------ */

static void attention_mask_f32(const ln_run *r, const ln_attention *s, const ln_attention_data *d, size_t mask,
                               size_t n, float *x)
{
    if (s->mask_dtype == LINNET_BOOL)
        r->kernel->mask_8(n, (const uint8_t *)d->mask + mask, x);
    else if (s->plain) /* a sum like any other */
        r->kernel->binary_f32[LN_BIN_ADD](n, x, 1, (const float *)d->mask + mask, 1, x);
    else
        r->kernel->mask_f32(n, (const float *)d->mask + mask, x);
}

static void attention_hide(float *x, size_t from, size_t to)
{
    for (; from < to; from++)
        x[from] = -INFINITY;
}

/* A row of scores, for keys [lo, hi), becomes what softmax takes: -inf at keys that query i does not see. */
static void attention_row(const ln_run *r, const ln_attention *s, const ln_attention_data *d, size_t b,
                          size_t h, size_t i, size_t lo, size_t hi, float *x)
{
    const ln_unary_f32 *unary = r->kernel->unary_f32;
    float *shown = d->qk ? (float *)d->qk + ((b * s->q_heads + h) * s->q_len + i) * s->total : NULL;
    const size_t bytes = s->total * sizeof *x;
    size_t from, to;

    if (shown && s->qk_mode == LN_QK_RAW)
        memcpy(shown, x, bytes);
    if (s->softcap > 0.0f) {
        unary[LN_FN_AFFINE](hi - lo, x + lo, x + lo, 1.0f / s->softcap, 0.0f);
        unary[LN_FN_TANH](hi - lo, x + lo, x + lo, 0.0f, 0.0f);
        unary[LN_FN_AFFINE](hi - lo, x + lo, x + lo, s->softcap, 0.0f);
    }
    if (shown && s->qk_mode == LN_QK_SOFTCAP)
        memcpy(shown, x, bytes);
    ln_attention_window(s, d, b, i, &from, &to);
    from = LN_MIN(LN_MAX(from, lo), hi);
    to = LN_MIN(LN_MAX(to, from), hi);
    if (s->mask_dtype && to > from)
        attention_mask_f32(r, s, d, ln_attention_mask_at(s, b, h, i) + from, to - from, x + from);
    attention_hide(x, lo, from);
    attention_hide(x, to, hi);
    if (shown && s->qk_mode == LN_QK_MASKED)
        memcpy(shown, x, bytes);
}

/* Scores of queries [i, i + rows), for keys [lo, hi) of each, become weights. */
static void attention_weights(const ln_run *r, const ln_attention *s, const ln_attention_data *d, size_t b, size_t h,
                              size_t i, size_t rows, size_t lo, size_t hi, float *x)
{
    float *shown = d->qk ? (float *)d->qk + ((b * s->q_heads + h) * s->q_len + i) * s->total : NULL;

    for (size_t t = 0; t < rows; t++)
        attention_row(r, s, d, b, h, i + t, lo, hi, x + t * s->total);
    if (hi > lo)
        r->kernel->softmax_rows_f32(rows, hi - lo, x + lo, s->total, !s->plain);
    if (shown && s->qk_mode == LN_QK_SOFTMAX)
        memcpy(shown, x, rows * s->total * sizeof *x);
}

static const float *attention_f32(const ln_attention *s, const void *old, const void *fresh,
                                  const ln_attention_strides *at, size_t width, size_t b, size_t h, size_t j)
{
    return (const float *)ln_attention_token(s, old, fresh, at, width, b, h, j);
}

static void attention_direct(const ln_run *r, const ln_attention *s, const ln_attention_data *d, size_t b,
                             size_t h, size_t i)
{
    const size_t group = h / (s->q_heads / s->kv_heads);
    const float *q = (const float *)d->q + b * s->q.batch + h * s->q.head + i * s->q.row;
    float *x = r->scratch;
    size_t from = 0, to = s->total;

    if (!d->qk)
        ln_attention_window(s, d, b, i, &from, &to);
    const size_t mid = LN_MAX(from, LN_MIN(s->past, to)); /* keys of the past, then fresh ones */
    if (mid > from)
        r->kernel->attend_scores_f32(s->head, mid - from, q,
                                     attention_f32(s, d->past_k, d->k, &s->k, s->head, b, group, from), s->head,
                                     (float)s->scale, x + from);
    if (to > mid)
        r->kernel->attend_scores_f32(s->head, to - mid, q,
                                     attention_f32(s, d->past_k, d->k, &s->k, s->head, b, group, mid), s->k.row,
                                     (float)s->scale, x + mid);
    attention_weights(r, s, d, b, h, i, 1, from, to, x);
    if (!d->y)
        return;
    float *y = (float *)d->y + b * s->y.batch + h * s->y.head + i * s->y.row;
    memset(y, 0, s->v_head * sizeof *y);
    if (mid > from)
        r->kernel->attend_values_f32(s->v_head, mid - from, x + from,
                                     attention_f32(s, d->past_v, d->v, &s->v, s->v_head, b, group, from), s->v_head,
                                     y, y);
    if (to > mid)
        r->kernel->attend_values_f32(s->v_head, to - mid, x + mid,
                                     attention_f32(s, d->past_v, d->v, &s->v, s->v_head, b, group, mid), s->v.row,
                                     y, y);
}

/* The union of what queries [i, i + rows) see, in whole blocks from the left; all of it where scores are shown. */
static void attention_span(const ln_attention *s, const ln_attention_data *d, size_t b, size_t i, size_t rows,
                           size_t *lo, size_t *hi)
{
    *lo = s->total;
    *hi = 0;
    for (size_t t = 0; t < (attention_varies(s) ? rows : 1); t++) {
        size_t from, to;
        ln_attention_window(s, d, b, i + t, &from, &to);
        if (from < to) {
            *lo = LN_MIN(*lo, from);
            *hi = LN_MAX(*hi, to);
        }
    }
    if (d->qk || *lo >= *hi) {
        *lo = 0;
        *hi = d->qk ? s->total : LN_MIN(s->key_block, s->total);
    }
    *lo -= *lo % s->key_block;
}

/* Queries [i, i + rows), one tile. */
static void attention_tile(const ln_run *r, const ln_attention *s, const ln_attention_data *d, size_t b, size_t h,
                           size_t i, size_t rows)
{
    const size_t first = (b * s->kv_heads + h / (s->q_heads / s->kv_heads)) * s->key_blocks;
    const float *q = (const float *)d->q + b * s->q.batch + h * s->q.head + i * s->q.row;
    const float *packed = r->workspace, *row[ATTENTION_TILE_ROWS];
    ln_gemm_f32 g = { 0, s->head, 1, NULL, NULL, { LN_FN_NONE, 0, 0 } };
    float *x = r->scratch;
    size_t lo, hi;

    attention_span(s, d, b, i, rows, &lo, &hi);
    for (size_t t = 0; t < rows; t++)
        row[t] = q + t * s->q.row;
    for (size_t k = lo; k < hi; k += s->key_block) {
        g.n = LN_MIN(s->key_block, hi - k);
        g.b = packed + s->k_at + (first + k / s->key_block) * s->k_packed;
        r->kernel->gemm_f32(&g, rows, row, x + k, s->total, NULL, 0, 0, g.n);
    }
    attention_weights(r, s, d, b, h, i, rows, lo, hi, x);
    if (!d->y)
        return;
    float *y = (float *)d->y + b * s->y.batch + h * s->y.head + i * s->y.row;
    for (size_t k = lo; k < hi; k += s->key_block) {
        const size_t all = LN_MIN(s->key_block, s->total - k);
        const float *v = packed + s->v_at + (first + k / s->key_block) * s->v_packed;

        g.k = LN_MIN(all, hi - k);
        for (size_t t = 0; t < rows; t++)
            row[t] = x + t * s->total + k;
        const size_t step = g.k < all ? r->kernel->gemm_nr : s->v_head; /* panels one by one may end early */
        for (size_t j = 0; j < s->v_head; j += step) {
            g.n = LN_MIN(step, s->v_head - j);
            g.b = v + j * all;
            r->kernel->gemm_f32(&g, rows, row, y + j, s->y.row, k > lo ? y + j : NULL, s->y.row, 0, g.n);
        }
    }
}

linnet_status ln_attention_run(const ln_run *r, const ln_attention *s, const ln_attention_data *d)
{
    if (r->phase == s->phase) {
        attention_store_keys(r, s, d);
        return LINNET_OK;
    }
    const size_t bh = r->task / s->q_blocks, b = bh / s->q_heads, h = bh % s->q_heads;
    const size_t from = r->task % s->q_blocks * s->q_block, to = LN_MIN(from + s->q_block, s->q_len);

    if (s->way == ATTENTION_PACKED) {
        for (size_t i = from; i < to; i += s->tile)
            attention_tile(r, s, d, b, h, i, LN_MIN(s->tile, to - i));
        return LINNET_OK;
    }
    for (size_t i = from; i < to; i++) {
        if (s->way == ATTENTION_DIRECT)
            attention_direct(r, s, d, b, h, i);
        else
            ln_attention_wide(r, s, d, b, h, i);
    }
    return LINNET_OK;
}

#undef ATTENTION_TASK_MACS
