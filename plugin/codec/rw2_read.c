/* Symbols and entries of a remote write 2.0 request, with every reference checked. */
#include "codec/rw2_read.h"

#include <stdlib.h>

static uint32_t symbols_count(const struct buf *raw, bool *broken)
{
    struct wire w = wire_of(raw->p, raw->n);
    struct wire_field f = {0};
    uint32_t n = 0;
    while (wire_next(&w, &f, broken)) {
        if (f.type != WIRE_BYTES || (f.number != REQUEST_SYMBOLS && f.number != REQUEST_TIMESERIES) ||
            *f.start != (f.number << 3 | WIRE_BYTES)) /* a key in its one short form: behind it stands the length */
            *broken = true;
        n += f.number == REQUEST_SYMBOLS;
    }
    return n;
}

bool symbol_table_read(struct symbol_table *t, const struct buf *raw, bool *nomem)
{
    bool broken = false;
    *t = (struct symbol_table){.raw = raw->p};
    uint32_t n = symbols_count(raw, &broken);
    if (broken || n == 0)
        return false;
    if (!(t->at = calloc(n, sizeof *t->at))) {
        *nomem = true;
        return false;
    }
    struct wire w = wire_of(raw->p, raw->n);
    struct wire_field f = {0};
    while (wire_next(&w, &f, &broken))
        if (f.number == REQUEST_SYMBOLS)
            t->at[t->count++] = (uint32_t)(f.start + 1 - raw->p);
    return symbol_text(t, 0).n == 0;
}

void symbol_table_free(struct symbol_table *t)
{
    free(t->at);
    *t = (struct symbol_table){0};
}

struct view symbol_text(const struct symbol_table *t, uint32_t ref)
{
    struct wire w = {t->raw + t->at[ref], t->raw + t->at[ref] + 10};
    uint64_t n = 0;
    wire_number(&w, &n);
    return view_make((const char *)w.p, (size_t)n);
}

static bool refs_fine(struct wire refs, const struct symbol_table *t)
{
    uint64_t ref;
    bool even = true;
    for (; refs.p < refs.end; even = !even)
        if (!wire_number(&refs, &ref) || ref >= t->count)
            return false;
    return even;
}

static bool exemplar_fine(struct wire w, const struct symbol_table *t)
{
    struct wire_field f = {0};
    bool broken = false;
    while (wire_next(&w, &f, &broken))
        if (f.number == EXEMPLAR_LABELS && (f.type != WIRE_BYTES || !refs_fine(f.bytes, t)))
            return false;
    return !broken;
}

static bool metadata_fine(struct wire w, const struct symbol_table *t)
{
    struct wire_field f = {0};
    bool broken = false;
    while (wire_next(&w, &f, &broken)) {
        bool ref = f.number == METADATA_HELP || f.number == METADATA_UNIT;
        if (f.type != WIRE_VARINT || (!ref && f.number != METADATA_TYPE) || (ref && f.value >= t->count))
            return false;
    }
    return !broken;
}

bool entry_read(struct wire series, const struct symbol_table *t, struct entry *e)
{
    struct wire_field f = {0};
    unsigned points = 0;
    bool broken = false;
    *e = (struct entry){0};
    while (wire_next(&series, &f, &broken)) {
        if (f.type != WIRE_BYTES)
            return false;
        switch (f.number) {
        case SERIES_LABELS:
            if (e->labels.p || !refs_fine(f.bytes, t))
                return false;
            e->labels = f.bytes;
            break;
        case SERIES_SAMPLES:
        case SERIES_HISTOGRAMS:
            e->point = f.bytes;
            e->histogram = f.number == SERIES_HISTOGRAMS;
            points++;
            break;
        case SERIES_EXEMPLARS:
            if (!exemplar_fine(f.bytes, t))
                return false;
            e->exemplars++;
            break;
        case SERIES_METADATA:
            if (e->metadata.p || !metadata_fine(f.bytes, t))
                return false;
            e->metadata = f.bytes;
            break;
        default:
            return false;
        }
    }
    return !broken && points == 1 && e->labels.p;
}
