/* Names that people have in their files for Fluent Bit's own outputs loki and prometheus_remote_write, by one table.
 * What was said in our own words wins. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "hosts/fluent-bit/settings.h"

typedef gcw_status (*apply_fn)(const struct reading *r, const char *key, const char *value, gcw_error *err);

static bool signal_used(const struct reading *r, int signal) { return *r->s->config->signal[signal].url; }

/* Sets `<signal>_<name>` where nothing was said; warns where something else was. */
static gcw_status set_of_signal(const struct reading *r, int signal, const char *name, const char *present,
                                const char *key, const char *value, gcw_error *err)
{
    char option[64];
    gcw_error why = {0};
    snprintf(option, sizeof option, "%s_%s", gcw_signal_name((gcw_signal)signal), name);
    if (*present && strcmp(present, value) != 0)
        reading_warn(r, "%s is not used, as %s is given", key, option);
    if (*present)
        return GCW_OK;
    if (gcw_config_set(r->s->config, option, value, &why) != GCW_OK)
        return error_set(err, why.code, "%s: %s", key, why.text);
    return GCW_OK;
}

static gcw_status set_auth(const struct reading *r, int signal, const char *kind, gcw_error *err)
{
    char option[64];
    if (r->s->config->signal[signal].auth != AUTH_AUTO)
        return GCW_OK;
    snprintf(option, sizeof option, "%s_auth", gcw_signal_name((gcw_signal)signal));
    return gcw_config_set(r->s->config, option, kind, err);
}

/* ---- where to ---------------------------------------------------------------------------------------------------- */

/* "" when the URL ends behind its host. */
static const char *url_path(const char *url)
{
    const char *host = strstr(url, "://");
    const char *path = host ? strchr(host + 3, '/') : NULL;
    return path && path[1] ? path : "";
}

static gcw_status uri_append(const struct reading *r, int signal, const char *uri, gcw_error *err)
{
    struct buf url = {0};
    char option[32];
    const char *base = r->s->config->signal[signal].url;
    size_t n = strlen(base);
    gcw_status status = GCW_ERR_NOMEM;
    snprintf(option, sizeof option, "%s_url", gcw_signal_name((gcw_signal)signal));
    if (buf_append(&url, base, n - (n > 0 && base[n - 1] == '/')) && buf_puts(&url, uri) && buf_cstr(&url))
        status = gcw_config_set(r->s->config, option, (const char *)url.p, err);
    buf_free(&url);
    return status;
}

/* The path beside host and port, which the host does not show: it completes a URL that has none. */
static gcw_status apply_uri(const struct reading *r, const char *key, const char *value, gcw_error *err)
{
    int bare = 0, which = 0;
    if (*value != '/')
        return error_set(err, GCW_ERR_INVALID, "%s: \"%.150s\" is not allowed: a path that begins with /", key, value);
    for (int i = 0; i < GCW_SIGNALS; i++) {
        if (!signal_used(r, i))
            continue;
        if (strcmp(url_path(r->s->config->signal[i].url), value) == 0)
            return GCW_OK;
        if (!*url_path(r->s->config->signal[i].url))
            bare++, which = i;
    }
    if (bare == 1)
        return uri_append(r, which, value, err);
    return error_set(err, GCW_ERR_INVALID,
                     "%s: \"%.150s\" needs a logs_url or metrics_url without a path, https://HOST:PORT, and only one "
                     "(Fluent Bit keeps host, port and tls to itself); or write the whole URL and leave %s out",
                     key, value, key);
}

/* ---- who --------------------------------------------------------------------------------------------------------- */

/* The loki output's: of logs; in an instance of metrics alone, of metrics. */
static gcw_status apply_tenant(const struct reading *r, const char *key, const char *value, gcw_error *err)
{
    int signal = signal_used(r, GCW_LOGS) ? GCW_LOGS : GCW_METRICS;
    gcw_error why;
    if (net_check_tenant(value, &why) != GCW_OK)
        return error_set(err, GCW_ERR_INVALID, "%s: %s", key, why.text);
    return set_of_signal(r, signal, "tenant", r->s->config->signal[signal].tenant, key, value, err);
}

static gcw_status set_token(const struct reading *r, const char *key, const char *value, gcw_error *err)
{
    gcw_error why = {0};
    if (*r->s->config->token || *r->s->config->token_file) {
        reading_warn(r, "%s is not used, as token or token_file is given", key);
        return GCW_OK;
    }
    if (gcw_config_set(r->s->config, "token", value, &why) != GCW_OK)
        return error_set(err, why.code, "%s: %s", key, why.text);
    return GCW_OK;
}

static gcw_status basic_user(const struct reading *r, int signal, const char *key, const char *value, gcw_error *err)
{
    const char *tenant = r->s->config->signal[signal].tenant;
    if (*tenant && strcmp(tenant, value) != 0)
        return error_set(
            err, GCW_ERR_INVALID,
            "%s: \"%.100s\" is another than the tenant of %s, \"%.100s\": requests are signed with the tenant "
            "as user; give one of the two",
            key, value, gcw_signal_name((gcw_signal)signal), tenant);
    gcw_status status = set_of_signal(r, signal, "tenant", tenant, key, value, err);
    return status == GCW_OK ? set_auth(r, signal, "basic", err) : status;
}

/* A signal whose tenant was given in our own words has its user. */
static gcw_status apply_user(const struct reading *r, const char *key, const char *value, gcw_error *err)
{
    bool both = signal_used(r, GCW_LOGS) && signal_used(r, GCW_METRICS);
    gcw_status status = GCW_OK;
    for (int i = 0; i < GCW_SIGNALS && status == GCW_OK; i++)
        if (signal_used(r, i) && !(both && *r->s->config->signal[i].tenant))
            status = basic_user(r, i, key, value, err);
    return status;
}

static gcw_status apply_password(const struct reading *r, const char *key, const char *value, gcw_error *err)
{
    if (!property(r, "http_user"))
        return error_set(err, GCW_ERR_INVALID, "%s needs http_user", key);
    return set_token(r, key, value, err);
}

static gcw_status apply_bearer(const struct reading *r, const char *key, const char *value, gcw_error *err)
{
    if (property(r, "http_passwd"))
        return error_set(err, GCW_ERR_INVALID, "%s and http_passwd: give one of the two", key);
    gcw_status status = set_token(r, key, value, err);
    for (int i = 0; i < GCW_SIGNALS && status == GCW_OK; i++)
        if (signal_used(r, i))
            status = set_auth(r, i, *r->s->config->signal[i].tenant ? "tenant" : "bearer", err);
    return status;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static gcw_status header_add(const struct reading *r, struct view name, struct view value, gcw_error *err)
{
    struct buf list = {0};
    const char *present = r->s->config->headers;
    bool ok = (!*present || (buf_puts(&list, present) && buf_puts(&list, ","))) && buf_append(&list, name.p, name.n) &&
              buf_puts(&list, ": ");
    for (size_t i = 0; ok && i < value.n; i++)
        ok = ((value.p[i] != ',' && value.p[i] != '\\') || buf_puts(&list, "\\")) && buf_append(&list, value.p + i, 1);
    gcw_status status = ok && buf_cstr(&list) ? gcw_config_set(r->s->config, "headers", (const char *)list.p, err)
                                              : error_set(err, GCW_ERR_NOMEM, "out of memory");
    buf_free(&list);
    return status;
}

/* `Name value`, as the host's outputs take it. The two that sign a request have their own places here. */
static gcw_status apply_header(const struct reading *r, const char *key, const char *value, gcw_error *err)
{
    struct view line = view_trim(view_of(value)), name = {line.p, strcspn(line.p, " \t")};
    name.n = MIN(name.n, line.n);
    struct view rest = view_trim(view_make(line.p + name.n, line.n - name.n));
    if (name.n == 0 || rest.n == 0)
        return error_set(err, GCW_ERR_INVALID, "%s: a name, a blank and a value are wanted", key);
    if (name.p[name.n - 1] == ':')
        name.n--;
    reading_warn(r,
                 "header: a module is shown the first of several only; headers takes more: Name: value, Name: value");
    if (name.n == 13 && strncasecmp(name.p, "X-Scope-OrgID", 13) == 0)
        return apply_tenant(r, "header X-Scope-OrgID", rest.p, err);
    if (name.n == 13 && strncasecmp(name.p, "Authorization", 13) == 0) {
        if (rest.n > 7 && strncasecmp(rest.p, "Bearer ", 7) == 0)
            return apply_bearer(r, "header Authorization", view_trim(view_make(rest.p + 7, rest.n - 7)).p, err);
        return error_set(err, GCW_ERR_INVALID, "header Authorization: use http_user and http_passwd, or token_file");
    }
    return header_add(r, name, rest, err);
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static gcw_status apply_compress(const struct reading *r, const char *key, const char *value, gcw_error *err)
{
    gcw_error why;
    if (gcw_config_set(r->s->config, "logs_compression", value, &why) != GCW_OK)
        return error_set(err, GCW_ERR_INVALID, "%s: \"%.100s\" is not allowed: gzip|none", key, value);
    return GCW_OK;
}

static gcw_status apply_compression(const struct reading *r, const char *key, const char *value, gcw_error *err)
{
    if (strcasecmp(value, "gzip") == 0)
        reading_warn(r, "%s gzip: metrics go by snappy, which is what remote write says; logs_compression is of logs",
                     key);
    else if (strcasecmp(value, "snappy") != 0)
        return error_set(err, GCW_ERR_INVALID, "%s: \"%.100s\" is not allowed: snappy", key, value);
    return GCW_OK;
}

static gcw_status differs(const struct reading *r, const char *key, const char *value, gcw_error *err);

static gcw_status not_here(const struct reading *r, const char *key, const char *value, gcw_error *err)
{
    (void)r;
    return strcasecmp(value, "false") == 0 || strcasecmp(value, "off") == 0
               ? GCW_OK
               : error_set(err, GCW_ERR_INVALID, "%s: signing for AWS is not there; use the host's own output", key);
}

/* In this order: a user may need the tenant, a password the user. */
static const struct carried {
    const char *key;
    apply_fn apply;
    const char *note; /* said at start */
} carried[] = {
    {"uri", apply_uri, NULL},
    {"tenant_id", apply_tenant, NULL},
    {"header", apply_header, NULL},
    {"http_user", apply_user, NULL},
    {"http_passwd", apply_password, NULL},
    {"bearer_token", apply_bearer, NULL},
    {"compress", apply_compress, NULL},
    {"compression", apply_compression, NULL},
    {"log_response_payload", differs, "the receiver's words are logged when they refuse something, once per cause"},
    {"buffer_size", differs, "answers are read up to a fixed size"},
    {"tenant_id_key_error_handling", differs,
     "tenants are independent: what one refuses is counted, and neither holds up nor repeats another's"},
    {"aws_auth", not_here, NULL},
    {"aws_service", not_here, NULL},
    {"aws_region", not_here, NULL},
};

static gcw_status differs(const struct reading *r, const char *key, const char *value, gcw_error *err)
{
    (void)value, (void)err;
    for (size_t i = 0; i < ARRAY_LEN(carried); i++)
        if (carried[i].key == key)
            reading_warn(r, "%s has no effect: %s", key, carried[i].note);
    return GCW_OK;
}

const char *carried_name_at(size_t index) { return index < ARRAY_LEN(carried) ? carried[index].key : NULL; }

gcw_status carried_read(const struct reading *r, gcw_error *err)
{
    gcw_status status = GCW_OK;
    for (size_t i = 0; i < ARRAY_LEN(carried) && status == GCW_OK; i++) {
        const char *value = property(r, carried[i].key);
        if (value)
            status = carried[i].apply(r, carried[i].key, value, err);
    }
    return status;
}
