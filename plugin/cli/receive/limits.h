/* What a request may be: one table of named numbers, each with the real receivers' default. 0 turns a limit off. */
#ifndef GCW_RECEIVE_LIMITS_H
#define GCW_RECEIVE_LIMITS_H

#include "base/base.h"

enum limit {
    METRICS_BODY_BYTES,
    METRICS_LABELS,
    METRICS_LABEL_NAME_BYTES,
    METRICS_LABEL_VALUE_BYTES,
    METRICS_METADATA_BYTES,
    METRICS_FUTURE,
    METRICS_OUT_OF_ORDER_WINDOW,
    METRICS_HEAD_WINDOW,
    METRICS_SERIES,
    METRICS_RATE,
    METRICS_BURST,
    METRICS_RETRY_AFTER,
    METRICS_STRICT,
    LOGS_BODY_BYTES,
    LOGS_DECODED_BYTES,
    LOGS_LABELS,
    LOGS_LABEL_NAME_BYTES,
    LOGS_LABEL_VALUE_BYTES,
    LOGS_LABELS_BYTES,
    LOGS_LINE_BYTES,
    LOGS_METADATA_BYTES,
    LOGS_METADATA_PAIRS,
    LOGS_PAST,
    LOGS_FUTURE,
    LOGS_ORDER_WINDOW,
    LOGS_STREAMS,
    LOGS_RATE,
    LOGS_BURST,
    LOGS_STREAM_RATE,
    LOGS_STREAM_BURST,
    LOGS_DEDUPE_ENTRIES,
    LOGS_STRICT,
    LIMIT_COUNT
};

struct limits {
    uint64_t v[LIMIT_COUNT]; /* counts, bytes, ms, or 0/1 */
};

struct limit_row {
    const char *name;
    enum limit_kind { LIMIT_NUMBER, LIMIT_SIZE, LIMIT_DURATION, LIMIT_SWITCH } kind;
    uint64_t initial;
    const char *help;
};

extern const struct limit_row limit_rows[LIMIT_COUNT];

void limits_init(struct limits *l);
/* "NAME=VALUE"; an error names what is known or allowed. */
gcw_status limits_set(struct limits *l, struct view assignment, gcw_error *err);
/* The value as limits_set() reads it. */
void limit_format(char *out, size_t cap, enum limit_kind kind, uint64_t value);

#endif
