/* The machine. A route's request in flight, or next to be sent, is the head of its FIFO in the queue, or a slice of it;
 * it leaves the queue when its records have ended. Routes are looked at round robin, so that none starves under the
 * limit on requests in flight. */
#include <stdlib.h>

#include "deliver/lane.h"

#define BLOCKED_MS 200 /* until memory or the disk is asked again for what waits there */

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
    free(d->barriers);
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

bool deliver_push(struct deliver *d, struct sealed *s) { return lanes_reserve(d, s->route) && queue_push(d->queue, s); }

bool deliver_after(struct deliver *d, uint32_t route, uint32_t older, uint32_t count)
{
    struct barrier *grown = realloc(d->barriers, (d->barrier_count + 1) * sizeof *grown);
    if (!grown)
        return false;
    d->barriers = grown;
    d->barriers[d->barrier_count++] = (struct barrier){route, older, count};
    return true;
}

static bool barrier_holds(const struct deliver *d, const struct barrier *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (!queue_empty(d->queue, b->older + i))
            return true;
    return false;
}

/* Whether the route has to wait for older ones; barriers that have fallen are forgotten. */
static bool must_wait(struct deliver *d, uint32_t route)
{
    bool wait = false;
    for (size_t i = 0; i < d->barrier_count;) {
        if (d->barriers[i].route != route || barrier_holds(d, &d->barriers[i]))
            wait |= d->barriers[i++].route == route;
        else
            d->barriers[i] = d->barriers[--d->barrier_count];
    }
    return wait;
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

/* What the head, or the slice of it that is at hand, has beside its records. */
static void settle_beside(struct lane *l, const struct sealed *s, struct settlement *end)
{
    const struct sealed *sent = l->slice ? l->slice : s;
    end->request = s;
    end->bytes = sent->len;
    if (end->outcome == GCW_DELIVERED && (end->records > 0 || sent->records == 0)) {
        end->metadata = sent->metadata;
        end->exemplars = sent->exemplars;
        end->histograms = sent->histograms;
    }
    if (end->outcome == GCW_DELIVERED || end->outcome == GCW_REJECTED) {
        end->exemplars_unsaid = l->exemplars_unsaid;
        l->exemplars_unsaid = 0;
    }
}

static void settle(struct deliver *d, const struct sealed *s, gcw_outcome outcome, uint64_t records, int status,
                   unsigned attempts, const char *message)
{
    struct settlement end = {
        .outcome = outcome,
        .records = records,
        .http_status = status,
        .attempts = attempts,
        .message = message,
    };
    settle_beside(&d->lanes[s->route], s, &end);
    d->ops.settle(d->ops.ctx, &end);
}

static void drop_slice(struct deliver *d, struct lane *l)
{
    if (l->slice)
        d->ops.release(d->ops.ctx, l->slice);
    l->slice = NULL;
    l->unsaid = l->exemplars_unsaid = 0;
}

/* The lane turns to the next head. */
static void forget_head(struct deliver *d, struct lane *l)
{
    drop_slice(d, l);
    l->attempts = 0;
    l->span = l->refused_to = 0;
    l->unsliceable = l->sifted = false;
}

/* What the lane knows of the head is about another one by now, if the queue let go of that. */
static void face_head(struct deliver *d, uint32_t route)
{
    struct lane *l = &d->lanes[route];
    if (l->turn == queue_turn(d->queue, route))
        return;
    l->turn = queue_turn(d->queue, route);
    forget_head(d, l);
}

/* The head of the route has ended: out of the queue. */
static void finish(struct deliver *d, uint32_t route)
{
    d->lanes[route].state = STATE_READY;
    d->ops.release(d->ops.ctx, queue_pop(d->queue, route));
    face_head(d, route);
}

/* `n` records of the head have been settled. */
static void advance(struct deliver *d, uint32_t route, const struct sealed *head, uint32_t n)
{
    struct lane *l = &d->lanes[route];
    uint32_t left = head->records - queue_ended(d->queue, route);
    ENSURE(n <= left);
    if (n == left) {
        lane_sift_end(l);
        finish(d, route);
        return;
    }
    if (PLANTED(skip_split) && n + 1 < left) {
        settle(d, head, GCW_DELIVERED, 1, 0, 0, "");
        n++;
    }
    queue_ended_part(d->queue, route, n);
    drop_slice(d, l);
    l->attempts = 0;
    l->span = 0;
    l->state = STATE_READY;
    queue_landed(d->queue, route);
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

static void failed(struct deliver *d, uint32_t route, const struct sealed *head, const struct verdict *v,
                   const char *words, uint64_t now_ms)
{
    struct lane *l = &d->lanes[route];
    const struct sealed *sent = l->slice ? l->slice : head;
    if (l->failures++ == 0)
        l->failing_since_ms = now_ms;
    say_failure(d, l, head, v, words);
    postpone(d, l, head, v, now_ms);
    queue_landed(d->queue, route);
    if (v->action == ACTION_ABATE && lane_abate(l, sent))
        drop_slice(d, l);
}

/* The receiver speaks remote write 1.0 only: the same records go again, in that. */
static void fall_back(struct deliver *d, uint32_t route, const struct sealed *head, const char *words, uint64_t now_ms)
{
    struct lane *l = &d->lanes[route];
    if (offer_refused(d, now_ms))
        say_fall_back(d, head, words);
    drop_slice(d, l);
    l->span = l->refused_to = 0;
    l->attempts = 0;
    l->state = STATE_READY;
    d->retries[head->signal]++;
    queue_landed(d->queue, route);
}

/* What falling back comes to where it is not possible. */
static enum action no_fall_back(const struct deliver *d, const struct lane *l)
{
    if (d->config.metrics_protocol == METRICS_PROTOCOL_2)
        return ACTION_PARK;
    return l->unsliceable ? ACTION_REJECT : ACTION_FALL_BACK;
}

/* The receiver takes less at a time. A single record that is too large is refused for good. */
static bool split(struct deliver *d, uint32_t route, const struct sealed *head, const char *words)
{
    struct lane *l = &d->lanes[route];
    const struct sealed *sent = l->slice ? l->slice : head;
    say_split(d, l, sent, words);
    if (!lane_halve(l, sent))
        return false;
    drop_slice(d, l);
    l->state = STATE_READY;
    d->retries[head->signal]++;
    queue_landed(d->queue, route);
    return true;
}

/* Refused whole for some of its records: they are looked for. */
static bool sift(struct deliver *d, uint32_t route, const struct sealed *head, const char *words)
{
    struct lane *l = &d->lanes[route];
    if (!d->config.split_rejected || PLANTED(reject_poisoned) ||
        !lane_sift(l, l->slice ? l->slice : head, queue_ended(d->queue, route)))
        return false;
    say_sift(d, l, head, words);
    drop_slice(d, l);
    l->attempts = 0; /* another request than the one that was refused */
    l->state = STATE_READY;
    queue_landed(d->queue, route);
    return true;
}

/* What the older protocol has no words for has ended here. */
static void settle_unsaid(struct deliver *d, struct lane *l, const struct sealed *head)
{
    static const char why[] = "not to be said in remote write 1.0, which is what the receiver speaks";
    if (l->unsaid == 0 || PLANTED(forget_unsaid))
        return;
    if (!l->said_unsaid)
        say(d, GCW_LOG_WARN, head, why);
    l->said_unsaid = true;
    struct settlement end = {
        .outcome = GCW_REJECTED, .records = l->unsaid, .unsaid = true, .attempts = l->attempts, .message = why};
    settle_beside(l, head, &end);
    d->ops.settle(d->ops.ctx, &end);
    l->unsaid = 0;
}

static void answered_for_good(struct deliver *d, uint32_t route, const struct sealed *head, const struct verdict *v,
                              const struct answer *a, const char *words, uint64_t now_ms)
{
    struct lane *l = &d->lanes[route];
    uint32_t sent = l->slice ? l->slice->records : head->records;
    bool taken = v->action == ACTION_DELIVERED || v->action == ACTION_PARTIAL;
    uint64_t lost = taken ? v->lost : sent;
    say_recovery(d, l, head, now_ms);
    l->failures = 0;
    l->said_parked = false;
    lane_grow(l);
    if (lost > 0) {
        say(d, GCW_LOG_WARN, head, words);
        settle(d, head, GCW_REJECTED, lost, a->status, l->attempts, words);
    }
    if (!taken)
        l->refused_to = 0; /* this is why */
    if (taken)
        settle(d, head, GCW_DELIVERED, sent - lost, a->status, l->attempts, "");
    settle_unsaid(d, l, head);
    advance(d, route, head, l->span);
}

/* The head of a route that is flying: in RAM for certain. */
static const struct sealed *flying_head(struct deliver *d, uint32_t route)
{
    const struct sealed *head;
    ENSURE(queue_head(d->queue, route, &head) == QUEUE_READY);
    return head;
}

void deliver_answer(struct deliver *d, uint32_t route, const struct answer *a, uint64_t now_ms, int64_t now_unix_ms)
{
    ENSURE(!d->inside && route < d->lane_count && d->lanes[route].state == STATE_FLYING);
    struct lane *l = &d->lanes[route];
    const struct sealed *head = flying_head(d, route);
    const struct sealed *sent = l->slice ? l->slice : head;
    struct verdict v = answer_judge(sent, a, d->offer.state == OFFER_PROVEN, now_unix_ms);
    char words[ANSWER_TEXT];
    words_of(words, sizeof words, &v, a);
    d->inside = true;
    d->in_flight--;
    d->in_flight_of[head->signal]--;
    l->attempts++;
    if (sent->protocol == PROTOCOL_RW2 && a->counted)
        offer_proven(d);
    if (v.action == ACTION_FALL_BACK || offer_doubtful(d, l, sent, a))
        v.action = no_fall_back(d, l);
    if (PLANTED(trust_silence) && v.action == ACTION_FALL_BACK && a->status < 300)
        v.action = ACTION_DELIVERED;
    if (PLANTED(resend_rejected) && v.action == ACTION_REJECT)
        v.action = ACTION_RETRY;
    if (PLANTED(drop_on_retry) && v.action == ACTION_RETRY)
        v.action = ACTION_DELIVERED;
    switch (v.action) {
    case ACTION_RETRY:
    case ACTION_ABATE:
    case ACTION_PARK:
        failed(d, route, head, &v, words, now_ms);
        break;
    case ACTION_FALL_BACK:
        fall_back(d, route, head, words, now_ms);
        if (PLANTED(lose_fallen))
            finish(d, route);
        break;
    case ACTION_SPLIT:
        if (split(d, route, head, words))
            break;
        answered_for_good(d, route, head, &v, a, words, now_ms);
        break;
    case ACTION_SIFT:
        if (sift(d, route, head, words))
            break;
        /* fall through */
    case ACTION_DELIVERED:
    case ACTION_PARTIAL:
    case ACTION_REJECT:
        answered_for_good(d, route, head, &v, a, words, now_ms);
        break;
    }
    d->inside = false;
}

/* ---- time ----------------------------------------------------------------------------------------------------------
 */

/* The head, with what is too old out of the way. */
static enum queue_head_state fresh_head(struct deliver *d, uint32_t route, uint64_t now_ms, const struct sealed **head)
{
    struct lane *l = &d->lanes[route];
    for (;;) {
        enum queue_head_state state = queue_head(d->queue, route, head);
        face_head(d, route);
        if (state != QUEUE_READY || !d->config.max_age_ms || l->state == STATE_FLYING ||
            (int64_t)(now_ms - (*head)->sealed_mono_ms) < (int64_t)d->config.max_age_ms)
            return state;
        settle(d, *head, GCW_EXPIRED, (*head)->records - queue_ended(d->queue, route), 0, l->attempts,
               "older than max_age");
        enum state before = l->state;
        finish(d, route);
        l->state = before; /* what the route waits for has not changed */
    }
}

static bool lane_ready(const struct lane *l, uint64_t now_ms)
{
    return l->state == STATE_READY || (l->state != STATE_FLYING && l->due_ms <= now_ms);
}

/* When this route wants to be looked at again. One that only waits for a place is woken by the answer that frees it. */
static uint64_t lane_timer(const struct deliver *d, const struct lane *l, const struct sealed *head, uint64_t now_ms)
{
    bool waits = l->state == STATE_WAITING || l->state == STATE_PARKED;
    uint64_t at = waits && l->due_ms > now_ms ? l->due_ms : UINT64_MAX;
    if (d->config.max_age_ms && l->state != STATE_FLYING)
        at = MIN(at, head->sealed_mono_ms + d->config.max_age_ms);
    return at;
}

/* One signal's receiver that hangs must not take every place from the other's. */
static bool place_free(const struct deliver *d, gcw_signal signal)
{
    unsigned most = d->config.max_in_flight;
    return d->in_flight < most && d->in_flight_of[signal] < MAX(most - most / 4, 1u);
}

/* What is sent next: the head, a slice of it, or either in an older protocol. NULL = no memory for a slice now, or
 * nothing of it can be said: then l->unsaid records are to be settled. */
static const struct sealed *to_send(struct deliver *d, uint32_t route, const struct sealed *head)
{
    struct lane *l = &d->lanes[route];
    enum protocol protocol = l->unsliceable ? head->protocol : offer_protocol(d, head);
    if (l->slice && l->slice->protocol != protocol) {
        drop_slice(d, l);
        l->span = 0;
    }
    if (l->span == 0)
        l->span = lane_span(l, head, queue_ended(d->queue, route));
    if (l->span == head->records && protocol == head->protocol)
        return head;
    if (l->slice)
        return l->slice;
    struct part part = {.from = queue_ended(d->queue, route), .count = l->span, .protocol = protocol};
    l->slice = d->ops.part(d->ops.ctx, head, &part);
    if (part.broken) {
        l->unsliceable = true; /* whole, then: the receiver says what it is */
        l->span = head->records;
        return head;
    }
    l->span = part.count;
    l->unsaid = part.unsaid;
    l->exemplars_unsaid = part.exemplars_unsaid;
    // cppcheck-suppress returnDanglingLifetime ; part() does not keep `part`
    return l->slice;
}

static bool start(struct deliver *d, uint32_t route, const struct sealed *head)
{
    struct lane *l = &d->lanes[route];
    const struct sealed *s = to_send(d, route, head);
    if (!s && l->unsaid > 0 && l->unsaid == l->span) {
        settle_unsaid(d, l, head);
        advance(d, route, head, l->span);
    }
    if (!s)
        return false;
    l->state = STATE_FLYING;
    d->in_flight++;
    d->in_flight_of[head->signal]++;
    d->turn = route + 1;
    queue_flying(d->queue, route);
    d->ops.send(d->ops.ctx, s, l->attempts);
    return true;
}

static uint64_t run_lane(struct deliver *d, uint32_t route, uint64_t now_ms)
{
    struct lane *l = &d->lanes[route];
    const struct sealed *head;
    if (l->state == STATE_FLYING || must_wait(d, route))
        return UINT64_MAX;
    if (l->failures && d->config.spill_after_ms && now_ms - l->failing_since_ms >= d->config.spill_after_ms)
        queue_spill(d->queue, route, now_ms);
    if (!lane_ready(l, now_ms) && !d->config.max_age_ms && !queue_empty(d->queue, route))
        return l->due_ms;
    switch (fresh_head(d, route, now_ms, &head)) {
    case QUEUE_EMPTY:
        return UINT64_MAX;
    case QUEUE_BLOCKED:
        return now_ms + BLOCKED_MS;
    case QUEUE_READY:
        break;
    }
    if (lane_ready(l, now_ms) && place_free(d, head->signal) && !start(d, route, head))
        return now_ms + BLOCKED_MS;
    return lane_timer(d, l, head, now_ms);
}

uint64_t deliver_run(struct deliver *d, uint64_t now_ms)
{
    ENSURE(!d->inside);
    uint64_t next = offer_run(d, now_ms);
    if (queue_routes(d->queue) > 0)
        lanes_reserve(d, queue_routes(d->queue) - 1); /* what was recovered was never pushed here */
    uint32_t n = MIN(d->lane_count, queue_routes(d->queue)), first = n ? d->turn % n : 0;
    d->inside = true;
    for (uint32_t k = 0; k < n; k++)
        next = MIN(next, run_lane(d, (first + k) % n, now_ms));
    d->inside = false;
    return next;
}

void deliver_unpark(struct deliver *d, uint64_t now_ms)
{
    for (uint32_t i = 0; i < d->lane_count; i++)
        if (d->lanes[i].state == STATE_PARKED)
            d->lanes[i].due_ms = PLANTED(never_unpark) ? UINT64_MAX : now_ms;
}

/* ---- dropping ------------------------------------------------------------------------------------------------------
 */

uint64_t deliver_evict(struct deliver *d, uint64_t bytes)
{
    uint64_t freed = 0;
    struct sealed *s;
    d->inside = true;
    uint32_t ended;
    while (freed < bytes && (s = queue_take_oldest(d->queue, &ended))) {
        freed += s->charge;
        settle(d, s, GCW_DROPPED, s->records - ended, 0, 0, "memory_limit reached (overflow=drop_oldest)");
        d->ops.release(d->ops.ctx, s);
    }
    d->inside = false;
    return freed;
}

void deliver_stop(struct deliver *d)
{
    for (uint32_t i = 0; i < d->lane_count; i++) {
        struct lane *l = &d->lanes[i];
        if (l->state == STATE_FLYING)
            queue_landed(d->queue, i);
        l->state = STATE_READY;
        drop_slice(d, l);
    }
    d->in_flight = 0;
    memset(d->in_flight_of, 0, sizeof d->in_flight_of);
}

void deliver_drop_all(struct deliver *d, const char *why)
{
    uint32_t ended;
    d->inside = true;
    for (uint32_t i = 0; i < d->lane_count; i++)
        for (struct sealed *s; (s = queue_abandon(d->queue, i, &ended));) {
            settle(d, s, GCW_DROPPED, s->records - ended, 0, d->lanes[i].attempts, why);
            d->ops.release(d->ops.ctx, s);
        }
    d->inside = false;
}

/* ---- looking in ----------------------------------------------------------------------------------------------------
 */

void deliver_gauges(const struct deliver *d, gcw_signal signal, struct deliver_gauges *out)
{
    *out = (struct deliver_gauges){.retries = d->retries[signal], .in_flight = d->in_flight_of[signal]};
    for (uint32_t i = 0; i < MIN(d->lane_count, queue_routes(d->queue)); i++)
        out->parked |= d->lanes[i].state == STATE_PARKED && queue_signal(d->queue, i) == signal;
}

bool deliver_done_through(const struct deliver *d, uint32_t route, uint64_t batch_seq)
{
    return queue_oldest_seq(d->queue, route) > batch_seq;
}
