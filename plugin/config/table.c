/* The one option table. A new option is a row here and a field in struct gcw_config. */
#include "config/table.h"

#define AT(field) offsetof(struct gcw_config, field)
#define STRING(name, def, allowed, section, field, help)                                                               \
    {                                                                                                                  \
        {name, "string", "", def, allowed, help, section}, KIND_STRING, AT(field), 0, 0, NULL, 0, false                \
    }
#define LIST(name, allowed, section, field, help)                                                                      \
    {                                                                                                                  \
        {name, "list", "", "", allowed, help, section}, KIND_LIST, AT(field), 0, 0, NULL, 0, false                     \
    }
#define BOOL(name, def, section, field, help)                                                                          \
    {                                                                                                                  \
        {name, "bool", "", def, "on|off", help, section}, KIND_BOOL, AT(field), 0, 1, NULL, 0, false                   \
    }
#define INT(name, def, lo, hi, section, field, help)                                                                   \
    {                                                                                                                  \
        {name, "int", "", #def, #lo ".." #hi, help, section}, KIND_INT, AT(field), lo, hi, NULL, 0, false              \
    }
#define SIZE(name, def, lo, hi, min, max, section, field, help)                                                        \
    {                                                                                                                  \
        {name, "size", "bytes", def, lo ".." hi, help, section}, KIND_SIZE, AT(field), min, max, NULL, 0, false        \
    }
#define DURATION(name, def, lo, hi, min, max, section, field, help)                                                    \
    {                                                                                                                  \
        {name, "duration", "ms", def, lo ".." hi, help, section}, KIND_DURATION, AT(field), min, max, NULL, 0, false   \
    }
#define ENUM(name, def, allowed, list, base, text, section, field, help)                                               \
    {                                                                                                                  \
        {name, "enum", "", def, allowed, help, section}, KIND_ENUM, AT(field), 0, 0, list, base, text                  \
    }

#define SECOND UINT64_C(1000)
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

static const char *const auths[] = {"auto", "basic", "tenant", "bearer", "none", NULL};
static const char *const metrics_protocols[] = {"auto", "1.0", "2.0", NULL};
static const char *const le_formats[] = {"shortest", "openmetrics", "fluent-bit", NULL};
static const char *const cleartexts[] = {"refuse", "allow", NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL};
static const char *const http_versions[] = {"auto", "1.1", "2", NULL};
static const char *const label_policies[] = {"sanitise", "truncate", "reject", NULL};
static const char *const line_policies[] = {"truncate", "reject", NULL};
static const char *const logs_encodings[] = {"json", "protobuf", NULL};
static const char *const off_auto[] = {"off", "auto", NULL};
static const char *const window_policies[] = {"send", "drop", "restamp", NULL};
static const char *const compressions[] = {"gzip", "none", NULL};
static const char *const queue_modes[] = {"memory", "spill", "durable", NULL};
static const char *const overflows[] = {"error", "block", "drop_oldest", "drop_newest", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};

#define DEST    "Destinations"
#define AUTH    "Credentials"
#define HTTP    "HTTP and TLS"
#define BATCH   "Batching"
#define LABELS  "Labels and limits"
#define MEMORY  "Memory and overflow"
#define QUEUE   "Disk queue"
#define RETRY   "Retries"
#define LOGGING "Logging"

const struct option_row option_rows[] = {
    STRING("metrics_url", "", "http or https URL", DEST, signal[GCW_METRICS].url,
           "Where metrics are pushed: the receiver's full remote-write URL; a URL without a path gets the usual one of "
           "its host."),
    STRING("metrics_tenant", "", "letters, digits and !-_.*'(), at most 150", DEST, signal[GCW_METRICS].tenant,
           "Tenant of metrics: in Grafana Cloud the number shown as username of the Prometheus data source."),
    ENUM("metrics_auth", "auto", "auto|basic|tenant|bearer|none", auths, 0, false, DEST, signal[GCW_METRICS].auth,
         "How metrics requests are signed: basic sends tenant and token as user and password, tenant the header "
         "X-Scope-OrgID, bearer the token alone; auto chooses by what is given: basic, bearer, tenant or none."),
    LIST("metrics_labels", "name=value,...", DEST, signal[GCW_METRICS].labels,
         "Labels added to every series that does not have them; a backslash before a comma keeps it in the value."),
    ENUM("metrics_protocol", "auto", "auto|1.0|2.0", metrics_protocols, 0, false, DEST, metrics_protocol,
         "Version of remote write: auto offers 2.0, sends the same data again in 1.0 where the receiver shows that it "
         "does not know 2.0, and offers that again after an hour or more; 2.0 holds data for a receiver that knows 1.0 "
         "alone."),
    STRING("logs_url", "", "http or https URL", DEST, signal[GCW_LOGS].url,
           "Where logs are pushed: the receiver's Loki push URL; a URL without a path gets /loki/api/v1/push."),
    STRING("logs_tenant", "", "letters, digits and !-_.*'(), at most 150", DEST, signal[GCW_LOGS].tenant,
           "Tenant of logs: in Grafana Cloud the number shown as user of the Loki data source, another than that of "
           "metrics."),
    ENUM("logs_auth", "auto", "auto|basic|tenant|bearer|none", auths, 0, false, DEST, signal[GCW_LOGS].auth,
         "How logs requests are signed; see metrics_auth."),
    LIST("logs_labels", "name=value,...", DEST, signal[GCW_LOGS].labels,
         "Labels added to every stream that does not have them."),

    {{"token", "secret", "", "", "text without blanks or control characters",
      "Access policy token; better in token_file or the environment (GCW_TOKEN).", AUTH},
     KIND_SECRET,
     AT(token),
     0,
     0,
     NULL,
     0,
     false},
    STRING("token_file", "", "path", AUTH, token_file,
           "File that holds the token; read again when it changes. Wins over token."),
    DURATION("token_check", "5s", "100ms", "1h", 100, HOUR, AUTH, token_check_ms, "How often token_file is looked at."),
    ENUM("cleartext_token", "refuse", "refuse|allow", cleartexts, 0, false, AUTH, cleartext_token,
         "Whether a token may go over http, readable on the way, to a host other than this one."),

    STRING("proxy", "", "http, https or socks5 URL", HTTP, proxy,
           "Proxy for all requests; empty: what the environment says (https_proxy, no_proxy)."),
    STRING("ca_file", "", "path", HTTP, ca_file, "Certificates (PEM) to trust instead of the system's."),
    STRING("client_cert", "", "path", HTTP, client_cert, "Client certificate (PEM); needs client_key."),
    STRING("client_key", "", "path", HTTP, client_key, "Private key of the client certificate (PEM)."),
    ENUM("tls_min_version", "1.2", "1.2|1.3", tls_versions, 0, true, HTTP, tls_min_version,
         "Oldest TLS version spoken."),
    BOOL("tls_verify", "on", HTTP, tls_verify, "Check the receiver's certificate and name; off only for experiments."),
    ENUM("http_version", "auto", "auto|1.1|2", http_versions, 0, true, HTTP, http_version,
         "HTTP version; auto speaks 2 over TLS where offered."),
    LIST("headers", "Name: value,...", HTTP, headers,
         "Further request headers; a backslash before a comma keeps it in the value."),
    STRING("user_agent", "", "text", HTTP, user_agent, "Appended to the User-Agent."),
    DURATION("connect_timeout", "10s", "100ms", "5m", 100, 300 * SECOND, HTTP, connect_timeout_ms,
             "Limit for connecting, TLS included."),
    DURATION("request_timeout", "30s", "1s", "1h", SECOND, HOUR, HTTP, request_timeout_ms,
             "Limit for one request, answer included."),
    DURATION("connection_lifetime", "5m", "1s", "1d", SECOND, DAY, HTTP, connection_lifetime_ms,
             "Age at which a connection is not used again, so that a changed DNS name is noticed."),
    INT("max_connections", 8, 1, 256, HTTP, max_connections, "Requests in flight at a time, over all routes."),

    SIZE("metrics_batch_bytes", "1MiB", "4KiB", "16MiB", 4096, 16 * MIB, BATCH, signal[GCW_METRICS].batch_bytes,
         "Largest metrics request before compression."),
    INT("metrics_batch_records", 10000, 1, 200000, BATCH, signal[GCW_METRICS].batch_records,
        "Most samples in a request."),
    DURATION("metrics_batch_age", "5s", "10ms", "1h", 10, HOUR, BATCH, signal[GCW_METRICS].batch_age_ms,
             "Longest time a sample waits for its request to fill."),
    INT("metrics_lanes", 1, 1, 64, BATCH, signal[GCW_METRICS].lanes,
        "Requests of one tenant that may be in flight together; a series keeps to one lane."),
    SIZE("logs_batch_bytes", "1MiB", "4KiB", "4MiB", 4096, 4 * MIB, BATCH, signal[GCW_LOGS].batch_bytes,
         "Largest logs request before compression; Loki's own messages hold 4 MiB."),
    INT("logs_batch_records", 100000, 1, 1000000, BATCH, signal[GCW_LOGS].batch_records, "Most entries in a request."),
    DURATION("logs_batch_age", "1s", "10ms", "1h", 10, HOUR, BATCH, signal[GCW_LOGS].batch_age_ms,
             "Longest time an entry waits for its request to fill."),
    INT("logs_lanes", 1, 1, 64, BATCH, signal[GCW_LOGS].lanes,
        "Requests of one tenant that may be in flight together; a stream keeps to one lane."),
    ENUM("logs_encoding", "json", "json|protobuf", logs_encodings, 0, false, BATCH, logs_encoding,
         "Form of logs requests: json, compressed by logs_compression, or protobuf, always in snappy, which costs both "
         "ends less CPU and the network more than gzip."),
    ENUM("logs_compression", "gzip", "gzip|none", compressions, 0, false, BATCH, logs_compression,
         "Compression of logs requests in JSON."),
    INT("compression_level", 1, 1, 9, BATCH, compression_level,
        "gzip level; 1 costs least and already takes logs to a fifth or less."),
    BOOL("metrics_native_histograms", "on", BATCH, metrics_native_histograms,
         "Send native histograms in remote write 1.0 too; off: those end as rejected there. 2.0 always has them."),
    BOOL("metrics_exemplars", "on", BATCH, metrics_exemplars,
         "Send exemplars in remote write 1.0 too; off: they are left out there. 2.0 always has them."),
    BOOL("metrics_metadata", "on", BATCH, metrics_metadata,
         "Send type, help and unit of metric families: in remote write 2.0 with every series; in 1.0 once each, when "
         "they "
         "change, and again every metrics_metadata_interval."),
    DURATION(
        "metrics_metadata_interval", "5m", "1s", "1d", SECOND, DAY, BATCH, metrics_metadata_interval_ms,
        "How often a metric family is described again in remote write 1.0: Mimir forgets it after 10m. What changed "
        "goes out after a fifth of that at the earliest, so that series which contradict each other cost little."),

    ENUM("label_policy", "sanitise", "sanitise|truncate|reject", label_policies, 0, false, LABELS, label_policy,
         "What happens to labels a receiver would refuse: sanitise mends names and cuts values, truncate only cuts, "
         "reject refuses."),
    ENUM("le_format", "shortest", "shortest|openmetrics|fluent-bit", le_formats, 0, false, LABELS, le_format,
         "How bucket bounds and quantiles become the labels le and quantile of classic histograms and summaries, which "
         "receivers compare as text: shortest 0.1, 1, 1000000, as from OpenTelemetry and most client libraries; "
         "openmetrics 0.1, 1.0, 1e+06, as Prometheus 3 and Alloy store what they scrape; fluent-bit as its "
         "own output writes them, 0.10000000000000001, 1, 1000000."),
    INT("metrics_max_labels", 30, 1, 65536, LABELS, signal[GCW_METRICS].max_labels, "Most labels of a series."),
    SIZE("metrics_max_label_name", "1KiB", "16B", "1MiB", 16, MIB, LABELS, signal[GCW_METRICS].max_label_name,
         "Longest label name of a series."),
    SIZE("metrics_max_label_value", "2KiB", "64B", "1MiB", 64, MIB, LABELS, signal[GCW_METRICS].max_label_value,
         "Longest label value of a series."),
    INT("logs_max_labels", 15, 1, 65536, LABELS, signal[GCW_LOGS].max_labels, "Most labels of a stream."),
    SIZE("logs_max_label_name", "1KiB", "16B", "1MiB", 16, MIB, LABELS, signal[GCW_LOGS].max_label_name,
         "Longest label name of a stream."),
    SIZE("logs_max_label_value", "2KiB", "64B", "1MiB", 64, MIB, LABELS, signal[GCW_LOGS].max_label_value,
         "Longest label value of a stream."),
    INT("max_series", 1000000, 1, 1000000000, LABELS, max_series,
        "Most series alive; a refusal names the label with the most values."),
    INT("max_streams", 5000, 1, 10000000, LABELS, max_streams, "Most streams alive."),
    SIZE("interned_memory", "512MiB", "64KiB", "1TiB", 65536, UINT64_C(1) << 40, LABELS, interned_memory,
         "Most memory for the labels of series, and as much for those of streams."),
    SIZE("max_line_bytes", "256KiB", "1KiB", "16MiB", 1024, 16 * MIB, LABELS, max_line_bytes, "Longest log line."),
    ENUM("line_policy", "truncate", "truncate|reject", line_policies, 0, false, LABELS, line_policy,
         "What happens to a longer line."),
    ENUM(
        "logs_service_name", "off", "off|auto", off_auto, 0, false, LABELS, logs_service_name,
        "auto sets the label service_name where it is absent, from the labels Loki itself would take it from (service, "
        "app, application, app_name, name, ... job), else to unknown_service. off leaves that to the server, which "
        "does "
        "the same unless it was told not to."),
    ENUM("logs_detected_level", "off", "off|auto", off_auto, 0, false, LABELS, logs_detected_level,
         "auto sets the structured metadata detected_level where it is absent, as Loki would: from a label or metadata "
         "such as level or severity, from severity_number, from such a key of a line in JSON or logfmt, or from the "
         "first "
         "word that is a level, else to unknown. A receiver with allow_structured_metadata off refuses it. off leaves "
         "it to "
         "the server, which does the same unless it was told not to."),
    BOOL(
        "logs_unique_times", "off", LABELS, logs_unique_times,
        "Entries of a stream that come with the same time get one nanosecond more each, in their order: Loki keeps but "
        "one of two that are equal. Entries older than what was sent of their stream before are compared within their "
        "request only."),
    DURATION(
        "logs_max_past", "7d", "0", "3650d", 0, 3650 * DAY, LABELS, logs_max_past_ms,
        "Age from which an entry counts as too old for the receiver when it is appended; Loki's default limit is 7d. "
        "0 = no age."),
    DURATION(
        "logs_max_future", "10m", "0", "3650d", 0, 3650 * DAY, LABELS, logs_max_future_ms,
        "How far ahead of this machine's clock an entry counts as too new; Loki's default limit is 10m. 0 = never."),
    ENUM("logs_window_policy", "send", "send|drop|restamp", window_policies, 0, false, LABELS, logs_window_policy,
         "What happens to such entries: send lets the receiver decide, drop drops and counts them, restamp gives them "
         "the "
         "present time and puts their own into the structured metadata original_timestamp (Unix nanoseconds)."),

    SIZE(
        "memory_limit", "32MiB", "64KiB", "1TiB", 65536, UINT64_C(1) << 40, MEMORY, memory_limit,
        "Memory for records and requests that have not been delivered; at least eight times the largest batch_bytes in "
        "use."),
    ENUM("overflow", "error", "error|block|drop_oldest|drop_newest", overflows, 0, false, MEMORY, overflow,
         "What an append does at memory_limit: return an error at once, wait, drop the oldest waiting requests, or "
         "drop itself; drops are counted."),
    DURATION("block_timeout", "30s", "0", "1d", 0, DAY, MEMORY, block_timeout_ms,
             "How long overflow=block waits; 0 = without limit."),

    STRING("queue_dir", "", "path", QUEUE, queue_dir,
           "Directory for requests that wait; made if need be (mode 0700), used by one writer at a time. Empty: they "
           "wait in memory alone, and are lost with the process."),
    ENUM("queue_mode", "durable", "memory|spill|durable", queue_modes, 0, false, QUEUE, queue_mode,
         "With queue_dir: durable puts every request on disk and syncs it before it is sent, so that neither kill -9 "
         "nor a power cut loses it; spill writes only when memory is half full, when a route has been failing for "
         "queue_spill_after, and at the end, which spares flash."),
    SIZE(
        "queue_limit", "1GiB", "1MiB", "64TiB", MIB, UINT64_C(1) << 46, QUEUE, queue_limit,
        "Most bytes of disk. When they are used up, overflow=drop_oldest drops the oldest requests; else requests stay "
        "in memory, up to memory_limit."),
    DURATION("queue_spill_after", "30s", "0", "1d", 0, DAY, QUEUE, queue_spill_after_ms,
             "queue_mode=spill: how long a route fails before its requests go to disk; 0 = not for that reason."),

    DURATION("retry_min", "500ms", "10ms", "1h", 10, HOUR, RETRY, retry_min_ms,
             "First delay before a request is sent again; doubled each time."),
    DURATION("retry_max", "5m", "10ms", "1d", 10, DAY, RETRY, retry_max_ms,
             "Largest delay, and the most a receiver's Retry-After is followed."),
    DURATION("park_probe", "1m", "100ms", "1d", 100, DAY, RETRY, park_probe_ms,
             "How often a route that waits for a person (credentials, URL) tries again."),
    BOOL("metrics_split_rejected", "on", RETRY, metrics_split_rejected,
         "Prometheus throws away the whole of a remote write 1.0 request for one sample that is out of order, too old, "
         "or another value for a time it has. on: such a request is sent again in parts, so that the others arrive; "
         "off: all of it ends as rejected."),
    DURATION("max_age", "0", "0", "365d", 0, 365 * DAY, RETRY, max_age_ms,
             "Age at which a request that could not be delivered expires; 0 = never."),

    ENUM("log_level", "info", "error|warn|info|debug", log_levels, 1, false, LOGGING, log_level,
         "Least severe line that is logged."),
    BOOL("trace", "off", LOGGING, trace, "Log the HTTP library's own lines at level debug, credentials blanked."),
};
const size_t option_row_count = ARRAY_LEN(option_rows);

const gcw_option *gcw_option_at(size_t index) { return index < option_row_count ? &option_rows[index].shown : NULL; }

const struct option_row *option_find(struct view name)
{
    for (size_t i = 0; i < option_row_count; i++)
        if (view_is(name, option_rows[i].shown.name))
            return &option_rows[i];
    return NULL;
}

const char *option_nearest(struct view name)
{
    const char *nearest = "";
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < option_row_count; i++) {
        size_t d = text_distance(name, view_of(option_rows[i].shown.name));
        if (d < least)
            least = d, nearest = option_rows[i].shown.name;
    }
    return nearest;
}
