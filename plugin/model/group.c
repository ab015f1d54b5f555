/* A classic histogram or a summary is one thing to its application and a dozen series to a receiver. Their label blocks
 * are made here, once, from the checked block of the family: the name with a suffix, and for most of them a bound as
 * one more label. */
#include <math.h>
#include <stdlib.h>

#include "model/block.h"

#define NAME_LABEL "__name__"

/* Suffixes by OpenMetrics 1.0, which Prometheus keeps. The bounded series of a summary have the family's own name. */
static const struct kind {
    const char *noun, *bounds, *label, *bounded, *sum, *count;
} kinds[] = {
    [GROUP_HISTOGRAM] = {"a histogram", "bounds", "le", "_bucket", "_sum", "_count"},
    [GROUP_GAUGE_HISTOGRAM] = {"a gauge histogram", "bounds", "le", "_bucket", "_gsum", "_gcount"},
    [GROUP_SUMMARY] = {"a summary", "quantiles", "quantile", "", "_sum", "_count"},
};

/* ---- checking -----------------------------------------------------------------------------------------------------
 */

gcw_status group_shape_check(const struct group_shape *s, gcw_error *err)
{
    const struct kind *k = &kinds[s->kind];
    bool summary = s->kind == GROUP_SUMMARY;
    if (s->bound_count > 0 && !s->bounds)
        return error_set(err, GCW_ERR_INVALID, "%s: a pointer is missing", k->noun);
    if (s->bound_count > GROUP_BOUNDS_MAX)
        return error_set(err, GCW_ERR_INVALID, "%s with %zu %s: %d are allowed", k->noun, s->bound_count, k->bounds,
                         GROUP_BOUNDS_MAX);
    for (size_t i = 0; i < s->bound_count; i++) {
        double b = s->bounds[i];
        if (summary && !(b >= 0 && b <= 1))
            return error_set(err, GCW_ERR_INVALID, "a summary: quantile %g is not between 0 and 1", b);
        if (!isfinite(b))
            return error_set(err, GCW_ERR_INVALID,
                             "a histogram: bound %g is not finite (the bucket at +Inf goes without saying)", b);
        if (i > 0 && !(b > s->bounds[i - 1]))
            return error_set(err, GCW_ERR_INVALID, "%s: %s are not rising: %g behind %g", k->noun, k->bounds, b,
                             s->bounds[i - 1]);
    }
    return GCW_OK;
}

/* The family's name into *family. */
static gcw_status base_check(const struct label_rules *r, struct view base, const struct kind *k, struct view *family,
                             gcw_error *err)
{
    struct view rest = base, name, value;
    while (block_next(&rest, &name, &value)) {
        if (view_is(name, k->label))
            return error_set(err, GCW_ERR_INVALID, "label \"%s\" (value \"%.*s\"): %s has one of its own", k->label,
                             VIEW_ARG(value), k->noun);
        if (view_is(name, NAME_LABEL))
            *family = value;
    }
    size_t suffix = MAX(strlen(k->bounded), strlen(k->count));
    if (block_labels(base) + 1 > r->max_labels)
        return error_set(err, GCW_ERR_INVALID, "%u labels and \"%s\", allowed are %zu", block_labels(base), k->label,
                         r->max_labels);
    if (family->n + suffix > r->max_value_bytes)
        return error_set(err, GCW_ERR_INVALID,
                         "metric name \"%.*s\": with \"%s\" behind it longer than the %zu bytes "
                         "allowed",
                         VIEW_ARG(*family), k->count, r->max_value_bytes);
    return GCW_OK;
}

/* ---- making -------------------------------------------------------------------------------------------------------
 */

struct making {
    struct view base;
    const struct kind *kind;
    struct buf name, block;
    bool symbols;
    struct buf all; /* the series one behind the other, each aligned; moves as it grows */
    uint32_t count;
    uint64_t block_bytes;
};

/* The base block with another name and, if `bound` is not NULL, the label of bounds at its place. */
static bool block_make(struct making *m, const char *suffix, const char *bound)
{
    struct view rest = m->base, name, value, label = view_of(m->kind->label), text = view_of(bound);
    m->block.n = 0;
    if (!buf_reserve(&m->block, m->base.n + m->name.n + strlen(suffix) + label.n + text.n + 3 * BLOCK_PUT_EXTRA))
        return false;
    uint8_t *p = m->block.p;
    bool due = bound != NULL;
    while (block_next(&rest, &name, &value)) {
        if (due && view_cmp(label, name) < 0) {
            p = block_put(p, label, text);
            due = false;
        }
        p = block_put(p, name, view_is(name, NAME_LABEL) ? buf_view(&m->name) : value);
    }
    if (due)
        p = block_put(p, label, text);
    m->block.n = (size_t)(p - m->block.p);
    return true;
}

static size_t aligned(size_t n) { return (n + 15) & ~(size_t)15; }

static bool series_add(struct making *m, struct view family, const char *suffix, const char *bound)
{
    m->name.n = 0;
    if (!buf_append(&m->name, family.p, family.n) || !buf_puts(&m->name, suffix) || !block_make(m, suffix, bound))
        return false;
    struct view block = buf_view(&m->block);
    uint32_t labels = m->symbols ? block_labels(block) : 0;
    size_t size = aligned(interned_size(block.n, labels));
    if (!buf_reserve(&m->all, size))
        return false;
    struct interned *i = (struct interned *)(void *)(m->all.p + m->all.n);
    *i = (struct interned){.refs = 1, .block_len = (uint32_t)block.n, .number = m->count, .labels = labels};
    memcpy(i->block, block.p, block.n);
    m->all.n += size;
    m->count++;
    m->block_bytes += block.n;
    return true;
}

static bool series_add_all(struct making *m, struct view family, const struct group_shape *shape, enum le_format format)
{
    char text[LE_MAX];
    bool ok = true;
    for (size_t i = 0; i < shape->bound_count && ok; i++) {
        le_text(text, shape->bounds[i], format);
        ok = series_add(m, family, m->kind->bounded, text);
    }
    if (shape->kind != GROUP_SUMMARY)
        ok = ok && series_add(m, family, m->kind->bounded, "+Inf");
    return ok && series_add(m, family, m->kind->sum, NULL) && series_add(m, family, m->kind->count, NULL);
}

static struct group *group_join(const struct making *m, const struct group_shape *shape)
{
    size_t head = aligned(sizeof(struct group) + m->count * sizeof(struct interned *)),
           bounds = aligned(shape->bound_count * sizeof(double));
    struct group *g = malloc(head + bounds + m->all.n);
    if (!g)
        return NULL;
    const uint32_t counting[] = {
        [GROUP_HISTOGRAM] = 0, [GROUP_GAUGE_HISTOGRAM] = m->count, [GROUP_SUMMARY] = (uint32_t)shape->bound_count};
    *g = (struct group){.kind = shape->kind,
                        .bound_count = (uint32_t)shape->bound_count,
                        .count = m->count,
                        .counting = counting[shape->kind],
                        .bytes = head + bounds + m->all.n,
                        .block_bytes = m->block_bytes,
                        .bound = (double *)(void *)((char *)g + head)};
    if (shape->bound_count)
        memcpy(g->bound, shape->bounds, shape->bound_count * sizeof(double));
    char *at = (char *)g + head + bounds;
    memcpy(at, m->all.p, m->all.n);
    for (uint32_t k = 0; k < m->count; k++) {
        g->series[k] = (struct interned *)(void *)at;
        at += aligned(interned_size(g->series[k]->block_len, g->series[k]->labels));
    }
    return g;
}

gcw_status group_new(const struct label_rules *rules, struct view base, const struct group_shape *shape,
                     enum le_format format, bool symbols, struct group **out, gcw_error *err)
{
    struct making m = {.base = base, .kind = &kinds[shape->kind], .symbols = symbols};
    struct view family = view_make("", 0);
    *out = NULL;
    gcw_status status = base_check(rules, base, m.kind, &family, err);
    if (status != GCW_OK)
        return status;
    if (series_add_all(&m, family, shape, format))
        *out = group_join(&m, shape);
    buf_free(&m.name);
    buf_free(&m.block);
    buf_free(&m.all);
    return *out ? GCW_OK : error_set(err, GCW_ERR_NOMEM, "out of memory");
}

/* ---- finding ------------------------------------------------------------------------------------------------------
 */

/* A label that no series can have: without a name. */
bool group_key(struct buf *block, const struct group_shape *shape)
{
    uint8_t kind = (uint8_t)shape->kind;
    struct buf value = {0};
    bool ok = buf_append(&value, &kind, 1) &&
              (shape->bound_count == 0 || buf_append(&value, shape->bounds, shape->bound_count * sizeof(double))) &&
              buf_reserve(block, value.n + BLOCK_PUT_EXTRA);
    if (ok)
        block->n = (size_t)(block_put(block->p + block->n, view_make("", 0), buf_view(&value)) - block->p);
    buf_free(&value);
    return ok;
}

/* The first bound that is not below it; NaN is at +Inf, where client libraries count it. */
uint32_t group_bucket(const struct group *g, double value)
{
    uint32_t low = 0, high = g->bound_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (value <= g->bound[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
