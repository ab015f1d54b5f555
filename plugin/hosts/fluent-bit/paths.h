/* Paths into a record, as one tree: the values that labels, metadata and tenant come from, each with a slot, and what
 * leaves the line. A record is walked once for all slots together. */
#ifndef GCW_HOSTS_FLUENT_BIT_PATHS_H
#define GCW_HOSTS_FLUENT_BIT_PATHS_H

#include "hosts/fluent-bit/msgpack.h"

struct path_step {
    bool indexes; /* an array, by `index`; else a map, by `key` */
    uint32_t index;
    struct view key;
};

/* A node stands for the steps on the way to it. Nodes are numbered; 0 is the record itself, so that 0 as child or
 * sibling is none. */
struct path {
    struct path_step step;
    uint32_t child, sibling;
    uint32_t same_hash; /* next of the record's own keys with that hash */
    int32_t slot;       /* -1 = nobody asks for the value */
    bool removed;       /* from the line, with all below */
    bool removed_below, wanted_below;
    uint64_t seen; /* number of the record it was last seen in */
};

struct paths {
    struct path *nodes;
    uint32_t count, cap;
    uint32_t top[256];     /* the record's own keys, by hash */
    struct msgpack *slots; /* where in the record the value of each stands; p NULL = nowhere */
    uint32_t slot_count;
    uint64_t record; /* number of the one at hand */
};

/* A hash for tables of a few keys, cheap to have: of the length and three bytes. */
static inline uint8_t key_hash(struct view key)
{
    if (key.n == 0)
        return 0;
    const uint8_t *p = (const uint8_t *)key.p;
    uint32_t h = (uint32_t)key.n + p[0] * 0x101u + p[key.n / 2] * 0x10001u + p[key.n - 1] * 0x1000003u;
    return (uint8_t)(h * 0x9e3779b1u >> 24);
}

void paths_free(struct paths *paths);
/* Copies the steps (at least one). *slot is the value's; false = out of memory. */
bool paths_want(struct paths *paths, const struct path_step *steps, size_t count, uint32_t *slot);
bool paths_remove(struct paths *paths, const struct path_step *steps, size_t count);

/* The node of a key or an element below `node` (NULL = nothing is known below), NULL if none. */
const struct path *path_of_top_key(const struct paths *paths, struct view key);
const struct path *path_of_top_hash(const struct paths *paths, struct view key, uint8_t hash);
const struct path *path_of_key(const struct paths *paths, const struct path *node, struct view key);
const struct path *path_of_element(const struct paths *paths, const struct path *node, uint32_t index);

/* A new record: all slots are empty. */
void paths_begin(struct paths *paths);
/* Fills slots from a record's body, or from the value at *m of a node, which moves behind it. Of a key that stands
 * twice the last counts, as in the host. Damaged bytes fill less; false then. */
void paths_capture(struct paths *paths, struct msgpack body);
bool paths_capture_value(struct paths *paths, const struct path *node, struct msgpack *m);
/* Fills what stands below one of the record's own keys from elsewhere, if the record did not have that key. */
void paths_capture_elsewhere(struct paths *paths, const char *key, struct msgpack value);
bool paths_know(const struct paths *paths, const char *key);

#endif
