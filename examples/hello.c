/* hello.c - a model file, an input, an answer. */
#include <linnet.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    float x[1 * 28 * 28 * 1] = { 0 };
    const int64_t shape[] = { 1, 28, 28, 1 };
    linnet_model *model;
    linnet_session *session;
    linnet_error err;

    if (linnet_model_open(argc > 1 ? argv[1] : "examples/mnist/mnist.lnt", NULL, &model, &err) ||
        linnet_session_create(model, NULL, &session, &err) ||
        linnet_session_set_input(session, 0, LINNET_F32, 4, shape, x, sizeof x, &err) ||
        linnet_session_run(session, &err))
        return fprintf(stderr, "%s\n", err.message), 1;
    const linnet_tensor *y = linnet_session_output(session, 0);
    for (size_t i = 0; i < linnet_tensor_count(y); i++)
        printf("%zu: %.4f\n", i, linnet_tensor_get(y, i));
    linnet_session_free(session);
    linnet_model_free(model);
    return 0;
}
