/* gcw.h: Grafana Cloud writer, the whole public interface.
 *
 * A writer takes samples and log entries from any thread, gathers them into batches, and lands them at a
 * remote-write receiver (metrics) and a Loki receiver (logs). It keeps what it was given until the receiver
 * answered for it, within a memory budget, and accounts for every record: delivered, rejected, expired or
 * dropped by a named policy.
 *
 *     gcw_config *c = gcw_config_new();
 *     gcw_error err;
 *     gcw_config_set(c, "metrics_url", "https://prometheus-prod-01.grafana.net/api/prom/push", &err);
 *     gcw_config_set(c, "metrics_tenant", "123456", &err);
 *     gcw_config_set(c, "token_file", "/etc/gcw/token", &err);
 *     gcw_writer *w = gcw_writer_open(c, NULL, &err);
 *     const gcw_label labels[] = { GCW_LABEL("__name__", "room_celsius"), GCW_LABEL("room", "kitchen") };
 *     gcw_series *s = gcw_series_intern(w, labels, 2, NULL, NULL, &err);
 *     gcw_sample_append(s, 21.5, gcw_now_ms(), NULL);
 *     gcw_writer_close(w, 5000, NULL);
 *     gcw_config_free(c);
 *
 * Conventions
 *   Text       UTF-8. Arguments with a length need no terminating NUL; `const char *` alone is a C string.
 *   Time       sample times are Unix milliseconds, entry times Unix nanoseconds, both int64_t; timeouts are
 *              milliseconds on the monotonic clock, 0 = don't wait, negative = wait without limit.
 *   Ownership  the library copies what it is given; nothing passed in needs to outlive the call. What it returns
 *              with `const` belongs to it.
 *   Threads    unless said otherwise a function may be called from any thread at any time between open and close.
 *   Errors     a negative gcw_status; where a person has to act, a gcw_error carries the words. `err` may always
 *              be NULL.
 *   Fork       open writers after fork(), not before.
 */
#ifndef GCW_H
#define GCW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GCW_VERSION_MAJOR 0
#define GCW_VERSION_MINOR 1
#define GCW_VERSION_PATCH 0
#define GCW_VERSION       "0.1.0"

#if defined(__GNUC__)
#define GCW_API __attribute__((visibility("default")))
#else
#define GCW_API
#endif

/* Version of the library that is loaded, "MAJOR.MINOR.PATCH". */
GCW_API const char *gcw_version(void);

/* ---- status and errors ------------------------------------------------------------------------------------ */

typedef enum gcw_status {
    GCW_OK = 0,
    GCW_ERR_INVALID = -1,     /* an argument, option, label or configuration that can never work as given */
    GCW_ERR_FULL = -2,        /* the memory budget is used up: back off and try again (overflow=error) */
    GCW_ERR_TIMEOUT = -3,     /* the deadline passed before the work was done */
    GCW_ERR_LIMIT = -4,       /* the guard on the number or size of series, streams or tenants refused */
    GCW_ERR_TOO_LARGE = -5,   /* one record is larger than a request may be, or than the policy allows */
    GCW_ERR_DROPPED = -6,     /* the record was dropped by the policy in force, and counted (overflow=drop_newest) */
    GCW_ERR_CLOSED = -7,      /* the writer is closing */
    GCW_ERR_NOMEM = -8,       /* malloc failed */
    GCW_ERR_IO = -9,          /* a file could not be read */
    GCW_ERR_UNSUPPORTED = -10 /* this configuration cannot do that (a receipt level without its queue, say) */
} gcw_status;

/* A few fixed words for `status`; never NULL. */
GCW_API const char *gcw_strerror(gcw_status status);

#define GCW_ERROR_TEXT 512

/* What went wrong, for a person: names the key, label or file, the value, and what is allowed. Never holds a secret. */
typedef struct gcw_error {
    gcw_status code;
    char text[GCW_ERROR_TEXT];
} gcw_error;

/* ---- configuration ---------------------------------------------------------------------------------------- */

/* Flat properties, each a row of one option table; doc/options.md lists them, and gcw_option_at() enumerates them. */
typedef struct gcw_config gcw_config;

/* One row of the option table, for hosts and tools that list or look up options. All text is static. */
typedef struct gcw_option {
    const char *name;          /* lower case, digits and '_' only */
    const char *type;          /* "string", "bool", "int", "size", "duration", "enum", "list", "secret" */
    const char *unit;          /* "bytes", "ms", ... or "" */
    const char *default_value; /* as gcw_config_set() would take it; "" = unset */
    const char *allowed;       /* bounds or choices, in words, e.g. "64KiB..1TiB" or "basic|bearer|none" */
    const char *help;          /* one sentence */
    const char *section;       /* heading it stands under in the reference */
} gcw_option;

/* Row `index` of the table, NULL past the end. */
GCW_API const gcw_option *gcw_option_at(size_t index);

/* A configuration with every option at its default. NULL when out of memory. Free with gcw_config_free().
 * A configuration is not locked: use it from one thread at a time. */
GCW_API gcw_config *gcw_config_new(void);
GCW_API void gcw_config_free(gcw_config *config); /* wipes secrets; NULL is fine */

/* Sets one option from text. Sizes take B, KiB, MiB, GiB (k, M, G too); durations ms, s, m, h; booleans
 * on/off, true/false, yes/no; lists are comma-separated. GCW_ERR_INVALID names the key, the value (never of a
 * secret) and what is allowed; an unknown key also names the nearest known one. On error nothing changes. */
GCW_API gcw_status gcw_config_set(gcw_config *config, const char *key, const char *value, gcw_error *err);

/* Writes the option's present value as text into out (cap bytes, always terminated). A secret reads as "***" when
 * set. Returns GCW_ERR_INVALID for an unknown key, GCW_ERR_TOO_LARGE when cut. */
GCW_API gcw_status gcw_config_get(const gcw_config *config, const char *key, char *out, size_t cap);

/* Sets options from the environment: GCW_METRICS_URL sets metrics_url, and so on. An unknown GCW_ name is an error,
 * so that a typo is not lost; GCW_CONFIG, read by the tool, is passed over. */
GCW_API gcw_status gcw_config_load_env(gcw_config *config, gcw_error *err);

/* Sets options from a file of `key = value` lines; '#' starts a comment line. An error names file and line.
 * A file that holds `token` must not be readable by group or others. See gcw.conf(5). */
GCW_API gcw_status gcw_config_load_file(gcw_config *config, const char *path, gcw_error *err);

/* Checks that the options together make sense (URLs, tenant and credentials per signal, clear-text rules), without
 * network; gcw_writer_open() does the same. */
GCW_API gcw_status gcw_config_check(const gcw_config *config, gcw_error *err);

/* ---- callbacks -------------------------------------------------------------------------------------------- */

typedef enum gcw_signal { GCW_METRICS = 0, GCW_LOGS = 1 } gcw_signal;
#define GCW_SIGNALS 2

typedef enum gcw_log_level { GCW_LOG_ERROR = 1, GCW_LOG_WARN = 2, GCW_LOG_INFO = 3, GCW_LOG_DEBUG = 4 } gcw_log_level;

/* How a record ended. Every record that was accepted ends in exactly one of these. */
typedef enum gcw_outcome {
    GCW_DELIVERED = 0, /* the receiver said yes */
    GCW_REJECTED = 1,  /* the receiver will never take it; its words are in the report */
    GCW_EXPIRED = 2,   /* older than max_age before it could be delivered */
    GCW_DROPPED = 3 /* by policy: overflow, what was left in memory when close()'s deadline passed; or lost on disk */
} gcw_outcome;
#define GCW_OUTCOMES 4

GCW_API const char *gcw_outcome_name(gcw_outcome outcome); /* "delivered", ... */
GCW_API const char *gcw_signal_name(gcw_signal signal);    /* "metrics", "logs" */

/* What became of (part of) one request. A request that the receiver took in part brings two reports. Pointers are
 * valid during the callback only. */
typedef struct gcw_report {
    gcw_signal signal;
    gcw_outcome outcome;
    const char *tenant;  /* "" if none */
    uint64_t records;    /* samples or entries this report is about */
    uint64_t bytes;      /* size of the request on the wire */
    int http_status;     /* 0 when no answer came */
    unsigned attempts;   /* times it was sent */
    const char *message; /* the receiver's words (cleaned, cut to 1 KiB) or ours; "" if none */
    int64_t first_time;  /* oldest and newest record time, in the signal's unit */
    int64_t last_time;
} gcw_report;

/* Every callback may be NULL. They run on the writer's own threads, one at a time per writer; they must not block
 * for long and must not call gcw_writer_flush() or gcw_writer_close() of the same writer. */
typedef struct gcw_callbacks {
    void *user; /* handed to each callback */
    /* One line of text, no newline, never a secret. Changes of state come once, not once per request. Without this
     * callback lines of `log_level` and worse go to standard error. */
    void (*log)(void *user, gcw_log_level level, const char *text);
    void (*report)(void *user, const gcw_report *report);
} gcw_callbacks;

/* ---- writer ----------------------------------------------------------------------------------------------- */

typedef struct gcw_writer gcw_writer;

/* Opens a writer: checks the configuration, reads the token, starts two threads. No network traffic yet.
 * `config` is copied. NULL with `err` filled on failure. */
GCW_API gcw_writer *gcw_writer_open(const gcw_config *config, const gcw_callbacks *callbacks, gcw_error *err);

/* Closes all open batches and waits until everything appended before the call has ended one way or the other.
 * GCW_ERR_TIMEOUT if some of it is still on its way. */
GCW_API gcw_status gcw_writer_flush(gcw_writer *writer, int timeout_ms);

struct gcw_stats;

/* Flushes for at most timeout_ms, then puts what is left on disk (queue_dir) or else drops it (counted, reported),
 * stops the threads and frees the writer with all its series and streams; receipts live on. Appends that come during
 * the call get GCW_ERR_CLOSED; the caller sees to it that no other call is under way when it returns, and makes none
 * afterwards. `final` (may be NULL) gets the last statistics. GCW_ERR_TIMEOUT if records were dropped here. NULL is
 * fine. */
GCW_API gcw_status gcw_writer_close(gcw_writer *writer, int timeout_ms, struct gcw_stats *final);

/* Counters of one signal since open, and gauges. At any time:
 * accepted + recovered = delivered + rejected + expired + dropped + pending. */
typedef struct gcw_signal_stats {
    uint64_t accepted; /* records taken by append */
    uint64_t refused;  /* records turned away with an error at append (not in `accepted`) */
    uint64_t outcome[GCW_OUTCOMES];
    uint64_t recovered;           /* records found in queue_dir at open */
    uint64_t pending;             /* accepted or recovered, not ended */
    uint64_t on_disk;             /* of them: in files of queue_dir */
    uint64_t metadata_sent;       /* metric families whose metadata was delivered */
    uint64_t exemplars_sent;      /* in requests that were delivered, in part too */
    uint64_t exemplars_left_out;  /* receivers would refuse them, or metrics_exemplars=off kept them out of 1.0 */
    uint64_t histograms_sent;     /* native ones, as exemplars_sent */
    uint64_t histograms_left_out; /* of those rejected: not to be said in remote write 1.0 */
    uint64_t changed;             /* label sets and entries that were mended (sanitised, cut) to fit the receiver */
    uint64_t requests;            /* requests sent, retries included */
    uint64_t retries;
    uint64_t requests_waiting; /* sealed, not ended */
    uint64_t requests_in_flight;
    uint64_t bytes_raw;        /* encoded bytes before compression */
    uint64_t bytes_sent;       /* body bytes sent, retries included */
    uint64_t bytes_waiting;    /* compressed bytes of requests_waiting */
    uint64_t interned;         /* live series or streams */
    uint64_t interned_bytes;   /* memory they take, with the texts they share */
    uint64_t damaged;          /* requests and stretches of files that could not be read back */
    int64_t oldest_waiting_ms; /* age of the oldest request waiting; 0 = none */
    int last_http_status;      /* of the newest answer; 0 = none yet */
    bool parked;               /* at least one route holds its data until credentials or URL are mended */
    char last_error[256];      /* newest failure in words, "" = none since the last success */
} gcw_signal_stats;

typedef struct gcw_stats {
    gcw_signal_stats signal[GCW_SIGNALS];
    uint64_t memory_used; /* bytes under the budget now */
    uint64_t memory_limit;
    uint64_t disk_used; /* bytes of the files in queue_dir */
    uint64_t disk_limit;
    uint64_t disk_syncs; /* files synced since open */
    bool disk_failing;   /* queue_dir cannot be written at present: requests wait in memory */
} gcw_stats;

/* A consistent-enough snapshot: each number is exact, the set is read without stopping the writer. */
GCW_API void gcw_writer_stats(gcw_writer *writer, gcw_stats *out);

/* ---- receipts --------------------------------------------------------------------------------------------- */

/* What tells a host that its records are safe. A receipt is opened, named in any number of appends, sealed, and then
 * completes when each of its records reached the level asked for. One receipt may be used from several threads. */
typedef struct gcw_receipt gcw_receipt;

typedef enum gcw_receipt_level {
    GCW_RECEIPT_QUEUED = 0,   /* taken into memory: true as soon as append returned */
    GCW_RECEIPT_DURABLE = 1,  /* on disk and synced, or ended; needs queue_mode=durable */
    GCW_RECEIPT_DELIVERED = 2 /* the receiver said yes, or the record ended otherwise */
} gcw_receipt_level;

typedef struct gcw_receipt_summary {
    bool complete;                  /* sealed, and no record is outstanding */
    uint64_t records;               /* appended under the receipt */
    uint64_t outcome[GCW_OUTCOMES]; /* how they ended so far (level DELIVERED) */
} gcw_receipt_summary;

/* NULL with GCW_ERR_UNSUPPORTED when the writer's queue cannot give that level. `done` (may be NULL) is called once,
 * when the receipt completes: on a writer thread, or on the thread that seals it. */
GCW_API gcw_receipt *gcw_receipt_new(gcw_writer *writer, gcw_receipt_level level,
                                     void (*done)(void *user, const gcw_receipt_summary *summary), void *user,
                                     gcw_error *err);

/* No more records will be appended under it. */
GCW_API void gcw_receipt_seal(gcw_receipt *receipt);

/* Waits until a sealed receipt completes; asks for no flush (batch ages decide). GCW_ERR_TIMEOUT otherwise.
 * `out` (may be NULL) is filled in both cases. */
GCW_API gcw_status gcw_receipt_wait(gcw_receipt *receipt, int timeout_ms, gcw_receipt_summary *out);

/* Gives up the caller's hold; seals it if need be. Pending records go on. May be called after the writer closed. */
GCW_API void gcw_receipt_free(gcw_receipt *receipt);

/* ---- labels, series and streams --------------------------------------------------------------------------- */

typedef struct gcw_label {
    const char *name;
    size_t name_len; /* bytes */
    const char *value;
    size_t value_len;
} gcw_label;

/* A gcw_label from two C strings. */
#define GCW_LABEL(n, v)                                                                                                \
    {                                                                                                                  \
        (n), strlen(n), (v), strlen(v)                                                                                 \
    }

typedef enum gcw_metric_type {
    GCW_TYPE_UNKNOWN = 0, /* numbers as in the remote-write MetricType enum */
    GCW_TYPE_COUNTER = 1,
    GCW_TYPE_GAUGE = 2,
    GCW_TYPE_HISTOGRAM = 3,
    GCW_TYPE_GAUGEHISTOGRAM = 4,
    GCW_TYPE_SUMMARY = 5,
    GCW_TYPE_INFO = 6,
    GCW_TYPE_STATESET = 7
} gcw_metric_type;

/* Metadata of a metric family; each text may be NULL. */
typedef struct gcw_metadata {
    gcw_metric_type type;
    const char *family; /* name of the family without _total, _bucket ...; NULL = the series' own name */
    const char *help;
    const char *unit;
} gcw_metadata;

typedef struct gcw_series gcw_series;
typedef struct gcw_stream gcw_stream;

/* Interns a series: labels are checked against label_policy and limits, sorted, and encoded once; the handle then
 * costs one copy per sample. The metric name is the label __name__ (Remote-Write 1.0: [a-zA-Z_:][a-zA-Z0-9_:]*);
 * labels with an empty value are left out; the options' static labels are added where absent. Equal label sets (and
 * tenant) give the same handle, counted. `metadata` may be NULL; what is known of a family goes with its
 * series, or by itself, see gcw_metadata_write(). `tenant` NULL = the configured one. NULL with GCW_ERR_INVALID (which
 * label, why) or GCW_ERR_LIMIT (the guard; names the label with the most values). Handles stay valid until released or
 * the writer closes. */
GCW_API gcw_series *gcw_series_intern(gcw_writer *writer, const gcw_label *labels, size_t count,
                                      const gcw_metadata *metadata, const char *tenant, gcw_error *err);
GCW_API void gcw_series_release(gcw_series *series); /* NULL is fine */

/* Interns a log stream. Names follow Loki's [a-zA-Z_][a-zA-Z0-9_]*; names that could alter or poison a push are made
 * harmless or refused, by label_policy. At least one label with a value is needed. Otherwise as for series. */
GCW_API gcw_stream *gcw_stream_intern(gcw_writer *writer, const gcw_label *labels, size_t count, const char *tenant,
                                      gcw_error *err);
GCW_API void gcw_stream_release(gcw_stream *stream); /* NULL is fine */

/* ---- appending -------------------------------------------------------------------------------------------- */

/* Appends one sample: a double (any bits: NaN, infinities and the stale marker travel unchanged) at Unix
 * milliseconds (any int64). Samples of one series are sent in the order of these calls; give them ascending times.
 * `receipt` may be NULL. No allocation, no formatting. GCW_OK, or GCW_ERR_FULL, _DROPPED, _TIMEOUT (overflow=block),
 * _CLOSED; after an error the sample is not in. */
GCW_API gcw_status gcw_sample_append(gcw_series *series, double value, int64_t time_ms, gcw_receipt *receipt);

/* The same with the value's 64 bits, for callers whose floating-point unit must not touch a signalling NaN. */
GCW_API gcw_status gcw_sample_append_bits(gcw_series *series, uint64_t value_bits, int64_t time_ms,
                                          gcw_receipt *receipt);
#define GCW_STALE_BITS UINT64_C(0x7ff0000000000002)

/* Appends one log entry: any bytes (what is not UTF-8 reaches the receiver as U+FFFD), Unix nanoseconds, and optional
 * structured metadata (`metadata_count` pairs; names are normalised as Loki does, pairs with an empty value left out;
 * of those with one name the last stays that had to be mended, as in Loki, else the last). logs_unique_times,
 * logs_window_policy and logs_detected_level may change time and metadata on the way. Entries of a stream are sent
 * ascending by time within a request. Also GCW_ERR_TOO_LARGE by line_policy, and GCW_ERR_INVALID for metadata that
 * label_policy=reject refuses. */
GCW_API gcw_status gcw_entry_append(gcw_stream *stream, const void *line, size_t line_len, int64_t time_ns,
                                    const gcw_label *metadata, size_t metadata_count, gcw_receipt *receipt);

/* One call with labels, nothing interned by the caller: checks and encodes the labels each time. The series guard
 * counts label sets here too. Samples cost several times gcw_sample_append(), and hold no memory per series beyond a
 * fingerprint; entries look their stream up. Use one of the two forms for a series, not both: between them order is not
 * kept. */
GCW_API gcw_status gcw_sample_write(gcw_writer *writer, const gcw_label *labels, size_t count, double value,
                                    int64_t time_ms, gcw_receipt *receipt, gcw_error *err);
GCW_API gcw_status gcw_sample_write_bits(gcw_writer *writer, const gcw_label *labels, size_t count, uint64_t value_bits,
                                         int64_t time_ms, gcw_receipt *receipt, gcw_error *err);
GCW_API gcw_status gcw_entry_write(gcw_writer *writer, const gcw_label *labels, size_t count, const void *line,
                                   size_t line_len, int64_t time_ns, const gcw_label *metadata, size_t metadata_count,
                                   gcw_receipt *receipt, gcw_error *err);

/* ---- points: more than a number ---------------------------------------------------------------------------- */

/* `length` consecutive buckets, `offset` behind the bucket after the last span's (the first: behind bucket 0). */
typedef struct gcw_span {
    int32_t offset; /* not negative but in the first span */
    uint32_t length;
} gcw_span;

/* One side of a histogram. Counts are those of each bucket alone, not cumulative, as many as the spans' lengths add up
 * to: integers in `counts`, or in `float_counts` for a float histogram. */
typedef struct gcw_buckets {
    const gcw_span *spans;
    size_t span_count;
    const uint64_t *counts;
    const double *float_counts;
    size_t count; /* of buckets */
} gcw_buckets;

typedef enum gcw_reset_hint {
    GCW_RESET_UNKNOWN = 0,
    GCW_RESET_YES = 1, /* counting began anew with this one */
    GCW_RESET_NO = 2,
    GCW_RESET_GAUGE = 3
} gcw_reset_hint;

#define GCW_CUSTOM_BUCKETS (-53)

/* A native histogram. Bucket i > 0 of the positive side holds observations in (base^(i-1), base^i], base being
 * 2^(2^-schema); the negative side the same below zero. With schema GCW_CUSTOM_BUCKETS bucket i ends at
 * custom_bounds[i], the last one, i == custom_bound_count, at +Inf; all observations are on the positive side and there
 * is no zero bucket. Integer counts unless is_float. */
typedef struct gcw_histogram {
    int schema; /* -4..8, or GCW_CUSTOM_BUCKETS */
    bool is_float;
    gcw_reset_hint reset_hint;
    uint64_t count; /* all observations, NaN among them; float: count_float */
    double count_float;
    double sum;            /* of the observations, in the metric's unit. GCW_STALE_BITS: the series has ended */
    double zero_threshold; /* width of the zero bucket */
    uint64_t zero_count;   /* observations in it; float: zero_count_float */
    double zero_count_float;
    gcw_buckets positive, negative;
    const double *custom_bounds; /* finite, rising */
    size_t custom_bound_count;
} gcw_histogram;

/* One observation picked out of many, mostly with a trace_id. Receivers want names and values of at most 128 characters
 * together (OpenMetrics 1.0). */
typedef struct gcw_exemplar {
    const gcw_label *labels;
    size_t label_count;
    double value;
    int64_t time_ms; /* Unix milliseconds, not 0 */
} gcw_exemplar;

/* A sample, or a native histogram if that is not NULL, with what belongs to it. */
typedef struct gcw_point {
    int64_t time_ms;     /* Unix milliseconds */
    int64_t start_ms;    /* since when counters and histograms have counted; 0 = not known. Remote write 2.0 only */
    uint64_t value_bits; /* of the sample: a double's, or GCW_STALE_BITS */
    const gcw_histogram *histogram;
    const gcw_exemplar *exemplars; /* of this series, oldest first */
    size_t exemplar_count;
} gcw_point;

/* Appends a point: one record, in the order of these calls and gcw_sample_append(). Everything is copied. Exemplars
 * that receivers would refuse are left out (and counted as changed), or refused with label_policy=reject. Histograms
 * with custom buckets cannot be said in remote write 1.0: where the receiver speaks nothing else they end as rejected;
 * so do all with metrics_native_histograms=off. Errors as gcw_sample_append(), and GCW_ERR_INVALID for a histogram
 * whose parts contradict each other: `err` says which. */
GCW_API gcw_status gcw_point_append(gcw_series *series, const gcw_point *point, gcw_receipt *receipt, gcw_error *err);
/* The same with labels, see gcw_sample_write(). */
GCW_API gcw_status gcw_point_write(gcw_writer *writer, const gcw_label *labels, size_t count, const gcw_point *point,
                                   gcw_receipt *receipt, gcw_error *err);

/* ---- classic histograms and summaries ---------------------------------------------------------------------- */

/* What has no type of its own on the wire: a histogram is a series for each bucket (NAME_bucket with the label le,
 * counts cumulative), NAME_sum and NAME_count; a summary one for each quantile (NAME with the label quantile), NAME_sum
 * and NAME_count. These calls take such a group as one thing.
 *
 * All or nothing: after an error none of an append's samples is in, whatever the overflow policy; those that are in
 * stand next to each other in one request, and are delivered, expired or dropped together. Apart they may come only
 * where a receiver finds a request too large, and gets it in parts, or refuses single samples of it. Each sample counts
 * as a record, in statistics, receipts and reports, each series for max_series.
 *
 * Labels are those of the family: __name__ without suffix, no `le` (a summary: no `quantile`). How a bound becomes text
 * is the option le_format. Use one form for a series, these calls or gcw_series_intern(): between them order is not
 * kept. */
typedef struct gcw_classic gcw_classic;
typedef struct gcw_summary gcw_summary;

/* Interns a histogram with the bounds of its buckets, finite and rising, at most 1000, the one at +Inf not among them;
 * none are fine. metadata->type (if given) is GCW_TYPE_HISTOGRAM, or GCW_TYPE_GAUGEHISTOGRAM, whose sum and count
 * are called NAME_gsum and NAME_gcount (OpenMetrics 1.0); metadata->family is not looked at. Equal labels, bounds, kind
 * and tenant give the same handle, counted. GCW_ERR_INVALID (which label or bound, why), GCW_ERR_LIMIT (the guard),
 * GCW_ERR_TOO_LARGE (more than metrics_batch_records or _bytes lets into one request). Otherwise as
 * gcw_series_intern().
 */
GCW_API gcw_classic *gcw_classic_intern(gcw_writer *writer, const gcw_label *labels, size_t count, const double *bounds,
                                        size_t bound_count, const gcw_metadata *metadata, const char *tenant,
                                        gcw_error *err);
GCW_API void gcw_classic_release(gcw_classic *histogram); /* NULL is fine */

typedef struct gcw_classic_point {
    int64_t time_ms;               /* Unix milliseconds */
    int64_t start_ms;              /* since when it has counted; 0 = not known. Not sent of a gauge histogram */
    const uint64_t *counts;        /* of each bucket alone, not cumulative (as in gcw_buckets), the one at +Inf last */
    const double *float_counts;    /* or these */
    size_t bucket_count;           /* one more than bounds */
    double sum;                    /* of the observations, in the metric's unit; NaN = not known */
    const gcw_exemplar *exemplars; /* each goes to the bucket that its value is in; oldest first */
    size_t exemplar_count;
} gcw_classic_point;

/* Appends a histogram as it stands: running totals since start_ms, or for a gauge histogram those of now. The count is
 * what the buckets add up to. No allocation without exemplars; those that receivers would refuse are left out as by
 * gcw_point_append(). Errors as gcw_sample_append(), and GCW_ERR_INVALID for counts that are not such. */
GCW_API gcw_status gcw_classic_append(gcw_classic *histogram, const gcw_classic_point *point, gcw_receipt *receipt,
                                      gcw_error *err);

/* The histogram has ended: a stale marker for each of its series. Errors as gcw_sample_append(). */
GCW_API gcw_status gcw_classic_stale(gcw_classic *histogram, int64_t time_ms, gcw_receipt *receipt);

/* The same for a summary, with quantiles of 0 to 1, rising, at most 1000; none are fine. metadata->type (if given)
 * is GCW_TYPE_SUMMARY. */
GCW_API gcw_summary *gcw_summary_intern(gcw_writer *writer, const gcw_label *labels, size_t count,
                                        const double *quantiles, size_t quantile_count, const gcw_metadata *metadata,
                                        const char *tenant, gcw_error *err);
GCW_API void gcw_summary_release(gcw_summary *summary); /* NULL is fine */

typedef struct gcw_summary_point {
    int64_t time_ms;
    int64_t start_ms;     /* of sum and count */
    const double *values; /* at the quantiles, in the metric's unit; NaN = nothing observed lately */
    size_t value_count;   /* as many as quantiles */
    uint64_t count;       /* of all observations */
    double sum;
} gcw_summary_point;

GCW_API gcw_status gcw_summary_append(gcw_summary *summary, const gcw_summary_point *point, gcw_receipt *receipt,
                                      gcw_error *err);
GCW_API gcw_status gcw_summary_stale(gcw_summary *summary, int64_t time_ms, gcw_receipt *receipt);

/* ---- metadata and time ------------------------------------------------------------------------------------- */

/* Announces a family's metadata (family must be given) without a series: in remote write 1.0 sent once, again when it
 * changes and every metrics_metadata_interval; 2.0 sends it with the family's series. Help longer than the receivers'
 * limit is cut at a character. GCW_ERR_FULL: it goes out later by itself. */
GCW_API gcw_status gcw_metadata_write(gcw_writer *writer, const gcw_metadata *metadata, const char *tenant,
                                      gcw_error *err);

/* Wall clock, Unix milliseconds and nanoseconds. */
GCW_API int64_t gcw_now_ms(void);
GCW_API int64_t gcw_now_ns(void);

#ifdef __cplusplus
}
#endif
#endif
