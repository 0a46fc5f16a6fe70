/*
 * token.c - what the readers of all files share: pieces, added tokens, the byte-level alphabet.
 */
#include "token.h"

#include <math.h>

linnet_status ln_token_memory(linnet_error *err)
{
    return ln_fail(err, LINNET_ERR_MEMORY, "tokenizer: out of memory, or more than limits.memory");
}

/* ---- the byte-level alphabet --------------------------------------------------------- */

/* Bytes that print stand for themselves, the others for characters from 256 on. */
static bool byte_prints(unsigned b)
{
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
}

int ln_byte_of(uint32_t c)
{
    if (c < 256)
        return byte_prints(c) ? (int)c : -1;
    if (c >= 256 + 68)
        return -1;
    c -= 256;
    return c < 33 ? (int)c : c < 67 ? (int)(127 + c - 33) : 173;
}

bool ln_bytes_of(const char *s, size_t size, char *out, size_t *out_size)
{
    *out_size = 0;
    for (size_t i = 0, n; i < size; i += n) {
        const int b = ln_byte_of(ln_utf8_at(s + i, &n));
        if (b < 0)
            return false;
        out[(*out_size)++] = (char)b;
    }
    return true;
}

int ln_byte_token(const char *s, size_t size)
{
    int v = 0;

    if (size != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>')
        return -1;
    for (int i = 3; i < 5; i++) {
        const int d = s[i] >= '0' && s[i] <= '9' ? s[i] - '0' : s[i] >= 'A' && s[i] <= 'F' ? s[i] - 'A' + 10 : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* ---- pieces -------------------------------------------------------------------------- */

linnet_status ln_token_reserve(linnet_tokenizer *t, size_t count, linnet_error *err)
{
    if (count == 0 || count > INT32_MAX)
        return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: a vocabulary of %zu tokens", count);
    t->piece = ln_arena_alloc(&t->arena, count, sizeof *t->piece);
    t->score = t->piece ? ln_arena_alloc(&t->arena, count, sizeof *t->score) : NULL;
    t->count = count;
    return t->score ? LINNET_OK : ln_token_memory(err);
}

linnet_status ln_token_piece(linnet_tokenizer *t, int64_t id, const char *text, size_t size, linnet_error *err)
{
    if (id < 0 || (uint64_t)id >= t->count)
        return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: token %lld in a vocabulary of %zu", (long long)id, t->count);
    ln_piece *p = &t->piece[id];
    if (size > LN_PIECE_MOST)
        return ln_fail(err, LINNET_ERR_LIMIT, "tokenizer: token %lld has %zu bytes", (long long)id, size);
    if (p->text)
        return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: two tokens have the number %lld", (long long)id);
    p->text = ln_arena_string(&t->arena, text, size);
    if (!p->text)
        return ln_token_memory(err);
    p->size = (uint32_t)size;
    t->present++;
    return LINNET_OK;
}

linnet_status ln_token_added(linnet_tokenizer *t, ln_added a, bool normalized, linnet_error *err)
{
    const ln_piece *p = &t->piece[a.id];
    const char *text = p->text;
    size_t size = p->size;
    ln_arena temp;

    ln_arena_init(&temp, &t->alloc, t->memory);
    if (normalized)
        text = ln_normalize(t, text, &size, &temp);
    bool good = text != NULL;
    if (good && size > 0 && size <= LN_PIECE_MOST) {
        ln_added *to = ln_grow(&t->arena, (void **)&t->added, &t->added_count, &t->added_room, sizeof *to);
        good = to && ln_trie_put(&t->added_trie[normalized], text, size, (uint32_t)t->added_count - 1);
        if (to)
            *to = a;
        t->added_byte[normalized][(uint8_t)text[0]] = true;
    }
    ln_arena_free(&temp);
    t->piece[a.id].special = a.special;
    return good ? LINNET_OK : ln_token_memory(err);
}

uint32_t ln_token_find(const linnet_tokenizer *t, const char *text, size_t size)
{
    char bytes[LN_PIECE_MOST];
    size_t n;

    if (size > LN_PIECE_MOST)
        return LN_TABLE_NONE;
    for (int i = 0; i < 2; i++) {
        const uint32_t a = ln_trie_get(&t->added_trie[i], text, size);
        const ln_piece *p = a == LN_TABLE_NONE ? NULL : &t->piece[t->added[a].id];
        if (p && p->size == size && memcmp(p->text, text, size) == 0)
            return t->added[a].id;
    }
    if (!t->byte_level)
        return ln_trie_get(&t->trie, text, size);
    return ln_bytes_of(text, size, bytes, &n) ? ln_trie_get(&t->trie, bytes, n) : LN_TABLE_NONE;
}

/* ---- the end of reading ---------------------------------------------------------------- */

/* One decoded form of a piece, through all decoder steps. */
static linnet_status decoded(linnet_tokenizer *t, ln_piece *p, bool first, ln_text work[2], linnet_error *err)
{
    const char *text = p->text;
    size_t size = p->size;

    for (size_t i = 0; i < t->decode_count; i++) {
        ln_text *out = &work[i & 1];
        const ln_text_step *s = &t->decode[i];
        out->size = 0;
        s->decode(s, first, text, size, out);
        if (s->right && size >= s->a_size && memcmp(text + size - s->a_size, s->a, s->a_size) == 0)
            p->space_after = true;
        if (out->full)
            return ln_token_memory(err);
        text = out->data ? out->data : "";
        size = out->size;
    }
    if (first && size == p->out_size[0] && (size == 0 || memcmp(text, p->out[0], size) == 0)) {
        p->out[1] = p->out[0];
    } else {
        const bool same = size == p->size && memcmp(text, p->text, size) == 0;
        p->out[first] = same ? p->text : ln_arena_string(&t->arena, text, size);
    }
    p->out_size[first] = (uint32_t)size;
    return p->out[first] ? LINNET_OK : ln_token_memory(err);
}

linnet_status ln_token_finish(linnet_tokenizer *t, linnet_error *err)
{
    ln_arena temp;
    linnet_status st = LINNET_OK;

    for (size_t i = 0; i < 256; i++)
        t->byte[i] = LN_TABLE_NONE;
    ln_arena_init(&temp, &t->alloc, t->memory);
    ln_text work[2] = { { .arena = &temp }, { .arena = &temp } };
    for (size_t i = 0; i < t->count && !st; i++) {
        ln_piece *p = &t->piece[i];
        if (!p->text)
            continue;
        const int byte = ln_byte_token(p->text, p->size);
        if (byte >= 0 && ln_trie_get(&t->trie, p->text, p->size) == i)
            t->byte[byte] = (uint32_t)i;
        p->node = ln_trie_walk(&t->trie, 0, p->text, p->size);
        st = decoded(t, p, false, work, err);
        if (!st)
            st = decoded(t, p, true, work, err);
    }
    ln_arena_free(&temp);
    return st;
}
