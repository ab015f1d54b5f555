/* CMetrics contexts as Fluent Bit writes them in MessagePack, read in place: nothing is copied, nothing allocated. Keys
 * are found by name in any order, unknown ones are passed over, and a value of an unexpected kind counts as absent. The
 * names and meanings are those of cmetrics 1.0 to 2.2 (Fluent Bit 4.2 to 5.1). */
#ifndef GCW_HOSTS_FLUENT_BIT_CMETRICS_H
#define GCW_HOSTS_FLUENT_BIT_CMETRICS_H

#include "hosts/fluent-bit/msgpack.h"

enum cmetrics_type {
    CMETRICS_COUNTER,
    CMETRICS_GAUGE,
    CMETRICS_HISTOGRAM,
    CMETRICS_SUMMARY,
    CMETRICS_UNTYPED,
    CMETRICS_EXP_HISTOGRAM,
    CMETRICS_TYPES
};

/* The values of an array, or the pairs of a map. */
struct cmetrics_list {
    struct msgpack at;
    uint32_t count;
};

struct cmetrics_context {
    struct cmetrics_list statics;  /* each [name, value] */
    struct cmetrics_list resource; /* pairs: attributes of the OpenTelemetry resource */
    struct cmetrics_list metrics;
    bool otlp;          /* came in as OpenTelemetry metrics */
    uint64_t newest_ns; /* of all values */
};

enum cmetrics_found { CMETRICS_CONTEXT, CMETRICS_OTHER /* a value, no context */, CMETRICS_DAMAGED };

/* Reads what stands at m and moves past it, unless it is damaged: then m stays. All of the context's bytes are sound
 * afterwards, so that what reads from it does not fail. */
enum cmetrics_found cmetrics_context_read(struct msgpack *m, struct cmetrics_context *out);

struct cmetrics_metric {
    struct view meta; /* its bytes: what names the metric */
    struct cmetrics_list values;
};
bool cmetrics_metric_read(struct msgpack *m, struct cmetrics_metric *out);

struct cmetrics_meta {
    uint64_t type, aggregation;
    struct view ns, subsystem, name, description, unit;
    struct cmetrics_list keys;      /* of the labels: str or nil */
    struct cmetrics_list buckets;   /* upper bounds without +Inf */
    struct cmetrics_list quantiles; /* of a summary */
};
#define CMETRICS_DELTA 1 /* aggregation */
bool cmetrics_meta_read(struct view meta, struct cmetrics_meta *out);

struct cmetrics_value {
    uint64_t ts_ns;
    struct view labels; /* the bytes of their array, empty = none: what names the series within the metric */
    uint64_t bits;      /* of a double; counter, gauge, untyped */
    bool has_number;
    struct view histogram, summary, exp_histogram; /* the bytes of their map; empty = none */
};
bool cmetrics_value_read(struct msgpack *m, struct cmetrics_value *out);

struct cmetrics_histogram {
    struct cmetrics_list buckets; /* one more than bounds */
    uint64_t sum_bits, count;
};
bool cmetrics_histogram_read(struct view body, struct cmetrics_histogram *out);

struct cmetrics_summary {
    uint64_t quantiles_set, sum_bits, count;
    struct cmetrics_list quantiles; /* each the bits of a double as an integer */
};
bool cmetrics_summary_read(struct view body, struct cmetrics_summary *out);

struct cmetrics_exp_histogram {
    int64_t scale, positive_offset, negative_offset;
    uint64_t zero_count, zero_threshold_bits, count, sum_set, sum_bits;
    struct cmetrics_list positive, negative;
};
bool cmetrics_exp_histogram_read(struct view body, struct cmetrics_exp_histogram *out);

/* The next item as text (a view of nothing for nil), as a count, as the bits of a double. */
struct view cmetrics_text(struct msgpack *m);
uint64_t cmetrics_count(struct msgpack *m);
uint64_t cmetrics_bits(struct msgpack *m);
double cmetrics_double_of(uint64_t bits);
uint64_t cmetrics_bits_of(double d);

#endif
