/*
 * json.h - JSON documents that nobody vouches for, read whole into one array of values.
 *
 * A value is followed by what is in it; `span` says how many values that is with itself. So the
 * first child of v is v + 1, what follows v is v + v->span, and an object's children are a key,
 * its value, a key, its value.
 */
#ifndef LN_JSON_H
#define LN_JSON_H

#include "../base/base.h"

enum ln_json_kind {
    LN_JSON_NULL, LN_JSON_FALSE, LN_JSON_TRUE, LN_JSON_NUMBER, LN_JSON_STRING, LN_JSON_ARRAY, LN_JSON_OBJECT
};

typedef struct ln_json {
    const char *text; /* of a string, decoded, and of a number as written; not NUL-terminated */
    uint32_t    size, span;
    uint8_t     kind;
} ln_json;

#define LN_JSON_DEPTH 64 /* arrays and objects inside each other */

/* Strict RFC 8259 in UTF-8: no repeated keys, no lone surrogates, nothing behind the value. The bytes must
 * stay while the document is used; the rest is in the arena. */
linnet_status ln_json_read(const void *data, size_t size, ln_arena *arena, const ln_json **out, linnet_error *err);

/* The member `key` of an object; NULL where there is none, or v is no object or NULL. */
const ln_json *ln_json_get(const ln_json *v, const char *key);
/* Children one by one: the first of v and the one behind c, NULL at the end. In objects only values. */
const ln_json *ln_json_first(const ln_json *v);
const ln_json *ln_json_next(const ln_json *v, const ln_json *c);
/* The key of a value that came from ln_json_first() or _next() of an object. */
static inline const ln_json *ln_json_key(const ln_json *c) { return c - 1; }

bool ln_json_is(const ln_json *v, const char *text);   /* a string, and this one */
bool ln_json_true(const ln_json *v, bool otherwise);   /* of what is no boolean: `otherwise` */
bool ln_json_string(const ln_json *v, const char **text, size_t *size);
bool ln_json_number(const ln_json *v, double *out);    /* finite */
bool ln_json_whole(const ln_json *v, int64_t low, int64_t high, int64_t *out); /* written without . and e */

#endif
