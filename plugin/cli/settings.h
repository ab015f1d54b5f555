/* The configuration of a command that opens a writer: files first, then the environment, then its own options. What is
 * wrong is told on standard error, with the command's name. */
#ifndef GCW_CLI_SETTINGS_H
#define GCW_CLI_SETTINGS_H

#include "base/base.h"
#include "cli/cli.h"

struct settings {
    const struct cli_command *command;
    gcw_config *config;
};

/* All of these return 0, or -1 when it was told. */
int settings_fail(const struct settings *s, const char *text); /* always -1 */
int settings_key(const struct settings *s, const char *key, const char *value);
int settings_pair(const struct settings *s, const char *pair); /* "KEY=VALUE"; a token is refused there */
int settings_duration(const struct settings *s, const char *option, const char *arg, uint64_t *ms);
/* The files of --config, wherever on the command line, or of GCW_CONFIG; then the environment. */
int settings_load(const struct settings *s, int argc, char **argv);

/* Applies an option whose argument is simply the value of a configuration key. */
struct settings_row {
    const char *option, *key;
};
/* True if the option is in `rows` (`count` of them), "set" or "config" (which settings_load() has read); then *failed
 * says whether it was told. */
bool settings_option(const struct settings *s, const struct settings_row *rows, size_t count,
                     const struct cli_option *o, const char *arg, bool *failed);

/* The rows of commands that take a destination for each signal, and what they set; each puts its own between them. */
#define DESTINATION_OPTIONS                                                                                            \
    {"metrics-url", 0, "URL", "Destination", "where metrics go; a base URL gets the usual path"},                      \
        {"logs-url", 0, "URL", "Destination", "where logs go"},                                                        \
    {                                                                                                                  \
        "token-file", 0, "FILE", "Destination", "file that holds the access policy token; GCW_TOKEN also does"         \
    }
#define CONFIGURATION_OPTIONS                                                                                          \
    {"config", 'c', "FILE", "Configuration", "options as `key = value` lines, see gcw.conf(5); default: $GCW_CONFIG"}, \
    {                                                                                                                  \
        "set", 's', "KEY=VALUE", "Configuration", "one option of gcw.conf(5); wins over file and environment"          \
    }
#define DESTINATION_SETTINGS                                                                                           \
    {"metrics-url", "metrics_url"}, {"logs-url", "logs_url"}, { "token-file", "token_file" }

#endif
