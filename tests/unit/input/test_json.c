/* JSON lines: which text becomes what, and the same verdict as jansson on any text. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "input/input.h"
#include "input/json_scan.h"

/* line | label=value ... | metadata=value ... | time, as one text */
static struct buf line_show(const struct json_line *l)
{
    struct buf b = {0};
    assert_true(buf_append(&b, l->line.p, l->line.n) && buf_puts(&b, " |"));
    for (size_t i = 0; i < l->label_count + l->metadata_count; i++) {
        const gcw_label *p = i < l->label_count ? &l->labels[i] : &l->metadata[i - l->label_count];
        assert_true(buf_puts(&b, i == l->label_count ? " | " : " "));
        assert_true(buf_append(&b, p->name, p->name_len) && buf_puts(&b, "=") &&
                    buf_append(&b, p->value, p->value_len));
    }
    if (l->has_time)
        assert_true(buf_printf(&b, " @%" PRId64, l->time_ns));
    assert_true(buf_cstr(&b));
    return b;
}

static const struct json_key label_keys[] = {{"level", "severity"}, {"a.b.c", "abc"}};
static const struct json_key metadata_keys[] = {{"trace_id", "trace_id"}, {"x", "x"}, {"msg", "again"}};

/* In memory of its own, so that no read past the line goes unseen. */
static gcw_status parse(struct json_reader *r, const char *text, size_t n, struct buf *shown, gcw_error *err)
{
    struct json_line out;
    char *copy = malloc(n + (n == 0));
    assert_non_null(copy);
    memcpy(copy, text, n);
    gcw_status status = json_reader_parse(r, view_make(copy, n), &out, err);
    *shown = line_show(&out);
    free(copy);
    return status;
}

static struct json_reader *reader_new(const struct time_format *f)
{
    const struct json_line_config c = {.time_key = "ts",
                                       .time_format = f,
                                       .line_key = "msg",
                                       .labels = label_keys,
                                       .label_count = ARRAY_LEN(label_keys),
                                       .metadata = metadata_keys,
                                       .metadata_count = ARRAY_LEN(metadata_keys)};
    struct json_reader *r = json_reader_new(&c);
    assert_non_null(r);
    return r;
}

static const struct {
    const char *line, *shown;
} good[] = {
    {"{}", "{} |"},
    {" \t{ } \r", " \t{ } \r |"},
    {"{\"msg\":\"hello\"}", "hello | | again=hello"},
    {"{\"msg\":\"\"}", " | | again="},
    {"{\"level\":\"info\",\"trace_id\":\"abc\"}",
     "{\"level\":\"info\",\"trace_id\":\"abc\"} | severity=info | trace_id=abc"},
    {"{\"msg\":\"m\",\"ts\":1700000000}", "m | | again=m @1700000000000000000"},
    {"{\"msg\":\"m\",\"ts\":\"1700000000\"}", "m | | again=m @1700000000000000000"},
    {"{\"msg\":\"m\",\"ts\":1700000000.123456789}", "m | | again=m @1700000000123456789"}, /* no double between */
    {"{\"msg\":\"m\",\"ts\":1700000000123456789}", "m | | again=m @1700000000123456789"},
    {"{\"msg\":\"m\",\"ts\":\"2024-02-29T12:34:56.5Z\"}", "m | | again=m @1709210096500000000"},
    {"{\"msg\":\"m\",\"ts\":\"2024-02-29T12:34:56.5\\u005a\"}", "m | | again=m @1709210096500000000"},
    {"{\"msg\":\"m\",\"ts\":null}", "m | | again=m"},
    {"{\"level\":null,\"msg\":\"m\"}", "m | | again=m"},
    /* everything has a text */
    {"{\"msg\":12.50,\"x\":true,\"level\":false}", "12.50 | severity=false | x=true again=12.50"},
    {"{\"msg\":\"m\",\"x\":-0}", "m | | x=-0 again=m"},
    {"{\"msg\":\"m\",\"x\":184467440737095516150000}", "m | | x=184467440737095516150000 again=m"},
    {"{\"msg\":\"m\",\"x\":1.0E+400}", "m | | x=1.0E+400 again=m"},
    {"{\"msg\":{ \"a\" : [ 1 , \" , \\\" \" ] },\"x\":[ ]}",
     "{\"a\":[1,\" , \\\" \"]} | | x=[] again={\"a\":[1,\" , \\\" \"]}"},
    /* escapes */
    {"{\"msg\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"}", "a\"\\/\b\f\n\r\tz | | again=a\"\\/\b\f\n\r\tz"},
    {"{\"msg\":\"\\u00e9\\u20ac\\ud83d\\ude00\\u007A\"}",
     "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z | | again=\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"},
    {"{\"\\u006dsg\":\"key\"}", "key | | again=key"},
    /* of several the last */
    {"{\"msg\":\"1\",\"msg\":\"2\"}", "2 | | again=2"},
    {"{\"a\":{\"b\":{\"c\":1,\"c\":2}}}", "{\"a\":{\"b\":{\"c\":1,\"c\":2}}} | abc=2"},
    /* paths */
    {"{\"msg\":\"m\",\"a\":{\"b\":{\"c\":\"deep\"}}}", "m | abc=deep | again=m"},
    {"{\"msg\":\"m\",\"a\":{\"b\":{\"c\":\"deep\"}},\"a.b.c\":\"flat\"}", "m | abc=flat | again=m"},
    {"{\"msg\":\"m\",\"a\":{\"b\":1}}", "m | | again=m"},
    {"{\"msg\":\"m\",\"a\":[{\"b\":1}]}", "m | | again=m"},
    {"{\"msg\":\"m\",\"a\":{\"b\":{}}}", "m | | again=m"},
    {"{\"msg\":\"m\",\"a\":{}}", "m | | again=m"},
};

static void test_keys_become_line_labels_metadata_and_time(void **state)
{
    (void)state;
    struct time_format *f = time_format_new("auto", NULL);
    struct json_reader *r = reader_new(f);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        gcw_error err = {0};
        struct buf shown;
        gcw_status status = parse(r, good[i].line, strlen(good[i].line), &shown, &err);
        if (status != GCW_OK || strcmp((char *)shown.p, good[i].shown) != 0)
            print_error("%s: %s\n", good[i].line, err.text);
        assert_string_equal((char *)shown.p, good[i].shown);
        assert_int_equal(status, GCW_OK);
        buf_free(&shown);
    }
    json_reader_free(r);
    time_format_free(f);
}

static const struct {
    const char *line, *why;
} bad[] = {
    {"", "column 1: not a JSON object"},
    {"plain text", "column 1: not a JSON object"},
    {"[1]", "column 1: not a JSON object"},
    {"\"a\"", "column 1: not a JSON object"},
    {"12", "column 1: not a JSON object"},
    {"\xef\xbb\xbf{}", "column 1: not a JSON object"},
    {"{", "column 2: a key in quotes is missing"},
    {"{a:1}", "column 2: a key in quotes is missing"},
    {"{\"a\"}", "column 5: ':' is missing behind a key"},
    {"{\"a\":}", "column 6: no value starts with this character"},
    {"{\"a\":", "column 6: a value is missing at the end"},
    {"{\"a\":1", "column 7: ',' or '}' is missing"},
    {"{\"a\":1,}", "column 8: a key in quotes is missing"},
    {"{,}", "column 2: a key in quotes is missing"},
    {"{\"a\":1} x", "column 9: more text behind the object"},
    {"{\"a\":1}{}", "column 8: more text behind the object"},
    {"{\"a\":[1,]}", "column 9: no value starts with this character"},
    {"{\"a\":[1 2]}", "column 9: ',' or ']' is missing"},
    {"{\"a\":[1}", "column 8: ',' or ']' is missing"},
    {"{\"a\":{\"b\":1]}", "column 12: ',' or '}' is missing"},
    {"{\"a\":{\"b\" 1}}", "column 11: ':' is missing behind a key"},
    {"{\"a\":\"x}", "column 9: the string does not end"},
    {"{\"a\":\"x\\", "column 8: no such escape"},
    {"{\"a\":\"\\x\"}", "column 7: no such escape"},
    {"{\"a\":\"\\u12g4\"}", "column 7: no such escape"},
    {"{\"a\":\"\\ud800\"}", "column 7: no such escape"},
    {"{\"a\":\"\\ud800\\u0041\"}", "column 7: no such escape"},
    {"{\"a\":\"\\udc00\"}", "column 7: no such escape"},
    {"{\"a\":\"\t\"}", "column 7: a control character in a string"},
    {"{\"a\":\"\xff\"}", "column 7: a string that is not valid UTF-8"},
    {"{\"a\":\"\xed\xa0\x80\"}", "column 7: a string that is not valid UTF-8"},
    {"{\"\xc3\":1}", "column 3: a string that is not valid UTF-8"},
    {"{\"a\":01}", "column 7: ',' or '}' is missing"},
    {"{\"a\":-}", "column 7: a digit is missing in a number"},
    {"{\"a\":1.}", "column 8: a digit is missing in a number"},
    {"{\"a\":1e}", "column 8: a digit is missing in a number"},
    {"{\"a\":.5}", "column 6: no value starts with this character"},
    {"{\"a\":+1}", "column 6: no value starts with this character"},
    {"{\"a\":NaN}", "column 6: no value starts with this character"},
    {"{\"a\":True}", "column 6: no value starts with this character"},
    {"{\"a\":truex}", "column 10: ',' or '}' is missing"},
    {"{\"a\":1/**/}", "column 7: ',' or '}' is missing"},
};

static void test_other_lines_are_invalid_and_still_lines(void **state)
{
    (void)state;
    struct time_format *f = time_format_new("auto", NULL);
    struct json_reader *r = reader_new(f);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        gcw_error err = {0};
        struct json_line out;
        struct view line = view_of(bad[i].line);
        assert_int_equal(json_reader_parse(r, line, &out, &err), GCW_ERR_INVALID);
        assert_string_equal(err.text, bad[i].why);
        assert_true(out.line.p == line.p && out.line.n == line.n);
        assert_false(out.has_time);
        assert_int_equal(out.label_count + out.metadata_count, 0);
    }
    json_reader_free(r);
    time_format_free(f);
}

static void test_a_bad_time_leaves_the_rest_usable(void **state)
{
    (void)state;
    static const char *const times[] = {"\"yesterday\"", "true", "[1700000000]", "{}", "1e300", "\"\""};
    struct time_format *f = time_format_new("auto", NULL);
    struct json_reader *r = reader_new(f);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        char line[128];
        gcw_error err = {0};
        struct buf shown;
        snprintf(line, sizeof line, "{\"msg\":\"m\",\"level\":\"warn\",\"ts\":%s}", times[i]);
        assert_int_equal(parse(r, line, strlen(line), &shown, &err), GCW_ERR_INVALID);
        assert_string_equal((char *)shown.p, "m | severity=warn | again=m");
        assert_non_null(strstr(err.text, "time key ts"));
        buf_free(&shown);
    }
    json_reader_free(r);
    time_format_free(f);
}

static void test_nuls_pass(void **state)
{
    (void)state;
    struct json_reader *r = reader_new((struct time_format *)(uintptr_t)1); /* not used: no time in these lines */
    struct json_line out;
    static const char line[] = "{\"msg\":\"a\\u0000b\",\"k\\u0000\":1}";
    assert_int_equal(json_reader_parse(r, view_make(line, sizeof line - 1), &out, NULL), GCW_OK);
    assert_int_equal(out.line.n, 3);
    assert_memory_equal(out.line.p, "a\0b", 3);
    static const char raw[] = "{\"msg\":\"a\0b\"}";
    assert_int_equal(json_reader_parse(r, view_make(raw, sizeof raw - 1), &out, NULL), GCW_ERR_INVALID);
    json_reader_free(r);
}

static void test_deep_nesting_is_bounded(void **state)
{
    (void)state;
    const struct json_line_config c = {0};
    struct json_reader *r = json_reader_new(&c);
    for (size_t depth = JSON_DEPTH_MAX - 1; depth < JSON_DEPTH_MAX + 3; depth++) {
        struct buf b = {0};
        struct json_line out;
        assert_true(buf_puts(&b, "{\"a\":"));
        for (size_t i = 0; i < depth; i++)
            assert_true(buf_puts(&b, i % 3 ? "[" : "{\"k\":"));
        assert_true(buf_puts(&b, "1"));
        for (size_t i = depth; i > 0; i--)
            assert_true(buf_puts(&b, (i - 1) % 3 ? "]" : "}"));
        assert_true(buf_puts(&b, "}"));
        gcw_status want = depth <= JSON_DEPTH_MAX ? GCW_OK : GCW_ERR_INVALID;
        assert_int_equal(json_reader_parse(r, buf_view(&b), &out, NULL), want);
        buf_free(&b);
    }
    json_reader_free(r);
}

static void test_a_thousand_keys_and_a_megabyte_of_escapes(void **state)
{
    (void)state;
    const struct json_key keys[] = {{"k0", "first"}, {"k999", "last"}};
    const struct json_line_config c = {.line_key = "msg", .labels = keys, .label_count = 2};
    struct json_reader *r = json_reader_new(&c);
    struct buf b = {0};
    struct json_line out;
    assert_true(buf_puts(&b, "{\"msg\":\""));
    for (size_t i = 0; i < MIB / 2; i++)
        assert_true(buf_puts(&b, "\\n"));
    assert_true(buf_puts(&b, "\""));
    for (int i = 0; i < 1000; i++)
        assert_true(buf_printf(&b, ",\"k%d\":\"\\t%d\"", i, i));
    assert_true(buf_puts(&b, "}"));
    assert_int_equal(json_reader_parse(r, buf_view(&b), &out, NULL), GCW_OK);
    assert_int_equal(out.line.n, MIB / 2);
    assert_int_equal(out.label_count, 2);
    assert_int_equal(out.labels[1].value_len, 4);
    assert_memory_equal(out.labels[1].value, "\t999", 4);
    buf_free(&b);
    json_reader_free(r);
}

/* ---- against jansson --------------------------------------------------------------------------------------------- */

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

/* jansson also refuses numbers it can't hold and NULs in keys, which are no concern here. */
static bool verdict_counts(const json_t *j, const json_error_t *e)
{
    return j ||
           (json_error_code(e) != json_error_numeric_overflow && json_error_code(e) != json_error_null_byte_in_key);
}

static void test_random_texts_get_the_verdict_of_jansson(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"a\"",
        "\"msg\"",
        "\"x\":1",
        "\"",
        "\\",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\\ud800",
        "1",
        "-2.5e3",
        "0",
        "true",
        "false",
        "null",
        " ",
        "\t",
        "\xc3\xa9",
        "\xff",
        "\"msg\":",
        "\"m\\\"sg\"",
        "tru",
        "1.",
        "{\"b\":[1,2]}",
        "\n",
    };
    const char *given = getenv("GCW_TEST_SEED");
    uint64_t seed = (given ? strtoull(given, NULL, 0) : (uint64_t)clock_unix_ns()) | 1;
    print_message("GCW_TEST_SEED=%" PRIu64 "\n", seed);
    const struct json_line_config c = {.line_key = "msg"};
    struct json_reader *r = json_reader_new(&c);
    size_t valid = 0;
    for (int i = 0; i < 200000; i++) {
        struct buf b = {0};
        assert_true(buf_puts(&b, "{"));
        size_t count = random_next(&seed) % 9;
        for (size_t k = 0; k < count; k++)
            assert_true(
                buf_puts(&b, k % 2 && random_next(&seed) % 3 ? "," : parts[random_next(&seed) % ARRAY_LEN(parts)]));
        assert_true(random_next(&seed) % 4 == 0 || buf_puts(&b, "}"));
        json_error_t e;
        struct json_line out;
        json_t *j = json_loadb((char *)b.p, b.n, JSON_ALLOW_NUL, &e);
        bool ok = json_reader_parse(r, buf_view(&b), &out, NULL) == GCW_OK;
        if (verdict_counts(j, &e) && ok != (j != NULL))
            print_error("%.*s: jansson says %s\n", VIEW_ARG(buf_view(&b)), j ? "yes" : e.text);
        assert_true(!verdict_counts(j, &e) || ok == (j != NULL));
        const json_t *msg = json_object_get(j, "msg");
        if (ok && json_is_string(msg)) {
            assert_int_equal(out.line.n, json_string_length(msg));
            assert_memory_equal(out.line.p, json_string_value(msg), out.line.n);
        }
        valid += ok;
        json_decref(j);
        buf_free(&b);
    }
    assert_true(valid > 1000);
    json_reader_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_become_line_labels_metadata_and_time),
        cmocka_unit_test(test_other_lines_are_invalid_and_still_lines),
        cmocka_unit_test(test_a_bad_time_leaves_the_rest_usable),
        cmocka_unit_test(test_nuls_pass),
        cmocka_unit_test(test_deep_nesting_is_bounded),
        cmocka_unit_test(test_a_thousand_keys_and_a_megabyte_of_escapes),
        cmocka_unit_test(test_random_texts_get_the_verdict_of_jansson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
