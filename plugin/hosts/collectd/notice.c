/* A notification as a log entry. Labels are what a person selects by and what has few values; everything else is
 * structured metadata. */
#include "hosts/collectd/host.h"

#define METADATA_MAX 48 /* of a notification's own list; collectd's threshold plugin gives nine */
#define NUMBER_ROOM  32

static const struct {
    int severity;
    const char *name, *level; /* collectd's word; what Grafana colours lines by */
} severities[] = {
    {NOTIF_FAILURE, "failure", "error"},
    {NOTIF_WARNING, "warning", "warn"},
    {NOTIF_OKAY, "okay", "info"},
};

struct pairs {
    gcw_label label[METADATA_MAX + 5];
    size_t count;
    char number[METADATA_MAX][NUMBER_ROOM];
};

static void pair_add(struct pairs *p, const char *name, const char *value)
{
    if (value && *value)
        p->label[p->count++] = (gcw_label)GCW_LABEL(name, value);
}

static void meta_add(struct pairs *p, const notification_meta_t *m, char *number)
{
    const char *text = number;
    switch (m->type) {
    case NM_TYPE_STRING:
        text = m->nm_value.nm_string;
        break;
    case NM_TYPE_SIGNED_INT:
        snprintf(number, NUMBER_ROOM, "%" PRIi64, m->nm_value.nm_signed_int);
        break;
    case NM_TYPE_UNSIGNED_INT:
        snprintf(number, NUMBER_ROOM, "%" PRIu64, m->nm_value.nm_unsigned_int);
        break;
    case NM_TYPE_DOUBLE:
        snprintf(number, NUMBER_ROOM, GAUGE_FORMAT, m->nm_value.nm_double);
        break;
    case NM_TYPE_BOOLEAN:
        text = m->nm_value.nm_boolean ? "true" : "false";
        break;
    }
    pair_add(p, m->name, text);
}

gcw_status notice_write(gcw_writer *writer, const notification_t *n, gcw_error *err)
{
    struct pairs labels = {.count = 0}, metadata = {.count = 0};
    const char *name = "unknown", *level = "unknown";
    for (size_t i = 0; i < ARRAY_LEN(severities); i++)
        if (severities[i].severity == n->severity)
            name = severities[i].name, level = severities[i].level;
    pair_add(&labels, "severity", name);
    pair_add(&labels, "instance", n->host);
    pair_add(&labels, "plugin", n->plugin);
    size_t i = 0;
    for (const notification_meta_t *m = n->meta; m && i < METADATA_MAX; m = m->next, i++)
        meta_add(&metadata, m, metadata.number[i]);
    /* of one name the last stays: these */
    pair_add(&metadata, "level", level);
    pair_add(&metadata, "detected_level",
             level); /* else Loki takes it from the label severity, and "failure" is none */
    pair_add(&metadata, "plugin_instance", n->plugin_instance);
    pair_add(&metadata, "type", n->type);
    pair_add(&metadata, "type_instance", n->type_instance);
    return gcw_entry_write(writer, labels.label, labels.count, n->message, strlen(n->message),
                           (int64_t)CDTIME_T_TO_NS(n->time), metadata.label, metadata.count, NULL, err);
}
