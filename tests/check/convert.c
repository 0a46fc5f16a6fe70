/*
 * convert.c - halves: all 65536 to floats, and all that is near them back, bit for bit.
 *
 * The oracle works on numbers, not bits: a half is m * 2^e, and rounding is choosing the nearest
 * half by searching the ordered list of them.
 */
#include "check.h"

static float conv_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t conv_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static double half_value(uint16_t h) /* no NaN */
{
    const int e = h >> 10 & 31, m = h & 1023;
    const double v = e == 31 ? INFINITY : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);

    return h & 0x8000 ? -v : v;
}

static uint32_t want_float(uint16_t h)
{
    if ((h & 0x7fff) > 0x7c00) /* the payload stays, the NaN becomes quiet */
        return (uint32_t)(h & 0x8000) << 16 | 0x7fc00000u | (uint32_t)(h & 0x3ff) << 13;
    return conv_bits((float)half_value(h));
}

static uint16_t want_half(float f)
{
    const uint32_t bits = conv_bits(f);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    const double v = fabs((double)f);
    uint16_t lo = 0, hi = 0x7c00;

    if (isnan(f))
        return (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x3ff));
    if (v >= 65520.0)
        return sign | 0x7c00;
    while (hi - lo > 1) { /* value(lo) <= v < value(hi), infinity standing for 65536 */
        const uint16_t mid = (uint16_t)((lo + hi) / 2);
        if (half_value(mid) <= v)
            lo = mid;
        else
            hi = mid;
    }
    const double up = hi == 0x7c00 ? 65536.0 : half_value(hi), down = v - half_value(lo);
    const bool round_up = down > up - v || (down == up - v && lo % 2);
    return (uint16_t)(sign | (round_up ? hi : lo));
}

static void conv_to_float(void)
{
    const size_t all = check_size(65536);
    uint16_t *x = check_bytes(all * sizeof *x);
    float *y = check_buf(all), *want = check_buf(all);

    for (size_t i = 0; i < all; i++) {
        const uint32_t bits = want_float((uint16_t)i);
        x[i] = (uint16_t)i;
        memcpy(want + i, &bits, sizeof bits);
    }
    check_now.f16_to_f32(all, x, y);
    check_same(y, want, all * sizeof *y);
    for (size_t n = 0; n < 40; n++) {
        check_size(n);
        x = check_bytes(n * sizeof *x);
        y = check_buf(n);
        want = check_buf(n);
        check_fill_bytes(x, n * sizeof *x);
        for (size_t i = 0; i < n; i++) {
            const uint32_t bits = want_float(x[i]);
            memcpy(want + i, &bits, sizeof bits);
        }
        check_now.f16_to_f32(n, x, y);
        check_same(y, want, n * sizeof *y);
    }
}

/* Each half, the middle to the next, and one float on either side; then random bits. */
static void conv_to_half(void)
{
    const size_t n = check_size(65536 * 6 + 4099);
    float *x = check_buf(n);
    uint16_t *y = check_bytes(n * sizeof *y), *want = check_bytes(n * sizeof *want);

    check_fill_bytes(x, n * sizeof *x);
    for (uint32_t h = 0; h < 65536; h++) {
        const uint32_t at = want_float((uint16_t)h), next = want_float((uint16_t)(h + 1));
        const float middle = 0.5f * (conv_float(at) + conv_float(next));
        const uint32_t m = conv_bits(middle);

        for (uint32_t i = 0; i < 3; i++) {
            x[h * 6 + i]     = conv_float(at + i - 1u);
            x[h * 6 + 3 + i] = conv_float(m + i - 1u);
        }
    }
    for (size_t i = 0; i < n; i++)
        want[i] = want_half(x[i]);
    check_now.f32_to_f16(n, x, y);
    check_same(y, want, n * sizeof *y);
    for (size_t k = 0; k < 40; k++) {
        check_size(k);
        x = check_buf(k);
        y = check_bytes(k * sizeof *y);
        want = check_bytes(k * sizeof *want);
        check_fill(x, k, -70000.0f, 70000.0f);
        for (size_t i = 0; i < k; i++)
            want[i] = want_half(x[i]);
        check_now.f32_to_f16(k, x, y);
        check_same(y, want, k * sizeof *y);
    }
}

typedef struct conv_time { size_t n; float *x; uint16_t *y; } conv_time;

static void conv_call_float(void *arg)
{
    conv_time *t = arg;
    check_now.f16_to_f32(t->n, t->y, t->x);
}
static void conv_call_half(void *arg)
{
    conv_time *t = arg;
    check_now.f32_to_f16(t->n, t->x, t->y);
}

static void conv_bench(void (*call)(void *))
{
    conv_time t = { 16384, NULL, NULL };

    check_size(t.n);
    t.x = check_buf(t.n);
    t.y = check_bytes(t.n * sizeof *t.y);
    check_fill(t.x, t.n, -1.0f, 1.0f);
    check_bench("16384", 6.0 * (double)t.n, "GB/s", call, &t);
}

void check_convert(void)
{
    if (check_begin("f16_to_f32", CHECK_ENTRY(f16_to_f32))) {
        conv_to_float();
        conv_bench(conv_call_float);
    }
    if (check_begin("f32_to_f16", CHECK_ENTRY(f32_to_f16))) {
        conv_to_half();
        conv_bench(conv_call_half);
    }
}
