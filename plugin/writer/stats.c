/* Statistics, receipts' entry point, names and other small things of gcw.h. */
#include <stdio.h>

#include "writer/writer.h"

const char *gcw_version(void) { return GCW_VERSION; }
int64_t gcw_now_ms(void) { return clock_unix_ms(); }
int64_t gcw_now_ns(void) { return clock_unix_ns(); }

const char *gcw_strerror(gcw_status status)
{
    static const char *const text[] = {
        [-GCW_OK] = "success",
        [-GCW_ERR_INVALID] = "invalid argument or configuration",
        [-GCW_ERR_FULL] = "memory budget used up",
        [-GCW_ERR_TIMEOUT] = "deadline passed",
        [-GCW_ERR_LIMIT] = "too many series, streams or tenants",
        [-GCW_ERR_TOO_LARGE] = "record too large",
        [-GCW_ERR_DROPPED] = "dropped by policy",
        [-GCW_ERR_CLOSED] = "writer is closing",
        [-GCW_ERR_NOMEM] = "out of memory",
        [-GCW_ERR_IO] = "file could not be read",
        [-GCW_ERR_UNSUPPORTED] = "not supported by this configuration",
    };
    int i = -(int)status;
    return i >= 0 && i < (int)ARRAY_LEN(text) ? text[i] : "unknown status";
}

const char *gcw_outcome_name(gcw_outcome outcome)
{
    static const char *const name[] = {"delivered", "rejected", "expired", "dropped"};
    return (unsigned)outcome < ARRAY_LEN(name) ? name[outcome] : "unknown";
}

const char *gcw_signal_name(gcw_signal signal) { return signal == GCW_LOGS ? "logs" : "metrics"; }

gcw_receipt *gcw_receipt_new(gcw_writer *writer, gcw_receipt_level level,
                             void (*done)(void *user, const gcw_receipt_summary *summary), void *user, gcw_error *err)
{
    if (level == GCW_RECEIPT_DURABLE && (!writer->disk.ctx || writer->config->queue_mode != QUEUE_DURABLE)) {
        error_set(err, GCW_ERR_UNSUPPORTED, "receipt level durable: needs queue_dir and queue_mode=durable");
        return NULL;
    }
    gcw_receipt *r = receipt_new(level, done, user);
    if (!r)
        error_set(err, GCW_ERR_NOMEM, "out of memory");
    return r;
}

static void signal_stats(gcw_writer *w, gcw_signal signal, gcw_signal_stats *out)
{
    struct counters *c = &w->counters[signal];
    uint64_t away = 0, ended;
    for (int i = 0; i < AWAYS; i++)
        away += atomic_load(&c->turned_away[i]);
    ended = away;
    *out = (gcw_signal_stats){.refused = atomic_load(&c->refused), .changed = atomic_load(&c->changed)};
    for (int i = 0; i < GCW_OUTCOMES; i++) {
        out->outcome[i] = atomic_load(&c->outcome[i]);
        ended += out->outcome[i];
    }
    out->outcome[GCW_DROPPED] += away;
    /* read after the outcomes, so that it is never behind them */
    out->accepted = batcher_accepted(w->batcher, signal) + away;
    out->metadata_sent = atomic_load(&c->metadata_sent);
    out->exemplars_sent = atomic_load(&c->exemplars_sent);
    out->exemplars_left_out = atomic_load(&c->exemplars_left_out);
    out->histograms_sent = atomic_load(&c->histograms_sent);
    out->histograms_left_out = atomic_load(&c->histograms_left_out);
    out->requests = atomic_load(&c->requests);
    out->bytes_raw = atomic_load(&c->bytes_raw);
    out->bytes_sent = atomic_load(&c->bytes_sent);
    out->interned = guard_count(w->guard[signal]);
    out->interned_bytes = guard_bytes(w->guard[signal]);
    pthread_mutex_lock(&w->lock);
    const struct deliver_gauges *g = &c->gauges;
    const struct queue_gauges *q = &c->queue_gauges;
    out->recovered = q->recovered_records;
    out->requests_waiting = q->requests;
    out->requests_in_flight = g->in_flight;
    out->bytes_waiting = q->bytes;
    out->on_disk = q->disk_records;
    out->damaged = q->damaged;
    out->retries = g->retries;
    out->parked = g->parked;
    out->oldest_waiting_ms = q->oldest_ms == INT64_MAX ? 0 : MAX((int64_t)clock_mono_ms() - q->oldest_ms, 0);
    out->last_http_status = c->last_http_status;
    snprintf(out->last_error, sizeof out->last_error, "%s", c->last_error);
    pthread_mutex_unlock(&w->lock);
    uint64_t came = out->accepted + out->recovered;
    out->pending = came > ended ? came - ended : 0;
}

void gcw_writer_stats(gcw_writer *w, gcw_stats *out)
{
    for (int i = 0; i < GCW_SIGNALS; i++)
        signal_stats(w, (gcw_signal)i, &out->signal[i]);
    out->memory_used = atomic_load(&w->budget.used);
    out->memory_limit = w->budget.limit;
    out->disk_limit = w->disk.ctx ? w->config->queue_limit : 0;
    pthread_mutex_lock(&w->lock);
    out->disk_used = w->disk_used;
    out->disk_syncs = w->disk_syncs;
    out->disk_failing = w->disk_failing;
    pthread_mutex_unlock(&w->lock);
}
