/*
 * depth_to_space.c - DepthToSpace and SpaceToDepth: a transposition of six axes.
 *
 * The output is written in order; prepare() says how far each of its six axes jumps in the
 * input. Axes that follow each other there become one run of bytes.
 */
#include "window.h"

typedef struct param {
    int64_t     blocksize, channels_last;
    const char *mode;
} param;

enum { SPACE_AXES = 6 };

typedef struct state {
    size_t dim[SPACE_AXES], stride[SPACE_AXES]; /* of the output; in elements of the input */
    size_t bytes;                               /* of an element, or of a run */
    size_t rows, inner;                         /* of the first five axes; of those in a task */
} state;

static linnet_status space_infer(const ln_infer *q, const char *name, bool to_space)
{
    const param *p = q->param;
    const bool last = p->channels_last != 0;
    const ln_desc *x = &q->in[0];
    const int64_t b = p->blocksize;
    int64_t square;

    if (ln_dtype(x->dtype)->bits < 8 || x->dtype == LINNET_STRING)
        return ln_fail_type(q->err, 0, x->dtype);
    if (x->rank != 4)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: needs an input of rank 4, not %d", name, (int)x->rank);
    if (b < 1 || !ln_mul64(b, b, &square))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: blocksize is %lld", name, (long long)b);
    const int32_t c = ln_channel_axis(x, last), h = ln_pixel_axis(0, last), w = ln_pixel_axis(1, last);
    ln_desc d = *x;
    if (to_space) {
        if (!ln_is(p->mode, "DCR", "DCR") && !ln_is(p->mode, "DCR", "CRD"))
            return ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "%s: mode \"%s\"", name, p->mode);
        if (x->dim[c] % square != 0 || !ln_mul64(x->dim[h], b, &d.dim[h]) || !ln_mul64(x->dim[w], b, &d.dim[w]))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: %lld channels do not make blocks of %lld x %lld", name,
                           (long long)x->dim[c], (long long)b, (long long)b);
        d.dim[c] = x->dim[c] / square;
    } else {
        if (x->dim[h] % b != 0 || x->dim[w] % b != 0 || !ln_mul64(x->dim[c], square, &d.dim[c]))
            return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: %lld x %lld pixels do not make blocks of %lld x %lld",
                           name, (long long)x->dim[h], (long long)x->dim[w], (long long)b, (long long)b);
        d.dim[h] = x->dim[h] / b;
        d.dim[w] = x->dim[w] / b;
    }
    q->out[0] = d;
    return LINNET_OK;
}

static linnet_status space_depth_infer(const ln_infer *q) { return space_infer(q, "SpaceToDepth", false); }
static linnet_status space_space_infer(const ln_infer *q) { return space_infer(q, "DepthToSpace", true); }

static void space_axis(state *s, size_t i, size_t dim, size_t stride)
{
    s->dim[i] = dim;
    s->stride[i] = stride;
}

/* Runs, and tasks. */
static linnet_status space_cut(ln_prepare *q, state *s)
{
    const size_t element = ln_dtype(q->in[0].dtype)->bits / 8u;

    s->bytes = element;
    if (s->stride[5] == 1) { /* the last axis is a run */
        s->bytes *= s->dim[5];
        s->dim[5] = 1;
    }
    for (size_t i = 0; i < SPACE_AXES; i++)
        s->stride[i] *= element;
    s->rows = s->dim[0] * s->dim[1] * s->dim[2] * s->dim[3] * s->dim[4];
    s->inner = LN_MAX((size_t)LN_CHUNK * 4 / (s->bytes * s->dim[5]), (size_t)1);
    q->tasks[0] = ln_ceil_div(s->rows, s->inner);
    return LINNET_OK;
}

static linnet_status space_space_prepare(ln_prepare *q)
{
    const param *p = q->param;
    const bool last = p->channels_last != 0, crd = ln_is(p->mode, "DCR", "CRD");
    const ln_desc *x = &q->in[0];
    const size_t b = (size_t)p->blocksize;
    state *s = q->state;

    if (ln_count(x) == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    const size_t n = (size_t)x->dim[0], c = (size_t)x->dim[ln_channel_axis(x, last)];
    const size_t h = (size_t)x->dim[ln_pixel_axis(0, last)], w = (size_t)x->dim[ln_pixel_axis(1, last)];
    const size_t d = c / (b * b), step = last ? 1 : h * w, pixel = last ? c : 1;
    /* Channel of depth i, block row j and column k: (j b + k) d + i, or i b b + j b + k. */
    const size_t depth = (crd ? b * b : 1) * step, row = (crd ? b : b * d) * step, column = (crd ? 1 : d) * step;
    space_axis(s, 0, n, c * h * w);
    space_axis(s, last ? 5 : 1, d, depth);
    space_axis(s, last ? 1 : 2, h, w * pixel);
    space_axis(s, last ? 2 : 3, b, row);
    space_axis(s, last ? 3 : 4, w, pixel);
    space_axis(s, last ? 4 : 5, b, column);
    return space_cut(q, s);
}

static linnet_status space_depth_prepare(ln_prepare *q)
{
    const param *p = q->param;
    const bool last = p->channels_last != 0;
    const ln_desc *x = &q->in[0];
    const size_t b = (size_t)p->blocksize;
    state *s = q->state;

    if (ln_count(x) == 0) {
        q->tasks[0] = 0;
        return LINNET_OK;
    }
    const size_t n = (size_t)x->dim[0], c = (size_t)x->dim[ln_channel_axis(x, last)];
    const size_t h = (size_t)x->dim[ln_pixel_axis(0, last)], w = (size_t)x->dim[ln_pixel_axis(1, last)];
    const size_t pixel = last ? c : 1;
    space_axis(s, 0, n, c * h * w);
    space_axis(s, last ? 3 : 1, b, w * pixel);
    space_axis(s, last ? 4 : 2, b, pixel);
    space_axis(s, last ? 5 : 3, c, last ? 1 : h * w);
    space_axis(s, last ? 1 : 4, h / b, b * w * pixel);
    space_axis(s, last ? 2 : 5, w / b, b * pixel);
    return space_cut(q, s);
}

static void space_row(const state *s, const char *x, char *y)
{
    const size_t stride = s->stride[5], n = s->dim[5];

    if (s->bytes == 4) {
        for (size_t i = 0; i < n; i++)
            memcpy(y + 4 * i, x + i * stride, 4);
    } else {
        for (size_t i = 0; i < n; i++)
            memcpy(y + s->bytes * i, x + i * stride, s->bytes);
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const size_t from = r->task * s->inner, end = LN_MIN(from + s->inner, s->rows);
    char *y = (char *)r->out[0] + from * s->dim[5] * s->bytes;

    for (size_t i = from; i < end; i++, y += s->dim[5] * s->bytes) {
        const char *x = r->in[0];
        size_t left = i;

        for (size_t a = SPACE_AXES - 1; a-- > 0;) {
            x += left % s->dim[a] * s->stride[a];
            left /= s->dim[a];
        }
        space_row(s, x, y);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "blocksize", LN_ATTR_I64, offsetof(param, blocksize), 0, true },
    { "mode", LN_ATTR_STR, offsetof(param, mode), 0, false },
    { "ln.channels_last", LN_ATTR_I64, offsetof(param, channels_last), 0, false },
    { 0 },
};
static const ln_attr space_depth_attr[] = {
    { "blocksize", LN_ATTR_I64, offsetof(param, blocksize), 0, true },
    { "ln.channels_last", LN_ATTR_I64, offsetof(param, channels_last), 0, false },
    { 0 },
};

const ln_op ln_op_depth_to_space = {
    .name = "DepthToSpace", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .flags = LN_OP_SPATIAL,
    .infer = space_space_infer, .prepare = space_space_prepare, .run = run,
};
const ln_op ln_op_space_to_depth = {
    .name = "SpaceToDepth", .attr = space_depth_attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 1, .in_max = 1, .flags = LN_OP_SPATIAL,
    .infer = space_depth_infer, .prepare = space_depth_prepare, .run = run,
};
