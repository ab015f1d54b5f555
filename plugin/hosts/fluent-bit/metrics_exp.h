/* Exponential histograms: bucket i of scale s holds what is in (base^i, base^(i+1)], base = 2^(2^-s), and the negative
 * side mirrors it. Remote write has classic buckets: exp_bounds() makes those. Adding two together, as delta
 * temporality asks, first brings them to the coarser of their scales; the same is done where there are more buckets
 * than EXP_SIDE_MAX. */
#ifndef GCW_HOSTS_FLUENT_BIT_METRICS_EXP_H
#define GCW_HOSTS_FLUENT_BIT_METRICS_EXP_H

#include "hosts/fluent-bit/cmetrics.h"

#define EXP_SIDE_MAX   512 /* buckets; SDKs keep to 160 */
#define EXP_BOUNDS_MAX (2 * EXP_SIDE_MAX + 3)

struct exp_side {
    int64_t first; /* index of count[0] */
    size_t n;
    uint64_t *count;
};

struct exp_histogram {
    int scale;
    uint64_t zero_count, count;
    double zero_threshold, sum;
    bool sum_set;
    struct exp_side positive, negative;
};

/* Zero-initialise h; free with exp_free(). Load says GCW_ERR_INVALID for a scale or offset no histogram has. */
gcw_status exp_load(struct exp_histogram *h, const struct cmetrics_exp_histogram *from);
gcw_status exp_add(struct exp_histogram *to, struct exp_histogram *more); /* `more` may become coarser */
void exp_free(struct exp_histogram *h);

struct exp_bound {
    double le;
    uint64_t count; /* of what is not above it */
};
/* Ascending bounds without +Inf, at most EXP_BOUNDS_MAX; returns how many. */
size_t exp_bounds(const struct exp_histogram *h, struct exp_bound *out);

#endif
