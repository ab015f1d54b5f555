/* Sealing: a closed batch becomes one sealed request. Metrics are written in the order they came, log entries as runs.c
 * has it. */
#include <stdlib.h>

#include "batch/runs.h"

struct sealer {
    struct seal_config config;
    struct gzip *gzip;
    struct rw2 *rw2; /* NULL until metrics are sealed in 2.0 */
    struct block_maker maker;
    struct buf raw, packed;
    struct runs runs;
};

/* Snappy's own bound is n + n / 6 + 32; gzip's is less. */
uint64_t sealed_bound(uint64_t wire_bytes) { return sizeof(struct sealed) + wire_bytes + wire_bytes / 6 + 4 * KIB; }

uint32_t batch_route(const struct batch *batch) { return batch->route; }
uint64_t batch_seq(const struct batch *batch) { return batch->seq; }
uint64_t batch_sealed_bound(const struct batch *batch) { return sealed_bound(batch->wire_bytes); }

struct sealer *sealer_new(const struct seal_config *c)
{
    struct sealer *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->config = *c;
    s->runs.unique = c->unique_times;
    if (c->logs == SEAL_GZIP && !(s->gzip = gzip_new(c->compression_level))) {
        free(s);
        return NULL;
    }
    return s;
}

void sealer_free(struct sealer *s)
{
    if (!s)
        return;
    gzip_free(s->gzip);
    rw2_free(s->rw2);
    block_maker_free(&s->maker);
    buf_free(&s->raw);
    buf_free(&s->packed);
    runs_free(&s->runs);
    free(s);
}

size_t sealer_scratch_bytes(const struct sealer *s)
{
    return s->raw.cap + s->packed.cap + runs_bytes(&s->runs) + (s->rw2 ? rw2_memory(s->rw2) : 0);
}

/* ---- metrics --------------------------------------------------------------------------------------------------- */

static bool put_metadata(struct sealer *s, const struct record_metadata *m, struct tally *t)
{
    struct view family = {m->text, m->family_len}, help = {family.p + family.n, m->help_len},
                unit = {help.p + help.n, m->unit_len};
    if (!buf_reserve(&s->raw, family.n + help.n + unit.n + 64))
        return false;
    rw1_metadata_put(&s->raw, (gcw_metric_type)m->type, family, help, unit);
    t->metadata++;
    return true;
}

/* Label sets are spread over memory, a cache miss each: ask for those a few records ahead, as many lines as they mostly
 * have. */
#define AHEAD 8

static inline void prefetch_ahead(const struct chunk *c, uint32_t at, unsigned lines)
{
    at += AHEAD * (uint32_t)sizeof(struct record_sample);
    if (at >= c->used || c->has_group || c->used != c->records * sizeof(struct record_sample))
        return; /* records of other sizes between: no telling where one starts */
    const struct record_sample *r = (const struct record_sample *)(const void *)(c->data + at);
    const char *p = (const char *)r->series;
    for (unsigned line = 0; line < lines; line++)
        __builtin_prefetch(p + 64 * line);
}

/* Empty = out of memory. */
static struct view block_of(struct sealer *s, const struct interned *i)
{
    return i->labels ? block_remake(&s->maker, s->config.symbols, i) : interned_block(i);
}

static bool put_sample(struct sealer *s, struct view block, uint64_t bits, int64_t time_ms)
{
    if (block.n == 0 || !buf_reserve(&s->raw, block.n + 32))
        return false;
    rw1_sample_put(&s->raw, block, bits, time_ms);
    return true;
}

static struct point point_of(const struct record_point *r)
{
    const char *histogram = r->text + r->block_len, *bounds = histogram + r->histogram_len,
               *exemplars = bounds + r->bounds_len;
    return (struct point){r->value_bits,
                          r->time_ms,
                          r->start_ms,
                          view_make(histogram, r->histogram_len),
                          view_make(bounds, r->bounds_len),
                          view_make(exemplars, r->exemplars_len)};
}

/* Some of the batch cannot be said in remote write 1.0: a part of a request can (sealed_part()), and tells of the rest.
 */
static bool beyond_1(const struct sealer *s, const struct batch *batch)
{
    uint32_t beyond = 0;
    for (const struct chunk *c = batch->first; c; c = c->next)
        beyond |= c->beyond;
    return (beyond & BEYOND_CUSTOM_BUCKETS) || ((beyond & BEYOND_HISTOGRAMS) && s->config.no_histograms);
}

/* What a record has beside its number; no_exemplars: it is to be left out. */
static void tally_beside(struct tally *t, const struct point *p, bool no_exemplars)
{
    t->histograms += p->histogram.n > 0;
    if (p->exemplars.n > 0)
        *(no_exemplars ? &t->exemplars_unsaid : &t->exemplars) += exemplars_count(p->exemplars);
}

/* One series of a group. */
static struct point group_point(const struct record_group *r, uint32_t k, struct view *exemplars)
{
    return (struct point){.value_bits = r->value_bits[k],
                          .time_ms = r->time_ms,
                          .start_ms = k >= r->group->counting ? r->start_ms : 0,
                          .exemplars = group_exemplars_take(exemplars, k)};
}

static bool group_rw1(struct sealer *s, const struct record_group *r, struct tally *t)
{
    struct view exemplars = group_exemplars(r);
    bool ok = true;
    for (uint32_t k = 0; k < r->group->count && ok; k++) {
        const struct point p = group_point(r, k, &exemplars);
        const struct view block = block_of(s, r->group->series[k]);
        tally_time(t, r->time_ms);
        tally_beside(t, &p, s->config.no_exemplars);
        ok = p.exemplars.n && !s->config.no_exemplars ? block.n > 0 && rw1_point_put(&s->raw, block, &p)
                                                      : put_sample(s, block, p.value_bits, p.time_ms);
    }
    return ok;
}

static bool group_rw2(struct sealer *s, const struct record_group *r, struct tally *t)
{
    struct view exemplars = group_exemplars(r);
    bool ok = true;
    for (uint32_t k = 0; k < r->group->count && ok; k++) {
        const struct point p = group_point(r, k, &exemplars);
        tally_time(t, r->time_ms);
        tally_beside(t, &p, false);
        ok = rw2_series(s->rw2, r->group->series[k]) &&
             (p.exemplars.n || p.start_ms ? rw2_point(s->rw2, &p) : rw2_sample(s->rw2, p.value_bits, p.time_ms));
    }
    return ok;
}

static bool encode_rw1(struct sealer *s, const struct chunk *c, uint32_t at, struct tally *t)
{
    const struct record *head = chunk_record(c, at);
    if (head->kind == RECORD_SAMPLE) {
        const struct record_sample *r = (const void *)head;
        prefetch_ahead(c, at, 6);
        tally_time(t, r->time_ms);
        return put_sample(s, block_of(s, r->series), r->value_bits, r->time_ms);
    }
    if (head->kind == RECORD_SAMPLE_INLINE) {
        const struct record_sample_inline *r = (const void *)head;
        tally_time(t, r->time_ms);
        return put_sample(s, view_make(r->block, r->block_len), r->value_bits, r->time_ms);
    }
    if (head->kind == RECORD_POINT) {
        const struct record_point *r = (const void *)head;
        struct point p = point_of(r);
        tally_time(t, r->time_ms);
        tally_beside(t, &p, s->config.no_exemplars);
        if (s->config.no_exemplars)
            p.exemplars.n = 0;
        const struct view block = r->series ? block_of(s, r->series) : view_make(r->text, r->block_len);
        return block.n > 0 && rw1_point_put(&s->raw, block, &p);
    }
    if (head->kind == RECORD_GROUP)
        return group_rw1(s, (const void *)head, t);
    return head->kind == RECORD_METADATA ? put_metadata(s, (const void *)head, t) : true;
}

/* Metadata goes with the series here: what is known of the families says it. */
static bool encode_rw2(struct sealer *s, const struct chunk *c, uint32_t at, struct tally *t)
{
    const struct record *head = chunk_record(c, at);
    if (head->kind == RECORD_SAMPLE) {
        const struct record_sample *r = (const void *)head;
        prefetch_ahead(c, at, 3);
        tally_time(t, r->time_ms);
        return rw2_series(s->rw2, r->series) && rw2_sample(s->rw2, r->value_bits, r->time_ms);
    }
    if (head->kind == RECORD_SAMPLE_INLINE) {
        const struct record_sample_inline *r = (const void *)head;
        tally_time(t, r->time_ms);
        return rw2_series_block(s->rw2, view_make(r->block, r->block_len)) &&
               rw2_sample(s->rw2, r->value_bits, r->time_ms);
    }
    if (head->kind == RECORD_POINT) {
        const struct record_point *r = (const void *)head;
        const struct point p = point_of(r);
        tally_time(t, r->time_ms);
        tally_beside(t, &p, false);
        return (r->series ? rw2_series(s->rw2, r->series)
                          : rw2_series_block(s->rw2, view_make(r->text, r->block_len))) &&
               rw2_point(s->rw2, &p);
    }
    return head->kind == RECORD_GROUP ? group_rw2(s, (const void *)head, t) : true;
}

/* The request before compression; NULL = out of memory. */
static const struct buf *encode_metrics(struct sealer *s, const struct batch *batch, enum protocol protocol,
                                        struct tally *t)
{
    bool two = protocol == PROTOCOL_RW2;
    uint32_t described = 0;
    if (two && !s->rw2 && !(s->rw2 = rw2_new(s->config.symbols)))
        return NULL;
    if (!two && s->config.symbols)
        symbols_sweep(s->config.symbols, SYMBOLS_IDLE, SYMBOLS_IDLE_BYTES); /* as rw2_begin() does */
    bool ok =
        two ? rw2_begin(s->rw2, s->config.families, batch->destination) : buf_reserve(&s->raw, batch->wire_bytes + 64);
    for (const struct chunk *c = batch->first; c && ok; c = c->next)
        for (uint32_t at = 0; at < c->used && ok; at += chunk_record(c, at)->size)
            ok = two ? encode_rw2(s, c, at, t) : encode_rw1(s, c, at, t);
    const struct buf *raw = !ok ? NULL : two ? rw2_end(s->rw2, &described) : &s->raw;
    t->metadata += described;
    return raw;
}

static const struct buf *encode_logs(struct sealer *s, const struct batch *batch, enum protocol protocol,
                                     struct tally *t)
{
    bool ok = buf_reserve(&s->raw, batch->wire_bytes + 64) && runs_encode(&s->runs, batch, protocol, &s->raw, t);
    return ok ? &s->raw : NULL;
}

/* ---- both ------------------------------------------------------------------------------------------------------ */

static enum protocol protocol_of(const struct sealer *s, gcw_signal signal, enum protocol metrics)
{
    return signal == GCW_METRICS ? metrics : s->config.logs == SEAL_SNAPPY ? PROTOCOL_LOKI_PROTO : PROTOCOL_LOKI_JSON;
}

static bool compress(struct sealer *s, enum protocol protocol, const struct buf *raw, enum encoding *encoding,
                     const struct buf **body)
{
    *body = &s->packed;
    if (protocol != PROTOCOL_LOKI_JSON) {
        *encoding = ENCODING_SNAPPY;
        return protocol == PROTOCOL_RW2 ? snappy_pack_entries(&s->packed, raw) : snappy_pack(&s->packed, raw);
    }
    if (s->gzip) {
        *encoding = ENCODING_GZIP;
        return gzip_pack(s->gzip, &s->packed, raw);
    }
    *encoding = ENCODING_NONE;
    *body = raw;
    return true;
}

/* Receipts named in the batch's chunks, equal neighbours joined. */
static bool shares_take(struct sealed *out, const struct batch *batch)
{
    size_t n = 0;
    for (const struct chunk *c = batch->first; c; c = c->next)
        n += c->share_count;
    if (n == 0)
        return true;
    out->shares = malloc(n * sizeof *out->shares);
    if (!out->shares)
        return false;
    for (const struct chunk *c = batch->first; c; c = c->next)
        for (uint32_t i = 0; i < c->share_count; i++) {
            if (c->shares[i].records == 0)
                continue;
            struct receipt_share *last = out->share_count ? &out->shares[out->share_count - 1] : NULL;
            /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): share_count says how many are set */
            if (last && last->receipt == c->shares[i].receipt)
                last->records += c->shares[i].records;
            else
                out->shares[out->share_count++] = c->shares[i];
        }
    return true;
}

static struct sealed *sealed_make(struct sealer *s, const struct batch *batch, const struct buf *raw,
                                  enum protocol protocol, const struct tally *t)
{
    enum encoding encoding;
    const struct buf *body;
    if (!compress(s, protocol, raw, &encoding, &body))
        return NULL;
    struct sealed *out = sealed_new(body->p, body->n);
    if (!out || !shares_take(out, batch)) {
        sealed_free(out);
        return NULL;
    }
    out->batch_seq = batch->seq;
    out->route = batch->route;
    out->signal = batch->signal;
    out->protocol = protocol;
    out->encoding = encoding;
    out->tenant = batch->tenant;
    out->lane = batch->lane;
    out->lanes = batch->lanes;
    out->records = (uint32_t)t->records;
    out->metadata = (uint32_t)t->metadata;
    out->exemplars = t->exemplars;
    out->histograms = t->histograms;
    out->exemplars_unsaid = t->exemplars_unsaid;
    out->first_time = t->first_time;
    out->last_time = t->last_time;
    out->sealed_unix_ms = clock_unix_ms();
    out->sealed_mono_ms = clock_mono_ms();
    out->raw_len = (uint32_t)raw->n;
    out->charge = sizeof *out + out->len + out->share_count * sizeof *out->shares;
    return out;
}

static void destroy(const struct sealer *s, gcw_signal signal, struct interned *i, enum record_kind kind)
{
    bool group = kind == RECORD_RELEASE_GROUP;
    if (!intern_reap(group ? s->config.groups : s->config.table[signal], i))
        return; /* interned again meanwhile */
    if (group)
        group_forget(s->config.symbols, i->payload);
    intern_destroy(s->config.symbols, i);
}

/* After the last record that can name them was encoded. Chunks without any are not walked: their records have left the
 * caches by now. */
static void destroy_released(const struct sealer *s, const struct batch *batch)
{
    for (const struct chunk *c = batch->first; c; c = c->next)
        for (uint32_t at = 0; c->has_release && at < c->used; at += chunk_record(c, at)->size) {
            const struct record *r = chunk_record(c, at);
            if (r->kind == RECORD_RELEASE || r->kind == RECORD_RELEASE_GROUP)
                destroy(s, batch->signal, ((const struct record_release *)(const void *)r)->label_set,
                        (enum record_kind)r->kind);
        }
}

/* An unusual batch (all control characters, a huge line) must not leave the scratch large for ever. */
static void scratch_trim(struct buf *b, size_t usual)
{
    if (b->cap > 2 * usual)
        buf_free(b);
}

bool sealer_seal(struct sealer *s, struct batch *batch, enum protocol metrics, struct sealed **out)
{
    enum protocol protocol = protocol_of(s, batch->signal, metrics);
    if (protocol == PROTOCOL_RW1 && beyond_1(s, batch))
        protocol = PROTOCOL_RW2;
    struct tally t = {0};
    *out = NULL;
    s->raw.n = 0;
    const struct buf *raw =
        batch->signal == GCW_METRICS ? encode_metrics(s, batch, protocol, &t) : encode_logs(s, batch, protocol, &t);
    if (!raw || (t.records + t.metadata > 0 && !(*out = sealed_make(s, batch, raw, protocol, &t))))
        return false;
    runs_commit(&s->runs);
    destroy_released(s, batch);
    scratch_trim(&s->raw, MAX(batch->wire_bytes, 2 * MIB));
    scratch_trim(&s->packed, MAX(batch->wire_bytes, 2 * MIB));
    return true;
}
