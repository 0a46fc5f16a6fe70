/*
 * best.h - the best few of many candidates, in one order for all searches.
 */
#ifndef LN_BEST_H
#define LN_BEST_H

#include "../base/base.h"
#include "linnet_text.h"

typedef struct ln_best {
    double   score;
    uint32_t row;
    int32_t  token;
} ln_best;

/* The order of results: higher score, then lower row, then lower token. */
static inline bool ln_best_before(const ln_best *a, const ln_best *b)
{
    if (a->score != b->score)
        return a->score > b->score;
    return a->row != b->row ? a->row < b->row : a->token < b->token;
}

/* Let item i of a heap of n sink to its place; best_first says which end is at the root. */
void ln_best_sink(ln_best *heap, size_t n, size_t i, bool best_first);

/* Keep the `most` best of all that is offered; the worst of them is at the root. */
void ln_best_offer(ln_best *heap, size_t *n, size_t most, ln_best item);

/* A heap made by offers becomes a list, best first. */
void ln_best_sort(ln_best *heap, size_t n);

/* An error where a score is NaN or +inf; `what` and the row's length are for the sentence. */
linnet_status ln_scores_ok(const float *x, size_t rows, size_t columns, const char *what, linnet_error *err);

/* Options of a caller whose header may be older: `known` bytes, the rest zero. False: no options. */
bool ln_text_options(void *to, const void *from, uint32_t struct_size, size_t known);

#endif
