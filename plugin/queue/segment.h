/* The segment file: what is where. All numbers little-endian.
 *
 *     0      head, twice: magic, version, number, the route's names, checksum
 *     1024   two marks, at 1024 and 1536: up to where the records of this file have ended. Written in turns, each with
 *            a generation and a checksum, so that a torn one leaves the other
 *     2048   records, 8-byte aligned: head (magic, checksums, counts) and body, as it is sent
 *     end    a trailer with the totals, once the file is full; without it the file is scanned when opened
 *
 * A mark that is lost makes requests go out twice; nothing here can make one be forgotten. */
#ifndef GCW_QUEUE_SEGMENT_H
#define GCW_QUEUE_SEGMENT_H

#include "queue/queue.h"

#define SEGMENT_VERSION     2u /* 1 had record heads without the counts of exemplars and histograms; it is read */
#define SEGMENT_DATA        2048u
#define SEGMENT_RECORD_HEAD 88u
#define SEGMENT_TRAILER     64u
#define SEGMENT_TENANT_MAX  255u
#define SEGMENT_BODY_MAX    (64u * 1024 * 1024)
#define SEGMENT_NAME_MAX    128

/* So many requests, the records in them, the bytes of their bodies. */
struct amount {
    uint64_t requests, records, bytes;
};

static inline void amount_add(struct amount *a, struct amount b)
{
    a->requests += b.requests, a->records += b.records, a->bytes += b.bytes;
}

static inline struct amount amount_of(const struct sealed *s) { return (struct amount){1, s->records, s->len}; }

static inline void amount_sub(struct amount *a, struct amount b)
{
    ENSURE(a->requests >= b.requests && a->records >= b.records && a->bytes >= b.bytes);
    a->requests -= b.requests, a->records -= b.records, a->bytes -= b.bytes;
}

struct segment_head {
    uint64_t number; /* ascending within a route */
    struct route_id id;
    char tenant[SEGMENT_TENANT_MAX + 1]; /* what id.tenant points to after reading */
};

struct segment_mark {
    uint64_t generation; /* 0 = none */
    uint64_t end;        /* file offset: every record before it has ended */
    struct amount ended;
};

struct segment_trailer {
    struct amount total;
    int64_t first_sealed_unix_ms;
    uint64_t boot, last_seq; /* of its last record */
};

/* A record's head as it lies in the file; `size` is that of head, body and padding, `head` that of the head alone. */
struct segment_record {
    uint64_t size;
    uint32_t head;
    uint64_t boot, seq;      /* which writer wrote it, and its batch_seq there */
    uint64_t sealed_mono_ms; /* of that writer's clock */
    int64_t first_time, last_time, sealed_unix_ms;
    uint32_t records, metadata, exemplars, histograms, raw_len, len, body_crc;
    uint8_t protocol, encoding;
};

/* metrics-<tenant>-<hash of the route's names>-<number>.seg: the first part is for people. */
void segment_name(char out[SEGMENT_NAME_MAX], const struct route_id *id, uint64_t number);
bool segment_name_is(const char *name);

void segment_head_put(uint8_t out[SEGMENT_DATA], const struct segment_head *h); /* with the marks' place zeroed */
enum segment_head_state { SEGMENT_OK, SEGMENT_DAMAGED, SEGMENT_OTHER_VERSION };
/* *version is filled with SEGMENT_OTHER_VERSION. */
enum segment_head_state segment_head_get(const uint8_t *p, size_t n, struct segment_head *h, uint32_t *version);

/* Offset in the file where the mark of this generation goes. */
uint64_t segment_mark_at(uint64_t generation);
#define SEGMENT_MARK 48u
void segment_mark_put(uint8_t out[SEGMENT_MARK], const struct segment_mark *m);
/* The newer of the two that is whole; generation 0 if neither is. */
void segment_mark_get(const uint8_t *head, size_t n, struct segment_mark *m);

void segment_record_put(uint8_t out[SEGMENT_RECORD_HEAD], const struct segment_record *r);
bool segment_record_get(const uint8_t *p, size_t n, struct segment_record *r); /* false = not a whole head */
uint64_t segment_record_size(uint32_t len);

void segment_trailer_put(uint8_t out[SEGMENT_TRAILER], const struct segment_trailer *t);
bool segment_trailer_get(const uint8_t *p, size_t n, struct segment_trailer *t);

/* Walks the records of an open file from `at`: each() gets every whole head and its offset; with `bodies` its body is
 * checked first, and a record with a damaged one is passed to damaged(). Damage is skipped to the next whole head.
 * Returns the end of the last record, or -errno; *torn is the number of bytes behind it that hold none. */
struct segment_walk {
    void *ctx;
    bool bodies;
    bool (*each)(void *ctx, const struct segment_record *r, uint64_t at);                    /* false = stop */
    void (*damaged)(void *ctx, const struct segment_record *r, uint64_t at, uint64_t bytes); /* r NULL: head unknown */
};
int64_t segment_walk(const struct disk_ops *disk, int file, uint64_t at, const struct segment_walk *w, uint64_t *torn);

#endif
