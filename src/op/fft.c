/*
 * fft.c - stages of a transform that sorts itself: each writes to the other buffer.
 *
 * A stage of radix p turns a transform of length m * p, of which `s` lie interleaved, into p
 * times as many of length m: y[k][j] = w^(jk) * sum over i of x[k + m i] * u^(ij), with w and u the roots of
 * m * p and of p.
 */
#include "fft.h"

#include <math.h>

linnet_status ln_fft_plan(ln_prepare *q, size_t n, bool real, ln_fft *f)
{
    size_t left = real && n % 2 == 0 ? n / 2 : n;

    *f = (ln_fft){ .n = n, .real = real };
    for (; left % 4 == 0; left /= 4)
        f->radix[f->stages++] = 4;
    for (uint32_t p = 2; left > 1; p++) {
        if ((uint64_t)p * p > left)
            p = (uint32_t)left;
        for (; left % p == 0; left /= p)
            f->radix[f->stages++] = p;
    }
    double *root = ln_plan_alloc(q, n, 2 * sizeof *root);
    if (!root)
        return LINNET_ERR_MEMORY;
    for (size_t k = 0; k < n; k++) {
        const double angle = 6.283185307179586 * (double)k / (double)n;
        root[2 * k] = cos(angle);
        root[2 * k + 1] = -sin(angle);
    }
    f->root = root;
    return LINNET_OK;
}

/* y = (re, im) * w, pairs */
static inline void fft_put(double *y, double re, double im, const double *w)
{
    y[0] = re * w[0] - im * w[1];
    y[1] = re * w[1] + im * w[0];
}

/* `step`: roots of the whole are that many times finer than those of m * p. */
static void fft_stage_any(const ln_fft *f, size_t p, size_t m, size_t s, size_t step, const double *x, double *y)
{
    for (size_t k = 0; k < m; k++)
        for (size_t j = 0; j < p; j++)
            for (size_t q = 0; q < s; q++) {
                double re = 0, im = 0;
                for (size_t i = 0, at = 0; i < p; i++) {
                    const double *v = x + 2 * (q + s * (k + m * i)), *u = f->root + 2 * at * m * step;
                    re += v[0] * u[0] - v[1] * u[1];
                    im += v[0] * u[1] + v[1] * u[0];
                    at += j;
                    at -= at >= p ? p : 0;
                }
                fft_put(y + 2 * (q + s * (p * k + j)), re, im, f->root + 2 * (j * k * step));
            }
}

static void fft_stage_2(const ln_fft *f, size_t m, size_t s, size_t step, const double *x, double *y)
{
    for (size_t k = 0; k < m; k++) {
        const double *a = x + 2 * s * k, *b = a + 2 * s * m, *w = f->root + 2 * k * step;
        double *even = y + 4 * s * k, *odd = even + 2 * s;
        for (size_t q = 0; q < 2 * s; q += 2) {
            even[q] = a[q] + b[q];
            even[q + 1] = a[q + 1] + b[q + 1];
            fft_put(odd + q, a[q] - b[q], a[q + 1] - b[q + 1], w);
        }
    }
}

static void fft_stage_4(const ln_fft *f, size_t m, size_t s, size_t step, const double *x, double *y)
{
    for (size_t k = 0; k < m; k++) {
        const double *a = x + 2 * s * k, *b = a + 2 * s * m, *c = b + 2 * s * m, *d = c + 2 * s * m;
        const double *w1 = f->root + 2 * k * step, *w2 = f->root + 4 * k * step, *w3 = f->root + 6 * k * step;
        double *to = y + 8 * s * k;
        for (size_t q = 0; q < 2 * s; q += 2) {
            const double sum_re = a[q] + c[q], sum_im = a[q + 1] + c[q + 1];
            const double dif_re = a[q] - c[q], dif_im = a[q + 1] - c[q + 1];
            const double odd_re = b[q] + d[q], odd_im = b[q + 1] + d[q + 1];
            const double rot_re = b[q + 1] - d[q + 1], rot_im = d[q] - b[q]; /* -i (b - d) */
            to[q] = sum_re + odd_re;
            to[q + 1] = sum_im + odd_im;
            fft_put(to + 2 * s + q, dif_re + rot_re, dif_im + rot_im, w1);
            fft_put(to + 4 * s + q, sum_re - odd_re, sum_im - odd_im, w2);
            fft_put(to + 6 * s + q, dif_re - rot_re, dif_im - rot_im, w3);
        }
    }
}

/* n roots, of which each `fine`-th is used, n / fine pairs. */
static double *fft_complex(const ln_fft *f, size_t fine, double *x, double *y)
{
    size_t length = f->n / fine, s = 1;

    for (int32_t i = 0; i < f->stages; i++) {
        const size_t p = f->radix[i], m = length / p, step = s * fine;
        if (p == 4)
            fft_stage_4(f, m, s, step, x, y);
        else if (p == 2)
            fft_stage_2(f, m, s, step, x, y);
        else
            fft_stage_any(f, p, m, s, step, x, y);
        double *t = x;
        x = y;
        y = t;
        length = m;
        s *= p;
    }
    return x;
}

/*
 * z: the transform of even numbers + i * odd ones. Bin k is E + root^k * O, where E and O, their
 * own transforms, are what of z mirrors itself and what does not.
 */
static void fft_untangle(const ln_fft *f, const double *z, double *y)
{
    const size_t half = f->n / 2;

    for (size_t k = 0; k <= half; k++) {
        const double *a = z + 2 * (k % half), *b = z + 2 * ((half - k) % half);
        const double even_re = 0.5 * (a[0] + b[0]), even_im = 0.5 * (a[1] - b[1]);
        const double odd_re = 0.5 * (a[1] + b[1]), odd_im = 0.5 * (b[0] - a[0]);
        fft_put(y + 2 * k, odd_re, odd_im, f->root + 2 * k);
        y[2 * k] += even_re;
        y[2 * k + 1] += even_im;
    }
}

const double *ln_fft_run(const ln_fft *f, double *x, double *y)
{
    if (f->real && f->n % 2 == 0) {
        double *z = fft_complex(f, 2, x, y), *to = z == x ? y : x;
        fft_untangle(f, z, to);
        return to;
    }
    for (size_t t = f->n; f->real && t-- > 0;) {
        x[2 * t] = x[t];
        x[2 * t + 1] = 0;
    }
    return fft_complex(f, 1, x, y);
}
