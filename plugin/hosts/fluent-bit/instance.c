#include "hosts/fluent-bit/instance.h"

#include <stdio.h>
#include <stdlib.h>

/* On the engine's own thread everything stands still while we wait: so long when all goes well, and so long while the
 * receiver keeps us waiting anyway. */
#define ENGINE_MS      1000
#define ENGINE_LATE_MS 20
#define EMIT_MOST      4 /* lines a flush hands to the host's log */

/* ---- opening -------------------------------------------------------------------------------------------------------
 */

static const char *ask_host(const char *key, void *user)
{
    const struct say *s = user;
    const char *value = s->api->output_get_property(key, s->output);
    return value && *value ? value : NULL;
}

static bool fail(struct instance *in, const gcw_error *err)
{
    say_line(&in->say, GCW_LOG_ERROR, "%s", err->text);
    return false;
}

/* What depends on the program we are in. */
static void settings_fit(struct instance *in)
{
    gcw_config *c = in->settings.config;
    const struct say *s = &in->say;
    gcw_error err;
    if (host_shadows_nghttp2() && strcmp(c->http_version, "1.1") != 0) {
        say_line(&in->say, strcmp(c->http_version, "2") == 0 ? GCW_LOG_WARN : GCW_LOG_DEBUG,
                 "http_version: 1.1 is spoken, as this program's nghttp2 would get between libcurl and its own");
        gcw_config_set(c, "http_version", "1.1", &err);
    }
    if (s->has_logs && s->api->output_log_check(s->output, FLB_LOG_DEBUG))
        gcw_config_set(c, "log_level", "debug", &err);
}

static enum ack ack_of(const struct settings *s)
{
    if (s->ack != ACK_AUTO)
        return s->ack;
    return *s->config->queue_dir && s->config->queue_mode == QUEUE_DURABLE ? ACK_DURABLE : ACK_DELIVERED;
}

static void say_start(struct instance *in, bool offered)
{
    static const char *const names[] = {"", "queued", "durable", "delivered"};
    const struct settings *s = &in->settings;
    say_line(&in->say, GCW_LOG_INFO, "gcw %s: %s%s%s, ack=%s", gcw_version(), s->uses[GCW_LOGS] ? "logs" : "",
             s->uses[GCW_LOGS] && s->uses[GCW_METRICS] ? " and " : "",
             s->uses[GCW_METRICS] ? "metrics (they come with Fluent Bit 4.2.3 and later)" : "", names[ack_of(s)]);
    if (s->uses[GCW_METRICS] && !offered)
        say_line(&in->say, GCW_LOG_WARN,
                 "metrics_url: this Fluent Bit hands no metrics to a module; 4.2.3 and later do, the host's own "
                 "prometheus_remote_write does in all");
}

static bool open_parts(struct instance *in, bool offered)
{
    const struct property_source from = {ask_host, &in->say};
    const gcw_callbacks callbacks = {.user = &in->say, .log = say_log};
    struct settings *s = &in->settings;
    gcw_error err = {0};
    if (properties_read(s, &from, say_warn, &in->say, &err) != GCW_OK)
        return fail(in, &err);
    settings_fit(in);
    if (!(in->writer = gcw_writer_open(s->config, &callbacks, &err)))
        return fail(in, &err);
    if (s->uses[GCW_LOGS] && !(in->logs = logs_new(in->writer, &s->logs, say_warn, &in->say, &err)))
        return fail(in, &err);
    if (s->uses[GCW_METRICS] && !(in->metrics = metrics_new(in->writer, &s->metrics, say_warn, &in->say, &err)))
        return fail(in, &err);
    say_start(in, offered);
    in->has_jobs = jobs_init(&in->jobs);
    if (in->has_jobs && worker_start(in))
        return true;
    error_set(&err, GCW_ERR_NOMEM, "no thread or memory");
    return fail(in, &err);
}

static void free_parts(struct instance *in)
{
    if (in->has_jobs)
        jobs_free(&in->jobs);
    properties_free(&in->settings);
    say_free(&in->say);
    free(in);
}

struct instance *instance_open(const struct flb_api *api, void *output, unsigned number, bool offered)
{
    struct instance *in = calloc(1, sizeof *in);
    if (!in || !say_init(&in->say, api, output, number)) {
        fputs("[error] [output:grafana_cloud] out of memory\n", stderr);
        free(in);
        return NULL;
    }
    in->engine = pthread_self();
    bool ok = open_parts(in, offered);
    say_emit(&in->say, SAY_LINES);
    if (ok)
        return in;
    logs_free(in->logs);
    metrics_free(in->metrics);
    gcw_writer_close(in->writer, 0, NULL);
    free_parts(in);
    return NULL;
}

/* ---- flushing ------------------------------------------------------------------------------------------------------
 */

/* A chunk begins with its first record, an array, or its first metrics context, a map. */
static gcw_signal signal_of(const void *data)
{
    uint8_t first = *(const uint8_t *)data;
    return (first >= 0x80 && first <= 0x8f) || first == 0xde || first == 0xdf ? GCW_METRICS : GCW_LOGS;
}

/* The host's own outputs take one signal and are not shown the other: `match *` should do no harm here either. */
static enum flb_answer pass_over(struct instance *in, gcw_signal signal)
{
    if (atomic_fetch_add(&in->passed_over[signal], 1) == 0)
        say_line(&in->say, GCW_LOG_WARN, "%s come here, and %s_url is not set: they are passed over",
                 gcw_signal_name(signal), gcw_signal_name(signal));
    return FLB_OK;
}

/* What the engine must not wait for is not promised unless it was asked for in words. */
static enum ack ack_here(struct instance *in, bool on_engine)
{
    enum ack ack = ack_of(&in->settings);
    if (in->settings.ack != ACK_AUTO || ack != ACK_DELIVERED || !on_engine)
        return ack;
    if (!atomic_exchange(&in->said_no_workers, true))
        say_line(&in->say, GCW_LOG_INFO,
                 "ack=queued, as the engine's own thread flushes; with `workers 1` it is delivered, "
                 "with queue_dir durable");
    return ACK_QUEUED;
}

static struct job *job_make(struct instance *in, const struct chunk *c, bool on_engine)
{
    static const gcw_receipt_level levels[] = {
        [ACK_DURABLE] = GCW_RECEIPT_DURABLE, [ACK_DELIVERED] = GCW_RECEIPT_DELIVERED};
    enum ack ack = ack_here(in, on_engine);
    struct job *job = jobs_new(&in->jobs, c);
    if (!job)
        return NULL;
    job->prompt = on_engine;
    if (ack == ACK_QUEUED)
        return job;
    job->receipt = gcw_receipt_new(in->writer, levels[ack], job_on_receipt, job, NULL);
    if (job->receipt)
        return job;
    jobs_discard(job);
    return NULL;
}

static enum flb_answer flush_chunk(struct instance *in, const struct chunk *c)
{
    bool on_engine = pthread_equal(pthread_self(), in->engine);
    struct job *job = jobs_attach(&in->jobs, c);
    if (!job && !(job = job_make(in, c, on_engine)))
        return FLB_RETRY;
    uint64_t wait = !on_engine             ? in->settings.ack_timeout_ms
                    : jobs_late(&in->jobs) ? ENGINE_LATE_MS
                                           : MIN(in->settings.ack_timeout_ms, (uint64_t)ENGINE_MS);
    return jobs_run(&in->jobs, c, job, wait);
}

enum flb_answer instance_flush(struct instance *in, const void *data, size_t size, const char *tag)
{
    if (size == 0)
        return FLB_OK;
    const struct chunk c = {signal_of(data), data, size, tag ? tag : ""};
    enum flb_answer answer = in->settings.uses[c.signal] ? flush_chunk(in, &c) : pass_over(in, c.signal);
    say_emit(&in->say, EMIT_MOST);
    return answer;
}

/* ---- closing -------------------------------------------------------------------------------------------------------
 */

static void say_end(struct instance *in, gcw_signal signal, const gcw_signal_stats *s)
{
    uint64_t lost = s->outcome[GCW_DROPPED] + s->outcome[GCW_EXPIRED] + s->outcome[GCW_REJECTED];
    if (in->passed_over[signal] > 0)
        say_line(&in->say, GCW_LOG_INFO, "%s: %llu chunks were passed over", gcw_signal_name(signal),
                 (unsigned long long)in->passed_over[signal]);
    if (!in->settings.uses[signal])
        return;
    say_line(&in->say, lost > 0 ? GCW_LOG_WARN : GCW_LOG_INFO,
             "%s: %llu records delivered, %llu rejected, %llu expired, %llu dropped, %llu left on disk",
             gcw_signal_name(signal), (unsigned long long)s->outcome[GCW_DELIVERED],
             (unsigned long long)s->outcome[GCW_REJECTED], (unsigned long long)s->outcome[GCW_EXPIRED],
             (unsigned long long)s->outcome[GCW_DROPPED], (unsigned long long)s->pending);
}

void instance_close(struct instance *in)
{
    gcw_stats final;
    worker_stop(in);
    logs_free(in->logs);
    metrics_free(in->metrics);
    gcw_writer_close(in->writer, (int)in->settings.shutdown_timeout_ms, &final);
    for (int i = 0; i < GCW_SIGNALS; i++)
        say_end(in, (gcw_signal)i, &final.signal[i]);
    say_emit(&in->say, SAY_LINES);
    free_parts(in);
}
