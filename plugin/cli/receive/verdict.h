/* What the judge says of one request: the answer, the counts, and the records it accepted as NDJSON lines. */
#ifndef GCW_RECEIVE_VERDICT_H
#define GCW_RECEIVE_VERDICT_H

#include "base/base.h"

struct pair {
    struct view name, value;
};

/* Why a sample, an entry or a metadata record was refused while the request as a whole was taken. */
enum reason {
    REASON_NONE,
    REASON_MISSING_METRIC_NAME,
    REASON_METRIC_NAME_INVALID,
    REASON_LABEL_INVALID,
    REASON_LABEL_VALUE_INVALID,
    REASON_LABEL_NAME_TOO_LONG,
    REASON_LABEL_VALUE_TOO_LONG,
    REASON_DUPLICATE_LABEL_NAMES,
    REASON_MAX_LABEL_NAMES,
    REASON_LABELS_NOT_SORTED,
    REASON_LABEL_VALUE_EMPTY,
    REASON_SERIES_EMPTY,
    REASON_HISTOGRAM_INVALID,
    REASON_EXEMPLAR_INVALID,
    REASON_TOO_FAR_IN_FUTURE,
    REASON_SAMPLE_OUT_OF_ORDER,
    REASON_SAMPLE_TOO_OLD,
    REASON_SAMPLE_DUPLICATE,
    REASON_MAX_SERIES,
    REASON_METADATA_NAME_MISSING,
    REASON_METADATA_NAME_TOO_LONG,
    REASON_METADATA_UNIT_TOO_LONG,
    REASON_METADATA_INVALID,
    REASON_LINE_TOO_LONG,
    REASON_ENTRY_TOO_OLD,
    REASON_ENTRY_TOO_NEW,
    REASON_ENTRY_TOO_FAR_BEHIND,
    REASON_METADATA_TOO_LARGE,
    REASON_METADATA_TOO_MANY,
    REASON_MAX_STREAMS,
    REASON_STREAM_RATE,
    REASON_COUNT
};

const char *reason_name(enum reason r);

struct verdict {
    bool want_records; /* in: fill `records` */
    int status;
    unsigned retry_after; /* seconds; 0 = no such header */
    bool nomem;
    struct buf text; /* the body, without the newline it is sent with */
    struct buf records;
    uint64_t samples, metadata, entries; /* accepted; duplicates among them */
    uint64_t histograms, exemplars;      /* histograms are not among the samples */
    bool counted;                        /* these are told in the headers of remote write 2.0 */
    uint64_t duplicates;                 /* the same again: taken in silence, stored once */
    uint64_t out_of_order;               /* samples behind their series' newest, taken or not */
    uint64_t rejected, reasons[REASON_COUNT];
    uint64_t raw_bytes; /* of the body, decompressed */
};

void verdict_free(struct verdict *v);
/* The answer; replaces an earlier one. */
void verdict_set(struct verdict *v, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same, and returns false, so that a decoder ends `return verdict_refuse(...)`. */
bool verdict_refuse(struct verdict *v, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
void verdict_count(struct verdict *v, enum reason r, uint64_t n);
bool verdict_nomem(struct verdict *v); /* 500; returns false */

/* ---- records ------------------------------------------------------------------------------------------------------
 */

bool ndjson_string(struct buf *out, struct view s);                     /* quoted and escaped for JSON */
bool ndjson_pairs(struct buf *out, const struct pair *pairs, size_t n); /* {"name":"value",...} */
struct rw_sample;
struct rw_exemplar;
struct Gcw__Rw2__Histogram;
void ndjson_sample(struct verdict *v, const char *tenant, struct view labels_json, const struct rw_sample *s,
                   bool duplicate, bool out_of_order);
void ndjson_histogram(struct verdict *v, const char *tenant, struct view labels_json,
                      const struct Gcw__Rw2__Histogram *h, bool duplicate, bool out_of_order);
void ndjson_exemplar(struct verdict *v, const char *tenant, struct view labels_json, const struct rw_exemplar *e);
void ndjson_metadata(struct verdict *v, const char *tenant, const char *type, struct view family, struct view help,
                     struct view unit);
void ndjson_entry(struct verdict *v, const char *tenant, struct view labels_json, int64_t time_ns, struct view line,
                  const struct pair *metadata, size_t n, bool duplicate);

/* ---- words
 * ----------------------------------------------------------------------------------------------------------- */

/* metric{a="b", c="d"} with metric, {a="b", c="d"} without; cut to about `max` bytes. */
bool labels_text(struct buf *out, const struct pair *labels, size_t n, bool metric, size_t max);
/* A byte string that names the label set, the same for the same set in the same order. */
bool labels_key(struct buf *out, const struct pair *labels, size_t n);
void pairs_sort(struct pair *pairs, size_t n); /* by name, bytewise; keeps the order of equal names */

enum time_style { TIME_MIMIR, TIME_LOKI, TIME_GO }; /* RFC 3339 with ms, RFC 3339, Go's String() */
/* At least 48 bytes of room; a time out of the calendar's reach is printed as a number. */
const char *time_text(char out[48], enum time_style style, int64_t time_ns);

#endif
