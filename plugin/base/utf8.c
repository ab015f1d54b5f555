/* UTF-8 (RFC 3629). The ASCII prefix is skipped eight bytes at a time, as most labels and lines are all ASCII. */
#include "base/base.h"

size_t utf8_ascii_prefix(const char *p, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t w;
        memcpy(&w, p + i, 8);
        if (w & UINT64_C(0x8080808080808080))
            break;
    }
    while (i < n && (unsigned char)p[i] < 0x80)
        i++;
    return i;
}

/* Lead bytes of multi-byte sequences: length, and the range of the second byte, which is where overlong forms,
 * surrogates and values past U+10FFFF show. */
struct lead {
    unsigned char first, last, length, second_min, second_max;
};

static const struct lead leads[] = {
    {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf}, {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f},
    {0xee, 0xef, 3, 0x80, 0xbf}, {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

static const struct lead *lead_of(unsigned char c)
{
    for (size_t i = 0; i < ARRAY_LEN(leads); i++)
        if (c >= leads[i].first && c <= leads[i].last)
            return &leads[i];
    return NULL;
}

/* Bytes of the sequence at p that are right so far; *want gets the length it should have (0 = no lead byte). */
static size_t sequence_good(const char *p, size_t n, size_t *want)
{
    const unsigned char *u = (const unsigned char *)p;
    const struct lead *lead = lead_of(u[0]);
    *want = lead ? lead->length : 0;
    if (!lead)
        return 0;
    size_t good = 1;
    if (n > 1 && u[1] >= lead->second_min && u[1] <= lead->second_max)
        for (good = 2; good < lead->length && good < n && (u[good] & 0xc0) == 0x80;)
            good++;
    return good;
}

size_t utf8_sequence(const char *p, size_t n)
{
    if (n == 0)
        return 0;
    if ((unsigned char)p[0] < 0x80)
        return 1;
    size_t want;
    return sequence_good(p, n, &want) == want ? want : 0;
}

size_t utf8_invalid_run(const char *p, size_t n)
{
    size_t want;
    size_t good = n ? sequence_good(p, n, &want) : 0;
    return MAX(good, (size_t)1);
}

bool utf8_valid(const char *p, size_t n)
{
    size_t i = utf8_ascii_prefix(p, n);
    while (i < n) {
        size_t len = utf8_sequence(p + i, n - i);
        if (len == 0)
            return false;
        i += len;
        i += utf8_ascii_prefix(p + i, n - i);
    }
    return true;
}

bool utf8_has_replacement(const char *p, size_t n) { return n >= 3 && memmem(p, n, UTF8_REPLACEMENT, 3) != NULL; }

size_t utf8_mend(char *out, const char *p, size_t n)
{
    size_t o = 0;
    for (size_t i = 0; i < n;) {
        size_t good = utf8_ascii_prefix(p + i, n - i);
        good = good ? good : utf8_sequence(p + i, n - i);
        memcpy(out + o, good ? p + i : UTF8_REPLACEMENT, good ? good : 3);
        o += good ? good : 3;
        i += good ? good : utf8_invalid_run(p + i, n - i);
    }
    return o;
}

size_t utf8_mended_size(const char *p, size_t n)
{
    size_t size = 0;
    for (size_t i = 0; i < n;) {
        size_t good = utf8_ascii_prefix(p + i, n - i);
        good = good ? good : utf8_sequence(p + i, n - i);
        size += good ? good : 3;
        i += good ? good : utf8_invalid_run(p + i, n - i);
    }
    return size;
}

size_t utf8_cut(const char *p, size_t n, size_t max)
{
    if (n <= max)
        return n;
    size_t cut = max;
    for (int back = 0; back < 4 && cut > 0 && ((unsigned char)p[cut] & 0xc0) == 0x80; back++)
        cut--;
    return cut;
}

void text_clean(char *out, size_t cap, const char *p, size_t n)
{
    size_t o = 0;
    for (size_t i = 0; i < n && cap > 0;) {
        size_t len = utf8_sequence(p + i, n - i);
        if (o + MAX(len, (size_t)1) >= cap)
            break;
        if (len == 0) {
            out[o++] = '?';
            i += utf8_invalid_run(p + i, n - i);
        } else if (len == 1) {
            unsigned char c = (unsigned char)p[i++];
            out[o++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
        } else {
            memcpy(out + o, p + i, len);
            o += len;
            i += len;
        }
    }
    while (o > 0 && out[o - 1] == ' ')
        o--;
    if (cap > 0)
        out[o] = 0;
}
