/*
 * dft.c - DFT against sums by definition, in double, for all lengths to 64 and some larger.
 */
#include "test.h"

#include <math.h>

typedef struct dft_case { int64_t n, inverse, onesided; } dft_case;

static linnet_status dft_set(linnet_layer *l, void *user)
{
    const dft_case *k = user;
    const linnet_status st = linnet_layer_set_int(l, "inverse", k->inverse, &test_error);

    return st ? st : linnet_layer_set_int(l, "onesided", k->onesided, &test_error);
}

/* Bin k of line i of x [n][3][parts], which lies n_in long and counts as `n` long. */
static void dft_bin(const linnet_tensor *x, const dft_case *k, size_t line, int64_t bin, double out[2])
{
    const int64_t given = linnet_tensor_dim(x, 0), parts = linnet_tensor_dim(x, 2);
    const bool half = k->inverse && k->onesided;

    out[0] = out[1] = 0;
    for (int64_t t = 0; t < k->n; t++) {
        const bool mirror = half && t > k->n / 2;
        const int64_t from = mirror ? k->n - t : t;
        if (from >= given)
            continue;
        const double re = linnet_tensor_get(x, (size_t)(from * 3 * parts) + line * (size_t)parts);
        double im = parts == 2 ? linnet_tensor_get(x, (size_t)(from * 3 * parts) + line * (size_t)parts + 1) : 0;
        im = mirror ? -im : im;
        const double angle = (k->inverse ? 2 : -2) * acos(-1) * (double)(bin * t % k->n) / (double)k->n;
        out[0] += (re * cos(angle) - im * sin(angle)) / (k->inverse ? (double)k->n : 1);
        out[1] += (re * sin(angle) + im * cos(angle)) / (k->inverse ? (double)k->n : 1);
    }
}

static void dft_one(int64_t n, int64_t given, int64_t parts, int64_t inverse, int64_t onesided)
{
    dft_case k = { n, inverse, onesided };
    const int64_t shape[] = { given, 3, parts };
    linnet_tensor *x = test_random_f32(3, shape, -1, 1), *length = test_tensor(LINNET_I64, 0, NULL),
                  *axis = test_tensor(LINNET_I64, 0, NULL);

    ((int64_t *)linnet_tensor_data(length))[0] = n;
    test_op t = { .op = "DFT", .in = { x, length, axis }, .constant = { 0, 1, 1 }, .in_count = 3, .out_count = 1,
                  .set = dft_set, .user = &k };
    EXPECT_OK(test_op_run(&t));
    const int64_t bins = onesided && !inverse ? n / 2 + 1 : n, back = onesided && inverse ? 1 : 2;
    EXPECT(linnet_tensor_count(t.out[0]) == (size_t)(bins * 3 * back));
    double *want = calloc(linnet_tensor_count(t.out[0]), sizeof *want);
    for (int64_t b = 0; b < bins; b++)
        for (size_t line = 0; line < 3; line++) {
            double v[2];
            dft_bin(x, &k, line, b, v);
            memcpy(want + (b * 3 + (int64_t)line) * back, v, (size_t)back * sizeof *v);
        }
    EXPECT_NEAR(t.out[0], want, 1e-6, 1e-6);
    free(want);
    test_op_free(&t);
    linnet_tensor_free(x);
    linnet_tensor_free(length);
    linnet_tensor_free(axis);
}

void test_dft(void)
{
    static const int64_t large[] = { 97, 100, 128, 210, 400, 500, 512, 625 };

    for (int64_t n = 1; n <= 64 + 8; n++)
        for (int64_t kind = 0; kind < 5; kind++) { /* real, complex, their inverse, half, inverse of half */
            const int64_t inverse = kind == 2 || kind == 4, onesided = kind >= 3, parts = kind == 1 || kind == 4 ? 2 : 1;
            const int64_t length = n <= 64 ? n : large[n - 65];
            dft_one(length, kind == 4 ? length / 2 + 1 : length, parts, inverse, onesided);
            dft_one(length, 1 + length / 3, parts, inverse, onesided); /* filled with zeros */
            dft_one(length, length + 5, parts, inverse, onesided);     /* cut off */
        }
}
