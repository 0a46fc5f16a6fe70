/*
 * session.c - linnet_session: arguments checked, then one call inwards.
 */
#include "api.h"

/* ---- life ------------------------------------------------------------------------- */

static linnet_status session_config(const linnet_model *m, const linnet_options *opt, ln_config *out,
                                    linnet_error *err)
{
    linnet_options o;
    linnet_limits limits;
    const linnet_status st = ln_options_read(opt, &o, &limits, err);

    if (st)
        return st;
    *out = (ln_config){
        .alloc = o.allocator ? ln_allocator(&o) : m->alloc,
        .limits = o.limits ? limits : m->limits,
        .pool = o.pool,
        .isa = o.isa_mask,
        .passes = o.passes,
        .exact = o.precision == LINNET_PRECISION_EXACT,
        .half = o.precision == LINNET_PRECISION_HALF,
        .profile = o.profile != 0,
    };
    return LINNET_OK;
}

static bool session_model_ok(const linnet_model *m, linnet_error *err)
{
    if (!ln_given(m, "model", err))
        return false;
    if (!m->finished)
        ln_fail(err, LINNET_ERR_ARGUMENT, "the model is not finished: call linnet_model_finish()");
    return m->finished;
}

/* Input shapes where the model declares them all. */
static bool session_declared(const linnet_model *m, ln_desc *input)
{
    for (size_t i = 0; i < m->graph->input_count; i++) {
        const ln_desc *d = &m->graph->value[m->graph->input[i]].desc;
        if (d->dtype == 0 || d->rank < 0 || m->graph->value[m->graph->input[i]].kind != LN_VALUE_TENSOR)
            return false;
        for (int32_t k = 0; k < d->rank; k++)
            if (d->dim[k] < 0)
                return false;
        input[i] = *d;
    }
    return true;
}

void linnet_session_free(linnet_session *s)
{
    if (!s)
        return;
    linnet_model *m = s->model;
    ln_session_end(s);
    ln_model_release(m);
}

linnet_status linnet_session_create(const linnet_model *m, const linnet_options *opt,
                                    linnet_session **out, linnet_error *err)
{
    ln_config config;
    ln_arena arena;

    if (!ln_given(out, "out", err))
        return LINNET_ERR_ARGUMENT;
    *out = NULL;
    if (!session_model_ok(m, err))
        return LINNET_ERR_ARGUMENT;
    linnet_status st = session_config(m, opt, &config, err);
    if (st)
        return st;
    ln_arena_init(&arena, &config.alloc, SIZE_MAX);
    linnet_session *s = ln_session_new((linnet_model *)(uintptr_t)m, m->graph, &config, &arena);
    if (!s) {
        ln_arena_free(&arena);
        return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for a session");
    }
    s->arena = arena;
    s->owns_sequences = true;
    ln_model_retain(m);
    const bool declared = session_declared(m, s->input);
    if (!declared)
        memset(s->input, 0, (m->graph->input_count + 1) * sizeof *s->input);
    st = ln_session_ties(s, opt, NULL, err);
    if (!st && declared)
        st = ln_session_plan(s, err);
    if (st) {
        linnet_session_free(s);
        return st;
    }
    *out = s;
    return LINNET_OK;
}

/* ---- placed sessions ------------------------------------------------------------------ */

/* Bytes lost at most to aligning the start. */
#define PLACE_SLACK (LN_ALIGN - 1)

static linnet_status session_placeable(const linnet_model *m, const linnet_options *opt, ln_config *config,
                                       linnet_error *err)
{
    if (!session_model_ok(m, err))
        return LINNET_ERR_ARGUMENT;
    return session_config(m, opt, config, err);
}

linnet_status linnet_session_size(const linnet_model *m, const linnet_options *opt, size_t *bytes,
                                  linnet_error *err)
{
    ln_config config;
    ln_arena arena;
    ln_plan *plan;
    size_t need;

    if (!ln_given(bytes, "bytes", err))
        return LINNET_ERR_ARGUMENT;
    *bytes = 0;
    linnet_status st = session_placeable(m, opt, &config, err);
    if (st)
        return st;
    ln_arena_init(&arena, &config.alloc, SIZE_MAX);
    linnet_session *s = ln_session_new((linnet_model *)(uintptr_t)m, m->graph, &config, &arena);
    if (!s)
        st = ln_fail(err, LINNET_ERR_MEMORY, "out of memory for a session");
    else if (!session_declared(m, s->input))
        st = ln_fail(err, LINNET_ERR_SHAPE, "an input of the model has an open dimension: its memory cannot be known");
    else if ((st = ln_session_ties(s, opt, &arena, err)) == LINNET_OK) {
        config = ln_session_config(s);
        st = ln_plan_create(s->model, s->graph, &config, s->input, NULL, 0, &need, &plan, err);
    }
    if (!st) {
        const size_t own = (arena.total + LN_ALIGN - 1) & ~(size_t)(LN_ALIGN - 1);
        ln_plan_free(plan);
        if (!ln_add(need, own + PLACE_SLACK, bytes))
            st = ln_fail(err, LINNET_ERR_LIMIT, "the session does not fit in memory");
    }
    ln_arena_free(&arena);
    return st;
}

linnet_status linnet_session_place(const linnet_model *m, const linnet_options *opt, void *memory, size_t size,
                                   linnet_session **out, linnet_error *err)
{
    ln_config config;
    ln_arena arena;

    if (!ln_given(out, "out", err))
        return LINNET_ERR_ARGUMENT;
    *out = NULL;
    if (!ln_given(memory, "memory", err))
        return LINNET_ERR_ARGUMENT;
    linnet_status st = session_placeable(m, opt, &config, err);
    if (st)
        return st;
    if (size <= PLACE_SLACK)
        return ln_fail(err, LINNET_ERR_MEMORY, "the memory given is too small for the session");
    /* The start is aligned by at most PLACE_SLACK bytes, which are part of the size: so what is
       left is the same for memory of any alignment. */
    char *base = (char *)memory + (-(uintptr_t)memory & (LN_ALIGN - 1));
    size -= PLACE_SLACK;
    ln_arena_init_fixed(&arena, base, size);
    linnet_session *s = ln_session_new((linnet_model *)(uintptr_t)m, m->graph, &config, &arena);
    if (!s)
        return ln_fail(err, LINNET_ERR_MEMORY, "the memory given is too small for the session");
    s->placed = true;
    if (!session_declared(m, s->input))
        return ln_fail(err, LINNET_ERR_SHAPE, "an input of the model has an open dimension: its memory cannot be known");
    if ((st = ln_session_ties(s, opt, &arena, err)) != LINNET_OK)
        return st;
    const size_t own = (arena.used + LN_ALIGN - 1) & ~(size_t)(LN_ALIGN - 1);
    if (own >= size)
        return ln_fail(err, LINNET_ERR_MEMORY, "the memory given is too small for the session");
    config = ln_session_config(s);
    st = ln_plan_create(s->model, s->graph, &config, s->input, base + own, size - own, NULL, &s->plan, err);
    if (st)
        return st == LINNET_ERR_MEMORY
                   ? ln_fail(err, st, "the memory given is too small for the session: see linnet_session_size()")
                   : st;
    if ((st = ln_state_fits(s, s->plan, err)) != LINNET_OK) {
        ln_plan_free(s->plan);
        return st;
    }
    ln_session_outputs(s);
    ln_model_retain(m);
    *out = s;
    return LINNET_OK;
}

#undef PLACE_SLACK

/* ---- inputs and outputs ------------------------------------------------------------------- */

linnet_status ln_input_fits(const linnet_session *s, size_t i, const ln_desc *d, linnet_error *err)
{
    const ln_value *v = &s->graph->value[s->graph->input[i]];
    char text[LN_DESC_TEXT];
    bool fits = v->kind != LN_VALUE_TENSOR || v->desc.rank == -1 || v->desc.rank == d->rank;

    for (int32_t k = 0; v->kind == LN_VALUE_TENSOR && fits && k < v->desc.rank; k++)
        fits = v->desc.dim[k] < 0 || v->desc.dim[k] == d->dim[k];
    if (!fits)
        return ln_fail(err, LINNET_ERR_SHAPE, "input \"%s\" cannot be %s", v->name, ln_desc_text(d, text));
    if (s->placed && !ln_same_shape(d, &s->plan->input[i]))
        return ln_fail(err, LINNET_ERR_SHAPE, "a session in given memory cannot take another input shape");
    return LINNET_OK;
}

linnet_status linnet_session_set_input(linnet_session *s, size_t i, int32_t dtype, int32_t rank,
                                       const int64_t *dims, const void *data, size_t size, linnet_error *err)
{
    char text[LN_DESC_TEXT];
    size_t bytes;

    if (!ln_given(s, "session", err))
        return LINNET_ERR_ARGUMENT;
    const ln_graph *g = s->graph;
    if (i >= g->input_count)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "there is no input %zu, the model has %zu", i, g->input_count);
    const ln_value *v = &g->value[g->input[i]];
    if (rank < 0 || rank > LN_MAX_RANK || (rank > 0 && !dims))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "input \"%s\": rank %d is not possible", v->name, (int)rank);
    const ln_desc d = ln_desc_of(dtype, rank, dims);
    if (!ln_desc_bytes(&d, &bytes))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "input \"%s\": no such type or shape", v->name);
    if (bytes != size || (size > 0 && !data))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "input \"%s\": %s takes %zu bytes, %zu were given", v->name,
                       ln_desc_text(&d, text), bytes, data ? size : 0);
    if (v->kind == LN_VALUE_SEQUENCE)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "input \"%s\" is a sequence", v->name);
    if (v->kind == LN_VALUE_TENSOR && v->desc.dtype && v->desc.dtype != dtype)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "input \"%s\": the model wants %s, not %s", v->name,
                       ln_dtype(v->desc.dtype)->name, ln_dtype(dtype)->name);
    const size_t width = ln_dtype(dtype)->bits / 8u;
    if (width > 1 && (uintptr_t)data % LN_MIN(width, (size_t)8))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "input \"%s\": data is not aligned to its element type", v->name);
    linnet_status st = ln_input_fits(s, i, &d, err);
    ln_tie *tie = ln_state_of(s, i);
    if (st || (tie && (st = ln_state_room(s, tie, &d, err)) != LINNET_OK))
        return st;
    if (tie) {
        tie->follows = false;
        tie->first = d;
        if (size)
            memmove(tie->data, data, size);
        data = tie->data;
    }
    s->input[i] = d;
    s->input_data[i] = data;
    s->input_kind[i] = LN_GIVEN_TENSOR;
    return LINNET_OK;
}

linnet_status linnet_session_set_sequence(linnet_session *s, size_t i, const linnet_tensor *const *items, size_t count,
                                          linnet_error *err)
{
    if (!ln_given(s, "session", err) || (count && !ln_given(items, "items", err)))
        return LINNET_ERR_ARGUMENT;
    if (i >= s->graph->input_count || s->graph->value[s->graph->input[i]].kind == LN_VALUE_TENSOR || s->placed)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "input %zu is not a sequence", i);
    ln_sequence *q = &s->input_sequence[i];
    void *list = q->item;
    size_t want;
    if (!ln_mul(count + 1, sizeof *q->item, &want) || !ln_hold_room(&s->config, &list, &q->bytes, want, 0))
        return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for a sequence");
    q->item = list;
    q->cap = q->bytes / sizeof *q->item;
    q->count = count;
    for (size_t k = 0; k < count; k++)
        q->item[k] = (ln_item){ .desc = items[k]->desc, .data = items[k]->data };
    s->input_kind[i] = LN_GIVEN_SEQUENCE;
    s->input[i] = (ln_desc){ 0, -2, { 0 } };
    return LINNET_OK;
}

linnet_status linnet_session_set_absent(linnet_session *s, size_t i, linnet_error *err)
{
    if (!ln_given(s, "session", err))
        return LINNET_ERR_ARGUMENT;
    if (i >= s->graph->input_count || s->graph->value[s->graph->input[i]].kind != LN_VALUE_OPTIONAL)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "input %zu is not optional", i);
    s->input_kind[i] = LN_GIVEN_NOTHING;
    s->input[i] = (ln_desc){ 0, -3, { 0 } };
    return LINNET_OK;
}

int64_t linnet_session_output_length(const linnet_session *s, size_t i)
{
    if (!s || !s->ran || i >= s->graph->output_count)
        return -1;
    const ln_slot v = ln_session_result(s, i);
    return v.sequence ? (int64_t)v.sequence->count : v.absent ? 0 : -1;
}

const linnet_tensor *linnet_session_output_item(linnet_session *s, size_t i, size_t k)
{
    if (!s || !s->ran || i >= s->graph->output_count)
        return NULL;
    const ln_slot v = ln_session_result(s, i);
    if (!v.sequence || k >= v.sequence->count)
        return NULL;
    memset(&s->item, 0, sizeof s->item);
    s->item.desc = v.sequence->item[k].desc;
    s->item.data = v.sequence->item[k].data;
    return ln_desc_bytes(&s->item.desc, &s->item.size) ? &s->item : NULL;
}

linnet_status linnet_session_set_input_tensor(linnet_session *s, size_t i, const linnet_tensor *t,
                                              linnet_error *err)
{
    if (!ln_given(t, "tensor", err))
        return LINNET_ERR_ARGUMENT;
    return linnet_session_set_input(s, i, t->desc.dtype, t->desc.rank, t->desc.dim, t->data, t->size, err);
}

linnet_status linnet_session_set_output(linnet_session *s, size_t i, void *data, size_t size, linnet_error *err)
{
    if (!ln_given(s, "session", err))
        return LINNET_ERR_ARGUMENT;
    if (i >= s->graph->output_count)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "there is no output %zu, the model has %zu", i,
                       s->graph->output_count);
    s->output_to[i] = data;
    s->output_to_size[i] = size;
    return LINNET_OK;
}

const linnet_tensor *linnet_session_output(const linnet_session *s, size_t i)
{
    return s && s->ran && i < s->graph->output_count ? &s->output[i] : NULL;
}

/* ---- running --------------------------------------------------------------------------------- */

linnet_status linnet_session_run(linnet_session *s, linnet_error *err)
{
    return ln_given(s, "session", err) ? ln_session_run(s, err) : LINNET_ERR_ARGUMENT;
}

linnet_status linnet_session_plan(linnet_session *s, linnet_error *err)
{
    if (!ln_given(s, "session", err))
        return LINNET_ERR_ARGUMENT;
    const linnet_status st = ln_state_ready(s, err);
    if (st)
        return st;
    for (size_t i = 0; i < s->graph->input_count; i++)
        if (s->input[i].dtype == 0 && s->input_kind[i] == LN_GIVEN_TENSOR)
            return ln_fail(err, LINNET_ERR_ARGUMENT, "input \"%s\" has no shape yet",
                           s->graph->value[s->graph->input[i]].name);
    return ln_session_plan(s, err);
}

/* ---- facts -------------------------------------------------------------------------------------- */

linnet_status linnet_session_get_info(const linnet_session *s, linnet_session_info *out)
{
    if (!s || !out || out->struct_size < sizeof(uint32_t) * 4 || out->struct_size > 4096)
        return LINNET_ERR_ARGUMENT;
    const uint32_t room = out->struct_size;
    linnet_session_info info = { .struct_size = room };
    info.threads = linnet_pool_threads(s->config.pool);
    if (s->plan) {
        const ln_plan *p = s->plan;
        info.isa = (int32_t)p->kernel.isa;
        info.planned = 1;
        info.arena_bytes = p->arena_size + s->work_size;
        for (size_t i = 0; i < p->step_count; i++)
            for (int32_t k = 0; p->step[i].dynamic && k < p->step[i].node->out_count; k++)
                info.arena_bytes += p->step[i].dynamic->hold[k].room;
        info.plan_bytes = p->keep.total;
        info.weight_bytes = p->weight_bytes;
        info.flop = p->flop;
        info.steps = p->step_count;
        info.dynamic_steps = p->dynamic_count;
    }
    memcpy(out, &info, LN_MIN((size_t)room, sizeof info));
    return LINNET_OK;
}

linnet_status linnet_session_step(const linnet_session *s, size_t i, linnet_step_info *out)
{
    if (!s || !out || !s->plan || i >= s->plan->step_count || out->struct_size < sizeof(uint32_t) * 4 ||
        out->struct_size > 4096)
        return LINNET_ERR_ARGUMENT;
    const ln_step *step = &s->plan->step[i];
    const uint32_t room = out->struct_size;
    linnet_step_info info = { .struct_size = room };
    const ln_desc *d = &step->run.out_desc[0];
    info.dtype = d->dtype;
    info.rank = d->rank;
    memcpy(info.dims, d->dim, sizeof info.dims);
    info.op = step->node->op->name;
    info.layer = step->node->name;
    info.flop = step->flop;
    info.ns = step->ns;
    memcpy(out, &info, LN_MIN((size_t)room, sizeof info));
    return LINNET_OK;
}
