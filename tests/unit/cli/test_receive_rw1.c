/* The judge of remote write 1.0: what it takes, what it refuses, with which words, and what it remembers. */
#include "test_receive_support.h"

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++)
        sscanf(hex + 2 * i, "%2hhx", &out[i]);
    return n;
}

static int judge_hex(struct bench *b, const char *hex)
{
    uint8_t bytes[256];
    return judge_message(b, bytes, unhex(hex, bytes));
}

static void test_one_sample_is_taken(void **state)
{
    struct bench *b = *state;
    assert_int_equal(
        judge_hex(b, "0a2c0a0e0a085f5f6e616d655f5f120275700a080a036a6f62120161121009000000000000f03f1080d095ffbc31"),
        200);
    assert_int_equal(b->v.samples, 1);
    assert_string_equal(
        bench_records(b),
        "{\"type\":\"sample\",\"tenant\":\"t1\",\"labels\":{\"__name__\":\"up\",\"job\":\"a\"},\"value\":\"1\","
        "\"bits\":\"3ff0000000000000\",\"time_ms\":1700000000000}\n");
}

static void test_zero_and_stale_marker_keep_their_bits(void **state)
{
    struct bench *b = *state;
    assert_int_equal(
        judge_hex(b, "0a350a0e0a085f5f6e616d655f5f120275700a080a036a6f6212016112071080d095ffbc3112100902000000000"
                     "0f07f1098c596ffbc31"),
        200);
    assert_int_equal(b->v.samples, 2);
    assert_recorded(b, "\"value\":\"0\",\"bits\":\"0000000000000000\",\"time_ms\":1700000000000}");
    assert_recorded(b, "\"value\":\"NaN\",\"bits\":\"7ff0000000000002\",\"time_ms\":1700000015000}");
}

static void test_metadata_alone_is_taken(void **state)
{
    struct bench *b = *state;
    assert_int_equal(judge_hex(b, "1a1f08011213687474705f72657175657374735f746f74616c2206546f74616c2e"), 200);
    assert_int_equal(b->v.metadata, 1);
    assert_string_equal(bench_records(b), "{\"type\":\"metadata\",\"tenant\":\"t1\",\"family\":\"http_requests_total\","
                                          "\"metric_type\":\"counter\",\"help\":\"Total.\",\"unit\":\"\"}\n");
}

static void test_all_literal_snappy_is_taken(void **state)
{
    struct bench *b = *state;
    uint8_t body[64] = {0x2e, 0xb4};
    size_t n =
        unhex("0a2c0a0e0a085f5f6e616d655f5f120275700a080a036a6f62120161121009000000000000f03f1080d095ffbc31", body + 2);
    judge_up(b, 1, T_MS); /* sets the headers */
    b->push.body = view_make((const char *)body, n + 2);
    bench_fresh_verdict(b);
    judge_metrics(&b->push, &b->limits, &b->store, &b->v);
    assert_int_equal(b->v.status, 200);
    assert_int_equal(b->v.raw_bytes, 46);
}

static void test_every_cut_of_a_message_is_refused_or_smaller(void **state)
{
    struct bench *b = *state;
    uint8_t bytes[64];
    size_t n =
        unhex("0a2c0a0e0a085f5f6e616d655f5f120275700a080a036a6f62120161121009000000000000f03f1080d095ffbc31", bytes);
    for (size_t cut = 1; cut < n; cut++)
        assert_int_equal(judge_message(b, bytes, cut), 400);
    assert_int_equal(judge_message(b, bytes, 0), 200); /* an empty request: a probe */
}

static void test_value_text_reads_back(void **state)
{
    struct bench *b = *state;
    const struct made_series s = {LABELS("__name__", "up"),
                                  POINTS(point_of(0.1, T_MS), point_of(-15.5, T_MS + 1), point_of(1e308, T_MS + 2),
                                         point_of(1.0 / 3, T_MS + 3), {UINT64_C(0x7ff0000000000000), T_MS + 4},
                                         {UINT64_C(0xfff0000000000000), T_MS + 5}, {1, T_MS + 6})};
    assert_int_equal(judge_series(b, &s, 1), 200);
    static const char *const want[] = {"\"0.1\"",
                                       "\"-15.5\"",
                                       "\"1e+308\"",
                                       "\"0.3333333333333333\"",
                                       "\"+Inf\"",
                                       "\"-Inf\"",
                                       "\"4.94065645841247e-324\""};
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        assert_recorded(b, want[i]);
    /* {__name__="zero"} -0.0: protobuf-c's packer would leave it out as a zero */
    assert_int_equal(judge_hex(b, "0a240a100a085f5f6e616d655f5f12047a65726f12100900000000000000801080d095ffbc31"), 200);
    assert_recorded(b, "\"value\":\"-0\",\"bits\":\"8000000000000000\"");
}

/* ---- headers --------------------------------------------------------------------------------------------------------
 */

static int judge_headers(struct bench *b, const char *type, const char *encoding, const char *version,
                         const char *agent)
{
    judge_up(b, 1, T_MS);
    b->push.content_type = type;
    b->push.content_encoding = encoding;
    b->push.version = version;
    b->push.user_agent = agent;
    bench_fresh_verdict(b);
    judge_metrics(&b->push, &b->limits, &b->store, &b->v);
    return b->v.status;
}

static void test_headers_are_required(void **state)
{
    struct bench *b = *state;
    const char *type = "application/x-protobuf";
    assert_int_equal(judge_headers(b, type, "snappy", "0.1.0", "a/1"), 200);
    assert_int_equal(judge_headers(b, "application/x-protobuf;proto=prometheus.WriteRequest", "snappy", "0.1.0", "a/1"),
                     200);
    assert_int_equal(judge_headers(b, NULL, "snappy", "0.1.0", "a/1"), 415);
    assert_int_equal(judge_headers(b, "application/json", "snappy", "0.1.0", "a/1"), 415);
    assert_int_equal(judge_headers(b, "application/x-protobuf; proto=prometheus.WriteRequest", "snappy", "0.1.0", "a"),
                     415);
    assert_int_equal(judge_headers(b, type, "gzip", "0.1.0", "a/1"), 415);
    assert_int_equal(judge_headers(b, type, NULL, "0.1.0", "a/1"), 415);
    assert_int_equal(judge_headers(b, type, "snappy", NULL, "a/1"), 400);
    assert_int_equal(judge_headers(b, type, "snappy", "2.0.0", "a/1"), 400);
    assert_int_equal(judge_headers(b, type, "snappy", "0.1.0", NULL), 400);
    assert_int_equal(
        judge_headers(b, "application/x-protobuf;proto=io.prometheus.write.v2.Request", "snappy", "0.1.0", "a/1"), 400);
    assert_int_equal(
        judge_headers(b, "application/x-protobuf; proto=io.prometheus.write.v2.Request", "snappy", "2.0.0", "a"), 415);
    assert_says(b, "without blanks");
    b->limits.v[METRICS_STRICT] = 0;
    assert_int_equal(judge_headers(b, type, "snappy", NULL, NULL), 200);
}

/* ---- wire
 * -------------------------------------------------------------------------------------------------------------- */

static void test_wire_faults_are_named(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *hex, *words;
    } rows[] = {
        {"10011a020801", "prometheus.WriteRequest: field 2: unknown field"},
        {"4a0178", "prometheus.WriteRequest: field 9: unknown field"},
        {"0a022a00", "prometheus.TimeSeries: field 5: unknown field"},
        {"0a040a021a00", "prometheus.Label: field 3: unknown field"},
        {"0a0412021800", "prometheus.Sample: field 3: unknown field"},
        {"1a021a00", "prometheus.MetricMetadata: field 3: unknown field"},
        {"0801", "field 1 (timeseries): wrong wire type"},
        {"0a0412020801", "field 1 (value): wrong wire type"},
        {"0a06120410011002", "field 2 (timestamp): stands there twice"},
        {"0a080a060a01610a0162", "field 1 (name): stands there twice"},
        {"0a051203108000", "not in its shortest form"},
        {"1a020808", "field 1 (type): no such value in the enum"},
        {"0a05", "reaches beyond the end"},
        {"00", "this is no field key"},
        {"0a0d120b10ffffffffffffffffff02", "cut off, too long"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(judge_hex(b, rows[i].hex), 400);
        assert_says(b, rows[i].words);
    }
}

static void test_text_behind_a_nul_is_not_lost(void **state)
{
    struct bench *b = *state;
    /* {__name__="up", a="x\0y"} 1.0 */
    assert_int_equal(
        judge_hex(b, "0a2c0a0e0a085f5f6e616d655f5f120275700a080a01611203780079121009000000000000f03f1080d095ffbc31"),
        200);
    assert_recorded(b, "\"a\":\"x\\u0000y\"");
}

static void test_negative_time_keeps_its_value(void **state)
{
    struct bench *b = *state;
    b->limits.v[METRICS_HEAD_WINDOW] = 0;
    assert_int_equal(judge_up(b, 1, INT64_MIN), 200);
    assert_recorded(b, "\"time_ms\":-9223372036854775808");
    assert_int_equal(judge_up(b, 1, -1), 200);
    assert_recorded(b, "\"time_ms\":-1}");
}

/* ---- snappy
 * --------------------------------------------------------------------------------------------------------------- */

static int judge_body(struct bench *b, const char *body, size_t n)
{
    judge_up(b, 1, T_MS);
    b->push.body = view_make(body, n);
    bench_fresh_verdict(b);
    judge_metrics(&b->push, &b->limits, &b->store, &b->v);
    return b->v.status;
}

static void test_snappy_block_is_strict(void **state)
{
    struct bench *b = *state;
    assert_int_equal(judge_body(b, "\xff\x06\0\0sNaPpY", 10), 400);
    assert_says(b, "framed");
    assert_int_equal(judge_body(b, "", 0), 400);
    assert_int_equal(judge_body(b, "\0", 1), 200);
    assert_int_equal(judge_body(b, "\0\0", 2), 400);
    assert_int_equal(judge_body(b, "\0\0x", 3), 400);
    assert_int_equal(judge_body(b, "\xff\xff\xff\xff\x07", 5), 400);
    char body[256];
    judge_up(b, 1, T_MS);
    size_t n = b->body.n;
    memcpy(body, b->body.p, n);
    body[n] = 0;
    assert_int_equal(judge_body(b, body, n), 200);
    assert_int_equal(judge_body(b, body, n + 1), 400);
    assert_int_equal(judge_body(b, body, n - 1), 400);
}

static void test_large_body_is_400(void **state)
{
    struct bench *b = *state;
    b->limits.v[METRICS_BODY_BYTES] = 30;
    assert_int_equal(judge_up(b, 1, T_MS), 400);
    assert_says(b, "err-mimir-distributor-max-write-message-size");
    /* compressed small, unpacked large */
    b->limits.v[METRICS_BODY_BYTES] = 200;
    static const uint8_t zeros[4096] = {0};
    assert_int_equal(judge_message(b, zeros, sizeof zeros), 400);
    assert_says(b, "message size of 4096 bytes is larger than the allowed limit of 200 bytes");
}

/* ---- labels
 * ---------------------------------------------------------------------------------------------------------------- */

static void check_labels(struct bench *b, const char *const *labels, size_t n, const char *words, enum reason reason)
{
    static const char *const good[] = {"__name__", "good"};
    struct point p = point_of(1, T_MS);
    const struct made_series s[] = {{labels, n, &p, 1}, {good, 1, &p, 1}};
    assert_int_equal(judge_series(b, s, 2), 400);
    assert_says(b, words);
    assert_int_equal(b->v.samples, 1); /* the other one is kept */
    assert_int_equal(b->v.rejected, 1);
    assert_int_equal(b->v.reasons[reason], 1);
}

static void test_bad_labels_cost_their_series_alone(void **state)
{
    struct bench *b = *state;
    check_labels(b, LABELS("a", "b"), "err-mimir-missing-metric-name", REASON_MISSING_METRIC_NAME);
    check_labels(b, LABELS("__name__", "0up"), "err-mimir-metric-name-invalid", REASON_METRIC_NAME_INVALID);
    check_labels(b, LABELS("__name__", "up", "a-b", "x"), "err-mimir-label-invalid", REASON_LABEL_INVALID);
    check_labels(b, LABELS("__name__", "up", "a:b", "x"), "err-mimir-label-invalid", REASON_LABEL_INVALID);
    check_labels(b, LABELS("", "x", "__name__", "up"), "err-mimir-label-invalid", REASON_LABEL_INVALID);
    check_labels(b, LABELS("__name__", "up", "a", "\xff"), "err-mimir-label-value-invalid", REASON_LABEL_VALUE_INVALID);
    check_labels(b, LABELS("__name__", "up", "a", "\xed\xa0\x80"), "err-mimir-label-value-invalid",
                 REASON_LABEL_VALUE_INVALID);
    check_labels(b, LABELS("__name__", "up", "a", "x", "a", "x"), "err-mimir-duplicate-label-names",
                 REASON_DUPLICATE_LABEL_NAMES);
    check_labels(b, LABELS("__name__", "up", "b", "x", "a", "x"), "not sorted", REASON_LABELS_NOT_SORTED);
    check_labels(b, LABELS("a", "x", "__name__", "up"), "not sorted", REASON_LABELS_NOT_SORTED);
    check_labels(b, LABELS("__name__", "up", "a", ""), "empty value", REASON_LABEL_VALUE_EMPTY);
    b->limits.v[METRICS_LABEL_NAME_BYTES] = 8;
    check_labels(b, LABELS("__name__", "up", "aaaaaaaaa", "x"), "err-mimir-label-name-too-long",
                 REASON_LABEL_NAME_TOO_LONG);
    b->limits.v[METRICS_LABEL_VALUE_BYTES] = 8;
    check_labels(b, LABELS("__name__", "up", "a", "xxxxxxxxx"), "length of 9 exceeds the limit of 8",
                 REASON_LABEL_VALUE_TOO_LONG);
    b->limits.v[METRICS_LABELS] = 2;
    check_labels(b, LABELS("__name__", "up", "a", "x", "b", "x"), "(actual: 3, limit: 2)", REASON_MAX_LABEL_NAMES);
}

static void test_upper_case_names_sort_before_the_metric_name(void **state)
{
    struct bench *b = *state;
    const struct made_series s = {LABELS("A", "x", "__name__", "up", "a", "x"), POINTS(point_of(1, T_MS))};
    assert_int_equal(judge_series(b, &s, 1), 200);
}

static void test_lenient_judge_sorts_and_drops_empty(void **state)
{
    struct bench *b = *state;
    b->limits.v[METRICS_STRICT] = 0;
    const struct made_series s = {LABELS("b", "x", "a", "", "__name__", "up"), POINTS(point_of(1, T_MS))};
    assert_int_equal(judge_series(b, &s, 1), 200);
    assert_recorded(b, "\"labels\":{\"__name__\":\"up\",\"b\":\"x\"}");
}

/* ---- order
 * -------------------------------------------------------------------------------------------------------------------
 */

static void test_same_sample_again_is_a_silent_duplicate(void **state)
{
    struct bench *b = *state;
    assert_int_equal(judge_up(b, 1, T_MS), 200);
    assert_int_equal(judge_up(b, 1, T_MS), 200);
    assert_int_equal(b->v.samples, 1);
    assert_int_equal(b->v.duplicates, 1);
    assert_recorded(b, "\"duplicate\":true");
    assert_int_equal(judge_up(b, 2, T_MS), 400);
    assert_says(b, "err-mimir-sample-duplicate-timestamp");
    assert_string_equal(bench_records(b), "");
}

static void test_nan_payloads_are_different_values(void **state)
{
    struct bench *b = *state;
    const struct made_series stale = {LABELS("__name__", "up"), POINTS({UINT64_C(0x7ff0000000000002), T_MS})};
    const struct made_series nan = {LABELS("__name__", "up"), POINTS({UINT64_C(0x7ff8000000000001), T_MS})};
    assert_int_equal(judge_series(b, &stale, 1), 200);
    assert_int_equal(judge_series(b, &stale, 1), 200);
    assert_int_equal(judge_series(b, &nan, 1), 400);
}

static void test_out_of_order_sample_is_skipped_alone(void **state)
{
    struct bench *b = *state;
    const struct made_series s = {LABELS("__name__", "up"),
                                  POINTS(point_of(1, T_MS), point_of(2, T_MS - 1), point_of(3, T_MS + 1))};
    assert_int_equal(judge_series(b, &s, 1), 400);
    assert_says(b, "err-mimir-sample-out-of-order");
    assert_int_equal(b->v.samples, 2);
    assert_int_equal(b->v.out_of_order, 1);
}

static void test_out_of_order_window_takes_late_samples(void **state)
{
    struct bench *b = *state;
    b->limits.v[METRICS_OUT_OF_ORDER_WINDOW] = 7200000;
    assert_int_equal(judge_up(b, 1, T_MS), 200);
    assert_int_equal(judge_up(b, 2, T_MS - 7200000), 200);
    assert_recorded(b, "\"out_of_order\":true");
    assert_int_equal(judge_up(b, 2, T_MS - 7200000), 200);
    assert_int_equal(b->v.duplicates, 1);
    assert_int_equal(judge_up(b, 2, T_MS - 7200001), 400);
    assert_says(b, "err-mimir-sample-timestamp-too-old");
}

static void test_sample_behind_the_head_is_too_old(void **state)
{
    struct bench *b = *state;
    assert_int_equal(judge_up(b, 1, T_MS), 200);
    const struct made_series other = {LABELS("__name__", "other"), POINTS(point_of(1, T_MS - 3600001))};
    assert_int_equal(judge_series(b, &other, 1), 400);
    assert_says(b, "err-mimir-sample-timestamp-too-old");
    b->limits.v[METRICS_HEAD_WINDOW] = 0;
    assert_int_equal(judge_series(b, &other, 1), 200);
}

static void test_future_sample_costs_its_whole_entry(void **state)
{
    struct bench *b = *state;
    const struct made_series s = {LABELS("__name__", "up"), POINTS(point_of(1, T_MS), point_of(2, T_MS + 600001))};
    assert_int_equal(judge_series(b, &s, 1), 400);
    assert_says(b, "err-mimir-too-far-in-future");
    assert_int_equal(b->v.samples, 0);
    assert_int_equal(b->v.rejected, 2);
    assert_int_equal(judge_up(b, 2, T_MS + 600000), 200);
}

static void test_ingester_error_is_told_first(void **state)
{
    struct bench *b = *state;
    judge_up(b, 1, T_MS);
    const struct made_series s[] = {{LABELS("a", "b"), POINTS(point_of(1, T_MS))},
                                    {LABELS("__name__", "up"), POINTS(point_of(2, T_MS))}};
    assert_int_equal(judge_series(b, s, 2), 400);
    assert_says(b, "err-mimir-sample-duplicate-timestamp");
    assert_int_equal(b->v.rejected, 2);
}

/* ---- limits of a tenant
 * --------------------------------------------------------------------------------------------------------- */

static void test_series_limit_keeps_what_exists(void **state)
{
    struct bench *b = *state;
    b->limits.v[METRICS_SERIES] = 1;
    assert_int_equal(judge_up(b, 1, T_MS), 200);
    const struct made_series s[] = {{LABELS("__name__", "other"), POINTS(point_of(1, T_MS))},
                                    {LABELS("__name__", "up"), POINTS(point_of(2, T_MS + 1))}};
    assert_int_equal(judge_series(b, s, 2), 400);
    assert_says(b, "err-mimir-max-series-per-user");
    assert_int_equal(b->v.samples, 1);
    b->push.tenant = "t2"; /* the limit is each tenant's own */
    assert_int_equal(judge_series(b, s, 1), 200);
}

static void test_rate_refuses_the_whole_request(void **state)
{
    struct bench *b = *state;
    b->limits.v[METRICS_RATE] = 1;
    b->limits.v[METRICS_BURST] = 2;
    assert_int_equal(judge_up(b, 1, T_MS), 200);
    assert_int_equal(judge_up(b, 1, T_MS + 1), 200);
    assert_int_equal(judge_up(b, 1, T_MS + 2), 429);
    assert_says(b, "err-mimir-tenant-max-ingestion-rate");
    assert_int_equal(b->v.retry_after, 6);
    assert_int_equal(b->v.samples, 0);
    b->push.retry_attempt = 3;
    assert_int_equal(judge_up(b, 1, T_MS + 2), 429);
    assert_int_equal(b->v.retry_after, 24);
    b->push.retry_attempt = 100;
    assert_int_equal(judge_up(b, 1, T_MS + 2), 429);
    assert_int_equal(b->v.retry_after, 96);
    b->push.now_ns += 1000000000; /* a second fills one token */
    assert_int_equal(judge_up(b, 1, T_MS + 2), 200);
    assert_int_equal(judge_up(b, 1, T_MS + 3), 429);
}

static void test_metadata_limits(void **state)
{
    struct bench *b = *state;
    assert_int_equal(judge_hex(b, "1a020801"), 400);
    assert_says(b, "err-mimir-metadata-missing-metric-name");
    b->limits.v[METRICS_METADATA_BYTES] = 3;
    assert_int_equal(judge_hex(b, "1a06120461626364"), 400);
    assert_says(b, "err-mimir-metric-name-too-long");
    assert_int_equal(judge_hex(b, "1a091201612a0461626364"), 400);
    assert_says(b, "err-mimir-unit-too-long");
    assert_int_equal(judge_hex(b, "1a0912016122046162c3a9"), 200); /* help is cut, between characters */
    assert_recorded(b, "\"help\":\"ab\"");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        T(test_one_sample_is_taken),
        T(test_zero_and_stale_marker_keep_their_bits),
        T(test_metadata_alone_is_taken),
        T(test_all_literal_snappy_is_taken),
        T(test_every_cut_of_a_message_is_refused_or_smaller),
        T(test_value_text_reads_back),
        T(test_headers_are_required),
        T(test_wire_faults_are_named),
        T(test_text_behind_a_nul_is_not_lost),
        T(test_negative_time_keeps_its_value),
        T(test_snappy_block_is_strict),
        T(test_large_body_is_400),
        T(test_bad_labels_cost_their_series_alone),
        T(test_upper_case_names_sort_before_the_metric_name),
        T(test_lenient_judge_sorts_and_drops_empty),
        T(test_same_sample_again_is_a_silent_duplicate),
        T(test_nan_payloads_are_different_values),
        T(test_out_of_order_sample_is_skipped_alone),
        T(test_out_of_order_window_takes_late_samples),
        T(test_sample_behind_the_head_is_too_old),
        T(test_future_sample_costs_its_whole_entry),
        T(test_ingester_error_is_told_first),
        T(test_series_limit_keeps_what_exists),
        T(test_rate_refuses_the_whole_request),
        T(test_metadata_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
