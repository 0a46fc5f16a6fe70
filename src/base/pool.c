/*
 * pool.c - the worker pool.
 *
 * Tasks are claimed one at a time from one 64-bit word: the number of the round, the first and the end
 * of the tasks that are left. The caller takes from the front, the first worker from the end, further ones in turn: so
 * neighbouring tasks, which are mostly neighbouring rows, go to the same processor layer after layer, whose cache
 * has what they read. A claim is a compare-and-swap on that word, so a worker that wakes up late, with
 * a round in mind that is over, gets nothing and disturbs nobody; and the caller, who claims
 * tasks as the workers do, waits for tasks that were really begun and for no thread as
 * such. Workers and the caller look for news for some microseconds before they sleep.
 *
 * A worker whose processor goes to another program in the middle of a task holds up the whole round. Where
 * that happens the caller goes on alone for some time, for longer each time that it happens again.
 */
#include "pool.h"

#ifndef LN_NO_THREADS
#  include <pthread.h>
#  include <stdatomic.h>
#  include <time.h>
#endif

#define POOL_MOST  256      /* threads */
#define POOL_SPIN  1500     /* looks before sleeping: 20 to 50 microseconds */
#define POOL_BITS  20         /* of a task's number in the word */
#define POOL_ROUND ((size_t)1 << POOL_BITS >> 1) /* tasks of one round */
#define POOL_STALL 200000u  /* nanoseconds of waiting for a last task that may be a stall */
#define POOL_ALONE 8u       /* times the stall: how long the caller goes on alone, at most; at first once */
#define POOL_APART 50000000u /* but no longer, in nanoseconds */

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#  define POOL_PAUSE() __builtin_ia32_pause()
#elif defined(__GNUC__) && defined(__aarch64__)
#  define POOL_PAUSE() __asm__ volatile("isb" ::: "memory")
#else
#  define POOL_PAUSE() ((void)0)
#endif

#ifndef LN_NO_THREADS
typedef struct pool_worker {
    linnet_pool     *pool;
    pthread_t        thread;
    atomic_uintptr_t self; /* who the thread is, see pool_self() */
} pool_worker;
#endif

struct linnet_pool {
    linnet_allocator   alloc;
    int32_t            threads, asked;
    linnet_parallel_fn parallel; /* of a wrapped pool */
    void              *user;
#ifndef LN_NO_THREADS
    pthread_mutex_t    turn;  /* held by the caller whose tasks run; guards the next three */
    uint64_t           alone_until, alone_length; /* nanoseconds; 0: no stall of late */
    uint32_t           alone_times;
    atomic_uintptr_t   owner; /* that caller, or 0 */
    pthread_mutex_t    lock;  /* guards going to sleep and waking up */
    pthread_cond_t     wake, done;
    atomic_int         asleep;  /* workers waiting for `wake` */
    atomic_int         waiting; /* the caller waits for `done` */
    atomic_int         stop;
    atomic_uint_fast64_t claim;    /* round << 2 * POOL_BITS | first task left << POOL_BITS | end of them */
    atomic_size_t      finished;   /* tasks of this round that have returned */
    atomic_size_t      first, count;
    _Atomic(linnet_task_fn) task;
    _Atomic(void *)    context;
    pool_worker        worker[]; /* threads - 1 */
#endif
};

static void pool_inline(size_t count, linnet_task_fn task, void *context)
{
    for (size_t i = 0; i < count; i++)
        task(context, i, 0);
}

static linnet_pool *pool_new(int32_t threads, const linnet_allocator *allocator, size_t size)
{
    const linnet_options opt = { .allocator = allocator };
    const linnet_allocator alloc = ln_allocator(&opt);
    linnet_pool *p = ln_alloc(&alloc, size);

    if (p) {
        p->alloc = alloc;
        p->threads = 1;
        p->asked = threads;
    }
    return p;
}

#ifdef LN_NO_THREADS

static size_t pool_bytes(int32_t threads)
{
    LN_UNUSED(threads);
    return sizeof(linnet_pool);
}

static bool pool_start(linnet_pool *p)
{
    LN_UNUSED(p);
    return true;
}

static void pool_stop(linnet_pool *p) { LN_UNUSED(p); }

static void pool_round(linnet_pool *p, size_t count, linnet_task_fn task, void *context)
{
    LN_UNUSED(p);
    pool_inline(count, task, context);
}

#else

/* The tasks that are left. */
static size_t claim_first(uint_fast64_t c) { return (size_t)(c >> POOL_BITS & (((uint_fast64_t)1 << POOL_BITS) - 1)); }
static size_t claim_end(uint_fast64_t c) { return (size_t)(c & (((uint_fast64_t)1 << POOL_BITS) - 1)); }

static size_t pool_bytes(int32_t threads)
{
    return sizeof(linnet_pool) + (size_t)threads * sizeof(pool_worker);
}

/* A number that no other living thread has. */
static uintptr_t pool_self(void)
{
    static _Thread_local char here; /* only its address is used */
    return (uintptr_t)&here;
}

/* Is the calling thread inside a task of this pool? */
static bool pool_nested(linnet_pool *p)
{
    const uintptr_t self = pool_self();

    if (atomic_load(&p->owner) == self)
        return true;
    for (int32_t i = 0; i < p->threads - 1; i++)
        if (atomic_load_explicit(&p->worker[i].self, memory_order_relaxed) == self)
            return true;
    return false;
}

/*
 * Claim and run tasks until there are none; returns how many. What a round consists of is written before
 * it opens and after the round before it was closed, so a claim that succeeds proves
 * that what was read belongs to it.
 */
static size_t pool_work(linnet_pool *p, int32_t worker)
{
    const bool front = worker % 2 == 0;
    size_t done = 0;

    for (;;) {
        uint_fast64_t c = atomic_load(&p->claim);
        const size_t next = front ? claim_first(c) : claim_end(c) - 1;
        if (claim_first(c) >= claim_end(c))
            return done;
        const size_t count = atomic_load_explicit(&p->count, memory_order_acquire);
        const size_t first = atomic_load_explicit(&p->first, memory_order_acquire);
        const linnet_task_fn task = atomic_load_explicit(&p->task, memory_order_acquire);
        void *context = atomic_load_explicit(&p->context, memory_order_acquire);
        if (!atomic_compare_exchange_strong(&p->claim, &c, front ? c + ((uint_fast64_t)1 << POOL_BITS) : c - 1))
            continue;
        task(context, first + next, worker);
        done++;
        if (atomic_fetch_add(&p->finished, 1) + 1 == count && atomic_load(&p->waiting)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

static bool pool_has_work(linnet_pool *p)
{
    const uint_fast64_t c = atomic_load(&p->claim);
    return claim_first(c) < claim_end(c);
}

static void *pool_thread(void *context)
{
    pool_worker *w = context;
    linnet_pool *p = w->pool;
    const int32_t index = (int32_t)(w - p->worker) + 1;

    atomic_store(&w->self, pool_self());
    while (!atomic_load(&p->stop)) {
        pool_work(p, index);
        int spin = 0;
        while (spin < POOL_SPIN && !pool_has_work(p) && !atomic_load(&p->stop)) {
            POOL_PAUSE();
            spin++;
        }
        if (spin < POOL_SPIN)
            continue;
        pthread_mutex_lock(&p->lock);
        atomic_fetch_add(&p->asleep, 1);
        while (!pool_has_work(p) && !atomic_load(&p->stop))
            pthread_cond_wait(&p->wake, &p->lock);
        atomic_fetch_sub(&p->asleep, 1);
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

static void pool_wake(linnet_pool *p)
{
    if (atomic_load(&p->asleep) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
}

static uint64_t pool_clock(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* All tasks of the round are claimed; wait for those that others have begun. Returns for how long it slept. */
static uint64_t pool_wait(linnet_pool *p, size_t count)
{
    for (int spin = 0; spin < POOL_SPIN; spin++) {
        if (atomic_load(&p->finished) == count)
            return 0;
        POOL_PAUSE();
    }
    const uint64_t start = pool_clock();
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->waiting, 1);
    while (atomic_load(&p->finished) != count)
        pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->waiting, 0);
    pthread_mutex_unlock(&p->lock);
    return pool_clock() - start;
}

/* The caller is to go on alone. Clocks may jump: no time further away than POOL_APART counts. */
static bool pool_alone(linnet_pool *p)
{
    return p->alone_until && p->alone_until - pool_clock() <= POOL_APART;
}

/* A wait much longer than a task takes was a stall; soon after the last one it counts more. */
static void pool_judge(linnet_pool *p, uint64_t slept, uint64_t own, size_t tasks)
{
    if (slept < POOL_STALL || slept > UINT64_MAX / 1024 || tasks == 0 || slept < 2 * (own / tasks))
        return;
    const uint64_t now = pool_clock();
    const bool again = p->alone_until && now - p->alone_until <= 2 * p->alone_length;
    p->alone_times = again ? LN_MIN(p->alone_times * 2, POOL_ALONE) : 1;
    p->alone_length = LN_MIN(slept * p->alone_times, (uint64_t)POOL_APART);
    p->alone_until = now + p->alone_length;
}

static void pool_round(linnet_pool *p, size_t count, linnet_task_fn task, void *context)
{
    pthread_mutex_lock(&p->turn);
    atomic_store(&p->owner, pool_self());
    for (size_t first = 0; first < count; first += POOL_ROUND) {
        const size_t n = LN_MIN(count - first, (size_t)POOL_ROUND);
        if (pool_alone(p)) {
            for (size_t i = 0; i < n; i++)
                task(context, first + i, 0);
            continue;
        }
        const uint64_t start = pool_clock();
        const uint_fast64_t round = ((atomic_load(&p->claim) >> 2 * POOL_BITS) + 1) << 2 * POOL_BITS;
        atomic_store(&p->finished, 0);
        atomic_store_explicit(&p->count, n, memory_order_release);
        atomic_store_explicit(&p->first, first, memory_order_release);
        atomic_store_explicit(&p->task, task, memory_order_release);
        atomic_store_explicit(&p->context, context, memory_order_release);
        atomic_store(&p->claim, round | n);
        pool_wake(p);
        const size_t tasks = pool_work(p, 0);
        const uint64_t slept = pool_wait(p, n);
        atomic_store(&p->claim, round);
        if (slept >= POOL_STALL)
            pool_judge(p, slept, pool_clock() - start - slept, tasks);
    }
    atomic_store(&p->owner, 0);
    pthread_mutex_unlock(&p->turn);
}

/* The locks, then as many threads as the system gives. False: not even the locks. */
static bool pool_start(linnet_pool *p)
{
    atomic_init(&p->claim, 0);
    if (pthread_mutex_init(&p->turn, NULL))
        return false;
    if (pthread_mutex_init(&p->lock, NULL))
        goto fail_turn;
    if (pthread_cond_init(&p->wake, NULL))
        goto fail_lock;
    if (pthread_cond_init(&p->done, NULL))
        goto fail_wake;

    int32_t threads = 1;
    while (threads < p->asked) {
        pool_worker *w = &p->worker[threads - 1];
        w->pool = p;
        if (pthread_create(&w->thread, NULL, pool_thread, w))
            break;
        threads++;
    }
    p->threads = threads; /* workers do not look at it before the first round opens */
    return true;

fail_wake:
    pthread_cond_destroy(&p->wake);
fail_lock:
    pthread_mutex_destroy(&p->lock);
fail_turn:
    pthread_mutex_destroy(&p->turn);
    return false;
}

static void pool_stop(linnet_pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int32_t i = 0; i < p->threads - 1; i++)
        pthread_join(p->worker[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->turn);
}

#endif

linnet_status linnet_pool_create(int32_t threads, const linnet_allocator *allocator, linnet_pool **out,
                                 linnet_error *err)
{
    if (!out)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "pool: out is NULL");
    *out = NULL;
    if (threads < 1 || threads > POOL_MOST)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "pool: %d threads; 1 to %d are possible", (int)threads,
                       POOL_MOST);
    linnet_pool *p = pool_new(threads, allocator, pool_bytes(threads));
    if (p && !pool_start(p)) {
        const linnet_allocator alloc = p->alloc;
        ln_free(&alloc, p, pool_bytes(threads));
        p = NULL;
    }
    if (!p)
        return ln_fail(err, LINNET_ERR_MEMORY, "pool: no memory");
    *out = p;
    return LINNET_OK;
}

linnet_status linnet_pool_wrap(int32_t threads, linnet_parallel_fn parallel_for, void *user,
                               const linnet_allocator *allocator, linnet_pool **out, linnet_error *err)
{
    if (!out)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "pool: out is NULL");
    *out = NULL;
    if (threads < 1 || !parallel_for)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "pool: %d threads, or no parallel_for", (int)threads);
    linnet_pool *p = pool_new(threads, allocator, sizeof *p);
    if (!p)
        return ln_fail(err, LINNET_ERR_MEMORY, "pool: no memory");
    p->threads = threads;
    p->parallel = parallel_for;
    p->user = user;
    *out = p;
    return LINNET_OK;
}

void linnet_pool_free(linnet_pool *p)
{
    if (!p)
        return;
    const linnet_allocator alloc = p->alloc;
    const size_t bytes = p->parallel ? sizeof *p : pool_bytes(p->asked);
    if (!p->parallel)
        pool_stop(p);
    ln_free(&alloc, p, bytes);
}

int32_t linnet_pool_threads(const linnet_pool *p) { return p ? p->threads : 1; }

bool ln_pool_owned(const linnet_pool *p) { return p && !p->parallel; }

void ln_pool_run(linnet_pool *p, size_t count, linnet_task_fn task, void *context)
{
    if (!p || p->threads == 1 || count <= 1)
        pool_inline(count, task, context);
    else if (p->parallel)
        p->parallel(p->user, count, task, context);
#ifndef LN_NO_THREADS
    else if (pool_nested(p))
        pool_inline(count, task, context);
#endif
    else
        pool_round(p, count, task, context);
}

#undef POOL_MOST
#undef POOL_SPIN
#undef POOL_ROUND
#undef POOL_BITS
#undef POOL_STALL
#undef POOL_ALONE
#undef POOL_APART
#undef POOL_PAUSE
