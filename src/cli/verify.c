/*
 * verify.c - runs models over their stored inputs and compares with their stored outputs.
 */
#include "cli.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define VERIFY_MOST 64 /* inputs or outputs of one model, items of a sequence */

typedef struct verify {
    cli_options o;
    double rtol, atol, quant_steps;
    bool   verbose;
    bool  *random; /* where the model at hand draws numbers, else NULL: was an output compared as random? */
    size_t passed, failed, skipped, drawn; /* drawn: of the passed, those compared as random */
} verify;

/* A value as it is stored: a tensor, a sequence of them, or nothing. */
typedef struct verify_value {
    linnet_tensor *item[VERIFY_MOST];
    size_t         count;
    bool           is_sequence;
} verify_value;

static void verify_free(verify_value *v)
{
    for (size_t i = 0; i < v->count; i++)
        linnet_tensor_free(v->item[i]);
    v->count = 0;
}

/* The next field of a protobuf message that is a message itself: its number, 0 at the end. */
static uint32_t verify_field(const unsigned char *d, size_t size, size_t *at, const unsigned char **body, size_t *length)
{
    while (*at < size) {
        const unsigned key = d[(*at)++];
        uint64_t v = 0;
        for (int shift = 0; *at < size && shift < 63; shift += 7) {
            v |= (uint64_t)(d[*at] & 127) << shift;
            if (!(d[(*at)++] & 128))
                break;
        }
        if ((key & 7) == 0)
            continue; /* a number */
        if ((key & 7) != 2 || v > size - *at)
            return 0;
        *body = d + *at;
        *length = (size_t)v;
        *at += (size_t)v;
        return key >> 3;
    }
    return 0;
}

/* SequenceProto (tensors in field 3) or OptionalProto (a tensor in 3, a sequence in 5). */
static bool verify_parse(const unsigned char *d, size_t size, bool sequence, verify_value *out, linnet_error *err)
{
    const unsigned char *body;
    size_t at = 0, length;
    uint32_t field;

    out->is_sequence = sequence;
    while ((field = verify_field(d, size, &at, &body, &length)) != 0) {
        if (field == 5 && !sequence)
            return verify_parse(body, length, true, out, err);
        if (field == 3 && (out->count == VERIFY_MOST ||
                           linnet_tensor_load_pb(body, length, &out->item[out->count++], NULL, 0, err)))
            return false;
    }
    return true;
}

/* direction: "input" or "output"; kind: what the model declares there. */
static bool verify_load(const char *dir, const char *direction, size_t i, int32_t kind, verify_value *out,
                        linnet_error *err)
{
    char path[4096];
    struct stat st;
    size_t size;

    memset(out, 0, sizeof *out);
    snprintf(path, sizeof path, "%s/%s_%zu.pb", dir, direction, i);
    if (stat(path, &st) != 0) {
        snprintf(err->message, sizeof err->message, "%s_%zu.pb is not there", direction, i);
        return false;
    }
    unsigned char *data = cli_read_file(path, &size);
    bool good = data != NULL;
    if (good && kind == LINNET_KIND_TENSOR) {
        good = linnet_tensor_load_pb(data, size, &out->item[0], NULL, 0, err) == LINNET_OK;
        out->count = good;
    } else if (good) {
        good = verify_parse(data, size, kind == LINNET_KIND_SEQUENCE, out, err);
    }
    free(data);
    return good;
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

/*
 * Does the model draw random numbers, of a kind that either keeps an element or makes it 0? (Dropout does only
 * where it is told of training.)
 */
static bool verify_draws(const linnet_model *m)
{
    static const char *const op[] = { "Bernoulli", "RandomUniform", "RandomUniformLike" };

    for (size_t i = 0; i < linnet_model_layer_count(m); i++) {
        const linnet_layer *l = linnet_model_layer(m, i);
        if (strcmp(linnet_layer_op(l), "Dropout") == 0 && linnet_layer_input_count(l) > 2)
            return true;
        for (size_t k = 0; k < sizeof op / sizeof *op; k++)
            if (strcmp(linnet_layer_op(l), op[k]) == 0)
                return true;
    }
    return false;
}

/*
 * Tensors of one type and shape that other random numbers made: what both kept must agree, and how
 * many are kept may differ by three standard deviations of such a difference, at most sqrt(n / 2) each.
 */
static bool verify_as_random(const verify *v, const linnet_tensor *got, const linnet_tensor *want)
{
    const size_t n = linnet_tensor_count(want);
    double kept = 0, wanted = 0;

    if (linnet_tensor_dtype(want) == LINNET_STRING)
        return false;
    for (size_t k = 0; k < n; k++) {
        const double x = linnet_tensor_get(got, k), y = linnet_tensor_get(want, k);
        kept += x != 0;
        wanted += y != 0;
        if (x != 0 && y != 0 && verify_excess(v, got, want, k) > 0)
            return false;
    }
    return fabs(kept - wanted) <= 3 * sqrt((double)n / 2);
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
    if (bad && !(v->random && (*v->random = verify_as_random(v, got, want))))
        snprintf(out, size, "output %zu: %zu of %zu elements differ, worst [%zu]: got %.9g, want %.9g", i, bad,
                 linnet_tensor_count(want), worst, linnet_tensor_get(got, worst), linnet_tensor_get(want, worst));
}

static linnet_status verify_set_input(linnet_session *s, size_t i, const verify_value *v, linnet_error *err)
{
    if (v->is_sequence)
        return linnet_session_set_sequence(s, i, (const linnet_tensor *const *)v->item, v->count, err);
    return v->count ? linnet_session_set_input_tensor(s, i, v->item[0], err) : linnet_session_set_absent(s, i, err);
}

static void verify_output(const verify *v, linnet_session *s, size_t i, const verify_value *want, char *out, size_t size)
{
    const int64_t length = linnet_session_output_length(s, i);

    if (length < 0 && want->count == 1 && !want->is_sequence) {
        verify_compare(v, i, linnet_session_output(s, i), want->item[0], out, size);
    } else if (length != (int64_t)want->count) {
        snprintf(out, size, "output %zu: %lld items, want %zu", i, (long long)length, want->count);
    } else {
        for (size_t k = 0; k < want->count && !out[0]; k++)
            verify_compare(v, i, linnet_session_output_item(s, i, k), want->item[k], out, size);
    }
}

/* One test_data_set folder with an open session. Not ok: `out` says why. */
static linnet_status verify_set(const verify *v, const linnet_model *m, linnet_session *s, const char *dir,
                                char *out, size_t size)
{
    static verify_value in[VERIFY_MOST];
    linnet_error err = { 0, "" };
    linnet_status st = LINNET_OK;
    const size_t in_count = linnet_model_input_count(m), out_count = linnet_model_output_count(m);
    linnet_value_info info;
    size_t loaded = 0;

    out[0] = '\0';
    for (; loaded < in_count && loaded < VERIFY_MOST && !st; loaded++) {
        linnet_model_input(m, loaded, &info);
        st = verify_load(dir, "input", loaded, info.kind, &in[loaded], &err)
                 ? verify_set_input(s, loaded, &in[loaded], &err) : LINNET_ERR_UNSUPPORTED;
    }
    if (!st)
        st = linnet_session_run(s, &err);
    for (size_t i = 0; i < out_count && !st && !out[0]; i++) {
        verify_value want;
        linnet_model_output(m, i, &info);
        if (verify_load(dir, "output", i, info.kind, &want, &err))
            verify_output(v, s, i, &want, out, size);
        else
            st = LINNET_ERR_UNSUPPORTED;
        verify_free(&want);
    }
    if (st)
        snprintf(out, size, "%s", err.message);
    for (size_t i = 0; i < loaded; i++)
        verify_free(&in[i]);
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
        v->drawn += v->random && *v->random;
        if (v->verbose)
            printf("passed  %s%s\n", dir, v->random && *v->random ? " (random)" : "");
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
    bool random = false;

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
    if (verify_draws(m))
        v->random = &random;
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
    v->random = NULL;
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
    if (v.drawn)
        printf("%zu of the passed draw random numbers: compared by type, shape, what is kept and how many\n", v.drawn);
    printf("%zu passed, %zu failed, %zu skipped\n", v.passed, v.failed, v.skipped);
    cli_options_free(&v.o);
    return v.failed ? CLI_FAILED : CLI_OK;
}

const cli_command cli_verify = {
    "verify", "DIR... [--rtol R] [--atol A] [--quant-steps Q] [--verbose] " CLI_OPTIONS,
    "compare models with the outputs stored beside them", verify_run,
};
