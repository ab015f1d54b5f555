/* Remote write 2.0 as 1.0: labels in full, metadata beside the series. What 1.0 has no words for is left out: start
 * times for good, histograms with custom buckets as records that are counted. */
#include <stdlib.h>

#include "codec/rw2_read.h"
#include "codec/slice.h"

enum {
    SAMPLE_VALUE = 1,
    SAMPLE_TIMESTAMP = 2,
    EXEMPLAR_VALUE = 2,
    EXEMPLAR_TIMESTAMP = 3,
    HISTOGRAM_TIMESTAMP = 15,
    HISTOGRAM_BOUNDS = 16,
    HISTOGRAM_START = 17,
    HISTOGRAM_SCHEMA = 4,
};

struct transcoding {
    struct symbol_table symbols;
    struct buf *out, block, metadata;
    struct buf inner, exemplars;  /* a histogram's fields; packed exemplars */
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

/* The label block of refs into out; *metric is the name's value, empty if there is none. */
static void block_make(struct transcoding *t, struct wire refs, struct buf *out, struct view *metric)
{
    uint64_t a, b;
    *metric = view_make("", 0);
    out->n = 0;
    while (refs.p < refs.end && wire_number(&refs, &a) && wire_number(&refs, &b)) {
        struct view name = symbol_text(&t->symbols, (uint32_t)a), value = symbol_text(&t->symbols, (uint32_t)b);
        size_t inner = 2 + varint_size(name.n) + name.n + varint_size(value.n) + value.n;
        if (!buf_reserve(out, inner + 11)) {
            t->nomem = true;
            return;
        }
        uint8_t *p = out->p + out->n;
        *p++ = 0x0a;
        p = wire_varint(p, inner);
        p = label_text_put(label_text_put(p, 0x0a, name), 0x12, value);
        out->n = (size_t)(p - out->p);
        if (view_is(name, "__name__"))
            *metric = value;
    }
}

static bool sample_read(struct wire w, struct point *pt)
{
    struct wire_field f = {0};
    bool broken = false;
    while (wire_next(&w, &f, &broken))
        if (f.number == SAMPLE_VALUE && f.type == WIRE_FIXED64)
            pt->value_bits = f.value;
        else if (f.number == SAMPLE_TIMESTAMP && f.type == WIRE_VARINT)
            pt->time_ms = (int64_t)f.value;
    return !broken;
}

/* What both versions share of it; *custom: it has buckets that 1.0 does not know. */
static bool histogram_read(struct transcoding *t, struct wire w, struct point *pt, bool *custom)
{
    struct wire_field f = {0};
    bool broken = false;
    t->inner.n = 0;
    while (wire_next(&w, &f, &broken))
        if (f.number == HISTOGRAM_TIMESTAMP && f.type == WIRE_VARINT)
            pt->time_ms = (int64_t)f.value;
        else if (f.number == HISTOGRAM_BOUNDS)
            *custom = true;
        else if (f.number != HISTOGRAM_START && !buf_append(&t->inner, f.start, (size_t)(w.p - f.start)))
            t->nomem = true;
        else
            *custom |= f.number == HISTOGRAM_SCHEMA && f.value == (uint32_t)zigzag(GCW_CUSTOM_BUCKETS);
    pt->histogram = buf_view(&t->inner);
    return !broken && t->inner.n > 0;
}

static bool exemplar_read(struct transcoding *t, struct wire w)
{
    struct wire_field f = {0};
    struct exemplar e = {0};
    struct view unused;
    bool broken = false;
    struct buf block = {0};
    while (wire_next(&w, &f, &broken))
        if (f.number == EXEMPLAR_LABELS)
            block_make(t, f.bytes, &block, &unused);
        else if (f.number == EXEMPLAR_VALUE && f.type == WIRE_FIXED64)
            e.value_bits = f.value;
        else if (f.number == EXEMPLAR_TIMESTAMP && f.type == WIRE_VARINT)
            e.time_ms = (int64_t)f.value;
    e.block = buf_view(&block);
    t->nomem |= !exemplar_pack(&t->exemplars, &e);
    buf_free(&block);
    return !broken;
}

static bool exemplars_read(struct transcoding *t, struct wire series, struct point *pt)
{
    struct wire_field f = {0};
    bool broken = false, ok = true;
    t->exemplars.n = 0;
    while (ok && wire_next(&series, &f, &broken))
        if (f.number == SERIES_EXEMPLARS)
            ok = exemplar_read(t, f.bytes);
    pt->exemplars = buf_view(&t->exemplars);
    return ok;
}

static void describe(struct transcoding *t, struct range *r, struct wire w, struct view metric)
{
    struct wire_field f = {0};
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
static bool entry_transcode(struct transcoding *t, struct range *r, struct wire series, const struct entry *e)
{
    struct view metric;
    struct point pt = {0};
    bool custom = false;
    block_make(t, e->labels, &t->block, &metric);
    if (!(e->histogram ? histogram_read(t, e->point, &pt, &custom) : sample_read(e->point, &pt)))
        return false;
    if (e->histogram && (custom || r->no_histograms)) {
        r->unsaid++;
        r->exemplars_unsaid += e->exemplars;
        return true;
    }
    if (e->exemplars > 0 && !r->no_exemplars && !exemplars_read(t, series, &pt))
        return false;
    size_t before = t->out->n;
    t->nomem |= !rw1_point_put(t->out, buf_view(&t->block), &pt);
    if (before > 0 && t->out->n + t->metadata.n > r->at_most) {
        t->out->n = before;
        r->end = r->at - 1; /* this one is the next part's first */
        return true;
    }
    r->histograms += e->histogram;
    *(r->no_exemplars ? &r->exemplars_unsaid : &r->exemplars) += e->exemplars;
    if (e->metadata.p)
        describe(t, r, e->metadata, metric);
    return true;
}

static bool entries_transcode(struct transcoding *t, const struct buf *raw, struct range *r)
{
    struct wire w = wire_of(raw->p, raw->n);
    struct wire_field f = {0};
    struct entry e;
    bool broken = false;
    while (wire_next(&w, &f, &broken) && !t->nomem) {
        if (f.number != REQUEST_TIMESERIES)
            continue;
        if (!entry_read(f.bytes, &t->symbols, &e) || (range_has(r) && !entry_transcode(t, r, f.bytes, &e)))
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
    buf_free(&t.inner);
    buf_free(&t.exemplars);
    return ok && !r->nomem;
}
