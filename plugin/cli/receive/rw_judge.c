/* What becomes of a decoded remote write request, in Mimir's order: the distributor's validation removes bad series and
 * metadata, the tenant's rate refuses the whole or takes the rest, the ingester's TSDB takes samples one by one. Only
 * the first error is told, the ingester's before the distributor's. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/receive/judge.h"
#include "remote2.pb-c.h"

struct judging {
    const struct push *push;
    const struct limits *limits;
    struct rw_request *request;
    struct verdict *verdict;
    struct tenant *tenant;
    uint64_t seed;
    int64_t now_ms;
    int64_t bound_ms, window_ms; /* oldest time in order, and out of order; fixed when the request begins */
    struct buf validation_error, ingest_error; /* the first of each */
    struct buf key, labels_json;               /* of the series at hand */
};

static void error_note(struct buf *first, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void error_note(struct buf *first, const char *fmt, ...)
{
    char text[1024];
    if (first->n > 0)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_puts(first, text);
}

/* ---- distributor ---------------------------------------------------------------------------------------------- */

static void series_text(const struct rw_series *s, char out[256])
{
    struct buf text = {0};
    labels_text(&text, s->labels, s->label_count, true, 200);
    snprintf(out, 256, "%.*s", (int)text.n, text.p ? (const char *)text.p : "");
    buf_free(&text);
}

static size_t points_of(const struct rw_series *s) { return s->sample_count + s->histogram_count; }

static enum reason time_validate(struct judging *j, const struct rw_series *s, int64_t time_ms)
{
    uint64_t future = j->limits->v[METRICS_FUTURE];
    char text[256];
    if (!future || time_ms <= j->now_ms + (int64_t)future)
        return REASON_NONE;
    series_text(s, text);
    error_note(&j->validation_error,
               "received a sample whose timestamp is too far in the future, timestamp: %" PRId64 " series: '%s' "
               "(err-mimir-too-far-in-future). To adjust the related per-tenant limit, configure "
               "-validation.create-grace-period, or contact your service administrator.",
               time_ms, text);
    return REASON_TOO_FAR_IN_FUTURE;
}

static enum reason series_validate(struct judging *j, const struct rw_series *s)
{
    struct buf why = {0};
    char text[256];
    enum reason r = rw_labels_check(s->labels, s->label_count, j->limits, &why);
    if (r != REASON_NONE)
        error_note(&j->validation_error, "%.*s", (int)why.n, (const char *)why.p);
    buf_free(&why);
    /* Remote write 2.0 wants a sample or histogram beside each exemplar too */
    if (r == REASON_NONE && points_of(s) == 0 && (j->limits->v[METRICS_STRICT] || j->request->version == 2)) {
        series_text(s, text);
        error_note(&j->validation_error, "received a series without samples, series: '%s' (strict)", text);
        return REASON_SERIES_EMPTY;
    }
    for (size_t i = 0; i < s->sample_count && r == REASON_NONE; i++)
        r = time_validate(j, s, s->samples[i].time_ms);
    for (size_t i = 0; i < s->histogram_count && r == REASON_NONE; i++) {
        const char *trouble = rw_histogram_check(s->histograms[i], j->request->version);
        r = trouble ? REASON_HISTOGRAM_INVALID : time_validate(j, s, s->histograms[i]->timestamp);
        if (!trouble)
            continue;
        series_text(s, text);
        error_note(&j->validation_error,
                   "received a native histogram sample that is invalid: %s, series: '%s' "
                   "(err-mimir-invalid-native-histogram)",
                   trouble, text);
    }
    return r;
}

static enum reason metadata_validate(struct judging *j, struct rw_metadata *m)
{
    uint64_t max = j->limits->v[METRICS_METADATA_BYTES];
    struct buf *error = &j->validation_error;
    if (m->family.n == 0) {
        error_note(error, "received a metric metadata with no metric name (err-mimir-metadata-missing-metric-name)");
        return REASON_METADATA_NAME_MISSING;
    }
    if (max && m->family.n > max) {
        error_note(error,
                   "received a metric metadata whose metric name length exceeds the limit, metric name: '%.*s' "
                   "(err-mimir-metric-name-too-long). To adjust the related per-tenant limit, configure "
                   "-validation.max-metadata-length, or contact your service administrator.",
                   VIEW_ARG(m->family));
        return REASON_METADATA_NAME_TOO_LONG;
    }
    if (max && m->unit.n > max) {
        error_note(
            error,
            "received a metric metadata whose unit name length exceeds the limit, unit: '%.*s' metric name: '%.*s' "
            "(err-mimir-unit-too-long). To adjust the related per-tenant limit, configure "
            "-validation.max-metadata-length, or contact your service administrator.",
            VIEW_ARG(m->unit), VIEW_ARG(m->family));
        return REASON_METADATA_UNIT_TOO_LONG;
    }
    if (!utf8_valid(m->family.p, m->family.n) || !utf8_valid(m->unit.p, m->unit.n) ||
        !utf8_valid(m->help.p, m->help.n)) {
        error_note(error, "received a metric metadata that is not valid UTF-8, metric name: '%.*s' (strict)",
                   VIEW_ARG(m->family));
        return REASON_METADATA_INVALID;
    }
    if (max)
        m->help.n = utf8_cut(m->help.p, m->help.n, (size_t)max); /* long help is cut, in silence */
    return REASON_NONE;
}

/* Marks what has to go; returns the items left, as the rate counts them. */
static uint64_t request_validate(struct judging *j)
{
    uint64_t items = 0;
    for (size_t i = 0; i < j->request->series_count; i++) {
        struct rw_series *s = &j->request->series[i];
        enum reason r = series_validate(j, s);
        s->removed = r != REASON_NONE;
        if (s->removed)
            verdict_count(j->verdict, r, MAX(points_of(s), (size_t)1));
        else
            items += points_of(s) + s->exemplar_count;
    }
    for (size_t i = 0; i < j->request->metadata_count; i++) {
        struct rw_metadata *m = &j->request->metadata[i];
        enum reason r = metadata_validate(j, m);
        m->removed = r != REASON_NONE;
        if (m->removed)
            verdict_count(j->verdict, r, 1);
        else
            items++;
    }
    return items;
}

static bool rate_check(struct judging *j, uint64_t items)
{
    uint64_t rate = j->limits->v[METRICS_RATE], burst = j->limits->v[METRICS_BURST];
    if (rate == 0 || items == 0 || bucket_take(&j->tenant->metrics_rate, items, rate, burst, j->push->now_ns))
        return true;
    unsigned attempt = MAX(j->push->retry_attempt, 1u) - 1;
    j->verdict->retry_after = (unsigned)((j->limits->v[METRICS_RETRY_AFTER] + 999) / 1000) << MIN(attempt, 4u);
    /* nothing is kept, and nothing is lost: the same will come again */
    j->verdict->rejected = 0;
    memset(j->verdict->reasons, 0, sizeof j->verdict->reasons);
    return verdict_refuse(
        j->verdict, 429,
        "the request has been rejected because the tenant exceeded the ingestion rate limit, set to "
        "%" PRIu64 " items/s with a maximum allowed burst of %" PRIu64
        ". This limit is applied on the total number of samples, exemplars and metadata received across "
        "all distributors (err-mimir-tenant-max-ingestion-rate). To adjust the related per-tenant "
        "limits, configure -distributor.ingestion-rate-limit and -distributor.ingestion-burst-size, or "
        "contact your service administrator.",
        rate, burst);
}

/* ---- ingester -------------------------------------------------------------------------------------------------------
 */

enum fate { FATE_IN_ORDER, FATE_LATE, FATE_DUPLICATE, FATE_OTHER_VALUE, FATE_OUT_OF_ORDER, FATE_TOO_OLD };

static bool ooo_known(const struct series *s, int64_t t)
{
    for (size_t i = 0; i < s->ooo_count; i++)
        if (s->ooo_ms[i] == t)
            return true;
    return false;
}

/* memSeries.appendable() of the Prometheus TSDB. */
static enum fate sample_fate(const struct judging *j, const struct series *s, int64_t t, uint64_t bits)
{
    bool window = j->limits->v[METRICS_OUT_OF_ORDER_WINDOW] > 0;
    if (t >= j->bound_ms) {
        if (!s->has || t > s->newest_ms)
            return FATE_IN_ORDER;
        if (t == s->newest_ms)
            return bits == s->newest_bits ? FATE_DUPLICATE : FATE_OTHER_VALUE;
    }
    if (window && t >= j->window_ms)
        return ooo_known(s, t) ? FATE_DUPLICATE : FATE_LATE;
    return window || t < j->bound_ms ? FATE_TOO_OLD : FATE_OUT_OF_ORDER;
}

/* Remembers a late sample's time until the chunk is full: within one chunk a repeated time is dropped in silence. */
static void ooo_remember(struct series *s, int64_t t)
{
    if (!s->ooo_ms && !(s->ooo_ms = calloc(OOO_CHUNK, sizeof *s->ooo_ms)))
        return;
    if (s->ooo_count == OOO_CHUNK)
        s->ooo_count = 0;
    s->ooo_ms[s->ooo_count++] = t;
}

static const struct refusal {
    enum reason reason;
    const char *words;
} refusals[] = {
    [FATE_OTHER_VALUE] =
        {REASON_SAMPLE_DUPLICATE,
         "the sample has been rejected because another sample with the same timestamp, but a different "
         "value, has already been ingested (err-mimir-sample-duplicate-timestamp)"},
    [FATE_OUT_OF_ORDER] =
        {REASON_SAMPLE_OUT_OF_ORDER,
         "the sample has been rejected because another sample with a more recent timestamp has already "
         "been ingested and out-of-order samples are not allowed (err-mimir-sample-out-of-order)"},
    [FATE_TOO_OLD] = {REASON_SAMPLE_TOO_OLD, "the sample has been rejected because its timestamp is too old "
                                             "(err-mimir-sample-timestamp-too-old)"},
};

static void sample_refuse(struct judging *j, const struct rw_series *rs, enum fate fate, int64_t t)
{
    verdict_count(j->verdict, refusals[fate].reason, 1);
    j->verdict->out_of_order += fate == FATE_OUT_OF_ORDER;
    if (j->ingest_error.n > 0)
        return;
    char text[256], time[48];
    int64_t ns;
    if (__builtin_mul_overflow(t, INT64_C(1000000), &ns))
        snprintf(time, sizeof time, "%" PRId64 " ms", t);
    else
        time_text(time, TIME_MIMIR, ns);
    series_text(rs, text);
    error_note(&j->ingest_error,
               "failed pushing to ingester: user=%s: %s. The affected sample has timestamp %s and is from series %s",
               j->push->tenant, refusals[fate].words, time, text);
}

/* True if the point is taken; *fate says how. */
static bool point_ingest(struct judging *j, const struct rw_series *rs, struct series *s, uint64_t bits, int64_t t,
                         enum fate *how)
{
    struct verdict *v = j->verdict;
    enum fate fate = *how = sample_fate(j, s, t, bits);
    if (fate > FATE_DUPLICATE) {
        sample_refuse(j, rs, fate, t);
        return false;
    }
    if (fate == FATE_IN_ORDER) {
        s->has = true;
        s->newest_ms = t;
        s->newest_bits = bits;
    } else if (fate == FATE_LATE) {
        ooo_remember(s, t);
    }
    if (!j->tenant->head_has || t > j->tenant->head_ms)
        j->tenant->head_ms = t;
    j->tenant->head_has = true;
    v->duplicates += fate == FATE_DUPLICATE;
    v->out_of_order += fate == FATE_LATE;
    return true;
}

static void sample_ingest(struct judging *j, const struct rw_series *rs, struct series *s,
                          const struct rw_sample *sample)
{
    enum fate fate;
    if (!point_ingest(j, rs, s, sample->bits, sample->time_ms, &fate))
        return;
    j->verdict->samples++;
    if (j->verdict->want_records)
        ndjson_sample(j->verdict, j->push->tenant, buf_view(&j->labels_json), sample, fate == FATE_DUPLICATE,
                      fate == FATE_LATE);
}

/* A histogram is the same as another if their bytes are. */
static uint64_t histogram_bits(struct judging *j, const Gcw__Rw2__Histogram *h)
{
    j->key.n = 0;
    if (!buf_reserve(&j->key, gcw__rw2__histogram__get_packed_size(h))) {
        verdict_nomem(j->verdict);
        return 0;
    }
    return hash_bytes(j->key.p, gcw__rw2__histogram__pack(h, j->key.p), 1);
}

static void histogram_ingest(struct judging *j, const struct rw_series *rs, struct series *s,
                             const Gcw__Rw2__Histogram *h)
{
    enum fate fate;
    if (!point_ingest(j, rs, s, histogram_bits(j, h), h->timestamp, &fate))
        return;
    j->verdict->histograms++;
    if (j->verdict->want_records)
        ndjson_histogram(j->verdict, j->push->tenant, buf_view(&j->labels_json), h, fate == FATE_DUPLICATE,
                         fate == FATE_LATE);
}

#define EXEMPLAR_CHARACTERS 128 /* OpenMetrics 1.0: names and values together */

static size_t characters(struct view v)
{
    size_t n = 0;
    for (size_t i = 0; i < v.n; i++)
        n += ((unsigned char)v.p[i] & 0xc0) != 0x80;
    return n;
}

/* Samples are kept whatever becomes of the exemplars beside them. */
static void exemplar_ingest(struct judging *j, const struct rw_series *rs, const struct rw_exemplar *e)
{
    size_t n = 0;
    char text[256];
    for (size_t i = 0; i < e->label_count; i++)
        n += characters(e->labels[i].name) + characters(e->labels[i].value);
    if (n > EXEMPLAR_CHARACTERS || e->time_ms == 0) {
        verdict_count(j->verdict, REASON_EXEMPLAR_INVALID, 0);
        series_text(rs, text);
        error_note(&j->validation_error, "received an exemplar %s, series: '%s' (err-mimir-exemplar-%s)",
                   e->time_ms == 0 ? "without a time" : "with labels of more than 128 characters", text,
                   e->time_ms == 0 ? "timestamp-invalid" : "labels-too-long");
        return;
    }
    j->verdict->exemplars++;
    if (j->verdict->want_records)
        ndjson_exemplar(j->verdict, j->push->tenant, buf_view(&j->labels_json), e);
}

static void series_ingest(struct judging *j, const struct rw_series *rs)
{
    uint64_t max = j->limits->v[METRICS_SERIES];
    struct table *table = &j->tenant->series;
    j->key.n = j->labels_json.n = 0;
    if (!labels_key(&j->key, rs->labels, rs->label_count) ||
        (j->verdict->want_records && !ndjson_pairs(&j->labels_json, rs->labels, rs->label_count))) {
        verdict_nomem(j->verdict);
        return;
    }
    struct slot *slot = table_find(table, buf_view(&j->key), j->seed);
    if (!slot && max && table->count >= max) {
        verdict_count(j->verdict, REASON_MAX_SERIES, points_of(rs));
        error_note(&j->ingest_error,
                   "failed pushing to ingester: user=%s: per-user series limit of %" PRIu64
                   " exceeded (err-mimir-max-series-per-user). To adjust the related per-tenant limit, configure "
                   "-ingester.max-global-series-per-user, or contact your service administrator.",
                   j->push->tenant, max);
        return;
    }
    if (!slot && !(slot = table_add(table, buf_view(&j->key), j->seed))) {
        verdict_nomem(j->verdict);
        return;
    }
    for (size_t i = 0; i < rs->sample_count; i++)
        sample_ingest(j, rs, (struct series *)slot, &rs->samples[i]);
    for (size_t i = 0; i < rs->histogram_count; i++)
        histogram_ingest(j, rs, (struct series *)slot, rs->histograms[i]);
    for (size_t i = 0; i < rs->exemplar_count; i++)
        exemplar_ingest(j, rs, &rs->exemplars[i]);
}

/* An empty head begins at the first sample it is given. */
static void head_begin(struct judging *j)
{
    bool has = j->tenant->head_has;
    int64_t head = j->tenant->head_ms;
    for (size_t i = 0; i < j->request->series_count && !has; i++)
        if (!j->request->series[i].removed && points_of(&j->request->series[i]) > 0) {
            const struct rw_series *first = &j->request->series[i];
            head = first->sample_count ? first->samples[0].time_ms : first->histograms[0]->timestamp;
            has = true;
        }
    int64_t in_order = (int64_t)j->limits->v[METRICS_HEAD_WINDOW];
    int64_t late = (int64_t)j->limits->v[METRICS_OUT_OF_ORDER_WINDOW];
    if (in_order == 0 || !has || __builtin_sub_overflow(head, in_order, &j->bound_ms))
        j->bound_ms = INT64_MIN;
    if (!has || __builtin_sub_overflow(head, late, &j->window_ms))
        j->window_ms = INT64_MIN;
}

static void request_ingest(struct judging *j)
{
    static const char *const types[] = {"unknown",        "counter", "gauge", "histogram",
                                        "gaugehistogram", "summary", "info",  "stateset"};
    head_begin(j);
    for (size_t i = 0; i < j->request->series_count && !j->verdict->nomem; i++)
        if (!j->request->series[i].removed)
            series_ingest(j, &j->request->series[i]);
    for (size_t i = 0; i < j->request->metadata_count; i++) {
        const struct rw_metadata *m = &j->request->metadata[i];
        if (m->removed)
            continue;
        j->verdict->metadata++;
        if (j->verdict->want_records)
            ndjson_metadata(j->verdict, j->push->tenant, types[m->type], m->family, m->help, m->unit);
    }
}

void rw_judge(const struct push *p, const struct limits *l, struct rw_request *r, struct store *s, struct verdict *v)
{
    struct judging j = {
        .push = p, .limits = l, .request = r, .verdict = v, .seed = s->seed, .now_ms = p->now_ns / 1000000};
    j.tenant = store_tenant(s, p->tenant);
    if (!j.tenant) {
        verdict_nomem(v);
        return;
    }
    uint64_t items = request_validate(&j);
    if (rate_check(&j, items)) {
        v->status = 200;
        request_ingest(&j);
        const struct buf *error = j.ingest_error.n > 0 ? &j.ingest_error : &j.validation_error;
        if (error->n > 0)
            verdict_set(v, 400, "%.*s", (int)error->n, (const char *)error->p);
        if (v->nomem)
            verdict_nomem(v);
    }
    buf_free(&j.validation_error);
    buf_free(&j.ingest_error);
    buf_free(&j.key);
    buf_free(&j.labels_json);
}

void judge_metrics(const struct push *p, const struct limits *l, struct store *s, struct verdict *v)
{
    struct rw_request r;
    if (rw_decode(p, l, &r, v))
        rw_judge(p, l, &r, s, v);
    rw_request_free(&r);
}
