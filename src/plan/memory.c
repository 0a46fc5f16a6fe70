/*
 * memory.c - offsets of buffers in the arena, by lifetime.
 *
 * Largest first, each into the lowest gap among those placed already that are alive at the
 * same time. That is quadratic, so the LARGE largest only are packed like this; further,
 * smaller ones follow one behind the other.
 *
 * Images of many channels are multiples of 4 KB. Where input and output of a layer lie a multiple
 * of 4 KB apart, loads wait for stores that only look like theirs, and both crowd the same sets of
 * the first cache (depthwise 3x3, 512 channels at 14x14: 33 us instead of 17). So large
 * blocks are made a little longer than such a multiple.
 */
#include "plan.h"

#define LARGE 3000
#define STAGGER 320u /* bytes: five lines */

static bool blocks_meet(const ln_buffer *a, const ln_buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Heap sort of indices by falling size, then rising index: no memory, no recursion, one order. */
static bool block_before(const ln_buffer *b, int32_t x, int32_t y)
{
    return b[x].size != b[y].size ? b[x].size > b[y].size : x < y;
}

static void blocks_sift(const ln_buffer *b, int32_t *order, size_t at, size_t count)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && block_before(b, order[child], order[child + 1]))
            child++;
        if (!block_before(b, order[at], order[child]))
            return;
        const int32_t t = order[at];
        order[at] = order[child];
        order[child] = t;
        at = child;
    }
}

static void blocks_sort(const ln_buffer *b, int32_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++)
        order[i] = (int32_t)i;
    for (size_t i = count / 2; i-- > 0;)
        blocks_sift(b, order, i, count);
    for (size_t i = count; i-- > 1;) {
        const int32_t t = order[0];
        order[0] = order[i];
        order[i] = t;
        blocks_sift(b, order, 0, i);
    }
}

LN_MUST_USE static bool blocks_stagger(size_t *size)
{
    return *size < 8192 || *size % 2048 >= STAGGER || ln_add(*size, STAGGER - *size % 2048, size);
}

linnet_status ln_place_blocks(ln_buffer *block, size_t count, ln_arena *brief, size_t *total, linnet_error *err)
{
    int32_t *order = ln_arena_alloc(brief, count + 1, sizeof *order);
    int32_t *placed = ln_arena_alloc(brief, count + 1, sizeof *placed); /* by rising offset */
    size_t placed_count = 0;

    *total = 0;
    if (!order || !placed)
        return ln_fail(err, LINNET_ERR_MEMORY, "out of memory while planning");
    for (size_t i = 0; i < count; i++)
        if (!ln_align_up(block[i].size, LN_ALIGN, &block[i].size) || !blocks_stagger(&block[i].size))
            return ln_fail(err, LINNET_ERR_LIMIT, "a buffer does not fit in memory");
    blocks_sort(block, order, count);

    for (size_t i = 0; i < count; i++) {
        ln_buffer *b = &block[order[i]];
        size_t end;
        b->offset = 0;
        if (i >= LARGE)
            b->offset = *total;
        for (size_t k = 0; i < LARGE && k < placed_count; k++) {
            const ln_buffer *p = &block[placed[k]];
            if (!blocks_meet(b, p))
                continue;
            if (p->offset >= b->offset && p->offset - b->offset >= b->size)
                break;
            b->offset = LN_MAX(b->offset, p->offset + p->size);
        }
        if (!ln_add(b->offset, b->size, &end))
            return ln_fail(err, LINNET_ERR_LIMIT, "the buffers do not fit in memory");
        *total = LN_MAX(*total, end);
        if (i >= LARGE)
            continue;
        size_t at = placed_count++;
        for (; at > 0 && block[placed[at - 1]].offset > b->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = order[i];
    }
    return LINNET_OK;
}
