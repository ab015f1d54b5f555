/* Labels the short way: lines next to each other mostly have the same label names in the same order, so a name that was
 * checked on an earlier line needs comparing only. The quotes of the line are found beforehand, 64 bytes a step, so
 * that no label waits for the end of the value before it. Whatever is out of the ordinary (an escape, a byte >= 0x80,
 * another name, odd blanks) is left to series.c, which reads the same grammar step by step. */
#include "input/series.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

void hint_learn(struct name_hint *h, struct view name, const char *end)
{
    const char *p = name.p;
    size_t n = name.n;
    if (n + 2 > HINT_BYTES || (size_t)(end - p) < n + 2 || p[n] != '=' || p[n + 1] != '"' || is_name_label(name))
        return;
    memcpy(h->text, p, n + 2);
    h->length = (unsigned)n;
    h->mask = (1U << (n + 2)) - 1;
}

#ifdef __SSE2__
static inline bool hint_matches(const struct name_hint *h, const char *p, const char *readable)
{
    if (h->mask == 0 || readable - p < HINT_BYTES)
        return false;
    __m128i here = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i known = _mm_loadu_si128((const __m128i *)(const void *)h->text);
    unsigned same = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(here, known));
    return (same & h->mask) == h->mask;
}

/* Bits of the 16 bytes at p that are '"'; adds what else is to be looked at, '\' and bytes >= 0x80, to *other as top
 * bits. */
static inline uint64_t vector_quotes(const char *p, __m128i *other)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    *other = _mm_or_si128(*other, _mm_or_si128(v, _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
    return (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
}

/* The same of 64 bytes; false if there is anything else to look at. */
static inline bool block_quotes(const char *p, uint64_t *quotes)
{
    __m128i other = _mm_setzero_si128();
    uint64_t a = vector_quotes(p, &other), b = vector_quotes(p + 16, &other);
    uint64_t c = vector_quotes(p + 32, &other), d = vector_quotes(p + 48, &other);
    *quotes = a | b << 16 | c << 32 | d << 48;
    return _mm_movemask_epi8(other) == 0;
}

/* The lowest set bit, taken out; some offset if there is none. */
static inline uint16_t bit_take(uint64_t *bits, unsigned base)
{
    unsigned lowest = (unsigned)__builtin_ctzll(*bits | UINT64_C(1) << 63);
    *bits &= *bits - 1;
    return (uint16_t)(base + lowest);
}

static inline unsigned bits_count(uint64_t v) /* the popcnt instruction is not in the baseline */
{
    v -= (v >> 1) & UINT64_C(0x5555555555555555);
    v = (v & UINT64_C(0x3333333333333333)) + ((v >> 2) & UINT64_C(0x3333333333333333));
    v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (unsigned)((v * UINT64_C(0x0101010101010101)) >> 56);
}

#define INDEX_BYTES 1024 /* of a line's labels; the rest is read step by step */

/* Offsets of the quotes from p on, up to the first block that has anything to look at closely. Writing eight at a time
 * whether they are there or not is cheaper than guessing their number: labels of 16 bytes and more have no more. */
static size_t quotes_index(const struct series_parser *s, const char *p, uint16_t at[INDEX_BYTES + 8])
{
    size_t n = 0;
    const char *end = s->line.p + s->line.n;
    for (unsigned base = 0; base < INDEX_BYTES && p + base < end && s->readable - (p + base) >= 64; base += 64) {
        uint64_t quotes;
        if (!block_quotes(p + base, &quotes))
            break;
        size_t next = n + bits_count(quotes);
        do {
            at[n] = bit_take(&quotes, base);
            at[n + 1] = bit_take(&quotes, base);
            at[n + 2] = bit_take(&quotes, base);
            at[n + 3] = bit_take(&quotes, base);
            at[n + 4] = bit_take(&quotes, base);
            at[n + 5] = bit_take(&quotes, base);
            at[n + 6] = bit_take(&quotes, base);
            at[n + 7] = bit_take(&quotes, base);
            n += 8;
        } while (quotes);
        n = next;
    }
    return n;
}

const char *labels_predict(struct series_parser *s, const char *p)
{
    const char *base = p, *end = s->line.p + s->line.n;
    uint16_t at[INDEX_BYTES + 8];
    size_t n = quotes_index(s, p, at), count = s->count;
    gcw_label *labels = s->labels;
    for (size_t q = 0; q + 1 < n && count < HINTS; q += 2) {
        const struct name_hint *h = &s->hints[count];
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): quotes_index() filled n of them */
        const char *open = base + at[q], *close = base + at[q + 1];
        if (open != p + h->length + 1 || close + 1 >= end || (close[1] != ',' && close[1] != '}') ||
            !hint_matches(h, p, s->readable))
            break;
        labels[count++] = (gcw_label){p, h->length, open + 1, (size_t)(close - open) - 1};
        p = close + 1;
        if (*p == '}') {
            s->foreseen = s->labels[0].value == s->start && s->readable - end >= LABEL_SLACK;
            break;
        }
        p++;
        p += p < end && *p == ' ' && s->format == EXPOSITION_TEXT;
    }
    s->count = count;
    return p;
}
#else
const char *labels_predict(struct series_parser *s, const char *p)
{
    (void)s;
    return p;
}
#endif
