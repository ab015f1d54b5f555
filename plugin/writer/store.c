/* The disk queue's place in the writer: opening the directory, what an earlier writer left in it, memory for what is
 * read back. */
#include <stdlib.h>

#include "writer/writer.h"

static bool memory_take(void *writer, uint64_t bytes)
{
    gcw_writer *w = writer;
    return budget_take(&w->budget, bytes, 0);
}

static void memory_unload(void *writer, struct sealed *s, uint64_t charge)
{
    gcw_writer *w = writer;
    ENSURE(!s || s->share_count == 0);
    sealed_free(s);
    budget_give(&w->budget, charge);
    room_signal(w);
}

static void queue_log(void *writer, gcw_log_level level, const char *text)
{
    gcw_writer *w = writer;
    log_line(&w->log, level, "%s", text);
}

gcw_status writer_queue_open(gcw_writer *w, gcw_error *err)
{
    const gcw_config *c = w->config;
    bool disk = *c->queue_dir && c->queue_mode != QUEUE_MEMORY, locked;
    const struct queue_ops ops = {w, memory_take, memory_unload, writer_durable, writer_lost, queue_log};
    if (disk && !disk_posix_open(c->queue_dir, false, &w->disk, &locked, err))
        return err && err->code ? err->code : GCW_ERR_IO;
    const struct queue_config qc = {
        .mode = disk ? (enum queue_mode)c->queue_mode : QUEUE_MEMORY,
        .disk_limit = c->queue_limit,
        .drop_oldest = c->overflow == OVERFLOW_DROP_OLDEST,
        .boot = (uint64_t)random_u32() << 32 | random_u32(),
        .disk = disk ? &w->disk : NULL,
    };
    w->queue = queue_new(&qc, &ops);
    return w->queue ? GCW_OK : error_set(err, GCW_ERR_NOMEM, "out of memory");
}

/* A route that was left with another number of lanes goes first: a series may have changed its lane. */
static bool order_lanes(gcw_writer *w, const struct destination *now, const struct destination *earlier)
{
    bool ok = true;
    for (unsigned i = 0; i < destination_lanes(now) && ok; i++)
        ok = deliver_after(w->deliver, destination_route(now, i), destination_route(earlier, 0),
                           destination_lanes(earlier));
    return ok;
}

static uint32_t route_of(void *writer, const struct route_id *id)
{
    gcw_writer *w = writer;
    if (!w->home[id->signal])
        return UINT32_MAX;
    struct destination *now = batcher_destination(w->batcher, id->signal, id->tenant);
    struct destination *earlier = now ? batcher_earlier(w->batcher, id->signal, id->tenant, id->lanes) : NULL;
    if (!earlier || (earlier != now && !order_lanes(w, now, earlier)))
        return UINT32_MAX;
    return destination_route(earlier, id->lane);
}

gcw_status writer_recover(gcw_writer *w, gcw_error *err)
{
    gcw_status status = queue_recover(w->queue, route_of, w, clock_mono_ms(), clock_unix_ms(), err);
    for (int i = 0; i < GCW_SIGNALS && status == GCW_OK; i++) {
        struct queue_gauges *g = &w->counters[i].queue_gauges;
        queue_gauges(w->queue, (gcw_signal)i, g);
        if (g->recovered_requests > 0)
            log_line(&w->log, GCW_LOG_INFO, "%s: %llu records in %llu requests were waiting in queue_dir",
                     gcw_signal_name((gcw_signal)i), (unsigned long long)g->recovered_records,
                     (unsigned long long)g->recovered_requests);
    }
    return status;
}

struct sealed *writer_part(void *writer, const struct sealed *s, struct part *part)
{
    gcw_writer *w = writer;
    uint64_t bytes = part_memory(s->protocol, s->raw_len);
    part->broken = false;
    part->no_histograms = !w->config->metrics_native_histograms;
    part->no_exemplars = !w->config->metrics_exemplars;
    if (!budget_take(&w->budget, bytes, 0))
        return NULL;
    struct sealed *out = sealed_part(s, part);
    budget_give(&w->budget, bytes - (out ? MIN(out->charge, bytes) : 0));
    if (out)
        out->charge = MIN(out->charge, bytes);
    room_signal(w);
    return out;
}
