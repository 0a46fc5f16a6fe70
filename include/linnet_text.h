/*
 * linnet_text.h - what stands between a model's numbers and text: picking tokens, beam
 * search, CTC, tokenisers. A small part of linnet beside the models; the rules of
 * linnet.h hold here too.
 *
 *     linnet_sampler_options how = { .struct_size = sizeof how, .temperature = 0.8f, .top_p = 0.95f, .seed = 1 };
 *     linnet_sampler_create(vocabulary, &how, NULL, &sampler, &err);
 *     ... run the model ...
 *     linnet_sampler_next(sampler, logits, vocabulary, &token, &err);
 *
 * Objects are used by one thread at a time; those made by _create() allocate there and
 * never again. Options are zeroed first; every 0 stands for the default, given in brackets.
 * Scores are floats of which -inf means impossible; NaN and +inf are refused.
 */
#ifndef LINNET_TEXT_H
#define LINNET_TEXT_H

#include "linnet.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct linnet_sampler   linnet_sampler;
typedef struct linnet_beam      linnet_beam;
typedef struct linnet_ctc       linnet_ctc;
typedef struct linnet_tokenizer linnet_tokenizer;

/* ---- picking a token ------------------------------------------------------------- */

/* The place of the largest of `count` scores, of equals the first. */
LINNET_API linnet_status linnet_pick_best(const float *scores, size_t count, int32_t *token,
                                          linnet_error *err);
/* y = log(softmax(x)), in place or not: what beam search and CTC want of logits. */
LINNET_API linnet_status linnet_log_softmax(const float *x, size_t count, float *y, linnet_error *err);

/*
 * The draw, so that any program can repeat it. The weight of a token is
 * exp((logit - largest logit) / temperature), in double precision. With top_k or top_p the tokens
 * are put in order of falling weight, of equals the lower number first; the first top_k are
 * kept, and of these the shortest beginning whose weights sum to top_p of the whole or more.
 * Without, all are kept in order of their numbers. Then u in [0, 1) is the next number
 * of SplitMix64 started from the seed, (z >> 11) * 2^-53, and the token is the first at which
 * the running sum of weights exceeds u times their sum.
 */
typedef struct linnet_sampler_options {
    uint32_t struct_size;
    uint32_t top_k;       /* likeliest tokens that are kept [all] */
    float    temperature; /* [0: the likeliest token, no chance] */
    float    top_p;       /* share of the probability that is kept, in (0, 1] [1] */
    uint64_t seed;
} linnet_sampler_options;

/* `tokens` is the size of the vocabulary. options NULL: always the likeliest token. */
LINNET_API linnet_status linnet_sampler_create(size_t tokens, const linnet_sampler_options *options,
                                               const linnet_allocator *allocator,
                                               linnet_sampler **out, linnet_error *err);
LINNET_API void linnet_sampler_free(linnet_sampler *s);
LINNET_API linnet_status linnet_sampler_next(linnet_sampler *s, const float *logits, size_t count,
                                             int32_t *token, linnet_error *err);
/* Start again from `seed`. NULL does nothing. */
LINNET_API void linnet_sampler_reset(linnet_sampler *s, uint64_t seed);

/* ---- beam search -------------------------------------------------------------------- */

/*
 * The search is driven step by step; the model is the caller's. While linnet_beam_live() is not 0,
 * run the model once for every live beam and push the log-probabilities of the next
 * token, one row per beam. Afterwards live beam i continues row linnet_beam_parent(i) with
 * linnet_beam_token(i): put the model's states into that order. The first push has one row.
 *
 * A step ranks all continuations by their sum of log-probabilities (of equals the lower
 * row, then the lower token first) and looks at the 2 * width best in turn: one with the
 * end token becomes a hypothesis if it is among the first `width`, the others live on until
 * `width` do. The score of a hypothesis is sum / count^length_penalty, where count
 * includes the end token; the `width` best are kept. The search is over when there are
 * `width` and no live beam can come before the last of them (for log-probabilities, which
 * are never above 0), or at `length` tokens, where the live ones become hypotheses as they are.
 */
typedef struct linnet_beam_options {
    uint32_t struct_size;
    uint32_t width;          /* beams [4] */
    uint32_t length;         /* most tokens of a hypothesis [256] */
    float    length_penalty; /* above 0 favours long ones [0] */
    uint32_t early;          /* 1: over as soon as there are `width` hypotheses */
} linnet_beam_options;

/* end: the token that ends a hypothesis, or -1 for none. */
LINNET_API linnet_status linnet_beam_create(size_t tokens, int32_t end, const linnet_beam_options *options,
                                            const linnet_allocator *allocator,
                                            linnet_beam **out, linnet_error *err);
LINNET_API void linnet_beam_free(linnet_beam *b);
LINNET_API void linnet_beam_reset(linnet_beam *b); /* for the next search. NULL does nothing */
LINNET_API linnet_status linnet_beam_push(linnet_beam *b, const float *scores, size_t rows, size_t tokens,
                                          linnet_error *err);
LINNET_API size_t  linnet_beam_live(const linnet_beam *b); /* 0: the search is over */
LINNET_API int32_t linnet_beam_parent(const linnet_beam *b, size_t i); /* i outside: -1 */
LINNET_API int32_t linnet_beam_token(const linnet_beam *b, size_t i);  /* i outside: -1 */
/* Hypotheses so far, best first. */
LINNET_API size_t linnet_beam_count(const linnet_beam *b);
/*
 * Hypothesis i without its end token. *count is what it has; where that is above `capacity`
 * nothing is written and the status is LINNET_ERR_ARGUMENT. tokens, count and score may be NULL.
 */
LINNET_API linnet_status linnet_beam_get(const linnet_beam *b, size_t i, int32_t *tokens, size_t capacity,
                                         size_t *count, double *score, linnet_error *err);

/* ---- CTC ------------------------------------------------------------------------------- */

/*
 * The best label of every step, repetitions joined, blanks left out. `scores` is
 * [steps][labels], in any scale. capacity: `steps` is always enough; as linnet_beam_get().
 */
LINNET_API linnet_status linnet_ctc_greedy(const float *scores, size_t steps, size_t labels, int32_t blank,
                                           int32_t *tokens, size_t capacity, size_t *count,
                                           linnet_error *err);

/*
 * Prefix beam search: the probability of a text is the sum over all its alignments. Steps of
 * log-probabilities are pushed as they come, any number at a time; the texts so far
 * can be read at any moment, best first.
 */
typedef struct linnet_ctc_options {
    uint32_t struct_size;
    uint32_t width; /* prefixes kept [16] */
    uint32_t steps; /* most steps between two resets [4096]; decides the memory */
} linnet_ctc_options;

LINNET_API linnet_status linnet_ctc_create(size_t labels, int32_t blank, const linnet_ctc_options *options,
                                           const linnet_allocator *allocator,
                                           linnet_ctc **out, linnet_error *err);
LINNET_API void linnet_ctc_free(linnet_ctc *c);
LINNET_API void linnet_ctc_reset(linnet_ctc *c); /* NULL does nothing */
LINNET_API linnet_status linnet_ctc_push(linnet_ctc *c, const float *scores, size_t steps, size_t labels,
                                         linnet_error *err);
LINNET_API size_t linnet_ctc_count(const linnet_ctc *c); /* prefixes kept */
/* Prefix i, best first; score is the log of its probability. As linnet_beam_get(). */
LINNET_API linnet_status linnet_ctc_get(const linnet_ctc *c, size_t i, int32_t *tokens, size_t capacity,
                                        size_t *count, double *score, linnet_error *err);

/* ---- tokenisers -------------------------------------------------------------------------- */

/*
 * A tokeniser is read from one of three files, told apart by their bytes:
 *  - tokenizer.json of Hugging Face: BPE (byte-level with the expressions of GPT-2, GPT-4,
 *    Llama 3, Qwen and CLIP; Metaspace with byte fallback), WordPiece, Unigram, WordLevel, with
 *    their normalisers, pre-tokenisers, added tokens, templates and decoders. What a file asks for
 *    and this library has not (another regular expression, for one) is refused by name:
 *    LINNET_ERR_UNSUPPORTED. Truncation, padding and the template for pairs of texts are left
 *    to the caller.
 *  - tokenizer.bin of llama2.c;
 *  - vocab.txt of BERT: a piece per line. Text is put in lower case and freed of accents
 *    unless a piece outside brackets has an upper-case letter.
 *
 * Immutable once loaded; any number of threads may use it. Encoding takes scratch memory in
 * proportion to the text from the options' allocator, at most limits.memory bytes per call.
 */
LINNET_API linnet_status linnet_tokenizer_open(const char *path, const linnet_options *opt,
                                               linnet_tokenizer **out, linnet_error *err);
/* From memory; nothing of `data` is needed afterwards. */
LINNET_API linnet_status linnet_tokenizer_load(const void *data, size_t size, const linnet_options *opt,
                                               linnet_tokenizer **out, linnet_error *err);
LINNET_API void linnet_tokenizer_free(linnet_tokenizer *t);

/* One more than the largest token, for the size of logits; NULL: 0. */
LINNET_API size_t linnet_tokenizer_count(const linnet_tokenizer *t);
/* Token `id` as the file writes it, NUL-terminated, and its bytes (size may be NULL). No such token: NULL. */
LINNET_API const char *linnet_tokenizer_text(const linnet_tokenizer *t, int32_t id, size_t *size);
/* The token of exactly that text, as the file writes it, or -1. */
LINNET_API int32_t linnet_tokenizer_find(const linnet_tokenizer *t, const char *text, size_t size);

enum {
    LINNET_TEXT_SPECIAL = 1, /* encode: add the template's tokens ([CLS], <s>, ...); decode: show special tokens */
    LINNET_TEXT_PLAIN   = 2, /* encode: special tokens written in the text are plain text */
    LINNET_TEXT_REPAIR  = 4  /* encode: what is no UTF-8 becomes U+FFFD; without it, LINNET_ERR_DATA */
};

/*
 * Text to tokens. *count is what the text has; where that is above `capacity` the tokens are not
 * complete and the status is LINNET_ERR_ARGUMENT. ids may be NULL, to count. A text of n bytes
 * mostly has at most n + 2 tokens, but normalisers may lengthen it.
 */
LINNET_API linnet_status linnet_tokenizer_encode(const linnet_tokenizer *t, const char *text, size_t size,
                                                 uint32_t flags, int32_t *ids, size_t capacity,
                                                 size_t *count, linnet_error *err);

/*
 * Tokens to UTF-8. *size is the text's bytes, without the NUL that is added where there is room for one;
 * where it is above `capacity` nothing is written and the status is LINNET_ERR_ARGUMENT.
 * text may be NULL, to count. Bytes that are no UTF-8 become U+FFFD.
 */
LINNET_API linnet_status linnet_tokenizer_decode(const linnet_tokenizer *t, const int32_t *ids, size_t count,
                                                 uint32_t flags, char *text, size_t capacity,
                                                 size_t *size, linnet_error *err);

/*
 * The same one token at a time, for text that is shown as it comes: each call gives what is
 * sure by now, always whole characters. The state is zeroed first; id -1 is the end and
 * gives what is left. All pieces together are what linnet_tokenizer_decode() gives. After an error
 * the state is as before.
 */
typedef struct linnet_decoder {
    uint32_t begun, held_count, space, text_begun;
    uint8_t  held[4];
} linnet_decoder;
LINNET_API linnet_status linnet_tokenizer_next(const linnet_tokenizer *t, linnet_decoder *state, int32_t id,
                                               uint32_t flags, char *text, size_t capacity, size_t *size,
                                               linnet_error *err);

#ifdef __cplusplus
}
#endif

#endif
