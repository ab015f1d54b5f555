/* Filling a verdict; the words the judge uses for labels and times. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/receive/verdict.h"

/* Metrics: the id of Mimir's error (without err-mimir-); logs: the `reason` label of loki_discarded_samples_total. */
static const char *const reason_names[REASON_COUNT] = {
    [REASON_NONE] = "none",
    [REASON_MISSING_METRIC_NAME] = "missing-metric-name",
    [REASON_METRIC_NAME_INVALID] = "metric-name-invalid",
    [REASON_LABEL_INVALID] = "label-invalid",
    [REASON_LABEL_VALUE_INVALID] = "label-value-invalid",
    [REASON_LABEL_NAME_TOO_LONG] = "label-name-too-long",
    [REASON_LABEL_VALUE_TOO_LONG] = "label-value-too-long",
    [REASON_DUPLICATE_LABEL_NAMES] = "duplicate-label-names",
    [REASON_MAX_LABEL_NAMES] = "max-label-names-per-series",
    [REASON_LABELS_NOT_SORTED] = "labels-not-sorted",
    [REASON_LABEL_VALUE_EMPTY] = "label-value-empty",
    [REASON_SERIES_EMPTY] = "series-without-samples",
    [REASON_HISTOGRAM_INVALID] = "native-histogram-invalid",
    [REASON_EXEMPLAR_INVALID] = "exemplar-invalid",
    [REASON_TOO_FAR_IN_FUTURE] = "too-far-in-future",
    [REASON_SAMPLE_OUT_OF_ORDER] = "sample-out-of-order",
    [REASON_SAMPLE_TOO_OLD] = "sample-timestamp-too-old",
    [REASON_SAMPLE_DUPLICATE] = "sample-duplicate-timestamp",
    [REASON_MAX_SERIES] = "max-series-per-user",
    [REASON_METADATA_NAME_MISSING] = "metadata-missing-metric-name",
    [REASON_METADATA_NAME_TOO_LONG] = "metric-name-too-long",
    [REASON_METADATA_UNIT_TOO_LONG] = "unit-too-long",
    [REASON_METADATA_INVALID] = "metadata-invalid",
    [REASON_LINE_TOO_LONG] = "line_too_long",
    [REASON_ENTRY_TOO_OLD] = "greater_than_max_sample_age",
    [REASON_ENTRY_TOO_NEW] = "too_far_in_future",
    [REASON_ENTRY_TOO_FAR_BEHIND] = "too_far_behind",
    [REASON_METADATA_TOO_LARGE] = "structured_metadata_too_large",
    [REASON_METADATA_TOO_MANY] = "structured_metadata_too_many",
    [REASON_MAX_STREAMS] = "stream_limit",
    [REASON_STREAM_RATE] = "per_stream_rate_limit",
};

const char *reason_name(enum reason r) { return reason_names[r]; }

void verdict_free(struct verdict *v)
{
    buf_free(&v->text);
    buf_free(&v->records);
}

static void verdict_words(struct verdict *v, int status, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));
static void verdict_words(struct verdict *v, int status, const char *fmt, va_list args)
{
    char text[2048];
    vsnprintf(text, sizeof text, fmt, args);
    v->status = status;
    v->text.n = 0;
    if (!buf_puts(&v->text, text))
        v->nomem = true;
}

void verdict_set(struct verdict *v, int status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    verdict_words(v, status, fmt, args);
    va_end(args);
}

bool verdict_refuse(struct verdict *v, int status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    verdict_words(v, status, fmt, args);
    va_end(args);
    return false;
}

bool verdict_nomem(struct verdict *v)
{
    v->nomem = true;
    return verdict_refuse(v, 500, "the receiver is out of memory");
}

void verdict_count(struct verdict *v, enum reason r, uint64_t n)
{
    v->rejected += n;
    v->reasons[r] += n;
}

/* ---- words
 * ----------------------------------------------------------------------------------------------------------- */

static bool quote_text(struct buf *out, struct view v)
{
    bool ok = buf_puts(out, "\"");
    for (size_t i = 0; i < v.n && ok; i++) {
        unsigned char c = (unsigned char)v.p[i];
        if (c == '"' || c == '\\')
            ok = buf_printf(out, "\\%c", c);
        else if (c == '\n')
            ok = buf_puts(out, "\\n");
        else if (c < 0x20 || c == 0x7f)
            ok = buf_printf(out, "\\x%02x", c);
        else
            ok = buf_append(out, &v.p[i], 1);
    }
    return ok && buf_puts(out, "\"");
}

bool labels_text(struct buf *out, const struct pair *labels, size_t n, bool metric, size_t max)
{
    size_t start = out->n;
    bool ok = true;
    for (size_t i = 0; i < n && metric && ok; i++)
        if (view_is(labels[i].name, "__name__"))
            ok = buf_append(out, labels[i].value.p, MIN(labels[i].value.n, max));
    ok = ok && buf_puts(out, "{");
    const char *comma = "";
    for (size_t i = 0; i < n && ok && out->n - start < max; i++) {
        if (metric && view_is(labels[i].name, "__name__"))
            continue;
        struct view value = labels[i].value;
        value.n = MIN(value.n, max);
        ok = buf_puts(out, comma) && buf_append(out, labels[i].name.p, MIN(labels[i].name.n, max)) &&
             buf_puts(out, "=") && quote_text(out, value);
        comma = ", ";
    }
    ok = ok && buf_puts(out, "}");
    if (out->n - start > max)
        out->n = start + utf8_cut((const char *)out->p + start, out->n - start, max);
    return ok;
}

bool labels_key(struct buf *out, const struct pair *labels, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t len[2] = {(uint32_t)labels[i].name.n, (uint32_t)labels[i].value.n};
        if (!buf_append(out, len, sizeof len) || !buf_append(out, labels[i].name.p, labels[i].name.n) ||
            !buf_append(out, labels[i].value.p, labels[i].value.n))
            return false;
    }
    return true;
}

static int pair_cmp(const void *a, const void *b)
{
    return view_cmp(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

void pairs_sort(struct pair *pairs, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (pair_cmp(&pairs[i - 1], &pairs[i]) > 0) {
            qsort(pairs, n, sizeof *pairs, pair_cmp); /* glibc's is a merge sort: stable */
            return;
        }
}

const char *time_text(char out[48], enum time_style style, int64_t time_ns)
{
    int64_t s = time_ns / 1000000000, ns = time_ns % 1000000000;
    if (ns < 0)
        s--, ns += 1000000000;
    time_t t = (time_t)s;
    struct tm tm;
    if (!gmtime_r(&t, &tm)) {
        snprintf(out, 48, "%" PRId64, time_ns);
        return out;
    }
    char day[16], clock[16]; /* an int64_t of nanoseconds stays between the years 1677 and 2262 */
    strftime(day, sizeof day, "%Y-%m-%d", &tm);
    strftime(clock, sizeof clock, "%H:%M:%S", &tm);
    if (style == TIME_MIMIR)
        snprintf(out, 48, "%.10sT%.8s.%03dZ", day, clock, (int)(ns / 1000000));
    else if (style == TIME_LOKI)
        snprintf(out, 48, "%.10sT%.8sZ", day, clock);
    else if (ns)
        snprintf(out, 48, "%.10s %.8s.%09d +0000 UTC", day, clock, (int)ns);
    else
        snprintf(out, 48, "%.10s %.8s +0000 UTC", day, clock);
    return out;
}
