/*
 * random.c - operators that draw: moments, range, and that a seed fixes everything.
 */
#include "test.h"

#include <math.h>

enum { N = 200000 };

typedef struct draw {
    const char *op;
    float       a, b, seed; /* low and high, or mean and scale */
} draw;

static linnet_status draw_set(linnet_layer *l, void *user)
{
    const draw *d = user;
    const bool normal = strstr(d->op, "Normal") != NULL;
    const int64_t shape[] = { N / 100, 100 };
    linnet_status st = linnet_layer_set_float(l, "seed", d->seed, &test_error);

    if (!st && strcmp(d->op, "Multinomial") == 0)
        return linnet_layer_set_int(l, "sample_size", N, &test_error);
    if (!st && strncmp(d->op, "Random", 6) == 0 && !strstr(d->op, "Like"))
        st = linnet_layer_set_ints(l, "shape", shape, 2, &test_error);
    if (!st && strncmp(d->op, "Random", 6) == 0)
        st = linnet_layer_set_float(l, normal ? "mean" : "low", d->a, &test_error);
    if (!st && strncmp(d->op, "Random", 6) == 0)
        st = linnet_layer_set_float(l, normal ? "scale" : "high", d->b, &test_error);
    return st;
}

static linnet_tensor *draw_run(draw *d, const linnet_tensor *in)
{
    test_op t = { .op = d->op, .in = { in }, .in_count = in != NULL, .out_count = 1, .set = draw_set, .user = d };

    EXPECT_OK(test_op_run(&t));
    return t.out[0];
}

/* Mean and variance within five standard deviations (roughly) of what they must be; neighbours not alike. */
static void draw_moments(const linnet_tensor *y, double mean, double var)
{
    const size_t n = linnet_tensor_count(y);
    double s = 0, q = 0, c = 0, before = mean;

    for (size_t i = 0; i < n; i++) {
        const double v = linnet_tensor_get(y, i);
        s += v;
        q += (v - mean) * (v - mean);
        c += (v - mean) * (before - mean);
        before = v;
    }
    EXPECT(fabs(s / (double)n - mean) < 5 * sqrt(var / (double)n));
    EXPECT(fabs(q / (double)n / var - 1) < 10 / sqrt((double)n));
    EXPECT(fabs(c / (double)n / var) < 5 / sqrt((double)n));
}

void test_random_numbers(void)
{
    draw uniform = { "RandomUniform", -2, 6, 3 }, normal = { "RandomNormal", 1, 3, 3 };
    linnet_tensor *u = draw_run(&uniform, NULL), *again = draw_run(&uniform, NULL), *g = draw_run(&normal, NULL);
    bool inside = true;

    EXPECT(linnet_tensor_count(u) == N && memcmp(linnet_tensor_data(u), linnet_tensor_data(again), N * 4) == 0);
    for (size_t i = 0; i < N; i++)
        inside = inside && linnet_tensor_get(u, i) >= -2 && linnet_tensor_get(u, i) <= 6;
    EXPECT(inside);
    draw_moments(u, 2, 64.0 / 12);
    draw_moments(g, 1, 9);
    uniform.seed = 4;
    linnet_tensor *other = draw_run(&uniform, NULL);
    EXPECT(memcmp(linnet_tensor_data(u), linnet_tensor_data(other), N * 4) != 0);
    draw like = { "RandomUniformLike", -2, 6, 3 };
    linnet_tensor *l = draw_run(&like, g);
    EXPECT(memcmp(linnet_tensor_data(u), linnet_tensor_data(l), N * 4) == 0);
    linnet_tensor_free(l);
    linnet_tensor_free(other);
    linnet_tensor_free(u);
    linnet_tensor_free(again);
    linnet_tensor_free(g);
}

void test_random_choices(void)
{
    draw coin = { "Bernoulli", 0, 0, 1 }, die = { "Multinomial", 0, 0, 1 };
    linnet_tensor *p = test_tensor(LINNET_F32, 1, (int64_t[]){ N }), *w = test_tensor(LINNET_F32, 2, (int64_t[]){ 1, 4 });
    const float weight[] = { -INFINITY, logf(1), logf(3), logf(6) };
    size_t count[4] = { 0 };

    for (size_t i = 0; i < N; i++)
        ((float *)linnet_tensor_data(p))[i] = 0.3f;
    memcpy(linnet_tensor_data(w), weight, sizeof weight);
    linnet_tensor *c = draw_run(&coin, p), *d = draw_run(&die, w);
    draw_moments(c, 0.3, 0.21);
    for (size_t i = 0; i < N; i++)
        count[(size_t)linnet_tensor_get(d, i) & 3]++;
    EXPECT(count[0] == 0 && fabs((double)count[1] / N - 0.1) < 0.005 && fabs((double)count[2] / N - 0.3) < 0.005);
    linnet_tensor_free(c);
    linnet_tensor_free(d);
    linnet_tensor_free(p);
    linnet_tensor_free(w);
}
