/*
 * convert.c - any model that linnet reads, written as .lnt; with labels, preprocessing, tests, and weights
 * packed for instruction-set levels.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#define CONVERT_MOST 64

typedef struct convert {
    const char *in, *out;
    const char *meta[CONVERT_MOST]; /* key=value, or key=@file */
    int         metas;
    const char *tests[CONVERT_MOST]; /* folders with input_*.pb (.npy) and output_* */
    int         test_count;
    double      rtol, atol;
    const char *levels; /* avx2,avx512: pack for these */
} convert;

static bool convert_meta(linnet_model *m, const char *text)
{
    const char *equals = strchr(text, '=');
    linnet_error err;
    char key[256];

    if (!equals || (size_t)(equals - text) >= sizeof key) {
        cli_fail("--meta wants KEY=VALUE or KEY=@FILE");
        return false;
    }
    memcpy(key, text, (size_t)(equals - text));
    key[equals - text] = '\0';
    char *file = NULL;
    const char *value = equals + 1;
    if (*value == '@') {
        size_t size;
        file = cli_read_file(value + 1, &size);
        if (!file)
            return false;
        while (size && (file[size - 1] == '\n' || file[size - 1] == '\r'))
            size--;
        file[size] = '\0';
        value = file;
    }
    const linnet_status st = linnet_model_set_meta(m, key, value, &err);
    if (st)
        cli_fail("--meta %s: %s", key, err.message);
    free(file);
    return st == LINNET_OK;
}

static linnet_tensor *convert_tensor(const char *dir, const char *kind, size_t i)
{
    static const char *const end[] = { "npy", "pb" };
    char path[4096];

    for (size_t e = 0; e < 2; e++) {
        snprintf(path, sizeof path, "%s/%s_%zu.%s", dir, kind, i, end[e]);
        FILE *f = fopen(path, "rb");
        if (f) {
            fclose(f);
            return cli_read_tensor(path, NULL);
        }
    }
    cli_fail("%s/%s_%zu.npy (or .pb) is not there", dir, kind, i);
    return NULL;
}

static bool convert_test(linnet_model *m, const convert *c, const char *dir)
{
    const size_t in = linnet_model_input_count(m), all = in + linnet_model_output_count(m);
    linnet_tensor *t[2 * CONVERT_MOST] = { 0 };
    linnet_error err;
    bool good = all <= 2 * CONVERT_MOST;

    for (size_t i = 0; good && i < all; i++) {
        t[i] = i < in ? convert_tensor(dir, "input", i) : convert_tensor(dir, "output", i - in);
        good = t[i] != NULL;
    }
    if (good && linnet_model_add_test(m, (const linnet_tensor *const *)t, (const linnet_tensor *const *)t + in,
                                      c->rtol, c->atol, &err)) {
        cli_fail("%s: %s", dir, err.message);
        good = false;
    }
    for (size_t i = 0; i < all && i < 2 * CONVERT_MOST; i++)
        linnet_tensor_free(t[i]);
    return good;
}

/* The file that was written, once more with its weights packed for each level. */
static bool convert_pack(const convert *c)
{
    linnet_model *m;
    linnet_error err;
    bool good = true;

    if (linnet_model_open(c->out, NULL, &m, &err)) {
        cli_fail("%s: %s", c->out, err.message);
        return false;
    }
    for (const char *at = c->levels; *at && good; at += strcspn(at, ","), at += *at == ',') {
        cli_options o;
        char name[32];
        char *args[2] = { "--isa", name };
        int i = 0;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ","), at);
        cli_options_init(&o);
        good = cli_option(&o, 2, args, &i) > 0;
        if (good && linnet_model_pack(m, &o.opt, &err)) {
            cli_fail("--pack %s: %s", name, err.message);
            good = false;
        }
    }
    if (good && linnet_model_save(m, c->out, &err)) {
        cli_fail("%s: %s", c->out, err.message);
        good = false;
    }
    linnet_model_free(m);
    if (!good)
        remove(c->out);
    return good;
}

static int convert_run(int argc, char **argv)
{
    convert c = { .rtol = 1e-3, .atol = 1e-5 };
    linnet_model *m;
    linnet_error err;

    for (int i = 0; i < argc; i++) {
        const bool more = i + 1 < argc;
        if (strcmp(argv[i], "--meta") == 0 && more && c.metas < CONVERT_MOST)
            c.meta[c.metas++] = argv[++i];
        else if (strcmp(argv[i], "--test") == 0 && more && c.test_count < CONVERT_MOST)
            c.tests[c.test_count++] = argv[++i];
        else if (strcmp(argv[i], "--rtol") == 0 && more)
            c.rtol = atof(argv[++i]);
        else if (strcmp(argv[i], "--atol") == 0 && more)
            c.atol = atof(argv[++i]);
        else if (strcmp(argv[i], "--pack") == 0 && more)
            c.levels = argv[++i];
        else if (argv[i][0] == '-' || c.out)
            return cli_usage(&cli_convert);
        else if (!c.in)
            c.in = argv[i];
        else
            c.out = argv[i];
    }
    if (!c.out)
        return cli_usage(&cli_convert);
    if (linnet_model_open(c.in, NULL, &m, &err))
        return cli_fail("%s: %s", c.in, err.message);
    bool good = true;
    for (int i = 0; i < c.metas && good; i++)
        good = convert_meta(m, c.meta[i]);
    for (int i = 0; i < c.test_count && good; i++)
        good = convert_test(m, &c, c.tests[i]);
    if (good && linnet_model_save(m, c.out, &err)) {
        cli_fail("%s: %s", c.out, err.message);
        good = false;
    }
    linnet_model_free(m);
    if (good && c.levels)
        good = convert_pack(&c);
    return good ? CLI_OK : CLI_FAILED;
}

const cli_command cli_convert = {
    "convert", "IN OUT.lnt [--meta KEY=VALUE|KEY=@FILE] [--test DIR] [--rtol R] [--atol A] [--pack LEVEL,...]",
    "write a model as .lnt, with metadata and test vectors", convert_run,
};
