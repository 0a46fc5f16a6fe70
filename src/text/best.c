/*
 * best.c - a heap of candidates, and what the decoders check alike.
 */
#include "best.h"

#include <math.h>

void ln_best_sink(ln_best *heap, size_t n, size_t i, bool best_first)
{
    for (size_t k; i < n / 2; i = k) {
        k = 2 * i + 1;
        if (k + 1 < n && ln_best_before(&heap[k + 1], &heap[k]) == best_first)
            k++;
        if (ln_best_before(&heap[k], &heap[i]) != best_first)
            return;
        const ln_best t = heap[i];
        heap[i] = heap[k];
        heap[k] = t;
    }
}

void ln_best_offer(ln_best *heap, size_t *n, size_t most, ln_best item)
{
    if (*n == most) {
        if (most == 0 || !ln_best_before(&item, &heap[0]))
            return;
        heap[0] = item;
        ln_best_sink(heap, *n, 0, false);
        return;
    }
    size_t i = (*n)++;
    for (size_t up; i > 0; i = up) {
        up = (i - 1) / 2;
        if (!ln_best_before(&heap[up], &item))
            break;
        heap[i] = heap[up];
    }
    heap[i] = item;
}

void ln_best_sort(ln_best *heap, size_t n)
{
    while (n > 1) {
        const ln_best worst = heap[0];
        heap[0] = heap[--n];
        heap[n] = worst;
        ln_best_sink(heap, n, 0, false);
    }
}

linnet_status ln_scores_ok(const float *x, size_t rows, size_t columns, const char *what, linnet_error *err)
{
    for (size_t r = 0; r < rows; r++, x += columns)
        for (size_t i = 0; i < columns; i++)
            if (!(x[i] < INFINITY))
                return ln_fail(err, LINNET_ERR_DATA, "%s: score %zu of row %zu is %g", what, i, r, (double)x[i]);
    return LINNET_OK;
}

bool ln_text_options(void *to, const void *from, uint32_t struct_size, size_t known)
{
    memset(to, 0, known);
    if (struct_size < sizeof(uint32_t) || struct_size > 4096)
        return false;
    memcpy(to, from, LN_MIN((size_t)struct_size, known));
    return true;
}
