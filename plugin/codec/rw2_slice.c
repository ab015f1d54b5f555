/* A part of a remote write 2.0 request: its entries with a symbol table of their own. */
#include <stdlib.h>

#include "codec/rw2_read.h"
#include "codec/slice.h"

struct slicing {
    struct symbol_table from;
    uint32_t *ref; /* by the old reference: the new one, 0 = not in the part yet ("" is 0 in both) */
    uint32_t count;
    struct buf *table; /* the part's symbols */
    struct buf entries, body, inner;
    bool nomem;
};

static uint32_t ref_new(struct slicing *s, uint32_t ref)
{
    if (ref == 0 || s->ref[ref])
        return s->ref[ref];
    struct view text = symbol_text(&s->from, ref);
    if (!buf_reserve(s->table, text.n + 11)) {
        s->nomem = true;
        return 0;
    }
    uint8_t *p = s->table->p + s->table->n;
    *p++ = REQUEST_SYMBOLS << 3 | WIRE_BYTES;
    p = wire_varint(p, text.n);
    if (text.n)
        memcpy(p, text.p, text.n);
    s->table->n = (size_t)(p - s->table->p) + text.n;
    return s->ref[ref] = s->count++;
}

/* A field of bytes. */
static void put_bytes_field(struct slicing *s, struct buf *out, uint32_t number, const void *p, size_t n)
{
    if (!buf_reserve(out, n + 11)) {
        s->nomem = true;
        return;
    }
    uint8_t *q = out->p + out->n;
    *q++ = (uint8_t)(number << 3 | WIRE_BYTES);
    q = wire_varint(q, n);
    if (n)
        memcpy(q, p, n);
    out->n = (size_t)(q - out->p) + n;
}

static void put_number_field(struct slicing *s, struct buf *out, uint32_t number, uint64_t v)
{
    if (!buf_reserve(out, 11)) {
        s->nomem = true;
        return;
    }
    uint8_t *q = out->p + out->n;
    *q++ = (uint8_t)(number << 3 | WIRE_VARINT);
    out->n = (size_t)(wire_varint(q, v) - out->p);
}

static void put_refs(struct slicing *s, struct buf *out, uint32_t number, struct wire refs)
{
    uint64_t ref;
    uint8_t bytes[10];
    struct buf packed = {0};
    while (refs.p < refs.end && wire_number(&refs, &ref))
        if (!buf_append(&packed, bytes, (size_t)(wire_varint(bytes, ref_new(s, (uint32_t)ref)) - bytes)))
            s->nomem = true;
    put_bytes_field(s, out, number, packed.p, packed.n);
    buf_free(&packed);
}

/* An exemplar or metadata, with what refers to symbols put right. */
static void put_inner(struct slicing *s, uint32_t number, struct wire w)
{
    struct wire_field f = {0};
    bool broken = false;
    s->inner.n = 0;
    while (wire_next(&w, &f, &broken))
        if (number == SERIES_EXEMPLARS && f.number == EXEMPLAR_LABELS)
            put_refs(s, &s->inner, f.number, f.bytes);
        else if (number == SERIES_METADATA && f.number != METADATA_TYPE)
            put_number_field(s, &s->inner, f.number, ref_new(s, (uint32_t)f.value));
        else if (!buf_append(&s->inner, f.start, (size_t)(w.p - f.start)))
            s->nomem = true;
    put_bytes_field(s, &s->body, number, s->inner.p, s->inner.n);
}

static void put_entry(struct slicing *s, struct wire series)
{
    struct wire_field f = {0};
    bool broken = false;
    s->body.n = 0;
    while (wire_next(&series, &f, &broken))
        if (f.number == SERIES_LABELS)
            put_refs(s, &s->body, f.number, f.bytes);
        else if (f.number == SERIES_EXEMPLARS || f.number == SERIES_METADATA)
            put_inner(s, f.number, f.bytes);
        else if (!buf_append(&s->body, f.start, (size_t)(series.p - f.start)))
            s->nomem = true;
    put_bytes_field(s, &s->entries, REQUEST_TIMESERIES, s->body.p, s->body.n);
}

static bool slice_entries(struct slicing *s, const struct buf *raw, struct range *r)
{
    struct wire w = wire_of(raw->p, raw->n);
    struct wire_field f = {0};
    struct entry e;
    bool broken = false;
    while (wire_next(&w, &f, &broken)) {
        if (f.number != REQUEST_TIMESERIES)
            continue;
        if (!entry_read(f.bytes, &s->from, &e))
            return false;
        if (!range_has(r))
            continue;
        put_entry(s, f.bytes);
        r->histograms += e.histogram;
        r->exemplars += e.exemplars;
    }
    return !broken;
}

bool slice_rw2(const struct buf *raw, struct range *r, struct buf *out)
{
    struct slicing s = {.count = 1, .table = out};
    bool ok = symbol_table_read(&s.from, raw, &r->nomem);
    if (ok) {
        s.ref = calloc(s.from.count, sizeof *s.ref);
        s.nomem = !s.ref || !buf_append(out, "\x22\x00", 2);
        ok = !s.nomem && slice_entries(&s, raw, r) && !s.nomem;
        s.nomem |= ok && !buf_append(out, s.entries.p, s.entries.n);
    }
    r->nomem |= s.nomem;
    symbol_table_free(&s.from);
    free(s.ref);
    buf_free(&s.entries);
    buf_free(&s.body);
    buf_free(&s.inner);
    return ok && !r->nomem;
}
