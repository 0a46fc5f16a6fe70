/*
 * plan_arena.c - where everything lies: constants kept, inputs patched, results, the arena and the pointers into it.
 */
#include "plan_work.h"

static linnet_status plan_patch(ln_plan_work *w, const void **where, int32_t input)
{
    ln_plan *p = w->plan;
    ln_patch *patch = ln_grow(w->pl.keep, (void **)&p->patch, &p->patch_count, &p->patch_cap, sizeof *patch);

    if (!patch)
        return ln_plan_full(w->err);
    patch->where = where;
    patch->input = input;
    return LINNET_OK;
}

/* Keep constants and make patches for one reader of value v; pointers come later. */
static linnet_status plan_reader(ln_plan_work *w, int32_t v, const void **where)
{
    if (v == LN_NONE)
        return LINNET_OK;
    const int32_t root = ln_plan_root(w, v);
    if (w->g->value[v].constant)
        return ln_plan_keep_constant(w, &w->g->value[v]);
    if (w->g->value[root].constant)
        return ln_plan_keep_constant(w, &w->g->value[root]);
    if (w->value[root].input != LN_NONE)
        return plan_patch(w, where, w->value[root].input);
    return LINNET_OK;
}

linnet_status ln_plan_readers(ln_plan_work *w)
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

linnet_status ln_plan_results(ln_plan_work *w, int32_t **copy_block)
{
    ln_plan *p = w->plan;
    const ln_graph *g = w->g;

    *copy_block = ln_arena_alloc(w->pl.brief, g->output_count + 1, sizeof **copy_block);
    p->result = ln_arena_alloc(w->pl.keep, g->output_count + 1, sizeof *p->result);
    if (!*copy_block || !p->result)
        return ln_plan_full(w->err);
    for (size_t i = 0; i < g->output_count; i++) {
        const int32_t v = g->output[i], root = ln_plan_root(w, v);
        ln_result *r = &p->result[i];
        size_t size;
        linnet_status st = LINNET_OK;
        (*copy_block)[i] = LN_NONE;
        r->input = w->value[root].input;
        r->desc = g->value[v].desc;
        if (!g->value[v].shaped) {
            st = ln_plan_slot(w, v, &r->slot);
        } else if (!ln_plan_is_buffer(w, v)) {
            if (!ln_desc_bytes(&r->desc, &size))
                return ln_plan_full(w->err);
            st = plan_reader(w, v, &r->from);
            r->tied = w->value[v].tied;
            if (!r->tied)
                ln_plan_new_block(w, size, 0, (int32_t)p->step_count, &(*copy_block)[i]);
        }
        if (st)
            return st;
    }
    return LINNET_OK;
}

static void *plan_pointer(const ln_plan_work *w, int32_t v)
{
    if (v == LN_NONE)
        return NULL;
    const int32_t root = ln_plan_root(w, v);
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

static void plan_resolve(ln_plan_work *w, const int32_t *copy_block)
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

linnet_status ln_plan_arena(ln_plan_work *w, const int32_t *copy_block)
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
        return ln_plan_full(w->err);
    }
    p->scratch = (char *)p->arena + total;
    plan_resolve(w, copy_block);
    return LINNET_OK;
}
