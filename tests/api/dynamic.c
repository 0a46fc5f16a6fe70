/*
 * dynamic.c - steps whose shapes depend on data keep their plan while shapes stay: every run of a session
 * has the bits of a new session's run, whatever came before, and allocates nothing once it has seen the largest.
 */
#include "test.h"

enum { WIDTH = 8, HIDDEN = 16, ROWS = 12 };

/* What a run is given: rows, which of them are kept, bounds for Clip, and how Slice and Reshape cut. */
typedef struct given {
    float   x[ROWS * WIDTH], low, high;
    bool    keep[ROWS];
    int64_t start, shape[2];
    int     rows;
} given;

static void add(linnet_model *m, const char *op, const char *a, const char *b, const char *c, const char *out)
{
    const char *const in[] = { a, b, c };

    EXPECT_OK(linnet_layer_add(m, op, out, in, c ? 3 : b ? 2 : 1, &out, 1, NULL, &test_error));
}

static void weight(linnet_model *m, const char *name, int32_t rank, const int64_t *dims, float most)
{
    linnet_tensor *t = test_random_f32(rank, dims, -most, most);

    EXPECT_OK(linnet_model_add_weight(m, name, LINNET_F32, rank, dims, linnet_tensor_data(t), linnet_tensor_size(t),
                                      &test_error));
    linnet_tensor_free(t);
}

/* Of the kept rows: attention to each other with bounds, cut and reshaped; and an LSTM over them. */
static linnet_model *rows_model(const linnet_options *opt)
{
    const int64_t open[] = { -1, WIDTH }, flags[] = { -1 }, two[] = { 2 }, one[] = { 1 };
    const int64_t axis[] = { 1 }, last[] = { INT64_MAX };
    const char *const cell[] = { "steps", "lw", "lr", "lb" }, *const states[] = { "", "hidden" };
    linnet_model *m;
    linnet_layer *l;

    EXPECT_OK(linnet_model_create(opt, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 2, open, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "keep", LINNET_BOOL, 1, flags, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "low", LINNET_F32, 0, NULL, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "high", LINNET_F32, 0, NULL, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "start", LINNET_I64, 1, one, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "shape", LINNET_I64, 1, two, &test_error));
    EXPECT_OK(linnet_model_add_weight(m, "end", LINNET_I64, 1, one, last, sizeof last, &test_error));
    EXPECT_OK(linnet_model_add_weight(m, "axis", LINNET_I64, 1, one, axis, sizeof axis, &test_error));
    weight(m, "w", 2, (const int64_t[]){ WIDTH, HIDDEN }, 0.5f);
    weight(m, "lw", 3, (const int64_t[]){ 1, 4 * HIDDEN, WIDTH }, 0.3f);
    weight(m, "lr", 3, (const int64_t[]){ 1, 4 * HIDDEN, HIDDEN }, 0.3f);
    weight(m, "lb", 2, (const int64_t[]){ 1, 8 * HIDDEN }, 0.3f);

    EXPECT_OK(linnet_layer_add(m, "Compress", "kept", (const char *const[]){ "x", "keep" }, 2,
                               (const char *const[]){ "kept" }, 1, &l, &test_error));
    EXPECT_OK(linnet_layer_set_int(l, "axis", 0, &test_error));
    add(m, "MatMul", "kept", "w", NULL, "a");
    add(m, "Transpose", "a", NULL, NULL, "turned");
    add(m, "MatMul", "a", "turned", NULL, "match");
    add(m, "Softmax", "match", NULL, NULL, "share");
    add(m, "MatMul", "share", "a", NULL, "seen");
    add(m, "Clip", "seen", "low", "high", "bound");
    EXPECT_OK(linnet_layer_add(m, "Slice", "cut", (const char *const[]){ "bound", "start", "end", "axis" }, 4,
                               (const char *const[]){ "cut" }, 1, NULL, &test_error));
    add(m, "Reshape", "bound", "shape", NULL, "shaped");
    add(m, "Unsqueeze", "kept", "axis", NULL, "steps");
    EXPECT_OK(linnet_layer_add(m, "LSTM", "cell", cell, 4, states, 2, &l, &test_error));
    EXPECT_OK(linnet_layer_set_int(l, "hidden_size", HIDDEN, &test_error));
    EXPECT_OK(linnet_model_add_output(m, "cut", &test_error));
    EXPECT_OK(linnet_model_add_output(m, "shaped", &test_error));
    EXPECT_OK(linnet_model_add_output(m, "hidden", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    return m;
}

static void give(given *g, bool all)
{
    static const int64_t shape[][2] = { { -1, HIDDEN }, { HIDDEN, -1 }, { -1, 1 }, { 4, -1 } };

    g->rows = all ? ROWS : (int)test_int(1, ROWS);
    for (int i = 0; i < ROWS * WIDTH; i++)
        g->x[i] = test_float(-1, 1);
    for (int i = 0; i < g->rows; i++)
        g->keep[i] = all || test_int(0, 2) > 0;
    g->keep[0] = true;
    g->low = test_float(-0.6f, -0.1f);
    g->high = test_float(0.1f, 0.6f);
    g->start = test_int(0, HIDDEN - 1);
    memcpy(g->shape, shape[test_int(0, 3)], sizeof g->shape);
}

static void run_rows(linnet_session *s, const given *g)
{
    const int64_t x[] = { g->rows, WIDTH }, n[] = { g->rows }, two[] = { 2 }, one[] = { 1 };

    EXPECT_OK(linnet_session_set_input(s, 0, LINNET_F32, 2, x, g->x, (size_t)g->rows * WIDTH * 4, &test_error));
    EXPECT_OK(linnet_session_set_input(s, 1, LINNET_BOOL, 1, n, g->keep, (size_t)g->rows, &test_error));
    EXPECT_OK(linnet_session_set_input(s, 2, LINNET_F32, 0, NULL, &g->low, 4, &test_error));
    EXPECT_OK(linnet_session_set_input(s, 3, LINNET_F32, 0, NULL, &g->high, 4, &test_error));
    EXPECT_OK(linnet_session_set_input(s, 4, LINNET_I64, 1, one, &g->start, 8, &test_error));
    EXPECT_OK(linnet_session_set_input(s, 5, LINNET_I64, 1, two, g->shape, 16, &test_error));
    EXPECT_OK(linnet_session_run(s, &test_error));
}

static bool same_outputs(const linnet_session *a, const linnet_session *b)
{
    bool same = true;

    for (size_t i = 0; i < 3; i++) {
        const linnet_tensor *x = linnet_session_output(a, i), *y = linnet_session_output(b, i);
        same = same && linnet_tensor_rank(x) == linnet_tensor_rank(y) &&
               linnet_tensor_size(x) == linnet_tensor_size(y) &&
               memcmp(linnet_tensor_data(x), linnet_tensor_data(y), linnet_tensor_size(x)) == 0;
        for (int32_t d = 0; d < linnet_tensor_rank(x); d++)
            same = same && linnet_tensor_dim(x, d) == linnet_tensor_dim(y, d);
    }
    return same;
}

void test_dynamic_steps_keep_plans(void)
{
    linnet_model *m = rows_model(NULL);
    linnet_session *kept, *fresh;
    static given g;

    EXPECT_OK(linnet_session_create(m, NULL, &kept, &test_error));
    for (int i = 0; i < 60; i++) {
        const int rows = g.rows;
        give(&g, false);
        if (i % 2 && rows)
            g.rows = rows; /* the same plan, and often the same shapes */
        run_rows(kept, &g);
        EXPECT_OK(linnet_session_create(m, NULL, &fresh, &test_error));
        run_rows(fresh, &g);
        EXPECT(same_outputs(kept, fresh));
        linnet_session_free(fresh);
    }
    linnet_session_free(kept);
    linnet_model_free(m);
}

void test_dynamic_steps_do_not_allocate(void)
{
    linnet_options opt;
    linnet_session *s;
    test_heap heap;
    static given g;

    test_heap_init(&heap);
    linnet_options_init(&opt);
    opt.allocator = &heap.hooks;
    linnet_model *m = rows_model(&opt);
    EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
    give(&g, true);
    run_rows(s, &g);
    const size_t calls = heap.calls;
    for (int i = 0; i < 20; i++) {
        give(&g, false);
        g.rows = ROWS;
        for (int k = 0; k < ROWS; k++)
            g.keep[k] = k % (i + 1) == 0;
        run_rows(s, &g);
    }
    EXPECT(heap.calls == calls);
    linnet_session_free(s);
    linnet_model_free(m);
    EXPECT(heap.blocks == 0);
}
