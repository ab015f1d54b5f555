/* The set of fingerprints: knows that a label set was seen without keeping it.
 *
 * A table of a hundred thousand is larger than the nearest caches, and a miss a sample would cost as much as
 * compressing it. But series mostly come in the order in which they came before, scrape after scrape: so they are kept
 * in that order, and the first guess is the one behind the last. */
#include <stdlib.h>

#include "model/model.h"

#define SLOTS_MIN 64

/* Slot of fp, or the empty one where it belongs. */
static size_t slot_of(const struct fingerprints *f, uint64_t fp)
{
    size_t k = (size_t)fp & (f->slots - 1);
    while (f->index[k] != 0 && f->order[f->index[k] - 1] != fp)
        k = (k + 1) & (f->slots - 1);
    return k;
}

bool fingerprint_has(struct fingerprints *f, uint64_t fp)
{
    if (f->cursor < f->count && f->order[f->cursor] == fp) {
        f->cursor++;
        return true;
    }
    if (f->cursor > 0 && f->order[f->cursor - 1] == fp)
        return true; /* the same once more */
    uint32_t at = f->slots ? f->index[slot_of(f, fp)] : 0;
    if (at)
        f->cursor = at;
    else
        f->cursor = 0; /* a new round mostly begins with the first */
    return at != 0;
}

/* Doubles both arrays: three quarters full at the most. */
static bool grow(struct fingerprints *f)
{
    size_t slots = f->slots ? f->slots * 2 : SLOTS_MIN;
    uint64_t *order = realloc(f->order, slots / 4 * 3 * sizeof *order);
    if (order)
        f->order = order;
    uint32_t *index = calloc(slots, sizeof *index);
    if (!order || !index) {
        free(index);
        return false;
    }
    free(f->index);
    f->index = index;
    f->slots = slots;
    for (size_t i = 0; i < f->count; i++)
        index[slot_of(f, f->order[i])] = (uint32_t)(i + 1);
    return true;
}

bool fingerprint_add(struct fingerprints *f, uint64_t fp)
{
    if (f->count == f->slots / 4 * 3 && !grow(f))
        return false;
    f->order[f->count++] = fp;
    f->index[slot_of(f, fp)] = (uint32_t)f->count;
    f->cursor = f->count;
    return true;
}

void fingerprints_free(struct fingerprints *f)
{
    free(f->order);
    free(f->index);
    *f = (struct fingerprints){0};
}
