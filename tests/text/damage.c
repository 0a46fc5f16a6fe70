/*
 * damage.c - any bytes as a tokeniser's file, any bytes as text: an error or a result.
 *
 * The entry is one that libFuzzer takes as it is: `make fuzz-text` builds it so. Here it is given damaged files,
 * and allocations that fail.
 */
#include "linnet_text.h"
#include "test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t silent, leaks, loaded, refused, wild; /* errors without a sentence, memory left, ... */

static void try_text(const linnet_tokenizer *t, const char *text, size_t size, linnet_error *err)
{
    static int32_t ids[4096];
    static char back[4096];
    linnet_decoder d = { 0 };
    size_t n = 0, length;

    err->message[0] = '\0';
    if (linnet_tokenizer_encode(t, text, size, LINNET_TEXT_SPECIAL | LINNET_TEXT_REPAIR, ids, 4096, &n, err) &&
        n <= 4096) {
        silent += !err->message[0];
        return;
    }
    n = n < 4096 ? n : 4096;
    for (size_t i = 0; i < n; i++)
        wild += ids[i] < 0 || (size_t)ids[i] >= linnet_tokenizer_count(t) || !linnet_tokenizer_text(t, ids[i], NULL);
    linnet_tokenizer_decode(t, ids, n, 0, back, sizeof back, &length, err);
    for (size_t i = 0; i < 8; i++) /* tokens of any kind one by one */
        linnet_tokenizer_next(t, &d, (int32_t)(i * 7919 % (linnet_tokenizer_count(t) + 2)) - 1, LINNET_TEXT_SPECIAL,
                              back, sizeof back, &length, err);
    linnet_tokenizer_find(t, text, size);
}

static linnet_status try_file(const void *data, size_t size, test_heap *h)
{
    static const char *const texts[] = {
        "", "The linnet's  song isn't 12345 birds!\n",
        "d\xc3\xa9j\xc3\xa0 \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80 e\xcc\x81\xcc\xa7",
        "<s>[MASK]<|end|> <left> x <0x41>\xff\xc3(", "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8\xef\xac\x81\xc4\xb0",
    };
    linnet_limits limits = { .struct_size = sizeof limits, .memory = 64 << 20 };
    linnet_tokenizer *t = NULL;
    linnet_options opt;
    linnet_error err = { 0, "" };

    linnet_options_init(&opt);
    opt.allocator = &h->hooks;
    opt.limits = &limits;
    const linnet_status st = linnet_tokenizer_load(data, size, &opt, &t, &err);
    silent += st && !err.message[0];
    loaded += !st;
    refused += st != 0;
    for (size_t i = 0; !st && i < sizeof texts / sizeof *texts; i++)
        try_text(t, texts[i], strlen(texts[i]), &err);
    if (!st)
        try_text(t, data, size < 200 ? size : 200, &err);
    linnet_tokenizer_free(t);
    leaks += h->blocks || h->bytes;
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    test_heap h;

    test_heap_init(&h);
    h.limit = 256 << 20;
    try_file(data, size, &h);
    if (silent || leaks || wild)
        abort();
    return 0;
}

static uint8_t *whole(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = f ? malloc(1 << 20) : NULL;

    *size = data ? fread(data, 1, 1 << 20, f) : 0;
    if (f)
        fclose(f);
    EXPECT(*size > 0);
    return data;
}

/* A tokenizer.bin and a vocab.txt, to be damaged. */
static size_t small_llama2c(uint8_t *out)
{
    static const char *const pieces[] = { "<unk>", "\n<s>\n", "\n</s>\n", "<0x41>", "<0xC3>", "<0xA9>",
                                          " ", "a", "b", "ab", " ab", "\xc3\xa9" };
    size_t n = 4;

    memcpy(out, "\x07\0\0\0", 4);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        const float score = -(float)i;
        const uint32_t length = (uint32_t)strlen(pieces[i]);
        memcpy(out + n, &score, 4);
        memcpy(out + n + 4, &length, 4); /* on a little-endian machine, as the file is */
        memcpy(out + n + 8, pieces[i], length);
        n += 8 + length;
    }
    return n;
}

static void damage(const uint8_t *data, size_t size, size_t step)
{
    test_heap h;

    for (size_t at = 0; at <= size; at += step)
        for (int kind = 0; kind < (at < size ? 3 : 1); kind++) {
            const size_t n = kind == 0 ? at : size;
            uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read past the end */
            memcpy(exact, data, n);
            if (kind > 0)
                exact[at] ^= (uint8_t)(kind == 1 ? 1u << test_int(0, 7) : (unsigned)test_int(1, 255));
            test_heap_init(&h);
            try_file(exact, n, &h);
            free(exact);
        }
}

void test_tokenizer_damage(void)
{
    static const char *const kinds[] = { "gpt2", "llama", "clip", "bert", "bert_cased", "unigram",
                                         "unigram_bytes", "word_level",
                                         "marked", "suffixed", "llama3" };
    static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n##c\nab\n"
                                "\xe4\xb8\xad\n!\n'\ns\r\nisn\n##' \n\nthe\n";
    const char *step = getenv("DAMAGE_STEP");
    static uint8_t bytes[4096];
    char path[256];
    size_t size;

    silent = leaks = wild = loaded = refused = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(path, sizeof path, "tests/text/%s.json", kinds[i]);
        uint8_t *data = whole(path, &size);
        damage(data, size, step ? strtoull(step, NULL, 10) : 61);
        free(data);
    }
    damage(bytes, small_llama2c(bytes), 1);
    damage((const uint8_t *)vocab, sizeof vocab - 1, 1);
    EXPECT(silent == 0);
    EXPECT(leaks == 0);
    EXPECT(wild == 0);
    EXPECT(loaded > 100 && refused > 100);
}

void test_tokenizer_memory(void)
{
    static const char *const kinds[] = { "llama3", "bert", "unigram", "suffixed" };
    char path[256];
    size_t size;

    silent = leaks = wild = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(path, sizeof path, "tests/text/%s.json", kinds[i]);
        uint8_t *data = whole(path, &size);
        for (size_t k = 1, more = 1; more; k++) {
            test_heap h;
            test_heap_init(&h);
            h.fail_at = k;
            h.fail_for_ever = k & 1;
            const linnet_status st = try_file(data, size, &h);
            more = h.calls >= k;
            test_note(st == LINNET_OK || st == LINNET_ERR_MEMORY, __FILE__, __LINE__, "%s: allocation %zu gives %d",
                      kinds[i], k, (int)st);
        }
        free(data);
    }
    EXPECT(silent == 0 && leaks == 0 && wild == 0);
}

/* Calls that are wrong. */
void test_tokenizer_wrong(void)
{
    static const char vocab[] = "[UNK]\n[CLS]\n[SEP]\na\nb\n";
    linnet_tokenizer *t = NULL;
    int32_t ids[8] = { 9, 9, 9, 9, 9, 9, 9, 9 };
    char text[16];
    size_t n = 77;
    linnet_decoder d = { 0 };

    EXPECT_STATUS(linnet_tokenizer_load(NULL, 3, NULL, &t, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT_STATUS(linnet_tokenizer_load("", 0, NULL, &t, &test_error), LINNET_ERR_FORMAT);
    EXPECT_STATUS(linnet_tokenizer_load("a\nb\n", 4, NULL, &t, &test_error), LINNET_ERR_FORMAT);
    EXPECT_STATUS(linnet_tokenizer_open("tests/text/not there", NULL, &t, &test_error), LINNET_ERR_IO);
    EXPECT(t == NULL);
    EXPECT_OK(linnet_tokenizer_load(vocab, sizeof vocab - 1, NULL, &t, &test_error));
    EXPECT(linnet_tokenizer_count(t) == 5);
    EXPECT(linnet_tokenizer_find(t, "b", 1) == 4 && linnet_tokenizer_find(t, "x", 1) == -1);
    EXPECT(strcmp(linnet_tokenizer_text(t, 1, &n), "[CLS]") == 0 && n == 5 && !linnet_tokenizer_text(t, 5, NULL));
    EXPECT_STATUS(linnet_tokenizer_encode(t, "a\xff", 2, 0, ids, 8, &n, &test_error), LINNET_ERR_DATA);
    EXPECT_STATUS(linnet_tokenizer_encode(t, "a b", 3, LINNET_TEXT_SPECIAL, ids, 3, &n, &test_error),
                  LINNET_ERR_ARGUMENT);
    EXPECT(n == 4 && ids[3] == 9);
    EXPECT_OK(linnet_tokenizer_encode(t, "a b", 3, LINNET_TEXT_SPECIAL, NULL, 0, &n, &test_error));
    EXPECT(n == 4);
    EXPECT_OK(linnet_tokenizer_encode(t, "B[SEP]", 6, 0, ids, 8, &n, &test_error));
    EXPECT(n == 2 && ids[0] == 4 && ids[1] == 2);
    EXPECT_OK(linnet_tokenizer_encode(t, "b[SEP]", 6, LINNET_TEXT_PLAIN, ids, 8, &n, &test_error));
    EXPECT(n == 4 && ids[0] == 4 && ids[1] == 0);
    ids[0] = 5;
    EXPECT_STATUS(linnet_tokenizer_decode(t, ids, 1, 0, text, 16, &n, &test_error), LINNET_ERR_DATA);
    ids[0] = -1;
    EXPECT_STATUS(linnet_tokenizer_decode(t, ids, 1, 0, text, 16, &n, &test_error), LINNET_ERR_DATA);
    ids[0] = 3, ids[1] = 4;
    EXPECT_STATUS(linnet_tokenizer_decode(t, ids, 2, 0, text, 2, &n, &test_error), LINNET_ERR_ARGUMENT);
    EXPECT(n == 3);
    EXPECT_OK(linnet_tokenizer_decode(t, ids, 2, 0, text, 16, &n, &test_error));
    EXPECT(strcmp(text, "a b") == 0);
    EXPECT_STATUS(linnet_tokenizer_next(t, &d, 5, 0, text, 16, &n, &test_error), LINNET_ERR_DATA);
    d.held_count = 9;
    EXPECT_STATUS(linnet_tokenizer_next(t, &d, 3, 0, text, 16, &n, &test_error), LINNET_ERR_ARGUMENT);
    linnet_tokenizer_free(t);
}

/* Files that are well-formed JSON and no tokeniser, or one that this library has not. */
void test_tokenizer_refused(void)
{
#define WORDS "\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"u\",\"vocab\":{\"u\":0,\"a\":1}}"
#define PAIRS "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":"
#define SCORES "\"model\":{\"type\":\"Unigram\",\"unk_id\":"
    static const struct { linnet_status status; const char *json; } files[] = {
        { LINNET_OK, "{" WORDS "}" },
        { LINNET_OK, "{" PAIRS "[\"a b\"]}}" },
        { LINNET_OK, "{" PAIRS "[[\"a\",\"b\"]]}}" },
        { LINNET_OK, "{" SCORES "0,\"vocab\":[[\"u\",0],[\"a\",-1.5]]}}" },
        { LINNET_OK, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[]}," WORDS "}" },
        { LINNET_ERR_FORMAT, "{}" },
        { LINNET_ERR_FORMAT, "{\"model\":3}" },
        { LINNET_ERR_FORMAT, "{\"model\":{\"vocab\":3}}" },
        { LINNET_ERR_FORMAT, "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"x\",\"vocab\":{\"a\":0}}}" },
        { LINNET_ERR_FORMAT, "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"a\":0,\"b\":0}}}" },
        { LINNET_ERR_FORMAT, "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"a\":-1}}}" },
        { LINNET_ERR_FORMAT, "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"a\":\"0\"}}}" },
        { LINNET_ERR_LIMIT, "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"a\",\"vocab\":{\"a\":0,"
                            "\"b\":90000000}}}" },
        { LINNET_ERR_FORMAT, "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}" },
        { LINNET_ERR_UNSUPPORTED, "{\"model\":{\"type\":\"Other\",\"vocab\":{\"a\":0}}}" },
        { LINNET_ERR_FORMAT, "{" PAIRS "[\"a c\"]}}" },
        { LINNET_ERR_FORMAT, "{" PAIRS "[\"b a\"]}}" },
        { LINNET_ERR_FORMAT, "{" PAIRS "[\"a b c\"]}}" },
        { LINNET_ERR_FORMAT, "{" PAIRS "[\"ab\"]}}" },
        { LINNET_ERR_FORMAT, "{" PAIRS "[[\"a\"]]}}" },
        { LINNET_ERR_FORMAT, "{" PAIRS "3}}" },
        { LINNET_ERR_UNSUPPORTED, "{" PAIRS "[],\"dropout\":0.1}}" },
        { LINNET_ERR_FORMAT, "{" SCORES "2,\"vocab\":[[\"u\",0],[\"a\",-1.5]]}}" },
        { LINNET_ERR_FORMAT, "{" SCORES "null,\"vocab\":[[\"u\",0]]}}" },
        { LINNET_ERR_FORMAT, "{" SCORES "0,\"vocab\":[[\"u\"]]}}" },
        { LINNET_ERR_FORMAT, "{" SCORES "0,\"vocab\":[[\"u\",1e999]]}}" },
        { LINNET_ERR_FORMAT, "{" SCORES "0,\"vocab\":{\"u\":0}}}" },
        { LINNET_ERR_UNSUPPORTED, "{\"normalizer\":{\"type\":\"Nmt\"}," WORDS "}" },
        { LINNET_ERR_FORMAT, "{\"normalizer\":{\"type\":\"Sequence\"}," WORDS "}" },
        { LINNET_ERR_FORMAT, "{\"normalizer\":[]," WORDS "}" },
        { LINNET_ERR_FORMAT, "{\"normalizer\":{\"type\":\"Precompiled\","
                             "\"precompiled_charsmap\":\"AAEAAA==\"}," WORDS "}" },
        { LINNET_ERR_FORMAT, "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"!!\"}," WORDS "}" },
        { LINNET_ERR_UNSUPPORTED, "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+\"},"
                                  "\"content\":\"\"}," WORDS "}" },
        { LINNET_ERR_UNSUPPORTED, "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a+\"}}," WORDS "}" },
        { LINNET_ERR_UNSUPPORTED, "{\"pre_tokenizer\":{\"type\":\"Sequence\","
                                  "\"pretokenizers\":[{\"type\":\"ByteLevel\"},"
                                  "{\"type\":\"Digits\"}]}," WORDS "}" },
        { LINNET_ERR_UNSUPPORTED, "{\"decoder\":{\"type\":\"CTC\"}," WORDS "}" },
        { LINNET_ERR_UNSUPPORTED, "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},"
                                  "{\"type\":\"ByteFallback\"}]}," WORDS "}" },
        { LINNET_ERR_FORMAT, "{\"added_tokens\":[{\"id\":1,\"content\":\"b\"}]," WORDS "}" },
        { LINNET_ERR_FORMAT, "{\"added_tokens\":[{\"content\":\"b\"}]," WORDS "}" },
        { LINNET_ERR_FORMAT, "{\"added_tokens\":{}," WORDS "}" },
        { LINNET_ERR_FORMAT, "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}," WORDS "}" },
        { LINNET_ERR_FORMAT, "{\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",1],"
                             "\"sep\":[\"a\",2]}," WORDS "}" },
    };
#undef WORDS
#undef PAIRS
#undef SCORES
    char path[2048];

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        linnet_tokenizer *t = NULL;
        const linnet_status st = linnet_tokenizer_load(files[i].json, strlen(files[i].json), NULL, &t, &test_error);
        test_note(st == files[i].status && (st == LINNET_OK) == (t != NULL), __FILE__, __LINE__, "status %d of %s: %s",
                  (int)st, files[i].json, st ? test_error.message : "");
        linnet_tokenizer_free(t);
    }
    memset(path, 'x', 2000); /* a piece that is too long */
    snprintf(path + 1800, 200, "\nsecond\n[UNK]\n");
    EXPECT_STATUS(linnet_tokenizer_load(path, strlen(path), NULL, &(linnet_tokenizer *){ NULL }, &test_error),
                  LINNET_ERR_LIMIT);
}

/* Texts made to be slow: a megabyte in a second at most, even here. */
void test_tokenizer_long(void)
{
    static const char *const kinds[] = { "gpt2", "llama", "qwen", "bert", "unigram", "unigram_bytes", "suffixed" };
    static const char *const units[] = { "a", " ", "\xcc\x81\xcc\xa7\xcc\xa3", "ab", "=", "\xe4\xb8\xad",
                                         "a'", "\xf0\x9f\x98\x80", "the ", "<", "1" };
    const size_t size = 1 << 18;
    char *text = malloc(size + 16), path[256];

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        linnet_tokenizer *t = NULL;
        snprintf(path, sizeof path, "tests/text/%s.json", kinds[i]);
        EXPECT_OK(linnet_tokenizer_open(path, NULL, &t, &test_error));
        for (size_t k = 0; k < sizeof units / sizeof *units; k++) {
            const size_t unit = strlen(units[k]);
            size_t n = 0;
            for (size_t at = 0; at < size; at += unit)
                memcpy(text + at, units[k], unit);
            EXPECT_OK(linnet_tokenizer_encode(t, text, size / unit * unit, 0, NULL, 0, &n, &test_error));
            EXPECT(n > 0 || strcmp(units[k], " ") == 0 || (uint8_t)units[k][0] == 0xcc);
        }
        linnet_tokenizer_free(t);
    }
    free(text);
}
