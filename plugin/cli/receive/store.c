/* Hash tables of series, streams and tenants, the set of lately seen entries, token buckets. */
#include <stdlib.h>

#include "cli/receive/store.h"

static struct slot **table_place(const struct table *t, struct view key, uint64_t hash)
{
    for (size_t i = hash & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
        struct slot *s = t->slots[i];
        if (!s || (s->hash == hash && view_eq(s->key, key)))
            return &t->slots[i];
    }
}

static bool table_grow(struct table *t)
{
    struct table bigger = {.cap = t->cap ? t->cap * 2 : 64, .item_size = t->item_size};
    bigger.slots = calloc(bigger.cap, sizeof(struct slot *));
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i])
            *table_place(&bigger, t->slots[i]->key, t->slots[i]->hash) = t->slots[i];
    free(t->slots);
    t->slots = bigger.slots;
    t->cap = bigger.cap;
    return true;
}

struct slot *table_find(const struct table *t, struct view key, uint64_t seed)
{
    return t->cap ? *table_place(t, key, hash_bytes(key.p, key.n, seed)) : NULL;
}

struct slot *table_add(struct table *t, struct view key, uint64_t seed)
{
    if (t->count * 4 >= t->cap * 3 && !table_grow(t))
        return NULL;
    uint64_t hash = hash_bytes(key.p, key.n, seed);
    struct slot **place = table_place(t, key, hash);
    if (*place)
        // cppcheck-suppress identicalInnerCondition ; a place that is empty is filled below
        return *place;
    struct slot *s = calloc(1, t->item_size + key.n + 1);
    if (!s)
        return NULL;
    char *copy = (char *)s + t->item_size; /* the key stands behind the item, terminated */
    memcpy(copy, key.p ? key.p : "", key.n);
    s->hash = hash;
    s->key = view_make(copy, key.n);
    t->count++;
    // cppcheck-suppress memleak ; the table owns it
    return *place = s;
}

static void table_free(struct table *t, void (*item_free)(struct slot *))
{
    for (size_t i = 0; i < t->cap; i++) {
        if (t->slots[i] && item_free)
            item_free(t->slots[i]);
        free(t->slots[i]);
    }
    free(t->slots);
}

static void series_free(struct slot *s) { free(((struct series *)s)->ooo_ms); }

static void tenant_free(struct slot *s)
{
    struct tenant *t = (struct tenant *)s;
    table_free(&t->series, series_free);
    table_free(&t->streams, NULL);
    free(t->entries.set[0]);
    free(t->entries.set[1]);
}

void store_init(struct store *s)
{
    *s =
        (struct store){.tenants.item_size = sizeof(struct tenant), .seed = (uint64_t)random_u32() << 32 | random_u32()};
}

void store_free(struct store *s)
{
    table_free(&s->tenants, tenant_free);
    s->tenants = (struct table){0};
}

struct tenant *store_tenant(struct store *s, const char *name)
{
    struct tenant *t = (struct tenant *)table_add(&s->tenants, view_of(name), s->seed);
    if (t && t->series.item_size == 0) {
        t->series.item_size = sizeof(struct series);
        t->streams.item_size = sizeof(struct stream);
    }
    return t;
}

/* ---- lately seen ------------------------------------------------------------------------------------------------ */

/* The place of the hash, or the free one where it belongs. */
static uint64_t *seen_place(uint64_t *set, size_t cap, uint64_t hash)
{
    size_t i = hash & (cap - 1);
    while (set[i] != 0 && set[i] != hash)
        i = (i + 1) & (cap - 1);
    return &set[i];
}

static bool seen_grow(struct seen *s)
{
    size_t cap = s->cap[0] ? s->cap[0] * 2 : 256;
    uint64_t *set = calloc(cap, sizeof *set);
    if (!set)
        return false;
    for (size_t i = 0; i < s->cap[0]; i++)
        if (s->set[0][i])
            *seen_place(set, cap, s->set[0][i]) = s->set[0][i];
    free(s->set[0]);
    s->set[0] = set;
    s->cap[0] = cap;
    return true;
}

bool seen_before(struct seen *s, uint64_t hash, uint64_t max)
{
    hash += hash == 0;
    for (size_t g = 0; g < 2; g++)
        if (s->cap[g] && *seen_place(s->set[g], s->cap[g], hash) == hash)
            return true;
    if (s->count[0] >= max && s->count[0] > 0) {
        free(s->set[1]);
        s->set[1] = s->set[0], s->cap[1] = s->cap[0], s->count[1] = s->count[0];
        s->set[0] = NULL, s->cap[0] = 0, s->count[0] = 0;
    }
    if (s->count[0] * 4 >= s->cap[0] * 3 && !seen_grow(s))
        return false; /* out of memory: a duplicate may go unseen, nothing else breaks */
    *seen_place(s->set[0], s->cap[0], hash) = hash;
    s->count[0]++;
    return false;
}

/* ---- rate ----------------------------------------------------------------------------------------------------------
 */

bool bucket_take(struct bucket *b, uint64_t n, uint64_t rate, uint64_t burst, int64_t now_ns)
{
    if (!b->used)
        *b = (struct bucket){.tokens = (double)burst, .filled_ns = now_ns, .used = true};
    if (now_ns > b->filled_ns) {
        b->tokens = MIN((double)burst, b->tokens + (double)(now_ns - b->filled_ns) / 1e9 * (double)rate);
        b->filled_ns = now_ns;
    }
    if ((double)n > b->tokens)
        return false;
    b->tokens -= (double)n;
    return true;
}
