/* Walking a chunk: which events there are, and where a damaged one ends. */
#include "hosts/fluent-bit/event.h"
#include "pack.h"

/* Reads all events of a chunk into one word each, bodies passed over. */
static void assert_events(const struct buf *chunk, const char *want)
{
    static const char letter[] = {[EVENT_RECORD] = 'r',
                                  [EVENT_GROUP_START] = 's',
                                  [EVENT_GROUP_END] = 'e',
                                  [EVENT_MALFORMED] = 'm',
                                  [EVENT_DAMAGED] = 'd'};
    struct msgpack m = msgpack_over(chunk->p, chunk->n);
    struct event e;
    enum event_kind kind;
    char got[64];
    size_t n = 0;
    while ((kind = event_next(&m, &e)) != EVENT_NONE) {
        assert_true(n < sizeof got - 1);
        got[n++] = letter[kind];
        if (kind == EVENT_RECORD || kind == EVENT_GROUP_START || kind == EVENT_GROUP_END)
            assert_true(msgpack_skip(&m));
    }
    got[n] = 0;
    assert_string_equal(got, want);
    assert_true(msgpack_at_end(&m));
}

static void assert_time(struct buf *time, enum event_kind want, int64_t ns)
{
    for (int v2 = 0; v2 < 2; v2++) {
        struct buf b = {0};
        struct event e = {0};
        pack_array(&b, 2);
        if (v2)
            pack_array(&b, 2);
        pack_bytes(&b, time->p, time->n);
        if (v2)
            pack_json(&b, "{'a':1}");
        pack_json(&b, "{}");
        struct msgpack m = msgpack_over(b.p, b.n);
        assert_int_equal(event_next(&m, &e), want);
        if (want == EVENT_RECORD) {
            assert_true(e.time_ns == ns);
            assert_int_equal(msgpack_at_end(&e.metadata), !v2);
        }
        buf_free(&b);
    }
    buf_free(time);
}

#define ASSERT_TIME(want, ns, ...)                                                                                     \
    do {                                                                                                               \
        struct buf time = {0};                                                                                         \
        __VA_ARGS__;                                                                                                   \
        assert_time(&time, want, ns);                                                                                  \
    } while (0)

static void test_both_forms_and_every_kind_of_time_are_read(void **state)
{
    (void)state;
    ASSERT_TIME(EVENT_RECORD, 1700000000123456789, pack_time(&time, 1700000000, 123456789));
    ASSERT_TIME(EVENT_RECORD, 1700000000999999999, pack_time(&time, 1700000000, 4000000000));
    ASSERT_TIME(EVENT_RECORD, INT64_C(4294967293) * 1000000000 + 5, pack_time(&time, 0xfffffffd, 5));
    ASSERT_TIME(EVENT_RECORD, INT64_C(4294967295) * 1000000000 + 1, pack_time(&time, 0xffffffff, 1));
    ASSERT_TIME(EVENT_RECORD, 1700000000000000000, pack_uint(&time, 1700000000));
    ASSERT_TIME(EVENT_RECORD, 0, pack_uint(&time, 0));
    ASSERT_TIME(EVENT_RECORD, 1700000000500000000, pack_double(&time, 1700000000.5));
    ASSERT_TIME(EVENT_RECORD, 250000000, pack_number(&time, 0xca, 0x3e800000, 4)); /* a float, 0.25 */
    ASSERT_TIME(EVENT_RECORD, 1700000000000000007, pack_ext(&time, 0, "\x65\x53\xf1\x00\x00\x00\x00\x07", 8));
}

static void test_times_beyond_what_ns_hold_are_the_last_that_fits(void **state)
{
    (void)state;
    const int64_t last = (INT64_MAX / 1000000000 - 1) * 1000000000;
    ASSERT_TIME(EVENT_RECORD, last, pack_uint(&time, UINT64_MAX));
    ASSERT_TIME(EVENT_RECORD, last, pack_double(&time, 1e300));
}

static void test_what_is_no_time_is_no_event(void **state)
{
    (void)state;
    ASSERT_TIME(EVENT_MALFORMED, 0, pack_str(&time, "now"));
    ASSERT_TIME(EVENT_MALFORMED, 0, pack_nil(&time));
    ASSERT_TIME(EVENT_MALFORMED, 0, pack_int(&time, -3));
    ASSERT_TIME(EVENT_MALFORMED, 0, pack_double(&time, -1.5));
    ASSERT_TIME(EVENT_MALFORMED, 0, pack_double(&time, 0.0 / 0.0));
    ASSERT_TIME(EVENT_MALFORMED, 0, pack_ext(&time, 1, "\0\0\0\0\0\0\0\0", 8));
    ASSERT_TIME(EVENT_MALFORMED, 0, pack_ext(&time, 0, "\0\0\0\0", 4));
}

static void test_groups_start_and_end_at_their_two_times(void **state)
{
    (void)state;
    ASSERT_TIME(EVENT_GROUP_START, 0, pack_time(&time, 0xffffffff, 0));
    ASSERT_TIME(EVENT_GROUP_END, 0, pack_time(&time, 0xfffffffe, 0));
    ASSERT_TIME(EVENT_GROUP_START, 0, pack_int(&time, -1));
    ASSERT_TIME(EVENT_GROUP_END, 0, pack_int(&time, -2));
}

static void test_what_is_whole_but_no_event_is_passed_over(void **state)
{
    (void)state;
    static const char *const odd[] = {"1",        "'text'",     "[]",  "[1,{},{}]", "{'a':[1,[2]]}",
                                      "[[1],{}]", "[[1,2],{}]", "null"};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        struct buf b = {0};
        pack_v2(&b, 1, 0, "{}", "{}");
        pack_json(&b, odd[i]);
        pack_v1(&b, 2, 0, "{}");
        assert_events(&b, "rmr");
        buf_free(&b);
    }
}

static void test_a_cut_chunk_gives_what_is_whole_before_the_cut(void **state)
{
    (void)state;
    struct buf b = {0};
    pack_v2(&b, 1, 0, "{'a':'b'}", "{'log':'one'}");
    size_t first = b.n;
    pack_v1(&b, 2, 0, "{'log':'two'}");
    for (size_t n = first; n <= b.n; n++) {
        struct msgpack m = msgpack_over(b.p, n);
        struct event e;
        assert_int_equal(event_next(&m, &e), EVENT_RECORD);
        assert_true(msgpack_skip(&m));
        enum event_kind kind = event_next(&m, &e);
        if (n == first)
            assert_int_equal(kind, EVENT_NONE);
        else if (kind == EVENT_RECORD) /* the cut is in its body */
            assert_int_equal(msgpack_skip(&m), n == b.n);
        else {
            assert_int_equal(kind, EVENT_DAMAGED);
            assert_true(msgpack_at_end(&m));
        }
    }
    buf_free(&b);
}

static void test_zeroes_behind_the_last_record_are_its_end(void **state)
{
    (void)state;
    struct buf b = {0};
    pack_v1(&b, 1, 0, "{}");
    for (int i = 0; i < 40; i++)
        pack_byte(&b, 0);
    assert_events(&b, "r");
    pack_byte(&b, 0x93); /* not only zeroes: each is a value, and this one is cut */
    b.n = b.n - 38;
    pack_byte(&b, 0x93);
    assert_events(&b, "rmmmd");
    buf_free(&b);
}

static void test_bytes_that_begin_no_value_end_the_chunk(void **state)
{
    (void)state;
    struct buf b = {0};
    pack_v1(&b, 1, 0, "{}");
    pack_byte(&b, 0xc1);
    pack_v1(&b, 1, 0, "{}");
    assert_events(&b, "rd");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_forms_and_every_kind_of_time_are_read),
        cmocka_unit_test(test_times_beyond_what_ns_hold_are_the_last_that_fits),
        cmocka_unit_test(test_what_is_no_time_is_no_event),
        cmocka_unit_test(test_groups_start_and_end_at_their_two_times),
        cmocka_unit_test(test_what_is_whole_but_no_event_is_passed_over),
        cmocka_unit_test(test_a_cut_chunk_gives_what_is_whole_before_the_cut),
        cmocka_unit_test(test_zeroes_behind_the_last_record_are_its_end),
        cmocka_unit_test(test_bytes_that_begin_no_value_end_the_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
