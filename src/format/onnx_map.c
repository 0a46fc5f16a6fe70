/*
 * onnx_map.c - every older opset brought up to the newest meaning.
 *
 * A table says which operators changed in a way that matters, up to which opset, and what has to
 * be done to such a node: mostly, attributes that became inputs become constants. After
 * this file no part of the library knows that there are opsets.
 */
#include "onnx.h"

/* ---- nodes and values ------------------------------------------------------------------ */

ln_attr_value *ln_onnx_attr(const ln_onnx_node *n, const char *name)
{
    for (size_t i = 0; i < n->attr_count; i++)
        if (strcmp(n->attr[i].name, name) == 0)
            return &n->attr[i];
    return NULL;
}

void ln_onnx_drop(ln_onnx_node *n, const char *name)
{
    ln_attr_value *a = ln_onnx_attr(n, name);

    if (a)
        *a = n->attr[--n->attr_count];
}

int64_t ln_onnx_attr_i64(const ln_onnx_node *n, const char *name, int64_t preset)
{
    const ln_attr_value *a = ln_onnx_attr(n, name);
    return a && a->type == LN_ATTR_I64 ? a->u.i : preset;
}

const ln_value *ln_onnx_constant(const ln_graph *g, const char *name)
{
    const int32_t v = ln_graph_find(g, name);
    return v != LN_NONE && g->value[v].constant ? &g->value[v] : NULL;
}

ln_desc ln_onnx_hint(const ln_onnx *m, const ln_graph *g, const char *name)
{
    const int32_t v = ln_graph_find(g, name), i = m->info ? ln_graph_find(m->info, name) : LN_NONE;

    if (v != LN_NONE && (g->value[v].constant || g->value[v].input))
        return g->value[v].desc;
    return i != LN_NONE ? m->info->value[i].desc : (ln_desc){ .rank = -1 };
}

static linnet_status map_attribute(ln_onnx *m, ln_onnx_node *n, ln_attr_value v)
{
    ln_attr_value *a = ln_onnx_attr(n, v.name);

    if (!a && !(a = ln_grow(&m->temp, (void **)&n->attr, &n->attr_count, &n->attr_cap, sizeof *a)))
        return ln_onnx_full(m);
    *a = v;
    return LINNET_OK;
}

static linnet_status map_int(ln_onnx *m, ln_onnx_node *n, const char *name, int64_t i)
{
    return map_attribute(m, n, (ln_attr_value){ name, LN_ATTR_I64, { .i = i } });
}

static linnet_status map_text(ln_onnx *m, ln_onnx_node *n, const char *name, const char *s)
{
    return map_attribute(m, n, (ln_attr_value){ name, LN_ATTR_STR, { .s = s } });
}

static bool map_has_input(const ln_onnx_node *n, size_t i)
{
    return i < n->in_count && n->in[i][0];
}

static linnet_status map_input(ln_onnx *m, ln_onnx_node *n, size_t i, const char *name)
{
    while (n->in_count <= i) {
        const char **slot = ln_grow(&m->temp, (void **)&n->in, &n->in_count, &n->in_cap, sizeof *slot);
        if (!slot)
            return ln_onnx_full(m);
        *slot = "";
    }
    n->in[i] = name;
    return LINNET_OK;
}

static linnet_status map_refuse(ln_onnx *m, const ln_onnx_node *n, const char *what)
{
    return ln_fail(m->err, LINNET_ERR_UNSUPPORTED, "%s \"%s\" of opset %lld: %s (byte %zu)", n->op, n->name,
                   (long long)n->opset, what, n->at);
}

/* ---- building ----------------------------------------------------------------------------- */

const char *ln_onnx_hidden(ln_onnx_build *b)
{
    char text[32];
    const size_t n = ln_print(text, sizeof text, LN_ONNX_HIDDEN "%u", ++b->m->hidden);
    const char *name = ln_arena_string(&b->m->temp, text, n);

    if (!name && b->st == LINNET_OK)
        b->st = ln_onnx_full(b->m);
    return name ? name : "";
}

static const char *build_constant(ln_onnx_build *b, const ln_desc *d, const void *data, size_t size)
{
    const char *name = ln_onnx_hidden(b);

    if (b->st)
        return "";
    const void *copy = ln_arena_copy(b->g->arena, data, size);
    b->st = copy ? ln_graph_constant(b->g, name, d, copy, size, NULL, b->m->err) : ln_onnx_full(b->m);
    return b->st ? "" : name;
}

const char *ln_onnx_i64s(ln_onnx_build *b, const int64_t *v, size_t count)
{
    const ln_desc d = { LINNET_I64, 1, { (int64_t)count } };
    return build_constant(b, &d, v, count * sizeof *v);
}

const char *ln_onnx_scalar(ln_onnx_build *b, int32_t dtype, double v)
{
    const ln_desc d = { .dtype = dtype };
    uint64_t room[2] = { 0, 0 };
    size_t size = 0;

    if (!ln_desc_bytes(&d, &size) || size > sizeof room)
        size = 0;
    ln_set_f64(dtype, room, 0, v);
    return build_constant(b, &d, room, size);
}

const char *ln_onnx_add(ln_onnx_build *b, const char *op, const char *x, const char *y, const char *z,
                        const ln_attr_value *attr, const char *out)
{
    const char *in[3] = { x, y ? y : "", z ? z : "" };

    if (!out)
        out = ln_onnx_hidden(b);
    if (b->st)
        return "";
    b->st = ln_graph_node(b->g, op, b->n->name, in, 3, &out, 1, attr, attr ? 1 : 0, NULL, b->m->err);
    return out;
}

/* ---- attributes that became inputs ----------------------------------------------------------- */

static linnet_status map_ints_to_input(ln_onnx *m, ln_graph *g, ln_onnx_node *n, const char *name, size_t i)
{
    ln_onnx_build b = { m, g, n, LINNET_OK };
    const ln_attr_value *a = ln_onnx_attr(n, name);

    if (!a || (a->type != LN_ATTR_INTS && a->type != LN_ATTR_I64))
        return LINNET_OK;
    const char *value = a->type == LN_ATTR_INTS ? ln_onnx_i64s(&b, a->u.ints.v, a->u.ints.count)
                                                : ln_onnx_i64s(&b, &a->u.i, 1);
    ln_onnx_drop(n, name);
    if (b.st == LINNET_OK && !map_has_input(n, i))
        b.st = map_input(m, n, i, value);
    return b.st;
}

static linnet_status map_axes(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    return map_ints_to_input(m, g, n, "axes", 1);
}

static linnet_status map_reshape(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    return map_ints_to_input(m, g, n, "shape", 1);
}

static linnet_status map_topk(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    return map_ints_to_input(m, g, n, "k", 1);
}

static linnet_status map_slice(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    linnet_status st = map_ints_to_input(m, g, n, "starts", 1);

    if (st == LINNET_OK)
        st = map_ints_to_input(m, g, n, "ends", 2);
    return st ? st : map_ints_to_input(m, g, n, "axes", 3);
}

static linnet_status map_split(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    const linnet_status st = map_ints_to_input(m, g, n, "split", 1);

    if (st || map_has_input(n, 1) || ln_onnx_attr(n, "num_outputs"))
        return st;
    return map_int(m, n, "num_outputs", (int64_t)n->out_count);
}

static int32_t map_type_of(const ln_onnx *m, const ln_graph *g, const char *name)
{
    const int32_t dtype = ln_onnx_hint(m, g, name).dtype;
    return ln_dtype(dtype)->kind == LN_KIND_FLOAT || ln_dtype(dtype)->kind == LN_KIND_INT ||
                   ln_dtype(dtype)->kind == LN_KIND_UINT
               ? dtype
               : LINNET_F32;
}

static linnet_status map_float_to_input(ln_onnx *m, ln_graph *g, ln_onnx_node *n, const char *name, size_t i)
{
    ln_onnx_build b = { m, g, n, LINNET_OK };
    const ln_attr_value *a = ln_onnx_attr(n, name);

    if (!a || a->type != LN_ATTR_F32 || n->in_count == 0)
        return LINNET_OK;
    const char *value = ln_onnx_scalar(&b, map_type_of(m, g, n->in[0]), (double)a->u.f);
    ln_onnx_drop(n, name);
    return b.st ? b.st : map_input(m, n, i, value);
}

static linnet_status map_clip(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    const linnet_status st = map_float_to_input(m, g, n, "min", 1);
    return st ? st : map_float_to_input(m, g, n, "max", 2);
}

static linnet_status map_pad(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    linnet_status st = map_ints_to_input(m, g, n, "paddings", 1);

    if (st == LINNET_OK)
        st = map_ints_to_input(m, g, n, "pads", 1);
    return st ? st : map_float_to_input(m, g, n, "value", 2);
}

static linnet_status map_dft(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    ln_onnx_build b = { m, g, n, LINNET_OK };
    const char *axis = ln_onnx_scalar(&b, LINNET_I64, (double)ln_onnx_attr_i64(n, "axis", 1));

    ln_onnx_drop(n, "axis");
    return b.st ? b.st : map_input(m, n, 2, axis);
}

/* ---- attributes that changed or went ------------------------------------------------------------ */

static linnet_status map_concat(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    LN_UNUSED(g);
    return map_int(m, n, "axis", ln_onnx_attr_i64(n, "axis", 1));
}

static linnet_status map_gemm(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    LN_UNUSED(m);
    LN_UNUSED(g);
    ln_onnx_drop(n, "broadcast");
    return LINNET_OK;
}

static linnet_status map_recurrent(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    LN_UNUSED(m);
    LN_UNUSED(g);
    ln_onnx_drop(n, "output_sequence");
    return LINNET_OK;
}

/* p was a float once. */
static linnet_status map_lp(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    ln_attr_value *a = ln_onnx_attr(n, "p");

    LN_UNUSED(g);
    if (!a || a->type != LN_ATTR_F32)
        return LINNET_OK;
    const int64_t p = ln_f2i_sat((double)a->u.f, 0, INT32_MAX);
    if ((double)p != (double)a->u.f)
        return map_refuse(m, n, "p must be a whole number");
    a->type = LN_ATTR_I64;
    a->u.i = p;
    return LINNET_OK;
}

static linnet_status map_cast(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    static const char *const name[] = { "UNDEFINED", "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64",
                                        "STRING", "BOOL", "FLOAT16", "DOUBLE", "UINT32", "UINT64" };
    ln_attr_value *a = ln_onnx_attr(n, "to");

    LN_UNUSED(g);
    if (!a || a->type != LN_ATTR_STR)
        return LINNET_OK;
    for (size_t i = 1; i < LN_COUNT(name); i++)
        if (strcmp(a->u.s, name[i]) == 0)
            return map_int(m, n, "to", (int64_t)i);
    return map_refuse(m, n, "unknown type in attribute \"to\"");
}

/* The first constants had fewer digits. */
static linnet_status map_selu(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    linnet_status st = LINNET_OK;

    LN_UNUSED(g);
    if (!ln_onnx_attr(n, "alpha"))
        st = map_attribute(m, n, (ln_attr_value){ "alpha", LN_ATTR_F32, { .f = 1.6732f } });
    if (st == LINNET_OK && !ln_onnx_attr(n, "gamma"))
        st = map_attribute(m, n, (ln_attr_value){ "gamma", LN_ATTR_F32, { .f = 1.0507f } });
    return st;
}

/* Without an input that says otherwise, inference leaves data alone. */
static linnet_status map_dropout(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    LN_UNUSED(m);
    LN_UNUSED(g);
    ln_onnx_drop(n, "ratio");
    ln_onnx_drop(n, "is_test");
    n->in_count = LN_MIN(n->in_count, (size_t)1);
    return LINNET_OK;
}

/* A layer without a seed gets one of its own, so that no two draw the same numbers: a hash of its output's name. */
static linnet_status map_seed(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    uint32_t hash = 2166136261u;

    LN_UNUSED(g);
    if (ln_onnx_attr(n, "seed") || n->out_count == 0)
        return LINNET_OK;
    for (const char *s = n->out[0]; *s; s++)
        hash = (hash ^ (uint8_t)*s) * 16777619u;
    if (strcmp(n->op, "Dropout") == 0)
        return map_int(m, n, "seed", hash);
    return map_attribute(m, n, (ln_attr_value){ "seed", LN_ATTR_F32, { .f = (float)(hash >> 8) } });
}

static linnet_status map_grid_sample(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    const ln_attr_value *a = ln_onnx_attr(n, "mode");

    LN_UNUSED(g);
    if (!a || a->type != LN_ATTR_STR)
        return LINNET_OK;
    if (strcmp(a->u.s, "bilinear") == 0)
        return map_text(m, n, "mode", "linear");
    return strcmp(a->u.s, "bicubic") == 0 ? map_text(m, n, "mode", "cubic") : LINNET_OK;
}

static linnet_status map_roi_align(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    LN_UNUSED(g);
    return map_text(m, n, "coordinate_transformation_mode", "output_half_pixel");
}

static linnet_status map_scatter(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    LN_UNUSED(m);
    LN_UNUSED(g);
    n->op = "ScatterElements";
    return LINNET_OK;
}

/* The first Tile took a count and an axis. */
static linnet_status map_tile(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    if (n->in_count != 3)
        return LINNET_OK;
    const ln_value *tiles = ln_onnx_constant(g, n->in[1]), *axis = ln_onnx_constant(g, n->in[2]);
    const int32_t rank = ln_onnx_hint(m, g, n->in[0]).rank;
    ln_onnx_build b = { m, g, n, LINNET_OK };
    int64_t repeat[LN_MAX_RANK];
    int32_t at;

    if (!tiles || !axis || tiles->size == 0 || axis->size == 0 || rank < 0 ||
        !ln_axis(ln_get_i64(axis->desc.dtype, axis->data, 0), rank, &at))
        return map_refuse(m, n, "its count and axis must be constants");
    for (int32_t i = 0; i < rank; i++)
        repeat[i] = i == at ? ln_get_i64(tiles->desc.dtype, tiles->data, 0) : 1;
    n->in_count = 2;
    n->in[1] = ln_onnx_i64s(&b, repeat, (size_t)rank);
    return b.st;
}

/* ---- resizing ---------------------------------------------------------------------------------------- */

/*
 * What grows takes the nearest below, what shrinks the nearest above. Where one layer does both,
 * or its scales are not known here, growing comes first and shrinking in a second layer.
 */
static linnet_status map_resize_twice(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    ln_onnx_build b = { m, g, n, LINNET_OK };
    const char *one = ln_onnx_scalar(&b, LINNET_F32, 1);
    const char *up = ln_onnx_add(&b, "Max", n->in[2], one, NULL, NULL, NULL);
    const char *down = ln_onnx_add(&b, "Min", n->in[2], one, NULL, NULL, NULL);
    const char *in[3] = { n->in[0], "", up }, *mid = ln_onnx_hidden(&b);

    if (b.st || (b.st = map_text(m, n, "nearest_mode", "floor")) != LINNET_OK)
        return b.st;
    n->in[0] = mid;
    n->in[2] = down;
    b.st = ln_graph_node(g, "Resize", n->name, in, 3, &mid, 1, n->attr, n->attr_count, NULL, m->err);
    return b.st ? b.st : map_text(m, n, "nearest_mode", "ceil");
}

/* Before opset 11 coordinates were scaled from the corner, and nearest meant floor, or ceiling when shrinking. */
static linnet_status map_resize_old(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    const ln_attr_value *mode = ln_onnx_attr(n, "mode");
    linnet_status st;

    if (n->in_count < 2)
        return LINNET_OK;
    const char *given = n->in[1];
    const ln_value *scales = ln_onnx_constant(g, given);
    bool up = !scales, down = !scales;
    for (size_t i = 0; scales && scales->desc.dtype == LINNET_F32 && i < scales->size / 4; i++) {
        const double s = ln_get_f64(LINNET_F32, scales->data, i);
        up |= s > 1;
        down |= s < 1;
    }
    if ((st = map_input(m, n, 2, given)) != LINNET_OK ||
        (st = map_text(m, n, "coordinate_transformation_mode", "asymmetric")) != LINNET_OK)
        return st;
    n->in[1] = "";
    if (mode && mode->type == LN_ATTR_STR && strcmp(mode->u.s, "nearest") != 0)
        return LINNET_OK;
    return up && down ? map_resize_twice(m, g, n) : map_text(m, n, "nearest_mode", down ? "ceil" : "floor");
}

static linnet_status map_upsample(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    const ln_attr_value *a = ln_onnx_attr(n, "scales"), *h = ln_onnx_attr(n, "height_scale"),
                        *w = ln_onnx_attr(n, "width_scale"), *mode = ln_onnx_attr(n, "mode");
    float scale[4] = { 1, 1, 1, 1 };
    const float *v = scale;
    size_t count = 0;
    linnet_status st;

    if (a && a->type == LN_ATTR_FLOATS) {
        v = a->u.floats.v;
        count = a->u.floats.count;
    } else if (h && w && h->type == LN_ATTR_F32 && w->type == LN_ATTR_F32) {
        scale[2] = h->u.f;
        scale[3] = w->u.f;
        count = 4;
    }
    if (count && !map_has_input(n, 1)) {
        ln_onnx_build b = { m, g, n, LINNET_OK };
        const ln_desc d = { LINNET_F32, 1, { (int64_t)count } };
        const char *name = build_constant(&b, &d, v, count * sizeof *v);
        if (b.st || (b.st = map_input(m, n, 1, name)) != LINNET_OK)
            return b.st;
    }
    if (mode && mode->type == LN_ATTR_STR && strcmp(mode->u.s, "bilinear") == 0 &&
        (st = map_text(m, n, "mode", "linear")) != LINNET_OK)
        return st;
    ln_onnx_drop(n, "scales");
    ln_onnx_drop(n, "height_scale");
    ln_onnx_drop(n, "width_scale");
    n->op = "Resize";
    return map_resize_old(m, g, n);
}

/* Empty constants stood for inputs that are not there. */
static linnet_status map_resize(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    LN_UNUSED(m);
    for (size_t i = 1; i < n->in_count; i++) {
        const ln_value *v = ln_onnx_constant(g, n->in[i]);
        if (v && v->size == 0)
            n->in[i] = "";
    }
    return LINNET_OK;
}

/* ---- the ones that take several nodes ------------------------------------------------------------------ */

static linnet_status map_broadcast(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    const ln_attr_value *axis = ln_onnx_attr(n, "axis");
    const int64_t at = ln_onnx_attr_i64(n, "axis", -1);
    const bool move = axis && ln_onnx_attr_i64(n, "broadcast", 0) == 1;

    ln_onnx_drop(n, "axis");
    ln_onnx_drop(n, "broadcast");
    return move && n->in_count == 2 ? ln_onnx_expand_broadcast(m, g, n, at) : LINNET_OK;
}

/* The slope belonged to the channels, axis 1. */
static linnet_status map_prelu(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    if (n->in_count != 2)
        return LINNET_OK;
    const ln_desc d = ln_onnx_hint(m, g, n->in[1]);
    return d.rank == 1 && d.dim[0] != 1 ? ln_onnx_expand_broadcast(m, g, n, 1) : LINNET_OK;
}

static linnet_status map_batch_norm(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    const bool spatial = ln_onnx_attr_i64(n, "spatial", 1) != 0;

    ln_onnx_drop(n, "spatial");
    ln_onnx_drop(n, "is_test");
    n->out_count = LN_MIN(n->out_count, (size_t)1); /* the others are of training */
    return spatial ? LINNET_OK : ln_onnx_expand_batch_norm(m, g, n);
}

/* ---- Constant ---------------------------------------------------------------------------------------------- */

static linnet_status map_constant(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    const ln_attr_value *a = n->attr;
    ln_desc d = { .rank = 1 };
    const void *data;

    if (n->attr_count != 1 || n->out_count != 1)
        return map_refuse(m, n, "it must have one attribute and one output");
    n->op = NULL;
    switch (a->type) {
    case LN_ATTR_TENSOR:
        return ln_graph_constant(g, n->out[0], &a->u.tensor->desc, a->u.tensor->data, a->u.tensor->size, NULL,
                                 m->err);
    case LN_ATTR_I64: d = (ln_desc){ .dtype = LINNET_I64 }; data = &a->u.i; break;
    case LN_ATTR_F32: d = (ln_desc){ .dtype = LINNET_F32 }; data = &a->u.f; break;
    case LN_ATTR_STR: d = (ln_desc){ .dtype = LINNET_STRING }; data = &a->u.s; break;
    case LN_ATTR_INTS:
        d.dtype = LINNET_I64;
        d.dim[0] = (int64_t)a->u.ints.count;
        data = a->u.ints.v;
        break;
    case LN_ATTR_FLOATS:
        d.dtype = LINNET_F32;
        d.dim[0] = (int64_t)a->u.floats.count;
        data = a->u.floats.v;
        break;
    case LN_ATTR_STRS:
        d.dtype = LINNET_STRING;
        d.dim[0] = (int64_t)a->u.strs.count;
        data = a->u.strs.v;
        break;
    default:
        n->op = "Constant";
        return map_refuse(m, n, "unknown kind of value");
    }
    size_t size;
    if (!ln_desc_bytes(&d, &size))
        return ln_onnx_bad(m, n->at, "Constant");
    void *copy = ln_arena_copy(g->arena, data, size);
    if (!copy)
        return ln_onnx_full(m);
    const char **text = copy;
    for (size_t i = 0; d.dtype == LINNET_STRING && i < ln_count(&d); i++)
        if (!(text[i] = ln_arena_string(g->arena, text[i], strlen(text[i]))))
            return ln_onnx_full(m);
    return ln_graph_constant(g, n->out[0], &d, copy, size, NULL, m->err);
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

typedef struct map_rule {
    const char *op;
    int64_t     before; /* for opsets below this one */
    linnet_status (*map)(ln_onnx *m, ln_graph *g, ln_onnx_node *n);
} map_rule;

#define MAP_ALWAYS INT64_MAX

/* Where an operator has several lines they apply in order. To other domains only those that always do. */
static const map_rule map_rules[] = {
    { "Constant", MAP_ALWAYS, map_constant },
    { "Add", 7, map_broadcast },
    { "Sub", 7, map_broadcast },
    { "Mul", 7, map_broadcast },
    { "Div", 7, map_broadcast },
    { "Pow", 7, map_broadcast },
    { "And", 7, map_broadcast },
    { "Or", 7, map_broadcast },
    { "Xor", 7, map_broadcast },
    { "Equal", 7, map_broadcast },
    { "Greater", 7, map_broadcast },
    { "Less", 7, map_broadcast },
    { "PRelu", 7, map_prelu },
    { "BatchNormalization", 14, map_batch_norm },
    { "Cast", 6, map_cast },
    { "Clip", 11, map_clip },
    { "Concat", 4, map_concat },
    { "DFT", 20, map_dft },
    { "Dropout", 12, map_dropout },
    { "Dropout", MAP_ALWAYS, map_seed },
    { "RandomUniform", MAP_ALWAYS, map_seed },
    { "RandomNormal", MAP_ALWAYS, map_seed },
    { "RandomUniformLike", MAP_ALWAYS, map_seed },
    { "RandomNormalLike", MAP_ALWAYS, map_seed },
    { "Bernoulli", MAP_ALWAYS, map_seed },
    { "Multinomial", MAP_ALWAYS, map_seed },
    { "Gemm", 7, map_gemm },
    { "GlobalLpPool", 2, map_lp },
    { "LpPool", 2, map_lp },
    { "GridSample", 20, map_grid_sample },
    { "GroupNormalization", 21, ln_onnx_expand_group_norm },
    { "GRU", 7, map_recurrent },
    { "LSTM", 7, map_recurrent },
    { "RNN", 7, map_recurrent },
    { "Softmax", 13, ln_onnx_expand_softmax },
    { "LogSoftmax", 13, ln_onnx_expand_softmax },
    { "Hardmax", 13, ln_onnx_expand_softmax },
    { "Pad", 11, map_pad },
    { "ReduceSum", 13, map_axes },
    { "ReduceMean", 18, map_axes },
    { "ReduceMax", 18, map_axes },
    { "ReduceMin", 18, map_axes },
    { "ReduceProd", 18, map_axes },
    { "ReduceL1", 18, map_axes },
    { "ReduceL2", 18, map_axes },
    { "ReduceLogSum", 18, map_axes },
    { "ReduceLogSumExp", 18, map_axes },
    { "ReduceSumSquare", 18, map_axes },
    { "Squeeze", 13, map_axes },
    { "Unsqueeze", 13, map_axes },
    { "Reshape", 5, map_reshape },
    { "Resize", 11, map_resize_old },
    { "Resize", MAP_ALWAYS, map_resize },
    { "Upsample", MAP_ALWAYS, map_upsample },
    { "RoiAlign", 16, map_roi_align },
    { "Scan", 9, ln_onnx_expand_scan },
    { "Scatter", MAP_ALWAYS, map_scatter },
    { "Selu", 6, map_selu },
    { "Slice", 10, map_slice },
    { "Split", 18, map_split },
    { "Tile", 6, map_tile },
    { "TopK", 10, map_topk },
    { "com.microsoft.QAttention", MAP_ALWAYS, ln_onnx_expand_quantised_attention },
    { "ai.onnx.preview.FlexAttention", MAP_ALWAYS, ln_onnx_expand_flex },
};

/* Operators of other domains that mean the same as a standard one. */
static const char *const map_alias[][2] = {
    { "com.microsoft.Gelu", "Gelu" },
    { "com.microsoft.QuantizeLinear", "QuantizeLinear" },
    { "com.microsoft.DequantizeLinear", "DequantizeLinear" },
    { "com.microsoft.Trilu", "Trilu" },
    { "com.microsoft.TransposeMatMul", "com.microsoft.FusedMatMul" },
    { "com.microsoft.Unique", "Unique" },
    { "com.microsoft.Range", "Range" },
    { "com.microsoft.Pad", "Pad" },
};

static linnet_status map_domain(ln_onnx *m, ln_onnx_node *n)
{
    const size_t size = strlen(n->domain) + strlen(n->op) + 2;
    char *name = ln_arena_alloc(&m->temp, size, 1);

    if (!name)
        return ln_onnx_full(m);
    ln_print(name, size, "%s.%s", n->domain, n->op);
    n->op = name;
    for (size_t i = 0; i < LN_COUNT(map_alias); i++)
        if (strcmp(name, map_alias[i][0]) == 0)
            n->op = map_alias[i][1];
    return LINNET_OK;
}

linnet_status ln_onnx_map(ln_onnx *m, ln_graph *g, ln_onnx_node *n)
{
    linnet_status st = LINNET_OK;

    if (n->domain[0])
        st = map_domain(m, n);
    else if (n->opset < 8)
        ln_onnx_drop(n, "consumed_inputs"); /* a hint for memory that the first operators had */
    for (size_t i = 0; n->op && st == LINNET_OK && i < LN_COUNT(map_rules); i++)
        if ((n->domain[0] ? INT64_MAX - 1 : n->opset) < map_rules[i].before && strcmp(n->op, map_rules[i].op) == 0)
            st = map_rules[i].map(m, g, n);
    if (st || !n->op)
        return st;
    return ln_graph_node(g, n->op, n->name, n->in, n->in_count, n->out, n->out_count, n->attr, n->attr_count, NULL,
                         m->err);
}

#undef MAP_ALWAYS
