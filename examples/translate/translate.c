/*
 * translate.c - dates as people write them, in English, German or French, into ISO 8601. An encoder reads the text
 * once; a decoder with attention writes symbol by symbol, and beam search keeps the likeliest answers. train.py
 * beside this file made both.
 */
#include "../example.h"

#include <linnet_text.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: translate [--beams N] FOLDER TEXT...\n"
    "       translate [--beams N] FOLDER --eval FILE\n"
    "  FOLDER holds encoder.lnt and decoder.lnt. For instance:\n"
    "      translate examples/translate \"the twenty-first of June, nineteen eighty-four, at half past three in the "
    "afternoon\"\n"
    "  --beams N     hypotheses that are followed [4]\n"
    "  --eval FILE   lines of text, tab, answer: prints the share that is exact, and with --show what is not\n";

enum { PIECES = 256, LENGTH = 32, BEAMS = 16 }; /* the most that is read, written, followed */

typedef struct translator {
    linnet_session *encoder, *decoder;
    linnet_beam    *beam;
    lines           pieces, symbols;
    size_t          state, beams; /* numbers of a state; beams that are followed */
    float          *states;       /* of every beam */
    int64_t         piece[PIECES], symbol[BEAMS];
} translator;

static lines open_part(linnet_session **s, const char *folder, const char *name, const char *key)
{
    char path[4096];
    linnet_model *m;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    *s = open_session(path, &m);
    const char *text = linnet_model_meta(m, key);
    if (!text)
        fail("%s: has no %s", path, key);
    lines l = lines_of(text);
    linnet_model_free(m);
    return l;
}

static void open_translator(translator *t, const char *folder, uint32_t beams)
{
    const linnet_beam_options how = { .struct_size = sizeof how, .width = beams, .length = LENGTH };
    linnet_error err;

    t->pieces = open_part(&t->encoder, folder, "encoder.lnt", "pieces");
    t->symbols = open_part(&t->decoder, folder, "decoder.lnt", "symbols");
    t->beams = beams;
    check(linnet_beam_create(t->symbols.count, (int32_t)lines_find(&t->symbols, "<end>", 5), &how, NULL, &t->beam,
                             &err), "beam search", &err);
}

/* Lower case of ASCII and of the accented letters of Latin-1, in UTF-8. */
static void lower(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if ((*p >= 'A' && *p <= 'Z') || (p > (unsigned char *)text && p[-1] == 0xC3 && *p >= 0x80 && *p <= 0x9E))
            *p += 32;
}

/* The longest piece from the left, again and again; a byte that begins none is left out. */
static size_t split(translator *t, const char *text)
{
    char copy[1024];
    size_t count = 0;

    snprintf(copy, sizeof copy, "%s", text);
    lower(copy);
    for (const char *p = copy; *p && count < PIECES;) {
        size_t longest = 0;
        for (size_t i = 0; i < t->pieces.count; i++) {
            const size_t n = strlen(t->pieces.line[i]);
            if (n > longest && strncmp(p, t->pieces.line[i], n) == 0) {
                longest = n;
                t->piece[count] = (int64_t)i;
            }
        }
        count += longest > 0;
        p += longest ? longest : 1;
    }
    return count;
}

/* Run the encoder, and give the decoder what it looks at. */
static void read_text(translator *t, const char *text)
{
    const int64_t dims[] = { (int64_t)split(t, text), 1 };
    linnet_error err;

    if (dims[0] == 0)
        fail("nothing to translate in \"%s\"", text);
    set_input(t->encoder, 0, LINNET_I64, 2, dims, t->piece);
    run(t->encoder);
    for (size_t i = 0; i < 2; i++) /* memory and keys */
        check(linnet_session_set_input_tensor(t->decoder, 2 + i, linnet_session_output(t->encoder, i), &err),
              "decoder", &err);

    const linnet_tensor *first = linnet_session_output(t->encoder, 2);
    t->state = linnet_tensor_count(first);
    if (!t->states && !(t->states = malloc(BEAMS * t->state * sizeof *t->states)))
        fail("out of memory");
    for (size_t b = 0; b < t->beams; b++) {
        memcpy(t->states + b * t->state, linnet_tensor_data(first), t->state * sizeof *t->states);
        t->symbol[b] = (int64_t)lines_find(&t->symbols, "<start>", 7);
    }
}

/* One step for all beams; those that are not live compute something that nobody asks for. */
static void write_symbol(translator *t, size_t live)
{
    const int64_t beams = (int64_t)t->beams, state[] = { 1, beams, (int64_t)t->state };
    linnet_error err;

    set_input(t->decoder, 0, LINNET_I64, 2, (const int64_t[]){ 1, beams }, t->symbol);
    set_input(t->decoder, 1, LINNET_F32, 3, state, t->states);
    run(t->decoder);
    const float *scores = linnet_tensor_data(linnet_session_output(t->decoder, 0));
    const float *next = linnet_tensor_data(linnet_session_output(t->decoder, 1));
    check(linnet_beam_push(t->beam, scores, live, t->symbols.count, &err), "beam search", &err);
    for (size_t b = 0; b < linnet_beam_live(t->beam); b++) {
        memcpy(t->states + b * t->state, next + (size_t)linnet_beam_parent(t->beam, b) * t->state,
               t->state * sizeof *t->states);
        t->symbol[b] = linnet_beam_token(t->beam, b);
    }
}

/* The likeliest answer and the logarithm of its probability. */
static double translate(translator *t, const char *text, char answer[8 * LENGTH])
{
    int32_t token[LENGTH];
    size_t count, live = 1;
    linnet_error err;
    double score;

    linnet_beam_reset(t->beam);
    read_text(t, text);
    do
        write_symbol(t, live);
    while ((live = linnet_beam_live(t->beam)) != 0);
    check(linnet_beam_get(t->beam, 0, token, LENGTH, &count, &score, &err), "beam search", &err);
    *answer = '\0';
    for (size_t i = 0; i < count; i++)
        strncat(answer, t->symbols.line[token[i]], 7);
    return score;
}

static void evaluate(translator *t, const char *path, int show)
{
    lines l = lines_read(path);
    char answer[8 * LENGTH];
    size_t exact = 0;

    const double start = seconds();
    for (size_t i = 0; i < l.count; i++) {
        char *tab = strchr(l.line[i], '\t');
        if (!tab)
            fail("%s: line %zu is not a text, a tab and an answer", path, i + 1);
        *tab = '\0';
        translate(t, l.line[i], answer);
        const int same = strcmp(answer, tab + 1) == 0;
        exact += (size_t)same;
        if (show && !same)
            printf("%s: %s, not %s\n", l.line[i], answer, tab + 1);
    }
    const double took = seconds() - start;
    printf("%zu texts: %zu exact, %.2f %%; %.0f texts per second, %zu beams\n", l.count, exact,
           100.0 * (double)exact / (double)(l.count ? l.count : 1), (double)l.count / took, t->beams);
    lines_free(&l);
}

int main(int argc, char **argv)
{
    static translator t;
    const char *folder = NULL, *eval = NULL;
    char answer[8 * LENGTH];
    int show = 0, beams = 4, i = 1;

    for (; i < argc && (!folder || strncmp(argv[i], "--", 2) == 0); i++) {
        if (strcmp(argv[i], "--eval") == 0 && i + 1 < argc)
            eval = argv[++i];
        else if (strcmp(argv[i], "--beams") == 0 && i + 1 < argc)
            beams = atoi(argv[++i]);
        else if (strcmp(argv[i], "--show") == 0)
            show = 1;
        else if (argv[i][0] != '-')
            folder = argv[i];
        else
            usage(help, strcmp(argv[i], "--help") != 0);
    }
    if (!folder || (i == argc && !eval) || beams < 1 || beams > BEAMS)
        usage(help, 1);
    open_translator(&t, folder, (uint32_t)beams);
    for (; i < argc; i++) {
        const double score = translate(&t, argv[i], answer);
        printf("%-17s %5.1f %%  %s\n", answer, 100 * exp(score), argv[i]);
    }
    if (eval)
        evaluate(&t, eval, show);
    linnet_beam_free(t.beam);
    linnet_session_free(t.decoder);
    linnet_session_free(t.encoder);
    lines_free(&t.pieces);
    lines_free(&t.symbols);
    free(t.states);
    return 0;
}
