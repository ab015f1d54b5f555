/* The judge: bytes and headers in, status, words and records out. No sockets, no files, no clock: time comes in with
 * the request, memory of earlier requests is the store. A request is decoded without any lock; rw1_judge() and
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

/* ---- remote write 1.0 ---------------------------------------------------------------------------------------- */

struct rw1_series {
    struct pair *labels;
    size_t label_count;
    struct Gcw__Rw1__Sample **samples;
    size_t sample_count;
    bool removed; /* by validation */
};

struct rw1_metadata {
    int type;
    struct view family, help, unit;
    bool removed;
};

struct rw1_request {
    struct buf raw;                         /* the message, out of its snappy wrapping */
    struct Gcw__Rw1__WriteRequest *message; /* owns all text below */
    struct pair *pairs;                     /* all labels, one after the other */
    struct rw1_series *series;
    size_t series_count;
    struct rw1_metadata *metadata;
    size_t metadata_count;
};

/* False: the verdict says why, and nothing is kept. Free `r` either way. */
bool rw1_decode(const struct push *p, const struct limits *l, struct rw1_request *r, struct verdict *v);
void rw1_judge(const struct push *p, const struct limits *l, struct rw1_request *r, struct store *s, struct verdict *v);
void rw1_request_free(struct rw1_request *r);
/* The first rule the labels break, with the words for it in `why`; REASON_NONE if they are fine. */
enum reason rw1_labels_check(const struct pair *labels, size_t count, const struct limits *l, struct buf *why);

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
