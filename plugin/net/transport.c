/* HTTP through libcurl's multi interface. A transfer is one request on its way; its easy handle goes back to a small
 * pool afterwards, so that options are set once and connections live on in the multi handle. */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "net/connections.h"
#include "net/private.h"

#define BODY_READ_MAX (64 * KIB) /* of an answer; what is longer ends the connection, not the verdict */

struct transfer {
    struct transfer *next;
    CURL *easy;
    CURLM *multi; /* where it is under way */
    struct transport *owner;
    struct curl_slist *headers;
    const struct sealed *request;
    CURLcode code;
    size_t body_read;
    size_t text_len;
    char text[ANSWER_TEXT];
    char retry_after[64];
    bool counted;
    uint64_t written;
    char error[CURL_ERROR_SIZE];
};

struct transport {
    struct connections connections;
    struct logger log;
    struct credentials *credentials;
    struct {
        char *url;
        enum auth_kind auth;
        bool local, tls;
    } endpoint[GCW_SIGNALS];
    char *agent, *proxy, *ca_file, *client_cert, *client_key, *http_version, *tls_min;
    struct curl_slist *own_headers;
    bool tls_verify, trace, unauthorized;
    uint64_t connect_timeout_ms, request_timeout_ms, lifetime_ms;
    struct transfer *flying, *pool;
    uint64_t sent[GCW_SIGNALS];
};

/* ---- libcurl's global state: initialised once, never cleaned up, as it may be the host's too ------------------ */

static void global_init(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

static void curl_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
}

/* ---- callbacks --------------------------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t len = size * n, keep = MIN(len, sizeof t->text - t->text_len);
    memcpy(t->text + t->text_len, data, keep);
    t->text_len += keep;
    t->body_read += len;
    return t->body_read > BODY_READ_MAX ? 0 : len; /* 0 ends the transfer; the status is known by now */
}

/* The value of the header `name`, with a colon, if that is what the line is. */
static bool header_is(const char *data, size_t len, const char *name, struct view *value)
{
    size_t n = strlen(name);
    if (len <= n || strncasecmp(data, name, n) != 0)
        return false;
    *value = view_trim(view_make(data + n, len - n));
    return true;
}

/* How much a receiver of remote write 2.0 has written; exemplars are no records, but they show what it speaks. */
static void written_note(struct transfer *t, const char *data, size_t len)
{
    static const char *const names[] = {
        "x-prometheus-remote-write-samples-written:", "x-prometheus-remote-write-histograms-written:",
        "x-prometheus-remote-write-exemplars-written:"};
    struct view v;
    uint64_t n;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (header_is(data, len, names[i], &v) && parse_u64(v, &n)) {
            t->counted = true;
            t->written += i < 2 ? MIN(n, (uint64_t)UINT32_MAX) : 0;
        }
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    struct view v;
    size_t len = size * n;
    if (len > 5 && memcmp(data, "HTTP/", 5) == 0) { /* what stood before belongs to a proxy's or informational answer */
        t->retry_after[0] = 0;
        t->counted = false;
        t->written = 0;
    }
    if (header_is(data, len, "retry-after:", &v))
        text_clean(t->retry_after, sizeof t->retry_after, v.p, v.n);
    written_note(t, data, len);
    return len;
}

/* Cuts a line behind the name of a header whose value is nobody else's business: those with credentials, and all that
 * the user added. Not only at its start: libcurl also writes of headers in its remarks. */
static void blank_header(const struct transport *t, char *line)
{
    static const char *const names[] = {"authorization:", "proxy-authorization:", "cookie:", "set-cookie:"};
    char *at = NULL;
    for (size_t i = 0; i < ARRAY_LEN(names) && !at; i++)
        if ((at = strcasestr(line, names[i])))
            at += strlen(names[i]);
    for (const struct curl_slist *h = t->own_headers; h && !at; h = h->next) {
        size_t n = strcspn(h->data, ":") + 1;
        for (char *p = line; *p && !at; p++)
            if (strncasecmp(p, h->data, n) == 0)
                at = p + n;
    }
    if (at)
        *at = 0;
}

/* One header line or remark of curl's, with everything secret blanked. Bodies are not logged. */
static int on_debug(CURL *easy, curl_infotype type, char *data, size_t n, void *ctx)
{
    static const char *const marks[] = {[CURLINFO_TEXT] = "*", [CURLINFO_HEADER_IN] = "<", [CURLINFO_HEADER_OUT] = ">"};
    struct transport *t = ctx;
    char text[512];
    (void)easy;
    if (type != CURLINFO_TEXT && type != CURLINFO_HEADER_IN && type != CURLINFO_HEADER_OUT)
        return 0;
    char *copy = malloc(n + 1);
    if (!copy)
        return 0;
    memcpy(copy, data, n);
    copy[n] = 0;
    credentials_redact(t->credentials, copy, n);
    char *rest = copy;
    for (char *line; (line = strsep(&rest, "\r\n"));) {
        blank_header(t, line);
        text_clean(text, sizeof text, line, strlen(line));
        if (*text)
            log_line(&t->log, GCW_LOG_DEBUG, "http: %s %s", marks[type], text);
    }
    explicit_bzero(copy, n);
    free(copy);
    return 0;
}

/* ---- transfers -----------------------------------------------------------------------------------------------------
 */

static long http_version_of(const char *text)
{
    return strcmp(text, "1.1") == 0 ? CURL_HTTP_VERSION_1_1
           : strcmp(text, "2") == 0 ? CURL_HTTP_VERSION_2_0
                                    : CURL_HTTP_VERSION_2TLS;
}

static void easy_setup(struct transport *t, struct transfer *x)
{
    CURL *e = x->easy;
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L); /* credentials go nowhere else */
    curl_easy_setopt(e, CURLOPT_POST, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)t->connect_timeout_ms);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)t->request_timeout_ms);
    curl_easy_setopt(e, CURLOPT_MAXLIFETIME_CONN, (long)MAX(t->lifetime_ms / 1000, 1));
    curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, (long)MAX(t->lifetime_ms / 1000, 1));
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, http_version_of(t->http_version));
    curl_easy_setopt(e, CURLOPT_SSLVERSION,
                     (long)(strcmp(t->tls_min, "1.3") == 0 ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, t->tls_verify ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, t->tls_verify ? 2L : 0L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, t->agent);
    if (*t->ca_file) {
        curl_easy_setopt(e, CURLOPT_CAINFO, t->ca_file);
        curl_easy_setopt(e, CURLOPT_CAPATH, NULL); /* else libcurl trusts the system's folder beside it */
    }
    if (*t->client_cert) {
        curl_easy_setopt(e, CURLOPT_SSLCERT, t->client_cert);
        curl_easy_setopt(e, CURLOPT_SSLKEY, t->client_key);
    }
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->error);
    curl_easy_setopt(e, CURLOPT_PRIVATE, x);
    if (t->trace) {
        curl_easy_setopt(e, CURLOPT_DEBUGFUNCTION, on_debug);
        curl_easy_setopt(e, CURLOPT_DEBUGDATA, t);
        curl_easy_setopt(e, CURLOPT_VERBOSE, 1L);
    }
}

static struct transfer *transfer_take(struct transport *t)
{
    struct transfer *x = t->pool;
    if (x) {
        t->pool = x->next;
        return x;
    }
    if (!(x = calloc(1, sizeof *x)) || !(x->easy = curl_easy_init())) {
        free(x);
        return NULL;
    }
    x->owner = t;
    easy_setup(t, x);
    return x;
}

static void transfer_free(struct transfer *x)
{
    curl_easy_cleanup(x->easy);
    curl_slist_free_all(x->headers);
    free(x);
}

static bool header_add(struct transfer *x, const char *name, const char *value)
{
    char line[256];
    snprintf(line, sizeof line, "%s: %s", name, value);
    struct curl_slist *more = curl_slist_append(x->headers, line);
    if (more)
        x->headers = more;
    return more != NULL;
}

static bool headers_set(struct transport *t, struct transfer *x, unsigned attempt)
{
    const struct sealed *s = x->request;
    char number[12];
    bool ok = header_add(x, "Content-Type", protocol_content_type(s->protocol)) && header_add(x, "Expect", "");
    if (encoding_name(s->encoding))
        ok = ok && header_add(x, "Content-Encoding", encoding_name(s->encoding));
    if (s->signal == GCW_METRICS) {
        ok = ok && header_add(x, "X-Prometheus-Remote-Write-Version", protocol_version(s->protocol));
        if (attempt > 0) { /* Mimir derives its Retry-After from it */
            snprintf(number, sizeof number, "%u", attempt);
            ok = ok && header_add(x, "Retry-Attempt", number);
        }
    }
    if (t->endpoint[s->signal].auth == AUTH_TENANT && *s->tenant)
        ok = ok && header_add(x, "X-Scope-OrgID", s->tenant);
    for (struct curl_slist *h = t->own_headers; h && ok; h = h->next) {
        struct curl_slist *more = curl_slist_append(x->headers, h->data);
        ok = more != NULL;
        x->headers = more ? more : x->headers;
    }
    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers);
    return ok;
}

/* libcurl builds the Authorization header itself, so that it is in no list of ours. */
static bool auth_set(struct transport *t, struct transfer *x)
{
    enum auth_kind auth = t->endpoint[x->request->signal].auth;
    const char *token = credentials_token(t->credentials);
    CURLcode code = CURLE_OK;
    curl_easy_setopt(x->easy, CURLOPT_HTTPAUTH, 0L);
    if (auth == AUTH_BASIC) {
        curl_easy_setopt(x->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        code = curl_easy_setopt(x->easy, CURLOPT_USERNAME, x->request->tenant);
        if (code == CURLE_OK)
            code = curl_easy_setopt(x->easy, CURLOPT_PASSWORD, token);
    } else if (auth == AUTH_BEARER || (auth == AUTH_TENANT && *token)) {
        curl_easy_setopt(x->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        code = curl_easy_setopt(x->easy, CURLOPT_XOAUTH2_BEARER, token);
    }
    return code == CURLE_OK;
}

/* Takes the secrets out of the handle again: a pooled one holds none. */
static void transfer_give(struct transport *t, struct transfer *x)
{
    curl_easy_setopt(x->easy, CURLOPT_USERNAME, NULL);
    curl_easy_setopt(x->easy, CURLOPT_PASSWORD, NULL);
    curl_easy_setopt(x->easy, CURLOPT_XOAUTH2_BEARER, NULL);
    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, NULL);
    curl_slist_free_all(x->headers);
    x->headers = NULL;
    x->request = NULL;
    x->next = t->pool;
    t->pool = x;
}

/* NULL: as the environment says. But what is meant for this host goes to no other: a token may be in it, in clear. */
static const char *proxy_for(const struct transport *t, gcw_signal signal)
{
    if (*t->proxy)
        return t->proxy;
    return t->endpoint[signal].local ? "" : NULL;
}

bool transport_send(struct transport *t, const struct sealed *s, unsigned attempt)
{
    struct transfer *x = transfer_take(t);
    if (!x)
        return false;
    x->request = s;
    x->body_read = x->text_len = 0;
    x->retry_after[0] = x->error[0] = 0;
    x->counted = false;
    x->written = 0;
    curl_easy_setopt(x->easy, CURLOPT_URL, t->endpoint[s->signal].url);
    /* over TLS learn first whether one connection does for all, as handshakes cost; without it only an answer would
     * tell */
    curl_easy_setopt(x->easy, CURLOPT_PIPEWAIT, (long)t->endpoint[s->signal].tls);
    curl_easy_setopt(x->easy, CURLOPT_PROXY, proxy_for(t, s->signal));
    curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->len);
    curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, (const void *)s->body); /* not copied */
    if (!headers_set(t, x, attempt) || !auth_set(t, x) || !(x->multi = connections_add(&t->connections, x->easy))) {
        transfer_give(t, x);
        return false;
    }
    x->next = t->flying;
    t->flying = x;
    return true;
}

/* ---- answers
 * --------------------------------------------------------------------------------------------------------- */

/* The status of a final answer, 0 if there is none. A body that was cut, by them or by us, does not change what the
 * status said; but a yes that came before the request was through is none. */
static int status_of(const struct transfer *x, bool sent)
{
    long status = 0, tunnel = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(x->easy, CURLINFO_HTTP_CONNECTCODE, &tunnel);
    if (!sent)
        return tunnel == 407 ? 407 : 0; /* other trouble of a proxy passes; this wants somebody to look */
    bool through = x->code == CURLE_OK || x->code == CURLE_WRITE_ERROR || x->code == CURLE_PARTIAL_FILE;
    return status >= 300 || (status >= 200 && through) ? (int)status : 0;
}

static void answer_fill(struct transport *t, struct transfer *x, struct answer *a)
{
    curl_off_t uploaded = 0, began_us = 0;
    curl_easy_getinfo(x->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    /* from then on bytes may have gone out: through the tunnel and TLS, if any, and also over a connection that broke
     * before libcurl tried another */
    curl_easy_getinfo(x->easy, CURLINFO_PRETRANSFER_TIME_T, &began_us);
    t->sent[x->request->signal] += (uint64_t)uploaded;
    *a = (struct answer){.status = status_of(x, began_us > 0)};
    if (a->status) {
        a->end = END_ANSWERED;
        memcpy(a->retry_after, x->retry_after, sizeof a->retry_after);
        a->counted = x->counted;
        a->written = x->written;
        credentials_redact(t->credentials, x->text, x->text_len);
        text_clean(a->text, sizeof a->text, x->text, x->text_len);
        t->unauthorized |= a->status == 401 || a->status == 403;
        return;
    }
    a->end = began_us > 0 ? END_AMBIGUOUS : END_NOT_SENT;
    const char *words = *x->error ? x->error : curl_easy_strerror(x->code);
    text_clean(a->text, sizeof a->text, words, strlen(words));
}

static void unlink_flying(struct transport *t, const struct transfer *x)
{
    struct transfer **link = &t->flying;
    while (*link != x)
        link = &(*link)->next;
    *link = x->next;
}

const struct sealed *transport_take(struct transport *t, struct answer *a)
{
    CURLcode code;
    CURL *easy = connections_done(&t->connections, &code);
    struct transfer *x = NULL;
    if (!easy || curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)(void *)&x) != CURLE_OK)
        return NULL;
    x->code = code;
    const struct sealed *s = x->request;
    answer_fill(t, x, a);
    connections_remove(&t->connections, x->multi, x->easy);
    unlink_flying(t, x);
    transfer_give(t, x);
    return s;
}

void transport_wait(struct transport *t, int timeout_ms) { connections_wait(&t->connections, timeout_ms); }

void transport_wake(struct transport *t) { connections_wake(&t->connections); }

bool transport_token_changed(struct transport *t, uint64_t now_ms)
{
    bool at_once = t->unauthorized;
    t->unauthorized = false;
    return credentials_refresh(t->credentials, now_ms, at_once);
}

uint64_t transport_bytes_sent(const struct transport *t, gcw_signal signal) { return t->sent[signal]; }

/* ---- life
 * -------------------------------------------------------------------------------------------------------------- */

static bool texts_copy(struct transport *t, const struct net_config *c)
{
    char agent[256];
    snprintf(agent, sizeof agent, "gcw/" GCW_VERSION "%s%s", *c->user_agent ? " " : "", c->user_agent);
    const char *const from[] = {agent,         c->proxy,        c->ca_file, c->client_cert,
                                c->client_key, c->http_version, c->tls_min};
    char **const to[] = {&t->agent,      &t->proxy,        &t->ca_file, &t->client_cert,
                         &t->client_key, &t->http_version, &t->tls_min};
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(from); i++)
        ok = (*to[i] = strdup(from[i])) && ok;
    for (size_t i = 0; i < c->header_count && ok; i++) {
        struct curl_slist *more = curl_slist_append(t->own_headers, c->headers[i]);
        ok = more != NULL;
        t->own_headers = more ? more : t->own_headers;
    }
    return ok;
}

static gcw_status open_parts(struct transport *t, const struct net_config *c, gcw_error *err)
{
    t->tls_verify = c->tls_verify;
    t->trace = c->trace;
    t->connect_timeout_ms = c->connect_timeout_ms;
    t->request_timeout_ms = c->request_timeout_ms;
    t->lifetime_ms = c->connection_lifetime_ms;
    if (!connections_init(&t->connections, c->max_connections, c->connection_lifetime_ms) || !texts_copy(t, c))
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    for (int i = 0; i < GCW_SIGNALS; i++) {
        const struct endpoint *e = &c->endpoint[i];
        if (!*e->url)
            continue;
        t->endpoint[i].auth = auth_resolve(e, *c->token || *c->token_file);
        if (!(t->endpoint[i].url = url_complete(e, err)))
            return GCW_ERR_INVALID;
        t->endpoint[i].local = url_is_local(t->endpoint[i].url);
        t->endpoint[i].tls = strncasecmp(t->endpoint[i].url, "https:", 6) == 0;
    }
    const struct secret_source token = {"token_file", c->token_file, c->token, false, c->token_check_ms};
    return (t->credentials = credentials_new(&token, &t->log, err)) ? GCW_OK : GCW_ERR_INVALID;
}

struct transport *transport_new(const struct net_config *c, const struct logger *log, gcw_error *err)
{
    struct transport *t = calloc(1, sizeof *t);
    curl_once();
    if (!t) {
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return NULL;
    }
    t->log = *log;
    t->connections = CONNECTIONS_NONE;
    if (net_check(c, err) == GCW_OK && open_parts(t, c, err) == GCW_OK)
        return t;
    transport_free(t);
    return NULL;
}

void transport_free(struct transport *t)
{
    if (!t)
        return;
    for (struct transfer *x = t->flying, *next; x; x = next) {
        next = x->next;
        connections_remove(&t->connections, x->multi, x->easy);
        transfer_free(x);
    }
    for (struct transfer *x = t->pool, *next; x; x = next) {
        next = x->next;
        transfer_free(x);
    }
    connections_free(&t->connections);
    credentials_free(t->credentials);
    curl_slist_free_all(t->own_headers);
    char *const texts[] = {t->agent,        t->proxy,   t->ca_file,         t->client_cert,    t->client_key,
                           t->http_version, t->tls_min, t->endpoint[0].url, t->endpoint[1].url};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    free(t);
}
