/* The command line, the limits and the rule of misbehaviour: what is read, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/receive/options.h"

/* Parses a line of words; the words must live as long as the settings. */
static gcw_status parse(struct settings *s, gcw_error *err, const char *const *words, size_t n)
{
    static char receive[] = "receive";
    char *argv[16] = {receive};
    for (size_t i = 0; i < n; i++)
        argv[i + 1] = (char *)(uintptr_t)words[i];
    return settings_parse(s, (int)n + 1, argv, err);
}

#define PARSE(s, err, ...)                                                                                             \
    parse(s, err, (const char *const[]){__VA_ARGS__}, ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

static void test_options_are_read(void **state)
{
    struct settings s;
    gcw_error err;
    (void)state;
    setenv("GCW_RECEIVE_TOKEN", "tok", 1);
    assert_int_equal(PARSE(&s, &err, "-l", "[::1]:9009", "--tenant=metrics=1", "--max-series", "7", "-m",
                           "status=503:3", "--limit=logs_past=2d", "--exit-after-idle", "3", "--out", "-", "-v"),
                     GCW_OK);
    assert_string_equal(s.host, "::1");
    assert_int_equal(s.port, 9009);
    assert_int_equal(s.auth.mode, AUTH_BASIC);
    assert_int_equal(s.auth.flags.tenant_count, 1);
    assert_int_equal(s.limits.v[METRICS_SERIES], 7);
    assert_int_equal(s.limits.v[LOGS_PAST], 2 * 86400000);
    assert_int_equal(s.misbehave.status, 503);
    assert_int_equal(s.misbehave.status_count, 3);
    assert_int_equal(s.idle_ms, 3000);
    assert_true(s.verbose);
    settings_free(&s);
    unsetenv("GCW_RECEIVE_TOKEN");
    assert_int_equal(PARSE(&s, &err, "--listen", "localhost:0"), GCW_OK);
    assert_string_equal(s.host, "127.0.0.1");
    assert_int_equal(s.auth.mode, AUTH_NONE);
    settings_free(&s);
}

static void test_wrong_options_are_named(void **state)
{
    static const struct {
        const char *words[2], *says;
    } rows[] = {
        {{"--nope", NULL}, "--nope"},
        {{"-x", NULL}, "-x"},
        {{"--out", NULL}, "--out: an argument is missing"},
        {{"word", NULL}, "'word'"},
        {{"--listen", "9009"}, "--listen: '9009' is not HOST:PORT"},
        {{"--listen", "127.0.0.1:65536"}, "--listen"},
        {{"--listen", ":80"}, "--listen"},
        {{"--auth", "digest"}, "basic, tenant or none"},
        {{"--auth", "basic"}, "GCW_RECEIVE_TOKEN"},
        {{"--tenant", "1"}, "--token-file"},
        {{"--limit", "logs_past"}, "NAME=VALUE"},
        {{"--limit", "nope=1"}, "unknown limit 'nope'"},
        {{"--limit", "logs_past=x"}, "limit logs_past: 'x' is not a duration"},
        {{"--limit", "logs_strict=2"}, "on or off"},
        {{"--limit", "logs_rate=99999999999999"}, "is not a size"},
        {{"--max-series", "-1"}, "metrics_series"},
        {{"--misbehave", "status"}, "KEY=VALUE"},
        {{"--misbehave", "status=100"}, "status: '100'"},
        {{"--misbehave", "nope=1"}, "unknown key 'nope'"},
        {{"--max-requests", "0"}, "from 1 to"},
        {{"--exit-after-idle", "soon"}, "seconds"},
        {{"--tls-cert", "x"}, "go together"},
        {{"--token-file", "/nonexistent/token"}, "/nonexistent/token"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct settings s;
        gcw_error err = {0};
        assert_int_not_equal(parse(&s, &err, rows[i].words, rows[i].words[1] ? 2 : 1), GCW_OK);
        if (!strstr(err.text, rows[i].says))
            fail_msg("%s: '%s' does not hold '%s'", rows[i].words[0], err.text, rows[i].says);
        settings_free(&s);
    }
}

static void test_every_option_has_a_row_that_helps(void **state)
{
    size_t n;
    const struct cli_option *o = receive_options(&n);
    (void)state;
    assert_true(n > 15);
    for (size_t i = 0; i < n; i++) {
        assert_non_null(o[i].name);
        assert_non_null(o[i].group);
        assert_true(strlen(o[i].help) > 5);
        for (size_t k = i + 1; k < n; k++)
            assert_string_not_equal(o[i].name, o[k].name);
        for (size_t k = i + 2; k < n; k++) /* a group stands together */
            if (strcmp(o[i].group, o[i + 1].group) != 0)
                assert_string_not_equal(o[i].group, o[k].group);
    }
}

static void test_every_limit_has_a_row_that_reads_back(void **state)
{
    struct limits l, back;
    (void)state;
    limits_init(&l);
    limits_init(&back);
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        char value[64], text[128];
        assert_non_null(limit_rows[i].name);
        limit_format(value, sizeof value, limit_rows[i].kind, l.v[i]);
        snprintf(text, sizeof text, "%s=%s", limit_rows[i].name, value);
        back.v[i] = 12345;
        assert_int_equal(limits_set(&back, view_of(text), NULL), GCW_OK);
        assert_int_equal(back.v[i], l.v[i]);
    }
}

/* ---- misbehaviour
 * -------------------------------------------------------------------------------------------------------- */

static struct mischief draw(struct misbehave *m) { return misbehave_draw(m, GCW_METRICS, "1", 100); }

static void test_status_ends_after_its_count(void **state)
{
    struct misbehave m;
    (void)state;
    misbehave_init(&m);
    assert_int_equal(draw(&m).status, 0);
    assert_int_equal(misbehave_set_form(&m, view_of("status=503%3A2&retry_after=Wed%2C+21+Oct"), NULL), GCW_OK);
    struct mischief one = draw(&m);
    assert_int_equal(one.status, 503);
    assert_string_equal(one.retry_after, "Wed, 21 Oct");
    assert_int_equal(draw(&m).status, 503);
    assert_int_equal(draw(&m).status, 0);
}

static void test_count_ends_everything(void **state)
{
    struct misbehave m;
    (void)state;
    misbehave_init(&m);
    assert_int_equal(misbehave_set_json(&m, view_of("{\"reset\":\"after\",\"latency\":5,\"count\":1}"), NULL), GCW_OK);
    struct mischief one = draw(&m);
    assert_int_equal(one.reset, RESET_AFTER);
    assert_int_equal(one.latency_ms, 5);
    one = draw(&m);
    assert_int_equal(one.reset, RESET_NONE);
    assert_int_equal(one.latency_ms, 0);
}

static void test_match_and_size_choose_requests(void **state)
{
    struct misbehave m;
    (void)state;
    misbehave_init(&m);
    assert_int_equal(misbehave_set_form(&m, view_of("status=413&over=100&match=logs"), NULL), GCW_OK);
    assert_int_equal(misbehave_draw(&m, GCW_LOGS, "1", 101).status, 413);
    assert_int_equal(misbehave_draw(&m, GCW_LOGS, "1", 100).status, 0);
    assert_int_equal(misbehave_draw(&m, GCW_METRICS, "1", 101).status, 0);
    assert_int_equal(misbehave_set_form(&m, view_of("match=42&slow_read=10"), NULL), GCW_OK);
    assert_int_equal(misbehave_draw(&m, GCW_METRICS, "42", 101).status, 413);
    assert_int_equal(misbehave_draw(&m, GCW_METRICS, "43", 101).status, 0);
    assert_int_equal(misbehave_slow_read(&m, GCW_LOGS, "42"), 10);
    assert_int_equal(misbehave_slow_read(&m, GCW_LOGS, "43"), 0);
}

static void test_chance_repeats_with_its_seed(void **state)
{
    int hits[2] = {0};
    (void)state;
    for (int round = 0; round < 2; round++) {
        struct misbehave m;
        misbehave_init(&m);
        assert_int_equal(misbehave_set_form(&m, view_of("status=500:0.25&seed=7"), NULL), GCW_OK);
        for (int i = 0; i < 1000; i++)
            hits[round] += draw(&m).status == 500;
    }
    assert_int_equal(hits[0], hits[1]);
    assert_in_range(hits[0], 200, 300);
}

static void test_a_wrong_key_changes_nothing(void **state)
{
    struct misbehave m;
    gcw_error err;
    static const char *const bad[] = {"status=500&nope=1",
                                      "status=500&status=1000",
                                      "status=500:0",
                                      "status=500:1.5",
                                      "status=500&latency=x",
                                      "reset=maybe",
                                      "status",
                                      "retry_after=a%0Ab",
                                      "body=2GiB",
                                      "latency=25h"};
    (void)state;
    misbehave_init(&m);
    struct misbehave before = m;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(misbehave_set_form(&m, view_of(bad[i]), &err), GCW_ERR_INVALID);
        assert_memory_equal(&m, &before, sizeof m);
    }
    assert_int_equal(misbehave_set_json(&m, view_of("{\"status\":500,\"nope\":1}"), &err), GCW_ERR_INVALID);
    assert_int_equal(misbehave_set_json(&m, view_of("[]"), &err), GCW_ERR_INVALID);
    assert_int_equal(misbehave_set_json(&m, view_of("{"), &err), GCW_ERR_INVALID);
    assert_memory_equal(&m, &before, sizeof m);
    assert_int_equal(misbehave_set_form(&m, view_of("status=500&clear=on"), &err), GCW_OK);
    assert_int_equal(m.status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_are_read),
        cmocka_unit_test(test_wrong_options_are_named),
        cmocka_unit_test(test_every_option_has_a_row_that_helps),
        cmocka_unit_test(test_every_limit_has_a_row_that_reads_back),
        cmocka_unit_test(test_status_ends_after_its_count),
        cmocka_unit_test(test_count_ends_everything),
        cmocka_unit_test(test_match_and_size_choose_requests),
        cmocka_unit_test(test_chance_repeats_with_its_seed),
        cmocka_unit_test(test_a_wrong_key_changes_nothing),
    };
    unsetenv("GCW_RECEIVE_TOKEN");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
