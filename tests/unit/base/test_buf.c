/* Byte ranges, growing buffers, error texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"

/* ---- views --------------------------------------------------------------------------------------------------- */

static void test_views_are_equal_by_bytes_and_length(void **state)
{
    (void)state;
    assert_true(view_eq(view_of("ab"), view_make("abc", 2)));
    assert_false(view_eq(view_of("ab"), view_of("abc")));
    assert_false(view_eq(view_of("ab"), view_of("aB")));
    assert_true(view_eq(view_of(NULL), view_of("")));
    assert_true(view_eq(view_make("a\0b", 3), view_make("a\0b", 3)));
    assert_false(view_eq(view_make("a\0b", 3), view_make("a\0c", 3)));
    assert_true(view_is(view_make("", 0), ""));
}

static void test_views_sort_by_unsigned_bytes_and_a_prefix_comes_first(void **state)
{
    (void)state;
    static const char *const ascending[] = {"", "A", "a", "a ", "aa", "ab", "b", "\x7f", "\x80", "\xff", "\xff\xff"};
    for (size_t i = 0; i < ARRAY_LEN(ascending); i++)
        for (size_t k = 0; k < ARRAY_LEN(ascending); k++) {
            int c = view_cmp(view_of(ascending[i]), view_of(ascending[k]));
            assert_int_equal(c > 0, i > k);
            assert_int_equal(c < 0, i < k);
        }
}

static void test_prefix_is_found_at_the_start_only(void **state)
{
    (void)state;
    assert_true(view_starts(view_of("http://x"), "http"));
    assert_true(view_starts(view_of("http"), "http"));
    assert_false(view_starts(view_of("htt"), "http"));
    assert_false(view_starts(view_of("xhttp"), "http"));
    assert_true(view_starts(view_of("x"), ""));
}

static void test_trim_takes_blanks_off_the_ends_and_nothing_else(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""}, {" \t\r\n", ""}, {"a", "a"}, {" a b\t\r\n", "a b"}, {"\va\f", "\va\f"}, {"\n\na", "a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(view_is(view_trim(view_of(rows[i][0])), rows[i][1]));
}

/* ---- buffers ------------------------------------------------------------------------------------------------- */

static void test_buffer_keeps_every_byte_while_it_grows(void **state)
{
    (void)state;
    struct buf b = {0};
    for (size_t i = 0; i < 100000; i++) {
        uint8_t byte = (uint8_t)(i * 7);
        assert_true(buf_append(&b, &byte, 1));
        assert_true(b.cap >= b.n);
    }
    assert_int_equal(b.n, 100000);
    for (size_t i = 0; i < b.n; i++)
        assert_int_equal(b.p[i], (uint8_t)(i * 7));
    buf_free(&b);
    assert_null(b.p);
    assert_int_equal(b.n + b.cap, 0);
}

static void test_buffer_takes_nothing_from_nowhere(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_true(buf_append(&b, NULL, 0));
    assert_int_equal(b.n, 0);
    assert_true(buf_puts(&b, ""));
    assert_int_equal(buf_view(&b).n, 0);
    buf_free(&b);
}

/* Sizes that cannot be had: the buffer says so and stays as it was. */
static void test_append_that_fails_leaves_the_content(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_true(buf_puts(&b, "kept"));
    struct buf before = b;
    assert_false(buf_grow(&b, SIZE_MAX));
    assert_false(buf_grow(&b, SIZE_MAX - 2));
    assert_false(buf_reserve(&b, SIZE_MAX / 2));
    assert_memory_equal(&b, &before, sizeof b);
    assert_true(view_is(buf_view(&b), "kept"));
    buf_free(&b);
}

static void test_printf_appends_text_of_any_length(void **state)
{
    (void)state;
    struct buf b = {0};
    char *want = malloc(5001);
    memset(want, 'x', 5000);
    want[5000] = 0;
    assert_true(buf_printf(&b, "%d-%s;", 7, "seven"));
    assert_true(buf_printf(&b, "%s", want));
    assert_int_equal(b.n, 8 + 5000);
    assert_memory_equal(b.p, "7-seven;", 8);
    assert_memory_equal(b.p + 8, want, 5000);
    buf_free(&b);
    free(want);
}

static void test_terminator_is_not_part_of_the_content(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_true(buf_cstr(&b));
    assert_string_equal((const char *)b.p, "");
    while (b.n < b.cap) /* no room left: it has to make some */
        assert_true(buf_append(&b, "a", 1));
    size_t n = b.n;
    assert_true(buf_cstr(&b));
    assert_int_equal(b.n, n);
    assert_int_equal(strlen((const char *)b.p), n);
    buf_free(&b);
}

/* ---- errors -------------------------------------------------------------------------------------------------- */

static void test_error_text_is_one_clean_line_that_fits(void **state)
{
    (void)state;
    gcw_error err;
    assert_int_equal(error_set(&err, GCW_ERR_INVALID, "a\r\nb%cc \xff %s", 0x1b, "end"), GCW_ERR_INVALID);
    assert_int_equal(err.code, GCW_ERR_INVALID);
    assert_string_equal(err.text, "a  b c ? end");
    char lots[4 * sizeof err.text];
    memset(lots, 'y', sizeof lots - 1);
    lots[sizeof lots - 1] = 0;
    error_set(&err, GCW_ERR_IO, "%s", lots);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(error_set(NULL, GCW_ERR_IO, "nobody listens"), GCW_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views_are_equal_by_bytes_and_length),
        cmocka_unit_test(test_views_sort_by_unsigned_bytes_and_a_prefix_comes_first),
        cmocka_unit_test(test_prefix_is_found_at_the_start_only),
        cmocka_unit_test(test_trim_takes_blanks_off_the_ends_and_nothing_else),
        cmocka_unit_test(test_buffer_keeps_every_byte_while_it_grows),
        cmocka_unit_test(test_buffer_takes_nothing_from_nowhere),
        cmocka_unit_test(test_append_that_fails_leaves_the_content),
        cmocka_unit_test(test_printf_appends_text_of_any_length),
        cmocka_unit_test(test_terminator_is_not_part_of_the_content),
        cmocka_unit_test(test_error_text_is_one_clean_line_that_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
