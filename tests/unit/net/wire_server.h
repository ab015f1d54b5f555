/* A small HTTP/1.1 server on loopback for the transport's tests: keeps each request as its bytes came, and lets the
 * test answer by a function that has the socket in its hand. A thread accepts, one more serves each connection. */
#ifndef TEST_WIRE_SERVER_H
#define TEST_WIRE_SERVER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/private.h"

#define WIRE_CONNECTIONS 16
#define WIRE_REQUESTS    64

struct wire_request {
    int connection; /* from 0, in order of acceptance */
    char head[8192];
    size_t body_len;
    char body[256]; /* its beginning */
};

struct wire {
    uint16_t port;
    int listener;
    /* False ends the connection (after what it did to it). Called by the connection's thread. */
    bool (*respond)(struct wire *w, int fd, const struct wire_request *r);
    const char *_Atomic words; /* for respond functions */
    _Atomic size_t written;
    pthread_t acceptor;
    pthread_mutex_t lock; /* guards the rest */
    int fd[WIRE_CONNECTIONS];
    pthread_t thread[WIRE_CONNECTIONS];
    int connections;
    struct wire_request *got[WIRE_REQUESTS];
    size_t count;
};

struct wire_connection {
    struct wire *wire;
    int number, fd;
};

static inline bool wire_write(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t m = send(fd, p, n, MSG_NOSIGNAL);
        if (m <= 0)
            return false;
        p += m;
        n -= (size_t)m;
    }
    return true;
}

static inline bool wire_say(int fd, const char *text) { return wire_write(fd, text, strlen(text)); }

/* Reads one request; false when the connection ended. What follows it stays in `in`. */
static inline bool wire_read(int fd, struct buf *in, struct wire_request *r)
{
    char *end = NULL;
    size_t length = 0;
    for (;;) {
        assert_true(buf_cstr(in));
        if (!end && in->n && (end = strstr((char *)in->p, "\r\n\r\n"))) {
            size_t n = (size_t)(end - (char *)in->p) + 4;
            assert_true(n < sizeof r->head);
            memcpy(r->head, in->p, n);
            r->head[n] = 0;
            const char *field = strcasestr(r->head, "\r\nContent-Length:");
            length = field ? strtoul(field + 17, NULL, 10) : 0;
        }
        size_t head = end ? strlen(r->head) : 0;
        if (end && in->n >= head + length) {
            r->body_len = length;
            memcpy(r->body, in->p + head, MIN(length, sizeof r->body));
            in->n -= head + length;
            memmove(in->p, in->p + head + length, in->n);
            return true;
        }
        assert_true(buf_reserve(in, 65536));
        ssize_t m = recv(fd, in->p + in->n, 65535, 0);
        if (m <= 0)
            return false;
        in->n += (size_t)m;
    }
}

static inline void *wire_serve(void *ctx)
{
    struct wire_connection c = *(struct wire_connection *)ctx;
    struct wire *w = c.wire;
    struct buf in = {0};
    bool open = true;
    free(ctx);
    while (open) {
        struct wire_request *r = calloc(1, sizeof *r);
        r->connection = c.number;
        if (!wire_read(c.fd, &in, r)) {
            free(r);
            break;
        }
        pthread_mutex_lock(&w->lock);
        assert_true(w->count < WIRE_REQUESTS);
        w->got[w->count++] = r;
        pthread_mutex_unlock(&w->lock);
        open = w->respond(w, c.fd, r);
    }
    pthread_mutex_lock(&w->lock);
    w->fd[c.number] = -1;
    pthread_mutex_unlock(&w->lock);
    close(c.fd);
    buf_free(&in);
    return NULL;
}

static inline void *wire_accept(void *ctx)
{
    struct wire *w = ctx;
    for (int fd; (fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        struct wire_connection *c = malloc(sizeof *c);
        pthread_mutex_lock(&w->lock);
        assert_true(w->connections < WIRE_CONNECTIONS);
        *c = (struct wire_connection){w, w->connections, fd};
        w->fd[w->connections] = fd;
        assert_int_equal(pthread_create(&w->thread[w->connections++], NULL, wire_serve, c), 0);
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

static inline bool wire_ok(struct wire *w, int fd, const struct wire_request *r)
{
    (void)r;
    return wire_say(fd, w->words ? w->words : "HTTP/1.1 204 No Content\r\n\r\n");
}

/* A loopback port, listening or (backlog < 0) just bound. */
static inline int wire_socket(uint16_t *port, int backlog)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 && (backlog < 0 || listen(fd, backlog) == 0));
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

/* respond NULL = 204, or `words` where set, to everything. */
static inline struct wire *wire_new(bool (*respond)(struct wire *, int, const struct wire_request *))
{
    struct wire *w = calloc(1, sizeof *w);
    w->respond = respond ? respond : wire_ok;
    pthread_mutex_init(&w->lock, NULL);
    w->listener = wire_socket(&w->port, 16);
    assert_int_equal(pthread_create(&w->acceptor, NULL, wire_accept, w), 0);
    return w;
}

/* All threads have ended when it returns: what they kept may be read without the lock until wire_free(). */
static inline void wire_stop(struct wire *w)
{
    if (w->listener < 0)
        return;
    shutdown(w->listener, SHUT_RDWR);
    pthread_join(w->acceptor, NULL);
    close(w->listener);
    w->listener = -1;
    pthread_mutex_lock(&w->lock);
    for (int i = 0; i < w->connections; i++)
        if (w->fd[i] >= 0)
            shutdown(w->fd[i], SHUT_RDWR);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < w->connections; i++)
        pthread_join(w->thread[i], NULL);
}

static inline void wire_free(struct wire *w)
{
    wire_stop(w);
    for (size_t i = 0; i < w->count; i++)
        free(w->got[i]);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static inline size_t wire_count(struct wire *w)
{
    pthread_mutex_lock(&w->lock);
    size_t n = w->count;
    pthread_mutex_unlock(&w->lock);
    return n;
}

/* ---- the transport's side ------------------------------------------------------------------------------------- */

struct net_log {
    struct buf text; /* all lines */
};

static inline void net_log_line(void *user, gcw_log_level level, const char *text)
{
    struct net_log *l = user;
    (void)level;
    assert_true(buf_printf(&l->text, "%s\n", text) && buf_cstr(&l->text));
}

static inline struct net_config net_config_of(const char *url)
{
    return (struct net_config){
        .endpoint = {{GCW_METRICS, url, "123456", AUTH_AUTO}, {GCW_LOGS, "", "", AUTH_AUTO}},
        .token = "",
        .token_file = "",
        .token_check_ms = 1000,
        .connect_timeout_ms = 5000,
        .request_timeout_ms = 20000,
        .connection_lifetime_ms = 60000,
        .proxy = "",
        .ca_file = "",
        .client_cert = "",
        .client_key = "",
        .tls_verify = true,
        .tls_min = "1.2",
        .http_version = "auto",
        .user_agent = "",
        .max_connections = 8,
    };
}

static inline struct transport *net_open(const struct net_config *c, struct net_log *log)
{
    const struct logger logger = {GCW_LOG_DEBUG, net_log_line, log};
    gcw_error err = {0};
    struct transport *t = transport_new(c, &logger, &err);
    if (!t)
        fail_msg("%s", err.text);
    return t;
}

static inline struct sealed *net_request(gcw_signal signal, const char *body)
{
    struct sealed *s = sealed_new(body, strlen(body));
    s->signal = signal;
    s->protocol = signal == GCW_METRICS ? PROTOCOL_RW1 : PROTOCOL_LOKI_JSON;
    s->encoding = signal == GCW_METRICS ? ENCODING_SNAPPY : ENCODING_GZIP;
    s->tenant = "123456";
    s->records = 1;
    return s;
}

/* The next answer, whosever it is. */
static inline const struct sealed *net_await(struct transport *t, struct answer *a)
{
    uint64_t deadline = clock_mono_ms() + 30000;
    const struct sealed *s;
    while (!(s = transport_take(t, a))) {
        assert_true(clock_mono_ms() < deadline);
        transport_wait(t, 100);
    }
    return s;
}

/* Sends one request and waits for its answer. */
static inline struct answer net_exchange(struct transport *t, gcw_signal signal, unsigned attempt)
{
    struct answer a;
    struct sealed *s = net_request(signal, "body");
    assert_true(transport_send(t, s, attempt));
    assert_ptr_equal(net_await(t, &a), s);
    sealed_free(s);
    return a;
}

static inline int net_no_proxies(void **state)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY",  "no_proxy",    "NO_PROXY"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    return 0;
}

#endif
