/* OpenTelemetry's fields. */
#include "hosts/fluent-bit/otel.h"

#include "model/model.h"

#define NESTED_MAX 8 /* attributes in attributes; what is deeper is JSON */

static enum line_status stored(bool ok) { return ok ? LINE_OK : LINE_NOMEM; }

struct msgpack map_value(struct msgpack map, const char *key)
{
    struct msgpack_value head, k;
    struct msgpack found = msgpack_over(map.end, 0);
    if (!msgpack_next(&map, &head) || head.type != MSGPACK_MAP)
        return found;
    for (uint32_t i = 0; i < head.count; i++) {
        if (!msgpack_next(&map, &k) || !msgpack_skip_rest(&map, &k))
            return found;
        if (k.type == MSGPACK_STR && view_is(k.bytes, key))
            found = map;
        if (!msgpack_skip(&map))
            return found;
    }
    return found;
}

/* ---- pairs ----------------------------------------------------------------------------------------------------- */

/* The value at *m as text, which moves behind it. */
static enum line_status value_take(struct pairs *pairs, struct line *line, struct msgpack *m, struct piece *out)
{
    struct msgpack_value v;
    struct msgpack at = *m;
    if (msgpack_next(&at, &v) && v.type == MSGPACK_STR) {
        *m = at;
        *out = piece_of(v.bytes);
        return LINE_OK;
    }
    size_t start = pairs->text.n;
    LINE_TRY(line_value(line, false, m, &pairs->text));
    *out = piece_since(pairs, start);
    return LINE_OK;
}

/* The way to a key: `prefix`, a stretch of the pairs' text (empty at the top), and the key. */
static enum line_status way_make(struct pairs *pairs, struct piece prefix, struct view key, struct piece *out)
{
    struct buf *text = &pairs->text;
    size_t start = text->n;
    if (!buf_reserve(text, prefix.n + 1 + key.n))
        return LINE_NOMEM;
    if (prefix.n > 0) {
        buf_append(text, text->p + prefix.at, prefix.n);
        buf_append(text, "_", 1);
    }
    buf_append(text, key.p, key.n);
    *out = piece_since(pairs, start);
    return LINE_OK;
}

/* The form the receiver knows a name by; nothing may be left of it. Done here, the writer has nothing to mend and to
 * tell. */
static enum line_status name_make(struct pairs *pairs, struct piece way, struct piece *out)
{
    struct buf *text = &pairs->text;
    size_t start = text->n;
    if (!buf_reserve(text, way.n + 4))
        return LINE_NOMEM;
    struct view name = metadata_name_normalise(view_make((const char *)text->p + way.at, way.n), text);
    *out = (struct piece){NULL, start, name.n};
    return LINE_OK;
}

/* A pair for each value of a map, those of maps in it under joined names. */
static enum line_status flat_add(struct pairs *pairs, struct line *line, struct piece prefix, int depth,
                                 struct msgpack *m)
{
    struct msgpack_value head, key, value;
    if (!msgpack_next(m, &head))
        return LINE_DAMAGED;
    if (head.type != MSGPACK_MAP)
        return msgpack_skip_rest(m, &head) ? LINE_OK : LINE_DAMAGED;
    for (uint32_t i = 0; i < head.count; i++) {
        struct piece way, name, text;
        if (!msgpack_next(m, &key) || !msgpack_skip_rest(m, &key))
            return LINE_DAMAGED;
        struct msgpack at = *m;
        if (key.type != MSGPACK_STR || key.bytes.n == 0 || !msgpack_next(&at, &value)) {
            if (!msgpack_skip(m))
                return LINE_DAMAGED;
            continue;
        }
        LINE_TRY(way_make(pairs, prefix, key.bytes, &way));
        if (value.type == MSGPACK_MAP && depth < NESTED_MAX) {
            LINE_TRY(flat_add(pairs, line, way, depth + 1, m));
            continue;
        }
        LINE_TRY(name_make(pairs, way, &name));
        LINE_TRY(value_take(pairs, line, m, &text));
        LINE_TRY(stored(text.n == 0 || name.n == 0 || pairs_add(pairs, name, text)));
    }
    return LINE_OK;
}

/* Fields of a record or a scope, and what they are called at the receiver. */
enum field_kind {
    FIELD_TEXT,
    FIELD_NUMBER, /* 0 says nothing */
    FIELD_ID,     /* bytes; all zero says nothing */
    FIELD_MAP
};
struct field {
    const char *key, *name;
    enum field_kind kind;
};
static const struct field record_fields[] = {{"severity_number", "severity_number", FIELD_NUMBER},
                                             {"severity_text", "severity_text", FIELD_TEXT},
                                             {"trace_id", "trace_id", FIELD_ID},
                                             {"span_id", "span_id", FIELD_ID},
                                             {"trace_flags", "flags", FIELD_NUMBER},
                                             {"observed_timestamp", "observed_timestamp", FIELD_NUMBER},
                                             {"event_name", "event_name", FIELD_TEXT},
                                             {"dropped_attributes_count", "dropped_attributes_count", FIELD_NUMBER},
                                             {"attributes", "", FIELD_MAP}};
static const struct field scope_fields[] = {
    {"name", "scope_name", FIELD_TEXT},
    {"version", "scope_version", FIELD_TEXT},
    {"dropped_attributes_count", "scope_dropped_attributes_count", FIELD_NUMBER},
    {"attributes", "", FIELD_MAP}};

static bool all_zero(struct view bytes)
{
    for (size_t i = 0; i < bytes.n; i++)
        if (bytes.p[i])
            return false;
    return true;
}

static enum line_status field_add(struct pairs *pairs, struct line *line, const struct field *f, struct msgpack *m)
{
    struct msgpack at = *m;
    struct msgpack_value v;
    struct piece text;
    if (!msgpack_next(&at, &v))
        return LINE_DAMAGED;
    if (f->kind == FIELD_MAP)
        return flat_add(pairs, line, (struct piece){0}, 0, m);
    bool nothing = v.type == MSGPACK_NIL || (v.type == MSGPACK_UINT && v.number == 0 && f->kind == FIELD_NUMBER) ||
                   (v.type == MSGPACK_BIN && f->kind == FIELD_ID && all_zero(v.bytes));
    if (nothing)
        return msgpack_skip(m) ? LINE_OK : LINE_DAMAGED;
    LINE_TRY(value_take(pairs, line, m, &text));
    return stored(text.n == 0 || pairs_add(pairs, piece_of(view_of(f->name)), text));
}

static enum line_status fields_add(struct pairs *pairs, struct line *line, const struct field *fields, size_t count,
                                   struct msgpack m)
{
    struct msgpack_value head, key;
    if (msgpack_at_end(&m) || !msgpack_next(&m, &head) || head.type != MSGPACK_MAP)
        return LINE_OK;
    for (uint32_t i = 0; i < head.count; i++) {
        size_t k = 0;
        if (!msgpack_next(&m, &key) || !msgpack_skip_rest(&m, &key))
            return LINE_DAMAGED;
        while (k < count && !(key.type == MSGPACK_STR && view_is(key.bytes, fields[k].key)))
            k++;
        if (k < count)
            LINE_TRY(field_add(pairs, line, &fields[k], &m));
        else if (!msgpack_skip(&m))
            return LINE_DAMAGED;
    }
    return LINE_OK;
}

enum line_status otel_record(struct pairs *pairs, struct line *line, struct msgpack metadata)
{
    return fields_add(pairs, line, record_fields, ARRAY_LEN(record_fields), map_value(metadata, "otlp"));
}

/* ---- groups ---------------------------------------------------------------------------------------------------- */

void otel_group_end(struct otel_group *g)
{
    pairs_clear(&g->pairs);
    g->resource = g->scope = msgpack_over("", 0);
}

void otel_group_free(struct otel_group *g)
{
    buf_free(&g->memory);
    pairs_free(&g->pairs);
    otel_group_end(g);
}

static enum line_status group_pairs(struct otel_group *g, struct line *line)
{
    struct msgpack m = g->resource;
    if (!msgpack_at_end(&m))
        LINE_TRY(flat_add(&g->pairs, line, (struct piece){0}, 0, &m));
    LINE_TRY(fields_add(&g->pairs, line, scope_fields, ARRAY_LEN(scope_fields), g->scope));
    pairs_settle(&g->pairs);
    return LINE_OK;
}

enum line_status otel_group_start(struct otel_group *g, bool pairs, struct line *line, struct msgpack *m)
{
    const uint8_t *start = m->p;
    otel_group_end(g);
    if (!msgpack_skip(m))
        return LINE_DAMAGED;
    g->memory.n = 0;
    if (!buf_append(&g->memory, start, (size_t)(m->p - start)))
        return LINE_NOMEM;
    struct msgpack body = msgpack_over(g->memory.p, g->memory.n);
    g->resource = map_value(map_value(body, "resource"), "attributes");
    g->scope = map_value(body, "scope");
    return pairs ? group_pairs(g, line) : LINE_OK;
}
