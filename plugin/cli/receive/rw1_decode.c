/* A remote write 1.0 request, from headers and body to series the judge can look at. All or nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/receive/judge.h"
#include "cli/receive/unpack.h"
#include "remote1.pb-c.h"

/* Content-Type as the Prometheus and Mimir receivers read it: split at ';' and '=', nothing trimmed. */
static bool content_type_check(const char *type, struct verdict *v)
{
    static const char media[] = "application/x-protobuf";
    if (!type)
        return verdict_refuse(v, 415, "Content-Type is missing; remote write wants %s", media);
    struct view rest = view_of(type);
    const char *semi = memchr(rest.p, ';', rest.n);
    if (!view_is(view_make(rest.p, semi ? (size_t)(semi - rest.p) : rest.n), media))
        return verdict_refuse(v, 415, "Content-Type '%.100s': remote write wants %s", type, media);
    if (!semi || strcmp(semi, ";proto=prometheus.WriteRequest") == 0)
        return true;
    if (strstr(semi, "io.prometheus.write.v2.Request"))
        return verdict_refuse(v, 415, "remote write 2.0 is not supported by this receiver; send 1.0 (%s)", media);
    return verdict_refuse(v, 415, "Content-Type '%.100s': the only parameter known is proto=prometheus.WriteRequest",
                          type);
}

/* The headers that Remote-Write 1.0 calls MUST. */
static bool headers_check(const struct push *p, const struct limits *l, struct verdict *v)
{
    if (!content_type_check(p->content_type, v))
        return false;
    if (!p->content_encoding || strcmp(p->content_encoding, "snappy") != 0)
        return verdict_refuse(v, 415, "Content-Encoding '%.100s': remote write wants snappy",
                              p->content_encoding ? p->content_encoding : "");
    if (!l->v[METRICS_STRICT])
        return true;
    if (!p->version || strcmp(p->version, "0.1.0") != 0)
        return verdict_refuse(v, 400, "X-Prometheus-Remote-Write-Version '%.100s': remote write 1.0 must send 0.1.0",
                              p->version ? p->version : "");
    if (!p->user_agent || !p->user_agent[0])
        return verdict_refuse(v, 400,
                              "User-Agent is missing; remote write 1.0 must send name and version of the sender");
    return true;
}

static bool too_large(struct verdict *v, uint64_t n, uint64_t max)
{
    return verdict_refuse(
        v, 400,
        "the incoming push request has been rejected because its message size of %" PRIu64
        " bytes is larger than the allowed limit of %" PRIu64
        " bytes (err-mimir-distributor-max-write-message-size). To adjust the related limit, configure "
        "-distributor.max-recv-msg-size, or contact your service administrator.",
        n, max);
}

static bool unpack_failed(enum unpack_result r, const gcw_error *why, struct verdict *v)
{
    return r == UNPACK_NOMEM ? verdict_nomem(v) : verdict_refuse(v, 400, "%s", why->text);
}

/* A text of the message: the bytes protobuf-c copied, as many as stood on the wire. */
static struct view text_of(const char *copy, struct view wire) { return view_make(copy, wire.n); }

static void series_fill(const struct limits *l, const struct wire_scan *scan, struct rw1_request *r)
{
    size_t at = 0; /* running label number */
    for (size_t i = 0; i < r->series_count; i++) {
        const Gcw__Rw1__TimeSeries *ts = r->message->timeseries[i];
        struct rw1_series *s = &r->series[i];
        *s = (struct rw1_series){.labels = &r->pairs[at], .samples = ts->samples, .sample_count = ts->n_samples};
        for (size_t k = 0; k < ts->n_labels; k++, at++) {
            struct pair pair = {text_of(ts->labels[k]->name, scan->labels.p[2 * at]),
                                text_of(ts->labels[k]->value, scan->labels.p[2 * at + 1])};
            if (l->v[METRICS_STRICT] || pair.value.n > 0) /* Mimir drops empty values, and sorts */
                s->labels[s->label_count++] = pair;
        }
        if (!l->v[METRICS_STRICT])
            pairs_sort(s->labels, s->label_count);
    }
}

static void metadata_fill(const struct wire_scan *scan, struct rw1_request *r)
{
    for (size_t i = 0; i < r->metadata_count; i++) {
        const Gcw__Rw1__MetricMetadata *m = r->message->metadata[i];
        const struct view *wire = &scan->metadata.p[3 * i];
        r->metadata[i] = (struct rw1_metadata){.type = (int)m->type,
                                               .family = text_of(m->metric_family_name, wire[0]),
                                               .help = text_of(m->help, wire[1]),
                                               .unit = text_of(m->unit, wire[2])};
    }
}

static bool request_fill(const struct limits *l, const struct wire_scan *scan, struct rw1_request *r, struct verdict *v)
{
    size_t labels = scan->labels.n / 2;
    r->series_count = r->message->n_timeseries;
    r->metadata_count = r->message->n_metadata;
    r->pairs = calloc(labels + 1, sizeof *r->pairs);
    r->series = calloc(r->series_count + 1, sizeof *r->series);
    r->metadata = calloc(r->metadata_count + 1, sizeof *r->metadata);
    if (!r->pairs || !r->series || !r->metadata)
        return verdict_nomem(v);
    size_t decoded = 0;
    for (size_t i = 0; i < r->series_count; i++)
        decoded += r->message->timeseries[i]->n_labels;
    ENSURE(decoded == labels && r->metadata_count * 3 == scan->metadata.n);
    series_fill(l, scan, r);
    metadata_fill(scan, r);
    return true;
}

bool rw1_decode(const struct push *p, const struct limits *l, struct rw1_request *r, struct verdict *v)
{
    struct wire_scan scan = {0};
    gcw_error why;
    uint64_t max = l->v[METRICS_BODY_BYTES];
    bool ok = false;
    *r = (struct rw1_request){0};
    if (!headers_check(p, l, v))
        goto out;
    if (max && p->body.n > max) {
        too_large(v, p->body.n, max);
        goto out;
    }
    enum unpack_result u = snappy_unpack(p->body, max, &r->raw, &why);
    if (u == UNPACK_TOO_LARGE) {
        size_t n = 0;
        sscanf(why.text, "%zu", &n);
        too_large(v, n, max);
        goto out;
    }
    if (u == UNPACK_OK)
        u = wire_check(buf_view(&r->raw), &scan, &why);
    if (u != UNPACK_OK) {
        unpack_failed(u, &why, v);
        goto out;
    }
    v->raw_bytes = r->raw.n;
    r->message = gcw__rw1__write_request__unpack(NULL, r->raw.n, r->raw.p);
    if (!r->message) {
        verdict_refuse(v, 400, "protobuf: the message can't be decoded");
        goto out;
    }
    ok = request_fill(l, &scan, r, v);
out:
    wire_scan_free(&scan);
    return ok;
}

void rw1_request_free(struct rw1_request *r)
{
    if (r->message)
        gcw__rw1__write_request__free_unpacked(r->message, NULL);
    free(r->pairs);
    free(r->series);
    free(r->metadata);
    buf_free(&r->raw);
    *r = (struct rw1_request){0};
}
