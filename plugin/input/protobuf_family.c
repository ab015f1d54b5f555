/* A message of the protobuf exposition to samples, in the order that Prometheus gives them: of a summary or a classic
 * histogram the count, the sum, then quantiles or buckets. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "input/protobuf.h"

void family_reader_free(struct family_reader *r)
{
    arena_free(&r->memory);
    arena_free(&r->metric_memory);
    family_free(&r->family);
    free(r->labels);
    buf_free(&r->sample_name);
    buf_free(&r->series);
    buf_free(&r->own);
}

/* ---- complaints ---------------------------------------------------------------------------------------------------
 */

/* About the message, or about the metric of it that is being read. */
PRINTF_LIKE(2, 3) static void complain(struct family_reader *r, const char *fmt, ...)
{
    char what[WHY_BYTES], text[WHY_BYTES + 32], why[WHY_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (r->metric > 0)
        snprintf(text, sizeof text, "metric %zu: %s", r->metric, what);
    else
        snprintf(text, sizeof text, "%s", what);
    text_clean(why, sizeof why, text, strlen(text));
    if (r->handler.malformed)
        r->handler.malformed(r->handler.user, r->number, why, r->name);
}

/* Unpacking failed: as the message is broken, or as memory ran out. */
static void complain_unpacked(struct family_reader *r, const struct arena *a)
{
    r->nomem |= a->nomem;
    if (a->full)
        complain(r, "too large when unpacked");
    else if (!a->nomem)
        complain(r, "no valid protobuf message %s", r->metric ? "Metric" : "MetricFamily");
}

/* ---- a sample -----------------------------------------------------------------------------------------------------
 */

/* Text between quotes, in a key: so that different series never look the same. */
static bool quoted_put(struct buf *b, struct view v)
{
    bool ok = buf_reserve(b, 2 * v.n);
    for (size_t i = 0; ok && i < v.n; i++) {
        if (v.p[i] == '"' || v.p[i] == '\\')
            b->p[b->n++] = '\\';
        b->p[b->n++] = (uint8_t)v.p[i];
    }
    return ok;
}

static bool label_put(struct buf *b, const char *before, const gcw_label *l)
{
    return buf_puts(b, before) && quoted_put(b, view_make(l->name, l->name_len)) && buf_puts(b, "=\"") &&
           quoted_put(b, view_make(l->value, l->value_len)) && buf_puts(b, "\"");
}

static bool name_make(struct family_reader *r, const char *suffix)
{
    r->sample_name.n = r->series.n = 0;
    if (!buf_append(&r->sample_name, r->name.p, r->name.n) || !buf_puts(&r->sample_name, suffix))
        return false;
    r->labels[0] = (gcw_label){"__name__", 8, (const char *)r->sample_name.p, r->sample_name.n};
    return true;
}

/* The key: as the text format has it, `extra` being the last label or NULL. */
static bool series_make(struct family_reader *r, const gcw_label *extra)
{
    struct buf *s = &r->series;
    return quoted_put(s, buf_view(&r->sample_name)) && buf_append(s, r->own.p, r->own.n) &&
           (!extra || label_put(s, r->own.n ? "," : "{", extra)) && buf_puts(s, r->own.n || extra ? "}" : "");
}

/* A sample of the metric at hand, to which what is its own has been added. */
static void emit(struct family_reader *r, const char *suffix, const gcw_label *extra, struct exposition_sample *s)
{
    r->nomem |= !name_make(r, suffix) || !series_make(r, extra);
    if (r->nomem)
        return;
    if (extra)
        r->labels[r->count] = *extra;
    s->labels = r->labels;
    s->count = r->count + (extra ? 1 : 0);
    s->series = buf_view(&r->series);
    r->handler.sample(r->handler.user, s);
}

static void emit_number(struct family_reader *r, const char *suffix, const gcw_label *extra, double value,
                        const proto_exemplar *exemplar)
{
    struct exposition_sample s = r->sample;
    gcw_exemplar e;
    memcpy(&s.value_bits, &value, sizeof value);
    if (exemplar && proto_exemplar_make(&r->metric_memory, exemplar, &e)) {
        s.exemplars = &e;
        s.exemplar_count = 1;
    }
    emit(r, suffix, extra, &s);
}

/* With a label that is a number. */
static void emit_at(struct family_reader *r, const char *suffix, const char *label, double at, double value,
                    const proto_exemplar *exemplar)
{
    char text[LE_MAX];
    le_text(text, at, LE_OPENMETRICS);
    const gcw_label extra = GCW_LABEL(label, text);
    emit_number(r, suffix, &extra, value, exemplar);
}

static void start_set(struct family_reader *r, const proto_time *created)
{
    int64_t ms;
    r->sample.start_ms = created && proto_time_ms(created, &ms) && ms > 0 ? ms : 0;
}

/* ---- the types ----------------------------------------------------------------------------------------------------
 */

static void read_counter(struct family_reader *r, const proto_metric *m)
{
    start_set(r, m->counter->created);
    emit_number(r, "", NULL, m->counter->value, m->counter->exemplar);
}

static void read_gauge(struct family_reader *r, const proto_metric *m)
{
    emit_number(r, "", NULL, m->gauge->value, NULL);
}

static void read_untyped(struct family_reader *r, const proto_metric *m)
{
    emit_number(r, "", NULL, m->untyped->value, NULL);
}

static void read_summary(struct family_reader *r, const proto_metric *m)
{
    const Gcw__Exposition__Summary *s = m->summary;
    start_set(r, s->created);
    emit_number(r, "_count", NULL, (double)s->count, NULL);
    emit_number(r, "_sum", NULL, s->sum, NULL);
    for (size_t i = 0; i < s->n_quantile; i++)
        emit_at(r, "", "quantile", s->quantile[i]->quantile, s->quantile[i]->value, NULL);
}

static double count_of(double float_count, uint64_t count) { return float_count != 0 ? float_count : (double)count; }

static void read_classic(struct family_reader *r, const proto_histogram *h)
{
    const double count = count_of(h->count_float, h->count);
    bool infinite = false;
    emit_number(r, "_count", NULL, count, NULL);
    emit_number(r, "_sum", NULL, h->sum, NULL);
    for (size_t i = 0; i < h->n_bucket && !infinite; i++) {
        const Gcw__Exposition__Bucket *b = h->bucket[i];
        infinite = isinf(b->bound) && b->bound > 0;
        emit_at(r, "_bucket", "le", b->bound, count_of(b->count_float, b->count), b->exemplar);
    }
    if (!infinite)
        emit_at(r, "_bucket", "le", (double)INFINITY, count, NULL);
}

static void read_native(struct family_reader *r, const proto_histogram *h)
{
    gcw_histogram native;
    struct arena *a = &r->metric_memory;
    const char *why = proto_native(a, h, r->type == GCW__EXPOSITION__METRIC_TYPE__GAUGE_HISTOGRAM, &native);
    struct exposition_sample s = r->sample;
    if (!why)
        s.exemplars = proto_native_exemplars(a, h, &s.exemplar_count);
    s.histogram = &native;
    if (a->full || a->nomem)
        complain_unpacked(r, a);
    else if (why)
        complain(r, "a native histogram: %s", why);
    else
        emit(r, "", NULL, &s);
}

static void read_histogram(struct family_reader *r, const proto_metric *m)
{
    const proto_histogram *h = m->histogram;
    const bool native = proto_is_native(h) && r->histograms != HISTOGRAMS_CLASSIC;
    start_set(r, h->created);
    if (native)
        read_native(r, h);
    if (!native || (r->histograms == HISTOGRAMS_BOTH && h->n_bucket > 0))
        read_classic(r, h);
}

static const struct type {
    gcw_metric_type type;
    size_t at; /* the field of a metric that must be there */
    void (*read)(struct family_reader *r, const proto_metric *m);
    const char *name;
} types[] = {
    [GCW__EXPOSITION__METRIC_TYPE__COUNTER] = {GCW_TYPE_COUNTER, offsetof(proto_metric, counter), read_counter,
                                               "counter"},
    [GCW__EXPOSITION__METRIC_TYPE__GAUGE] = {GCW_TYPE_GAUGE, offsetof(proto_metric, gauge), read_gauge, "gauge"},
    [GCW__EXPOSITION__METRIC_TYPE__SUMMARY] = {GCW_TYPE_SUMMARY, offsetof(proto_metric, summary), read_summary,
                                               "summary"},
    [GCW__EXPOSITION__METRIC_TYPE__UNTYPED] = {GCW_TYPE_UNKNOWN, offsetof(proto_metric, untyped), read_untyped,
                                               "untyped"},
    [GCW__EXPOSITION__METRIC_TYPE__HISTOGRAM] = {GCW_TYPE_HISTOGRAM, offsetof(proto_metric, histogram), read_histogram,
                                                 "histogram"},
    [GCW__EXPOSITION__METRIC_TYPE__GAUGE_HISTOGRAM] = {GCW_TYPE_GAUGEHISTOGRAM, offsetof(proto_metric, histogram),
                                                       read_histogram, "histogram"},
};

/* ---- a metric -----------------------------------------------------------------------------------------------------
 */

/* Room for the name, `count` labels, and le or quantile. */
static bool labels_room(struct family_reader *r, size_t count)
{
    if (count > SIZE_MAX / sizeof *r->labels - 2)
        return false;
    if (r->label_cap >= count + 2)
        return true;
    gcw_label *more = realloc(r->labels, (count + 2) * sizeof *more);
    if (!more)
        return false;
    r->labels = more;
    r->label_cap = count + 2;
    return true;
}

static bool label_check(struct family_reader *r, const gcw_label *l)
{
    const struct view name = view_make(l->name, l->name_len);
    if (name.n == 0)
        complain(r, "an empty label name");
    else if (!utf8_valid(name.p, name.n))
        complain(r, "a label name is not valid UTF-8");
    else if (is_name_label(name))
        complain(r, "__name__ among the labels");
    else if (!utf8_valid(l->value, l->value_len))
        complain(r, "the value of label %.*s is not valid UTF-8", VIEW_ARG(name));
    else
        return true;
    return false;
}

static bool labels_read(struct family_reader *r, const proto_metric *m)
{
    r->count = 1;
    r->own.n = 0;
    if (!labels_room(r, m->n_label)) {
        r->nomem = true;
        return false;
    }
    for (size_t i = 0; i < m->n_label; i++) {
        const struct view name = proto_view(m->label[i]->name), value = proto_view(m->label[i]->value);
        gcw_label *l = &r->labels[r->count++];
        *l = (gcw_label){name.p ? name.p : "", name.n, value.p ? value.p : "", value.n};
        if (!label_check(r, l))
            return false;
        if (!label_put(&r->own, r->own.n ? "," : "{", l)) {
            r->nomem = true;
            return false;
        }
    }
    return true;
}

static void metric_read(struct family_reader *r, struct view packed)
{
    const struct type *type = &types[r->type];
    arena_reset(&r->metric_memory);
    ProtobufCAllocator memory = arena_allocator(&r->metric_memory);
    const proto_metric *m = gcw__exposition__metric__unpack(&memory, packed.n, (const uint8_t *)packed.p);
    const void *value = NULL;
    if (!m) {
        complain_unpacked(r, &r->metric_memory);
        return;
    }
    if (!labels_read(r, m))
        return;
    memcpy(&value, (const char *)m + type->at, sizeof value);
    if (!value) {
        complain(r, "no %s in it", type->name);
        return;
    }
    r->sample =
        (struct exposition_sample){.number = r->number, .has_time = m->timestamp_ms != 0, .time_ms = m->timestamp_ms};
    type->read(r, m);
}

/* ---- the family ---------------------------------------------------------------------------------------------------
 */

static bool family_check(struct family_reader *r, const proto_family *f)
{
    const struct view help = proto_view(f->help), unit = proto_view(f->unit);
    if (r->name.n == 0)
        complain(r, "a family without a name");
    else if (!utf8_valid(r->name.p, r->name.n) || memchr(r->name.p, 0, r->name.n))
        complain(r, "the name is not valid UTF-8, or has a NUL in it");
    else if (!utf8_valid(help.p, help.n) || !utf8_valid(unit.p, unit.n) || (unit.n && memchr(unit.p, 0, unit.n)))
        complain(r, "help or unit is not valid UTF-8");
    else if (r->type < 0 || (size_t)r->type >= ARRAY_LEN(types))
        complain(r, "unknown type %d", r->type);
    else
        return true;
    return false;
}

void family_read(struct family_reader *r, uint64_t number, struct view message)
{
    arena_reset(&r->memory);
    ProtobufCAllocator memory = arena_allocator(&r->memory);
    const proto_family *f =
        gcw__exposition__metric_family__unpack(&memory, message.n, (const uint8_t *)(message.n ? message.p : ""));
    r->number = number;
    r->metric = 0;
    r->name = view_of("");
    if (!f) {
        complain_unpacked(r, &r->memory);
        return;
    }
    if (f->n_metric == 0) /* Prometheus passes over such families */
        return;
    r->name = proto_view(f->name);
    r->type = (int)f->type;
    if (!family_check(r, f))
        return;
    const struct family_facts facts = {types[r->type].type, r->name, proto_view(f->help), proto_view(f->unit)};
    r->nomem |= !family_tell(&r->family, &facts, &r->handler);
    for (size_t i = 0; i < f->n_metric && !r->nomem; i++) {
        r->metric = i + 1;
        metric_read(r, proto_view(f->metric[i]));
    }
    arena_reset(&r->memory);
    arena_reset(&r->metric_memory);
}
