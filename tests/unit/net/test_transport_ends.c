/* How a request can end: answers of every kind and size, refusals, timeouts, resets, proxies. */
#include <sys/resource.h>

#include "wire_server.h"

#define TOKEN "glc_EXAMPLEtoken"
#define PAIR  "MTIzNDU2OmdsY19FWEFNUExFdG9rZW4=" /* base64 of 123456:glc_EXAMPLEtoken */

static char url[64];

static const char *url_of(uint16_t port, const char *scheme)
{
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/api/v1/push", scheme, port);
    return url;
}

/* One request to `w`, which may be NULL for another url; its answer. */
static struct answer end_with(const struct net_config *c, struct wire *w)
{
    struct net_log log = {0};
    struct transport *t = net_open(c, &log);
    struct answer a = net_exchange(t, GCW_METRICS, 0);
    transport_free(t);
    if (w)
        wire_stop(w);
    buf_free(&log.text);
    return a;
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static void test_status_words_and_retry_after_come_back(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        int status;
        const char *retry_after, *text;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "", "ok"},
        {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", ""},
        {"HTTP/1.1 429 x\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n", 429, "30", ""},
        {"HTTP/1.1 429 x\r\nretry-after:Wed, 21 Oct 2015 07:28:00 GMT  \r\nContent-Length: 0\r\n\r\n", 429,
         "Wed, 21 Oct 2015 07:28:00 GMT", ""},
        {"HTTP/1.1 503 x\r\nRETRY-AFTER:\t5\r\nX-Retry-After: 9\r\nContent-Length: 4\r\n\r\na\r\nb", 503, "5", "a  b"},
        {"HTTP/1.1 503 x\r\nRetry-After: "
         "12345678901234567890123456789012345678901234567890123456789012345678901234567890\r\nContent-Length: "
         "0\r\n\r\n",
         503, "123456789012345678901234567890123456789012345678901234567890123", ""},
        {"HTTP/1.1 103 Early\r\nRetry-After: 9\r\n\r\nHTTP/1.1 500 x\r\nContent-Length: 3\r\n\r\n\xff\x01z", 500, "",
         "? z"},
        {"HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 400, "", "abcde"},
        {"HTTP/1.0 401 x\r\n\r\nuntil the end", 401, "", "until the end"},
        {"HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n", 999, "", ""},
        /* cut short: the status has been said */
        {"HTTP/1.1 400 x\r\nContent-Length: 100\r\n\r\nonly this", 400, "", "only this"},
        {"HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\nonly this", 200, "", "only this"},
        {"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 200, "", "abc"},
        {"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n", 500, "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct wire *w = wire_new(NULL);
        struct net_config c = net_config_of(url_of(w->port, "http"));
        struct net_log log = {0};
        struct answer a;
        struct transport *t = net_open(&c, &log);
        struct sealed *s = net_request(GCW_METRICS, "body");
        const struct sealed *done = NULL;
        w->words = rows[i].words;
        assert_true(transport_send(t, s, 0));
        for (uint64_t deadline = clock_mono_ms() + 20000; !done && clock_mono_ms() < deadline;) {
            transport_wait(t, 50);
            if (!(done = transport_take(t, &a)) && wire_count(w) == 1) {
                pthread_mutex_lock(&w->lock); /* those that end with the connection wait for that */
                shutdown(w->fd[0], SHUT_WR);
                pthread_mutex_unlock(&w->lock);
            }
        }
        assert_ptr_equal(done, s);
        if (a.end != END_ANSWERED || a.status != rows[i].status)
            fail_msg("row %zu: end %d, status %d, %s", i, a.end, a.status, a.text);
        assert_string_equal(a.retry_after, rows[i].retry_after);
        assert_string_equal(a.text, rows[i].text);
        transport_free(t);
        wire_free(w);
        sealed_free(s);
    }
}

/* What one answer said does not show up in the next. */
static void test_next_answer_starts_afresh(void **state)
{
    (void)state;
    struct wire *w = wire_new(NULL);
    struct net_config c = net_config_of(url_of(w->port, "http"));
    struct net_log log = {0};
    struct transport *t = net_open(&c, &log);
    w->words = "HTTP/1.1 429 x\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\nslow down";
    struct answer a = net_exchange(t, GCW_METRICS, 0);
    assert_string_equal(a.text, "slow down");
    w->words = "HTTP/1.1 204 x\r\n\r\n";
    a = net_exchange(t, GCW_METRICS, 1);
    assert_int_equal(a.status, 204);
    assert_string_equal(a.text, "");
    assert_string_equal(a.retry_after, "");
    transport_free(t);
    wire_free(w);
}

#define HUGE_BODY (100 * MIB)

static bool answer_without_end(struct wire *w, int fd, const struct wire_request *r)
{
    static char block[65536];
    (void)r;
    wire_say(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 104857600\r\n\r\n");
    memset(block, 'e', sizeof block);
    while (w->written < HUGE_BODY && wire_write(fd, block, sizeof block))
        w->written += sizeof block;
    return false;
}

/* Only its beginning is read, and less is kept; the rest is not waited for. */
static void test_endless_error_body_is_left_unread(void **state)
{
    (void)state;
    struct wire *w = wire_new(answer_without_end);
    struct net_config c = net_config_of(url_of(w->port, "http"));
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    struct answer a = end_with(&c, w);
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(a.end, END_ANSWERED);
    assert_int_equal(a.status, 400);
    assert_int_equal(strlen(a.text), ANSWER_TEXT);
    assert_int_equal(strspn(a.text, "e"), ANSWER_TEXT);
    assert_true(w->written < HUGE_BODY / 2); /* the kernel's buffers hold some MiB */
    assert_true(after.ru_maxrss - before.ru_maxrss < 16 * 1024);
    wire_free(w);
}

static void test_redirect_is_an_answer_and_is_not_followed(void **state)
{
    (void)state;
    static const int codes[] = {301, 302, 303, 307, 308};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct wire *w = wire_new(NULL), *elsewhere = wire_new(NULL);
        char words[200];
        snprintf(words, sizeof words, "HTTP/1.1 %d x\r\nLocation: http://localhost:%u/\r\nContent-Length: 0\r\n\r\n",
                 codes[i], elsewhere->port);
        w->words = words;
        struct net_config c = net_config_of(url_of(w->port, "http"));
        c.token = TOKEN;
        struct answer a = end_with(&c, w);
        assert_int_equal(a.end, END_ANSWERED);
        assert_int_equal(a.status, codes[i]);
        wire_stop(elsewhere);
        assert_int_equal(w->count, 1);
        assert_int_equal(elsewhere->connections, 0);
        wire_free(w);
        wire_free(elsewhere);
    }
}

/* ---- no answer --------------------------------------------------------------------------------------------------- */

static void test_refused_connection_was_not_sent(void **state)
{
    (void)state;
    uint16_t port;
    int bound = wire_socket(&port, -1); /* nobody else gets the port, and nobody listens */
    struct net_config c = net_config_of(url_of(port, "http"));
    struct answer a = end_with(&c, NULL);
    assert_int_equal(a.end, END_NOT_SENT);
    assert_int_equal(a.status, 0);
    assert_non_null(strstr(a.text, "127.0.0.1"));
    close(bound);
}

static void test_unknown_host_was_not_sent(void **state)
{
    (void)state;
    struct net_config c = net_config_of("http://nowhere.invalid/api/v1/push");
    struct answer a = end_with(&c, NULL);
    assert_int_equal(a.end, END_NOT_SENT);
    assert_non_null(strstr(a.text, "nowhere.invalid"));
}

/* The server takes the connection and is silent where TLS should begin. */
static void test_connecting_that_takes_too_long_was_not_sent(void **state)
{
    (void)state;
    struct wire *w = wire_new(NULL);
    struct net_config c = net_config_of(url_of(w->port, "https"));
    c.connect_timeout_ms = 200;
    struct answer a = end_with(&c, w);
    assert_int_equal(a.end, END_NOT_SENT);
    assert_int_equal(w->count, 0);
    wire_free(w);
}

static bool say_nothing(struct wire *w, int fd, const struct wire_request *r)
{
    (void)r;
    if (w->words)
        wire_say(fd, w->words);
    return true;
}

static void test_silence_after_the_request_is_ambiguous(void **state)
{
    (void)state;
    static const char *const beginnings[] = {NULL, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 20"};
    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++) {
        struct wire *w = wire_new(say_nothing);
        struct net_config c = net_config_of(url_of(w->port, "http"));
        c.request_timeout_ms = 300;
        w->words = beginnings[i];
        struct answer a = end_with(&c, w);
        assert_int_equal(a.end, END_AMBIGUOUS);
        assert_int_equal(a.status, 0);
        assert_int_equal(w->count, 1);
        assert_true(strlen(a.text) > 0);
        wire_free(w);
    }
}

static bool reset(struct wire *w, int fd, const struct wire_request *r)
{
    const struct linger at_once = {1, 0}; /* close() sends RST */
    (void)r;
    if (w->words)
        wire_say(fd, w->words);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return false;
}

static bool hang_up(struct wire *w, int fd, const struct wire_request *r)
{
    (void)w, (void)fd, (void)r;
    return false;
}

static void test_connection_lost_after_the_request_is_ambiguous(void **state)
{
    (void)state;
    bool (*const ways[])(struct wire *, int, const struct wire_request *) = {reset, hang_up};
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct wire *w = wire_new(ways[i]);
        struct net_config c = net_config_of(url_of(w->port, "http"));
        struct answer a = end_with(&c, w);
        assert_int_equal(a.end, END_AMBIGUOUS);
        assert_int_equal(a.status, 0);
        assert_int_equal(w->count, 1);
        wire_free(w);
    }
}

static void test_what_is_no_http_is_ambiguous(void **state)
{
    (void)state;
    static const char *const words[] = {"220 mail.example ESMTP\r\n", "\r\n\r\n\r\n", "HTTP/1.1 abc\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct wire *w = wire_new(reset);
        struct net_config c = net_config_of(url_of(w->port, "http"));
        w->words = words[i];
        struct answer a = end_with(&c, w);
        assert_int_equal(a.end, END_AMBIGUOUS);
        wire_free(w);
    }
}

/* The first went over a connection that broke afterwards; the receiver may have it, though it cannot be reached now. */
static bool stop_listening_and_hang_up(struct wire *w, int fd, const struct wire_request *r)
{
    if (wire_count(w) == 1)
        return wire_ok(w, fd, r);
    shutdown(w->listener, SHUT_RDWR);
    return false;
}

static void test_request_sent_before_the_receiver_went_away_is_ambiguous(void **state)
{
    (void)state;
    struct wire *w = wire_new(stop_listening_and_hang_up);
    struct net_config c = net_config_of(url_of(w->port, "http"));
    struct net_log log = {0};
    struct transport *t = net_open(&c, &log);
    assert_int_equal(net_exchange(t, GCW_METRICS, 0).end, END_ANSWERED);
    struct answer a = net_exchange(t, GCW_METRICS, 0);
    assert_int_equal(wire_count(w), 2); /* it had been there, whole */
    assert_int_equal(a.end, END_AMBIGUOUS);
    transport_free(t);
    wire_free(w);
}

/* An answer that is there is not kept waiting until another request moves. The broadcast address is refused by the
 * kernel within the call, so that no event of a socket tells of it. */
static void test_failure_is_known_at_once_beside_a_silent_request(void **state)
{
    (void)state;
    struct wire *w = wire_new(say_nothing);
    struct net_config c = net_config_of(url_of(w->port, "http"));
    struct net_log log = {0};
    struct sealed *silent = net_request(GCW_METRICS, "x"), *refused = net_request(GCW_LOGS, "x");
    const struct sealed *done = NULL;
    struct answer a;
    c.endpoint[GCW_LOGS] = (struct endpoint){GCW_LOGS, "http://255.255.255.255/loki/api/v1/push", "", AUTH_NONE};
    struct transport *t = net_open(&c, &log);
    assert_true(transport_send(t, silent, 0));
    for (uint64_t deadline = clock_mono_ms() + 20000; wire_count(w) == 0 && clock_mono_ms() < deadline;)
        transport_wait(t, 20);
    uint64_t begin = clock_mono_ms();
    assert_true(transport_send(t, refused, 0));
    while (!(done = transport_take(t, &a)) && clock_mono_ms() < begin + 10000)
        transport_wait(t, 10000);
    assert_ptr_equal(done, refused);
    assert_int_equal(a.end, END_NOT_SENT);
    assert_true(clock_mono_ms() - begin < 5000); /* that wait of 10 s was not waited for */
    transport_free(t);
    wire_free(w);
    sealed_free(silent);
    sealed_free(refused);
}

static void *wake(void *transport)
{
    transport_wake(transport);
    return NULL;
}

static void test_wake_ends_the_wait_also_when_it_comes_first(void **state)
{
    (void)state;
    struct net_config c = net_config_of("http://127.0.0.1:1/api/v1/push");
    struct net_log log = {0};
    struct transport *t = net_open(&c, &log);
    pthread_t thread;
    uint64_t begin = clock_mono_ms();
    transport_wake(t);
    transport_wait(t, 20000);
    assert_int_equal(pthread_create(&thread, NULL, wake, t), 0);
    transport_wait(t, 20000);
    pthread_join(thread, NULL);
    assert_true(clock_mono_ms() - begin < 10000);
    transport_free(t);
}

static void test_requests_in_flight_end_with_the_transport(void **state)
{
    (void)state;
    struct wire *w = wire_new(say_nothing);
    struct net_config c = net_config_of(url_of(w->port, "http"));
    struct net_log log = {0};
    struct transport *t = net_open(&c, &log);
    struct sealed *s = net_request(GCW_METRICS, "x");
    assert_true(transport_send(t, s, 0));
    for (uint64_t deadline = clock_mono_ms() + 20000; wire_count(w) == 0 && clock_mono_ms() < deadline;)
        transport_wait(t, 20);
    transport_free(t);
    sealed_free(s);
    wire_stop(w);
    assert_int_equal(w->count, 1);
    wire_free(w);
}

/* ---- proxies ------------------------------------------------------------------------------------------------------
 */

static void test_proxy_gets_the_whole_url(void **state)
{
    (void)state;
    struct wire *proxy = wire_new(NULL);
    char address[64];
    snprintf(address, sizeof address, "http://127.0.0.1:%u", proxy->port);
    struct net_config c = net_config_of("http://receiver.invalid/api/v1/push");
    c.proxy = address;
    struct answer a = end_with(&c, proxy);
    assert_int_equal(a.status, 204);
    assert_ptr_equal(strstr(proxy->got[0]->head, "POST http://receiver.invalid/api/v1/push HTTP/1.1\r\n"),
                     proxy->got[0]->head);
    wire_free(proxy);
}

static struct answer through_tunnel(const char *words, struct wire_request *got)
{
    struct wire *proxy = wire_new(NULL);
    char address[64];
    snprintf(address, sizeof address, "http://127.0.0.1:%u", proxy->port);
    proxy->words = words;
    struct net_config c = net_config_of("https://receiver.invalid/api/v1/push");
    c.proxy = address;
    c.token = TOKEN;
    c.connect_timeout_ms = 500; /* that proxy knows nothing after its first word */
    struct answer a = end_with(&c, proxy);
    assert_true(proxy->count > 0);
    *got = *proxy->got[0];
    wire_free(proxy);
    return a;
}

/* The proxy sees where to, and no credentials; when it says no, the receiver has seen nothing. */
static void test_tunnel_that_is_refused_was_not_sent(void **state)
{
    (void)state;
    static const char *const words[] = {
        "HTTP/1.1 502 Bad Gateway\r\nRetry-After: 8\r\nContent-Length: 3\r\n\r\nno!",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 Connection established\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct wire_request got;
        struct answer a = through_tunnel(words[i], &got);
        if (a.end != END_NOT_SENT || a.status != 0)
            fail_msg("row %zu: end %d, status %d, %s", i, a.end, a.status, a.text);
        assert_string_equal(a.retry_after, "");
        assert_ptr_equal(strstr(got.head, "CONNECT receiver.invalid:443 HTTP/1.1\r\n"), got.head);
        assert_null(strcasestr(got.head, "authorization"));
        assert_null(strcasestr(got.head, "scope"));
    }
}

/* This one no retry mends: somebody has to look. */
static void test_proxy_that_wants_credentials_is_an_answer(void **state)
{
    (void)state;
    struct wire_request got;
    struct answer a =
        through_tunnel("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n", &got);
    assert_int_equal(a.end, END_ANSWERED);
    assert_int_equal(a.status, 407);
}

/* A token may go to this host in clear text; a proxy of the environment's is another host. */
static void test_this_host_is_not_reached_through_the_environments_proxy(void **state)
{
    (void)state;
    struct wire *w = wire_new(NULL), *proxy = wire_new(NULL);
    char address[64];
    snprintf(address, sizeof address, "http://127.0.0.1:%u", proxy->port);
    struct net_config c = net_config_of(url_of(w->port, "http"));
    c.token = TOKEN;
    setenv("http_proxy", address, 1);
    struct answer a = end_with(&c, w);
    unsetenv("http_proxy");
    assert_int_equal(a.status, 204);
    assert_int_equal(w->count, 1);
    wire_stop(proxy);
    assert_int_equal(proxy->connections, 0);
    wire_free(w);
    wire_free(proxy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_words_and_retry_after_come_back),
        cmocka_unit_test(test_next_answer_starts_afresh),
        cmocka_unit_test(test_endless_error_body_is_left_unread),
        cmocka_unit_test(test_redirect_is_an_answer_and_is_not_followed),
        cmocka_unit_test(test_refused_connection_was_not_sent),
        cmocka_unit_test(test_unknown_host_was_not_sent),
        cmocka_unit_test(test_connecting_that_takes_too_long_was_not_sent),
        cmocka_unit_test(test_silence_after_the_request_is_ambiguous),
        cmocka_unit_test(test_connection_lost_after_the_request_is_ambiguous),
        cmocka_unit_test(test_what_is_no_http_is_ambiguous),
        cmocka_unit_test(test_request_sent_before_the_receiver_went_away_is_ambiguous),
        cmocka_unit_test(test_failure_is_known_at_once_beside_a_silent_request),
        cmocka_unit_test(test_wake_ends_the_wait_also_when_it_comes_first),
        cmocka_unit_test(test_requests_in_flight_end_with_the_transport),
        cmocka_unit_test(test_proxy_gets_the_whole_url),
        cmocka_unit_test(test_tunnel_that_is_refused_was_not_sent),
        cmocka_unit_test(test_proxy_that_wants_credentials_is_an_answer),
        cmocka_unit_test(test_this_host_is_not_reached_through_the_environments_proxy),
    };
    return cmocka_run_group_tests(tests, net_no_proxies, NULL);
}
