/* Points: exemplars and native histograms are counted, whatever way they take. */
#include <unistd.h>

#include "../../support/host.h"

#define NOW INT64_C(1700000000000)

static gcw_status append(struct host *h, const char *name, const gcw_histogram *histogram, size_t exemplar_count)
{
    static const gcw_label trace[] = {GCW_LABEL("trace_id", "abc")};
    const gcw_exemplar exemplars[] = {{trace, 1, 1, NOW - 2}, {trace, 1, 2, NOW - 1}};
    const gcw_point p = {
        .time_ms = NOW, .histogram = histogram, .exemplars = exemplars, .exemplar_count = exemplar_count};
    return gcw_point_append(host_series(h, name), &p, NULL, NULL);
}

/* A sample with two exemplars, a native histogram and (if asked for) one with custom buckets with one each, a classic
 * one with one; and an exemplar that receivers refuse. */
static void append_all(struct host *h, bool custom_too)
{
    static const gcw_span span[] = {{0, 2}};
    static const uint64_t counts[] = {2, 1};
    static const double bound[] = {1};
    const gcw_histogram native = {.schema = 3, .count = 3, .sum = 1, .positive = {span, 1, counts, NULL, 2}};
    gcw_histogram custom = native;
    custom.schema = GCW_CUSTOM_BUCKETS;
    custom.custom_bounds = bound;
    custom.custom_bound_count = 1;
    assert_int_equal(append(h, "sample", NULL, 2), GCW_OK);
    assert_int_equal(append(h, "native", &native, 1), GCW_OK);
    if (custom_too)
        assert_int_equal(append(h, "custom", &custom, 1), GCW_OK);
    const gcw_label name[] = {GCW_LABEL("__name__", "classic")};
    const gcw_exemplar exemplars[] = {{NULL, 0, 0.5, NOW - 1}, {NULL, 0, 0.5, 0}};
    const gcw_classic_point p = {
        .time_ms = NOW, .counts = counts, .bucket_count = 2, .exemplars = exemplars, .exemplar_count = 2};
    gcw_classic *c = gcw_classic_intern(h->w, name, 1, bound, 1, NULL, NULL, NULL);
    assert_true(c && gcw_classic_append(c, &p, NULL, NULL) == GCW_OK);
}

struct counted {
    uint64_t exemplars, exemplars_left_out, histograms, histograms_left_out;
};

static void assert_counted(const gcw_stats *s, const struct counted *want, size_t row)
{
    const gcw_signal_stats *m = &s->signal[GCW_METRICS];
    const struct counted got = {m->exemplars_sent, m->exemplars_left_out, m->histograms_sent, m->histograms_left_out};
    if (memcmp(&got, want, sizeof got) != 0)
        fail_msg("row %zu: exemplars %d, left out %d, histograms %d, left out %d", row, (int)got.exemplars,
                 (int)got.exemplars_left_out, (int)got.histograms, (int)got.histograms_left_out);
}

struct seen {
    uint64_t exemplars, histograms;
};

static void see(void *user, const struct request *q, const struct taken *t)
{
    struct seen *s = user;
    (void)q;
    s->histograms += t->histogram;
    for (const char *p = t->extra; (p = strchr(p, ';')); p++)
        s->exemplars++;
}

#define ALL                                                                                                            \
    {                                                                                                                  \
        5, 1, 2, 0                                                                                                     \
    }
#define IN_1                                                                                                           \
    {                                                                                                                  \
        4, 2, 1, 1                                                                                                     \
    } /* custom buckets cannot be said there */

static void test_exemplars_and_histograms_are_counted_whatever_way_they_take(void **state)
{
    (void)state;
    static const struct {
        const char *options[5];
        bool custom;
        enum receiver_speaks speaks;
        int first; /* status of the first answer */
        struct counted want;
    } rows[] = {
        {{"metrics_protocol", "2.0"}, true, RECEIVER_SPEAKS_2, 0, ALL},
        {{"metrics_protocol", "2.0", "metrics_exemplars", "off"}, true, RECEIVER_SPEAKS_2, 0, ALL},
        {{"metrics_protocol", "2.0"}, true, RECEIVER_SPEAKS_2, 413, ALL},
        {{"metrics_protocol", "2.0"}, true, RECEIVER_SPEAKS_2, 503, ALL},
        {{"metrics_protocol", "2.0"}, true, RECEIVER_SPEAKS_2, 400, {0, 1, 0, 0}},
        {{"metrics_protocol", "auto"}, true, RECEIVER_SPEAKS_1_415, 0, IN_1},
        {{"metrics_protocol", "auto"}, true, RECEIVER_SPEAKS_1, 0, IN_1},
        {{"metrics_protocol", "auto"}, true, RECEIVER_SPEAKS_1_415, 413, IN_1},
        {{"metrics_protocol", "auto"}, true, RECEIVER_SPEAKS_1_415, 503, IN_1},
        {{"metrics_protocol", "auto", "metrics_exemplars", "off"}, true, RECEIVER_SPEAKS_1_415, 0, {0, 6, 1, 1}},
        {{"metrics_protocol", "auto", "metrics_native_histograms", "off"},
         true,
         RECEIVER_SPEAKS_1_415,
         0,
         {3, 3, 0, 2}},
        {{"metrics_protocol", "1.0"}, true, RECEIVER_SPEAKS_1, 0, IN_1},
        {{"metrics_protocol", "1.0"}, false, RECEIVER_SPEAKS_1, 0, {4, 1, 1, 0}},
        {{"metrics_protocol", "1.0"}, false, RECEIVER_SPEAKS_1, 413, {4, 1, 1, 0}},
        {{"metrics_protocol", "1.0", "metrics_exemplars", "off"}, false, RECEIVER_SPEAKS_1, 0, {0, 5, 1, 0}},
        {{"metrics_protocol", "1.0", "metrics_exemplars", "off"}, false, RECEIVER_SPEAKS_1, 503, {0, 5, 1, 0}},
        {{"metrics_protocol", "1.0", "metrics_native_histograms", "off"}, false, RECEIVER_SPEAKS_1, 0, {3, 2, 0, 1}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct host h;
        gcw_stats end;
        struct seen seen = {0};
        host_open(&h, rows[i].options);
        receiver_speak(h.receiver, rows[i].speaks);
        if (rows[i].first)
            receiver_answer_next(h.receiver, rows[i].first, "no");
        append_all(&h, rows[i].custom);
        host_close(&h, WAIT_MS, GCW_OK, &end);
        assert_counted(&end, &rows[i].want, i);
        receiver_each(h.receiver, GCW_METRICS, see, &seen);
        assert_int_equal(seen.exemplars, rows[i].want.exemplars);
        assert_int_equal(seen.histograms, rows[i].want.histograms);
        host_free(&h);
    }
}

/* What another writer left on disk counts as what is appended now. */
static void test_they_are_counted_across_a_restart(void **state)
{
    (void)state;
    char dir[] = "/tmp/gcw-points-XXXXXX", command[64];
    struct host h;
    gcw_stats end;
    assert_non_null(mkdtemp(dir));
    const char *const options[] = {"queue_dir", dir, "metrics_protocol", "2.0", NULL};
    host_open(&h, options);
    receiver_answer(h.receiver, 503, "not now");
    append_all(&h, true);
    gcw_writer *w = h.w;
    h.w = NULL;
    assert_int_equal(gcw_writer_flush(w, 0), GCW_ERR_TIMEOUT);
    receiver_await(h.receiver, 1);
    assert_int_equal(gcw_writer_close(w, 0, &end), GCW_OK); /* kept on disk */
    assert_counted(&end, &(struct counted){0, 1, 0, 0}, 0);
    receiver_stop(h.receiver);
    host_free(&h);

    host_open(&h, options);
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_counted(&end, &(struct counted){5, 0, 2, 0}, 1);
    host_free(&h);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exemplars_and_histograms_are_counted_whatever_way_they_take),
        cmocka_unit_test(test_they_are_counted_across_a_restart),
    };
    return cmocka_run_group_tests_name("writer: points", tests, NULL, NULL);
}
