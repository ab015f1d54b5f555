/* gcw push metrics --scrape: targets polled for their metrics, the third input beside files and standard input.
 *
 *     schedule (when) -> fetch (HTTP) -> target (labels, up, scrape_*) -> series (handles, what vanished) -> the writer
 *
 * All in the tool's one thread: between two scrapes nothing is half appended, so that a batch which is closed there
 * holds whole scrapes. */
#ifndef GCW_CLI_SCRAPE_H
#define GCW_CLI_SCRAPE_H

#include "cli/push.h"
#include "cli/scrape/targets.h"
#include "input/input.h"

struct scrape_options {
    const char *target[TARGETS_MAX]; /* "URL" or "JOB=URL" */
    size_t count;
    const char *file[TARGETS_MAX]; /* of targets, one a line */
    size_t file_count;
    struct target_settings defaults; /* of every target */
    struct secrets secrets;
    struct target_list targets; /* until they run */
    uint64_t rounds;            /* scrapes of each target; 0 = until interrupted */
    bool keep_series, warned;
    struct exposition_options input; /* the format is each answer's */
};

/* Rows of the command's option table. */
#define KEY_NAME(key, option, kind, arg, field, least, most, allowed, help) key ", "
#define SCRAPE_OPTIONS                                                                                                 \
    {"scrape", 0, "[JOB=]URL", "Scraping",                                                                             \
     "poll this endpoint instead of reading files, until SIGINT; may be repeated"},                                    \
        {"targets", 0, "FILE", "Scraping",                                                                             \
         "poll what this file names, one target a line: URL KEY=VALUE ...; keys: " TARGET_KEYS(                        \
             KEY_NAME) "label.NAME. Read again at SIGHUP; may be repeated"},                                           \
        {"keep-series", 0, NULL, "Scraping", "no stale markers at the end: the tool is about to be started again"},    \
        {"scrapes", 0, "N", "Scraping", "end after so many scrapes of each target"} TARGET_KEYS(TARGET_OPTION)

bool scrape_init(struct scrape_options *s); /* false = out of memory */
void scrape_free(struct scrape_options *s);
bool scrape_asked(const struct scrape_options *s); /* there is something to poll */
/* True if the option is one of these; *failed says whether its argument was bad (told on standard error). */
bool scrape_option(struct scrape_options *s, const struct settings *settings, const struct cli_option *o,
                   const char *arg, bool *failed);
/* Checks them together, and takes the batching out of the writer's hands: called before it is opened. */
int scrape_prepare(struct scrape_options *s, struct push *p);
/* Scrapes until interrupted, or `rounds` times. The writer is open. */
void scrape_run(struct scrape_options *s, struct push *p);

/* ---- schedule.c: monotonic time, aligned so that a restart keeps each target's place in the interval ------------- */

/* When a target whose place is `offset_ms` is first due. */
uint64_t schedule_first(uint64_t now_ms, int64_t unix_ms, uint64_t interval_ms, uint64_t offset_ms);
/* When next, after `due_ms`: what was missed is left out. */
uint64_t schedule_next(uint64_t due_ms, uint64_t now_ms, uint64_t interval_ms);
/* The time of a scrape's samples: `unix_ms`, or the moment it should have been if that is near. */
int64_t schedule_stamp(int64_t unix_ms, uint64_t interval_ms, uint64_t offset_ms);

/* ---- fetch.c: HTTP ------------------------------------------------------------------------------------------------
 */

struct fetcher;
struct fetch;
struct fetcher *fetcher_new(void);
void fetcher_free(struct fetcher *f); /* its fetches first */
/* `ctx` is what fetcher_wait() gives out; the settings outlive it. NULL = out of memory. */
struct fetch *fetch_new(struct fetcher *f, const struct target_settings *t, void *ctx);
void fetch_free(struct fetch *x);
bool fetch_start(struct fetch *x); /* false = out of memory */
/* Lets transfers go on for at most timeout_ms; gives out one that has ended, as its ctx, or NULL. */
void *fetcher_wait(struct fetcher *f, int timeout_ms);

/* Kinds of trouble, beside those of access_trouble(); 0 = none. */
enum trouble { TROUBLE_TOO_LARGE = 1, TROUBLE_NOMEM, TROUBLE_BROKEN, TROUBLE_NO_SAMPLE };

/* What a transfer came to, until it is started again. */
struct fetched {
    const char *trouble; /* NULL = the body is whole */
    unsigned kind;       /* of trouble: told apart from another */
    struct view body;
    enum exposition_format format;
};
struct fetched fetch_result(const struct fetch *x);

/* ---- body.c -------------------------------------------------------------------------------------------------------
 */

/* What its content type says it is; false = none that is known. */
bool body_format(void *easy, enum exposition_format *format);
void trouble_too_large(uint64_t max, char *trouble, size_t cap); /* in words, into `trouble` */
/* Unpacks the body of an answer in place. NULL, or `trouble`: it is broken, or not whole. */
const char *body_open(void *easy, struct buf *body, size_t max, char *trouble, size_t cap);

/* ---- series.c: which series a target has --------------------------------------------------------------------------
 */

struct series_cache;

/* A series of the target, as long as it is there. */
struct scraped {
    gcw_series *handle;
    uint64_t seen;   /* number of the scrape that last had it */
    bool own_time;   /* it came with a timestamp of its own: such series end without a marker */
    bool ended;      /* its marker went out */
    int64_t last_ms; /* time and value of the newest sample that had a time of its own */
    uint64_t last_bits;
    enum { KIND_SAMPLE, KIND_HISTOGRAM, KIND_FLOAT_HISTOGRAM } kind; /* what it was last, and ends as */
    uint64_t exemplar; /* the newest that was sent: a hash of it, and its time */
    int64_t exemplar_ms;
};

struct series_cache *series_cache_new(void);
void series_cache_free(struct series_cache *c); /* the handles are the writer's, and close with it */
/* The series written as `text` in an exposition; NULL = not met before. */
struct scraped *series_find(struct series_cache *c, struct view text, uint64_t scrape);
/* Remembers it under the text. Another text may have led to the same handle. Takes the handle's reference. NULL = out
 * of memory. */
struct scraped *series_add(struct series_cache *c, struct view text, gcw_series *handle, uint64_t scrape, bool *fresh);
/* Shows every series that the scrape did not have and forgets it. */
void series_sweep(struct series_cache *c, uint64_t scrape, void (*gone)(void *ctx, struct scraped *s), void *ctx);
/* What a sample with a time of its own is to its series: receivers refuse one that is not newer than what they have.
 * Remembers a newer one, unless it is so far ahead of the scrape that receivers refuse it, too. */
enum moment { MOMENT_NEW, MOMENT_SAME /* the very sample that was sent last */, MOMENT_PAST };
enum moment series_moment(struct scraped *s, int64_t time_ms, uint64_t bits, int64_t scrape_ms);
void series_each(struct series_cache *c, void (*each)(void *ctx, struct scraped *s), void *ctx);

/* ---- exemplars.c: which of a sample's exemplars are news ----------------------------------------------------------
 */

/* Targets show the same ones scrape after scrape. Takes out those that were sent, as Prometheus' storage does: the
 * newest that was sent, for one without a time whenever that was, and what is older. `time_ms` is the sample's. */
void exemplars_sift(struct scraped *series, struct exposition_sample *s, int64_t time_ms);

/* ---- target.c -----------------------------------------------------------------------------------------------------
 */

struct target;
/* Takes the settings over, also when it fails. */
struct target *target_new(const struct scrape_options *s, struct push *p, struct fetcher *f,
                          struct target_settings *settings, gcw_error *err);
void target_free(struct target *t); /* while the writer is open */
const struct target_settings *target_settings_of(const struct target *t);
/* When it is to be scraped next, UINT64_MAX while it is, or when it is done. */
uint64_t target_due(const struct target *t);
void target_start(struct target *t, uint64_t now_ms);
/* Its transfer has ended: samples, reports and markers go to the writer. */
void target_finish(struct target *t);
bool target_done(const struct target *t);
/* Ends every series, those about the scrapes too. */
void target_end(struct target *t);

#endif
