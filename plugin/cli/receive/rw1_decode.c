/* Series of a remote write 1.0 message. */
#include "cli/receive/rw_fill.h"

/* A text of the message: the bytes protobuf-c copied, as many as stood on the wire. */
static struct view text_of(const char *copy, struct view wire) { return view_make(copy, wire.n); }

static struct pair pair_of(const Gcw__Rw1__Label *label, const struct view *wire)
{
    return (struct pair){text_of(label->name, wire[0]), text_of(label->value, wire[1])};
}

/* Where the next pair, sample, exemplar and their labels go. */
struct cursor {
    size_t pair, sample, exemplar, label, exemplar_label;
};

static void samples_fill(struct rw_request *r, struct rw_series *s, const Gcw__Rw1__TimeSeries *ts, struct cursor *at)
{
    s->samples = &r->samples[at->sample];
    s->sample_count = ts->n_samples;
    for (size_t k = 0; k < ts->n_samples; k++, at->sample++)
        r->samples[at->sample] = (struct rw_sample){rw_bits(ts->samples[k]->value), ts->samples[k]->timestamp, 0};
    s->histograms = ts->histograms;
    s->histogram_count = ts->n_histograms;
}

static void exemplars_fill(struct rw_request *r, struct rw_series *s, const Gcw__Rw1__TimeSeries *ts, struct cursor *at)
{
    s->exemplars = &r->exemplars[at->exemplar];
    s->exemplar_count = ts->n_exemplars;
    for (size_t k = 0; k < ts->n_exemplars; k++, at->exemplar++) {
        const Gcw__Rw1__Exemplar *e = ts->exemplars[k];
        r->exemplars[at->exemplar] =
            (struct rw_exemplar){&r->pairs[at->pair], e->n_labels, rw_bits(e->value), e->timestamp};
        for (size_t i = 0; i < e->n_labels; i++, at->exemplar_label++)
            r->pairs[at->pair++] = pair_of(e->labels[i], &r->scan->exemplar_labels.p[2 * at->exemplar_label]);
    }
}

static void series_fill(const struct limits *l, struct rw_request *r)
{
    struct cursor at = {0};
    for (size_t i = 0; i < r->series_count; i++) {
        const Gcw__Rw1__TimeSeries *ts = r->message1->timeseries[i];
        struct rw_series *s = &r->series[i];
        s->labels = &r->pairs[at.pair];
        for (size_t k = 0; k < ts->n_labels; k++, at.label++)
            rw_label_add(l, s, pair_of(ts->labels[k], &r->scan->labels.p[2 * at.label]));
        at.pair += ts->n_labels;
        if (!l->v[METRICS_STRICT])
            pairs_sort(s->labels, s->label_count);
        samples_fill(r, s, ts, &at);
        exemplars_fill(r, s, ts, &at);
    }
}

static void metadata_fill(struct rw_request *r)
{
    for (size_t i = 0; i < r->metadata_count; i++) {
        const Gcw__Rw1__MetricMetadata *m = r->message1->metadata[i];
        const struct view *wire = &r->scan->metadata.p[3 * i];
        r->metadata[i] = (struct rw_metadata){.type = (int)m->type,
                                              .family = text_of(m->metric_family_name, wire[0]),
                                              .help = text_of(m->help, wire[1]),
                                              .unit = text_of(m->unit, wire[2])};
    }
}

bool rw1_fill(const struct limits *l, struct rw_request *r, struct verdict *v)
{
    size_t labels = 0, samples = 0, exemplars = 0, exemplar_labels = 0;
    if (!(r->message1 = gcw__rw1__write_request__unpack(NULL, r->raw.n, r->raw.p)))
        return verdict_refuse(v, 400, "protobuf: the message can't be decoded");
    r->series_count = r->message1->n_timeseries;
    r->metadata_count = r->message1->n_metadata;
    for (size_t i = 0; i < r->series_count; i++) {
        const Gcw__Rw1__TimeSeries *ts = r->message1->timeseries[i];
        labels += ts->n_labels;
        samples += ts->n_samples;
        exemplars += ts->n_exemplars;
        for (size_t k = 0; k < ts->n_exemplars; k++)
            exemplar_labels += ts->exemplars[k]->n_labels;
    }
    ENSURE(labels * 2 == r->scan->labels.n && r->metadata_count * 3 == r->scan->metadata.n &&
           exemplar_labels * 2 == r->scan->exemplar_labels.n);
    if (!rw_request_reserve(r, labels + exemplar_labels, samples, exemplars, v))
        return false;
    series_fill(l, r);
    metadata_fill(r);
    return true;
}
