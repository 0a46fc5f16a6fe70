/*
 * where.c - Where: one of two values by a condition, all three broadcasting.
 */
#include "broadcast.h"

typedef struct state { ln_bcast b; } state;

static linnet_status infer(const ln_infer *q)
{
    ln_desc shape = q->in[0];

    if (q->in[0].dtype != LINNET_BOOL)
        return ln_fail_type(q->err, 0, q->in[0].dtype);
    for (int32_t i = 1; i < 3; i++)
        if (ln_dtype(q->in[i].dtype)->bits < 8)
            return ln_fail_type(q->err, i, q->in[i].dtype);
    if (q->in[1].dtype != q->in[2].dtype)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Where: values of type %s and %s", ln_dtype(q->in[1].dtype)->name,
                       ln_dtype(q->in[2].dtype)->name);
    if (!ln_broadcast(&shape, &q->in[1], &shape) || !ln_broadcast(&shape, &q->in[2], &shape))
        return ln_fail(q->err, LINNET_ERR_SHAPE, "Where: the shapes do not broadcast");
    shape.dtype = q->in[1].dtype;
    q->out[0] = shape;
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const ln_desc *in[3] = { &q->in[0], &q->in[1], &q->in[2] };
    state *s = q->state;

    ln_bcast_init(&s->b, &q->out[0], 3, in);
    ln_split(q, s->b.total);
    return LINNET_OK;
}

#define WHERE_LOOP(T)                                                                      \
    do {                                                                                   \
        const T *x = o[1].p, *y = o[2].p;                                                  \
        T *z = out;                                                                        \
        for (size_t i = 0; i < n; i++)                                                     \
            z[i] = c[i * o[0].step] ? x[i * o[1].step] : y[i * o[2].step];                 \
    } while (0)

static void where_select(const ln_kernels *k, size_t n, const ln_operand *o, void *out)
{
    const uint8_t *c = o[0].p;
    const size_t size = o[1].size;

    if (size == 4 && o[0].step) {
        k->select_32(n, c, o[1].p, o[1].step, o[2].p, o[2].step, out);
        return;
    }
    switch (size) {
    case 1: WHERE_LOOP(uint8_t); break;
    case 2: WHERE_LOOP(uint16_t); break;
    case 4: WHERE_LOOP(uint32_t); break;
    case 8: WHERE_LOOP(uint64_t); break;
    default:
        for (size_t i = 0; i < n; i++) {
            const ln_operand *v = c[i * o[0].step] ? &o[1] : &o[2];
            memmove((char *)out + i * size, (const char *)v->p + i * v->step * size, size);
        }
        break;
    }
}

static linnet_status run(const ln_run *r)
{
    const state *s = r->state;
    const size_t size = ln_dtype(r->out_desc[0].dtype)->bits / 8u;
    ln_block room[5]; /* elements take up to 16 bytes */
    ln_operand o[3] = { { r->in[0], 1, &room[0], NULL, 0 }, { r->in[1], size, &room[1], NULL, 0 },
                        { r->in[2], size, &room[3], NULL, 0 } };
    size_t from, count;
    ln_walk w;

    ln_part(s->b.total, r->task, &from, &count);
    ln_walk_start(&w, &s->b, from, count);
    for (size_t n; (n = ln_walk_take(&w, o, LN_CHUNK)) > 0; from += n)
        where_select(r->kernel, n, o, (char *)r->out[0] + from * size);
    return LINNET_OK;
}

const ln_op ln_op_where = {
    .name = "Where", .state_size = sizeof(state), .in_min = 3, .in_max = 3, .flags = LN_OP_ELEMENTWISE,
    .inplace = 6, .infer = infer, .prepare = prepare, .run = run,
};

#undef WHERE_LOOP
