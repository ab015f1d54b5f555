/* From one value to its samples: when they count as taken, and what each type consists of. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "hosts/fluent-bit/metrics_private.h"

/* ---- appending ------------------------------------------------------------------------------------------------------
 */

gcw_status sample_put(struct metrics *m, gcw_series *handle, uint64_t bits, int64_t time_ms)
{
    gcw_status status = gcw_sample_append_bits(handle, bits, time_ms, m->receipt);
    if (__builtin_expect(status != GCW_OK, 0))
        return refuse(m, status, gcw_strerror(status));
    m->tally->records++;
    return GCW_OK;
}

/* A value being appended, step by step: what was done before the writer was full is passed over when it is tried again.
 */
struct emission {
    struct metrics *m;
    const struct metric *metric;
    const struct cmetrics_value *value;
    struct state *state;
    int64_t ms;
    bool delta;
    size_t step;
};

static bool step_is_new(struct emission *e) { return e->step++ >= e->m->resume.points; }
static void step_done(struct emission *e) { e->m->points_done = e->step; }

static gcw_status handle_put(struct emission *e, gcw_series **handle, enum series_part part, double bound,
                             uint64_t bits)
{
    if (__builtin_expect(!*handle, 0)) {
        gcw_status status = part_intern(e->m, e->metric, e->value->labels, part, bound, handle);
        if (!*handle)
            return status;
    }
    return sample_put(e->m, *handle, bits, e->ms);
}

/* One point of the state. What is a delta becomes the sum of all so far. */
static gcw_status point_put(struct emission *e, size_t index, enum series_part part, double bound, uint64_t bits)
{
    struct series_point *p = &e->state->points[index];
    if (!step_is_new(e))
        return GCW_OK;
    double total = 0;
    if (e->delta) {
        total = p->total + cmetrics_double_of(bits);
        bits = cmetrics_bits_of(total);
    }
    gcw_status status = handle_put(e, &p->handle, part, bound, bits);
    if (status != GCW_OK)
        return status;
    p->total = total;
    step_done(e);
    return GCW_OK;
}

static gcw_status count_put(struct emission *e, size_t index, enum series_part part, double bound, uint64_t count)
{
    return point_put(e, index, part, bound, cmetrics_bits_of((double)count));
}

/* ---- types ----------------------------------------------------------------------------------------------------------
 */

static gcw_status emit_number(struct emission *e)
{
    if (!e->value->has_number) {
        e->m->tally->skipped++;
        return GCW_OK;
    }
    return point_put(e, 0, PART_PLAIN, 0, e->value->bits);
}

/* Fluent Bit's own histograms and scraped ones count what is not above a bound, OpenTelemetry's what is in a bucket,
 * and nothing says which. In a bucket: the counts add up to the count. Not above: they never fall, and the last is the
 * count. If both hold the readings agree; if neither does (a histogram caught in the middle of an update), the way it
 * came in decides. */
static bool buckets_cumulative(const struct cmetrics_histogram *h, bool otlp)
{
    struct msgpack at = h->buckets.at;
    uint64_t sum = 0, last = 0;
    bool rising = true;
    for (uint32_t i = 0; i < h->buckets.count; i++) {
        uint64_t c = cmetrics_count(&at);
        rising &= c >= last;
        sum += c;
        last = c;
    }
    if (sum == h->count)
        return false;
    return rising && (last == h->count || !otlp);
}

static gcw_status emit_buckets(struct emission *e, const struct cmetrics_histogram *h)
{
    bool cumulative = buckets_cumulative(h, e->m->context.otlp);
    struct msgpack at = h->buckets.at;
    uint64_t below = 0;
    for (size_t i = 0; i <= e->metric->bound_count; i++) {
        double bound = e->metric->bounds[i];
        if (i < h->buckets.count) {
            uint64_t c = cmetrics_count(&at);
            below = cumulative ? c : below + c;
        }
        if (i == e->metric->bound_count)
            below = MAX(below, h->count); /* OpenTelemetry's may have no buckets at all */
        else if (isinf(bound) && bound > 0)
            continue; /* given as a bound: the last one says it */
        gcw_status status = count_put(e, POINT_FIRST + i, PART_BUCKET, bound, below);
        if (status != GCW_OK)
            return status;
    }
    return GCW_OK;
}

static gcw_status emit_histogram(struct emission *e)
{
    struct cmetrics_histogram h;
    if (!cmetrics_histogram_read(e->value->histogram, &h)) {
        e->m->tally->skipped++;
        return GCW_OK;
    }
    gcw_status status = count_put(e, POINT_COUNT, PART_COUNT, 0, h.count);
    if (status == GCW_OK)
        status = point_put(e, POINT_SUM, PART_SUM, 0, h.sum_bits);
    return status == GCW_OK ? emit_buckets(e, &h) : status;
}

static gcw_status emit_summary(struct emission *e)
{
    struct cmetrics_summary s;
    if (!cmetrics_summary_read(e->value->summary, &s)) {
        e->m->tally->skipped++;
        return GCW_OK;
    }
    gcw_status status = count_put(e, POINT_COUNT, PART_COUNT, 0, s.count);
    if (status == GCW_OK)
        status = point_put(e, POINT_SUM, PART_SUM, 0, s.sum_bits);
    for (size_t i = 0; i < e->metric->bound_count && i < s.quantiles.count && s.quantiles_set && status == GCW_OK;
         i++) {
        struct msgpack_value v;
        if (!msgpack_next(&s.quantiles.at, &v) || !msgpack_skip_rest(&s.quantiles.at, &v))
            break;
        if (v.type == MSGPACK_UINT || v.type == MSGPACK_DOUBLE) /* either way the bits of a double */
            status = point_put(e, POINT_FIRST + i, PART_QUANTILE, e->metric->bounds[i], v.number);
    }
    return status;
}

/* ---- exponential histograms
 * ------------------------------------------------------------------------------------------- */

static struct exp_series *exp_of(struct state *s)
{
    if (!s->exp)
        s->exp = calloc(1, sizeof *s->exp);
    return s->exp;
}

/* The bounds of these histograms come and go with their scale: handles of those that stay are kept. Both lists ascend.
 */
static bool exp_match(struct exp_series *x, const struct exp_bound *bounds, size_t count)
{
    bool same = x->count == count;
    for (size_t i = 0; i < count && same; i++)
        same = cmetrics_bits_of(x->points[i].le) == cmetrics_bits_of(bounds[i].le);
    if (same)
        return true;
    struct exp_point *points = calloc(count + 1, sizeof *points);
    if (!points)
        return false;
    size_t k = 0;
    for (size_t i = 0; i < count; i++) {
        points[i].le = bounds[i].le;
        for (; k < x->count && x->points[k].le < bounds[i].le; k++)
            gcw_series_release(x->points[k].handle);
        if (k < x->count && !(x->points[k].le > bounds[i].le))
            points[i].handle = x->points[k++].handle;
    }
    for (; k < x->count; k++)
        gcw_series_release(x->points[k].handle);
    free(x->points);
    x->points = points;
    x->count = count;
    return true;
}

static gcw_status exp_value(struct emission *e, struct exp_series *x, const struct exp_histogram **out)
{
    struct cmetrics_exp_histogram from;
    *out = NULL;
    if (!cmetrics_exp_histogram_read(e->value->exp_histogram, &from)) {
        e->m->tally->skipped++;
        return GCW_OK;
    }
    gcw_status status = exp_load(&e->m->exp, &from);
    if (status == GCW_ERR_INVALID)
        e->m->tally->skipped++;
    if (status != GCW_OK)
        return status == GCW_ERR_INVALID ? GCW_OK : status;
    *out = &e->m->exp;
    if (!e->delta)
        return GCW_OK;
    *out = &x->total;
    if (step_is_new(e) && (status = exp_add(&x->total, &e->m->exp)) == GCW_OK)
        step_done(e);
    return status;
}

static gcw_status emit_exp_histogram(struct emission *e)
{
    struct exp_series *x = exp_of(e->state);
    const struct exp_histogram *h;
    gcw_status status = x ? exp_value(e, x, &h) : GCW_ERR_NOMEM;
    if (status != GCW_OK || !h)
        return status;
    e->delta = false; /* h is the sum already */
    struct exp_bound *bounds = e->m->bounds;
    size_t count = exp_bounds(h, bounds);
    if (!exp_match(x, bounds, count))
        return GCW_ERR_NOMEM;
    status = count_put(e, POINT_COUNT, PART_COUNT, 0, h->count);
    if (status == GCW_OK && h->sum_set)
        status = point_put(e, POINT_SUM, PART_SUM, 0, cmetrics_bits_of(h->sum));
    for (size_t i = 0; i < count && status == GCW_OK; i++) {
        if (!step_is_new(e))
            continue;
        status =
            handle_put(e, &x->points[i].handle, PART_BUCKET, bounds[i].le, cmetrics_bits_of((double)bounds[i].count));
        if (status == GCW_OK)
            step_done(e);
    }
    if (status == GCW_OK)
        status = count_put(e, POINT_FIRST, PART_BUCKET, INFINITY, h->count);
    return status;
}

/* ---- time
 * ------------------------------------------------------------------------------------------------------------- */

#define MS UINT64_C(1000000)

/* A time of whole milliseconds, as expositions and remote write have it: exact, or by way of a double, which the host's
 * decoder takes. A clock's time is one once in a million times. */
static bool ms_whole(uint64_t ns, uint64_t *whole)
{
    *whole = (ns + MS / 2) / MS * MS;
    return ns == *whole || (ns < UINT64_C(1) << 62 && ns == (uint64_t)(double)ns && ns == (uint64_t)(double)*whole);
}

static int64_t ms_of(uint64_t ns)
{
    uint64_t whole;
    return (int64_t)((ms_whole(ns, &whole) ? whole : ns) / MS);
}

/* CMetrics keeps for each series the time of its last change, and resends what did not change with that same time: sent
 * as it is, an idle counter is a repeat that the receiver drops, and stale after five minutes. So `auto` gives repeats
 * the newest time of their context: the source does vouch for the value then. Times that the source itself set are left
 * alone: those of OpenTelemetry, and whole milliseconds.
 * False: nothing to send. A chunk that comes again has no newer time to offer, so its values are repeats. */
static bool time_choose(const struct metrics *m, const struct state *s, uint64_t own, bool delta, int64_t *ms)
{
    uint64_t newest = m->context.newest_ns;
    uint64_t unused;
    bool by_source = m->context.otlp || ms_whole(own, &unused);
    *ms = ms_of(m->sample_time == TIME_NEWEST && !delta ? newest : own);
    if (!s->any)
        return true;
    if (delta)
        return own > s->own_ns;
    if (m->sample_time == TIME_NEWEST)
        return newest != s->seen_ns;
    if (m->sample_time == TIME_SOURCE || own < s->own_ns)
        return own != s->own_ns;
    if (own > s->own_ns && *ms > s->sent_ms)
        return true;
    *ms = ms_of(newest); /* a repeat; or a change from before the time that the last repeat was given */
    return *ms > s->sent_ms && (own > s->own_ns || (!by_source && newest > s->seen_ns));
}

static void time_keep(struct state *s, uint64_t own, uint64_t newest, int64_t sent_ms)
{
    s->own_ns = s->any ? MAX(s->own_ns, own) : own;
    s->seen_ns = newest;
    s->sent_ms = s->any ? MAX(s->sent_ms, sent_ms) : sent_ms;
    s->any = true;
}

/* ---- value
 * ------------------------------------------------------------------------------------------------------------- */

static gcw_status (*const emitters[CMETRICS_TYPES])(struct emission *e) = {
    [CMETRICS_COUNTER] = emit_number,  [CMETRICS_GAUGE] = emit_number,   [CMETRICS_HISTOGRAM] = emit_histogram,
    [CMETRICS_SUMMARY] = emit_summary, [CMETRICS_UNTYPED] = emit_number, [CMETRICS_EXP_HISTOGRAM] = emit_exp_histogram,
};

static bool is_delta(struct metrics *m, const struct metric *metric)
{
    if (metric->meta.aggregation != CMETRICS_DELTA)
        return false;
    if (m->delta == DELTA_KEEP && !m->warned_delta && m->warn) {
        char text[300];
        snprintf(
            text, sizeof text,
            "%.*s counts what is new since its last value (delta temporality) and is sent like that, as delta = keep "
            "asks for; rate() and its like expect running totals",
            (int)MIN(metric->name.n, (size_t)100), metric->name.p);
        m->warned_delta = true;
        m->warn(m->user, text);
    }
    return m->delta == DELTA_CUMULATIVE;
}

gcw_status value_emit(struct metrics *m, struct metric *metric, const struct cmetrics_value *v)
{
    struct series *series;
    if (metric->meta.type == CMETRICS_TYPES || metric->name.n == 0) {
        m->tally->skipped++;
        return GCW_OK;
    }
    if (v->ts_ns == 0)
        return GCW_OK; /* declared and never set */
    gcw_status status = series_enter(m, metric, v->labels, &series);
    if (!series)
        return status;
    struct state *s = series->state;
    struct emission e = {m, metric, v, s, 0, is_delta(m, metric), 0};
    if (!time_choose(m, s, v->ts_ns, e.delta, &e.ms)) {
        time_keep(s, v->ts_ns, m->context.newest_ns, s->sent_ms);
        return GCW_OK;
    }
    status = emitters[metric->meta.type](&e);
    if (status == GCW_OK)
        time_keep(s, v->ts_ns, m->context.newest_ns, e.ms);
    return status;
}
