/*
 * token_json.c - Hugging Face's tokenizer.json.
 *
 * What a file asks for and this library has not is refused by name: a tokeniser that loads gives
 * the numbers that its file means. Truncation and padding are left to the caller.
 */
#include "token.h"

#include <math.h>

static linnet_status bad(linnet_error *err, const char *what)
{
    return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer.json: %s", what);
}

/* A string for a sentence; not NUL-terminated in the file. */
static const char *shown(const ln_json *v, char out[64])
{
    const size_t n = v && v->kind == LN_JSON_STRING ? LN_MIN(v->size, 63u) : 0;

    memcpy(out, n ? v->text : "", n);
    out[n] = '\0';
    return out;
}

/* ---- steps ----------------------------------------------------------------------------- */

static linnet_status read_step(linnet_tokenizer *t, const ln_json *v, const ln_text_kind *kinds, ln_text_step *s,
                               linnet_error *err)
{
    const ln_json *type = ln_json_get(v, "type");
    char name[64];

    for (; kinds->name; kinds++) {
        if (!ln_json_is(type, kinds->name))
            continue;
        const linnet_status st = kinds->read(v, s, err);
        if (st || s->normal == ln_normal_precompiled)
            return st ? st : ln_precompiled_unpack(s, &t->arena, err);
        s->a = s->a ? ln_arena_string(&t->arena, s->a, s->a_size) : NULL;
        s->b = ln_arena_string(&t->arena, s->b, s->b_size);
        return s->b ? LINNET_OK : ln_token_memory(err);
    }
    return ln_fail(err, LINNET_ERR_UNSUPPORTED, "tokenizer.json: a step of the type \"%s\"", shown(type, name));
}

/* One step, or those of a Sequence; null: none. */
static linnet_status read_steps(linnet_tokenizer *t, const ln_json *v, const char *list, const ln_text_kind *kinds,
                                ln_text_step **out, size_t *count, linnet_error *err)
{
    const bool sequence = ln_json_is(ln_json_get(v, "type"), "Sequence");
    const ln_json *items = ln_json_get(v, list);
    linnet_status st = LINNET_OK;

    if (!v || v->kind == LN_JSON_NULL)
        return LINNET_OK;
    if (v->kind != LN_JSON_OBJECT || (sequence && (!items || items->kind != LN_JSON_ARRAY)))
        return bad(err, "a step that is no object, or a Sequence without its list");
    *out = ln_arena_alloc(&t->arena, LN_STEP_MOST, sizeof **out);
    if (!*out)
        return ln_token_memory(err);
    if (!sequence)
        return read_step(t, v, kinds, &(*out)[(*count)++], err);
    for (const ln_json *c = ln_json_first(items); c && !st; c = ln_json_next(items, c)) {
        if (*count == LN_STEP_MOST)
            return ln_fail(err, LINNET_ERR_LIMIT, "tokenizer.json: more than %u steps", LN_STEP_MOST);
        st = read_step(t, c, kinds, &(*out)[(*count)++], err);
    }
    return st;
}

/* ---- the vocabulary -------------------------------------------------------------------- */

/* Whether the numbers of the tokens are near enough to their count; how many places they take. */
static linnet_status vocabulary_size(const ln_json *vocab, const ln_json *added, size_t *out, linnet_error *err)
{
    int64_t most = -1, n = 0, id;

    for (const ln_json *c = ln_json_first(vocab); c; c = ln_json_next(vocab, c), n++) {
        if (vocab->kind == LN_JSON_ARRAY)
            id = n;
        else if (!ln_json_whole(c, 0, INT32_MAX - 1, &id))
            return bad(err, "a token without a number");
        most = LN_MAX(most, id);
    }
    for (const ln_json *c = ln_json_first(added); c; c = ln_json_next(added, c), n++) {
        if (!ln_json_whole(ln_json_get(c, "id"), 0, INT32_MAX - 1, &id))
            return bad(err, "an added token without a number");
        most = LN_MAX(most, id);
    }
    if (most >= 2 * n + 65536)
        return ln_fail(err, LINNET_ERR_LIMIT, "tokenizer.json: token %lld among %lld tokens", (long long)most,
                       (long long)n);
    *out = (size_t)(most + 1);
    return LINNET_OK;
}

/* Into the trie, as bytes where the alphabet is bytes; what is not of the alphabet can never match. */
static linnet_status put_piece(linnet_tokenizer *t, const char *text, size_t size, uint32_t id, linnet_error *err)
{
    char bytes[LN_PIECE_MOST];
    size_t n = size;

    if (size == 0 || (t->byte_level && !ln_bytes_of(text, size, bytes, &n)))
        return LINNET_OK;
    return ln_trie_put(&t->trie, t->byte_level ? bytes : text, n, id) ? LINNET_OK : ln_token_memory(err);
}

static linnet_status read_vocabulary(linnet_tokenizer *t, const ln_json *vocab, linnet_error *err)
{
    const bool list = vocab->kind == LN_JSON_ARRAY;
    double least = INFINITY;
    int64_t id = 0;

    for (const ln_json *c = ln_json_first(vocab); c; c = ln_json_next(vocab, c)) {
        const ln_json *name = list ? ln_json_first(c) : ln_json_key(c);
        const char *text;
        size_t size;
        if (!ln_json_string(name, &text, &size) || (list && c->kind != LN_JSON_ARRAY))
            return bad(err, "a token that is no text");
        if (!list && !ln_json_whole(c, 0, INT32_MAX - 1, &id))
            return bad(err, "a token without a number");
        linnet_status st = ln_token_piece(t, id, text, size, err);
        if (!st)
            st = put_piece(t, text, size, (uint32_t)id, err);
        if (st)
            return st;
        if (list && !ln_json_number(ln_json_next(c, name), &t->score[id]))
            return bad(err, "a token without a score");
        least = LN_MIN(least, t->score[id]);
        id += list;
    }
    t->unknown_score = least - 10; /* as sentencepiece has it */
    return LINNET_OK;
}

static linnet_status read_added(linnet_tokenizer *t, const ln_json *list, linnet_error *err)
{
    for (const ln_json *c = ln_json_first(list); c; c = ln_json_next(list, c)) {
        const char *text;
        size_t size;
        int64_t id;
        if (!ln_json_string(ln_json_get(c, "content"), &text, &size) ||
            !ln_json_whole(ln_json_get(c, "id"), 0, (int64_t)t->count - 1, &id))
            return bad(err, "an added token without content or number");
        const ln_piece *p = &t->piece[id];
        if (p->text && (p->size != size || memcmp(p->text, text, size) != 0))
            return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer.json: two tokens have the number %lld", (long long)id);
        linnet_status st = p->text ? LINNET_OK : ln_token_piece(t, id, text, size, err);
        const ln_added a = {
            .id = (uint32_t)id,
            .single_word = ln_json_true(ln_json_get(c, "single_word"), false),
            .left = ln_json_true(ln_json_get(c, "lstrip"), false),
            .right = ln_json_true(ln_json_get(c, "rstrip"), false),
            .special = ln_json_true(ln_json_get(c, "special"), false),
        };
        if (!st)
            st = ln_token_added(t, a, ln_json_true(ln_json_get(c, "normalized"), !a.special), err);
        if (st)
            return st;
    }
    return LINNET_OK;
}

/* ---- models ------------------------------------------------------------------------------ */

/* An optional text of the model, kept. */
static linnet_status read_text(linnet_tokenizer *t, const ln_json *v, const char **out, size_t *size, linnet_error *err)
{
    const char *text = "";

    if (v && v->kind != LN_JSON_NULL && !ln_json_string(v, &text, size))
        return bad(err, "a member of the model that should be a text");
    if (*size > LN_PIECE_MOST)
        return ln_fail(err, LINNET_ERR_LIMIT, "tokenizer.json: an affix of %zu bytes", *size);
    *out = ln_arena_string(&t->arena, text, *size);
    return *out ? LINNET_OK : ln_token_memory(err);
}

static linnet_status read_unknown(linnet_tokenizer *t, const ln_json *v, linnet_error *err)
{
    const char *text;
    size_t size;

    t->unknown = LN_TABLE_NONE;
    if (!ln_json_string(v, &text, &size))
        return LINNET_OK;
    t->unknown = ln_trie_get(&t->trie, text, size);
    for (size_t i = 0; t->byte_level && i < t->count; i++) /* as it is written, not as bytes */
        if (t->piece[i].text && t->piece[i].size == size && memcmp(t->piece[i].text, text, size) == 0)
            t->unknown = (uint32_t)i;
    return t->unknown != LN_TABLE_NONE ? LINNET_OK : bad(err, "an unknown token that the vocabulary has not");
}

/* The two halves of a merge: "a b" or ["a", "b"]. */
static bool merge_halves(const ln_json *v, const char *text[2], size_t size[2])
{
    if (v->kind == LN_JSON_ARRAY) {
        const ln_json *a = ln_json_first(v), *b = a ? ln_json_next(v, a) : NULL;
        return ln_json_string(a, &text[0], &size[0]) && ln_json_string(b, &text[1], &size[1]) && !ln_json_next(v, b);
    }
    const char *space = v->kind == LN_JSON_STRING ? memchr(v->text, ' ', v->size) : NULL;
    if (!space)
        return false;
    text[0] = v->text;
    size[0] = (size_t)(space - v->text);
    text[1] = space + 1;
    size[1] = v->size - size[0] - 1;
    return memchr(text[1], ' ', size[1]) == NULL;
}

/* The token of a half as the trie has it; false where it can never be met. */
static bool merge_token(const linnet_tokenizer *t, const char *text, size_t size, char *bytes, size_t *n, uint32_t *id)
{
    *id = LN_TABLE_NONE;
    if (size > LN_PIECE_MOST)
        return true; /* no token has that text: an error */
    if (t->byte_level && !ln_bytes_of(text, size, bytes, n))
        return false;
    if (!t->byte_level) {
        memcpy(bytes, text, size);
        *n = size;
    }
    *id = ln_trie_get(&t->trie, bytes, *n);
    return true;
}

static linnet_status read_merge(linnet_tokenizer *t, const ln_json *v, size_t rank, linnet_error *err)
{
    char bytes[2][LN_PIECE_MOST];
    const char *text[2];
    size_t size[2], n[2] = { 0, 0 };
    uint32_t id[2];

    if (!merge_halves(v, text, size))
        return bad(err, "a merge that is no pair");
    if (!merge_token(t, text[0], size[0], bytes[0], &n[0], &id[0]) ||
        !merge_token(t, text[1], size[1], bytes[1], &n[1], &id[1]))
        return LINNET_OK;
    const size_t skip = t->prefix_size <= n[1] ? t->prefix_size : 0;
    uint32_t node = ln_trie_walk(&t->trie, 0, bytes[0], n[0]);
    node = ln_trie_walk(&t->trie, node, bytes[1] + skip, n[1] - skip);
    t->merge[rank] = (ln_merge){ (uint32_t)rank, ln_trie_id(&t->trie, node) };
    if (id[0] == LN_TABLE_NONE || id[1] == LN_TABLE_NONE || t->merge[rank].id == LN_TABLE_NONE)
        return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer.json: merge %zu is of tokens that the vocabulary has not",
                       rank);
    return ln_table_put(&t->pairs, id[0], id[1], (uint32_t)rank) ? LINNET_OK : ln_token_memory(err);
}

static linnet_status read_bpe(linnet_tokenizer *t, const ln_json *m, linnet_error *err)
{
    const ln_json *merges = ln_json_get(m, "merges"), *dropout = ln_json_get(m, "dropout");
    double drop = 0;
    size_t n = 0;
    linnet_status st;

    if ((st = read_text(t, ln_json_get(m, "continuing_subword_prefix"), &t->prefix, &t->prefix_size, err)) ||
        (st = read_text(t, ln_json_get(m, "end_of_word_suffix"), &t->suffix, &t->suffix_size, err)) ||
        (st = read_unknown(t, ln_json_get(m, "unk_token"), err)))
        return st;
    if (ln_json_number(dropout, &drop) && drop != 0)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "tokenizer.json: a dropout of %g", drop);
    if (!merges || merges->kind != LN_JSON_ARRAY)
        return bad(err, "BPE without merges");
    t->byte_fallback = ln_json_true(ln_json_get(m, "byte_fallback"), false);
    t->fuse_unknown = ln_json_true(ln_json_get(m, "fuse_unk"), false);
    t->whole_first = ln_json_true(ln_json_get(m, "ignore_merges"), false);
    t->merge = ln_arena_alloc(&t->arena, merges->span, sizeof *t->merge);
    if (!t->merge)
        return ln_token_memory(err);
    for (const ln_json *c = ln_json_first(merges); c && !st; c = ln_json_next(merges, c))
        st = read_merge(t, c, n++, err);
    t->model = ln_bpe;
    return st;
}

static linnet_status read_word_piece(linnet_tokenizer *t, const ln_json *m, linnet_error *err)
{
    const ln_json *prefix = ln_json_get(m, "continuing_subword_prefix");
    linnet_status st = read_text(t, prefix, &t->prefix, &t->prefix_size, err);

    if (!st)
        st = read_unknown(t, ln_json_get(m, "unk_token"), err);
    if (!st && t->unknown == LN_TABLE_NONE)
        st = bad(err, "WordPiece without an unknown token");
    if (!prefix) {
        t->prefix = "##";
        t->prefix_size = 2;
    }
    t->word_most = 100;
    if (ln_json_get(m, "max_input_chars_per_word") &&
        !ln_json_whole(ln_json_get(m, "max_input_chars_per_word"), 0, INT64_MAX, &t->word_most))
        st = st ? st : bad(err, "max_input_chars_per_word is no count");
    t->model = ln_word_piece;
    return st;
}

static linnet_status read_word_level(linnet_tokenizer *t, const ln_json *m, linnet_error *err)
{
    t->model = ln_word_level;
    return read_unknown(t, ln_json_get(m, "unk_token"), err);
}

static linnet_status read_unigram(linnet_tokenizer *t, const ln_json *m, linnet_error *err)
{
    int64_t id;

    t->byte_fallback = ln_json_true(ln_json_get(m, "byte_fallback"), false);
    if (!ln_json_whole(ln_json_get(m, "unk_id"), 0, (int64_t)t->count - 1, &id) || !t->piece[id].text)
        return bad(err, "Unigram without unk_id");
    t->unknown = (uint32_t)id;
    t->model = ln_unigram;
    return LINNET_OK;
}

static linnet_status read_model(linnet_tokenizer *t, const ln_json *m, linnet_error *err)
{
    static const struct {
        const char *name, *sign; /* a member that tells it in files without "type" */
        linnet_status (*read)(linnet_tokenizer *, const ln_json *, linnet_error *);
    } models[] = {
        { "BPE", "merges", read_bpe }, { "WordPiece", "max_input_chars_per_word", read_word_piece },
        { "Unigram", "unk_id", read_unigram }, { "WordLevel", "unk_token", read_word_level },
    };
    const ln_json *type = ln_json_get(m, "type");
    char name[64];

    for (size_t i = 0; i < LN_COUNT(models); i++)
        if (type ? ln_json_is(type, models[i].name) : ln_json_get(m, models[i].sign) != NULL)
            return models[i].read(t, m, err);
    return ln_fail(err, LINNET_ERR_UNSUPPORTED, "tokenizer.json: a model of the type \"%s\"", shown(type, name));
}

/* ---- the template ---------------------------------------------------------------------------- */

/* The numbers of a special token of the template, appended. */
static linnet_status put_special(linnet_tokenizer *t, const ln_json *ids, int32_t *to, size_t *n, linnet_error *err)
{
    int64_t id;

    for (const ln_json *c = ln_json_first(ids); c; c = ln_json_next(ids, c)) {
        if (*n == LN_STEP_MOST || !ln_json_whole(c, 0, (int64_t)t->count - 1, &id) || !t->piece[id].text)
            return bad(err, "a template with a token that is not there, or too long");
        to[(*n)++] = (int32_t)id;
    }
    return LINNET_OK;
}

static linnet_status read_template(linnet_tokenizer *t, const ln_json *v, linnet_error *err)
{
    const ln_json *single = ln_json_get(v, "single"), *specials = ln_json_get(v, "special_tokens");
    int sequences = 0;
    linnet_status st = LINNET_OK;

    for (const ln_json *c = ln_json_first(single); c && !st; c = ln_json_next(single, c)) {
        const ln_json *name = ln_json_get(ln_json_get(c, "SpecialToken"), "id"), *ids = NULL;
        if (!name) {
            sequences += ln_json_is(ln_json_get(ln_json_get(c, "Sequence"), "id"), "A");
            continue;
        }
        for (const ln_json *s = ln_json_first(specials); s && !ids; s = ln_json_next(specials, s)) {
            const ln_json *key = ln_json_key(s);
            const bool named = name->kind == LN_JSON_STRING && key->size == name->size;
            if (named && memcmp(key->text, name->text, key->size) == 0)
                ids = ln_json_get(s, "ids");
        }
        if (!ids)
            return bad(err, "a template with a token that is not explained");
        st = sequences ? put_special(t, ids, t->tail, &t->tail_count, err)
                       : put_special(t, ids, t->head, &t->head_count, err);
    }
    return st || sequences == 1 ? st : bad(err, "a template without its text");
}

/* BertProcessing and RobertaProcessing: "cls" and "sep" are [text, number]. */
static linnet_status read_pair(linnet_tokenizer *t, const ln_json *v, linnet_error *err)
{
    const ln_json *cls = ln_json_get(v, "cls"), *sep = ln_json_get(v, "sep");
    const ln_json *a = ln_json_first(cls), *b = ln_json_first(sep);
    int64_t first, last;

    if (!a || !b || !ln_json_whole(ln_json_next(cls, a), 0, (int64_t)t->count - 1, &first) ||
        !ln_json_whole(ln_json_next(sep, b), 0, (int64_t)t->count - 1, &last) || !t->piece[first].text ||
        !t->piece[last].text || t->head_count == LN_STEP_MOST || t->tail_count == LN_STEP_MOST)
        return bad(err, "cls or sep of the post-processor");
    t->head[t->head_count++] = (int32_t)first;
    t->tail[t->tail_count++] = (int32_t)last;
    return LINNET_OK;
}

static linnet_status read_processor(linnet_tokenizer *t, const ln_json *v, linnet_error *err)
{
    const ln_json *type = ln_json_get(v, "type");
    char name[64];

    if (ln_json_is(type, "ByteLevel")) /* about offsets alone */
        return LINNET_OK;
    if (t->head_count || t->tail_count)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "tokenizer.json: two templates");
    if (ln_json_is(type, "TemplateProcessing"))
        return read_template(t, v, err);
    if (ln_json_is(type, "BertProcessing") || ln_json_is(type, "RobertaProcessing"))
        return read_pair(t, v, err);
    return ln_fail(err, LINNET_ERR_UNSUPPORTED, "tokenizer.json: a post-processor of the type \"%s\"",
                   shown(type, name));
}

static linnet_status read_processors(linnet_tokenizer *t, const ln_json *v, linnet_error *err)
{
    const ln_json *list = ln_json_get(v, "processors");
    linnet_status st = LINNET_OK;

    if (!v || v->kind == LN_JSON_NULL)
        return LINNET_OK;
    if (!ln_json_is(ln_json_get(v, "type"), "Sequence"))
        return read_processor(t, v, err);
    for (const ln_json *c = ln_json_first(list); c && !st; c = ln_json_next(list, c))
        st = read_processor(t, c, err);
    return st;
}

/* ---- the file ----------------------------------------------------------------------------------- */

/*
 * Steps behind Fuse see the whole text. The only one that can be done while tokens come one by
 * one is to strip a space at the beginning.
 */
static linnet_status fused_steps(linnet_tokenizer *t, linnet_error *err)
{
    for (size_t i = 0; i < t->decode_count; i++) {
        if (t->decode[i].decode)
            continue;
        for (size_t k = i + 1; k < t->decode_count; k++) {
            const ln_text_step *s = &t->decode[k];
            const bool strip = s->left && s->number == 1 && s->behaviour == 0 && s->a_size == 1 && s->a[0] == ' ';
            if (s->decode && !strip)
                return ln_fail(err, LINNET_ERR_UNSUPPORTED,
                               "tokenizer.json: a decoder behind Fuse that needs the whole text");
            t->strip_first = t->strip_first || strip;
        }
        t->decode_count = i;
    }
    return LINNET_OK;
}

static linnet_status read_decoders(linnet_tokenizer *t, const ln_json *v, linnet_error *err)
{
    const linnet_status st = read_steps(t, v, "decoders", ln_decoders, &t->decode, &t->decode_count, err);

    if (st || t->decode)
        return st ? st : fused_steps(t, err);
    t->decode = ln_arena_alloc(&t->arena, 1, sizeof *t->decode);
    if (!t->decode)
        return ln_token_memory(err);
    t->decode[0].decode = ln_decode_joined;
    t->decode_count = 1;
    return LINNET_OK;
}

static linnet_status read_all(linnet_tokenizer *t, const ln_json *v, linnet_error *err)
{
    const ln_json *m = ln_json_get(v, "model"), *vocab = ln_json_get(m, "vocab");
    const ln_json *added = ln_json_get(v, "added_tokens");
    size_t count = 0;
    linnet_status st;

    if (!vocab || (vocab->kind != LN_JSON_OBJECT && vocab->kind != LN_JSON_ARRAY))
        return bad(err, "no model with a vocabulary");
    if (added && added->kind != LN_JSON_ARRAY)
        return bad(err, "added_tokens is no list");
    if ((st = read_steps(t, ln_json_get(v, "normalizer"), "normalizers", ln_normalizers, &t->normal, &t->normal_count,
                         err)) ||
        (st = read_steps(t, ln_json_get(v, "pre_tokenizer"), "pretokenizers", ln_splitters, &t->split, &t->split_count,
                         err)) ||
        (st = read_decoders(t, ln_json_get(v, "decoder"), err)))
        return st;
    for (size_t i = 0; i < t->split_count; i++) {
        t->byte_level = t->byte_level || t->split[i].bytes;
        if (t->split[i].bytes && i + 1 < t->split_count)
            return ln_fail(err, LINNET_ERR_UNSUPPORTED, "tokenizer.json: a step behind ByteLevel");
    }
    if ((st = vocabulary_size(vocab, added, &count, err)) || (st = ln_token_reserve(t, count, err)) ||
        (st = read_vocabulary(t, vocab, err)) || (st = read_model(t, m, err)))
        return st;
    if ((t->model == ln_unigram) != (vocab->kind == LN_JSON_ARRAY))
        return bad(err, "a vocabulary that does not fit the model");
    if ((st = read_added(t, added, err)) || (st = read_processors(t, ln_json_get(v, "post_processor"), err)))
        return st;
    return ln_token_finish(t, err);
}

linnet_status ln_token_read_json(linnet_tokenizer *t, const void *data, size_t size, linnet_error *err)
{
    const ln_json *v = NULL;
    ln_arena temp;

    ln_arena_init(&temp, &t->alloc, t->memory);
    linnet_status st = ln_json_read(data, size, &temp, &v, err);
    if (!st)
        st = read_all(t, v, err);
    ln_arena_free(&temp);
    return st;
}
