/* Putting it together: gcw's options first, then the module's, then what came along from other outputs, which never
 * overrules what was said in our own words. */
#include "hosts/fluent-bit/settings.h"

#include <stdarg.h>
#include <stdio.h>

const char *property(const struct reading *r, const char *key) { return r->from.get(key, r->from.user); }

void reading_warn(const struct reading *r, const char *fmt, ...)
{
    char text[GCW_ERROR_TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (r->warn)
        r->warn(r->user, text);
}

/* Options that mean something else here than to a program of its own. */
static gcw_status option_set(const struct reading *r, const char *name, const char *value, gcw_error *err)
{
    if (strcmp(name, "overflow") == 0 && strcmp(value, "block") == 0) {
        reading_warn(r, "overflow: block is as error here: at memory_limit the host keeps its chunk and tries again");
        value = "error";
    }
    return gcw_config_set(r->s->config, name, value, err);
}

static gcw_status options_read(const struct reading *r, gcw_error *err)
{
    const gcw_option *o;
    gcw_status status = GCW_OK;
    for (size_t i = 0; status == GCW_OK && (o = gcw_option_at(i)); i++) {
        const char *value = property(r, o->name);
        if (value)
            status = option_set(r, o->name, value, err);
    }
    return status;
}

static gcw_status needs_check(const struct settings *s, gcw_error *err)
{
    bool durable = *s->config->queue_dir && s->config->queue_mode == QUEUE_DURABLE;
    if (s->ack == ACK_DURABLE && !durable)
        return error_set(err, GCW_ERR_INVALID, "ack: \"durable\" needs queue_dir, with queue_mode durable");
    if (s->logs.tenant_id_key && !*s->config->signal[GCW_LOGS].tenant)
        return error_set(err, GCW_ERR_INVALID,
                         "tenant_id_key needs tenant_id (or logs_tenant) too, for records that do not have the key");
    return GCW_OK;
}

static gcw_status settings_finish(const struct reading *r, gcw_error *err)
{
    struct settings *s = r->s;
    s->metrics.le_format = (enum le_format)s->config->le_format;
    for (int i = 0; i < GCW_SIGNALS; i++)
        s->uses[i] = *s->config->signal[i].url;
    if (!s->uses[GCW_METRICS] && !s->uses[GCW_LOGS])
        return error_set(err, GCW_ERR_INVALID,
                         "no destination: set logs_url, metrics_url or both (Fluent Bit keeps host, port and tls.* to "
                         "itself: write logs_url https://HOST:PORT/loki/api/v1/push)");
    gcw_status status = needs_check(s, err);
    return status == GCW_OK ? gcw_config_check(s->config, err) : status;
}

gcw_status properties_read(struct settings *s, const struct property_source *from, void (*warn)(void *, const char *),
                           void *user, gcw_error *err)
{
    *s = (struct settings){.config = gcw_config_new()};
    const struct reading r = {s, *from, warn, user};
    if (!s->config)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    guess_misspelt(&r);
    gcw_status status = options_read(&r, err);
    if (status == GCW_OK)
        status = own_read(&r, err);
    if (status == GCW_OK)
        status = carried_read(&r, err);
    if (status == GCW_OK)
        status = settings_finish(&r, err);
    return status;
}

void properties_free(struct settings *s)
{
    gcw_config_free(s->config);
    s->config = NULL;
}
