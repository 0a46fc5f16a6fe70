/*
 * fft.h - the discrete Fourier transform of one line, in double.
 *
 * Any length: a stage for each prime factor (pairs of twos at once), each of p steps per element. Real
 * lines of even length are transformed as complex ones of half the length.
 */
#ifndef LN_FFT_H
#define LN_FFT_H

#include "op.h"

typedef struct ln_fft {
    size_t        n;
    bool          real;
    const double *root;      /* exp(-2 pi i k / n) for k < n: re, im */
    int32_t       stages;
    uint32_t      radix[32]; /* a length below 2^32 has no more factors */
} ln_fft;

/* n from 1 to 2^31 - 1. Roots live in the plan's memory. */
linnet_status ln_fft_plan(ln_prepare *q, size_t n, bool real, ln_fft *f);

/*
 * x: n numbers where `real`, else n pairs; x and y have room for n + 1 pairs each. Returns the bins in
 * one of the two: n / 2 + 1 where `real` (the others mirror them), else n.
 */
const double *ln_fft_run(const ln_fft *f, double *x, double *y);

#endif
