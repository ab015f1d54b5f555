/* The table of limits: defaults of Grafana Mimir (pkg/util/validation/limits.go) and Loki (pkg/validation/limits.go).
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/receive/limits.h"

#define MINUTE UINT64_C(60000)

const struct limit_row limit_rows[LIMIT_COUNT] = {
    [METRICS_BODY_BYTES] = {"metrics_body_bytes", LIMIT_SIZE, 100 * MIB, "metrics request, compressed or not (400)"},
    [METRICS_LABELS] = {"metrics_labels", LIMIT_NUMBER, 30, "labels of a series, __name__ included (400)"},
    [METRICS_LABEL_NAME_BYTES] = {"metrics_label_name_bytes", LIMIT_SIZE, 1024, "label name (400)"},
    [METRICS_LABEL_VALUE_BYTES] = {"metrics_label_value_bytes", LIMIT_SIZE, 2048, "label value, metric name (400)"},
    [METRICS_METADATA_BYTES] = {"metrics_metadata_bytes", LIMIT_SIZE, 1024,
                                "metric family name, unit (400), help (cut)"},
    [METRICS_FUTURE] = {"metrics_future", LIMIT_DURATION, 10 * MINUTE, "how far ahead a sample may be (400)"},
    [METRICS_OUT_OF_ORDER_WINDOW] = {"metrics_out_of_order_window", LIMIT_DURATION, 0,
                                     "samples this far behind the tenant's newest may come out of order"},
    [METRICS_HEAD_WINDOW] = {"metrics_head_window", LIMIT_DURATION, 60 * MINUTE,
                             "samples further behind the tenant's newest are too old (400), unless the out-of-order "
                             "window takes them"},
    [METRICS_SERIES] = {"metrics_series", LIMIT_NUMBER, 0, "series of a tenant (400, in part); real: 150000"},
    [METRICS_RATE] = {"metrics_rate", LIMIT_NUMBER, 0, "samples and metadata per second (429); real: 10000"},
    [METRICS_BURST] = {"metrics_burst", LIMIT_NUMBER, 200000, "samples and metadata at once, if a rate is set (429)"},
    [METRICS_RETRY_AFTER] = {"metrics_retry_after", LIMIT_DURATION, 6000,
                             "Retry-After of the first 429, doubled for each Retry-Attempt up to 16 times"},
    [METRICS_STRICT] = {"metrics_strict", LIMIT_SWITCH, 1,
                        "refuse what Mimir mends in silence: unsorted labels, empty values, missing headers"},
    [LOGS_BODY_BYTES] = {"logs_body_bytes", LIMIT_SIZE, 100 * MIB, "logs request as sent (413)"},
    [LOGS_DECODED_BYTES] = {"logs_decoded_bytes", LIMIT_SIZE, 5000 * MIB, "logs request, decompressed (413)"},
    [LOGS_LABELS] = {"logs_labels", LIMIT_NUMBER, 15, "labels of a stream, service_name not counted (400)"},
    [LOGS_LABEL_NAME_BYTES] = {"logs_label_name_bytes", LIMIT_SIZE, 1024, "label name (400)"},
    [LOGS_LABEL_VALUE_BYTES] = {"logs_label_value_bytes", LIMIT_SIZE, 2048, "label value (400)"},
    [LOGS_LABELS_BYTES] = {"logs_labels_bytes", LIMIT_SIZE, 16 * MIB, "label text of one stream (413)"},
    [LOGS_LINE_BYTES] = {"logs_line_bytes", LIMIT_SIZE, 256 * KIB, "line (400)"},
    [LOGS_METADATA_BYTES] = {"logs_metadata_bytes", LIMIT_SIZE, 64 * KIB, "structured metadata of an entry (400)"},
    [LOGS_METADATA_PAIRS] = {"logs_metadata_pairs", LIMIT_NUMBER, 128, "structured metadata names of an entry (400)"},
    [LOGS_PAST] = {"logs_past", LIMIT_DURATION, 7 * 24 * 60 * MINUTE, "how old an entry may be (400)"},
    [LOGS_FUTURE] = {"logs_future", LIMIT_DURATION, 10 * MINUTE, "how far ahead an entry may be (400)"},
    [LOGS_ORDER_WINDOW] = {"logs_order_window", LIMIT_DURATION, 60 * MINUTE,
                           "how far an entry may be behind its stream's newest (400)"},
    [LOGS_STREAMS] = {"logs_streams", LIMIT_NUMBER, 5000, "streams of a tenant (429, in part)"},
    [LOGS_RATE] = {"logs_rate", LIMIT_SIZE, 0, "bytes per second of a tenant (429); real: 4MiB"},
    [LOGS_BURST] = {"logs_burst", LIMIT_SIZE, 6 * MIB, "bytes at once, if a rate is set (429)"},
    [LOGS_STREAM_RATE] = {"logs_stream_rate", LIMIT_SIZE, 0, "bytes per second of a stream (429); real: 3MiB"},
    [LOGS_STREAM_BURST] = {"logs_stream_burst", LIMIT_SIZE, 15 * MIB, "bytes at once of a stream, if a rate is set"},
    [LOGS_DEDUPE_ENTRIES] = {"logs_dedupe_entries", LIMIT_NUMBER, 1000000,
                             "entries of a tenant remembered to recognise duplicates (16 to 32 bytes each)"},
    [LOGS_STRICT] =
        {"logs_strict", LIMIT_SWITCH, 1,
         "refuse what Loki lets pass: duplicate or unknown keys, label values that are no strings, short or "
         "long entries, bytes behind a compressed body"},
};

void limits_init(struct limits *l)
{
    for (size_t i = 0; i < LIMIT_COUNT; i++)
        l->v[i] = limit_rows[i].initial;
}

static bool value_parse(enum limit_kind kind, struct view v, uint64_t *out)
{
    switch (kind) {
    case LIMIT_NUMBER:
        return parse_u64(v, out);
    case LIMIT_SIZE:
        return parse_size(v, out);
    case LIMIT_DURATION:
        return parse_duration(v, out);
    case LIMIT_SWITCH:
        *out = view_is(v, "on") || view_is(v, "1");
        return *out || view_is(v, "off") || view_is(v, "0");
    }
    return false;
}

static const char *kind_words(enum limit_kind kind)
{
    switch (kind) {
    case LIMIT_NUMBER:
        return "a number";
    case LIMIT_SIZE:
        return "a size such as 4096, 64KiB or 6MiB";
    case LIMIT_DURATION:
        return "a duration such as 500ms, 10m or 7d";
    case LIMIT_SWITCH:
        return "on or off";
    }
    return "";
}

gcw_status limits_set(struct limits *l, struct view assignment, gcw_error *err)
{
    const char *eq = assignment.n ? memchr(assignment.p, '=', assignment.n) : NULL;
    if (!eq)
        return error_set(err, GCW_ERR_INVALID, "limit '%.*s': NAME=VALUE is wanted", VIEW_ARG(assignment));
    struct view name = view_make(assignment.p, (size_t)(eq - assignment.p));
    struct view value = view_make(eq + 1, assignment.n - name.n - 1);
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        if (!view_is(name, limit_rows[i].name))
            continue;
        uint64_t parsed;
        /* times are compared in nanoseconds, so that a century is the most they can hold */
        if (!value_parse(limit_rows[i].kind, value, &parsed) || parsed > UINT64_C(1) << 41)
            return error_set(err, GCW_ERR_INVALID, "limit %s: '%.*s' is not %s (0 = off)", limit_rows[i].name,
                             VIEW_ARG(value), kind_words(limit_rows[i].kind));
        l->v[i] = parsed;
        return GCW_OK;
    }
    return error_set(err, GCW_ERR_INVALID, "unknown limit '%.*s'; --help lists them", VIEW_ARG(name));
}

void limit_format(char *out, size_t cap, enum limit_kind kind, uint64_t value)
{
    if (value == 0 && kind != LIMIT_SWITCH)
        kind = LIMIT_NUMBER;
    switch (kind) {
    case LIMIT_NUMBER:
        snprintf(out, cap, "%" PRIu64, value);
        break;
    case LIMIT_SIZE:
        format_size(out, cap, value);
        break;
    case LIMIT_DURATION:
        format_duration(out, cap, value);
        break;
    case LIMIT_SWITCH:
        snprintf(out, cap, "%s", value ? "on" : "off");
        break;
    }
}
