/*
 * cache.c - caches of keys tied to themselves: written where they lie, with the bits of those that are
 * copied; and such as grow token by token.
 */
#include "test.h"

enum { CACHE_LENGTH = 8, CACHE_SIZE = 2 * 3, CACHE_ALL = CACHE_LENGTH * CACHE_SIZE };

static const int64_t new_dims[] = { 1, 2, 1, 3 }, cache_dims[] = { 1, 2, CACHE_LENGTH, 3 }, one_dim[] = { 1 };

/* y = Attention of `new` over the cache with `new` written at `position`; input order: new, position, cache. */
static linnet_model *cache_model(const linnet_options *opt)
{
    const char *const add[] = { "position", "one" }, *const scatter[] = { "cache", "new", "position" };
    const char *const attend[] = { "new", "next", "next", "", "", "", "valid" };
    const char *const valid[] = { "valid" }, *const next[] = { "next" }, *const y[] = { "y" };
    static const int64_t one = 1;
    linnet_model *m = NULL;

    EXPECT_OK(linnet_model_create(opt, &m, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "new", LINNET_F32, 4, new_dims, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "position", LINNET_I64, 1, one_dim, &test_error));
    EXPECT_OK(linnet_model_add_input(m, "cache", LINNET_F32, 4, cache_dims, &test_error));
    EXPECT_OK(linnet_model_add_weight(m, "one", LINNET_I64, 1, one_dim, &one, sizeof one, &test_error));
    EXPECT_OK(linnet_layer_add(m, "Add", "valid", add, 2, valid, 1, NULL, &test_error));
    EXPECT_OK(linnet_layer_add(m, "TensorScatter", "next", scatter, 3, next, 1, NULL, &test_error));
    EXPECT_OK(linnet_layer_add(m, "Attention", "y", attend, 7, y, 1, NULL, &test_error));
    EXPECT_OK(linnet_model_add_output(m, "y", &test_error));
    EXPECT_OK(linnet_model_add_output(m, "next", &test_error));
    EXPECT_OK(linnet_model_finish(m, &test_error));
    return m;
}

static void cache_inputs(linnet_session *s, const float *new, const int64_t *position)
{
    EXPECT_OK(linnet_session_set_input(s, 0, LINNET_F32, 4, new_dims, new, CACHE_SIZE * sizeof *new, &test_error));
    EXPECT_OK(linnet_session_set_input(s, 1, LINNET_I64, 1, one_dim, position, sizeof *position, &test_error));
}

static const void *cache_output(const linnet_session *s, size_t i)
{
    return linnet_tensor_data(linnet_session_output(s, i));
}

void test_cache_in_place(void)
{
    const linnet_tie tie = { 1, 2 };
    linnet_options opt, place;
    linnet_session *plain, *tied, *placed;
    float new[CACHE_SIZE], old[CACHE_ALL] = { 0 };
    int64_t position = 0;
    size_t need = 0;
    test_heap h;

    test_heap_init(&h);
    linnet_options_init(&opt);
    linnet_options_init(&place);
    opt.allocator = &h.hooks;
    place.ties = &tie;
    place.tie_count = 1;
    linnet_model *m = cache_model(&opt);
    EXPECT_OK(linnet_session_create(m, &opt, &plain, &test_error));
    EXPECT_OK(linnet_session_create(m, &opt, &tied, &test_error));
    EXPECT_OK(linnet_session_tie(tied, 1, 2, &test_error));
    EXPECT_OK(linnet_session_size(m, &place, &need, &test_error));
    void *room = malloc(need);
    EXPECT_OK(linnet_session_place(m, &place, room, need, &placed, &test_error));
    EXPECT_OK(linnet_session_set_input(plain, 2, LINNET_F32, 4, cache_dims, old, sizeof old, &test_error));
    cache_inputs(plain, new, &position);
    cache_inputs(tied, new, &position);
    cache_inputs(placed, new, &position);
    const size_t calls = h.calls;
    const void *where = NULL;
    for (position = 0; position < CACHE_LENGTH; position++) {
        for (int i = 0; i < CACHE_SIZE; i++)
            new[i] = test_float(-2, 2);
        EXPECT_OK(linnet_session_run(plain, &test_error));
        EXPECT_OK(linnet_session_run(tied, &test_error));
        EXPECT_OK(linnet_session_run(placed, &test_error));
        EXPECT(memcmp(cache_output(plain, 0), cache_output(tied, 0), sizeof new) == 0);
        EXPECT(memcmp(cache_output(plain, 1), cache_output(tied, 1), sizeof old) == 0);
        EXPECT(memcmp(cache_output(plain, 0), cache_output(placed, 0), sizeof new) == 0);
        EXPECT(memcmp(cache_output(plain, 1), cache_output(placed, 1), sizeof old) == 0);
        EXPECT(!where || where == cache_output(tied, 1)); /* it does not move */
        where = cache_output(tied, 1);
        memcpy(old, cache_output(plain, 1), sizeof old);
    }
    EXPECT(h.calls == calls);
    EXPECT_STATUS(linnet_session_run(tied, &test_error), LINNET_ERR_DATA); /* behind the end */
    EXPECT(memcmp(where, old, sizeof old) == 0);
    EXPECT_OK(linnet_session_reset(tied, &test_error));
    position = 3;
    EXPECT_OK(linnet_session_run(tied, &test_error));
    EXPECT(memcmp(cache_output(tied, 1), old, 3 * sizeof(float)) != 0);
    linnet_session_free(plain);
    linnet_session_free(tied);
    linnet_session_free(placed);
    free(room);
    linnet_model_free(m);
}

/* ---- caches that grow --------------------------------------------------------------------------- */

enum { GPT_STEPS = 24, GPT_VOCAB = 1000, GPT_LAYERS = 5 };

/* Tokens [from, from + count) with what is before them in the caches; input order: ids, positions, mask, pasts. */
static void gpt_feed(linnet_session *s, int64_t from, int64_t count, int32_t *ids, int32_t *positions, const int32_t *mask)
{
    const int64_t dims[] = { 1, count }, all[] = { 1, from + count };

    for (int64_t i = 0; i < count; i++) {
        ids[i] = (int32_t)(from + i) * 37 % GPT_VOCAB;
        positions[i] = (int32_t)(from + i);
    }
    EXPECT_OK(linnet_session_set_input(s, 0, LINNET_I32, 2, dims, ids, (size_t)count * 4, &test_error));
    EXPECT_OK(linnet_session_set_input(s, 1, LINNET_I32, 2, dims, positions, (size_t)count * 4, &test_error));
    EXPECT_OK(linnet_session_set_input(s, 2, LINNET_I32, 2, all, mask, (size_t)(from + count) * 4, &test_error));
}

static void gpt_begin(linnet_session *s, bool tie)
{
    const int64_t past[] = { 2, 1, 4, 0, 8 };

    for (size_t i = 0; i < GPT_LAYERS; i++) {
        EXPECT_OK(linnet_session_set_input(s, 3 + i, LINNET_F32, 5, past, NULL, 0, &test_error));
        if (tie)
            EXPECT_OK(linnet_session_tie(s, 1 + i, 3 + i, &test_error));
    }
}

void test_cache_grows(void)
{
    char path[512];
    linnet_session *whole, *step;
    linnet_model *m = NULL;
    linnet_options opt;
    int32_t ids[GPT_STEPS], positions[GPT_STEPS], mask[GPT_STEPS];
    double want[GPT_VOCAB];
    test_heap h;

    if (!test_shared()) {
        test_skip("no shared models: caches that grow");
        return;
    }
    snprintf(path, sizeof path, "%s/models/tiny-gpt2-contrib/model.onnx", test_shared());
    test_heap_init(&h);
    linnet_options_init(&opt);
    opt.allocator = &h.hooks;
    EXPECT_OK(linnet_model_open(path, &opt, &m, &test_error));
    EXPECT_OK(linnet_session_create(m, &opt, &whole, &test_error));
    EXPECT_OK(linnet_session_create(m, &opt, &step, &test_error));
    for (int i = 0; i < GPT_STEPS; i++)
        mask[i] = 1;
    gpt_begin(whole, false);
    gpt_feed(whole, 0, GPT_STEPS, ids, positions, mask);
    EXPECT_OK(linnet_session_run(whole, &test_error));
    gpt_begin(step, true);
    EXPECT_STATUS(linnet_session_reserve(step, "no such", 3, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_OK(linnet_session_reserve(step, "past_seq_len", GPT_STEPS, &test_error));
    EXPECT_OK(linnet_session_reserve(step, "total_seq_len", GPT_STEPS + 1, &test_error));
    for (int round = 0; round < 2; round++) {
        size_t calls = 0;
        for (int64_t t = 0; t < GPT_STEPS; t++) {
            int32_t id, position;
            gpt_feed(step, t, 1, &id, &position, mask);
            EXPECT_OK(linnet_session_run(step, &test_error));
            calls = t == 0 ? h.calls : calls;
            for (size_t i = 0; i < GPT_VOCAB; i++)
                want[i] = linnet_tensor_get(linnet_session_output(whole, 0), (size_t)t * GPT_VOCAB + i);
            EXPECT_NEAR(linnet_session_output(step, 0), want, 1e-4, 1e-4);
        }
        EXPECT(h.calls == calls); /* planned anew for every length, without a byte from the heap */
        EXPECT(linnet_tensor_dim(linnet_session_output(step, 1), 3) == GPT_STEPS);
        EXPECT_OK(linnet_session_reset(step, &test_error));
    }
    linnet_session_free(whole);
    linnet_session_free(step);
    linnet_model_free(m);
    EXPECT(h.blocks == 0);
}
