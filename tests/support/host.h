/* A host of the library for tests: opens a writer towards a receiver and keeps every report and log line. */
#ifndef TEST_HOST_H
#define TEST_HOST_H

#include <pthread.h>

#include "receiver.h"

struct host_report {
    gcw_report is; /* without its texts, which follow */
    char tenant[200];
    char message[1100];
};

struct host_line {
    gcw_log_level level;
    char text[1100];
};

struct host {
    struct receiver *receiver;
    gcw_writer *w;
    pthread_mutex_t lock; /* guards what the callbacks keep */
    struct host_report *reports;
    struct host_line *lines;
    size_t report_count, line_count;
};

/* A receiver and a writer towards it. Batches close by size and by flush alone, retries come at once, unless `options`
 * (key, value, ..., NULL; they win) says otherwise. */
void host_open(struct host *h, const char *const *options);
/* Closes if still open; then everything that was reported adds up to what was counted. */
void host_free(struct host *h);
/* Closes, which must come to `want`; the receiver is stopped after that. */
void host_close(struct host *h, int timeout_ms, gcw_status want, gcw_stats *final);

gcw_series *host_series(struct host *h, const char *name); /* one label beside: job="test" */
gcw_stream *host_stream(struct host *h, const char *app);
gcw_signal_stats host_stats(struct host *h, gcw_signal signal);
/* Waits until `met` says so of the signal's statistics. */
void host_await(struct host *h, gcw_signal signal, bool (*met)(const gcw_signal_stats *s, uint64_t n), uint64_t n);

/* Records of all reports of that outcome. */
uint64_t host_reported(struct host *h, gcw_signal signal, gcw_outcome outcome);
/* Whether a line of that level holds the text. Any level: 0. */
bool host_logged(struct host *h, unsigned level, const char *text);

/* Every record is in one place, and in one only. */
void assert_ledger(const gcw_signal_stats *s);

#endif
