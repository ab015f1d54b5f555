/* What was accepted, one JSON object a line. Values are text, so that NaN and infinities have a place, and the bits
 * stand beside them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/receive/verdict.h"

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

void ndjson_sample(struct verdict *v, const char *tenant, struct view labels_json, uint64_t bits, int64_t time_ms,
                   bool duplicate, bool out_of_order)
{
    struct buf *out = &v->records;
    size_t start = out->n;
    char value[40], tail[160];
    value_text(value, bits);
    snprintf(tail, sizeof tail, ",\"value\":\"%s\",\"bits\":\"%016" PRIx64 "\",\"time_ms\":%" PRId64 "%s", value, bits,
             time_ms, out_of_order ? ",\"out_of_order\":true" : "");
    bool ok = ndjson_open(out, "sample", tenant) && buf_puts(out, ",\"labels\":") &&
              buf_append(out, labels_json.p, labels_json.n) && buf_puts(out, tail);
    ndjson_close(v, start, ok, duplicate);
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
