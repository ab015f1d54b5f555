/* Records that end in the queue, unsent: damaged on disk, or dropped to keep disk_limit. And the receipt shares of
 * requests whose copy in RAM is gone. */
#include <stdlib.h>

#include "queue/store.h"

struct promise *promise_take(struct fifo *f, uint64_t segment, uint64_t at)
{
    struct promise *p = f->promise;
    if (!p || p->segment != segment || p->at != at)
        return NULL;
    f->promise = p->next;
    if (!f->promise)
        f->promise_end = &f->promise;
    p->next = NULL;
    return p;
}

void promise_free(struct promise *p)
{
    if (p)
        free(p->shares);
    free(p);
}

void loss_tell(struct queue *q, struct fifo *f, struct amount lost, bool oldest, const struct promise *promise,
               const char *why)
{
    uint32_t ended = oldest ? fifo_turn(f) : 0;
    const struct queue_loss loss = {f->id.signal, f->id.tenant, f->route, lost.requests, lost.records - ended, why};
    amount_sub(&q->waiting[f->id.signal], lost);
    q->ops.lost(q->ops.ctx, &loss, promise ? promise->shares : NULL, promise ? promise->share_count : 0);
}

/* The shares of the segment's promises go out one promise at a time, with no records of their own: the count is told
 * once, for the segment. */
static void promises_lost(struct queue *q, struct fifo *f, uint64_t segment, const char *why)
{
    struct promise **link = &f->promise;
    while (*link) {
        struct promise *p = *link;
        if (p->segment != segment) {
            link = &p->next;
            continue;
        }
        *link = p->next;
        const struct queue_loss none = {f->id.signal, f->id.tenant, f->route, 0, 0, why};
        q->ops.lost(q->ops.ctx, &none, p->shares, p->share_count);
        promise_free(p);
    }
    f->promise_end = link;
}

void loss_segment_rest(struct queue *q, struct fifo *f, struct segment *s, bool oldest, const char *why)
{
    struct amount rest = s->total;
    amount_sub(&rest, s->read);
    s->read = s->total;
    amount_add(&s->mark.ended, rest);
    amount_sub(&f->disk, rest);
    loss_tell(q, f, rest, oldest, NULL, why);
    promises_lost(q, f, s->number, why);
}

/* ---- drop_oldest ------------------------------------------------------------------------------------------------ */

static const char *const why_dropped = "queue_limit reached (overflow=drop_oldest)";

static bool holds_flying(const struct fifo *f, const struct segment *s)
{
    return f->flying && f->head && f->head->disk_segment == s->number;
}

/* The copies in RAM of what the segment holds go with it. */
static void drop_copies(struct queue *q, struct fifo *f, uint64_t segment)
{
    for (struct sealed *s = f->head, *next; s; s = next) {
        next = s->next;
        if (s->disk_segment != segment)
            continue;
        const struct promise shares = {.shares = s->shares, .share_count = s->share_count};
        loss_tell(q, f, amount_of(s), s == f->head && !oldest_on_disk(f), &shares, why_dropped);
        s->share_count = 0;
        fifo_unlink(f, s);
        q->ops.unload(q->ops.ctx, s, s->charge);
    }
}

bool evict_oldest_segment(struct queue *q)
{
    struct fifo *from = NULL;
    struct segment *victim = NULL;
    for (uint32_t i = 0; i < q->routes; i++)
        for (struct segment *s = q->fifo[i] ? q->fifo[i]->first : NULL; s; s = s->next) {
            if (holds_flying(q->fifo[i], s))
                continue; /* the next of this route is behind what is being sent, and may go */
            if (!victim || s->order < victim->order)
                victim = s, from = q->fifo[i];
            break;
        }
    if (!victim)
        return false;
    drop_copies(q, from, victim->number);
    if (victim->total.requests > victim->read.requests)
        loss_segment_rest(q, from, victim, oldest_on_disk(from) && from->read == victim, why_dropped);
    store_remove(q, from, victim);
    return true;
}
