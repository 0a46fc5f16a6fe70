/*
 * pool.c - MaxPool, AveragePool, LpPool and the global ones against windows by definition.
 */
#include "window_ref.h"

#include <math.h>

typedef struct pool_case {
    wref    w;
    int64_t c, include, order, p;
    int     kind; /* 0 max, 1 average, 2 power */
} pool_case;

static linnet_status pool_set(linnet_layer *l, void *user)
{
    const pool_case *k = user;
    linnet_status st = wref_set(l, &k->w, true);

    if (!st)
        st = linnet_layer_set_int(l, "ceil_mode", k->w.ceil, &test_error);
    if (!st && k->kind == 0)
        st = linnet_layer_set_int(l, "storage_order", k->order, &test_error);
    if (!st && k->kind == 1)
        st = linnet_layer_set_int(l, "count_include_pad", k->include, &test_error);
    if (!st && k->kind == 2)
        st = linnet_layer_set_int(l, "p", k->p, &test_error);
    return st;
}

/* One window of plane `x`; *at gets the place of its first maximum. */
static double pool_one(const pool_case *k, const double *x, int64_t oz, int64_t oy, int64_t ox, int64_t *at)
{
    const wref *g = &k->w;
    double sum = 0, best = -INFINITY;
    int64_t inside = 0, padded = 0;

    for (int64_t t = 0; t < wref_count(g->kernel); t++) {
        const int64_t z = oz * g->stride[0] + t / (g->kernel[1] * g->kernel[2]) * g->dilation[0] - g->pad[0];
        const int64_t y = oy * g->stride[1] + t / g->kernel[2] % g->kernel[1] * g->dilation[1] - g->pad[1];
        const int64_t w = ox * g->stride[2] + t % g->kernel[2] * g->dilation[2] - g->pad[2];
        padded += z < g->in[0] + g->end[0] && y < g->in[1] + g->end[1] && w < g->in[2] + g->end[2];
        if (z < 0 || y < 0 || w < 0 || z >= g->in[0] || y >= g->in[1] || w >= g->in[2])
            continue;
        const double v = x[(z * g->in[1] + y) * g->in[2] + w];
        inside++;
        sum += k->kind == 2 ? pow(fabs(v), (double)k->p) : v;
        if (v > best) {
            best = v;
            *at = k->order ? (g->axes == 1 ? w : g->axes == 2 ? w * g->in[1] + y : (w * g->in[1] + y) * g->in[0] + z)
                           : (z * g->in[1] + y) * g->in[2] + w;
        }
    }
    if (k->kind == 0)
        return best;
    if (k->kind == 2)
        return pow(sum, 1.0 / (double)k->p);
    const int64_t n = k->include ? padded : inside;
    return n ? sum / (double)n : 0.0;
}

static void pool_check(pool_case *k, int32_t dtype, const linnet_options *o, int outputs)
{
    static const char *const ops[] = { "MaxPool", "AveragePool", "LpPool" };
    const int64_t in = wref_count(k->w.in), out = wref_count(k->w.out), planes = k->w.n * k->c;
    int64_t dims[5], at = 0;
    const int rank = wref_dims(&k->w, k->c, k->w.in, dims);
    linnet_tensor *x = test_tensor(dtype, rank, dims);
    double *plane = malloc((size_t)in * sizeof *plane), *want = malloc((size_t)(planes * out) * sizeof *want);
    double *index = malloc((size_t)(planes * out) * sizeof *index);
    test_op t = { .op = ops[k->kind], .in = { x }, .in_count = 1, .out_count = outputs, .set = pool_set,
                  .user = k, .opt = o };

    for (size_t i = 0; i < linnet_tensor_count(x); i++) {
        if (dtype == LINNET_F32)
            ((float *)linnet_tensor_data(x))[i] = test_float(-2, 2);
        else if (dtype == LINNET_F64)
            ((double *)linnet_tensor_data(x))[i] = (double)test_float(-2, 2);
        else
            ((uint8_t *)linnet_tensor_data(x))[i] = (uint8_t)test_int(0, 255);
    }
    for (int64_t p = 0; p < planes; p++) {
        for (int64_t i = 0; i < in; i++)
            plane[i] = linnet_tensor_get(x, (size_t)(p * in + i));
        for (int64_t i = 0; i < out; i++) {
            want[p * out + i] = pool_one(k, plane, i / (k->w.out[1] * k->w.out[2]), i / k->w.out[2] % k->w.out[1],
                                         i % k->w.out[2], &at);
            index[p * out + i] = (double)(p * in + at);
        }
    }
    EXPECT_OK(test_op_run(&t));
    if (t.out[0])
        EXPECT_NEAR(t.out[0], want, k->kind ? 1e-5 : 0, k->kind ? 1e-6 : 0);
    if (t.out[1])
        EXPECT_NEAR(t.out[1], index, 0, 0);
    free(plane);
    free(want);
    free(index);
    test_op_free(&t);
    linnet_tensor_free(x);
}

void test_pool(void)
{
    static const int32_t types[] = { LINNET_F32, LINNET_F32, LINNET_F32, LINNET_F64, LINNET_U8, LINNET_I8 };
    linnet_options o;

    for (int i = 0; i < 240; i++) {
        pool_case k = { .kind = i % 8 == 7 ? 2 : i % 2, .c = test_int(1, 40), .p = test_int(1, 3) };
        wref_random(&k.w, i % 10 == 9 ? 3 : 1 + i % 2, 4);
        k.include = test_int(0, 1);
        k.order = test_int(0, 1);
        const int32_t type = types[test_int(0, k.kind ? 3 : 5)];
        const int outputs = k.kind == 0 && test_int(0, 2) == 0 ? 2 : 1;
        if (!k.w.auto_pad && test_int(0, 1)) {
            k.w.ceil = 1;
            for (int a = 0; a < 3; a++) {
                const int64_t room = k.w.in[a] + k.w.pad[a] + k.w.end[a] - (k.w.kernel[a] - 1) * k.w.dilation[a] - 1;
                k.w.out[a] = room / k.w.stride[a] + 1 + (room % k.w.stride[a] != 0);
                k.w.out[a] -= (k.w.out[a] - 1) * k.w.stride[a] >= k.w.in[a] + k.w.pad[a];
            }
        }
        /* A window over padding alone has no maximum to name. */
        if (outputs == 2 && (k.w.auto_pad == NULL || k.w.auto_pad[0] == 'S'))
            for (int a = 0; a < 3; a++)
                k.w.dilation[a] = 1;
        if (outputs == 2 && k.w.auto_pad == NULL)
            for (int a = 0; a < 3; a++) {
                const int64_t room = k.w.in[a] + k.w.pad[a] + k.w.end[a] - k.w.kernel[a];
                k.w.out[a] = room / k.w.stride[a] + 1 + (k.w.ceil && room % k.w.stride[a]);
                k.w.out[a] -= k.w.ceil && (k.w.out[a] - 1) * k.w.stride[a] >= k.w.in[a] + k.w.pad[a];
            }
        wref_options(i % (WREF_WAYS - 1), &o, NULL);
        if (outputs == 2 && k.w.auto_pad && k.w.auto_pad[0] == 'S')
            continue;
        pool_check(&k, type, &o, outputs);
    }
}

void test_pool_global(void)
{
    static const char *const ops[] = { "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool" };
    linnet_options o;

    for (int i = 0; i < 36; i++) {
        const int64_t dims[] = { test_int(1, 2), test_int(1, 300), test_int(1, 9), test_int(1, 9) };
        const size_t planes = (size_t)(dims[0] * dims[1]), pixels = (size_t)(dims[2] * dims[3]);
        linnet_tensor *x = test_random_f32(4, dims, -2, 2);
        const float *v = linnet_tensor_data(x);
        double *want = malloc(planes * sizeof *want);

        wref_options(i % (WREF_WAYS - 1), &o, NULL);
        for (size_t p = 0; p < planes; p++) {
            double sum = 0, most = -INFINITY, square = 0;
            for (size_t j = 0; j < pixels; j++) {
                const double e = (double)v[p * pixels + j];
                sum += e;
                square += e * e;
                most = e > most ? e : most;
            }
            want[p] = i % 3 == 0 ? sum / (double)pixels : i % 3 == 1 ? most : sqrt(square);
        }
        test_op t = { .op = ops[i % 3], .in = { x }, .in_count = 1, .out_count = 1, .opt = &o };
        EXPECT_OK(test_op_run(&t));
        if (t.out[0])
            EXPECT_NEAR(t.out[0], want, 1e-5, 1e-5);
        free(want);
        test_op_free(&t);
        linnet_tensor_free(x);
    }
}
