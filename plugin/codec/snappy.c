/* Snappy's block format (format_description.txt of google/snappy): the length as a varint, then literals and copies.
 *
 * The compressor looks four bytes at a time up in a table of where their hash was last seen, within blocks of 64 KiB,
 * so that every copy has a two-byte offset. The further it is from the last match, the larger its steps: what does not
 * compress is passed over fast. */
#include "codec/codec.h"

#define BLOCK      ((size_t)65536)
#define TABLE_BITS 14
#define MARGIN     15 /* bytes at the end of a block that are always literal, so that eight may be read from any before */

/* Low bits of a tag: what follows. */
enum { LITERAL = 0, COPY1 = 1, COPY2 = 2, COPY4 = 3 };

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* ---- compressing ------------------------------------------------------------------------------------------------- */

static uint8_t *put_literal(uint8_t *out, const uint8_t *p, size_t n)
{
    size_t m = n - 1;
    if (m < 60) {
        *out++ = (uint8_t)(m << 2 | LITERAL);
    } else if (m < 256) {
        *out++ = 60 << 2 | LITERAL;
        *out++ = (uint8_t)m;
    } else {
        *out++ = 61 << 2 | LITERAL;
        *out++ = (uint8_t)m;
        *out++ = (uint8_t)(m >> 8);
    }
    memcpy(out, p, n);
    return out + n;
}

/* The same where 16 bytes may be read and written beyond: most literals are that short. */
static inline uint8_t *put_literal_fast(uint8_t *out, const uint8_t *p, size_t n)
{
    if (n > 16)
        return put_literal(out, p, n);
    *out++ = (uint8_t)((n - 1) << 2 | LITERAL);
    memcpy(out, p, 16);
    return out + n;
}

static inline uint8_t *put_copy2(uint8_t *out, size_t offset, size_t n)
{
    *out++ = (uint8_t)((n - 1) << 2 | COPY2);
    *out++ = (uint8_t)offset;
    *out++ = (uint8_t)(offset >> 8);
    return out;
}

static inline uint8_t *put_copy(uint8_t *out, size_t offset, size_t n)
{
    while (n >= 68) {
        out = put_copy2(out, offset, 64);
        n -= 64;
    }
    if (n > 64) { /* leaves at least four for the last */
        out = put_copy2(out, offset, 60);
        n -= 60;
    }
    if (n >= 12 || offset >= 2048)
        return put_copy2(out, offset, n);
    *out++ = (uint8_t)(offset >> 8 << 5 | (n - 4) << 2 | COPY1);
    *out++ = (uint8_t)offset;
    return out;
}

/* How far p and q agree, q's end given; p is before q. */
static inline size_t match_length(const uint8_t *p, const uint8_t *q, const uint8_t *end)
{
    const uint8_t *start = q;
    while (end - q >= 8) {
        uint64_t differ = load64(p) ^ load64(q);
        if (differ) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return (size_t)(q - start) + (size_t)__builtin_ctzll(differ) / 8;
#else
            return (size_t)(q - start) + (size_t)__builtin_clzll(differ) / 8;
#endif
        }
        p += 8, q += 8;
    }
    while (q < end && *p == *q)
        p++, q++;
    return (size_t)(q - start);
}

struct table {
    unsigned shift;
    uint16_t at[1 << TABLE_BITS]; /* offset in the block */
};

static inline uint32_t slot_of(const struct table *t, uint32_t bytes) { return bytes * 0x1e35a7bdu >> t->shift; }

/* Looks from ip on for four bytes that were there before. NULL = none before `limit`; else *match is where. */
static inline const uint8_t *find_match(struct table *t, const uint8_t *in, const uint8_t *ip, const uint8_t *limit,
                                        const uint8_t **match)
{
    uint32_t bytes = load32(ip), slot = slot_of(t, bytes);
    for (size_t skip = 32;;) {
        const uint8_t *next = ip + (skip >> 5);
        skip += skip >> 5;
        if (__builtin_expect(next > limit, 0))
            return NULL;
        const uint8_t *seen = in + t->at[slot];
        t->at[slot] = (uint16_t)(ip - in);
        if (load32(seen) == bytes) {
            *match = seen;
            return ip;
        }
        ip = next;
        bytes = load32(ip);
        slot = slot_of(t, bytes);
    }
}

/* Entries of a 2.0 request repeat not their bytes alone but the distances at which they are found: after a match at one
 * comes the same next one. What came after each distance is kept, and tried before the table: the wait for the table is
 * most of what a match costs. In texts it would be wrong too often. */
#define GUESSES 64
struct guess {
    uint16_t sure, seen; /* sure = seen twice in a row; 0 = none */
};

static inline void guess_learn(struct guess *g, size_t offset)
{
    g->sure = g->seen == offset ? (uint16_t)offset : 0;
    g->seen = (uint16_t)offset;
}

static inline __attribute__((always_inline)) uint8_t *pack_block(struct table *t, const uint8_t *in, size_t n,
                                                                 uint8_t *out, bool guessing)
{
    const uint8_t *end = in + n, *pending = in, *limit = n > MARGIN ? end - MARGIN : in;
    const uint8_t *ip, *match;
    struct guess guesses[GUESSES]; /* a distance found in a block does not lead out of it further on */
    if (guessing)
        memset(guesses, 0, sizeof guesses);
    while (pending + 1 <= limit && (ip = find_match(t, in, pending + 1, limit, &match))) {
        out = put_literal_fast(out, pending, (size_t)(ip - pending));
        for (;;) {
            const size_t matched = 4 + match_length(match + 4, ip + 4, end), offset = (size_t)(ip - match);
            struct guess *guess = guessing ? &guesses[offset % GUESSES] : NULL;
            out = put_copy(out, offset, matched);
            pending = ip += matched;
            if (ip >= limit)
                break;
            const uint32_t bytes = load32(ip), slot = slot_of(t, bytes);
            if (guess && guess->sure && load32(ip - guess->sure) == bytes) {
                t->at[slot] = (uint16_t)(ip - in);
                match = ip - guess->sure;
                continue;
            }
            t->at[slot_of(t, load32(ip - 1))] = (uint16_t)(ip - 1 - in);
            match = in + t->at[slot];
            t->at[slot] = (uint16_t)(ip - in);
            if (load32(match) != bytes)
                break;
            if (guess)
                guess_learn(guess, (size_t)(ip - match));
        }
    }
    return pending < end ? put_literal(out, pending, (size_t)(end - pending)) : out;
}

static uint8_t *pack_text(struct table *t, const uint8_t *in, size_t n, uint8_t *out)
{
    return pack_block(t, in, n, out, false);
}

static uint8_t *pack_entries(struct table *t, const uint8_t *in, size_t n, uint8_t *out)
{
    return pack_block(t, in, n, out, true);
}

/* A table no larger than the block is worth. */
static void table_clear(struct table *t, size_t n)
{
    unsigned bits = 8;
    while (bits < TABLE_BITS && (size_t)1 << bits < n)
        bits++;
    t->shift = 32 - bits;
    memset(t->at, 0, sizeof t->at[0] << bits);
}

static size_t packed_bound(size_t n) { return 32 + n + n / 6; }

static bool pack(struct buf *out, const struct buf *in,
                 uint8_t *(*block)(struct table *t, const uint8_t *in, size_t n, uint8_t *out))
{
    struct table t;
    out->n = 0;
    if (in->n > UINT32_MAX || !buf_reserve(out, packed_bound(in->n)))
        return false;
    uint8_t *p = out->p;
    size_t n = in->n;
    for (; n >= 0x80; n >>= 7)
        *p++ = (uint8_t)(n | 0x80);
    *p++ = (uint8_t)n;
    for (size_t at = 0; at < in->n; at += BLOCK) {
        size_t len = MIN(in->n - at, BLOCK);
        table_clear(&t, len);
        p = block(&t, in->p + at, len, p);
    }
    out->n = (size_t)(p - out->p);
    return true;
}

bool snappy_pack(struct buf *out, const struct buf *in) { return pack(out, in, pack_text); }
bool snappy_pack_entries(struct buf *out, const struct buf *in) { return pack(out, in, pack_entries); }

/* ---- unpacking: only what a request's parts are made from; bytes from disk, so nothing is taken on trust -----------
 */

struct reader {
    const uint8_t *p, *end;
};

static bool number_get(struct reader *r, unsigned bytes, size_t *v)
{
    *v = 0;
    if ((size_t)(r->end - r->p) < bytes)
        return false;
    for (unsigned i = 0; i < bytes; i++)
        *v |= (size_t)*r->p++ << 8 * i;
    return true;
}

static bool length_get(struct reader *r, size_t *n)
{
    *n = 0;
    for (unsigned shift = 0; r->p < r->end && shift < 32; shift += 7) {
        uint8_t b = *r->p++;
        *n |= (size_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return *n <= UINT32_MAX;
    }
    return false;
}

static bool literal_get(struct reader *r, uint8_t tag, uint8_t *out, size_t room, size_t *len)
{
    size_t n = tag >> 2;
    if (n >= 60 && !number_get(r, (unsigned)n - 59, &n))
        return false;
    *len = n + 1;
    if (*len > (size_t)(r->end - r->p) || *len > room)
        return false;
    memcpy(out, r->p, *len);
    r->p += *len;
    return true;
}

/* A copy may overlap what it makes: then it repeats. */
static bool copy_get(struct reader *r, uint8_t tag, uint8_t *start, uint8_t *out, size_t room, size_t *len)
{
    size_t offset;
    unsigned kind = tag & 3;
    if (!number_get(r, kind == COPY1 ? 1 : kind == COPY2 ? 2 : 4, &offset))
        return false;
    offset |= kind == COPY1 ? (size_t)(tag >> 5) << 8 : 0;
    *len = kind == COPY1 ? (size_t)(tag >> 2 & 7) + 4 : (size_t)(tag >> 2) + 1;
    if (offset == 0 || offset > (size_t)(out - start) || *len > room)
        return false;
    const uint8_t *from = out - offset;
    for (size_t i = 0; i < *len; i++)
        out[i] = from[i];
    return true;
}

bool snappy_unpack_exact(struct buf *out, struct view in, size_t want)
{
    struct reader r = {(const uint8_t *)in.p, (const uint8_t *)in.p + in.n};
    size_t n, at = 0, len;
    out->n = 0;
    if (!length_get(&r, &n) || n != want || !buf_reserve(out, MAX(n, 1u)))
        return false;
    while (r.p < r.end) {
        uint8_t tag = *r.p++;
        bool ok = (tag & 3) == LITERAL ? literal_get(&r, tag, out->p + at, n - at, &len)
                                       : copy_get(&r, tag, out->p, out->p + at, n - at, &len);
        if (!ok)
            return false;
        at += len;
    }
    out->n = at;
    return at == n;
}
