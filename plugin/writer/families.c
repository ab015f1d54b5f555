/* Metadata of metric families: each is sent when it is first seen and when it changes, and not otherwise.
 * Kept as two hashes a family, not its text; a bound on families keeps the table small. */
#include <pthread.h>
#include <stdlib.h>

#include "writer/writer.h"

#define FAMILIES_MAX 65536
#define HELP_MAX     1024 /* Mimir's default for metadata; longer help is cut there, longer names are refused */

struct families {
    pthread_mutex_t lock;
    size_t count, cap; /* cap: a power of two */
    struct known {
        uint64_t family, content; /* family 0 = empty slot */
    } * slot;
};

struct families *families_new(void)
{
    struct families *f = calloc(1, sizeof *f);
    if (f)
        pthread_mutex_init(&f->lock, NULL);
    return f;
}

void families_free(struct families *f)
{
    if (!f)
        return;
    free(f->slot);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static struct known *slot_find(const struct known *slot, size_t cap, uint64_t family)
{
    size_t k = (size_t)family & (cap - 1);
    while (slot[k].family != 0 && slot[k].family != family)
        k = (k + 1) & (cap - 1);
    return (struct known *)(uintptr_t)&slot[k];
}

static bool families_grow(struct families *f)
{
    size_t cap = f->cap ? f->cap * 2 : 256;
    struct known *slot = calloc(cap, sizeof *slot);
    if (!slot)
        return false;
    for (size_t i = 0; i < f->cap; i++)
        if (f->slot[i].family)
            *slot_find(slot, cap, f->slot[i].family) = f->slot[i];
    free(f->slot);
    f->slot = slot;
    f->cap = cap;
    return true;
}

bool families_update(struct families *f, const void *destination, gcw_metric_type type, struct view family,
                     struct view help, struct view unit)
{
    uint64_t key = hash_bytes(family.p, family.n, (uint64_t)(uintptr_t)destination) | 1;
    uint64_t content = hash_bytes(unit.p, unit.n, hash_bytes(help.p, help.n, (uint64_t)type));
    bool fresh = false;
    pthread_mutex_lock(&f->lock);
    if (f->count * 4 < f->cap * 3 || families_grow(f)) {
        struct known *k = slot_find(f->slot, f->cap, key);
        if (k->family == 0 && f->count < FAMILIES_MAX) {
            *k = (struct known){key, content};
            f->count++;
            fresh = true;
        } else if (k->family != 0 && k->content != content) {
            k->content = content;
            fresh = true;
        }
    }
    pthread_mutex_unlock(&f->lock);
    return fresh;
}

static struct view cut(gcw_writer *w, struct view text, const char *what, struct view family)
{
    struct view out = view_make(text.p, utf8_cut(text.p, text.n, HELP_MAX));
    if (out.n < text.n) {
        gcw_error note;
        error_set(&note, GCW_OK, "metadata of \"%.*s\": %s cut to %d bytes", VIEW_ARG(family), what, HELP_MAX);
        note_change(w, GCW_METRICS, note.text);
    }
    return out;
}

/* Metadata is a courtesy: what cannot be sent as it is, is left out, and never holds up a sample. */
gcw_status metadata_append(gcw_writer *w, struct destination *d, const gcw_metadata *m, struct view name)
{
    struct view family = m->family ? view_of(m->family) : name, help = view_of(m->help), unit = view_of(m->unit);
    bool known_type = m->type >= GCW_TYPE_UNKNOWN && m->type <= GCW_TYPE_STATESET;
    if (!w->config->metrics_metadata)
        return GCW_OK;
    if (family.n == 0 || family.n > HELP_MAX || !known_type || !utf8_valid(family.p, family.n) ||
        !utf8_valid(help.p, help.n) || !utf8_valid(unit.p, unit.n))
        return GCW_ERR_INVALID;
    if (m->type == GCW_TYPE_UNKNOWN && help.n == 0 && unit.n == 0)
        return GCW_OK;
    help = cut(w, help, "help", family);
    unit = cut(w, unit, "unit", family);
    if (!families_update(w->families, d, m->type, family, help, unit))
        return GCW_OK;
    return batch_metadata(d, m->type, family, help, unit);
}
