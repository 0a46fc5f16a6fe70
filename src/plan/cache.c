/*
 * cache.c - constants derived from a model's weights, made once for all its sessions.
 *
 * The lock is held while a constant is made: two sessions created at the same time wait for one
 * packing instead of doing it twice. Nothing here is called by a run of a planned step.
 *
 * Where memory that is not touched costs nothing, constants share large blocks, which can have large
 * pages; with an allocator of the caller's each has its own.
 */
#include "plan.h"

#ifndef LN_NO_THREADS
#  include <pthread.h>
typedef pthread_mutex_t cache_lock;
#  define cache_lock_init(l) (pthread_mutex_init((l), NULL) == 0)
#  define cache_lock_free(l) pthread_mutex_destroy(l)
#  define cache_enter(l)     pthread_mutex_lock(l)
#  define cache_leave(l)     pthread_mutex_unlock(l)
#else
typedef int cache_lock;
#  define cache_lock_init(l) (*(l) = 0, true)
#  define cache_lock_free(l) ((void)(l))
#  define cache_enter(l)     ((void)(l))
#  define cache_leave(l)     ((void)(l))
#endif

typedef struct cache_entry {
    struct cache_entry *next;
    uint64_t            key[4], id;
    void               *data;
    size_t              size;
    bool                own; /* data is a block of its own */
} cache_entry;

typedef struct cache_block {
    struct cache_block *next;
    size_t              size, used; /* this header included */
} cache_block;

#define CACHE_BUCKETS 256
#define CACHE_LEAST   ((size_t)1 << 20) /* bytes of a shared block */
#define CACHE_MOST    ((size_t)64 << 20)

struct ln_cache {
    linnet_allocator alloc;
    cache_lock       lock;
    uint64_t         next_id, bytes;
    size_t           block_size; /* of shared blocks; 0: none */
    cache_block     *block;      /* newest first */
    cache_entry     *bucket[CACHE_BUCKETS];
};

linnet_status ln_cache_create(const linnet_allocator *alloc, ln_cache **out)
{
    ln_cache *c = ln_alloc(alloc, sizeof *c);

    if (!c)
        return LINNET_ERR_MEMORY;
    c->alloc = *alloc;
    c->next_id = (uint64_t)1 << 32; /* above every id of a graph */
    if (!cache_lock_init(&c->lock)) {
        ln_free(alloc, c, sizeof *c);
        return LINNET_ERR_MEMORY;
    }
    *out = c;
    return LINNET_OK;
}

void ln_cache_expect(ln_cache *c, uint64_t bytes)
{
    if (ln_alloc_is_lazy(&c->alloc))
        c->block_size = (size_t)LN_MIN(LN_MAX(bytes + bytes / 8, (uint64_t)CACHE_LEAST), (uint64_t)CACHE_MOST);
}

void ln_cache_free(ln_cache *c)
{
    if (!c)
        return;
    const linnet_allocator alloc = c->alloc;
    for (size_t b = 0; b < CACHE_BUCKETS; b++)
        for (cache_entry *e = c->bucket[b], *next; e; e = next) {
            next = e->next;
            if (e->own)
                ln_free(&alloc, e->data, e->size);
            ln_free(&alloc, e, sizeof *e);
        }
    for (cache_block *b = c->block, *next; b; b = next) {
        next = b->next;
        ln_free(&alloc, b, b->size);
    }
    cache_lock_free(&c->lock);
    ln_free(&alloc, c, sizeof *c);
}

static cache_entry **cache_bucket(ln_cache *c, const uint64_t key[4])
{
    uint64_t h = 0;

    for (int i = 0; i < 4; i++)
        h = (h ^ key[i]) * 0x9E3779B97F4A7C15u;
    return &c->bucket[(h >> 32) % CACHE_BUCKETS];
}

/* Zeroed memory of e->size bytes into e->data. */
static bool cache_memory(ln_cache *c, cache_entry *e)
{
    cache_block *b = c->block;
    size_t need;

    if (!ln_align_up(e->size, LN_ALIGN, &need) || need > c->block_size / 4) {
        e->own = true;
        return (e->data = ln_alloc(&c->alloc, e->size)) != NULL;
    }
    if (!b || need > b->size - b->used) {
        if (!(b = ln_alloc(&c->alloc, c->block_size)))
            return false;
        *b = (cache_block){ c->block, c->block_size, LN_ALIGN };
        c->block = b;
    }
    e->data = (char *)b + b->used;
    b->used += need;
    return true;
}

static cache_entry *cache_make(ln_cache *c, const uint64_t key[4], size_t bytes, uint64_t limit,
                               ln_pass_make make, const void *ctx)
{
    cache_entry **at = cache_bucket(c, key);

    if (bytes > limit || c->bytes > limit - bytes)
        return NULL;
    cache_entry *e = ln_alloc(&c->alloc, sizeof *e);
    if (!e)
        return NULL;
    e->size = bytes;
    if (bytes && !cache_memory(c, e)) {
        ln_free(&c->alloc, e, sizeof *e);
        return NULL;
    }
    if (bytes)
        make(ctx, e->data);
    memcpy(e->key, key, sizeof e->key);
    e->id = c->next_id++;
    e->next = *at;
    *at = e;
    c->bytes += bytes;
    return e;
}

const void *ln_cache_get(ln_cache *c, const uint64_t key[4], size_t bytes, uint64_t limit,
                         ln_pass_make make, const void *ctx, uint64_t *id)
{
    cache_enter(&c->lock);
    cache_entry *e = *cache_bucket(c, key);
    while (e && memcmp(e->key, key, sizeof e->key) != 0)
        e = e->next;
    if (!e)
        e = cache_make(c, key, bytes, limit, make, ctx);
    cache_leave(&c->lock);
    if (!e)
        return NULL;
    *id = e->id;
    return e->size ? e->data : (const void *)e;
}

#undef CACHE_BUCKETS
#undef CACHE_LEAST
#undef CACHE_MOST
