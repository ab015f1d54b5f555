/* See receiver.h. Everything below `lock`, and told on `changed`. */
#include "receiver.h"

#include <pthread.h>
#include <time.h>

#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <snappy-c.h>
#include <zlib.h>

#include "remote1.pb-c.h"
#include "remote2.pb-c.h"

#define SCRIPT_MAX 64

struct told {
    int status;
    const char *body;
    bool counted; /* with remote write 2.0's header */
    size_t written;
};

struct receiver {
    struct MHD_Daemon *daemon;
    char url[GCW_SIGNALS][64];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum receiver_speaks speaks;
    struct told usual, next[SCRIPT_MAX];
    size_t next_at, next_count;
    bool held;
    struct request *requests;
    size_t count, cap;
};

/* ---- taking requests apart --------------------------------------------------------------------------------------- */

static void *grown(void *p, size_t count, size_t size)
{
    void *q = realloc(p, (count + 1) * size);
    ENSURE(q);
    memset((char *)q + count * size, 0, size);
    return q;
}

static struct taken *record_add(struct request *q)
{
    if ((q->record_count & (q->record_count - 1)) == 0) /* doubled at each power of two */
        q->records = realloc(q->records, MAX(q->record_count * 2, 1) * sizeof *q->records);
    ENSURE(q->records);
    struct taken *t = &q->records[q->record_count++];
    *t = (struct taken){0};
    return t;
}

static char *text_of(struct buf *b)
{
    ENSURE(buf_cstr(b));
    return (char *)b->p;
}

static void label_add(struct buf *b, const char *name, const char *value)
{
    ENSURE(buf_printf(b, "%s%s=\"%s\"", b->n ? "," : "", name, value));
}

static void families_take(struct request *q, const Gcw__Rw1__WriteRequest *w)
{
    for (size_t i = 0; i < w->n_metadata; i++) {
        const Gcw__Rw1__MetricMetadata *m = w->metadata[i];
        q->families = grown(q->families, q->family_count, sizeof *q->families);
        q->families[q->family_count++] =
            (struct taken_family){(int)m->type, strdup(m->metric_family_name), strdup(m->help), strdup(m->unit)};
    }
}

static char *unsnapped(struct view body, size_t *n)
{
    ENSURE(snappy_uncompressed_length(body.p, body.n, n) == SNAPPY_OK);
    char *raw = malloc(MAX(*n, 1));
    ENSURE(raw && snappy_uncompress(body.p, body.n, raw, n) == SNAPPY_OK);
    return raw;
}

/* Metadata stands with each series; here each family is taken once. */
static void family_take(struct request *q, const Gcw__Rw2__Request *w, const Gcw__Rw2__TimeSeries *series)
{
    const Gcw__Rw2__Metadata *m = series->metadata;
    const char *name = "";
    for (size_t l = 0; l + 1 < series->n_labels_refs; l += 2)
        if (strcmp(w->symbols[series->labels_refs[l]], "__name__") == 0)
            name = w->symbols[series->labels_refs[l + 1]];
    for (size_t i = 0; m && i < q->family_count; i++)
        if (strcmp(q->families[i].name, name) == 0)
            m = NULL;
    if (!m)
        return;
    q->families = grown(q->families, q->family_count, sizeof *q->families);
    q->families[q->family_count++] = (struct taken_family){(int)m->type, strdup(name), strdup(w->symbols[m->help_ref]),
                                                           strdup(w->symbols[m->unit_ref])};
}

static void labels_2_add(struct buf *out, const Gcw__Rw2__Request *w, const uint32_t *refs, size_t count)
{
    for (size_t l = 0; l + 1 < count; l += 2)
        label_add(out, w->symbols[refs[l]], w->symbols[refs[l + 1]]);
}

static void exemplar_add(struct buf *out, struct buf *labels, double value, int64_t time_ms)
{
    ENSURE(buf_cstr(labels) && buf_printf(out, "%s %.17g @%lld;", (char *)labels->p, value, (long long)time_ms));
    buf_free(labels);
}

static char *exemplars_2_text(const Gcw__Rw2__Request *w, const Gcw__Rw2__TimeSeries *series)
{
    struct buf out = {0};
    for (size_t i = 0; i < series->n_exemplars; i++) {
        const Gcw__Rw2__Exemplar *e = series->exemplars[i];
        struct buf labels = {0};
        labels_2_add(&labels, w, e->labels_refs, e->n_labels_refs);
        exemplar_add(&out, &labels, e->value, e->timestamp);
    }
    return text_of(&out);
}

static char *exemplars_1_text(const Gcw__Rw1__TimeSeries *series)
{
    struct buf out = {0};
    for (size_t i = 0; i < series->n_exemplars; i++) {
        const Gcw__Rw1__Exemplar *e = series->exemplars[i];
        struct buf labels = {0};
        for (size_t l = 0; l < e->n_labels; l++)
            label_add(&labels, e->labels[l]->name, e->labels[l]->value);
        exemplar_add(&out, &labels, e->value, e->timestamp);
    }
    return text_of(&out);
}

static void metrics_2_take(struct request *q, struct view body)
{
    size_t n = 0;
    char *raw = unsnapped(body, &n);
    Gcw__Rw2__Request *w = gcw__rw2__request__unpack(NULL, n, (const uint8_t *)raw);
    ENSURE(w && w->n_symbols > 0 && *w->symbols[0] == 0);
    for (size_t i = 0; i < w->n_timeseries; i++) {
        const Gcw__Rw2__TimeSeries *series = w->timeseries[i];
        ENSURE(series->n_samples + series->n_histograms == 1);
        struct buf labels = {0};
        labels_2_add(&labels, w, series->labels_refs, series->n_labels_refs);
        struct taken *t = record_add(q);
        t->labels = text_of(&labels);
        t->extra = exemplars_2_text(w, series);
        t->histogram = series->n_histograms == 1;
        if (t->histogram) {
            t->time = series->histograms[0]->timestamp;
        } else {
            t->value = series->samples[0]->value;
            t->time = series->samples[0]->timestamp;
            t->start = series->samples[0]->start_timestamp;
        }
        family_take(q, w, series);
    }
    gcw__rw2__request__free_unpacked(w, NULL);
    free(raw);
}

static void metrics_take(struct request *q, struct view body)
{
    size_t n = 0;
    char *raw = unsnapped(body, &n);
    Gcw__Rw1__WriteRequest *w = gcw__rw1__write_request__unpack(NULL, n, (const uint8_t *)raw);
    ENSURE(w);
    for (size_t i = 0; i < w->n_timeseries; i++) {
        const Gcw__Rw1__TimeSeries *series = w->timeseries[i];
        for (size_t k = 0; k < series->n_samples + series->n_histograms; k++) {
            struct buf labels = {0};
            for (size_t l = 0; l < series->n_labels; l++)
                label_add(&labels, series->labels[l]->name, series->labels[l]->value);
            struct taken *t = record_add(q);
            t->labels = text_of(&labels);
            t->extra = exemplars_1_text(series);
            t->histogram = k >= series->n_samples;
            t->value = t->histogram ? 0 : series->samples[k]->value;
            t->time =
                t->histogram ? series->histograms[k - series->n_samples]->timestamp : series->samples[k]->timestamp;
        }
    }
    families_take(q, w);
    gcw__rw1__write_request__free_unpacked(w, NULL);
    free(raw);
}

static struct buf gunzipped(struct view body)
{
    struct buf out = {0};
    z_stream z = {.next_in = (Bytef *)(uintptr_t)body.p, .avail_in = (uInt)body.n};
    ENSURE(inflateInit2(&z, 15 + 16) == Z_OK);
    for (int status = Z_OK; status != Z_STREAM_END;) {
        ENSURE(buf_reserve(&out, 65536));
        z.next_out = out.p + out.n;
        z.avail_out = 65536;
        status = inflate(&z, Z_NO_FLUSH);
        ENSURE(status == Z_OK || status == Z_STREAM_END);
        out.n = (size_t)(z.next_out - out.p);
    }
    inflateEnd(&z);
    return out;
}

static char *labels_text(json_t *object)
{
    struct buf b = {0};
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) label_add(&b, name, json_string_value(value));
    return text_of(&b);
}

static void logs_take(struct request *q, struct view body, bool gzipped)
{
    struct buf raw = {0};
    if (gzipped)
        raw = gunzipped(body);
    struct view text = gzipped ? buf_view(&raw) : body;
    json_t *j = json_loadb(text.p, text.n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL), *stream, *entry;
    size_t i, k;
    ENSURE(j);
    json_array_foreach(json_object_get(j, "streams"), i, stream)
    {
        char *labels = labels_text(json_object_get(stream, "stream"));
        json_array_foreach(json_object_get(stream, "values"), k, entry)
        {
            struct taken *t = record_add(q);
            t->labels = strdup(labels);
            t->time = strtoll(json_string_value(json_array_get(entry, 0)), NULL, 10);
            t->line = strdup(json_string_value(json_array_get(entry, 1)));
            t->extra = labels_text(json_array_get(entry, 2));
        }
        free(labels);
    }
    json_decref(j);
    buf_free(&raw);
}

static void request_free(struct request *q)
{
    for (size_t i = 0; i < q->record_count; i++) {
        free(q->records[i].labels);
        free(q->records[i].line);
        free(q->records[i].extra);
    }
    for (size_t i = 0; i < q->family_count; i++) {
        free(q->families[i].name);
        free(q->families[i].help);
        free(q->families[i].unit);
    }
    free(q->records);
    free(q->families);
}

/* ---- HTTP ----------------------------------------------------------------------------------------------------------
 */

/* How a receiver of 1.0 alone answers 2.0. */
static int status_to_2(const struct receiver *r, const struct request *q)
{
    static const int status[] = {
        [RECEIVER_SPEAKS_1] = 204, [RECEIVER_SPEAKS_1_415] = 415, [RECEIVER_SPEAKS_1_400] = 400};
    return q->version == 2 && r->speaks != RECEIVER_SPEAKS_2 ? status[r->speaks] : 0;
}

/* A status that answers this request: from the line of those told, or the usual one. Waits while held. */
static struct told answer_wait(struct receiver *r, size_t index)
{
    pthread_mutex_lock(&r->lock);
    while (r->held)
        pthread_cond_wait(&r->changed, &r->lock);
    int foreign = status_to_2(r, &r->requests[index]);
    struct told t = foreign                      ? (struct told){foreign, "", false, 0}
                    : r->next_at < r->next_count ? r->next[r->next_at++]
                                                 : r->usual;
    if (t.status == 0)
        t.status = r->requests[index].signal == GCW_LOGS ? 204 : 200;
    r->requests[index].status = t.status;
    pthread_mutex_unlock(&r->lock);
    return t;
}

static size_t request_keep(struct receiver *r, const struct request *q)
{
    pthread_mutex_lock(&r->lock);
    if (r->count == r->cap) {
        r->cap = MAX(r->cap * 2, (size_t)16);
        r->requests = realloc(r->requests, r->cap * sizeof *r->requests);
        ENSURE(r->requests);
    }
    size_t index = r->count++;
    r->requests[index] = *q;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return index;
}

/* What a receiver of 2.0 tells beside the status, in a success and a refusal alike. */
static void count_written(const struct receiver *r, const struct request *q, struct told *t)
{
    t->counted = q->version == 2 && r->speaks == RECEIVER_SPEAKS_2 && t->status / 100 != 5;
    t->written = t->status / 100 == 2 ? q->record_count : 0;
}

static struct told request_serve(struct receiver *r, struct MHD_Connection *c, const char *path, struct view body)
{
    struct request q = {.signal = strstr(path, "loki") ? GCW_LOGS : GCW_METRICS, .version = 1};
    const char *type = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type");
    const char *tenant = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "X-Scope-OrgID");
    const char *encoding = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Encoding");
    snprintf(q.tenant, sizeof q.tenant, "%s", tenant ? tenant : "");
    if (type && strcmp(type, "application/x-protobuf;proto=io.prometheus.write.v2.Request") == 0)
        q.version = 2;
    if (q.version == 2 && r->speaks == RECEIVER_SPEAKS_2)
        metrics_2_take(&q, body);
    else if (q.version == 2)
        q.record_count = 0; /* not understood */
    else if (q.signal == GCW_METRICS)
        metrics_take(&q, body);
    else
        logs_take(&q, body, encoding && strcmp(encoding, "gzip") == 0);
    struct told t = answer_wait(r, request_keep(r, &q));
    count_written(r, &q, &t);
    return t;
}

static enum MHD_Result on_request(void *receiver, struct MHD_Connection *c, const char *path, const char *method,
                                  const char *version, const char *data, size_t *size, void **state)
{
    (void)method, (void)version;
    struct buf *body = *state;
    if (!body) {
        *state = calloc(1, sizeof *body);
        return *state ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        ENSURE(buf_append(body, data, *size));
        *size = 0;
        return MHD_YES;
    }
    struct told t = request_serve(receiver, c, path, buf_view(body));
    const char *text = t.body ? t.body : "";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    char written[24];
    snprintf(written, sizeof written, "%zu", t.written);
    if (t.counted)
        MHD_add_response_header(response, "X-Prometheus-Remote-Write-Samples-Written", written);
    enum MHD_Result result = MHD_queue_response(c, (unsigned)t.status, response);
    MHD_destroy_response(response);
    return result;
}

static void on_done(void *receiver, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
    (void)receiver, (void)c, (void)why;
    if (*state)
        buf_free(*state);
    free(*state);
    *state = NULL;
}

struct receiver *receiver_new(void)
{
    struct receiver *r = calloc(1, sizeof *r);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    pthread_condattr_t monotonic;
    ENSURE(r);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&r->lock, NULL);
    r->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC, 0, NULL, NULL,
        on_request, r, MHD_OPTION_SOCK_ADDR, &a, MHD_OPTION_NOTIFY_COMPLETED, on_done, r, MHD_OPTION_END);
    ENSURE(r->daemon);
    unsigned port = MHD_get_daemon_info(r->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    snprintf(r->url[GCW_METRICS], sizeof r->url[0], "http://127.0.0.1:%u/api/v1/push", port);
    snprintf(r->url[GCW_LOGS], sizeof r->url[0], "http://127.0.0.1:%u/loki/api/v1/push", port);
    return r;
}

const char *receiver_url(const struct receiver *r, gcw_signal signal) { return r->url[signal]; }

void receiver_stop(struct receiver *r)
{
    if (!r->daemon)
        return;
    receiver_let(r);
    MHD_stop_daemon(r->daemon);
    r->daemon = NULL;
}

void receiver_free(struct receiver *r)
{
    receiver_stop(r);
    for (size_t i = 0; i < r->count; i++)
        request_free(&r->requests[i]);
    free(r->requests);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* ---- telling it what to do, and waiting
 * ------------------------------------------------------------------------------ */

void receiver_answer(struct receiver *r, int status, const char *body)
{
    pthread_mutex_lock(&r->lock);
    r->usual = (struct told){status, body, false, 0};
    pthread_mutex_unlock(&r->lock);
}

void receiver_answer_next(struct receiver *r, int status, const char *body)
{
    pthread_mutex_lock(&r->lock);
    ENSURE(r->next_count < SCRIPT_MAX);
    r->next[r->next_count++] = (struct told){status, body, false, 0};
    pthread_mutex_unlock(&r->lock);
}

void receiver_speak(struct receiver *r, enum receiver_speaks speaks)
{
    pthread_mutex_lock(&r->lock);
    r->speaks = speaks;
    pthread_mutex_unlock(&r->lock);
}

static void held_set(struct receiver *r, bool held)
{
    pthread_mutex_lock(&r->lock);
    r->held = held;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

void receiver_hold(struct receiver *r) { held_set(r, true); }
void receiver_let(struct receiver *r) { held_set(r, false); }

void receiver_await(struct receiver *r, size_t n)
{
    struct timespec ts;
    uint64_t deadline = deadline_after(WAIT_MS);
    deadline_timespec(deadline, &ts);
    pthread_mutex_lock(&r->lock);
    while (r->count < n && clock_mono_ms() < deadline)
        pthread_cond_timedwait(&r->changed, &r->lock, &ts);
    bool there = r->count >= n;
    pthread_mutex_unlock(&r->lock);
    assert_true(there);
}

size_t receiver_count(struct receiver *r)
{
    pthread_mutex_lock(&r->lock);
    size_t n = r->count;
    pthread_mutex_unlock(&r->lock);
    return n;
}

/* ---- reading what came
 * ------------------------------------------------------------------------------------------------ */

const struct request *receiver_requests(const struct receiver *r, size_t *count)
{
    ENSURE(!r->daemon);
    *count = r->count;
    return r->requests;
}

void receiver_each(const struct receiver *r, gcw_signal signal,
                   void (*each)(void *user, const struct request *q, const struct taken *t), void *user)
{
    ENSURE(!r->daemon);
    for (size_t i = 0; i < r->count; i++) {
        const struct request *q = &r->requests[i];
        if (q->signal == signal && q->status >= 200 && q->status < 300)
            for (size_t k = 0; k < q->record_count; k++)
                each(user, q, &q->records[k]);
    }
}

static void count_one(void *user, const struct request *q, const struct taken *t)
{
    (void)q, (void)t;
    ++*(size_t *)user;
}

size_t receiver_records(const struct receiver *r, gcw_signal signal)
{
    size_t n = 0;
    receiver_each(r, signal, count_one, &n);
    return n;
}
