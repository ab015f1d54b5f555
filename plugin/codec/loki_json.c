/* Loki push as JSON: {"streams":[{"stream":{..},"values":[["<ns>","<line>"],..]}]}.
 *
 * The hot loop is json_escape(): it copies stretches of plain text in 16-byte steps and stops only at a byte that
 * needs work. What is not UTF-8 becomes U+FFFD, since one bad byte would fail the whole push. */
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "codec/codec.h"

/* 0 = copied as it is; 'u' = \u00XX; 0x80 = start of a multi-byte sequence or invalid; else the letter behind '\'. */
static const uint8_t escape_class[256] = {
    [0 ... 7] = 'u', ['\b'] = 'b',          ['\t'] = 't', ['\n'] = 'n',  [0x0b] = 'u', ['\f'] = 'f',
    ['\r'] = 'r',    [0x0e ... 0x1f] = 'u', ['"'] = '"',  ['\\'] = '\\', [0x7f] = 0,   [0x80 ... 0xff] = 0x80,
};

/* Copies 16 bytes at a time while all of them are plain; returns how many bytes of the rest are plain before the first
 * that is not (then *p and *d stand there), as far as a step can see. Reads and writes stay inside [p, end) and the
 * room the caller made. */
#ifdef __SSE2__
/* Lines are often JSON themselves, with a quote every few bytes: quotes and backslashes are mended on the way, without
 * leaving the loop. Behind each the rest of the block is written again, one further. */
static inline bool copy_quoted(const uint8_t **p, const uint8_t *end, uint8_t **d)
{
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);
    while (end - *p >= 32) {
        const uint8_t *from = *p;
        uint8_t *to = *d;
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)from);
        unsigned quoted =
            (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash)));
        /* signed compare: bytes >= 0x80 are negative, so "< 0x20" finds them with the control characters */
        unsigned other = (unsigned)_mm_movemask_epi8(_mm_cmplt_epi8(v, space));
        unsigned n = other ? (unsigned)__builtin_ctz(other) : 16;
        _mm_storeu_si128((__m128i *)(void *)to, v);
        for (quoted &= (1u << n) - 1; quoted; quoted &= quoted - 1) {
            unsigned i = (unsigned)__builtin_ctz(quoted);
            to[i] = '\\';
            to++;
            _mm_storeu_si128((__m128i *)(void *)(to + i), _mm_loadu_si128((const __m128i *)(const void *)(from + i)));
        }
        *p = from + n, *d = to + n;
        if (other)
            return true;
    }
    return false;
}

static inline void copy_plain(const uint8_t **p, const uint8_t *end, uint8_t **d)
{
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);
    if (copy_quoted(p, end, d))
        return;
    while (end - *p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)*p);
        /* signed compare: bytes >= 0x80 are negative, so "< 0x20" finds them with the control characters */
        __m128i hit = _mm_or_si128(_mm_cmplt_epi8(v, space),
                                   _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash)));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        _mm_storeu_si128((__m128i *)(void *)*d, v);
        unsigned n = mask ? (unsigned)__builtin_ctz(mask) : 16;
        *p += n, *d += n;
        if (mask)
            return;
    }
    while (*p < end && escape_class[**p] == 0)
        *(*d)++ = *(*p)++;
}
#else
static inline void copy_plain(const uint8_t **p, const uint8_t *end, uint8_t **d)
{
    while (*p < end && escape_class[**p] == 0)
        *(*d)++ = *(*p)++;
}
#endif

/* One byte (or sequence) that is not plain. At most 6 bytes out for each byte in. */
static inline const uint8_t *escape_one(const uint8_t *p, const uint8_t *end, uint8_t **out)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t class = escape_class[*p], *d = *out;
    if (class == 0x80) {
        size_t n = utf8_sequence((const char *)p, (size_t)(end - p));
        if (n) {
            memcpy(d, p, n);
            *out = d + n;
            return p + n;
        }
        memcpy(d, "\xef\xbf\xbd", 3);
        *out = d + 3;
        return p + utf8_invalid_run((const char *)p, (size_t)(end - p));
    }
    *d++ = '\\';
    *d++ = class;
    if (class == 'u') {
        *d++ = '0', *d++ = '0';
        *d++ = (uint8_t)hex[*p >> 4], *d++ = (uint8_t)hex[*p & 15];
    }
    *out = d;
    return p + 1;
}

/* Room is made a stretch at a time, so that a line of control characters does not reserve six times a long line. */
#define STRETCH 4096

bool json_escape(struct buf *out, const char *text, size_t n)
{
    const uint8_t *p = (const uint8_t *)text, *const end = p + n;
    while (p < end) {
        const uint8_t *stop = end - p > STRETCH ? p + STRETCH : end;
        if (!buf_reserve(out, (size_t)(stop - p) * 6 + 32))
            return false;
        uint8_t *d = out->p + out->n;
        while (p < stop) {
            copy_plain(&p, stop, &d);
            if (p < stop)
                p = escape_one(p, end, &d); /* a sequence may reach past the stretch: the spare bytes cover it */
        }
        out->n = (size_t)(d - out->p);
    }
    return true;
}

bool loki_json_begin(struct buf *out) { return buf_puts(out, "{\"streams\":["); }
bool loki_json_end(struct buf *out) { return buf_puts(out, "]}"); }
bool loki_json_stream_end(struct buf *out) { return buf_puts(out, "]}"); }

static bool object_put(struct buf *out, struct view block)
{
    struct view name, value;
    bool ok = buf_puts(out, "{");
    for (bool first = true; ok && block_next(&block, &name, &value); first = false)
        ok = buf_puts(out, first ? "\"" : ",\"") && json_escape(out, name.p, name.n) && buf_puts(out, "\":\"") &&
             json_escape(out, value.p, value.n) && buf_puts(out, "\"");
    return ok && buf_puts(out, "}");
}

bool loki_json_stream(struct buf *out, struct view block)
{
    return buf_puts(out, "{\"stream\":") && object_put(out, block) && buf_puts(out, ",\"values\":[");
}

bool loki_json_entry(struct buf *out, int64_t time_ns, struct view line, struct view metadata)
{
    if (!buf_reserve(out, line.n + 64))
        return false;
    uint8_t *p = out->p + out->n;
    *p++ = '[', *p++ = '"';
    p += text_i64((char *)p, time_ns);
    *p++ = '"', *p++ = ',', *p++ = '"';
    out->n = (size_t)(p - out->p);
    if (!json_escape(out, line.p, line.n))
        return false;
    if (metadata.n == 0)
        return buf_append(out, "\"]", 2);
    return buf_append(out, "\",", 2) && object_put(out, metadata) && buf_append(out, "]", 1);
}
