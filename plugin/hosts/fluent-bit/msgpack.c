/* The heads of MessagePack, from one table. */
#include "hosts/fluent-bit/msgpack.h"

/* What stands behind a first byte: `size` bytes of big-endian number, which for bytes and containers is their length;
 * ext types have one more byte. */
struct head {
    enum msgpack_type type;
    uint8_t size;  /* of the number */
    uint8_t fixed; /* EXT of fixed length, when size is 0 */
    bool known;
};

static const struct head heads[] = {
    [0xc0 - 0xc0] = {MSGPACK_NIL, 0, 0, true},    [0xc2 - 0xc0] = {MSGPACK_BOOL, 0, 0, true},
    [0xc3 - 0xc0] = {MSGPACK_BOOL, 0, 0, true},   [0xc4 - 0xc0] = {MSGPACK_BIN, 1, 0, true},
    [0xc5 - 0xc0] = {MSGPACK_BIN, 2, 0, true},    [0xc6 - 0xc0] = {MSGPACK_BIN, 4, 0, true},
    [0xc7 - 0xc0] = {MSGPACK_EXT, 1, 0, true},    [0xc8 - 0xc0] = {MSGPACK_EXT, 2, 0, true},
    [0xc9 - 0xc0] = {MSGPACK_EXT, 4, 0, true},    [0xca - 0xc0] = {MSGPACK_DOUBLE, 4, 0, true},
    [0xcb - 0xc0] = {MSGPACK_DOUBLE, 8, 0, true}, [0xcc - 0xc0] = {MSGPACK_UINT, 1, 0, true},
    [0xcd - 0xc0] = {MSGPACK_UINT, 2, 0, true},   [0xce - 0xc0] = {MSGPACK_UINT, 4, 0, true},
    [0xcf - 0xc0] = {MSGPACK_UINT, 8, 0, true},   [0xd0 - 0xc0] = {MSGPACK_INT, 1, 0, true},
    [0xd1 - 0xc0] = {MSGPACK_INT, 2, 0, true},    [0xd2 - 0xc0] = {MSGPACK_INT, 4, 0, true},
    [0xd3 - 0xc0] = {MSGPACK_INT, 8, 0, true},    [0xd4 - 0xc0] = {MSGPACK_EXT, 0, 1, true},
    [0xd5 - 0xc0] = {MSGPACK_EXT, 0, 2, true},    [0xd6 - 0xc0] = {MSGPACK_EXT, 0, 4, true},
    [0xd7 - 0xc0] = {MSGPACK_EXT, 0, 8, true},    [0xd8 - 0xc0] = {MSGPACK_EXT, 0, 16, true},
    [0xd9 - 0xc0] = {MSGPACK_STR, 1, 0, true},    [0xda - 0xc0] = {MSGPACK_STR, 2, 0, true},
    [0xdb - 0xc0] = {MSGPACK_STR, 4, 0, true},    [0xdc - 0xc0] = {MSGPACK_ARRAY, 2, 0, true},
    [0xdd - 0xc0] = {MSGPACK_ARRAY, 4, 0, true},  [0xde - 0xc0] = {MSGPACK_MAP, 2, 0, true},
    [0xdf - 0xc0] = {MSGPACK_MAP, 4, 0, true},
};

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static uint64_t sign_extended(uint64_t v, size_t bytes)
{
    ENSURE(bytes >= 1 && bytes <= 8);
    unsigned shift = 64 - 8 * (unsigned)bytes;
    return (uint64_t)((int64_t)(v << shift) >> shift);
}

static uint64_t widened(uint32_t bits)
{
    float narrow;
    double wide;
    uint64_t out;
    memcpy(&narrow, &bits, sizeof narrow);
    wide = (double)narrow;
    memcpy(&out, &wide, sizeof out);
    return out;
}

/* The bytes of a str, bin or ext whose head ends at p. */
static bool bytes_take(struct msgpack *m, const uint8_t *p, uint64_t n, struct msgpack_value *out)
{
    if (out->type == MSGPACK_EXT) {
        if (p == m->end)
            return false;
        out->ext = (int8_t)*p++;
    }
    if ((uint64_t)(m->end - p) < n)
        return false;
    out->bytes = view_make((const char *)p, (size_t)n);
    m->p = p + n;
    return true;
}

/* First bytes below 0xc0 and from 0xe0 on carry a small number themselves. */
static bool small_take(struct msgpack *m, uint8_t first, struct msgpack_value *out)
{
    *out = (struct msgpack_value){.type = MSGPACK_UINT, .number = first};
    if (first >= 0xe0)
        out->type = MSGPACK_INT, out->number = sign_extended(first, 1);
    else if (first >= 0xa0) {
        out->type = MSGPACK_STR;
        return bytes_take(m, m->p + 1, first & 0x1f, out);
    } else if (first >= 0x90)
        out->type = MSGPACK_ARRAY, out->count = first & 0x0f;
    else if (first >= 0x80)
        out->type = MSGPACK_MAP, out->count = first & 0x0f;
    m->p++;
    return true;
}

bool msgpack_next_any(struct msgpack *m, struct msgpack_value *out)
{
    if (m->p == m->end)
        return false;
    uint8_t first = *m->p;
    if (first < 0xc0 || first >= 0xe0)
        return small_take(m, first, out);
    const struct head *h = &heads[first - 0xc0];
    const uint8_t *p = m->p + 1;
    if (!h->known || m->end - p < h->size)
        return false;
    uint64_t number = big_endian(p, h->size);
    p += h->size;
    *out = (struct msgpack_value){.type = h->type, .number = number};
    switch (h->type) {
    case MSGPACK_STR:
    case MSGPACK_BIN:
    case MSGPACK_EXT:
        return bytes_take(m, p, h->size ? number : h->fixed, out);
    case MSGPACK_ARRAY:
    case MSGPACK_MAP:
        out->count = (uint32_t)number;
        break;
    case MSGPACK_BOOL:
        out->truth = first & 1;
        break;
    case MSGPACK_INT:
        out->number = sign_extended(number, h->size);
        if ((int64_t)out->number >= 0)
            out->type = MSGPACK_UINT;
        break;
    case MSGPACK_DOUBLE:
        if (h->size == 4)
            out->number = widened((uint32_t)number);
        break;
    case MSGPACK_NIL:
    case MSGPACK_UINT:
        break;
    }
    m->p = p;
    return true;
}

double msgpack_double(const struct msgpack_value *v)
{
    double d;
    if (v->type == MSGPACK_UINT)
        return (double)v->number;
    if (v->type == MSGPACK_INT)
        return (double)(int64_t)v->number;
    memcpy(&d, &v->number, sizeof d);
    return d;
}

static uint64_t inner(const struct msgpack_value *v)
{
    return v->type == MSGPACK_ARRAY ? v->count : v->type == MSGPACK_MAP ? (uint64_t)v->count * 2 : 0;
}

/* Depth needs no stack: all that counts is how many values are still to come, and each takes at least a byte. */
bool msgpack_skip_rest(struct msgpack *m, const struct msgpack_value *head)
{
    struct msgpack_value v;
    for (uint64_t left = inner(head); left > 0; left--) {
        if (left > (uint64_t)(m->end - m->p) || !msgpack_next(m, &v))
            return false;
        left += inner(&v);
    }
    return true;
}

bool msgpack_skip(struct msgpack *m)
{
    struct msgpack_value v;
    return msgpack_next(m, &v) && msgpack_skip_rest(m, &v);
}
