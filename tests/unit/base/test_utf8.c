/* UTF-8: against a decoder written the other way round, code point by code point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"

/* The encoding of a scalar value, RFC 3629 section 3. */
static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80)
        return out[0] = (char)c, 1;
    if (c < 0x800)
        return out[0] = (char)(0xc0 | c >> 6), out[1] = (char)(0x80 | (c & 63)), 2;
    if (c < 0x10000)
        return out[0] = (char)(0xe0 | c >> 12), out[1] = (char)(0x80 | (c >> 6 & 63)), out[2] = (char)(0x80 | (c & 63)),
               3;
    out[0] = (char)(0xf0 | c >> 18), out[1] = (char)(0x80 | (c >> 12 & 63));
    return out[2] = (char)(0x80 | (c >> 6 & 63)), out[3] = (char)(0x80 | (c & 63)), 4;
}

static void test_every_scalar_value_is_valid_and_surrogates_are_not(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        char text[4];
        size_t n = encode(c, text);
        bool scalar = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
        if (utf8_sequence(text, n) != (scalar ? n : 0) || utf8_valid(text, n) != scalar)
            fail_msg("U+%04X", c);
        for (size_t cut = 1; cut < n; cut++)
            if (utf8_sequence(text, cut) != 0)
                fail_msg("U+%04X cut to %zu bytes", c, cut);
    }
}

/* Two, three bytes of everything: valid exactly if they are encodings of scalar values. */
static void test_all_short_texts_are_judged_as_the_encoder_says(void **state)
{
    (void)state;
    static bool two[65536], three[1u << 24];
    memset(two, 0, sizeof two);
    memset(three, 0, sizeof three);
    for (uint32_t c = 0x80; c < 0x10000; c++) {
        char t[4];
        if (c >= 0xd800 && c <= 0xdfff)
            continue;
        if (encode(c, t) == 2)
            two[(uint8_t)t[0] << 8 | (uint8_t)t[1]] = true;
        else
            three[(uint8_t)t[0] << 16 | (uint8_t)t[1] << 8 | (uint8_t)t[2]] = true;
    }
    for (unsigned a = 0x80; a < 0x100; a++)
        for (unsigned b = 0; b < 0x100; b++) {
            char t[3] = {(char)a, (char)b};
            assert_int_equal(utf8_sequence(t, 2), two[a << 8 | b] ? 2 : 0);
            for (unsigned c = 0; c < 0x100; c++) {
                t[2] = (char)c;
                size_t want = two[a << 8 | b] ? 2 : three[a << 16 | b << 8 | c] ? 3 : 0;
                if (utf8_sequence(t, 3) != want)
                    fail_msg("%02x %02x %02x", a, b, c);
            }
        }
}

static void test_invalid_byte_is_found_wherever_it_stands(void **state)
{
    (void)state;
    char text[64];
    for (size_t n = 1; n < sizeof text; n++)
        for (size_t at = 0; at < n; at++) {
            memset(text, 'a', sizeof text);
            assert_true(utf8_valid(text, n));
            assert_int_equal(utf8_ascii_prefix(text, n), n);
            text[at] = '\xff';
            assert_false(utf8_valid(text, n));
            assert_int_equal(utf8_ascii_prefix(text, n), at);
        }
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid(NULL, 0));
}

/* How many U+FFFD become of what: Unicode 15, table 3-8 and its neighbours. */
static void test_invalid_runs_are_maximal_subparts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t run;
    } rows[] = {
        {"\x80", 1},
        {"\xff", 1},
        {"\xc0\xaf", 1},             /* no sequence starts with c0 */
        {"\xe0\x80\xbf", 1},         /* overlong */
        {"\xf0\x81\x82\x41", 1},     /* overlong */
        {"\xed\xa0\x80", 1},         /* surrogate */
        {"\xf4\x91\x92\x93", 1},     /* past U+10FFFF */
        {"\xe2\x82", 2},             /* cut */
        {"\xe2\x82\x41", 2},         /* cut by another */
        {"\xf1\x80\x80", 3},         /* cut */
        {"\xf1\x80\x80\xe1\x80", 3}, /* table 3-11 */
        {"\xe1\x80\xe2", 2},
        {"\xc2\x41", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(utf8_sequence(rows[i].text, strlen(rows[i].text)), 0);
        if (utf8_invalid_run(rows[i].text, strlen(rows[i].text)) != rows[i].run)
            fail_msg("row %zu", i);
    }
}

static void test_cut_splits_no_character(void **state)
{
    (void)state;
    const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z"; /* 1, 2, 3, 4 and 1 bytes */
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t max = 0; max < ARRAY_LEN(want); max++)
        assert_int_equal(utf8_cut(text, sizeof text - 1, max), want[max]);
    /* what is no UTF-8 is not followed back for ever */
    char junk[100];
    memset(junk, '\x80', sizeof junk);
    size_t cut = utf8_cut(junk, sizeof junk, 50);
    assert_true(cut <= 50 && cut >= 46);
    assert_int_equal(utf8_cut("", 0, 0), 0);
}

static void test_cleaned_text_is_one_printable_line(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"plain", "plain"},
        {"a\r\nb\tc", "a  b c"},
        {"\x1b[31mred", " [31mred"},
        {"gr\xc3\xbcn", "gr\xc3\xbcn"},
        {"bad\xff!", "bad?!"},
        {"\xe2\x82", "?"},
        {"trail \n\n", "trail"},
        {"\x7f", ""},
        {"\xe2\x82\xac", "\xe2\x82\xac"},
    };
    char out[64];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        text_clean(out, sizeof out, rows[i][0], strlen(rows[i][0]));
        assert_string_equal(out, rows[i][1]);
    }
    text_clean(out, sizeof out, "a\0b", 3);
    assert_string_equal(out, "a b");
}

static void test_cleaned_text_fits_and_stays_utf8_at_every_size(void **state)
{
    (void)state;
    const char text[] = "x\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xffy";
    for (size_t cap = 1; cap < 20; cap++) {
        char *out = malloc(cap); /* of that size, for the sanitizers */
        memset(out, '#', cap);
        text_clean(out, cap, text, sizeof text - 1);
        size_t n = strnlen(out, cap);
        assert_true(n < cap);
        assert_true(utf8_valid(out, n));
        free(out);
    }
    char untouched = '#';
    text_clean(&untouched, 0, text, sizeof text - 1);
    assert_int_equal(untouched, '#');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_scalar_value_is_valid_and_surrogates_are_not),
        cmocka_unit_test(test_all_short_texts_are_judged_as_the_encoder_says),
        cmocka_unit_test(test_invalid_byte_is_found_wherever_it_stands),
        cmocka_unit_test(test_invalid_runs_are_maximal_subparts),
        cmocka_unit_test(test_cut_splits_no_character),
        cmocka_unit_test(test_cleaned_text_is_one_printable_line),
        cmocka_unit_test(test_cleaned_text_fits_and_stays_utf8_at_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
