/* Private to model/: writing a label block. */
#ifndef GCW_MODEL_BLOCK_H
#define GCW_MODEL_BLOCK_H

#include "model/model.h"

/* Short copies without a call: labels are 4 to 40 bytes, and a call costs more than the bytes. */
static inline uint8_t *put_bytes(uint8_t *d, const char *s, size_t n)
{
    if (n >= 8 && n <= 32) {
        uint64_t w[4];
        memcpy(&w[0], s, 8);
        memcpy(&w[3], s + n - 8, 8);
        if (n > 16) {
            memcpy(&w[1], s + 8, 8);
            memcpy(&w[2], s + n - 16, 8);
            memcpy(d + 8, &w[1], 8);
            memcpy(d + n - 16, &w[2], 8);
        }
        memcpy(d, &w[0], 8);
        memcpy(d + n - 8, &w[3], 8);
    } else if (n >= 4 && n < 8) {
        uint32_t a, b;
        memcpy(&a, s, 4);
        memcpy(&b, s + n - 4, 4);
        memcpy(d, &a, 4);
        memcpy(d + n - 4, &b, 4);
    } else if (n < 4) {
        for (size_t i = 0; i < n; i++)
            d[i] = (uint8_t)s[i];
    } else {
        memcpy(d, s, n);
    }
    return d + n;
}

static inline uint8_t *put_len(uint8_t *p, size_t n)
{
    if (n < 0x80) {
        *p = (uint8_t)n;
        return p + 1;
    }
    return varint_put(p, n);
}

/* What block_put() writes beside name and value: three keys, three lengths of at most ten bytes. */
#define BLOCK_PUT_EXTRA 33

static inline uint8_t *block_put(uint8_t *p, struct view name, struct view value)
{
    size_t inner = name.n + value.n + 4;
    if (name.n >= 0x80 || value.n >= 0x80)
        inner = name.n + value.n + 2 + varint_size(name.n) + varint_size(value.n);
    *p++ = 0x0a;
    p = put_len(p, inner);
    *p++ = 0x0a;
    p = put_bytes(put_len(p, name.n), name.p, name.n);
    *p++ = 0x12;
    return put_bytes(put_len(p, value.n), value.p, value.n);
}

#endif
