/* vec_sse4.h - the vocabulary of vec.h for SSE4.1: four lanes, no FMA, no masks in memory. */
#undef  LN_VF_LANES
#undef  LN_VF_FMA
#undef  LN_VF_HALF
#undef  LN_GEMM_MR
#undef  LN_GEMM_NRV
#define LN_VF_LANES 4
#define LN_VF_FMA   0
#define LN_VF_HALF  0
#define LN_GEMM_MR  3 /* and not more rows: a broadcast takes as long as half a multiply-add, so B has the registers */
#define LN_GEMM_NRV 4

typedef __m128  vf;
typedef __m128i vi;
typedef __m128  vm;
typedef __m128  vh;

LN_INLINE vi vf_as_vi(vf a) { return _mm_castps_si128(a); }
LN_INLINE vf vi_as_vf(vi a) { return _mm_castsi128_ps(a); }
LN_INLINE vf vf_set(float s) { return _mm_set1_ps(s); }
LN_INLINE vf vf_zero(void) { return _mm_setzero_ps(); }

LN_INLINE vf   vf_ld(const float *p) { return _mm_loadu_ps(p); }
LN_INLINE void vf_st(float *p, vf v) { _mm_storeu_ps(p, v); }
LN_INLINE void vf_stream(float *p, vf v) { _mm_stream_ps(p, v); }
LN_INLINE void vf_stream_end(void) { _mm_sfence(); }
LN_INLINE vf   vf_ldn(const float *p, size_t n, float fill)
{
    const __m128 f = _mm_set1_ps(fill);

    if (n >= 4)
        return _mm_loadu_ps(p);
    if (n == 3)
        return _mm_insert_ps(_mm_loadl_pi(f, (const __m64 *)(const void *)p),
                             _mm_load_ss(p + 2), 0x20);
    if (n == 2)
        return _mm_loadl_pi(f, (const __m64 *)(const void *)p);
    return n ? _mm_move_ss(f, _mm_load_ss(p)) : f;
}
LN_INLINE void vf_stn(float *p, vf v, size_t n)
{
    if (n >= 4) {
        _mm_storeu_ps(p, v);
    } else if (n >= 2) {
        _mm_storel_pi((__m64 *)(void *)p, v);
        if (n == 3)
            _mm_store_ss(p + 2, _mm_movehl_ps(v, v));
    } else if (n) {
        _mm_store_ss(p, v);
    }
}
LN_INLINE vi   vi_ld(const int32_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
LN_INLINE void vi_st(int32_t *p, vi v) { _mm_storeu_si128((__m128i *)(void *)p, v); }
LN_INLINE vi   vi_ldn(const int32_t *p, size_t n, int32_t fill)
{
    int32_t t[4] = { fill, fill, fill, fill };

    memcpy(t, p, n * sizeof *p);
    return vi_ld(t);
}
LN_INLINE void vi_stn(int32_t *p, vi v, size_t n)
{
    int32_t t[4];

    vi_st(t, v);
    memcpy(p, t, n * sizeof *p);
}
LN_INLINE vi vi_ld_u8(const uint8_t *p)
{
    int32_t t;

    memcpy(&t, p, sizeof t);
    return _mm_cvtepu8_epi32(_mm_cvtsi32_si128(t));
}
LN_INLINE vi vi_ld_i8(const int8_t *p)
{
    int32_t t;

    memcpy(&t, p, sizeof t);
    return _mm_cvtepi8_epi32(_mm_cvtsi32_si128(t));
}
LN_INLINE vi vi_ldn_u8(const uint8_t *p, size_t n)
{
    uint8_t t[4] = { 0 };

    memcpy(t, p, n);
    return vi_ld_u8(t);
}
LN_INLINE vi vi_ldn_i8(const int8_t *p, size_t n)
{
    int8_t t[4] = { 0 };

    memcpy(t, p, n);
    return vi_ld_i8(t);
}
LN_INLINE void vi_st_u8(uint8_t *p, vi v)
{
    const __m128i pick = _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const int32_t t = _mm_cvtsi128_si32(_mm_shuffle_epi8(v, pick));

    memcpy(p, &t, sizeof t);
}
LN_INLINE void vi_stn_u8(uint8_t *p, vi v, size_t n)
{
    uint8_t t[4];

    vi_st_u8(t, v);
    memcpy(p, t, n);
}

LN_INLINE vf vf_add(vf a, vf b) { return _mm_add_ps(a, b); }
LN_INLINE vf vf_sub(vf a, vf b) { return _mm_sub_ps(a, b); }
LN_INLINE vf vf_mul(vf a, vf b) { return _mm_mul_ps(a, b); }
LN_INLINE vf vf_div(vf a, vf b) { return _mm_div_ps(a, b); }
LN_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
LN_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm_sub_ps(c, _mm_mul_ps(a, b)); }
LN_INLINE vf vf_max(vf a, vf b) { return _mm_max_ps(a, b); }
LN_INLINE vf vf_min(vf a, vf b) { return _mm_min_ps(a, b); }
LN_INLINE vf vf_sqrt(vf a) { return _mm_sqrt_ps(a); }
LN_INLINE vf vf_abs(vf a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a); }
LN_INLINE vf vf_neg(vf a) { return _mm_xor_ps(_mm_set1_ps(-0.0f), a); }
LN_INLINE vf vf_floor(vf a) { return _mm_floor_ps(a); }
LN_INLINE vf vf_ceil(vf a) { return _mm_ceil_ps(a); }
LN_INLINE vf vf_round(vf a)
{
    return _mm_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

LN_INLINE vf vf_and(vf a, vf b) { return _mm_and_ps(a, b); }
LN_INLINE vf vf_or(vf a, vf b) { return _mm_or_ps(a, b); }
LN_INLINE vf vf_xor(vf a, vf b) { return _mm_xor_ps(a, b); }
LN_INLINE vf vf_andnot(vf a, vf b) { return _mm_andnot_ps(a, b); }

LN_INLINE vm vf_lt(vf a, vf b) { return _mm_cmplt_ps(a, b); }
LN_INLINE vm vf_le(vf a, vf b) { return _mm_cmple_ps(a, b); }
LN_INLINE vm vf_gt(vf a, vf b) { return _mm_cmpgt_ps(a, b); }
LN_INLINE vm vf_ge(vf a, vf b) { return _mm_cmpge_ps(a, b); }
LN_INLINE vm vf_eq(vf a, vf b) { return _mm_cmpeq_ps(a, b); }
LN_INLINE vm vf_ne(vf a, vf b) { return _mm_cmpneq_ps(a, b); }
LN_INLINE vm vf_unord(vf a, vf b) { return _mm_cmpunord_ps(a, b); }
LN_INLINE vf vf_select(vm m, vf a, vf b) { return _mm_blendv_ps(b, a, m); }
LN_INLINE vi vi_select(vm m, vi a, vi b)
{
    return _mm_blendv_epi8(b, a, _mm_castps_si128(m));
}
LN_INLINE vf vf_look16(const float *t, vi i)
{
    const vf a = _mm_unpacklo_ps(_mm_load_ss(t + (_mm_extract_epi32(i, 0) & 15)),
                                 _mm_load_ss(t + (_mm_extract_epi32(i, 1) & 15)));
    const vf b = _mm_unpacklo_ps(_mm_load_ss(t + (_mm_extract_epi32(i, 2) & 15)),
                                 _mm_load_ss(t + (_mm_extract_epi32(i, 3) & 15)));

    return _mm_movelh_ps(a, b);
}
LN_INLINE vm vi_eq(vi a, vi b) { return _mm_castsi128_ps(_mm_cmpeq_epi32(a, b)); }
LN_INLINE vm vi_gt(vi a, vi b) { return _mm_castsi128_ps(_mm_cmpgt_epi32(a, b)); }
LN_INLINE vm vm_and(vm a, vm b) { return _mm_and_ps(a, b); }
LN_INLINE vm vm_or(vm a, vm b) { return _mm_or_ps(a, b); }
LN_INLINE bool vm_any(vm m) { return _mm_movemask_ps(m) != 0; }

LN_INLINE float vf_hsum(vf v)
{
    v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps(v, v, 1)));
}
LN_INLINE float vf_hmax(vf v)
{
    v = _mm_max_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_max_ss(v, _mm_shuffle_ps(v, v, 1)));
}
LN_INLINE float vf_hmin(vf v)
{
    v = _mm_min_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_min_ss(v, _mm_shuffle_ps(v, v, 1)));
}
LN_INLINE void vf_transpose(vf *r)
{
    const vf a = _mm_unpacklo_ps(r[0], r[1]), b = _mm_unpackhi_ps(r[0], r[1]);
    const vf c = _mm_unpacklo_ps(r[2], r[3]), d = _mm_unpackhi_ps(r[2], r[3]);

    r[0] = _mm_movelh_ps(a, c);
    r[1] = _mm_movehl_ps(c, a);
    r[2] = _mm_movelh_ps(b, d);
    r[3] = _mm_movehl_ps(d, b);
}

LN_INLINE vi vi_set(int32_t s) { return _mm_set1_epi32(s); }
LN_INLINE vi vi_add(vi a, vi b) { return _mm_add_epi32(a, b); }
LN_INLINE vi vi_sub(vi a, vi b) { return _mm_sub_epi32(a, b); }
LN_INLINE vi vi_mul(vi a, vi b) { return _mm_mullo_epi32(a, b); }
LN_INLINE vi vi_max(vi a, vi b) { return _mm_max_epi32(a, b); }
LN_INLINE vi vi_min(vi a, vi b) { return _mm_min_epi32(a, b); }
LN_INLINE vi vi_and(vi a, vi b) { return _mm_and_si128(a, b); }
LN_INLINE vi vi_or(vi a, vi b) { return _mm_or_si128(a, b); }
LN_INLINE vi vi_xor(vi a, vi b) { return _mm_xor_si128(a, b); }
LN_INLINE vi vi_andnot(vi a, vi b) { return _mm_andnot_si128(a, b); }
LN_INLINE vi vi_shl(vi a, int n) { return _mm_sll_epi32(a, _mm_cvtsi32_si128(n)); }
LN_INLINE vi vi_shr(vi a, int n) { return _mm_sra_epi32(a, _mm_cvtsi32_si128(n)); }
LN_INLINE vi vi_srl(vi a, int n) { return _mm_srl_epi32(a, _mm_cvtsi32_si128(n)); }

LN_INLINE vi vf_to_vi(vf a) { return _mm_cvtps_epi32(a); }
LN_INLINE vf vi_to_vf(vi a) { return _mm_cvtepi32_ps(a); }

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
    const vi i = _mm_cvtps_epi32(n), half = _mm_srai_epi32(i, 1), bias = _mm_set1_epi32(127);
    const vi one = _mm_slli_epi32(_mm_add_epi32(half, bias), 23);
    const vi two = _mm_slli_epi32(_mm_add_epi32(_mm_sub_epi32(i, half), bias), 23);

    return _mm_mul_ps(_mm_mul_ps(v, _mm_castsi128_ps(one)), _mm_castsi128_ps(two));
}

/* Without F16C: a half shifted into place is 2^112 too small, which one exact product mends. */
LN_INLINE vf LN_SYM(vec_from_f16)(__m128i h)
{
    const vi w = _mm_cvtepu16_epi32(h);
    const vi a = _mm_slli_epi32(_mm_and_si128(w, _mm_set1_epi32(0x7fff)), 13);
    const vi sign = _mm_slli_epi32(_mm_and_si128(w, _mm_set1_epi32(0x8000)), 16);
    const vi big = _mm_cmpgt_epi32(a, _mm_set1_epi32(0x0f7fffff)); /* infinity and NaN */
    const vi nan = _mm_cmpgt_epi32(a, _mm_set1_epi32(0x0f800000));
    const vf v = _mm_mul_ps(_mm_castsi128_ps(a), _mm_set1_ps(0x1p112f));
    const vi top = _mm_or_si128(_mm_and_si128(big, _mm_set1_epi32(0x7f800000)),
                                _mm_and_si128(nan, _mm_set1_epi32(0x400000)));
    const vi value = _mm_blendv_epi8(_mm_castps_si128(v), _mm_or_si128(a, top), big);

    return _mm_castsi128_ps(_mm_or_si128(value, sign));
}
LN_INLINE __m128i LN_SYM(vec_to_f16)(vf v)
{
    const vi bits = _mm_castps_si128(v);
    const vi a = _mm_and_si128(bits, _mm_set1_epi32(0x7fffffff));
    const vi sign = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(0x8000));
    const vi odd = _mm_and_si128(_mm_srli_epi32(a, 13), _mm_set1_epi32(1));
    const vi nan = _mm_cmpgt_epi32(a, _mm_set1_epi32(0x7f800000));
    const vi over = _mm_cmpgt_epi32(a, _mm_set1_epi32(0x477fefff));  /* from 65520: infinity */
    const vi under = _mm_cmpgt_epi32(_mm_set1_epi32(0x38800000), a); /* below 2^-14 */
    const vi payload = _mm_and_si128(_mm_srli_epi32(a, 13), _mm_set1_epi32(0x3ff));
    const vi small = _mm_sub_epi32( /* the addition rounds at 2^-24 */
        _mm_castps_si128(_mm_add_ps(_mm_castsi128_ps(a), _mm_set1_ps(0.5f))),
        _mm_set1_epi32(0x3f000000));
    vi r = _mm_add_epi32(_mm_add_epi32(a, odd), _mm_set1_epi32(0xfff - 0x38000000));

    r = _mm_srli_epi32(r, 13);
    r = _mm_blendv_epi8(r, small, under);
    r = _mm_blendv_epi8(r, _mm_set1_epi32(0x7c00), over);
    r = _mm_blendv_epi8(r, _mm_or_si128(payload, _mm_set1_epi32(0x7e00)), nan);
    r = _mm_or_si128(r, sign);
    return _mm_packus_epi32(r, r);
}
LN_INLINE vf vf_ld_f16(const uint16_t *p)
{
    return LN_SYM(vec_from_f16)(_mm_loadl_epi64((const __m128i *)(const void *)p));
}
LN_INLINE vf vf_ldn_f16(const uint16_t *p, size_t n)
{
    uint16_t t[4] = { 0, 0, 0, 0 };

    memcpy(t, p, n * sizeof *p);
    return vf_ld_f16(t);
}
LN_INLINE void vf_st_f16(uint16_t *p, vf v)
{
    _mm_storel_epi64((__m128i *)(void *)p, LN_SYM(vec_to_f16)(v));
}
LN_INLINE void vf_stn_f16(uint16_t *p, vf v, size_t n)
{
    uint16_t t[4];

    vf_st_f16(t, v);
    memcpy(p, t, n * sizeof *p);
}
