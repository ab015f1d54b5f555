/* The counters as JSON, and judging with its bookkeeping. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/receive/server.h"

static json_t *number(uint64_t n) { return json_integer((json_int_t)MIN(n, (uint64_t)INT64_MAX)); }

static json_t *tenants_json(const struct table *t)
{
    json_t *all = json_object();
    for (size_t i = 0; i < t->cap; i++) {
        const struct tenant *one = (const struct tenant *)t->slots[i];
        if (!one)
            continue;
        json_t *o = json_object();
        json_object_set_new(o, "requests", number(one->requests));
        json_object_set_new(o, "samples", number(one->samples));
        json_object_set_new(o, "metadata", number(one->metadata));
        json_object_set_new(o, "entries", number(one->log_entries));
        json_object_set_new(o, "rejected", number(one->rejected));
        json_object_set_new(o, "series", number(one->series.count));
        json_object_set_new(o, "streams", number(one->streams.count));
        json_object_set_new(all, one->slot.key.p, o);
    }
    return all;
}

static json_t *counts_json(const struct counters *c)
{
    const struct {
        const char *name;
        uint64_t n;
    } rows[] = {
        {"requests", c->requests[GCW_METRICS] + c->requests[GCW_LOGS]},
        {"requests_metrics", c->requests[GCW_METRICS]},
        {"requests_logs", c->requests[GCW_LOGS]},
        {"requests_other", c->other_requests},
        {"retry_attempts", c->retry_attempts},
        {"injected", c->injected},
        {"resets", c->resets},
        {"connections", c->connections},
        {"auth_failures", c->auth_failures},
        {"requests_remote_write_2", c->requests_2},
        {"samples", c->samples},
        {"histograms", c->histograms},
        {"exemplars", c->exemplars},
        {"metadata", c->metadata},
        {"entries", c->entries},
        {"duplicates", c->duplicates},
        {"out_of_order", c->out_of_order},
        {"rejected", c->rejected},
        {"bytes_wire", c->bytes_wire},
        {"bytes_decoded", c->bytes_decoded},
        {"output_errors", c->output_errors},
    };
    json_t *root = json_object(), *status = json_object(), *reasons = json_object();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        json_object_set_new(root, rows[i].name, number(rows[i].n));
    for (int i = 0; i < STATUS_END; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", i);
        if (c->status[i])
            json_object_set_new(status, name, number(c->status[i]));
    }
    for (int i = 0; i < REASON_COUNT; i++)
        if (c->reasons[i])
            json_object_set_new(reasons, reason_name((enum reason)i), number(c->reasons[i]));
    json_object_set_new(root, "status", status);
    json_object_set_new(root, "rejected_by_reason", reasons);
    return root;
}

char *server_stats(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    json_t *root = counts_json(&s->counters);
    json_object_set_new(root, "tenants", tenants_json(&s->store.tenants));
    pthread_mutex_unlock(&s->lock);
    json_object_set_new(root, "uptime_ms", number(clock_mono_ms() - s->started_ms));
    char *text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    return text;
}

char *server_control(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    json_t *root = misbehave_json(&s->settings->misbehave);
    pthread_mutex_unlock(&s->lock);
    char *text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    return text;
}

/* ---- judging
 * --------------------------------------------------------------------------------------------------------- */

static bool write_all(int fd, struct view v)
{
    while (v.n > 0) {
        ssize_t n = write(fd, v.p, v.n);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            poll(&p, 1, 1000);
        } else if (n < 0 && errno != EINTR) {
            return false;
        } else if (n > 0) {
            v = view_make(v.p + n, v.n - (size_t)n);
        }
    }
    return true;
}

static void verdict_book(struct server *s, const struct push *p, gcw_signal signal, const struct verdict *v)
{
    struct counters *c = &s->counters;
    struct tenant *t = store_tenant(&s->store, p->tenant);
    c->samples += v->samples;
    c->histograms += v->histograms;
    c->exemplars += v->exemplars;
    c->requests_2 += v->counted;
    c->metadata += v->metadata;
    c->entries += v->entries;
    c->duplicates += v->duplicates;
    c->out_of_order += v->out_of_order;
    c->rejected += v->rejected;
    c->bytes_decoded += v->raw_bytes;
    for (size_t i = 0; i < REASON_COUNT; i++)
        c->reasons[i] += v->reasons[i];
    if (!t)
        return;
    t->requests++;
    t->samples += v->samples;
    t->metadata += v->metadata;
    t->log_entries += signal == GCW_LOGS ? v->entries : 0;
    t->rejected += v->rejected;
}

static void records_write(struct server *s, struct verdict *v)
{
    if (v->records.n == 0 || s->out_fd < 0 || write_all(s->out_fd, buf_view(&v->records)))
        return;
    s->counters.output_errors++;
    verdict_set(v, 500, "the receiver can't write its records: %s", strerror(errno));
}

void server_judge(struct server *s, gcw_signal signal, const struct push *p, struct verdict *v)
{
    const struct limits *l = &s->settings->limits;
    struct rw_request metrics = {0};
    struct loki_request logs = {0};
    bool good = signal == GCW_METRICS ? rw_decode(p, l, &metrics, v) : loki_decode(p, l, &logs, v);
    pthread_mutex_lock(&s->lock);
    if (good && signal == GCW_METRICS)
        rw_judge(p, l, &metrics, &s->store, v);
    else if (good)
        loki_judge(p, l, &logs, &s->store, v);
    records_write(s, v);
    verdict_book(s, p, signal, v);
    pthread_mutex_unlock(&s->lock);
    rw_request_free(&metrics);
    loki_request_free(&logs);
}
