/* Remote write 2.0 is offered to a receiver until it shows that it does not know it. Then 1.0 is spoken, and 2.0
 * offered again when some time has passed, longer each time: a receiver behind which old and new ones take turns must
 * not have us change every minute. Nothing is lost either way: what was not understood is sent again. */
#include "deliver/lane.h"

#define DOUBT_AFTER  3 /* attempts */
#define HOLD_MOST_MS (UINT64_C(24) * 3600 * 1000)

static bool spoken(const struct deliver *d)
{
    switch (d->config.metrics_protocol) {
    case METRICS_PROTOCOL_1:
        return false;
    case METRICS_PROTOCOL_2:
        return true;
    case METRICS_PROTOCOL_AUTO:
        break;
    }
    return d->offer.state != OFFER_REFUSED;
}

enum protocol deliver_protocol(const struct deliver *d) { return spoken(d) ? PROTOCOL_RW2 : PROTOCOL_RW1; }

enum protocol offer_protocol(const struct deliver *d, const struct sealed *head)
{
    return head->protocol == PROTOCOL_RW2 && !spoken(d) ? PROTOCOL_RW1 : head->protocol;
}

void offer_proven(struct deliver *d)
{
    if (d->offer.state == OFFER_OPEN)
        d->offer.state = OFFER_PROVEN;
}

bool offer_doubtful(const struct deliver *d, const struct lane *l, const struct sealed *sent, const struct answer *a)
{
    return d->config.metrics_protocol == METRICS_PROTOCOL_AUTO && d->offer.state != OFFER_PROVEN &&
           sent->protocol == PROTOCOL_RW2 && a->end == END_ANSWERED && a->status == 500 && !a->counted &&
           l->attempts >= DOUBT_AFTER;
}

/* Several routes may have asked at once: one refusal counts. */
bool offer_refused(struct deliver *d, uint64_t now_ms)
{
    struct offer *o = &d->offer;
    if (o->state == OFFER_REFUSED || PLANTED(keep_offering))
        return false;
    o->hold_ms = o->hold_ms ? MIN(2 * o->hold_ms, MAX(HOLD_MOST_MS, d->config.offer_ms)) : d->config.offer_ms;
    o->again_ms = now_ms + o->hold_ms;
    o->state = OFFER_REFUSED;
    return true;
}

uint64_t offer_run(struct deliver *d, uint64_t now_ms)
{
    struct offer *o = &d->offer;
    if (o->state == OFFER_REFUSED && now_ms >= o->again_ms)
        o->state = OFFER_OPEN;
    return o->state == OFFER_REFUSED ? o->again_ms : UINT64_MAX;
}
