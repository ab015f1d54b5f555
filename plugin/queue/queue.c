/* The FIFO of each route over RAM and disk: what is pushed, what comes next, what is written out, what is let go of. */
#include <errno.h>
#include <stdlib.h>

#include "queue/store.h"

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 30000

/* ---- life ------------------------------------------------------------------------------------------------------- */

static uint64_t segment_bytes_of(const struct queue_config *c)
{
    uint64_t sixteenth = c->disk_limit / 16;
    return c->segment_bytes ? c->segment_bytes : MIN(MAX(sixteenth, 256 * KIB), 16 * MIB);
}

struct queue *queue_new(const struct queue_config *config, const struct queue_ops *ops)
{
    struct queue *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->config = *config;
    q->config.segment_bytes = segment_bytes_of(config);
    q->ops = *ops;
    q->disk = config->mode == QUEUE_MEMORY ? NULL : config->disk;
    q->boot = config->boot;
    q->retry_delay_ms = RETRY_MIN_MS;
    return q;
}

static void fifo_free(struct fifo *f)
{
    if (!f)
        return;
    ENSURE(!f->head);
    for (struct segment *s = f->first, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    for (struct promise *p = f->promise, *next; p; p = next) {
        next = p->next;
        promise_free(p);
    }
    free((char *)(uintptr_t)f->id.tenant);
    free(f);
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    for (uint32_t i = 0; i < q->routes; i++)
        fifo_free(q->fifo[i]);
    free(q->fifo);
    free(q);
}

static struct fifo *fifo_of(const struct queue *q, uint32_t route) { return route < q->routes ? q->fifo[route] : NULL; }

bool queue_route(struct queue *q, uint32_t route, const struct route_id *id)
{
    if (route >= q->routes) {
        uint32_t n = MAX(route + 1, 2 * q->routes);
        struct fifo **grown = realloc(q->fifo, n * sizeof *grown);
        if (!grown)
            return false;
        memset(grown + q->routes, 0, (n - q->routes) * sizeof *grown);
        q->fifo = grown;
        q->routes = n;
    }
    if (q->fifo[route])
        return true;
    struct fifo *f = calloc(1, sizeof *f);
    char *tenant = f ? strdup(id->tenant) : NULL;
    if (!tenant) {
        free(f);
        return false;
    }
    f->id = *id;
    f->id.tenant = tenant;
    f->route = route;
    f->promise_end = &f->promise;
    f->next_number = 1;
    q->fifo[route] = f;
    return true;
}

/* ---- a disk that fails ------------------------------------------------------------------------------------------ */

static void read_failed(struct queue *q, int rc)
{
    if (!q->unreadable)
        store_say(q, GCW_LOG_ERROR, "queue_dir cannot be read: %s; trying again", errno_text(-rc));
    q->unreadable = true;
}

static void write_failed(struct queue *q, int rc, uint64_t now_ms)
{
    if (!q->failing)
        store_say(q, GCW_LOG_ERROR, "queue_dir cannot be written: %s; going on in memory, trying again",
                  errno_text(-rc));
    else
        q->retry_delay_ms = MIN(q->retry_delay_ms * 2, (uint64_t)RETRY_MAX_MS);
    q->failing = true;
    q->retry_ms = now_ms + q->retry_delay_ms;
}

static void write_works(struct queue *q)
{
    if (q->failing)
        store_say(q, GCW_LOG_WARN, "queue_dir can be written again");
    q->failing = false;
    q->retry_delay_ms = RETRY_MIN_MS;
}

/* ---- RAM -------------------------------------------------------------------------------------------------------- */

static void link_behind(struct fifo *f, struct sealed *before, struct sealed *s)
{
    s->prev = before;
    s->next = before ? before->next : f->head;
    if (before)
        before->next = s;
    else
        f->head = s;
    if (s->next)
        s->next->prev = s;
    else
        f->tail = s;
}

void fifo_unlink(struct fifo *f, struct sealed *s)
{
    if (f->before_disk == s)
        f->before_disk = s->prev;
    if (f->unsynced == s)
        f->unsynced = s->next == f->fresh ? NULL : s->next;
    if (f->fresh == s)
        f->fresh = s->next;
    if (s->prev)
        s->prev->next = s->next;
    else
        f->head = s->next;
    if (s->next)
        s->next->prev = s->prev;
    else
        f->tail = s->prev;
    s->next = s->prev = NULL;
}

bool queue_push(struct queue *q, struct sealed *s)
{
    const struct route_id id = {s->signal, s->lane, s->lanes, s->tenant};
    if (!fifo_of(q, s->route) && !queue_route(q, s->route, &id))
        return false;
    struct fifo *f = q->fifo[s->route];
    ENSURE(!f->tail || f->tail->batch_seq < s->batch_seq || PLANTED(newest_first));
    s->disk_segment = 0;
    link_behind(f, PLANTED(newest_first) && !q->disk && !f->flying ? NULL : f->tail, s);
    if (!f->fresh || (PLANTED(newest_first) && f->head == s))
        f->fresh = s;
    amount_add(&q->waiting[s->signal], amount_of(s));
    return true;
}

uint32_t fifo_turn(struct fifo *f)
{
    uint32_t ended = f->ended;
    f->ended = 0;
    f->turn++;
    return ended;
}

static void attach_promise(struct fifo *f, struct sealed *s)
{
    struct promise *p = promise_take(f, s->disk_segment, s->disk_at);
    if (!p)
        return;
    s->shares = p->shares;
    s->share_count = p->share_count;
    free(p);
}

enum queue_head_state queue_head(struct queue *q, uint32_t route, const struct sealed **head)
{
    struct fifo *f = fifo_of(q, route);
    *head = NULL;
    if (!f)
        return QUEUE_EMPTY;
    if (oldest_on_disk(f)) {
        struct sealed *s;
        int rc = store_load(q, f, &s);
        if (rc < 0) {
            if (rc != -ENOBUFS)
                read_failed(q, rc);
            return QUEUE_BLOCKED;
        }
        q->unreadable = false;
        if (s) {
            link_behind(f, NULL, s);
            f->before_disk = s;
            attach_promise(f, s);
        }
    }
    *head = f->head;
    return f->head ? QUEUE_READY : QUEUE_EMPTY;
}

void queue_flying(struct queue *q, uint32_t route)
{
    struct fifo *f = q->fifo[route];
    f->flying = true;
    struct segment *in = PLANTED(mark_early) && f->head->disk_segment ? segment_find(f, f->head->disk_segment) : NULL;
    if (in) {
        store_mark(q, f, in, f->head->disk_at + f->head->disk_size, amount_of(f->head));
        f->head->disk_segment = 0;
    }
}
void queue_landed(struct queue *q, uint32_t route) { q->fifo[route]->flying = false; }

struct sealed *queue_pop(struct queue *q, uint32_t route)
{
    struct fifo *f = q->fifo[route];
    struct sealed *s = f->head;
    ENSURE(s && !oldest_on_disk(f));
    f->flying = false;
    fifo_unlink(f, s);
    fifo_turn(f);
    amount_sub(&q->waiting[s->signal], amount_of(s));
    struct segment *in = s->disk_segment ? segment_find(f, s->disk_segment) : NULL;
    if (in)
        store_mark(q, f, in, s->disk_at + s->disk_size, amount_of(s));
    return s;
}

void queue_ended_part(struct queue *q, uint32_t route, uint32_t n)
{
    struct fifo *f = q->fifo[route];
    ENSURE(f->head && f->ended + n < f->head->records);
    f->ended += n;
}

uint32_t queue_ended(const struct queue *q, uint32_t route)
{
    const struct fifo *f = fifo_of(q, route);
    return f ? f->ended : 0;
}

uint64_t queue_turn(const struct queue *q, uint32_t route)
{
    const struct fifo *f = fifo_of(q, route);
    return f ? f->turn : 0;
}

struct sealed *queue_abandon(struct queue *q, uint32_t route, uint32_t *ended)
{
    struct fifo *f = fifo_of(q, route);
    struct sealed *s = f ? f->head : NULL;
    if (!s)
        return NULL;
    *ended = oldest_on_disk(f) ? 0 : fifo_turn(f);
    f->flying = false;
    fifo_unlink(f, s);
    amount_sub(&q->waiting[s->signal], amount_of(s));
    return s;
}

gcw_signal queue_signal(const struct queue *q, uint32_t route)
{
    const struct fifo *f = fifo_of(q, route);
    return f ? f->id.signal : GCW_METRICS;
}

uint64_t queue_oldest_seq(const struct queue *q, uint32_t route)
{
    const struct fifo *f = fifo_of(q, route);
    if (!f || (!f->head && f->disk.requests == 0))
        return UINT64_MAX;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what does not begin on disk begins in RAM */
    return oldest_on_disk(f) ? 0 : f->head->batch_seq;
}

bool queue_empty(const struct queue *q, uint32_t route)
{
    const struct fifo *f = fifo_of(q, route);
    return !f || (!f->head && f->disk.requests == 0);
}

struct sealed *queue_take_oldest(struct queue *q, uint32_t *ended)
{
    struct sealed *oldest = NULL;
    struct fifo *from = NULL;
    for (uint32_t i = 0; i < q->routes; i++) {
        struct fifo *f = q->fifo[i];
        struct sealed *s = f ? f->fresh : NULL; /* within a route age is order */
        if (s && s == f->head && f->flying)
            s = s->next;
        if (s && (!oldest || (int64_t)s->sealed_mono_ms < (int64_t)oldest->sealed_mono_ms))
            oldest = s, from = f;
    }
    if (!oldest)
        return NULL;
    *ended = oldest == from->head && !oldest_on_disk(from) ? fifo_turn(from) : 0;
    fifo_unlink(from, oldest);
    amount_sub(&q->waiting[oldest->signal], amount_of(oldest));
    return oldest;
}

/* ---- RAM -> disk ------------------------------------------------------------------------------------------------ */

/* Takes back what was written since the segment's last sync: nobody knows what became of it. */
static void unwrite_segment(struct queue *q, struct fifo *f, struct segment *s)
{
    struct amount gone = s->total;
    amount_sub(&gone, s->synced);
    amount_sub(&s->total, gone);
    amount_sub(&s->read, gone);
    s->end = MAX(s->synced_end, (uint64_t)SEGMENT_DATA);
    s->closed = true;
    s->dirty = false;
    store_cut(q, f, s);
    for (struct sealed *r = f->unsynced; r && r != f->fresh; r = r->next)
        if (r->disk_segment == s->number && r->disk_at >= s->end) {
            r->disk_segment = 0;
            f->fresh = r; /* and with it all behind it, which went to this segment or a later one */
            break;
        }
    if (s->total.requests == s->mark.ended.requests)
        store_remove(q, f, s);
}

static void unwrite(struct queue *q, struct fifo *f)
{
    for (struct segment *s = f->first, *next; s; s = next) {
        next = s->next;
        if (s->dirty)
            unwrite_segment(q, f, s);
    }
    for (struct sealed *s = f->fresh; s; s = s->next)
        s->disk_segment = 0;
    if (f->unsynced == f->fresh)
        f->unsynced = NULL;
}

/* At the limit nothing fails; it is said once, until something fits again. */
static void disk_full(struct queue *q, bool full)
{
    if (full && !q->full)
        store_say(q, GCW_LOG_WARN, "queue_limit reached: what does not fit stays in memory");
    q->full = full;
}

static int write_fresh(struct queue *q, struct fifo *f)
{
    int rc = 0;
    while (f->fresh && rc == 0) {
        struct sealed *s = f->fresh;
        if ((rc = store_append(q, f, s)) < 0)
            break;
        if (!f->unsynced)
            f->unsynced = s;
        f->fresh = s->next;
    }
    return rc;
}

static int sync_fifo(struct queue *q, struct fifo *f)
{
    int rc = 0;
    for (struct segment *s = f->first; s && rc == 0; s = s->next)
        if (s->dirty)
            rc = store_sync_segment(q, f, s);
    return rc;
}

/* A directory entry must be safe before a receipt for what is in the file. */
static int sync_dir(struct queue *q)
{
    int rc = q->dir_dirty && !PLANTED(skip_dir_sync) ? q->disk->sync_dir(q->disk->ctx) : 0;
    if (rc == 0)
        q->dir_dirty = false;
    return rc;
}

static void tell_durable(struct queue *q, struct fifo *f)
{
    for (struct sealed *s = f->unsynced; s && s != f->fresh; s = s->next) {
        s->disk_synced = true;
        q->ops.durable(q->ops.ctx, s);
    }
    f->unsynced = NULL;
}

static bool keep_promise(struct fifo *f, struct sealed *s, bool first)
{
    if (s->share_count == 0)
        return true;
    struct promise *p = malloc(sizeof *p);
    if (!p)
        return false;
    if (PLANTED(forget_promise)) {
        free(p);
        free(s->shares);
        s->shares = NULL;
        s->share_count = 0;
        return true;
    }
    *p = (struct promise){NULL, s->disk_segment, s->disk_at, s->shares, s->share_count};
    s->shares = NULL;
    s->share_count = 0;
    if (first) {
        p->next = f->promise;
        f->promise = p;
    } else {
        *f->promise_end = p;
    }
    if (!p->next)
        f->promise_end = &p->next;
    return true;
}

/* Drops the copy in RAM of a request that borders on what is on disk only, `first`: becoming the first of that. Bytes
 * freed, 0 = not possible. */
static uint64_t unload(struct queue *q, struct fifo *f, struct sealed *s, bool first)
{
    struct segment *in = s->disk_segment && s->disk_synced ? segment_find(f, s->disk_segment) : NULL;
    if (!in || !keep_promise(f, s, first))
        return 0;
    if (f->disk.requests == 0) /* the rest of RAM, none, is behind it */
        f->before_disk = s->prev;
    if (first) {
        f->read = in;
        f->read_at = s->disk_at;
    }
    amount_sub(&in->read, amount_of(s));
    amount_add(&f->disk, amount_of(s));
    fifo_unlink(f, s);
    uint64_t charge = s->charge;
    q->ops.unload(q->ops.ctx, s, charge);
    return charge;
}

/* What came while older requests wait on disk would be read back anyway: out of RAM with it. */
static uint64_t unload_newest(struct queue *q, struct fifo *f)
{
    uint64_t freed = 0, n = 1;
    while (n && f->disk.requests > 0) {
        struct sealed *s = f->before_disk ? f->before_disk->next : f->head;
        if (!s || s == f->fresh)
            break;
        freed += n = unload(q, f, s, false);
    }
    return freed;
}

/* Copies ahead of what is on disk, newest first, all but the route's first. */
static uint64_t unload_window(struct queue *q, struct fifo *f, uint64_t bytes, bool head_too)
{
    uint64_t freed = 0, n = 1;
    while (n && freed < bytes) {
        struct sealed *s = f->disk.requests > 0 ? f->before_disk : f->tail;
        if (!s || (s == f->head && (f->flying || !head_too)))
            break;
        freed += n = unload(q, f, s, true);
    }
    return freed;
}

/* Writes and syncs the given route, or all. -EDQUOT is not an error of the disk. */
static int persist(struct queue *q, struct fifo *only)
{
    int rc = 0, full = 0;
    for (uint32_t i = 0; i < q->routes && rc == 0; i++) {
        struct fifo *f = q->fifo[i];
        if (!f || (only && f != only))
            continue;
        rc = write_fresh(q, f);
        if (rc == -EDQUOT)
            full = rc, rc = 0;
        for (struct sealed *s = f->unsynced; s && s != f->fresh && PLANTED(ack_before_sync); s = s->next)
            q->ops.durable(q->ops.ctx, s);
        if (rc == 0)
            rc = sync_fifo(q, f);
    }
    if (rc == 0)
        rc = sync_dir(q);
    for (uint32_t i = 0; i < q->routes; i++) {
        struct fifo *f = q->fifo[i];
        if (!f || (only && f != only))
            continue;
        if (rc < 0)
            unwrite(q, f);
        else
            tell_durable(q, f);
        unload_newest(q, f);
    }
    disk_full(q, full < 0);
    return rc;
}

static bool unsafe(const struct fifo *f) { return f && (f->fresh || f->unsynced); }

static bool anything_unsafe(const struct queue *q)
{
    for (uint32_t i = 0; i < q->routes; i++)
        if (unsafe(q->fifo[i]))
            return true;
    return false;
}

static bool may_try(const struct queue *q, uint64_t now_ms)
{
    return q->disk && (!q->failing || now_ms >= q->retry_ms);
}

static bool persist_and_say(struct queue *q, struct fifo *only, uint64_t now_ms)
{
    int rc = persist(q, only);
    if (rc < 0)
        write_failed(q, rc, now_ms);
    else
        write_works(q);
    return rc == 0;
}

uint64_t queue_commit(struct queue *q, uint64_t now_ms)
{
    if (q->config.mode != QUEUE_DURABLE)
        return UINT64_MAX;
    if (anything_unsafe(q) && may_try(q, now_ms))
        persist_and_say(q, NULL, now_ms);
    return q->failing && anything_unsafe(q) ? q->retry_ms : UINT64_MAX;
}

void queue_spill(struct queue *q, uint32_t route, uint64_t now_ms)
{
    struct fifo *f = fifo_of(q, route);
    if (unsafe(f) && may_try(q, now_ms))
        persist_and_say(q, f, now_ms);
}

uint64_t queue_make_room(struct queue *q, uint64_t bytes, uint64_t now_ms)
{
    uint64_t freed = 0;
    if (!q->disk)
        return 0;
    if (anything_unsafe(q) && may_try(q, now_ms))
        persist_and_say(q, NULL, now_ms);
    for (int head_too = 0; head_too < 2; head_too++)
        for (uint32_t i = 0; i < q->routes && freed < bytes; i++)
            if (q->fifo[i])
                freed += unload_window(q, q->fifo[i], bytes - freed, head_too);
    return freed;
}

void queue_close(struct queue *q, uint64_t now_ms)
{
    if (!q->disk)
        return;
    q->retry_ms = 0; /* whatever the disk did, this is the last chance */
    if (anything_unsafe(q))
        persist_and_say(q, NULL, now_ms);
    for (uint32_t i = 0; i < q->routes; i++) {
        struct fifo *f = q->fifo[i];
        if (!f)
            continue;
        f->flying = false;
        unload_newest(q, f);
        unload_window(q, f, UINT64_MAX, true);
        store_close_tail(q, f);
        for (struct segment *s = f->first; s; s = s->next)
            if (s->dirty || s->mark_dirty)
                store_sync_segment(q, f, s);
    }
}

/* ---- looking in ------------------------------------------------------------------------------------------------- */

uint32_t queue_routes(const struct queue *q) { return q->routes; }
uint64_t queue_disk_bytes(const struct queue *q) { return q->disk_bytes; }
uint64_t queue_syncs(const struct queue *q) { return q->syncs; }
bool queue_disk_failing(const struct queue *q) { return q->failing; }

/* When the route's oldest request was sealed, as a monotonic time that may lie before the machine's start. */
static int64_t oldest_of(const struct queue *q, const struct fifo *f)
{
    if (oldest_on_disk(f) && f->read)
        return f->read->first_sealed_unix_ms - q->unix_less_mono_ms;
    return f->head ? (int64_t)f->head->sealed_mono_ms : INT64_MAX;
}

void queue_gauges(const struct queue *q, gcw_signal signal, struct queue_gauges *out)
{
    const struct amount *w = &q->waiting[signal], *r = &q->recovered[signal];
    *out = (struct queue_gauges){.requests = w->requests,
                                 .records = w->records,
                                 .bytes = w->bytes,
                                 .recovered_requests = r->requests,
                                 .recovered_records = r->records,
                                 .damaged = q->damaged[signal],
                                 .oldest_ms = INT64_MAX};
    for (uint32_t i = 0; i < q->routes; i++) {
        const struct fifo *f = q->fifo[i];
        if (!f || f->id.signal != signal)
            continue;
        out->oldest_ms = MIN(out->oldest_ms, oldest_of(q, f));
        for (const struct segment *s = f->first; s; s = s->next) {
            out->disk_requests += s->total.requests - s->mark.ended.requests;
            out->disk_records += s->total.records - s->mark.ended.records;
        }
    }
}
