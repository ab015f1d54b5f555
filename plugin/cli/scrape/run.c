/* The loop over all targets, and the options. SIGHUP makes it read its files of targets again: those that stand there
 * as before go on untouched, what is new begins, what is gone ends. */
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/scrape/scrape.h"
#include "config/config.h"

#define LOOK_MS 200 /* how often signals are looked for */

static volatile sig_atomic_t reload_asked;

static void on_hangup(int sig)
{
    (void)sig;
    reload_asked = 1;
}

/* ---- options ------------------------------------------------------------------------------------------------------
 */

bool scrape_init(struct scrape_options *s)
{
    *s = (struct scrape_options){0};
    return defaults_init(&s->defaults);
}

void scrape_free(struct scrape_options *s)
{
    target_list_free(&s->targets);
    target_settings_wipe(&s->defaults);
}

bool scrape_asked(const struct scrape_options *s) { return s->count > 0 || s->file_count > 0; }

static int set_rounds(struct scrape_options *s, const struct settings *settings, const char *arg)
{
    return parse_u64(view_of(arg), &s->rounds) && s->rounds > 0
               ? 0
               : settings_fail(settings, "--scrapes: a number from 1 on");
}

static int name_add(const char *name[TARGETS_MAX], size_t *count, const char *arg, const struct settings *settings)
{
    if (*count == TARGETS_MAX)
        return settings_fail(settings, "--scrape, --targets: too many");
    name[(*count)++] = arg;
    return 0;
}

bool scrape_option(struct scrape_options *s, const struct settings *settings, const struct cli_option *o,
                   const char *arg, bool *failed)
{
    *failed = false;
    if (target_option(&s->defaults, settings, o->name, arg, failed))
        return true;
    if (strcmp(o->name, "scrape") == 0)
        *failed = name_add(s->target, &s->count, arg, settings) != 0;
    else if (strcmp(o->name, "targets") == 0)
        *failed = name_add(s->file, &s->file_count, arg, settings) != 0;
    else if (strcmp(o->name, "scrapes") == 0)
        *failed = set_rounds(s, settings, arg) != 0;
    else if (strcmp(o->name, "keep-series") == 0)
        s->keep_series = true;
    else
        return false;
    return true;
}

/* ---- which targets there are --------------------------------------------------------------------------------------
 */

static gcw_status option_add(struct scrape_options *s, struct target_list *l, const char *spec, gcw_error *err)
{
    const char *scheme = strstr(spec, "://"), *eq = strchr(spec, '=');
    const bool named = scheme && eq && eq < scheme;
    struct target_settings *t = target_settings_new(&s->defaults, view_of(named ? eq + 1 : spec));
    if (!t)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    if (!named || target_settings_put(t, view_of("job"), view_make(spec, (size_t)(eq - spec)), err) == GCW_OK)
        return target_list_add(l, t, &s->secrets, err);
    target_settings_free(t);
    return error_set(err, GCW_ERR_INVALID, "the job before '=' is empty");
}

static gcw_status file_add(struct scrape_options *s, struct target_list *l, const char *path, gcw_error *err)
{
    struct buf text = {0};
    struct stat st;
    gcw_status status = config_file_read(path, &text, &st, err);
    if (status == GCW_OK)
        status = targets_read(l, &s->defaults, &s->secrets, path, buf_view(&text), err);
    buf_free(&text);
    return status;
}

/* All of them, as the command line and the files say now. */
static gcw_status targets_gather(struct scrape_options *s, struct target_list *l, gcw_error *err)
{
    gcw_error why = {0};
    for (size_t i = 0; i < s->count; i++) {
        gcw_status status = option_add(s, l, s->target[i], &why);
        if (status != GCW_OK)
            return error_set(err, status, "--scrape: %s", why.text);
    }
    for (size_t i = 0; i < s->file_count; i++) {
        gcw_status status = file_add(s, l, s->file[i], err);
        if (status != GCW_OK)
            return status;
    }
    return l->count > 0 ? GCW_OK : error_set(err, GCW_ERR_INVALID, "--targets: no target in any file");
}

/* Once, however many there are: it is no secret that nobody looks. */
static void warn_insecure(const struct target_list *l, bool *warned)
{
    for (size_t i = 0; i < l->count && !*warned; i++)
        if (l->at[i]->insecure) {
            fprintf(stderr, "gcw push metrics: insecure: certificates are not checked, of %s for one\n", l->at[i]->url);
            *warned = true;
        }
}

int scrape_prepare(struct scrape_options *s, struct push *p)
{
    const struct settings *settings = &p->settings;
    char age[32];
    gcw_error err;
    s->secrets.log.level = MIN((gcw_log_level)settings->config->log_level, GCW_LOG_INFO);
    if (s->file_count > 0)
        sigaction(SIGHUP, &(const struct sigaction){.sa_handler = on_hangup}, NULL);
    if (targets_gather(s, &s->targets, &err) != GCW_OK)
        return settings_fail(settings, err.text);
    warn_insecure(&s->targets, &s->warned);
    if (gcw_config_get(settings->config, "metrics_batch_age", age, sizeof age) != GCW_OK ||
        !parse_duration(view_of(age), &p->flush_ms))
        return settings_fail(settings, "metrics_batch_age can't be read");
    /* batches are closed between scrapes, by scrape_run(): each scrape is in one request, if it fits */
    return settings_key(settings, "metrics_batch_age", "1h");
}

/* ---- running ------------------------------------------------------------------------------------------------------
 */

struct loop {
    struct scrape_options *options;
    struct push *push;
    struct fetcher *fetcher;
    struct target *target[TARGETS_MAX];
    size_t count;
    uint64_t unflushed_ms; /* since when something waits to be sent; 0 = nothing does */
};

static void note_unflushed(struct loop *l) { l->unflushed_ms = l->unflushed_ms ? l->unflushed_ms : clock_mono_ms(); }

/* Starts what the list holds, and empties it. */
static bool targets_begin(struct loop *l, struct target_list *list)
{
    gcw_error err;
    bool ok = true;
    for (size_t i = 0; i < list->count; i++) {
        struct target_settings *t = list->at[i];
        list->at[i] = NULL;
        struct target *made = t ? target_new(l->options, l->push, l->fetcher, t, &err) : NULL;
        if (made)
            l->target[l->count++] = made;
        else if (t)
            ok = settings_fail(&l->push->settings, err.text) == 0;
    }
    target_list_free(list);
    return ok;
}

static bool loop_open(struct loop *l) { return (l->fetcher = fetcher_new()) && targets_begin(l, &l->options->targets); }

static void loop_close(struct loop *l)
{
    for (size_t i = 0; i < l->count; i++)
        target_free(l->target[i]);
    fetcher_free(l->fetcher);
}

/* ---- the files once more ------------------------------------------------------------------------------------------
 */

/* Takes what is equal to the target's settings out of the list; false = there is none. */
static bool stays(const struct target *t, struct target_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->at[i] && target_settings_equal(target_settings_of(t), list->at[i])) {
            target_settings_free(list->at[i]);
            list->at[i] = NULL;
            return true;
        }
    return false;
}

static void reload(struct loop *l)
{
    struct target_list list = {0};
    gcw_error err;
    size_t kept = 0, had = l->count;
    reload_asked = 0;
    if (targets_gather(l->options, &list, &err) != GCW_OK) {
        target_list_free(&list);
        fprintf(stderr, "gcw push metrics: %s; the targets stay as they were\n", err.text);
        return;
    }
    warn_insecure(&list, &l->options->warned);
    const size_t wanted = list.count;
    for (size_t i = 0; i < had; i++) {
        struct target *t = l->target[i];
        if (stays(t, &list)) {
            l->target[kept++] = t;
            continue;
        }
        target_end(t);
        target_free(t);
        note_unflushed(l);
    }
    l->count = kept;
    targets_begin(l, &list);
    if (!l->push->quiet)
        fprintf(stderr, "gcw push metrics: targets read again: %zu go on, %zu begin, %zu ended\n", kept, wanted - kept,
                had - kept);
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
    if (reload_asked)
        reload(l);
    uint64_t now = clock_mono_ms(), next = start_due(l, now);
    next = MIN(next, flush_due(l, now, next));
    struct target *t = fetcher_wait(l->fetcher, (int)MIN(next > now ? next - now : 0, (uint64_t)LOOK_MS));
    for (; t; t = fetcher_wait(l->fetcher, 0)) {
        target_finish(t);
        note_unflushed(l);
    }
}

void scrape_run(struct scrape_options *s, struct push *p)
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
