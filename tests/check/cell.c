/*
 * cell.c - one step of lstm_f32 and gru_f32 against double loops, and pieces against the whole.
 */
#include "check.h"

typedef struct cell_case {
    ln_cell_f32 s;
    ln_cell_fn  fn;
    size_t      gates;
    float      *r; /* as the kernel sees it, in f32 */
    float      *xw, *h, *c, *h_new;
} cell_case;

static cell_case make_case(ln_cell_fn fn, size_t gates, bool half, size_t hidden, bool bias, bool peep)
{
    const size_t units = check_now.cell_units, floats = (hidden + units - 1) / units * units * gates * hidden;

    check_case("gates=%zu half=%d hidden=%zu bias=%d peep=%d", gates, half, hidden, bias, peep);
    float *r = check_buf(floats), *bias_at = bias ? check_buf(gates * hidden) : NULL;
    float *peep_at = peep ? check_buf(3 * hidden) : NULL;
    uint32_t *pair = half ? check_bytes(floats * 2) : NULL;
    cell_case q = { { hidden, half ? (void *)pair : r, bias_at, peep_at }, fn, gates, r, check_buf(gates * hidden),
                    check_buf(hidden), check_buf(hidden), check_buf(hidden) };
    check_fill(r, floats, -0.3f, 0.3f);
    for (size_t i = 0; half && i < floats; i += i % units == units / 2 - 1 ? units / 2 + 1 : 1) { /* what it became counts */
        const uint32_t word = pair[i / units * (units / 2) + i % units] = ln_cell_pair(r[i], r[i + units / 2]), low = word << 16;
        memcpy(&r[i], &word, sizeof word);
        memcpy(&r[i + units / 2], &low, sizeof low);
    }
    if (bias)
        check_fill(bias_at, gates * hidden, -1.0f, 1.0f);
    if (peep)
        check_fill(peep_at, 3 * hidden, -1.0f, 1.0f);
    check_fill(q.xw, gates * hidden, -3.0f, 3.0f);
    check_fill(q.h, hidden, -1.0f, 1.0f);
    check_fill(q.c, hidden, -2.0f, 2.0f);
    return q;
}

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

/* Gate g of unit u without xw; *size is the sum of magnitudes. */
static double gate(const cell_case *q, size_t g, size_t u, double *size)
{
    const size_t units = check_now.cell_units, n = q->s.hidden;
    double sum = q->s.bias ? (double)q->s.bias[g * n + u] : 0.0;

    *size += fabs(sum) + fabs((double)q->xw[g * n + u]);
    for (size_t p = 0; p < n; p++) {
        const double v = (double)q->h[p] *
                         (double)q->r[(u / units * n + p) * q->gates * units + g * units + u % units];
        sum += v;
        *size += fabs(v);
    }
    return sum;
}

/* The slope of both activations is at most 1, so errors of the sums pass at most as they are. */
static void want_step(const cell_case *q, double *want_h, double *want_c, double *bound)
{
    const size_t n = q->s.hidden;

    for (size_t u = 0; u < n; u++) {
        double size = 0.0, x[4] = { 0 };

        for (size_t g = 0; g < q->gates; g++)
            x[g] = gate(q, g, u, &size);
        for (size_t g = 0; g < q->gates; g++)
            if (q->gates == 4 || g < 2)
                x[g] += (double)q->xw[g * n + u];
        for (size_t k = 0; k < 3 && q->s.peep; k++) { /* i and f; o below */
            size += fabs((double)q->s.peep[k * n + u]) * (fabs((double)q->c[u]) + 1.0);
            x[k] += k == 1 ? 0.0 : (double)q->s.peep[k * n + u] * (double)q->c[u];
        }
        if (q->gates == 4) {
            want_c[u] = sigmoid(x[2]) * (double)q->c[u] + sigmoid(x[0]) * tanh(x[3]);
            x[1] += q->s.peep ? (double)q->s.peep[n + u] * want_c[u] : 0.0;
            want_h[u] = sigmoid(x[1]) * tanh(want_c[u]);
        } else {
            const double z = sigmoid(x[0]), c = tanh(x[2] * sigmoid(x[1]) + (double)q->xw[2 * n + u]);
            want_c[u] = (double)q->c[u]; /* not touched */
            want_h[u] = (1.0 - z) * c + z * (double)q->h[u];
        }
        bound[u] = (double)FLT_EPSILON * ((0.5 * (double)n + 8.0) * size * (1.0 + fabs((double)q->c[u])) + 16.0);
    }
}

static void one(ln_cell_fn fn, size_t gates, bool half, size_t hidden)
{
    const cell_case q = make_case(fn, gates, half, hidden, check_rand(0, 2) > 0,
                                  gates == 4 && check_rand(0, 1) > 0);
    double *want_h = check_want(hidden), *want_c = check_want(hidden), *bound = check_want(hidden);
    float *c = check_buf(hidden), *again = check_buf(hidden);
    const size_t cut = check_rand(0, hidden / check_now.cell_units) * check_now.cell_units;

    want_step(&q, want_h, want_c, bound);
    memcpy(c, q.c, hidden * sizeof *c);
    fn(&q.s, q.xw, q.h, q.c, q.h_new, 0, hidden, false);
    check_bound(q.h_new, want_h, bound, hidden);
    check_bound(q.c, want_c, bound, hidden);
    fn(&q.s, q.xw, q.h, c, again, cut, hidden, true);
    fn(&q.s, q.xw, q.h, c, again, 0, cut, check_rand(0, 1) > 0);
    check_same(again, q.h_new, hidden * sizeof *again);
    check_same(c, q.c, hidden * sizeof *c);
}

static void run_again(void *arg)
{
    cell_case *q = arg;
    static bool back;

    back = !back;
    q->fn(&q->s, q->xw, q->h, q->c, q->h_new, 0, q->s.hidden, back);
}

/* Both numbers of a word are within half a step of bf16 of what they were; zeros and infinities too. */
static void check_pairs(void)
{
    static const float list[] = { 0.0f, -0.0f, 1.0f, -1.0f, 0.3f, -1.99999f, 1e-39f, 1.2e-38f, 3e38f, -3.4e38f, INFINITY };

    for (size_t i = 0; i < CHECK_COUNT(list); i++)
        for (size_t k = 0; k < CHECK_COUNT(list); k++) {
            const uint32_t word = ln_cell_pair(list[i], list[k]), low = word << 16;
            float a, b;
            memcpy(&a, &word, sizeof a);
            memcpy(&b, &low, sizeof b);
            check_ok(isinf(list[i]) ? !(fabsf(a) < FLT_MAX) : fabsf(a - list[i]) <= fabsf(list[i]) * 0x1p-7f + 0x1p-126f, "first of a pair");
            check_ok(isinf(list[k]) || fabsf(list[k]) > 3.39e38f ? !(fabsf(b) < 3.38e38f)
                     : fabsf(b - list[k]) <= fabsf(list[k]) * 0x1p-8f + 0x1p-133f, "second of a pair");
        }
}

static void cell_check(const char *name, size_t entry, ln_cell_fn fn, size_t gates, bool half)
{
    static const size_t speed[] = { 32, 128, 256, 512 };

    if (!check_begin(name, entry))
        return;
    if (half && !check_benching())
        check_pairs();
    for (size_t n = 1; n <= 4 * check_now.cell_units + 1 && !check_benching(); n++)
        one(fn, gates, half, n);
    for (size_t i = 0; i < CHECK_COUNT(speed) && check_benching(); i++) {
        cell_case q = make_case(fn, gates, half, speed[i], true, false);
        char label[32];
        snprintf(label, sizeof label, "%zu", speed[i]);
        check_bench(label, (half ? 2.0 : 4.0) * (double)(speed[i] * speed[i] * gates), "GB/s", run_again, &q);
    }
}

void check_cell(void)
{
    cell_check("lstm_f32", CHECK_ENTRY(lstm_f32), check_now.lstm_f32, 4, false);
    cell_check("lstm_bf16", CHECK_ENTRY(lstm_bf16), check_now.lstm_bf16, 4, true);
    cell_check("gru_f32", CHECK_ENTRY(gru_f32), check_now.gru_f32, 3, false);
    cell_check("gru_bf16", CHECK_ENTRY(gru_bf16), check_now.gru_bf16, 3, true);
}
