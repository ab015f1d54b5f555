/* Classic histograms and summaries: what arrives of them, and that it arrives whole or not at all. */
#include <math.h>

#include "../../support/host.h"

#define BASE INT64_C(1700000000000)

static const double bounds[] = {0.1, 1, 2500000};
enum { BUCKETS = 4, SERIES = 6 }; /* of a histogram with these bounds */

static const gcw_label labels[] = {GCW_LABEL("__name__", "h"), GCW_LABEL("job", "test"), GCW_LABEL("zone", "a")};
static const gcw_metadata about = {GCW_TYPE_HISTOGRAM, "h", "How long.", "seconds"};

static gcw_classic *classic(struct host *h, const gcw_metadata *metadata)
{
    gcw_error err = {0};
    gcw_classic *c =
        gcw_classic_intern(h->w, labels, ARRAY_LEN(labels), bounds, ARRAY_LEN(bounds), metadata, NULL, &err);
    if (!c)
        fail_msg("%s", err.text);
    return c;
}

/* ---- what arrives ----------------------------------------------------------------------------------------------- */

struct arrived {
    struct buf text; /* a line a record */
};

static void arrived_add(void *user, const struct request *q, const struct taken *t)
{
    struct arrived *a = user;
    (void)q;
    ENSURE(buf_printf(&a->text, "%s %.17g @%lld", t->labels, t->value, (long long)(t->time - BASE)));
    if (t->start)
        ENSURE(buf_printf(&a->text, " since %lld", (long long)(t->start - BASE)));
    ENSURE(buf_printf(&a->text, "%s%s\n", *t->extra ? " # " : "", t->extra));
}

/* Closes the writer, compares all that came, and its metadata. */
static void assert_arrived(struct host *h, const char *want, gcw_metric_type type, const char *family)
{
    struct arrived a = {0};
    host_close(h, WAIT_MS, GCW_OK, NULL);
    receiver_each(h->receiver, GCW_METRICS, arrived_add, &a);
    assert_true(buf_cstr(&a.text));
    assert_string_equal((char *)a.text.p, want);
    buf_free(&a.text);
    size_t count, found = 0;
    const struct request *q = receiver_requests(h->receiver, &count);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < q[i].family_count; k++) {
            bool one = q[i].version == 1; /* in 2.0 each series carries it, under its own name */
            assert_int_equal(q[i].families[k].type, type);
            assert_string_equal(q[i].families[k].help, "How long.");
            if (one)
                assert_string_equal(q[i].families[k].name, family);
            found += one || strncmp(q[i].families[k].name, family, strlen(family)) == 0;
        }
    assert_true(q[0].version == 1 ? found == 1 : found >= 3);
    host_free(h);
}

static void test_a_histogram_is_cumulative_buckets_then_sum_and_count(void **state)
{
    (void)state;
    static const char *const protocol[] = {"1.0", "2.0"}, *const since[] = {"", " since -60000"};
    static const uint64_t counts[] = {1, 0, 5, 2};
    for (size_t v = 0; v < 2; v++) {
        struct host h;
        char want[2000];
        host_open(&h, (const char *const[]){"metrics_protocol", protocol[v], NULL});
        const gcw_label trace[] = {GCW_LABEL("trace_id", "abc")};
        const gcw_exemplar exemplars[] = {{trace, 1, 7, BASE - 1}, {trace, 1, 0.1, BASE - 3}, {NULL, 0, 9, BASE - 2}};
        const gcw_classic_point p = {BASE, BASE - 60000, counts, NULL, BUCKETS, 12.5, exemplars, ARRAY_LEN(exemplars)};
        assert_int_equal(gcw_classic_append(classic(&h, &about), &p, NULL, NULL), GCW_OK);
        snprintf(want, sizeof want,
                 "__name__=\"h_bucket\",job=\"test\",le=\"0.1\",zone=\"a\" 1 @0%s # trace_id=\"abc\" "
                 "0.10000000000000001 @%lld;\n"
                 "__name__=\"h_bucket\",job=\"test\",le=\"1\",zone=\"a\" 1 @0%s\n"
                 "__name__=\"h_bucket\",job=\"test\",le=\"2500000\",zone=\"a\" 6 @0%s # trace_id=\"abc\" 7 @%lld; 9 "
                 "@%lld;\n"
                 "__name__=\"h_bucket\",job=\"test\",le=\"+Inf\",zone=\"a\" 8 @0%s\n"
                 "__name__=\"h_sum\",job=\"test\",zone=\"a\" 12.5 @0%s\n"
                 "__name__=\"h_count\",job=\"test\",zone=\"a\" 8 @0%s\n",
                 since[v], (long long)BASE - 3, since[v], since[v], (long long)BASE - 1, (long long)BASE - 2, since[v],
                 since[v], since[v]);
        assert_arrived(&h, want, GCW_TYPE_HISTOGRAM, "h");
    }
}

/* No start time: it does not count up. */
static void test_a_gauge_histogram_has_gsum_and_gcount(void **state)
{
    (void)state;
    static const char *const protocol[] = {"1.0", "2.0"};
    static const double counts[] = {0.5, 0, 1.25, 0};
    static const gcw_metadata gauge = {GCW_TYPE_GAUGEHISTOGRAM, NULL, "How long.", NULL};
    for (size_t v = 0; v < 2; v++) {
        struct host h;
        host_open(&h, (const char *const[]){"metrics_protocol", protocol[v], NULL});
        const gcw_classic_point p = {
            .time_ms = BASE, .start_ms = BASE - 9, .float_counts = counts, .bucket_count = BUCKETS, .sum = -1};
        assert_int_equal(gcw_classic_append(classic(&h, &gauge), &p, NULL, NULL), GCW_OK);
        assert_arrived(&h,
                       "__name__=\"h_bucket\",job=\"test\",le=\"0.1\",zone=\"a\" 0.5 @0\n"
                       "__name__=\"h_bucket\",job=\"test\",le=\"1\",zone=\"a\" 0.5 @0\n"
                       "__name__=\"h_bucket\",job=\"test\",le=\"2500000\",zone=\"a\" 1.75 @0\n"
                       "__name__=\"h_bucket\",job=\"test\",le=\"+Inf\",zone=\"a\" 1.75 @0\n"
                       "__name__=\"h_gsum\",job=\"test\",zone=\"a\" -1 @0\n"
                       "__name__=\"h_gcount\",job=\"test\",zone=\"a\" 1.75 @0\n",
                       GCW_TYPE_GAUGEHISTOGRAM, "h");
    }
}

static void test_a_summary_is_quantiles_then_sum_and_count(void **state)
{
    (void)state;
    static const char *const protocol[] = {"1.0", "2.0"}, *const since[] = {"", " since -5"};
    static const gcw_metadata summary = {GCW_TYPE_SUMMARY, NULL, "How long.", NULL};
    static const double quantiles[] = {0, 0.5, 1}, values[] = {0.25, 1, NAN};
    for (size_t v = 0; v < 2; v++) {
        struct host h;
        char want[1000];
        host_open(&h, (const char *const[]){"metrics_protocol", protocol[v], NULL});
        gcw_error err = {0};
        gcw_summary *s = gcw_summary_intern(h.w, labels, ARRAY_LEN(labels), quantiles, 3, &summary, NULL, &err);
        assert_non_null(s);
        const gcw_summary_point p = {BASE, BASE - 5, values, 3, 7, 3.5};
        assert_int_equal(gcw_summary_append(s, &p, NULL, &err), GCW_OK);
        assert_int_equal(gcw_summary_append(s, &(gcw_summary_point){BASE, 0, values, 2, 7, 3.5}, NULL, &err),
                         GCW_ERR_INVALID);
        snprintf(want, sizeof want,
                 "__name__=\"h\",job=\"test\",quantile=\"0\",zone=\"a\" 0.25 @0\n"
                 "__name__=\"h\",job=\"test\",quantile=\"0.5\",zone=\"a\" 1 @0\n"
                 "__name__=\"h\",job=\"test\",quantile=\"1\",zone=\"a\" nan @0\n"
                 "__name__=\"h_sum\",job=\"test\",zone=\"a\" 3.5 @0%s\n"
                 "__name__=\"h_count\",job=\"test\",zone=\"a\" 7 @0%s\n",
                 since[v], since[v]);
        assert_arrived(&h, want, GCW_TYPE_SUMMARY, "h");
    }
}

/* Without bounds and quantiles there is the count still. */
static void test_no_bounds_are_bounds_too(void **state)
{
    (void)state;
    struct host h;
    struct arrived a = {0};
    static const uint64_t counts[] = {3};
    host_open(&h, NULL);
    gcw_classic *c = gcw_classic_intern(h.w, labels, 1, NULL, 0, NULL, NULL, NULL);
    const gcw_label name[] = {GCW_LABEL("__name__", "s")};
    gcw_summary *s = gcw_summary_intern(h.w, name, 1, NULL, 0, NULL, NULL, NULL);
    assert_true(c && s);
    const gcw_classic_point p = {.time_ms = BASE, .counts = counts, .bucket_count = 1, .sum = 2};
    assert_int_equal(gcw_classic_append(c, &p, NULL, NULL), GCW_OK);
    assert_int_equal(gcw_summary_append(s, &(gcw_summary_point){.time_ms = BASE, .count = 1}, NULL, NULL), GCW_OK);
    host_close(&h, WAIT_MS, GCW_OK, NULL);
    receiver_each(h.receiver, GCW_METRICS, arrived_add, &a);
    assert_true(buf_cstr(&a.text));
    static const char *const want[] = {"__name__=\"h_bucket\",le=\"+Inf\" 3 @0\n", "__name__=\"h_sum\" 2 @0\n",
                                       "__name__=\"h_count\" 3 @0\n", "__name__=\"s_sum\" 0 @0\n",
                                       "__name__=\"s_count\" 1 @0\n"};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(want); n += strlen(want[i++]))
        assert_non_null(strstr((char *)a.text.p, want[i]));
    assert_int_equal(a.text.n, n);
    buf_free(&a.text);
    host_free(&h);
}

static void find_le(void *user, const struct request *q, const struct taken *t)
{
    struct arrived *a = user;
    (void)q;
    const char *at = strstr(t->labels, "le=\"");
    if (at)
        ENSURE(buf_printf(&a->text, "%.*s ", (int)strcspn(at + 4, "\""), at + 4));
}

static void test_le_format_says_how_bounds_are_written(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"shortest", "0.1 1 2500000 +Inf "},
                                          {"openmetrics", "0.1 1.0 2.5e+06 +Inf "},
                                          {"fluent-bit", "0.10000000000000001 1 2500000 +Inf "}};
    static const uint64_t counts[BUCKETS] = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct host h;
        struct arrived a = {0};
        host_open(&h, (const char *const[]){"le_format", rows[i][0], NULL});
        const gcw_classic_point p = {.time_ms = BASE, .counts = counts, .bucket_count = BUCKETS};
        assert_int_equal(gcw_classic_append(classic(&h, NULL), &p, NULL, NULL), GCW_OK);
        host_close(&h, WAIT_MS, GCW_OK, NULL);
        receiver_each(h.receiver, GCW_METRICS, find_le, &a);
        assert_true(buf_cstr(&a.text));
        assert_string_equal((char *)a.text.p, rows[i][1]);
        buf_free(&a.text);
        host_free(&h);
    }
}

static void count_stale(void *user, const struct request *q, const struct taken *t)
{
    uint64_t bits;
    (void)q;
    memcpy(&bits, &t->value, sizeof bits);
    *(size_t *)user += bits == GCW_STALE_BITS && t->time == BASE + 1 && t->start == 0;
}

static void test_stale_marks_every_series(void **state)
{
    (void)state;
    struct host h;
    size_t stale = 0;
    static const double quantiles[] = {0.5};
    static const uint64_t counts[BUCKETS] = {1};
    const gcw_label name[] = {GCW_LABEL("__name__", "s")};
    host_open(&h, NULL);
    gcw_classic *c = classic(&h, &about);
    gcw_summary *s = gcw_summary_intern(h.w, name, 1, quantiles, 1, NULL, NULL, NULL);
    const gcw_classic_point p = {.time_ms = BASE, .start_ms = 1, .counts = counts, .bucket_count = BUCKETS};
    assert_int_equal(gcw_classic_append(c, &p, NULL, NULL), GCW_OK);
    assert_int_equal(gcw_classic_stale(c, BASE + 1, NULL), GCW_OK);
    assert_int_equal(gcw_summary_stale(s, BASE + 1, NULL), GCW_OK);
    gcw_classic_release(c); /* with records under way */
    gcw_summary_release(s);
    host_close(&h, WAIT_MS, GCW_OK, NULL);
    receiver_each(h.receiver, GCW_METRICS, count_stale, &stale);
    assert_int_equal(stale, SERIES + 3);
    assert_int_equal(receiver_records(h.receiver, GCW_METRICS), 2 * SERIES + 3);
    host_free(&h);
}

/* ---- exemplars ----------------------------------------------------------------------------------------------------
 */

static void exemplars_add(void *user, const struct request *q, const struct taken *t)
{
    struct arrived *a = user;
    (void)q;
    if (*t->extra) {
        const char *le = strstr(t->labels, "le=\"");
        ENSURE(le && buf_printf(&a->text, "%.*s:%s\n", (int)strcspn(le + 4, "\""), le + 4, t->extra));
    }
}

static void test_exemplars_go_to_the_bucket_of_their_value(void **state)
{
    (void)state;
    struct host h;
    struct arrived a = {0};
    gcw_stats end;
    static const uint64_t counts[BUCKETS] = {1, 1, 1, 1};
    char long_text[140];
    memset(long_text, 'x', sizeof long_text);
    const gcw_label too_long[] = {{"trace_id", 8, long_text, sizeof long_text}};
    const gcw_exemplar exemplars[] = {{NULL, 0, NAN, 1},  {NULL, 0, 2500000, 2}, {NULL, 0, 2500001, 3},
                                      {NULL, 0, -1e9, 4}, {NULL, 0, 0.11, 5},    {too_long, 1, 0.5, 6},
                                      {NULL, 0, 0.5, 0},  {NULL, 0, INFINITY, 7}};
    const gcw_classic_point p = {BASE, 0, counts, NULL, BUCKETS, 1, exemplars, ARRAY_LEN(exemplars)};
    host_open(&h, NULL);
    assert_int_equal(gcw_classic_append(classic(&h, NULL), &p, NULL, NULL), GCW_OK);
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_int_equal(end.signal[GCW_METRICS].changed, 2); /* too long, without a time */
    receiver_each(h.receiver, GCW_METRICS, exemplars_add, &a);
    assert_true(buf_cstr(&a.text));
    assert_string_equal((char *)a.text.p, "0.1: -1000000000 @4;\n1: 0.11 @5;\n2500000: 2500000 @2;\n"
                                          "+Inf: nan @1; 2500001 @3; inf @7;\n");
    buf_free(&a.text);
    host_free(&h);

    host_open(&h, (const char *const[]){"label_policy", "reject", NULL});
    gcw_error err = {0};
    assert_int_equal(gcw_classic_append(classic(&h, NULL), &p, NULL, &err), GCW_ERR_INVALID);
    assert_non_null(strstr(err.text, "exemplar"));
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_int_equal(end.signal[GCW_METRICS].refused, SERIES);
    assert_int_equal(end.signal[GCW_METRICS].accepted, 0);
    host_free(&h);
}

/* ---- refusals -----------------------------------------------------------------------------------------------------
 */

static char long_name[80];

static void test_what_cannot_work_is_refused_when_interned(void **state)
{
    (void)state;
    memset(long_name, 'n', sizeof long_name - 1);
    const gcw_label bounded[] = {labels[0], GCW_LABEL("le", "1")}, quantile[] = {labels[0], GCW_LABEL("quantile", "1")},
                    nameless[] = {labels[1]}, lengthy[] = {GCW_LABEL("__name__", long_name)};
    static const double falling[] = {1, 1}, not_a_number[] = {NAN}, infinite[] = {1, INFINITY}, beyond[] = {0.5, 1.5},
                        below[] = {-0.5};
    static const gcw_metadata counter = {GCW_TYPE_COUNTER, NULL, "", ""}, summary = {GCW_TYPE_SUMMARY, NULL, "", ""};
    const struct {
        bool summary;
        const gcw_label *labels;
        size_t count;
        const double *bounds;
        size_t bound_count;
        const gcw_metadata *metadata;
        gcw_status code;
        const char *words;
    } rows[] = {
        {false, bounded, 2, bounds, 3, NULL, GCW_ERR_INVALID, "label \"le\" (value \"1\"): a histogram has one"},
        {true, quantile, 2, beyond, 1, NULL, GCW_ERR_INVALID, "label \"quantile\" (value \"1\"): a summary has one"},
        {false, nameless, 1, bounds, 3, NULL, GCW_ERR_INVALID, "no metric name"},
        {false, lengthy, 1, bounds, 3, NULL, GCW_ERR_INVALID, "\"_count\" behind it longer than the 80 bytes"},
        {false, labels, 3, bounds, 3, NULL, GCW_ERR_INVALID, "3 labels and \"le\", allowed are 3"},
        {false, labels, 1, falling, 2, NULL, GCW_ERR_INVALID, "bounds are not rising: 1 behind 1"},
        {false, labels, 1, not_a_number, 1, NULL, GCW_ERR_INVALID, "bound nan is not finite"},
        {false, labels, 1, infinite, 2, NULL, GCW_ERR_INVALID, "bound inf is not finite (the bucket at +Inf goes"},
        {false, labels, 1, NULL, 1, NULL, GCW_ERR_INVALID, "a pointer is missing"},
        {false, labels, 1, bounds, 1001, NULL, GCW_ERR_INVALID, "with 1001 bounds: 1000 are allowed"},
        {true, labels, 1, beyond, 2, NULL, GCW_ERR_INVALID, "quantile 1.5 is not between 0 and 1"},
        {true, labels, 1, below, 1, NULL, GCW_ERR_INVALID, "quantile -0.5 is not between 0 and 1"},
        {false, labels, 1, bounds, 3, &counter, GCW_ERR_INVALID, "type 1, which is not that of a histogram"},
        {true, labels, 1, beyond, 1, &about, GCW_ERR_INVALID, "type 3, which is not that of a summary"},
        {false, labels, 1, bounds, 3, &summary, GCW_ERR_INVALID, "type 5, which is not that of a histogram"},
    };
    struct host h;
    host_open(&h, (const char *const[]){"metrics_max_label_value", "80B", "metrics_max_labels", "3", NULL});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        gcw_error err = {0};
        const void *handle = rows[i].summary
                                 ? (const void *)gcw_summary_intern(h.w, rows[i].labels, rows[i].count, rows[i].bounds,
                                                                    rows[i].bound_count, rows[i].metadata, NULL, &err)
                                 : (const void *)gcw_classic_intern(h.w, rows[i].labels, rows[i].count, rows[i].bounds,
                                                                    rows[i].bound_count, rows[i].metadata, NULL, &err);
        assert_null(handle);
        if (err.code != rows[i].code || !strstr(err.text, rows[i].words))
            fail_msg("row %zu: %d, %s", i, err.code, err.text);
    }
    assert_int_equal(host_stats(&h, GCW_METRICS).interned, 0);
    assert_int_equal(host_stats(&h, GCW_METRICS).interned_bytes, 0);
    host_free(&h);
}

static void test_what_does_not_fit_a_request_is_refused_when_interned(void **state)
{
    (void)state;
    static const char *const rows[][3] = {{"metrics_batch_records", "5", "metrics_batch_records allows 5"},
                                          {"metrics_batch_bytes", "4KiB", "metrics_batch_bytes allows 4096"}};
    double many[100];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (double)i;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct host h;
        gcw_error err = {0};
        host_open(&h, (const char *const[]){rows[i][0], rows[i][1], NULL});
        assert_null(gcw_classic_intern(h.w, labels, 3, many, ARRAY_LEN(many), NULL, NULL, &err));
        assert_int_equal(err.code, GCW_ERR_TOO_LARGE);
        assert_non_null(strstr(err.text, rows[i][2]));
        assert_int_equal(host_stats(&h, GCW_METRICS).interned, 0);
        host_free(&h);
    }
}

static void test_counts_that_are_none_are_refused_whole(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1, 1, 1, 1}, huge[] = {UINT64_MAX, 0, 0, 1};
    static const double negative[] = {1, -1, 1, 1}, not_a_number[] = {1, 1, 1, NAN};
    const gcw_classic_point rows[] = {{.time_ms = BASE, .counts = counts, .bucket_count = 3},
                                      {.time_ms = BASE, .counts = counts, .bucket_count = 5},
                                      {.time_ms = BASE, .bucket_count = BUCKETS},
                                      {.time_ms = BASE, .counts = counts, .float_counts = negative, .bucket_count = 4},
                                      {.time_ms = BASE, .counts = huge, .bucket_count = BUCKETS},
                                      {.time_ms = BASE, .float_counts = negative, .bucket_count = BUCKETS},
                                      {.time_ms = BASE, .float_counts = not_a_number, .bucket_count = BUCKETS}};
    struct host h;
    gcw_stats end;
    host_open(&h, NULL);
    gcw_classic *c = classic(&h, &about);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        gcw_error err = {0};
        assert_int_equal(gcw_classic_append(c, &rows[i], NULL, &err), GCW_ERR_INVALID);
        assert_non_null(strstr(err.text, "a classic histogram: "));
    }
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_int_equal(end.signal[GCW_METRICS].refused, ARRAY_LEN(rows) * SERIES);
    assert_int_equal(end.signal[GCW_METRICS].accepted, 0);
    assert_int_equal(receiver_records(h.receiver, GCW_METRICS), 0);
    host_free(&h);
}

/* ---- handles ------------------------------------------------------------------------------------------------------
 */

static void test_equal_histograms_are_one_handle_and_the_guard_counts_their_series(void **state)
{
    (void)state;
    struct host h;
    gcw_error err = {0};
    host_open(&h, (const char *const[]){"max_series", "20", NULL});
    static const gcw_metadata gauge = {GCW_TYPE_GAUGEHISTOGRAM, NULL, "", ""};
    gcw_classic *a = classic(&h, NULL), *b = classic(&h, &about), *other = classic(&h, &gauge);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, other);
    gcw_classic *fewer = gcw_classic_intern(h.w, labels, 3, bounds, 2, NULL, NULL, &err);
    assert_true(fewer && fewer != a);
    assert_int_equal(host_stats(&h, GCW_METRICS).interned, 2 * SERIES + SERIES - 1);
    const gcw_label name[] = {GCW_LABEL("__name__", "x")};
    assert_null(gcw_classic_intern(h.w, name, 1, bounds, 3, NULL, NULL, &err)); /* 6 more than 17: too many by 3 */
    assert_int_equal(err.code, GCW_ERR_LIMIT);
    assert_non_null(strstr(err.text, "too many series"));
    assert_int_equal(host_stats(&h, GCW_METRICS).interned, 2 * SERIES + SERIES - 1);
    gcw_classic_release(other);
    gcw_classic_release(fewer);
    gcw_classic_release(a);
    assert_int_equal(host_stats(&h, GCW_METRICS).interned, SERIES); /* b still */
    gcw_classic_release(b);
    gcw_classic_release(NULL);
    assert_int_equal(host_stats(&h, GCW_METRICS).interned, 0);
    assert_int_equal(host_stats(&h, GCW_METRICS).interned_bytes, 0);
    a = classic(&h, NULL); /* anew, and used */
    static const uint64_t counts[BUCKETS] = {1};
    const gcw_classic_point p = {.time_ms = BASE, .counts = counts, .bucket_count = BUCKETS};
    assert_int_equal(gcw_classic_append(a, &p, NULL, NULL), GCW_OK);
    host_free(&h);
}

static void test_a_receipt_waits_for_every_series(void **state)
{
    (void)state;
    struct host h;
    gcw_receipt_summary sum;
    static const uint64_t counts[BUCKETS] = {1};
    const gcw_classic_point p = {.time_ms = BASE, .counts = counts, .bucket_count = BUCKETS};
    host_open(&h, NULL);
    gcw_receipt *r = gcw_receipt_new(h.w, GCW_RECEIPT_DELIVERED, NULL, NULL, NULL);
    assert_int_equal(gcw_classic_append(classic(&h, NULL), &p, r, NULL), GCW_OK);
    gcw_receipt_seal(r);
    assert_int_equal(gcw_receipt_wait(r, 0, &sum), GCW_ERR_TIMEOUT);
    assert_int_equal(sum.records, SERIES);
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    assert_int_equal(gcw_receipt_wait(r, WAIT_MS, &sum), GCW_OK);
    assert_int_equal(sum.outcome[GCW_DELIVERED], SERIES);
    gcw_receipt_free(r);
    host_free(&h);
}

/* ---- whole or not at all ------------------------------------------------------------------------------------------
 */

/* Append k, of a histogram that stands for k: its time is BASE + k, each bucket has k, the sum is k + 0.5. */
static gcw_status append_number(gcw_classic *c, uint64_t k)
{
    const uint64_t counts[BUCKETS] = {k, k, k, k};
    const gcw_classic_point p = {
        .time_ms = BASE + (int64_t)k, .counts = counts, .bucket_count = BUCKETS, .sum = (double)k + 0.5};
    return gcw_classic_append(c, &p, NULL, NULL);
}

/* In each request that was taken the samples of one append stand together, all of them, in their order. Returns how
 * many appends came; `seen` (may be NULL) says which. */
static size_t count_whole(const struct receiver *r, bool *seen)
{
    size_t count, appends = 0;
    const struct request *q = receiver_requests(r, &count);
    for (size_t i = 0; i < count; i++) {
        if (q[i].status / 100 != 2)
            continue;
        for (size_t at = 0; at < q[i].record_count;) {
            const struct taken *t = &q[i].records[at];
            if (strncmp(t->labels, "__name__=\"h_", 12) != 0) {
                at++;
                continue;
            }
            int64_t k = t->time - BASE;
            assert_true(at + SERIES <= q[i].record_count);
            for (size_t n = 0; n < SERIES; n++) {
                static const char *const le[BUCKETS] = {"\"0.1\"", "\"1\"", "\"2500000\"", "\"+Inf\""};
                double want = n < BUCKETS    ? (double)k * (double)(n + 1)
                              : n == BUCKETS ? (double)k + 0.5
                                             : (double)k * 4;
                assert_int_equal(t[n].time, BASE + k);
                assert_true(t[n].value >= want && t[n].value <= want);
                assert_true(n >= BUCKETS || strstr(t[n].labels, le[n]));
            }
            if (seen) {
                assert_false(seen[k]); /* once */
                seen[k] = true;
            }
            at += SERIES;
            appends++;
        }
    }
    return appends;
}

#define SMALL "memory_limit", "1MiB", "metrics_batch_bytes", "64KiB", "logs_batch_bytes", "64KiB"
#define MANY  60000

struct tally {
    uint64_t ok, refused;
    gcw_status other;
    bool taken[MANY], arrived[MANY];
};

static void append_many(gcw_classic *c, gcw_series *beside, struct tally *t, uint64_t stop_after)
{
    for (uint64_t k = 0; k < MANY && t->refused < stop_after; k++) {
        gcw_status status = append_number(c, k);
        gcw_sample_append(beside, 1, BASE + (int64_t)k, NULL);
        t->taken[k] = status == GCW_OK;
        t->ok += status == GCW_OK;
        t->refused += status != GCW_OK;
        if (status != GCW_OK)
            t->other = status;
    }
}

/* overflow, what an append that is turned away gets. */
static void overflow(const char *policy, gcw_status want, uint64_t stop_after, gcw_stats *end, struct tally *t)
{
    struct host h;
    *t = (struct tally){.other = GCW_OK};
    host_open(&h, (const char *const[]){SMALL, "overflow", policy, "block_timeout",
                                        want == GCW_ERR_TIMEOUT ? "50ms" : "0", NULL});
    receiver_hold(h.receiver);
    append_many(classic(&h, NULL), host_series(&h, "beside"), t, stop_after);
    assert_int_equal(t->other, want);
    gcw_signal_stats s = host_stats(&h, GCW_METRICS);
    assert_ledger(&s);
    receiver_let(h.receiver);
    host_close(&h, WAIT_MS, GCW_OK, end);
    assert_true(count_whole(h.receiver, t->arrived) > 0);
    if (want != GCW_OK) /* what was turned away is not there, and all else is */
        assert_memory_equal(t->arrived, t->taken, sizeof t->taken);
    host_free(&h);
}

static void test_no_overflow_policy_tears_a_histogram(void **state)
{
    (void)state;
    static struct tally t;
    gcw_stats end;
    overflow("error", GCW_ERR_FULL, MANY, &end, &t);
    assert_true(end.signal[GCW_METRICS].refused >= SERIES * t.refused);
    overflow("drop_newest", GCW_ERR_DROPPED, MANY, &end, &t);
    assert_true(end.signal[GCW_METRICS].outcome[GCW_DROPPED] >= SERIES * t.refused);
    overflow("block", GCW_ERR_TIMEOUT, 1, &end, &t);
    assert_true(end.signal[GCW_METRICS].refused >= SERIES);
    overflow("drop_oldest", GCW_OK, MANY, &end, &t); /* takes all, and drops requests that wait */
    assert_int_equal(t.ok, MANY);
    assert_true(end.signal[GCW_METRICS].outcome[GCW_DROPPED] > 0);
    assert_int_equal(end.signal[GCW_METRICS].accepted, MANY * (SERIES + 1));
}

/* Batches of ten samples, of six: whatever closes them. */
static void test_batch_limits_come_between_histograms_only(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"metrics_batch_records", "6"}, {"metrics_batch_records", "10"}, {"metrics_batch_bytes", "4KiB"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct host h;
        static bool seen[200];
        memset(seen, 0, sizeof seen);
        host_open(&h, (const char *const[]){rows[i][0], rows[i][1], NULL});
        gcw_classic *c = classic(&h, &about);
        gcw_series *s = host_series(&h, "beside");
        for (uint64_t k = 0; k < ARRAY_LEN(seen); k++) {
            assert_int_equal(append_number(c, k), GCW_OK);
            if (k % 3 == 0)
                assert_int_equal(gcw_sample_append(s, 1, BASE + (int64_t)k, NULL), GCW_OK);
        }
        host_close(&h, WAIT_MS, GCW_OK, NULL);
        assert_int_equal(count_whole(h.receiver, seen), ARRAY_LEN(seen));
        size_t count;
        const struct request *q = receiver_requests(h.receiver, &count);
        assert_true(count > 10);
        for (size_t k = 0; k < count; k++)
            assert_true(i == 2 || q[k].record_count <= (i == 0 ? 6u : 10u));
        host_free(&h);
    }
}

/* What the receiver has not taken by then is dropped by the request. */
static void test_a_close_in_a_hurry_drops_whole_histograms(void **state)
{
    (void)state;
    struct host h;
    gcw_stats end;
    enum { APPENDS = 3000 };
    static bool seen[APPENDS];
    memset(seen, 0, sizeof seen);
    host_open(&h, (const char *const[]){"metrics_batch_records", "1000", "max_connections", "1", NULL});
    gcw_classic *c = classic(&h, NULL);
    receiver_answer_next(h.receiver, 200, "");
    receiver_answer(h.receiver, 503, "not now");
    for (uint64_t k = 0; k < APPENDS; k++)
        assert_int_equal(append_number(c, k), GCW_OK);
    receiver_await(h.receiver, 2);
    host_close(&h, 0, GCW_ERR_TIMEOUT, &end);
    size_t whole = count_whole(h.receiver, seen);
    assert_true(whole > 0 && whole < APPENDS);
    assert_int_equal(end.signal[GCW_METRICS].outcome[GCW_DELIVERED], whole * SERIES);
    assert_int_equal(end.signal[GCW_METRICS].outcome[GCW_DROPPED], (APPENDS - whole) * SERIES);
    host_free(&h);
}

/* 413: the request comes again in parts, which is where one histogram may come apart; nothing of it is lost. */
static void test_a_request_in_parts_loses_nothing(void **state)
{
    (void)state;
    struct host h;
    enum { APPENDS = 33 };
    host_open(&h, NULL);
    gcw_classic *c = classic(&h, NULL);
    receiver_answer_next(h.receiver, 413, "too large");
    for (uint64_t k = 0; k < APPENDS; k++)
        assert_int_equal(append_number(c, k), GCW_OK);
    host_close(&h, WAIT_MS, GCW_OK, NULL);
    assert_int_equal(receiver_records(h.receiver, GCW_METRICS), APPENDS * SERIES);
    host_free(&h);
}

#define THREADS 4
#define EACH    2000

struct appender {
    gcw_classic *histogram;
    gcw_series *beside;
    uint64_t first;
    bool failed;
};

static void *append_some(void *ctx)
{
    struct appender *a = ctx;
    for (uint64_t k = a->first; k < a->first + EACH; k++)
        a->failed |= append_number(a->histogram, k) != GCW_OK ||
                     gcw_sample_append(a->beside, 1, BASE + (int64_t)k, NULL) != GCW_OK;
    return NULL;
}

static void test_threads_may_append_one_handle_at_once(void **state)
{
    (void)state;
    struct host h;
    static bool seen[THREADS * EACH];
    pthread_t thread[THREADS];
    struct appender a[THREADS];
    memset(seen, 0, sizeof seen);
    host_open(&h, (const char *const[]){"metrics_batch_records", "1000", NULL});
    gcw_series *beside = host_series(&h, "beside");
    for (size_t i = 0; i < THREADS; i++) {
        a[i] = (struct appender){classic(&h, &about), beside, i * EACH, false};
        assert_int_equal(pthread_create(&thread[i], NULL, append_some, &a[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        assert_false(a[i].failed);
        gcw_classic_release(a[i].histogram);
    }
    host_close(&h, WAIT_MS, GCW_OK, NULL);
    assert_int_equal(count_whole(h.receiver, seen), THREADS * EACH);
    host_free(&h);
}

/* Handles made, used and let go at once, on several threads: the encoder meets them when they are gone. */
static void *come_and_go(void *ctx)
{
    struct host *h = ctx;
    static const double quantiles[] = {0.5, 0.9}, values[] = {1, 2};
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i % 7);
        const gcw_label own[] = {{"__name__", 8, name, strlen(name)}};
        gcw_summary *s = gcw_summary_intern(h->w, own, 1, quantiles, 2, NULL, NULL, NULL);
        const gcw_summary_point p = {.time_ms = BASE + i, .values = values, .value_count = 2};
        if (!s || gcw_summary_append(s, &p, NULL, NULL) != GCW_OK)
            return ctx;
        gcw_summary_release(s);
    }
    return NULL;
}

static void test_handles_come_and_go_on_many_threads(void **state)
{
    (void)state;
    static const char *const protocol[] = {"1.0", "2.0"};
    for (size_t v = 0; v < 2; v++) {
        struct host h;
        pthread_t thread[THREADS];
        host_open(&h, (const char *const[]){"metrics_batch_records", "100", "metrics_protocol", protocol[v], NULL});
        for (size_t i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, come_and_go, &h), 0);
        for (size_t i = 0; i < THREADS; i++) {
            void *failed;
            pthread_join(thread[i], &failed);
            assert_null(failed);
        }
        assert_int_equal(host_stats(&h, GCW_METRICS).interned, 0);
        host_close(&h, WAIT_MS, GCW_OK, NULL);
        assert_int_equal(receiver_records(h.receiver, GCW_METRICS), THREADS * 300 * 4);
        host_free(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_histogram_is_cumulative_buckets_then_sum_and_count),
        cmocka_unit_test(test_a_gauge_histogram_has_gsum_and_gcount),
        cmocka_unit_test(test_a_summary_is_quantiles_then_sum_and_count),
        cmocka_unit_test(test_no_bounds_are_bounds_too),
        cmocka_unit_test(test_le_format_says_how_bounds_are_written),
        cmocka_unit_test(test_stale_marks_every_series),
        cmocka_unit_test(test_exemplars_go_to_the_bucket_of_their_value),
        cmocka_unit_test(test_what_cannot_work_is_refused_when_interned),
        cmocka_unit_test(test_what_does_not_fit_a_request_is_refused_when_interned),
        cmocka_unit_test(test_counts_that_are_none_are_refused_whole),
        cmocka_unit_test(test_equal_histograms_are_one_handle_and_the_guard_counts_their_series),
        cmocka_unit_test(test_a_receipt_waits_for_every_series),
        cmocka_unit_test(test_no_overflow_policy_tears_a_histogram),
        cmocka_unit_test(test_batch_limits_come_between_histograms_only),
        cmocka_unit_test(test_a_close_in_a_hurry_drops_whole_histograms),
        cmocka_unit_test(test_a_request_in_parts_loses_nothing),
        cmocka_unit_test(test_threads_may_append_one_handle_at_once),
        cmocka_unit_test(test_handles_come_and_go_on_many_threads),
    };
    return cmocka_run_group_tests_name("writer: groups", tests, NULL, NULL);
}
