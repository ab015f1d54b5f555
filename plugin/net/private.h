/* Private to net/: URLs. */
#ifndef GCW_NET_PRIVATE_H
#define GCW_NET_PRIVATE_H

#include "net/net.h"

/* ---- url.c ---- */

/* The push URL in full: the usual path put where there is none. Free with free(). NULL with words. */
char *url_complete(const struct endpoint *e, gcw_error *err);
/* True if the URL's host is this machine. */
bool url_is_local(const char *url);
enum auth_kind auth_resolve(const struct endpoint *e, bool has_token);

#endif
