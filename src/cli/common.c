/*
 * common.c - what the commands share: options, files, tensors.
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int cli_fail(const char *format, ...)
{
    va_list args;

    fputs("linnet: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int cli_usage(const cli_command *c)
{
    fprintf(stderr, "usage: linnet %s %s\n", c->name, c->arguments);
    return CLI_USAGE;
}

double cli_now(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- options ---------------------------------------------------------------------- */

void cli_options_init(cli_options *o)
{
    memset(o, 0, sizeof *o);
    linnet_options_init(&o->opt);
    o->threads = 1;
}

static int cli_isa(cli_options *o, const char *name)
{
    for (uint32_t bit = 1; bit; bit <<= 1)
        if (strcmp(linnet_isa_name(bit), name) == 0 && (linnet_isa_levels() & bit)) {
            o->opt.isa_mask = bit | (bit - 1); /* it and those below */
            return 1;
        }
    cli_fail("this machine has no level %s", name);
    return -1;
}

static int cli_passes(cli_options *o, const char *name)
{
    static const struct { const char *name; uint32_t mask; } known[] = {
        { "none", 0 }, { "fold", LINNET_PASS_FOLD }, { "fuse", LINNET_PASS_FOLD | LINNET_PASS_FUSE },
        { "layout", LINNET_PASS_FOLD | LINNET_PASS_LAYOUT }, { "all", UINT32_MAX },
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) {
            o->opt.passes = known[i].mask;
            return 1;
        }
    cli_fail("--passes is none, fold, fuse, layout or all");
    return -1;
}

int cli_option(cli_options *o, int argc, char **argv, int *i)
{
    const char *name = argv[*i];

    if (strcmp(name, "--json") == 0) {
        o->json = true;
        return 1;
    }
    if (strcmp(name, "--half") == 0) {
        o->opt.precision = LINNET_PRECISION_HALF;
        return 1;
    }
    if (strcmp(name, "--exact") == 0) {
        o->opt.precision = LINNET_PRECISION_EXACT;
        return 1;
    }
    if (strcmp(name, "--threads") != 0 && strcmp(name, "--isa") != 0 && strcmp(name, "--passes") != 0)
        return 0;
    if (*i + 1 >= argc) {
        cli_fail("%s wants a value", name);
        return -1;
    }
    const char *value = argv[++*i];
    if (strcmp(name, "--isa") == 0)
        return cli_isa(o, value);
    if (strcmp(name, "--passes") == 0)
        return cli_passes(o, value);
    o->threads = atoi(value);
    if (o->threads < 1 || o->threads > 1024) {
        cli_fail("--threads is a number from 1 to 1024");
        return -1;
    }
    return 1;
}

bool cli_options_ready(cli_options *o)
{
    linnet_error err;

    if (o->threads > 1 && linnet_pool_create(o->threads, NULL, &o->pool, &err)) {
        cli_fail("%s", err.message);
        return false;
    }
    o->opt.pool = o->pool;
    return true;
}

void cli_options_free(cli_options *o) { linnet_pool_free(o->pool); }

/* ---- files ---------------------------------------------------------------------------- */

void *cli_read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *data = NULL;
    long length;

    if (!f) {
        cli_fail("%s: %s", path, strerror(errno));
        return NULL;
    }
    if (fseek(f, 0, SEEK_END) == 0 && (length = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0 &&
        (data = malloc((size_t)length + 1)) != NULL) {
        *size = fread(data, 1, (size_t)length, f);
        if (*size != (size_t)length) {
            free(data);
            data = NULL;
        }
    }
    fclose(f);
    if (!data)
        cli_fail("%s cannot be read", path);
    return data;
}

/* ---- values -------------------------------------------------------------------------------- */

const char *cli_value_text(const linnet_value_info *v, char *out, size_t size)
{
    const char *type = linnet_dtype_name(v->dtype);
    int at = snprintf(out, size, "%s[", type ? type : "?");

    for (int32_t i = 0; i < v->rank && at >= 0 && (size_t)at < size; i++) {
        const char *comma = i ? "," : "";
        at += v->dims[i] >= 0 ? snprintf(out + at, size - (size_t)at, "%s%" PRId64, comma, v->dims[i])
                              : snprintf(out + at, size - (size_t)at, "%s%s", comma, v->symbol[i] ? v->symbol[i] : "?");
    }
    if (v->rank < 0 && (size_t)at < size)
        at += snprintf(out + at, size - (size_t)at, "...");
    if ((size_t)at < size)
        snprintf(out + at, size - (size_t)at, "]");
    return out;
}

bool cli_apply_shape(linnet_value_info *want, const char *text)
{
    int32_t rank = 0;
    int64_t dims[LINNET_MAX_RANK];

    while (*text && rank < LINNET_MAX_RANK) {
        char *end;
        dims[rank++] = strtoll(text, &end, 10);
        if (end == text || dims[rank - 1] < 0)
            return false;
        text = *end == 'x' || *end == ',' ? end + 1 : end;
        if (*end && *end != 'x' && *end != ',')
            return false;
    }
    if (*text || (want->rank >= 0 && want->rank != rank))
        return false;
    want->rank = rank;
    memcpy(want->dims, dims, sizeof dims);
    return true;
}

static uint64_t cli_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* Small numbers, as images and token ids have them: floats in [0, 1), integers in [0, 8). */
static void cli_random_fill(linnet_tensor *t, uint64_t seed)
{
    const size_t count = linnet_tensor_count(t);
    void *data = linnet_tensor_data(t);

    for (size_t i = 0; i < count; i++) {
        const uint64_t r = cli_random(&seed);
        switch (linnet_tensor_dtype(t)) {
        case LINNET_F32: ((float *)data)[i] = (float)(r >> 40) * 0x1p-24f; break;
        case LINNET_F64: ((double *)data)[i] = (double)(r >> 11) * 0x1p-53; break;
        case LINNET_I64: case LINNET_U64: ((int64_t *)data)[i] = (int64_t)(r & 7); break;
        case LINNET_I32: case LINNET_U32: ((int32_t *)data)[i] = (int32_t)(r & 7); break;
        case LINNET_I16: case LINNET_U16: ((int16_t *)data)[i] = (int16_t)(r & 7); break;
        case LINNET_F16: ((uint16_t *)data)[i] = (uint16_t)(0x3800 | (r & 0x3ff)); break;
        case LINNET_BF16: ((uint16_t *)data)[i] = (uint16_t)(0x3f00 | (r & 0x7f)); break;
        case LINNET_I8: case LINNET_U8: ((uint8_t *)data)[i] = (uint8_t)(r & 0x7f); break;
        case LINNET_BOOL: ((uint8_t *)data)[i] = (uint8_t)(r & 1); break;
        default: break; /* stays zero */
        }
    }
}

linnet_tensor *cli_random_tensor(const linnet_value_info *want, uint64_t seed)
{
    int64_t dims[LINNET_MAX_RANK];
    linnet_tensor *t;
    linnet_error err;

    for (int32_t i = 0; i < want->rank; i++)
        dims[i] = want->dims[i] < 0 ? 1 : want->dims[i];
    if (linnet_tensor_create(want->dtype, want->rank < 0 ? 0 : want->rank, dims, NULL, &t, &err)) {
        cli_fail("input %s: %s", want->name, err.message);
        return NULL;
    }
    cli_random_fill(t, seed);
    return t;
}
