/* Sealing: a closed batch becomes one sealed request. Metrics are written in the order they came; log entries are
 * gathered by stream and put in ascending order, as Loki checks each against the newest before it. */
#include <stdlib.h>

#include "batch/record.h"

/* One stream's entries in the batch at hand. */
struct run {
    struct interned *stream;
    struct record_entry *first, *last;
    uint32_t count;
    bool ascending;
};

struct sealer {
    struct seal_config config;
    struct gzip *gzip;
    struct buf raw, packed;
    struct run *runs;
    size_t run_count, run_cap;
    struct record_entry **order; /* scratch of the sort */
    size_t order_cap;
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
    buf_free(&s->raw);
    buf_free(&s->packed);
    free(s->runs);
    free(s->order);
    free(s);
}

size_t sealer_scratch_bytes(const struct sealer *s)
{
    return s->raw.cap + s->packed.cap + s->run_cap * sizeof *s->runs + s->order_cap * sizeof(void *);
}

/* What a walk over the batch gathers. */
struct tally {
    uint64_t records, metadata, releases;
    int64_t first_time, last_time;
};

static void tally_time(struct tally *t, int64_t time)
{
    if (t->records++ == 0)
        t->first_time = t->last_time = time;
    t->first_time = MIN(t->first_time, time);
    t->last_time = MAX(t->last_time, time);
}

/* ---- metrics --------------------------------------------------------------------------------------------------- */

static bool put_sample(struct sealer *s, struct view block, uint64_t bits, int64_t time_ms, struct tally *t)
{
    if (!buf_reserve(&s->raw, block.n + 32))
        return false;
    rw1_sample_put(&s->raw, block, bits, time_ms);
    tally_time(t, time_ms);
    return true;
}

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

/* Label blocks are spread over memory, a cache miss each: ask for those a few records ahead. */
#define AHEAD 8

static void prefetch_ahead(const struct chunk *c, uint32_t at)
{
    at += AHEAD * (uint32_t)sizeof(struct record_sample);
    if (at >= c->used || c->used != c->records * sizeof(struct record_sample))
        return; /* records of other sizes between: no telling where one starts */
    const struct record_sample *r = (const struct record_sample *)(const void *)(c->data + at);
    const char *p = (const char *)r->series;
    for (unsigned line = 0; line < 6; line++)
        __builtin_prefetch(p + 64 * line);
}

static bool encode_metrics(struct sealer *s, const struct batch *batch, struct tally *t)
{
    bool ok = true;
    for (const struct chunk *c = batch->first; c && ok; c = c->next)
        for (uint32_t at = 0; at < c->used && ok; at += chunk_record(c, at)->size) {
            const struct record *head = chunk_record(c, at);
            if (head->kind == RECORD_SAMPLE) {
                const struct record_sample *r = (const void *)head;
                prefetch_ahead(c, at);
                ok = put_sample(s, interned_block(r->series), r->value_bits, r->time_ms, t);
            } else if (head->kind == RECORD_SAMPLE_INLINE) {
                const struct record_sample_inline *r = (const void *)head;
                ok = put_sample(s, view_make(r->block, r->block_len), r->value_bits, r->time_ms, t);
            } else if (head->kind == RECORD_METADATA) {
                ok = put_metadata(s, (const void *)head, t);
            } else {
                ENSURE(head->kind == RECORD_RELEASE);
                t->releases++;
            }
        }
    return ok;
}

/* ---- logs ------------------------------------------------------------------------------------------------------ */

static struct run *run_of(struct sealer *s, struct interned *stream)
{
    size_t at = (size_t)(uintptr_t)stream->payload; /* index + 1 while the batch is at hand */
    if (at > 0)
        return &s->runs[at - 1];
    if (s->run_count == s->run_cap) {
        size_t cap = s->run_cap ? s->run_cap * 2 : 16;
        struct run *runs = realloc(s->runs, cap * sizeof *runs);
        if (!runs)
            return NULL;
        s->runs = runs;
        s->run_cap = cap;
    }
    s->runs[s->run_count++] = (struct run){.stream = stream, .ascending = true};
    stream->payload = (void *)(uintptr_t)s->run_count;
    return &s->runs[s->run_count - 1];
}

static bool gather_runs(struct sealer *s, const struct batch *batch, struct tally *t)
{
    for (struct chunk *c = batch->first; c; c = c->next)
        for (uint32_t at = 0; at < c->used; at += chunk_record(c, at)->size) {
            if (chunk_record(c, at)->kind != RECORD_ENTRY) {
                t->releases++;
                continue;
            }
            struct record_entry *r = (struct record_entry *)(void *)(c->data + at);
            struct run *run = run_of(s, r->stream);
            if (!run)
                return false;
            r->next = NULL;
            if (run->last)
                run->last->next = r, run->ascending &= run->last->time_ns <= r->time_ns;
            else
                run->first = r;
            run->last = r;
            run->count++;
            tally_time(t, r->time_ns);
        }
    return true;
}

/* Stable merge sort of src[0..n) by time, with scratch of the same length: equal times keep their order. */
static void sort_entries(struct record_entry **src, struct record_entry **scratch, size_t n)
{
    if (n < 2)
        return;
    size_t half = n / 2, a = 0, b = half, k = 0;
    sort_entries(src, scratch, half);
    sort_entries(src + half, scratch, n - half);
    while (a < half && b < n)
        scratch[k++] = src[b]->time_ns < src[a]->time_ns ? src[b++] : src[a++];
    while (a < half)
        scratch[k++] = src[a++];
    memcpy(src, scratch, k * sizeof(struct record_entry *)); /* what is left of the second half is in place */
}

static bool run_sort(struct sealer *s, struct run *run)
{
    size_t n = run->count;
    if (s->order_cap < 2 * n) {
        struct record_entry **order = realloc(s->order, 2 * n * sizeof(struct record_entry *));
        if (!order)
            return false;
        s->order = order;
        s->order_cap = 2 * n;
    }
    size_t i = 0;
    for (struct record_entry *r = run->first; r; r = r->next)
        s->order[i++] = r;
    sort_entries(s->order, s->order + n, n);
    for (i = 0; i + 1 < n; i++)
        s->order[i]->next = s->order[i + 1];
    s->order[n - 1]->next = NULL;
    run->first = s->order[0];
    run->ascending = true;
    return true;
}

static bool put_run(struct sealer *s, struct run *run)
{
    if (!run->ascending && !run_sort(s, run))
        return false;
    bool ok = loki_json_stream(&s->raw, interned_block(run->stream));
    for (const struct record_entry *r = run->first; r && ok; r = r->next)
        ok = (r == run->first || buf_append(&s->raw, ",", 1)) &&
             loki_json_entry(&s->raw, r->time_ns, view_make(r->text, r->line_len),
                             view_make(r->text + r->line_len, r->metadata_len));
    return ok && loki_json_stream_end(&s->raw);
}

static bool encode_logs(struct sealer *s, const struct batch *batch, struct tally *t)
{
    s->run_count = 0;
    bool ok = gather_runs(s, batch, t) && loki_json_begin(&s->raw);
    for (size_t i = 0; i < s->run_count; i++) {
        ok = ok && (i == 0 || buf_append(&s->raw, ",", 1)) && put_run(s, &s->runs[i]);
        s->runs[i].stream->payload = NULL;
    }
    return ok && loki_json_end(&s->raw);
}

/* ---- both ------------------------------------------------------------------------------------------------------ */

static bool compress(struct sealer *s, gcw_signal signal, enum encoding *encoding, const struct buf **body)
{
    *body = &s->packed;
    if (signal == GCW_METRICS) {
        *encoding = ENCODING_SNAPPY;
        return snappy_pack(&s->packed, &s->raw);
    }
    if (s->gzip) {
        *encoding = ENCODING_GZIP;
        return gzip_pack(s->gzip, &s->packed, &s->raw);
    }
    *encoding = ENCODING_NONE;
    *body = &s->raw;
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

static struct sealed *sealed_make(struct sealer *s, const struct batch *batch, const struct tally *t)
{
    static const enum protocol protocols[] = {[GCW_METRICS] = PROTOCOL_RW1, [GCW_LOGS] = PROTOCOL_LOKI_JSON};
    enum encoding encoding;
    const struct buf *body;
    if (!compress(s, batch->signal, &encoding, &body))
        return NULL;
    struct sealed *out = sealed_new(body->p, body->n);
    if (!out || !shares_take(out, batch)) {
        sealed_free(out);
        return NULL;
    }
    out->batch_seq = batch->seq;
    out->route = batch->route;
    out->signal = batch->signal;
    out->protocol = protocols[batch->signal];
    out->encoding = encoding;
    out->tenant = batch->tenant;
    out->lane = batch->lane;
    out->lanes = batch->lanes;
    out->records = (uint32_t)t->records;
    out->metadata = (uint32_t)t->metadata;
    out->first_time = t->first_time;
    out->last_time = t->last_time;
    out->sealed_unix_ms = clock_unix_ms();
    out->sealed_mono_ms = clock_mono_ms();
    out->raw_len = (uint32_t)s->raw.n;
    out->charge = sizeof *out + out->len + out->share_count * sizeof *out->shares;
    return out;
}

/* After the last record that can name them was encoded. */
static void destroy_released(const struct batch *batch)
{
    for (const struct chunk *c = batch->first; c; c = c->next)
        for (uint32_t at = 0; at < c->used; at += chunk_record(c, at)->size)
            if (chunk_record(c, at)->kind == RECORD_RELEASE)
                intern_destroy(((const struct record_release *)(const void *)chunk_record(c, at))->label_set);
}

/* An unusual batch (all control characters, a huge line) must not leave the scratch large for ever. */
static void scratch_trim(struct buf *b, size_t usual)
{
    if (b->cap > 2 * usual)
        buf_free(b);
}

bool sealer_seal(struct sealer *s, struct batch *batch, struct sealed **out)
{
    struct tally t = {0};
    *out = NULL;
    s->raw.n = 0;
    bool ok = buf_reserve(&s->raw, batch->wire_bytes + 64);
    ok = ok && (batch->signal == GCW_METRICS ? encode_metrics(s, batch, &t) : encode_logs(s, batch, &t));
    if (ok && t.records + t.metadata > 0)
        ok = (*out = sealed_make(s, batch, &t)) != NULL;
    if (!ok)
        return false;
    if (t.releases > 0) /* else the walk would be for nothing, over memory that has left the caches */
        destroy_released(batch);
    scratch_trim(&s->raw, MAX(batch->wire_bytes, 2 * MIB));
    scratch_trim(&s->packed, MAX(batch->wire_bytes, 2 * MIB));
    return true;
}
