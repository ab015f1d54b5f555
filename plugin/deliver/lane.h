/* Private to deliver/: one route's part of the machine.
 *
 * What is sent is the head of the route's FIFO, or, where a receiver takes less at a time, one slice of it after the
 * other: records [ended, ended + span). The queue knows nothing of slices; the head leaves it when all have ended. */
#ifndef GCW_DELIVER_LANE_H
#define GCW_DELIVER_LANE_H

#include "deliver/deliver.h"

enum state {
    STATE_READY,   /* the head may be sent */
    STATE_FLYING,  /* the head, or the slice, is in flight */
    STATE_WAITING, /* backing off until due_ms */
    STATE_PARKED,  /* the same, and a person has to act */
};

struct lane {
    enum state state;
    uint64_t due_ms;
    unsigned attempts; /* of what is being sent */
    uint64_t failing_since_ms;
    unsigned failures; /* since the last success; 0 = healthy */
    bool said_parked, said_split, said_sift, said_unsaid;
    uint64_t turn; /* queue_turn() of the head that the next ones are about */
    uint32_t span; /* records to send at a time; 0 = not decided for this head */
    struct sealed *slice;
    uint32_t unsaid; /* of these, what the slice's older protocol has no words for */
    uint32_t exemplars_unsaid;
    bool unsliceable;    /* this head's body could not be read */
    uint64_t too_large;  /* fewest bytes before compression that brought a 413; 0 = none has */
    uint64_t at_most;    /* the same, guessed after other failures; grows again */
    bool sifted;         /* parts of this head were refused whole for some of their records */
    uint32_t refused_to; /* one of them ended here; 0 = not known to hold anything bad */
    unsigned sift_spent; /* see sift.c */
};

/* A route that waits for others to be empty. */
struct barrier {
    uint32_t route, older, count;
};

/* What is known of the metrics receiver's remote write: one URL, one receiver, whatever the tenant. */
struct offer {
    enum { OFFER_OPEN, OFFER_PROVEN, OFFER_REFUSED } state;
    uint64_t again_ms, hold_ms; /* refused: when 2.0 is offered again, and how long that was put off */
};

struct deliver {
    struct deliver_config config;
    struct offer offer;
    struct deliver_ops ops;
    struct queue *queue;
    struct lane *lanes;
    uint32_t lane_count;
    struct barrier *barriers;
    size_t barrier_count;
    uint32_t turn; /* where the next round starts */
    unsigned in_flight, in_flight_of[GCW_SIGNALS];
    uint64_t retries[GCW_SIGNALS];
    bool inside; /* a callback must not come back in */
};

/* How many records of the head to send next, by the limits known. */
uint32_t lane_span(const struct lane *l, const struct sealed *head, uint32_t ended);
/* What was sent was too large: half of it next. False = nothing smaller can be sent. */
bool lane_halve(struct lane *l, const struct sealed *sent);
/* What was sent may have been too large. */
bool lane_abate(struct lane *l, const struct sealed *sent);
void lane_grow(struct lane *l); /* something was taken */

/* sift.c: what was sent, from record `ended` of the head on, was refused whole for some of its records: part of it
 * next. False = it is given up. */
bool lane_sift(struct lane *l, const struct sealed *sent, uint32_t ended);
uint32_t lane_sift_span(const struct lane *l, const struct sealed *head, uint32_t ended); /* at the most */
void lane_sift_end(struct lane *l);                                                       /* a head has ended */

/* offer.c: remote write 2.0 or 1.0 */
enum protocol offer_protocol(const struct deliver *d, const struct sealed *head); /* in which the head is sent */
void offer_proven(struct deliver *d);
/* Whether a receiver in trouble may be in trouble over 2.0: it never showed that it knows it, and fails again and
 * again. */
bool offer_doubtful(const struct deliver *d, const struct lane *l, const struct sealed *sent, const struct answer *a);
bool offer_refused(struct deliver *d, uint64_t now_ms); /* true if that is news */
uint64_t offer_run(struct deliver *d, uint64_t now_ms); /* returns when it wants to run again */

/* say.c: what a person is told. */
void say(struct deliver *d, gcw_log_level level, const struct sealed *s, const char *text);
void say_failure(struct deliver *d, struct lane *l, const struct sealed *s, const struct verdict *v, const char *words);
void say_recovery(struct deliver *d, struct lane *l, const struct sealed *s, uint64_t now_ms);
void say_fall_back(struct deliver *d, const struct sealed *s, const char *words);
void say_split(struct deliver *d, struct lane *l, const struct sealed *s, const char *words);
void say_sift(struct deliver *d, struct lane *l, const struct sealed *s, const char *words);
void words_of(char *out, size_t cap, const struct verdict *v, const struct answer *a);

#endif
