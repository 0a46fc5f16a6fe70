/*
 * attention_wide.c - attention of every type, one query at a time in doubles.
 */
#include "attention.h"

#include <math.h>

static double attention_dot(const ln_attention *s, const void *q, const void *k, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += ln_get_f64(s->dtype, q, i) * ln_get_f64(s->dtype, k, i);
    return sum;
}

static void attention_show(const ln_attention *s, const ln_attention_data *d, int32_t mode, size_t row,
                           const double *x)
{
    for (size_t j = 0; d->qk && s->qk_mode == mode && j < s->total; j++)
        ln_set_f64(s->dtype, d->qk, row * s->total + j, x[j]);
}

/* Scores to weights, as attention_row. */
static void attention_row_wide(const ln_attention *s, const ln_attention_data *d, size_t b, size_t h,
                               size_t i, double *x)
{
    const size_t row = (b * s->q_heads + h) * s->q_len + i, mask = ln_attention_mask_at(s, b, h, i);
    double top = -INFINITY, sum = 0.0;
    size_t from, to;
    bool any = false;

    attention_show(s, d, LN_QK_RAW, row, x);
    for (size_t j = 0; s->softcap > 0.0f && j < s->total; j++)
        x[j] = (double)s->softcap * tanh(x[j] / (double)s->softcap);
    attention_show(s, d, LN_QK_SOFTCAP, row, x);
    ln_attention_window(s, d, b, i, &from, &to);
    for (size_t j = 0; j < s->total; j++) {
        const bool open = j >= from && j < to;
        double bias = open ? 0.0 : -INFINITY;

        if (open && s->mask_dtype == LINNET_BOOL)
            bias = ((const uint8_t *)d->mask)[mask + j] ? 0.0 : -INFINITY;
        else if (open && s->mask_dtype)
            bias = ln_get_f64(s->mask_dtype, d->mask, mask + j);
        x[j] = bias == -INFINITY ? bias : x[j] + bias;
        any |= bias != -INFINITY;
        if (x[j] > top || x[j] != x[j])
            top = x[j];
    }
    attention_show(s, d, LN_QK_MASKED, row, x);
    any = any && top != -INFINITY;
    for (size_t j = 0; j < s->total; j++)
        sum += x[j] = any ? exp(x[j] - top) : 0.0;
    for (size_t j = 0; any && j < s->total; j++)
        x[j] /= sum;
    attention_show(s, d, LN_QK_SOFTMAX, row, x);
}

void ln_attention_wide(const ln_run *r, const ln_attention *s, const ln_attention_data *d, size_t b,
                       size_t h, size_t i)
{
    const size_t group = h / (s->q_heads / s->kv_heads), size = (size_t)ln_dtype(s->dtype)->bits / 8;
    const char *q = (const char *)d->q + (b * s->q.batch + h * s->q.head + i * s->q.row) * size;
    const size_t y = b * s->y.batch + h * s->y.head + i * s->y.row;
    double *x = r->scratch, *sum = x + s->total;

    for (size_t j = 0; j < s->total; j++)
        x[j] = s->head == 0 ? 0.0
             : s->scale * attention_dot(s, q, ln_attention_token(s, d->past_k, d->k, &s->k, s->head, b,
                                                                      group, j), s->head);
    attention_row_wide(s, d, b, h, i, x);
    if (!d->y)
        return;
    for (size_t p = 0; p < s->v_head; p++)
        sum[p] = 0.0;
    for (size_t j = 0; j < s->total; j++) {
        if (x[j] == 0.0)
            continue;
        const char *v = ln_attention_token(s, d->past_v, d->v, &s->v, s->v_head, b, group, j);
        for (size_t p = 0; p < s->v_head; p++)
            sum[p] += x[j] * ln_get_f64(s->dtype, v, p);
    }
    for (size_t p = 0; p < s->v_head; p++)
        ln_set_f64(s->dtype, d->y, y + p, sum[p]);
}
