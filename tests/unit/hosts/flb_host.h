/* A small Fluent Bit for tests: loads out_grafana_cloud.so as the loader of external plugins does, in any version's
 * struct sizes, and calls it from the same threads. Flushes run as coroutines on 24 KiB of stack with a page behind it
 * that ends the process when touched. The test program exports names that the real host exports too, with other
 * meanings: who binds to one aborts. */
#ifndef TEST_FLB_HOST_H
#define TEST_FLB_HOST_H

#include <pthread.h>

#include "../../support/receiver.h"
#include "hosts/fluent-bit/abi.h"

/* What the versions allocate. */
struct flb_sizes {
    size_t def, api;
    bool zeroed; /* def, since 4.2.3 */
};
extern const struct flb_sizes flb_1_9, flb_2_0, flb_4_2, flb_5_1;

struct flb {
    const struct flb_sizes *sizes;
    void *library;
    void *def; /* of the registration in force */
    struct flb_api *api;
    int (*pre_register)(int);
    int (*register_)(void *def);
    int (*init)(struct flb_output_plugin *plugin);
    int (*flush)(void *context, const void *data, size_t size, const char *tag);
    int (*pre_run)(int);
    void (*pre_exit)(int);
    int (*exit)(void *context);
    void (*unregister)(void *def);
};

/* One [OUTPUT]. */
struct flb_output {
    struct flb *host;
    const char *const *properties; /* key, value, ..., NULL */
    struct flb_proxy_context *context;
    pthread_mutex_t lock;
    char *log; /* lines: "LEVEL text\n" */
    size_t log_len;
};

/* Loads and registers. */
void flb_start(struct flb *h, const struct flb_sizes *sizes);
/* Unregisters; the guard bytes behind all that was allocated are as they were. */
void flb_stop(struct flb *h);
/* A registration more, as a hot reload does while the old one is in use; returns the old, for flb_unregister(). */
void *flb_register_again(struct flb *h);
void flb_unregister(struct flb *h, void *def);
int flb_event_type(const struct flb *h); /* -1 where the host's struct does not have it */

/* The value of Init. The calling thread is the engine's. */
int flb_output_start(struct flb *h, struct flb_output *o, const char *const *properties);
void flb_output_stop(struct flb_output *o, bool reload);
void flb_output_free(struct flb_output *o); /* its log, which outlives it */
/* What the engine's thread does for a chunk without workers. */
int flb_flush(struct flb_output *o, const void *data, size_t size, const char *tag);
/* The same from another thread, as with `workers 1`. */
int flb_flush_worker(struct flb_output *o, const void *data, size_t size, const char *tag);
/* What was logged so far holds the text. */
bool flb_logged(struct flb_output *o, const char *text);

#endif
