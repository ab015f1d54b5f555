/* Who may push: the gateway in front of Grafana Cloud (Basic: tenant and access policy token, with scopes), or the bare
 * tenant header of a self-hosted Mimir or Loki, or nobody asks. Tokens are held here and shown nowhere. */
#ifndef GCW_RECEIVE_AUTH_H
#define GCW_RECEIVE_AUTH_H

#include <sys/stat.h>

#include "base/base.h"

enum auth_mode { AUTH_BASIC, AUTH_TENANT, AUTH_NONE };

#define SIGNAL_BIT(s) (1u << (s))
#define ALL_SIGNALS   (SIGNAL_BIT(GCW_METRICS) | SIGNAL_BIT(GCW_LOGS))

struct tenant_rule {
    unsigned signals; /* bits */
    char *id;
};

/* A token, the tenants it stands for (none listed = any) and what it may do there. */
struct credential {
    char *token;
    struct tenant_rule *tenants;
    size_t tenant_count;
    unsigned scopes; /* bits of the signals it may write */
};

/* A file read again whenever it changes. */
struct watched_file {
    const char *path; /* NULL = none */
    bool read;
    struct stat seen;
};

struct auth {
    enum auth_mode mode;
    struct credential flags;   /* from --tenant, --token-file or environment, --scope */
    struct credential *listed; /* from --credentials */
    size_t listed_count;
    struct watched_file token_file, credentials_file;
};

#define TENANT_MAX 150

struct auth_answer {
    int status;                  /* 0 = let in */
    char tenant[TENANT_MAX + 1]; /* who it is, or claims to be; may be empty */
    char text[256];              /* body of a refusal */
};

/* "ID", "metrics=ID" or "logs=ID". */
gcw_status auth_add_tenant(struct credential *c, struct view rule, gcw_error *err);
/* "metrics:write,logs:write"; scopes of other services are allowed and mean nothing here. */
gcw_status auth_set_scopes(struct credential *c, struct view list, gcw_error *err);
gcw_status auth_set_token(struct credential *c, struct view token, gcw_error *err);
/* Reads the files that changed. What can't be read leaves the old credentials in force. */
gcw_status auth_refresh(struct auth *a, gcw_error *err);
/* `authorization` and `org_id` are the headers' values, NULL if absent. */
void auth_check(const struct auth *a, gcw_signal signal, const char *authorization, const char *org_id,
                struct auth_answer *out);
void auth_free(struct auth *a); /* wipes the tokens */

#endif
