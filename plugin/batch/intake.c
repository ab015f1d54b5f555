/* Appending: a record is copied into its stripe's chunk under the stripe's lock. This is the hot path: no allocation
 * while the chunk has room, no formatting, one clock reading a chunk. */
#include <stdlib.h>

#include "batch/record.h"

static inline uint32_t aligned(size_t n) { return (uint32_t)((n + 7) & ~(size_t)7); }

/* The lane follows from the labels alone, not from the process' seed: what an earlier one left in a lane's files is of
 * the series that take that lane again. Within a lane, label sets are dealt to stripes in runs: neighbours in the
 * order of interning (or of one metric) are mostly appended together, and lie together in memory; kept together they
 * are read without cache misses and compress better. */
#define RUN 64

static inline uint32_t stripe_index(const struct destination *d, struct view block, uint64_t spread)
{
    const uint32_t per_lane = d->stripes / d->lanes;
    const uint32_t lane = d->lanes == 1 ? 0 : (uint32_t)(hash_bytes(block.p, block.n, 0) >> 32) % d->lanes;
    return lane + d->lanes * (uint32_t)(spread % per_lane);
}

void destination_assign(struct interned *i, struct view block, uint32_t number)
{
    i->stripe = stripe_index(i->owner, block, number / RUN);
}

static bool share_note(struct chunk *c, struct gcw_receipt *receipt)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a stripe that was renewed has a chunk */
    if (c->share_count == 0 || c->shares[c->share_count - 1].receipt != receipt) {
        if (c->share_count == CHUNK_SHARES)
            return false;
        c->shares[c->share_count++] = (struct receipt_share){receipt, 0};
    }
    return true;
}

static void stripe_hand_over(struct stripe *s)
{
    struct chunk *c = s->open;
    s->open = NULL;
    atomic_store_explicit(&s->first_ms, 0, memory_order_relaxed);
    route_add_chunk(s->route, c);
}

/* The slow end of stripe_room(): the open chunk goes to the route and another one is taken. */
static gcw_status stripe_renew(struct destination *d, struct stripe *s, uint32_t size, bool force)
{
    if (s->open)
        stripe_hand_over(s);
    gcw_status status;
    struct chunk *c = chunk_take(d->batcher, size, force, &status);
    if (!c)
        return status;
    /* it closes early enough that a batch of whole chunks comes close to its limits without passing them */
    const struct batch_limits *l = &d->batcher->config.limits[d->signal];
    c->wire_max = MAX(l->bytes / 8, 1);
    c->records_max = (uint32_t)MIN(MAX(l->records / 8, 1), UINT32_MAX);
    uint64_t now = clock_mono_ms();
    c->first_ms = now;
    s->open = c;
    atomic_store_explicit(&s->first_ms, now, memory_order_relaxed);
    route_started(s->route, now);
    return GCW_OK;
}

static inline bool chunk_has_room(const struct chunk *c, uint32_t size, uint64_t wire, uint32_t records)
{
    return c->cap - c->used >= size && c->wire_bytes + wire <= c->wire_max && c->records + records <= c->records_max;
}

/* Room for `records`, written as one, in the stripe's chunk, with the stripe locked; NULL with *status set. */
static inline __attribute__((always_inline)) void *stripe_room(struct destination *d, struct stripe *s, uint32_t size,
                                                               uint64_t wire, uint32_t records,
                                                               struct gcw_receipt *receipt, gcw_status *status)
{
    if (__builtin_expect(!s->open || (s->open->used > 0 && !chunk_has_room(s->open, size, wire, records)) ||
                             s->open->cap - s->open->used < size,
                         0))
        if ((*status = stripe_renew(d, s, size, false)) != GCW_OK)
            return NULL;
    if (receipt && !share_note(s->open, receipt)) {
        if ((*status = stripe_renew(d, s, size, false)) != GCW_OK)
            return NULL;
        share_note(s->open, receipt);
    }
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the same */
    return s->open->data + s->open->used;
}

static inline void stripe_commit(struct stripe *s, uint32_t size, uint64_t wire, uint32_t records,
                                 struct gcw_receipt *receipt)
{
    struct chunk *c = s->open;
    c->used += size;
    c->wire_bytes += wire;
    c->records += records;
    s->accepted += records;
    if (receipt) {
        c->shares[c->share_count - 1].records += records;
        receipt_add(receipt, records);
    }
}

/* Series are mostly appended to in the order of interning, in which they mostly lie in memory one behind the other: a
 * guess where the one after next is, for the cost of an addition. Nothing is read if it is wrong. */
static inline void prefetch_next(const struct interned *series)
{
    uintptr_t stride = (sizeof *series + interned_body(series) + 8 + 15) & ~(uintptr_t)15; /* malloc's */
    __builtin_prefetch((const void *)((uintptr_t)series + 4 * stride));
}

gcw_status batch_sample(struct destination *d, struct interned *series, uint64_t value_bits, int64_t time_ms,
                        struct gcw_receipt *receipt)
{
    const uint32_t size = sizeof(struct record_sample);
    uint64_t wire = series->block_len + SAMPLE_WIRE;
    struct stripe *s = &d->stripe[series->stripe];
    gcw_status status = GCW_OK;
    prefetch_next(series);
    latch_take(&s->lock);
    struct record_sample *r = stripe_room(d, s, size, wire, 1, receipt, &status);
    if (r) {
        *r = (struct record_sample){{size, RECORD_SAMPLE}, series, value_bits, time_ms};
        stripe_commit(s, size, wire, 1, receipt);
    }
    latch_give(&s->lock);
    return status;
}

/* Which label sets the one-call form has used in the last hour; forgotten together, so that what is gone stops
 * counting. */
#define SEEN_MS    (UINT64_C(3600) * 1000)
#define SEEN_BYTES 16 /* of a fingerprint slot, at the load it is kept */

static gcw_status stripe_see(struct stripe *s, struct guard *guard, struct view block, uint64_t fingerprint)
{
    if (fingerprint_has(&s->seen, fingerprint))
        return GCW_OK;
    uint64_t now = clock_mono_ms();
    if (now - s->seen_since_ms >= SEEN_MS) {
        guard_leave(guard, s->seen.count, s->seen.count * SEEN_BYTES);
        fingerprints_free(&s->seen);
        s->seen_since_ms = now;
    }
    if (!guard_admit(guard, block, SEEN_BYTES))
        return GCW_ERR_LIMIT;
    if (fingerprint_add(&s->seen, fingerprint))
        return GCW_OK;
    guard_leave(guard, 1, SEEN_BYTES);
    return GCW_ERR_NOMEM;
}

gcw_status batch_sample_inline(struct destination *d, struct view block, uint64_t hash, uint64_t spread,
                               struct guard *guard, uint64_t value_bits, int64_t time_ms, struct gcw_receipt *receipt)
{
    uint32_t size = aligned(sizeof(struct record_sample_inline) + block.n);
    uint64_t wire = block.n + SAMPLE_WIRE;
    struct stripe *s = &d->stripe[stripe_index(d, block, spread)];
    struct record_sample_inline *r = NULL;
    latch_take(&s->lock);
    gcw_status status = stripe_see(s, guard, block, hash);
    if (status == GCW_OK)
        r = stripe_room(d, s, size, wire, 1, receipt, &status);
    if (r) {
        *r = (struct record_sample_inline){{size, RECORD_SAMPLE_INLINE}, value_bits, time_ms, (uint32_t)block.n};
        memcpy(r->block, block.p, block.n);
        stripe_commit(s, size, wire, 1, receipt);
    }
    latch_give(&s->lock);
    return status;
}

gcw_status batch_point(struct destination *d, const struct point_series *of, const struct point *p,
                       struct gcw_receipt *receipt)
{
    struct view block = of->series ? view_make("", 0) : of->block;
    const struct view parts[] = {block, p->histogram, p->bounds, p->exemplars};
    size_t text = block.n + p->histogram.n + p->bounds.n + p->exemplars.n;
    uint32_t size = aligned(sizeof(struct record_point) + text);
    uint64_t wire = text + (of->series ? of->series->block_len : 0) + SAMPLE_WIRE;
    struct stripe *s = &d->stripe[of->series ? of->series->stripe : stripe_index(d, of->block, of->spread)];
    struct record_point *r = NULL;
    latch_take(&s->lock);
    gcw_status status = of->series ? GCW_OK : stripe_see(s, of->guard, block, of->hash);
    if (status == GCW_OK)
        r = stripe_room(d, s, size, wire, 1, receipt, &status);
    if (r) {
        *r = (struct record_point){{size, RECORD_POINT},
                                   of->series,
                                   p->value_bits,
                                   p->time_ms,
                                   p->start_ms,
                                   (uint32_t)block.n,
                                   (uint32_t)p->histogram.n,
                                   (uint32_t)p->bounds.n,
                                   (uint32_t)p->exemplars.n};
        char *to = r->text;
        for (size_t i = 0; i < ARRAY_LEN(parts); to += parts[i++].n)
            if (parts[i].n)
                memcpy(to, parts[i].p, parts[i].n);
        s->open->beyond |= p->histogram.n ? BEYOND_HISTOGRAMS : 0;
        s->open->beyond |= p->bounds.n ? BEYOND_CUSTOM_BUCKETS : 0;
        stripe_commit(s, size, wire, 1, receipt);
    }
    latch_give(&s->lock);
    return status;
}

gcw_status batch_group(struct destination *d, struct interned *key, const struct group_point *p,
                       struct gcw_receipt *receipt)
{
    const struct group *g = key->payload;
    size_t head = sizeof(struct record_group) + g->count * sizeof(uint64_t);
    uint32_t size = aligned(head + p->exemplars.n);
    uint64_t wire = group_wire(g, p->exemplars.n);
    struct stripe *s = &d->stripe[key->stripe];
    gcw_status status = GCW_OK;
    latch_take(&s->lock);
    struct record_group *r = stripe_room(d, s, size, wire, g->count, receipt, &status);
    if (r) {
        *r = (struct record_group){{size, RECORD_GROUP}, g, p->time_ms, p->start_ms, p->exemplars.n};
        p->fill(p->from, r->value_bits);
        if (p->exemplars.n)
            memcpy((char *)r + head, p->exemplars.p, p->exemplars.n);
        s->open->has_group = true;
        stripe_commit(s, size, wire, g->count, receipt);
    }
    latch_give(&s->lock);
    return status;
}

gcw_status batch_entry(struct destination *d, struct interned *stream, struct view line, struct view metadata,
                       int64_t time_ns, struct gcw_receipt *receipt)
{
    uint32_t size = aligned(sizeof(struct record_entry) + line.n + metadata.n);
    uint64_t wire = line.n + metadata.n + ENTRY_WIRE;
    struct stripe *s = &d->stripe[stream->stripe];
    gcw_status status = GCW_OK;
    latch_take(&s->lock);
    struct record_entry *r = stripe_room(d, s, size, wire, 1, receipt, &status);
    if (r) {
        *r = (struct record_entry){{size, RECORD_ENTRY}, stream, time_ns, NULL, (uint32_t)line.n, (uint32_t)metadata.n};
        if (line.n)
            memcpy(r->text, line.p, line.n);
        if (metadata.n)
            memcpy(r->text + line.n, metadata.p, metadata.n);
        stripe_commit(s, size, wire, 1, receipt);
    }
    latch_give(&s->lock);
    return status;
}

gcw_status batch_metadata(struct destination *d, gcw_metric_type type, struct view family, struct view help,
                          struct view unit)
{
    size_t text = family.n + help.n + unit.n;
    uint32_t size = aligned(sizeof(struct record_metadata) + text);
    struct stripe *s = &d->stripe[0];
    gcw_status status = GCW_OK;
    latch_take(&s->lock);
    struct record_metadata *r = stripe_room(d, s, size, text + 32, 0, NULL, &status);
    if (r) {
        *r = (struct record_metadata){
            {size, RECORD_METADATA}, (uint32_t)type, (uint32_t)family.n, (uint32_t)help.n, (uint32_t)unit.n};
        memcpy(r->text, family.p, family.n);
        if (help.n)
            memcpy(r->text + family.n, help.p, help.n);
        if (unit.n)
            memcpy(r->text + family.n + help.n, unit.p, unit.n);
        s->open->used += size; /* not a record of the user's: not counted */
        s->open->wire_bytes += text + 32;
    }
    latch_give(&s->lock);
    return status;
}

static void release_put(struct destination *d, struct interned *label_set, enum record_kind kind)
{
    const uint32_t size = sizeof(struct record_release);
    struct stripe *s = &d->stripe[label_set->stripe];
    latch_take(&s->lock);
    gcw_status status = GCW_OK;
    if (!s->open || s->open->cap - s->open->used < size)
        status = stripe_renew(d, s, size, true);
    if (status == GCW_OK) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the same */
        struct record_release *r = (struct record_release *)(void *)(s->open->data + s->open->used);
        *r = (struct record_release){{size, kind}, label_set};
        s->open->used += size;
        s->open->has_release = true;
    }
    latch_give(&s->lock);
    /* out of memory for 32 KiB: the label set stays until the table goes; there is no other way to know that its
     * records have been encoded. */
}

void batch_release(struct destination *d, struct interned *label_set) { release_put(d, label_set, RECORD_RELEASE); }
void batch_release_group(struct destination *d, struct interned *key) { release_put(d, key, RECORD_RELEASE_GROUP); }

uint64_t batcher_accepted(const struct batcher *cb, gcw_signal signal)
{
    struct batcher *b = (struct batcher *)(uintptr_t)cb;
    uint64_t n = 0;
    pthread_mutex_lock(&b->lock);
    struct destination *all = b->destinations;
    pthread_mutex_unlock(&b->lock);
    for (struct destination *d = all; d; d = d->next) {
        if (d->signal != signal)
            continue;
        for (unsigned i = 0; i < d->stripes; i++) {
            latch_take(&d->stripe[i].lock);
            n += d->stripe[i].accepted;
            latch_give(&d->stripe[i].lock);
        }
    }
    return n;
}

/* ---- sweeping: the encoder takes what lies in the stripes of a route ------------------------------------------- */

void route_sweep(struct route *r)
{
    struct destination *d = r->destination;
    for (unsigned i = 0; i < d->stripes; i++) {
        struct stripe *s = &d->stripe[i];
        if (s->route != r)
            continue;
        latch_take(&s->lock);
        if (s->open && s->open->used > 0)
            stripe_hand_over(s);
        latch_give(&s->lock);
    }
}
