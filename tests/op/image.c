/*
 * image.c - ImageDecoder: every truncation and many damaged bytes of a BMP, a PNM and a PNG file give pixels or an
 * error, never a fault.
 */
#include "test.h"

static linnet_tensor *image_load(const char *kind, const char *file)
{
    char path[1024];
    linnet_tensor *t = NULL;

    snprintf(path, sizeof path, "%s/conformance/onnx/node/test_image_decoder_decode_%s_rgb/test_data_set_0/%s",
             test_shared(), kind, file);
    FILE *f = fopen(path, "rb");
    unsigned char *data = malloc(65536);
    const size_t size = f ? fread(data, 1, 65536, f) : 0;
    if (size)
        EXPECT_OK(linnet_tensor_load_pb(data, size, &t, NULL, 0, &test_error));
    if (f)
        fclose(f);
    free(data);
    return t;
}

static linnet_status image_run(const uint8_t *bytes, size_t size, const linnet_tensor *want)
{
    linnet_tensor *x = test_tensor(LINNET_U8, 1, (int64_t[]){ (int64_t)size });
    test_op t = { .op = "ImageDecoder", .in = { x }, .in_count = 1, .out_count = 1 };

    if (size)
        memcpy(linnet_tensor_data(x), bytes, size);
    const linnet_status st = test_op_run(&t);
    if (want)
        EXPECT(st == LINNET_OK && linnet_tensor_count(t.out[0]) == linnet_tensor_count(want) &&
               memcmp(linnet_tensor_data(t.out[0]), linnet_tensor_data(want), linnet_tensor_count(want)) == 0);
    test_op_free(&t);
    linnet_tensor_free(x);
    return st;
}

static void image_damage(const char *kind)
{
    linnet_tensor *file = image_load(kind, "input_0.pb"), *want = image_load(kind, "output_0.pb");
    static const uint8_t other[] = { 0, 1, 0x7f, 0x80, 0xff };
    size_t errors = 0;

    if (file && want) {
        uint8_t *bytes = linnet_tensor_data(file);
        const size_t size = linnet_tensor_count(file);
        image_run(bytes, size, want);
        for (size_t n = 0; n < size; n += n < 400 ? 1 : 97)
            errors += image_run(bytes, n, NULL) != LINNET_OK;
        for (size_t i = 0; i < size && i < 400; i++)
            for (size_t k = 0; k < sizeof other; k++) {
                const uint8_t before = bytes[i];
                bytes[i] = k ? other[k] : (uint8_t)test_int(0, 255);
                image_run(bytes, size, NULL);
                bytes[i] = before;
            }
        EXPECT(errors >= 290); /* a truncated file is not taken for whole, but for the end mark of a PNG */
        image_run(bytes, size, want);
    }
    linnet_tensor_free(file);
    linnet_tensor_free(want);
}

void test_image_decoder(void)
{
    if (!test_shared()) {
        test_skip("pictures: no folder of shared data");
        return;
    }
    image_damage("bmp");
    image_damage("pnm");
    image_damage("png");
}
