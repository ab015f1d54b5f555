/* What the metrics*.c files share. From the chunk's bytes to handles in three tables, one in the other, each keyed by
 * bytes as they came: source (labels of the context) > metric (its meta map) > series (its label values). A series
 * leads to a state, which is one per label set, however it was spelled: OpenMetrics and OTLP sources name the same
 * series with their labels in another order, and times and running totals must not be kept twice. */
#ifndef GCW_HOSTS_FLUENT_BIT_METRICS_PRIVATE_H
#define GCW_HOSTS_FLUENT_BIT_METRICS_PRIVATE_H

#include "hosts/fluent-bit/cmetrics.h"
#include "hosts/fluent-bit/keyed.h"
#include "hosts/fluent-bit/metrics.h"
#include "hosts/fluent-bit/metrics_exp.h"
#include "model/model.h"

enum sample_time { TIME_AUTO, TIME_SOURCE, TIME_NEWEST };
enum delta_policy { DELTA_CUMULATIVE, DELTA_KEEP };
enum resource_policy { RESOURCE_IDENTITY, RESOURCE_TARGET_INFO, RESOURCE_NONE };

/* Labels that all series of a context have, in the order they win: static ones, then job and instance. */
struct source {
    struct keyed keyed;
    gcw_label *labels; /* point into the key; the resource's attributes follow them */
    size_t count, attributes;
    struct keyed_table metrics;
    gcw_series *target_info;
    int64_t told_ms; /* time of its last sample */
};

struct metric {
    struct keyed keyed; /* the key is the meta map, which `meta` reads */
    struct cmetrics_meta meta;
    struct view name; /* full */
    double *bounds;   /* buckets or quantiles */
    size_t bound_count;
    struct keyed_table series;
};

/* One sample's worth of a value: a counter has one; histograms and summaries have POINT_COUNT, POINT_SUM, then buckets
 * (+Inf last) or quantiles. Handles come when there is first something to append. */
struct series_point {
    gcw_series *handle;
    double total; /* of deltas so far */
};
enum { POINT_COUNT, POINT_SUM, POINT_FIRST };

struct exp_series {
    struct exp_histogram total; /* of deltas so far */
    struct exp_point {
        double le;
        gcw_series *handle;
    } * points; /* ascending */
    size_t count;
};

struct state {
    struct keyed keyed;
    uint32_t refs;    /* series that lead here */
    bool any;         /* the rest has been set */
    uint64_t own_ns;  /* newest time the source gave */
    uint64_t seen_ns; /* newest time of the context it was last in */
    int64_t sent_ms;  /* of the last sample */
    struct exp_series *exp;
    size_t count;
    struct series_point points[];
};

struct series {
    struct keyed keyed;
    struct state *state;
};

/* Where an append had to stop: this many values of that context are in, and this many points of the next one. */
struct resume {
    bool pending;
    uint64_t hash, values;
    size_t points;
};

struct metrics {
    gcw_writer *writer;
    void (*warn)(void *user, const char *text);
    void *user;
    char *add_text;
    gcw_label *add;
    size_t add_count;
    enum sample_time sample_time;
    enum delta_policy delta;
    enum le_format le_format;
    enum resource_policy resource;
    uint64_t idle_ms;

    struct keyed_table sources, states;
    uint64_t swept_ms;
    bool warned_delta;
    uint64_t warned_ms, refused; /* the last line about refusals, and how many there were since */

    /* of the call under way */
    uint64_t now_ms;
    gcw_receipt *receipt;
    struct chunk_count *tally;
    struct cmetrics_context context;
    struct source *source;
    struct keyed_walk source_walk, metric_walk, series_walk;
    struct resume resume;
    uint64_t values_done; /* of this context */
    size_t points_done;   /* of this value */

    /* scratch */
    struct buf text, key;
    struct label_list {
        gcw_label *at;
        size_t n, cap;
    } labels;
    struct exp_histogram exp;
    struct exp_bound *bounds; /* EXP_BOUNDS_MAX */
};

/* metrics_source.c: finds or makes m->source for m->context. */
gcw_status source_enter(struct metrics *m);
/* One sample of target_info a context, if the resource has attributes to tell and a name to tell them of. */
gcw_status source_tell(struct metrics *m);
void source_gone(void *metrics, struct keyed *source);

/* metrics_series.c */
/* To m->labels, unless the name is there already or the value is empty; false = out of memory. */
bool label_add(struct metrics *m, struct view name, struct view value);
bool labels_add(struct metrics *m, const gcw_label *labels, size_t count);
gcw_status metric_enter(struct metrics *m, struct view meta, struct metric **out);
void metric_gone(void *metrics, struct keyed *metric);
/* NULL with GCW_OK: refused, and counted. */
gcw_status series_enter(struct metrics *m, struct metric *metric, struct view labels, struct series **out);
void series_gone(void *metrics, struct keyed *series);
void state_gone(void *metrics, struct keyed *state);
bool state_in_use(const struct keyed *state);
/* The handle of one of a value's series. `bound` is that of a bucket or quantile. NULL with GCW_OK: refused, counted.
 */
enum series_part { PART_PLAIN, PART_COUNT, PART_SUM, PART_BUCKET, PART_QUANTILE };
gcw_status part_intern(struct metrics *m, const struct metric *metric, struct view labels, enum series_part part,
                       double bound, gcw_series **out);

/* metrics_emit.c: one value of a metric. */
gcw_status value_emit(struct metrics *m, struct metric *metric, const struct cmetrics_value *v);
/* Appends and counts. GCW_OK also for what is refused for good. */
gcw_status sample_put(struct metrics *m, gcw_series *handle, uint64_t bits, int64_t time_ms);

/* metrics.c: counts what is refused for good and says why now and then; other errors are returned as they are. */
gcw_status refuse(struct metrics *m, gcw_status status, const char *why);

#endif
