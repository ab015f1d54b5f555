/* What `gcw push metrics` and `gcw push logs` share: configuration, reading, the writer, progress, the summary. */
#ifndef GCW_CLI_PUSH_H
#define GCW_CLI_PUSH_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "cli/settings.h"

const struct cli_option *push_metrics_options(size_t *count);
const struct cli_option *push_logs_options(size_t *count);
int push_metrics_main(int argc, char **argv);
int push_logs_main(int argc, char **argv);

struct push {
    gcw_signal signal;
    struct settings settings;
    gcw_writer *writer;

    /* options */
    struct buf labels; /* value for metrics_labels / logs_labels */
    bool quiet, progress;
    enum { SUMMARY_TEXT, SUMMARY_JSON, SUMMARY_NONE } summary;
    uint64_t end_timeout_ms, signal_timeout_ms;
    bool timeout_given;

    /* input */
    const char *file;     /* name of the one being read */
    const char *numbered; /* what is numbered in it, as in "message 3"; NULL = lines, which need no word */
    _Atomic uint64_t read_bytes;
    uint64_t total_bytes; /* 0 = not known */
    uint64_t malformed, refused, told;
    bool unreadable;
    bool until_interrupted; /* being interrupted is how it ends: the exit code does not speak of what became of records
                             */
    uint64_t flush_ms;      /* scraping: how long a scrape may wait for others to share its request */

    /* progress thread */
    pthread_t thread;
    bool thread_runs;
    _Atomic bool done;
    uint64_t started_ms;
};

/* Reads one piece of input at a time into the parser of the command. */
struct push_source {
    void *ctx;
    gcw_status (*ready)(void *ctx); /* the writer is open, nothing was read yet; may be NULL; else GCW_OK to go on */
    gcw_status (*begin)(void *ctx, const char *head, size_t head_len, const char *tail, size_t tail_len);
    gcw_status (*feed)(void *ctx, const char *data, size_t n);
    gcw_status (*end)(void *ctx);
};

/* The rows every push command has; each command puts its own before them. */
#define PUSH_OPTIONS                                                                                                   \
    {"url", 'u', "URL", "Destination", "where to push; a base URL gets the usual path"},                               \
        {"tenant", 't', "ID", "Destination", "tenant: user of basic auth, or X-Scope-OrgID"},                          \
        {"token-file", 0, "FILE", "Destination",                                                                       \
         "file that holds the access policy token; GCW_TOKEN in the environment also does"},                           \
        {"label", 'l', "NAME=VALUE", "Destination", "label for every record that does not have it; may be repeated"},  \
        {"config", 'c', "FILE", "Configuration",                                                                       \
         "options as `key = value` lines, see gcw.conf(5); default: $GCW_CONFIG"},                                     \
        {"set", 's', "KEY=VALUE", "Configuration", "one option of gcw.conf(5); wins over file and environment"},       \
        {"timeout", 0, "DURATION", "Running",                                                                          \
         "how long to wait for delivery when input has ended (default 1m; 0 = for ever)"},                             \
        {"signal-timeout", 0, "DURATION", "Running", "the same after SIGINT or SIGTERM (default 10s)"},                \
        {"progress", 0, NULL, "Running", "show progress although standard error is not a terminal"},                   \
        {"quiet", 'q', NULL, "Running", "no progress, no summary; errors only"},                                       \
        {"summary", 0, "FORM", "Running",                                                                              \
         "what to print at the end: text (default), json (on standard output) or none"},                               \
    {                                                                                                                  \
        "verbose", 'v', NULL, "Running", "log what the writer does (log_level=debug)"                                  \
    }

/* True if the option was one of PUSH_OPTIONS; *failed says whether its argument was bad (told on standard error). */
bool push_option(struct push *p, const struct cli_option *o, const char *arg, bool *failed);
/* Loads files and environment; the command line's other options follow by cli_parse(). `overflow` is the default of
 * that option. */
int push_init(struct push *p, gcw_signal signal, const char *command, const char *overflow, int argc, char **argv);
void push_free(struct push *p);
/* Everything from the parsed options to the exit code: `work` runs while the writer is open. */
int push_work(struct push *p, void (*work)(void *ctx), void *ctx);
/* The same, with files to read. */
int push_run(struct push *p, const struct push_source *source, int files, char **file);

/* Names a skipped line, or whatever `numbered` says; the first ten are told, the rest counted. */
void push_malformed(struct push *p, uint64_t number, const char *why, struct view text);
void push_refused(struct push *p, uint64_t number, const char *why, struct view text);
/* Announces a family, once there is room for it. */
void push_metadata(struct push *p, const gcw_metadata *metadata);
bool push_interrupted(void);

/* progress.c */
void progress_start(struct push *p);
void progress_stop(struct push *p);
void summary_print(const struct push *p, const gcw_stats *s);

#endif
