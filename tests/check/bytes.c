/*
 * bytes.c - quantised bytes, casts and truth values, exactly as plain loops have them.
 */
#include "check.h"

static const float bytes_special[] = { NAN, -INFINITY, INFINITY, -0.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 1e30f, -1e30f,
                                       2147483648.0f, -2147483648.0f, 2147483520.0f, -2147483904.0f, 255.5f, -128.5f };

/* Random floats with special ones among them. */
static float *bytes_floats(size_t n, float most)
{
    float *x = check_buf(n);

    check_fill(x, n, -most, most);
    for (size_t i = 0; i < n; i++)
        if (check_rand(0, 3) == 0)
            x[i] = bytes_special[check_rand(0, CHECK_COUNT(bytes_special) - 1)];
    return x;
}

static double bytes_clamp(double v, double lo, double hi) { return v >= hi ? hi : v > lo ? v : lo; } /* NaN: lo */

static void bytes_quantize(size_t n, bool is_signed)
{
    const float lo = is_signed ? -128 : 0, hi = is_signed ? 127 : 255, zero = (float)check_rand(0, 100), scale = 0.37f;
    float *x = bytes_floats(n, 150);
    uint8_t *y = check_bytes(n), *want = check_bytes(n);

    for (size_t i = 0; i < n; i++)
        want[i] = (uint8_t)(int)bytes_clamp(nearbyint((double)(x[i] / scale)) + (double)zero, (double)lo, (double)hi);
    check_now.quantize_8(n, x, scale, zero, lo, hi, y);
    check_same(y, want, n);
    for (size_t i = 0; i < n; i++)
        want[i] = x[i] != x[i] ? 0 : (uint8_t)(int)bytes_clamp(trunc((double)x[i]), (double)lo, (double)hi);
    check_now.f32_to_8(n, x, lo, hi, y);
    check_same(y, want, n);
}

static void bytes_dequantize(size_t n)
{
    const int32_t zero = (int32_t)check_rand(0, 100);
    uint8_t *x = check_bytes(n);
    float *y = check_buf(n), *want = check_buf(n);

    check_fill_bytes(x, n);
    for (size_t i = 0; i < n; i++)
        want[i] = (float)(x[i] - zero) * 0.37f;
    check_now.dequantize_u8(n, x, 0.37f, zero, y);
    check_same(y, want, n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        want[i] = (float)((int8_t)x[i] - zero) * 0.37f;
    check_now.dequantize_i8(n, (const int8_t *)x, 0.37f, zero, y);
    check_same(y, want, n * sizeof *y);
}

static void bytes_i32(size_t n)
{
    float *x = bytes_floats(n, 4e9f), *back = check_buf(n), *want_back = check_buf(n);
    int32_t *y = check_bytes(n * sizeof *y), *want = check_bytes(n * sizeof *want);

    for (size_t i = 0; i < n; i++) {
        want[i] = x[i] != x[i] ? 0 : (int32_t)bytes_clamp(trunc((double)x[i]), INT32_MIN, INT32_MAX);
        want_back[i] = (float)want[i];
    }
    check_now.f32_to_i32(n, x, y);
    check_same(y, want, n * sizeof *y);
    check_now.i32_to_f32(n, want, back);
    check_same(back, want_back, n * sizeof *back);
}

static bool bytes_relation(size_t k, float a, float b)
{
    return k == LN_CMP_EQ ? a == b : k == LN_CMP_NE ? a != b : k == LN_CMP_LT ? a < b : a <= b;
}

static void bytes_compare(size_t n, size_t k, size_t sx, size_t sy)
{
    float *x = bytes_floats(sx ? n : 1, 3), *y = bytes_floats(sy ? n : 1, 3);
    uint8_t *z = check_bytes(n), *want = check_bytes(n);

    for (size_t i = 0; i < n; i += 3)
        y[i * sy] = x[i * sx];
    for (size_t i = 0; i < n; i++)
        want[i] = bytes_relation(k, x[i * sx], y[i * sy]);
    check_now.compare_f32[k](n, x, sx, y, sy, z);
    check_same(z, want, n);
}

static void bytes_logic(size_t n, size_t k, size_t sx, size_t sy)
{
    uint8_t *x = check_bytes(n + 1), *y = check_bytes(n + 1), *z = check_bytes(n), *want = check_bytes(n);

    for (size_t i = 0; i <= n; i++) {
        x[i] = (uint8_t)(check_rand(0, 1) * check_rand(0, 255));
        y[i] = (uint8_t)(check_rand(0, 1) * check_rand(0, 255));
    }
    for (size_t i = 0; i < n; i++) {
        const bool a = x[i * sx] != 0, b = y[i * sy] != 0;
        want[i] = k == LN_LOGIC_AND ? a && b : k == LN_LOGIC_OR ? a || b : a != b;
    }
    check_now.logic_8[k](n, x, sx, y, sy, z);
    check_same(z, want, n);
}

static void bytes_select(size_t n, size_t sx, size_t sy)
{
    uint8_t *c = check_bytes(n);
    float *x = bytes_floats(sx ? n : 1, 3), *y = bytes_floats(sy ? n : 1, 3), *z = check_buf(n), *want = check_buf(n);

    for (size_t i = 0; i < n; i++) {
        c[i] = (uint8_t)(check_rand(0, 1) * check_rand(0, 255));
        want[i] = c[i] ? x[i * sx] : y[i * sy];
    }
    check_now.select_32(n, c, x, sx, y, sy, z);
    check_same(z, want, n * sizeof *z);
}

typedef struct bytes_time { size_t n; float *x; uint8_t *y; } bytes_time;
static void bytes_call_quantize(void *arg)
{
    const bytes_time *t = arg;
    check_now.quantize_8(t->n, t->x, 0.3f, 3.0f, 0.0f, 255.0f, t->y);
}
static void bytes_call_dequantize(void *arg)
{
    const bytes_time *t = arg;
    check_now.dequantize_u8(t->n, t->y, 0.3f, 3, t->x);
}

static void bytes_bench(void (*call)(void *))
{
    bytes_time t = { 16384, NULL, NULL };

    check_size(t.n);
    t.x = check_buf(t.n);
    t.y = check_bytes(t.n);
    check_fill(t.x, t.n, -50, 50);
    check_fill_bytes(t.y, t.n);
    check_bench("16384", 5.0 * (double)t.n, "GB/s", call, &t);
}

static const size_t bytes_most = 70;

static void bytes_quantised(void)
{
    if (check_begin("quantize_8", CHECK_ENTRY(quantize_8))) {
        for (size_t n = 0; n < bytes_most; n++) {
            check_size(n);
            bytes_quantize(n, false);
            bytes_quantize(n, true);
        }
        bytes_bench(bytes_call_quantize);
    }
    if (check_begin("dequantize_u8", CHECK_ENTRY(dequantize_u8))) {
        for (size_t n = 0; n < bytes_most; n++) {
            check_size(n);
            bytes_dequantize(n);
        }
        bytes_bench(bytes_call_dequantize);
    }
    if (check_begin("f32_to_i32", CHECK_ENTRY(f32_to_i32)))
        for (size_t n = 0; n < bytes_most; n++) {
            check_size(n);
            bytes_i32(n);
        }
}

void check_bytes_and_floats(void)
{
    bytes_quantised();
    for (size_t k = 0; k < LN_CMP_COUNT; k++)
        if (check_begin("compare_f32", CHECK_ENTRY(compare_f32[k])))
            for (size_t n = 0; n < 3 * bytes_most; n++) {
                check_size(n);
                bytes_compare(n / 3, k, n % 3 != 1, n % 3 != 2);
            }
    for (size_t k = 0; k < LN_LOGIC_COUNT; k++)
        if (check_begin("logic_8", CHECK_ENTRY(logic_8[k])))
            for (size_t n = 0; n < 3 * bytes_most; n++) {
                check_size(n);
                bytes_logic(n / 3, k, n % 3 != 1, n % 3 != 2);
            }
    if (check_begin("select_32", CHECK_ENTRY(select_32)))
        for (size_t n = 0; n < 4 * bytes_most; n++) {
            check_size(n);
            bytes_select(n / 4, n & 1, n >> 1 & 1);
        }
}
