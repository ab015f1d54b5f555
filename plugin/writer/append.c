/* Appending samples and entries. The common case is one call into batch/; everything else starts at GCW_ERR_FULL. */
#include <stdlib.h>

#include "writer/writer.h"

gcw_status writer_refused_all(gcw_writer *w, gcw_signal signal, uint64_t records, gcw_status status)
{
    if (status != GCW_OK && status != GCW_ERR_DROPPED) /* what policy dropped has its own count */
        atomic_fetch_add(&w->counters[signal].refused, records);
    return status;
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static gcw_status sample_append_slow(gcw_writer *w, struct interned *i, uint64_t bits, int64_t time_ms,
                                     gcw_receipt *receipt)
{
    struct room_wait wait = {.records = 1};
    gcw_status status = GCW_ERR_FULL;
    while (status == GCW_ERR_FULL && room_wait(w, GCW_METRICS, &wait, &status))
        status = batch_sample(i->owner, i, bits, time_ms, receipt);
    return writer_refused(w, GCW_METRICS, status);
}

gcw_status gcw_sample_append_bits(gcw_series *series, uint64_t value_bits, int64_t time_ms, gcw_receipt *receipt)
{
    struct interned *i = (struct interned *)series;
    gcw_writer *w = destination_user(i->owner);
    if (__builtin_expect(atomic_load_explicit(&w->closing, memory_order_relaxed), 0))
        return writer_refused(w, GCW_METRICS, GCW_ERR_CLOSED);
    gcw_status status = batch_sample(i->owner, i, value_bits, time_ms, receipt);
    if (__builtin_expect(status == GCW_OK, 1))
        return GCW_OK;
    if (status == GCW_ERR_FULL)
        return sample_append_slow(w, i, value_bits, time_ms, receipt);
    return writer_refused(w, GCW_METRICS, status);
}

gcw_status gcw_sample_append(gcw_series *series, double value, int64_t time_ms, gcw_receipt *receipt)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return gcw_sample_append_bits(series, bits, time_ms, receipt);
}

gcw_status writer_sample(gcw_writer *w, struct destination *d, struct view block, uint64_t spread, uint64_t bits,
                         int64_t time_ms, gcw_receipt *receipt, gcw_error *err)
{
    uint64_t hash = hash_bytes(block.p, block.n, w->seed);
    struct room_wait wait = {.records = 1};
    gcw_status status;
    do
        status = batch_sample_inline(d, block, hash, spread, w->guard[GCW_METRICS], bits, time_ms, receipt);
    while (status == GCW_ERR_FULL && room_wait(w, GCW_METRICS, &wait, &status));
    if (status == GCW_ERR_LIMIT)
        guard_explain(w->guard[GCW_METRICS], "series", err);
    else if (status != GCW_OK)
        error_set(err, status, "%s", gcw_strerror(status));
    return writer_refused(w, GCW_METRICS, status);
}

gcw_status gcw_sample_write_bits(gcw_writer *w, const gcw_label *labels, size_t count, uint64_t value_bits,
                                 int64_t time_ms, gcw_receipt *receipt, gcw_error *err)
{
    struct destination *d;
    struct scratch *s;
    gcw_status status = writer_begin(w, labels, count, &d, &s, err);
    if (status != GCW_OK)
        return status;
    status = writer_sample(w, d, buf_view(&s->labels.block), writer_spread(s->labels.metric_name), value_bits, time_ms,
                           receipt, err);
    scratch_give(w, s);
    return status;
}

gcw_status gcw_sample_write(gcw_writer *w, const gcw_label *labels, size_t count, double value, int64_t time_ms,
                            gcw_receipt *receipt, gcw_error *err)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return gcw_sample_write_bits(w, labels, count, bits, time_ms, receipt, err);
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

static gcw_status line_fit(gcw_writer *w, struct view *line, gcw_error *err)
{
    uint64_t max = w->config->max_line_bytes;
    if (line->n <= max)
        return GCW_OK;
    gcw_error note;
    error_set(&note, GCW_OK, "a line of more than max_line_bytes was cut");
    if (w->config->line_policy == LINE_REJECT)
        return error_set(err, GCW_ERR_TOO_LARGE, "a line of %zu bytes: max_line_bytes allows %zu", line->n,
                         (size_t)max);
    line->n = utf8_cut(line->p, line->n, (size_t)max);
    note_change(w, GCW_LOGS, note.text);
    return GCW_OK;
}

/* An entry outside the time window that receivers take, by logs_window_policy. GCW_ERR_DROPPED, or GCW_OK with *time_ns
 * and, if it got another time, `own`: its first pair of metadata. */
struct restamp {
    gcw_label pair;
    char text[24];
};

static gcw_status window_fit(gcw_writer *w, int64_t *time_ns, struct restamp *own)
{
    const gcw_config *c = w->config;
    own->pair.name = NULL;
    if (c->logs_window_policy == WINDOW_SEND)
        return GCW_OK;
    int64_t now = clock_unix_ns(), past = (int64_t)c->logs_max_past_ms * 1000000,
            future = (int64_t)c->logs_max_future_ms * 1000000;
    bool too_old = past && *time_ns < now - past, too_new = future && *time_ns > now + future;
    if (!too_old && !too_new)
        return GCW_OK;
    if (c->logs_window_policy == WINDOW_DROP) {
        atomic_fetch_add(&w->counters[GCW_LOGS].turned_away[AWAY_WINDOW], 1);
        transport_wake(w->transport); /* the delivery thread tells the host */
        return GCW_ERR_DROPPED;
    }
    own->pair = (gcw_label){"original_timestamp", 18, own->text, text_i64(own->text, *time_ns)};
    *time_ns = now;
    note_change(w, GCW_LOGS,
                too_old ? "an entry older than logs_max_past was restamped"
                        : "an entry further ahead than logs_max_future was restamped");
    return GCW_OK;
}

static gcw_status metadata_fit(gcw_writer *w, const struct interned *stream, struct view line, const gcw_label *own,
                               const gcw_label *pairs, size_t count, struct scratch *s, gcw_error *err)
{
    gcw_error why; /* of half a KiB: not cleared for every entry */
    bool changed;
    why.code = GCW_OK;
    why.text[0] = 0;
    gcw_status status = metadata_block(w->rules[GCW_LOGS].policy, own, pairs, count, &s->metadata, &changed, &why);
    if (status == GCW_OK && changed)
        note_change(w, GCW_LOGS, why.text);
    if (status != GCW_OK && err)
        *err = why;
    if (status != GCW_OK || !w->config->logs_detected_level)
        return status;
    struct view level = level_detect(interned_block(stream), buf_view(&s->metadata.block), line);
    return level.n == 0 || metadata_add(&s->metadata, LEVEL_NAME, level)
               ? GCW_OK
               : error_set(err, GCW_ERR_NOMEM, "out of memory");
}

static gcw_status entry_append(gcw_writer *w, struct interned *stream, struct view line, int64_t time_ns,
                               const gcw_label *metadata, size_t metadata_count, gcw_receipt *receipt, gcw_error *err)
{
    struct view block = {0};
    struct scratch *s = NULL;
    struct restamp own;
    gcw_status status = line_fit(w, &line, err);
    if (status == GCW_OK)
        status = window_fit(w, &time_ns, &own);
    if (status == GCW_OK && (metadata_count > 0 || own.pair.name || w->config->logs_detected_level)) {
        if (!(s = scratch_take(w)))
            return writer_refused(w, GCW_LOGS, error_set(err, GCW_ERR_NOMEM, "out of memory"));
        status = metadata_fit(w, stream, line, own.pair.name ? &own.pair : NULL, metadata, metadata_count, s, err);
        block = buf_view(&s->metadata.block);
    }
    if (status == GCW_OK) {
        struct room_wait wait = {.records = 1};
        do
            status = batch_entry(stream->owner, stream, line, block, time_ns, receipt);
        while (status == GCW_ERR_FULL && room_wait(w, GCW_LOGS, &wait, &status));
        if (status != GCW_OK)
            error_set(err, status, "%s", gcw_strerror(status));
    }
    if (s)
        scratch_give(w, s);
    return writer_refused(w, GCW_LOGS, status);
}

gcw_status gcw_entry_append(gcw_stream *stream, const void *line, size_t line_len, int64_t time_ns,
                            const gcw_label *metadata, size_t metadata_count, gcw_receipt *receipt)
{
    struct interned *i = (struct interned *)stream;
    gcw_writer *w = destination_user(i->owner);
    if (atomic_load_explicit(&w->closing, memory_order_relaxed))
        return writer_refused(w, GCW_LOGS, GCW_ERR_CLOSED);
    return entry_append(w, i, view_make(line, line_len), time_ns, metadata, metadata_count, receipt, NULL);
}

/* The stream of a one-call entry stays interned, as the next call will most likely name it again; streams that were not
 * named for a while give way when the guard is at its bound. */
gcw_status gcw_entry_write(gcw_writer *w, const gcw_label *labels, size_t count, const void *line, size_t line_len,
                           int64_t time_ns, const gcw_label *metadata, size_t metadata_count, gcw_receipt *receipt,
                           gcw_error *err)
{
    gcw_error unused;
    unused.code = GCW_OK;
    err = err ? err : &unused;
    err->code = GCW_OK;
    gcw_stream *stream = gcw_stream_intern(w, labels, count, NULL, err);
    if (!stream && err->code == GCW_ERR_LIMIT && streams_expire(w))
        stream = gcw_stream_intern(w, labels, count, NULL, err);
    if (!stream)
        return err->code;
    gcw_status status = entry_append(w, (struct interned *)stream, view_make(line, line_len), time_ns, metadata,
                                     metadata_count, receipt, err);
    intern_keep(w->table[GCW_LOGS], (struct interned *)stream, clock_mono_ms());
    return status;
}
