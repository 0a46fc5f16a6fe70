/*
 * custom.c - operators of the caller's own: descriptions, attributes, shapes, tasks, failures.
 */
#include "test.h"

#include <math.h>

/* y = scale * x + shift[0], and how often each callback ran. */
typedef struct calls { size_t infer, run, tasks, scratch; bool fail, forget; int wait; } calls;

static linnet_status affine_infer(void *user, linnet_op_call *c)
{
    calls *k = user;
    const linnet_tensor *x = linnet_op_input(c, 0);
    int64_t dims[LINNET_MAX_RANK];

    k->infer++;
    if (k->wait && linnet_op_input(c, 1) && !linnet_tensor_data(linnet_op_input(c, 1)))
        return LINNET_OP_WAIT;
    for (int32_t d = 0; d < linnet_tensor_rank(x); d++)
        dims[d] = linnet_tensor_dim(x, d);
    if (k->tasks)
        linnet_op_set_tasks(c, k->tasks);
    linnet_op_set_scratch(c, k->scratch);
    return k->forget ? LINNET_OK : linnet_op_set_output(c, 0, LINNET_F32, linnet_tensor_rank(x), dims);
}

static linnet_status affine_run(void *user, linnet_op_call *c)
{
    calls *k = user;
    const linnet_tensor *x = linnet_op_input(c, 0), *shift = linnet_op_input(c, 1);
    const size_t tasks = k->tasks ? k->tasks : 1;
    float *y = linnet_tensor_data(linnet_op_output(c, 0));
    size_t count;

    if (tasks == 1)
        k->run++;
    if (k->fail)
        return linnet_op_fail(c, LINNET_ERR_DATA, "no luck today");
    if (k->scratch)
        memset(linnet_op_scratch(c), 1, k->scratch);
    linnet_op_ints(c, "list", &count);
    for (size_t i = linnet_op_task(c); i < linnet_tensor_count(x); i += tasks)
        y[i] = linnet_op_float(c, "scale") * ((const float *)linnet_tensor_data(x))[i] +
               (shift ? (float)linnet_tensor_get(shift, 0) : 0.0f) + (float)linnet_op_int(c, "more") + (float)count;
    return strcmp(linnet_op_string(c, "word"), "bad") == 0 ? LINNET_ERR_SHAPE : LINNET_OK;
}

static const linnet_custom_attr affine_attrs[] = {
    { "scale", LINNET_ATTR_FLOAT, 1, 0 }, { "more", LINNET_ATTR_INT, 0, 3 }, { "word", LINNET_ATTR_STRING, 0, 0 },
    { "list", LINNET_ATTR_INTS, 0, 0 },
};

static linnet_custom_op affine_op(calls *k)
{
    return (linnet_custom_op){ .struct_size = sizeof(linnet_custom_op), .name = "test.Affine", .input_min = 1, .input_max = 2,
                               .output_min = 1, .output_max = 1, .attrs = affine_attrs, .attr_count = 4,
                               .infer = affine_infer, .run = affine_run, .user = k };
}

/* One layer over x [open], shift (an input too). */
static linnet_model *affine_model(const linnet_options *opt, const char *word)
{
    const int64_t open[] = { -1 }, one[] = { 1 }, list[] = { 5, 6 };
    const char *const in[] = { "x", "shift" }, *const out[] = { "y" };
    linnet_model *m = NULL;
    linnet_layer *l = NULL;

    EXPECT_OK(linnet_model_create(opt, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 1, open, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "shift", LINNET_F32, 1, one, &test_error));
    EXPECT_OK(linnet_layer_add(m, "test.Affine", "layer", in, 2, out, 1, &l, &test_error));
    EXPECT_OK(linnet_layer_set_float(l, "scale", 2.0f, &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "list", list, 2, &test_error));
    EXPECT_OK(linnet_layer_set_string(l, "word", word, &test_error));
    EXPECT(linnet_layer_set_int(l, "scale", 2, &test_error) != LINNET_OK);
    EXPECT(linnet_layer_set_int(l, "absent", 2, &test_error) != LINNET_OK);
    EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    return m;
}

static linnet_status affine_once(linnet_session *s, int64_t n)
{
    static float x[100];
    const float shift = 10;
    const int64_t dims[] = { n }, one[] = { 1 };

    for (int64_t i = 0; i < n; i++)
        x[i] = (float)i;
    EXPECT_OK(linnet_session_set_input(s, 0, LINNET_F32, 1, dims, x, (size_t)n * sizeof *x, &test_error));
    EXPECT_OK(linnet_session_set_input(s, 1, LINNET_F32, 1, one, &shift, sizeof shift, &test_error));
    const linnet_status st = linnet_session_run(s, &test_error);
    bool right = true;
    for (int64_t i = 0; i < n && !st; i++)
        right = right && linnet_tensor_get(linnet_session_output(s, 0), (size_t)i) == 2.0 * (double)i + 10 + 3 + 2;
    EXPECT(right);
    return st;
}

void test_custom_runs(void)
{
    linnet_options opt;

    for (int threads = 1; threads <= 2; threads++)
        for (int wait = 0; wait < 2; wait++) {
            calls k = { .tasks = threads == 2 ? 7 : 0, .scratch = 1000, .wait = wait };
            const linnet_custom_op op = affine_op(&k);
            linnet_pool *pool = NULL;
            linnet_session *s = NULL;

            linnet_options_init(&opt);
            opt.ops = &op;
            opt.op_count = 1;
            EXPECT_OK(linnet_pool_create(threads, NULL, &pool, &test_error));
            opt.pool = pool;
            linnet_model *m = affine_model(&opt, "good");
            EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
            EXPECT_OK(affine_once(s, 20));
            EXPECT_OK(affine_once(s, 33));
            EXPECT_OK(affine_once(s, 0));
            const size_t infers = k.infer;
            EXPECT_OK(affine_once(s, 0));
            EXPECT(wait || k.infer == infers); /* not asked again where nothing changed */
            linnet_session_free(s);
            linnet_model_free(m);
            linnet_pool_free(pool);
        }
}

void test_custom_failures(void)
{
    calls k = { 0 };
    linnet_custom_op op = affine_op(&k), both[2];
    linnet_options opt;
    linnet_session *s = NULL;
    linnet_model *m = NULL;

    linnet_options_init(&opt);
    opt.ops = &op;
    opt.op_count = 1;
    m = affine_model(&opt, "good");
    EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
    k.fail = true;
    EXPECT_STATUS(affine_once(s, 5), LINNET_ERR_DATA);
    EXPECT(strstr(test_error.message, "no luck today") && strstr(test_error.message, "layer"));
    k.fail = false;
    EXPECT_OK(affine_once(s, 5)); /* the session can be used again */
    k.forget = true;
    EXPECT_STATUS(affine_once(s, 6), LINNET_ERR_ARGUMENT);
    EXPECT(strstr(test_error.message, "no type"));
    linnet_session_free(s);
    linnet_model_free(m);

    k.forget = false;
    m = affine_model(&opt, "bad"); /* run() returns a status without a sentence */
    EXPECT_OK(linnet_session_create(m, &opt, &s, &test_error));
    EXPECT_STATUS(affine_once(s, 5), LINNET_ERR_SHAPE);
    EXPECT(strstr(test_error.message, "test.Affine"));
    linnet_session_free(s);
    linnet_model_free(m);

    both[0] = both[1] = op; /* descriptions that are refused */
    opt.ops = both;
    opt.op_count = 2;
    EXPECT_STATUS(linnet_model_create(&opt, &m, &test_error), LINNET_ERR_ARGUMENT);
    opt.op_count = 1;
    const char *const names[] = { NULL, "Affine", "Conv", "ln.View", "com.microsoft.FusedConv" };
    for (size_t i = 0; i < 5; i++) {
        both[0].name = names[i];
        EXPECT_STATUS(linnet_model_create(&opt, &m, &test_error), LINNET_ERR_ARGUMENT);
    }
    both[0] = op;
    both[0].struct_size = 8;
    EXPECT_STATUS(linnet_model_create(&opt, &m, &test_error), LINNET_ERR_ARGUMENT);
    both[0] = op;
    both[0].input_max = 17;
    EXPECT_STATUS(linnet_model_create(&opt, &m, &test_error), LINNET_ERR_ARGUMENT);
    both[0] = op;
    both[0].run = NULL;
    EXPECT_STATUS(linnet_model_create(&opt, &m, &test_error), LINNET_ERR_ARGUMENT);
    const linnet_custom_attr wrong[] = { { "more", LINNET_ATTR_INT, 0, NAN }, { "more", LINNET_ATTR_INT, 0, 1e300 },
                                         { "ln.act", LINNET_ATTR_INT, 0, 0 }, { NULL, LINNET_ATTR_INT, 0, 0 }, { "more", 9, 0, 0 } };
    for (size_t i = 0; i < 5; i++) {
        both[0] = op;
        both[0].attrs = &wrong[i];
        both[0].attr_count = 1;
        EXPECT_STATUS(linnet_model_create(&opt, &m, &test_error), LINNET_ERR_ARGUMENT);
    }
    opt.ops = NULL;
    EXPECT_STATUS(linnet_model_create(&opt, &m, &test_error), LINNET_ERR_ARGUMENT);
}

typedef struct bytes { unsigned char data[1 << 14]; size_t size; } bytes;

static linnet_status bytes_write(void *user, const void *data, size_t size)
{
    bytes *b = user;

    if (size > sizeof b->data - b->size)
        return LINNET_ERR_IO;
    memcpy(b->data + b->size, data, size);
    b->size += size;
    return LINNET_OK;
}

/* Saved as .lnt, opened with and without the operator. */
void test_custom_saved(void)
{
    static bytes file;
    calls k = { 0 };
    const linnet_custom_op op = affine_op(&k);
    linnet_options opt;
    linnet_session *s = NULL;
    linnet_model *m, *again = NULL;

    linnet_options_init(&opt);
    opt.ops = &op;
    opt.op_count = 1;
    m = affine_model(&opt, "good");
    file.size = 0;
    EXPECT_OK(linnet_model_write(m, bytes_write, &file, &test_error));
    linnet_model_free(m);
    EXPECT_STATUS(linnet_model_load(file.data, file.size, NULL, &again, &test_error), LINNET_ERR_UNSUPPORTED);
    EXPECT(strstr(test_error.message, "test.Affine") != NULL);
    EXPECT_OK(linnet_model_load(file.data, file.size, &opt, &again, &test_error));
    EXPECT_OK(linnet_session_create(again, &opt, &s, &test_error));
    EXPECT_OK(affine_once(s, 9));
    linnet_session_free(s);
    linnet_model_free(again);
}
