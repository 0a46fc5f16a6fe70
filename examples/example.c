/*
 * example.c - what the examples share.
 */
#include "example.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void fail(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(1);
}

void check(linnet_status status, const char *what, const linnet_error *err)
{
    if (status)
        fail("%s: %s", what, err->message);
}

void usage(const char *text, int wrong)
{
    fputs(text, wrong ? stderr : stdout);
    exit(wrong ? 2 : 0);
}

double seconds(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double median(double *value, size_t count)
{
    qsort(value, count, sizeof *value, by_value);
    return count ? value[count / 2] : 0;
}

linnet_session *open_session(const char *path, linnet_model **model)
{
    linnet_session *s;
    linnet_error err;

    check(linnet_model_open(path, NULL, model, &err), path, &err);
    check(linnet_session_create(*model, NULL, &s, &err), path, &err);
    return s;
}

size_t input_of(const linnet_model *m, const char *name)
{
    const int32_t i = linnet_model_find_input(m, name);

    if (i < 0)
        fail("the model has no input %s", name);
    return (size_t)i;
}

size_t output_of(const linnet_model *m, const char *name)
{
    const int32_t i = linnet_model_find_output(m, name);

    if (i < 0)
        fail("the model has no output %s", name);
    return (size_t)i;
}

void set_input(linnet_session *s, size_t i, int32_t dtype, int32_t rank, const int64_t *dims, const void *data)
{
    size_t size = (size_t)linnet_dtype_bits(dtype) / 8;
    linnet_error err;

    for (int32_t d = 0; d < rank; d++)
        size *= (size_t)dims[d];
    check(linnet_session_set_input(s, i, dtype, rank, dims, data, size, &err), "input", &err);
}

void run(linnet_session *s)
{
    linnet_error err;

    check(linnet_session_run(s, &err), "run", &err);
}

char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *data = NULL;
    size_t room = 0;

    *size = 0;
    if (!f)
        fail("%s: cannot be opened", path);
    do {
        room = room ? 2 * room : 1 << 16;
        char *more = realloc(data, room);
        if (!more)
            fail("%s: out of memory", path);
        data = more;
        *size += fread(data + *size, 1, room - 1 - *size, f);
    } while (*size == room - 1);
    if (ferror(f))
        fail("%s: cannot be read", path);
    fclose(f);
    data[*size] = '\0';
    return data;
}

/* Takes `text` over. */
static lines lines_cut(char *text)
{
    lines l = { .text = text };
    size_t most = 1;

    for (const char *p = text; *p; p++)
        most += *p == '\n';
    l.line = malloc(most * sizeof *l.line);
    if (!l.line)
        fail("out of memory");
    for (char *p = text; *p;) {
        l.line[l.count++] = p;
        p += strcspn(p, "\n");
        if (*p)
            *p++ = '\0';
    }
    return l;
}

lines lines_of(const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = malloc(size);

    if (!copy)
        fail("out of memory");
    return lines_cut(memcpy(copy, text, size));
}

lines lines_read(const char *path)
{
    size_t size;

    return lines_cut(read_file(path, &size));
}

void lines_free(lines *l)
{
    free(l->line);
    free(l->text);
    *l = (lines){ 0 };
}

size_t lines_find(const lines *l, const char *text, size_t length)
{
    size_t i = 0;

    while (i < l->count && (strncmp(l->line[i], text, length) != 0 || l->line[i][length] != '\0'))
        i++;
    return i;
}
