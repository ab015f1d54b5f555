/* What the user wrote into [OUTPUT], read key by key: the host shows a value when asked for a name, and no list of
 * names. Options of gcw under their own names, the module's own, and those of the outputs people come from. */
#ifndef GCW_HOSTS_FLUENT_BIT_SETTINGS_H
#define GCW_HOSTS_FLUENT_BIT_SETTINGS_H

#include "config/config.h"
#include "hosts/fluent-bit/logs.h"
#include "hosts/fluent-bit/metrics.h"

enum ack { ACK_AUTO, ACK_QUEUED, ACK_DURABLE, ACK_DELIVERED };

struct settings {
    gcw_config *config;
    struct logs_options logs;       /* texts are the host's, which keeps them as long as the instance */
    struct metrics_options metrics; /* the same */
    bool uses[GCW_SIGNALS];         /* the signal has a URL */
    enum ack ack;
    uint64_t ack_timeout_ms, ack_linger_ms, shutdown_timeout_ms;
};

/* How the host answers; NULL = not given. Values are valid as long as the instance. */
struct property_source {
    const char *(*get)(const char *key, void *user);
    void *user;
};

/* Reads, translates and checks. An error names key, value and what is allowed; `warn` gets what is accepted but differs
 * and names that look like misspelt ones of ours. Free with properties_free(), after failures too. */
gcw_status properties_read(struct settings *s, const struct property_source *from,
                           void (*warn)(void *user, const char *), void *user, gcw_error *err);
void properties_free(struct settings *s);

/* ---- between its parts ----------------------------------------------------------------------------------------- */

/* One reading in progress. */
struct reading {
    struct settings *s;
    struct property_source from;
    void (*warn)(void *user, const char *text);
    void *user;
};

const char *property(const struct reading *r, const char *key);
void reading_warn(const struct reading *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* own.c: the module's options that gcw does not have; the names by index, for lists; NULL past the end. */
gcw_status own_read(const struct reading *r, gcw_error *err);
const gcw_option *own_option_at(size_t index);

/* carried.c: names of out_loki and out_prometheus_remote_write. */
gcw_status carried_read(const struct reading *r, gcw_error *err);
const char *carried_name_at(size_t index);

/* guess.c: warns of keys that are given and look like misspelt ones of ours. */
void guess_misspelt(const struct reading *r);

#endif
