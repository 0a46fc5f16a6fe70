/*
 * conv_layer.c - whole convolutions through a session, measured only (--bench -k conv_layer).
 *
 * Each layer is a model of its own with bias and Relu, channels last on both sides. "warm" is the
 * best of many runs in a row; "cold" the median of runs before which 96 MiB were read, so that the
 * weights come from memory as they do inside a large network.
 */
#include "check.h"

#include <linnet.h>

enum { EVICT_BYTES = 96 << 20, COLD_RUNS = 9, WARM_RUNS = 60 };

typedef struct layer {
    const char *name;
    int32_t     c, n, side, kernel, stride;
} layer;

static const layer layers[] = {
    { "conv_layer 3x3 64->64 @56", 64, 64, 56, 3, 1 },
    { "conv_layer 3x3 128->128 @28", 128, 128, 28, 3, 1 },
    { "conv_layer 3x3 256->256 @14", 256, 256, 14, 3, 1 },
    { "conv_layer 3x3 512->512 @7", 512, 512, 7, 3, 1 },
    { "conv_layer 1x1 64->64 @56", 64, 64, 56, 1, 1 },
    { "conv_layer 1x1 256->256 @28", 256, 256, 28, 1, 1 },
    { "conv_layer 1x1 512->512 @14", 512, 512, 14, 1, 1 },
    { "conv_layer 1x1 1024->1024 @7", 1024, 1024, 7, 1, 1 },
    { "conv_layer 3x3 64->64 @224", 64, 64, 224, 3, 1 },
    { "conv_layer 3x3 16->32 @208", 16, 32, 208, 3, 1 },
    { "conv_layer 3x3 256->256 @56", 256, 256, 56, 3, 1 },
    { "conv_layer 3x3 512->512 @28", 512, 512, 28, 3, 1 },
    { "conv_layer 3x3 512->512 @14", 512, 512, 14, 3, 1 },
    { "conv_layer 3x3 512->1024 @13", 512, 1024, 13, 3, 1 },
    { "conv_layer 3x3 48->192 @13", 48, 192, 13, 3, 1 },
    { "conv_layer 3x3/2 128->128 @56", 128, 128, 56, 3, 2 },
    { "conv_layer 3x3/2 256->256 @28", 256, 256, 28, 3, 2 },
    { "conv_layer 3x3/2 512->512 @14", 512, 512, 14, 3, 2 },
    { "conv_layer 3x3/2 32->64 @208", 32, 64, 208, 3, 2 },
    { "conv_layer 3x3/2 64->128 @104", 64, 128, 104, 3, 2 },
    { "conv_layer 3x3/2 256->512 @26", 256, 512, 26, 3, 2 },
    { "conv_layer 3x3/2 512->1024 @13", 512, 1024, 13, 3, 2 },
    { "conv_layer 3x3/2 24->48 @28", 24, 48, 28, 3, 2 },
    { "conv_layer 7x7/2 3->64 @224", 3, 64, 224, 7, 2 },
    { "conv_layer 3x3/2 3->32 @224", 3, 32, 224, 3, 2 },
    { "conv_layer 3x3/2 3->64 @224", 3, 64, 224, 3, 2 },
    { "conv_layer 3x3 3->64 @224", 3, 64, 224, 3, 1 },
    { "conv_layer 3x3 3->16 @416", 3, 16, 416, 3, 1 },
    { "conv_layer 3x3 1->32 @28", 1, 32, 28, 3, 1 },
    { "conv_layer 1x1 128->16 @55", 128, 16, 55, 1, 1 },
    { "conv_layer 1x1 384->48 @13", 384, 48, 13, 1, 1 },
    { "conv_layer 1x1 512->1000 @13", 512, 1000, 13, 1, 1 },
};

static linnet_status build(const layer *l, linnet_model **m)
{
    const int64_t in[] = { 1, l->side, l->side, l->c }, w[] = { l->n, l->c, l->kernel, l->kernel }, b[] = { l->n };
    const size_t weights = (size_t)(l->n * l->c * l->kernel * l->kernel);
    const linnet_conv2d conv = {
        .struct_size = sizeof conv, .kernel_layout = LINNET_CHANNELS_FIRST, .padding = LINNET_PAD_EXPLICIT,
        .stride = { l->stride, l->stride }, .activation = LINNET_ACT_RELU,
        .pads = { l->kernel / 2, l->kernel / 2, l->kernel / 2, l->kernel / 2 },
    };
    float *weight = check_buf(weights), *bias = check_buf((size_t)l->n);
    linnet_status st;

    check_fill(weight, weights, -1.0f, 1.0f);
    check_fill(bias, (size_t)l->n, -1.0f, 1.0f);
    if ((st = linnet_model_create(NULL, m, NULL)) != LINNET_OK)
        return st;
    st = linnet_model_add_input(*m, "x", LINNET_F32, 4, in, NULL);
    st = st ? st : linnet_model_add_weight(*m, "w", LINNET_F32, 4, w, weight, weights * sizeof *weight, NULL);
    st = st ? st : linnet_model_add_weight(*m, "b", LINNET_F32, 1, b, bias, (size_t)l->n * sizeof *bias, NULL);
    st = st ? st : linnet_layer_conv2d(*m, "y", "x", "w", "b", &conv, NULL);
    st = st ? st : linnet_model_add_output(*m, "y", NULL);
    return st ? st : linnet_model_finish(*m, NULL);
}

/* Microseconds of the steps of one run; -1: it failed. */
static double run_once(linnet_session *s, double *flop)
{
    linnet_step_info step = { .struct_size = sizeof step };
    double ns = 0.0;

    *flop = 0.0;
    if (linnet_session_run(s, NULL))
        return -1.0;
    for (size_t i = 0; linnet_session_step(s, i, &step) == LINNET_OK; i++) {
        ns += (double)step.ns;
        *flop += step.flop;
    }
    return ns * 1e-3;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const layer *l, linnet_session *s, double peak, unsigned char *evict)
{
    double warm = 1e9, cold[COLD_RUNS], flop = 0.0, us;

    for (int i = 0; i < WARM_RUNS; i++)
        if ((us = run_once(s, &flop)) >= 0.0)
            warm = fmin(warm, us);
    for (int i = 0; i < COLD_RUNS; i++) {
        for (size_t j = 0; j < EVICT_BYTES; j += 64)
            evict[j]++;
        cold[i] = run_once(s, &flop);
    }
    qsort(cold, COLD_RUNS, sizeof *cold, by_value);
    const double median = cold[COLD_RUNS / 2];
    printf("%-30s %-7s warm %8.1f us %6.1f GFLOP/s %4.0f %%   cold %8.1f us %6.1f GFLOP/s %4.0f %%\n", l->name,
           linnet_isa_name(check_now.isa), warm, flop / warm * 1e-3, 100.0 * flop / warm / peak * 1e6, median,
           flop / median * 1e-3, 100.0 * flop / median / peak * 1e6);
}

static void bench_layer(const layer *l, const linnet_options *opt, double peak, unsigned char *evict)
{
    const size_t pixels = (size_t)(l->side * l->side * l->c);
    const int64_t dims[] = { 1, l->side, l->side, l->c };
    linnet_model *m = NULL;
    linnet_session *s = NULL;

    check_case("%s", l->name);
    float *x = check_buf(pixels);
    check_fill(x, pixels, -1.0f, 1.0f);
    const bool ok = !build(l, &m) && !linnet_session_create(m, opt, &s, NULL) &&
                    !linnet_session_set_input(s, 0, LINNET_F32, 4, dims, x, pixels * sizeof *x, NULL);
    check_ok(ok, "the layer cannot be built");
    if (ok)
        measure(l, s, peak, evict);
    linnet_session_free(s);
    linnet_model_free(m);
}

void check_conv_layer(void)
{
    linnet_options opt;

    if (!check_benching())
        return;
    linnet_options_init(&opt);
    opt.isa_mask = check_now.isa | (check_now.isa - 1);
    opt.profile = 1;
    const double peak = check_peak(check_now.isa);
    unsigned char *evict = malloc(EVICT_BYTES);
    if (!evict)
        return;
    memset(evict, 1, EVICT_BYTES);
    for (size_t i = 0; i < CHECK_COUNT(layers); i++)
        if (check_begin(layers[i].name, CHECK_ENTRY(gemm_f32)))
            bench_layer(&layers[i], &opt, peak, evict);
    free(evict);
}
