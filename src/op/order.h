/*
 * order.h - floats as integers in their order, and heaps of such keys.
 *
 * A key holds what is compared in its upper half and a place in its lower one, so that keys differ and
 * equal numbers keep the order of their places.
 */
#ifndef LN_ORDER_H
#define LN_ORDER_H

#include "op.h"

/* Larger numbers give larger results; -0 is 0, and NaN is above all. */
static inline uint32_t ln_order_f32(float x)
{
    uint32_t bits;

    x += 0.0f;
    memcpy(&bits, &x, sizeof bits);
    if (x != x)
        return UINT32_MAX;
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/* A key among those of which the largest come first: of equal numbers the one with the lowest place. */
static inline uint64_t ln_key(uint32_t order, size_t place)
{
    return (uint64_t)order << 32 | (uint32_t)~(uint32_t)place;
}
static inline size_t ln_key_place(uint64_t key) { return (uint32_t)~(uint32_t)key; }

/* Put h[at] where it belongs below itself: a parent is never above its children (the smallest is h[0]). */
static inline void ln_heap_down(uint64_t *h, size_t at, size_t n)
{
    const uint64_t key = h[at];

    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && h[child + 1] < h[child];
        if (key <= h[child])
            break;
        h[at] = h[child];
    }
    h[at] = key;
}

static inline void ln_heap_make(uint64_t *h, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        ln_heap_down(h, i, n);
}

/* The keys of a heap, largest first. */
static inline void ln_heap_sort(uint64_t *h, size_t n)
{
    for (size_t i = n; i-- > 1;) { /* the smallest goes to the end */
        const uint64_t key = h[0];
        h[0] = h[i];
        h[i] = key;
        ln_heap_down(h, 0, i);
    }
}

#endif
