/*
 * split.c - pre-tokenisers: text to parts.
 *
 * The regular expressions of GPT-2 and its followers are written out by hand as functions that say how
 * long the match at a place is.
 */
#include "token.h"

void ln_text_parts_put(ln_text_parts *p, const char *s, size_t size, bool first)
{
    ln_text_part *part = p->full || size == 0 ? NULL
                                         : ln_grow(p->arena, (void **)&p->part, &p->count, &p->room, sizeof *part);
    if (part)
        *part = (ln_text_part){ s, size, first };
    else
        p->full = p->full || size > 0;
}

/* ---- matches and what becomes of them ------------------------------------------------------ */

typedef struct split_state {
    const ln_text_part *in;
    ln_text_parts      *out;
    size_t         base; /* parts before those of `in` */
    int            behaviour;
    bool           last; /* what came before was a match */
} split_state;

static void split_emit(split_state *s, size_t from, size_t end, bool match)
{
    const bool any = s->out->count > s->base;
    bool more = false; /* joined to the part before */

    if (s->behaviour == LN_MERGED_WITH_PREVIOUS)
        more = any && match && !s->last;
    else if (s->behaviour == LN_MERGED_WITH_NEXT)
        more = any && !match && s->last;
    else if (s->behaviour == LN_CONTIGUOUS)
        more = any && match == s->last;
    if (more && !s->out->full)
        s->out->part[s->out->count - 1].size += end - from;
    else if (s->behaviour != LN_REMOVED || !match)
        ln_text_parts_put(s->out, s->in->s + from, end - from, s->in->first && from == 0);
    s->last = match;
}

/* Every match of the step, and what is between. */
static void split_match(const ln_text_step *step, const ln_text_part *in, ln_text_parts *out)
{
    split_state s = { in, out, out->count, step->behaviour, false };
    size_t gap = 0, n;

    for (size_t at = 0; at < in->size;) {
        const size_t length = step->match(step, in->s, in->size, at);
        if (length == 0) {
            ln_utf8_at(in->s + at, &n);
            at += n;
            continue;
        }
        if (gap < at)
            split_emit(&s, gap, at, step->invert);
        split_emit(&s, at, at + length, !step->invert);
        gap = at += length;
    }
    if (gap < in->size)
        split_emit(&s, gap, in->size, step->invert);
}

/* ---- GPT's expressions ----------------------------------------------------------------------- */

typedef bool (*char_test)(uint32_t c);

static bool is_other(uint32_t c) { return !ln_is_space(c) && !ln_is_letter(c) && !ln_is_number(c); }

/* How far characters of the kind go from `at`, at most `most` of them. */
static size_t run_of(const char *s, size_t size, size_t at, char_test test, size_t most)
{
    for (size_t n; at < size && most > 0 && test(ln_utf8_at(s + at, &n)); most--)
        at += n;
    return at;
}

/* 's 't 're 've 'm 'll 'd at `at`: their length, or 0. */
static size_t contraction(const char *s, size_t size, size_t at, bool any_case)
{
    static const char *const known[] = { "s", "t", "re", "ve", "m", "ll", "d" };

    if (s[at] != '\'')
        return 0;
    for (size_t i = 0; i < LN_COUNT(known); i++) {
        const char *k = known[i];
        size_t from = at + 1, n;
        for (; *k && from < size; k++, from += n) {
            const uint32_t c = ln_utf8_at(s + from, &n);
            if (c != (uint32_t)*k && (!any_case || (c != (uint32_t)*k - 32 && !(c == 0x17f && *k == 's'))))
                break;
        }
        if (!*k)
            return from - at;
    }
    return 0;
}

/* \s+(?!\S)|\s+ from `at`, where there is white space: the last of it is left to a word behind. */
static size_t blanks(const char *s, size_t size, size_t at)
{
    const size_t end = run_of(s, size, at, ln_is_space, SIZE_MAX);
    size_t last = end;

    if (end == size)
        return end - at;
    do
        last--;
    while (((uint8_t)s[last] & 0xc0) == 0x80);
    return last > at ? last - at : end - at;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t match_gpt2(const ln_text_step *step, const char *s, size_t size, size_t at)
{
    static const char_test kinds[] = { ln_is_letter, ln_is_number, is_other };
    const size_t short_form = contraction(s, size, at, false), from = at + (s[at] == ' ');

    LN_UNUSED(step);
    if (short_form)
        return short_form;
    for (size_t i = 0; i < LN_COUNT(kinds); i++) {
        const size_t end = run_of(s, size, from, kinds[i], SIZE_MAX);
        if (end > from)
            return end - at;
    }
    return blanks(s, size, at);
}

static bool is_line_end(uint32_t c) { return c == '\r' || c == '\n'; }

/* \s*[\r\n]+ at `at`, or 0: white space up to the last line end in it. */
static size_t lines(const char *s, size_t size, size_t at)
{
    const size_t end = run_of(s, size, at, ln_is_space, SIZE_MAX);
    size_t last = end;

    while (last > at && !is_line_end((uint8_t)s[last - 1]))
        last--;
    return last - at;
}

/*
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,k}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
 * \s+(?!\S)|\s+ with k = step->number
 */
static size_t match_gpt4(const ln_text_step *step, const char *s, size_t size, size_t at)
{
    const size_t short_form = contraction(s, size, at, true);
    size_t n, end;

    if (short_form)
        return short_form;
    const uint32_t c = ln_utf8_at(s + at, &n);
    if (ln_is_number(c))
        return run_of(s, size, at, ln_is_number, (size_t)step->number) - at;
    const size_t from = ln_is_letter(c) || is_line_end(c) ? at : at + n; /* one character more may lead a word */
    if (!is_line_end(c) && (end = run_of(s, size, from, ln_is_letter, SIZE_MAX)) > from)
        return end - at;
    const size_t mark = at + (c == ' ');
    if ((end = run_of(s, size, mark, is_other, SIZE_MAX)) > mark)
        return run_of(s, size, end, is_line_end, SIZE_MAX) - at;
    n = lines(s, size, at);
    return n ? n : blanks(s, size, at);
}

/* 's|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+: CLIP's, which leaves white space out */
static size_t match_clip(const ln_text_step *step, const char *s, size_t size, size_t at)
{
    const size_t short_form = contraction(s, size, at, false);
    size_t end;

    LN_UNUSED(step);
    if (short_form)
        return short_form;
    if ((end = run_of(s, size, at, ln_is_letter, SIZE_MAX)) > at || (end = run_of(s, size, at, ln_is_number, 1)) > at)
        return end - at;
    return run_of(s, size, at, is_other, SIZE_MAX) - at;
}

static size_t match_text(const ln_text_step *step, const char *s, size_t size, size_t at)
{
    const bool here = step->a_size && size - at >= step->a_size && memcmp(s + at, step->a, step->a_size) == 0;

    return here ? step->a_size : 0;
}

static size_t match_char(const ln_text_step *step, const char *s, size_t size, size_t at)
{
    size_t n;

    LN_UNUSED(size);
    return step->test(ln_utf8_at(s + at, &n)) ? n : 0;
}

/* \s+ */
static size_t match_blanks(const ln_text_step *step, const char *s, size_t size, size_t at)
{
    LN_UNUSED(step);
    return run_of(s, size, at, ln_is_space, SIZE_MAX) - at;
}

/* ---- reading: Split, Punctuation, Digits ------------------------------------------------------- */

static linnet_status read_behaviour(const ln_json *v, ln_text_step *s, int otherwise, linnet_error *err)
{
    static const char *const names[] = { "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous" };

    s->behaviour = otherwise;
    s->split = split_match;
    if (!v)
        return LINNET_OK;
    for (size_t i = 0; i < LN_COUNT(names); i++)
        if (ln_json_is(v, names[i])) {
            s->behaviour = (int)i;
            return LINNET_OK;
        }
    return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: a split behavior that is not known");
}

#define GPT_WORDS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define GPT_REST  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static linnet_status read_split(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    static const struct {
        const char *regex;
        size_t    (*match)(const ln_text_step *, const char *, size_t, size_t);
        int64_t     number;
    } known[] = {
        { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", match_gpt2, 0 },
        { GPT_WORDS "\\p{N}{1,3}" GPT_REST, match_gpt4, 3 },
        { GPT_WORDS "\\p{N}" GPT_REST, match_gpt4, 1 },
        { GPT_WORDS "\\p{N}+" GPT_REST, match_gpt4, INT64_MAX },
        { "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+", match_clip, 0 },
        { "\\s+", match_blanks, 0 },
    };
    const ln_json *pattern = ln_json_get(v, "pattern"), *regex = ln_json_get(pattern, "Regex");

    s->invert = ln_json_true(ln_json_get(v, "invert"), false);
    for (size_t i = 0; regex && i < LN_COUNT(known); i++)
        if (ln_json_is(regex, known[i].regex)) {
            s->match = known[i].match;
            s->number = known[i].number;
        }
    if (regex && !s->match)
        return ln_fail(err, LINNET_ERR_UNSUPPORTED, "tokenizer: Split by a regular expression that is not known here");
    if (!regex && (!ln_json_string(ln_json_get(pattern, "String"), &s->a, &s->a_size) || s->a_size > LN_PIECE_MOST))
        return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: Split without a pattern");
    s->match = regex ? s->match : match_text;
    return read_behaviour(ln_json_get(v, "behavior"), s, LN_ISOLATED, err);
}

#undef GPT_WORDS
#undef GPT_REST

static linnet_status read_punctuation(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    s->match = match_char;
    s->test = ln_is_punctuation;
    return read_behaviour(ln_json_get(v, "behavior"), s, LN_ISOLATED, err);
}

static linnet_status read_digits(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    const bool single = ln_json_true(ln_json_get(v, "individual_digits"), false);

    s->match = match_char;
    s->test = ln_is_number;
    return read_behaviour(NULL, s, single ? LN_ISOLATED : LN_CONTIGUOUS, err);
}

/* ---- words ----------------------------------------------------------------------------------------- */

enum split_class { SPLIT_DROP, SPLIT_SINGLE, SPLIT_WORD, SPLIT_OTHER };

/* Runs of one class; of SPLIT_SINGLE every character alone. */
static void split_runs(const ln_text_part *in, enum split_class (*class)(uint32_t c), ln_text_parts *out)
{
    enum split_class last = SPLIT_DROP;
    size_t from = 0, at = 0, n;

    for (; at < in->size; at += n) {
        const enum split_class k = class(ln_utf8_at(in->s + at, &n));
        if (k == last && k != SPLIT_SINGLE)
            continue;
        if (last != SPLIT_DROP)
            ln_text_parts_put(out, in->s + from, at - from, in->first && from == 0);
        from = at;
        last = k;
    }
    if (last != SPLIT_DROP)
        ln_text_parts_put(out, in->s + from, at - from, in->first && from == 0);
}

static enum split_class class_bert(uint32_t c)
{
    return ln_is_space(c) ? SPLIT_DROP : ln_is_punctuation(c) ? SPLIT_SINGLE : SPLIT_WORD;
}
static enum split_class class_words(uint32_t c)
{
    return ln_is_space(c) ? SPLIT_DROP : ln_is_word(c) ? SPLIT_WORD : SPLIT_OTHER;
}
static enum split_class class_spaces(uint32_t c) { return ln_is_space(c) ? SPLIT_DROP : SPLIT_WORD; }

static void split_bert(const ln_text_step *s, const ln_text_part *in, ln_text_parts *out)
{
    LN_UNUSED(s);
    split_runs(in, class_bert, out);
}
static void split_words(const ln_text_step *s, const ln_text_part *in, ln_text_parts *out)
{
    LN_UNUSED(s);
    split_runs(in, class_words, out);
}
static void split_spaces(const ln_text_step *s, const ln_text_part *in, ln_text_parts *out)
{
    LN_UNUSED(s);
    split_runs(in, class_spaces, out);
}

static linnet_status read_bert(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    LN_UNUSED(v);
    LN_UNUSED(err);
    s->split = split_bert;
    return LINNET_OK;
}
static linnet_status read_words(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    LN_UNUSED(v);
    LN_UNUSED(err);
    s->split = split_words;
    return LINNET_OK;
}
static linnet_status read_spaces(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    LN_UNUSED(v);
    LN_UNUSED(err);
    s->split = split_spaces;
    return LINNET_OK;
}

/* ---- those that change the text ------------------------------------------------------------------------ */

/* A copy with `lead` before it and every space as step->a (NULL: as it is). */
static ln_text_part split_copy(const ln_text_step *s, const ln_text_part *in, const char *lead, size_t lead_size,
                               ln_text_parts *out)
{
    ln_text t = { .arena = out->arena };

    ln_text_put(&t, lead, lead_size);
    for (size_t i = 0, n; i < in->size; i += n) {
        const bool space = s->a && in->s[i] == ' ';
        for (n = 1; !space && i + n < in->size && (!s->a || in->s[i + n] != ' ');)
            n++;
        ln_text_put(&t, space ? s->a : in->s + i, space ? s->a_size : n);
    }
    out->full = out->full || t.full;
    return (ln_text_part){ t.data, t.size, in->first };
}

static void split_byte_level(const ln_text_step *s, const ln_text_part *in, ln_text_parts *out)
{
    const bool lead = s->prefix && in->s[0] != ' ';
    const ln_text_part part = lead ? split_copy(s, in, " ", 1, out) : *in;

    if (s->match)
        split_match(s, &part, out);
    else
        ln_text_parts_put(out, part.s, part.size, part.first);
}

static linnet_status read_byte_level(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    LN_UNUSED(err);
    s->prefix = ln_json_true(ln_json_get(v, "add_prefix_space"), true);
    s->match = ln_json_true(ln_json_get(v, "use_regex"), true) ? match_gpt2 : NULL;
    s->behaviour = LN_ISOLATED;
    s->bytes = true;
    s->split = split_byte_level;
    return LINNET_OK;
}

static void split_metaspace(const ln_text_step *s, const ln_text_part *in, ln_text_parts *out)
{
    const bool has = in->s[0] == ' ' || (in->size >= s->a_size && memcmp(in->s, s->a, s->a_size) == 0);
    const bool lead = !has && (s->number == 2 || (s->number == 1 && in->first));
    const ln_text_part part = split_copy(s, in, s->a, lead ? s->a_size : 0, out);

    if (s->match)
        split_match(s, &part, out);
    else
        ln_text_parts_put(out, part.s, part.size, part.first);
}

static linnet_status read_metaspace(const ln_json *v, ln_text_step *s, linnet_error *err)
{
    const ln_json *scheme = ln_json_get(v, "prepend_scheme");
    const bool prefix = ln_json_true(ln_json_get(v, "add_prefix_space"), true);

    if (!ln_json_string(ln_json_get(v, "replacement"), &s->a, &s->a_size) || s->a_size == 0 || s->a_size > 4)
        return ln_fail(err, LINNET_ERR_FORMAT, "tokenizer: Metaspace without its replacement");
    s->number = ln_json_is(scheme, "never") ? 0 : ln_json_is(scheme, "first") ? 1 : scheme || prefix ? 2 : 0;
    s->match = ln_json_true(ln_json_get(v, "split"), true) ? match_text : NULL;
    s->behaviour = LN_MERGED_WITH_NEXT;
    s->split = split_metaspace;
    return LINNET_OK;
}

const ln_text_kind ln_splitters[] = {
    { "ByteLevel", read_byte_level }, { "Metaspace", read_metaspace }, { "BertPreTokenizer", read_bert },
    { "Whitespace", read_words }, { "WhitespaceSplit", read_spaces }, { "Split", read_split },
    { "Punctuation", read_punctuation }, { "Digits", read_digits }, { NULL, NULL },
};
