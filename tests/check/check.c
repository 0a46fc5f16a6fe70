/*
 * check.c - runs the kernel checks at every level this CPU has.
 *
 *   check [-k PATTERN] [--level NAME] [--seed N] [--bench] [--list]
 *
 * PATTERN is a part of the name of an entry or a check. A check that crashes is reported with
 * its entry, case, level and seed, and goes on with the entry after it. The list of checks comes
 * from the check files:
 *
 *   sed -n 's/^void \(check_[a-z0-9_]*\)(void).*$/X(\1)/p' FILES | LC_ALL=C sort > check_list.h
 *
 * where FILES are tests/check/(any).c but check.c and files with a main of their own.
 */
#define _DEFAULT_SOURCE
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#define X(f) void f(void);
#include "check_list.h"
#undef X

static const struct { const char *name; void (*run)(void); } checks[] = {
#define X(f) { #f, f },
#include "check_list.h"
#undef X
};

static const struct { const char *name; uint32_t bit; } levels[] = {
    { "scalar", LN_ISA_SCALAR }, { "sse4", LN_ISA_SSE4 }, { "avx2", LN_ISA_AVX2 },
    { "avx512", LN_ISA_AVX512 }, { "neon", LN_ISA_NEON },
};

ln_kernels check_now;

static struct {
    const char *pattern, *only_level;
    uint64_t    seed;
    bool        bench;
} option = { .seed = 0x9e3779b97f4a7c15u };

static struct {
    const char *check, *entry, *level;
    char        words[160];
    ln_kernels  below;     /* the table one level down */
    bool        front;     /* guard page before the buffers, not after */
    bool        open;      /* an entry is being checked */
    uint64_t    random;
    unsigned    begun, skip; /* entries of this check so far; not to be tried again */
    unsigned    faults;    /* of this entry */
    size_t      passed, failed, same;
    double      peak;      /* GFLOP/s of multiply-adds at this level */
} now;

static sigjmp_buf recover;

/* ---- failures ---------------------------------------------------------------- */

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static void fault(const char *format, ...)
{
    va_list va;

    if (now.faults++ >= 3)
        return;
    printf("FAIL %s %s [%s] %s, seed %#llx: ", now.entry ? now.entry : now.check, now.level,
           now.words, now.front ? "front guard" : "end guard", (unsigned long long)option.seed);
    va_start(va, format);
    vprintf(format, va);
    va_end(va);
    printf("\n");
    fflush(stdout);
}

static void crashed(int signal_number) { siglongjmp(recover, signal_number); }

static void catch_crashes(void)
{
    static const int list[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
    struct sigaction s = { .sa_handler = crashed, .sa_flags = SA_NODEFER };

    sigemptyset(&s.sa_mask);
    for (size_t i = 0; i < CHECK_COUNT(list); i++)
        sigaction(list[i], &s, NULL);
}

/* ---- guarded memory ---------------------------------------------------------- */

enum { SLOTS = 256, SLACK = 256, POISON = 0x7f };

/* [one page unreadable][size bytes][one page unreadable]; mapped once, reused by every case. */
static struct slot {
    unsigned char *base;
    size_t         size, used; /* used: bytes of the buffer in it now */
} slots[SLOTS];
static size_t slot_count;

static void slot_map(struct slot *s, size_t bytes, size_t page)
{
    if (s->base)
        munmap(s->base, s->size + 2 * page);
    s->size = (bytes + bytes / 2 + SLACK + page) / page * page;
    s->base = mmap(NULL, s->size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s->base == MAP_FAILED || mprotect(s->base + page, s->size, PROT_READ | PROT_WRITE)) {
        fprintf(stderr, "check: no memory for a buffer of %zu bytes\n", bytes);
        exit(2);
    }
}

static unsigned char *slot_slack(const struct slot *s, size_t page)
{
    return s->base + page + (now.front ? s->used : s->size - s->used - SLACK);
}

void *check_bytes(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct slot *s = &slots[slot_count];

    if (slot_count == SLOTS) {
        fprintf(stderr, "check: more than %d buffers in one case\n", SLOTS);
        exit(2);
    }
    if (s->size < bytes + SLACK)
        slot_map(s, bytes, page);
    slot_count++;
    s->used = bytes;
    unsigned char *p = s->base + page + (now.front ? 0 : s->size - bytes);
    memset(p, POISON, bytes);
    memset(slot_slack(s, page), POISON, SLACK);
    return p;
}

float *check_buf(size_t n) { return check_bytes(n * sizeof(float)); }

double *check_want(size_t n)
{
    double *p = check_bytes(n * sizeof *p);

    for (size_t i = 0; i < n; i++)
        p[i] = 0.0;
    return p;
}

static bool poisoned(const unsigned char *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (p[i] != POISON)
            return false;
    return true;
}

/* The end of a case: nothing beside its buffers was written. */
static void release(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (size_t i = 0; i < slot_count; i++)
        if (!poisoned(slot_slack(&slots[i], page), SLACK))
            fault("wrote outside buffer %zu of %zu bytes", i, slots[i].used);
    slot_count = 0;
}

/* ---- entries and cases ------------------------------------------------------- */

static void finish(void)
{
    release();
    if (now.open && now.faults)
        now.failed++;
    else if (now.open)
        now.passed++;
    now.open   = false;
    now.faults = 0;
}

bool check_begin(const char *name, size_t entry)
{
    void (*here)(void), (*below)(void);

    finish();
    if (++now.begun <= now.skip)
        return false;
    if (option.pattern && !strstr(name, option.pattern) && !strstr(now.check, option.pattern))
        return false;
    memcpy(&here, (const char *)&check_now + entry, sizeof here);
    memcpy(&below, (const char *)&now.below + entry, sizeof below);
    if (here && here == below) {
        now.same++;
        return false;
    }
    now.entry    = name;
    now.open     = true;
    now.words[0] = 0;
    if (!here)
        fault("the entry is missing");
    return here != NULL;
}

void check_case(const char *format, ...)
{
    va_list va;

    release();
    va_start(va, format);
    vsnprintf(now.words, sizeof now.words, format, va);
    va_end(va);
}

size_t check_size(size_t n)
{
    check_case("n=%zu", n);
    return n;
}

/* ---- random numbers ---------------------------------------------------------- */

static uint64_t next_random(void)
{
    uint64_t z = now.random += 0x9e3779b97f4a7c15u; /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t check_rand(size_t lo, size_t hi) { return lo + (size_t)(next_random() % (hi - lo + 1)); }

void check_fill(float *p, size_t n, float lo, float hi)
{
    for (size_t i = 0; i < n; i++)
        p[i] = lo + (hi - lo) * ((float)(next_random() >> 40) / 16777216.0f);
}

void check_fill_bytes(void *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((unsigned char *)p)[i] = (unsigned char)(next_random() >> 56);
}

/* ---- comparison -------------------------------------------------------------- */

static bool close_to(float got, double want, double bound)
{
    if (isnan(want))
        return isnan(got);
    if (isinf((float)want))
        return got == (float)want || (!isinf(want) && (double)got == copysign(FLT_MAX, want));
    return fabs((double)got - want) <= bound;
}

void check_near(const float *got, const double *want, size_t n, double ulp)
{
    for (size_t i = 0; i < n; i++) {
        const double step = fmax(fabs(want[i]) * (double)FLT_EPSILON, 0x1p-149);

        if (!close_to(got[i], want[i], ulp * step)) {
            fault("[%zu] is %.9g, not %.9g (%.1f ulp, %.1f allowed)", i, (double)got[i], want[i],
                  fabs((double)got[i] - want[i]) / step, ulp);
            return;
        }
    }
}

void check_bound(const float *got, const double *want, const double *bound, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!close_to(got[i], want[i], bound[i])) {
            fault("[%zu] is %.9g, not %.9g (off by %.2g, %.2g allowed)", i, (double)got[i],
                  want[i], fabs((double)got[i] - want[i]), bound[i]);
            return;
        }
}

void check_same(const void *got, const void *want, size_t bytes)
{
    const unsigned char *g = got, *w = want;

    for (size_t i = 0; i < bytes; i++)
        if (g[i] != w[i]) {
            fault("byte %zu of %zu is %#x, not %#x", i, bytes, g[i], w[i]);
            return;
        }
}

void check_untouched(const float *p, size_t n)
{
    if (!poisoned((const unsigned char *)p, n * sizeof *p))
        fault("wrote to a place between its results");
}

void check_ok(bool ok, const char *what)
{
    if (!ok)
        fault("%s", what);
}

/* ---- timing ------------------------------------------------------------------ */

bool check_benching(void) { return option.bench; }

void check_bench(const char *label, double work, const char *unit, void (*call)(void *), void *arg)
{
    static struct { char name[96]; double ns; } scalar[512];
    static size_t count;
    char name[96];

    if (!option.bench || now.front)
        return;
    snprintf(name, sizeof name, "%s %s", now.entry, label);
    const double ns = check_seconds(call, arg) * 1e9;
    if (check_now.isa == LN_ISA_SCALAR && count < CHECK_COUNT(scalar)) {
        memcpy(scalar[count].name, name, sizeof name);
        scalar[count++].ns = ns;
    }
    printf("%-40s %-7s %10.0f ns %7.1f %s", name, now.level, ns, work / ns, unit);
    if (strcmp(unit, "GFLOP/s") == 0 && now.peak > 0.0)
        printf(" %4.0f %%", 100.0 * work / ns / now.peak);
    for (size_t i = 0; i < count; i++)
        if (strcmp(scalar[i].name, name) == 0)
            printf("  %.1fx scalar", scalar[i].ns / ns);
    printf("\n");
    fflush(stdout);
}

/* ---- the run ----------------------------------------------------------------- */

static void run_check(size_t which)
{
    now.check = checks[which].name;
    now.entry = NULL;
    now.skip  = 0;
    for (;;) {
        now.begun  = 0;
        now.random = option.seed;
        for (const char *p = now.check; *p; p++)
            now.random = (now.random ^ (unsigned char)*p) * 0x100000001b3u;
        const int died = sigsetjmp(recover, 1);
        if (died == 0) {
            checks[which].run();
            finish();
            return;
        }
        fault("crashed with signal %d", died);
        slot_count = 0; /* what a crash left half written says nothing more */
        if (!now.open) {
            now.failed++; /* outside any entry: no sense in going on */
            now.faults = 0;
            return;
        }
        now.skip = now.begun;
        finish();
    }
}

static void run_level(uint32_t mask, uint32_t bit)
{
    ln_kernels_init(&check_now, mask);
    if (!option.only_level || strcmp(option.only_level, now.level) == 0) {
        if (option.bench) {
            now.peak = check_peak(bit) * 1e-9;
            printf("# %s: peak %.1f GFLOP/s, one thread\n", now.level, now.peak);
        }
        for (int front = 0; front <= !option.bench; front++) {
            now.front = front != 0;
            for (size_t i = 0; i < CHECK_COUNT(checks); i++)
                run_check(i);
        }
    }
    now.below = check_now;
}

static int usage(void)
{
    fprintf(stderr, "usage: check [-k PATTERN] [--level NAME] [--seed N] [--bench] [--list]\n");
    return 2;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0) {
            option.bench = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            for (size_t c = 0; c < CHECK_COUNT(checks); c++)
                printf("%s\n", checks[c].name);
            return 0;
        } else if (i + 1 < argc && strcmp(argv[i], "-k") == 0) {
            option.pattern = argv[++i];
        } else if (i + 1 < argc && strcmp(argv[i], "--level") == 0) {
            option.only_level = argv[++i];
        } else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            option.seed = strtoull(argv[++i], NULL, 0);
        } else {
            return usage();
        }
    }
    printf("seed %#llx\n", (unsigned long long)option.seed);
    catch_crashes();
    uint32_t mask = 0;
    for (size_t i = 0; i < CHECK_COUNT(levels); i++) {
        if (!(ln_cpu_levels() & levels[i].bit))
            continue;
        mask |= levels[i].bit;
        now.level = levels[i].name;
        run_level(mask, levels[i].bit);
    }
    if (now.same)
        printf("%zu entries were those of the level below\n", now.same);
    printf("%zu passed, %zu failed\n", now.passed, now.failed);
    return now.failed != 0;
}
