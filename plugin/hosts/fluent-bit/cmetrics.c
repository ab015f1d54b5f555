/* CMetrics contexts: each map is a table of the keys that matter. */
#include "hosts/fluent-bit/cmetrics.h"

/* ---- maps by table ------------------------------------------------------------------------------------------------
 */

enum kind {
    TEXT,   /* struct view */
    COUNT,  /* uint64_t; negative ones are absent */
    SIGNED, /* int64_t */
    NUMBER, /* uint64_t: the bits of a double, whatever number it is */
    MAYBE,  /* struct maybe: the same */
    BITS,   /* uint64_t: the bits of a double, written as an integer */
    LIST,   /* struct cmetrics_list, of an array */
    PAIRS,  /* struct cmetrics_list, of a map */
    BYTES   /* struct view: the value's own MessagePack */
};

struct maybe {
    uint64_t bits;
    bool is;
};

struct field {
    const char *name;
    size_t length;
    enum kind kind;
    size_t offset;
};
#define FIELD(name, kind, type, member)                                                                                \
    {                                                                                                                  \
        name, sizeof(name) - 1, kind, offsetof(type, member)                                                           \
    }

uint64_t cmetrics_bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

double cmetrics_double_of(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

/* DOUBLE keeps its bits, whatever they are: a signalling NaN goes through no register that would quieten it. */
static bool number_bits(const struct msgpack_value *v, uint64_t *bits)
{
    if (v->type == MSGPACK_DOUBLE)
        *bits = v->number;
    else if (v->type == MSGPACK_UINT || v->type == MSGPACK_INT)
        *bits = cmetrics_bits_of(msgpack_double(v));
    else
        return false;
    return true;
}

static void list_set(struct cmetrics_list *l, const struct msgpack *at, uint32_t count)
{
    *l = (struct cmetrics_list){*at, count};
}

/* `after` is the reader behind the value's head; `bytes` all of the value. */
static void field_set(enum kind kind, void *to, const struct msgpack_value *v, const struct msgpack *after,
                      struct view bytes)
{
    uint64_t *number = to;
    switch (kind) {
    case TEXT:
        if (v->type == MSGPACK_STR || v->type == MSGPACK_BIN)
            *(struct view *)to = v->bytes;
        return;
    case COUNT:
        if (v->type == MSGPACK_UINT)
            *number = v->number;
        return;
    case SIGNED:
        if (v->type == MSGPACK_UINT || v->type == MSGPACK_INT)
            *number = v->number;
        return;
    case NUMBER:
        (void)number_bits(v, number);
        return;
    case MAYBE:
        ((struct maybe *)to)->is = number_bits(v, &((struct maybe *)to)->bits);
        return;
    case BITS:
        if (v->type == MSGPACK_UINT || v->type == MSGPACK_DOUBLE)
            *number = v->number;
        return;
    case LIST:
        if (v->type == MSGPACK_ARRAY)
            list_set(to, after, v->count);
        return;
    case PAIRS:
        if (v->type == MSGPACK_MAP)
            list_set(to, after, v->count);
        return;
    case BYTES:
        *(struct view *)to = bytes;
        return;
    }
}

/* Encoders write keys in the order of the table, so the one behind the last one found is looked at first. */
static const struct field *field_find(const struct field *fields, size_t count, size_t *expected, struct view key)
{
    for (size_t k = 0; k < count; k++) {
        size_t i = *expected + k < count ? *expected + k : *expected + k - count;
        if (fields[i].length == key.n && memcmp(fields[i].name, key.p, key.n) == 0) {
            *expected = i + 1 < count ? i + 1 : 0;
            return &fields[i];
        }
    }
    return NULL;
}

/* The pairs of a map whose head was read already. False: the bytes end too early, or are none of MessagePack. */
static bool pairs_read(struct msgpack *m, uint32_t pairs, const struct field *fields, size_t count, void *out)
{
    size_t expected = 0;
    for (uint32_t i = 0; i < pairs; i++) {
        struct msgpack_value key, v;
        if (!msgpack_next(m, &key))
            return false;
        const struct field *f = NULL;
        if (key.type == MSGPACK_STR)
            f = field_find(fields, count, &expected, key.bytes);
        else if (!msgpack_skip_rest(m, &key))
            return false;
        const char *start = (const char *)m->p;
        if (!msgpack_next(m, &v))
            return false;
        struct msgpack after = *m;
        if ((v.type == MSGPACK_ARRAY || v.type == MSGPACK_MAP) && !msgpack_skip_rest(m, &v))
            return false;
        if (f)
            field_set(f->kind, (char *)out + f->offset, &v, &after,
                      view_make(start, (size_t)((const char *)m->p - start)));
    }
    return true;
}

/* A whole map; a value that is none is passed over. */
static bool map_read(struct msgpack *m, const struct field *fields, size_t count, void *out)
{
    struct msgpack_value head;
    if (!msgpack_next(m, &head))
        return false;
    if (head.type != MSGPACK_MAP)
        return msgpack_skip_rest(m, &head);
    return pairs_read(m, head.count, fields, count, out);
}

static bool bytes_read(struct view bytes, const struct field *fields, size_t count, void *out)
{
    if (bytes.n == 0)
        return false;
    struct msgpack m = msgpack_over(bytes.p, bytes.n);
    return map_read(&m, fields, count, out);
}

static bool list_read(const struct cmetrics_list *l, const struct field *fields, size_t count, void *out)
{
    struct msgpack m = l->at;
    return pairs_read(&m, l->count, fields, count, out);
}

/* ---- context ------------------------------------------------------------------------------------------------------
 */

/* ---- one walk over all of a context: it is sound to its end, and these are its parts and its newest time
 * ----------------- */

/* What to do with the value of a key; it moves past that value. `v` is its head. */
typedef bool (*visit)(struct msgpack *m, struct view key, const struct msgpack_value *v, void *ctx);

/* The value at m: each pair of a map is visited, anything else passed over. */
static bool pairs_visit(struct msgpack *m, const struct msgpack_value *head, visit each, void *ctx)
{
    if (head->type != MSGPACK_MAP)
        return msgpack_skip_rest(m, head);
    for (uint32_t i = 0; i < head->count; i++) {
        struct msgpack_value key, v;
        if (!msgpack_next(m, &key) || !msgpack_skip_rest(m, &key) || !msgpack_next(m, &v))
            return false;
        if (!each(m, key.type == MSGPACK_STR ? key.bytes : view_make("", 0), &v, ctx))
            return false;
    }
    return true;
}

static bool items_visit(struct msgpack *m, const struct msgpack_value *array, visit each, void *ctx)
{
    for (uint32_t i = 0; i < array->count; i++) {
        struct msgpack_value v;
        if (!msgpack_next(m, &v) || !pairs_visit(m, &v, each, ctx))
            return false;
    }
    return true;
}

static inline bool key_is(struct view key, const char *name, size_t n)
{
    return key.n == n && memcmp(key.p, name, n) == 0;
}

static bool value_visit(struct msgpack *m, struct view key, const struct msgpack_value *v, void *ctx)
{
    uint64_t *newest = ctx;
    if (v->type == MSGPACK_UINT && key_is(key, "ts", 2))
        *newest = MAX(*newest, v->number);
    return msgpack_skip_rest(m, v);
}

static bool metric_visit(struct msgpack *m, struct view key, const struct msgpack_value *v, void *ctx)
{
    if (v->type == MSGPACK_ARRAY && key_is(key, "values", 6))
        return items_visit(m, v, value_visit, ctx);
    return msgpack_skip_rest(m, v);
}

struct context_parts {
    struct cmetrics_list meta, metrics;
    uint64_t newest_ns;
};

static bool context_visit(struct msgpack *m, struct view key, const struct msgpack_value *v, void *ctx)
{
    struct context_parts *p = ctx;
    if (v->type == MSGPACK_ARRAY && key_is(key, "metrics", 7)) {
        list_set(&p->metrics, m, v->count);
        return items_visit(m, v, metric_visit, &p->newest_ns);
    }
    if (v->type == MSGPACK_MAP && key_is(key, "meta", 4))
        list_set(&p->meta, m, v->count);
    return msgpack_skip_rest(m, v);
}

/* ---- context ------------------------------------------------------------------------------------------------------
 */

/* From outside in: meta {cmetrics {producer}, external {resource {attributes}}, processing {static_labels}}. */
static void context_meta_read(const struct cmetrics_list *meta, struct cmetrics_context *out)
{
    struct parts {
        struct cmetrics_list cmetrics, external, processing, resource;
        struct view producer;
    } p = {0};
    static const struct field parts[] = {FIELD("cmetrics", PAIRS, struct parts, cmetrics),
                                         FIELD("external", PAIRS, struct parts, external),
                                         FIELD("processing", PAIRS, struct parts, processing)};
    static const struct field producer[] = {FIELD("producer", TEXT, struct parts, producer)};
    static const struct field resource[] = {FIELD("resource", PAIRS, struct parts, resource)};
    static const struct field attributes[] = {FIELD("attributes", PAIRS, struct cmetrics_context, resource)};
    static const struct field statics[] = {FIELD("static_labels", LIST, struct cmetrics_context, statics)};
    list_read(meta, parts, ARRAY_LEN(parts), &p);
    list_read(&p.cmetrics, producer, 1, &p);
    list_read(&p.external, resource, 1, &p);
    list_read(&p.resource, attributes, 1, out);
    list_read(&p.processing, statics, 1, out);
    out->otlp = view_is(p.producer, "opentelemetry");
}

enum cmetrics_found cmetrics_context_read(struct msgpack *m, struct cmetrics_context *out)
{
    struct context_parts parts = {0};
    struct msgpack_value head;
    struct msgpack at = *m;
    *out = (struct cmetrics_context){0};
    if (!msgpack_next(&at, &head) || !pairs_visit(&at, &head, context_visit, &parts))
        return CMETRICS_DAMAGED;
    *m = at;
    out->metrics = parts.metrics;
    out->newest_ns = parts.newest_ns;
    context_meta_read(&parts.meta, out);
    return parts.metrics.at.p ? CMETRICS_CONTEXT : CMETRICS_OTHER;
}

/* ---- metric -------------------------------------------------------------------------------------------------------
 */

bool cmetrics_metric_read(struct msgpack *m, struct cmetrics_metric *out)
{
    static const struct field fields[] = {FIELD("meta", BYTES, struct cmetrics_metric, meta),
                                          FIELD("values", LIST, struct cmetrics_metric, values)};
    *out = (struct cmetrics_metric){0};
    return map_read(m, fields, ARRAY_LEN(fields), out);
}

bool cmetrics_meta_read(struct view meta, struct cmetrics_meta *out)
{
    struct parts {
        struct cmetrics_list opts;
    } p = {0};
    static const struct field outer[] = {FIELD("opts", PAIRS, struct parts, opts)};
    static const struct field fields[] = {
        FIELD("type", COUNT, struct cmetrics_meta, type),
        FIELD("labels", LIST, struct cmetrics_meta, keys),
        FIELD("buckets", LIST, struct cmetrics_meta, buckets),
        FIELD("quantiles", LIST, struct cmetrics_meta, quantiles),
        FIELD("aggregation_type", COUNT, struct cmetrics_meta, aggregation),
    };
    static const struct field opts[] = {
        FIELD("ns", TEXT, struct cmetrics_meta, ns),     FIELD("ss", TEXT, struct cmetrics_meta, subsystem),
        FIELD("name", TEXT, struct cmetrics_meta, name), FIELD("desc", TEXT, struct cmetrics_meta, description),
        FIELD("unit", TEXT, struct cmetrics_meta, unit),
    };
    *out = (struct cmetrics_meta){.type = CMETRICS_TYPES};
    return bytes_read(meta, outer, 1, &p) && bytes_read(meta, fields, ARRAY_LEN(fields), out) &&
           list_read(&p.opts, opts, ARRAY_LEN(opts), out);
}

/* ---- values -------------------------------------------------------------------------------------------------------
 */

struct value_parts {
    struct cmetrics_value value;
    struct maybe number, int64, uint64; /* integers are rounded as `number` is: twice the same */
    uint64_t type;
};

bool cmetrics_value_read(struct msgpack *m, struct cmetrics_value *out)
{
    static const struct field fields[] = {
        FIELD("ts", COUNT, struct value_parts, value.ts_ns),
        FIELD("value", MAYBE, struct value_parts, number),
        FIELD("labels", BYTES, struct value_parts, value.labels),
        FIELD("histogram", BYTES, struct value_parts, value.histogram),
        FIELD("summary", BYTES, struct value_parts, value.summary),
        FIELD("exp_histogram", BYTES, struct value_parts, value.exp_histogram),
        FIELD("value_type", COUNT, struct value_parts, type),
        FIELD("value_int64", MAYBE, struct value_parts, int64),
        FIELD("value_uint64", MAYBE, struct value_parts, uint64),
    };
    struct value_parts p = {0};
    bool sound = map_read(m, fields, ARRAY_LEN(fields), &p);
    const struct maybe *number = p.type == 1 && p.int64.is    ? &p.int64
                                 : p.type == 2 && p.uint64.is ? &p.uint64
                                                              : &p.number;
    *out = p.value;
    out->bits = number->bits;
    out->has_number = number->is;
    return sound;
}

bool cmetrics_histogram_read(struct view body, struct cmetrics_histogram *out)
{
    static const struct field fields[] = {FIELD("buckets", LIST, struct cmetrics_histogram, buckets),
                                          FIELD("sum", NUMBER, struct cmetrics_histogram, sum_bits),
                                          FIELD("count", COUNT, struct cmetrics_histogram, count)};
    *out = (struct cmetrics_histogram){0};
    return bytes_read(body, fields, ARRAY_LEN(fields), out);
}

bool cmetrics_summary_read(struct view body, struct cmetrics_summary *out)
{
    static const struct field fields[] = {FIELD("quantiles_set", COUNT, struct cmetrics_summary, quantiles_set),
                                          FIELD("quantiles", LIST, struct cmetrics_summary, quantiles),
                                          FIELD("count", COUNT, struct cmetrics_summary, count),
                                          FIELD("sum", BITS, struct cmetrics_summary, sum_bits)};
    *out = (struct cmetrics_summary){0};
    return bytes_read(body, fields, ARRAY_LEN(fields), out);
}

bool cmetrics_exp_histogram_read(struct view body, struct cmetrics_exp_histogram *out)
{
    static const struct field fields[] = {
        FIELD("scale", SIGNED, struct cmetrics_exp_histogram, scale),
        FIELD("zero_count", COUNT, struct cmetrics_exp_histogram, zero_count),
        FIELD("zero_threshold", NUMBER, struct cmetrics_exp_histogram, zero_threshold_bits),
        FIELD("positive_offset", SIGNED, struct cmetrics_exp_histogram, positive_offset),
        FIELD("positive_buckets", LIST, struct cmetrics_exp_histogram, positive),
        FIELD("negative_offset", SIGNED, struct cmetrics_exp_histogram, negative_offset),
        FIELD("negative_buckets", LIST, struct cmetrics_exp_histogram, negative),
        FIELD("count", COUNT, struct cmetrics_exp_histogram, count),
        FIELD("sum_set", COUNT, struct cmetrics_exp_histogram, sum_set),
        FIELD("sum", BITS, struct cmetrics_exp_histogram, sum_bits),
    };
    *out = (struct cmetrics_exp_histogram){0};
    return bytes_read(body, fields, ARRAY_LEN(fields), out);
}

/* ---- items --------------------------------------------------------------------------------------------------------
 */

static bool item(struct msgpack *m, struct msgpack_value *v) { return msgpack_next(m, v) && msgpack_skip_rest(m, v); }

struct view cmetrics_text(struct msgpack *m)
{
    struct msgpack_value v;
    bool text = item(m, &v) && (v.type == MSGPACK_STR || v.type == MSGPACK_BIN);
    return text ? v.bytes : view_make(NULL, 0);
}

uint64_t cmetrics_count(struct msgpack *m)
{
    struct msgpack_value v;
    return item(m, &v) && v.type == MSGPACK_UINT ? v.number : 0;
}

uint64_t cmetrics_bits(struct msgpack *m)
{
    struct msgpack_value v;
    uint64_t bits = 0;
    if (item(m, &v))
        (void)number_bits(&v, &bits);
    return bits;
}
