/* Routing, reading the body, answering; pushes meet the gateway's check, then misbehaviour, then the judge. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/receive/http.h"

enum route { ROUTE_NONE, ROUTE_PUSH, ROUTE_READY, ROUTE_STATS, ROUTE_CONTROL };

static const struct path {
    const char *path;
    enum route route;
    const char *methods;
    gcw_signal signal;
    int success;
} paths[] = {
    {"/api/prom/push", ROUTE_PUSH, "POST", GCW_METRICS, 200}, {"/api/v1/push", ROUTE_PUSH, "POST", GCW_METRICS, 200},
    {"/api/v1/write", ROUTE_PUSH, "POST", GCW_METRICS, 204}, /* as Prometheus answers */
    {"/loki/api/v1/push", ROUTE_PUSH, "POST", GCW_LOGS, 204}, {"/ready", ROUTE_READY, "GET", GCW_METRICS, 200},
    {"/stats", ROUTE_STATS, "GET", GCW_METRICS, 200},         {"/control", ROUTE_CONTROL, "GET POST", GCW_METRICS, 200},
};

struct talk {
    const struct path *path; /* NULL = no such path */
    bool method_fits, post;
    bool store_body; /* else it is counted only */
    uint64_t store_max;
    uint64_t slow_read;
    struct buf body;
    uint64_t wire_bytes;
    bool nomem;
    struct auth_answer auth;
};

/* ---- answers
 * --------------------------------------------------------------------------------------------------------- */

struct answer {
    int status;
    const char *type, *retry_after, *allow, *location; /* NULL = no such header */
    char *body;                                        /* malloc()ed, owned; may be NULL */
    size_t size;
    const struct verdict *counts; /* told in headers, as remote write 2.0 has it; NULL = not */
};

static void counts_add(struct MHD_Response *r, const struct verdict *v)
{
    const struct {
        const char *name;
        uint64_t n;
    } rows[] = {{"X-Prometheus-Remote-Write-Samples-Written", v->samples},
                {"X-Prometheus-Remote-Write-Histograms-Written", v->histograms},
                {"X-Prometheus-Remote-Write-Exemplars-Written", v->exemplars}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[24] = {0};
        text_u64(text, rows[i].n);
        MHD_add_response_header(r, rows[i].name, text);
    }
}

static enum MHD_Result answer_send(struct MHD_Connection *c, struct answer *a)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(a->size, a->body, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(a->body);
        return MHD_NO;
    }
    if (a->size > 0)
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, a->type ? a->type : "text/plain; charset=utf-8");
    if (a->retry_after)
        MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, a->retry_after);
    if (a->allow)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, a->allow);
    if (a->location)
        MHD_add_response_header(r, MHD_HTTP_HEADER_LOCATION, a->location);
    if (a->counts)
        counts_add(r, a->counts);
    enum MHD_Result result = MHD_queue_response(c, (unsigned)a->status, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *c, int status, const char *text)
{
    struct answer a = {.status = status, .body = strdup(text)};
    a.size = a.body ? strlen(a.body) : 0;
    return answer_send(c, &a);
}

/* Takes over `json`. */
static enum MHD_Result answer_json(struct MHD_Connection *c, char *json)
{
    struct answer a = {
        .status = json ? 200 : 500, .type = "application/json", .body = json, .size = json ? strlen(json) : 0};
    return answer_send(c, &a);
}

/* A reset, not an orderly end: nothing tells the sender how far we came. Dissolving the association of a TCP socket
 * sends it at once (Linux), before libmicrohttpd would say goodbye. */
static enum MHD_Result cut_off(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    if (info && connect(info->connect_fd, &nobody, sizeof nobody) != 0)
        return MHD_NO; /* gone already */
    return MHD_NO;
}

/* ---- pushes
 * ----------------------------------------------------------------------------------------------------------- */

static const char *header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static void push_begin(struct server *s, struct MHD_Connection *c, struct talk *t)
{
    gcw_signal signal = t->path->signal;
    gcw_error why = {0};
    pthread_mutex_lock(&s->lock);
    if (auth_refresh(&s->settings->auth, &why) != GCW_OK)
        log_line(&s->log, GCW_LOG_ERROR, "receive: credentials not replaced: %s", why.text);
    auth_check(&s->settings->auth, signal, header(c, "Authorization"), header(c, "X-Scope-OrgID"), &t->auth);
    t->slow_read = misbehave_slow_read(&s->settings->misbehave, signal, t->auth.tenant);
    pthread_mutex_unlock(&s->lock);
    t->store_body = !s->settings->discard && t->auth.status == 0;
    t->store_max = s->settings->limits.v[signal == GCW_METRICS ? METRICS_BODY_BYTES : LOGS_BODY_BYTES];
}

static void push_count(struct server *s, struct MHD_Connection *c, const struct talk *t, int status, bool injected)
{
    pthread_mutex_lock(&s->lock);
    struct counters *k = &s->counters;
    k->requests[t->path->signal]++;
    k->bytes_wire += t->wire_bytes;
    k->retry_attempts += header(c, "Retry-Attempt") != NULL;
    k->injected += injected;
    k->auth_failures += t->auth.status != 0;
    if (status == 0)
        k->resets++;
    else
        k->status[status]++;
    pthread_mutex_unlock(&s->lock);
}

/* Whoever counts in 2.0 is told that all was written. */
static void push_discard(const struct push *p, gcw_signal signal, struct verdict *v)
{
    v->counted = signal == GCW_METRICS && rw_version(p, v) == 2;
    v->samples = v->counted ? UINT32_MAX : 0;
    v->text.n = 0;
    v->status = 204;
}

static void push_judge(struct server *s, struct MHD_Connection *c, const struct talk *t, struct verdict *v)
{
    uint64_t attempt = 0;
    const char *retry = header(c, "Retry-Attempt");
    parse_u64(view_of(retry), &attempt);
    struct push p = {
        .body = buf_view(&t->body),
        .content_type = header(c, "Content-Type"),
        .content_encoding = header(c, "Content-Encoding"),
        .version = header(c, "X-Prometheus-Remote-Write-Version"),
        .user_agent = header(c, "User-Agent"),
        .retry_attempt = (unsigned)MIN(attempt, (uint64_t)1000),
        .tenant = t->auth.tenant,
        .now_ns = clock_unix_ns(),
    };
    v->want_records = s->out_fd >= 0;
    if (t->nomem)
        verdict_nomem(v);
    else if (s->settings->discard)
        push_discard(&p, t->path->signal, v);
    else
        server_judge(s, t->path->signal, &p, v);
    if (v->status >= 200 && v->status < 300)
        v->status = t->path->success;
}

static void push_log(struct server *s, const struct talk *t, int status, const struct verdict *v, bool injected)
{
    bool refused = status < 200 || status > 299;
    if (!refused && !s->settings->verbose)
        return;
    char code[16] = "cut off";
    if (status)
        snprintf(code, sizeof code, "%d", status);
    log_line(
        &s->log, refused ? GCW_LOG_WARN : GCW_LOG_INFO,
        "receive: %s %s tenant=%s bytes=%llu samples=%llu histograms=%llu exemplars=%llu metadata=%llu entries=%llu "
        "rejected=%llu%s%s%.*s",
        code, t->path->path, t->auth.tenant, (unsigned long long)t->wire_bytes, (unsigned long long)v->samples,
        (unsigned long long)v->histograms, (unsigned long long)v->exemplars, (unsigned long long)v->metadata,
        (unsigned long long)v->entries, (unsigned long long)v->rejected, injected ? " (as told)" : "",
        v->text.n ? ": " : "", VIEW_ARG(buf_view(&v->text)));
}

/* A body of the size asked for, or the words of the verdict with a newline behind. */
static void answer_fill(struct answer *a, const struct verdict *v, uint64_t filler)
{
    if (filler == 0 && v->text.n == 0)
        return;
    bool newline = !a->type;
    a->size = filler ? (size_t)filler : v->text.n + newline;
    a->body = malloc(a->size);
    if (!a->body) {
        a->size = 0;
        return;
    }
    memset(a->body, '.', a->size);
    memcpy(a->body, v->text.p ? v->text.p : (const uint8_t *)"", MIN(v->text.n, a->size));
    if (newline)
        a->body[a->size - 1] = '\n';
}

static enum MHD_Result push_answer(struct server *s, struct MHD_Connection *c, const struct talk *t,
                                   const struct verdict *v, const struct mischief *m)
{
    char retry_after[16];
    struct answer a = {.status = v->status,
                       .type = t->auth.status && t->auth.text[0] == '{' ? "application/json" : NULL};
    answer_fill(&a, v, m->status ? m->body_bytes : 0);
    a.counts = v->counted ? v : NULL;
    if (v->retry_after) {
        snprintf(retry_after, sizeof retry_after, "%u", v->retry_after);
        a.retry_after = retry_after;
    }
    if (m->status && m->retry_after[0])
        a.retry_after = m->retry_after;
    if (m->status && m->location[0])
        a.location = m->location;
    server_sleep(s, m->latency_ms);
    return answer_send(c, &a);
}

/* What a receiver that knows remote write 1.0 only makes of 2.0: three kinds have been seen. True = that is the answer.
 */
static bool push_not_understood(struct MHD_Connection *c, const struct talk *t, enum misbehave_speaks speaks,
                                struct verdict *v)
{
    static const int status[] = {[SPEAKS_1_SILENT] = 204, [SPEAKS_1_REFUSING] = 415, [SPEAKS_1_COMPLAINING] = 400};
    struct verdict unused = {0};
    const struct push p = {.content_type = header(c, "Content-Type")};
    int version = t->path->signal == GCW_METRICS ? rw_version(&p, &unused) : 0;
    verdict_free(&unused);
    if (speaks == SPEAKS_BOTH || version != 2)
        return false;
    verdict_set(v, status[speaks], "%s", status[speaks] == 204 ? "" : "remote write 1.0 only");
    return true;
}

/* What was told to be answered is a 2.0 receiver's word as well, if 2.0 is what was sent. */
static void count_as_told(struct MHD_Connection *c, const struct talk *t, const struct mischief *m, struct verdict *v)
{
    struct verdict unused = {0};
    const struct push p = {.content_type = header(c, "Content-Type")};
    bool two = t->path->signal == GCW_METRICS && m->speaks == SPEAKS_BOTH && rw_version(&p, &unused) == 2;
    verdict_free(&unused);
    if (!two || v->counted)
        return;
    v->counted = m->status < 500;
    v->samples = m->status < 300 ? UINT32_MAX : 0;
}

static enum MHD_Result push_finish(struct server *s, struct MHD_Connection *c, struct talk *t)
{
    struct verdict v = {0};
    struct mischief m = {0};
    bool cut = false;
    if (t->auth.status) {
        verdict_set(&v, t->auth.status, "%s", t->auth.text);
    } else {
        pthread_mutex_lock(&s->lock);
        m = misbehave_draw(&s->settings->misbehave, t->path->signal, t->auth.tenant, t->wire_bytes);
        pthread_mutex_unlock(&s->lock);
        if (m.reset != RESET_BEFORE && (m.status == 0 || m.process) && !push_not_understood(c, t, m.speaks, &v))
            push_judge(s, c, t, &v);
        if (m.status)
            count_as_told(c, t, &m, &v);
        if (m.status)
            verdict_set(&v, m.status, "%s", m.status < 300 ? "" : "the receiver was told to answer so");
        else if (m.hide && v.status >= 400 && v.samples + v.histograms + v.metadata + v.entries > 0)
            verdict_set(&v, t->path->success, "%s", "");
        if (m.status || v.status < 400)
            v.retry_after = 0;
        cut = m.reset != RESET_NONE;
    }
    push_count(s, c, t, cut ? 0 : v.status, m.status || cut);
    push_log(s, t, cut ? 0 : v.status, &v, m.status || cut);
    enum MHD_Result result = cut ? cut_off(c) : push_answer(s, c, t, &v, &m);
    verdict_free(&v);
    return result;
}

/* ---- control
 * --------------------------------------------------------------------------------------------------------- */

static bool from_loopback(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr)
        return false;
    if (info->client_addr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, info->client_addr, sizeof in);
        return ntohl(in.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, info->client_addr, sizeof in6);
    const uint8_t *b = in6.sin6_addr.s6_addr;
    return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) || (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) && b[12] == 127);
}

struct query {
    struct misbehave *next;
    gcw_error err;
};

static enum MHD_Result query_apply(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct query *q = cls;
    (void)kind;
    return misbehave_set(q->next, view_of(key), view_of(value), &q->err) == GCW_OK ? MHD_YES : MHD_NO;
}

static enum MHD_Result control_finish(struct server *s, struct MHD_Connection *c, const struct talk *t)
{
    if (!from_loopback(c))
        return answer_text(c, 403, "/control answers loopback only\n");
    if (t->post) {
        struct view body = view_trim(buf_view(&t->body));
        bool json = body.n > 0 && body.p[0] == '{';
        pthread_mutex_lock(&s->lock);
        struct misbehave next = s->settings->misbehave;
        struct query q = {.next = &next};
        MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, query_apply, &q);
        if (q.err.code == GCW_OK)
            json ? misbehave_set_json(&next, body, &q.err) : misbehave_set_form(&next, body, &q.err);
        if (q.err.code == GCW_OK)
            s->settings->misbehave = next;
        pthread_mutex_unlock(&s->lock);
        if (q.err.code != GCW_OK) {
            char text[GCW_ERROR_TEXT + 1];
            snprintf(text, sizeof text, "%s\n", q.err.text);
            return answer_text(c, 400, text);
        }
    }
    return answer_json(c, server_control(s));
}

/* ---- the course of a request
 * ------------------------------------------------------------------------------------------ */

static struct talk *talk_begin(struct server *s, struct MHD_Connection *c, const char *url, const char *method)
{
    struct talk *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    atomic_fetch_add(&s->active, 1);
    atomic_store(&s->last_ms, clock_mono_ms());
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (strcmp(url, paths[i].path) == 0)
            t->path = &paths[i];
    t->post = strcmp(method, "POST") == 0;
    t->method_fits = t->path && (t->post || strcmp(method, "GET") == 0) && strstr(t->path->methods, method);
    if (t->method_fits && t->path->route == ROUTE_PUSH)
        push_begin(s, c, t);
    t->store_body |= t->method_fits && t->path->route == ROUTE_CONTROL;
    if (t->method_fits && t->path->route == ROUTE_CONTROL)
        t->store_max = 64 * KIB;
    return t;
}

/* Of a body that is too large one byte more than is allowed is kept: enough for the judge to see it. */
static void talk_read(struct server *s, struct talk *t, const char *data, size_t n)
{
    t->wire_bytes += n;
    size_t room = t->store_max ? (size_t)t->store_max + 1 - t->body.n : n;
    if (t->store_body && !t->nomem && !buf_append(&t->body, data, MIN(n, room)))
        t->nomem = true;
    if (t->slow_read)
        server_sleep(s, n * 1000 / t->slow_read + 1);
}

static enum MHD_Result talk_finish(struct server *s, struct MHD_Connection *c, struct talk *t)
{
    if (t->path && t->method_fits && t->path->route == ROUTE_PUSH)
        return push_finish(s, c, t);
    pthread_mutex_lock(&s->lock);
    s->counters.other_requests++;
    pthread_mutex_unlock(&s->lock);
    if (!t->path)
        return answer_text(c, 404, "404 page not found\n");
    if (!t->method_fits) {
        struct answer a = {.status = 405, .allow = t->path->methods, .body = strdup("method not allowed\n")};
        a.size = a.body ? strlen(a.body) : 0;
        return answer_send(c, &a);
    }
    if (t->path->route == ROUTE_CONTROL)
        return control_finish(s, c, t);
    return t->path->route == ROUTE_STATS ? answer_json(c, server_stats(s)) : answer_text(c, 200, "ready\n");
}

enum MHD_Result http_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                             const char *version, const char *data, size_t *data_size, void **talk)
{
    struct server *s = cls;
    struct talk *t = *talk;
    (void)version;
    if (!t) {
        *talk = talk_begin(s, c, url, method);
        return *talk ? MHD_YES : MHD_NO;
    }
    if (*data_size > 0) {
        talk_read(s, t, data, *data_size);
        *data_size = 0;
        return MHD_YES;
    }
    return talk_finish(s, c, t);
}

void http_done(void *cls, struct MHD_Connection *c, void **talk, enum MHD_RequestTerminationCode why)
{
    struct server *s = cls;
    struct talk *t = *talk;
    (void)c;
    (void)why;
    if (!t)
        return;
    if (t->path && t->method_fits && t->path->route == ROUTE_PUSH)
        atomic_fetch_add(&s->pushes, 1);
    buf_free(&t->body);
    free(t);
    *talk = NULL;
    atomic_store(&s->last_ms, clock_mono_ms());
    atomic_fetch_sub(&s->active, 1);
    const uint64_t one = 1;
    if (write(s->wake_fd, &one, sizeof one) < 0)
        return; /* full: the main thread is awake anyway */
}

void http_connection(void *cls, struct MHD_Connection *c, void **socket, enum MHD_ConnectionNotificationCode what)
{
    struct server *s = cls;
    (void)c;
    (void)socket;
    if (what != MHD_CONNECTION_NOTIFY_STARTED)
        return;
    pthread_mutex_lock(&s->lock);
    s->counters.connections++;
    pthread_mutex_unlock(&s->lock);
}
