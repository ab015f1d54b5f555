/* Times in log lines: exact to the nanosecond, whatever the zone and locale of the process. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "input/input.h"

#define NEVER INT64_C(-1234567890123456789) /* does not parse */

static const struct {
    const char *format, *text;
    int64_t ns;
} rows[] = {
    {"rfc3339", "1970-01-01T00:00:00Z", 0},
    {"rfc3339", "2024-02-29T12:34:56Z", INT64_C(1709210096000000000)},
    {"rfc3339", "2024-02-29t12:34:56z", INT64_C(1709210096000000000)},
    {"rfc3339", "2024-02-29 12:34:56Z", INT64_C(1709210096000000000)},
    {"rfc3339", "2024-02-29T12:34:56.1Z", INT64_C(1709210096100000000)},
    {"rfc3339", "2024-02-29T12:34:56.123456789Z", INT64_C(1709210096123456789)},
    {"rfc3339", "2024-02-29T12:34:56.000000001+05:30", INT64_C(1709190296000000001)},
    {"rfc3339", "2024-02-29T12:34:56-00:00", INT64_C(1709210096000000000)},
    {"rfc3339", "2024-02-29T12:34:56-23:59", INT64_C(1709296436000000000)},
    {"rfc3339", "2016-12-31T23:59:60Z", INT64_C(1483228800000000000)},
    {"rfc3339", "1969-12-31T23:59:59.999999999Z", -1},
    {"rfc3339", "1969-12-31T23:59:58.5Z", -1500000000},
    {"rfc3339", "1900-03-01T00:00:00Z", INT64_C(-2203891200000000000)},
    {"rfc3339", "2000-02-29T00:00:00Z", INT64_C(951782400000000000)},
    {"rfc3339", "2262-04-11T23:47:16.854775807Z", INT64_MAX},
    {"rfc3339", "2262-04-11T23:47:16.854775808Z", NEVER},
    {"rfc3339", "1677-09-21T00:12:43.145224192Z", INT64_MIN},
    {"rfc3339", "1677-09-21T00:12:43.145224191Z", NEVER},
    {"rfc3339", "0000-01-01T00:00:00Z", NEVER},
    {"rfc3339", "9999-12-31T23:59:59Z", NEVER},
    {"rfc3339", "2023-02-29T00:00:00Z", NEVER},
    {"rfc3339", "1900-02-29T00:00:00Z", NEVER},
    {"rfc3339", "2024-04-31T00:00:00Z", NEVER},
    {"rfc3339", "2024-00-01T00:00:00Z", NEVER},
    {"rfc3339", "2024-13-01T00:00:00Z", NEVER},
    {"rfc3339", "2024-01-00T00:00:00Z", NEVER},
    {"rfc3339", "2024-01-01T24:00:00Z", NEVER},
    {"rfc3339", "2024-01-01T00:60:00Z", NEVER},
    {"rfc3339", "2024-01-01T00:00:61Z", NEVER},
    {"rfc3339", "2024-01-01T00:00:00", NEVER},
    {"rfc3339", "2024-01-01T00:00:00.Z", NEVER},
    {"rfc3339", "2024-01-01T00:00:00.1234567890Z", NEVER},
    {"rfc3339", "2024-01-01T00:00:00.5", NEVER},
    {"rfc3339", "2024-01-01T00:00:00+0100", NEVER},
    {"rfc3339", "2024-01-01T00:00:00+24:00", NEVER},
    {"rfc3339", "2024-01-01T00:00:00+01:60", NEVER},
    {"rfc3339", "2024-01-01T00:00:00Zx", NEVER},
    {"rfc3339", " 2024-01-01T00:00:00Z", NEVER},
    {"rfc3339", "2024-1-01T00:00:00.0Z", NEVER},
    {"rfc3339", "+024-01-01T00:00:00Z", NEVER},
    {"rfc3339", "2024-01-01", NEVER},
    {"rfc3339", "", NEVER},
    {"rfc3339", "1700000000", NEVER},
    {"unix_s", "0", 0},
    {"unix_s", "1700000000", INT64_C(1700000000000000000)},
    {"unix_s", "1700000000.123456789", INT64_C(1700000000123456789)},
    {"unix_s", "-1.000000001", -1000000001},
    {"unix_s", "1.7e9", INT64_C(1700000000000000000)},
    {"unix_s", "9223372036.854775807", INT64_MAX},
    {"unix_s", "9223372036.854775808", NEVER},
    {"unix_s", "-9223372036.854775808", INT64_MIN},
    {"unix_s", "1e300", NEVER},
    {"unix_s", "1700000000s", NEVER},
    {"unix_s", "", NEVER},
    {"unix_s", "-", NEVER},
    {"unix_s", "NaN", NEVER},
    {"unix_s", "Inf", NEVER},
    {"unix_s", " 1", NEVER},
    {"unix_ms", "1700000000123", INT64_C(1700000000123000000)},
    {"unix_ms", "1700000000123.456789", INT64_C(1700000000123456789)},
    {"unix_us", "1700000000123456", INT64_C(1700000000123456000)},
    {"unix_us", "1700000000123456.789", INT64_C(1700000000123456789)},
    {"unix_ns", "1700000000123456789", INT64_C(1700000000123456789)},
    {"unix_ns", "9223372036854775807", INT64_MAX},
    {"unix_ns", "9223372036854775808", NEVER},
    {"unix_ns", "-9223372036854775808", INT64_MIN},
    {"unix_ns", "18446744073709551616", NEVER},
    {"unix_ns", "0.4", 0},
    {"auto", "1700000000", INT64_C(1700000000000000000)},
    {"auto", "1700000000.123456789", INT64_C(1700000000123456789)},
    {"auto", "1700000000123", INT64_C(1700000000123000000)},
    {"auto", "1700000000123456", INT64_C(1700000000123456000)},
    {"auto", "1700000000123456789", INT64_C(1700000000123456789)},
    {"auto", "-1700000000123", INT64_C(-1700000000123000000)},
    {"auto", "99999999999", NEVER}, /* seconds, past what int64 nanoseconds hold */
    {"auto", "100000000000", INT64_C(100000000000000000)},
    {"auto", "2024-02-29T12:34:56.5Z", INT64_C(1709210096500000000)},
    {"auto", "yesterday", NEVER},
    {"auto", "", NEVER},
    {"%Y-%m-%d %H:%M:%S", "2024-02-29 12:34:56", INT64_C(1709210096000000000)},
    {"%Y-%m-%d %H:%M:%S", "2024-02-29 12:34:56 ", NEVER},
    {"%Y-%m-%d %H:%M:%S", "2024-02-30 12:34:56", NEVER},
    {"%Y-%m-%d %H:%M:%S", "2024-02-29", NEVER},
    {"%Y-%m-%d %H:%M:%S", "", NEVER},
    {"%Y-%m-%d %H:%M:%S.%f", "2024-02-29 12:34:56.123456789", INT64_C(1709210096123456789)},
    {"%Y-%m-%d %H:%M:%S.%f", "2024-02-29 12:34:56.5", INT64_C(1709210096500000000)},
    {"%Y-%m-%d %H:%M:%S.%f", "2024-02-29 12:34:56.", NEVER},
    {"%Y-%m-%d %H:%M:%S.%f", "2024-02-29 12:34:56.1234567890", NEVER},
    {"%Y-%m-%d %H:%M:%S,%f", "2024-02-29 12:34:56,123", INT64_C(1709210096123000000)},
    {"%Y-%m-%dT%H:%M:%S.%f%z", "2024-02-29T12:34:56.25+0530", INT64_C(1709190296250000000)},
    {"%Y-%m-%dT%H:%M:%S%z", "2024-02-29T12:34:56-01:00", INT64_C(1709213696000000000)},
    {"%Y-%m-%dT%H:%M:%S%z", "2024-02-29T12:34:56Z", INT64_C(1709210096000000000)},
    {"%d/%b/%Y:%H:%M:%S %z", "29/Feb/2024:12:34:56 +0000", INT64_C(1709210096000000000)}, /* Apache, nginx */
    {"%I:%M:%S.%f %p %m/%d/%Y", "01:02:03.5 PM 02/29/2024", INT64_C(1709211723500000000)},
    {"%Y%m%d%H%M%S%f", "20240229123456789", INT64_C(1709210096789000000)},
    {"%Y", "2024", INT64_C(1704067200000000000)},
    {"%Y", "2263", NEVER},
    {"%Y", "1676", NEVER},
    {"%Y %j", "2024 060", INT64_C(1709164800000000000)},
    {"%a, %d %b %Y %T UTC", "Thu, 29 Feb 2024 12:34:56 UTC", INT64_C(1709210096000000000)},
    {"100%% %F %T", "100% 2024-02-29 12:34:56", INT64_C(1709210096000000000)},
    {"%%f %F", "%f 2024-02-29", INT64_C(1709164800000000000)},
    {"%-d.%-m.%Y", "1.3.2024", INT64_C(1709251200000000000)},
};

static void test_times_parse_exactly(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        gcw_error err = {0};
        struct time_format *f = time_format_new(rows[i].format, &err);
        if (!f)
            print_error("%s: %s\n", rows[i].format, err.text);
        assert_non_null(f);
        /* a view that ends where memory ends */
        size_t n = strlen(rows[i].text);
        char *text = malloc(n + (n == 0));
        assert_non_null(text);
        memcpy(text, rows[i].text, n);
        int64_t ns = 7;
        bool ok = time_parse(f, view_make(text, n), &ns);
        if (ok != (rows[i].ns != NEVER) || (ok && ns != rows[i].ns))
            print_error("%s \"%s\": %d %" PRId64 "\n", rows[i].format, rows[i].text, ok, ns);
        assert_int_equal(ok, rows[i].ns != NEVER);
        if (ok)
            assert_true(ns == rows[i].ns);
        free(text);
        time_format_free(f);
    }
}

static void test_the_process_zone_changes_nothing(void **state)
{
    static const char *const zones[] = {"Europe/Berlin", "America/St_Johns", "XYZ-11:30"};
    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        setenv("TZ", zones[i], 1);
        tzset();
        test_times_parse_exactly(state);
    }
    unsetenv("TZ");
    tzset();
}

static void test_unusable_formats_are_refused_with_words(void **state)
{
    (void)state;
    static const struct {
        const char *format, *why;
    } bad[] = {
        {"", "allowed are rfc3339"},
        {"iso8601", "allowed are rfc3339"},
        {"RFC3339", "allowed are rfc3339"},
        {"%Y %q", "%q is no conversion"},
        {"%Y %", "% is no conversion"},
        {"%Y %f %f", "%f stands twice"},
        {"%Y %Ef", "%Ef is no conversion"},
        {"%Y %-f", "%-f is no conversion"},
        {"%b %d %H:%M:%S", "no year"},
        {"%H:%M:%S.%f", "no year"},
        {"%%Y", "no year"},
        {"%Y-%m-%d %Z", "use %z"},
        {"%s.%f", "use unix_s"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        gcw_error err = {0};
        assert_null(time_format_new(bad[i].format, &err));
        if (!strstr(err.text, bad[i].why))
            print_error("%s: %s\n", bad[i].format, err.text);
        assert_int_equal(err.code, GCW_ERR_INVALID);
        assert_non_null(strstr(err.text, bad[i].why));
        assert_null(time_format_new(bad[i].format, NULL));
    }
}

static void test_long_texts_and_nuls_are_no_times(void **state)
{
    (void)state;
    struct time_format *f = time_format_new("%Y %m", NULL);
    char text[5000];
    int64_t ns;
    memset(text, ' ', sizeof text);
    memcpy(text, "2024", 4);
    text[sizeof text - 1] = '1';
    assert_false(time_parse(f, view_make(text, sizeof text), &ns));
    assert_false(time_parse(f, view_make("2024 1\0", 7), &ns));
    assert_true(time_parse(f, view_make("2024 1", 6), &ns));
    time_format_free(f);
}

/* The C library's calendar is the judge. */
static void test_every_day_agrees_with_timegm(void **state)
{
    (void)state;
    struct time_format *f = time_format_new("rfc3339", NULL);
    for (int64_t day = -106750; day <= 106750; day++) {
        time_t seconds = (time_t)(day * 86400 + (day * 7919 % 86400 + 86400) % 86400);
        struct tm tm;
        char text[64];
        assert_non_null(gmtime_r(&seconds, &tm));
        size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        int64_t ns = 0;
        assert_true(time_parse(f, view_make(text, n), &ns));
        assert_true(ns == (int64_t)seconds * 1000000000);
    }
    time_format_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_parse_exactly),
        cmocka_unit_test(test_the_process_zone_changes_nothing),
        cmocka_unit_test(test_unusable_formats_are_refused_with_words),
        cmocka_unit_test(test_long_texts_and_nuls_are_no_times),
        cmocka_unit_test(test_every_day_agrees_with_timegm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
