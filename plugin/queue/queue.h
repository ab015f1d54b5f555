/* queue/: sealed requests at rest. One FIFO per route, in memory, on disk, or both.
 *
 *     push -> [ RAM, oldest ... ][ on disk only ... ][ RAM, newest ]        of one route
 *              head, is sent next
 *
 * memory    RAM alone.
 * spill     RAM; queue_make_room(), queue_spill() and queue_close() write a route's requests to disk.
 * durable   queue_commit() writes and syncs every request; RAM holds copies of the oldest as long as there is room.
 *
 * On disk a route is a chain of segment files (segment.h), each removed when the last request in it has ended: a route
 * that is stuck keeps its own files only. No I/O of its own: files and memory come in as functions, time as an
 * argument. Not locked: it belongs to the delivery thread. It owns what is in it; memory is counted by the owner. */
#ifndef GCW_QUEUE_H
#define GCW_QUEUE_H

#include "base/base.h"
#include "codec/codec.h"

enum queue_mode { QUEUE_MEMORY, QUEUE_SPILL, QUEUE_DURABLE };

struct queue_config {
    enum queue_mode mode;
    uint64_t disk_limit;    /* bytes of all files together */
    uint64_t segment_bytes; /* a file is closed at this size; 0 = a sixteenth of disk_limit within 256 KiB and 16 MiB */
    bool drop_oldest;       /* at disk_limit: drop the oldest requests; otherwise new ones stay in memory */
    uint64_t boot;          /* random, another one for each writer */
    const struct disk_ops *disk; /* NULL with QUEUE_MEMORY; must outlive the queue */
};

/* Records that ended here, without having been sent. */
struct queue_loss {
    gcw_signal signal;
    const char *tenant;
    uint32_t route;
    uint64_t requests, records; /* known counts; what a damaged header held is not known */
    const char *why;            /* "damaged on disk: FILE at OFFSET", ... */
};

struct queue_ops {
    void *ctx;
    /* Memory for a request read back from disk; false = none at present. */
    bool (*take)(void *ctx, uint64_t bytes);
    /* The request (NULL: none came of it) leaves RAM: free it, give the charge back. Its records have not ended, or
     * lost() told of them; it has no receipt shares. */
    void (*unload)(void *ctx, struct sealed *s, uint64_t charge);
    /* Everything in the request is on disk and synced now. It stays the queue's. */
    void (*durable)(void *ctx, struct sealed *s);
    void (*lost)(void *ctx, const struct queue_loss *loss, const struct receipt_share *shares, uint32_t share_count);
    void (*log)(void *ctx, gcw_log_level level, const char *text);
};

struct queue;
struct queue *queue_new(const struct queue_config *config, const struct queue_ops *ops);
void queue_free(struct queue *q); /* nothing may be in RAM: queue_close() or queue_pop() it first */

/* Names a route; before anything is pushed to it. A route on disk is known by these names, not by its number. */
struct route_id {
    gcw_signal signal;
    uint16_t lane, lanes;
    const char *tenant; /* "" = none; copied */
};
bool queue_route(struct queue *q, uint32_t route, const struct route_id *id); /* false = out of memory */

/* Finds what an earlier writer left. `route_of` gives the number of a route, UINT32_MAX to leave its files alone (a
 * signal not in use). Torn ends are cut, damage is named in the log. GCW_ERR_UNSUPPORTED for files of another
 * version (nothing is changed then), GCW_ERR_IO. */
gcw_status queue_recover(struct queue *q, uint32_t (*route_of)(void *ctx, const struct route_id *id), void *ctx,
                         uint64_t now_ms, int64_t now_unix_ms, gcw_error *err);

bool queue_push(struct queue *q, struct sealed *s); /* at the tail of s->route; false = out of memory */

enum queue_head_state {
    QUEUE_EMPTY,
    QUEUE_READY,
    QUEUE_BLOCKED, /* something waits on disk, but memory or the disk does not give it now: ask again later */
};
enum queue_head_state queue_head(struct queue *q, uint32_t route, const struct sealed **head);
/* The head is being sent: until queue_pop() or queue_landed() it is not dropped. */
void queue_flying(struct queue *q, uint32_t route);
void queue_landed(struct queue *q, uint32_t route);
/* Takes the head, which must be in RAM (queue_head() said so), off for good; the caller owns it. */
struct sealed *queue_pop(struct queue *q, uint32_t route);
/* `n` more records of the head have ended, the head as a whole has not: what is told of it later is the rest. */
void queue_ended_part(struct queue *q, uint32_t route, uint32_t n);
uint32_t queue_ended(const struct queue *q, uint32_t route);
/* Another number whenever another request has become the route's oldest. */
uint64_t queue_turn(const struct queue *q, uint32_t route);
/* After queue_close(): takes what could not be put on disk, one by one; NULL at the end. *ended: records of it that
 * already have. */
struct sealed *queue_abandon(struct queue *q, uint32_t route, uint32_t *ended);
gcw_signal queue_signal(const struct queue *q, uint32_t route);
/* batch_seq of the route's oldest request; UINT64_MAX = empty, 0 = an earlier writer's, or on disk and not known. */
uint64_t queue_oldest_seq(const struct queue *q, uint32_t route);
bool queue_empty(const struct queue *q, uint32_t route);

/* Durable: writes and syncs what is not on disk yet, then durable() for each. After an error it goes on in memory, says
 * so once, and tries again later. Returns the monotonic ms of that, UINT64_MAX if all is well. */
uint64_t queue_commit(struct queue *q, uint64_t now_ms);
/* Spill: puts everything of this route on disk. */
void queue_spill(struct queue *q, uint32_t route, uint64_t now_ms);
/* Frees memory: writes requests out where need be and drops their copies in RAM, newest first. Bytes of charge freed.
 */
uint64_t queue_make_room(struct queue *q, uint64_t bytes, uint64_t now_ms);
/* overflow=drop_oldest: takes the oldest request that is in RAM alone and not flying; NULL if none. *ended: as
 * above. */
struct sealed *queue_take_oldest(struct queue *q, uint32_t *ended);
/* Everything that can be is written, synced and unloaded; what is left in RAM could not be. */
void queue_close(struct queue *q, uint64_t now_ms);

uint32_t queue_routes(const struct queue *q); /* highest route named + 1 */

struct queue_gauges {
    uint64_t requests, records, bytes; /* waiting, in RAM or on disk; bytes as sent */
    uint64_t disk_requests, disk_records;
    uint64_t recovered_requests, recovered_records; /* found by queue_recover() */
    uint64_t damaged;                               /* requests and regions that could not be read back */
    int64_t oldest_ms; /* monotonic, when the oldest was sealed, negative: before this start; INT64_MAX = none */
};
void queue_gauges(const struct queue *q, gcw_signal signal, struct queue_gauges *out);
uint64_t queue_disk_bytes(const struct queue *q); /* of all files */
uint64_t queue_syncs(const struct queue *q);      /* syncs of files so far */
bool queue_disk_failing(const struct queue *q);

#include "queue/segment.h" /* the files, for those who look into them without a queue */

#endif
