/* One HTTP request, from its first header to the end of the answer. */
#ifndef GCW_RECEIVE_HTTP_H
#define GCW_RECEIVE_HTTP_H

#include <microhttpd.h>

#include "cli/receive/server.h"

/* libmicrohttpd's callbacks; `cls` is the server. */
enum MHD_Result http_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                             const char *version, const char *data, size_t *data_size, void **talk);
void http_done(void *cls, struct MHD_Connection *c, void **talk, enum MHD_RequestTerminationCode why);
void http_connection(void *cls, struct MHD_Connection *c, void **socket, enum MHD_ConnectionNotificationCode what);

#endif
