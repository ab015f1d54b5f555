/* The table of answers: what came back -> what to do, first match wins. Statuses and texts are those of Mimir, Loki,
 * Prometheus and the Grafana Cloud gateway; each row says where that is known from. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "deliver/deliver.h"

#define METRICS (1u << GCW_METRICS)
#define LOGS    (1u << GCW_LOGS)
#define BOTH    (METRICS | LOGS)

#define CHECK_CREDENTIALS                                                                                              \
    "check the tenant (metrics and logs have different ones), the token, its scope (metrics:write or logs:write) and " \
    "the region of the URL"
#define CHECK_URL                                                                                                      \
    "check the URL: remote write is usually /api/prom/push (Grafana Cloud), /api/v1/push (Mimir) or /api/v1/write "    \
    "(Prometheus), Loki /loki/api/v1/push"

#define CHECK_PROTOCOL "set metrics_protocol to auto or 1.0"

#define ALL_OR_NOTHING "refused by a receiver that takes all of a 1.0 request or nothing of it"
#define WRITE_HANDLER                                                                                                  \
    "prometheus storage/remote/write_handler.go rolls back; the words are those of storage/interface.go"

static const struct answer_row rows[] = {
    {METRICS, END_ANSWERED, 200, 299, NULL, SPOKEN_2_SILENT, ACTION_FALL_BACK,
     "a success without the counts that come with remote write 2.0: taken for a 1.0 receiver that found nothing in it",
     CHECK_PROTOCOL, "Remote-Write 2.0, Required Written Response Headers"},
    {METRICS, END_ANSWERED, 202, 202, NULL, SPOKEN_ANY, ACTION_DELIVERED,
     "accepted; Mimir says 202 when it leaves the data to another replica", NULL,
     "grafana/mimir pkg/distributor/push.go"},
    {METRICS, END_ANSWERED, 200, 299, NULL, SPOKEN_2_COUNTED, ACTION_DELIVERED,
     "accepted, as far as counted as written", NULL, "Remote-Write 2.0, Required Written Response Headers"},
    {METRICS, END_ANSWERED, 200, 299, NULL, SPOKEN_ANY, ACTION_DELIVERED, "accepted", NULL,
     "Remote-Write 1.0, Retries & backoff"},
    {LOGS, END_ANSWERED, 204, 204, NULL, SPOKEN_ANY, ACTION_DELIVERED, "accepted", NULL,
     "grafana/loki pkg/distributor/http.go"},
    {LOGS, END_ANSWERED, 200, 200, NULL, SPOKEN_ANY, ACTION_DELIVERED, "accepted, by a proxy's word", NULL,
     "grafana/loki pkg/distributor/http.go"},
    {LOGS, END_ANSWERED, 260, 260, NULL, SPOKEN_ANY, ACTION_PARK,
     "the operator blocks ingestion for this tenant; the data is kept until the block ends",
     "ask the operator until when ingestion is blocked", "grafana/loki pkg/validation, blocked ingestion"},
    {LOGS, END_ANSWERED, 201, 299, NULL, SPOKEN_ANY, ACTION_PARK,
     "a success that Loki does not send: not taken as delivered", CHECK_URL, "grafana/loki pkg/distributor/http.go"},
    {BOTH, END_ANSWERED, 300, 399, NULL, SPOKEN_ANY, ACTION_PARK, "redirected; credentials are not sent on", CHECK_URL,
     "RFC 9110 15.4"},

    {BOTH, END_ANSWERED, 400, 400, "SSL certificate", SPOKEN_ANY, ACTION_PARK,
     "the receiver wants a client certificate", "check client_cert and client_key",
     "nginx ngx_http_special_response.c, codes 495 and 496"},
    {BOTH, END_ANSWERED, 400, 400, "plain HTTP request was sent to HTTPS port", SPOKEN_ANY, ACTION_PARK,
     "the receiver speaks TLS there", "check the URL: https is wanted", "nginx ngx_http_special_response.c, code 497"},
    {BOTH, END_ANSWERED, 400, 400, "Client sent an HTTP request to an HTTPS server", SPOKEN_ANY, ACTION_PARK,
     "the receiver speaks TLS there", "check the URL: https is wanted", "Go net/http, server.go"},
    {METRICS, END_ANSWERED, 400, 400, "err-mimir-distributor-max-write-message-size", SPOKEN_ANY, ACTION_SPLIT,
     "larger than the receiver takes", NULL, "grafana/mimir pkg/distributor/push.go"},
    /* said as well when what one request holds for a partition is more than the broker takes at a time */
    {METRICS, END_ANSWERED, 400, 400, "err-mimir-distributor-max-write-request-data-item-size", SPOKEN_ANY,
     ACTION_SPLIT, "more at a time than what stands behind the receiver takes", NULL,
     "grafana/mimir pkg/storage/ingest/writer.go, produceResultsErr"},
    {METRICS, END_ANSWERED, 400, 400, "err-mimir-tenant-too-many-ha-clusters", SPOKEN_ANY, ACTION_REJECT,
     "refused whole", NULL, "grafana/mimir pkg/distributor"},
    {METRICS, END_ANSWERED, 400, 400, "err-mimir-", SPOKEN_ANY, ACTION_PARTIAL, "the valid part was kept", NULL,
     "grafana/mimir pkg/distributor/distributor.go, soft errors"},
    {METRICS, END_ANSWERED, 400, 400, "received message larger than max", SPOKEN_ANY, ACTION_SPLIT,
     "larger than the receiver takes", NULL, "cortexproject/cortex pkg/util/http.go"},
    /* to 2.0 it counts zero as written then, and has kept the rest all the same */
    {METRICS, END_ANSWERED, 400, 400, ": err: ", SPOKEN_ANY, ACTION_PARTIAL, "the valid part was kept", NULL,
     "cortexproject/cortex pkg/ingester/ingester.go, handleAppendFailure"},
    {METRICS, END_ANSWERED, 400, 400, "series limit of ", SPOKEN_ANY, ACTION_PARTIAL,
     "samples of the series already known were kept", NULL, "cortexproject/cortex pkg/ingester/limiter.go"},
    {METRICS, END_ANSWERED, 400, 400, NULL, SPOKEN_2_COUNTED, ACTION_PARTIAL, "what is counted as written was kept",
     NULL, "Remote-Write 2.0, Partial Write; prometheus storage/remote/write_handler.go"},
    {METRICS, END_ANSWERED, 400, 400, NULL, SPOKEN_2_UNPROVEN, ACTION_FALL_BACK,
     "may be a 1.0 receiver's word on a 2.0 request", CHECK_PROTOCOL, "1.x receivers; grafana/mimir pkg/distributor"},
    {METRICS, END_ANSWERED, 400, 400, "(actual: ", SPOKEN_ANY, ACTION_PARTIAL, "the valid part was kept", NULL,
     "cortexproject/cortex pkg/util/validation/errors.go"},
    {METRICS, END_ANSWERED, 400, 400, "timestamp too ", SPOKEN_ANY, ACTION_PARTIAL, "the valid part was kept", NULL,
     "cortexproject/cortex pkg/util/validation/errors.go"},
    {METRICS, END_ANSWERED, 400, 400, "^out of order sample", SPOKEN_1, ACTION_SIFT, ALL_OR_NOTHING, NULL,
     WRITE_HANDLER},
    {METRICS, END_ANSWERED, 400, 400, "^duplicate sample for timestamp", SPOKEN_1, ACTION_SIFT, ALL_OR_NOTHING, NULL,
     WRITE_HANDLER},
    {METRICS, END_ANSWERED, 400, 400, "^out of bounds", SPOKEN_1, ACTION_SIFT, ALL_OR_NOTHING, NULL, WRITE_HANDLER},
    {METRICS, END_ANSWERED, 400, 400, "^too old sample", SPOKEN_1, ACTION_SIFT, ALL_OR_NOTHING, NULL, WRITE_HANDLER},
    {METRICS, END_ANSWERED, 400, 400, NULL, SPOKEN_ANY, ACTION_REJECT, "refused whole: never to be sent again", NULL,
     "Remote-Write 1.0; prometheus storage/remote/write_handler.go rolls back"},
    {LOGS, END_ANSWERED, 400, 400, "total ignored: ", SPOKEN_ANY, ACTION_PARTIAL, "the valid part was kept", NULL,
     "grafana/loki pkg/ingester/stream.go"},
    {LOGS, END_ANSWERED, 400, 400, "entry for stream ", SPOKEN_ANY, ACTION_PARTIAL, "the valid part was kept", NULL,
     "grafana/loki pkg/validation/validate.go"},
    {LOGS, END_ANSWERED, 400, 400, "max entry size ", SPOKEN_ANY, ACTION_PARTIAL, "the valid part was kept", NULL,
     "grafana/loki pkg/validation/validate.go"},
    {LOGS, END_ANSWERED, 400, 400, "stream '", SPOKEN_ANY, ACTION_PARTIAL, "the valid part was kept", NULL,
     "grafana/loki pkg/validation/validate.go"},
    {LOGS, END_ANSWERED, 400, 400, "too far behind", SPOKEN_ANY, ACTION_PARTIAL, "the valid part was kept", NULL,
     "grafana/loki pkg/chunkenc/interface.go"},
    {LOGS, END_ANSWERED, 400, 400, NULL, SPOKEN_ANY, ACTION_REJECT, "refused whole: never to be sent again", NULL,
     "grafana/loki pkg/loghttp/push/push.go"},

    {BOTH, END_ANSWERED, 401, 401, NULL, SPOKEN_ANY, ACTION_PARK, "not authenticated, or the token lacks the scope",
     CHECK_CREDENTIALS, "Grafana Cloud, Authentication error bodies"},
    {BOTH, END_ANSWERED, 403, 403, NULL, SPOKEN_ANY, ACTION_PARK, "forbidden", CHECK_CREDENTIALS,
     "gateways in front of Mimir and Loki"},
    {BOTH, END_ANSWERED, 404, 404, NULL, SPOKEN_ANY, ACTION_PARK, "not found", CHECK_URL,
     "gateways in front of Mimir and Loki"},
    {BOTH, END_ANSWERED, 405, 405, NULL, SPOKEN_ANY, ACTION_PARK, "the URL takes no pushes", CHECK_URL,
     "RFC 9110 15.5.6"},
    {BOTH, END_ANSWERED, 407, 407, NULL, SPOKEN_ANY, ACTION_PARK, "the proxy wants credentials", "check the proxy",
     "RFC 9110 15.5.8"},
    {BOTH, END_ANSWERED, 408, 408, NULL, SPOKEN_ANY, ACTION_RETRY, "the receiver waited too long for the request", NULL,
     "RFC 9110 15.5.9"},
    {BOTH, END_ANSWERED, 413, 413, NULL, SPOKEN_ANY, ACTION_SPLIT, "larger than the receiver takes", NULL,
     "RFC 9110 15.5.14; grafana/loki pkg/loghttp/push/push.go"},
    {METRICS, END_ANSWERED, 415, 415, NULL, SPOKEN_2, ACTION_FALL_BACK, "the receiver does not know remote write 2.0",
     CHECK_PROTOCOL, "Remote-Write 2.0, Protobuf Message"},
    {BOTH, END_ANSWERED, 425, 425, NULL, SPOKEN_ANY, ACTION_RETRY, "too early", NULL, "RFC 8470"},
    /* sent again it would be refused again, and hold up the series that are known, until others have been idle */
    {METRICS, END_ANSWERED, 429, 429, "err-mimir-max-active-series", SPOKEN_ANY, ACTION_PARTIAL,
     "too many active series: samples of the series already known were kept", NULL,
     "grafana/mimir pkg/distributor/distributor.go, prePushMaxSeriesLimitMiddleware"},
    {BOTH, END_ANSWERED, 429, 429, NULL, SPOKEN_ANY, ACTION_ABATE, "rate limited", NULL,
     "Remote-Write 1.0; Loki and Mimir limits"},
    {BOTH, END_ANSWERED, 499, 499, NULL, SPOKEN_ANY, ACTION_RETRY,
     "the receiver took the request for cancelled: no word on the data", NULL, "grafana/mimir pkg/distributor/push.go"},
    {METRICS, END_ANSWERED, 400, 499, NULL, SPOKEN_2_UNPROVEN, ACTION_FALL_BACK,
     "may be a 1.0 receiver's word on a 2.0 request", CHECK_PROTOCOL, "RFC 9110 15.5: 406, 422 for an unknown content"},
    {BOTH, END_ANSWERED, 400, 499, NULL, SPOKEN_ANY, ACTION_REJECT, "refused: never to be sent again", NULL,
     "Remote-Write 1.0"},
    {METRICS, END_ANSWERED, 501, 501, NULL, SPOKEN_ANY, ACTION_PARK, "the URL takes no pushes", CHECK_URL,
     "grafana/mimir: method not allowed"},
    {BOTH, END_ANSWERED, 500, 500, NULL, SPOKEN_ANY, ACTION_ABATE, "the receiver is in trouble", NULL,
     "Remote-Write 1.0: MUST retry; Loki answers 500 where a message between its parts is too large"},
    {BOTH, END_ANSWERED, 529, 529, NULL, SPOKEN_ANY, ACTION_ABATE, "rate limited", NULL,
     "grafana/mimir pkg/distributor/errors.go: 529 for 429 where so configured"},
    {BOTH, END_ANSWERED, 501, 599, NULL, SPOKEN_ANY, ACTION_RETRY, "the receiver is in trouble", NULL,
     "Remote-Write 1.0: MUST retry"},
    {BOTH, END_ANSWERED, 0, 999, NULL, SPOKEN_ANY, ACTION_RETRY, "an answer without meaning here", NULL, "RFC 9110 15"},
    {BOTH, END_NOT_SENT, 0, 0, "SSL certificate problem", SPOKEN_ANY, ACTION_RETRY, "its certificate is not trusted",
     "check ca_file, if the certificate is of an authority of your own", "curl lib/vtls/openssl.c"},
    {BOTH, END_NOT_SENT, 0, 0, NULL, SPOKEN_ANY, ACTION_RETRY, "not reached", NULL, "transport"},
    {BOTH, END_AMBIGUOUS, 0, 0, NULL, SPOKEN_ANY, ACTION_RETRY,
     "no answer: it may have been taken, the same bytes go again", NULL, "transport"},
    {BOTH, END_REFUSED, 0, 0, NULL, SPOKEN_ANY, ACTION_PARK, "not sent", CHECK_CREDENTIALS, "net/"},
};

const struct answer_row *answer_rows(size_t *count)
{
    *count = ARRAY_LEN(rows);
    return rows;
}

const char *action_name(enum action a)
{
    static const char *const names[] = {"delivered", "partial", "reject", "retry",    "abate",
                                        "split",     "sift",    "park",   "fall back"};
    return names[a];
}

/* ---- reading an answer --------------------------------------------------------------------------------------- */

/* Seconds, or an HTTP date; anything else, and what lies in the past, is 0. */
static uint64_t retry_after_ms(const char *text, int64_t now_unix_ms)
{
    uint64_t seconds;
    struct view v = view_trim(view_of(text));
    if (v.n == 0)
        return 0;
    if (parse_u64(v, &seconds))
        return seconds > UINT64_MAX / 1000 ? UINT64_MAX : seconds * 1000;
    static const char *const months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm = {0};
    char month[4];
    /* strptime() would read names in the host's locale */
    if (sscanf(text, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &tm.tm_mday, month, &tm.tm_year, &tm.tm_hour, &tm.tm_min,
               &tm.tm_sec) != 6)
        return 0;
    const char *at = strstr(months, month);
    if (!at || strlen(month) != 3 || (at - months) % 3 != 0)
        return 0;
    tm.tm_mon = (int)(at - months) / 3;
    tm.tm_year -= 1900;
    int64_t when = (int64_t)timegm(&tm) * 1000;
    return when > now_unix_ms ? (uint64_t)(when - now_unix_ms) : 0;
}

/* Sum of the numbers behind each `before` that are followed by `after`. */
static uint64_t sum_numbers(const char *text, const char *before, const char *after)
{
    uint64_t sum = 0;
    for (const char *p = text; (p = strstr(p, before));) {
        char *end;
        p += strlen(before);
        unsigned long long n = strtoull(p, &end, 10);
        if (end != p && strncmp(end, after, strlen(after)) == 0 && n <= UINT32_MAX)
            sum += n;
    }
    return sum;
}

static uint64_t count_of(const char *text, const char *what)
{
    uint64_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++)
        n++;
    return n;
}

/* Mimir gives the number of entries that it refused and that of all: so many of the records, rounded up. */
static uint64_t lost_to_series_limit(const struct sealed *s, const char *text)
{
    uint64_t refused = sum_numbers(text, ". ", " series were rejected from this request");
    uint64_t all = sum_numbers(text, " from this request of a total of ", " ");
    return refused < all ? (refused * s->records + all - 1) / all : refused > 0 ? s->records : 0;
}

/* What the receiver says it left out. Loki gives numbers, Mimir names the first only: then at least one. */
static uint64_t lost_of(const struct sealed *s, const char *text)
{
    uint64_t lost = sum_numbers(text, "total ignored: ", " out of ");
    if (s->signal == GCW_METRICS)
        lost += lost_to_series_limit(s, text);
    if (s->signal == GCW_LOGS && lost == 0) {
        uint64_t plain = count_of(text, "; ") + 1;
        lost = 0;
        for (const char *p = strstr(text, " errors like: "); p; p = strstr(p + 1, " errors like: ")) {
            const char *q = p;
            while (q > text && q[-1] >= '0' && q[-1] <= '9')
                q--;
            lost += strtoull(q, NULL, 10);
        }
        lost = MAX(lost, plain);
    }
    return MIN(MAX(lost, (uint64_t)1), s->records);
}

static bool spoken_as(enum spoken wanted, const struct sealed *s, const struct answer *a, bool proven)
{
    bool two = s->protocol == PROTOCOL_RW2;
    switch (wanted) {
    case SPOKEN_ANY:
        break;
    case SPOKEN_1:
        return !two;
    case SPOKEN_2:
        return two;
    case SPOKEN_2_COUNTED:
        return two && a->counted;
    case SPOKEN_2_SILENT:
        return two && !a->counted;
    case SPOKEN_2_UNPROVEN:
        return two && !a->counted && !proven;
    }
    return true;
}

static bool body_matches(const char *wanted, const char *text)
{
    if (*wanted == '^')
        return strncmp(text, wanted + 1, strlen(wanted + 1)) == 0;
    return strstr(text, wanted) != NULL;
}

static bool row_matches(const struct answer_row *r, const struct sealed *s, const struct answer *a, bool proven)
{
    if (!(r->signals & (1u << s->signal)) || r->end != a->end)
        return false;
    if (a->end == END_ANSWERED && (a->status < r->status_min || a->status > r->status_max))
        return false;
    return (!r->body || body_matches(r->body, a->text)) && spoken_as(r->spoken, s, a, proven);
}

struct verdict answer_judge(const struct sealed *s, const struct answer *a, bool proven, int64_t now_unix_ms)
{
    size_t i = 0;
    while (i < ARRAY_LEN(rows) && !row_matches(&rows[i], s, a, proven))
        i++;
    ENSURE(i < ARRAY_LEN(rows)); /* the table has a row for everything */
    // cppcheck-suppress arrayIndexOutOfBoundsCond ; ENSURE() does not return
    struct verdict v = {.action = rows[i].action, .row = &rows[i]};
    if (rows[i].spoken == SPOKEN_2_COUNTED)
        v.lost = s->records - MIN(a->written, s->records);
    else if (v.action == ACTION_PARTIAL)
        v.lost = lost_of(s, a->text);
    if (a->end == END_ANSWERED)
        v.retry_after_ms = retry_after_ms(a->retry_after, now_unix_ms);
    return v;
}
