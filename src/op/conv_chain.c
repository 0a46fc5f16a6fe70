/*
 * conv_chain.c - convolutions one after another, strip by strip, so that what is between them stays in L2.
 *
 * Made by the chain pass alone. A task is a strip of the last part's output rows and goes down it a few
 * rows at a time: each part makes those of its rows that the next one needs and that are not there yet, into
 * a ring of rows. Where two strips meet both compute the rows that windows share; a row has the same bits
 * wherever it is computed, so the result depends neither on strips nor on threads.
 */
#include "conv.h"

enum {
    CHAIN_STEP = 16,          /* rows of output at a time, at most: depthwise kernels want several */
    CHAIN_FLOATS = 128 << 10, /* of all rings: L2 has room for weights, input and output too */
    CHAIN_STRIPS = 2          /* strips for each worker, where there are several */
};

typedef struct chain_part {
    ln_conv c;
    size_t  ring, row;    /* rows that are kept, and floats of one */
    size_t  at, scratch;  /* bytes into the scratch: the ring; what the way wants for itself */
} chain_part;

typedef struct state {
    chain_part part[LN_CHAIN_MOST];
    int32_t    count;
    size_t     step, strip, strips; /* rows at a time, of a task; tasks of an image */
} state;

/* The parts as the convolutions that they are: operands of part i are x, in[2 + 2 i], in[3 + 2 i]. */
static linnet_status chain_open(const ln_chain *p, int32_t in_count, const ln_desc *in, bool exact, chain_part *part,
                                ln_desc *out, linnet_error *err)
{
    ln_desc x = in[0];

    if (p->count < 1 || p->count > LN_CHAIN_MOST || in_count != LN_CHAIN_PARTS + 2 * p->count)
        return ln_fail(err, LINNET_ERR_SHAPE, "a chain of %d convolutions has %d inputs", (int)p->count, (int)in_count);
    for (int32_t i = 0; i < p->count; i++) {
        const ln_desc none = { 0 }, *w = &in[LN_CHAIN_PARTS + 2 * i];
        const ln_desc operand[] = { x, w[0], w[1], i + 1 == p->count ? in[LN_CHAIN_ADD] : none };
        ln_conv *c = &part[i].c;
        const linnet_status st = ln_conv_open(c, p->part[i], (int32_t)LN_COUNT(operand), operand, exact, err);

        if (st != LINNET_OK)
            return st;
        c->chained = true;
        x = ln_win_desc(&c->win, c->dtype, c->m, true);
    }
    *out = x;
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    chain_part part[LN_CHAIN_MOST] = { 0 };

    return chain_open(q->param, q->in_count, q->in, false, part, &q->out[0], q->err);
}

/* Rows [*from, *to) of the input that output rows [y0, y1) of a part look at; y0 < y1. */
static void chain_reach(const ln_conv *c, size_t y0, size_t y1, size_t *from, size_t *to)
{
    const ln_win *w = &c->win;
    const size_t first = y0 * w->stride[1], past = (y1 - 1) * w->stride[1] + w->kernel[1];

    *from = first > w->pad[1] ? first - w->pad[1] : 0;
    *to = past > w->pad[1] ? LN_MIN(past - w->pad[1], w->in[1]) : 0;
}

/*
 * How many rows each part keeps where `step` rows of output are made at a time: floats of all of them. *most: of
 * input that a part looks at, at a time.
 */
static bool chain_rings(state *s, size_t step, size_t *most, size_t *floats)
{
    size_t made = step, ring;

    *most = *floats = 0;
    for (int32_t i = s->count - 1; i >= 0; i--) {
        const ln_win *w = &s->part[i].c.win;

        if (!ln_mul(made - 1, w->stride[1], &made) || !ln_add(made, w->kernel[1], &made))
            return false;
        *most = LN_MAX(*most, made);
        if (i == 0)
            break;
        chain_part *before = &s->part[i - 1];
        made = before->ring = LN_MIN(made, w->in[1]);
        if (!ln_mul(w->in[2], w->c, &before->row) || !ln_mul(before->row, made, &ring)
            || !ln_add(*floats, ring, floats))
            return false;
    }
    return true;
}

/*
 * With one worker a strip is an image: nothing is computed twice. Else as many for each worker as have rows enough.
 * As many rows at a time as rings have room for, in equal steps. False: too large.
 */
static bool chain_cut(state *s, size_t workers, size_t *pointers)
{
    const ln_win *last = &s->part[s->count - 1].c.win;
    const size_t height = last->out[1];
    size_t least = 1, want = 1, floats;

    for (int32_t i = 1; i < s->count; i++)
        least = LN_MAX(least, ln_conv_least_rows(&s->part[i].c.win));
    if (workers > 1 && last->n < workers)
        want = workers * LN_MAX(LN_MIN(height / least / workers, (size_t)CHAIN_STRIPS), (size_t)1);
    s->strip = ln_ceil_div(height, want);
    s->step = LN_MIN((size_t)CHAIN_STEP, s->strip);
    while (s->step > 1 && chain_rings(s, s->step, pointers, &floats) && floats > CHAIN_FLOATS)
        s->step--;
    s->step = ln_ceil_div(s->strip, ln_ceil_div(s->strip, s->step));
    s->strip = ln_ceil_div(s->strip, s->step) * s->step;
    s->strips = ln_ceil_div(height, s->strip);
    return chain_rings(s, s->step, pointers, &floats);
}

/* The scratch: pointers to rows, then rings, then what each way wants. */
static bool chain_place(state *s, size_t pointers, size_t *scratch)
{
    bool ok = ln_mul(pointers, sizeof(float *), scratch);

    for (int32_t i = 0; i + 1 < s->count && ok; i++) {
        chain_part *p = &s->part[i];

        ok = ln_align_up(*scratch, LN_ALIGN, scratch);
        p->at = *scratch;
        ok = ok && p->ring <= SIZE_MAX / sizeof(float) / p->row
             && ln_add(*scratch, p->ring * p->row * sizeof(float), scratch);
    }
    for (int32_t i = 0; i < s->count && ok; i++) {
        const size_t want = s->part[i].scratch;

        ok = ln_align_up(*scratch, LN_ALIGN, scratch);
        s->part[i].scratch = *scratch;
        ok = ok && ln_add(*scratch, want, scratch);
    }
    return ok;
}

static linnet_status prepare(ln_prepare *q)
{
    const ln_chain *p = q->param;
    state *s = q->state;
    size_t pointers = 0;
    ln_desc out;
    linnet_status st = chain_open(p, q->in_count, q->in, q->exact, s->part, &out, q->err);

    if (st != LINNET_OK)
        return st;
    s->count = p->count;
    q->work = 0;
    for (int32_t i = 0; i < s->count; i++) {
        ln_conv *c = &s->part[i].c;
        const double all = (double)c->pixels * (double)c->m * (double)ln_win_taps(&c->win) * (double)c->cg;

        q->work += all;
        q->flop += 2.0 * all;
        q->scratch = 0;
        ln_conv_choose(c, q->kernel);
        if ((st = c->way->prepare(q, c)) != LINNET_OK
            || (st = ln_conv_derive(q, LN_CHAIN_PARTS + 2 * i, c)) != LINNET_OK)
            return st;
        s->part[i].scratch = q->scratch;
    }
    if (!chain_cut(s, (size_t)q->workers, &pointers) || !chain_place(s, pointers, &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "a chain of convolutions is too large");
    q->tasks[0] = s->part[0].c.win.n * s->strips;
    return LINNET_OK;
}

/* ---- run ----------------------------------------------------------------------- */

/* What a task works with. */
typedef struct chain_task {
    const ln_run *r;
    const state  *s;
    size_t        image;
} chain_task;

static float *chain_ring(const chain_task *t, int32_t part)
{
    return (float *)(void *)((char *)t->r->scratch + t->s->part[part].at);
}

/* Pointers to the rows of input under rows [y, y + h) of a part. */
static void chain_rows(const chain_task *t, int32_t part, size_t y, size_t h, const float **rows)
{
    const ln_win *w = &t->s->part[part].c.win;
    const chain_part *before = &t->s->part[part ? part - 1 : 0];
    const size_t count = (h - 1) * w->stride[1] + w->kernel[1], width = w->in[2] * w->c;
    const float *x = part ? chain_ring(t, part - 1) : (const float *)t->r->in[0] + t->image * w->in[1] * width;

    for (size_t i = 0; i < count; i++) {
        const size_t row = y * w->stride[1] + i - w->pad[1]; /* wraps above the first one */

        rows[i] = row >= w->in[1] ? NULL : x + (part ? row % before->ring : row) * width;
    }
}

/* Rows [from, to) of a part, as many at once as lie together. */
static void chain_make(const chain_task *t, int32_t part, size_t from, size_t to)
{
    const chain_part *p = &t->s->part[part];
    const ln_conv *c = &p->c;
    const ln_run *r = t->r;
    const bool last = part + 1 == t->s->count;
    const float **rows = r->scratch;
    const size_t width = c->win.out[2] * c->m;
    ln_conv_strip s = { t->image, from, 0, rows, (char *)r->scratch + p->scratch };
    ln_conv_data d = { r->in[0], c->weight, c->has_bias ? r->in[LN_CHAIN_PARTS + 2 * part + 1] : NULL, NULL, NULL };

    for (; s.y < to; s.y += s.h) {
        const size_t at = last ? (t->image * c->win.out[1] + s.y) * width : s.y % p->ring * width;

        s.h = last ? to - s.y : LN_MIN(to - s.y, p->ring - s.y % p->ring);
        d.y = (last ? (float *)r->out[0] : chain_ring(t, part)) + at;
        d.add = last && c->has_add ? (const float *)r->in[LN_CHAIN_ADD] + at : NULL;
        if (!c->way->planes)
            chain_rows(t, part, s.y, s.h, rows);
        c->way->rows(r, c, &d, &s);
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const chain_task t = { r, s, r->task / s->strips };
    const int32_t last = s->count - 1;
    const size_t y0 = r->task % s->strips * s->strip, y1 = LN_MIN(y0 + s->strip, s->part[last].c.win.out[1]);
    size_t next[LN_CHAIN_MOST] = { 0 }, end[LN_CHAIN_MOST] = { 0 };

    for (size_t y = y0; y < y1; y += s->step) {
        next[last] = y;
        end[last] = LN_MIN(y + s->step, y1);
        for (int32_t i = last; i > 0; i--) {
            size_t from = 0;

            end[i - 1] = next[i - 1];
            if (next[i] < end[i])
                chain_reach(&s->part[i].c, next[i], end[i], &from, &end[i - 1]);
            next[i - 1] = LN_MAX(next[i - 1], from);
        }
        for (int32_t i = 0; i <= last; i++) {
            if (next[i] < end[i])
                chain_make(&t, i, next[i], end[i]);
            next[i] = LN_MAX(next[i], end[i]);
        }
    }
    return LINNET_OK;
}

const ln_op ln_op_conv_chain = {
    .name = LN_CHAIN, .param_size = sizeof(ln_chain), .state_size = sizeof(state),
    .in_min = LN_CHAIN_PARTS, .in_max = 255, .loose = 1u << 2 | 1u << 4 | 1u << 6, .inplace = 1u << LN_CHAIN_ADD,
    .infer = infer, .prepare = prepare, .run = run,
};
