/*
 * onnx_expand.c - older meanings that only several nodes can express.
 *
 * Shapes are not known while a file is read, so what depends on them is written as shape
 * arithmetic (Shape, Size, Concat, ...), which plans compute once. Where the file
 * declares enough the short form is taken.
 */
#include "onnx.h"

static ln_attr_value expand_int(const char *name, int64_t i)
{
    return (ln_attr_value){ name, LN_ATTR_I64, { .i = i } };
}

/*
 * Input 1 lines up with axis `axis` of input 0, not with its last: it gets ones behind
 * its shape, as many as the axes of input 0 from `axis` on are more than its own.
 */
linnet_status ln_onnx_expand_broadcast(ln_onnx *m, ln_graph *g, ln_onnx_node *n, int64_t axis)
{
    ln_onnx_build b = { m, g, n, LINNET_OK };
    const int32_t ra = ln_onnx_hint(m, g, n->in[0]).rank, rb = ln_onnx_hint(m, g, n->in[1]).rank;
    int32_t at;

    if (ra >= 0 && rb >= 0 && ln_axis(axis, ra, &at) && at + rb <= ra) {
        int64_t axes[LN_MAX_RANK];
        const size_t more = (size_t)(ra - rb - at);
        for (size_t i = 0; i < more; i++)
            axes[i] = rb + (int64_t)i;
        if (more)
            n->in[1] = ln_onnx_add(&b, "Unsqueeze", n->in[1], ln_onnx_i64s(&b, axes, more), NULL, NULL, NULL);
        return b.st;
    }
    const ln_attr_value start = expand_int("start", axis), first = expand_int("axis", 0);
    const int64_t zero = 0, one = 1;
    const char *tail = ln_onnx_add(&b, "Shape", n->in[0], NULL, NULL, &start, NULL);
    const char *own = ln_onnx_add(&b, "Shape", n->in[1], NULL, NULL, NULL, NULL);
    const char *more = ln_onnx_add(&b, "Sub", ln_onnx_add(&b, "Size", tail, NULL, NULL, NULL, NULL),
                                   ln_onnx_add(&b, "Size", own, NULL, NULL, NULL, NULL), NULL, NULL, NULL);
    const char *count = ln_onnx_add(&b, "Unsqueeze", more, ln_onnx_i64s(&b, &zero, 1), NULL, NULL, NULL);
    const char *ones = ln_onnx_add(&b, "Expand", ln_onnx_i64s(&b, &one, 1), count, NULL, NULL, NULL);
    const char *shape = ln_onnx_add(&b, "Concat", own, ones, NULL, &first, NULL);
    const ln_attr_value literal = expand_int("allowzero", 1);
    n->in[1] = ln_onnx_add(&b, "Reshape", n->in[1], shape, NULL, &literal, NULL);
    return b.st;
}

/* Before opset 13 everything from `axis` on was one row. */
linnet_status ln_onnx_expand_softmax(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    ln_onnx_build b = { m, g, n, LINNET_OK };
    const int64_t axis = ln_onnx_attr_i64(n, "axis", 1);
    const ln_attr_value last = expand_int("axis", -1), from = expand_int("axis", axis),
                        literal = expand_int("allowzero", 1);

    if (n->in_count != 1 || n->out_count != 1)
        return LINNET_OK;
    const int32_t rank = ln_onnx_hint(m, g, n->in[0]).rank;
    const char *op = n->op;
    n->op = NULL;
    if (axis == -1 || (rank > 0 && axis == rank - 1)) {
        ln_onnx_add(&b, op, n->in[0], NULL, NULL, &last, n->out[0]);
        return b.st;
    }
    const char *rows = ln_onnx_add(&b, "Flatten", n->in[0], NULL, NULL, &from, NULL);
    const char *done = ln_onnx_add(&b, op, rows, NULL, NULL, &last, NULL);
    const char *shape = ln_onnx_add(&b, "Shape", n->in[0], NULL, NULL, NULL, NULL);
    ln_onnx_add(&b, "Reshape", done, shape, NULL, &literal, n->out[0]);
    return b.st;
}

/* spatial = 0: scale, bias, mean and variance for every element but the batch. */
linnet_status ln_onnx_expand_batch_norm(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    ln_onnx_build b = { m, g, n, LINNET_OK };
    const ln_attr_value *a = ln_onnx_attr(n, "epsilon");
    const double epsilon = a && a->type == LN_ATTR_F32 ? (double)a->u.f : (double)1e-5f;

    if (n->in_count != 5 || n->out_count != 1)
        return LINNET_OK;
    const ln_desc d = ln_onnx_hint(m, g, n->in[4]);
    const int32_t dtype = ln_dtype(d.dtype)->kind == LN_KIND_FLOAT ? d.dtype : LINNET_F32;
    const char *sum = ln_onnx_add(&b, "Add", n->in[4], ln_onnx_scalar(&b, dtype, epsilon), NULL, NULL, NULL);
    const char *root = ln_onnx_add(&b, "Sqrt", sum, NULL, NULL, NULL, NULL);
    const char *x = ln_onnx_add(&b, "Sub", n->in[0], n->in[3], NULL, NULL, NULL);
    x = ln_onnx_add(&b, "Div", x, root, NULL, NULL, NULL);
    x = ln_onnx_add(&b, "Mul", x, n->in[1], NULL, NULL, NULL);
    ln_onnx_add(&b, "Add", x, n->in[2], NULL, NULL, n->out[0]);
    n->op = NULL;
    return b.st;
}

/* Scale and bias had one number for each group; now they have one for each channel. */
linnet_status ln_onnx_expand_group_norm(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    ln_onnx_build b = { m, g, n, LINNET_OK };
    const int64_t groups = ln_onnx_attr_i64(n, "num_groups", 1), one = 1, all = -1;
    const ln_attr_value start = expand_int("start", 1), first = expand_int("axis", 0);

    if (n->in_count != 3)
        return LINNET_OK;
    const char *axis1 = ln_onnx_i64s(&b, &one, 1), *flat = ln_onnx_i64s(&b, &all, 1);
    const char *count = ln_onnx_i64s(&b, &groups, 1), *two = ln_onnx_hidden(&b);
    /* The channels: of the axes from 1 on, the first. */
    const char *shape = ln_onnx_add(&b, "Shape", n->in[0], NULL, NULL, &start, NULL);
    const int64_t zero = 0;
    const char *channels = ln_onnx_add(&b, "Gather", shape, ln_onnx_i64s(&b, &zero, 1), NULL, &first, NULL);
    const char *each = ln_onnx_add(&b, "Div", channels, count, NULL, NULL, NULL);
    ln_onnx_add(&b, "Concat", count, each, NULL, &first, two);
    for (size_t i = 1; i <= 2; i++) {
        const char *column = ln_onnx_add(&b, "Unsqueeze", n->in[i], axis1, NULL, NULL, NULL);
        const char *wide = ln_onnx_add(&b, "Expand", column, two, NULL, NULL, NULL);
        n->in[i] = ln_onnx_add(&b, "Reshape", wide, flat, NULL, NULL, NULL);
    }
    return b.st;
}

/*
 * Scan of opset 8 ran over a batch, axis 0 of everything. That is a Scan over the batch whose body
 * is the Scan over the sequence; its body was read as a graph inside that outer body.
 */
linnet_status ln_onnx_expand_scan(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    const ln_attr_value *body = ln_onnx_attr(n, "body"), *way = ln_onnx_attr(n, "directions");
    const int64_t sequences = ln_onnx_attr_i64(n, "num_scan_inputs", 0);
    ln_onnx_build b = { m, g, n, LINNET_OK };
    linnet_status st = LINNET_OK;

    if (!body || body->type != LN_ATTR_GRAPH || !body->u.graph->parent || n->in_count < 2 || sequences < 1)
        return ln_onnx_bad(m, n->at, "Scan");
    if (n->in[0][0])
        return ln_fail(m->err, LINNET_ERR_UNSUPPORTED, "Scan \"%s\" of opset 8: sequence_lens is not supported",
                       n->name);
    ln_graph *mid = body->u.graph->parent;
    const size_t in = n->in_count - 1, out = n->out_count;
    const char **inner_in = ln_arena_alloc(&m->temp, in, sizeof *inner_in);
    const char **inner_out = ln_arena_alloc(&m->temp, out, sizeof *inner_out);
    if (!inner_in || !inner_out)
        return ln_onnx_full(m);
    const ln_desc open = { .rank = -1 };
    for (size_t i = 0; i < in; i++) {
        inner_in[i] = ln_onnx_hidden(&b);
        if (b.st || (st = ln_graph_input(mid, inner_in[i], &open, NULL, NULL, m->err)) != LINNET_OK)
            return b.st ? b.st : st;
    }
    for (size_t i = 0; i < out; i++)
        inner_out[i] = n->out[i][0] ? ln_onnx_hidden(&b) : "";
    ln_attr_value attr[3] = { *body, expand_int("num_scan_inputs", sequences), { 0 } };
    if (way) {
        attr[2] = *way;
        attr[2].name = "scan_input_directions";
    }
    if (b.st || (st = ln_graph_node(mid, "Scan", n->name, inner_in, in, inner_out, out, attr, way ? 3 : 2, NULL,
                                    m->err)) != LINNET_OK)
        return b.st ? b.st : st;
    for (size_t i = 0; i < out; i++)
        if (!inner_out[i][0])
            return ln_onnx_bad(m, n->at, "Scan (an output has no name)");
        else if ((st = ln_graph_output(mid, inner_out[i], m->err)) != LINNET_OK)
            return st;
    if ((st = ln_graph_finish(mid, m->err)) != LINNET_OK)
        return st;
    attr[0].u.graph = mid;
    attr[1] = expand_int("num_scan_inputs", (int64_t)in);
    n->op = NULL;
    return ln_graph_node(g, "Scan", n->name, n->in + 1, in, n->out, out, attr, 2, NULL, m->err);
}

/* ---- FlexAttention with graphs that change scores and probabilities ------------------------------------ */

/* Dimensions `at` of x, as a list. */
static const char *flex_dims(ln_onnx_build *b, const char *x, const int64_t *at, size_t count)
{
    const ln_attr_value first = expand_int("axis", 0);

    return ln_onnx_add(b, "Gather", ln_onnx_add(b, "Shape", x, NULL, NULL, NULL, NULL), ln_onnx_i64s(b, at, count), NULL,
                       &first, NULL);
}

/* x as [batch, heads of K, heads of Q that share one, ...]: `tail` are the last two dimensions. */
static const char *flex_grouped(ln_onnx_build *b, const char *x, const char *tail)
{
    const ln_attr_value first = expand_int("axis", 0);
    const int64_t batch = 0, heads = 1, rest = -1;
    const char *head = ln_onnx_add(b, "Concat", flex_dims(b, b->n->in[0], &batch, 1),
                                   flex_dims(b, b->n->in[1], &heads, 1),
                                   ln_onnx_i64s(b, &rest, 1), &first, NULL);

    return ln_onnx_add(b, "Reshape", x, ln_onnx_add(b, "Concat", head, tail, NULL, &first, NULL), NULL, NULL, NULL);
}

/* x as [batch, heads of Q, length of Q, `last`]. */
static const char *flex_flat(ln_onnx_build *b, const char *x, const char *last, const char *out)
{
    const ln_attr_value first = expand_int("axis", 0);
    const char *head = flex_dims(b, b->n->in[0], (const int64_t[]){ 0, 1, 2 }, 3);

    return ln_onnx_add(b, "Reshape", x, ln_onnx_add(b, "Concat", head, last, NULL, &first, NULL), NULL, NULL, out);
}

static const char *flex_mod(ln_onnx_build *b, const char *x, const char *name)
{
    const ln_attr_value *a = ln_onnx_attr(b->n, name);

    if (!a || a->type != LN_ATTR_GRAPH)
        return x;
    ln_attr_value body = *a;
    body.name = "body";
    return ln_onnx_add(b, "linnet.Call", x, NULL, NULL, &body, NULL);
}

linnet_status ln_onnx_expand_flex(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    ln_onnx_build b = { m, g, n, LINNET_OK };
    const int64_t two = 2, length = 2, width = 3;
    const ln_attr_value *scale = ln_onnx_attr(n, "scale"), last = expand_int("axis", -1);
    ln_attr_value turn = { "perm", LN_ATTR_INTS, { .ints = { (const int64_t[]){ 0, 1, 3, 2 }, 4 } } };

    if ((!ln_onnx_attr(n, "score_mod") && !ln_onnx_attr(n, "prob_mod")) || n->in_count != 3 || n->out_count != 1)
        return LINNET_OK;
    const int32_t given = ln_onnx_hint(m, g, n->in[0]).dtype;
    const int64_t type = ln_onnx_attr_i64(n, "softmax_precision", given == LINNET_F64 ? LINNET_F64 : LINNET_F32);
    const ln_attr_value to = expand_int("to", type);
    const char *q = n->in[0], *axis = ln_onnx_i64s(&b, &two, 1);
    const char *turned = ln_onnx_add(&b, "Transpose", n->in[1], NULL, NULL, &turn, NULL);
    const char *keys = ln_onnx_add(&b, "Unsqueeze", turned, axis, NULL,
                                   NULL, NULL);
    const char *values = ln_onnx_add(&b, "Unsqueeze", n->in[2], axis, NULL, NULL, NULL);
    const char *seen = flex_dims(&b, n->in[1], &length, 1), *size = flex_dims(&b, q, &width, 1);
    const char *queries = flex_grouped(&b, q, flex_dims(&b, q, (const int64_t[]){ 2, 3 }, 2));
    const char *x = ln_onnx_add(&b, "Cast", ln_onnx_add(&b, "MatMul", queries, keys, NULL, NULL, NULL), NULL, NULL,
                                &to, NULL);
    if (scale && scale->type == LN_ATTR_F32)
        x = ln_onnx_add(&b, "Mul", x, ln_onnx_scalar(&b, (int32_t)type, (double)scale->u.f), NULL, NULL, NULL);
    else {
        const char *number = ln_onnx_add(&b, "Cast", size, NULL, NULL, &to, NULL);
        x = ln_onnx_add(&b, "Div", x, ln_onnx_add(&b, "Sqrt", number, NULL, NULL, NULL, NULL), NULL, NULL, NULL);
    }
    x = ln_onnx_add(&b, "Softmax", flex_mod(&b, flex_flat(&b, x, seen, NULL), "score_mod"), NULL, NULL, &last, NULL);
    x = ln_onnx_add(&b, "CastLike", flex_mod(&b, x, "prob_mod"), n->in[2], NULL, NULL, NULL);
    const ln_attr_value first = expand_int("axis", 0);
    const char *tail = ln_onnx_add(&b, "Concat", flex_dims(&b, q, &length, 1), seen, NULL, &first, NULL);
    x = ln_onnx_add(&b, "MatMul", flex_grouped(&b, x, tail), values, NULL, NULL, NULL);
    flex_flat(&b, x, flex_dims(&b, n->in[2], &width, 1), n->out[0]);
    n->op = NULL;
    return b.st;
}

/*
 * com.microsoft.QAttention: Q, K and V as one quantised product, split, and attention over them. Its inputs: X, W,
 * bias, the scales of X and W, a mask of keys, the zero points of X and W, past keys (refused).
 */
linnet_status ln_onnx_expand_quantised_attention(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    ln_onnx_build b = { m, g, n, LINNET_OK };
    const char *in[9], *part[3];
    ln_attr_value attr[4] = { { "num_heads", LN_ATTR_I64, { .i = ln_onnx_attr_i64(n, "num_heads", 0) } },
                              { "unidirectional", LN_ATTR_I64, { .i = ln_onnx_attr_i64(n, "unidirectional", 0) } } };
    const ln_attr_value cut[] = { expand_int("axis", -1), expand_int("num_outputs", 3) };
    size_t attrs = 2;

    for (size_t i = 0; i < 9; i++)
        in[i] = i < n->in_count ? n->in[i] : "";
    if (in[8][0] || n->out_count != 1 || ln_onnx_attr_i64(n, "do_rotary", 0))
        return ln_fail(m->err, LINNET_ERR_UNSUPPORTED, "QAttention \"%s\": past keys and rotary are not supported",
                       n->name);
    for (size_t i = 0; i < 2; i++) {
        const ln_attr_value *a = ln_onnx_attr(n, i ? "scale" : "mask_filter_value");
        if (a)
            attr[attrs++] = *a;
    }
    for (size_t i = 0; i < 3; i++)
        part[i] = ln_onnx_hidden(&b);
    const char *product = ln_onnx_hidden(&b);
    const char *factors[] = { in[0], in[1], in[3], in[4], in[6], in[7], in[2] };
    const char *heads[] = { part[0], part[1], part[2], "", in[5] };
    if (b.st ||
        (b.st = ln_graph_node(g, "com.microsoft.MatMulIntegerToFloat", n->name, factors, 7, &product, 1, NULL, 0, NULL,
                              m->err)) ||
        (b.st = ln_graph_node(g, "Split", n->name, &product, 1, part, 3, cut, 2, NULL, m->err)) ||
        (b.st = ln_graph_node(g, "com.microsoft.MultiHeadAttention", n->name, heads, 5, n->out, 1, attr, attrs, NULL,
                              m->err)))
        return b.st;
    n->op = NULL;
    return LINNET_OK;
}
