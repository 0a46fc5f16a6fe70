/*
 * pass_fuse.c - what follows a matrix layer goes into its epilogue.
 *
 * Conv, ConvTranspose, Gemm and MatMul absorb, in this order: a following scale or shift per channel
 * (BatchNormalization, Mul, Add with constants: into the weights and the bias), a residual (Add of
 * two computed tensors), and an activation. The absorbing node moves to the place of
 * the absorbed one, where all that it needs is known to exist.
 */
#include "pass.h"

#include <math.h>

typedef struct fuse_work {
    const ln_pass *p;
    ln_graph      *g;
    int32_t       *use;   /* readers of each value */
    int32_t       *at;    /* of each value: index in node[] of its producer, or LN_NONE */
    ln_node       *node;  /* the new list; op NULL: moved away */
    bool          *own;   /* its parameters are private */
    size_t         count;
} fuse_work;

static linnet_status fuse_full(const ln_pass *p)
{
    return ln_fail(p->err, LINNET_ERR_MEMORY, "out of memory while planning");
}

static bool fuse_is(const ln_node *n, const char *name)
{
    return strcmp(n->op->name, name) == 0;
}

static const ln_value *fuse_const_f32(const fuse_work *w, int32_t v)
{
    if (v == LN_NONE)
        return NULL;
    const ln_value *c = &w->g->value[v];
    return c->constant && c->desc.dtype == LINNET_F32 && c->data ? c : NULL;
}

/* The node that alone makes value v for one reader, if it has an open epilogue. */
static ln_node *fuse_target(const fuse_work *w, int32_t v, uint32_t flag)
{
    if (v == LN_NONE || w->use[v] != 1 || w->at[v] == LN_NONE)
        return NULL;
    ln_node *n = &w->node[w->at[v]];
    const int64_t *act = n->op ? ln_node_field(n, "ln.act") : NULL;
    if (!n->op || n->dynamic || !(n->op->flags & flag) || n->out_count < 1 || n->out[0] != v ||
        (act && *act != LN_FN_NONE) || w->g->value[v].desc.dtype != LINNET_F32)
        return NULL;
    return n;
}

static bool fuse_has_residual(const ln_node *n)
{
    return n->in_count > LN_RESIDUAL && n->in[LN_RESIDUAL] != LN_NONE;
}

/* Move `target` to the end of the list as the producer of what n made. */
static ln_node *fuse_move(fuse_work *w, ln_node *target, const ln_node *n, int32_t in_count)
{
    const size_t from = (size_t)(target - w->node);
    ln_node *to = &w->node[w->count];

    if (w->own[from] && target->in_count >= in_count) {
        *to = *target;
    } else if (ln_node_copy(w->p->keep, target, in_count, to, w->p->err)) {
        return NULL;
    }
    w->own[w->count++] = true;
    target->op = NULL;
    to->out[0] = n->out[0];
    w->at[n->out[0]] = (int32_t)(to - w->node);
    return to;
}

/* ---- scale and shift per channel ------------------------------------------------------ */

typedef struct fuse_norm {
    const void  *weight;                      /* floats at any address */
    const float *bias;                        /* may be NULL */
    const float *scale, *shift, *mean, *var;  /* any may be NULL; mean and var go together */
    size_t       scale_step, shift_step;      /* 0: one number for all channels */
    float        epsilon;
    size_t       channels, outer, inner;      /* weight is [outer][channels][inner] */
} fuse_norm;

static float norm_scale(const fuse_norm *f, size_t c)
{
    const float s = f->scale ? f->scale[c * f->scale_step] : 1.0f;

    return f->var ? s / sqrtf(f->var[c] + f->epsilon) : s;
}

static void norm_weight(const void *ctx, void *out)
{
    const fuse_norm *f = ctx;
    float *y = out;

    for (size_t o = 0; o < f->outer; o++)
        for (size_t c = 0; c < f->channels; c++) {
            const size_t at = (o * f->channels + c) * f->inner;
            const float a = norm_scale(f, c);
            memcpy(y + at, (const char *)f->weight + at * sizeof *y, f->inner * sizeof *y);
            for (size_t i = 0; i < f->inner; i++)
                y[at + i] *= a;
        }
}

static void norm_bias(const void *ctx, void *out)
{
    const fuse_norm *f = ctx;
    float *y = out;

    for (size_t c = 0; c < f->channels; c++) {
        const float a = norm_scale(f, c), b = f->bias ? f->bias[c] : 0.0f;
        const float mean = f->mean ? f->mean[c] : 0.0f;
        const float shift = f->shift ? f->shift[c * f->shift_step] : 0.0f;
        y[c] = (b - mean) * a + shift;
    }
}

/* Channels of the output of a convolution, and how they lie in its weights. */
static bool norm_geometry(const fuse_work *w, const ln_node *t, fuse_norm *f)
{
    const ln_value *weight = fuse_const_f32(w, t->in_count > 1 ? t->in[1] : LN_NONE);
    const ln_desc *out = &w->g->value[t->out[0]].desc;

    if (!weight || out->rank < 3 || weight->desc.rank != out->rank || fuse_has_residual(t))
        return false;
    f->channels = (size_t)out->dim[1];
    f->weight = weight->data;
    f->bias = NULL;
    if (t->in_count > LN_BIAS && t->in[LN_BIAS] != LN_NONE) {
        const ln_value *bias = fuse_const_f32(w, t->in[LN_BIAS]);
        if (!bias || ln_count(&bias->desc) != f->channels)
            return false;
        f->bias = bias->data;
    }
    if (fuse_is(t, "Conv")) {
        f->outer = 1;
        f->inner = ln_count_range(&weight->desc, 1, weight->desc.rank);
        return (size_t)weight->desc.dim[0] == f->channels;
    }
    if (fuse_is(t, "ConvTranspose")) { /* [C][M][kernel], one group */
        f->outer = (size_t)weight->desc.dim[0];
        f->inner = ln_count_range(&weight->desc, 2, weight->desc.rank);
        return (size_t)weight->desc.dim[1] == f->channels;
    }
    return false;
}

/* Make t's weight (where `scales`) and bias anew. */
static linnet_status norm_apply(fuse_work *w, ln_node *t, const fuse_norm *f, const ln_node *n, bool scales)
{
    const ln_value *weight = &w->g->value[t->in[1]];
    const ln_desc weight_desc = weight->desc;
    const ln_desc bias_desc = ln_desc_of(LINNET_F32, 1, (int64_t[]){ (int64_t)f->channels });
    const uint64_t by = (uint64_t)n->out[0], id = weight->id;
    int32_t made;
    linnet_status st;

    const uint64_t shift_key[4] = { LN_KEY_NORM_SHIFT, id, by, 0 };
    if ((st = w->p->constant(w->p, shift_key, &bias_desc, norm_bias, f, &made)) != LINNET_OK)
        return st;
    t->in[LN_BIAS] = made;
    if (!scales)
        return LINNET_OK;
    const uint64_t scale_key[4] = { LN_KEY_NORM_SCALE, id, by, 0 };
    if ((st = w->p->constant(w->p, scale_key, &weight_desc, norm_weight, f, &made)) != LINNET_OK)
        return st;
    t->in[1] = made;
    return LINNET_OK;
}

static bool norm_from_batch_norm(const fuse_work *w, const ln_node *n, fuse_norm *f)
{
    const float **to[4] = { &f->scale, &f->shift, &f->mean, &f->var };
    const float *epsilon = ln_node_field(n, "epsilon");
    const int64_t *training = ln_node_field(n, "training_mode");

    if (!fuse_is(n, "BatchNormalization") || n->in_count < 5 || !epsilon || (training && *training))
        return false;
    for (int32_t i = 1; i < n->out_count; i++)
        if (n->out[i] != LN_NONE && w->use[n->out[i]])
            return false;
    for (int32_t i = 0; i < 4; i++) {
        const ln_value *v = fuse_const_f32(w, n->in[i + 1]);
        if (!v || ln_count(&v->desc) != f->channels)
            return false;
        *to[i] = v->data;
    }
    f->scale_step = f->shift_step = 1;
    f->epsilon = *epsilon;
    return true;
}

/* A constant of one number, or one per channel (axis 1) of `rank` axes. */
static bool norm_per_channel(const ln_desc *d, int32_t rank, size_t channels, size_t *step)
{
    const size_t count = ln_count(d);

    *step = count != 1;
    if (count == 1 && d->rank <= rank)
        return true;
    return count == channels && d->rank <= rank && d->rank >= rank - 1 &&
           (size_t)d->dim[d->rank - rank + 1] == channels;
}

/* Mul or Add of t's output (one input of n) and a constant per channel. */
static bool norm_from_arithmetic(const fuse_work *w, const ln_node *n, const ln_desc *out, fuse_norm *f)
{
    const bool mul = fuse_is(n, "Mul"), add = fuse_is(n, "Add");

    if ((!mul && !add) || n->in_count != 2)
        return false;
    const ln_value *c = fuse_const_f32(w, n->in[0]);
    if (!c)
        c = fuse_const_f32(w, n->in[1]);
    if (!c || !ln_same_shape(&w->g->value[n->out[0]].desc, out))
        return false;
    if (mul)
        f->scale = c->data;
    else
        f->shift = c->data;
    return norm_per_channel(&c->desc, out->rank, f->channels, mul ? &f->scale_step : &f->shift_step);
}

static linnet_status fuse_norm_into(fuse_work *w, const ln_node *n, int32_t input, bool *done)
{
    ln_node *t = fuse_target(w, n->in[input], LN_OP_ACT);
    fuse_norm f = { 0 };

    if (!t || !norm_geometry(w, t, &f))
        return LINNET_OK;
    const ln_desc out = w->g->value[t->out[0]].desc;
    if (!(input == 0 && norm_from_batch_norm(w, n, &f)) && !norm_from_arithmetic(w, n, &out, &f))
        return LINNET_OK;
    t = fuse_move(w, t, n, LN_BIAS + 1);
    *done = true;
    return t ? norm_apply(w, t, &f, n, f.scale || f.var) : fuse_full(w->p);
}

/* ---- bias of a MatMul -------------------------------------------------------------------- */

static void bias_copy(const void *ctx, void *out)
{
    const ln_value *v = ctx;

    memcpy(out, v->data, v->size);
}

static linnet_status fuse_bias(fuse_work *w, const ln_node *n, int32_t input, bool *done)
{
    ln_node *t = fuse_target(w, n->in[input], LN_OP_BIAS);
    const ln_value *bias = fuse_const_f32(w, n->in[1 - input]);

    if (!t || !bias || !fuse_is(n, "Add") || fuse_has_residual(t) ||
        (t->in_count > LN_BIAS && t->in[LN_BIAS] != LN_NONE))
        return LINNET_OK;
    const ln_desc *out = &w->g->value[n->out[0]].desc, *was = &w->g->value[t->out[0]].desc;
    if (was->rank < 2 || w->g->value[t->in[1]].desc.rank < 2 || !ln_same_shape(out, was) || bias->desc.rank < 1 ||
        bias->desc.dim[bias->desc.rank - 1] != was->dim[was->rank - 1] ||
        ln_count(&bias->desc) != (size_t)was->dim[was->rank - 1])
        return LINNET_OK;
    const ln_desc flat = ln_desc_of(LINNET_F32, 1, (int64_t[]){ was->dim[was->rank - 1] });
    const uint64_t key[4] = { LN_KEY_NORM_SHIFT, bias->id, (uint64_t)n->out[0], 1 };
    int32_t made;
    const linnet_status st = w->p->constant(w->p, key, &flat, bias_copy, bias, &made);
    if (st)
        return st;
    t = fuse_move(w, t, n, LN_BIAS + 1);
    if (!t)
        return fuse_full(w->p);
    t->in[LN_BIAS] = made;
    *done = true;
    return LINNET_OK;
}

/* ---- residual and activation ------------------------------------------------------------------ */

static linnet_status fuse_residual(fuse_work *w, const ln_node *n, bool *done)
{
    if (!fuse_is(n, "Add") || n->in_count != 2 || n->in[0] == n->in[1])
        return LINNET_OK;
    ln_node *best = NULL;
    int32_t other = LN_NONE;
    for (int32_t i = 0; i < 2; i++) { /* of two candidates the later: the other one exists by then */
        ln_node *t = fuse_target(w, n->in[i], LN_OP_ADD);
        if (!t || fuse_has_residual(t) || (best && t < best) ||
            w->g->value[n->in[1 - i]].desc.dtype != LINNET_F32 ||
            !ln_same_shape(&w->g->value[n->in[0]].desc, &w->g->value[n->in[1]].desc))
            continue;
        best = t;
        other = n->in[1 - i];
    }
    if (!best)
        return LINNET_OK;
    ln_node *t = fuse_move(w, best, n, LN_RESIDUAL + 1);
    if (!t)
        return fuse_full(w->p);
    t->in[LN_RESIDUAL] = other;
    *done = true;
    return LINNET_OK;
}

static linnet_status fuse_activation(fuse_work *w, const ln_node *n, bool *done)
{
    const void **value = ln_arena_alloc(w->g->arena, (size_t)n->in_count + 1, sizeof *value);
    ln_desc *in = ln_arena_alloc(w->g->arena, (size_t)n->in_count + 1, sizeof *in);
    ln_act act = { 0, 0, 0 };

    if (!value || !in)
        return fuse_full(w->p);
    if (!n->op->act || n->in_count < 1)
        return LINNET_OK;
    ln_node *t = fuse_target(w, n->in[0], LN_OP_ACT);
    if (!t || !ln_node_field(t, "ln.act"))
        return LINNET_OK;
    for (int32_t i = 0; i < n->in_count; i++) {
        if (n->in[i] == LN_NONE)
            continue;
        in[i] = w->g->value[n->in[i]].desc;
        value[i] = w->g->value[n->in[i]].constant ? w->g->value[n->in[i]].data : NULL;
        if (i > 0 && !w->g->value[n->in[i]].constant)
            return LINNET_OK;
    }
    if (!n->op->act(n->param, n->in_count, in, value, &act) || act.fn == LN_FN_NONE)
        return LINNET_OK;
    t = fuse_move(w, t, n, 0);
    if (!t)
        return fuse_full(w->p);
    *(int64_t *)ln_node_field(t, "ln.act") = act.fn;
    *(float *)ln_node_field(t, "ln.act_a") = act.a;
    *(float *)ln_node_field(t, "ln.act_b") = act.b;
    *done = true;
    return LINNET_OK;
}

/* x * Sigmoid(x) is Swish(x), x * HardSigmoid(x) with 1/6 and 1/2 is HardSwish(x). */
static linnet_status fuse_gate(fuse_work *w, ln_node *n)
{
    if (!fuse_is(n, "Mul") || n->in_count != 2)
        return LINNET_OK;
    for (int32_t i = 0; i < 2; i++) {
        const int32_t x = n->in[i], y = n->in[1 - i];
        if (x == y || w->at[y] == LN_NONE || w->use[y] != 1 || w->g->value[x].desc.dtype != LINNET_F32)
            continue;
        ln_node *s = &w->node[w->at[y]];
        if (!s->op || s->dynamic || s->in_count < 1 || s->in[0] != x)
            continue;
        const float *alpha = ln_node_field(s, "alpha"), *beta = ln_node_field(s, "beta");
        const bool hard = fuse_is(s, "HardSigmoid") && alpha && beta &&
                          fabsf(*alpha - 1.0f / 6) < 1e-6f && *beta == 0.5f;
        const ln_op *op = ln_op_find(hard ? "HardSwish" : "Swish");
        if (!op || (!hard && !fuse_is(s, "Sigmoid")))
            continue;
        n->op = op;
        n->param = ln_arena_alloc(w->p->keep, 1, LN_MAX(op->param_size, 1u));
        if (!n->param)
            return fuse_full(w->p);
        if (ln_node_field(n, "alpha"))
            *(float *)ln_node_field(n, "alpha") = 1.0f;
        n->in[0] = x;
        n->in_count = 1;
        s->op = NULL;
        w->use[x]--;
        return LINNET_OK;
    }
    return LINNET_OK;
}

/* ---- Gelu from its parts: x / 2 * (1 + erf(x / sqrt(2))) --------------------------------------------- */

/* The single number that value v is, if it is a constant of one. */
static bool gelu_number(const fuse_work *w, int32_t v, float *out)
{
    const ln_value *c = fuse_const_f32(w, v);

    if (c && ln_count(&c->desc) == 1)
        *out = *(const float *)c->data;
    return c && ln_count(&c->desc) == 1;
}

/* The node `op` that makes v for one reader. */
static ln_node *gelu_maker(const fuse_work *w, int32_t v, const char *op)
{
    if (v == LN_NONE || w->at[v] == LN_NONE || w->use[v] != 1)
        return NULL;
    ln_node *n = &w->node[w->at[v]];
    return n->op && !n->dynamic && fuse_is(n, op) ? n : NULL;
}

/* v is 1 + erf(x / sqrt(2)): *x, and the three nodes of it. */
static bool gelu_erf(const fuse_work *w, int32_t v, int32_t *x, ln_node *made[3])
{
    float number = 0;

    if (!(made[0] = gelu_maker(w, v, "Add")) || made[0]->in_count != 2)
        return false;
    const int32_t one = gelu_number(w, made[0]->in[0], &number) ? 0 : 1;
    if (!gelu_number(w, made[0]->in[one], &number) || number != 1.0f ||
        !(made[1] = gelu_maker(w, made[0]->in[1 - one], "Erf")))
        return false;
    if ((made[2] = gelu_maker(w, made[1]->in[0], "Div")) != NULL) {
        *x = made[2]->in[0];
        return gelu_number(w, made[2]->in[1], &number) && fabsf(number - 1.41421356f) < 1e-6f;
    }
    if (!(made[2] = gelu_maker(w, made[1]->in[0], "Mul")))
        return false;
    const int32_t side = gelu_number(w, made[2]->in[0], &number) ? 0 : 1;
    *x = made[2]->in[1 - side];
    return gelu_number(w, made[2]->in[side], &number) && fabsf(number - 0.70710678f) < 1e-6f;
}

/* The product that n ends is x * 1/2 * (1 + erf(...)), its three factors in any order. */
static linnet_status fuse_gelu(fuse_work *w, ln_node *n)
{
    int32_t factor[3], x = LN_NONE, seen = LN_NONE;
    ln_node *made[3] = { NULL }, *inner = NULL;
    float number = 0;
    bool half = false, erf = false;

    if (!fuse_is(n, "Mul") || n->in_count != 2)
        return LINNET_OK;
    for (int32_t i = 0; i < 2 && !inner; i++) {
        inner = gelu_maker(w, n->in[i], "Mul");
        if (!inner)
            continue;
        factor[0] = n->in[1 - i];
        factor[1] = inner->in[0];
        factor[2] = inner->in[1];
    }
    for (int32_t i = 0; inner && i < 3; i++) {
        if (gelu_number(w, factor[i], &number))
            half = number == 0.5f;
        else if (!erf && gelu_erf(w, factor[i], &x, made))
            erf = true;
        else
            seen = factor[i];
    }
    const ln_op *op = ln_op_find("Gelu");
    if (!half || !erf || seen != x || x == LN_NONE || !op || w->g->value[x].desc.dtype != LINNET_F32)
        return LINNET_OK;
    n->op = op;
    n->param = ln_arena_alloc(w->p->keep, 1, LN_MAX(op->param_size, 1u));
    if (!n->param)
        return fuse_full(w->p);
    n->in[0] = x;
    n->in_count = 1;
    made[0]->op = made[1]->op = made[2]->op = inner->op = NULL;
    w->use[x]--;
    return LINNET_OK;
}

/* ---- the pass -------------------------------------------------------------------------------------- */

static linnet_status fuse_node(fuse_work *w, ln_node *n)
{
    bool done = false;
    linnet_status st = LINNET_OK;

    if (!n->dynamic && n->out_count >= 1 && n->out[0] != LN_NONE) {
        st = fuse_gate(w, n);
        if (!st)
            st = fuse_gelu(w, n);
        for (int32_t i = 0; i < n->in_count && i < 2 && !st && !done; i++)
            st = fuse_norm_into(w, n, i, &done);
        for (int32_t i = 0; i < 2 && n->in_count == 2 && !st && !done; i++)
            st = fuse_bias(w, n, i, &done);
        if (!st && !done)
            st = fuse_residual(w, n, &done);
        if (!st && !done)
            st = fuse_activation(w, n, &done);
    }
    if (st || done)
        return st;
    for (int32_t k = 0; k < n->out_count; k++)
        if (n->out[k] != LN_NONE)
            w->at[n->out[k]] = (int32_t)w->count;
    w->node[w->count++] = *n;
    return LINNET_OK;
}

linnet_status ln_pass_fuse(const ln_pass *p)
{
    ln_graph *g = p->g;
    const size_t values = g->value_count; /* those that come later are constants of this pass */
    fuse_work w = { .p = p, .g = g };
    size_t kept = 0;

    /* Every absorption makes one new place: at most as many as there are nodes. */
    w.use = ln_arena_alloc(g->arena, values + 1, sizeof *w.use);
    w.at = ln_arena_alloc(g->arena, values + 1, sizeof *w.at);
    w.node = ln_arena_alloc(g->arena, g->node_count + 1, sizeof *w.node);
    w.own = ln_arena_alloc(g->arena, g->node_count + 1, sizeof *w.own);
    if (!w.use || !w.at || !w.node || !w.own)
        return fuse_full(p);
    ln_graph_uses(g, w.use);
    for (size_t i = 0; i < values; i++)
        w.at[i] = LN_NONE;
    for (size_t i = 0; i < g->node_count; i++) {
        const linnet_status st = fuse_node(&w, &g->node[i]);
        if (st)
            return st;
    }
    for (size_t i = 0; i < w.count; i++)
        if (w.node[i].op)
            w.node[kept++] = w.node[i];
    ln_graph_set_nodes(g, w.node, kept);
    return LINNET_OK;
}
