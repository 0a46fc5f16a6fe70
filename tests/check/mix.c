/*
 * mix.c - weighted sums of rows, y += a x, dot products.
 */
#include "check.h"

static const size_t mix_size[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 67, 127, 200, 1000 };

static void mix_case(size_t taps, size_t n)
{
    check_case("taps=%zu n=%zu", taps, n);
    const float *x[16];
    float *w = check_buf(taps), *y = check_buf(n);
    double *want = check_want(n), *bound = check_want(n);

    check_fill(w, taps, -1.0f, 1.0f);
    for (size_t t = 0; t < taps; t++) {
        float *row = check_buf(n);
        check_fill(row, n, -2.0f, 2.0f);
        x[t] = row;
        for (size_t i = 0; i < n; i++) {
            want[i] += (double)w[t] * (double)row[i];
            bound[i] += 0x1p-24 * (double)(taps + 1) * fabs((double)w[t] * (double)row[i]);
        }
    }
    check_now.mix_f32(taps, x, w, n, y);
    check_bound(y, want, bound, n);
}

static void mix_pixels(size_t pixels, size_t taps, size_t n)
{
    const size_t from = 5, count = pixels * taps;

    check_case("pixels=%zu taps=%zu n=%zu", pixels, taps, n);
    float *x = check_buf(from * n), *w = check_buf(count), *y = check_buf(pixels * n);
    double *want = check_want(pixels * n), *bound = check_want(pixels * n);
    size_t *index = check_bytes(count * sizeof *index);

    check_fill(x, from * n, -2.0f, 2.0f);
    check_fill(w, count, -1.0f, 1.0f);
    for (size_t k = 0; k < count; k++) {
        index[k] = check_rand(0, from - 1);
        for (size_t i = 0; i < n; i++) {
            const double v = (double)w[k] * (double)x[index[k] * n + i];
            want[k / taps * n + i] += v;
            bound[k / taps * n + i] += 0x1p-24 * (double)(taps + 1) * fabs(v);
        }
    }
    check_now.mix_pixels_f32(pixels, taps, index, w, x, n, y);
    check_bound(y, want, bound, pixels * n);
}

static void mix_axpy(size_t n)
{
    check_size(n);
    float *x = check_buf(n), *y = check_buf(n);
    double *want = check_want(n), *bound = check_want(n);

    check_fill(x, n, -2.0f, 2.0f);
    check_fill(y, n, -2.0f, 2.0f);
    for (size_t i = 0; i < n; i++) {
        want[i]  = (double)y[i] + (double)0.7f * (double)x[i];
        bound[i] = 0x1p-24 * (fabs(want[i]) + 2.0);
    }
    check_now.axpy_f32(n, 0.7f, x, y);
    check_bound(y, want, bound, n);
}

static void mix_dot(size_t n)
{
    check_size(n);
    float *x = check_buf(n), *y = check_buf(n), *got = check_buf(1);
    double *want = check_want(1), *bound = check_want(1);

    check_fill(x, n, -2.0f, 2.0f);
    check_fill(y, n, -2.0f, 2.0f);
    for (size_t i = 0; i < n; i++) {
        *want += (double)x[i] * (double)y[i];
        *bound += 0x1p-24 * (8.0 + 2.0 * sqrt((double)n)) * fabs((double)x[i] * (double)y[i]);
    }
    *got = check_now.dot_f32(n, x, y);
    check_bound(got, want, bound, 1);
}

typedef struct mix_time { size_t n; float *x, *y, *z, w[4], sink; const float *rows[4]; } mix_time;

static void mix_call(void *arg)
{
    mix_time *t = arg;
    check_now.mix_f32(4, t->rows, t->w, t->n, t->z);
}
static void mix_call_axpy(void *arg)
{
    mix_time *t = arg;
    check_now.axpy_f32(t->n, 0.001f, t->x, t->y);
}
static void mix_call_dot(void *arg)
{
    mix_time *t = arg;
    t->sink += check_now.dot_f32(t->n, t->x, t->y);
}

static void mix_bench(double bytes, size_t n, void (*call)(void *))
{
    mix_time t = { n, NULL, NULL, NULL, { 0.1f, 0.2f, 0.3f, 0.4f }, 0.0f, { NULL } };
    char label[32];

    if (!check_benching())
        return;
    snprintf(label, sizeof label, "%zu", n);
    check_size(n);
    t.x = check_buf(2 * n);
    t.y = check_buf(2 * n);
    t.z = check_buf(n);
    t.rows[0] = t.x, t.rows[1] = t.x + n, t.rows[2] = t.y, t.rows[3] = t.y + n;
    check_fill(t.x, 2 * n, -1.0f, 1.0f);
    check_fill(t.y, 2 * n, -1.0f, 1.0f);
    check_bench(label, bytes * (double)n, "GB/s", call, &t);
}

void check_mix(void)
{
    static const size_t taps[] = { 1, 2, 3, 4, 16 };

    if (check_begin("mix_f32", CHECK_ENTRY(mix_f32))) {
        for (size_t t = 0; t < CHECK_COUNT(taps); t++)
            for (size_t s = 0; s < CHECK_COUNT(mix_size); s++)
                mix_case(taps[t], mix_size[s]);
        mix_bench(20.0, 64, mix_call);
        mix_bench(20.0, 2048, mix_call);
    }
    if (check_begin("mix_pixels_f32", CHECK_ENTRY(mix_pixels_f32)) && !check_benching())
        for (size_t s = 1; s < CHECK_COUNT(mix_size); s++)
            for (size_t t = 0; t < CHECK_COUNT(taps); t++)
                mix_pixels(check_rand(0, 6), taps[t], mix_size[s]);
    if (check_begin("axpy_f32", CHECK_ENTRY(axpy_f32))) {
        for (size_t s = 0; s < CHECK_COUNT(mix_size); s++)
            mix_axpy(mix_size[s]);
        mix_bench(12.0, 2048, mix_call_axpy);
    }
    if (check_begin("dot_f32", CHECK_ENTRY(dot_f32))) {
        for (size_t s = 0; s < CHECK_COUNT(mix_size); s++)
            mix_dot(mix_size[s]);
        mix_bench(8.0, 2048, mix_call_dot);
    }
}
