/*
 * extremes.c - every attribute and every index at its extremes: an error with a sentence, or the
 * standard's meaning; never a crash, a hang or a flood of memory.
 *
 *   extremes [--step N] [--seconds S] CASE_DIR...   ONNX cases, changed one place at a time
 *   extremes --ops ROUNDS [--seed N]                every operator of the library on random inputs
 *
 * A case is a folder with model.onnx and test_data_set_0. In its model, each number of each attribute
 * (subgraphs included) takes each of the extreme values in turn; then each integer input does: its
 * first element, then all of them, as an input and as a constant. --step looks at every N-th change.
 * With --ops, a model of one layer gets inputs of random types, ranks and sizes, some of them constant,
 * and attributes of which each is left out or extreme. Built with sanitizers in continuous integration.
 */
#include "test.h"

#include <math.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

enum { FIELD_DEPTH = 24, MOST_INPUTS = 16, MOST_BYTES = 64 << 20 };

static const int64_t extreme_ints[] = { -1, 0, 1, 2, 7, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN };
static const float extreme_floats[] = { 0.0f, -1.0f, 1e-38f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN };
#define COUNT(a) (sizeof(a) / sizeof *(a))

static size_t tries, refused, ran, bad, step_by = 1, seconds = 10;
static char now_at[512]; /* what is being tried, for the report of a hang or a crash */

static void stop_report(int signal_number)
{
    static const char hang[] = "FAILED: no answer in time: ", crash[] = "FAILED: crashed: ";
    const char *what = signal_number == SIGVTALRM ? hang : crash;

    if (write(1, what, strlen(what)) && write(1, now_at, strlen(now_at)) && write(1, "\n", 1))
        _exit(1);
    _exit(2);
}

/* `s` seconds of processor time from now until a report of a hang; 0: none. */
static void watch(size_t s)
{
    const struct itimerval t = { .it_value = { .tv_sec = (time_t)s } };

    setitimer(ITIMER_VIRTUAL, &t, NULL);
}

/* ---- one try ---------------------------------------------------------------------------------- */

static void note(linnet_status st, const linnet_error *err, const test_heap *h)
{
    tries++;
    refused += st != LINNET_OK;
    ran += st == LINNET_OK;
    if ((st && !err->message[0]) || h->blocks || h->bytes) {
        bad++;
        printf("FAILED: %s: status %d \"%s\", %zu blocks left\n", now_at, (int)st, err->message, h->blocks);
    }
}

static void try_options(linnet_options *opt, linnet_limits *limits, test_heap *h)
{
    test_heap_init(h);
    h->limit = MOST_BYTES;
    *limits = (linnet_limits){ .struct_size = sizeof *limits, .memory = MOST_BYTES, .elements = 1 << 22,
                               .iterations = 1 << 12 };
    linnet_options_init(opt);
    opt->allocator = &h->hooks;
    opt->limits = limits;
}

static void try_model(const unsigned char *data, size_t size, linnet_tensor *const *in, size_t in_count)
{
    linnet_options opt;
    linnet_limits limits;
    test_heap h;
    linnet_model *m = NULL;
    linnet_session *s = NULL;
    linnet_error err = { 0, "" };

    try_options(&opt, &limits, &h);
    watch(seconds);
    linnet_status st = linnet_model_load(data, size, &opt, &m, &err);
    if (!st)
        st = linnet_session_create(m, &opt, &s, &err);
    for (size_t i = 0; !st && i < linnet_model_input_count(m); i++)
        st = i < in_count && in[i] ? linnet_session_set_input_tensor(s, i, in[i], &err)
                                   : linnet_session_set_absent(s, i, &err);
    if (!st)
        st = linnet_session_run(s, &err);
    watch(0);
    linnet_session_free(s);
    linnet_model_free(m);
    note(st, &err, &h);
}

/* ---- changing an ONNX file ----------------------------------------------------------------------- */

/* Where a field lies: the messages around it, outermost first. */
typedef struct place {
    size_t depth, head[FIELD_DEPTH], from[FIELD_DEPTH], end[FIELD_DEPTH]; /* length varint, content, its end */
} place;

typedef struct onnx_case {
    const char    *name;
    unsigned char *data;
    size_t         size;
    linnet_tensor *in[MOST_INPUTS];
    size_t         in_count;
} onnx_case;

static uint64_t get_varint(const unsigned char *d, size_t end, size_t *at)
{
    uint64_t v = 0;

    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        v |= (uint64_t)(d[*at] & 127) << shift;
        if (!(d[(*at)++] & 128))
            break;
    }
    return v;
}

static size_t put_varint(unsigned char *out, uint64_t v)
{
    size_t n = 0;

    for (; v > 127; v >>= 7)
        out[n++] = (unsigned char)(v & 127) | 128;
    out[n++] = (unsigned char)v;
    return n;
}

/* The next field of a message: its number, wire type and content. False at the end. */
static bool next_field(const unsigned char *d, size_t end, size_t *at, uint32_t *field, uint32_t *wire, size_t *head,
                       size_t *from, size_t *to)
{
    if (*at >= end)
        return false;
    const uint64_t key = get_varint(d, end, at);
    *field = (uint32_t)(key >> 3);
    *wire = (uint32_t)(key & 7);
    *head = *from = *at;
    if (*wire == 0)
        get_varint(d, end, at);
    else if (*wire == 5 || *wire == 1)
        *at += *wire == 5 ? 4 : 8;
    else if (*wire == 2) {
        const uint64_t size = get_varint(d, end, at);
        *from = *at;
        *at += size > end - *at ? end - *at : (size_t)size;
    } else
        return false;
    *to = *at;
    return *at <= end;
}

/* The file with [from, to), inside the messages of p, replaced; malloc memory. */
static unsigned char *splice(const onnx_case *c, const place *p, size_t from, size_t to, const unsigned char *with,
                             size_t with_size, size_t *size)
{
    unsigned char *now = malloc(with_size + 1);
    size_t length = with_size;

    memcpy(now, with, with_size);
    for (size_t i = p->depth; i-- > 0;) {
        const size_t before = from - p->from[i], after = p->end[i] - to;
        unsigned char *wider = malloc(10 + before + length + after);
        size_t at = put_varint(wider, before + length + after);

        memcpy(wider + at, c->data + p->from[i], before);
        memcpy(wider + at + before, now, length);
        memcpy(wider + at + before + length, c->data + to, after);
        free(now);
        now = wider;
        length += at + before + after;
        from = p->head[i];
        to = p->end[i];
    }
    unsigned char *all = malloc(from + length + c->size - to);
    memcpy(all, c->data, from);
    memcpy(all + from, now, length);
    memcpy(all + from + length, c->data + to, c->size - to);
    *size = from + length + c->size - to;
    free(now);
    return all;
}

static void try_splice(const onnx_case *c, const place *p, size_t from, size_t to, const unsigned char *with,
                       size_t with_size, const char *what, size_t which)
{
    static size_t turn;
    size_t size;

    if (turn++ % step_by)
        return;
    snprintf(now_at, sizeof now_at, "%s: %s at byte %zu, value %zu", c->name, what, from, which);
    unsigned char *data = splice(c, p, from, to, with, with_size, &size);
    try_model(data, size, c->in, c->in_count);
    free(data);
}

static void change_int(const onnx_case *c, const place *p, size_t from, size_t to)
{
    unsigned char out[10];

    for (size_t i = 0; i < COUNT(extreme_ints); i++)
        try_splice(c, p, from, to, out, put_varint(out, (uint64_t)extreme_ints[i]), "integer attribute", i);
}

static void change_float(const onnx_case *c, const place *p, size_t from)
{
    for (size_t i = 0; i < COUNT(extreme_floats); i++)
        try_splice(c, p, from, from + 4, (const unsigned char *)&extreme_floats[i], 4, "float attribute", i);
}

/* Packed ints (field 8) and floats (7): each element, and none at all. */
static void change_packed(const onnx_case *c, place *p, uint32_t field, size_t head, size_t from, size_t to)
{
    p->head[p->depth] = head;
    p->from[p->depth] = from;
    p->end[p->depth++] = to;
    for (size_t at = from; at < to;) {
        const size_t start = at;

        if (field == 8)
            get_varint(c->data, to, &at);
        else
            at += 4;
        if (field == 8)
            change_int(c, p, start, at);
        else if (at <= to)
            change_float(c, p, start);
    }
    try_splice(c, p, from, to, NULL, 0, "empty list", 0);
    p->depth--;
}

/* Where changes are: kind of message to its fields that are messages, by ONNX's numbers. */
enum { MODEL, GRAPH, NODE, ATTRIBUTE, OTHER };
static int inner_message(int kind, uint32_t field)
{
    return kind == MODEL && field == 7      ? GRAPH
           : kind == GRAPH && field == 1    ? NODE
           : kind == NODE && field == 5     ? ATTRIBUTE
           : kind == ATTRIBUTE && field == 6 ? GRAPH
                                            : OTHER;
}

static void change_message(const onnx_case *c, place *p, int kind, size_t from, size_t end)
{
    uint32_t field, wire;
    size_t at = from, head, start, to;

    while (next_field(c->data, end, &at, &field, &wire, &head, &start, &to)) {
        const int inner = wire == 2 ? inner_message(kind, field) : OTHER;

        if (inner != OTHER && p->depth < FIELD_DEPTH - 2) {
            p->head[p->depth] = head;
            p->from[p->depth] = start;
            p->end[p->depth++] = to;
            change_message(c, p, inner, start, to);
            p->depth--;
        } else if (kind == ATTRIBUTE && wire == 0 && (field == 3 || field == 8)) {
            change_int(c, p, start, to);
        } else if (kind == ATTRIBUTE && wire == 5 && (field == 2 || field == 7)) {
            change_float(c, p, start);
        } else if (kind == ATTRIBUTE && wire == 2 && (field == 7 || field == 8)) {
            change_packed(c, p, field, head, start, to);
        }
    }
}

/* ---- changing integer inputs ------------------------------------------------------------------------ */

/* The content of the graph message, for appending a constant. */
static bool graph_place(const onnx_case *c, place *p)
{
    uint32_t field, wire;
    size_t at = 0, head, from, to;

    p->depth = 0;
    while (next_field(c->data, c->size, &at, &field, &wire, &head, &from, &to))
        if (field == 7 && wire == 2) {
            p->head[0] = head;
            p->from[0] = from;
            p->end[0] = to;
            p->depth = 1;
        }
    return p->depth == 1;
}

/* The model with input `i` given as a constant of these elements. */
static void try_constant(const onnx_case *c, const linnet_model *m, size_t i, const linnet_tensor *t)
{
    unsigned char head[512], *field;
    linnet_value_info info;
    place p;
    size_t n = 0;
    const size_t bytes = linnet_tensor_size(t);

    if (linnet_model_input(m, i, &info) || strlen(info.name) > 200 || !graph_place(c, &p))
        return;
    for (int32_t d = 0; d < linnet_tensor_rank(t); d++) {
        head[n++] = 1 << 3;
        n += put_varint(head + n, (uint64_t)linnet_tensor_dim(t, d));
    }
    head[n++] = 2 << 3;
    n += put_varint(head + n, (uint64_t)linnet_tensor_dtype(t));
    head[n++] = 8 << 3 | 2;
    n += put_varint(head + n, strlen(info.name));
    memcpy(head + n, info.name, strlen(info.name));
    n += strlen(info.name);
    head[n++] = 9 << 3 | 2;
    n += put_varint(head + n, bytes);

    field = malloc(n + bytes + 12);
    size_t at = 0;
    field[at++] = 5 << 3 | 2;
    at += put_varint(field + at, n + bytes);
    memcpy(field + at, head, n);
    if (bytes)
        memcpy(field + at + n, linnet_tensor_data(t), bytes);
    try_splice(c, &p, p.end[0], p.end[0], field, at + n + bytes, "constant input", i);
    free(field);
}

static void set_element(linnet_tensor *t, size_t i, int64_t v)
{
    if (linnet_tensor_dtype(t) == LINNET_I64)
        ((int64_t *)linnet_tensor_data(t))[i] = v;
    else
        ((int32_t *)linnet_tensor_data(t))[i] = v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}

static void change_inputs(onnx_case *c, const linnet_model *m)
{
    for (size_t i = 0; i < c->in_count; i++) {
        linnet_tensor *t = c->in[i];
        const int32_t dtype = t ? linnet_tensor_dtype(t) : 0;
        const size_t count = t ? linnet_tensor_count(t) : 0;

        if ((dtype != LINNET_I64 && dtype != LINNET_I32) || count == 0)
            continue;
        unsigned char *keep = malloc(linnet_tensor_size(t));
        memcpy(keep, linnet_tensor_data(t), linnet_tensor_size(t));
        for (size_t v = 0; v < COUNT(extreme_ints); v++)
            for (size_t many = 1; many <= count; many += count > 1 ? count - 1 : 1) {
                for (size_t k = 0; k < many; k++)
                    set_element(t, k, extreme_ints[v]);
                snprintf(now_at, sizeof now_at, "%s: input %zu, value %zu in %zu elements", c->name, i, v, many);
                try_model(c->data, c->size, c->in, c->in_count);
                try_constant(c, m, i, t);
                memcpy(linnet_tensor_data(t), keep, linnet_tensor_size(t));
            }
        free(keep);
    }
}

/* ---- cases ------------------------------------------------------------------------------------------------ */

static unsigned char *read_file(const char *dir, const char *name, size_t *size)
{
    char path[4096];
    unsigned char *data = NULL;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (f && fseek(f, 0, SEEK_END) == 0 && ftell(f) < (4 << 20)) {
        *size = (size_t)ftell(f);
        rewind(f);
        data = malloc(*size + 1);
        if (fread(data, 1, *size, f) != *size)
            *size = 0;
    }
    if (f)
        fclose(f);
    return data;
}

static void case_run(const char *dir)
{
    onnx_case c = { .name = dir };
    linnet_model *m = NULL;
    place p = { 0 };

    c.data = read_file(dir, "model.onnx", &c.size);
    if (c.data && linnet_model_load(c.data, c.size, NULL, &m, NULL) == LINNET_OK) {
        c.in_count = linnet_model_input_count(m) < MOST_INPUTS ? linnet_model_input_count(m) : MOST_INPUTS;
        for (size_t i = 0; i < c.in_count; i++) {
            char name[64];
            size_t size;
            linnet_value_info info;

            linnet_model_input(m, i, &info);
            snprintf(name, sizeof name, "test_data_set_0/input_%zu.pb", i);
            unsigned char *pb = read_file(dir, name, &size);
            if (pb && info.kind == LINNET_KIND_TENSOR)
                linnet_tensor_load_pb(pb, size, &c.in[i], NULL, 0, NULL);
            free(pb);
        }
        change_message(&c, &p, MODEL, 0, c.size);
        change_inputs(&c, m);
    }
    for (size_t i = 0; i < c.in_count; i++)
        linnet_tensor_free(c.in[i]);
    linnet_model_free(m);
    free(c.data);
}

/* ---- every operator on random inputs -------------------------------------------------------------------------- */

static const int32_t op_types[] = { LINNET_F32, LINNET_F32, LINNET_F32, LINNET_I64, LINNET_I64, LINNET_I32, LINNET_U8,
                                    LINNET_I8, LINNET_BOOL, LINNET_F16, LINNET_BF16, LINNET_F64, LINNET_U4, LINNET_I4,
                                    LINNET_F8E4M3FN };

/* Mostly the shape `base`, or its last dimensions, or one number per something. */
static int32_t op_shape(const int64_t *base, int32_t base_rank, int64_t *dims)
{
    const int64_t kind = test_int(0, 9);
    const int32_t cut = kind < 5 || base_rank == 0 ? 0 : (int32_t)test_int(0, base_rank - 1);
    const int32_t rank = kind < 8 ? base_rank - cut : (int32_t)test_int(0, 5);

    for (int32_t d = 0; d < rank; d++)
        dims[d] = kind < 8 ? base[cut + d] : test_int(0, 9) == 0 ? 0 : test_int(1, 5);
    return rank;
}

static linnet_tensor *op_tensor(int32_t dtype, const int64_t *base, int32_t base_rank)
{
    int64_t dims[LINNET_MAX_RANK];
    const int32_t rank = op_shape(base, base_rank, dims);
    linnet_tensor *t = test_tensor(dtype, rank, dims);
    const bool wild = test_int(0, 2) == 0;

    for (size_t i = 0; i < linnet_tensor_count(t); i++) {
        if (dtype == LINNET_F32)
            ((float *)linnet_tensor_data(t))[i] =
                wild && test_int(0, 5) == 0 ? extreme_floats[test_int(0, COUNT(extreme_floats) - 1)] : test_float(-2, 2);
        else if (dtype == LINNET_I64 || dtype == LINNET_I32)
            set_element(t, i, wild && test_int(0, 3) == 0 ? extreme_ints[test_int(0, COUNT(extreme_ints) - 1)] : test_int(-1, 3));
        else if (dtype == LINNET_BOOL)
            ((unsigned char *)linnet_tensor_data(t))[i] = (unsigned char)test_int(0, 1);
        else if (linnet_dtype_bits(dtype) == 8)
            ((unsigned char *)linnet_tensor_data(t))[i] = (unsigned char)test_int(0, 255);
    }
    return t;
}

/* Any attribute by its name, as any of the kinds; kinds that do not fit are refused. */
static void op_attribute(linnet_layer *l, const char *name, bool mild)
{
    static const char *const words[] = { "", "SAME_UPPER", "VALID", "linear", "none", "sum", "bidirectional", "x" };
    int64_t ints[6];
    float floats[6];
    const size_t n = (size_t)test_int(0, 6);

    if (mild) {
        if (linnet_layer_set_int(l, name, test_int(0, 2), NULL))
            linnet_layer_set_float(l, name, test_float(0, 1), NULL);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        ints[i] = test_int(0, 2) ? test_int(-1, 3) : extreme_ints[test_int(0, COUNT(extreme_ints) - 1)];
        floats[i] = test_int(0, 2) ? test_float(-2, 2) : extreme_floats[test_int(0, COUNT(extreme_floats) - 1)];
    }
    if (!linnet_layer_set_ints(l, name, ints, n, NULL) || !linnet_layer_set_floats(l, name, floats, n, NULL))
        return;
    if (!linnet_layer_set_int(l, name, test_int(0, 1) ? test_int(-1, 3) : extreme_ints[test_int(0, COUNT(extreme_ints) - 1)], NULL))
        return;
    if (!linnet_layer_set_float(l, name, extreme_floats[test_int(0, COUNT(extreme_floats) - 1)], NULL))
        return;
    linnet_layer_set_string(l, name, words[test_int(0, COUNT(words) - 1)], NULL);
}

static linnet_status op_build(linnet_model *m, const char *op, linnet_tensor *const *in, const bool *constant, size_t count,
                              linnet_error *err)
{
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" }, *const outs[] = { "y", "z", "u" };
    linnet_layer *l = NULL;
    linnet_status st = LINNET_OK;
    const char *inputs[8];

    for (size_t i = 0; i < count && !st; i++) {
        int64_t dims[LINNET_MAX_RANK];
        const int32_t rank = in[i] ? linnet_tensor_rank(in[i]) : 0, dtype = in[i] ? linnet_tensor_dtype(in[i]) : 0;

        for (int32_t d = 0; d < rank; d++)
            dims[d] = linnet_tensor_dim(in[i], d);
        inputs[i] = in[i] ? names[i] : "";
        if (in[i])
            st = constant[i] ? linnet_model_add_weight(m, names[i], dtype, rank, dims, linnet_tensor_data(in[i]),
                                                       linnet_tensor_size(in[i]), err)
                             : linnet_model_add_input(m, names[i], dtype, rank, dims, err);
    }
    const size_t out_count = test_int(0, 2) ? 1 : (size_t)test_int(1, 3);
    if (!st)
        st = linnet_layer_add(m, op, "layer", inputs, count, outs, out_count, &l, err);
    const bool mild = test_int(0, 1) != 0;
    for (size_t i = 0; !st && i < linnet_layer_attr_count(l); i++)
        if (test_int(0, mild ? 1 : 4) == 0)
            op_attribute(l, linnet_layer_attr_name(l, i), mild);
    for (size_t i = 0; i < out_count && !st; i++)
        st = linnet_model_add_output(m, outs[i], err);
    return st ? st : linnet_model_finish(m, err);
}

static void op_once(const char *op)
{
    linnet_options opt;
    linnet_limits limits;
    test_heap h;
    linnet_model *m = NULL;
    linnet_session *s = NULL;
    linnet_error err = { 0, "" };
    linnet_tensor *in[8] = { 0 };
    bool constant[8];
    const size_t count = (size_t)test_int(0, 2) ? (size_t)test_int(1, 3) : (size_t)test_int(0, 8);
    const int32_t common = op_types[test_int(0, COUNT(op_types) - 1)], base_rank = (int32_t)test_int(1, 4);
    int64_t base[LINNET_MAX_RANK];

    for (int32_t d = 0; d < base_rank; d++)
        base[d] = test_int(1, 5);
    for (size_t i = 0; i < count; i++) {
        constant[i] = test_int(0, 1) != 0;
        if (test_int(0, 9))
            in[i] = op_tensor(test_int(0, 3) ? common : op_types[test_int(0, COUNT(op_types) - 1)], base, base_rank);
    }
    try_options(&opt, &limits, &h);
    watch(seconds);
    linnet_status st = linnet_model_create(&opt, &m, &err);
    if (!st)
        st = op_build(m, op, in, constant, count, &err);
    if (!st)
        st = linnet_session_create(m, &opt, &s, &err);
    for (size_t i = 0, k = 0; i < count && !st; i++)
        if (in[i] && !constant[i])
            st = linnet_session_set_input_tensor(s, k++, in[i], &err);
    if (!st)
        st = linnet_session_run(s, &err);
    watch(0);
    linnet_session_free(s);
    linnet_model_free(m);
    for (size_t i = 0; i < count; i++)
        linnet_tensor_free(in[i]);
    note(st, &err, &h);
}

static void ops_run(size_t rounds, uint64_t seed)
{
    for (size_t i = 0; i < linnet_op_count(); i++) {
        const size_t before = ran;

        for (size_t k = 0; k < rounds; k++) {
            char text[32];
            snprintf(text, sizeof text, "%llu", (unsigned long long)(seed + k + 1));
            setenv("SEED", text, 1);
            test_begin(linnet_op_name(i));
            snprintf(now_at, sizeof now_at, "--ops 1 --seed %llu: %s", (unsigned long long)(seed + k), linnet_op_name(i));
            op_once(linnet_op_name(i));
        }
        if (getenv("VERBOSE"))
            printf("%-40s %zu of %zu ran\n", linnet_op_name(i), ran - before, rounds);
    }
}

int main(int argc, char **argv)
{
    size_t rounds = 0;
    uint64_t seed = 0;

    signal(SIGVTALRM, stop_report);
#ifndef __SANITIZE_ADDRESS__
    signal(SIGSEGV, stop_report);
    signal(SIGFPE, stop_report);
#endif
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--step") == 0 && i + 1 < argc)
            step_by = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            seconds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--ops") == 0 && i + 1 < argc)
            rounds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (step_by > 0)
            case_run(argv[i]);
    }
    ops_run(rounds, seed);
    printf("%zu changes: %zu refused, %zu ran\n", tries, refused, ran);
    printf("%zu passed, %zu failed\n", tries - bad, bad);
    return bad != 0;
}
