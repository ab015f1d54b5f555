/* What is scraped, and how it is reached: settings of targets, from the command line and from files of --targets; the
 * secrets they show; how both come to libcurl.
 *
 *     keys (the table: one setting) -> targets (which there are) -> access (a handle of libcurl), secrets beside it
 *
 * The tool's one thread has all of it. */
#ifndef GCW_CLI_SCRAPE_TARGETS_H
#define GCW_CLI_SCRAPE_TARGETS_H

#include <curl/curl.h>

#include "cli/settings.h"
#include "net/net.h"

#define TARGETS_MAX    1000
#define TARGET_LABELS  32 /* of one target, job and instance among them */
#define BODY_LIMIT_MIB 256

/* The one table: key on a target's line, option for all targets, kind, what the option's argument is, field, bounds,
 * what is allowed, help. Options, help and man page are made from it. */
#define TARGET_KEYS(X)                                                                                                 \
    X("job", "job", TEXT, "NAME", job, 1, 0, "a name", "label job (default gcw)")                                      \
    X("interval", "interval", DURATION, "DURATION", interval_ms, 100, 86400000, "100ms..1d",                           \
      "time between two scrapes (default 15s)")                                                                        \
    X("timeout", "scrape-timeout", DURATION, "DURATION", timeout_ms, 1, 86400000, "1ms..1d",                           \
      "how long a scrape may take (default 10s, or the interval if that is shorter); the next one waits for it")       \
    X("body_limit", "scrape-body-limit", SIZE, "SIZE", body_limit, 1, UINT64_C(1) << 32, "1B..4GiB",                   \
      "largest answer that is taken, unpacked (default 256MiB)")                                                       \
    X("honor_labels", "honor-labels", FLAG, NULL, honor_labels, 0, 0, "on|off",                                        \
      "labels of what was scraped win over the target's; without it job, say, becomes exported_job")                   \
    X("own_timestamps", "own-timestamps", FLAG, NULL, own_timestamps, 0, 0, "on|off",                                  \
      "time of the scrape for samples that come with one of their own")                                                \
    X("native_histograms", "native-histograms", FLAG, NULL, native_histograms, 0, 0, "on|off",                         \
      "ask for protobuf first, as native histograms come in that only; classic buckets beside them are left out, see " \
      "--classic-histograms")                                                                                          \
    X("user", "scrape-user", TEXT, "NAME", user, 0, 0, "text without a colon",                                         \
      "user of basic authentication; needs the password's file")                                                       \
    X("password_file", "scrape-password-file", TEXT, "FILE", password_file, 0, 0, "path",                              \
      "file that holds the password; read again when it changes")                                                      \
    X("token_file", "scrape-token-file", TEXT, "FILE", token_file, 0, 0, "path",                                       \
      "file that holds a bearer token; read again when it changes")                                                    \
    X("cleartext", "scrape-cleartext", FLAG, NULL, cleartext, 0, 0, "on|off",                                          \
      "credentials may go over http, readable on the way, to another host than this one")                              \
    X("ca_file", "scrape-ca-file", TEXT, "FILE", ca_file, 0, 0, "path",                                                \
      "certificates (PEM) to trust instead of the system's")                                                           \
    X("cert_file", "scrape-cert-file", TEXT, "FILE", cert_file, 0, 0, "path",                                          \
      "client certificate (PEM); needs its key's file")                                                                \
    X("key_file", "scrape-key-file", TEXT, "FILE", key_file, 0, 0, "path",                                             \
      "private key (PEM) of the client certificate")                                                                   \
    X("insecure", "scrape-insecure", FLAG, NULL, insecure, 0, 0, "on|off",                                             \
      "certificates of targets are not checked; only for experiments")

enum target_key {
#define AS_ID(key, option, kind, arg, field, least, most, allowed, help) KEY_##field,
    TARGET_KEYS(AS_ID)
#undef AS_ID
        KEY_COUNT
};

/* Their rows in the command's option table. */
#define TARGET_OPTION(key, option, kind, arg, field, least, most, allowed, help)                                       \
    , { option, 0, arg, "Every target, or one alone by the key in brackets, in a file of --targets", help " [" key "]" }

struct target_label {
    char *name, *value;
};

struct secret_file;

struct target_settings {
    char *url;
    char *job, *user, *password_file, *token_file, *ca_file, *cert_file, *key_file; /* "" = not set */
    uint64_t interval_ms, timeout_ms, body_limit;
    bool honor_labels, own_timestamps, native_histograms, cleartext, insecure;
    uint32_t own; /* 1 << KEY_..: its own line set it, not an option */
    struct target_label *labels;
    size_t label_count;
    /* from settings_complete() on: */
    struct secret_file *secret; /* password or token; NULL = none */
};

/* ---- keys.c ------------------------------------------------------------------------------------------------------ */

bool defaults_init(struct target_settings *t); /* false = out of memory */
/* The settings of `url`, as the defaults are. NULL = out of memory. */
struct target_settings *target_settings_new(const struct target_settings *defaults, struct view url);
void target_settings_wipe(struct target_settings *t); /* what it holds */
void target_settings_free(struct target_settings *t); /* that and itself; NULL is fine */
/* A KEY=VALUE of its line. */
gcw_status target_settings_put(struct target_settings *t, struct view key, struct view value, gcw_error *err);
/* An option for all targets; false if it is none. */
bool target_option(struct target_settings *defaults, const struct settings *s, const char *name, const char *arg,
                   bool *failed);
bool target_label_add(struct target_settings *t, struct view name, struct view value); /* false = out of memory */
/* The value of its label; NULL = has none. */
const char *target_label_value(const struct target_settings *t, struct view name);
bool target_settings_equal(const struct target_settings *a, const struct target_settings *b);

/* ---- secrets.c: each file once, however many targets show it; a pipe could not be read twice --------------------- */

struct secrets {
    struct secret_file *first;
    struct logger log;
};

/* `key` is static. NULL with words. */
struct secret_file *secret_take(struct secrets *s, const char *key, const char *path, gcw_error *err);
void secret_give(struct secret_file *f);        /* NULL is fine */
const char *secret_text(struct secret_file *f); /* read again if it changed; valid until the next call */

/* ---- targets.c --------------------------------------------------------------------------------------------------- */

struct target_list {
    struct target_settings **at;
    size_t count;
};

/* Checks what its line and the defaults say together, opens its secret, and adds the labels job and instance. */
gcw_status settings_complete(struct target_settings *t, struct secrets *secrets, gcw_error *err);
/* Takes `t` over, also when it refuses it. */
gcw_status target_list_add(struct target_list *l, struct target_settings *t, struct secrets *secrets, gcw_error *err);
/* The targets of a file's text; an error names the line. */
gcw_status targets_read(struct target_list *l, const struct target_settings *defaults, struct secrets *secrets,
                        const char *name, struct view text, gcw_error *err);
void target_list_free(struct target_list *l);
/* "host:port" of an http or https URL, from malloc; NULL with words. */
char *url_instance(const char *url, gcw_error *err);

/* ---- access.c ---------------------------------------------------------------------------------------------------- */

void access_setup(CURL *easy, const struct target_settings *t);   /* once */
bool access_refresh(CURL *easy, const struct target_settings *t); /* before each scrape; false = out of memory */
/* What a transfer failed for, in words; its kind, 0 = it did not. `detail` is libcurl's own text. */
unsigned access_trouble(CURL *easy, CURLcode code, const char *detail, const struct target_settings *t, char *out,
                        size_t cap);

#endif
