/*
 * beam.c - beam search, driven step by step.
 *
 * Hypotheses share their beginnings: every token that lived is a node that knows its parent, so
 * a step copies no token list and the memory is known when the search is made.
 */
#include "best.h"

#include <math.h>

typedef struct beam_node {
    uint32_t parent; /* node 0 is the empty beginning */
    uint32_t depth;
    int32_t  token;
} beam_node;

typedef struct beam_live { /* an item of the beam */
    double   sum;
    uint32_t node;
    int32_t  parent, token; /* of the last push */
} beam_live;

typedef struct beam_done { /* a hypothesis */
    double   score;
    uint32_t node;
} beam_done;

struct linnet_beam {
    linnet_allocator    alloc;
    linnet_beam_options how;
    size_t              tokens, nodes, live_count, done_count;
    int32_t             end;
    uint32_t            step;
    size_t              node_most, width;
    beam_node          *node;
    beam_live          *live, *next;
    beam_done          *done;
    ln_best            *best; /* 2 * width candidates of a step */
};

void linnet_beam_reset(linnet_beam *b)
{
    if (!b)
        return;
    b->step = 0;
    b->done_count = 0;
    b->live_count = 1;
    b->nodes = 1;
    b->node[0] = (beam_node){ 0, 0, -1 };
    b->live[0] = (beam_live){ 0, 0, -1, -1 };
}

void linnet_beam_free(linnet_beam *b)
{
    if (!b)
        return;
    const linnet_allocator alloc = b->alloc;
    ln_free(&alloc, b->node, b->node_most * sizeof *b->node);
    ln_free(&alloc, b->live, b->width * sizeof *b->live);
    ln_free(&alloc, b->next, b->width * sizeof *b->next);
    ln_free(&alloc, b->done, b->width * sizeof *b->done);
    ln_free(&alloc, b->best, 2 * b->width * sizeof *b->best);
    ln_free(&alloc, b, sizeof *b);
}

static linnet_status beam_check(size_t tokens, int32_t end, linnet_beam_options *how, linnet_error *err)
{
    how->width = how->width ? how->width : 4;
    how->length = how->length ? how->length : 256;
    if (tokens == 0 || tokens > INT32_MAX)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "beam search: a vocabulary of %zu tokens", tokens);
    if (end < -1 || (end >= 0 && (size_t)end >= tokens))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "beam search: end token %d in a vocabulary of %zu", (int)end, tokens);
    if (how->width > 1u << 16 || how->length > 1u << 20)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "beam search: width %u or length %u is too large",
                       (unsigned)how->width, (unsigned)how->length);
    if (!(fabsf(how->length_penalty) <= 16))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "beam search: a length penalty of %g", (double)how->length_penalty);
    return LINNET_OK;
}

static bool beam_reserve(linnet_beam *b)
{
    size_t bytes;

    if (!ln_mul(b->width, b->how.length, &b->node_most) || !ln_add(b->node_most, 1, &b->node_most) ||
        b->node_most > UINT32_MAX || !ln_mul(b->node_most, sizeof *b->node, &bytes))
        return false;
    b->node = ln_alloc(&b->alloc, bytes);
    b->live = b->node ? ln_alloc(&b->alloc, b->width * sizeof *b->live) : NULL;
    b->next = b->live ? ln_alloc(&b->alloc, b->width * sizeof *b->next) : NULL;
    b->done = b->next ? ln_alloc(&b->alloc, b->width * sizeof *b->done) : NULL;
    b->best = b->done ? ln_alloc(&b->alloc, 2 * b->width * sizeof *b->best) : NULL;
    return b->best != NULL;
}

linnet_status linnet_beam_create(size_t tokens, int32_t end, const linnet_beam_options *options,
                                 const linnet_allocator *allocator, linnet_beam **out, linnet_error *err)
{
    const linnet_options opt = { .allocator = allocator };
    const linnet_allocator alloc = ln_allocator(&opt);
    linnet_beam_options how = { 0 };

    if (!out)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "beam search: out is NULL");
    *out = NULL;
    if (options && !ln_text_options(&how, options, options->struct_size, sizeof how))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "beam search: options.struct_size is %u",
                       (unsigned)options->struct_size);
    const linnet_status st = beam_check(tokens, end, &how, err);
    if (st)
        return st;
    linnet_beam *b = ln_alloc(&alloc, sizeof *b);
    if (b)
        *b = (linnet_beam){ .alloc = alloc, .how = how, .tokens = tokens, .end = end, .width = how.width };
    if (!b || !beam_reserve(b)) {
        linnet_beam_free(b);
        return ln_fail(err, LINNET_ERR_MEMORY, "beam search: no memory for %u beams of %u tokens", (unsigned)how.width,
                       (unsigned)how.length);
    }
    linnet_beam_reset(b);
    *out = b;
    return LINNET_OK;
}

/* ---- a step ------------------------------------------------------------------------ */

static double beam_score(const linnet_beam *b, double sum, uint32_t count)
{
    return b->how.length_penalty == 0 ? sum : sum / pow(count, b->how.length_penalty);
}

/* A hypothesis takes its place among those kept; of equals the earlier stays first. */
static void beam_finish(linnet_beam *b, double score, uint32_t node)
{
    size_t i = b->done_count;

    while (i > 0 && b->done[i - 1].score < score)
        i--;
    if (i == b->width)
        return;
    b->done_count += b->done_count < b->width;
    memmove(b->done + i + 1, b->done + i, (b->done_count - 1 - i) * sizeof *b->done);
    b->done[i] = (beam_done){ score, node };
}

/* No live beam can come before the last hypothesis kept. */
static bool beam_settled(const linnet_beam *b)
{
    if (b->done_count < b->width || b->live_count == 0)
        return b->live_count == 0;
    /* a sum below zero is worth most at the largest divisor that it can get */
    const uint32_t count = b->how.length_penalty > 0 ? b->how.length : b->step;
    return b->how.early || beam_score(b, b->live[0].sum, count) <= b->done[b->width - 1].score;
}

static void beam_candidates(linnet_beam *b, const float *scores, size_t *count)
{
    *count = 0;
    for (size_t r = 0; r < b->live_count; r++, scores += b->tokens)
        for (size_t i = 0; i < b->tokens; i++) {
            const double sum = b->live[r].sum + scores[i];
            if (sum > -INFINITY && (*count < 2 * b->width || sum >= b->best[0].score))
                ln_best_offer(b->best, count, 2 * b->width, (ln_best){ sum, (uint32_t)r, (int32_t)i });
        }
    ln_best_sort(b->best, *count);
}

static void beam_step(linnet_beam *b, size_t count)
{
    size_t live = 0;

    b->step++;
    for (size_t i = 0; i < count && live < b->width; i++) {
        const ln_best *c = &b->best[i];
        const uint32_t from = b->live[c->row].node;
        if (c->token == b->end) {
            if (i < b->width)
                beam_finish(b, beam_score(b, c->score, b->step), from);
            continue;
        }
        b->node[b->nodes] = (beam_node){ from, b->step, c->token };
        b->next[live++] = (beam_live){ c->score, (uint32_t)b->nodes++, (int32_t)c->row, c->token };
    }
    beam_live *const t = b->live;
    b->live = b->next;
    b->next = t;
    b->live_count = live;
    if (b->step == b->how.length)
        for (size_t i = 0; i < live; i++)
            beam_finish(b, beam_score(b, b->live[i].sum, b->step), b->live[i].node);
    if (b->step == b->how.length || beam_settled(b))
        b->live_count = 0;
}

linnet_status linnet_beam_push(linnet_beam *b, const float *scores, size_t rows, size_t tokens, linnet_error *err)
{
    size_t count;

    if (!b || !scores)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "beam search: %s is NULL", b ? "scores" : "beam");
    if (b->live_count == 0)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "beam search: the search is over; reset it first");
    if (rows != b->live_count || tokens != b->tokens)
        return ln_fail(err, LINNET_ERR_SHAPE, "beam search: %zu rows of %zu scores, expected %zu rows of %zu", rows,
                       tokens, b->live_count, b->tokens);
    const linnet_status st = ln_scores_ok(scores, rows, tokens, "beam search", err);
    if (st)
        return st;
    beam_candidates(b, scores, &count);
    beam_step(b, count);
    return LINNET_OK;
}

/* ---- results ------------------------------------------------------------------------- */

size_t linnet_beam_live(const linnet_beam *b)
{
    return b ? b->live_count : 0;
}

int32_t linnet_beam_parent(const linnet_beam *b, size_t i)
{
    return b && i < b->live_count ? b->live[i].parent : -1;
}

int32_t linnet_beam_token(const linnet_beam *b, size_t i)
{
    return b && i < b->live_count ? b->live[i].token : -1;
}

size_t linnet_beam_count(const linnet_beam *b)
{
    return b ? b->done_count : 0;
}

linnet_status linnet_beam_get(const linnet_beam *b, size_t i, int32_t *tokens, size_t capacity, size_t *count,
                              double *score, linnet_error *err)
{
    if (!b || i >= b->done_count)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "beam search: no hypothesis %zu", i);
    const beam_node *n = &b->node[b->done[i].node];
    if (count)
        *count = n->depth;
    if (tokens && n->depth > capacity)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "beam search: hypothesis %zu has %u tokens, room for %zu", i,
                       (unsigned)n->depth, capacity);
    for (; tokens && n->depth > 0; n = &b->node[n->parent])
        tokens[n->depth - 1] = n->token;
    if (score)
        *score = b->done[i].score;
    return LINNET_OK;
}
