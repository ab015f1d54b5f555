/* Opening, flushing, closing. */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "writer/writer.h"

#define TENANTS_MAX 1024
#define OFFER_MS    (UINT64_C(3600) * 1000) /* a receiver that was updated is found out in the hour */

static void log_to_host(void *writer, gcw_log_level level, const char *text)
{
    gcw_writer *w = writer;
    pthread_mutex_lock(&w->callback_lock);
    w->callbacks.log(w->callbacks.user, level, text);
    pthread_mutex_unlock(&w->callback_lock);
}

static void deliver_log(void *writer, gcw_log_level level, const char *text)
{
    gcw_writer *w = writer;
    log_line(&w->log, level, "%s", text);
}

static void deliver_send(void *writer, const struct sealed *s, unsigned attempt)
{
    gcw_writer *w = writer;
    atomic_fetch_add(&w->counters[s->signal].requests, 1);
    if (!transport_send(w->transport, s, attempt)) {
        ENSURE(!w->unsent);
        w->unsent = (struct sealed *)(uintptr_t)s;
    }
}

static uint32_t deliver_random(void *writer)
{
    (void)writer;
    return random_u32();
}

/* ---- parts --------------------------------------------------------------------------------------------------------
 */

static bool locks_init(gcw_writer *w)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&w->callback_lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->progress, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&w->lock, NULL);
    pthread_mutex_init(&w->notes.lock, NULL);
    pthread_mutex_init(&w->groups.lock, NULL);
    return room_init(w);
}

/* The configured labels go through the same check as a series' own; what would be changed is refused here, at start. */
static gcw_status statics_load(gcw_writer *w, gcw_signal signal, gcw_error *err)
{
    struct label_rules *r = &w->rules[signal];
    size_t count;
    gcw_status status =
        config_labels(w->config->signal[signal].labels, &w->static_text[signal], &w->statics[signal], &count, err);
    if (status != GCW_OK || count == 0)
        return status;
    gcw_label *all = calloc(count + 1, sizeof *all);
    if (!all)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    memcpy(all, w->statics[signal], count * sizeof *all);
    all[count] = (gcw_label)GCW_LABEL("__name__", "x");
    struct label_scratch scratch = {0};
    struct label_rules strict = *r;
    gcw_error why;
    bool changed;
    strict.policy = LABELS_REJECT;
    if (labels_block(&strict, all, count + (signal == GCW_METRICS), &scratch, &changed, &why) != GCW_OK)
        status = error_set(err, GCW_ERR_INVALID, "%s_labels: %s", gcw_signal_name(signal), why.text);
    label_scratch_free(&scratch);
    free(all);
    r->statics = w->statics[signal];
    r->static_count = count;
    return status;
}

static gcw_status rules_load(gcw_writer *w, gcw_error *err)
{
    const gcw_config *c = w->config;
    for (int i = 0; i < GCW_SIGNALS; i++) {
        w->rules[i] = (struct label_rules){
            .signal = (gcw_signal)i,
            .policy = (enum label_policy)c->label_policy,
            .max_name_bytes = c->signal[i].max_label_name,
            .max_value_bytes = c->signal[i].max_label_value,
            .max_labels = c->signal[i].max_labels,
        };
        gcw_status status = statics_load(w, (gcw_signal)i, err);
        if (status != GCW_OK)
            return status;
    }
    return GCW_OK;
}

static bool chunk_memory_take(void *writer, uint64_t bytes, bool force)
{
    gcw_writer *w = writer;
    if (!force)
        return budget_take(&w->budget, bytes, w->seal_room + w->part_room);
    atomic_fetch_add(&w->budget.used, bytes);
    atomic_fetch_add(&w->forced, bytes);
    return true;
}

/* Whichever chunk comes back pays for what was forced: what counts is how far the budget was exceeded. */
static void chunk_memory_give(void *writer, uint64_t bytes)
{
    gcw_writer *w = writer;
    uint64_t forced = atomic_load(&w->forced);
    while (forced > 0 && !atomic_compare_exchange_weak(&w->forced, &forced, forced - MIN(forced, bytes)))
        ;
    budget_give(&w->budget, bytes);
    room_signal(w);
}

static bool front_open(gcw_writer *w)
{
    const gcw_config *c = w->config;
    const uint64_t most[GCW_SIGNALS] = {c->max_series, c->max_streams};
    struct batcher_config bc = {.max_destinations = TENANTS_MAX};
    uint64_t largest = 0;
    w->seed = (uint64_t)random_u32() << 32 | random_u32();
    for (int i = 0; i < GCW_SIGNALS; i++) {
        bc.limits[i] =
            (struct batch_limits){c->signal[i].batch_bytes, c->signal[i].batch_records, c->signal[i].batch_age_ms};
        bc.lanes[i] = (unsigned)c->signal[i].lanes;
        if (*c->signal[i].url)
            largest = MAX(largest, c->signal[i].batch_bytes);
        w->guard[i] = guard_new(most[i], c->interned_memory);
        w->table[i] = w->guard[i] ? intern_table_new(w->guard[i], w->seed, destination_assign) : NULL;
        if (!w->table[i])
            return false;
    }
    w->groups.table = intern_table_new(NULL, w->seed, destination_assign); /* the guard sees their series */
    if (c->metrics_protocol != METRICS_PROTOCOL_1 && !(w->symbols = intern_table_symbols(w->table[GCW_METRICS])))
        return false;
    w->seal_room = sealed_bound(largest);
    w->part_room = part_memory(PROTOCOL_LOKI_JSON, largest); /* 2.0 is a fraction of a batch's bytes in 1.0 */
    w->budget.limit = c->memory_limit;
    atomic_store(&w->budget.used, largest + sealed_bound(largest)); /* the encoder's scratch */
    const struct batcher_ops ops = {w, chunk_memory_take, chunk_memory_give};
    w->batcher = batcher_new(&bc, &ops);
    w->families = families_new(c->metrics_metadata_interval_ms);
    for (int i = 0; w->batcher && i < GCW_SIGNALS; i++)
        if (*c->signal[i].url && !(w->home[i] = batcher_destination(w->batcher, (gcw_signal)i, c->signal[i].tenant)))
            return false;
    const struct seal_config sc = {
        .logs = c->logs_encoding == LOGS_PROTOBUF  ? SEAL_SNAPPY
                : c->logs_compression == LOGS_GZIP ? SEAL_GZIP
                                                   : SEAL_PLAIN,
        .compression_level = (int)c->compression_level,
        .unique_times = c->logs_unique_times,
        .no_histograms = !c->metrics_native_histograms,
        .no_exemplars = !c->metrics_exemplars,
        .families = w->families,
        .symbols = w->symbols,
        .table = {w->table[GCW_METRICS], w->table[GCW_LOGS]},
        .groups = w->groups.table,
    };
    w->sealer = sealer_new(&sc);
    return w->batcher && w->families && w->sealer && w->groups.table;
}

static gcw_status back_open(gcw_writer *w, gcw_error *err)
{
    const gcw_config *c = w->config;
    struct net_config net;
    char *text = NULL;
    const char **headers = NULL;
    gcw_status status = config_net(c, &net, &text, &headers, err);
    if (status == GCW_OK && !(w->transport = transport_new(&net, &w->log, err)))
        status = err && err->code ? err->code : GCW_ERR_INVALID;
    free(text);
    free(headers);
    if (status != GCW_OK)
        return status;
    const struct deliver_config dc = {
        .backoff = {c->retry_min_ms, c->retry_max_ms, c->park_probe_ms},
        .max_age_ms = c->max_age_ms,
        .max_in_flight = (unsigned)c->max_connections,
        .spill_after_ms = c->queue_mode == QUEUE_SPILL ? c->queue_spill_after_ms : 0,
        .metrics_protocol = (enum metrics_protocol)c->metrics_protocol,
        .offer_ms = OFFER_MS,
        .split_rejected = c->metrics_split_rejected,
    };
    const struct deliver_ops ops = {
        w, deliver_send, writer_part, writer_settle, writer_release, deliver_random, deliver_log};
    if ((status = writer_queue_open(w, err)) != GCW_OK)
        return status;
    w->deliver = deliver_new(&dc, &ops, w->queue);
    if (w->deliver)
        atomic_store(&w->protocol, (int)deliver_protocol(w->deliver));
    return w->deliver ? writer_recover(w, err) : error_set(err, GCW_ERR_NOMEM, "out of memory");
}

/* The host's signal handlers must not run on our threads. */
static bool threads_start(gcw_writer *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_create(&w->encoder, NULL, encoder_main, w) == 0;
    if (ok && pthread_create(&w->delivery, NULL, delivery_main, w) != 0) {
        atomic_store(&w->stop_encoder, true);
        batcher_wake(w->batcher);
        pthread_join(w->encoder, NULL);
        ok = false;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (ok) {
        pthread_setname_np(w->encoder, "gcw-encode");
        pthread_setname_np(w->delivery, "gcw-deliver");
    }
    return ok;
}

static void writer_free(gcw_writer *w)
{
    batcher_free(w->batcher);
    deliver_free(w->deliver);
    queue_free(w->queue);
    disk_posix_close(&w->disk);
    transport_free(w->transport);
    sealer_free(w->sealer);
    families_free(w->families);
    intern_table_free(w->groups.table);
    buf_free(&w->family_text);
    for (int i = 0; i < GCW_SIGNALS; i++) {
        intern_table_free(w->table[i]);
        guard_free(w->guard[i]);
        free(w->static_text[i]);
        free(w->statics[i]);
    }
    for (size_t i = 0; i < SCRATCHES; i++) {
        label_scratch_free(&w->scratch[i].labels);
        label_scratch_free(&w->scratch[i].metadata);
    }
    free(w->handed_seq);
    room_destroy(w);
    pthread_mutex_destroy(&w->notes.lock);
    pthread_mutex_destroy(&w->groups.lock);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->progress);
    pthread_mutex_destroy(&w->callback_lock);
    gcw_config_free(w->config);
    free(w);
}

gcw_writer *gcw_writer_open(const gcw_config *config, const gcw_callbacks *callbacks, gcw_error *err)
{
    gcw_error unused;
    unused.code = GCW_OK;
    err = err ? err : &unused;
    *err = (gcw_error){0};
    if (!config) {
        error_set(err, GCW_ERR_INVALID, "no configuration given");
        return NULL;
    }
    if (gcw_config_check(config, err) != GCW_OK)
        return NULL;
    gcw_writer *w = calloc(1, sizeof *w);
    gcw_config *copy = w ? config_copy(config) : NULL;
    if (!copy) {
        free(w);
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return NULL;
    }
    w->config = copy;
    if (callbacks)
        w->callbacks = *callbacks;
    w->log = (struct logger){(gcw_log_level)copy->log_level, w->callbacks.log ? log_to_host : NULL, w};
    w->handed_last = &w->handed_first;
    gcw_status status = locks_init(w) ? rules_load(w, err) : GCW_ERR_NOMEM;
    if (status == GCW_OK && !front_open(w))
        status = error_set(err, GCW_ERR_NOMEM, "out of memory");
    if (status == GCW_OK)
        status = back_open(w, err);
    if (status == GCW_OK && !threads_start(w))
        status = error_set(err, GCW_ERR_NOMEM, "threads could not be started");
    if (status == GCW_OK)
        return w;
    writer_free(w);
    return NULL;
}

/* ---- flush and close -----------------------------------------------------------------------------------------------
 */

static void flush_unlink(gcw_writer *w, struct flush *f)
{
    struct flush **link = &w->flushes;
    while (*link != f)
        link = &(*link)->next;
    *link = f->next;
}

gcw_status gcw_writer_flush(gcw_writer *w, int timeout_ms)
{
    uint64_t deadline = deadline_after(timeout_ms);
    batcher_close_all(w->batcher);
    struct flush f = {.routes = batcher_routes(w->batcher)};
    f.seq = calloc(MAX(f.routes, 1), sizeof *f.seq);
    if (!f.seq)
        return GCW_ERR_NOMEM;
    for (uint32_t i = 0; i < f.routes; i++)
        f.seq[i] = batcher_last_seq(w->batcher, i);
    struct timespec ts;
    deadline_timespec(deadline, &ts);
    pthread_mutex_lock(&w->lock);
    f.next = w->flushes;
    // cppcheck-suppress autoVariables ; taken off the list before the function returns
    w->flushes = &f;
    pthread_mutex_unlock(&w->lock);
    transport_wake(w->transport);
    pthread_mutex_lock(&w->lock);
    while (!f.done && clock_mono_ms() < deadline)
        pthread_cond_timedwait(&w->progress, &w->lock, &ts);
    flush_unlink(w, &f);
    pthread_mutex_unlock(&w->lock);
    free(f.seq);
    return f.done ? GCW_OK : GCW_ERR_TIMEOUT;
}

gcw_status gcw_writer_close(gcw_writer *w, int timeout_ms, gcw_stats *final)
{
    if (!w)
        return GCW_OK;
    atomic_store(&w->closing, true);
    room_signal(w);
    gcw_writer_flush(w, timeout_ms);
    atomic_store(&w->stop_encoder, true);
    room_signal(w);
    batcher_wake(w->batcher);
    pthread_join(w->encoder, NULL);
    atomic_store(&w->stop_delivery, true);
    transport_wake(w->transport);
    pthread_join(w->delivery, NULL);
    if (final)
        gcw_writer_stats(w, final);
    bool lost = atomic_load(&w->lost_at_close) > 0;
    writer_free(w);
    return lost ? GCW_ERR_TIMEOUT : GCW_OK;
}
