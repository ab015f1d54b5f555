/* One [OUTPUT]: a writer, what decodes chunks for it, and a worker thread that appends their records.
 *
 * Threads: open and close on the engine's; flush on any of the host's; the worker alone touches `logs` and `metrics`.
 */
#ifndef GCW_HOSTS_FLUENT_BIT_INSTANCE_H
#define GCW_HOSTS_FLUENT_BIT_INSTANCE_H

#include "hosts/fluent-bit/jobs.h"
#include "hosts/fluent-bit/say.h"
#include "hosts/fluent-bit/settings.h"

struct instance {
    struct instance *next; /* plugin.c's list */
    unsigned users;        /* flushes under way; under its lock */
    struct say say;
    struct settings settings;
    gcw_writer *writer;
    struct logs *logs;
    struct metrics *metrics;
    struct jobs jobs;
    bool has_jobs, has_worker;
    pthread_t engine; /* who opened it: flushes on that thread hold up the whole host */
    pthread_t worker;
    struct chunk_count untold; /* the worker's */
    uint64_t told_at_ms;
    _Atomic uint64_t passed_over[GCW_SIGNALS]; /* chunks of a signal that has no URL */
    _Atomic bool said_no_workers;
};

/* NULL when it cannot start; why has been printed. `offered` = the host may bring metrics. */
struct instance *instance_open(const struct flb_api *api, void *output, unsigned number, bool offered);
enum flb_answer instance_flush(struct instance *in, const void *data, size_t size, const char *tag);
/* Delivers for as long as shutdown_timeout says, the rest goes to queue_dir or is told as lost. */
void instance_close(struct instance *in);

/* worker.c */
bool worker_start(struct instance *in);
void worker_stop(struct instance *in);

/* http.c: whether the program we are loaded into would lend its own nghttp2 to our libcurl. */
bool host_shadows_nghttp2(void);

#endif
