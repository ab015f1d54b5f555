/* MessagePack from readable text, for tests: JSON with 'single quotes', nil for null, #2.5 for a double's bits written
 * as an integer (CMetrics does that), and inf, nan. Numbers with a point or an exponent are doubles, others take the
 * shortest integer form. */
#ifndef TEST_PACK_TEXT_H
#define TEST_PACK_TEXT_H

#include <math.h>
#include <stdlib.h>

#include "pack_bytes.h"

static inline void pack_u64(struct buf *b, uint64_t v)
{
    if (v < 0x80)
        pack_number(b, (uint8_t)v, 0, 0);
    else if (v <= UINT8_MAX)
        pack_number(b, 0xcc, v, 1);
    else if (v <= UINT16_MAX)
        pack_number(b, 0xcd, v, 2);
    else if (v <= UINT32_MAX)
        pack_number(b, 0xce, v, 4);
    else
        pack_number(b, 0xcf, v, 8);
}

static inline void pack_i64(struct buf *b, int64_t v)
{
    if (v >= 0)
        pack_u64(b, (uint64_t)v);
    else if (v >= -32)
        pack_number(b, (uint8_t)v, 0, 0);
    else
        pack_number(b, 0xd3, (uint64_t)v, 8);
}

static inline void pack_f64(struct buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    pack_number(b, 0xcb, bits, 8);
}

static inline void pack_str(struct buf *b, const char *p, size_t n)
{
    if (n < 32)
        pack_number(b, (uint8_t)(0xa0 | n), 0, 0);
    else
        pack_number(b, 0xda, n, 2);
    ENSURE(buf_append(b, p, n));
}

static inline const char *pack_literal(struct buf *b, const char *p)
{
    char *end;
    size_t n = strspn(p, "+-0123456789.eE");
    bool raw = *p == '#';
    if (raw) {
        double v = strtod(p + 1, &end);
        uint64_t bits;
        memcpy(&bits, &v, sizeof bits);
        pack_number(b, 0xcf, bits, 8);
    } else if (memchr(p, '.', n) || memchr(p, 'e', n)) {
        pack_f64(b, strtod(p, &end));
    } else if (*p == '-') {
        pack_i64(b, strtoll(p, &end, 10));
    } else {
        pack_u64(b, strtoull(p, &end, 10));
    }
    ENSURE(end > p);
    return end;
}

/* One value at p, containers with what is in them; returns the end. */
static inline const char *pack_value(struct buf *b, const char *p)
{
    static const struct {
        const char *word;
        uint8_t byte;
    } words[] = {{"nil", 0xc0}, {"false", 0xc2}, {"true", 0xc3}};
    p += strspn(p, " \n:,");
    if (*p == '{' || *p == '[') {
        struct buf inner = {0};
        uint64_t n = 0;
        char close = *p == '{' ? '}' : ']';
        for (p++; *(p += strspn(p, " \n:,")) != close; n++)
            p = pack_value(&inner, p);
        if (close == '}')
            n /= 2;
        if (n < 16)
            pack_number(b, (uint8_t)((close == '}' ? 0x80 : 0x90) | n), 0, 0);
        else
            pack_number(b, close == '}' ? 0xdf : 0xdd, n, 4);
        ENSURE(buf_append(b, inner.p ? inner.p : (const uint8_t *)"", inner.n));
        buf_free(&inner);
        return p + 1;
    }
    if (*p == '\'') {
        const char *end = strchr(p + 1, '\'');
        pack_str(b, p + 1, (size_t)(end - p - 1));
        return end + 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strncmp(p, words[i].word, strlen(words[i].word)) == 0) {
            pack_number(b, words[i].byte, 0, 0);
            return p + strlen(words[i].word);
        }
    if (strncmp(p, "inf", 3) == 0 || strncmp(p, "nan", 3) == 0) {
        pack_f64(b, *p == 'i' ? (double)INFINITY : (double)NAN);
        return p + 3;
    }
    return pack_literal(b, p);
}

static inline void pack_text(struct buf *b, const char *text)
{
    for (; *(text += strspn(text, " \n"));)
        text = pack_value(b, text);
}

#endif
