/* vec_avx512.h - the vocabulary of vec.h for AVX-512: sixteen lanes, masks in registers. */
#undef  LN_VF_LANES
#undef  LN_VF_FMA
#undef  LN_VF_HALF
#undef  LN_GEMM_MR
#undef  LN_GEMM_NRV
#define LN_VF_LANES 16
#define LN_VF_FMA   1
#define LN_VF_HALF  1
#define LN_GEMM_MR  14
#define LN_GEMM_NRV 2

typedef __m512    vf;
typedef __m512i   vi;
typedef __mmask16 vm;
typedef __m256    vh;

LN_INLINE vi vf_as_vi(vf a) { return _mm512_castps_si512(a); }
LN_INLINE vf vi_as_vf(vi a) { return _mm512_castsi512_ps(a); }
LN_INLINE vf vf_set(float s) { return _mm512_set1_ps(s); }
LN_INLINE vf vf_zero(void) { return _mm512_setzero_ps(); }

LN_INLINE vm LN_SYM(vec_first)(size_t n) { return (vm)((1u << n) - 1u); }

LN_INLINE vf   vf_ld(const float *p) { return _mm512_loadu_ps(p); }
LN_INLINE void vf_st(float *p, vf v) { _mm512_storeu_ps(p, v); }
LN_INLINE void vf_stream(float *p, vf v) { _mm512_stream_ps(p, v); }
LN_INLINE void vf_stream_end(void) { _mm_sfence(); }
LN_INLINE vf   vf_ldn(const float *p, size_t n, float fill)
{
    return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), LN_SYM(vec_first)(n), p);
}
LN_INLINE void vf_stn(float *p, vf v, size_t n)
{
    _mm512_mask_storeu_ps(p, LN_SYM(vec_first)(n), v);
}
LN_INLINE vi   vi_ld(const int32_t *p) { return _mm512_loadu_si512(p); }
LN_INLINE void vi_st(int32_t *p, vi v) { _mm512_storeu_si512(p, v); }
LN_INLINE vi   vi_ldn(const int32_t *p, size_t n, int32_t fill)
{
    return _mm512_mask_loadu_epi32(_mm512_set1_epi32(fill), LN_SYM(vec_first)(n), p);
}
LN_INLINE void vi_stn(int32_t *p, vi v, size_t n)
{
    _mm512_mask_storeu_epi32(p, LN_SYM(vec_first)(n), v);
}
LN_INLINE vi vi_ld_u8(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)); }
LN_INLINE vi vi_ld_i8(const int8_t *p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)); }
LN_INLINE vi vi_ldn_u8(const uint8_t *p, size_t n)
{
    return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(LN_SYM(vec_first)(n), p));
}
LN_INLINE vi vi_ldn_i8(const int8_t *p, size_t n)
{
    return _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(LN_SYM(vec_first)(n), p));
}
LN_INLINE void vi_st_u8(uint8_t *p, vi v) { _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(v)); }
LN_INLINE void vi_stn_u8(uint8_t *p, vi v, size_t n)
{
    _mm512_mask_cvtepi32_storeu_epi8(p, LN_SYM(vec_first)(n), v);
}

LN_INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
LN_INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
LN_INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
LN_INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
LN_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
LN_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
LN_INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
LN_INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
LN_INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
LN_INLINE vf vf_abs(vf a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
LN_INLINE vf vf_neg(vf a) { return _mm512_xor_ps(_mm512_set1_ps(-0.0f), a); }
LN_INLINE vf vf_floor(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
LN_INLINE vf vf_ceil(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}
LN_INLINE vf vf_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

LN_INLINE vf vf_and(vf a, vf b) { return _mm512_and_ps(a, b); }
LN_INLINE vf vf_or(vf a, vf b) { return _mm512_or_ps(a, b); }
LN_INLINE vf vf_xor(vf a, vf b) { return _mm512_xor_ps(a, b); }
LN_INLINE vf vf_andnot(vf a, vf b) { return _mm512_andnot_ps(a, b); }

LN_INLINE vm vf_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
LN_INLINE vm vf_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
LN_INLINE vm vf_gt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
LN_INLINE vm vf_ge(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
LN_INLINE vm vf_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
LN_INLINE vm vf_ne(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
LN_INLINE vm vf_unord(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q); }
LN_INLINE vf vf_select(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
LN_INLINE vi vi_select(vm m, vi a, vi b) { return _mm512_mask_blend_epi32(m, b, a); }
LN_INLINE vf vf_look16(const float *t, vi i) { return _mm512_permutexvar_ps(i, vf_ld(t)); }
LN_INLINE vm vi_eq(vi a, vi b) { return _mm512_cmpeq_epi32_mask(a, b); }
LN_INLINE vm vi_gt(vi a, vi b) { return _mm512_cmpgt_epi32_mask(a, b); }
LN_INLINE vm vm_and(vm a, vm b) { return (vm)(a & b); }
LN_INLINE vm vm_or(vm a, vm b) { return (vm)(a | b); }
LN_INLINE bool vm_any(vm m) { return m != 0; }

LN_INLINE float vf_hsum(vf v)
{
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
LN_INLINE float vf_hmax(vf v)
{
    const __m256 h = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));

    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
LN_INLINE float vf_hmin(vf v)
{
    const __m256 h = _mm256_min_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 s = _mm_min_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));

    s = _mm_min_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_min_ss(s, _mm_movehdup_ps(s)));
}

/* Four rows, within each quarter: t[j] gets columns j, j + 4, j + 8, j + 12. */
LN_INLINE void LN_SYM(vec_quarter)(const vf *r, vf *t)
{
    const vf a = _mm512_unpacklo_ps(r[0], r[1]), b = _mm512_unpackhi_ps(r[0], r[1]);
    const vf c = _mm512_unpacklo_ps(r[2], r[3]), d = _mm512_unpackhi_ps(r[2], r[3]);

    t[0] = _mm512_shuffle_ps(a, c, 0x44);
    t[1] = _mm512_shuffle_ps(a, c, 0xee);
    t[2] = _mm512_shuffle_ps(b, d, 0x44);
    t[3] = _mm512_shuffle_ps(b, d, 0xee);
}
/* A 4 x 4 matrix of quarters, transposed into y[0], y[4], y[8], y[12]. */
LN_INLINE void LN_SYM(vec_quarters)(vf a, vf b, vf c, vf d, vf *y)
{
    const vf ab0 = _mm512_shuffle_f32x4(a, b, 0x88), ab1 = _mm512_shuffle_f32x4(a, b, 0xdd);
    const vf cd0 = _mm512_shuffle_f32x4(c, d, 0x88), cd1 = _mm512_shuffle_f32x4(c, d, 0xdd);

    y[0] = _mm512_shuffle_f32x4(ab0, cd0, 0x88);
    y[8] = _mm512_shuffle_f32x4(ab0, cd0, 0xdd);
    y[4] = _mm512_shuffle_f32x4(ab1, cd1, 0x88);
    y[12] = _mm512_shuffle_f32x4(ab1, cd1, 0xdd);
}
LN_INLINE void vf_transpose(vf *r)
{
    vf s[4], t[4], u[4], v[4];

    LN_SYM(vec_quarter)(r, s);
    LN_SYM(vec_quarter)(r + 4, t);
    LN_SYM(vec_quarter)(r + 8, u);
    LN_SYM(vec_quarter)(r + 12, v);
    LN_SYM(vec_quarters)(s[0], t[0], u[0], v[0], r);
    LN_SYM(vec_quarters)(s[1], t[1], u[1], v[1], r + 1);
    LN_SYM(vec_quarters)(s[2], t[2], u[2], v[2], r + 2);
    LN_SYM(vec_quarters)(s[3], t[3], u[3], v[3], r + 3);
}

LN_INLINE vi vi_set(int32_t s) { return _mm512_set1_epi32(s); }
LN_INLINE vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
LN_INLINE vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
LN_INLINE vi vi_mul(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
LN_INLINE vi vi_max(vi a, vi b) { return _mm512_max_epi32(a, b); }
LN_INLINE vi vi_min(vi a, vi b) { return _mm512_min_epi32(a, b); }
LN_INLINE vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
LN_INLINE vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
LN_INLINE vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
LN_INLINE vi vi_andnot(vi a, vi b) { return _mm512_andnot_si512(a, b); }
LN_INLINE vi vi_shl(vi a, int n) { return _mm512_sllv_epi32(a, _mm512_set1_epi32(n)); }
LN_INLINE vi vi_shr(vi a, int n) { return _mm512_srav_epi32(a, _mm512_set1_epi32(n)); }
LN_INLINE vi vi_srl(vi a, int n) { return _mm512_srlv_epi32(a, _mm512_set1_epi32(n)); }

LN_INLINE vi vf_to_vi(vf a) { return _mm512_cvtps_epi32(a); }
LN_INLINE vf vi_to_vf(vi a) { return _mm512_cvtepi32_ps(a); }

LN_INLINE vh vh_ld(const float *p) { return _mm256_loadu_ps(p); }
LN_INLINE vh vh_set(float s) { return _mm256_set1_ps(s); }
LN_INLINE vh vh_fma(vh a, vh b, vh c) { return _mm256_fmadd_ps(a, b, c); }
LN_INLINE vh vh_low(vf v) { return _mm512_castps512_ps256(v); }
LN_INLINE vh vh_high(vf v) { return _mm512_extractf32x8_ps(v, 1); }
LN_INLINE vf vh_join(vh a, vh b) { return _mm512_insertf32x8(_mm512_castps256_ps512(a), b, 1); }
LN_INLINE vf vh_wide(vh v) { return _mm512_castps256_ps512(v); }

LN_INLINE vf vf_scale2(vf v, vf n) { return _mm512_scalef_ps(v, n); }

LN_INLINE vf vf_ld_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
LN_INLINE vf vf_ldn_f16(const uint16_t *p, size_t n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(LN_SYM(vec_first)(n), p));
}
LN_INLINE void vf_st_f16(uint16_t *p, vf v)
{
    _mm256_storeu_si256((__m256i *)(void *)p,
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
LN_INLINE void vf_stn_f16(uint16_t *p, vf v, size_t n)
{
    _mm256_mask_storeu_epi16(p, LN_SYM(vec_first)(n),
                             _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
