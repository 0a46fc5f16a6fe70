/*
 * example.h - what the examples share: an end with a message, the time, a model and its session, lines of text.
 */
#ifndef LINNET_EXAMPLE_H
#define LINNET_EXAMPLE_H

#include <linnet.h>

#include <stddef.h>

/* Print one line and exit with code 1. */
_Noreturn void fail(const char *format, ...);
/* Where a call of linnet has failed: fail() with its message. */
void check(linnet_status status, const char *what, const linnet_error *err);

/* For --help, asked for or needed: print the text and exit. */
_Noreturn void usage(const char *text, int wrong);

double seconds(void);
/* Puts `value` in order; 0 where there are none. */
double median(double *value, size_t count);

linnet_session *open_session(const char *path, linnet_model **model);
/* Index of the model's input or output of that name, which must be there. */
size_t input_of(const linnet_model *m, const char *name);
size_t output_of(const linnet_model *m, const char *name);
void set_input(linnet_session *s, size_t i, int32_t dtype, int32_t rank, const int64_t *dims, const void *data);
void run(linnet_session *s);

/* A whole file and a NUL behind it, to be freed. */
char *read_file(const char *path, size_t *size);

/* Text cut at its line ends. */
typedef struct lines {
    char  *text, **line;
    size_t count;
} lines;
lines  lines_of(const char *text);
lines  lines_read(const char *path);
void   lines_free(lines *l);
/* The line that has exactly these bytes, or l->count. */
size_t lines_find(const lines *l, const char *text, size_t length);

#endif
