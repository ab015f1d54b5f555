/* model/: label sets. Validation, sanitising, sorting, and the label block they become; interning of series and
 * streams; the guard on how many there may be. Knows nothing of requests or time. */
#ifndef GCW_MODEL_H
#define GCW_MODEL_H

#include <pthread.h>

#include "base/base.h"

/* ---- label block --------------------------------------------------------------------------------------------
 * The canonical form of a checked, sorted label set: protobuf `repeated Label labels = 1` as remote write 1.0 has it
 * on the wire (0a LEN 0a LEN name 12 LEN value)*. Series carry it ready to copy into a request; every other
 * encoding reads it back with block_next(). */

size_t varint_size(uint64_t v);
uint8_t *varint_put(uint8_t *p, uint64_t v); /* at most 10 bytes; returns the end */

/* Reads the next label; false at the end. `block` moves on. The block must be one of ours. */
bool block_next(struct view *block, struct view *name, struct view *value);
uint32_t block_labels(struct view block); /* how many */

/* ---- checking labels ----------------------------------------------------------------------------------------- */

enum label_policy {
    LABELS_SANITISE, /* mend names, cut what is too long, replace invalid UTF-8 */
    LABELS_TRUNCATE, /* cut what is too long, refuse the rest */
    LABELS_REJECT,   /* refuse all of it */
};

/* What a receiver's default limits and grammar allow, per signal. */
struct label_rules {
    gcw_signal signal;
    enum label_policy policy;
    size_t max_name_bytes;
    size_t max_value_bytes;
    size_t max_labels;
    const gcw_label *statics; /* added where the name is absent; checked once at open */
    size_t static_count;
};

/* Scratch for labels_block(); one per thread. Zero-initialise, free with label_scratch_free(). */
struct label_scratch {
    struct label_pair *pairs;
    size_t cap;
    struct buf text;         /* rewritten names and values */
    struct buf block;        /* the result */
    struct view metric_name; /* of it, GCW_METRICS only */
    struct label_shape *shape;
    bool shape_is_last; /* it has the names of the last label set, not of an earlier one */
};
void label_scratch_free(struct label_scratch *s);

/* Checks, mends, sorts and encodes a label set into s->block. *changed says whether something was mended; then *err
 * (if given) says what. GCW_ERR_INVALID names the label and the rule. */
gcw_status labels_block(const struct label_rules *rules, const gcw_label *labels, size_t count, struct label_scratch *s,
                        bool *changed, gcw_error *err);

/* The same for a caller that looks at its labels itself and finds that they differ from those of the last call with `s`
 * in their values only: names and their order are the same, each value is ASCII, and LABEL_SLACK bytes may be read
 * behind each. False, with nothing done, if the label set needs labels_block() nevertheless. */
#define LABEL_SLACK 32
bool labels_again(const struct label_rules *rules, const gcw_label *labels, size_t count, struct label_scratch *s);

/* For GCW_LOGS, after labels_block(): adds the label service_name where it is absent, as Loki's distributor would. */
gcw_status labels_add_service(struct label_scratch *s, gcw_error *err);

/* A metadata name in Loki's normal form (see metadata_block), written behind text->n, where there is room for name.n +
 * 4 bytes. Empty if the name has no letter or digit. */
struct view metadata_name_normalise(struct view name, struct buf *text);

/* Structured metadata of a log entry, as a label block in s->block, in the order given. Names take Loki's normal form:
 * each run of bytes outside [A-Za-z0-9] one '_', a leading digit prefixed "key_", __x__ kept; a name without letter or
 * digit would fail the whole push (HTTP 500) and is left out. Of names that become equal the first stays. Values: what
 * is not UTF-8, and U+FFFD, becomes a blank. At most 128 pairs and 64 KiB, Loki's defaults. With LABELS_REJECT all of
 * this is refused instead. Pairs with an empty value are left out. `own` (may be NULL) is a pair of ours that goes
 * first, whatever else there is. */
gcw_status metadata_block(enum label_policy policy, const gcw_label *own, const gcw_label *pairs, size_t count,
                          struct label_scratch *s, bool *changed, gcw_error *err);
/* One more pair, in normal form; left out if there is no room for it or the name is taken. False: out of memory. */
bool metadata_add(struct label_scratch *s, const char *name, struct view value);

/* The level of an entry, from its blocks of labels and metadata and its line, for metadata LEVEL_NAME. Empty: it has
 * that already, or it is the server's to find. Points into the arguments or to static text. */
#define LEVEL_NAME "detected_level"
struct view level_detect(struct view labels, struct view metadata, struct view line);

/* ---- guard ---------------------------------------------------------------------------------------------------
 * Bounds how many label sets are alive and the memory they take, and knows which label multiplies them. NULL admits
 * everything. */

struct guard;
struct guard *guard_new(uint64_t max_count, uint64_t max_bytes);
void guard_free(struct guard *g);
/* Takes one label set of `bytes`; observes its labels. False at a bound: then guard_explain() has the words. */
bool guard_admit(struct guard *g, struct view block, uint64_t bytes);
void guard_leave(struct guard *g, uint64_t count, uint64_t bytes); /* `count` label sets that took `bytes` together */
void guard_charge(struct guard *g, uint64_t bytes);                /* for what several label sets share */
void guard_explain(struct guard *g, const char *noun, gcw_error *err);
uint64_t guard_count(const struct guard *g);
uint64_t guard_bytes(const struct guard *g);

/* ---- metric families -----------------------------------------------------------------------------------------
 * Any thread; one of them reads, see families_find(). */

struct metric_family {
    struct metric_family *next;
    gcw_metric_type type;
    uint32_t name_len, help_len, unit_len;
    bool described; /* the encoder's: it was sent once */
    char text[];    /* help, unit, name */
};
static inline struct view family_help(const struct metric_family *f) { return view_make(f->text, f->help_len); }
static inline struct view family_unit(const struct metric_family *f)
{
    return view_make(f->text + f->help_len, f->unit_len);
}

struct families;
/* `again_ms`: what did not change is due again after so long; what did a fifth of it after it was sent last. */
struct families *families_new(uint64_t again_ms);
void families_free(struct families *f);
/* True when this family is due: then it counts as sent. */
bool families_update(struct families *f, const void *owner, gcw_metric_type type, struct view name, struct view help,
                     struct view unit, uint64_t now_ms);
void families_unsent(struct families *f, const void *owner, struct view name); /* it was not: due at once */
/* One that is due though nobody told of it again; its texts are copied into `text`. Looks at a few thousand families
 * a call, in turn; false = none among them. */
struct family_due {
    const void *owner;
    gcw_metric_type type;
    struct view name, help, unit;
};
bool families_due(struct families *f, uint64_t now_ms, struct buf *text, struct family_due *out);
/* The reader: nothing is held of what families_find() gave. */
void families_let_go(struct families *f);
/* The family that a metric of this name belongs to: its own name, or without _bucket, _sum, _total ... by type. Stays
 * until families_let_go(). */
struct metric_family *families_find(struct families *f, const void *owner, struct view metric);
/* The family's name for a metric of a known type; counters keep their _total, as the text format has it. */
struct view family_name_of(struct view metric, gcw_metric_type type);

/* ---- symbols -------------------------------------------------------------------------------------------------
 * Texts by number, each once: what series are kept as where remote write 2.0 is spoken. A text has its number as long
 * as somebody holds it (an interned series), and until symbols_sweep() after that. Any thread, but for the sweep: that
 * is the one encoder's, the only one that uses numbers it does not hold. */

struct symbol {
    char *text; /* NULL = the number is free, `len` is the next free one */
    uint32_t len, hash, holds;
};

/* Symbols lie in pieces that never move: who holds one may read it without the lock. */
#define SYMBOL_BITS 10
struct symbols {
    pthread_mutex_t lock;
    struct guard *guard; /* gets the memory of those that are held; may be NULL */
    struct symbol **piece[1 << SYMBOL_BITS];
    uint32_t count;        /* numbers given out so far; 0 is "" */
    uint32_t free, live;   /* first free number (0 = none); texts alive */
    uint32_t *slot, slots; /* hash table of numbers, 0 = empty; a power of two */
    uint32_t idle;         /* alive though held by nobody */
    uint64_t idle_bytes;   /* of these, all that belongs to them counted */
    uint64_t held_bytes;   /* of the others */
    uint32_t sweeps;       /* the encoder's: numbers that it did not hold are void when this has changed */
    uint32_t name_label;   /* "__name__", held */
};

struct symbols *symbols_new(struct guard *guard);
void symbols_free(struct symbols *s);
static inline struct symbol *symbol_of(const struct symbols *s, uint32_t id)
{
    const uint32_t mask = (1u << SYMBOL_BITS) - 1;
    return &s->piece[id >> 2 * SYMBOL_BITS][id >> SYMBOL_BITS & mask][id & mask];
}
static inline struct view symbols_text(const struct symbols *s, uint32_t id)
{
    const struct symbol *at = symbol_of(s, id);
    return view_make(at->text, at->len);
}
/* The number of a text that is not empty, held by nobody yet; 0 = out of memory. */
uint32_t symbols_find(struct symbols *s, struct view text);
/* No number so far is this or above. */
uint32_t symbols_bound(struct symbols *s);
/* A label as one number: the name's below, the value's above. */
static inline uint64_t symbol_pair(uint32_t name, uint32_t value) { return (uint64_t)value << 32 | name; }
/* Finds the texts of a block and holds each; *name gets the metric name's (name_label's if there is none). False, with
 * nothing held: out of memory. */
bool symbols_hold(struct symbols *s, struct view block, uint64_t *pairs, uint32_t *name);
void symbols_release(struct symbols *s, const uint64_t *pairs, uint32_t n);
/* What the texts of a block would add to `held_bytes`, at the most. */
uint64_t symbols_missing(struct symbols *s, struct view block);
/* Forgets what nobody holds, if that is more texts or bytes than may lie about; false if it was not. */
bool symbols_sweep(struct symbols *s, uint32_t idle_max, uint64_t idle_bytes_max);
/* What an encoder lets lie about. */
#define SYMBOLS_IDLE       32768
#define SYMBOLS_IDLE_BYTES (4 * MIB)

/* ---- interning ----------------------------------------------------------------------------------------------- */

/* One label set of one owner (a destination), alive while referenced. It is kept as its block, ready to be copied into
 * a request of 1.0 or of logs; or as symbols, a third of that, where requests are of 2.0. */
struct interned {
    void *owner;           /* what every append looks at is in front, in one cache line mostly */
    uint32_t block_len;    /* of its block, whatever it is kept as */
    uint32_t stripe;       /* the owner's: which way its records take */
    uint32_t labels;       /* kept as so many pairs of symbols; 0 = as a block */
    uint32_t symbol;       /* with symbols: of the metric name */
    struct interned *next; /* in its table slot */
    uint64_t hash;
    uint32_t refs;
    uint16_t leaving; /* times that the last reference went and it was not reaped yet */
    bool kept;        /* one of the references is the table's own, see intern_keep() */
    uint64_t used_ms; /* with `kept`: when it was last asked for */
    void *payload;    /* the owner's: what its encoder keeps per label set; from malloc, freed with it */
    _Alignas(8) uint8_t body[];
};
/* Of one that is kept as a block. */
static inline struct view interned_block(const struct interned *i)
{
    ENSURE(i->labels == 0);
    return view_make((const char *)i->body, i->block_len);
}

static inline const uint64_t *interned_symbols(const struct interned *i)
{
    return (const uint64_t *)(const void *)i->body;
}

/* Bytes behind the head. */
static inline size_t interned_body(const struct interned *i)
{
    return i->labels ? i->labels * sizeof(uint64_t) : i->block_len;
}

/* Table of label sets; any thread. */
struct intern_table;
/* A label set's hash is hash_bytes() of its block with `seed`: the same label set takes the same way, interned or not.
 * A new one is shown to `born` (may be NULL) before anyone else sees it; `number` counts them up. */
struct intern_table *intern_table_new(struct guard *guard, uint64_t seed,
                                      void (*born)(struct interned *i, struct view block, uint32_t number));
/* Label sets are kept as symbols from now on, these; NULL = out of memory. They live as long as the table. */
struct symbols *intern_table_symbols(struct intern_table *t);
void intern_table_free(struct intern_table *t); /* frees the label sets left in it */
/* Finds or adds; one more reference. NULL with *status GCW_ERR_LIMIT or GCW_ERR_NOMEM. */
struct interned *intern_acquire(struct intern_table *t, void *owner, struct view block, gcw_status *status);
/* Of one that the caller has a reference to: the value of its label __name__, empty if it has none. */
struct view intern_metric_name(const struct intern_table *t, const struct interned *i);
/* One reference less. True when that was the last: the caller has it reaped, once, when nothing points at it. */
bool intern_release(struct intern_table *t, struct interned *i);
/* True: nobody came for it meanwhile, it is out of the table, and the caller frees it with intern_destroy(). */
bool intern_reap(struct intern_table *t, struct interned *i);
void intern_destroy(struct symbols *s, struct interned *i); /* `s`: its table's, if it has any */
/* Gives the caller's reference to the table, which holds on to the label set until it was idle for a while. */
void intern_keep(struct intern_table *t, struct interned *i, uint64_t now_ms);
/* The table lets go of what was last kept before `before_ms`; true if there was any. `gone` is called, with the table
 * locked, for each that has no reference left, as after intern_release(). */
bool intern_expire(struct intern_table *t, uint64_t before_ms, void (*gone)(struct interned *i));

/* Makes blocks of label sets kept as symbols, each from the one before: neighbours have most labels in common.
 * Zero-initialise; one per thread. */
struct block_maker {
    struct buf block, pairs, at; /* `at`: where each label starts, and where the last one ends */
};
/* The label set's block, valid until the next call; empty = out of memory. */
struct view block_remake(struct block_maker *m, const struct symbols *s, const struct interned *i);
void block_maker_free(struct block_maker *m);

/* Set of 64-bit fingerprints: which label sets the one-call form has seen. Not locked. */
struct fingerprints {
    uint64_t *order; /* as they came */
    uint32_t *index; /* hash table of positions in `order`, from 1 */
    size_t count, slots;
    size_t cursor; /* position after the last hit */
};
bool fingerprint_has(struct fingerprints *f, uint64_t fp);
bool fingerprint_add(struct fingerprints *f, uint64_t fp); /* one that is not in it; false = out of memory */
void fingerprints_free(struct fingerprints *f);

/* ---- le.c: bucket bounds and quantiles as label text --------------------------------------------------------------
 */

/* Receivers compare the text of a label, not the number: the same bound must come out the same, whoever sent it. */
enum le_format {
    LE_SHORTEST,    /* the fewest digits that read back as the same double: "0.1", "1", "1000000"; as Prometheus writes
                       it for OTLP, and what client libraries expose, large numbers apart */
    LE_OPENMETRICS, /* "0.1", "1.0", "1e+06": what Prometheus 3 and Alloy make of what they scrape */
    LE_FLUENT_BIT,  /* printf's "%.17g", as Fluent Bit's own output: "0.10000000000000001", "1", "1000000" */
    LE_FORMATS
};
#define LE_MAX 32
/* Writes v at out (LE_MAX bytes, terminated) and returns the length. */
size_t le_text(char *out, double v, enum le_format format);

/* ---- group.c: the series of a classic histogram or a summary -------------------------------------------------------
 * Made together from the family's labels, they live and die together, and every append is to all of them. */

enum group_kind { GROUP_HISTOGRAM, GROUP_GAUGE_HISTOGRAM, GROUP_SUMMARY };

struct group_shape {
    enum group_kind kind;
    const double *bounds; /* of buckets, the one at +Inf not among them; of a summary the quantiles */
    size_t bound_count;
};

#define GROUP_BOUNDS_MAX 1000
gcw_status group_shape_check(const struct group_shape *s, gcw_error *err); /* GCW_ERR_INVALID: what is wrong */

/* One allocation, freed with free(). The series stand in this order: by bound (a histogram's last is +Inf), sum, count.
 */
struct group {
    enum group_kind kind;
    uint32_t bound_count, count; /* count: of series */
    uint32_t counting;           /* the first of those that count up; `count` = none does */
    uint64_t bytes;              /* of memory */
    uint64_t block_bytes;        /* of all label blocks */
    double *bound;
    struct interned *series[]; /* in no table */
};

/* `base` is the label block of the family, checked by `rules`; `symbols`: what the series are kept as; NULL: as blocks.
 * GCW_ERR_INVALID names what is wrong with the shape, or with the labels: `le` or `quantile` of their own, too many,
 * too long a name.
 */
gcw_status group_new(const struct label_rules *rules, struct view base, const struct group_shape *shape,
                     enum le_format format, struct symbols *symbols, struct group **out, gcw_error *err);
void group_forget(struct symbols *s, struct group *g); /* before it is freed: lets go of its symbols, if it has any */
/* What tells a group from others, behind a copy of its base block: appended to it. False: out of memory. */
bool group_key(struct buf *block, const struct group_shape *shape);
/* The bucket of a histogram that an observation falls into. */
uint32_t group_bucket(const struct group *g, double value);

#endif
