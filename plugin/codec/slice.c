/* A part of a sealed request as a request of its own: for receivers that take less at a time, or an older protocol
 * only. Reads only what this library writes; anything else is told as broken. */
#include <stdlib.h>
#include <zlib.h>

#include "codec/slice.h"

/* ---- unpacking -------------------------------------------------------------------------------------------------- */

static bool unpack_snappy(const struct sealed *s, struct buf *raw)
{
    return snappy_unpack_exact(raw, view_make((const char *)s->body, s->len), s->raw_len);
}

static bool unpack_gzip(const struct sealed *s, struct buf *raw)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)s->body, .avail_in = s->len};
    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return false;
    z.next_out = raw->p;
    z.avail_out = s->raw_len;
    int rc = inflate(&z, Z_FINISH);
    raw->n = z.total_out;
    inflateEnd(&z);
    return rc == Z_STREAM_END && raw->n == s->raw_len;
}

static bool unpack_none(const struct sealed *s, struct buf *raw)
{
    memcpy(raw->p, s->body, s->len);
    raw->n = s->len;
    return s->len == s->raw_len;
}

/* ---- remote write 1.0: each sample is a TimeSeries of its own --------------------------------------------------- */

static void count_rw1(struct wire series, struct range *r)
{
    enum { EXEMPLARS = 3, HISTOGRAMS = 4 };
    struct wire_field f = {0};
    bool broken = false;
    while (wire_next(&series, &f, &broken)) {
        r->exemplars += f.number == EXEMPLARS;
        r->histograms += f.number == HISTOGRAMS;
    }
}

static bool slice_rw1(const struct buf *raw, struct range *r, struct buf *out)
{
    enum { TIMESERIES = 1, METADATA = 3 };
    struct wire w = wire_of(raw->p, raw->n);
    struct wire_field f;
    bool broken = false;
    while (wire_next(&w, &f, &broken)) {
        if (f.type != WIRE_BYTES || (f.number != TIMESERIES && f.number != METADATA))
            return false;
        bool take = f.number == METADATA ? r->from == 0 : range_has(r);
        r->metadata += f.number == METADATA && take;
        if (f.number == TIMESERIES && take)
            count_rw1(f.bytes, r);
        if (take && !buf_append(out, f.start, (size_t)(w.p - f.start)))
            return range_nomem(r);
    }
    return !broken;
}

/* ---- Loki JSON, in the one form that loki_json.c writes --------------------------------------------------------- */

struct json {
    const char *p, *end;
};

static bool expect(struct json *j, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(j->end - j->p) < n || memcmp(j->p, text, n) != 0)
        return false;
    j->p += n;
    return true;
}

static bool skip_string(struct json *j)
{
    for (j->p++; j->p < j->end && *j->p != '"'; j->p++)
        if (*j->p == '\\')
            j->p++;
    return j->p++ < j->end;
}

/* An array or object, brackets matched by count. */
static bool skip_value(struct json *j, struct view *out)
{
    const char *start = j->p;
    int depth = 0;
    do {
        if (j->p >= j->end)
            return false;
        char c = *j->p;
        if (c == '"') {
            if (!skip_string(j))
                return false;
            continue;
        }
        depth += (c == '[' || c == '{') - (c == ']' || c == '}');
        j->p++;
    } while (depth > 0);
    *out = view_make(start, (size_t)(j->p - start));
    return j->p <= j->end;
}

static bool put_view(struct buf *out, struct view v) { return buf_append(out, v.p, v.n); }

/* One stream; *any tells whether an entry went out, *streams counts those that did. */
static bool slice_stream(struct json *j, struct range *r, struct buf *out, unsigned *streams)
{
    struct view labels, entry;
    bool any = false, more = false;
    if (!expect(j, "{\"stream\":") || !skip_value(j, &labels) || !expect(j, ",\"values\":["))
        return false;
    do {
        if (!skip_value(j, &entry))
            return false;
        more = j->p < j->end && *j->p == ',';
        j->p += more;
        if (!range_has(r))
            continue;
        bool ok = any ? buf_puts(out, ",")
                      : (*streams == 0 || buf_puts(out, ",")) && buf_puts(out, "{\"stream\":") &&
                            put_view(out, labels) && buf_puts(out, ",\"values\":[");
        if (!ok || !put_view(out, entry))
            return false;
        *streams += !any;
        any = true;
    } while (more);
    return expect(j, "]}") && (!any || buf_puts(out, "]}"));
}

static bool slice_loki(const struct buf *raw, struct range *r, struct buf *out)
{
    struct json j = {(const char *)raw->p, (const char *)raw->p + raw->n};
    unsigned streams = 0;
    bool more = true;
    if (!expect(&j, "{\"streams\":[") || !buf_puts(out, "{\"streams\":["))
        return false;
    while (more) {
        if (!slice_stream(&j, r, out, &streams))
            return false;
        more = j.p < j.end && *j.p == ',';
        j.p += more;
    }
    return expect(&j, "]}") && buf_puts(out, "]}");
}

/* ---- Loki protobuf: streams that hold their labels, then entries ------------------------------------------------ */

static bool field_get(const uint8_t **p, const uint8_t *end, uint8_t key, struct view *out)
{
    struct wire w = {*p, end};
    struct wire_field f;
    bool broken = false;
    if (!wire_next(&w, &f, &broken) || *f.start != key)
        return false;
    *out = view_make((const char *)f.bytes.p, wire_left(f.bytes));
    *p = w.p;
    return true;
}

/* The wanted entries of a stream lie together: they and its labels are a stream. */
static bool slice_proto_stream(struct view stream, struct range *r, struct buf *out)
{
    enum { STREAM = 0x0a, LABELS = 0x0a, ENTRY = 0x12 };
    const uint8_t *start = (const uint8_t *)stream.p, *p = start, *end = p + stream.n, *first = NULL, *last = NULL;
    struct view field;
    uint8_t head[11] = {STREAM};
    if (!field_get(&p, end, LABELS, &field))
        return false;
    size_t labels = (size_t)(p - start);
    while (p < end) {
        const uint8_t *entry = p;
        if (!field_get(&p, end, ENTRY, &field))
            return false;
        if (!range_has(r))
            continue;
        first = first ? first : entry;
        last = p;
    }
    if (!first)
        return true;
    size_t entries = (size_t)(last - first), n = (size_t)(varint_put(head + 1, labels + entries) - head);
    return buf_append(out, head, n) && buf_append(out, start, labels) && buf_append(out, first, entries);
}

static bool slice_proto(const struct buf *raw, struct range *r, struct buf *out)
{
    const uint8_t *p = raw->p, *end = p + raw->n;
    struct view stream;
    while (p < end)
        if (!field_get(&p, end, 0x0a, &stream) || !slice_proto_stream(stream, r, out))
            return false;
    return true;
}

/* ---- all -------------------------------------------------------------------------------------------------------- */

static const struct {
    bool (*unpack)(const struct sealed *s, struct buf *raw);
} unpackers[ENCODINGS] = {
    [ENCODING_NONE] = {unpack_none}, [ENCODING_SNAPPY] = {unpack_snappy}, [ENCODING_GZIP] = {unpack_gzip}};

/* From which protocol to which. */
static bool (*const slicers[PROTOCOLS][PROTOCOLS])(const struct buf *, struct range *, struct buf *) = {
    [PROTOCOL_RW1][PROTOCOL_RW1] = slice_rw1,
    [PROTOCOL_RW2][PROTOCOL_RW2] = slice_rw2,
    [PROTOCOL_RW2][PROTOCOL_RW1] = rw2_as_rw1,
    [PROTOCOL_LOKI_JSON][PROTOCOL_LOKI_JSON] = slice_loki,
    [PROTOCOL_LOKI_PROTO][PROTOCOL_LOKI_PROTO] = slice_proto,
};

static bool pack(enum encoding e, const struct buf *raw, struct buf *packed, const struct buf **body)
{
    struct gzip *g;
    bool ok = true;
    *body = packed;
    switch (e) {
    case ENCODING_SNAPPY:
        return snappy_pack(packed, raw);
    case ENCODING_GZIP:
        g = gzip_new(1);
        ok = g && gzip_pack(g, packed, raw);
        gzip_free(g);
        return ok;
    case ENCODING_NONE:
    case ENCODINGS:
        break;
    }
    *body = raw;
    return true;
}

/* The body before compression, as much again for the part, its compression. With symbols two tables of them, which take
 * at least three bytes each in the body, and what another protocol may take more of. */
uint64_t part_memory(enum protocol from, uint64_t raw_len)
{
    uint64_t plain = 2 * raw_len + raw_len / 6 + 8 * KIB;
    return from == PROTOCOL_RW2 ? plain + 3 * raw_len + 2 * PART_LEAST : plain;
}

static struct sealed *part_make(const struct sealed *s, const struct part *p, const struct range *r,
                                const struct buf *raw, struct buf *packed)
{
    const struct buf *body;
    struct sealed *out = pack(s->encoding, raw, packed, &body) ? sealed_blank(body->n) : NULL;
    if (!out)
        return NULL;
    *out = *s;
    out->len = (uint32_t)body->n;
    memcpy(out->body, body->p, body->n); /* after the struct, whose padding the body may lie in */
    out->next = out->prev = NULL;
    out->disk_segment = 0;
    out->shares = NULL;
    out->share_count = 0;
    out->protocol = p->protocol;
    out->records = p->count - p->unsaid;
    out->metadata = r->metadata;
    out->exemplars = r->exemplars;
    out->histograms = r->histograms;
    out->exemplars_unsaid = 0; /* the part's, in *p */
    out->raw_len = (uint32_t)raw->n;
    out->charge = sizeof *out + out->len;
    return out;
}

struct sealed *sealed_part(const struct sealed *s, struct part *p)
{
    ENSURE(p->count > 0 && p->from <= s->records && p->count <= s->records - p->from);
    struct buf raw = {0}, part = {0}, packed = {0};
    struct range r = {.from = p->from,
                      .end = p->from + p->count,
                      .at_most = MAX(s->raw_len, PART_LEAST),
                      .no_histograms = p->no_histograms,
                      .no_exemplars = p->no_exemplars};
    struct sealed *out = NULL;
    p->broken = false;
    p->unsaid = p->exemplars_unsaid = 0;
    if (buf_reserve(&raw, MAX(s->raw_len, 1u)) && buf_reserve(&part, MAX(s->raw_len, 1u))) {
        bool ok = unpackers[s->encoding].unpack(s, &raw) && slicers[s->protocol][p->protocol] &&
                  slicers[s->protocol][p->protocol](&raw, &r, &part);
        p->broken = !r.nomem && (!ok || r.at != s->records);
        p->count = r.end - r.from;
        p->unsaid = r.unsaid;
        p->exemplars_unsaid = r.exemplars_unsaid;
        buf_free(&raw);
        if (!p->broken && !r.nomem && p->count > p->unsaid)
            out = part_make(s, p, &r, &part, &packed);
    }
    buf_free(&raw);
    buf_free(&part);
    buf_free(&packed);
    return out;
}
