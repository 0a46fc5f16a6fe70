/*
 * infer.c - the shape of every value, and what can be computed before any run.
 *
 * One walk in order. A node whose inputs are all constants is computed here by its own
 * run(); so shape arithmetic needs no code of its own. What a node cannot say before it
 * sees data makes it dynamic, and everything behind it.
 */
#include "plan.h"

/* Most bytes that folding may add to what a node's inputs already take. */
#define FOLD_GROWTH ((size_t)1 << 20)

/* Folded constants from here on are shared through the model's cache. */
#define FOLD_SHARE ((size_t)1 << 16)

void *ln_arena_block(ln_arena *a, size_t size)
{
    size_t room;

    if (!ln_add(size, LN_ALIGN - 16, &room))
        return NULL;
    char *p = ln_arena_alloc(a, 1, room);
    return p ? p + (-(uintptr_t)p & (LN_ALIGN - 1)) : NULL;
}

linnet_status ln_fail_layer(linnet_error *err, linnet_status st, const ln_node *n, const char *message)
{
    if (n->name && n->name[0])
        return ln_fail(err, st, "layer \"%s\": %s", n->name, message);
    return ln_fail(err, st, "%s", message);
}

static linnet_status infer_full(linnet_error *err)
{
    return ln_fail(err, LINNET_ERR_MEMORY, "out of memory while planning");
}

linnet_status ln_node_infer(const ln_node *n, const linnet_limits *limits, const ln_desc *in,
                            const void *const *value, ln_desc *out, ln_arena *room, linnet_error *err)
{
    linnet_error why = { 0, "" };
    char text[LN_DESC_TEXT];
    ln_infer q = { n->param, n->in_count, n->out_count, in, value, out, &why, room };
    const linnet_status st = n->op->infer(&q);

    if (st == LN_WAIT)
        return st;
    if (st)
        return ln_fail_layer(err, st, n, why.message[0] ? why.message : n->op->name);
    for (int32_t i = 0; i < n->out_count; i++) {
        size_t count, bytes;
        if (n->out[i] == LN_NONE)
            continue;
        if (out[i].dtype == 0)
            return ln_fail(err, LINNET_ERR_UNSUPPORTED, "layer \"%s\": %s has no output %d", n->name,
                           n->op->name, (int)i);
        if (out[i].rank < 0 || out[i].rank > LN_MAX_RANK || !ln_desc_count(&out[i], &count) ||
            !ln_desc_bytes(&out[i], &bytes))
            return ln_fail(err, LINNET_ERR_LIMIT, "layer \"%s\": %s gives a tensor that does not fit in memory",
                           n->name, n->op->name);
        if (out[i].rank > (int32_t)limits->rank || count > limits->elements || bytes > limits->memory)
            return ln_fail(err, LINNET_ERR_LIMIT, "layer \"%s\": output %s is over the limit", n->name,
                           ln_desc_text(&out[i], text));
    }
    return LINNET_OK;
}

linnet_status ln_node_prepare(ln_planner *pl, const ln_node *n, ln_prepare *q, void *state, const ln_desc *in,
                              const ln_desc *out, const void *const *value, const ln_kernels *kernel,
                              linnet_error *err)
{
    linnet_error why = { 0, "" };

    memset(q, 0, sizeof *q);
    q->param = n->param;
    q->state = state;
    q->in_count = n->in_count;
    q->out_count = n->out_count;
    q->in = in;
    q->out = out;
    q->value = value;
    q->kernel = kernel;
    q->exact = pl->plan->config.exact;
    q->half = pl->plan->config.half;
    q->workers = pl->to_brief ? 1 : linnet_pool_threads(pl->plan->config.pool);
    q->phases = 1;
    for (int32_t i = 0; i < LN_MAX_PHASES; i++)
        q->tasks[i] = 1;
    for (int32_t i = 0; i < n->out_count; i++)
        if (out[i].dtype)
            q->work += (double)ln_count(&out[i]);
    const bool empty = q->work == 0.0 && !(n->op->flags & LN_OP_RANDOM);
    q->planner = pl;
    q->err = &why;
    const linnet_status st = n->op->prepare ? n->op->prepare(q) : LINNET_OK;
    q->err = NULL;
    if (st)
        return ln_fail_layer(err, st, n, why.message[0] ? why.message : n->op->name);
    for (int32_t i = 0; i < LN_MAX_PHASES && empty; i++) /* no output has an element: nothing to run */
        q->tasks[i] = 0;
    return LINNET_OK;
}

void *ln_plan_alloc(ln_prepare *q, size_t count, size_t size)
{
    ln_planner *pl = q->planner;
    size_t bytes;

    if (!ln_mul(count, size, &bytes))
        return NULL;
    return ln_arena_block(pl->to_brief ? pl->brief : pl->keep, LN_MAX(bytes, (size_t)1));
}

/* ---- derived constants ----------------------------------------------------------- */

/* Bytes of a derived constant after which the pages of its source are given back: more where it is large. */
#define DERIVE_LEAST ((size_t)2 << 20)
#define DERIVE_MOST  ((size_t)8 << 20)
#define DERIVE_STEPS 32u
/* And bytes below which other threads are not worth waking. */
#define DERIVE_ALONE ((size_t)256 << 10)

typedef struct derive_work {
    ln_make      make;
    ln_make_part part; /* where make is NULL */
    const void  *ctx, *src;
    void        *out;
    size_t       parts, first, bytes, src_size;
    bool         from_file; /* src lies in a mapping */
    linnet_pool *pool;
} derive_work;

static void derive_part(void *context, size_t i, int32_t worker)
{
    const derive_work *d = context;

    LN_UNUSED(worker);
    d->part(d->ctx, d->src, d->out, d->first + i);
}

static void derive_run(const void *ctx, void *out)
{
    derive_work d = *(const derive_work *)ctx;
    const size_t step = LN_MIN(LN_MAX(d.bytes / DERIVE_STEPS, DERIVE_LEAST), DERIVE_MOST);
    const size_t steps = LN_MIN(d.bytes / step + 1, d.parts);

    d.out = out;
    if (d.make)
        d.make(d.ctx, d.src, out);
    for (size_t i = 0; i < steps && !d.make; i++) {
        const size_t end = d.parts / steps * (i + 1) + LN_MIN(d.parts % steps, i + 1);
        ln_pool_run(d.pool, end - d.first, derive_part, &d);
        d.first = end;
        if (d.from_file)
            ln_pages_drop(d.src, d.src_size);
    }
}

static linnet_status derive(ln_prepare *q, int32_t input, uint64_t key, const derive_work *d, const void **out)
{
    ln_planner *pl = q->planner;
    const uint64_t id = pl->placed || pl->to_brief ? 0 : pl->id[input];
    const ln_file *file = &pl->model->file;
    linnet_pool *pool = pl->plan->config.pool;
    derive_work work = *d;

    work.src = q->value[input];
    work.pool = d->bytes >= DERIVE_ALONE && ln_pool_owned(pool) ? pool : NULL;
    if (!ln_desc_bytes(&q->in[input], &work.src_size))
        return infer_full(q->err);
    work.from_file = file->mapped && (uintptr_t)work.src - (uintptr_t)file->data < file->size;
    if (id) {
        const uint64_t full[4] = { d->part ? LN_KEY_PART : LN_KEY_PACK, id, key, d->bytes };
        uint64_t ignored;
        *out = ln_cache_get(pl->model->cache, full, d->bytes, pl->model->limits.memory, derive_run, &work, &ignored);
    } else {
        void *p = ln_arena_block(pl->to_brief ? pl->brief : pl->keep, d->bytes);
        if (p)
            derive_run(&work, p);
        *out = p;
    }
    if (!*out)
        return infer_full(q->err);
    if (id && ln_cache_given(pl->model->cache, *out))
        pl->given |= 1u << input % 32;
    else
        pl->made |= 1u << input % 32;
    if (work.from_file) /* also where nothing had to be made */
        ln_pages_drop(work.src, work.src_size);
    pl->plan->weight_bytes += d->bytes;
    return LINNET_OK;
}

linnet_status ln_plan_derive(ln_prepare *q, int32_t input, uint64_t key, size_t bytes,
                             ln_make make, const void *ctx, const void **out)
{
    const derive_work d = { .make = make, .ctx = ctx, .bytes = bytes };

    return derive(q, input, key, &d, out);
}

linnet_status ln_plan_derive_parts(ln_prepare *q, int32_t input, uint64_t key, size_t bytes, size_t parts,
                                   ln_make_part make, const void *ctx, const void **out)
{
    const derive_work d = { .part = make, .ctx = ctx, .bytes = bytes, .parts = parts };

    return derive(q, input, key, &d, out);
}

static void align_copy(const void *ctx, void *out)
{
    const ln_value *v = ctx;

    memcpy(out, v->data, v->size);
}

const void *ln_model_aligned(linnet_model *m, const ln_value *v, ln_arena *keep)
{
    const uint64_t key[4] = { LN_KEY_ALIGN, v->id, 0, v->size };
    uint64_t ignored;

    if (ln_aligned(v->data, v->desc.dtype))
        return v->data;
    if (!keep && v->id)
        return ln_cache_get(m->cache, key, v->size, m->limits.memory, align_copy, v, &ignored);
    void *copy = keep ? ln_arena_block(keep, v->size) : NULL;
    if (copy)
        memcpy(copy, v->data, v->size);
    return copy;
}

linnet_status ln_plan_align(ln_planner *pl, ln_value *v, linnet_error *err)
{
    if (!v->constant || ln_aligned(v->data, v->desc.dtype))
        return LINNET_OK;
    const void *data = ln_model_aligned(pl->model, v, pl->placed || !v->id ? pl->keep : NULL);
    if (!data)
        return infer_full(err);
    v->data = data;
    return LINNET_OK;
}

/* ---- folding ------------------------------------------------------------------- */

/* Compute node n now; outputs into the brief arena. LINNET_ERR_DATA leaves it to the run. */
static linnet_status fold_run(ln_planner *pl, const ln_node *n, const ln_desc *in, const void *const *value,
                              const ln_desc *out, void **data, linnet_error *err)
{
    const ln_kernels *kernel = &pl->plan->kernel;
    void *state = ln_arena_block(pl->brief, LN_MAX(n->op->state_size, 1u));
    ln_prepare q;

    if (!state)
        return infer_full(err);
    pl->to_brief = true;
    linnet_status st = ln_node_prepare(pl, n, &q, state, in, out, value, kernel, err);
    pl->to_brief = false;
    if (st)
        return st;
    void *workspace = q.workspace ? ln_arena_block(pl->brief, q.workspace) : NULL;
    void *scratch = q.scratch ? ln_arena_block(pl->brief, q.scratch) : NULL;
    if ((q.workspace && !workspace) || (q.scratch && !scratch))
        return infer_full(err);
    linnet_error why = { 0, "" };
    ln_run r = { n->param, state, value, data, in, out, workspace, scratch, kernel, 0, 0, &why };
    for (r.phase = 0; r.phase < q.phases; r.phase++)
        for (r.task = 0; r.task < q.tasks[r.phase]; r.task++)
            if ((st = n->op->run(&r)) != LINNET_OK)
                return ln_fail_layer(err, st, n, why.message);
    return LINNET_OK;
}

static void fold_copy(const void *ctx, void *out)
{
    const ln_value *v = ctx;

    memcpy(out, v->data, v->size);
}

/* The folded value goes to the model's cache where it is large and made of the model alone. */
static void fold_share(ln_planner *pl, const uint64_t key[4], ln_value *v)
{
    uint64_t id = 0;
    const void *shared = ln_cache_get(pl->model->cache, key, v->size, pl->model->limits.memory, fold_copy, v, &id);

    if (shared) {
        v->data = shared;
        v->id = id;
        v->brief = false;
    }
}

static bool fold_wanted(const ln_planner *pl, const ln_node *n, const void *const *value, const ln_desc *in,
                        const ln_desc *out)
{
    size_t in_bytes = 0, out_bytes = 0, bytes, count;

    if (!(pl->plan->config.passes & LINNET_PASS_FOLD) || (n->op->flags & (LN_OP_RANDOM | LN_OP_CONTROL)))
        return false;
    if (!n->op->run && !(n->op->flags & LN_OP_VIEW))
        return false;
    for (int32_t i = 0; i < n->in_count; i++) {
        if (n->in[i] == LN_NONE)
            continue;
        if (!pl->g->value[n->in[i]].constant && !(n->op->flags & LN_OP_SHAPE_ONLY))
            return false;
        if (ln_desc_bytes(&in[i], &bytes) && value[i] && !ln_add(in_bytes, bytes, &in_bytes))
            return false;
    }
    for (int32_t i = 0; i < n->out_count; i++)
        if (n->out[i] != LN_NONE && (!ln_desc_bytes(&out[i], &bytes) || !ln_desc_count(&out[i], &count) ||
                                     !ln_add(out_bytes, bytes, &out_bytes)))
            return false;
    return out_bytes <= FOLD_GROWTH || out_bytes - FOLD_GROWTH <= in_bytes;
}

/* *folded: the outputs of node `index` are constants now. */
static linnet_status fold_node(ln_planner *pl, size_t index, bool first, const ln_desc *in,
                               const void **value, const ln_desc *out, bool *folded, linnet_error *err)
{
    const ln_node *n = &pl->g->node[index];
    void **data = ln_arena_alloc(pl->brief, (size_t)LN_MAX(n->out_count, 1), sizeof *data);
    linnet_error why;
    bool shared = first && !pl->placed;

    *folded = false;
    if (!fold_wanted(pl, n, value, in, out))
        return LINNET_OK;
    if (!data)
        return infer_full(err);
    for (int32_t i = 0; i < n->in_count; i++)
        shared = shared && n->in[i] != LN_NONE && pl->g->value[n->in[i]].id != 0;
    shared = shared && n->in_count > 0;

    const bool view = n->op->flags & LN_OP_VIEW;
    for (int32_t i = 0; i < n->out_count && !view; i++) {
        const size_t bytes = n->out[i] == LN_NONE ? 0 : ln_count(&out[i]) ? 1 : 0;
        size_t size = 0;
        if (bytes && (!ln_desc_bytes(&out[i], &size) || !(data[i] = ln_arena_block(pl->brief, size))))
            return infer_full(err);
    }
    for (int32_t i = 0; i < n->in_count && !view; i++) {
        if (n->in[i] == LN_NONE || !value[i])
            continue;
        const linnet_status st = ln_plan_align(pl, &pl->g->value[n->in[i]], err);
        if (st)
            return st;
        value[i] = pl->g->value[n->in[i]].data;
    }
    if (!view) {
        const linnet_status st = fold_run(pl, n, in, value, out, data, &why);
        if (st == LINNET_ERR_DATA)
            return LINNET_OK;
        if (st)
            return ln_fail(err, st, "%s", why.message);
    }
    for (int32_t i = 0; i < n->out_count; i++) {
        if (n->out[i] == LN_NONE)
            continue;
        ln_value *v = &pl->g->value[n->out[i]];
        const uint64_t key[4] = { LN_KEY_FOLD, pl->g->value[n->in_count ? n->in[0] : n->out[i]].id, n->key,
                                  (uint64_t)i };
        v->constant = true;
        v->producer = LN_NONE;
        v->id = 0;
        v->data = view ? value[0] : data[i];
        v->size = 0;
        if (!ln_desc_bytes(&out[i], &v->size))
            return infer_full(err);
        v->brief = view ? pl->g->value[n->in[0]].brief : true;
        if (view && shared) {
            uint64_t id = 0; /* the same bytes in another shape: an identity of its own, no copy */
            if (ln_cache_get(pl->model->cache, key, 0, 0, NULL, NULL, &id))
                v->id = id;
        } else if (shared && v->size >= FOLD_SHARE) {
            fold_share(pl, key, v);
        }
    }
    *folded = true;
    return LINNET_OK;
}

/* ---- the walk ---------------------------------------------------------------------- */

/* Descs and known elements of a node's inputs. False: an input's shape is not known. */
static bool infer_gather(const ln_graph *g, const ln_node *n, ln_desc *in, const void **value)
{
    for (int32_t i = 0; i < n->in_count; i++) {
        if (n->in[i] == LN_NONE)
            continue;
        const ln_value *v = &g->value[n->in[i]];
        if (!v->shaped || v->kind != LN_VALUE_TENSOR)
            return false;
        in[i] = v->desc;
        value[i] = v->constant ? v->data : NULL;
    }
    for (int32_t i = 0; i < n->capture_count; i++)
        if (!g->value[n->capture[i]].shaped)
            return false;
    return true;
}

static void infer_dynamic(ln_graph *g, ln_node *n)
{
    n->dynamic = true;
    for (int32_t i = 0; i < n->out_count; i++)
        if (n->out[i] != LN_NONE)
            g->value[n->out[i]].shaped = false;
}

static linnet_status infer_node(ln_planner *pl, size_t index, bool first, bool *folded, linnet_error *err)
{
    ln_graph *g = pl->g;
    ln_node *n = &g->node[index];
    ln_desc *in = ln_arena_alloc(pl->brief, (size_t)n->in_count + 1, sizeof *in);
    ln_desc *out = ln_arena_alloc(pl->brief, (size_t)n->out_count + 1, sizeof *out);
    const void **value = ln_arena_alloc(pl->brief, (size_t)n->in_count + 1, sizeof *value);

    if (!in || !out || !value)
        return infer_full(err);
    *folded = false;
    if (n->dynamic || (n->op->flags & LN_OP_CONTROL) || !infer_gather(g, n, in, value)) {
        infer_dynamic(g, n);
        return LINNET_OK;
    }
    const linnet_status st = ln_node_infer(n, &pl->plan->config.limits, in, value, out, pl->brief, err);
    if (st == LN_WAIT) {
        infer_dynamic(g, n);
        return LINNET_OK;
    }
    if (st)
        return st;
    for (int32_t i = 0; i < n->out_count; i++)
        if (n->out[i] != LN_NONE) {
            ln_value *v = &g->value[n->out[i]];
            v->desc = out[i];
            v->shaped = true;
        }
    return fold_node(pl, index, first, in, value, out, folded, err);
}

linnet_status ln_plan_infer(ln_planner *pl, bool first, linnet_error *err)
{
    ln_graph *g = pl->g;
    const bool fold = first && (pl->plan->config.passes & LINNET_PASS_FOLD);
    size_t kept = 0;

    for (size_t i = 0; i < g->node_count; i++) {
        bool folded = false, taken = fold;
        linnet_status st = LINNET_OK;
        while (taken && !st && i < g->node_count) /* a branch may begin with another If, or be empty */
            st = ln_plan_inline(pl, i, &taken, err);
        if (!st && i < g->node_count)
            st = infer_node(pl, i, first, &folded, err);
        if (st)
            return st;
        if (folded)
            g->node[i].out_count = -1; /* taken out below: indices stay true until then */
    }
    for (size_t i = 0; i < g->node_count; i++)
        if (g->node[i].out_count >= 0)
            g->node[kept++] = g->node[i];
    ln_graph_set_nodes(g, g->node, kept);
    return LINNET_OK;
}
