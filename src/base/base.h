/*
 * base.h - what every other file may use: checked sizes, errors, memory, bytes.
 *
 * Size arithmetic on anything that a file or a caller can influence goes through
 * ln_mul() and ln_add(); both say whether the result is exact, and the compiler
 * warns where the answer is ignored.
 */
#ifndef LN_BASE_H
#define LN_BASE_H

#include "linnet.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LN_MIN(a, b)   ((a) < (b) ? (a) : (b))
#define LN_MAX(a, b)   ((a) > (b) ? (a) : (b))
#define LN_COUNT(a)    (sizeof(a) / sizeof((a)[0]))
#define LN_UNUSED(x)   ((void)(x))
#define LN_ALIGN       64u /* every buffer of the library starts on a cache line */

#if defined(__GNUC__) || defined(__clang__)
#  define LN_MUST_USE     __attribute__((warn_unused_result))
#  define LN_FORMAT(f, a) __attribute__((format(printf, f, a)))
#else
#  define LN_MUST_USE
#  define LN_FORMAT(f, a)
#endif

/* *out = a * b and true, or false where the product does not fit size_t. */
LN_MUST_USE static inline bool ln_mul(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
    return true;
}

/* *out = a + b and true, or false where the sum does not fit size_t. */
LN_MUST_USE static inline bool ln_add(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

/* *out = size rounded up to a multiple of `align`, a power of two. */
LN_MUST_USE static inline bool ln_align_up(size_t size, size_t align, size_t *out)
{
    if (size > SIZE_MAX - (align - 1))
        return false;
    *out = (size + align - 1) & ~(align - 1);
    return true;
}

/* Signed 64-bit versions, for shapes. */
LN_MUST_USE static inline bool ln_mul64(int64_t a, int64_t b, int64_t *out)
{
    if (a == 0 || b == 0) {
        *out = 0;
        return true;
    }
    if ((a == -1 && b == INT64_MIN) || (b == -1 && a == INT64_MIN))
        return false;
    if (a > 0 ? (b > 0 ? a > INT64_MAX / b : b < INT64_MIN / a)
              : (b > 0 ? a < INT64_MIN / b : a < INT64_MAX / b))
        return false;
    *out = a * b;
    return true;
}

LN_MUST_USE static inline bool ln_add64(int64_t a, int64_t b, int64_t *out)
{
    if (b > 0 ? a > INT64_MAX - b : a < INT64_MIN - b)
        return false;
    *out = a + b;
    return true;
}

/* ceil(a / b) for b > 0; cannot wrap. */
static inline size_t ln_ceil_div(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

/*
 * Write `code` and one sentence to *err (NULL: nowhere) and return `code`.
 * Knows %s %d %u %c %x %zu %lld %llu %g and %%; nothing else. Truncates, never
 * overruns.
 */
linnet_status ln_fail(linnet_error *err, linnet_status code, const char *fmt, ...) LN_FORMAT(3, 4);

/* As snprintf, with the same small set of conversions; returns the length written. */
size_t ln_print(char *out, size_t size, const char *fmt, ...) LN_FORMAT(3, 4);

/* ---- memory ------------------------------------------------------------ */

/* The allocator of `opt`, or malloc and free. */
linnet_allocator ln_allocator(const linnet_options *opt);

/* Zeroed, LN_ALIGN-aligned memory, or NULL. size 0 gives NULL. */
void *ln_alloc(const linnet_allocator *a, size_t size);
void  ln_free(const linnet_allocator *a, void *p, size_t size);
/* True where memory costs nothing until it is touched. */
bool  ln_alloc_is_lazy(const linnet_allocator *a);

/*
 * The pages inside [p, p + size) of a file mapping that nobody writes to are not wanted for now: the
 * system may take their memory, and reads them again on the next touch. Advice alone.
 */
void ln_pages_drop(const void *p, size_t size);

/*
 * [p, p + size) is the end of a block of an allocator that is lazy, and was not written to: memory that the system
 * gave it nevertheless, as the rest of a large page, goes back.
 */
void ln_pages_trim(void *p, size_t size);

/*
 * A bump arena: many small allocations that die together. Either it grows by
 * chunks taken from an allocator, or it lives in fixed memory and says no when
 * that is full. Everything it gives is zeroed.
 */
typedef struct ln_chunk ln_chunk;
typedef struct ln_arena {
    linnet_allocator alloc;
    ln_chunk        *chunk;  /* newest first */
    char            *base;   /* of the chunk in use, or the fixed memory */
    size_t           used, size;
    size_t           total;  /* bytes handed out, padding included */
    size_t           limit;  /* most bytes that may be handed out */
    bool             fixed;
    struct ln_arena *below;  /* takes from the end of this fixed arena's free memory */
} ln_arena;

void  ln_arena_init(ln_arena *a, const linnet_allocator *alloc, size_t limit);
void  ln_arena_init_fixed(ln_arena *a, void *memory, size_t size);
/* An arena growing downwards from the end of a fixed one; freeing it gives the memory back. */
void  ln_arena_init_top(ln_arena *a, ln_arena *below);
void *ln_arena_alloc(ln_arena *a, size_t count, size_t size); /* aligned to 16; NULL: full */
void *ln_arena_copy(ln_arena *a, const void *data, size_t size);
char *ln_arena_string(ln_arena *a, const char *s, size_t length); /* adds the NUL */
void  ln_arena_free(ln_arena *a);

/*
 * A typed vector in an arena: `items` grows by doubling. Returns the new
 * zeroed item, or NULL.
 */
void *ln_grow(ln_arena *a, void **items, size_t *count, size_t *capacity, size_t size);

/* ---- bounds-checked reading of untrusted bytes --------------------------- */

/*
 * A cursor over bytes that nobody vouches for. Every get checks first; after a
 * failed get the cursor is `bad` and every later get fails too, so a sequence
 * of gets needs one test at its end. `base` lets messages name file offsets.
 */
typedef struct ln_cursor {
    const uint8_t *data;
    size_t         size, at, base;
    bool           bad;
} ln_cursor;

static inline ln_cursor ln_cursor_over(const void *data, size_t size)
{
    ln_cursor c = { (const uint8_t *)data, size, 0, 0, false };
    return c;
}
static inline size_t ln_cursor_left(const ln_cursor *c) { return c->bad ? 0 : c->size - c->at; }

/* `size` bytes at the cursor, which moves behind them; NULL: not there. */
const uint8_t *ln_cursor_bytes(ln_cursor *c, size_t size);
uint8_t        ln_cursor_u8(ln_cursor *c);
uint32_t       ln_cursor_u32(ln_cursor *c); /* little-endian, any alignment */
uint64_t       ln_cursor_u64(ln_cursor *c);
ln_cursor      ln_cursor_sub(ln_cursor *c, size_t size); /* the next `size` bytes as a cursor */

static inline uint16_t ln_le16(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint16_t)(b[0] | b[1] << 8);
}
static inline uint32_t ln_le32(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static inline uint64_t ln_le64(const void *p)
{
    return (uint64_t)ln_le32(p) | (uint64_t)ln_le32((const uint8_t *)p + 4) << 32;
}

/* Bytes of the well-formed sequence at s of `left` > 0 bytes, 0 where there is none; *code is its character. */
size_t ln_utf8_next(const uint8_t *s, size_t left, uint32_t *code);
/* A name of `length` bytes that is fit to print: UTF-8, no control characters. */
bool ln_utf8_ok(const char *s, size_t length);
/* A text: as above, but tabs, line ends and the like are allowed. No NUL. */
bool ln_text_ok(const char *s, size_t length);

uint32_t ln_crc32c(uint32_t crc, const void *data, size_t size); /* start with 0 */
/* The checksum of bytes of a file mapping that are not likely to be wanted soon: their pages go back. */
uint32_t ln_crc32c_aside(const void *data, size_t size);

/* ---- number formats ------------------------------------------------------ */

float    ln_f16_to_f32(uint16_t h);
uint16_t ln_f32_to_f16(float f);  /* round to nearest, ties to even; keeps NaN */
float    ln_bf16_to_f32(uint16_t h);
uint16_t ln_f32_to_bf16(float f); /* round to nearest, ties to even; keeps NaN */

/* float -> integer without undefined behaviour: NaN gives 0, the rest saturates. */
int64_t ln_f2i_sat(double v, int64_t lo, int64_t hi);

#endif
