/*
 * recycle.c - plans for shapes that change: blocks that one plan gave back serve the next one.
 *
 * Plans ask for blocks in much the same order: the one that stood at the same place in an earlier
 * plan is preferred, else the smallest that is large enough. New ones are made a little larger
 * than asked for, so that shapes that grow step by step seldom need another. What a reserve says of
 * the largest shapes is planned for twice, as the old plan lives while the new one is made, and
 * given back: later plans find all that they need.
 */
#include "session.h"

enum { RECYCLE_MOST = 64, RESERVE_MOST = 8 };

typedef struct recycled {
    void  *p;
    size_t size;
    size_t turn; /* place in the order of its plan */
    bool   used;
} recycled;

typedef struct reserved {
    const char *symbol;
    int64_t     most;
} reserved;

struct ln_recycler {
    linnet_allocator below;
    recycled block[RECYCLE_MOST];
    size_t   count, turn;
    reserved reserve[RESERVE_MOST];
    size_t   reserve_count;
    bool     due; /* the largest shapes have not been planned for yet */
};

/* ---- blocks ------------------------------------------------------------------------ */

/* A place in the table, or NULL: all blocks are in use. */
static recycled *recycle_place(ln_recycler *r)
{
    recycled *least = NULL;

    if (r->count < RECYCLE_MOST)
        return &r->block[r->count++];
    for (size_t i = 0; i < r->count; i++)
        if (!r->block[i].used && (!least || r->block[i].size < least->size))
            least = &r->block[i];
    if (least && least->p)
        r->below.free(r->below.user, least->p, least->size);
    return least;
}

static void *recycle_alloc(void *user, size_t size, size_t align)
{
    ln_recycler *r = user;
    recycled *best = NULL;
    const size_t turn = r->turn++;
    size_t room;

    for (size_t i = 0; i < r->count; i++) {
        recycled *b = &r->block[i];
        if (b->used || !b->p || b->size < size)
            continue;
        if (!best || (b->turn == turn) > (best->turn == turn)
            || ((b->turn == turn) == (best->turn == turn) && b->size < best->size))
            best = b;
    }
    if (!best && ln_add(size, size / 8, &room) && (best = recycle_place(r)) != NULL) {
        best->p = r->below.alloc(r->below.user, room, align);
        best->size = best->p ? room : 0;
        best->turn = turn;
    }
    if (!best)
        return r->below.alloc(r->below.user, size, align);
    best->used = best->p != NULL;
    return best->p;
}

static void recycle_free(void *user, void *p, size_t size)
{
    ln_recycler *r = user;

    for (size_t i = 0; i < r->count; i++)
        if (r->block[i].p == p) {
            r->block[i].used = false;
            return;
        }
    r->below.free(r->below.user, p, size); /* one that found no place in the table */
}

static ln_recycler *recycler_of(linnet_session *s)
{
    if (!s->recycler && (s->recycler = ln_alloc(&s->config.alloc, sizeof *s->recycler)) != NULL)
        s->recycler->below = s->config.alloc;
    return s->recycler;
}

linnet_status ln_recycler_alloc(linnet_session *s, linnet_allocator *out, linnet_error *err)
{
    ln_recycler *r = recycler_of(s);

    if (!r)
        return ln_fail(err, LINNET_ERR_MEMORY, "out of memory while planning");
    r->turn = 0;
    *out = (linnet_allocator){ r, recycle_alloc, recycle_free };
    return LINNET_OK;
}

void ln_recycler_end(linnet_session *s)
{
    ln_recycler *r = s->recycler;

    for (size_t i = 0; r && i < r->count; i++)
        if (r->block[i].p)
            r->below.free(r->below.user, r->block[i].p, r->block[i].size);
    ln_free(&s->config.alloc, r, sizeof *r);
    s->recycler = NULL;
}

/* ---- the largest shapes ----------------------------------------------------------------- */

linnet_status ln_reserve_set(linnet_session *s, const char *symbol, int64_t most, linnet_error *err)
{
    const ln_graph *g = s->graph;
    const char *known = NULL;
    ln_recycler *r;
    size_t at = 0;

    for (size_t i = 0; i < g->input_count; i++)
        for (int32_t k = 0; k < g->value[g->input[i]].desc.rank; k++) {
            const char *name = g->value[g->input[i]].symbol[k];
            known = name && strcmp(name, symbol) == 0 ? name : known;
        }
    if (!known)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "no input has a dimension named \"%s\"", symbol);
    if (!(r = recycler_of(s)))
        return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for a reserve");
    while (at < r->reserve_count && strcmp(r->reserve[at].symbol, known) != 0)
        at++;
    if (at == RESERVE_MOST)
        return ln_fail(err, LINNET_ERR_LIMIT, "more than %d dimensions cannot be reserved", (int)RESERVE_MOST);
    r->reserve[at] = (reserved){ known, most };
    r->reserve_count = LN_MAX(r->reserve_count, at + 1);
    r->due = true;
    return LINNET_OK;
}

/* The largest shape of input i; false: an open dimension that nothing tells yet. */
static bool reserve_shape(const linnet_session *s, size_t i, ln_desc *out)
{
    const ln_value *v = &s->graph->value[s->graph->input[i]];
    const ln_recycler *r = s->recycler;

    *out = s->input[i].dtype ? s->input[i] : v->desc;
    for (int32_t k = 0; k < out->rank; k++) {
        for (size_t n = 0; k < v->desc.rank && v->symbol[k] && n < r->reserve_count; n++)
            if (strcmp(v->symbol[k], r->reserve[n].symbol) == 0)
                out->dim[k] = LN_MAX(out->dim[k], r->reserve[n].most);
        if (out->dim[k] < 0)
            return false;
    }
    return out->dtype != 0 && out->rank >= 0;
}

linnet_status ln_reserve_now(linnet_session *s, linnet_error *err)
{
    ln_config config = ln_session_config(s);
    ln_plan *plan[2] = { NULL, NULL };
    linnet_status st = LINNET_OK;
    ln_arena brief;

    if (!s->recycler || !s->recycler->due)
        return LINNET_OK;
    ln_arena_init(&brief, &s->config.alloc, config.limits.memory);
    ln_desc *most = ln_arena_alloc(&brief, s->graph->input_count + 1, sizeof *most);
    bool known = most != NULL;
    for (size_t i = 0; known && i < s->graph->input_count; i++)
        known = reserve_shape(s, i, &most[i]);
    if (known) {
        for (int i = 0; i < 2 && !st; i++)
            if ((st = ln_recycler_alloc(s, &config.alloc, err)) == LINNET_OK)
                st = ln_plan_create(s->model, s->graph, &config, most, NULL, 0, NULL, &plan[i], err);
        for (size_t i = 0; i < s->tie_count && !st; i++)
            st = ln_state_room(s, &s->tie[i], &most[s->tie[i].input], err);
        ln_plan_free(plan[0]);
        ln_plan_free(plan[1]);
        s->recycler->due = st != LINNET_OK;
    }
    ln_arena_free(&brief);
    return st;
}
