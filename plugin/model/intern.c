/* Interning: one object per distinct label set, found by its block's hash.
 *
 * The table is chained and doubles at one label set a slot; it holds one lock, as interning is off the hot path. A
 * label set whose last reference went stays where it is until its owner, who knows when the last record that names it
 * has been encoded, has it reaped: who interns it again before that gets the same one, and its records take the same
 * way as before. */
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
    struct symbols *symbols; /* NULL = label sets are kept as blocks */
    void (*born)(struct interned *i, struct view block, uint32_t number);
};

struct intern_table *intern_table_new(struct guard *guard, uint64_t seed,
                                      void (*born)(struct interned *i, struct view block, uint32_t number))
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

struct symbols *intern_table_symbols(struct intern_table *t)
{
    if (!t->symbols)
        t->symbols = symbols_new(t->guard);
    return t->symbols;
}

static void interned_free(struct interned *i)
{
    free(i->payload);
    free(i);
}

void intern_table_free(struct intern_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->slots; i++)
        for (struct interned *e = t->slot[i], *next; e; e = next) {
            next = e->next;
            interned_free(e);
        }
    free(t->slot);
    symbols_free(t->symbols);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* What a label set takes in memory: the table's slot, and what malloc adds, with it. */
static uint64_t intern_size(size_t body)
{
    return ((sizeof(struct interned) + body + 8 + 15) & ~(size_t)15) + sizeof(struct interned *);
}

uint32_t block_labels(struct view block)
{
    struct view name, value;
    uint32_t n = 0;
    while (block_next(&block, &name, &value))
        n++;
    return n;
}

/* Symbols of a label set in the table are held, so that they may be read here. */
static bool same_text(const struct symbols *s, const struct interned *e, struct view block)
{
    const uint64_t *pair = interned_symbols(e);
    struct view name, value;
    for (uint32_t k = 0; k < e->labels; k++)
        if (!block_next(&block, &name, &value) || !view_eq(symbols_text(s, (uint32_t)pair[k]), name) ||
            !view_eq(symbols_text(s, (uint32_t)(pair[k] >> 32)), value))
            return false;
    return block.n == 0;
}

static bool same(const struct intern_table *t, const struct interned *e, uint64_t hash, const void *owner,
                 struct view block)
{
    if (e->hash != hash || e->owner != owner || e->block_len != block.n)
        return false;
    return e->labels ? same_text(t->symbols, e, block) : view_eq(interned_block(e), block);
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

/* A label set as it is kept, in no table yet. */
static struct interned *interned_new(struct intern_table *t, struct view block, uint32_t labels)
{
    size_t body = labels ? labels * sizeof(uint64_t) : block.n;
    struct interned *e = malloc(sizeof *e + body);
    if (!e)
        return NULL;
    *e = (struct interned){.refs = 1, .block_len = (uint32_t)block.n, .labels = labels};
    if (labels == 0) {
        memcpy(e->body, block.p, block.n);
    } else if (!symbols_hold(t->symbols, block, (uint64_t *)(void *)e->body, &e->symbol)) {
        free(e);
        return NULL;
    }
    return e;
}

/* Symbols count their texts themselves: what a label set will add is only shown to the guard. */
static bool admit(struct intern_table *t, struct view block, uint32_t labels, uint64_t size)
{
    uint64_t texts = labels ? symbols_missing(t->symbols, block) : 0;
    if (!guard_admit(t->guard, block, size + texts))
        return false;
    guard_leave(t->guard, 0, texts);
    return true;
}

static struct interned *intern_add(struct intern_table *t, void *owner, uint64_t hash, struct view block,
                                   gcw_status *status)
{
    uint32_t labels = t->symbols ? block_labels(block) : 0;
    uint64_t size = intern_size(labels ? labels * sizeof(uint64_t) : block.n);
    *status = GCW_ERR_LIMIT;
    if (!admit(t, block, labels, size))
        return NULL;
    struct interned *e = interned_new(t, block, labels);
    if (!e) {
        guard_leave(t->guard, 1, size);
        *status = GCW_ERR_NOMEM;
        return NULL;
    }
    if (t->count >= t->slots)
        table_grow(t);
    struct interned **slot = &t->slot[hash & (t->slots - 1)];
    e->owner = owner;
    e->next = *slot;
    e->hash = hash;
    if (t->born)
        t->born(e, block, t->made);
    t->made++;
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
    while (e && !same(t, e, hash, owner, block))
        e = e->next;
    if (!e) {
        e = intern_add(t, owner, hash, block, status);
    } else if (e->refs == 0 && !admit(t, block, e->labels, intern_size(interned_body(e)))) {
        *status = GCW_ERR_LIMIT;
        e = NULL;
    } else {
        e->refs++;
    }
    if (e)
        *status = GCW_OK;
    pthread_mutex_unlock(&t->lock);
    return e;
}

/* One reference less; true if it was the last. With the table locked. */
static bool unref(struct intern_table *t, struct interned *i)
{
    ENSURE(i->refs > 0);
    if (--i->refs > 0)
        return false;
    i->leaving++;
    guard_leave(t->guard, 1, intern_size(interned_body(i)));
    return true;
}

bool intern_reap(struct intern_table *t, struct interned *i)
{
    pthread_mutex_lock(&t->lock);
    ENSURE(i->leaving > 0);
    bool out = --i->leaving == 0 && i->refs == 0;
    if (out) {
        struct interned **link = &t->slot[i->hash & (t->slots - 1)];
        while (*link != i)
            link = &(*link)->next;
        *link = i->next;
        t->count--;
    }
    pthread_mutex_unlock(&t->lock);
    return out;
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

bool intern_expire(struct intern_table *t, uint64_t before_ms, void (*gone)(struct interned *i))
{
    bool any = false;
    pthread_mutex_lock(&t->lock);
    for (size_t k = 0; k < t->slots; k++)
        for (struct interned *i = t->slot[k]; i; i = i->next) {
            if (!i->kept || i->used_ms >= before_ms)
                continue;
            i->kept = false;
            if (unref(t, i)) {
                gone(i);
                any = true;
            }
        }
    pthread_mutex_unlock(&t->lock);
    return any;
}

void intern_destroy(struct symbols *s, struct interned *i)
{
    if (i->labels)
        symbols_release(s, interned_symbols(i), i->labels);
    interned_free(i);
}

struct view intern_metric_name(const struct intern_table *t, const struct interned *i)
{
    if (i->labels)
        return i->symbol == t->symbols->name_label ? view_make("", 0) : symbols_text(t->symbols, i->symbol);
    struct view block = interned_block(i), name, value;
    while (block_next(&block, &name, &value))
        if (view_is(name, "__name__"))
            return value;
    return view_make("", 0);
}
