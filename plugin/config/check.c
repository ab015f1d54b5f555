/* What the options mean together: lists taken apart, the transport's part filled, contradictions refused. */
#include <stdlib.h>

#include "config/table.h"

/* Takes the next item of a comma-separated list in place: `\,` becomes a comma. NULL at the end. */
static char *item_next(char **list)
{
    char *p = *list, *item = p, *out = p;
    if (!p || !*p)
        return NULL;
    for (; *p && *p != ','; p++) {
        if (*p == '\\' && (p[1] == ',' || p[1] == '\\'))
            p++;
        *out++ = *p;
    }
    *list = *p ? p + 1 : p;
    *out = 0;
    while (*item == ' ')
        item++;
    for (size_t n = strlen(item); n > 0 && item[n - 1] == ' ';)
        item[--n] = 0;
    return item;
}

static size_t items_bound(const char *list)
{
    size_t n = 1;
    for (; *list; list++)
        n += *list == ',';
    return n;
}

gcw_status config_labels(const char *list, char **text, gcw_label **labels, size_t *count, gcw_error *err)
{
    char *rest = *text = strdup(list);
    *labels = calloc(items_bound(list), sizeof **labels);
    *count = 0;
    if (!*text || !*labels)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    for (char *item; (item = item_next(&rest));) {
        char *eq = strchr(item, '=');
        if (!eq || eq == item)
            return error_set(err, GCW_ERR_INVALID, "labels: \"%.100s\": name=value is wanted", item);
        struct view name = view_trim(view_make(item, (size_t)(eq - item))), value = view_trim(view_of(eq + 1));
        if (value.n > 0)
            (*labels)[(*count)++] = (gcw_label){name.p, name.n, value.p, value.n};
    }
    return GCW_OK;
}

gcw_status config_net(const gcw_config *c, struct net_config *out, char **text, const char ***headers, gcw_error *err)
{
    char *rest = *text = strdup(c->headers);
    *headers = calloc(items_bound(c->headers), sizeof **headers);
    if (!*text || !*headers)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    size_t n = 0;
    for (char *item; (item = item_next(&rest));)
        if (*item)
            (*headers)[n++] = item;
    *out = (struct net_config){
        .token = c->token,
        .token_file = c->token_file,
        .token_cleartext = c->cleartext_token == 1,
        .token_check_ms = c->token_check_ms,
        .connect_timeout_ms = c->connect_timeout_ms,
        .request_timeout_ms = c->request_timeout_ms,
        .connection_lifetime_ms = c->connection_lifetime_ms,
        .proxy = c->proxy,
        .ca_file = c->ca_file,
        .client_cert = c->client_cert,
        .client_key = c->client_key,
        .tls_verify = c->tls_verify,
        .tls_min = c->tls_min_version,
        .http_version = c->http_version,
        .headers = *headers,
        .header_count = n,
        .user_agent = c->user_agent,
        .max_connections = (unsigned)c->max_connections,
        .trace = c->trace,
    };
    for (int i = 0; i < GCW_SIGNALS; i++)
        out->endpoint[i] =
            (struct endpoint){(gcw_signal)i, c->signal[i].url, c->signal[i].tenant, (enum auth_kind)c->signal[i].auth};
    return GCW_OK;
}

static gcw_status check_labels(const gcw_config *c, gcw_error *err)
{
    for (int i = 0; i < GCW_SIGNALS; i++) {
        char *text;
        gcw_label *labels;
        size_t count;
        gcw_error why;
        gcw_status status = config_labels(c->signal[i].labels, &text, &labels, &count, &why);
        free(text);
        free(labels);
        if (status != GCW_OK)
            return error_set(err, status, "%s_%s", gcw_signal_name((gcw_signal)i), why.text);
    }
    return GCW_OK;
}

static gcw_status check_together(const gcw_config *c, gcw_error *err)
{
    uint64_t largest = 0;
    if (!*c->signal[GCW_METRICS].url && !*c->signal[GCW_LOGS].url)
        return error_set(err, GCW_ERR_INVALID, "no destination: set metrics_url, logs_url or both");
    for (int i = 0; i < GCW_SIGNALS; i++)
        if (*c->signal[i].url)
            largest = MAX(largest, c->signal[i].batch_bytes);
    if (c->memory_limit < 8 * largest) {
        char limit[32], batch[32];
        format_size(limit, sizeof limit, c->memory_limit);
        format_size(batch, sizeof batch, largest);
        return error_set(err, GCW_ERR_INVALID, "memory_limit: %s is less than eight times the largest batch_bytes, %s",
                         limit, batch);
    }
    if (c->retry_min_ms > c->retry_max_ms)
        return error_set(err, GCW_ERR_INVALID, "retry_min is larger than retry_max");
    if (!*c->client_cert != !*c->client_key)
        return error_set(err, GCW_ERR_INVALID, "client_cert and client_key: one needs the other");
    return GCW_OK;
}

gcw_status gcw_config_check(const gcw_config *c, gcw_error *err)
{
    gcw_status status = check_together(c, err);
    if (status == GCW_OK)
        status = check_labels(c, err);
    if (status != GCW_OK)
        return status;
    struct net_config net;
    char *text;
    const char **headers;
    status = config_net(c, &net, &text, &headers, err);
    if (status == GCW_OK)
        status = net_check(&net, err);
    free(text);
    free(headers);
    return status;
}
