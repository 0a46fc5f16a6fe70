/*
 * pass_pad.c - a Pad of zeros goes into the windows that read it.
 *
 * A convolution pads with zeros by itself, and an average that counts its padding; a maximum too, where
 * the picture has no negative number and every window sees some of it. Exporters that know only
 * padding as a layer (Keras, TensorFlow) make such pairs. A Pad that nobody reads any more is taken out later.
 */
#include "pass.h"

/* The node that makes input `input` of n; NULL: none does. */
static const ln_node *pad_maker(const ln_graph *g, const ln_node *n, int32_t input)
{
    const int32_t v = n->in_count > input ? n->in[input] : LN_NONE;

    return v == LN_NONE || g->value[v].producer == LN_NONE ? NULL : &g->node[g->value[v].producer];
}

static const ln_value *pad_value(const ln_graph *g, const ln_node *n, int32_t input)
{
    return n->in_count > input && n->in[input] != LN_NONE ? &g->value[n->in[input]] : NULL;
}

/* What n, a Pad, adds before and after each axis of its input; false: something else than zeros, or it is not known. */
static bool pad_amounts(const ln_graph *g, const ln_node *n, int64_t before[LN_MAX_RANK], int64_t after[LN_MAX_RANK])
{
    const char *const *mode = ln_node_field(n, "mode");
    const ln_value *x = pad_value(g, n, 0), *pads = pad_value(g, n, 1), *fill = pad_value(g, n, 2);
    const ln_value *axes = pad_value(g, n, 3);

    if (strcmp(n->op->name, "Pad") != 0 || n->dynamic || !mode || (*mode && strcmp(*mode, "constant") != 0) || !x ||
        x->desc.dtype != LINNET_F32 || !pads || !pads->constant || !pads->data || pads->desc.dtype != LINNET_I64 ||
        (axes && (!axes->constant || !axes->data || axes->desc.dtype != LINNET_I64)))
        return false;
    if (fill && (!fill->constant || !fill->data || fill->desc.dtype != LINNET_F32 || *(const float *)fill->data != 0.0f))
        return false;
    const size_t count = axes ? ln_count(&axes->desc) : (size_t)x->desc.rank;
    if (ln_count(&pads->desc) != 2 * count)
        return false;
    memset(before, 0, LN_MAX_RANK * sizeof *before);
    memset(after, 0, LN_MAX_RANK * sizeof *after);
    for (size_t i = 0; i < count; i++) {
        const int64_t given = axes ? ((const int64_t *)axes->data)[i] : (int64_t)i;
        const int64_t axis = given < 0 ? given + x->desc.rank : given;
        const int64_t *v = pads->data;

        if (axis < 0 || axis >= x->desc.rank || v[i] < 0 || v[count + i] < 0 || v[i] > INT32_MAX || v[count + i] > INT32_MAX)
            return false;
        before[axis] = v[i];
        after[axis] = v[count + i];
    }
    return true;
}

/* Is no element of what makes the Pad's input negative? */
static bool pad_after_relu(const ln_graph *g, const ln_node *pad)
{
    const ln_node *x = pad_maker(g, pad, 0);
    const int64_t *act = x ? ln_node_field(x, "ln.act") : NULL;
    const float *low = x ? ln_node_field(x, "ln.act_a") : NULL;

    return act && low && *act == LN_FN_CLIP && *low >= 0.0f;
}

/* Can n, windows with `pads` of their own, pad by before and after more? */
static bool pad_fits(const ln_graph *g, const ln_node *n, const ln_node *pad, const ln_ints *pads, const int64_t *before,
                     const int64_t *after, int32_t first)
{
    const int64_t *ceil = ln_node_field(n, "ceil_mode"), *counted = ln_node_field(n, "count_include_pad");
    const ln_ints *kernel = ln_node_field(n, "kernel_shape");
    const size_t axes = (size_t)g->value[n->in[0]].desc.rank - 2;
    bool none = true;

    for (size_t i = 0; i < pads->count; i++)
        none = none && pads->v[i] == 0;
    if (strcmp(n->op->name, "Conv") == 0)
        return true;
    if (strcmp(n->op->name, "AveragePool") == 0)
        return (ceil && !*ceil) && counted && (*counted || none);
    if (strcmp(n->op->name, "MaxPool") != 0 || !pad_after_relu(g, pad) || !kernel || kernel->count != axes || !none ||
        (ceil && *ceil))
        return false;
    for (size_t i = 0; i < axes; i++)
        if (before[(size_t)first + i] >= kernel->v[i] || after[(size_t)first + i] >= kernel->v[i])
            return false;
    return true;
}

/* Let n read what the Pad reads. */
static linnet_status pad_into(const ln_pass *p, ln_node *n, const ln_node *pad)
{
    const int64_t *last = ln_node_field(n, "ln.channels_last");
    const ln_ints *pads = ln_node_field(n, "pads");
    const char *const *name = ln_node_field(n, "auto_pad");
    int64_t before[LN_MAX_RANK], after[LN_MAX_RANK], *sum;
    ln_node copy;

    if (!last || !pads || !name || n->dynamic || (*name && strcmp(*name, "NOTSET") != 0 && strcmp(*name, "VALID") != 0) ||
        !pad_amounts(p->g, pad, before, after))
        return LINNET_OK;
    const int32_t rank = p->g->value[n->in[0]].desc.rank, first = *last == LN_LAST ? 1 : 2;
    const int32_t channels = *last == LN_LAST ? rank - 1 : 1;
    const size_t axes = (size_t)rank - 2;
    if (rank < 3 || (pads->count && pads->count != 2 * axes) || before[0] || after[0] || before[channels] ||
        after[channels] || !pad_fits(p->g, n, pad, pads, before, after, first))
        return LINNET_OK;
    const linnet_status st = ln_node_copy(p->keep, n, 0, &copy, p->err);
    if (st)
        return st;
    if (!(sum = ln_arena_alloc(p->keep, 2 * axes, sizeof *sum)))
        return ln_fail(p->err, LINNET_ERR_MEMORY, "out of memory while planning");
    for (size_t i = 0; i < axes; i++) {
        sum[i] = before[(size_t)first + i] + (pads->count ? pads->v[i] : 0);
        sum[axes + i] = after[(size_t)first + i] + (pads->count ? pads->v[axes + i] : 0);
    }
    const ln_ints list = { sum, 2 * axes };
    *(ln_ints *)ln_node_field(&copy, "pads") = list;
    *(const char **)ln_node_field(&copy, "auto_pad") = NULL;
    if (ln_node_field(&copy, "count_include_pad"))
        *(int64_t *)ln_node_field(&copy, "count_include_pad") = 1;
    copy.in[0] = pad->in[0];
    *n = copy;
    return LINNET_OK;
}

linnet_status ln_pass_pad(const ln_pass *p)
{
    for (size_t i = 0; i < p->g->node_count; i++) {
        ln_node *n = &p->g->node[i];
        const ln_node *pad = pad_maker(p->g, n, 0);
        const linnet_status st = pad ? pad_into(p, n, pad) : LINNET_OK;

        if (st)
            return st;
    }
    return LINNET_OK;
}
