/* Texts by number: an open hash table of numbers over pieces of a thousand symbols, which stay where they are. */
#include <stdlib.h>

#include "model/model.h"

#define PIECE (UINT32_C(1) << SYMBOL_BITS)

/* ---- the hash table: linear probing, at most three quarters full ------------------------------------------------ */

static void slot_put(struct symbols *s, uint32_t id)
{
    uint32_t k = symbol_of(s, id)->hash & (s->slots - 1);
    while (s->slot[k])
        k = (k + 1) & (s->slots - 1);
    s->slot[k] = id;
}

/* Closes the gap, so that no search ends at it too early. */
static void slot_take_out(struct symbols *s, uint32_t id)
{
    uint32_t mask = s->slots - 1, gap = symbol_of(s, id)->hash & mask;
    while (s->slot[gap] != id)
        gap = (gap + 1) & mask;
    for (uint32_t k = (gap + 1) & mask; s->slot[k]; k = (k + 1) & mask) {
        uint32_t home = symbol_of(s, s->slot[k])->hash & mask;
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
    uint32_t *slot = n < UINT32_C(1) << 31 ? calloc((size_t)n * 2, sizeof *slot) : NULL;
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

/* ---- one text ------------------------------------------------------------------------------------------------------
 */

/* What a text takes: itself with what malloc adds, its symbol, its share of the hash table (a slot is used for half the
 * time, on the whole) and its place in an encoder's table. */
static uint64_t text_cost(size_t len)
{
    return MAX((len + 8 + 15) & ~(size_t)15, (size_t)32) + sizeof(struct symbol) + 2 * sizeof(uint32_t) +
           sizeof(uint64_t);
}

/* Memory for the number `count`. */
static bool piece_room(struct symbols *s)
{
    struct symbol ***piece = &s->piece[s->count >> 2 * SYMBOL_BITS];
    if (s->count >> 2 * SYMBOL_BITS >= PIECE || (!*piece && !(*piece = calloc(PIECE, sizeof **piece))))
        return false;
    struct symbol **at = &(*piece)[s->count >> SYMBOL_BITS & (PIECE - 1)];
    return *at || (*at = calloc(PIECE, sizeof **at));
}

static uint32_t symbol_add(struct symbols *s, struct view text, uint32_t hash)
{
    if (s->live * UINT64_C(4) >= s->slots * UINT64_C(3) && !slots_grow(s))
        return 0;
    if (!s->free && !piece_room(s))
        return 0;
    char *copy = malloc(text.n);
    if (!copy)
        return 0;
    memcpy(copy, text.p, text.n);
    uint32_t id = s->free ? s->free : s->count++;
    if (s->free)
        s->free = symbol_of(s, id)->len;
    *symbol_of(s, id) = (struct symbol){copy, (uint32_t)text.n, hash, 0};
    s->live++, s->idle++;
    s->idle_bytes += text_cost(text.n);
    slot_put(s, id);
    // cppcheck-suppress memleak ; the symbol has it
    return id;
}

/* 0 = not there. */
static uint32_t look(const struct symbols *s, struct view text, uint32_t hash)
{
    for (uint32_t k = hash & (s->slots - 1); s->slot[k]; k = (k + 1) & (s->slots - 1)) {
        const struct symbol *at = symbol_of(s, s->slot[k]);
        if (at->hash == hash && at->len == text.n && memcmp(at->text, text.p, text.n) == 0)
            return s->slot[k];
    }
    return 0;
}

static uint32_t hash_of(struct view text) { return (uint32_t)hash_bytes(text.p, text.n, 0); }

static uint32_t find(struct symbols *s, struct view text)
{
    uint32_t hash = hash_of(text), id = look(s, text, hash);
    return id ? id : symbol_add(s, text, hash);
}

uint32_t symbols_find(struct symbols *s, struct view text)
{
    pthread_mutex_lock(&s->lock);
    uint32_t id = find(s, text);
    pthread_mutex_unlock(&s->lock);
    return id;
}

uint32_t symbols_bound(struct symbols *s)
{
    pthread_mutex_lock(&s->lock);
    uint32_t n = s->count;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* ---- label sets ---------------------------------------------------------------------------------------------------
 */

static uint32_t hold(struct symbols *s, struct view text)
{
    uint32_t id = find(s, text);
    if (!id || symbol_of(s, id)->holds++ > 0)
        return id;
    const uint64_t cost = text_cost(text.n);
    s->idle--, s->idle_bytes -= cost;
    s->held_bytes += cost;
    if (s->guard)
        guard_charge(s->guard, cost);
    return id;
}

static void drop(struct symbols *s, uint32_t id)
{
    struct symbol *at = symbol_of(s, id);
    ENSURE(at->holds > 0);
    if (--at->holds > 0)
        return;
    const uint64_t cost = text_cost(at->len);
    s->idle++, s->idle_bytes += cost;
    s->held_bytes -= cost;
    if (s->guard)
        guard_leave(s->guard, 0, cost);
}

static void drop_pairs(struct symbols *s, const uint64_t *pairs, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++) {
        drop(s, (uint32_t)pairs[k]);
        drop(s, (uint32_t)(pairs[k] >> 32));
    }
}

struct symbols *symbols_new(struct guard *guard)
{
    struct symbols *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    s->guard = guard;
    s->count = 1;
    s->slots = 512;
    s->slot = calloc(s->slots, sizeof *s->slot);
    s->name_label = s->slot ? hold(s, view_of("__name__")) : 0;
    if (!s->name_label) {
        symbols_free(s);
        return NULL;
    }
    return s;
}

void symbols_free(struct symbols *s)
{
    if (!s)
        return;
    for (uint32_t id = 1; id < s->count; id++)
        free(symbol_of(s, id)->text);
    for (uint32_t i = 0; i < PIECE && s->piece[i]; i++) {
        for (uint32_t k = 0; k < PIECE && s->piece[i][k]; k++)
            free(s->piece[i][k]);
        free(s->piece[i]);
    }
    if (s->guard && s->held_bytes)
        guard_leave(s->guard, 0, s->held_bytes);
    free(s->slot);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

bool symbols_hold(struct symbols *s, struct view block, uint64_t *pairs, uint32_t *metric_name)
{
    struct view name, value;
    uint32_t k = 0;
    bool ok = true;
    *metric_name = s->name_label;
    pthread_mutex_lock(&s->lock);
    while (ok && block_next(&block, &name, &value)) {
        uint32_t n = hold(s, name), v = n ? hold(s, value) : 0;
        ok = v != 0;
        if (ok)
            pairs[k++] = symbol_pair(n, v);
        else if (n)
            drop(s, n);
        if (n == s->name_label)
            *metric_name = v;
    }
    if (!ok)
        drop_pairs(s, pairs, k);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void symbols_release(struct symbols *s, const uint64_t *pairs, uint32_t n)
{
    pthread_mutex_lock(&s->lock);
    drop_pairs(s, pairs, n);
    pthread_mutex_unlock(&s->lock);
}

uint64_t symbols_missing(struct symbols *s, struct view block)
{
    struct view text[2];
    uint64_t bytes = 0;
    pthread_mutex_lock(&s->lock);
    while (block_next(&block, &text[0], &text[1]))
        for (unsigned i = 0; i < 2; i++) {
            uint32_t id = look(s, text[i], hash_of(text[i]));
            bytes += id && symbol_of(s, id)->holds > 0 ? 0 : text_cost(text[i].n);
        }
    pthread_mutex_unlock(&s->lock);
    return bytes;
}

bool symbols_sweep(struct symbols *s, uint32_t idle_max, uint64_t idle_bytes_max)
{
    pthread_mutex_lock(&s->lock);
    bool many = s->idle > idle_max || s->idle_bytes > idle_bytes_max;
    s->sweeps += many;
    for (uint32_t id = 1; many && id < s->count; id++) {
        struct symbol *at = symbol_of(s, id);
        if (!at->text || at->holds > 0)
            continue;
        slot_take_out(s, id);
        s->idle_bytes -= text_cost(at->len);
        free(at->text);
        *at = (struct symbol){.len = s->free};
        s->free = id;
        s->live--, s->idle--;
    }
    pthread_mutex_unlock(&s->lock);
    return many;
}
