/*
 * json.c - the JSON reader. No recursion: open arrays and objects are on a stack of fixed depth.
 */
#include "json.h"
#include "table.h"
#include "unicode.h"

#include <math.h>

#define JSON_ALIKE 64 /* keys of one object that may have one hash */

typedef struct json_file {
    const uint8_t *data;
    size_t         size, at;
    ln_arena      *arena;
    ln_json       *value;
    size_t         count, most;
    uint32_t       open[LN_JSON_DEPTH]; /* places of the values that are not closed yet */
    size_t         depth;
    ln_table         keys; /* object, hash -> place of the key */
    linnet_error  *err;
} json_file;

static linnet_status json_bad(const json_file *f, const char *what)
{
    return ln_fail(f->err, LINNET_ERR_FORMAT, "json: %s at byte %zu", what, f->at);
}

/* The next character that is no space, without taking it; 0 at the end. */
static uint8_t json_peek(json_file *f)
{
    while (f->at < f->size && (f->data[f->at] == ' ' || f->data[f->at] == '\t' || f->data[f->at] == '\n' ||
                               f->data[f->at] == '\r'))
        f->at++;
    return f->at < f->size ? f->data[f->at] : 0;
}

static bool json_take(json_file *f, char want)
{
    if (json_peek(f) != (uint8_t)want || f->at == f->size)
        return false;
    f->at++;
    return true;
}

/* ---- strings ------------------------------------------------------------------------- */

static bool json_hex4(json_file *f, uint32_t *out)
{
    uint32_t v = 0;

    if (f->size - f->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        const uint8_t d = f->data[f->at++];
        if (d >= '0' && d <= '9')
            v = v << 4 | (uint32_t)(d - '0');
        else if ((d | 32) >= 'a' && (d | 32) <= 'f')
            v = v << 4 | (uint32_t)((d | 32) - 'a' + 10);
        else
            return false;
    }
    *out = v;
    return true;
}

/* What follows a backslash, as UTF-8 at out; its length, 0 where it is malformed. */
static size_t json_escape(json_file *f, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const uint8_t d = f->at < f->size ? f->data[f->at++] : 0;
    const char *known = d ? strchr(from, d) : NULL;
    uint32_t u, low;

    if (known) {
        out[0] = to[known - from];
        return 1;
    }
    if (d != 'u' || !json_hex4(f, &u) || (u >= 0xdc00 && u < 0xe000))
        return 0;
    if (u >= 0xd800 && u < 0xdc00) { /* the first of two halves */
        if (f->size - f->at < 2 || f->data[f->at] != '\\' || f->data[f->at + 1] != 'u')
            return 0;
        f->at += 2;
        if (!json_hex4(f, &low) || low < 0xdc00 || low > 0xdfff)
            return 0;
        u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
    }
    return ln_utf8_put(out, u);
}

/* Text up to the closing quote: in place where there is no escape, else decoded into the arena. */
static linnet_status json_text(json_file *f, ln_json *v)
{
    const size_t start = f->at;
    size_t end = start, n = 0, more;
    bool plain = true;
    uint32_t code;

    while (end < f->size && f->data[end] != '"') {
        plain = plain && f->data[end] != '\\';
        end += f->data[end] == '\\' ? 2 : 1;
    }
    if (end >= f->size)
        return json_bad(f, "string without an end");
    char *text = plain ? NULL : ln_arena_alloc(f->arena, end - start, 1); /* escapes only shorten */
    if (!plain && !text)
        return ln_fail(f->err, LINNET_ERR_MEMORY, "json: out of memory for a string of %zu bytes", end - start);
    while (f->at < end) {
        const uint8_t d = f->data[f->at];
        if (d == '\\') {
            f->at++;
            more = json_escape(f, text + n);
        } else {
            more = d < 0x20 ? 0 : ln_utf8_next(f->data + f->at, end - f->at, &code);
            if (text && more)
                memcpy(text + n, f->data + f->at, more);
            f->at += more;
        }
        if (more == 0)
            return json_bad(f, "malformed string");
        n += more;
    }
    v->text = text ? text : (const char *)f->data + start;
    v->size = (uint32_t)n;
    f->at = end + 1;
    return LINNET_OK;
}

/* ---- values -------------------------------------------------------------------------- */

static size_t json_digits(json_file *f)
{
    size_t n = 0;

    for (; f->at < f->size && f->data[f->at] >= '0' && f->data[f->at] <= '9'; n++)
        f->at++;
    return n;
}

static linnet_status json_digit_run(json_file *f, ln_json *v)
{
    const size_t start = f->at;

    v->kind = LN_JSON_NUMBER;
    f->at += f->data[f->at] == '-';
    const bool zero = f->at < f->size && f->data[f->at] == '0';
    const size_t whole = json_digits(f);
    bool good = whole == 1 || (whole > 1 && !zero);
    if (good && f->at < f->size && f->data[f->at] == '.') {
        f->at++;
        good = json_digits(f) > 0;
    }
    if (good && f->at < f->size && (f->data[f->at] | 32) == 'e') {
        f->at++;
        f->at += f->at < f->size && (f->data[f->at] == '+' || f->data[f->at] == '-');
        good = json_digits(f) > 0;
    }
    v->text = (const char *)f->data + start;
    v->size = (uint32_t)(f->at - start);
    return good ? LINNET_OK : json_bad(f, "malformed number");
}

static linnet_status json_word(json_file *f, ln_json *v)
{
    static const struct { const char *text; uint8_t kind; } words[] = {
        { "null", LN_JSON_NULL }, { "false", LN_JSON_FALSE }, { "true", LN_JSON_TRUE },
    };
    for (size_t i = 0; i < LN_COUNT(words); i++) {
        const size_t n = strlen(words[i].text);
        if (f->size - f->at >= n && memcmp(f->data + f->at, words[i].text, n) == 0) {
            f->at += n;
            v->kind = words[i].kind;
            return LINNET_OK;
        }
    }
    return json_bad(f, "no value");
}

static ln_json *json_new(json_file *f)
{
    ln_json *v = f->count < f->most ? &f->value[f->count++] : NULL;

    if (v)
        v->span = 1;
    return v;
}

/* One value; an array or object is only opened. */
static linnet_status json_value(json_file *f)
{
    const uint8_t c = json_peek(f);
    ln_json *v = json_new(f);

    if (!v)
        return json_bad(f, "more values than the text can have");
    if (c == '"') {
        f->at++;
        v->kind = LN_JSON_STRING;
        return json_text(f, v);
    }
    if (c == '-' || (c >= '0' && c <= '9'))
        return json_digit_run(f, v);
    if (c != '[' && c != '{')
        return json_word(f, v);
    if (f->depth == LN_JSON_DEPTH)
        return json_bad(f, "too deeply nested");
    f->at++;
    v->kind = c == '[' ? LN_JSON_ARRAY : LN_JSON_OBJECT;
    f->open[f->depth++] = (uint32_t)(f->count - 1);
    return LINNET_OK;
}

/* Remember the key, and refuse it where its object has it already. */
static linnet_status json_once(json_file *f, uint32_t object, uint32_t place)
{
    const ln_json *key = &f->value[place];
    uint32_t hash = 2166136261u;

    for (uint32_t i = 0; i < key->size; i++)
        hash = (hash ^ (uint8_t)key->text[i]) * 16777619u;
    for (int i = 0; i < JSON_ALIKE; i++, hash++) {
        const uint32_t other = ln_table_get(&f->keys, object, hash);
        if (other == LN_TABLE_NONE)
            return ln_table_put(&f->keys, object, hash, place)
                       ? LINNET_OK
                       : ln_fail(f->err, LINNET_ERR_MEMORY, "json: no memory for the keys of an object");
        const ln_json *o = &f->value[other];
        if (o->size == key->size && memcmp(o->text, key->text, key->size) == 0)
            return json_bad(f, "repeated key");
    }
    return ln_fail(f->err, LINNET_ERR_LIMIT, "json: too many keys with one hash at byte %zu", f->at);
}

static linnet_status json_member_key(json_file *f)
{
    const uint32_t object = f->open[f->depth - 1], place = (uint32_t)f->count;

    if (f->value[object].kind != LN_JSON_OBJECT)
        return LINNET_OK;
    if (json_peek(f) != '"')
        return json_bad(f, "no key");
    linnet_status st = json_value(f);
    if (!st)
        st = json_once(f, object, place);
    return st ? st : json_take(f, ':') ? LINNET_OK : json_bad(f, "no colon");
}

/* True where the innermost array or object ends here. */
static bool json_closed(json_file *f)
{
    ln_json *v = &f->value[f->open[f->depth - 1]];

    if (!json_take(f, v->kind == LN_JSON_ARRAY ? ']' : '}'))
        return false;
    v->span = (uint32_t)(f->value + f->count - v);
    f->depth--;
    return true;
}

static linnet_status json_document(json_file *f)
{
    for (;;) {
        const size_t depth = f->depth;
        linnet_status st = depth ? json_member_key(f) : LINNET_OK;
        if (!st)
            st = json_value(f);
        if (st)
            return st;
        if (f->depth > depth && !json_closed(f))
            continue; /* its first item */
        while (f->depth > 0 && !json_take(f, ','))
            if (!json_closed(f))
                return json_bad(f, "no comma, and no end of an array or object");
        if (f->depth == 0)
            break;
    }
    return json_peek(f) == 0 && f->at == f->size ? LINNET_OK : json_bad(f, "bytes behind the value");
}

linnet_status ln_json_read(const void *data, size_t size, ln_arena *arena, const ln_json **out, linnet_error *err)
{
    json_file f = { .data = data, .size = size, .arena = arena, .most = 1, .err = err };

    if (size >= UINT32_MAX / 2)
        return ln_fail(err, LINNET_ERR_LIMIT, "json: %zu bytes are too many", size);
    for (size_t i = 0; i < size; i++) /* each value but the first comes behind one of these */
        f.most += f.data[i] == ',' || f.data[i] == ':' || f.data[i] == '[' || f.data[i] == '{';
    f.value = ln_arena_alloc(arena, f.most, sizeof *f.value);
    if (!f.value)
        return ln_fail(err, LINNET_ERR_MEMORY, "json: no memory for %zu values", f.most);
    ln_table_init(&f.keys, &arena->alloc);
    const linnet_status st = json_document(&f);
    ln_table_free(&f.keys);
    *out = f.value;
    return st;
}

/* ---- looking into it ------------------------------------------------------------------- */

const ln_json *ln_json_first(const ln_json *v)
{
    if (!v || v->span == 1 || (v->kind != LN_JSON_ARRAY && v->kind != LN_JSON_OBJECT))
        return NULL;
    return v->kind == LN_JSON_OBJECT ? v + 2 : v + 1;
}

const ln_json *ln_json_next(const ln_json *v, const ln_json *c)
{
    c += c->span;
    return c == v + v->span ? NULL : v->kind == LN_JSON_OBJECT ? c + 1 : c;
}

bool ln_json_is(const ln_json *v, const char *text)
{
    return v && v->kind == LN_JSON_STRING && v->size == strlen(text) && memcmp(v->text, text, v->size) == 0;
}

const ln_json *ln_json_get(const ln_json *v, const char *key)
{
    if (!v || v->kind != LN_JSON_OBJECT)
        return NULL;
    for (const ln_json *c = ln_json_first(v); c; c = ln_json_next(v, c))
        if (ln_json_is(ln_json_key(c), key))
            return c;
    return NULL;
}

bool ln_json_true(const ln_json *v, bool otherwise)
{
    return v && (v->kind == LN_JSON_TRUE || v->kind == LN_JSON_FALSE) ? v->kind == LN_JSON_TRUE : otherwise;
}

bool ln_json_string(const ln_json *v, const char **text, size_t *size)
{
    if (!v || v->kind != LN_JSON_STRING)
        return false;
    *text = v->text;
    *size = v->size;
    return true;
}

bool ln_json_whole(const ln_json *v, int64_t low, int64_t high, int64_t *out)
{
    int64_t n = 0;

    if (!v || v->kind != LN_JSON_NUMBER)
        return false;
    for (uint32_t i = v->text[0] == '-'; i < v->size; i++)
        if (v->text[i] < '0' || v->text[i] > '9' || !ln_mul64(n, 10, &n) || !ln_add64(n, v->text[i] - '0', &n))
            return false;
    n = v->text[0] == '-' ? -n : n;
    if (n < low || n > high)
        return false;
    *out = n;
    return true;
}

/* n * 10^e, e in [-400, 400], in two doubles while that is exact enough: rounded once. */
static double json_scale(uint64_t n, int e)
{
    const double high = (double)(n & ~(uint64_t)0x7ff), low = (double)(n & 0x7ff);
    double p = 1;

    if (e >= 0 || e < -22) { /* rare: a few units in the last place */
        return e >= -300 ? (high + low) * pow(10, e) : (high + low) * 1e-300 * pow(10, e + 300);
    }
    for (int i = 0; i < -e; i++)
        p *= 10; /* exact up to 10^22 */
    const double q = high / p;
    return q + (fma(-q, p, high) + low) / p;
}

bool ln_json_number(const ln_json *v, double *out)
{
    uint64_t n = 0;
    int e = 0, shift = 0, sign = 1;
    bool point = false;
    uint32_t i;

    if (!v || v->kind != LN_JSON_NUMBER)
        return false;
    for (i = v->text[0] == '-'; i < v->size && (v->text[i] | 32) != 'e'; i++) {
        if (v->text[i] == '.') {
            point = true;
        } else if (n < UINT64_MAX / 10 - 1) {
            n = n * 10 + (uint64_t)(v->text[i] - '0');
            shift -= point && shift > -1000;
        } else { /* digits that no double can hold */
            shift += !point && shift < 1000;
        }
    }
    if (i + 1 < v->size && (v->text[i + 1] == '-' || v->text[i + 1] == '+')) {
        sign = v->text[i + 1] == '-' ? -1 : 1;
        i++;
    }
    for (i++; i < v->size; i++)
        e = e < 10000 ? e * 10 + (v->text[i] - '0') : e;
    e = sign * e + shift;
    const double d = n == 0 || e < -400 ? 0 : e > 400 ? INFINITY : json_scale(n, e);
    *out = v->text[0] == '-' ? -d : d;
    return d < INFINITY;
}

#undef JSON_ALIKE
