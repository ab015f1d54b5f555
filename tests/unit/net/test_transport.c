/* What the transport puts on the wire: headers byte by byte, credentials per mode, connections. */
#include "wire_server.h"

#define TOKEN "glc_EXAMPLEtoken"

static char url[64];

static const char *url_of(const struct wire *w, const char *path)
{
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", w->port, path);
    return url;
}

static const char *host_line(const struct wire *w)
{
    static char line[64];
    snprintf(line, sizeof line, "Host: 127.0.0.1:%u", w->port);
    return line;
}

/* The head consists of exactly these lines, the request line first. */
static void check_head(const struct wire_request *r, const char *const *lines)
{
    size_t total = 2;
    for (size_t i = 0; lines[i]; i++) {
        char whole[512];
        snprintf(whole, sizeof whole, "%s%s\r\n", i ? "\r\n" : "", lines[i]);
        const char *at = strstr(r->head, whole);
        if (!at || (i == 0 && at != r->head))
            fail_msg("no \"%s\" in\n%s", lines[i], r->head);
        total += strlen(lines[i]) + 2;
    }
    if (total != strlen(r->head))
        fail_msg("more than was wanted:\n%s", r->head);
}

static void test_metrics_request_byte_by_byte(void **state)
{
    (void)state;
    struct wire *w = wire_new(NULL);
    struct net_config c = net_config_of(url_of(w, "/api/prom/push?x=1"));
    struct net_log log = {0};
    struct transport *t = net_open(&c, &log);
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        struct answer a = net_exchange(t, GCW_METRICS, attempt * 12);
        assert_int_equal(a.end, END_ANSWERED);
        assert_int_equal(a.status, 204);
    }
    assert_int_equal(transport_bytes_sent(t, GCW_METRICS), 8);
    assert_int_equal(transport_bytes_sent(t, GCW_LOGS), 0);
    transport_free(t);
    wire_stop(w);
    assert_int_equal(w->count, 2);
    const char *first[] = {"POST /api/prom/push?x=1 HTTP/1.1",
                           host_line(w),
                           "User-Agent: gcw/" GCW_VERSION,
                           "Accept: */*",
                           "Content-Type: application/x-protobuf",
                           "Content-Encoding: snappy",
                           "X-Prometheus-Remote-Write-Version: 0.1.0",
                           "X-Scope-OrgID: 123456",
                           "Content-Length: 4",
                           NULL, /* of the second: */
                           NULL};
    check_head(w->got[0], first);
    first[9] = "Retry-Attempt: 12";
    check_head(w->got[1], first);
    assert_int_equal(w->got[1]->body_len, 4);
    assert_memory_equal(w->got[1]->body, "body", 4);
    wire_free(w);
}

static void test_logs_request_byte_by_byte(void **state)
{
    (void)state;
    static const char *const headers[] = {"X-Extra: a, b", "X-Other: 1"};
    struct wire *w = wire_new(NULL);
    struct net_config c = net_config_of("");
    struct net_log log = {0};
    c.endpoint[GCW_LOGS].url = url_of(w, "");
    c.user_agent = "host/2 (x)";
    c.headers = headers;
    c.header_count = 2;
    struct transport *t = net_open(&c, &log);
    struct sealed *plain = net_request(GCW_LOGS, "");
    struct answer a;
    plain->encoding = ENCODING_NONE;
    assert_int_equal(net_exchange(t, GCW_LOGS, 3).status, 204); /* no Retry-Attempt: Loki knows none */
    assert_true(transport_send(t, plain, 0));
    assert_ptr_equal(net_await(t, &a), plain);
    sealed_free(plain);
    transport_free(t);
    wire_stop(w);
    const char *lines[] = {"POST /loki/api/v1/push HTTP/1.1",
                           host_line(w),
                           "User-Agent: gcw/" GCW_VERSION " host/2 (x)",
                           "Accept: */*",
                           "Content-Type: application/json",
                           "X-Extra: a, b",
                           "X-Other: 1",
                           "Content-Length: 4",
                           "Content-Encoding: gzip",
                           NULL};
    check_head(w->got[0], lines);
    lines[7] = "Content-Length: 0";
    lines[8] = NULL;
    check_head(w->got[1], lines);
    wire_free(w);
}

/* Expect: 100-continue would cost a round trip or, with servers that do not know it, a second. */
static void test_large_body_goes_at_once_and_whole(void **state)
{
    (void)state;
    enum { LENGTH = 3 << 20 };
    struct wire *w = wire_new(NULL);
    struct net_config c = net_config_of(url_of(w, "/api/v1/push"));
    struct net_log log = {0};
    struct transport *t = net_open(&c, &log);
    char *body = malloc(LENGTH + 1);
    memset(body, 'x', LENGTH);
    body[LENGTH] = 0;
    struct sealed *s = net_request(GCW_METRICS, body);
    struct answer a;
    assert_true(transport_send(t, s, 0));
    net_await(t, &a);
    assert_int_equal(a.status, 204);
    assert_int_equal(transport_bytes_sent(t, GCW_METRICS), LENGTH);
    transport_free(t);
    wire_stop(w);
    assert_null(strcasestr(w->got[0]->head, "expect"));
    assert_null(strcasestr(w->got[0]->head, "chunked"));
    assert_int_equal(w->got[0]->body_len, LENGTH);
    wire_free(w);
    sealed_free(s);
    free(body);
}

/* ---- credentials ------------------------------------------------------------------------------------------------ */

/* base64 of 123456:glc_EXAMPLEtoken and t-2:glc_EXAMPLEtoken, by coreutils' base64 */
#define PAIR       "MTIzNDU2OmdsY19FWEFNUExFdG9rZW4="
#define OTHER_PAIR "dC0yOmdsY19FWEFNUExFdG9rZW4="

static void test_credentials_of_each_mode(void **state)
{
    (void)state;
    static const struct {
        enum auth_kind auth;
        const char *token, *tenant, *record_tenant, *authorization, *org;
    } rows[] = {
        {AUTH_AUTO, TOKEN, "123456", "123456", "Basic " PAIR, NULL},
        {AUTH_AUTO, TOKEN, "", "", "Bearer " TOKEN, NULL},
        {AUTH_AUTO, "", "123456", "123456", NULL, "123456"},
        {AUTH_AUTO, "", "", "", NULL, NULL},
        {AUTH_BASIC, TOKEN, "123456", "123456", "Basic " PAIR, NULL},
        {AUTH_BASIC, TOKEN, "123456", "t-2", "Basic " OTHER_PAIR, NULL}, /* a record's own tenant */
        {AUTH_TENANT, "", "123456", "t-2", NULL, "t-2"},
        {AUTH_TENANT, TOKEN, "123456", "123456", "Bearer " TOKEN, "123456"},
        {AUTH_BEARER, TOKEN, "123456", "123456", "Bearer " TOKEN, NULL},
        {AUTH_NONE, TOKEN, "123456", "123456", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct wire *w = wire_new(NULL);
        struct net_config c = net_config_of(url_of(w, "/api/v1/push"));
        struct net_log log = {0};
        struct answer a;
        c.token = rows[i].token;
        c.endpoint[0].auth = rows[i].auth;
        c.endpoint[0].tenant = rows[i].tenant;
        struct transport *t = net_open(&c, &log);
        struct sealed *s = net_request(GCW_METRICS, "x");
        s->tenant = rows[i].record_tenant;
        assert_true(transport_send(t, s, 0));
        net_await(t, &a);
        sealed_free(s);
        transport_free(t);
        wire_stop(w);
        char org[64], authorization[256];
        const char *lines[] = {"POST /api/v1/push HTTP/1.1",
                               host_line(w),
                               "User-Agent: gcw/" GCW_VERSION,
                               "Accept: */*",
                               "Content-Type: application/x-protobuf",
                               "Content-Encoding: snappy",
                               "X-Prometheus-Remote-Write-Version: 0.1.0",
                               "Content-Length: 1",
                               NULL,
                               NULL,
                               NULL};
        size_t n = 8;
        if (rows[i].authorization) {
            snprintf(authorization, sizeof authorization, "Authorization: %s", rows[i].authorization);
            lines[n++] = authorization;
        }
        if (rows[i].org) {
            snprintf(org, sizeof org, "X-Scope-OrgID: %s", rows[i].org);
            lines[n++] = org;
        }
        check_head(w->got[0], lines);
        wire_free(w);
    }
}

/* One pooled handle after the other must not carry on with what another request had. */
static void test_handle_used_again_holds_no_credentials_of_before(void **state)
{
    (void)state;
    struct wire *w = wire_new(NULL);
    struct net_config c = net_config_of(url_of(w, "/api/v1/push"));
    char logs_url[64];
    struct net_log log = {0};
    snprintf(logs_url, sizeof logs_url, "http://127.0.0.1:%u/loki/api/v1/push", w->port);
    c.token = TOKEN;
    c.endpoint[GCW_LOGS] = (struct endpoint){GCW_LOGS, logs_url, "", AUTH_NONE};
    struct transport *t = net_open(&c, &log);
    for (int i = 0; i < 3; i++) {
        net_exchange(t, GCW_METRICS, 0);
        net_exchange(t, GCW_LOGS, 0);
    }
    transport_free(t);
    wire_stop(w);
    for (size_t i = 0; i < w->count; i++)
        assert_int_equal(strstr(w->got[i]->head, "\r\nAuthorization: Basic " PAIR) != NULL, i % 2 == 0);
    wire_free(w);
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

static void test_connection_is_used_again(void **state)
{
    (void)state;
    struct wire *w = wire_new(NULL);
    struct net_config c = net_config_of(url_of(w, "/api/v1/push"));
    struct net_log log = {0};
    struct transport *t = net_open(&c, &log);
    for (int i = 0; i < 20; i++)
        assert_int_equal(net_exchange(t, GCW_METRICS, 0).status, 204);
    transport_free(t);
    wire_stop(w);
    assert_int_equal(w->count, 20);
    assert_int_equal(w->connections, 1);
    wire_free(w);
}

static bool close_after_answer(struct wire *w, int fd, const struct wire_request *r)
{
    (void)w;
    (void)r;
    wire_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    return false;
}

/* A server that closes after each answer without saying so: a new connection, and no request is lost. */
static void test_connection_closed_by_the_server_is_replaced(void **state)
{
    (void)state;
    struct wire *w = wire_new(close_after_answer);
    struct net_config c = net_config_of(url_of(w, "/api/v1/push"));
    struct net_log log = {0};
    struct transport *t = net_open(&c, &log);
    for (int i = 0; i < 5; i++)
        assert_int_equal(net_exchange(t, GCW_METRICS, 0).status, 200);
    transport_free(t);
    wire_stop(w);
    assert_int_equal(w->connections, 5);
    wire_free(w);
}

static bool wait_for_four(struct wire *w, int fd, const struct wire_request *r)
{
    uint64_t deadline = clock_mono_ms() + 20000;
    while (wire_count(w) < 4 && clock_mono_ms() < deadline)
        usleep(1000);
    return wire_ok(w, fd, r);
}

/* No request is answered before all four are there: they are on their way side by side, and each gets its own answer.
 */
static void test_requests_in_flight_side_by_side(void **state)
{
    (void)state;
    struct wire *w = wire_new(wait_for_four);
    struct net_config c = net_config_of(url_of(w, "/api/v1/push"));
    struct net_log log = {0};
    struct transport *t = net_open(&c, &log);
    struct sealed *s[4];
    unsigned seen = 0;
    for (unsigned i = 0; i < 4; i++) {
        s[i] = net_request(GCW_METRICS, "x");
        s[i]->route = i;
        assert_true(transport_send(t, s[i], 0));
    }
    for (int i = 0; i < 4; i++) {
        struct answer a;
        const struct sealed *done = net_await(t, &a);
        assert_int_equal(a.status, 204);
        seen |= 1u << done->route;
    }
    assert_int_equal(seen, 15);
    transport_free(t);
    wire_stop(w);
    assert_int_equal(w->connections, 4);
    wire_free(w);
    for (int i = 0; i < 4; i++)
        sealed_free(s[i]);
}

static void test_connection_limit_holds(void **state)
{
    (void)state;
    struct wire *w = wire_new(NULL);
    struct net_config c = net_config_of(url_of(w, "/api/v1/push"));
    struct net_log log = {0};
    struct sealed *s[6];
    struct answer a;
    c.max_connections = 2;
    struct transport *t = net_open(&c, &log);
    for (int i = 0; i < 6; i++)
        assert_true(transport_send(t, s[i] = net_request(GCW_METRICS, "x"), 0));
    for (int i = 0; i < 6; i++) {
        net_await(t, &a);
        assert_int_equal(a.status, 204);
    }
    transport_free(t);
    wire_stop(w);
    assert_int_equal(w->count, 6);
    assert_in_range(w->connections, 1, 2);
    wire_free(w);
    for (int i = 0; i < 6; i++)
        sealed_free(s[i]);
}

/* After its lifetime a connection is left, however well it works: another name server's answer gets its chance. */
static void test_connection_past_its_lifetime_is_replaced(void **state)
{
    (void)state;
    struct wire *w = wire_new(NULL);
    struct net_config c = net_config_of(url_of(w, "/api/v1/push"));
    struct net_log log = {0};
    c.connection_lifetime_ms = 1000;
    struct transport *t = net_open(&c, &log);
    uint64_t deadline = clock_mono_ms() + 20000;
    int connections = 1;
    while (connections == 1 && clock_mono_ms() < deadline) {
        assert_int_equal(net_exchange(t, GCW_METRICS, 0).status, 204);
        pthread_mutex_lock(&w->lock);
        connections = w->connections;
        for (size_t i = 1; i < w->count; i++) /* only the newest and the oldest are of interest */
            free(w->got[i]);
        w->count = 1;
        pthread_mutex_unlock(&w->lock);
        transport_wait(t, 50);
    }
    assert_int_equal(connections, 2);
    transport_free(t);
    wire_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_request_byte_by_byte),
        cmocka_unit_test(test_logs_request_byte_by_byte),
        cmocka_unit_test(test_large_body_goes_at_once_and_whole),
        cmocka_unit_test(test_credentials_of_each_mode),
        cmocka_unit_test(test_handle_used_again_holds_no_credentials_of_before),
        cmocka_unit_test(test_connection_is_used_again),
        cmocka_unit_test(test_connection_closed_by_the_server_is_replaced),
        cmocka_unit_test(test_requests_in_flight_side_by_side),
        cmocka_unit_test(test_connection_limit_holds),
        cmocka_unit_test(test_connection_past_its_lifetime_is_replaced),
    };
    return cmocka_run_group_tests(tests, net_no_proxies, NULL);
}
