/* Starting and stopping: address, TLS, output file, libmicrohttpd. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "cli/receive/http.h"

#define STOP_GRACE_MS 2000

void server_sleep(struct server *s, uint64_t ms)
{
    uint64_t end = clock_mono_ms() + ms;
    for (uint64_t now = clock_mono_ms(); now < end && !atomic_load(&s->stopping); now = clock_mono_ms()) {
        uint64_t slice = MIN(end - now, (uint64_t)20);
        nanosleep(&(struct timespec){.tv_nsec = (long)slice * 1000000}, NULL);
    }
}

static bool address_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
    return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

static gcw_status address_find(const struct settings *s, struct addrinfo **out, gcw_error *err)
{
    char port[8];
    snprintf(port, sizeof port, "%u", s->port);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    if (getaddrinfo(s->host, port, &hints, out) != 0)
        return error_set(err, GCW_ERR_INVALID, "--listen: '%s' is no numeric address such as 127.0.0.1 or ::1",
                         s->host);
    if (!s->allow_remote && !address_loopback((*out)->ai_addr)) {
        freeaddrinfo(*out);
        return error_set(err, GCW_ERR_INVALID, "--listen: %s is not a loopback address; --allow-remote allows it",
                         s->host);
    }
    return GCW_OK;
}

/* A PEM file as a C string. */
static gcw_status pem_read(const char *path, struct buf *out, gcw_error *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return error_set(err, GCW_ERR_IO, "%s: %s", path, strerror(errno));
    size_t n = 1;
    bool ok = true;
    while (n > 0 && (ok = buf_reserve(out, 4096))) {
        n = fread(out->p + out->n, 1, 4096, f);
        out->n += n;
    }
    ok = ok && !ferror(f) && buf_cstr(out);
    fclose(f);
    return ok ? GCW_OK : error_set(err, GCW_ERR_IO, "%s: can't be read", path);
}

static gcw_status out_open(struct server *s, gcw_error *err)
{
    const struct settings *set = s->settings;
    s->out_fd = -1;
    if (!set->out || set->no_records || set->discard)
        return GCW_OK;
    bool to_stdout = strcmp(set->out, "-") == 0;
    s->out_fd = to_stdout ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                          : open(set->out, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return s->out_fd >= 0 ? GCW_OK : error_set(err, GCW_ERR_IO, "--out %s: %s", set->out, strerror(errno));
}

/* libmicrohttpd complains of clients that go away; that is no news here. */
static void mhd_log(void *cls, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
static void mhd_log(void *cls, const char *fmt, va_list args)
{
    const struct server *s = cls;
    char text[512];
    vsnprintf(text, sizeof text, fmt, args);
    log_line(&s->log, GCW_LOG_DEBUG, "receive: %s", text);
}

static gcw_status daemon_start(struct server *s, const struct addrinfo *address, gcw_error *err)
{
    const struct settings *set = s->settings;
    struct buf cert = {0}, key = {0};
    gcw_status status = GCW_OK;
    if (set->tls_cert && (status = pem_read(set->tls_cert, &cert, err)) == GCW_OK)
        status = pem_read(set->tls_key, &key, err);
    if (status != GCW_OK)
        goto out;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC |
                     MHD_USE_ERROR_LOG | (set->tls_cert ? MHD_USE_TLS : 0) |
                     (address->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, cert.p}, {MHD_OPTION_HTTPS_MEM_KEY, 0, key.p}, {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    errno = 0;
    s->daemon = MHD_start_daemon(flags, s->settings->port, NULL, NULL, http_request, s, MHD_OPTION_EXTERNAL_LOGGER,
                                 mhd_log, s, MHD_OPTION_SOCK_ADDR, address->ai_addr, MHD_OPTION_NOTIFY_COMPLETED,
                                 http_done, s, MHD_OPTION_NOTIFY_CONNECTION, http_connection, s,
                                 MHD_OPTION_CONNECTION_LIMIT, set->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                 (size_t)(256 * KIB), MHD_OPTION_ARRAY, set->tls_cert ? tls : none, MHD_OPTION_END);
    if (!s->daemon)
        status = error_set(err, GCW_ERR_IO, "can't listen on %s port %u: %s", set->host, set->port,
                           errno ? strerror(errno) : "wrong certificate, key or address");
out:
    if (key.p)
        explicit_bzero(key.p, key.cap);
    buf_free(&key);
    buf_free(&cert);
    return status;
}

gcw_status server_start(struct server *s, struct settings *settings, char *url, size_t cap, uint16_t *port,
                        gcw_error *err)
{
    struct addrinfo *address = NULL;
    *s = (struct server){.settings = settings, .out_fd = -1, .wake_fd = -1, .started_ms = clock_mono_ms()};
    s->log.level = settings->verbose ? GCW_LOG_DEBUG : GCW_LOG_WARN;
    atomic_store(&s->last_ms, s->started_ms);
    pthread_mutex_init(&s->lock, NULL);
    store_init(&s->store);
    gcw_status status = address_find(settings, &address, err);
    if (status != GCW_OK)
        return status;
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0)
        status = error_set(err, GCW_ERR_IO, "eventfd: %s", strerror(errno));
    if (status == GCW_OK)
        status = out_open(s, err);
    if (status == GCW_OK)
        status = daemon_start(s, address, err);
    if (status == GCW_OK) {
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
        bool six = address->ai_family == AF_INET6;
        *port = info ? info->port : settings->port;
        snprintf(url, cap, "%s://%s%s%s:%u", settings->tls_cert ? "https" : "http", six ? "[" : "", settings->host,
                 six ? "]" : "", *port);
    }
    freeaddrinfo(address);
    return status;
}

void server_stop(struct server *s)
{
    if (!s->daemon)
        return;
    MHD_socket listener = MHD_quiesce_daemon(s->daemon);
    uint64_t end = clock_mono_ms() + STOP_GRACE_MS;
    atomic_store(&s->stopping, true);
    while (atomic_load(&s->active) > 0 && clock_mono_ms() < end)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
    if (listener != MHD_INVALID_SOCKET)
        close(listener);
}

void server_free(struct server *s)
{
    server_stop(s);
    if (s->out_fd >= 0)
        close(s->out_fd);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    store_free(&s->store);
    pthread_mutex_destroy(&s->lock);
}
