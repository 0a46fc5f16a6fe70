/*
 * ctc.c - connectionist temporal classification: the greedy text and prefix beam search.
 *
 * A prefix has two probabilities, of the alignments that end in a blank and of those that end in
 * its last label; only the first may be followed by that label again as a new one. All are
 * logarithms. Prefixes are nodes of a tree; a node is looked for among its parent's children
 * before it is made, so one text is one node.
 */
#include "best.h"

#include <math.h>

#define CTC_NONE UINT32_MAX
#define CTC_STAY (-1) /* as the token of a candidate: the prefix as it is */

typedef struct ctc_node {
    uint32_t parent, child, sibling; /* CTC_NONE: none; node 0 is the empty text */
    uint32_t depth, live;            /* live: its index among the prefixes kept */
    int32_t  label;
} ctc_node;

typedef struct ctc_live {
    double   blank, label;
    uint32_t node, next, child; /* kept prefixes that are one label longer: the first, and the next of them */
} ctc_live;

struct linnet_ctc {
    linnet_allocator   alloc;
    linnet_ctc_options how;
    size_t             labels, nodes, node_most, width, live_count, steps;
    int32_t            blank;
    uint64_t           stamp;
    uint64_t          *mark; /* per label: the stamp of the prefix that has it as a kept child */
    ctc_node          *node;
    ctc_live          *live, *next;
    ln_best           *best;
};

/* log(exp(a) + exp(b)) */
static double ctc_sum(double a, double b)
{
    const double top = LN_MAX(a, b), low = LN_MIN(a, b);

    return low == -INFINITY ? top : top + log1p(exp(low - top));
}

static linnet_status ctc_shape(size_t labels, int32_t blank, linnet_error *err)
{
    if (labels == 0 || labels > INT32_MAX || blank < 0 || (size_t)blank >= labels)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "ctc: blank %d of %zu labels", (int)blank, labels);
    return LINNET_OK;
}

linnet_status linnet_ctc_greedy(const float *scores, size_t steps, size_t labels, int32_t blank, int32_t *tokens,
                                size_t capacity, size_t *count, linnet_error *err)
{
    int32_t last = blank;
    size_t n = 0;
    linnet_status st = ctc_shape(labels, blank, err);

    if (st)
        return st;
    if ((steps && !scores) || !count)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "ctc: %s is NULL", count ? "scores" : "count");
    if ((st = ln_scores_ok(scores, steps, labels, "ctc", err)) != LINNET_OK)
        return st;
    for (size_t t = 0; t < steps; t++, scores += labels) {
        size_t best = 0;
        for (size_t i = 1; i < labels; i++)
            best = scores[i] > scores[best] ? i : best;
        if ((int32_t)best != blank && (int32_t)best != last) {
            if (tokens && n < capacity)
                tokens[n] = (int32_t)best;
            n++;
        }
        last = (int32_t)best;
    }
    *count = n;
    return tokens && n > capacity
               ? ln_fail(err, LINNET_ERR_ARGUMENT, "ctc: the text has %zu labels, room for %zu", n, capacity)
               : LINNET_OK;
}

/* ---- life ---------------------------------------------------------------------------- */

void linnet_ctc_reset(linnet_ctc *c)
{
    if (!c)
        return;
    c->node[0] = (ctc_node){ CTC_NONE, CTC_NONE, CTC_NONE, 0, 0, -1 };
    c->nodes = 1;
    c->live[0] = (ctc_live){ 0, -INFINITY, 0, CTC_NONE, CTC_NONE };
    c->live_count = 1;
    c->steps = 0;
}

void linnet_ctc_free(linnet_ctc *c)
{
    if (!c)
        return;
    const linnet_allocator alloc = c->alloc;
    ln_free(&alloc, c->mark, c->labels * sizeof *c->mark);
    ln_free(&alloc, c->node, c->node_most * sizeof *c->node);
    ln_free(&alloc, c->live, c->width * sizeof *c->live);
    ln_free(&alloc, c->next, c->width * sizeof *c->next);
    ln_free(&alloc, c->best, c->width * sizeof *c->best);
    ln_free(&alloc, c, sizeof *c);
}

static bool ctc_reserve(linnet_ctc *c)
{
    size_t bytes;

    if (!ln_mul(c->width, c->how.steps, &c->node_most) || !ln_add(c->node_most, 1, &c->node_most) ||
        c->node_most >= CTC_NONE || !ln_mul(c->node_most, sizeof *c->node, &bytes))
        return false;
    c->node = ln_alloc(&c->alloc, bytes);
    c->mark = c->node ? ln_alloc(&c->alloc, c->labels * sizeof *c->mark) : NULL;
    c->live = c->mark ? ln_alloc(&c->alloc, c->width * sizeof *c->live) : NULL;
    c->next = c->live ? ln_alloc(&c->alloc, c->width * sizeof *c->next) : NULL;
    c->best = c->next ? ln_alloc(&c->alloc, c->width * sizeof *c->best) : NULL;
    return c->best != NULL;
}

linnet_status linnet_ctc_create(size_t labels, int32_t blank, const linnet_ctc_options *options,
                                const linnet_allocator *allocator, linnet_ctc **out, linnet_error *err)
{
    const linnet_options opt = { .allocator = allocator };
    const linnet_allocator alloc = ln_allocator(&opt);
    linnet_ctc_options how = { 0 };

    if (!out)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "ctc: out is NULL");
    *out = NULL;
    if (options && !ln_text_options(&how, options, options->struct_size, sizeof how))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "ctc: options.struct_size is %u", (unsigned)options->struct_size);
    how.width = how.width ? how.width : 16;
    how.steps = how.steps ? how.steps : 4096;
    const linnet_status st = ctc_shape(labels, blank, err);
    if (st)
        return st;
    if (how.width > 1u << 16 || how.steps > 1u << 24)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "ctc: width %u or steps %u is too large", (unsigned)how.width,
                       (unsigned)how.steps);
    linnet_ctc *c = ln_alloc(&alloc, sizeof *c);
    if (c)
        *c = (linnet_ctc){ .alloc = alloc, .how = how, .labels = labels, .blank = blank, .width = how.width };
    if (!c || !ctc_reserve(c)) {
        linnet_ctc_free(c);
        return ln_fail(err, LINNET_ERR_MEMORY, "ctc: no memory for %u prefixes of %u steps", (unsigned)how.width,
                       (unsigned)how.steps);
    }
    linnet_ctc_reset(c);
    *out = c;
    return LINNET_OK;
}

/* ---- a step -------------------------------------------------------------------------- */

/* Say of every kept prefix which kept ones are one label longer. */
static void ctc_relate(linnet_ctc *c)
{
    for (size_t i = 0; i < c->live_count; i++)
        c->live[i].child = CTC_NONE;
    for (size_t i = 0; i < c->live_count; i++) {
        const uint32_t parent = c->node[c->live[i].node].parent;
        const uint32_t p = parent == CTC_NONE ? CTC_NONE : c->node[parent].live;
        if (p == CTC_NONE)
            continue;
        c->live[i].next = c->live[p].child;
        c->live[p].child = (uint32_t)i;
    }
}

/* Prefix `p` followed by `label`: a repetition needs a blank between. */
static double ctc_extend(const linnet_ctc *c, const ctc_live *p, int32_t label, float score)
{
    return (label == c->node[p->node].label ? p->blank : ctc_sum(p->blank, p->label)) + score;
}

/* The kept prefixes one step on, into c->next; then the best of them and of their extensions. */
static void ctc_candidates(linnet_ctc *c, const float *score, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < c->live_count; i++) {
        const ctc_live *p = &c->live[i];
        const int32_t last = c->node[p->node].label;
        c->next[i].blank = ctc_sum(p->blank, p->label) + score[c->blank];
        c->next[i].label = last < 0 ? -INFINITY : p->label + score[last];
    }
    for (size_t i = 0; i < c->live_count; i++) {
        const ctc_live *p = &c->live[i];
        const int32_t last = c->node[p->node].label;
        const double whole = ctc_sum(p->blank, p->label);
        c->stamp++;
        for (uint32_t k = p->child; k != CTC_NONE; k = c->live[k].next) {
            const int32_t label = c->node[c->live[k].node].label;
            c->next[k].label = ctc_sum(c->next[k].label, ctc_extend(c, p, label, score[label]));
            c->mark[label] = c->stamp;
        }
        for (size_t l = 0; l < c->labels; l++) {
            const double sum = ((int32_t)l == last ? p->blank : whole) + score[l];
            if (sum > -INFINITY && (int32_t)l != c->blank && c->mark[l] != c->stamp)
                ln_best_offer(c->best, count, c->width, (ln_best){ sum, (uint32_t)i, (int32_t)l });
        }
    }
    for (size_t i = 0; i < c->live_count; i++) {
        const double sum = ctc_sum(c->next[i].blank, c->next[i].label);
        if (sum > -INFINITY)
            ln_best_offer(c->best, count, c->width, (ln_best){ sum, (uint32_t)i, CTC_STAY });
    }
    ln_best_sort(c->best, *count);
}

/* The node of `from` followed by `label`, made where it is not there. */
static uint32_t ctc_child(linnet_ctc *c, uint32_t from, int32_t label)
{
    ctc_node *p = &c->node[from];

    for (uint32_t n = p->child; n != CTC_NONE; n = c->node[n].sibling)
        if (c->node[n].label == label)
            return n;
    const uint32_t n = (uint32_t)c->nodes++;
    c->node[n] = (ctc_node){ from, CTC_NONE, p->child, p->depth + 1, CTC_NONE, label };
    p->child = n;
    return n;
}

static void ctc_step(linnet_ctc *c, const float *score)
{
    size_t count;

    ctc_relate(c);
    ctc_candidates(c, score, &count);
    for (size_t i = 0; i < c->live_count; i++) {
        c->node[c->live[i].node].live = CTC_NONE;
        c->live[i].blank = c->next[i].blank; /* what a stay takes over */
        c->live[i].label = c->next[i].label;
    }
    for (size_t i = 0; i < count; i++) {
        const ln_best *b = &c->best[i];
        const ctc_live *p = &c->live[b->row];
        c->next[i] = b->token == CTC_STAY
                         ? *p
                         : (ctc_live){ -INFINITY, b->score, ctc_child(c, p->node, b->token), CTC_NONE, CTC_NONE };
    }
    for (size_t i = 0; i < count; i++)
        c->node[c->next[i].node].live = (uint32_t)i;
    ctc_live *const t = c->live;
    c->live = c->next;
    c->next = t;
    c->live_count = count;
    c->steps++;
}

linnet_status linnet_ctc_push(linnet_ctc *c, const float *scores, size_t steps, size_t labels, linnet_error *err)
{
    if (!c || (steps && !scores))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "ctc: %s is NULL", c ? "scores" : "ctc");
    if (labels != c->labels)
        return ln_fail(err, LINNET_ERR_SHAPE, "ctc: rows of %zu scores for %zu labels", labels, c->labels);
    if (steps > c->how.steps - c->steps)
        return ln_fail(err, LINNET_ERR_LIMIT, "ctc: %zu more steps after %zu, made for %u", steps, c->steps,
                       (unsigned)c->how.steps);
    const linnet_status st = ln_scores_ok(scores, steps, labels, "ctc", err);
    for (size_t t = 0; t < steps && !st; t++)
        ctc_step(c, scores + t * labels);
    return st;
}

/* ---- results ------------------------------------------------------------------------- */

size_t linnet_ctc_count(const linnet_ctc *c)
{
    return c ? c->live_count : 0;
}

linnet_status linnet_ctc_get(const linnet_ctc *c, size_t i, int32_t *tokens, size_t capacity, size_t *count,
                             double *score, linnet_error *err)
{
    if (!c || i >= c->live_count)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "ctc: no prefix %zu", i);
    const ctc_live *p = &c->live[i];
    const ctc_node *n = &c->node[p->node];
    if (count)
        *count = n->depth;
    if (tokens && n->depth > capacity)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "ctc: prefix %zu has %u labels, room for %zu", i, (unsigned)n->depth,
                       capacity);
    for (; tokens && n->depth > 0; n = &c->node[n->parent])
        tokens[n->depth - 1] = n->label;
    if (score)
        *score = ctc_sum(p->blank, p->label);
    return LINNET_OK;
}

#undef CTC_NONE
#undef CTC_STAY
