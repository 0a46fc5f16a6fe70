/*
 * model.c - linnet_model: opening, life, inspection.
 */
#include "api.h"

#include "../format/format.h"

/* ---- options ------------------------------------------------------------------- */

linnet_status ln_options_read(const linnet_options *opt, linnet_options *out, linnet_limits *limits,
                              linnet_error *err)
{
    linnet_limits given = { 0 };

    linnet_options_init(out);
    if (opt) {
        if (opt->struct_size < offsetof(linnet_options, pool) || opt->struct_size > 4096)
            return ln_fail(err, LINNET_ERR_ARGUMENT,
                           "options.struct_size is %u: fill options with linnet_options_init() first",
                           (unsigned)opt->struct_size);
        memcpy(out, opt, LN_MIN((size_t)opt->struct_size, sizeof *out));
    }
    if (out->limits) {
        if (out->limits->struct_size < sizeof(uint32_t) * 2 || out->limits->struct_size > 4096)
            return ln_fail(err, LINNET_ERR_ARGUMENT, "limits.struct_size is %u",
                           (unsigned)out->limits->struct_size);
        memcpy(&given, out->limits, LN_MIN((size_t)out->limits->struct_size, sizeof given));
    }
    if (given.rank > LN_MAX_RANK)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "limits.rank is %u; at most %d is possible",
                       (unsigned)given.rank, LN_MAX_RANK);
    *limits = (linnet_limits){
        .struct_size = sizeof *limits,
        .rank      = given.rank ? given.rank : LN_MAX_RANK,
        .file_size = given.file_size ? given.file_size : (uint64_t)16 << 30,
        .tensors   = given.tensors ? given.tensors : (uint64_t)1 << 20,
        .nodes     = given.nodes ? given.nodes : (uint64_t)1 << 20,
        .elements  = given.elements ? given.elements : (uint64_t)1 << 33,
        .memory    = given.memory ? given.memory : (uint64_t)64 << 30,
        .iterations = given.iterations ? given.iterations : (uint64_t)1 << 24,
    };
    if (limits->memory > SIZE_MAX / 2)
        limits->memory = SIZE_MAX / 2;
    return LINNET_OK;
}

bool ln_given(const void *p, const char *what, linnet_error *err)
{
    if (!p)
        ln_fail(err, LINNET_ERR_ARGUMENT, "%s is NULL", what);
    return p != NULL;
}

/* ---- life ------------------------------------------------------------------------ */

static void model_destroy(linnet_model *m)
{
    const linnet_allocator alloc = m->alloc;

    ln_cache_free(m->cache);
    ln_arena_free(&m->arena);
    ln_file_close(&m->file, &alloc);
    ln_free(&alloc, m, sizeof *m);
}

void ln_model_retain(const linnet_model *m)
{
    atomic_fetch_add(&((linnet_model *)(uintptr_t)m)->refs, 1);
}

void ln_model_release(linnet_model *m)
{
    if (m && atomic_fetch_sub(&m->refs, 1) == 1)
        model_destroy(m);
}

void linnet_model_free(linnet_model *m)
{
    ln_model_release(m);
}

linnet_status ln_model_new(const linnet_options *opt, linnet_model **out, linnet_error *err)
{
    linnet_options o;
    linnet_limits limits;
    linnet_status st = ln_options_read(opt, &o, &limits, err);

    if (st)
        return st;
    const linnet_allocator alloc = ln_allocator(&o);
    linnet_model *m = ln_alloc(&alloc, sizeof *m);
    if (!m)
        return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for a model");
    m->alloc = alloc;
    m->limits = limits;
    m->format = "code";
    atomic_init(&m->refs, 1);
    ln_arena_init(&m->arena, &m->alloc, (size_t)limits.memory);
    m->tests = ln_arena_alloc(&m->arena, 1, sizeof *m->tests);
    st = m->tests ? ln_cache_create(&m->alloc, &m->cache) : LINNET_ERR_MEMORY;
    if (st)
        ln_fail(err, st, "out of memory for a model");
    else
        st = ln_graph_new(&m->arena, &m->limits, NULL, &m->graph, err);
    if (!st)
        st = ln_custom_ops(&o, m->graph, err);
    if (st) {
        model_destroy(m);
        return st;
    }
    *out = m;
    return LINNET_OK;
}

linnet_status ln_model_finish(linnet_model *m, linnet_error *err)
{
    const ln_graph *g = m->graph;

    m->layer = ln_arena_alloc(&m->arena, g->node_count + 1, sizeof *m->layer);
    if (!m->layer)
        return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for a model");
    for (size_t i = 0; i < g->node_count; i++) {
        linnet_layer *l = g->node[i].layer;
        if (!l && !(l = ln_arena_alloc(&m->arena, 1, sizeof *l)))
            return ln_fail(err, LINNET_ERR_MEMORY, "out of memory for a model");
        l->model = m;
        l->node = (int32_t)i;
        m->layer[i] = l;
    }
    for (size_t i = 0; i < g->value_count; i++)
        m->weight_bytes += g->value[i].constant ? g->value[i].size : 0;
    ln_cache_expect(m->cache, m->weight_bytes);
    ln_cache_use(m->cache, &m->packs);
    m->finished = true;
    return LINNET_OK;
}

/* ---- opening ------------------------------------------------------------------------ */

/* `owned` (NULL: the bytes are the caller's) goes to the model, or is closed on failure. */
static linnet_status model_parse(const void *data, size_t size, const ln_file *owned, const linnet_options *opt,
                                 linnet_model **out, linnet_error *err)
{
    const ln_file none = { NULL, 0, false };
    linnet_options o;
    linnet_limits limits;
    linnet_model *m = NULL;
    linnet_status st = ln_options_read(opt, &o, &limits, err);

    if (!st)
        st = ln_model_new(&o, &m, err);
    if (st) {
        const linnet_allocator alloc = ln_allocator(st == LINNET_ERR_ARGUMENT ? NULL : &o);
        ln_file_close(owned ? owned : &none, &alloc);
        return st;
    }
    m->file = owned ? *owned : none;
    if (size > limits.file_size) {
        st = ln_fail(err, LINNET_ERR_LIMIT, "the model has %llu bytes, the limit is %llu",
                     (unsigned long long)size, (unsigned long long)limits.file_size);
    } else if (ln_lnt_is(data, size)) {
        m->format = "lnt";
        st = ln_lnt_read(m->graph, data, size, m->file.mapped, &o, m->tests, &m->packs, err);
    } else if (ln_onnx_is(data, size)) {
        m->format = "onnx";
        st = ln_onnx_read(m->graph, data, size, m->file.mapped, &o, err);
    } else {
        st = ln_fail(err, LINNET_ERR_FORMAT, "these %zu bytes are neither .lnt nor ONNX", size);
    }
    if (!st)
        st = ln_model_finish(m, err);
    if (st) {
        model_destroy(m);
        return st;
    }
    *out = m;
    return LINNET_OK;
}

linnet_status linnet_model_load(const void *data, size_t size, const linnet_options *opt,
                                linnet_model **out, linnet_error *err)
{
    linnet_options o;
    linnet_limits limits;

    if (!ln_given(out, "out", err))
        return LINNET_ERR_ARGUMENT;
    *out = NULL;
    if (!ln_given(data, "data", err))
        return LINNET_ERR_ARGUMENT;
    const linnet_status st = ln_options_read(opt, &o, &limits, err);
    if (st)
        return st;
    if (!o.copy || size == 0)
        return model_parse(data, size, NULL, opt, out, err);
    const linnet_allocator alloc = ln_allocator(&o);
    void *copy = size > limits.file_size ? NULL : ln_alloc(&alloc, size);
    if (!copy)
        return ln_fail(err, size > limits.file_size ? LINNET_ERR_LIMIT : LINNET_ERR_MEMORY,
                       "no memory for a copy of %zu bytes", size);
    memcpy(copy, data, size);
    return model_parse(copy, size, &(ln_file){ copy, size, false }, opt, out, err);
}

linnet_status linnet_model_read(linnet_read_fn read, void *user, const linnet_options *opt,
                                linnet_model **out, linnet_error *err)
{
    linnet_options o;
    linnet_limits limits;
    char *data = NULL;
    size_t size = 0, room = 0;

    if (!ln_given(out, "out", err))
        return LINNET_ERR_ARGUMENT;
    *out = NULL;
    if (!read)
        return ln_fail(err, LINNET_ERR_ARGUMENT, "read is NULL");
    linnet_status st = ln_options_read(opt, &o, &limits, err);
    if (st)
        return st;
    const linnet_allocator alloc = ln_allocator(&o);
    for (;;) {
        if (size == room) {
            const size_t more = room ? room * 2 : (size_t)1 << 16;
            char *bigger = room > limits.file_size ? NULL : ln_alloc(&alloc, more);
            if (!bigger) {
                st = room > limits.file_size ? LINNET_ERR_LIMIT : LINNET_ERR_MEMORY;
                ln_fail(err, st, "no memory for a model of more than %zu bytes", size);
                break;
            }
            if (size)
                memcpy(bigger, data, size);
            ln_free(&alloc, data, room);
            data = bigger;
            room = more;
        }
        const int64_t got = read(user, data + size, room - size);
        if (got < 0 || (uint64_t)got > room - size) {
            st = ln_fail(err, LINNET_ERR_IO, "reading failed behind %zu bytes", size);
            break;
        }
        if (got == 0)
            break;
        size += (size_t)got;
    }
    if (!st && size) { /* an exact copy: free() is told the size that was asked for */
        char *exact = ln_alloc(&alloc, size);
        if (exact)
            memcpy(exact, data, size);
        else
            st = ln_fail(err, LINNET_ERR_MEMORY, "no memory for a model of %zu bytes", size);
        ln_free(&alloc, data, room);
        return st ? st : model_parse(exact, size, &(ln_file){ exact, size, false }, opt, out, err);
    }
    ln_free(&alloc, data, room);
    return st ? st : ln_fail(err, LINNET_ERR_FORMAT, "the model is empty");
}

linnet_status ln_file_load(const char *path, const linnet_options *opt, bool copy, ln_file *out, linnet_allocator *alloc,
                           linnet_error *err)
{
    linnet_options o;
    linnet_limits limits;

    if (!ln_given(path, "path", err))
        return LINNET_ERR_ARGUMENT;
    const linnet_status st = ln_options_read(opt, &o, &limits, err);
    if (st)
        return st;
    *alloc = ln_allocator(&o);
    return ln_file_open(path, alloc, limits.file_size, copy || o.copy, out, err);
}

linnet_status linnet_model_open(const char *path, const linnet_options *opt, linnet_model **out,
                                linnet_error *err)
{
    linnet_allocator alloc;
    ln_file file;

    if (!ln_given(out, "out", err))
        return LINNET_ERR_ARGUMENT;
    *out = NULL;
    const linnet_status st = ln_file_load(path, opt, false, &file, &alloc, err);
    return st ? st : model_parse(file.data, file.size, &file, opt, out, err);
}

/* ---- inspection ------------------------------------------------------------------------ */

void ln_value_info(const ln_value *v, linnet_value_info *out)
{
    memset(out, 0, sizeof *out);
    out->name = v->name;
    out->dtype = v->desc.dtype;
    out->rank = v->desc.rank;
    out->kind = v->kind;
    for (int32_t i = 0; i < v->desc.rank; i++) {
        out->dims[i] = v->desc.dim[i];
        out->symbol[i] = v->symbol[i];
    }
}

size_t linnet_model_input_count(const linnet_model *m) { return m ? m->graph->input_count : 0; }
size_t linnet_model_output_count(const linnet_model *m) { return m ? m->graph->output_count : 0; }

linnet_status linnet_model_input(const linnet_model *m, size_t i, linnet_value_info *out)
{
    if (!m || !out || i >= m->graph->input_count)
        return LINNET_ERR_ARGUMENT;
    ln_value_info(&m->graph->value[m->graph->input[i]], out);
    return LINNET_OK;
}

linnet_status linnet_model_output(const linnet_model *m, size_t i, linnet_value_info *out)
{
    if (!m || !out || i >= m->graph->output_count)
        return LINNET_ERR_ARGUMENT;
    ln_value_info(&m->graph->value[m->graph->output[i]], out);
    return LINNET_OK;
}

static int32_t model_find(const ln_graph *g, const int32_t *list, size_t count, const char *name)
{
    for (size_t i = 0; name && i < count; i++)
        if (strcmp(g->value[list[i]].name, name) == 0)
            return (int32_t)i;
    return -1;
}

int32_t linnet_model_find_input(const linnet_model *m, const char *name)
{
    return m ? model_find(m->graph, m->graph->input, m->graph->input_count, name) : -1;
}

int32_t linnet_model_find_output(const linnet_model *m, const char *name)
{
    return m ? model_find(m->graph, m->graph->output, m->graph->output_count, name) : -1;
}

const char *linnet_model_format(const linnet_model *m) { return m ? m->format : ""; }
uint64_t linnet_model_weight_bytes(const linnet_model *m) { return m ? m->weight_bytes : 0; }

size_t linnet_model_weight_count(const linnet_model *m)
{
    size_t n = 0;

    for (size_t i = 0; m && i < m->graph->value_count; i++)
        n += m->graph->value[i].constant;
    return n;
}

linnet_status linnet_model_weight(const linnet_model *m, size_t i, linnet_value_info *out,
                                  const void **data, size_t *size)
{
    if (!m || !out)
        return LINNET_ERR_ARGUMENT;
    for (size_t k = 0; k < m->graph->value_count; k++) {
        const ln_value *v = &m->graph->value[k];
        if (!v->constant || i-- > 0)
            continue;
        ln_value_info(v, out);
        const linnet_status st = data ? ln_prove_value(m, (int32_t)k, NULL) : LINNET_OK;
        if (st)
            return st;
        if (data && v->size && !(*data = ln_model_aligned((linnet_model *)(uintptr_t)m, v, NULL)))
            return LINNET_ERR_MEMORY;
        if (data && !v->size)
            *data = NULL;
        if (size)
            *size = v->size;
        return LINNET_OK;
    }
    return LINNET_ERR_ARGUMENT;
}

size_t linnet_model_meta_count(const linnet_model *m) { return m ? m->graph->meta_count : 0; }

const char *linnet_model_meta_key(const linnet_model *m, size_t i)
{
    return m && i < m->graph->meta_count ? m->graph->meta[i].key : NULL;
}

const char *linnet_model_meta_value(const linnet_model *m, size_t i)
{
    return m && i < m->graph->meta_count ? m->graph->meta[i].value : NULL;
}

const char *linnet_model_meta(const linnet_model *m, const char *key)
{
    for (size_t i = 0; m && key && i < m->graph->meta_count; i++)
        if (strcmp(m->graph->meta[i].key, key) == 0)
            return m->graph->meta[i].value;
    return NULL;
}

size_t linnet_model_layer_count(const linnet_model *m) { return m && m->finished ? m->graph->node_count : 0; }

const linnet_layer *linnet_model_layer(const linnet_model *m, size_t i)
{
    return m && m->finished && i < m->graph->node_count ? m->layer[i] : NULL;
}

/* ---- operators ------------------------------------------------------------------------------ */

size_t linnet_op_count(void) { return ln_op_count(); }

const char *linnet_op_name(size_t i)
{
    const ln_op *op = i < ln_op_count() ? ln_op_at(i) : NULL;

    return op ? op->name : NULL;
}
