/* The table of streams: sets of a few places each, so that looking up and giving way cost the same whatever it holds.
 */
#include "hosts/fluent-bit/streams.h"

#include <stdlib.h>

#define SETS   512
#define PLACES 8

struct place {
    uint64_t hash;
    char *key;
    size_t key_len;
    gcw_stream *stream; /* NULL = free */
    uint64_t used;      /* the clock below */
};

struct streams {
    uint64_t clock;  /* counts look-ups that found or kept one */
    uint64_t let_go; /* the clock when all were let go last */
    size_t held;
    struct place places[SETS][PLACES];
};

struct streams *streams_new(void) { return calloc(1, sizeof(struct streams)); }

static void place_free(struct streams *s, struct place *p)
{
    if (!p->stream)
        return;
    gcw_stream_release(p->stream);
    free(p->key);
    *p = (struct place){0};
    s->held--;
}

static void all_free(struct streams *s)
{
    for (size_t i = 0; i < SETS; i++)
        for (size_t k = 0; k < PLACES; k++)
            place_free(s, &s->places[i][k]);
}

bool streams_let_go(struct streams *s)
{
    bool any = s->held > 0 && s->clock - s->let_go >= s->held;
    s->let_go = any ? s->clock : s->let_go;
    if (any)
        all_free(s);
    return any;
}

void streams_free(struct streams *s)
{
    if (!s)
        return;
    all_free(s);
    free(s);
}

static struct place *set_of(struct streams *s, uint64_t hash) { return s->places[hash >> 32 & (SETS - 1)]; }

gcw_stream *streams_find(struct streams *s, struct view key)
{
    uint64_t hash = hash_bytes(key.p, key.n, 0);
    struct place *set = set_of(s, hash);
    for (size_t i = 0; i < PLACES; i++)
        if (set[i].stream && set[i].hash == hash && view_eq(view_make(set[i].key, set[i].key_len), key)) {
            set[i].used = ++s->clock;
            return set[i].stream;
        }
    return NULL;
}

bool streams_keep(struct streams *s, struct view key, gcw_stream *stream)
{
    uint64_t hash = hash_bytes(key.p, key.n, 0);
    struct place *set = set_of(s, hash), *oldest = set;
    char *copy = malloc(key.n + 1);
    if (!copy) {
        gcw_stream_release(stream);
        return false;
    }
    if (key.n > 0)
        memcpy(copy, key.p, key.n);
    for (size_t i = 1; i < PLACES; i++)
        if (set[i].used < oldest->used)
            oldest = &set[i];
    place_free(s, oldest);
    *oldest = (struct place){hash, copy, key.n, stream, ++s->clock};
    s->held++;
    return true;
}
