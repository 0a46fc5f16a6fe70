/*
 * kernel.h - every computing kernel: its contract, and the table that selects it.
 *
 * Kernels see pointers, counts and strides; never a tensor. Each is written
 * once in the vocabulary of vec.h and compiled per instruction-set level. No
 * kernel reads or writes one byte outside what its contract names; none
 * allocates; none keeps state. Unless said otherwise: counts may be 0, any
 * alignment will do, and y may be the same pointer as x but not overlap it
 * otherwise. NaN goes through every kernel (max, min and clip included).
 *
 * Layout words: rows of `c` channels, channels innermost (N,H,W,C).
 */
#ifndef LN_KERNEL_H
#define LN_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Levels, as bits: a mask of levels that may be used. Each includes those below. */
enum {
    LN_ISA_SCALAR = 1u << 0,
    LN_ISA_SSE4   = 1u << 1,  /* x86: SSE4.1 */
    LN_ISA_AVX2   = 1u << 2,  /* x86: AVX2, FMA, F16C */
    LN_ISA_AVX512 = 1u << 3,  /* x86: AVX-512 F BW DQ VL (and VNNI for int8) */
    LN_ISA_NEON   = 1u << 8
};

/*
 * Elementwise functions of one f32, with at most two parameters a and b. They
 * are also the activations that matrix kernels apply before they store.
 */
#define LN_FN_LIST(X)                                                          \
    X(NONE)             /* x */                                                \
    X(CLIP)             /* min(max(x, a), b); Relu is a = 0, b = inf */        \
    X(LEAKY_RELU)       /* x < 0 ? a * x : x */                                \
    X(SIGMOID)          /* 1 / (1 + exp(-x)) */                                \
    X(TANH)             /* tanh(x) */                                          \
    X(HARD_SIGMOID)     /* min(max(a * x + b, 0), 1) */                        \
    X(HARD_SWISH)       /* x * min(max(x / 6 + 1/2, 0), 1) */                  \
    X(SWISH)            /* x * sigmoid(a * x) */                               \
    X(MISH)             /* x * tanh(log(1 + exp(x))) */                        \
    X(GELU)             /* x / 2 * (1 + erf(x / sqrt(2))) */                   \
    X(GELU_TANH)        /* x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) */\
    X(ELU)              /* x < 0 ? a * (exp(x) - 1) : x */                     \
    X(SELU)             /* b * (x < 0 ? a * (exp(x) - 1) : x); a alpha, b gamma */ \
    X(CELU)             /* max(0, x) + min(0, a * (exp(x / a) - 1)) */         \
    X(SOFTPLUS)         /* log(1 + exp(x)) */                                  \
    X(SOFTSIGN)         /* x / (1 + |x|) */                                    \
    X(THRESHOLDED_RELU) /* x > a ? x : 0 */                                    \
    X(ABS) X(NEG) X(SQRT) X(RSQRT) X(RECIPROCAL) X(SQUARE)                     \
    X(EXP) X(LOG) X(ERF) X(SIN) X(COS)                                         \
    X(FLOOR) X(CEIL)                                                           \
    X(ROUND)            /* to nearest, ties to even */                         \
    X(SIGN)             /* -1, 0, 1; NaN stays */                              \
    X(AFFINE)           /* a * x + b */

#define LN_FN_ENUM(name) LN_FN_##name,
enum { LN_FN_LIST(LN_FN_ENUM) LN_FN_COUNT };

typedef struct ln_act {
    int32_t fn; /* LN_FN_*; LN_FN_NONE applies nothing */
    float   a, b;
} ln_act;

typedef void (*ln_unary_f32)(size_t n, const float *x, float *y, float a, float b);

/* Functions of two f32. Strides sx, sy are 1, or 0 for one repeated element. */
enum { LN_BIN_ADD, LN_BIN_SUB, LN_BIN_MUL, LN_BIN_DIV, LN_BIN_MAX, LN_BIN_MIN,
       LN_BIN_PRELU, /* x < 0 ? x * y : x */
       LN_BIN_COUNT };
typedef void (*ln_binary_f32)(size_t n, const float *x, size_t sx,
                              const float *y, size_t sy, float *z); /* z may be x or y */

enum { LN_CMP_EQ, LN_CMP_NE, LN_CMP_LT, LN_CMP_LE, LN_CMP_COUNT };
enum { LN_LOGIC_AND, LN_LOGIC_OR, LN_LOGIC_XOR, LN_LOGIC_COUNT };

/* Reductions of f32. `rows`: y[i] = y[i] (+) x[i]; `all`: fold of x[0..n) in a fixed tree. */
enum { LN_RED_SUM, LN_RED_SUMSQ, LN_RED_SUMABS, LN_RED_MAX, LN_RED_MIN, LN_RED_PROD, LN_RED_COUNT };
typedef float (*ln_reduce_all_f32)(size_t n, const float *x); /* n = 0: the neutral element */
typedef void (*ln_reduce_rows_f32)(size_t n, const float *x, float *y);

/*
 * Indirect matrix product with fused epilogue: the engine of convolution,
 * dense layers and MatMul. For each row i in [0, m) and column j in [n0, n1):
 *
 *   c[i * ldc + j] = act(bias[j] + sum over taps t and p in [0, k) of
 *                        a[t * mr + i][p] * B[t * k + p][j]  (+ add[i * ldadd + j]))
 *
 * with mr = ln_kernels.gemm_mr, m <= mr, n0 a multiple of nr = gemm_nr, and n1 a
 * multiple of nr or n itself. a[] holds pointers to k floats each. B is packed
 * by pack_b_f32: [ceil(n / nr)][taps * k][nr], the last panel padded with zeros.
 * bias and add may be NULL; add may equal c. The order of the sum over (t, p)
 * is the same for any m, n0, n1: a result never depends on how the work was
 * split. Element i, j depends on m only through this: nothing.
 */
typedef struct ln_gemm_f32 {
    size_t       n, k, taps;
    const float *b;    /* packed */
    const float *bias; /* n floats, or NULL */
    ln_act       act;
} ln_gemm_f32;

/* What gemm_more_f32 knows beyond gemm_f32. */
typedef struct ln_gemm_more {
    const float *add[2]; /* matrices to add, in this order, or NULL; without the first there is no second. May be c */
    size_t       ld[2];
    ptrdiff_t    ahead;  /* the next call will read B so many floats from this one's: it is fetched meanwhile. 0: any */
} ln_gemm_more;

/*
 * A row of windows over channels-last rows, for depthwise convolution and
 * pooling. For output pixel x in [0, w_out) and tap (i, j) the input pixel is
 * column x * stride + j * dilation - pad of rows[i], each `ldx` floats apart;
 * rows[i] == NULL and columns outside [0, w_in) are padding (zero for
 * convolution and sums, ignored by max). Output pixels are `ldy` floats apart.
 */
typedef struct ln_window {
    size_t c, kh, kw, stride, dilation, pad, w_in, w_out, ldx, ldy;
} ln_window;

/*
 * A row of tiles of Winograd's F(4, 3) and F(3, 3): a 3 x 3 convolution of stride and dilation 1 by
 * 36 matrix products. All tiles are `tall` outputs high (4 to 1); the first `wide` are four outputs
 * wide, those behind them three. Point (i, j) of a tile has the number f = 6 i + j; a direction of
 * three outputs has no point 4, of two none of 3 and 4, of one none of 2 to 4. For each f:
 *   V[f] (tiles that have f x c) from wino_input, U[f] (c x n, packed) from wino_weight,
 *   M[f] = V[f] U[f] by gemm_f32 with k = c and taps = 1, then wino_output with c = n.
 * V[f] lies at v + f * ld, tile after tile, c floats each. Tile t begins at output column
 * 3 t + min(t, wide); its input begins `pad` columns before that.
 * The error stays below 1e-5 of the largest output (5e-6 measured with up to 512 channels).
 *
 * Of stride 2 (wino2_input, wino2_weight): tiles are `size` outputs long, 4 or 2, or one less. V has the points
 * 9 i + j, where 0 to 4 are of the even pixels of a direction and 5 to 8 of the odd ones; U those of the outer taps of
 * a direction and one of the middle tap: first outer by outer, then outer by middle, middle by outer, middle by middle.
 *   outputs   points of V              of M that they add to    of U that they take
 *   4         0 1 2 3 4, 5 6 7 8       0 1 2 3 5, 0 1 2 5       0 1 2 3 4, 5 5 5 5
 *   3         0 1 2   4, 5 6 7         0 1 2   5, 0 1 2         0 1 2   4, 5 5 5
 *   2         0 1     4, 5 6           0 1     5, 0 1           0 1     2, 3 3
 *   1         0       4, 5             0       5, 0             0       2, 3
 * M[6 i + j] is the sum of all that add to it. wino_output with taps = 2 follows. Tiles have the same place in every
 * V and M: v4 is v, m4 is m. Tile t begins at output column (size - 1) t + min(t, wide), its input twice as far.
 */
typedef struct ln_wino {
    size_t c, tall, wide, ld;
    size_t pad, width, ldx; /* columns of padding, and of the image; floats from pixel to pixel */
    size_t taps;            /* of wino_output: 3, or 2 for stride 2 */
    size_t size;            /* outputs of the first `wide` tiles: 4, or 2 for stride 2 */
    bool   pool;            /* of wino_output, tiles of four alone and no residual: see there */
} ln_wino;

/*
 * A step of a recurrent layer for one sequence. With x = bias + h R, each sum in the order of gemm_f32, units
 * [u0, u1) of the new hidden state h_new (and of the cell state c, in place) come from the gates x + xw, as
 * ONNX has them, standard activations. r holds panels of `cell_units` units: [panels][hidden][gates][cell_units],
 * the last one padded with anything. u0 is a multiple of cell_units, u1 too or `hidden`. h_new does not
 * overlap h. Of lstm_bf16 and gru_bf16 r has [cell_units / 2] words of 32 bits for each gate: the upper 16 bits
 * of unit i of a panel, the lower ones those of unit i + cell_units / 2. The first of a pair is read as the f32 that the
 * word is, lower bits and all; ln_cell_pair() makes a word. back: the panels are taken from the end, so that a step
 * finds first in the cache what the last step, which went the other way, had read last; the result is the same.
 */
typedef struct ln_cell_f32 {
    size_t       hidden;
    const void  *r;
    const float *bias; /* gates * hidden, or NULL */
    const float *peep; /* of an LSTM: 3 * hidden, for i, o, f, which see the cell state (o the new one); or NULL */
} ln_cell_f32;
/* The word whose upper half with the lower one behind it is nearest to a, and whose lower half is b as bf16. */
uint32_t ln_cell_pair(float a, float b);
typedef void (*ln_cell_fn)(const ln_cell_f32 *s, const float *xw, const float *h, float *c, float *h_new,
                           size_t u0, size_t u1, bool back);

typedef struct ln_kernels {
    uint32_t isa;     /* the highest level in this table */
    uint32_t gemm_mr; /* most rows of a gemm call */
    uint32_t gemm_nr; /* columns of a packed panel */
    uint32_t lanes;   /* f32 lanes of a vector */
    uint32_t cell_units; /* units of a panel of lstm_f32 and gru_f32 */
    uint32_t wino_channels; /* most input channels with which Winograd errs by 1e-5 of the largest output at most */

    ln_unary_f32       unary_f32[LN_FN_COUNT];
    ln_binary_f32      binary_f32[LN_BIN_COUNT];
    ln_reduce_all_f32  reduce_all_f32[LN_RED_COUNT];
    ln_reduce_rows_f32 reduce_rows_f32[LN_RED_COUNT];

    void (*gemm_f32)(const ln_gemm_f32 *g, size_t m, const float *const *a,
                     float *c, size_t ldc, const float *add, size_t ldadd,
                     size_t n0, size_t n1);
    void (*gemm_more_f32)(const ln_gemm_f32 *g, size_t m, const float *const *a, float *c, size_t ldc,
                          const ln_gemm_more *more, size_t n0, size_t n1);

    /* The same for any number of rows that lie `lda` floats apart, with taps = 1: row i of A is at a + i * lda. */
    void (*gemm_flat_f32)(const ln_gemm_f32 *g, size_t m, const float *a, size_t lda, float *c, size_t ldc,
                          const float *add, size_t ldadd, size_t n0, size_t n1);

    /* One row times B (m = 1, taps = 1) at memory speed; same sum order for any n0, n1. */
    void (*gemv_f32)(const ln_gemm_f32 *g, const float *x, float *y, const float *add,
                     size_t n0, size_t n1);

    ln_cell_fn lstm_f32, lstm_bf16; /* gates i, o, f, c */
    ln_cell_fn gru_f32, gru_bf16;   /* gates z, r, h; linear before reset; c is not used */

    /*
     * Pack columns [n0, n1) of B (k x n, element p, j at b[p * rs + j * cs]),
     * times `scale`, into y: [..][k_total][nr] where this call fills rows
     * [k0, k0 + k) of each panel. n0 is a multiple of nr; a last, partial panel
     * is filled with zeros. y does not overlap b.
     */
    void (*pack_b_f32)(size_t k, size_t n, const float *b, ptrdiff_t rs, ptrdiff_t cs,
                       float scale, size_t k0, size_t k_total, size_t n0, size_t n1, float *y);

    /*
     * A row of convolution over few channels: pixels x in [0, m), every column n.
     *   c[x * ldc + n] = act(bias[n] + sum over t in [0, taps) and p in [0, k) of
     *                        rows[t][x * stride + p] * B[t * k + p][n])
     * with B packed as for gemm_f32, summed in the order of (t, p). far: the caches had better not keep c.
     */
    void (*conv_few_f32)(const ln_gemm_f32 *g, size_t stride, size_t m, const float *const *rows,
                         float *c, size_t ldc, bool far);

    /* z = x + sign * y for `rows` rows of n, ldx, ldy and ldz floats apart; sign is 1 or -1. z may be x or y. */
    void (*blend_rows_f32)(size_t rows, size_t n, const float *x, size_t ldx, const float *y, size_t ldy,
                           float sign, float *z, size_t ldz);
    /* z = act(x + y + bias + add) for such rows; bias (of n) and add may be NULL, add may be z. */
    void (*finish_rows_f32)(size_t rows, size_t n, const float *x, size_t ldx, const float *y, size_t ldy,
                            const float *bias, const float *add, size_t ldadd, ln_act act, float *z, size_t ldz);

    /*
     * h rows of output, `pitch` floats apart: y[x][c] = act(bias[c] + sum over taps of rows * w),
     * w: [kh][kw][c]; bias may be NULL. Output row r has the input rows[r * down ...]. No overlap.
     */
    void (*conv_dw_f32)(const ln_window *d, size_t h, size_t down, const float *const *rows, const float *w,
                        const float *bias, ln_act act, float *y, size_t pitch);
    /* y[x][c] = largest element of the window; a window all padding gives -inf. */
    void (*pool_max_f32)(const ln_window *d, const float *const *rows, float *y);
    /* y[x][c] = scale[x] * sum of the window. */
    void (*pool_sum_f32)(const ln_window *d, const float *const *rows, const float *scale, float *y);

    /* A panel of U[f] (see ln_wino), or c rows of it, at u + f * ldu, packed as by pack_b_f32. w: [c][3][3][nr].
       Only those whose i and j have bits in `rows` and `columns`, one after another. */
    void (*wino_weight_f32)(size_t c, uint32_t rows, uint32_t columns, const float *w, float *u, size_t ldu);
    /* V of tiles [t0, t1) from d->tall + 2 rows of pixels (NULL: padding). v: V[0] of tile t0; v4:
       V[0] of the place of t0 among the tiles that have the points j = 4. */
    void (*wino_input_f32)(const ln_wino *d, const float *const *rows, size_t t0, size_t t1,
                           float *v, float *v4);
    /* d->tall rows of output (NULL: not wanted) as far as columns are below d->width:
       act(bias + Y + add). m, m4 as v, v4. bias may be NULL; add: rows like y, which may be
       those of y; or NULL. pool: the outputs go two by two, two rows of act(the largest of bias + Y) a tile. */
    void (*wino_output_f32)(const ln_wino *d, const float *m, const float *m4, size_t t0, size_t t1,
                            const float *bias, ln_act act, const float *const *add, float *const *y);
    /* The same for stride 2; size: of the larger tiles. 2 * d->tall + 1 rows of pixels. */
    void (*wino2_weight_f32)(size_t c, size_t size, const float *w, float *u, size_t ldu);
    void (*wino2_input_f32)(const ln_wino *d, const float *const *rows, size_t t0, size_t t1, float *v);

    /* y = sum over t of w[t] * x[t][0..n): blends of rows, for resize and grid sampling. taps >= 1. */
    void (*mix_f32)(size_t taps, const float *const *x, const float *w, size_t n, float *y);
    /* Pixels of n floats: y[p] = sum over t of w[p * taps + t] * x[index[p * taps + t]], as mix_f32 sums. taps >= 1. */
    void (*mix_pixels_f32)(size_t pixels, size_t taps, const size_t *index, const float *w, const float *x, size_t n,
                           float *y);
    /* y[i] += a * x[i] */
    void (*axpy_f32)(size_t n, float a, const float *x, float *y);
    float (*dot_f32)(size_t n, const float *x, const float *y);

    void (*softmax_f32)(size_t n, const float *x, float *y);     /* n >= 1; of one row */
    void (*log_softmax_f32)(size_t n, const float *x, float *y); /* n >= 1 */
    /* Softmax of `rows` rows of n >= 1, ldx apart, in place; zeros: a row of nothing but -inf gives 0, not NaN. */
    void (*softmax_rows_f32)(size_t rows, size_t n, float *x, size_t ldx, bool zeros);
    /* y = (x - mean) / sqrt(var + eps) * scale + bias of each of `rows` rows of n; scale, bias: n floats or NULL;
       mean[row] and inv_std[row] (1 / sqrt(var + eps)) are stored where not NULL. n >= 1 */
    void (*layer_norm_f32)(size_t rows, size_t n, const float *x, const float *scale, const float *bias,
                           float eps, float *y, float *mean, float *inv_std);
    /* y = x / sqrt(mean(x^2) + eps) * scale; scale: n floats or NULL. n >= 1 */
    void (*rms_norm_f32)(size_t n, const float *x, const float *scale, float eps, float *y);
    /* One query and keys of n floats, `ldk` apart: x[j] = scale * (q . k_j). */
    void (*attend_scores_f32)(size_t n, size_t keys, const float *q, const float *k, size_t ldk, float scale,
                              float *x);
    /* y = sum of w[j] v_j (+ add) over values of n floats, `ldv` apart; add may be NULL or y. */
    void (*attend_values_f32)(size_t n, size_t keys, const float *w, const float *v, size_t ldv, const float *add,
                              float *y);
    /* Masked scores: x[j] = -inf where m[j] is 0, or -inf; elsewhere x[j] stays, or m[j] is added. */
    void (*mask_8)(size_t n, const uint8_t *m, float *x);
    void (*mask_f32)(size_t n, const float *m, float *x);
    /* y[i][j] = x[i][j] * scale[j] + shift[j] for `rows` rows of c; then act. */
    void (*scale_shift_f32)(size_t rows, size_t c, const float *x, const float *scale,
                            const float *shift, ln_act act, float *y);

    /* y[j * ldy + i] = x[i * ldx + j] for i < rows, j < cols; 4-byte elements; no overlap. */
    void (*transpose_32)(size_t rows, size_t cols, const void *x, size_t ldx, void *y, size_t ldy);

    /* y = min(max(round(x / scale) + zero, lo), hi), ties to even, NaN gives lo; whole zero, lo, hi of i8 or u8. */
    void (*quantize_8)(size_t n, const float *x, float scale, float zero, float lo, float hi, uint8_t *y);
    /* y = (x - zero) * scale */
    void (*dequantize_u8)(size_t n, const uint8_t *x, float scale, int32_t zero, float *y);
    void (*dequantize_i8)(size_t n, const int8_t *x, float scale, int32_t zero, float *y);
    /* The fraction cut off, saturating (at lo and hi, those of i8 or u8), NaN gives 0. */
    void (*f32_to_8)(size_t n, const float *x, float lo, float hi, uint8_t *y);
    void (*f32_to_i32)(size_t n, const float *x, int32_t *y);
    void (*i32_to_f32)(size_t n, const int32_t *x, float *y); /* nearest even */
    /* z[i] = x[i] ? y[i] as 0 or 1; strides as in binary_f32. Of bytes, any but 0 is true; z may be x or y. */
    void (*compare_f32[LN_CMP_COUNT])(size_t n, const float *x, size_t sx, const float *y, size_t sy, uint8_t *z);
    void (*logic_8[LN_LOGIC_COUNT])(size_t n, const uint8_t *x, size_t sx, const uint8_t *y, size_t sy, uint8_t *z);
    /* z[i] = c[i] ? x[i] : y[i], any 4-byte elements; z may be x or y. */
    void (*select_32)(size_t n, const uint8_t *c, const float *x, size_t sx, const float *y, size_t sy, float *z);

    void (*f16_to_f32)(size_t n, const uint16_t *x, float *y);
    void (*f32_to_f16)(size_t n, const float *x, uint16_t *y); /* nearest even */
} ln_kernels;

/* The levels that this CPU and this build have, as LN_ISA_* bits. */
uint32_t ln_cpu_levels(void);

/* Fill *k with the best kernels of the levels in `mask` that are present (scalar always). */
void ln_kernels_init(ln_kernels *k, uint32_t mask);

/* One per isa_*.c: overwrite the entries that this level improves. */
void ln_kernels_scalar(ln_kernels *k);
void ln_kernels_sse4(ln_kernels *k);
void ln_kernels_avx2(ln_kernels *k);
void ln_kernels_avx512(ln_kernels *k);
void ln_kernels_neon(ln_kernels *k);

/* Floats that pack_b_f32 needs for a k x n matrix in all: ceil(n / nr) * nr * k; 0: overflow. */
size_t ln_packed_b_floats(const ln_kernels *k, size_t rows, size_t cols);

#endif
