/* The loop over all targets, and the options. */
#include <stdlib.h>

#include "cli/scrape/scrape.h"

#define LOOK_MS    200   /* how often signals are looked for */
#define TIMEOUT_MS 10000 /* of a scrape, unless the interval is shorter */

/* ---- options ------------------------------------------------------------------------------------------------------
 */

static int add_target(struct scrape_options *s, const struct settings *settings, const char *spec)
{
    const char *scheme = strstr(spec, "://"), *eq = strchr(spec, '=');
    gcw_error err;
    if (s->count == SCRAPE_TARGETS_MAX)
        return settings_fail(settings, "--scrape: at most 256 targets");
    if (scheme && eq == spec)
        return settings_fail(settings, "--scrape: the job before '=' is empty");
    char *instance = url_instance(eq && scheme && eq < scheme ? eq + 1 : spec, &err);
    if (!instance)
        return settings_fail(settings, err.text);
    free(instance);
    s->target[s->count++] = spec;
    return 0;
}

static int set_rounds(struct scrape_options *s, const struct settings *settings, const char *arg)
{
    return parse_u64(view_of(arg), &s->rounds) && s->rounds > 0
               ? 0
               : settings_fail(settings, "--scrapes: a number from 1 on");
}

static int set_job(struct scrape_options *s, const struct settings *settings, const char *arg)
{
    s->job = arg;
    return *arg ? 0 : settings_fail(settings, "--job: empty");
}

static int option_apply(struct scrape_options *s, const struct settings *settings, const char *name, const char *arg)
{
    if (strcmp(name, "scrape") == 0)
        return add_target(s, settings, arg);
    if (strcmp(name, "interval") == 0)
        return settings_duration(settings, name, arg, &s->interval_ms);
    if (strcmp(name, "scrape-timeout") == 0)
        return settings_duration(settings, name, arg, &s->timeout_ms);
    if (strcmp(name, "job") == 0)
        return set_job(s, settings, arg);
    if (strcmp(name, "scrapes") == 0)
        return set_rounds(s, settings, arg);
    if (strcmp(name, "honor-labels") == 0)
        s->honor_labels = true;
    else if (strcmp(name, "own-timestamps") == 0)
        s->own_times = true;
    else if (strcmp(name, "keep-series") == 0)
        s->keep_series = true;
    return 0;
}

bool scrape_option(struct scrape_options *s, const struct settings *settings, const struct cli_option *o,
                   const char *arg, bool *failed)
{
    static const struct cli_option rows[] = {SCRAPE_OPTIONS};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, o->name) == 0) {
            *failed = option_apply(s, settings, o->name, arg) != 0;
            return true;
        }
    return false;
}

int scrape_prepare(struct scrape_options *s, struct push *p)
{
    const struct settings *settings = &p->settings;
    char age[32];
    if (s->interval_ms < 100)
        return settings_fail(settings, "--interval: at least 100ms");
    if (s->timeout_ms == 0)
        s->timeout_ms = MIN((uint64_t)TIMEOUT_MS, s->interval_ms);
    if (gcw_config_get(settings->config, "metrics_batch_age", age, sizeof age) != GCW_OK ||
        !parse_duration(view_of(age), &p->flush_ms))
        return settings_fail(settings, "metrics_batch_age can't be read");
    /* batches are closed between scrapes, by scrape_run(): each scrape is in one request, if it fits */
    return settings_key(settings, "metrics_batch_age", "1h");
}

/* ---- running ------------------------------------------------------------------------------------------------------
 */

struct loop {
    const struct scrape_options *options;
    struct push *push;
    struct fetcher *fetcher;
    struct target **target;
    size_t count;
    uint64_t unflushed_ms; /* since when something waits to be sent; 0 = nothing does */
};

static bool loop_open(struct loop *l)
{
    gcw_error err;
    l->fetcher = fetcher_new();
    l->target = calloc(l->options->count, sizeof(struct target *));
    for (; l->fetcher && l->target && l->count < l->options->count; l->count++)
        if (!(l->target[l->count] = target_new(l->options, l->push, l->fetcher, l->options->target[l->count], &err))) {
            settings_fail(&l->push->settings, err.text);
            return false;
        }
    return l->fetcher && l->target;
}

static void loop_close(struct loop *l)
{
    for (size_t i = 0; i < l->count; i++)
        target_free(l->target[i]);
    free(l->target);
    fetcher_free(l->fetcher);
}

static bool loop_done(const struct loop *l)
{
    bool done = true;
    for (size_t i = 0; i < l->count; i++)
        done &= target_done(l->target[i]);
    return done || push_interrupted();
}

/* Starts what is due; when the next target will be. */
static uint64_t start_due(struct loop *l, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < l->count; i++) {
        if (target_due(l->target[i]) <= now)
            target_start(l->target[i], now);
        next = MIN(next, target_due(l->target[i]));
    }
    return next;
}

/* Sends what waited for long enough, or what no other scrape will join before then. */
static uint64_t flush_due(struct loop *l, uint64_t now, uint64_t next_scrape)
{
    if (l->unflushed_ms == 0)
        return UINT64_MAX;
    uint64_t due = l->unflushed_ms + l->push->flush_ms;
    bool flying = false;
    for (size_t i = 0; i < l->count; i++)
        flying |= target_due(l->target[i]) == UINT64_MAX && !target_done(l->target[i]);
    if (now < due && (flying || next_scrape < due))
        return due;
    gcw_writer_flush(l->push->writer, 0);
    l->unflushed_ms = 0;
    return UINT64_MAX;
}

static void loop_turn(struct loop *l)
{
    uint64_t now = clock_mono_ms(), next = start_due(l, now);
    next = MIN(next, flush_due(l, now, next));
    struct target *t = fetcher_wait(l->fetcher, (int)MIN(next > now ? next - now : 0, (uint64_t)LOOK_MS));
    for (; t; t = fetcher_wait(l->fetcher, 0)) {
        target_finish(t);
        l->unflushed_ms = l->unflushed_ms ? l->unflushed_ms : clock_mono_ms();
    }
}

void scrape_run(const struct scrape_options *s, struct push *p)
{
    struct loop l = {.options = s, .push = p};
    bool ok = loop_open(&l);
    while (ok && !loop_done(&l))
        loop_turn(&l);
    for (size_t i = 0; ok && i < l.count && !s->keep_series; i++)
        target_end(l.target[i]);
    loop_close(&l);
    p->unreadable |= !ok;
}
