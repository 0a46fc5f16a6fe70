/*
 * verify.c - runs models over their stored inputs and compares with their stored outputs.
 */
#include "cli.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct verify {
    cli_options o;
    double rtol, atol, quant_steps;
    bool   verbose;
    size_t passed, failed, skipped;
} verify;

#define VERIFY_MOST 64 /* inputs or outputs of one model */

static linnet_tensor *verify_tensor(const char *dir, const char *kind, size_t i, linnet_error *err)
{
    char path[4096];
    struct stat st;
    linnet_tensor *t = NULL;
    size_t size;

    snprintf(path, sizeof path, "%s/%s_%zu.pb", dir, kind, i);
    if (stat(path, &st) != 0) {
        snprintf(err->message, sizeof err->message, "%s_%zu.pb is not there", kind, i);
        return NULL;
    }
    void *data = cli_read_file(path, &size);
    if (data && linnet_tensor_load_pb(data, size, &t, NULL, 0, err))
        t = NULL;
    free(data);
    return t;
}

static bool verify_is_integer(int32_t dtype)
{
    return dtype != LINNET_F32 && dtype != LINNET_F64 && dtype != LINNET_F16 && dtype != LINNET_BF16 &&
           !(dtype >= LINNET_F8E4M3FN && dtype <= LINNET_F8E5M2FNUZ) && dtype != LINNET_F4E2M1 &&
           dtype != LINNET_F8E8M0;
}

/* Excess of element i over its tolerance: at most 0 where it is good. */
static double verify_excess(const verify *v, const linnet_tensor *got, const linnet_tensor *want, size_t i)
{
    if (linnet_tensor_dtype(want) == LINNET_STRING)
        return strcmp(linnet_tensor_string(got, i), linnet_tensor_string(want, i)) ? INFINITY : 0;
    const double x = linnet_tensor_get(got, i), y = linnet_tensor_get(want, i);
    if (x == y || (isnan(x) && isnan(y)))
        return 0;
    if (isnan(x) || isnan(y) || isinf(x) || isinf(y))
        return INFINITY;
    return fabs(x - y) - (verify_is_integer(linnet_tensor_dtype(want)) ? v->quant_steps
                                                                          : v->atol + v->rtol * fabs(y));
}

/* An empty string, or what is wrong with output i. */
static void verify_compare(const verify *v, size_t i, const linnet_tensor *got, const linnet_tensor *want,
                           char *out, size_t size)
{
    size_t worst = 0, bad = 0;
    double most = 0;

    out[0] = '\0';
    bool same = linnet_tensor_dtype(got) == linnet_tensor_dtype(want) &&
                linnet_tensor_rank(got) == linnet_tensor_rank(want);
    for (int32_t d = 0; same && d < linnet_tensor_rank(want); d++)
        same = linnet_tensor_dim(got, d) == linnet_tensor_dim(want, d);
    if (!same) {
        int at = snprintf(out, size, "output %zu: got %s[", i, linnet_dtype_name(linnet_tensor_dtype(got)));
        for (int32_t d = 0; d < linnet_tensor_rank(got); d++)
            at += snprintf(out + at, size - (size_t)at, "%s%lld", d ? "," : "", (long long)linnet_tensor_dim(got, d));
        at += snprintf(out + at, size - (size_t)at, "], want %s[", linnet_dtype_name(linnet_tensor_dtype(want)));
        for (int32_t d = 0; d < linnet_tensor_rank(want); d++)
            at += snprintf(out + at, size - (size_t)at, "%s%lld", d ? "," : "", (long long)linnet_tensor_dim(want, d));
        snprintf(out + at, size - (size_t)at, "]");
        return;
    }
    for (size_t k = 0; k < linnet_tensor_count(want); k++) {
        const double excess = verify_excess(v, got, want, k);
        bad += excess > 0;
        if (excess > most) {
            most = excess;
            worst = k;
        }
    }
    if (bad)
        snprintf(out, size, "output %zu: %zu of %zu elements differ, worst [%zu]: got %.9g, want %.9g", i, bad,
                 linnet_tensor_count(want), worst, linnet_tensor_get(got, worst), linnet_tensor_get(want, worst));
}

/* One test_data_set folder with an open session. True: passed; else `out` says why. */
static linnet_status verify_set(const verify *v, const linnet_model *m, linnet_session *s, const char *dir,
                                char *out, size_t size)
{
    linnet_tensor *in[VERIFY_MOST] = { 0 };
    linnet_error err = { 0, "" };
    linnet_status st = LINNET_OK;
    const size_t in_count = linnet_model_input_count(m), out_count = linnet_model_output_count(m);

    out[0] = '\0';
    for (size_t i = 0; i < in_count && i < VERIFY_MOST && !st; i++) {
        in[i] = verify_tensor(dir, "input", i, &err);
        st = in[i] ? linnet_session_set_input_tensor(s, i, in[i], &err) : LINNET_ERR_UNSUPPORTED;
    }
    if (!st)
        st = linnet_session_run(s, &err);
    for (size_t i = 0; i < out_count && !st && !out[0]; i++) {
        linnet_tensor *want = verify_tensor(dir, "output", i, &err);
        if (!want) {
            st = LINNET_ERR_UNSUPPORTED;
            break;
        }
        verify_compare(v, i, linnet_session_output(s, i), want, out, size);
        linnet_tensor_free(want);
    }
    if (st)
        snprintf(out, size, "%s", err.message);
    for (size_t i = 0; i < in_count && i < VERIFY_MOST; i++)
        linnet_tensor_free(in[i]);
    return st ? st : out[0] ? LINNET_ERR_CHECK : LINNET_OK;
}

static int verify_by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The test_data_set_* folders in `dir`, sorted; malloc memory. */
static size_t verify_sets(const char *dir, char **name, size_t most)
{
    DIR *d = opendir(dir);
    size_t count = 0;

    for (struct dirent *e; d && (e = readdir(d)) != NULL && count < most;)
        if (strncmp(e->d_name, "test_data_set_", 14) == 0 && (name[count] = malloc(strlen(e->d_name) + 1)) != NULL)
            strcpy(name[count++], e->d_name);
    if (d)
        closedir(d);
    qsort(name, count, sizeof *name, verify_by_name);
    return count;
}

static void verify_report(verify *v, const char *dir, linnet_status st, const char *why)
{
    if (st == LINNET_OK) {
        v->passed++;
        if (v->verbose)
            printf("passed  %s\n", dir);
    } else if (st == LINNET_ERR_UNSUPPORTED || st == LINNET_ERR_EXTERNAL) {
        v->skipped++;
        if (v->verbose)
            printf("skipped %s: %s\n", dir, why);
    } else {
        v->failed++;
        printf("FAILED  %s: %s\n", dir, why);
    }
    fflush(stdout);
}

static void verify_dir(verify *v, const char *dir)
{
    char path[4096], why[1024] = "no test_data_set folder";
    char *set[64];
    struct stat file;
    linnet_error err = { 0, "" };
    linnet_model *m;
    linnet_session *s = NULL;

    snprintf(path, sizeof path, "%s/model.lnt", dir);
    if (stat(path, &file) != 0)
        snprintf(path, sizeof path, "%s/model.onnx", dir);
    if (stat(path, &file) != 0)
        return;
    linnet_status st = linnet_model_open(path, &v->o.opt, &m, &err);
    if (st) {
        verify_report(v, dir, st, err.message);
        return;
    }
    st = linnet_session_create(m, &v->o.opt, &s, &err);
    if (st) {
        snprintf(why, sizeof why, "%s", err.message);
    } else {
        const size_t sets = verify_sets(dir, set, 64);
        st = sets ? LINNET_OK : LINNET_ERR_UNSUPPORTED;
        for (size_t i = 0; i < sets; i++) {
            snprintf(path, sizeof path, "%s/%s", dir, set[i]);
            if (!st)
                st = verify_set(v, m, s, path, why, sizeof why);
            free(set[i]);
        }
    }
    verify_report(v, dir, st, why);
    linnet_session_free(s);
    linnet_model_free(m);
}

static bool verify_number(int argc, char **argv, int *i, const char *name, double *out)
{
    if (strcmp(argv[*i], name) != 0 || *i + 1 >= argc)
        return false;
    *out = atof(argv[++*i]);
    return true;
}

static int verify_run(int argc, char **argv)
{
    verify v = { .rtol = 1e-3, .atol = 1e-5 };

    cli_options_init(&v.o);
    const char **dir = malloc(((size_t)argc + 1) * sizeof *dir);
    size_t dirs = 0;
    for (int i = 0; dir && i < argc; i++) {
        const int taken = cli_option(&v.o, argc, argv, &i);
        if (taken > 0 || verify_number(argc, argv, &i, "--rtol", &v.rtol) ||
            verify_number(argc, argv, &i, "--atol", &v.atol) ||
            verify_number(argc, argv, &i, "--quant-steps", &v.quant_steps))
            continue;
        if (strcmp(argv[i], "--verbose") == 0) {
            v.verbose = true;
        } else if (taken < 0 || argv[i][0] == '-') {
            free(dir);
            return cli_usage(&cli_verify);
        } else {
            dir[dirs++] = argv[i];
        }
    }
    if (!dir || !cli_options_ready(&v.o)) {
        free(dir);
        return CLI_FAILED;
    }
    for (size_t i = 0; i < dirs; i++)
        verify_dir(&v, dir[i]);
    free(dir);
    printf("%zu passed, %zu failed, %zu skipped\n", v.passed, v.failed, v.skipped);
    cli_options_free(&v.o);
    return v.failed ? CLI_FAILED : CLI_OK;
}

const cli_command cli_verify = {
    "verify", "DIR... [--rtol R] [--atol A] [--quant-steps Q] [--verbose] " CLI_OPTIONS,
    "compare models with the outputs stored beside them", verify_run,
};
