/* Who is let in, with the gateway's words; credentials that change while the receiver runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/receive/auth.h"

static int setup(void **state)
{
    struct auth *a = calloc(1, sizeof *a);
    *state = a;
    return a && auth_set_token(&a->flags, view_of(" s3cret\r\n"), NULL) == GCW_OK &&
                   auth_add_tenant(&a->flags, view_of("metrics=123"), NULL) == GCW_OK &&
                   auth_add_tenant(&a->flags, view_of("logs=456"), NULL) == GCW_OK &&
                   auth_set_scopes(&a->flags, view_of("metrics:write, traces:write"), NULL) == GCW_OK
               ? 0
               : -1;
}

static int teardown(void **state)
{
    auth_free(*state);
    free(*state);
    return 0;
}

static void expect(struct auth *a, gcw_signal signal, const char *authorization, const char *reason)
{
    struct auth_answer out;
    char want[256] = "";
    auth_check(a, signal, authorization, NULL, &out);
    if (reason)
        snprintf(want, sizeof want, "{\"status\":\"error\",\"error\":\"authentication error: %s\"}", reason);
    assert_string_equal(out.text, want);
    assert_int_equal(out.status, reason ? 401 : 0);
}

static void test_gateway_judges_the_pair(void **state)
{
    struct auth *a = *state;
    static const char wrong[] = "invalid authentication credentials";
    static const char legacy[] = "legacy auth cannot be upgraded because the host is not found";
    expect(a, GCW_METRICS, "Basic MTIzOnMzY3JldA==", NULL); /* 123:s3cret */
    expect(a, GCW_METRICS, "basic MTIzOnMzY3JldA==", NULL);
    expect(a, GCW_METRICS, NULL, "no credentials provided");
    expect(a, GCW_METRICS, "", "no credentials provided");
    expect(a, GCW_METRICS, "Digest x", "no credentials provided");
    expect(a, GCW_METRICS, "Basic MTIzOnMzY3JldHg=", wrong);   /* 123:s3cretx */
    expect(a, GCW_METRICS, "Basic MTIzOnMzY3Jl", wrong);       /* 123:s3cre */
    expect(a, GCW_METRICS, "Basic NDU2OnMzY3JldA==", wrong);   /* 456:s3cret, the logs tenant */
    expect(a, GCW_METRICS, "Basic MTIzOnMzY3JldA", wrong);     /* not padded */
    expect(a, GCW_METRICS, "Basic MTIzOnMzY3JldA==\t", wrong); /* not base64 */
    expect(a, GCW_METRICS, "Basic M===", wrong);
    expect(a, GCW_METRICS, "Basic MTIzOg==", wrong);      /* 123: */
    expect(a, GCW_METRICS, "Basic OnMzY3JldA==", legacy); /* :s3cret */
    expect(a, GCW_METRICS, "Bearer s3cret", legacy);
    expect(a, GCW_METRICS, "Bearer 123:s3cret", NULL);
    expect(a, GCW_LOGS, "Basic NDU2OnMzY3JldA==", "invalid scope requested");
    expect(a, GCW_LOGS, "Basic NDU2OnMzY3JldHg=", wrong);
}

static void test_a_token_in_the_tenants_place_is_not_shown(void **state)
{
    struct auth_answer out;
    auth_check(*state, GCW_METRICS, "Bearer glc_s3cret:", NULL, &out);
    assert_int_equal(out.status, 401);
    assert_string_equal(out.tenant, "");
    auth_check(*state, GCW_METRICS, "Bearer 124:s3cret", NULL, &out);
    assert_int_equal(out.status, 401);
    assert_string_equal(out.tenant, "124");
}

static void test_no_token_lets_nobody_in(void **state)
{
    struct auth a = {.flags.scopes = ALL_SIGNALS};
    (void)state;
    expect(&a, GCW_METRICS, "Basic MTIzOg==", "invalid authentication credentials");
}

static void expect_tenant(const char *org_id, int status, const char *text, const char *tenant)
{
    struct auth a = {.mode = AUTH_TENANT};
    struct auth_answer out;
    auth_check(&a, GCW_LOGS, "Basic MTIzOnMzY3JldA==", org_id, &out);
    assert_int_equal(out.status, status);
    assert_string_equal(out.text, text);
    assert_string_equal(out.tenant, tenant);
}

static void test_tenant_header_rules(void **state)
{
    char long_id[152];
    (void)state;
    memset(long_id, 'a', 151);
    long_id[151] = 0;
    expect_tenant(NULL, 401, "no org id", "");
    expect_tenant("", 401, "no org id", "");
    expect_tenant("a-b_c.d!e*f'g(h)9", 0, "", "a-b_c.d!e*f'g(h)9");
    expect_tenant("a b", 400, "tenant ID 'a b' contains unsupported character ' '", "");
    expect_tenant("a/b", 400, "tenant ID 'a/b' contains unsupported character '/'", "");
    expect_tenant(".", 400, "tenant ID is '.' or '..'", "");
    expect_tenant("..", 400, "tenant ID is '.' or '..'", "");
    expect_tenant("a|a", 0, "", "a");
    expect_tenant("a|b", 400, "multiple org IDs present", "");
    expect_tenant("|", 401, "no org id", "");
    expect_tenant("|a", 400, "multiple org IDs present", "");
    expect_tenant(long_id, 400, "tenant ID is too long: max 150 characters", "");
    expect_tenant(long_id + 1, 0, "", long_id + 1);
}

static void test_nobody_asks(void **state)
{
    struct auth a = {.mode = AUTH_NONE};
    struct auth_answer out;
    (void)state;
    auth_check(&a, GCW_METRICS, NULL, "x", &out);
    assert_string_equal(out.tenant, "anonymous");
    auth_check(&a, GCW_LOGS, NULL, NULL, &out);
    assert_string_equal(out.tenant, "fake");
}

/* ---- files
 * ----------------------------------------------------------------------------------------------------------- */

/* Replaces a file as a careful person does, so that no half of it is ever seen. */
static void file_put(const char *path, const char *text)
{
    char tmp[256];
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    FILE *f = fopen(tmp, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(rename(tmp, path), 0);
}

static void test_listed_credentials_are_replaced_whole(void **state)
{
    struct auth *a = *state;
    char dir[] = "/tmp/gcw-receive-XXXXXX", path[64];
    gcw_error err;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/credentials", dir);
    file_put(path, "[{\"token\":\"one\",\"tenants\":[\"1\"],\"scopes\":[\"logs:write\"]},{\"token\":\"two\"}]");
    a->credentials_file.path = path;
    assert_int_equal(auth_refresh(a, &err), GCW_OK);
    expect(a, GCW_LOGS, "Bearer 1:one", NULL);
    expect(a, GCW_METRICS, "Bearer 1:one", "invalid scope requested");
    expect(a, GCW_METRICS, "Bearer 77:two", NULL);
    expect(a, GCW_METRICS, "Bearer 123:s3cret", NULL); /* the flags' own is still good */
    static const char *const broken[] = {"[{\"token\":\"thr",
                                         "{}",
                                         "",
                                         "[{\"tenants\":[\"1\"]}]",
                                         "[{\"token\":\"x\",\"a\":1}]",
                                         "[{\"token\":\"x\",\"scopes\":[\"write\"]}]",
                                         "[{\"token\":\"\"}]"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        file_put(path, broken[i]);
        assert_int_not_equal(auth_refresh(a, &err), GCW_OK);
        assert_null(strstr(err.text, "thr"));
        expect(a, GCW_LOGS, "Bearer 1:one", NULL);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(auth_refresh(a, &err), GCW_ERR_IO);
    assert_int_equal(auth_refresh(a, &err), GCW_OK); /* said once */
    expect(a, GCW_LOGS, "Bearer 1:one", NULL);
    file_put(path, "[]");
    assert_int_equal(auth_refresh(a, &err), GCW_OK);
    expect(a, GCW_LOGS, "Bearer 1:one", "invalid authentication credentials");
    unlink(path);
    rmdir(dir);
}

static void test_token_file_is_read_again(void **state)
{
    struct auth *a = *state;
    char dir[] = "/tmp/gcw-receive-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/token", dir);
    file_put(path, "first\n");
    a->token_file.path = path;
    assert_int_equal(auth_refresh(a, NULL), GCW_OK);
    expect(a, GCW_METRICS, "Bearer 123:first", NULL);
    expect(a, GCW_METRICS, "Bearer 123:s3cret", "invalid authentication credentials");
    file_put(path, "");
    assert_int_equal(auth_refresh(a, NULL), GCW_ERR_INVALID);
    expect(a, GCW_METRICS, "Bearer 123:first", NULL);
    file_put(path, "second");
    assert_int_equal(auth_refresh(a, NULL), GCW_OK);
    expect(a, GCW_METRICS, "Bearer 123:second", NULL);
    unlink(path);
    rmdir(dir);
}

static void test_wrong_rules_are_refused(void **state)
{
    struct credential c = {0};
    gcw_error err;
    (void)state;
    assert_int_equal(auth_add_tenant(&c, view_of(""), &err), GCW_ERR_INVALID);
    assert_int_equal(auth_add_tenant(&c, view_of("traces=1"), &err), GCW_ERR_INVALID);
    assert_int_equal(auth_add_tenant(&c, view_of("metrics="), &err), GCW_ERR_INVALID);
    assert_int_equal(auth_add_tenant(&c, view_of("1:2"), &err), GCW_ERR_INVALID);
    assert_int_equal(auth_set_scopes(&c, view_of("write"), &err), GCW_ERR_INVALID);
    assert_int_equal(auth_set_scopes(&c, view_of("metrics:"), &err), GCW_ERR_INVALID);
    assert_int_equal(auth_set_scopes(&c, view_of("set:alloy-data-write"), &err), GCW_OK);
    assert_int_equal(c.scopes, ALL_SIGNALS);
    assert_int_equal(auth_set_token(&c, view_of(" \n"), &err), GCW_ERR_INVALID);
    assert_null(c.tenants);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gateway_judges_the_pair, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_token_in_the_tenants_place_is_not_shown, setup, teardown),
        cmocka_unit_test(test_no_token_lets_nobody_in),
        cmocka_unit_test(test_tenant_header_rules),
        cmocka_unit_test(test_nobody_asks),
        cmocka_unit_test_setup_teardown(test_listed_credentials_are_replaced_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_token_file_is_read_again, setup, teardown),
        cmocka_unit_test(test_wrong_rules_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
