/* The strict walk over a remote write message, driven by one table of the fields the schemas know
 * (https://prometheus.io/docs/specs/prw/remote_write_spec/ and remote_write_spec_2_0/, prometheus prompb/). */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/receive/unpack.h"

enum message {
    WRITE_REQUEST,
    TIME_SERIES,
    LABEL,
    SAMPLE,
    EXEMPLAR,
    EXEMPLAR_LABEL,
    METADATA,
    REQUEST_2,
    TIME_SERIES_2,
    SAMPLE_2,
    EXEMPLAR_2,
    METADATA_2,
    HISTOGRAM,
    SPAN,
    MESSAGE_COUNT
};
enum field_kind { KIND_MESSAGE, KIND_TEXT, KIND_SYMBOL, KIND_VARINT, KIND_DOUBLE, KIND_PACKED, KIND_PACKED_DOUBLE };

static const char *const message_names[MESSAGE_COUNT] = {"prometheus.WriteRequest",
                                                         "prometheus.TimeSeries",
                                                         "prometheus.Label",
                                                         "prometheus.Sample",
                                                         "prometheus.Exemplar",
                                                         "prometheus.Label",
                                                         "prometheus.MetricMetadata",
                                                         "write.v2.Request",
                                                         "write.v2.TimeSeries",
                                                         "write.v2.Sample",
                                                         "write.v2.Exemplar",
                                                         "write.v2.Metadata",
                                                         "Histogram",
                                                         "BucketSpan"};

struct field {
    enum message in;
    uint32_t number;
    enum field_kind kind;
    enum message child; /* KIND_MESSAGE */
    int text;           /* KIND_TEXT: which of the message's texts */
    uint64_t max;       /* KIND_VARINT: largest value; 0 = any */
    const char *name;
};

static const struct field fields[] = {
    {WRITE_REQUEST, 1, KIND_MESSAGE, TIME_SERIES, 0, 0, "timeseries"},
    {WRITE_REQUEST, 3, KIND_MESSAGE, METADATA, 0, 0, "metadata"},
    {TIME_SERIES, 1, KIND_MESSAGE, LABEL, 0, 0, "labels"},
    {TIME_SERIES, 2, KIND_MESSAGE, SAMPLE, 0, 0, "samples"},
    {TIME_SERIES, 3, KIND_MESSAGE, EXEMPLAR, 0, 0, "exemplars"},
    {TIME_SERIES, 4, KIND_MESSAGE, HISTOGRAM, 0, 0, "histograms"},
    {LABEL, 1, KIND_TEXT, 0, 0, 0, "name"},
    {LABEL, 2, KIND_TEXT, 0, 1, 0, "value"},
    {EXEMPLAR_LABEL, 1, KIND_TEXT, 0, 0, 0, "name"},
    {EXEMPLAR_LABEL, 2, KIND_TEXT, 0, 1, 0, "value"},
    {SAMPLE, 1, KIND_DOUBLE, 0, 0, 0, "value"},
    {SAMPLE, 2, KIND_VARINT, 0, 0, 0, "timestamp"},
    {EXEMPLAR, 1, KIND_MESSAGE, EXEMPLAR_LABEL, 0, 0, "labels"},
    {EXEMPLAR, 2, KIND_DOUBLE, 0, 0, 0, "value"},
    {EXEMPLAR, 3, KIND_VARINT, 0, 0, 0, "timestamp"},
    {METADATA, 1, KIND_VARINT, 0, 0, 7, "type"},
    {METADATA, 2, KIND_TEXT, 0, 0, 0, "metric_family_name"},
    {METADATA, 4, KIND_TEXT, 0, 1, 0, "help"},
    {METADATA, 5, KIND_TEXT, 0, 2, 0, "unit"},
    {REQUEST_2, 4, KIND_SYMBOL, 0, 0, 0, "symbols"},
    {REQUEST_2, 5, KIND_MESSAGE, TIME_SERIES_2, 0, 0, "timeseries"},
    {TIME_SERIES_2, 1, KIND_PACKED, 0, 0, UINT32_MAX, "labels_refs"},
    {TIME_SERIES_2, 2, KIND_MESSAGE, SAMPLE_2, 0, 0, "samples"},
    {TIME_SERIES_2, 3, KIND_MESSAGE, HISTOGRAM, 0, 0, "histograms"},
    {TIME_SERIES_2, 4, KIND_MESSAGE, EXEMPLAR_2, 0, 0, "exemplars"},
    {TIME_SERIES_2, 5, KIND_MESSAGE, METADATA_2, 0, 0, "metadata"},
    {SAMPLE_2, 1, KIND_DOUBLE, 0, 0, 0, "value"},
    {SAMPLE_2, 2, KIND_VARINT, 0, 0, 0, "timestamp"},
    {SAMPLE_2, 3, KIND_VARINT, 0, 0, 0, "start_timestamp"},
    {EXEMPLAR_2, 1, KIND_PACKED, 0, 0, UINT32_MAX, "labels_refs"},
    {EXEMPLAR_2, 2, KIND_DOUBLE, 0, 0, 0, "value"},
    {EXEMPLAR_2, 3, KIND_VARINT, 0, 0, 0, "timestamp"},
    {METADATA_2, 1, KIND_VARINT, 0, 0, 7, "type"},
    {METADATA_2, 3, KIND_VARINT, 0, 0, UINT32_MAX, "help_ref"},
    {METADATA_2, 4, KIND_VARINT, 0, 0, UINT32_MAX, "unit_ref"},
    {HISTOGRAM, 1, KIND_VARINT, 0, 0, 0, "count_int"},
    {HISTOGRAM, 2, KIND_DOUBLE, 0, 0, 0, "count_float"},
    {HISTOGRAM, 3, KIND_DOUBLE, 0, 0, 0, "sum"},
    {HISTOGRAM, 4, KIND_VARINT, 0, 0, UINT32_MAX, "schema"},
    {HISTOGRAM, 5, KIND_DOUBLE, 0, 0, 0, "zero_threshold"},
    {HISTOGRAM, 6, KIND_VARINT, 0, 0, 0, "zero_count_int"},
    {HISTOGRAM, 7, KIND_DOUBLE, 0, 0, 0, "zero_count_float"},
    {HISTOGRAM, 8, KIND_MESSAGE, SPAN, 0, 0, "negative_spans"},
    {HISTOGRAM, 9, KIND_PACKED, 0, 0, 0, "negative_deltas"},
    {HISTOGRAM, 10, KIND_PACKED_DOUBLE, 0, 0, 0, "negative_counts"},
    {HISTOGRAM, 11, KIND_MESSAGE, SPAN, 0, 0, "positive_spans"},
    {HISTOGRAM, 12, KIND_PACKED, 0, 0, 0, "positive_deltas"},
    {HISTOGRAM, 13, KIND_PACKED_DOUBLE, 0, 0, 0, "positive_counts"},
    {HISTOGRAM, 14, KIND_VARINT, 0, 0, 3, "reset_hint"},
    {HISTOGRAM, 15, KIND_VARINT, 0, 0, 0, "timestamp"},
    {HISTOGRAM, 16, KIND_PACKED_DOUBLE, 0, 0, 0, "custom_values"},
    {HISTOGRAM, 17, KIND_VARINT, 0, 0, 0, "start_timestamp"},
    {SPAN, 1, KIND_VARINT, 0, 0, UINT32_MAX, "offset"},
    {SPAN, 2, KIND_VARINT, 0, 0, UINT32_MAX, "length"},
};

static const uint32_t wire_types[] = {[KIND_MESSAGE] = 2, [KIND_TEXT] = 2,   [KIND_SYMBOL] = 2,       [KIND_VARINT] = 0,
                                      [KIND_DOUBLE] = 1,  [KIND_PACKED] = 2, [KIND_PACKED_DOUBLE] = 2};

struct walk {
    struct wire_scan *scan;
    gcw_error *why;
};

static enum unpack_result fault(const struct walk *w, enum message in, const char *what, const char *name,
                                uint32_t number)
{
    error_set(w->why, GCW_ERR_INVALID, "protobuf: %s: field %" PRIu32 "%s%s%s: %s", message_names[in], number,
              name ? " (" : "", name ? name : "", name ? ")" : "", what);
    return UNPACK_BROKEN;
}

/* At most 10 bytes and 64 bits, in the shortest form. */
static bool varint(struct view *v, uint64_t *out)
{
    uint64_t r = 0;
    for (size_t i = 0; i < 10 && i < v->n; i++) {
        uint8_t b = (uint8_t)v->p[i];
        if (i == 9 && b > 1)
            return false;
        r |= (uint64_t)(b & 0x7f) << (7 * i);
        if (b < 0x80) {
            *out = r;
            *v = view_make(v->p + i + 1, v->n - i - 1);
            return b != 0 || i == 0;
        }
    }
    return false;
}

static const struct field *field_find(enum message in, uint64_t number)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (fields[i].in == in && fields[i].number == number)
            return &fields[i];
    return NULL;
}

/* Room for the texts of one more message; NULL = out of memory. */
static bool texts_add(struct wire_texts *t, size_t n)
{
    if (t->n + n > t->cap) {
        size_t cap = MAX(t->cap * 2, (size_t)64);
        struct view *p = realloc(t->p, cap * sizeof *p);
        if (!p)
            return false;
        t->p = p;
        t->cap = cap;
    }
    memset(&t->p[t->n], 0, n * sizeof *t->p);
    t->n += n;
    return true;
}

static enum unpack_result message_walk(struct walk *w, enum message in, struct view m);

/* The numbers of a packed field. */
static enum unpack_result packed_walk(struct walk *w, const struct field *f, struct view m)
{
    uint64_t n;
    if (f->kind == KIND_PACKED_DOUBLE)
        return m.n % 8 ? fault(w, f->in, "a number is cut off", f->name, f->number) : UNPACK_OK;
    while (m.n > 0)
        if (!varint(&m, &n) || (f->max && n > f->max))
            return fault(w, f->in, "a number is cut off, too long or not in its shortest form", f->name, f->number);
    return UNPACK_OK;
}

/* The value behind a key that was read; moves *m behind it. `first` is where this message's texts begin. */
static enum unpack_result field_walk(struct walk *w, const struct field *f, struct view *m, struct wire_texts *texts,
                                     size_t first)
{
    uint64_t n = 8;
    if (f->kind != KIND_DOUBLE && !varint(m, &n))
        return fault(w, f->in, "a number is cut off, too long or not in its shortest form", f->name, f->number);
    if (f->kind == KIND_VARINT)
        return f->max && n > f->max ? fault(w, f->in, "no such value in the enum", f->name, f->number) : UNPACK_OK;
    if (n > m->n)
        return fault(w, f->in, "reaches beyond the end of the message", f->name, f->number);
    struct view value = view_make(m->p, (size_t)n);
    *m = view_make(m->p + n, m->n - (size_t)n);
    if (f->kind == KIND_TEXT)
        texts->p[first + (size_t)f->text] = value;
    if (f->kind == KIND_SYMBOL) {
        if (!texts_add(&w->scan->symbols, 1))
            return UNPACK_NOMEM;
        w->scan->symbols.p[w->scan->symbols.n - 1] = value;
    }
    if (f->kind == KIND_PACKED || f->kind == KIND_PACKED_DOUBLE)
        return packed_walk(w, f, value);
    return f->kind == KIND_MESSAGE ? message_walk(w, f->child, value) : UNPACK_OK;
}

static enum unpack_result message_walk(struct walk *w, enum message in, struct view m)
{
    struct wire_texts *texts = in == LABEL            ? &w->scan->labels
                               : in == EXEMPLAR_LABEL ? &w->scan->exemplar_labels
                                                      : &w->scan->metadata;
    size_t first = texts->n;
    bool label = in == LABEL || in == EXEMPLAR_LABEL;
    if ((label || in == METADATA) && !texts_add(texts, label ? 2 : 3))
        return UNPACK_NOMEM;
    uint32_t seen = 0; /* bit per field number; none is above 17 */
    while (m.n > 0) {
        uint64_t key;
        if (!varint(&m, &key) || key >> 3 == 0 || key > UINT32_MAX)
            return fault(w, in, "this is no field key", NULL, 0);
        uint32_t number = (uint32_t)(key >> 3);
        const struct field *f = field_find(in, number);
        if (!f)
            return fault(w, in, "unknown field", NULL, number);
        if ((key & 7) != wire_types[f->kind])
            return fault(w, in, "wrong wire type", f->name, number);
        bool repeated = f->kind == KIND_SYMBOL || (f->kind == KIND_MESSAGE && f->child != METADATA_2);
        if (!repeated && (seen & 1u << number))
            return fault(w, in, "stands there twice", f->name, number);
        seen |= 1u << number;
        enum unpack_result r = field_walk(w, f, &m, texts, first);
        if (r != UNPACK_OK)
            return r;
    }
    return UNPACK_OK;
}

enum unpack_result wire_check(struct view message, int version, struct wire_scan *scan, gcw_error *why)
{
    struct walk w = {scan, why};
    return message_walk(&w, version == 2 ? REQUEST_2 : WRITE_REQUEST, message);
}

void wire_scan_free(struct wire_scan *scan)
{
    free(scan->labels.p);
    free(scan->metadata.p);
    free(scan->symbols.p);
    free(scan->exemplar_labels.p);
    *scan = (struct wire_scan){0};
}
