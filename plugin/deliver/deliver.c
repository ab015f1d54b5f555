/* The machine. A route's request in flight, or next to be sent, is the head of its FIFO in the queue; it leaves the
 * queue when its records have ended. Routes are looked at round robin, so that none starves under the limit on requests
 * in flight. */
#include <stdio.h>
#include <stdlib.h>

#include "deliver/deliver.h"

enum state {
    STATE_READY,   /* the head may be sent */
    STATE_FLYING,  /* the head is in flight */
    STATE_WAITING, /* backing off until due_ms */
    STATE_PARKED,  /* the same, and a person has to act */
};

struct lane {
    enum state state;
    uint64_t due_ms;
    unsigned attempts; /* of the head */
    uint64_t failing_since_ms;
    unsigned failures; /* since the last success; 0 = healthy */
    bool said_parked;
};

struct deliver {
    struct deliver_config config;
    struct deliver_ops ops;
    struct queue *queue;
    struct lane *lanes;
    uint32_t lane_count;
    uint32_t turn; /* where the next round starts */
    unsigned in_flight;
    uint64_t retries[GCW_SIGNALS];
    bool inside; /* a callback must not come back in */
};

struct deliver *deliver_new(const struct deliver_config *config, const struct deliver_ops *ops, struct queue *queue)
{
    struct deliver *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->config = *config;
    d->ops = *ops;
    d->queue = queue;
    return d;
}

void deliver_free(struct deliver *d)
{
    if (!d)
        return;
    free(d->lanes);
    free(d);
}

static bool lanes_reserve(struct deliver *d, uint32_t route)
{
    if (route < d->lane_count)
        return true;
    uint32_t n = MAX(route + 1, 2 * d->lane_count);
    struct lane *lanes = realloc(d->lanes, n * sizeof *lanes);
    if (!lanes)
        return false;
    memset(lanes + d->lane_count, 0, (n - d->lane_count) * sizeof *lanes);
    d->lanes = lanes;
    d->lane_count = n;
    return true;
}

bool deliver_push(struct deliver *d, struct sealed *s, uint64_t now_ms)
{
    (void)now_ms;
    return lanes_reserve(d, s->route) && queue_push(d->queue, s);
}

/* ---- words ------------------------------------------------------------------------------------------------------ */

static void say(struct deliver *d, gcw_log_level level, const struct sealed *s, const char *text)
{
    char line[1024];
    snprintf(line, sizeof line, "%s%s%s: %s", gcw_signal_name(s->signal), *s->tenant ? " of tenant " : "", s->tenant,
             text);
    d->ops.log(d->ops.ctx, level, line);
}

static void words_of(char *out, size_t cap, const struct verdict *v, const struct answer *a)
{
    char status[32] = "";
    if (a->end == END_ANSWERED)
        snprintf(status, sizeof status, "HTTP %d, ", a->status);
    snprintf(out, cap, "%s%s%s%.600s", status, v->row->reason, *a->text ? ": " : "", a->text);
}

/* One line when a route starts to fail, one when what it waits for changes to a person, one when it recovers. */
static void say_failure(struct deliver *d, struct lane *l, const struct sealed *s, const struct verdict *v,
                        const char *words)
{
    char line[1024];
    bool park = v->action == ACTION_PARK;
    if (park && !l->said_parked) {
        snprintf(line, sizeof line, "parked, data is kept: %.700s; %s", words, v->row->check ? v->row->check : "");
        say(d, GCW_LOG_ERROR, s, line);
    } else if (!park && l->failures == 1) {
        snprintf(line, sizeof line, "delivery fails, trying again: %.900s", words);
        say(d, GCW_LOG_WARN, s, line);
    }
    l->said_parked |= park;
}

static void say_recovery(struct deliver *d, struct lane *l, const struct sealed *s, uint64_t now_ms)
{
    char line[160];
    if (l->failures == 0)
        return;
    snprintf(line, sizeof line, "delivery works again after %u failed attempts in %llu ms", l->failures,
             (unsigned long long)(now_ms - l->failing_since_ms));
    say(d, GCW_LOG_WARN, s, line);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void settle(struct deliver *d, const struct sealed *s, gcw_outcome outcome, uint64_t records, int status,
                   unsigned attempts, const char *message)
{
    const struct settlement end = {s, outcome, records, status, attempts, message};
    d->ops.settle(d->ops.ctx, &end);
}

/* The head of the route has ended: out of the queue. */
static void finish(struct deliver *d, uint32_t route)
{
    struct lane *l = &d->lanes[route];
    l->state = STATE_READY;
    l->attempts = 0;
    d->ops.release(d->ops.ctx, queue_pop(d->queue, route));
}

static void postpone(struct deliver *d, struct lane *l, const struct sealed *s, const struct verdict *v,
                     uint64_t now_ms)
{
    const struct backoff_config *b = &d->config.backoff;
    uint64_t delay = v->action == ACTION_PARK ? b->park_ms : backoff_delay(b, l->attempts, d->ops.random(d->ops.ctx));
    if (v->retry_after_ms)
        delay = MAX(delay, MIN(v->retry_after_ms, b->max_ms));
    l->state = v->action == ACTION_PARK ? STATE_PARKED : STATE_WAITING;
    l->due_ms = now_ms + delay;
    d->retries[s->signal]++;
}

static void failed(struct deliver *d, struct lane *l, const struct sealed *s, const struct verdict *v,
                   const char *words, uint64_t now_ms)
{
    if (l->failures++ == 0)
        l->failing_since_ms = now_ms;
    say_failure(d, l, s, v, words);
    postpone(d, l, s, v, now_ms);
}

static void answered_for_good(struct deliver *d, uint32_t route, const struct sealed *s, const struct verdict *v,
                              const struct answer *a, const char *words, uint64_t now_ms)
{
    struct lane *l = &d->lanes[route];
    uint64_t lost = v->action == ACTION_DELIVERED ? 0 : v->action == ACTION_PARTIAL ? v->lost : s->records;
    say_recovery(d, l, s, now_ms);
    l->failures = 0;
    l->said_parked = false;
    if (lost > 0) {
        say(d, GCW_LOG_WARN, s, words);
        settle(d, s, GCW_REJECTED, lost, a->status, l->attempts, words);
    }
    if (v->action == ACTION_DELIVERED || v->action == ACTION_PARTIAL)
        settle(d, s, GCW_DELIVERED, s->records - lost, a->status, l->attempts, "");
    finish(d, route);
}

void deliver_answer(struct deliver *d, uint32_t route, const struct answer *a, uint64_t now_ms, int64_t now_unix_ms)
{
    ENSURE(!d->inside && route < d->lane_count && d->lanes[route].state == STATE_FLYING);
    struct lane *l = &d->lanes[route];
    const struct sealed *s = queue_head(d->queue, route);
    struct verdict v = answer_judge(s, a, now_unix_ms);
    char words[ANSWER_TEXT];
    words_of(words, sizeof words, &v, a);
    d->inside = true;
    d->in_flight--;
    l->attempts++;
    switch (v.action) {
    case ACTION_RETRY:
    case ACTION_PARK:
        failed(d, l, s, &v, words, now_ms);
        break;
    case ACTION_SPLIT: /* halving and sealing again is not there yet: counted as what the receiver made of it */
    case ACTION_DELIVERED:
    case ACTION_PARTIAL:
    case ACTION_REJECT:
        answered_for_good(d, route, s, &v, a, words, now_ms);
        break;
    }
    d->inside = false;
}

/* ---- time ----------------------------------------------------------------------------------------------------------
 */

static void expire(struct deliver *d, uint32_t route, uint64_t now_ms)
{
    const struct sealed *s;
    while (d->config.max_age_ms && d->lanes[route].state != STATE_FLYING && (s = queue_head(d->queue, route)) &&
           now_ms - s->sealed_mono_ms >= d->config.max_age_ms) {
        settle(d, s, GCW_EXPIRED, s->records, 0, d->lanes[route].attempts, "older than max_age");
        finish(d, route);
    }
}

static bool lane_ready(const struct lane *l, uint64_t now_ms)
{
    return l->state == STATE_READY || (l->state != STATE_FLYING && l->due_ms <= now_ms);
}

/* When this route wants to be looked at again. */
static uint64_t lane_timer(const struct deliver *d, const struct lane *l, const struct sealed *head)
{
    uint64_t at = l->state == STATE_WAITING || l->state == STATE_PARKED ? l->due_ms : UINT64_MAX;
    if (d->config.max_age_ms && l->state != STATE_FLYING)
        at = MIN(at, head->sealed_mono_ms + d->config.max_age_ms);
    return at;
}

uint64_t deliver_run(struct deliver *d, uint64_t now_ms)
{
    ENSURE(!d->inside);
    uint64_t next = UINT64_MAX;
    uint32_t n = MIN(d->lane_count, queue_routes(d->queue)), start = n ? d->turn % n : 0;
    d->inside = true;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t route = (start + k) % n;
        struct lane *l = &d->lanes[route];
        expire(d, route, now_ms);
        const struct sealed *head = queue_head(d->queue, route);
        if (!head)
            continue;
        if (lane_ready(l, now_ms) && d->in_flight < d->config.max_in_flight) {
            l->state = STATE_FLYING;
            d->in_flight++;
            d->turn = route + 1;
            d->ops.send(d->ops.ctx, head, l->attempts);
        }
        next = MIN(next, lane_timer(d, l, head));
    }
    d->inside = false;
    return next;
}

void deliver_unpark(struct deliver *d, uint64_t now_ms)
{
    for (uint32_t i = 0; i < d->lane_count; i++)
        if (d->lanes[i].state == STATE_PARKED)
            d->lanes[i].due_ms = now_ms;
}

/* ---- dropping ------------------------------------------------------------------------------------------------------
 */

static bool may_evict(void *ctx, const struct sealed *s)
{
    const struct deliver *d = ctx;
    return d->lanes[s->route].state != STATE_FLYING || queue_head(d->queue, s->route) != s;
}

uint64_t deliver_evict(struct deliver *d, uint64_t bytes)
{
    uint64_t freed = 0;
    struct sealed *s;
    d->inside = true;
    while (freed < bytes && (s = queue_take_oldest(d->queue, may_evict, d))) {
        struct lane *l = &d->lanes[s->route];
        freed += s->charge;
        settle(d, s, GCW_DROPPED, s->records, 0, 0, "memory_limit reached (overflow=drop_oldest)");
        d->ops.release(d->ops.ctx, s);
        if (l->state != STATE_FLYING)
            l->attempts = 0; /* the head may have changed; the wait stays, it is the route's */
    }
    d->inside = false;
    return freed;
}

void deliver_drop_all(struct deliver *d, const char *why)
{
    d->inside = true;
    for (uint32_t i = 0; i < d->lane_count; i++)
        for (const struct sealed *s; (s = queue_head(d->queue, i));) {
            settle(d, s, GCW_DROPPED, s->records, 0, d->lanes[i].attempts, why);
            finish(d, i);
        }
    d->in_flight = 0;
    d->inside = false;
}

/* ---- looking in
 * ------------------------------------------------------------------------------------------------------ */

void deliver_gauges(const struct deliver *d, gcw_signal signal, struct deliver_gauges *out)
{
    const struct sealed *oldest = queue_oldest(d->queue, signal);
    *out = (struct deliver_gauges){
        .waiting = queue_count(d->queue, signal),
        .waiting_bytes = queue_bytes(d->queue, signal),
        .oldest_sealed_ms = oldest ? oldest->sealed_mono_ms : 0,
        .retries = d->retries[signal],
    };
    for (uint32_t i = 0; i < MIN(d->lane_count, queue_routes(d->queue)); i++) {
        const struct sealed *head = queue_head(d->queue, i);
        if (!head || head->signal != signal)
            continue;
        out->in_flight += d->lanes[i].state == STATE_FLYING;
        out->parked |= d->lanes[i].state == STATE_PARKED;
    }
}

bool deliver_done_through(const struct deliver *d, uint32_t route, uint64_t batch_seq)
{
    const struct sealed *head = queue_head(d->queue, route);
    return !head || head->batch_seq > batch_seq;
}
