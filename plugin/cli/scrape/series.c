/* The series of a target: a hash table from the text they are written as to their handles. A second key of each series,
 * its handle, finds those that are written in two ways; no text begins with a NUL, as such keys do. */
#include <stdlib.h>

#include "cli/scrape/scrape.h"

struct entry {
    uint64_t hash, seen;
    struct scraped *series;
    bool owner; /* keyed by handle: the series goes with it */
    size_t len;
    char key[];
};

struct series_cache {
    struct entry **slot; /* a power of two, at most half full */
    size_t slots, count;
};

struct series_cache *series_cache_new(void) { return calloc(1, sizeof(struct series_cache)); }

static void entry_free(struct entry *e)
{
    if (e && e->owner)
        free(e->series);
    free(e);
}

void series_cache_free(struct series_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->slots; i++)
        entry_free(c->slot[i]);
    free(c->slot);
    free(c);
}

/* Where the key is, or would go. The table has room. */
static size_t slot_of(const struct series_cache *c, struct view key, uint64_t hash)
{
    size_t i = hash & (c->slots - 1);
    for (; c->slot[i]; i = (i + 1) & (c->slots - 1))
        if (c->slot[i]->hash == hash && view_eq(view_make(c->slot[i]->key, c->slot[i]->len), key))
            break;
    return i;
}

static void put(struct series_cache *c, struct entry *e)
{
    c->slot[slot_of(c, view_make(e->key, e->len), e->hash)] = e;
    c->count++;
}

static bool grow(struct series_cache *c)
{
    if (2 * (c->count + 1) <= c->slots)
        return true;
    struct entry **old = c->slot;
    size_t slots = c->slots, more = slots ? 2 * slots : 256;
    struct entry **wider = calloc(more, sizeof(struct entry *));
    if (!wider)
        return false;
    c->slot = wider;
    c->slots = more;
    c->count = 0;
    for (size_t i = 0; i < slots; i++)
        if (old[i])
            put(c, old[i]);
    free(old);
    return true;
}

static struct entry *add(struct series_cache *c, struct view key, struct scraped *s, bool owner)
{
    struct entry *e = grow(c) ? malloc(sizeof *e + key.n) : NULL;
    if (!e)
        return NULL;
    *e =
        (struct entry){.hash = hash_bytes(key.p, key.n, 0), .seen = s->seen, .series = s, .owner = owner, .len = key.n};
    memcpy(e->key, key.p, key.n);
    put(c, e);
    return e;
}

static struct entry *find(struct series_cache *c, struct view key)
{
    return c->slots ? c->slot[slot_of(c, key, hash_bytes(key.p, key.n, 0))] : NULL;
}

struct scraped *series_find(struct series_cache *c, struct view text, uint64_t scrape)
{
    struct entry *e = find(c, text);
    if (!e)
        return NULL;
    e->seen = scrape;
    return e->series;
}

struct scraped *series_add(struct series_cache *c, struct view text, gcw_series *handle, uint64_t scrape, bool *fresh)
{
    char key[1 + sizeof handle] = {0};
    memcpy(key + 1, &handle, sizeof handle);
    struct entry *e = find(c, view_make(key, sizeof key)), *named;
    struct scraped *s = e ? e->series : calloc(1, sizeof *s);
    *fresh = !e;
    if (!s)
        return NULL;
    if (e)
        gcw_series_release(handle); /* there is a reference already */
    s->handle = handle;
    s->last_ms = e ? s->last_ms : INT64_MIN;
    if (!e && !add(c, view_make(key, sizeof key), s, true)) {
        free(s);
        return NULL;
    }
    if (!(named = add(c, text, s, false)))
        return NULL;
    named->seen = scrape;
    return s;
}

#define AHEAD_MS INT64_C(600000) /* what Prometheus and Mimir take */

enum moment series_moment(struct scraped *s, int64_t time_ms, uint64_t bits, int64_t scrape_ms)
{
    if (time_ms == s->last_ms && bits == s->last_bits)
        return MOMENT_SAME;
    if (time_ms <= s->last_ms)
        return MOMENT_PAST;
    if (time_ms - AHEAD_MS <= scrape_ms)
        s->last_ms = time_ms, s->last_bits = bits;
    return MOMENT_NEW;
}

void series_each(struct series_cache *c, void (*each)(void *ctx, struct scraped *s), void *ctx)
{
    for (size_t i = 0; i < c->slots; i++)
        if (c->slot[i] && c->slot[i]->owner)
            each(ctx, c->slot[i]->series);
}

/* Takes a slot's entry out. What lies behind it moves up as far as its hash allows: no holes that would hide it. */
static void take_out(struct series_cache *c, size_t at)
{
    const size_t mask = c->slots - 1;
    entry_free(c->slot[at]);
    c->slot[at] = NULL;
    c->count--;
    for (size_t i = (at + 1) & mask; c->slot[i]; i = (i + 1) & mask) {
        size_t home = c->slot[i]->hash & mask;
        if (((i - home) & mask) < ((i - at) & mask))
            continue; /* its place is behind the hole */
        c->slot[at] = c->slot[i];
        c->slot[i] = NULL;
        at = i;
    }
}

void series_sweep(struct series_cache *c, uint64_t scrape, void (*gone)(void *ctx, struct scraped *s), void *ctx)
{
    for (int owners = 0; owners < 2; owners++) /* texts before series, as they point at them */
        for (size_t i = 0; i < c->slots;) {
            struct entry *e = c->slot[i];
            if (!e || e->owner != (owners == 1) || (e->owner ? e->series->seen : e->seen) == scrape) {
                i++;
                continue;
            }
            if (e->owner)
                gone(ctx, e->series);
            take_out(c, i); /* another one may stand there now */
        }
}
