/* The option table and what reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"

static void test_every_default_reads_back_as_itself(void **state)
{
    (void)state;
    gcw_config *c = gcw_config_new();
    const gcw_option *o;
    char text[256];
    for (size_t i = 0; (o = gcw_option_at(i)); i++) {
        assert_int_equal(gcw_config_get(c, o->name, text, sizeof text), GCW_OK);
        assert_string_equal(text, o->default_value);
        for (const char *p = o->name; *p; p++)
            assert_true((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_');
    }
    gcw_config_free(c);
}

static void test_bad_values_are_refused_with_key_value_and_what_is_allowed(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"metrics_batch_age", "5 parsecs", "10ms..1h"},
        {"metrics_lanes", "0", "1..64"},
        {"overflow", "explode", "drop_oldest"},
        {"memory_limit", "1KiB", "64KiB..1TiB"},
        {"tls_verify", "maybe", "on|off"},
        {"tls_min_version", "1.1", "1.2|1.3"},
        {"logs_url", "a\nb", "URL"},
    };
    gcw_config *c = gcw_config_new();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        gcw_error err;
        char before[256], after[256];
        gcw_config_get(c, rows[i][0], before, sizeof before);
        assert_int_equal(gcw_config_set(c, rows[i][0], rows[i][1], &err), GCW_ERR_INVALID);
        assert_non_null(strstr(err.text, rows[i][0]));
        assert_non_null(strstr(err.text, rows[i][2]));
        gcw_config_get(c, rows[i][0], after, sizeof after);
        assert_string_equal(before, after);
    }
    gcw_config_free(c);
}

static void test_unknown_key_names_the_nearest(void **state)
{
    (void)state;
    gcw_config *c = gcw_config_new();
    gcw_error err;
    assert_int_equal(gcw_config_set(c, "metric_url", "http://x/", &err), GCW_ERR_INVALID);
    assert_non_null(strstr(err.text, "metrics_url"));
    gcw_config_free(c);
}

static void test_secret_is_in_no_error_and_no_get(void **state)
{
    (void)state;
    gcw_config *c = gcw_config_new();
    gcw_error err;
    char text[64];
    assert_int_equal(gcw_config_set(c, "token", "glc_EXAMPLE bad", &err), GCW_ERR_INVALID);
    assert_null(strstr(err.text, "EXAMPLE"));
    assert_int_equal(gcw_config_set(c, "token", "glc_EXAMPLE", &err), GCW_OK);
    gcw_config_get(c, "token", text, sizeof text);
    assert_string_equal(text, "***");
    gcw_config_free(c);
}

static gcw_status load(const char *content, mode_t mode, gcw_config *c, gcw_error *err)
{
    char path[] = "/tmp/gcw-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content) && fchmod(fd, mode) == 0);
    close(fd);
    gcw_status status = gcw_config_load_file(c, path, err);
    unlink(path);
    return status;
}

static void test_file_sets_options_and_names_the_line_of_an_error(void **state)
{
    (void)state;
    gcw_config *c = gcw_config_new();
    gcw_error err;
    char text[64];
    assert_int_equal(load("# c\r\n\n metrics_lanes = 4 \r\nuser_agent=\" x \"\n", 0644, c, &err), GCW_OK);
    gcw_config_get(c, "metrics_lanes", text, sizeof text);
    assert_string_equal(text, "4");
    gcw_config_get(c, "user_agent", text, sizeof text);
    assert_string_equal(text, " x ");
    assert_int_equal(load("\nlogs_lanes = 1\nbogus = 2\n", 0644, c, &err), GCW_ERR_INVALID);
    assert_non_null(strstr(err.text, ":3: "));
    assert_int_equal(load("logs_lanes=1\nlogs_lanes=2\n", 0644, c, &err), GCW_ERR_INVALID);
    assert_int_equal(load("no equals\n", 0644, c, &err), GCW_ERR_INVALID);
    assert_int_equal(gcw_config_load_file(c, "/nonexistent/gcw.conf", &err), GCW_ERR_IO);
    gcw_config_free(c);
}

static void test_file_with_a_token_must_be_private(void **state)
{
    (void)state;
    gcw_config *c = gcw_config_new();
    gcw_error err;
    assert_int_equal(load("token = glc_EXAMPLE\n", 0644, c, &err), GCW_ERR_INVALID);
    assert_null(strstr(err.text, "EXAMPLE"));
    assert_int_equal(load("token = glc_EXAMPLE\n", 0600, c, &err), GCW_OK);
    gcw_config_free(c);
}

static void test_environment_sets_options_and_refuses_typos(void **state)
{
    (void)state;
    gcw_config *c = gcw_config_new();
    gcw_error err;
    char text[64];
    setenv("GCW_LOGS_LANES", "3", 1);
    setenv("GCW_CONFIG", "/x", 1);
    setenv("GCW_RECEIVE_TOKEN", "y", 1);
    assert_int_equal(gcw_config_load_env(c, &err), GCW_OK);
    gcw_config_get(c, "logs_lanes", text, sizeof text);
    assert_string_equal(text, "3");
    setenv("GCW_LOGS_LANE", "3", 1);
    assert_int_equal(gcw_config_load_env(c, &err), GCW_ERR_INVALID);
    assert_non_null(strstr(err.text, "GCW_LOGS_LANE"));
    unsetenv("GCW_LOGS_LANE");
    gcw_config_free(c);
}

static void test_options_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    static const char *const rows[][6] = {
        {"metrics_url", "", "logs_url", "", "", "no destination"},
        {"metrics_url", "http://127.0.0.1/api/v1/write", "memory_limit", "2MiB", "", "memory_limit"},
        {"metrics_url", "http://127.0.0.1/api/v1/write", "retry_min", "10m", "", "retry_min"},
        {"metrics_url", "http://127.0.0.1/api/v1/write", "client_cert", "/etc/hostname", "", "client_key"},
        {"metrics_url", "http://127.0.0.1/loki/api/v1/push", "", "", "", "where logs go"},
        {"logs_url", "http://127.0.0.1/api/v1/push", "", "", "", "where metrics go"},
        {"metrics_url", "http://127.0.0.1:9090", "", "", "", "path is missing"},
        {"metrics_url", "ftp://127.0.0.1/x", "", "", "", "http or https"},
        {"metrics_url", "http://u:secret@127.0.0.1/x", "", "", "", "do not belong"},
        {"metrics_url", "http://127.0.0.1/x", "metrics_tenant", "a|b", "", "tenant"},
        {"metrics_url", "http://example.invalid/x", "token", "glc_EXAMPLE", "", "clear text"},
        {"metrics_url", "http://127.0.0.1/x", "headers", "Authorization: x", "", "writer itself"},
        {"metrics_url", "http://127.0.0.1/x", "metrics_labels", "nolabel", "", "name=value"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        gcw_config *c = gcw_config_new();
        gcw_error err = {0};
        for (size_t k = 0; k < 4; k += 2)
            if (*rows[i][k])
                assert_int_equal(gcw_config_set(c, rows[i][k], rows[i][k + 1], &err), GCW_OK);
        assert_int_not_equal(gcw_config_check(c, &err), GCW_OK);
        if (!strstr(err.text, rows[i][5]))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, err.text, rows[i][5]);
        assert_null(strstr(err.text, "secret@"));
        gcw_config_free(c);
    }
}

static void test_every_option_is_in_both_references(void **state)
{
    (void)state;
    struct buf md = {0}, man = {0};
    assert_true(config_reference_markdown(&md) && config_reference_man(&man) && buf_cstr(&md) && buf_cstr(&man));
    const gcw_option *o;
    for (size_t i = 0; (o = gcw_option_at(i)); i++) {
        assert_non_null(strstr((const char *)md.p, o->name));
        assert_non_null(strstr((const char *)man.p, o->name));
    }
    buf_free(&md);
    buf_free(&man);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_default_reads_back_as_itself),
        cmocka_unit_test(test_bad_values_are_refused_with_key_value_and_what_is_allowed),
        cmocka_unit_test(test_unknown_key_names_the_nearest),
        cmocka_unit_test(test_secret_is_in_no_error_and_no_get),
        cmocka_unit_test(test_file_sets_options_and_names_the_line_of_an_error),
        cmocka_unit_test(test_file_with_a_token_must_be_private),
        cmocka_unit_test(test_environment_sets_options_and_refuses_typos),
        cmocka_unit_test(test_options_that_contradict_each_other_are_refused),
        cmocka_unit_test(test_every_option_is_in_both_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
