/* vec_neon.h - the vocabulary of vec.h for 64-bit ARM: four lanes, FMA, halves. */
#undef  LN_VF_LANES
#undef  LN_VF_FMA
#undef  LN_VF_HALF
#undef  LN_GEMM_MR
#undef  LN_GEMM_NRV
#define LN_VF_LANES 4
#define LN_VF_FMA   1
#define LN_VF_HALF  0
#define LN_GEMM_MR  8
#define LN_GEMM_NRV 2

typedef float32x4_t vf;
typedef int32x4_t   vi;
typedef uint32x4_t  vm;
typedef float32x4_t vh;

LN_INLINE vi vf_as_vi(vf a) { return vreinterpretq_s32_f32(a); }
LN_INLINE vf vi_as_vf(vi a) { return vreinterpretq_f32_s32(a); }
LN_INLINE vf vf_set(float s) { return vdupq_n_f32(s); }
LN_INLINE vf vf_zero(void) { return vdupq_n_f32(0.0f); }

LN_INLINE vf   vf_ld(const float *p) { return vld1q_f32(p); }
LN_INLINE void vf_st(float *p, vf v) { vst1q_f32(p, v); }
LN_INLINE void vf_stream(float *p, vf v) { vf_st(p, v); }
LN_INLINE void vf_stream_end(void) { }
LN_INLINE vf   vf_ldn(const float *p, size_t n, float fill)
{
    const vf f = vdupq_n_f32(fill);

    if (n >= 4)
        return vld1q_f32(p);
    if (n == 3)
        return vld1q_lane_f32(p + 2, vcombine_f32(vld1_f32(p), vget_high_f32(f)), 2);
    if (n == 2)
        return vcombine_f32(vld1_f32(p), vget_high_f32(f));
    return n ? vld1q_lane_f32(p, f, 0) : f;
}
LN_INLINE void vf_stn(float *p, vf v, size_t n)
{
    if (n >= 4) {
        vst1q_f32(p, v);
    } else if (n >= 2) {
        vst1_f32(p, vget_low_f32(v));
        if (n == 3)
            vst1q_lane_f32(p + 2, v, 2);
    } else if (n) {
        vst1q_lane_f32(p, v, 0);
    }
}
LN_INLINE vi   vi_ld(const int32_t *p) { return vld1q_s32(p); }
LN_INLINE void vi_st(int32_t *p, vi v) { vst1q_s32(p, v); }
LN_INLINE vi   vi_ldn(const int32_t *p, size_t n, int32_t fill)
{
    int32_t t[4] = { fill, fill, fill, fill };

    memcpy(t, p, n * sizeof *p);
    return vld1q_s32(t);
}
LN_INLINE void vi_stn(int32_t *p, vi v, size_t n)
{
    int32_t t[4];

    vst1q_s32(t, v);
    memcpy(p, t, n * sizeof *p);
}
LN_INLINE vi vi_ld_u8(const uint8_t *p)
{
    uint32_t t;

    memcpy(&t, p, sizeof t);
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(t)))));
}
LN_INLINE vi vi_ld_i8(const int8_t *p)
{
    uint32_t t;

    memcpy(&t, p, sizeof t);
    return vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(t))));
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
    const uint16x4_t h = vmovn_u32(vreinterpretq_u32_s32(v));
    const uint32_t t = vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(h, h))), 0);

    memcpy(p, &t, sizeof t);
}
LN_INLINE void vi_stn_u8(uint8_t *p, vi v, size_t n)
{
    uint8_t t[4];

    vi_st_u8(t, v);
    memcpy(p, t, n);
}

LN_INLINE vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
LN_INLINE vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
LN_INLINE vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
LN_INLINE vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
LN_INLINE vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
LN_INLINE vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
LN_INLINE vf vf_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
LN_INLINE vf vf_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
LN_INLINE vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
LN_INLINE vf vf_abs(vf a) { return vabsq_f32(a); }
LN_INLINE vf vf_neg(vf a) { return vnegq_f32(a); }
LN_INLINE vf vf_floor(vf a) { return vrndmq_f32(a); }
LN_INLINE vf vf_ceil(vf a) { return vrndpq_f32(a); }
LN_INLINE vf vf_round(vf a) { return vrndnq_f32(a); }

LN_INLINE vf vf_and(vf a, vf b) { return vi_as_vf(vandq_s32(vf_as_vi(a), vf_as_vi(b))); }
LN_INLINE vf vf_or(vf a, vf b) { return vi_as_vf(vorrq_s32(vf_as_vi(a), vf_as_vi(b))); }
LN_INLINE vf vf_xor(vf a, vf b) { return vi_as_vf(veorq_s32(vf_as_vi(a), vf_as_vi(b))); }
LN_INLINE vf vf_andnot(vf a, vf b) { return vi_as_vf(vbicq_s32(vf_as_vi(b), vf_as_vi(a))); }

LN_INLINE vm vf_lt(vf a, vf b) { return vcltq_f32(a, b); }
LN_INLINE vm vf_le(vf a, vf b) { return vcleq_f32(a, b); }
LN_INLINE vm vf_gt(vf a, vf b) { return vcgtq_f32(a, b); }
LN_INLINE vm vf_ge(vf a, vf b) { return vcgeq_f32(a, b); }
LN_INLINE vm vf_eq(vf a, vf b) { return vceqq_f32(a, b); }
LN_INLINE vm vf_ne(vf a, vf b) { return vmvnq_u32(vceqq_f32(a, b)); }
LN_INLINE vm vf_unord(vf a, vf b)
{
    return vmvnq_u32(vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b)));
}
LN_INLINE vf vf_select(vm m, vf a, vf b) { return vbslq_f32(m, a, b); }
LN_INLINE vi vi_select(vm m, vi a, vi b) { return vbslq_s32(m, a, b); }
LN_INLINE vf vf_look16(const float *t, vi i)
{
    const uint8_t *p = (const uint8_t *)t;
    const uint8x16x4_t bytes = { { vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48) } };
    const vi at = vmlaq_n_s32(vdupq_n_s32(0x03020100), vandq_s32(i, vdupq_n_s32(15)), 0x04040404);

    return vreinterpretq_f32_u8(vqtbl4q_u8(bytes, vreinterpretq_u8_s32(at)));
}
LN_INLINE vm vi_eq(vi a, vi b) { return vceqq_s32(a, b); }
LN_INLINE vm vi_gt(vi a, vi b) { return vcgtq_s32(a, b); }
LN_INLINE vm vm_and(vm a, vm b) { return vandq_u32(a, b); }
LN_INLINE vm vm_or(vm a, vm b) { return vorrq_u32(a, b); }
LN_INLINE bool vm_any(vm m) { return vmaxvq_u32(m) != 0; }

LN_INLINE float vf_hsum(vf v)
{
    const float32x2_t s = vadd_f32(vget_low_f32(v), vget_high_f32(v));

    return vget_lane_f32(s, 0) + vget_lane_f32(s, 1);
}
LN_INLINE float vf_hmax(vf v) { return vmaxvq_f32(v); }
LN_INLINE float vf_hmin(vf v) { return vminvq_f32(v); }
LN_INLINE void vf_transpose(vf *r)
{
    const float32x4x2_t a = vtrnq_f32(r[0], r[1]), b = vtrnq_f32(r[2], r[3]);

    r[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    r[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    r[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    r[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

LN_INLINE vi vi_set(int32_t s) { return vdupq_n_s32(s); }
LN_INLINE vi vi_add(vi a, vi b) { return vaddq_s32(a, b); }
LN_INLINE vi vi_sub(vi a, vi b) { return vsubq_s32(a, b); }
LN_INLINE vi vi_mul(vi a, vi b) { return vmulq_s32(a, b); }
LN_INLINE vi vi_max(vi a, vi b) { return vmaxq_s32(a, b); }
LN_INLINE vi vi_min(vi a, vi b) { return vminq_s32(a, b); }
LN_INLINE vi vi_and(vi a, vi b) { return vandq_s32(a, b); }
LN_INLINE vi vi_or(vi a, vi b) { return vorrq_s32(a, b); }
LN_INLINE vi vi_xor(vi a, vi b) { return veorq_s32(a, b); }
LN_INLINE vi vi_andnot(vi a, vi b) { return vbicq_s32(b, a); }
LN_INLINE vi vi_shl(vi a, int n) { return vshlq_s32(a, vdupq_n_s32(n)); }
LN_INLINE vi vi_shr(vi a, int n) { return vshlq_s32(a, vdupq_n_s32(-n)); }
LN_INLINE vi vi_srl(vi a, int n)
{
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-n)));
}

LN_INLINE vi vf_to_vi(vf a) { return vcvtnq_s32_f32(a); }
LN_INLINE vf vi_to_vf(vi a) { return vcvtq_f32_s32(a); }

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
    const vi i = vcvtnq_s32_f32(n), half = vshrq_n_s32(i, 1), bias = vdupq_n_s32(127);
    const vi one = vshlq_n_s32(vaddq_s32(half, bias), 23);
    const vi two = vshlq_n_s32(vaddq_s32(vsubq_s32(i, half), bias), 23);

    return vmulq_f32(vmulq_f32(v, vreinterpretq_f32_s32(one)), vreinterpretq_f32_s32(two));
}

LN_INLINE vf vf_ld_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
LN_INLINE vf vf_ldn_f16(const uint16_t *p, size_t n)
{
    uint16_t t[4] = { 0, 0, 0, 0 };

    memcpy(t, p, n * sizeof *p);
    return vf_ld_f16(t);
}
LN_INLINE void vf_st_f16(uint16_t *p, vf v)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}
LN_INLINE void vf_stn_f16(uint16_t *p, vf v, size_t n)
{
    uint16_t t[4];

    vf_st_f16(t, v);
    memcpy(p, t, n * sizeof *p);
}
