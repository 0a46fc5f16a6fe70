/*
 * clip.c - Clip: min(max(x, low), high), both ends optional inputs of one element.
 */
#include "element.h"

#include <math.h>

static bool clip_has(int32_t in_count, const ln_desc *in, int32_t i) { return i < in_count && in[i].dtype != 0; }

static linnet_status infer(const ln_infer *q)
{
    if (!ln_type_in(q->in[0].dtype, LN_TYPES_NUMBER))
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    for (int32_t i = 1; i < 3; i++) {
        size_t count;
        if (!clip_has(q->in_count, q->in, i))
            continue;
        if (q->in[i].dtype != q->in[0].dtype)
            return ln_fail_type(q->err, i, q->in[i].dtype);
        if (!ln_desc_count(&q->in[i], &count) || count != 1)
            return ln_fail(q->err, LINNET_ERR_SHAPE, "Clip: input %d must have one element", (int)i);
    }
    q->out[0] = q->in[0];
    return LINNET_OK;
}

typedef struct state { bool low, high; } state;

static linnet_status prepare(ln_prepare *q)
{
    state *s = q->state;

    s->low = clip_has(q->in_count, q->in, 1);
    s->high = clip_has(q->in_count, q->in, 2);
    ln_split(q, ln_count(&q->out[0]));
    return LINNET_OK;
}

typedef union clip_end { float f32; double f64; int64_t i64; uint64_t u64; } clip_end;

/* NaN stays; with low above high everything becomes high. */
#define CLIP_LOOP(field)                                                               \
    for (size_t i = 0; i < n; i++) {                                                   \
        if (x->field[i] < low->field)                                                  \
            x->field[i] = low->field;                                                  \
        if (x->field[i] > high->field)                                                 \
            x->field[i] = high->field;                                                 \
    }

static void clip_block(int32_t wide, size_t n, ln_block *x, const clip_end *low, const clip_end *high)
{
    if (wide == LN_WIDE_F64) {
        CLIP_LOOP(f64)
    } else if (wide == LN_WIDE_I64) {
        CLIP_LOOP(i64)
    } else {
        CLIP_LOOP(u64)
    }
}

/* The ends as wide numbers; where there is none, the type's own. */
static void clip_ends(const ln_run *r, const state *s, int32_t wide, clip_end *low, clip_end *high)
{
    const int32_t type = r->in_desc[0].dtype;

    switch (wide) {
    case LN_WIDE_F32: low->f32 = -INFINITY, high->f32 = INFINITY; break;
    case LN_WIDE_F64: low->f64 = -(double)INFINITY, high->f64 = (double)INFINITY; break;
    case LN_WIDE_I64: low->i64 = INT64_MIN, high->i64 = INT64_MAX; break;
    default:          low->u64 = 0, high->u64 = UINT64_MAX; break;
    }
    if (s->low)
        ln_wide_read(r->kernel, type, r->in[1], 0, 1, wide, low);
    if (s->high)
        ln_wide_read(r->kernel, type, r->in[2], 0, 1, wide, high);
}

static linnet_status run(const ln_run *r)
{
    const int32_t type = r->in_desc[0].dtype, wide = ln_wide_of(type);
    const ln_unary_f32 kernel = r->kernel->unary_f32[LN_FN_CLIP];
    clip_end low, high;
    ln_block block;
    size_t from, count;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    clip_ends(r, r->state, wide, &low, &high);
    if (type == LINNET_F32) {
        kernel(count, (const float *)r->in[0] + from, (float *)r->out[0] + from, low.f32, high.f32);
        return LINNET_OK;
    }
    for (size_t n; count > 0; from += n, count -= n) {
        n = LN_MIN(count, (size_t)LN_BLOCK);
        ln_wide_read(r->kernel, type, r->in[0], from, n, wide, &block);
        if (wide == LN_WIDE_F32)
            kernel(n, block.f32, block.f32, low.f32, high.f32);
        else
            clip_block(wide, n, &block, &low, &high);
        ln_wide_write(r->kernel, type, wide, &block, n, r->out[0], from);
    }
    return LINNET_OK;
}

static bool act(const void *unused, int32_t in_count, const ln_desc *in, const void *const *value, ln_act *out)
{
    LN_UNUSED(unused);
    if (!ln_is_f32(&in[0]))
        return false;
    *out = (ln_act){ LN_FN_CLIP, -INFINITY, INFINITY };
    for (int32_t i = 1; i < 3; i++) {
        if (!clip_has(in_count, in, i))
            continue;
        if (!value[i])
            return false;
        memcpy(i == 1 ? &out->a : &out->b, value[i], sizeof(float));
    }
    return true;
}

const ln_op ln_op_clip = {
    .name = "Clip", .state_size = sizeof(state), .in_min = 1, .in_max = 3, .flags = LN_OP_ELEMENTWISE,
    .inplace = 1, .infer = infer, .prepare = prepare, .run = run, .act = act,
};

#undef CLIP_LOOP
