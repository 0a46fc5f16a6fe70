/*
 * plan.c - the steps of a plan: operators prepared, buffers shared, pointers resolved.
 *
 * Values that are the same bytes (views, in-place results) have one root, and each root one
 * block of the arena. Only once every block has its offset, and the size of the arena is
 * known, is the arena taken and are pointers written into the steps.
 */
#include "plan.h"

/* Work (multiply-adds, elements) of a step below which waking another thread does not pay. */
#define PLAN_PARALLEL_WORK 60000.0

/* While planning: what is known of each value. */
typedef struct plan_value {
    int32_t  root;  /* the value whose block holds its bytes */
    int32_t  last;  /* of a root: last step that uses it */
    int32_t  block; /* of a root: index, or LN_NONE */
    int32_t  input; /* index of the graph input, or LN_NONE */
    bool     pinned; /* of a root: an output of the model; never overwritten */
    bool     tied;   /* a cache that its step writes where the tied input lies */
    ln_slot *slot;  /* where dynamic steps look, or NULL */
} plan_value;

typedef struct plan_work {
    ln_planner  pl;
    ln_plan    *plan;
    ln_graph   *g;
    plan_value *value;
    ln_buffer   *block;   size_t block_count;
    int32_t    *step_workspace; /* per step: block, or LN_NONE */
    int32_t    *unread;   /* per value of the model: steps that take it in a form that the file has; NULL: all are proved */
    linnet_error *err;
} plan_work;

static linnet_status plan_full(linnet_error *err)
{
    return ln_fail(err, LINNET_ERR_MEMORY, "out of memory while planning");
}

/* ---- constants for passes ------------------------------------------------------- */

static linnet_status plan_constant(const ln_pass *p, const uint64_t key[4], const ln_desc *desc,
                                   ln_pass_make make, const void *ctx, int32_t *out)
{
    ln_planner *pl = p->user;
    const ln_value like = { .desc = *desc, .shaped = true };
    const void *data;
    uint64_t id = 0;
    size_t bytes;

    if (!ln_desc_bytes(desc, &bytes))
        return plan_full(p->err);
    if (pl->placed || key[1] == 0) {
        void *mine = ln_arena_block(pl->keep, LN_MAX(bytes, (size_t)1));
        if (mine)
            make(ctx, mine);
        data = mine;
    } else {
        data = ln_cache_get(pl->model->cache, key, bytes, pl->model->limits.memory, make, ctx, &id);
    }
    if (!data)
        return plan_full(p->err);
    const linnet_status st = ln_graph_add_value(p->g, &like, out, p->err);
    if (st)
        return st;
    ln_value *v = &p->g->value[*out];
    v->constant = true;
    v->data = data;
    v->size = bytes;
    v->id = id;
    return LINNET_OK;
}

/* ---- roots and lifetimes ------------------------------------------------------------ */

/* The value whose bytes v's are. */
static int32_t plan_root(const plan_work *w, int32_t v)
{
    while (w->value[v].root != v) {
        w->value[v].root = w->value[w->value[v].root].root; /* halve long chains of views */
        v = w->value[v].root;
    }
    return v;
}

static bool plan_is_view(const ln_graph *g, const ln_node *n)
{
    return (n->op->flags & LN_OP_VIEW) && !n->dynamic && n->in[0] != LN_NONE &&
           g->value[n->in[0]].shaped && n->out[0] != LN_NONE;
}

/*
 * Outputs that are tied to an input and repeat it but for a few rows are written in the input's
 * memory, where nothing else looks at what was there before.
 */
static linnet_status plan_ties(plan_work *w)
{
    const ln_graph *g = w->g;
    int32_t *use = ln_arena_alloc(w->pl.brief, g->value_count + 1, sizeof *use);

    if (!use)
        return plan_full(w->err);
    ln_graph_uses(g, use);
    for (size_t i = 0; i < w->plan->config.tie_count; i++) {
        const ln_tie *t = &w->plan->config.tie[i];
        const int32_t out = g->output[t->output], in = g->input[t->input];
        const ln_node *n = g->value[out].producer == LN_NONE ? NULL : &g->node[g->value[out].producer];

        if (!n || n->dynamic || !(n->op->flags & LN_OP_CACHE) || n->out[0] != out || n->in[0] != in || use[in] != 1 ||
            !g->value[out].shaped || !ln_same_shape(&g->value[out].desc, &g->value[in].desc))
            continue;
        w->value[out].root = in;
        w->value[out].tied = true;
    }
    return LINNET_OK;
}

static linnet_status plan_values(plan_work *w)
{
    const ln_graph *g = w->g;

    w->value = ln_arena_alloc(w->pl.brief, g->value_count + 1, sizeof *w->value);
    if (!w->value)
        return plan_full(w->err);
    for (size_t i = 0; i < g->value_count; i++) {
        plan_value *v = &w->value[i];
        v->root = (int32_t)i;
        v->last = v->block = v->input = LN_NONE;
    }
    for (size_t i = 0; i < g->input_count; i++)
        w->value[g->input[i]].input = (int32_t)i;
    for (size_t i = 0; i < g->node_count; i++)
        if (plan_is_view(g, &g->node[i]))
            w->value[g->node[i].out[0]].root = g->node[i].in[0];
    return plan_ties(w);
}

static void plan_use(plan_work *w, int32_t value, int32_t step)
{
    if (value != LN_NONE) {
        plan_value *root = &w->value[plan_root(w, value)];
        root->last = LN_MAX(root->last, step);
    }
}

static void plan_lifetimes(plan_work *w)
{
    const ln_graph *g = w->g;
    int32_t step = 0;

    for (size_t i = 0; i < g->node_count; i++) {
        const ln_node *n = &g->node[i];
        if (plan_is_view(g, n))
            continue;
        for (int32_t k = 0; k < n->in_count; k++)
            plan_use(w, n->in[k], step);
        for (int32_t k = 0; k < n->capture_count; k++)
            plan_use(w, n->capture[k], step);
        step++;
    }
    for (size_t i = 0; i < g->output_count; i++) {
        plan_use(w, g->output[i], step);
        w->value[plan_root(w, g->output[i])].pinned = true;
    }
}

/* Memory of its own for the elements of value v: neither a constant nor an input. */
static bool plan_is_buffer(const plan_work *w, int32_t v)
{
    const int32_t root = plan_root(w, v);

    return !w->g->value[root].constant && w->value[root].input == LN_NONE && w->g->value[root].shaped;
}

static linnet_status plan_new_block(plan_work *w, size_t size, int32_t first, int32_t last, int32_t *out)
{
    ln_buffer *b = &w->block[w->block_count];

    *b = (ln_buffer){ size, 0, first, last };
    *out = (int32_t)w->block_count++;
    return LINNET_OK;
}

/* Output 0 of node n may take the memory of one of its inputs: *root, or LN_NONE. */
static int32_t plan_in_place(const plan_work *w, const ln_node *n, int32_t step, size_t size)
{
    for (int32_t i = 0; i < n->in_count && i < 32; i++) {
        if (!(n->op->inplace >> i & 1) || n->in[i] == LN_NONE || !plan_is_buffer(w, n->in[i]))
            continue;
        const int32_t root = plan_root(w, n->in[i]);
        const plan_value *r = &w->value[root];
        size_t bytes;
        int32_t same = 0;
        for (int32_t k = 0; k < n->in_count; k++)
            same += n->in[k] != LN_NONE && plan_root(w, n->in[k]) == root;
        if (r->last == step && !r->pinned && same == 1 && r->block != LN_NONE &&
            ln_desc_bytes(&w->g->value[n->in[i]].desc, &bytes) && bytes == size &&
            w->block[r->block].size >= size)
            return root;
    }
    return LN_NONE;
}

/* ---- steps ---------------------------------------------------------------------------- */

static linnet_status plan_step_arrays(plan_work *w, const ln_node *n, ln_step *s)
{
    ln_arena *keep = w->pl.keep;
    const size_t in = (size_t)LN_MAX(n->in_count, 1), out = (size_t)LN_MAX(n->out_count, 1);
    ln_node *copy = ln_arena_copy(keep, n, sizeof *n);
    ln_desc *descs = ln_arena_alloc(keep, in + out, sizeof *descs);
    const void **ptrs = ln_arena_alloc(keep, in + out, sizeof *ptrs);
    void *state = ln_arena_block(keep, LN_MAX(n->op->state_size, 1u));

    if (!copy || !descs || !ptrs || !state)
        return plan_full(w->err);
    copy->name = n->name && n->name[0] ? ln_arena_string(keep, n->name, strlen(n->name)) : "";
    copy->in = ln_arena_copy(keep, n->in, in * sizeof *n->in);
    copy->out = ln_arena_copy(keep, n->out, out * sizeof *n->out);
    if (!copy->name || !copy->in || !copy->out)
        return plan_full(w->err);
    s->node = copy;
    s->phases = 1;
    s->run.param = n->param;
    s->run.state = state;
    s->run.in = ptrs;
    s->run.out = (void *const *)(ptrs + in);
    s->run.in_desc = descs;
    s->run.out_desc = descs + in;
    s->run.kernel = &w->plan->kernel;
    for (int32_t i = 0; i < n->in_count; i++)
        if (n->in[i] != LN_NONE)
            descs[i] = w->g->value[n->in[i]].desc;
    for (int32_t i = 0; i < n->out_count; i++)
        if (n->out[i] != LN_NONE)
            descs[in + (size_t)i] = w->g->value[n->out[i]].desc;
    return LINNET_OK;
}

/*
 * Constant inputs of a step as it can take them: aligned, or as they are where its operator says that it
 * reads them so (in prepare; in run).
 */
static linnet_status plan_align(plan_work *w, const ln_node *n, uint32_t as_they_are)
{
    for (int32_t i = 0; i < n->in_count; i++) {
        if (n->in[i] == LN_NONE)
            continue;
        ln_value *v = &w->g->value[n->in[i]];
        const bool loose = v->constant && i < 32 && (as_they_are >> i & 1) && v->desc.dtype == LINNET_F32;
        if (!v->constant)
            v = &w->g->value[plan_root(w, n->in[i])];
        const linnet_status st = loose ? LINNET_OK : ln_plan_align(&w->pl, v, w->err);
        if (st)
            return st;
    }
    return LINNET_OK;
}

/* Node n does not look at those of its inputs, which a file has packed; but at its other constants. */
static void plan_count_unread(plan_work *w, const ln_node *n, uint32_t unread)
{
    for (int32_t i = 0; i < n->in_count && w->unread; i++) {
        if (n->in[i] == LN_NONE || (size_t)n->in[i] >= w->pl.model->graph->value_count)
            continue;
        int32_t *count = &w->unread[n->in[i]];
        *count = i < 32 && unread >> i & 1 && *count != LN_NONE ? *count + 1 : LN_NONE;
    }
}

typedef struct plan_uses { const int32_t *unread, *use; } plan_uses;

/* False where each use of a weight in the model became a step that does not read it. */
static bool plan_reads(const void *user, int32_t value)
{
    const plan_uses *u = user;

    return u->unread[value] == 0 || u->unread[value] != u->use[value];
}

/* Weights that this plan reads, or was made from, are those of the file. */
static linnet_status plan_prove(plan_work *w)
{
    const ln_graph *g = w->pl.model->graph;
    int32_t *use = w->unread ? ln_arena_alloc(w->pl.brief, g->value_count + 1, sizeof *use) : NULL;
    const plan_uses uses = { w->unread, use };

    if (!w->unread)
        return LINNET_OK;
    if (!use)
        return plan_full(w->err);
    ln_graph_uses(g, use);
    return ln_prove(w->pl.model, plan_reads, &uses, w->err);
}

/* The descs that a step's operator sees for outputs include those nobody wants. */
static linnet_status plan_prepare(plan_work *w, ln_step *s, ln_prepare *q)
{
    const ln_node *n = s->node;
    ln_desc *out = (ln_desc *)(uintptr_t)s->run.out_desc;
    const void **value = ln_arena_alloc(w->pl.brief, (size_t)n->in_count + 1, sizeof *value);
    uint64_t *id = ln_arena_alloc(w->pl.brief, (size_t)n->in_count + 1, sizeof *id);

    if (!value || !id)
        return plan_full(w->err);
    linnet_status st = plan_align(w, n, n->op->loose);
    if (st)
        return st;
    for (int32_t i = 0; i < n->in_count; i++)
        if (n->in[i] != LN_NONE && w->g->value[n->in[i]].constant) {
            value[i] = w->g->value[n->in[i]].data;
            id[i] = w->g->value[n->in[i]].id;
        }
    memset(out, 0, (size_t)n->out_count * sizeof *out);
    st = ln_node_infer(n, &w->plan->config.limits, s->run.in_desc, value, out, w->pl.brief, w->err);
    if (st)
        return st == LN_WAIT ? ln_fail(w->err, LINNET_ERR_UNSUPPORTED, "layer \"%s\" cannot be planned", n->name) : st;
    w->pl.id = id;
    w->pl.given = w->pl.made = 0;
    st = ln_node_prepare(&w->pl, n, q, (void *)(uintptr_t)s->run.state, s->run.in_desc, s->run.out_desc, value,
                         &w->plan->kernel, w->err);
    if (st || (st = plan_align(w, n, q->unread)) != LINNET_OK)
        return st;
    plan_count_unread(w, n, q->unread & w->pl.given & ~w->pl.made);
    s->phases = q->phases;
    memcpy(s->tasks, q->tasks, sizeof s->tasks);
    s->parallel = q->work >= PLAN_PARALLEL_WORK;
    s->flop = q->flop;
    w->plan->flop += q->flop;
    w->plan->scratch_size = LN_MAX(w->plan->scratch_size, q->scratch);
    return LINNET_OK;
}

static linnet_status plan_outputs(plan_work *w, const ln_node *n, int32_t step)
{
    for (int32_t k = 0; k < n->out_count; k++) {
        size_t size;
        if (n->out[k] == LN_NONE)
            continue;
        plan_value *v = &w->value[n->out[k]];
        if (!ln_desc_bytes(&w->g->value[n->out[k]].desc, &size))
            return plan_full(w->err);
        if (v->tied || (v->last == LN_NONE && !v->pinned))
            continue; /* it has memory, or nobody wants it */
        const int32_t over = k == 0 ? plan_in_place(w, n, step, size) : LN_NONE;
        if (over != LN_NONE) {
            plan_value *r = &w->value[over];
            r->last = LN_MAX(r->last, v->last);
            r->pinned = r->pinned || v->pinned;
            v->root = over;
            w->block[r->block].last = r->last;
        } else {
            const linnet_status st = plan_new_block(w, size, step, v->last, &v->block);
            if (st)
                return st;
        }
    }
    return LINNET_OK;
}

static linnet_status plan_slot(plan_work *w, int32_t value, ln_slot **out)
{
    *out = NULL;
    if (value == LN_NONE)
        return LINNET_OK;
    plan_value *v = &w->value[value];
    if (!v->slot) {
        v->slot = ln_arena_alloc(w->pl.keep, 1, sizeof *v->slot);
        if (!v->slot)
            return plan_full(w->err);
        v->slot->desc = w->g->value[value].desc;
    }
    *out = v->slot;
    return LINNET_OK;
}

/* Constants that die with the planning are copied where a step needs them. */
static linnet_status plan_keep_constant(plan_work *w, ln_value *v)
{
    if (!v->brief || !v->size)
        return LINNET_OK;
    void *copy = ln_arena_block(w->pl.keep, v->size);
    if (!copy)
        return plan_full(w->err);
    memcpy(copy, v->data, v->size);
    v->data = copy;
    v->brief = false;
    return LINNET_OK;
}

/* A copy of subgraph `sub`; values from outside become constants or further inputs. */
static linnet_status plan_body(plan_work *w, const ln_node *n, const ln_graph *sub, int32_t *capture, ln_body *out)
{
    size_t cap = sub->input_count;
    linnet_status st = ln_graph_clone(sub, w->pl.keep, &out->graph, w->err);

    if (st)
        return st;
    ln_graph *g = out->graph;
    out->formal = (int32_t)g->input_count;
    out->captured = ln_arena_alloc(w->pl.keep, (size_t)n->capture_count + 1, sizeof *out->captured);
    g->input = ln_arena_copy(w->pl.keep, sub->input, sub->input_count * sizeof *sub->input);
    if (!out->captured || !g->input)
        return plan_full(w->err);
    for (size_t i = 0; i < g->value_count; i++) {
        ln_value *v = &g->value[i];
        if (v->outer == LN_NONE)
            continue;
        const int32_t outer = n->capture[(*capture)++];
        ln_value *from = &w->g->value[outer];
        v->outer = LN_NONE;
        if (from->constant) {
            if ((st = plan_keep_constant(w, from)) != LINNET_OK)
                return st;
            v->constant = true;
            v->desc = from->desc;
            v->data = from->data;
            v->size = from->size;
            v->id = from->id;
            continue;
        }
        int32_t *input = ln_grow(w->pl.keep, (void **)&g->input, &g->input_count, &cap, sizeof *input);
        if (!input)
            return plan_full(w->err);
        *input = (int32_t)i;
        v->input = true;
        v->kind = from->kind;
        if ((st = plan_slot(w, outer, &out->captured[g->input_count - 1 - (size_t)out->formal])) != LINNET_OK)
            return st;
    }
    return LINNET_OK;
}

static linnet_status plan_bodies(plan_work *w, const ln_node *n, ln_dynamic *d)
{
    int32_t capture = 0;

    d->body = ln_arena_alloc(w->pl.keep, n->attr_count + 1, sizeof *d->body);
    if (!d->body)
        return plan_full(w->err);
    for (size_t i = 0; i < n->attr_count; i++) {
        if (n->attr[i].type != LN_ATTR_GRAPH)
            continue;
        const linnet_status st = plan_body(w, n, n->attr[i].u.graph, &capture, &d->body[d->body_count++]);
        if (st)
            return st;
    }
    return LINNET_OK;
}

static linnet_status plan_dynamic(plan_work *w, ln_step *s)
{
    const ln_node *n = s->node;
    ln_arena *keep = w->pl.keep;
    ln_dynamic *d = ln_arena_alloc(keep, 1, sizeof *d);
    const size_t in = (size_t)n->in_count + 1, out = (size_t)n->out_count + 1;

    if (w->pl.placed)
        return ln_fail(w->err, LINNET_ERR_UNSUPPORTED,
                       "layer \"%s\": the shape of %s depends on data, which a placed session cannot hold",
                       n->name, n->op->name);
    if (!d || !(d->in = ln_arena_alloc(keep, in + out, sizeof *d->in)) ||
        !(d->hold = ln_arena_alloc(keep, in + out, sizeof *d->hold)) ||
        !(d->carry = ln_arena_alloc(keep, in, sizeof *d->carry)) ||
        !(d->id = ln_arena_alloc(keep, in, sizeof *d->id)) ||
        !(d->constant = ln_arena_alloc(keep, in, sizeof *d->constant)) ||
        !(d->seen = ln_arena_alloc(keep, in, sizeof *d->seen)) ||
        !(d->in_desc = ln_arena_alloc(keep, in + out, sizeof *d->in_desc)) ||
        !(d->in_ptr = ln_arena_alloc(keep, in, sizeof *d->in_ptr)) ||
        !(d->value = ln_arena_alloc(keep, in, sizeof *d->value)) ||
        !(d->out_ptr = ln_arena_alloc(keep, out, sizeof *d->out_ptr)))
        return plan_full(w->err);
    d->out = d->in + in;
    d->out_desc = d->in_desc + in;
    linnet_status st = plan_align(w, n, 0);
    if (st)
        return st;
    for (int32_t i = 0; i < n->in_count; i++) {
        st = plan_slot(w, n->in[i], &d->in[i]);
        if (st)
            return st;
        d->constant[i] = n->in[i] != LN_NONE && w->g->value[n->in[i]].constant;
        if (d->constant[i])
            d->id[i] = w->g->value[n->in[i]].id;
    }
    for (int32_t i = 0; i < n->out_count; i++) {
        st = plan_slot(w, n->out[i], &d->out[i]);
        if (st)
            return st;
    }
    if (n->op->flags & LN_OP_CONTROL) {
        d->control = ln_control_find(n->op->name);
        if (!d->control)
            return ln_fail(w->err, LINNET_ERR_UNSUPPORTED, "layer \"%s\": %s cannot run", n->name, n->op->name);
    }
    s->dynamic = d;
    w->plan->dynamic_count++;
    return plan_bodies(w, n, d);
}

static linnet_status plan_steps(plan_work *w)
{
    const ln_graph *g = w->g;
    size_t outputs = 0;
    linnet_status st;

    for (size_t i = 0; i < g->node_count; i++)
        outputs += (size_t)g->node[i].out_count;
    w->plan->step = ln_arena_alloc(w->pl.keep, g->node_count + 1, sizeof *w->plan->step);
    w->block = ln_arena_alloc(w->pl.brief, g->node_count + outputs + g->output_count + 1, sizeof *w->block);
    w->step_workspace = ln_arena_alloc(w->pl.brief, g->node_count + 1, sizeof *w->step_workspace);
    if (!w->plan->step || !w->block || !w->step_workspace)
        return plan_full(w->err);
    for (size_t i = 0; i < g->node_count; i++) {
        if (plan_is_view(g, &g->node[i]))
            continue;
        const int32_t at = (int32_t)w->plan->step_count;
        ln_step *s = &w->plan->step[w->plan->step_count++];
        ln_prepare q;
        w->step_workspace[at] = LN_NONE;
        if ((st = plan_step_arrays(w, &g->node[i], s)) != LINNET_OK)
            return st;
        if (g->node[i].dynamic) {
            if ((st = plan_dynamic(w, s)) != LINNET_OK)
                return st;
            continue;
        }
        if ((st = plan_prepare(w, s, &q)) != LINNET_OK || (st = plan_outputs(w, s->node, at)) != LINNET_OK)
            return st;
        if (q.workspace)
            plan_new_block(w, q.workspace, at, at, &w->step_workspace[at]);
    }
    return LINNET_OK;
}

/* ---- the arena and the pointers -------------------------------------------------------------- */

static linnet_status plan_patch(plan_work *w, const void **where, int32_t input)
{
    ln_plan *p = w->plan;
    ln_patch *patch = ln_grow(w->pl.keep, (void **)&p->patch, &p->patch_count, &p->patch_cap, sizeof *patch);

    if (!patch)
        return plan_full(w->err);
    patch->where = where;
    patch->input = input;
    return LINNET_OK;
}

/* Keep constants and make patches for one reader of value v; pointers come later. */
static linnet_status plan_reader(plan_work *w, int32_t v, const void **where)
{
    if (v == LN_NONE)
        return LINNET_OK;
    const int32_t root = plan_root(w, v);
    if (w->g->value[v].constant)
        return plan_keep_constant(w, &w->g->value[v]);
    if (w->g->value[root].constant)
        return plan_keep_constant(w, &w->g->value[root]);
    if (w->value[root].input != LN_NONE)
        return plan_patch(w, where, w->value[root].input);
    return LINNET_OK;
}

static linnet_status plan_readers(plan_work *w)
{
    linnet_status st;

    for (size_t i = 0; i < w->plan->step_count; i++) {
        ln_step *s = &w->plan->step[i];
        for (int32_t k = 0; k < s->node->in_count; k++)
            if ((st = plan_reader(w, s->node->in[k], (const void **)(uintptr_t)&s->run.in[k])) != LINNET_OK)
                return st;
        for (int32_t k = 0; k < s->node->out_count; k++)
            if (s->node->out[k] != LN_NONE && w->value[s->node->out[k]].tied &&
                (st = plan_reader(w, s->node->out[k], (const void **)(uintptr_t)&s->run.out[k])) != LINNET_OK)
                return st;
    }
    for (size_t i = 0; i < w->g->value_count; i++)
        if (w->value[i].slot &&
            (st = plan_reader(w, (int32_t)i, &w->value[i].slot->data)) != LINNET_OK)
            return st;
    return LINNET_OK;
}

static linnet_status plan_results(plan_work *w, int32_t **copy_block)
{
    ln_plan *p = w->plan;
    const ln_graph *g = w->g;

    *copy_block = ln_arena_alloc(w->pl.brief, g->output_count + 1, sizeof **copy_block);
    p->result = ln_arena_alloc(w->pl.keep, g->output_count + 1, sizeof *p->result);
    if (!*copy_block || !p->result)
        return plan_full(w->err);
    for (size_t i = 0; i < g->output_count; i++) {
        const int32_t v = g->output[i], root = plan_root(w, v);
        ln_result *r = &p->result[i];
        size_t size;
        linnet_status st = LINNET_OK;
        (*copy_block)[i] = LN_NONE;
        r->input = w->value[root].input;
        r->desc = g->value[v].desc;
        if (!g->value[v].shaped) {
            st = plan_slot(w, v, &r->slot);
        } else if (!plan_is_buffer(w, v)) {
            if (!ln_desc_bytes(&r->desc, &size))
                return plan_full(w->err);
            st = plan_reader(w, v, &r->from);
            r->tied = w->value[v].tied;
            if (!r->tied)
                plan_new_block(w, size, 0, (int32_t)p->step_count, &(*copy_block)[i]);
        }
        if (st)
            return st;
    }
    return LINNET_OK;
}

static void *plan_pointer(const plan_work *w, int32_t v)
{
    if (v == LN_NONE)
        return NULL;
    const int32_t root = plan_root(w, v);
    if (!w->g->value[v].shaped || (!w->g->value[v].constant && ln_count(&w->g->value[v].desc) == 0))
        return NULL;
    if (w->g->value[v].constant)
        return (void *)(uintptr_t)w->g->value[v].data;
    if (w->g->value[root].constant)
        return (void *)(uintptr_t)w->g->value[root].data;
    if (w->value[root].block == LN_NONE)
        return NULL;
    return (char *)w->plan->arena + w->block[w->value[root].block].offset;
}

static void plan_resolve(plan_work *w, const int32_t *copy_block)
{
    ln_plan *p = w->plan;

    for (size_t i = 0; i < p->step_count; i++) {
        ln_step *s = &p->step[i];
        const void **in = (const void **)(uintptr_t)s->run.in;
        void **out = (void **)(uintptr_t)s->run.out;
        for (int32_t k = 0; k < s->node->in_count; k++)
            in[k] = plan_pointer(w, s->node->in[k]);
        for (int32_t k = 0; k < s->node->out_count; k++)
            out[k] = plan_pointer(w, s->node->out[k]);
        if (w->step_workspace[i] != LN_NONE)
            s->run.workspace = (char *)p->arena + w->block[w->step_workspace[i]].offset;
    }
    for (size_t i = 0; i < w->g->value_count; i++)
        if (w->value[i].slot)
            w->value[i].slot->data = plan_pointer(w, (int32_t)i);
    for (size_t i = 0; i < p->output_count; i++) {
        p->result[i].from = plan_pointer(w, w->g->output[i]);
        if (copy_block[i] != LN_NONE)
            p->result[i].copy = (char *)p->arena + w->block[copy_block[i]].offset;
    }
}

/* The size of the arena, then the arena, then pointers. */
static linnet_status plan_arena(plan_work *w, const int32_t *copy_block)
{
    ln_plan *p = w->plan;
    size_t total, scratch;

    ln_cache_trim(w->pl.model->cache);
    const linnet_status st = ln_place_blocks(w->block, w->block_count, w->pl.brief, &total, w->err);

    if (st)
        return st;
    p->workers = linnet_pool_threads(p->config.pool);
    if (!ln_align_up(p->scratch_size, LN_ALIGN, &p->scratch_size) ||
        !ln_mul(p->scratch_size, (size_t)p->workers, &scratch) || !ln_add(total, scratch, &p->arena_size) ||
        p->arena_size > p->config.limits.memory)
        return ln_fail(w->err, LINNET_ERR_LIMIT, "the buffers of this model need more memory than the limit");
    p->arena_size = LN_MAX(p->arena_size, (size_t)LN_ALIGN);
    if (p->placed) {
        const size_t free_end = p->keep.size + w->pl.brief->total; /* brief memory is read no more */
        const size_t at = (p->keep.used + LN_ALIGN - 1) & ~(size_t)(LN_ALIGN - 1);
        if (at > free_end || free_end - at < p->arena_size)
            return ln_fail(w->err, LINNET_ERR_MEMORY, "the memory given is too small for the session");
        p->arena = p->keep.base + at;
    } else if (!(p->arena = ln_alloc(&p->config.alloc, p->arena_size))) {
        return plan_full(w->err);
    }
    p->scratch = (char *)p->arena + total;
    plan_resolve(w, copy_block);
    return LINNET_OK;
}

/* ---- all together -------------------------------------------------------------------------------- */

static linnet_status plan_check_inputs(const plan_work *w, const ln_desc *input)
{
    const ln_graph *g = w->g;
    char text[LN_DESC_TEXT];

    for (size_t i = 0; i < g->input_count; i++) {
        ln_value *v = &g->value[g->input[i]];
        size_t count;
        if (v->kind != LN_VALUE_TENSOR)
            continue; /* what it is shows while running */
        bool fits = v->desc.dtype == 0 || v->desc.dtype == input[i].dtype;
        fits = fits && (v->desc.rank == -1 || v->desc.rank == input[i].rank);
        for (int32_t d = 0; fits && d < v->desc.rank; d++)
            fits = v->desc.dim[d] == LN_UNKNOWN || v->desc.dim[d] == input[i].dim[d];
        if (!fits || !ln_desc_count(&input[i], &count) || count > w->plan->config.limits.elements)
            return ln_fail(w->err, LINNET_ERR_SHAPE, "input \"%s\" cannot be %s", v->name,
                           ln_desc_text(&input[i], text));
        v->desc = input[i];
        v->shaped = true;
    }
    return LINNET_OK;
}

/* Channels last, and what can be done where they are. */
static linnet_status plan_rewrite_last(plan_work *w, const ln_pass *pass)
{
    static linnet_status (*const then[])(const ln_pass *) = {
        ln_pass_turn, ln_pass_pad, ln_pass_clean, ln_pass_pool, ln_pass_join, ln_pass_chain,
    };
    linnet_status st = ln_pass_layout(pass);

    if (!st)
        st = ln_plan_infer(&w->pl, false, w->err);
    for (size_t i = 0; i < LN_COUNT(then) && !st; i++)
        st = then[i](pass);
    return st;
}

static linnet_status plan_rewrite(plan_work *w)
{
    const ln_config *config = &w->plan->config;
    const uint32_t passes = config->passes;
    const ln_pass pass = { w->g, w->pl.keep, w->err, &w->plan->kernel, linnet_pool_threads(config->pool), config->exact,
                           &w->pl, plan_constant };
    linnet_status st;

    for (size_t i = 0; i < w->g->value_count; i++)
        if (w->g->value[i].constant)
            w->g->value[i].shaped = true;
    if ((st = ln_plan_infer(&w->pl, true, w->err)) != LINNET_OK ||
        (st = ln_pass_clean(&pass)) != LINNET_OK)
        return st;
    if ((passes & LINNET_PASS_FUSE) &&
        ((st = ln_pass_norm(&pass)) != LINNET_OK || (st = ln_pass_attention(&pass)) != LINNET_OK ||
         (st = ln_pass_fuse(&pass)) != LINNET_OK))
        return st;
    if ((passes & LINNET_PASS_LAYOUT) && (st = plan_rewrite_last(w, &pass)) != LINNET_OK)
        return st;
    return ln_pass_clean(&pass);
}

static linnet_status plan_build(plan_work *w, const ln_graph *graph, const ln_desc *input)
{
    ln_plan *p = w->plan;
    int32_t *copy_block;
    linnet_status st;

    if ((st = ln_graph_clone(graph, w->pl.brief, &w->g, w->err)) != LINNET_OK)
        return st;
    w->pl.g = w->g;
    if (graph == w->pl.model->graph && w->pl.model->packs.sum_count &&
        !(w->unread = ln_arena_alloc(w->pl.brief, graph->value_count + 1, sizeof *w->unread)))
        return plan_full(w->err);
    if ((st = plan_check_inputs(w, input)) != LINNET_OK || (st = plan_rewrite(w)) != LINNET_OK ||
        (st = plan_values(w)) != LINNET_OK)
        return st;
    plan_lifetimes(w);
    p->input_count = w->g->input_count;
    p->output_count = w->g->output_count;
    p->input = ln_arena_copy(w->pl.keep, input, (p->input_count + 1) * sizeof *input);
    if (!p->input)
        return plan_full(w->err);
    if ((st = plan_steps(w)) != LINNET_OK || (st = plan_prove(w)) != LINNET_OK || (st = plan_results(w, &copy_block)) != LINNET_OK ||
        (st = plan_readers(w)) != LINNET_OK)
        return st;
    p->input_slot = ln_arena_alloc(w->pl.keep, p->input_count + 1, sizeof *p->input_slot);
    if (!p->input_slot)
        return plan_full(w->err);
    for (size_t i = 0; i < p->input_count; i++)
        p->input_slot[i] = w->value[w->g->input[i]].slot;
    return plan_arena(w, copy_block);
}

linnet_status ln_plan_create(linnet_model *m, const ln_graph *graph, const ln_config *config, const ln_desc *input,
                             void *memory, size_t size, size_t *need, ln_plan **out, linnet_error *err)
{
    plan_work w = { .err = err };
    ln_arena keep, brief;

    *out = NULL;
    if (memory)
        ln_arena_init_fixed(&keep, memory, size);
    else
        ln_arena_init(&keep, &config->alloc, config->limits.memory);
    ln_plan *p = ln_arena_alloc(&keep, 1, sizeof *p);
    if (!p)
        return plan_full(err);
    p->keep = keep;
    p->config = *config;
    p->placed = memory != NULL;
    if (config->kernel)
        p->kernel = *config->kernel;
    else
        ln_kernels_init(&p->kernel, config->isa);
    if (memory)
        ln_arena_init_top(&brief, &p->keep);
    else
        ln_arena_init(&brief, &config->alloc, config->limits.memory);
    w.plan = p;
    w.pl = (ln_planner){ .model = m, .plan = p, .keep = &p->keep, .brief = &brief,
                         .placed = memory || need };

    const linnet_status st = plan_build(&w, graph, input);
    if (!st && need) {
        const size_t kept = (p->keep.total + LN_ALIGN - 1) & ~(size_t)(LN_ALIGN - 1);
        *need = LN_MAX(p->keep.total + brief.total, kept + p->arena_size);
    }
    ln_arena_free(&brief);
    if (st) {
        ln_plan_free(p);
        return st;
    }
    *out = p;
    return LINNET_OK;
}

void ln_plan_free(ln_plan *p)
{
    if (!p || p->placed)
        return;
    for (size_t i = 0; i < p->step_count; i++)
        if (p->step[i].dynamic)
            ln_dynamic_free(&p->config, &p->step[i]);
    ln_free(&p->config.alloc, p->arena, p->arena_size);
    ln_arena keep = p->keep; /* the plan itself lies in it */
    ln_arena_free(&keep);
}
