/* How the receiver is told to misbehave: one rule, set by flags and changed by the control URL while it runs. */
#ifndef GCW_RECEIVE_MISBEHAVE_H
#define GCW_RECEIVE_MISBEHAVE_H

#include <jansson.h>

#include "base/base.h"

enum reset_when { RESET_NONE, RESET_BEFORE, RESET_AFTER };
/* Of remote write: 1.0 and 2.0, or 1.0 alone, where 2.0 is answered by a 204 without a look, by 415, or by 400. */
enum misbehave_speaks { SPEAKS_BOTH, SPEAKS_1_SILENT, SPEAKS_1_REFUSING, SPEAKS_1_COMPLAINING };

struct misbehave {
    int status;            /* answer with this instead; 0 = off */
    uint64_t status_count; /* so many times; 0 = without end */
    double status_chance;  /* for each request, 0..1 */
    bool process;          /* the body is processed all the same */
    char retry_after[64];  /* header of that answer; "" = none */
    char location[256];    /* the same */
    uint64_t latency_ms;   /* before each answer */
    enum reset_when reset; /* cut the connection before or after the body is processed */
    uint64_t slow_read;    /* bytes per second the body is read at; 0 = as fast as it comes */
    uint64_t body_bytes;   /* size of that answer's body; 0 = a few words */
    uint64_t over_bytes;   /* leave requests with a smaller body alone */
    enum misbehave_speaks speaks;
    bool hide;       /* a request taken in part is answered as if it were taken whole */
    char match[64];  /* "", "metrics", "logs" or a tenant */
    uint64_t count;  /* so many requests, then all is well again; 0 = without end */
    uint64_t random; /* state of the dice */
};

/* What one request will meet. All zero: nothing. */
struct mischief {
    int status;
    bool process, hide;
    char retry_after[64], location[256];
    uint64_t latency_ms, body_bytes;
    enum reset_when reset;
    enum misbehave_speaks speaks;
};

void misbehave_init(struct misbehave *m);
/* One key and its value; "clear" sets all back. */
gcw_status misbehave_set(struct misbehave *m, struct view key, struct view value, gcw_error *err);
/* A form, "key=value&key=value" with %XX and '+', or a JSON object. All or nothing. */
gcw_status misbehave_set_form(struct misbehave *m, struct view form, gcw_error *err);
gcw_status misbehave_set_json(struct misbehave *m, struct view json, gcw_error *err);
/* Rolls the dice for a request with a body of so many bytes, and counts it. */
struct mischief misbehave_draw(struct misbehave *m, gcw_signal signal, const char *tenant, uint64_t bytes);
/* Bytes per second to read a request of this tenant at; counts nothing. */
uint64_t misbehave_slow_read(const struct misbehave *m, gcw_signal signal, const char *tenant);
json_t *misbehave_json(const struct misbehave *m); /* NULL = out of memory */
/* One line per key, for --help. */
extern const char *const misbehave_help;

#endif
