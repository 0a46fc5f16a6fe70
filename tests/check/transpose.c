/*
 * transpose.c - every small shape, leading dimensions beyond the width, untouched gaps.
 */
#include "check.h"

static void trans_case(size_t rows, size_t cols, size_t gap_x, size_t gap_y)
{
    check_case("%zux%zu ldx=%zu ldy=%zu", rows, cols, cols + gap_x, rows + gap_y);
    const size_t ldx = cols + gap_x, ldy = rows + gap_y;
    const size_t nx = rows && cols ? (rows - 1) * ldx + cols : 0;
    const size_t ny = rows && cols ? (cols - 1) * ldy + rows : 0;
    uint32_t *x = check_bytes(nx * sizeof *x), *y = check_bytes(ny * sizeof *y);

    check_fill_bytes(x, nx * sizeof *x); /* any bits: signalling NaN among them */
    check_now.transpose_32(rows, cols, x, ldx, y, ldy);
    for (size_t j = 0; j < cols && rows; j++) {
        for (size_t i = 0; i < rows; i++)
            if (y[j * ldy + i] != x[i * ldx + j]) {
                check_ok(false, "an element is in the wrong place");
                return;
            }
        if (j + 1 < cols)
            check_untouched((const float *)(y + j * ldy + rows), gap_y);
    }
}

typedef struct trans_time { size_t rows, cols; float *x, *y; } trans_time;

static void trans_call(void *arg)
{
    trans_time *t = arg;
    check_now.transpose_32(t->rows, t->cols, t->x, t->cols, t->y, t->rows);
}

static void trans_bench(size_t rows, size_t cols)
{
    trans_time t = { rows, cols, NULL, NULL };
    char label[48];

    if (!check_benching())
        return;
    snprintf(label, sizeof label, "%zux%zu", rows, cols);
    check_case("%s", label);
    t.x = check_buf(rows * cols);
    t.y = check_buf(rows * cols);
    check_fill(t.x, rows * cols, -1.0f, 1.0f);
    check_bench(label, 8.0 * (double)(rows * cols), "GB/s", trans_call, &t);
}

void check_transpose(void)
{
    static const size_t size[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100, 200 };

    if (!check_begin("transpose_32", CHECK_ENTRY(transpose_32)))
        return;
    for (size_t r = 0; r < CHECK_COUNT(size); r++)
        for (size_t c = 0; c < CHECK_COUNT(size); c++) {
            trans_case(size[r], size[c], 0, 0);
            trans_case(size[r], size[c], 3, 5);
        }
    trans_bench(64, 64);
    trans_bench(3, 50176);
    trans_bench(50176, 3);
    trans_bench(256, 3136);
    trans_bench(1024, 1024);
}
