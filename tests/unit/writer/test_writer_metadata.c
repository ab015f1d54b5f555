/* Metadata in remote write 1.0, through the whole writer. */
#include "../../support/host.h"

static gcw_series *described(struct host *h, const char *help)
{
    const gcw_label labels[] = {GCW_LABEL("__name__", "m"), GCW_LABEL("help", "h")};
    const gcw_metadata meta = {GCW_TYPE_GAUGE, NULL, help, "seconds"};
    gcw_error err;
    gcw_series *s = gcw_series_intern(h->w, labels, 2, &meta, NULL, &err);
    assert_non_null(s);
    return s;
}

static bool sent_at_least(const gcw_signal_stats *s, uint64_t n) { return s->metadata_sent >= n; }

/* A handle may be held for months, and receivers forget in minutes. */
static void test_a_family_told_of_once_is_described_again_and_again(void **state)
{
    (void)state;
    struct host h;
    const char *const options[] = {
        "metrics_protocol", "1.0", "metrics_metadata_interval", "1s", "metrics_batch_age", "10ms", NULL};
    host_open(&h, options);
    gcw_series_release(described(&h, "Help."));
    host_await(&h, GCW_METRICS, sent_at_least, 3);
    host_close(&h, WAIT_MS, GCW_OK, NULL);
    size_t n, families = 0;
    const struct request *q = receiver_requests(h.receiver, &n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < q[i].family_count; k++, families++) {
            assert_string_equal(q[i].families[k].name, "m");
            assert_string_equal(q[i].families[k].help, "Help.");
            assert_string_equal(q[i].families[k].unit, "seconds");
        }
    assert_true(families >= 3);
    host_free(&h);
}

/* Each scrape of a server whose series disagree on their help flips it twice. */
static void test_series_that_disagree_do_not_send_metadata_all_the_time(void **state)
{
    (void)state;
    struct host h;
    gcw_stats final;
    host_open(&h, (const char *const[]){"metrics_protocol", "1.0", NULL});
    for (int scrape = 0; scrape < 1000; scrape++) {
        gcw_series *one = described(&h, "One."), *two = described(&h, "Two.");
        assert_int_equal(gcw_sample_append(one, 1, scrape, NULL), GCW_OK);
        gcw_series_release(one);
        gcw_series_release(two);
    }
    host_close(&h, WAIT_MS, GCW_OK, &final);
    assert_int_equal(final.signal[GCW_METRICS].outcome[GCW_DELIVERED], 1000);
    assert_true(final.signal[GCW_METRICS].metadata_sent >= 1);
    assert_true(final.signal[GCW_METRICS].metadata_sent < 10); /* once a minute */
    host_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_family_told_of_once_is_described_again_and_again),
        cmocka_unit_test(test_series_that_disagree_do_not_send_metadata_all_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
