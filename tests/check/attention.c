/*
 * attention.c - one query against keys and values: scores and weighted sums, every width and count; masks.
 */
#include "check.h"

static const size_t attend_width[] = { 1, 3, 4, 7, 8, 15, 16, 17, 32, 40, 64, 80, 128 };
static const size_t attend_keys[] = { 0, 1, 2, 3, 4, 5, 7, 8, 33 };

static void attend_scores(size_t n, size_t keys)
{
    const size_t ld = n + check_rand(0, 5), all = keys ? (keys - 1) * ld + n : 0;

    check_case("n=%zu keys=%zu", n, keys);
    float *q = check_buf(n), *k = check_buf(all), *x = check_buf(keys);
    double *want = check_want(keys), *bound = check_want(keys);
    check_fill(q, n, -2.0f, 2.0f);
    check_fill(k, all, -2.0f, 2.0f);
    for (size_t j = 0; j < keys; j++) {
        for (size_t i = 0; i < n; i++) {
            want[j] += 0.375 * (double)q[i] * (double)k[j * ld + i];
            bound[j] += 0x1p-22 * fabs((double)q[i] * (double)k[j * ld + i]);
        }
    }
    check_now.attend_scores_f32(n, keys, q, k, ld, 0.375f, x);
    check_bound(x, want, bound, keys);
}

static void attend_values(size_t n, size_t keys, bool with)
{
    const size_t ld = n + check_rand(0, 5), all = keys ? (keys - 1) * ld + n : 0;

    check_case("n=%zu keys=%zu add=%d", n, keys, with);
    float *w = check_buf(keys), *v = check_buf(all), *y = check_buf(n), *add = with ? check_buf(n) : NULL;
    double *want = check_want(n), *bound = check_want(n);
    check_fill(w, keys, 0.0f, 1.0f);
    check_fill(v, all, -2.0f, 2.0f);
    if (add)
        check_fill(add, n, -2.0f, 2.0f);
    for (size_t i = 0; i < n; i++) {
        want[i] = add ? (double)add[i] : 0.0;
        bound[i] = 0x1p-22;
        for (size_t j = 0; j < keys; j++) {
            want[i] += (double)w[j] * (double)v[j * ld + i];
            bound[i] += 0x1p-22 * fabs((double)w[j] * (double)v[j * ld + i]);
        }
    }
    check_now.attend_values_f32(n, keys, w, v, ld, add, y);
    check_bound(y, want, bound, n);
    if (!add)
        return;
    check_now.attend_values_f32(n, keys, w, v, ld, add, add);
    check_same(add, y, n * sizeof *y);
}

static void attend_mask(size_t n)
{
    check_case("n=%zu", n);
    float *x = check_buf(n), *y = check_buf(n), *want = check_buf(n), *m = check_buf(n);
    float *b = check_buf((n + 3) / 4);
    uint8_t *bits = (uint8_t *)b + (n + 3) / 4 * 4 - n; /* ends where the buffer does */
    check_fill(x, n, -2.0f, 2.0f);
    check_fill(m, n, -2.0f, 2.0f);
    for (size_t i = 0; i < n; i++) {
        bits[i] = (uint8_t)(check_rand(0, 2) * 100);
        m[i] = check_rand(0, 2) ? m[i] : -INFINITY;
        x[i] = check_rand(0, 9) ? x[i] : check_rand(0, 1) ? NAN : INFINITY;
    }
    memcpy(y, x, n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        want[i] = bits[i] ? x[i] : -INFINITY;
    check_now.mask_8(n, bits, y);
    check_same(y, want, n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        want[i] = m[i] == -INFINITY ? -INFINITY : x[i] + m[i];
    check_now.mask_f32(n, m, x);
    for (size_t i = 0; i < n; i++)
        check_ok(isnan(want[i]) ? isnan(x[i]) : x[i] == want[i], "a masked sum is wrong");
}

void check_attention(void)
{
    const bool bytes = check_begin("mask_8", CHECK_ENTRY(mask_8));
    const bool floats = check_begin("mask_f32", CHECK_ENTRY(mask_f32));

    if (bytes || floats)
        for (size_t n = 0; n < 70; n++)
            attend_mask(n);
    if (check_begin("attend_scores_f32", CHECK_ENTRY(attend_scores_f32)))
        for (size_t a = 0; a < CHECK_COUNT(attend_width); a++)
            for (size_t b = 0; b < CHECK_COUNT(attend_keys); b++)
                attend_scores(attend_width[a], attend_keys[b]);
    if (check_begin("attend_values_f32", CHECK_ENTRY(attend_values_f32)))
        for (size_t a = 0; a < CHECK_COUNT(attend_width); a++)
            for (size_t b = 0; b < CHECK_COUNT(attend_keys); b++) {
                attend_values(attend_width[a], attend_keys[b], false);
                attend_values(attend_width[a], attend_keys[b], true);
            }
}
