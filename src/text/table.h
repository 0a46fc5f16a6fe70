/*
 * table.h - a table from pairs of numbers to a number, and a tree of byte strings kept in one.
 */
#ifndef LN_TABLE_H
#define LN_TABLE_H

#include "../base/base.h"

#define LN_TABLE_NONE UINT32_MAX

typedef struct ln_table {
    linnet_allocator alloc;
    uint64_t        *key;   /* first << 32 | second */
    uint32_t        *value; /* LN_TABLE_NONE: an empty place */
    size_t           count, room;
} ln_table;

void ln_table_init(ln_table *m, const linnet_allocator *alloc);
void ln_table_free(ln_table *m);
/* The value, LN_TABLE_NONE where there is none. */
uint32_t ln_table_get(const ln_table *m, uint32_t first, uint32_t second);
/* Put or replace; value must not be LN_TABLE_NONE. False: no memory, or keys made to collide. */
LN_MUST_USE bool ln_table_put(ln_table *m, uint32_t first, uint32_t second, uint32_t value);

/* Byte strings with numbers. A node stands for a beginning; node 0 is the empty one. */
typedef struct ln_trie {
    ln_table    edge;      /* node, byte -> node */
    ln_arena *arena;
    uint32_t *id;        /* per node; LN_TABLE_NONE: only a beginning */
    size_t    count, room;
} ln_trie;

LN_MUST_USE bool ln_trie_init(ln_trie *t, ln_arena *arena);
void ln_trie_free(ln_trie *t);
LN_MUST_USE bool ln_trie_put(ln_trie *t, const char *s, size_t size, uint32_t id); /* the last one counts */
/* From `node` along `size` bytes; LN_TABLE_NONE: no such beginning (which may also be given). */
uint32_t ln_trie_walk(const ln_trie *t, uint32_t node, const char *s, size_t size);
uint32_t ln_trie_get(const ln_trie *t, const char *s, size_t size); /* the id, or LN_TABLE_NONE */
static inline uint32_t ln_trie_id(const ln_trie *t, uint32_t node)
{
    return node == LN_TABLE_NONE ? LN_TABLE_NONE : t->id[node];
}

#endif
