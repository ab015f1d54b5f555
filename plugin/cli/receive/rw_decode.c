/* A remote write request, from headers and body to series the judge can look at. All or nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/receive/rw_fill.h"

#define MEDIA   "application/x-protobuf"
#define PROTO_1 ";proto=prometheus.WriteRequest"
#define PROTO_2 ";proto=io.prometheus.write.v2.Request"

/* Content-Type as the Prometheus and Mimir receivers read it: split at ';' and '=', nothing trimmed. */
int rw_version(const struct push *p, struct verdict *v)
{
    const char *type = p->content_type;
    if (!type)
        return verdict_refuse(v, 415, "Content-Type is missing; remote write wants %s", MEDIA);
    struct view rest = view_of(type);
    const char *semi = memchr(rest.p, ';', rest.n);
    if (!view_is(view_make(rest.p, semi ? (size_t)(semi - rest.p) : rest.n), MEDIA))
        return verdict_refuse(v, 415, "Content-Type '%.100s': remote write wants %s", type, MEDIA);
    if (!semi || strcmp(semi, PROTO_1) == 0)
        return 1;
    if (strcmp(semi, PROTO_2) == 0)
        return 2;
    return verdict_refuse(v, 415, "Content-Type '%.100s': parameters known are %s and %s, without blanks", type,
                          &PROTO_1[1], &PROTO_2[1]);
}

/* The headers that the specifications call MUST. */
static bool headers_check(const struct push *p, const struct limits *l, struct rw_request *r, struct verdict *v)
{
    static const char *const versions[] = {[1] = "0.1.0", [2] = "2.0.0"};
    if (!(r->version = rw_version(p, v)))
        return false;
    if (!p->content_encoding || strcmp(p->content_encoding, "snappy") != 0)
        return verdict_refuse(v, 415, "Content-Encoding '%.100s': remote write wants snappy",
                              p->content_encoding ? p->content_encoding : "");
    if (!l->v[METRICS_STRICT])
        return true;
    if (!p->version || strcmp(p->version, versions[r->version]) != 0)
        return verdict_refuse(v, 400, "X-Prometheus-Remote-Write-Version '%.100s': remote write %d.0 must send %s",
                              p->version ? p->version : "", r->version, versions[r->version]);
    if (!p->user_agent || !p->user_agent[0])
        return verdict_refuse(v, 400, "User-Agent is missing; remote write must send name and version of the sender");
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

static bool body_unpack(const struct push *p, const struct limits *l, struct rw_request *r, struct verdict *v)
{
    uint64_t max = l->v[METRICS_BODY_BYTES];
    gcw_error why;
    if (max && p->body.n > max)
        return too_large(v, p->body.n, max);
    enum unpack_result u = snappy_unpack(p->body, max, &r->raw, &why);
    if (u == UNPACK_TOO_LARGE) {
        size_t n = 0;
        sscanf(why.text, "%zu", &n);
        return too_large(v, n, max);
    }
    if (u == UNPACK_OK)
        u = wire_check(buf_view(&r->raw), r->version, r->scan, &why);
    return u == UNPACK_OK || unpack_failed(u, &why, v);
}

bool rw_decode(const struct push *p, const struct limits *l, struct rw_request *r, struct verdict *v)
{
    *r = (struct rw_request){0};
    if (!headers_check(p, l, r, v))
        return false;
    if (!(r->scan = calloc(1, sizeof *r->scan)))
        return verdict_nomem(v);
    if (!body_unpack(p, l, r, v))
        return false;
    v->raw_bytes = r->raw.n;
    v->counted = r->version == 2;
    return r->version == 2 ? rw2_fill(l, r, v) : rw1_fill(l, r, v);
}

void rw_request_free(struct rw_request *r)
{
    if (r->message1)
        gcw__rw1__write_request__free_unpacked(r->message1, NULL);
    if (r->message2)
        gcw__rw2__request__free_unpacked(r->message2, NULL);
    if (r->scan)
        wire_scan_free(r->scan);
    free(r->scan);
    free(r->pairs);
    free(r->samples);
    free(r->exemplars);
    free(r->series);
    free(r->metadata);
    buf_free(&r->raw);
    *r = (struct rw_request){0};
}

/* Room for all that the message holds. */
bool rw_request_reserve(struct rw_request *r, size_t pairs, size_t samples, size_t exemplars, struct verdict *v)
{
    r->pairs = calloc(pairs + 1, sizeof *r->pairs);
    r->samples = calloc(samples + 1, sizeof *r->samples);
    r->exemplars = calloc(exemplars + 1, sizeof *r->exemplars);
    r->series = calloc(r->series_count + 1, sizeof *r->series);
    r->metadata = calloc(r->metadata_count + 1, sizeof *r->metadata);
    return (r->pairs && r->samples && r->exemplars && r->series && r->metadata) || verdict_nomem(v);
}
