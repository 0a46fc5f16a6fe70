/*
 * table.c - open addressing with linear probing, at most half full.
 *
 * Who knows the mixing function can make keys that collide; a search that takes too long is
 * refused while the table is filled, so no look-up afterwards is slow.
 */
#include "table.h"

#define TABLE_PROBES 1024u /* random keys at half load stay far below */

void ln_table_init(ln_table *m, const linnet_allocator *alloc)
{
    memset(m, 0, sizeof *m);
    m->alloc = *alloc;
}

void ln_table_free(ln_table *m)
{
    ln_free(&m->alloc, m->key, m->room * sizeof *m->key);
    ln_free(&m->alloc, m->value, m->room * sizeof *m->value);
    m->key = NULL;
    m->value = NULL;
    m->count = m->room = 0;
}

static size_t table_start(const ln_table *m, uint64_t key)
{
    key = (key ^ key >> 32) * 0xD6E8FEB86659FD93u;
    key = (key ^ key >> 32) * 0xD6E8FEB86659FD93u;
    return (size_t)(key ^ key >> 32) & (m->room - 1);
}

/* The place of the key, or the empty one where it belongs; room: too far away. */
static size_t table_find(const ln_table *m, uint64_t key)
{
    size_t at = table_start(m, key);

    for (size_t i = 0; i < TABLE_PROBES; i++, at = (at + 1) & (m->room - 1))
        if (m->value[at] == LN_TABLE_NONE || m->key[at] == key)
            return at;
    return m->room;
}

uint32_t ln_table_get(const ln_table *m, uint32_t first, uint32_t second)
{
    if (m->count == 0)
        return LN_TABLE_NONE;
    const size_t at = table_find(m, (uint64_t)first << 32 | second);
    return at < m->room ? m->value[at] : LN_TABLE_NONE;
}

/* Twice the room. */
static bool table_grow(ln_table *m)
{
    ln_table more = { .alloc = m->alloc, .count = m->count, .room = m->room ? m->room : 32 };
    size_t bytes;
    bool good = ln_mul(more.room, 2, &more.room) && ln_mul(more.room, sizeof *m->key, &bytes) &&
                (more.key = ln_alloc(&m->alloc, bytes)) != NULL &&
                (more.value = ln_alloc(&m->alloc, more.room * sizeof *m->value)) != NULL;

    if (good)
        memset(more.value, 0xff, more.room * sizeof *more.value);
    for (size_t i = 0; good && i < m->room; i++) {
        if (m->value[i] == LN_TABLE_NONE)
            continue;
        const size_t at = table_find(&more, m->key[i]);
        good = at < more.room;
        if (good) {
            more.key[at] = m->key[i];
            more.value[at] = m->value[i];
        }
    }
    ln_table_free(good ? m : &more);
    if (good)
        *m = more;
    return good;
}

bool ln_table_put(ln_table *m, uint32_t first, uint32_t second, uint32_t value)
{
    const uint64_t key = (uint64_t)first << 32 | second;

    if (m->count >= m->room / 2 && !table_grow(m))
        return false;
    const size_t at = table_find(m, key);
    if (at == m->room)
        return false;
    m->count += m->value[at] == LN_TABLE_NONE;
    m->key[at] = key;
    m->value[at] = value;
    return true;
}

/* ---- the tree ------------------------------------------------------------------------ */

static bool trie_node(ln_trie *t)
{
    uint32_t *id = NULL;

    if (t->count < LN_TABLE_NONE)
        id = ln_grow(t->arena, (void **)&t->id, &t->count, &t->room, sizeof *t->id);
    if (id)
        *id = LN_TABLE_NONE;
    return id != NULL;
}

bool ln_trie_init(ln_trie *t, ln_arena *arena)
{
    memset(t, 0, sizeof *t);
    ln_table_init(&t->edge, &arena->alloc);
    t->arena = arena;
    return trie_node(t);
}

void ln_trie_free(ln_trie *t)
{
    if (t->arena)
        ln_table_free(&t->edge);
}

bool ln_trie_put(ln_trie *t, const char *s, size_t size, uint32_t id)
{
    uint32_t node = 0;

    for (size_t i = 0; i < size; i++) {
        uint32_t next = ln_table_get(&t->edge, node, (uint8_t)s[i]);
        if (next == LN_TABLE_NONE) {
            next = (uint32_t)t->count;
            if (!trie_node(t) || !ln_table_put(&t->edge, node, (uint8_t)s[i], next))
                return false;
        }
        node = next;
    }
    t->id[node] = id;
    return true;
}

uint32_t ln_trie_walk(const ln_trie *t, uint32_t node, const char *s, size_t size)
{
    for (size_t i = 0; i < size && node != LN_TABLE_NONE; i++)
        node = ln_table_get(&t->edge, node, (uint8_t)s[i]);
    return node;
}

uint32_t ln_trie_get(const ln_trie *t, const char *s, size_t size)
{
    return ln_trie_id(t, ln_trie_walk(t, 0, s, size));
}

#undef TABLE_PROBES
