/*
 * json.c - the JSON reader: what it takes, what it refuses, and every damage of a document.
 */
#include "../../src/text/json.h"
#include "test.h"

#include <math.h>

/* Reads in a block of exactly the size, so that a sanitizer sees a read past the end. */
static linnet_status read_text(const char *text, size_t size, ln_arena *a, const ln_json **v, char **exact)
{
    const linnet_allocator alloc = ln_allocator(NULL);

    ln_arena_init(a, &alloc, 64 << 20);
    *exact = malloc(size ? size : 1);
    memcpy(*exact, text, size);
    return ln_json_read(*exact, size, a, v, &test_error);
}

static bool taken(const char *text)
{
    const ln_json *v;
    ln_arena a;
    char *exact;

    test_error.message[0] = '\0';
    const linnet_status st = read_text(text, strlen(text), &a, &v, &exact);
    EXPECT(st == LINNET_OK || test_error.message[0]);
    ln_arena_free(&a);
    free(exact);
    return st == LINNET_OK;
}

void test_json_forms(void)
{
    static const char *const good[] = {
        "null", " true ", "false", "0", "-0", "1.5", "-12.25e+3", "1E-5", "\"\"",
        "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "[]", "{}", "[[],{}]",
        "[1,2,[3]]", "{\"a\":1,\"b\":{\"a\":2}}", "\"\\u00e9\\u4e2d\\ud83d\\ude00\"", "\"\\u0000\"",
        "\"\xc3\xa9\"", "\t[ 1 , 2 ]\r\n",
        "[{\"x\":[]},{\"x\":{}}]", "\"\x7f\"",
    };
    static const char *const bad[] = {
        "", " ", "nul", "tru", "True", "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "NaN", "Infinity", "\"",
        "\"a", "\"\\", "\"\\\"",
        "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\ud800x\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
        "\"\\ud800\\ud800\"",
        "\"\n\"", "\"\x01\"", "\"\xff\"", "\"\xc3\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
        "[", "]", "[1", "[1,", "[1,]", "[,1]",
        "[1 2]", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{a:1}", "{1:2}",
        "{\"a\" 1}", "[1}", "{\"a\":1]",
        "1 2", "[] []", "{}x", "\xef\xbb\xbf{}", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}",
        "[{\"a\":1,\"b\":1,\"a\":1}]", "'a'", "/**/1", "[1]//",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        test_note(taken(good[i]), __FILE__, __LINE__, "refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        test_note(!taken(bad[i]), __FILE__, __LINE__, "taken: %s", bad[i]);
}

void test_json_depth(void)
{
    static char text[1 << 16];

    for (size_t depth = 60; depth < 70; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        EXPECT(taken(text) == (depth <= LN_JSON_DEPTH));
    }
    memset(text, '[', sizeof text - 1);
    EXPECT(!taken(text));
    for (size_t i = 0; i + 6 < sizeof text; i += 5)
        memcpy(text + i, "{\"a\":", 5);
    EXPECT(!taken(text));
}

void test_json_values(void)
{
    static const char text[] = "{\"s\":\"a\\u0000\\u00e9\",\"n\":[0,-7,12.5,1e3,2.0347034931182861,-0.1,"
                               "123456789012345678901234567890,1e999,5e-324,"
                               "9007199254740993],\"t\":true,\"o\":{\"k\":null}}";
    static const double want[] = { 0, -7, 12.5, 1000, 2.0347034931182861, -0.1, 123456789012345678901234567890.0,
    INFINITY, 5e-324,
                                   9007199254740993.0 };
    const ln_json *v, *c;
    ln_arena a;
    char *exact;
    const char *s;
    size_t n, i = 0;
    int64_t whole;
    double d;

    EXPECT_OK(read_text(text, sizeof text - 1, &a, &v, &exact));
    EXPECT(ln_json_string(ln_json_get(v, "s"), &s, &n) && n == 4 && memcmp(s, "a\0\xc3\xa9", 4) == 0);
    EXPECT(ln_json_true(ln_json_get(v, "t"), false) && ln_json_true(ln_json_get(v, "s"), true));
    EXPECT(ln_json_get(ln_json_get(v, "o"), "k")->kind == LN_JSON_NULL && !ln_json_get(v,
    "k") && !ln_json_get(NULL, "k"));
    const ln_json *list = ln_json_get(v, "n");
    for (c = ln_json_first(list); c; c = ln_json_next(list, c), i++) {
        const bool finite = ln_json_number(c, &d);
        EXPECT(finite == isfinite(want[i]));
        EXPECT(!finite || fabs(d - want[i]) <= 1e-15 * fabs(want[i]));
    }
    EXPECT(i == 10);
    c = ln_json_first(list);
    EXPECT(ln_json_whole(c, 0, 5, &whole) && whole == 0);
    c = ln_json_next(list, c);
    EXPECT(ln_json_whole(c, -7, 5, &whole) && whole == -7 && !ln_json_whole(c, -6, 5, &whole));
    c = ln_json_next(list, c);
    EXPECT(!ln_json_whole(c, 0, 50, &whole));
    EXPECT(!ln_json_first(ln_json_get(v, "t")) && !ln_json_number(ln_json_get(v, "t"), &d));
    ln_arena_free(&a);
    free(exact);
}

/* Numbers as they are written by others: 17 digits come back as the same double. */
void test_json_numbers(void)
{
    size_t wrong = 0, near = 0;

    for (int i = 0; i < 20000; i++) {
        const double want = (double)test_float(-20, 0) * (1.0 + test_float(0, 1) * 1e-9);
        const ln_json *v;
        ln_arena a;
        char text[64], *exact;
        double got = 0;
        snprintf(text, sizeof text, "%.17g", want);
        EXPECT_OK(read_text(text, strlen(text), &a, &v, &exact));
        ln_json_number(v, &got);
        wrong += fabs(got - want) > 2.3e-16 * fabs(want);
        near += got != want;
        ln_arena_free(&a);
        free(exact);
    }
    EXPECT(wrong == 0 && near == 0);
}

/* Every truncation and every change of a byte: an error with a sentence, or a document. */
void test_json_damage(void)
{
    static const char text[] = "{\"a\":[1,-2.5e3,\"x\\u00e9\\ud83d\\ude00\\n\",null,true,[],{}],"
                               "\"\xc3\xa9\":{\"b\":{\"c\":[false,0]}}}";
    const size_t size = sizeof text - 1;
    size_t silent = 0;

    for (size_t at = 0; at <= size; at++)
        for (int value = at < size ? 0 : 255; value < 256; value++)
            for (int cut = 0; cut < (at < size && value == 0 ? 2 : 1); cut++) {
                char damaged[sizeof text], *exact;
                const ln_json *v;
                ln_arena a;
                memcpy(damaged, text, size);
                if (at < size && !cut)
                    damaged[at] = (char)value;
                test_error.message[0] = '\0';
                const linnet_status st = read_text(damaged, cut ? at : size, &a, &v, &exact);
                silent += st && !test_error.message[0];
                ln_arena_free(&a);
                free(exact);
            }
    EXPECT(silent == 0);
}
