/*
 * conv.c - Conv and com.microsoft.FusedConv.
 *
 * Up to three spatial axes, groups, dilations, any padding; bias, residual and activation are
 * applied as results are stored. f16 and bf16 are computed in f32 and rounded once.
 */
#include "conv.h"

#include <float.h>
#include <math.h>

/* Tried in order; the last takes everything that is left. */
static const ln_conv_way *const conv_ways[] = { &ln_conv_depthwise, &ln_conv_few, &ln_conv_winograd,
                                               &ln_conv_winograd_strided, &ln_conv_seven, &ln_conv_gemm };

enum { CONV_PLAIN, CONV_INTO, CONV_READ, CONV_PAD, CONV_MAIN, CONV_POOL, CONV_WRITE };

/* ---- shapes ---------------------------------------------------------------- */

linnet_status ln_conv_channels(ln_conv *c, const char *op, int64_t group, const ln_desc *w, linnet_error *err)
{
    const size_t m = (size_t)w->dim[0], cg = (size_t)w->dim[1];

    if (group < 1)
        return ln_fail(err, LINNET_ERR_SHAPE, "%s: group is %lld", op, (long long)group);
    if (c->win.c / (uint64_t)group != cg || c->win.c % (uint64_t)group != 0)
        return ln_fail(err, LINNET_ERR_SHAPE, "%s: %zu input channels in %lld groups, but the weights "
                       "have %zu channels", op, c->win.c, (long long)group, cg);
    if (m % (uint64_t)group != 0)
        return ln_fail(err, LINNET_ERR_SHAPE, "%s: %zu output channels in %lld groups", op, m,
                       (long long)group);
    c->m = m;
    c->cg = cg;
    c->group = (size_t)group;
    c->mg = m / c->group;
    return LINNET_OK;
}

static linnet_status conv_geometry(const ln_conv_param *p, int32_t in_count, const ln_desc *in, ln_conv *c,
                                   linnet_error *err)
{
    const ln_desc *w = &in[1];
    const bool last = p->win.channels_last != 0;
    linnet_status st;

    c->dtype = in[0].dtype;
    if (c->dtype != LINNET_F32 && c->dtype != LINNET_F64 && c->dtype != LINNET_F16
        && c->dtype != LINNET_BF16)
        return ln_fail_type(err, 0, c->dtype);
    for (int32_t i = 1; i < in_count; i++)
        if (in[i].dtype && in[i].dtype != c->dtype)
            return ln_fail_type(err, i, in[i].dtype);
    if (w->rank != in[0].rank || w->rank < 3)
        return ln_fail(err, LINNET_ERR_SHAPE, "Conv: weights of rank %d for an input of rank %d",
                       (int)w->rank, (int)in[0].rank);
    if ((st = ln_win_init(&c->win, "Conv", &p->win, &in[0], w->dim + 2, err)) != LINNET_OK)
        return st;
    if ((st = ln_conv_channels(c, "Conv", p->group, w, err)) != LINNET_OK)
        return st;
    c->has_bias = in_count > LN_BIAS && in[LN_BIAS].dtype;
    if (c->has_bias && (in[LN_BIAS].rank != 1 || in[LN_BIAS].dim[0] != w->dim[0]))
        return ln_fail(err, LINNET_ERR_SHAPE, "Conv: the bias does not have %zu elements", c->m);
    c->has_add = in_count > LN_RESIDUAL && in[LN_RESIDUAL].dtype;
    c->ldy = p->into_width ? (size_t)p->into_width : c->m;
    c->y_at = (size_t)p->into_at;
    if (c->y_at > c->ldy || c->m > c->ldy - c->y_at)
        return ln_fail(err, LINNET_ERR_SHAPE, "Conv: %zu channels do not fit into %zu", c->m, c->ldy);
    const ln_desc out = ln_win_desc(&c->win, c->dtype, c->m, last);
    if (c->has_add && !ln_same_shape(&in[LN_RESIDUAL], &out))
        return ln_fail(err, LINNET_ERR_SHAPE, "Conv: the tensor to add does not have the output's shape");
    c->pool.c = 0;
    return p->pool.kernel_shape.count ? ln_conv_pool_init(c, &p->pool, err) : LINNET_OK;
}

static float conv_number(const ln_conv_param *p, size_t i, float preset)
{
    return i < p->activation_params.count ? p->activation_params.v[i] : preset;
}

/* The activation by hidden attribute, or by FusedConv's name for it. */
static bool conv_act(const ln_conv_param *p, ln_act *a)
{
    const char *name = p->activation ? p->activation : "";
    const ln_act none = { (int32_t)p->act, p->act_a, p->act_b };

    *a = none;
    if (!*name)
        return true;
    a->a = conv_number(p, 0, 0.0f);
    a->b = conv_number(p, 1, 0.0f);
    if (strcmp(name, "Relu") == 0) {
        const ln_act relu = { LN_FN_CLIP, 0.0f, INFINITY };
        *a = relu;
    } else if (strcmp(name, "Sigmoid") == 0) {
        a->fn = LN_FN_SIGMOID;
    } else if (strcmp(name, "Tanh") == 0) {
        a->fn = LN_FN_TANH;
    } else if (strcmp(name, "LeakyRelu") == 0) {
        a->fn = LN_FN_LEAKY_RELU;
        a->a = conv_number(p, 0, 0.01f);
    } else if (strcmp(name, "Clip") == 0) {
        a->fn = LN_FN_CLIP;
        a->a = conv_number(p, 0, -FLT_MAX);
        a->b = conv_number(p, 1, FLT_MAX);
    } else if (strcmp(name, "HardSigmoid") == 0) {
        a->fn = LN_FN_HARD_SIGMOID;
        a->a = conv_number(p, 0, 0.2f);
        a->b = conv_number(p, 1, 0.5f);
    } else {
        return false;
    }
    return true;
}

linnet_status ln_conv_open(ln_conv *c, const ln_conv_param *p, int32_t in_count, const ln_desc *in, bool exact,
                           linnet_error *err)
{
    const linnet_status st = conv_geometry(p, in_count, in, c, err);

    if (st != LINNET_OK)
        return st;
    if (!conv_act(p, &c->act))
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "Conv: activation \"%s\"", p->activation);
    c->exact = exact;
    c->x_last = p->win.channels_last == LN_LAST;
    c->pixels = c->win.n * ln_pixels(c->win.out);
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    const ln_conv_param *p = q->param;
    ln_conv c = { 0 };
    const linnet_status st = ln_conv_open(&c, p, q->in_count, q->in, false, q->err);

    if (st != LINNET_OK)
        return st;
    q->out[0] = ln_win_desc(c.pool.c ? &c.pool : &c.win, c.dtype, c.ldy, p->win.channels_last != 0);
    return LINNET_OK;
}

/* ---- prepare ----------------------------------------------------------------- */

typedef struct conv_packing {
    const ln_conv    *c;
    const ln_kernels *kernel;
} conv_packing;

static void conv_make(const void *ctx, const void *src, void *out, size_t part)
{
    const conv_packing *w = ctx;

    w->c->way->pack(w->c, w->kernel, src, out, part);
}

linnet_status ln_conv_derive(ln_prepare *q, int32_t input, ln_conv *c)
{
    const conv_packing packing = { c, q->kernel };
    uint64_t name = 0;
    const void *out = NULL;

    for (const char *s = c->way->name; *s; s++)
        name = name * 131 + (unsigned char)*s;
    const uint64_t facts[] = { name, q->kernel->isa, q->kernel->gemm_nr, c->key, c->packed, c->group,
                               c->m, c->cg, (uint64_t)c->dtype };
    const linnet_status st = ln_plan_derive_parts(q, input, ln_dense_key(facts, LN_COUNT(facts)),
                                                  c->packed * sizeof(float), c->pack_tasks, conv_make, &packing, &out);
    c->weight = out;
    q->unread |= 1u << input;
    return st;
}

static void conv_phase(ln_prepare *q, ln_conv *c, int32_t kind, size_t tasks)
{
    if (tasks == 0)
        return;
    c->kind[q->phases] = kind;
    q->tasks[q->phases++] = tasks;
}

/* Copies, packed weights and phases around the way that was chosen. */
linnet_status ln_conv_frame(ln_prepare *q, ln_conv *c, bool last)
{
    const bool constant = q->value[1] != NULL;
    size_t floats = 0;
    bool ok;

    ln_last_init(&c->x, &q->in[0], c->x_last);
    if (c->way->planes && c->dtype == LINNET_F32)
        c->x.copy = false, c->x.tasks = 0;
    ln_last_init(&c->y, &q->out[0], last);
    ok = ln_last_reserve(&c->x, &floats) && ln_last_reserve(&c->y, &floats);
    if (c->has_add) {
        ln_last_init(&c->add, &q->in[LN_RESIDUAL], last);
        ok = ok && ln_last_reserve(&c->add, &floats);
    }
    if (!constant)
        ok = ok && ln_reserve(&floats, c->packed, &c->weight_at);
    if (c->has_bias && c->dtype != LINNET_F32)
        ok = ok && ln_reserve(&floats, c->m, &c->bias_at);
    if (c->pad_tasks)
        ok = ok && ln_reserve(&floats, c->pad_floats, &c->pad_at);
    if (c->pool.c && !c->pools)
        ok = ok && ln_conv_pool_apart(q, c, &floats);
    if (!ok || c->packed > SIZE_MAX / sizeof(float))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "convolution: the workspace is too large");
    q->workspace = floats * sizeof(float);
    const size_t read = c->x.tasks + c->add.tasks + (constant ? 0 : c->pack_tasks)
                        + (c->has_bias && c->dtype != LINNET_F32);
    q->phases = 0;
    conv_phase(q, c, CONV_INTO, q->in_count > LN_INTO && q->in[LN_INTO].dtype ? 1 : 0);
    conv_phase(q, c, CONV_READ, read);
    conv_phase(q, c, CONV_PAD, c->pad_tasks);
    conv_phase(q, c, CONV_MAIN, c->tasks);
    conv_phase(q, c, CONV_POOL, c->pool_rows ? ln_ceil_div(c->pool.n * c->pool.out[1], c->pool_rows) : 0);
    conv_phase(q, c, CONV_WRITE, c->y.tasks);
    return constant ? ln_conv_derive(q, 1, c) : LINNET_OK;
}

void ln_conv_choose(ln_conv *c, const ln_kernels *kernel)
{
    for (size_t i = 0; !c->way && i < LN_COUNT(conv_ways); i++)
        if (conv_ways[i]->applicable(c, kernel))
            c->way = conv_ways[i];
}

static linnet_status prepare(ln_prepare *q)
{
    const ln_conv_param *p = q->param;
    const bool last = p->win.channels_last != 0;
    ln_conv *c = q->state;
    linnet_status st = ln_conv_open(c, p, q->in_count, q->in, q->exact, q->err);

    if (st != LINNET_OK)
        return st;
    if (ln_count(&q->out[0]) == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    const double taps = (double)ln_win_taps(&c->win) * (double)c->cg;
    q->work = (double)c->pixels * (double)c->m * LN_MAX(taps, 1.0);
    q->flop = 2.0 * (double)c->pixels * (double)c->m * taps;
    if (c->dtype == LINNET_F64 || c->cg == 0 || ln_count(&q->in[0]) == 0) {
        q->tasks[0] = ln_ceil_div(ln_count(&q->out[0]), LN_CONV_PLAIN_STEP);
        return LINNET_OK;
    }
    if (c->pool.c)
        ln_conv_pool_cut(c);
    ln_conv_choose(c, q->kernel);
    if ((st = c->way->prepare(q, c)) != LINNET_OK)
        return st;
    return ln_conv_frame(q, c, last);
}

#define CONV_TWICE 8u /* rows of a strip for each row that its neighbour computes too */
size_t ln_conv_least_rows(const ln_win *w)
{
    return w->kernel[1] > w->stride[1] ? CONV_TWICE * (w->kernel[1] - w->stride[1]) : 1;
}

/*
 * Pictures with constant weights whose way can, high enough for a strip for each worker; the whole output is the
 * convolution's own.
 */
static int32_t by_rows(const ln_prepare *q)
{
    const ln_conv_param *p = q->param;
    linnet_error why;
    ln_conv c = { 0 };

    if (p->win.channels_last == LN_FIRST || q->in[0].rank != 4 || !q->value[1] ||
        ln_conv_open(&c, p, q->in_count, q->in, q->exact, &why) != LINNET_OK || c.dtype != LINNET_F32 ||
        c.pixels == 0 || c.m == 0 || c.cg == 0 || ln_count(&q->in[0]) == 0 || c.ldy != c.m ||
        c.pool.c || (q->in_count > LN_INTO && q->in[LN_INTO].dtype) ||
        (c.win.n < (size_t)q->workers && c.win.out[1] / ln_conv_least_rows(&c.win) < (size_t)q->workers))
        return LN_ROWS_NO;
    ln_conv_choose(&c, q->kernel);
    if (!c.way->by_rows || !c.way->by_rows(&c, q->kernel))
        return LN_ROWS_NO;
    return c.way->planes ? LN_ROWS_FIRST : LN_ROWS_ANY;
}

/* ---- run ----------------------------------------------------------------------- */

static void conv_read(const ln_run *r, const ln_conv *c, size_t task)
{
    float *work = r->workspace;

    if (task < c->x.tasks) {
        ln_last_read(&c->x, r->kernel, r->in[0], work, task);
        return;
    }
    task -= c->x.tasks;
    if (task < c->add.tasks) {
        ln_last_read(&c->add, r->kernel, r->in[LN_RESIDUAL], work, task);
        return;
    }
    task -= c->add.tasks;
    if (!c->weight && task < c->pack_tasks)
        c->way->pack(c, r->kernel, r->in[1], work + c->weight_at, task);
    else
        ln_to_f32(c->dtype, r->in[LN_BIAS], c->m, work + c->bias_at);
}

bool ln_conv_run(const ln_run *r, const ln_conv *c)
{
    float *work = r->workspace;

    switch (c->kind[r->phase]) {
    case CONV_INTO:
        if (r->out[0] != r->in[LN_INTO])
            memcpy(r->out[0], r->in[LN_INTO], ln_count(&r->out_desc[0]) * sizeof(float));
        break;
    case CONV_READ:
        conv_read(r, c, r->task);
        break;
    case CONV_PAD:
        c->way->pad(r, c, ln_last_floats(&c->x, r->in[0], work), work + c->pad_at, r->task);
        break;
    case CONV_POOL:
        ln_conv_pool(r, c, work + c->pool_at, (float *)r->out[0] + c->pool_y_at, r->task);
        break;
    case CONV_WRITE:
        ln_last_write(&c->y, r->kernel, work, r->out[0], r->task);
        break;
    case CONV_MAIN: {
        ln_conv_data d = { NULL, c->weight, NULL, NULL, ln_last_floats(&c->y, r->out[0], work) + c->y_at };

        if (c->pool_rows)
            d.y = work + c->pool_at;
        d.x = c->pad_tasks ? work + c->pad_at : ln_last_floats(&c->x, r->in[0], work);
        if (!d.weight)
            d.weight = work + c->weight_at;
        if (c->has_bias)
            d.bias = c->dtype == LINNET_F32 ? r->in[LN_BIAS] : work + c->bias_at;
        if (c->has_add)
            d.add = ln_last_floats(&c->add, r->in[LN_RESIDUAL], work);
        c->way->run(r, c, &d, r->task);
        break;
    }
    default:
        return false;
    }
    return true;
}

static linnet_status run(const ln_run *r)
{
    const ln_conv_param *p = r->param;
    const ln_conv *c = r->state;

    if (!ln_conv_run(r, c))
        ln_conv_plain(r, c, p->win.channels_last != 0, r->task);
    return LINNET_OK;
}

/* ---- registration ---------------------------------------------------------------- */

#define CONV_ATTR                                                  \
    LN_WIN_ATTR(ln_conv_param),                                            \
    { "ln.pool_kernel", LN_ATTR_INTS, offsetof(ln_conv_param, pool.kernel_shape), 0, false }, \
    { "ln.pool_strides", LN_ATTR_INTS, offsetof(ln_conv_param, pool.strides), 0, false },     \
    { "ln.pool_dilations", LN_ATTR_INTS, offsetof(ln_conv_param, pool.dilations), 0, false }, \
    { "ln.pool_pads", LN_ATTR_INTS, offsetof(ln_conv_param, pool.pads), 0, false },           \
    { "ln.pool_auto_pad", LN_ATTR_STR, offsetof(ln_conv_param, pool.auto_pad), 0, false },    \
    { "ln.pool_ceil", LN_ATTR_I64, offsetof(ln_conv_param, pool.ceil_mode), 0, false },       \
    { "group", LN_ATTR_I64, offsetof(ln_conv_param, group), 1, false },    \
    { "ln.act", LN_ATTR_I64, offsetof(ln_conv_param, act), 0, false },     \
    { "ln.into_width", LN_ATTR_I64, offsetof(ln_conv_param, into_width), 0, false }, \
    { "ln.into_at", LN_ATTR_I64, offsetof(ln_conv_param, into_at), 0, false },       \
    { "ln.act_a", LN_ATTR_F32, offsetof(ln_conv_param, act_a), 0, false }, \
    { "ln.act_b", LN_ATTR_F32, offsetof(ln_conv_param, act_b), 0, false }

static const ln_attr attr[] = { CONV_ATTR, { 0 } };

static const ln_attr conv_fused_attr[] = {
    CONV_ATTR,
    { "activation", LN_ATTR_STR, offsetof(ln_conv_param, activation), 0, false },
    { "activation_params", LN_ATTR_FLOATS, offsetof(ln_conv_param, activation_params), 0, false },
    { 0 },
};

const ln_op ln_op_conv = {
    .name = "Conv", .attr = attr, .param_size = sizeof(ln_conv_param), .state_size = sizeof(ln_conv),
    .in_min = 2, .in_max = 3, .flags = LN_OP_SPATIAL | LN_OP_PLANES | LN_OP_ACT | LN_OP_ADD | LN_OP_INTO
    | LN_OP_POOL,
    .loose = 1u << 1, .inplace = 1u << LN_RESIDUAL | 1u << LN_INTO,
    .infer = infer, .prepare = prepare, .run = run, .by_rows = by_rows,
};

const ln_op ln_op_fused_conv = {
    .name = "com.microsoft.FusedConv", .attr = conv_fused_attr,
    .param_size = sizeof(ln_conv_param), .state_size = sizeof(ln_conv),
    .in_min = 2, .in_max = 4, .loose = 1u << 1, .inplace = 1u << LN_RESIDUAL,
    .infer = infer, .prepare = prepare, .run = run,
};

#undef CONV_ATTR
#undef CONV_TWICE
