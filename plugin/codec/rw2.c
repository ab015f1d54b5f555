/* Remote write 2.0: a request being made. Numbers: proto/remote2.proto.
 *
 * Two buffers grow side by side, the symbol table and the entries; behind each other they are the request: before the
 * entries room is left for a table like the last one. A series
 * comes as symbols, a text's number among all texts. Which place a text has in the table of the request at hand stands
 * in `place`, under that request's stamp: so a series is written without hashing, and nothing has to be cleared between
 * requests. Neighbours in a request mostly differ in one or two
 * labels, so the labels of the entry before are kept encoded, and only what differs is looked at: the rest of the work
 * for a sample is copying some forty bytes.
 *
 * Each sample is an entry of its own, as in 1.0: their order is kept whatever series they belong to, and a receiver
 * that drops an entry drops one sample. */
#include <stdlib.h>

#include "codec/wire.h"

enum {
    KEY_SYMBOLS = 0x22,    /* Request.symbols = 4 */
    KEY_TIMESERIES = 0x2a, /* Request.timeseries = 5 */
    KEY_LABELS = 0x0a,     /* TimeSeries.labels_refs = 1, packed */
    KEY_SAMPLES = 0x12,    /* .samples = 2 */
    KEY_HISTOGRAMS = 0x1a, /* .histograms = 3 */
    KEY_EXEMPLARS = 0x22,  /* .exemplars = 4 */
    KEY_METADATA = 0x2a,   /* .metadata = 5 */
    KEY_HIST_TIME = 0x78,  /* Histogram.timestamp = 15; .start_timestamp = 17 has a key of two bytes */
    KEY_EX_VALUE = 0x11,   /* Exemplar.value = 2 */
    KEY_EX_TIME = 0x18,    /* Exemplar.timestamp = 3 */
    KEY_VALUE = 0x09,      /* Sample.value = 1, fixed64 */
    KEY_TIMESTAMP = 0x10,  /* Sample.timestamp = 2, int64 */
    KEY_START = 0x18,      /* Sample.start_timestamp = 3 */
    KEY_META_TYPE = 0x08,  /* Metadata.type = 1 */
    KEY_META_HELP = 0x18,  /* .help_ref = 3 */
    KEY_META_UNIT = 0x20,  /* .unit_ref = 4 */
};

#define NO_REF      UINT32_MAX
#define META_BYTES  24
#define META_SLOTS  256
#define LABEL_WIDTH 10 /* of two refs, at the most */
#define RECENT_BITS 13

/* A metric name's metadata as it stands in entries of the request with this stamp. */
struct meta {
    uint32_t name, stamp;
    uint32_t len;
    uint8_t bytes[META_BYTES];
};

/* Of a text, by its number. */
struct place {
    uint32_t stamp, ref; /* ref counts with the stamp of the request at hand only */
};

struct rw2 {
    struct symbols *symbols, *own; /* `own`: where nobody else has any */
    struct place *place;
    uint32_t sweeps;  /* of the symbols, when the last request was begun */
    uint32_t places;  /* every number handed to ref_of() is below */
    uint32_t stamp;   /* of the request at hand */
    uint32_t count;   /* symbols in it */
    struct buf table; /* as on the wire */
    struct buf entries;
    size_t gap;       /* before the first entry */
    struct buf whole; /* the request, a window into `entries` */
    struct families *families;
    const void *owner;
    uint32_t described; /* families met for the first time */
    bool nomem;
    uint32_t name; /* of the series at hand */
    const struct meta *meta;
    /* labels of the entry written last: their symbols, their refs encoded, where each stands */
    struct buf pairs, at, labels;
    uint32_t pair_count;
    size_t labels_len; /* bytes that the length of `labels` takes */
    /* the time of the sample before, as it stands in a sample */
    int64_t time_ms;
    uint32_t time_len;
    uint8_t time_bytes[16];
    /* the label block that came last as text, with its symbols */
    struct buf block, block_pairs;
    uint32_t recent[1 << RECENT_BITS]; /* numbers of texts that came as such, see symbol_find(); 0 = none */
    struct buf tail, refs;             /* of a point with more than a number */
    struct meta metas[META_SLOTS];
};

/* Texts that are new since the last look; what numbers they got says nothing of their place. */
static bool places_grow(struct rw2 *e, uint32_t count)
{
    if (count <= e->places)
        return true;
    uint32_t n = MAX(count, MAX(e->places + e->places / 4, 256u));
    struct place *p = realloc(e->place, n * sizeof *p);
    if (!p)
        return false;
    memset(p + e->places, 0, (n - e->places) * sizeof *p);
    e->place = p;
    e->places = n;
    return true;
}

struct rw2 *rw2_new(struct symbols *shared)
{
    struct rw2 *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->own = shared ? NULL : symbols_new(NULL);
    e->symbols = shared ? shared : e->own;
    if (e->symbols)
        return e;
    free(e);
    return NULL;
}

void rw2_free(struct rw2 *e)
{
    if (!e)
        return;
    symbols_free(e->own);
    struct buf *const all[] = {&e->table, &e->entries,     &e->pairs, &e->at,  &e->labels,
                               &e->block, &e->block_pairs, &e->tail,  &e->refs};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buf_free(all[i]);
    free(e->place);
    free(e);
}

uint64_t rw2_memory(const struct rw2 *e)
{
    return sizeof *e + (e->own ? e->own->held_bytes + e->own->idle_bytes : 0) + e->places * sizeof *e->place +
           e->table.cap + e->entries.cap + e->pairs.cap + e->at.cap + e->labels.cap + e->block.cap + e->block_pairs.cap;
}

bool rw2_begin(struct rw2 *e, struct families *families, const void *owner)
{
    symbols_sweep(e->symbols, SYMBOLS_IDLE, SYMBOLS_IDLE_BYTES);
    if (e->sweeps != e->symbols->sweeps) {
        e->block.n = e->block_pairs.n = 0;
        memset(e->recent, 0, sizeof e->recent);
    }
    e->sweeps = e->symbols->sweeps;
    e->stamp++;
    e->count = 1;
    e->gap = e->table.n + e->table.n / 4 + 1024;
    e->table.n = e->entries.n = 0;
    e->pair_count = 0;
    e->name = 0;
    e->meta = NULL;
    e->described = 0;
    e->nomem = false;
    if (families)
        families_let_go(families);
    e->families = families;
    e->owner = owner;
    /* the series of this request were interned before: their numbers are below the count */
    bool ok = places_grow(e, symbols_bound(e->symbols)) && buf_reserve(&e->entries, e->gap);
    e->entries.n = e->gap;
    return ok && buf_append(&e->table, "\x22\x00", 2); /* symbols[0] is "" */
}

/* ---- symbols ------------------------------------------------------------------------------------------------------
 */

static uint32_t symbol_enter(struct rw2 *e, uint32_t id)
{
    struct view text = symbols_text(e->symbols, id);
    if (!buf_reserve(&e->table, text.n + 8)) {
        e->nomem = true;
        return NO_REF;
    }
    uint8_t *p = e->table.p + e->table.n;
    *p++ = KEY_SYMBOLS;
    p = wire_varint(p, text.n);
    memcpy(p, text.p, text.n);
    e->table.n = (size_t)(p - e->table.p) + text.n;
    e->place[id] = (struct place){e->stamp, e->count};
    return e->count++;
}

/* A symbol's place in the table of the request at hand. */
static inline uint32_t ref_of(struct rw2 *e, uint32_t id)
{
    const struct place *p = &e->place[id];
    return p->stamp == e->stamp ? p->ref : symbol_enter(e, id);
}

/* Where a text is looked for among the recent ones: by its ends, without reading all of it. */
static inline uint32_t recent_slot(struct view text)
{
    uint64_t front = 0, back = 0;
    memcpy(&front, text.p, MIN(text.n, sizeof front));
    if (text.n > sizeof back)
        memcpy(&back, text.p + text.n - sizeof back, sizeof back);
    return (uint32_t)(((front ^ back << 5 ^ back >> 59) + text.n) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - RECENT_BITS));
}

/* The number of a text that comes as such; 0 = out of memory. Most texts came before, and are found without hashing
 * them and without the lock: numbers stay what they are until the symbols are swept, which is done on this thread. */
static uint32_t symbol_find(struct rw2 *e, struct view text)
{
    uint32_t *recent = &e->recent[recent_slot(text)];
    if (*recent && view_eq(symbols_text(e->symbols, *recent), text))
        return *recent;
    uint32_t id = symbols_find(e->symbols, text);
    if (!places_grow(e, id + 1))
        return 0;
    return *recent = id;
}

/* ---- labels -------------------------------------------------------------------------------------------------------
 */

/* Where the two refs of a label stand in `labels`, and their widths. */
struct label_at {
    uint32_t at;
    uint8_t name_width, value_width;
};

static bool labels_rewrite(struct rw2 *e, const uint64_t *pair, uint32_t n)
{
    e->pair_count = 0;
    e->pairs.n = e->at.n = e->labels.n = 0;
    if (!buf_reserve(&e->pairs, n * sizeof *pair) || !buf_reserve(&e->at, n * sizeof(struct label_at)) ||
        !buf_reserve(&e->labels, (size_t)n * LABEL_WIDTH + 64))
        return false;
    struct label_at *at = (void *)e->at.p;
    uint8_t *p = e->labels.p;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t name = ref_of(e, (uint32_t)pair[k]), value = ref_of(e, (uint32_t)(pair[k] >> 32));
        uint8_t *middle = wire_varint(p, name), *end = wire_varint(middle, value);
        at[k] = (struct label_at){(uint32_t)(p - e->labels.p), (uint8_t)(middle - p), (uint8_t)(end - middle)};
        p = end;
    }
    if (n)
        memcpy(e->pairs.p, pair, n * sizeof *pair);
    e->labels.n = (size_t)(p - e->labels.p);
    e->labels_len = varint_size(e->labels.n);
    e->pair_count = n;
    return !e->nomem;
}

static inline uint8_t width_of(uint32_t ref) { return ref < 0x80 ? 1 : ref < 0x4000 ? 2 : (uint8_t)varint_size(ref); }

/* Puts another label in the place of one; false if it does not fit there. Mostly it is the value alone. */
static inline bool label_replace(struct rw2 *e, uint32_t k, uint64_t pair)
{
    const struct label_at *at = (const struct label_at *)(const void *)e->at.p + k;
    uint64_t *before = (uint64_t *)(void *)e->pairs.p + k;
    uint8_t *p = e->labels.p + at->at;
    if ((uint32_t)pair != (uint32_t)*before) {
        uint32_t name = ref_of(e, (uint32_t)pair);
        if (width_of(name) != at->name_width)
            return false;
        wire_varint(p, name);
    }
    uint32_t value = ref_of(e, (uint32_t)(pair >> 32));
    if (width_of(value) != at->value_width)
        return false;
    p += at->name_width;
    if (value < 0x80) {
        *p = (uint8_t)value;
    } else {
        p[0] = (uint8_t)(value | 0x80);
        if (value < 0x4000)
            p[1] = (uint8_t)(value >> 7);
        else
            wire_varint(p, value);
    }
    *before = pair;
    return true;
}

static inline bool labels_set(struct rw2 *e, const uint64_t *pair, uint32_t n)
{
    const uint64_t *before = (const uint64_t *)(const void *)e->pairs.p;
    if (n != e->pair_count)
        return labels_rewrite(e, pair, n);
    for (uint32_t k = 0; k < n; k++)
        if (pair[k] != before[k] && !label_replace(e, k, pair[k]))
            return labels_rewrite(e, pair, n);
    return !e->nomem;
}

/* ---- metadata -----------------------------------------------------------------------------------------------------
 */

/* Help and unit, 0 for none: a text's ref, the text found by its bytes. */
static uint32_t text_ref(struct rw2 *e, struct view text)
{
    uint32_t id = text.n ? symbol_find(e, text) : 0;
    if (text.n && !id)
        e->nomem = true;
    return id ? ref_of(e, id) : 0;
}

static const struct meta *meta_make(struct rw2 *e, uint32_t name, struct meta *m)
{
    struct metric_family *f = e->families ? families_find(e->families, e->owner, symbols_text(e->symbols, name)) : NULL;
    *m = (struct meta){.name = name, .stamp = e->stamp};
    if (!f)
        return m;
    uint8_t body[META_BYTES], *p = body;
    uint32_t help = text_ref(e, family_help(f)), unit = text_ref(e, family_unit(f));
    if (f->type) {
        *p++ = KEY_META_TYPE;
        *p++ = (uint8_t)f->type;
    }
    if (help) {
        *p++ = KEY_META_HELP;
        p = wire_varint(p, help);
    }
    if (unit) {
        *p++ = KEY_META_UNIT;
        p = wire_varint(p, unit);
    }
    m->bytes[0] = KEY_METADATA;
    m->bytes[1] = (uint8_t)(p - body);
    memcpy(m->bytes + 2, body, (size_t)(p - body));
    m->len = (uint32_t)(p - body) + 2;
    e->described += !f->described;
    f->described = true;
    return m;
}

static inline void name_set(struct rw2 *e, uint32_t name)
{
    if (name == e->name)
        return;
    struct meta *m = &e->metas[name % META_SLOTS];
    e->name = name;
    e->meta = m->name == name && m->stamp == e->stamp ? m : meta_make(e, name, m);
}

/* ---- series -------------------------------------------------------------------------------------------------------
 */

bool rw2_series(struct rw2 *e, const struct interned *i)
{
    if (i->labels == 0) /* interned where nobody thought of 2.0 */
        return rw2_series_block(e, interned_block(i));
    name_set(e, i->symbol);
    return labels_set(e, interned_symbols(i), i->labels);
}

/* A label's bytes in a block, key and length included. */
static inline size_t label_bytes(const uint8_t *p)
{
    size_t n = p[1], shift = 7, at = 2;
    if (n < 0x80)
        return n + 2;
    for (n &= 0x7f; p[at] & 0x80; shift += 7)
        n |= (size_t)(p[at++] & 0x7f) << shift;
    return (n | (size_t)p[at] << shift) + at + 1;
}

/* The symbols of a block that came as text. Labels that stand in the block before at the same place are known. */
static bool block_resolve(struct rw2 *e, struct view block, uint32_t *count)
{
    size_t before = 0, known = e->block_pairs.n / sizeof(uint64_t);
    struct view rest = block;
    uint32_t k = 0;
    bool ok = true;
    for (; rest.n > 0; k++) {
        const size_t n = label_bytes((const uint8_t *)rest.p), room = (k + 1) * sizeof(uint64_t);
        bool same = false;
        if (k < known) {
            size_t m = label_bytes(e->block.p + before);
            same = m == n && memcmp(e->block.p + before, rest.p, n) == 0;
            before += m;
        }
        if (!same) {
            struct view label = view_make(rest.p, n), name, value;
            block_next(&label, &name, &value);
            uint32_t a = symbol_find(e, name), b = a ? symbol_find(e, value) : 0;
            if (e->block_pairs.n < room)
                ok = ok && buf_reserve(&e->block_pairs, room - e->block_pairs.n);
            if (!(ok = ok && b))
                break;
            ((uint64_t *)(void *)e->block_pairs.p)[k] = symbol_pair(a, b);
        }
        e->block_pairs.n = MAX(e->block_pairs.n, room);
        rest = view_make(rest.p + n, rest.n - n);
    }
    e->block.n = 0;
    ok = ok && buf_append(&e->block, block.p, block.n);
    e->block_pairs.n = ok ? k * sizeof(uint64_t) : 0;
    *count = k;
    return ok;
}

bool rw2_series_block(struct rw2 *e, struct view block)
{
    uint32_t n, metric = e->symbols->name_label;
    if (!block_resolve(e, block, &n))
        return false;
    const uint64_t *pair = (const uint64_t *)(const void *)e->block_pairs.p;
    for (uint32_t k = 0; k < n; k++)
        if ((uint32_t)pair[k] == e->symbols->name_label)
            metric = (uint32_t)(pair[k] >> 32);
    name_set(e, metric);
    return labels_set(e, pair, n);
}

/* ---- entries ------------------------------------------------------------------------------------------------------
 */

/* Short stretches in whole words, past their end; the room behind is there. */
#define SLACK 64
static inline uint8_t *put_short(uint8_t *p, const uint8_t *from, size_t n)
{
    if (n <= 32)
        memcpy(p, from, 32);
    else if (n <= SLACK)
        memcpy(p, from, SLACK);
    else
        memcpy(p, from, n);
    return p + n;
}

/* Samples of one scrape have one time: its bytes are kept. */
static void time_set(struct rw2 *e, int64_t time_ms)
{
    uint8_t *p = e->time_bytes;
    e->time_ms = time_ms;
    if (time_ms) {
        *p++ = KEY_TIMESTAMP;
        p = wire_varint(p, (uint64_t)time_ms);
    }
    e->time_len = (uint32_t)(p - e->time_bytes);
}

bool rw2_sample(struct rw2 *e, uint64_t value_bits, int64_t time_ms)
{
    if (__builtin_expect(time_ms != e->time_ms, 0))
        time_set(e, time_ms);
    const size_t sample = (value_bits ? 9 : 0) + e->time_len; /* at most 20: one length byte */
    const size_t labels = e->labels.n, body = 1 + e->labels_len + labels + 2 + sample + e->meta->len;
    if (__builtin_expect(e->entries.cap - e->entries.n < body + 16 + SLACK, 0) &&
        !buf_grow(&e->entries, body + 16 + SLACK))
        return false;
    uint8_t *p = e->entries.p + e->entries.n;
    *p++ = KEY_TIMESERIES;
    p = wire_varint(p, body);
    *p++ = KEY_LABELS;
    p = wire_varint(p, labels);
    p = put_short(p, e->labels.p, labels);
    *p++ = KEY_SAMPLES;
    *p++ = (uint8_t)sample;
    if (value_bits) { /* proto3 leaves zero out; -0.0 has a bit set and is written */
        *p++ = KEY_VALUE;
        p = wire_fixed64(p, value_bits);
    }
    memcpy(p, e->time_bytes, sizeof e->time_bytes);
    p += e->time_len;
    memcpy(p, e->meta->bytes, META_BYTES);
    e->entries.n = (size_t)(p - e->entries.p) + e->meta->len;
    return !e->nomem;
}

/* ---- points -------------------------------------------------------------------------------------------------------
 */

static bool histogram_tail(struct buf *out, const struct point *pt)
{
    size_t times = (pt->time_ms ? 1 + varint_size((uint64_t)pt->time_ms) : 0) +
                   (pt->start_ms ? 2 + varint_size((uint64_t)pt->start_ms) : 0);
    size_t n = pt->histogram.n + pt->bounds.n + times;
    if (!buf_reserve(out, n + 11))
        return false;
    uint8_t *p = out->p + out->n;
    *p++ = KEY_HISTOGRAMS;
    p = wire_varint(p, n);
    memcpy(p, pt->histogram.p, pt->histogram.n);
    p += pt->histogram.n;
    if (pt->time_ms) {
        *p++ = KEY_HIST_TIME;
        p = wire_varint(p, (uint64_t)pt->time_ms);
    }
    if (pt->bounds.n)
        memcpy(p, pt->bounds.p, pt->bounds.n);
    p += pt->bounds.n;
    if (pt->start_ms) {
        *p++ = 0x88, *p++ = 0x01;
        p = wire_varint(p, (uint64_t)pt->start_ms);
    }
    out->n = (size_t)(p - out->p);
    return true;
}

static bool sample_tail(struct buf *out, const struct point *pt)
{
    size_t n = (pt->value_bits ? 9 : 0) + (pt->time_ms ? 1 + varint_size((uint64_t)pt->time_ms) : 0) +
               (pt->start_ms ? 1 + varint_size((uint64_t)pt->start_ms) : 0);
    if (!buf_reserve(out, n + 2))
        return false;
    uint8_t *p = out->p + out->n;
    *p++ = KEY_SAMPLES;
    *p++ = (uint8_t)n;
    if (pt->value_bits) {
        *p++ = KEY_VALUE;
        p = wire_fixed64(p, pt->value_bits);
    }
    if (pt->time_ms) {
        *p++ = KEY_TIMESTAMP;
        p = wire_varint(p, (uint64_t)pt->time_ms);
    }
    if (pt->start_ms) {
        *p++ = KEY_START;
        p = wire_varint(p, (uint64_t)pt->start_ms);
    }
    out->n = (size_t)(p - out->p);
    return true;
}

static bool exemplar_tail(struct rw2 *e, const struct exemplar *x)
{
    struct view rest = x->block, name, value;
    uint8_t bytes[LABEL_WIDTH];
    e->refs.n = 0;
    while (block_next(&rest, &name, &value)) {
        uint32_t a = symbol_find(e, name), b = a ? symbol_find(e, value) : 0;
        if (!b)
            return false;
        uint32_t name_ref = ref_of(e, a), value_ref = ref_of(e, b);
        if (!buf_append(&e->refs, bytes, (size_t)(wire_varint(wire_varint(bytes, name_ref), value_ref) - bytes)))
            return false;
    }
    size_t refs = e->refs.n ? 1 + varint_size(e->refs.n) + e->refs.n : 0;
    size_t n = refs + (x->value_bits ? 9 : 0) + 1 + varint_size((uint64_t)x->time_ms);
    if (!buf_reserve(&e->tail, n + 11))
        return false;
    uint8_t *p = e->tail.p + e->tail.n;
    *p++ = KEY_EXEMPLARS;
    p = wire_varint(p, n);
    if (refs) {
        *p++ = KEY_LABELS;
        p = wire_varint(p, e->refs.n);
        memcpy(p, e->refs.p, e->refs.n);
        p += e->refs.n;
    }
    if (x->value_bits) {
        *p++ = KEY_EX_VALUE;
        p = wire_fixed64(p, x->value_bits);
    }
    *p++ = KEY_EX_TIME;
    e->tail.n = (size_t)(wire_varint(p, (uint64_t)x->time_ms) - e->tail.p);
    return true;
}

bool rw2_point(struct rw2 *e, const struct point *pt)
{
    e->tail.n = 0;
    bool ok = pt->histogram.n ? histogram_tail(&e->tail, pt) : sample_tail(&e->tail, pt);
    struct view rest = pt->exemplars;
    for (struct exemplar x; ok && exemplar_next(&rest, &x);)
        ok = exemplar_tail(e, &x);
    size_t labels = e->labels.n, body = 1 + varint_size(labels) + labels + e->tail.n + e->meta->len;
    if (!ok || e->nomem || !buf_reserve(&e->entries, body + 11))
        return false;
    uint8_t *p = e->entries.p + e->entries.n;
    *p++ = KEY_TIMESERIES;
    p = wire_varint(p, body);
    *p++ = KEY_LABELS;
    p = wire_varint(p, labels);
    memcpy(p, e->labels.p, labels);
    memcpy(p + labels, e->tail.p, e->tail.n);
    p += labels + e->tail.n;
    memcpy(p, e->meta->bytes, e->meta->len);
    e->entries.n = (size_t)(p - e->entries.p) + e->meta->len;
    return true;
}

const struct buf *rw2_end(struct rw2 *e, uint32_t *families)
{
    const size_t table = e->table.n, entries = e->entries.n - e->gap;
    *families = e->described;
    if (e->nomem || (table > e->gap && !buf_reserve(&e->entries, table - e->gap)))
        return NULL;
    if (table > e->gap) {
        memmove(e->entries.p + table, e->entries.p + e->gap, entries);
        e->gap = table;
        e->entries.n = table + entries;
    }
    e->whole = (struct buf){.p = e->entries.p + e->gap - table, .n = table + entries};
    memcpy(e->whole.p, e->table.p, table);
    return &e->whole;
}
