/*
 * check.h - what the kernel checks share: levels, guarded memory, comparison, timing.
 *
 * tests/check/<file>.c defines `void check_<file>(void)`, which is called for every level that
 * the CPU has, twice: with buffers that end at an unreadable page, and with buffers that start
 * after one. It brackets each entry of the table:
 *
 *     if (!check_begin("softmax_f32", CHECK_ENTRY(softmax_f32)))
 *         return;
 *     for (...) {
 *         check_size(n);                     a case: all buffers of the last one are gone
 *         float *x = check_buf(n), *y = check_buf(n);
 *         double *want = check_want(n);
 *         check_fill(x, n, -1.0f, 1.0f);
 *         check_now.softmax_f32(n, x, y);
 *         check_near(y, want, n, 8.0);
 *     }
 *
 * Buffers are full of a poison pattern that goes on beside them and is compared after the case.
 * Oracles are plain double loops, never another kernel.
 */
#ifndef CHECK_H
#define CHECK_H

#include "../../src/kernel/kernel.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern ln_kernels check_now; /* the table under check */

#define CHECK_COUNT(a) (sizeof(a) / sizeof *(a))
/* Where an entry is in the table; an index of an array may be a variable. */
#define CHECK_ENTRY(m) ((size_t)((const char *)&check_now.m - (const char *)&check_now))

/* Start checking one entry. False: nothing to do (same as the level below, or not asked for). */
bool check_begin(const char *name, size_t entry);

/* Start a case; the words are shown when something fails. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
void check_case(const char *format, ...);
size_t check_size(size_t n); /* check_case("n=%zu", n); returns n */

/* Guarded memory, valid until the next case. Any size; buffers are poison, wants are zeros. */
void   *check_bytes(size_t bytes);
float  *check_buf(size_t n);
double *check_want(size_t n);

/* Seeded random numbers: the same seed gives the same run of any one check. */
size_t check_rand(size_t lo, size_t hi); /* both included */
void   check_fill(float *p, size_t n, float lo, float hi);
void   check_fill_bytes(void *p, size_t bytes);

/* Within `ulp` rounding steps of want; NaN and infinities as they are. */
void check_near(const float *got, const double *want, size_t n, double ulp);
/* Within bound[i] of want[i]; NaN and infinities as they are. */
void check_bound(const float *got, const double *want, const double *bound, size_t n);
void check_same(const void *got, const void *want, size_t bytes); /* bit for bit */
void check_untouched(const float *p, size_t n);                   /* still poison */
void check_ok(bool ok, const char *what);

/*
 * With --bench: time call(arg) and print ns, `work` per ns and the ratio to the scalar level.
 * work is a number of operations (unit "GFLOP/s": the share of the measured peak is printed
 * too) or of bytes ("GB/s"). Without --bench nothing happens. check_benching() is for checks
 * that want to skip the comparisons then.
 */
bool check_benching(void);
void check_bench(const char *label, double work, const char *unit, void (*call)(void *), void *arg);

/* measure.c: seconds of a call, best of many; and multiply-add flops a second of a level. */
double check_seconds(void (*call)(void *), void *arg);
double check_peak(uint32_t level);

#endif
