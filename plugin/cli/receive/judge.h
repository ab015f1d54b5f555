/* The judge: bytes and headers in, status, words and records out. No sockets, no files, no clock: time comes in with
 * the request, memory of earlier requests is the store. A request is decoded without any lock; rw_judge() and
 * loki_judge() want the store to themselves.
 *
 * Statuses, words and order of checks follow Grafana Mimir (pkg/distributor/validate.go, pkg/ingester/errors.go,
 * pkg/util/globalerror) with the Prometheus TSDB behind it (tsdb/head_append.go), and Grafana Loki (pkg/loghttp/push,
 * pkg/distributor, pkg/ingester/stream.go, pkg/validation/validate.go). Where those mend a sender's faults in silence,
 * the strict judge (limits metrics_strict, logs_strict) refuses. */
#ifndef GCW_RECEIVE_JUDGE_H
#define GCW_RECEIVE_JUDGE_H

#include "cli/receive/limits.h"
#include "cli/receive/store.h"
#include "cli/receive/verdict.h"

/* A request as the judge sees it. Headers that were not sent are NULL. */
struct push {
    struct view body; /* as it came over the wire */
    const char *content_type, *content_encoding, *version, *user_agent;
    unsigned retry_attempt; /* header Retry-Attempt; 0 = none */
    const char *tenant;
    int64_t now_ns;
};

/* ---- remote write: both versions become the same ---------------------------------------------------------------- */

struct rw_sample {
    uint64_t bits;
    int64_t time_ms, start_ms;
};

struct rw_exemplar {
    struct pair *labels;
    size_t label_count;
    uint64_t bits;
    int64_t time_ms;
};

struct rw_series {
    struct pair *labels;
    size_t label_count;
    struct rw_sample *samples;
    size_t sample_count;
    struct Gcw__Rw2__Histogram **histograms;
    size_t histogram_count;
    struct rw_exemplar *exemplars;
    size_t exemplar_count;
    bool removed; /* by validation */
};

struct rw_metadata {
    int type;
    struct view family, help, unit;
    bool removed;
};

struct rw_request {
    int version;                             /* 1 or 2 */
    struct buf raw;                          /* the message, out of its snappy wrapping */
    struct wire_scan *scan;                  /* texts as they stand in it */
    struct Gcw__Rw1__WriteRequest *message1; /* owns all text below, but what symbols are */
    struct Gcw__Rw2__Request *message2;
    struct pair *pairs; /* all labels, one after the other; and all of the following */
    struct rw_sample *samples;
    struct rw_exemplar *exemplars;
    struct rw_series *series;
    size_t series_count;
    struct rw_metadata *metadata;
    size_t metadata_count;
};

/* Which version the request says it is: 1, 2, or 0 with the verdict saying why not. */
int rw_version(const struct push *p, struct verdict *v);
/* False: the verdict says why, and nothing is kept. Free `r` either way. */
bool rw_decode(const struct push *p, const struct limits *l, struct rw_request *r, struct verdict *v);
void rw_judge(const struct push *p, const struct limits *l, struct rw_request *r, struct store *s, struct verdict *v);
void rw_request_free(struct rw_request *r);
/* The first rule the labels break, with the words for it in `why`; REASON_NONE if they are fine. */
enum reason rw_labels_check(const struct pair *labels, size_t count, const struct limits *l, struct buf *why);
/* What is wrong with a native histogram, NULL if nothing. */
const char *rw_histogram_check(const struct Gcw__Rw2__Histogram *h, int version);

/* ---- Loki, JSON and protobuf
 * ------------------------------------------------------------------------------------------------- */

struct loki_entry {
    int64_t time_ns;
    struct view line;
    struct pair *metadata;
    size_t metadata_count;
    bool removed;
};

struct loki_stream {
    struct pair *labels; /* sorted by name, none empty */
    size_t label_count;
    struct loki_entry *entries;
    size_t entry_count;
};

struct loki_request {
    struct buf raw;
    struct buf message;  /* protobuf: out of its snappy wrapping; owns all text below, but for */
    struct buf values;   /* label values without their escapes */
    struct json_t *root; /* JSON: owns all text below */
    struct loki_stream *streams;
    size_t stream_count;
};

bool loki_decode(const struct push *p, const struct limits *l, struct loki_request *r, struct verdict *v);
void loki_judge(const struct push *p, const struct limits *l, struct loki_request *r, struct store *s,
                struct verdict *v);
void loki_request_free(struct loki_request *r);

/* ---- both steps in one, for tests and fuzzing ------------------------------------------------------------------- */

void judge_metrics(const struct push *p, const struct limits *l, struct store *s, struct verdict *v);
void judge_logs(const struct push *p, const struct limits *l, struct store *s, struct verdict *v);

#endif
