/* What is checked before anything is sent: URLs, tenants, headers, clear text, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/private.h"

static struct net_config config_of(gcw_signal signal, const char *url)
{
    struct net_config c = {
        .endpoint = {{GCW_METRICS, "", "", AUTH_AUTO}, {GCW_LOGS, "", "", AUTH_AUTO}},
        .token = "",
        .token_file = "",
        .proxy = "",
        .ca_file = "",
        .client_cert = "",
        .client_key = "",
        .tls_min = "1.2",
        .http_version = "auto",
        .user_agent = "",
    };
    c.endpoint[signal].url = url;
    return c;
}

/* `words` NULL = must be fine; else the refusal must hold them. */
static void check(size_t row, const struct net_config *c, const char *words)
{
    gcw_error err = {0};
    gcw_status status = net_check(c, &err);
    if (!words && status != GCW_OK)
        fail_msg("row %zu: %s", row, err.text);
    if (words && (status != GCW_ERR_INVALID || err.code != GCW_ERR_INVALID || !strstr(err.text, words)))
        fail_msg("row %zu: status %d, \"%s\" does not say \"%s\"", row, status, err.text, words);
}

static void test_usual_path_is_put_where_none_is_given(void **state)
{
    (void)state;
    static const struct {
        gcw_signal signal;
        const char *url, *full;
    } rows[] = {
        {GCW_METRICS, "https://prometheus-prod-01-eu-west-0.grafana.net",
         "https://prometheus-prod-01-eu-west-0.grafana.net/api/prom/push"},
        {GCW_METRICS, "https://prometheus-prod-01-eu-west-0.GRAFANA.NET/",
         "https://prometheus-prod-01-eu-west-0.GRAFANA.NET/api/prom/push"},
        {GCW_LOGS, "https://logs-prod-012.grafana.net", "https://logs-prod-012.grafana.net/loki/api/v1/push"},
        {GCW_LOGS, "http://127.0.0.1:3100/", "http://127.0.0.1:3100/loki/api/v1/push"},
        {GCW_LOGS, "http://127.0.0.1:3100?x=1", "http://127.0.0.1:3100/loki/api/v1/push?x=1"},
        {GCW_METRICS, "http://127.0.0.1:9090/api/v1/write", "http://127.0.0.1:9090/api/v1/write"},
        {GCW_METRICS, "http://mimir/custom/path/push?tenant=a", "http://mimir/custom/path/push?tenant=a"},
        {GCW_LOGS, "http://[::1]:3100", "http://[::1]:3100/loki/api/v1/push"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct endpoint e = {rows[i].signal, rows[i].url, "", AUTH_AUTO};
        gcw_error err = {0};
        char *full = url_complete(&e, &err);
        if (!full)
            fail_msg("%s: %s", rows[i].url, err.text);
        assert_string_equal(full, rows[i].full);
        free(full);
    }
}

static void test_urls_that_cannot_work_are_refused_with_a_hint(void **state)
{
    (void)state;
    static const struct {
        gcw_signal signal;
        const char *url, *words;
    } rows[] = {
        {GCW_METRICS, "http://mimir:9009", "path is missing"},
        {GCW_METRICS, "https://evilgrafana.net/", "path is missing"}, /* not a host of grafana.net */
        {GCW_METRICS, "http://h/loki/api/v1/push", "where logs go"},
        {GCW_METRICS, "http://h/api/prom", "/api/prom/push"},
        {GCW_METRICS, "http://h/api/v1/query/", "query path"},
        {GCW_METRICS, "http://h/otlp", "OTLP"},
        {GCW_LOGS, "http://h/api/v1/push", "where metrics go"},
        {GCW_LOGS, "http://h/api/v1/write", "where metrics go"},
        {GCW_LOGS, "http://h/api/prom/push", "/loki/api/v1/push"},
        {GCW_LOGS, "http://h/loki", "cut short"},
        {GCW_LOGS, "http://h/loki/api/v1/query_range", "query path"},
        {GCW_METRICS, "h:9090/x", "http or https"},
        {GCW_METRICS, "/api/v1/push", "http or https"},
        {GCW_METRICS, "http://", "http or https"},
        {GCW_METRICS, "http://h:99999/x", "http or https"},
        {GCW_METRICS, "http://h h/x", "http or https"},
        {GCW_METRICS, "http://h/x\r\nX: y", "http or https"},
        {GCW_METRICS, "http://h/a b", "http or https"},
        {GCW_METRICS, "ftp://h/x", "http or https"},
        {GCW_METRICS, "file:///etc/passwd", ""},
        {GCW_METRICS, "http://h/x#y", "fragment"},
        {GCW_METRICS, "http://123:SECRET@h/x", "do not belong"},
        {GCW_METRICS, "http://SECRET@h/x", "do not belong"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_config c = config_of(rows[i].signal, rows[i].url);
        gcw_error err = {0};
        check(i, &c, rows[i].words);
        net_check(&c, &err);
        assert_null(strstr(err.text, "SECRET"));
        assert_non_null(strstr(err.text, rows[i].signal == GCW_LOGS ? "logs_url" : "metrics_url"));
    }
}

/* ---- clear text ------------------------------------------------------------------------------------------------- */

static void test_hosts_that_are_this_machine(void **state)
{
    (void)state;
    static const char *const local[] = {"http://localhost/x",           "http://LOCALHOST:1/x", "http://127.0.0.1/x",
                                        "http://127.255.1.2:9/x",       "http://[::1]/x",       "http://127.1/x",
                                        "http://[0:0:0:0:0:0:0:1]:80/x"};
    static const char *const other[] = {"http://localhost.example/x",
                                        "http://127.0.0.1.example/x",
                                        "http://128.0.0.1/x",
                                        "http://4294967423.0.0.1/x",
                                        "http://0.0.0.0/x",
                                        "http://[::2]/x",
                                        "http://notlocalhost/x",
                                        "http://10.127.0.1/x",
                                        "http://example/127.0.0.1",
                                        "http://[fe80::1]/x",
                                        "nonsense",
                                        ""};
    for (size_t i = 0; i < ARRAY_LEN(local); i++)
        if (url_is_clear(local[i]) || !url_is_local(local[i]))
            fail_msg("%s", local[i]);
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        if (!url_is_clear(other[i]) || url_is_local(other[i]))
            fail_msg("%s", other[i]);
    assert_false(url_is_clear("https://example/x"));
    assert_false(url_is_clear("HTTPS://example/x"));
    assert_false(url_is_local("https://example/x"));
}

static void test_token_goes_over_tls_or_to_this_machine_only(void **state)
{
    (void)state;
    static const struct {
        const char *url, *proxy, *token, *tenant;
        enum auth_kind auth;
        bool allowed_in_clear;
        const char *words;
    } rows[] = {
        {"http://mimir/x", "", "t", "1", AUTH_AUTO, false, "clear text"},
        {"http://mimir/x", "", "t", "", AUTH_BEARER, false, "clear text"},
        {"http://mimir/x", "", "t", "1", AUTH_TENANT, false, "clear text"}, /* bearer beside the tenant */
        {"http://192.0.2.1/x", "", "t", "1", AUTH_BASIC, false, "clear text"},
        {"http://mimir/x", "", "t", "1", AUTH_AUTO, true, NULL},
        {"http://mimir/x", "", "t", "1", AUTH_NONE, false, NULL}, /* it is not sent */
        {"http://mimir/x", "", "", "1", AUTH_AUTO, false, NULL},
        {"https://mimir/x", "", "t", "1", AUTH_AUTO, false, NULL},
        {"http://127.0.0.1/x", "", "t", "1", AUTH_AUTO, false, NULL},
        {"http://127.0.0.1/x", "http://proxy:3128", "t", "1", AUTH_AUTO, false, "clear text"},
        {"http://127.0.0.1/x", "socks5://proxy:1080", "t", "1", AUTH_AUTO, false, "clear text"},
        {"http://127.0.0.1/x", "http://127.0.0.1:3128", "t", "1", AUTH_AUTO, false, NULL},
        {"https://mimir/x", "http://proxy:3128", "t", "1", AUTH_AUTO, false, NULL}, /* a tunnel */
        {"http://mimir/x", "http://127.0.0.1:3128", "t", "1", AUTH_AUTO, false, "clear text"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_config c = config_of(GCW_METRICS, rows[i].url);
        c.endpoint[0].tenant = rows[i].tenant;
        c.endpoint[0].auth = rows[i].auth;
        c.proxy = rows[i].proxy;
        c.token = rows[i].token;
        c.token_cleartext = rows[i].allowed_in_clear;
        check(i, &c, rows[i].words);
    }
}

/* ---- who we are ------------------------------------------------------------------------------------------------- */

static void test_auth_kinds_ask_for_what_they_need(void **state)
{
    (void)state;
    static const struct {
        enum auth_kind auth;
        const char *token, *tenant, *words;
    } rows[] = {
        {AUTH_BASIC, "", "1", "metrics_auth=basic"},
        {AUTH_BASIC, "t", "", "metrics_auth=basic"},
        {AUTH_BASIC, "t", "1", NULL},
        {AUTH_BEARER, "", "1", "metrics_auth=bearer"},
        {AUTH_BEARER, "t", "", NULL},
        {AUTH_TENANT, "t", "", "metrics_tenant"},
        {AUTH_TENANT, "", "1", NULL},
        {AUTH_NONE, "", "", NULL},
        {AUTH_AUTO, "", "", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_config c = config_of(GCW_METRICS, "https://h/x");
        c.endpoint[0].auth = rows[i].auth;
        c.endpoint[0].tenant = rows[i].tenant;
        c.token = rows[i].token;
        check(i, &c, rows[i].words);
    }
}

static void test_tenants_are_what_mimir_and_loki_take(void **state)
{
    (void)state;
    gcw_error err;
    char name[152], one[2] = {0};
    memset(name, 'a', sizeof name);
    name[151] = 0;
    assert_int_equal(net_check_tenant(name, &err), GCW_ERR_INVALID);
    name[150] = 0;
    assert_int_equal(net_check_tenant(name, &err), GCW_OK);
    for (int b = 1; b < 256; b++) {
        one[0] = (char)b;
        bool good =
            (b < 128 && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!-_*'()", b)) || b == '.';
        if (b == '.')
            good = false; /* alone it names a folder */
        if ((net_check_tenant(one, &err) == GCW_OK) != good)
            fail_msg("byte %d", b);
    }
    static const char *const rows[][2] = {
        {"", NULL},        {"123456", NULL},          {"a.b", NULL},     {"...", NULL},
        {"..", "tenant"},  {"a|b", "tenant"},         {"a b", "tenant"}, {"1\r\nX: y", "tenant"},
        {"1\n", "tenant"}, {"gr\xc3\xbcn", "tenant"}, {"a:b", "tenant"}, {"a/b", "tenant"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_config c = config_of(GCW_LOGS, "https://h/loki/api/v1/push");
        c.endpoint[GCW_LOGS].tenant = rows[i][0];
        check(i, &c, rows[i][1] ? "logs_tenant" : NULL);
    }
}

static void test_headers_that_are_ours_or_malformed_are_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"X-Extra: yes", NULL},
        {"x-extra:yes", NULL},
        {"X-Tab: a\tb", NULL},
        {"X-Text: gr\xc3\xbcn", NULL},
        {"Authorization: Basic x", "writer itself"},
        {"AUTHORIZATION:x", "writer itself"},
        {"host: x", "writer itself"},
        {"Content-Length: 1", "writer itself"},
        {"Transfer-Encoding: chunked", "writer itself"},
        {"X-Scope-OrgID: other", "writer itself"},
        {"Cookie: a=b", "writer itself"},
        {"Expect: 100-continue", "writer itself"},
        {"X-Prometheus-Remote-Write-Version: 2.0", "writer itself"},
        {"no colon", "Name: value"},
        {": value", "Name: value"},
        {"X Y: value", "Name: value"},
        {"X;", "Name: value"},
        {"", "Name: value"},
        {"X-Empty:", "value"}, /* libcurl would take it as: leave that header out */
        {"X-Empty:  ", "value"},
        {"X-Split: a\r\nAuthorization: b", "control"},
        {"X-Split: a\nb", "control"},
        {"X-Split: a\rb", "control"},
        {"X-Bell: \a", "control"},
        {"X-Delete: \x7f", "control"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_config c = config_of(GCW_METRICS, "https://h/x");
        c.headers = &rows[i][0];
        c.header_count = 1;
        check(i, &c, rows[i][1]);
    }
}

static void test_user_agent_is_one_line(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"host/1.2 (x; y)", NULL}, {"a\r\nX: y", "user_agent"}, {"a\nb", "user_agent"}, {"\x01", "user_agent"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_config c = config_of(GCW_METRICS, "https://h/x");
        c.user_agent = rows[i][0];
        check(i, &c, rows[i][1]);
    }
}

static void test_proxy_is_a_url_of_a_kind_that_works(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"http://proxy:3128", NULL},
        {"https://proxy", NULL},
        {"socks5://proxy:1080", NULL},
        {"socks5h://proxy:1080", NULL},
        {"http://user:SECRET@proxy", NULL},
        {"proxy:3128", "proxy"},
        {"ftp://proxy", "proxy"},
        {"http://", "proxy"},
        {"http://a b", "proxy"},
        {"http://user:SECRET@a b", "proxy"},
        {"nonsense", "proxy"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_config c = config_of(GCW_METRICS, "https://h/x");
        gcw_error err = {0};
        c.proxy = rows[i][0];
        check(i, &c, rows[i][1]);
        net_check(&c, &err);
        assert_null(strstr(err.text, "SECRET"));
    }
}

static void test_files_that_cannot_be_read_are_named(void **state)
{
    (void)state;
    static const char *const names[] = {"ca_file", "client_cert", "client_key", "token_file"};
    static const char *const paths[] = {"/nonexistent/file", "/tmp"};
    for (size_t i = 0; i < 2 * ARRAY_LEN(names); i++) {
        struct net_config c = config_of(GCW_METRICS, "https://h/x");
        const char **const fields[] = {&c.ca_file, &c.client_cert, &c.client_key, &c.token_file};
        *fields[i / 2] = paths[i % 2];
        check(i, &c, names[i / 2]);
        check(i, &c, paths[i % 2]);
    }
}

/* Signals that are not in use are not asked for anything. */
static void test_signal_without_a_url_is_not_judged(void **state)
{
    (void)state;
    struct net_config c = config_of(GCW_LOGS, "https://h/loki/api/v1/push");
    c.endpoint[GCW_METRICS].tenant = "a|b";
    c.endpoint[GCW_METRICS].auth = AUTH_BASIC;
    check(0, &c, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usual_path_is_put_where_none_is_given),
        cmocka_unit_test(test_urls_that_cannot_work_are_refused_with_a_hint),
        cmocka_unit_test(test_hosts_that_are_this_machine),
        cmocka_unit_test(test_token_goes_over_tls_or_to_this_machine_only),
        cmocka_unit_test(test_auth_kinds_ask_for_what_they_need),
        cmocka_unit_test(test_tenants_are_what_mimir_and_loki_take),
        cmocka_unit_test(test_headers_that_are_ours_or_malformed_are_refused),
        cmocka_unit_test(test_user_agent_is_one_line),
        cmocka_unit_test(test_proxy_is_a_url_of_a_kind_that_works),
        cmocka_unit_test(test_files_that_cannot_be_read_are_named),
        cmocka_unit_test(test_signal_without_a_url_is_not_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
