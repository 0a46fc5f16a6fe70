/*
 * custom_op.c - a layer that linnet does not have, run by the program's own code.
 *
 * com.example.Snake is an activation of audio networks, y = x + sin(alpha x)^2 / alpha, with one
 * alpha for each channel of x [n, c, time]. Any model whose layers name it could be opened with the same
 * options; here a model of one layer is built by code.
 */
#include <linnet.h>
#include <math.h>
#include <stdio.h>

enum { CHANNELS = 4, TIME = 6 };

static linnet_status snake_infer(void *user, linnet_op_call *c)
{
    const linnet_tensor *x = linnet_op_input(c, 0), *alpha = linnet_op_input(c, 1);
    int64_t dims[LINNET_MAX_RANK];

    (void)user;
    if (linnet_tensor_dtype(x) != LINNET_F32 || linnet_tensor_rank(x) != 3 ||
        linnet_tensor_dtype(alpha) != LINNET_F32 || linnet_tensor_count(alpha) != (size_t)linnet_tensor_dim(x, 1))
        return linnet_op_fail(c, LINNET_ERR_SHAPE, "x must be f32 [n, c, time], and alpha f32 [c]");
    for (int32_t d = 0; d < 3; d++)
        dims[d] = linnet_tensor_dim(x, d);
    linnet_op_set_tasks(c, (size_t)(dims[0] * dims[1])); /* rows do not depend on each other */
    return linnet_op_set_output(c, 0, LINNET_F32, 3, dims);
}

static linnet_status snake_run(void *user, linnet_op_call *c)
{
    const linnet_tensor *x = linnet_op_input(c, 0), *alpha = linnet_op_input(c, 1);
    const size_t row = linnet_op_task(c), time = (size_t)linnet_tensor_dim(x, 2);
    const size_t channels = (size_t)linnet_tensor_dim(x, 1);
    const float a = ((const float *)linnet_tensor_data(alpha))[row % channels];
    const float *from = (const float *)linnet_tensor_data(x) + row * time;
    float *to = (float *)linnet_tensor_data(linnet_op_output(c, 0)) + row * time;
    const float least = linnet_op_float(c, "epsilon");

    (void)user;
    for (size_t t = 0; t < time; t++) {
        const float s = sinf(a * from[t]);
        to[t] = from[t] + s * s / (a + least);
    }
    return LINNET_OK;
}

int main(void)
{
    const linnet_custom_attr attrs[] = { { "epsilon", LINNET_ATTR_FLOAT, 0, 1e-9 } };
    const linnet_custom_op snake = {
        .struct_size = sizeof snake, .name = "com.example.Snake", .input_min = 2, .input_max = 2, .output_min = 1,
        .output_max = 1, .attrs = attrs, .attr_count = 1, .infer = snake_infer, .run = snake_run
    };
    const int64_t x_dims[] = { 1, CHANNELS, TIME }, alpha_dims[] = { CHANNELS };
    const float alpha[CHANNELS] = { 0.5f, 1.0f, 2.0f, 4.0f };
    const char *const in[] = { "x", "alpha" }, *const out[] = { "y" };
    float x[CHANNELS * TIME];
    linnet_options opt;
    linnet_model *m = NULL;
    linnet_session *s = NULL;
    linnet_error err = { 0, "" };
    double worst = 0;

    for (size_t i = 0; i < CHANNELS * TIME; i++)
        x[i] = (float)i / 5.0f - 2.0f;
    linnet_options_init(&opt);
    opt.ops = &snake;
    opt.op_count = 1;
    if (linnet_model_create(&opt, &m, &err) || linnet_model_add_input(m, "x", LINNET_F32, 3, x_dims, &err) ||
        linnet_model_add_weight(m, "alpha", LINNET_F32, 1, alpha_dims, alpha, sizeof alpha, &err) ||
        linnet_layer_add(m, "com.example.Snake", "snake", in, 2, out, 1, NULL, &err) ||
        linnet_model_add_output(m, "y", &err) || linnet_model_finish(m, &err) ||
        linnet_session_create(m, &opt, &s, &err) ||
        linnet_session_set_input(s, 0, LINNET_F32, 3, x_dims, x, sizeof x, &err) || linnet_session_run(s, &err)) {
        fprintf(stderr, "%s\n", err.message);
        linnet_model_free(m);
        return 1;
    }
    const linnet_tensor *y = linnet_session_output(s, 0);
    for (size_t i = 0; i < CHANNELS * TIME; i++) {
        const double a = (double)alpha[i / TIME], v = (double)x[i];
        const double off = fabs(linnet_tensor_get(y, i) - (v + sin(a * v) * sin(a * v) / a));
        worst = off > worst ? off : worst;
    }
    printf("com.example.Snake over %d channels: largest difference from double arithmetic %.1e\n", CHANNELS, worst);
    linnet_session_free(s);
    linnet_model_free(m);
    return worst > 1e-5;
}
