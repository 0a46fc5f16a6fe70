/*
 * vec_scalar.h - the vocabulary of vec.h in plain C: one lane.
 *
 * Loads and stores go through memcpy: transposition moves integers too.
 */
#undef  LN_VF_LANES
#undef  LN_VF_FMA
#undef  LN_VF_HALF
#undef  LN_GEMM_MR
#undef  LN_GEMM_NRV
#define LN_VF_LANES 1
#define LN_VF_FMA   0
#define LN_VF_HALF  0
#define LN_GEMM_MR  4
#define LN_GEMM_NRV 4

typedef float   vf;
typedef int32_t vi;
typedef int     vm;
typedef float   vh;

LN_INLINE vi vf_as_vi(vf a)
{
    int32_t i;
    memcpy(&i, &a, sizeof i);
    return i;
}
LN_INLINE vf vi_as_vf(vi a)
{
    float f;
    memcpy(&f, &a, sizeof f);
    return f;
}
LN_INLINE uint32_t LN_SYM(vec_bits)(vf a)
{
    uint32_t u;
    memcpy(&u, &a, sizeof u);
    return u;
}
LN_INLINE vf LN_SYM(vec_float)(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
LN_INLINE vi LN_SYM(vec_int)(uint32_t u)
{
    int32_t i;
    memcpy(&i, &u, sizeof i);
    return i;
}

LN_INLINE vf vf_ld(const float *p)
{
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}
LN_INLINE void vf_st(float *p, vf v) { memcpy(p, &v, sizeof v); }
LN_INLINE void vf_stream(float *p, vf v) { vf_st(p, v); }
LN_INLINE void vf_stream_end(void) { }
LN_INLINE vf   vf_ldn(const float *p, size_t n, float fill) { return n ? vf_ld(p) : fill; }
LN_INLINE void vf_stn(float *p, vf v, size_t n) { memcpy(p, &v, n ? sizeof v : 0); }
LN_INLINE vi   vi_ld(const int32_t *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
LN_INLINE void vi_st(int32_t *p, vi v) { memcpy(p, &v, sizeof v); }
LN_INLINE vi   vi_ldn(const int32_t *p, size_t n, int32_t fill) { return n ? vi_ld(p) : fill; }
LN_INLINE void vi_stn(int32_t *p, vi v, size_t n) { memcpy(p, &v, n ? sizeof v : 0); }
LN_INLINE vi   vi_ld_u8(const uint8_t *p) { return *p; }
LN_INLINE vi   vi_ld_i8(const int8_t *p) { return *p; }
LN_INLINE vi   vi_ldn_u8(const uint8_t *p, size_t n) { return n ? *p : 0; }
LN_INLINE vi   vi_ldn_i8(const int8_t *p, size_t n) { return n ? *p : 0; }
LN_INLINE void vi_st_u8(uint8_t *p, vi v) { *p = (uint8_t)v; }
LN_INLINE void vi_stn_u8(uint8_t *p, vi v, size_t n)
{
    if (n)
        *p = (uint8_t)v;
}

LN_INLINE vf vf_set(float s) { return s; }
LN_INLINE vf vf_zero(void) { return 0.0f; }
LN_INLINE vf vf_add(vf a, vf b) { return a + b; }
LN_INLINE vf vf_sub(vf a, vf b) { return a - b; }
LN_INLINE vf vf_mul(vf a, vf b) { return a * b; }
LN_INLINE vf vf_div(vf a, vf b) { return a / b; }
LN_INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
LN_INLINE vf vf_fnma(vf a, vf b, vf c) { return c - a * b; }
LN_INLINE vf vf_max(vf a, vf b) { return a > b ? a : b; }
LN_INLINE vf vf_min(vf a, vf b) { return a < b ? a : b; }
LN_INLINE vf vf_sqrt(vf a) { return sqrtf(a); }
LN_INLINE vf vf_abs(vf a) { return LN_SYM(vec_float)(LN_SYM(vec_bits)(a) & 0x7fffffffu); }
LN_INLINE vf vf_neg(vf a) { return LN_SYM(vec_float)(LN_SYM(vec_bits)(a) ^ 0x80000000u); }
LN_INLINE vf vf_floor(vf a) { return floorf(a); }
LN_INLINE vf vf_ceil(vf a) { return ceilf(a); }
LN_INLINE vf vf_round(vf a)
{
    /* Adding and taking away 2^23 rounds |a| below it; the way over the bits makes
       machines that compute wider than float round here too. */
    const float big = 8388608.0f, m = vf_abs(a);
    const float r = LN_SYM(vec_float)(LN_SYM(vec_bits)(m + big)) - big;
    const uint32_t sign = LN_SYM(vec_bits)(a) & 0x80000000u;

    return m < big ? LN_SYM(vec_float)(LN_SYM(vec_bits)(r) | sign) : a;
}

LN_INLINE vf vf_and(vf a, vf b)
{
    return LN_SYM(vec_float)(LN_SYM(vec_bits)(a) & LN_SYM(vec_bits)(b));
}
LN_INLINE vf vf_or(vf a, vf b)
{
    return LN_SYM(vec_float)(LN_SYM(vec_bits)(a) | LN_SYM(vec_bits)(b));
}
LN_INLINE vf vf_xor(vf a, vf b)
{
    return LN_SYM(vec_float)(LN_SYM(vec_bits)(a) ^ LN_SYM(vec_bits)(b));
}
LN_INLINE vf vf_andnot(vf a, vf b)
{
    return LN_SYM(vec_float)(~LN_SYM(vec_bits)(a) & LN_SYM(vec_bits)(b));
}

LN_INLINE vm vf_lt(vf a, vf b) { return a < b; }
LN_INLINE vm vf_le(vf a, vf b) { return a <= b; }
LN_INLINE vm vf_gt(vf a, vf b) { return a > b; }
LN_INLINE vm vf_ge(vf a, vf b) { return a >= b; }
LN_INLINE vm vf_eq(vf a, vf b) { return a == b; }
LN_INLINE vm vf_ne(vf a, vf b) { return a != b; }
LN_INLINE vm vf_unord(vf a, vf b) { return a != a || b != b; }
LN_INLINE vf vf_select(vm m, vf a, vf b) { return m ? a : b; }
LN_INLINE vi vi_select(vm m, vi a, vi b) { return m ? a : b; }
LN_INLINE vf vf_look16(const float *t, vi i) { return t[i & 15]; }
LN_INLINE vm vi_eq(vi a, vi b) { return a == b; }
LN_INLINE vm vi_gt(vi a, vi b) { return a > b; }
LN_INLINE vm vm_and(vm a, vm b) { return a & b; }
LN_INLINE vm vm_or(vm a, vm b) { return a | b; }
LN_INLINE bool vm_any(vm m) { return m != 0; }

LN_INLINE float vf_hsum(vf v) { return v; }
LN_INLINE float vf_hmax(vf v) { return v; }
LN_INLINE float vf_hmin(vf v) { return v; }
LN_INLINE void  vf_transpose(vf *r) { (void)r; }

LN_INLINE vi vi_set(int32_t s) { return s; }
LN_INLINE vi vi_add(vi a, vi b) { return LN_SYM(vec_int)((uint32_t)a + (uint32_t)b); }
LN_INLINE vi vi_sub(vi a, vi b) { return LN_SYM(vec_int)((uint32_t)a - (uint32_t)b); }
LN_INLINE vi vi_mul(vi a, vi b) { return LN_SYM(vec_int)((uint32_t)a * (uint32_t)b); }
LN_INLINE vi vi_max(vi a, vi b) { return a > b ? a : b; }
LN_INLINE vi vi_min(vi a, vi b) { return a < b ? a : b; }
LN_INLINE vi vi_and(vi a, vi b) { return a & b; }
LN_INLINE vi vi_or(vi a, vi b) { return a | b; }
LN_INLINE vi vi_xor(vi a, vi b) { return a ^ b; }
LN_INLINE vi vi_andnot(vi a, vi b) { return ~a & b; }
LN_INLINE vi vi_shl(vi a, int n) { return LN_SYM(vec_int)((uint32_t)a << n); }
LN_INLINE vi vi_srl(vi a, int n) { return LN_SYM(vec_int)((uint32_t)a >> n); }
LN_INLINE vi vi_shr(vi a, int n) /* >> of a negative number is the compiler's choice */
{
    return a < 0 ? ~LN_SYM(vec_int)((uint32_t)~a >> n) : LN_SYM(vec_int)((uint32_t)a >> n);
}

LN_INLINE vi vf_to_vi(vf a)
{
    return a >= -2147483648.0f && a < 2147483648.0f ? (int32_t)vf_round(a) : INT32_MIN;
}
LN_INLINE vf vi_to_vf(vi a) { return (float)a; }

/* Halves are whole here: never run. */
LN_INLINE vh vh_ld(const float *p) { return vf_ld(p); }
LN_INLINE vh vh_set(float s) { return vf_set(s); }
LN_INLINE vh vh_fma(vh a, vh b, vh c) { return vf_fma(a, b, c); }
LN_INLINE vh vh_low(vf v) { return v; }
LN_INLINE vh vh_high(vf v) { return v; }
LN_INLINE vf vh_join(vh a, vh b) { return vf_add(a, b); }
LN_INLINE vf vh_wide(vh v) { return v; }

LN_INLINE vf vf_scale2(vf v, vf n)
{
    const int32_t i = n == n ? (int32_t)n : 0, half = (i + 256) / 2 - 128; /* floor(i / 2) */
    const uint32_t one = (uint32_t)(half + 127) << 23, two = (uint32_t)(i - half + 127) << 23;

    return v * LN_SYM(vec_float)(one) * LN_SYM(vec_float)(two);
}

LN_INLINE vf vf_ld_f16(const uint16_t *p)
{
    const uint32_t h = *p, sign = (h & 0x8000u) << 16, a = (h & 0x7fffu) << 13;

    if (a >= 0x0f800000u) /* infinity and NaN */
        return LN_SYM(vec_float)(sign | a | 0x7f800000u | (a > 0x0f800000u ? 0x400000u : 0));
    return LN_SYM(vec_float)(sign | LN_SYM(vec_bits)(LN_SYM(vec_float)(a) * 0x1p112f));
}
LN_INLINE vf vf_ldn_f16(const uint16_t *p, size_t n) { return n ? vf_ld_f16(p) : 0.0f; }
LN_INLINE void vf_st_f16(uint16_t *p, vf v)
{
    const uint32_t bits = LN_SYM(vec_bits)(v), sign = bits >> 16 & 0x8000u;
    const uint32_t a = bits & 0x7fffffffu;
    uint32_t r;

    if (a > 0x7f800000u)
        r = 0x7e00u | (a >> 13 & 0x3ffu);
    else if (a >= 0x477ff000u) /* 65520 and up round to infinity */
        r = 0x7c00u;
    else if (a < 0x38800000u)  /* below 2^-14 the addition rounds at 2^-24 */
        r = LN_SYM(vec_bits)(LN_SYM(vec_float)(a) + 0.5f) - 0x3f000000u;
    else
        r = (a + 0xfffu + (a >> 13 & 1u) - 0x38000000u) >> 13;
    *p = (uint16_t)(sign | r);
}
LN_INLINE void vf_stn_f16(uint16_t *p, vf v, size_t n)
{
    if (n)
        vf_st_f16(p, v);
}
