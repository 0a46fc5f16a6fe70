/*
 * file.c - models in files: mapped or copied, weights at odd places, files that change meanwhile.
 *
 * The model has one matrix and reads it in every way there is: packed for a product, as rows of a
 * table, folded into another constant.
 */
#include "test.h"

#include <math.h>
#include <unistd.h>

enum { ROWS = 64, COLUMNS = 130, BATCH = 3, PICKED = 2 };

typedef struct bytes {
    uint8_t data[1 << 16];
    size_t  size;
} bytes;

static float weight[ROWS][COLUMNS];

static void put(bytes *b, const void *p, size_t n)
{
    memcpy(b->data + b->size, p, n);
    b->size += n;
}

static void put_varint(bytes *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        put(b, &(uint8_t){ (uint8_t)(v | 0x80) }, 1);
    put(b, &(uint8_t){ (uint8_t)v }, 1);
}

static void put_int(bytes *b, int field, uint64_t v)
{
    put_varint(b, (uint64_t)field << 3);
    put_varint(b, v);
}

static void put_bytes(bytes *b, int field, const void *p, size_t n)
{
    put_varint(b, (uint64_t)field << 3 | 2);
    put_varint(b, n);
    put(b, p, n);
}

static void put_text(bytes *b, int field, const char *s) { put_bytes(b, field, s, strlen(s)); }

static void put_node(bytes *graph, const char *op, const char *x, const char *y, const char *z)
{
    static bytes node;

    node.size = 0;
    put_text(&node, 1, x);
    if (y)
        put_text(&node, 1, y);
    put_text(&node, 2, z);
    put_text(&node, 4, op);
    put_bytes(graph, 1, node.data, node.size);
}

static void put_value(bytes *graph, int field, const char *name, int32_t type, int rank, const int64_t *dims)
{
    static bytes value, kind, tensor, shape, dim;

    value.size = kind.size = tensor.size = shape.size = 0;
    for (int i = 0; i < rank; i++) {
        dim.size = 0;
        put_int(&dim, 1, (uint64_t)dims[i]);
        put_bytes(&shape, 1, dim.data, dim.size);
    }
    put_int(&tensor, 1, (uint64_t)type);
    put_bytes(&tensor, 2, shape.data, shape.size);
    put_bytes(&kind, 1, tensor.data, tensor.size);
    put_text(&value, 1, name);
    put_bytes(&value, 2, kind.data, kind.size);
    put_bytes(graph, field, value.data, value.size);
}

/* `shift` characters in front of the weights move them. */
static void make_model(bytes *model, size_t shift)
{
    static bytes graph, tensor, opset;

    graph.size = tensor.size = opset.size = model->size = 0;
    put_bytes(&graph, 2, "gggg", shift);
    put_int(&tensor, 1, ROWS);
    put_int(&tensor, 1, COLUMNS);
    put_int(&tensor, 2, LINNET_F32);
    put_text(&tensor, 8, "w");
    put_bytes(&tensor, 9, weight, sizeof weight);
    put_bytes(&graph, 5, tensor.data, tensor.size);
    put_node(&graph, "MatMul", "x", "w", "y");
    put_node(&graph, "Gather", "w", "i", "rows");
    put_node(&graph, "Transpose", "w", NULL, "turned");
    put_node(&graph, "MatMul", "y", "turned", "back");
    put_value(&graph, 11, "x", LINNET_F32, 2, (int64_t[]){ BATCH, ROWS });
    put_value(&graph, 11, "i", LINNET_I64, 1, (int64_t[]){ PICKED });
    put_value(&graph, 12, "y", LINNET_F32, 2, (int64_t[]){ BATCH, COLUMNS });
    put_value(&graph, 12, "rows", LINNET_F32, 2, (int64_t[]){ PICKED, COLUMNS });
    put_value(&graph, 12, "back", LINNET_F32, 2, (int64_t[]){ BATCH, ROWS });
    put_int(&opset, 2, 17);
    put_int(model, 1, 8);
    put_bytes(model, 8, opset.data, opset.size);
    put_bytes(model, 7, graph.data, graph.size);
}

/* A file of this process alone. */
static const char *file_name(char *out, size_t size, const char *ending)
{
    snprintf(out, size, "/tmp/linnet-test-%ld.%s", (long)getpid(), ending);
    return out;
}

static bool write_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    const bool good = f && fwrite(data, 1, size, f) == size;

    return f && fclose(f) == 0 && good;
}

static double worst(const linnet_tensor *t, const double *want, size_t count)
{
    double most = linnet_tensor_count(t) == count ? 0 : INFINITY;

    for (size_t i = 0; i < count && most < INFINITY; i++)
        most = fmax(most, fabs(linnet_tensor_get(t, i) - want[i]) / (1 + fabs(want[i])));
    return most;
}

static void run_session(linnet_session *s, bool must)
{
    static const int64_t pick[PICKED] = { ROWS - 1, 3 };
    static double y[BATCH * COLUMNS], rows[PICKED * COLUMNS], back[BATCH * ROWS];
    float x[BATCH * ROWS];

    for (size_t i = 0; i < BATCH * ROWS; i++)
        x[i] = (float)(i % 11) - 5;
    memset(y, 0, sizeof y);
    memset(back, 0, sizeof back);
    for (size_t b = 0; b < BATCH; b++) {
        for (size_t j = 0; j < COLUMNS; j++)
            for (size_t k = 0; k < ROWS; k++)
                y[b * COLUMNS + j] += (double)x[b * ROWS + k] * (double)weight[k][j];
        for (size_t j = 0; j < ROWS; j++)
            for (size_t k = 0; k < COLUMNS; k++)
                back[b * ROWS + j] += y[b * COLUMNS + k] * (double)weight[j][k];
    }
    for (size_t i = 0; i < PICKED * COLUMNS; i++)
        rows[i] = (double)weight[pick[i / COLUMNS]][i % COLUMNS];
    EXPECT_OK(linnet_session_set_input(s, 0, LINNET_F32, 2, (int64_t[]){ BATCH, ROWS }, x, sizeof x, &test_error));
    EXPECT_OK(linnet_session_set_input(s, 1, LINNET_I64, 1, (int64_t[]){ PICKED }, pick, sizeof pick, &test_error));
    const linnet_status st = linnet_session_run(s, &test_error);
    if (!must)
        return;
    EXPECT_STATUS(st, LINNET_OK);
    EXPECT(worst(linnet_session_output(s, 0), y, BATCH * COLUMNS) < 1e-4);
    EXPECT(worst(linnet_session_output(s, 1), rows, PICKED * COLUMNS) == 0);
    EXPECT(worst(linnet_session_output(s, 2), back, BATCH * ROWS) < 1e-4);
}

static void run_model(const linnet_model *m, uint32_t passes, bool must)
{
    linnet_options opt;
    linnet_session *s;

    linnet_options_init(&opt);
    opt.passes = passes;
    const linnet_status st = linnet_session_create(m, &opt, &s, &test_error);
    if (must)
        EXPECT_STATUS(st, LINNET_OK);
    if (st)
        return;
    run_session(s, must);
    linnet_session_free(s);
}

static void run_placed(const linnet_model *m)
{
    linnet_session *s;
    size_t size = 0;

    EXPECT_OK(linnet_session_size(m, NULL, &size, &test_error));
    void *memory = malloc(size);
    const linnet_status st = memory ? linnet_session_place(m, NULL, memory, size, &s, &test_error) : LINNET_ERR_MEMORY;
    EXPECT_STATUS(st, LINNET_OK);
    if (!st) {
        run_session(s, true);
        linnet_session_free(s);
    }
    free(memory);
}

static void check_model(linnet_model *m)
{
    linnet_value_info info;
    const void *data = NULL;
    size_t size = 0;

    run_model(m, UINT32_MAX, true);
    run_model(m, 0, true);
    run_placed(m);
    EXPECT_OK(linnet_model_weight(m, 0, &info, &data, &size));
    EXPECT(size == sizeof weight && ((uintptr_t)data & 3) == 0 && memcmp(data, weight, size) == 0);
    linnet_model_free(m);
}

static void fill_weight(void)
{
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        weight[i / COLUMNS][i % COLUMNS] = (float)((i * 7 + i / 13) % 29) / 29 - 0.5f;
}

void test_weights_at_any_address(void)
{
    static bytes model;
    char name[64];
    const char *path = file_name(name, sizeof name, "onnx");
    linnet_options opt;
    linnet_model *m;

    fill_weight();
    linnet_options_init(&opt);
    for (size_t shift = 0; shift < 4; shift++) {
        make_model(&model, shift);
        uint8_t *exact = malloc(model.size); /* nothing behind it that may be read */
        EXPECT(exact != NULL && write_file(path, model.data, model.size));
        memcpy(exact, model.data, model.size);
        for (opt.copy = 0; opt.copy < 2; opt.copy++) {
            EXPECT_OK(linnet_model_open(path, &opt, &m, &test_error));
            check_model(m);
        }
        EXPECT_OK(linnet_model_load(exact, model.size, NULL, &m, &test_error));
        check_model(m);
        free(exact);
    }
    remove(path);
}

/* Whatever a mapped file turns into, nothing but its numbers may suffer. */
static void overwrite(const char *path, size_t size, uint32_t copy, int byte)
{
    linnet_options opt;
    linnet_model *m;

    linnet_options_init(&opt);
    opt.copy = copy;
    EXPECT_OK(linnet_model_open(path, &opt, &m, &test_error));
    FILE *f = fopen(path, "r+b");
    EXPECT(f != NULL);
    for (size_t i = 0; i < size && f; i++)
        fputc(byte, f);
    if (f)
        fclose(f);
    run_model(m, UINT32_MAX, copy != 0);
    run_model(m, 0, copy != 0);
    linnet_model_free(m);
}

void test_file_that_changes(void)
{
    static bytes model;
    char names[2][64];
    const char *onnx = file_name(names[0], 64, "onnx"), *lnt = file_name(names[1], 64, "lnt");
    linnet_model *m;

    fill_weight();
    make_model(&model, 1);
    for (uint32_t copy = 0; copy < 2; copy++)
        for (int byte = 0; byte < 256; byte += 85) {
            EXPECT(write_file(onnx, model.data, model.size));
            EXPECT_OK(linnet_model_load(model.data, model.size, NULL, &m, &test_error));
            EXPECT_OK(linnet_model_save(m, lnt, &test_error));
            linnet_model_free(m);
            FILE *f = fopen(lnt, "rb");
            const long size = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : 0;
            if (f)
                fclose(f);
            overwrite(onnx, model.size, copy, byte);
            overwrite(lnt, (size_t)size, copy, byte);
        }
    remove(onnx);
    remove(lnt);
}
