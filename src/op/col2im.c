/*
 * col2im.c - Col2Im: columns of blocks summed back into an image of any number of axes.
 *
 * Each output pixel gathers the block elements that lie on it, so tasks never meet.
 */
#include "op.h"

typedef struct param { ln_ints dilations, pads, strides; } param;

enum { COL_AXES = LN_MAX_RANK - 2 };

typedef struct state {
    int32_t axes;
    size_t  n, c, taps, blocks, pixels; /* taps of a block; blocks and pixels of an image */
    size_t  image[COL_AXES], block[COL_AXES], count[COL_AXES]; /* count: blocks along an axis */
    size_t  stride[COL_AXES], dilation[COL_AXES], pad[COL_AXES];
    size_t  step; /* output elements of a task */
    bool    planes; /* f32 of two axes: one plane a task, scattered tap by tap */
} state;

static linnet_status col_number(const ln_ints *v, size_t i, int64_t preset, int64_t least, const char *name,
                                int64_t *out, linnet_error *err)
{
    *out = i < v->count ? v->v[i] : preset;
    if (*out < least || *out > INT32_MAX)
        return ln_fail(err, LINNET_ERR_SHAPE, "Col2Im: %lld in %s", (long long)*out, name);
    return LINNET_OK;
}

/* One axis: sizes checked, blocks counted. */
static linnet_status col_axis(const param *p, state *s, size_t i, int64_t image, int64_t block, linnet_error *err)
{
    int64_t stride, dilation, before, after;
    linnet_status st = col_number(&p->strides, i, 1, 1, "strides", &stride, err);

    if (st == LINNET_OK)
        st = col_number(&p->dilations, i, 1, 1, "dilations", &dilation, err);
    if (st == LINNET_OK)
        st = col_number(&p->pads, i, 0, 0, "pads", &before, err);
    if (st == LINNET_OK)
        st = col_number(&p->pads, i + (size_t)s->axes, 0, 0, "pads", &after, err);
    if (st != LINNET_OK)
        return st;
    if (image < 1 || image > (int64_t)1 << 40 || block < 1 || block > INT32_MAX)
        return ln_fail(err, LINNET_ERR_SHAPE, "Col2Im: an image axis of %lld with blocks of %lld",
                       (long long)image, (long long)block);
    const int64_t reach = (block - 1) * dilation + 1, room = image + before + after - reach;
    if (room < 0)
        return ln_fail(err, LINNET_ERR_SHAPE, "Col2Im: a block of %lld is larger than the padded image",
                       (long long)reach);
    s->image[i] = (size_t)image;
    s->block[i] = (size_t)block;
    s->count[i] = (size_t)(room / stride + 1);
    s->stride[i] = (size_t)stride;
    s->dilation[i] = (size_t)dilation;
    s->pad[i] = (size_t)before;
    return ln_mul(s->taps, s->block[i], &s->taps) && ln_mul(s->blocks, s->count[i], &s->blocks)
                   && ln_mul(s->pixels, s->image[i], &s->pixels)
               ? LINNET_OK
               : ln_fail(err, LINNET_ERR_LIMIT, "Col2Im: the image is too large");
}

static linnet_status col_find(const param *p, const ln_desc *in, const void *const *value, state *s,
                              linnet_error *err)
{
    const ln_desc *x = &in[0], *image = &in[1], *block = &in[2];
    const ln_dtype_info *type = ln_dtype(x->dtype);

    if (type->bits < 8 || type->kind == LN_KIND_STRING || type->kind == LN_KIND_COMPLEX)
        return ln_fail_type(err, 0, x->dtype);
    if (image->dtype != LINNET_I64 || block->dtype != LINNET_I64)
        return ln_fail_type(err, image->dtype != LINNET_I64 ? 1 : 2,
                            image->dtype != LINNET_I64 ? image->dtype : block->dtype);
    if (x->rank != 3 || image->rank != 1 || block->rank != 1 || image->dim[0] != block->dim[0]
        || image->dim[0] < 1 || image->dim[0] > COL_AXES)
        return ln_fail(err, LINNET_ERR_SHAPE, "Col2Im: needs an input of rank 3, and image and block shapes of "
                       "the same length from 1 to %d", (int)COL_AXES);
    s->axes = (int32_t)image->dim[0];
    const size_t axes = (size_t)s->axes;
    if ((p->strides.count && p->strides.count != axes) || (p->dilations.count && p->dilations.count != axes)
        || (p->pads.count && p->pads.count != 2 * axes))
        return ln_fail(err, LINNET_ERR_SHAPE, "Col2Im: strides, dilations or pads do not fit %zu axes", axes);
    if (!value[1] || !value[2])
        return LN_WAIT;
    s->taps = s->blocks = s->pixels = 1;
    for (size_t i = 0; i < axes; i++) {
        const linnet_status st = col_axis(p, s, i, ln_get_i64(LINNET_I64, value[1], i),
                                          ln_get_i64(LINNET_I64, value[2], i), err);
        if (st != LINNET_OK)
            return st;
    }
    s->n = (size_t)x->dim[0];
    if ((uint64_t)x->dim[1] % s->taps != 0 || (uint64_t)x->dim[2] != s->blocks)
        return ln_fail(err, LINNET_ERR_SHAPE, "Col2Im: an input of %lld rows and %lld columns for blocks of %zu "
                       "elements and %zu places", (long long)x->dim[1], (long long)x->dim[2], s->taps, s->blocks);
    s->c = (size_t)x->dim[1] / s->taps;
    return LINNET_OK;
}

static linnet_status infer(const ln_infer *q)
{
    state s;
    const linnet_status st = col_find(q->param, q->in, q->value, &s, q->err);

    if (st != LINNET_OK)
        return st;
    q->out[0].dtype = q->in[0].dtype;
    q->out[0].rank = s.axes + 2;
    q->out[0].dim[0] = q->in[0].dim[0];
    q->out[0].dim[1] = (int64_t)s.c;
    for (int32_t i = 0; i < s.axes; i++)
        q->out[0].dim[i + 2] = (int64_t)s.image[i];
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;
    const linnet_status st = col_find(q->param, q->in, q->value, s, q->err);

    if (st != LINNET_OK)
        return st == LN_WAIT ? ln_fail(q->err, LINNET_ERR_UNSUPPORTED, "Col2Im: shapes are not known") : st;
    s->planes = s->axes == 2 && q->in[0].dtype == LINNET_F32;
    q->work = (double)ln_count(&q->out[0]) * (double)s->taps;
    if (s->planes) {
        q->tasks[0] = ln_count(&q->out[0]) ? s->n * s->c : 0;
        return LINNET_OK;
    }
    s->step = LN_MAX((size_t)LN_CHUNK / s->taps, (size_t)1);
    q->tasks[0] = ln_ceil_div(ln_count(&q->out[0]), s->step);
    return LINNET_OK;
}

/* The column that has tap `tap` on pixel `pixel`; false: none has. */
static bool col_place(const state *s, size_t pixel, size_t tap, size_t *column)
{
    size_t unit = 1;

    *column = 0;
    for (size_t i = (size_t)s->axes; i-- > 0;) {
        const size_t at = pixel % s->image[i] + s->pad[i], back = tap % s->block[i] * s->dilation[i];

        pixel /= s->image[i];
        tap /= s->block[i];
        if (at < back || (at - back) % s->stride[i] != 0 || (at - back) / s->stride[i] >= s->count[i])
            return false;
        *column += (at - back) / s->stride[i] * unit;
        unit *= s->count[i];
    }
    return true;
}

/* Blocks [*from, *end) of an axis whose tap at `back` lies inside the image. */
static void col_inside(const state *s, size_t i, size_t back, size_t *from, size_t *end)
{
    *from = back < s->pad[i] ? ln_ceil_div(s->pad[i] - back, s->stride[i]) : 0;
    const size_t room = s->image[i] + s->pad[i];
    *end = room > back ? LN_MIN(ln_ceil_div(room - back, s->stride[i]), s->count[i]) : 0;
}

static void col_plane(const ln_run *r, const state *s, size_t plane)
{
    float *y = (float *)r->out[0] + plane * s->pixels;

    memset(y, 0, s->pixels * sizeof *y);
    for (size_t t = 0; t < s->taps; t++) {
        const float *x = (const float *)r->in[0] + (plane * s->taps + t) * s->blocks;
        const size_t down = t / s->block[1] * s->dilation[0], right = t % s->block[1] * s->dilation[1];
        size_t top, bottom, first, last;
        col_inside(s, 0, down, &top, &bottom);
        col_inside(s, 1, right, &first, &last);
        for (size_t b = top; b < bottom && first < last; b++) {
            const float *from = x + b * s->count[1] + first;
            float *to = y + (b * s->stride[0] + down - s->pad[0]) * s->image[1] + first * s->stride[1] + right - s->pad[1];
            if (s->stride[1] == 1)
                r->kernel->axpy_f32(last - first, 1.0f, from, to);
            else
                for (size_t i = 0; i < last - first; i++)
                    to[i * s->stride[1]] += from[i];
        }
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;

    if (s->planes) {
        col_plane(r, s, r->task);
        return LINNET_OK;
    }
    const int32_t type = r->in_desc[0].dtype;
    const bool real = ln_dtype(type)->kind == LN_KIND_FLOAT;
    const size_t from = r->task * s->step, end = LN_MIN(from + s->step, ln_count(&r->out_desc[0]));

    for (size_t i = from; i < end; i++) {
        double sum = 0.0;
        uint64_t whole = 0;

        for (size_t t = 0; t < s->taps; t++) {
            size_t column;
            if (!col_place(s, i % s->pixels, t, &column))
                continue;
            const size_t at = (i / s->pixels * s->taps + t) * s->blocks + column;
            if (real)
                sum += ln_get_f64(type, r->in[0], at);
            else
                whole += (uint64_t)ln_get_i64(type, r->in[0], at);
        }
        if (real)
            ln_set_f64(type, r->out[0], i, sum);
        else
            ln_set_i64(type, r->out[0], i, (int64_t)whole);
    }
    return LINNET_OK;
}

static const ln_attr attr[] = {
    { "dilations", LN_ATTR_INTS, offsetof(param, dilations), 0, false },
    { "pads", LN_ATTR_INTS, offsetof(param, pads), 0, false },
    { "strides", LN_ATTR_INTS, offsetof(param, strides), 0, false },
    { 0 },
};

const ln_op ln_op_col2im = {
    .name = "Col2Im", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 3, .in_max = 3,
    .infer = infer, .prepare = prepare, .run = run,
};
