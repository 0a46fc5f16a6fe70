/* vec_avx2.h - the vocabulary of vec.h for AVX2, FMA and F16C: eight lanes. */
#undef  LN_VF_LANES
#undef  LN_VF_FMA
#undef  LN_VF_HALF
#undef  LN_GEMM_MR
#undef  LN_GEMM_NRV
#define LN_VF_LANES 8
#define LN_VF_FMA   1
#define LN_VF_HALF  0
#define LN_GEMM_MR  6
#define LN_GEMM_NRV 2

typedef __m256  vf;
typedef __m256i vi;
typedef __m256  vm;
typedef __m256  vh;

LN_INLINE vi vf_as_vi(vf a) { return _mm256_castps_si256(a); }
LN_INLINE vf vi_as_vf(vi a) { return _mm256_castsi256_ps(a); }
LN_INLINE vf vf_set(float s) { return _mm256_set1_ps(s); }
LN_INLINE vf vf_zero(void) { return _mm256_setzero_ps(); }

LN_INLINE __m256i LN_SYM(vec_first)(size_t n) /* all bits set in the first n lanes */
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
LN_INLINE vf   vf_ld(const float *p) { return _mm256_loadu_ps(p); }
LN_INLINE void vf_st(float *p, vf v) { _mm256_storeu_ps(p, v); }
LN_INLINE void vf_stream(float *p, vf v) { _mm256_stream_ps(p, v); }
LN_INLINE void vf_stream_end(void) { _mm_sfence(); }
LN_INLINE vf   vf_ldn(const float *p, size_t n, float fill)
{
    const __m256i m = LN_SYM(vec_first)(n);

    return _mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(p, m),
                            _mm256_castsi256_ps(m));
}
LN_INLINE void vf_stn(float *p, vf v, size_t n) /* a masked store takes many times as long on some processors */
{
    if (n >= 8)
        _mm256_storeu_ps(p, v);
    else
        _mm256_maskstore_ps(p, LN_SYM(vec_first)(n), v);
}
LN_INLINE vi vi_ld(const int32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
LN_INLINE void vi_st(int32_t *p, vi v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }
LN_INLINE vi   vi_ldn(const int32_t *p, size_t n, int32_t fill)
{
    const __m256i m = LN_SYM(vec_first)(n);

    return _mm256_blendv_epi8(_mm256_set1_epi32(fill), _mm256_maskload_epi32((const int *)p, m), m);
}
LN_INLINE void vi_stn(int32_t *p, vi v, size_t n)
{
    _mm256_maskstore_epi32((int *)p, LN_SYM(vec_first)(n), v);
}
LN_INLINE vi vi_ld_u8(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)); }
LN_INLINE vi vi_ld_i8(const int8_t *p) { return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)); }
LN_INLINE vi vi_ldn_u8(const uint8_t *p, size_t n)
{
    uint8_t t[8] = { 0 };

    memcpy(t, p, n);
    return vi_ld_u8(t);
}
LN_INLINE vi vi_ldn_i8(const int8_t *p, size_t n)
{
    int8_t t[8] = { 0 };

    memcpy(t, p, n);
    return vi_ld_i8(t);
}
LN_INLINE void vi_st_u8(uint8_t *p, vi v)
{
    const __m128i pick = _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);

    _mm_storel_epi64((__m128i *)(void *)p, _mm_unpacklo_epi32(_mm_shuffle_epi8(_mm256_castsi256_si128(v), pick),
                                                              _mm_shuffle_epi8(_mm256_extracti128_si256(v, 1), pick)));
}
LN_INLINE void vi_stn_u8(uint8_t *p, vi v, size_t n)
{
    uint8_t t[8];

    vi_st_u8(t, v);
    memcpy(p, t, n);
}

LN_INLINE vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
LN_INLINE vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
LN_INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
LN_INLINE vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
LN_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
LN_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
LN_INLINE vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
LN_INLINE vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
LN_INLINE vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
LN_INLINE vf vf_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
LN_INLINE vf vf_neg(vf a) { return _mm256_xor_ps(_mm256_set1_ps(-0.0f), a); }
LN_INLINE vf vf_floor(vf a) { return _mm256_floor_ps(a); }
LN_INLINE vf vf_ceil(vf a) { return _mm256_ceil_ps(a); }
LN_INLINE vf vf_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

LN_INLINE vf vf_and(vf a, vf b) { return _mm256_and_ps(a, b); }
LN_INLINE vf vf_or(vf a, vf b) { return _mm256_or_ps(a, b); }
LN_INLINE vf vf_xor(vf a, vf b) { return _mm256_xor_ps(a, b); }
LN_INLINE vf vf_andnot(vf a, vf b) { return _mm256_andnot_ps(a, b); }

LN_INLINE vm vf_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
LN_INLINE vm vf_le(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
LN_INLINE vm vf_gt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
LN_INLINE vm vf_ge(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
LN_INLINE vm vf_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
LN_INLINE vm vf_ne(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
LN_INLINE vm vf_unord(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_UNORD_Q); }
LN_INLINE vf vf_select(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
LN_INLINE vi vi_select(vm m, vi a, vi b)
{
    return _mm256_blendv_epi8(b, a, _mm256_castps_si256(m));
}
LN_INLINE vf vf_look16(const float *t, vi i)
{
    const vf a = _mm256_permutevar8x32_ps(_mm256_loadu_ps(t), i);
    const vf b = _mm256_permutevar8x32_ps(_mm256_loadu_ps(t + 8), i);

    return _mm256_blendv_ps(a, b, _mm256_castsi256_ps(_mm256_slli_epi32(i, 28)));
}
LN_INLINE vm vi_eq(vi a, vi b) { return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b)); }
LN_INLINE vm vi_gt(vi a, vi b) { return _mm256_castsi256_ps(_mm256_cmpgt_epi32(a, b)); }
LN_INLINE vm vm_and(vm a, vm b) { return _mm256_and_ps(a, b); }
LN_INLINE vm vm_or(vm a, vm b) { return _mm256_or_ps(a, b); }
LN_INLINE bool vm_any(vm m) { return _mm256_movemask_ps(m) != 0; }

LN_INLINE float vf_hsum(vf v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
LN_INLINE float vf_hmax(vf v)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
LN_INLINE float vf_hmin(vf v)
{
    __m128 s = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_min_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_min_ss(s, _mm_movehdup_ps(s)));
}

/* Four rows, within each half: t[j] gets columns j and j + 4. */
LN_INLINE void LN_SYM(vec_quarter)(const vf *r, vf *t)
{
    const vf a = _mm256_unpacklo_ps(r[0], r[1]), b = _mm256_unpackhi_ps(r[0], r[1]);
    const vf c = _mm256_unpacklo_ps(r[2], r[3]), d = _mm256_unpackhi_ps(r[2], r[3]);

    t[0] = _mm256_shuffle_ps(a, c, 0x44);
    t[1] = _mm256_shuffle_ps(a, c, 0xee);
    t[2] = _mm256_shuffle_ps(b, d, 0x44);
    t[3] = _mm256_shuffle_ps(b, d, 0xee);
}
LN_INLINE void vf_transpose(vf *r)
{
    vf s[4], t[4];

    LN_SYM(vec_quarter)(r, s);
    LN_SYM(vec_quarter)(r + 4, t);
    r[0] = _mm256_permute2f128_ps(s[0], t[0], 0x20);
    r[1] = _mm256_permute2f128_ps(s[1], t[1], 0x20);
    r[2] = _mm256_permute2f128_ps(s[2], t[2], 0x20);
    r[3] = _mm256_permute2f128_ps(s[3], t[3], 0x20);
    r[4] = _mm256_permute2f128_ps(s[0], t[0], 0x31);
    r[5] = _mm256_permute2f128_ps(s[1], t[1], 0x31);
    r[6] = _mm256_permute2f128_ps(s[2], t[2], 0x31);
    r[7] = _mm256_permute2f128_ps(s[3], t[3], 0x31);
}

LN_INLINE vi vi_set(int32_t s) { return _mm256_set1_epi32(s); }
LN_INLINE vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
LN_INLINE vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
LN_INLINE vi vi_mul(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
LN_INLINE vi vi_max(vi a, vi b) { return _mm256_max_epi32(a, b); }
LN_INLINE vi vi_min(vi a, vi b) { return _mm256_min_epi32(a, b); }
LN_INLINE vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
LN_INLINE vi vi_or(vi a, vi b) { return _mm256_or_si256(a, b); }
LN_INLINE vi vi_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
LN_INLINE vi vi_andnot(vi a, vi b) { return _mm256_andnot_si256(a, b); }
LN_INLINE vi vi_shl(vi a, int n) { return _mm256_sllv_epi32(a, _mm256_set1_epi32(n)); }
LN_INLINE vi vi_shr(vi a, int n) { return _mm256_srav_epi32(a, _mm256_set1_epi32(n)); }
LN_INLINE vi vi_srl(vi a, int n) { return _mm256_srlv_epi32(a, _mm256_set1_epi32(n)); }

LN_INLINE vi vf_to_vi(vf a) { return _mm256_cvtps_epi32(a); }
LN_INLINE vf vi_to_vf(vi a) { return _mm256_cvtepi32_ps(a); }

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
    const vi i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1);
    const vi bias = _mm256_set1_epi32(127);
    const vi one = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    const vi two = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(i, half), bias), 23);

    return _mm256_mul_ps(_mm256_mul_ps(v, _mm256_castsi256_ps(one)), _mm256_castsi256_ps(two));
}

LN_INLINE vf vf_ld_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
LN_INLINE vf vf_ldn_f16(const uint16_t *p, size_t n)
{
    uint16_t t[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };

    memcpy(t, p, n * sizeof *p);
    return vf_ld_f16(t);
}
LN_INLINE void vf_st_f16(uint16_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)(void *)p,
                     _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
LN_INLINE void vf_stn_f16(uint16_t *p, vf v, size_t n)
{
    uint16_t t[8];

    vf_st_f16(t, v);
    memcpy(p, t, n * sizeof *p);
}
