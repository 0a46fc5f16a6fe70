/*
 * state.c - linnet_session: tied inputs, and their state as bytes.
 *
 * The bytes: "LNST", u32 version, u64 network, u32 ties, u32 zero; for each tie u32 output, u32 input,
 * i32 type, i32 rank, i64 dimensions; then the elements of each, one behind the other; u32 CRC-32C
 * of all before it. Little-endian, elements in the machine's order.
 */
#include "api.h"

#define STATE_MAGIC   0x54534e4cu
#define STATE_VERSION 1u

enum { STATE_HEAD = 24, STATE_TIE = 16, STATE_END = 4 };

/* ---- ties ---------------------------------------------------------------------------- */

static linnet_status state_tie(linnet_session *s, size_t output, size_t input, ln_arena *arena, linnet_error *err)
{
    if (output >= s->graph->output_count || input >= s->graph->input_count)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "there is no output %zu or no input %zu to tie", output, input);
    return ln_state_tie(s, output, input, arena, err);
}

linnet_status linnet_session_tie(linnet_session *s, size_t output, size_t input, linnet_error *err)
{
    if (!ln_given(s, "session", err))
        return LINNET_ERR_ARGUMENT;
    if (s->placed)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "a session in given memory takes its ties from the options");
    return state_tie(s, output, input, NULL, err);
}

linnet_status linnet_session_reserve(linnet_session *s, const char *symbol, int64_t most, linnet_error *err)
{
    if (!ln_given(s, "session", err) || !ln_given(symbol, "symbol", err))
        return LINNET_ERR_ARGUMENT;
    if (s->placed || most < 0)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "a negative size, or a session in given memory, cannot be reserved");
    return ln_reserve_set(s, symbol, most, err);
}

linnet_status ln_session_ties(linnet_session *s, const linnet_options *opt, ln_arena *arena, linnet_error *err)
{
    linnet_options o;
    linnet_limits limits;
    linnet_status st = ln_options_read(opt, &o, &limits, err);

    if (!st && o.tie_count && !ln_given(o.ties, "options.ties", err))
        return LINNET_ERR_ARGUMENT;
    for (size_t i = 0; !st && i < o.tie_count; i++)
        st = state_tie(s, o.ties[i].output, o.ties[i].input, arena, err);
    return st;
}

linnet_status linnet_session_reset(linnet_session *s, linnet_error *err)
{
    if (!ln_given(s, "session", err))
        return LINNET_ERR_ARGUMENT;
    ln_state_reset(s);
    return LINNET_OK;
}

/* ---- which network -------------------------------------------------------------------- */

/* FNV-1a */
static void state_mix(uint64_t *hash, const void *data, size_t size)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < size; i++)
        *hash = (*hash ^ p[i]) * 0x100000001b3u;
}

static void state_mix_value(uint64_t *hash, const ln_value *v, bool named)
{
    const int64_t facts[2] = { v->desc.dtype, v->desc.rank };

    if (named)
        state_mix(hash, v->name, strlen(v->name) + 1);
    state_mix(hash, facts, sizeof facts);
    for (int32_t k = 0; k < v->desc.rank; k++)
        state_mix(hash, &v->desc.dim[k], sizeof v->desc.dim[k]);
}

static uint64_t state_network(const ln_graph *g)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < g->input_count; i++)
        state_mix_value(&hash, &g->value[g->input[i]], true);
    for (size_t i = 0; i < g->output_count; i++)
        state_mix_value(&hash, &g->value[g->output[i]], true);
    for (size_t i = 0; i < g->node_count; i++) {
        const ln_node *n = &g->node[i];
        state_mix(&hash, n->op->name, strlen(n->op->name) + 1);
        for (int32_t k = 0; k < n->in_count; k++)
            if (n->in[k] != LN_NONE && g->value[n->in[k]].constant)
                state_mix_value(&hash, &g->value[n->in[k]], false);
    }
    return hash;
}

/* ---- bytes ------------------------------------------------------------------------------ */

static uint8_t *state_put(uint8_t *p, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> 8 * i);
    return p + bytes;
}

linnet_status linnet_session_state_size(const linnet_session *s, size_t *bytes, linnet_error *err)
{
    size_t total = STATE_HEAD + STATE_END;

    if (!ln_given(s, "session", err) || !ln_given(bytes, "bytes", err))
        return LINNET_ERR_ARGUMENT;
    *bytes = 0;
    for (size_t i = 0; i < s->tie_count; i++) {
        const ln_desc *d = &s->input[s->tie[i].input];
        size_t size;
        if (d->dtype == 0)
            return ln_fail(err, LINNET_ERR_ARGUMENT, "the state of input \"%s\" has no shape yet",
                           s->graph->value[s->graph->input[s->tie[i].input]].name);
        if (!ln_desc_bytes(d, &size) || !ln_add(total, STATE_TIE + (size_t)d->rank * 8, &total) ||
            !ln_add(total, size, &total))
            return ln_fail(err, LINNET_ERR_LIMIT, "the state does not fit in memory");
    }
    *bytes = total;
    return LINNET_OK;
}

linnet_status linnet_session_save_state(const linnet_session *s, void *out, size_t size, linnet_error *err)
{
    size_t want, bytes;
    const linnet_status st = linnet_session_state_size(s, &want, err);
    uint8_t *p = out;

    if (st)
        return st;
    if (!ln_given(out, "out", err))
        return LINNET_ERR_ARGUMENT;
    if (size != want)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "the state takes %zu bytes, %zu were given", want, size);
    p = state_put(p, STATE_MAGIC, 4);
    p = state_put(p, STATE_VERSION, 4);
    p = state_put(p, state_network(s->graph), 8);
    p = state_put(p, s->tie_count, 8);
    for (size_t i = 0; i < s->tie_count; i++) {
        const ln_desc *d = &s->input[s->tie[i].input];
        p = state_put(p, s->tie[i].output, 4);
        p = state_put(p, s->tie[i].input, 4);
        p = state_put(p, (uint32_t)d->dtype, 4);
        p = state_put(p, (uint32_t)d->rank, 4);
        for (int32_t k = 0; k < d->rank; k++)
            p = state_put(p, (uint64_t)d->dim[k], 8);
    }
    for (size_t i = 0; i < s->tie_count; i++)
        if (ln_desc_bytes(&s->input[s->tie[i].input], &bytes) && bytes) {
            memcpy(p, s->tie[i].data, bytes);
            p += bytes;
        }
    state_put(p, ln_crc32c(0, out, want - STATE_END), STATE_END);
    return LINNET_OK;
}

/* The shape of the next state; false: not that of this tie, or damaged. */
static bool state_next(ln_cursor *c, const ln_tie *t, ln_desc *d)
{
    const uint32_t output = ln_cursor_u32(c), input = ln_cursor_u32(c);

    memset(d, 0, sizeof *d);
    d->dtype = (int32_t)ln_cursor_u32(c);
    d->rank = (int32_t)ln_cursor_u32(c);
    if (output != t->output || input != t->input || d->rank < 0 || d->rank > LN_MAX_RANK)
        return false;
    for (int32_t k = 0; k < d->rank; k++)
        d->dim[k] = (int64_t)ln_cursor_u64(c);
    return !c->bad;
}

/* Are all the states of shapes that the session can take, and all the bytes there? */
static linnet_status state_check(const linnet_session *s, ln_cursor c, linnet_error *err)
{
    size_t all = 0, bytes;
    ln_desc d;

    for (size_t i = 0; i < s->tie_count; i++) {
        const size_t input = s->tie[i].input;
        const ln_value *v = &s->graph->value[s->graph->input[input]];
        const int32_t type = v->desc.dtype ? v->desc.dtype : s->input[input].dtype;
        if (!state_next(&c, &s->tie[i], &d))
            return ln_fail(err, LINNET_ERR_ARGUMENT, "the state was saved with other ties");
        if (!ln_desc_bytes(&d, &bytes) || !ln_add(all, bytes, &all))
            return ln_fail(err, LINNET_ERR_FORMAT, "the state is damaged");
        if (type && type != d.dtype)
            return ln_fail(err, LINNET_ERR_SHAPE, "the state of input \"%s\" is %s, the model wants %s", v->name,
                           ln_dtype(d.dtype)->name, ln_dtype(type)->name);
        const linnet_status st = ln_input_fits(s, input, &d, err);
        if (st)
            return st;
    }
    if (ln_cursor_left(&c) < STATE_END || ln_cursor_left(&c) - STATE_END != all)
        return ln_fail(err, LINNET_ERR_FORMAT, "the state is damaged");
    return LINNET_OK;
}

static void state_set(linnet_session *s, ln_tie *t, const ln_desc *d, const void *data, size_t bytes)
{
    if (bytes)
        memcpy(t->data, data, bytes);
    t->follows = false;
    s->input[t->input] = *d;
    s->input_data[t->input] = t->data;
}

linnet_status linnet_session_load_state(linnet_session *s, const void *data, size_t size, linnet_error *err)
{
    ln_cursor c = ln_cursor_over(data, size);
    ln_desc d;
    size_t bytes;

    if (!ln_given(s, "session", err) || !ln_given(data, "data", err))
        return LINNET_ERR_ARGUMENT;
    if (ln_cursor_u32(&c) != STATE_MAGIC)
        return ln_fail(err, LINNET_ERR_FORMAT, "these %zu bytes are no state of a session", size);
    const uint32_t version = ln_cursor_u32(&c);
    if (version != STATE_VERSION)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "the state has version %u, this library knows %u", (unsigned)version,
                       (unsigned)STATE_VERSION);
    const uint64_t network = ln_cursor_u64(&c), ties = ln_cursor_u64(&c);
    if (c.bad || size < STATE_HEAD + STATE_END ||
        ln_crc32c(0, data, size - STATE_END) != ln_le32((const uint8_t *)data + size - STATE_END))
        return ln_fail(err, LINNET_ERR_FORMAT, "the state is damaged or cut");
    if (network != state_network(s->graph))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "the state is that of another model");
    if (ties != s->tie_count)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "the state was saved with other ties");
    linnet_status st = state_check(s, c, err);
    ln_cursor elements = c;
    for (size_t i = 0; !st && i < s->tie_count; i++) /* room for all before any of them changes */
        if (state_next(&elements, &s->tie[i], &d))
            st = ln_state_room(s, &s->tie[i], &d, err);
    for (size_t i = 0; !st && i < s->tie_count; i++)
        if (state_next(&c, &s->tie[i], &d) && ln_desc_bytes(&d, &bytes))
            state_set(s, &s->tie[i], &d, ln_cursor_bytes(&elements, bytes), bytes);
    return st;
}

linnet_status linnet_session_copy_state(const linnet_session *from, linnet_session *to, linnet_error *err)
{
    linnet_status st = LINNET_OK;
    size_t bytes;

    if (!ln_given(from, "from", err) || !ln_given(to, "to", err))
        return LINNET_ERR_ARGUMENT;
    if (from->model != to->model || from->tie_count != to->tie_count)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "the sessions are not of one model with the same ties");
    for (size_t i = 0; i < to->tie_count; i++)
        if (from->tie[i].output != to->tie[i].output || from->tie[i].input != to->tie[i].input)
            return ln_fail(err, LINNET_ERR_ARGUMENT, "the sessions are not of one model with the same ties");
    for (size_t i = 0; !st && i < to->tie_count; i++) {
        const size_t input = to->tie[i].input;
        if (from->input[input].dtype == 0)
            return ln_fail(err, LINNET_ERR_ARGUMENT, "the state of input \"%s\" has no shape yet",
                           to->graph->value[to->graph->input[input]].name);
        if ((st = ln_input_fits(to, input, &from->input[input], err)) == LINNET_OK)
            st = ln_state_room(to, &to->tie[i], &from->input[input], err);
    }
    for (size_t i = 0; !st && from != to && i < to->tie_count; i++)
        if (ln_desc_bytes(&from->input[to->tie[i].input], &bytes))
            state_set(to, &to->tie[i], &from->input[to->tie[i].input], from->tie[i].data, bytes);
    return st;
}

#undef STATE_MAGIC
#undef STATE_VERSION
