/* Private to codec/: protobuf's wire format, read and written by hand. */
#ifndef GCW_CODEC_WIRE_H
#define GCW_CODEC_WIRE_H

#include "codec/codec.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

/* ---- writing: the room is the caller's business ----------------------------------------------------------------- */

static inline uint8_t *wire_varint(uint8_t *p, uint64_t v)
{
    if (v < 0x80) {
        *p = (uint8_t)v;
        return p + 1;
    }
    return varint_put(p, v);
}

static inline uint8_t *wire_fixed64(uint8_t *p, uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(p, &v, 8);
#else
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
#endif
    return p + 8;
}

static inline uint64_t zigzag(int64_t v) { return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0); }

/* ---- reading: everything may be nonsense ------------------------------------------------------------------------ */

struct wire {
    const uint8_t *p, *end;
};

/* One field: its number, and by its type a number or bytes. `start` is where its key stands. */
struct wire_field {
    const uint8_t *start;
    uint32_t number;
    enum wire_type type;
    uint64_t value;
    struct wire bytes;
};

static inline struct wire wire_of(const void *p, size_t n) { return (struct wire){p, (const uint8_t *)p + n}; }
static inline size_t wire_left(struct wire w) { return (size_t)(w.end - w.p); }

static inline bool wire_number(struct wire *w, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; w->p < w->end && shift < 64; shift += 7) {
        uint8_t b = *w->p++;
        *v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return true;
    }
    return false;
}

/* The next field; false at the end, or with *broken set. */
static inline bool wire_next(struct wire *w, struct wire_field *f, bool *broken)
{
    uint64_t key;
    *f = (struct wire_field){.start = w->p};
    if (w->p >= w->end || *broken)
        return false;
    *broken = true;
    if (!wire_number(w, &key) || key >> 3 == 0 || key > UINT32_MAX)
        return false;
    f->number = (uint32_t)(key >> 3);
    f->type = (enum wire_type)(key & 7);
    if (f->type == WIRE_FIXED64 ? wire_left(*w) < 8
                                : (f->type != WIRE_VARINT && f->type != WIRE_BYTES) || !wire_number(w, &f->value))
        return false;
    if (f->type == WIRE_FIXED64) {
        f->value = 0;
        for (unsigned i = 0; i < 8; i++)
            f->value |= (uint64_t)w->p[i] << 8 * i;
        w->p += 8;
    } else if (f->type == WIRE_BYTES) {
        if (f->value > wire_left(*w))
            return false;
        f->bytes = wire_of(w->p, (size_t)f->value);
        w->p += f->value;
    }
    *broken = false;
    return true;
}

#endif
