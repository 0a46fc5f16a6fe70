/*
 * damage.c - damaged model files: an error or a result, never a crash, a hang or a memory flood.
 *
 *   damage MODEL [--step N] [--values N] [--part I/N] [--run]
 *
 * Loads every truncation of the file, then the file with each byte in turn changed to N other values
 * (1 by default; 255 is every value), plans it, and with --run runs it once. --step looks at every
 * N-th byte; --part splits the work among processes. Built with sanitizers in continuous integration.
 */
#include "linnet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_BYTES = 512 << 20 };

typedef struct heap { size_t bytes, most, blocks; } heap;

static void *heap_alloc(void *user, size_t size, size_t align)
{
    heap *h = user;

    (void)align;
    if (size > MOST_BYTES || h->bytes + size > MOST_BYTES)
        return NULL;
    void *p = malloc(size);
    if (p) {
        h->bytes += size;
        h->blocks++;
        h->most = h->bytes > h->most ? h->bytes : h->most;
    }
    return p;
}

static void heap_free(void *user, void *p, size_t size)
{
    heap *h = user;

    h->bytes -= size;
    h->blocks--;
    free(p);
}

static double now(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct tally { size_t loaded, ran, refused, failed; double slowest; } tally;

/* Zeros of the declared shape for every input; then one run. */
static int run_zeros(const linnet_model *m, linnet_session *s)
{
    linnet_tensor *in[16] = { 0 };
    const size_t count = linnet_model_input_count(m);
    int ran = count <= 16;

    for (size_t i = 0; i < count && ran; i++) {
        linnet_value_info v;
        linnet_model_input(m, i, &v);
        size_t elements = 1;
        for (int32_t d = 0; d < v.rank; d++) {
            v.dims[d] = v.dims[d] < 0 ? 1 : v.dims[d];
            elements = v.dims[d] > (1 << 22) || elements > (1 << 22) ? (size_t)1 << 40 : elements * (size_t)v.dims[d];
        }
        ran = v.rank >= 0 && elements <= (1 << 24) &&
              linnet_tensor_create(v.dtype, v.rank, v.dims, NULL, &in[i], NULL) == LINNET_OK &&
              linnet_session_set_input_tensor(s, i, in[i], NULL) == LINNET_OK;
    }
    ran = ran && linnet_session_run(s, NULL) == LINNET_OK;
    for (size_t i = 0; i < count && i < 16; i++)
        linnet_tensor_free(in[i]);
    return ran;
}

static void try_model(const unsigned char *data, size_t size, int run, tally *t, const char *what, size_t at)
{
    heap h = { 0 };
    const linnet_allocator hooks = { &h, heap_alloc, heap_free };
    linnet_limits limits = { .struct_size = sizeof limits, .memory = MOST_BYTES, .elements = 1 << 26 };
    linnet_options opt;
    linnet_model *m = NULL;
    linnet_session *s = NULL;
    linnet_error err = { 0, "" };
    const double start = now();

    linnet_options_init(&opt);
    opt.allocator = &hooks;
    opt.limits = &limits;
    if (linnet_model_load(data, size, &opt, &m, &err) == LINNET_OK) {
        t->loaded++;
        if (linnet_session_create(m, &opt, &s, &err) == LINNET_OK && run)
            t->ran += (size_t)run_zeros(m, s);
    } else {
        t->refused++;
        if (!err.message[0]) {
            printf("FAILED %s %zu: an error without a sentence\n", what, at);
            t->failed++;
        }
    }
    linnet_session_free(s);
    linnet_model_free(m);
    const double took = now() - start;
    if (h.blocks || h.bytes || took > 1.0) {
        printf("FAILED %s %zu: %zu blocks left, %.2f s\n", what, at, h.blocks, took);
        t->failed++;
    }
    t->slowest = took > t->slowest ? took : t->slowest;
}

int main(int argc, char **argv)
{
    size_t step = 1, values = 1, part = 0, parts = 1, size = 0;
    const char *path = NULL;
    int run = 0;
    tally t = { 0 };

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--step") == 0 && i + 1 < argc)
            step = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--values") == 0 && i + 1 < argc)
            values = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--part") == 0 && i + 1 < argc)
            sscanf(argv[++i], "%zu/%zu", &part, &parts);
        else if (strcmp(argv[i], "--run") == 0)
            run = 1;
        else
            path = argv[i];
    }
    FILE *f = path ? fopen(path, "rb") : NULL;
    if (!f || step == 0 || parts == 0)
        return fprintf(stderr, "usage: damage MODEL [--step N] [--values N] [--part I/N] [--run]\n"), 2;
    static unsigned char whole[64 << 20];
    size = fread(whole, 1, sizeof whole, f);
    fclose(f);

    for (size_t at = part * step; at < size; at += step * parts) {
        unsigned char *exact = malloc(at + 1); /* so that a sanitizer sees a read past the end */
        unsigned char *cut = exact + 1;
        memcpy(cut, whole, at);
        try_model(cut, at, run, &t, "truncation to", at);
        free(exact);
    }
    unsigned char *data = malloc(size);
    memcpy(data, whole, size);
    for (size_t at = part * step; at < size; at += step * parts) {
        for (size_t v = 1; v <= values; v++) {
            data[at] = (unsigned char)(whole[at] ^ (values == 255 ? v : 1u << (at * 5 + v) % 8));
            try_model(data, size, run, &t, "change of byte", at);
        }
        data[at] = whole[at];
    }
    free(data);
    printf("%s: %zu loaded, %zu of them ran, %zu refused, slowest %.3f s\n", path, t.loaded, t.ran, t.refused, t.slowest);
    printf("%zu passed, %zu failed\n", t.loaded + t.refused - t.failed, t.failed);
    return t.failed != 0;
}
