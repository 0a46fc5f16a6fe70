/*
 * ml_label_encoder.c - ai.onnx.ml.LabelEncoder: each element looked up in a list of keys.
 *
 * Keys and values stand in attributes: a list of a type, or a tensor. NaN finds NaN. Texts that come out are
 * those of the attributes.
 */
#include "op.h"

typedef struct param {
    ln_ints     keys_i, values_i;
    ln_floats   keys_f, values_f;
    ln_strs     keys_s, values_s;
    const linnet_tensor *keys_t, *values_t, *default_t;
    int64_t     default_i;
    float       default_f;
    const char *default_s;
} param;

/* A list out of an attribute, whichever it is in. */
typedef struct label_list { int32_t dtype; const void *v; size_t count; } label_list;

static label_list label_of(const ln_ints *i, const ln_floats *f, const ln_strs *s, const linnet_tensor *t)
{
    if (t)
        return (label_list){ t->desc.dtype, t->data, ln_count(&t->desc) };
    if (s->v)
        return (label_list){ LINNET_STRING, s->v, s->count };
    return i->v ? (label_list){ LINNET_I64, i->v, i->count } : (label_list){ LINNET_F32, f->v, f->count };
}

static bool label_type_ok(int32_t t)
{
    return ln_dtype(t)->bits % 8 == 0 && ln_dtype(t)->kind != LN_KIND_NONE && ln_dtype(t)->kind != LN_KIND_COMPLEX;
}

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const label_list key = label_of(&p->keys_i, &p->keys_f, &p->keys_s, p->keys_t);
    const label_list value = label_of(&p->values_i, &p->values_f, &p->values_s, p->values_t);

    if (q->in[0].dtype != key.dtype || !label_type_ok(key.dtype))
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    if (key.count != value.count || !label_type_ok(value.dtype) ||
        (p->default_t && (p->default_t->desc.dtype != value.dtype || ln_count(&p->default_t->desc) != 1)))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "LabelEncoder: %zu keys, %zu values, or a default of another type",
                       key.count,
                       value.count);
    q->out[0] = q->in[0];
    q->out[0].dtype = value.dtype;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    ln_split(q, ln_count(&q->out[0]));
    return LINNET_OK;
}

static bool label_equal(int32_t t, const void *x, size_t i, const void *y, size_t k)
{
    if (t == LINNET_STRING) {
        const char *a = ((const char *const *)x)[i], *b = ((const char *const *)y)[k];
        return strcmp(a ? a : "", b ? b : "") == 0;
    }
    if (ln_dtype(t)->kind != LN_KIND_FLOAT)
        return ln_get_i64(t, x, i) == ln_get_i64(t, y, k);
    const double a = ln_get_f64(t, x, i), b = ln_get_f64(t, y, k);
    return a == b || (a != a && b != b);
}

/* The default of the output's type into element i. */
static void label_default(const ln_run *r, size_t i)
{
    const param *p = r->param;
    const int32_t t = r->out_desc[0].dtype;
    const size_t size = ln_dtype(t)->bits / 8u;

    if (p->default_t)
        memcpy((char *)r->out[0] + i * size, p->default_t->data, size);
    else if (t == LINNET_STRING)
        ((const char **)r->out[0])[i] = p->default_s ? p->default_s : "_Unused";
    else if (ln_dtype(t)->kind == LN_KIND_FLOAT)
        ln_set_f64(t, r->out[0], i, (double)p->default_f);
    else
        ln_set_i64(t, r->out[0], i, p->default_i);
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const label_list key = label_of(&p->keys_i, &p->keys_f, &p->keys_s, p->keys_t);
    const label_list value = label_of(&p->values_i, &p->values_f, &p->values_s, p->values_t);
    const size_t size = ln_dtype(value.dtype)->bits / 8u;
    size_t from, count;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    for (size_t i = from; i < from + count; i++) {
        size_t k = 0;
        while (k < key.count && !label_equal(key.dtype, r->in[0], i, key.v, k))
            k++;
        if (k < key.count)
            memcpy((char *)r->out[0] + i * size, (const char *)value.v + k * size, size);
        else
            label_default(r, i);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "keys_int64s", LN_ATTR_INTS, offsetof(param, keys_i), 0, false },
    { "keys_floats", LN_ATTR_FLOATS, offsetof(param, keys_f), 0, false },
    { "keys_strings", LN_ATTR_STRS, offsetof(param, keys_s), 0, false },
    { "keys_tensor", LN_ATTR_TENSOR, offsetof(param, keys_t), 0, false },
    { "values_int64s", LN_ATTR_INTS, offsetof(param, values_i), 0, false },
    { "values_floats", LN_ATTR_FLOATS, offsetof(param, values_f), 0, false },
    { "values_strings", LN_ATTR_STRS, offsetof(param, values_s), 0, false },
    { "values_tensor", LN_ATTR_TENSOR, offsetof(param, values_t), 0, false },
    { "default_int64", LN_ATTR_I64, offsetof(param, default_i), -1, false },
    { "default_float", LN_ATTR_F32, offsetof(param, default_f), -0.0, false },
    { "default_string", LN_ATTR_STR, offsetof(param, default_s), 0, false },
    { "default_tensor", LN_ATTR_TENSOR, offsetof(param, default_t), 0, false },
    { 0 },
};

const ln_op ln_op_ml_label_encoder = {
    .name = "ai.onnx.ml.LabelEncoder", .attr = attr, .param_size = sizeof(param), .in_min = 1, .in_max = 1,
    .infer = infer, .prepare = prepare, .run = run,
};
