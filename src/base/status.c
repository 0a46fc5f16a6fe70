/*
 * status.c - status texts, the sentence of an error, and the small printf behind it.
 *
 * The library must work where there is no stdio, so messages are formatted here. Only the few
 * conversions that base.h names are known; a text that is too long is cut at a character.
 */
#include "base.h"

#include <math.h>
#include <stdarg.h>

const char *linnet_version(void)
{
#define STATUS_TEXT_(x) #x
#define STATUS_TEXT(x)  STATUS_TEXT_(x)
    return STATUS_TEXT(LINNET_VERSION_MAJOR) "." STATUS_TEXT(LINNET_VERSION_MINOR) "."
           STATUS_TEXT(LINNET_VERSION_PATCH);
#undef STATUS_TEXT
#undef STATUS_TEXT_
}

const char *linnet_status_string(linnet_status status)
{
    switch (status) {
#define STATUS_CASE(name, value, text) case LINNET_##name: return text;
        LINNET_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
    default: return "unknown status";
    }
}

void linnet_options_defaults(linnet_options *opt, size_t size)
{
    const linnet_options preset = {
        .struct_size = (uint32_t)LN_MIN(size, sizeof preset), .isa_mask = UINT32_MAX, .passes = UINT32_MAX
    };

    if (opt)
        memcpy(opt, &preset, preset.struct_size);
}

/* ---- printing ------------------------------------------------------------------- */

typedef struct print_to {
    char  *out;
    size_t size, used; /* used < size, room for the NUL is kept */
    bool   cut;
} print_to;

static void print_char(print_to *p, char c)
{
    if (p->used + 1 < p->size && !p->cut)
        p->out[p->used++] = c;
    else
        p->cut = true;
}

static void print_text(print_to *p, const char *s)
{
    for (s = s ? s : "(null)"; *s; s++)
        print_char(p, *s);
}

static void print_u64(print_to *p, uint64_t v, unsigned base)
{
    char digits[20];
    int n = 0;

    do
        digits[n++] = "0123456789abcdef"[v % base];
    while ((v /= base) != 0);
    while (n > 0)
        print_char(p, digits[--n]);
}

static void print_i64(print_to *p, int64_t v)
{
    if (v < 0)
        print_char(p, '-');
    print_u64(p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10);
}

/* v > 0 as d.ddd * 10^e with `digits` digits: *e and the digits as one integer. */
static uint64_t print_decimal(double v, int digits, int *e)
{
    uint64_t top = 1;
    int exponent = 0;

    for (int i = 1; i < digits; i++)
        top *= 10;
    if (v < 1e-280) { /* so that the powers below stay finite */
        v *= 1e100;
        exponent = -100;
    }
    const int scale = (int)floor(log10(v));
    double m = v / pow(10, scale) * (double)top;
    if (m + 0.5 < (double)top) { /* log10 was rounded up across a power of ten */
        exponent--;
        m *= 10;
    }
    uint64_t n = (uint64_t)(m + 0.5);
    if (n >= top * 10) {
        exponent++;
        n /= 10;
    }
    *e = exponent + scale;
    return n;
}

/* As %.<digits>g. */
static void print_double(print_to *p, double v, int digits)
{
    char text[18];
    int e = 0, n = digits;

    if (v != v) {
        print_text(p, "nan");
        return;
    }
    if (signbit(v)) {
        print_char(p, '-');
        v = -v;
    }
    if (v > 1.7976931348623157e308) {
        print_text(p, "inf");
        return;
    }
    uint64_t m = v > 0 ? print_decimal(v, digits, &e) : 0;
    for (int i = digits - 1; i >= 0; i--, m /= 10)
        text[i] = (char)('0' + m % 10);
    while (n > 1 && text[n - 1] == '0')
        n--;
    const bool science = e < -4 || e >= digits;
    const int point = science ? 1 : e + 1; /* digits before the point */

    if (point <= 0)
        print_text(p, "0.");
    for (int i = point; i < 0; i++)
        print_char(p, '0');
    for (int i = 0; i < n || i < point; i++) {
        if (i == point && i > 0)
            print_char(p, '.');
        print_char(p, i < n ? text[i] : '0');
    }
    if (science) {
        print_text(p, e < 0 ? "e-" : "e+");
        e = e < 0 ? -e : e;
        if (e < 10)
            print_char(p, '0');
        print_u64(p, (uint64_t)e, 10);
    }
}

/* A cut text must not end inside a UTF-8 sequence. */
static size_t print_whole(const char *s, size_t used)
{
    size_t n = used;

    while (n > 0 && used - n < 4 && ((uint8_t)s[n - 1] & 0xc0) == 0x80)
        n--;
    if (n == 0 || (uint8_t)s[n - 1] < 0xc0)
        return used;
    const uint8_t lead = (uint8_t)s[n - 1];
    const size_t need = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    return used - n < need ? n - 1 : used;
}

static size_t print_args(char *out, size_t size, const char *fmt, va_list args)
{
    print_to p = { out, size, 0, false };

    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            print_char(&p, *fmt);
            continue;
        }
        int digits = 6;
        if (fmt[1] == '.' && fmt[2] >= '1' && fmt[2] <= '9') {
            digits = fmt[2] - '0';
            fmt += 2;
        }
        fmt++;
        if (strncmp(fmt, "zu", 2) == 0) {
            print_u64(&p, va_arg(args, size_t), 10);
            fmt++;
        } else if (strncmp(fmt, "lld", 3) == 0) {
            print_i64(&p, va_arg(args, long long));
            fmt += 2;
        } else if (strncmp(fmt, "llu", 3) == 0) {
            print_u64(&p, va_arg(args, unsigned long long), 10);
            fmt += 2;
        } else if (*fmt == 's') {
            print_text(&p, va_arg(args, const char *));
        } else if (*fmt == 'd') {
            print_i64(&p, va_arg(args, int));
        } else if (*fmt == 'u' || *fmt == 'x') {
            print_u64(&p, va_arg(args, unsigned), *fmt == 'x' ? 16 : 10);
        } else if (*fmt == 'c') {
            print_char(&p, (char)va_arg(args, int));
        } else if (*fmt == 'g') {
            print_double(&p, va_arg(args, double), digits);
        } else if (*fmt == '%') {
            print_char(&p, '%');
        } else {
            break; /* arguments can no longer be told apart */
        }
    }
    if (p.cut)
        p.used = print_whole(out, p.used);
    if (size)
        out[p.used] = '\0';
    return p.used;
}

size_t ln_print(char *out, size_t size, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    const size_t n = print_args(out, size, fmt, args);
    va_end(args);
    return n;
}

linnet_status ln_fail(linnet_error *err, linnet_status code, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return code;
    va_start(args, fmt);
    print_args(err->message, sizeof err->message, fmt, args);
    va_end(args);
    err->code = code;
    return code;
}
