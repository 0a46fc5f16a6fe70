/*
 * session.c - a session: inputs set, steps run, outputs read.
 *
 * A run is one loop over the plan's steps. On one thread it makes no system call, takes no
 * lock and allocates nothing; with a pool each phase of a large enough step is handed out
 * task by task, and results do not depend on who computes which.
 */
#include "session.h"

#include <time.h>

/* ---- running steps ----------------------------------------------------------------- */

typedef struct run_context {
    const ln_step *step;
    char          *scratch;
    size_t         scratch_size;
    int32_t        phase;
    atomic_int     failed;    /* first status that was not ok */
    linnet_error   error;     /* of the task that set it */
} run_context;

static linnet_status run_task(const ln_step *step, char *scratch, int32_t phase, size_t task, linnet_error *err)
{
    ln_run r = step->run;

    r.scratch = scratch;
    r.phase = phase;
    r.task = task;
    r.err = err;
    return step->node->op->run(&r);
}

static void run_worker(void *context, size_t task, int32_t worker)
{
    run_context *c = context;
    char *scratch = c->scratch ? c->scratch + (size_t)worker * c->scratch_size : NULL;
    linnet_error why = { 0, "" };
    int none = LINNET_OK;

    const linnet_status st = run_task(c->step, scratch, c->phase, task, &why);
    if (st && atomic_compare_exchange_strong(&c->failed, &none, st))
        c->error = why;
}

linnet_status ln_step_run(linnet_session *s, const ln_step *step, char *scratch, size_t scratch_size,
                          linnet_error *err)
{
    linnet_error why = { 0, "" };

    if (s->config.pool && step->parallel) {
        run_context c = { .step = step, .scratch = scratch, .scratch_size = scratch_size };
        for (c.phase = 0; c.phase < step->phases; c.phase++) {
            ln_pool_run(s->config.pool, step->tasks[c.phase], run_worker, &c);
            const linnet_status st = atomic_load(&c.failed);
            if (st)
                return ln_fail_layer(err, st, step->node, c.error.message);
        }
        return LINNET_OK;
    }
    for (int32_t phase = 0; phase < step->phases; phase++)
        for (size_t task = 0; task < step->tasks[phase]; task++) {
            const linnet_status st = run_task(step, scratch, phase, task, &why);
            if (st)
                return ln_fail_layer(err, st, step->node, why.message);
        }
    return LINNET_OK;
}

static uint64_t run_clock(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static linnet_status run_steps(linnet_session *s, linnet_error *err)
{
    ln_plan *p = s->plan;

    for (size_t i = 0; i < p->step_count; i++) {
        ln_step *step = &p->step[i];
        const uint64_t start = s->config.profile ? run_clock() : 0;
        const linnet_status st = step->dynamic ? ln_dynamic_run(s, step, err)
                                               : ln_step_run(s, step, p->scratch, p->scratch_size, err);
        if (st)
            return st;
        if (s->config.profile)
            step->ns = run_clock() - start;
    }
    return LINNET_OK;
}

/* ---- life ---------------------------------------------------------------------------------- */

linnet_session *ln_session_new(linnet_model *m, const ln_graph *graph, const ln_config *config, ln_arena *arena)
{
    const size_t in = graph->input_count + 1, out = graph->output_count + 1;
    linnet_session *s = ln_arena_alloc(arena, 1, sizeof *s);

    if (!s || !(s->input = ln_arena_alloc(arena, in, sizeof *s->input)) ||
        !(s->input_data = ln_arena_alloc(arena, in, sizeof *s->input_data)) ||
        !(s->input_sequence = ln_arena_alloc(arena, in, sizeof *s->input_sequence)) ||
        !(s->input_kind = ln_arena_alloc(arena, in, sizeof *s->input_kind)) ||
        !(s->output = ln_arena_alloc(arena, out, sizeof *s->output)) ||
        !(s->output_to = ln_arena_alloc(arena, out, sizeof *s->output_to)) ||
        !(s->output_to_size = ln_arena_alloc(arena, out, sizeof *s->output_to_size)) ||
        !(s->tie = ln_arena_alloc(arena, in, sizeof *s->tie)))
        return NULL;
    s->model = m;
    s->graph = graph;
    s->config = *config;
    s->root = s;
    return s;
}

linnet_session *ln_session_of_body(linnet_session *outer, const ln_graph *graph)
{
    ln_arena arena;

    ln_arena_init(&arena, &outer->config.alloc, SIZE_MAX);
    linnet_session *s = ln_session_new(outer->model, graph, &outer->config, &arena);
    if (s) {
        s->arena = arena;
        s->root = outer->root;
    } else {
        ln_arena_free(&arena);
    }
    return s;
}

void ln_session_end(linnet_session *s)
{
    if (!s)
        return;
    ln_plan_free(s->plan);
    if (!s->placed) {
        const linnet_allocator alloc = s->config.alloc;
        ln_arena arena = s->arena; /* the session itself lies in it */
        for (size_t i = 0; i < s->graph->input_count; i++)
            if (s->owns_sequences)
                ln_free(&alloc, s->input_sequence[i].item, s->input_sequence[i].bytes);
        for (size_t i = 0; i < s->tie_count; i++)
            ln_free(&alloc, s->tie[i].data, s->tie[i].room);
        ln_free(&alloc, s->work, s->work_size);
        ln_recycler_end(s);
        ln_arena_free(&arena);
    }
}

/* ---- planning ------------------------------------------------------------------------- */

bool ln_session_shapes_fit(const linnet_session *s)
{
    for (size_t i = 0; i < s->plan->input_count; i++)
        if (!ln_same_shape(&s->plan->input[i], &s->input[i]))
            return false;
    return true;
}

linnet_status ln_session_plan(linnet_session *s, linnet_error *err)
{
    if (s->plan && ln_session_shapes_fit(s))
        return LINNET_OK;
    if (s->placed)
        return ln_fail(err, LINNET_ERR_SHAPE, "a session in given memory cannot take another input shape");
    const linnet_status st = ln_reserve_now(s, err);
    return st ? st : ln_session_plan_anew(s, err);
}

ln_config ln_session_config(const linnet_session *s)
{
    ln_config config = s->config;

    config.kernel = s->plan ? &s->plan->kernel : NULL; /* asking the CPU again takes 15 us */
    config.tie = s->tie;
    config.tie_count = s->tie_count;
    return config;
}

linnet_status ln_session_plan_anew(linnet_session *s, linnet_error *err)
{
    ln_config config = ln_session_config(s);
    ln_plan *plan;
    linnet_status st = s->plan || s->recycler ? ln_recycler_alloc(s, &config.alloc, err) : LINNET_OK;

    if (!st)
        st = ln_plan_create(s->model, s->graph, &config, s->input, NULL, 0, NULL, &plan, err);
    if (st)
        return st;
    if (!s->plan && s->root == s && s->model->file.mapped && s->model->packs.count == 0)
        ln_pages_drop(s->model->file.data, s->model->file.size); /* most of it was read for the last time */
    if ((st = ln_state_fits(s, plan, err)) != LINNET_OK) {
        ln_plan_free(plan);
        return st;
    }
    ln_plan_free(s->plan);
    s->plan = plan;
    s->ran = false;
    ln_session_outputs(s);
    return LINNET_OK;
}

/* Output tensors as far as planning decides them; dynamic ones follow a run. */
void ln_session_outputs(linnet_session *s)
{
    for (size_t i = 0; i < s->plan->output_count; i++) {
        const ln_result *r = &s->plan->result[i];
        linnet_tensor *t = &s->output[i];
        memset(t, 0, sizeof *t);
        t->desc = r->slot ? r->slot->desc : r->desc;
        t->data = (void *)(uintptr_t)(r->copy ? r->copy : r->slot ? r->slot->data : r->from);
        if (!ln_desc_bytes(&t->desc, &t->size))
            t->size = 0;
    }
}

static linnet_status run_results(linnet_session *s, linnet_error *err)
{
    ln_plan *p = s->plan;

    for (size_t i = 0; i < p->output_count; i++) {
        const ln_result *r = &p->result[i];
        linnet_tensor *t = &s->output[i];
        if (r->slot) {
            t->desc = r->slot->desc;
            t->data = (void *)(uintptr_t)r->slot->data;
            if (!ln_desc_bytes(&t->desc, &t->size))
                t->size = 0;
        } else if (r->tied) {
            t->data = (void *)(uintptr_t)r->from;
        } else if (r->copy && t->size) {
            memcpy(r->copy, r->input != LN_NONE ? s->input_data[r->input] : r->from, t->size);
        }
        if (!s->output_to[i])
            continue;
        if (s->output_to_size[i] != t->size)
            return ln_fail(err, LINNET_ERR_ARGUMENT, "output %zu has %zu bytes, the memory given for it %zu", i,
                           t->size, s->output_to_size[i]);
        if (t->size)
            memcpy(s->output_to[i], t->data, t->size);
    }
    return LINNET_OK;
}

/* What dynamic steps see of inputs that are no plain tensors. */
static void run_inputs(linnet_session *s)
{
    for (size_t i = 0; i < s->plan->input_count; i++) {
        ln_slot *slot = s->plan->input_slot[i];
        if (!slot || s->graph->value[s->graph->input[i]].kind == LN_VALUE_TENSOR)
            continue;
        *slot = (ln_slot){ .desc = s->input[i], .data = s->input_data[i],
                           .absent = s->input_kind[i] == LN_GIVEN_NOTHING,
                           .sequence = s->input_kind[i] == LN_GIVEN_SEQUENCE ? &s->input_sequence[i] : NULL };
    }
}

ln_slot ln_session_result(const linnet_session *s, size_t i)
{
    const ln_result *r = &s->plan->result[i];
    const ln_slot tensor = { .desc = s->output[i].desc, .data = s->output[i].data };

    return r->slot ? *r->slot : tensor;
}

linnet_status ln_session_run(linnet_session *s, linnet_error *err)
{
    const ln_graph *g = s->graph;
    linnet_status st;

    if ((st = ln_state_ready(s, err)) != LINNET_OK)
        return st;
    for (size_t i = 0; i < g->input_count; i++)
        if (s->input_kind[i] == LN_GIVEN_TENSOR)
            if (s->input[i].dtype == 0 || (!s->input_data[i] && ln_count(&s->input[i]) > 0))
                return ln_fail(err, LINNET_ERR_ARGUMENT, "input \"%s\" has not been set",
                               g->value[g->input[i]].name);
    if ((st = ln_session_plan(s, err)) != LINNET_OK)
        return st;
    for (size_t i = 0; i < s->plan->patch_count; i++)
        *s->plan->patch[i].where = s->input_data[s->plan->patch[i].input];
    run_inputs(s);
    if (s->root == s)
        s->iterations = 0;
    if ((st = run_steps(s, err)) != LINNET_OK || (st = run_results(s, err)) != LINNET_OK ||
        (st = ln_state_advance(s, err)) != LINNET_OK)
        return st;
    s->ran = true;
    return LINNET_OK;
}
