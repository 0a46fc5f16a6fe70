/*
 * run.c - runs a model on given files; prints the best classes or writes the outputs.
 */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RUN_MOST 64

typedef struct run {
    cli_options o;
    const char *model, *input[RUN_MOST], *output[RUN_MOST];
    int         inputs, outputs, top;
} run;

/* "name=file" or "file" (for input or output `i`): its file if it is for `name`. */
static const char *run_file_for(const char *const *list, int count, const char *name, size_t i)
{
    for (int k = 0; k < count; k++) {
        const size_t length = strlen(name);
        if (strncmp(list[k], name, length) == 0 && list[k][length] == '=')
            return list[k] + length + 1;
    }
    for (int k = 0; k < count; k++)
        if (!strchr(list[k], '=') && (size_t)k == i)
            return list[k];
    return NULL;
}

/* Line `index` of the labels in the model's metadata. */
static void run_label(const char *labels, size_t index, char *out, size_t size)
{
    out[0] = '\0';
    for (; labels && index; index--) {
        labels = strchr(labels, '\n');
        labels = labels ? labels + 1 : NULL;
    }
    if (!labels)
        return;
    const size_t length = strcspn(labels, "\n");
    snprintf(out, size, "%.*s", (int)length, labels);
}

static void run_top(const linnet_model *m, const linnet_tensor *t, int top)
{
    const size_t count = linnet_tensor_count(t);
    double below = 0;
    size_t last = count;

    for (int k = 0; k < top && (size_t)k < count; k++) {
        size_t best = count;
        for (size_t i = 0; i < count; i++) {
            const double v = linnet_tensor_get(t, i);
            const bool taken = last < count && (v > below || (v == below && i <= last));
            if (!taken && (best == count || v > linnet_tensor_get(t, best)))
                best = i;
        }
        if (best == count)
            return;
        char label[256];
        run_label(linnet_model_meta(m, "labels"), best, label, sizeof label);
        printf("%2d. [%zu] %-10.6g %s\n", k + 1, best, linnet_tensor_get(t, best), label);
        below = linnet_tensor_get(t, best);
        last = best;
    }
}

static bool run_outputs(const run *r, const linnet_model *m, const linnet_session *s)
{
    bool good = true;
    char text[256];

    for (size_t i = 0; i < linnet_model_output_count(m); i++) {
        const linnet_tensor *t = linnet_session_output(s, i);
        linnet_value_info v;
        linnet_model_output(m, i, &v);
        v.dtype = linnet_tensor_dtype(t);
        v.rank = linnet_tensor_rank(t);
        for (int32_t d = 0; d < v.rank; d++)
            v.dims[d] = linnet_tensor_dim(t, d);
        const char *path = run_file_for(r->output, r->outputs, v.name, i);
        printf("%s %s%s%s\n", v.name, cli_value_text(&v, text, sizeof text), path ? " -> " : "", path ? path : "");
        if (path)
            good = cli_write_npy(path, t) && good;
        else
            run_top(m, t, r->top);
    }
    return good;
}

static int run_model(run *r, const linnet_model *m, linnet_session *s)
{
    const size_t count = linnet_model_input_count(m);
    linnet_tensor **in = calloc(count + 1, sizeof *in);
    linnet_error err;
    bool good = in != NULL;

    for (size_t i = 0; good && i < count; i++) {
        linnet_value_info v;
        linnet_model_input(m, i, &v);
        const char *path = run_file_for(r->input, r->inputs, v.name, i);
        if (!path)
            fprintf(stderr, "linnet: input %s: random numbers\n", v.name);
        in[i] = path ? cli_read_tensor(path, &v) : cli_random_tensor(&v, i + 1);
        good = in[i] != NULL;
        if (good && linnet_session_set_input_tensor(s, i, in[i], &err)) {
            cli_fail("%s", err.message);
            good = false;
        }
    }
    if (good && linnet_session_run(s, &err)) {
        cli_fail("%s: %s", r->model, err.message);
        good = false;
    }
    good = good && run_outputs(r, m, s);
    for (size_t i = 0; in && i < count; i++)
        linnet_tensor_free(in[i]);
    free(in);
    return good ? CLI_OK : CLI_FAILED;
}

static int run_run(int argc, char **argv)
{
    run r = { .top = 5 };
    linnet_model *m;
    linnet_session *s;
    linnet_error err;

    cli_options_init(&r.o);
    for (int i = 0; i < argc; i++) {
        const int taken = cli_option(&r.o, argc, argv, &i);
        const bool more = i + 1 < argc;
        if (taken > 0)
            continue;
        if (strcmp(argv[i], "--input") == 0 && more && r.inputs < RUN_MOST)
            r.input[r.inputs++] = argv[++i];
        else if (strcmp(argv[i], "--output") == 0 && more && r.outputs < RUN_MOST)
            r.output[r.outputs++] = argv[++i];
        else if (strcmp(argv[i], "--top") == 0 && more)
            r.top = atoi(argv[++i]);
        else if (taken < 0 || r.model || argv[i][0] == '-')
            return cli_usage(&cli_run);
        else
            r.model = argv[i];
    }
    if (!r.model)
        return cli_usage(&cli_run);
    if (!cli_options_ready(&r.o))
        return CLI_FAILED;
    if (linnet_model_open(r.model, &r.o.opt, &m, &err))
        return cli_fail("%s: %s", r.model, err.message);
    int status = CLI_FAILED;
    if (linnet_session_create(m, &r.o.opt, &s, &err))
        cli_fail("%s: %s", r.model, err.message);
    else
        status = run_model(&r, m, s);
    linnet_session_free(s);
    linnet_model_free(m);
    cli_options_free(&r.o);
    return status;
}

const cli_command cli_run = {
    "run", "MODEL [--input [NAME=]FILE.npy|.pb|.png|.pgm|.ppm] [--output [NAME=]FILE.npy] [--top K] " CLI_OPTIONS,
    "run a model on files", run_run,
};
