/* Series and streams: labels to handles. A handle is the interned label set itself; its owner is the destination, whose
 * batcher leads back to the writer. */
#include <stdlib.h>

#include "writer/writer.h"

struct destination *writer_destination(gcw_writer *w, gcw_signal signal, const char *tenant, gcw_error *err)
{
    const char *name = gcw_signal_name(signal);
    if (atomic_load(&w->closing)) {
        error_set(err, GCW_ERR_CLOSED, "the writer is closing");
        return NULL;
    }
    if (!w->home[signal]) {
        error_set(err, GCW_ERR_INVALID, "%s_url is not set: this writer takes no %s", name, name);
        return NULL;
    }
    if (!tenant)
        return w->home[signal];
    if (net_check_tenant(tenant, err) != GCW_OK)
        return NULL;
    struct destination *d = batcher_destination(w->batcher, signal, tenant);
    if (!d)
        error_set(err, GCW_ERR_LIMIT, "too many tenants: the bound is 1024");
    return d;
}

gcw_status writer_labels(gcw_writer *w, gcw_signal signal, const gcw_label *labels, size_t count,
                         struct label_scratch *s, gcw_error *err)
{
    gcw_error why; /* of half a KiB: not cleared for every sample */
    bool changed;
    why.code = GCW_OK;
    why.text[0] = 0;
    gcw_status status = labels_block(&w->rules[signal], labels, count, s, &changed, &why);
    if (status == GCW_OK && signal == GCW_LOGS && w->config->logs_service_name)
        status = labels_add_service(s, &why);
    if (status != GCW_OK) {
        atomic_fetch_add(&w->counters[signal].refused, 1);
        if (err)
            *err = why;
    } else if (changed) {
        note_change(w, signal, why.text);
    }
    return status;
}

gcw_status writer_begin(gcw_writer *w, const gcw_label *labels, size_t count, struct destination **d,
                        struct scratch **s, gcw_error *err)
{
    gcw_error unused;
    unused.code = GCW_OK;
    err = err ? err : &unused;
    if (!(*d = writer_destination(w, GCW_METRICS, NULL, err)))
        return writer_refused(w, GCW_METRICS, err->code);
    if (!(*s = scratch_take(w)))
        return writer_refused(w, GCW_METRICS, error_set(err, GCW_ERR_NOMEM, "out of memory"));
    gcw_status status = writer_labels(w, GCW_METRICS, labels, count, &(*s)->labels, err);
    if (status != GCW_OK)
        scratch_give(w, *s);
    return status;
}

static struct interned *acquire(gcw_writer *w, gcw_signal signal, const gcw_label *labels, size_t count,
                                const char *tenant, struct destination **d, gcw_error *err)
{
    if (!(*d = writer_destination(w, signal, tenant, err)))
        return NULL;
    struct scratch *s = scratch_take(w);
    if (!s) {
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return NULL;
    }
    struct interned *i = NULL;
    if (writer_labels(w, signal, labels, count, &s->labels, err) == GCW_OK) {
        gcw_status status;
        i = intern_acquire(w->table[signal], *d, buf_view(&s->labels.block), &status);
        if (!i && status == GCW_ERR_LIMIT)
            guard_explain(w->guard[signal], signal == GCW_METRICS ? "series" : "streams", err);
        else if (!i)
            error_set(err, status, "out of memory");
    }
    scratch_give(w, s);
    return i;
}

gcw_series *gcw_series_intern(gcw_writer *w, const gcw_label *labels, size_t count, const gcw_metadata *metadata,
                              const char *tenant, gcw_error *err)
{
    struct destination *d;
    struct interned *i = acquire(w, GCW_METRICS, labels, count, tenant, &d, err);
    if (i && metadata)
        metadata_append(w, d, metadata, intern_metric_name(w->table[GCW_METRICS], i));
    return (gcw_series *)i;
}

gcw_stream *gcw_stream_intern(gcw_writer *w, const gcw_label *labels, size_t count, const char *tenant, gcw_error *err)
{
    struct destination *d;
    return (gcw_stream *)acquire(w, GCW_LOGS, labels, count, tenant, &d, err);
}

static void release(struct interned *i)
{
    if (!i)
        return;
    struct destination *d = i->owner;
    gcw_writer *w = destination_user(d);
    if (intern_release(w->table[destination_signal(d)], i))
        batch_release(d, i);
}

void gcw_series_release(gcw_series *series) { release((struct interned *)series); }
void gcw_stream_release(gcw_stream *stream) { release((struct interned *)stream); }

#define IDLE_MS (5 * 60 * 1000)

static void expired(struct interned *i) { batch_release(i->owner, i); }

bool streams_expire(gcw_writer *w)
{
    uint64_t now = clock_mono_ms();
    return now > IDLE_MS && intern_expire(w->table[GCW_LOGS], now - IDLE_MS, expired);
}

gcw_status gcw_metadata_write(gcw_writer *w, const gcw_metadata *metadata, const char *tenant, gcw_error *err)
{
    struct destination *d = writer_destination(w, GCW_METRICS, tenant, err);
    if (!d)
        return err ? err->code : GCW_ERR_INVALID;
    if (!metadata || !metadata->family || !*metadata->family)
        return error_set(err, GCW_ERR_INVALID, "metadata without a family name");
    gcw_status status = metadata_append(w, d, metadata, view_of(metadata->family));
    if (status == GCW_ERR_INVALID)
        error_set(err, status, "metadata of \"%.100s\": unknown type, name too long, or text not UTF-8",
                  metadata->family);
    return status;
}
