/* Samples of one thread, one like the other: what was found out about the last one holds for the next. */
#include <stdlib.h>

#include "writer/writer.h"

struct sample_source {
    gcw_writer *writer;
    struct label_scratch labels;
    struct buf name; /* the last metric name */
    uint64_t spread; /* of it */
};

struct sample_source *sample_source_new(gcw_writer *w)
{
    struct sample_source *s = calloc(1, sizeof *s);
    if (s)
        s->writer = w;
    return s;
}

void sample_source_free(struct sample_source *s)
{
    if (!s)
        return;
    label_scratch_free(&s->labels);
    buf_free(&s->name);
    free(s);
}

static uint64_t spread_of(struct sample_source *s, struct view name)
{
    if (view_eq(name, buf_view(&s->name)))
        return s->spread;
    s->name.n = 0;
    s->spread = writer_spread(name);
    if (!buf_append(&s->name, name.p, name.n))
        s->name.n = 0;
    return s->name.n ? s->spread : writer_spread(name);
}

gcw_status sample_source_write(struct sample_source *s, const gcw_label *labels, size_t count, bool again,
                               uint64_t value_bits, int64_t time_ms, gcw_error *err)
{
    gcw_writer *w = s->writer;
    struct destination *d = writer_destination(w, GCW_METRICS, NULL, err);
    if (!d)
        return writer_refused(w, GCW_METRICS, err->code);
    if (!again || !labels_again(&w->rules[GCW_METRICS], labels, count, &s->labels)) {
        gcw_status status = writer_labels(w, GCW_METRICS, labels, count, &s->labels, err);
        if (status != GCW_OK)
            return status;
    }
    return writer_sample(w, d, buf_view(&s->labels.block), spread_of(s, s->labels.metric_name), value_bits, time_ms,
                         NULL, err);
}
