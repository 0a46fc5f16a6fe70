/*
 * decode.c - sampling, beam search and CTC against plain enumeration.
 *
 * Every search is compared with a program that lists all candidates, or all alignments, and sorts
 * them; the sampler with a full sort and the same random numbers.
 */
#include "linnet_text.h"
#include "test.h"

#include <math.h>

/* Row-wise log-probabilities of random logits; some impossible. */
static void fill_scores(float *x, size_t rows, size_t columns, float spread)
{
    for (size_t r = 0; r < rows; r++, x += columns) {
        for (size_t i = 0; i < columns; i++)
            x[i] = i && test_int(0, 9) == 0 ? -INFINITY : test_float(-spread, spread);
        EXPECT_OK(linnet_log_softmax(x, columns, x, &test_error));
    }
}

/* ---- picking ------------------------------------------------------------------------- */

static double plain_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

static int32_t plain_draw(const float *x, int n, const linnet_sampler_options *how, uint64_t *state)
{
    double w[512], top = -INFINITY, whole = 0, sum = 0, run = 0;
    int order[512], kept = n;

    for (int i = 0; i < n; i++)
        top = fmax(top, x[i]);
    for (int i = 0; i < n; i++) {
        w[i] = exp((x[i] - top) / how->temperature);
        order[i] = i;
    }
    if (how->top_k || how->top_p) {
        for (int i = 1; i < n; i++) /* insertion keeps equals in order */
            for (int k = i; k > 0 && w[order[k]] > w[order[k - 1]]; k--) {
                const int t = order[k];
                order[k] = order[k - 1];
                order[k - 1] = t;
            }
        if (how->top_k && (int)how->top_k < n)
            kept = (int)how->top_k;
        for (int i = 0; i < kept; i++)
            whole += w[order[i]];
        if (how->top_p > 0 && how->top_p < 1) {
            int i = 0;
            for (; i < kept && run < how->top_p * whole; i++)
                run += w[order[i]];
            kept = i;
        }
    }
    for (int i = 0; i < kept; i++)
        sum += w[order[i]];
    const double u = plain_random(state);
    run = 0;
    for (int i = 0; i < kept; i++)
        if ((run += w[order[i]]) > u * sum)
            return order[i];
    return -1;
}

void test_sampler(void)
{
    static const size_t sizes[] = { 1, 2, 3, 17, 100, 512 };
    float x[512];

    for (int round = 0; round < 600; round++) {
        const size_t n = sizes[test_int(0, 5)];
        linnet_sampler_options how = { .struct_size = sizeof how, .temperature = test_float(0.2f, 2.0f),
                                       .seed = test_random() };
        linnet_sampler *s = NULL;
        uint64_t state = how.seed;
        size_t wrong = 0;
        if (round % 4 & 1)
            how.top_k = (uint32_t)test_int(1, 40);
        if (round % 4 & 2)
            how.top_p = test_float(0.05f, 1.0f);
        EXPECT_OK(linnet_sampler_create(n, &how, NULL, &s, &test_error));
        for (int draw = 0; draw < 20; draw++) {
            int32_t token = -2;
            for (size_t i = 0; i < n; i++)
                x[i] = i && test_int(0, 9) == 0 ? -INFINITY : (float)test_int(-20, 20) * 0.25f; /* ties */
            EXPECT_OK(linnet_sampler_next(s, x, n, &token, &test_error));
            const int32_t want = plain_draw(x, (int)n, &how, &state);
            wrong += token != want;
        }
        EXPECT(wrong == 0);
        linnet_sampler_free(s);
    }
}

/* Frequencies of many draws are those of the softmax. */
void test_sampler_share(void)
{
    const float x[5] = { 1.0f, -INFINITY, 0.0f, 2.0f, -1.0f };
    linnet_sampler_options how = { .struct_size = sizeof how, .temperature = 1.0f, .seed = 7 };
    linnet_sampler *s = NULL;
    double count[5] = { 0 }, sum = 0;
    const int draws = 200000;
    int32_t token = 0, first[8], again[8];

    EXPECT_OK(linnet_sampler_create(5, &how, NULL, &s, &test_error));
    for (int i = 0; i < draws; i++) {
        linnet_sampler_next(s, x, 5, &token, NULL);
        count[token]++;
        if (i < 8)
            first[i] = token;
    }
    for (int i = 0; i < 5; i++)
        sum += exp(x[i]);
    for (int i = 0; i < 5; i++)
        EXPECT(fabs(count[i] / draws - exp(x[i]) / sum) < 0.005);
    linnet_sampler_reset(s, 7);
    for (int i = 0; i < 8; i++)
        linnet_sampler_next(s, x, 5, &again[i], NULL);
    EXPECT(memcmp(first, again, sizeof first) == 0);
    linnet_sampler_free(s);
}

void test_pick(void)
{
    float x[4] = { 0, 3, 3, -INFINITY }, y[4];
    int32_t token = -1;
    linnet_sampler *s = NULL;
    linnet_sampler_options how = { .struct_size = sizeof how };

    EXPECT_OK(linnet_pick_best(x, 4, &token, &test_error));
    EXPECT(token == 1);
    EXPECT_OK(linnet_log_softmax(x, 4, y, &test_error));
    EXPECT(fabs(exp(y[0]) + exp(y[1]) + exp(y[2]) - 1) < 1e-6 && y[3] == -INFINITY && y[1] == y[2]);
    EXPECT_STATUS(linnet_pick_best(x, 0, &token, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_pick_best(x + 3, 1, &token, &test_error), LINNET_ERR_DATA);
    x[2] = NAN;
    EXPECT_STATUS(linnet_pick_best(x, 4, &token, &test_error), LINNET_ERR_DATA);
    x[2] = INFINITY;
    EXPECT_STATUS(linnet_log_softmax(x, 4, y, &test_error), LINNET_ERR_DATA);
    EXPECT_OK(linnet_sampler_create(4, NULL, NULL, &s, &test_error));
    EXPECT_STATUS(linnet_sampler_next(s, x, 4, &token, &test_error), LINNET_ERR_DATA);
    EXPECT_STATUS(linnet_sampler_next(s, x, 3, &token, &test_error), LINNET_ERR_SHAPE);
    x[2] = 1;
    EXPECT_OK(linnet_sampler_next(s, x, 4, &token, &test_error));
    EXPECT(token == 1);
    linnet_sampler_free(s);
    how.temperature = NAN;
    EXPECT_STATUS(linnet_sampler_create(4, &how, NULL, &s, &test_error), LINNET_ERR_ARGUMENT);
    how.temperature = 1;
    how.top_p = 1.5f;
    EXPECT_STATUS(linnet_sampler_create(4, &how, NULL, &s, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_sampler_create(0, NULL, NULL, &s, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT(s == NULL);
}

/* ---- beam search --------------------------------------------------------------------- */

enum { V = 4, DEPTH = 5, LEAVES = 1365 }; /* (4^6 - 1) / 3 beginnings of up to five tokens */

/* A model for tests: the scores of the next token depend on all tokens so far. */
static void toy_scores(const float *table, const int32_t *tokens, size_t n, float *out)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        at = at * V + (size_t)tokens[i] + 1;
    memcpy(out, table + at * V, V * sizeof *out);
}

typedef struct toy_text { int32_t token[DEPTH]; size_t n; double score; bool live; } toy_text;

/* Runs the search to its end; returns how many steps were taken. */
static int toy_run(linnet_beam *b, const float *table, size_t width)
{
    static toy_text now[64], old[64];
    static float scores[64 * V];
    int steps = 0;

    memset(now, 0, sizeof now);
    for (size_t live; (live = linnet_beam_live(b)) > 0; steps++) {
        EXPECT(live <= (width > 1 ? width : 1));
        for (size_t i = 0; i < live; i++)
            toy_scores(table, now[i].token, now[i].n, scores + i * V);
        EXPECT_OK(linnet_beam_push(b, scores, live, V, &test_error));
        memcpy(old, now, sizeof old);
        for (size_t i = 0; i < linnet_beam_live(b); i++) {
            now[i] = old[linnet_beam_parent(b, i)];
            now[i].token[now[i].n++] = linnet_beam_token(b, i);
        }
    }
    return steps;
}

static void toy_insert(toy_text *list, size_t *n, size_t most, toy_text item)
{
    size_t i = *n;

    while (i > 0 && list[i - 1].score < item.score)
        i--;
    if (i == most)
        return;
    *n += *n < most;
    memmove(list + i + 1, list + i, (*n - 1 - i) * sizeof *list);
    list[i] = item;
}

/* The rules of the header, with every candidate listed and sorted. */
static size_t plain_beam(const float *table, int32_t end, const linnet_beam_options *how, toy_text *done)
{
    static toy_text live[64], all[64 * V];
    size_t lives = 1, dones = 0;

    memset(live, 0, sizeof live);
    for (size_t step = 1; lives > 0; step++) {
        size_t n = 0, next = 0;
        for (size_t r = 0; r < lives; r++) {
            float scores[V];
            toy_scores(table, live[r].token, live[r].n, scores);
            for (int32_t t = 0; t < V; t++) {
                toy_text c = live[r];
                c.token[c.n++] = t;
                c.score += scores[t];
                if (c.score > -INFINITY)
                    toy_insert(all, &n, 64 * V, c);
            }
        }
        for (size_t i = 0; i < n && i < 2 * how->width && next < how->width; i++) {
            toy_text c = all[i];
            if (c.token[c.n - 1] != end) {
                live[next++] = c;
            } else if (i < how->width) {
                c.n--;
                c.score /= pow((double)step, how->length_penalty);
                toy_insert(done, &dones, how->width, c);
            }
        }
        lives = next;
        if (step == how->length) {
            for (size_t i = 0; i < lives; i++) {
                live[i].score /= pow((double)step, how->length_penalty);
                toy_insert(done, &dones, how->width, live[i]);
            }
            return dones;
        }
        if (dones == how->width && lives) {
            const double most = how->length_penalty > 0 ? how->length : (double)step;
            if (how->early || live[0].score / pow(most, how->length_penalty) <= done[dones - 1].score)
                return dones;
        }
    }
    return dones;
}

static void same_beams(const linnet_beam *b, const toy_text *want, size_t n)
{
    EXPECT(linnet_beam_count(b) == n);
    for (size_t i = 0; i < linnet_beam_count(b) && i < n; i++) {
        int32_t token[DEPTH];
        size_t count = 0;
        double score = 0;
        EXPECT_OK(linnet_beam_get(b, i, token, DEPTH, &count, &score, &test_error));
        EXPECT(count == want[i].n && memcmp(token, want[i].token, count * sizeof *token) == 0);
        EXPECT(fabs(score - want[i].score) < 1e-9);
    }
}

void test_beam(void)
{
    static float table[LEAVES * V];
    static toy_text want[64];

    for (int round = 0; round < 300; round++) {
        linnet_beam_options how = { .struct_size = sizeof how, .width = (uint32_t)test_int(1, 9),
                                    .length = (uint32_t)test_int(1, DEPTH), .early = (uint32_t)test_int(0, 1),
                                    .length_penalty = (float)test_int(-1, 2) * 0.5f };
        const int32_t end = (int32_t)test_int(-1, V - 1);
        linnet_beam *b = NULL;
        fill_scores(table, LEAVES, V, 2.0f);
        EXPECT_OK(linnet_beam_create(V, end, &how, NULL, &b, &test_error));
        const size_t n = plain_beam(table, end, &how, want);
        for (int again = 0; again < 2; again++) {
            linnet_beam_reset(b);
            EXPECT(toy_run(b, table, how.width) <= (int)how.length);
            same_beams(b, want, n);
        }
        linnet_beam_free(b);
    }
}

/* A beam as wide as all texts finds the best of all texts. */
void test_beam_best(void)
{
    static float table[LEAVES * V];

    for (int round = 0; round < 40; round++) {
        linnet_beam_options how = { .struct_size = sizeof how, .width = 64, .length = 3 };
        toy_text best = { .score = -INFINITY };
        linnet_beam *b = NULL;
        fill_scores(table, LEAVES, V, 3.0f);
        for (int code = 0; code < 64; code++) {
            toy_text t = { .n = 0 };
            bool ended = false;
            for (int k = 0; k < 3 && !ended; k++) {
                const int32_t token = code >> 2 * k & 3;
                float scores[V];
                toy_scores(table, t.token, t.n, scores);
                t.score += scores[token];
                ended = token == 0;
                if (!ended)
                    t.token[t.n++] = token;
            }
            if (t.score > best.score)
                best = t;
        }
        EXPECT_OK(linnet_beam_create(V, 0, &how, NULL, &b, &test_error));
        toy_run(b, table, 64);
        int32_t token[3];
        size_t count = 9;
        double score = 0;
        EXPECT_OK(linnet_beam_get(b, 0, token, 3, &count, &score, &test_error));
        EXPECT(count == best.n && memcmp(token, best.token, count * sizeof *token) == 0);
        EXPECT(fabs(score - best.score) < 1e-9);
        linnet_beam_free(b);
    }
}

void test_beam_wrong(void)
{
    linnet_beam_options how = { .struct_size = sizeof how, .width = 2, .length = 2 };
    float x[2 * V] = { 0, -1, -2, -3, -1, -1, -1, NAN };
    linnet_beam *b = NULL;
    int32_t token[2];
    size_t count = 0;

    EXPECT_STATUS(linnet_beam_create(V, V, &how, NULL, &b, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_beam_create(0, -1, &how, NULL, &b, &test_error), LINNET_ERR_ARGUMENT);
    how.length_penalty = NAN;
    EXPECT_STATUS(linnet_beam_create(V, -1, &how, NULL, &b, &test_error), LINNET_ERR_ARGUMENT);
    how.length_penalty = 0;
    EXPECT(b == NULL && linnet_beam_live(b) == 0 && linnet_beam_parent(b, 0) == -1);
    EXPECT_OK(linnet_beam_create(V, -1, &how, NULL, &b, &test_error));
    EXPECT_STATUS(linnet_beam_push(b, x, 2, V, &test_error), LINNET_ERR_SHAPE);
    EXPECT_OK(linnet_beam_push(b, x, 1, V, &test_error));
    EXPECT(linnet_beam_live(b) == 2 && linnet_beam_token(b, 1) == 1 && linnet_beam_token(b, 2) == -1);
    EXPECT_STATUS(linnet_beam_push(b, x, 2, V, &test_error), LINNET_ERR_DATA);
    EXPECT(linnet_beam_live(b) == 2 && linnet_beam_token(b, 1) == 1); /* as it was */
    x[7] = -INFINITY;
    EXPECT_OK(linnet_beam_push(b, x, 2, V, &test_error));
    EXPECT(linnet_beam_live(b) == 0 && linnet_beam_count(b) == 2);
    EXPECT_STATUS(linnet_beam_push(b, x, 2, V, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_beam_get(b, 0, token, 1, &count, NULL, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT(count == 2);
    EXPECT_STATUS(linnet_beam_get(b, 2, token, 2, &count, NULL, &test_error), LINNET_ERR_ARGUMENT);
    linnet_beam_free(b);
}

/* ---- CTC ----------------------------------------------------------------------------- */

typedef struct ctc_text { int32_t token[8]; size_t n; double share; } ctc_text;

/* The text of one alignment, its digits in base `labels`. */
static ctc_text ctc_collapse(size_t code, size_t steps, size_t labels, int32_t blank)
{
    ctc_text t = { .n = 0 };
    int32_t last = blank;

    for (size_t i = 0; i < steps; i++, code /= labels) {
        const int32_t label = (int32_t)(code % labels);
        if (label != blank && label != last)
            t.token[t.n++] = label;
        last = label;
    }
    return t;
}

/* All texts with their probabilities, from all alignments. */
static size_t ctc_all(const float *x, size_t steps, size_t labels, int32_t blank, ctc_text *out)
{
    size_t codes = 1, n = 0;

    for (size_t i = 0; i < steps; i++)
        codes *= labels;
    for (size_t code = 0; code < codes; code++) {
        ctc_text t = ctc_collapse(code, steps, labels, blank);
        double sum = 0;
        size_t k = 0, rest = code;
        for (size_t i = 0; i < steps; i++, rest /= labels)
            sum += x[i * labels + rest % labels];
        while (k < n && (out[k].n != t.n || memcmp(out[k].token, t.token, t.n * sizeof *t.token)))
            k++;
        if (k == n)
            out[n++] = t;
        out[k].share += exp(sum);
    }
    return n;
}

void test_ctc(void)
{
    static ctc_text all[4096];
    float x[6 * 4];

    for (int round = 0; round < 150; round++) {
        const size_t labels = (size_t)test_int(2, 4), steps = (size_t)test_int(0, labels == 4 ? 5 : 6);
        const int32_t blank = (int32_t)test_int(0, (int64_t)labels - 1);
        linnet_ctc_options how = { .struct_size = sizeof how, .width = 2048, .steps = 6 };
        linnet_ctc *c = NULL;
        double last = INFINITY;
        size_t wrong = 0, possible = 0;
        memset(all, 0, sizeof all);
        fill_scores(x, steps, labels, 2.0f);
        const size_t n = ctc_all(x, steps, labels, blank, all);
        EXPECT_OK(linnet_ctc_create(labels, blank, &how, NULL, &c, &test_error));
        const size_t cut = steps ? (size_t)test_int(0, (int64_t)steps) : 0; /* in two pushes */
        EXPECT_OK(linnet_ctc_push(c, x, cut, labels, &test_error));
        EXPECT_OK(linnet_ctc_push(c, x + cut * labels, steps - cut, labels, &test_error));
        for (size_t k = 0; k < n; k++)
            possible += all[k].share > 0;
        EXPECT(linnet_ctc_count(c) == possible);
        for (size_t i = 0; i < linnet_ctc_count(c); i++) {
            ctc_text t = { .n = 0 };
            double score = 0;
            size_t k = 0;
            EXPECT_OK(linnet_ctc_get(c, i, t.token, 8, &t.n, &score, &test_error));
            while (k < n && (all[k].n != t.n || memcmp(all[k].token, t.token, t.n * sizeof *t.token)))
                k++;
            wrong += k == n || fabs(exp(score) - all[k].share) > 1e-9 || score > last + 1e-12;
            last = score;
        }
        EXPECT(wrong == 0);
        linnet_ctc_free(c);
    }
}

/* The usual algorithm, on whole texts in a list, for narrow beams. */
typedef struct ctc_plain { ctc_text text; double blank, label; } ctc_plain;

static ctc_plain *ctc_find(ctc_plain *list, size_t *n, const ctc_text *t)
{
    for (size_t i = 0; i < *n; i++)
        if (list[i].text.n == t->n && memcmp(list[i].text.token, t->token, t->n * sizeof *t->token) == 0)
            return &list[i];
    list[*n] = (ctc_plain){ *t, 0, 0 };
    return &list[(*n)++];
}

static size_t plain_ctc(const float *x, size_t steps, size_t labels, int32_t blank, size_t width, ctc_plain *out)
{
    static ctc_plain list[1024];
    size_t n = 1, kept = 1;

    memset(out, 0, width * sizeof *out);
    out[0].blank = 1;
    for (size_t t = 0; t < steps; t++, x += labels) {
        for (n = 0, memset(list, 0, sizeof list); kept > 0; kept--) {
            const ctc_plain p = out[kept - 1];
            for (int32_t l = 0; l < (int32_t)labels; l++) {
                const double share = exp(x[l]);
                ctc_text longer = p.text;
                if (l == blank) {
                    ctc_find(list, &n, &p.text)->blank += (p.blank + p.label) * share;
                    continue;
                }
                const bool same = p.text.n && p.text.token[p.text.n - 1] == l;
                if (same)
                    ctc_find(list, &n, &p.text)->label += p.label * share;
                if (longer.n == 8)
                    continue;
                longer.token[longer.n++] = l;
                ctc_find(list, &n, &longer)->label += (same ? p.blank : p.blank + p.label) * share;
            }
        }
        for (size_t i = 1; i < n; i++)
            for (size_t k = i; k > 0 && list[k].blank + list[k].label > list[k - 1].blank + list[k - 1].label; k--) {
                const ctc_plain s = list[k];
                list[k] = list[k - 1];
                list[k - 1] = s;
            }
        while (kept < n && kept < width && list[kept].blank + list[kept].label > 0)
            kept++;
        memcpy(out, list, kept * sizeof *out);
    }
    return kept;
}

void test_ctc_narrow(void)
{
    static ctc_plain want[16];
    float x[8 * 5];

    for (int round = 0; round < 300; round++) {
        const size_t labels = (size_t)test_int(2, 5), width = (size_t)test_int(1, 6);
        const int32_t blank = (int32_t)test_int(0, (int64_t)labels - 1);
        linnet_ctc_options how = { .struct_size = sizeof how, .width = (uint32_t)width, .steps = 8 };
        linnet_ctc *c = NULL;
        size_t wrong = 0;
        fill_scores(x, 8, labels, 2.0f);
        EXPECT_OK(linnet_ctc_create(labels, blank, &how, NULL, &c, &test_error));
        EXPECT_OK(linnet_ctc_push(c, x, 8, labels, &test_error));
        const size_t n = plain_ctc(x, 8, labels, blank, width, want);
        EXPECT(linnet_ctc_count(c) == n);
        for (size_t i = 0; i < n && i < linnet_ctc_count(c); i++) {
            ctc_text t = { .n = 0 };
            double score = 0;
            EXPECT_OK(linnet_ctc_get(c, i, t.token, 8, &t.n, &score, &test_error));
            wrong += t.n != want[i].text.n || memcmp(t.token, want[i].text.token, t.n * sizeof *t.token) ||
                     fabs(exp(score) - want[i].blank - want[i].label) > 1e-9;
        }
        EXPECT(wrong == 0);
        linnet_ctc_free(c);
    }
}

void test_ctc_greedy(void)
{
    static const int32_t path[] = { 0, 1, 1, 0, 1, 2, 2, 3, 3, 0, 0, 3 }, want[] = { 1, 1, 2, 3, 3 };
    float x[12 * 4] = { 0 };
    int32_t token[12];
    size_t count = 0;

    for (size_t t = 0; t < 12; t++)
        x[t * 4 + (size_t)path[t]] = 1;
    EXPECT_OK(linnet_ctc_greedy(x, 12, 4, 0, token, 12, &count, &test_error));
    EXPECT(count == 5 && memcmp(token, want, sizeof want) == 0);
    EXPECT_STATUS(linnet_ctc_greedy(x, 12, 4, 0, token, 4, &count, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT(count == 5);
    EXPECT_OK(linnet_ctc_greedy(NULL, 0, 4, 0, token, 0, &count, &test_error));
    EXPECT(count == 0);
    EXPECT_STATUS(linnet_ctc_greedy(x, 12, 4, 4, token, 12, &count, &test_error), LINNET_ERR_ARGUMENT);
    x[5] = NAN;
    EXPECT_STATUS(linnet_ctc_greedy(x, 12, 4, 0, token, 12, &count, &test_error), LINNET_ERR_DATA);
}

void test_ctc_wrong(void)
{
    linnet_ctc_options how = { .struct_size = sizeof how, .width = 2, .steps = 3 };
    const float x[3 * 2] = { -1, -1, -1, -1, NAN, 0 };
    linnet_ctc *c = NULL;
    size_t count = 0;
    double score = 1;

    EXPECT_STATUS(linnet_ctc_create(2, 2, &how, NULL, &c, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_ctc_create(2, -1, &how, NULL, &c, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_OK(linnet_ctc_create(2, 0, &how, NULL, &c, &test_error));
    EXPECT_STATUS(linnet_ctc_push(c, x, 3, 2, &test_error), LINNET_ERR_DATA);
    EXPECT_OK(linnet_ctc_get(c, 0, NULL, 0, &count, &score, &test_error));
    EXPECT(linnet_ctc_count(c) == 1 && count == 0 && score == 0); /* as it was */
    EXPECT_STATUS(linnet_ctc_push(c, x, 2, 3, &test_error), LINNET_ERR_SHAPE);
    EXPECT_OK(linnet_ctc_push(c, x, 2, 2, &test_error));
    EXPECT_STATUS(linnet_ctc_push(c, x, 2, 2, &test_error), LINNET_ERR_LIMIT);
    linnet_ctc_reset(c);
    EXPECT_OK(linnet_ctc_push(c, x, 2, 2, &test_error));
    EXPECT_STATUS(linnet_ctc_get(c, 7, NULL, 0, NULL, NULL, &test_error), LINNET_ERR_ARGUMENT);
    linnet_ctc_free(c);
}

/* Every allocation fails in turn; nothing is allocated after creation. */
void test_decode_memory(void)
{
    for (int kind = 0; kind < 3; kind++)
        for (size_t k = 1;; k++) {
            const float x[4] = { -1, -1, -2, -3 };
            linnet_sampler *s = NULL;
            linnet_beam *b = NULL;
            linnet_ctc *c = NULL;
            test_heap h;
            int32_t token;
            test_heap_init(&h);
            h.fail_at = k;
            linnet_status st = kind == 0   ? linnet_sampler_create(4, NULL, &h.hooks, &s, &test_error)
                               : kind == 1 ? linnet_beam_create(4, 0, NULL, &h.hooks, &b, &test_error)
                                           : linnet_ctc_create(4, 0, NULL, &h.hooks, &c, &test_error);
            const size_t calls = h.calls;
            EXPECT(st == (calls >= k ? LINNET_ERR_MEMORY : LINNET_OK));
            if (!st) {
                st = kind == 0   ? linnet_sampler_next(s, x, 4, &token, &test_error)
                     : kind == 1 ? linnet_beam_push(b, x, 1, 4, &test_error)
                                 : linnet_ctc_push(c, x, 1, 4, &test_error);
                EXPECT(st == LINNET_OK && h.calls == calls);
            }
            linnet_sampler_free(s);
            linnet_beam_free(b);
            linnet_ctc_free(c);
            EXPECT(h.blocks == 0 && h.bytes == 0);
            if (calls < k)
                break;
        }
}
