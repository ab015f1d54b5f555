/* Metrics, their series, and the handles of those: made when first seen, let go when not seen for a while. */
#include <math.h>
#include <stdlib.h>

#include "hosts/fluent-bit/metrics_private.h"
#include "model/model.h" /* what a metric name becomes, for its metadata */

/* ---- labels ---------------------------------------------------------------------------------------------------------
 */

bool label_add(struct metrics *m, struct view name, struct view value)
{
    struct label_list *l = &m->labels;
    if (name.n == 0 || value.n == 0)
        return true;
    for (size_t i = 0; i < l->n; i++)
        if (view_eq(view_make(l->at[i].name, l->at[i].name_len), name))
            return true;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 32;
        gcw_label *at = realloc(l->at, cap * sizeof *at);
        if (!at)
            return false;
        l->at = at;
        l->cap = cap;
    }
    l->at[l->n++] = (gcw_label){name.p, name.n, value.p, value.n};
    return true;
}

bool labels_add(struct metrics *m, const gcw_label *labels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!label_add(m, view_make(labels[i].name, labels[i].name_len),
                       view_make(labels[i].value, labels[i].value_len)))
            return false;
    return true;
}

/* Values go with the keys of the metric by position; what is nil, empty or missing is absent. */
static bool labels_add_own(struct metrics *m, const struct metric *metric, struct view labels)
{
    struct cmetrics_list keys = metric->meta.keys;
    struct msgpack_value head;
    if (labels.n == 0)
        return true;
    struct msgpack at = msgpack_over(labels.p, labels.n);
    if (!msgpack_next(&at, &head) || head.type != MSGPACK_ARRAY)
        return true;
    for (uint32_t i = 0; i < head.count && i < keys.count; i++) {
        struct view name = cmetrics_text(&keys.at), value = cmetrics_text(&at);
        if (!label_add(m, name, value))
            return false;
    }
    return true;
}

/* ---- handles --------------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *suffix, *label;
} parts[] = {
    [PART_PLAIN] = {"", NULL},         [PART_COUNT] = {"_count", NULL},    [PART_SUM] = {"_sum", NULL},
    [PART_BUCKET] = {"_bucket", "le"}, [PART_QUANTILE] = {"", "quantile"},
};

/* A metric's label wins over the context's, that over an added one; le and quantile are the metric's own. */
gcw_status part_intern(struct metrics *m, const struct metric *metric, struct view labels, enum series_part part,
                       double bound, gcw_series **out)
{
    char text[LE_MAX];
    gcw_error err = {0};
    m->text.n = m->labels.n = 0;
    *out = NULL;
    if (!buf_append(&m->text, metric->name.p, metric->name.n) || !buf_puts(&m->text, parts[part].suffix) ||
        !label_add(m, view_of("__name__"), buf_view(&m->text)))
        return GCW_ERR_NOMEM;
    if (parts[part].label &&
        !label_add(m, view_of(parts[part].label), view_make(text, le_text(text, bound, m->le_format))))
        return GCW_ERR_NOMEM;
    if (!labels_add_own(m, metric, labels) || !labels_add(m, m->source->labels, m->source->count) ||
        !labels_add(m, m->add, m->add_count))
        return GCW_ERR_NOMEM;
    *out = gcw_series_intern(m->writer, m->labels.at, m->labels.n, NULL, NULL, &err);
    return *out ? GCW_OK : refuse(m, err.code, err.text);
}

/* ---- metric ---------------------------------------------------------------------------------------------------------
 */

static const gcw_metric_type types[CMETRICS_TYPES] = {
    [CMETRICS_COUNTER] = GCW_TYPE_COUNTER,     [CMETRICS_GAUGE] = GCW_TYPE_GAUGE,
    [CMETRICS_HISTOGRAM] = GCW_TYPE_HISTOGRAM, [CMETRICS_SUMMARY] = GCW_TYPE_SUMMARY,
    [CMETRICS_UNTYPED] = GCW_TYPE_UNKNOWN,     [CMETRICS_EXP_HISTOGRAM] = GCW_TYPE_HISTOGRAM,
};

/* The family's name as the series' will be on the wire. Metadata is a courtesy: what cannot be sent is left out. */
static void metadata_tell(struct metrics *m, const struct metric *metric)
{
    static const struct label_rules rules = {GCW_METRICS, LABELS_SANITISE, KIB, KIB, 1, NULL, 0};
    const gcw_label name = {"__name__", 8, metric->name.p, metric->name.n};
    const struct cmetrics_meta *meta = &metric->meta;
    struct view help = view_trim(meta->description);
    if (view_is(help, "-")) /* none: a blank for what was scraped without HELP, a dash for OpenTelemetry's */
        help = view_make("", 0);
    struct label_scratch s = {0};
    struct buf *t = &m->text;
    bool changed;
    t->n = 0;
    if (labels_block(&rules, &name, 1, &s, &changed, NULL) == GCW_OK && buf_append(t, help.p, help.n) &&
        buf_append(t, "", 1) && buf_append(t, meta->unit.p, meta->unit.n) && buf_append(t, "", 1) &&
        buf_append(t, s.metric_name.p, s.metric_name.n) && buf_append(t, "", 1)) {
        const char *text = (const char *)t->p;
        const gcw_metadata metadata = {types[meta->type], text + help.n + 1 + meta->unit.n + 1, text,
                                       text + help.n + 1};
        (void)gcw_metadata_write(m->writer, &metadata, NULL, NULL);
    }
    label_scratch_free(&s);
}

static bool name_make(struct metric *metric)
{
    const struct view *part[] = {&metric->meta.ns, &metric->meta.subsystem, &metric->meta.name};
    struct buf b = {0};
    bool made = buf_reserve(&b, 1);
    for (size_t i = 0; i < ARRAY_LEN(part) && made; i++)
        if (part[i]->n > 0)
            made = (b.n == 0 || buf_puts(&b, "_")) && buf_append(&b, part[i]->p, part[i]->n);
    metric->name = buf_view(&b); /* the metric's from here on */
    return made;
}

static bool bounds_read(struct metric *metric)
{
    struct cmetrics_list l = metric->meta.type == CMETRICS_SUMMARY ? metric->meta.quantiles : metric->meta.buckets;
    if (!(metric->bounds = calloc((size_t)l.count + 1, sizeof *metric->bounds)))
        return false;
    for (uint32_t i = 0; i < l.count; i++)
        metric->bounds[i] = cmetrics_double_of(cmetrics_bits(&l.at));
    metric->bound_count = l.count;
    metric->bounds[l.count] = INFINITY;
    return true;
}

gcw_status metric_enter(struct metrics *m, struct view meta, struct metric **out)
{
    *out = (struct metric *)keyed_find(&m->source->metrics, &m->metric_walk, meta, m->now_ms);
    if (*out)
        return GCW_OK;
    struct metric *metric = keyed_new(sizeof *metric, meta);
    if (!metric)
        return GCW_ERR_NOMEM;
    (void)cmetrics_meta_read(metric->keyed.key, &metric->meta);
    metric->meta.type = MIN(metric->meta.type, CMETRICS_TYPES);
    if (!name_make(metric) || !bounds_read(metric) ||
        !keyed_add(&m->source->metrics, &m->metric_walk, &metric->keyed, m->now_ms)) {
        metric_gone(m, &metric->keyed);
        return GCW_ERR_NOMEM;
    }
    if (metric->meta.type < CMETRICS_TYPES && metric->name.n > 0)
        metadata_tell(m, metric);
    *out = metric;
    return GCW_OK;
}

void metric_gone(void *metrics, struct keyed *keyed)
{
    struct metric *metric = (struct metric *)keyed;
    keyed_clear(&metric->series, series_gone, metrics);
    free((void *)(uintptr_t)metric->name.p);
    free(metric->bounds);
    free(metric);
}

/* ---- series and state
 * ------------------------------------------------------------------------------------------------ */

static size_t point_count(const struct metric *metric)
{
    switch ((enum cmetrics_type)metric->meta.type) {
    case CMETRICS_HISTOGRAM:
        return POINT_FIRST + metric->bound_count + 1;
    case CMETRICS_SUMMARY:
        return POINT_FIRST + metric->bound_count;
    case CMETRICS_EXP_HISTOGRAM:
        return POINT_FIRST + 1;
    case CMETRICS_COUNTER:
    case CMETRICS_GAUGE:
    case CMETRICS_UNTYPED:
    case CMETRICS_TYPES:
        break;
    }
    return 1;
}

/* The label set's first handle names it, with the type and the bounds, if there are any: running totals are theirs. */
static struct state *state_enter(struct metrics *m, const struct metric *metric, gcw_series *first)
{
    struct keyed_walk walk = {0};
    uintptr_t handle = (uintptr_t)first;
    size_t count = point_count(metric);
    m->key.n = 0;
    if (!buf_append(&m->key, &handle, sizeof handle) ||
        !buf_append(&m->key, &metric->meta.type, sizeof metric->meta.type) ||
        !buf_append(&m->key, metric->bounds, metric->bound_count * sizeof *metric->bounds))
        return NULL;
    struct state *s = (struct state *)keyed_find(&m->states, &walk, buf_view(&m->key), m->now_ms);
    if (s)
        return s;
    s = keyed_new(sizeof *s + count * sizeof s->points[0], buf_view(&m->key));
    if (!s)
        return NULL;
    s->count = count;
    if (!keyed_add(&m->states, &walk, &s->keyed, m->now_ms)) {
        free(s);
        return NULL;
    }
    return s;
}

bool state_in_use(const struct keyed *keyed) { return ((const struct state *)keyed)->refs > 0; }

void state_gone(void *metrics, struct keyed *keyed)
{
    struct state *s = (struct state *)keyed;
    (void)metrics;
    for (size_t i = 0; i < s->count; i++)
        gcw_series_release(s->points[i].handle);
    for (size_t i = 0; s->exp && i < s->exp->count; i++)
        gcw_series_release(s->exp->points[i].handle);
    if (s->exp) {
        exp_free(&s->exp->total);
        free(s->exp->points);
        free(s->exp);
    }
    free(s);
}

void series_gone(void *metrics, struct keyed *keyed)
{
    struct series *s = (struct series *)keyed;
    (void)metrics;
    s->state->refs--;
    free(s);
}

gcw_status series_enter(struct metrics *m, struct metric *metric, struct view labels, struct series **out)
{
    *out = (struct series *)keyed_find(&metric->series, &m->series_walk, labels, m->now_ms);
    if (*out)
        return GCW_OK;
    gcw_series *first;
    bool plain = point_count(metric) == 1;
    gcw_status status = part_intern(m, metric, labels, plain ? PART_PLAIN : PART_COUNT, 0, &first);
    if (!first)
        return status;
    struct state *state = state_enter(m, metric, first);
    struct series *s = state ? keyed_new(sizeof *s, labels) : NULL;
    if (!s || !keyed_add(&metric->series, &m->series_walk, &s->keyed, m->now_ms)) {
        gcw_series_release(first); /* the state, if new, goes with the next sweep */
        free(s);
        return GCW_ERR_NOMEM;
    }
    if (state->points[0].handle)
        gcw_series_release(first);
    else
        state->points[0].handle = first;
    state->refs++;
    s->state = state;
    *out = s;
    return GCW_OK;
}
