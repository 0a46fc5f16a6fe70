/*
 * tokenizer.c - linnet_tokenizer: life, and the road from text to tokens.
 */
#include "../api/api.h"
#include "token.h"

/* ---- life ---------------------------------------------------------------------------- */

void linnet_tokenizer_free(linnet_tokenizer *t)
{
    if (!t)
        return;
    const linnet_allocator alloc = t->alloc;
    ln_trie_free(&t->trie);
    ln_trie_free(&t->added_trie[0]);
    ln_trie_free(&t->added_trie[1]);
    ln_table_free(&t->pairs);
    ln_arena_free(&t->arena);
    ln_free(&alloc, t, sizeof *t);
}

/* Told from the bytes: JSON begins with a brace, llama2.c's file is records to its very end. */
static linnet_status tokenizer_read(linnet_tokenizer *t, const char *data, size_t size, linnet_error *err)
{
    size_t at = 0;

    while (at < size && (data[at] == ' ' || data[at] == '\t' || data[at] == '\n' || data[at] == '\r'))
        at++;
    if (at < size && data[at] == '{')
        return ln_token_read_json(t, data, size, err);
    if (ln_token_is_llama2c(data, size))
        return ln_token_read_llama2c(t, data, size, err);
    return ln_token_read_vocab(t, data, size, err);
}

linnet_status linnet_tokenizer_load(const void *data, size_t size, const linnet_options *opt, linnet_tokenizer **out,
                                    linnet_error *err)
{
    linnet_options o;
    linnet_limits limits;

    if (!ln_given(out, "out", err))
        return LINNET_ERR_ARGUMENT;
    *out = NULL;
    if (!ln_given(data, "data", err))
        return LINNET_ERR_ARGUMENT;
    linnet_status st = ln_options_read(opt, &o, &limits, err);
    if (st)
        return st;
    const linnet_allocator alloc = ln_allocator(&o);
    linnet_tokenizer *t = ln_alloc(&alloc, sizeof *t);
    if (!t)
        return ln_token_memory(err);
    t->alloc = alloc;
    t->memory = (size_t)limits.memory;
    t->unknown = LN_TABLE_NONE;
    ln_arena_init(&t->arena, &t->alloc, t->memory);
    ln_table_init(&t->pairs, &t->alloc);
    t->head = ln_arena_alloc(&t->arena, LN_STEP_MOST, sizeof *t->head);
    t->tail = ln_arena_alloc(&t->arena, LN_STEP_MOST, sizeof *t->tail);
    if (!t->head || !t->tail || !ln_trie_init(&t->trie, &t->arena) || !ln_trie_init(&t->added_trie[0], &t->arena) ||
        !ln_trie_init(&t->added_trie[1], &t->arena))
        st = ln_token_memory(err);
    if (!st)
        st = tokenizer_read(t, data, size, err);
    if (st)
        linnet_tokenizer_free(t);
    else
        *out = t;
    return st;
}

linnet_status linnet_tokenizer_open(const char *path, const linnet_options *opt, linnet_tokenizer **out,
                                    linnet_error *err)
{
    linnet_allocator alloc;
    ln_file f;

    if (!ln_given(out, "out", err))
        return LINNET_ERR_ARGUMENT;
    *out = NULL;
    linnet_status st = ln_file_load(path, opt, true, &f, &alloc, err);
    if (st)
        return st;
    st = linnet_tokenizer_load(f.data, f.size, opt, out, err);
    ln_file_close(&f, &alloc);
    return st;
}

size_t linnet_tokenizer_count(const linnet_tokenizer *t)
{
    return t ? t->count : 0;
}

const char *linnet_tokenizer_text(const linnet_tokenizer *t, int32_t id, size_t *size)
{
    const ln_piece *p = t && id >= 0 && (size_t)id < t->count ? &t->piece[id] : NULL;

    if (size)
        *size = p ? p->size : 0;
    return p ? p->text : NULL;
}

int32_t linnet_tokenizer_find(const linnet_tokenizer *t, const char *text, size_t size)
{
    uint32_t code;

    for (size_t i = 0, n; text && i < size; i += n)
        if ((n = ln_utf8_next((const uint8_t *)text + i, size - i, &code)) == 0)
            return -1;
    return t && text ? (int32_t)ln_token_find(t, text, size) : -1;
}

/* ---- scratch ------------------------------------------------------------------------- */

void *ln_encode_scratch(ln_encode *e, int which, size_t count, size_t size)
{
    size_t bytes;

    if (!ln_mul(count, size, &bytes) || e->full) {
        e->full = true;
        return NULL;
    }
    if (bytes > e->scratch_size[which] || !e->scratch[which]) {
        const size_t room = bytes < SIZE_MAX / 2 ? bytes * 2 : bytes;
        e->scratch[which] = ln_arena_alloc(&e->arena, room, 1);
        e->scratch_size[which] = e->scratch[which] ? room : 0;
        e->full = e->full || !e->scratch[which];
    }
    return e->scratch[which];
}

bool ln_encode_bytes(ln_encode *e, const char *s, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (e->t->byte[(uint8_t)s[i]] == LN_TABLE_NONE)
            return false;
    for (size_t i = 0; i < size; i++)
        ln_encode_put(e, e->t->byte[(uint8_t)s[i]]);
    return true;
}

/* ---- steps --------------------------------------------------------------------------- */

const char *ln_normalize(const linnet_tokenizer *t, const char *s, size_t *size, ln_arena *arena)
{
    for (size_t i = 0; i < t->normal_count; i++) {
        ln_text out = { .arena = arena };
        t->normal[i].normal(&t->normal[i], s, *size, &out);
        if (out.full)
            return NULL;
        s = out.data ? out.data : "";
        *size = out.size;
    }
    return s;
}

/* Pre-tokenisers, then the model. */
static void encode_parts(ln_encode *e, const char *s, size_t size, bool first)
{
    const linnet_tokenizer *t = e->t;
    ln_text_parts in = { .arena = &e->arena };

    ln_text_parts_put(&in, s, size, first);
    for (size_t i = 0; i < t->split_count && !in.full; i++) {
        ln_text_parts out = { .arena = &e->arena };
        for (size_t k = 0; k < in.count; k++)
            t->split[i].split(&t->split[i], &in.part[k], &out);
        in = out;
    }
    e->full = e->full || in.full;
    for (size_t k = 0; k < in.count && !e->full; k++)
        t->model(e, in.part[k].s, in.part[k].size);
}

/* ---- added tokens ---------------------------------------------------------------------- */

typedef struct added_match { size_t from, end, after; uint32_t id; } added_match;

static bool word_before(const char *s, size_t at)
{
    size_t n, back = at;

    if (at == 0)
        return false;
    do
        back--;
    while (back > 0 && ((uint8_t)s[back] & 0xc0) == 0x80);
    return ln_is_word(ln_utf8_at(s + back, &n));
}

/* What a token that stands at [at, end) takes of the text; false where it does not count. */
static bool added_take(const ln_encode *e, const char *s, size_t size, size_t least, size_t at, size_t end,
                       const ln_added *a, added_match *m)
{
    size_t n;

    if (e->plain && a->special)
        return false;
    if (a->single_word && (word_before(s, at) || (end < size && ln_is_word(ln_utf8_at(s + end, &n)))))
        return false;
    *m = (added_match){ at, end, end, a->id };
    for (size_t back = at; a->left && back > least; m->from = back) {
        do
            back--;
        while (back > least && ((uint8_t)s[back] & 0xc0) == 0x80);
        if (!ln_is_space(ln_utf8_at(s + back, &n)))
            break;
    }
    while (a->right && m->after < size && ln_is_space(ln_utf8_at(s + m->after, &n)))
        m->after += n;
    return true;
}

/* The next added token at or after `at`, of several the longest; nothing before `least` belongs to it. */
static bool added_next(const ln_encode *e, int which, const char *s, size_t size, size_t least, size_t at,
                       added_match *m)
{
    const ln_trie *trie = &e->t->added_trie[which];

    while (at < size) {
        uint32_t node = e->t->added_byte[which][(uint8_t)s[at]] ? 0 : LN_TABLE_NONE, found = LN_TABLE_NONE;
        size_t end = at;
        for (size_t i = at; i < size && node != LN_TABLE_NONE; i++) {
            node = ln_trie_walk(trie, node, s + i, 1);
            if (ln_trie_id(trie, node) != LN_TABLE_NONE) {
                found = ln_trie_id(trie, node);
                end = i + 1;
            }
        }
        if (found != LN_TABLE_NONE && added_take(e, s, size, least, at, end, &e->t->added[found], m))
            return true;
        at = found != LN_TABLE_NONE ? end : at + 1;
    }
    return false;
}

typedef void (*encode_gap)(ln_encode *e, const char *s, size_t size, bool first);

/* Added tokens as they are, `gap` for the text between. */
static void encode_added(ln_encode *e, int which, const char *s, size_t size, bool first, encode_gap gap)
{
    size_t at = 0, search = 0;
    added_match m;

    while (added_next(e, which, s, size, at, search, &m)) {
        if (m.from > at)
            gap(e, s + at, m.from - at, first && at == 0);
        ln_encode_put(e, m.id);
        search = m.end;
        at = LN_MAX(at, m.after);
    }
    if (at < size)
        gap(e, s + at, size - at, first && at == 0);
}

static void encode_normal(ln_encode *e, const char *s, size_t size, bool first)
{
    size_t lead = 0;

    if (e->full || size == 0)
        return;
    ln_utf8_at(s, &lead);
    const bool kept = ln_normalize(e->t, s, &lead, &e->arena) && lead > 0; /* else the text begins later */
    s = ln_normalize(e->t, s, &size, &e->arena);
    first = first && kept;
    if (!s)
        e->full = true;
    else
        encode_added(e, 1, s, size, first, encode_parts);
}

/* ---- encoding -------------------------------------------------------------------------- */

/* The text as well-formed UTF-8: itself, or repaired in the call's memory. */
static linnet_status encode_check(ln_encode *e, const char **text, size_t *size, uint32_t flags, linnet_error *err)
{
    const uint8_t *s = (const uint8_t *)*text;
    ln_text out = { .arena = &e->arena };
    uint32_t code;
    size_t from = 0, n;

    for (size_t i = 0; i < *size; i += n) {
        if ((n = ln_utf8_next(s + i, *size - i, &code)) != 0)
            continue;
        if (!(flags & LINNET_TEXT_REPAIR))
            return ln_fail(err, LINNET_ERR_DATA, "tokenizer: the text is not UTF-8 at byte %zu", i);
        ln_text_put(&out, *text + from, i - from);
        ln_text_put(&out, "\xef\xbf\xbd", 3);
        for (n = 1; n < 4 && i + n < *size && ln_utf8_begins(s + i, n + 1);)
            n++;
        from = i + n;
    }
    if (from == 0)
        return LINNET_OK;
    ln_text_put(&out, *text + from, *size - from);
    *text = out.data;
    *size = out.size;
    return out.full ? ln_token_memory(err) : LINNET_OK;
}

static linnet_status encode_all(ln_encode *e, const char *text, size_t size, uint32_t flags, linnet_error *err)
{
    const linnet_tokenizer *t = e->t;
    const linnet_status st = encode_check(e, &text, &size, flags, err);

    if (st)
        return st;
    for (size_t i = 0; (flags & LINNET_TEXT_SPECIAL) && i < t->head_count; i++)
        ln_encode_put(e, (uint32_t)t->head[i]);
    encode_added(e, 0, text, size, true, encode_normal);
    for (size_t i = 0; (flags & LINNET_TEXT_SPECIAL) && i < t->tail_count; i++)
        ln_encode_put(e, (uint32_t)t->tail[i]);
    return e->full ? ln_token_memory(err) : LINNET_OK;
}

linnet_status linnet_tokenizer_encode(const linnet_tokenizer *t, const char *text, size_t size, uint32_t flags,
                                      int32_t *ids, size_t capacity, size_t *count, linnet_error *err)
{
    if (!t || !count || (size && !text))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "tokenizer: tokenizer, text or count is NULL");
    ln_encode e = { .t = t, .ids = ids, .capacity = ids ? capacity : 0, .plain = (flags & LINNET_TEXT_PLAIN) != 0 };
    ln_arena_init(&e.arena, &t->alloc, t->memory);
    const linnet_status st = encode_all(&e, text ? text : "", size, flags, err);
    ln_arena_free(&e.arena);
    if (st)
        return st;
    *count = e.count;
    return ids && e.count > capacity
               ? ln_fail(err, LINNET_ERR_ARGUMENT, "tokenizer: the text has %zu tokens, room for %zu", e.count,
                         capacity)
               : LINNET_OK;
}
