/*
 * tf_idf_vectorizer.c - TfIdfVectorizer: how often each n-gram of a pool occurs in a row of numbers or texts.
 *
 * An n-gram may leave out up to max_skip_count elements between its own, the same number each time. Single
 * elements do not skip. Each place of each skip is compared with the n-grams of its length.
 */
#include "op.h"

typedef struct param {
    int64_t     least, most, skip;
    const char *mode;
    ln_ints     counts, indexes, pool_i;
    ln_strs     pool_s;
    ln_floats   weights;
} param;

static size_t idf_pool(const param *p) { return p->pool_s.v ? p->pool_s.count : p->pool_i.count; }

/* Where the n-grams of length n begin and end in the pool; their first number among all n-grams. False: none. */
static bool idf_range(const param *p, size_t n, size_t *from, size_t *end, size_t *number)
{
    *number = 0;
    if (n > p->counts.count)
        return false;
    for (size_t k = 1; k < n; k++)
        *number += (size_t)(p->counts.v[k] - p->counts.v[k - 1]) / k;
    *from = (size_t)p->counts.v[n - 1];
    *end = n < p->counts.count ? (size_t)p->counts.v[n] : idf_pool(p);
    return true;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0];
    const size_t pool = idf_pool(p);
    size_t grams = 0, from, end, number;
    int64_t width = 0;

    if (p->pool_s.v ? x->dtype != LINNET_STRING : x->dtype != LINNET_I32 && x->dtype != LINNET_I64)
        return ln_fail_type(q->err, 0, x->dtype);
    if (x->rank < 1 || x->rank > 2 || p->least < 1 || p->most < p->least || p->most > 1024 || p->skip < 0 ||
        p->skip > INT32_MAX ||
        p->counts.count == 0 || p->counts.v[0] != 0)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "TfIdfVectorizer: input or lengths are not possible");
    for (size_t n = 1; n <= p->counts.count; n++) {
        const int64_t next = n < p->counts.count ? p->counts.v[n] : (int64_t)pool;
        if (next < p->counts.v[n - 1] || next > (int64_t)pool || (size_t)(next - p->counts.v[n - 1]) % n)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "TfIdfVectorizer: ngram_counts does not fit the pool");
        if (idf_range(p, n, &from, &end, &number))
            grams = number + (end - from) / n;
    }
    if (p->indexes.count != grams || (p->weights.count && p->weights.count != grams) ||
        (!ln_is(p->mode, "", "TF") && !ln_is(p->mode, "", "IDF") && !ln_is(p->mode, "", "TFIDF")))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "TfIdfVectorizer: %zu n-grams, %zu indexes, %zu weights", grams,
                       p->indexes.count, p->weights.count);
    for (size_t i = 0; i < grams; i++) {
        if (p->indexes.v[i] < 0 || p->indexes.v[i] > INT32_MAX)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "TfIdfVectorizer: index %lld", (long long)p->indexes.v[i]);
        width = LN_MAX(width, p->indexes.v[i] + 1);
    }
    q->out[0] = ln_desc_of(LINNET_F32, 1, &width);
    if (x->rank == 2)
        q->out[0] = ln_desc_of(LINNET_F32, 2, (int64_t[]){ x->dim[0], width });
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    q->tasks[0] = ln_count(&q->out[0]) && q->in[0].rank == 2 ? (size_t)q->in[0].dim[0] : ln_count(&q->out[0]) > 0;
    return LINNET_OK;
}

static bool idf_equal(const ln_run *r, size_t at, size_t pool)
{
    const param *p = r->param;

    if (!p->pool_s.v)
        return ln_get_i64(r->in_desc[0].dtype, r->in[0], at) == p->pool_i.v[pool];
    const char *x = ((const char *const *)r->in[0])[at];
    return strcmp(x ? x : "", p->pool_s.v[pool]) == 0;
}

/* All n-grams of length n in a row of `width` elements from `row` on, their elements `step` apart. */
static void idf_count(const ln_run *r, size_t row, size_t width, size_t n, size_t step, float *y)
{
    const param *p = r->param;
    size_t from, end, number;

    if (!idf_range(p, n, &from, &end, &number) || width == 0 || (n - 1) > (width - 1) / step)
        return;
    for (size_t i = 0; i + (n - 1) * step < width; i++)
        for (size_t g = from; g < end; g += n) {
            size_t k = 0;
            while (k < n && idf_equal(r, row + i + k * step, g + k))
                k++;
            if (k == n)
                y[p->indexes.v[number + (g - from) / n]] += 1.0f;
        }
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const ln_desc *x = &r->in_desc[0];
    const size_t width = (size_t)x->dim[x->rank - 1], outs = (size_t)r->out_desc[0].dim[r->out_desc[0].rank - 1];
    float *y = (float *)r->out[0] + r->task * outs;

    memset(y, 0, outs * sizeof *y);
    for (size_t n = (size_t)p->least; n <= (size_t)p->most; n++)
        for (size_t step = 1; step <= (n == 1 ? 1 : LN_MIN((size_t)p->skip + 1, width)); step++)
            idf_count(r, r->task * width, width, n, step, y);
    for (size_t i = 0; i < p->indexes.count && !ln_is(p->mode, "", "TF"); i++) {
        const size_t at = (size_t)p->indexes.v[i];
        const float weight = p->weights.count ? p->weights.v[i] : 1.0f;
        y[at] = ln_is(p->mode, "", "IDF") ? (y[at] > 0 ? weight : 0) : y[at] * weight;
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "max_gram_length", LN_ATTR_I64, offsetof(param, most), 0, true },
    { "max_skip_count", LN_ATTR_I64, offsetof(param, skip), 0, true },
    { "min_gram_length", LN_ATTR_I64, offsetof(param, least), 0, true },
    { "mode", LN_ATTR_STR, offsetof(param, mode), 0, true },
    { "ngram_counts", LN_ATTR_INTS, offsetof(param, counts), 0, true },
    { "ngram_indexes", LN_ATTR_INTS, offsetof(param, indexes), 0, true },
    { "pool_int64s", LN_ATTR_INTS, offsetof(param, pool_i), 0, false },
    { "pool_strings", LN_ATTR_STRS, offsetof(param, pool_s), 0, false },
    { "weights", LN_ATTR_FLOATS, offsetof(param, weights), 0, false },
    { 0 },
};

const ln_op ln_op_tf_idf_vectorizer = {
    .name = "TfIdfVectorizer", .attr = attr, .param_size = sizeof(param), .in_min = 1, .in_max = 1,
    .infer = infer, .prepare = prepare, .run = run,
};
