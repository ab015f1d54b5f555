/* See keyed.h. */
#include "hosts/fluent-bit/keyed.h"

#include <stdlib.h>

void *keyed_new(size_t size, struct view key)
{
    struct keyed *k = calloc(1, size + key.n);
    if (!k)
        return NULL;
    char *copy = (char *)k + size;
    if (key.n > 0)
        memcpy(copy, key.p, key.n);
    k->key = view_make(copy, key.n);
    return k;
}

/* From now on k is what follows the last one found. */
static void walk_step(struct keyed_table *t, struct keyed_walk *walk, struct keyed *k)
{
    if (walk->last)
        walk->last->after = k;
    else
        t->first = k;
    walk->last = k;
}

struct keyed *keyed_find(struct keyed_table *t, struct keyed_walk *walk, struct view key, uint64_t now_ms)
{
    struct keyed *k = walk->last ? walk->last->after : t->first;
    if (!k || !view_eq(k->key, key)) {
        uint64_t hash = hash_bytes(key.p, key.n, 0);
        k = t->cap ? t->slot[hash & (t->cap - 1)] : NULL;
        while (k && (k->hash != hash || !view_eq(k->key, key)))
            k = k->chain;
        if (!k)
            return NULL;
        walk_step(t, walk, k);
    }
    walk->last = k;
    k->used_ms = now_ms;
    return k;
}

static bool table_grow(struct keyed_table *t)
{
    size_t cap = t->cap ? t->cap * 2 : 16;
    struct keyed **slot = calloc(cap, sizeof(struct keyed *));
    if (!slot)
        return false;
    for (size_t i = 0; i < t->cap; i++)
        for (struct keyed *k = t->slot[i], *next; k; k = next) {
            next = k->chain;
            k->chain = slot[k->hash & (cap - 1)];
            slot[k->hash & (cap - 1)] = k;
        }
    free(t->slot);
    t->slot = slot;
    t->cap = cap;
    return true;
}

bool keyed_add(struct keyed_table *t, struct keyed_walk *walk, struct keyed *k, uint64_t now_ms)
{
    if (t->count >= t->cap && !table_grow(t))
        return false;
    k->hash = hash_bytes(k->key.p, k->key.n, 0);
    k->used_ms = now_ms;
    struct keyed **slot = &t->slot[k->hash & (t->cap - 1)];
    k->chain = *slot;
    *slot = k;
    t->count++;
    walk_step(t, walk, k);
    return true;
}

/* Memories of the order may point at what goes. */
static void order_forget(struct keyed_table *t)
{
    t->first = NULL;
    for (size_t i = 0; i < t->cap; i++)
        for (struct keyed *k = t->slot[i]; k; k = k->chain)
            k->after = NULL;
}

void keyed_sweep(struct keyed_table *t, uint64_t before_ms, bool (*kept)(const struct keyed *k),
                 void (*gone)(void *user, struct keyed *k), void *user)
{
    struct keyed *out = NULL;
    for (size_t i = 0; i < t->cap; i++)
        for (struct keyed **at = &t->slot[i]; *at;) {
            struct keyed *k = *at;
            if (k->used_ms >= before_ms || (kept && kept(k))) {
                at = &k->chain;
                continue;
            }
            *at = k->chain;
            k->chain = out;
            out = k;
            t->count--;
        }
    if (out)
        order_forget(t);
    for (struct keyed *next; out; out = next) {
        next = out->chain;
        gone(user, out);
    }
}

void keyed_clear(struct keyed_table *t, void (*gone)(void *user, struct keyed *k), void *user)
{
    keyed_sweep(t, UINT64_MAX, NULL, gone, user);
    free(t->slot);
    *t = (struct keyed_table){0};
}
