/*
 * pair.c - two operands that broadcast.
 */
#include "pair.h"

linnet_status ln_pair_shape(const ln_infer *q, const char *name, int32_t dtype)
{
    char tx[LN_DESC_TEXT], ty[LN_DESC_TEXT];

    if (!ln_broadcast(&q->in[0], &q->in[1], &q->out[0]))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: %s and %s do not broadcast", name,
                       ln_desc_text(&q->in[0], tx), ln_desc_text(&q->in[1], ty));
    q->out[0].dtype = dtype;
    return LINNET_OK;
}

linnet_status ln_pair_infer(const ln_infer *q, const ln_pair_spec *spec)
{
    const int32_t type = q->in[0].dtype;

    for (int32_t i = 0; i < 2; i++)
        if (!ln_type_in(q->in[i].dtype, spec->types))
            return ln_fail_type(q->err, i, q->in[i].dtype);
    if (type != q->in[1].dtype)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "%s: inputs of type %s and %s", spec->name,
                       ln_dtype(type)->name, ln_dtype(q->in[1].dtype)->name);
    return ln_pair_shape(q, spec->name, spec->truth ? LINNET_BOOL : type);
}

/* Is `dtype` the wide type itself, of 8 bytes? */
static bool pair_wide(int32_t dtype, int32_t wide)
{
    return (wide == LN_WIDE_F64 && dtype == LINNET_F64) || (wide == LN_WIDE_I64 && dtype == LINNET_I64) ||
           (wide == LN_WIDE_U64 && dtype == LINNET_U64);
}

linnet_status ln_pair_prepare_as(ln_prepare *q, const ln_pair_spec *spec, int32_t wide, ln_pair *s)
{
    const ln_desc *in[2] = { &q->in[0], &q->in[1] };

    ln_bcast_init(&s->b, &q->out[0], 2, in);
    s->wide = wide;
    s->loop = spec->loop[wide];
    s->out = spec->truth ? 0 : q->out[0].dtype;
    if (spec->kernel >= 0 && wide == LN_WIDE_F32) {
        s->wide_kernel = q->kernel->binary_f32[spec->kernel];
        if (ln_is_f32(&q->in[0]) && ln_is_f32(&q->in[1]))
            s->kernel = s->wide_kernel;
    }
    if (spec->compare && ln_is_f32(&q->in[0]) && ln_is_f32(&q->in[1]))
        s->compare = q->kernel->compare_f32[spec->compare - 1];
    if (spec->logic && q->in[0].dtype == LINNET_BOOL && q->in[1].dtype == LINNET_BOOL)
        s->logic = q->kernel->logic_8[spec->logic - 1];
    s->swap = spec->swap;
    s->same = pair_wide(q->in[0].dtype, wide) && pair_wide(q->in[1].dtype, wide) && pair_wide(s->out, wide);
    if (!s->loop && !s->wide_kernel)
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    ln_split(q, s->b.total);
    return LINNET_OK;
}

linnet_status ln_pair_prepare(ln_prepare *q, const ln_pair_spec *spec)
{
    return ln_pair_prepare_as(q, spec, ln_wide_of(q->in[0].dtype), q->state);
}

/* Where a kernel takes the elements as they are. False: none does. */
static bool pair_direct(const ln_pair *s, ln_walk *w, ln_operand *o, void *z, size_t from)
{
    const ln_operand *x = &o[s->swap], *y = &o[!s->swap];
    uint8_t *bytes = (uint8_t *)z + from;
    float *floats = (float *)z + from;

    if (s->kernel)
        for (size_t n; (n = ln_walk_take(w, o, SIZE_MAX)) > 0; floats += n)
            s->kernel(n, o[0].p, o[0].step, o[1].p, o[1].step, floats);
    else if (s->compare)
        for (size_t n; (n = ln_walk_take(w, o, SIZE_MAX)) > 0; bytes += n)
            s->compare(n, x->p, x->step, y->p, y->step, bytes);
    else if (s->logic)
        for (size_t n; (n = ln_walk_take(w, o, SIZE_MAX)) > 0; bytes += n)
            s->logic(n, o[0].p, o[0].step, o[1].p, o[1].step, bytes);
    else if (s->same && s->loop)
        for (size_t n; (n = ln_walk_take(w, o, SIZE_MAX)) > 0; from += n)
            s->loop(n, o[0].p, o[0].step, o[1].p, o[1].step, (uint64_t *)z + from);
    else
        return false;
    return true;
}

void ln_pair_part(const ln_kernels *k, const ln_pair *s, int32_t x_type, const void *x, int32_t y_type,
                  const void *y, void *z, size_t from, size_t count)
{
    ln_block room[2], wide[2], result;
    ln_operand o[2] = { { x, ln_dtype(x_type)->bits / 8u, &room[0], NULL, 0 },
                        { y, ln_dtype(y_type)->bits / 8u, &room[1], NULL, 0 } };
    ln_walk w;

    ln_walk_start(&w, &s->b, from, count);
    if (pair_direct(s, &w, o, z, from))
        return;
    for (size_t n; (n = ln_walk_take(&w, o, LN_BLOCK)) > 0; from += n) {
        const void *a = ln_wide_view(k, x_type, o[0].p, 0, o[0].step ? n : 1, s->wide, &wide[0]);
        const void *b = ln_wide_view(k, y_type, o[1].p, 0, o[1].step ? n : 1, s->wide, &wide[1]);
        if (s->wide_kernel)
            s->wide_kernel(n, a, o[0].step, b, o[1].step, result.f32);
        else
            s->loop(n, a, o[0].step, b, o[1].step, s->out ? (void *)&result : (void *)((uint8_t *)z + from));
        if (s->out)
            ln_wide_write(k, s->out, s->wide, &result, n, z, from);
    }
}

linnet_status ln_pair_run(const ln_run *r)
{
    const ln_pair *s = r->state;
    size_t from, count;

    ln_part(s->b.total, r->task, &from, &count);
    ln_pair_part(r->kernel, s, r->in_desc[0].dtype, r->in[0], r->in_desc[1].dtype, r->in[1], r->out[0], from, count);
    return LINNET_OK;
}
