/* Receipts: when they complete, and what their summary says. */
#include "../../support/host.h"

/* What `done` was called with. */
struct notice {
    _Atomic unsigned calls;
    gcw_receipt_summary summary;
};

static void on_done(void *user, const gcw_receipt_summary *summary)
{
    struct notice *n = user;
    n->summary = *summary;
    atomic_fetch_add(&n->calls, 1);
}

static gcw_receipt *receipt(struct host *h, gcw_receipt_level level, struct notice *n)
{
    gcw_error err = {0};
    gcw_receipt *r = gcw_receipt_new(h->w, level, n ? on_done : NULL, n, &err);
    if (!r)
        fail_msg("%s", err.text);
    return r;
}

static void append(gcw_series *s, size_t n, gcw_receipt *r)
{
    for (size_t k = 0; k < n; k++)
        assert_int_equal(gcw_sample_append(s, (double)k, (int64_t)k, r), GCW_OK);
}

static void assert_summary(const gcw_receipt_summary *s, bool complete, uint64_t records, const uint64_t *outcome)
{
    assert_int_equal(s->complete, complete);
    assert_int_equal(s->records, records);
    for (int i = 0; i < GCW_OUTCOMES; i++)
        assert_int_equal(s->outcome[i], outcome ? outcome[i] : 0);
}

static void test_queued_completes_when_sealed_whatever_the_receiver_does(void **state)
{
    (void)state;
    struct host h;
    struct notice n = {0};
    gcw_receipt_summary s;
    host_open(&h, NULL);
    receiver_hold(h.receiver);
    gcw_receipt *r = receipt(&h, GCW_RECEIPT_QUEUED, &n);
    append(host_series(&h, "m"), 10, r);
    assert_int_equal(gcw_receipt_wait(r, 0, &s), GCW_ERR_TIMEOUT); /* not sealed */
    assert_summary(&s, false, 10, NULL);
    assert_int_equal(n.calls, 0);
    gcw_receipt_seal(r);
    assert_int_equal(n.calls, 1);
    assert_int_equal(gcw_receipt_wait(r, 0, &s), GCW_OK);
    assert_summary(&s, true, 10, NULL);
    gcw_receipt_free(r);
    receiver_let(h.receiver);
    host_free(&h);
    assert_int_equal(n.calls, 1);
}

static void test_delivered_completes_when_the_receiver_said_yes(void **state)
{
    (void)state;
    struct host h;
    struct notice n = {0};
    gcw_receipt_summary s;
    host_open(&h, NULL);
    receiver_hold(h.receiver);
    gcw_receipt *r = receipt(&h, GCW_RECEIPT_DELIVERED, &n);
    append(host_series(&h, "m"), 10, r);
    gcw_receipt_seal(r);
    assert_int_equal(gcw_writer_flush(h.w, 0), GCW_ERR_TIMEOUT);
    receiver_await(h.receiver, 1);
    assert_int_equal(gcw_receipt_wait(r, 20, &s), GCW_ERR_TIMEOUT);
    assert_summary(&s, false, 10, NULL);
    assert_int_equal(n.calls, 0);
    receiver_let(h.receiver);
    assert_int_equal(gcw_receipt_wait(r, WAIT_MS, &s), GCW_OK);
    assert_summary(&s, true, 10, (const uint64_t[]){10, 0, 0, 0});
    gcw_receipt_free(r);
    host_free(&h);
    assert_int_equal(n.calls, 1);
    assert_summary(&n.summary, true, 10, (const uint64_t[]){10, 0, 0, 0});
}

static void test_what_is_not_sealed_does_not_complete(void **state)
{
    (void)state;
    struct host h;
    struct notice n = {0};
    gcw_receipt_summary s;
    host_open(&h, NULL);
    gcw_receipt *r = receipt(&h, GCW_RECEIPT_DELIVERED, &n);
    append(host_series(&h, "m"), 10, r);
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    assert_int_equal(gcw_receipt_wait(r, 0, &s), GCW_ERR_TIMEOUT);
    assert_summary(&s, false, 10, (const uint64_t[]){10, 0, 0, 0});
    assert_int_equal(n.calls, 0);
    gcw_receipt_seal(r);
    assert_int_equal(n.calls, 1);
    gcw_receipt_seal(r);
    assert_int_equal(n.calls, 1);
    gcw_receipt_free(r);
    host_free(&h);
}

static void test_one_without_records_completes_when_sealed(void **state)
{
    (void)state;
    struct host h;
    struct notice n = {0};
    gcw_receipt_summary s;
    host_open(&h, NULL);
    gcw_receipt *r = receipt(&h, GCW_RECEIPT_DELIVERED, &n);
    gcw_receipt_seal(r);
    assert_int_equal(gcw_receipt_wait(r, 0, &s), GCW_OK);
    assert_summary(&s, true, 0, NULL);
    assert_int_equal(n.calls, 1);
    gcw_receipt_free(r);
    host_free(&h);
}

/* Metrics and logs under one receipt, in many requests; it completes with the last of them. */
static void test_a_receipt_over_many_batches_waits_for_the_last(void **state)
{
    (void)state;
    struct host h;
    gcw_receipt_summary s;
    size_t requests;
    host_open(&h, (const char *const[]){"metrics_batch_records", "80", NULL});
    gcw_receipt *r = receipt(&h, GCW_RECEIPT_DELIVERED, NULL);
    gcw_stream *stream = host_stream(&h, "a");
    append(host_series(&h, "m"), 1000, r);
    for (int64_t k = 0; k < 100; k++)
        assert_int_equal(gcw_entry_append(stream, "line", 4, k, NULL, 0, r), GCW_OK);
    gcw_receipt_seal(r);
    assert_int_equal(gcw_receipt_wait(r, 0, &s), GCW_ERR_TIMEOUT); /* the last ones wait for a flush */
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    assert_int_equal(gcw_receipt_wait(r, 0, &s), GCW_OK);
    assert_summary(&s, true, 1100, (const uint64_t[]){1100, 0, 0, 0});
    gcw_receipt_free(r);
    host_close(&h, WAIT_MS, GCW_OK, NULL);
    receiver_requests(h.receiver, &requests);
    assert_true(requests >= 1000 / 80 + 1);
    host_free(&h);
}

/* Receipts side by side in the same series: each is told of its own records. */
static void test_receipts_in_one_batch_are_kept_apart(void **state)
{
    (void)state;
    struct host h;
    gcw_receipt *r[10];
    gcw_receipt_summary s;
    host_open(&h, NULL);
    gcw_series *series = host_series(&h, "m");
    for (size_t i = 0; i < ARRAY_LEN(r); i++)
        r[i] = receipt(&h, GCW_RECEIPT_DELIVERED, NULL);
    for (size_t round = 0; round < 20; round++)
        for (size_t i = 0; i < ARRAY_LEN(r); i++)
            append(series, i, r[i]);
    append(series, 7, NULL);
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    for (size_t i = 0; i < ARRAY_LEN(r); i++) {
        gcw_receipt_seal(r[i]);
        assert_int_equal(gcw_receipt_wait(r[i], WAIT_MS, &s), GCW_OK);
        assert_summary(&s, true, 20 * i, (const uint64_t[]){20 * i, 0, 0, 0});
        gcw_receipt_free(r[i]);
    }
    host_free(&h);
}

static void test_rejects_complete_a_receipt_and_stand_in_it(void **state)
{
    (void)state;
    struct host h;
    gcw_receipt_summary s;
    host_open(&h, NULL);
    receiver_answer_next(h.receiver, 400, "no such thing");
    gcw_receipt *r = receipt(&h, GCW_RECEIPT_DELIVERED, NULL);
    gcw_series *series = host_series(&h, "m");
    append(series, 4, r);
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    append(series, 6, r);
    gcw_receipt_seal(r);
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    assert_int_equal(gcw_receipt_wait(r, WAIT_MS, &s), GCW_OK);
    assert_summary(&s, true, 10, (const uint64_t[]){6, 4, 0, 0});
    gcw_receipt_free(r);
    host_free(&h);
}

/* Loki kept part and doesn't say which: the receipts in the request are charged first, and no more than that. */
static void test_a_part_that_was_refused_is_charged_to_receipts(void **state)
{
    (void)state;
    struct host h;
    gcw_receipt_summary s;
    gcw_stats end;
    host_open(&h, NULL);
    receiver_answer_next(h.receiver, 400, "entry with timestamp too old, total ignored: 3 out of 10");
    gcw_receipt *r = receipt(&h, GCW_RECEIPT_DELIVERED, NULL);
    gcw_stream *stream = host_stream(&h, "a");
    for (int64_t k = 0; k < 10; k++)
        assert_int_equal(gcw_entry_append(stream, "line", 4, k, NULL, 0, k < 5 ? r : NULL), GCW_OK);
    gcw_receipt_seal(r);
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    assert_int_equal(gcw_receipt_wait(r, WAIT_MS, &s), GCW_OK);
    assert_summary(&s, true, 5, (const uint64_t[]){2, 3, 0, 0});
    gcw_receipt_free(r);
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_int_equal(end.signal[GCW_LOGS].outcome[GCW_DELIVERED], 7);
    assert_int_equal(end.signal[GCW_LOGS].outcome[GCW_REJECTED], 3);
    host_free(&h);
}

static void test_durable_needs_a_queue_on_disk(void **state)
{
    (void)state;
    struct host h;
    gcw_error err = {0};
    host_open(&h, NULL);
    assert_null(gcw_receipt_new(h.w, GCW_RECEIPT_DURABLE, NULL, NULL, &err));
    assert_int_equal(err.code, GCW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "queue_dir"));
    host_free(&h);
}

/* The records go on without it, and `done` still comes. */
static void test_a_receipt_that_was_freed_is_sealed_and_told(void **state)
{
    (void)state;
    struct host h;
    struct notice n = {0};
    gcw_stats end;
    host_open(&h, NULL);
    gcw_receipt *r = receipt(&h, GCW_RECEIPT_DELIVERED, &n);
    append(host_series(&h, "m"), 10, r);
    gcw_receipt_free(r);
    assert_int_equal(n.calls, 0);
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_int_equal(end.signal[GCW_METRICS].outcome[GCW_DELIVERED], 10);
    assert_int_equal(n.calls, 1);
    assert_summary(&n.summary, true, 10, (const uint64_t[]){10, 0, 0, 0});
    host_free(&h);
}

static void test_a_receipt_outlives_the_writer(void **state)
{
    (void)state;
    struct host h;
    gcw_receipt_summary s;
    host_open(&h, NULL);
    receiver_answer(h.receiver, 503, "later");
    gcw_receipt *r = receipt(&h, GCW_RECEIPT_DELIVERED, NULL);
    append(host_series(&h, "m"), 10, r);
    gcw_receipt_seal(r);
    host_close(&h, 50, GCW_ERR_TIMEOUT, NULL);
    assert_int_equal(gcw_receipt_wait(r, 0, &s), GCW_OK);
    assert_summary(&s, true, 10, (const uint64_t[]){0, 0, 0, 10});
    gcw_receipt_free(r);
    host_free(&h);
}

/* What was turned away at append is not under the receipt: else it would wait for ever. */
static void test_records_that_were_refused_are_not_in_it(void **state)
{
    (void)state;
    struct host h;
    gcw_receipt_summary s;
    host_open(&h, (const char *const[]){"line_policy", "reject", "max_line_bytes", "1KiB", NULL});
    gcw_receipt *r = receipt(&h, GCW_RECEIPT_DELIVERED, NULL);
    gcw_stream *stream = host_stream(&h, "a");
    char line[2048];
    memset(line, 'x', sizeof line);
    assert_int_equal(gcw_entry_append(stream, line, sizeof line, 1, NULL, 0, r), GCW_ERR_TOO_LARGE);
    assert_int_equal(gcw_entry_append(stream, line, 1024, 2, NULL, 0, r), GCW_OK);
    gcw_receipt_seal(r);
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    assert_int_equal(gcw_receipt_wait(r, WAIT_MS, &s), GCW_OK);
    assert_summary(&s, true, 1, (const uint64_t[]){1, 0, 0, 0});
    assert_int_equal(host_stats(&h, GCW_LOGS).refused, 1);
    gcw_receipt_free(r);
    host_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queued_completes_when_sealed_whatever_the_receiver_does),
        cmocka_unit_test(test_delivered_completes_when_the_receiver_said_yes),
        cmocka_unit_test(test_what_is_not_sealed_does_not_complete),
        cmocka_unit_test(test_one_without_records_completes_when_sealed),
        cmocka_unit_test(test_a_receipt_over_many_batches_waits_for_the_last),
        cmocka_unit_test(test_receipts_in_one_batch_are_kept_apart),
        cmocka_unit_test(test_rejects_complete_a_receipt_and_stand_in_it),
        cmocka_unit_test(test_a_part_that_was_refused_is_charged_to_receipts),
        cmocka_unit_test(test_durable_needs_a_queue_on_disk),
        cmocka_unit_test(test_a_receipt_that_was_freed_is_sealed_and_told),
        cmocka_unit_test(test_a_receipt_outlives_the_writer),
        cmocka_unit_test(test_records_that_were_refused_are_not_in_it),
    };
    return cmocka_run_group_tests_name("writer: receipts", tests, NULL, NULL);
}
