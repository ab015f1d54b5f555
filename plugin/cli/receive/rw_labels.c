/* The rules for the labels of a series: Remote-Write 1.0, with Mimir's limits and words (pkg/distributor/validate.go).
 */
#include <stdarg.h>
#include <stdio.h>

#include "cli/receive/judge.h"

#define TO_ADJUST                                                                                                      \
    " To adjust the related per-tenant limit, configure -validation.%s, or contact your service administrator."
#define SHOWN 200 /* bytes of a name or series in an error, as Mimir's %.200s */

static bool name_char(char c, bool first, bool colon)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':') ||
           (!first && c >= '0' && c <= '9');
}

static bool name_valid(struct view v, bool colon)
{
    for (size_t i = 0; i < v.n; i++)
        if (!name_char(v.p[i], i == 0, colon))
            return false;
    return v.n > 0;
}

struct check {
    const struct pair *labels;
    size_t count;
    const struct limits *limits;
    struct buf *why;
    struct buf series; /* text of the label set, made when first needed */
};

static const char *series_text(struct check *c)
{
    if (c->series.n == 0 && (!labels_text(&c->series, c->labels, c->count, true, SHOWN) || !buf_cstr(&c->series)))
        return "";
    return (const char *)c->series.p;
}

static enum reason say(struct check *c, enum reason r, const char *fmt, ...) PRINTF_LIKE(3, 4);
static enum reason say(struct check *c, enum reason r, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    c->why->n = 0;
    buf_puts(c->why, text);
    return r;
}

static enum reason metric_name_check(struct check *c)
{
    const struct pair *name = NULL;
    for (size_t i = 0; i < c->count && !name; i++)
        if (view_is(c->labels[i].name, "__name__"))
            name = &c->labels[i];
    if (!name)
        return say(c, REASON_MISSING_METRIC_NAME, "received series has no metric name (err-mimir-missing-metric-name)");
    if (!name_valid(name->value, true))
        return say(c, REASON_METRIC_NAME_INVALID,
                   "received a series with invalid metric name: '%.*s' (err-mimir-metric-name-invalid)",
                   VIEW_ARG(name->value));
    return REASON_NONE;
}

static enum reason label_check(struct check *c, const struct pair *l)
{
    uint64_t name_max = c->limits->v[METRICS_LABEL_NAME_BYTES], value_max = c->limits->v[METRICS_LABEL_VALUE_BYTES];
    if (!name_valid(l->name, false))
        return say(c, REASON_LABEL_INVALID,
                   "received a series with an invalid label: '%.*s' series: '%s' (err-mimir-label-invalid)",
                   VIEW_ARG(l->name), series_text(c));
    if (name_max && l->name.n > name_max)
        return say(c, REASON_LABEL_NAME_TOO_LONG,
                   "received a series whose label name length exceeds the limit, label: '%.*s' series: '%s' "
                   "(err-mimir-label-name-too-long)." TO_ADJUST,
                   VIEW_ARG(l->name), series_text(c), "max-length-label-name");
    if (!utf8_valid(l->value.p, l->value.n))
        return say(c, REASON_LABEL_VALUE_INVALID,
                   "received a series with invalid value in label '%.*s': not valid UTF-8 metric: '%s' "
                   "(err-mimir-label-value-invalid)",
                   VIEW_ARG(l->name), series_text(c));
    if (value_max && l->value.n > value_max)
        return say(c, REASON_LABEL_VALUE_TOO_LONG,
                   "received a series whose label value length of %zu exceeds the limit of %zu, label: '%.*s', value: "
                   "'%.*s' (truncated) series: '%s' (err-mimir-label-value-too-long)." TO_ADJUST,
                   l->value.n, (size_t)value_max, VIEW_ARG(l->name), VIEW_ARG(l->value), series_text(c),
                   "max-length-label-value");
    if (c->limits->v[METRICS_STRICT] && l->value.n == 0)
        return say(
            c, REASON_LABEL_VALUE_EMPTY,
            "received a series with an empty value in label '%.*s' series: '%s' (strict: remote write 1.0 leaves "
            "such a label out)",
            VIEW_ARG(l->name), series_text(c));
    return REASON_NONE;
}

static enum reason order_check(struct check *c, const struct pair *before, const struct pair *l)
{
    int cmp = view_cmp(before->name, l->name);
    if (cmp == 0)
        return say(c, REASON_DUPLICATE_LABEL_NAMES,
                   "received a series with duplicate label name, label: '%.*s' series: '%s' "
                   "(err-mimir-duplicate-label-names)",
                   VIEW_ARG(l->name), series_text(c));
    if (cmp > 0)
        return say(c, REASON_LABELS_NOT_SORTED,
                   "received a series whose labels are not sorted: '%.*s' stands behind '%.*s' series: '%s' (strict: "
                   "remote write 1.0 sorts labels by name)",
                   VIEW_ARG(l->name), VIEW_ARG(before->name), series_text(c));
    return REASON_NONE;
}

enum reason rw_labels_check(const struct pair *labels, size_t count, const struct limits *l, struct buf *why)
{
    struct check c = {labels, count, l, why, {0}};
    enum reason r = metric_name_check(&c);
    if (r == REASON_NONE && l->v[METRICS_LABELS] && count > l->v[METRICS_LABELS])
        r = say(&c, REASON_MAX_LABEL_NAMES,
                "received a series whose number of labels exceeds the limit (actual: %zu, limit: %zu) series: '%s' "
                "(err-mimir-max-label-names-per-series)." TO_ADJUST,
                count, (size_t)l->v[METRICS_LABELS], series_text(&c), "max-label-names-per-series");
    for (size_t i = 0; i < count && r == REASON_NONE; i++) {
        r = label_check(&c, &labels[i]);
        if (r == REASON_NONE && i > 0)
            r = order_check(&c, &labels[i - 1], &labels[i]);
    }
    buf_free(&c.series);
    return r;
}
