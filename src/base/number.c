/*
 * number.c - half and bfloat16, and float to integer without undefined behaviour.
 */
#include "base.h"

static float number_f32(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t number_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

float ln_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = h >> 10 & 31u, m = h & 0x3ffu;

    if (e == 31)
        return number_f32(sign | 0x7f800000u | m << 13);
    if (e == 0) { /* zero or subnormal: m * 2^-24, which is exact */
        const float f = (float)m * 0x1p-24f;
        return sign ? -f : f;
    }
    return number_f32(sign | (e + 112) << 23 | m << 13);
}

uint16_t ln_f32_to_f16(float f)
{
    const uint32_t bits = number_bits(f), sign = bits >> 16 & 0x8000u, a = bits & 0x7fffffffu;

    if (a > 0x7f800000u) /* NaN: keep what fits, and keep it a NaN */
        return (uint16_t)(sign | 0x7e00u | (a >> 13 & 0x3ffu));
    if (a >= 0x477ff000u) /* 65520 and up round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (a < 0x38800000u) { /* below 2^-14: let the addition round at 2^-24 */
        const float r = number_f32(a) + 0.5f;
        return (uint16_t)(sign | (number_bits(r) - 0x3f000000u));
    }
    return (uint16_t)(sign | (a + 0xfffu + (a >> 13 & 1u) - 0x38000000u) >> 13);
}

float ln_bf16_to_f32(uint16_t h)
{
    return number_f32((uint32_t)h << 16);
}

uint16_t ln_f32_to_bf16(float f)
{
    const uint32_t bits = number_bits(f);

    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

int64_t ln_f2i_sat(double v, int64_t lo, int64_t hi)
{
    if (v != v)
        return 0;
    if (v <= (double)lo)
        return lo;
    return v >= (double)hi ? hi : (int64_t)v;
}
