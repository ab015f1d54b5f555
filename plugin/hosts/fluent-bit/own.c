/* The options of this module alone, in a table. Texts are handed on as they are: who uses them checks them. */
#include <strings.h>

#include "hosts/fluent-bit/settings.h"

enum own_kind { OWN_TEXT, OWN_BOOL, OWN_DURATION, OWN_ACK };

struct own_row {
    gcw_option shown;
    enum own_kind kind;
    size_t offset; /* in struct settings */
};

#define AT(field) offsetof(struct settings, field)
#define LOGS      "Records to log lines"
#define METRICS   "Metrics"
#define ACK       "Acknowledgement"

static const struct own_row rows[] = {
    {{"ack", "enum", "", "auto", "auto|queued|durable|delivered",
      "When a chunk is answered with OK: queued when its records are in memory, durable when they are on disk and "
      "synced "
      "(queue_dir), delivered when the receiver took them. auto is durable with queue_dir, else delivered, and queued "
      "on the engine's own thread (workers 0), which must not wait for a network.",
      ACK},
     OWN_ACK,
     AT(ack)},
    {{"ack_timeout", "duration", "ms", "3s", "10ms..1m",
      "Longest time a worker of the host waits for that; then it answers RETRY, and the host's next try of the chunk "
      "finds the work where it is by then.",
      ACK},
     OWN_DURATION,
     AT(ack_timeout_ms)},
    {{"ack_linger", "duration", "ms", "5ms", "0..1s",
      "How long a request waits for the chunks of other workers before it is closed.", ACK},
     OWN_DURATION,
     AT(ack_linger_ms)},
    {{"shutdown_timeout", "duration", "ms", "4s", "0..10m",
      "How long the instance goes on delivering when the host stops; what is left goes to queue_dir or is reported "
      "lost.",
      ACK},
     OWN_DURATION,
     AT(shutdown_timeout_ms)},

    {{"labels", "list", "", "", "name=value, name=$key, $key", "Labels of the log stream, as in the loki output.",
      LOGS},
     OWN_TEXT,
     AT(logs.labels)},
    {{"label_keys", "list", "", "", "$key, ...", "Keys that become labels under their own names.", LOGS},
     OWN_TEXT,
     AT(logs.label_keys)},
    {{"label_map_path", "string", "", "", "path", "A JSON file that maps keys of the record to labels.", LOGS},
     OWN_TEXT,
     AT(logs.label_map_path)},
    {{"structured_metadata", "list", "", "", "name=value, name=$key, $key", "Structured metadata of each line.", LOGS},
     OWN_TEXT,
     AT(logs.structured_metadata)},
    {{"structured_metadata_map_keys", "list", "", "", "$key, ...", "Maps whose pairs become structured metadata.",
      LOGS},
     OWN_TEXT,
     AT(logs.structured_metadata_map_keys)},
    {{"remove_keys", "list", "", "", "key, ...", "Keys left out of the line.", LOGS}, OWN_TEXT, AT(logs.remove_keys)},
    {{"tenant_id_key", "string", "", "", "$key", "Key that holds the tenant of the record.", LOGS},
     OWN_TEXT,
     AT(logs.tenant_id_key)},
    {{"drop_single_key", "enum", "", "off", "off|on|raw", "A record of one key becomes that key's value.", LOGS},
     OWN_TEXT,
     AT(logs.drop_single_key)},
    {{"line_format", "enum", "", "json", "json|key_value", "How a record becomes a line.", LOGS},
     OWN_TEXT,
     AT(logs.line_format)},
    {{"auto_kubernetes_labels", "bool", "", "off", "on|off", "Every Kubernetes label becomes a label.", LOGS},
     OWN_BOOL,
     AT(logs.auto_kubernetes_labels)},
    {{"otel_metadata", "bool", "", "", "on|off", "What OpenTelemetry's log model carries beside the body.", LOGS},
     OWN_TEXT,
     AT(logs.otel_metadata)},

    {{"escape_unicode", "bool", "", "", "on|off", "Whether JSON lines are ASCII, as the host's are.", LOGS},
     OWN_TEXT,
     AT(logs.escape_unicode)},
    {{"remove_label_keys", "bool", "", "", "on|off", "Whether keys that became labels or metadata leave the line.",
      LOGS},
     OWN_TEXT,
     AT(logs.remove_label_keys)},

    {{"add_label", "list", "", "", "name value, ...", "Labels added to every series that does not have them.", METRICS},
     OWN_TEXT,
     AT(metrics.add_label)},
    {{"sample_time", "enum", "", "auto", "auto|source|newest", "Which time a sample gets.", METRICS},
     OWN_TEXT,
     AT(metrics.sample_time)},
    {{"delta", "enum", "", "cumulative", "cumulative|keep", "What becomes of delta counters.", METRICS},
     OWN_TEXT,
     AT(metrics.delta)},
    {{"resource_attributes", "enum", "", "identity", "identity|target_info|none",
      "What becomes of OpenTelemetry's resource attributes.", METRICS},
     OWN_TEXT,
     AT(metrics.resource_attributes)},
    {{"series_idle", "duration", "", "", "a duration", "Series not seen for so long are let go.", METRICS},
     OWN_TEXT,
     AT(metrics.series_idle)},
};

const gcw_option *own_option_at(size_t index) { return index < ARRAY_LEN(rows) ? &rows[index].shown : NULL; }

static gcw_status refuse(const struct own_row *row, const char *value, gcw_error *err)
{
    return error_set(err, GCW_ERR_INVALID, "%s: \"%.150s\" is not allowed: %s, %s", row->shown.name, value,
                     row->shown.type, row->shown.allowed);
}

static bool read_bool(const char *value, bool *out)
{
    static const char *const words[][2] = {{"off", "on"}, {"false", "true"}, {"no", "yes"}, {"0", "1"}};
    for (size_t i = 0; i < ARRAY_LEN(words) * 2; i++) {
        if (strcasecmp(value, words[i / 2][i % 2]) == 0) {
            *out = i % 2;
            return true;
        }
    }
    return false;
}

static bool read_ack(const char *value, enum ack *out)
{
    static const char *const words[] = {"auto", "queued", "durable", "delivered"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(value, words[i]) == 0) {
            *out = (enum ack)i;
            return true;
        }
    }
    return false;
}

/* Bounds stand as text in the row: "10ms..1m". */
static bool read_duration(const struct own_row *row, const char *value, uint64_t *out)
{
    struct view allowed = view_of(row->shown.allowed);
    const char *dots = strstr(allowed.p, "..");
    uint64_t least, most;
    ENSURE(dots && parse_duration(view_make(allowed.p, (size_t)(dots - allowed.p)), &least) &&
           parse_duration(view_of(dots + 2), &most));
    return parse_duration(view_of(value), out) && *out >= least && *out <= most;
}

static bool read_value(const struct own_row *row, const char *value, void *field)
{
    switch (row->kind) {
    case OWN_TEXT:
        *(const char **)field = value;
        return true;
    case OWN_BOOL:
        return read_bool(value, field);
    case OWN_DURATION:
        return read_duration(row, value, field);
    case OWN_ACK:
        return read_ack(value, field);
    }
    return false;
}

gcw_status own_read(const struct reading *r, gcw_error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct own_row *row = &rows[i];
        const char *value = property(r, row->shown.name);
        if (!value && (row->kind == OWN_TEXT || row->kind == OWN_BOOL))
            continue; /* who uses it knows its default */
        value = value ? value : row->shown.default_value;
        if (!read_value(row, value, (char *)r->s + row->offset))
            return refuse(row, value, err);
    }
    return GCW_OK;
}
