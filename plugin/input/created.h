/* OpenMetrics says since when a counter, histogram or summary has counted in a sample of its own, X_created, that
 * mostly comes behind the others: so the samples of a metric (those of a family with the same labels, but for le or
 * quantile, and the same time) are held until it ends, and go on with that start time.
 *
 * Whatever is out of the ordinary (a metric larger than HELD_BYTES_MAX, one whose samples do not stand together,
 * escapes where the labels are compared) goes on as it came, without a start time. */
#ifndef GCW_INPUT_CREATED_H
#define GCW_INPUT_CREATED_H

#include "input/arena.h"
#include "input/family.h"

#define HELD_BYTES_MAX (1 * MIB)

struct held;

/* created_init() once, created_free() at the end. */
struct created {
    const struct exposition_handler *handler;
    bool drop; /* X_created is no series */
    struct arena memory;
    size_t bytes; /* held */
    struct held *first, **last;
    struct buf labels; /* of the metric that is held, as written, without le or quantile */
    bool has_time;     /* the samples of one moment belong together */
    int64_t time_ms;
    bool open;      /* there is one */
    bool too_large; /* the rest of it is not held */
    int64_t start_ms;
    /* what the name of the samples at hand is to their family */
    bool known, counts, is_created;
    gcw_metric_type type;
};

void created_init(struct created *c, bool drop, const struct exposition_handler *h);
void created_free(struct created *c);
/* Hands the sample over, now or later. It was parsed last; family_sample() knows of it. `stays`: so does its line,
 * until created_settle(). False = out of memory. */
bool created_sample(struct created *c, const struct family *f, const struct series_parser *s,
                    const struct exposition_sample *sample, bool stays);
/* The lines that stayed are about to go. False = out of memory. */
bool created_settle(struct created *c);
/* The metric has ended: before anything else is said of families. */
void created_flush(struct created *c);

#endif
