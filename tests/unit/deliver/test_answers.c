/* The table of answers: what receivers really say, and that every row has its say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "deliver/deliver.h"

#define M (1u << GCW_METRICS)
#define L (1u << GCW_LOGS)

/* What is known beside status and body: the request's protocol, the answer's counts (-1 = none). */
struct beside {
    enum protocol protocol;
    int64_t written;
    bool proven;
};

static struct verdict judge_beside(gcw_signal signal, enum attempt_end end, int status, const char *body,
                                   const struct beside *b)
{
    struct sealed *s = sealed_new("", 0);
    struct answer a = {.end = end, .status = status};
    s->signal = signal;
    s->protocol = b->protocol;
    s->records = 100;
    a.counted = b->written >= 0;
    a.written = a.counted ? (uint64_t)b->written : 0;
    strncpy(a.text, body, ANSWER_TEXT);
    struct verdict v = answer_judge(s, &a, b->proven, 0);
    sealed_free(s);
    return v;
}

static struct verdict judge(gcw_signal signal, enum attempt_end end, int status, const char *body)
{
    return judge_beside(signal, end, status, body, &(struct beside){PROTOCOL_RW1, -1, false});
}

#define SERIES_LIMIT(refused, all)                                                                                     \
    "the request has been rejected because the tenant exceeded the active series limit, set to 15000. " refused        \
    " series were rejected from this request of a total of " all                                                       \
    " (err-mimir-max-active-series). To adjust the related per-tenant limit, configure -x"

/* Bodies as the receivers write them. `lost` counts with ACTION_PARTIAL alone. */
static const struct said {
    unsigned signals;
    int status;
    const char *body;
    enum action action;
    uint64_t lost;
} said[] = {
    {M | L, 204, "", ACTION_DELIVERED, 0},
    {M | L, 200, "", ACTION_DELIVERED, 0},
    {M, 202, "replicas did not match, rejecting sample: replica=a, elected=b", ACTION_DELIVERED, 0},
    {L, 260, "ingestion blocked for user 't' until '2026-12-01T00:00:00Z' with status code '260'", ACTION_PARK, 0},
    {L, 202, "", ACTION_PARK, 0},
    {M | L, 302, "", ACTION_PARK, 0},
    {M | L, 400, "<html><head><title>400 No required SSL certificate was sent</title></head>", ACTION_PARK, 0},
    {M | L, 400, "<html><head><title>400 The SSL certificate error</title></head>", ACTION_PARK, 0},
    {M | L, 400, "<title>400 The plain HTTP request was sent to HTTPS port</title>", ACTION_PARK, 0},
    {M | L, 400, "Client sent an HTTP request to an HTTPS server.", ACTION_PARK, 0},
    {M, 400,
     "the incoming push request has been rejected because its message size of 200 bytes is larger than the allowed "
     "limit of 100 bytes (err-mimir-distributor-max-write-message-size)",
     ACTION_SPLIT, 0},
    {M, 400,
     "send data to partitions: failed pushing to partition 0: the write request contains a timeseries or metadata item "
     "which is larger that the maximum allowed size of 15983616 bytes "
     "(err-mimir-distributor-max-write-request-data-item-size)",
     ACTION_SPLIT, 0},
    {M, 400, "too many HA clusters (err-mimir-tenant-too-many-ha-clusters)", ACTION_REJECT, 0},
    {M, 400, "received a series whose label value length exceeds the limit (err-mimir-label-value-too-long)",
     ACTION_PARTIAL, 1},
    {M, 400, "received message larger than max (400000 vs 300000)", ACTION_SPLIT, 0},
    {M, 400, "user=t: err: out of order sample. timestamp=2026-01-01T00:00:00Z, series={__name__=\"a\"}",
     ACTION_PARTIAL, 1},
    {M, 400, "user=t: per-user series limit of 10 exceeded, please contact administrator", ACTION_PARTIAL, 1},
    {M, 400, "series has too many labels (actual: 31, limit: 30) series: 'a'", ACTION_PARTIAL, 1},
    {M, 400, "timestamp too new: 1 metric: \"a\"", ACTION_PARTIAL, 1},
    {M, 400, "out of order sample", ACTION_SIFT, 0},
    {M, 400, "duplicate sample for timestamp", ACTION_SIFT, 0},
    {M, 400, "duplicate sample for timestamp 1795624314758; overrides not allowed: existing 1, new value 2",
     ACTION_SIFT, 0},
    {M, 400, "out of bounds", ACTION_SIFT, 0},
    {M, 400, "out of bounds: timestamp is too far in the future", ACTION_SIFT, 0},
    {M, 400, "too old sample", ACTION_SIFT, 0},
    {L, 400, "user 't', total ignored: 7 out of 10 for stream: {a=\"b\"}", ACTION_PARTIAL, 7},
    {L, 400,
     "total ignored: 3 out of 10 for stream: {a=\"b\"} user 't', total ignored: 4 out of 5 for stream: {a=\"c\"}",
     ACTION_PARTIAL, 7},
    {L, 400, "entry for stream '{a=\"b\"}' has timestamp too old: 2020-01-01T00:00:00Z", ACTION_PARTIAL, 1},
    {L, 400, "3 errors like: entry for stream '{a=\"b\"}' has timestamp too new: x; 2 errors like: max entry size",
     ACTION_PARTIAL, 5},
    {L, 400, "max entry size '262144' bytes exceeded for stream '{a=\"b\"}'", ACTION_PARTIAL, 1},
    {L, 400, "stream '{a=\"b\"}' has label value too long: 'x'", ACTION_PARTIAL, 1},
    {L, 400, "entry too far behind, entry timestamp is: x", ACTION_PARTIAL, 1},
    {L, 400, "couldn't parse labels: 1:2: parse error: unexpected", ACTION_REJECT, 0},
    {M | L, 401, "{\"status\":\"error\",\"error\":\"authentication error: invalid scope requested\"}", ACTION_PARK, 0},
    {M | L, 403, "", ACTION_PARK, 0},
    {M | L, 404, "404 page not found", ACTION_PARK, 0},
    {M | L, 405, "", ACTION_PARK, 0},
    {M | L, 407, "", ACTION_PARK, 0},
    {M | L, 408, "", ACTION_RETRY, 0},
    {M | L, 413, "", ACTION_SPLIT, 0},
    {M | L, 415, "", ACTION_REJECT, 0},
    {M | L, 422, "error at least one valid stream is required for ingestion", ACTION_REJECT, 0},
    {M | L, 425, "", ACTION_RETRY, 0},
    {M | L, 429, "ingestion rate limit exceeded", ACTION_ABATE, 0},
    {M, 429, SERIES_LIMIT("30", "100"), ACTION_PARTIAL, 30},
    {M, 429, SERIES_LIMIT("100", "100"), ACTION_PARTIAL, 100},
    {M, 429, SERIES_LIMIT("1", "3"), ACTION_PARTIAL, 34}, /* series of several samples */
    {M, 429, "(err-mimir-max-active-series)", ACTION_PARTIAL, 1},
    {M | L, 499, "context canceled", ACTION_RETRY, 0},
    {M | L, 500, "at least 2 live replicas required, could only find 1", ACTION_ABATE, 0},
    {M, 501, "", ACTION_PARK, 0},
    {L, 501, "", ACTION_RETRY, 0},
    {M | L, 503, "", ACTION_RETRY, 0},
    {M | L, 529, "the request has been rejected because the tenant exceeded the ingestion rate limit", ACTION_ABATE, 0},
    {M | L, 102, "", ACTION_RETRY, 0},
};

static void test_what_receivers_say_means_what_it_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(said); i++)
        for (int signal = 0; signal < GCW_SIGNALS; signal++) {
            if (!(said[i].signals & (1u << signal)))
                continue;
            struct verdict v = judge((gcw_signal)signal, END_ANSWERED, said[i].status, said[i].body);
            if (v.action != said[i].action || v.lost != said[i].lost)
                fail_msg("%d %s: %s, %llu lost", said[i].status, said[i].body, action_name(v.action),
                         (unsigned long long)v.lost);
        }
}

/* Answers to remote write 2.0: 100 records, `written` of them counted in the headers (-1: no headers). */
static const struct {
    int status;
    int64_t written;
    bool proven;
    const char *body;
    enum action action;
    uint64_t lost;
} to_2[] = {
    {200, 100, false, "", ACTION_DELIVERED, 0},
    {204, 100, true, "", ACTION_DELIVERED, 0},
    {204, 140, true, "", ACTION_DELIVERED, 0}, /* more than there were: somebody counts otherwise */
    {204, 60, true, "", ACTION_DELIVERED, 40},
    {200, 0, true, "", ACTION_DELIVERED, 100},
    {202, 100, true, "replicas did not match", ACTION_DELIVERED, 0},
    {204, -1, false, "", ACTION_FALL_BACK, 0},
    {204, -1, true, "", ACTION_FALL_BACK, 0}, /* another receiver behind the same URL */
    {415, -1, false, "", ACTION_FALL_BACK, 0},
    {415, 0, true, "", ACTION_FALL_BACK, 0},
    {400, -1, false, "unknown proto", ACTION_FALL_BACK, 0},
    {400, -1, true, "from some proxy", ACTION_REJECT, 0},
    {400, 97, true, "out of order sample", ACTION_PARTIAL, 3},
    {400, 100, true, "out of order exemplar", ACTION_PARTIAL, 0},
    {400, 0, false, "bad labels", ACTION_PARTIAL, 100},
    /* Cortex counts what it passes on, and zero if its ingesters then object to a part */
    {400, 96, true, "timestamp too new: 1 metric: \"a\"", ACTION_PARTIAL, 4},
    {400, 0, true, "user=t: err: out of bounds. timestamp=x, series={}", ACTION_PARTIAL, 1},
    /* Mimir counts what arrives, not what it keeps */
    {400, 100, true, "too far in the future (err-mimir-too-far-in-future)", ACTION_PARTIAL, 1},
    {400, 100, true, "(err-mimir-distributor-max-write-message-size)", ACTION_SPLIT, 0},
    {429, 100, true, "rate (err-mimir-tenant-max-ingestion-rate)", ACTION_ABATE, 0},
    {429, 100, true, SERIES_LIMIT("7", "100"), ACTION_PARTIAL, 7},
    {499, -1, false, "context canceled", ACTION_RETRY, 0},
    {413, -1, false, "", ACTION_SPLIT, 0},
    {401, -1, false, "", ACTION_PARK, 0},
    {503, -1, false, "", ACTION_RETRY, 0},
};

static void test_answers_to_remote_write_2_mean_what_they_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(to_2); i++) {
        const struct beside b = {PROTOCOL_RW2, to_2[i].written, to_2[i].proven};
        struct verdict v = judge_beside(GCW_METRICS, END_ANSWERED, to_2[i].status, to_2[i].body, &b);
        if (v.action != to_2[i].action || v.lost != to_2[i].lost)
            fail_msg("%zu: %d %s: %s, %llu lost", i, to_2[i].status, to_2[i].body, action_name(v.action),
                     (unsigned long long)v.lost);
    }
}

/* The headers say nothing about a request in 1.0: some 2.0 receivers send zeros then. */
static void test_counts_mean_nothing_for_remote_write_1(void **state)
{
    (void)state;
    struct verdict v = judge_beside(GCW_METRICS, END_ANSWERED, 204, "", &(struct beside){PROTOCOL_RW1, 0, true});
    assert_int_equal(v.action, ACTION_DELIVERED);
    assert_int_equal(v.lost, 0);
    v = judge_beside(GCW_METRICS, END_ANSWERED, 400, "", &(struct beside){PROTOCOL_RW1, 50, true});
    assert_int_equal(v.action, ACTION_REJECT);
}

static void test_ends_without_an_answer(void **state)
{
    (void)state;
    for (int signal = 0; signal < GCW_SIGNALS; signal++) {
        assert_int_equal(judge((gcw_signal)signal, END_NOT_SENT, 0, "").action, ACTION_RETRY);
        assert_int_equal(judge((gcw_signal)signal, END_AMBIGUOUS, 0, "").action, ACTION_RETRY);
        assert_int_equal(judge((gcw_signal)signal, END_REFUSED, 0, "").action, ACTION_PARK);
    }
}

/* A row that an earlier one hides says nothing. */
static void test_every_row_decides_something(void **state)
{
    static const struct beside asked[] = {
        [SPOKEN_ANY] = {PROTOCOL_RW1, -1, false},     [SPOKEN_1] = {PROTOCOL_RW1, -1, false},
        [SPOKEN_2] = {PROTOCOL_RW2, -1, false},       [SPOKEN_2_COUNTED] = {PROTOCOL_RW2, 1, false},
        [SPOKEN_2_SILENT] = {PROTOCOL_RW2, -1, true}, [SPOKEN_2_UNPROVEN] = {PROTOCOL_RW2, -1, false},
    };
    size_t count;
    const struct answer_row *rows = answer_rows(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        bool decides = false;
        const char *body = rows[i].body ? rows[i].body + (*rows[i].body == '^') : "";
        for (int signal = 0; signal < GCW_SIGNALS && !decides; signal++)
            for (int status = rows[i].status_min; status <= rows[i].status_max && !decides; status++)
                decides =
                    (rows[i].signals & (1u << signal)) &&
                    judge_beside((gcw_signal)signal, rows[i].end, status, body, &asked[rows[i].spoken]).row == &rows[i];
        if (!decides)
            fail_msg("row %zu (%d, %s) is hidden by the rows before it", i, rows[i].status_min, rows[i].reason);
    }
}

static void test_every_row_says_why_and_whence(void **state)
{
    size_t count;
    const struct answer_row *rows = answer_rows(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_true(rows[i].reason && *rows[i].reason && rows[i].source && *rows[i].source);
        if (rows[i].action == ACTION_PARK)
            assert_non_null(rows[i].check);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_receivers_say_means_what_it_should),
        cmocka_unit_test(test_answers_to_remote_write_2_mean_what_they_should),
        cmocka_unit_test(test_counts_mean_nothing_for_remote_write_1),
        cmocka_unit_test(test_ends_without_an_answer),
        cmocka_unit_test(test_every_row_decides_something),
        cmocka_unit_test(test_every_row_says_why_and_whence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
