/* Native histograms: the rules of prometheus model/histogram (Validate), spans against buckets, buckets against the
 * count. */
#include <math.h>

#include "cli/receive/rw_fill.h"

#define CUSTOM_SCHEMA (-53)

static size_t spans_length(Gcw__Rw2__BucketSpan **spans, size_t n, const char **why)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && spans[i]->offset < 0)
            *why = "a span with a negative offset behind the first";
        sum += spans[i]->length;
    }
    return sum;
}

/* Sum of the buckets that deltas describe. */
static double deltas_sum(const int64_t *deltas, size_t n, const char **why)
{
    int64_t bucket = 0;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (__builtin_add_overflow(bucket, deltas[i], &bucket) || bucket < 0)
            *why = "a bucket with a negative count";
        sum += (double)bucket;
    }
    return sum;
}

static double counts_sum(const double *counts, size_t n, const char **why)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(counts[i] >= 0))
            *why = "a bucket with a negative count";
        sum += counts[i];
    }
    return sum;
}

/* Behind which bound the last custom bucket lies. */
static int64_t spans_end(Gcw__Rw2__BucketSpan **spans, size_t n, const char **why)
{
    int64_t end = 0;
    for (size_t i = 0; i < n; i++) {
        if (spans[i]->offset < 0)
            *why = "a custom bucket below the first";
        end += (int64_t)spans[i]->offset + spans[i]->length;
    }
    return end;
}

static void bounds_check(const Gcw__Rw2__Histogram *h, int version, const char **why)
{
    if (version == 1)
        *why = "custom buckets, which remote write 1.0 does not know";
    if (h->n_negative_spans > 0 || h->n_negative_deltas > 0 || h->n_negative_counts > 0 || h->zero_count_int > 0 ||
        rw_bits(h->zero_threshold) != 0)
        *why = "custom buckets beside a zero bucket or negative ones";
    for (size_t i = 0; i < h->n_custom_values; i++)
        if (isnan(h->custom_values[i]) || isinf(h->custom_values[i]) ||
            (i > 0 && h->custom_values[i] <= h->custom_values[i - 1]))
            *why = "custom bounds that are not finite and rising";
    if (spans_end(h->positive_spans, h->n_positive_spans, why) > (int64_t)h->n_custom_values + 1)
        *why = "more buckets than custom bounds";
}

const char *rw_histogram_check(const Gcw__Rw2__Histogram *h, int version)
{
    const char *why = NULL;
    size_t positive = spans_length(h->positive_spans, h->n_positive_spans, &why);
    size_t negative = spans_length(h->negative_spans, h->n_negative_spans, &why);
    bool whole = h->count_case != GCW__RW2__HISTOGRAM__COUNT_COUNT_FLOAT;
    size_t given_positive = whole ? h->n_positive_deltas : h->n_positive_counts,
           given_negative = whole ? h->n_negative_deltas : h->n_negative_counts,
           of_other_form =
               whole ? h->n_positive_counts + h->n_negative_counts : h->n_positive_deltas + h->n_negative_deltas;
    if (h->schema == CUSTOM_SCHEMA)
        bounds_check(h, version, &why);
    else if (h->schema < -4 || h->schema > 8 || h->n_custom_values > 0)
        why = "a schema outside -4..8 that is not -53, or custom bounds without it";
    if (of_other_form > 0 || (h->zero_count_case == GCW__RW2__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_FLOAT && whole))
        why = "integer and float form mixed";
    if (positive != given_positive || negative != given_negative)
        why = "spans that do not match the number of buckets";
    if (h->start_timestamp && version == 1)
        why = "a start time, which remote write 1.0 does not know";
    if (why)
        return why;
    double sum = whole ? deltas_sum(h->positive_deltas, h->n_positive_deltas, &why) +
                             deltas_sum(h->negative_deltas, h->n_negative_deltas, &why) + (double)h->zero_count_int
                       : counts_sum(h->positive_counts, h->n_positive_counts, &why) +
                             counts_sum(h->negative_counts, h->n_negative_counts, &why);
    /* observations of NaN are in the count and in no bucket */
    if (!why && whole && (isnan(h->sum) ? sum > (double)h->count_int : sum != (double)h->count_int) &&
        rw_bits(h->sum) != GCW_STALE_BITS)
        why = "buckets that do not add up to the count";
    return why;
}
