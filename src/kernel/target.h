/*
 * target.h - one instruction set for a stretch of code, without compiler flags.
 *
 * LN_TARGET_BEGIN(t) ... LN_TARGET_END surround functions that may use the
 * instruction sets named in t, so that one translation unit can hold several
 * levels. System headers stay outside: their inline functions carry targets of
 * their own. LN_INLINE makes a file-local function that is always inlined, as
 * a copy kept by the linker might otherwise use instructions the CPU lacks.
 */
#ifndef LN_TARGET_H
#define LN_TARGET_H

#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64)
#  define LN_X86 1
#  include <immintrin.h>
#elif defined(__aarch64__) && !defined(__AARCH64EB__)
#  define LN_ARM64 1
#  include <arm_neon.h>
#endif

#define LN_PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#  define LN_TARGET_BEGIN(t) \
    LN_PRAGMA(clang attribute push(__attribute__((target(t))), apply_to = function))
#  define LN_TARGET_END LN_PRAGMA(clang attribute pop)
#  define LN_INLINE     static inline __attribute__((always_inline))
#elif defined(__GNUC__)
#  define LN_TARGET_BEGIN(t) LN_PRAGMA(GCC push_options) LN_PRAGMA(GCC target(t))
#  define LN_TARGET_END      LN_PRAGMA(GCC pop_options)
#  define LN_INLINE          static inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#  define LN_TARGET_BEGIN(t)
#  define LN_TARGET_END
#  define LN_INLINE static __forceinline
#else
#  define LN_TARGET_BEGIN(t)
#  define LN_TARGET_END
#  define LN_INLINE static inline
#endif

/* A function of a file that is not put into its callers. */
#if defined(__GNUC__) || defined(__clang__)
#  define LN_ALONE static __attribute__((noinline))
#elif defined(_MSC_VER)
#  define LN_ALONE static __declspec(noinline)
#else
#  define LN_ALONE static
#endif

/* A hint that the line at p is wanted soon; p may lie outside any buffer. */
#if defined(__GNUC__) || defined(__clang__)
#  define LN_PREFETCH(p)     __builtin_prefetch(p)
#  define LN_PREFETCH_OUT(p) __builtin_prefetch(p, 1) /* to be written */
#  define LN_PREFETCH_FAR(p) __builtin_prefetch(p, 0, 2) /* later: for the second cache, not the first */
#else
#  define LN_PREFETCH(p)     ((void)(p))
#  define LN_PREFETCH_OUT(p) ((void)(p))
#  define LN_PREFETCH_FAR(p) ((void)(p))
#endif

#endif
