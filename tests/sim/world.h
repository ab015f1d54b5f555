/* One run of the simulator: a host that pushes, the machine under test, its receivers, and what must hold. */
#ifndef GCW_SIM_WORLD_H
#define GCW_SIM_WORLD_H

#include "sim.h"

#define RECORDS_MAX 6000
#define ROUTES_MAX  4
#define FLIGHTS_MAX 8

/* What has become of a record, over all incarnations of the process. */
struct record {
    uint8_t route;
    bool receipt;  /* durable() told of it */
    bool ended;    /* settled one by one: delivered, rejected, expired, dropped from memory */
    bool refused;  /* the receiver said never again */
    bool taken;    /* the receiver has it */
    bool again_ok; /* its end was not known to the process: it may come again */
    bool order_ok; /* it was dropped: if it comes back nobody expects its place */
};

enum weather {
    FINE,
    BUSY,         /* 503 */
    AWAY,         /* no connection */
    RESET_BEFORE, /* reset, not taken */
    RESET_AFTER,  /* reset, taken */
    SLOW,         /* long latency, then fine */
    RATE,         /* 429, now and then with Retry-After */
    BAD,          /* 400: never again */
    PARTIAL,      /* 400 of Loki: some were kept */
    SMALL,        /* 413 above so many records */
    BURST,        /* 429 for ever above so many records */
    POISON,       /* 400 of Prometheus to a 1.0 request: for one bad record nothing is taken */
    WEATHERS
};

/* What the metrics receiver makes of remote write 2.0. */
enum speaks {
    SPEAKS_2,
    SPEAKS_1_SILENT, /* finds nothing in it, and says 204 */
    SPEAKS_1_415,
    SPEAKS_1_400,
    SPEAKS
};

struct flight {
    bool used, unsure; /* unsure: the process cannot know whether it was taken */
    enum protocol protocol;
    uint32_t route;
    uint64_t due_ms;
    uint32_t count, *id;
};

struct settings {
    enum queue_mode mode;
    uint64_t disk_limit, segment_bytes, memory_limit, max_age_ms, spill_after_ms;
    bool drop_oldest;
    bool others; /* the budget is not the queue's alone: now and then there is no room though there seems to be */
    unsigned routes, in_flight;
};

struct world {
    struct settings set;
    struct failure *failure;
    FILE *trace;
    struct chance chance;
    struct vdisk *vdisk;
    struct disk_ops disk;
    struct queue *queue;
    struct deliver *deliver;
    uint64_t now_ms, seq[ROUTES_MAX], memory, wanted;
    int64_t unix_ms;

    struct record record[RECORDS_MAX];
    uint32_t records;       /* ids 1 .. records */
    bool held[RECORDS_MAX]; /* by a request's first record: a receipt waits for it in this incarnation */
    bool in_parts[ROUTES_MAX];

    struct {
        enum weather weather;
        uint32_t at_most;
        uint32_t newest; /* largest id that was taken for the first time */
    } receiver[ROUTES_MAX];
    const struct flight *poisoned; /* refused for some of its records, while it is being answered */
    /* of this incarnation */
    uint32_t poison_refusals[ROUTES_MAX], refusals_before[ROUTES_MAX], heads[ROUTES_MAX], bad_heads[ROUTES_MAX];
    bool token_bad;
    enum speaks speaks;
    enum metrics_protocol metrics_protocol; /* of this incarnation */
    struct flight flight[FLIGHTS_MAX];

    /* of this incarnation */
    uint64_t accepted, recovered, settled, lost;
    /* over all */
    uint64_t lost_total;
    bool rotten, vanished, lost_power, faulted;
};

struct world *world_new(uint64_t seed, struct failure *f, FILE *trace);
void world_free(struct world *w);
void world_open(struct world *w);
void world_close(struct world *w);             /* cleanly */
void world_crash(struct world *w, bool power); /* and open again */
void world_push(struct world *w, uint32_t route, uint32_t count);
void world_pass(struct world *w, uint64_t ms);
void world_check(struct world *w);
/* Faults are over: everything must arrive. */
void world_settle(struct world *w);

/* receiver.c */
void receiver_send(void *world, const struct sealed *s, unsigned attempt);
void receiver_step(struct world *w); /* answers what is due */
uint64_t receiver_next(const struct world *w);

/* body.c: a body that names its records and can be checked */
struct sealed *body_make(const struct world *w, uint32_t route, const uint32_t *id, uint32_t count);
bool body_read(const struct sealed *s, uint32_t *id, uint32_t *count); /* false = not what was made */
#define BODY_RECORDS_MAX 64
/* Remote write 1.0 has no words for these. */
static inline bool record_unsayable(uint32_t id) { return id % 17 == 0; }
/* In bad weather: here one, there a stretch of them. */
static inline bool record_poison(uint32_t id) { return id % 29 == 5 || id / 128 % 2 == 1; }

#endif
