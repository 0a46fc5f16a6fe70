/*
 * pass_turn.c - from pictures to classes without a transpose.
 *
 * Where a Gemm or MatMul multiplies flattened pictures, channels first, by constant weights, and the pictures were
 * channels last before a Transpose, the order of a sum does not matter: the Transpose becomes a view of
 * the same elements, and the rows of the weights are put into the pictures' order as they are packed.
 */
#include "pass.h"

typedef struct turn_work {
    ln_graph *g;
    int32_t  *use; /* readers of each value */
} turn_work;

/* The node that makes v for one reader; NULL: there is none. */
static ln_node *turn_maker(const turn_work *w, int32_t v)
{
    const int32_t at = v == LN_NONE || w->use[v] != 1 ? LN_NONE : w->g->value[v].producer;

    return at == LN_NONE ? NULL : &w->g->node[at];
}

/* Does n take its picture from channels last to channels first? */
static bool turn_is(const turn_work *w, const ln_node *n)
{
    const ln_ints *perm = strcmp(n->op->name, "Transpose") == 0 ? ln_node_field(n, "perm") : NULL;
    const int32_t rank = w->g->value[n->out[0]].desc.rank;

    if (!perm || n->dynamic || rank < 3 || perm->count != (size_t)rank || perm->v[0] != 0 || perm->v[1] != rank - 1)
        return false;
    for (int32_t i = 2; i < rank; i++)
        if (perm->v[i] != i - 1)
            return false;
    return true;
}

/* Product n with weights that can be turned: its depth; 0: another. */
static int64_t turn_depth(const turn_work *w, const ln_node *n)
{
    static const char *const as_is[] = { "transA", "ln.transA" };
    const float *alpha = ln_node_field(n, "alpha"), *hidden = ln_node_field(n, "ln.alpha");

    if (!ln_node_field(n, "ln.turn") || n->dynamic || (alpha && *alpha != 1.0f) || (hidden && *hidden != 1.0f))
        return 0;
    for (size_t i = 0; i < LN_COUNT(as_is); i++) {
        const int64_t *on = ln_node_field(n, as_is[i]);
        if (on && *on)
            return 0;
    }
    const ln_value *a = &w->g->value[n->in[0]], *b = &w->g->value[n->in[1]], *y = &w->g->value[n->out[0]];
    if (!b->constant || !b->data || b->desc.dtype != LINNET_F32 || a->desc.rank != 2 || b->desc.rank != 2 ||
        y->desc.rank != 2 || y->desc.dim[1] < 2 || a->desc.dim[0] < 1)
        return 0;
    return a->desc.dim[1];
}

/* The Transpose behind product n, with views between them at most; NULL: there is none that can go. */
static ln_node *turn_find(const turn_work *w, const ln_node *n)
{
    const int64_t depth = turn_depth(w, n);
    ln_node *t = depth ? turn_maker(w, n->in[0]) : NULL;

    while (t && (t->op->flags & LN_OP_VIEW) && !t->dynamic)
        t = turn_maker(w, t->in[0]);
    if (!t || !turn_is(w, t))
        return NULL;
    const ln_desc *d = &w->g->value[t->out[0]].desc;
    return (int64_t)ln_count_range(d, 1, d->rank) == depth ? t : NULL;
}

/* The same elements in the shape of the other order. */
static linnet_status turn_into_view(const ln_pass *p, ln_node *t)
{
    const ln_desc *d = &p->g->value[t->out[0]].desc;
    const ln_ints list = { ln_arena_copy(p->keep, d->dim, (size_t)d->rank * sizeof *d->dim), (size_t)d->rank };

    t->op = ln_op_find("ln.View");
    t->param = t->op ? ln_arena_alloc(p->keep, 1, LN_MAX(t->op->param_size, 1u)) : NULL;
    if (!t->param || !list.v)
        return ln_fail(p->err, LINNET_ERR_MEMORY, "out of memory while planning");
    memcpy(ln_node_field(t, "ln.dims"), &list, sizeof list);
    return LINNET_OK;
}

linnet_status ln_pass_turn(const ln_pass *p)
{
    ln_graph *g = p->g;
    turn_work w = { g, ln_arena_alloc(g->arena, g->value_count + 1, sizeof *w.use) };
    linnet_status st;

    if (!w.use)
        return ln_fail(p->err, LINNET_ERR_MEMORY, "out of memory while planning");
    ln_graph_uses(g, w.use);
    for (size_t i = 0; i < g->node_count; i++) {
        ln_node *n = &g->node[i], *t = turn_find(&w, n), copy;

        if (!t)
            continue;
        const ln_desc *d = &g->value[t->out[0]].desc;
        if ((st = ln_node_copy(p->keep, n, 0, &copy, p->err)) != LINNET_OK)
            return st;
        *(int64_t *)ln_node_field(&copy, "ln.turn") = (int64_t)ln_count_range(d, 2, d->rank);
        *n = copy;
        if ((st = turn_into_view(p, t)) != LINNET_OK)
            return st;
    }
    return LINNET_OK;
}
