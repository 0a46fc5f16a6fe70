/*
 * broadcast.c - axes merged, and the walk over pieces.
 */
#include "broadcast.h"

/* Rows shorter than this are gathered: a call per row would cost more. */
#define BCAST_SHORT 48u

static bool bcast_merges(const ln_bcast *b, const size_t *step, size_t dim)
{
    const int32_t last = b->rank - 1;

    for (int32_t k = 0; k < b->operands; k++)
        if (b->stride[k][last] != step[k] * dim)
            return false;
    return true;
}

void ln_bcast_init(ln_bcast *b, const ln_desc *out, int32_t operands, const ln_desc *const *in)
{
    int64_t stride[LN_BCAST_MAX][LN_MAX_RANK];

    memset(b, 0, sizeof *b);
    b->operands = operands;
    b->total = ln_count(out);
    for (int32_t k = 0; k < operands; k++)
        ln_broadcast_strides(in[k], out, stride[k]);
    for (int32_t i = 0; i < out->rank; i++) {
        const size_t dim = (size_t)out->dim[i];
        size_t step[LN_BCAST_MAX] = { 0 };
        if (dim == 1)
            continue;
        for (int32_t k = 0; k < operands; k++)
            step[k] = (size_t)stride[k][i];
        if (b->rank > 0 && bcast_merges(b, step, dim))
            b->dim[b->rank - 1] *= dim;
        else
            b->dim[b->rank++] = dim;
        for (int32_t k = 0; k < operands; k++)
            b->stride[k][b->rank - 1] = step[k];
    }
    if (b->rank == 0) {
        b->rank = 1;
        b->dim[0] = 1;
    }
    for (int32_t k = 0; k < operands; k++)
        b->dense[k] = ln_count(in[k]) == b->total;
    b->gather = b->rank > 1 && b->dim[b->rank - 1] < BCAST_SHORT;
}

void ln_walk_start(ln_walk *w, const ln_bcast *b, size_t from, size_t count)
{
    memset(w, 0, sizeof *w);
    w->b = b;
    w->left = count;
    for (int32_t d = b->rank - 1; d >= 0 && count > 0; d--) {
        w->at[d] = from % b->dim[d];
        from /= b->dim[d];
        for (int32_t k = 0; k < b->operands; k++)
            w->offset[k] += w->at[d] * b->stride[k][d];
    }
}

/* n steps on along axis d, at most to its end, which are `each` elements of the output apiece. */
static void walk_skip(ln_walk *w, int32_t d, size_t n, size_t each)
{
    const ln_bcast *b = w->b;

    w->left -= n * each;
    w->at[d] += n;
    for (int32_t k = 0; k < b->operands; k++)
        w->offset[k] += n * b->stride[k][d];
    for (; d > 0 && w->at[d] == b->dim[d]; d--) {
        for (int32_t k = 0; k < b->operands; k++)
            w->offset[k] += b->stride[k][d - 1] - b->dim[d] * b->stride[k][d];
        w->at[d] = 0;
        w->at[d - 1]++;
    }
}

static void walk_copy(const ln_operand *o, size_t from, size_t step, size_t n, size_t to)
{
    const char *x = (const char *)o->base + from * o->size;
    char *y = (char *)o->room + to * o->size;

    if (step) {
        memcpy(y, x, n * o->size);
        return;
    }
    switch (o->size) {
    case 1: memset(y, *(const uint8_t *)x, n); break;
    case 2:
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)(void *)y)[i] = *(const uint16_t *)(const void *)x;
        break;
    case 4:
        for (size_t i = 0; i < n; i++)
            memcpy(y + i * 4, x, 4);
        break;
    case 8:
        for (size_t i = 0; i < n; i++)
            memcpy(y + i * 8, x, 8);
        break;
    default:
        for (size_t i = 0; i < n; i++)
            memcpy(y + i * o->size, x, o->size);
        break;
    }
}

/* `rows` rows of n elements, `next` elements apart; the same one again where that is 0. */
static void walk_rows(const ln_operand *o, size_t from, size_t step, size_t next, size_t rows, size_t n, size_t to)
{
    const char *x = (const char *)o->base + from * o->size;
    char *y = (char *)o->room + to * o->size;

    if (o->size == 4 && next) {
        for (size_t i = 0; i < rows; i++, x += next * 4)
            for (size_t j = 0; j < n; j++, y += 4)
                memcpy(y, x + j * step * 4, 4);
        return;
    }
    for (size_t i = 0; i < (next ? rows : 1); i++)
        walk_copy(o, from + i * next, step, n, to + i * n);
    for (size_t done = n * o->size, all = rows * done; !next && done < all; done *= 2)
        memcpy(y + done, y, LN_MIN(done, all - done));
}

static size_t walk_gather(ln_walk *w, ln_operand *o, size_t n)
{
    const ln_bcast *b = w->b;
    const int32_t last = b->rank - 1;

    for (int32_t k = 0; k < b->operands; k++) {
        o[k].step = 1;
        o[k].p = b->dense[k] ? (const char *)o[k].base + w->offset[k] * o[k].size : o[k].room;
    }
    for (size_t at = 0; at < n;) {
        const size_t dim = b->dim[last], row = LN_MIN(dim - w->at[last], n - at);
        const size_t rows = row < dim ? 1 : LN_MIN((n - at) / dim, b->dim[last - 1] - w->at[last - 1]);
        for (int32_t k = 0; k < b->operands; k++)
            if (!b->dense[k])
                walk_rows(&o[k], w->offset[k], b->stride[k][last], b->stride[k][last - 1], rows, row, at);
        if (row < dim)
            walk_skip(w, last, row, 1);
        else
            walk_skip(w, last - 1, rows, dim);
        at += rows * row;
    }
    return n;
}

size_t ln_walk_take(ln_walk *w, ln_operand *o, size_t most)
{
    const ln_bcast *b = w->b;
    const int32_t last = b->rank - 1;

    if (w->left == 0)
        return 0;
    if (b->gather)
        return walk_gather(w, o, LN_MIN(LN_MIN(w->left, most), (size_t)LN_BLOCK));
    const size_t n = LN_MIN(LN_MIN(w->left, most), b->dim[last] - w->at[last]);
    for (int32_t k = 0; k < b->operands; k++) {
        o[k].p = (const char *)o[k].base + w->offset[k] * o[k].size;
        o[k].step = b->stride[k][last];
    }
    walk_skip(w, last, n, 1);
    return n;
}

#undef BCAST_SHORT
