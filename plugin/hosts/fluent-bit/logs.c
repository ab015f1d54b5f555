/* One chunk: its records, each with its stream, line and metadata, appended to the writer. */
#include "hosts/fluent-bit/logs.h"

#include <stdlib.h>
#include <strings.h>

#include "hosts/fluent-bit/labels.h"
#include "hosts/fluent-bit/otel.h"

/* What is said once, however often it happens. */
enum said { SAID_TENANT = 1, SAID_STREAM = 2, SAID_ENTRY = 4 };

#define TENANT_MAX 150 /* Loki's */

struct logs {
    struct teller teller;
    unsigned said;
    struct line_rules line_rules;
    struct paths paths;
    struct labels labels;
    struct rules metadata, metadata_maps;
    struct accessor tenant_key;
    bool by_tenant, otel;
    bool context; /* patterns name $RESOURCE, $SCOPE or $METADATA */

    /* of the chunk and record at hand */
    struct line line;
    struct pairs pairs;
    struct otel_group group;
    struct source source;
    char tenant[TENANT_MAX + 1];
};

/* ---- options --------------------------------------------------------------------------------------------------- */

struct word {
    const char *text;
    int value;
};
static const struct word switch_words[] = {{"off", 0}, {"on", 1}, {"false", 0}, {"true", 1}, {"no", 0}, {"yes", 1}};
static const struct word single_words[] = {{"off", SINGLE_KEEP},   {"on", SINGLE_DROP},   {"raw", SINGLE_DROP_RAW},
                                           {"false", SINGLE_KEEP}, {"true", SINGLE_DROP}, {"no", SINGLE_KEEP},
                                           {"yes", SINGLE_DROP}};
static const struct word format_words[] = {{"json", LINE_JSON}, {"key_value", LINE_KEY_VALUE}};

static gcw_status word_read(const char *option, const char *text, const struct word *words, size_t count,
                            const char *allowed, int *out, gcw_error *err)
{
    for (size_t i = 0; text && i < count; i++)
        if (strcasecmp(words[i].text, text) == 0) {
            *out = words[i].value;
            return GCW_OK;
        }
    return text ? error_set(err, GCW_ERR_INVALID, "%s: \"%.100s\": allowed is %s", option, text, allowed) : GCW_OK;
}

static gcw_status words_read(struct logs *l, const struct logs_options *o, int *remove, gcw_error *err)
{
    int format = LINE_JSON, single = SINGLE_KEEP, otel = 1, ascii = 1;
    const struct {
        const char *option, *text;
        const struct word *words;
        size_t count;
        const char *allowed;
        int *out;
    } rows[] = {
        {"line_format", o->line_format, format_words, ARRAY_LEN(format_words), "json|key_value", &format},
        {"drop_single_key", o->drop_single_key, single_words, ARRAY_LEN(single_words), "on|off|raw", &single},
        {"otel_metadata", o->otel_metadata, switch_words, ARRAY_LEN(switch_words), "on|off", &otel},
        {"escape_unicode", o->escape_unicode, switch_words, ARRAY_LEN(switch_words), "on|off", &ascii},
        {"remove_label_keys", o->remove_label_keys, switch_words, ARRAY_LEN(switch_words), "on|off", remove},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        gcw_status status =
            word_read(rows[i].option, rows[i].text, rows[i].words, rows[i].count, rows[i].allowed, rows[i].out, err);
        if (status != GCW_OK)
            return status;
    }
    l->line_rules = (struct line_rules){.format = (enum line_format)format,
                                        .single = (enum line_single)single,
                                        .ascii = ascii != 0,
                                        .paths = &l->paths};
    l->otel = otel != 0;
    return GCW_OK;
}

static gcw_status no_memory(gcw_error *err) { return error_set(err, GCW_ERR_NOMEM, "out of memory"); }

/* A key as it stands, or a pattern of one key. */
static gcw_status key_read(const char *option, struct view item, struct accessor *a, gcw_error *err)
{
    const struct path_step step = {.key = item};
    gcw_error why;
    if (!memchr(item.p, '$', item.n) && !memchr(item.p, '[', item.n))
        return accessor_of_steps(a, &step, 1) ? GCW_OK : no_memory(err);
    struct buf pattern = {0};
    if ((item.p[0] != '$' && !buf_puts(&pattern, "$")) || !buf_append(&pattern, item.p, item.n)) {
        buf_free(&pattern);
        return no_memory(err);
    }
    gcw_status status = accessor_parse(a, buf_view(&pattern), &why);
    if (status == GCW_OK && !accessor_is_one_value(a)) {
        accessor_free(a);
        status = error_set(&why, GCW_ERR_INVALID, "%.*s: one key is asked for; nested keys are written $a['b']",
                           VIEW_ARG(item));
    }
    buf_free(&pattern);
    return status == GCW_OK ? status : error_set(err, status, "%s: %s", option, why.text);
}

static gcw_status removals_read(struct logs *l, const char *text, gcw_error *err)
{
    struct view list = view_of(text), item;
    while (list_next(&list, &item)) {
        struct accessor a;
        gcw_status status = key_read("remove_keys", item, &a, err);
        if (status != GCW_OK)
            return status;
        bool ok = accessor_remove(&a, &l->paths);
        accessor_free(&a);
        if (!ok)
            return no_memory(err);
    }
    return GCW_OK;
}

static gcw_status maps_check(const struct rules *maps, gcw_error *err)
{
    for (size_t i = 0; i < maps->count; i++)
        if (!accessor_is_one_value(&maps->v[i].from))
            return error_set(err, GCW_ERR_INVALID, "structured_metadata_map_keys: an item is one key, as in $a['b']");
    return GCW_OK;
}

static gcw_status rules_read(struct logs *l, const struct logs_options *o, gcw_error *err)
{
    struct rules *labels = &l->labels.rules;
    const struct teller *t = &l->teller;
    gcw_status status = rules_read_pairs(labels, "labels", o->labels, t, err);
    if (status == GCW_OK)
        status = rules_read_keys(labels, "label_keys", o->label_keys, t, err);
    if (status == GCW_OK)
        status = rules_read_map(labels, "label_map_path", o->label_map_path, err);
    if (status == GCW_OK)
        status = rules_read_pairs(&l->metadata, "structured_metadata", o->structured_metadata, t, err);
    if (status == GCW_OK)
        status =
            rules_read_keys(&l->metadata_maps, "structured_metadata_map_keys", o->structured_metadata_map_keys, t, err);
    if (status == GCW_OK)
        status = maps_check(&l->metadata_maps, err);
    if (status == GCW_OK && o->tenant_id_key && *o->tenant_id_key) {
        status = key_read("tenant_id_key", view_trim(view_of(o->tenant_id_key)), &l->tenant_key, err);
        l->by_tenant = status == GCW_OK;
    }
    return status == GCW_OK ? removals_read(l, o->remove_keys, err) : status;
}

static const char *const contexts[] = {"RESOURCE", "SCOPE", "METADATA"};

static gcw_status logs_set(struct logs *l, gcw_writer *writer, const struct logs_options *o, gcw_error *err)
{
    int remove = 1;
    l->labels.writer = writer;
    l->labels.kubernetes = o->auto_kubernetes_labels;
    gcw_status status = words_read(l, o, &remove, err);
    if (status == GCW_OK)
        status = rules_read(l, o, err);
    if (status != GCW_OK)
        return status;
    bool ok = labels_bind(&l->labels, &l->paths, l->by_tenant) && rules_bind(&l->metadata, &l->paths) &&
              rules_bind(&l->metadata_maps, &l->paths) && accessor_bind(&l->tenant_key, &l->paths);
    if (ok && remove)
        ok = rules_remove(&l->labels.rules, &l->paths) && rules_remove(&l->metadata, &l->paths) &&
             rules_remove(&l->metadata_maps, &l->paths);
    if (!ok)
        return no_memory(err);
    for (size_t i = 0; i < ARRAY_LEN(contexts); i++)
        l->context |= paths_know(&l->paths, contexts[i]);
    l->source = (struct source){.paths = &l->paths, .line = &l->line, .ascii = l->line_rules.ascii};
    otel_group_end(&l->group);
    return GCW_OK;
}

struct logs *logs_new(gcw_writer *writer, const struct logs_options *options,
                      void (*warn)(void *user, const char *text), void *user, gcw_error *err)
{
    struct logs *l = calloc(1, sizeof *l);
    if (!l) {
        no_memory(err);
        return NULL;
    }
    l->teller = (struct teller){warn, user};
    if (logs_set(l, writer, options, err) != GCW_OK) {
        logs_free(l);
        return NULL;
    }
    return l;
}

void logs_free(struct logs *l)
{
    if (!l)
        return;
    labels_free(&l->labels);
    rules_free(&l->metadata);
    rules_free(&l->metadata_maps);
    accessor_free(&l->tenant_key);
    paths_free(&l->paths);
    line_free(&l->line);
    pairs_free(&l->pairs);
    otel_group_free(&l->group);
    free(l);
}

/* ---- a record -------------------------------------------------------------------------------------------------- */

static void say_once(struct logs *l, enum said what, const char *text)
{
    if (l->said & what)
        return;
    l->said |= what;
    teller_say(&l->teller, "%s (said once)", text);
}

/* The record's tenant, or "" for the writer's own. */
static const char *tenant_of(struct logs *l)
{
    struct msgpack_value v;
    if (!l->by_tenant)
        return "";
    struct msgpack m = accessor_value(&l->tenant_key, &l->source);
    bool found = m.p && msgpack_next(&m, &v);
    if (found && v.type == MSGPACK_STR && v.bytes.n > 0 && v.bytes.n <= TENANT_MAX) {
        memcpy(l->tenant, v.bytes.p, v.bytes.n);
        l->tenant[v.bytes.n] = 0;
        return l->tenant;
    }
    if (found && v.type == MSGPACK_UINT) { /* tenants of Grafana Cloud are numbers */
        l->tenant[text_u64(l->tenant, v.number)] = 0;
        return l->tenant;
    }
    say_once(l, SAID_TENANT, "tenant_id_key: a record has no text or number there: the configured tenant gets it");
    return "";
}

/* Pairs of $map; names mended as the host does. */
static enum line_status map_add(struct logs *l, struct msgpack m)
{
    struct msgpack_value map, key, value;
    struct pairs *pairs = &l->pairs;
    if (!m.p || !msgpack_next(&m, &map) || map.type != MSGPACK_MAP)
        return LINE_OK;
    for (uint32_t i = 0; i < map.count; i++) {
        size_t start = pairs->text.n;
        if (!msgpack_next(&m, &key) || !msgpack_skip_rest(&m, &key))
            return LINE_DAMAGED;
        struct msgpack at = m;
        if (key.type != MSGPACK_STR || !msgpack_next(&at, &value)) {
            if (!msgpack_skip(&m))
                return LINE_DAMAGED;
            continue;
        }
        if (!name_mend(&pairs->text, key.bytes))
            return LINE_NOMEM;
        struct piece name = piece_since(pairs, start), text = piece_of(value.bytes);
        enum line_status status = LINE_OK;
        if (value.type == MSGPACK_STR) {
            m = at;
        } else {
            start = pairs->text.n;
            status = line_value(&l->line, l->line_rules.ascii, &m, &pairs->text);
            text = piece_since(pairs, start);
        }
        if (status == LINE_OK && text.n > 0 && !pairs_add(pairs, name, text))
            status = LINE_NOMEM;
        if (status != LINE_OK)
            return status;
    }
    return LINE_OK;
}

static enum line_status rule_pair_add(struct logs *l, const struct rule *r)
{
    struct pairs *pairs = &l->pairs;
    struct piece name = piece_of(view_of(r->name)), text;
    if (r->constant)
        text = piece_of(view_of(r->constant));
    else {
        size_t start = pairs->text.n;
        enum line_status status = accessor_put(&r->from, &l->source, &pairs->text);
        if (status != LINE_OK)
            return status;
        text = piece_since(pairs, start);
    }
    return text.n == 0 || pairs_add(pairs, name, text) ? LINE_OK : LINE_NOMEM;
}

/* Of one name the last wins: structured_metadata over maps over OpenTelemetry's; of what the user listed, as in the
 * host, what is named last. */
static enum line_status metadata_make(struct logs *l, const struct event *e)
{
    enum line_status status = LINE_OK;
    pairs_clear(&l->pairs);
    if (l->otel && !pairs_join(&l->pairs, &l->group.pairs))
        status = LINE_NOMEM;
    if (status == LINE_OK && l->otel && !msgpack_at_end(&e->metadata))
        status = otel_record(&l->pairs, &l->line, e->metadata);
    for (size_t i = 0; status == LINE_OK && i < l->metadata_maps.count; i++)
        status = map_add(l, accessor_value(&l->metadata_maps.v[i].from, &l->source));
    for (size_t i = 0; status == LINE_OK && i < l->metadata.count; i++)
        status = rule_pair_add(l, &l->metadata.v[i]);
    pairs_settle(&l->pairs);
    return status;
}

/* What patterns name beside the body. */
static void context_capture(struct logs *l, const struct event *e)
{
    const struct msgpack from[] = {l->group.resource, l->group.scope, e->metadata};
    for (size_t i = 0; i < ARRAY_LEN(contexts); i++)
        paths_capture_elsewhere(&l->paths, contexts[i], from[i]);
}

static bool comes_again(gcw_status status)
{
    return status == GCW_ERR_FULL || status == GCW_ERR_TIMEOUT || status == GCW_ERR_NOMEM || status == GCW_ERR_CLOSED;
}

static gcw_status entry_put(struct logs *l, const struct event *e, struct view line, gcw_receipt *receipt)
{
    gcw_error err = {0};
    gcw_stream *stream = labels_stream(&l->labels, &l->source, tenant_of(l), &err);
    if (!stream) {
        if (!comes_again(err.code))
            say_once(l, SAID_STREAM, err.text);
        return err.code == GCW_OK ? GCW_ERR_INVALID : err.code;
    }
    gcw_status status = gcw_entry_append(stream, line.p, line.n, e->time_ns, l->pairs.v, l->pairs.count, receipt);
    if (status != GCW_OK && !comes_again(status))
        say_once(l, SAID_ENTRY, gcw_strerror(status));
    return status;
}

/* The bytes of a record whose body *m stands at. */
static gcw_status record_take(struct logs *l, const struct event *e, struct msgpack *m, gcw_receipt *receipt,
                              struct chunk_count *count)
{
    struct view text;
    enum line_status status = line_write(&l->line, &l->line_rules, m, &text);
    if (status == LINE_OK && l->context)
        context_capture(l, e);
    if (status == LINE_OK)
        status = metadata_make(l, e);
    if (status == LINE_NOMEM)
        return GCW_ERR_NOMEM;
    if (status == LINE_DAMAGED) {
        m->p = m->end;
        count->skipped++;
        return GCW_OK;
    }
    gcw_status end = entry_put(l, e, text, receipt);
    count->records += end == GCW_OK;
    count->refused += end != GCW_OK && !comes_again(end);
    return comes_again(end) ? end : GCW_OK;
}

/* Records of megabytes are rare, and should not keep their room for good. */
static void shrink(struct logs *l)
{
    line_shrink(&l->line);
    if (l->pairs.text.cap > MIB)
        pairs_free(&l->pairs);
    if (l->labels.key.cap > MIB)
        buf_free(&l->labels.key);
}

/* ---- a chunk --------------------------------------------------------------------------------------------------- */

static gcw_status event_take(struct logs *l, enum event_kind kind, const struct event *e, struct msgpack *m,
                             gcw_receipt *receipt, struct chunk_count *count)
{
    enum line_status status;
    switch (kind) {
    case EVENT_RECORD:
        return record_take(l, e, m, receipt, count);
    case EVENT_GROUP_START:
        status = otel_group_start(&l->group, l->otel, &l->line, m);
        if (status == LINE_NOMEM)
            return GCW_ERR_NOMEM;
        if (status == LINE_DAMAGED)
            m->p = m->end, count->skipped++;
        return GCW_OK;
    case EVENT_GROUP_END:
        otel_group_end(&l->group);
        if (!msgpack_skip(m))
            m->p = m->end, count->skipped++;
        return GCW_OK;
    case EVENT_MALFORMED:
    case EVENT_DAMAGED:
        count->skipped++;
        return GCW_OK;
    case EVENT_NONE:
        break;
    }
    return GCW_OK;
}

static gcw_status events_take(struct logs *l, struct msgpack *m, gcw_receipt *receipt, size_t size, size_t *done,
                              struct chunk_count *count)
{
    struct event e;
    for (enum event_kind kind; (kind = event_next(m, &e)) != EVENT_NONE;) {
        gcw_status status = event_take(l, kind, &e, m, receipt, count);
        if (status != GCW_OK)
            return status;
        *done = size - (size_t)(m->end - m->p);
    }
    *done = size;
    return GCW_OK;
}

gcw_status logs_chunk(struct logs *l, const void *data, size_t size, const char *tag, gcw_receipt *receipt,
                      size_t *done, struct chunk_count *count)
{
    struct msgpack m = msgpack_over(size > 0 ? data : "", size);
    ENSURE(*done <= size);
    m.p += *done;
    l->source.tag = view_of(tag);
    if (*done == 0)
        otel_group_end(&l->group);
    gcw_status status = events_take(l, &m, receipt, size, done, count);
    if (status == GCW_OK)
        otel_group_end(&l->group);
    shrink(l);
    return status;
}
