/* config/: the one option table, and the typed configuration it fills. gcw_config_*() of gcw.h live here. */
#ifndef GCW_CONFIG_H
#define GCW_CONFIG_H

#include "net/net.h"

enum overflow_policy { OVERFLOW_ERROR, OVERFLOW_BLOCK, OVERFLOW_DROP_OLDEST, OVERFLOW_DROP_NEWEST };
enum line_policy { LINE_TRUNCATE, LINE_REJECT };
enum logs_compression { LOGS_GZIP, LOGS_UNCOMPRESSED };
enum logs_encoding { LOGS_JSON, LOGS_PROTOBUF };
enum window_policy { WINDOW_SEND, WINDOW_DROP, WINDOW_RESTAMP };

/* Per-signal options are pairs [GCW_METRICS], [GCW_LOGS]; strings are owned, never NULL ("" = not set). */
struct gcw_config {
    struct {
        char *url, *tenant, *labels; /* labels: "k=v,k=v" added where absent */
        int auth;                    /* enum auth_kind */
        uint64_t batch_bytes, batch_records, batch_age_ms, lanes;
        uint64_t max_label_name, max_label_value, max_labels;
    } signal[GCW_SIGNALS];

    char *token, *token_file;
    int cleartext_token; /* enum: refuse, allow */
    uint64_t token_check_ms;

    char *proxy, *ca_file, *client_cert, *client_key, *tls_min_version, *http_version, *headers, *user_agent;
    bool tls_verify, trace;
    uint64_t connect_timeout_ms, request_timeout_ms, connection_lifetime_ms, max_connections;

    int label_policy; /* enum label_policy */
    uint64_t max_series, max_streams, interned_memory;
    uint64_t max_line_bytes;
    int line_policy;
    int logs_encoding; /* enum logs_encoding */
    int logs_compression;
    int logs_service_name, logs_detected_level; /* enum: off, auto */
    bool logs_unique_times;
    uint64_t logs_max_past_ms, logs_max_future_ms; /* 0 = no bound */
    int logs_window_policy;                        /* enum window_policy */
    int metrics_protocol;                          /* enum metrics_protocol */
    int le_format;                                 /* enum le_format */
    uint64_t compression_level;
    uint64_t metrics_metadata_interval_ms;
    bool metrics_split_rejected;
    bool metrics_metadata, metrics_native_histograms, metrics_exemplars;

    uint64_t memory_limit;
    int overflow;
    uint64_t block_timeout_ms;

    char *queue_dir;
    int queue_mode; /* enum queue_mode */
    uint64_t queue_limit, queue_spill_after_ms;

    uint64_t retry_min_ms, retry_max_ms, park_probe_ms, max_age_ms;
    int log_level; /* enum gcw_log_level */
};

/* A deep copy; NULL when out of memory. */
gcw_config *config_copy(const gcw_config *c);
/* Splits "k=v,k=v" (blanks around names and values trimmed; `\,` is a comma in a value) into labels that point into
 * *text, which the caller frees. */
gcw_status config_labels(const char *list, char **text, gcw_label **labels, size_t *count, gcw_error *err);
/* Appends a whole file of configuration, at most 1 MiB, to *out; the error names it. */
struct stat;
gcw_status config_file_read(const char *path, struct buf *out, struct stat *st, gcw_error *err);
/* Fills the transport's part; `headers` (an array the caller frees, pointing into *text, freed too) from the list
 * option. */
gcw_status config_net(const gcw_config *c, struct net_config *out, char **text, const char ***headers, gcw_error *err);

/* The reference page (Markdown) and the option part of gcw.conf(5) (roff), from the table. */
bool config_reference_markdown(struct buf *out);
bool config_reference_man(struct buf *out);

#endif
