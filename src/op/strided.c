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

#define STRIDED_COPY(bytes) \
    for (size_t i = 0; i < n; i++) memcpy(to + (int64_t)i * step_y, from + (int64_t)i * step_x, bytes)

void ln_copy_runs(size_t n, size_t run, const void *x, int64_t step_x, void *y, int64_t step_y)
{
    const char *restrict from = x;
    char *restrict to = y;

    if (step_x == (int64_t)run && step_y == (int64_t)run) {
        memcpy(to, from, n * run);
        return;
    }
    switch (run) { /* sizes that a compiler makes plain loads and stores of */
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
}

#undef STRIDED_COPY

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
        if (s->step[last] == 0)
            ln_fill(to, (const char *)x + from, n, s->run);
        else
            ln_copy_runs(n, s->run, (const char *)x + from, s->step[last], to, (int64_t)s->run);
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

/* ---- slabs --------------------------------------------------------------------------------- */

ln_slab *ln_slabs_begin(ln_slabs *s, ln_prepare *q, size_t rows, size_t count)
{
    *s = (ln_slabs){ rows, 0, count, 1, ln_plan_alloc(q, count, sizeof(ln_slab)) };
    return s->slab;
}

void ln_slabs_plan(ln_slabs *s, ln_prepare *q)
{
    size_t tasks = 0;

    for (size_t i = 0; i < s->count; i++) {
        ln_slab *p = &s->slab[i];
        p->at = s->row;
        p->first = tasks;
        p->per = LN_MAX((size_t)1, STRIDED_TASK / LN_MAX(p->width, (size_t)1));
        p->pieces = p->width > 2 * STRIDED_TASK ? ln_ceil_div(p->width, STRIDED_TASK) : 1;
        p->piece = p->pieces > 1 ? (size_t)STRIDED_TASK : p->width;
        p->tasks = p->width == 0 ? 0 : p->pieces > 1 ? s->rows * p->pieces : ln_ceil_div(s->rows, p->per);
        s->row += p->width;
        tasks += p->tasks;
    }
    s->tasks = s->rows == 0 || s->row == 0 ? 0 : s->row <= 2 * STRIDED_TASK / s->rows ? 1 : tasks;
    q->tasks[0] = s->tasks;
    q->work = (double)s->rows * (double)s->row / 4;
}

bool ln_slabs_part(const ln_slabs *s, size_t i, size_t task, size_t *row, size_t *rows, size_t *from, size_t *bytes)
{
    const ln_slab *p = &s->slab[i];

    *row = *from = 0;
    *rows = s->rows;
    *bytes = p->width;
    if (s->tasks == 1)
        return true;
    if (task < p->first || task - p->first >= p->tasks)
        return false;
    task -= p->first;
    if (p->pieces > 1) {
        *row = task / p->pieces;
        *rows = 1;
        *from = task % p->pieces * p->piece;
        *bytes = LN_MIN(p->piece, p->width - *from);
    } else {
        *row = task * p->per;
        *rows = LN_MIN(p->per, s->rows - *row);
    }
    return true;
}
