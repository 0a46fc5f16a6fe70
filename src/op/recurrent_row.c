/*
 * recurrent_row.c - the walk of one sequence through time on the fused kernels.
 *
 * A direction of a sequence has one or several helpers, which are tasks. Each owns a part of the
 * units, so that its parts of W and R, and of X W, stay in the cache of its core; after a step it waits
 * until the other parts are there. Step 0 is the product X W, the others are those of the sequence. Nobody
 * waits for a helper that has not begun, and not long for one that does not come: its part of the step is
 * taken over. So helpers may as well run one after the other on one thread: the first does all the work.
 * Who computes a part does not change its bits.
 */
#include "recurrent.h"

#include <stdatomic.h>
#if defined(__unix__) || defined(__APPLE__)
#  include <sched.h>
#  define ROW_YIELD() sched_yield()
#else
#  define ROW_YIELD() ((void)0)
#endif

/* Multiply-adds of a part of a step that are worth meeting for: some 0.3 us. */
#define ROW_PART_MACS 16384u

/* Looks at a helper that is late before its part is taken over: some microseconds. */
#define ROW_PATIENCE 100

enum { ROW_HELPERS = 8, ROW_LINE = LN_ALIGN / sizeof(float), ROW_PIECE = 64 * 32 /* floats packed at a time */ };

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#  define ROW_PAUSE() __builtin_ia32_pause()
#else
#  define ROW_PAUSE() ((void)0)
#endif

/* Looks at a part that its helper has begun before the core is offered to others: it may have lost its own. */
#define ROW_STUCK (1 << 14)

/* Looks at `done` alone; others cost the helper at work the exclusive hold of its line. */
#define ROW_CALM 8

/*
 * How many steps of a part were begun, by whomever, and done; and is its helper at work? What others look
 * at all the time has a line (two, as processors fetch pairs) apart.
 */
typedef struct row_part {
    atomic_size_t begun;
    atomic_int    here;
    char          apart[2 * LN_ALIGN - sizeof(atomic_size_t) - sizeof(atomic_int)];
    atomic_size_t done;
    char          behind[2 * LN_ALIGN - sizeof(atomic_size_t)];
} row_part;

/* One direction of one sequence. Helpers share part, c and the two rows h. */
typedef struct row_walk {
    const ln_recurrent *s;
    const ln_kernels *kernel;
    ln_cell_fn   fn;
    ln_cell_f32  cell;
    const float *x, *weight, *bias; /* of step 0 */
    row_part    *part;
    size_t       steps;
    bool         reverse;
    const float *first_h, *first_c; /* first_c NULL: zeros */
    float       *xw, *h[2], *c, *y; /* y NULL: not wanted */
    size_t       y_step;
} row_walk;

static size_t row_line(size_t floats)
{
    return ln_ceil_div(floats, ROW_LINE) * ROW_LINE;
}

/* ---- prepare ----------------------------------------------------------------------- */

bool ln_recurrent_row_plan(ln_recurrent *s, const ln_kernels *kernel, int32_t workers, size_t *floats)
{
    const size_t unit = LN_MAX(kernel->cell_units, kernel->gemm_nr); /* powers of two */
    const size_t panels = ln_ceil_div(s->hidden, unit), rows = s->dirs * s->batch;
    const size_t parts = sizeof(row_part) / sizeof(float) * ROW_HELPERS;
    size_t units, worth = 1, r;

    if (!ln_mul(panels, unit, &units) || !ln_mul(units, s->width, &s->cells) ||
        !ln_mul(s->hidden, s->width, &r) || !ln_mul(s->hidden + ROW_LINE, 4, &s->row_floats) ||
        !ln_add(s->row_floats, parts, &s->row_floats) || !ln_mul(s->row_floats, rows, floats))
        return false;
    worth = LN_MIN(LN_MIN(r / ROW_PART_MACS, panels), (size_t)ROW_HELPERS);
    const size_t helpers = LN_MAX(LN_MIN((size_t)workers / rows, worth), (size_t)1);
    s->units = ln_ceil_div(panels, helpers) * unit;
    s->helpers = ln_ceil_div(s->hidden, s->units);
    s->apart = s->helpers > 1 || (workers > 1 && rows > 1);
    return true;
}

/* Depths [p0, p0 + depth) of `count` units of one gate, whose rows lie `depth` apart. */
static void row_pack_piece(const ln_recurrent *s, const ln_kernels *kernel, const float *rows, size_t count,
                           size_t p0, size_t depth, size_t at, void *cells)
{
    const size_t units = kernel->cell_units, lanes = units / 2, step = s->kind->gates * units;
    uint32_t *pair = cells;

    at += p0 * step;
    if (!s->half) {
        kernel->transpose_32(count, depth, rows, depth, (float *)cells + at, step);
        return;
    }
    for (size_t p = 0; p < depth; p++)
        for (size_t i = 0; i < LN_MIN(lanes, count); i++)
            pair[(at + p * step) / 2 + i] =
                ln_cell_pair(rows[i * depth + p], i + lanes < count ? rows[(i + lanes) * depth + p] : 0.0f);
}

void ln_recurrent_row_pack(const ln_recurrent *s, const ln_kernels *kernel, const void *r, void *cells)
{
    const size_t n = s->hidden, units = kernel->cell_units, gates = s->kind->gates, piece = ROW_PIECE / units;
    float rows[ROW_PIECE]; /* the file may have them anywhere */

    for (size_t u = 0; u < n; u += units)
        for (size_t g = 0; g < gates; g++) {
            const char *from = (const char *)r + (g * n + u) * n * sizeof(float);
            const size_t count = LN_MIN(units, n - u);

            for (size_t p = 0; p < n; p += piece) {
                const size_t depth = LN_MIN(piece, n - p);
                for (size_t i = 0; i < count; i++)
                    memcpy(rows + i * depth, from + (i * n + p) * sizeof(float), depth * sizeof(float));
                row_pack_piece(s, kernel, rows, count, p, depth, u * gates * n + g * units, cells);
            }
        }
}

/* ---- run ---------------------------------------------------------------------------- */

void ln_recurrent_row_start(const ln_run *r, const ln_recurrent *s)
{
    memset((float *)r->workspace + s->row_at, 0, s->row_floats * s->dirs * s->batch * sizeof(float));
}

/* The hidden state that step t reads, and the one that it writes. */
static const float *row_before(const row_walk *w, size_t t)
{
    if (t == 0)
        return w->first_h;
    return w->y ? w->y + (w->reverse ? w->steps - t : t - 1) * w->y_step : w->h[(t - 1) % 2];
}

static void row_step(const row_walk *w, size_t part, size_t t)
{
    const ln_recurrent *s = w->s;
    const size_t from = part * s->units, to = LN_MIN(from + s->units, s->hidden), at = w->reverse ? w->steps - 1 - t : t;
    const float *x = w->xw + at * s->x_step * s->width;

    if (t == 0 && w->first_c)
        memcpy(w->c + from, w->first_c + from, (to - from) * sizeof(float));
    w->fn(&w->cell, x, row_before(w, t), w->c, w->y ? w->y + at * w->y_step : w->h[t % 2], from, to, t % 2);
}

/* X W of a part for all steps, with W's bias; every row is summed alone. */
static void row_project(const row_walk *w, size_t part)
{
    const ln_recurrent *s = w->s;
    const size_t from = part * s->units, to = LN_MIN(from + s->units, s->hidden);
    const float *row[LN_RECURRENT_ROWS];

    for (size_t g = 0; g < s->kind->gates; g++) {
        const ln_gemm_f32 gemm = { s->hidden, s->in, 1, w->weight + g * s->x.packed,
                                   w->bias ? w->bias + g * s->hidden : NULL, { LN_FN_NONE, 0, 0 } };
        for (size_t t = 0; t < s->steps; t += s->x.rows) {
            const size_t rows = LN_MIN(s->x.rows, s->steps - t);
            for (size_t i = 0; i < rows; i++)
                row[i] = w->x + (t + i) * s->x_step * s->in;
            w->kernel->gemm_f32(&gemm, rows, row, w->xw + t * s->x_step * s->width + g * s->hidden,
                                s->x_step * s->width, NULL, 0, from, to);
        }
    }
}

/* Do step t of a part unless somebody has begun it. */
static bool row_take(const row_walk *w, size_t part, size_t t)
{
    size_t begun = t;

    if (!atomic_compare_exchange_strong(&w->part[part].begun, &begun, t + 1))
        return false;
    if (t > 0)
        row_step(w, part, t - 1);
    else if (w->s->apart)
        row_project(w, part);
    atomic_store_explicit(&w->part[part].done, t + 1, memory_order_release);
    return true;
}

/* *gone: the helper of that part was away the last time. */
static void row_wait(const row_walk *w, size_t part, size_t t, bool *gone)
{
    row_part *p = &w->part[part];

    for (int look = *gone ? ROW_CALM : 0; atomic_load_explicit(&p->done, memory_order_acquire) <= t;
         look += look < ROW_STUCK) {
        if (look >= ROW_CALM && (look > ROW_PATIENCE || !atomic_load(&p->here)) && row_take(w, part, t)) {
            atomic_store(&p->here, 0); /* until it shows up again */
            *gone = true;
            return;
        }
        if (look < ROW_STUCK)
            ROW_PAUSE();
        else
            ROW_YIELD();
    }
    *gone = false;
}

static void row_go(const row_walk *w, size_t me)
{
    row_part *own = &w->part[me];
    bool gone[ROW_HELPERS] = { false };

    for (size_t t = 0; t <= w->steps; t++) {
        if (!atomic_load_explicit(&own->here, memory_order_relaxed))
            atomic_store(&own->here, 1);
        row_take(w, me, t);
        for (size_t i = 0; i < w->s->helpers; i++)
            row_wait(w, i, t, &gone[i]);
    }
    atomic_store(&own->here, 0);
}

/* Zeros behind the end of a short sequence, and the last states. */
static void row_end(const row_walk *w, const ln_run *r, size_t state)
{
    const ln_recurrent *s = w->s;
    float *h = s->out_count > 1 ? r->out[1] : NULL, *c = s->out_count > 2 ? r->out[2] : NULL;

    for (size_t t = w->steps; w->y && t < s->steps; t++)
        memset(w->y + t * w->y_step, 0, s->hidden * sizeof(float));
    if (h)
        memcpy(h + state, row_before(w, w->steps), s->hidden * sizeof(float));
    if (c)
        memcpy(c + state, w->steps || !w->first_c ? w->c : w->first_c, s->hidden * sizeof(float));
}

linnet_status ln_recurrent_row_run(const ln_run *r, const ln_recurrent *s, const float *weight, const void *cells)
{
    const size_t at = r->task / s->helpers, dir = at / s->batch, row = at % s->batch, wide = row_line(s->hidden);
    const size_t state = dir * s->s_dir + row * s->s_row;
    const void *in[4] = { NULL, NULL, NULL, NULL }; /* bias, lengths, h, c */
    const float *peep = s->in_count > 7 ? r->in[7] : NULL;
    float *shared = (float *)r->workspace + s->row_at + at * s->row_floats, *memory = shared;

    for (int32_t i = 3; i < s->in_count && i < 7; i++)
        in[i - 3] = r->in[i];
    memory += sizeof(row_part) / sizeof(float) * ROW_HELPERS;
    row_walk w = {
        .s = s, .kernel = r->kernel, .fn = s->fused,
        .cell = { s->hidden, (const char *)cells + dir * s->cells * (s->half ? sizeof(uint16_t) : sizeof(float)),
                  in[0] ? (const float *)in[0] + (dir * 2 + 1) * s->width : NULL,
                  peep ? peep + dir * 3 * s->hidden : NULL },
        .x = (const float *)r->in[0] + row * s->x_row * s->in, .weight = weight + dir * s->kind->gates * s->x.packed,
        .bias = in[0] ? (const float *)in[0] + dir * 2 * s->width : NULL,
        .part = (row_part *)(void *)shared, .steps = s->steps, .reverse = s->reverse[dir],
        .xw = (float *)r->workspace + s->xw_at + (dir * s->steps * s->batch + row * s->x_row) * s->width,
        .first_h = in[2] ? (const float *)in[2] + state : memory + 3 * wide,
        .first_c = in[3] ? (const float *)in[3] + state : NULL,
        .h = { memory, memory + wide }, .c = memory + 2 * wide,
        .y = r->out[0] ? (float *)r->out[0] + dir * s->y_dir + row * s->y_row : NULL, .y_step = s->y_step,
    };
    if (in[1]) {
        const int32_t length = ((const int32_t *)in[1])[row];
        if (length < 0 || (size_t)length > s->steps)
            return ln_fail(r->err, LINNET_ERR_DATA, "%s: a sequence length is outside [0, %zu]", s->kind->name, s->steps);
        w.steps = (size_t)length;
    }
    const size_t me = r->task % s->helpers;
    row_go(&w, me);
    if (me == 0)
        row_end(&w, r, state);
    return LINNET_OK;
}

#undef ROW_PART_MACS
#undef ROW_PATIENCE
#undef ROW_CALM
#undef ROW_PAUSE
#undef ROW_YIELD
#undef ROW_STUCK
