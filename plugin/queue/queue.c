/* The memory window: a FIFO of sealed requests for each route, with counts kept per signal. */
#include <stdlib.h>

#include "queue/queue.h"

struct fifo {
    struct sealed *head, *tail;
};

struct queue {
    struct fifo *route; /* by index */
    uint32_t routes;
    size_t count[GCW_SIGNALS];
    uint64_t bytes[GCW_SIGNALS];
};

struct queue *queue_new(void) { return calloc(1, sizeof(struct queue)); }

void queue_free(struct queue *q)
{
    if (!q)
        return;
    for (int i = 0; i < GCW_SIGNALS; i++)
        ENSURE(q->count[i] == 0);
    free(q->route);
    free(q);
}

static bool reserve(struct queue *q, uint32_t route)
{
    if (route < q->routes)
        return true;
    uint32_t n = MAX(route + 1, 2 * q->routes);
    struct fifo *grown = realloc(q->route, n * sizeof *grown);
    if (!grown)
        return false;
    memset(grown + q->routes, 0, (n - q->routes) * sizeof *grown);
    q->route = grown;
    q->routes = n;
    return true;
}

bool queue_push(struct queue *q, struct sealed *s)
{
    if (!reserve(q, s->route))
        return false;
    struct fifo *f = &q->route[s->route];
    ENSURE(!f->tail || f->tail->batch_seq < s->batch_seq);
    s->next = NULL;
    if (f->tail)
        f->tail->next = s;
    else
        f->head = s;
    f->tail = s;
    q->count[s->signal]++;
    q->bytes[s->signal] += s->len;
    return true;
}

struct sealed *queue_head(const struct queue *q, uint32_t route)
{
    return route < q->routes ? q->route[route].head : NULL;
}

/* Takes the request behind `before` (NULL = the head) out of its FIFO. */
static struct sealed *unlink_after(struct queue *q, struct fifo *f, struct sealed *before)
{
    struct sealed *s = before ? before->next : f->head;
    if (before)
        before->next = s->next;
    else
        f->head = s->next;
    if (f->tail == s)
        f->tail = before;
    s->next = NULL;
    q->count[s->signal]--;
    q->bytes[s->signal] -= s->len;
    return s;
}

struct sealed *queue_pop(struct queue *q, uint32_t route)
{
    return queue_head(q, route) ? unlink_after(q, &q->route[route], NULL) : NULL;
}

struct sealed *queue_take_oldest(struct queue *q, bool (*may_take)(void *ctx, const struct sealed *s), void *ctx)
{
    struct fifo *from = NULL;
    struct sealed *before = NULL;
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < q->routes; i++) {
        /* within a route age is order: the first that may go is its oldest */
        struct sealed *b = NULL, *s = q->route[i].head;
        while (s && !may_take(ctx, s))
            b = s, s = s->next;
        if (s && s->sealed_mono_ms < oldest) {
            oldest = s->sealed_mono_ms;
            from = &q->route[i];
            before = b;
        }
    }
    return from ? unlink_after(q, from, before) : NULL;
}

uint32_t queue_routes(const struct queue *q) { return q->routes; }
size_t queue_count(const struct queue *q, gcw_signal signal) { return q->count[signal]; }
uint64_t queue_bytes(const struct queue *q, gcw_signal signal) { return q->bytes[signal]; }

const struct sealed *queue_oldest(const struct queue *q, gcw_signal signal)
{
    const struct sealed *oldest = NULL;
    for (uint32_t i = 0; i < q->routes; i++) {
        const struct sealed *s = q->route[i].head;
        if (s && s->signal == signal && (!oldest || s->sealed_mono_ms < oldest->sealed_mono_ms))
            oldest = s;
    }
    return oldest;
}
