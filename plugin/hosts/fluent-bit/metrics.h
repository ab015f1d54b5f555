/* Metrics chunks of Fluent Bit (CMetrics contexts in MessagePack): each value becomes samples of remote-write series,
 * named and labelled as by its own prometheus_remote_write output, so that dashboards carry over;
 * doc/fluent-bit-metrics.md tells what becomes of each type and where ours differ. */
#ifndef GCW_HOSTS_FLUENT_BIT_METRICS_H
#define GCW_HOSTS_FLUENT_BIT_METRICS_H

#include "hosts/fluent-bit/logs.h" /* struct chunk_count */
#include "model/model.h"

/* As the user wrote them, NULL = not given; they need not outlive metrics_new(). */
struct metrics_options {
    const char *add_label;           /* "name value, ...", a backslash before a comma keeps it; added where absent */
    const char *sample_time;         /* auto | source | newest */
    const char *delta;               /* cumulative | keep */
    enum le_format le_format;        /* gcw's own option */
    const char *resource_attributes; /* identity | target_info | none */
    const char *series_idle;         /* a duration: series not seen for so long are let go */
};

struct metrics;

/* Parses and checks. An error names key, value and what is allowed. `warn` (may be NULL) gets, during this call and
 * later ones, what is accepted but will not do what it seems to. The writer outlives the metrics. */
struct metrics *metrics_new(gcw_writer *writer, const struct metrics_options *options,
                            void (*warn)(void *user, const char *text), void *user, gcw_error *err);
void metrics_free(struct metrics *metrics); /* NULL is fine */

/* Takes one chunk, or what is left of it. `tag` is not used and may be NULL. `count` and `done` are added to nothing:
 * both start at zero here; `records` are samples. Stops at the first append that may succeed later (GCW_ERR_FULL,
 * _TIMEOUT, _NOMEM) or never will again (_CLOSED) and returns that; `*done` bytes of the chunk, whole contexts, are
 * through. A later call with the rest, or with the whole chunk again, appends nothing twice that the series' last
 * sample tells. GCW_OK: all of it is through, whatever was skipped or refused. One thread at a time per `struct
 * metrics`; needs an ordinary stack. */
gcw_status metrics_chunk(struct metrics *metrics, const void *data, size_t size, const char *tag, gcw_receipt *receipt,
                         size_t *done, struct chunk_count *count);

#endif
