/*
 * state.c - what a session remembers from one run to the next: tied outputs and inputs.
 *
 * The state lies in memory of its own, which is the input's data; a run that succeeds ends by
 * copying the tied outputs there, so one that fails leaves the state as it was. Caches that a layer
 * writes row by row are written there at once, and need no copy.
 */
#include "session.h"

ln_tie *ln_state_of(const linnet_session *s, size_t input)
{
    for (size_t i = 0; i < s->tie_count; i++)
        if (s->tie[i].input == input)
            return &s->tie[i];
    return NULL;
}

static const ln_value *state_value(const linnet_session *s, const ln_tie *t)
{
    return &s->graph->value[s->graph->input[t->input]];
}

linnet_status ln_state_room(linnet_session *s, ln_tie *t, const ln_desc *d, linnet_error *err)
{
    size_t size;

    if (!ln_desc_bytes(d, &size))
        return ln_fail(err, LINNET_ERR_LIMIT, "a state does not fit in memory");
    if (size <= t->room)
        return LINNET_OK;
    if (s->placed || !ln_hold_room(&s->config, &t->data, &t->room, size, t->room))
        return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for the state of input \"%s\"", state_value(s, t)->name);
    if (s->input[t->input].dtype)
        s->input_data[t->input] = t->data;
    return LINNET_OK;
}

/* The size of dimension `symbol` where an input that has been set has it; else LN_UNKNOWN. */
static int64_t state_symbol(const linnet_session *s, const char *symbol)
{
    for (size_t i = 0; symbol && i < s->graph->input_count; i++) {
        const ln_value *v = &s->graph->value[s->graph->input[i]];

        if (ln_state_of(s, i) || s->input[i].dtype == 0)
            continue;
        for (int32_t k = 0; k < v->desc.rank && k < s->input[i].rank; k++)
            if (v->symbol[k] && strcmp(v->symbol[k], symbol) == 0)
                return s->input[i].dim[k];
    }
    return LN_UNKNOWN;
}

/* The output is a cache that its layer writes row by row: plans know of its tie. */
static bool state_is_cache(const linnet_session *s, const ln_tie *t)
{
    const int32_t at = s->graph->value[s->graph->output[t->output]].producer;

    return at != LN_NONE && (s->graph->node[at].op->flags & LN_OP_CACHE);
}

/* False: not all of it is known. */
static bool state_shape(const linnet_session *s, const ln_tie *t, ln_desc *d)
{
    const ln_value *v = state_value(s, t);

    *d = v->desc;
    for (int32_t k = 0; k < d->rank; k++)
        if (d->dim[k] < 0 && (d->dim[k] = state_symbol(s, v->symbol[k])) < 0)
            return false;
    return d->dtype != 0 && d->rank >= 0;
}

linnet_status ln_state_ready(linnet_session *s, linnet_error *err)
{
    for (size_t i = 0; i < s->tie_count; i++) {
        ln_tie *t = &s->tie[i];
        ln_desc d;

        if (s->input[t->input].dtype)
            continue;
        if (!state_shape(s, t, &d))
            return ln_fail(err, LINNET_ERR_ARGUMENT,
                           "input \"%s\" is tied and its shape is open: set it once to give it one",
                           state_value(s, t)->name);
        const linnet_status st = ln_state_room(s, t, &d, err);
        if (st)
            return st;
        if (t->data)
            memset(t->data, 0, t->room);
        t->follows = true;
        s->input[t->input] = d;
        s->input_data[t->input] = t->data;
    }
    return LINNET_OK;
}

static linnet_status state_unfit(const linnet_session *s, const ln_tie *t, const ln_desc *got, linnet_error *err)
{
    char a[LN_DESC_TEXT], b[LN_DESC_TEXT];

    return ln_fail(err, LINNET_ERR_SHAPE, "output \"%s\" is %s: it cannot become input \"%s\", which is %s",
                   s->graph->value[s->graph->output[t->output]].name, ln_desc_text(got, a), state_value(s, t)->name,
                   ln_desc_text(&s->input[t->input], b));
}

/* May the next run take this for the tied input: its type and shape, or another size of an open dimension? */
static bool state_takes(const linnet_session *s, const ln_tie *t, const ln_desc *d)
{
    const ln_desc *now = &s->input[t->input], *declared = &state_value(s, t)->desc;

    if (d->dtype != now->dtype || d->rank != now->rank)
        return false;
    for (int32_t k = 0; k < d->rank; k++)
        if (d->dim[k] != now->dim[k] && declared->rank == d->rank && declared->dim[k] != LN_UNKNOWN)
            return false;
    return true;
}

linnet_status ln_state_fits(const linnet_session *s, const ln_plan *p, linnet_error *err)
{
    for (size_t i = 0; p && i < s->tie_count; i++) {
        const ln_result *r = &p->result[s->tie[i].output];

        if (!r->slot && !state_takes(s, &s->tie[i], &r->desc))
            return state_unfit(s, &s->tie[i], &r->desc, err);
    }
    return LINNET_OK;
}

linnet_status ln_state_advance(linnet_session *s, linnet_error *err)
{
    for (size_t i = 0; i < s->tie_count; i++) {
        const linnet_tensor *t = &s->output[s->tie[i].output];

        if (!state_takes(s, &s->tie[i], &t->desc))
            return state_unfit(s, &s->tie[i], &t->desc, err);
        const linnet_status st = ln_state_room(s, &s->tie[i], &t->desc, err);
        if (st)
            return st;
    }
    for (size_t i = 0; i < s->tie_count; i++) {
        const linnet_tensor *t = &s->output[s->tie[i].output];

        if (t->size && t->data != s->tie[i].data)
            memcpy(s->tie[i].data, t->data, t->size);
        s->input[s->tie[i].input] = t->desc;
    }
    return LINNET_OK;
}

void ln_state_reset(linnet_session *s)
{
    for (size_t i = 0; i < s->tie_count; i++) {
        ln_tie *t = &s->tie[i];

        if (t->data)
            memset(t->data, 0, t->room);
        if (t->follows)
            s->input[t->input] = (ln_desc){ 0 };
        else if (t->first.dtype)
            s->input[t->input] = t->first;
    }
}

linnet_status ln_state_tie(linnet_session *s, size_t output, size_t input, ln_arena *arena, linnet_error *err)
{
    const ln_value *in = &s->graph->value[s->graph->input[input]];
    const ln_value *out = &s->graph->value[s->graph->output[output]];
    const void *first = s->input_data[input]; /* what was set so far is the first state */
    ln_tie *t = &s->tie[s->tie_count];
    ln_desc d = s->input[input].dtype ? s->input[input] : in->desc;
    linnet_status st = LINNET_OK;
    size_t size = 0;

    if (in->kind != LN_VALUE_TENSOR || out->kind != LN_VALUE_TENSOR)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "input \"%s\" or output \"%s\" is no tensor", in->name, out->name);
    if (ln_state_of(s, input))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "input \"%s\" is tied already", in->name);
    if (in->desc.dtype && out->desc.dtype && in->desc.dtype != out->desc.dtype)
        return ln_fail(err, LINNET_ERR_SHAPE, "output \"%s\" is %s, input \"%s\" %s: they cannot be tied", out->name,
                       ln_dtype(out->desc.dtype)->name, in->name, ln_dtype(in->desc.dtype)->name);
    *t = (ln_tie){ .output = output, .input = input };
    const bool known = ln_desc_bytes(&d, &size);
    if (known && arena) {
        t->room = size;
        t->data = ln_arena_block(arena, LN_MAX(size, (size_t)1));
        st = t->data ? LINNET_OK : ln_fail(err, LINNET_ERR_MEMORY, "out of memory for a state");
    } else if (known) {
        st = ln_state_room(s, t, &d, err);
    }
    if (st)
        return st;
    s->tie_count++;
    if ((st = known ? ln_state_fits(s, s->plan, err) : LINNET_OK) != LINNET_OK) {
        s->tie_count--;
        s->input_data[input] = first;
        if (!arena)
            ln_free(&s->config.alloc, t->data, t->room);
        return st;
    }
    if (s->plan && state_is_cache(s, t) && (st = ln_session_plan_anew(s, err)) != LINNET_OK) {
        s->tie_count--;
        s->input_data[input] = first;
        ln_free(&s->config.alloc, t->data, t->room);
        return st;
    }
    if (known) {
        if (first && size)
            memcpy(t->data, first, size);
        s->input[input] = t->first = d;
        s->input_data[input] = t->data;
    }
    return LINNET_OK;
}
