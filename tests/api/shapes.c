/*
 * shapes.c - ten thousand runs in changing shapes: right answers, and memory that does not grow.
 */
#include "test.h"

#include <math.h>

/* x [n, 3, h, w] -> 1x1 convolution, Relu, mean over the pixels; and the places where x is not zero. */
static linnet_model *shapes_model(const linnet_options *opt, const float *w)
{
    const int64_t open[] = { -1, 3, -1, -1 }, w_dims[] = { 4, 3, 1, 1 };
    const char *const conv_in[] = { "x", "w" }, *const relu_in[] = { "c" }, *const mean_in[] = { "r" }, *const zero_in[] = { "x" };
    const char *const conv_out[] = { "c" }, *const relu_out[] = { "r" }, *const mean_out[] = { "y" }, *const zero_out[] = { "places" };
    linnet_model *m = NULL;

    EXPECT_OK(linnet_model_create(opt, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 4, open, &test_error));
    EXPECT_OK(linnet_model_add_weight(m, "w", LINNET_F32, 4, w_dims, w, 12 * sizeof *w, &test_error));
    EXPECT_OK(linnet_layer_add(m, "Conv", "conv", conv_in, 2, conv_out, 1, NULL, &test_error));
    EXPECT_OK(linnet_layer_add(m, "Relu", "relu", relu_in, 1, relu_out, 1, NULL, &test_error));
    EXPECT_OK(linnet_layer_add(m, "GlobalAveragePool", "mean", mean_in, 1, mean_out, 1, NULL, &test_error));
    EXPECT_OK(linnet_layer_add(m, "NonZero", "places", zero_in, 1, zero_out, 1, NULL, &test_error));
    EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    EXPECT_OK(linnet_model_add_output(m, "places", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    return m;
}

/* One run; true where both outputs are right. */
static bool shapes_run(linnet_session *s, const float *w, const int64_t *dims, float *x)
{
    const size_t pixels = (size_t)(dims[2] * dims[3]), count = (size_t)(dims[0] * 3) * pixels;
    size_t set = 0;
    bool good = true;

    for (size_t i = 0; i < count; i++) {
        x[i] = (float)((i * 37 + (size_t)dims[3]) % 19) / 19 - 0.5f;
        x[i] = i % 5 ? x[i] : 0;
        set += x[i] != 0;
    }
    if (linnet_session_set_input(s, 0, LINNET_F32, 4, dims, x, count * sizeof *x, &test_error) ||
        linnet_session_run(s, &test_error))
        return false;
    for (int64_t n = 0; n < dims[0]; n++)
        for (size_t m = 0; m < 4; m++) {
            double mean = 0;
            for (size_t p = 0; p < pixels; p++) {
                double v = 0;
                for (size_t c = 0; c < 3; c++)
                    v += (double)w[m * 3 + c] * (double)x[((size_t)n * 3 + c) * pixels + p];
                mean += (v > 0 ? v : 0) / (double)pixels;
            }
            good = good && fabs(linnet_tensor_get(linnet_session_output(s, 0), (size_t)n * 4 + m) - mean) < 1e-5;
        }
    return good && linnet_tensor_dim(linnet_session_output(s, 1), 1) == (int64_t)set;
}

void test_shapes_change(void)
{
    static float x[3 * 3 * 12 * 12];
    float w[12];
    test_heap h;
    linnet_options opt;
    linnet_session *s = NULL;
    size_t most = 0, right = 0;
    int64_t dims[100][4];

    test_heap_init(&h);
    linnet_options_init(&opt);
    opt.allocator = &h.hooks;
    for (size_t i = 0; i < 12; i++)
        w[i] = test_float(-1, 1);
    for (size_t i = 0; i < 100; i++) {
        const int64_t d[] = { test_int(1, 3), 3, test_int(1, 12), test_int(1, 12) };
        memcpy(dims[i], d, sizeof d);
    }
    linnet_model *m = shapes_model(&opt, w);
    EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
    for (size_t i = 0; i < 10000; i++) {
        right += shapes_run(s, w, dims[i % 100], x);
        if (i == 199) /* all of them seen, and the first after the last */
            most = h.most_bytes;
    }
    EXPECT(right == 10000);
    EXPECT(h.most_bytes == most);
    linnet_session_free(s);
    linnet_model_free(m);
    EXPECT(h.blocks == 0 && h.bytes == 0);
}
