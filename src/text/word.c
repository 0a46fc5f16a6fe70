/*
 * word.c - models that look words up: WordPiece takes the longest piece again and again, Unigram the
 * pieces whose scores have the largest sum, WordLevel the word as it is.
 */
#include "token.h"

void ln_word_level(ln_encode *e, const char *s, size_t size)
{
    const uint32_t id = ln_trie_get(&e->t->trie, s, size);

    if (id != LN_TABLE_NONE || e->t->unknown != LN_TABLE_NONE)
        ln_encode_put(e, id != LN_TABLE_NONE ? id : e->t->unknown);
}

/* ---- WordPiece ----------------------------------------------------------------------- */

/* The longest piece that goes on from `node`; its end, or 0. */
static size_t piece_longest(const ln_trie *t, uint32_t node, const char *s, size_t size, uint32_t *id)
{
    size_t end = 0;

    for (size_t i = 0; i < size && node != LN_TABLE_NONE; i++) {
        node = ln_trie_walk(t, node, s + i, 1);
        if (ln_trie_id(t, node) != LN_TABLE_NONE) {
            *id = ln_trie_id(t, node);
            end = i + 1;
        }
    }
    return end;
}

void ln_word_piece(ln_encode *e, const char *s, size_t size)
{
    const linnet_tokenizer *t = e->t;
    const size_t before = e->count;
    const uint32_t inner = ln_trie_walk(&t->trie, 0, t->prefix, t->prefix_size);
    int64_t units = 0;
    uint32_t id = 0;

    for (size_t at = 0; at < size; at += ln_unit(t, s + at))
        units++;
    for (size_t at = 0, n; at < size; at += n) {
        n = units > t->word_most ? 0 : piece_longest(&t->trie, at ? inner : 0, s + at, size - at, &id);
        if (n == 0) { /* one unknown part makes the word unknown */
            e->count = before;
            ln_encode_put(e, t->unknown);
            return;
        }
        ln_encode_put(e, id);
    }
}

/* ---- Unigram ------------------------------------------------------------------------- */

typedef struct uni_end { /* the best way to a place in the text */
    double   score;
    uint32_t from, id; /* where its last piece begins; LN_TABLE_NONE: no way yet */
} uni_end;

static void uni_try(uni_end *end, double score, size_t from, uint32_t id)
{
    if (end->from == LN_TABLE_NONE || score > end->score)
        *end = (uni_end){ score, (uint32_t)from, id };
}

static void uni_forward(const linnet_tokenizer *t, const char *s, size_t size, uni_end *end)
{
    for (size_t i = 0; i <= size; i++)
        end[i].from = LN_TABLE_NONE;
    end[0] = (uni_end){ 0, 0, 0 };
    for (size_t at = 0, n; at < size; at += n) {
        bool single = false; /* a piece of one unit begins here */
        uint32_t node = 0;
        n = ln_unit(t, s + at);
        for (size_t i = at; i < size && node != LN_TABLE_NONE; i++) {
            node = ln_trie_walk(&t->trie, node, s + i, 1);
            const uint32_t id = ln_trie_id(&t->trie, node);
            if (id == LN_TABLE_NONE)
                continue;
            uni_try(&end[i + 1], end[at].score + t->score[id], at, id);
            single = single || i + 1 == at + n;
        }
        if (!single)
            uni_try(&end[at + n], end[at].score + t->unknown_score, at, t->unknown);
    }
}

/* What the vocabulary does not have: its bytes, or the unknown token. */
static void uni_unknown(ln_encode *e, const char *s, size_t size)
{
    const uint32_t id = ln_trie_get(&e->t->trie, s, size);

    if (id != LN_TABLE_NONE)
        ln_encode_put(e, id);
    else if (!(e->t->byte_fallback && ln_encode_bytes(e, s, size)))
        ln_encode_put(e, e->t->unknown);
}

void ln_unigram(ln_encode *e, const char *s, size_t size)
{
    const linnet_tokenizer *t = e->t;
    uni_end *end = size < UINT32_MAX ? ln_encode_scratch(e, 0, size + 1, sizeof *end) : NULL;
    uint32_t to = LN_TABLE_NONE;

    if (!end) {
        e->full = true;
        return;
    }
    uni_forward(t, s, size, end);
    for (size_t at = size, from; at > 0; at = from) { /* turn the way round: from each place to the next */
        from = end[at].from;
        end[at].from = to;
        to = (uint32_t)at;
    }
    for (size_t begin = 0; to != LN_TABLE_NONE; to = end[to].from) {
        const uint32_t next = end[to].from;
        if (end[to].id != t->unknown) {
            ln_encode_put(e, end[to].id);
        } else if (next != LN_TABLE_NONE && end[next].id == t->unknown) {
            continue; /* unknown neighbours are one */
        } else {
            uni_unknown(e, s + begin, to - begin);
        }
        begin = to;
    }
}
