/* A file of targets: what a line can say, what it can't, and what becomes of the options beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/scrape/targets.h"

#define SECRET "EXAMPLEpass word"

struct world {
    char folder[32], secret[64], other[64];
    struct target_settings defaults;
    struct secrets secrets;
    struct target_list list;
    gcw_error err;
};

static void put(const char *path, const char *content)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(content, f) >= 0 && fclose(f) == 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->folder, "/tmp/gcw-test-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->secret, sizeof w->secret, "%s/secret", w->folder);
    snprintf(w->other, sizeof w->other, "%s/other", w->folder);
    put(w->secret, SECRET "\n");
    put(w->other, "EXAMPLEtoken\n");
    assert_true(defaults_init(&w->defaults));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    target_list_free(&w->list);
    target_settings_wipe(&w->defaults);
    assert_null(w->secrets.first);
    unlink(w->secret);
    unlink(w->other);
    rmdir(w->folder);
    free(w);
    return 0;
}

static gcw_status try_read(struct world *w, const char *text)
{
    target_list_free(&w->list);
    w->err.text[0] = 0;
    return targets_read(&w->list, &w->defaults, &w->secrets, "targets", view_of(text), &w->err);
}

static struct target_settings *read_one(struct world *w, const char *text)
{
    if (try_read(w, text) != GCW_OK)
        fail_msg("%s", w->err.text);
    assert_int_equal(w->list.count, 1);
    return w->list.at[0];
}

/* ~ in the text is the password's file, ^ the token's. */
static const char *with_files(const struct world *w, const char *text)
{
    static char out[1024];
    size_t n = 0;
    for (; *text; text++)
        n += (size_t)(*text == '~'   ? snprintf(out + n, sizeof out - n, "%s", w->secret)
                      : *text == '^' ? snprintf(out + n, sizeof out - n, "%s", w->other)
                                     : snprintf(out + n, sizeof out - n, "%c", *text));
    return out;
}

static void test_a_url_alone_is_a_target_with_the_defaults(void **state)
{
    struct world *w = *state;
    const struct target_settings *t = read_one(w, "\xef\xbb\xbf# all of them\r\n\n  http://h:9100/metrics\r\n");
    assert_string_equal(t->url, "http://h:9100/metrics");
    assert_int_equal(t->interval_ms, 15000);
    assert_int_equal(t->timeout_ms, 10000);
    assert_int_equal(t->body_limit, 256 * MIB);
    assert_int_equal(t->label_count, 2);
    assert_string_equal(target_label_value(t, view_of("job")), "gcw");
    assert_string_equal(target_label_value(t, view_of("instance")), "h:9100");
    assert_null(t->secret);
}

static void test_every_key_is_read(void **state)
{
    struct world *w = *state;
    const struct target_settings *t =
        read_one(w, with_files(w, "https://h/probe?target=x&m=y job=blackbox interval=1m timeout=5s body_limit=1MiB "
                                  "honor_labels=on own_timestamps=yes user=me password_file=~ ca_file=~ cert_file=~ "
                                  "key_file=~ insecure=1 cleartext=on label.site=north label.instance=x"));
    assert_string_equal(t->url, "https://h/probe?target=x&m=y");
    assert_string_equal(t->job, "blackbox");
    assert_int_equal(t->interval_ms, 60000);
    assert_int_equal(t->timeout_ms, 5000);
    assert_int_equal(t->body_limit, MIB);
    assert_true(t->honor_labels && t->own_timestamps && t->insecure && t->cleartext);
    assert_string_equal(t->user, "me");
    assert_string_equal(t->ca_file, w->secret);
    assert_string_equal(t->cert_file, w->secret);
    assert_string_equal(t->key_file, w->secret);
    assert_int_equal(t->label_count, 3);
    assert_string_equal(target_label_value(t, view_of("site")), "north");
    assert_string_equal(target_label_value(t, view_of("instance")), "x");
    assert_string_equal(secret_text(t->secret), SECRET);
}

static void test_quotes_hold_blanks_and_a_hash_begins_a_remark(void **state)
{
    struct world *w = *state;
    const struct target_settings *t = read_one(
        w, "http://h/ label.a=\"north wing\"\tlabel.b=\"say \\\"x\\\" \\\\ #1\" label.c=#2 # a remark job=x \"");
    assert_string_equal(target_label_value(t, view_of("a")), "north wing");
    assert_string_equal(target_label_value(t, view_of("b")), "say \"x\" \\ #1");
    assert_string_equal(target_label_value(t, view_of("c")), "#2");
    assert_string_equal(t->job, "gcw");
}

static void test_errors_name_the_line_the_key_and_what_is_allowed(void **state)
{
    static const char *const lines[][2] = {
        {"node:9100/metrics", "no http or https URL"},
        {"ftp://h/", "no http or https URL"},
        {"\"\" job=a", "no http or https URL"},
        {"job=a http://h/", "behind the URL"},
        {"http://me:pw@h/", "user and password_file"},
        {"http://:pw@h/", "user and password_file"},
        {"http://me:p/w@h/", "no http or https URL"},
        {"http://h/ job", "KEY=VALUE"},
        {"http://h/ =a", "KEY=VALUE"},
        {"http://h/ \"\"", "KEY=VALUE"},
        {"http://h/ job=\"a", "not closed"},
        {"http://h/ job=", "job: \"\" is not allowed"},
        {"http://h/ intervall=1s", "\"intervall\"; the nearest known one is \"interval\""},
        {"http://h/ lable.x=1", "the nearest known one is \"label.NAME\""},
        {"http://h/ password=x", "the nearest known one is \"password_file\""},
        {"http://h/ interval=5parsecs", "interval: \"5parsecs\" is not allowed: 100ms..1d"},
        {"http://h/ interval=10ms", "100ms..1d"},
        {"http://h/ timeout=0", "1ms..1d"},
        {"http://h/ body_limit=8GiB", "1B..4GiB"},
        {"http://h/ insecure=maybe", "on|off"},
        {"http://h/ interval=1s interval=2s", "interval: set twice"},
        {"http://h/ label.a=1 label.a=2", "label.a: set twice"},
        {"http://h/ label.a=", "label.a: \"\" is not allowed"},
        {"http://h/ label.=1", "label."},
        {"http://h/ label.1a=1", "letters, digits and _"},
        {"http://h/ label.__name__=1", "letters, digits and _"},
        {"http://h/ label.a-b=1", "letters, digits and _"},
        {"http://h/ label.a=\xff", "UTF-8"},
        {"http://h/ label.job=x", "the key for that is job"},
        {"https://h/ user=me", "one needs the other"},
        {"https://h/ password_file=~", "one needs the other"},
        {"https://h/ user=a:b password_file=~", "no ':'"},
        {"https://h/ user=me password_file=~ token_file=^", "one of the two"},
        {"https://h/ token_file=/nonexistent/x", "token_file /nonexistent/x: "},
        {"https://h/ user=me password_file=/dev/null", "it is empty"},
        {"https://h/ token_file=~", "blanks"},
        {"https://h/ cert_file=~", "one needs the other"},
        {"https://h/ ca_file=/nonexistent/x", "ca_file: /nonexistent/x cannot be read"},
        {"https://h/ key_file=/tmp cert_file=~", "key_file: /tmp is a folder"},
        {"http://h/ token_file=^", "in clear text"},
        {"http://192.0.2.1/ user=me password_file=~", "cleartext=on"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char text[1200];
        snprintf(text, sizeof text, "# first\n%s\nhttp://other/\n", with_files(w, lines[i][0]));
        assert_int_not_equal(try_read(w, text), GCW_OK);
        if (strncmp(w->err.text, "targets:2: ", 11) != 0 || !strstr(w->err.text, lines[i][1]))
            fail_msg("%s: %s", lines[i][0], w->err.text);
        assert_null(strstr(w->err.text, "EXAMPLE"));
        assert_null(strstr(w->err.text, "me:p"));
    }
}

static void test_credentials_may_go_in_clear_text_to_this_host_or_when_it_was_said(void **state)
{
    static const char *const lines[] = {
        "http://localhost:1/ token_file=^",     "http://127.8.0.1/ token_file=^",
        "http://[::1]/ user=a password_file=~", "https://h/ token_file=^",
        "http://h/ token_file=^ cleartext=on",
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        read_one(w, with_files(w, lines[i]));
}

static void test_targets_whose_series_would_be_the_same_are_refused(void **state)
{
    struct world *w = *state;
    assert_int_equal(try_read(w, "http://h/a\nhttp://h/b\n"), GCW_ERR_INVALID);
    assert_non_null(strstr(w->err.text, "targets:2: http://h/b has the same labels as http://h/a"));
    assert_int_equal(try_read(w, "http://h/a label.a=1 label.b=2\nhttp://h/b label.b=2 label.a=1\n"), GCW_ERR_INVALID);
    assert_int_equal(try_read(w, "http://h/a\nhttp://h/a job=x\nhttp://h/a label.instance=y\nhttp://h/a label.z=1\n"),
                     GCW_OK);
    assert_int_equal(w->list.count, 4);
}

static void test_there_are_not_more_targets_and_labels_than_allowed(void **state)
{
    struct world *w = *state;
    struct buf text = {0};
    for (int i = 0; i <= TARGETS_MAX; i++)
        assert_true(buf_printf(&text, "http://h%d/\n", i));
    assert_true(buf_cstr(&text));
    assert_int_equal(try_read(w, (const char *)text.p), GCW_ERR_INVALID);
    assert_non_null(strstr(w->err.text, "targets:1001: at most 1000 targets"));
    text.n = 0;
    assert_true(buf_puts(&text, "http://h/"));
    for (int i = 0; i < TARGET_LABELS - 2; i++)
        assert_true(buf_printf(&text, " label.l%d=x", i));
    assert_true(buf_cstr(&text));
    assert_int_equal(read_one(w, (const char *)text.p)->label_count, TARGET_LABELS);
    assert_true(buf_puts(&text, " label.more=x") && buf_cstr(&text));
    assert_int_equal(try_read(w, (const char *)text.p), GCW_ERR_INVALID);
    assert_non_null(strstr(w->err.text, "at most 30 labels"));
    buf_free(&text);
}

static void option(struct world *w, const char *name, const char *arg)
{
    const struct settings s = {cli_command_named("push metrics"), NULL};
    bool failed = true;
    assert_true(target_option(&w->defaults, &s, name, arg, &failed));
    assert_false(failed);
}

static void test_options_are_defaults_that_a_line_overrides(void **state)
{
    struct world *w = *state;
    option(w, "interval", "2s");
    option(w, "honor-labels", NULL);
    option(w, "scrape-user", "me");
    option(w, "scrape-password-file", w->secret);
    const struct target_settings *t = read_one(w, "https://h/");
    assert_int_equal(t->timeout_ms, 2000);
    assert_true(t->honor_labels);
    assert_string_equal(t->user, "me");
    assert_string_equal(secret_text(t->secret), SECRET);

    t = read_one(w, "https://h/ interval=1m honor_labels=off user=you");
    assert_int_equal(t->timeout_ms, 10000);
    assert_false(t->honor_labels);
    assert_string_equal(t->user, "you");
    assert_string_equal(t->password_file, w->secret);

    t = read_one(w, with_files(w, "https://h/ token_file=^")); /* one kind of credentials sets the other aside */
    assert_string_equal(t->user, "");
    assert_string_equal(secret_text(t->secret), "EXAMPLEtoken");

    t = read_one(w, "https://h/ user= password_file=\"\"");
    assert_null(t->secret);
}

static void test_a_token_by_option_is_set_aside_by_a_user_on_the_line(void **state)
{
    struct world *w = *state;
    option(w, "scrape-token-file", w->other);
    const struct target_settings *t = read_one(w, with_files(w, "https://h/ user=me password_file=~"));
    assert_string_equal(t->token_file, "");
    assert_string_equal(secret_text(t->secret), SECRET);
    assert_null(read_one(w, "http://h/ token_file=")->secret);
}

static void test_settings_are_equal_when_the_line_says_the_same(void **state)
{
    static const char *const others[] = {
        "https://h/y label.a=1 user=me password_file=~",
        "https://h/x label.a=2 user=me password_file=~",
        "https://h/x label.b=1 user=me password_file=~",
        "https://h/x user=me password_file=~",
        "https://h/x label.a=1 user=you password_file=~",
        "https://h/x label.a=1 user=me password_file=^",
        "https://h/x label.a=1 user=me password_file=~ interval=16s",
        "https://h/x label.a=1 user=me password_file=~ insecure=on",
    };
    struct world *w = *state;
    struct target_list first = {0};
    assert_int_equal(try_read(w, with_files(w, "https://h/x label.a=1 user=me password_file=~")), GCW_OK);
    first = w->list;
    w->list = (struct target_list){0};
    assert_true(target_settings_equal(
        first.at[0], read_one(w, with_files(w, " https://h/x  password_file=~ label.a=\"1\" user=me interval=15s #"))));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(target_settings_equal(first.at[0], read_one(w, with_files(w, others[i]))));
    target_list_free(&first);
}

static void test_a_secret_is_read_again_when_its_file_changes(void **state)
{
    struct world *w = *state;
    w->secrets.log.level = GCW_LOG_ERROR;
    const struct target_settings *t =
        (try_read(w, with_files(w, "https://h/ token_file=^\nhttps://i/ token_file=^")), w->list.at[0]);
    assert_ptr_equal(t->secret, w->list.at[1]->secret); /* the file is held once */
    put(w->secret, "EXAMPLEanother");
    assert_int_equal(rename(w->secret, w->other), 0);
    assert_string_equal(secret_text(t->secret), "EXAMPLEanother");
    put(w->other, "");
    assert_string_equal(secret_text(t->secret), "EXAMPLEanother"); /* it is being written, or a mistake */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_url_alone_is_a_target_with_the_defaults),
        TEST(test_every_key_is_read),
        TEST(test_quotes_hold_blanks_and_a_hash_begins_a_remark),
        TEST(test_errors_name_the_line_the_key_and_what_is_allowed),
        TEST(test_credentials_may_go_in_clear_text_to_this_host_or_when_it_was_said),
        TEST(test_targets_whose_series_would_be_the_same_are_refused),
        TEST(test_there_are_not_more_targets_and_labels_than_allowed),
        TEST(test_options_are_defaults_that_a_line_overrides),
        TEST(test_a_token_by_option_is_set_aside_by_a_user_on_the_line),
        TEST(test_settings_are_equal_when_the_line_says_the_same),
        TEST(test_a_secret_is_read_again_when_its_file_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
