/* net/: HTTP by libcurl's multi interface, TLS, credentials. Takes sealed requests, gives back answers; decides
 * nothing. Belongs to the delivery thread, except transport_wake(). */
#ifndef GCW_NET_H
#define GCW_NET_H

#include "deliver/deliver.h"

enum auth_kind {
    AUTH_AUTO,   /* basic with a token and a tenant, bearer with a token alone, tenant header with a tenant alone, else
                    none */
    AUTH_BASIC,  /* tenant as user, token as password (Grafana Cloud, GEM, GEL) */
    AUTH_TENANT, /* X-Scope-OrgID (self-hosted Mimir, Loki); with a token: bearer beside it */
    AUTH_BEARER,
    AUTH_NONE,
};

/* Where one signal goes. Strings are the configuration's; they outlive the transport. "" = not set. */
struct endpoint {
    gcw_signal signal;
    const char *url;
    const char *tenant; /* default tenant; a sealed request carries its own */
    enum auth_kind auth;
};

struct net_config {
    struct endpoint endpoint[GCW_SIGNALS]; /* url "" = signal not in use */
    const char *token;                     /* given or from the environment; copied into locked memory, wiped on free */
    const char *token_file;                /* wins over token; watched */
    bool token_cleartext;                  /* user said in words that a token may go over http to a host not loopback */
    uint64_t token_check_ms;               /* how often the file is looked at */
    uint64_t connect_timeout_ms, request_timeout_ms, connection_lifetime_ms;
    const char *proxy, *ca_file, *client_cert, *client_key;
    bool tls_verify;
    const char *tls_min;        /* "1.2" or "1.3" */
    const char *http_version;   /* "auto", "1.1", "2" */
    const char *const *headers; /* "Name: value", checked */
    size_t header_count;
    const char *user_agent; /* appended to gcw/VERSION; "" = none */
    unsigned max_connections;
    bool trace; /* curl's verbose lines to the log at debug level, Authorization and all credentials blanked */
};

/* Checks what can be checked without network: URL scheme, host and path (with a hint when the usual push path is
 * missing or belongs to the other signal), tenant bytes, CR/LF anywhere, user:password@ in a URL (refused), clear-text
 * rule, header names that are ours, files that must be readable. */
gcw_status net_check(const struct net_config *c, gcw_error *err);

/* True for http to a host that is not this machine: what goes there can be read on the way. */
bool url_is_clear(const char *url);
/* Names `option` when the file can't be read; "" = not set, which is fine. */
gcw_status net_check_file(const char *option, const char *path, gcw_error *err);

/* The same rules for a tenant chosen per series or stream: what X-Scope-OrgID and basic auth's user may hold. */
gcw_status net_check_tenant(const char *tenant, gcw_error *err);

/* ---- credentials.c: a secret, held in one place, wiped when replaced and at the end; the writer's token, or what the
 * tool shows to targets ---- */

struct secret_source {
    const char *key;   /* the option that names the file, for messages */
    const char *path;  /* watched; "" = what was given */
    const char *given; /* "" = none */
    bool blanks;       /* it may have blanks in it: a password */
    uint64_t check_ms; /* how often the file is looked at */
};

struct credentials;
struct credentials *credentials_new(const struct secret_source *s, const struct logger *log, gcw_error *err);
void credentials_free(struct credentials *c);
/* Reads the file again if it is time and it changed; true when there is another secret now. */
bool credentials_refresh(struct credentials *c, uint64_t now_ms, bool at_once);
const char *credentials_token(const struct credentials *c); /* "" = none; valid until the next refresh */
/* Blanks the token and base64 of any "user:token" in text, in place; at the end of text also a beginning of them, as
 * the text may have been cut. */
void credentials_redact(const struct credentials *c, char *text, size_t n);

/* ---- transport.c ---- */

struct transport;
struct transport *transport_new(const struct net_config *c, const struct logger *log, gcw_error *err);
void transport_free(struct transport *t); /* aborts what is in flight, wipes secrets */

/* Starts a POST. The request must live until its answer was taken. False = out of memory (treat as END_NOT_SENT). */
bool transport_send(struct transport *t, const struct sealed *s, unsigned attempt);
/* Moves bytes and waits at most timeout_ms for something to happen. */
void transport_wait(struct transport *t, int timeout_ms);
/* Next finished request, its answer in *a; NULL if none. */
const struct sealed *transport_take(struct transport *t, struct answer *a);
/* Makes a transport_wait() in progress (or the next one) return at once. Any thread. */
void transport_wake(struct transport *t);
/* Looks at the token file if it is time; true when the token changed since the last call. */
bool transport_token_changed(struct transport *t, uint64_t now_ms);
/* Body bytes sent so far, per signal. */
uint64_t transport_bytes_sent(const struct transport *t, gcw_signal signal);

#endif
