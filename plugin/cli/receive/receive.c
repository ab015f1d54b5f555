/* `gcw receive`: start, say where it listens, wait for the end, sum up. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/receive/server.h"

/* Through a temporary file, so that whoever waits for it never reads half a number. */
static gcw_status port_file_write(const char *path, uint16_t port, gcw_error *err)
{
    struct buf tmp = {0};
    gcw_status status = GCW_OK;
    if (!buf_printf(&tmp, "%s.tmp", path) || !buf_cstr(&tmp)) {
        buf_free(&tmp);
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    }
    const char *name = (const char *)tmp.p;
    FILE *f = fopen(name, "we");
    bool ok = f && fprintf(f, "%u\n", port) > 0;
    ok = f && fclose(f) == 0 && ok;
    if (!ok || rename(name, path) != 0)
        status = error_set(err, GCW_ERR_IO, "--port-file %s: %s", path, strerror(errno));
    buf_free(&tmp);
    return status;
}

/* Milliseconds until it has been idle for long enough, -1 = it never will. */
static int idle_left(struct server *s)
{
    uint64_t idle = s->settings->idle_ms, now = clock_mono_ms(), last = atomic_load(&s->last_ms);
    if (idle == 0)
        return -1;
    if (atomic_load(&s->active) > 0 || now < last)
        return (int)MIN(idle, (uint64_t)1000);
    return (int)MIN(now - last >= idle ? 0 : idle - (now - last), (uint64_t)60000);
}

static bool ended(struct server *s)
{
    uint64_t max = s->settings->max_requests;
    return (max && atomic_load(&s->pushes) >= max) || idle_left(s) == 0;
}

static void wait_for_end(struct server *s, int signal_fd)
{
    struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN}, {.fd = s->wake_fd, .events = POLLIN}};
    while (!ended(s)) {
        if (poll(fds, ARRAY_LEN(fds), idle_left(s)) < 0 && errno != EINTR)
            return;
        if (fds[0].revents)
            return;
        uint64_t events;
        if (fds[1].revents && read(s->wake_fd, &events, sizeof events) < 0 && errno != EAGAIN)
            return;
    }
}

static void sum_up(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    const struct counters *c = &s->counters;
    fprintf(stderr,
            "gcw receive: %" PRIu64 " pushes (%" PRIu64 " metrics, %" PRIu64 " logs), %" PRIu64
            " bytes; accepted %" PRIu64 " samples, %" PRIu64 " metadata, %" PRIu64 " entries (%" PRIu64
            " of them duplicates); rejected %" PRIu64 "\n",
            c->requests[GCW_METRICS] + c->requests[GCW_LOGS], c->requests[GCW_METRICS], c->requests[GCW_LOGS],
            c->bytes_wire, c->samples, c->metadata, c->entries, c->duplicates, c->rejected);
    pthread_mutex_unlock(&s->lock);
}

static gcw_status serve(struct settings *set, int signal_fd, gcw_error *err)
{
    struct server s;
    char url[128];
    uint16_t port = 0;
    gcw_status status = server_start(&s, set, url, sizeof url, &port, err);
    if (status == GCW_OK && set->port_file)
        status = port_file_write(set->port_file, port, err);
    if (status == GCW_OK) {
        FILE *where = set->out && strcmp(set->out, "-") == 0 ? stderr : stdout;
        fprintf(where, "listening on %s\n", url);
        fflush(where);
        wait_for_end(&s, signal_fd);
        server_stop(&s);
        sum_up(&s);
    }
    server_free(&s);
    return status;
}

int receive_main(int argc, char **argv)
{
    struct settings set;
    gcw_error err = {0};
    int code = 0;
    gcw_status status = settings_parse(&set, argc, argv, &err);
    if (status == GCW_OK && set.help) {
        receive_help();
    } else if (status == GCW_OK) {
        sigset_t signals;
        sigemptyset(&signals);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread is started */
        signal(SIGPIPE, SIG_IGN);
        int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
        status =
            signal_fd < 0 ? error_set(&err, GCW_ERR_IO, "signalfd: %s", strerror(errno)) : serve(&set, signal_fd, &err);
        if (signal_fd >= 0)
            close(signal_fd);
    }
    if (status != GCW_OK) {
        fprintf(stderr, "gcw receive: %s\n", err.text);
        code = status == GCW_ERR_INVALID ? 2 : 1;
    }
    settings_free(&set);
    return code;
}
