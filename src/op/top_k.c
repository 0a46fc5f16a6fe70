/*
 * top_k.c - TopK: the k largest or smallest along an axis, with their places.
 *
 * Each lane keeps a heap of k places whose top is the worst one kept; sorting unwinds the heap.
 * Of equal elements the one with the lower index comes first; NaN is above every number. f32 are
 * compared as keys (order.h).
 */
#include "order.h"

typedef struct param { int64_t axis, largest, sorted; } param;
typedef struct state { size_t dim, inner, k; } state;

static linnet_status infer(const ln_infer *q)
{
    const param *p = q->param;
    const ln_desc *in = &q->in[0];
    const uint8_t kind = ln_dtype(in->dtype)->kind;
    int32_t axis;

    if (kind != LN_KIND_FLOAT && kind != LN_KIND_INT && kind != LN_KIND_UINT)
        return ln_fail_type(q->err, 0, in->dtype);
    if (!ln_axis(p->axis, in->rank, &axis) || q->in[1].dtype != LINNET_I64 || ln_count(&q->in[1]) != 1)
        return ln_fail(q->err, LINNET_ERR_SHAPE, "TopK: axis %lld or k does not fit a tensor of rank %d",
                       (long long)p->axis, (int)in->rank);
    if (!q->value[1])
        return LN_WAIT;
    const int64_t k = ln_get_i64(LINNET_I64, q->value[1], 0);
    if (k < 0 || k > in->dim[axis])
        return ln_fail(q->err, LINNET_ERR_SHAPE, "TopK: k is %lld, the axis has %lld elements", (long long)k,
                       (long long)in->dim[axis]);
    q->out[0] = *in;
    q->out[0].dim[axis] = k;
    if (q->out_count > 1) {
        q->out[1] = q->out[0];
        q->out[1].dtype = LINNET_I64;
    }
    return LINNET_OK;
}

static linnet_status prepare(ln_prepare *q)
{
    const param *p = q->param;
    state *s = q->state;
    int32_t axis;

    if (!ln_axis(p->axis, q->in[0].rank, &axis))
        return LINNET_ERR_SHAPE;
    s->dim = (size_t)q->in[0].dim[axis];
    s->k = (size_t)q->out[0].dim[axis];
    s->inner = ln_count_range(&q->in[0], axis + 1, q->in[0].rank);
    q->tasks[0] = ln_count(&q->out[0]) ? ln_count_range(&q->in[0], 0, axis) * s->inner : 0;
    if (!ln_mul(s->k, sizeof(uint64_t), &q->scratch))
        return LINNET_ERR_LIMIT;
    q->work = 4 * (double)ln_count(&q->in[0]);
    return LINNET_OK;
}

typedef struct top_lane { int32_t dtype; const void *x; size_t base, step; bool largest, is_float; } top_lane;

/* Place a comes before place b in the result. */
static bool top_before(const top_lane *l, size_t a, size_t b)
{
    const size_t i = l->base + a * l->step, j = l->base + b * l->step;

    if (l->is_float) {
        const double x = ln_get_f64(l->dtype, l->x, i), y = ln_get_f64(l->dtype, l->x, j);
        const bool above = x > y || (x != x && y == y), below = x < y || (y != y && x == x);
        return l->largest ? above || (!below && a < b) : below || (!above && a < b);
    }
    const int64_t x = ln_get_i64(l->dtype, l->x, i), y = ln_get_i64(l->dtype, l->x, j);
    if (x == y)
        return a < b;
    const bool above = l->dtype == LINNET_U64 ? (uint64_t)x > (uint64_t)y : x > y;
    return l->largest == above;
}

/* Restore the heap below `at`: every parent comes after its children. */
static void top_sift(const top_lane *l, size_t *heap, size_t at, size_t count)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && top_before(l, heap[child], heap[child + 1]))
            child++;
        if (!top_before(l, heap[at], heap[child]))
            return;
        const size_t t = heap[at];
        heap[at] = heap[child];
        heap[child] = t;
        at = child;
    }
}

/* The same of f32, best keys first into h[0 .. k-1]. `flip` turns the order round: smallest first. */
static void top_f32(const state *s, const float *x, uint32_t flip, uint64_t *h)
{
    for (size_t i = 0; i < s->k; i++)
        h[i] = ln_key(ln_order_f32(x[i * s->inner]) ^ flip, i);
    ln_heap_make(h, s->k);
    for (size_t i = s->k; i < s->dim; i++) {
        const uint64_t key = ln_key(ln_order_f32(x[i * s->inner]) ^ flip, i);
        if (key > h[0]) {
            h[0] = key;
            ln_heap_down(h, 0, s->k);
        }
    }
    ln_heap_sort(h, s->k);
}

static linnet_status top_run_f32(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const size_t outer = r->task / s->inner, in = r->task % s->inner;
    const float *x = (const float *)r->in[0] + outer * s->dim * s->inner + in;
    float *y = r->out[0];
    int64_t *at = r->out[1];
    uint64_t *h = r->scratch;

    top_f32(s, x, p->largest ? 0 : UINT32_MAX, h);
    for (size_t i = 0; i < s->k; i++) {
        const size_t to = (outer * s->k + i) * s->inner + in, place = ln_key_place(h[i]);
        if (y)
            y[to] = x[place * s->inner];
        if (at)
            at[to] = (int64_t)place;
    }
    return LINNET_OK;
}

static linnet_status run(const ln_run *r)
{
    const param *p = r->param;
    const state *s = r->state;
    const int32_t dtype = r->in_desc[0].dtype;
    const size_t size = ln_dtype(dtype)->bits / 8u, outer = r->task / s->inner, in = r->task % s->inner;
    const top_lane l = { dtype, r->in[0], outer * s->dim * s->inner + in, s->inner, p->largest != 0,
                         ln_dtype(dtype)->kind == LN_KIND_FLOAT };
    size_t *heap = r->scratch;

    if (dtype == LINNET_F32 && s->dim <= UINT32_MAX)
        return top_run_f32(r);
    for (size_t i = 0; i < s->k; i++)
        heap[i] = i;
    for (size_t i = s->k / 2; i-- > 0;)
        top_sift(&l, heap, i, s->k);
    for (size_t i = s->k; i < s->dim; i++)
        if (top_before(&l, i, heap[0])) {
            heap[0] = i;
            top_sift(&l, heap, 0, s->k);
        }
    for (size_t i = s->k; i-- > 1;) { /* the worst goes to the end */
        const size_t t = heap[0];
        heap[0] = heap[i];
        heap[i] = t;
        top_sift(&l, heap, 0, i);
    }
    for (size_t i = 0; i < s->k; i++) {
        const size_t to = (outer * s->k + i) * s->inner + in;
        if (r->out[0])
            memcpy((char *)r->out[0] + to * size, (const char *)r->in[0] + (l.base + heap[i] * l.step) * size, size);
        if (r->out[1])
            ((int64_t *)r->out[1])[to] = (int64_t)heap[i];
    }
    return LINNET_OK;
}

static bool permute(ln_permute *q)
{
    return ln_permute_axis(q, &((param *)q->param)->axis);
}

static const ln_attr attr[] = {
    { "axis", LN_ATTR_I64, offsetof(param, axis), -1, false },
    { "largest", LN_ATTR_I64, offsetof(param, largest), 1, false },
    { "sorted", LN_ATTR_I64, offsetof(param, sorted), 1, false },
    { 0 },
};

const ln_op ln_op_top_k = {
    .name = "TopK", .attr = attr, .param_size = sizeof(param), .state_size = sizeof(state),
    .in_min = 2, .in_max = 2, .out_min = 2, .out_max = 2,
    .infer = infer, .prepare = prepare, .run = run, .permute = permute,
};
