/*
 * alloc.c - the allocator hook and the bump arena.
 *
 * Every block is asked for with LN_ALIGN bytes more than needed; the block given out starts at
 * the next aligned address and the byte before it says how far that is. So nothing
 * depends on what alignment an allocator really gives.
 */
#if defined(__linux__) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE /* madvise */
#endif
#include "base.h"

#include <stdlib.h>
#if defined(__linux__)
#  include <sys/mman.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#  define ALLOC_CHECKED 1 /* blocks of the system's own would escape it */
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#    define ALLOC_CHECKED 1
#  endif
#endif

#if defined(__x86_64__) || defined(__i386__)
#  define ALLOC_SMALL ((size_t)4 << 10) /* a page */
#else
#  define ALLOC_SMALL ((size_t)64 << 10) /* at most */
#endif
#define ALLOC_PAGE ((size_t)2 << 20) /* a large page */
#define ALLOC_BIG  ((size_t)2 << 20) /* blocks from here on come from the system */

#if defined(MADV_HUGEPAGE) && defined(MADV_DONTNEED)
void ln_pages_drop(const void *p, size_t size)
{
    const uintptr_t unit = ALLOC_SMALL;
    const uintptr_t from = ((uintptr_t)p + unit - 1) & ~(unit - 1), end = ((uintptr_t)p + size) & ~(unit - 1);

    if (from < end)
        madvise((void *)from, end - from, MADV_DONTNEED);
}

void ln_pages_trim(void *p, size_t size)
{
    ln_pages_drop(p, LN_MIN(size, -(uintptr_t)p & (ALLOC_PAGE - 1)));
}
#else
void ln_pages_drop(const void *p, size_t size)
{
    LN_UNUSED(p);
    LN_UNUSED(size);
}

void ln_pages_trim(void *p, size_t size) { ln_pages_drop(p, size); }
#endif

/*
 * Weights are streamed: 2 MiB pages save most of the page faults of packing them and of the
 * address translation of reading them. So large blocks begin with such a page.
 */
#if defined(MADV_HUGEPAGE) && !defined(ALLOC_CHECKED)
#define ALLOC_LAZY 1

static void *alloc_pages(size_t size)
{
    char *p = size <= SIZE_MAX / 2 ? mmap(NULL, size + ALLOC_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                   : MAP_FAILED;

    if (p == MAP_FAILED)
        return NULL;
    const size_t before = -(uintptr_t)p & (ALLOC_PAGE - 1), used = (size + ALLOC_SMALL - 1) & ~(ALLOC_SMALL - 1);
    if (before)
        munmap(p, before);
    if (before + used < size + ALLOC_PAGE)
        munmap(p + before + used, ALLOC_PAGE - before - (used - size));
    madvise(p + before, size & ~(ALLOC_PAGE - 1), MADV_HUGEPAGE);
    return p + before;
}

static void free_pages(void *p, size_t size) { munmap(p, (size + ALLOC_SMALL - 1) & ~(ALLOC_SMALL - 1)); }
#else
#define ALLOC_LAZY 0
static void *alloc_pages(size_t size) { return calloc(1, size); }

static void free_pages(void *p, size_t size)
{
    LN_UNUSED(size);
    free(p);
}
#endif

/* Zeroed, as ln_alloc() knows. */
static void *alloc_default(void *user, size_t size, size_t align)
{
    LN_UNUSED(user);
    LN_UNUSED(align);
    return size >= ALLOC_BIG ? alloc_pages(size) : calloc(1, size);
}

static void free_default(void *user, void *ptr, size_t size)
{
    LN_UNUSED(user);
    if (size >= ALLOC_BIG)
        free_pages(ptr, size);
    else
        free(ptr);
}

linnet_allocator ln_allocator(const linnet_options *opt)
{
    const linnet_allocator a = { NULL, alloc_default, free_default };

    return opt && opt->allocator && opt->allocator->alloc && opt->allocator->free ? *opt->allocator : a;
}

void *ln_alloc(const linnet_allocator *a, size_t size)
{
    size_t total;

    if (size == 0 || !ln_add(size, LN_ALIGN, &total))
        return NULL;
    uint8_t *raw = a->alloc(a->user, total, LN_ALIGN);
    if (!raw)
        return NULL;
    const size_t skip = LN_ALIGN - ((uintptr_t)raw & (LN_ALIGN - 1));
    if (a->alloc != alloc_default) /* calloc gives zeros for less */
        memset(raw, 0, total);
    raw[skip - 1] = (uint8_t)skip;
    return raw + skip;
}

void ln_free(const linnet_allocator *a, void *p, size_t size)
{
    uint8_t *b = p;

    if (b)
        a->free(a->user, b - b[-1], size + LN_ALIGN);
}

bool ln_alloc_is_lazy(const linnet_allocator *a) { return a->alloc == alloc_default && ALLOC_LAZY; }

/* ---- arena ---------------------------------------------------------------------- */

#define ARENA_STEP  16u               /* alignment of what it gives */
#define ARENA_FIRST ((size_t)8 << 10) /* bytes of the first chunk; later ones double */
#define ARENA_MOST  ((size_t)1 << 20)

struct ln_chunk {
    ln_chunk *next;
    size_t    size; /* as allocated, this header included */
};
#define ARENA_HEAD LN_ALIGN /* room of the header: what follows stays aligned */

void ln_arena_init(ln_arena *a, const linnet_allocator *alloc, size_t limit)
{
    memset(a, 0, sizeof *a);
    a->alloc = *alloc;
    a->limit = limit;
}

void ln_arena_init_fixed(ln_arena *a, void *memory, size_t size)
{
    const size_t skip = (LN_ALIGN - ((uintptr_t)memory & (LN_ALIGN - 1))) & (LN_ALIGN - 1);

    memset(a, 0, sizeof *a);
    a->fixed = true;
    a->limit = SIZE_MAX;
    if (memory && size > skip) {
        a->base = (char *)memory + skip;
        a->size = (size - skip) & ~(size_t)(ARENA_STEP - 1);
    }
}

void ln_arena_init_top(ln_arena *a, ln_arena *below)
{
    memset(a, 0, sizeof *a);
    a->fixed = true;
    a->limit = SIZE_MAX;
    a->below = below;
}

static ln_chunk *arena_chunk(ln_arena *a, size_t size)
{
    size_t whole;

    if (a->fixed || !ln_add(size, ARENA_HEAD, &whole))
        return NULL;
    ln_chunk *c = ln_alloc(&a->alloc, whole);
    if (c)
        c->size = whole;
    return c;
}

/* `need` bytes that the chunk in use does not have; big ones get a chunk of their own. */
static char *arena_more(ln_arena *a, size_t need)
{
    size_t want = a->chunk ? LN_MIN(a->size * 2, ARENA_MOST) : ARENA_FIRST;
    const bool own = need > want / 4 && a->chunk;

    want = own ? need : LN_MAX(want, need);
    ln_chunk *c = arena_chunk(a, want);
    if (!c)
        return NULL;
    char *base = (char *)c + ARENA_HEAD;
    if (own) {
        c->next = a->chunk->next;
        a->chunk->next = c;
        return base;
    }
    c->next = a->chunk;
    a->chunk = c;
    a->base = base;
    a->size = want;
    a->used = need;
    return base;
}

void *ln_arena_alloc(ln_arena *a, size_t count, size_t size)
{
    size_t need;
    char *p;

    if (!ln_mul(count, size, &need) || !ln_align_up(LN_MAX(need, (size_t)1), ARENA_STEP, &need) ||
        need > a->limit - a->total)
        return NULL;
    if (a->below) {
        ln_arena *b = a->below;
        if (need > b->size - b->used)
            return NULL;
        b->size -= need;
        p = b->base + b->size;
        memset(p, 0, need);
    } else if (need <= a->size - a->used) {
        p = a->base + a->used;
        a->used += need;
        if (a->fixed)
            memset(p, 0, need);
    } else if (!(p = arena_more(a, need))) {
        return NULL;
    }
    a->total += need;
    return p;
}

void *ln_arena_copy(ln_arena *a, const void *data, size_t size)
{
    void *p = ln_arena_alloc(a, size, 1);

    if (p && size)
        memcpy(p, data, size);
    return p;
}

char *ln_arena_string(ln_arena *a, const char *s, size_t length)
{
    char *p = length < SIZE_MAX ? ln_arena_alloc(a, length + 1, 1) : NULL;

    if (p && length)
        memcpy(p, s, length);
    return p;
}

void ln_arena_free(ln_arena *a)
{
    for (ln_chunk *c = a->chunk, *next; c; c = next) {
        next = c->next;
        ln_free(&a->alloc, c, c->size);
    }
    if (a->below)
        a->below->size += a->total;
    a->chunk = NULL;
    a->base = NULL;
    a->used = a->size = a->total = 0;
}

void *ln_grow(ln_arena *a, void **items, size_t *count, size_t *capacity, size_t size)
{
    if (*count == *capacity) {
        size_t more;
        if (!ln_mul(*capacity ? *capacity : 4, *capacity ? 2 : 1, &more))
            return NULL;
        void *p = ln_arena_alloc(a, more, size);
        if (!p)
            return NULL;
        if (*count)
            memcpy(p, *items, *count * size);
        *items = p;
        *capacity = more;
    }
    void *item = (char *)*items + *count * size;
    memset(item, 0, size);
    ++*count;
    return item;
}

#undef ARENA_STEP
#undef ARENA_FIRST
#undef ARENA_MOST
#undef ARENA_HEAD
#undef ALLOC_LAZY
#undef ALLOC_PAGE
#undef ALLOC_SMALL
#undef ALLOC_BIG
#undef ALLOC_CHECKED
