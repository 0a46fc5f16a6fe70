/*
 * dynamic.c - a step whose shapes are known only while running.
 *
 * It is planned anew in each run: by then every input has its elements, so infer() never has
 * to wait. What it needs comes out of blocks that grow and are kept: once the largest
 * shapes have been seen, a run allocates nothing.
 */
#include "plan.h"

static linnet_status dynamic_full(linnet_error *err)
{
    return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for a tensor whose shape depends on data");
}

/* *block has at least `size` bytes; its contents are lost where it grows. */
static bool dynamic_reserve(const ln_config *c, void **block, size_t *have, size_t size)
{
    if (size <= *have)
        return true;
    const size_t want = LN_MAX(size, *have + *have / 2);
    if (want > c->limits.memory)
        return false;
    void *p = ln_alloc(&c->alloc, want);
    if (!p)
        return false;
    ln_free(&c->alloc, *block, *have);
    *block = p;
    *have = want;
    return true;
}

static linnet_status dynamic_outputs(linnet_session *s, const ln_node *n, ln_dynamic *d, linnet_error *err)
{
    size_t total = 0, at = 0, size;

    for (int32_t i = 0; i < n->out_count; i++)
        if (d->out[i] && (!ln_desc_bytes(&d->out_desc[i], &size) || !ln_align_up(size, LN_ALIGN, &size) ||
                          !ln_add(total, size, &total)))
            return dynamic_full(err);
    if (!dynamic_reserve(&s->config, &d->block, &d->block_size, LN_MAX(total, (size_t)LN_ALIGN)))
        return dynamic_full(err);
    for (int32_t i = 0; i < n->out_count; i++) {
        d->out_ptr[i] = NULL;
        if (!d->out[i] || !ln_desc_bytes(&d->out_desc[i], &size))
            continue;
        d->out[i]->desc = d->out_desc[i];
        d->out[i]->data = d->out_ptr[i] = size ? (char *)d->block + at : NULL;
        at += (size + LN_ALIGN - 1) & ~(size_t)(LN_ALIGN - 1);
    }
    return LINNET_OK;
}

/*
 * Prepare with state and plan memory in `work`, an arena over the session's work block; when
 * that is too small it says so and the caller comes again with a larger one.
 */
static linnet_status dynamic_try(linnet_session *s, ln_step *step, ln_arena *work, size_t *short_of,
                                 linnet_error *err)
{
    const ln_node *n = step->node;
    ln_dynamic *d = step->dynamic;
    ln_planner pl = { .model = s->model, .plan = s->plan, .keep = work, .brief = work, .id = d->id };
    ln_prepare q;
    linnet_error why = { 0, "" };

    void *state = ln_arena_block(work, LN_MAX(n->op->state_size, 1u));
    const linnet_status st = state ? ln_node_prepare(&pl, n, &q, state, d->in_desc, d->out_desc, d->in_ptr,
                                                     &s->plan->kernel, &why)
                                   : LINNET_ERR_MEMORY;
    const size_t workers = (size_t)s->plan->workers;
    size_t scratch = 0, need;
    *short_of = 0;
    if (st == LINNET_ERR_MEMORY) {
        *short_of = LN_MAX(s->work_size * 2, (size_t)65536);
        return st;
    }
    if (st)
        return ln_fail(err, st, "%s", why.message);
    if (!ln_align_up(q.scratch, LN_ALIGN, &scratch) || !ln_mul(scratch, workers, &need) ||
        !ln_add(need, q.workspace, &need) || !ln_add(need, 4 * LN_ALIGN, &need))
        return dynamic_full(err);
    if (need > work->size - work->used) {
        *short_of = s->work_size + need;
        return LINNET_ERR_MEMORY;
    }
    step->run.workspace = q.workspace ? ln_arena_block(work, q.workspace) : NULL;
    char *per_worker = scratch ? ln_arena_block(work, scratch * workers) : NULL;
    step->run.state = state;
    step->run.in = d->in_ptr;
    step->run.out = d->out_ptr;
    step->run.in_desc = d->in_desc;
    step->run.out_desc = d->out_desc;
    step->phases = q.phases;
    memcpy(step->tasks, q.tasks, sizeof step->tasks);
    return ln_step_run(s, step, per_worker, scratch, err);
}

linnet_status ln_dynamic_run(linnet_session *s, ln_step *step, linnet_error *err)
{
    const ln_node *n = step->node;
    ln_dynamic *d = step->dynamic;
    ln_arena work;
    size_t short_of, size;

    for (int32_t i = 0; i < n->in_count; i++) {
        memset(&d->in_desc[i], 0, sizeof d->in_desc[i]);
        d->in_ptr[i] = NULL;
        if (d->in[i]) {
            d->in_desc[i] = d->in[i]->desc;
            d->in_ptr[i] = d->in[i]->data;
        }
    }
    memset(d->out_desc, 0, (size_t)n->out_count * sizeof *d->out_desc);
    linnet_status st = ln_node_infer(n, &s->config.limits, d->in_desc, d->in_ptr, d->out_desc, err);
    if (st == LN_WAIT)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "layer \"%s\": %s does not find its shape", n->name, n->op->name);
    if (st || (st = dynamic_outputs(s, n, d, err)) != LINNET_OK)
        return st;
    if (n->op->flags & LN_OP_VIEW) {
        if (d->out_ptr[0] && d->in_ptr[0] && ln_desc_bytes(&d->out_desc[0], &size))
            memcpy(d->out_ptr[0], d->in_ptr[0], size);
        return LINNET_OK;
    }
    for (;;) {
        ln_arena_init_fixed(&work, s->work, s->work_size);
        st = dynamic_try(s, step, &work, &short_of, err);
        if (!short_of)
            return st;
        if (!dynamic_reserve(&s->config, &s->work, &s->work_size, short_of))
            return dynamic_full(err);
    }
}
