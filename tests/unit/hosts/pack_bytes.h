/* The bytes of MessagePack: a type's byte and a number behind it. */
#ifndef TEST_HOSTS_PACK_BYTES_H
#define TEST_HOSTS_PACK_BYTES_H

#include "base/base.h"

/* `v` in so many bytes, the highest first. */
static inline void pack_number(struct buf *b, unsigned first, uint64_t v, int bytes)
{
    uint8_t out[9] = {(uint8_t)first};
    for (int i = 1; i <= bytes; i++)
        out[i] = (uint8_t)(v >> (8 * (bytes - i)));
    ENSURE(buf_append(b, out, (size_t)bytes + 1));
}

#endif
