/* Interning: one object per distinct label set, found by its block's hash.
 *
 * The table is chained and doubles at one label set a slot; it holds one lock, as interning is off the hot path. A
 * label set whose last reference went is out of the table at once, but freed later by its owner, who knows when the
 * last record that names it has been encoded. */
#include <pthread.h>
#include <stdlib.h>

#include "model/model.h"

struct intern_table {
    pthread_mutex_t lock;
    struct guard *guard;
    struct interned **slot;
    size_t slots, count;
    uint64_t seed;
    uint32_t made;
    bool symbols;
    void (*born)(struct interned *i);
};

struct intern_table *intern_table_new(struct guard *guard, uint64_t seed, void (*born)(struct interned *i))
{
    struct intern_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->slots = 64;
    t->slot = calloc(t->slots, sizeof *t->slot);
    if (!t->slot) {
        free(t);
        return NULL;
    }
    pthread_mutex_init(&t->lock, NULL);
    t->guard = guard;
    t->seed = seed;
    t->born = born;
    return t;
}

void intern_table_symbols(struct intern_table *t) { t->symbols = true; }

void intern_table_free(struct intern_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->slots; i++)
        for (struct interned *e = t->slot[i], *next; e; e = next) {
            next = e->next;
            intern_destroy(e);
        }
    free(t->slot);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

size_t interned_size(size_t block_len, uint32_t labels)
{
    return sizeof(struct interned) + (labels ? ((block_len + 7) & ~(size_t)7) + labels * sizeof(uint64_t) : block_len);
}

/* With the table's slot and malloc's head. */
static uint64_t intern_size(size_t block_len, uint32_t labels)
{
    return interned_size(block_len, labels) + sizeof(void *) + 16;
}

uint32_t block_labels(struct view block)
{
    struct view name, value;
    uint32_t n = 0;
    while (block_next(&block, &name, &value))
        n++;
    return n;
}

static bool same(const struct interned *e, uint64_t hash, const void *owner, struct view block)
{
    return e->hash == hash && e->owner == owner && view_eq(interned_block(e), block);
}

static void table_grow(struct intern_table *t)
{
    size_t slots = t->slots * 2;
    struct interned **slot = calloc(slots, sizeof *slot);
    if (!slot)
        return; /* longer chains still work */
    for (size_t i = 0; i < t->slots; i++)
        for (struct interned *e = t->slot[i], *next; e; e = next) {
            next = e->next;
            e->next = slot[e->hash & (slots - 1)];
            slot[e->hash & (slots - 1)] = e;
        }
    free(t->slot);
    t->slot = slot;
    t->slots = slots;
}

static struct interned *intern_add(struct intern_table *t, void *owner, uint64_t hash, struct view block,
                                   gcw_status *status)
{
    uint32_t labels = t->symbols ? block_labels(block) : 0;
    *status = GCW_ERR_LIMIT;
    if (!guard_admit(t->guard, block, intern_size(block.n, labels)))
        return NULL;
    struct interned *e = malloc(interned_size(block.n, labels));
    if (!e) {
        guard_leave(t->guard, 1, intern_size(block.n, labels));
        *status = GCW_ERR_NOMEM;
        return NULL;
    }
    if (t->count >= t->slots)
        table_grow(t);
    struct interned **slot = &t->slot[hash & (t->slots - 1)];
    *e = (struct interned){.owner = owner,
                           .next = *slot,
                           .hash = hash,
                           .refs = 1,
                           .block_len = (uint32_t)block.n,
                           .number = t->made++,
                           .labels = labels};
    memcpy(e->block, block.p, block.n);
    if (t->born)
        t->born(e);
    *slot = e;
    t->count++;
    return e;
}

struct interned *intern_acquire(struct intern_table *t, void *owner, struct view block, gcw_status *status)
{
    uint64_t hash = hash_bytes(block.p, block.n, t->seed);
    *status = GCW_OK;
    pthread_mutex_lock(&t->lock);
    struct interned *e = t->slot[hash & (t->slots - 1)];
    while (e && !same(e, hash, owner, block))
        e = e->next;
    if (e)
        e->refs++;
    else
        e = intern_add(t, owner, hash, block, status);
    if (e)
        *status = GCW_OK;
    pthread_mutex_unlock(&t->lock);
    return e;
}

/* One reference less; out of the table if it was the last. With the table locked. */
static bool unref(struct intern_table *t, struct interned *i)
{
    ENSURE(i->refs > 0);
    if (--i->refs > 0)
        return false;
    struct interned **link = &t->slot[i->hash & (t->slots - 1)];
    while (*link != i)
        link = &(*link)->next;
    *link = i->next;
    t->count--;
    guard_leave(t->guard, 1, intern_size(i->block_len, i->labels));
    return true;
}

bool intern_release(struct intern_table *t, struct interned *i)
{
    pthread_mutex_lock(&t->lock);
    bool last = unref(t, i);
    pthread_mutex_unlock(&t->lock);
    return last;
}

void intern_keep(struct intern_table *t, struct interned *i, uint64_t now_ms)
{
    pthread_mutex_lock(&t->lock);
    if (i->kept)
        i->refs--; /* not the last: the table has one */
    i->kept = true;
    i->used_ms = now_ms;
    pthread_mutex_unlock(&t->lock);
}

struct interned *intern_expire(struct intern_table *t, uint64_t before_ms)
{
    struct interned *out = NULL;
    pthread_mutex_lock(&t->lock);
    for (size_t k = 0; k < t->slots; k++)
        for (struct interned *i = t->slot[k], *next; i; i = next) {
            next = i->next;
            if (!i->kept || i->used_ms >= before_ms)
                continue;
            i->kept = false;
            if (unref(t, i)) {
                i->next = out;
                out = i;
            }
        }
    pthread_mutex_unlock(&t->lock);
    return out;
}

void intern_destroy(struct interned *i)
{
    free(i->payload);
    free(i);
}
