/* Numbers, sizes and durations as text, both ways. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"

static void test_numbers_print_as_the_c_library_prints_them(void **state)
{
    (void)state;
    uint64_t v = 1;
    for (int i = 0; i < 2000; i++) {
        /* all lengths: the top bits go one by one */
        uint64_t u = v >> (i % 64);
        char got[21], want[32];
        got[text_u64(got, u)] = 0;
        snprintf(want, sizeof want, "%" PRIu64, u);
        assert_string_equal(got, want);
        got[text_i64(got, (int64_t)u)] = 0;
        snprintf(want, sizeof want, "%" PRId64, (int64_t)u);
        assert_string_equal(got, want);
        uint64_t back;
        int64_t signed_back;
        assert_true(parse_i64(view_of(want), &signed_back) && signed_back == (int64_t)u);
        snprintf(want, sizeof want, "%" PRIu64, u);
        assert_true(parse_u64(view_of(want), &back) && back == u);
        v = v * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    }
    char text[20];
    assert_int_equal(text_i64(text, INT64_MIN), 20);
    assert_memory_equal(text, "-9223372036854775808", 20);
    assert_int_equal(text_u64(text, UINT64_MAX), 20);
    assert_memory_equal(text, "18446744073709551615", 20);
    assert_int_equal(text_u64(text, 0), 1);
}

static void test_only_whole_numbers_in_range_are_read(void **state)
{
    (void)state;
    static const char *const no_u64[] = {"",
                                         "-1",
                                         "+1",
                                         " 1",
                                         "1 ",
                                         "1a",
                                         "0x1",
                                         "1.0",
                                         "/0",
                                         "1:2",
                                         "18446744073709551616",
                                         "99999999999999999999",
                                         "000000000000000000001"};
    static const char *const no_i64[] = {
        "", "-", "+", "--1", "+-1", "- 1", "9223372036854775808", "-9223372036854775809", "1e3"};
    uint64_t u = 42;
    int64_t i = 42;
    for (size_t k = 0; k < ARRAY_LEN(no_u64); k++)
        if (parse_u64(view_of(no_u64[k]), &u))
            fail_msg("\"%s\"", no_u64[k]);
    for (size_t k = 0; k < ARRAY_LEN(no_i64); k++)
        if (parse_i64(view_of(no_i64[k]), &i))
            fail_msg("\"%s\"", no_i64[k]);
    assert_int_equal(u, 42); /* untouched */
    assert_int_equal(i, 42);
    assert_false(parse_u64(view_make("1\0", 2), &u));
    assert_true(parse_u64(view_make("123", 2), &u) && u == 12);
    assert_true(parse_u64(view_of("007"), &u) && u == 7);
    assert_true(parse_i64(view_of("+5"), &i) && i == 5);
    assert_true(parse_i64(view_of("-9223372036854775808"), &i) && i == INT64_MIN);
}

struct row {
    const char *text;
    uint64_t value;
};

static void check_reads(bool (*parse)(struct view, uint64_t *), const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t v = UINT64_MAX;
        if (!parse(view_of(rows[i].text), &v) || v != rows[i].value)
            fail_msg("\"%s\" is read as %" PRIu64, rows[i].text, v);
    }
}

static void check_refuses(bool (*parse)(struct view, uint64_t *), const char *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t v = 77;
        if (parse(view_of(rows[i]), &v) || v != 77)
            fail_msg("\"%s\" is read as %" PRIu64, rows[i], v);
    }
}

static void test_sizes_are_powers_of_1024(void **state)
{
    (void)state;
    static const struct row good[] = {
        {"0", 0},
        {"1024", 1024},
        {"1B", 1},
        {"64KiB", 65536},
        {"64k", 65536},
        {"64K", 65536},
        {"1MiB", 1 << 20},
        {"1m", 1 << 20},
        {"1M", 1 << 20},
        {"2GiB", 2u << 30},
        {"2g", 2u << 30},
        {"1TiB", UINT64_C(1) << 40},
        {"1.5MiB", 3 << 19},
        {"0.5k", 512},
        {"64 KiB", 65536},
        {"16777215TiB", UINT64_C(16777215) << 40},
    };
    static const char *const bad[] = {"",     "k",      ".5k",   "5.",   "5.k",          "1.5", "1..5k",
                                      "-1k",  "1kb",    "1 k b", "1KIB", "1e3",          " 1k", "16777216TiB",
                                      "0.1k", "1.0.0k", "0x10",  "1,5k", "1.0000000001k"};
    check_reads(parse_size, good, ARRAY_LEN(good));
    check_refuses(parse_size, bad, ARRAY_LEN(bad));
}

static void test_durations_need_a_unit_except_nought(void **state)
{
    (void)state;
    static const struct row good[] = {
        {"0", 0},       {"0s", 0},       {"500ms", 500},   {"5s", 5000},      {"1.5s", 1500},     {"0.001s", 1},
        {"2m", 120000}, {"1h", 3600000}, {"1d", 86400000}, {"7d", 604800000}, {"0.5d", 43200000}, {"1 h", 3600000},
    };
    static const char *const bad[] = {"",      "5",       "s",     "-5s",           "5sec", "5S",
                                      "1h30m", "0.0001s", "1.5ms", "999999999999d", "5 m s"};
    check_reads(parse_duration, good, ARRAY_LEN(good));
    check_refuses(parse_duration, bad, ARRAY_LEN(bad));
}

static void test_formatted_sizes_and_durations_read_back_as_themselves(void **state)
{
    (void)state;
    static const struct row sizes[] = {{"0B", 0},        {"1B", 1},         {"1KiB", 1024},
                                       {"1025B", 1025},  {"1MiB", 1 << 20}, {"1536KiB", 3 << 19},
                                       {"1GiB", 1 << 30}};
    static const struct row durations[] = {{"0", 0},       {"1ms", 1},    {"1500ms", 1500}, {"1s", 1000},
                                           {"90s", 90000}, {"1m", 60000}, {"1h", 3600000},  {"7d", 604800000}};
    char text[32];
    uint64_t back;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        format_size(text, sizeof text, sizes[i].value);
        assert_string_equal(text, sizes[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        format_duration(text, sizeof text, durations[i].value);
        assert_string_equal(text, durations[i].text);
    }
    for (uint64_t v = 1; v < UINT64_C(1) << 44; v = v * 3 + 1) {
        format_size(text, sizeof text, v);
        assert_true(parse_size(view_of(text), &back) && back == v);
        format_duration(text, sizeof text, v);
        assert_true(parse_duration(view_of(text), &back) && back == v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_print_as_the_c_library_prints_them),
        cmocka_unit_test(test_only_whole_numbers_in_range_are_read),
        cmocka_unit_test(test_sizes_are_powers_of_1024),
        cmocka_unit_test(test_durations_need_a_unit_except_nought),
        cmocka_unit_test(test_formatted_sizes_and_durations_read_back_as_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
