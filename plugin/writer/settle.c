/* The end of records: counters, receipts, reports. */
#include <stdio.h>

#include "writer/writer.h"

/* Which records of a request ended how is not known when only some did; the receipts in it are charged first, so that a
 * host learns of every possible loss. */
static void settle_receipts(struct sealed *s, gcw_outcome outcome, uint64_t records)
{
    for (uint32_t i = 0; i < s->share_count && records > 0; i++) {
        uint64_t n = MIN(s->shares[i].records, records);
        if (n == 0)
            continue;
        s->shares[i].records -= n;
        records -= n;
        receipt_settle(s->shares[i].receipt, outcome, n);
    }
}

static void report(gcw_writer *w, const gcw_report *r)
{
    if (!w->callbacks.report)
        return;
    pthread_mutex_lock(&w->callback_lock);
    w->callbacks.report(w->callbacks.user, r);
    pthread_mutex_unlock(&w->callback_lock);
}

static void remember(gcw_writer *w, const struct settlement *end)
{
    struct counters *c = &w->counters[end->request->signal];
    pthread_mutex_lock(&w->lock);
    if (end->http_status)
        c->last_http_status = end->http_status;
    if (end->outcome == GCW_DELIVERED)
        c->last_error[0] = 0;
    else
        snprintf(c->last_error, sizeof c->last_error, "%s%s%s", gcw_outcome_name(end->outcome),
                 end->message && *end->message ? ": " : "", end->message ? end->message : "");
    pthread_mutex_unlock(&w->lock);
}

void writer_settle(void *writer, const struct settlement *end)
{
    gcw_writer *w = writer;
    const struct sealed *s = end->request;
    struct counters *c = &w->counters[s->signal];
    atomic_fetch_add(&c->metadata_sent, end->metadata);
    atomic_fetch_add(&c->exemplars_sent, end->exemplars);
    atomic_fetch_add(&c->exemplars_left_out, end->exemplars_unsaid);
    atomic_fetch_add(&c->histograms_sent, end->histograms);
    atomic_fetch_add(&c->histograms_left_out, end->unsaid ? end->records : 0);
    if (end->records == 0)
        return;
    atomic_fetch_add(&c->outcome[end->outcome], end->records);
    if (end->outcome == GCW_DROPPED && atomic_load(&w->stop_encoder))
        atomic_fetch_add(&w->lost_at_close, end->records);
    remember(w, end);
    const gcw_report r = {
        .signal = s->signal,
        .outcome = end->outcome,
        .tenant = s->tenant,
        .records = end->records,
        .bytes = end->bytes,
        .http_status = end->http_status,
        .attempts = end->attempts,
        .message = end->message ? end->message : "",
        .first_time = s->first_time,
        .last_time = s->last_time,
    };
    report(w, &r);
    /* the request is the queue's and otherwise immutable; its shares are the writer's */
    settle_receipts((struct sealed *)(uintptr_t)s, end->outcome, end->records);
}

void writer_release(void *writer, struct sealed *s)
{
    gcw_writer *w = writer;
    for (uint32_t i = 0; i < s->share_count; i++)
        ENSURE(s->shares[i].records == 0);
    budget_give(&w->budget, s->charge);
    sealed_free(s);
    room_signal(w);
}

void writer_drop(gcw_writer *w, struct sealed *s, const char *why)
{
    const struct settlement end = {.request = s, .outcome = GCW_DROPPED, .records = s->records, .message = why};
    writer_settle(w, &end);
    writer_release(w, s);
}

/* ---- what the disk queue tells ---------------------------------------------------------------------------------- */

void writer_lost(void *writer, const struct queue_loss *loss, const struct receipt_share *shares, uint32_t count)
{
    gcw_writer *w = writer;
    for (uint32_t i = 0; i < count; i++)
        if (shares[i].records > 0)
            receipt_settle(shares[i].receipt, GCW_DROPPED, shares[i].records);
    if (loss->records == 0)
        return;
    struct counters *c = &w->counters[loss->signal];
    atomic_fetch_add(&c->outcome[GCW_DROPPED], loss->records);
    pthread_mutex_lock(&w->lock);
    snprintf(c->last_error, sizeof c->last_error, "dropped: %s", loss->why);
    pthread_mutex_unlock(&w->lock);
    log_line(&w->log, GCW_LOG_ERROR, "%s%s%s: %llu records dropped: %s", gcw_signal_name(loss->signal),
             *loss->tenant ? " of tenant " : "", loss->tenant, (unsigned long long)loss->records, loss->why);
    const gcw_report r = {.signal = loss->signal,
                          .outcome = GCW_DROPPED,
                          .tenant = loss->tenant,
                          .records = loss->records,
                          .message = loss->why};
    report(w, &r);
}

/* Shares that waited for this are done with; the others stay with the request. */
void writer_durable(void *writer, struct sealed *s)
{
    (void)writer;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->share_count; i++)
        if (s->shares[i].records > 0 && !receipt_durable(s->shares[i].receipt, s->shares[i].records))
            s->shares[kept++] = s->shares[i];
    s->share_count = kept;
}
