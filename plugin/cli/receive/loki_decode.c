/* A Loki push, from headers and body to streams the judge can look at (Loki pkg/loghttp/push/push.go,
 * pkg/loghttp/query.go). All or nothing. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/receive/loki_proto.h"
#include "cli/receive/unpack.h"

/* ---- headers and wrapping -------------------------------------------------------------------------------------- */

static bool token_char(char c) { return c > ' ' && c < 127 && !strchr("()<>@,;:\\\"/[]?=", c); }

struct parameter {
    struct view name, value;
};

/* `; name=value` at the front of v, which moves behind it. A lone ';' at the end is a parameter without a name. */
static bool parameter_read(struct view *v, struct parameter *p)
{
    size_t i = 1, start;
    *p = (struct parameter){0};
    if (v->p[0] != ';')
        return false;
    while (i < v->n && (v->p[i] == ' ' || v->p[i] == '\t'))
        i++;
    for (start = i; i < v->n && token_char(v->p[i]); i++)
        continue;
    p->name = view_make(v->p + start, i - start);
    if (p->name.n == 0) {
        *v = view_make(v->p + i, v->n - i);
        return v->n == 0;
    }
    if (i == v->n || v->p[i++] != '=')
        return false;
    bool quoted = i < v->n && v->p[i] == '"';
    for (start = i += quoted; i < v->n && (quoted ? v->p[i] != '"' : token_char(v->p[i])); i++)
        continue;
    p->value = view_make(v->p + start, i - start);
    if (quoted ? i++ >= v->n : p->value.n == 0)
        return false;
    *v = view_make(v->p + i, v->n - i);
    return true;
}

#define PARAMETERS_MAX 16

/* Parameters over and over, as Go's mime.ParseMediaType takes them: a name twice only with the same value. */
static const char *parameters_fault(struct view v)
{
    struct parameter seen[PARAMETERS_MAX];
    for (size_t n = 0; (v = view_trim(v)).n > 0; n++) {
        if (n == PARAMETERS_MAX || !parameter_read(&v, &seen[n]))
            return "mime: invalid media parameter";
        for (size_t i = 0; i < n; i++)
            if (seen[i].name.n == seen[n].name.n && strncasecmp(seen[i].name.p, seen[n].name.p, seen[n].name.n) == 0 &&
                !view_eq(seen[i].value, seen[n].value))
                return "mime: duplicate parameter name";
    }
    return NULL;
}

static bool content_type_check(const char *type, bool *protobuf, struct verdict *v)
{
    struct view t = view_of(type ? type : "");
    const char *semi = t.n ? memchr(t.p, ';', t.n) : NULL;
    struct view media = view_trim(view_make(t.p, semi ? (size_t)(semi - t.p) : t.n));
    if (media.n == 0)
        return verdict_refuse(v, 400, "mime: no media type");
    const char *fault_text = semi ? parameters_fault(view_make(semi, t.n - (size_t)(semi - t.p))) : NULL;
    if (fault_text)
        return verdict_refuse(v, 400, "%s", fault_text);
    if (media.n == strlen("application/json") && strncasecmp(media.p, "application/json", media.n) == 0)
        return true;
    *protobuf = true;
    return view_is(media, "application/x-protobuf") ||
           verdict_refuse(v, 400,
                          "Content-Type '%.100s' is neither application/json nor application/x-protobuf: Loki takes "
                          "any other for snappy protobuf",
                          type);
}

static bool too_large(struct verdict *v, const char *what, uint64_t n, uint64_t max)
{
    return verdict_refuse(v, 413, "request body too large: %s size too large than max (%" PRIu64 " vs %" PRIu64 ")",
                          what, n, max);
}

/* What is inside Content-Encoding: the body itself, or what was unpacked from it. */
static bool body_unpack(const struct push *p, const struct limits *l, struct loki_request *r, struct view *inner,
                        struct verdict *v)
{
    uint64_t max = l->v[LOGS_DECODED_BYTES];
    const char *encoding = p->content_encoding ? p->content_encoding : "";
    enum unpack_result u = UNPACK_OK;
    gcw_error why;
    *inner = p->body;
    /* exact and case sensitive; `snappy` is let through, without unpacking anything: JSON is not compressed by it, a
     * message always */
    if (strcmp(encoding, "gzip") == 0)
        u = gzip_unpack(p->body, max, &r->raw, &why);
    else if (strcmp(encoding, "deflate") == 0)
        u = deflate_unpack(p->body, max, l->v[LOGS_STRICT], &r->raw, &why);
    else if (encoding[0] && strcmp(encoding, "snappy") != 0)
        return verdict_refuse(v, 400, "Content-Encoding \"%.100s\" not supported", encoding);
    else if (max && p->body.n > max)
        return too_large(v, "decompressed message", p->body.n, max);
    else
        return true;
    *inner = buf_view(&r->raw);
    if (u == UNPACK_TOO_LARGE)
        return too_large(v, "decompressed message", max + 1, max);
    if (u == UNPACK_NOMEM)
        return verdict_nomem(v);
    return u == UNPACK_OK || verdict_refuse(v, 400, "%s", why.text);
}

/* ---- schema ------------------------------------------------------------------------------------------------------ */

struct decoding {
    const struct limits *limits;
    struct verdict *verdict;
    bool strict;
    size_t stream, entry; /* where we are, for words */
};

static struct view json_text(const json_t *s) { return view_make(json_string_value(s), json_string_length(s)); }

static bool fault(const struct decoding *d, const char *what)
{
    return verdict_refuse(d->verdict, 400, "streams[%zu].values[%zu]: %s", d->stream, d->entry, what);
}

static bool stream_fault(const struct decoding *d, const char *what)
{
    return verdict_refuse(d->verdict, 400, "streams[%zu]: %s", d->stream, what);
}

/* Strictly, no keys but these two (may be the same). */
static bool keys_known(const struct decoding *d, const json_t *object, const char *a, const char *b)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (d->strict && strcmp(key, a) != 0 && strcmp(key, b) != 0)
            return verdict_refuse(d->verdict, 400, "unknown key '%.100s' (strict: Loki passes over it)", key);
    }
    return true;
}

/* The label grammar of `{name="value"}`, into which Loki copies names unquoted. */
static bool label_name_check(const struct decoding *d, const char *name)
{
    for (size_t i = 0; i == 0 || name[i]; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (i > 0 && c >= '0' && c <= '9')))
            return verdict_refuse(
                d->verdict, 400,
                "couldn't parse labels: 1:%zu: parse error: unexpected character in label name '%.100s', "
                "expected identifier",
                i + 2, name);
    }
    if (strcmp(name, "__backfill__") == 0 || strcmp(name, "__backfill_shard__") == 0)
        return verdict_refuse(d->verdict, 400, "label '%s' is reserved", name);
    return true;
}

/* What the server makes of a label value that is no string: its raw text. The tree owns the result. */
static json_t *label_raw(json_t *object, const char *name, json_t *value)
{
    char *raw = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    json_t *text = raw ? json_string(raw) : NULL;
    free(raw);
    return text && json_object_set_new(object, name, text) == 0 ? text : NULL;
}

static bool labels_decode(const struct decoding *d, json_t *object, struct loki_stream *s)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return stream_fault(d, "'stream' is no object of label names and values");
    s->labels = calloc(json_object_size(object) + 1, sizeof *s->labels);
    if (!s->labels)
        return verdict_nomem(d->verdict);
    size_t text = 2;
    json_object_foreach(object, name, value)
    {
        if (!label_name_check(d, name))
            return false;
        if (!json_is_string(value) && d->strict)
            return stream_fault(d, "a label value is no string (strict: Loki takes its raw text)");
        if (!json_is_string(value) && !(value = label_raw(object, name, value)))
            return verdict_nomem(d->verdict);
        struct view v = json_text(value);
        if (utf8_has_replacement(v.p, v.n)) /* Loki's label grammar takes it for a broken character */
            return verdict_refuse(d->verdict, 400, "couldn't parse labels: 1:%zu: parse error: invalid UTF-8 rune",
                                  text + strlen(name) + 2);
        if (v.n > 0) /* empty = absent */
            s->labels[s->label_count++] = (struct pair){view_of(name), v};
        text += strlen(name) + v.n + 5;
    }
    uint64_t max = d->limits->v[LOGS_LABELS_BYTES];
    if (max && text > max)
        return verdict_refuse(d->verdict, 413, "stream labels size (%zu bytes) exceeds limit of %" PRIu64 " bytes",
                              text, max);
    pairs_sort(s->labels, s->label_count);
    return true;
}

static bool metadata_decode(const struct decoding *d, json_t *object, struct loki_entry *e)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return fault(d, "the third item is no object of structured metadata");
    e->metadata = calloc(json_object_size(object) + 1, sizeof *e->metadata);
    if (!e->metadata)
        return verdict_nomem(d->verdict);
    json_object_foreach(object, name, value)
    {
        if (!json_is_string(value))
            return fault(d, "a structured metadata value is no string");
        e->metadata[e->metadata_count++] = (struct pair){view_of(name), json_text(value)};
    }
    return true;
}

static bool entry_decode(const struct decoding *d, json_t *values, struct loki_stream *s)
{
    size_t n = json_array_size(values);
    if (json_is_null(values) && !d->strict)
        return true;
    if (!json_is_array(values) || n == 0)
        return fault(d, "an entry is an array: [\"<unix ns>\", \"<line>\", {metadata}]");
    if (d->strict && (n < 2 || n > 3))
        return fault(
            d, "an entry has 2 or 3 items (strict: Loki takes a missing line for an empty one and passes over more)");
    json_t *time = json_array_get(values, 0), *line = json_array_get(values, 1);
    struct loki_entry *e = &s->entries[s->entry_count++];
    if (!json_is_string(time) || json_string_value(time)[0] == '+' || !parse_i64(json_text(time), &e->time_ns))
        return fault(d, "the timestamp is no string that holds Unix nanoseconds in decimal");
    if (n >= 2 && !json_is_string(line))
        return fault(d, "the line is no string");
    e->line = n >= 2 ? json_text(line) : view_of("");
    return n < 3 || metadata_decode(d, json_array_get(values, 2), e);
}

static bool stream_decode(struct decoding *d, json_t *object, struct loki_stream *s)
{
    json_t *values = json_object_get(object, "values");
    if (!json_is_object(object))
        return stream_fault(d, "is no object with 'stream' and 'values'");
    if (!keys_known(d, object, "stream", "values"))
        return false;
    json_t *labels = json_object_get(object, "stream");
    if ((labels || d->strict) && !labels_decode(d, labels, s))
        return false;
    if (json_is_null(values) || (!values && !d->strict))
        return true;
    if (!json_is_array(values))
        return stream_fault(d, "'values' is no array");
    s->entries = calloc(json_array_size(values) + 1, sizeof *s->entries);
    if (!s->entries)
        return verdict_nomem(d->verdict);
    for (d->entry = 0; d->entry < json_array_size(values); d->entry++)
        if (!entry_decode(d, json_array_get(values, d->entry), s))
            return false;
    return true;
}

static bool root_decode(struct decoding *d, struct loki_request *r)
{
    json_t *streams = json_object_get(r->root, "streams");
    if (!json_is_object(r->root))
        return verdict_refuse(d->verdict, 400, "the body is no JSON object with 'streams'");
    if (!keys_known(d, r->root, "streams", "streams"))
        return false;
    if (streams && !json_is_null(streams) && !json_is_array(streams))
        return verdict_refuse(d->verdict, 400, "'streams' is no array");
    if (json_array_size(streams) == 0)
        return verdict_refuse(d->verdict, 422, "error at least one valid stream is required for ingestion");
    r->streams = calloc(json_array_size(streams), sizeof *r->streams);
    if (!r->streams)
        return verdict_nomem(d->verdict);
    for (d->stream = 0; d->stream < json_array_size(streams); d->stream++)
        if (!stream_decode(d, json_array_get(streams, d->stream), &r->streams[r->stream_count++]))
            return false;
    return true;
}

static bool json_decode(struct view json, const struct limits *l, struct loki_request *r, struct verdict *v)
{
    struct decoding d = {.limits = l, .verdict = v, .strict = l->v[LOGS_STRICT]};
    json_error_t error;
    v->raw_bytes = json.n;
    r->root =
        json_loadb(json.p ? json.p : "", json.n, JSON_ALLOW_NUL | (d.strict ? JSON_REJECT_DUPLICATES : 0), &error);
    if (!r->root)
        return verdict_refuse(v, 400, "JSON: %s (line %d, column %d)", error.text, error.line, error.column);
    return root_decode(&d, r);
}

static bool message_decode(struct view packed, const struct limits *l, struct loki_request *r, struct verdict *v)
{
    gcw_error why;
    uint64_t max = l->v[LOGS_DECODED_BYTES];
    switch (snappy_unpack(packed, max, &r->message, &why)) {
    case UNPACK_TOO_LARGE:
        return too_large(v, "decompressed message", max + 1, max);
    case UNPACK_NOMEM:
        return verdict_nomem(v);
    case UNPACK_BROKEN:
        return verdict_refuse(v, 400, "%s", why.text);
    case UNPACK_OK:
        break;
    }
    v->raw_bytes = r->message.n;
    return loki_proto_decode(buf_view(&r->message), l, r, v);
}

bool loki_decode(const struct push *p, const struct limits *l, struct loki_request *r, struct verdict *v)
{
    struct view inner;
    bool protobuf = false;
    *r = (struct loki_request){0};
    if (!content_type_check(p->content_type, &protobuf, v))
        return false;
    if (l->v[LOGS_BODY_BYTES] && p->body.n > l->v[LOGS_BODY_BYTES])
        return too_large(v, "message", p->body.n, l->v[LOGS_BODY_BYTES]);
    if (!body_unpack(p, l, r, &inner, v))
        return false;
    return protobuf ? message_decode(inner, l, r, v) : json_decode(inner, l, r, v);
}

void loki_request_free(struct loki_request *r)
{
    for (size_t i = 0; i < r->stream_count; i++) {
        for (size_t k = 0; k < r->streams[i].entry_count; k++)
            free(r->streams[i].entries[k].metadata);
        free(r->streams[i].entries);
        free(r->streams[i].labels);
    }
    free(r->streams);
    json_decref(r->root);
    buf_free(&r->raw);
    buf_free(&r->message);
    buf_free(&r->values);
    *r = (struct loki_request){0};
}
