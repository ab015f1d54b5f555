/* Native histograms and exemplars of the protobuf exposition, made ours. */
#include <stdlib.h>

#include "input/protobuf.h"

bool proto_is_native(const proto_histogram *h)
{
    return h->n_positive_span > 0 || h->n_negative_span > 0 || h->zero_threshold > 0 || h->zero_count > 0;
}

/* ---- buckets ------------------------------------------------------------------------------------------------------
 */

/* One side as it was sent. */
struct side {
    Gcw__Exposition__Span **spans;
    size_t span_count;
    const int64_t *deltas;
    const double *counts; /* of a float histogram */
    size_t count;         /* of either */
};

/* Where buckets are added. */
struct making {
    gcw_span *spans;
    uint64_t *counts;
    double *float_counts;
    gcw_buckets *out;
    int64_t next; /* index behind the last one */
};

static bool index_add(struct making *m, int64_t index)
{
    int64_t gap = index - m->next;
    bool first = m->out->span_count == 0;
    if (first || gap > 0) {
        if (gap > INT32_MAX || gap < INT32_MIN)
            return false;
        m->spans[m->out->span_count++] = (gcw_span){(int32_t)gap, 0};
    }
    m->spans[m->out->span_count - 1].length++;
    m->next = index + 1;
    return true;
}

static const char *buckets_add(struct making *m, const struct side *s)
{
    static const char *const apart = "its buckets lie too far apart";
    int64_t index = 0, so_far = 0;
    size_t k = 0;
    for (size_t i = 0; i < s->span_count; i++) {
        if (i > 0 && s->spans[i]->offset < 0)
            return "a span behind the first has a negative offset";
        index += s->spans[i]->offset;
        for (uint32_t n = 0; n < s->spans[i]->length; n++, k++, index++) {
            if (!s->counts && (__builtin_add_overflow(so_far, s->deltas[k], &so_far) || so_far < 0))
                return "a bucket's count is negative or too large";
            if (s->counts ? s->counts[k] == 0 : so_far == 0)
                continue;
            if (!index_add(m, index))
                return apart;
            if (s->counts)
                m->float_counts[m->out->count++] = s->counts[k];
            else
                m->counts[m->out->count++] = (uint64_t)so_far;
        }
    }
    return NULL;
}

static const char *side_make(struct arena *a, const struct side *s, bool is_float, gcw_buckets *out)
{
    uint64_t length = 0;
    for (size_t i = 0; i < s->span_count; i++)
        length += s->spans[i]->length;
    if (length != s->count)
        return "the spans' lengths do not add up to the number of buckets";
    struct making m = {.spans = arena_alloc(a, MAX(s->count, (size_t)1) * sizeof *m.spans), .out = out};
    void *counts = arena_alloc(a, MAX(s->count, (size_t)1) * sizeof(uint64_t));
    if (!m.spans || !counts)
        return "";
    *out = (gcw_buckets){.spans = m.spans};
    if (is_float)
        out->float_counts = m.float_counts = counts;
    else
        out->counts = m.counts = counts;
    return buckets_add(&m, s);
}

const char *proto_native(struct arena *a, const proto_histogram *h, bool gauge, gcw_histogram *out)
{
    const bool is_float = h->count_float > 0 || h->zero_count_float > 0;
    static const double none;
    struct side positive = {h->positive_span, h->n_positive_span, h->positive_delta, NULL, h->n_positive_delta};
    struct side negative = {h->negative_span, h->n_negative_span, h->negative_delta, NULL, h->n_negative_delta};
    if (is_float) {
        positive.counts = h->n_positive_count ? h->positive_count : &none;
        positive.count = h->n_positive_count;
        negative.counts = h->n_negative_count ? h->negative_count : &none;
        negative.count = h->n_negative_count;
    }
    *out = (gcw_histogram){.schema = h->schema,
                           .is_float = is_float,
                           .reset_hint = gauge ? GCW_RESET_GAUGE : GCW_RESET_UNKNOWN,
                           .count = is_float ? 0 : h->count,
                           .count_float = is_float ? h->count_float : 0,
                           .sum = h->sum,
                           .zero_threshold = h->zero_threshold,
                           .zero_count = is_float ? 0 : h->zero_count,
                           .zero_count_float = is_float ? h->zero_count_float : 0};
    const char *why = side_make(a, &positive, is_float, &out->positive);
    return why ? why : side_make(a, &negative, is_float, &out->negative);
}

/* ---- exemplars ----------------------------------------------------------------------------------------------------
 */

bool proto_time_ms(const proto_time *t, int64_t *ms)
{
    return !__builtin_mul_overflow(t->seconds, (int64_t)1000, ms) &&
           !__builtin_add_overflow(*ms, (int64_t)(t->nanos / 1000000), ms);
}

bool proto_exemplar_make(struct arena *a, const proto_exemplar *e, gcw_exemplar *out)
{
    gcw_label *labels = arena_alloc(a, MAX(e->n_label, (size_t)1) * sizeof *labels);
    *out = (gcw_exemplar){labels, e->n_label, e->value, EXPOSITION_NO_TIME};
    for (size_t i = 0; labels && i < e->n_label; i++) {
        const struct view name = proto_view(e->label[i]->name), value = proto_view(e->label[i]->value);
        labels[i] = (gcw_label){name.p ? name.p : "", name.n, value.p ? value.p : "", value.n};
    }
    return labels && (!e->timestamp || proto_time_ms(e->timestamp, &out->time_ms));
}

static int by_time(const void *x, const void *y)
{
    const gcw_exemplar *a = x, *b = y;
    if (a->time_ms != b->time_ms)
        return a->time_ms < b->time_ms ? -1 : 1;
    return (a->value > b->value) - (a->value < b->value);
}

gcw_exemplar *proto_native_exemplars(struct arena *a, const proto_histogram *h, size_t *count)
{
    const bool own = h->n_exemplars > 0;
    const size_t n = own ? h->n_exemplars : h->n_bucket;
    gcw_exemplar *out = n ? arena_alloc(a, n * sizeof *out) : NULL;
    *count = 0;
    for (size_t i = 0; out && i < n; i++) {
        const proto_exemplar *e = own ? h->exemplars[i] : h->bucket[i]->exemplar;
        if (e && e->timestamp && proto_exemplar_make(a, e, &out[*count]))
            ++*count;
    }
    if (*count > 1)
        qsort(out, *count, sizeof *out, by_time);
    return out;
}
