/*
 * map.c - functions of one element.
 */
#include "map.h"

linnet_status ln_map_infer(const ln_infer *q, const ln_map_spec *spec)
{
    if (!ln_type_in(q->in[0].dtype, spec->types))
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    q->out[0] = q->in[0];
    return LINNET_OK;
}

linnet_status ln_map_prepare(ln_prepare *q, const ln_map_spec *spec, float a, float b)
{
    ln_map *s = q->state;

    s->spec = spec;
    s->a = a;
    s->b = b;
    s->wide = ln_wide_of(q->in[0].dtype);
    if ((s->wide == LN_WIDE_I64 && !spec->i) || (s->wide == LN_WIDE_U64 && !spec->u))
        s->wide = LN_WIDE_F64;
    if (s->wide == LN_WIDE_F32 && spec->fn != LN_FN_NONE)
        s->kernel = q->kernel->unary_f32[spec->fn];
    ln_split(q, ln_count(&q->out[0]));
    q->work *= s->kernel ? 2 : 8;
    return LINNET_OK;
}

/* n wide numbers in place. */
static void map_block(const ln_map *s, size_t n, void *x)
{
    const ln_map_spec *spec = s->spec;
    float *f = x;
    double *d = x;
    int64_t *i64 = x;
    uint64_t *u64 = x;

    if (s->kernel)
        s->kernel(n, f, f, s->a, s->b);
    else if (s->wide == LN_WIDE_F32)
        for (size_t i = 0; i < n; i++)
            f[i] = (float)spec->f((double)f[i], (double)s->a, (double)s->b);
    else if (s->wide == LN_WIDE_F64)
        for (size_t i = 0; i < n; i++)
            d[i] = spec->f(d[i], (double)s->a, (double)s->b);
    else if (s->wide == LN_WIDE_I64)
        for (size_t i = 0; i < n; i++)
            i64[i] = spec->i(i64[i]);
    else
        for (size_t i = 0; i < n; i++)
            u64[i] = spec->u(u64[i]);
}

linnet_status ln_map_run(const ln_run *r)
{
    const ln_map *s = r->state;
    const int32_t type = r->in_desc[0].dtype;
    ln_block block;
    size_t from, count;

    ln_part(ln_count(&r->out_desc[0]), r->task, &from, &count);
    if (s->kernel && type == LINNET_F32) {
        s->kernel(count, (const float *)r->in[0] + from, (float *)r->out[0] + from, s->a, s->b);
        return LINNET_OK;
    }
    for (size_t n; count > 0; from += n, count -= n) {
        n = LN_MIN(count, (size_t)LN_BLOCK);
        ln_wide_read(r->kernel, type, r->in[0], from, n, s->wide, &block);
        map_block(s, n, &block);
        ln_wide_write(r->kernel, type, s->wide, &block, n, r->out[0], from);
    }
    return LINNET_OK;
}

bool ln_map_act(const ln_map_spec *spec, const ln_desc *in, float a, float b, ln_act *out)
{
    if (!ln_is_f32(&in[0]) || spec->fn == LN_FN_NONE)
        return false;
    *out = (ln_act){ spec->fn, a, b };
    return true;
}
