/* Checking where to push before anything is sent. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/private.h"

/* Paths people give by mistake, and what is meant. */
struct path_hint {
    gcw_signal signal;
    const char *path, *hint;
};
static const struct path_hint path_hints[] = {
    {GCW_METRICS, "/loki/api/v1/push",
     "this is where logs go: remote write is /api/prom/push (Grafana Cloud), /api/v1/push (Mimir) or /api/v1/write "
     "(Prometheus, VictoriaMetrics)"},
    {GCW_METRICS, "/api/prom", "this is the query path: remote write is /api/prom/push"},
    {GCW_METRICS, "/api/v1/query",
     "this is the query path: remote write is /api/v1/push (Mimir) or /api/v1/write (Prometheus)"},
    {GCW_METRICS, "/otlp", "this is the OTLP gateway, which takes no remote write"},
    {GCW_LOGS, "/api/v1/push", "this is where metrics go: logs are pushed to /loki/api/v1/push"},
    {GCW_LOGS, "/api/v1/write", "this is where metrics go: logs are pushed to /loki/api/v1/push"},
    {GCW_LOGS, "/api/prom/push", "the old push path with another format: use /loki/api/v1/push"},
    {GCW_LOGS, "/loki/api/v1/query_range", "this is the query path: logs are pushed to /loki/api/v1/push"},
    {GCW_LOGS, "/loki", "the path is cut short: logs are pushed to /loki/api/v1/push"},
};

static char *part(CURLU *u, CURLUPart what)
{
    char *text = NULL;
    return curl_url_get(u, what, &text, 0) == CURLUE_OK ? text : NULL;
}

static bool host_is_local(const char *host)
{
    struct in_addr v4;
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

static bool url_has(const char *url, bool (*holds)(const char *scheme, const char *host), bool otherwise)
{
    CURLU *u = curl_url();
    bool result = otherwise;
    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK) {
        char *scheme = part(u, CURLUPART_SCHEME), *host = part(u, CURLUPART_HOST);
        if (scheme && host)
            result = holds(scheme, host);
        curl_free(scheme);
        curl_free(host);
    }
    curl_url_cleanup(u);
    return result;
}

static bool is_local(const char *scheme, const char *host)
{
    (void)scheme;
    return host_is_local(host);
}

static bool is_clear(const char *scheme, const char *host)
{
    return strcasecmp(scheme, "https") != 0 && !host_is_local(host);
}

bool url_is_local(const char *url) { return url_has(url, is_local, false); }
bool url_is_clear(const char *url) { return url_has(url, is_clear, true); }

static bool is_grafana_cloud(const char *host)
{
    size_t n = strlen(host), m = strlen(".grafana.net");
    return n > m && strcasecmp(host + n - m, ".grafana.net") == 0;
}

/* Sets the usual path where there is none; refuses what cannot be a push path. */
static gcw_status path_mend(const struct endpoint *e, CURLU *u, const char *path, const char *host, gcw_error *err)
{
    const char *name = gcw_signal_name(e->signal);
    if (*path == 0 || strcmp(path, "/") == 0) {
        const char *usual = e->signal == GCW_LOGS    ? "/loki/api/v1/push"
                            : is_grafana_cloud(host) ? "/api/prom/push"
                                                     : NULL;
        if (!usual)
            return error_set(
                err, GCW_ERR_INVALID,
                "%s_url: the path is missing: /api/v1/push (Mimir) or /api/v1/write (Prometheus, VictoriaMetrics)",
                name);
        return curl_url_set(u, CURLUPART_PATH, usual, 0) == CURLUE_OK ? GCW_OK : GCW_ERR_NOMEM;
    }
    for (size_t i = 0; i < ARRAY_LEN(path_hints); i++) {
        size_t n = strlen(path_hints[i].path);
        if (path_hints[i].signal == e->signal && strncmp(path, path_hints[i].path, n) == 0 &&
            (path[n] == 0 || strcmp(path + n, "/") == 0))
            return error_set(err, GCW_ERR_INVALID, "%s_url: path %s: %s", name, path, path_hints[i].hint);
    }
    return GCW_OK;
}

static gcw_status url_judge(const struct endpoint *e, CURLU *u, gcw_error *err)
{
    const char *name = gcw_signal_name(e->signal);
    char *scheme = part(u, CURLUPART_SCHEME), *host = part(u, CURLUPART_HOST), *path = part(u, CURLUPART_PATH);
    char *user = part(u, CURLUPART_USER), *password = part(u, CURLUPART_PASSWORD),
         *fragment = part(u, CURLUPART_FRAGMENT);
    gcw_status status = GCW_OK;
    if (!scheme || !host || !path)
        status = error_set(err, GCW_ERR_INVALID, "%s_url: no host in it", name);
    else if (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0)
        status = error_set(err, GCW_ERR_INVALID, "%s_url: scheme \"%s\": http or https is wanted", name, scheme);
    else if (user || password)
        status =
            error_set(err, GCW_ERR_INVALID,
                      "%s_url: user and password do not belong in a URL; use %s_tenant and token_file", name, name);
    else if (fragment)
        status = error_set(err, GCW_ERR_INVALID, "%s_url: a fragment (#...) has no meaning here", name);
    else
        status = path_mend(e, u, path, host, err);
    curl_free(scheme), curl_free(host), curl_free(path), curl_free(user), curl_free(password), curl_free(fragment);
    return status;
}

char *url_complete(const struct endpoint *e, gcw_error *err)
{
    CURLU *u = curl_url();
    char *full = NULL, *out = NULL;
    CURLUcode code = u ? curl_url_set(u, CURLUPART_URL, e->url, 0) : CURLUE_OUT_OF_MEMORY;
    if (code != CURLUE_OK)
        error_set(err, GCW_ERR_INVALID, "%s_url: %s: an http or https URL is wanted", gcw_signal_name(e->signal),
                  curl_url_strerror(code));
    else if (url_judge(e, u, err) == GCW_OK && (full = part(u, CURLUPART_URL)))
        out = strdup(full);
    curl_free(full);
    curl_url_cleanup(u);
    return out;
}

/* ---- tenants, headers, files ----------------------------------------------------------------------------------- */

/* What Mimir and Loki take in X-Scope-OrgID (dskit tenant package); Grafana Cloud's numbers are among it. */
gcw_status net_check_tenant(const char *tenant, gcw_error *err)
{
    size_t n = strlen(tenant),
           ok = strspn(tenant, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!-_.*'()");
    if (n > 150)
        return error_set(err, GCW_ERR_INVALID, "tenant: longer than 150 characters");
    if (ok < n || strcmp(tenant, ".") == 0 || strcmp(tenant, "..") == 0)
        return error_set(err, GCW_ERR_INVALID,
                         "tenant \"%.150s\": letters, digits and !-_.*'() are allowed, not \".\" or \"..\"", tenant);
    return GCW_OK;
}

enum auth_kind auth_resolve(const struct endpoint *e, bool has_token)
{
    if (e->auth != AUTH_AUTO)
        return e->auth;
    if (has_token)
        return *e->tenant ? AUTH_BASIC : AUTH_BEARER;
    return *e->tenant ? AUTH_TENANT : AUTH_NONE;
}

/* Headers that are ours to set. */
static const char *const reserved_headers[] = {
    "host",
    "content-type",
    "content-encoding",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "expect",
    "user-agent",
    "authorization",
    "proxy-authorization",
    "proxy-authenticate",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-scope-orgid",
    "retry-attempt",
    "cookie",
};

/* What would end a header line, or is not allowed in one; tabs are. */
static bool has_controls(const char *text)
{
    for (; *text; text++)
        if (((uint8_t)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return true;
    return false;
}

static gcw_status header_check(const char *header, gcw_error *err)
{
    const char *colon = strchr(header, ':');
    size_t n = colon ? (size_t)(colon - header) : 0;
    size_t token = strspn(header, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~");
    if (n == 0 || token != n)
        return error_set(err, GCW_ERR_INVALID,
                         "headers: \"Name: value\" is wanted, with letters, digits and - in the name");
    /* libcurl takes a header without a value as one to leave out */
    if (view_trim(view_of(colon + 1)).n == 0)
        return error_set(err, GCW_ERR_INVALID, "headers: %.*s has no value", (int)MIN(n, (size_t)100), header);
    if (has_controls(header))
        return error_set(err, GCW_ERR_INVALID, "headers: %.*s has control characters in its value",
                         (int)MIN(n, (size_t)100), header);
    for (size_t i = 0; i < ARRAY_LEN(reserved_headers); i++)
        if (strlen(reserved_headers[i]) == n && strncasecmp(header, reserved_headers[i], n) == 0)
            return error_set(err, GCW_ERR_INVALID, "headers: %s is set by the writer itself", reserved_headers[i]);
    return GCW_OK;
}

gcw_status net_check_file(const char *option, const char *path, gcw_error *err)
{
    struct stat st;
    if (*path == 0)
        return GCW_OK;
    if (access(path, R_OK) != 0 || stat(path, &st) != 0)
        return error_set(err, GCW_ERR_INVALID, "%s: %s cannot be read: %s", option, path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(err, GCW_ERR_INVALID, "%s: %s is a folder", option, path);
    return GCW_OK;
}

/* Its text is in no message: it may hold a password. */
static gcw_status proxy_check(const char *proxy, gcw_error *err)
{
    static const char *const schemes[] = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"};
    CURLU *u = curl_url();
    bool good = false;
    if (u && curl_url_set(u, CURLUPART_URL, proxy, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK) {
        char *scheme = part(u, CURLUPART_SCHEME), *host = part(u, CURLUPART_HOST);
        for (size_t i = 0; i < ARRAY_LEN(schemes) && scheme && host && *host; i++)
            good |= strcasecmp(scheme, schemes[i]) == 0;
        curl_free(scheme), curl_free(host);
    }
    curl_url_cleanup(u);
    return good ? GCW_OK : error_set(err, GCW_ERR_INVALID, "proxy: an http, https or socks5 URL is wanted");
}

static gcw_status endpoint_check(const struct net_config *c, const struct endpoint *e, gcw_error *err)
{
    const char *name = gcw_signal_name(e->signal);
    gcw_error why;
    bool token = *c->token || *c->token_file;
    char *url = url_complete(e, err);
    if (!url)
        return GCW_ERR_INVALID;
    bool clear = url_is_clear(url) || (*c->proxy && strncmp(url, "http:", 5) == 0 && url_is_clear(c->proxy));
    free(url);
    if (net_check_tenant(e->tenant, &why) != GCW_OK)
        return error_set(err, GCW_ERR_INVALID, "%s_%s", name, why.text);
    enum auth_kind auth = auth_resolve(e, token);
    if (auth == AUTH_BASIC && (!token || !*e->tenant))
        return error_set(err, GCW_ERR_INVALID, "%s_auth=basic needs %s_tenant and a token (token_file or GCW_TOKEN)",
                         name, name);
    if (auth == AUTH_BEARER && !token)
        return error_set(err, GCW_ERR_INVALID, "%s_auth=bearer needs a token (token_file or GCW_TOKEN)", name);
    if (auth == AUTH_TENANT && !*e->tenant)
        return error_set(err, GCW_ERR_INVALID, "%s_auth=tenant needs %s_tenant", name, name);
    if (token && auth != AUTH_NONE && clear && !c->token_cleartext)
        return error_set(err, GCW_ERR_INVALID,
                         "%s_url: the token would go over http in clear text; use https, or say cleartext_token=allow",
                         name);
    return GCW_OK;
}

gcw_status net_check(const struct net_config *c, gcw_error *err)
{
    gcw_status status = GCW_OK;
    for (int i = 0; i < GCW_SIGNALS && status == GCW_OK; i++)
        if (*c->endpoint[i].url)
            status = endpoint_check(c, &c->endpoint[i], err);
    for (size_t i = 0; i < c->header_count && status == GCW_OK; i++)
        status = header_check(c->headers[i], err);
    if (status == GCW_OK && has_controls(c->user_agent))
        status = error_set(err, GCW_ERR_INVALID, "user_agent: control characters are not allowed");
    if (status == GCW_OK && *c->proxy)
        status = proxy_check(c->proxy, err);
    const char *const files[][2] = {{"ca_file", c->ca_file},
                                    {"client_cert", c->client_cert},
                                    {"client_key", c->client_key},
                                    {"token_file", c->token_file}};
    for (size_t i = 0; i < ARRAY_LEN(files) && status == GCW_OK; i++)
        status = net_check_file(files[i][0], files[i][1], err);
    return status;
}
