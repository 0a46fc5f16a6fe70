/*
 * check.c - proves a model file on this machine by the test vectors in it.
 */
#include "cli.h"

static int check_run(int argc, char **argv)
{
    const char *path = NULL;
    cli_options o;
    linnet_model *m;
    linnet_error err;

    cli_options_init(&o);
    for (int i = 0; i < argc; i++) {
        const int taken = cli_option(&o, argc, argv, &i);
        if (taken < 0 || (!taken && (path || argv[i][0] == '-')))
            return cli_usage(&cli_check);
        if (!taken)
            path = argv[i];
    }
    if (!path)
        return cli_usage(&cli_check);
    if (!cli_options_ready(&o))
        return CLI_FAILED;
    if (linnet_model_open(path, &o.opt, &m, &err))
        return cli_fail("%s: %s", path, err.message);
    int status = CLI_OK;
    if (linnet_model_test_count(m) == 0)
        status = cli_fail("%s has no test vectors", path);
    else if (linnet_model_check(m, &o.opt, &err))
        status = cli_fail("%s: %s", path, err.message);
    else
        printf("%s: %zu test vectors met\n", path, linnet_model_test_count(m));
    linnet_model_free(m);
    cli_options_free(&o);
    return status;
}

const cli_command cli_check = { "check", "MODEL " CLI_OPTIONS, "run the test vectors inside a model", check_run };
