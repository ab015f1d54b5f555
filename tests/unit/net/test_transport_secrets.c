/* The token on its way: taken anew while the transport runs, and in nothing that anybody reads. */
#include <fcntl.h>

#include "wire_server.h"

#define TOKEN "glc_EXAMPLEtoken"
#define PAIR  "MTIzNDU2OmdsY19FWEFNUExFdG9rZW4=" /* base64 of 123456:glc_EXAMPLEtoken */

static char url[64], path[64];

static const char *url_of(const struct wire *w)
{
    snprintf(url, sizeof url, "http://127.0.0.1:%u/api/v1/push", w->port);
    return url;
}

static void put(const char *token)
{
    char next[80];
    snprintf(next, sizeof next, "%s.next", path);
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, token, strlen(token)) == (ssize_t)strlen(token));
    close(fd);
    assert_int_equal(rename(next, path), 0);
}

static bool hold_to_token(struct wire *w, int fd, const struct wire_request *r)
{
    bool good = strstr(r->head, "\r\nAuthorization: Basic " PAIR "\r\n");
    (void)w;
    return wire_say(fd, good ? "HTTP/1.1 204 x\r\n\r\n" : "HTTP/1.1 401 x\r\nContent-Length: 2\r\n\r\nno");
}

static void test_token_replaced_is_used_from_the_next_request_on(void **state)
{
    (void)state;
    struct wire *w = wire_new(hold_to_token);
    struct net_config c = net_config_of(url_of(w));
    struct net_log log = {0};
    uint64_t now = 1000;
    snprintf(path, sizeof path, "/tmp/gcw-test-token-%d", (int)getpid());
    put("glc_EXAMPLEwrong");
    c.token_file = path;
    c.token_check_ms = 3600000;
    struct transport *t = net_open(&c, &log);
    assert_false(transport_token_changed(t, now));
    put(TOKEN); /* not looked at: it is not time */
    assert_false(transport_token_changed(t, ++now));
    assert_int_equal(net_exchange(t, GCW_METRICS, 0).status, 401);
    assert_true(transport_token_changed(t, ++now)); /* but now there is reason to */
    assert_int_equal(net_exchange(t, GCW_METRICS, 1).status, 204);
    assert_false(transport_token_changed(t, ++now));
    put("");
    assert_false(transport_token_changed(t, now += 3600000));
    assert_int_equal(net_exchange(t, GCW_METRICS, 0).status, 204);
    transport_free(t);
    wire_stop(w);
    assert_int_equal(w->connections, 1); /* another token is no reason for another connection */
    wire_free(w);
    assert_null(strstr((char *)log.text.p, "glc_"));
    buf_free(&log.text);
    unlink(path);
}

static void test_token_that_would_split_a_header_opens_no_transport(void **state)
{
    (void)state;
    static const char *const tokens[] = {"SECRET\r\nX-Evil: 1", "SECRET\nX", "SECRET\rX", "SECRET X"};
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct net_config c = net_config_of("http://127.0.0.1:1/api/v1/push");
        const struct logger logger = {GCW_LOG_DEBUG, NULL, NULL};
        gcw_error err = {0};
        c.token = tokens[i];
        assert_null(transport_new(&c, &logger, &err));
        assert_int_equal(err.code, GCW_ERR_INVALID);
        assert_null(strstr(err.text, "SECRET"));
    }
    struct net_config c = net_config_of("http://127.0.0.1:1/api/v1/push");
    const struct logger logger = {GCW_LOG_DEBUG, NULL, NULL};
    gcw_error err = {0};
    c.endpoint[0].tenant = "1\r\nX-Evil: 1";
    assert_null(transport_new(&c, &logger, &err));
    assert_int_equal(err.code, GCW_ERR_INVALID);
}

/* A server or something before it that shows in its answer what it got, as pages for debugging do. */
static bool echo(struct wire *w, int fd, const struct wire_request *r)
{
    char text[10000];
    (void)w;
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 400 x\r\nSet-Cookie: id=COOKIE\r\nX-Seen: " TOKEN "\r\nContent-Length: %zu\r\n\r\n%s",
                     strlen(r->head), r->head);
    return wire_write(fd, text, (size_t)n);
}

static void check_hidden(const char *text)
{
    static const char *const secrets[] = {TOKEN, PAIR, "EXAMPLEtoken", "dG9rZW4", "PRIVATE", "COOKIE", "glc_"};
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
        if (strstr(text, secrets[i]))
            fail_msg("%s in:\n%s", secrets[i], text);
}

static void test_trace_and_answers_hold_no_secret(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-Api-Key: PRIVATE", "X-Other: PRIVATE"};
    for (int auth = AUTH_BASIC; auth <= AUTH_BEARER; auth++) {
        struct wire *w = wire_new(echo);
        struct net_config c = net_config_of(url_of(w));
        struct net_log log = {0};
        c.token = TOKEN;
        c.endpoint[0].auth = (enum auth_kind)auth;
        c.trace = true;
        c.headers = headers;
        c.header_count = 2;
        struct transport *t = net_open(&c, &log);
        struct answer a = net_exchange(t, GCW_METRICS, 0);
        transport_free(t);
        wire_free(w);
        const char *text = (char *)log.text.p;
        assert_non_null(strstr(text, "> POST /api/v1/push")); /* it does say something */
        assert_non_null(strstr(text, "> Authorization:\n"));
        assert_non_null(strstr(text, "> X-Api-Key:\n"));
        assert_non_null(strstr(text, "< HTTP/1.1 400"));
        check_hidden(text);
        assert_non_null(strstr(a.text, "POST /api/v1/push"));
        assert_null(strstr(a.text, "EXAMPLE"));
        assert_null(strstr(a.text, "dG9rZW4"));
        buf_free(&log.text);
    }
}

/* The answer is cut to a KiB in the midst of the token, at every place. */
static bool pad_and_show(struct wire *w, int fd, const struct wire_request *r)
{
    char text[2048];
    (void)r;
    int n = snprintf(text, sizeof text, "HTTP/1.1 400 x\r\nContent-Length: %d\r\n\r\n%*s" TOKEN " behind it",
                     atoi(w->words) + 26, atoi(w->words), "");
    return wire_write(fd, text, (size_t)n);
}

static void test_answer_cut_within_the_token_shows_little_of_it(void **state)
{
    (void)state;
    struct wire *w = wire_new(pad_and_show);
    struct net_config c = net_config_of(url_of(w));
    struct net_log log = {0};
    c.token = TOKEN;
    struct transport *t = net_open(&c, &log);
    for (int before = ANSWER_TEXT - 20; before <= ANSWER_TEXT; before++) {
        char words[16];
        snprintf(words, sizeof words, "%d", before);
        w->words = words;
        struct answer a = net_exchange(t, GCW_METRICS, 0);
        assert_int_equal(a.status, 400);
        assert_null(strstr(a.text, "glc_EXAM")); /* what all tokens begin with is no secret */
    }
    transport_free(t);
    wire_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_replaced_is_used_from_the_next_request_on),
        cmocka_unit_test(test_token_that_would_split_a_header_opens_no_transport),
        cmocka_unit_test(test_trace_and_answers_hold_no_secret),
        cmocka_unit_test(test_answer_cut_within_the_token_shows_little_of_it),
    };
    return cmocka_run_group_tests(tests, net_no_proxies, NULL);
}
