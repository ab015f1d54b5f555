/* What was accepted, one JSON object a line. Values are text, so that NaN and infinities have a place, and the bits
 * stand beside them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/receive/judge.h"
#include "remote2.pb-c.h"

bool ndjson_string(struct buf *out, struct view s)
{
    static const char hex[] = "0123456789abcdef";
    if (!buf_reserve(out, s.n * 6 + 2))
        return false;
    uint8_t *o = out->p + out->n;
    *o++ = '"';
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if (c == '"' || c == '\\') {
            *o++ = '\\';
            *o++ = c;
        } else if (c >= 0x20) {
            *o++ = c;
        } else {
            memcpy(o, "\\u00", 4);
            o[4] = (uint8_t)hex[c >> 4];
            o[5] = (uint8_t)hex[c & 15];
            o += 6;
        }
    }
    *o++ = '"';
    out->n = (size_t)(o - out->p);
    return true;
}

bool ndjson_pairs(struct buf *out, const struct pair *pairs, size_t n)
{
    bool ok = buf_puts(out, "{");
    for (size_t i = 0; i < n && ok; i++)
        ok = (i == 0 || buf_puts(out, ",")) && ndjson_string(out, pairs[i].name) && buf_puts(out, ":") &&
             ndjson_string(out, pairs[i].value);
    return ok && buf_puts(out, "}");
}

/* The shortest decimal text that reads back as the same double. */
static void value_text(char out[40], uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    if (isnan(d)) {
        memcpy(out, "NaN", 4);
    } else if (isinf(d)) {
        memcpy(out, d > 0 ? "+Inf" : "-Inf", 5);
    } else {
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(out, 40, "%.*g", digits, d);
            double back = strtod(out, NULL);
            if (memcmp(&back, &d, sizeof d) == 0)
                break;
        }
    }
}

/* {"type":"<type>","tenant":"<tenant>" */
static bool ndjson_open(struct buf *out, const char *type, const char *tenant)
{
    return buf_puts(out, "{\"type\":\"") && buf_puts(out, type) && buf_puts(out, "\",\"tenant\":") &&
           ndjson_string(out, view_of(tenant));
}

/* A half-written line is taken back. */
static void ndjson_close(struct verdict *v, size_t start, bool ok, bool duplicate)
{
    if (ok && buf_puts(&v->records, duplicate ? ",\"duplicate\":true}\n" : "}\n"))
        return;
    v->records.n = start;
    v->nomem = true;
}

static bool labels_open(struct buf *out, const char *type, const char *tenant, struct view labels_json)
{
    return ndjson_open(out, type, tenant) && buf_puts(out, ",\"labels\":") &&
           buf_append(out, labels_json.p, labels_json.n);
}

/* ,"time_ms":N and what else a sample or histogram may have */
static bool times_put(struct buf *out, int64_t time_ms, int64_t start_ms, bool out_of_order)
{
    return buf_printf(out, ",\"time_ms\":%" PRId64, time_ms) &&
           (start_ms == 0 || buf_printf(out, ",\"start_ms\":%" PRId64, start_ms)) &&
           (!out_of_order || buf_puts(out, ",\"out_of_order\":true"));
}

void ndjson_sample(struct verdict *v, const char *tenant, struct view labels_json, const struct rw_sample *s,
                   bool duplicate, bool out_of_order)
{
    struct buf *out = &v->records;
    size_t start = out->n;
    char value[40];
    value_text(value, s->bits);
    bool ok = labels_open(out, "sample", tenant, labels_json) &&
              buf_printf(out, ",\"value\":\"%s\",\"bits\":\"%016" PRIx64 "\"", value, s->bits) &&
              times_put(out, s->time_ms, s->start_ms, out_of_order);
    ndjson_close(v, start, ok, duplicate);
}

static bool double_put(struct buf *out, const char *name, double d)
{
    uint64_t bits;
    char value[40];
    memcpy(&bits, &d, sizeof bits);
    value_text(value, bits);
    return buf_printf(out, "%s\"%s\"", name, value);
}

/* Buckets as [index, "count"], counts in full, empty ones inside spans too. */
static bool buckets_put(struct buf *out, const char *name, Gcw__Rw2__BucketSpan **spans, size_t span_count,
                        const int64_t *deltas, const double *counts)
{
    int64_t index = 0, bucket = 0;
    size_t at = 0;
    bool ok = buf_puts(out, name);
    for (size_t i = 0; i < span_count && ok; i++) {
        index += spans[i]->offset;
        for (uint32_t k = 0; k < spans[i]->length && ok; k++, index++, at++) {
            ok = buf_printf(out, "%s[%" PRId64 ",", at ? "," : "", index);
            bucket += deltas ? deltas[at] : 0;
            ok = ok && (deltas ? buf_printf(out, "\"%" PRId64 "\"", bucket) : double_put(out, "", counts[at])) &&
                 buf_puts(out, "]");
        }
    }
    return ok && buf_puts(out, "]");
}

static bool counts_put(struct buf *out, const Gcw__Rw2__Histogram *h)
{
    bool whole = h->count_case != GCW__RW2__HISTOGRAM__COUNT_COUNT_FLOAT;
    if (whole)
        return buf_printf(out, ",\"count\":\"%" PRIu64 "\",\"zero_count\":\"%" PRIu64 "\"", h->count_int,
                          h->zero_count_case == GCW__RW2__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_INT ? h->zero_count_int : 0);
    return double_put(out, ",\"float\":true,\"count\":", h->count_float) &&
           double_put(out, ",\"zero_count\":",
                      h->zero_count_case == GCW__RW2__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_FLOAT ? h->zero_count_float : 0);
}

void ndjson_histogram(struct verdict *v, const char *tenant, struct view labels_json, const Gcw__Rw2__Histogram *h,
                      bool duplicate, bool out_of_order)
{
    struct buf *out = &v->records;
    size_t start = out->n;
    bool whole = h->count_case != GCW__RW2__HISTOGRAM__COUNT_COUNT_FLOAT;
    bool ok = labels_open(out, "histogram", tenant, labels_json) &&
              buf_printf(out, ",\"schema\":%d,\"reset_hint\":%d", h->schema, (int)h->reset_hint) &&
              counts_put(out, h) && double_put(out, ",\"sum\":", h->sum) &&
              double_put(out, ",\"zero_threshold\":", h->zero_threshold) &&
              buckets_put(out, ",\"positive\":[", h->positive_spans, h->n_positive_spans,
                          whole ? h->positive_deltas : NULL, h->positive_counts) &&
              buckets_put(out, ",\"negative\":[", h->negative_spans, h->n_negative_spans,
                          whole ? h->negative_deltas : NULL, h->negative_counts) &&
              buf_puts(out, ",\"custom_values\":[");
    for (size_t i = 0; i < h->n_custom_values && ok; i++)
        ok = double_put(out, i ? "," : "", h->custom_values[i]);
    ok = ok && buf_puts(out, "]") && times_put(out, h->timestamp, h->start_timestamp, out_of_order);
    ndjson_close(v, start, ok, duplicate);
}

void ndjson_exemplar(struct verdict *v, const char *tenant, struct view labels_json, const struct rw_exemplar *e)
{
    struct buf *out = &v->records;
    size_t start = out->n;
    char value[40];
    value_text(value, e->bits);
    bool ok = labels_open(out, "exemplar", tenant, labels_json) && buf_puts(out, ",\"exemplar\":") &&
              ndjson_pairs(out, e->labels, e->label_count) &&
              buf_printf(out, ",\"value\":\"%s\",\"bits\":\"%016" PRIx64 "\"", value, e->bits) &&
              times_put(out, e->time_ms, 0, false);
    ndjson_close(v, start, ok, false);
}

void ndjson_metadata(struct verdict *v, const char *tenant, const char *type, struct view family, struct view help,
                     struct view unit)
{
    struct buf *out = &v->records;
    size_t start = out->n;
    bool ok = ndjson_open(out, "metadata", tenant) && buf_puts(out, ",\"family\":") && ndjson_string(out, family) &&
              buf_puts(out, ",\"metric_type\":") && ndjson_string(out, view_of(type)) && buf_puts(out, ",\"help\":") &&
              ndjson_string(out, help) && buf_puts(out, ",\"unit\":") && ndjson_string(out, unit);
    ndjson_close(v, start, ok, false);
}

void ndjson_entry(struct verdict *v, const char *tenant, struct view labels_json, int64_t time_ns, struct view line,
                  const struct pair *metadata, size_t n, bool duplicate)
{
    struct buf *out = &v->records;
    size_t start = out->n;
    char time[48];
    snprintf(time, sizeof time, ",\"time_ns\":\"%" PRId64 "\"", time_ns);
    bool ok = ndjson_open(out, "entry", tenant) && buf_puts(out, ",\"labels\":") &&
              buf_append(out, labels_json.p, labels_json.n) && buf_puts(out, time) && buf_puts(out, ",\"line\":") &&
              ndjson_string(out, line) && buf_puts(out, ",\"metadata\":") && ndjson_pairs(out, metadata, n);
    ndjson_close(v, start, ok, duplicate);
}
