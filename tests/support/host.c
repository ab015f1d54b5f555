/* See host.h. */
#include "host.h"

#include <time.h>

static void on_log(void *user, gcw_log_level level, const char *text)
{
    struct host *h = user;
    pthread_mutex_lock(&h->lock);
    h->lines = realloc(h->lines, (h->line_count + 1) * sizeof *h->lines);
    ENSURE(h->lines);
    struct host_line *l = &h->lines[h->line_count++];
    l->level = level;
    snprintf(l->text, sizeof l->text, "%s", text);
    pthread_mutex_unlock(&h->lock);
}

static void on_report(void *user, const gcw_report *report)
{
    struct host *h = user;
    pthread_mutex_lock(&h->lock);
    h->reports = realloc(h->reports, (h->report_count + 1) * sizeof *h->reports);
    ENSURE(h->reports);
    struct host_report *r = &h->reports[h->report_count++];
    r->is = *report;
    r->is.tenant = r->is.message = NULL; /* of the callback only */
    snprintf(r->tenant, sizeof r->tenant, "%s", report->tenant);
    snprintf(r->message, sizeof r->message, "%s", report->message);
    pthread_mutex_unlock(&h->lock);
}

void host_open(struct host *h, const char *const *options)
{
    *h = (struct host){.receiver = receiver_new()};
    pthread_mutex_init(&h->lock, NULL);
    const char *const usual[] = {"metrics_url",
                                 receiver_url(h->receiver, GCW_METRICS),
                                 "logs_url",
                                 receiver_url(h->receiver, GCW_LOGS),
                                 "metrics_batch_age",
                                 "1h",
                                 "logs_batch_age",
                                 "1h",
                                 "retry_min",
                                 "10ms",
                                 "retry_max",
                                 "20ms",
                                 "park_probe",
                                 "100ms",
                                 NULL};
    const char *const *const all[] = {usual, options};
    gcw_config *c = gcw_config_new();
    gcw_error err = {0};
    assert_non_null(c);
    for (size_t k = 0; k < ARRAY_LEN(all); k++)
        for (const char *const *o = all[k]; o && *o; o += 2)
            if (gcw_config_set(c, o[0], o[1], &err) != GCW_OK)
                fail_msg("%s", err.text);
    h->w = gcw_writer_open(c, &(gcw_callbacks){h, on_log, on_report}, &err);
    gcw_config_free(c);
    if (!h->w)
        fail_msg("%s", err.text);
}

void assert_ledger(const gcw_signal_stats *s)
{
    uint64_t ended = 0;
    for (int i = 0; i < GCW_OUTCOMES; i++)
        ended += s->outcome[i];
    assert_int_equal(s->accepted + s->recovered, ended + s->pending);
}

void host_close(struct host *h, int timeout_ms, gcw_status want, gcw_stats *final)
{
    gcw_stats s;
    gcw_writer *w = h->w;
    h->w = NULL;
    assert_int_equal(gcw_writer_close(w, timeout_ms, &s), want);
    receiver_stop(h->receiver);
    for (int i = 0; i < GCW_SIGNALS; i++) {
        assert_ledger(&s.signal[i]);
        assert_int_equal(s.signal[i].pending, 0);
        for (int k = 0; k < GCW_OUTCOMES; k++)
            assert_int_equal(host_reported(h, (gcw_signal)i, (gcw_outcome)k), s.signal[i].outcome[k]);
    }
    if (final)
        *final = s;
}

void host_free(struct host *h)
{
    if (h->w)
        host_close(h, WAIT_MS, GCW_OK, NULL);
    receiver_free(h->receiver);
    pthread_mutex_destroy(&h->lock);
    free(h->reports);
    free(h->lines);
}

gcw_series *host_series(struct host *h, const char *name)
{
    const gcw_label labels[] = {GCW_LABEL("__name__", name), GCW_LABEL("job", "test")};
    gcw_error err = {0};
    gcw_series *s = gcw_series_intern(h->w, labels, 2, NULL, NULL, &err);
    if (!s)
        fail_msg("%s", err.text);
    return s;
}

gcw_stream *host_stream(struct host *h, const char *app)
{
    const gcw_label labels[] = {GCW_LABEL("app", app)};
    gcw_error err = {0};
    gcw_stream *s = gcw_stream_intern(h->w, labels, 1, NULL, &err);
    if (!s)
        fail_msg("%s", err.text);
    return s;
}

gcw_signal_stats host_stats(struct host *h, gcw_signal signal)
{
    gcw_stats s;
    gcw_writer_stats(h->w, &s);
    return s.signal[signal];
}

void host_await(struct host *h, gcw_signal signal, bool (*met)(const gcw_signal_stats *s, uint64_t n), uint64_t n)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    uint64_t deadline = deadline_after(WAIT_MS);
    for (gcw_signal_stats s = host_stats(h, signal); !met(&s, n); s = host_stats(h, signal)) {
        assert_true(clock_mono_ms() < deadline);
        nanosleep(&pause, NULL);
    }
}

uint64_t host_reported(struct host *h, gcw_signal signal, gcw_outcome outcome)
{
    uint64_t n = 0;
    pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < h->report_count; i++)
        if (h->reports[i].is.signal == signal && h->reports[i].is.outcome == outcome)
            n += h->reports[i].is.records;
    pthread_mutex_unlock(&h->lock);
    return n;
}

bool host_logged(struct host *h, unsigned level, const char *text)
{
    bool found = false;
    pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < h->line_count && !found; i++)
        found = (level == 0 || h->lines[i].level == (gcw_log_level)level) && strstr(h->lines[i].text, text);
    pthread_mutex_unlock(&h->lock);
    return found;
}
