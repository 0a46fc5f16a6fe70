/*
 * rtneural.c - recurrent networks that others trained in Keras and PyTorch, sample by sample with tied state,
 * against the outputs that Keras and PyTorch gave. The files (JSON and CSV) are beside the project.
 */
#include "test.h"

enum { UNITS = 8, MOST = 1024, WEIGHTS = 4 * UNITS * UNITS };

/* The file's text, or NULL. */
static char *rt_text(const char *folder, const char *file)
{
    char path[4096];
    char *text = calloc(1, 1 << 20);

    snprintf(path, sizeof path, "%s/conformance/rtneural/%s/%s%s", test_shared() ? test_shared() : "", folder, folder, file);
    FILE *f = text && test_shared() ? fopen(path, "rb") : NULL;
    if (f && fread(text, 1, (1 << 20) - 1, f) > 0) {
        fclose(f);
        return text;
    }
    if (f)
        fclose(f);
    free(text);
    return NULL;
}

/* All numbers behind the nth "key":, as deep as they are nested. */
static size_t rt_numbers(const char *text, const char *key, int nth, float *out, size_t most)
{
    char quoted[64];
    const char *p = text;
    size_t count = 0;
    int depth = 0;

    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    for (int i = 0; p && i <= nth; i++)
        if ((p = strstr(p, quoted)))
            p += strlen(quoted);
    while (p && *p && count < most) {
        if (*p == '[' || *p == ']')
            depth += *p == '[' ? 1 : -1;
        if (*p == ']' && depth == 0)
            break;
        if ((*p >= '0' && *p <= '9') || *p == '-') {
            char *end;
            out[count++] = strtof(p, &end);
            p = end;
        } else {
            p++;
        }
    }
    return count;
}

/* A cell by its framework: where ONNX's gates are, and whether matrices are [in, gates] instead of [gates, in]. */
typedef struct rt_kind {
    const char *op;
    size_t      gates, order[4];
    bool        turned;
} rt_kind;
static const rt_kind keras_lstm = { "LSTM", 4, { 0, 3, 1, 2 }, true }, torch_lstm = { "LSTM", 4, { 0, 3, 1, 2 }, false };
static const rt_kind keras_gru = { "GRU", 3, { 0, 1, 2 }, true }, torch_gru = { "GRU", 3, { 1, 0, 2 }, false };

static void rt_matrix(linnet_model *m, const rt_kind *k, const char *name, const float *from, size_t in)
{
    const int64_t dims[] = { 1, (int64_t)k->gates * UNITS, (int64_t)in };
    float w[WEIGHTS];

    for (size_t g = 0; g < k->gates; g++)
        for (size_t u = 0; u < UNITS; u++)
            for (size_t i = 0; i < in; i++) {
                const size_t row = k->order[g] * UNITS + u;
                w[(g * UNITS + u) * in + i] = k->turned ? from[i * k->gates * UNITS + row] : from[row * in + i];
            }
    EXPECT_OK(linnet_model_add_weight(m, name, LINNET_F32, 3, dims, w, k->gates * UNITS * in * sizeof *w, &test_error));
}

/* A cell called `name` behind x; w and r as the framework has them, b: input bias, then recurrent bias. */
static void rt_cell(linnet_model *m, const rt_kind *k, const char *name, const char *x, size_t width, const float *w,
                    const float *r, const float *b)
{
    const int64_t state[] = { 1, 1, UNITS }, bias[] = { 1, 2 * (int64_t)k->gates * UNITS };
    char n[8][32];
    float both[8 * UNITS];
    linnet_layer *l;

    for (int i = 0; i < 8; i++)
        snprintf(n[i], sizeof n[i], "%s%s", name, (const char *const[]){ ".w", ".r", ".b", ".h", ".c", ".y", "", ".cn" }[i]);
    rt_matrix(m, k, n[0], w, width);
    rt_matrix(m, k, n[1], r, UNITS);
    for (size_t i = 0; i < 2 * k->gates; i++)
        memcpy(both + i * UNITS, b + (i / k->gates * k->gates + k->order[i % k->gates]) * UNITS, UNITS * sizeof *b);
    EXPECT_OK(linnet_model_add_weight(m, n[2], LINNET_F32, 2, bias, both, 2 * k->gates * UNITS * sizeof *both, &test_error));
    EXPECT_OK(linnet_model_add_input(m, n[3], LINNET_F32, 3, state, &test_error));
    if (k->gates == 4)
        EXPECT_OK(linnet_model_add_input(m, n[4], LINNET_F32, 3, state, &test_error));
    const char *in[] = { x, n[0], n[1], n[2], "", n[3], n[4] }, *out[] = { n[5], n[6], n[7] };
    EXPECT_OK(linnet_layer_add(m, k->op, n[5], in, k->gates == 4 ? 7 : 6, out, k->gates == 4 ? 3 : 2, &l, &test_error));
    if (k->gates == 3)
        EXPECT_OK(linnet_layer_set_int(l, "linear_before_reset", 1, &test_error));
    EXPECT_OK(linnet_model_add_output(m, n[6], &test_error)); /* one step: its h is the next layer's x */
    if (k->gates == 4)
        EXPECT_OK(linnet_model_add_output(m, n[7], &test_error));
}

/* weights: kernel, then bias. */
static void rt_dense(linnet_model *m, const char *name, const char *x, const float *weights, int64_t in, int64_t out,
                     bool turned, int32_t act)
{
    const int64_t w[] = { turned ? out : in, turned ? in : out };
    char wn[32], bn[32];

    snprintf(wn, sizeof wn, "%s.w", name);
    snprintf(bn, sizeof bn, "%s.b", name);
    EXPECT_OK(linnet_model_add_weight(m, wn, LINNET_F32, 2, w, weights, (size_t)(in * out) * sizeof *weights, &test_error));
    EXPECT_OK(linnet_model_add_weight(m, bn, LINNET_F32, 1, &out, weights + in * out, (size_t)out * sizeof *weights, &test_error));
    EXPECT_OK(linnet_layer_dense(m, name, x, wn, bn, turned, act, &test_error));
}

static void rt_keras(linnet_model *m, const char *json, const rt_kind *k)
{
    float d[MOST], c[MOST];
    const size_t mats = UNITS * k->gates * UNITS;

    EXPECT(rt_numbers(json, "weights", 0, d, MOST) == 2 * UNITS);
    rt_dense(m, "first", "x", d, 1, UNITS, false, LINNET_ACT_TANH);
    memset(c, 0, sizeof c); /* an LSTM's bias has no recurrent half */
    EXPECT(rt_numbers(json, "weights", 1, c, MOST) == 2 * mats + (k->gates == 4 ? 1 : 2) * k->gates * UNITS);
    rt_cell(m, k, "cell", "first", UNITS, c, c + mats, c + 2 * mats);
    if (k->gates == 3) {
        EXPECT(rt_numbers(json, "weights", 2, d, MOST) == UNITS * UNITS + UNITS);
        rt_dense(m, "second", "cell", d, UNITS, UNITS, false, LINNET_ACT_SIGMOID);
    }
    EXPECT(rt_numbers(json, "weights", k->gates == 3 ? 3 : 2, d, MOST) == UNITS + 1);
    rt_dense(m, "y", k->gates == 3 ? "second" : "cell", d, UNITS, 1, false, LINNET_ACT_NONE);
}

static void rt_torch(linnet_model *m, const char *json, const rt_kind *k)
{
    static const char *const parts[] = { "weight_ih", "weight_hh", "bias_ih", "bias_hh" };
    float v[4][WEIGHTS], b[2 * 4 * UNITS];
    char name[16], before[16] = "x", key[64];

    for (int i = 0; i < 4; i++) {
        for (int p = 0; p < 4; p++) {
            snprintf(key, sizeof key, "%s%s.%s_l%d", k->gates == 4 ? "lstm" : "gru", i ? "2" : "", parts[p], i ? i - 1 : 0);
            EXPECT(rt_numbers(json, key, 0, v[p], WEIGHTS) == k->gates * UNITS * (p > 1 || (p == 0 && i == 0) ? 1 : UNITS));
        }
        memcpy(b, v[2], k->gates * UNITS * sizeof *b);
        memcpy(b + k->gates * UNITS, v[3], k->gates * UNITS * sizeof *b);
        snprintf(name, sizeof name, "cell%d", i);
        rt_cell(m, k, name, before, i ? UNITS : 1, v[0], v[1], b);
        memcpy(before, name, sizeof before);
    }
    EXPECT(rt_numbers(json, "dense.weight", 0, v[0], UNITS) == UNITS);
    EXPECT(rt_numbers(json, "dense.bias", 0, v[0] + UNITS, 1) == 1);
    rt_dense(m, "y", before, v[0], UNITS, 1, true, LINNET_ACT_NONE);
}

static void rt_case(const char *folder, const rt_kind *k)
{
    char *json = rt_text(folder, ".json"), *x = rt_text(folder, "_x_python.csv"), *y = rt_text(folder, "_y_python.csv");
    const int64_t dims[] = { 1, 1, 1 };
    double worst = 0;
    size_t samples = 0;
    linnet_model *m;
    linnet_session *s;

    if (!json || !x || !y) {
        test_skip("rtneural/%s is not there", folder);
    } else {
        EXPECT_OK(linnet_model_create(NULL, &m, &test_error));
        EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 3, dims, &test_error));
        (k->turned ? rt_keras : rt_torch)(m, json, k);
        EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
        EXPECT_OK(linnet_model_finish(m, &test_error));
        EXPECT_OK(linnet_session_create(m, NULL, &s, &test_error));
        const size_t states = linnet_model_input_count(m) - 1; /* inputs after x and outputs before y, in one order */
        for (size_t i = 0; i < states; i++)
            EXPECT_OK(linnet_session_tie(s, i, i + 1, &test_error));
        char *at = x, *want = y, *end;
        for (float v = strtof(at, &end); end != at; at = end, v = strtof(at, &end), samples++) {
            EXPECT_OK(linnet_session_set_input(s, 0, LINNET_F32, 3, dims, &v, sizeof v, &test_error));
            EXPECT_OK(linnet_session_run(s, &test_error));
            const double e = linnet_tensor_get(linnet_session_output(s, states), 0) - strtod(want, &want);
            worst = e > worst ? e : -e > worst ? -e : worst;
        }
        test_note(samples >= 100 && worst < 1e-6, __FILE__, __LINE__, "%s: %zu samples, worst error %g", folder, samples, worst);
        linnet_session_free(s);
        linnet_model_free(m);
    }
    free(json);
    free(x);
    free(y);
}

void test_rtneural(void)
{
    rt_case("lstm", &keras_lstm);
    rt_case("gru", &keras_gru);
    rt_case("lstm_torch", &torch_lstm);
    rt_case("gru_torch", &torch_gru);
}
