/*
 * bench.c - how long a model takes: load, first run, steady runs; per layer with --layers;
 * what the start of a fresh process costs beyond one steady run, and its memory, with --start.
 */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#if defined(__unix__) || defined(__APPLE__)
#  include <sys/resource.h>

/* The most memory that this process ever had, in bytes; 0: unknown. */
static uint64_t bench_peak(void)
{
    struct rusage use;

    return getrusage(RUSAGE_SELF, &use) == 0 ? (uint64_t)use.ru_maxrss * 1024 : 0;
}
#else
static uint64_t bench_peak(void) { return 0; }
#endif

/* Counts what the library allocates, on the way to malloc. */
static void *bench_alloc(void *user, size_t size, size_t align)
{
    (void)align;
    ++*(uint64_t *)user;
    return malloc(size);
}

static void bench_free(void *user, void *p, size_t size)
{
    (void)user;
    (void)size;
    free(p);
}

typedef struct bench {
    cli_options o;
    const char *path, *shape[16];
    int         shapes;
    double      seconds, open, load; /* load: opening and planning */
    bool        layers, start;
    uint64_t    before; /* bytes of the process before the model */
    uint64_t    inputs; /* bytes of the caller's own */
    uint64_t    allocations;
} bench;

static int bench_by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* --shape NAME=1x3x224x224 */
static bool bench_shape(const bench *b, linnet_value_info *v)
{
    for (int i = 0; i < b->shapes; i++) {
        const char *equals = strrchr(b->shape[i], '=');
        const size_t length = equals ? (size_t)(equals - b->shape[i]) : 0;
        if (equals && strlen(v->name) == length && strncmp(v->name, b->shape[i], length) == 0)
            return cli_apply_shape(v, equals + 1);
    }
    return true;
}

static linnet_tensor **bench_inputs(bench *b, const linnet_model *m, linnet_session *s)
{
    const size_t count = linnet_model_input_count(m);
    linnet_tensor **in = calloc(count + 1, sizeof *in);
    linnet_error err;

    for (size_t i = 0; in && i < count; i++) {
        linnet_value_info v;
        linnet_model_input(m, i, &v);
        if (!bench_shape(b, &v)) {
            cli_fail("--shape does not fit input %s", v.name);
        } else if ((in[i] = cli_random_tensor(&v, i + 1)) != NULL) {
            b->inputs += linnet_tensor_size(in[i]);
            if (linnet_session_set_input_tensor(s, i, in[i], &err) == LINNET_OK)
                continue;
            cli_fail("%s", err.message);
        }
        for (size_t k = 0; k <= i; k++)
            linnet_tensor_free(in[k]);
        free(in);
        return NULL;
    }
    return in;
}

static void bench_print_layers(const linnet_session *s)
{
    linnet_step_info step = { .struct_size = sizeof step };
    double total = 0;

    for (size_t i = 0; linnet_session_step(s, i, &step) == LINNET_OK; i++)
        total += (double)step.ns;
    printf("\n      us   share  GFLOP/s  operator              output  layer\n");
    for (size_t i = 0; linnet_session_step(s, i, &step) == LINNET_OK; i++) {
        linnet_value_info v = { .dtype = step.dtype, .rank = step.rank };
        char text[256];
        memcpy(v.dims, step.dims, sizeof v.dims);
        printf("%8.1f  %5.1f%%  %7.1f  %-20s  %s  %s\n", (double)step.ns * 1e-3, 100 * (double)step.ns / total,
               step.ns ? step.flop / (double)step.ns : 0.0, step.op, cli_value_text(&v, text, sizeof text), step.layer);
    }
}

/* Allocations per run, counted in a session of its own: measuring uses the library's own allocator. */
static double bench_count(bench *b, const linnet_model *m, linnet_tensor *const *in)
{
    enum { RUNS = 3 };
    const linnet_allocator counting = { &b->allocations, bench_alloc, bench_free };
    linnet_options opt = b->o.opt;
    linnet_session *s;
    uint64_t before = 0;
    bool good;

    opt.allocator = &counting;
    if (linnet_session_create(m, &opt, &s, NULL))
        return -1;
    good = true;
    for (size_t i = 0; i < linnet_model_input_count(m); i++)
        good = good && linnet_session_set_input_tensor(s, i, in[i], NULL) == LINNET_OK;
    for (int i = 0; i < 2 + RUNS && good; i++) {
        before = i == 2 ? b->allocations : before; /* the first two may still grow */
        good = linnet_session_run(s, NULL) == LINNET_OK;
    }
    linnet_session_free(s);
    return good ? (double)(b->allocations - before) / RUNS : -1;
}

/* One line about the start of this process: times in ms, memory in MB. */
static int bench_start(const bench *b, const linnet_model *m, linnet_session *s)
{
    linnet_session_info p = { .struct_size = sizeof p };
    double took[2] = { 0, 1e30 }; /* first, best of the others */
    linnet_error err;

    for (int i = 0; i < 6; i++) {
        const double start = cli_now();
        if (linnet_session_run(s, &err))
            return cli_fail("%s: %s", b->path, err.message);
        const double t = cli_now() - start;
        took[i > 0] = i > 1 && took[1] < t ? took[1] : t;
    }
    linnet_session_get_info(s, &p);
    const double rest = (double)bench_peak() - (double)(p.weight_bytes + p.arena_bytes + b->inputs);
    printf(b->o.json ? "{\"model\": \"%s\", \"open_ms\": %.3f, \"plan_ms\": %.3f, \"first_ms\": %.3f, "
                       "\"steady_ms\": %.3f, \"start_ms\": %.3f, \"peak_mb\": %.1f, \"before_mb\": %.1f, "
                       "\"weights_mb\": %.1f, \"packed_mb\": %.1f, \"arena_mb\": %.1f, \"input_mb\": %.1f, "
                       "\"rest_mb\": %.1f}\n"
                     : "%s: open %.3f ms, plan %.3f ms, first run %.3f ms, steady %.3f ms: start %.3f ms\n"
                       "peak %.1f MB, before the model %.1f MB; weights %.1f MB, packed %.1f MB, arena %.1f MB, input %.1f MB, "
                       "the rest of the peak %.1f MB\n",
           b->path, b->open * 1e3, (b->load - b->open) * 1e3, took[0] * 1e3, took[1] * 1e3,
           (b->load + took[0] - took[1]) * 1e3, (double)bench_peak() * 1e-6, (double)b->before * 1e-6,
           (double)linnet_model_weight_bytes(m) * 1e-6, (double)p.weight_bytes * 1e-6, (double)p.arena_bytes * 1e-6,
           (double)b->inputs * 1e-6, rest * 1e-6);
    return CLI_OK;
}

static int bench_measure(bench *b, const linnet_model *m, linnet_session *s, linnet_tensor *const *in)
{
    linnet_session_info p = { .struct_size = sizeof p };
    size_t runs = 0, room = 1024;
    double *took = malloc(room * sizeof *took);
    linnet_error err;
    double start = cli_now();

    if (!took || linnet_session_run(s, &err)) {
        free(took);
        return took ? cli_fail("%s: %s", b->path, err.message) : cli_fail("out of memory");
    }
    const double first = cli_now() - start, until = cli_now() + b->seconds;
    linnet_session_run(s, &err);
    do {
        if (runs == room) {
            double *more = realloc(took, (room *= 2) * sizeof *took);
            if (!more)
                break;
            took = more;
        }
        start = cli_now();
        linnet_session_run(s, &err);
        took[runs++] = cli_now() - start;
    } while (cli_now() < until || runs < 3);
    if (b->layers && !b->o.json)
        bench_print_layers(s);
    qsort(took, runs, sizeof *took, bench_by_value);
    linnet_session_get_info(s, &p);
    const double median = took[runs / 2];
    const char *format = b->o.json
        ? "{\"model\": \"%s\", \"threads\": %d, \"isa\": \"%s\", \"runs\": %zu, \"load_ms\": %.4f, \"first_ms\": %.4f, "
          "\"min_ms\": %.5f, \"median_ms\": %.5f, \"p99_ms\": %.5f, \"gflop\": %.6f, \"gflops\": %.2f, "
          "\"arena_bytes\": %" PRIu64 ", \"weight_bytes\": %" PRIu64 ", \"allocations_per_run\": %.3f}\n"
        : "%s  threads %d  %s  runs %zu\nload %.3f ms, first run %.3f ms\nmin %.4f ms, median %.4f ms, p99 %.4f ms\n"
          "%.5f GFLOP, %.2f GFLOP/s\narena %" PRIu64 " bytes, packed weights %" PRIu64
          " bytes, %.3f allocations per run\n";
    printf(format, b->path, p.threads, linnet_isa_name((uint32_t)p.isa), runs, b->load * 1e3, first * 1e3, took[0] * 1e3,
           median * 1e3, took[(runs * 99) / 100] * 1e3, p.flop * 1e-9, p.flop * 1e-9 / median, p.arena_bytes,
           p.weight_bytes, bench_count(b, m, in));
    free(took);
    return CLI_OK;
}

static int bench_run(int argc, char **argv)
{
    bench b = { .seconds = 2 };
    linnet_model *m;
    linnet_session *s;
    linnet_error err;

    cli_options_init(&b.o);
    for (int i = 0; i < argc; i++) {
        const int taken = cli_option(&b.o, argc, argv, &i);
        if (taken > 0)
            continue;
        if (strcmp(argv[i], "--layers") == 0)
            b.layers = true;
        else if (strcmp(argv[i], "--start") == 0)
            b.start = true;
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            b.seconds = atof(argv[++i]);
        else if (strcmp(argv[i], "--shape") == 0 && i + 1 < argc && b.shapes < 16)
            b.shape[b.shapes++] = argv[++i];
        else if (taken < 0 || b.path || argv[i][0] == '-')
            return cli_usage(&cli_bench);
        else
            b.path = argv[i];
    }
    if (!b.path)
        return cli_usage(&cli_bench);
    if (!cli_options_ready(&b.o))
        return CLI_FAILED;
    b.o.opt.profile = b.layers;
    b.before = bench_peak();
    const double start = cli_now();
    if (linnet_model_open(b.path, &b.o.opt, &m, &err))
        return cli_fail("%s: %s", b.path, err.message);
    b.open = cli_now() - start;
    int status = CLI_FAILED;
    if (linnet_session_create(m, &b.o.opt, &s, &err)) {
        cli_fail("%s: %s", b.path, err.message);
    } else {
        b.load = cli_now() - start;
        const size_t count = linnet_model_input_count(m);
        linnet_tensor **in = bench_inputs(&b, m, s);
        if (in)
            status = b.start ? bench_start(&b, m, s) : bench_measure(&b, m, s, in);
        for (size_t i = 0; in && i < count; i++)
            linnet_tensor_free(in[i]);
        free(in);
        linnet_session_free(s);
    }
    linnet_model_free(m);
    cli_options_free(&b.o);
    return status;
}

const cli_command cli_bench = {
    "bench", "MODEL [--seconds S] [--layers | --start] [--shape NAME=1x3x224x224] [--json] " CLI_OPTIONS,
    "measure a model on random input", bench_run,
};
