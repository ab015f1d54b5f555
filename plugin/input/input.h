/* input/: formats in, records out. Prometheus text 0.0.4, OpenMetrics 1.0, Prometheus' protobuf; log lines, JSON lines.
 * Streaming: bytes are fed in pieces of any size; memory is bounded by the longest line or message. Knows no writer. */
#ifndef GCW_INPUT_H
#define GCW_INPUT_H

#include "model/model.h"

/* ---- lines: splits a byte stream at LF --------------------------------------------------------------------------- */

struct lines {
    struct buf tail;  /* the unfinished line */
    uint64_t number;  /* of the last line given out, from 1 */
    size_t max_bytes; /* at least 1; a longer line is given out cut, once, with `cut` set */
    bool skipping;
};
typedef void line_fn(void *user, uint64_t number, struct view line,
                     bool cut); /* without LF, with CR if there was one */
/* Complete lines inside `data` are given out in place, without a copy. */
gcw_status lines_feed(struct lines *l, const char *data, size_t n, line_fn *fn, void *user);
gcw_status lines_end(struct lines *l, line_fn *fn, void *user); /* the last line, if it had no LF */
void lines_free(struct lines *l);

/* ---- exposition: Prometheus text 0.0.4, OpenMetrics 1.0, delimited protobuf -------------------------------------- */

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS, EXPOSITION_PROTOBUF };

/* What becomes of a histogram with native buckets (protobuf): as Prometheus has it, its classic series are left out
 * unless both are asked for (always_scrape_classic_histograms), or the native one is not wanted. */
enum exposition_histograms { HISTOGRAMS_NATIVE, HISTOGRAMS_BOTH, HISTOGRAMS_CLASSIC };

struct exposition_options {
    enum exposition_format format;
    enum exposition_histograms histograms;
    bool drop_created; /* OpenMetrics: X_created of counters, histograms, summaries is a start time, and no series */
};

#define EXPOSITION_NO_TIME INT64_MIN

struct exposition_sample {
    const gcw_label *labels; /* [0] is __name__; the rest in the order written; values unescaped */
    size_t count;
    struct view series;  /* name and labels as written: equal text is the same series (a key to cache handles by) */
    uint64_t value_bits; /* in text any NaN as 0x7ff8000000000001, as Prometheus' parsers do */
    uint64_t number;     /* of its line or message, from 1 */
    bool again;          /* the labels are to those of the sample before what labels_again() asks for */
    bool has_time;
    int64_t time_ms;                /* 0.0.4: as written; OpenMetrics: seconds, rounded to the nearest ms */
    int64_t start_ms;               /* when counting began, as far as it is said; 0 = not known */
    const gcw_histogram *histogram; /* a native one, instead of a value */
    gcw_exemplar *exemplars;        /* oldest first; time_ms may be EXPOSITION_NO_TIME: that of the sample */
    size_t exemplar_count;
};

/* More than a value and a time? */
static inline bool exposition_is_point(const struct exposition_sample *s)
{
    return s->exemplar_count > 0 || s->histogram || s->start_ms != 0;
}
/* All of it as a point at time_ms. Exemplars without a time get that one, in place. A start that is not before it is
 * none, as in Prometheus. */
gcw_point exposition_point(const struct exposition_sample *s, int64_t time_ms);

struct exposition_family { /* metadata, complete when the next family or the end comes */
    gcw_metric_type type;
    const char *name; /* C strings */
    const char *help; /* unescaped; NULL if none */
    const char *unit;
};

struct exposition_handler {
    void *user;
    void (*sample)(void *user, const struct exposition_sample *s);
    void (*family)(void *user, const struct exposition_family *f);
    /* A line that was skipped: its number, why, and the line itself. Of protobuf: a message, or a metric in it, and
     * the family's name. */
    void (*malformed)(void *user, uint64_t number, const char *why, struct view text);
};

struct exposition;
struct exposition *exposition_new(const struct exposition_options *o, const struct exposition_handler *h);
void exposition_free(struct exposition *e);
gcw_status exposition_feed(struct exposition *e, const char *data, size_t n); /* GCW_OK or GCW_ERR_NOMEM */
gcw_status exposition_end(struct exposition *e);
/* What `number` counts, if not lines: "message", or NULL. */
const char *exposition_numbered(enum exposition_format format);
/* Whether an exposition of delimited protobuf ends where a message does. */
bool exposition_messages_whole(struct view input);
/* Guesses the format from the first bytes and, where the input can be seeked, the last ones (both may be empty). */
enum exposition_format exposition_detect(struct view head, struct view tail);

/* ---- timestamps in log lines ------------------------------------------------------------------------------------- */

/* A parsed --timestamp-format: rfc3339, unix_s, unix_ms, unix_us, unix_ns, auto, or a strptime(3) pattern (%f =
 * fraction). */
struct time_format;
struct time_format *time_format_new(const char *text, gcw_error *err);
void time_format_free(struct time_format *f);
bool time_parse(const struct time_format *f, struct view text, int64_t *unix_ns);

/* ---- JSON lines -------------------------------------------------------------------------------------------------- */

/* Which keys of a JSON object line become what. A key may be a path "a.b.c"; the whole name is tried first. */
struct json_key {
    const char *path;
    const char *as; /* label or metadata name */
};

struct json_line_config {
    const char *time_key; /* NULL = none */
    const struct time_format *time_format;
    const char *line_key; /* NULL = the whole line is the entry */
    const struct json_key *labels;
    size_t label_count;
    const struct json_key *metadata;
    size_t metadata_count;
};

/* Views point into the reader or the line, until the next call. Keys that are missing or null are left out; numbers and
 * booleans become their JSON text as written (every digit kept); objects and arrays compact JSON. Of a key that stands
 * twice the last one counts. */
struct json_line {
    struct view line;
    bool has_time;
    int64_t time_ns;
    gcw_label *labels;
    size_t label_count;
    gcw_label *metadata;
    size_t metadata_count;
};

struct json_reader;
struct json_reader *json_reader_new(const struct json_line_config *c); /* copies the config, not time_format */
void json_reader_free(struct json_reader *r);
/* GCW_ERR_INVALID with why: not a JSON object (RFC 8259, valid UTF-8), or the time does not parse. out->line is set in
 * every case; after a bad time all else is too. GCW_ERR_NOMEM. */
gcw_status json_reader_parse(struct json_reader *r, struct view line, struct json_line *out, gcw_error *err);

/* JSON text as such, for what else is written in it. */
#include "input/json_scan.h"

#endif
