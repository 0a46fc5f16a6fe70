/*
 * tokenizer.c - tokenisers against Hugging Face's: every number, every decoded byte.
 *
 * The .json and .ids files are made by make_vectors.py; see there.
 */
#include "linnet_text.h"
#include "test.h"

#define FOLDER "tests/text/"

static const char *const kinds[] = { "gpt2", "roberta", "llama", "llama3", "qwen", "clip", "bert", "bert_cased",
                                     "unigram", "unigram_bytes", "word_level", "marked", "suffixed" };
enum { KINDS = sizeof kinds / sizeof *kinds, LINE = 1 << 14 };

/* A whole file with a NUL behind it, or NULL. */
static char *whole(const char *name, const char *end, size_t *size)
{
    char path[256];

    snprintf(path, sizeof path, FOLDER "%s%s", name, end);
    FILE *f = fopen(path, "rb");
    char *data = f ? calloc(1, 1 << 20) : NULL;
    *size = data ? fread(data, 1, (1 << 20) - 1, f) : 0;
    if (f)
        fclose(f);
    return data;
}

static size_t unhex(const char *s, size_t n, char *out)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        unsigned v = 0;
        sscanf((char[]){ s[i], s[i + 1], 0 }, "%x", &v);
        out[i / 2] = (char)v;
    }
    return n / 2;
}

static uint32_t fnv(const char *s, size_t n)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)s[i]) * 16777619u;
    return h;
}

/* "1 2 3\t=" or "1 2 3\thash". */
static size_t read_ids(const char *line, int32_t *ids, bool *same, uint32_t *hash)
{
    size_t n = 0;
    char *end;

    while (*line != '\t' && *line != '\n') {
        ids[n++] = (int32_t)strtol(line, &end, 10);
        line = end + (*end == ' ');
    }
    *same = line[1] == '=';
    *hash = *same ? 0 : (uint32_t)strtoul(line + 1, NULL, 16);
    return n;
}

/* All at once, and token by token. */
static bool decodes(const linnet_tokenizer *t, const int32_t *ids, size_t n, bool same, uint32_t hash, const char *text,
                    size_t size)
{
    static char whole_text[LINE], parts[LINE];
    size_t length = 0, at = 0, more = 0;
    linnet_decoder d = { 0 };
    bool good = linnet_tokenizer_decode(t, ids, n, 0, whole_text, LINE, &length, &test_error) == LINNET_OK;

    for (size_t i = 0; good && i <= n; i++, at += more)
        good = !linnet_tokenizer_next(t, &d, i < n ? ids[i] : -1, 0, parts + at, LINE - at, &more, &test_error);
    good = good && at == length && memcmp(parts, whole_text, length) == 0;
    return good && (same ? length == size && memcmp(whole_text, text, size) == 0 : fnv(whole_text, length) == hash);
}

static void check_kind(const char *kind, const char *texts)
{
    static int32_t want[LINE], got[LINE];
    static char text[LINE];
    size_t size, wrong = 0, line_number = 0, count = 0;
    linnet_tokenizer *t = NULL;
    char *json = whole(kind, ".json", &size);
    const linnet_status st = linnet_tokenizer_load(json, size, NULL, &t, &test_error);
    char *ids = whole(kind, ".ids", &size);

    test_note(st == LINNET_OK && json && ids, __FILE__, __LINE__, "%s: %s", kind, test_error.message);
    const char *line = ids, *hex = texts;
    for (; !st && line && *line && *line != '#'; line = strchr(line, '\n') + 1, hex = strchr(hex, '\n') + 1) {
        bool same;
        uint32_t hash;
        const size_t n = read_ids(line, want, &same, &hash), bytes = unhex(hex, strcspn(hex, "\n"), text);
        const linnet_status s = linnet_tokenizer_encode(t, text, bytes, LINNET_TEXT_SPECIAL | LINNET_TEXT_REPAIR, got,
                                                        LINE, &count, &test_error);
        const bool good = !s && count == n && memcmp(got, want, n * sizeof *got) == 0;
        const bool back = decodes(t, want, n, same, hash, text, bytes);
        line_number++;
        if ((!good || !back) && wrong++ < 5)
            printf("%s: line %zu: %s%s\n", kind, line_number, good ? "" : "encode ", back ? "" : "decode");
        test_note(good && back, __FILE__, __LINE__, "%s, line %zu", kind, line_number);
    }
    for (line = line && *line ? strchr(line, '\n') + 1 : ""; !st && *line; line = strchr(line, '\n') + 1) {
        bool same;
        uint32_t hash;
        const size_t n = read_ids(line, want, &same, &hash);
        test_note(decodes(t, want, n, same, hash, "", 0), __FILE__, __LINE__, "%s: decoding %.30s", kind, line);
    }
    linnet_tokenizer_free(t);
    free(json);
    free(ids);
}

void test_tokenizer(void)
{
    size_t size;
    char *texts = whole("texts", ".hex", &size);

    EXPECT(texts != NULL);
    for (size_t i = 0; texts && i < KINDS; i++)
        check_kind(kinds[i], texts);
    free(texts);
}
