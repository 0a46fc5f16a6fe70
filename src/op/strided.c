/*
 * strided.c - copies between a strided and a contiguous tensor.
 */
#include "strided.h"

enum { STRIDED_TASK = 4 * LN_CHUNK /* bytes */, STRIDED_FILL = 16384 };

void ln_fill(void *y, const void *x, size_t n, size_t run)
{
    const size_t all = n * run;
    char *to = y;

    if (all == 0)
        return;
    memcpy(to, x, run);
    for (size_t done = run, block; done < all; done += block) { /* doubles while it stays in the cache */
        const size_t most = done < STRIDED_FILL ? done : LN_MAX(STRIDED_FILL / run, (size_t)1) * run;
        block = LN_MIN(most, all - done);
        memcpy(to + done, to, block);
    }
}

void ln_strided_begin(ln_strided *s, size_t element)
{
    memset(s, 0, sizeof *s);
    s->run = element;
    s->runs = 1;
}

void ln_strided_axis(ln_strided *s, size_t count, int64_t step)
{
    const int32_t last = s->rank - 1;

    s->runs *= count;
    if (count == 1)
        return;
    if (last >= 0 && (uint64_t)s->step[last] == (uint64_t)count * (uint64_t)step) {
        s->count[last] *= count;
        s->step[last] = step;
        return;
    }
    s->count[s->rank] = count;
    s->step[s->rank++] = step;
}

void ln_strided_plan(ln_strided *s, ln_prepare *q)
{
    const size_t element = s->run;

    q->tasks[0] = 0;
    q->work = (double)s->runs;
    if (s->runs == 0)
        return;
    if (s->rank > 0 && s->step[s->rank - 1] == (int64_t)element) {
        s->run *= s->count[--s->rank];
        s->runs /= s->count[s->rank];
    }
    if (s->rank == 0) { /* one run: the inner loop goes once */
        s->count[0] = 1;
        s->step[0] = 0;
        s->rank = 1;
    }
    s->pieces = ln_ceil_div(s->run, (size_t)STRIDED_TASK * 2);
    s->piece = s->pieces > 1 ? (size_t)STRIDED_TASK : s->run;
    s->pieces = ln_ceil_div(s->run, s->piece);
    s->per = LN_MAX((size_t)1, STRIDED_TASK / s->run);
    q->tasks[0] = s->pieces > 1 ? s->runs * s->pieces : ln_ceil_div(s->runs, s->per);
}

/* n runs that begin `step` bytes apart, one behind the other. */
static void strided_row(char *restrict y, const char *restrict x, size_t n, int64_t step, size_t run)
{
#define STRIDED_COPY(bytes) for (size_t i = 0; i < n; i++) memcpy(y + i * (bytes), x + (int64_t)i * step, bytes)
    if (step == 0) {
        ln_fill(y, x, n, run);
        return;
    }
    switch (run) {
    case 1:  STRIDED_COPY(1); break;
    case 2:  STRIDED_COPY(2); break;
    case 4:  STRIDED_COPY(4); break;
    case 8:  STRIDED_COPY(8); break;
    case 12: STRIDED_COPY(12); break;
    case 16: STRIDED_COPY(16); break;
    case 32: STRIDED_COPY(32); break;
    case 64: STRIDED_COPY(64); break;
    default: STRIDED_COPY(run); break;
    }
#undef STRIDED_COPY
}

/* Index of run `at` along each axis, and its place in the input. */
static int64_t strided_place(const ln_strided *s, size_t at, size_t index[LN_STRIDED_AXES + 1])
{
    int64_t from = 0;

    for (int32_t d = s->rank - 1; d >= 0; d--) {
        index[d] = at % s->count[d];
        at /= s->count[d];
        from += (int64_t)index[d] * s->step[d];
    }
    return from;
}

void ln_strided_run(const ln_strided *s, size_t task, const void *x, void *y)
{
    const int32_t last = s->rank - 1;
    size_t index[LN_STRIDED_AXES + 1];

    if (s->pieces > 1) {
        const size_t at = task / s->pieces, begin = task % s->pieces * s->piece;
        memcpy((char *)y + at * s->run + begin, (const char *)x + strided_place(s, at, index) + begin,
               LN_MIN(s->piece, s->run - begin));
        return;
    }
    size_t at = task * s->per, left = LN_MIN(s->per, s->runs - at);
    int64_t from = strided_place(s, at, index);
    for (char *to = (char *)y + at * s->run; left > 0;) {
        const size_t n = LN_MIN(left, s->count[last] - index[last]);
        strided_row(to, (const char *)x + from, n, s->step[last], s->run);
        to += n * s->run;
        left -= n;
        from -= (int64_t)index[last] * s->step[last]; /* back to the row's start, then on to the next row */
        index[last] = 0;
        for (int32_t d = last - 1; d >= 0; d--) {
            from += s->step[d];
            if (++index[d] < s->count[d])
                break;
            from -= (int64_t)s->count[d] * s->step[d];
            index[d] = 0;
        }
    }
}
