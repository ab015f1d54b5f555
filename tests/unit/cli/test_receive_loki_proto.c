/* The judge of Loki pushes in protobuf: the wire, the label grammar, wrapping; what the schema does not know. */
#include <zlib.h>

#include "logproto.pb-c.h"
#include "test_receive_support.h"

#define NOW_S 1700000000

static int judge_packed(struct bench *b, const void *body, size_t n, const char *type, const char *encoding)
{
    b->push.body = view_make(body, n);
    b->push.content_type = type;
    b->push.content_encoding = encoding;
    bench_fresh_verdict(b);
    judge_logs(&b->push, &b->limits, &b->store, &b->v);
    return b->v.status;
}

static int judge_bytes(struct bench *b, const void *message, size_t n)
{
    compress_message(&b->body, message, n);
    return judge_packed(b, b->body.p, b->body.n, "application/x-protobuf", "snappy");
}

#define judge_literal(b, text) judge_bytes(b, text, sizeof(text) - 1)

/* One stream with one entry. */
struct one {
    const char *labels, *line;
    int64_t seconds;
    int32_t nanos;
    const char *name, *value; /* metadata; NULL = none */
};

static struct buf one_message(const struct one *o)
{
    struct buf out = {0};
    Gcw__Loki__Timestamp time;
    Gcw__Loki__LabelPair pair, *pairs[] = {&pair};
    Gcw__Loki__Entry entry, *entries[] = {&entry};
    Gcw__Loki__Stream stream, *streams[] = {&stream};
    Gcw__Loki__PushRequest request;
    gcw__loki__timestamp__init(&time);
    gcw__loki__label_pair__init(&pair);
    gcw__loki__entry__init(&entry);
    gcw__loki__stream__init(&stream);
    gcw__loki__push_request__init(&request);
    time.seconds = o->seconds, time.nanos = o->nanos;
    entry.timestamp = &time;
    entry.line = (char *)(uintptr_t)o->line;
    if (o->name) {
        pair.name = (char *)(uintptr_t)o->name, pair.value = (char *)(uintptr_t)o->value;
        entry.structured_metadata = pairs, entry.n_structured_metadata = 1;
    }
    stream.labels = (char *)(uintptr_t)o->labels;
    stream.entries = entries, stream.n_entries = 1;
    request.streams = streams, request.n_streams = 1;
    assert_true(buf_reserve(&out, gcw__loki__push_request__get_packed_size(&request) + 1));
    out.n = gcw__loki__push_request__pack(&request, out.p);
    return out;
}

static int judge_one(struct bench *b, struct one o)
{
    struct buf message = one_message(&o);
    int status = judge_bytes(b, message.p, message.n);
    buf_free(&message);
    return status;
}

static int judge_labels(struct bench *b, const char *labels)
{
    return judge_one(b, (struct one){labels, "x", NOW_S, 0, NULL, NULL});
}

static void test_entry_arrives_as_it_was(void **state)
{
    struct bench *b = *state;
    assert_int_equal(judge_one(b, (struct one){"{job=\"x\", a=\"\xc3\xa9\"}", "q\" \\ \n", NOW_S, 5, "trace_id", "ab"}),
                     204);
    assert_string_equal(
        bench_records(b),
        "{\"type\":\"entry\",\"tenant\":\"t1\",\"labels\":{\"a\":\"\xc3\xa9\",\"job\":\"x\"},\"time_ns\":"
        "\"1700000000000000005\",\"line\":\"q\\\" \\\\ \\u000a\",\"metadata\":{\"trace_id\":\"ab\"}}\n");
}

static void test_golden_bytes_are_taken(void **state)
{
    struct bench *b = *state;
    static const char body[] = "\x2b\xa8\x0a\x29\x0a\x07{a=\"b\"}\x12\x1e\x0a\x08\x08\x80\xe2\xcf\xaa\x06\x10\x05\x12"
                               "\x02hi\x1a\x0e\x0a\x08trace_id\x12\x02"
                               "ab";
    assert_int_equal(judge_packed(b, body, sizeof body - 1, "application/x-protobuf", NULL), 204);
    assert_recorded(b, "\"time_ns\":\"1700000000000000005\",\"line\":\"hi\",\"metadata\":{\"trace_id\":\"ab\"}");
}

static void test_labels_follow_the_grammar(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *labels, *want; /* NULL = refused */
    } rows[] = {
        {"{}", "{}"},
        {"{a=\"b\"}", "{\"a\":\"b\"}"},
        {" { a = \"b\" , } ", "{\"a\":\"b\"}"},
        {"{z=\"1\",a=\"2\"}", "{\"a\":\"2\",\"z\":\"1\"}"},
        {"{a=\"\"}", "{}"},
        {"{a=\"\\\\ \\\" \\n\"}", "{\"a\":\"\\\\ \\\" \\u000a\"}"},
        {"{a=\"\\x41\\102\\u00e9\\U0001F600\"}", "{\"a\":\"AB\xc3\xa9\xf0\x9f\x98\x80\"}"},
        {"{a=\"\\ufffd\"}", NULL},
        {"{a=\"\xef\xbf\xbd\"}", NULL},
        {"{a=\"\\xff\"}", NULL},
        {"{a=\"\\ud800\"}", NULL},
        {"{a=\"\\q\"}", NULL},
        {"{a=\"\\u12\"}", NULL},
        {"{a=\"b\nc\"}", NULL},
        {"{a=\"b}", NULL},
        {"{a=\"b\"", NULL},
        {"{a=\"b\"} x", NULL},
        {"{a=\"b\" c=\"d\"}", NULL},
        {"{a=b}", NULL},
        {"{0a=\"b\"}", NULL},
        {"{a.b=\"c\"}", NULL},
        {"{\"a.b\"=\"c\"}", NULL},
        {"{a=\"b\",a=\"c\"}", NULL},
        {"{,}", NULL},
        {"a=\"b\"", NULL},
        {"", NULL},
        {"{__backfill__=\"x\"}", NULL},
        {"{a=\"\\", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int status = judge_labels(b, rows[i].labels);
        if (status != (rows[i].want ? 204 : 400))
            fail_msg("%s: %d %s", rows[i].labels, status, bench_text(b));
        if (rows[i].want)
            assert_recorded(b, rows[i].want);
    }
    judge_labels(b, "{a=\"b\" c=\"d\"}");
    assert_says(b, "couldn't parse labels: 1:8: parse error: expected ',' or '}'");
}

static void test_times_are_seconds_and_nanos(void **state)
{
    struct bench *b = *state;
    static const struct {
        int64_t seconds;
        int32_t nanos;
        int status;
    } rows[] = {
        {NOW_S, 999999999, 204},       {NOW_S, 1000000000, 400},     {NOW_S, -1, 400},
        {-1, 999999999, 204},          {INT64_MAX, 0, 400},          {INT64_MIN, 0, 400},
        {9223372036, 854775807, 204},  {9223372036, 854775808, 400}, {-9223372037, 145224192, 204},
        {-9223372037, 145224191, 400},
    };
    b->limits.v[LOGS_PAST] = b->limits.v[LOGS_FUTURE] = b->limits.v[LOGS_ORDER_WINDOW] = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int status = judge_one(b, (struct one){"{a=\"b\"}", "x", rows[i].seconds, rows[i].nanos, NULL, NULL});
        if (status != rows[i].status)
            fail_msg("row %zu: %d %s", i, status, bench_text(b));
    }
    judge_one(b, (struct one){"{a=\"b\"}", "least", -9223372037, 145224192, NULL, NULL});
    assert_recorded(b, "\"time_ns\":\"-9223372036854775808\"");
}

/* What Loki's decoder passes over, and what it does not either. */
static void test_wire_is_strict(void **state)
{
    struct bench *b = *state;
#define STAMP     "\x0a\x06\x08\x80\xe2\xcf\xaa\x06"
#define LABELS_AB "\x0a\x07{a=\"b\"}"
    static const struct {
        const char *bytes;
        size_t n;
        int strict, lenient;
    } rows[] = {
#define ROW(text, s, l) {text, sizeof(text) - 1, s, l}
        ROW("", 422, 422),
        ROW("\x0a\x13" LABELS_AB "\x12\x08" STAMP, 204, 204),
        ROW("\x0a\x09" LABELS_AB, 204, 204),                              /* no entries */
        ROW("\x0a\x00", 400, 400),                                        /* no labels */
        ROW("\x0a\x0b" LABELS_AB "\x12\x00", 400, 400),                   /* no time: 1970, too old for Loki */
        ROW("\x0a\x15" LABELS_AB "\x12\x08" STAMP "\x18\x01", 400, 204),  /* hash */
        ROW("\x0a\x13" LABELS_AB "\x12\x08" STAMP "\x12\x01x", 400, 204), /* format */
        ROW("\x0a\x15" LABELS_AB "\x12\x0a" STAMP "\x22\x00", 400, 204),  /* parsed */
        ROW("\x0a\x1c" LABELS_AB LABELS_AB "\x12\x08" STAMP, 400, 204),   /* labels twice */
        ROW("\x0a\x93\x00" LABELS_AB "\x12\x08" STAMP, 400, 204),         /* a length in two bytes instead of one */
        ROW("\x0a\x13" LABELS_AB "\x12\x09" STAMP, 400, 400),             /* reaches too far */
        ROW("\x0a\x14" LABELS_AB "\x12\x08" STAMP, 400, 400),
        ROW("\x08\x01", 400, 400), /* wrong wire type */
        ROW("\x0b", 400, 400),
        ROW("\x00", 400, 400),
        ROW("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 400, 400),
        ROW("\x0a\x16" LABELS_AB "\x12\x0b" STAMP "\x12\x01\xff", 400, 400), /* not UTF-8 */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        b->limits.v[LOGS_STRICT] = 1;
        int strict = judge_bytes(b, rows[i].bytes, rows[i].n);
        b->limits.v[LOGS_STRICT] = 0;
        int lenient = judge_bytes(b, rows[i].bytes, rows[i].n);
        if (strict != rows[i].strict || lenient != rows[i].lenient)
            fail_msg("row %zu: %d %d %s", i, strict, lenient, bench_text(b));
    }
}

static void test_wrapping_is_snappy_inside_whatever_is_named(void **state)
{
    struct bench *b = *state;
    static const char line[] = "a line that is longer than its snappy form: ababababababababababababababababababab";
    struct buf message = one_message(&(struct one){"{a=\"b\"}", line, NOW_S, 0, NULL, NULL});
    const char *type = "application/x-protobuf";
    uint8_t zipped[512];
    compress_message(&b->body, message.p, message.n);
    assert_int_equal(judge_packed(b, b->body.p, b->body.n, type, NULL), 204);
    assert_int_equal(judge_packed(b, b->body.p, b->body.n, type, "snappy"), 204);
    assert_int_equal(judge_packed(b, b->body.p, b->body.n, type, "zstd"), 400);
    assert_int_equal(judge_packed(b, message.p, message.n, type, NULL), 400); /* not compressed */
    for (int raw = 0; raw < 2; raw++) {
        z_stream z = {
            .next_in = b->body.p, .avail_in = (uInt)b->body.n, .next_out = zipped, .avail_out = sizeof zipped};
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, raw ? -15 : 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        size_t n = z.total_out;
        deflateEnd(&z);
        assert_int_equal(judge_packed(b, zipped, n, type, raw ? "deflate" : "gzip"), 204);
    }
    b->limits.v[LOGS_DECODED_BYTES] = message.n - 1;
    assert_int_equal(judge_packed(b, b->body.p, b->body.n, type, NULL), 413);
    b->limits.v[LOGS_DECODED_BYTES] = message.n;
    assert_int_equal(judge_packed(b, b->body.p, b->body.n, type, NULL), 204);
    b->limits.v[LOGS_LABELS_BYTES] = 6;
    assert_int_equal(judge_packed(b, b->body.p, b->body.n, type, NULL), 413);
    buf_free(&message);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_entry_arrives_as_it_was),
        TEST(test_golden_bytes_are_taken),
        TEST(test_labels_follow_the_grammar),
        TEST(test_times_are_seconds_and_nanos),
        TEST(test_wire_is_strict),
        TEST(test_wrapping_is_snappy_inside_whatever_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
