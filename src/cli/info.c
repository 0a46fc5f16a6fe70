/*
 * info.c - what a model is: inputs, outputs, layers, weights, metadata, memory.
 */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

static void info_values(const linnet_model *m, bool inputs)
{
    const size_t count = inputs ? linnet_model_input_count(m) : linnet_model_output_count(m);
    char text[256];

    for (size_t i = 0; i < count; i++) {
        linnet_value_info v;
        if ((inputs ? linnet_model_input(m, i, &v) : linnet_model_output(m, i, &v)) == LINNET_OK)
            printf("%-8s %s %s\n", inputs ? "input" : "output", v.name, cli_value_text(&v, text, sizeof text));
    }
}

static void info_layers(const linnet_model *m)
{
    for (size_t i = 0; i < linnet_model_layer_count(m); i++) {
        const linnet_layer *l = linnet_model_layer(m, i);
        char text[256];
        printf("%5zu  %-22s %s (", i, linnet_layer_op(l), linnet_layer_name(l));
        for (size_t k = 0; k < linnet_layer_input_count(l); k++)
            printf("%s%s", k ? ", " : "", linnet_layer_input(l, k));
        printf(") -> (");
        for (size_t k = 0; k < linnet_layer_output_count(l); k++)
            printf("%s%s", k ? ", " : "", linnet_layer_output(l, k));
        printf(")");
        for (size_t k = 0; k < linnet_layer_attr_count(l); k++) {
            linnet_layer_attr_text(l, k, text, sizeof text);
            printf(" %s=%s", linnet_layer_attr_name(l, k), text);
        }
        putchar('\n');
    }
}

/* How often each operator occurs, in order of first appearance. */
static void info_operators(const linnet_model *m)
{
    const size_t count = linnet_model_layer_count(m);

    for (size_t i = 0; i < count; i++) {
        const char *op = linnet_layer_op(linnet_model_layer(m, i));
        size_t before = 0, all = 0;
        for (size_t k = 0; k < count; k++)
            if (strcmp(op, linnet_layer_op(linnet_model_layer(m, k))) == 0) {
                before += k < i;
                all++;
            }
        if (!before)
            printf("%8zu %s\n", all, op);
    }
}

static void info_plan(const linnet_model *m, const cli_options *o)
{
    linnet_session_info p = { .struct_size = sizeof p };
    linnet_session *s;
    linnet_error err;
    size_t placed;

    if (linnet_session_create(m, &o->opt, &s, &err)) {
        printf("plan     %s\n", err.message);
        return;
    }
    linnet_session_get_info(s, &p);
    if (p.planned)
        printf("plan     %" PRIu64 " steps (%" PRIu64 " dynamic), %.4g MFLOP, arena %" PRIu64
               " bytes, packed weights %" PRIu64 " bytes, %s\n",
               p.steps, p.dynamic_steps, p.flop * 1e-6, p.arena_bytes, p.weight_bytes,
               linnet_isa_name((uint32_t)p.isa));
    else
        printf("plan     waits for input shapes\n");
    if (p.planned && linnet_session_size(m, &o->opt, &placed, NULL) == LINNET_OK)
        printf("placed   %zu bytes in all\n", placed);
    linnet_session_free(s);
}

static int info_run(int argc, char **argv)
{
    const char *path = NULL;
    bool layers = false;
    cli_options o;
    linnet_model *m;
    linnet_error err;

    cli_options_init(&o);
    for (int i = 0; i < argc; i++) {
        const int taken = cli_option(&o, argc, argv, &i);
        if (strcmp(argv[i], "--layers") == 0)
            layers = true;
        else if (taken < 0 || (!taken && (path || argv[i][0] == '-')))
            return cli_usage(&cli_info);
        else if (!taken)
            path = argv[i];
    }
    if (!path)
        return cli_usage(&cli_info);
    if (linnet_model_open(path, &o.opt, &m, &err))
        return cli_fail("%s: %s", path, err.message);
    printf("model    %s (%s)\n", path, linnet_model_format(m));
    info_values(m, true);
    info_values(m, false);
    printf("layers   %zu\nweights  %zu tensors, %" PRIu64 " bytes\n", linnet_model_layer_count(m),
           linnet_model_weight_count(m), linnet_model_weight_bytes(m));
    for (size_t i = 0; i < linnet_model_meta_count(m); i++)
        printf("meta     %s = %s\n", linnet_model_meta_key(m, i), linnet_model_meta_value(m, i));
    if (linnet_model_test_count(m))
        printf("tests    %zu\n", linnet_model_test_count(m));
    info_plan(m, &o);
    if (layers)
        info_layers(m);
    else
        info_operators(m);
    linnet_model_free(m);
    return CLI_OK;
}

const cli_command cli_info = { "info", "MODEL [--layers]", "show inputs, outputs, layers, memory", info_run };
