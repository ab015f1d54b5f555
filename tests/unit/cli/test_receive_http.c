/* The receiver over a real socket: routes, gateway, judge, misbehaviour, records written before the answer. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/receive/server.h"
#include "test_receive_support.h"

struct fixture {
    struct settings settings;
    struct server server;
    uint16_t port;
    char out[64];
    char answer[8192];
};

static int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    static char name[] = "receive", any[] = "-l", address[] = "127.0.0.1:0", to[] = "-o";
    char url[128];
    gcw_error err = {0};
    snprintf(f->out, sizeof f->out, "/tmp/gcw-receive-XXXXXX");
    close(mkstemp(f->out));
    setenv("GCW_RECEIVE_TOKEN", "tok", 1);
    char *argv[] = {name, any, address, to, f->out};
    *state = f;
    if (settings_parse(&f->settings, 5, argv, &err) != GCW_OK ||
        server_start(&f->server, &f->settings, url, sizeof url, &f->port, &err) != GCW_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    f->server.log.level = 0; /* refusals are what these tests are after */
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    server_free(&f->server);
    settings_free(&f->settings);
    unlink(f->out);
    free(f);
    return 0;
}

/* One request on a connection of its own. Returns the status, 0 if the connection was cut; the answer stays in f. */
static int ask(struct fixture *f, const char *head, const void *body, size_t n)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(f->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 20};
    char request[1024];
    size_t got = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    int len =
        snprintf(request, sizeof request, "%sHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", head, n);
    assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
    if (n > 0)
        assert_int_equal(send(fd, body, n, MSG_NOSIGNAL), n);
    for (ssize_t r; got < sizeof f->answer - 1 && (r = recv(fd, f->answer + got, sizeof f->answer - 1 - got, 0)) > 0;)
        got += (size_t)r;
    f->answer[got] = 0;
    close(fd);
    int status = 0;
    sscanf(f->answer, "HTTP/1.1 %d", &status);
    return status;
}

#define AUTH "Authorization: Basic MTp0b2s=\r\n" /* 1:tok */
#define RW                                                                                                             \
    "X-Prometheus-Remote-Write-Version: 0.1.0\r\nUser-Agent: t/1\r\nContent-Type: application/x-protobuf\r\n"          \
    "Content-Encoding: snappy\r\n"

/* A series `up` with one sample of now. */
static int push(struct fixture *f, const char *path, const char *auth, double value)
{
    struct buf message = {0}, body = {0};
    char head[512];
    pack_series(&message, &(struct made_series){LABELS("__name__", "up"), POINTS(point_of(value, clock_unix_ms()))}, 1);
    compress_message(&body, message.p, message.n);
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\n" RW "%s", path, auth);
    int status = ask(f, head, body.p, body.n);
    buf_free(&message);
    buf_free(&body);
    return status;
}

static int push_logs(struct fixture *f, const char *line)
{
    char body[256];
    int n = snprintf(body, sizeof body, "{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"%lld\",\"%s\"]]}]}",
                     (long long)clock_unix_ns(), line);
    return ask(f, "POST /loki/api/v1/push HTTP/1.1\r\nContent-Type: application/json\r\n" AUTH, body, (size_t)n);
}

static int control(struct fixture *f, const char *form)
{
    return ask(f, "POST /control HTTP/1.1\r\n", form, strlen(form));
}

static size_t lines_written(const struct fixture *f)
{
    FILE *file = fopen(f->out, "re");
    size_t n = 0;
    for (int c; (c = fgetc(file)) != EOF;)
        n += c == '\n';
    fclose(file);
    return n;
}

static void test_each_path_answers_as_its_receiver(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(push(f, "/api/prom/push", AUTH, 1), 200);
    assert_int_equal(lines_written(f), 1);
    usleep(2000); /* the next sample needs a later millisecond */
    assert_int_equal(push(f, "/api/v1/write", AUTH, 2), 204);
    assert_int_equal(push_logs(f, "x"), 204);
    assert_int_equal(lines_written(f), 3);
    assert_int_equal(ask(f, "GET /ready HTTP/1.1\r\n", "", 0), 200);
    assert_int_equal(ask(f, "GET /nope HTTP/1.1\r\n", "", 0), 404);
    assert_int_equal(ask(f, "GET /api/prom/push HTTP/1.1\r\n", "", 0), 405);
    assert_int_equal(ask(f, "GET /stats HTTP/1.1\r\n", "", 0), 200);
    assert_non_null(strstr(f->answer, "\"samples\": 2,"));
    assert_non_null(strstr(f->answer, "\"entries\": 1,"));
}

static void test_gateway_stands_in_front(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(push(f, "/api/prom/push", "", 1), 401);
    assert_non_null(strstr(f->answer, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(
        f->answer, "\r\n\r\n{\"status\":\"error\",\"error\":\"authentication error: no credentials provided\"}"));
    assert_int_equal(push(f, "/api/prom/push", "Authorization: Bearer tok\r\n", 1), 401);
    assert_int_equal(lines_written(f), 0);
}

static void test_error_text_is_plain_with_a_newline(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "POST /api/prom/push HTTP/1.1\r\n" RW AUTH, "", 0), 400);
    assert_non_null(strstr(f->answer, "Content-Type: text/plain; charset=utf-8\r\n"));
    assert_int_equal(f->answer[strlen(f->answer) - 1], '\n');
}

static void test_control_makes_it_misbehave(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(control(f, "status=503&retry_after=9&body=100&count=1"), 200);
    assert_int_equal(push_logs(f, "x"), 503);
    assert_non_null(strstr(f->answer, "Retry-After: 9\r\n"));
    assert_non_null(strstr(f->answer, "Content-Length: 100\r\n"));
    assert_int_equal(lines_written(f), 0);
    assert_int_equal(push_logs(f, "x"), 204);
    assert_int_equal(control(f, "status=500&process=on&count=1"), 200);
    assert_int_equal(push_logs(f, "y"), 500);
    assert_int_equal(lines_written(f), 2);
    assert_int_equal(control(f, "nope=1"), 400);
    assert_non_null(strstr(f->answer, "unknown key 'nope'"));
    assert_int_equal(ask(f, "POST /control?latency=1&match=metrics HTTP/1.1\r\n", "", 0), 200);
    assert_non_null(strstr(f->answer, "\"latency\": 1,"));
}

static void test_reset_cuts_before_or_after(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(control(f, "reset=before&count=1"), 200);
    assert_int_equal(push_logs(f, "x"), 0);
    assert_int_equal(lines_written(f), 0);
    assert_int_equal(control(f, "reset=after&count=1"), 200);
    assert_int_equal(push_logs(f, "x"), 0);
    assert_int_equal(lines_written(f), 1);
}

int main(void)
{
#define H(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        H(test_each_path_answers_as_its_receiver),  H(test_gateway_stands_in_front),
        H(test_error_text_is_plain_with_a_newline), H(test_control_makes_it_misbehave),
        H(test_reset_cuts_before_or_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
