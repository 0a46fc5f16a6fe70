/*
 * onnx_node.c - NodeProto and AttributeProto.
 *
 * Attributes become ln_attr_value; a subgraph stays as bytes here, and the reader's loop in
 * onnx.c opens it, so that nesting costs no recursion.
 */
#include "onnx.h"

enum { ONNX_A_FLOAT = 1, ONNX_A_INT, ONNX_A_STRING, ONNX_A_TENSOR, ONNX_A_GRAPH, ONNX_A_FLOATS,
       ONNX_A_INTS, ONNX_A_STRINGS, ONNX_A_TYPE = 13 };

static linnet_status onnx_attr_tensor(ln_onnx *m, ln_arena *keep, ln_cursor c, const linnet_tensor **out)
{
    ln_onnx_data d;
    const linnet_status st = ln_onnx_tensor(m, keep, c, false, &d);

    if (st)
        return st;
    linnet_tensor *t = ln_arena_alloc(keep, 1, sizeof *t);
    if (!t)
        return ln_onnx_full(m);
    t->desc = d.desc;
    t->size = d.size;
    if (d.size) { /* tensors are not const objects; nobody writes to this one */
        memcpy(&t->data, &d.data, sizeof t->data);
    }
    *out = t;
    return LINNET_OK;
}

/* Lists are filled in two passes over the attribute: count, then take. */
static linnet_status onnx_attr_list(ln_onnx *m, ln_cursor c, uint32_t field, uint32_t wire, ln_attr_value *a)
{
    const ln_cursor again = c;
    ln_pb_field f;
    ln_pb_list list;
    size_t n = 0, i = 0;
    uint64_t v;

    while (ln_pb_next(&c, &f))
        if (f.number == field)
            n += ln_pb_count(&f, wire);
    const size_t size = field == 7 ? sizeof(float) : field == 8 ? sizeof(int64_t) : sizeof(char *);
    void *out = ln_arena_alloc(&m->temp, n, size);
    if (!out)
        return ln_onnx_full(m);
    for (c = again; ln_pb_next(&c, &f);) {
        if (f.number != field)
            continue;
        if (!ln_pb_numbers(&f, wire, &list))
            return ln_onnx_bad(m, f.at, "attribute");
        if (field == 9) {
            const linnet_status st = ln_onnx_text(m, &f, false, &((const char **)out)[i++]);
            if (st)
                return st;
            continue;
        }
        for (; ln_pb_number(&list, &v); i++) {
            if (field == 7)
                ((float *)out)[i] = ln_pb_f32(v);
            else
                ((int64_t *)out)[i] = ln_pb_i64(v);
        }
        if (list.c.bad)
            return ln_onnx_bad(m, f.at, "attribute");
    }
    if (field == 7)
        a->u.floats = (ln_floats){ out, n };
    else if (field == 8)
        a->u.ints = (ln_ints){ out, n };
    else
        a->u.strs = (ln_strs){ out, n };
    return LINNET_OK;
}

/* The type that old files leave out, from the field that carries the value. */
static uint64_t onnx_attr_guess(uint32_t field)
{
    switch (field) {
    case 2: return ONNX_A_FLOAT;
    case 3: return ONNX_A_INT;
    case 4: return ONNX_A_STRING;
    case 5: return ONNX_A_TENSOR;
    case 6: return ONNX_A_GRAPH;
    case 7: return ONNX_A_FLOATS;
    case 8: return ONNX_A_INTS;
    case 9: return ONNX_A_STRINGS;
    default: return 0;
    }
}

static linnet_status onnx_attr_value(ln_onnx *m, ln_arena *keep, ln_cursor c, uint64_t type, const ln_pb_field *v,
                                     ln_attr_value *a, ln_cursor *body)
{
    a->type = (int32_t[]){ LN_ATTR_END, LN_ATTR_F32, LN_ATTR_I64, LN_ATTR_STR, LN_ATTR_TENSOR, LN_ATTR_GRAPH,
                           LN_ATTR_FLOATS, LN_ATTR_INTS, LN_ATTR_STRS }[type <= ONNX_A_STRINGS ? type : 0];
    switch (type) {
    case ONNX_A_FLOAT:
        a->u.f = ln_pb_f32(v->value);
        return v->wire == LN_PB_FIXED32 || !v->number ? LINNET_OK : ln_onnx_bad(m, v->at, "attribute");
    case ONNX_A_INT:
        a->u.i = ln_pb_i64(v->value);
        return v->wire == LN_PB_VARINT ? LINNET_OK : ln_onnx_bad(m, v->at, "attribute");
    case ONNX_A_STRING:
        a->u.s = "";
        return v->number ? ln_onnx_text(m, v, false, &a->u.s) : LINNET_OK;
    case ONNX_A_TENSOR:
        if (v->wire != LN_PB_BYTES)
            return ln_onnx_bad(m, c.base, "attribute");
        return onnx_attr_tensor(m, keep, v->bytes, &a->u.tensor);
    case ONNX_A_GRAPH:
        *body = v->bytes;
        return v->wire == LN_PB_BYTES ? LINNET_OK : ln_onnx_bad(m, c.base, "attribute");
    case ONNX_A_FLOATS: return onnx_attr_list(m, c, 7, LN_PB_FIXED32, a);
    case ONNX_A_INTS:   return onnx_attr_list(m, c, 8, LN_PB_VARINT, a);
    case ONNX_A_STRINGS: return onnx_attr_list(m, c, 9, LN_PB_BYTES, a);
    default:
        return ln_fail(m->err, LINNET_ERR_UNSUPPORTED,
                       "ONNX: attribute \"%s\" at byte %zu is a list of tensors or graphs, or a sparse tensor",
                       a->name, c.base);
    }
}

static linnet_status onnx_parse_attr(ln_onnx *m, ln_arena *keep, ln_cursor c, ln_onnx_node *n)
{
    const ln_cursor whole = c;
    ln_pb_field f, value[10];
    uint64_t type = 0, guess = 0;
    linnet_status st = LINNET_OK;

    ln_attr_value *a = ln_grow(&m->temp, (void **)&n->attr, &n->attr_count, &n->attr_cap, sizeof *a);
    ln_cursor *body = ln_grow(&m->temp, (void **)&n->body, &n->body_count, &n->body_cap, sizeof *body);
    if (!a || !body)
        return ln_onnx_full(m);
    a->name = "";
    memset(value, 0, sizeof value);
    while (st == LINNET_OK && ln_pb_next(&c, &f)) {
        if (f.number == 1)
            st = ln_onnx_text(m, &f, true, &a->name);
        else if (f.number == 20)
            type = f.value;
        else if (f.number == 21 && f.bytes.size)
            return ln_fail(m->err, LINNET_ERR_UNSUPPORTED, "ONNX: attribute \"%s\" at byte %zu refers to a function's",
                           a->name, f.at);
        else if (f.number < LN_COUNT(value)) {
            value[f.number] = f;
            guess = onnx_attr_guess(f.number);
        }
    }
    if (st)
        return st;
    if (c.bad || !a->name[0])
        return ln_onnx_bad(m, whole.base, "attribute");
    type = type ? type : guess;
    if (type == ONNX_A_TYPE) { /* what an empty optional could hold: values carry their types here */
        n->attr_count--;
        n->body_count--;
        return LINNET_OK;
    }
    static const uint8_t field[] = { 0, 2, 3, 4, 5, 6, 7, 8, 9 };
    return onnx_attr_value(m, keep, whole, type, &value[type < LN_COUNT(field) ? field[type] : 0], a, body);
}

static linnet_status onnx_node_name(ln_onnx *m, const ln_pb_field *f, const char ***list, size_t *count, size_t *cap)
{
    const char **item = ln_grow(&m->temp, (void **)list, count, cap, sizeof *item);

    if (!item)
        return ln_onnx_full(m);
    *item = "";
    const linnet_status st = ln_onnx_text(m, f, true, item);
    if (st)
        return st;
    if (strncmp(*item, LN_ONNX_HIDDEN, strlen(LN_ONNX_HIDDEN)) == 0)
        return ln_fail(m->err, LINNET_ERR_FORMAT, "ONNX: the name \"%s\" at byte %zu is reserved", *item, f->at);
    return LINNET_OK;
}

static int64_t onnx_version(const ln_onnx *m, const char *domain)
{
    for (size_t i = 0; i < m->domain_count; i++)
        if (strcmp(m->domain[i].name, domain) == 0)
            return m->domain[i].version;
    return 1;
}

linnet_status ln_onnx_parse_node(ln_onnx *m, ln_arena *keep, ln_cursor c, ln_onnx_node *n)
{
    ln_pb_field f;
    linnet_status st = LINNET_OK;

    memset(n, 0, sizeof *n);
    n->at = c.base;
    n->op = n->domain = n->name = "";
    while (st == LINNET_OK && ln_pb_next(&c, &f)) {
        switch (f.number) {
        case 1: st = onnx_node_name(m, &f, &n->in, &n->in_count, &n->in_cap); break;
        case 2: st = onnx_node_name(m, &f, &n->out, &n->out_count, &n->out_cap); break;
        case 3: st = ln_onnx_text(m, &f, true, &n->name); break;
        case 4: st = ln_onnx_text(m, &f, true, &n->op); break;
        case 5:
            st = f.wire == LN_PB_BYTES ? onnx_parse_attr(m, keep, f.bytes, n) : ln_onnx_bad(m, f.at, "attribute");
            break;
        case 7: st = ln_onnx_text(m, &f, true, &n->domain); break;
        default: break;
        }
    }
    if (st)
        return st;
    if (c.bad || !n->op[0])
        return ln_onnx_bad(m, n->at, "node");
    if (strcmp(n->domain, "ai.onnx") == 0)
        n->domain = "";
    n->opset = onnx_version(m, n->domain);
    return LINNET_OK;
}
