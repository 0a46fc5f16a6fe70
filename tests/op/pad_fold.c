/*
 * pad_fold.c - Pad in front of windows: as a layer of its own without passes, part of the windows with them.
 */
#include "test.h"

#include <math.h>

typedef struct pad_case {
    const char *op;                      /* Conv, MaxPool, AveragePool */
    int64_t     c, m, kernel, stride, group;
    int64_t     pads[8], own;            /* of the Pad, n c h w before and after; of the windows, on all sides */
    bool        relu, filled, shared;    /* a Conv and a Relu before; a number of 1; the Pad's output is wanted too */
    bool        stays;
} pad_case;

static void pad_windows(linnet_model *m, const pad_case *k)
{
    const int64_t dims[] = { k->m, k->c / k->group, k->kernel, k->kernel };
    linnet_tensor *weight = test_random_f32(4, dims, -1, 1);
    const bool conv = strcmp(k->op, "Conv") == 0;
    linnet_layer *l;

    EXPECT_OK(linnet_model_add_weight(m, "w", LINNET_F32, 4, dims, linnet_tensor_data(weight),
                                      linnet_tensor_count(weight) * sizeof(float), &test_error));
    EXPECT_OK(linnet_layer_add(m, k->op, "y", (const char *const[]){ "p", "w" }, conv ? 2 : 1, (const char *const[]){ "y" },
                               1, &l, &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "kernel_shape", (const int64_t[]){ k->kernel, k->kernel }, 2, &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "strides", (const int64_t[]){ k->stride, k->stride }, 2, &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "pads", (const int64_t[]){ k->own, k->own, k->own, k->own }, 4, &test_error));
    if (conv)
        EXPECT_OK(linnet_layer_set_int(l, "group", k->group, &test_error));
    linnet_tensor_free(weight);
}

static linnet_model *pad_model(const pad_case *k)
{
    const int64_t dims[] = { 2, k->c, 13, 16 }, eight[] = { 8 }, filter[] = { k->c, k->c, 1, 1 };
    const float fill = k->filled ? 1.0f : 0.0f;
    linnet_tensor *weight = test_random_f32(4, filter, -1, 1);
    linnet_model *m = NULL;

    EXPECT_OK(linnet_model_create(NULL, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 4, dims, &test_error));
    if (k->relu) {
        EXPECT_OK(linnet_model_add_weight(m, "v", LINNET_F32, 4, filter, linnet_tensor_data(weight),
                                          linnet_tensor_count(weight) * sizeof(float), &test_error));
        EXPECT_OK(linnet_layer_add(m, "Conv", "c", (const char *const[]){ "x", "v" }, 2, (const char *const[]){ "c" }, 1,
                                   NULL, &test_error));
        EXPECT_OK(linnet_layer_add(m, "Relu", "r", (const char *const[]){ "c" }, 1, (const char *const[]){ "r" }, 1, NULL,
                                   &test_error));
    }
    EXPECT_OK(linnet_model_add_weight(m, "pads", LINNET_I64, 1, eight, k->pads, sizeof k->pads, &test_error));
    EXPECT_OK(linnet_model_add_weight(m, "fill", LINNET_F32, 0, NULL, &fill, sizeof fill, &test_error));
    EXPECT_OK(linnet_layer_add(m, "Pad", "p", (const char *const[]){ k->relu ? "r" : "x", "pads", "fill" }, 3,
                               (const char *const[]){ "p" }, 1, NULL, &test_error));
    pad_windows(m, k);
    EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    if (k->shared)
        EXPECT_OK(linnet_model_add_output(m, "p", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    linnet_tensor_free(weight);
    return m;
}

static void pad_check(const pad_case *k)
{
    const int64_t dims[] = { 2, k->c, 13, 16 };
    linnet_tensor *x = test_random_f32(4, dims, -1, 1);
    linnet_model *m = pad_model(k);
    linnet_session *s[2] = { NULL, NULL };
    double worst = 0;

    for (int i = 0; i < 2; i++) {
        linnet_options o;
        linnet_options_init(&o);
        o.passes = i ? ~0u : 0u;
        EXPECT_OK(linnet_session_create(m, &o, &s[i], &test_error));
        EXPECT_OK(linnet_session_set_input_tensor(s[i], 0, x, &test_error));
        EXPECT_OK(linnet_session_run(s[i], &test_error));
    }
    const linnet_tensor *want = linnet_session_output(s[0], 0), *got = linnet_session_output(s[1], 0);
    EXPECT(test_steps(s[1], "Pad") == (k->stays || k->shared));
    EXPECT(linnet_tensor_count(got) == linnet_tensor_count(want));
    for (size_t i = 0; i < linnet_tensor_count(want); i++)
        worst = fmax(worst, fabs(linnet_tensor_get(got, i) - linnet_tensor_get(want, i)));
    EXPECT(worst < 2e-4);
    linnet_session_free(s[0]);
    linnet_session_free(s[1]);
    linnet_model_free(m);
    linnet_tensor_free(x);
}

void test_pad_fold(void)
{
    static const pad_case cases[] = {
        { "Conv", 3, 20, 3, 2, 1, { 0, 0, 0, 0, 0, 0, 1, 1 }, 0, false, false, false, false },
        { "Conv", 16, 24, 3, 1, 1, { 0, 0, 1, 1, 0, 0, 1, 1 }, 0, true, false, false, false },
        { "Conv", 16, 24, 3, 1, 1, { 0, 0, 2, 1, 0, 0, 0, 5 }, 1, true, false, false, false },
        { "Conv", 32, 32, 3, 2, 32, { 0, 0, 0, 1, 0, 0, 1, 0 }, 0, true, false, false, false },
        { "Conv", 32, 40, 1, 1, 1, { 0, 0, 1, 1, 0, 0, 1, 1 }, 0, true, false, false, false },
        { "Conv", 16, 24, 3, 1, 1, { 0, 0, 1, 1, 0, 0, 1, 1 }, 0, true, false, true, false },
        { "Conv", 16, 24, 3, 1, 1, { 0, 0, 1, 1, 0, 0, 1, 1 }, 0, true, true, false, true },   /* ones */
        { "Conv", 16, 24, 3, 1, 1, { 0, 0, -1, 1, 0, 0, 1, 1 }, 0, true, false, false, true }, /* cuts off */
        { "Conv", 18, 24, 3, 1, 1, { 1, 0, 1, 1, 0, 0, 1, 1 }, 0, true, false, false, true },  /* another image */
        { "MaxPool", 16, 16, 3, 2, 1, { 0, 0, 1, 1, 0, 0, 1, 1 }, 0, true, false, false, false },
        { "MaxPool", 16, 16, 3, 2, 1, { 0, 0, 0, 2, 0, 0, 2, 0 }, 0, true, false, false, false },
        { "MaxPool", 16, 16, 3, 2, 1, { 0, 0, 1, 1, 0, 0, 1, 1 }, 0, false, false, false, true }, /* negative numbers */
        { "MaxPool", 16, 16, 3, 2, 1, { 0, 0, 3, 1, 0, 0, 1, 1 }, 0, true, false, false, true },  /* a window of zeros */
        { "MaxPool", 16, 16, 3, 2, 1, { 0, 0, 1, 1, 0, 0, 1, 1 }, 1, true, false, false, true },
        { "AveragePool", 16, 16, 3, 1, 1, { 0, 0, 1, 1, 0, 0, 1, 1 }, 0, true, false, false, false },
        { "AveragePool", 16, 16, 3, 2, 1, { 0, 0, 3, 0, 0, 0, 0, 2 }, 0, true, false, false, false },
        { "AveragePool", 16, 16, 3, 1, 1, { 0, 0, 1, 1, 0, 0, 1, 1 }, 1, true, false, false, true }, /* its own do not count */
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        pad_check(&cases[i]);
}
