/* Scraping without a network: when targets are due, and which series they have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/scrape/scrape.h"

/* ---- schedule -----------------------------------------------------------------------------------------------------
 */

#define INTERVAL UINT64_C(15000)

static void test_a_target_keeps_its_place_in_the_interval_whenever_the_tool_starts(void **state)
{
    (void)state;
    for (uint64_t offset = 0; offset < INTERVAL; offset += 1234)
        for (int64_t unix_ms = INT64_C(1700000000000); unix_ms < INT64_C(1700000060000); unix_ms += 777) {
            uint64_t due = schedule_first(5000, unix_ms, INTERVAL, offset);
            assert_true(due >= 5000 && due < 5000 + INTERVAL);
            assert_int_equal(((uint64_t)unix_ms + due - 5000) % INTERVAL, offset);
        }
}

static void test_missed_scrapes_are_left_out_and_the_place_is_kept(void **state)
{
    (void)state;
    assert_int_equal(schedule_next(1000, 1000, INTERVAL), 16000);
    assert_int_equal(schedule_next(1000, 900, INTERVAL), 16000); /* a little early */
    assert_int_equal(schedule_next(1000, 15999, INTERVAL), 16000);
    assert_int_equal(schedule_next(1000, 16000, INTERVAL), 31000);
    assert_int_equal(schedule_next(1000, 1000 + 10 * INTERVAL + 5, INTERVAL), 1000 + 11 * INTERVAL);
}

static void test_times_near_the_place_are_taken_for_it(void **state)
{
    (void)state;
    const int64_t place = INT64_C(1700000010000) / 15000 * 15000 + 77;
    assert_int_equal(schedule_stamp(place, INTERVAL, 77), place);
    assert_int_equal(schedule_stamp(place + 2, INTERVAL, 77), place);
    assert_int_equal(schedule_stamp(place - 2, INTERVAL, 77), place);
    assert_int_equal(schedule_stamp(place + 3, INTERVAL, 77), place + 3);
    assert_int_equal(schedule_stamp(place - 3, INTERVAL, 77), place - 3);
    assert_int_equal(schedule_stamp(place + 1, INTERVAL, 77 + INTERVAL), place);
    assert_int_equal(schedule_stamp(100, 100, 0), 100);
    assert_int_equal(schedule_stamp(102, 100, 0), 102); /* a hundredth of the interval at most */
}

/* ---- series ---------------------------------------------------------------------------------------------------------
 */

struct counts {
    size_t gone, there;
};

static void count_gone(void *ctx, struct scraped *s)
{
    ((struct counts *)ctx)->gone++;
    assert_true(s->handle != NULL);
}
static void count_there(void *ctx, struct scraped *s)
{
    ((struct counts *)ctx)->there++;
    assert_true(s->handle != NULL);
}

/* No writer: a handle is just a number here, and each is told once. */
static struct scraped *meet(struct series_cache *c, unsigned id, uint64_t scrape)
{
    char text[32];
    bool fresh = false;
    snprintf(text, sizeof text, "metric{id=\"%u\"}", id);
    struct scraped *s = series_find(c, view_of(text), scrape);
    if (!s) {
        s = series_add(c, view_of(text), (gcw_series *)(uintptr_t)(id + 1), scrape, &fresh);
        assert_non_null(s);
        assert_true(fresh);
    }
    assert_ptr_equal(s->handle, (gcw_series *)(uintptr_t)(id + 1));
    s->seen = scrape;
    return s;
}

static void test_series_come_and_go_and_none_is_mistaken(void **state)
{
    (void)state;
    enum { IDS = 3000 };
    static bool there[IDS];
    struct series_cache *c = series_cache_new();
    unsigned seed = 3;
    assert_non_null(c);
    memset(there, 0, sizeof there);
    for (uint64_t scrape = 1; scrape <= 200; scrape++) {
        struct counts counts = {0, 0};
        size_t gone = 0, now = 0;
        unsigned share = (unsigned)rand_r(&seed) % 10 + 1;
        for (unsigned id = 0; id < IDS; id++) {
            bool had = there[id];
            there[id] = (unsigned)rand_r(&seed) % 10 < share;
            gone += had && !there[id];
            now += there[id];
            if (there[id])
                meet(c, id, scrape);
        }
        series_sweep(c, scrape, count_gone, &counts);
        series_each(c, count_there, &counts);
        assert_int_equal(counts.gone, gone);
        assert_int_equal(counts.there, now);
    }
    series_cache_free(c);
}

/* ---- exemplars ------------------------------------------------------------------------------------------------------
 */

static void test_an_exemplar_that_was_sent_is_no_news(void **state)
{
    (void)state;
    static const gcw_label a[] = {{"trace_id", 8, "a", 1}}, b[] = {{"trace_id", 8, "b", 1}};
    const int64_t none = EXPOSITION_NO_TIME;
    static const struct {
        const gcw_label *label;
        double value;
        int64_t ms;
    } shown[][2] = {
        {{a, 1, 0}, {NULL, 0, 0}},    {{a, 1, 0}, {NULL, 0, 0}},   {{a, 2, 0}, {NULL, 0, 0}},
        {{b, 2, 0}, {NULL, 0, 0}},    {{a, 1, 500}, {b, 1, 2000}}, {{b, 1, 2000}, {a, 1, 50}},
        {{b, 1, 2001}, {a, 1, 2002}},
    };
    static const char *const kept[] = {"a", "", "a", "b", "b", "", "ba"};
    struct scraped series = {0};
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        gcw_exemplar e[2];
        struct exposition_sample s = {.exemplars = e};
        char got[3] = "";
        for (; s.exemplar_count < 2 && shown[i][s.exemplar_count].label; s.exemplar_count++) {
            int64_t ms = shown[i][s.exemplar_count].ms;
            e[s.exemplar_count] =
                (gcw_exemplar){shown[i][s.exemplar_count].label, 1, shown[i][s.exemplar_count].value, ms ? ms : none};
        }
        exemplars_sift(&series, &s, 1000 + (int64_t)i);
        for (size_t k = 0; k < s.exemplar_count; k++)
            got[k] = e[k].labels->value[0];
        assert_string_equal(got, kept[i]);
    }
}

/* ---- targets --------------------------------------------------------------------------------------------------------
 */

static void test_the_instance_is_host_and_port(void **state)
{
    (void)state;
    static const struct {
        const char *url, *want;
    } rows[] = {
        {"http://localhost:9100/metrics", "localhost:9100"},
        {"http://node/metrics?x=y", "node:80"},
        {"https://node/", "node:443"},
        {"http://[::1]:9100/metrics", "[::1]:9100"},
        {"ftp://node/metrics", NULL},
        {"file:///etc/passwd", NULL},
        {"http://user:secret@node/metrics", NULL},
        {"node:9100/metrics", NULL},
        {"http://", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        gcw_error err = {0};
        char *got = url_instance(rows[i].url, &err);
        if (!rows[i].want) {
            assert_null(got);
            assert_true(*err.text);
            assert_null(strstr(err.text, "secret"));
        } else {
            assert_string_equal(got, rows[i].want);
        }
        free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_target_keeps_its_place_in_the_interval_whenever_the_tool_starts),
        cmocka_unit_test(test_missed_scrapes_are_left_out_and_the_place_is_kept),
        cmocka_unit_test(test_times_near_the_place_are_taken_for_it),
        cmocka_unit_test(test_series_come_and_go_and_none_is_mistaken),
        cmocka_unit_test(test_an_exemplar_that_was_sent_is_no_news),
        cmocka_unit_test(test_the_instance_is_host_and_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
