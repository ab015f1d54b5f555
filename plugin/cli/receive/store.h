/* What the receiver remembers between requests, per tenant: the newest sample of each series, the newest entry of each
 * stream, lately stored entries, rate buckets. The caller guards it; pointers live as long as the store. */
#ifndef GCW_RECEIVE_STORE_H
#define GCW_RECEIVE_STORE_H

#include "base/base.h"

/* Anything found by a byte string: the first member of what a table holds. */
struct slot {
    uint64_t hash;
    struct view key;
};

struct table {
    struct slot **slots; /* open addressing, a power of two */
    size_t cap, count;
    size_t item_size;
};

#define OOO_CHUNK 32 /* samples in an out-of-order chunk of the Prometheus TSDB */

struct series {
    struct slot slot;
    bool has; /* a sample was accepted */
    uint8_t ooo_count;
    int64_t newest_ms;
    uint64_t newest_bits;
    int64_t *ooo_ms; /* times in the present out-of-order chunk; NULL until the first */
};

struct bucket {
    double tokens;
    int64_t filled_ns;
    bool used;
};

struct stream {
    struct slot slot;
    bool has;
    int64_t newest_ns;
    struct bucket rate;
};

/* A set of hashes that forgets: two generations, the older is dropped when the younger is full. */
struct seen {
    uint64_t *set[2]; /* 0 marks a free place */
    size_t cap[2], count[2];
};

struct tenant {
    struct slot slot; /* key: its name, terminated */
    struct table series, streams;
    bool head_has;
    int64_t head_ms; /* newest sample of all series */
    struct bucket metrics_rate, logs_rate;
    struct seen entries;
    uint64_t requests, samples, metadata, log_entries, rejected;
};

struct store {
    struct table tenants;
    uint64_t seed;
};

void store_init(struct store *s);
void store_free(struct store *s);
/* These create what is not there yet; NULL = out of memory. */
struct tenant *store_tenant(struct store *s, const char *name);
struct slot *table_find(const struct table *t, struct view key, uint64_t seed);
struct slot *table_add(struct table *t, struct view key, uint64_t seed);

/* True if the hash was seen before, among the last max to 2*max ones; remembers it otherwise. */
bool seen_before(struct seen *s, uint64_t hash, uint64_t max);

/* Takes n tokens, or none and says false. A bucket starts full. */
bool bucket_take(struct bucket *b, uint64_t n, uint64_t rate, uint64_t burst, int64_t now_ns);

#endif
