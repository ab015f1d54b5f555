/* batch/: records in, sealed requests out.
 *
 *     append ──> stripe (small lock, one chunk) ──> route (list of chunks) ──> batch ──> seal ──> sealed request
 *
 * A destination is one (signal, tenant). Its label sets are spread over stripes by hash, so that threads appending to
 * different series rarely meet; each stripe feeds one lane (route), so a series always takes the same way and its
 * order holds. A stripe fills chunks; a full chunk moves, as a pointer, to its route's open batch; a batch closes on
 * bytes, records or age and waits for the encoder thread, which turns it into one sealed request.
 *
 * Locks: a stripe's, then the batcher's; never the other way round, never two stripes. */
#ifndef GCW_BATCH_H
#define GCW_BATCH_H

#include "codec/codec.h"

struct batch_limits {
    uint64_t bytes; /* encoded, before compression */
    uint64_t records;
    uint64_t age_ms; /* of the oldest record in it */
};

/* Memory for chunks. What to do when there is none is the owner's business: the append returns GCW_ERR_FULL. */
struct batcher_ops {
    void *ctx;
    bool (*take)(void *ctx, uint64_t bytes,
                 bool force); /* `force`: must not fail. Called with a stripe locked: no waiting. */
    void (*give)(void *ctx, uint64_t bytes);
};

struct batcher;
struct destination;

struct batcher_config {
    struct batch_limits limits[GCW_SIGNALS];
    unsigned lanes[GCW_SIGNALS];
    uint64_t max_destinations;
};

struct batcher *batcher_new(const struct batcher_config *config, const struct batcher_ops *ops);
void batcher_free(struct batcher *b); /* what is still in it is lost: seal it first */

/* Finds or makes the destination of a tenant; NULL at the bound on tenants or out of memory. Any thread. */
struct destination *batcher_destination(struct batcher *b, gcw_signal signal, const char *tenant);
/* The same for what an earlier writer left: with another number of lanes it is a destination of its own, to which
 * nothing can be appended. */
struct destination *batcher_earlier(struct batcher *b, gcw_signal signal, const char *tenant, unsigned lanes);
uint32_t destination_route(const struct destination *d, unsigned lane);
unsigned destination_lanes(const struct destination *d);
const char *destination_tenant(const struct destination *d);
gcw_signal destination_signal(const struct destination *d);
void *destination_user(const struct destination *d); /* ops.ctx */
/* The signal and number of routes, for those who walk them: every route below the count exists for ever. */
uint32_t batcher_routes(const struct batcher *b);

/* Chooses the way of a new label set of a destination: intern_table_new()'s `born`. */
void destination_assign(struct interned *i, struct view block, uint32_t number);

/* ---- receipts: see gcw.h ------------------------------------------------------------------------------------ */

struct gcw_receipt;
struct gcw_receipt *receipt_new(gcw_receipt_level level, void (*done)(void *user, const gcw_receipt_summary *summary),
                                void *user);
void receipt_add(struct gcw_receipt *r, uint64_t records);
void receipt_settle(struct gcw_receipt *r, gcw_outcome outcome, uint64_t records);
/* The records are on disk: true if that is all this receipt waits for, and it forgets them. */
bool receipt_durable(struct gcw_receipt *r, uint64_t records);

/* ---- appending: any thread; copies; GCW_OK, _FULL, _NOMEM ------------------------------------------ */

gcw_status batch_sample(struct destination *d, struct interned *series, uint64_t value_bits, int64_t time_ms,
                        struct gcw_receipt *receipt);
/* A sample with its label block in the record. `hash` is the block's, `spread` its metric name's: see
 * destination_assign. A label set new to the destination is first shown to the guard: GCW_ERR_LIMIT if it refuses. */
gcw_status batch_sample_inline(struct destination *d, struct view block, uint64_t hash, uint64_t spread,
                               struct guard *guard, uint64_t value_bits, int64_t time_ms, struct gcw_receipt *receipt);
/* A point: of a series (then `block` to `guard` count for nothing), or with labels like batch_sample_inline(). */
struct point_series {
    struct interned *series; /* NULL = the rest */
    struct view block;
    uint64_t hash, spread;
    struct guard *guard;
};
gcw_status batch_point(struct destination *d, const struct point_series *of, const struct point *p,
                       struct gcw_receipt *receipt);
/* A sample of each series of a group, whose key is interned and has the group as its payload: all are in, in one
 * request, or none. `fill` writes their values, with the stripe locked. */
struct group_point {
    int64_t time_ms, start_ms; /* start_ms for the series that count up */
    void (*fill)(const void *from, uint64_t *value_bits);
    const void *from;
    struct view exemplars; /* what group_exemplars_put() wrote, ascending by series */
};
bool group_exemplars_put(struct buf *out, uint32_t series, struct view packed);
gcw_status batch_group(struct destination *d, struct interned *key, const struct group_point *p,
                       struct gcw_receipt *receipt);
/* GCW_ERR_TOO_LARGE if its samples do not fit a request. */
gcw_status batch_group_fits(const struct destination *d, const struct group *g, gcw_error *err);
/* `metadata` is a label block of normalised structured metadata, often empty. */
gcw_status batch_entry(struct destination *d, struct interned *stream, struct view line, struct view metadata,
                       int64_t time_ns, struct gcw_receipt *receipt);
gcw_status batch_metadata(struct destination *d, gcw_metric_type type, struct view family, struct view help,
                          struct view unit);
/* The label set's last reference went: it is reaped when everything before this has been encoded. Cannot fail. */
void batch_release(struct destination *d, struct interned *label_set);
void batch_release_group(struct destination *d, struct interned *key);

/* Records appended so far and not refused, over all destinations of the signal. */
uint64_t batcher_accepted(const struct batcher *b, gcw_signal signal);

/* ---- the encoder's side: one thread --------------------------------------------------------------------------- */

struct batch;

/* Waits until a batch is closed by size or age, or `deadline_ms` (monotonic) passes, or batcher_wake(). NULL then. The
 * order of batches of one route is kept. */
struct batch *batcher_next(struct batcher *b, uint64_t deadline_ms);
/* Closes every open batch, partial chunks included. Any thread. */
void batcher_close_all(struct batcher *b);
/* Number of the last batch closed on the route; what was appended before a batcher_close_all() is in it or before it.
 */
uint64_t batcher_last_seq(struct batcher *b, uint32_t route);
void batcher_wake(struct batcher *b);

uint32_t batch_route(const struct batch *batch);
uint64_t batch_seq(const struct batch *batch);
/* At least what the batch takes as a sealed request; log lines that are all control characters may take more. */
uint64_t batch_sealed_bound(const struct batch *batch);
uint64_t sealed_bound(uint64_t wire_bytes);

struct seal_config {
    enum logs_encoding_choice { SEAL_GZIP, SEAL_PLAIN, SEAL_SNAPPY } logs; /* JSON the first two, protobuf the last */
    int compression_level;
    bool unique_times;                                /* no two entries of a stream with the same time, see runs.c */
    bool no_histograms, no_exemplars;                 /* in remote write 1.0 */
    struct families *families;                        /* describe series in remote write 2.0; may be NULL */
    struct symbols *symbols;                          /* what series are kept as; NULL = as blocks */
    struct intern_table *table[GCW_SIGNALS], *groups; /* that released label sets are in */
};

struct sealer;
struct sealer *sealer_new(const struct seal_config *c);
void sealer_free(struct sealer *s);
size_t sealer_scratch_bytes(const struct sealer *s);
/* Encodes and compresses the batch, metrics in the protocol given; in 2.0 if some of it cannot be said in 1.0: who
 * sends it says what becomes of that. *out gets the request, or NULL if there was nothing to send in it. Its `charge`
 * is its size; taking that from the budget is the caller's. False = out of memory: nothing was consumed. */
bool sealer_seal(struct sealer *s, struct batch *batch, enum protocol metrics, struct sealed **out);
/* Gives the batch's chunks back. After sealer_seal(), or to throw the records away. */
void batch_free(struct batcher *b, struct batch *batch);

#endif
