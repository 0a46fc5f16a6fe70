/*
 * bpe.c - byte-pair encoding: the best pair of neighbours becomes one, until there is none.
 *
 * Pairs wait in a heap by rank, of equals the left one first. An entry is not taken back when its
 * neighbours change; it is tried against what is there when its turn comes.
 */
#include "token.h"

typedef struct bpe_symbol {
    uint32_t id, prev, next; /* LN_TABLE_NONE: an end */
    bool     gone;
} bpe_symbol;

typedef struct bpe_pair {
    double   rank;
    uint32_t at, id; /* the left symbol; what the two become */
} bpe_pair;

typedef struct bpe_word {
    const linnet_tokenizer *t;
    bpe_symbol             *symbol;
    bpe_pair               *heap;
    size_t                  count, waiting;
    bool                    scored; /* ranks from the scores of what is made, not from merges */
} bpe_word;

static bool bpe_before(const bpe_pair *a, const bpe_pair *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

/* What two neighbours become; false where they stay two. */
static bool bpe_look(const bpe_word *w, uint32_t left, uint32_t right, bpe_pair *out)
{
    const linnet_tokenizer *t = w->t;

    if (w->scored) {
        const ln_piece *r = &t->piece[right];
        out->id = ln_trie_id(&t->trie, ln_trie_walk(&t->trie, t->piece[left].node, r->text, r->size));
        if (out->id != LN_TABLE_NONE)
            out->rank = -t->score[out->id];
        return out->id != LN_TABLE_NONE;
    }
    const uint32_t m = ln_table_get(&t->pairs, left, right);
    if (m == LN_TABLE_NONE)
        return false;
    out->rank = t->merge[m].rank;
    out->id = t->merge[m].id;
    return true;
}

static void bpe_wait(bpe_word *w, uint32_t at)
{
    const bpe_symbol *s = &w->symbol[at];
    bpe_pair p = { .at = at };

    if (s->next == LN_TABLE_NONE || !bpe_look(w, s->id, w->symbol[s->next].id, &p))
        return;
    size_t i = w->waiting++;
    for (size_t up; i > 0; i = up) {
        up = (i - 1) / 2;
        if (!bpe_before(&p, &w->heap[up]))
            break;
        w->heap[i] = w->heap[up];
    }
    w->heap[i] = p;
}

static bpe_pair bpe_take(bpe_word *w)
{
    const bpe_pair best = w->heap[0], last = w->heap[--w->waiting];
    size_t i = 0;

    for (size_t k; (k = 2 * i + 1) < w->waiting; i = k) {
        if (k + 1 < w->waiting && bpe_before(&w->heap[k + 1], &w->heap[k]))
            k++;
        if (!bpe_before(&w->heap[k], &last))
            break;
        w->heap[i] = w->heap[k];
    }
    w->heap[i] = last;
    return best;
}

/* Each join removes a symbol and adds at most two pairs: the heap never has more than 3 * count. */
static void bpe_join(bpe_word *w)
{
    for (uint32_t i = 0; i + 1 < w->count; i++)
        bpe_wait(w, i);
    while (w->waiting > 0) {
        const bpe_pair p = bpe_take(w);
        bpe_symbol *s = &w->symbol[p.at];
        bpe_pair now;
        if (s->gone || s->next == LN_TABLE_NONE || !bpe_look(w, s->id, w->symbol[s->next].id, &now) || now.id != p.id)
            continue;
        bpe_symbol *r = &w->symbol[s->next];
        r->gone = true;
        s->id = p.id;
        s->next = r->next;
        if (r->next != LN_TABLE_NONE)
            w->symbol[r->next].prev = p.at;
        if (s->prev != LN_TABLE_NONE)
            bpe_wait(w, s->prev);
        bpe_wait(w, p.at);
    }
}

static void bpe_put(bpe_word *w, uint32_t id)
{
    w->symbol[w->count++] = (bpe_symbol){ id, 0, 0, false };
}

/* The byte tokens of a unit that the vocabulary does not have; false where one is missing. */
static bool bpe_bytes(bpe_word *w, const char *s, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (w->t->byte[(uint8_t)s[i]] == LN_TABLE_NONE)
            return false;
    for (size_t i = 0; i < size; i++)
        bpe_put(w, w->t->byte[(uint8_t)s[i]]);
    return true;
}

/* The units of the part as symbols; unknown ones as bytes, as the unknown token, or not at all. */
static void bpe_units(bpe_word *w, const char *s, size_t size)
{
    const linnet_tokenizer *t = w->t;
    bool unknown = false; /* an unknown token is due */

    for (size_t at = 0, n; at < size; at += n) {
        n = ln_unit(t, s + at);
        uint32_t node = at ? ln_trie_walk(&t->trie, 0, t->prefix, t->prefix_size) : 0;
        node = ln_trie_walk(&t->trie, node, s + at, n);
        if (at + n == size)
            node = ln_trie_walk(&t->trie, node, t->suffix, t->suffix_size);
        const uint32_t id = ln_trie_id(&t->trie, node);
        if (id != LN_TABLE_NONE) {
            if (unknown)
                bpe_put(w, t->unknown);
            unknown = false;
            bpe_put(w, id);
        } else if (!(t->byte_fallback && bpe_bytes(w, s + at, n)) && t->unknown != LN_TABLE_NONE) {
            if (unknown && !t->fuse_unknown)
                bpe_put(w, t->unknown);
            unknown = true;
        }
    }
    if (unknown)
        bpe_put(w, t->unknown);
    for (size_t i = 0; i < w->count; i++) {
        w->symbol[i].prev = i ? (uint32_t)i - 1 : LN_TABLE_NONE;
        w->symbol[i].next = i + 1 < w->count ? (uint32_t)i + 1 : LN_TABLE_NONE;
    }
}

static void bpe(ln_encode *e, const char *s, size_t size, bool scored)
{
    bpe_word w = { .t = e->t, .scored = scored };
    size_t pairs;

    if (e->t->whole_first) {
        const uint32_t id = ln_trie_get(&e->t->trie, s, size);
        if (id != LN_TABLE_NONE) {
            ln_encode_put(e, id);
            return;
        }
    }
    if (size >= UINT32_MAX || !ln_mul(size, 3, &pairs)) {
        e->full = true;
        return;
    }
    w.symbol = ln_encode_scratch(e, 0, size + 1, sizeof *w.symbol); /* a unit has one byte or more */
    w.heap = ln_encode_scratch(e, 1, pairs, sizeof *w.heap);
    if (e->full)
        return;
    bpe_units(&w, s, size);
    bpe_join(&w);
    for (uint32_t i = 0; w.count && i != LN_TABLE_NONE; i = w.symbol[i].next)
        ln_encode_put(e, w.symbol[i].id);
}

void ln_bpe(ln_encode *e, const char *s, size_t size)
{
    bpe(e, s, size, false);
}

void ln_bpe_scored(ln_encode *e, const char *s, size_t size)
{
    bpe(e, s, size, true);
}
