/*
 * plan_steps.c - the steps: operators prepared, or what is needed to prepare them while running.
 */
#include "plan_work.h"

/* Work (multiply-adds, elements) of a step below which waking another thread does not pay. */
#define PLAN_PARALLEL_WORK 60000.0

static linnet_status plan_step_arrays(ln_plan_work *w, const ln_node *n, ln_step *s)
{
    ln_arena *keep = w->pl.keep;
    const size_t in = (size_t)LN_MAX(n->in_count, 1), out = (size_t)LN_MAX(n->out_count, 1);
    ln_node *copy = ln_arena_copy(keep, n, sizeof *n);
    ln_desc *descs = ln_arena_alloc(keep, in + out, sizeof *descs);
    const void **ptrs = ln_arena_alloc(keep, in + out, sizeof *ptrs);
    void *state = ln_arena_block(keep, LN_MAX(n->op->state_size, 1u));

    if (!copy || !descs || !ptrs || !state)
        return ln_plan_full(w->err);
    copy->name = n->name && n->name[0] ? ln_arena_string(keep, n->name, strlen(n->name)) : "";
    copy->in = ln_arena_copy(keep, n->in, in * sizeof *n->in);
    copy->out = ln_arena_copy(keep, n->out, out * sizeof *n->out);
    if (!copy->name || !copy->in || !copy->out)
        return ln_plan_full(w->err);
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
static linnet_status plan_align(ln_plan_work *w, const ln_node *n, uint32_t as_they_are)
{
    for (int32_t i = 0; i < n->in_count; i++) {
        if (n->in[i] == LN_NONE)
            continue;
        ln_value *v = &w->g->value[n->in[i]];
        const bool loose = v->constant && i < 32 && (as_they_are >> i & 1) && v->desc.dtype == LINNET_F32;
        if (!v->constant)
            v = &w->g->value[ln_plan_root(w, n->in[i])];
        const linnet_status st = loose ? LINNET_OK : ln_plan_align(&w->pl, v, w->err);
        if (st)
            return st;
    }
    return LINNET_OK;
}

/* Node n does not look at those of its inputs, which a file has packed; but at its other constants. */
static void plan_count_unread(ln_plan_work *w, const ln_node *n, uint32_t unread)
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

linnet_status ln_plan_prove(ln_plan_work *w)
{
    const ln_graph *g = w->pl.model->graph;
    int32_t *use = w->unread ? ln_arena_alloc(w->pl.brief, g->value_count + 1, sizeof *use) : NULL;
    const plan_uses uses = { w->unread, use };

    if (!w->unread)
        return LINNET_OK;
    if (!use)
        return ln_plan_full(w->err);
    ln_graph_uses(g, use);
    return ln_prove(w->pl.model, plan_reads, &uses, w->err);
}

/* The descs that a step's operator sees for outputs include those nobody wants. */
static linnet_status plan_prepare(ln_plan_work *w, ln_step *s, ln_prepare *q)
{
    const ln_node *n = s->node;
    ln_desc *out = (ln_desc *)(uintptr_t)s->run.out_desc;
    const void **value = ln_arena_alloc(w->pl.brief, (size_t)n->in_count + 1, sizeof *value);
    uint64_t *id = ln_arena_alloc(w->pl.brief, (size_t)n->in_count + 1, sizeof *id);

    if (!value || !id)
        return ln_plan_full(w->err);
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

/* A copy of subgraph `sub`; values from outside become constants or further inputs. */
static linnet_status plan_body(ln_plan_work *w, const ln_node *n, const ln_graph *sub, int32_t *capture, ln_body *out)
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
        return ln_plan_full(w->err);
    for (size_t i = 0; i < g->value_count; i++) {
        ln_value *v = &g->value[i];
        if (v->outer == LN_NONE)
            continue;
        const int32_t outer = n->capture[(*capture)++];
        ln_value *from = &w->g->value[outer];
        v->outer = LN_NONE;
        if (from->constant) {
            if ((st = ln_plan_keep_constant(w, from)) != LINNET_OK)
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
            return ln_plan_full(w->err);
        *input = (int32_t)i;
        v->input = true;
        v->kind = from->kind;
        if ((st = ln_plan_slot(w, outer, &out->captured[g->input_count - 1 - (size_t)out->formal])) != LINNET_OK)
            return st;
    }
    return LINNET_OK;
}

static linnet_status plan_bodies(ln_plan_work *w, const ln_node *n, ln_dynamic *d)
{
    int32_t capture = 0;

    d->body = ln_arena_alloc(w->pl.keep, n->attr_count + 1, sizeof *d->body);
    if (!d->body)
        return ln_plan_full(w->err);
    for (size_t i = 0; i < n->attr_count; i++) {
        if (n->attr[i].type != LN_ATTR_GRAPH)
            continue;
        const linnet_status st = plan_body(w, n, n->attr[i].u.graph, &capture, &d->body[d->body_count++]);
        if (st)
            return st;
    }
    return LINNET_OK;
}

static linnet_status plan_dynamic(ln_plan_work *w, ln_step *s)
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
        return ln_plan_full(w->err);
    d->out = d->in + in;
    d->out_desc = d->in_desc + in;
    linnet_status st = plan_align(w, n, 0);
    if (st)
        return st;
    for (int32_t i = 0; i < n->in_count; i++) {
        st = ln_plan_slot(w, n->in[i], &d->in[i]);
        if (st)
            return st;
        d->constant[i] = n->in[i] != LN_NONE && w->g->value[n->in[i]].constant;
        if (d->constant[i])
            d->id[i] = w->g->value[n->in[i]].id;
    }
    for (int32_t i = 0; i < n->out_count; i++) {
        st = ln_plan_slot(w, n->out[i], &d->out[i]);
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

linnet_status ln_plan_steps(ln_plan_work *w)
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
        return ln_plan_full(w->err);
    for (size_t i = 0; i < g->node_count; i++) {
        if (ln_plan_is_view(g, &g->node[i]))
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
        if ((st = plan_prepare(w, s, &q)) != LINNET_OK || (st = ln_plan_outputs(w, s->node, at)) != LINNET_OK)
            return st;
        if (q.workspace)
            ln_plan_new_block(w, q.workspace, at, at, &w->step_workspace[at]);
    }
    return LINNET_OK;
}
