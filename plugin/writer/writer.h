/* writer/, private: the embedder's object. Owns everything below it and two threads:
 *
 *   encoder   batcher_next() -> sealer_seal() -> hand-over list
 *   delivery  hand-over list -> queue, deliver, transport; settles records
 *
 * What crosses threads: chunks (batch/, its own locks), label sets and their symbols (model/, a lock of the table and
 * one of the symbols), the hand-over list and flush requests (`lock`), the budget and the counters (atomics), waiters
 * for room (`room`). Everything else belongs to one thread. */
#ifndef GCW_WRITER_WRITER_H
#define GCW_WRITER_WRITER_H

#include <pthread.h>

#include "batch/batch.h"
#include "config/config.h"

#define SCRATCHES 16
#define NOTES     64

/* Policies that turn a record away at append. */
enum away { AWAY_NEWEST, AWAY_WINDOW, AWAYS };

/* Counters of one signal; see gcw_signal_stats. */
struct counters {
    _Atomic uint64_t refused, changed;
    _Atomic uint64_t turned_away[AWAYS]; /* accepted and dropped at once, by a policy */
    _Atomic uint64_t outcome[GCW_OUTCOMES];
    _Atomic uint64_t exemplars_sent, exemplars_left_out, histograms_sent, histograms_left_out;
    _Atomic uint64_t metadata_sent, requests, bytes_raw, bytes_sent;
    uint64_t reported_away[AWAYS]; /* delivery thread: of them, told to the host */
    int last_http_status;          /* under `lock` from here on */
    char last_error[256];
    struct deliver_gauges gauges; /* as of the delivery thread's last round */
    struct queue_gauges queue_gauges;
};

/* A flush under way: done when each route got past seq[route]. */
struct flush {
    struct flush *next;
    uint32_t routes;
    bool done;
    uint64_t *seq;
};

struct gcw_writer {
    gcw_config *config;
    gcw_callbacks callbacks;
    pthread_mutex_t callback_lock; /* recursive: a callback may append, and that may log */
    struct logger log;

    /* front half */
    struct label_rules rules[GCW_SIGNALS];
    char *static_text[GCW_SIGNALS];
    gcw_label *statics[GCW_SIGNALS];
    uint64_t seed;
    struct guard *guard[GCW_SIGNALS];
    struct intern_table *table[GCW_SIGNALS];
    struct symbols *symbols; /* the metrics table's; NULL where 2.0 is not spoken */
    struct groups {
        pthread_mutex_t lock;       /* a group is made by who finds it missing, while others wait */
        struct intern_table *table; /* keys; the payload is the group */
    } groups;
    struct batcher *batcher;
    struct destination *home[GCW_SIGNALS]; /* of the configured tenant; NULL = signal not in use */
    struct families *families;
    uint64_t families_ms; /* delivery thread: when families_run() looks again; and its scratch */
    struct buf family_text;
    struct scratch {
        _Atomic bool busy;
        struct label_scratch labels, metadata;
    } scratch[SCRATCHES];
    struct notes {
        pthread_mutex_t lock;
        uint64_t seen[NOTES];
        size_t count;
    } notes;

    /* memory */
    struct budget budget;
    _Atomic uint64_t forced; /* taken for what must not fail, full or not */
    /* kept back from intake, so that a full budget can still be sealed, read back from disk and sent in parts */
    uint64_t seal_room, part_room;
    struct room {
        pthread_mutex_t lock;
        pthread_cond_t cond;
        _Atomic unsigned waiters;
        _Atomic uint64_t wanted; /* drop_oldest: bytes the delivery thread is asked to free */
    } room;

    /* back half */
    struct sealer *sealer;
    struct disk_ops disk; /* {0} without queue_dir */
    struct queue *queue;
    struct deliver *deliver;
    struct transport *transport;
    struct sealed *unsent; /* transport_send() failed for want of memory: answered in the next round */

    pthread_mutex_t lock;
    pthread_cond_t progress;
    struct sealed *handed_first, **handed_last;
    uint64_t *handed_seq; /* by route: the last batch the encoder is through with */
    uint32_t handed_routes;
    struct flush *flushes;
    struct counters counters[GCW_SIGNALS];
    uint64_t disk_used, disk_syncs; /* as of the delivery thread's last round */
    bool disk_failing;

    pthread_t encoder, delivery;
    _Atomic int protocol;      /* in which metrics are sealed: deliver/ says, the encoder reads */
    _Atomic bool closing;      /* no more appends */
    _Atomic bool stop_encoder; /* after the deadline: throw away what is not sealed */
    _Atomic bool stop_delivery;
    _Atomic uint64_t lost_at_close;
};

/* threads.c */
void *encoder_main(void *writer);
void *delivery_main(void *writer);

/* room.c: what to do when the budget is used up. False = give up with *status. */
struct room_wait {
    uint64_t records;     /* that are to be put in */
    uint64_t deadline_ms; /* 0 = not waiting yet */
};
bool room_wait(gcw_writer *w, gcw_signal signal, struct room_wait *wait, gcw_status *status);
void room_signal(gcw_writer *w);
bool room_take_for_seal(gcw_writer *w, uint64_t bytes); /* waits; false = the writer is stopping */
bool room_init(gcw_writer *w);
void room_destroy(gcw_writer *w);

/* scratch.c */
struct scratch *scratch_take(gcw_writer *w);
void scratch_give(gcw_writer *w, struct scratch *s);
/* Logs what was mended, once for each different text. */
void note_change(gcw_writer *w, gcw_signal signal, const char *text);

/* handles.c */
/* The destination of a signal and tenant (NULL = the configured one); NULL with words. */
struct destination *writer_destination(gcw_writer *w, gcw_signal signal, const char *tenant, gcw_error *err);
/* Checks the labels into s->labels.block and logs what was mended. */
gcw_status writer_labels(gcw_writer *w, gcw_signal signal, const gcw_label *labels, size_t count,
                         struct label_scratch *s, gcw_error *err);
/* The start of a one-call form of metrics: where it goes, and the labels checked in a scratch, which the caller gives
 * back after GCW_OK. */
gcw_status writer_begin(gcw_writer *w, const gcw_label *labels, size_t count, struct destination **d,
                        struct scratch **s, gcw_error *err);
/* Lets go of streams of the one-call form that were idle for a while; false if there were none. */
bool streams_expire(gcw_writer *w);

/* append.c */
/* Counts what was refused for good; returns the status. */
gcw_status writer_refused_all(gcw_writer *w, gcw_signal signal, uint64_t records, gcw_status status);
static inline gcw_status writer_refused(gcw_writer *w, gcw_signal signal, gcw_status status)
{
    return writer_refused_all(w, signal, 1, status);
}
/* One sample with its label block; `spread` is writer_spread() of its metric name. */
gcw_status writer_sample(gcw_writer *w, struct destination *d, struct view block, uint64_t spread, uint64_t bits,
                         int64_t time_ms, gcw_receipt *receipt, gcw_error *err);
static inline uint64_t writer_spread(struct view metric_name) { return hash_bytes(metric_name.p, metric_name.n, 0); }

/* points.c: an exemplar, packed at the end of `out`; one that receivers would refuse is left out, by label_policy. */
gcw_status writer_exemplar(gcw_writer *w, const gcw_exemplar *e, struct scratch *s, struct buf *out, gcw_error *err);

/* source.c: samples of one thread that come like lines of an exposition, one as the other. */
struct sample_source;
struct sample_source *sample_source_new(gcw_writer *w);
void sample_source_free(struct sample_source *s);
/* gcw_sample_write_bits(); `again`: these labels are to the ones before what labels_again() asks for. */
gcw_status sample_source_write(struct sample_source *s, const gcw_label *labels, size_t count, bool again,
                               uint64_t value_bits, int64_t time_ms, gcw_error *err);

/* families.c */
gcw_status metadata_append(gcw_writer *w, struct destination *d, const gcw_metadata *m, struct view name);
/* Delivery thread: appends what is due again; returns when it wants to run next. */
uint64_t families_run(gcw_writer *w, uint64_t now_ms);

/* store.c: the disk queue's place in the writer */
gcw_status writer_queue_open(gcw_writer *w, gcw_error *err);
gcw_status writer_recover(gcw_writer *w, gcw_error *err); /* once deliver/ is there */
struct sealed *writer_part(void *writer, const struct sealed *s, struct part *part);

/* settle.c: the ends of records, called by deliver/ on the delivery thread (and by the encoder for what it throws away)
 */
void writer_settle(void *writer, const struct settlement *end);
void writer_release(void *writer, struct sealed *s);
void writer_drop(gcw_writer *w, struct sealed *s, const char *why);
void writer_lost(void *writer, const struct queue_loss *loss, const struct receipt_share *shares, uint32_t count);
void writer_durable(void *writer, struct sealed *s);

#endif
