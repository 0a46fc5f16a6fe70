/*
 * conv_chain.c - convolutions that run strip by strip, against sums by definition; and when they do not.
 */
#include "test.h"

#include <math.h>

enum { CHAIN_MOST = 4 };

/* One convolution. pad: top, left, bottom, right. */
typedef struct chain_conv {
    int64_t     m;         /* 0: depthwise */
    int64_t     kernel, stride, pad[4], dilation, groups;
    const char *act;       /* NULL: none */
    bool        bias, add; /* add: the model's input, before the activation */
    bool        crossed;   /* it takes the model's input, and adds what it would take */
} chain_conv;

typedef struct chain_case {
    int64_t    dims[4]; /* of x */
    chain_conv conv[CHAIN_MOST];
    int        count, chains, left; /* chains that come of it, and convolutions by themselves */
    bool       shown;         /* what comes out of convolution 0 is an output too */
    bool       twice;         /* or has a second reader */
    bool       late;          /* x gets its shape while running */
    bool       given;         /* the weights of convolution 1 are an input */
    bool       joined;        /* the result is concatenated with that of another convolution of x */
    int        threads;       /* chains come with so many at most; 0: whatever */
} chain_case;

/* A tensor as it should be. */
typedef struct chain_image { int64_t n, c, h, w; double *v; } chain_image;

static double chain_act(const char *act, double x)
{
    if (!act)
        return x;
    if (strcmp(act, "Relu") == 0)
        return fmax(x, 0);
    return x * fmin(fmax(x / 6 + 0.5, 0), 1); /* HardSwish */
}

static int64_t chain_out(int64_t in, const chain_conv *k, int64_t pads)
{
    return (in + pads - ((k->kernel - 1) * k->dilation + 1)) / k->stride + 1;
}

static double chain_sum(const chain_conv *k, const chain_image *x, const float *w, int64_t n, int64_t m, int64_t oy,
                        int64_t ox)
{
    const int64_t cg = k->m ? x->c / k->groups : 1, first = k->m ? m / (k->m / k->groups) * cg : m;
    const int64_t taps = k->kernel * k->kernel;
    double sum = 0;

    for (int64_t t = 0; t < taps; t++) {
        const int64_t y = oy * k->stride + t / k->kernel * k->dilation - k->pad[0];
        const int64_t xx = ox * k->stride + t % k->kernel * k->dilation - k->pad[1];
        if (y < 0 || xx < 0 || y >= x->h || xx >= x->w)
            continue;
        for (int64_t c = 0; c < cg; c++)
            sum += (double)w[(m * cg + c) * taps + t] * x->v[((n * x->c + first + c) * x->h + y) * x->w + xx];
    }
    return sum;
}

/* *x becomes what the convolution by definition makes of it. */
static void chain_want(const chain_conv *k, chain_image *x, const float *w, const float *b, const float *add)
{
    chain_image y = { x->n, k->m ? k->m : x->c, chain_out(x->h, k, k->pad[0] + k->pad[2]),
                      chain_out(x->w, k, k->pad[1] + k->pad[3]), NULL };
    int64_t i = 0;

    y.v = malloc((size_t)(y.n * y.c * y.h * y.w) * sizeof *y.v);
    for (int64_t n = 0; n < y.n; n++)
        for (int64_t m = 0; m < y.c; m++)
            for (int64_t oy = 0; oy < y.h; oy++)
                for (int64_t ox = 0; ox < y.w; ox++, i++)
                    y.v[i] = chain_act(k->act, chain_sum(k, x, w, n, m, oy, ox) + (b ? (double)b[m] : 0) +
                                                   (add ? (double)add[i] : 0));
    free(x->v);
    *x = y;
}

static linnet_tensor *chain_weight(linnet_model *m, const char *name, int32_t rank, const int64_t *dims, bool given)
{
    linnet_tensor *w = test_random_f32(rank, dims, -0.5f, 0.5f);

    if (given)
        EXPECT_OK(linnet_model_add_input(m, name, LINNET_F32, rank, dims, &test_error));
    else
        EXPECT_OK(linnet_model_add_weight(m, name, LINNET_F32, rank, dims, linnet_tensor_data(w),
                                          linnet_tensor_count(w) * sizeof(float), &test_error));
    return w;
}

static float *chain_floats(const chain_image *x)
{
    const size_t count = (size_t)(x->n * x->c * x->h * x->w);
    float *v = malloc(count * sizeof *v);

    for (size_t i = 0; i < count; i++)
        v[i] = (float)x->v[i];
    return v;
}

static chain_image chain_of(const int64_t dims[4], const float *data)
{
    const size_t count = (size_t)(dims[0] * dims[1] * dims[2] * dims[3]);
    const chain_image x = { dims[0], dims[1], dims[2], dims[3], malloc(count * sizeof *x.v) };

    for (size_t i = 0; i < count; i++)
        x.v[i] = data[i];
    return x;
}

/* What is wanted of layer k: *x goes along. */
static void chain_follow(const chain_case *of, const chain_conv *k, chain_image *x, const float *w, const float *b,
                         const float *input)
{
    float *before = k->crossed ? chain_floats(x) : NULL;

    if (before) {
        free(x->v);
        *x = chain_of(of->dims, input);
    }
    chain_want(k, x, w, b, before ? before : k->add ? input : NULL);
    free(before);
}

/* Layer i from value `in`; its result has the name `out`. Returns its weights. */
static linnet_tensor *chain_layer(const chain_case *of, linnet_model *m, const chain_conv *k, int i, const char *in,
                                  const char *out, chain_image *x, const float *input)
{
    const int64_t dims[] = { k->m ? k->m : x->c, k->m ? x->c / k->groups : 1, k->kernel, k->kernel };
    const char *from = k->crossed ? "x" : in, *more = k->crossed ? in : "x";
    const bool sum = k->add || k->crossed;
    char w[8], b[8], y[8], z[8];
    linnet_tensor *bias = NULL;
    linnet_layer *l;

    snprintf(w, sizeof w, "w%d", i);
    snprintf(b, sizeof b, "b%d", i);
    snprintf(y, sizeof y, "y%d", i);
    snprintf(z, sizeof z, "z%d", i);
    linnet_tensor *weight = chain_weight(m, w, 4, dims, of->given && i == 1);
    if (k->bias)
        bias = chain_weight(m, b, 1, dims, false);
    const char *conv = sum || k->act ? y : out, *added = k->act ? z : out;
    EXPECT_OK(linnet_layer_add(m, "Conv", y, (const char *const[]){ from, w, b }, k->bias ? 3 : 2,
                               (const char *const[]){ conv }, 1, &l, &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "pads", k->pad, 4, &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "strides", (const int64_t[]){ k->stride, k->stride }, 2, &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "dilations", (const int64_t[]){ k->dilation, k->dilation }, 2, &test_error));
    EXPECT_OK(linnet_layer_set_int(l, "group", k->m ? k->groups : x->c, &test_error));
    if (sum)
        EXPECT_OK(linnet_layer_add(m, "Add", z, (const char *const[]){ conv, more }, 2,
                                   (const char *const[]){ added }, 1, NULL, &test_error));
    if (k->act)
        EXPECT_OK(linnet_layer_add(m, k->act, out, (const char *const[]){ sum ? added : conv }, 1,
                                   (const char *const[]){ out }, 1, NULL, &test_error));
    chain_follow(of, k, x, linnet_tensor_data(weight), bias ? linnet_tensor_data(bias) : NULL, input);
    linnet_tensor_free(bias);
    return weight;
}

/* The result, or it and that of another convolution of x. */
static void chain_result(const chain_case *k, linnet_model *m, const char *name, chain_image *x, const float *input)
{
    const chain_conv side = { .m = 8, .kernel = 1, .stride = 1, .dilation = 1, .groups = 1 };
    chain_image other;
    linnet_layer *l;

    if (k->joined) {
        const size_t count = (size_t)(x->c * x->h * x->w), more = (size_t)(8 * x->h * x->w);
        other = chain_of(k->dims, input);
        linnet_tensor_free(chain_layer(k, m, &side, CHAIN_MOST, "x", "side", &other, input));
        EXPECT_OK(linnet_layer_add(m, "Concat", "joined", (const char *const[]){ name, "side" }, 2,
                                   (const char *const[]){ "joined" }, 1, &l, &test_error));
        EXPECT_OK(linnet_layer_set_int(l, "axis", 1, &test_error));
        x->v = realloc(x->v, (count + more) * sizeof *x->v);
        memcpy(x->v + count, other.v, more * sizeof *x->v);
        x->c += 8;
        free(other.v);
    }
    EXPECT_OK(linnet_model_add_output(m, k->joined ? "joined" : name, &test_error));
}

/* *given: weights that are an input. */
static linnet_model *chain_model(const chain_case *k, const float *data, chain_image *x, linnet_tensor **given)
{
    static const char *const names[CHAIN_MOST + 1] = { "x", "v1", "v2", "v3", "v4" };
    const int64_t four = 4;
    linnet_model *m = NULL;

    EXPECT_OK(linnet_model_create(NULL, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, k->late ? "flat" : "x", LINNET_F32, 4, k->dims, &test_error));
    if (k->late) {
        EXPECT_OK(linnet_model_add_input(m, "shape", LINNET_I64, 1, &four, &test_error));
        EXPECT_OK(linnet_layer_add(m, "Reshape", "x", (const char *const[]){ "flat", "shape" }, 2,
                                   (const char *const[]){ "x" }, 1, NULL, &test_error));
        *given = test_tensor(LINNET_I64, 1, &four);
        memcpy(linnet_tensor_data(*given), k->dims, sizeof k->dims);
    }
    for (int i = 0; i < k->count; i++) {
        linnet_tensor *w = chain_layer(k, m, &k->conv[i], i, names[i], names[i + 1], x, data);
        if (k->given && i == 1)
            *given = w;
        else
            linnet_tensor_free(w);
        if (i == 0 && k->twice)
            EXPECT_OK(linnet_layer_add(m, "GlobalAveragePool", "pool", (const char *const[]){ names[1] }, 1,
                                       (const char *const[]){ "mean" }, 1, NULL, &test_error));
    }
    chain_result(k, m, names[k->count], x, data);
    if (k->shown || k->twice)
        EXPECT_OK(linnet_model_add_output(m, k->shown ? names[1] : "mean", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    return m;
}

/* A run twice, as the second one finds what the first left; the caller frees the session. */
static linnet_session *chain_run(linnet_model *m, const linnet_tensor *x, const linnet_tensor *given,
                                 const linnet_options *o)
{
    linnet_session *s = NULL;

    EXPECT_OK(linnet_session_create(m, o, &s, &test_error));
    EXPECT_OK(linnet_session_set_input_tensor(s, 0, x, &test_error));
    if (given)
        EXPECT_OK(linnet_session_set_input_tensor(s, 1, given, &test_error));
    EXPECT_OK(linnet_session_run(s, &test_error));
    EXPECT_OK(linnet_session_run(s, &test_error));
    return s;
}

static void chain_check(const chain_case *k, linnet_pool *const pool[2], uint32_t isa)
{
    linnet_tensor *x = test_random_f32(4, k->dims, -1, 1), *given = NULL;
    const float *data = linnet_tensor_data(x);
    chain_image want = chain_of(k->dims, data);
    linnet_model *m = chain_model(k, data, &want, &given);
    linnet_options o;

    linnet_options_init(&o);
    o.isa_mask = isa;
    linnet_session *one = chain_run(m, x, given, &o);
    const linnet_tensor *y = linnet_session_output(one, 0);
    EXPECT(test_steps(one, "ln.ConvChain") == k->chains);
    EXPECT(test_steps(one, "Conv") == k->left);
    EXPECT(linnet_tensor_count(y) == (size_t)(want.n * want.c * want.h * want.w));
    EXPECT_NEAR(y, want.v, 2e-5, 8e-5);
    for (int i = 0; i < 2; i++) {
        o.pool = pool[i];
        linnet_session *more = chain_run(m, x, given, &o);
        EXPECT(!k->threads || test_steps(more, "ln.ConvChain") == (2 + i > k->threads ? 0 : k->chains));
        EXPECT(memcmp(linnet_tensor_data(y), linnet_tensor_data(linnet_session_output(more, 0)),
                      linnet_tensor_count(y) * sizeof(float)) == 0);
        linnet_session_free(more);
    }
    linnet_session_free(one);
    linnet_model_free(m);
    linnet_tensor_free(x);
    linnet_tensor_free(given);
    free(want.v);
}

static chain_conv chain_point(int64_t m, const char *act)
{
    return (chain_conv){ .m = m, .kernel = 1, .stride = 1, .dilation = 1, .groups = 1, .act = act, .bias = true };
}

static chain_conv chain_deep(int64_t kernel, int64_t stride, const char *act)
{
    const int64_t p = kernel / 2;

    return (chain_conv){ .kernel = kernel, .stride = stride, .pad = { p, p, p, p }, .dilation = 1, .act = act,
                         .bias = true };
}

/* Those pads. */
static chain_conv chain_padded(chain_conv k, int64_t top, int64_t left, int64_t bottom, int64_t right)
{
    const int64_t pad[] = { top, left, bottom, right };

    memcpy(k.pad, pad, sizeof pad);
    return k;
}

/* The model's input is added. */
static chain_conv chain_plus(chain_conv k)
{
    k.add = true;
    return k;
}

/* A tensor of so many floats between two convolutions, of which the second makes `out`, is worth a chain. */
static bool chain_pays(int64_t floats, int64_t out) { return floats >= 1 << 17 && floats >= out; }

/* The shapes that networks have, and odd ones: one row, one column, few channels, pads of every kind. */
void test_conv_chain(void)
{
    chain_conv first = chain_point(40, "Relu"), plain = chain_point(40, NULL), apart = chain_deep(3, 1, "Relu");
    first.kernel = 3, first.stride = 2, first = chain_padded(first, 1, 1, 1, 1);
    plain.bias = apart.bias = false;
    const chain_case cases[] = {
        { { 1, 16, 112, 112 }, { chain_point(96, "Relu"), chain_padded(chain_deep(3, 2, "Relu"), 0, 0, 1, 1),
          chain_point(24, NULL) }, .count = 3, .chains = 1, .threads = 3 },
        { { 1, 24, 40, 41 }, { chain_point(144, "HardSwish"), chain_deep(3, 1, "HardSwish"),
          chain_plus(chain_point(24, "Relu")) }, .count = 3, .chains = 1, .threads = 2 },
        { { 1, 3, 223, 221 }, { first, apart, chain_point(17, NULL) }, .count = 3, .chains = 1 },
        { { 1, 17, 1, 3600 }, { plain, chain_deep(5, 1, NULL), chain_point(3, NULL) },
          .count = 3, .chains = 1, .threads = 1 },
        { { 1, 17, 7200, 1 }, { plain, chain_padded(chain_deep(5, 2, "Relu"), 1, 3, 4, 1), chain_point(3, NULL) },
          .count = 3, .chains = 1 },
        { { 2, 5, 700, 5 }, { chain_point(40, NULL), chain_padded(chain_deep(3, 3, NULL), 0, 2, 2, 0),
          chain_point(17, "Relu") }, .count = 3, .chains = 1, .left = 1 },
        { { 2, 7, 230, 200 }, { chain_point(9, NULL), chain_plus(chain_point(7, "Relu")) }, .count = 2, .chains = 1 },
        { { 1, 64, 80, 60 }, { chain_deep(3, 1, "Relu"), chain_point(32, NULL) }, .count = 2, .chains = 1 },
    };
    static const uint32_t isa[] = { ~0u, 1, 2 | 1, 4 | 2 | 1 };
    linnet_pool *pool[2] = { NULL, NULL };

    for (int i = 0; i < 2; i++)
        EXPECT_OK(linnet_pool_create(2 + i, NULL, &pool[i], &test_error));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = 0; k < sizeof isa / sizeof *isa; k++)
            chain_check(&cases[i], pool, isa[k]);
    for (int i = 0; i < 24; i++) {
        const int64_t c = test_int(1, 40), m = test_int(8, 70), kernel = 2 * test_int(0, 2) + 1;
        const int64_t h = test_int(5, 90), w = 132000 / (h * m) + test_int(1, 9), n = test_int(1, 2);
        const int64_t last = test_int(1, 70);
        chain_case k = { { n, c, h, w }, { chain_point(m, "Relu"), chain_deep(kernel, test_int(1, 3), NULL),
                         chain_point(last, "HardSwish") }, .count = (int)test_int(2, 3) };
        chain_conv *d = &k.conv[1];

        for (int p = 0; p < 4; p++)
            d->pad[p] = test_int(kernel / 2, kernel - 1);
        const int64_t pixels = n * chain_out(h, d, d->pad[0] + d->pad[2]) * chain_out(w, d, d->pad[1] + d->pad[3]);
        const bool one = chain_pays(n * h * w * m, pixels * m);
        const bool two = k.count == 3 && chain_pays(pixels * m, pixels * last);
        k.chains = one || two;
        k.left = k.count - (one || two ? 2 : 0) - (one && two);
        chain_check(&k, pool, isa[i % 4]);
    }
    for (int i = 0; i < 2; i++)
        linnet_pool_free(pool[i]);
}

/* Values that somebody else looks at, small ones and those of shapes that come late stay what they are. */
void test_conv_chain_not(void)
{
    const chain_conv wide = chain_point(64, "Relu"), deep = chain_deep(3, 1, "Relu"), narrow = chain_point(8, NULL);
    chain_conv few = chain_point(3, NULL), far = deep, crossed = wide, pair = wide;
    few.kernel = 3, few = chain_padded(few, 1, 1, 1, 1);
    far.dilation = 2, far = chain_padded(far, 2, 2, 2, 2);
    crossed.crossed = true;
    pair.groups = 2;
    const int64_t size = 48;
    const chain_case cases[] = {
        { { 1, 8, size, size }, { wide, deep, narrow }, .count = 3, .chains = 1, .threads = 3 },
        { { 1, 8, size, size }, { wide, deep, narrow }, .count = 3, .chains = 1, .left = 1, .shown = true },
        { { 1, 8, size, size }, { wide, deep, narrow }, .count = 3, .chains = 1, .left = 1, .twice = true },
        { { 1, 8, size, size }, { wide, narrow }, .count = 2, .left = 2, .shown = true },
        { { 1, 8, size, size }, { wide, narrow }, .count = 2, .left = 2, .twice = true },
        { { 1, 8, 20, 20 }, { wide, deep, narrow }, .count = 3, .left = 3 },
        { { 1, 8, size, size }, { wide, deep, narrow }, .count = 3, .left = 3, .late = true },
        { { 1, 8, size, size }, { narrow, narrow, wide, deep }, .count = 4, .chains = 1, .left = 2 },
        { { 1, 8, size, size }, { wide, deep, wide, deep }, .count = 4, .chains = 1, .left = 1 },
        { { 1, 64, size, size }, { chain_plus(wide), deep, narrow }, .count = 3, .chains = 1, .left = 1 },
        { { 2, 7, 230, 200 }, { chain_point(3, NULL), few }, .count = 2, .left = 2 },
        { { 1, 8, size, size }, { wide, far, narrow }, .count = 3, .left = 3 },
        { { 1, 8, size, size }, { wide, pair, deep }, .count = 3, .chains = 0, .left = 3 },
        { { 1, 64, size, size }, { wide, crossed }, .count = 2, .left = 2 },
        { { 1, 8, size, size }, { wide, chain_point(65, NULL) }, .count = 2, .left = 2 },
        { { 1, 64, size, size }, { wide, chain_plus(deep) }, .count = 2, .left = 2 },
        { { 1, 8, size, size }, { wide, deep, narrow }, .count = 3, .chains = 0, .left = 3, .given = true },
        { { 1, 8, size, size }, { wide, deep, narrow }, .count = 3, .chains = 1, .left = 2, .joined = true },
    };
    linnet_pool *pool[2] = { NULL, NULL };

    for (int i = 0; i < 2; i++)
        EXPECT_OK(linnet_pool_create(2 + i, NULL, &pool[i], &test_error));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        chain_check(&cases[i], pool, ~0u);
    for (int i = 0; i < 2; i++)
        linnet_pool_free(pool[i]);
}
