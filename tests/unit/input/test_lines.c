/* The line splitter: the same lines come out however the stream is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "input/input.h"

struct seen {
    struct buf text;
    const char *data; /* the piece being fed */
    size_t n;
    size_t in_place;
};

static void line_seen(void *user, uint64_t number, struct view line, bool cut)
{
    struct seen *s = user;
    assert_true(buf_printf(&s->text, "%d%s:", (int)number, cut ? "!" : ""));
    assert_true(buf_append(&s->text, line.p, line.n) && buf_puts(&s->text, "|"));
    s->in_place += line.n > 0 && s->data && line.p >= s->data && line.p < s->data + s->n;
}

static void lines_run(const char *input, size_t n, size_t piece, size_t max, struct seen *s)
{
    struct lines l = {.max_bytes = max};
    *s = (struct seen){0};
    for (size_t at = 0; at < n; at += piece) {
        s->data = input + at;
        s->n = MIN(piece, n - at);
        assert_int_equal(lines_feed(&l, s->data, s->n, line_seen, s), GCW_OK);
        assert_true(l.tail.n <= max);
    }
    s->data = NULL;
    assert_int_equal(lines_end(&l, line_seen, s), GCW_OK);
    assert_true(buf_cstr(&s->text));
    lines_free(&l);
}

static const struct {
    const char *input, *lines;
    size_t max;
} rows[] = {
    {"", "", 100},
    {"a", "1:a|", 100},
    {"a\n", "1:a|", 100},
    {"\n", "1:|", 100},
    {"\n\n", "1:|2:|", 100},
    {"a\r\nb\r\n", "1:a\r|2:b\r|", 100},
    {"a\n\nbc\nd", "1:a|2:|3:bc|4:d|", 100},
    {"abc\nde\n", "1:abc|2:de|", 3},   /* just fits */
    {"abcd\nde\n", "1!:abc|2:de|", 3}, /* one too long */
    {"abcdefghijkl\nde", "1!:abc|2:de|", 3},
    {"abc\nabcd", "1:abc|2!:abc|", 3}, /* cut, then the end */
    {"abcd\nabcd\n\nx\n", "1!:abc|2!:abc|3:|4:x|", 3},
    {"ab", "1!:a|", 1},
    {"a", "1:a|", 1},
};

static void test_lines_are_the_same_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t piece = 1; piece <= strlen(rows[i].input) + 1; piece++) {
            struct seen s;
            lines_run(rows[i].input, strlen(rows[i].input), piece, rows[i].max, &s);
            assert_string_equal((char *)s.text.p, rows[i].lines);
            buf_free(&s.text);
        }
}

static void test_complete_lines_are_not_copied(void **state)
{
    (void)state;
    struct seen s;
    lines_run("ab\ncd\nef", 8, 8, 100, &s);
    assert_int_equal(s.in_place, 2); /* "ef" waits for its end */
    assert_string_equal((char *)s.text.p, "1:ab|2:cd|3:ef|");
    buf_free(&s.text);
}

static void test_bytes_of_all_values_pass(void **state)
{
    (void)state;
    char input[512], expected[600];
    size_t n = 0, e = 0;
    for (int c = 0; c < 256; c++)
        input[n++] = (char)c;
    input[n++] = '\n';
    e = (size_t)snprintf(expected, sizeof expected, "1:");
    memcpy(expected + e, input, 10), e += 10;
    e += (size_t)snprintf(expected + e, sizeof expected - e, "|2:");
    memcpy(expected + e, input + 11, 245), e += 245;
    expected[e++] = '|';
    for (size_t piece = 1; piece < 300; piece += 7) {
        struct seen s;
        lines_run(input, n, piece, 1000, &s);
        assert_int_equal(s.text.n, e);
        assert_memory_equal(s.text.p, expected, e);
        buf_free(&s.text);
    }
}

static void test_memory_is_bounded_by_the_longest_line(void **state)
{
    (void)state;
    struct lines l = {.max_bytes = 1000};
    struct seen s = {0};
    char *block = malloc(100000);
    assert_non_null(block);
    memset(block, 'x', 100000);
    for (int i = 0; i < 20; i++)
        assert_int_equal(lines_feed(&l, block, 100000, line_seen, &s), GCW_OK);
    assert_true(l.tail.cap <= 2000);
    assert_int_equal(l.number, 1); /* one line, given out cut, once */
    free(block);
    buf_free(&s.text);
    lines_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_the_same_in_pieces_of_any_size),
        cmocka_unit_test(test_complete_lines_are_not_copied),
        cmocka_unit_test(test_bytes_of_all_values_pass),
        cmocka_unit_test(test_memory_is_bounded_by_the_longest_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
