/*
 * einsum_pair.c - an Einstein sum of two operands as a batched matrix product.
 *
 * Labels fall into four groups: batch (in both operands and the output), rows (left and output),
 * columns (right and output), and those summed over (both operands). Where a group's labels lie
 * in an operand as if they were one axis the product uses them in place; else the operand is
 * brought in order first, and likewise the output afterwards.
 */
#include "einsum.h"

enum { EINSUM_BATCH, EINSUM_ROWS, EINSUM_COLS, EINSUM_SUMS, EINSUM_GROUPS };

/* Labels of each group, outermost first. */
typedef struct einsum_groups {
    uint8_t label[EINSUM_GROUPS][LN_EINSUM_LABELS];
    int32_t count[EINSUM_GROUPS];
} einsum_groups;

bool ln_einsum_is_pair(const ln_einsum *s)
{
    return s->operands == 2 && ln_product_type(s->dtype) && ((s->has[0] ^ s->has[1]) & ~s->output) == 0;
}

static void einsum_put(einsum_groups *g, int32_t group, uint8_t label)
{
    g->label[group][g->count[group]++] = label;
}

static void einsum_group(const ln_einsum *s, int32_t left, einsum_groups *g)
{
    const uint64_t a = s->has[left], b = s->has[1 - left];

    memset(g, 0, sizeof *g);
    for (int32_t i = 0; i < s->labels; i++) {
        const uint8_t l = s->label[i];
        const bool in_a = a >> l & 1, in_b = b >> l & 1;

        if (i >= s->out_rank)
            einsum_put(g, EINSUM_SUMS, l);
        else
            einsum_put(g, in_a && in_b ? EINSUM_BATCH : in_a ? EINSUM_ROWS : EINSUM_COLS, l);
    }
    /* the sum's labels in the order in which they lie in the left operand */
    uint8_t *sum = g->label[EINSUM_SUMS];
    for (int32_t i = 1; i < g->count[EINSUM_SUMS]; i++)
        for (int32_t k = i; k > 0 && s->stride[left][sum[k]] > s->stride[left][sum[k - 1]]; k--) {
            const uint8_t swap = sum[k];
            sum[k] = sum[k - 1];
            sum[k - 1] = swap;
        }
}

/* The output is batch, rows, columns in this order. */
static bool einsum_ordered(const ln_einsum *s, const einsum_groups *g)
{
    int32_t n = 0;

    for (int32_t group = EINSUM_BATCH; group <= EINSUM_COLS; group++)
        for (int32_t i = 0; i < g->count[group]; i++)
            if (s->out[n++] != g->label[group][i])
                return false;
    return true;
}

static size_t einsum_elements(const ln_einsum *s, const einsum_groups *g, int32_t group)
{
    size_t n = 1;

    for (int32_t i = 0; i < g->count[group]; i++)
        n *= (size_t)s->size[g->label[group][i]];
    return n;
}

/* A group as one axis of an operand: its stride; false: it is not one. */
static bool einsum_axis(const ln_einsum *s, const einsum_groups *g, int32_t group, int32_t operand, size_t *stride)
{
    int64_t inner = 0, size = 1;
    bool first = true;

    for (int32_t i = g->count[group] - 1; i >= 0; i--) {
        const uint8_t l = g->label[group][i];

        if (s->size[l] == 1)
            continue;
        if (first)
            inner = s->stride[operand][l];
        else if (s->stride[operand][l] != inner * size)
            return false;
        first = false;
        size *= s->size[l];
    }
    *stride = (size_t)inner;
    return true;
}

/* Operand `which` (0: A, 1: B) of the product: strides in place, or a copy in order. */
static linnet_status einsum_operand(ln_prepare *q, ln_einsum *s, const einsum_groups *g, int32_t which)
{
    ln_einsum_pair *pair = &s->pair;
    ln_product *p = &pair->product;
    const int32_t operand = which ? pair->right : pair->left;
    const int32_t row = which ? EINSUM_SUMS : EINSUM_ROWS, col = which ? EINSUM_COLS : EINSUM_SUMS;
    size_t rs, cs, unit;

    if (!einsum_axis(s, g, row, operand, &rs) || !einsum_axis(s, g, col, operand, &cs)
        || !einsum_axis(s, g, EINSUM_BATCH, operand, &unit)) {
        const int32_t order[3] = { EINSUM_BATCH, row, col };

        pair->copies[which] = true;
        pair->elements[which] = 1;
        for (int32_t k = 0; k < 3; k++)
            for (int32_t i = 0; i < g->count[order[k]]; i++) {
                pair->order[which][pair->count[which]++] = g->label[order[k]][i];
                if (!ln_mul(pair->elements[which], (size_t)s->size[g->label[order[k]][i]], &pair->elements[which]))
                    return ln_fail(q->err, LINNET_ERR_LIMIT, "Einsum: operands are too large");
            }
        cs = 1;
        rs = einsum_elements(s, g, col);
        unit = rs * einsum_elements(s, g, row);
    }
    if (which) {
        p->b_rs = rs;
        p->b_cs = cs;
        p->b_unit = unit;
        p->b_stride[0] = unit ? 1 : 0;
    } else {
        p->a_rs = rs;
        p->a_cs = cs;
        p->a_unit = unit;
        p->a_stride[0] = unit ? 1 : 0;
    }
    return LINNET_OK;
}

/* Room for the copies; the product's workspace comes behind them. */
static linnet_status einsum_room(ln_prepare *q, ln_einsum *s, size_t inner)
{
    ln_einsum_pair *pair = &s->pair;
    size_t at = 0;

    for (int32_t i = 0; i < 3; i++) {
        size_t bytes;

        pair->at[i] = at;
        pair->tasks[i] = ln_ceil_div(pair->elements[i], LN_CHUNK);
        if (!ln_dtype_bytes(s->dtype, pair->elements[i], &bytes) || !ln_add(at, bytes, &at)
            || !ln_align_up(at, LN_ALIGN, &at))
            return ln_fail(q->err, LINNET_ERR_LIMIT, "Einsum: operands are too large");
    }
    pair->inner_at = at;
    if (!ln_add(at, inner, &q->workspace))
        return ln_fail(q->err, LINNET_ERR_LIMIT, "Einsum: operands are too large");
    return LINNET_OK;
}

/* The product itself, planned as if its operands were inputs 0 and 1 of an operator. */
static linnet_status einsum_product(ln_prepare *q, ln_einsum *s)
{
    ln_einsum_pair *pair = &s->pair;
    const bool same = pair->right == 1 && !pair->copies[1];
    const void *const value[2] = { NULL, same ? q->value[1] : NULL };
    ln_prepare inner = *q;
    linnet_status st;

    inner.value = value;
    inner.in_count = 2;
    inner.phases = 1;
    if ((st = ln_product_prepare(&inner, &pair->product)) != LINNET_OK
        || (st = einsum_room(q, s, inner.workspace)) != LINNET_OK)
        return st;
    q->scratch = inner.scratch;
    q->work = inner.work;
    q->flop = inner.flop;
    q->phases = 0;
    if (pair->copies[0] || pair->copies[1])
        q->tasks[q->phases++] = pair->tasks[0] + pair->tasks[1];
    pair->first = q->phases;
    for (int32_t i = 0; i < inner.phases; i++)
        q->tasks[q->phases++] = inner.tasks[i];
    if (pair->turns)
        q->tasks[q->phases++] = pair->tasks[2];
    return LINNET_OK;
}

linnet_status ln_einsum_prepare_pair(ln_prepare *q, ln_einsum *s)
{
    ln_einsum_pair *pair = &s->pair;
    ln_product *p = &pair->product;
    einsum_groups g;
    linnet_status st;

    s->paired = true;
    einsum_group(s, 0, &g);
    if (!einsum_ordered(s, &g)) { /* columns before rows: the other operand is the left one */
        einsum_group(s, 1, &g);
        pair->left = einsum_ordered(s, &g) ? 1 : 0;
        einsum_group(s, pair->left, &g);
    }
    pair->right = 1 - pair->left;
    p->dtype = s->dtype;
    p->m = einsum_elements(s, &g, EINSUM_ROWS);
    p->n = einsum_elements(s, &g, EINSUM_COLS);
    p->k = einsum_elements(s, &g, EINSUM_SUMS);
    p->batch = einsum_elements(s, &g, EINSUM_BATCH);
    p->axes = p->batch > 1 ? 1 : 0;
    p->dim[0] = p->batch;
    p->alpha = p->beta = 1.0f;
    p->bias = p->c = p->residual = -1;
    if ((st = einsum_operand(q, s, &g, 0)) != LINNET_OK || (st = einsum_operand(q, s, &g, 1)) != LINNET_OK)
        return st;
    if (!einsum_ordered(s, &g)) {
        pair->turns = true;
        pair->elements[2] = ln_count(&q->out[0]);
        for (int32_t group = EINSUM_BATCH; group <= EINSUM_COLS; group++)
            for (int32_t i = 0; i < g.count[group]; i++)
                pair->order[2][pair->count[2]++] = g.label[group][i];
    }
    return einsum_product(q, s);
}

/* ---- run ----------------------------------------------------------------------------- */

/*
 * Elements [from, from + n) of an array whose axes are `count` labels, gathered from x by `stride`
 * (by label).
 */
static void einsum_gather(const ln_einsum *s, const uint8_t *label, int32_t count, const int64_t *stride,
                          size_t from, size_t n, const char *x, char *y)
{
    const size_t size = (size_t)ln_dtype(s->dtype)->bits / 8;
    int64_t index[LN_EINSUM_LABELS] = { 0 }, at = 0;
    size_t left = from;

    for (int32_t i = count - 1; i >= 0; i--) {
        const size_t dim = (size_t)s->size[label[i]];
        index[i] = (int64_t)(left % dim);
        left /= dim;
        at += index[i] * stride[label[i]];
    }
    for (size_t k = from; k < from + n; k++) {
        memcpy(y + k * size, x + (size_t)at * size, size);
        for (int32_t i = count - 1; i >= 0; i--) {
            at += stride[label[i]];
            if (++index[i] < s->size[label[i]])
                break;
            at -= stride[label[i]] * s->size[label[i]];
            index[i] = 0;
        }
    }
}

/* Copying task `task` of operand 0 or 1, or (2) of the output. */
static void einsum_copy(const ln_run *r, const ln_einsum *s, int32_t which, size_t task)
{
    const ln_einsum_pair *pair = &s->pair;
    char *room = (char *)r->workspace + pair->at[which];
    int64_t stride[LN_EINSUM_LABELS] = { 0 }, step = 1;
    size_t from, n;

    ln_part(pair->elements[which], task, &from, &n);
    if (which < 2) {
        const int32_t operand = which ? pair->right : pair->left;
        einsum_gather(s, pair->order[which], pair->count[which], s->stride[operand], from, n, r->in[operand], room);
        return;
    }
    for (int32_t i = pair->count[2] - 1; i >= 0; i--) {
        stride[pair->order[2][i]] = step;
        step *= s->size[pair->order[2][i]];
    }
    einsum_gather(s, s->out, s->out_rank, stride, from, n, room, r->out[0]);
}

linnet_status ln_einsum_run_pair(const ln_run *r, const ln_einsum *s)
{
    const ln_einsum_pair *pair = &s->pair;
    char *work = r->workspace;

    if (r->phase < pair->first) {
        const bool a = r->task < pair->tasks[0];
        einsum_copy(r, s, a ? 0 : 1, a ? r->task : r->task - pair->tasks[0]);
        return LINNET_OK;
    }
    if (r->phase > pair->first + pair->product.last) {
        einsum_copy(r, s, 2, r->task);
        return LINNET_OK;
    }
    const void *const in[2] = { pair->copies[0] ? work + pair->at[0] : r->in[pair->left],
                                pair->copies[1] ? work + pair->at[1] : r->in[pair->right] };
    void *const out[1] = { pair->turns ? work + pair->at[2] : r->out[0] };
    ln_run inner = *r;

    inner.in = in;
    inner.out = out;
    inner.workspace = work ? work + pair->inner_at : NULL;
    inner.phase = r->phase - pair->first;
    return ln_product_run(&inner, &pair->product);
}
