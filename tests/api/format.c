/*
 * format.c - the readers and the writer: ONNX, .lnt, safetensors, single tensors.
 *
 * Files are made here byte by byte, so that every field, and every way to spoil one, is at hand.
 */
#include "../../src/base/base.h"
#include "test.h"

/* ---- bytes ------------------------------------------------------------------------- */

typedef struct wire {
    uint8_t data[8192];
    size_t  size;
} wire;

static void wire_put(wire *w, const void *p, size_t n)
{
    if (n <= sizeof w->data - w->size) {
        memcpy(w->data + w->size, p, n);
        w->size += n;
    }
}

static void wire_varint(wire *w, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        wire_put(w, &(uint8_t){ (uint8_t)(v | 0x80) }, 1);
    wire_put(w, &(uint8_t){ (uint8_t)v }, 1);
}

static void wire_int(wire *w, int field, int64_t v)
{
    wire_varint(w, (uint64_t)field << 3);
    wire_varint(w, (uint64_t)v);
}

static void wire_bytes(wire *w, int field, const void *p, size_t n)
{
    wire_varint(w, (uint64_t)field << 3 | 2);
    wire_varint(w, n);
    wire_put(w, p, n);
}

static void wire_text(wire *w, int field, const char *s) { wire_bytes(w, field, s, strlen(s)); }
static void wire_sub(wire *w, int field, const wire *sub) { wire_bytes(w, field, sub->data, sub->size); }

/* A TensorProto with raw data. */
static wire wire_tensor(const char *name, int32_t dtype, int rank, const int64_t *dims, const void *data, size_t size)
{
    wire t = { .size = 0 };

    for (int i = 0; i < rank; i++)
        wire_int(&t, 1, dims[i]);
    wire_int(&t, 2, dtype);
    wire_text(&t, 8, name);
    wire_bytes(&t, 9, data, size);
    return t;
}

/* A ValueInfoProto of f32 [dim[0], dim[1]]; a negative dim is named "n". */
static wire wire_value(const char *name, int rank, const int64_t *dims)
{
    wire v = { .size = 0 }, type = { .size = 0 }, tensor = { .size = 0 }, shape = { .size = 0 };

    for (int i = 0; i < rank; i++) {
        wire d = { .size = 0 };
        if (dims[i] < 0)
            wire_text(&d, 2, "n");
        else
            wire_int(&d, 1, dims[i]);
        wire_sub(&shape, 1, &d);
    }
    wire_int(&tensor, 1, LINNET_F32);
    wire_sub(&tensor, 2, &shape);
    wire_sub(&type, 1, &tensor);
    wire_text(&v, 1, name);
    wire_sub(&v, 2, &type);
    return v;
}

static wire wire_node(const char *op, const char *in0, const char *in1, const char *out)
{
    wire n = { .size = 0 };

    wire_text(&n, 1, in0);
    if (in1)
        wire_text(&n, 1, in1);
    wire_text(&n, 2, out);
    wire_text(&n, 3, "layer");
    wire_text(&n, 4, op);
    return n;
}

static void wire_attr_int(wire *node, const char *name, int64_t v)
{
    wire a = { .size = 0 };

    wire_text(&a, 1, name);
    wire_int(&a, 3, v);
    wire_int(&a, 20, 2);
    wire_sub(node, 5, &a);
}

static wire wire_model(const wire *graph, int64_t opset)
{
    wire m = { .size = 0 }, set = { .size = 0 }, meta = { .size = 0 };

    wire_int(&set, 2, opset);
    wire_text(&meta, 1, "labels");
    wire_text(&meta, 2, "a\nb");
    wire_int(&m, 1, 8);
    wire_text(&m, 2, "test");
    wire_sub(&m, 8, &set);
    wire_sub(&m, 7, graph);
    wire_sub(&m, 14, &meta);
    return m;
}

static linnet_status wire_load(const wire *w, linnet_model **m)
{
    linnet_options opt;

    linnet_options_init(&opt);
    opt.copy = 1;
    return linnet_model_load(w->data, w->size, &opt, m, &test_error);
}

/* ---- ONNX ------------------------------------------------------------------------------ */

/* x [2, n] + w [2] along axis 0, as opset 6 said it. */
static wire format_old_add(void)
{
    static const float w[2] = { 10, 20 };
    const int64_t open[] = { 2, -1 }, two[] = { 2 };
    wire g = { .size = 0 }, node = wire_node("Add", "x", "w", "y"), x = wire_value("x", 2, open),
         y = wire_value("y", 2, open), t = wire_tensor("w", LINNET_F32, 1, two, w, sizeof w);

    wire_attr_int(&node, "broadcast", 1);
    wire_attr_int(&node, "axis", 0);
    wire_sub(&g, 1, &node);
    wire_text(&g, 2, "old");
    wire_sub(&g, 5, &t);
    wire_sub(&g, 11, &x);
    wire_sub(&g, 12, &y);
    return wire_model(&g, 6);
}

static void format_run_old_add(const linnet_model *m)
{
    const float x[6] = { 1, 2, 3, 4, 5, 6 };
    const double want[6] = { 11, 12, 13, 24, 25, 26 };
    const int64_t dims[] = { 2, 3 };
    linnet_session *s = NULL;

    EXPECT_OK(linnet_session_create(m, NULL, &s, &test_error));
    if (!s)
        return;
    EXPECT_OK(linnet_session_set_input(s, 0, LINNET_F32, 2, dims, x, sizeof x, &test_error));
    EXPECT_OK(linnet_session_run(s, &test_error));
    if (linnet_session_output(s, 0))
        EXPECT_NEAR(linnet_session_output(s, 0), want, 0, 0);
    linnet_session_free(s);
}

static void format_onnx(void)
{
    wire file = format_old_add();
    linnet_model *m = NULL;
    linnet_value_info info;

    EXPECT_OK(wire_load(&file, &m));
    if (!m)
        return;
    EXPECT(strcmp(linnet_model_format(m), "onnx") == 0);
    EXPECT(linnet_model_meta(m, "producer") && strcmp(linnet_model_meta(m, "producer"), "test") == 0);
    EXPECT(linnet_model_meta(m, "labels") && strcmp(linnet_model_meta(m, "labels"), "a\nb") == 0);
    EXPECT(linnet_model_input_count(m) == 1 && linnet_model_input(m, 0, &info) == LINNET_OK);
    EXPECT(info.rank == 2 && info.dims[0] == 2 && info.dims[1] == -1 && info.symbol[1] &&
           strcmp(info.symbol[1], "n") == 0);
    format_run_old_add(m);
    linnet_model_free(m);
    for (size_t size = 0; size < file.size; size++) { /* every truncation: refused */
        wire cut = file;
        cut.size = size;
        test_error.message[0] = '\0';
        const linnet_status st = wire_load(&cut, &m);
        if (st == LINNET_OK) { /* the end of the metadata can be missed */
            EXPECT(size > file.size - 40);
            linnet_model_free(m);
        } else {
            EXPECT(m == NULL && test_error.message[0]);
        }
    }
}

static void format_refuse(const wire *graph, int64_t opset, linnet_status want, const char *word)
{
    const wire file = wire_model(graph, opset);
    linnet_model *m;

    EXPECT_STATUS(wire_load(&file, &m), want);
    test_note(strstr(test_error.message, word) != NULL, __FILE__, __LINE__, "\"%s\" in \"%s\"", word,
              test_error.message);
}

static void format_onnx_refusals(void)
{
    const int64_t two[] = { 2, 2 }, five[] = { 5 };
    const float w[4] = { 0 };
    const wire x = wire_value("x", 2, two), y = wire_value("y", 2, two), add = wire_node("Add", "x", "w", "y"),
               good = wire_tensor("w", LINNET_F32, 2, two, w, sizeof w),
               bad = wire_tensor("w", LINNET_F32, 1, five, w, sizeof w),
               hidden = wire_tensor("linnet:1", LINNET_F32, 2, two, w, sizeof w), odd = wire_node("Odd", "x", NULL, "y");
    wire g = { .size = 0 };

    wire_sub(&g, 11, &x);
    wire_sub(&g, 12, &y);
    format_refuse(&g, 17, LINNET_ERR_FORMAT, "y");
    wire_sub(&g, 1, &add);
    format_refuse(&g, 17, LINNET_ERR_FORMAT, "\"w\"");
    format_refuse(&g, 99, LINNET_ERR_UNSUPPORTED, "opset 99");
    wire one = g;
    wire_sub(&one, 5, &bad);
    format_refuse(&one, 17, LINNET_ERR_FORMAT, "20 bytes, the file has 16");
    one = g;
    wire_sub(&one, 5, &good);
    wire_sub(&one, 5, &good);
    format_refuse(&one, 17, LINNET_ERR_FORMAT, "twice");
    one = g;
    wire_sub(&one, 5, &hidden);
    format_refuse(&one, 17, LINNET_ERR_FORMAT, "reserved");
    one = g;
    wire_sub(&one, 5, &good);
    wire_sub(&one, 1, &add);
    format_refuse(&one, 17, LINNET_ERR_FORMAT, "twice");
    wire lone = { .size = 0 };
    wire_sub(&lone, 11, &x);
    wire_sub(&lone, 12, &y);
    wire_sub(&lone, 1, &odd);
    format_refuse(&lone, 17, LINNET_ERR_UNSUPPORTED, "Odd");
}

/* ---- one tensor --------------------------------------------------------------------------- */

static void format_tensor_pb(void)
{
    const int64_t three[] = { 3 }, two[] = { 2 };
    linnet_tensor *t;
    char name[4];

    wire w = { .size = 0 };
    wire_int(&w, 1, 3);
    wire_int(&w, 2, LINNET_I8);
    wire_text(&w, 8, "values");
    wire_int(&w, 5, -128);
    wire_bytes(&w, 5, "\x7f\x00", 2); /* packed and not packed may mix */
    EXPECT_OK(linnet_tensor_load_pb(w.data, w.size, &t, name, sizeof name, &test_error));
    EXPECT(t && linnet_tensor_get(t, 0) == -128 && linnet_tensor_get(t, 1) == 127 && strcmp(name, "val") == 0);
    linnet_tensor_free(t);
    wire_int(&w, 5, 1);
    EXPECT_STATUS(linnet_tensor_load_pb(w.data, w.size, &t, NULL, 0, &test_error), LINNET_ERR_FORMAT);

    wire s = { .size = 0 };
    wire_int(&s, 1, 2);
    wire_int(&s, 2, LINNET_STRING);
    wire_text(&s, 6, "one");
    wire_text(&s, 6, "");
    EXPECT_OK(linnet_tensor_load_pb(s.data, s.size, &t, NULL, 0, &test_error));
    EXPECT(t && strcmp(linnet_tensor_string(t, 0), "one") == 0 && linnet_tensor_string(t, 1)[0] == '\0');
    linnet_tensor_free(t);

    wire b = wire_tensor("b", LINNET_BOOL, 1, two, "\x01\x02", 2), f = wire_tensor("f", LINNET_F32, 1, three, "abc", 3);
    EXPECT_STATUS(linnet_tensor_load_pb(b.data, b.size, &t, NULL, 0, &test_error), LINNET_ERR_FORMAT);
    EXPECT_STATUS(linnet_tensor_load_pb(f.data, f.size, &t, NULL, 0, &test_error), LINNET_ERR_FORMAT);
    EXPECT(t == NULL);
    EXPECT_STATUS(linnet_tensor_load_pb("\xff", 1, &t, NULL, 0, &test_error), LINNET_ERR_FORMAT);
}

/* ---- .lnt ------------------------------------------------------------------------------------ */

static linnet_status format_sink(void *user, const void *data, size_t size)
{
    wire_put(user, data, size);
    return LINNET_OK;
}

static linnet_status format_broken_sink(void *user, const void *data, size_t size)
{
    (void)user;
    (void)data;
    return size > 40 ? LINNET_ERR_IO : LINNET_OK;
}

static void format_seal(wire *w)
{
    const uint32_t n = ln_le32(w->data + 12);
    uint32_t crc;

    for (uint32_t i = 0; i < n && n < 20; i++) {
        uint8_t *line = w->data + 32 + 32 * i;
        if (ln_le64(line + 8) > w->size || ln_le64(line + 16) > w->size - ln_le64(line + 8))
            continue;
        crc = ln_crc32c(0, w->data + ln_le64(line + 8), (size_t)ln_le64(line + 16));
        memcpy(line + 24, &crc, 4);
    }
    memset(w->data + 24, 0, 4);
    crc = ln_crc32c(0, w->data, 32 + 32 * LN_MIN(n, 20u));
    memcpy(w->data + 24, &crc, 4);
}

static void format_lnt(void)
{
    static wire file, again;
    wire onnx = format_old_add();
    const float x[4] = { 1, 2, 3, 4 }, y[4] = { 11, 12, 23, 24 };
    const int64_t dims[] = { 2, 2 };
    linnet_model *m = NULL;
    linnet_tensor *in = test_tensor(LINNET_F32, 2, dims), *out = test_tensor(LINNET_F32, 2, dims);

    file.size = again.size = 0;
    memcpy(linnet_tensor_data(in), x, sizeof x);
    memcpy(linnet_tensor_data(out), y, sizeof y);
    EXPECT_OK(wire_load(&onnx, &m));
    if (!m)
        return;
    EXPECT_OK(linnet_model_add_test(m, (const linnet_tensor *const *)&in, (const linnet_tensor *const *)&out, 0, 0,
                                    &test_error));
    EXPECT_STATUS(linnet_model_write(m, format_broken_sink, NULL, &test_error), LINNET_ERR_IO);
    EXPECT_OK(linnet_model_write(m, format_sink, &file, &test_error));
    linnet_model_free(m);

    EXPECT_OK(wire_load(&file, &m));
    if (!m)
        return;
    EXPECT(strcmp(linnet_model_format(m), "lnt") == 0 && linnet_model_test_count(m) == 1);
    EXPECT(linnet_model_meta(m, "labels") && strcmp(linnet_model_meta(m, "labels"), "a\nb") == 0);
    EXPECT_OK(linnet_model_check(m, NULL, &test_error));
    format_run_old_add(m);
    EXPECT_OK(linnet_model_write(m, format_sink, &again, &test_error));
    EXPECT(file.size == again.size && memcmp(file.data, again.data, file.size) == 0);
    linnet_model_free(m);

    for (size_t size = 0; size < file.size; size++) {
        wire cut = file;
        cut.size = size;
        EXPECT(wire_load(&cut, &m) != LINNET_OK);
    }
    /* Every bit of the file counts: checksums see it, or with checksums mended, the reader or the writer does. */
    size_t silent = 0, changed = 0;
    for (size_t i = 0; i < file.size; i++) {
        wire bad = file;
        bad.data[i] ^= (uint8_t)(1u << (i % 8));
        silent += wire_load(&bad, &m) == LINNET_OK;
        linnet_model_free(m);
        format_seal(&bad);
        if (wire_load(&bad, &m))
            continue;
        again.size = 0;
        EXPECT_OK(linnet_model_write(m, format_sink, &again, &test_error));
        changed += again.size != bad.size || memcmp(again.data, bad.data, bad.size) != 0;
        linnet_model_free(m);
    }
    EXPECT(silent == 0);
    EXPECT(changed == 0);
    linnet_tensor_free(in);
    linnet_tensor_free(out);
}

/* ---- safetensors -------------------------------------------------------------------------------- */

static linnet_status format_safe(const char *header, const char *data, size_t size, linnet_model **out)
{
    wire w = { .size = 0 };
    uint8_t length[8] = { (uint8_t)strlen(header), (uint8_t)(strlen(header) >> 8) };
    linnet_model *m;

    wire_put(&w, length, 8);
    wire_put(&w, header, strlen(header));
    wire_put(&w, data, size);
    EXPECT_OK(linnet_model_create(NULL, &m, &test_error));
    const linnet_status st = linnet_model_add_weights(m, w.data, w.size, &test_error);
    if (out)
        *out = m;
    else
        linnet_model_free(m);
    return st;
}

static void format_safetensors(void)
{
    linnet_model *m;
    linnet_value_info info;
    const void *data;
    size_t size;

    EXPECT_OK(format_safe("{\"__metadata__\":{\"a\":\"b\"},\"b\\u00e9\":{\"dtype\":\"U8\",\"shape\":[1,2],\"data_offsets\":[4,6]},"
                          "\"a\":{\"shape\":[],\"data_offsets\":[0,4],\"dtype\":\"F32\"}} ", "\0\0\x80\x3fxy", 6, &m));
    EXPECT(linnet_model_weight_count(m) == 2);
    EXPECT_OK(linnet_model_weight(m, 1, &info, &data, &size));
    EXPECT(strcmp(info.name, "b\xc3\xa9") == 0 && info.dtype == LINNET_U8 && info.rank == 2 && size == 2 &&
           memcmp(data, "xy", 2) == 0);
    linnet_model_free(m);

    static const char *const bad[] = {
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",                    /* a hole at the end */
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[1,4]}}",                    /* a hole before */
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[0,5]}}",                    /* behind the end */
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,4]}}",                    /* shape and size differ */
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
        "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",                     /* overlap */
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
        "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",                     /* the same name twice */
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"shape\":[4],\"data_offsets\":[0,4]}}",      /* a member twice */
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[-4],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4.0],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}} x",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},}",
        "{\"\\ud800\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",              /* half a character */
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}",
        "[]", "", "{", "{\"a", "{\"a\\",
    };
    for (size_t i = 0; i < LN_COUNT(bad); i++) {
        const linnet_status st = format_safe(bad[i], "\0\0\0\0", 4, NULL);
        test_note(st == LINNET_ERR_FORMAT, __FILE__, __LINE__, "taken or not for its form: %s: %s", bad[i],
                  test_error.message);
    }
    EXPECT_STATUS(format_safe("{\"a\":{\"dtype\":\"X9\",\"shape\":[4],\"data_offsets\":[0,4]}}", "\0\0\0\0", 4, NULL),
                  LINNET_ERR_UNSUPPORTED);
}

void test_format(void)
{
    format_onnx();
    format_onnx_refusals();
    format_tensor_pb();
    format_lnt();
    format_safetensors();
}
