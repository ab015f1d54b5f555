/* Destinations and their routes; chunks gather into the open batch, batches close and wait for the encoder. */
#include <stdlib.h>
#include <time.h>

#include "batch/record.h"

struct batcher *batcher_new(const struct batcher_config *config, const struct batcher_ops *ops)
{
    struct batcher *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&b->ready_cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&b->lock, NULL);
    b->config = *config;
    b->ops = *ops;
    b->ready_last = &b->ready_first;
    return b;
}

static void chunks_free(struct batcher *b, struct chunk *first)
{
    for (struct chunk *c = first, *next; c; c = next) {
        next = c->next;
        chunk_give(b, c);
    }
}

static void destination_free(struct destination *d)
{
    for (unsigned i = 0; i < d->stripes; i++) {
        if (d->stripe[i].open)
            chunk_give(d->batcher, d->stripe[i].open);
        fingerprints_free(&d->stripe[i].seen);
    }
    for (unsigned i = 0; d->route && i < d->lanes; i++)
        chunks_free(d->batcher, d->route[i].first);
    free(d->route);
    free(d->tenant);
    free(d);
}

void batcher_free(struct batcher *b)
{
    if (!b)
        return;
    for (struct batch *batch = b->ready_first, *next; batch; batch = next) {
        next = batch->next;
        batch_free(b, batch);
    }
    for (struct destination *d = b->destinations, *next; d; d = next) {
        next = d->next;
        destination_free(d);
    }
    chunk_pool_free(b);
    free(b->route);
    pthread_cond_destroy(&b->ready_cond);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void batch_free(struct batcher *b, struct batch *batch)
{
    chunks_free(b, batch->first);
    free(batch);
}

/* ---- destinations -------------------------------------------------------------------------------------------- */

static unsigned lanes_of(const struct batcher *b, gcw_signal signal)
{
    return MIN(MAX(b->config.lanes[signal], 1u), (unsigned)LANES_MAX);
}

/* With `stripes` 0 nothing can be appended: its routes only carry what an earlier writer left. */
static struct destination *destination_new(struct batcher *b, gcw_signal signal, const char *tenant, unsigned lanes,
                                           unsigned stripes)
{
    uint32_t base = atomic_load(&b->route_count);
    struct route **route = realloc(b->route, (base + lanes) * sizeof(struct route *));
    if (!route)
        return NULL;
    b->route = route;
    struct destination *d = aligned_alloc(64, (sizeof *d + stripes * sizeof(struct stripe) + 63) & ~(size_t)63);
    if (!d)
        return NULL;
    memset(d, 0, sizeof *d + stripes * sizeof(struct stripe));
    d->batcher = b;
    d->user = b->ops.ctx;
    d->signal = signal;
    d->lanes = lanes;
    d->tenant = strdup(tenant);
    d->route = calloc(lanes, sizeof *d->route);
    for (unsigned i = 0; i < stripes && d->route; i++) {
        d->stripe[i].route = &d->route[i % lanes];
        d->stripe[i].seen_since_ms = clock_mono_ms();
        d->stripes = i + 1;
    }
    if (!d->tenant || !d->route) {
        destination_free(d);
        return NULL;
    }
    for (unsigned i = 0; i < lanes; i++) {
        d->route[i].destination = d;
        d->route[i].index = base + i;
        route[base + i] = &d->route[i];
    }
    d->next = b->destinations;
    b->destinations = d;
    b->destination_count++;
    atomic_store(&b->route_count, base + lanes);
    return d;
}

struct destination *batcher_destination(struct batcher *b, gcw_signal signal, const char *tenant)
{
    pthread_mutex_lock(&b->lock);
    struct destination *d = b->destinations;
    while (d && (d->stripes == 0 || d->signal != signal || strcmp(d->tenant, tenant) != 0))
        d = d->next;
    unsigned lanes = lanes_of(b, signal);
    if (!d && b->destination_count < b->config.max_destinations)
        d = destination_new(b, signal, tenant, lanes, lanes * MAX(STRIPES_MIN / lanes, 2u));
    pthread_mutex_unlock(&b->lock);
    return d;
}

struct destination *batcher_earlier(struct batcher *b, gcw_signal signal, const char *tenant, unsigned lanes)
{
    if (lanes == lanes_of(b, signal))
        return batcher_destination(b, signal, tenant);
    pthread_mutex_lock(&b->lock);
    struct destination *d = b->destinations;
    while (d && (d->stripes > 0 || d->signal != signal || d->lanes != lanes || strcmp(d->tenant, tenant) != 0))
        d = d->next;
    if (!d && b->destination_count < b->config.max_destinations)
        d = destination_new(b, signal, tenant, lanes, 0);
    pthread_mutex_unlock(&b->lock);
    return d;
}

uint32_t destination_route(const struct destination *d, unsigned lane) { return d->route[0].index + lane; }
unsigned destination_lanes(const struct destination *d) { return d->lanes; }

const char *destination_tenant(const struct destination *d) { return d->tenant; }
void *destination_user(const struct destination *d) { return d->user; }
gcw_signal destination_signal(const struct destination *d) { return d->signal; }
uint32_t batcher_routes(const struct batcher *b) { return atomic_load(&b->route_count); }

/* ---- the open batch ------------------------------------------------------------------------------------------ */

/* Oldest record still in the route's stripes; 0 = none. Read without their locks: a stripe that fills right now calls
 * route_started() itself. */
static uint64_t stripes_first_ms(const struct route *r)
{
    uint64_t first = 0;
    const struct destination *d = r->destination;
    for (unsigned i = 0; i < d->stripes; i++) {
        uint64_t ms = d->stripe[i].route == r ? atomic_load_explicit(&d->stripe[i].first_ms, memory_order_relaxed) : 0;
        if (ms && (first == 0 || ms < first))
            first = ms;
    }
    return first;
}

/* With the batcher locked. False = out of memory: the batch stays open and is tried again when more comes. */
static bool route_close(struct batcher *b, struct route *r)
{
    if (r->first) {
        struct batch *batch = malloc(sizeof *batch);
        if (!batch)
            return false;
        *batch = (struct batch){
            .first = r->first,
            .last = r->last,
            .seq = ++r->last_seq,
            .wire_bytes = r->wire_bytes,
            .records = r->records,
            .route = r->index,
            .signal = r->destination->signal,
            .destination = r->destination,
            .tenant = r->destination->tenant,
            .lane = (uint16_t)(r->index - r->destination->route[0].index),
            .lanes = (uint16_t)r->destination->lanes,
        };
        *b->ready_last = batch;
        b->ready_last = &batch->next;
        r->first = r->last = NULL;
        r->wire_bytes = r->records = 0;
    }
    r->first_ms = stripes_first_ms(r);
    return true;
}

void route_add_chunk(struct route *r, struct chunk *c)
{
    struct batcher *b = r->destination->batcher;
    const struct batch_limits *l = &b->config.limits[r->destination->signal];
    pthread_mutex_lock(&b->lock);
    bool over = r->first && (r->wire_bytes + c->wire_bytes > l->bytes || r->records + c->records > l->records);
    bool closed = over && route_close(b, r);
    if (r->last)
        r->last->next = c;
    else
        r->first = c;
    r->last = c;
    r->wire_bytes += c->wire_bytes;
    r->records += c->records;
    if (r->first_ms == 0 || c->first_ms < r->first_ms)
        r->first_ms = c->first_ms;
    if (closed)
        pthread_cond_signal(&b->ready_cond);
    pthread_mutex_unlock(&b->lock);
}

void route_started(struct route *r, uint64_t now_ms)
{
    struct batcher *b = r->destination->batcher;
    pthread_mutex_lock(&b->lock);
    if (r->first_ms == 0) {
        r->first_ms = now_ms;
        pthread_cond_signal(&b->ready_cond); /* the encoder may be asleep without a timer */
    }
    pthread_mutex_unlock(&b->lock);
}

/* ---- the encoder's side ---------------------------------------------------------------------------------------- */

/* With the batcher locked: the first route whose oldest record is past its age, or when the next one will be. */
static struct route *route_due(struct batcher *b, uint64_t now, uint64_t *next_ms)
{
    uint32_t count = atomic_load(&b->route_count);
    for (uint32_t i = 0; i < count; i++) {
        struct route *r = b->route[i];
        if (r->first_ms == 0)
            continue;
        uint64_t due = r->first_ms + b->config.limits[r->destination->signal].age_ms;
        if (due <= now)
            return r;
        *next_ms = MIN(*next_ms, due);
    }
    return NULL;
}

/* Sweeps outside the lock, since stripes are locked before the batcher. */
static void route_sweep_and_close(struct batcher *b, struct route *r)
{
    pthread_mutex_unlock(&b->lock);
    route_sweep(r);
    pthread_mutex_lock(&b->lock);
    if (!route_close(b, r))
        r->first_ms = clock_mono_ms(); /* out of memory: try again an age later */
}

struct batch *batcher_next(struct batcher *b, uint64_t deadline_ms)
{
    struct batch *batch = NULL;
    pthread_mutex_lock(&b->lock);
    while (!b->woken) {
        uint64_t now = clock_mono_ms(), next = deadline_ms;
        struct route *due = route_due(b, now, &next);
        if (due)
            route_sweep_and_close(b, due);
        if (b->ready_first || now >= deadline_ms)
            break;
        if (due)
            continue;
        struct timespec ts;
        deadline_timespec(next, &ts);
        pthread_cond_timedwait(&b->ready_cond, &b->lock, &ts);
    }
    b->woken = false;
    if ((batch = b->ready_first) && !(b->ready_first = batch->next))
        b->ready_last = &b->ready_first;
    pthread_mutex_unlock(&b->lock);
    return batch;
}

void batcher_close_all(struct batcher *b)
{
    uint32_t count = atomic_load(&b->route_count);
    pthread_mutex_lock(&b->lock);
    for (uint32_t i = 0; i < count; i++)
        if (b->route[i]->first_ms)
            route_sweep_and_close(b, b->route[i]);
    pthread_cond_signal(&b->ready_cond);
    pthread_mutex_unlock(&b->lock);
}

uint64_t batcher_last_seq(struct batcher *b, uint32_t route)
{
    pthread_mutex_lock(&b->lock);
    uint64_t seq = b->route[route]->last_seq;
    pthread_mutex_unlock(&b->lock);
    return seq;
}

void batcher_wake(struct batcher *b)
{
    pthread_mutex_lock(&b->lock);
    b->woken = true;
    pthread_cond_signal(&b->ready_cond);
    pthread_mutex_unlock(&b->lock);
}
