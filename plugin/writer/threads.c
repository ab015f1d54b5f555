/* The two threads: what each does in a round. */
#include <stdlib.h>
#include <time.h>

#include "writer/writer.h"

/* ---- encoder --------------------------------------------------------------------------------------------------- */

/* Room in the table of routes the encoder is through with; with `lock` held. */
static bool handed_reserve(gcw_writer *w, uint32_t route)
{
    if (route < w->handed_routes)
        return true;
    uint32_t n = MAX(route + 1, 2 * w->handed_routes);
    uint64_t *seq = realloc(w->handed_seq, n * sizeof *seq);
    if (!seq)
        return false;
    memset(seq + w->handed_routes, 0, (n - w->handed_routes) * sizeof *seq);
    w->handed_seq = seq;
    w->handed_routes = n;
    return true;
}

static void pause_for_memory(void)
{
    const struct timespec ts = {.tv_nsec = 50000000};
    nanosleep(&ts, NULL);
}

static void hand_over(gcw_writer *w, uint32_t route, uint64_t seq, struct sealed *s)
{
    pthread_mutex_lock(&w->lock);
    while (!handed_reserve(w, route)) {
        pthread_mutex_unlock(&w->lock);
        pause_for_memory();
        pthread_mutex_lock(&w->lock);
    }
    w->handed_seq[route] = seq;
    if (s) {
        *w->handed_last = s;
        w->handed_last = &s->next;
    }
    pthread_mutex_unlock(&w->lock);
    transport_wake(w->transport);
}

/* What was taken in advance against what it came to. */
static void settle_charge(gcw_writer *w, uint64_t taken, uint64_t charge)
{
    if (charge <= taken)
        budget_give(&w->budget, taken - charge);
    else
        atomic_fetch_add(&w->budget.used, charge - taken); /* a batch of bytes that all need six */
}

static void encode(gcw_writer *w, struct batch *batch)
{
    struct sealed *s;
    uint64_t bound = batch_sealed_bound(batch), seq = batch_seq(batch);
    uint32_t route = batch_route(batch);
    bool charged = room_take_for_seal(w, bound);
    enum protocol metrics = (enum protocol)atomic_load(&w->protocol);
    while (!sealer_seal(w->sealer, batch, metrics, &s)) {
        log_line(&w->log, GCW_LOG_ERROR, "out of memory while encoding a batch; trying again");
        pause_for_memory();
    }
    batch_free(w->batcher, batch);
    settle_charge(w, charged ? bound : 0, s ? s->charge : 0);
    room_signal(w);
    if (s) {
        atomic_fetch_add(&w->counters[s->signal].bytes_raw, s->raw_len);
        atomic_fetch_add(&w->counters[s->signal].exemplars_left_out, s->exemplars_unsaid);
    }
    if (s && !charged) { /* stopping with no room: the deadline has passed */
        writer_drop(w, s, "not sent before the writer was closed");
        s = NULL;
    }
    hand_over(w, route, seq, s);
}

/* Sealed even if it is only to be dropped: then its records and receipts are accounted for in one way. */
void *encoder_main(void *writer)
{
    gcw_writer *w = writer;
    while (!atomic_load(&w->stop_encoder)) {
        struct batch *batch = batcher_next(w->batcher, UINT64_MAX);
        if (batch)
            encode(w, batch);
    }
    batcher_close_all(w->batcher);
    for (struct batch *batch; (batch = batcher_next(w->batcher, 0));)
        encode(w, batch);
    return NULL;
}

/* ---- delivery ---------------------------------------------------------------------------------------------------- */

static void take_handed(gcw_writer *w)
{
    pthread_mutex_lock(&w->lock);
    struct sealed *s = w->handed_first;
    w->handed_first = NULL;
    w->handed_last = &w->handed_first;
    pthread_mutex_unlock(&w->lock);
    for (struct sealed *next; s; s = next) {
        next = s->next;
        s->next = NULL;
        if (!deliver_push(w->deliver, s))
            writer_drop(w, s, "out of memory");
    }
}

/* A route to which nothing was appended may still hold what an earlier writer left. */
static bool flush_done(const gcw_writer *w, const struct flush *f)
{
    for (uint32_t i = 0; i < f->routes; i++) {
        bool handed = f->seq[i] == 0 || (i < w->handed_routes && w->handed_seq[i] >= f->seq[i]);
        if (!handed || !deliver_done_through(w->deliver, i, f->seq[i]))
            return false;
    }
    return true;
}

/* The hand-over list is looked at too: a request between the threads is neither handed in vain nor in the queue. */
static void check_flushes(gcw_writer *w)
{
    bool any = false;
    pthread_mutex_lock(&w->lock);
    for (struct flush *f = w->handed_first ? NULL : w->flushes; f; f = f->next)
        if (!f->done && flush_done(w, f))
            any = f->done = true;
    if (any)
        pthread_cond_broadcast(&w->progress);
    pthread_mutex_unlock(&w->lock);
}

static void copy_gauges(gcw_writer *w)
{
    for (int i = 0; i < GCW_SIGNALS; i++) {
        struct deliver_gauges g;
        struct queue_gauges qg;
        deliver_gauges(w->deliver, (gcw_signal)i, &g);
        queue_gauges(w->queue, (gcw_signal)i, &qg);
        pthread_mutex_lock(&w->lock);
        w->counters[i].gauges = g;
        w->counters[i].queue_gauges = qg;
        pthread_mutex_unlock(&w->lock);
        atomic_store(&w->counters[i].bytes_sent, transport_bytes_sent(w->transport, (gcw_signal)i));
    }
    pthread_mutex_lock(&w->lock);
    w->disk_used = queue_disk_bytes(w->queue);
    w->disk_syncs = queue_syncs(w->queue);
    w->disk_failing = queue_disk_failing(w->queue);
    pthread_mutex_unlock(&w->lock);
}

/* Records turned away at append by a policy are reported here, many at a time. */
static void report_away(gcw_writer *w, gcw_signal signal, enum away why)
{
    static const char *const words[AWAYS] = {
        [AWAY_NEWEST] = "memory_limit reached (overflow=drop_newest)",
        [AWAY_WINDOW] = "older than logs_max_past or further ahead than logs_max_future (logs_window_policy=drop)",
    };
    struct counters *c = &w->counters[signal];
    uint64_t n = atomic_load(&c->turned_away[why]) - c->reported_away[why];
    if (n == 0)
        return;
    c->reported_away[why] += n;
    const gcw_report r = {.signal = signal, .outcome = GCW_DROPPED, .tenant = "", .records = n, .message = words[why]};
    if (!w->callbacks.report)
        return;
    pthread_mutex_lock(&w->callback_lock);
    w->callbacks.report(w->callbacks.user, &r);
    pthread_mutex_unlock(&w->callback_lock);
}

static void report_turned_away(gcw_writer *w)
{
    for (int i = 0; i < GCW_SIGNALS; i++)
        for (int why = 0; why < AWAYS; why++)
            report_away(w, (gcw_signal)i, (enum away)why);
}

static void answer_unsent(gcw_writer *w)
{
    static const struct answer no_memory = {.end = END_NOT_SENT, .text = "out of memory"};
    struct sealed *s = w->unsent;
    w->unsent = NULL;
    if (s)
        deliver_answer(w->deliver, s->route, &no_memory, clock_mono_ms(), clock_unix_ms());
}

static int wait_ms(uint64_t now, uint64_t next, uint64_t at_most)
{
    uint64_t ms = next > now ? next - now : 0;
    return (int)MIN(ms, at_most);
}

/* With a disk, RAM is a window of half the budget; somebody who waits for room gets it from there, or by the policy. */
static void keep_room(gcw_writer *w, uint64_t now)
{
    uint64_t used = atomic_load(&w->budget.used), half = w->budget.limit / 2;
    uint64_t wanted = atomic_exchange(&w->room.wanted, 0), freed = 0;
    if (w->disk.ctx && (wanted || used > half))
        freed = queue_make_room(w->queue, MAX(wanted, used > half ? used - half : 0), now);
    if (freed < wanted && w->config->overflow == OVERFLOW_DROP_OLDEST)
        deliver_evict(w->deliver, wanted - freed);
}

static void round_of_delivery(gcw_writer *w)
{
    uint64_t now = clock_mono_ms();
    take_handed(w);
    uint64_t commit = queue_commit(w->queue, now);
    if (transport_token_changed(w->transport, now))
        deliver_unpark(w->deliver, now);
    keep_room(w, now);
    report_turned_away(w);
    uint64_t next = MIN(deliver_run(w->deliver, now), commit);
    atomic_store(&w->protocol, (int)deliver_protocol(w->deliver));
    next = MIN(next, families_run(w, now));
    if (w->unsent) {
        answer_unsent(w);
        return;
    }
    check_flushes(w);
    copy_gauges(w);
    transport_wait(w->transport, wait_ms(now, next, MAX(w->config->token_check_ms, 100)));
    struct answer a;
    for (const struct sealed *s; (s = transport_take(w->transport, &a));)
        deliver_answer(w->deliver, s->route, &a, clock_mono_ms(), clock_unix_ms());
}

void *delivery_main(void *writer)
{
    gcw_writer *w = writer;
    while (!atomic_load(&w->stop_delivery))
        round_of_delivery(w);
    take_handed(w);
    report_turned_away(w);
    deliver_stop(w->deliver);
    queue_close(w->queue, clock_mono_ms());
    deliver_drop_all(w->deliver, "not delivered before the writer was closed");
    copy_gauges(w);
    return NULL;
}
