/*
 * cache.c - constants derived from a model's weights, made once for all its sessions.
 *
 * The lock is held while a constant is made: two sessions created at the same time wait for one
 * packing instead of doing it twice. Nothing here is called by a run of a planned step.
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
} cache_entry;

#define CACHE_BUCKETS 256

struct ln_cache {
    linnet_allocator alloc;
    cache_lock       lock;
    uint64_t         next_id, bytes;
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

void ln_cache_free(ln_cache *c)
{
    if (!c)
        return;
    const linnet_allocator alloc = c->alloc;
    for (size_t b = 0; b < CACHE_BUCKETS; b++)
        for (cache_entry *e = c->bucket[b], *next; e; e = next) {
            next = e->next;
            ln_free(&alloc, e->data, e->size);
            ln_free(&alloc, e, sizeof *e);
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

static cache_entry *cache_make(ln_cache *c, const uint64_t key[4], size_t bytes, uint64_t limit,
                               ln_pass_make make, const void *ctx)
{
    cache_entry **at = cache_bucket(c, key);

    if (bytes > limit || c->bytes > limit - bytes)
        return NULL;
    cache_entry *e = ln_alloc(&c->alloc, sizeof *e);
    if (!e)
        return NULL;
    if (bytes) {
        e->data = ln_alloc(&c->alloc, bytes);
        if (!e->data) {
            ln_free(&c->alloc, e, sizeof *e);
            return NULL;
        }
        e->size = bytes;
        make(ctx, e->data);
    } else {
        e->data = NULL;
    }
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
