/*
 * plan.c - a plan from its graph to its end: passes, shapes, steps, arena.
 *
 * Only once every block has its offset, and the size of the arena is known, is the arena taken and are
 * pointers written into the steps.
 */
#include "plan_work.h"

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
        return ln_plan_full(p->err);
    if (pl->placed || key[1] == 0) {
        void *mine = ln_arena_block(pl->keep, LN_MAX(bytes, (size_t)1));
        if (mine)
            make(ctx, mine);
        data = mine;
    } else {
        data = ln_cache_get(pl->model->cache, key, bytes, pl->model->limits.memory, make, ctx, &id);
    }
    if (!data)
        return ln_plan_full(p->err);
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

/* ---- all together -------------------------------------------------------------------------------- */

static linnet_status plan_check_inputs(const ln_plan_work *w, const ln_desc *input)
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
static linnet_status plan_rewrite_last(ln_plan_work *w, const ln_pass *pass)
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

static linnet_status plan_rewrite(ln_plan_work *w)
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

static linnet_status plan_build(ln_plan_work *w, const ln_graph *graph, const ln_desc *input)
{
    ln_plan *p = w->plan;
    int32_t *copy_block;
    linnet_status st;

    if ((st = ln_graph_clone(graph, w->pl.brief, &w->g, w->err)) != LINNET_OK)
        return st;
    w->pl.g = w->g;
    if (graph == w->pl.model->graph && w->pl.model->packs.sum_count &&
        !(w->unread = ln_arena_alloc(w->pl.brief, graph->value_count + 1, sizeof *w->unread)))
        return ln_plan_full(w->err);
    if ((st = plan_check_inputs(w, input)) != LINNET_OK || (st = plan_rewrite(w)) != LINNET_OK ||
        (st = ln_plan_values(w)) != LINNET_OK)
        return st;
    ln_plan_lifetimes(w);
    p->input_count = w->g->input_count;
    p->output_count = w->g->output_count;
    p->input = ln_arena_copy(w->pl.keep, input, (p->input_count + 1) * sizeof *input);
    if (!p->input)
        return ln_plan_full(w->err);
    if ((st = ln_plan_steps(w)) != LINNET_OK || (st = ln_plan_prove(w)) != LINNET_OK ||
        (st = ln_plan_results(w, &copy_block)) != LINNET_OK || (st = ln_plan_readers(w)) != LINNET_OK)
        return st;
    p->input_slot = ln_arena_alloc(w->pl.keep, p->input_count + 1, sizeof *p->input_slot);
    if (!p->input_slot)
        return ln_plan_full(w->err);
    for (size_t i = 0; i < p->input_count; i++)
        p->input_slot[i] = w->value[w->g->input[i]].slot;
    return ln_plan_arena(w, copy_block);
}

linnet_status ln_plan_create(linnet_model *m, const ln_graph *graph, const ln_config *config, const ln_desc *input,
                             void *memory, size_t size, size_t *need, ln_plan **out, linnet_error *err)
{
    ln_plan_work w = { .err = err };
    ln_arena keep, brief;

    *out = NULL;
    if (memory)
        ln_arena_init_fixed(&keep, memory, size);
    else
        ln_arena_init(&keep, &config->alloc, config->limits.memory);
    ln_plan *p = ln_arena_alloc(&keep, 1, sizeof *p);
    if (!p)
        return ln_plan_full(err);
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
