/*
 * main.c - `linnet COMMAND ...`
 */
#include "cli.h"

#include <string.h>

static const cli_command *const commands[] = {
    &cli_info, &cli_run, &cli_bench, &cli_convert, &cli_check, &cli_verify,
};

static int main_help(FILE *to)
{
    fprintf(to, "linnet %s: runs neural networks\n\n", linnet_version());
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(to, "  linnet %-8s %s\n                  %s\n", commands[i]->name, commands[i]->arguments,
                commands[i]->purpose);
    return to == stdout ? CLI_OK : CLI_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return main_help(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return main_help(stdout);
    if (strcmp(argv[1], "--version") == 0) {
        printf("%s\n", linnet_version());
        return CLI_OK;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i]->name) == 0)
            return commands[i]->run(argc - 2, argv + 2);
    cli_fail("there is no command %s", argv[1]);
    return main_help(stderr);
}
