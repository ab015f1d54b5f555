/* A receiver for tests of the writer: HTTP on loopback, one thread a connection, that takes requests apart (remote
 * write by the generated protobuf code, Loki's JSON by jansson) and answers as told. What it took apart may be read
 * once it was stopped; until then the waiting functions tell how far it is. */
#ifndef TEST_RECEIVER_H
#define TEST_RECEIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"

#define WAIT_MS 20000 /* for what must come about; only a test that fails waits so long */

struct taken {
    char *labels;   /* name="value",... in the order of the wire */
    char *line;     /* of an entry */
    char *extra;    /* its structured metadata, name="value",...; a sample's exemplars, name="value" VALUE @MS; each */
    double value;   /* of a sample */
    int64_t start;  /* of a sample, ms; 0 = none */
    bool histogram; /* a native one; its value is not looked at */
    int64_t time;   /* ms or ns, as the signal has it */
};

struct taken_family {
    int type;
    char *name, *help, *unit;
};

/* One request, in order of arrival. */
struct request {
    gcw_signal signal;
    int status;       /* it was answered with; 0 = not yet */
    int version;      /* of remote write: 1 or 2 */
    char tenant[200]; /* X-Scope-OrgID */
    struct taken *records;
    struct taken_family *families;
    size_t record_count, family_count;
};

struct receiver;
struct receiver *receiver_new(void);
void receiver_free(struct receiver *r);
/* http://127.0.0.1:PORT with the signal's usual path; valid as long as the receiver. */
const char *receiver_url(const struct receiver *r, gcw_signal signal);

/* How requests are answered from now on; status 0 = as a receiver that takes everything. */
void receiver_answer(struct receiver *r, int status, const char *body);
/* The same for one request of those that come next; several calls stand in line. */
void receiver_answer_next(struct receiver *r, int status, const char *body);
/* What becomes of remote write 2.0: it is taken, and counted in the answer's headers; or the receiver knows 1.0 only
 * and finds nothing in it (a success without counts), or says 415 or 400. */
enum receiver_speaks { RECEIVER_SPEAKS_2, RECEIVER_SPEAKS_1, RECEIVER_SPEAKS_1_415, RECEIVER_SPEAKS_1_400 };
void receiver_speak(struct receiver *r, enum receiver_speaks speaks);
/* Requests are read and not answered until let go. */
void receiver_hold(struct receiver *r);
void receiver_let(struct receiver *r);

/* Waits until `n` requests have come (answered or not). */
void receiver_await(struct receiver *r, size_t n);
size_t receiver_count(struct receiver *r);

/* No request comes after this. Then the log may be read. */
void receiver_stop(struct receiver *r);
const struct request *receiver_requests(const struct receiver *r, size_t *count);
/* Records of requests that were answered with a success. */
size_t receiver_records(const struct receiver *r, gcw_signal signal);
/* Shows each of them in order. */
void receiver_each(const struct receiver *r, gcw_signal signal,
                   void (*each)(void *user, const struct request *q, const struct taken *t), void *user);

#endif
