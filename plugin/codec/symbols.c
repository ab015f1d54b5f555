/* Texts by number: an open hash table over two arrays, one for what the hot loop reads, one for the rest. */
#include "codec/symbols.h"

#include <stdlib.h>

bool symbols_init(struct symbols *s)
{
    *s = (struct symbols){.count = 1, .cap = 256, .slots = 512};
    s->hot = calloc(s->cap, sizeof *s->hot);
    s->cold = calloc(s->cap, sizeof *s->cold);
    s->slot = calloc(s->slots, sizeof *s->slot);
    return s->hot && s->cold && s->slot;
}

void symbols_free(struct symbols *s)
{
    for (uint32_t i = 1; s->cold && i < s->count; i++)
        free(s->cold[i].text);
    free(s->hot);
    free(s->cold);
    free(s->slot);
    *s = (struct symbols){0};
}

uint64_t symbols_memory(const struct symbols *s)
{
    return s->cap * (sizeof *s->hot + sizeof *s->cold) + s->slots * sizeof *s->slot + s->text_bytes +
           s->live * (uint64_t)16; /* what malloc adds */
}

/* ---- the hash table: linear probing, at most three quarters full ------------------------------------------------ */

static void slot_put(struct symbols *s, uint32_t id)
{
    uint32_t k = s->cold[id].hash & (s->slots - 1);
    while (s->slot[k])
        k = (k + 1) & (s->slots - 1);
    s->slot[k] = id;
}

/* Closes the gap, so that no search ends at it too early. */
static void slot_take_out(struct symbols *s, uint32_t id)
{
    uint32_t mask = s->slots - 1, gap = s->cold[id].hash & mask;
    while (s->slot[gap] != id)
        gap = (gap + 1) & mask;
    for (uint32_t k = (gap + 1) & mask; s->slot[k]; k = (k + 1) & mask) {
        uint32_t home = s->cold[s->slot[k]].hash & mask;
        if (((k - home) & mask) >= ((k - gap) & mask)) {
            s->slot[gap] = s->slot[k];
            gap = k;
        }
    }
    s->slot[gap] = 0;
}

static bool slots_grow(struct symbols *s)
{
    uint32_t *old = s->slot, n = s->slots;
    uint32_t *slot = calloc((size_t)n * 2, sizeof *slot);
    if (!slot)
        return false;
    s->slot = slot;
    s->slots = n * 2;
    for (uint32_t k = 0; k < n; k++)
        if (old[k])
            slot_put(s, old[k]);
    free(old);
    return true;
}

static bool numbers_grow(struct symbols *s)
{
    uint32_t cap = s->cap * 2;
    struct symbol_hot *hot = realloc(s->hot, cap * sizeof *hot);
    if (hot)
        s->hot = hot;
    struct symbol *cold = realloc(s->cold, cap * sizeof *cold);
    if (cold)
        s->cold = cold;
    if (!hot || !cold)
        return false;
    memset(hot + s->cap, 0, (cap - s->cap) * sizeof *hot);
    memset(cold + s->cap, 0, (cap - s->cap) * sizeof *cold);
    s->cap = cap;
    return true;
}

static uint32_t symbol_add(struct symbols *s, struct view text, uint32_t hash)
{
    if (s->live * UINT64_C(4) >= s->slots * UINT64_C(3) && !slots_grow(s))
        return 0;
    if (!s->free && s->count == s->cap && !numbers_grow(s))
        return 0;
    char *copy = malloc(text.n);
    if (!copy)
        return 0;
    memcpy(copy, text.p, text.n);
    uint32_t id = s->free ? s->free : s->count++;
    if (s->free)
        s->free = s->cold[id].len;
    s->hot[id] = (struct symbol_hot){0};
    s->cold[id] = (struct symbol){copy, (uint32_t)text.n, hash, 0};
    s->live++, s->idle++;
    s->text_bytes += text.n;
    slot_put(s, id);
    // cppcheck-suppress memleak ; `cold` has it
    return id;
}

uint32_t symbols_find(struct symbols *s, struct view text)
{
    uint32_t hash = (uint32_t)hash_bytes(text.p, text.n, 0);
    for (uint32_t k = hash & (s->slots - 1); s->slot[k]; k = (k + 1) & (s->slots - 1)) {
        const struct symbol *at = &s->cold[s->slot[k]];
        if (at->hash == hash && at->len == text.n && memcmp(at->text, text.p, text.n) == 0)
            return s->slot[k];
    }
    return symbol_add(s, text, hash);
}

void symbols_hold(struct symbols *s, uint32_t id) { s->idle -= s->cold[id].holds++ == 0; }

void symbols_release(struct symbols *s, uint32_t id)
{
    ENSURE(s->cold[id].holds > 0);
    s->idle += --s->cold[id].holds == 0;
}

void symbols_sweep(struct symbols *s, uint32_t stamp)
{
    for (uint32_t id = 1; id < s->count; id++) {
        struct symbol *at = &s->cold[id];
        if (!at->text || at->holds > 0 || s->hot[id].stamp == stamp)
            continue;
        slot_take_out(s, id);
        s->text_bytes -= at->len;
        free(at->text);
        *at = (struct symbol){.len = s->free};
        s->free = id;
        s->live--, s->idle--;
    }
}
