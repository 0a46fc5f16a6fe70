/*
 * conv_join.c - convolutions that write into the concatenation of their outputs: the graph as it is, where
 * Concat copies, is the oracle.
 */
#include "test.h"

#include <math.h>

enum { JOIN_MOST = 4, JOIN_SIDE = 17 };

/* One convolution: channels, side of the kernel (padded so that the picture keeps its size), groups. */
typedef struct join_conv { int64_t m, kernel, group; } join_conv;

typedef struct join_case {
    join_conv conv[JOIN_MOST];
    int       count, order[JOIN_MOST]; /* order[i]: the convolution that is input i of Concat */
    int64_t   channels;
    bool      shared;                  /* one of the inputs is an output of the model too */
    bool      nested;                  /* the last input joins what the others have become */
} join_case;

static void join_layer(linnet_model *m, const join_case *k, int i)
{
    const join_conv *c = &k->conv[i];
    const int64_t dims[] = { c->m, k->channels / c->group, c->kernel, c->kernel }, pad = c->kernel / 2;
    const int64_t pads[] = { pad, pad, pad, pad };
    char w[8], y[8], z[8];
    linnet_layer *l;

    snprintf(w, sizeof w, "w%d", i);
    snprintf(y, sizeof y, "y%d", i);
    snprintf(z, sizeof z, "z%d", i);
    linnet_tensor *weight = test_random_f32(4, dims, -1, 1);
    EXPECT_OK(linnet_model_add_weight(m, w, LINNET_F32, 4, dims, linnet_tensor_data(weight),
                                      linnet_tensor_count(weight) * sizeof(float), &test_error));
    EXPECT_OK(linnet_layer_add(m, "Conv", y, (const char *const[]){ "x", w }, 2, (const char *const[]){ y }, 1, &l,
                               &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "pads", pads, 4, &test_error));
    EXPECT_OK(linnet_layer_set_int(l, "group", c->group, &test_error));
    EXPECT_OK(linnet_layer_add(m, i % 2 ? "Relu" : "Sigmoid", z, (const char *const[]){ y }, 1,
                               (const char *const[]){ z }, 1, NULL, &test_error));
    linnet_tensor_free(weight);
}

static linnet_model *join_model(const join_case *k)
{
    const int64_t dims[] = { 1, k->channels, JOIN_SIDE, JOIN_SIDE };
    static const char *const names[] = { "z0", "z1", "z2", "z3" };
    const char *in[JOIN_MOST];
    linnet_model *m = NULL;
    linnet_layer *l;

    EXPECT_OK(linnet_model_create(NULL, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "x", LINNET_F32, 4, dims, &test_error));
    for (int i = 0; i < k->count; i++) {
        join_layer(m, k, i);
        in[i] = names[k->order[i]];
    }
    if (k->nested) {
        EXPECT_OK(linnet_layer_add(m, "Concat", "inner", in, (size_t)k->count - 1, (const char *const[]){ "inner" }, 1,
                                   &l, &test_error));
        EXPECT_OK(linnet_layer_set_int(l, "axis", 1, &test_error));
        in[0] = "inner";
        in[1] = in[k->count - 1];
    }
    EXPECT_OK(linnet_layer_add(m, "Concat", "joined", in, k->nested ? 2 : (size_t)k->count,
                               (const char *const[]){ "joined" }, 1, &l, &test_error));
    EXPECT_OK(linnet_layer_set_int(l, "axis", 1, &test_error));
    EXPECT_OK(linnet_layer_add(m, "MaxPool", "y", (const char *const[]){ "joined" }, 1, (const char *const[]){ "y" }, 1,
                               &l, &test_error));
    EXPECT_OK(linnet_layer_set_ints(l, "kernel_shape", (const int64_t[]){ 2, 2 }, 2, &test_error));
    EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    if (k->shared)
        EXPECT_OK(linnet_model_add_output(m, "z0", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    return m;
}

/* A run of the model twice, as the second finds what the first left; the caller frees the session. */
static linnet_session *join_run(linnet_model *m, const linnet_tensor *x, uint32_t passes, linnet_pool *pool)
{
    linnet_options o;
    linnet_session *s = NULL;

    linnet_options_init(&o);
    o.passes = passes;
    o.pool = pool;
    EXPECT_OK(linnet_session_create(m, &o, &s, &test_error));
    EXPECT_OK(linnet_session_set_input_tensor(s, 0, x, &test_error));
    EXPECT_OK(linnet_session_run(s, &test_error));
    EXPECT_OK(linnet_session_run(s, &test_error));
    return s;
}

static void join_check(const join_case *k, linnet_pool *pool)
{
    const int64_t dims[] = { 1, k->channels, JOIN_SIDE, JOIN_SIDE };
    linnet_tensor *x = test_random_f32(4, dims, -1, 1);
    linnet_model *m = join_model(k);
    linnet_session *plain = join_run(m, x, 0, NULL), *one = join_run(m, x, ~0u, NULL), *two = join_run(m, x, ~0u, pool);
    const linnet_tensor *want = linnet_session_output(plain, 0), *got = linnet_session_output(one, 0);
    const size_t count = linnet_tensor_count(want);
    double worst = 0;

    EXPECT(test_steps(one, "Concat") == (k->shared || k->nested));
    EXPECT(linnet_tensor_count(got) == count);
    for (size_t i = 0; i < count; i++)
        worst = fmax(worst, fabs(linnet_tensor_get(got, i) - linnet_tensor_get(want, i)));
    EXPECT(worst < 2e-4);
    EXPECT(memcmp(linnet_tensor_data(got), linnet_tensor_data(linnet_session_output(two, 0)),
                  count * sizeof(float)) == 0);
    linnet_session_free(plain);
    linnet_session_free(one);
    linnet_session_free(two);
    linnet_model_free(m);
    linnet_tensor_free(x);
}

void test_conv_join(void)
{
    linnet_pool *pool = NULL;

    EXPECT_OK(linnet_pool_create(2, NULL, &pool, &test_error));
    for (int i = 0; i < 24; i++) {
        const bool nested = i % 8 == 3;
        join_case k = { .count = (int)test_int(nested ? 3 : 2, JOIN_MOST), .channels = i % 3 ? 16 : test_int(1, 4),
                        .shared = i % 8 == 7, .nested = nested };

        for (int c = 0; c < k.count; c++) {
            const bool deep = k.channels == 16 && test_int(0, 3) == 0;
            k.conv[c] = (join_conv){ deep ? 16 : test_int(1, 40), 2 * test_int(0, 2) + 1, deep ? 16 : 1 };
            k.order[c] = c;
        }
        for (int c = k.count - 1; c > 0; c--) {
            const int other = (int)test_int(0, c), was = k.order[c];
            k.order[c] = k.order[other];
            k.order[other] = was;
        }
        join_check(&k, pool);
    }
    linnet_pool_free(pool);
}
