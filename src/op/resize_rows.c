/*
 * resize_rows.c - the rows of a resized tensor.
 *
 * A row runs along the last axis that changes. f32 is done in two steps: the input rows that it
 * depends on are blended into one, then that one is resampled. Nearest neighbours of any type
 * are copied; interpolation of other types is summed in double, element by element.
 */
#include "resize.h"

#include <math.h>

enum { RESIZE_NARROW = 4 }; /* up to this many carried elements a plain loop beats a kernel call */

bool ln_resize_scratch(const ln_resize *s, int32_t dtype, size_t *bytes)
{
    size_t taps, row;

    *bytes = 0;
    if (s->nearest || dtype != LINNET_F32)
        return true;
    const size_t most = LN_MAX(s->combos, s->axis[s->last].taps);
    return ln_mul(most, sizeof(float *) + sizeof(float), &taps) && ln_align_up(taps, LN_ALIGN, &taps)
           && ln_mul(s->axis[s->last].in, s->inner, &row) && ln_mul(row, sizeof(float), &row)
           && ln_add(taps, row, bytes);
}

/* The output coordinates of a row along axes [first, last), and its place before them. */
typedef struct resize_place {
    size_t outer, at[LN_MAX_RANK];
    bool   outside;
} resize_place;

static resize_place resize_row_at(const ln_resize *s, size_t row)
{
    resize_place u = { 0 };

    for (int32_t i = s->last - 1; i >= s->first; i--) {
        const ln_resize_axis *a = &s->axis[i];

        u.at[i] = row % a->out;
        row /= a->out;
        u.outside = u.outside || (a->outside && a->outside[u.at[i]]);
    }
    u.outer = row;
    return u;
}

/* Input row number of combination `combo` of taps, and (where not NULL) its weight. */
static size_t resize_row_source(const ln_resize *s, const resize_place *u, size_t combo, double *weight)
{
    size_t row = 0, unit = 1;
    double w = 1.0;

    for (int32_t i = s->last - 1; i >= s->first; i--) {
        const ln_resize_axis *a = &s->axis[i];
        const size_t t = combo % a->taps, k = u->at[i] * a->taps + t;

        combo /= a->taps;
        row += (a->same ? u->at[i] : a->index[k]) * unit;
        unit *= a->in;
        w *= a->same ? 1.0 : a->exact[k];
    }
    if (weight)
        *weight = w;
    return u->outer * unit + row;
}

static void resize_fill(const ln_run *r, const ln_resize *s, size_t at, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ln_set_f64(r->out_desc[0].dtype, r->out[0], at + i, s->extrapolation);
}

/* ---- nearest: copies ------------------------------------------------------------------ */

static void resize_copy_row(const ln_run *r, const ln_resize *s, const resize_place *u, size_t row)
{
    const ln_resize_axis *a = &s->axis[s->last];
    const size_t piece = s->inner * s->bytes, from = resize_row_source(s, u, 0, NULL) * a->in;
    const char *x = (const char *)r->in[0] + from * piece;
    char *y = (char *)r->out[0] + row * a->out * piece;

    if (a->same) {
        memcpy(y, x, a->out * piece);
        return;
    }
    if (piece == 4) {
        for (size_t i = 0; i < a->out; i++)
            memcpy(y + 4 * i, x + 4 * a->index[i], 4);
    } else {
        for (size_t i = 0; i < a->out; i++)
            memcpy(y + i * piece, x + a->index[i] * piece, piece);
    }
    for (size_t i = 0; a->outside && i < a->out; i++)
        if (a->outside[i])
            resize_fill(r, s, (row * a->out + i) * s->inner, s->inner);
}

/* ---- interpolation of f32 --------------------------------------------------------------- */

/* One input row out of those that an output row depends on. */
static const float *resize_blend(const ln_run *r, const ln_resize *s, const resize_place *u, float *row)
{
    const size_t width = s->axis[s->last].in * s->inner;
    const float **x = r->scratch;
    float *w = (float *)(x + LN_MAX(s->combos, s->axis[s->last].taps));
    size_t n = 0;

    for (size_t c = 0; c < s->combos; c++) {
        double weight;
        x[n] = (const float *)r->in[0] + resize_row_source(s, u, c, &weight) * width;
        w[n] = (float)weight;
        n += weight != 0.0 || s->combos == 1;
    }
    if (n == 1 && w[0] == 1.0f)
        return x[0];
    if (n == 0)
        memset(row, 0, width * sizeof *row);
    else
        r->kernel->mix_f32(n, x, w, width, row);
    return row;
}

/* A row of pixels of few elements. */
static void resize_narrow(const ln_resize_axis *a, const float *x, size_t inner, float *y)
{
    for (size_t i = 0; i < a->out; i++, y += inner) {
        const size_t *index = a->index + i * a->taps;
        const float *w = a->weight + i * a->taps;

        for (size_t c = 0; c < inner; c++) {
            float sum = w[0] * x[index[0] * inner + c];
            for (size_t t = 1; t < a->taps; t++)
                sum += w[t] * x[index[t] * inner + c];
            y[c] = sum;
        }
    }
}

static void resize_row_f32(const ln_run *r, const ln_resize *s, const resize_place *u, size_t row)
{
    const ln_resize_axis *a = &s->axis[s->last];
    const size_t most = LN_MAX(s->combos, a->taps), head = most * (sizeof(float *) + sizeof(float));
    float *blend = (float *)((char *)r->scratch + ln_ceil_div(head, LN_ALIGN) * LN_ALIGN);
    const float *x = resize_blend(r, s, u, blend);
    float *y = (float *)r->out[0] + row * a->out * s->inner;

    if (a->same) {
        memcpy(y, x, a->out * s->inner * sizeof *y);
        return;
    }
    if (s->inner > RESIZE_NARROW)
        r->kernel->mix_pixels_f32(a->out, a->taps, a->index, a->weight, x, s->inner, y);
    else
        resize_narrow(a, x, s->inner, y);
    for (size_t i = 0; a->outside && i < a->out; i++)
        if (a->outside[i])
            resize_fill(r, s, (row * a->out + i) * s->inner, s->inner);
}

/* ---- interpolation of other types ----------------------------------------------------------- */

static double resize_element(const ln_run *r, const ln_resize *s, const resize_place *u, size_t o, size_t c)
{
    const ln_resize_axis *a = &s->axis[s->last];
    double sum = 0.0;

    for (size_t i = 0; i < s->combos; i++) {
        double weight;
        const size_t row = resize_row_source(s, u, i, &weight) * a->in;

        for (size_t t = 0; t < a->taps; t++) {
            const size_t k = o * a->taps + t, x = a->same ? o : a->index[k];
            sum += weight * (a->same ? 1.0 : a->exact[k])
                   * ln_get_f64(r->in_desc[0].dtype, r->in[0], (row + x) * s->inner + c);
        }
    }
    return sum;
}

static void resize_row_plain(const ln_run *r, const ln_resize *s, const resize_place *u, size_t row)
{
    const ln_resize_axis *a = &s->axis[s->last];
    const int32_t type = r->out_desc[0].dtype;
    const bool whole = ln_dtype(type)->kind != LN_KIND_FLOAT;

    for (size_t o = 0; o < a->out; o++) {
        const size_t at = (row * a->out + o) * s->inner;

        if (a->outside && a->outside[o]) {
            resize_fill(r, s, at, s->inner);
            continue;
        }
        for (size_t c = 0; c < s->inner; c++) {
            const double v = resize_element(r, s, u, o, c);
            ln_set_f64(type, r->out[0], at + c, whole ? trunc(v) : v);
        }
    }
}

/* Does output row `row` copy the same input row as the one before it? */
static bool resize_like_before(const ln_resize *s, size_t row)
{
    const resize_place a = resize_row_at(s, row - 1), b = resize_row_at(s, row);

    return !a.outside && resize_row_source(s, &a, 0, NULL) == resize_row_source(s, &b, 0, NULL);
}

void ln_resize_rows(const ln_run *r, const ln_resize *s, size_t from, size_t end)
{
    const size_t width = s->axis[s->last].out * s->inner;

    for (size_t i = from; i < end; i++) {
        const resize_place u = resize_row_at(s, i);

        if (u.outside)
            resize_fill(r, s, i * width, width);
        else if (s->nearest && i > from && resize_like_before(s, i))
            memcpy((char *)r->out[0] + i * width * s->bytes, (char *)r->out[0] + (i - 1) * width * s->bytes,
                   width * s->bytes);
        else if (s->nearest)
            resize_copy_row(r, s, &u, i);
        else if (r->in_desc[0].dtype == LINNET_F32)
            resize_row_f32(r, s, &u, i);
        else
            resize_row_plain(r, s, &u, i);
    }
}
