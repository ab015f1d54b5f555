/* The receivers, one for each route: what they answer follows their weather; what they took is checked. */
#include <stdlib.h>

#include "world.h"

static void take(struct world *w, uint32_t route, uint32_t id)
{
    struct record *r = &w->record[id];
    if (r->route != route)
        fail(w->failure, "record %u of route %u came by route %u", id, r->route, route);
    if ((r->taken || r->refused) && !r->again_ok)
        fail(w->failure, "record %u came again after a %s end", id, r->refused ? "refused" : "certain");
    /* left out of a 1.0 request, it may come with the next in 2.0 */
    bool order_ok = r->order_ok || (record_unsayable(id) && queue_signal(w->queue, route) == GCW_METRICS);
    if (!r->taken && !r->refused && !order_ok && id < w->receiver[route].newest)
        fail(w->failure, "record %u came after %u", id, w->receiver[route].newest);
    if (!r->taken && !r->order_ok)
        w->receiver[route].newest = MAX(w->receiver[route].newest, id);
    r->taken = true;
}

static void take_all(struct world *w, const struct flight *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        take(w, f->route, f->id[i]);
}

/* Seen, but turned away for good. */
static void refuse(struct world *w, uint32_t route, uint32_t id)
{
    struct record *r = &w->record[id];
    if ((r->taken || r->refused) && !r->again_ok)
        fail(w->failure, "record %u came again after a certain end", id);
    (void)route;
    r->refused = true;
}

void receiver_send(void *world, const struct sealed *s, unsigned attempt)
{
    struct world *w = world;
    uint32_t id[BODY_RECORDS_MAX], count, latency = 5 + chance_below(&w->chance, 50);
    if (!body_read(s, id, &count) || count != s->records) {
        fail(w->failure, "route %u was sent a body that is not one of ours", s->route);
        count = 0;
    }
    if (w->trace)
        fprintf(w->trace, "      send %u..%u of route %u, seq %llu, attempt %u, from file %llu\n", count ? id[0] : 0,
                count ? id[count - 1] : 0, s->route, (unsigned long long)s->batch_seq, attempt,
                (unsigned long long)s->disk_segment);
    if (w->receiver[s->route].weather == SLOW)
        latency = 1000 + chance_below(&w->chance, 29000);
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        struct flight *f = &w->flight[i];
        if (f->used) {
            if (f->route == s->route)
                fail(w->failure, "two requests of route %u in flight", s->route);
            continue;
        }
        *f = (struct flight){true, false, s->protocol, s->route, w->now_ms + latency, count, NULL};
        f->id = malloc((count + 1) * sizeof *f->id);
        ENSURE(f->id);
        memcpy(f->id, id, count * sizeof *id);
        return;
    }
    fail(w->failure, "more requests in flight than allowed");
}

static void answered(struct answer *a, int status, const char *text)
{
    *a = (struct answer){.end = END_ANSWERED, .status = status};
    snprintf(a->text, sizeof a->text, "%s", text);
}

static void failed(struct answer *a, enum attempt_end end) { *a = (struct answer){.end = end, .text = "transport"}; }

/* With the counts that a 2.0 request wants, if this is one. */
static void count_written(const struct flight *f, struct answer *a, uint32_t written)
{
    a->counted = f->protocol == PROTOCOL_RW2;
    a->written = a->counted ? written : 0;
}

static void fine(struct world *w, const struct flight *f, struct answer *a)
{
    take_all(w, f);
    answered(a, queue_signal(w->queue, f->route) == GCW_LOGS ? 204 : 200, "");
    count_written(f, a, f->count);
}

/* A receiver of 1.0 that is sent 2.0: nothing is taken. */
static bool not_understood(const struct world *w, const struct flight *f, struct answer *a)
{
    static const int status[SPEAKS] = {[SPEAKS_1_SILENT] = 204, [SPEAKS_1_415] = 415, [SPEAKS_1_400] = 400};
    if (f->protocol != PROTOCOL_RW2 || w->speaks == SPEAKS_2)
        return false;
    answered(a, status[w->speaks], "");
    return true;
}

static void rate(struct world *w, const struct flight *f, struct answer *a)
{
    (void)f;
    answered(a, 429, "rate limited");
    if (chance_of(&w->chance, 3))
        snprintf(a->retry_after, sizeof a->retry_after, "%u", chance_below(&w->chance, 400));
}

static void bad(struct world *w, const struct flight *f, struct answer *a)
{
    for (uint32_t i = 0; i < f->count; i++)
        refuse(w, f->route, f->id[i]);
    answered(a, 400, "no reason");
    count_written(f, a, 0);
}

/* Loki's way: the good ones are kept, the answer counts the others. Or that of remote write 2.0: it counts the good. */
static void partial(struct world *w, const struct flight *f, struct answer *a)
{
    char text[64];
    uint32_t lost = 0;
    if ((queue_signal(w->queue, f->route) != GCW_LOGS && f->protocol != PROTOCOL_RW2) || f->count < 2) {
        bad(w, f, a);
        return;
    }
    for (uint32_t i = 0; i < f->count; i++)
        if (i > 0 && chance_of(&w->chance, 2))
            refuse(w, f->route, f->id[i]), lost++;
        else
            take(w, f->route, f->id[i]);
    snprintf(text, sizeof text, "total ignored: %u out of %u", MAX(lost, 1u), f->count);
    if (lost == 0)
        fine(w, &(struct flight){.route = f->route}, a);
    else
        answered(a, 400, text);
    count_written(f, a, f->count - lost);
}

/* Remote write 1.0 of Prometheus: nothing is taken for one that is bad. 2.0 takes the others. */
static void poison(struct world *w, struct flight *f, struct answer *a)
{
    uint32_t bad = 0;
    if (queue_signal(w->queue, f->route) == GCW_LOGS) {
        fine(w, f, a);
        return;
    }
    for (uint32_t i = 0; i < f->count; i++)
        bad += record_poison(f->id[i]);
    if (bad == 0) {
        fine(w, f, a);
        return;
    }
    answered(a, 400, chance_of(&w->chance, 2) ? "out of order sample" : "out of bounds");
    if (f->protocol == PROTOCOL_RW1) {
        w->poisoned = f;
        w->poison_refusals[f->route]++;
        return;
    }
    for (uint32_t i = 0; i < f->count; i++)
        if (record_poison(f->id[i]))
            refuse(w, f->route, f->id[i]);
        else
            take(w, f->route, f->id[i]);
    count_written(f, a, f->count - bad);
}

static void answer_of(struct world *w, struct flight *f, struct answer *a)
{
    uint32_t at_most = w->receiver[f->route].at_most;
    if (w->token_bad) {
        answered(a, 401, "invalid token");
        return;
    }
    switch (w->receiver[f->route].weather) {
    case AWAY:
        failed(a, END_NOT_SENT);
        return;
    case RESET_BEFORE:
        failed(a, END_AMBIGUOUS);
        f->unsure = true;
        return;
    case RESET_AFTER:
        if (!not_understood(w, f, a))
            take_all(w, f);
        failed(a, END_AMBIGUOUS);
        f->unsure = true;
        return;
    case BUSY:
        answered(a, 503, "busy");
        return;
    case RATE:
        rate(w, f, a);
        return;
    case BAD:
        if (!not_understood(w, f, a))
            bad(w, f, a);
        return;
    case PARTIAL:
        if (!not_understood(w, f, a))
            partial(w, f, a);
        return;
    case POISON:
        if (!not_understood(w, f, a))
            poison(w, f, a);
        return;
    case SMALL:
    case BURST:
        if (f->count > at_most) {
            answered(a, w->receiver[f->route].weather == SMALL ? 413 : 429, "too large");
            return;
        }
        break;
    case FINE:
    case SLOW:
    case WEATHERS:
        break;
    }
    if (!not_understood(w, f, a))
        fine(w, f, a);
}

uint64_t receiver_next(const struct world *w)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < FLIGHTS_MAX; i++)
        if (w->flight[i].used)
            next = MIN(next, w->flight[i].due_ms);
    return next;
}

void receiver_step(struct world *w)
{
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        struct flight *f = &w->flight[i];
        struct answer a;
        if (!f->used || f->due_ms > w->now_ms)
            continue;
        answer_of(w, f, &a);
        for (uint32_t k = 0; k < f->count && f->unsure; k++)
            w->record[f->id[k]].again_ok = true;
        const struct flight over = *f;
        w->poisoned = w->poisoned ? &over : NULL;
        f->used = false;
        deliver_answer(w->deliver, over.route, &a, w->now_ms, w->unix_ms);
        w->poisoned = NULL;
        free(over.id);
    }
}
