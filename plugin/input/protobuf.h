/* Prometheus' delimited protobuf (proto/metrics.proto), as its model/textparse reads it: framing in protobuf.c, a
 * family and the samples of its metrics in protobuf_family.c, native histograms in protobuf_histogram.c. */
#ifndef GCW_INPUT_PROTOBUF_H
#define GCW_INPUT_PROTOBUF_H

#include "input/arena.h"
#include "input/family.h"
#include "metrics.pb-c.h"

#define MESSAGE_BYTES_MAX  (64 * MIB)
#define UNPACKED_BYTES_MAX (4 * MESSAGE_BYTES_MAX) /* of what a message becomes in memory */

typedef Gcw__Exposition__MetricFamily proto_family;
typedef Gcw__Exposition__Metric proto_metric;
typedef Gcw__Exposition__LabelPair proto_label;
typedef Gcw__Exposition__Histogram proto_histogram;
typedef Gcw__Exposition__Exemplar proto_exemplar;
typedef Gcw__Exposition__Timestamp proto_time;

static inline struct view proto_view(ProtobufCBinaryData d) { return view_make((const char *)d.data, d.len); }

/* ---- protobuf_family.c: one message to samples --------------------------------------------------------------------
 */

/* Zero-initialise, set handler, histograms and the arenas' limits; free with family_reader_free(). */
struct family_reader {
    struct exposition_handler handler;
    enum exposition_histograms histograms;
    struct arena memory, metric_memory; /* of the message; of one metric */
    struct family family;
    uint64_t number; /* of the message, from 1 */
    size_t metric;   /* in it, from 1 */
    struct view name;
    int type;
    struct exposition_sample sample; /* what the samples of a metric share */
    gcw_label *labels;               /* [0] is the name; one more than the metric has */
    size_t count;                    /* without le or quantile */
    size_t label_cap;
    struct buf sample_name, series;
    struct buf own; /* the metric's labels as part of `series`, from '{' on */
    bool nomem;
};

/* A whole message. What is wrong with it goes to handler.malformed. */
void family_read(struct family_reader *r, uint64_t number, struct view message);
void family_reader_free(struct family_reader *r);

/* ---- protobuf_histogram.c -----------------------------------------------------------------------------------------
 */

/* Whether Prometheus takes it as a native histogram. */
bool proto_is_native(const proto_histogram *h);
/* Made of it: without empty buckets, as Prometheus' Compact(0) leaves it. NULL, or why not: words, or "" if memory ran
 * out. Lives in `a`. */
const char *proto_native(struct arena *a, const proto_histogram *h, bool gauge, gcw_histogram *out);
/* Milliseconds, cut off; false if that is out of range. */
bool proto_time_ms(const proto_time *t, int64_t *ms);
/* With the time of its own, or EXPOSITION_NO_TIME. False: it has one that is out of range, or memory ran out. */
bool proto_exemplar_make(struct arena *a, const proto_exemplar *e, gcw_exemplar *out);
/* Those of a native histogram: its own, or else its buckets'; those that have a time, oldest first. */
gcw_exemplar *proto_native_exemplars(struct arena *a, const proto_histogram *h, size_t *count);

#endif
