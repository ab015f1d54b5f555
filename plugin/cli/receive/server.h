/* The running receiver: settings, what it remembers, counters. Every connection has a thread of its own; requests are
 * decoded side by side and judged one at a time under the lock, so that records come out whole and in order. */
#ifndef GCW_RECEIVE_SERVER_H
#define GCW_RECEIVE_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "cli/receive/judge.h"
#include "cli/receive/options.h"

#define STATUS_END 1000

struct counters {
    uint64_t requests[GCW_SIGNALS], status[STATUS_END]; /* pushes, by the status they were answered with */
    uint64_t injected, resets;                          /* pushes that met misbehaviour */
    uint64_t retry_attempts;                            /* pushes with a Retry-Attempt header */
    uint64_t connections, auth_failures, other_requests;
    uint64_t requests_2; /* in remote write 2.0, of those that were judged */
    uint64_t histograms, exemplars;
    uint64_t samples, metadata, entries, duplicates, out_of_order, rejected, reasons[REASON_COUNT];
    uint64_t bytes_wire, bytes_decoded;
    uint64_t output_errors;
};

struct server {
    struct settings *settings; /* limits and the rest are read only; auth and misbehave under the lock */
    pthread_mutex_t lock;      /* guards store, counters, auth, misbehave, out_fd */
    struct store store;
    struct counters counters;
    int out_fd; /* -1 = no records */
    uint64_t started_ms;
    _Atomic bool stopping;
    _Atomic uint64_t active;  /* requests being read, judged or answered */
    _Atomic uint64_t last_ms; /* when a request last came or went */
    _Atomic uint64_t pushes;  /* answered or cut off */
    int wake_fd;              /* an event for the main thread */
    struct logger log;
    struct MHD_Daemon *daemon;
};

/* Listens; the address it got goes to `url`. */
gcw_status server_start(struct server *s, struct settings *settings, char *url, size_t cap, uint16_t *port,
                        gcw_error *err);
/* Stops listening; lets requests that are being answered finish, for at most two seconds. */
void server_stop(struct server *s);
void server_free(struct server *s);

/* Sleeps, but not past the end of the server. */
void server_sleep(struct server *s, uint64_t ms);

/* Judges a push and counts it; writes its records. `v` is the caller's to free. */
void server_judge(struct server *s, gcw_signal signal, const struct push *p, struct verdict *v);
/* GET /stats and /control: JSON text to free(), NULL = out of memory. */
char *server_stats(struct server *s);
char *server_control(struct server *s);

#endif
