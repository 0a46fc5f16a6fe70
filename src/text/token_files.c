/*
 * token_files.c - the two plain vocabularies: BERT's vocab.txt and llama2.c's tokenizer.bin.
 */
#include "token.h"

#include <math.h>

/* A decoder step of its own, as if a file had named it. */
static bool add_decoder(linnet_tokenizer *t,
                        void (*decode)(const ln_text_step *, bool, const char *, size_t, ln_text *))
{
    t->decode = ln_arena_alloc(&t->arena, 1, sizeof *t->decode);
    if (!t->decode)
        return false;
    t->decode[0].decode = decode;
    t->decode[0].a = "##";
    t->decode[0].a_size = 2;
    t->decode[0].clean = true;
    t->decode_count = 1;
    return true;
}

static linnet_status add_step(linnet_tokenizer *t, const char *json, const ln_text_kind *kinds, ln_text_step **out,
                              size_t *count, linnet_error *err)
{
    const ln_json *v = NULL;
    ln_arena temp;
    linnet_status st;

    *out = ln_arena_alloc(&t->arena, 1, sizeof **out);
    if (!*out)
        return ln_token_memory(err);
    ln_arena_init(&temp, &t->alloc, t->memory);
    st = ln_json_read(json, strlen(json), &temp, &v, err);
    for (; !st && kinds->name; kinds++)
        if (ln_json_is(ln_json_get(v, "type"), kinds->name))
            st = kinds->read(v, *out, err); /* of steps whose texts are in `json` */
    ln_arena_free(&temp);
    *count = 1;
    return st;
}

/* ---- vocab.txt -------------------------------------------------------------------------- */

/* The next line, cut at white space at its end; false behind the last. */
static bool next_line(const char *data, size_t size, size_t *at, const char **line, size_t *length)
{
    if (*at >= size)
        return false;
    const char *from = data + *at, *end = memchr(from, '\n', size - *at);
    size_t n = end ? (size_t)(end - from) : size - *at, back, step;

    *at += n + (end != NULL);
    for (; n > 0; n = back) {
        back = n - 1;
        while (back > 0 && ((uint8_t)from[back] & 0xc0) == 0x80)
            back--;
        if (!ln_is_space(ln_utf8_at(from + back, &step)))
            break;
    }
    *line = from;
    *length = n;
    return true;
}

static bool all_utf8(const char *data, size_t size)
{
    uint32_t code;

    for (size_t i = 0, n; i < size; i += n)
        if ((n = ln_utf8_next((const uint8_t *)data + i, size - i, &code)) == 0)
            return false;
    return true;
}

static linnet_status vocab_pieces(linnet_tokenizer *t, const char *data, size_t size, bool *cased, linnet_error *err)
{
    const char *line;
    size_t at = 0, n;
    int64_t id = 0;

    while (next_line(data, size, &at, &line, &n)) {
        linnet_status st = ln_token_piece(t, id, line, n, err);
        if (!st && n && !ln_trie_put(&t->trie, line, n, (uint32_t)id))
            st = ln_token_memory(err);
        if (st)
            return st;
        for (size_t i = 0; i < n && line[0] != '['; i++)
            *cased = *cased || (line[i] >= 'A' && line[i] <= 'Z');
        id++;
    }
    return LINNET_OK;
}

linnet_status ln_token_read_vocab(linnet_tokenizer *t, const char *data, size_t size, linnet_error *err)
{
    static const char *const special[] = { "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]" };
    const char *line;
    size_t at = 0, n, count = 0;
    bool cased = false;
    linnet_status st;

    if (!all_utf8(data, size))
        return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: neither tokenizer.json, vocab.txt nor tokenizer.bin");
    while (next_line(data, size, &at, &line, &n))
        count++;
    if ((st = ln_token_reserve(t, count, err)) || (st = vocab_pieces(t, data, size, &cased, err)) ||
        (st = add_step(t, cased ? "{\"type\":\"BertNormalizer\",\"lowercase\":false}" : "{\"type\":\"BertNormalizer\"}",
                       ln_normalizers, &t->normal, &t->normal_count, err)) ||
        (st = add_step(t, "{\"type\":\"BertPreTokenizer\"}", ln_splitters, &t->split, &t->split_count, err)))
        return st;
    t->unknown = ln_trie_get(&t->trie, "[UNK]", 5);
    if (t->unknown == LN_TABLE_NONE)
        return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: a vocab.txt without [UNK]");
    for (size_t i = 0; i < LN_COUNT(special) && !st; i++) {
        const uint32_t id = ln_trie_get(&t->trie, special[i], strlen(special[i]));
        if (id != LN_TABLE_NONE)
            st = ln_token_added(t, (ln_added){ .id = id, .special = true }, false, err);
        if (id != LN_TABLE_NONE && i == 1)
            t->head[t->head_count++] = (int32_t)id;
        if (id != LN_TABLE_NONE && i == 2)
            t->tail[t->tail_count++] = (int32_t)id;
    }
    t->prefix = "##";
    t->prefix_size = 2;
    t->word_most = 100;
    t->model = ln_word_piece;
    if (!st && !add_decoder(t, ln_decode_word_piece))
        st = ln_token_memory(err);
    return st ? st : ln_token_finish(t, err);
}

/* ---- tokenizer.bin ------------------------------------------------------------------------ */

/* One record: score, length, bytes. */
static bool next_record(ln_cursor *c, float *score, const char **text, size_t *size)
{
    const uint32_t bits = ln_cursor_u32(c), n = ln_cursor_u32(c);

    memcpy(score, &bits, sizeof *score);
    *size = n;
    *text = (const char *)ln_cursor_bytes(c, n);
    return !c->bad;
}

bool ln_token_is_llama2c(const void *data, size_t size)
{
    ln_cursor c = ln_cursor_over(data, size);
    const uint32_t most = ln_cursor_u32(&c);
    const char *text;
    float score;
    size_t n, count = 0;

    if (c.bad || most == 0 || most > LN_PIECE_MOST)
        return false;
    for (; ln_cursor_left(&c) > 0; count++)
        if (!next_record(&c, &score, &text, &n) || n > LN_PIECE_MOST)
            return false;
    return count > 0 && !c.bad;
}

static linnet_status llama2c_pieces(linnet_tokenizer *t, const void *data, size_t size, linnet_error *err)
{
    ln_cursor c = ln_cursor_over(data, size);
    const char *text;
    float score;
    size_t n;

    ln_cursor_u32(&c);
    for (int64_t id = 0; ln_cursor_left(&c) > 0; id++) {
        if (!next_record(&c, &score, &text, &n) || !all_utf8(text, n) || !(fabsf(score) < INFINITY))
            return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer.bin: token %lld is not UTF-8, or has no score",
                           (long long)id);
        const linnet_status st = ln_token_piece(t, id, text, n, err);
        if (st)
            return st;
        t->score[id] = score;
        if (n && ln_trie_get(&t->trie, text, n) == LN_TABLE_NONE && !ln_trie_put(&t->trie, text, n, (uint32_t)id))
            return ln_token_memory(err);
    }
    return LINNET_OK;
}

linnet_status ln_token_read_llama2c(linnet_tokenizer *t, const void *data, size_t size, linnet_error *err)
{
    ln_cursor c = ln_cursor_over(data, size);
    const char *text;
    float score;
    size_t n, count = 0;
    linnet_status st;

    for (ln_cursor_u32(&c); ln_cursor_left(&c) > 0 && next_record(&c, &score, &text, &n);)
        count++;
    if ((st = ln_token_reserve(t, count, err)) || (st = llama2c_pieces(t, data, size, err)) ||
        (st = add_step(t, "{\"type\":\"Prepend\",\"prepend\":\" \"}", ln_normalizers, &t->normal, &t->normal_count,
                       err)))
        return st;
    for (size_t i = 0; i < 3 && i < count; i++)
        t->piece[i].special = true; /* <unk>, <s>, </s> */
    if (count > 1)
        t->head[t->head_count++] = 1;
    t->unknown = 0;
    t->byte_fallback = true;
    t->strip_first = true;
    t->model = ln_bpe_scored;
    return add_decoder(t, ln_decode_bytes) ? ln_token_finish(t, err) : ln_token_memory(err);
}
