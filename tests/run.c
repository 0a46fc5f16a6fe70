/*
 * run.c - runs every test_* function that the build found, or those whose names contain an argument.
 */
#include "test.h"

#define X(name) void test_##name(void);
#include "test_list.h"
#undef X

static const struct { const char *name; void (*run)(void); } tests[] = {
#define X(name) { #name, test_##name },
#include "test_list.h"
#undef X
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        bool wanted = argc < 2;
        for (int a = 1; a < argc; a++)
            wanted = wanted || strstr(tests[i].name, argv[a]);
        if (!wanted)
            continue;
        test_begin(tests[i].name);
        tests[i].run();
        fflush(stdout);
    }
    printf("%zu passed, %zu failed, %zu skipped\n", test_passed, test_failed, test_skipped);
    return test_failed != 0;
}
