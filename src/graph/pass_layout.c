/*
 * pass_layout.c - channels last inside.
 *
 * Each value of rank 3 to 5 can exist in two forms: `first` (axes as the model has them) and `last`
 * (axis 1 moved to the end). Nodes are visited in order; a spatial one takes and gives the last form,
 * one that does not care follows its inputs, and any other wants the first. A form that is wanted
 * and not there is made by a Transpose at that moment and remembered; so transposes
 * appear only where the two worlds meet, and those of the model itself dissolve.
 */
#include "pass.h"

typedef struct layout_forms { int32_t first, last; } layout_forms; /* value indices or LN_NONE */

typedef struct layout_work {
    const ln_pass *p;
    ln_graph      *g;
    layout_forms  *form;  /* of the values that were there at the start */
    size_t         form_count;
    ln_node       *node;
    size_t         count, cap;
} layout_work;

static linnet_status layout_full(const layout_work *w)
{
    return ln_fail(w->p->err, LINNET_ERR_MEMORY, "out of memory while planning");
}

/* perm[i]: the axis of the first form that is axis i of the last form; and back. */
static void layout_perm(int32_t rank, bool to_last, int64_t *perm)
{
    for (int32_t i = 0; i < rank; i++)
        perm[i] = to_last ? (i == 0 ? 0 : i == rank - 1 ? 1 : i + 1)
                          : (i == 0 ? 0 : i == 1 ? rank - 1 : i - 1);
}

static ln_desc layout_desc(const ln_desc *d, bool to_last)
{
    int64_t perm[LN_MAX_RANK];
    ln_desc out = *d;

    layout_perm(d->rank, to_last, perm);
    for (int32_t i = 0; i < d->rank; i++)
        out.dim[i] = d->dim[perm[i]];
    return out;
}

static linnet_status layout_emit(layout_work *w, const ln_node *n)
{
    ln_node *slot = ln_grow(w->g->arena, (void **)&w->node, &w->count, &w->cap, sizeof *slot);

    if (!slot)
        return layout_full(w);
    *slot = *n;
    return LINNET_OK;
}

/* A node from `from` to `to`: a Transpose, or a view where only axes of length one move. */
static linnet_status layout_emit_transpose(layout_work *w, int32_t from, int32_t to, int32_t rank, bool to_last)
{
    const ln_desc *d = &w->g->value[from].desc, *e = &w->g->value[to].desc;
    int64_t perm[LN_MAX_RANK], before = -1;
    bool moves = false;

    layout_perm(rank, to_last, perm);
    for (int32_t i = 0; i < rank; i++)
        if (d->dim[perm[i]] != 1) {
            moves = moves || perm[i] < before;
            before = perm[i];
        }
    ln_node n = { .op = ln_op_find(moves ? "Transpose" : "ln.View"), .name = "", .in_count = 1, .out_count = 1 };
    if (!n.op)
        return ln_fail(w->p->err, LINNET_ERR_UNSUPPORTED, "this build has no Transpose");
    ln_ints list = { ln_arena_copy(w->p->keep, moves ? perm : e->dim, (size_t)rank * sizeof *perm), (size_t)rank };
    n.param = ln_arena_alloc(w->p->keep, 1, LN_MAX(n.op->param_size, 1u));
    n.in = ln_arena_copy(w->g->arena, &from, sizeof from);
    n.out = ln_arena_copy(w->g->arena, &to, sizeof to);
    if (!list.v || !n.param || !n.in || !n.out)
        return layout_full(w);
    memcpy(ln_node_field(&n, moves ? "perm" : "ln.dims"), &list, sizeof list);
    return layout_emit(w, &n);
}

/* ---- constants ------------------------------------------------------------------------ */

typedef struct layout_constant {
    const void *data;
    ln_desc     to;     /* last form */
    size_t      size;   /* of an element */
    int64_t     stride[LN_MAX_RANK]; /* source elements per step of each axis of `to` */
} layout_constant;

static void layout_permute(const void *ctx, void *out)
{
    const layout_constant *c = ctx;
    const size_t count = ln_count(&c->to);
    int64_t at[LN_MAX_RANK] = { 0 };
    size_t from = 0;

    for (size_t i = 0; i < count; i++) {
        memcpy((char *)out + i * c->size, (const char *)c->data + from * c->size, c->size);
        for (int32_t d = c->to.rank - 1; d >= 0; d--) {
            from += (size_t)c->stride[d];
            if (++at[d] < c->to.dim[d])
                break;
            from -= (size_t)c->stride[d] * (size_t)at[d];
            at[d] = 0;
        }
    }
}

/* Constant v, seen with `rank` axes, in the last form. */
static linnet_status layout_constant_last(layout_work *w, int32_t v, int32_t rank, int32_t *out)
{
    const ln_value *value = &w->g->value[v];
    const ln_dtype_info *type = ln_dtype(value->desc.dtype);
    int64_t perm[LN_MAX_RANK], stride[LN_MAX_RANK];
    ln_desc wide = value->desc;
    layout_constant c = { .data = value->data, .size = type->bits / 8u };

    wide.rank = rank;
    for (int32_t i = 0; i < rank; i++)
        wide.dim[i] = i < rank - value->desc.rank ? 1 : value->desc.dim[i - (rank - value->desc.rank)];
    c.to = layout_desc(&wide, true);
    layout_perm(rank, true, perm);
    ln_strides(&wide, stride);
    for (int32_t i = 0; i < rank; i++)
        c.stride[i] = stride[perm[i]];
    const uint64_t key[4] = { LN_KEY_PERMUTE, value->id, (uint64_t)rank, (uint64_t)v };
    return w->p->constant(w->p, key, &c.to, layout_permute, &c, out);
}

/* ---- wanting a form ------------------------------------------------------------------------- */

static linnet_status layout_need_first(layout_work *w, int32_t v, int32_t *out)
{
    layout_forms *f = &w->form[v];

    if (f->first == LN_NONE) {
        const int32_t rank = w->g->value[v].desc.rank;
        const linnet_status st = layout_emit_transpose(w, f->last, v, rank, false);
        if (st)
            return st;
        f->first = v;
    }
    *out = f->first;
    return LINNET_OK;
}

static linnet_status layout_need_last(layout_work *w, int32_t v, int32_t *out)
{
    layout_forms *f = &w->form[v];
    linnet_status st;

    if (f->last == LN_NONE) {
        ln_value like = w->g->value[v];
        if (like.constant) {
            if ((st = layout_constant_last(w, v, like.desc.rank, &f->last)) != LINNET_OK)
                return st;
        } else {
            like.desc = layout_desc(&like.desc, true);
            if ((st = ln_graph_add_value(w->g, &like, &f->last, w->p->err)) != LINNET_OK ||
                (st = layout_emit_transpose(w, f->first, f->last, like.desc.rank, true)) != LINNET_OK)
                return st;
        }
    }
    *out = f->last;
    return LINNET_OK;
}

/* A new value: v in the last form, as the node that is being made produces it. */
static linnet_status layout_make_last(layout_work *w, int32_t v, int32_t *out)
{
    ln_value like = w->g->value[v];

    like.desc = layout_desc(&like.desc, true);
    const linnet_status st = ln_graph_add_value(w->g, &like, out, w->p->err);
    if (st)
        return st;
    w->form[v].first = LN_NONE;
    w->form[v].last = *out;
    return LINNET_OK;
}

/* ---- kinds of nodes --------------------------------------------------------------------------- */

static linnet_status layout_plain(layout_work *w, const ln_node *n)
{
    ln_node copy = *n;
    linnet_status st;

    for (int32_t i = 0; i < n->in_count; i++)
        if (n->in[i] != LN_NONE && (st = layout_need_first(w, n->in[i], &copy.in[i])) != LINNET_OK)
            return st;
    for (int32_t i = 0; i < n->capture_count; i++) {
        int32_t same; /* a subgraph reads it under its own index */
        if ((st = layout_need_first(w, n->capture[i], &same)) != LINNET_OK)
            return st;
        n->capture[i] = same;
    }
    return layout_emit(w, &copy);
}

static bool layout_rank_ok(int32_t rank) { return rank >= 3 && rank <= 5; }

static bool layout_is_spatial(const layout_work *w, const ln_node *n)
{
    if (!(n->op->flags & LN_OP_SPATIAL) || n->dynamic || !ln_node_field(n, "ln.channels_last") ||
        n->in_count < 1 || n->in[0] == LN_NONE)
        return false;
    const ln_desc *d = &w->g->value[n->in[0]].desc;
    for (int32_t i = 1; i < n->out_count; i++)
        if (n->out[i] != LN_NONE)
            return false;
    return layout_rank_ok(d->rank) && d->dtype == LINNET_F32 &&
           w->g->value[n->out[0]].desc.rank == d->rank;
}

/* n takes its input as it comes, plane by plane. */
static bool layout_takes_planes(const layout_work *w, const ln_node *n)
{
    const ln_value *x = &w->g->value[n->in[0]];

    return (n->op->flags & LN_OP_PLANES) && w->form[n->in[0]].last == LN_NONE && !x->constant &&
           x->desc.dim[1] > 1 && x->desc.dim[1] <= (int64_t)LN_FEW_CHANNELS && ln_count(&x->desc) > 0;
}

static linnet_status layout_spatial(layout_work *w, const ln_node *n)
{
    const bool planes = layout_takes_planes(w, n);
    ln_node copy;
    linnet_status st = ln_node_copy(w->p->keep, n, 0, &copy, w->p->err);

    for (int32_t i = 0; i < n->in_count && !st; i++) {
        if (n->in[i] == LN_NONE)
            continue;
        const bool data = (i == 0 && !planes) || (i == LN_RESIDUAL && (n->op->flags & LN_OP_ADD));
        st = data ? layout_need_last(w, n->in[i], &copy.in[i]) : layout_need_first(w, n->in[i], &copy.in[i]);
    }
    if (st)
        return st;
    *(int64_t *)ln_node_field(&copy, "ln.channels_last") = planes ? LN_LAST_OUT : LN_LAST;
    if ((st = layout_make_last(w, n->out[0], &copy.out[0])) != LINNET_OK)
        return st;
    return layout_emit(w, &copy);
}

/*
 * Whether the computed inputs of rank `rank` among n's inputs are there in the last form,
 * by the number of elements that would have to be transposed.
 */
static bool layout_prefers_last(const layout_work *w, const ln_node *n, int32_t rank)
{
    size_t only_first = 0, only_last = 0, last = 0;

    for (int32_t i = 0; i < n->in_count; i++) {
        if (n->in[i] == LN_NONE || w->g->value[n->in[i]].constant || w->g->value[n->in[i]].desc.rank != rank)
            continue;
        const layout_forms *f = &w->form[n->in[i]];
        const size_t count = ln_count(&w->g->value[n->in[i]].desc);
        only_first += f->last == LN_NONE ? count : 0;
        only_last += f->first == LN_NONE ? count : 0;
        last += f->last != LN_NONE;
    }
    return last > 0 && only_last >= only_first && (only_last > 0 || only_first == 0);
}

static bool layout_follows(const layout_work *w, const ln_node *n)
{
    if (!(n->op->flags & LN_OP_ELEMENTWISE) || n->dynamic || n->out_count != 1)
        return false;
    const int32_t rank = w->g->value[n->out[0]].desc.rank;
    if (!layout_rank_ok(rank) || !layout_prefers_last(w, n, rank))
        return false;
    for (int32_t i = 0; i < n->in_count; i++) {
        if (n->in[i] == LN_NONE)
            continue;
        const ln_value *v = &w->g->value[n->in[i]];
        const bool one = ln_count(&v->desc) == 1;
        if ((v->desc.rank != rank && !v->constant && !one) || (v->constant && ln_dtype(v->desc.dtype)->bits % 8) ||
            (v->constant && !one && v->size == 0))
            return false;
    }
    return true;
}

static linnet_status layout_elementwise(layout_work *w, const ln_node *n)
{
    const int32_t rank = w->g->value[n->out[0]].desc.rank;
    ln_node copy;
    linnet_status st = ln_node_copy(w->p->keep, n, 0, &copy, w->p->err);

    for (int32_t i = 0; i < n->in_count && !st; i++) {
        if (n->in[i] == LN_NONE)
            continue;
        const ln_value *v = &w->g->value[n->in[i]];
        if (v->desc.rank == rank)
            st = layout_need_last(w, n->in[i], &copy.in[i]);
        else if (ln_count(&v->desc) == 1)
            st = layout_need_first(w, n->in[i], &copy.in[i]);
        else
            st = layout_constant_last(w, n->in[i], rank, &copy.in[i]);
    }
    if (st || (st = layout_make_last(w, n->out[0], &copy.out[0])) != LINNET_OK)
        return st;
    return layout_emit(w, &copy);
}

/* An operator with axes, which its permute() can rename. *done: it was. */
static linnet_status layout_with_axes(layout_work *w, const ln_node *n, bool *done)
{
    const size_t in_count = (size_t)n->in_count;
    const ln_desc *d = n->in_count > 0 && n->in[0] != LN_NONE ? &w->g->value[n->in[0]].desc : NULL;
    int32_t perm[LN_MAX_RANK], inverse[LN_MAX_RANK];
    int64_t order[LN_MAX_RANK];
    ln_arena *arena = w->g->arena;
    ln_node copy;
    linnet_status st;

    if (!n->op->permute || n->dynamic || !d || !layout_rank_ok(d->rank) || !layout_prefers_last(w, n, d->rank))
        return LINNET_OK;
    const int32_t rank = d->rank;
    layout_perm(rank, true, order);
    for (int32_t i = 0; i < rank; i++) {
        perm[i] = (int32_t)order[i];
        inverse[order[i]] = i;
    }
    if ((st = ln_node_copy(w->p->keep, n, 0, &copy, w->p->err)) != LINNET_OK)
        return st;
    ln_desc *in = ln_arena_alloc(arena, in_count, sizeof *in), *replace_desc = ln_arena_alloc(arena, in_count, sizeof *in);
    ln_desc *out = ln_arena_alloc(arena, (size_t)n->out_count, sizeof *out);
    const void **value = ln_arena_alloc(arena, in_count, sizeof *value);
    void **replace = ln_arena_alloc(arena, in_count, sizeof *replace);
    bool *data_in = ln_arena_alloc(arena, in_count, sizeof *data_in);
    if (!in || !out || !replace_desc || !value || !replace || !data_in)
        return layout_full(w);
    for (size_t i = 0; i < in_count; i++) {
        if (n->in[i] == LN_NONE)
            continue;
        in[i] = replace_desc[i] = w->g->value[n->in[i]].desc;
        value[i] = w->g->value[n->in[i]].constant ? w->g->value[n->in[i]].data : NULL;
    }
    for (int32_t i = 0; i < n->out_count; i++)
        if (n->out[i] != LN_NONE)
            out[i] = w->g->value[n->out[i]].desc;
    data_in[0] = true;
    ln_permute q = { copy.param, rank, perm, inverse, n->in_count, n->out_count, in, out, value, replace,
                     replace_desc, data_in, w->p->keep };
    for (int32_t i = 0; i < n->out_count; i++)
        if (n->out[i] != LN_NONE && out[i].rank != rank)
            return LINNET_OK; /* its axes would come out in another order */
    if (!n->op->permute(&q))
        return LINNET_OK;
    for (size_t i = 0; i < in_count; i++)
        if (n->in[i] != LN_NONE && data_in[i] && in[i].rank != rank)
            return LINNET_OK;
    for (size_t i = 0; i < in_count; i++) {
        if (n->in[i] == LN_NONE)
            continue;
        if (replace[i]) {
            const ln_value like = { .desc = replace_desc[i], .shaped = true };
            if ((st = ln_graph_add_value(w->g, &like, &copy.in[i], w->p->err)) != LINNET_OK)
                return st;
            ln_value *v = &w->g->value[copy.in[i]];
            v->constant = true;
            v->data = replace[i];
            if (!ln_desc_bytes(&v->desc, &v->size))
                return layout_full(w);
        } else if ((st = data_in[i] ? layout_need_last(w, n->in[i], &copy.in[i])
                                    : layout_need_first(w, n->in[i], &copy.in[i])) != LINNET_OK) {
            return st;
        }
    }
    for (int32_t i = 0; i < n->out_count; i++)
        if (n->out[i] != LN_NONE && (st = layout_make_last(w, n->out[i], &copy.out[i])) != LINNET_OK)
            return st;
    *done = true;
    return layout_emit(w, &copy);
}

/* The model's own Transpose between the two forms makes nothing: its output is the other form. */
static bool layout_dissolves(layout_work *w, const ln_node *n)
{
    const ln_ints *given = ln_node_field(n, "perm");
    int64_t perm[LN_MAX_RANK];

    if (strcmp(n->op->name, "Transpose") != 0 || n->dynamic || !given || n->in[0] == LN_NONE)
        return false;
    const int32_t rank = w->g->value[n->in[0]].desc.rank, v = n->in[0], out = n->out[0];
    if (!layout_rank_ok(rank) || given->count != (size_t)rank)
        return false;
    layout_perm(rank, true, perm);
    if (memcmp(perm, given->v, (size_t)rank * sizeof *perm) == 0 && w->form[v].last != LN_NONE) {
        w->form[out].first = w->form[v].last;
        return true;
    }
    layout_perm(rank, false, perm);
    if (memcmp(perm, given->v, (size_t)rank * sizeof *perm) == 0 && w->form[v].first != LN_NONE) {
        w->form[out].first = LN_NONE;
        w->form[out].last = w->form[v].first;
        return true;
    }
    return false;
}

static linnet_status layout_node(layout_work *w, const ln_node *n)
{
    bool done = false;

    if (layout_is_spatial(w, n))
        return layout_spatial(w, n);
    if (layout_dissolves(w, n))
        return LINNET_OK;
    if (layout_follows(w, n))
        return layout_elementwise(w, n);
    const linnet_status st = layout_with_axes(w, n, &done);
    return st || done ? st : layout_plain(w, n);
}

linnet_status ln_pass_layout(const ln_pass *p)
{
    ln_graph *g = p->g;
    layout_work w = { .p = p, .g = g, .form_count = g->value_count };
    bool any = false;
    linnet_status st;

    for (size_t i = 0; i < g->node_count && !any; i++)
        any = layout_is_spatial(&w, &g->node[i]);
    if (!any)
        return LINNET_OK;
    w.form = ln_arena_alloc(g->arena, g->value_count + 1, sizeof *w.form);
    if (!w.form)
        return layout_full(&w);
    for (size_t i = 0; i < w.form_count; i++) {
        w.form[i].first = (int32_t)i;
        w.form[i].last = LN_NONE;
    }
    for (size_t i = 0; i < g->node_count; i++)
        if ((st = layout_node(&w, &g->node[i])) != LINNET_OK)
            return st;
    for (size_t i = 0; i < g->output_count; i++)
        if ((st = layout_need_first(&w, g->output[i], &g->output[i])) != LINNET_OK)
            return st;
    ln_graph_set_nodes(g, w.node, w.count);
    return LINNET_OK;
}
