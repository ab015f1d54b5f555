/* Scratch buffers for callers' threads, a few kept between calls; and the log of what was mended. */
#include <stdlib.h>

#include "writer/writer.h"

struct scratch *scratch_take(gcw_writer *w)
{
    for (size_t i = 0; i < SCRATCHES; i++)
        if (!atomic_load_explicit(&w->scratch[i].busy, memory_order_relaxed) &&
            !atomic_exchange_explicit(&w->scratch[i].busy, true, memory_order_acquire))
            return &w->scratch[i];
    return calloc(1, sizeof(struct scratch)); /* more threads at once than slots */
}

/* A label set of megabytes must not keep its scratch for ever. */
static void trim(struct label_scratch *s)
{
    if (s->text.cap + s->block.cap > 256 * KIB)
        label_scratch_free(s);
}

void scratch_give(gcw_writer *w, struct scratch *s)
{
    if (s >= w->scratch && s < w->scratch + SCRATCHES) {
        trim(&s->labels);
        trim(&s->metadata);
        atomic_store_explicit(&s->busy, false, memory_order_release);
        return;
    }
    label_scratch_free(&s->labels);
    label_scratch_free(&s->metadata);
    free(s);
}

void note_change(gcw_writer *w, gcw_signal signal, const char *text)
{
    atomic_fetch_add(&w->counters[signal].changed, 1);
    struct notes *n = &w->notes;
    uint64_t hash = hash_bytes(text, strlen(text), 0);
    bool fresh = true;
    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < n->count && fresh; i++)
        fresh = n->seen[i] != hash;
    fresh = fresh && n->count < NOTES;
    if (fresh)
        n->seen[n->count++] = hash;
    bool last = fresh && n->count == NOTES;
    pthread_mutex_unlock(&n->lock);
    if (fresh)
        log_line(&w->log, GCW_LOG_WARN, "%s: %s%s", gcw_signal_name(signal), text,
                 last ? " (further changes are counted, not logged)" : "");
}
