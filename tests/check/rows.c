/*
 * rows.c - sums of blocks of rows, with strides, optional arrays and results in place.
 */
#include "check.h"

static const size_t rows_width[] = { 1, 3, 4, 7, 8, 15, 16, 17, 33, 64, 100 };

static void rows_blend(size_t rows, size_t n, float sign)
{
    const size_t ldx = n + check_rand(0, 3), ldy = n + check_rand(0, 3), ldz = n + check_rand(0, 3);

    check_case("rows=%zu n=%zu sign=%g", rows, n, (double)sign);
    const size_t nx = (rows - 1) * ldx + n, ny = (rows - 1) * ldy + n, nz = (rows - 1) * ldz + n;
    float *x = check_buf(nx), *y = check_buf(ny), *z = check_buf(nz), *last = check_buf(nx);
    check_fill(x, nx, -2.0f, 2.0f);
    check_fill(y, ny, -2.0f, 2.0f);
    check_fill(z, nz, -2.0f, 2.0f);
    memcpy(last, z, (nx < nz ? nx : nz) * sizeof *z);
    check_now.blend_rows_f32(rows, n, x, ldx, y, ldy, sign, z, ldz);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < ldz && i * ldz + j < (nx < nz ? nx : nz); j++) {
            const float want = j < n ? sign < 0 ? x[i * ldx + j] - y[i * ldy + j] : x[i * ldx + j] + y[i * ldy + j]
                                     : last[i * ldz + j];
            check_ok(z[i * ldz + j] == want, "an element");
        }
    check_now.blend_rows_f32(rows, n, x, ldx, y, ldy, sign, x, ldx); /* in place */
    for (size_t i = 0; i < rows; i++)
        check_same(x + i * ldx, z + i * ldz, n * sizeof *x);
}

static void rows_finish(size_t rows, size_t n, bool has_bias, bool has_add, ln_act act)
{
    const size_t ld = n + check_rand(0, 3), all = (rows - 1) * ld + n;

    check_case("rows=%zu n=%zu bias=%d add=%d act=%d", rows, n, has_bias, has_add, (int)act.fn);
    float *x = check_buf(all), *y = check_buf(all), *z = check_buf(all);
    float *bias = has_bias ? check_buf(n) : NULL, *add = has_add ? check_buf(all) : NULL;
    double *want = check_want(n), *bound = check_want(n);
    check_fill(x, all, -2.0f, 2.0f);
    check_fill(y, all, -2.0f, 2.0f);
    if (bias)
        check_fill(bias, n, -2.0f, 2.0f);
    if (add)
        check_fill(add, all, -2.0f, 2.0f);
    check_now.finish_rows_f32(rows, n, x, ld, y, ld, bias, add, ld, act, z, ld);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < n; j++) {
            const double v = (double)x[i * ld + j] + (double)y[i * ld + j] + (bias ? (double)bias[j] : 0.0)
                             + (add ? (double)add[i * ld + j] : 0.0);
            want[j] = act.fn == LN_FN_CLIP ? fmin(fmax(v, (double)act.a), (double)act.b)
                    : act.fn == LN_FN_TANH ? tanh(v) : v;
            bound[j] = 0x1p-20;
        }
        check_bound(z + i * ld, want, bound, n);
    }
    if (!add)
        return;
    check_now.finish_rows_f32(rows, n, x, ld, y, ld, bias, add, ld, act, add, ld); /* over its addend */
    for (size_t i = 0; i < rows; i++)
        check_same(add + i * ld, z + i * ld, n * sizeof *z);
}

void check_rows(void)
{
    static const ln_act act[] = { { LN_FN_NONE, 0, 0 }, { LN_FN_CLIP, 0.0f, 1.5f }, { LN_FN_TANH, 0, 0 } };

    if (check_begin("blend_rows_f32", CHECK_ENTRY(blend_rows_f32)))
        for (size_t w = 0; w < CHECK_COUNT(rows_width); w++)
            for (size_t rows = 1; rows < 5; rows++) {
                rows_blend(rows, rows_width[w], 1.0f);
                rows_blend(rows, rows_width[w], -1.0f);
            }
    if (check_begin("finish_rows_f32", CHECK_ENTRY(finish_rows_f32)))
        for (size_t w = 0; w < CHECK_COUNT(rows_width); w++)
            for (int k = 0; k < 12; k++)
                rows_finish(1 + (size_t)k % 3, rows_width[w], k & 1, k & 2, act[k % 3]);
}
