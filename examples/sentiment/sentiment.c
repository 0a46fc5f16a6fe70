/*
 * sentiment.c - does a sentence speak well or badly of something? A GRU reads it word by word; its labels and its
 * vocabulary are in the metadata of the model. train.py beside this file made it.
 */
#include "../example.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: sentiment MODEL SENTENCE...\n"
    "       sentiment MODEL --eval FILE\n"
    "  For instance:\n"
    "      sentiment examples/sentiment/sentiment.lnt \"The plot was hardly a masterpiece, but I loved it.\"\n"
    "  --eval FILE   lines of label, tab, sentence: prints the share that is right, and with --show what is wrong\n";

enum { WORDS = 256 }; /* of a sentence; what follows is not read */

typedef struct reader {
    linnet_session *session;
    lines           labels, vocabulary;
    int64_t         word[WORDS];
    int             tell; /* 1: print words that are not in the vocabulary */
} reader;

static void open_reader(reader *r, const char *path)
{
    linnet_model *m;

    r->session = open_session(path, &m);
    const char *labels = linnet_model_meta(m, "labels"), *vocabulary = linnet_model_meta(m, "vocabulary");
    if (!labels || !vocabulary)
        fail("%s: has no labels or no vocabulary", path);
    r->labels = lines_of(labels);
    r->vocabulary = lines_of(vocabulary);
    linnet_model_free(m);
}

/* The next word, in lower case, or a sign: a comma, or a full stop for all that ends a clause. */
static size_t next_word(const char **text, char word[32])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz'", stops[] = ".!?;:";
    const char *p = *text;
    size_t n = 0;

    for (; *p && n < 31; p++) {
        const char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        if (strchr(letters, c))
            word[n++] = c;
        else if (n)
            break;
        else if (c == ',' || strchr(stops, c)) {
            word[n++] = c == ',' ? ',' : '.';
            p++;
            break;
        } else if (strncmp(p, "\xE2\x80\x99", 3) == 0) { /* a printer's apostrophe */
            word[n++] = '\'';
            p += 2;
        }
    }
    word[n] = '\0';
    *text = p;
    return n;
}

/* Words to numbers; the model has learnt word 0 as the one it does not know. */
static size_t read_words(reader *r, const char *text)
{
    char word[32];
    size_t count = 0, n;

    while (count < WORDS && (n = next_word(&text, word)) != 0) {
        const size_t found = lines_find(&r->vocabulary, word, n);
        r->word[count++] = found < r->vocabulary.count ? (int64_t)found : 0;
        if (r->tell && found == r->vocabulary.count && strcmp(word, ".") != 0)
            printf("(not known: %s) ", word);
    }
    while (count && strchr(".,", *r->vocabulary.line[r->word[count - 1]])) /* at the end they say nothing */
        count--;
    return count;
}

/* The label's number; *p is its probability. */
static size_t judge(reader *r, const char *text, float *p)
{
    const int64_t dims[] = { (int64_t)read_words(r, text), 1 };
    size_t best = 0;

    if (dims[0] == 0)
        fail("a sentence without words: \"%s\"", text);
    set_input(r->session, 0, LINNET_I64, 2, dims, r->word);
    run(r->session);
    const linnet_tensor *y = linnet_session_output(r->session, 0);
    const float *share = linnet_tensor_data(y);
    for (size_t i = 1; i < linnet_tensor_count(y); i++)
        best = share[i] > share[best] ? i : best;
    *p = share[best];
    return best;
}

static void evaluate(reader *r, const char *path, int show)
{
    lines l = lines_read(path);
    size_t right = 0;
    float p;

    const double start = seconds();
    for (size_t i = 0; i < l.count; i++) {
        const size_t length = strcspn(l.line[i], "\t"), label = lines_find(&r->labels, l.line[i], length);
        if (!l.line[i][length] || label == r->labels.count)
            fail("%s: line %zu is not a label, a tab and a sentence", path, i + 1);
        const size_t found = judge(r, l.line[i] + length + 1, &p);
        right += found == label;
        if (show && found != label)
            printf("%s, not %s\n", r->labels.line[found], l.line[i]);
    }
    const double took = seconds() - start;
    printf("%zu sentences: %zu right, %.2f %%; %.0f sentences per second\n", l.count, right,
           100.0 * (double)right / (double)(l.count ? l.count : 1), (double)l.count / took);
    lines_free(&l);
}

int main(int argc, char **argv)
{
    static reader r;
    const char *model = NULL, *eval = NULL;
    int show = 0, i = 1;

    for (; i < argc && (!model || strncmp(argv[i], "--", 2) == 0); i++) {
        if (strcmp(argv[i], "--eval") == 0 && i + 1 < argc)
            eval = argv[++i];
        else if (strcmp(argv[i], "--show") == 0)
            show = 1;
        else if (argv[i][0] != '-')
            model = argv[i];
        else
            usage(help, strcmp(argv[i], "--help") != 0);
    }
    if (!model || (i == argc && !eval))
        usage(help, 1);
    open_reader(&r, model);
    r.tell = !eval;
    for (float p; i < argc; i++) {
        const size_t label = judge(&r, argv[i], &p);
        printf("%-8s %5.1f %%  %s\n", r.labels.line[label], 100 * (double)p, argv[i]);
    }
    if (eval)
        evaluate(&r, eval, show);
    linnet_session_free(r.session);
    lines_free(&r.labels);
    lines_free(&r.vocabulary);
    return 0;
}
