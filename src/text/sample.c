/*
 * sample.c - picking one token from logits.
 *
 * Only as many tokens are put in order as are kept: a heap gives them one by one, best first,
 * and the rest of the vocabulary is never sorted.
 */
#include "best.h"

#include <math.h>

struct linnet_sampler {
    linnet_allocator       alloc;
    linnet_sampler_options how;
    uint64_t               state;
    ln_best               *item;   /* one per token; row is not used */
    double                *weight; /* of tokens in order of their numbers */
    size_t                 tokens;
};

static size_t pick_best(const float *x, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* The largest score's place, where the scores are fit to choose from. */
static linnet_status pick_check(const float *x, size_t n, const char *what, size_t *best, linnet_error *err)
{
    if (!x || n == 0 || n > INT32_MAX)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "%s: %zu scores, or none given", what, n);
    const linnet_status st = ln_scores_ok(x, 1, n, what, err);
    if (st)
        return st;
    *best = pick_best(x, n);
    return x[*best] > -INFINITY ? LINNET_OK
                                : ln_fail(err, LINNET_ERR_DATA, "%s: all %zu scores are -inf", what, n);
}

linnet_status linnet_pick_best(const float *scores, size_t count, int32_t *token, linnet_error *err)
{
    size_t best;

    if (!token)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "pick: token is NULL");
    const linnet_status st = pick_check(scores, count, "pick", &best, err);
    if (!st)
        *token = (int32_t)best;
    return st;
}

linnet_status linnet_log_softmax(const float *x, size_t count, float *y, linnet_error *err)
{
    size_t best;
    double sum = 0;

    if (!y)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "log softmax: y is NULL");
    const linnet_status st = pick_check(x, count, "log softmax", &best, err);
    if (st)
        return st;
    const double top = x[best];
    for (size_t i = 0; i < count; i++)
        sum += exp(x[i] - top);
    const double shift = top + log(sum);
    for (size_t i = 0; i < count; i++)
        y[i] = (float)(x[i] - shift);
    return LINNET_OK;
}

/* ---- the sampler ------------------------------------------------------------------- */

static linnet_status sampler_check(size_t tokens, const linnet_sampler_options *how, linnet_error *err)
{
    if (tokens == 0 || tokens > INT32_MAX)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "sampler: a vocabulary of %zu tokens", tokens);
    if (!(how->temperature >= 0 && how->temperature < INFINITY))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "sampler: a temperature of %g", (double)how->temperature);
    if (!(how->top_p >= 0 && how->top_p <= 1))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "sampler: top_p is %g, not in (0, 1]", (double)how->top_p);
    return LINNET_OK;
}

linnet_status linnet_sampler_create(size_t tokens, const linnet_sampler_options *options,
                                    const linnet_allocator *allocator, linnet_sampler **out, linnet_error *err)
{
    const linnet_options opt = { .allocator = allocator };
    const linnet_allocator alloc = ln_allocator(&opt);
    linnet_sampler_options how = { 0 };
    size_t items, weights;

    if (!out)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "sampler: out is NULL");
    *out = NULL;
    if (options && !ln_text_options(&how, options, options->struct_size, sizeof how))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "sampler: options.struct_size is %u", (unsigned)options->struct_size);
    const linnet_status st = sampler_check(tokens, &how, err);
    if (st)
        return st;
    linnet_sampler *s = ln_alloc(&alloc, sizeof *s);
    if (s && ln_mul(tokens, sizeof *s->item, &items) && ln_mul(tokens, sizeof *s->weight, &weights)) {
        *s = (linnet_sampler){ .alloc = alloc, .how = how, .state = how.seed, .tokens = tokens };
        s->item = ln_alloc(&alloc, items);
        s->weight = s->item ? ln_alloc(&alloc, weights) : NULL;
    }
    if (!s || !s->weight) {
        linnet_sampler_free(s);
        return ln_fail(err, LINNET_ERR_MEMORY, "sampler: no memory for %zu tokens", tokens);
    }
    *out = s;
    return LINNET_OK;
}

void linnet_sampler_free(linnet_sampler *s)
{
    if (!s)
        return;
    const linnet_allocator alloc = s->alloc;
    ln_free(&alloc, s->item, s->tokens * sizeof *s->item);
    ln_free(&alloc, s->weight, s->tokens * sizeof *s->weight);
    ln_free(&alloc, s, sizeof *s);
}

void linnet_sampler_reset(linnet_sampler *s, uint64_t seed)
{
    if (s)
        s->state = seed;
}

/* SplitMix64: the next number in [0, 1). */
static double sampler_random(linnet_sampler *s)
{
    uint64_t z = (s->state += 0x9E3779B97F4A7C15u);

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* The first of n weights at which the running sum exceeds u times their sum. */
static size_t sampler_draw(const double *weight, size_t n, double sum, double u)
{
    double run = 0;
    size_t last = 0;

    for (size_t i = 0; i < n; i++) {
        run += weight[i];
        if (weight[i] > 0)
            last = i; /* rounding may leave u * sum at the sum */
        if (run > u * sum)
            return i;
    }
    return last;
}

/*
 * The tokens that can be kept, as a heap with the likeliest at the root; *whole is the sum that top_p is
 * a share of. All weights below (1 - top_p) / tokens of the sum together are less than what top_p
 * leaves out, so those tokens need not be looked at.
 */
static size_t sampler_candidates(linnet_sampler *s, const float *logits, double top, double share, double *whole)
{
    const double scale = 1.0 / s->how.temperature;
    size_t n = 0;

    *whole = 0;
    if (s->how.top_k && s->how.top_k < s->tokens) {
        for (size_t i = 0; i < s->tokens; i++)
            if (n < s->how.top_k || logits[i] > s->item[0].score)
                ln_best_offer(s->item, &n, s->how.top_k, (ln_best){ logits[i], 0, (int32_t)i });
        for (size_t i = 0; i < n; i++)
            *whole += exp((s->item[i].score - top) * scale);
    } else {
        for (size_t i = 0; i < s->tokens; i++) {
            s->weight[i] = exp((logits[i] - top) * scale);
            *whole += s->weight[i];
        }
        const double least = 0.999 * (1 - share) / (double)s->tokens * *whole; /* a little less: sums are rounded */
        for (size_t i = 0; i < s->tokens; i++)
            if (s->weight[i] >= least)
                s->item[n++] = (ln_best){ logits[i], 0, (int32_t)i };
    }
    for (size_t i = n / 2; i-- > 0;)
        ln_best_sink(s->item, n, i, true);
    return n;
}

/*
 * Takes tokens from the heap, the likeliest first, until their share is reached: their weights in order and
 * the sum of them. The items end up behind *from, the likeliest last.
 */
static size_t sampler_keep(linnet_sampler *s, const float *logits, double top, size_t *from, double *sum)
{
    const double share = s->how.top_p > 0 ? s->how.top_p : 1, scale = 1.0 / s->how.temperature;
    double whole, run = 0;
    size_t kept = 0, n = sampler_candidates(s, logits, top, share, &whole);

    for (*from = n; kept < n && (share == 1 || run < share * whole); kept++) {
        const ln_best best = s->item[0];
        s->item[0] = s->item[--*from];
        s->item[*from] = best;
        ln_best_sink(s->item, *from, 0, true);
        s->weight[kept] = exp((best.score - top) * scale);
        run += s->weight[kept];
    }
    *sum = run;
    return kept;
}

/* All tokens in order of their numbers. */
static size_t sampler_weigh(linnet_sampler *s, const float *logits, double top, double *sum)
{
    const double scale = 1.0 / s->how.temperature;

    for (size_t i = 0; i < s->tokens; i++) {
        s->weight[i] = exp((logits[i] - top) * scale);
        *sum += s->weight[i];
    }
    return s->tokens;
}

linnet_status linnet_sampler_next(linnet_sampler *s, const float *logits, size_t count, int32_t *token,
                                  linnet_error *err)
{
    size_t best, from = 0;
    double sum = 0;

    if (!s || !token)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "sampler: %s is NULL", s ? "token" : "sampler");
    if (count != s->tokens)
        return ln_fail(err, LINNET_ERR_SHAPE, "sampler: %zu logits for a vocabulary of %zu", count, s->tokens);
    const linnet_status st = pick_check(logits, count, "sampler", &best, err);
    if (st)
        return st;
    if (s->how.temperature == 0) {
        *token = (int32_t)best;
        return LINNET_OK;
    }
    const bool all = s->how.top_k == 0 && (s->how.top_p == 0 || s->how.top_p == 1);
    const size_t kept = all ? sampler_weigh(s, logits, logits[best], &sum)
                            : sampler_keep(s, logits, logits[best], &from, &sum);
    const size_t at = sampler_draw(s->weight, kept, sum, sampler_random(s));
    *token = all ? (int32_t)at : s->item[from + kept - 1 - at].token;
    return LINNET_OK;
}
