/* <Plugin grafana_cloud> to a gcw_config. Every option of the writer stands under its own name, written as collectd's
 * are: QueueDir or queue_dir; inside <Metrics> and <Logs> the prefix is left out: URL is metrics_url there.
 *
 *     <Plugin grafana_cloud>
 *       TokenFile "/etc/gcw/token"
 *       <Metrics>
 *         URL "https://prometheus-prod-01.grafana.net/api/prom/push"
 *         Tenant "123456"
 *         Label "env" "prod"
 *       </Metrics>
 *     </Plugin>
 */
#include "hosts/collectd/host.h"

/* What a monitoring host wants where the user said nothing: when memory is full the newest values matter most, and no
 * write thread may hang, since collectd's own queue has no bound by default. */
static const struct {
    const char *name, *value;
} defaults[] = {
    {"overflow", "drop_oldest"},
    {"user_agent", "collectd"},
};

#define VALUE_ROOM ((size_t)16 * KIB)

gcw_status settings_new(struct settings *s, gcw_error *err)
{
    *s = (struct settings){.config = gcw_config_new(), .shutdown_timeout_ms = 5000};
    if (!s->config)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    gcw_status status = GCW_OK;
    for (size_t i = 0; i < ARRAY_LEN(defaults) && status == GCW_OK; i++)
        status = gcw_config_set(s->config, defaults[i].name, defaults[i].value, err);
    return status == GCW_OK ? gcw_config_load_env(s->config, err) : status;
}

void settings_free(struct settings *s)
{
    gcw_config_free(s->config);
    s->config = NULL;
}

bool settings_has(const struct settings *s, const char *option)
{
    char value[8];
    return gcw_config_get(s->config, option, value, sizeof value) != GCW_ERR_INVALID && *value;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* Equal without case and underscores: QueueDir is queue_dir. */
static bool key_is(const char *key, const char *name)
{
    for (;; key++, name++) {
        key += strspn(key, "_");
        name += strspn(name, "_");
        if (tolower((unsigned char)*key) != tolower((unsigned char)*name))
            return false;
        if (!*key)
            return true;
    }
}

static const gcw_option *option_of(const char *section, const char *key)
{
    const gcw_option *o;
    size_t n = strlen(section);
    for (size_t i = 0; (o = gcw_option_at(i)); i++)
        if (strncmp(o->name, section, n) == 0 && key_is(key, o->name + n))
            return o;
    return NULL;
}

/* The library knows the nearest name; it is asked with the key in its own spelling. */
static gcw_status key_unknown(struct settings *s, const char *section, const char *key, gcw_error *err)
{
    char name[128];
    size_t n = (size_t)snprintf(name, sizeof name / 2, "%s", section);
    for (const char *p = key; *p && n + 2 < sizeof name; p++) {
        if (p > key && isupper((unsigned char)*p) && islower((unsigned char)p[-1]))
            name[n++] = '_';
        name[n++] = (char)tolower((unsigned char)*p);
    }
    name[n] = 0;
    gcw_error nearest;
    gcw_config_set(s->config, name, "", &nearest);
    return error_set(err, GCW_ERR_INVALID, "%s (%s)", nearest.text, key);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* One argument as text. A number without a unit counts seconds where a duration stands, as elsewhere in collectd.conf.
 */
static bool value_add(struct buf *b, const oconfig_value_t *v, bool duration)
{
    switch (v->type) {
    case OCONFIG_TYPE_STRING:
        return buf_puts(b, v->value.string);
    case OCONFIG_TYPE_BOOLEAN:
        return buf_puts(b, v->value.boolean ? "on" : "off");
    default:
        return buf_printf(b, "%.15g%s", v->value.number, duration ? "s" : "");
    }
}

static bool list_start(const struct settings *s, const gcw_option *o, struct buf *b)
{
    if (!buf_reserve(b, VALUE_ROOM))
        return false;
    gcw_config_get(s->config, o->name, (char *)b->p, VALUE_ROOM);
    b->n = strlen((char *)b->p);
    return b->n == 0 || buf_puts(b, ",");
}

static gcw_status set(struct settings *s, const char *name, struct buf *value, bool ok, gcw_error *err)
{
    gcw_status status = ok && buf_cstr(value) ? gcw_config_set(s->config, name, (const char *)value->p, err)
                                              : error_set(err, GCW_ERR_NOMEM, "out of memory");
    buf_free(value);
    return status;
}

static gcw_status option_set(struct settings *s, const gcw_option *o, const oconfig_item_t *item, gcw_error *err)
{
    struct buf value = {0};
    bool list = strcmp(o->type, "list") == 0, ok = true;
    if (item->values_num < 1 || (!list && item->values_num > 1))
        return error_set(err, GCW_ERR_INVALID, "%s takes one value (%s)", item->key,
                         *o->allowed ? o->allowed : o->type);
    for (int i = 0; i < item->values_num; i++)
        ok = ok && (i == 0 || buf_puts(&value, ",")) &&
             value_add(&value, &item->values[i], strcmp(o->type, "duration") == 0);
    return set(s, o->name, &value, ok, err);
}

/* Label "env" "prod": one more of the signal's labels. */
static gcw_status label_add(struct settings *s, const char *section, const oconfig_item_t *item, gcw_error *err)
{
    const gcw_option *o = option_of(section, "labels");
    struct buf value = {0};
    if (item->values_num != 2 || item->values[0].type != OCONFIG_TYPE_STRING)
        return error_set(err, GCW_ERR_INVALID, "%s takes a name and a value, each in quotes", item->key);
    struct buf text = {0};
    bool ok = value_add(&text, &item->values[1], false) && list_start(s, o, &value) &&
              buf_printf(&value, "%s=", item->values[0].value.string);
    for (size_t i = 0; ok && i < text.n; i++)
        ok = (text.p[i] != ',' || buf_puts(&value, "\\")) && buf_append(&value, &text.p[i], 1);
    buf_free(&text);
    return set(s, o->name, &value, ok, err);
}

static gcw_status item_read(struct settings *s, const char *section, const oconfig_item_t *item, gcw_error *err)
{
    const gcw_option *o = option_of(section, item->key);
    if (o)
        return option_set(s, o, item, err);
    if (*section && key_is(item->key, "label"))
        return label_add(s, section, item, err);
    return key_unknown(s, section, item->key, err);
}

/* ---- what only this host has ------------------------------------------------------------------------------------- */

static gcw_status config_file(struct settings *s, const oconfig_item_t *item, gcw_error *err)
{
    if (item->values_num != 1 || item->values[0].type != OCONFIG_TYPE_STRING)
        return error_set(err, GCW_ERR_INVALID, "%s takes a path in quotes", item->key);
    return gcw_config_load_file(s->config, item->values[0].value.string, err);
}

static gcw_status shutdown_timeout(struct settings *s, const oconfig_item_t *item, gcw_error *err)
{
    struct buf value = {0};
    bool ok = item->values_num == 1 && value_add(&value, &item->values[0], true) &&
              parse_duration(buf_view(&value), &s->shutdown_timeout_ms) && s->shutdown_timeout_ms <= 3600 * 1000;
    gcw_status status = ok ? GCW_OK
                           : error_set(err, GCW_ERR_INVALID, "%s \"%.*s\": allowed is a duration, 0..1h", item->key,
                                       VIEW_ARG(buf_view(&value)));
    buf_free(&value);
    return status;
}

static gcw_status report_stats(struct settings *s, const oconfig_item_t *item, gcw_error *err)
{
    if (item->values_num != 1 || item->values[0].type != OCONFIG_TYPE_BOOLEAN)
        return error_set(err, GCW_ERR_INVALID, "%s: allowed is true or false, without quotes", item->key);
    s->report_stats = item->values[0].value.boolean;
    return GCW_OK;
}

static const struct {
    const char *key;
    gcw_status (*read)(struct settings *s, const oconfig_item_t *item, gcw_error *err);
} own[] = {
    {"ConfigFile", config_file},
    {"ShutdownTimeout", shutdown_timeout},
    {"ReportStats", report_stats},
};

static const struct {
    const char *key, *prefix;
} sections[] = {{"Metrics", "metrics_"}, {"Logs", "logs_"}};

static gcw_status block_item(struct settings *s, const oconfig_item_t *item, gcw_error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (key_is(item->key, own[i].key))
            return own[i].read(s, item, err);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (strcasecmp(item->key, sections[i].key) != 0)
            continue;
        gcw_status status = GCW_OK;
        for (int k = 0; k < item->children_num && status == GCW_OK; k++)
            status = item_read(s, sections[i].prefix, &item->children[k], err);
        return status;
    }
    if (item->children_num > 0)
        return error_set(err, GCW_ERR_INVALID, "unknown block <%s>: allowed are <Metrics> and <Logs>", item->key);
    return item_read(s, "", item, err);
}

gcw_status settings_finish(struct settings *s, gcw_error *err)
{
    if (settings_has(s, "logs_labels"))
        return GCW_OK;
    return gcw_config_set(s->config, "logs_labels", "job=collectd", err);
}

gcw_status settings_read(struct settings *s, const oconfig_item_t *block, gcw_error *err)
{
    gcw_status status = GCW_OK;
    for (int i = 0; i < block->children_num && status == GCW_OK; i++)
        status = block_item(s, &block->children[i], err);
    return status;
}
