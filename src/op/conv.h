/*
 * conv.h - convolution: what its algorithms share.
 *
 * conv.c brings input, output and residual to f32, channels last (window.h), asks the algorithms
 * of its table in turn, and packs weights: once per model where they are constant, in a
 * phase of the run where they are not. An algorithm sees dense floats and computes one task; or, in a
 * chain of convolutions (conv_chain.c), some rows of output from rows that another one has just made.
 */
#ifndef LN_CONV_H
#define LN_CONV_H

#include "dense.h"
#include "window.h"

/* Parameters of Conv and FusedConv. */
typedef struct ln_conv_param {
    ln_win_param win, pool; /* pool.kernel_shape empty: none follows */
    int64_t      group, act, into_width, into_at;
    float        act_a, act_b;
    const char  *activation; /* FusedConv alone */
    ln_floats    activation_params;
} ln_conv_param;

/* Where an algorithm finds its operands. */
typedef struct ln_conv_data {
    const float *x, *weight, *bias, *add; /* weight: packed; bias, add: may be NULL */
    float       *y;
} ln_conv_data;

typedef struct ln_conv {
    ln_win win;              /* of the convolution as given */
    size_t m, group, cg, mg; /* output channels; groups; channels of a group, in and out */
    size_t pixels;           /* rows of output: images * out pixels */
    size_t ldy, y_at;        /* floats from one output pixel to the next (without a residual perhaps more
                                than m), and where the first begins */
    int32_t dtype;
    ln_act act;
    bool   has_bias, has_add, exact;
    bool   x_last;           /* the input's channels lie last in memory */
    bool   chained;          /* runs by rows, in a chain */
    const struct ln_conv_way *way;

    /* What the way decides. */
    size_t tasks;
    size_t packed;     /* floats of packed weights */
    size_t pack_tasks;
    uint64_t key;      /* what the packing depends on besides weights and level */
    size_t pad_tasks;  /* tasks of the phase that copies the input (padded, or transformed); 0: none */
    size_t pad_floats;

    /* gemm */
    ln_win src;          /* the same convolution on the padded copy */
    size_t parts, pn, pk; /* groups after merging; columns, and channels per pixel of one */
    size_t taps[LN_WIN_AXES], run; /* kernel as pointers see it; floats of a contiguous run */
    size_t tiles, group_n, step_tiles, m_tasks, n_tasks, part_packed;
    size_t tap_count;
    bool   flat;              /* each output pixel is one input pixel */
    const float  *zero;       /* what padding points at */
    const size_t *offset;     /* of each tap from the first, inside the input */
    /* rows of output per task of a depthwise convolution */
    size_t rows;
    /* winograd: see conv_winograd.c */
    size_t down, across;  /* tiles of an image */
    size_t tall, wide;    /* those of `large` outputs (of stride 1, across: of four), the others are one shorter */
    size_t large;
    size_t pass_n;        /* columns of a product */
    size_t spread;        /* tiles of a task of the phase before; 0: there is none */
    ln_seven seven;
    /* a pooling behind: its windows on the output (c 0: there is none); by the way itself, or apart */
    ln_win pool;
    bool   pools;
    ln_act pool_act;             /* applied to what was pooled */
    size_t pool_rows;            /* pooled ones of a task */
    size_t pool_at;              /* of the full output in the workspace */
    size_t pool_ldy, pool_y_at;  /* then: ldy and y_at of the pooled one */
    /* of a transposed convolution: see conv_transpose.c */
    const struct transposed_axis  *axis;
    const struct transposed_phase *phase;
    size_t phases;

    /* The frame: where things lie. */
    ln_last x, y, add;
    const float *weight; /* packed constant */
    size_t pad_at, weight_at, bias_at;
    int32_t kind[LN_MAX_PHASES];
} ln_conv;

/* Output rows [y, y + h) of an image, made in a chain. */
typedef struct ln_conv_strip {
    size_t              image, y, h;
    const float *const *rows;    /* of input, from the first of output row y on; NULL: padding */
    void               *scratch; /* as much as prepare() asked for */
} ln_conv_strip;

typedef struct ln_conv_way {
    const char *name;
    bool planes; /* takes f32 input whose channels come first as it is */
    bool (*applicable)(const ln_conv *c, const ln_kernels *kernel);
    /* Fills "What the way decides", asks for scratch. */
    linnet_status (*prepare)(ln_prepare *q, ln_conv *c);
    /* Part `task` of the packed weights, from elements of type c->dtype. */
    void (*pack)(const ln_conv *c, const ln_kernels *kernel, const void *w, float *out, size_t task);
    /* Part `task` of what the run sees instead of the input; may be NULL. */
    void (*pad)(const ln_run *r, const ln_conv *c, const float *x, float *out, size_t task);
    void (*run)(const ln_run *r, const ln_conv *c, const ln_conv_data *d, size_t task);
    /* Whether this convolution can run by rows, and how: d->y (and d->add) begin at the first of them. Both may be
       NULL. A way that takes planes reads d->x instead of rows, so it comes first in a chain. */
    bool (*by_rows)(const ln_conv *c, const ln_kernels *kernel);
    void (*rows)(const ln_run *r, const ln_conv *c, const ln_conv_data *d, const ln_conv_strip *s);
} ln_conv_way;

extern const ln_conv_way ln_conv_depthwise, ln_conv_few, ln_conv_winograd, ln_conv_winograd_strided, ln_conv_seven,
                         ln_conv_gemm;

/* Parts of conv_winograd.c. */
#define LN_WINO_LINE 16u /* floats of a cache line */
/* How a layer is cut. */
typedef struct ln_wino_cut {
    size_t block;   /* tiles of a block: what is in work stays in the second cache */
    size_t enough;  /* with so many blocks columns are not divided */
    size_t u, v, m; /* matrices of the weights, the input and the output */
} ln_wino_cut;
/* From c->tiles: tasks, passes, the phase before, packed weights and scratch. */
linnet_status ln_wino_divide(ln_prepare *q, ln_conv *c, const ln_wino_cut *cut);
/* Can it be 3 x 3 windows of that stride, by transforms whose error is bounded? */
bool ln_wino_fits(const ln_conv *c, const ln_kernels *kernel, size_t stride);
/*
 * *ld: floats from one point's matrix [rows][columns] to the next. Whole cache lines, an odd number, so that equal
 * places of the points do not share one set of a cache. False: too many.
 */
bool ln_wino_stride(size_t rows, size_t columns, size_t *ld);
/* Floats of one point's weights in the pass that begins at column n0; the points of a pass follow each other. */
size_t ln_wino_part(const ln_conv *c, size_t nr, size_t n0);

/* Parts of conv_gemm.c: parts, pn and pk from the groups; tables from src, taps, tap_count and run. */
void ln_conv_merge_groups(ln_conv *c, size_t nr);
linnet_status ln_conv_tables(ln_prepare *q, ln_conv *c);

/* Pointers to the input vectors of output pixel o: a[tap * mr]. */
void ln_conv_pointers(const ln_conv *c, const float *x, const ln_pixel *o, size_t mr, const float **a);

/*
 * Rows [p0, p0 + depth) of the packed panel of the n <= nr columns at w, k contiguous floats each, at
 * any address: [depth][nr], depth * nr <= LN_CONV_TURN.
 */
#define LN_CONV_TURN (72u * 32u)
void ln_conv_turn(const ln_kernels *kernel, const void *w, size_t k, size_t n, size_t p0, size_t depth, float *out);

/* Element i of weights of type c->dtype; f32 may lie at any address. */
float ln_conv_weight(const ln_conv *c, const void *w, size_t i);

/* Rows of output below which two strips of a chain compute too much twice. */
size_t ln_conv_least_rows(const ln_win *w);

/* Each output pixel is one input pixel. */
bool ln_conv_flat(const ln_win *w);

/*
 * All that is known of a Conv before its way is: false where it cannot be, and why. in: x, weights, bias, residual.
 * Then the way.
 */
linnet_status ln_conv_open(ln_conv *c, const ln_conv_param *p, int32_t in_count, const ln_desc *in, bool exact,
                           linnet_error *err);
void          ln_conv_choose(ln_conv *c, const ln_kernels *kernel);

/* The packed form of c's weights, constant input `input`. */
linnet_status ln_conv_derive(ln_prepare *q, int32_t input, ln_conv *c);

/* group, cg, m and mg from the weights' shape; c->win is known. */
linnet_status ln_conv_channels(ln_conv *c, const char *op, int64_t group, const ln_desc *w, linnet_error *err);

/*
 * prepare around c->way, and run. The weights are input 1, bias and residual inputs LN_BIAS and
 * LN_RESIDUAL; ln_conv_run() is false where the frame was not prepared.
 */
linnet_status ln_conv_frame(ln_prepare *q, ln_conv *c, bool last);
bool          ln_conv_run(const ln_run *r, const ln_conv *c);

/* ---- a pooling behind (conv_pool.c): channels last, f32, no residual ------------------------------ */

/* c->pool, from the attributes of the MaxPool. */
linnet_status ln_conv_pool_init(ln_conv *c, const ln_win_param *p, linnet_error *err);
/* Leave out output pixels that no window sees, and the activation until pixels are fewer, where that comes to the same. */
void ln_conv_pool_cut(ln_conv *c);
/* The way has left it undone: memory for it; false: too much. Then task `task` of the phase. */
LN_MUST_USE bool ln_conv_pool_apart(ln_prepare *q, ln_conv *c, size_t *floats);
void ln_conv_pool(const ln_run *r, const ln_conv *c, const float *x, float *y, size_t task);
/* A row of pooled pixels from kernel[1] rows of output (NULL: padding). */
void ln_conv_pool_row(const ln_conv *c, const ln_kernels *kernel, const float *const *rows, float *y, size_t ldy);

/* Sums in double, for f64 and for convolutions over no channels; any layout. */
void ln_conv_plain(const ln_run *r, const ln_conv *c, bool last, size_t task);
#define LN_CONV_PLAIN_STEP 256u /* output elements of a task */

#endif
