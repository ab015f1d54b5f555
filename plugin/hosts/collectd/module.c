/* The callbacks, and the one writer they share. collectd reads its configuration, then forks into the background, then
 * calls init: the writer's threads start there. It stops its own threads before shutdown, but not those of its plugins:
 * a notification may come at any time, so the lock. */
#include "hosts/collectd/host.h"

#define FLUSH_MS    1000 /* how long FLUSH waits for answers */
#define COMPLAIN_MS 60000

static struct {
    pthread_rwlock_t lock; /* of `writer`, against shutdown */
    gcw_writer *writer;
    struct table *table;
    struct settings settings;
    bool configured, registered;
    _Atomic uint64_t complained_ms, complaints;
} self = {.lock = PTHREAD_RWLOCK_INITIALIZER};

/* ---- log --------------------------------------------------------------------------------------------------------- */

static void on_log(void *user, gcw_log_level level, const char *text)
{
    static const int severity[] = {LOG_ERR, LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    (void)user;
    plugin_log(severity[level], PLUGIN_NAME " plugin: %s", text);
}

static int fail(const char *text)
{
    plugin_log(LOG_ERR, PLUGIN_NAME " plugin: %s", text);
    return -1;
}

/* What goes wrong for one value goes wrong for many: once a minute, with a count. */
static void complain(const char *what, const gcw_error *err)
{
    uint64_t now = clock_mono_ms(), last = atomic_load(&self.complained_ms);
    atomic_fetch_add(&self.complaints, 1);
    if ((last && now - last < COMPLAIN_MS) || !atomic_compare_exchange_strong(&self.complained_ms, &last, now))
        return;
    plugin_log(LOG_WARNING, PLUGIN_NAME " plugin: %s not taken: %s (%" PRIu64 " since the last such line)", what,
               *err->text ? err->text : gcw_strerror(err->code), atomic_exchange(&self.complaints, 0));
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

static int on_write(const data_set_t *ds, const value_list_t *vl, user_data_t *ud)
{
    gcw_error err; /* of half a KiB: not cleared for every value */
    struct table *t = self.table;
    (void)ud;
    if (!t || ds->ds_num != vl->values_len)
        return -1;
    err.text[0] = 0;
    gcw_status status = table_write(t, ds, vl, &err);
    if (status == GCW_OK || status == GCW_ERR_DROPPED)
        return 0;
    err.code = status;
    if (status != GCW_ERR_CLOSED)
        complain("value", &err);
    return -1;
}

static int on_missing(const value_list_t *vl, user_data_t *ud)
{
    (void)ud;
    if (self.table)
        table_forget(self.table, vl);
    return 0;
}

static int on_notification(const notification_t *n, user_data_t *ud)
{
    gcw_error err = {.code = GCW_OK};
    gcw_status status = GCW_ERR_CLOSED;
    (void)ud;
    pthread_rwlock_rdlock(&self.lock);
    if (self.writer)
        status = notice_write(self.writer, n, &err);
    pthread_rwlock_unlock(&self.lock);
    if (status == GCW_OK || status == GCW_ERR_DROPPED)
        return 0;
    err.code = status;
    complain("notification", &err);
    return -1;
}

static int on_flush(cdtime_t timeout, const char *identifier, user_data_t *ud)
{
    (void)timeout, (void)identifier, (void)ud; /* everything is sent: a batch holds many identifiers */
    pthread_rwlock_rdlock(&self.lock);
    gcw_status status = self.writer ? gcw_writer_flush(self.writer, FLUSH_MS) : GCW_OK;
    pthread_rwlock_unlock(&self.lock);
    return status == GCW_OK ? 0 : -1;
}

/* ---- ReportStats ------------------------------------------------------------------------------------------------- */

static void stat_dispatch(const char *signal, const char *type, const char *instance, value_t value)
{
    value_list_t vl = VALUE_LIST_INIT;
    vl.values = &value;
    vl.values_len = 1;
    snprintf(vl.plugin, sizeof vl.plugin, "%s", PLUGIN_NAME);
    snprintf(vl.plugin_instance, sizeof vl.plugin_instance, "%s", signal);
    snprintf(vl.type, sizeof vl.type, "%s", type);
    snprintf(vl.type_instance, sizeof vl.type_instance, "%s", instance);
    plugin_dispatch_values(&vl);
}

static int on_read(void)
{
    gcw_stats stats;
    pthread_rwlock_rdlock(&self.lock);
    bool open = self.writer != NULL;
    if (open)
        gcw_writer_stats(self.writer, &stats);
    pthread_rwlock_unlock(&self.lock);
    for (int i = 0; open && i < GCW_SIGNALS; i++) {
        const char *name = gcw_signal_name((gcw_signal)i);
        const gcw_signal_stats *g = &stats.signal[i];
        for (int k = 0; k < GCW_OUTCOMES; k++)
            stat_dispatch(name, "derive", gcw_outcome_name((gcw_outcome)k),
                          (value_t){.derive = (int64_t)g->outcome[k]});
        stat_dispatch(name, "derive", "refused", (value_t){.derive = (int64_t)g->refused});
        stat_dispatch(name, "derive", "retries", (value_t){.derive = (int64_t)g->retries});
        stat_dispatch(name, "gauge", "pending", (value_t){.gauge = (double)g->pending});
        stat_dispatch(name, "gauge", "parked", (value_t){.gauge = g->parked});
    }
    return 0;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void callbacks_register(void)
{
    if (settings_has(&self.settings, "metrics_url")) {
        plugin_register_write(PLUGIN_NAME, on_write, NULL);
        plugin_register_missing(PLUGIN_NAME, on_missing, NULL);
    }
    if (settings_has(&self.settings, "logs_url"))
        plugin_register_notification(PLUGIN_NAME, on_notification, NULL);
    if (self.settings.report_stats)
        plugin_register_read(PLUGIN_NAME, on_read);
    plugin_register_flush(PLUGIN_NAME, on_flush, NULL);
}

/* A bad value stops collectd's start: it says which and what is allowed. (After a failure in init collectd would go on
 * without us.) */
static int on_config(oconfig_item_t *block)
{
    gcw_error err;
    if (!self.configured && settings_new(&self.settings, &err) != GCW_OK)
        return fail(err.text);
    self.configured = true;
    if (settings_read(&self.settings, block, &err) != GCW_OK || gcw_config_check(self.settings.config, &err) != GCW_OK)
        return fail(err.text);
    return 0;
}

static int on_init(void)
{
    gcw_error err;
    const gcw_callbacks callbacks = {.log = on_log};
    if (self.writer)
        return 0;
    if (!self.configured)
        return fail("no <Plugin " PLUGIN_NAME "> block: give at least a URL in <Metrics> or <Logs>");
    gcw_writer *w = NULL;
    if (settings_finish(&self.settings, &err) == GCW_OK)
        w = gcw_writer_open(self.settings.config, &callbacks, &err);
    if (!w)
        return fail(err.text);
    if (!(self.table = table_new(w))) {
        gcw_writer_close(w, 0, NULL);
        return fail("out of memory");
    }
    self.writer = w;
    callbacks_register();
    return 0;
}

static int on_shutdown(void)
{
    gcw_stats final;
    pthread_rwlock_wrlock(&self.lock);
    gcw_writer *w = self.writer;
    self.writer = NULL;
    pthread_rwlock_unlock(&self.lock);
    settings_free(&self.settings);
    if (!w)
        return 0;
    table_close(self.table);
    if (gcw_writer_close(w, (int)self.settings.shutdown_timeout_ms, &final) == GCW_OK)
        return 0;
    plugin_log(LOG_ERR,
               PLUGIN_NAME " plugin: lost at shutdown: %" PRIu64 " values, %" PRIu64
                           " notifications that could not be delivered in time; QueueDir would have kept them",
               final.signal[GCW_METRICS].outcome[GCW_DROPPED], final.signal[GCW_LOGS].outcome[GCW_DROPPED]);
    return -1;
}

GCW_API void module_register(void)
{
    plugin_register_complex_config(PLUGIN_NAME, on_config);
    plugin_register_init(PLUGIN_NAME, on_init);
    plugin_register_shutdown(PLUGIN_NAME, on_shutdown);
}
