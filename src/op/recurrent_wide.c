/*
 * recurrent_wide.c - RNN, LSTM and GRU of types that are not f32: one sequence at a time, in doubles.
 */
#include "recurrent.h"

void ln_recurrent_sum_f64(const ln_recurrent_wide *w, const double *x, size_t from, size_t to)
{
    const ln_recurrent *s = w->s;
    const void *bias = ln_recurrent_in(w->run, s, 3);

    for (size_t j = from * s->hidden; j < to * s->hidden; j++) {
        const size_t row = (w->dir * s->width + j) * s->hidden;
        double sum = bias ? ln_get_f64(s->dtype, bias, (w->dir * 2 + 1) * s->width + j) : 0.0;

        for (size_t i = 0; i < s->hidden; i++)
            sum += x[i] * ln_get_f64(s->dtype, w->run->in[2], row + i);
        w->hr[j] = sum;
    }
}

static void recurrent_project_f64(const ln_recurrent_wide *w, size_t row)
{
    const ln_recurrent *s = w->s;
    const void *bias = ln_recurrent_in(w->run, s, 3);

    for (size_t j = 0; j < s->width; j++) {
        double sum = bias ? ln_get_f64(s->dtype, bias, w->dir * 2 * s->width + j) : 0.0;

        for (size_t i = 0; i < s->in; i++)
            sum += ln_get_f64(s->dtype, w->run->in[0], row * s->in + i)
                   * ln_get_f64(s->dtype, w->run->in[1], (w->dir * s->width + j) * s->in + i);
        w->x[j] = sum;
    }
}

linnet_status ln_recurrent_walk_f64(const ln_run *r, const ln_recurrent *s)
{
    double *m = r->scratch;
    ln_recurrent_wide w = { r, s, r->task / s->batch, m, m + s->width, m + 2 * s->width, NULL, NULL };
    const size_t row = r->task % s->batch, state = w.dir * s->s_dir + row * s->s_row;
    const int32_t *lens = ln_recurrent_in(r, s, 4);
    const void *h = ln_recurrent_in(r, s, 5), *c = ln_recurrent_in(r, s, 6);

    if (lens && (lens[row] < 0 || (size_t)lens[row] > s->steps))
        return ln_fail(r->err, LINNET_ERR_DATA, "%s: a sequence length is outside [0, %zu]",
                       s->kind->name, s->steps);
    const size_t length = lens ? (size_t)lens[row] : s->steps;
    w.c = w.h + s->hidden;
    w.more = w.c + s->hidden;
    for (size_t j = 0; j < s->hidden; j++) {
        w.h[j] = h ? ln_get_f64(s->dtype, h, state + j) : 0.0;
        w.c[j] = c ? ln_get_f64(s->dtype, c, state + j) : 0.0;
    }
    for (size_t t = 0; t < s->steps; t++) {
        const size_t at = s->reverse[w.dir] && t < length ? length - 1 - t : t;

        if (t < length) {
            recurrent_project_f64(&w, at * s->x_step + row * s->x_row);
            s->kind->wide(&w);
        }
        for (size_t j = 0; ln_recurrent_out(r, s, 0) && j < s->hidden; j++)
            ln_set_f64(s->dtype, r->out[0], at * s->y_step + w.dir * s->y_dir + row * s->y_row + j,
                       t < length ? w.h[j] : 0.0);
    }
    for (int32_t k = 1; k <= s->kind->states; k++)
        for (size_t j = 0; ln_recurrent_out(r, s, k) && j < s->hidden; j++)
            ln_set_f64(s->dtype, r->out[k], state + j, k == 1 ? w.h[j] : w.c[j]);
    return LINNET_OK;
}
