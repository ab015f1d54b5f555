/* Text of single values, as the host writes it: JSON strings, numbers, hexadecimal. All append to a buf and say false
 * when out of memory. */
#ifndef GCW_HOSTS_FLUENT_BIT_TEXT_H
#define GCW_HOSTS_FLUENT_BIT_TEXT_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/base.h"

/* Between quotes. `ascii`: everything beyond is written \uXXXX, as the host does. What is not UTF-8 becomes U+FFFD.
 * `limit` is how far bytes may be read, at least text's end: with 16 bytes to spare short texts take one step. */
bool text_quoted_any(struct buf *out, struct view text, bool ascii, const void *limit);
static inline bool text_quoted(struct buf *out, struct view text, bool ascii, const void *limit)
{
#ifdef __SSE2__
    if (text.n < 16 && (const char *)limit - text.p >= 16 && out->cap - out->n >= 32) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)text.p);
        /* signed compare: bytes >= 0x80 are negative, so "< 0x20" finds them with the control characters */
        __m128i hit =
            _mm_or_si128(_mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f))),
                         _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
        if (((unsigned)_mm_movemask_epi8(hit) & ((1u << text.n) - 1)) == 0) {
            uint8_t *d = out->p + out->n;
            *d++ = '"';
            _mm_storeu_si128((__m128i *)(void *)d, v);
            d[text.n] = '"';
            out->n += text.n + 2;
            return true;
        }
    }
#endif
    return text_quoted_any(out, text, ascii, limit);
}

/* %.16g as the host writes, whole numbers with ".0", and a 17th digit where with 16 it would be another number. */
bool text_double(struct buf *out, double d);
bool text_hex(struct buf *out, struct view bytes);   /* lower case, nothing around */
bool text_codes(struct buf *out, struct view bytes); /* \x0a\xff */

#endif
