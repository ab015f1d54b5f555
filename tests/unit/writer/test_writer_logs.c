/* What options do to entries on their way: times that differ, the receiver's window, service_name, detected_level. */
#include "../../support/host.h"

/* ---- unique times ----------------------------------------------------------------------------------------------- */

struct seen {
    int64_t time[5000];
    char line[5000];
    size_t n;
};

static void see(void *user, const struct request *q, const struct taken *t)
{
    struct seen *s = user;
    (void)q;
    assert_true(s->n < ARRAY_LEN(s->time));
    s->line[s->n] = t->line[0];
    s->time[s->n++] = t->time;
}

static void append_times(struct host *h, const char *app, const int64_t *times, size_t n)
{
    gcw_stream *s = host_stream(h, app);
    for (size_t i = 0; i < n; i++) {
        char line[2] = {(char)('a' + i), 0};
        assert_int_equal(gcw_entry_append(s, line, 1, times[i], NULL, 0, NULL), GCW_OK);
    }
    assert_int_equal(gcw_writer_flush(h->w, WAIT_MS), GCW_OK);
}

static void assert_seen(const struct seen *s, size_t from, const char *lines, const int64_t *times)
{
    assert_true(from + strlen(lines) <= s->n);
    for (size_t i = 0; lines[i]; i++) {
        assert_int_equal(s->line[from + i], lines[i]);
        assert_int_equal(s->time[from + i], times[i]);
    }
}

static void test_equal_times_of_a_stream_differ_when_asked(void **state)
{
    (void)state;
    static struct seen s;
    struct host h;
    host_open(&h, (const char *const[]){"logs_unique_times", "on", NULL});
    /* a coarse clock, somebody late, and times that the first ones were moved to */
    append_times(&h, "x", (const int64_t[]){1000, 1000, 1000, 900, 900, 1001, 2000}, 7);
    append_times(&h, "x", (const int64_t[]){2000, 2000, 900}, 3); /* goes on where the last request ended */
    append_times(&h, "x", (const int64_t[]){2001, 5000}, 2);
    receiver_stop(h.receiver);
    s.n = 0;
    receiver_each(h.receiver, GCW_LOGS, see, &s);
    assert_seen(&s, 0, "deabcfg", (const int64_t[]){900, 901, 1000, 1001, 1002, 1003, 2000});
    assert_seen(&s, 7, "cab", (const int64_t[]){900, 2001, 2002});
    assert_seen(&s, 10, "ab", (const int64_t[]){2003, 5000});
    host_free(&h);
}

static void test_times_stay_as_they_are_unless_asked(void **state)
{
    (void)state;
    static struct seen s;
    struct host h;
    host_open(&h, (const char *const[]){NULL});
    append_times(&h, "x", (const int64_t[]){7, 7, 7}, 3);
    receiver_stop(h.receiver);
    s.n = 0;
    receiver_each(h.receiver, GCW_LOGS, see, &s);
    assert_seen(&s, 0, "abc", (const int64_t[]){7, 7, 7});
    host_free(&h);
}

static int by_time(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Ascending times with many that are equal, cut into requests anywhere. */
static void test_no_two_entries_of_an_ascending_stream_share_a_time(void **state)
{
    (void)state;
    static struct seen s;
    struct host h;
    unsigned seed = 5;
    int64_t time = INT64_C(1700000000000000000);
    host_open(&h,
              (const char *const[]){"logs_unique_times", "on", "logs_batch_records", "37", "overflow", "block", NULL});
    gcw_stream *stream = host_stream(&h, "x");
    for (int i = 0; i < 5000; i++) {
        time += rand_r(&seed) % 3 ? 0 : rand_r(&seed) % 4;
        assert_int_equal(gcw_entry_append(stream, "x", 1, time, NULL, 0, NULL), GCW_OK);
    }
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    receiver_stop(h.receiver);
    s.n = 0;
    receiver_each(h.receiver, GCW_LOGS, see, &s);
    assert_int_equal(s.n, 5000);
    qsort(s.time, s.n, sizeof s.time[0], by_time);
    for (size_t i = 1; i < s.n; i++)
        assert_true(s.time[i] > s.time[i - 1]);
    host_free(&h);
}

/* ---- the window ------------------------------------------------------------------------------------------------- */

#define HOUR INT64_C(3600000000000)
#define DAY  (24 * HOUR)

static void append_around_now(struct host *h, gcw_status outside)
{
    gcw_stream *s = host_stream(h, "x");
    int64_t now = gcw_now_ns();
    const gcw_label metadata[] = {GCW_LABEL("k", "v")};
    assert_int_equal(gcw_entry_append(s, "old", 3, now - 8 * DAY, metadata, 1, NULL), outside);
    assert_int_equal(gcw_entry_append(s, "fine", 4, now - 6 * DAY, metadata, 1, NULL), GCW_OK);
    assert_int_equal(gcw_entry_append(s, "new", 3, now + HOUR, NULL, 0, NULL), outside);
    assert_int_equal(gcw_entry_append(s, "soon", 4, now + HOUR / 12, NULL, 0, NULL), GCW_OK);
}

static void test_entries_outside_the_window_are_dropped_and_counted(void **state)
{
    (void)state;
    struct host h;
    gcw_stats end;
    host_open(&h, (const char *const[]){"logs_window_policy", "drop", NULL});
    append_around_now(&h, GCW_ERR_DROPPED);
    host_close(&h, WAIT_MS, GCW_OK, &end); /* what was reported adds up to what was counted */
    assert_int_equal(end.signal[GCW_LOGS].accepted, 4);
    assert_int_equal(end.signal[GCW_LOGS].outcome[GCW_DROPPED], 2);
    assert_int_equal(end.signal[GCW_LOGS].outcome[GCW_DELIVERED], 2);
    bool named = false;
    for (size_t i = 0; i < h.report_count; i++)
        named |= strstr(h.reports[i].message, "logs_window_policy=drop") != NULL;
    assert_true(named);
    assert_int_equal(receiver_records(h.receiver, GCW_LOGS), 2);
    host_free(&h);
}

static void check_restamped(void *user, const struct request *q, const struct taken *t)
{
    int64_t now = gcw_now_ns();
    size_t *moved = user;
    (void)q;
    bool outside = strcmp(t->line, "old") == 0 || strcmp(t->line, "new") == 0;
    assert_true(t->time > now - 7 * DAY && t->time < now + HOUR / 2);
    assert_true(outside == (strstr(t->extra, "original_timestamp=\"") == t->extra));
    if (outside) {
        int64_t was = strtoll(t->extra + strlen("original_timestamp=\""), NULL, 10);
        assert_true(was < now - 7 * DAY || was > now + HOUR / 2);
        *moved += 1;
    }
    assert_true((strcmp(t->line, "old") != 0 && strcmp(t->line, "fine") != 0) || strstr(t->extra, "k=\"v\""));
}

static void test_entries_outside_the_window_are_restamped_and_say_so(void **state)
{
    (void)state;
    struct host h;
    gcw_stats end;
    size_t moved = 0;
    host_open(&h, (const char *const[]){"logs_window_policy", "restamp", NULL});
    append_around_now(&h, GCW_OK);
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_int_equal(end.signal[GCW_LOGS].outcome[GCW_DELIVERED], 4);
    assert_int_equal(end.signal[GCW_LOGS].changed, 2);
    receiver_each(h.receiver, GCW_LOGS, check_restamped, &moved);
    assert_int_equal(moved, 2);
    host_free(&h);
}

static void check_sent(void *user, const struct request *q, const struct taken *t)
{
    (void)q;
    *(int64_t *)user += strcmp(t->line, "old") == 0 ? gcw_now_ns() - t->time > 7 * DAY : 0;
}

static void test_entries_outside_the_window_are_sent_unless_asked(void **state)
{
    (void)state;
    struct host h;
    gcw_stats end;
    int64_t old = 0;
    host_open(&h, (const char *const[]){NULL});
    append_around_now(&h, GCW_OK);
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_int_equal(end.signal[GCW_LOGS].outcome[GCW_DELIVERED], 4);
    receiver_each(h.receiver, GCW_LOGS, check_sent, &old);
    assert_int_equal(old, 1);
    host_free(&h);
}

/* ---- order of streams -------------------------------------------------------------------------------------------- */

static void test_the_largest_stream_of_a_push_comes_last(void **state)
{
    (void)state;
    static struct seen s;
    struct host h;
    host_open(&h, (const char *const[]){"logs_lanes", "1", NULL});
    for (const char *line = "abbcabaa"; *line; line++) /* each letter a stream of its own */
        assert_int_equal(gcw_entry_append(host_stream(&h, (char[]){*line, 0}), line, 1, 1, NULL, 0, NULL), GCW_OK);
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    receiver_stop(h.receiver);
    s.n = 0;
    receiver_each(h.receiver, GCW_LOGS, see, &s);
    s.line[s.n] = 0;
    assert_string_equal(s.line, "bbbcaaaa");
    host_free(&h);
}

/* ---- what the server would find --------------------------------------------------------------------------------- */

static void check_found(void *user, const struct request *q, const struct taken *t)
{
    (void)q;
    *(size_t *)user += 1;
    assert_non_null(strstr(t->labels, "service_name=\"x\""));
    if (strcmp(t->line, "level=warn") == 0)
        assert_string_equal(t->extra, "k=\"v\",detected_level=\"warn\"");
    else
        assert_string_equal(t->extra, "detected_level=\"unknown\"");
}

static void test_service_and_level_are_set_when_asked(void **state)
{
    (void)state;
    struct host h;
    size_t seen = 0;
    gcw_stats end;
    const gcw_label metadata[] = {GCW_LABEL("k", "v")}, labels[] = {GCW_LABEL("app", "x")};
    host_open(&h, (const char *const[]){"logs_service_name", "auto", "logs_detected_level", "auto", NULL});
    gcw_stream *s = host_stream(&h, "x");
    assert_int_equal(gcw_entry_append(s, "level=warn", 10, 1, metadata, 1, NULL), GCW_OK);
    assert_int_equal(gcw_entry_append(s, "plain", 5, 2, NULL, 0, NULL), GCW_OK);
    assert_int_equal(gcw_entry_write(h.w, labels, 1, "one call", 8, 3, NULL, 0, NULL, NULL), GCW_OK);
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_int_equal(end.signal[GCW_LOGS].changed, 0);
    receiver_each(h.receiver, GCW_LOGS, check_found, &seen);
    assert_int_equal(seen, 3);
    host_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_times_of_a_stream_differ_when_asked),
        cmocka_unit_test(test_times_stay_as_they_are_unless_asked),
        cmocka_unit_test(test_no_two_entries_of_an_ascending_stream_share_a_time),
        cmocka_unit_test(test_entries_outside_the_window_are_dropped_and_counted),
        cmocka_unit_test(test_entries_outside_the_window_are_restamped_and_say_so),
        cmocka_unit_test(test_entries_outside_the_window_are_sent_unless_asked),
        cmocka_unit_test(test_the_largest_stream_of_a_push_comes_last),
        cmocka_unit_test(test_service_and_level_are_set_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
