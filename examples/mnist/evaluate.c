/*
 * evaluate.c - accuracy and speed of a digit classifier over the MNIST test images.
 *
 *   evaluate MODEL FOLDER [--classes FILE]
 *
 * FOLDER holds t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, gzipped (zcat must be there) or not.
 * --classes writes the class found for each image, one per line.
 */
#include "../example.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE };

/* All of an idx file behind its `skip` bytes of head: `count` bytes, or NULL. */
static unsigned char *read_idx(const char *folder, const char *name, size_t skip, size_t count)
{
    char command[4096], path[2048];
    unsigned char *data = malloc(skip + count);

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    const int plain = f != NULL;
    if (!plain) {
        snprintf(command, sizeof command, "zcat '%s.gz' 2>/dev/null", path);
        f = strchr(folder, '\'') ? NULL : popen(command, "r");
    }
    const int good = f && data && fread(data, 1, skip + count, f) == skip + count;
    if (f)
        plain ? fclose(f) : pclose(f);
    if (!good) {
        free(data);
        return NULL;
    }
    memmove(data, data + skip, count);
    return data;
}

int main(int argc, char **argv)
{
    enum { IMAGES = 10000 };
    static float x[PIXELS];
    const int64_t shape[4] = { 1, SIDE, SIDE, 1 };
    linnet_model *model;
    size_t right = 0;

    if (argc < 3)
        return fprintf(stderr, "usage: evaluate MODEL FOLDER [--classes FILE]\n"), 2;
    unsigned char *image = read_idx(argv[2], "t10k-images-idx3-ubyte", 16, (size_t)IMAGES * PIXELS);
    unsigned char *label = read_idx(argv[2], "t10k-labels-idx1-ubyte", 8, IMAGES);
    if (!image || !label)
        return printf("evaluation skipped: the MNIST test images are not in %s\n", argv[2]), 0;
    FILE *classes = argc > 4 && strcmp(argv[3], "--classes") == 0 ? fopen(argv[4], "w") : NULL;
    linnet_session *session = open_session(argv[1], &model);

    set_input(session, 0, LINNET_F32, 4, shape, x);
    const double start = seconds();
    for (size_t i = 0; i < IMAGES; i++) {
        for (size_t k = 0; k < PIXELS; k++)
            x[k] = image[i * PIXELS + k] / 255.0f;
        run(session);
        const float *y = linnet_tensor_data(linnet_session_output(session, 0));
        size_t best = 0;
        for (size_t k = 1; k < 10; k++)
            best = y[k] > y[best] ? k : best;
        right += best == label[i];
        if (classes)
            fprintf(classes, "%zu\n", best);
    }
    const double took = seconds() - start;
    printf("%d test images: %.2f %% right, %.0f images per second on one thread\n", IMAGES,
           100.0 * (double)right / IMAGES, IMAGES / took);
    if (classes)
        fclose(classes);
    linnet_session_free(session);
    linnet_model_free(model);
    free(image);
    free(label);
    return 0;
}
