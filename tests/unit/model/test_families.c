/* When a metric family is described in remote write 1.0: once, when it changes, again after a while; never more often
 * than a fifth of that while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/model.h"

#define AGAIN  (5 * 60 * 1000)
#define SOON   (AGAIN / 5)
#define SCRAPE 15000
#define HOUR   (60 * 60 * 1000)

static int owner, other;

static bool told(struct families *f, const char *name, const char *help, uint64_t now)
{
    return families_update(f, &owner, GCW_TYPE_GAUGE, view_of(name), view_of(help), view_of("s"), now);
}

static struct view help_of(struct families *f, const char *metric)
{
    struct metric_family *m = families_find(f, &owner, view_of(metric));
    assert_non_null(m);
    return family_help(m);
}

static void test_a_family_is_due_once_and_again_after_a_while(void **state)
{
    (void)state;
    struct families *f = families_new(AGAIN);
    assert_true(told(f, "a", "Help.", 1000));
    for (uint64_t now = 1000; now < 1000 + AGAIN; now += SCRAPE)
        assert_false(told(f, "a", "Help.", now));
    assert_true(told(f, "a", "Help.", 1000 + AGAIN));
    assert_false(told(f, "a", "Help.", 1001 + AGAIN));
    /* another owner's is another family */
    assert_true(families_update(f, &other, GCW_TYPE_GAUGE, view_of("a"), view_of("Help."), view_of("s"), 1001 + AGAIN));
    families_free(f);
}

static void test_a_change_is_due_when_some_time_has_passed_since_it_was_sent(void **state)
{
    (void)state;
    struct families *f = families_new(AGAIN);
    struct family_due due;
    struct buf text = {0};
    assert_true(told(f, "a", "Help.", 1000));
    assert_false(told(f, "a", "Another.", 2000));
    assert_true(view_is(help_of(f, "a"), "Another.")); /* 2.0 says it at once */
    /* nobody has to tell of it again */
    assert_false(families_due(f, 999 + SOON, &text, &due));
    assert_true(families_due(f, 1000 + SOON, &text, &due));
    assert_true(view_is(due.name, "a") && view_is(due.help, "Another.") && view_is(due.unit, "s"));
    assert_ptr_equal(due.owner, &owner);
    assert_int_equal(due.type, GCW_TYPE_GAUGE);
    assert_false(families_due(f, 1000 + SOON, &text, &due));
    assert_true(told(f, "a", "A third.", 1000 + 2 * SOON));
    buf_free(&text);
    families_free(f);
}

static void test_two_that_contradict_each_other_cost_a_bounded_rate_and_no_memory(void **state)
{
    (void)state;
    struct families *f = families_new(AGAIN);
    char help[2][600];
    unsigned sent = 0;
    for (int k = 0; k < 2; k++) {
        memset(help[k], 'a' + k, sizeof help[k] - 1);
        help[k][sizeof help[k] - 1] = 0;
    }
    /* 72,000 changes of 600 bytes, which are more than the table may hold at a time */
    for (uint64_t now = 1; now < HOUR; now += 100) {
        sent += told(f, "a", help[0], now);
        sent += told(f, "a", help[1], now);
        families_let_go(f); /* as the encoder does before each request */
    }
    assert_true(sent > 1 && sent <= HOUR / SOON);
    assert_true(view_is(help_of(f, "a"), help[1]));
    assert_true(told(f, "b", "still room", 1));
    assert_true(view_is(help_of(f, "b"), "still room"));
    families_free(f);
}

static void test_ten_thousand_families_that_change_with_every_scrape_are_sent_once_a_minute_each(void **state)
{
    (void)state;
    struct families *f = families_new(AGAIN);
    char name[32], help[64];
    unsigned sent = 0, minutes = 10;
    for (uint64_t now = 1; now <= minutes * SOON; now += SCRAPE)
        for (int k = 0; k < 10000; k++) {
            snprintf(name, sizeof name, "family_%d", k);
            snprintf(help, sizeof help, "Help of %d at %llu.", k, (unsigned long long)now);
            sent += told(f, name, help, now);
        }
    assert_int_equal(sent, 10000 * minutes);
    families_free(f);
}

static void test_what_was_not_sent_is_due_at_once(void **state)
{
    (void)state;
    struct families *f = families_new(AGAIN);
    assert_true(told(f, "a", "Help.", 1000));
    families_unsent(f, &owner, view_of("a"));
    assert_true(told(f, "a", "Help.", 1000));
    assert_false(told(f, "a", "Help.", 1000));
    families_unsent(f, &owner, view_of("unknown")); /* nothing to do */
    families_free(f);
}

static void test_what_nobody_tells_of_again_comes_round(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct families *f = families_new(AGAIN);
    struct family_due due;
    struct buf text = {0};
    static bool seen[N];
    char name[32];
    for (int k = 0; k < N; k++) {
        snprintf(name, sizeof name, "family_%d", k);
        assert_true(told(f, name, "Help.", 1));
    }
    assert_false(families_due(f, AGAIN, &text, &due));
    unsigned found = 0;
    for (int call = 0; call < 2 * N; call++)
        if (families_due(f, AGAIN + 1, &text, &due)) {
            snprintf(name, sizeof name, "%.*s", VIEW_ARG(due.name));
            int k = atoi(name + strlen("family_"));
            assert_false(seen[k]);
            seen[k] = true;
            found++;
        }
    assert_int_equal(found, N);
    buf_free(&text);
    families_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_family_is_due_once_and_again_after_a_while),
        cmocka_unit_test(test_a_change_is_due_when_some_time_has_passed_since_it_was_sent),
        cmocka_unit_test(test_two_that_contradict_each_other_cost_a_bounded_rate_and_no_memory),
        cmocka_unit_test(test_ten_thousand_families_that_change_with_every_scrape_are_sent_once_a_minute_each),
        cmocka_unit_test(test_what_was_not_sent_is_due_at_once),
        cmocka_unit_test(test_what_nobody_tells_of_again_comes_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
