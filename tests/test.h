/*
 * test.h - the little that API, format and operator tests need.
 *
 * A test file has functions `void test_NAME(void)`; the build finds them. Each EXPECT counts
 * as one check; a failed one prints file, line and what was seen, and the test goes on.
 */
#ifndef LINNET_TEST_H
#define LINNET_TEST_H

#include "linnet.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern size_t test_passed, test_failed, test_skipped;

/* Name of the test that runs; random numbers start again from the seed ($SEED, else 1). */
void test_begin(const char *name);
void test_note(bool good, const char *file, int line, const char *format, ...);

#define EXPECT(cond) test_note((cond), __FILE__, __LINE__, "%s", #cond)
#define EXPECT_OK(call)                                                                        \
    do {                                                                                       \
        const linnet_status st_ = (call);                                                      \
        test_note(st_ == LINNET_OK, __FILE__, __LINE__, "%s: %s: %s", #call,                   \
                  linnet_status_string(st_), test_error.message);                              \
    } while (0)
#define EXPECT_STATUS(call, want)                                                              \
    do {                                                                                       \
        const linnet_status st_ = (call);                                                      \
        test_note(st_ == (want), __FILE__, __LINE__, "%s: %s where %s is expected", #call,     \
                  linnet_status_string(st_), #want);                                           \
    } while (0)

extern linnet_error test_error; /* pass &test_error to calls */

/* One line, and the check counts as skipped. */
void test_skip(const char *format, ...);

/* Repeatable random numbers; the seed is printed when a check fails. */
uint64_t test_random(void);
int64_t  test_int(int64_t from, int64_t to); /* both included */
float    test_float(float from, float to);

/* The folder of shared data beside the project, or NULL where it is absent. */
const char *test_shared(void);

/* An allocator that counts, and that can be told to fail. */
typedef struct test_heap {
    linnet_allocator hooks;
    size_t blocks, bytes, most_bytes; /* alive */
    size_t calls;
    size_t fail_at;      /* this call (1 is the first) returns NULL; 0: none */
    bool   fail_for_ever; /* and all after it */
    size_t limit;        /* more bytes alive than this: NULL; 0: no limit */
} test_heap;
void test_heap_init(test_heap *h);

/*
 * A model of one layer, for operator tests: inputs, then run. attributes are set by `set` (may be NULL).
 * Inputs with constant[i] become weights. Returns output 0..count-1 as owned tensors.
 */
typedef struct test_op {
    const char          *op;
    const linnet_tensor *in[16];
    bool                 constant[16];
    int                  in_count, out_count;
    linnet_status      (*set)(linnet_layer *l, void *user);
    void                *user;
    const linnet_options *opt;
    linnet_tensor       *out[8];
} test_op;
linnet_status test_op_run(test_op *t);
void          test_op_free(test_op *t);

linnet_tensor *test_tensor(int32_t dtype, int32_t rank, const int64_t *dims); /* zeroed */
linnet_tensor *test_random_f32(int32_t rank, const int64_t *dims, float from, float to);

/* Steps of a session's plan that are operator `op`. */
int test_steps(const linnet_session *s, const char *op);

/* Every element within atol + rtol * |want|; prints the worst. */
void test_near(const char *file, int line, const linnet_tensor *got, const double *want, double rtol, double atol);
#define EXPECT_NEAR(got, want, rtol, atol) test_near(__FILE__, __LINE__, got, want, rtol, atol)

#endif
