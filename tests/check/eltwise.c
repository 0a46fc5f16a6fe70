/*
 * eltwise.c - functions of two arrays: every stride, in place over either, NaN and infinities.
 */
#include "check.h"

static double elt_want(int op, double x, double y)
{
    switch (op) {
    case LN_BIN_ADD: return (double)((float)x + (float)y);
    case LN_BIN_SUB: return (double)((float)x - (float)y);
    case LN_BIN_MUL: return (double)((float)x * (float)y);
    case LN_BIN_DIV: return (double)((float)x / (float)y);
    case LN_BIN_MAX: return isnan(x) || isnan(y) ? NAN : x > y ? x : y;
    case LN_BIN_MIN: return isnan(x) || isnan(y) ? NAN : x < y ? x : y;
    default:         return x < 0.0 ? (double)((float)x * (float)y) : x;
    }
}

static void elt_fill(float *p, size_t n)
{
    static const float odd[] = { 0.0f, -0.0f, INFINITY, -INFINITY, NAN, 0x1p-149f, FLT_MAX };

    check_fill(p, n, -4.0f, 4.0f);
    for (size_t i = 0; i < n; i++)
        if (check_rand(0, 3) == 0)
            p[i] = odd[check_rand(0, CHECK_COUNT(odd) - 1)];
}

static void elt_case(int op, size_t n, size_t sx, size_t sy, int place)
{
    check_case("n=%zu sx=%zu sy=%zu place=%d", n, sx, sy, place);
    float *x = check_buf(sx ? n : 1), *y = check_buf(sy ? n : 1), *z = check_buf(n);
    double *want = check_want(n), *bound = check_want(n);

    elt_fill(x, sx ? n : 1);
    elt_fill(y, sy ? n : 1);
    for (size_t i = 0; i < n; i++)
        want[i] = elt_want(op, (double)x[i * sx], (double)y[i * sy]);
    if (place == 1)
        memcpy(z, x, n * sizeof *z);
    if (place == 2)
        memcpy(z, y, n * sizeof *z);
    check_now.binary_f32[op](n, place == 1 ? z : x, sx, place == 2 ? z : y, sy, z);
    check_bound(z, want, bound, n);
}

typedef struct elt_time { int op; size_t n; float *x, *y, *z; } elt_time;

static void elt_call(void *arg)
{
    elt_time *t = arg;
    check_now.binary_f32[t->op](t->n, t->x, 1, t->y, 1, t->z);
}

static void elt_bench(int op)
{
    elt_time t = { op, 16384, NULL, NULL, NULL };

    check_size(t.n);
    t.x = check_buf(t.n);
    t.y = check_buf(t.n);
    t.z = check_buf(t.n);
    check_fill(t.x, t.n, -1.0f, 1.0f);
    check_fill(t.y, t.n, -1.0f, 1.0f);
    check_bench("16384", 12.0 * (double)t.n, "GB/s", elt_call, &t);
}

void check_eltwise(void)
{
    static const char *const name[] = { "add", "sub", "mul", "div", "max", "min", "prelu" };
    static const size_t size[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100, 1000 };

    for (int op = 0; op < LN_BIN_COUNT; op++) {
        if (!check_begin(name[op], CHECK_ENTRY(binary_f32[op])))
            continue;
        if (check_benching()) {
            elt_bench(op);
            continue;
        }
        for (size_t s = 0; s < CHECK_COUNT(size); s++)
            for (size_t k = 0; k < 4; k++)
                for (int place = 0; place < 3; place++) {
                    const size_t sx = k & 1, sy = k >> 1;

                    if ((place == 1 && !sx) || (place == 2 && !sy) || (!size[s] && !(sx && sy)))
                        continue;
                    elt_case(op, size[s], sx, sy, place);
                }
    }
}
