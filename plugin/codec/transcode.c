/* Remote write 2.0 as 1.0: labels in full, metadata beside the series. What 1.0 has no words for is left out: start
 * times for good, histograms with custom buckets as records that are counted. */
#include <stdlib.h>

#include "codec/rw2_read.h"
#include "codec/slice.h"

enum { SAMPLE_VALUE = 1, SAMPLE_TIMESTAMP = 2 };

struct transcoding {
    struct symbol_table symbols;
    struct buf *out, block, metadata;
    struct fingerprints families; /* described in this part */
    bool nomem;
};

static uint8_t *label_text_put(uint8_t *p, uint8_t key, struct view text)
{
    *p++ = key;
    p = wire_varint(p, text.n);
    memcpy(p, text.p, text.n);
    return p + text.n;
}

/* The label block; *metric is the name's value, empty if there is none. */
static void block_make(struct transcoding *t, struct wire refs, struct view *metric)
{
    uint64_t a, b;
    *metric = view_make("", 0);
    t->block.n = 0;
    while (refs.p < refs.end && wire_number(&refs, &a) && wire_number(&refs, &b)) {
        struct view name = symbol_text(&t->symbols, (uint32_t)a), value = symbol_text(&t->symbols, (uint32_t)b);
        size_t inner = 2 + varint_size(name.n) + name.n + varint_size(value.n) + value.n;
        if (!buf_reserve(&t->block, inner + 11)) {
            t->nomem = true;
            return;
        }
        uint8_t *p = t->block.p + t->block.n;
        *p++ = 0x0a;
        p = wire_varint(p, inner);
        p = label_text_put(label_text_put(p, 0x0a, name), 0x12, value);
        t->block.n = (size_t)(p - t->block.p);
        if (view_is(name, "__name__"))
            *metric = value;
    }
}

static bool sample_read(struct wire w, uint64_t *bits, int64_t *time_ms)
{
    struct wire_field f;
    bool broken = false;
    *bits = 0;
    *time_ms = 0;
    while (wire_next(&w, &f, &broken))
        if (f.number == SAMPLE_VALUE && f.type == WIRE_FIXED64)
            *bits = f.value;
        else if (f.number == SAMPLE_TIMESTAMP && f.type == WIRE_VARINT)
            *time_ms = (int64_t)f.value;
    return !broken;
}

static void describe(struct transcoding *t, struct range *r, struct wire w, struct view metric)
{
    struct wire_field f;
    bool broken = false;
    gcw_metric_type type = GCW_TYPE_UNKNOWN;
    struct view help = {"", 0}, unit = {"", 0};
    while (wire_next(&w, &f, &broken))
        if (f.number == METADATA_TYPE && f.value <= GCW_TYPE_STATESET)
            type = (gcw_metric_type)f.value;
        else if (f.number == METADATA_HELP)
            help = symbol_text(&t->symbols, (uint32_t)f.value);
        else if (f.number == METADATA_UNIT)
            unit = symbol_text(&t->symbols, (uint32_t)f.value);
    struct view family = family_name_of(metric, type);
    uint64_t fp = hash_bytes(family.p, family.n, 0);
    if (family.n == 0 || fingerprint_has(&t->families, fp))
        return;
    if (!fingerprint_add(&t->families, fp) || !buf_reserve(&t->metadata, family.n + help.n + unit.n + 64)) {
        t->nomem = true;
        return;
    }
    rw1_metadata_put(&t->metadata, type, family, help, unit);
    r->metadata++;
}

/* One entry of the range; false = not ours. */
static bool entry_transcode(struct transcoding *t, struct range *r, const struct entry *e)
{
    struct view metric;
    uint64_t bits;
    int64_t time_ms;
    block_make(t, e->labels, &metric);
    if (t->nomem)
        return true;
    if (e->histogram) {
        r->unsaid++;
        return true;
    }
    if (!sample_read(e->point, &bits, &time_ms))
        return false;
    size_t size = rw1_sample_size(t->block.n, bits, time_ms);
    if (t->out->n > 0 && t->out->n + t->metadata.n + size > r->at_most) {
        r->end = r->at - 1; /* this one is the next part's first */
        return true;
    }
    if (!buf_reserve(t->out, size)) {
        t->nomem = true;
        return true;
    }
    rw1_sample_put(t->out, buf_view(&t->block), bits, time_ms);
    if (e->metadata.p)
        describe(t, r, e->metadata, metric);
    return true;
}

static bool entries_transcode(struct transcoding *t, const struct buf *raw, struct range *r)
{
    struct wire w = wire_of(raw->p, raw->n);
    struct wire_field f;
    struct entry e;
    bool broken = false;
    while (wire_next(&w, &f, &broken) && !t->nomem) {
        if (f.number != REQUEST_TIMESERIES)
            continue;
        if (!entry_read(f.bytes, &t->symbols, &e) || (range_has(r) && !entry_transcode(t, r, &e)))
            return false;
    }
    return !broken;
}

bool rw2_as_rw1(const struct buf *raw, struct range *r, struct buf *out)
{
    struct transcoding t = {.out = out};
    bool ok = symbol_table_read(&t.symbols, raw, &r->nomem) && entries_transcode(&t, raw, r);
    if (ok && !t.nomem)
        t.nomem = !buf_append(out, t.metadata.p, t.metadata.n);
    r->nomem |= t.nomem;
    symbol_table_free(&t.symbols);
    fingerprints_free(&t.families);
    buf_free(&t.block);
    buf_free(&t.metadata);
    return ok && !r->nomem;
}
