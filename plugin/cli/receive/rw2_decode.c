/* Series of a remote write 2.0 message: references become texts, metadata of series that of families. */
#include <inttypes.h>

#include "cli/receive/rw_fill.h"
#include "model/model.h"

static struct view symbol(const struct rw_request *r, uint32_t ref) { return r->scan->symbols.p[ref]; }

static bool refs_check(const struct rw_request *r, const uint32_t *refs, size_t n, const char *what, struct verdict *v)
{
    if (n % 2 != 0)
        return verdict_refuse(v, 400, "%s: an odd number of references", what);
    for (size_t i = 0; i < n; i++)
        if (refs[i] >= r->scan->symbols.n)
            return verdict_refuse(v, 400, "%s: reference %" PRIu32 " is past the %zu symbols", what, refs[i],
                                  r->scan->symbols.n);
    return true;
}

/* What the specification says MUST of the table; that each text stands there once is a MUST as well. */
static bool symbols_check(const struct limits *l, const struct rw_request *r, struct verdict *v)
{
    const struct wire_texts *t = &r->scan->symbols;
    struct fingerprints seen = {0};
    bool once = true;
    if (t->n == 0 || t->p[0].n != 0)
        return verdict_refuse(v, 400, "the first symbol must be the empty text");
    for (size_t i = 0; i < t->n && once && l->v[METRICS_STRICT]; i++) {
        uint64_t hash = hash_bytes(t->p[i].p, t->p[i].n, 1);
        once = !fingerprint_has(&seen, hash) && fingerprint_add(&seen, hash);
        if (!once)
            verdict_refuse(v, 400, "the symbol \"%.*s\" stands in the table twice (strict)", VIEW_ARG(t->p[i]));
    }
    fingerprints_free(&seen);
    return once;
}

static bool entry_check(const struct rw_request *r, const Gcw__Rw2__TimeSeries *ts, struct verdict *v)
{
    if (!refs_check(r, ts->labels_refs, ts->n_labels_refs, "labels_refs", v))
        return false;
    for (size_t k = 0; k < ts->n_exemplars; k++)
        if (!refs_check(r, ts->exemplars[k]->labels_refs, ts->exemplars[k]->n_labels_refs, "exemplar", v))
            return false;
    const Gcw__Rw2__Metadata *m = ts->metadata;
    if (m && (m->help_ref >= r->scan->symbols.n || m->unit_ref >= r->scan->symbols.n))
        return verdict_refuse(v, 400, "metadata: a reference past the %zu symbols", r->scan->symbols.n);
    if (ts->n_samples > 0 && ts->n_histograms > 0)
        return verdict_refuse(v, 400, "a TimeSeries with samples and histograms: one kind is allowed");
    return true;
}

struct cursor {
    size_t pair, sample, exemplar;
};

static void entry_fill(const struct limits *l, struct rw_request *r, struct rw_series *s,
                       const Gcw__Rw2__TimeSeries *ts, struct cursor *at)
{
    s->labels = &r->pairs[at->pair];
    for (size_t k = 0; k < ts->n_labels_refs; k += 2)
        rw_label_add(l, s, (struct pair){symbol(r, ts->labels_refs[k]), symbol(r, ts->labels_refs[k + 1])});
    at->pair += ts->n_labels_refs / 2;
    if (!l->v[METRICS_STRICT])
        pairs_sort(s->labels, s->label_count);
    s->samples = &r->samples[at->sample];
    s->sample_count = ts->n_samples;
    for (size_t k = 0; k < ts->n_samples; k++)
        r->samples[at->sample++] = (struct rw_sample){rw_bits(ts->samples[k]->value), ts->samples[k]->timestamp,
                                                      ts->samples[k]->start_timestamp};
    s->histograms = ts->histograms;
    s->histogram_count = ts->n_histograms;
    s->exemplars = &r->exemplars[at->exemplar];
    s->exemplar_count = ts->n_exemplars;
    for (size_t k = 0; k < ts->n_exemplars; k++) {
        const Gcw__Rw2__Exemplar *e = ts->exemplars[k];
        r->exemplars[at->exemplar++] =
            (struct rw_exemplar){&r->pairs[at->pair], e->n_labels_refs / 2, rw_bits(e->value), e->timestamp};
        for (size_t i = 0; i < e->n_labels_refs; i += 2)
            r->pairs[at->pair++] = (struct pair){symbol(r, e->labels_refs[i]), symbol(r, e->labels_refs[i + 1])};
    }
}

/* Each metric name once. */
static bool metadata_fill(struct rw_request *r, struct verdict *v)
{
    struct fingerprints seen = {0};
    bool ok = true;
    r->metadata_count = 0;
    for (size_t i = 0; i < r->series_count && ok; i++) {
        const Gcw__Rw2__Metadata *m = r->message2->timeseries[i]->metadata;
        const struct rw_series *s = &r->series[i];
        struct view name = {0};
        for (size_t k = 0; k < s->label_count; k++)
            if (view_is(s->labels[k].name, "__name__"))
                name = s->labels[k].value;
        uint64_t hash = hash_bytes(name.p, name.n, 1);
        if (!m || name.n == 0 || (m->type == 0 && m->help_ref == 0 && m->unit_ref == 0) || fingerprint_has(&seen, hash))
            continue;
        ok = fingerprint_add(&seen, hash);
        r->metadata[r->metadata_count++] =
            (struct rw_metadata){(int)m->type, name, symbol(r, m->help_ref), symbol(r, m->unit_ref), false};
    }
    fingerprints_free(&seen);
    return ok || verdict_nomem(v);
}

bool rw2_fill(const struct limits *l, struct rw_request *r, struct verdict *v)
{
    size_t pairs = 0, samples = 0, exemplars = 0;
    struct cursor at = {0};
    if (!(r->message2 = gcw__rw2__request__unpack(NULL, r->raw.n, r->raw.p)))
        return verdict_refuse(v, 400, "protobuf: the message can't be decoded");
    if (!symbols_check(l, r, v))
        return false;
    r->series_count = r->metadata_count = r->message2->n_timeseries;
    for (size_t i = 0; i < r->series_count; i++) {
        const Gcw__Rw2__TimeSeries *ts = r->message2->timeseries[i];
        if (!entry_check(r, ts, v))
            return false;
        pairs += ts->n_labels_refs / 2;
        samples += ts->n_samples;
        exemplars += ts->n_exemplars;
        for (size_t k = 0; k < ts->n_exemplars; k++)
            pairs += ts->exemplars[k]->n_labels_refs / 2;
    }
    if (!rw_request_reserve(r, pairs, samples, exemplars, v))
        return false;
    for (size_t i = 0; i < r->series_count; i++)
        entry_fill(l, r, &r->series[i], r->message2->timeseries[i], &at);
    return metadata_fill(r, v);
}
