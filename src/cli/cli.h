/*
 * cli.h - the linnet tool: one file per command, over the public header alone.
 */
#ifndef LINNET_CLI_H
#define LINNET_CLI_H

#include "linnet.h"

#include <stdbool.h>
#include <stdio.h>

/* Exit codes. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

typedef struct cli_command {
    const char *name, *arguments, *purpose;
    int (*run)(int argc, char **argv); /* argv[0] is the first argument */
} cli_command;

extern const cli_command cli_info, cli_run, cli_bench, cli_convert, cli_check, cli_verify;

/* Options that every command that makes a session takes. */
typedef struct cli_options {
    linnet_options opt;
    linnet_pool   *pool;
    int            threads;
    bool           json;
} cli_options;

void cli_options_init(cli_options *o);
/* Is argv[*i] one of --threads --isa --passes --exact --json? Takes it and its value. -1: a wrong value. */
int  cli_option(cli_options *o, int argc, char **argv, int *i);
bool cli_options_ready(cli_options *o); /* makes the pool */
void cli_options_free(cli_options *o);
#define CLI_OPTIONS "[--threads N] [--isa scalar|sse4|avx2|avx512|neon] [--passes none|fold|fuse|layout|all] [--exact|--half]"

/* One line on stderr: "linnet: ..."; returns CLI_FAILED. */
int cli_fail(const char *format, ...);
int cli_usage(const cli_command *c);

/* All bytes of a file in malloc memory; NULL after a message. */
void *cli_read_file(const char *path, size_t *size);

/* A tensor from .npy or .pb; PNG, PGM and PPM need the shape that is wanted. NULL after a message. */
linnet_tensor *cli_read_tensor(const char *path, const linnet_value_info *want);
bool           cli_write_npy(const char *path, const linnet_tensor *t);

/* A tensor of the value's type and shape (open dimensions 1) with repeatable random elements. */
linnet_tensor *cli_random_tensor(const linnet_value_info *want, uint64_t seed);

/* Fill open dimensions of `want` from "name=1x3x224x224" given by --shape. */
bool cli_apply_shape(linnet_value_info *want, const char *text);

double cli_now(void); /* seconds */

/* "f32[1,3,H,224]" */
const char *cli_value_text(const linnet_value_info *v, char *out, size_t size);

#endif
