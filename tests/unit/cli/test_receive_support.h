/* What the receiver's tests share: a judge with a store, remote write requests built with protobuf-c and the snappy
 * library, neither of which goes through codec/. */
#ifndef TEST_RECEIVE_SUPPORT_H
#define TEST_RECEIVE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <snappy-c.h>

#include "cli/receive/judge.h"
#include "remote1.pb-c.h"

#define T_MS INT64_C(1700000000000) /* "now" in these tests */

struct bench {
    struct limits limits;
    struct store store;
    struct verdict v;
    struct push push;
    struct buf body;
};

static inline int bench_setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    limits_init(&b->limits);
    store_init(&b->store);
    b->push = (struct push){.tenant = "t1", .now_ns = T_MS * 1000000};
    *state = b;
    return b ? 0 : -1;
}

static inline int bench_teardown(void **state)
{
    struct bench *b = *state;
    verdict_free(&b->v);
    store_free(&b->store);
    buf_free(&b->body);
    free(b);
    return 0;
}

static inline void bench_fresh_verdict(struct bench *b)
{
    verdict_free(&b->v);
    b->v = (struct verdict){.want_records = true};
}

/* The last verdict's words and records, as strings. */
static inline const char *bench_text(struct bench *b)
{
    assert_true(buf_cstr(&b->v.text));
    return (const char *)b->v.text.p;
}

static inline const char *bench_records(struct bench *b)
{
    assert_true(buf_cstr(&b->v.records));
    return (const char *)b->v.records.p;
}

#define assert_says(b, words)                                                                                          \
    do {                                                                                                               \
        if (!strstr(bench_text(b), words))                                                                             \
            fail_msg("'%s' does not hold '%s'", bench_text(b), words);                                                 \
    } while (0)
#define assert_recorded(b, words)                                                                                      \
    do {                                                                                                               \
        if (!strstr(bench_records(b), words))                                                                          \
            fail_msg("'%s' does not hold '%s'", bench_records(b), words);                                              \
    } while (0)

/* ---- remote write --------------------------------------------------------------------------------------------- */

static inline void compress_message(struct buf *out, const void *message, size_t n)
{
    size_t packed = snappy_max_compressed_length(n);
    out->n = 0;
    assert_true(buf_reserve(out, packed));
    assert_int_equal(snappy_compress(message, n, (char *)out->p, &packed), SNAPPY_OK);
    out->n = packed;
}

/* Judges the bytes of a WriteRequest, compressed by the snappy library. */
static inline int judge_message(struct bench *b, const void *message, size_t n)
{
    compress_message(&b->body, message, n);
    b->push.body = buf_view(&b->body);
    b->push.content_type = "application/x-protobuf";
    b->push.content_encoding = "snappy";
    b->push.version = "0.1.0";
    b->push.user_agent = "test/1";
    bench_fresh_verdict(b);
    judge_metrics(&b->push, &b->limits, &b->store, &b->v);
    return b->v.status;
}

struct point {
    uint64_t bits;
    int64_t ms;
};

static inline struct point point_of(double v, int64_t ms)
{
    struct point p = {0, ms};
    memcpy(&p.bits, &v, sizeof v);
    return p;
}

/* One series: "name", "value", ..., as many labels as given. */
struct made_series {
    const char *const *labels;
    size_t label_count;
    const struct point *points;
    size_t point_count;
};

#define LABELS(...) (const char *const[]){__VA_ARGS__}, ARRAY_LEN(((const char *const[]){__VA_ARGS__})) / 2
#define POINTS(...) (const struct point[]){__VA_ARGS__}, ARRAY_LEN(((const struct point[]){__VA_ARGS__}))

/* Builds the WriteRequest with protobuf-c. */
static inline void pack_series(struct buf *out, const struct made_series *series, size_t n)
{
    Gcw__Rw1__WriteRequest request = GCW__RW1__WRITE_REQUEST__INIT;
    Gcw__Rw1__TimeSeries *all[16], ts[16];
    Gcw__Rw1__Label labels[64], *label_ptrs[64];
    Gcw__Rw1__Sample samples[64], *sample_ptrs[64];
    size_t l = 0, s = 0;
    for (size_t i = 0; i < n; i++) {
        gcw__rw1__time_series__init(&ts[i]);
        all[i] = &ts[i];
        ts[i].labels = &label_ptrs[l];
        ts[i].n_labels = series[i].label_count;
        for (size_t k = 0; k < series[i].label_count; k++, l++) {
            gcw__rw1__label__init(&labels[l]);
            labels[l].name = (char *)(uintptr_t)series[i].labels[2 * k];
            labels[l].value = (char *)(uintptr_t)series[i].labels[2 * k + 1];
            label_ptrs[l] = &labels[l];
        }
        ts[i].samples = &sample_ptrs[s];
        ts[i].n_samples = series[i].point_count;
        for (size_t k = 0; k < series[i].point_count; k++, s++) {
            gcw__rw1__sample__init(&samples[s]);
            memcpy(&samples[s].value, &series[i].points[k].bits, 8);
            samples[s].timestamp = series[i].points[k].ms;
            sample_ptrs[s] = &samples[s];
        }
    }
    request.timeseries = all;
    request.n_timeseries = n;
    assert_true(buf_reserve(out, gcw__rw1__write_request__get_packed_size(&request)));
    out->n = gcw__rw1__write_request__pack(&request, out->p);
}

static inline int judge_series(struct bench *b, const struct made_series *series, size_t n)
{
    struct buf message = {0};
    pack_series(&message, series, n);
    int status = judge_message(b, message.p, message.n);
    buf_free(&message);
    return status;
}

/* A series `up` with one sample. */
static inline int judge_up(struct bench *b, double value, int64_t ms)
{
    return judge_series(b, &(struct made_series){LABELS("__name__", "up"), POINTS(point_of(value, ms))}, 1);
}

/* ---- Loki ------------------------------------------------------------------------------------------------------- */

static inline int judge_json_bytes(struct bench *b, const void *body, size_t n, const char *encoding)
{
    b->push.body = view_make(body, n);
    b->push.content_type = "application/json";
    b->push.content_encoding = encoding;
    bench_fresh_verdict(b);
    judge_logs(&b->push, &b->limits, &b->store, &b->v);
    return b->v.status;
}

static inline int judge_json(struct bench *b, const char *body)
{
    return judge_json_bytes(b, body, strlen(body), NULL);
}

#endif
