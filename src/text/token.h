/*
 * token.h - a tokeniser from the inside.
 *
 * A text goes through added tokens (found as they are written), normalisers (text to text),
 * pre-tokenisers (text to parts) and the model (part to numbers). Every step is an entry of a table:
 * the name in tokenizer.json, how its members are read, what it does.
 */
#ifndef LN_TOKEN_H
#define LN_TOKEN_H

#include "../base/base.h"
#include "json.h"
#include "linnet_text.h"
#include "table.h"
#include "unicode.h"

#define LN_PIECE_MOST 1024u /* bytes of a piece or pattern: bounds the time of every search */
#define LN_STEP_MOST  32u   /* steps of one kind */

typedef struct ln_text_part {
    const char *s;
    size_t      size;
    bool        first; /* begins where the whole text begins */
} ln_text_part;

typedef struct ln_text_parts {
    ln_arena *arena;
    ln_text_part  *part;
    size_t    count, room;
    bool      full; /* as in ln_text */
} ln_text_parts;

void ln_text_parts_put(ln_text_parts *p, const char *s, size_t size, bool first);

/* What a match becomes, with the names of Hugging Face. */
enum ln_behaviour { LN_REMOVED, LN_ISOLATED, LN_MERGED_WITH_PREVIOUS, LN_MERGED_WITH_NEXT, LN_CONTIGUOUS };

typedef struct ln_text_step ln_text_step;
struct ln_text_step {
    void      (*normal)(const ln_text_step *s, const char *text, size_t size, ln_text *out);
    void      (*split)(const ln_text_step *s, const ln_text_part *in, ln_text_parts *out);
    void      (*decode)(const ln_text_step *s, bool first, const char *text, size_t size, ln_text *out);
    /* the length of a match at `at`, or 0 */
    size_t    (*match)(const ln_text_step *s, const char *text, size_t size, size_t at);
    bool      (*test)(uint32_t c);
    const char *a, *b; /* texts: a pattern, a content, ... */
    size_t     a_size, b_size;
    int64_t    number;
    int        behaviour;
    bool       invert, clean, cjk, strip, lower, prefix, left, right, bytes;
};

/* A row of the tables of steps: the first column is the file's "type". */
typedef struct ln_text_kind {
    const char *name;
    linnet_status (*read)(const ln_json *v, ln_text_step *s, linnet_error *err);
} ln_text_kind;
extern const ln_text_kind ln_normalizers[], ln_splitters[], ln_decoders[]; /* end with a NULL name */

typedef struct ln_piece {
    const char *text;     /* as the file has it; NULL: no such token */
    const char *out[2];   /* decoded: behind other tokens, and as the first */
    uint32_t    size, out_size[2], node;
    bool        special, space_after; /* the decoder puts a space before the next token */
} ln_piece;

typedef struct ln_added { /* what tokenizer.json says of an added token */
    uint32_t id;
    bool     single_word, left, right, special;
} ln_added;

typedef struct ln_merge { uint32_t rank, id; } ln_merge;

typedef struct ln_encode ln_encode;

struct linnet_tokenizer {
    linnet_allocator alloc;
    ln_arena         arena;
    size_t           memory;    /* most bytes of one call's scratch */
    ln_piece        *piece;
    size_t           count, present;
    ln_trie          trie;      /* the model's vocabulary */
    ln_added        *added;
    size_t           added_count, added_room;
    ln_trie          added_trie[2]; /* -> place in `added`; looked for before and after normalising */
    bool             added_byte[2][256]; /* an added token begins with it */
    void           (*model)(ln_encode *e, const char *s, size_t size);
    ln_text_step         *normal, *split, *decode;
    size_t           normal_count, split_count, decode_count;
    int32_t         *head, *tail; /* what the template puts around a text */
    size_t           head_count, tail_count;
    /* models */
    ln_table           pairs;     /* left, right -> place in `merge` */
    ln_merge        *merge;
    double          *score;
    double           unknown_score;
    uint32_t         unknown;   /* LN_TABLE_NONE: none */
    uint32_t         byte[256]; /* tokens <0x00> to <0xFF> */
    bool             byte_level, byte_fallback, fuse_unknown, whole_first;
    const char      *prefix, *suffix;
    size_t           prefix_size, suffix_size;
    int64_t          word_most;
    bool             strip_first; /* decoding drops one space at the beginning */
};

/* One call of encode: scratch that lives until its end, and where the numbers go. */
struct ln_encode {
    const linnet_tokenizer *t;
    ln_arena                arena;
    int32_t                *ids;
    size_t                  capacity, count;
    bool                    full, plain;
    void                   *scratch[2]; /* of the model, reused from part to part */
    size_t                  scratch_size[2];
};

static inline void ln_encode_put(ln_encode *e, uint32_t id)
{
    if (e->count < e->capacity)
        e->ids[e->count] = (int32_t)id;
    e->count++;
}
/* At least `count` items of `size` bytes, contents lost; NULL: e->full. */
void *ln_encode_scratch(ln_encode *e, int which, size_t count, size_t size);
/* The bytes of the unknown text as byte tokens; false where the model has not all of them. */
bool ln_encode_bytes(ln_encode *e, const char *s, size_t size);

/* The text through all normalisers; NULL: no memory. */
const char *ln_normalize(const linnet_tokenizer *t, const char *s, size_t *size, ln_arena *arena);

void ln_bpe(ln_encode *e, const char *s, size_t size);
void ln_bpe_scored(ln_encode *e, const char *s, size_t size);
void ln_word_piece(ln_encode *e, const char *s, size_t size);
void ln_word_level(ln_encode *e, const char *s, size_t size);
void ln_unigram(ln_encode *e, const char *s, size_t size);

/* sentencepiece's map: the step, and its form in the file made ready. */
void          ln_normal_precompiled(const ln_text_step *s, const char *text, size_t size, ln_text *out);
linnet_status ln_precompiled_unpack(ln_text_step *s, ln_arena *arena, linnet_error *err);

/* Decoding where the file names no decoder: tokens joined by spaces; and byte tokens alone. */
void ln_decode_joined(const ln_text_step *s, bool first, const char *text, size_t size, ln_text *out);
void ln_decode_bytes(const ln_text_step *s, bool first, const char *text, size_t size, ln_text *out);
/* WordPiece: s->a is the prefix that joins, s->clean says whether spaces before punctuation go. */
void ln_decode_word_piece(const ln_text_step *s, bool first, const char *text, size_t size, ln_text *out);

/* Bytes of a unit of the model's text: a character, or one byte where the alphabet is bytes. */
static inline size_t ln_unit(const linnet_tokenizer *t, const char *s)
{
    size_t n = 1;

    if (!t->byte_level)
        ln_utf8_at(s, &n);
    return n;
}

/* The byte that a character of the byte-level alphabet stands for, or -1. */
int ln_byte_of(uint32_t c);
/* A byte-level piece as bytes at out, which has room for `size`; false where it is not of that alphabet. */
bool ln_bytes_of(const char *s, size_t size, char *out, size_t *out_size);
/* The byte of "<0x41>", or -1. */
int ln_byte_token(const char *s, size_t size);

/* ---- making one ---------------------------------------------------------------------- */

/* Room for `count` pieces; a piece takes its place. */
linnet_status ln_token_reserve(linnet_tokenizer *t, size_t count, linnet_error *err);
linnet_status ln_token_piece(linnet_tokenizer *t, int64_t id, const char *text, size_t size, linnet_error *err);
/* An added token, once the normalisers are known. */
linnet_status ln_token_added(linnet_tokenizer *t, ln_added a, bool normalized, linnet_error *err);
/* The token of that text, added ones first; LN_TABLE_NONE: none. */
uint32_t      ln_token_find(const linnet_tokenizer *t, const char *text, size_t size);
linnet_status ln_token_memory(linnet_error *err);
/* Everything is read: byte tokens found, decoded texts made. */
linnet_status ln_token_finish(linnet_tokenizer *t, linnet_error *err);

linnet_status ln_token_read_json(linnet_tokenizer *t, const void *data, size_t size, linnet_error *err);
linnet_status ln_token_read_vocab(linnet_tokenizer *t, const char *data, size_t size, linnet_error *err);
linnet_status ln_token_read_llama2c(linnet_tokenizer *t, const void *data, size_t size, linnet_error *err);
bool          ln_token_is_llama2c(const void *data, size_t size);

#endif
