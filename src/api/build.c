/*
 * build.c - models made by calls: inputs, weights, layers and their attributes, tests, saving.
 */
#include "api.h"

#include "../format/format.h"

/* ---- guards ---------------------------------------------------------------------- */

static bool build_open(const linnet_model *m, const char *name, linnet_error *err)
{
    if (!ln_given(m, "model", err) || !ln_given(name, "name", err))
        return false;
    if (m->finished)
        ln_fail(err, LINNET_ERR_ARGUMENT, "the model is finished: \"%s\" comes too late", name);
    else if (!ln_utf8_ok(name, strlen(name)))
        ln_fail(err, LINNET_ERR_ARGUMENT, "a name is not printable UTF-8");
    else
        return true;
    return false;
}

static linnet_status build_desc(int32_t dtype, int32_t rank, const int64_t *dims, bool open, const char *name,
                                ln_desc *out, linnet_error *err)
{
    if (!ln_dtype(dtype)->name || rank < 0 || rank > LN_MAX_RANK || (rank && !dims))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "\"%s\": no such type or rank", name);
    for (int32_t i = 0; i < rank; i++)
        if (dims[i] < (open ? -1 : 0))
            return ln_fail(err, LINNET_ERR_ARGUMENT, "\"%s\": dimension %d is %lld", name, (int)i,
                           (long long)dims[i]);
    *out = ln_desc_of(dtype, rank, dims);
    return LINNET_OK;
}

/* ---- models -------------------------------------------------------------------------- */

linnet_status linnet_model_create(const linnet_options *opt, linnet_model **out, linnet_error *err)
{
    if (!ln_given(out, "out", err))
        return LINNET_ERR_ARGUMENT;
    *out = NULL;
    return ln_model_new(opt, out, err);
}

linnet_status linnet_model_add_input(linnet_model *m, const char *name, int32_t dtype, int32_t rank,
                                     const int64_t *dims, linnet_error *err)
{
    ln_desc d;

    if (!build_open(m, name, err))
        return LINNET_ERR_ARGUMENT;
    const linnet_status st = build_desc(dtype, rank, dims, true, name, &d, err);
    return st ? st : ln_graph_input(m->graph, name, &d, NULL, NULL, err);
}

linnet_status linnet_model_add_output(linnet_model *m, const char *name, linnet_error *err)
{
    return build_open(m, name, err) ? ln_graph_output(m->graph, name, err) : LINNET_ERR_ARGUMENT;
}

linnet_status linnet_model_add_weight(linnet_model *m, const char *name, int32_t dtype, int32_t rank,
                                      const int64_t *dims, const void *data, size_t size, linnet_error *err)
{
    ln_desc d;
    size_t bytes;

    if (!build_open(m, name, err))
        return LINNET_ERR_ARGUMENT;
    const linnet_status st = build_desc(dtype, rank, dims, false, name, &d, err);
    if (st)
        return st;
    if (!ln_desc_bytes(&d, &bytes) || bytes != size || (size && !data))
        return ln_fail(err, LINNET_ERR_ARGUMENT, "weight \"%s\": %zu bytes do not fill its shape", name, size);
    if (dtype == LINNET_STRING)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "weight \"%s\": strings cannot be given by code", name);
    char *copy = ln_arena_alloc(&m->arena, 1, size + LN_ALIGN);
    if (!copy)
        return ln_fail(err, LINNET_ERR_MEMORY, "no memory for weight \"%s\"", name);
    copy += -(uintptr_t)copy & (LN_ALIGN - 1);
    if (size)
        memcpy(copy, data, size);
    return ln_graph_constant(m->graph, name, &d, copy, size, NULL, err);
}

static linnet_status build_one_weight(void *user, const char *name, const ln_desc *d, const void *data,
                                      size_t size, linnet_error *err)
{
    return linnet_model_add_weight(user, name, d->dtype, d->rank, d->dim, data, size, err);
}

linnet_status linnet_model_add_weights(linnet_model *m, const void *data, size_t size, linnet_error *err)
{
    if (!build_open(m, "weights", err) || !ln_given(data, "data", err))
        return LINNET_ERR_ARGUMENT;
    return ln_safetensors_read(data, size, &m->limits, &m->alloc, build_one_weight, m, err);
}

linnet_status linnet_model_open_weights(linnet_model *m, const char *path, linnet_error *err)
{
    ln_file file;

    if (!build_open(m, "weights", err) || !ln_given(path, "path", err))
        return LINNET_ERR_ARGUMENT;
    linnet_status st = ln_file_open(path, &m->alloc, m->limits.file_size, true, &file, err);
    if (st)
        return st;
    st = linnet_model_add_weights(m, file.data, file.size, err);
    ln_file_close(&file, &m->alloc);
    return st;
}

linnet_status linnet_model_set_meta(linnet_model *m, const char *key, const char *value, linnet_error *err)
{
    if (!ln_given(m, "model", err) || !ln_given(key, "key", err) || !ln_given(value, "value", err))
        return LINNET_ERR_ARGUMENT;
    return ln_graph_meta(m->graph, key, value, err);
}

linnet_status linnet_model_finish(linnet_model *m, linnet_error *err)
{
    if (!ln_given(m, "model", err))
        return LINNET_ERR_ARGUMENT;
    if (m->finished)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "the model is finished already");
    const linnet_status st = ln_graph_finish(m->graph, err);
    return st ? st : ln_model_finish(m, err);
}

/* ---- layers ------------------------------------------------------------------------------ */

linnet_status linnet_layer_add(linnet_model *m, const char *op, const char *name,
                               const char *const *inputs, size_t input_count,
                               const char *const *outputs, size_t output_count,
                               linnet_layer **out, linnet_error *err)
{
    int32_t index;

    if (out)
        *out = NULL;
    if (!build_open(m, name, err) || !ln_given(op, "op", err) || (input_count && !ln_given(inputs, "inputs", err)) ||
        !ln_given(outputs, "outputs", err))
        return LINNET_ERR_ARGUMENT;
    linnet_layer *l = ln_arena_alloc(&m->arena, 1, sizeof *l);
    if (!l)
        return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for layer \"%s\"", name);
    const linnet_status st = ln_graph_node(m->graph, op, name, inputs, input_count, outputs, output_count,
                                           NULL, 0, &index, err);
    if (st)
        return st;
    l->model = m;
    l->node = index;
    m->graph->node[index].layer = l;
    if (out)
        *out = l;
    return LINNET_OK;
}

static linnet_status layer_set(linnet_layer *l, const ln_attr_value *v, linnet_error *err)
{
    if (!ln_given(l, "layer", err) || !build_open(l->model, v->name, err))
        return LINNET_ERR_ARGUMENT;
    return ln_graph_set_attr(l->model->graph, l->node, v, err);
}

linnet_status linnet_layer_set_int(linnet_layer *l, const char *name, int64_t v, linnet_error *err)
{
    const ln_attr_value a = { name, LN_ATTR_I64, { .i = v } };

    return layer_set(l, &a, err);
}

linnet_status linnet_layer_set_float(linnet_layer *l, const char *name, float v, linnet_error *err)
{
    const ln_attr_value a = { name, LN_ATTR_F32, { .f = v } };

    return layer_set(l, &a, err);
}

linnet_status linnet_layer_set_string(linnet_layer *l, const char *name, const char *v, linnet_error *err)
{
    const ln_attr_value a = { name, LN_ATTR_STR, { .s = v } };

    return ln_given(v, "the value", err) ? layer_set(l, &a, err) : LINNET_ERR_ARGUMENT;
}

linnet_status linnet_layer_set_ints(linnet_layer *l, const char *name, const int64_t *v, size_t count,
                                    linnet_error *err)
{
    const ln_attr_value a = { name, LN_ATTR_INTS, { .ints = { v, count } } };

    return v || !count ? layer_set(l, &a, err) : ln_fail(err, LINNET_ERR_ARGUMENT, "the values are NULL");
}

linnet_status linnet_layer_set_floats(linnet_layer *l, const char *name, const float *v, size_t count,
                                      linnet_error *err)
{
    const ln_attr_value a = { name, LN_ATTR_FLOATS, { .floats = { v, count } } };

    return v || !count ? layer_set(l, &a, err) : ln_fail(err, LINNET_ERR_ARGUMENT, "the values are NULL");
}

static const ln_node *layer_node(const linnet_layer *l) { return &l->model->graph->node[l->node]; }

static const char *layer_value(const linnet_layer *l, const int32_t *list, int32_t count, size_t i)
{
    return i < (size_t)count && list[i] != LN_NONE ? l->model->graph->value[list[i]].name : "";
}

const char *linnet_layer_op(const linnet_layer *l) { return l ? layer_node(l)->op->name : ""; }
const char *linnet_layer_name(const linnet_layer *l) { return l ? layer_node(l)->name : ""; }
size_t linnet_layer_input_count(const linnet_layer *l) { return l ? (size_t)layer_node(l)->in_count : 0; }
size_t linnet_layer_output_count(const linnet_layer *l) { return l ? (size_t)layer_node(l)->out_count : 0; }
size_t linnet_layer_attr_count(const linnet_layer *l) { return l ? layer_node(l)->attr_count : 0; }

const char *linnet_layer_input(const linnet_layer *l, size_t i)
{
    return l ? layer_value(l, layer_node(l)->in, layer_node(l)->in_count, i) : "";
}

const char *linnet_layer_output(const linnet_layer *l, size_t i)
{
    return l ? layer_value(l, layer_node(l)->out, layer_node(l)->out_count, i) : "";
}

const char *linnet_layer_attr_name(const linnet_layer *l, size_t i)
{
    return l && i < layer_node(l)->attr_count ? layer_node(l)->attr[i].name : NULL;
}

/* Appends to out[0 .. size) what fits of text; counts all. */
static void layer_append(char *out, size_t size, size_t *length, const char *text)
{
    for (; *text; text++, ++*length)
        if (*length + 1 < size)
            out[*length] = *text;
}

size_t linnet_layer_attr_text(const linnet_layer *l, size_t i, char *out, size_t size)
{
    char number[64];
    size_t length = 0;

    if (!l || i >= layer_node(l)->attr_count || (!out && size))
        return 0;
    const ln_attr_value *a = &layer_node(l)->attr[i];
    const bool list = a->type == LN_ATTR_INTS || a->type == LN_ATTR_FLOATS || a->type == LN_ATTR_STRS;
    const size_t count = a->type == LN_ATTR_INTS ? a->u.ints.count : a->type == LN_ATTR_FLOATS ? a->u.floats.count
                       : a->type == LN_ATTR_STRS ? a->u.strs.count : 1;
    if (list)
        layer_append(out, size, &length, "[");
    for (size_t k = 0; k < count; k++) {
        const char *text = number;
        if (k)
            layer_append(out, size, &length, ", ");
        switch (a->type) {
        case LN_ATTR_I64:    ln_print(number, sizeof number, "%lld", (long long)a->u.i); break;
        case LN_ATTR_INTS:   ln_print(number, sizeof number, "%lld", (long long)a->u.ints.v[k]); break;
        case LN_ATTR_F32:    ln_print(number, sizeof number, "%g", (double)a->u.f); break;
        case LN_ATTR_FLOATS: ln_print(number, sizeof number, "%g", (double)a->u.floats.v[k]); break;
        case LN_ATTR_STR:    text = a->u.s; break;
        case LN_ATTR_STRS:   text = a->u.strs.v[k]; break;
        case LN_ATTR_GRAPH:  text = "(graph)"; break;
        default:             text = "(tensor)"; break;
        }
        layer_append(out, size, &length, text);
    }
    if (list)
        layer_append(out, size, &length, "]");
    if (size)
        out[LN_MIN(length, size - 1)] = '\0';
    return length;
}

/* ---- saving ------------------------------------------------------------------------------------ */

linnet_status linnet_model_write(const linnet_model *m, linnet_write_fn write, void *user, linnet_error *err)
{
    if (!ln_given(m, "model", err))
        return LINNET_ERR_ARGUMENT;
    if (!write || !m->finished)
        return ln_fail(err, LINNET_ERR_ARGUMENT, write ? "the model is not finished" : "write is NULL");
    const linnet_status st = ln_prove(m, NULL, NULL, err);
    return st ? st : ln_lnt_write(m->graph, m->tests, &m->packs, write, user, &m->alloc, err);
}

/* Plan for the declared shapes, open dimensions as 1. */
static linnet_status build_plan(linnet_session *s, linnet_error *err)
{
    for (size_t i = 0; i < s->graph->input_count && !s->plan; i++) {
        const ln_value *v = &s->graph->value[s->graph->input[i]];
        s->input[i] = v->desc;
        for (int32_t k = 0; k < v->desc.rank; k++)
            s->input[i].dim[k] = v->desc.dim[k] < 0 ? 1 : v->desc.dim[k];
        if (v->desc.dtype == 0 || v->desc.rank < 0 || v->kind != LN_VALUE_TENSOR)
            return ln_fail(err, LINNET_ERR_SHAPE, "input \"%s\" has no declared shape to plan for", v->name);
    }
    return ln_session_plan(s, err);
}

linnet_status linnet_model_pack(linnet_model *m, const linnet_options *opt, linnet_error *err)
{
    linnet_session *s;
    ln_packs packs;

    if (!ln_given(m, "model", err))
        return LINNET_ERR_ARGUMENT;
    if (strcmp(m->format, "lnt") != 0)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "packed weights belong to an .lnt file: save the model and open that");
    linnet_status st = linnet_session_create(m, opt, &s, err);
    if (st)
        return st;
    if ((st = build_plan(s, err)) == LINNET_OK)
        st = ln_prove(m, NULL, NULL, err);
    if (!st && (st = ln_cache_collect(m->cache, &m->packs, &m->arena, &packs)) != LINNET_OK)
        ln_fail(err, st, "out of memory for a list of packed weights");
    if (!st)
        m->packs = packs;
    linnet_session_free(s);
    return st;
}

linnet_status linnet_model_save(const linnet_model *m, const char *path, linnet_error *err)
{
    if (!ln_given(path, "path", err))
        return LINNET_ERR_ARGUMENT;
    return ln_file_write(m, path, err);
}
