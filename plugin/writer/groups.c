/* Classic histograms and summaries: several series that are one thing. A handle is the interned key of its group, and
 * one append is one record: whatever turns it away turns away the whole. */
#include <math.h>
#include <stdlib.h>

#include "writer/writer.h"

/* ---- interning ------------------------------------------------------------------------------------------------------
 */

/* Of one series, as the guard counts. */
static uint64_t share_of(const struct interned *key, const struct group *g)
{
    return (g->bytes + sizeof *key + key->block_len) / g->count;
}

static gcw_status admit(gcw_writer *w, const struct interned *key, const struct group *g, gcw_error *err)
{
    struct block_maker maker = {0};
    uint64_t share = share_of(key, g);
    uint32_t k = 0;
    struct view block;
    do
        block = g->series[k]->labels ? block_remake(&maker, w->symbols, g->series[k]) : interned_block(g->series[k]);
    while (block.n > 0 && guard_admit(w->guard[GCW_METRICS], block, share) && ++k < g->count);
    block_maker_free(&maker);
    if (k == g->count)
        return GCW_OK;
    guard_leave(w->guard[GCW_METRICS], k, k * share);
    if (block.n == 0)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    guard_explain(w->guard[GCW_METRICS], "series", err);
    return GCW_ERR_LIMIT;
}

static gcw_status group_make(gcw_writer *w, struct interned *key, struct view base, const struct group_shape *shape,
                             gcw_error *err)
{
    struct group *g;
    gcw_status status =
        group_new(&w->rules[GCW_METRICS], base, shape, (enum le_format)w->config->le_format, w->symbols, &g, err);
    if (status != GCW_OK)
        return status;
    status = batch_group_fits(key->owner, g, err);
    if (status == GCW_OK)
        status = admit(w, key, g, err);
    if (status == GCW_OK) {
        key->payload = g;
        return status;
    }
    group_forget(w->symbols, g);
    free(g);
    return status;
}

/* One reference less, with `groups.lock` held: it says who is the first and who the last. True: the last. */
static bool group_unref(gcw_writer *w, struct interned *key)
{
    if (!intern_release(w->groups.table, key))
        return false;
    if (key->payload)
        batch_release_group(key->owner, key);
    else if (intern_reap(w->groups.table, key)) /* one that could not be made: no record names it */
        intern_destroy(NULL, key);
    return true;
}

/* `block` has the family's labels. */
static struct interned *group_acquire(gcw_writer *w, struct destination *d, struct buf *block,
                                      const struct group_shape *shape, gcw_error *err)
{
    size_t base = block->n;
    gcw_status status = GCW_ERR_NOMEM;
    if (!group_key(block, shape)) {
        error_set(err, status, "out of memory");
        return NULL;
    }
    pthread_mutex_lock(&w->groups.lock);
    struct interned *key = intern_acquire(w->groups.table, d, buf_view(block), &status);
    if (!key)
        error_set(err, status, "out of memory");
    else if (!key->payload)
        status = group_make(w, key, view_make((const char *)block->p, base), shape, err);
    else if (key->refs == 1) /* it was on its way out */
        status = admit(w, key, key->payload, err);
    if (key && status != GCW_OK) {
        group_unref(w, key);
        key = NULL;
    }
    pthread_mutex_unlock(&w->groups.lock);
    return key;
}

static bool metadata_fits(const gcw_metadata *m, const struct group_shape *shape, struct view name, gcw_error *err)
{
    static const gcw_metric_type type[] = {[GROUP_HISTOGRAM] = GCW_TYPE_HISTOGRAM,
                                           [GROUP_GAUGE_HISTOGRAM] = GCW_TYPE_GAUGEHISTOGRAM,
                                           [GROUP_SUMMARY] = GCW_TYPE_SUMMARY};
    if (!m || m->type == type[shape->kind])
        return true;
    error_set(err, GCW_ERR_INVALID, "metadata of \"%.*s\": type %d, which is not that of a %s", VIEW_ARG(name),
              (int)m->type, shape->kind == GROUP_SUMMARY ? "summary" : "histogram");
    return false;
}

static struct interned *group_intern(gcw_writer *w, const gcw_label *labels, size_t count,
                                     const struct group_shape *shape, const gcw_metadata *metadata, const char *tenant,
                                     gcw_error *err)
{
    struct destination *d = writer_destination(w, GCW_METRICS, tenant, err);
    struct interned *key = NULL;
    if (!d || group_shape_check(shape, err) != GCW_OK)
        return NULL;
    struct scratch *s = scratch_take(w);
    if (!s) {
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return NULL;
    }
    if (writer_labels(w, GCW_METRICS, labels, count, &s->labels, err) == GCW_OK) {
        struct view name = s->labels.metric_name;
        if (metadata_fits(metadata, shape, name, err))
            key = group_acquire(w, d, &s->labels.block, shape, err);
        if (key && metadata) /* of the family, whatever it is called there */
            metadata_append(w, d, &(gcw_metadata){metadata->type, NULL, metadata->help, metadata->unit}, name);
    }
    scratch_give(w, s);
    return key;
}

static void group_release(struct interned *key)
{
    if (!key)
        return;
    gcw_writer *w = destination_user(key->owner);
    const struct group *g = key->payload;
    const uint32_t count = g->count;
    const uint64_t bytes = count * share_of(key, g);
    pthread_mutex_lock(&w->groups.lock);
    if (group_unref(w, key)) /* gone with its last reference, perhaps */
        guard_leave(w->guard[GCW_METRICS], count, bytes);
    pthread_mutex_unlock(&w->groups.lock);
}

/* ---- appending ------------------------------------------------------------------------------------------------------
 */

static gcw_status group_put(struct interned *key, const struct group_point *p, gcw_receipt *receipt, gcw_error *err)
{
    gcw_writer *w = destination_user(key->owner);
    uint32_t count = ((const struct group *)key->payload)->count;
    struct room_wait wait = {.records = count};
    gcw_status status = GCW_ERR_CLOSED;
    if (!atomic_load_explicit(&w->closing, memory_order_relaxed))
        do
            status = batch_group(key->owner, key, p, receipt);
        while (status == GCW_ERR_FULL && room_wait(w, GCW_METRICS, &wait, &status));
    if (status != GCW_OK)
        error_set(err, status, "%s", gcw_strerror(status));
    return writer_refused_all(w, GCW_METRICS, count, status);
}

static gcw_status group_refuse(struct interned *key, gcw_status status)
{
    return writer_refused_all(destination_user(key->owner), GCW_METRICS, ((const struct group *)key->payload)->count,
                              status);
}

static void fill_stale(const void *group, uint64_t *bits)
{
    for (uint32_t k = 0; k < ((const struct group *)group)->count; k++)
        bits[k] = GCW_STALE_BITS;
}

static gcw_status group_stale(struct interned *key, int64_t time_ms, gcw_receipt *receipt)
{
    const struct group_point p = {.time_ms = time_ms, .fill = fill_stale, .from = key->payload};
    return group_put(key, &p, receipt, NULL);
}

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

/* ---- classic histograms ---------------------------------------------------------------------------------------------
 */

gcw_classic *gcw_classic_intern(gcw_writer *w, const gcw_label *labels, size_t count, const double *bounds,
                                size_t bound_count, const gcw_metadata *metadata, const char *tenant, gcw_error *err)
{
    bool gauge = metadata && metadata->type == GCW_TYPE_GAUGEHISTOGRAM;
    const struct group_shape shape = {gauge ? GROUP_GAUGE_HISTOGRAM : GROUP_HISTOGRAM, bounds, bound_count};
    return (gcw_classic *)group_intern(w, labels, count, &shape, metadata, tenant, err);
}

static void fill_classic(const void *from, uint64_t *bits)
{
    const gcw_classic_point *p = from;
    uint64_t whole = 0;
    double part = 0;
    size_t i = 0;
    for (; i < p->bucket_count; i++) {
        if (p->counts)
            part = (double)(whole += p->counts[i]);
        else
            part += p->float_counts[i];
        bits[i] = bits_of(part);
    }
    bits[i] = bits_of(p->sum);
    bits[i + 1] = bits_of(part);
}

/* NULL, or what is wrong. */
static const char *classic_check(const gcw_classic_point *p, const struct group *g)
{
    uint64_t total = 0;
    if (p->bucket_count != (size_t)g->bound_count + 1)
        return "as many buckets as bounds and one more are wanted";
    if (!p->counts == !p->float_counts)
        return "either counts or float_counts are wanted";
    if (p->exemplar_count > 0 && !p->exemplars)
        return "a pointer is missing";
    for (size_t i = 0; i < p->bucket_count; i++)
        if (p->counts ? __builtin_add_overflow(total, p->counts[i], &total) : !(p->float_counts[i] >= 0))
            return "a bucket's count is not a number, negative or too large";
    return NULL;
}

/* Each exemplar to the bucket that its value is in. */
static gcw_status classic_exemplars(gcw_writer *w, const gcw_classic_point *p, const struct group *g, struct buf *out,
                                    gcw_error *err)
{
    gcw_status status = GCW_OK;
    struct buf packed = {0};
    struct scratch *s = scratch_take(w);
    if (!s)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    for (uint32_t k = 0; k <= g->bound_count && status == GCW_OK; k++) {
        packed.n = 0;
        for (size_t i = 0; i < p->exemplar_count && status == GCW_OK; i++)
            if (group_bucket(g, p->exemplars[i].value) == k)
                status = writer_exemplar(w, &p->exemplars[i], s, &packed, err);
        if (status == GCW_OK && packed.n > 0 && !group_exemplars_put(out, k, buf_view(&packed)))
            status = error_set(err, GCW_ERR_NOMEM, "out of memory");
    }
    scratch_give(w, s);
    buf_free(&packed);
    return status;
}

gcw_status gcw_classic_append(gcw_classic *histogram, const gcw_classic_point *point, gcw_receipt *receipt,
                              gcw_error *err)
{
    struct interned *key = (struct interned *)histogram;
    const struct group *g = key->payload;
    const char *trouble = classic_check(point, g);
    if (trouble)
        return group_refuse(key, error_set(err, GCW_ERR_INVALID, "a classic histogram: %s", trouble));
    struct buf exemplars = {0};
    gcw_status status = GCW_OK;
    if (point->exemplar_count > 0)
        status = classic_exemplars(destination_user(key->owner), point, g, &exemplars, err);
    if (status != GCW_OK)
        group_refuse(key, status);
    const struct group_point p = {point->time_ms, point->start_ms, fill_classic, point, buf_view(&exemplars)};
    if (status == GCW_OK)
        status = group_put(key, &p, receipt, err);
    buf_free(&exemplars);
    return status;
}

gcw_status gcw_classic_stale(gcw_classic *histogram, int64_t time_ms, gcw_receipt *receipt)
{
    return group_stale((struct interned *)histogram, time_ms, receipt);
}

void gcw_classic_release(gcw_classic *histogram) { group_release((struct interned *)histogram); }

/* ---- summaries ------------------------------------------------------------------------------------------------------
 */

gcw_summary *gcw_summary_intern(gcw_writer *w, const gcw_label *labels, size_t count, const double *quantiles,
                                size_t quantile_count, const gcw_metadata *metadata, const char *tenant, gcw_error *err)
{
    const struct group_shape shape = {GROUP_SUMMARY, quantiles, quantile_count};
    return (gcw_summary *)group_intern(w, labels, count, &shape, metadata, tenant, err);
}

static void fill_summary(const void *from, uint64_t *bits)
{
    const gcw_summary_point *p = from;
    size_t i = 0;
    for (; i < p->value_count; i++)
        bits[i] = bits_of(p->values[i]);
    bits[i] = bits_of(p->sum);
    bits[i + 1] = bits_of((double)p->count);
}

gcw_status gcw_summary_append(gcw_summary *summary, const gcw_summary_point *point, gcw_receipt *receipt,
                              gcw_error *err)
{
    struct interned *key = (struct interned *)summary;
    const struct group *g = key->payload;
    if (point->value_count != g->bound_count || (point->value_count > 0 && !point->values))
        return group_refuse(key,
                            error_set(err, GCW_ERR_INVALID, "a summary: a value for each of its %u quantiles is wanted",
                                      g->bound_count));
    const struct group_point p = {
        .time_ms = point->time_ms, .start_ms = point->start_ms, .fill = fill_summary, .from = point};
    return group_put(key, &p, receipt, err);
}

gcw_status gcw_summary_stale(gcw_summary *summary, int64_t time_ms, gcw_receipt *receipt)
{
    return group_stale((struct interned *)summary, time_ms, receipt);
}

void gcw_summary_release(gcw_summary *summary) { group_release((struct interned *)summary); }
