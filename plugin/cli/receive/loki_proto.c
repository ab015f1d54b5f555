/* A Loki push in protobuf (grafana/loki pkg/push/push.proto), strictly: fields that clients must not send, a singular
 * field twice, numbers not in their shortest form, entries without a time are refused where Loki's decoder passes over
 * them. All text stays in the message and in r->values. */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/receive/loki_proto.h"

struct decoding {
    const struct limits *limits;
    struct verdict *verdict;
    struct loki_request *request;
    bool strict;
    size_t stream, entry; /* where we are, for words */
};

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct field {
    uint32_t number;
    uint32_t wire;
    uint64_t value;
    struct view bytes;
};

static bool fault(const struct decoding *d, const char *what)
{
    return verdict_refuse(d->verdict, 400, "protobuf: streams[%zu].entries[%zu]: %s", d->stream, d->entry, what);
}

static bool varint(const struct decoding *d, struct view *v, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < 10 && i < v->n; i++) {
        uint8_t b = (uint8_t)v->p[i];
        if (i == 9 && b > 1)
            return false;
        *out |= (uint64_t)(b & 0x7f) << (7 * i);
        if (b < 0x80) {
            *v = view_make(v->p + i + 1, v->n - i - 1);
            return b != 0 || i == 0 || !d->strict;
        }
    }
    return false;
}

/* The next field of a message; *m moves behind it. */
static bool field_read(const struct decoding *d, struct view *m, struct field *f)
{
    uint64_t key = 0, n = 0;
    *f = (struct field){0};
    if (!varint(d, m, &key) || key >> 3 == 0 || key > UINT32_MAX)
        return fault(d, "this is no field key");
    *f = (struct field){.number = (uint32_t)(key >> 3), .wire = (uint32_t)(key & 7)};
    switch (f->wire) {
    case VARINT:
        return varint(d, m, &f->value) || fault(d, "a number is cut off, too long or not in its shortest form");
    case FIXED64:
    case FIXED32:
        n = f->wire == FIXED64 ? 8 : 4;
        break;
    case BYTES:
        if (!varint(d, m, &n))
            return fault(d, "a length is cut off, too long or not in its shortest form");
        break;
    default:
        return fault(d, "unknown wire type");
    }
    if (n > m->n)
        return fault(d, "a field reaches beyond the end of its message");
    f->bytes = view_make(m->p, (size_t)n);
    *m = view_make(m->p + n, m->n - (size_t)n);
    return true;
}

/* A field the schema knows, with its wire type; for a singular one, not there before. *pass: it is to be skipped. */
static bool field_fits(const struct decoding *d, const struct field *f, uint32_t known, uint32_t wire,
                       uint32_t singular, uint32_t *seen, bool *pass)
{
    uint32_t bit = f->number < 32 ? 1u << f->number : 0;
    *pass = false;
    if (!(known & bit)) {
        *pass = !d->strict;
        return *pass || fault(d, "an unknown field, or one that clients must not send (strict: Loki passes over it)");
    }
    if (f->wire != wire)
        return fault(d, "wrong wire type");
    if ((*seen & singular & bit) && d->strict)
        return fault(d, "a singular field stands there twice (strict: Loki takes the last)");
    *seen |= bit;
    return true;
}

#define FIELD(n) (1u << (n))

static bool text_check(const struct decoding *d, struct view v)
{
    return utf8_valid(v.p, v.n) || fault(d, "a string is not UTF-8");
}

/* How often field `number` stands in a message, for the size of its array. */
static size_t fields_count(const struct decoding *d, struct view m, uint32_t number)
{
    struct field f;
    size_t n = 0;
    struct verdict unheard = {0};
    struct decoding quiet = *d;
    quiet.verdict = &unheard;
    while (m.n > 0 && field_read(&quiet, &m, &f))
        n += f.number == number;
    verdict_free(&unheard);
    return n;
}

/* ---- entries ---------------------------------------------------------------------------------------------------- */

static bool time_decode(const struct decoding *d, struct view m, int64_t *time_ns)
{
    struct field f;
    uint32_t seen = 0;
    bool pass;
    int64_t seconds = 0, nanos = 0;
    while (m.n > 0) {
        if (!field_read(d, &m, &f) ||
            !field_fits(d, &f, FIELD(1) | FIELD(2), VARINT, FIELD(1) | FIELD(2), &seen, &pass))
            return false;
        if (!pass && f.number == 1)
            seconds = (int64_t)f.value;
        else if (!pass)
            nanos = (int64_t)f.value;
    }
    if (nanos < 0 || nanos > 999999999)
        return fault(d, "Timestamp.nanos is not within 0..999999999");
    if (__builtin_mul_overflow(seconds, INT64_C(1000000000), time_ns) ||
        __builtin_add_overflow(*time_ns, nanos, time_ns)) {
        /* the last second before the smallest int64 may still fit with its nanos */
        if (seconds != INT64_MIN / 1000000000 - 1 ||
            __builtin_sub_overflow((seconds + 1) * INT64_C(1000000000), 1000000000 - nanos, time_ns))
            return fault(d, "the timestamp is beyond what 64 bits of nanoseconds hold");
    }
    return true;
}

static bool pair_decode(const struct decoding *d, struct view m, struct pair *p)
{
    struct field f;
    uint32_t seen = 0;
    bool pass;
    *p = (struct pair){view_of(""), view_of("")};
    while (m.n > 0) {
        if (!field_read(d, &m, &f) || !field_fits(d, &f, FIELD(1) | FIELD(2), BYTES, FIELD(1) | FIELD(2), &seen, &pass))
            return false;
        if (!pass)
            *(f.number == 1 ? &p->name : &p->value) = f.bytes;
    }
    if (p->name.n > 0 && memchr(p->name.p, 0, p->name.n)) /* as in JSON, whose reader here has no such keys */
        return fault(d, "a NUL in the name of structured metadata");
    return text_check(d, p->name) && text_check(d, p->value);
}

static bool entry_decode(const struct decoding *d, struct view m, struct loki_entry *e)
{
    struct field f;
    uint32_t seen = 0;
    bool pass;
    e->line = view_of("");
    e->metadata = calloc(fields_count(d, m, 3) + 1, sizeof *e->metadata);
    if (!e->metadata)
        return verdict_nomem(d->verdict);
    while (m.n > 0) {
        if (!field_read(d, &m, &f) ||
            !field_fits(d, &f, FIELD(1) | FIELD(2) | FIELD(3), BYTES, FIELD(1) | FIELD(2), &seen, &pass))
            return false;
        if (pass)
            continue;
        if (f.number == 1 && !time_decode(d, f.bytes, &e->time_ns))
            return false;
        if (f.number == 2 && !text_check(d, e->line = f.bytes))
            return false;
        if (f.number == 3 && !pair_decode(d, f.bytes, &e->metadata[e->metadata_count++]))
            return false;
    }
    return (seen & FIELD(1)) || !d->strict || fault(d, "the timestamp is missing");
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

static bool labels_decode(const struct decoding *d, struct view text, struct loki_stream *s)
{
    size_t column, n = 0;
    const char *why;
    uint64_t max = d->limits->v[LOGS_LABELS_BYTES];
    if (max && text.n > max)
        return verdict_refuse(d->verdict, 413, "stream labels size (%zu bytes) exceeds limit of %" PRIu64 " bytes",
                              text.n, max);
    free(s->labels);
    s->labels = calloc(loki_labels_bound(text), sizeof *s->labels);
    if (!s->labels)
        return verdict_nomem(d->verdict);
    if (!loki_labels_read(text, &d->request->values, s->labels, &s->label_count, &column, &why))
        return verdict_refuse(d->verdict, 400, "couldn't parse labels: 1:%zu: parse error: %s", column, why);
    pairs_sort(s->labels, s->label_count);
    for (size_t i = 0; i < s->label_count; i++) {
        struct view name = s->labels[i].name;
        if (view_is(name, "__backfill__") || view_is(name, "__backfill_shard__"))
            return verdict_refuse(d->verdict, 400, "label '%.*s' is reserved", VIEW_ARG(name));
        if (i > 0 && view_eq(s->labels[i - 1].name, name))
            return verdict_refuse(d->verdict, 400, "stream '%.*s' has duplicate label name: '%.*s'", VIEW_ARG(text),
                                  VIEW_ARG(name));
        if (s->labels[i].value.n > 0) /* empty = absent */
            s->labels[n++] = s->labels[i];
    }
    s->label_count = n;
    return true;
}

static bool stream_decode(struct decoding *d, struct view m, struct loki_stream *s)
{
    struct field f;
    uint32_t seen = 0;
    bool pass;
    s->entries = calloc(fields_count(d, m, 2) + 1, sizeof *s->entries);
    if (!s->entries)
        return verdict_nomem(d->verdict);
    for (d->entry = 0; m.n > 0;) {
        if (!field_read(d, &m, &f) || !field_fits(d, &f, FIELD(1) | FIELD(2), BYTES, FIELD(1), &seen, &pass))
            return false;
        if (pass)
            continue;
        if (f.number == 1 && !labels_decode(d, f.bytes, s))
            return false;
        if (f.number == 2 && !entry_decode(d, f.bytes, &s->entries[s->entry_count++]))
            return false;
        d->entry = s->entry_count;
    }
    return (seen & FIELD(1)) || verdict_refuse(d->verdict, 400, "couldn't parse labels: 1:1: parse error: no labels");
}

bool loki_proto_decode(struct view m, const struct limits *l, struct loki_request *r, struct verdict *v)
{
    struct decoding d = {.limits = l, .verdict = v, .request = r, .strict = l->v[LOGS_STRICT]};
    struct field f;
    uint32_t seen = 0;
    bool pass;
    size_t streams = fields_count(&d, m, 1);
    r->streams = calloc(streams + 1, sizeof *r->streams);
    if (!r->streams || !buf_reserve(&r->values, m.n + 1))
        return verdict_nomem(v);
    while (m.n > 0) {
        d.stream = r->stream_count;
        if (!field_read(&d, &m, &f) || !field_fits(&d, &f, FIELD(1), BYTES, 0, &seen, &pass))
            return false;
        if (!pass && !stream_decode(&d, f.bytes, &r->streams[r->stream_count++]))
            return false;
    }
    return r->stream_count > 0 || verdict_refuse(v, 422, "error at least one valid stream is required for ingestion");
}
