/* deliver/: decides what is sent when, and what an answer means. No I/O, no clock, no threads of its own: time comes in
 * as an argument, sending goes out through a table of functions, so a test can run it against a virtual world.
 * A route has one request in flight, in FIFO order; a route that waits or is parked never holds up another. */
#ifndef GCW_DELIVER_H
#define GCW_DELIVER_H

#include "queue/queue.h"

/* ---- answers ------------------------------------------------------------------------------------------------- */

/* How an attempt ended, as the transport saw it. */
enum attempt_end {
    END_ANSWERED,  /* an HTTP status came back */
    END_NOT_SENT,  /* no connection, DNS or TLS failure: the receiver cannot have taken it */
    END_AMBIGUOUS, /* reset or timeout after bytes had gone out: it may have taken it */
    END_REFUSED,   /* we refused to send: no credentials (token file empty or missing), certificate not valid */
};

#define ANSWER_TEXT 1024

struct answer {
    enum attempt_end end;
    int status;                 /* HTTP status, 0 unless END_ANSWERED */
    char retry_after[64];       /* header value as it came, "" if none */
    char text[ANSWER_TEXT + 1]; /* first KiB of the body, or the transport's words; cleaned, one line */
    bool counted;               /* with at least one of remote write 2.0's X-Prometheus-Remote-Write-*-Written */
    uint64_t written;           /* samples and histograms by these headers */
};

enum action {
    ACTION_DELIVERED,
    ACTION_PARTIAL,   /* the receiver kept the valid part: the rest is counted as rejected, nothing is resent */
    ACTION_REJECT,    /* never resend */
    ACTION_RETRY,     /* same bytes again, after a while */
    ACTION_ABATE,     /* the same, but after some attempts in vain less at a time: it may never fit a burst */
    ACTION_SPLIT,     /* too large as it is */
    ACTION_SIFT,      /* refused whole for some of its records, which are not told: in parts, until they are found */
    ACTION_PARK,      /* keep, say so once, probe slowly */
    ACTION_FALL_BACK, /* the receiver does not speak remote write 2.0: the same again in 1.0, at once */
};
const char *action_name(enum action a);

/* What a row asks of request and answer beside the status: remote write 2.0 alone counts. */
enum spoken {
    SPOKEN_ANY,
    SPOKEN_1,          /* the request was in 1.0 */
    SPOKEN_2,          /* the request was in 2.0 */
    SPOKEN_2_COUNTED,  /* and the answer says how much was written */
    SPOKEN_2_SILENT,   /* and it does not */
    SPOKEN_2_UNPROVEN, /* and the receiver has never said so */
};

/* One row: the first that matches an answer decides. The table is documentation; vendor-notes/answers.md is made from
 * it. */
struct answer_row {
    unsigned signals; /* bit (1 << signal) */
    enum attempt_end end;
    int status_min, status_max; /* with END_ANSWERED */
    const char *body;           /* text that must occur in the body, behind ^ at its beginning; NULL = any */
    enum spoken spoken;
    enum action action;
    const char *reason; /* one line for people */
    const char *check;  /* what to look at (parked and rejected rows), or NULL */
    const char *source; /* where this is known from */
};
const struct answer_row *answer_rows(size_t *count);

struct verdict {
    enum action action;
    uint64_t lost;                /* ACTION_PARTIAL, _DELIVERED: records that the receiver says it did not keep */
    uint64_t retry_after_ms;      /* 0 = none given */
    const struct answer_row *row; /* never NULL */
};
/* now_unix_ms resolves a Retry-After date; `proven`: the receiver has shown that it speaks remote write 2.0. */
struct verdict answer_judge(const struct sealed *s, const struct answer *a, bool proven, int64_t now_unix_ms);

/* ---- backoff --------------------------------------------------------------------------------------------------- */

struct backoff_config {
    uint64_t min_ms;  /* first delay */
    uint64_t max_ms;  /* largest, also for Retry-After */
    uint64_t park_ms; /* probe interval of a parked route */
};
/* Delay before attempt `attempts` + 1, `attempts` >= 1: min_ms doubled each time up to max_ms, plus up to a quarter
 * more drawn from `random`, which only ever lengthens it, so that successive gaps never shrink noticeably. */
uint64_t backoff_delay(const struct backoff_config *c, unsigned attempts, uint32_t random);

/* ---- the machine ------------------------------------------------------------------------------------------------- */

/* What became of `records` of a request, which is always the one that was pushed, though a slice of it was sent. */
struct settlement {
    const struct sealed *request;
    gcw_outcome outcome;
    uint64_t records;
    uint32_t metadata;              /* families described in what was delivered */
    uint32_t exemplars, histograms; /* with, and among, what was delivered */
    uint32_t exemplars_unsaid;      /* with what was delivered or rejected: left out, the older protocol has no place */
    bool unsaid;                    /* the records are histograms that it has no words for */
    uint32_t bytes;                 /* of what was sent */
    int http_status;
    unsigned attempts;
    const char *message;
};

struct deliver_ops {
    void *ctx;
    /* Start sending; the answer comes back through deliver_answer(). `attempt` counts from 0. */
    void (*send)(void *ctx, const struct sealed *s, unsigned attempt);
    /* sealed_part(); NULL may also be for want of memory. Given back by release(). */
    struct sealed *(*part)(void *ctx, const struct sealed *s, struct part *part);
    void (*settle)(void *ctx, const struct settlement *end);
    /* A request all of whose records were settled, or a slice: free it. */
    void (*release)(void *ctx, struct sealed *s);
    uint32_t (*random)(void *ctx);
    void (*log)(void *ctx, gcw_log_level level, const char *text);
};

/* Which remote write is spoken. AUTO offers 2.0; a receiver that turns out not to know it gets the same data in 1.0,
 * and 1.0 from then on, until 2.0 is offered again. */
enum metrics_protocol { METRICS_PROTOCOL_AUTO, METRICS_PROTOCOL_1, METRICS_PROTOCOL_2 };

struct deliver_config {
    struct backoff_config backoff;
    uint64_t max_age_ms;     /* 0 = none */
    unsigned max_in_flight;  /* requests, all routes together; one signal leaves a quarter of them to the other */
    uint64_t spill_after_ms; /* a route that failed for so long has its requests put on disk */
    enum metrics_protocol metrics_protocol;
    uint64_t offer_ms;   /* AUTO: how long 2.0 is not offered again; twice as long each time, a day at the most */
    bool split_rejected; /* ACTION_SIFT; else it is ACTION_REJECT */
};

struct deliver;
struct deliver *deliver_new(const struct deliver_config *config, const struct deliver_ops *ops, struct queue *queue);
void deliver_free(struct deliver *d);

bool deliver_push(struct deliver *d, struct sealed *s); /* false = out of memory, s still the caller's */
void deliver_answer(struct deliver *d, uint32_t route, const struct answer *a, uint64_t now_ms, int64_t now_unix_ms);
/* Expires what is too old, starts what may start; returns the monotonic ms of the next timer, UINT64_MAX if none. */
uint64_t deliver_run(struct deliver *d, uint64_t now_ms);
/* In which protocol metrics are to be sealed from now on. */
enum protocol deliver_protocol(const struct deliver *d);
/* The token or configuration changed: parked routes try at once. */
void deliver_unpark(struct deliver *d, uint64_t now_ms);
/* The route's requests wait until those of the routes [older, older + count), the same tenant's of an earlier start
 * with another number of lanes, have ended. False = out of memory. */
bool deliver_after(struct deliver *d, uint32_t route, uint32_t older, uint32_t count);
/* drop_oldest: drops waiting requests, oldest first, until `bytes` of charge are free. Returns what was freed. */
uint64_t deliver_evict(struct deliver *d, uint64_t bytes);
/* Closing: nothing is in flight any more, no answer will come. What was sent in part is settled so far. */
void deliver_stop(struct deliver *d);
/* Then settles what the queue still has in RAM as dropped with `why`. */
void deliver_drop_all(struct deliver *d, const char *why);

struct deliver_gauges {
    uint64_t in_flight, retries;
    bool parked;
};
void deliver_gauges(const struct deliver *d, gcw_signal signal, struct deliver_gauges *out);
/* Every batch of this route up to `batch_seq` has ended. */
bool deliver_done_through(const struct deliver *d, uint32_t route, uint64_t batch_seq);

#endif
