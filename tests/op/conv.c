/*
 * conv.c - Conv, ConvTranspose and ConvInteger against sums by definition.
 */
#include "window_ref.h"

#include <math.h>

typedef struct conv_case {
    wref    w;
    int64_t group, cg, mg;
    bool    bias, constant, transposed;
    int64_t extra[3]; /* output_padding */
} conv_case;

static linnet_status conv_set(linnet_layer *l, void *user)
{
    const conv_case *k = user;
    linnet_status st = wref_set(l, &k->w, test_int(0, 1) != 0);

    if (!st && k->transposed)
        st = linnet_layer_set_ints(l, "output_padding", k->extra + 3 - k->w.axes, (size_t)k->w.axes, &test_error);
    return st ? st : linnet_layer_set_int(l, "group", k->group, &test_error);
}

/* y += w * x for every pair of input and output pixel that a tap joins. */
static void conv_want(const conv_case *k, const float *x, const float *w, const float *b, double *y)
{
    const wref *g = &k->w;
    const int64_t in = wref_count(g->in), out = wref_count(g->out), taps = wref_count(g->kernel);
    const int64_t c = k->group * k->cg, m = k->group * k->mg;

    for (int64_t i = 0; i < g->n * m * out; i++)
        y[i] = b ? (double)b[i / out % m] : 0.0;
    for (int64_t n = 0; n < g->n; n++)
        for (int64_t o = 0; o < (k->transposed ? in : out); o++)
            for (int64_t t = 0; t < taps; t++) {
                const int64_t *from = k->transposed ? g->in : g->out, *to = k->transposed ? g->out : g->in;
                const int64_t oz = o / (from[1] * from[2]), oy = o / from[2] % from[1], ox = o % from[2];
                const int64_t kz = t / (g->kernel[1] * g->kernel[2]), ky = t / g->kernel[2] % g->kernel[1];
                const int64_t z = oz * g->stride[0] + kz * g->dilation[0] - g->pad[0];
                const int64_t yy = oy * g->stride[1] + ky * g->dilation[1] - g->pad[1];
                const int64_t xx = ox * g->stride[2] + t % g->kernel[2] * g->dilation[2] - g->pad[2];
                if (z < 0 || yy < 0 || xx < 0 || z >= to[0] || yy >= to[1] || xx >= to[2])
                    continue;
                const int64_t p = (z * to[1] + yy) * to[2] + xx;
                const int64_t xi = k->transposed ? o : p, yi = k->transposed ? p : o;
                for (int64_t mm = 0; mm < m; mm++)
                    for (int64_t cc = 0; cc < k->cg; cc++) {
                        const int64_t ch = mm / k->mg * k->cg + cc;
                        const float v = k->transposed ? w[(ch * k->mg + mm % k->mg) * taps + t]
                                                      : w[(mm * k->cg + cc) * taps + t];
                        y[(n * m + mm) * out + yi] += (double)v * (double)x[(n * c + ch) * in + xi];
                    }
            }
}

static void conv_check(conv_case *k, const linnet_options *o, double rtol)
{
    const int64_t c = k->group * k->cg, m = k->group * k->mg;
    int64_t x_dims[5], w_dims[5], y_count = k->w.n * m * wref_count(k->w.out);
    const int rank = wref_dims(&k->w, c, k->w.in, x_dims);

    wref_dims(&k->w, 0, k->w.kernel, w_dims);
    w_dims[0] = k->transposed ? c : m;
    w_dims[1] = k->transposed ? k->mg : k->cg;
    linnet_tensor *x = test_random_f32(rank, x_dims, -1, 1), *w = test_random_f32(rank, w_dims, -1, 1);
    linnet_tensor *b = k->bias ? test_random_f32(1, &m, -1, 1) : NULL;
    double *want = malloc((size_t)y_count * sizeof *want);
    test_op t = { .op = k->transposed ? "ConvTranspose" : "Conv", .in = { x, w, b },
                  .constant = { false, k->constant, k->constant }, .in_count = k->bias ? 3 : 2, .out_count = 1,
                  .set = conv_set, .user = k, .opt = o };

    conv_want(k, linnet_tensor_data(x), linnet_tensor_data(w), b ? linnet_tensor_data(b) : NULL, want);
    EXPECT_OK(test_op_run(&t));
    if (t.out[0])
        EXPECT_NEAR(t.out[0], want, rtol, rtol * 4);
    free(want);
    test_op_free(&t);
    linnet_tensor_free(x);
    linnet_tensor_free(w);
    linnet_tensor_free(b);
}

static void conv_channels(conv_case *k)
{
    static const int64_t groups[] = { 1, 1, 1, 2, 3, 4, 8, 20 };

    k->group = groups[test_int(0, 7)];
    k->cg = k->group == 20 ? 1 : test_int(1, k->group > 1 ? 5 : 40);
    k->mg = k->group == 20 ? test_int(1, 2) : test_int(1, k->group > 1 ? 9 : 70);
    k->bias = test_int(0, 1) != 0;
    k->constant = test_int(0, 3) != 0;
}

void test_conv(void)
{
    linnet_pool *pool = NULL;
    linnet_options o;
    conv_case k;

    EXPECT_OK(linnet_pool_create(2, NULL, &pool, &test_error));
    for (int i = 0; i < 240; i++) {
        memset(&k, 0, sizeof k);
        wref_random(&k.w, i % 8 == 7 ? 3 : 1 + i % 2, i % 16 == 15 ? 3 : 4);
        conv_channels(&k);
        wref_options(i % WREF_WAYS, &o, pool);
        conv_check(&k, &o, 2e-5);
    }
    linnet_pool_free(pool);
}

/* One to five channels over rows wide enough for tiles. */
void test_conv_few_channels(void)
{
    linnet_pool *pool = NULL;
    linnet_options o;
    conv_case k;

    EXPECT_OK(linnet_pool_create(2, NULL, &pool, &test_error));
    for (int i = 0; i < 120; i++) {
        memset(&k, 0, sizeof k);
        wref_random(&k.w, i % 16 == 7 ? 3 : 1 + i % 2, 5);
        wref_width(&k.w, test_int(14, 90));
        k.group = 1;
        k.cg = test_int(1, 5);
        k.mg = test_int(1, 70);
        k.bias = test_int(0, 1) != 0;
        k.constant = test_int(0, 3) != 0;
        wref_options(i % WREF_WAYS, &o, pool);
        conv_check(&k, &o, 2e-5);
    }
    linnet_pool_free(pool);
}

/* 1x1 by seven products of half the size: pixels in even and odd numbers, some of a stride; 128 channels and more. */
void test_conv_seven(void)
{
    static const int64_t size[][6] = { /* height and width of the output, channels in, out, strides */
        { 14, 14, 128, 128, 1, 1 }, { 13, 12, 130, 192, 1, 1 }, { 28, 9, 256, 128, 1, 1 }, { 150, 1, 140, 64 * 5, 1, 1 },
        { 12, 13, 128, 160, 1, 1 }, { 13, 13, 128, 128, 1, 1 }, { 13, 13, 256, 200, 1, 1 }, { 21, 15, 130, 328, 1, 1 },
        { 14, 14, 128, 128, 2, 2 }, { 13, 13, 256, 136, 2, 3 }, { 101, 1, 128, 200, 1, 2 }, { 8, 13, 512, 128, 2, 1 },
    };
    linnet_pool *pool = NULL;
    linnet_options o;

    EXPECT_OK(linnet_pool_create(2, NULL, &pool, &test_error));
    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
        for (int way = 0; way < WREF_WAYS; way++) {
            const int64_t *v = size[i], more = (int64_t)i % 2;
            conv_case k = { .w = { .axes = 2, .n = 1 + (int)i % 2,
                                   .in = { 1, v[0] * v[4] - (v[4] - 1) * more, v[1] * v[5] - (v[5] - 1) * more },
                                   .out = { 1, v[0], v[1] }, .kernel = { 1, 1, 1 }, .stride = { 1, v[4], v[5] },
                                   .dilation = { 1, 1, 1 } },
                            .group = 1, .cg = size[i][2], .mg = size[i][3], .bias = way % 2 != 0, .constant = way % 3 != 2 };
            wref_options(way, &o, pool);
            conv_check(&k, &o, 3e-5);
        }
    linnet_pool_free(pool);
}

/* 3x3 of stride 1 and 2 over many channels: tiles of any size, edges, several images. */
void test_conv_winograd(void)
{
    linnet_pool *pool = NULL;
    linnet_options o;

    EXPECT_OK(linnet_pool_create(2, NULL, &pool, &test_error));
    for (int i = 0; i < 60; i++) {
        const int64_t stride = test_int(1, 2);
        conv_case k = { .w = { .axes = 2, .n = test_int(1, 3), .kernel = { 1, 3, 3 }, .stride = { 1, stride, stride },
                               .dilation = { 1, 1, 1 }, .in = { 1 }, .out = { 1 } },
                        .group = 1, .cg = test_int(24, 70), .mg = test_int(24, 130), .bias = i % 2 != 0,
                        .constant = i % 3 != 2 };
        const bool small = i % 4 == 3; /* few pixels and many weights: tiles of two and one */
        if (small)
            k.cg = test_int(120, 140), k.mg = test_int(125, 140);
        for (int a = 1; a < 3; a++) {
            k.w.in[a] = (small ? test_int(6, 8) : test_int(6, 20)) * stride;
            k.w.pad[a] = test_int(0, 2);
            k.w.end[a] = test_int(0, 2);
            k.w.out[a] = (k.w.in[a] + k.w.pad[a] + k.w.end[a] - 3) / stride + 1;
        }
        wref_options(i % WREF_WAYS, &o, pool);
        conv_check(&k, &o, 3e-5);
    }
    linnet_pool_free(pool);
}

/* precision exact takes direct sums; the other way is near them, but not the same. */
void test_conv_strided_exact(void)
{
    const int64_t x_dims[] = { 1, 64, 30, 30 }, w_dims[] = { 64, 64, 3, 3 };
    const conv_case k = { .w = { .axes = 2, .n = 1, .in = { 1, 30, 30 }, .out = { 1, 15, 15 }, .kernel = { 1, 3, 3 },
                                 .stride = { 1, 2, 2 }, .dilation = { 1, 1, 1 }, .pad = { 0, 1, 1 }, .end = { 0, 1, 1 } },
                          .group = 1, .cg = 64, .mg = 64 };
    linnet_tensor *x = test_random_f32(4, x_dims, -1, 1), *w = test_random_f32(4, w_dims, -1, 1);
    static double want[64 * 15 * 15];
    double worst[2] = { 0, 0 }, most = 0;

    conv_want(&k, linnet_tensor_data(x), linnet_tensor_data(w), NULL, want);
    for (int exact = 0; exact < 2; exact++) {
        linnet_options o;
        linnet_options_init(&o);
        o.precision = exact ? LINNET_PRECISION_EXACT : LINNET_PRECISION_DEFAULT;
        test_op t = { .op = "Conv", .in = { x, w }, .constant = { false, true }, .in_count = 2, .out_count = 1,
                      .set = conv_set, .user = (void *)&k, .opt = &o };
        EXPECT_OK(test_op_run(&t));
        for (size_t i = 0; t.out[0] && i < 64 * 15 * 15; i++) {
            worst[exact] = fmax(worst[exact], fabs(linnet_tensor_get(t.out[0], i) - want[i]));
            most = fmax(most, fabs(want[i]));
        }
        test_op_free(&t);
    }
    EXPECT(worst[0] <= 1e-5 * most);
    EXPECT(worst[1] < worst[0]);
    linnet_tensor_free(x);
    linnet_tensor_free(w);
}

/* y = relu(conv(x) + x), and two more that are joined; fused and by seven, against direct sums as written. */
static void seven_fused(int64_t height, int64_t width)
{
    enum { C = 128, MOST = 3 * C * 200 };
    const size_t count = (size_t)(3 * C * height * width);
    const int64_t x_dims[] = { 1, C, height, width }, w_dims[] = { C, C, 1, 1 };
    static const char *const ops[] = { "Conv", "Conv", "Conv", "Add", "Relu", "Concat" };
    static const char *const in[][2] = { { "x", "w0" }, { "x", "w1" }, { "x", "w2" }, { "c0", "x" }, { "s", NULL }, { "c1", "c2" } };
    static const char *const out[] = { "c0", "c1", "c2", "s", "y", "z" };
    linnet_tensor *x = test_random_f32(4, x_dims, -1, 1), *w[3];
    static double got[2][MOST];

    for (int i = 0; i < 3; i++)
        w[i] = test_random_f32(4, w_dims, -1, 1);
    for (int plain = 0; plain < 2; plain++) {
        linnet_options o;
        linnet_model *m = NULL;
        linnet_session *s = NULL;
        size_t at = 0;

        linnet_options_init(&o);
        o.passes = plain ? 0 : UINT32_MAX;
        o.precision = plain ? LINNET_PRECISION_EXACT : LINNET_PRECISION_DEFAULT;
        EXPECT_OK(linnet_model_create(&o, &m, &test_error));
        EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 4, x_dims, &test_error));
        for (int i = 0; i < 3; i++)
            EXPECT_OK(linnet_model_add_weight(m, in[i][1], LINNET_F32, 4, w_dims, linnet_tensor_data(w[i]),
                                              linnet_tensor_size(w[i]), &test_error));
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
            linnet_layer *l = NULL;
            EXPECT_OK(linnet_layer_add(m, ops[i], out[i], in[i], in[i][1] ? 2 : 1, &out[i], 1, &l, &test_error));
            if (i == 5)
                EXPECT_OK(linnet_layer_set_int(l, "axis", 1, &test_error));
        }
        EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
        EXPECT_OK(linnet_model_add_output(m, "z", &test_error));
        EXPECT_OK(linnet_model_finish(m, &test_error));
        EXPECT_OK(linnet_session_create(m, &o, &s, &test_error));
        EXPECT_OK(linnet_session_set_input_tensor(s, 0, x, &test_error));
        EXPECT_OK(linnet_session_run(s, &test_error));
        for (size_t k = 0; k < 2; k++)
            for (size_t i = 0; i < linnet_tensor_count(linnet_session_output(s, k)); i++)
                got[plain][at++] = linnet_tensor_get(linnet_session_output(s, k), i);
        EXPECT(at == count);
        linnet_session_free(s);
        linnet_model_free(m);
    }
    double worst = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
        worst = fmax(worst, fabs(got[0][i] - got[1][i]));
        most = fmax(most, fabs(got[1][i]));
    }
    EXPECT(worst <= 5e-6 * most);
    EXPECT(worst > 0); /* the other way was taken */
    linnet_tensor_free(x);
    for (int i = 0; i < 3; i++)
        linnet_tensor_free(w[i]);
}

void test_conv_seven_fused(void)
{
    seven_fused(14, 14);
    seven_fused(13, 15);
}

/* The bits of an image do not depend on those beside it. */
void test_conv_seven_images(void)
{
    enum { C = 128, SIDE = 13, COUNT = C * SIDE * SIDE };
    const int64_t x_dims[] = { 2, C, SIDE, SIDE }, one_dims[] = { 1, C, SIDE, SIDE }, w_dims[] = { C, C, 1, 1 };
    const conv_case k = { .w = { .axes = 2, .n = 1, .in = { 1, SIDE, SIDE }, .out = { 1, SIDE, SIDE }, .kernel = { 1, 1, 1 },
                                 .stride = { 1, 1, 1 }, .dilation = { 1, 1, 1 } },
                          .group = 1, .cg = C, .mg = C };
    linnet_tensor *x = test_random_f32(4, x_dims, -1, 1), *one = test_random_f32(4, one_dims, -1, 1);
    linnet_tensor *w = test_random_f32(4, w_dims, -1, 1);
    linnet_options o;

    memcpy(linnet_tensor_data(one), (const float *)linnet_tensor_data(x) + COUNT, COUNT * sizeof(float));
    linnet_options_init(&o);
    test_op t = { .op = "Conv", .in = { x, w }, .constant = { false, true }, .in_count = 2, .out_count = 1, .set = conv_set,
                  .user = (void *)&k, .opt = &o }, u = t;
    u.in[0] = one;
    EXPECT_OK(test_op_run(&t));
    EXPECT_OK(test_op_run(&u));
    EXPECT(t.out[0] && u.out[0]
           && memcmp((const float *)linnet_tensor_data(t.out[0]) + COUNT, linnet_tensor_data(u.out[0]),
                     COUNT * sizeof(float)) == 0);
    test_op_free(&t);
    test_op_free(&u);
    linnet_tensor_free(x);
    linnet_tensor_free(one);
    linnet_tensor_free(w);
}

void test_conv_transpose(void)
{
    linnet_pool *pool = NULL;
    linnet_options o;
    conv_case k;

    EXPECT_OK(linnet_pool_create(2, NULL, &pool, &test_error));
    for (int i = 0; i < 150; i++) {
        memset(&k, 0, sizeof k);
        wref_random(&k.w, i % 8 == 7 ? 3 : 1 + i % 2, 4);
        conv_channels(&k);
        k.transposed = true;
        k.w.auto_pad = NULL;
        for (int a = 3 - k.w.axes; a < 3; a++) {
            k.extra[a] = test_int(0, k.w.stride[a] - 1);
            k.w.out[a] = (k.w.in[a] - 1) * k.w.stride[a] + (k.w.kernel[a] - 1) * k.w.dilation[a] + 1 + k.extra[a]
                         - k.w.pad[a] - k.w.end[a];
            if (k.w.out[a] < 1) {
                k.w.out[a] += k.w.pad[a] + k.w.end[a];
                k.w.pad[a] = k.w.end[a] = 0;
            }
        }
        wref_options(i % WREF_WAYS, &o, pool);
        conv_check(&k, &o, 2e-5);
    }
    linnet_pool_free(pool);
}

/* Large enough for several tasks, tiles and groups of columns; the same bits on any number of threads. */
void test_conv_large(void)
{
    static const int64_t shape[][7] = { /* c, m, size, kernel, stride, pad, group */
        { 3, 40, 33, 7, 2, 3, 1 }, { 64, 300, 14, 3, 1, 1, 1 }, { 300, 70, 9, 1, 1, 0, 1 },
        { 48, 48, 21, 3, 1, 1, 48 }, { 512, 520, 1, 1, 1, 0, 1 }, { 64, 64, 15, 3, 2, 1, 16 },
        { 64, 200, 27, 3, 2, 1, 1 }, { 100, 72, 75, 3, 2, 1, 1 }, { 130, 150, 13, 3, 2, 1, 1 }, { 130, 150, 7, 3, 1, 1, 1 },
    };
    linnet_pool *pool = NULL;

    EXPECT_OK(linnet_pool_create(3, NULL, &pool, &test_error));
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        const int64_t *s = shape[i];
        const int64_t x_dims[] = { 1, s[0], s[2], s[2] }, w_dims[] = { s[1], s[0] / s[6], s[3], s[3] };
        conv_case k = { .w = { .axes = 2, .n = 1 }, .group = s[6], .cg = s[0] / s[6], .mg = s[1] / s[6] };
        for (int a = 0; a < 3; a++) {
            k.w.in[a] = a ? s[2] : 1;
            k.w.kernel[a] = a ? s[3] : 1;
            k.w.stride[a] = a ? s[4] : 1;
            k.w.dilation[a] = 1;
            k.w.pad[a] = k.w.end[a] = a ? s[5] : 0;
            k.w.out[a] = (k.w.in[a] + 2 * k.w.pad[a] - k.w.kernel[a]) / k.w.stride[a] + 1;
        }
        linnet_tensor *x = test_random_f32(4, x_dims, -1, 1), *w = test_random_f32(4, w_dims, -1, 1);
        const size_t count = (size_t)(s[1] * wref_count(k.w.out));
        double *want = malloc(count * sizeof *want);
        linnet_options one, many;
        linnet_options_init(&one);
        linnet_options_init(&many);
        many.pool = pool;
        test_op t = { .op = "Conv", .in = { x, w }, .constant = { false, true }, .in_count = 2, .out_count = 1,
                      .set = conv_set, .user = &k, .opt = &one }, u = t;
        u.opt = &many;
        conv_want(&k, linnet_tensor_data(x), linnet_tensor_data(w), NULL, want);
        EXPECT_OK(test_op_run(&t));
        EXPECT_OK(test_op_run(&u));
        if (t.out[0] && u.out[0]) {
            EXPECT_NEAR(t.out[0], want, 2e-5, 2e-4);
            EXPECT(memcmp(linnet_tensor_data(t.out[0]), linnet_tensor_data(u.out[0]), count * 4) == 0);
        }
        free(want);
        test_op_free(&t);
        test_op_free(&u);
        linnet_tensor_free(x);
        linnet_tensor_free(w);
    }
    linnet_pool_free(pool);
}

/* Bytes less zero points: exact, also where sums pass 2^24. */
void test_conv_integer(void)
{
    for (int i = 0; i < 60; i++) {
        conv_case k = { .group = i % 3 == 2 ? 4 : 1 };
        wref_random(&k.w, 2, 3);
        k.cg = i % 3 == 1 ? test_int(300, 700) : test_int(1, 20);
        k.mg = test_int(1, 9);
        const int64_t c = k.group * k.cg, m = k.group * k.mg, one = 1;
        int64_t x_dims[5], w_dims[5];
        wref_dims(&k.w, c, k.w.in, x_dims);
        wref_dims(&k.w, k.cg, k.w.kernel, w_dims);
        w_dims[0] = m;
        linnet_tensor *x = test_tensor(LINNET_U8, 4, x_dims), *w = test_tensor(LINNET_I8, 4, w_dims);
        linnet_tensor *xz = test_tensor(LINNET_U8, 0, &one), *wz = test_tensor(LINNET_I8, 1, &m);
        linnet_tensor *xf = test_tensor(LINNET_F32, 4, x_dims), *wf = test_tensor(LINNET_F32, 4, w_dims);
        uint8_t *xb = linnet_tensor_data(x), *zero = linnet_tensor_data(xz);
        int8_t *wb = linnet_tensor_data(w), *zeros = linnet_tensor_data(wz);
        const size_t each = linnet_tensor_count(w) / (size_t)m;
        const bool extreme = test_int(0, 1) != 0;
        *zero = (uint8_t)test_int(0, extreme ? 0 : 255);
        for (int64_t j = 0; j < m; j++)
            zeros[j] = (int8_t)(extreme ? 127 : test_int(-128, 127));
        for (size_t j = 0; j < linnet_tensor_count(x); j++) {
            xb[j] = (uint8_t)(extreme ? 255 : test_int(0, 255));
            ((float *)linnet_tensor_data(xf))[j] = (float)(xb[j] - *zero);
        }
        for (size_t j = 0; j < linnet_tensor_count(w); j++) {
            wb[j] = (int8_t)(extreme ? -128 : test_int(-128, 127));
            ((float *)linnet_tensor_data(wf))[j] = (float)(wb[j] - zeros[j / each]);
        }
        double *want = malloc((size_t)(k.w.n * m * wref_count(k.w.out)) * sizeof *want);
        conv_want(&k, linnet_tensor_data(xf), linnet_tensor_data(wf), NULL, want);
        test_op t = { .op = "ConvInteger", .in = { x, w, xz, wz }, .constant = { false, i % 2, false, i % 2 },
                      .in_count = 4, .out_count = 1, .set = conv_set, .user = &k };
        EXPECT_OK(test_op_run(&t));
        if (t.out[0])
            EXPECT_NEAR(t.out[0], want, 0, 0);
        free(want);
        test_op_free(&t);
        linnet_tensor *const all[] = { x, w, xz, wz, xf, wf };
        for (int j = 0; j < 6; j++)
            linnet_tensor_free(all[j]);
    }
}
