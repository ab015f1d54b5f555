/* Private to batch/: the entries of a batch, gathered by stream. */
#ifndef GCW_BATCH_RUNS_H
#define GCW_BATCH_RUNS_H

#include "batch/record.h"

/* What a walk over a batch counts. */
struct tally {
    uint64_t records, metadata;
    uint32_t exemplars, histograms, exemplars_unsaid;
    int64_t first_time, last_time;
};

static inline void tally_time(struct tally *t, int64_t time)
{
    if (t->records++ == 0)
        t->first_time = t->last_time = time;
    t->first_time = MIN(t->first_time, time);
    t->last_time = MAX(t->last_time, time);
}

/* One stream's entries in the batch at hand. */
struct run {
    struct interned *stream;
    struct record_entry *first, *last;
    uint32_t count;
    uint64_t bytes; /* of lines and metadata */
    bool ascending;
    int64_t base_ns, last_ns; /* unique times: what the stream is to remember once the batch is sealed */
};

/* Zero-initialise, set `unique`; scratch that is used again for the next batch. */
struct runs {
    bool unique; /* no two entries of a stream with the same time */
    struct run *run;
    size_t count, cap;
    struct record_entry **order; /* of the sort */
    size_t order_cap;
};

/* Appends the batch's entries as a push of that protocol. False: out of memory; the batch may be encoded again. */
bool runs_encode(struct runs *r, const struct batch *batch, enum protocol protocol, struct buf *out, struct tally *t);
/* The batch became a request. */
void runs_commit(struct runs *r);
size_t runs_bytes(const struct runs *r);
void runs_free(struct runs *r);

#endif
