/* Lines for the host's log. The host's log functions reach its log file only from its own threads: what our threads
 * have to say waits here until the host calls; when it does not for a while, the worker prints it to standard error. */
#ifndef GCW_HOSTS_FLUENT_BIT_SAY_H
#define GCW_HOSTS_FLUENT_BIT_SAY_H

#include <pthread.h>

#include "base/base.h"
#include "hosts/fluent-bit/abi.h"

#define SAY_LINES 64
#define SAY_TEXT  1100

struct said {
    gcw_log_level level;
    uint64_t at_ms; /* monotonic */
    char text[SAY_TEXT];
};

struct say {
    char name[64]; /* grafana_cloud.0 */
    const struct flb_api *api;
    void *output;  /* the host's instance */
    bool has_logs; /* the host has log functions (2.0) */
    pthread_mutex_t lock;
    struct said *lines; /* a ring */
    size_t first, count;
    uint64_t lost; /* lines that found the ring full */
};

bool say_init(struct say *s, const struct flb_api *api, void *output, unsigned number);
void say_free(struct say *s);
/* Any thread; copies. */
void say_line(struct say *s, gcw_log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A gcw_callbacks.log, and the `warn` of the decoders; `say` is a struct say. */
void say_log(void *say, gcw_log_level level, const char *text);
void say_warn(void *say, const char *text);
/* Hands the lines that wait to the host, at most `most` of them. The host's threads only; its own functions take up to
 * 9 KiB of stack. */
void say_emit(struct say *s, size_t most);
/* The same from a thread of ours, for lines older than that: the host prints them to standard error. */
void say_emit_stale(struct say *s, uint64_t age_ms);

#endif
