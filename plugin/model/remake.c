/* Label blocks of series that are kept as symbols: for receivers of remote write 1.0 only, where 2.0 was hoped for. */
#include "model/block.h"

static size_t label_size(struct view name, struct view value)
{
    size_t inner = 2 + varint_size(name.n) + name.n + varint_size(value.n) + value.n;
    return 1 + varint_size(inner) + inner;
}

/* Labels from the k-th on. */
static void write_from(struct block_maker *m, const struct symbols *s, const struct interned *i, uint32_t k)
{
    const uint64_t *pair = interned_symbols(i);
    uint32_t *at = (uint32_t *)(void *)m->at.p;
    uint8_t *p = m->block.p + at[k];
    for (; k < i->labels; k++) {
        p = block_put(p, symbols_text(s, (uint32_t)pair[k]), symbols_text(s, (uint32_t)(pair[k] >> 32)));
        at[k + 1] = (uint32_t)(p - m->block.p);
    }
    m->block.n = (size_t)(p - m->block.p);
}

/* Those that differ, as long as each fits where its counterpart was. Returns the first that does not, or `labels`. */
static uint32_t write_differing(struct block_maker *m, const struct symbols *s, const struct interned *i)
{
    const uint64_t *pair = interned_symbols(i), *before = (const uint64_t *)(const void *)m->pairs.p;
    const uint32_t *at = (const uint32_t *)(const void *)m->at.p;
    for (uint32_t k = 0; k < i->labels; k++) {
        if (pair[k] == before[k])
            continue;
        struct view name = symbols_text(s, (uint32_t)pair[k]), value = symbols_text(s, (uint32_t)(pair[k] >> 32));
        if (label_size(name, value) != at[k + 1] - at[k])
            return k;
        block_put(m->block.p + at[k], name, value);
    }
    return i->labels;
}

struct view block_remake(struct block_maker *m, const struct symbols *s, const struct interned *i)
{
    const size_t pairs = interned_body(i), at = (i->labels + 1) * sizeof(uint32_t);
    bool alike = m->pairs.n == pairs;
    m->block.n = m->pairs.n = m->at.n = 0;
    /* what was there stays there, also where a buffer moves */
    if ((m->block.cap < i->block_len + BLOCK_PUT_EXTRA || m->pairs.cap < pairs || m->at.cap < at)) {
        alike = false;
        if (!buf_reserve(&m->block, i->block_len + BLOCK_PUT_EXTRA) || !buf_reserve(&m->pairs, pairs) ||
            !buf_reserve(&m->at, at))
            return view_make("", 0);
    }
    if (!alike)
        ((uint32_t *)(void *)m->at.p)[0] = 0;
    uint32_t from = alike ? write_differing(m, s, i) : 0;
    if (from < i->labels)
        write_from(m, s, i, from);
    memcpy(m->pairs.p, interned_symbols(i), pairs);
    m->pairs.n = pairs;
    m->block.n = i->block_len;
    ENSURE(((const uint32_t *)(const void *)m->at.p)[i->labels] == i->block_len);
    return buf_view(&m->block);
}

void block_maker_free(struct block_maker *m)
{
    buf_free(&m->block);
    buf_free(&m->pairs);
    buf_free(&m->at);
}
