/* Private to net/: URLs and credentials. */
#ifndef GCW_NET_PRIVATE_H
#define GCW_NET_PRIVATE_H

#include "net/net.h"

/* ---- url.c ---- */

/* The push URL in full: the usual path put where there is none. Free with free(). NULL with words. */
char *url_complete(const struct endpoint *e, gcw_error *err);
/* True if the URL's host is this machine. */
bool url_is_local(const char *url);
/* True for http to a host that is not this machine. */
bool url_is_clear(const char *url);
enum auth_kind auth_resolve(const struct endpoint *e, bool has_token);

/* ---- credentials.c: the token, held in one place, wiped when replaced and at the end ---- */

struct credentials;
struct credentials *credentials_new(const struct net_config *c, const struct logger *log, gcw_error *err);
void credentials_free(struct credentials *c);
/* Reads the file again if it is time and it changed; true when there is another token now. */
bool credentials_refresh(struct credentials *c, uint64_t now_ms, bool at_once);
const char *credentials_token(const struct credentials *c); /* "" = none; valid until the next refresh */
/* Blanks the token and base64 of any "user:token" in text, in place; at the end of text also a beginning of them, as
 * the text may have been cut. */
void credentials_redact(const struct credentials *c, char *text, size_t n);

#endif
