/*
 * pass_norm.c - normalisation found in its parts.
 *
 *   x / sqrt(mean(x^2) + epsilon) * scale                          RMSNormalization
 *   d / sqrt(mean(d^2) + epsilon) * scale + bias, d = x - mean(x)  LayerNormalization
 *
 * over the last axis. The quotient may be a product with a reciprocal, the square a power or a
 * product; the bias may be missing.
 */
#include "pass.h"

typedef struct norm_work {
    const ln_pass *p;
    ln_graph      *g;
    int32_t       *use;
} norm_work;

/* The node `op` that makes value v, or NULL. */
static const ln_node *norm_maker(const norm_work *w, int32_t v, const char *op)
{
    const int32_t at = v == LN_NONE ? LN_NONE : w->g->value[v].producer;
    const ln_node *n = at == LN_NONE ? NULL : &w->g->node[at];

    return n && !n->dynamic && strcmp(n->op->name, op) == 0 && n->out_count >= 1 && n->out[0] == v ? n : NULL;
}

/* The single number that value v is. */
static bool norm_number(const norm_work *w, int32_t v, float *out)
{
    const ln_value *c = v == LN_NONE ? NULL : &w->g->value[v];

    if (!c || !c->constant || c->desc.dtype != LINNET_F32 || !c->data || ln_count(&c->desc) != 1)
        return false;
    *out = *(const float *)c->data;
    return true;
}

/* v is the mean of *x along its last axis, which stays as 1. */
static bool norm_mean(const norm_work *w, int32_t v, int32_t *x)
{
    const ln_node *n = norm_maker(w, v, "ReduceMean");
    const int64_t *keep = n ? ln_node_field(n, "keepdims") : NULL;

    if (!keep || !*keep || n->in_count != 2 || n->in[1] == LN_NONE)
        return false;
    const ln_value *axes = &w->g->value[n->in[1]];
    const int32_t rank = w->g->value[n->in[0]].desc.rank;
    if (!axes->constant || axes->desc.dtype != LINNET_I64 || ln_count(&axes->desc) != 1)
        return false;
    const int64_t axis = *(const int64_t *)axes->data;
    *x = n->in[0];
    return rank >= 1 && (axis == -1 || axis == rank - 1);
}

/* v is the square of *x. */
static bool norm_square(const norm_work *w, int32_t v, int32_t *x)
{
    const ln_node *n = norm_maker(w, v, "Mul");
    float two = 0;

    if (n && n->in_count == 2 && n->in[0] == n->in[1]) {
        *x = n->in[0];
        return true;
    }
    if (!(n = norm_maker(w, v, "Pow")) || n->in_count != 2 || !norm_number(w, n->in[1], &two) || two != 2.0f)
        return false;
    *x = n->in[0];
    return true;
}

/* v is sqrt(mean(x^2) + epsilon). */
static bool norm_root(const norm_work *w, int32_t v, int32_t *x, float *epsilon)
{
    const ln_node *root = norm_maker(w, v, "Sqrt"), *sum = root ? norm_maker(w, root->in[0], "Add") : NULL;
    int32_t square;

    for (int32_t i = 0; sum && sum->in_count == 2 && i < 2; i++)
        if (norm_number(w, sum->in[1 - i], epsilon) && norm_mean(w, sum->in[i], &square) && norm_square(w, square, x))
            return true;
    return false;
}

/* v is x over such a root of itself. */
static bool norm_quotient(const norm_work *w, int32_t v, int32_t *x, float *epsilon)
{
    const ln_node *n = norm_maker(w, v, "Div"), *inverse;
    float one = 0;

    if (n && n->in_count == 2)
        return norm_root(w, n->in[1], x, epsilon) && *x == n->in[0];
    n = norm_maker(w, v, "Mul");
    for (int32_t i = 0; n && n->in_count == 2 && i < 2; i++) {
        if ((inverse = norm_maker(w, n->in[i], "Reciprocal")) != NULL && norm_root(w, inverse->in[0], x, epsilon)
            && *x == n->in[1 - i])
            return true;
        if ((inverse = norm_maker(w, n->in[i], "Div")) != NULL && inverse->in_count == 2
            && norm_number(w, inverse->in[0], &one) && one == 1.0f && norm_root(w, inverse->in[1], x, epsilon)
            && *x == n->in[1 - i])
            return true;
    }
    return false;
}

/* One f32 for each element of a row of x. */
static bool norm_is_row(const norm_work *w, int32_t v, int32_t x)
{
    const ln_desc *d = &w->g->value[v].desc, *of = &w->g->value[x].desc;

    return w->g->value[v].shaped && d->dtype == LINNET_F32 && d->rank == 1 && of->rank >= 1
           && d->dim[0] == of->dim[of->rank - 1];
}

/* Make n the operator `name` of x, scale and (bias not LN_NONE) bias. */
static linnet_status norm_replace(const norm_work *w, ln_node *n, const char *name, int32_t x, int32_t scale,
                                  int32_t bias, float epsilon)
{
    const ln_op *op = ln_op_find(name);

    if (!op)
        return LINNET_OK;
    int32_t *in = ln_arena_alloc(w->g->arena, 3, sizeof *in);
    void *param = ln_param_new(w->p->keep, op);
    if (!in || !param)
        return ln_fail(w->p->err, LINNET_ERR_MEMORY, "out of memory while planning");
    in[0] = x;
    in[1] = scale;
    in[2] = bias;
    n->op = op;
    n->param = param;
    n->in = in;
    n->in_count = bias == LN_NONE ? 2 : 3;
    *(int64_t *)ln_node_field(n, "axis") = -1;
    *(float *)ln_node_field(n, "epsilon") = epsilon;
    return LINNET_OK;
}

/* n multiplies a quotient by a row. */
static linnet_status norm_scaled(const norm_work *w, ln_node *n)
{
    float epsilon = 0;
    int32_t d, x;

    for (int32_t i = 0; n->in_count == 2 && i < 2; i++) {
        if (w->use[n->in[i]] != 1 || !norm_quotient(w, n->in[i], &d, &epsilon) || !norm_is_row(w, n->in[1 - i], d)
            || w->g->value[d].desc.dtype != LINNET_F32)
            continue;
        const ln_node *sub = norm_maker(w, d, "Sub");
        if (sub && sub->in_count == 2 && norm_mean(w, sub->in[1], &x) && x == sub->in[0])
            return norm_replace(w, n, "LayerNormalization", x, n->in[1 - i], LN_NONE, epsilon);
        return norm_replace(w, n, "RMSNormalization", d, n->in[1 - i], LN_NONE, epsilon);
    }
    return LINNET_OK;
}

/* n adds a row to what has become a LayerNormalization without one. */
static linnet_status norm_shifted(const norm_work *w, ln_node *n)
{
    for (int32_t i = 0; n->in_count == 2 && i < 2; i++) {
        const ln_node *norm = norm_maker(w, n->in[i], "LayerNormalization");
        const int64_t *axis = norm ? ln_node_field(norm, "axis") : NULL;
        if (axis && *axis == -1 && norm->in_count == 2 && norm->out_count == 1 && w->use[n->in[i]] == 1
            && w->g->value[norm->in[0]].desc.dtype == LINNET_F32 && norm_is_row(w, n->in[1 - i], norm->in[0]))
            return norm_replace(w, n, "LayerNormalization", norm->in[0], norm->in[1], n->in[1 - i],
                                *(const float *)ln_node_field(norm, "epsilon"));
    }
    return LINNET_OK;
}

linnet_status ln_pass_norm(const ln_pass *p)
{
    ln_graph *g = p->g;
    norm_work w = { .p = p, .g = g };

    w.use = ln_arena_alloc(g->arena, g->value_count + 1, sizeof *w.use);
    if (!w.use)
        return ln_fail(p->err, LINNET_ERR_MEMORY, "out of memory while planning");
    ln_graph_uses(g, w.use);
    for (size_t i = 0; i < g->node_count; i++) {
        ln_node *n = &g->node[i];
        linnet_status st = LINNET_OK;

        if (n->dynamic || n->out_count != 1)
            continue;
        if (strcmp(n->op->name, "Mul") == 0)
            st = norm_scaled(&w, n);
        else if (strcmp(n->op->name, "Add") == 0)
            st = norm_shifted(&w, n);
        if (st)
            return st;
    }
    return ln_pass_clean(p);
}
