/*
 * base.c - what everything rests on: checked sizes, text, memory, number formats, tensors, the pool.
 */
#include "../../src/base/pool.h"
#include "../../src/tensor/tensor.h"
#include "test.h"

#include <math.h>
#ifndef LN_NO_THREADS
#  include <pthread.h>
#endif

static void base_sizes(void)
{
    size_t n;
    int64_t v;

    EXPECT(ln_mul(SIZE_MAX / 3, 3, &n) && !ln_mul(SIZE_MAX / 3 + 1, 3, &n));
    EXPECT(ln_add(SIZE_MAX - 1, 1, &n) && !ln_add(SIZE_MAX, 1, &n));
    EXPECT(!ln_align_up(SIZE_MAX - 62, 64, &n) && ln_align_up(65, 64, &n) && n == 128);
    EXPECT(!ln_mul64(INT64_MIN, -1, &v) && !ln_mul64(-1, INT64_MIN, &v));
    EXPECT(ln_mul64(INT64_MIN, 1, &v) && v == INT64_MIN);
    EXPECT(!ln_add64(INT64_MAX, 1, &v) && !ln_add64(INT64_MIN, -1, &v));
    EXPECT(ln_ceil_div(SIZE_MAX, 2) == SIZE_MAX / 2 + 1);
}

static void base_print(void)
{
    static const double number[] = { 0, 1, -1.5, 10, 1e5, 1e6, 999999.5, 1e-4, 1e-5, 123456, 0.1, 1.7976931348623157e308,
                                     3e-310, 9.9999996 };
    char text[64], want[64];

    EXPECT(ln_print(text, sizeof text, "%s|%d|%u|%x|%c|%zu|%lld|%llu|%%", "a", -7, 7u, 255u, 'z', (size_t)9,
                    (long long)INT64_MIN, (unsigned long long)UINT64_MAX) == strlen(text));
    EXPECT(strcmp(text, "a|-7|7|ff|z|9|-9223372036854775808|18446744073709551615|%") == 0);
    for (size_t i = 0; i < LN_COUNT(number); i++) {
        ln_print(text, sizeof text, "%g", number[i]);
        snprintf(want, sizeof want, "%g", number[i]);
        test_note(strcmp(text, want) == 0, __FILE__, __LINE__, "%%g: %s for %s", text, want);
    }
    EXPECT(ln_print(text, 4, "abcdef") == 3 && strcmp(text, "abc") == 0);
    EXPECT(ln_print(text, 4, "ab\xc3\xa9") == 2); /* not half a letter */
    linnet_error err;
    EXPECT(ln_fail(&err, LINNET_ERR_DATA, "%s", "why") == LINNET_ERR_DATA && err.code == LINNET_ERR_DATA);
    EXPECT(ln_fail(NULL, LINNET_ERR_DATA, "%s", "why") == LINNET_ERR_DATA);
    EXPECT(strcmp(linnet_status_string(99), "unknown status") == 0);
}

/* Long stretches, which may go another way than short ones, have the checksum of their pieces. */
static void base_long_crc(void)
{
    const size_t most = (size_t)7 << 16;
    uint8_t *data = malloc(most);

    EXPECT(data != NULL);
    for (size_t i = 0; i < most && data; i++)
        data[i] = (uint8_t)test_random();
    for (int i = 0; i < 20 && data; i++) {
        const size_t from = (size_t)test_int(0, 70), size = (size_t)test_int(0, (int64_t)(most - from));
        uint32_t crc = 0;
        for (size_t at = 0; at < size; at += 9)
            crc = ln_crc32c(crc, data + from + at, size - at < 9 ? size - at : 9);
        EXPECT(crc == ln_crc32c(0, data + from, size));
    }
    free(data);
}

static void base_bytes(void)
{
    uint8_t data[64];
    ln_cursor c = ln_cursor_over("\x01\x02\x03\x04\x05", 5);

    EXPECT(ln_crc32c(0, "123456789", 9) == 0xe3069283u);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)test_random();
    for (size_t i = 0; i <= sizeof data; i++) /* in two pieces as in one */
        EXPECT(ln_crc32c(ln_crc32c(0, data, i), data + i, sizeof data - i) == ln_crc32c(0, data, sizeof data));
    base_long_crc();
    EXPECT(ln_cursor_u32(&c) == 0x04030201u && !c.bad);
    EXPECT(ln_cursor_u32(&c) == 0 && c.bad && ln_cursor_left(&c) == 0);
    EXPECT(ln_cursor_bytes(&c, 1) == NULL);

    EXPECT(ln_utf8_ok("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa6", 12));
    EXPECT(!ln_utf8_ok("\xc0\x80", 2) && !ln_utf8_ok("\xed\xa0\x80", 3) && !ln_utf8_ok("\xf4\x90\x80\x80", 4));
    EXPECT(!ln_utf8_ok("\xc3", 1) && !ln_utf8_ok("a\nb", 3) && !ln_utf8_ok("\x7f", 1));
    EXPECT(ln_text_ok("a\nb", 3) && !ln_text_ok("a\0b", 3) && !ln_text_ok("a\n\xff", 3));
}

static void base_memory(void)
{
    test_heap h;
    test_heap_init(&h);
    for (size_t size = 1; size < 200; size += 13) {
        uint8_t *p = ln_alloc(&h.hooks, size);
        size_t sum = 0;
        for (size_t i = 0; p && i < size; i++)
            sum += p[i];
        EXPECT(p && (uintptr_t)p % 64 == 0 && sum == 0);
        ln_free(&h.hooks, p, size);
    }
    EXPECT(ln_alloc(&h.hooks, 0) == NULL && ln_alloc(&h.hooks, SIZE_MAX) == NULL);

    ln_arena a;
    ln_arena_init(&a, &h.hooks, 1 << 20);
    for (size_t i = 1; i < 500; i++) {
        uint8_t *p = ln_arena_alloc(&a, i, 7);
        EXPECT(p && (uintptr_t)p % 16 == 0 && p[0] == 0 && p[i * 7 - 1] == 0);
        if (p)
            memset(p, 0xff, i * 7);
    }
    EXPECT(ln_arena_alloc(&a, 1 << 20, 1) == NULL && ln_arena_alloc(&a, SIZE_MAX, 2) == NULL);
    int64_t *list = NULL;
    size_t count = 0, cap = 0;
    for (int64_t i = 0; i < 1000; i++)
        *(int64_t *)ln_grow(&a, (void **)&list, &count, &cap, sizeof *list) = i;
    EXPECT(count == 1000 && list[0] == 0 && list[999] == 999);
    ln_arena_free(&a);
    EXPECT(h.blocks == 0 && h.bytes == 0);

    char room[300];
    memset(room, 0x55, sizeof room);
    ln_arena_init_fixed(&a, room + 1, sizeof room - 2);
    while (ln_arena_alloc(&a, 1, 24))
        continue;
    EXPECT(a.total >= 160 && room[0] == 0x55 && room[299] == 0x55);
}

/* Every 16-bit and smaller code comes back from double; halves agree with a definition by ldexp. */
static void base_small_floats(void)
{
    static const int32_t type[] = { LINNET_F16, LINNET_BF16, LINNET_F8E4M3FN, LINNET_F8E4M3FNUZ, LINNET_F8E5M2FNUZ,
                                    LINNET_F8E8M0 };
    size_t wrong = 0;

    for (size_t t = 0; t < LN_COUNT(type); t++) {
        const uint32_t codes = 1u << linnet_dtype_bits(type[t]);
        for (uint32_t code = 0; code < codes; code++) {
            uint16_t x = (uint16_t)code, y = 0;
            const double v = ln_get_f64(type[t], &x, 0);
            ln_set_f64(type[t], &y, 0, v);
            if (v == v && x != y)
                wrong++;
        }
    }
    EXPECT(wrong == 0);
    for (uint32_t code = 0; code < 0x10000; code++) {
        const int e = (int)(code >> 10 & 31), m = (int)(code & 1023);
        const double a = e == 0 ? ldexp(m, -24) : ldexp(1024 + m, e - 25), v = code & 0x8000 ? -a : a;
        if (e == 31)
            continue;
        if ((double)ln_f16_to_f32((uint16_t)code) != v || ln_f32_to_f16((float)v) != code)
            wrong++;
        /* halfway to the next code goes to the even one */
        if (code < 0x7bff && ln_f32_to_f16((float)(a + ldexp(1, e == 0 ? -25 : e - 26))) != code + (code & 1))
            wrong++;
    }
    EXPECT(wrong == 0);
    EXPECT(ln_f32_to_f16(65520) == 0x7c00 && ln_f32_to_f16(-INFINITY) == 0xfc00);
    EXPECT(isnan(ln_f16_to_f32(ln_f32_to_f16(NAN))) && isnan(ln_bf16_to_f32(ln_f32_to_bf16(NAN))));
    uint8_t b = 0;
    ln_set_f64(LINNET_F8E4M3FN, &b, 0, 1e9);
    EXPECT(b == 0x7e); /* 448 */
    ln_set_f64(LINNET_F8E5M2, &b, 0, -1e9);
    EXPECT(b == 0xfb); /* -57344 */
}

static void base_tensors(void)
{
    const int64_t five[] = { 5 }, huge[] = { INT64_MAX, INT64_MAX, 0 }, minus[] = { 2, -1 }, none[] = { 3, 0 };
    linnet_tensor *t;

    EXPECT(ln_f2i_sat((double)NAN, -5, 5) == 0 && ln_f2i_sat(1e300, -5, 5) == 5 && ln_f2i_sat(-1e300, -5, 5) == -5);
    EXPECT(ln_f2i_sat(9.3e18, INT64_MIN, INT64_MAX) == INT64_MAX);
    EXPECT_OK(linnet_tensor_create(LINNET_I4, 1, five, NULL, &t, &test_error));
    EXPECT(linnet_tensor_size(t) == 3);
    for (size_t i = 0; i < 5; i++)
        ln_set_i64(LINNET_I4, linnet_tensor_data(t), i, (int64_t)i * 5 - 10);
    EXPECT(linnet_tensor_get(t, 0) == -8 && linnet_tensor_get(t, 1) == -5 && linnet_tensor_get(t, 4) == 7);
    EXPECT(linnet_tensor_get(t, 5) == 0);
    linnet_tensor_free(t);
    EXPECT_STATUS(linnet_tensor_create(LINNET_F32, 3, huge, NULL, &t, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_tensor_create(LINNET_F32, 2, minus, NULL, &t, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_tensor_create(99, 1, five, NULL, &t, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_tensor_create(LINNET_F32, 9, five, NULL, &t, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_OK(linnet_tensor_create(LINNET_F32, 2, none, NULL, &t, &test_error));
    EXPECT(t && linnet_tensor_count(t) == 0 && linnet_tensor_size(t) == 0);
    linnet_tensor_free(t);
    float x[5] = { 1, 2, 3, 4, 5 };
    EXPECT_STATUS(linnet_tensor_view(LINNET_F32, 1, five, x, 16, &t, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_OK(linnet_tensor_view(LINNET_F32, 1, five, x, 20, &t, &test_error));
    EXPECT(linnet_tensor_is_view(t) && linnet_tensor_get(t, 4) == 5);
    linnet_tensor_free(t);
    linnet_tensor_free(NULL);

    const ln_desc a = ln_desc_of(LINNET_F32, 3, (int64_t[]){ 2, 1, 4 }), b = ln_desc_of(LINNET_F32, 2, (int64_t[]){ 3, 1 });
    ln_desc c = { .dtype = LINNET_F32 };
    int64_t stride[LN_MAX_RANK];
    char text[LN_DESC_TEXT];
    EXPECT(ln_broadcast(&a, &b, &c) && strcmp(ln_desc_text(&c, text), "f32[2,3,4]") == 0);
    ln_broadcast_strides(&b, &c, stride);
    EXPECT(stride[0] == 0 && stride[1] == 1 && stride[2] == 0);
    c = ln_desc_of(LINNET_F32, 1, (int64_t[]){ 3 });
    EXPECT(!ln_broadcast(&a, &c, &c));
}

/* ---- pool ------------------------------------------------------------------------ */

#ifndef LN_NO_THREADS
typedef struct pool_job {
    linnet_pool *pool;
    int          hit[300], busy[8], sum;
    bool         clash;
} pool_job;

static void pool_inner(void *context, size_t i, int32_t worker)
{
    (void)worker;
    *(int *)context += (int)i;
}

static void pool_task(void *context, size_t i, int32_t worker)
{
    pool_job *j = context;
    int sum = 0;

    if (j->busy[worker]++)
        j->clash = true;
    j->hit[i]++;
    if (i % 50 == 7) { /* a call from inside */
        ln_pool_run(j->pool, 5, pool_inner, &sum);
        if (sum != 10)
            j->clash = true;
    }
    j->busy[worker]--;
}

static void *pool_user(void *context)
{
    linnet_pool *p = context;
    size_t wrong = 0;

    for (size_t round = 0; round < 300; round++) {
        pool_job j = { .pool = p };
        const size_t n = round % 301 == 300 ? 0 : round;
        ln_pool_run(p, n, pool_task, &j);
        for (size_t i = 0; i < 300; i++)
            wrong += j.hit[i] != (i < n);
        wrong += j.clash;
    }
    return wrong ? context : NULL;
}

static void host_loop(void *user, size_t count, linnet_task_fn task, void *context)
{
    ++*(int *)user;
    for (size_t i = count; i-- > 0;)
        task(context, i, (int32_t)(i % 3));
}

static void base_pool(void)
{
    linnet_pool *p;
    pthread_t user[2];
    void *bad;
    test_heap h;
    int calls = 0;

    test_heap_init(&h);
    for (int32_t threads = 1; threads <= 4; threads++) {
        EXPECT_OK(linnet_pool_create(threads, &h.hooks, &p, &test_error));
        EXPECT(linnet_pool_threads(p) == threads);
        for (int i = 0; i < 2; i++)
            EXPECT(pthread_create(&user[i], NULL, pool_user, p) == 0);
        for (int i = 0; i < 2; i++) {
            pthread_join(user[i], &bad);
            EXPECT(bad == NULL);
        }
        linnet_pool_free(p);
    }
    EXPECT(h.blocks == 0);
    EXPECT_STATUS(linnet_pool_create(0, NULL, &p, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT(p == NULL && linnet_pool_threads(NULL) == 1);
    EXPECT_OK(linnet_pool_wrap(3, host_loop, &calls, NULL, &p, &test_error));
    EXPECT(pool_user(p) == NULL && calls > 0);
    linnet_pool_free(p);
}
#endif

void test_base(void)
{
    base_sizes();
    base_print();
    base_bytes();
    base_memory();
    base_small_floats();
    base_tensors();
#ifndef LN_NO_THREADS
    base_pool();
#endif
}
