/*
 * by_code.c - the digit network built layer by layer, with weights from a safetensors file.
 *
 *   by_code mnist.safetensors [mnist.lnt]
 *
 * With a second file: both networks run on the same input and must give the same bits.
 */
#include <linnet.h>

#include <stdio.h>
#include <string.h>

static linnet_status build(const char *weights, linnet_model **out, linnet_error *err)
{
    const int64_t image[4] = { -1, 28, 28, 1 };
    const linnet_conv2d conv = { .struct_size = sizeof conv, .activation = LINNET_ACT_RELU };
    const linnet_pool2d pool = { .struct_size = sizeof pool, .kernel = { 2, 2 } };
    linnet_model *m;
    linnet_status st = linnet_model_create(NULL, &m, err);

    if (st)
        return st;
    if ((st = linnet_model_open_weights(m, weights, err)) ||
        (st = linnet_model_add_input(m, "image", LINNET_F32, 4, image, err)) ||
        (st = linnet_layer_conv2d(m, "conv1", "image", "conv2d.kernel", "conv2d.bias", &conv, err)) ||
        (st = linnet_layer_pool2d(m, "pool1", "conv1", &pool, err)) ||
        (st = linnet_layer_conv2d(m, "conv2", "pool1", "conv2d_1.kernel", "conv2d_1.bias", &conv, err)) ||
        (st = linnet_layer_pool2d(m, "pool2", "conv2", &pool, err)) ||
        (st = linnet_layer_flatten(m, "flat", "pool2", err)) ||
        (st = linnet_layer_dense(m, "dense1", "flat", "dense.kernel", "dense.bias", 0, LINNET_ACT_RELU, err)) ||
        (st = linnet_layer_dense(m, "probabilities", "dense1", "dense_1.kernel", "dense_1.bias", 0,
                                 LINNET_ACT_SOFTMAX, err)) ||
        (st = linnet_model_add_output(m, "probabilities", err)) || (st = linnet_model_finish(m, err))) {
        linnet_model_free(m);
        return st;
    }
    *out = m;
    return LINNET_OK;
}

/* Ten probabilities of one picture. */
static linnet_status answer(const linnet_model *m, const float *x, float *y, linnet_error *err)
{
    const int64_t shape[4] = { 1, 28, 28, 1 };
    linnet_session *s;
    linnet_status st = linnet_session_create(m, NULL, &s, err);

    if (st)
        return st;
    if ((st = linnet_session_set_input(s, 0, LINNET_F32, 4, shape, x, 784 * sizeof *x, err)) == LINNET_OK &&
        (st = linnet_session_run(s, err)) == LINNET_OK)
        memcpy(y, linnet_tensor_data(linnet_session_output(s, 0)), 10 * sizeof *y);
    linnet_session_free(s);
    return st;
}

int main(int argc, char **argv)
{
    float x[784], mine[10], file[10];
    linnet_model *built, *loaded;
    linnet_error err;
    int different = 0;

    if (argc < 2)
        return fprintf(stderr, "usage: by_code WEIGHTS.safetensors [MODEL]\n"), 2;
    if (build(argv[1], &built, &err))
        return fprintf(stderr, "%s\n", err.message), 1;
    if (argc > 2 && linnet_model_open(argv[2], NULL, &loaded, &err))
        return fprintf(stderr, "%s: %s\n", argv[2], err.message), 1;
    for (uint32_t picture = 0, r = 1; picture < 100; picture++) {
        for (int i = 0; i < 784; i++)
            x[i] = (float)((r = r * 1664525u + 1013904223u) >> 8) * 0x1p-24f;
        if (answer(built, x, mine, &err) || (argc > 2 && answer(loaded, x, file, &err)))
            return fprintf(stderr, "%s\n", err.message), 1;
        different += argc > 2 && memcmp(mine, file, sizeof mine) != 0;
    }
    printf("%zu layers by code", linnet_model_layer_count(built));
    if (argc > 2)
        printf("; %d of 100 answers differ in a bit from those of %s", different, argv[2]);
    putchar('\n');
    linnet_model_free(built);
    if (argc > 2)
        linnet_model_free(loaded);
    return different != 0;
}
