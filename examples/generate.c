/*
 * generate.c - a causal language model goes on with a text.
 *
 *   generate [--tokens N] [--temperature T] [--top-k K] [--top-p P] [--seed S] [--tokenizer FILE]
 *            [--prompt TEXT | --ids 1,2,3] [--end ID] MODEL
 *
 * The model takes tokens and gives logits, in one of three ways. Where an output new_X continues an input X, a
 * cache of fixed length stays in the session, one token a step (python/llama2c_onnx.py makes such models).
 * Where it has past_... inputs and present_... outputs, caches that grow stay there too. Else each step runs
 * all tokens so far, padded behind to a multiple of 32, which a causal model does not notice and which
 * keeps the plan. Without a tokeniser the tokens themselves are printed.
 */
#include <linnet_text.h>

#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 14, PAD = 32, ROLES = 3 };
enum { ROLE_IDS, ROLE_POSITIONS, ROLE_MASK };

typedef struct generator {
    linnet_model      *model;
    linnet_session    *session;
    linnet_tokenizer  *tokenizer;
    linnet_sampler    *sampler;
    linnet_value_info  role[ROLES];
    int                place[ROLES]; /* input of that role, or -1 */
    size_t             logits, fixed, growing; /* the output of logits; caches of either kind */
    int64_t            values[ROLES][MOST]; /* as the model's integers, 64 or 32 bits */
    int32_t            ids[MOST];
    size_t             count, done, most; /* tokens, those that are in the caches, those that can be */
    linnet_sampler_options how;
} generator;

/* ---- the model ----------------------------------------------------------------------- */

/* The output that continues a cache: new_X of X, or present... of past... */
static int32_t continued(const generator *g, const char *input, int *grows)
{
    char name[512];
    const char *past = strstr(input, "past");

    snprintf(name, sizeof name, "new_%s", input);
    const int32_t output = linnet_model_find_output(g->model, name);
    *grows = output < 0 && past;
    if (!*grows)
        return output;
    past += strncmp(past, "past_key_values", 15) == 0 ? 15 : 4; /* past_1 or past_key_values.1.key */
    snprintf(name, sizeof name, "present%s", past);
    return linnet_model_find_output(g->model, name);
}

/* Caches stay in the session: what a step leaves is what the next one finds. 0: the input is no cache. */
static int tie_cache(generator *g, size_t input, const linnet_value_info *v)
{
    int64_t dims[LINNET_MAX_RANK];
    int grows = 0;
    const int32_t output = v->rank > 0 && v->dtype == LINNET_F32 ? continued(g, v->name, &grows) : -1;
    linnet_error err;

    if (output < 0)
        return 0;
    check(linnet_session_tie(g->session, (size_t)output, input, &err), v->name, &err);
    g->fixed += !grows;
    g->growing += grows;
    if (!grows && v->rank >= 2 && (size_t)v->dims[v->rank - 2] < g->most) /* [..., length, features] */
        g->most = (size_t)v->dims[v->rank - 2];
    for (int32_t d = 0; d < v->rank; d++) { /* nothing is in it yet */
        const char *symbol = v->symbol[d] ? v->symbol[d] : "";
        dims[d] = v->dims[d] >= 0 ? v->dims[d] : !strstr(symbol, "past") && !strstr(symbol, "seq");
    }
    if (grows)
        set_input(g->session, input, v->dtype, v->rank, dims, NULL);
    return 1;
}

static void find_inputs(generator *g)
{
    for (int r = 0; r < ROLES; r++)
        g->place[r] = -1;
    for (size_t i = 0; i < linnet_model_input_count(g->model); i++) {
        linnet_value_info v;
        linnet_model_input(g->model, i, &v);
        if (tie_cache(g, i, &v))
            continue;
        const int r = strstr(v.name, "mask") ? ROLE_MASK : strstr(v.name, "position") ? ROLE_POSITIONS : ROLE_IDS;
        if ((v.dtype != LINNET_I64 && v.dtype != LINNET_I32) || v.rank < 1 || v.rank > 2 || g->place[r] >= 0)
            fail("input %s is not one of a causal language model", v.name);
        g->place[r] = (int)i;
        g->role[r] = v;
    }
    const int32_t logits = linnet_model_find_output(g->model, "logits");
    g->logits = logits < 0 ? 0 : (size_t)logits;
    if (g->place[ROLE_IDS] < 0)
        fail("the model has no input of tokens");
}

static void set_role(generator *g, int r, size_t n)
{
    const linnet_value_info *v = &g->role[r];
    const int64_t one[2] = { (int64_t)n, 0 }, two[2] = { 1, (int64_t)n };
    int32_t *narrow = (int32_t *)g->values[r];

    if (g->place[r] < 0)
        return;
    for (size_t i = 0; v->dtype == LINNET_I32 && i < n; i++)
        narrow[i] = (int32_t)g->values[r][i]; /* never overtakes what it reads */
    set_input(g->session, (size_t)g->place[r], v->dtype, v->rank, v->rank == 1 ? one : two, g->values[r]);
}

/* Runs the model on `fresh` tokens behind the first `from`; the logits of the last of them. */
static const float *run_tokens(generator *g, size_t from, size_t fresh, size_t *vocabulary)
{
    const size_t n = g->fixed || g->growing ? fresh : (fresh + PAD - 1) / PAD * PAD;

    for (size_t i = 0; i < n; i++) {
        g->values[ROLE_IDS][i] = from + i < g->count ? g->ids[from + i] : 0;
        g->values[ROLE_POSITIONS][i] = (int64_t)(from + i);
    }
    for (size_t i = 0; i < from + n; i++)
        g->values[ROLE_MASK][i] = 1;
    set_role(g, ROLE_IDS, n);
    set_role(g, ROLE_POSITIONS, n);
    set_role(g, ROLE_MASK, from + n);
    run(g->session);
    g->done = from + fresh;
    const linnet_tensor *y = linnet_session_output(g->session, g->logits);
    *vocabulary = (size_t)linnet_tensor_dim(y, linnet_tensor_rank(y) - 1);
    if (linnet_tensor_dtype(y) != LINNET_F32 || *vocabulary == 0 || linnet_tensor_count(y) < fresh * *vocabulary)
        fail("the model's output is not logits of every token");
    return (const float *)linnet_tensor_data(y) + (fresh - 1) * *vocabulary;
}

/* What the model has not seen yet, at once or one by one; the logits of the last token. */
static const float *next_logits(generator *g, size_t *vocabulary)
{
    const float *logits = NULL;
    const size_t from = g->growing ? g->done : 0;

    if (!g->fixed)
        return run_tokens(g, from, g->count - from, vocabulary);
    while (g->done < g->count)
        logits = run_tokens(g, g->done, 1, vocabulary);
    return logits;
}

/* ---- text ---------------------------------------------------------------------------- */

static void show(generator *g, linnet_decoder *d, int32_t id)
{
    char text[4096];
    size_t size;
    linnet_error err;

    if (!g->tokenizer) {
        if (id >= 0)
            printf("%d ", (int)id);
        return;
    }
    check(linnet_tokenizer_next(g->tokenizer, d, id, 0, text, sizeof text, &size, &err), "decoding", &err);
    fwrite(text, 1, size, stdout);
    fflush(stdout);
}

static void read_prompt(generator *g, const char *prompt, const char *ids)
{
    linnet_error err;

    if (g->tokenizer && !ids)
        check(linnet_tokenizer_encode(g->tokenizer, prompt, strlen(prompt), LINNET_TEXT_SPECIAL, g->ids, MOST,
                                      &g->count, &err), "prompt", &err);
    else if (prompt[0])
        fail("a prompt of text needs --tokenizer");
    for (char *end; ids && *ids && g->count < MOST; ids = *end == ',' ? end + 1 : "")
        g->ids[g->count++] = (int32_t)strtol(ids, &end, 10);
    if (g->count == 0)
        g->ids[g->count++] = 1; /* the beginning, in llama2.c's models and many others */
}

static void generate(generator *g, size_t most, int32_t end)
{
    linnet_decoder state = { 0 };
    linnet_error err;
    double start = 0;
    size_t made = 0, vocabulary;
    int32_t token;

    for (size_t i = 0; i < g->count; i++)
        show(g, &state, g->ids[i]);
    for (; made < most && g->count <= g->most; made++) {
        const float *logits = next_logits(g, &vocabulary);
        if (!g->sampler)
            check(linnet_sampler_create(vocabulary, &g->how, NULL, &g->sampler, &err), "sampler", &err);
        check(linnet_sampler_next(g->sampler, logits, vocabulary, &token, &err), "sampler", &err);
        if (made == 0)
            start = seconds(); /* the first step plans */
        if (token == end)
            break;
        g->ids[g->count++] = token;
        show(g, &state, token);
    }
    show(g, &state, -1);
    putchar('\n');
    if (made > 1)
        fprintf(stderr, "%zu tokens, %.0f tokens/s\n", made, (double)(made - 1) / (seconds() - start));
}

typedef struct options {
    const char *model, *tokenizer, *prompt, *ids;
    size_t      tokens;
    int32_t     end;
} options;

static void read_options(int argc, char **argv, options *o, linnet_sampler_options *how)
{
    static const char help[] =
        "usage: generate [--tokens N] [--temperature T] [--top-k K] [--top-p P] [--seed S] [--tokenizer FILE]\n"
        "                [--prompt TEXT | --ids 1,2,3] [--end ID] MODEL\n";

    for (int i = 1; i < argc; i++) {
        const char *key = argv[i];
        if (strcmp(key, "--help") == 0)
            usage(help, 0);
        if (strncmp(key, "--", 2) != 0) {
            o->model = key;
            continue;
        }
        if (i + 1 == argc)
            usage(help, 1);
        const char *value = argv[++i];
        if (strcmp(key, "--tokens") == 0)
            o->tokens = strtoull(value, NULL, 10);
        else if (strcmp(key, "--temperature") == 0)
            how->temperature = strtof(value, NULL);
        else if (strcmp(key, "--top-k") == 0)
            how->top_k = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(key, "--top-p") == 0)
            how->top_p = strtof(value, NULL);
        else if (strcmp(key, "--seed") == 0)
            how->seed = strtoull(value, NULL, 10);
        else if (strcmp(key, "--tokenizer") == 0)
            o->tokenizer = value;
        else if (strcmp(key, "--prompt") == 0)
            o->prompt = value;
        else if (strcmp(key, "--ids") == 0)
            o->ids = value;
        else if (strcmp(key, "--end") == 0)
            o->end = (int32_t)strtol(value, NULL, 10);
        else
            usage(help, 1);
    }
    if (!o->model)
        usage(help, 1);
}

int main(int argc, char **argv)
{
    static generator g;
    options o = { .prompt = "", .tokens = 200, .end = -1 };
    linnet_error err;

    g.most = MOST - PAD;
    g.how = (linnet_sampler_options){ .struct_size = sizeof g.how, .temperature = 0.8f, .top_p = 0.95f, .seed = 1 };
    read_options(argc, argv, &o, &g.how);
    g.session = open_session(o.model, &g.model);
    find_inputs(&g);
    if (o.tokenizer)
        check(linnet_tokenizer_open(o.tokenizer, NULL, &g.tokenizer, &err), o.tokenizer, &err);
    read_prompt(&g, o.prompt, o.ids);
    generate(&g, o.tokens, o.end);
    linnet_sampler_free(g.sampler);
    linnet_tokenizer_free(g.tokenizer);
    linnet_session_free(g.session);
    linnet_model_free(g.model);
    return 0;
}
