/* What the command line asked for. */
#ifndef GCW_RECEIVE_OPTIONS_H
#define GCW_RECEIVE_OPTIONS_H

#include "cli/receive/auth.h"
#include "cli/receive/limits.h"
#include "cli/receive/misbehave.h"
#include "cli/receive/receive.h"

struct settings {
    char host[64]; /* a numeric address */
    uint16_t port; /* 0 = pick one */
    bool allow_remote;
    const char *port_file, *tls_cert, *tls_key;
    unsigned max_connections;
    struct auth auth;
    struct limits limits;
    struct misbehave misbehave;
    const char *out; /* NULL = nowhere, "-" = standard output */
    bool no_records, discard, verbose, help;
    uint64_t max_requests; /* 0 = no end */
    uint64_t idle_ms;      /* 0 = no end */
};

/* Reads argv[1..]; an error names the option and what is allowed. Free the settings with settings_free(). */
gcw_status settings_parse(struct settings *s, int argc, char **argv, gcw_error *err);
void settings_free(struct settings *s);
void receive_help(void); /* to standard output */

#endif
