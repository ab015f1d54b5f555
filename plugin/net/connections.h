/* Private to net/: the connections of a transport, in libcurl's multi handles, and their age.
 *
 * libcurl leaves a connection that is too old when it would use it again, but one with HTTP/2 streams under way it
 * never finds idle: with several routes in flight it would live for ever, and a changed DNS name would go unnoticed. So
 * there are two generations: past their lifetime, new requests open new connections, and the old ones end with what is
 * on them. All of it is the delivery thread's, but connections_wake(). */
#ifndef GCW_NET_CONNECTIONS_H
#define GCW_NET_CONNECTIONS_H

#include <curl/curl.h>

#include "base/base.h"

struct generation {
    CURLM *multi; /* NULL = there is none */
    unsigned flying;
};

struct connections {
    struct generation young, old;
    uint64_t born_ms, lifetime_ms;
    unsigned limit; /* connections of a generation; requests in flight bound both together */
    int wake;       /* eventfd */
};

#define CONNECTIONS_NONE ((struct connections){.wake = -1}) /* before connections_init(); may be freed */
bool connections_init(struct connections *c, unsigned limit, uint64_t lifetime_ms); /* false = out of memory */
void connections_free(struct connections *c);                                       /* after every handle was removed */

/* Starts a transfer. Returns what connections_remove() wants to know; NULL = out of memory. */
CURLM *connections_add(struct connections *c, CURL *easy);
void connections_remove(struct connections *c, CURLM *multi, CURL *easy);
/* Next handle that is through, and how it went; it is still to be removed. NULL if none. */
CURL *connections_done(struct connections *c, CURLcode *code);
void connections_wait(struct connections *c, int timeout_ms);
void connections_wake(struct connections *c); /* any thread */

#endif
