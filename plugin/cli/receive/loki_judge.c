/* What becomes of a decoded Loki push, in Loki's order: the distributor's validation removes bad streams and entries, a
 * poisonous metadata name fails the whole, the tenant's byte rate refuses the whole or takes the rest, the ingester
 * checks number of streams, their rate and the order of entries. The ingester's error hides the distributor's. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/receive/grouped.h"
#include "cli/receive/judge.h"

#define IGNORED_SHOWN 10 /* max_returned_stream_errors */

struct judging {
    const struct push *push;
    const struct limits *limits;
    struct loki_request *request;
    struct verdict *verdict;
    struct tenant *tenant;
    uint64_t seed;
    struct grouped errors;       /* the distributor's */
    int ingest_status;           /* 0 = the ingester has nothing to say */
    struct buf ingest_text;      /* of the last stream that failed */
    struct buf labels;           /* text of the stream at hand, for words; terminated */
    struct buf key, labels_json; /* of the stream at hand */
};

static const char *labels_words(struct judging *j, const struct loki_stream *s)
{
    if (j->labels.n == 0 && (!labels_text(&j->labels, s->labels, s->label_count, false, 400) || !buf_cstr(&j->labels)))
        return "{}";
    return (const char *)j->labels.p;
}

static uint64_t entry_cost(const struct loki_entry *e)
{
    uint64_t cost = e->line.n;
    for (size_t i = 0; i < e->metadata_count; i++)
        if (!view_is(e->metadata[i].name, "detected_level")) /* not billed */
            cost += e->metadata[i].name.n + e->metadata[i].value.n;
    return cost;
}

/* ---- distributor ---------------------------------------------------------------------------------------------------
 */

static enum reason stream_validate(struct judging *j, const struct loki_stream *s)
{
    uint64_t name_max = j->limits->v[LOGS_LABEL_NAME_BYTES], value_max = j->limits->v[LOGS_LABEL_VALUE_BYTES];
    size_t names = s->label_count;
    for (size_t i = 0; i < s->label_count; i++)
        names -= view_is(s->labels[i].name, "service_name");
    if (j->limits->v[LOGS_LABELS] && names > j->limits->v[LOGS_LABELS]) {
        grouped_add(&j->errors, "entry for stream '%s' has %zu label names; limit %" PRIu64, labels_words(j, s), names,
                    j->limits->v[LOGS_LABELS]);
        return REASON_MAX_LABEL_NAMES;
    }
    for (size_t i = 0; i < s->label_count; i++) {
        const struct pair *l = &s->labels[i];
        if (name_max && l->name.n > name_max) {
            grouped_add(&j->errors, "stream '%s' has label name too long: '%.*s'", labels_words(j, s),
                        VIEW_ARG(l->name));
            return REASON_LABEL_NAME_TOO_LONG;
        }
        if (value_max && l->value.n > value_max) {
            grouped_add(&j->errors, "stream '%s' has label value too long: '%.*s'", labels_words(j, s),
                        VIEW_ARG(l->value));
            return REASON_LABEL_VALUE_TOO_LONG;
        }
    }
    return REASON_NONE;
}

static enum reason metadata_validate(struct judging *j, const struct loki_stream *s, const struct loki_entry *e)
{
    uint64_t size = 0, max = j->limits->v[LOGS_METADATA_BYTES], pairs = j->limits->v[LOGS_METADATA_PAIRS];
    for (size_t i = 0; i < e->metadata_count; i++)
        size += e->metadata[i].name.n + e->metadata[i].value.n;
    if (max && size > max) {
        grouped_add(
            &j->errors,
            "stream '%s' has structured metadata too large: '%" PRIu64 "' bytes, limit: '%" PRIu64
            "' bytes. Please see `limits_config.max_structured_metadata_size` or contact your Loki administrator to "
            "increase it",
            labels_words(j, s), size, max);
        return REASON_METADATA_TOO_LARGE;
    }
    if (pairs && e->metadata_count > pairs) {
        grouped_add(
            &j->errors,
            "stream '%s' has too many structured metadata labels: '%zu', limit: '%" PRIu64
            "'. Please see `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator "
            "to increase it",
            labels_words(j, s), e->metadata_count, pairs);
        return REASON_METADATA_TOO_MANY;
    }
    return REASON_NONE;
}

static enum reason entry_validate(struct judging *j, const struct loki_stream *s, const struct loki_entry *e)
{
    int64_t oldest, newest;
    uint64_t past = j->limits->v[LOGS_PAST], future = j->limits->v[LOGS_FUTURE], line = j->limits->v[LOGS_LINE_BYTES];
    char time[48], bound[48];
    if (past && !__builtin_sub_overflow(j->push->now_ns, (int64_t)past * 1000000, &oldest) && e->time_ns < oldest) {
        grouped_add(&j->errors, "entry for stream '%s' has timestamp too old: %s, oldest acceptable timestamp is: %s",
                    labels_words(j, s), time_text(time, TIME_LOKI, e->time_ns), time_text(bound, TIME_LOKI, oldest));
        return REASON_ENTRY_TOO_OLD;
    }
    if (future && !__builtin_add_overflow(j->push->now_ns, (int64_t)future * 1000000, &newest) && e->time_ns > newest) {
        grouped_add(&j->errors, "entry for stream '%s' has timestamp too new: %s", labels_words(j, s),
                    time_text(time, TIME_LOKI, e->time_ns));
        return REASON_ENTRY_TOO_NEW;
    }
    if (line && e->line.n > line) {
        grouped_add(&j->errors,
                    "max entry size '%" PRIu64
                    "' bytes exceeded for stream '%s' while adding an entry with length '%zu' bytes",
                    line, labels_words(j, s), e->line.n);
        return REASON_LINE_TOO_LONG;
    }
    return e->metadata_count ? metadata_validate(j, s, e) : REASON_NONE;
}

/* A name without a letter or digit has no normal form, and the error comes back raw: a 500 for the whole push. */
static bool metadata_poisons(struct judging *j, const struct loki_entry *e)
{
    for (size_t i = 0; i < e->metadata_count; i++) {
        struct view name = e->metadata[i].name;
        bool good = false;
        for (size_t k = 0; k < name.n && !good; k++) {
            char c = name.p[k];
            good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        }
        if (good)
            continue;
        if (name.n == 0)
            verdict_set(j->verdict, 500, "label name is empty");
        else
            verdict_set(j->verdict, 500, "normalization for label name \"%.*s\" resulted in invalid name \"_\"",
                        VIEW_ARG(name));
        return true;
    }
    return false;
}

struct left {
    uint64_t lines, bytes;
};

/* Marks what has to go, sums up what is left. False: the whole push fails. */
static bool request_validate(struct judging *j, struct left *left)
{
    for (size_t i = 0; i < j->request->stream_count; i++) {
        struct loki_stream *s = &j->request->streams[i];
        j->labels.n = 0;
        if (s->entry_count == 0)
            continue;
        enum reason bad_stream = stream_validate(j, s);
        for (size_t k = 0; k < s->entry_count; k++) {
            struct loki_entry *e = &s->entries[k];
            enum reason r = bad_stream != REASON_NONE ? bad_stream : entry_validate(j, s, e);
            e->removed = r != REASON_NONE;
            if (e->removed) {
                verdict_count(j->verdict, r, 1);
                continue;
            }
            if (metadata_poisons(j, e))
                return false;
            left->lines++;
            left->bytes += entry_cost(e);
        }
    }
    return true;
}

static bool rate_check(struct judging *j, const struct left *left)
{
    uint64_t rate = j->limits->v[LOGS_RATE], burst = j->limits->v[LOGS_BURST];
    if (rate == 0 || bucket_take(&j->tenant->logs_rate, left->bytes, rate, burst, j->push->now_ns))
        return true;
    return verdict_refuse(
        j->verdict, 429,
        "ingestion rate limit exceeded for user %s (limit: %" PRIu64 " bytes/sec) while attempting to ingest '%" PRIu64
        "' lines totaling '%" PRIu64
        "' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased",
        j->push->tenant, rate, left->lines, left->bytes);
}

/* ---- ingester
 * -------------------------------------------------------------------------------------------------------- */

static void ingest_error(struct judging *j, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void ingest_error(struct judging *j, int status, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    j->ingest_status = status;
    j->ingest_text.n = 0;
    buf_puts(&j->ingest_text, text);
}

static bool entry_known(struct judging *j, const struct stream *stream, const struct loki_entry *e)
{
    uint64_t max = j->limits->v[LOGS_DEDUPE_ENTRIES];
    if (max == 0)
        return false;
    uint64_t h = hash_bytes(e->line.p, e->line.n, stream->slot.hash ^ (uint64_t)e->time_ns);
    for (size_t i = 0; i < e->metadata_count; i++) {
        h = hash_bytes(e->metadata[i].name.p, e->metadata[i].name.n, h);
        h = hash_bytes(e->metadata[i].value.p, e->metadata[i].value.n, h);
    }
    return seen_before(&j->tenant->entries, h, max);
}

static void entry_store(struct judging *j, struct stream *stream, const struct loki_entry *e)
{
    struct verdict *v = j->verdict;
    bool duplicate = entry_known(j, stream, e);
    if (!stream->has || e->time_ns > stream->newest_ns)
        stream->newest_ns = e->time_ns;
    stream->has = true;
    v->entries++;
    v->duplicates += duplicate;
    if (v->want_records)
        ndjson_entry(v, j->push->tenant, buf_view(&j->labels_json), e->time_ns, e->line, e->metadata, e->metadata_count,
                     duplicate);
}

/* Says that `ignored` of the stream's `total` entries were not taken; `lines` holds the first few. */
static void ignored_tell(struct judging *j, const struct loki_stream *s, int status, struct view lines,
                         uint64_t ignored, uint64_t total)
{
    ingest_error(j, status, "%s", "");
    buf_append(&j->ingest_text, lines.p, lines.n);
    buf_printf(&j->ingest_text, "user '%s', total ignored: %" PRIu64 " out of %" PRIu64 " for stream: %s",
               j->push->tenant, ignored, total, labels_words(j, s));
}

/* Entries in the order of the request, against a newest time that moves with them. */
static void entries_ingest(struct judging *j, const struct loki_stream *s, struct stream *stream, uint64_t total)
{
    int64_t window = (int64_t)j->limits->v[LOGS_ORDER_WINDOW] * 1000000, oldest;
    struct buf lines = {0};
    uint64_t ignored = 0;
    for (size_t i = 0; i < s->entry_count; i++) {
        const struct loki_entry *e = &s->entries[i];
        if (e->removed)
            continue;
        if (!stream->has || window == 0 || __builtin_sub_overflow(stream->newest_ns, window, &oldest) ||
            e->time_ns >= oldest) {
            entry_store(j, stream, e);
            continue;
        }
        char at[48], time[48], bound[48];
        verdict_count(j->verdict, REASON_ENTRY_TOO_FAR_BEHIND, 1);
        if (ignored++ < IGNORED_SHOWN)
            buf_printf(&lines,
                       "entry with timestamp %s ignored, reason: 'entry too far behind, entry timestamp is: %s, oldest "
                       "acceptable timestamp is: %s',\n",
                       time_text(at, TIME_GO, e->time_ns), time_text(time, TIME_LOKI, e->time_ns),
                       time_text(bound, TIME_LOKI, oldest));
    }
    if (ignored > 0)
        ignored_tell(j, s, 400, buf_view(&lines), ignored, total);
    buf_free(&lines);
}

static bool stream_rate_check(struct judging *j, const struct loki_stream *s, struct stream *stream,
                              const struct left *left)
{
    uint64_t rate = j->limits->v[LOGS_STREAM_RATE], burst = j->limits->v[LOGS_STREAM_BURST];
    if (rate == 0 || bucket_take(&stream->rate, left->bytes, rate, burst, j->push->now_ns))
        return true;
    struct buf lines = {0};
    for (size_t i = 0, shown = 0; i < s->entry_count && shown < IGNORED_SHOWN; i++) {
        char at[48];
        if (s->entries[i].removed)
            continue;
        shown++;
        buf_printf(
            &lines,
            "entry with timestamp %s ignored, reason: 'Per stream rate limit exceeded (limit: %" PRIu64
            "B/sec) while attempting to ingest for stream '%s' totaling %" PRIu64
            "B, consider splitting a stream via additional labels or contact your Loki administrator to see if the "
            "limit can be increased',\n",
            time_text(at, TIME_GO, s->entries[i].time_ns), rate, labels_words(j, s), left->bytes);
    }
    verdict_count(j->verdict, REASON_STREAM_RATE, left->lines);
    ignored_tell(j, s, 429, buf_view(&lines), left->lines, left->lines);
    buf_free(&lines);
    return false;
}

static void stream_ingest(struct judging *j, const struct loki_stream *s)
{
    struct left left = {0};
    uint64_t max = j->limits->v[LOGS_STREAMS];
    struct table *table = &j->tenant->streams;
    for (size_t i = 0; i < s->entry_count; i++)
        if (!s->entries[i].removed) {
            left.lines++;
            left.bytes += entry_cost(&s->entries[i]);
        }
    if (left.lines == 0)
        return;
    j->labels.n = j->key.n = j->labels_json.n = 0;
    if (!labels_key(&j->key, s->labels, s->label_count) ||
        (j->verdict->want_records && !ndjson_pairs(&j->labels_json, s->labels, s->label_count))) {
        verdict_nomem(j->verdict);
        return;
    }
    struct slot *slot = table_find(table, buf_view(&j->key), j->seed);
    if (!slot && max && table->count >= max) {
        verdict_count(j->verdict, REASON_MAX_STREAMS, left.lines);
        ingest_error(
            j, 429,
            "maximum active stream limit exceeded when trying to create stream %s, reduce the number of active "
            "streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit "
            "can be increased, user: '%s'",
            labels_words(j, s), j->push->tenant);
        return;
    }
    if (!slot && !(slot = table_add(table, buf_view(&j->key), j->seed)))
        verdict_nomem(j->verdict);
    else if (stream_rate_check(j, s, (struct stream *)slot, &left))
        entries_ingest(j, s, (struct stream *)slot, left.lines);
}

static void answer(struct judging *j)
{
    struct verdict *v = j->verdict;
    if (j->ingest_status) {
        v->status = j->ingest_status;
        v->text.n = 0;
        buf_append(&v->text, j->ingest_text.p, j->ingest_text.n);
    } else if (j->errors.n > 0 || j->errors.more > 0) {
        v->status = 400;
        v->text.n = 0;
        grouped_write(&j->errors, &v->text);
    } else {
        v->status = 204;
    }
}

void loki_judge(const struct push *p, const struct limits *l, struct loki_request *r, struct store *s,
                struct verdict *v)
{
    struct judging j = {.push = p, .limits = l, .request = r, .verdict = v, .seed = s->seed};
    struct left left = {0};
    j.tenant = store_tenant(s, p->tenant);
    if (!j.tenant) {
        verdict_nomem(v);
        return;
    }
    bool go_on = request_validate(&j, &left) && (left.lines == 0 || rate_check(&j, &left));
    if (go_on) {
        for (size_t i = 0; i < r->stream_count && !v->nomem; i++)
            stream_ingest(&j, &r->streams[i]);
        answer(&j);
    } else { /* nothing kept, nothing condemned: the same may come again */
        v->rejected = 0;
        memset(v->reasons, 0, sizeof v->reasons);
    }
    if (v->nomem)
        verdict_nomem(v);
    grouped_free(&j.errors);
    buf_free(&j.ingest_text);
    buf_free(&j.labels);
    buf_free(&j.key);
    buf_free(&j.labels_json);
}

void judge_logs(const struct push *p, const struct limits *l, struct store *s, struct verdict *v)
{
    struct loki_request r;
    if (loki_decode(p, l, &r, v))
        loki_judge(p, l, &r, s, v);
    loki_request_free(&r);
}
