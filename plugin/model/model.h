/* model/: label sets. Validation, sanitising, sorting, and the label block they become; interning of series and
 * streams; the guard on how many there may be. Knows nothing of requests or time. */
#ifndef GCW_MODEL_H
#define GCW_MODEL_H

#include "base/base.h"

/* ---- label block --------------------------------------------------------------------------------------------
 * The canonical form of a checked, sorted label set: protobuf `repeated Label labels = 1` as remote write 1.0 has it
 * on the wire (0a LEN 0a LEN name 12 LEN value)*. Series carry it ready to copy into a request; every other
 * encoding reads it back with block_next(). */

size_t varint_size(uint64_t v);
uint8_t *varint_put(uint8_t *p, uint64_t v); /* at most 10 bytes; returns the end */

/* Reads the next label; false at the end. `block` moves on. The block must be one of ours. */
bool block_next(struct view *block, struct view *name, struct view *value);

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
    struct buf text;  /* rewritten names and values */
    struct buf block; /* the result */
};
void label_scratch_free(struct label_scratch *s);

/* Checks, mends, sorts and encodes a label set into s->block. *changed says whether something was mended; then *err
 * (if given) says what. GCW_ERR_INVALID names the label and the rule. */
gcw_status labels_block(const struct label_rules *rules, const gcw_label *labels, size_t count,
                        struct label_scratch *s, bool *changed, gcw_error *err);

/* Loki's normal form of a structured-metadata name: each run of bytes outside [A-Za-z0-9] one '_', a leading digit
 * prefixed "key_". False for a name without a letter or digit, which would fail the whole push (HTTP 500). Appends to out. */
bool metadata_name_normalise(struct view name, struct buf *out);
bool metadata_name_is_normal(struct view name);

/* ---- guard ---------------------------------------------------------------------------------------------------
 * Bounds how many label sets are alive and the memory they take, and knows which label multiplies them. */

struct guard;
struct guard *guard_new(uint64_t max_count, uint64_t max_bytes);
void guard_free(struct guard *g);
/* Takes one label set of `bytes`; observes its labels. False at a bound: then guard_explain() has the words. */
bool guard_admit(struct guard *g, struct view block, uint64_t bytes);
void guard_leave(struct guard *g, uint64_t bytes);
void guard_explain(struct guard *g, const char *noun, gcw_error *err);
uint64_t guard_count(const struct guard *g);
uint64_t guard_bytes(const struct guard *g);

/* ---- interning ----------------------------------------------------------------------------------------------- */

/* One label set of one owner (a destination), alive while referenced. */
struct interned {
    void *owner;
    struct interned *next; /* in its table slot */
    uint64_t hash;
    uint32_t refs;
    uint32_t block_len;
    void *payload; /* the owner's: what its encoder keeps per label set */
    uint8_t block[];
};
static inline struct view interned_block(const struct interned *i) { return view_make((const char *)i->block, i->block_len); }

/* Table of label sets; any thread. */
struct intern_table;
struct intern_table *intern_table_new(struct guard *guard);
void intern_table_free(struct intern_table *t); /* frees the label sets left in it */
/* Finds or adds; one more reference. NULL with *status GCW_ERR_LIMIT or GCW_ERR_NOMEM. */
struct interned *intern_acquire(struct intern_table *t, void *owner, struct view block, gcw_status *status);
/* One reference less. True when that was the last: it is out of the table, and the caller frees it with
 * intern_destroy() once nothing points at it. */
bool intern_release(struct intern_table *t, struct interned *i);
void intern_destroy(struct intern_table *t, struct interned *i);

/* Set of 64-bit fingerprints: which label sets the one-call form has seen. Not locked. */
struct fingerprints {
    uint64_t *slot;
    size_t count, cap;
};
/* 1 = added, 0 = was there, -1 = out of memory. */
int fingerprint_add(struct fingerprints *f, uint64_t fp);
void fingerprints_free(struct fingerprints *f);

#endif
