/* The label block: varints and reading labels back. Writing stands in labels.c. */
#include "model/model.h"

size_t varint_size(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

uint8_t *varint_put(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

static uint64_t varint_take(struct view *b)
{
    uint64_t v = 0;
    for (unsigned shift = 0; b->n > 0 && shift < 64; shift += 7) {
        uint8_t c = (uint8_t)*b->p++;
        b->n--;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            break;
    }
    return v;
}

static struct view field_take(struct view *b, char key)
{
    ENSURE(b->n >= 2 && b->p[0] == key);
    b->p++, b->n--;
    uint64_t n = varint_take(b);
    ENSURE(n <= b->n);
    struct view field = view_make(b->p, (size_t)n);
    b->p += n, b->n -= (size_t)n;
    return field;
}

bool block_next(struct view *block, struct view *name, struct view *value)
{
    if (block->n == 0)
        return false;
    struct view label = field_take(block, 0x0a);
    *name = field_take(&label, 0x0a);
    *value = field_take(&label, 0x12);
    return true;
}
