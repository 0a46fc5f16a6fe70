/*
 * vec.h - the vocabulary portable kernels are written in.
 *
 * An isa_*.c file defines LN_ISA (the symbol suffix), includes this header,
 * then its vec_*.h, then kernels.inc. Every name below becomes name_<LN_ISA>,
 * so that all levels can live in one translation unit; outside the isa files
 * the names are harmless.
 *
 * vf is a vector of LN_VF_LANES floats, vi one of as many int32_t, vm one truth
 * value per lane. Loads and stores take any alignment. The partial ones, named
 * ..n, work on the first n lanes (n from 0 to LN_VF_LANES) and touch no byte
 * behind p[n - 1]. Kernels that keep vectors in arrays index them by constants.
 *
 * vf_add, vf_sub, vf_mul may be fused by a compiler that contracts expressions:
 * nothing may depend on the rounding of a product that feeds a sum, unless the
 * product is exact.
 */
#ifndef LN_VEC_H
#define LN_VEC_H

#define LN_SYM2(name, isa) name##_##isa
#define LN_SYM1(name, isa) LN_SYM2(name, isa)
#define LN_SYM(name)       LN_SYM1(name, LN_ISA)

#define vf LN_SYM(vf)
#define vi LN_SYM(vi)
#define vm LN_SYM(vm)
#define vh LN_SYM(vh)

/* Memory. */
#define vf_ld  LN_SYM(vf_ld)  /* (p) */
#define vf_st  LN_SYM(vf_st)  /* (p, v) */
#define vf_ldn LN_SYM(vf_ldn) /* (p, n, fill): p[0 .. n-1], fill, fill ... */
#define vf_stn LN_SYM(vf_stn) /* (p, v, n) */
#define vf_stream LN_SYM(vf_stream) /* (p, v): past the caches where the CPU can; p is a multiple of the vector's bytes */
#define vf_stream_end LN_SYM(vf_stream_end) /* (): after the last vf_stream, before anybody else may read */
#define vi_ld  LN_SYM(vi_ld)  /* (p): int32_t */
#define vi_st  LN_SYM(vi_st)
#define vi_ldn LN_SYM(vi_ldn)
#define vi_stn LN_SYM(vi_stn)
#define vi_ld_u8  LN_SYM(vi_ld_u8)  /* (p): as many bytes as lanes, zeros above them */
#define vi_ldn_u8 LN_SYM(vi_ldn_u8) /* (p, n): absent lanes are 0 */
#define vi_ld_i8  LN_SYM(vi_ld_i8)  /* copies of the sign above them */
#define vi_ldn_i8 LN_SYM(vi_ldn_i8)
#define vi_st_u8  LN_SYM(vi_st_u8)  /* (p, v): the low byte of each lane */
#define vi_stn_u8 LN_SYM(vi_stn_u8)
#define vf_ld_f16  LN_SYM(vf_ld_f16)  /* (p): halves, bits in uint16_t; signalling NaN made quiet */
#define vf_ldn_f16 LN_SYM(vf_ldn_f16) /* (p, n): absent lanes are 0 */
#define vf_st_f16  LN_SYM(vf_st_f16)  /* (p, v): to nearest even; NaN keeps its upper bits, quiet */
#define vf_stn_f16 LN_SYM(vf_stn_f16)

/* Arithmetic of vf; the correctly rounded result but for fma where there is no FMA. */
#define vf_set   LN_SYM(vf_set) /* (s): s in every lane */
#define vf_zero  LN_SYM(vf_zero)
#define vf_add   LN_SYM(vf_add)
#define vf_sub   LN_SYM(vf_sub)
#define vf_mul   LN_SYM(vf_mul)
#define vf_div   LN_SYM(vf_div)
#define vf_fma   LN_SYM(vf_fma)  /* (a, b, c): a * b + c */
#define vf_fnma  LN_SYM(vf_fnma) /* (a, b, c): c - a * b */
#define vf_max   LN_SYM(vf_max)  /* a > b ? a : b, so b where either is NaN */
#define vf_min   LN_SYM(vf_min)  /* a < b ? a : b */
#define vf_sqrt  LN_SYM(vf_sqrt)
#define vf_abs   LN_SYM(vf_abs)
#define vf_neg   LN_SYM(vf_neg)
#define vf_floor LN_SYM(vf_floor)
#define vf_ceil  LN_SYM(vf_ceil)
#define vf_round LN_SYM(vf_round) /* nearest, ties to even; keeps -0 */
#define vf_scale2 LN_SYM(vf_scale2) /* (v, n): v * 2^n for integral n in [-252, 252]; see below */

/* Bits of vf; andnot is ~a & b. */
#define vf_and    LN_SYM(vf_and)
#define vf_or     LN_SYM(vf_or)
#define vf_xor    LN_SYM(vf_xor)
#define vf_andnot LN_SYM(vf_andnot)

/* Comparisons; all but ne and unord are false where either is NaN. */
#define vf_lt     LN_SYM(vf_lt)
#define vf_le     LN_SYM(vf_le)
#define vf_gt     LN_SYM(vf_gt)
#define vf_ge     LN_SYM(vf_ge)
#define vf_eq     LN_SYM(vf_eq)
#define vf_ne     LN_SYM(vf_ne)
#define vf_unord  LN_SYM(vf_unord)
#define vf_select LN_SYM(vf_select) /* (m, a, b): m ? a : b */
#define vi_select LN_SYM(vi_select)
#define vf_look16 LN_SYM(vf_look16) /* (t, i): t[i mod 16] of sixteen floats */
#define vi_eq     LN_SYM(vi_eq)
#define vi_gt     LN_SYM(vi_gt)
#define vm_and    LN_SYM(vm_and)
#define vm_or     LN_SYM(vm_or)
#define vm_any    LN_SYM(vm_any) /* is any lane true? */

/* Across lanes: halves folded onto each other until one lane is left. */
#define vf_hsum LN_SYM(vf_hsum)
#define vf_hmax LN_SYM(vf_hmax) /* no NaN */
#define vf_hmin LN_SYM(vf_hmin)
#define vf_transpose LN_SYM(vf_transpose) /* (r): LN_VF_LANES vectors, as a square matrix */

/* Integers wrap; shifts take one count, below 32, for all lanes. */
#define vi_set LN_SYM(vi_set)
#define vi_add LN_SYM(vi_add)
#define vi_sub LN_SYM(vi_sub)
#define vi_mul LN_SYM(vi_mul) /* low 32 bits */
#define vi_max LN_SYM(vi_max)
#define vi_min LN_SYM(vi_min)
#define vi_and LN_SYM(vi_and)
#define vi_or  LN_SYM(vi_or)
#define vi_xor LN_SYM(vi_xor)
#define vi_andnot LN_SYM(vi_andnot)
#define vi_shl LN_SYM(vi_shl)
#define vi_shr LN_SYM(vi_shr) /* copies of the sign come in */
#define vi_srl LN_SYM(vi_srl) /* zeros come in */

/* Conversions. */
#define vf_to_vi LN_SYM(vf_to_vi) /* nearest even; some int32_t where it does not fit */
#define vi_to_vf LN_SYM(vi_to_vf)
#define vf_as_vi LN_SYM(vf_as_vi) /* same bits */
#define vi_as_vf LN_SYM(vi_as_vf)

/*
 * vh: half a vector, on levels with LN_VF_HALF = 1: where halves take half of a whole one's time. On the others
 * it is a whole vector, and nothing uses it.
 */
#define vh_ld   LN_SYM(vh_ld)
#define vh_set  LN_SYM(vh_set)
#define vh_fma  LN_SYM(vh_fma)
#define vh_low  LN_SYM(vh_low)  /* (v): its first half */
#define vh_high LN_SYM(vh_high)
#define vh_join LN_SYM(vh_join) /* (low, high): a vector of both */
#define vh_wide LN_SYM(vh_wide) /* (low): the upper half is anything */

/* Built from the above in math.inc and act.inc. */
#define vf_two_prod LN_SYM(vf_two_prod)
#define vf_residual LN_SYM(vf_residual)
#define vf_exp      LN_SYM(vf_exp)
#define vf_expm1    LN_SYM(vf_expm1)
#define vf_log      LN_SYM(vf_log)
#define vf_sigmoid  LN_SYM(vf_sigmoid)
#define vf_tanh     LN_SYM(vf_tanh)
#define vf_erf      LN_SYM(vf_erf)
#define vf_gelu     LN_SYM(vf_gelu)
#define vf_act_clip LN_SYM(vf_act_clip)

/*
 * Also per level: LN_VF_LANES, LN_VF_FMA (1: vf_fma rounds once), LN_VF_HALF, and
 * LN_GEMM_MR rows by LN_GEMM_NRV vectors, the register tile of gemm_f32.
 *
 * vf_scale2 rounds once into the denormal range where |v| is in [1/4, 4); NaN
 * and infinities stay. v = 0 stays 0.
 */

#endif
