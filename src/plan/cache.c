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
    size_t              trimmed;    /* `used` when what follows was given back */
} cache_block;

#define CACHE_BUCKETS 256
#define CACHE_LEAST   ((size_t)1 << 20) /* bytes of a shared block */
#define CACHE_MOST    ((size_t)256 << 20)
#define CACHE_LARGE   ((size_t)2 << 20) /* blocks of this size have large pages: fewer weights would not fill one */
#define CACHE_SLACK   ((size_t)4 << 10)

struct ln_cache {
    linnet_allocator alloc;
    cache_lock       lock;
    uint64_t         bytes;
    const ln_packs  *packs;
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
    if (!cache_lock_init(&c->lock)) {
        ln_free(alloc, c, sizeof *c);
        return LINNET_ERR_MEMORY;
    }
    *out = c;
    return LINNET_OK;
}

void ln_cache_expect(ln_cache *c, uint64_t bytes)
{
    const uint64_t most = bytes < CACHE_LARGE ? CACHE_LARGE - CACHE_SLACK : CACHE_MOST;

    if (ln_alloc_is_lazy(&c->alloc))
        c->block_size = (size_t)LN_MIN(LN_MAX(bytes + bytes / 2, (uint64_t)CACHE_LEAST), most);
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

/*
 * What names a constant as the source of others: a number made of its key, so that a model has the same names
 * whenever it is read and planned in the same way; above every id of a graph.
 */
static uint64_t cache_name(const uint64_t key[4])
{
    uint64_t h = 0x9e3779b97f4a7c15u;

    for (int i = 0; i < 4; i++) { /* splitmix64 of each word */
        h ^= key[i] + 0x9e3779b97f4a7c15u + (h << 6) + (h >> 2);
        h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
        h = (h ^ h >> 27) * 0x94d049bb133111ebu;
        h ^= h >> 31;
    }
    return h | (uint64_t)1 << 63;
}

static cache_entry **cache_bucket(ln_cache *c, const uint64_t key[4])
{
    return &c->bucket[cache_name(key) % CACHE_BUCKETS];
}

void ln_cache_use(ln_cache *c, const ln_packs *packs) { c->packs = packs; }

/* The floats that the file has for this key, or NULL. */
static void *cache_from_file(const ln_cache *c, const uint64_t key[4])
{
    const ln_pack want = { key[1], key[2], NULL, (size_t)key[3] };
    size_t from = 0, to = c->packs ? c->packs->count : 0;
    void *data = NULL;

    while (from < to && key[0] == LN_KEY_PART) {
        const size_t middle = from + (to - from) / 2;
        const int order = ln_pack_order(&c->packs->pack[middle], &want);
        if (order == 0) {
            memcpy(&data, &c->packs->pack[middle].data, sizeof data); /* nobody writes to it */
            return data;
        }
        from = order < 0 ? middle + 1 : from;
        to = order < 0 ? to : middle;
    }
    return NULL;
}

bool ln_cache_given(const ln_cache *c, const void *p)
{
    const ln_packs *k = c->packs;

    return k && k->count && (uintptr_t)p >= (uintptr_t)k->pack[0].data &&
           (uintptr_t)p <= (uintptr_t)k->pack[k->count - 1].data;
}

/* What nobody has of a block goes back: the rest of a large page. b may be NULL. */
static void cache_trim(cache_block *b)
{
    if (b && b->trimmed != b->used) {
        ln_pages_trim((char *)b + b->used, b->size - b->used);
        b->trimmed = b->used;
    }
}

/* Zeroed memory of e->size bytes into e->data. */
static bool cache_memory(ln_cache *c, cache_entry *e)
{
    cache_block *b = c->block;
    size_t need;

    const bool fits = ln_align_up(e->size, LN_ALIGN, &need) && need <= c->block_size / 4;
    if (!fits || !b || need > b->size - b->used)
        cache_trim(b); /* the peak may be now */
    if (fits && (!b || need > b->size - b->used))
        b = ln_alloc(&c->alloc, c->block_size);
    if (fits && b && b != c->block) {
        *b = (cache_block){ c->block, c->block_size, LN_ALIGN, 0 };
        c->block = b;
    }
    if (!fits || !b) { /* also where so much at once is too much */
        e->own = true;
        return (e->data = ln_alloc(&c->alloc, e->size)) != NULL;
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
    e->data = bytes ? cache_from_file(c, key) : NULL;
    if (bytes && !e->data) {
        if (!cache_memory(c, e)) {
            ln_free(&c->alloc, e, sizeof *e);
            return NULL;
        }
        make(ctx, e->data);
    }
    memcpy(e->key, key, sizeof e->key);
    e->id = cache_name(key);
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

void ln_cache_trim(ln_cache *c)
{
    cache_enter(&c->lock);
    cache_trim(c->block);
    cache_leave(&c->lock);
}

/* ---- for files --------------------------------------------------------------------- */

/* Sort by merging ever longer runs; `room` is as long as `v`. */
static void packs_sort(ln_pack *v, ln_pack *room, size_t n)
{
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t from = 0; from < n; from += 2 * run) {
            const size_t middle = LN_MIN(from + run, n), end = LN_MIN(middle + run, n);
            size_t a = from, b = middle;
            for (size_t i = from; i < end; i++)
                room[i] = a < middle && (b == end || ln_pack_order(&v[a], &v[b]) <= 0) ? v[a++] : v[b++];
        }
        memcpy(v, room, n * sizeof *v);
    }
}

linnet_status ln_cache_collect(ln_cache *c, const ln_packs *packs, ln_arena *arena, ln_packs *out)
{
    size_t n = packs->count, kept = 0;
    linnet_status st = LINNET_ERR_MEMORY;

    cache_enter(&c->lock);
    for (size_t b = 0; b < CACHE_BUCKETS; b++)
        for (const cache_entry *e = c->bucket[b]; e; e = e->next)
            n += e->key[0] == LN_KEY_PART && e->size > 0;
    ln_pack *v = ln_arena_alloc(arena, 2 * n + 1, sizeof *v);
    if (v) {
        if (packs->count)
            memcpy(v, packs->pack, packs->count * sizeof *v);
        n = packs->count;
        for (size_t b = 0; b < CACHE_BUCKETS; b++)
            for (const cache_entry *e = c->bucket[b]; e; e = e->next)
                if (e->key[0] == LN_KEY_PART && e->size > 0)
                    v[n++] = (ln_pack){ e->key[1], e->key[2], e->data, e->size };
        packs_sort(v, v + n, n);
        for (size_t i = 0; i < n; i++) /* those of the file were found twice */
            if (kept == 0 || ln_pack_order(&v[kept - 1], &v[i]) != 0)
                v[kept++] = v[i];
        *out = (ln_packs){ .pack = v, .count = kept };
        st = LINNET_OK;
    }
    cache_leave(&c->lock);
    return st;
}

#undef CACHE_BUCKETS
#undef CACHE_LEAST
#undef CACHE_MOST
#undef CACHE_LARGE
#undef CACHE_SLACK
