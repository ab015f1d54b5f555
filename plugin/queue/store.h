/* Private to queue/: the chain of segment files of one route, and the RAM part of its FIFO.
 *
 *     segment -> segment -> segment (tail: written to)          files, oldest first
 *       |   |                     |
 *     done  read                 end
 *
 * What lies before `done` has ended; from there to `read` it is in RAM; from `read` on it is on disk only. */
#ifndef GCW_QUEUE_STORE_H
#define GCW_QUEUE_STORE_H

#include "queue/segment.h"

struct segment {
    struct segment *next;
    uint64_t number;
    uint64_t order;              /* over all routes, by age: what drop_oldest drops first */
    uint64_t end, synced_end;    /* of its last record */
    struct amount total, synced; /* all of its records */
    struct amount read;          /* not on disk only: ended, or in RAM */
    struct segment_mark mark;    /* what has ended */
    uint64_t file_bytes;         /* counted in queue.disk_bytes */
    int64_t first_sealed_unix_ms;
    uint64_t last_seq;
    bool closed; /* nothing is written to it any more, but marks */
    bool dirty, mark_dirty;
};

/* Receipt shares of a request whose copy in RAM is gone. */
struct promise {
    struct promise *next;
    uint64_t segment, at;
    struct receipt_share *shares;
    uint32_t share_count;
};

struct fifo {
    struct route_id id; /* tenant is a copy; NULL = never named */
    uint32_t route;
    struct sealed *head, *tail; /* RAM, in order */
    struct sealed *before_disk; /* with disk.requests > 0: the last one ahead of what is on disk only, NULL = none */
    struct sealed *unsynced;    /* the first that is in a file but not synced; NULL = none */
    struct sealed *fresh;       /* the first that is in no file; all behind it are not either */
    struct segment *first, *last;
    struct segment *read; /* with disk.requests > 0: where the next record is */
    uint64_t read_at;
    struct amount disk; /* on disk only */
    uint64_t next_number;
    struct promise *promise, **promise_end;
    bool flying;
    uint32_t ended; /* records of the oldest request that have, while others have not */
    uint64_t turn;  /* requests that were the oldest */
};

struct queue {
    struct queue_config config;
    struct queue_ops ops;
    const struct disk_ops *disk;
    struct fifo **fifo; /* by route; NULL = not named */
    uint32_t routes;
    uint64_t boot, order;
    uint64_t disk_bytes, syncs;
    bool dir_dirty;
    /* a disk that fails is left alone for a while */
    bool failing, full, unreadable;
    uint64_t retry_ms, retry_delay_ms;
    int64_t unix_less_mono_ms; /* to date what an earlier writer sealed */
    struct amount waiting[GCW_SIGNALS], recovered[GCW_SIGNALS];
    uint64_t damaged[GCW_SIGNALS];
};

/* The route's oldest request is on disk only. */
static inline bool oldest_on_disk(const struct fifo *f) { return f->disk.requests > 0 && !f->before_disk; }

/* queue.c */
void fifo_unlink(struct fifo *f, struct sealed *s); /* from RAM */

/* store.c: files. Those that return int give 0 or -errno. */
struct segment *segment_find(const struct fifo *f, uint64_t number);
void segment_unlink(struct fifo *f, struct segment *s);
int store_append(struct queue *q, struct fifo *f, struct sealed *s); /* -EDQUOT at disk_limit */
void store_keep_limit(struct queue *q); /* drop_oldest: what was found may be more than is allowed */
/* Writes the trailer if it can: the next open is quicker with it. */
void store_close_tail(struct queue *q, struct fifo *f);
/* Cuts off what lies behind s->end, if the disk lets it. */
void store_cut(struct queue *q, const struct fifo *f, struct segment *s);
int store_sync_segment(struct queue *q, const struct fifo *f, struct segment *s);
/* Everything before `end` has ended; removes the file when nothing is left in it. */
void store_mark(struct queue *q, struct fifo *f, struct segment *s, uint64_t end, struct amount ended);
void store_remove(struct queue *q, struct fifo *f, struct segment *s);
/* Reads the record at the cursor. *s NULL and 0: nothing is left on disk. -ENOBUFS: no memory at present. Damage is
 * told and passed over. */
int store_load(struct queue *q, struct fifo *f, struct sealed **s);
void store_say(struct queue *q, gcw_log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The oldest request is gone; how many of its records had ended before. */
uint32_t fifo_turn(struct fifo *f);

/* loss.c: records that end in the queue. `oldest`: with them the route's oldest request. */
void loss_tell(struct queue *q, struct fifo *f, struct amount lost, bool oldest, const struct promise *promise,
               const char *why);
/* All that is in the segment and not read. */
void loss_segment_rest(struct queue *q, struct fifo *f, struct segment *s, bool oldest, const char *why);
struct promise *promise_take(struct fifo *f, uint64_t segment, uint64_t at);
void promise_free(struct promise *p);
/* Drops the oldest segment that holds nothing in flight; false = there is none. */
bool evict_oldest_segment(struct queue *q);

#endif
