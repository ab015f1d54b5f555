/* Metrics chunks: options, and the walk from chunk to values. */
#include <stdio.h>
#include <stdlib.h>

#include "config/config.h"
#include "hosts/fluent-bit/metrics_private.h"

#define IDLE_DEFAULT_MS (15 * 60 * 1000)
#define SWEEP_MS        (60 * 1000) /* at most */
#define WARN_MS         (60 * 1000)

/* ---- options --------------------------------------------------------------------------------------------------------
 */

static const char *const sample_times[] = {"auto", "source", "newest", NULL};
static const char *const deltas[] = {"cumulative", "keep", NULL};
static const char *const resources[] = {"identity", "target_info", "none", NULL};

/* The position of `value` among the words; the first when it is not given. */
static gcw_status word_read(const char *key, const char *value, const char *const *words, unsigned *out, gcw_error *err)
{
    char allowed[200] = "";
    size_t n = 0;
    *out = 0;
    if (!value)
        return GCW_OK;
    for (unsigned i = 0; words[i]; i++) {
        if (strcasecmp(value, words[i]) == 0) {
            *out = i;
            return GCW_OK;
        }
        n += (size_t)snprintf(allowed + n, sizeof allowed - n, "%s%s", i ? "|" : "", words[i]);
    }
    return error_set(err, GCW_ERR_INVALID, "%s: \"%.100s\" is not one of %s", key, value, allowed);
}

/* "name value, name value" to the "name=value,name=value" of our own label lists. */
static char *add_label_list(const char *text)
{
    char *out = malloc(strlen(text) + 1), *p = out;
    bool named = false;
    for (; out && *text; text++) {
        if (!named && (*text == ' ' || *text == '\t')) {
            if (p == out || p[-1] == ',')
                continue;
            *p++ = '=';
            named = true;
            continue;
        }
        named = *text == ',' && !(p > out && p[-1] == '\\') ? false : named || *text == '=';
        *p++ = *text;
    }
    if (out)
        *p = 0;
    return out;
}

static gcw_status add_label_read(struct metrics *m, const char *text, gcw_error *err)
{
    if (!text)
        return GCW_OK;
    char *list = add_label_list(text);
    if (!list)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    gcw_error why = {0};
    size_t items = 1;
    for (const char *p = list; *p; p++)
        items += *p == ',' && !(p > list && p[-1] == '\\');
    gcw_status status = config_labels(list, &m->add_text, &m->add, &m->add_count, &why);
    if (status == GCW_OK && m->add_count != items)
        status = GCW_ERR_INVALID; /* a name without a value is left out there */
    free(list);
    if (status == GCW_ERR_INVALID)
        return error_set(
            err, status,
            "add_label: \"%.100s\": name and value are wanted, as in \"env prod, zone a\" (a comma within a "
            "value is \\,)",
            text);
    return status == GCW_OK ? GCW_OK : error_set(err, status, "%s", why.text);
}

static gcw_status options_read(struct metrics *m, const struct metrics_options *o, gcw_error *err)
{
    unsigned word[3];
    const struct {
        const char *key, *value;
        const char *const *words;
    } rows[] = {{"sample_time", o->sample_time, sample_times},
                {"delta", o->delta, deltas},
                {"resource_attributes", o->resource_attributes, resources}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (word_read(rows[i].key, rows[i].value, rows[i].words, &word[i], err) != GCW_OK)
            return GCW_ERR_INVALID;
    m->sample_time = (enum sample_time)word[0];
    m->delta = (enum delta_policy)word[1];
    m->le_format = o->le_format;
    m->resource = (enum resource_policy)word[2];
    m->idle_ms = IDLE_DEFAULT_MS;
    if (o->series_idle && (!parse_duration(view_of(o->series_idle), &m->idle_ms) || m->idle_ms < 1000))
        return error_set(err, GCW_ERR_INVALID, "series_idle: \"%.100s\" is not a duration of 1s or more",
                         o->series_idle);
    return add_label_read(m, o->add_label, err);
}

struct metrics *metrics_new(gcw_writer *writer, const struct metrics_options *options,
                            void (*warn)(void *user, const char *text), void *user, gcw_error *err)
{
    struct metrics *m = calloc(1, sizeof *m);
    struct exp_bound *bounds = calloc(EXP_BOUNDS_MAX, sizeof *bounds);
    if (!m || !bounds) {
        free(m);
        free(bounds);
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return NULL;
    }
    m->writer = writer;
    m->warn = warn;
    m->user = user;
    m->bounds = bounds;
    m->swept_ms = clock_mono_ms();
    if (options_read(m, options, err) != GCW_OK) {
        metrics_free(m);
        return NULL;
    }
    return m;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    keyed_clear(&m->sources, source_gone, m);
    keyed_clear(&m->states, state_gone, m);
    exp_free(&m->exp);
    buf_free(&m->text);
    buf_free(&m->key);
    free(m->labels.at);
    free(m->bounds);
    free(m->add_text);
    free(m->add);
    free(m);
}

/* ---- keeping house
 * ---------------------------------------------------------------------------------------------------- */

/* What may go in a later try is for the caller; everything else is counted, and said once a minute. */
gcw_status refuse(struct metrics *m, gcw_status status, const char *why)
{
    if (status == GCW_ERR_FULL || status == GCW_ERR_TIMEOUT || status == GCW_ERR_NOMEM || status == GCW_ERR_CLOSED)
        return status;
    m->tally->refused++;
    m->refused++;
    if (m->warn && (m->warned_ms == 0 || m->now_ms - m->warned_ms >= WARN_MS)) {
        char text[GCW_ERROR_TEXT + 64];
        snprintf(text, sizeof text, "%llu samples were refused, the last one: %s", (unsigned long long)m->refused, why);
        m->warned_ms = m->now_ms;
        m->refused = 0;
        m->warn(m->user, text);
    }
    return GCW_OK;
}

/* Series, metrics and sources not seen for a while; then the states nothing leads to any more. */
static void sweep(struct metrics *m)
{
    if (m->now_ms - m->swept_ms < MIN(m->idle_ms, (uint64_t)SWEEP_MS))
        return;
    m->swept_ms = m->now_ms;
    uint64_t before = m->now_ms > m->idle_ms ? m->now_ms - m->idle_ms : 0;
    keyed_sweep(&m->sources, before, NULL, source_gone, m);
    for (size_t i = 0; i < m->sources.cap; i++)
        for (struct keyed *s = m->sources.slot[i]; s; s = s->chain) {
            struct keyed_table *metrics = &((struct source *)s)->metrics;
            keyed_sweep(metrics, before, NULL, metric_gone, m);
            for (size_t k = 0; k < metrics->cap; k++)
                for (struct keyed *metric = metrics->slot[k]; metric; metric = metric->chain)
                    keyed_sweep(&((struct metric *)metric)->series, before, NULL, series_gone, m);
        }
    keyed_sweep(&m->states, UINT64_MAX, state_in_use, state_gone, m);
}

/* ---- chunks
 * ----------------------------------------------------------------------------------------------------------- */

static gcw_status metric_through(struct metrics *m, struct cmetrics_metric *in)
{
    struct metric *metric;
    gcw_status status = metric_enter(m, in->meta, &metric);
    m->series_walk = (struct keyed_walk){0};
    for (uint32_t i = 0; i < in->values.count && status == GCW_OK; i++) {
        struct cmetrics_value v;
        if (!cmetrics_value_read(&in->values.at, &v))
            return GCW_OK; /* cannot be: the context was sound */
        m->points_done = m->values_done == m->resume.values ? m->resume.points : 0;
        if (m->values_done >= m->resume.values) {
            status = value_emit(m, metric, &v);
            if (status != GCW_OK)
                break;
            m->resume.points = 0;
        }
        m->values_done++;
    }
    return status;
}

static gcw_status context_through(struct metrics *m)
{
    gcw_status status = source_enter(m);
    m->metric_walk = (struct keyed_walk){0};
    m->values_done = 0;
    m->points_done = 0;
    for (uint32_t i = 0; i < m->context.metrics.count && status == GCW_OK; i++) {
        struct cmetrics_metric metric;
        if (!cmetrics_metric_read(&m->context.metrics.at, &metric))
            break;
        status = metric_through(m, &metric);
    }
    return status == GCW_OK ? source_tell(m) : status;
}

/* Is this the context in which the last call had to stop? */
static void resume_check(struct metrics *m, struct view context)
{
    if (m->resume.pending && m->resume.hash == hash_bytes(context.p, context.n, 0))
        m->resume.pending = false;
    else
        m->resume = (struct resume){0};
}

/* Out of memory on the way to where the last call stopped: that stays the place. */
static void resume_note(struct metrics *m, struct view context)
{
    m->resume.hash = hash_bytes(context.p, context.n, 0);
    m->resume.pending = true;
    if (m->values_done < m->resume.values)
        return;
    m->resume.values = m->values_done;
    m->resume.points = m->points_done;
}

gcw_status metrics_chunk(struct metrics *m, const void *data, size_t size, const char *tag, gcw_receipt *receipt,
                         size_t *done, struct chunk_count *count)
{
    struct msgpack at = msgpack_over(size ? data : "", size);
    (void)tag;
    *done = 0;
    *count = (struct chunk_count){0};
    m->now_ms = clock_mono_ms();
    m->receipt = receipt;
    m->tally = count;
    m->source_walk = (struct keyed_walk){0};
    sweep(m);
    while (!msgpack_at_end(&at)) {
        const char *start = (const char *)at.p;
        enum cmetrics_found found = cmetrics_context_read(&at, &m->context);
        if (found == CMETRICS_DAMAGED)
            at.p = at.end;
        if (found != CMETRICS_CONTEXT) {
            count->skipped++;
            continue;
        }
        struct view context = view_make(start, (size_t)((const char *)at.p - start));
        resume_check(m, context);
        gcw_status status = context_through(m);
        if (status != GCW_OK) {
            resume_note(m, context);
            return status;
        }
        m->resume = (struct resume){0};
        *done = (size_t)((const uint8_t *)at.p - (const uint8_t *)data);
    }
    *done = size;
    return GCW_OK;
}
