/* The judge of Loki pushes: schema, encodings, limits, partial acceptance, and what it remembers. */
#include <zlib.h>

#include "test_receive_support.h"

#define NOW          "1700000000000000000"
#define PUSH(values) "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[" values "]}]}"

static void test_entry_arrives_as_it_was(void **state)
{
    struct bench *b = *state;
    assert_int_equal(judge_json(b, "{\"streams\":[{\"stream\":{\"job\":\"x\",\"a\":\"\\u00e9\"},\"values\":[[\"" NOW
                                   "\",\"q\\\" \\\\ \\u0000\\n\",{\"trace_id\":\"ab\"}]]}]}"),
                     204);
    assert_int_equal(b->v.entries, 1);
    assert_string_equal(
        bench_records(b),
        "{\"type\":\"entry\",\"tenant\":\"t1\",\"labels\":{\"a\":\"\xc3\xa9\",\"job\":\"x\"},\"time_ns\":\"" NOW
        "\",\"line\":\"q\\\" \\\\ \\u0000\\u000a\",\"metadata\":{\"trace_id\":\"ab\"}}\n");
}

static void test_schema_is_strict(void **state)
{
    struct bench *b = *state;
    static const struct {
        int strict, lenient;
        const char *body;
    } rows[] = {
        {422, 422, "{\"streams\":[]}"},
        {422, 422, "{}"},
        {422, 422, "{\"streams\":null}"},
        {400, 400, "[]"},
        {400, 400, ""},
        {400, 400, "{\"streams\":{}}"},
        {400, 400, "{\"streams\":[1]}"},
        {400, 400, PUSH("[\"" NOW "\",\"x\"]") " x"},
        {400, 400, PUSH("[" NOW ",\"x\"]")},
        {400, 400, PUSH("[\"1.7e18\",\"x\"]")},
        {400, 400, PUSH("[\"2023-11-14T22:13:20Z\",\"x\"]")},
        {400, 400, PUSH("[\"9223372036854775808\",\"x\"]")},
        {400, 400, PUSH("[\"" NOW "\",1]")},
        {400, 400, PUSH("[\"" NOW "\",null]")},
        {400, 400, PUSH("[\"" NOW "\",\"x\",\"y\"]")},
        {400, 400, PUSH("[\"" NOW "\",\"x\",{\"a\":1}]")},
        {400, 400, PUSH("[\"" NOW "\",\"x\",{\"a\":{}}]")},
        {400, 400, PUSH("[\"" NOW "\",\"x\",{\"a\":null}]")},
        {400, 400, PUSH("[\"" NOW "\",\"\\ud800\"]")},
        {400, 400, PUSH("[\"" NOW "\",\"\xff\"]")},
        {400, 400, PUSH("[\"" NOW "\",\"\x01\"]")},
        {400, 400, PUSH("{}")},
        {400, 400, PUSH("[]")},
        {400, 204, PUSH("null")},
        {400, 204, PUSH("[\"" NOW "\"]")},
        {400, 204, PUSH("[\"" NOW "\",\"x\",{},1]")},
        {400, 204, "{\"streams\":[{\"stream\":{\"a\":\"b\",\"a\":\"c\"},\"values\":[[\"" NOW "\",\"x\"]]}]}"},
        {400, 204, "{\"streams\":[{\"stream\":{\"a\":1},\"values\":[[\"" NOW "\",\"x\"]]}]}"},
        {400, 204, "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[],\"more\":1}]}"},
        {400, 204, "{\"streams\":[{\"stream\":{\"a\":\"b\"}}]}"},
        {204, 204, "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[]}]}"},
        {204, 204, "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":null}]}"},
        {204, 204, "{\"streams\":[{\"stream\":{},\"values\":[[\"" NOW "\",\"x\"]]}]}"},
        {204, 204, PUSH("[\"" NOW "\",\"\"],[\"" NOW "\",\"x\",{}]")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        b->limits.v[LOGS_STRICT] = 1;
        if (judge_json(b, rows[i].body) != rows[i].strict)
            fail_msg("strict: %s: %d %s", rows[i].body, b->v.status, bench_text(b));
        b->limits.v[LOGS_STRICT] = 0;
        if (judge_json(b, rows[i].body) != rows[i].lenient)
            fail_msg("lenient: %s: %d %s", rows[i].body, b->v.status, bench_text(b));
    }
}

static void test_lenient_judge_takes_raw_text_of_values(void **state)
{
    struct bench *b = *state;
    b->limits.v[LOGS_STRICT] = 0;
    judge_json(b, "{\"streams\":[{\"stream\":{\"a\":1,\"b\":{\"c\":null}},\"values\":[[\"" NOW "\",\"x\"]]}]}");
    assert_recorded(b, "\"labels\":{\"a\":\"1\",\"b\":\"{\\\"c\\\":null}\"}");
}

static void test_label_names_follow_the_grammar(void **state)
{
    struct bench *b = *state;
    static const char *const bad[] = {"", "a.b", "0a", "a-b", "a:b", "a=\\\"x\\\",b", "\\u00e9", "__backfill__"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"streams\":[{\"stream\":{\"%s\":\"v\"},\"values\":[[\"" NOW "\",\"x\"]]}]}",
                 bad[i]);
        assert_int_equal(judge_json(b, body), 400);
        assert_int_equal(b->v.entries, 0);
    }
    judge_json(b, "{\"streams\":[{\"stream\":{\"a.b\":\"v\"},\"values\":[]}]}");
    assert_says(b, "couldn't parse labels: 1:");
    assert_int_equal(judge_json(b, "{\"streams\":[{\"stream\":{\"a\":\"\\ufffd\"},\"values\":[]}]}"), 400);
    assert_says(b, "invalid UTF-8 rune");
}

static void test_empty_label_values_are_absent(void **state)
{
    struct bench *b = *state;
    assert_int_equal(
        judge_json(b, "{\"streams\":[{\"stream\":{\"a\":\"\",\"b\":\"c\"},\"values\":[[\"" NOW "\",\"x\"]]}]}"), 204);
    assert_recorded(b, "\"labels\":{\"b\":\"c\"}");
}

/* ---- headers and wrapping -------------------------------------------------------------------------------------------
 */

static int judge_type(struct bench *b, const char *type)
{
    judge_json(b, PUSH(""));
    b->push.content_type = type;
    bench_fresh_verdict(b);
    judge_logs(&b->push, &b->limits, &b->store, &b->v);
    return b->v.status;
}

static void test_content_types(void **state)
{
    struct bench *b = *state;
    assert_int_equal(judge_type(b, "application/json"), 204);
    assert_int_equal(judge_type(b, "application/json; charset=utf-8"), 204);
    assert_int_equal(judge_type(b, "application/json;charset=\"utf-8\"; a=b"), 204);
    assert_int_equal(judge_type(b, "application/json;"), 204);
    assert_int_equal(judge_type(b, NULL), 400);
    assert_says(b, "mime: no media type");
    assert_int_equal(judge_type(b, ""), 400);
    assert_int_equal(judge_type(b, "application/json; charsetutf-8"), 400);
    assert_int_equal(judge_type(b, "application/json; a=\"b"), 400);
    assert_int_equal(judge_type(b, "application/json; a="), 400);
    assert_int_equal(judge_type(b, "application/json; a=b; A=c"), 400);
    assert_says(b, "mime: duplicate parameter name");
    assert_int_equal(judge_type(b, "application/json; a=b; a=\"b\"; c=d"), 204);
    assert_int_equal(judge_type(b, "application/jsonn"), 400);
    assert_int_equal(judge_type(b, "text/plain"), 400);
    assert_int_equal(judge_type(b, "application/x-protobuf"), 400); /* JSON is no snappy */
}

/* Compresses with zlib; window_bits chooses gzip (31), zlib (15) or raw deflate (-15). */
static size_t squeeze(const void *in, size_t n, int window_bits, uint8_t *out, size_t cap)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (z_const Bytef *)(uintptr_t)in;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t made = cap - z.avail_out;
    deflateEnd(&z);
    return made;
}

static void test_encodings(void **state)
{
    struct bench *b = *state;
    static const char body[] = PUSH("[\"" NOW "\",\"x\"]");
    const size_t n = sizeof body - 1;
    uint8_t gzip[512], raw[512], zlib[512];
    size_t gzip_n = squeeze(body, n, 31, gzip, 256), raw_n = squeeze(body, n, -15, raw, 256);
    size_t zlib_n = squeeze(body, n, 15, zlib, 256);
    assert_int_equal(judge_json_bytes(b, gzip, gzip_n, "gzip"), 204);
    assert_int_equal(b->v.raw_bytes, n);
    assert_int_equal(judge_json_bytes(b, raw, raw_n, "deflate"), 204);
    assert_int_equal(judge_json_bytes(b, body, n, "snappy"), 204); /* named, not unpacked */
    assert_int_equal(judge_json_bytes(b, body, n, ""), 204);
    assert_int_equal(judge_json_bytes(b, zlib, zlib_n, "deflate"), 400);
    assert_says(b, "zlib header");
    assert_int_equal(judge_json_bytes(b, body, n, "gzip"), 400);
    for (size_t cut = 0; cut < gzip_n; cut++)
        assert_int_equal(judge_json_bytes(b, gzip, cut, "gzip"), 400);
    for (size_t cut = 0; cut < raw_n; cut++)
        assert_int_equal(judge_json_bytes(b, raw, cut, "deflate"), 400);
    raw[raw_n] = 'x';
    assert_int_equal(judge_json_bytes(b, raw, raw_n + 1, "deflate"), 400);
    gzip[gzip_n] = 'x';
    assert_int_equal(judge_json_bytes(b, gzip, gzip_n + 1, "gzip"), 400);
    static const char *const unknown[] = {"zstd", "br", "identity", "x-gzip", "GZIP", "gzip, gzip"};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        assert_int_equal(judge_json_bytes(b, body, n, unknown[i]), 400);
        assert_says(b, "\" not supported");
    }
}

static void test_gzip_members_follow_each_other(void **state)
{
    struct bench *b = *state;
    static const char body[] = PUSH("[\"" NOW "\",\"x\"]");
    uint8_t gzip[1024];
    size_t n = squeeze(body, 10, 31, gzip, 512);
    n += squeeze(body + 10, sizeof body - 11, 31, gzip + n, 512);
    assert_int_equal(judge_json_bytes(b, gzip, n, "gzip"), 204);
}

static void test_large_body_is_413(void **state)
{
    struct bench *b = *state;
    static const char body[] =
        PUSH("[\"" NOW "\",\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"]");
    uint8_t gzip[512];
    size_t n = squeeze(body, sizeof body - 1, 31, gzip, sizeof gzip);
    b->limits.v[LOGS_DECODED_BYTES] = 120;
    assert_int_equal(judge_json_bytes(b, gzip, n, "gzip"), 413);
    assert_says(b, "request body too large: decompressed message size too large than max (121 vs 120)");
    b->limits.v[LOGS_BODY_BYTES] = 50;
    assert_int_equal(judge_json(b, body), 413);
    assert_says(b, "request body too large: message size too large than max (");
}

/* ---- validation
 * ----------------------------------------------------------------------------------------------------------- */

static void test_bad_entries_are_removed_good_ones_kept(void **state)
{
    struct bench *b = *state;
    b->limits.v[LOGS_LINE_BYTES] = 4;
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"12345\"],[\"" NOW "\",\"1234\"]")), 400);
    assert_string_equal(
        bench_text(b),
        "max entry size '4' bytes exceeded for stream '{a=\"b\"}' while adding an entry with length '5' bytes");
    assert_int_equal(b->v.entries, 1);
    assert_int_equal(b->v.rejected, 1);
    /* twice the same words, and others */
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"12345\"],[\"" NOW "\",\"23456\"],[\"" NOW "\",\"123456\"]")),
                     400);
    assert_says(b, "2 errors like: max entry size '4' bytes");
    assert_says(b, "; 1 errors like: max entry size");
    assert_int_equal(b->v.rejected, 3);
}

static void test_time_limits(void **state)
{
    struct bench *b = *state;
    assert_int_equal(judge_json(b, PUSH("[\"1699395200000000000\",\"x\"]")), 204); /* 7 days to the ns */
    assert_int_equal(judge_json(b, PUSH("[\"1699395199999999999\",\"x\"]")), 400);
    assert_says(
        b, "entry for stream '{a=\"b\"}' has timestamp too old: 2023-11-07T22:13:19Z, oldest acceptable timestamp is: "
           "2023-11-07T22:13:20Z");
    assert_int_equal(judge_json(b, PUSH("[\"1700000600000000000\",\"x\"]")), 204);
    assert_int_equal(judge_json(b, PUSH("[\"1700000600000000001\",\"x\"]")), 400);
    assert_says(b, "has timestamp too new: 2023-11-14T22:23:20Z");
    assert_int_equal(judge_json(b, PUSH("[\"-9223372036854775808\",\"x\"]")), 400);
    assert_int_equal(judge_json(b, PUSH("[\"+" NOW "\",\"x\"]")), 400);
    assert_says(b, "the timestamp is no string");
}

static void test_order_window_moves_with_the_entries(void **state)
{
    struct bench *b = *state;
    assert_int_equal(judge_json(b, PUSH("[\"1700000000000000000\",\"x\"],[\"1699996400000000000\",\"edge\"]")), 204);
    assert_int_equal(judge_json(b, PUSH("[\"1699996399999999999\",\"x\"],[\"1700000000000000001\",\"y\"]")), 400);
    assert_string_equal(
        bench_text(b),
        "entry with timestamp 2023-11-14 21:13:19.999999999 +0000 UTC ignored, reason: 'entry too far behind, "
        "entry timestamp is: 2023-11-14T21:13:19Z, oldest acceptable timestamp is: 2023-11-14T21:13:20Z',\n"
        "user 't1', total ignored: 1 out of 2 for stream: {a=\"b\"}");
    assert_int_equal(b->v.entries, 1);
    assert_int_equal(b->v.reasons[REASON_ENTRY_TOO_FAR_BEHIND], 1);
}

static void test_label_limits_cost_the_stream(void **state)
{
    struct bench *b = *state;
    b->limits.v[LOGS_LABELS] = 1;
    assert_int_equal(judge_json(b, "{\"streams\":[{\"stream\":{\"a\":\"1\",\"b\":\"2\"},\"values\":[[\"" NOW
                                   "\",\"x\"],[\"" NOW
                                   "\",\"y\"]]},{\"stream\":{\"a\":\"1\",\"service_name\":\"s\"},\"values\":[[\"" NOW
                                   "\",\"z\"]]}]}"),
                     400);
    assert_string_equal(bench_text(b), "entry for stream '{a=\"1\", b=\"2\"}' has 2 label names; limit 1");
    assert_int_equal(b->v.entries, 1);
    assert_int_equal(b->v.rejected, 2);
    b->limits.v[LOGS_LABEL_NAME_BYTES] = 3;
    judge_json(b, "{\"streams\":[{\"stream\":{\"abcd\":\"1\"},\"values\":[[\"" NOW "\",\"x\"]]}]}");
    assert_says(b, "has label name too long: 'abcd'");
    b->limits.v[LOGS_LABEL_VALUE_BYTES] = 3;
    judge_json(b, "{\"streams\":[{\"stream\":{\"a\":\"1234\"},\"values\":[[\"" NOW "\",\"x\"]]}]}");
    assert_says(b, "has label value too long: '1234'");
}

static void test_structured_metadata_limits(void **state)
{
    struct bench *b = *state;
    b->limits.v[LOGS_METADATA_BYTES] = 4;
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"x\",{\"ab\":\"cd\"}]")), 204);
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"x\",{\"ab\":\"cde\"}]")), 400);
    assert_says(b, "has structured metadata too large: '5' bytes, limit: '4' bytes.");
    b->limits.v[LOGS_METADATA_PAIRS] = 1;
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"x\",{\"a\":\"\",\"b\":\"\"}]")), 400);
    assert_says(b, "has too many structured metadata labels: '2', limit: '1'.");
}

static void test_poisonous_metadata_name_fails_the_whole(void **state)
{
    struct bench *b = *state;
    static const char *const names[] = {"", "_", "__", ".", "\\u00e9"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char body[256];
        snprintf(body, sizeof body, PUSH("[\"" NOW "\",\"ok\"],[\"" NOW "\",\"x\",{\"%s\":\"v\"}]"), names[i]);
        assert_int_equal(judge_json(b, body), 500);
        assert_says(b, names[i][0] ? "resulted in invalid name \"_\"" : "label name is empty");
        assert_int_equal(b->v.entries, 0);
    }
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"x\",{\"a.b\":\"v\",\"_1\":\"\"}]")), 204);
}

/* ---- limits of a tenant
 * ------------------------------------------------------------------------------------------------------ */

static void test_stream_limit_keeps_what_exists(void **state)
{
    struct bench *b = *state;
    b->limits.v[LOGS_STREAMS] = 1;
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"x\"]")), 204);
    assert_int_equal(judge_json(b, "{\"streams\":[{\"stream\":{\"c\":\"d\"},\"values\":[[\"" NOW
                                   "\",\"x\"]]},{\"stream\":{\"a\":\"b\"},\"values\":[[\"" NOW "\",\"y\"]]}]}"),
                     429);
    assert_says(b, "maximum active stream limit exceeded when trying to create stream {c=\"d\"}");
    assert_int_equal(b->v.entries, 1);
}

static void test_byte_rate_refuses_the_whole(void **state)
{
    struct bench *b = *state;
    b->limits.v[LOGS_RATE] = 10;
    b->limits.v[LOGS_BURST] = 10;
    /* 3 bytes of line, 5 of metadata; detected_level is not billed */
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"xxx\",{\"ab\":\"cde\",\"detected_level\":\"info\"}]")), 204);
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"yyy\"]")), 429);
    assert_string_equal(bench_text(b),
                        "ingestion rate limit exceeded for user t1 (limit: 10 bytes/sec) while attempting to "
                        "ingest '1' lines totaling '3' bytes, reduce log volume or contact your Loki "
                        "administrator to see if the limit can be increased");
    assert_int_equal(b->v.retry_after, 0);
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"zz\"]")), 204); /* the refused one cost nothing */
    b->push.now_ns += 1000000000;
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"yyy\"]")), 204);
}

static void test_stream_rate_refuses_the_stream(void **state)
{
    struct bench *b = *state;
    b->limits.v[LOGS_STREAM_RATE] = 10;
    b->limits.v[LOGS_STREAM_BURST] = 10;
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"0123456789x\"]")), 429);
    assert_says(b, "Per stream rate limit exceeded (limit: 10B/sec)");
    assert_says(b, "total ignored: 1 out of 1 for stream: {a=\"b\"}");
    assert_int_equal(judge_json(b, PUSH("[\"" NOW "\",\"0123456789\"]")), 204);
}

static void test_same_entry_again_is_a_duplicate(void **state)
{
    struct bench *b = *state;
    const char *two = PUSH("[\"" NOW "\",\"x\",{\"a\":\"b\"}],[\"" NOW "\",\"x\"]");
    assert_int_equal(judge_json(b, two), 204);
    assert_int_equal(b->v.duplicates, 0);
    assert_int_equal(judge_json(b, two), 204);
    assert_int_equal(b->v.duplicates, 2);
    assert_recorded(b, "\"metadata\":{},\"duplicate\":true}");
    judge_json(b, PUSH("[\"" NOW "\",\"y\"]"));
    assert_int_equal(b->v.duplicates, 0);
}

static void test_memory_of_entries_is_bounded(void **state)
{
    struct seen seen = {0};
    (void)state;
    for (uint64_t i = 1; i <= 1000; i++)
        assert_false(seen_before(&seen, i, 100));
    assert_true(seen_before(&seen, 1000, 100));
    assert_true(seen_before(&seen, 901, 100));
    assert_true(seen.count[0] + seen.count[1] <= 200);
    assert_false(seen_before(&seen, 1, 100));
    free(seen.set[0]);
    free(seen.set[1]);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        T(test_entry_arrives_as_it_was),
        T(test_schema_is_strict),
        T(test_lenient_judge_takes_raw_text_of_values),
        T(test_label_names_follow_the_grammar),
        T(test_empty_label_values_are_absent),
        T(test_content_types),
        T(test_encodings),
        T(test_gzip_members_follow_each_other),
        T(test_large_body_is_413),
        T(test_bad_entries_are_removed_good_ones_kept),
        T(test_time_limits),
        T(test_order_window_moves_with_the_entries),
        T(test_label_limits_cost_the_stream),
        T(test_structured_metadata_limits),
        T(test_poisonous_metadata_name_fails_the_whole),
        T(test_stream_limit_keeps_what_exists),
        T(test_byte_rate_refuses_the_whole),
        T(test_stream_rate_refuses_the_stream),
        T(test_same_entry_again_is_a_duplicate),
        cmocka_unit_test(test_memory_of_entries_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
