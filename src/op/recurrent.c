/*
 * recurrent.c - the common part of RNN, LSTM and GRU: shapes, the product X * W, the walk
 * through time.
 *
 * Reverse directions and sequence lengths only change which step a row of a block is at: row i
 * of a block reads X * W at its own time, and a sequence that has ended keeps its state.
 */
#include "recurrent.h"

/* ---- shapes --------------------------------------------------------------------- */

static bool recurrent_is(const ln_desc *d, int32_t dtype, int32_t rank, const int64_t *dim)
{
    const ln_desc want = ln_desc_of(dtype, rank, dim);

    return d->dtype == 0 || (d->dtype == dtype && ln_same_shape(d, &want));
}

static linnet_status recurrent_attributes(const ln_infer *q, const ln_recurrent_kind *kind,
                                          size_t dirs)
{
    const ln_recurrent_param *p = q->param;
    ln_recurrent_act act[2][3];

    if (dirs == 0)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "%s: direction '%s'", kind->name, p->direction);
    if (p->activations.count && p->activations.count != dirs * kind->acts)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "%s: %zu activations, needs %zu", kind->name,
                       p->activations.count, dirs * kind->acts);
    if (!ln_recurrent_acts(p, kind, dirs, act))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "%s: unknown activation", kind->name);
    if (!(p->clip > 0.0f))
        return ln_fail(q->err, LINNET_ERR_ARGUMENT, "%s: clip must be positive", kind->name);
    return LINNET_OK;
}

size_t ln_recurrent_dirs(const ln_recurrent_param *p)
{
    if (ln_is(p->direction, "forward", "bidirectional"))
        return 2;
    return ln_is(p->direction, "forward", "forward") || ln_is(p->direction, "forward", "reverse") ? 1 : 0;
}

/* The other inputs against X [.., in] and R [dirs, gates * hidden, hidden]. */
static bool recurrent_fits(const ln_infer *q, const ln_recurrent_kind *kind, int64_t dirs,
                           int64_t hidden, int64_t width, int64_t batch)
{
    const ln_recurrent_param *p = q->param;
    const ln_desc *in = q->in;
    const int32_t t = in[0].dtype;
    int64_t twice, thrice;

    if (!ln_mul64(width, 2, &twice) || !ln_mul64(hidden, 3, &thrice))
        return false;
    const int64_t w[] = { dirs, width, in[0].dim[2] }, r[] = { dirs, width, hidden };
    const int64_t b[] = { dirs, twice }, peep[] = { dirs, thrice };
    const int64_t first[] = { dirs, batch, hidden }, second[] = { batch, dirs, hidden };
    const int64_t *s = p->layout ? second : first;

    for (int32_t i = 3; i < q->in_count; i++) {
        if (in[i].dtype == 0)
            continue;
        if (i == 3 ? !recurrent_is(&in[i], t, 2, b)
            : i == 4 ? !recurrent_is(&in[i], LINNET_I32, 1, &batch)
            : i == 7 ? !recurrent_is(&in[i], t, 2, peep) : !recurrent_is(&in[i], t, 3, s))
            return false;
    }
    return in[1].dtype != 0 && in[2].dtype != 0 && recurrent_is(&in[1], t, 3, w)
           && recurrent_is(&in[2], t, 3, r) && q->in_count <= (kind->states == 2 ? 8 : 6);
}

linnet_status ln_recurrent_infer(const ln_infer *q, const ln_recurrent_kind *kind)
{
    const ln_recurrent_param *p = q->param;
    const ln_desc *x = &q->in[0], *r = &q->in[2];
    const size_t dirs = ln_recurrent_dirs(p);
    const linnet_status st = recurrent_attributes(q, kind, dirs);
    int64_t width;

    if (st != LINNET_OK)
        return st;
    if (x->dtype != LINNET_F32 && x->dtype != LINNET_F64 && x->dtype != LINNET_F16 && x->dtype != LINNET_BF16)
        return ln_fail_type(q->err, 0, x->dtype);
    if (x->rank != 3 || r->rank != 3)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: X and R must have rank 3", kind->name);
    const int64_t hidden = r->dim[2], steps = x->dim[p->layout ? 1 : 0], batch = x->dim[p->layout ? 0 : 1];

    if ((p->hidden_size && p->hidden_size != hidden) || !ln_mul64(hidden, (int64_t)kind->gates, &width)
        || !recurrent_fits(q, kind, (int64_t)dirs, hidden, width, batch))
        return ln_fail(q->err, LINNET_ERR_SHAPE,
                       "%s: weights, bias or states do not fit %lld directions, %lld units, %lld sequences",
                       kind->name, (long long)dirs, (long long)hidden, (long long)batch);
    const int64_t d = (int64_t)dirs;
    const int64_t y[] = { steps, d, batch, hidden }, y1[] = { batch, steps, d, hidden };
    const int64_t s[] = { d, batch, hidden }, s1[] = { batch, d, hidden };

    for (int32_t i = 0; i < q->out_count; i++)
        q->out[i] = i == 0 ? ln_desc_of(x->dtype, 4, p->layout ? y1 : y)
                           : ln_desc_of(x->dtype, 3, p->layout ? s1 : s);
    return LINNET_OK;
}

/* ---- prepare ---------------------------------------------------------------------- */

static void recurrent_sizes(const ln_prepare *q, const ln_recurrent_kind *kind, ln_recurrent *s)
{
    const ln_recurrent_param *p = q->param;
    const ln_desc *x = &q->in[0];
    const bool layout = p->layout != 0;

    s->kind = kind;
    s->in_count = q->in_count;
    s->out_count = q->out_count;
    s->dtype = x->dtype;
    s->dirs = ln_recurrent_dirs(p);
    s->steps = (size_t)x->dim[layout ? 1 : 0];
    s->batch = (size_t)x->dim[layout ? 0 : 1];
    s->in = (size_t)x->dim[2];
    s->hidden = (size_t)q->in[2].dim[2];
    s->width = kind->gates * s->hidden;
    s->x_step = layout ? 1 : s->batch;
    s->x_row = layout ? s->steps : 1;
    s->y_dir = layout ? s->hidden : s->batch * s->hidden;
    s->y_row = layout ? s->steps * s->dirs * s->hidden : s->hidden;
    s->y_step = s->dirs * s->hidden * (layout ? 1 : s->batch);
    s->s_dir = layout ? s->hidden : s->batch * s->hidden;
    s->s_row = layout ? s->dirs * s->hidden : s->hidden;
    s->reverse[0] = ln_is(p->direction, "forward", "reverse");
    s->reverse[1] = true;
    s->clip = p->clip;
}

/* Where `count` floats go in the workspace of `*at` floats so far. */
LN_MUST_USE static bool recurrent_place(size_t count, size_t *at, size_t *place)
{
    *place = *at;
    return ln_add(*at, count, at) && ln_align_up(*at, LN_ALIGN / sizeof(float), at);
}

typedef struct recurrent_making { const ln_recurrent *s; const ln_kernels *kernel; } recurrent_making;

static void recurrent_make_cells(const void *ctx, const void *r, void *out, size_t dir)
{
    const recurrent_making *w = ctx;
    const size_t size = w->s->half ? sizeof(uint16_t) : sizeof(float);

    ln_recurrent_row_pack(w->s, w->kernel, (const char *)r + dir * w->s->width * w->s->hidden * sizeof(float),
                          (char *)out + dir * w->s->cells * size);
}

static void recurrent_make_half(const void *ctx, const void *r, void *out)
{
    const recurrent_making *w = ctx;

    for (size_t d = 0; d < w->s->dirs; d++)
        recurrent_make_cells(ctx, r, out, d);
}

/* R for the fused kernel, likewise. */
static linnet_status recurrent_cells(ln_prepare *q, ln_recurrent *s, size_t *floats)
{
    const recurrent_making making = { s, q->kernel };
    const uint64_t facts[] = { 0x63656c6c, q->kernel->isa, q->kernel->cell_units, s->dirs, s->hidden, s->width,
                               s->half };
    const void *out = NULL;
    size_t count, bytes;

    if (!ln_mul(s->cells, s->dirs, &count) || !ln_mul(count, s->half ? sizeof(uint16_t) : sizeof(float), &bytes)
        || (!q->value[2] && !recurrent_place(count, floats, &s->cells_at)))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "%s: too large", s->kind->name);
    if (!q->value[2])
        return LINNET_OK;
    const uint64_t key = ln_dense_key(facts, LN_COUNT(facts));
    const linnet_status st = s->half /* which files do not hold */
        ? ln_plan_derive(q, 2, key, bytes, recurrent_make_half, &making, &out)
        : ln_plan_derive_parts(q, 2, key, bytes, s->dirs, recurrent_make_cells, &making, &out);
    s->cells_packed = out;
    return st;
}

/* Pack W and R, at any address, or reserve the room for packing at run time. */
static linnet_status recurrent_weights(ln_prepare *q, ln_recurrent *s, size_t *floats)
{
    const size_t mats = s->dirs * (s->apart ? s->kind->gates : 1); /* of x.n columns each */
    const ln_dense_b w = { mats, s->x.n * s->in, 1, s->in, 1.0f, 0 };
    linnet_status st;

    q->unread |= (q->value[1] ? 1u << 1 : 0) | (q->value[2] ? 1u << 2 : 0);
    if (q->value[1]) {
        if ((st = ln_dense_derive(q, 1, &s->x, &w, &s->w_packed)) != LINNET_OK)
            return st;
    } else if (!recurrent_place(mats * s->x.packed, floats, &s->w_at)) {
        return ln_fail(q->err, LINNET_ERR_LIMIT, "%s: too large", s->kind->name);
    }
    if (s->fused)
        return recurrent_cells(q, s, floats);
    for (size_t i = 0; i < s->parts; i++) {
        const ln_dense_b r = { s->dirs, s->width * s->hidden, 1, s->hidden, 1.0f, s->r_from[i] * s->hidden };

        if (q->value[2]) {
            if ((st = ln_dense_derive(q, 2, &s->r[i], &r, &s->r_packed[i])) != LINNET_OK)
                return st;
        } else if (!recurrent_place(s->dirs * s->r[i].packed, floats, &s->r_at[i])) {
            return ln_fail(q->err, LINNET_ERR_LIMIT, "%s: too large", s->kind->name);
        }
    }
    return LINNET_OK;
}

/* X * W in tasks that go round among the workers. */
static void recurrent_share(const ln_prepare *q, ln_dense *d)
{
    const size_t want = (size_t)q->workers, tiles = d->m ? ln_ceil_div(d->m, d->rows) : 0;

    if (want == 1 || tiles < want || d->tasks % want == 0)
        return;
    d->m_step = ln_ceil_div(tiles, want) * d->rows;
    d->tasks = d->n_tasks * ln_ceil_div(d->m, d->m_step);
}

static linnet_status recurrent_fast(ln_prepare *q, ln_recurrent *s, size_t split)
{
    const size_t most = LN_MIN((size_t)q->kernel->gemm_mr, (size_t)LN_RECURRENT_ROWS);
    const size_t cut = s->width - split * s->hidden;
    size_t floats = 0, xw, rows, need, shared = 0;
    linnet_status st;

    s->parts = split ? 2 : 1;
    s->r_from[1] = cut;
    s->block = ln_ceil_div(s->batch, ln_ceil_div(s->batch, most));
    s->blocks = ln_ceil_div(s->batch, s->block);
    s->helpers = 1;
    if (s->block == 1 && s->kind->fused)
        s->fused = s->kind->fused(q);
    s->half = s->fused && ln_recurrent_half(q);
    if ((s->fused && !ln_recurrent_row_plan(s, q->kernel, q->workers, &shared))
        || !ln_mul(s->steps, s->batch, &rows) || !ln_mul(rows, s->width, &xw) || !ln_mul(xw, s->dirs, &xw)
        || !ln_dense_init(&s->x, q->kernel, s->apart ? s->steps : rows, s->apart ? s->hidden : s->width, s->in)
        || !ln_dense_init(&s->r[0], q->kernel, s->block, cut, s->hidden)
        || !ln_dense_init(&s->r[1], q->kernel, s->block, s->width - cut, s->hidden)
        || !recurrent_place(xw, &floats, &s->xw_at) || !recurrent_place(shared, &floats, &s->row_at))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "%s: too large", s->kind->name);
    recurrent_share(q, &s->x);
    if ((st = recurrent_weights(q, s, &floats)) != LINNET_OK)
        return st;
    /* gate and x rows, then h, c and more rows */
    if (!ln_mul(floats, sizeof(float), &q->workspace)
        || !ln_mul(s->width * 2 + s->hidden * 3, s->block * sizeof(float), &need))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "%s: too large", s->kind->name);
    q->scratch = need;
    s->x_phase = q->value[1] && q->value[2] ? 0 : 1;
    q->phases = s->x_phase + 2;
    q->tasks[0] = s->dirs * 3; /* packing of W and of both parts of R; overwritten where constant */
    q->tasks[s->x_phase] = s->apart ? 1 : s->dirs * s->x.tasks;
    q->tasks[s->x_phase + 1] = s->dirs * s->blocks * s->helpers;
    return LINNET_OK;
}

linnet_status ln_recurrent_prepare(ln_prepare *q, const ln_recurrent_kind *kind, size_t split)
{
    ln_recurrent *s = q->state;

    recurrent_sizes(q, kind, s);
    if (!ln_recurrent_acts(q->param, kind, s->dirs, s->act))
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "%s: unknown activation", kind->name);
    if (s->batch == 0 || s->hidden == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    q->work = (double)s->dirs * (double)s->steps * (double)s->batch * (double)s->width
              * (double)(s->in + s->hidden);
    q->flop = 2.0 * q->work;
    if (s->dtype == LINNET_F32 && s->in > 0 && s->steps > 0)
        return recurrent_fast(q, s, split);
    s->wide = true;
    q->tasks[0] = s->dirs * s->batch;
    if (!ln_mul(s->width * 2 + s->hidden * 4, sizeof(double), &q->scratch))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "%s: too large", kind->name);
    return LINNET_OK;
}

/* ---- run: f32 ------------------------------------------------------------------------ */

const void *ln_recurrent_in(const ln_run *r, const ln_recurrent *s, int32_t i)
{
    return i < s->in_count ? r->in[i] : NULL;
}

void *ln_recurrent_out(const ln_run *r, const ln_recurrent *s, int32_t i)
{
    return i < s->out_count ? r->out[i] : NULL;
}

/* `mats` packed matrices, one behind the other, from rows of W or R that lie so too. */
static void recurrent_pack_mats(const ln_run *r, const ln_dense *d, size_t mats, const float *from, float *to)
{
    const ln_dense_b b = { 1, 0, 1, d->k, 1.0f, 0 };

    for (size_t i = 0; i < mats; i++)
        for (size_t t = 0; t < d->pack_tasks; t++)
            ln_dense_pack(d, r->kernel, from + i * d->n * d->k, &b, to + i * d->packed, t);
}

static void recurrent_pack(const ln_run *r, const ln_recurrent *s)
{
    const size_t what = r->task % 3, dir = r->task / 3, mats = s->apart ? s->kind->gates : 1;
    const float *w = (const float *)r->in[1] + dir * s->width * s->in;
    const float *rec = (const float *)r->in[2] + dir * s->width * s->hidden;
    float *work = r->workspace;

    if (what == 0 && !s->w_packed)
        recurrent_pack_mats(r, &s->x, mats, w, work + s->w_at + dir * mats * s->x.packed);
    else if (what == 1 && s->fused && !s->cells_packed)
        ln_recurrent_row_pack(s, r->kernel, rec, work + s->cells_at + dir * s->cells);
    else if (what > 0 && !s->fused && what <= s->parts && !s->r_packed[what - 1])
        recurrent_pack_mats(r, &s->r[what - 1], 1, rec + s->r_from[what - 1] * s->hidden,
                            work + s->r_at[what - 1] + dir * s->r[what - 1].packed);
}

static void recurrent_project(const ln_run *r, const ln_recurrent *s)
{
    const size_t dir = r->task / s->x.tasks;
    const float *bias = ln_recurrent_in(r, s, 3);
    const float *w = s->w_packed ? s->w_packed : (const float *)r->workspace + s->w_at;
    const ln_gemm_f32 g = { s->width, s->in, 1, w + dir * s->x.packed,
                            bias ? bias + dir * 2 * s->width : NULL, { LN_FN_NONE, 0, 0 } };
    float *xw = (float *)r->workspace + s->xw_at + dir * s->steps * s->batch * s->width;
    const float *x = r->in[0];
    size_t m[2], n[2];

    if (r->task == 0 && s->fused)
        ln_recurrent_row_start(r, s);
    if (s->apart)
        return;
    if (s->x.m == 1) { /* summed like one row of many: a stream has the bits of its sequence */
        ln_dense_range(&s->x, r->task % s->x.tasks, m, n);
        r->kernel->gemm_f32(&g, 1, &x, xw, s->width, NULL, 0, n[0], n[1]);
        return;
    }
    ln_dense_run(&s->x, r->kernel, &g, x, s->in, xw, s->width, NULL, 0, r->task % s->x.tasks);
}

void ln_recurrent_multiply(const ln_recurrent_block *b, size_t part, const float *x, float *y,
                           const float *add, size_t ldadd)
{
    const ln_recurrent *s = b->s;
    const ln_kernels *kernel = b->run->kernel;
    const ln_dense *d = &s->r[part];
    const float *r = s->r_packed[part] ? s->r_packed[part] : (const float *)b->run->workspace + s->r_at[part];
    const size_t from = s->r_from[part];
    const ln_gemm_f32 g = { d->n, d->k, 1, r + b->dir * d->packed, b->bias ? b->bias + from : NULL,
                            { LN_FN_NONE, 0, 0 } };
    const float *row[LN_RECURRENT_ROWS];

    if (add)
        add += from;
    if (s->block == 1) {
        kernel->gemv_f32(&g, x, y + from, add, 0, d->n);
        return;
    }
    for (size_t i = 0; i < b->rows; i++)
        row[i] = x + i * s->hidden;
    kernel->gemm_f32(&g, b->rows, row, y + from, s->width, add, ldadd, 0, d->n);
}

/* Lengths of the block's sequences; false: one is outside [0, steps]. */
static bool recurrent_lengths(const ln_recurrent_block *b, size_t *length)
{
    const int32_t *lens = ln_recurrent_in(b->run, b->s, 4);

    for (size_t i = 0; i < b->rows; i++) {
        length[i] = b->s->steps;
        if (!lens)
            continue;
        if (lens[b->from + i] < 0 || (size_t)lens[b->from + i] > b->s->steps)
            return false;
        length[i] = (size_t)lens[b->from + i];
    }
    return true;
}

static void recurrent_load_states(const ln_recurrent_block *b)
{
    const ln_recurrent *s = b->s;
    const float *h = ln_recurrent_in(b->run, s, 5), *c = ln_recurrent_in(b->run, s, 6);

    for (size_t i = 0; i < b->rows; i++) {
        const size_t at = b->dir * s->s_dir + (b->from + i) * s->s_row, to = i * s->hidden;

        for (size_t j = 0; j < s->hidden; j++) {
            b->h[to + j] = h ? h[at + j] : 0.0f;
            b->c[to + j] = c ? c[at + j] : 0.0f;
        }
    }
}

static void recurrent_store_states(const ln_recurrent_block *b)
{
    const ln_recurrent *s = b->s;

    for (int32_t k = 1; k <= s->kind->states; k++) {
        float *out = ln_recurrent_out(b->run, s, k);

        for (size_t i = 0; out && i < b->rows; i++)
            memcpy(out + b->dir * s->s_dir + (b->from + i) * s->s_row,
                   (k == 1 ? b->h : b->c) + i * s->hidden, s->hidden * sizeof(float));
    }
}

static linnet_status recurrent_walk(const ln_run *r, const ln_recurrent *s)
{
    float *m = r->scratch, *y = ln_recurrent_out(r, s, 0);
    const float *xw = (const float *)r->workspace + s->xw_at, *bias = ln_recurrent_in(r, s, 3);
    const bool ragged = ln_recurrent_in(r, s, 4) != NULL;
    size_t length[LN_RECURRENT_ROWS];
    ln_recurrent_block b = { r, s, r->task / s->blocks, r->task % s->blocks * s->block, 0,
                             NULL, NULL, NULL, NULL, NULL, { false } };
    float *copy = m + s->block * s->width;

    b.rows = LN_MIN(s->block, s->batch - b.from);
    b.gate = m;
    b.h = copy + s->block * s->width;
    b.c = b.h + s->block * s->hidden;
    b.more = b.c + s->block * s->hidden;
    b.bias = bias ? bias + (b.dir * 2 + 1) * s->width : NULL;
    if (!recurrent_lengths(&b, length))
        return ln_fail(r->err, LINNET_ERR_DATA, "%s: a sequence length is outside [0, %zu]",
                       s->kind->name, s->steps);
    recurrent_load_states(&b);
    xw += b.dir * s->steps * s->batch * s->width;
    for (size_t t = 0; t < s->steps; t++) {
        const float *rows = NULL;
        size_t ld = s->x_row * s->width, at[LN_RECURRENT_ROWS] = { 0 };

        for (size_t i = 0; i < b.rows; i++) {
            b.active[i] = t < length[i];
            at[i] = s->reverse[b.dir] && b.active[i] ? length[i] - 1 - t : t;
        }
        rows = xw + (at[0] * s->x_step + b.from * s->x_row) * s->width;
        if (ragged) { /* rows of different times are brought together */
            for (size_t i = 0; i < b.rows; i++)
                memcpy(copy + i * s->width,
                       xw + (at[i] * s->x_step + (b.from + i) * s->x_row) * s->width,
                       s->width * sizeof(float));
            rows = copy;
            ld = s->width;
        }
        s->kind->cell(&b, rows, ld);
        for (size_t i = 0; y && i < b.rows; i++) {
            float *to = y + at[i] * s->y_step + b.dir * s->y_dir + (b.from + i) * s->y_row;
            if (b.active[i])
                memcpy(to, b.h + i * s->hidden, s->hidden * sizeof(float));
            else
                memset(to, 0, s->hidden * sizeof(float));
        }
    }
    recurrent_store_states(&b);
    return LINNET_OK;
}

linnet_status ln_recurrent_run(const ln_run *r)
{
    const ln_recurrent *s = r->state;

    if (s->wide)
        return ln_recurrent_walk_f64(r, s);
    if (r->phase < s->x_phase)
        recurrent_pack(r, s);
    else if (r->phase == s->x_phase)
        recurrent_project(r, s);
    else if (s->fused)
        return ln_recurrent_row_run(r, s, s->w_packed ? s->w_packed : (const float *)r->workspace + s->w_at,
                                    s->cells_packed ? s->cells_packed
                                                    : (const void *)((const float *)r->workspace + s->cells_at));
    else
        return recurrent_walk(r, s);
    return LINNET_OK;
}
