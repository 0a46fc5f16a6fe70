/*
 * classify.c - which class is in a picture?
 *
 *   classify [--top K] [--show] MODEL PICTURE...
 *
 * The model's metadata says how it wants its pixels: "input.scale" and "input.mean" (numbers, one or
 * one per channel: value = pixel * scale - mean), "labels" (one per line). Without them: pixel / 255.
 */
#include "example.h"
#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct classifier {
    linnet_model   *model;
    linnet_session *session;
    int64_t         shape[4];
    int             rank, height, width, channels, channels_last;
    float           scale[4], mean[4];
    int             top, show;
} classifier;

static void read_numbers(const char *text, float preset, float out[4])
{
    float v = preset;

    for (int i = 0; i < 4; i++) {
        char *end;
        const float next = text ? strtof(text, &end) : 0;
        if (text && end != text) {
            v = next;
            text = *end == ',' ? end + 1 : end;
        }
        out[i] = v;
    }
}

/* The layout and size of the model's one picture input. */
static int read_input(classifier *c)
{
    linnet_value_info v;

    if (linnet_model_input(c->model, 0, &v) || v.dtype != LINNET_F32 || v.rank != 4)
        return 0;
    c->rank = v.rank;
    c->channels_last = v.dims[3] == 1 || v.dims[3] == 3;
    c->channels = (int)v.dims[c->channels_last ? 3 : 1];
    c->height = (int)v.dims[c->channels_last ? 1 : 2];
    c->width = (int)v.dims[c->channels_last ? 2 : 3];
    memcpy(c->shape, v.dims, sizeof c->shape);
    c->shape[0] = 1;
    read_numbers(linnet_model_meta(c->model, "input.scale"), 1.0f / 255, c->scale);
    read_numbers(linnet_model_meta(c->model, "input.mean"), 0, c->mean);
    return (c->channels == 1 || c->channels == 3) && c->height > 0 && c->width > 0;
}

/* The nearest pixel: enough for pictures of about the right size. */
static void fill_input(const classifier *c, const image *im, float *x)
{
    const int pixels = c->height * c->width;

    for (int i = 0; i < pixels; i++) {
        const int row = i / c->width * im->height / c->height, column = i % c->width * im->width / c->width;
        for (int k = 0; k < c->channels; k++) {
            const float p = im->pixel[(row * im->width + column) * c->channels + k];
            x[c->channels_last ? i * c->channels + k : k * pixels + i] = p * c->scale[k] - c->mean[k];
        }
    }
}

static void show(const image *im)
{
    static const char shade[] = " .:-=+*#%@";

    for (int row = 0; row < im->height; row += 2) {
        for (int column = 0; column < im->width; column++) {
            const int below = row + 1 < im->height ? row + 1 : row;
            const int p = (im->pixel[(row * im->width + column) * im->channels] +
                           im->pixel[(below * im->width + column) * im->channels]) / 2;
            putchar(shade[p * 9 / 255]);
        }
        putchar('\n');
    }
}

static void print_label(const char *labels, size_t index)
{
    for (; labels && index; index--)
        if ((labels = strchr(labels, '\n')) != NULL)
            labels++;
    if (labels)
        printf("%.*s", (int)strcspn(labels, "\n"), labels);
    else
        printf("class %zu", index);
}

static void print_top(const classifier *c, const linnet_tensor *y)
{
    const size_t count = linnet_tensor_count(y);
    char *taken = calloc(count + 1, 1);

    for (int k = 0; taken && k < c->top && (size_t)k < count; k++) {
        size_t best = count;
        for (size_t i = 0; i < count; i++)
            if (!taken[i] && (best == count || linnet_tensor_get(y, i) > linnet_tensor_get(y, best)))
                best = i;
        taken[best] = 1;
        printf("%s", k ? ", " : " ");
        print_label(linnet_model_meta(c->model, "labels"), best);
        printf(" %.1f %%", 100 * linnet_tensor_get(y, best));
    }
    free(taken);
}

static int classify(classifier *c, const char *path)
{
    const size_t count = (size_t)c->channels * (size_t)c->height * (size_t)c->width;
    float *x = malloc(count * sizeof *x);
    linnet_error err;
    image im;
    int bad = 1;

    const char *wrong = image_read(path, c->channels, &im);
    if (wrong || !x) {
        fprintf(stderr, "%s: %s\n", path, wrong ? wrong : "out of memory");
    } else {
        fill_input(c, &im, x);
        const double start = seconds();
        if (linnet_session_set_input(c->session, 0, LINNET_F32, c->rank, c->shape, x, count * sizeof *x, &err) ||
            linnet_session_run(c->session, &err)) {
            fprintf(stderr, "%s: %s\n", path, err.message);
        } else {
            const double took = 1e3 * (seconds() - start);
            if (c->show)
                show(&im);
            printf("%s:", path);
            print_top(c, linnet_session_output(c->session, 0));
            printf("  (%.3f ms)\n", took);
            bad = 0;
        }
    }
    free(x);
    if (!wrong)
        image_free(&im);
    return bad;
}

int main(int argc, char **argv)
{
    classifier c = { .top = 5 };
    int i = 1, bad = 0;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--top") == 0 && i + 1 < argc)
            c.top = atoi(argv[++i]);
        else if (strcmp(argv[i], "--show") == 0)
            c.show = 1;
    }
    if (argc - i < 2)
        return fprintf(stderr, "usage: classify [--top K] [--show] MODEL PICTURE...\n"), 2;
    c.session = open_session(argv[i], &c.model);
    if (!read_input(&c))
        fail("%s: not a model of one picture", argv[i]);
    while (++i < argc)
        bad |= classify(&c, argv[i]);
    linnet_session_free(c.session);
    linnet_model_free(c.model);
    return bad;
}
