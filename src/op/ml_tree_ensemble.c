/*
 * ml_tree_ensemble.c - ai.onnx.ml.TreeEnsemble: leaves of many trees, added up for each target.
 *
 * All that a node names (children, features, targets) is checked once; a walk takes at most as many steps as there
 * are nodes, so a tree that runs in circles is an error of the run.
 */
#include "op.h"

#include <math.h>

typedef struct param {
    int64_t aggregate, targets, transform;
    ln_ints feature, if_true, if_false, true_leaf, false_leaf, missing, root, leaf_target;
    const linnet_tensor *mode, *split, *leaf_weight, *member, *hitrate;
} param;
typedef struct state { size_t *member; } state; /* of each node: where its members begin */

enum { TREE_LEQ, TREE_LT, TREE_GTE, TREE_GT, TREE_EQ, TREE_NEQ, TREE_MEMBER, TREE_MODES };
enum { TREE_AVERAGE, TREE_SUM, TREE_MIN, TREE_MAX, TREE_AGGREGATES };

static int64_t tree_mode(const param *p, size_t node) { return ln_get_i64(p->mode->desc.dtype, p->mode->data, node); }

static bool tree_children(const param *p, const ln_ints *to, const ln_ints *leaf)
{
    if (to->count != p->feature.count || leaf->count != p->feature.count)
        return false;
    for (size_t i = 0; i < to->count; i++)
        if (to->v[i] < 0 || (uint64_t)to->v[i] >= (leaf->v[i] ? p->leaf_target.count : p->feature.count))
            return false;
    return true;
}

static bool tree_ok(const param *p, const ln_desc *x)
{
    const size_t nodes = p->feature.count, leaves = p->leaf_target.count;
    bool ok = nodes > 0 && p->targets > 0 && ln_count(&p->mode->desc) == nodes && ln_count(&p->split->desc) == nodes &&
              p->mode->desc.dtype == LINNET_U8 && p->split->desc.dtype == x->dtype &&
              p->leaf_weight->desc.dtype == x->dtype && ln_count(&p->leaf_weight->desc) == leaves &&
              (!p->member || p->member->desc.dtype == x->dtype) && (!p->missing.count || p->missing.count == nodes) &&
              tree_children(p, &p->if_true, &p->true_leaf) && tree_children(p, &p->if_false, &p->false_leaf);

    for (size_t i = 0; ok && i < nodes; i++)
        ok = p->feature.v[i] >= 0 && p->feature.v[i] < x->dim[1] && tree_mode(p, i) < TREE_MODES &&
             (tree_mode(p, i) != TREE_MEMBER || p->member);
    for (size_t i = 0; ok && i < p->root.count; i++)
        ok = p->root.v[i] >= 0 && (uint64_t)p->root.v[i] < nodes;
    for (size_t i = 0; ok && i < leaves; i++)
        ok = p->leaf_target.v[i] >= 0 && p->leaf_target.v[i] < p->targets;
    return ok;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *x = &q->in[0];

    if (x->dtype != LINNET_F32 && x->dtype != LINNET_F64 && x->dtype != LINNET_F16)
        return ln_fail_type(q->err, 0, x->dtype);
    if (x->rank != 2 || !tree_ok(p, x))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "TreeEnsemble: the trees are damaged, or do not fit the input");
    if (p->transform != 0 || p->aggregate < 0 || p->aggregate >= TREE_AGGREGATES)
        return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "TreeEnsemble: post_transform %lld, aggregate_function %lld",
                       (long long)p->transform, (long long)p->aggregate);
    q->out[0] = ln_desc_of(x->dtype, 2, (int64_t[]){ x->dim[0], p->targets });
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    state *s = q->state;
    size_t at = 0;

    s->member = ln_plan_alloc(q, p->feature.count, sizeof *s->member);
    if (!s->member)
        return LINNET_ERR_MEMORY;
    for (size_t i = 0; i < p->feature.count && p->member; i++) { /* sets end with NaN, in the order of their nodes */
        const size_t all = ln_count(&p->member->desc);
        s->member[i] = at;
        for (bool end = tree_mode(p, i) != TREE_MEMBER; !end && at < all; at++)
            end = isnan(ln_get_f64(p->member->desc.dtype, p->member->data, at));
    }
    q->tasks[0] = ln_count(&q->out[0]) ? (size_t)q->out[0].dim[0] : 0;
    q->work = (double)ln_count(&q->out[0]) + 32.0 * (double)p->root.count * (double)q->in[0].dim[0];
    return LINNET_OK;
}

static bool tree_true(const param *p, const state *s, size_t node, double x)
{
    const int64_t mode = tree_mode(p, node);
    const double split = ln_get_f64(p->split->desc.dtype, p->split->data, node);

    if (isnan(x) && p->missing.count && p->missing.v[node])
        return true;
    switch (mode) {
    case TREE_LEQ: return x <= split;
    case TREE_LT:  return x < split;
    case TREE_GTE: return x >= split;
    case TREE_GT:  return x > split;
    case TREE_EQ:  return x == split;
    case TREE_NEQ: return x != split;
    default: break;
    }
    for (size_t i = s->member[node]; i < ln_count(&p->member->desc); i++) {
        const double m = ln_get_f64(p->member->desc.dtype, p->member->data, i);
        if (isnan(m) || m == x)
            return m == x;
    }
    return false;
}

/* The leaf that row x reaches from `node`; false: none. */
static bool tree_leaf(const ln_run *r, size_t row, size_t node, size_t *leaf)
{
    const param *p = r->param;

    for (size_t step = 0; step < p->feature.count; step++) {
        const double x = ln_get_f64(r->in_desc[0].dtype, r->in[0], row + (size_t)p->feature.v[node]);
        const bool is_true = tree_true(p, r->state, node, x);
        const size_t next = (size_t)(is_true ? p->if_true.v[node] : p->if_false.v[node]);
        if (is_true ? p->true_leaf.v[node] : p->false_leaf.v[node]) {
            *leaf = next;
            return true;
        }
        node = next;
    }
    return false;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const int32_t t = r->out_desc[0].dtype;
    const size_t row = r->task * (size_t)r->in_desc[0].dim[1], to = r->task * (size_t)p->targets;

    const bool least = p->aggregate == TREE_MIN, most = p->aggregate == TREE_MAX;
    const double none = least ? (double)INFINITY : most ? -(double)INFINITY : 0;

    for (size_t c = 0; c < (size_t)p->targets; c++)
        ln_set_f64(t, r->out[0], to + c, none);
    for (size_t i = 0; i < p->root.count; i++) {
        size_t leaf;
        if (!tree_leaf(r, row, (size_t)p->root.v[i], &leaf))
            return ln_fail(r->err, LINNET_ERR_DATA, "TreeEnsemble: tree %zu runs in circles", i);
        const size_t at = to + (size_t)p->leaf_target.v[leaf];
        const double w = ln_get_f64(p->leaf_weight->desc.dtype, p->leaf_weight->data, leaf);
        const double y = ln_get_f64(t, r->out[0], at);
        ln_set_f64(t, r->out[0], at, least ? fmin(y, w) : most ? fmax(y, w) : y + w);
    }
    for (size_t c = 0; c < (size_t)p->targets && p->aggregate != TREE_SUM; c++) {
        const double y = ln_get_f64(t, r->out[0], to + c);
        const bool untouched = (least || most) && y == none;
        ln_set_f64(t, r->out[0], to + c,
                   untouched ? 0 : p->aggregate == TREE_AVERAGE ? y / (double)LN_MAX(p->root.count, (size_t)1) : y);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "aggregate_function", LN_ATTR_I64, offsetof(param, aggregate), TREE_SUM, false },
    { "leaf_targetids", LN_ATTR_INTS, offsetof(param, leaf_target), 0, true },
    { "leaf_weights", LN_ATTR_TENSOR, offsetof(param, leaf_weight), 0, true },
    { "membership_values", LN_ATTR_TENSOR, offsetof(param, member), 0, false },
    { "n_targets", LN_ATTR_I64, offsetof(param, targets), 0, true },
    { "nodes_falseleafs", LN_ATTR_INTS, offsetof(param, false_leaf), 0, true },
    { "nodes_falsenodeids", LN_ATTR_INTS, offsetof(param, if_false), 0, true },
    { "nodes_featureids", LN_ATTR_INTS, offsetof(param, feature), 0, true },
    { "nodes_hitrates", LN_ATTR_TENSOR, offsetof(param, hitrate), 0, false },
    { "nodes_missing_value_tracks_true", LN_ATTR_INTS, offsetof(param, missing), 0, false },
    { "nodes_modes", LN_ATTR_TENSOR, offsetof(param, mode), 0, true },
    { "nodes_splits", LN_ATTR_TENSOR, offsetof(param, split), 0, true },
    { "nodes_trueleafs", LN_ATTR_INTS, offsetof(param, true_leaf), 0, true },
    { "nodes_truenodeids", LN_ATTR_INTS, offsetof(param, if_true), 0, true },
    { "post_transform", LN_ATTR_I64, offsetof(param, transform), 0, false },
    { "tree_roots", LN_ATTR_INTS, offsetof(param, root), 0, true },
    { 0 },
};

const ln_op ln_op_ml_tree_ensemble = {
    .name = "ai.onnx.ml.TreeEnsemble", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .infer = infer, .prepare = prepare, .run = run,
};
