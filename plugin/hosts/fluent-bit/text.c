/* Text of single values. The hot loop is stretch_quote(): most of a line goes through it, in strings of a few bytes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "hosts/fluent-bit/text.h"

static const char hex[] = "0123456789abcdef";

/* 0 = copied as it is; 'u' = \u00XX; 0x80 = starts a sequence or is invalid; else the letter behind '\'. */
static const uint8_t escape_class[256] = {
    [0 ... 7] = 'u', ['\b'] = 'b',          ['\t'] = 't', ['\n'] = 'n',  [0x0b] = 'u', ['\f'] = 'f',
    ['\r'] = 'r',    [0x0e ... 0x1f] = 'u', ['"'] = '"',  ['\\'] = '\\', [0x7f] = 'u', [0x80 ... 0xff] = 0x80,
};

static uint8_t *unit_put(uint8_t *d, uint32_t unit)
{
    *d++ = '\\', *d++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4)
        *d++ = (uint8_t)hex[unit >> shift & 15];
    return d;
}

static uint32_t code_point(const uint8_t *p, size_t n)
{
    uint32_t c = n == 2 ? p[0] & 0x1fu : n == 3 ? p[0] & 0x0fu : p[0] & 0x07u;
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3fu);
    return c;
}

/* A character beyond ASCII, or what is none. */
static const uint8_t *wide_put(const uint8_t *p, const uint8_t *end, bool ascii, uint8_t **d)
{
    size_t n = utf8_sequence((const char *)p, (size_t)(end - p));
    if (n == 0) {
        if (ascii)
            *d = unit_put(*d, 0xfffd);
        else
            memcpy(*d, "\xef\xbf\xbd", 3), *d += 3;
        return p + utf8_invalid_run((const char *)p, (size_t)(end - p));
    }
    if (!ascii) {
        memcpy(*d, p, n);
        *d += n;
        return p + n;
    }
    uint32_t c = code_point(p, n);
    if (c >= 0x10000) {
        *d = unit_put(*d, 0xd800 + ((c - 0x10000) >> 10));
        c = 0xdc00 + ((c - 0x10000) & 0x3ff);
    }
    *d = unit_put(*d, c);
    return p + n;
}

/* One byte or sequence that is not plain; at most six bytes out for each in. */
static const uint8_t *special_put(const uint8_t *p, const uint8_t *end, bool ascii, uint8_t **d)
{
    uint8_t class = escape_class[*p];
    if (class == 0x80)
        return wide_put(p, end, ascii, d);
    if (class == 'u') {
        *d = unit_put(*d, *p);
        return p + 1;
    }
    *(*d)++ = '\\';
    *(*d)++ = class;
    return p + 1;
}

/* Copies plain bytes up to `stop` or the first that is not plain. Writes up to 16 bytes further than it gets. */
static inline const uint8_t *plain_put(const uint8_t *p, const uint8_t *stop, const uint8_t *limit, uint8_t **d)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20),
                  del = _mm_set1_epi8(0x7f);
    while (limit - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* signed compare: bytes >= 0x80 are negative, so "< 0x20" finds them with the control characters */
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmplt_epi8(v, space), _mm_cmpeq_epi8(v, del)),
                                   _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash)));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        size_t left = (size_t)(stop - p);
        _mm_storeu_si128((__m128i *)(void *)*d, v);
        if (left < 16)
            mask |= 1u << left;
        if (mask) {
            unsigned n = (unsigned)__builtin_ctz(mask);
            *d += n;
            return p + n;
        }
        p += 16, *d += 16;
    }
#endif
    (void)limit;
    while (p < stop && escape_class[*p] == 0)
        *(*d)++ = *p++;
    return p;
}

/* Room is made a stretch at a time, so that a long text does not reserve six times its length. */
#define STRETCH 1024

/* Writes up to `stop`, or a character further: the spare bytes of the room made cover it. */
static inline const uint8_t *stretch_put(struct buf *out, const uint8_t *p, const uint8_t *stop, const uint8_t *end,
                                         const uint8_t *limit, bool ascii)
{
    uint8_t *d = out->p + out->n;
    while (p < stop && (p = plain_put(p, stop, limit, &d)) < stop)
        p = special_put(p, end, ascii, &d);
    out->n = (size_t)(d - out->p);
    return p;
}

bool text_quoted_any(struct buf *out, struct view text, bool ascii, const void *limit)
{
    const uint8_t *p = (const uint8_t *)text.p, *const end = p + text.n;
    if (!buf_reserve(out, MIN(text.n, (size_t)STRETCH) * 6 + 64))
        return false;
    out->p[out->n++] = '"';
    while (end - p > STRETCH) {
        p = stretch_put(out, p, p + STRETCH, end, limit, ascii);
        if (!buf_reserve(out, MIN((size_t)(end - p), (size_t)STRETCH) * 6 + 64))
            return false;
    }
    stretch_put(out, p, end, end, limit, ascii);
    out->p[out->n++] = '"';
    return true;
}

/* ---- doubles --------------------------------------------------------------------------------------------------- */

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 wide;

/* Whether `scaled`, a double of `mantissa` times `power`, is the double nearest to `decimal`; all in units of its last
 * bit. Below a power of two the neighbour is nearer. What lies half way is left to strtod. */
static bool comes_back(wide decimal, wide scaled, uint64_t mantissa, uint64_t power)
{
    if (decimal >= scaled)
        return (decimal - scaled) * 2 < power;
    return (scaled - decimal) * (mantissa == UINT64_C(1) << 52 ? 4 : 2) < power;
}

/* The first 16 digits of d as a whole number, of which `places` stand behind the point, rounded as %.16g does; if they
 * are d again, and d is of a size that 128 bits hold with its digits. */
static bool digits_find(double d, uint64_t *digits, int *places)
{
    static const double bound[] = {1e-4, 1e-3, 1e-2, 1e-1, 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,
                                   1e6,  1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    uint64_t power = 10, bits, mantissa; /* 10^places */
    int over = ARRAY_LEN(bound) - 2;
    if (!(d >= bound[0] && d < bound[ARRAY_LEN(bound) - 1]))
        return false;
    for (; d < bound[over]; over--)
        power *= 10;
    *places = 19 - over;
    memcpy(&bits, &d, sizeof bits);
    mantissa = (bits & (UINT64_MAX >> 12)) | UINT64_C(1) << 52;
    int shift = 1075 - (int)(bits >> 52); /* d = mantissa / 2^shift, 3 <= shift <= 66 */
    wide scaled = (wide)mantissa * power, half = (wide)1 << (shift - 1);
    *digits = (uint64_t)(scaled >> shift);
    wide rest = scaled - ((wide)*digits << shift);
    *digits += rest > half || (rest == half && (*digits & 1));
    return *digits < UINT64_C(10000000000000000) && comes_back((wide)*digits << shift, scaled, mantissa, power);
}
#else
static bool digits_find(double d, uint64_t *digits, int *places)
{
    (void)d, (void)digits, (void)places;
    return false;
}
#endif

static bool digits_put(struct buf *out, bool negative, uint64_t digits, int places)
{
    char number[20], text[32], *p = text;
    for (; places > 0 && digits % 10 == 0; places--)
        digits /= 10;
    int n = (int)text_u64(number, digits), before = MAX(n - places, 0);
    if (negative)
        *p++ = '-';
    if (before == 0)
        *p++ = '0';
    for (int i = 0; i < before; i++)
        *p++ = number[i];
    *p++ = '.';
    for (int zeroes = places - n; zeroes > 0; zeroes--)
        *p++ = '0';
    for (int i = before; i < n; i++)
        *p++ = number[i];
    return buf_append(out, text, (size_t)(p - text));
}

/* Writes with `digits` and tells whether that is the number again. printf and strtod go by the process's locale. */
static bool digits_suffice(char *text, size_t cap, int digits, double d)
{
    snprintf(text, cap, "%.*g", digits, d);
    return strtod(text, NULL) == d;
}

static bool printed_put(struct buf *out, double d)
{
    char text[64];
    if (d == floor(d) && fabs(d) < 9.2e18)
        snprintf(text, sizeof text, "%.1f", d);
    else if (!digits_suffice(text, sizeof text, 16, d))
        digits_suffice(text, sizeof text, 17, d);
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if (!memchr("0123456789+-e", text[i], 13))
            text[i] = '.';
    return buf_append(out, text, n);
}

static bool whole_put(struct buf *out, double d)
{
    char text[24];
    size_t n = 0;
    if (signbit(d))
        text[n++] = '-';
    n += text_u64(text + n, (uint64_t)fabs(d));
    memcpy(text + n, ".0", 2);
    return buf_append(out, text, n + 2);
}

bool text_double(struct buf *out, double d)
{
    uint64_t digits;
    int places;
    if (isnan(d) || isinf(d))
        return buf_puts(out, isnan(d) ? "NaN" : d > 0 ? "Infinity" : "-Infinity");
    if (fabs(d) < 9e15 && d == floor(d))
        return whole_put(out, d);
    if (digits_find(fabs(d), &digits, &places))
        return digits_put(out, d < 0, digits, places);
    return printed_put(out, d);
}

/* ---- bytes ----------------------------------------------------------------------------------------------------- */

bool text_hex(struct buf *out, struct view bytes)
{
    if (!buf_reserve(out, bytes.n * 2))
        return false;
    for (size_t i = 0; i < bytes.n; i++) {
        out->p[out->n++] = (uint8_t)hex[(uint8_t)bytes.p[i] >> 4];
        out->p[out->n++] = (uint8_t)hex[(uint8_t)bytes.p[i] & 15];
    }
    return true;
}

bool text_codes(struct buf *out, struct view bytes)
{
    bool ok = buf_reserve(out, bytes.n * 4);
    for (size_t i = 0; ok && i < bytes.n; i++)
        ok = buf_append(out, "\\x", 2) && text_hex(out, view_make(bytes.p + i, 1));
    return ok;
}
