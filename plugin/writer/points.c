/* Points: samples and native histograms with exemplars and a start time. Off the path of plain samples: what they are
 * made of is encoded here, on the caller's thread. */
#include <stdlib.h>

#include "writer/writer.h"

#define EXEMPLAR_CHARACTERS 128 /* names and values together, OpenMetrics 1.0 */

struct making {
    struct point point;
    struct buf histogram, bounds, exemplars;
};

static void making_free(struct making *m)
{
    buf_free(&m->histogram);
    buf_free(&m->bounds);
    buf_free(&m->exemplars);
}

static size_t characters(const char *p, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)p[i] & 0xc0) != 0x80;
    return count;
}

/* Why receivers would refuse it; else its labels are in s->block. */
static gcw_status exemplar_check(const gcw_exemplar *e, struct label_scratch *s, gcw_error *err)
{
    static const struct label_rules rules = {
        GCW_LOGS, LABELS_REJECT, EXEMPLAR_CHARACTERS, 4 * EXEMPLAR_CHARACTERS, EXEMPLAR_CHARACTERS, NULL, 0};
    size_t count = 0;
    bool changed;
    if (e->time_ms == 0)
        return error_set(err, GCW_ERR_INVALID, "an exemplar without a time");
    for (size_t i = 0; i < e->label_count; i++)
        count += characters(e->labels[i].name, e->labels[i].name_len) +
                 characters(e->labels[i].value, e->labels[i].value_len);
    if (count > EXEMPLAR_CHARACTERS)
        return error_set(err, GCW_ERR_INVALID, "an exemplar's labels of %zu characters: %d are allowed", count,
                         EXEMPLAR_CHARACTERS);
    s->block.n = 0;
    return e->label_count ? labels_block(&rules, e->labels, e->label_count, s, &changed, err) : GCW_OK;
}

gcw_status writer_exemplar(gcw_writer *w, const gcw_exemplar *e, struct scratch *s, struct buf *out, gcw_error *err)
{
    gcw_error why = {0};
    gcw_status status = exemplar_check(e, &s->metadata, &why);
    if (status == GCW_ERR_INVALID && w->rules[GCW_METRICS].policy != LABELS_REJECT) {
        gcw_error note;
        error_set(&note, GCW_OK, "left out: %.400s", why.text);
        note_change(w, GCW_METRICS, note.text);
        atomic_fetch_add(&w->counters[GCW_METRICS].exemplars_left_out, 1);
        return GCW_OK;
    }
    if (status != GCW_OK)
        return error_set(err, status, "%s", why.text);
    struct exemplar packed = {0, e->time_ms, buf_view(&s->metadata.block)};
    memcpy(&packed.value_bits, &e->value, sizeof packed.value_bits);
    return exemplar_pack(out, &packed) ? GCW_OK : error_set(err, GCW_ERR_NOMEM, "out of memory");
}

static gcw_status exemplars_make(gcw_writer *w, const gcw_point *p, struct scratch *s, struct making *m, gcw_error *err)
{
    gcw_status status = GCW_OK;
    for (size_t i = 0; i < p->exemplar_count && status == GCW_OK; i++)
        status = writer_exemplar(w, &p->exemplars[i], s, &m->exemplars, err);
    m->point.exemplars = buf_view(&m->exemplars);
    return status;
}

static gcw_status point_make(gcw_writer *w, const gcw_point *p, struct scratch *s, struct making *m, gcw_error *err)
{
    *m = (struct making){.point = {.value_bits = p->value_bits, .time_ms = p->time_ms, .start_ms = p->start_ms}};
    const char *trouble = p->histogram ? histogram_check(p->histogram) : NULL;
    if (trouble)
        return error_set(err, GCW_ERR_INVALID, "a histogram: %s", trouble);
    if (p->histogram &&
        (!histogram_put(&m->histogram, p->histogram) || !histogram_bounds_put(&m->bounds, p->histogram)))
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    m->point.histogram = buf_view(&m->histogram);
    m->point.bounds = buf_view(&m->bounds);
    return exemplars_make(w, p, s, m, err);
}

static gcw_status point_put(gcw_writer *w, struct destination *d, const struct point_series *of, const gcw_point *p,
                            struct scratch *s, gcw_receipt *receipt, gcw_error *err)
{
    struct making m;
    struct room_wait wait = {.records = 1};
    gcw_status status = point_make(w, p, s, &m, err);
    if (status == GCW_OK) {
        do
            status = batch_point(d, of, &m.point, receipt);
        while (status == GCW_ERR_FULL && room_wait(w, GCW_METRICS, &wait, &status));
        if (status == GCW_ERR_LIMIT)
            guard_explain(w->guard[GCW_METRICS], "series", err);
        else if (status != GCW_OK)
            error_set(err, status, "%s", gcw_strerror(status));
    }
    making_free(&m);
    return writer_refused(w, GCW_METRICS, status);
}

gcw_status gcw_point_append(gcw_series *series, const gcw_point *point, gcw_receipt *receipt, gcw_error *err)
{
    struct interned *i = (struct interned *)series;
    gcw_writer *w = destination_user(i->owner);
    if (atomic_load_explicit(&w->closing, memory_order_relaxed))
        return writer_refused(w, GCW_METRICS, error_set(err, GCW_ERR_CLOSED, "the writer is closing"));
    struct scratch *s = scratch_take(w);
    if (!s)
        return writer_refused(w, GCW_METRICS, error_set(err, GCW_ERR_NOMEM, "out of memory"));
    const struct point_series of = {.series = i};
    gcw_status status = point_put(w, i->owner, &of, point, s, receipt, err);
    scratch_give(w, s);
    return status;
}

gcw_status gcw_point_write(gcw_writer *w, const gcw_label *labels, size_t count, const gcw_point *point,
                           gcw_receipt *receipt, gcw_error *err)
{
    struct destination *d;
    struct scratch *s;
    gcw_status status = writer_begin(w, labels, count, &d, &s, err);
    if (status != GCW_OK)
        return status;
    struct view block = buf_view(&s->labels.block);
    const struct point_series of = {.block = block,
                                    .hash = hash_bytes(block.p, block.n, w->seed),
                                    .spread = writer_spread(s->labels.metric_name),
                                    .guard = w->guard[GCW_METRICS]};
    status = point_put(w, d, &of, point, s, receipt, err);
    scratch_give(w, s);
    return status;
}
