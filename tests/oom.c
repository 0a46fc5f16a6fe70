/*
 * oom.c - every allocation of loading, planning and running fails in turn: a clean error, no leak.
 *
 *   oom MODEL...
 *
 * For k = 1, 2, ...: the k-th allocation fails, once with the later ones good and once with all later
 * ones failing too, until a whole pass needs fewer than k.
 */
#include "test.h"

static linnet_status oom_once(const void *data, size_t size, test_heap *h, linnet_error *err)
{
    linnet_options opt;
    linnet_model *m = NULL;
    linnet_session *s = NULL;
    linnet_tensor *in[16] = { 0 };
    linnet_status st;

    linnet_options_init(&opt);
    opt.allocator = &h->hooks;
    st = linnet_model_load(data, size, &opt, &m, err);
    if (!st)
        st = linnet_session_create(m, &opt, &s, err);
    for (size_t i = 0; !st && i < linnet_model_input_count(m) && i < 16; i++) {
        linnet_value_info v;
        linnet_model_input(m, i, &v);
        for (int32_t d = 0; d < v.rank; d++)
            v.dims[d] = v.dims[d] < 0 ? 1 : v.dims[d];
        st = linnet_tensor_create(v.dtype, v.rank, v.dims, &h->hooks, &in[i], err);
        if (!st)
            st = linnet_session_set_input_tensor(s, i, in[i], err);
    }
    if (!st)
        st = linnet_session_run(s, err);
    for (size_t i = 0; i < 16; i++)
        linnet_tensor_free(in[i]);
    linnet_session_free(s);
    linnet_model_free(m);
    return st;
}

static size_t oom_model(const char *path, size_t *failed)
{
    FILE *f = fopen(path, "rb");
    size_t size = 0, tried = 0;
    char *data = malloc(64 << 20);

    if (f && data)
        size = fread(data, 1, 64 << 20, f);
    if (f)
        fclose(f);
    for (int for_ever = 0; size && for_ever < 2; for_ever++)
        for (size_t k = 1;; k++) {
            linnet_error err = { 0, "" };
            test_heap h;
            test_heap_init(&h);
            h.fail_at = k;
            h.fail_for_ever = for_ever;
            const linnet_status st = oom_once(data, size, &h, &err);
            if (h.blocks || h.bytes || (h.calls >= k && st != LINNET_ERR_MEMORY) || (st && !err.message[0])) {
                printf("FAILED %s: allocation %zu: %zu blocks left, status %d (%s)\n", path, k, h.blocks, (int)st,
                       err.message);
                ++*failed;
            }
            tried++;
            if (h.calls < k)
                break;
        }
    free(data);
    if (!size) {
        printf("FAILED %s cannot be read\n", path);
        ++*failed;
    }
    return tried;
}

int main(int argc, char **argv)
{
    size_t tried = 0, failed = 0;

    for (int i = 1; i < argc; i++)
        tried += oom_model(argv[i], &failed);
    printf("%zu passed, %zu failed\n", tried - (failed < tried ? failed : tried), failed);
    return failed != 0;
}
