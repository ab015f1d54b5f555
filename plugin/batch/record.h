/* Private to batch/: records, the chunks they lie in, batches. */
#ifndef GCW_BATCH_RECORD_H
#define GCW_BATCH_RECORD_H

#include <pthread.h>

#include "batch/batch.h"

#define CHUNK_BYTES  (32 * KIB)
#define CHUNK_SHARES 4

enum record_kind {
    RECORD_SAMPLE,
    RECORD_SAMPLE_INLINE,
    RECORD_ENTRY,
    RECORD_METADATA,
    RECORD_RELEASE,
    RECORD_POINT,
    RECORD_GROUP,
    RECORD_RELEASE_GROUP
};

/* Head of every record; `size` counts the whole record and is a multiple of 8. */
struct record {
    uint32_t size;
    uint32_t kind; /* enum record_kind */
};

struct record_sample {
    struct record head;
    struct interned *series;
    uint64_t value_bits;
    int64_t time_ms;
};

struct record_sample_inline {
    struct record head;
    uint64_t value_bits;
    int64_t time_ms;
    uint32_t block_len;
    char block[];
};

struct record_entry {
    struct record head;
    struct interned *stream;
    int64_t time_ns;
    struct record_entry *next; /* the sealer's: next entry of the stream in this batch */
    uint32_t line_len, metadata_len;
    char text[]; /* line, metadata */
};

struct record_metadata {
    struct record head;
    uint32_t type, family_len, help_len, unit_len;
    char text[]; /* family, help, unit */
};

/* A sample or histogram with what goes beside it; its label block in `text` if there is no series. */
struct record_point {
    struct record head;
    struct interned *series;
    uint64_t value_bits;
    int64_t time_ms, start_ms;
    uint32_t block_len, histogram_len, bounds_len, exemplars_len;
    char text[]; /* block, histogram, bounds, exemplars */
};

/* A sample for each series of a group: one piece of memory here, so that no limit or overflow comes between them. */
struct record_group {
    struct record head;
    const struct group *group;
    int64_t time_ms, start_ms;
    uint64_t exemplars_len;
    uint64_t value_bits[]; /* one a series; then exemplars, see group_exemplars_put() */
};

/* What a chunk has that remote write 1.0 may not be able to say. */
enum beyond { BEYOND_HISTOGRAMS = 1, BEYOND_CUSTOM_BUCKETS = 2 };

struct record_release {
    struct record head;
    struct interned *label_set;
};

/* A piece of memory that records are copied into, one behind the other. Owned by a stripe, then a route, then a batch.
 */
struct chunk {
    struct chunk *next;
    uint64_t wire_bytes; /* upper bound of what the records take encoded (log lines: unescaped) */
    uint64_t first_ms;   /* monotonic, when the first record came */
    uint32_t used, cap;
    uint32_t records; /* samples or entries; those of a group each */
    uint32_t beyond;  /* enum beyond */
    uint32_t share_count;
    bool has_release, has_group;
    struct receipt_share shares[CHUNK_SHARES];
    _Alignas(8) uint8_t data[];
};

struct batch {
    struct batch *next;
    struct chunk *first, *last;
    uint64_t seq;
    uint64_t wire_bytes;
    uint64_t records;
    uint32_t route;
    gcw_signal signal;
    const struct destination *destination;
    const char *tenant;
    uint16_t lane, lanes;
};

/* The unit of order: one lane of a destination. Under the batcher's lock, but for the names set at birth. */
struct route {
    struct destination *destination;
    uint32_t index;
    struct chunk *first, *last; /* the open batch */
    uint64_t wire_bytes, records;
    uint64_t first_ms; /* oldest record not in a closed batch, 0 = none: no later than its real time */
    uint64_t last_seq; /* of the last batch closed */
};

#define STRIPES_MIN 8u /* of a destination; the same number for each lane */
#define LANES_MAX   64

/* Padded so that two stripes' locks never share a cache line. */
struct stripe {
    struct latch lock;
    struct chunk *open; /* NULL = none */
    struct route *route;
    uint64_t accepted;
    struct fingerprints seen;
    uint64_t seen_since_ms;
    _Atomic uint64_t first_ms; /* of the open chunk; 0 = nothing in it */
} __attribute__((aligned(64)));

struct destination {
    struct destination *next;
    struct batcher *batcher;
    void *user;
    char *tenant;
    gcw_signal signal;
    unsigned lanes, stripes; /* stripe i feeds lane i % lanes */
    struct route *route;     /* [lanes] */
    struct stripe stripe[];
};

struct batcher {
    struct batcher_config config;
    struct batcher_ops ops;
    pthread_mutex_t lock;
    pthread_cond_t ready_cond;
    struct destination *destinations;
    uint64_t destination_count;
    _Atomic uint32_t route_count;
    struct route **route; /* by index; grows, under the lock */
    struct batch *ready_first, **ready_last;
    struct chunk *pool;
    unsigned pool_count;
    bool woken;
};

/* What a sample takes beside its label block, at the most: entry key and length 6, sample key and length 2, value 9,
 * time 11; start time. A log entry: brackets, quotes, commas, 20 digits of time. */
#define SAMPLE_WIRE 28
#define START_WIRE  11
#define ENTRY_WIRE  32

uint64_t group_wire(const struct group *g, size_t exemplars);
/* group.c: the exemplars of one series after another, as they come in a record. */
struct view group_exemplars(const struct record_group *r);
/* Those of `series`, if they are the next: packed, and `rest` moves on. */
struct view group_exemplars_take(struct view *rest, uint32_t series);

/* chunk.c */
struct chunk *chunk_take(struct batcher *b, size_t need, bool force, gcw_status *status);
void chunk_give(struct batcher *b, struct chunk *c);
void chunk_pool_free(struct batcher *b);

/* intake -> route; takes the batcher's lock */
void route_add_chunk(struct route *r, struct chunk *c);
/* A stripe got its first record: the encoder must know when it is due. */
void route_started(struct route *r, uint64_t now_ms);

/* The encoder takes what lies in the stripes of a route; takes and drops their locks one by one. */
void route_sweep(struct route *r);

static inline const struct record *chunk_record(const struct chunk *c, uint32_t at)
{
    return (const struct record *)(const void *)(c->data + at);
}

#endif
