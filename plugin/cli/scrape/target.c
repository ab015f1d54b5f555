/* One target: what a scrape of it becomes. Its series keep their handles from scrape to scrape; one that is there no
 * longer ends with a stale marker, and all of them do when a scrape fails, as Prometheus has it. */
#include <stdlib.h>

#include "cli/scrape/scrape.h"

/* What is told of each scrape, as series of the target. */
enum report { REPORT_UP, REPORT_DURATION, REPORT_SCRAPED, REPORT_KEPT, REPORT_ADDED, REPORTS };

static const gcw_metadata reports[REPORTS] = {
    [REPORT_UP] = {GCW_TYPE_GAUGE, "up", "Whether the last scrape of the target went well.", NULL},
    [REPORT_DURATION] = {GCW_TYPE_GAUGE, "scrape_duration_seconds", "How long the scrape took.", NULL},
    [REPORT_SCRAPED] = {GCW_TYPE_GAUGE, "scrape_samples_scraped", "Samples that the target exposed.", NULL},
    [REPORT_KEPT] = {GCW_TYPE_GAUGE, "scrape_samples_post_metric_relabeling", "Samples that were kept of them.", NULL},
    [REPORT_ADDED] = {GCW_TYPE_GAUGE, "scrape_series_added", "Series that the scrape before did not have.", NULL},
};

struct target {
    const struct scrape_options *options;
    struct push *push;
    struct target_settings *settings;
    struct fetch *fetch;
    struct series_cache *series;
    gcw_series *report[REPORTS];
    gcw_label *labels; /* scratch of one series */
    size_t label_cap;
    char renamed[TARGET_LABELS][128];

    uint64_t offset_ms, due_ms, started_us;
    bool flying;
    unsigned failing; /* the kind of trouble; 0 = none */

    uint64_t scrape; /* number of the one at hand, from 1 */
    int64_t stamp_ms;
    uint64_t scraped, kept, added;
    bool garbled; /* there were lines that say nothing */
};

/* ---- to the writer ------------------------------------------------------------------------------------------------
 */

static gcw_status append_point(gcw_series *s, const gcw_point *point, gcw_error *err)
{
    gcw_status status;
    do
        status = gcw_point_append(s, point, NULL, err);
    while (status == GCW_ERR_TIMEOUT && !push_interrupted());
    return status;
}

static gcw_status append_bits(gcw_series *s, uint64_t bits, int64_t time_ms)
{
    gcw_status status;
    do
        status = gcw_sample_append_bits(s, bits, time_ms, NULL);
    while (status == GCW_ERR_TIMEOUT && !push_interrupted());
    return status;
}

static gcw_status append_sample(struct scraped *series, const struct exposition_sample *s, int64_t time_ms,
                                gcw_error *err)
{
    series->kind = !s->histogram ? KIND_SAMPLE : s->histogram->is_float ? KIND_FLOAT_HISTOGRAM : KIND_HISTOGRAM;
    if (!exposition_is_point(s))
        return append_bits(series->handle, s->value_bits, time_ms);
    struct exposition_sample sifted = *s;
    exemplars_sift(series, &sifted, time_ms);
    const gcw_point point = exposition_point(&sifted, time_ms);
    return append_point(series->handle, &point, err);
}

/* A series that was a histogram ends as one whose sum is the marker: as Prometheus has it, of the kind it was. */
static void append_marker(const struct scraped *s, int64_t time_ms)
{
    static const uint64_t stale = GCW_STALE_BITS;
    gcw_histogram h = {.is_float = s->kind == KIND_FLOAT_HISTOGRAM};
    memcpy(&h.sum, &stale, sizeof stale);
    const gcw_point point = {.time_ms = time_ms, .histogram = &h};
    if (s->kind == KIND_SAMPLE)
        append_bits(s->handle, GCW_STALE_BITS, time_ms);
    else
        append_point(s->handle, &point, NULL);
}

/* Samples of ours: what the policy of a full budget does to them is counted by the writer. */
static void append_report(struct target *t, enum report r, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (t->report[r])
        append_bits(t->report[r], bits, t->stamp_ms);
}

static void end_series(void *ctx, struct scraped *s)
{
    struct target *t = ctx;
    if (!s->ended && !s->own_time)
        append_marker(s, t->stamp_ms);
    s->ended = true;
}

static void drop_series(void *ctx, struct scraped *s)
{
    end_series(ctx, s);
    gcw_series_release(s->handle);
}

/* ---- labels -------------------------------------------------------------------------------------------------------
 */

static size_t label_at(const gcw_label *labels, size_t count, struct view name)
{
    for (size_t i = 0; i < count; i++)
        if (view_eq(view_make(labels[i].name, labels[i].name_len), name))
            return i;
    return count;
}

/* Adds a label of the target. A label of the sample with that name wins, or goes by another one. */
static void label_set(struct target *t, size_t *count, const char *name, const char *value, char renamed[128])
{
    size_t at = label_at(t->labels, *count, view_of(name));
    if (at < *count && t->settings->honor_labels)
        return;
    if (at < *count) {
        snprintf(renamed, 128, "exported_%s", name);
        while (label_at(t->labels, *count, view_of(renamed)) < *count && strlen(renamed) + 10 < 128) {
            memmove(renamed + 9, renamed, strlen(renamed) + 1);
            memcpy(renamed, "exported_", 9);
        }
        t->labels[at].name = renamed;
        t->labels[at].name_len = strlen(renamed);
    }
    t->labels[(*count)++] = (gcw_label)GCW_LABEL(name, value);
}

static gcw_series *series_open(struct target *t, const struct exposition_sample *s, gcw_error *err)
{
    const struct target_settings *own = t->settings;
    size_t count = s->count, most = count + own->label_count;
    if (t->label_cap < most) {
        gcw_label *more = realloc(t->labels, most * sizeof *more);
        if (!more) {
            error_set(err, GCW_ERR_NOMEM, "out of memory");
            return NULL;
        }
        t->labels = more;
        t->label_cap = most;
    }
    memcpy(t->labels, s->labels, count * sizeof *t->labels);
    for (size_t i = 0; i < own->label_count; i++)
        label_set(t, &count, own->labels[i].name, own->labels[i].value, t->renamed[i]);
    return gcw_series_intern(t->push->writer, t->labels, count, NULL, NULL, err);
}

/* ---- a scrape's body ----------------------------------------------------------------------------------------------
 */

static void on_malformed(void *ctx, uint64_t number, const char *why, struct view text)
{
    struct target *t = ctx;
    t->garbled = true;
    push_malformed(t->push, number, why, text);
}

static bool label_stands_twice(const struct exposition_sample *s)
{
    for (size_t i = 1; i < s->count; i++)
        if (label_at(s->labels, i, view_make(s->labels[i].name, s->labels[i].name_len)) < i)
            return true;
    return false;
}

/* The series of a sample, with what became of it this time; NULL when it was told and counted. */
static struct scraped *sample_series(struct target *t, const struct exposition_sample *s, bool *again)
{
    gcw_error err;
    bool fresh = false;
    struct scraped *have = series_find(t->series, s->series, t->scrape);
    err.text[0] = 0;
    if (!have && label_stands_twice(s)) { /* which of the two is meant nobody knows */
        on_malformed(t, s->number, "a label stands there twice", s->series);
        return NULL;
    }
    t->scraped++;
    if (!have) {
        gcw_series *handle = series_open(t, s, &err);
        have = handle ? series_add(t->series, s->series, handle, t->scrape, &fresh) : NULL;
        if (!have) {
            push_refused(t->push, s->number, *err.text ? err.text : "out of memory", s->series);
            return NULL;
        }
    }
    *again = !fresh && have->seen == t->scrape;
    t->added += fresh;
    have->seen = t->scrape;
    return have;
}

static void on_sample(void *ctx, const struct exposition_sample *s)
{
    struct target *t = ctx;
    bool own_time = s->has_time && !t->settings->own_timestamps, again;
    gcw_error err = {0};
    struct scraped *series = sample_series(t, s, &again);
    if (!series)
        return;
    int64_t time_ms = own_time ? s->time_ms : t->stamp_ms;
    enum moment moment = own_time ? series_moment(series, time_ms, s->value_bits, t->stamp_ms)
                         : again  ? MOMENT_PAST
                                  : MOMENT_NEW;
    if (moment == MOMENT_PAST)
        push_malformed(t->push, s->number,
                       own_time ? "not newer than what the series had before" : "the series stands there twice",
                       s->series);
    if (moment != MOMENT_NEW) { /* a receiver would refuse it, or has it */
        t->kept++;
        return;
    }
    series->own_time = own_time;
    series->ended = false;
    gcw_status status = append_sample(series, s, time_ms, &err);
    if (status == GCW_OK || status == GCW_ERR_DROPPED)
        t->kept++;
    else
        push_refused(t->push, s->number, *err.text ? err.text : gcw_strerror(status), s->series);
}

static void on_family(void *ctx, const struct exposition_family *f)
{
    push_metadata(((struct target *)ctx)->push, &(gcw_metadata){f->type, f->name, f->help, f->unit});
}

static bool body_read(struct target *t, const struct fetched *f)
{
    const struct exposition_handler h = {t, on_sample, on_family, on_malformed};
    struct exposition_options input = t->options->input;
    input.format = f->format;
    if (!t->settings->native_histograms) /* it answered with protobuf though it was not asked for it */
        input.histograms = HISTOGRAMS_CLASSIC;
    t->push->numbered = exposition_numbered(f->format);
    struct exposition *e = exposition_new(&input, &h);
    bool ok = e && exposition_feed(e, f->body.p, f->body.n) == GCW_OK && exposition_end(e) == GCW_OK;
    exposition_free(e);
    return ok;
}

/* ---- the scrape ---------------------------------------------------------------------------------------------------
 */

/* One line for a change of state, not for every scrape. */
static void tell(struct target *t, unsigned kind, const char *trouble)
{
    if (kind != t->failing && !t->push->quiet)
        fprintf(stderr, "gcw push metrics: %s: %s%s\n", t->settings->url, kind ? "scrape failed: " : "scraped again",
                kind ? trouble : "");
    t->failing = kind;
}

void target_start(struct target *t, uint64_t now_ms)
{
    t->scrape++;
    t->scraped = t->kept = t->added = 0;
    t->garbled = false;
    t->started_us = clock_mono_us();
    t->stamp_ms = schedule_stamp(gcw_now_ms(), t->settings->interval_ms, t->offset_ms);
    t->due_ms = schedule_next(t->due_ms, now_ms, t->settings->interval_ms);
    t->flying = fetch_start(t->fetch);
    if (!t->flying)
        tell(t, TROUBLE_NOMEM, "out of memory");
}

void target_finish(struct target *t)
{
    struct fetched f = fetch_result(t->fetch);
    t->flying = false;
    t->push->file = t->settings->url;
    atomic_fetch_add(&t->push->read_bytes, f.body.n);
    if (!f.trouble && !body_read(t, &f))
        f = (struct fetched){.trouble = "out of memory", .kind = TROUBLE_NOMEM};
    if (!f.trouble && t->garbled && t->scraped == 0) /* a login page, an error of a proxy */
        f = (struct fetched){.trouble = "not a line of the answer is a sample", .kind = TROUBLE_NO_SAMPLE};
    tell(t, f.kind, f.trouble);
    if (f.trouble)
        series_each(t->series, end_series, t);
    else
        series_sweep(t->series, t->scrape, drop_series, t);
    append_report(t, REPORT_UP, f.trouble ? 0 : 1);
    append_report(t, REPORT_DURATION, (double)(clock_mono_us() - t->started_us) / 1e6);
    append_report(t, REPORT_SCRAPED, (double)t->scraped);
    append_report(t, REPORT_KEPT, (double)t->kept);
    append_report(t, REPORT_ADDED, (double)t->added);
}

bool target_done(const struct target *t)
{
    return t->options->rounds > 0 && t->scrape >= t->options->rounds && !t->flying;
}

uint64_t target_due(const struct target *t)
{
    bool last = t->options->rounds > 0 && t->scrape >= t->options->rounds;
    return t->flying || last ? UINT64_MAX : t->due_ms;
}

void target_end(struct target *t)
{
    if (t->scrape == 0)
        return;
    int64_t now = gcw_now_ms();
    t->stamp_ms = MAX(now, t->stamp_ms + 1); /* behind what the series had last */
    series_each(t->series, end_series, t);
    for (int r = 0; r < REPORTS; r++)
        if (t->report[r])
            append_bits(t->report[r], GCW_STALE_BITS, t->stamp_ms);
}

/* ---- life ---------------------------------------------------------------------------------------------------------
 */

static bool reports_open(struct target *t, gcw_error *err)
{
    gcw_label labels[TARGET_LABELS + 1];
    size_t count = t->settings->label_count;
    for (size_t i = 0; i < count; i++)
        labels[i] = (gcw_label)GCW_LABEL(t->settings->labels[i].name, t->settings->labels[i].value);
    for (int r = 0; r < REPORTS; r++) {
        labels[count] = (gcw_label)GCW_LABEL("__name__", reports[r].family);
        if (!(t->report[r] = gcw_series_intern(t->push->writer, labels, count + 1, &reports[r], NULL, err)))
            return false;
    }
    return true;
}

/* Behind the last marker of a target with the same labels that was just ended. */
#define FIRST_AHEAD_MS 10

struct target *target_new(const struct scrape_options *s, struct push *p, struct fetcher *f,
                          struct target_settings *settings, gcw_error *err)
{
    struct target *t = calloc(1, sizeof *t);
    error_set(err, GCW_ERR_NOMEM, "out of memory");
    if (!t) {
        target_settings_free(settings);
        return NULL;
    }
    t->options = s;
    t->push = p;
    t->settings = settings;
    t->series = series_cache_new();
    t->offset_ms = hash_bytes(settings->url, strlen(settings->url), 0) % settings->interval_ms;
    t->due_ms = schedule_first(clock_mono_ms() + FIRST_AHEAD_MS, gcw_now_ms() + FIRST_AHEAD_MS, settings->interval_ms,
                               t->offset_ms);
    if (t->series && (t->fetch = fetch_new(f, settings, t)) && reports_open(t, err))
        return t;
    target_free(t);
    return NULL;
}

const struct target_settings *target_settings_of(const struct target *t) { return t->settings; }

static void release_series(void *ctx, struct scraped *s)
{
    (void)ctx;
    gcw_series_release(s->handle);
}

void target_free(struct target *t)
{
    if (!t)
        return;
    fetch_free(t->fetch);
    if (t->series)
        series_each(t->series, release_series, NULL);
    for (int r = 0; r < REPORTS; r++)
        if (t->report[r])
            gcw_series_release(t->report[r]);
    series_cache_free(t->series);
    target_settings_free(t->settings);
    free(t->labels);
    free(t);
}
