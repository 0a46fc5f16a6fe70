/*
 * state.c - streams: tied state chunk by chunk against the whole sequence, as bytes, in placed memory.
 */
#include "test.h"

/* A recurrent layer whose states are inputs and outputs: x, h (, c) to y, hn (, cn). steps -1: open. */
typedef struct cell {
    const char *op;
    int         gates, states;
    bool        after; /* a GRU's linear_before_reset */
} cell;
static const cell cells[] = {
    { "LSTM", 4, 2, false }, { "GRU", 3, 1, true }, { "GRU", 3, 1, false }, { "RNN", 1, 1, false },
};

enum { IN = 24, HIDDEN = 96, STEPS = 100 };

static linnet_model *cell_model(const cell *c, int64_t steps, int64_t batch, const linnet_options *opt)
{
    const int64_t x[] = { steps, batch, IN }, s[] = { 1, batch, HIDDEN };
    const int64_t w[] = { 1, c->gates * HIDDEN, IN }, r[] = { 1, c->gates * HIDDEN, HIDDEN }, b[] = { 1, 2 * c->gates * HIDDEN };
    const char *const in[] = { "x", "w", "r", "b", "", "h", "c" }, *const out[] = { "y", "hn", "cn" };
    linnet_tensor *wt[] = { test_random_f32(3, w, -0.4f, 0.4f), test_random_f32(3, r, -0.2f, 0.2f), test_random_f32(2, b, -1, 1) };
    linnet_model *m = NULL;
    linnet_layer *l = NULL;

    EXPECT_OK(linnet_model_create(opt, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 3, x, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "h", LINNET_F32, 3, s, &test_error));
    if (c->states == 2)
        EXPECT_OK(linnet_model_add_input(m, "c", LINNET_F32, 3, s, &test_error));
    for (int i = 0; i < 3; i++)
        EXPECT_OK(linnet_model_add_weight(m, in[1 + i], LINNET_F32, i == 2 ? 2 : 3, i == 0 ? w : i == 1 ? r : b,
                                          linnet_tensor_data(wt[i]), linnet_tensor_size(wt[i]), &test_error));
    EXPECT_OK(linnet_layer_add(m, c->op, "cell", in, 5 + (size_t)c->states, out, 1 + (size_t)c->states, &l, &test_error));
    if (c->after)
        EXPECT_OK(linnet_layer_set_int(l, "linear_before_reset", 1, &test_error));
    for (int i = 0; i < 1 + c->states; i++)
        EXPECT_OK(linnet_model_add_output(m, out[i], &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    for (int i = 0; i < 3; i++)
        linnet_tensor_free(wt[i]); /* weights by code are copied */
    return m;
}

static void cell_tie(linnet_session *s, const cell *c)
{
    for (int i = 1; i <= c->states; i++)
        EXPECT_OK(linnet_session_tie(s, (size_t)i, (size_t)i, &test_error));
}

/* Steps [from, to) of x; y (may be NULL) gets the outputs. */
static linnet_status cell_feed(linnet_session *s, const float *x, int64_t batch, int64_t from, int64_t to, float *y)
{
    const int64_t dims[] = { to - from, batch, IN };
    const size_t row = (size_t)batch * IN, steps = (size_t)(to - from), out = (size_t)batch * HIDDEN;
    linnet_status st = linnet_session_set_input(s, 0, LINNET_F32, 3, dims, x + (size_t)from * row,
                                                steps * row * sizeof *x, &test_error);
    if (!st)
        st = linnet_session_run(s, &test_error);
    if (!st && y)
        memcpy(y + (size_t)from * out, linnet_tensor_data(linnet_session_output(s, 0)), steps * out * sizeof *y);
    return st;
}

static void chunks_agree(const cell *c, int64_t batch, linnet_pool *pool)
{
    static const int64_t sizes[] = { 1, 2, 7, 100 };
    const size_t count = (size_t)(STEPS * batch * HIDDEN);
    const int64_t x_dims[] = { STEPS, batch, IN };
    float *whole = calloc(count, sizeof *whole), *parts = calloc(count, sizeof *parts);
    linnet_tensor *x = test_random_f32(3, x_dims, -1, 1);
    linnet_model *m = cell_model(c, -1, batch, NULL);
    linnet_session *s;
    linnet_options opt;

    linnet_options_init(&opt);
    EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
    cell_tie(s, c);
    EXPECT_OK(cell_feed(s, linnet_tensor_data(x), batch, 0, STEPS, whole));
    linnet_session_free(s);
    opt.pool = pool;
    for (int k = 0; k < 4; k++) {
        EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
        cell_tie(s, c);
        for (int round = 0; round < 2; round++) { /* the second after a reset */
            memset(parts, 0, count * sizeof *parts);
            for (int64_t at = 0; at < STEPS; at += sizes[k])
                EXPECT_OK(cell_feed(s, linnet_tensor_data(x), batch, at, at + sizes[k] < STEPS ? at + sizes[k] : STEPS, parts));
            test_note(memcmp(whole, parts, count * sizeof *parts) == 0, __FILE__, __LINE__,
                      "%s, batch %d: chunks of %d give other bits", c->op, (int)batch, (int)sizes[k]);
            EXPECT_OK(linnet_session_reset(s, &test_error));
        }
        linnet_session_free(s);
    }
    linnet_model_free(m);
    linnet_tensor_free(x);
    free(whole);
    free(parts);
}

void test_state_chunks(void)
{
    linnet_pool *pool;

    EXPECT_OK(linnet_pool_create(2, NULL, &pool, &test_error));
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        for (int64_t batch = 1; batch <= 3; batch += 2) {
            chunks_agree(&cells[i], batch, NULL);
            chunks_agree(&cells[i], batch, pool);
        }
    linnet_pool_free(pool);
}

/* Causal convolution: 96 columns in chunks, the past tied. */
void test_state_causal_conv(void)
{
    enum { C = 5, K = 4, LENGTH = 96 };
    const int64_t x[] = { 1, C, -1 }, w[] = { C, 1, K }, past[] = { 1, C, K - 1 }, all[] = { 1, C, LENGTH };
    const char *const in[] = { "x", "w", "", "past" }, *const out[] = { "y", "present" };
    linnet_tensor *wt = test_random_f32(3, w, -1, 1), *xt = test_random_f32(3, all, -1, 1);
    const float *xs = linnet_tensor_data(xt);
    float whole[C * LENGTH], part[C * LENGTH];
    linnet_model *m;
    linnet_session *s;

    EXPECT_OK(linnet_model_create(NULL, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 3, x, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "past", LINNET_F32, 3, past, &test_error));
    EXPECT_OK(linnet_model_add_weight(m, "w", LINNET_F32, 3, w, linnet_tensor_data(wt), linnet_tensor_size(wt), &test_error));
    EXPECT_OK(linnet_layer_add(m, "CausalConvWithState", "conv", in, 4, out, 2, NULL, &test_error));
    EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    EXPECT_OK(linnet_model_add_output(m, "present", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    EXPECT_OK(linnet_session_create(m, NULL, &s, &test_error));
    EXPECT_OK(linnet_session_tie(s, 1, 1, &test_error));
    for (int chunk = LENGTH; chunk > 0; chunk = chunk == LENGTH ? 7 : chunk - 1) {
        EXPECT_OK(linnet_session_reset(s, &test_error));
        for (int at = 0; at < LENGTH; at += chunk) {
            const int n = at + chunk < LENGTH ? chunk : LENGTH - at;
            const int64_t dims[] = { 1, C, n };
            for (int c = 0; c < C; c++)
                memcpy(part + c * n, xs + c * LENGTH + at, (size_t)n * sizeof *part);
            EXPECT_OK(linnet_session_set_input(s, 0, LINNET_F32, 3, dims, part, (size_t)(C * n) * sizeof *part, &test_error));
            EXPECT_OK(linnet_session_run(s, &test_error));
            const float *y = linnet_tensor_data(linnet_session_output(s, 0));
            if (chunk == LENGTH)
                memcpy(whole, y, sizeof whole);
            for (int c = 0; c < C; c++)
                test_note(memcmp(y + c * n, whole + c * LENGTH + at, (size_t)n * sizeof *y) == 0, __FILE__, __LINE__,
                          "chunks of %d give other bits", chunk);
        }
    }
    linnet_session_free(s);
    linnet_model_free(m);
    linnet_tensor_free(wt);
    linnet_tensor_free(xt);
}

/* Two steps with state `bytes` loaded give what they gave before. */
static void bytes_give(linnet_session *s, const void *bytes, size_t size, const float *x, const float *want)
{
    float y[STEPS * HIDDEN];

    EXPECT_OK(linnet_session_load_state(s, bytes, size, &test_error));
    EXPECT_OK(cell_feed(s, x, 1, 10, 12, y));
    EXPECT(memcmp(y + 10 * HIDDEN, want, 2 * HIDDEN * sizeof *y) == 0);
}

void test_state_bytes(void)
{
    const cell *c = &cells[0];
    const int64_t x_dims[] = { STEPS, 1, IN };
    linnet_tensor *xt = test_random_f32(3, x_dims, -1, 1);
    const float *x = linnet_tensor_data(xt);
    linnet_model *m = cell_model(c, -1, 1, NULL), *other = cell_model(&cells[1], -1, 1, NULL);
    linnet_session *s, *t, *u;
    float y[STEPS * HIDDEN];
    size_t size = 0;

    EXPECT_OK(linnet_session_create(m, NULL, &s, &test_error));
    EXPECT_OK(linnet_session_create(m, NULL, &t, &test_error));
    EXPECT_OK(linnet_session_create(other, NULL, &u, &test_error));
    cell_tie(s, c);
    cell_tie(u, &cells[1]);
    EXPECT_STATUS(linnet_session_copy_state(s, t, &test_error), LINNET_ERR_ARGUMENT); /* t is not tied yet */
    cell_tie(t, c);
    EXPECT_OK(cell_feed(s, x, 1, 0, 10, y));
    EXPECT_OK(linnet_session_state_size(s, &size, &test_error));
    uint8_t *bytes = malloc(size + 1), *before = malloc(size);
    EXPECT_STATUS(linnet_session_save_state(s, bytes, size - 1, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_OK(linnet_session_save_state(s, bytes, size, &test_error));
    EXPECT_OK(linnet_session_copy_state(s, t, &test_error));
    EXPECT_OK(cell_feed(s, x, 1, 10, 12, y));
    const float *want = y + 10 * HIDDEN;
    float *again = malloc(sizeof y);
    EXPECT_OK(cell_feed(t, x, 1, 10, 12, again));
    EXPECT(memcmp(again + 10 * HIDDEN, want, 2 * HIDDEN * sizeof *y) == 0);
    bytes_give(s, bytes, size, x, want);
    bytes_give(t, bytes, size, x, want);

    /* What is no state, or not this one's, is refused and changes nothing. */
    EXPECT_OK(linnet_session_save_state(s, before, size, &test_error));
    EXPECT_STATUS(linnet_session_load_state(u, bytes, size, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT(strstr(test_error.message, "another model"));
    for (size_t cut = 0; cut < size; cut++)
        EXPECT(linnet_session_load_state(s, bytes, cut, &test_error) != LINNET_OK);
    EXPECT(linnet_session_load_state(s, bytes, size + 1, &test_error) != LINNET_OK);
    for (size_t at = 0; at < size; at++) {
        bytes[at] ^= 0x11;
        EXPECT(linnet_session_load_state(s, bytes, size, &test_error) != LINNET_OK);
        bytes[at] ^= 0x11;
    }
    EXPECT_OK(linnet_session_save_state(s, bytes, size, &test_error));
    EXPECT(memcmp(bytes, before, size) == 0);

    /* So does a chunk that the model cannot take. */
    const int64_t wrong[] = { 2, 1, IN + 1 };
    EXPECT_STATUS(linnet_session_set_input(s, 0, LINNET_F32, 3, wrong, x, 2 * (IN + 1) * sizeof *x, &test_error),
                  LINNET_ERR_SHAPE);
    EXPECT_STATUS(linnet_session_set_input(s, 0, LINNET_F32, 3, x_dims, x, 5 * IN * sizeof *x, &test_error),
                  LINNET_ERR_ARGUMENT);
    EXPECT_OK(linnet_session_save_state(s, bytes, size, &test_error));
    EXPECT(memcmp(bytes, before, size) == 0);
    free(bytes);
    free(before);
    free(again);
    linnet_session_free(s);
    linnet_session_free(t);
    linnet_session_free(u);
    linnet_model_free(m);
    linnet_model_free(other);
    linnet_tensor_free(xt);
}

void test_state_arguments(void)
{
    const cell *c = &cells[0];
    const int64_t dims[] = { 2, 1, IN }, h_dims[] = { 1, 1, HIDDEN };
    linnet_model *m = cell_model(c, -1, 1, NULL);
    float x[2 * IN] = { 0 }, h[HIDDEN], y[2][2 * HIDDEN];
    linnet_session *s;

    EXPECT_OK(linnet_session_create(m, NULL, &s, &test_error));
    EXPECT_STATUS(linnet_session_tie(NULL, 0, 0, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_session_tie(s, 3, 0, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_session_tie(s, 0, 3, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_OK(linnet_session_tie(s, 1, 1, &test_error));
    EXPECT_STATUS(linnet_session_tie(s, 2, 1, &test_error), LINNET_ERR_ARGUMENT); /* twice */
    EXPECT_OK(linnet_session_tie(s, 0, 2, &test_error)); /* shows as wrong when planned */
    EXPECT_OK(linnet_session_set_input(s, 0, LINNET_F32, 3, dims, x, sizeof x, &test_error));
    EXPECT_STATUS(linnet_session_run(s, &test_error), LINNET_ERR_SHAPE);
    EXPECT(strstr(test_error.message, "cannot become"));
    linnet_session_free(s);

    /* A given first state: set before or after tying, and it need not be kept. */
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(linnet_session_create(m, NULL, &s, &test_error));
        for (int k = 0; k < HIDDEN; k++)
            h[k] = (float)k / HIDDEN;
        if (i == 0)
            EXPECT_OK(linnet_session_set_input(s, 1, LINNET_F32, 3, h_dims, h, sizeof h, &test_error));
        cell_tie(s, c);
        if (i == 1)
            EXPECT_OK(linnet_session_set_input(s, 1, LINNET_F32, 3, h_dims, h, sizeof h, &test_error));
        memset(h, 0xff, sizeof h);
        EXPECT_OK(cell_feed(s, x, 1, 0, 2, y[i]));
        linnet_session_free(s);
    }
    EXPECT(memcmp(y[0], y[1], sizeof y[0]) == 0 && y[0][0] == y[0][0]);
    linnet_model_free(m);
}

/* A placed session with ties: its size is exact, it allocates nothing, it gives the same bits. */
void test_state_placed(void)
{
    const linnet_tie ties[] = { { 1, 1 }, { 2, 2 } };
    const cell *c = &cells[0];
    const int64_t x_dims[] = { 12, 1, IN };
    linnet_tensor *xt = test_random_f32(3, x_dims, -1, 1);
    linnet_model *m = cell_model(c, 3, 1, NULL);
    float y[2][12 * HIDDEN];
    linnet_session *s[2];
    linnet_options opt;
    test_heap h;
    size_t size, bytes;

    test_heap_init(&h);
    linnet_options_init(&opt);
    opt.ties = ties;
    opt.tie_count = 2;
    EXPECT_OK(linnet_session_size(m, &opt, &size, &test_error));
    char *memory = malloc(size);
    opt.allocator = &h.hooks;
    EXPECT_STATUS(linnet_session_place(m, &opt, memory, size - 1, &s[0], &test_error), LINNET_ERR_MEMORY);
    EXPECT_OK(linnet_session_place(m, &opt, memory, size, &s[0], &test_error));
    EXPECT_STATUS(linnet_session_tie(s[0], 0, 0, &test_error), LINNET_ERR_ARGUMENT);
    opt.allocator = NULL;
    EXPECT_OK(linnet_session_create(m, &opt, &s[1], &test_error));
    for (int i = 0; i < 2; i++)
        for (int at = 0; at < 12; at += 3)
            EXPECT_OK(cell_feed(s[i], linnet_tensor_data(xt), 1, at, at + 3, y[i]));
    EXPECT(memcmp(y[0], y[1], sizeof y[0]) == 0);
    EXPECT_OK(linnet_session_state_size(s[1], &bytes, &test_error));
    void *state = malloc(bytes);
    EXPECT_OK(linnet_session_save_state(s[1], state, bytes, &test_error));
    EXPECT_OK(linnet_session_reset(s[0], &test_error));
    EXPECT_OK(linnet_session_load_state(s[0], state, bytes, &test_error));
    EXPECT_OK(linnet_session_copy_state(s[1], s[0], &test_error));
    EXPECT(h.calls == 0);
    free(state);
    linnet_session_free(s[0]);
    linnet_session_free(s[1]);
    free(memory);
    linnet_model_free(m);
    linnet_tensor_free(xt);
}

/* A long stream ($STREAM steps, else 20000): the last state has the bits of the sequence in pieces of 100, no allocation. */
void test_state_stream(void)
{
    const char *given = getenv("STREAM");
    const long steps = (given ? atol(given) : 20000) / 100 * 100;
    const cell *c = &cells[0];
    const int64_t x_dims[] = { STEPS, 1, IN };
    linnet_tensor *xt = test_random_f32(3, x_dims, -1, 1);
    const float *x = linnet_tensor_data(xt);
    linnet_options opt;
    linnet_session *s, *t;
    test_heap h;

    test_heap_init(&h);
    linnet_options_init(&opt);
    opt.allocator = &h.hooks;
    linnet_model *m = cell_model(c, -1, 1, &opt);
    EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
    EXPECT_OK(linnet_session_create(m, &opt, &t, &test_error));
    cell_tie(s, c);
    cell_tie(t, c);
    EXPECT_OK(cell_feed(s, x, 1, 0, 1, NULL));
    EXPECT_OK(cell_feed(t, x, 1, 0, STEPS, NULL));
    EXPECT_OK(linnet_session_reset(s, &test_error));
    EXPECT_OK(linnet_session_reset(t, &test_error));
    const size_t calls = h.calls, memory = h.bytes;
    bool good = true;
    for (long i = 0; good && i < steps; i++) /* the input wanders: its start moves with the round */
        good = cell_feed(s, x, 1, (i + i / STEPS) % STEPS, (i + i / STEPS) % STEPS + 1, NULL) == LINNET_OK;
    EXPECT(good && h.calls == calls && h.bytes == memory);
    float *wandered = malloc(STEPS * IN * sizeof *wandered);
    for (long round = 0; round < steps / STEPS; round++) {
        for (long i = 0; i < STEPS; i++)
            memcpy(wandered + i * IN, x + (i + round) % STEPS * IN, IN * sizeof *x);
        good = good && cell_feed(t, wandered, 1, 0, STEPS, NULL) == LINNET_OK;
    }
    EXPECT(good && h.calls == calls && h.bytes == memory);
    for (size_t i = 1; i <= 2; i++)
        EXPECT(memcmp(linnet_tensor_data(linnet_session_output(s, i)), linnet_tensor_data(linnet_session_output(t, i)),
                      HIDDEN * sizeof *x) == 0);
    free(wandered);
    linnet_session_free(s);
    linnet_session_free(t);
    linnet_model_free(m);
    linnet_tensor_free(xt);
    EXPECT(h.blocks == 0);
}

/* A model as it is in the file: state tied against state handed back by hand. */
static void file_streams(const char *folder, int32_t rank, const int64_t *dims, size_t state_in, size_t state_out,
                         linnet_pool *pool)
{
    char path[4096];
    linnet_model *m;
    linnet_session *s[2];
    linnet_options opt;
    linnet_value_info v;
    const int64_t rate = 16000;

    snprintf(path, sizeof path, "%s/models/%s/model.onnx", test_shared() ? test_shared() : "", folder);
    FILE *f = test_shared() ? fopen(path, "rb") : NULL;
    if (!f) {
        test_skip("%s is not there", folder);
        return;
    }
    fclose(f);
    linnet_options_init(&opt);
    opt.pool = pool;
    EXPECT_OK(linnet_model_open(path, NULL, &m, &test_error));
    linnet_model_input(m, state_in, &v);
    for (int32_t i = 0; i < v.rank; i++)
        v.dims[i] = v.dims[i] < 0 ? 1 : v.dims[i];
    linnet_tensor *state = test_tensor(LINNET_F32, v.rank, v.dims);
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(linnet_session_create(m, &opt, &s[i], &test_error));
        for (size_t k = 0; k < linnet_model_input_count(m); k++)
            if (linnet_model_input(m, k, &v) == LINNET_OK && v.dtype == LINNET_I64)
                EXPECT_OK(linnet_session_set_input(s[i], k, LINNET_I64, 0, NULL, &rate, sizeof rate, &test_error));
    }
    EXPECT_OK(linnet_session_tie(s[0], state_out, state_in, &test_error));
    for (int chunk = 0; chunk < 10; chunk++) {
        linnet_tensor *x = test_random_f32(rank, dims, -0.5f, 0.5f);
        for (int i = 0; i < 2; i++)
            EXPECT_OK(linnet_session_set_input_tensor(s[i], 0, x, &test_error));
        EXPECT_OK(linnet_session_set_input_tensor(s[1], state_in, state, &test_error));
        for (int i = 0; i < 2; i++)
            EXPECT_OK(linnet_session_run(s[i], &test_error));
        for (size_t k = 0; k < linnet_model_output_count(m); k++) {
            const linnet_tensor *a = linnet_session_output(s[0], k), *b = linnet_session_output(s[1], k);
            EXPECT(a && b && linnet_tensor_size(a) == linnet_tensor_size(b) &&
                   memcmp(linnet_tensor_data(a), linnet_tensor_data(b), linnet_tensor_size(a)) == 0);
        }
        memcpy(linnet_tensor_data(state), linnet_tensor_data(linnet_session_output(s[1], state_out)), linnet_tensor_size(state));
        linnet_tensor_free(x);
    }
    linnet_tensor_free(state);
    linnet_session_free(s[0]);
    linnet_session_free(s[1]);
    linnet_model_free(m);
}

void test_state_files(void)
{
    const int64_t vad[] = { 1, 576 }, dtln[] = { 1, 1, 257 };
    linnet_pool *pool;

    EXPECT_OK(linnet_pool_create(2, NULL, &pool, &test_error));
    for (int i = 0; i < 2; i++) {
        file_streams("silero-vad-16k-op15", 2, vad, 1, 1, i ? pool : NULL);
        file_streams("dtln-1", 3, dtln, 1, 1, i ? pool : NULL);
    }
    linnet_pool_free(pool);
}

/* A host's parallel_for that runs tasks one after another, last first: helpers must not wait for each other. */
static void backwards(void *user, size_t count, linnet_task_fn task, void *context)
{
    (void)user;
    for (size_t i = count; i-- > 0;)
        task(context, i, (int32_t)(i % 4));
}

/* The same bits from one thread, from pools of 2 to 5 threads and from hosts that run tasks one by one. */
void test_state_helpers(void)
{
    linnet_pool *pool[5];
    linnet_options opt;

    linnet_options_init(&opt);
    for (int i = 0; i < 4; i++)
        EXPECT_OK(linnet_pool_create(2 + i, NULL, &pool[i], &test_error));
    EXPECT_OK(linnet_pool_wrap(4, backwards, NULL, NULL, &pool[4], &test_error));
    for (size_t k = 0; k < 2; k++) {
        const cell *c = &cells[k];
        const int64_t x_dims[] = { STEPS, 1, IN };
        linnet_tensor *x = test_random_f32(3, x_dims, -1, 1);
        linnet_model *m = cell_model(c, -1, 1, NULL);
        float *want = calloc(STEPS * HIDDEN, sizeof *want), *got = calloc(STEPS * HIDDEN, sizeof *got);
        for (int i = -1; i < 5; i++) {
            linnet_session *s;
            opt.pool = i < 0 ? NULL : pool[i];
            EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
            cell_tie(s, c);
            for (int run = 0; run < 20; run++) {
                EXPECT_OK(linnet_session_reset(s, &test_error));
                EXPECT_OK(cell_feed(s, linnet_tensor_data(x), 1, 0, STEPS, i < 0 ? want : got));
                EXPECT(i < 0 || memcmp(want, got, STEPS * HIDDEN * sizeof *want) == 0);
            }
            linnet_session_free(s);
        }
        linnet_model_free(m);
        linnet_tensor_free(x);
        free(want);
        free(got);
    }
    for (int i = 0; i < 5; i++)
        linnet_pool_free(pool[i]);
}

/* R stored as bf16: near f32, smaller, and the same bits from one thread and from two. */
void test_state_half(void)
{
    linnet_pool *pool;

    EXPECT_OK(linnet_pool_create(2, NULL, &pool, &test_error));
    for (size_t k = 0; k < 2; k++) {
        const cell *c = &cells[k];
        const int64_t x_dims[] = { STEPS, 1, IN };
        linnet_tensor *x = test_random_f32(3, x_dims, -1, 1);
        linnet_model *m = cell_model(c, -1, 1, NULL);
        float *y[3];
        linnet_session_info info[3];
        float worst = 0;
        for (int i = 0; i < 3; i++) {
            linnet_options opt;
            linnet_session *s;
            linnet_options_init(&opt);
            opt.precision = i ? LINNET_PRECISION_HALF : LINNET_PRECISION_DEFAULT;
            opt.pool = i == 2 ? pool : NULL;
            y[i] = calloc(STEPS * HIDDEN, sizeof *y[i]);
            info[i].struct_size = sizeof info[i];
            EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
            cell_tie(s, c);
            EXPECT_OK(cell_feed(s, linnet_tensor_data(x), 1, 0, STEPS, y[i]));
            EXPECT_OK(linnet_session_get_info(s, &info[i]));
            linnet_session_free(s);
        }
        for (int i = 0; i < STEPS * HIDDEN; i++) {
            const float e = y[0][i] > y[1][i] ? y[0][i] - y[1][i] : y[1][i] - y[0][i];
            worst = e > worst ? e : worst;
        }
        test_note(worst > 0 && worst < 1e-2f, __FILE__, __LINE__, "%s: bf16 differs by %g", c->op, (double)worst);
        EXPECT(memcmp(y[1], y[2], STEPS * HIDDEN * sizeof *y[1]) == 0);
        EXPECT(info[1].weight_bytes < info[0].weight_bytes);
        for (int i = 0; i < 3; i++)
            free(y[i]);
        linnet_model_free(m);
        linnet_tensor_free(x);
    }
    linnet_pool_free(pool);
}
