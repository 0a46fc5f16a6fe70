/*
 * test.c - what tests share: counting, random numbers, a failing heap, single operators.
 */
#include "test.h"

#include <math.h>
#include <stdarg.h>
#include <sys/stat.h>

size_t test_passed, test_failed, test_skipped;
linnet_error test_error;
static uint64_t test_seed = 1, test_state = 1;
static const char *test_name = "";

void test_begin(const char *name)
{
    const char *seed = getenv("SEED");

    test_name = name;
    test_seed = seed ? strtoull(seed, NULL, 10) : 1;
    test_state = test_seed;
}

void test_note(bool good, const char *file, int line, const char *format, ...)
{
    va_list args;

    if (good) {
        test_passed++;
        return;
    }
    test_failed++;
    printf("FAILED %s:%d (%s, seed %llu): ", file, line, test_name, (unsigned long long)test_seed);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void test_skip(const char *format, ...)
{
    va_list args;

    test_skipped++;
    printf("skipped (%s): ", test_name);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

/* ---- random numbers ------------------------------------------------------------------ */

uint64_t test_random(void)
{
    uint64_t z = (test_state += 0x9E3779B97F4A7C15u);

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

int64_t test_int(int64_t from, int64_t to)
{
    return from + (int64_t)(test_random() % (uint64_t)(to - from + 1));
}

float test_float(float from, float to)
{
    return from + (to - from) * (float)(test_random() >> 40) * 0x1p-24f;
}

const char *test_shared(void)
{
    static const char *const places[] = { "../shared", "../../shared" };
    struct stat st;
    const char *given = getenv("LINNET_SHARED");

    if (given)
        return given;
    for (size_t i = 0; i < 2; i++)
        if (stat(places[i], &st) == 0)
            return places[i];
    return NULL;
}

/* ---- a heap that counts and fails ---------------------------------------------------------- */

static void *heap_alloc(void *user, size_t size, size_t align)
{
    test_heap *h = user;

    (void)align;
    h->calls++;
    if (h->fail_at && (h->calls == h->fail_at || (h->fail_for_ever && h->calls > h->fail_at)))
        return NULL;
    if (h->limit && h->bytes + size > h->limit)
        return NULL;
    void *p = malloc(size);
    if (!p)
        return NULL;
    h->blocks++;
    h->bytes += size;
    if (h->bytes > h->most_bytes)
        h->most_bytes = h->bytes;
    memset(p, 0xA5, size);
    return p;
}

static void heap_free(void *user, void *p, size_t size)
{
    test_heap *h = user;

    h->blocks--;
    h->bytes -= size;
    free(p);
}

void test_heap_init(test_heap *h)
{
    memset(h, 0, sizeof *h);
    h->hooks = (linnet_allocator){ h, heap_alloc, heap_free };
}

/* ---- tensors and single operators -------------------------------------------------------------- */

linnet_tensor *test_tensor(int32_t dtype, int32_t rank, const int64_t *dims)
{
    linnet_tensor *t = NULL;

    EXPECT_OK(linnet_tensor_create(dtype, rank, dims, NULL, &t, &test_error));
    return t;
}

linnet_tensor *test_random_f32(int32_t rank, const int64_t *dims, float from, float to)
{
    linnet_tensor *t = test_tensor(LINNET_F32, rank, dims);
    float *x = linnet_tensor_data(t);

    for (size_t i = 0; i < linnet_tensor_count(t); i++)
        x[i] = test_float(from, to);
    return t;
}

int test_steps(const linnet_session *s, const char *op)
{
    linnet_step_info info = { .struct_size = sizeof info };
    int count = 0;

    for (size_t i = 0; linnet_session_step(s, i, &info) == LINNET_OK; i++)
        count += strcmp(info.op, op) == 0;
    return count;
}

static linnet_status op_build(const test_op *t, linnet_model *m)
{
    static const char *const name[] = { "i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7", "i8", "i9", "i10",
                                        "i11", "i12", "i13", "i14", "i15" };
    static const char *const out[] = { "o0", "o1", "o2", "o3", "o4", "o5", "o6", "o7" };
    const char *in[16];
    int64_t dims[LINNET_MAX_RANK];
    linnet_layer *layer;
    linnet_status st = LINNET_OK;

    for (int i = 0; i < t->in_count && !st; i++) {
        const linnet_tensor *x = t->in[i];
        in[i] = x ? name[i] : "";
        if (!x)
            continue;
        for (int32_t d = 0; d < linnet_tensor_rank(x); d++)
            dims[d] = linnet_tensor_dim(x, d);
        st = t->constant[i]
                 ? linnet_model_add_weight(m, name[i], linnet_tensor_dtype(x), linnet_tensor_rank(x), dims,
                                           linnet_tensor_data(x), linnet_tensor_size(x), &test_error)
                 : linnet_model_add_input(m, name[i], linnet_tensor_dtype(x), linnet_tensor_rank(x), dims, &test_error);
    }
    if (!st)
        st = linnet_layer_add(m, t->op, "layer", in, (size_t)t->in_count, out, (size_t)t->out_count, &layer, &test_error);
    if (!st && t->set)
        st = t->set(layer, t->user);
    for (int i = 0; i < t->out_count && !st; i++)
        st = linnet_model_add_output(m, out[i], &test_error);
    return st ? st : linnet_model_finish(m, &test_error);
}

linnet_status test_op_run(test_op *t)
{
    linnet_model *m = NULL;
    linnet_session *s = NULL;
    int64_t dims[LINNET_MAX_RANK];
    size_t input = 0;
    linnet_status st = linnet_model_create(NULL, &m, &test_error);

    memset(t->out, 0, sizeof t->out);
    if (!st)
        st = op_build(t, m);
    if (!st)
        st = linnet_session_create(m, t->opt, &s, &test_error);
    for (int i = 0; i < t->in_count && !st; i++)
        if (t->in[i] && !t->constant[i])
            st = linnet_session_set_input_tensor(s, input++, t->in[i], &test_error);
    if (!st)
        st = linnet_session_run(s, &test_error);
    for (int i = 0; i < t->out_count && !st; i++) {
        const linnet_tensor *y = linnet_session_output(s, (size_t)i);
        for (int32_t d = 0; d < linnet_tensor_rank(y); d++)
            dims[d] = linnet_tensor_dim(y, d);
        st = linnet_tensor_create(linnet_tensor_dtype(y), linnet_tensor_rank(y), dims, NULL, &t->out[i], &test_error);
        if (!st && linnet_tensor_size(y))
            memcpy(linnet_tensor_data(t->out[i]), linnet_tensor_data(y), linnet_tensor_size(y));
    }
    linnet_session_free(s);
    linnet_model_free(m);
    return st;
}

void test_op_free(test_op *t)
{
    for (int i = 0; i < t->out_count; i++)
        linnet_tensor_free(t->out[i]);
    memset(t->out, 0, sizeof t->out);
}

void test_near(const char *file, int line, const linnet_tensor *got, const double *want, double rtol, double atol)
{
    const size_t count = linnet_tensor_count(got);
    size_t worst = 0, bad = 0;
    double most = 0;

    for (size_t i = 0; i < count; i++) {
        const double x = linnet_tensor_get(got, i), y = want[i];
        if (x == y || (isnan(x) && isnan(y)))
            continue;
        const double over = isfinite(x) && isfinite(y) ? fabs(x - y) - (atol + rtol * fabs(y)) : INFINITY;
        bad += over > 0;
        if (over > most) {
            most = over;
            worst = i;
        }
    }
    test_note(bad == 0, file, line, "%zu of %zu elements differ; [%zu] is %.9g, expected %.9g", bad, count, worst,
              bad ? linnet_tensor_get(got, worst) : 0.0, bad ? want[worst] : 0.0);
}
