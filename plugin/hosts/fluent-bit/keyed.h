/* Things found by the bytes that name them, without taking those bytes apart. Who sends the same things in the same
 * order each time costs one comparison a thing: each remembers what was found after it the last time.
 *
 * A thing embeds `struct keyed` first. The table owns what is in it. Not locked. */
#ifndef GCW_HOSTS_FLUENT_BIT_KEYED_H
#define GCW_HOSTS_FLUENT_BIT_KEYED_H

#include "base/base.h"

struct keyed {
    struct keyed *chain; /* in its slot */
    struct keyed *after; /* found next the last time; NULL = none */
    uint64_t hash, used_ms;
    struct view key;
};

struct keyed_table {
    struct keyed **slot;
    size_t cap, count;   /* cap: a power of two, or 0 */
    struct keyed *first; /* found first the last time */
};

/* One pass over things in their order. Starts as {0}. */
struct keyed_walk {
    struct keyed *last;
};

/* A zeroed thing of `size` bytes with a copy of the key; NULL = out of memory. free() it if it is not added. */
void *keyed_new(size_t size, struct view key);
/* NULL = not there. What is found counts as used now. */
struct keyed *keyed_find(struct keyed_table *t, struct keyed_walk *walk, struct view key, uint64_t now_ms);
/* Adds what was not found; false = out of memory, and the thing is still the caller's. */
bool keyed_add(struct keyed_table *t, struct keyed_walk *walk, struct keyed *k, uint64_t now_ms);
/* Takes out what was last used before `before_ms`, unless `kept` (may be NULL) says otherwise, and hands it to `gone`.
 */
void keyed_sweep(struct keyed_table *t, uint64_t before_ms, bool (*kept)(const struct keyed *k),
                 void (*gone)(void *user, struct keyed *k), void *user);
/* Empties the table and gives its memory back. */
void keyed_clear(struct keyed_table *t, void (*gone)(void *user, struct keyed *k), void *user);

#endif
